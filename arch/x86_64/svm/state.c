/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The neutral state and where its parts live: in the VMCB, or, between load() and put(), in the
 * CPU's own registers (FPU, DR0..DR3, TSC_AUX), which VMRUN does not switch. CR2 is put in both:
 * VMRUN of Bochs (2.7, 3.0) does not load it (SvmEnterLoadCheckGuestState).
 */
#include <hypercore/freestanding.h>

#include "arch/x86_64/svm/internal.h"

static void get_seg(struct x86_segment *s, const struct vmcb_seg *v)
{
	s->selector = v->selector;
	s->attr = v->attr;
	s->limit = v->limit;
	s->base = v->base;
}

static void set_seg(struct vmcb_seg *v, const struct x86_segment *s)
{
	v->selector = s->selector;
	v->attr = s->attr & 0xfff;
	v->limit = s->limit;
	v->base = s->base;
}

/* --- Core --- */

static void get_core(struct svm_vcpu *sv, struct x86_state *st)
{
	st->gpr[X86_RAX] = sv->vmcb->rax;
	st->gpr[X86_RSP] = sv->vmcb->rsp;
	st->rip = sv->vmcb->rip;
	st->rflags = sv->vmcb->rflags;
}

static void set_core(struct svm_vcpu *sv, struct x86_state *st)
{
	sv->vmcb->rax = st->gpr[X86_RAX];
	sv->vmcb->rsp = st->gpr[X86_RSP];
	sv->vmcb->rflags = st->rflags;
	svm_sync_rip(sv->vmcb, st);
}

/* --- Control registers. SVME has to be set in the VMCB, and is none of the guest's business. ---
 */

static void get_cr(struct svm_vcpu *sv, struct x86_state *st)
{
	const struct vmcb *v = sv->vmcb;

	st->cr0 = v->cr0;
	st->cr2 = v->cr2;
	st->cr3 = v->cr3;
	st->cr4 = v->cr4;
	st->efer = v->efer & ~X86_EFER_SVME;
	st->cpl = v->cpl;
	st->pdptes_loaded = 0;
}

static void set_cr(struct svm_vcpu *sv, struct x86_state *st)
{
	struct vmcb *v = sv->vmcb;

	v->cr0 = st->cr0;
	v->cr2 = st->cr2;
	v->cr3 = st->cr3;
	v->cr4 = st->cr4;
	v->efer = st->efer | X86_EFER_SVME;
	v->cpl = st->cpl;
	if (sv->loaded)
		x86_host_write_cr2(v->cr2);
	/* The guest may have changed its tables on another backend since. */
	sv->asid_generation = 0;
}

/* --- Segments --- */

static void get_cs(struct svm_vcpu *sv, struct x86_state *st)
{
	get_seg(&st->seg[X86_CS], &sv->vmcb->cs);
}

static void set_cs(struct svm_vcpu *sv, struct x86_state *st)
{
	set_seg(&sv->vmcb->cs, &st->seg[X86_CS]);
}

static void get_tr(struct x86_segment *s, const struct vmcb_seg *v)
{
	get_seg(s, v);
	s->attr |= X86_ATTR_TSS_BUSY;
}

/* QEMU's LTR leaves TR's type as it was in the descriptor, and its check of the I/O permission map
 * knows no other type: with a busy TSS every port is refused at CPL 3 (target/i386/tcg, check_io).
 */
static void set_tr(struct vmcb_seg *v, const struct x86_segment *s)
{
	set_seg(v, s);
	if (svm_caps.tcg)
		v->attr &= (uint16_t)~X86_ATTR_TSS_BUSY;
}

static void get_segments(struct svm_vcpu *sv, struct x86_state *st)
{
	const struct vmcb *v = sv->vmcb;

	get_seg(&st->seg[X86_ES], &v->es);
	get_seg(&st->seg[X86_SS], &v->ss);
	get_seg(&st->seg[X86_DS], &v->ds);
	get_seg(&st->seg[X86_FS], &v->fs);
	get_seg(&st->seg[X86_GS], &v->gs);
	get_seg(&st->seg[X86_LDTR], &v->ldtr);
	get_tr(&st->seg[X86_TR], &v->tr);
}

static void set_segments(struct svm_vcpu *sv, struct x86_state *st)
{
	struct vmcb *v = sv->vmcb;

	set_seg(&v->es, &st->seg[X86_ES]);
	set_seg(&v->ss, &st->seg[X86_SS]);
	set_seg(&v->ds, &st->seg[X86_DS]);
	set_seg(&v->fs, &st->seg[X86_FS]);
	set_seg(&v->gs, &st->seg[X86_GS]);
	set_seg(&v->ldtr, &st->seg[X86_LDTR]);
	set_tr(&v->tr, &st->seg[X86_TR]);
}

static void get_dt(struct svm_vcpu *sv, struct x86_state *st)
{
	st->gdtr.base = sv->vmcb->gdtr.base;
	st->gdtr.limit = (uint16_t)sv->vmcb->gdtr.limit;
	st->idtr.base = sv->vmcb->idtr.base;
	st->idtr.limit = (uint16_t)sv->vmcb->idtr.limit;
}

static void set_dt(struct svm_vcpu *sv, struct x86_state *st)
{
	sv->vmcb->gdtr.base = st->gdtr.base;
	sv->vmcb->gdtr.limit = st->gdtr.limit;
	sv->vmcb->idtr.base = st->idtr.base;
	sv->vmcb->idtr.limit = st->idtr.limit;
}

/* --- Debug registers --- */

static void get_dr(struct svm_vcpu *sv, struct x86_state *st)
{
	st->dr6 = sv->vmcb->dr6;
	st->dr7 = sv->vmcb->dr7;
	if (sv->loaded)
		x86_host_read_dr(st->dr);
}

static void set_dr(struct svm_vcpu *sv, struct x86_state *st)
{
	sv->vmcb->dr6 = st->dr6;
	sv->vmcb->dr7 = st->dr7;
	if (sv->loaded)
		x86_host_write_dr(st->dr);
}

/* --- MSRs --- */

static void get_msr(struct svm_vcpu *sv, struct x86_state *st)
{
	const struct vmcb *v = sv->vmcb;

	st->msr_star = v->star;
	st->msr_lstar = v->lstar;
	st->msr_cstar = v->cstar;
	st->msr_sfmask = v->sfmask;
	st->msr_kernel_gs_base = v->kernel_gs_base;
	st->msr_sysenter_cs = v->sysenter_cs;
	st->msr_sysenter_esp = v->sysenter_esp;
	st->msr_sysenter_eip = v->sysenter_eip;
	st->msr_pat = v->g_pat;
	st->msr_debugctl = v->dbgctl;
	st->tsc_offset = v->tsc_offset;
	if (sv->loaded && svm_caps.tsc_aux)
		st->msr_tsc_aux = x86_host_rdmsr(MSR_TSC_AUX);
}

static void set_msr(struct svm_vcpu *sv, struct x86_state *st)
{
	struct vmcb *v = sv->vmcb;

	v->star = st->msr_star;
	v->lstar = st->msr_lstar;
	v->cstar = st->msr_cstar;
	v->sfmask = st->msr_sfmask;
	v->kernel_gs_base = st->msr_kernel_gs_base;
	v->sysenter_cs = st->msr_sysenter_cs;
	v->sysenter_esp = st->msr_sysenter_esp;
	v->sysenter_eip = st->msr_sysenter_eip;
	v->g_pat = st->msr_pat;
	v->dbgctl = st->msr_debugctl;
	v->tsc_offset = st->tsc_offset;
	/* DBGCTL is the guest's own only with LBR virtualization; it costs, so only on demand. */
	v->virt_ext = svm_caps.lbrv && st->msr_debugctl ? SVM_LBR_VIRT : 0;
	if (sv->loaded && svm_caps.tsc_aux)
		x86_host_wrmsr(MSR_TSC_AUX, (uint32_t)st->msr_tsc_aux);
}

/* --- Events --- */

static void get_event(struct svm_vcpu *sv, struct x86_state *st)
{
	svm_sync_rip(sv->vmcb, st);
	svm_event_decode(sv->vmcb->eventinj, &st->events.reinject);
	st->events.interrupt_shadow = (sv->vmcb->int_state & SVM_SHADOW) != 0;
	st->events.nmi_masked = sv->nmi.masked;
}

static void set_event(struct svm_vcpu *sv, struct x86_state *st)
{
	bool masked = st->events.nmi_masked;

	/* A software interrupt's RIP is that of its INT instruction, which comes again. */
	sv->vmcb->eventinj = svm_event_again(svm_event_encode(&st->events.reinject));
	sv->vmcb->int_state = st->events.interrupt_shadow ? SVM_SHADOW : 0;
	sv->track = true;
	if (masked != sv->nmi.masked)
		sv->nmi = (struct svm_nmi){ .masked = masked, .window = sv->nmi.window };
	svm_intercept(sv->vmcb, SVM_I_IRET, masked && !sv->nmi.iret);
}

/* --- FPU --- */

/* Out of the CPU and in again: the guest goes on with it. */
static void get_fpu(struct svm_vcpu *sv, struct x86_state *st)
{
	if (!sv->loaded)
		return;
	x86_fpu_out(st);
	if (x86_fpu_caps.xsave)
		x86_host_xsetbv(st->xcr0);
}

static void set_fpu(struct svm_vcpu *sv, struct x86_state *st)
{
	if (sv->loaded)
		x86_fpu_in(st);
}

/* --- Groups --- */

/* By the number of the bit in enum x86_state_group. */
static const struct {
	void (*get)(struct svm_vcpu *sv, struct x86_state *st);
	void (*set)(struct svm_vcpu *sv, struct x86_state *st);
	uint32_t group, clean; /* clean: what set makes stale in the CPU's cache of the VMCB */
} groups_table[] = {
	{ get_core, set_core, X86_G_CORE, 0 },
	{ get_cr, set_cr, X86_G_CR, SVM_CLEAN_CRX | SVM_CLEAN_CR2 | SVM_CLEAN_SEG },
	{ get_cs, set_cs, X86_G_CS, SVM_CLEAN_SEG },
	{ get_segments, set_segments, X86_G_SEG, SVM_CLEAN_SEG },
	{ get_dt, set_dt, X86_G_DT, SVM_CLEAN_DT },
	{ get_dr, set_dr, X86_G_DR, SVM_CLEAN_DRX },
	{ get_msr, set_msr, X86_G_MSR, SVM_CLEAN_NP | SVM_CLEAN_I | SVM_CLEAN_LBR },
	{ get_event, set_event, X86_G_EVENT, 0 },
	{ get_fpu, set_fpu, X86_G_FPU, 0 },
};

_Static_assert(1u << HC_ARRAY_SIZE(groups_table) == X86_G_ALL + 1u, "one row per group");

void svm_get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	/* What every access to a device looks at. */
	if (__builtin_expect(groups == (X86_G_CR | X86_G_CS), 1)) {
		get_cr(svm_vcpu_of(vcpu), x86_state_of(vcpu));
		get_cs(svm_vcpu_of(vcpu), x86_state_of(vcpu));
		return;
	}
	for (groups &= X86_G_ALL; groups; groups &= groups - 1)
		groups_table[__builtin_ctz(groups)].get(svm_vcpu_of(vcpu), x86_state_of(vcpu));
}

void svm_get_code_state(struct hc_vcpu *vcpu)
{
	svm_get_state(vcpu, X86_G_CR | X86_G_CS);
	vcpu->valid |= X86_G_CR | X86_G_CS;
}

void svm_set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);

	for (groups &= X86_G_ALL; groups; groups &= groups - 1) {
		unsigned i = (unsigned)__builtin_ctz(groups);

		groups_table[i].set(sv, x86_state_of(vcpu));
		sv->vmcb->clean &= ~groups_table[i].clean;
	}
}

/* It is the CPU's, whoever its guest is, and costs time to write. */
static void put_tsc_ratio(struct svm_cpu *cpu, const struct x86_state *st)
{
	uint64_t ratio = st->tsc_ratio ? st->tsc_ratio >> 16 : SVM_TSC_RATIO_1;

	if (!svm_caps.tsc_ratio || cpu->tsc_ratio == ratio)
		return;
	cpu->tsc_ratio = ratio;
	x86_host_wrmsr(MSR_TSC_RATIO, ratio);
}

void svm_load(struct hc_vcpu *vcpu)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);
	struct x86_state *st = x86_state_of(vcpu);
	uint64_t n_cr3 = s2_root(&vcpu->vm->s2).v;

	if (sv->vmcb->n_cr3 != n_cr3) {
		sv->vmcb->n_cr3 = n_cr3;
		sv->vmcb->clean &= ~SVM_CLEAN_NP;
	}
	sv->here = svm_cpu_of(vcpu->cpu);
	svm_hw_vmsave(sv->here->host_pa);
	x86_fpu_in(st);
	x86_host_write_dr(st->dr);
	x86_host_write_cr2(sv->vmcb->cr2);
	if (svm_caps.tsc_aux)
		x86_host_wrmsr(MSR_TSC_AUX, (uint32_t)st->msr_tsc_aux);
	put_tsc_ratio(sv->here, st);
	sv->loaded = true;
}

/* What is dirty is newer in the neutral state than in the CPU. */
void svm_put(struct hc_vcpu *vcpu)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);
	struct x86_state *st = x86_state_of(vcpu);

	if (!(vcpu->dirty & X86_G_FPU))
		x86_fpu_out(st);
	if (!(vcpu->dirty & X86_G_DR))
		x86_host_read_dr(st->dr);
	if (!(vcpu->dirty & X86_G_MSR) && svm_caps.tsc_aux)
		st->msr_tsc_aux = x86_host_rdmsr(MSR_TSC_AUX);
	sv->loaded = false;
}
