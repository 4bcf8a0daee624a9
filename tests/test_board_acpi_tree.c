/* SPDX-License-Identifier: BSD-2-Clause */
/* The AArch64 board's ACPI reader against tables generated here, whole and damaged. */
#include "platform/board/acpi_tree.h"

#include <stdlib.h>
#include <string.h>

#include "tests/acpi_rig.h"

/* Between them is room for registers: below 1 GiB, and from 1 TiB on. */
static const struct ranges ram = {
	.count = 2, .r = { { 0x40000000, 0x80000000 }, { 0x8000000000, 0x10000000000 } }
};

struct tables {
	uint64_t madt, fadt, gtdt, spcr, dsdt, mcfg;
};

/* --- Generated contents, with what the reader should find --- */

static uint8_t *add_entry(uint8_t *b, size_t *n, uint8_t type, uint8_t len)
{
	uint8_t *e = b + *n;

	memset(e, 0, len);
	e[0] = type;
	e[1] = len;
	*n += len;
	return e;
}

static uint64_t affinity_of(unsigned i)
{
	return (uint64_t)(i / 64) << 32 | (uint64_t)(i / 16 % 4) << 16 | i % 16;
}

static void add_gicc(uint8_t *b, size_t *n, unsigned i, bool enabled, bool redist,
                     struct board_tree *want)
{
	static const uint8_t lens[] = { 76, 80, 82 };
	uint8_t *e = add_entry(b, n, 0xb, lens[below(3)]);
	bool v2 = want->gic.version == 2;
	struct board_tree_cpu *c = &want->cpus[want->cpu_count];

	put(e + 12, (enabled ? 1 : 0) | 4, 4);
	put(e + 32, v2 ? 0x8010000 : 0, 8);
	put(e + 40, v2 ? 0x8040000 : 0, 8);
	put(e + 48, v2 ? 0x8030000 : 0, 8);
	put(e + 56, 25, 4);
	put(e + 60, redist ? 0x80a0000 + 0x20000 * (uint64_t)i : 0, 8);
	put(e + 68, affinity_of(i) | HC_BIT(31), 8); /* RES1 in MPIDR_EL1 */
	if (!enabled)
		return;
	if (want->cpu_count < BOARD_TREE_CPUS) {
		c->mpidr = affinity_of(i);
		c->redist = redist ? 0x80a0000 + 0x20000 * (uint64_t)i : 0;
		want->cpu_count++;
	} else {
		want->cpus_left_out++;
	}
	want->gic.maintenance = (struct board_irq){ .intid = 25, .edge = true };
	want->gic.cpu = v2 ? 0x8010000 : 0;
	want->gic.gicv = v2 ? 0x8040000 : 0;
	want->gic.gich = v2 ? 0x8030000 : 0;
	want->gic.cpu_size = v2 ? 0x2000 : 0;
	want->gic.gicv_size = v2 ? 0x2000 : 0;
	want->gic.gich_size = v2 ? 0x1000 : 0;
}

static size_t madt_body(uint8_t *b, struct board_tree *want, unsigned cpus)
{
	unsigned stated = below(4) == 0 ? 0 : 2 + below(3);
	bool v2 = stated == 2 || (!stated && below(2));
	bool regions = !v2 && below(2);
	size_t n = 8;
	uint8_t *e;

	memset(b, 0, 8);
	want->gic.version = v2 ? 2 : 3;
	want->gic.dist = 0x8000000;
	want->gic.dist_size = v2 ? 0x1000 : 0x10000;
	if (below(2))
		add_entry(b, &n, 0xf, 20); /* an ITS */
	for (unsigned i = 0; i < cpus; i++)
		add_gicc(b, &n, i, !i || below(4), !v2 && !regions, want);
	e = add_entry(b, &n, 0xc, 24);
	put(e + 8, want->gic.dist, 8);
	e[20] = (uint8_t)stated;
	for (unsigned i = 0; regions && i < 1 + below(BOARD_TREE_REDISTS); i++) {
		e = add_entry(b, &n, 0xe, 16);
		want->gic.redists[i].base = 0x80a0000 + 0x1000000 * (uint64_t)i;
		want->gic.redists[i].size = 0x20000 * (1 + (uint64_t)below(100));
		put(e + 4, want->gic.redists[i].base, 8);
		put(e + 12, want->gic.redists[i].size, 4);
		want->gic.redist_count++;
	}
	return n;
}

static struct board_irq add_timer(uint8_t *at, unsigned intid)
{
	struct board_irq irq = { .intid = intid, .edge = below(2) };

	put(at, intid, 4);
	put(at + 4, irq.edge ? 3 : 2, 4);
	return irq;
}

/* Members by their offset in the whole table: b is 36 bytes before the body. */
static size_t gtdt_body(uint8_t *b, struct board_tree *want)
{
	memset(b + 36, 0, 104 - 36);
	add_timer(b + 56, 30); /* EL1's physical one */
	want->timer_virt = add_timer(b + 64, 27);
	want->timer_hyp = add_timer(b + 72, 26);
	return 104 - 36;
}

static uint8_t *put_next(uint8_t *at, uint64_t value, unsigned size)
{
	put(at, value, size);
	return at + size;
}

/* Resources: descriptors of address spaces, of which one is I/O space that lies in memory. */
static size_t dsdt_body(uint8_t *b, struct board_tree *want)
{
	unsigned window = below(5), count = 4; /* the last one is not there */
	size_t n = below(100);

	memset(b, 0x5a, n);
	for (unsigned i = 0; i < count; i++) {
		unsigned size = below(2) ? 8 : 4;
		uint64_t length = HC_BIT(8 + below(12));
		uint8_t *at = b + n;

		memcpy(at, size == 8 ? "\x8a\x2b" : "\x87\x17", 3);
		at[3] = i == window ? 1 : 0; /* I/O, memory */
		at[4] = at[5] = 0x0c;
		at = put_next(at + 6, 0, size);
		at = put_next(at, i == window ? 0 : below(2) * 0x1000, size);
		at = put_next(at, length - 1, size);
		at = put_next(at, 0x3eff0000, size);
		at = put_next(at, length, size);
		n = (size_t)(at - b);
		if (i == window) {
			want->pci.io = 0x3eff0000;
			want->pci.io_size = hc_min(length, 0x10000);
		}
	}
	return n;
}

/* Bridges of other segments and buses come first. */
static size_t mcfg_body(uint8_t *b, struct board_tree *want)
{
	unsigned others = below(3);
	size_t n = 8;

	memset(b, 0, 8 + 16 * 3);
	for (unsigned i = 0; i <= others; i++, n += 16) {
		put(b + n, 0x4010000000 + 0x10000000 * (uint64_t)i, 8);
		b[n + 8] = i < others && below(2);
		b[n + 10] = i < others && !b[n + 8] ? 0x80 : 0;
		b[n + 11] = 0xff;
	}
	want->pci.ecam = 0x4010000000 + 0x10000000 * (uint64_t)others;
	want->pci.ecam_size = 256 * HC_MIB;
	if (!want->pci.io_size)
		want->pci = (struct pci_host){ 0 };
	return n;
}

static size_t fadt_body(uint8_t *b, uint64_t dsdt, struct board_tree *want)
{
	unsigned flags = below(4), extended = below(2);

	memcpy(want->model, "Maker Board", sizeof("Maker Board"));
	memset(b + 36, 0, 268 - 36);
	put(b + (extended ? 140 : 40), dsdt, extended ? 8 : 4);
	put(b + 129, flags, 2);
	if (flags & 1) {
		want->psci = flags & 2 ? BOARD_PSCI_HVC : BOARD_PSCI_SMC;
		want->psci_02 = true;
		want->psci_cpu_on = 0xc4000003;
		for (unsigned i = 0; i < want->cpu_count; i++)
			want->cpus[i].method = BOARD_CPU_PSCI;
	}
	return 268 - 36;
}

static size_t spcr_body(uint8_t *b, struct board_tree *want)
{
	static const struct {
		uint8_t type, width, access, kind, shift, io;
		uint16_t size;
	} rows[] = {
		{ 0x03, 32, 3, BOARD_UART_PL011, 0, 4, 0x1000 },
		{ 0x03, 8, 0, BOARD_UART_PL011, 0, 4, 0x1000 },
		{ 0x0e, 32, 2, BOARD_UART_SBSA, 0, 2, 0x1000 },
		{ 0x0d, 32, 3, BOARD_UART_SBSA, 0, 4, 0x1000 },
		{ 0x00, 8, 1, BOARD_UART_8250, 0, 1, 0x100 },
		{ 0x00, 8, 3, BOARD_UART_8250, 0, 1, 0x100 },  /* wider than registers are apart */
		{ 0x01, 16, 3, BOARD_UART_8250, 1, 2, 0x100 }, /* so too */
		{ 0x03, 8, 2, BOARD_UART_PL011, 0, 2, 0x1000 },
		{ 0x12, 32, 3, BOARD_UART_8250, 2, 4, 0x100 },
		{ 0x12, 16, 0, BOARD_UART_8250, 1, 2, 0x100 },
		{ 0x55, 8, 1, 0, 0, 0, 0 }, /* nothing that is known */
	};
	unsigned k = below(HC_ARRAY_SIZE(rows));
	bool irq = below(2);

	memset(b + 36, 0, 80 - 36);
	b[36] = rows[k].type;
	b[41] = rows[k].width;
	b[43] = rows[k].access;
	put(b + 44, 0x9000000, 8);
	b[52] = irq ? 8 : 1;
	put(b + 54, 33, 4);
	if (rows[k].size) {
		want->uart_count = 1;
		want->uarts[0] = (struct board_uart){
			.base = 0x9000000,
			.size = rows[k].size,
			.irq.intid = irq ? 33 : 0,
			.kind = rows[k].kind,
			.reg_shift = rows[k].shift,
			.io_width = rows[k].io,
		};
	}
	return 80 - 36;
}

static struct machine *generate(struct board_tree *want, struct tables *t)
{
	struct machine *m = new_machine();
	uint8_t *body = calloc(1, 0x8000);
	uint64_t tables[5];
	unsigned cpus = below(16) ? 1 + below(20) : 250 + below(20);

	memset(want, 0, sizeof(*want));
	t->madt = add_table(m, "APIC", body, madt_body(body, want, cpus));
	t->dsdt = add_table(m, "DSDT", body, dsdt_body(body, want));
	t->mcfg = add_table(m, "MCFG", body, mcfg_body(body, want));
	t->fadt = add_table(m, "FACP", body + 36, fadt_body(body, t->dsdt, want));
	t->gtdt = add_table(m, "GTDT", body + 36, gtdt_body(body, want));
	t->spcr = add_table(m, "SPCR", body + 36, spcr_body(body, want));
	memcpy(tables, (uint64_t[]){ t->spcr, t->gtdt, t->fadt, t->madt, t->mcfg }, sizeof(tables));
	add_root(m, below(2), tables, 5);
	free(body);
	return m;
}

/* By their members: what lies between these is nobody's. */
static void same_irq(const struct board_irq *a, const struct board_irq *b)
{
	assert_int_equal(a->intid, b->intid);
	assert_int_equal(a->edge, b->edge);
}

static void same_gic(const struct board_gic *a, const struct board_gic *b)
{
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->dist, b->dist);
	assert_int_equal(a->dist_size, b->dist_size);
	assert_int_equal(a->redist_count, b->redist_count);
	assert_memory_equal(a->redists, b->redists, sizeof(a->redists));
	assert_int_equal(a->redist_stride, b->redist_stride);
	assert_int_equal(a->cpu, b->cpu);
	assert_int_equal(a->cpu_size, b->cpu_size);
	assert_int_equal(a->gich, b->gich);
	assert_int_equal(a->gich_size, b->gich_size);
	assert_int_equal(a->gicv, b->gicv);
	assert_int_equal(a->gicv_size, b->gicv_size);
	same_irq(&a->maintenance, &b->maintenance);
}

static void same_cpus(const struct board_tree *a, const struct board_tree *b)
{
	assert_int_equal(a->cpu_count, b->cpu_count);
	assert_int_equal(a->cpus_left_out, b->cpus_left_out);
	for (unsigned i = 0; i < a->cpu_count; i++) {
		assert_int_equal(a->cpus[i].mpidr, b->cpus[i].mpidr);
		assert_int_equal(a->cpus[i].redist, b->cpus[i].redist);
		assert_int_equal(a->cpus[i].method, b->cpus[i].method);
		assert_int_equal(a->cpus[i].release, b->cpus[i].release);
	}
}

static void same_uart(const struct board_uart *a, const struct board_uart *b)
{
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->size, b->size);
	same_irq(&a->irq, &b->irq);
	assert_int_equal(a->clock_hz, b->clock_hz);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->reg_shift, b->reg_shift);
	assert_int_equal(a->io_width, b->io_width);
}

static void same_tree(const struct board_tree *a, const struct board_tree *b)
{
	assert_string_equal(a->model, b->model);
	assert_string_equal(a->model, b->model);
	assert_memory_equal(&a->memory, &ram, sizeof(ram));
	same_cpus(a, b);
	same_gic(&a->gic, &b->gic);
	assert_int_equal(a->psci, b->psci);
	assert_int_equal(a->psci_02, b->psci_02);
	assert_int_equal(a->psci_cpu_on, b->psci_cpu_on);
	same_irq(&a->timer_virt, &b->timer_virt);
	same_irq(&a->timer_hyp, &b->timer_hyp);
	assert_int_equal(a->timer_hz, b->timer_hz);
	assert_int_equal(a->uart_count, b->uart_count);
	same_uart(&a->uarts[0], &b->uarts[0]);
	assert_int_equal(a->pci.ecam, b->pci.ecam);
	assert_int_equal(a->pci.ecam_size, b->pci.ecam_size);
	assert_int_equal(a->pci.io, b->pci.io);
	assert_int_equal(a->pci.io_size, b->pci.io_size);
	assert_int_equal(a->pl031, b->pl031);
}

static void generated_tables(void **state)
{
	struct board_tree want, tree;
	struct tables t;

	for (unsigned i = 0; i < test_rounds(400); i++) {
		struct machine *m = generate(&want, &t);

		warnings = 0;
		assert_int_equal(acpi_read_tree(&tree, m->rsdp, &ram, map, m), 0);
		same_tree(&tree, &want);
		assert_int_equal(warnings, 0);
		free_machine(m);
	}
}

/* Without MADT or GTDT there is no machine; without the others there is one. */
static void damaged_tables(void **state)
{
	struct board_tree want, tree;
	struct tables t;

	for (unsigned i = 0; i < test_rounds(400); i++) {
		struct machine *m = generate(&want, &t);
		uint64_t table =
			(uint64_t[]){ t.madt, t.gtdt, t.fadt, t.spcr, t.dsdt, t.mcfg }[i % 6];
		uint8_t *byte = at_pa(m, table) + 10 + below(table_len(m, table) - 10);

		*byte = (uint8_t)(*byte + 1 + below(255));
		warnings = 0;
		assert_int_equal(acpi_read_tree(&tree, m->rsdp, &ram, map, m),
		                 i % 6 < 2 ? -ENODEV : 0);
		if (i % 6 == 2)
			assert_int_equal(tree.psci, BOARD_PSCI_NONE);
		if (i % 6 == 3)
			assert_int_equal(tree.uart_count, 0);
		if (i % 6 > 3)
			assert_int_equal(tree.pci.ecam_size, 0);
		assert_int_equal(warnings, 1);
		free_machine(m);
	}
}

static void nonsense_with_right_checksums(void **state)
{
	struct board_tree want, tree;
	struct tables t;

	for (unsigned i = 0; i < test_rounds(3000); i++) {
		struct machine *m = generate(&want, &t);

		spoil(m, (uint64_t[]){ t.madt, t.gtdt, t.fadt, t.spcr, t.dsdt, t.mcfg,
		                       m->root }[below(7)]);
		if (acpi_read_tree(&tree, m->rsdp, &ram, map, m) == 0) {
			assert_in_range(tree.cpu_count, 1, BOARD_TREE_CPUS);
			assert_in_range(tree.gic.version, 2, 3);
			assert_in_range(tree.gic.redist_count, 0, BOARD_TREE_REDISTS);
			assert_in_range(tree.timer_hyp.intid, 16, 31);
			assert_in_range(tree.timer_virt.intid, 16, 31);
			assert_in_range(tree.uart_count, 0, 1);
			assert_in_range(tree.pci.io_size, 0, 0x10000);
			assert_true(tree.pci.io + tree.pci.io_size >= tree.pci.io);
			assert_int_equal(tree.gic.dist % 0x1000 | tree.gic.cpu % 0x1000 |
			                         tree.gic.gich % 0x1000 | tree.gic.gicv % 0x1000,
			                 0);
			assert_false(ranges_intersect(&ram, tree.gic.dist,
			                              tree.gic.dist + tree.gic.dist_size));
		}
		free_machine(m);
	}
}

/* Accesses of 4 bytes would not be aligned, or would write to what is anyone's. */
static void ports_at_bad_places(void **state)
{
	static const uint64_t places[] = { 0x9000000, 0x9000001,  0x9000002,
		                           0x9000003, 0x50000000, UINT64_MAX - 0x103 };

	struct board_tree want, tree;
	struct tables t;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(places); i++) {
		struct machine *m = generate(&want, &t);
		uint8_t *spcr = at_pa(m, t.spcr);

		spcr[36] = 3;
		put(spcr + 44, places[i], 8);
		fix_table(m, t.spcr);
		warnings = 0;
		assert_int_equal(acpi_read_tree(&tree, m->rsdp, &ram, map, m), 0);
		assert_int_equal(tree.uart_count, i == 0);
		assert_int_equal(warnings, i != 0);
		free_machine(m);
	}
}

/* One member of one table each, to what cannot be: what a device tree would be refused for, too. */
static void places_and_interrupts_that_cannot_be(void **state)
{
	enum { MADT_GICD, MADT_GICC, GTDT };
	static const struct {
		unsigned where, at, size;
		uint64_t value;
		int err;
	} rows[] = {
		{ MADT_GICD, 8, 8, 0x8000800, -EPROTO },
		{ MADT_GICD, 8, 8, 0x50000000, -EPROTO },
		{ MADT_GICD, 8, 8, 0x3ffff000, -EPROTO }, /* its end is in memory */
		{ MADT_GICD, 8, 8, UINT64_MAX - 0xfff, -EPROTO },
		{ MADT_GICD, 8, 8, 0, -ENODEV },
		{ MADT_GICC, 32, 8, 0x8010400, -EPROTO },
		{ MADT_GICC, 40, 8, 0x8040001, -EPROTO },
		{ MADT_GICC, 40, 8, 0x7ffff000, -EPROTO },
		{ MADT_GICC, 48, 8, 0x40000000, -EPROTO },
		{ MADT_GICC, 56, 4, 32, -EPROTO },
		{ MADT_GICC, 56, 4, 15, -EPROTO },
		{ MADT_GICC, 56, 4, 0, 0 }, /* none */
		{ MADT_GICC, 60, 8, 0x80a1800, -EPROTO },
		{ MADT_GICC, 60, 8, 0x60000000, -EPROTO },
		{ GTDT, 64, 4, 32, -EPROTO },
		{ GTDT, 64, 4, 0, -ENODEV },
		{ GTDT, 72, 4, 1019, -EPROTO },
		{ GTDT, 72, 4, 0, -ENODEV },
	};
	uint8_t madt[256], gtdt[104];
	struct board_tree want = { 0 }, tree;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct machine *m = new_machine();
		size_t n = 8;
		uint8_t *dist, *cpu, *to[3];
		uint64_t tables[2];

		memset(madt, 0, n);
		dist = add_entry(madt, &n, 0xc, 24);
		put(dist + 8, 0x8000000, 8);
		dist[20] = 3;
		cpu = madt + n;
		add_gicc(madt, &n, 0, true, true, &want);
		want.cpu_count = 0;
		gtdt_body(gtdt, &want);
		to[MADT_GICD] = dist;
		to[MADT_GICC] = cpu;
		to[GTDT] = gtdt;
		put(to[rows[i].where] + rows[i].at, rows[i].value, rows[i].size);
		tables[0] = add_table(m, "APIC", madt, n);
		tables[1] = add_table(m, "GTDT", gtdt + 36, sizeof(gtdt) - 36);
		add_root(m, true, tables, 2);
		if (acpi_read_tree(&tree, m->rsdp, &ram, map, m) != rows[i].err)
			fail_msg("row %u is not answered by %d", i, rows[i].err);
		free_machine(m);
	}
}

static int read_madt_of(const uint8_t *body, size_t len, struct board_tree *tree)
{
	struct machine *m = new_machine();
	uint8_t gtdt[104];
	struct board_tree ignored;
	uint64_t tables[2];
	int err;

	tables[0] = add_table(m, "APIC", body, len);
	tables[1] = add_table(m, "GTDT", gtdt + 36, gtdt_body(gtdt, &ignored));
	add_root(m, true, tables, 2);
	err = acpi_read_tree(tree, m->rsdp, &ram, map, m);
	free_machine(m);
	return err;
}

static void refusals(void **state)
{
	struct board_tree want = { .gic.version = 3 }, tree;
	uint8_t body[1024] = { 0 }, *e;
	size_t n = 8, with_cpu, with_dist;

	assert_int_equal(read_madt_of(body, n, &tree), -ENODEV);
	add_gicc(body, &n, 0, true, false, &want);
	with_cpu = n;
	assert_int_equal(read_madt_of(body, n, &tree), -ENODEV); /* no distributor */
	e = add_entry(body, &n, 0xc, 24);
	put(e + 8, 0x8000000, 8);
	e[20] = 3;
	with_dist = n;
	assert_int_equal(read_madt_of(body, n, &tree), -ENODEV); /* no redistributor */
	for (unsigned i = 0; i <= BOARD_TREE_REDISTS; i++) {
		e = add_entry(body, &n, 0xe, 16);
		put(e + 4, 0x80a0000, 8);
		put(e + 12, 0x20000, 4);
		assert_int_equal(read_madt_of(body, n, &tree), i < BOARD_TREE_REDISTS ? 0 : -E2BIG);
	}
	put(e + 4, UINT64_MAX, 8);
	assert_int_equal(read_madt_of(body, n, &tree), 0);
	body[with_cpu + 20] = 5; /* a version that is not known */
	assert_int_equal(read_madt_of(body, n, &tree), -ENODEV);
	body[with_cpu + 20] = 2; /* whose CPU interface is nowhere */
	assert_int_equal(read_madt_of(body, with_dist, &tree), -ENODEV);
	/* The same CPU again is one CPU. */
	body[with_cpu + 20] = 3;
	add_gicc(body, &n, 0, true, false, &want);
	warnings = 0;
	assert_int_equal(read_madt_of(body, n, &tree), 0);
	assert_int_equal(tree.cpu_count, 1);
	assert_int_equal(warnings, 2);
	assert_int_equal(acpi_read_tree(&tree, 0, &ram, map, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generated_tables),
		cmocka_unit_test(damaged_tables),
		cmocka_unit_test(nonsense_with_right_checksums),
		cmocka_unit_test(ports_at_bad_places),
		cmocka_unit_test(places_and_interrupts_that_cannot_be),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
