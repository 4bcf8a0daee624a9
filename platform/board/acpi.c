/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/acpi.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"

#define RSDP_V1_SIZE 20
#define RSDP_V2_SIZE 36
#define HEADER_SIZE  36
#define MAX_TABLE    (16 * HC_MIB)
#define MAX_TABLES   256

/* A table that has been mapped and whose checksum is right. */
struct table {
	const uint8_t *data;
	uint32_t len;
};

struct reader {
	struct acpi_info *info;
	acpi_map map;
	void *arg;
};

/* Little-endian members at any alignment; 0 beyond the table's end, as in tables of older revisions
 * that lack the member. */
static uint64_t get(const struct table *t, uint64_t at, unsigned size)
{
	uint64_t v = 0;

	if (at + size > t->len)
		return 0;
	for (unsigned i = size; i-- > 0;)
		v = v << 8 | t->data[at + i];
	return v;
}

static uint8_t get8(const struct table *t, uint64_t at)
{
	return (uint8_t)get(t, at, 1);
}

static uint16_t get16(const struct table *t, uint64_t at)
{
	return (uint16_t)get(t, at, 2);
}

static uint32_t get32(const struct table *t, uint64_t at)
{
	return (uint32_t)get(t, at, 4);
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

static bool open_table(const struct reader *r, uint64_t pa, struct table *t)
{
	char text[5];
	struct table head = { pa ? r->map(r->arg, pa, HEADER_SIZE) : NULL, HEADER_SIZE };

	if (!head.data) {
		hc_log(HC_LOG_WARN, "ACPI: no table can be read at 0x%llx", (unsigned long long)pa);
		return false;
	}
	signature(head.data, text);
	t->len = get32(&head, 4);
	if (t->len < HEADER_SIZE || t->len > MAX_TABLE) {
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

static bool is_table(const struct table *t, const char *name)
{
	return memcmp(t->data, name, 4) == 0;
}

/* --- MADT (5.2.12) --- */

static void add_cpu(struct acpi_info *info, uint32_t id, uint32_t flags)
{
	if (!(flags & 1))
		return;
	for (unsigned i = 0; i < info->cpu_count; i++)
		if (info->cpu_ids[i] == id) /* listed as local APIC and as x2APIC */
			return;
	if (info->cpu_count == ACPI_MAX_CPUS) {
		info->cpus_left_out++;
		return;
	}
	info->cpu_ids[info->cpu_count++] = id;
}

static void add_ioapic(struct acpi_info *info, uint32_t address, uint32_t gsi_base)
{
	if (info->ioapic_count == ACPI_MAX_IOAPICS)
		return;
	info->ioapics[info->ioapic_count].address = address;
	info->ioapics[info->ioapic_count++].gsi_base = gsi_base;
}

static void add_override(struct acpi_info *info, const struct table *e)
{
	if (info->override_count == ACPI_MAX_OVERRIDES)
		return;
	info->overrides[info->override_count++] = (struct acpi_override){
		.isa_irq = get8(e, 3),
		.gsi = get32(e, 4),
		.flags = get16(e, 8),
	};
}

static void read_madt_entry(struct acpi_info *info, const struct table *e)
{
	static const uint8_t least[] = { [0] = 8, [1] = 12, [2] = 10, [5] = 12, [9] = 16 };
	uint8_t type = get8(e, 0);

	if (type >= sizeof(least) || !least[type])
		return;
	if (e->len < least[type]) {
		hc_log(HC_LOG_WARN, "ACPI: MADT entry of type %u has length %u: left out", type,
		       e->len);
		return;
	}
	switch (type) {
	case 0: add_cpu(info, get8(e, 3), get32(e, 4)); break;
	case 1: add_ioapic(info, get32(e, 4), get32(e, 8)); break;
	case 2: add_override(info, e); break;
	case 5: info->lapic_address = get(e, 4, 8); break;
	default: add_cpu(info, get32(e, 4), get32(e, 8)); break;
	}
}

static void read_madt(const struct reader *r, const struct table *t)
{
	r->info->has_madt = true;
	r->info->lapic_address = get32(t, 36);
	for (uint64_t at = 44; at + 2 <= t->len;) {
		struct table e = { t->data + at, t->data[at + 1] };

		if (e.len < 2 || at + e.len > t->len) {
			hc_log(HC_LOG_WARN,
			       "ACPI: MADT entry at offset %llu has length %u: rest left out",
			       (unsigned long long)at, e.len);
			return;
		}
		read_madt_entry(r->info, &e);
		at += e.len;
	}
}

/* --- FADT (5.2.9) and \_S5 (7.4.2) --- */

/* An integer of AML's data encoding (20.2.3) at *at, if it is a small one. */
static bool aml_byte(const struct table *t, uint64_t *at, uint8_t *value)
{
	uint8_t op = get8(t, *at);

	if (*at >= t->len)
		return false;
	*at += 1;
	switch (op) {
	case 0x00:
	case 0x01: *value = op; return true;
	case 0x0a: *value = get8(t, *at); break;
	case 0x0b:
		*value = get8(t, *at);
		*at += 1;
		break;
	case 0x0c:
		*value = get8(t, *at);
		*at += 3;
		break;
	default: return false;
	}
	*at += 1;
	return *at <= t->len;
}

/* Name (_S5, Package () { a, b, ... }): found by its bytes. */
static bool find_s5(const struct table *t, uint8_t *a, uint8_t *b)
{
	for (uint64_t i = HEADER_SIZE; i + 8 < t->len; i++) {
		uint64_t at = i + 5;

		if (memcmp(t->data + i, "_S5_\x12", 5) != 0)
			continue;
		if (t->data[i - 1] != 0x08 && !(t->data[i - 1] == '\\' && t->data[i - 2] == 0x08))
			continue;
		at += 1 + (t->data[at] >> 6); /* PkgLength (20.2.4) */
		at += 1;                      /* NumElements */
		if (aml_byte(t, &at, a) && aml_byte(t, &at, b))
			return true;
	}
	return false;
}

static void read_s5(const struct reader *r, const struct table *t)
{
	if (!r->info->has_s5)
		r->info->has_s5 = find_s5(t, &r->info->s5_type_a, &r->info->s5_type_b);
}

/* The extended address of a register block if it is a port, else the old member. */
static uint32_t port_of(const struct table *t, uint64_t at, uint64_t extended_at)
{
	uint64_t extended = get(t, extended_at + 4, 8);

	if (get8(t, extended_at) == 1 && extended && extended <= UINT16_MAX)
		return (uint32_t)extended;
	return get32(t, at) <= UINT16_MAX ? get32(t, at) : 0;
}

static void read_fadt(const struct reader *r, const struct table *t)
{
	struct acpi_info *info = r->info;
	uint64_t dsdt = get(t, 140, 8);
	struct table d;

	info->smi_cmd = get32(t, 48);
	info->acpi_enable = get8(t, 52);
	info->pm1a_cnt = port_of(t, 64, 172);
	info->pm1b_cnt = port_of(t, 68, 184);
	/* Flag 10, RESET_REG_SUP. */
	if (get32(t, 112) & HC_BIT(10) && get8(t, 116) <= 1) {
		info->has_reset = true;
		info->reset_space = get8(t, 116);
		info->reset_address = get(t, 120, 8);
		info->reset_value = get8(t, 128);
	}
	if (!dsdt)
		dsdt = get32(t, 40);
	if (open_table(r, dsdt, &d))
		read_s5(r, &d);
}

/* --- HPET (IA-PC HPET specification, 3.2.4) --- */

static void read_hpet(const struct reader *r, const struct table *t)
{
	if (t->len >= 56 && get8(t, 40) == 0)
		r->info->hpet_address = get(t, 44, 8);
}

static const struct {
	char name[5];
	void (*read)(const struct reader *r, const struct table *t);
} readers[] = {
	{ "APIC", read_madt },
	{ "FACP", read_fadt },
	{ "HPET", read_hpet },
	{ "SSDT", read_s5 },
};

static void read_table(const struct reader *r, uint64_t pa)
{
	struct table t;

	if (!open_table(r, pa, &t))
		return;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(readers); i++)
		if (is_table(&t, readers[i].name))
			readers[i].read(r, &t);
}

/* The root table: XSDT with 8-byte entries, or RSDT with 4-byte ones (5.2.7, 5.2.8). */
static bool read_root(const struct reader *r, uint64_t pa, const char *name, unsigned entry)
{
	struct table root;

	if (!pa || !open_table(r, pa, &root))
		return false;
	if (!is_table(&root, name)) {
		hc_log(HC_LOG_WARN, "ACPI: the table at 0x%llx is no %s", (unsigned long long)pa,
		       name);
		return false;
	}
	if ((root.len - HEADER_SIZE) / entry > MAX_TABLES) {
		hc_log(HC_LOG_WARN, "ACPI: %s lists %u tables: those beyond %u are left out", name,
		       (root.len - HEADER_SIZE) / entry, MAX_TABLES);
		root.len = HEADER_SIZE + MAX_TABLES * entry;
	}
	for (uint64_t at = HEADER_SIZE; at + entry <= root.len; at += entry)
		read_table(r, get(&root, at, entry));
	return true;
}

/* 5.2.5.3. Returns the length of the valid part, 0 if it is no RSDP. */
static uint32_t check_rsdp(const uint8_t *p, uint64_t pa, acpi_map map, void *arg)
{
	struct table t = { p, RSDP_V1_SIZE };
	uint32_t len;

	if (memcmp(p, "RSD PTR ", 8) != 0 || !checksum_ok(p, RSDP_V1_SIZE))
		return 0;
	if (get8(&t, 15) < 2)
		return RSDP_V1_SIZE;
	t.data = map(arg, pa, RSDP_V2_SIZE);
	t.len = RSDP_V2_SIZE;
	len = t.data ? get32(&t, 20) : 0;
	if (len < RSDP_V2_SIZE || len > HC_PAGE_SIZE)
		return RSDP_V1_SIZE;
	p = map(arg, pa, len);
	return p && checksum_ok(p, len) ? RSDP_V2_SIZE : RSDP_V1_SIZE;
}

int acpi_read(struct acpi_info *info, uint64_t rsdp, acpi_map map, void *arg)
{
	struct reader r = { info, map, arg };
	const uint8_t *p = rsdp ? map(arg, rsdp, RSDP_V1_SIZE) : NULL;
	uint32_t len = p ? check_rsdp(p, rsdp, map, arg) : 0;
	struct table t = { NULL, len };

	memset(info, 0, sizeof(*info));
	if (!len) {
		hc_log(HC_LOG_WARN, "ACPI: there is no valid RSDP at 0x%llx",
		       (unsigned long long)rsdp);
		return -ENOENT;
	}
	t.data = map(arg, rsdp, len);
	if (t.data &&
	    (read_root(&r, get(&t, 24, 8), "XSDT", 8) || read_root(&r, get(&t, 16, 4), "RSDT", 4)))
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

uint32_t acpi_isa_gsi(const struct acpi_info *info, uint8_t isa_irq, uint16_t *flags)
{
	for (unsigned i = 0; i < info->override_count; i++) {
		if (info->overrides[i].isa_irq == isa_irq) {
			*flags = info->overrides[i].flags;
			return info->overrides[i].gsi;
		}
	}
	*flags = 0;
	return isa_irq;
}
