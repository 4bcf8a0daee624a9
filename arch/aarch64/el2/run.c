/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry and exit. Every instruction here is paid on every exit: no system register is touched but
 * those of the world switch, unless something asks for it.
 */
#include "arch/aarch64/el2/internal.h"

#define EC_FP 0x07

/* EL0t, EL1t, EL1h of AArch64. With any other the ERET would not leave EL2 (D1.3.3). */
#define LEGAL_MODES (1u << A64_PSTATE_EL0T | 1u << A64_PSTATE_EL1T | 1u << A64_PSTATE_EL1H)

static inline bool can_enter(const struct a64_state *st)
{
	return LEGAL_MODES >> (st->pstate & A64_PSTATE_M) & 1;
}

static __attribute__((noinline, cold)) void refuse(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct a64_state *st = a64_state_of(vcpu);

	exit->reason = HC_EXIT_ENTRY_FAILED;
	exit->pc = st->pc;
	exit->u.raw.code = st->pstate;
	exit->u.raw.info1 = exit->u.raw.info2 = 0;
}

/* By EL2_VECTOR_SYNC. */
static inline bool is_fp_trap(uint64_t left)
{
	return left >> 26 == EC_FP;
}

void el2_run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct a64_state *st = a64_state_of(vcpu);
	uint64_t left;

	if (__builtin_expect((vcpu->dirty & ~(uint32_t)A64_G_CORE) != 0, 0))
		el2_set_state(vcpu, vcpu->dirty);
	vcpu->dirty = 0;
	if (__builtin_expect(!can_enter(st), 0)) {
		refuse(vcpu, exit);
		return;
	}
	for (;;) {
		left = el2_hw_enter(st);
		if (__builtin_expect(!is_fp_trap(left), 1))
			break;
		el2_fp_trap(vcpu);
	}
	vcpu->valid = A64_G_CORE | EL2_G_NEUTRAL;
	el2_decode_exit(vcpu, left, exit);
}
