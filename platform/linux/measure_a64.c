/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The measuring guest of an arm64 CPU, measure_guest_a64.S, and where it lies in its RAM. It runs
 * with MMU and caches on: without, its count would bypass the caches that it is read through here.
 */
#include <hypercore/freestanding.h>

#include "arch/aarch64/a64.h"
#include "platform/linux/measure.h"

enum { COUNT_AT = 0x1000, WORK = 0x2000, TABLE = 0x3000, CODE = 0x8000 };

#define BASE UINT64_C(0x40000000)

/* 1 + 250 * 5, 8 and the handler's one. */
#define ROUND 1260

/* 4 KiB granule, 39 bits: the table's second entry is the gigabyte at BASE, a block (Arm ARM D8.3).
 */
#define BLOCK (BASE | 0x701)     /* AF, inner shareable, AttrIndx 0 */
#define TCR   UINT64_C(0x803519) /* T0SZ 25, write-back, inner shareable, EPD1 */
#define MAIR  UINT64_C(0xff)
#define SCTLR UINT64_C(0x1005) /* I, C, M: beside those that a reset sets */

static void write_guest(uint8_t *ram)
{
	((uint64_t *)(void *)(ram + TABLE))[1] = BLOCK;
	memcpy(ram + CODE, linux_measure_guest, (size_t)(linux_measure_end - linux_measure_guest));
}

static void set_state(struct hc_vcpu *vcpu)
{
	struct a64_state *s = a64_state_of(vcpu);

	s->x[0] = BASE + COUNT_AT;
	s->x[1] = BASE + WORK;
	s->pc = BASE + CODE;
	s->sys[A64_VBAR_EL1] = BASE + CODE + (uint64_t)(linux_measure_fault - linux_measure_guest);
	s->sys[A64_TTBR0_EL1] = BASE + TABLE;
	s->sys[A64_TCR_EL1] = TCR;
	s->sys[A64_MAIR_EL1] = MAIR;
	s->sys[A64_SCTLR_EL1] |= SCTLR;
	hc_vcpu_dirty(vcpu, A64_G_ALL);
}

const struct linux_measure_program linux_measure_program = {
	.arch = &a64_arch_ops,
	.base = BASE,
	.count_at = BASE + COUNT_AT,
	.round = ROUND,
	.write = write_guest,
	.set_state = set_state,
};
