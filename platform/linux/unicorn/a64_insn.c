/* SPDX-License-Identifier: BSD-2-Clause */
/* The system's instructions: exits, or carried out here, at EL1. Those of an Armv8.0 CPU. */
#include <hypercore/freestanding.h>

#include "platform/linux/unicorn/a64_internal.h"

#define EC_FP  0x07u
#define EC_SVC 0x15u
#define EC_BRK 0x3cu

/* What SPSR_EL1 gives back to PSTATE (Arm ARM C5.2.18, of Armv8.0). */
#define PSTATE_RETURNED                                                                            \
	(A64_PSTATE_NZCV | A64_PSTATE_SS | A64_PSTATE_IL | A64_PSTATE_DAIF | A64_PSTATE_M)

static struct a64_state *state_of(struct unicorn_a64 *v)
{
	return a64_state_of(v->u.vcpu);
}

static enum unicorn_step leave(struct hc_exit *exit, enum hc_exit_reason reason)
{
	exit->reason = reason;
	return UNICORN_EXITS;
}

static enum unicorn_step finish(struct unicorn_a64 *v)
{
	unicorn_a64_host()->skip(v->u.vcpu, state_of(v)->pc + 4);
	return UNICORN_GOES_ON;
}

static enum unicorn_step undefined(struct unicorn_a64 *v)
{
	unicorn_a64_host()->raise(v->u.vcpu, A64_EC_UNKNOWN, 0);
	return UNICORN_GOES_ON;
}

static unsigned rt_of(uint32_t word)
{
	return word & 31;
}

/* --- Registers that are no memory: PSTATE, FPCR, FPSR --- */

#define NUMBER(op1, crn, crm, op2) A64_SYSREG(3, op1, crn, crm, op2)

/* Bits of PSTATE, at their places in it; SPSel and CurrentEL are apart. */
static const struct {
	uint32_t number;
	uint64_t bits;
} pstate_registers[] = {
	{ NUMBER(3, 4, 2, 0), A64_PSTATE_NZCV },
	{ NUMBER(3, 4, 2, 1), A64_PSTATE_DAIF },
};

#define SPSEL     NUMBER(0, 4, 2, 0)
#define CURRENTEL NUMBER(0, 4, 2, 2)
#define FPCR      NUMBER(3, 4, 4, 0)
#define FPSR      NUMBER(3, 4, 4, 1)

static bool read_own(struct unicorn_a64 *v, uint32_t number, uint64_t *value)
{
	const struct a64_state *s = state_of(v);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(pstate_registers); i++)
		if (number == pstate_registers[i].number) {
			*value = s->pstate & pstate_registers[i].bits;
			return true;
		}
	if (number == SPSEL)
		*value = s->pstate & 1;
	else if (number == CURRENTEL)
		*value = s->pstate & 0xc;
	else
		return false;
	return true;
}

static bool write_own(struct unicorn_a64 *v, uint32_t number, uint64_t value)
{
	struct a64_state *s = state_of(v);
	uint64_t bits = number == SPSEL ? 1 : 0;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(pstate_registers); i++)
		if (number == pstate_registers[i].number)
			bits = pstate_registers[i].bits;
	s->pstate = (s->pstate & ~bits) | (value & bits);
	hc_vcpu_dirty(v->u.vcpu, A64_G_CORE);
	return bits != 0;
}

/* CPACR_EL1.FPEN (D17.2.30). */
static bool may_use_fp(const struct unicorn_a64 *v)
{
	return ((const struct a64_state *)v->u.vcpu->state)->sys[A64_CPACR_EL1] >> 20 & 1;
}

static enum unicorn_step trap_fp(struct unicorn_a64 *v)
{
	unicorn_a64_host()->raise(v->u.vcpu, EC_FP, 0x1e00000); /* CV, COND: always */
	return UNICORN_GOES_ON;
}

/* FPCR: AHP, DN, FZ, RMode; FPSR: QC and the cumulative flags (C5.2.7, C5.2.8). */
static enum unicorn_step move_fp(struct unicorn_a64 *v, uint32_t number, bool is_read)
{
	struct a64_state *s = state_of(v);
	uint32_t *reg = number == FPCR ? &s->fpcr : &s->fpsr;
	uint32_t bits = number == FPCR ? 0x07c00000 : 0x0800009f;

	if (!may_use_fp(v))
		return trap_fp(v);
	hc_vcpu_need(v->u.vcpu, A64_G_FP);
	if (is_read) {
		a64_set_x(s, rt_of(v->word), *reg);
	} else {
		*reg = (uint32_t)a64_get_x(s, rt_of(v->word)) & bits;
		hc_vcpu_dirty(v->u.vcpu, A64_G_FP);
	}
	return finish(v);
}

/* MRS, MSR (register), which arch/aarch64 has a table of. */
static enum unicorn_step move(struct unicorn_a64 *v, struct hc_exit *exit)
{
	uint32_t number = v->word >> 5 & 0xffff;
	bool is_read = v->word >> 21 & 1;
	uint64_t value;

	if (number == FPCR || number == FPSR)
		return move_fp(v, number, is_read);
	if (is_read && read_own(v, number, &value)) {
		a64_set_x(state_of(v), rt_of(v->word), value);
		return finish(v);
	}
	if (!is_read && write_own(v, number, a64_get_x(state_of(v), rt_of(v->word))))
		return finish(v);
	exit->u.sysreg.number = number;
	exit->u.sysreg.rt = (uint8_t)rt_of(v->word);
	exit->u.sysreg.write = !is_read;
	return leave(exit, HC_EXIT_SYSREG);
}

/* --- MSR (immediate), C5.1.3 --- */

static enum unicorn_step move_immediate(struct unicorn_a64 *v)
{
	struct a64_state *s = state_of(v);
	unsigned op1 = v->word >> 16 & 7, op2 = v->word >> 5 & 7;
	uint64_t imm = v->word >> 8 & 15;

	if (rt_of(v->word) != 31)
		return undefined(v);
	if (op1 == 0 && op2 == 5) /* SPSel */
		s->pstate = (s->pstate & ~UINT64_C(1)) | (imm & 1);
	else if (op1 == 3 && op2 == 6) /* DAIFSet */
		s->pstate |= imm << 6;
	else if (op1 == 3 && op2 == 7) /* DAIFClr */
		s->pstate &= ~(imm << 6);
	else
		return undefined(v);
	return finish(v);
}

/* --- Hints, caches, TLBs --- */

#define HINT_WFI 0x03u

static enum unicorn_step hint(struct unicorn_a64 *v, struct hc_exit *exit)
{
	return (v->word >> 5 & 0x7f) == HINT_WFI ? leave(exit, HC_EXIT_HALT) : finish(v);
}

/* SYS: what there is to be done for a guest without an MMU. Set and way are in arch/aarch64's table
 * of registers. */
static enum unicorn_step system_instruction(struct unicorn_a64 *v, struct hc_exit *exit)
{
	unsigned crn = v->word >> 12 & 15, crm = v->word >> 8 & 15, op2 = v->word >> 5 & 7;

	if (v->word >> 21 & 1)
		return undefined(v); /* SYSL */
	if (crn == 8)
		return finish(v);                 /* TLBI */
	if (crn == 7 && (crm == 1 || crm == 5)) { /* IC */
		atomic_store(&v->u.code_was_written, true);
		return finish(v);
	}
	if (crn == 7 && crm == 8)
		return unicorn_give_up(&v->u, exit, "AT, which the backend unicorn does not know");
	if (crn == 7 && op2 == 2)
		return move(v, exit); /* DC by set and way */
	if (crn == 7 && (crm == 6 || crm == 10 || crm == 11 || crm == 14))
		return finish(v); /* DC by address */
	return undefined(v);
}

/* --- Exceptions --- */

static enum unicorn_step call(struct unicorn_a64 *v, struct hc_exit *exit)
{
	exit->u.call.immediate = (uint16_t)(v->word >> 5);
	return leave(exit, HC_EXIT_HYPERCALL);
}

/* 1101 0100 opc imm16 op2 LL (C4.1.66). HLT is UNDEFINED, as halting is not allowed. */
static enum unicorn_step exception(struct unicorn_a64 *v, struct hc_exit *exit)
{
	uint32_t imm = v->word >> 5 & 0xffff;

	switch (v->word & 0xffe0001f) {
	case 0xd4000001:
		state_of(v)->pc += 4;
		unicorn_a64_host()->raise(v->u.vcpu, EC_SVC, imm);
		return UNICORN_GOES_ON;
	case 0xd4000002:
	case 0xd4000003: return call(v, exit);
	case 0xd4200000: unicorn_a64_host()->raise(v->u.vcpu, EC_BRK, imm); return UNICORN_GOES_ON;
	default: return undefined(v);
	}
}

/* An illegal return sets PSTATE.IL and leaves the exception level (D1.4.3). */
static enum unicorn_step exception_return(struct unicorn_a64 *v)
{
	struct a64_state *s = state_of(v);
	uint64_t spsr = s->sys[A64_SPSR_EL1], mode = spsr & A64_PSTATE_M;
	bool is_legal =
		mode == A64_PSTATE_EL0T || mode == A64_PSTATE_EL1T || mode == A64_PSTATE_EL1H;

	if (v->word != 0xd69f03e0)
		return undefined(v); /* DRPS, ERETAA, ERETAB */
	if (!is_legal)
		spsr = (spsr & ~(uint64_t)A64_PSTATE_M) | (s->pstate & A64_PSTATE_M) |
		       A64_PSTATE_IL;
	s->pstate = spsr & PSTATE_RETURNED;
	s->pc = s->sys[A64_ELR_EL1];
	hc_vcpu_dirty(v->u.vcpu, A64_G_CORE);
	return UNICORN_GOES_ON;
}

/* --- Dispatch: 1101 0101 00 L op0 op1 CRn CRm op2 Rt (C4.1.66) --- */

static bool is_eret(uint32_t word)
{
	return (word & 0xffdf0000) == 0xd69f0000;
}

/* DC ZVA is a store, barriers and CLREX are Unicorn's. */
static bool is_system(uint32_t word)
{
	if ((word & 0xffffffe0) == 0xd50b7420 || (word & 0xfffff000) == 0xd5033000)
		return false;
	return (word & 0xffc00000) == 0xd5000000 || (word & 0xff000000) == 0xd4000000 ||
	       is_eret(word);
}

/* SIMD and floating point: bits 28:25 are x111, or a load or store with V (Arm ARM C4.1). */
static bool is_fp(uint32_t word)
{
	return (word & 0x0e000000) == 0x0e000000 || (word & 0x0e000000) == 0x0c000000;
}

/* Unicorn does not look at CPACR_EL1 again once it is written. */
bool unicorn_a64_is_ours(const struct unicorn_a64 *v, uint32_t word)
{
	return is_system(word) || (is_fp(word) && !may_use_fp(v));
}

enum unicorn_step unicorn_a64_instruction(struct unicorn_a64 *v, struct hc_exit *exit)
{
	exit->next_pc = exit->pc + 4;
	if (is_fp(v->word))
		return trap_fp(v);
	if ((v->word & 0xff000000) == 0xd4000000)
		return exception(v, exit);
	if (is_eret(v->word))
		return exception_return(v);
	if (v->word >> 20 & 1 || (v->word >> 19 & 3) > 1)
		return move(v, exit);
	if (v->word >> 19 & 1)
		return system_instruction(v, exit);
	if ((v->word & 0xfffff01f) == 0xd503201f)
		return hint(v, exit);
	if ((v->word >> 12 & 15) == 4 && !(v->word >> 21 & 1))
		return move_immediate(v);
	return undefined(v);
}
