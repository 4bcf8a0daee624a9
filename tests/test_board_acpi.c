/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC board's ACPI reader against tables generated here, whole and damaged.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/board/acpi.h"
#include "tests/acpi_rig.h"

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

		spoil(m, tables[below(5)]);
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
