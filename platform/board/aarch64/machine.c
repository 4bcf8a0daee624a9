/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine: starting what is left of it when memory works. */
#include "platform/board/aarch64/machine.h"

#include "core/log.h"
#include "platform/board/aarch64/clock.h"
#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/cpus.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/aarch64/psci.h"
#include "platform/board/aarch64/rtc.h"
#include "platform/board/board.h"
#include "platform/board/image.h"
#include "platform/board/memory.h"
#include "platform/board/panic.h"
#include "platform/board/ram.h"

typedef unsigned long long ull;

struct board_tree machine_tree;

int board_machine_start(void)
{
	const struct board_tree *t = &machine_tree;
	int err = gic_init(t);

	if (!err)
		err = gic_init_cpu(&board_cpus[0]);
	if (!err)
		err = clock_init_irq(t);
	if (err)
		return err;
	gic_on_stop(panic_stop_if_other);
	clock_init_cpu();
	rtc_init(t, board_boot_info.wall_clock);
	cpus_start(t);
	return 0;
}

void board_log_machine(void)
{
	const struct board_tree *t = &machine_tree;
	uint64_t midr = READ_SYSREG(midr_el1);

	hc_log(HC_LOG_INFO, "%s: %u CPU%s (implementer 0x%llx, part 0x%llx, %s) of %u, %s, %s",
	       t->model, board_cpu_count, board_cpu_count == 1 ? "" : "s",
	       (ull)hc_bits(midr, 31, 24), (ull)hc_bits(midr, 15, 4),
	       hc_bits(READ_SYSREG(id_aa64mmfr1_el1), 11, 8) ? "VHE" : "no VHE",
	       t->cpu_count + t->cpus_left_out, gic_name(), psci_name());
	hc_log(HC_LOG_INFO, "%llu MiB of memory, %llu MiB free", (ull)(ram_total() >> 20),
	       (ull)(memory_available() >> 20));
	hc_log(HC_LOG_INFO, "system counter at %llu kHz", (ull)(hc_platform_cycles_hz() / 1000));
}

struct hc_cpu *board_cpu(unsigned n)
{
	return n < board_cpu_count ? &board_cpus[n].cpu : NULL;
}
