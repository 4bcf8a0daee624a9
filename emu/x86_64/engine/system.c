/* SPDX-License-Identifier: BSD-2-Clause */
/* Which system instruction is which function, and those that have no file of their own. */
#include <hypercore/errno.h>

#include "core/vcpu.h"
#include "emu/x86_64/engine/system.h"
#include "emu/x86_64/native/native.h"
#include "platform/platform.h"

/* --- Instructions that exit --- */

static void call_cpuid(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_leave_insn(c, in, HC_EXIT_CPUID);
}

static void call_hlt(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_need_cpl0(c);
	emu_leave_insn(c, in, HC_EXIT_HALT);
}

static void call_hypercall(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_leave_insn(c, in, HC_EXIT_HYPERCALL);
}

static void call_cache(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_need_cpl0(c);
	emu_leave_insn(c, in, HC_EXIT_CACHE);
}

/* --- MSRs: the bases are the engine's own, the others have handlers --- */

#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u

static uint64_t *base_msr(struct x86_state *s)
{
	switch ((uint32_t)s->gpr[X86_RCX]) {
	case MSR_FS_BASE: return &s->seg[X86_FS].base;
	case MSR_GS_BASE: return &s->seg[X86_GS].base;
	case MSR_KERNEL_GS_BASE: return &s->msr_kernel_gs_base;
	default: return NULL;
	}
}

static void call_rdmsr(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	const uint64_t *base = base_msr(s);

	emu_need_cpl0(c);
	if (!base)
		emu_leave_insn(c, in, HC_EXIT_MSR_READ);
	s->gpr[X86_RAX] = (uint32_t)*base;
	s->gpr[X86_RDX] = *base >> 32;
}

static void call_wrmsr(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint64_t *base = base_msr(s), value = s->gpr[X86_RDX] << 32 | (uint32_t)s->gpr[X86_RAX];

	emu_need_cpl0(c);
	if (!base)
		emu_leave_insn(c, in, HC_EXIT_MSR_WRITE);
	if (!emu_is_canonical(s, value))
		emu_gp(c);
	*base = value;
}

/* --- Time and place --- */

/* RDTSC, RDTSCP */
static void call_rdtsc(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint64_t tsc;

	if (s->cr4 & X86_CR4_TSD && s->cpl)
		emu_gp(c);
	if (in->op == X86_OP_RDTSCP)
		emu_native_lfence();
	tsc = x86_tsc_of(s, hc_platform_cycles());
	s->gpr[X86_RAX] = (uint32_t)tsc;
	s->gpr[X86_RDX] = tsc >> 32;
	if (in->op == X86_OP_RDTSCP)
		s->gpr[X86_RCX] = (uint32_t)s->msr_tsc_aux;
}

static void call_rdpid(struct emu_cpu *c, const struct x86_insn *in)
{
	c->s->gpr[in->rm] = (uint32_t)c->s->msr_tsc_aux;
}

/* There are no counters: no index is valid. */
static void call_rdpmc(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_gp(c);
}

/* --- Caches, order, hints --- */

static void call_nothing(struct emu_cpu *c, const struct x86_insn *in)
{
}

static void call_lfence(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_native_lfence();
}

static void call_mfence(struct emu_cpu *c, const struct x86_insn *in)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* A load as far as faults go, of no data. */
static void call_clflush(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t va = emu_insn_linear(c, in, 1, EMU_READ);
	struct emu_page page;
	struct x86_fault fault;

	if (c->host->translate(c->vcpu, gva_of(va), HC_ACCESS_READ, false, &page, &fault) ==
	    -EFAULT)
		emu_raise_fault(c, NULL, &fault);
}

#define LINE UINT64_C(64)

static void call_clzero(struct emu_cpu *c, const struct x86_insn *in)
{
	static const uint8_t zeros[LINE];
	uint64_t offset = c->s->gpr[X86_RAX] & alu_mask(in->adsize) & ~(LINE - 1);

	emu_write(c, emu_linear(c, NULL, in->seg, offset, (unsigned)LINE, EMU_WRITE), zeros,
	          (unsigned)LINE, EMU_WRITE);
}

#define PAUSES 4096

/* Somebody who waits that long may wait for a vCPU that shares the CPU with this one. */
static void call_pause(struct emu_cpu *c, const struct x86_insn *in)
{
	if (++c->pauses % PAUSES)
		return;
	atomic_fetch_or_explicit(&c->vcpu->requests, HC_REQ_YIELD, memory_order_relaxed);
	c->exit->reason = HC_EXIT_INTERRUPT;
	c->exit->next_pc = c->s->rip;
	emu_leave(c, NULL);
}

void emu_call_undefined(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_ud(c);
}

/* --- The table --- */

/* clang-format off */
#define ON(op_, fn_)  [X86_OP_##op_] = { fn_, EMU_CALL }
#define END(op_, fn_) [X86_OP_##op_] = { fn_, EMU_CALL_END }
#define UD(op_)       [X86_OP_##op_] = { emu_call_undefined, EMU_CALL_END }

static const struct emu_call_row rows[X86_OP_COUNT] = {
	ON(MOV_FROM_SREG, emu_call_mov_from_sreg), END(MOV_TO_SREG, emu_call_mov_to_sreg),
	ON(PUSH_SREG, emu_call_push_sreg), END(POP_SREG, emu_call_pop_sreg),
	END(LES, emu_call_load_far_pointer), END(LDS, emu_call_load_far_pointer),
	END(LSS, emu_call_load_far_pointer), END(LFS, emu_call_load_far_pointer),
	END(LGS, emu_call_load_far_pointer),
	ON(SWAPGS, emu_call_swapgs),
	ON(RDFSBASE, emu_call_rdfsbase), ON(RDGSBASE, emu_call_rdfsbase),
	ON(WRFSBASE, emu_call_wrfsbase), ON(WRGSBASE, emu_call_wrfsbase),

	ON(SGDT, emu_call_sgdt), ON(SIDT, emu_call_sgdt),
	ON(LGDT, emu_call_lgdt), ON(LIDT, emu_call_lidt),
	ON(SLDT, emu_call_sldt), ON(STR, emu_call_str),
	ON(LLDT, emu_call_lldt), ON(LTR, emu_call_ltr),
	ON(LAR, emu_call_lar), ON(LSL, emu_call_lsl),
	ON(VERR, emu_call_verr), ON(VERW, emu_call_verw), ON(ARPL, emu_call_arpl),

	END(JMP_FAR, emu_call_jmp_far), END(CALL_FAR, emu_call_call_far),
	END(RET_FAR, emu_call_ret_far), END(IRET, emu_call_iret),
	END(SYSCALL, emu_call_syscall), END(SYSRET, emu_call_sysret),
	END(SYSENTER, emu_call_sysenter), END(SYSEXIT, emu_call_sysexit),
	END(INT, emu_call_int), END(INT1, emu_call_int1), END(INT3, emu_call_int3),
	END(INTO, emu_call_into),

	ON(PUSHF, emu_call_pushf), END(POPF, emu_call_popf),
	ON(CLI, emu_call_cli), END(STI, emu_call_sti),
	ON(CLAC, emu_call_clac), ON(STAC, emu_call_stac),

	ON(MOV_FROM_CR, emu_call_mov_from_cr), END(MOV_TO_CR, emu_call_mov_to_cr),
	ON(MOV_FROM_DR, emu_call_mov_from_dr), END(MOV_TO_DR, emu_call_mov_to_dr),
	ON(SMSW, emu_call_smsw), END(LMSW, emu_call_lmsw), END(CLTS, emu_call_clts),
	ON(XGETBV, emu_call_xgetbv), END(XSETBV, emu_call_xsetbv),
	END(INVLPG, emu_call_invlpg), END(INVPCID, emu_call_invpcid),

	END(CPUID, call_cpuid), END(HLT, call_hlt),
	ON(RDMSR, call_rdmsr), ON(WRMSR, call_wrmsr),
	END(IN, emu_call_in), END(OUT, emu_call_out),
	END(INS, emu_call_ins), END(OUTS, emu_call_outs),
	END(VMCALL, call_hypercall), END(VMMCALL, call_hypercall),
	END(INVD, call_cache), END(WBINVD, call_cache), END(WBNOINVD, call_cache),
	ON(RDTSC, call_rdtsc), ON(RDTSCP, call_rdtsc), ON(RDPID, call_rdpid),
	ON(RDPMC, call_rdpmc),

	ON(LFENCE, call_lfence), ON(SFENCE, call_nothing), ON(MFENCE, call_mfence),
	ON(PREFETCH, call_nothing), ON(CLFLUSH, call_clflush), ON(CLFLUSHOPT, call_clflush),
	ON(CLWB, call_clflush), ON(CLZERO, call_clzero), ON(PAUSE, call_pause),

	/* Not offered by CPUID. */
	UD(MONITOR), UD(MWAIT), UD(MONITORX), UD(MWAITX), UD(UMONITOR), UD(UMWAIT), UD(TPAUSE),
	UD(XBEGIN), UD(XABORT), UD(XEND), UD(XTEST), UD(ENCLS), UD(ENCLU), UD(ENCLV), UD(PCONFIG),
	UD(RDPKRU), UD(WRPKRU), UD(RDPRU), UD(RSM), UD(GETSEC), UD(MOVDIR64B), UD(ENQCMD),
	UD(ENQCMDS), UD(INCSSP), UD(RDSSP), UD(SAVEPREVSSP), UD(RSTORSSP), UD(WRSS), UD(WRUSS),
	UD(SETSSBSY), UD(CLRSSBSY),
	UD(VMLAUNCH), UD(VMRESUME), UD(VMXOFF), UD(VMXON), UD(VMCLEAR), UD(VMPTRLD), UD(VMPTRST),
	UD(VMREAD), UD(VMWRITE), UD(VMFUNC), UD(INVEPT), UD(INVVPID),
	UD(VMRUN), UD(VMLOAD), UD(VMSAVE), UD(STGI), UD(CLGI), UD(SKINIT), UD(INVLPGA),
	UD(INVLPGB), UD(TLBSYNC),
	UD(UD0), UD(UD1), UD(UD2),
};
/* clang-format on */

struct emu_call_row emu_system_call(const struct x86_insn *in)
{
	return in->op < X86_OP_COUNT ? rows[in->op] : (struct emu_call_row){ NULL, EMU_CALL };
}
