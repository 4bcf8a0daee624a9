/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical CPU's ID registers (Arm ARM D17.2), all of which any CPU answers: those that it does
 * not know are 0. */
#include "arch/aarch64/a64.h"

#define CASE(op1, crm, op2)                                                                        \
	case A64_SYSREG(3, op1, 0, crm, op2):                                                      \
		__asm__("mrs %0, S3_" #op1 "_C0_C" #crm "_" #op2 : "=r"(value));                   \
		break;
#define ROW(crm)                                                                                   \
	CASE(0, crm, 0)                                                                            \
	CASE(0, crm, 1)                                                                            \
	CASE(0, crm, 2)                                                                            \
	CASE(0, crm, 3)                                                                            \
	CASE(0, crm, 4)                                                                            \
	CASE(0, crm, 5)                                                                            \
	CASE(0, crm, 6)                                                                            \
	CASE(0, crm, 7)

uint64_t a64_host_id(uint32_t number)
{
	uint64_t value = 0;

	switch (number) {
		CASE(0, 0, 0) /* MIDR_EL1 */
		CASE(0, 0, 5) /* MPIDR_EL1 */
		CASE(0, 0, 6) /* REVIDR_EL1 */
		ROW(1)
		ROW(2)
		ROW(3)
		ROW(4)
		ROW(5)
		ROW(6)
		ROW(7)
		CASE(3, 0, 1) /* CTR_EL0 */
		CASE(3, 0, 7) /* DCZID_EL0 */
	default: break;
	}
	return value;
}
