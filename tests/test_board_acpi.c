/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board's ACPI reader against tables generated here, whole and damaged. What the reader maps is
 * handed out as copies of exactly the mapped size, so that the sanitizers see every byte too far.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "platform/board/acpi.h"
#include "tests/unit.h"

#define BASE   UINT64_C(0xe0000)
#define MEMORY 0x8000

static uint64_t seed = 1181783497276652981u;
static unsigned warnings;

void hc_log(enum hc_log_level level, const char *fmt, ...)
{
	if (level == HC_LOG_WARN)
		warnings++;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_below(&seed, n);
}

/* --- A machine's memory and the tables in it --- */

struct machine {
	uint8_t memory[MEMORY];
	uint64_t used;
	void *copies[4096];
	unsigned copy_count;
	uint64_t rsdp, madt, fadt, dsdt, hpet, root;
};

static struct machine *new_machine(void)
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

static void free_machine(struct machine *m)
{
	free_copies(m);
	free(m);
}

static const void *map(void *arg, uint64_t pa, uint64_t size)
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

static void put(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static uint8_t *at_pa(struct machine *m, uint64_t pa)
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

static uint32_t table_len(struct machine *m, uint64_t pa)
{
	uint32_t len;

	memcpy(&len, at_pa(m, pa) + 4, 4);
	return len;
}

static void fix_table(struct machine *m, uint64_t pa)
{
	fix_sum(at_pa(m, pa), table_len(m, pa), 9);
}

/* body: what follows the 36 bytes of the header. */
static uint64_t add_table(struct machine *m, const char *signature, const uint8_t *body, size_t len)
{
	uint64_t pa = BASE + m->used;
	uint8_t *t = m->memory + m->used;

	memcpy(t, signature, 4);
	put(t + 4, 36 + len, 4);
	t[8] = 3;
	memcpy(t + 36, body, len);
	fix_table(m, pa);
	m->used = (m->used + 36 + len + 15) & ~15u;
	return pa;
}

static void add_root(struct machine *m, bool extended, const uint64_t *tables, unsigned count)
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

/* --- Generated contents, with what the reader should find --- */

static size_t madt_body(uint8_t *b, struct acpi_info *want)
{
	size_t n = 8;

	memset(b, 0, 8);
	want->has_madt = true;
	want->lapic_address = 0xfee00000;
	put(b, 0xfee00000, 4);
	for (unsigned i = 0, entries = below(40); i < entries; i++) {
		static const uint8_t types[] = { 0, 1, 2, 4, 5, 9, 0x7f };
		static const uint8_t lens[] = { 8, 12, 10, 6, 12, 16, 7 };
		unsigned k = below(sizeof(types));
		uint8_t *e = b + n;
		bool enabled = below(4);

		memset(e, 0, lens[k]);
		e[0] = types[k];
		e[1] = lens[k];
		n += lens[k];
		switch (types[k]) {
		case 0:
		case 9: /* distinct IDs, so that none is taken for a repetition */
			put(e + (types[k] ? 4 : 3), i, types[k] ? 4 : 1);
			put(e + (types[k] ? 8 : 4), enabled, 4);
			if (enabled)
				want->cpu_ids[want->cpu_count++] = i;
			break;
		case 1:
			put(e + 4, 0xfec00000u + i * 0x1000u, 4);
			put(e + 8, UINT64_C(24) * i, 4);
			if (want->ioapic_count < ACPI_MAX_IOAPICS) {
				want->ioapics[want->ioapic_count].address =
					0xfec00000u + i * 0x1000u;
				want->ioapics[want->ioapic_count++].gsi_base = 24 * i;
			}
			break;
		case 2:
			e[3] = (uint8_t)i;
			put(e + 4, i + 16, 4);
			put(e + 8, i & 15, 2);
			if (want->override_count < ACPI_MAX_OVERRIDES)
				want->overrides[want->override_count++] =
					(struct acpi_override){ (uint8_t)i, i & 15, i + 16 };
			break;
		case 5:
			put(e + 4, 0x1fee00000 + i, 8);
			want->lapic_address = 0x1fee00000 + i;
			break;
		default: break;
		}
	}
	return n;
}

static size_t aml_number(uint8_t *b, unsigned form, uint8_t value)
{
	switch (form) {
	case 0: b[0] = value & 1; return 1; /* ZeroOp, OneOp */
	case 1:
		b[0] = 0x0a;
		b[1] = value;
		return 2;
	case 2:
		b[0] = 0x0b;
		put(b + 1, value, 2);
		return 3;
	default:
		b[0] = 0x0c;
		put(b + 1, value, 4);
		return 5;
	}
}

static size_t dsdt_body(uint8_t *b, struct acpi_info *want)
{
	size_t n = below(200);
	unsigned fa = below(4), fb = below(4), root = below(2), long_len = below(2);
	uint8_t a = (uint8_t)below(8), c = (uint8_t)below(8);

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(below(64) + 128);
	b[n++] = 0x08;
	if (root)
		b[n++] = '\\';
	memcpy(b + n, "_S5_\x12", 5);
	n += 5;
	b[n++] = long_len ? 0x4c : 0x0c;
	if (long_len)
		b[n++] = 0;
	b[n++] = 4;
	n += aml_number(b + n, fa, a);
	n += aml_number(b + n, fb, c);
	memset(b + n, 0, 8);
	want->has_s5 = true;
	want->s5_type_a = fa ? a : a & 1;
	want->s5_type_b = fb ? c : c & 1;
	return n + 8;
}

static size_t fadt_body(uint8_t *b, uint64_t dsdt, struct acpi_info *want)
{
	bool extended = below(2), reset = below(2);
	uint8_t *t = b - 36; /* offsets as in the specification */

	memset(b, 0, 268 - 36);
	put(t + (extended ? 140 : 40), dsdt, extended ? 8 : 4);
	put(t + 48, want->smi_cmd = 0xb2, 4);
	t[52] = want->acpi_enable = 0xf1;
	want->pm1a_cnt = 0x604 + below(100);
	want->pm1b_cnt = below(2) ? 0x700 : 0;
	if (extended) {
		t[172] = 1;
		put(t + 176, want->pm1a_cnt, 8);
	}
	put(t + 64, extended ? 0x1234 : want->pm1a_cnt, 4);
	put(t + 68, want->pm1b_cnt, 4);
	put(t + 112, reset ? 1 << 10 : 0, 4);
	t[116] = 1;
	put(t + 120, 0xcf9, 8);
	t[128] = 6;
	if (reset) {
		want->has_reset = true;
		want->reset_space = 1;
		want->reset_address = 0xcf9;
		want->reset_value = 6;
	}
	return 268 - 36;
}

static struct machine *generate(struct acpi_info *want)
{
	struct machine *m = new_machine();
	uint8_t body[2048] = { 0 };
	uint64_t tables[3];

	memset(want, 0, sizeof(*want));
	m->madt = add_table(m, "APIC", body, madt_body(body, want));
	m->dsdt = add_table(m, "DSDT", body, dsdt_body(body, want));
	/* fadt_body() names members by their offset in the whole table. */
	m->fadt = add_table(m, "FACP", body + 36, fadt_body(body + 36, m->dsdt, want));
	memset(body, 0, 20);
	want->hpet_address = 0xfed00000;
	put(body + 8, want->hpet_address, 8);
	m->hpet = add_table(m, "HPET", body, 20);
	tables[0] = m->fadt;
	tables[1] = m->madt;
	tables[2] = m->hpet;
	add_root(m, below(2), tables, 3);
	return m;
}

static void generated_tables(void **state)
{
	for (unsigned i = 0; i < 300; i++) {
		struct acpi_info want, info;
		struct machine *m = generate(&want);

		warnings = 0;
		assert_int_equal(acpi_read(&info, m->rsdp, map, m), 0);
		assert_memory_equal(&info, &want, sizeof(info));
		assert_int_equal(warnings, 0);
		assert_int_equal(acpi_find_rsdp(BASE, MEMORY, map, m), m->rsdp);
		free_machine(m);
	}
}

/* What is left when one table is missing. */
static void forget(struct acpi_info *want, const struct machine *m, uint64_t table)
{
	struct acpi_info keep = *want;

	if (table == m->hpet)
		want->hpet_address = 0;
	if (table == m->dsdt) {
		want->has_s5 = false;
		want->s5_type_a = 0;
		want->s5_type_b = 0;
	}
	if (table == m->madt) {
		memset(want, 0, offsetof(struct acpi_info, pm1a_cnt));
	} else if (table == m->fadt) {
		memset(&want->pm1a_cnt, 0, sizeof(*want) - offsetof(struct acpi_info, pm1a_cnt));
		want->hpet_address = keep.hpet_address;
	}
}

static void damaged_table_is_left_out(void **state)
{
	for (unsigned i = 0; i < 300; i++) {
		struct acpi_info want, info;
		struct machine *m = generate(&want);
		const uint64_t tables[] = { m->madt, m->fadt, m->dsdt, m->hpet };
		uint64_t table = tables[below(4)];
		uint8_t *byte = at_pa(m, table) + 10 + below(table_len(m, table) - 10);

		*byte = (uint8_t)(*byte + 1 + below(255));
		warnings = 0;
		forget(&want, m, table);
		assert_int_equal(acpi_read(&info, m->rsdp, map, m), 0);
		assert_memory_equal(&info, &want, sizeof(info));
		assert_int_equal(warnings, 1);
		free_machine(m);
	}
}

static void damaged_root(void **state)
{
	struct acpi_info want, info, none = { 0 };
	struct machine *m = generate(&want);

	at_pa(m, m->root)[20]++;
	assert_int_equal(acpi_read(&info, m->rsdp, map, m), -ENOENT);
	assert_memory_equal(&info, &none, sizeof(info));
	at_pa(m, m->root)[20]--;
	at_pa(m, m->rsdp)[9]++;
	assert_int_equal(acpi_read(&info, m->rsdp, map, m), -ENOENT);
	assert_int_equal(acpi_find_rsdp(BASE, MEMORY, map, m), 0);
	assert_int_equal(acpi_read(&info, 0, map, m), -ENOENT);
	assert_int_equal(acpi_read(&info, BASE + MEMORY - 8, map, m), -ENOENT);
	assert_int_equal(acpi_read(&info, UINT64_MAX - 4, map, m), -ENOENT);
	free_machine(m);
}

static void check_bounds(const struct acpi_info *info)
{
	assert_true(info->cpu_count <= ACPI_MAX_CPUS);
	assert_true(info->ioapic_count <= ACPI_MAX_IOAPICS);
	assert_true(info->override_count <= ACPI_MAX_OVERRIDES);
	assert_true(info->pm1a_cnt <= UINT16_MAX && info->pm1b_cnt <= UINT16_MAX);
}

/* Wrong contents under right checksums: nothing may be read beyond what was mapped. */
static void nonsense_with_right_checksums(void **state)
{
	for (unsigned i = 0; i < 3000; i++) {
		struct acpi_info want, info;
		struct machine *m = generate(&want);
		const uint64_t tables[] = { m->madt, m->fadt, m->dsdt, m->hpet, m->root };
		uint64_t table = tables[below(5)];
		uint32_t len = table_len(m, table);

		for (unsigned n = 1 + below(6); n; n--)
			at_pa(m, table)[36 + below(len - 36)] = (uint8_t)below(256);
		if (below(4) == 0)
			put(at_pa(m, table) + 4, below(2) ? below(len + 40) : (uint32_t)seed, 4);
		len = table_len(m, table);
		if (len >= 36 && len <= MEMORY - (table - BASE))
			fix_table(m, table);
		acpi_read(&info, m->rsdp, map, m);
		check_bounds(&info);
		free_machine(m);
	}
}

static void too_many_cpus(void **state)
{
	struct machine *m = new_machine();
	struct acpi_info info;
	uint8_t *body = calloc(1, 8 + 16 * 400);
	uint64_t madt;

	for (unsigned i = 0; i < 400; i++) {
		uint8_t *e = body + 8 + (size_t)16 * i;

		e[0] = 9;
		e[1] = 16;
		put(e + 4, i, 4);
		put(e + 8, 1, 4);
	}
	madt = add_table(m, "APIC", body, 8 + 16 * 400);
	add_root(m, true, &madt, 1);
	assert_int_equal(acpi_read(&info, m->rsdp, map, m), 0);
	assert_int_equal(info.cpu_count, ACPI_MAX_CPUS);
	assert_int_equal(info.cpus_left_out, 400 - ACPI_MAX_CPUS);
	free(body);
	free_machine(m);
}

static void isa_interrupts(void **state)
{
	const struct acpi_info info = { .override_count = 1, .overrides = { { 0, 5, 2 } } };
	uint16_t flags = 1;

	assert_int_equal(acpi_isa_gsi(&info, 4, &flags), 4);
	assert_int_equal(flags, 0);
	assert_int_equal(acpi_isa_gsi(&info, 0, &flags), 2);
	assert_int_equal(flags, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generated_tables), cmocka_unit_test(damaged_table_is_left_out),
		cmocka_unit_test(damaged_root),     cmocka_unit_test(nonsense_with_right_checksums),
		cmocka_unit_test(too_many_cpus),    cmocka_unit_test(isa_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
