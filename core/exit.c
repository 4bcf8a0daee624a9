/* SPDX-License-Identifier: BSD-2-Clause */
#include <hypercore/exit.h>

const char *hc_exit_reason_name(enum hc_exit_reason reason)
{
	static const char *const names[HC_EXIT_REASON_COUNT] = {
		[HC_EXIT_INTERRUPT] = "interrupt",
		[HC_EXIT_WINDOW] = "window",
		[HC_EXIT_HALT] = "halt",
		[HC_EXIT_IO] = "io",
		[HC_EXIT_STAGE2] = "stage2",
		[HC_EXIT_CPUID] = "cpuid",
		[HC_EXIT_MSR_READ] = "msr_read",
		[HC_EXIT_MSR_WRITE] = "msr_write",
		[HC_EXIT_SYSREG] = "sysreg",
		[HC_EXIT_CR_WRITE] = "cr_write",
		[HC_EXIT_XSETBV] = "xsetbv",
		[HC_EXIT_EXCEPTION] = "exception",
		[HC_EXIT_HYPERCALL] = "hypercall",
		[HC_EXIT_CACHE] = "cache",
		[HC_EXIT_UNDEFINED] = "undefined",
		[HC_EXIT_TASK_SWITCH] = "task_switch",
		[HC_EXIT_SHUTDOWN] = "shutdown",
		[HC_EXIT_SERROR] = "serror",
		[HC_EXIT_ENTRY_FAILED] = "entry_failed",
		[HC_EXIT_UNKNOWN] = "unknown",
		[HC_EXIT_BUS] = "bus",
		[HC_EXIT_MODE] = "mode",
		[HC_EXIT_SLICE] = "slice",
		[HC_EXIT_EOI] = "eoi",
		[HC_EXIT_LOG] = "log",
	};

	return (unsigned)reason < HC_EXIT_REASON_COUNT ? names[reason] : "?";
}
