/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/psci.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/fdt.h"

#define AFFINITY_OFF 1

static bool usable, standard; /* standard: version 0.2 or later */
static uint32_t cpu_on;
static char name[16] = "no PSCI";

/* SMC Calling Convention (DEN 0028), 2.6: X4 to X17 may be lost. */
static int64_t call(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("smc #0"
	                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
	                 :
	                 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
	                   "x15", "x16", "x17", "cc", "memory");
	return (int64_t)x0;
}

/* 32-bit results leave the upper half of X0 undefined. */
static int32_t call32(uint32_t function)
{
	return (int32_t)call(function, 0, 0, 0);
}

void psci_init(const struct board_tree *tree)
{
	int32_t version;

	if (tree->psci == BOARD_PSCI_HVC)
		hc_log(HC_LOG_WARN, "PSCI is by HVC, which EL2 cannot call: no power control");
	if (tree->psci != BOARD_PSCI_SMC)
		return;
	usable = true;
	standard = tree->psci_02;
	cpu_on = tree->psci_cpu_on;
	hc_snprintf(name, sizeof(name), "PSCI 0.1");
	if (!standard)
		return;
	version = call32(PSCI_VERSION);
	if (version > 0)
		hc_snprintf(name, sizeof(name), "PSCI %d.%d", version >> 16, version & 0xffff);
}

const char *psci_name(void)
{
	return name;
}

int psci_cpu_on(uint64_t mpidr, uint64_t entry, uint64_t context)
{
	/* 5.2.2 */
	static const char *const refusals[] = {
		"success",    "not supported",   "invalid parameters", "denied",
		"already on", "on its way",      "internal failure",   "not present",
		"disabled",   "invalid address",
	};
	int32_t status;

	if (!usable || !cpu_on)
		return hc_error(-ENODEV, "there is no PSCI to start the CPU 0x%llx with",
		                (unsigned long long)mpidr);
	status = (int32_t)call(cpu_on, mpidr, entry, context);
	if (!status)
		return 0;
	return hc_error(-EIO, "the CPU 0x%llx: the firmware refuses CPU_ON: %s (%d)",
	                (unsigned long long)mpidr,
	                status < 0 && status > -(int)HC_ARRAY_SIZE(refusals) ? refusals[-status]
	                                                                     : "unknown error",
	                status);
}

bool psci_may_come(uint64_t mpidr)
{
	return !standard || (int32_t)call(PSCI_AFFINITY_INFO, mpidr, 0, 0) != AFFINITY_OFF;
}

void psci_system_off(void)
{
	if (usable && standard)
		call32(PSCI_SYSTEM_OFF);
}

void psci_system_reset(void)
{
	if (usable && standard)
		call32(PSCI_SYSTEM_RESET);
}
