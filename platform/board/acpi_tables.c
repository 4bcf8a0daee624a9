/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/acpi_tables.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"

#define RSDP_V1_SIZE 20
#define RSDP_V2_SIZE 36
#define MAX_TABLE    (16 * HC_MIB)
#define MAX_TABLES   256

uint64_t acpi_get(const struct acpi_table *t, uint64_t at, unsigned size)
{
	uint64_t v = 0;

	if (at + size > t->len)
		return 0;
	for (unsigned i = size; i-- > 0;)
		v = v << 8 | t->data[at + i];
	return v;
}

uint8_t acpi_get8(const struct acpi_table *t, uint64_t at)
{
	return (uint8_t)acpi_get(t, at, 1);
}

uint16_t acpi_get16(const struct acpi_table *t, uint64_t at)
{
	return (uint16_t)acpi_get(t, at, 2);
}

uint32_t acpi_get32(const struct acpi_table *t, uint64_t at)
{
	return (uint32_t)acpi_get(t, at, 4);
}

uint64_t acpi_get64(const struct acpi_table *t, uint64_t at)
{
	return acpi_get(t, at, 8);
}

static bool checksum_ok(const uint8_t *data, uint64_t len)
{
	uint8_t sum = 0;

	for (uint64_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return sum == 0;
}

/* A signature as text that is safe to print. */
static const char *signature(const uint8_t *data, char text[5])
{
	for (unsigned i = 0; i < 4; i++)
		text[i] = data[i] >= ' ' && data[i] < 0x7f ? (char)data[i] : '?';
	text[4] = '\0';
	return text;
}

bool acpi_open_table(const struct acpi_reader *r, uint64_t pa, struct acpi_table *t)
{
	char text[5];
	struct acpi_table head = { pa ? r->map(r->arg, pa, ACPI_HEADER_SIZE) : NULL,
		                   ACPI_HEADER_SIZE };

	if (!head.data) {
		hc_log(HC_LOG_WARN, "ACPI: no table can be read at 0x%llx", (unsigned long long)pa);
		return false;
	}
	signature(head.data, text);
	t->len = acpi_get32(&head, 4);
	if (t->len < ACPI_HEADER_SIZE || t->len > MAX_TABLE) {
		hc_log(HC_LOG_WARN, "ACPI: table %s at 0x%llx has length %u: left out", text,
		       (unsigned long long)pa, t->len);
		return false;
	}
	t->data = r->map(r->arg, pa, t->len);
	if (!t->data || !checksum_ok(t->data, t->len)) {
		hc_log(HC_LOG_WARN, "ACPI: table %s at 0x%llx %s: left out", text,
		       (unsigned long long)pa,
		       t->data ? "has a wrong checksum" : "reaches beyond memory");
		return false;
	}
	return true;
}

static bool is_table(const struct acpi_table *t, const char *name)
{
	return memcmp(t->data, name, 4) == 0;
}

/* --- Entries of a table --- */

void acpi_read_entries(const struct acpi_entries *kind, void *info, const struct acpi_table *t,
                       uint64_t at)
{
	while (at + 2 <= t->len) {
		struct acpi_table e = { t->data + at, t->data[at + 1] };
		uint8_t type = t->data[at];

		if (e.len < 2 || at + e.len > t->len) {
			hc_log(HC_LOG_WARN,
			       "ACPI: %s entry at offset %llu has length %u: rest left out",
			       kind->table, (unsigned long long)at, e.len);
			return;
		}
		at += e.len;
		if (type >= kind->count || !kind->least[type])
			continue;
		if (e.len >= kind->least[type])
			kind->read(info, type, &e);
		else
			hc_log(HC_LOG_WARN, "ACPI: %s entry of type %u has length %u: left out",
			       kind->table, type, e.len);
	}
}

/* --- From the RSDP to the tables --- */

static void read_table(const struct acpi_reader *r, uint64_t pa)
{
	struct acpi_table t;

	if (!acpi_open_table(r, pa, &t))
		return;
	for (const struct acpi_table_kind *k = r->kinds; k->name[0]; k++)
		if (is_table(&t, k->name))
			k->read(r, &t);
}

/* The root table: XSDT with 8-byte entries, or RSDT with 4-byte ones (5.2.7, 5.2.8). */
static bool read_root(const struct acpi_reader *r, uint64_t pa, const char *name, unsigned entry)
{
	struct acpi_table root;

	if (!pa || !acpi_open_table(r, pa, &root))
		return false;
	if (!is_table(&root, name)) {
		hc_log(HC_LOG_WARN, "ACPI: the table at 0x%llx is no %s", (unsigned long long)pa,
		       name);
		return false;
	}
	if ((root.len - ACPI_HEADER_SIZE) / entry > MAX_TABLES) {
		hc_log(HC_LOG_WARN, "ACPI: %s lists %u tables: those beyond %u are left out", name,
		       (root.len - ACPI_HEADER_SIZE) / entry, MAX_TABLES);
		root.len = ACPI_HEADER_SIZE + MAX_TABLES * entry;
	}
	for (uint64_t at = ACPI_HEADER_SIZE; at + entry <= root.len; at += entry)
		read_table(r, acpi_get(&root, at, entry));
	return true;
}

/* 5.2.5.3. Returns the length of the valid part, 0 if it is no RSDP. */
static uint32_t check_rsdp(const uint8_t *p, uint64_t pa, acpi_map map, void *arg)
{
	struct acpi_table t = { p, RSDP_V1_SIZE };
	uint32_t len;

	if (memcmp(p, "RSD PTR ", 8) != 0 || !checksum_ok(p, RSDP_V1_SIZE))
		return 0;
	if (acpi_get8(&t, 15) < 2)
		return RSDP_V1_SIZE;
	t.data = map(arg, pa, RSDP_V2_SIZE);
	t.len = RSDP_V2_SIZE;
	len = t.data ? acpi_get32(&t, 20) : 0;
	if (len < RSDP_V2_SIZE || len > HC_PAGE_SIZE)
		return RSDP_V1_SIZE;
	p = map(arg, pa, len);
	return p && checksum_ok(p, len) ? RSDP_V2_SIZE : RSDP_V1_SIZE;
}

int acpi_read_tables(const struct acpi_reader *r, uint64_t rsdp)
{
	const uint8_t *p = rsdp ? r->map(r->arg, rsdp, RSDP_V1_SIZE) : NULL;
	uint32_t len = p ? check_rsdp(p, rsdp, r->map, r->arg) : 0;
	struct acpi_table t = { NULL, len };

	if (!len) {
		hc_log(HC_LOG_WARN, "ACPI: there is no valid RSDP at 0x%llx",
		       (unsigned long long)rsdp);
		return -ENOENT;
	}
	t.data = r->map(r->arg, rsdp, len);
	if (t.data && (read_root(r, acpi_get64(&t, 24), "XSDT", 8) ||
	               read_root(r, acpi_get32(&t, 16), "RSDT", 4)))
		return 0;
	hc_log(HC_LOG_WARN, "ACPI: the RSDP at 0x%llx leads to no root table",
	       (unsigned long long)rsdp);
	return -ENOENT;
}

uint64_t acpi_find_rsdp(uint64_t pa, uint64_t size, acpi_map map, void *arg)
{
	const uint8_t *p = map(arg, pa, size);

	for (uint64_t at = 0; p && at + RSDP_V1_SIZE <= size; at += 16)
		if (memcmp(p + at, "RSD PTR ", 8) == 0 && checksum_ok(p + at, RSDP_V1_SIZE))
			return pa + at;
	return 0;
}
