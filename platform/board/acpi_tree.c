/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/acpi_tree.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/aarch64/mpidr.h"
#include "platform/board/aarch64/psci.h"

#define GIC_VERSION_2_CPU  0x2000 /* ACPI gives addresses without sizes */
#define GIC_VERSION_2_GICH 0x1000
#define GIC_VERSION_2_DIST 0x1000
#define GIC_VERSION_3_DIST 0x10000

/* Registers cannot be there, or beyond the end of addresses. */
static bool is_memory(const struct board_tree *tree, uint64_t base, uint64_t size)
{
	return base + size < base || ranges_intersect(&tree->memory, base, base + size);
}

/* --- MADT (5.2.12.14 to 5.2.12.17) --- */

enum { MADT_GICC = 0xb, MADT_GICD = 0xc, MADT_GICR = 0xe };

/* Flags of a GICC structure. */
#define GICC_ENABLED          HC_BIT(0)
#define GICC_MAINTENANCE_EDGE HC_BIT(2)

static bool is_listed(const struct board_tree *tree, uint64_t mpidr)
{
	for (unsigned i = 0; i < tree->cpu_count; i++)
		if (tree->cpus[i].mpidr == mpidr)
			return true;
	return false;
}

static void add_cpu(struct board_tree *tree, const struct acpi_table *e)
{
	uint64_t mpidr = acpi_get64(e, 68) & MPIDR_AFFINITY;

	if (is_listed(tree, mpidr)) {
		hc_log(HC_LOG_WARN, "ACPI: MADT lists the CPU 0x%llx twice",
		       (unsigned long long)mpidr);
		return;
	}
	if (tree->cpu_count == BOARD_TREE_CPUS) {
		tree->cpus_left_out++;
		return;
	}
	tree->cpus[tree->cpu_count++] = (struct board_tree_cpu){
		.mpidr = mpidr,
		.redist = acpi_get64(e, 60),
	};
}

/* The interface's places are the same for all CPUs, being banked. */
static void read_gicc(struct board_tree *tree, const struct acpi_table *e)
{
	struct board_gic *g = &tree->gic;
	uint32_t flags = acpi_get32(e, 12);

	if (!(flags & GICC_ENABLED))
		return;
	add_cpu(tree, e);
	if (tree->cpu_count != 1)
		return;
	g->cpu = acpi_get64(e, 32);
	g->gicv = acpi_get64(e, 40);
	g->gich = acpi_get64(e, 48);
	g->cpu_size = g->cpu ? GIC_VERSION_2_CPU : 0;
	g->gicv_size = g->gicv ? GIC_VERSION_2_CPU : 0;
	g->gich_size = g->gich ? GIC_VERSION_2_GICH : 0;
	g->maintenance.intid = acpi_get32(e, 56);
	g->maintenance.edge = flags & GICC_MAINTENANCE_EDGE;
}

static void read_gicr(struct board_tree *tree, const struct acpi_table *e)
{
	struct board_gic *g = &tree->gic;
	uint64_t base = acpi_get64(e, 4), size = acpi_get32(e, 12);

	if (base + size < base) {
		hc_log(HC_LOG_WARN, "ACPI: MADT's GICR at 0x%llx wraps around: left out",
		       (unsigned long long)base);
		return;
	}
	/* One too many is counted, to be refused in the end. */
	if (g->redist_count < BOARD_TREE_REDISTS) {
		g->redists[g->redist_count].base = base;
		g->redists[g->redist_count].size = size;
	}
	if (g->redist_count <= BOARD_TREE_REDISTS)
		g->redist_count++;
}

static void read_madt_entry(void *arg, uint8_t type, const struct acpi_table *e)
{
	struct board_tree *tree = arg;

	switch (type) {
	case MADT_GICC: read_gicc(tree, e); break;
	case MADT_GICD:
		tree->gic.dist = acpi_get64(e, 8);
		tree->gic.version = acpi_get8(e, 20);
		break;
	default: read_gicr(tree, e); break;
	}
}

static void read_madt(const struct acpi_reader *r, const struct acpi_table *t)
{
	static const uint8_t least[] = { [MADT_GICC] = 76, [MADT_GICD] = 24, [MADT_GICR] = 16 };
	static const struct acpi_entries kind = { "MADT", least, sizeof(least), read_madt_entry };

	acpi_read_entries(&kind, r->info, t, 44);
}

/* --- GTDT (5.2.25) --- */

static struct board_irq timer(const struct acpi_table *t, uint64_t at)
{
	return (struct board_irq){
		.intid = acpi_get32(t, at),
		.edge = acpi_get32(t, at + 4) & 1,
	};
}

static void read_gtdt(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct board_tree *tree = r->info;

	tree->timer_virt = timer(t, 64);
	tree->timer_hyp = timer(t, 72);
}

/* --- PCI: MCFG (PCI Firmware 3.2, 4.1.2), and a resource of the bridge's in the DSDT --- */

#define MCFG_ENTRY 16

static void read_mcfg(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct board_tree *tree = r->info;

	for (uint64_t at = 44; at + MCFG_ENTRY <= t->len && !tree->pci.ecam_size;
	     at += MCFG_ENTRY) {
		uint64_t base = acpi_get64(t, at), size = (acpi_get8(t, at + 11) + 1) * HC_MIB;
		bool first = !acpi_get16(t, at + 8) && !acpi_get8(t, at + 10);

		if (!first || !base || is_memory(tree, base, size))
			continue;
		tree->pci.ecam = base;
		tree->pci.ecam_size = size;
	}
}

/* A DWORD or QWORD address space descriptor (6.4.3.5.2, 6.4.3.5.1) at offset at, if it is I/O space
 * from port 0 on that lies somewhere in memory: members of size bytes, from offset 6 on, are
 * granularity, least, most, translation and length. */
static bool io_window(const struct acpi_table *t, uint64_t at, unsigned size,
                      struct board_tree *tree)
{
	uint64_t least = acpi_get(t, at + 6 + size, size);
	uint64_t most = acpi_get(t, at + 6 + 2 * size, size);
	uint64_t translation = acpi_get(t, at + 6 + 3 * size, size);
	uint64_t length = acpi_get(t, at + 6 + 4 * size, size);
	struct pci_host *host = &tree->pci;

	if (acpi_get8(t, at + 3) != 1 || acpi_get(t, at + 6, size) || least || !translation ||
	    !length || most != length - 1 || is_memory(tree, translation, length))
		return false;
	host->io = translation;
	host->io_size = hc_min(length, 64 * HC_KIB);
	return true;
}

/* Found by its bytes: there is no AML interpreter. */
static void read_dsdt(const struct acpi_reader *r, uint64_t pa)
{
	struct board_tree *tree = r->info;
	struct acpi_table t;

	if (!acpi_open_table(r, pa, &t))
		return;
	for (uint64_t at = ACPI_HEADER_SIZE; at + 3 <= t.len; at++) {
		unsigned size = memcmp(t.data + at, "\x87\x17\0", 3) == 0   ? 4
		                : memcmp(t.data + at, "\x8a\x2b\0", 3) == 0 ? 8
		                                                            : 0;

		if (size && io_window(&t, at, size, tree))
			return;
	}
}

/* --- FADT (5.2.9, ARM_BOOT_ARCH) --- */

/* Who made the tables is all that they say about the machine's name (5.2.6: OEMID, OEM Table ID).
 */
static void read_model(struct board_tree *tree, const struct acpi_table *t)
{
	size_t n = 0;

	for (uint64_t at = 10; at < 24; at++) {
		uint8_t c = acpi_get8(t, at);

		if (c > ' ' && c <= '~')
			tree->model[n++] = (char)c;
		if (at == 15 && n)
			tree->model[n++] = ' ';
	}
	while (n && tree->model[n - 1] == ' ')
		n--;
	tree->model[n] = '\0';
}

static void read_fadt(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct board_tree *tree = r->info;
	uint16_t flags = acpi_get16(t, 129);
	uint64_t dsdt = acpi_get64(t, 140);

	read_model(tree, t);
	read_dsdt(r, dsdt ? dsdt : acpi_get32(t, 40));
	if (!(flags & 1))
		return;
	tree->psci = flags & 2 ? BOARD_PSCI_HVC : BOARD_PSCI_SMC;
	tree->psci_02 = true; /* at least */
	tree->psci_cpu_on = PSCI_CPU_ON;
}

/* --- SPCR (Microsoft's Serial Port Console Redirection Table, and DBG2 for the types) --- */

static const struct {
	uint8_t type, kind;
	uint16_t size;
} uarts[] = {
	{ 0x00, BOARD_UART_8250, 0x100 },   { 0x01, BOARD_UART_8250, 0x100 },
	{ 0x03, BOARD_UART_PL011, 0x1000 }, { 0x0d, BOARD_UART_SBSA, 0x1000 },
	{ 0x0e, BOARD_UART_SBSA, 0x1000 },  { 0x12, BOARD_UART_8250, 0x100 },
};

/* A generic address structure (5.2.3.2) at offset 40: registers are bit-width apart, and accessed
 * by 1, 2 or 4 bytes (access size 1, 2, 3; 0: by their width), an 8250's by no more than they are
 * apart: beyond its first the access would not be aligned. */
static void spcr_access(struct board_uart *u, const struct acpi_table *t)
{
	unsigned width = acpi_get8(t, 41), access = acpi_get8(t, 43);
	unsigned shift = width >= 32 ? 2 : width >= 16 ? 1 : 0;

	if (access < 1 || access > 3)
		access = shift + 1;
	u->reg_shift = (uint8_t)shift;
	u->io_width = (uint8_t)(1u << (access - 1));
	if (u->kind == BOARD_UART_8250) {
		u->io_width = (uint8_t)hc_min(u->io_width, 1u << shift);
	} else {
		u->reg_shift = 0;
		u->io_width = u->io_width == 2 ? 2 : 4;
	}
}

static void read_spcr(const struct acpi_reader *r, const struct acpi_table *t)
{
	struct board_tree *tree = r->info;
	struct board_uart *u = &tree->uarts[0];
	uint64_t base = acpi_get64(t, 44);

	if (base % 4 || is_memory(tree, base, HC_PAGE_SIZE)) {
		hc_log(HC_LOG_WARN,
		       "ACPI: SPCR's port at 0x%llx is left out: wants a multiple of 4, and not in "
		       "memory",
		       (unsigned long long)base);
		return;
	}
	for (unsigned i = 0; i < HC_ARRAY_SIZE(uarts); i++) {
		if (acpi_get8(t, 36) != uarts[i].type || acpi_get8(t, 40) != 0)
			continue;
		u->base = base;
		u->size = uarts[i].size;
		u->kind = uarts[i].kind;
		spcr_access(u, t);
		/* Bit 3 of the interrupt type: by the GIC. */
		u->irq.intid = acpi_get8(t, 52) & 8 ? acpi_get32(t, 54) : 0;
		u->clock_hz = acpi_get32(t, 76);
		tree->uart_count = u->base != 0;
	}
}

/* --- All --- */

/* Version 0 leaves it open: redistributors tell. */
static void settle_gic(struct board_gic *g)
{
	if (!g->version)
		g->version = g->redist_count || !g->cpu ? 3 : 2;
	if (g->version == 4)
		g->version = 3;
	g->dist_size = g->version == 3 ? GIC_VERSION_3_DIST : GIC_VERSION_2_DIST;
}

int acpi_read_tree(struct board_tree *tree, uint64_t rsdp, const struct ranges *memory,
                   acpi_map map, void *arg)
{
	static const struct acpi_table_kind kinds[] = {
		{ "APIC", read_madt }, { "FACP", read_fadt }, { "GTDT", read_gtdt },
		{ "MCFG", read_mcfg }, { "SPCR", read_spcr }, { "", NULL },
	};
	const struct acpi_reader r = { tree, map, arg, kinds };
	int err;

	memset(tree, 0, sizeof(*tree));
	tree->memory = *memory;
	err = acpi_read_tables(&r, rsdp);
	if (err)
		return err;
	for (unsigned i = 0; i < tree->cpu_count; i++)
		tree->cpus[i].method = tree->psci ? BOARD_CPU_PSCI : BOARD_CPU_NONE;
	settle_gic(&tree->gic);
	if (!tree->pci.io_size || !tree->pci.ecam_size)
		tree->pci = (struct pci_host){ 0 };
	if (tree->gic.redist_count > BOARD_TREE_REDISTS)
		return hc_error(-E2BIG, "ACPI: MADT names more than %u regions of redistributors",
		                BOARD_TREE_REDISTS);
	return board_tree_check(tree);
}
