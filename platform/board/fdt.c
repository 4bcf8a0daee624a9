/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/fdt.h"

#include <hypercore/errno.h>
#include <libfdt.h> /* mem*() and str*() as well, of the build's kind */

#include "core/log.h"
#include "platform/board/aarch64/mpidr.h"
#include "platform/board/aarch64/psci.h"
#include "platform/board/fdt_node.h"

struct reader {
	struct dt_walk w; /* first */
	struct board_tree *out;
	int stdout_node;
	bool stdout_only;
	bool boots; /* the tree is the boot loader's word, not only the machine's */
};

static bool has_name(const struct dt_walk *w, unsigned depth, const char *name)
{
	int len;
	const char *s = fdt_get_name(w->blob, w->level[depth].node, &len);

	return s && !strcmp(s, name);
}

/* Registers of a device: CPUs reach them, and they are not RAM. */
static int device_region(struct reader *r, unsigned n, uint64_t least, struct dt_region *out)
{
	int rc = dt_cpu_region(&r->w, n, out);

	if (rc)
		return rc;
	if (out->size < least || out->base % 4)
		return dt_node_error(&r->w, -EPROTO,
		                     "%#llx bytes of registers at %#llx: wants %#llx at least",
		                     (unsigned long long)out->size, (unsigned long long)out->base,
		                     (unsigned long long)least);
	if (ranges_intersect(&r->out->memory, out->base, out->base + out->size))
		return dt_node_error(&r->w, -EPROTO, "its registers at %#llx lie in memory",
		                     (unsigned long long)out->base);
	return 0;
}

/* --- Memory --- */

static int add_memory(struct reader *r, const struct dt_region *m)
{
	struct ranges *l = &r->out->memory;

	if (!m->size)
		return 0;
	if (ranges_intersect(l, m->base, m->base + m->size))
		return dt_node_error(&r->w, -EPROTO, "memory at %#llx overlaps other memory",
		                     (unsigned long long)m->base);
	ranges_add(l, HC_ALIGN_UP(m->base, HC_PAGE_SIZE),
	           HC_ALIGN_DOWN(m->base + m->size, HC_PAGE_SIZE));
	return l->full ? dt_node_error(&r->w, -E2BIG, "more than %u pieces of memory", RANGES_MAX)
	               : 0;
}

static int add_reserved(struct reader *r, const struct dt_region *m)
{
	unsigned len;
	bool no_map = dt_property(&r->w, dt_here(&r->w), "no-map", &len);
	struct ranges *l = no_map ? &r->out->no_map : &r->out->reserved;

	ranges_add(l, HC_ALIGN_DOWN(m->base, HC_PAGE_SIZE),
	           HC_ALIGN_UP(m->base + m->size, HC_PAGE_SIZE));
	return l->full ? dt_node_error(&r->w, -E2BIG, "more than %u reserved pieces", RANGES_MAX)
	               : 0;
}

static int each_region(struct reader *r, int (*fn)(struct reader *r, const struct dt_region *m))
{
	struct dt_region m;
	int rc = 0;

	for (unsigned n = 0; !rc; n++) {
		rc = dt_bus_region(&r->w, n, &m);
		if (!rc)
			rc = fn(r, &m);
	}
	return rc == -ENOENT ? 0 : rc;
}

static int visit_memory(struct dt_walk *w, void *arg)
{
	struct reader *r = arg;
	const char *type = dt_string(w, dt_here(w), "device_type");

	if (w->depth == 1 && type && !strcmp(type, "memory"))
		return each_region(r, add_memory);
	if (w->depth == 2 && has_name(w, 1, "reserved-memory"))
		return each_region(r, add_reserved);
	return 0;
}

static int read_memreserve(struct reader *r)
{
	struct ranges *l = &r->out->reserved;
	int count = fdt_num_mem_rsv(r->w.blob);

	for (int i = 0; i < count; i++) {
		uint64_t base, size;

		if (fdt_get_mem_rsv(r->w.blob, i, &base, &size) || base + size < base)
			return hc_error(-EPROTO, "device tree: entry %d of /memreserve/ wraps", i);
		if (size)
			ranges_add(l, HC_ALIGN_DOWN(base, HC_PAGE_SIZE),
			           HC_ALIGN_UP(base + size, HC_PAGE_SIZE));
	}
	return l->full ? hc_error(-E2BIG, "device tree: more than %u reserved pieces", RANGES_MAX)
	               : 0;
}

static int read_memory(struct reader *r)
{
	int rc = dt_walk(&r->w, visit_memory, r);

	if (!rc)
		rc = read_memreserve(r);
	if (!rc && !r->out->memory.count)
		rc = hc_error(-ENODEV, "device tree: no node has device_type \"memory\"");
	return rc;
}

/* --- /chosen --- */

static int copy_string(struct reader *r, int node, const char *name, char *buf, size_t size)
{
	unsigned len;
	const char *s = dt_string(&r->w, node, name);

	if (!s)
		return dt_property(&r->w, node, name, &len) && len
		               ? hc_error(-EPROTO, "device tree: %s is not terminated", name)
		               : 0;
	if (strlen(s) >= size)
		return hc_error(-E2BIG, "device tree: %s has more than %u bytes", name,
		                (unsigned)size - 1);
	memcpy(buf, s, strlen(s) + 1);
	return 0;
}

static int read_initrd(struct reader *r, int node)
{
	uint64_t start = 0, end = 0;
	bool has_start = dt_u64(&r->w, node, "linux,initrd-start", &start),
	     has_end = dt_u64(&r->w, node, "linux,initrd-end", &end);

	if (!has_start && !has_end)
		return 0;
	if (has_start != has_end || start > end || !ranges_contain(&r->out->memory, start, end))
		return hc_error(-EPROTO,
		                "device tree, node /chosen: the initrd from %#llx to %#llx does "
		                "not lie in memory",
		                (unsigned long long)start, (unsigned long long)end);
	r->out->initrd = start;
	r->out->initrd_size = end - start;
	return 0;
}

static int read_chosen(struct reader *r)
{
	int node = fdt_path_offset(r->w.blob, "/chosen");

	if (node < 0)
		return 0;
	int rc = copy_string(r, node, "bootargs", r->out->bootargs, sizeof(r->out->bootargs));

	return rc ? rc : read_initrd(r, node);
}

/* The node that /chosen/stdout-path leads to, or less than 0: "/path", "/path:115200n8", or a name
 * of /aliases. libfdt is asked for paths alone: it follows aliases of aliases without an end. */
static int find_stdout(const struct dt_walk *w)
{
	char name[128];
	int chosen = fdt_path_offset(w->blob, "/chosen");
	const char *s = chosen < 0 ? NULL : dt_string(w, chosen, "stdout-path");

	if (!s && chosen >= 0)
		s = dt_string(w, chosen, "linux,stdout-path");
	if (!s || strlen(s) >= sizeof(name))
		return -1;
	memcpy(name, s, strlen(s) + 1);
	if (strchr(name, ':'))
		*strchr(name, ':') = 0;
	if (name[0] == '/')
		return fdt_path_offset(w->blob, name);
	int aliases = fdt_path_offset(w->blob, "/aliases");

	s = aliases < 0 ? NULL : dt_string(w, aliases, name);
	return s && s[0] == '/' ? fdt_path_offset(w->blob, s) : -1;
}

/* --- Serial ports --- */

static const struct uart_binding {
	const char *compatible;
	uint8_t kind, reg_shift, io_width; /* of nodes that do not say */
} uart_bindings[] = {
	{ "arm,pl011", BOARD_UART_PL011, 2, 4 },
	{ "arm,sbsa-uart", BOARD_UART_SBSA, 2, 4 },
	{ "ns16550a", BOARD_UART_8250, 0, 1 },
	{ "ns16550", BOARD_UART_8250, 0, 1 },
	{ "ns8250", BOARD_UART_8250, 0, 1 },
	{ "snps,dw-apb-uart", BOARD_UART_8250, 2, 4 },
	{ "brcm,bcm2835-aux-uart", BOARD_UART_8250, 2, 4 },
};

static uint32_t uart_clock(const struct dt_walk *w)
{
	unsigned len;
	uint32_t hz = 0;

	if (dt_u32(w, dt_here(w), "clock-frequency", &hz))
		return hz;
	const uint8_t *clocks = dt_property(w, dt_here(w), "clocks", &len);
	int clock =
		len < 4 ? -1 : fdt_node_offset_by_phandle(w->blob, (uint32_t)dt_number(clocks, 1));

	if (clock >= 0)
		dt_u32(w, clock, "clock-frequency", &hz);
	return hz;
}

#define PL011_SIZE 0x48 /* UARTICR is the last one that is used (DDI 0183, 3.2) */

/* Bytes of registers. 0: none has them so, as each access has to lie within its register. */
static uint64_t uart_size(unsigned kind, uint32_t shift, uint32_t width)
{
	if (width != 1 && width != 2 && width != 4)
		return 0;
	if (kind != BOARD_UART_8250)
		return width == 1 ? 0 : PL011_SIZE;
	return shift > 3 || width > 1u << shift ? 0 : (7u << shift) + width;
}

static int read_uart(struct reader *r, const struct uart_binding *binding, struct board_uart *u)
{
	const struct dt_walk *w = &r->w;
	struct dt_region regs;
	uint32_t shift = binding->reg_shift, width = binding->io_width;

	dt_u32(w, dt_here(w), "reg-shift", &shift);
	dt_u32(w, dt_here(w), "reg-io-width", &width);
	uint64_t size = uart_size(binding->kind, shift, width);
	int rc = device_region(r, 0, size, &regs);

	if (rc)
		return rc;
	if (!size)
		return dt_node_error(w, -EPROTO, "no serial port has reg-shift %u, reg-io-width %u",
		                     shift, width);
	*u = (struct board_uart){ .base = regs.base,
		                  .size = regs.size,
		                  .clock_hz = uart_clock(w),
		                  .kind = binding->kind,
		                  .reg_shift = (uint8_t)shift,
		                  .io_width = (uint8_t)width };
	/* One that makes no sense has been logged; the port is of use without it. */
	if (dt_interrupt(w, 0, &u->irq))
		u->irq = (struct board_irq){ 0 };
	return 0;
}

static int add_uart(struct reader *r, const struct uart_binding *binding)
{
	struct board_tree *t = r->out;
	struct board_uart *u = &t->uarts[t->uart_count];
	int rc = read_uart(r, binding, u);

	if (rc)
		return rc == -ENOENT ? 0 : rc; /* the CPUs do not reach it */
	t->uart_count++;
	return t->uart_count == BOARD_TREE_UARTS;
}

static int visit_uart(struct dt_walk *w, void *arg)
{
	struct reader *r = arg;

	if ((dt_here(w) == r->stdout_node) != r->stdout_only)
		return 0;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(uart_bindings); i++)
		if (dt_is_compatible(w, uart_bindings[i].compatible))
			return add_uart(r, &uart_bindings[i]);
	return 0;
}

static int read_uarts(struct reader *r)
{
	r->stdout_node = find_stdout(&r->w);
	r->stdout_only = true;
	int rc = dt_walk(&r->w, visit_uart, r);

	r->stdout_only = false;
	if (!rc)
		rc = dt_walk(&r->w, visit_uart, r);
	return rc < 0 ? rc : 0;
}

/* --- CPUs and PSCI --- */

static int read_method(struct reader *r, struct board_tree_cpu *cpu)
{
	const struct dt_walk *w = &r->w;
	const char *method = dt_string(w, dt_here(w), "enable-method");

	if (!method)
		return 0;
	if (!strcmp(method, "psci"))
		cpu->method = BOARD_CPU_PSCI;
	if (strcmp(method, "spin-table") != 0)
		return 0;
	cpu->method = BOARD_CPU_SPIN_TABLE;
	if (!dt_u64(w, dt_here(w), "cpu-release-addr", &cpu->release) || cpu->release % 8)
		return dt_node_error(w, -EPROTO,
		                     "a spin table wants a cpu-release-addr, a multiple of 8");
	return 0;
}

static int read_mpidr(struct reader *r, uint64_t *mpidr)
{
	const struct dt_walk *w = &r->w;
	const struct board_tree *t = r->out;
	unsigned len, cells = w->level[w->depth - 1].address_cells;
	const uint8_t *p = dt_property(w, dt_here(w), "reg", &len);

	if (cells - 1 > 1 || len != 4 * cells)
		return dt_node_error(w, -EPROTO, "reg is not one number of 1 or 2 cells");
	*mpidr = dt_number(p, cells);
	if (*mpidr & ~(uint64_t)MPIDR_AFFINITY)
		return dt_node_error(w, -EPROTO, "no MPIDR_EL1 has affinity %#llx",
		                     (unsigned long long)*mpidr);
	for (unsigned i = 0; i < t->cpu_count; i++)
		if (t->cpus[i].mpidr == *mpidr)
			return dt_node_error(w, -EPROTO, "another CPU has affinity %#llx as well",
			                     (unsigned long long)*mpidr);
	return 0;
}

static int read_cpu(struct reader *r)
{
	struct board_tree *t = r->out;
	struct board_tree_cpu cpu = { 0 };
	int rc = read_mpidr(r, &cpu.mpidr);

	if (!rc)
		rc = read_method(r, &cpu);
	if (rc)
		return rc;
	if (t->cpu_count < BOARD_TREE_CPUS)
		t->cpus[t->cpu_count++] = cpu;
	else
		t->cpus_left_out++;
	return 0;
}

static int read_psci(struct reader *r, unsigned version)
{
	const struct dt_walk *w = &r->w;
	struct board_tree *t = r->out;
	const char *method = dt_string(w, dt_here(w), "method");

	if (t->psci)
		return 0;
	if (!method || (strcmp(method, "smc") != 0 && strcmp(method, "hvc") != 0))
		return dt_node_error(w, -EPROTO, "method is neither \"smc\" nor \"hvc\"");
	t->psci_02 = version >= 2;
	t->psci_cpu_on = PSCI_CPU_ON;
	if (!t->psci_02 && !dt_u32(w, dt_here(w), "cpu_on", &t->psci_cpu_on))
		return dt_node_error(w, -EPROTO, "PSCI 0.1 wants cpu_on");
	t->psci = method[0] == 's' ? BOARD_PSCI_SMC : BOARD_PSCI_HVC;
	return 0;
}

/* --- Interrupt controller --- */

static const struct {
	const char *compatible;
	unsigned version;
} gic_bindings[] = {
	{ "arm,gic-v3", 3 },        { "arm,gic-400", 2 },    { "arm,cortex-a15-gic", 2 },
	{ "arm,cortex-a7-gic", 2 }, { "qcom,msm-qgic2", 2 },
};

/* The first one, so that interrupts that other nodes have can be told to be its. */
static int find_gic(struct dt_walk *w, void *arg)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(gic_bindings); i++) {
		if (!dt_is_compatible(w, gic_bindings[i].compatible))
			continue;
		w->gic = fdt_get_phandle(w->blob, dt_here(w));
		w->gic_node = dt_here(w);
		if (!dt_u32(w, dt_here(w), "#interrupt-cells", &w->gic_cells) || w->gic_cells < 3 ||
		    w->gic_cells > 4) {
			w->gic = 0;
			return dt_node_error(w, -EPROTO, "#interrupt-cells is neither 3 nor 4");
		}
		return 1;
	}
	return 0;
}

static int gic_region(struct reader *r, unsigned n, uint64_t least, uint64_t *base, uint64_t *size)
{
	struct dt_region regs;
	int rc = device_region(r, n, least, &regs);

	if (!rc) {
		*base = regs.base;
		*size = regs.size;
	}
	return rc;
}

/* 0: none is given. Redistributors are at least two frames of 64 KiB (IHI 0069, 12.10). */
static bool is_stride(uint64_t stride)
{
	return !stride ||
	       (stride % (64 * HC_KIB) == 0 && stride >= 128 * HC_KIB && stride <= HC_GIB);
}

static int read_redists(struct reader *r, struct board_gic *gic)
{
	uint32_t count = 1;
	int rc = 0;

	dt_u32(&r->w, dt_here(&r->w), "#redistributor-regions", &count);
	dt_u64(&r->w, dt_here(&r->w), "redistributor-stride", &gic->redist_stride);
	if (!count || count > BOARD_TREE_REDISTS)
		return dt_node_error(&r->w, -E2BIG,
		                     "%u regions of redistributors: wants 1 to %u of them", count,
		                     BOARD_TREE_REDISTS);
	if (!is_stride(gic->redist_stride))
		return dt_node_error(&r->w, -EPROTO,
		                     "redistributor-stride is %#llx: wants a multiple of 64 KiB, "
		                     "128 KiB to 1 GiB",
		                     (unsigned long long)gic->redist_stride);
	for (unsigned i = 0; !rc && i < count; i++)
		rc = gic_region(r, 1 + i, 2 * 64 * HC_KIB, &gic->redists[i].base,
		                &gic->redists[i].size);
	gic->redist_count = count;
	return rc;
}

#define GICV_SIZE 0x2000 /* with GICV_DIR in the second page (IHI 0048, 5.5) */

/* What a machine without a virtual interface lacks. */
static int gic_rest(struct reader *r, unsigned n, struct board_gic *gic)
{
	int rc = gic_region(r, n, HC_PAGE_SIZE, &gic->gich, &gic->gich_size);

	if (!rc)
		rc = gic_region(r, n + 1, GICV_SIZE, &gic->gicv, &gic->gicv_size);
	if (!rc)
		rc = dt_interrupt(&r->w, 0, &gic->maintenance);
	return rc == -ENOENT ? 0 : rc;
}

static int read_gicv3(struct reader *r, struct board_gic *gic)
{
	int rc = read_redists(r, gic);

	if (rc)
		return rc == -ENOENT ? dt_node_error(&r->w, -EPROTO, "it has no redistributors")
		                     : rc;
	rc = gic_region(r, 1 + gic->redist_count, HC_PAGE_SIZE, &gic->cpu, &gic->cpu_size);
	if (rc && rc != -ENOENT)
		return rc;
	/* Its virtual interface is in system registers whether the older one is there or not. */
	rc = rc ? 0 : gic_rest(r, 2 + gic->redist_count, gic);
	if (!rc && !gic->maintenance.intid)
		rc = dt_interrupt(&r->w, 0, &gic->maintenance);
	return rc == -ENOENT ? 0 : rc;
}

static int read_gicv2(struct reader *r, struct board_gic *gic)
{
	int rc = gic_region(r, 1, HC_PAGE_SIZE, &gic->cpu, &gic->cpu_size);

	if (rc)
		return rc == -ENOENT ? dt_node_error(&r->w, -EPROTO, "it has no CPU interface")
		                     : rc;
	return gic_rest(r, 2, gic);
}

static int read_gic(struct reader *r, unsigned version)
{
	struct board_gic gic = { .version = version };
	int rc;

	if (dt_here(&r->w) != r->w.gic_node)
		return 0;
	rc = gic_region(r, 0, version == 3 ? 64 * HC_KIB : HC_PAGE_SIZE, &gic.dist, &gic.dist_size);
	if (rc)
		return rc == -ENOENT ? dt_node_error(&r->w, -EPROTO,
		                                     "the CPUs do not reach its registers")
		                     : rc;
	rc = version == 3 ? read_gicv3(r, &gic) : read_gicv2(r, &gic);
	if (!rc)
		r->out->gic = gic;
	return rc;
}

/* --- Timer and clock --- */

/* Where the interrupts have no names they are: secure physical, physical, virtual, EL2's. */
static int timer_irq(struct reader *r, const char *name, unsigned n, struct board_irq *out)
{
	const struct dt_walk *w = &r->w;
	int named = fdt_stringlist_search(w->blob, dt_here(w), "interrupt-names", name);
	unsigned len;

	if (named < 0 && dt_property(w, dt_here(w), "interrupt-names", &len))
		return 0;
	int rc = dt_interrupt(w, named < 0 ? n : (unsigned)named, out);

	return rc == -ENOENT ? 0 : rc;
}

static int read_timer(struct reader *r, unsigned unused)
{
	struct board_tree *t = r->out;
	int rc = timer_irq(r, "virt", 2, &t->timer_virt);

	if (!rc)
		rc = timer_irq(r, "hyp-phys", 3, &t->timer_hyp);
	dt_u32(&r->w, dt_here(&r->w), "clock-frequency", &t->timer_hz);
	return rc;
}

static int read_pl031(struct reader *r, unsigned unused)
{
	struct dt_region regs;
	int rc = device_region(r, 0, HC_PAGE_SIZE, &regs);

	if (!rc && !r->out->pl031)
		r->out->pl031 = regs.base;
	return rc == -ENOENT ? 0 : rc;
}

/* --- PCI --- */

#define PCI_SPACE(cell) ((cell) >> 24 & 3u)
#define PCI_SPACE_IO    1u

/* The window for I/O ports: a row of ranges is the port's three cells, where it lies for the CPUs,
 * and the size (IEEE 1275's PCI binding 2.2.1). One that begins at another port than 0 is of no
 * use. */
static void read_io_window(const struct dt_walk *w, struct pci_host *host)
{
	unsigned len, up = w->level[w->depth - 1].address_cells;
	const uint8_t *p = dt_property(w, dt_here(w), "ranges", &len);

	if (w->depth != 1 || w->level[1].address_cells != 3 || w->level[1].size_cells != 2 ||
	    up - 1 > 1)
		return;
	for (unsigned row = 4 * (3 + up + 2); len >= row; len -= row, p += row) {
		uint64_t io = dt_number(p + 12, up), size = dt_number(p + 12 + 4 * up, 2);

		if (PCI_SPACE(dt_number(p, 1)) != PCI_SPACE_IO || dt_number(p + 4, 2) ||
		    io + size < io)
			continue;
		host->io = io;
		host->io_size = hc_min(size, 64 * HC_KIB);
	}
}

static int read_pci(struct reader *r, unsigned unused)
{
	struct pci_host host = { 0 };
	struct dt_region regs;
	int rc = device_region(r, 0, PCI_BUS_SIZE, &regs);

	if (rc || r->out->pci.ecam_size)
		return rc == -ENOENT ? 0 : rc;
	read_io_window(&r->w, &host);
	if (!host.io_size || ranges_intersect(&r->out->memory, host.io, host.io + host.io_size))
		return 0;
	host.ecam = regs.base;
	host.ecam_size = regs.size;
	r->out->pci = host;
	return 0;
}

/* --- The whole --- */

static const struct {
	const char *compatible;
	int (*read)(struct reader *r, unsigned version);
	unsigned version;
} bindings[] = {
	{ "arm,psci-1.0", read_psci, 2 },
	{ "arm,psci-0.2", read_psci, 2 },
	{ "arm,psci", read_psci, 1 },
	{ "arm,armv8-timer", read_timer, 0 },
	{ "arm,armv7-timer", read_timer, 0 },
	{ "arm,pl031", read_pl031, 0 },
	{ "pci-host-ecam-generic", read_pci, 0 },
};

static int visit_other(struct dt_walk *w, void *arg)
{
	struct reader *r = arg;
	const char *type = dt_string(w, dt_here(w), "device_type");

	if (w->depth == 2 && has_name(w, 1, "cpus"))
		return type && !strcmp(type, "cpu") ? read_cpu(r) : 0;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(gic_bindings); i++)
		if (dt_is_compatible(w, gic_bindings[i].compatible))
			return read_gic(r, gic_bindings[i].version);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(bindings); i++)
		if (dt_is_compatible(w, bindings[i].compatible))
			return bindings[i].read(r, bindings[i].version);
	return 0;
}

static void settle_cpus(struct board_tree *t)
{
	for (unsigned i = 0; i < t->cpu_count && !t->psci; i++) {
		if (t->cpus[i].method != BOARD_CPU_PSCI)
			continue;
		hc_log(HC_LOG_WARN, "device tree: CPU %#llx wants PSCI, and there is no node psci",
		       (unsigned long long)t->cpus[i].mpidr);
		t->cpus[i].method = BOARD_CPU_NONE;
	}
}

static void read_model(struct reader *r)
{
	const char *s = dt_string(&r->w, 0, "model");
	char *to = r->out->model;

	if (!s)
		s = dt_string(&r->w, 0, "compatible");
	for (size_t i = 0; s && s[i] && i < sizeof(r->out->model) - 1; i++)
		to[i] = s[i] < ' ' || s[i] > '~' ? '?' : s[i];
}

static int read_all(struct reader *r)
{
	int gic, memory, uarts, rc;

	read_model(r);
	gic = dt_walk(&r->w, find_gic, NULL);
	memory = r->boots ? read_memory(r) : 0;
	uarts = read_uarts(r);
	rc = gic < 0 ? gic : memory ? memory : uarts;
	if (!rc && !gic)
		rc = hc_error(-ENODEV,
		              "device tree: no node is an interrupt controller that is known "
		              "(arm,gic-v3, arm,gic-400, arm,cortex-a15-gic)");
	if (!rc && r->boots)
		rc = read_chosen(r);
	if (!rc)
		rc = dt_walk(&r->w, visit_other, r);
	if (rc)
		return rc;
	settle_cpus(r->out);
	return board_tree_check(r->out);
}

uint64_t board_tree_size(const void *header)
{
	uint64_t magic = dt_number(header, 1), size = dt_number((const uint8_t *)header + 4, 1);

	return magic == FDT_MAGIC && size >= BOARD_TREE_HEADER && size <= 2 * HC_MIB ? size : 0;
}

int board_tree_read(struct board_tree *tree, const void *blob, size_t size,
                    const struct ranges *memory)
{
	struct reader r = { .w = { .blob = blob }, .out = tree, .boots = !memory };
	uint64_t claimed = size < BOARD_TREE_HEADER ? 0 : board_tree_size(blob);

	*tree = (struct board_tree){ 0 };
	if (memory)
		tree->memory = *memory;
	if (!claimed)
		return hc_error(-EPROTO, "device tree: there is none in these %llu bytes",
		                (unsigned long long)size);
	if (claimed > size)
		return hc_error(-EPROTO, "device tree: truncated: %llu bytes of %llu",
		                (unsigned long long)size, (unsigned long long)claimed);
	int rc = fdt_check_full(blob, (size_t)claimed);

	if (rc)
		return hc_error(-EPROTO, "device tree: damaged: %s", fdt_strerror(rc));
	return read_all(&r);
}
