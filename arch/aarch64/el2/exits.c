/* SPDX-License-Identifier: BSD-2-Clause */
/* From ESR_EL2 to struct hc_exit (Arm ARM D17.2.37). */
#include <hypercore/freestanding.h>

#include "arch/aarch64/el2/internal.h"
#include "core/log.h"

/* Fills in what the row's reason asks for; pc and next_pc = pc + 4 are there. May change the
 * reason. */
typedef void (*decode_fn)(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit);

struct exit_row {
	decode_fn decode;
	enum hc_exit_reason reason;
	const char *name;
};

static void decode_nothing(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
}

static void decode_raw(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	exit->u.raw.code = esr;
	exit->u.raw.info1 = el2_hw_far();
	exit->u.raw.info2 = el2_hw_hpfar();
}

/* ELR_EL2 is already that of the next instruction, unlike SMC's (D1.3.6). */
static void decode_hvc(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	exit->next_pc = exit->pc;
	exit->pc -= 4;
	a64_state_of(vcpu)->pc = exit->pc;
	exit->u.word = 0;
	exit->u.call.immediate = (uint16_t)esr;
}

static void decode_smc(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	exit->u.word = 0;
	exit->u.call.immediate = (uint16_t)esr;
}

/* ISS: Op0 21:20, Op2 19:17, Op1 16:14, CRn 13:10, Rt 9:5, CRm 4:1; bit 0: a read. */
static void decode_sysreg(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	uint32_t iss = ESR_ISS(esr);

	exit->u.sysreg.number = (iss >> 20 & 3) << 14 | (iss >> 14 & 7) << 11 |
	                        (iss >> 10 & 15) << 7 | (iss >> 1 & 15) << 3 | (iss >> 17 & 7);
	exit->u.sysreg.rt = iss >> 5 & 31;
	exit->u.sysreg.write = !(iss & 1);
}

/* HPFAR_EL2 is not set by permission faults but on walks (D17.2.60): the guest's own stage 1 says
 * where its address leads. False: not any more. */
static bool fault_address(uint64_t esr, gva_t gva, gpa_t *gpa)
{
	uint64_t offset = gva.v % HC_PAGE_SIZE;

	if (esr & ISS_S1PTW) {
		*gpa = gpa_of(hc_bits(el2_hw_hpfar(), 43, 4) << HC_PAGE_SHIFT);
		return true;
	}
	if (ISS_FSC_KIND(esr) != A64_FSC_PERM) {
		*gpa = gpa_of(hc_bits(el2_hw_hpfar(), 43, 4) << HC_PAGE_SHIFT | offset);
		return true;
	}
	uint64_t par = el2_hw_translate(gva);

	*gpa = gpa_of(hc_bits(par, 47, 12) << HC_PAGE_SHIFT | offset);
	return !(par & PAR_F);
}

static void decode_stage2(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit,
                          enum hc_access access)
{
	struct hc_exit_stage2 *s = &exit->u.stage2;

	s->gva = gva_of(el2_hw_far());
	if (__builtin_expect(!fault_address(esr, s->gva, &s->gpa), 0)) {
		exit->reason = HC_EXIT_INTERRUPT; /* it comes again, or takes another way */
		return;
	}
	s->access = (uint8_t)access;
	s->in_walk = (esr & ISS_S1PTW) != 0;
	s->present = ISS_FSC_KIND(esr) == A64_FSC_PERM;
	s->insn_len = 0;
	s->described = access != HC_ACCESS_EXEC && !s->in_walk && (esr & ISS_ISV) != 0;
	s->width = (uint8_t)(1u << ISS_SAS(esr));
	s->is_signed = (esr & ISS_SSE) != 0;
	s->is_64 = (esr & ISS_SF) != 0;
	s->rt = (uint8_t)ISS_SRT(esr);
	s->is_cache = access != HC_ACCESS_EXEC && (esr & ISS_CM) != 0;
}

#define FSC_TLB_CONFLICT 0x30

/* Aborts that stage 2 did not cause: real memory or a real device answered with an error. */
static __attribute__((noinline, cold)) void other_abort(struct hc_vcpu *vcpu, uint64_t esr,
                                                        struct hc_exit *exit, bool fetch)
{
	if (ISS_FSC(esr) == FSC_TLB_CONFLICT) {
		el2_hw_tlbi_vmall();
		exit->reason = HC_EXIT_INTERRUPT;
	} else if (ISS_FSC(esr) == A64_FSC_EXTERNAL || ISS_FSC_KIND(esr) == A64_FSC_WALK) {
		a64_raise_external(vcpu, gva_of(el2_hw_far()), fetch,
		                   !fetch && (esr & ISS_WNR) != 0);
		exit->reason = HC_EXIT_INTERRUPT;
	} else {
		exit->reason = HC_EXIT_UNKNOWN;
		decode_raw(vcpu, esr, exit);
	}
}

static inline bool is_stage2(uint64_t esr)
{
	return ISS_FSC(esr) < A64_FSC_EXTERNAL;
}

/* A walk is a read, but where the CPU updates the guest's tables itself (FEAT_HAFDBS). */
static void decode_data_abort(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	if (__builtin_expect(is_stage2(esr), 1))
		decode_stage2(vcpu, esr, exit, esr & ISS_WNR ? HC_ACCESS_WRITE : HC_ACCESS_READ);
	else
		other_abort(vcpu, esr, exit, false);
}

static void decode_fetch_abort(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	if (is_stage2(esr))
		decode_stage2(vcpu, esr, exit, esr & ISS_S1PTW ? HC_ACCESS_READ : HC_ACCESS_EXEC);
	else
		other_abort(vcpu, esr, exit, true);
}

/* What is the guest's to deal with, and came here only because something routed it so. */
static void reflect(struct hc_vcpu *vcpu, struct hc_exit *exit, unsigned ec)
{
	a64_raise_at(vcpu, ec, 0, gva_of(el2_hw_far()));
	exit->reason = HC_EXIT_INTERRUPT;
}

static void decode_pc_alignment(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	reflect(vcpu, exit, A64_EC_PC_ALIGN);
}

static void decode_sp_alignment(struct hc_vcpu *vcpu, uint64_t esr, struct hc_exit *exit)
{
	reflect(vcpu, exit, A64_EC_SP_ALIGN);
}

/* clang-format off */
#define ROW(ec, reason, decode, name) [ec] = { decode, HC_EXIT_##reason, name }
#define UNDEFINED(ec, name) ROW(ec, UNDEFINED, decode_nothing, name)
#define UNALLOCATED(from, to) [from ... to] = { decode_raw, HC_EXIT_UNKNOWN, "unallocated" }

static const struct exit_row rows[64] = {
	UNDEFINED(0x00, "unknown reason"),
	ROW(0x01, HALT, decode_nothing, "WFI"), /* WFE is not trapped: HCR_EL2.TWE */
	UNDEFINED(0x03, "AArch32 MCR, CP15"),
	UNDEFINED(0x04, "AArch32 MCRR, CP15"),
	UNDEFINED(0x05, "AArch32 MCR, CP14"),
	UNDEFINED(0x06, "AArch32 LDC, CP14"),
	ROW(0x07, UNKNOWN, decode_raw, "SIMD and floating point"), /* run.c's own */
	UNDEFINED(0x08, "AArch32 VMRS"),
	UNDEFINED(0x09, "pointer authentication"),
	UNDEFINED(0x0a, "LD64B, ST64B"),
	UNDEFINED(0x0c, "AArch32 MRRC, CP14"),
	UNDEFINED(0x0d, "branch target"),
	UNDEFINED(A64_EC_ILLEGAL, "illegal execution state"),
	UNDEFINED(0x11, "AArch32 SVC"),
	UNDEFINED(0x12, "AArch32 HVC"),
	UNDEFINED(0x13, "AArch32 SMC"),
	UNDEFINED(0x14, "MSRR, MRRS"),
	ROW(0x15, UNKNOWN, decode_raw, "SVC"),
	ROW(0x16, HYPERCALL, decode_hvc, "HVC"),
	ROW(0x17, HYPERCALL, decode_smc, "SMC"),
	ROW(0x18, SYSREG, decode_sysreg, "MSR, MRS"),
	UNDEFINED(0x19, "SVE"),
	UNDEFINED(0x1a, "ERET"),
	UNDEFINED(0x1b, "TSTART"),
	UNDEFINED(0x1c, "pointer authentication failure"),
	UNDEFINED(0x1d, "SME"),
	ROW(A64_EC_IABT_LOWER, STAGE2, decode_fetch_abort, "instruction abort"),
	ROW(A64_EC_PC_ALIGN, UNKNOWN, decode_pc_alignment, "PC alignment"),
	ROW(A64_EC_DABT_LOWER, STAGE2, decode_data_abort, "data abort"),
	ROW(A64_EC_SP_ALIGN, UNKNOWN, decode_sp_alignment, "SP alignment"),
	UNDEFINED(0x27, "memory copy"),
	UNDEFINED(0x28, "AArch32 floating point"),
	ROW(0x2c, UNKNOWN, decode_raw, "floating point"),
	ROW(0x2d, UNKNOWN, decode_raw, "guarded control stack"),
	ROW(0x2f, UNKNOWN, decode_raw, "SError"),
	ROW(0x30, UNKNOWN, decode_raw, "breakpoint"),
	ROW(0x32, UNKNOWN, decode_raw, "software step"),
	ROW(0x34, UNKNOWN, decode_raw, "watchpoint"),
	UNDEFINED(0x38, "AArch32 BKPT"),
	UNDEFINED(0x3a, "AArch32 vector catch"),
	ROW(0x3c, UNKNOWN, decode_raw, "BRK"),
	UNALLOCATED(0x02, 0x02),
	UNALLOCATED(0x0b, 0x0b),
	UNALLOCATED(0x0f, 0x10),
	UNALLOCATED(0x1e, 0x1f),
	UNALLOCATED(0x21, 0x21),
	UNALLOCATED(0x23, 0x23),
	UNALLOCATED(0x25, 0x25),
	UNALLOCATED(0x29, 0x2b),
	UNALLOCATED(0x2e, 0x2e),
	UNALLOCATED(0x31, 0x31),
	UNALLOCATED(0x33, 0x33),
	UNALLOCATED(0x35, 0x37),
	UNALLOCATED(0x39, 0x39),
	UNALLOCATED(0x3b, 0x3b),
	UNALLOCATED(0x3d, 0x3f),
};
/* clang-format on */

static __attribute__((noinline, cold)) void decode_serror(struct hc_exit *exit, uint64_t left)
{
	exit->reason = HC_EXIT_SERROR;
	exit->u.serror.syndrome = EL2_LEFT_SYNDROME(left);
}

void el2_decode_exit(struct hc_vcpu *vcpu, uint64_t left, struct hc_exit *exit)
{
	uint64_t pc = a64_state_of(vcpu)->pc;

	exit->pc = pc;
	exit->next_pc = pc + 4;
	if (__builtin_expect(EL2_LEFT_VECTOR(left) != EL2_VECTOR_SYNC, 0)) {
		exit->reason = HC_EXIT_INTERRUPT;
		if (EL2_LEFT_VECTOR(left) == EL2_VECTOR_SERROR)
			decode_serror(exit, left);
		return;
	}
	const struct exit_row *row = &rows[ESR_EC(left)];

	exit->reason = row->reason;
	row->decode(vcpu, left, exit);
}

void el2_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	uint64_t code = exit->u.raw.code;

	if (exit->reason == HC_EXIT_ENTRY_FAILED)
		hc_snprintf(buf, size,
		            "PSTATE %#llx: mode %#x is none that the guest has (EL0t, EL1t, EL1h)",
		            (unsigned long long)code, (unsigned)(code & A64_PSTATE_M));
	else
		hc_snprintf(buf, size, "ESR_EL2 %#llx (%s), FAR_EL2 %#llx, HPFAR_EL2 %#llx",
		            (unsigned long long)code, rows[ESR_EC(code)].name,
		            (unsigned long long)exit->u.raw.info1,
		            (unsigned long long)exit->u.raw.info2);
}
