/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU that AArch64 guests of a process have: a Cortex-A57 (DDI 0488, 4.3), which is what
 * Unicorn executes the instructions of, whatever the machine underneath is.
 */
#include "arch/aarch64/a64.h"

static const struct {
	uint32_t number;
	uint64_t value;
} registers[] = {
	{ A64_SYSREG(3, 0, 0, 0, 0), 0x411fd070 },         /* MIDR_EL1 */
	{ A64_SYSREG(3, 0, 0, 4, 0), 0x0000000000000022 }, /* ID_AA64PFR0_EL1: EL1, EL0, FP, SIMD */
	{ A64_SYSREG(3, 0, 0, 5, 0), 0x0000000010305106 }, /* ID_AA64DFR0_EL1 */
	{ A64_SYSREG(3, 0, 0, 6, 0), 0x0000000000011120 }, /* ID_AA64ISAR0_EL1: AES, SHA, CRC32 */
	{ A64_SYSREG(3, 0, 0, 7, 0), 0x0000000000001124 }, /* ID_AA64MMFR0_EL1 */
	{ A64_SYSREG(3, 3, 0, 0, 1), 0x8444c004 },         /* CTR_EL0 */
	{ A64_SYSREG(3, 3, 0, 0, 7), 4 },                  /* DCZID_EL0: 64 bytes */
};

uint64_t a64_host_id(uint32_t number)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(registers); i++)
		if (registers[i].number == number)
			return registers[i].value;
	return 0;
}
