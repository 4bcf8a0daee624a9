/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board's reader of device trees: QEMU's own trees, trees made here in the ways that machines
 * differ, trees that lie, and damaged ones. The reader gets copies of exactly the size that it is
 * told, so that the sanitizers see every byte too far.
 */
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/board/fdt.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define ROOM 0x10000

static struct board_tree tree;
static uint8_t blob[ROOM] __attribute__((aligned(8)));

static const struct ranges *loader_memory; /* NULL: the tree's */

static int read_copy(const void *from, size_t size)
{
	void *copy = malloc(size ? size : 1);

	memcpy(copy, from, size);
	test_platform_init(1);
	int rc = board_tree_read(&tree, copy, size, loader_memory);

	free(copy);
	return rc;
}

static int read_blob(void)
{
	return read_copy(blob, fdt_totalsize(blob));
}

/* --- Making trees --- */

static void ok(int rc)
{
	if (rc)
		fail_msg("libfdt: %s", fdt_strerror(rc));
}

static void begin(const char *name)
{
	ok(fdt_begin_node(blob, name));
}

static void end(void)
{
	ok(fdt_end_node(blob));
}

static void text(const char *name, const char *value)
{
	ok(fdt_property(blob, name, value, (int)strlen(value) + 1));
}

static void cells(const char *name, unsigned n, const uint32_t *values)
{
	uint32_t *p;

	ok(fdt_property_placeholder(blob, name, (int)(4 * n), (void **)&p));
	for (unsigned i = 0; i < n; i++)
		fdt32_st(p + i, values[i]);
}

#define CELLS(name, ...)                                                                           \
	cells(name, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, (uint32_t[]){ __VA_ARGS__ })

static void start(unsigned root_cells, uint32_t parent)
{
	ok(fdt_create(blob, ROOM));
	ok(fdt_add_reservemap_entry(blob, 0x40100800, 0x1000));
	ok(fdt_finish_reservemap(blob));
	begin("");
	text("model", "A test\x1b machine");
	CELLS("#address-cells", root_cells);
	CELLS("#size-cells", root_cells);
	CELLS("interrupt-parent", parent);
}

static void finish(void)
{
	end();
	ok(fdt_finish(blob));
	/* Room for the tests' changes. */
	ok(fdt_open_into(blob, blob, ROOM));
}

static void add_cpu(const char *name, uint32_t mpidr, const char *method)
{
	begin(name);
	text("device_type", "cpu");
	text("compatible", "arm,cortex-a57");
	CELLS("reg", mpidr);
	text("enable-method", method);
	if (!strcmp(method, "spin-table"))
		CELLS("cpu-release-addr", 0, 0xd8 + 8 * mpidr);
	end();
}

static void add_cpus(const char *method)
{
	begin("cpus");
	CELLS("#address-cells", 1);
	CELLS("#size-cells", 0);
	begin("cpu-map");
	begin("cluster0");
	end();
	end();
	add_cpu("cpu@0", 0, method);
	add_cpu("cpu@1", 1, method);
	add_cpu("cpu@100", 0x100, method);
	end();
}

static void add_timer(void)
{
	begin("timer");
	text("compatible", "arm,armv8-timer");
	CELLS("interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
	end();
}

/* Two cells, GICv3 with two regions of redistributors, PSCI. */
static void make_v3(void)
{
	start(2, 1);
	begin("memory@40000000");
	text("device_type", "memory");
	CELLS("reg", 0, 0x40000000, 0, 0x40000000, 0, 0xc0000000, 1, 0);
	end();
	begin("reserved-memory");
	CELLS("#address-cells", 2);
	CELLS("#size-cells", 2);
	ok(fdt_property(blob, "ranges", NULL, 0));
	begin("firmware@41000000");
	CELLS("reg", 0, 0x41000000, 0, 0x10800);
	end();
	begin("secret@42000000");
	CELLS("reg", 0, 0x42000000, 0, 0x1000);
	ok(fdt_property(blob, "no-map", NULL, 0));
	end();
	begin("anywhere");
	CELLS("size", 0, 0x1000);
	end();
	end();
	begin("psci");
	ok(fdt_property(blob, "compatible", "arm,psci-1.0\0arm,psci-0.2", 26));
	text("method", "smc");
	end();
	begin("clock");
	CELLS("clock-frequency", 24000000);
	CELLS("phandle", 7);
	end();
	add_cpus("psci");
	begin("intc@8000000");
	text("compatible", "arm,gic-v3");
	CELLS("phandle", 1);
	CELLS("#interrupt-cells", 3);
	CELLS("#redistributor-regions", 2);
	CELLS("reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0x100000, 0x40, 0, 0, 0x200000);
	CELLS("interrupts", 1, 9, 4);
	end();
	add_timer();
	begin("serial@9000000");
	ok(fdt_property(blob, "compatible", "arm,pl011\0arm,primecell", 24));
	CELLS("reg", 0, 0x9000000, 0, 0x1000);
	CELLS("interrupts", 0, 1, 4);
	CELLS("clocks", 7, 7);
	end();
	begin("rtc@9010000");
	text("compatible", "arm,pl031");
	CELLS("reg", 0, 0x9010000, 0, 0x1000);
	end();
	begin("serial@9020000");
	text("compatible", "ns16550a");
	CELLS("reg", 0, 0x9020000, 0, 0x100);
	CELLS("reg-shift", 2);
	CELLS("reg-io-width", 4);
	CELLS("clock-frequency", 1843200);
	CELLS("interrupts-extended", 9, 1, 2, 1, 0, 5, 1);
	end();
	begin("gpio"); /* another interrupt controller */
	CELLS("phandle", 9);
	CELLS("#interrupt-cells", 2);
	end();
	begin("serial@9030000");
	text("compatible", "arm,sbsa-uart");
	CELLS("reg", 0, 0x9030000, 0, 0x1000);
	text("status", "disabled");
	end();
	begin("pcie@10000000");
	text("compatible", "pci-host-ecam-generic");
	CELLS("#address-cells", 3);
	CELLS("#size-cells", 2);
	CELLS("reg", 0x41, 0, 0, 0x10000000);
	CELLS("ranges", 0x2000000, 0, 0x10000000, 0, 0x10000000, 0, 0x2eff0000, 0x1000000, 0, 0, 0,
	      0x3eff0000, 0, 0x10000);
	end();
	begin("aliases");
	text("serial0", "/serial@9020000");
	text("loop", "loop");
	end();
	begin("chosen");
	text("bootargs", "console=com1 stats=yes");
	text("stdout-path", "serial0:115200n8");
	CELLS("linux,initrd-start", 0x48000000);
	CELLS("linux,initrd-end", 0, 0x48001234);
	end();
	finish();
}

/* One cell, GICv2 and serial ports behind two buses, spin table. */
static void make_v2(void)
{
	start(1, 2);
	begin("memory");
	text("device_type", "memory");
	CELLS("reg", 0, 0x3b400000);
	end();
	add_cpus("spin-table");
	add_timer();
	begin("soc");
	text("compatible", "simple-bus");
	CELLS("#address-cells", 1);
	CELLS("#size-cells", 1);
	CELLS("ranges", 0x7e000000, 0xfe000000, 0x1800000, 0x40000000, 0xff800000, 0x800000);
	begin("interrupt-controller@40041000");
	text("compatible", "arm,gic-400");
	CELLS("phandle", 2);
	CELLS("#interrupt-cells", 3);
	CELLS("reg", 0x40041000, 0x1000, 0x40042000, 0x2000, 0x40044000, 0x2000, 0x40046000,
	      0x2000);
	CELLS("interrupts", 1, 9, 0xf04);
	end();
	begin("bus@100000");
	CELLS("#address-cells", 2);
	CELLS("#size-cells", 1);
	CELLS("ranges", 0, 0, 0x7e200000, 0x10000);
	begin("serial@1000");
	text("compatible", "arm,pl011");
	CELLS("reg", 0, 0x1000, 0x200);
	CELLS("interrupts", 0, 121, 4);
	end();
	begin("serial@20000"); /* beyond the bus's window */
	text("compatible", "arm,pl011");
	CELLS("reg", 0, 0x20000, 0x200);
	end();
	end();
	begin("off");
	text("status", "disabled");
	CELLS("#address-cells", 1);
	CELLS("#size-cells", 1);
	ok(fdt_property(blob, "ranges", NULL, 0));
	begin("serial@7e300000");
	text("compatible", "arm,pl011");
	CELLS("reg", 0x7e300000, 0x1000);
	end();
	end();
	end();
	begin("i2c"); /* its children's numbers are no addresses */
	CELLS("#address-cells", 1);
	CELLS("#size-cells", 1);
	begin("serial@48");
	text("compatible", "ns16550a");
	CELLS("reg", 0x48, 8);
	end();
	end();
	begin("chosen");
	text("stdout-path", "/soc/bus@100000/serial@1000");
	end();
	finish();
}

/* --- Reading --- */

static void assert_ranges(const struct ranges *l, unsigned n, const uint64_t (*want)[2])
{
	assert_int_equal(l->count, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(l->r[i].base, want[i][0]);
		assert_int_equal(l->r[i].end, want[i][1]);
	}
}

static void test_v3(void **state)
{
	make_v3();
	assert_int_equal(read_blob(), 0);
	assert_string_equal(tree.model, "A test? machine");
	assert_ranges(
		&tree.memory, 2,
		(const uint64_t[][2]){ { 0x40000000, 0x80000000 }, { 0xc0000000, 0x1c0000000 } });
	assert_ranges(
		&tree.reserved, 2,
		(const uint64_t[][2]){ { 0x40100000, 0x40102000 }, { 0x41000000, 0x41011000 } });
	assert_ranges(&tree.no_map, 1, (const uint64_t[][2]){ { 0x42000000, 0x42001000 } });
	assert_string_equal(tree.bootargs, "console=com1 stats=yes");
	assert_int_equal(tree.initrd, 0x48000000);
	assert_int_equal(tree.initrd_size, 0x1234);
	assert_int_equal(tree.cpu_count, 3);
	assert_int_equal(tree.cpus[2].mpidr, 0x100);
	assert_int_equal(tree.cpus[2].method, BOARD_CPU_PSCI);
	assert_int_equal(tree.psci, BOARD_PSCI_SMC);
	assert_true(tree.psci_02);
	assert_int_equal(tree.psci_cpu_on, 0xc4000003);
	assert_int_equal(tree.timer_virt.intid, 27);
	assert_int_equal(tree.timer_hyp.intid, 26);
	assert_false(tree.timer_hyp.edge);
	assert_int_equal(tree.pl031, 0x9010000);
}

static void test_v3_gic(void **state)
{
	make_v3();
	assert_int_equal(read_blob(), 0);
	const struct board_gic *g = &tree.gic;

	assert_int_equal(g->version, 3);
	assert_int_equal(g->dist, 0x8000000);
	assert_int_equal(g->redist_count, 2);
	assert_int_equal(g->redists[0].base, 0x80a0000);
	assert_int_equal(g->redists[1].base, UINT64_C(0x4000000000));
	assert_int_equal(g->redists[1].size, 0x200000);
	assert_int_equal(g->maintenance.intid, 25);
	assert_int_equal(g->cpu, 0);
}

static void test_v3_pci(void **state)
{
	make_v3();
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.pci.ecam, 0x4100000000);
	assert_int_equal(tree.pci.ecam_size, 0x10000000);
	assert_int_equal(tree.pci.io, 0x3eff0000);
	assert_int_equal(tree.pci.io_size, 0x10000);
}

static void test_v3_uarts(void **state)
{
	make_v3();
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uart_count, 2);
	const struct board_uart *u = tree.uarts;

	assert_int_equal(u[0].kind, BOARD_UART_8250);
	assert_int_equal(u[0].base, 0x9020000);
	assert_int_equal(u[0].reg_shift, 2);
	assert_int_equal(u[0].io_width, 4);
	assert_int_equal(u[0].clock_hz, 1843200);
	assert_int_equal(u[0].irq.intid, 0); /* the first one is another controller's */
	assert_int_equal(u[1].kind, BOARD_UART_PL011);
	assert_int_equal(u[1].size, 0x1000);
	assert_int_equal(u[1].clock_hz, 24000000);
	assert_int_equal(u[1].irq.intid, 33);
}

static void test_v2(void **state)
{
	make_v2();
	assert_int_equal(read_blob(), 0);
	const struct board_gic *g = &tree.gic;

	assert_int_equal(g->version, 2);
	assert_int_equal(g->dist, 0xff841000);
	assert_int_equal(g->cpu, 0xff842000);
	assert_int_equal(g->gich, 0xff844000);
	assert_int_equal(g->gicv, 0xff846000);
	assert_int_equal(g->gicv_size, 0x2000);
	assert_int_equal(g->maintenance.intid, 25);
	assert_int_equal(tree.uart_count, 1);
	assert_int_equal(tree.uarts[0].base, 0xfe201000);
	assert_int_equal(tree.uarts[0].irq.intid, 153);
	assert_int_equal(tree.psci, BOARD_PSCI_NONE);
	assert_int_equal(tree.cpus[1].method, BOARD_CPU_SPIN_TABLE);
	assert_int_equal(tree.cpus[1].release, 0xe0);
	assert_int_equal(tree.initrd_size, 0);
	assert_int_equal(tree.memory.r[0].base, 0);
}

/* --- Changes to a tree, by path --- */

static int node(const char *path)
{
	int n = fdt_path_offset(blob, path);

	if (n < 0)
		fail_msg("%s: %s", path, fdt_strerror(n));
	return n;
}

static void set(const char *path, const char *name, unsigned n, const uint32_t *values)
{
	uint32_t buf[16];

	for (unsigned i = 0; i < n; i++)
		fdt32_st(buf + i, values[i]);
	ok(fdt_setprop(blob, node(path), name, buf, (int)(4 * n)));
}

#define SET(path, name, ...)                                                                       \
	set(path, name, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, (uint32_t[]){ __VA_ARGS__ })

static void set_text(const char *path, const char *name, const char *value)
{
	ok(fdt_setprop(blob, node(path), name, value, (int)strlen(value) + 1));
}

/* The boot loader knows better what is RAM; registers are not in that, either. */
static void test_memory_of_the_loader(void **state)
{
	static struct ranges ram;

	ranges_add(&ram, 0x40000000, 0x50000000);
	ranges_add(&ram, 0x60000000, 0x70000000);
	loader_memory = &ram;
	make_v3();
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.memory.count, 2);
	assert_int_equal(tree.memory.r[1].end, 0x70000000);
	assert_int_equal(tree.reserved.count, 0);
	assert_string_equal(tree.bootargs, "");
	assert_int_equal(tree.initrd_size, 0);
	/* What is not looked at may be anything. */
	SET("/memory@40000000", "reg", 0, 0x40000000, 0x40000000);
	SET("/reserved-memory/secret@42000000", "reg", 0);
	SET("/chosen", "linux,initrd-end", 0, 0x47ffffff);
	ok(fdt_setprop(blob, node("/chosen"), "bootargs", "xyz", 3));
	assert_int_equal(read_blob(), 0);
	assert_string_equal(test_log(), "");
	assert_int_equal(tree.uarts[0].base, 0x9020000); /* stdout-path */
	ok(fdt_del_node(blob, node("/memory@40000000")));
	assert_int_equal(read_blob(), 0);
	ranges_add(&ram, 0x8080000, 0x80b0000);
	assert_int_equal(read_blob(), -EPROTO);
	assert_non_null(strstr(test_log(), "/intc@8000000: its registers at 0x80a0000"));
	loader_memory = NULL;
}

/* Other ways to say things. */
static void test_variants(void **state)
{
	make_v3();
	set_text("/aliases", "serial0", "serial0");
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].kind, BOARD_UART_PL011);
	set_text("/chosen", "stdout-path", "loop");
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].kind, BOARD_UART_PL011);
	/* SBSA's names, in another order and without the secure timer. */
	ok(fdt_setprop(blob, node("/timer"), "interrupt-names", "virt\0hyp-phys\0phys", 19));
	SET("/timer", "interrupts", 1, 11, 8, 1, 10, 1, 1, 14, 8);
	SET("/timer", "clock-frequency", 62500000);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.timer_virt.intid, 27);
	assert_int_equal(tree.timer_hyp.intid, 26);
	assert_true(tree.timer_hyp.edge);
	assert_int_equal(tree.timer_hz, 62500000);
	/* PSCI 0.1, by HVC. */
	set_text("/psci", "compatible", "arm,psci");
	set_text("/psci", "method", "hvc");
	SET("/psci", "cpu_on", 0x95c1ba60);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.psci, BOARD_PSCI_HVC);
	assert_false(tree.psci_02);
	assert_int_equal(tree.psci_cpu_on, 0x95c1ba60);
	/* None at all: CPUs that cannot be started. */
	set_text("/psci", "status", "disabled");
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.psci, BOARD_PSCI_NONE);
	assert_int_equal(tree.cpus[1].method, BOARD_CPU_NONE);
	assert_non_null(strstr(test_log(), "no node psci"));
	set_text("/cpus/cpu@1", "status", "disabled");
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.cpu_count, 2);
	SET("/intc@8000000", "redistributor-stride", 0, 0x40000);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.gic.redist_stride, 0x40000);
	/* The GIC's own interrupt, whatever the tree's default is. */
	SET("/", "interrupt-parent", 9);
	SET("/timer", "interrupt-parent", 1);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.gic.maintenance.intid, 25);
	assert_int_equal(tree.uarts[0].irq.intid, 0);
}

/* A serial port whose interrupt makes no sense, or goes where it is not followed, has none. */
static void test_uart_interrupts(void **state)
{
	make_v3();
	SET("/serial@9020000", "interrupts-extended", 1, 0, 5, 1);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].irq.intid, 37);
	assert_true(tree.uarts[0].irq.edge);
	assert_string_equal(test_log(), "");
	SET("/serial@9020000", "interrupts-extended", 9, 1, 2, 1, 0, 5);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].irq.intid,
	                 0); /* the first one's, though the second is cut */
	SET("/serial@9020000", "interrupts-extended", 1, 0, 5);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].irq.intid, 0);
	assert_non_null(strstr(test_log(), "/serial@9020000: interrupts-ext"));
	SET("/serial@9020000", "interrupts-extended", 0, 5, 1);
	assert_int_equal(read_blob(), 0);
	assert_non_null(strstr(test_log(), "/serial@9020000: interrupts-ext"));
	SET("/serial@9000000", "interrupts", 1, 21, 4);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[1].irq.intid, 0);
	assert_non_null(strstr(test_log(), "/serial@9000000: no interrupt"));
	/* A bus that numbers interrupts in a way of its own. */
	make_v2();
	SET("/soc/bus@100000", "#interrupt-cells", 1);
	SET("/soc/bus@100000/serial@1000", "interrupts", 5);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].irq.intid, 0);
	assert_string_equal(test_log(), "");
	SET("/soc/bus@100000/serial@1000", "interrupt-parent", 2);
	SET("/soc/bus@100000/serial@1000", "interrupts", 0, 5, 4);
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uarts[0].irq.intid, 37);
}

/* --- Refusals: the error, and a word that the message must have --- */

static void no_gic(void)
{
	ok(fdt_del_node(blob, node("/intc@8000000")));
}
static void no_memory(void)
{
	ok(fdt_del_node(blob, node("/memory@40000000")));
}
static void no_cpus(void)
{
	ok(fdt_del_node(blob, node("/cpus")));
}
static void no_timer(void)
{
	ok(fdt_del_node(blob, node("/timer")));
}
static void memory_overlaps(void)
{
	SET("/memory@40000000", "reg", 0, 0x40000000, 0, 0x40000000, 0, 0x7ffff000, 0, 0x1000);
}
static void memory_wraps(void)
{
	SET("/memory@40000000", "reg", 0xffffffff, 0xfffff000, 0, 0x2000);
}
static void memory_odd(void)
{
	SET("/memory@40000000", "reg", 0, 0x40000000, 0x40000000);
}
static void same_mpidr(void)
{
	SET("/cpus/cpu@1", "reg", 0x100);
}
static void bad_mpidr(void)
{
	SET("/cpus/cpu@1", "reg", 0x1000000);
}
static void long_mpidr(void)
{
	SET("/cpus/cpu@1", "reg", 0, 0);
}
static void no_release(void)
{
	set_text("/cpus/cpu@1", "enable-method", "spin-table");
}
static void odd_release(void)
{
	no_release();
	SET("/cpus/cpu@1", "cpu-release-addr", 0, 0x1004);
}
static void bad_conduit(void)
{
	set_text("/psci", "method", "smccc");
}
static void old_psci(void)
{
	set_text("/psci", "compatible", "arm,psci");
}
static void no_redists(void)
{
	SET("/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000);
}
static void too_many_redists(void)
{
	SET("/intc@8000000", "#redistributor-regions", 17);
}
static void small_redist(void)
{
	SET("/intc@8000000", "#redistributor-regions", 1);
	SET("/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0x10000);
}
static void odd_stride(void)
{
	SET("/intc@8000000", "redistributor-stride", 0, 0x30800);
}
static void small_stride(void)
{
	SET("/intc@8000000", "redistributor-stride", 0, 0x10000);
}
static void large_stride(void)
{
	SET("/intc@8000000", "redistributor-stride", 0xffffffff, 0xffff0000);
}
static void gic_in_memory(void)
{
	SET("/intc@8000000", "reg", 0, 0x50000000, 0, 0x10000, 0, 0x80a0000, 0, 0x20000);
}
static void gic_in_page(void)
{
	SET("/intc@8000000", "#redistributor-regions", 1);
	SET("/intc@8000000", "reg", 0, 0x8000800, 0, 0x10000, 0, 0x80a0000, 0, 0x20000);
}
static void gic_cells(void)
{
	SET("/intc@8000000", "#interrupt-cells", 2);
}
static void shared_maintenance(void)
{
	SET("/intc@8000000", "interrupts", 0, 9, 4);
}
static void shared_timer(void)
{
	SET("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 0, 11, 4, 1, 10, 4);
}
static void shared_hyp_timer(void)
{
	SET("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 0, 10, 4);
}
static void no_hyp_timer(void)
{
	SET("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4);
}
static void redist_in_page(void)
{
	SET("/intc@8000000", "#redistributor-regions", 1);
	SET("/intc@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0400, 0, 0x20000);
}
static void small_dist(void)
{
	SET("/intc@8000000", "reg", 0, 0x8000000, 0, 0x1000, 0, 0x80a0000, 0, 0x20000);
}
static void no_such_ppi(void)
{
	SET("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 16, 4, 1, 10, 4);
}
static void half_interrupt(void)
{
	SET("/timer", "interrupts", 1, 13, 4, 1, 14);
}
static void uart_in_memory(void)
{
	SET("/serial@9000000", "reg", 0, 0x40000000, 0, 0x1000);
}
static void uart_width(void)
{
	SET("/serial@9020000", "reg-io-width", 3);
}
static void uart_too_wide(void)
{
	SET("/serial@9020000", "reg-shift", 1);
}
static void uart_too_wide_by_default(void)
{
	ok(fdt_delprop(blob, node("/serial@9020000"), "reg-shift"));
}
static void uart_far_apart(void)
{
	SET("/serial@9020000", "reg-shift", 0x1f);
}
static void uart_short(void)
{
	SET("/serial@9020000", "reg", 0, 0x9020000, 0, 0x1c);
}
static void pl011_short(void)
{
	SET("/serial@9000000", "reg", 0, 0x9000000, 0, 0x44);
}
static void pl011_by_bytes(void)
{
	SET("/serial@9000000", "reg-io-width", 1);
}
static void initrd_outside(void)
{
	SET("/chosen", "linux,initrd-end", 0, 0x80000001);
}
static void initrd_backwards(void)
{
	SET("/chosen", "linux,initrd-end", 0, 0x47ffffff);
}
static void half_initrd(void)
{
	ok(fdt_delprop(blob, node("/chosen"), "linux,initrd-end"));
}
static void open_bootargs(void)
{
	ok(fdt_setprop(blob, node("/chosen"), "bootargs", "xyz", 3));
}
static void long_bootargs(void)
{
	char line[BOARD_MAX_CMDLINE + 1];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	set_text("/chosen", "bootargs", line);
}

static const struct refusal {
	int error;
	const char *word;
	void (*damage)(void);
} refusals[] = {
	{ -ENODEV, "interrupt controller", no_gic },
	{ -ENODEV, "memory", no_memory },
	{ -ENODEV, "no CPU", no_cpus },
	{ -ENODEV, "timer", no_timer },
	{ -EPROTO, "/memory@40000000: memory at 0x7ffff000 overlaps", memory_overlaps },
	{ -EPROTO, "/memory@40000000", memory_wraps },
	{ -EPROTO, "/memory@40000000: reg has 12 bytes", memory_odd },
	{ -EPROTO, "/cpus/cpu@100: another", same_mpidr },
	{ -EPROTO, "/cpus/cpu@1: no MPIDR", bad_mpidr },
	{ -EPROTO, "/cpus/cpu@1: reg", long_mpidr },
	{ -EPROTO, "/cpus/cpu@1: a spin table", no_release },
	{ -EPROTO, "/cpus/cpu@1: a spin table", odd_release },
	{ -EPROTO, "/psci: method", bad_conduit },
	{ -EPROTO, "/psci: PSCI 0.1", old_psci },
	{ -EPROTO, "/intc@8000000: it has no redist", no_redists },
	{ -E2BIG, "/intc@8000000: 17", too_many_redists },
	{ -EPROTO, "/intc@8000000: 0x10000 bytes", small_redist },
	{ -EPROTO, "/intc@8000000: redistributor-stride is 0x30800", odd_stride },
	{ -EPROTO, "/intc@8000000: redistributor-stride is 0x10000", small_stride },
	{ -EPROTO, "/intc@8000000: redistributor-stride is 0xffffffffffff0000", large_stride },
	{ -EPROTO, "/intc@8000000: its registers at 0x50000000", gic_in_memory },
	{ -EPROTO, "distributor at 0x8000800: wants", gic_in_page },
	{ -EPROTO, "/intc@8000000: #interrupt-cells", gic_cells },
	{ -EPROTO, "interrupt 41 of the GIC's maintenance", shared_maintenance },
	{ -EPROTO, "interrupt 43 of the virtual timer", shared_timer },
	{ -EPROTO, "interrupt 42 of EL2's timer", shared_hyp_timer },
	{ -ENODEV, "timer", no_hyp_timer },
	{ -EPROTO, "redistributors at 0x80a0400: wants", redist_in_page },
	{ -EPROTO, "/intc@8000000: 0x1000 bytes", small_dist },
	{ -EPROTO, "/timer: no interrupt", no_such_ppi },
	{ -EPROTO, "/timer: interrupts has", half_interrupt },
	{ -EPROTO, "/serial@9000000: its registers", uart_in_memory },
	{ -EPROTO, "/serial@9020000: no serial", uart_width },
	{ -EPROTO, "/serial@9020000: no serial port has reg-shift 1", uart_too_wide },
	{ -EPROTO, "/serial@9020000: no serial port has reg-shift 0", uart_too_wide_by_default },
	{ -EPROTO, "/serial@9020000: no serial port has reg-shift 31", uart_far_apart },
	{ -EPROTO, "/serial@9020000: 0x1c bytes of registers", uart_short },
	{ -EPROTO, "/serial@9000000: 0x44 bytes of registers", pl011_short },
	{ -EPROTO, "/serial@9000000: no serial port", pl011_by_bytes },
	{ -EPROTO, "/chosen: the initrd", initrd_outside },
	{ -EPROTO, "/chosen: the initrd", initrd_backwards },
	{ -EPROTO, "/chosen: the initrd", half_initrd },
	{ -EPROTO, "bootargs", open_bootargs },
	{ -E2BIG, "bootargs", long_bootargs },
};

static void test_refusals(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];

		make_v3();
		r->damage();
		int rc = read_blob();

		if (rc != r->error || !strstr(test_log(), r->word))
			fail_msg("refusal %u (%s): %d, \"%s\"", i, r->word, rc, test_log());
	}
	/* The console can still say so. */
	make_v3();
	no_gic();
	memory_overlaps();
	assert_int_equal(read_blob(), -EPROTO);
	assert_int_equal(tree.uart_count, 2);
}

/* More serial ports than there is room for: the console is among them. */
static void test_many_uarts(void **state)
{
	make_v3();
	for (unsigned i = 0; i < 2 * BOARD_TREE_UARTS; i++) {
		char name[32];
		char path[40];

		snprintf(name, sizeof(name), "serial@a%03x000", i);
		snprintf(path, sizeof(path), "/%s", name);
		assert_true(fdt_add_subnode(blob, 0, name) >= 0);
		set_text(path, "compatible", "arm,pl011");
		SET(path, "reg", 0, 0xa000000 + 0x1000 * i, 0, 0x1000);
	}
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.uart_count, BOARD_TREE_UARTS);
	assert_int_equal(tree.uarts[0].base, 0x9020000);
}

static void test_many_cpus(void **state)
{
	make_v3();
	for (unsigned i = 0; i < BOARD_TREE_CPUS; i++) {
		char name[16], path[24];

		snprintf(name, sizeof(name), "cpu@1%02x00", i);
		snprintf(path, sizeof(path), "/cpus/%s", name);
		assert_true(fdt_add_subnode(blob, node("/cpus"), name) >= 0);
		set_text(path, "device_type", "cpu");
		SET(path, "reg", 0x10000 | i << 8);
	}
	assert_int_equal(read_blob(), 0);
	assert_int_equal(tree.cpu_count, BOARD_TREE_CPUS);
	assert_int_equal(tree.cpus_left_out, 3);
}

/* --- Damage --- */

static void test_size(void **state)
{
	make_v3();
	assert_int_equal(board_tree_size(blob), ROOM);
	fdt_set_magic(blob, 0);
	assert_int_equal(board_tree_size(blob), 0);
	fdt_set_magic(blob, FDT_MAGIC);
	fdt_set_totalsize(blob, 39);
	assert_int_equal(board_tree_size(blob), 0);
	fdt_set_totalsize(blob, 2 * HC_MIB + 1);
	assert_int_equal(board_tree_size(blob), 0);
}

static void test_truncated(void **state)
{
	make_v3();
	ok(fdt_pack(blob));
	size_t size = fdt_totalsize(blob);

	for (size_t n = 0; n < size; n++)
		assert_int_equal(read_copy(blob, n), -EPROTO);
	assert_non_null(strstr(test_log(), "truncated"));
	/* The header agrees with what is there. */
	for (uint32_t n = 0; n < size; n += 4) {
		fdt_set_totalsize(blob, n);
		assert_int_equal(read_copy(blob, n), -EPROTO);
	}
}

static void check_tree(void)
{
	assert_in_range(tree.cpu_count, 1, BOARD_TREE_CPUS);
	assert_in_range(tree.memory.count, 1, RANGES_MAX);
	assert_in_range(tree.gic.version, 2, 3);
	assert_in_range(tree.gic.maintenance.intid, 0, 31);
	assert_in_range(tree.timer_hyp.intid, 16, 31);
	assert_in_range(tree.timer_virt.intid, 16, 31);
	assert_in_range(tree.gic.redist_count, tree.gic.version == 3, BOARD_TREE_REDISTS);
	assert_in_range(tree.uart_count, 0, BOARD_TREE_UARTS);
	assert_true(strnlen(tree.bootargs, sizeof(tree.bootargs)) < sizeof(tree.bootargs));
	for (unsigned i = 1; i < tree.memory.count; i++)
		assert_true(tree.memory.r[i - 1].end < tree.memory.r[i].base);
	assert_true(tree.pci.io + tree.pci.io_size >= tree.pci.io);
	if (tree.pci.ecam_size)
		assert_true(tree.pci.ecam_size >= PCI_BUS_SIZE && tree.pci.io_size);
	for (unsigned i = 0; i < tree.uart_count; i++)
		assert_true(tree.uarts[i].base + tree.uarts[i].size > tree.uarts[i].base);
}

static void damage(uint64_t *seed, size_t size)
{
	static const uint32_t values[] = { 0, 1, 3, 4, 9, 0x7fffffff, 0x80000000, 0xffffffff };
	uint64_t at = test_below(seed, size / 4) * 4;

	switch (test_below(seed, 3)) {
	case 0: blob[test_below(seed, size)] = (uint8_t)test_random(seed); break;
	case 1: fdt32_st(blob + at, values[test_below(seed, HC_ARRAY_SIZE(values))]); break;
	default: fdt32_st(blob + at, fdt32_ld((fdt32_t *)(blob + at)) ^ 1u << test_below(seed, 32));
	}
}

/* Any bytes changed: it is refused with a message, or what is read keeps the header's promises. */
static void test_mutations(void **state)
{
	uint64_t seed = 77;
	unsigned taken = 0, rounds = test_rounds(6000);

	for (unsigned n = 0; n < rounds; n++) {
		if (n & 1)
			make_v2();
		else
			make_v3();
		ok(fdt_pack(blob));
		size_t size = fdt_totalsize(blob);

		for (uint64_t i = 0; i <= test_below(&seed, 4); i++)
			damage(&seed, size);
		int rc = read_copy(blob, size);

		if (!rc)
			check_tree();
		assert_true(!rc || rc == -EPROTO || rc == -ENODEV || rc == -E2BIG);
		assert_true(!rc || test_log()[0]);
		taken += !rc;
	}
	assert_in_range(taken, rounds / 10, rounds * 9 / 10);
}

/* --- QEMU's own --- */

static uint8_t qemu[2 * HC_MIB] __attribute__((aligned(8)));

static size_t load(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(qemu, 1, sizeof(qemu), f) : 0;

	if (f)
		fclose(f);
	return n;
}

/* Reads the tree of one of QEMU's machines. False: there is no QEMU. */
static bool dump(const char *machine)
{
	char dir[] = "/tmp/test_board_fdt.XXXXXX", path[64], command[300];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/dtb", dir);
	snprintf(command, sizeof(command),
	         "timeout 30 qemu-system-aarch64 -nographic -smp 3 -m 1024 -machine "
	         "virt,virtualization=on,%s,dumpdtb=%s >/dev/null 2>&1 </dev/null",
	         machine, path);
	bool there = !system(command) && load(path);

	unlink(path);
	rmdir(dir);
	if (!there)
		return false;
	ok(fdt_pack(qemu));
	assert_int_equal(read_copy(qemu, fdt_totalsize(qemu)), 0);
	return true;
}

static void test_qemu(void **state)
{
	if (!dump("gic-version=3"))
		skip(); /* QEMU for AArch64 is not installed */
	assert_string_equal(tree.model, "linux,dummy-virt");
	assert_ranges(&tree.memory, 1, (const uint64_t[][2]){ { 0x40000000, 0x80000000 } });
	assert_int_equal(tree.cpu_count, 3);
	assert_int_equal(tree.cpus[2].mpidr, 2);
	assert_int_equal(tree.psci, BOARD_PSCI_SMC);
	assert_int_equal(tree.gic.version, 3);
	assert_int_equal(tree.gic.dist, 0x8000000);
	assert_int_equal(tree.gic.redists[0].base, 0x80a0000);
	assert_int_equal(tree.timer_hyp.intid, 26);
	assert_int_equal(tree.uarts[0].base, 0x9000000);
	assert_int_equal(tree.uarts[0].irq.intid, 33);
	assert_int_equal(tree.uarts[0].clock_hz, 24000000);
	assert_int_equal(tree.pl031, 0x9010000);
	assert_int_equal(tree.pci.ecam_size, 256 * HC_MIB);
	assert_int_equal(tree.pci.io, 0x3eff0000);
	assert_true(dump("gic-version=2"));
	assert_int_equal(tree.gic.version, 2);
	assert_int_equal(tree.gic.gich, 0x8030000);
	assert_int_equal(tree.gic.gicv, 0x8040000);
	assert_int_equal(tree.gic.maintenance.intid, 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v3),         cmocka_unit_test(test_v3_gic),
		cmocka_unit_test(test_v3_uarts),   cmocka_unit_test(test_v3_pci),
		cmocka_unit_test(test_v2),         cmocka_unit_test(test_variants),
		cmocka_unit_test(test_refusals),   cmocka_unit_test(test_uart_interrupts),
		cmocka_unit_test(test_many_uarts), cmocka_unit_test(test_many_cpus),
		cmocka_unit_test(test_size),       cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mutations),  cmocka_unit_test(test_memory_of_the_loader),
		cmocka_unit_test(test_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
