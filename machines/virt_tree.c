/* SPDX-License-Identifier: BSD-2-Clause */
#include "machines/virt_tree.h"

#include <hypercore/errno.h>
#include <libfdt.h> /* mem*() and str*() as well, of the build's kind */

#include "arch/aarch64/gic/gic.h"
#include "core/log.h"
#include "devices/pl011.h"
#include "devices/uart16550.h"
#include "machines/virt.h"

/* Phandles. */
#define GIC   1u
#define CLOCK 2u

/* Interrupts: kind, and flags of level-triggered ones (the bindings of arm,gic-v3 and arm,gic). */
#define SPI        0u
#define PPI        1u
#define LEVEL_HIGH 4u

/* What arm64 kernels keep of the command line, with its end: COMMAND_LINE_SIZE. */
#define CMDLINE_MAX 2048u

/* libfdt's first error stays: what follows it does nothing. */
struct writer {
	const struct virt_tree *t;
	void *fdt;
	int error;
};

static void done(struct writer *w, int rc)
{
	if (!w->error)
		w->error = rc;
}

static void begin(struct writer *w, const char *name)
{
	done(w, fdt_begin_node(w->fdt, name));
}

static void begin_at(struct writer *w, const char *name, uint64_t address)
{
	char s[40];

	hc_snprintf(s, sizeof(s), "%s@%llx", name, (unsigned long long)address);
	begin(w, s);
}

static void end(struct writer *w)
{
	done(w, fdt_end_node(w->fdt));
}

static void bytes(struct writer *w, const char *name, const void *value, size_t size)
{
	done(w, fdt_property(w->fdt, name, value, (int)size));
}

static void text(struct writer *w, const char *name, const char *value)
{
	bytes(w, name, value, strlen(value) + 1);
}

/* A list of strings: literals with "\0" between them. */
#define STRINGS(w, name, list) bytes(w, name, list, sizeof(list))

static void flag(struct writer *w, const char *name)
{
	bytes(w, name, NULL, 0);
}

static void cells(struct writer *w, const char *name, unsigned n, const uint32_t *values)
{
	fdt32_t out[16];

	for (unsigned i = 0; i < n && i < HC_ARRAY_SIZE(out); i++)
		out[i] = cpu_to_fdt32(values[i]);
	bytes(w, name, out, 4 * (size_t)n);
}

#define CELLS(w, name, ...)                                                                        \
	cells(w, name, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, (uint32_t[]){ __VA_ARGS__ })
/* A number of two cells. */
#define CELLS_64(v) (uint32_t)((uint64_t)(v) >> 32), (uint32_t)(v)

static void reg(struct writer *w, uint64_t base, uint64_t size)
{
	CELLS(w, "reg", CELLS_64(base), CELLS_64(size));
}

/* --- CPUs --- */

static void psci(struct writer *w)
{
	begin(w, "psci");
	STRINGS(w, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	text(w, "method", "hvc");
	end(w);
}

static void cpus(struct writer *w)
{
	struct hc_vm *vm = w->t->vm;

	begin(w, "cpus");
	CELLS(w, "#address-cells", 1);
	CELLS(w, "#size-cells", 0);
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		uint32_t affinity = (uint32_t)a64_state_of(vm->vcpus[i])->mpidr & 0xffffff;

		begin_at(w, "cpu", affinity);
		text(w, "device_type", "cpu");
		text(w, "compatible", "arm,armv8");
		CELLS(w, "reg", affinity);
		text(w, "enable-method", "psci");
		end(w);
	}
	end(w);
}

/* The interrupts are those of the secure, the physical, the virtual and EL2's timer. */
static void timer(struct writer *w)
{
	/* GICv2: which CPUs have it. */
	uint32_t mask = w->t->vm->info.gic_version == 2 ? (1u << w->t->vm->cpu_count) - 1 : 0;
	uint32_t flags = LEVEL_HIGH | (mask & 0xff) << 8;

	begin(w, "timer");
	text(w, "compatible", "arm,armv8-timer");
	CELLS(w, "interrupts", PPI, 13, flags, PPI, A64_PPI_PTIMER - 16, flags, PPI,
	      A64_PPI_VTIMER - 16, flags, PPI, 10, flags);
	flag(w, "always-on");
	end(w);
}

static void gic(struct writer *w)
{
	begin_at(w, "intc", VIRT_GICD);
	if (w->t->vm->info.gic_version == 3) {
		text(w, "compatible", "arm,gic-v3");
		CELLS(w, "reg", CELLS_64(VIRT_GICD), CELLS_64(GICD_SIZE_V3), CELLS_64(VIRT_GICR),
		      CELLS_64(w->t->vm->cpu_count * GICR_SIZE));
	} else {
		text(w, "compatible", "arm,cortex-a15-gic");
		CELLS(w, "reg", CELLS_64(VIRT_GICD), CELLS_64(GICD_SIZE_V2), CELLS_64(VIRT_GICC),
		      CELLS_64(GICC_SIZE));
	}
	flag(w, "interrupt-controller");
	CELLS(w, "#interrupt-cells", 3);
	CELLS(w, "#address-cells", 0);
	CELLS(w, "phandle", GIC);
	end(w);
}

/* --- Devices --- */

static void interrupt(struct writer *w, uint32_t spi)
{
	if (w->t->vm->info.gic_version)
		CELLS(w, "interrupts", SPI, spi, LEVEL_HIGH);
}

static void clock(struct writer *w)
{
	begin(w, "apb-pclk");
	text(w, "compatible", "fixed-clock");
	CELLS(w, "#clock-cells", 0);
	CELLS(w, "clock-frequency", (uint32_t)PL011_CLOCK_HZ);
	text(w, "clock-output-names", "clk24mhz");
	CELLS(w, "phandle", CLOCK);
	end(w);
}

static void pl011(struct writer *w)
{
	begin_at(w, "serial", VIRT_PL011);
	STRINGS(w, "compatible", "arm,pl011\0arm,primecell");
	reg(w, VIRT_PL011, PL011_SIZE);
	interrupt(w, VIRT_PL011_SPI);
	CELLS(w, "clocks", CLOCK, CLOCK);
	STRINGS(w, "clock-names", "uartclk\0apb_pclk");
	end(w);
}

static void uart(struct writer *w)
{
	begin_at(w, "serial", VIRT_UART);
	text(w, "compatible", "ns16550a");
	reg(w, VIRT_UART, 8);
	interrupt(w, VIRT_UART_SPI);
	CELLS(w, "clock-frequency", (uint32_t)UART16550_CLOCK_HZ);
	end(w);
}

static void rtc(struct writer *w)
{
	begin_at(w, "rtc", VIRT_PL031);
	STRINGS(w, "compatible", "arm,pl031\0arm,primecell");
	reg(w, VIRT_PL031, 0x1000);
	interrupt(w, VIRT_PL031_SPI);
	CELLS(w, "clocks", CLOCK);
	text(w, "clock-names", "apb_pclk");
	end(w);
}

static void devices(struct writer *w)
{
	const struct machine_config *c = w->t->config;

	clock(w);
	if (c->serial[0])
		pl011(w);
	rtc(w);
	if (c->serial[1])
		uart(w);
}

/* --- The rest --- */

static void path_of(char *s, size_t size, uint64_t address)
{
	hc_snprintf(s, size, "/serial@%llx", (unsigned long long)address);
}

static void names(struct writer *w, const char *first, const char *second)
{
	const struct machine_config *c = w->t->config;

	begin(w, "aliases");
	if (c->serial[0])
		text(w, "serial0", first);
	if (c->serial[1])
		text(w, "serial1", second);
	end(w);
}

static void chosen(struct writer *w, uint64_t initrd, uint64_t initrd_size)
{
	const struct machine_config *c = w->t->config;
	char first[32], second[32];

	path_of(first, sizeof(first), VIRT_PL011);
	path_of(second, sizeof(second), VIRT_UART);
	names(w, first, second);
	begin(w, "chosen");
	text(w, "bootargs", c->cmdline);
	if (c->serial[0] || c->serial[1])
		text(w, "stdout-path", c->serial[0] ? first : second);
	if (initrd_size) {
		CELLS(w, "linux,initrd-start", CELLS_64(initrd));
		CELLS(w, "linux,initrd-end", CELLS_64(initrd + initrd_size));
	}
	end(w);
}

static void memory(struct writer *w)
{
	begin_at(w, "memory", VIRT_RAM);
	text(w, "device_type", "memory");
	reg(w, VIRT_RAM, w->t->config->memory);
	end(w);
}

static void root(struct writer *w, uint64_t initrd, uint64_t initrd_size)
{
	begin(w, "");
	text(w, "model", "Hypercore virt");
	STRINGS(w, "compatible", "hypercore,virt\0linux,dummy-virt");
	CELLS(w, "#address-cells", 2);
	CELLS(w, "#size-cells", 2);
	if (w->t->vm->info.gic_version)
		CELLS(w, "interrupt-parent", GIC);
	chosen(w, initrd, initrd_size);
	memory(w);
	psci(w);
	cpus(w);
	if (w->t->vm->info.gic_version) {
		gic(w);
		timer(w);
	}
	devices(w);
	end(w);
}

int virt_tree_write(void *tree, gpa_t initrd, uint64_t initrd_size, void *buf, size_t room)
{
	const struct virt_tree *t = tree;
	struct writer w = { .t = t, .fdt = buf };

	if (strnlen(t->config->cmdline, CMDLINE_MAX) == CMDLINE_MAX)
		return hc_error(-E2BIG,
		                "vm %s: the command line has more than the %u bytes that arm64 "
		                "kernels take",
		                t->vm->name, CMDLINE_MAX - 1);
	done(&w, fdt_create(buf, (int)room));
	done(&w, fdt_finish_reservemap(buf));
	root(&w, initrd.v, initrd_size);
	done(&w, fdt_finish(buf));
	return w.error ? hc_error(-E2BIG, "vm %s: its device tree has more than %llu bytes: %s",
	                          t->vm->name, (unsigned long long)room, fdt_strerror(w.error))
	               : 0;
}
