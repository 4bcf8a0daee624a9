/* SPDX-License-Identifier: BSD-2-Clause */
/* From start.S to board_main(): the device tree, memory, and a proper stack. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/aarch64/clock.h"
#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/machine.h"
#include "platform/board/aarch64/paging.h"
#include "platform/board/aarch64/psci.h"
#include "platform/board/acpi_tree.h"
#include "platform/board/board.h"
#include "platform/board/early.h"
#include "platform/board/image.h"
#include "platform/board/output_lock.h"
#include "platform/board/paging.h"
#include "platform/board/panic.h"
#include "platform/board/ram.h"
#include "platform/board/serial.h"

void board_early(uint64_t given, uint64_t image_base, uint64_t el);

struct board_boot_info board_boot_info;

/* Not a secret of cryptographic strength: RNDR where there is one (FEAT_RNG, S3_3_C2_C4_0), and the
 * time in any case. */
__attribute__((no_stack_protector)) static void choose_canary(void)
{
	uint64_t noise = 0;

	if (hc_bits(READ_SYSREG(id_aa64isar0_el1), 63, 60))
		noise = READ_SYSREG(S3_3_C2_C4_0);
	early_stir_guard(READ_SYSREG(cntpct_el0), noise);
}

static void add_range(uint64_t base, uint64_t end, enum board_range_type type)
{
	struct board_boot_info *info = &board_boot_info;
	struct board_range *r = &info->ranges[info->range_count];

	if (info->range_count == BOARD_MAX_RANGES) {
		hc_log(HC_LOG_WARN, "memory at 0x%llx is left out: too many pieces",
		       (unsigned long long)base);
		return;
	}
	info->range_count++;
	r->base = base;
	r->size = end - base;
	r->type = type;
}

static void add_ranges(const struct ranges *l, enum board_range_type type)
{
	for (unsigned i = 0; i < l->count; i++)
		add_range(l->r[i].base, l->r[i].end, type);
}

/* What is reserved comes first: rather RAM is left out than that is used. */
static void fill_boot_info(const struct board_tree *t)
{
	struct board_boot_info *info = &board_boot_info;

	memcpy(info->loader, "arm64 Image", sizeof("arm64 Image"));
	add_ranges(&t->reserved, BOARD_RANGE_RESERVED);
	add_ranges(&t->no_map, BOARD_RANGE_RESERVED);
	add_ranges(&t->memory, BOARD_RANGE_RAM);
	if (t->initrd_size) {
		info->modules[0].base = t->initrd;
		info->modules[0].size = t->initrd_size;
		info->module_count = 1;
	}
}

/* --- What the loader left --- */

static const void *window(uint64_t pa, uint64_t size)
{
	return pa && !(pa & 7) ? paging_window(hpa_of(pa), size, PAGING_RO) : NULL;
}

static uint64_t tree_size(uint64_t pa)
{
	const void *header = window(pa, BOARD_TREE_HEADER);

	return header ? board_tree_size(header) : 0;
}

static int read_tree(uint64_t pa, const struct ranges *memory)
{
	uint64_t size = tree_size(pa);
	const void *blob = size ? window(pa, size) : NULL;
	int err;

	if (!blob)
		return hc_error(-EPROTO, "there is no device tree at 0x%llx",
		                (unsigned long long)pa);
	err = board_tree_read(&machine_tree, blob, size, memory);
	/* Even if it is no good: there may be a console. */
	serial_find(&machine_tree);
	return err;
}

static int read_acpi(uint64_t rsdp)
{
	int err = acpi_read_tree(&machine_tree, rsdp, ram_ranges(), ram_reach_table, NULL);

	serial_find(&machine_tree);
	return err;
}

/* By the arm64 boot protocol: the device tree says it all. */
static int start_by_tree(uint64_t tree)
{
	int err = read_tree(tree, NULL);

	/* Even if the rest is no good: it says how to end. */
	memcpy(board_boot_info.cmdline, machine_tree.bootargs, sizeof(board_boot_info.cmdline));
	if (err)
		return err;
	fill_boot_info(&machine_tree);
	return ram_init(HC_PAGE_SIZE);
}

/* Memory and modules are the loader's to tell; the machine is described by a tree, which is kept
 * from being overwritten until it has been read, or by ACPI's tables, which have ranges of their
 * own. */
static int start_by_info(const struct board_boot_info *given, uint64_t image_base)
{
	struct board_boot_info *info = &board_boot_info;
	uint64_t size;
	int err;

	memcpy(info, given, sizeof(*info));
	err = boot_info_check(info);
	if (err)
		return hc_error(err, "the loader's information makes no sense");
	info->image_base = image_base;
	size = info->dtb ? tree_size(info->dtb) : 0;
	if (size)
		add_range(info->dtb, info->dtb + size, BOARD_RANGE_RESERVED);
	err = ram_init(HC_PAGE_SIZE);
	if (err)
		return err;
	return size ? read_tree(info->dtb, ram_ranges()) : read_acpi(info->rsdp);
}

/* The boot loader's struct, or NULL if that is something else. */
static const struct board_boot_info *given_info(uint64_t pa)
{
	const uint64_t *magic = window(pa, sizeof(*magic));

	return magic && *magic == BOARD_BOOT_MAGIC ? window(pa, sizeof(struct board_boot_info))
	                                           : NULL;
}

static int read_all(uint64_t start, uint64_t image_base)
{
	const struct board_boot_info *given = given_info(start);

	return given ? start_by_info(given, image_base) : start_by_tree(start);
}

/* SYSTEM_OFF (DEN 0022, 5.1.9) from EL1, by either instruction. */
static void power_off_from_el1(enum board_psci conduit)
{
	register uint64_t x0 __asm__("x0") = PSCI_SYSTEM_OFF;

	if (conduit == BOARD_PSCI_HVC)
		__asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
	else if (conduit == BOARD_PSCI_SMC)
		__asm__ volatile("smc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

/* The line goes straight to the port; what was wrong with the tables stays in the log, which nobody
 * has attached: the machine would not do with right ones either. */
static _Noreturn void refuse_el1(uint64_t start)
{
	static const char line[] = "hypercore: error: entered at EL1: needs EL2, that is a machine "
				   "with virtualization, and firmware that leaves EL2 to it";
	struct serial_port *console;

	output_break_locks();
	cpu_set_at_el1();
	read_all(start, board_boot_info.image_base);
	console = serial_open(0);
	if (console) {
		serial_write_line(console, line, sizeof(line) - 1);
		serial_drain();
	}
	power_off_from_el1(machine_tree.psci);
	end_halt();
}

/* From EL3 start.S has come down to EL2; but there is no firmware left that could start CPUs, or
 * end anything. */
static int start(uint64_t given, uint64_t image_base, uint64_t el)
{
	int err = read_all(given, image_base);

	if (el == 3)
		return hc_error(
			-ENODEV,
			"entered at EL3: needs firmware (such as TF-A) that starts it at EL2");
	psci_init(&machine_tree);
	if (err)
		return err;
	err = clock_init(&machine_tree);
	if (err)
		return err;
	err = cpu_alloc_stacks(&board_cpus[0]);
	return err ? hc_error(err, "there is no memory for the boot CPU's stacks") : 0;
}

__attribute__((no_stack_protector)) void board_early(uint64_t given, uint64_t image_base,
                                                     uint64_t el)
{
	choose_canary();
	board_boot_info.magic = BOARD_BOOT_MAGIC;
	board_boot_info.image_base = image_base;
	cpu_init_boot();
	paging_init();
	if (el == 1)
		refuse_el1(given);
	if (start(given, image_base, el))
		board_fail(&board_boot_info);
	early_go_on(board_cpus[0].stack_top);
}
