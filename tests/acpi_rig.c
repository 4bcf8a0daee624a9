/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/acpi_rig.h"

#include <stdlib.h>
#include <string.h>

uint64_t seed = 1181783497276652981u;
unsigned warnings;

void hc_log(enum hc_log_level level, const char *fmt, ...)
{
	if (level == HC_LOG_WARN)
		warnings++;
}

int hc_error(int err, const char *fmt, ...)
{
	return err;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)test_below(&seed, n);
}

struct machine *new_machine(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	m->used = 0x40;
	return m;
}

static void free_copies(struct machine *m)
{
	while (m->copy_count)
		free(m->copies[--m->copy_count]);
}

void free_machine(struct machine *m)
{
	free_copies(m);
	free(m);
}

const void *map(void *arg, uint64_t pa, uint64_t size)
{
	struct machine *m = arg;
	void *copy;

	if (pa < BASE || pa - BASE > MEMORY || size > MEMORY - (pa - BASE))
		return NULL;
	assert_true(m->copy_count < HC_ARRAY_SIZE(m->copies));
	copy = malloc(size ? size : 1);
	memcpy(copy, m->memory + (pa - BASE), size);
	m->copies[m->copy_count++] = copy;
	return copy;
}

void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

uint8_t *at_pa(struct machine *m, uint64_t pa)
{
	return m->memory + (pa - BASE);
}

static void fix_sum(uint8_t *data, size_t len, size_t sum_at)
{
	uint8_t sum = 0;

	data[sum_at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	data[sum_at] = (uint8_t)-sum;
}

uint32_t table_len(struct machine *m, uint64_t pa)
{
	uint32_t len;

	memcpy(&len, at_pa(m, pa) + 4, 4);
	return len;
}

void fix_table(struct machine *m, uint64_t pa)
{
	fix_sum(at_pa(m, pa), table_len(m, pa), 9);
}

uint64_t add_table(struct machine *m, const char *signature, const uint8_t *body, size_t len)
{
	static const char maker[14] = "Maker\0Board \x7f"; /* OEMID and OEM Table ID */
	uint64_t pa = BASE + m->used;
	uint8_t *t = m->memory + m->used;

	memcpy(t, signature, 4);
	put(t + 4, 36 + len, 4);
	t[8] = 3;
	memcpy(t + 10, maker, sizeof(maker));
	memcpy(t + 36, body, len);
	fix_table(m, pa);
	m->used = (m->used + 36 + len + 15) & ~15u;
	return pa;
}

void add_root(struct machine *m, bool extended, const uint64_t *tables, unsigned count)
{
	uint8_t body[64] = { 0 }, *r;
	size_t size = extended ? 8 : 4;

	for (unsigned i = 0; i < count; i++)
		put(body + i * size, tables[i], (unsigned)size);
	m->root = add_table(m, extended ? "XSDT" : "RSDT", body, count * size);
	m->rsdp = BASE + m->used;
	r = at_pa(m, m->rsdp);
	put(r, UINT64_C(0x2052545020445352), 8); /* "RSD PTR " */
	r[15] = extended ? 2 : 0;
	put(r + 16, extended ? 0 : m->root, 4);
	fix_sum(r, 20, 8);
	if (extended) {
		put(r + 20, 36, 4);
		put(r + 24, m->root, 8);
		fix_sum(r, 36, 32);
	}
	m->used += 48;
}

void spoil(struct machine *m, uint64_t table)
{
	uint32_t len = table_len(m, table);

	for (unsigned n = 1 + below(6); n; n--)
		at_pa(m, table)[36 + below(len - 36)] = (uint8_t)below(256);
	if (below(4) == 0)
		put(at_pa(m, table) + 4, below(2) ? below(len + 40) : (uint32_t)seed, 4);
	len = table_len(m, table);
	if (len >= 36 && len <= MEMORY - (table - BASE))
		fix_table(m, table);
}
