/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/svm_cpu.h"

#include <string.h>

struct model_features model_features;
struct model_cpu model_cpus[MODEL_CPUS];
const struct svm_rule *model_refused_by;
unsigned model_nmi_starts;
int model_nmi_error;

static _Thread_local struct model_cpu *this_cpu = &model_cpus[0];
static _Thread_local const struct model_step *script;
static _Atomic uint64_t epoch;
static struct svm_limits limits;

/* What IRET goes back to. */
static struct {
	uint64_t rip, rflags;
} frames[MODEL_DELIVERIES];
static unsigned frame_count;

void model_reset(const struct model_features *features)
{
	model_features = *features;
	memset(model_cpus, 0, sizeof(model_cpus));
	for (unsigned i = 0; i < MODEL_CPUS; i++) {
		struct model_cpu *c = &model_cpus[i];

		c->tsc_ratio = UINT64_C(3) << 30; /* as somebody else left it */
		c->vm_cr = (features->svmdis ? SVM_VM_CR_SVMDIS : 0) |
		           (features->lock ? SVM_VM_CR_LOCK : 0);
		c->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
		model_x86_reset(&c->x86, features->xsave, features->avx512, features->xsaves);
		c->fs_base = 0xf5000 + i;
		c->kernel_gs = 0x65000 + i;
	}
	this_cpu = &model_cpus[0];
	script = NULL;
	epoch = 1;
	model_refused_by = NULL;
	model_nmi_starts = 0;
	model_nmi_error = 0;
	model_reset_complaints();
	model_clear_deliveries();
	svm_limits_from_cpuid(&limits, x86_host_cpuid);
}

void model_be(unsigned cpu)
{
	this_cpu = &model_cpus[cpu];
}

struct model_cpu *model_this(void)
{
	return this_cpu;
}

struct model_x86 *model_x86(void)
{
	return &this_cpu->x86;
}

unsigned model_flushes(void)
{
	return this_cpu->flushes;
}

void model_script(const struct model_step *steps)
{
	script = steps;
}

void model_stage2_changed(void)
{
	epoch++;
}

void model_clear_deliveries(void)
{
	model_delivered = 0;
	frame_count = 0;
}

/* --- CPUID and registers --- */

static void cpuid_svm(uint32_t out[4])
{
	const struct model_features *f = &model_features;

	out[0] = 1;
	out[1] = f->asids;
	out[3] = (f->no_npt ? 0u : 1u) | (f->lbrv ? 1u << 1 : 0) | (f->nrip ? 1u << 3 : 0) |
	         (f->tsc_ratio ? 1u << 4 : 0) | (f->clean_bits ? 1u << 5 : 0) |
	         (f->flush_by_asid ? 1u << 6 : 0) | (f->decode_assists ? 1u << 7 : 0) |
	         (f->pause_filter ? 1u << 10 : 0);
}

void x86_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const struct model_features *f = &model_features;

	memset(out, 0, 4 * sizeof(out[0]));
	switch (leaf) {
	case 0: out[0] = 0xd; break;
	case 1: out[2] = (f->xsave ? 1u << 26 : 0) | (f->tcg ? 1u << 31 : 0); break;
	case 7:
		out[1] = 1u << 0 | 1u << 7 | 1u << 20;
		out[2] = f->la57 ? 1u << 16 : 0;
		break;
	case 0xd: model_cpuid_xsave(subleaf, out); break;
	case 0x40000000:
		if (f->tcg)
			memcpy(out + 1, "TCGTCGTCGTCG", 12);
		break;
	case 0x80000000: out[0] = 0x8000001f; break;
	case 0x80000001:
		out[2] = f->no_svm ? 0 : 1u << 2;
		out[3] = 1u << 20 | 1u << 29 | (f->rdtscp ? 1u << 27 : 0);
		break;
	case 0x80000008: out[0] = 48; break;
	case 0x8000000a:
		if (!f->no_svm)
			cpuid_svm(out);
		break;
	default: break;
	}
}

static uint64_t *find_msr(uint32_t msr)
{
	switch (msr) {
	case MSR_EFER: return &this_cpu->efer;
	case MSR_VM_CR: return model_features.no_svm ? NULL : &this_cpu->vm_cr;
	case MSR_VM_HSAVE_PA: return model_features.no_svm ? NULL : &this_cpu->hsave;
	case 0xda0: return model_features.xsaves ? &this_cpu->xss : NULL;
	case MSR_TSC_RATIO: return model_features.tsc_ratio ? &this_cpu->tsc_ratio : NULL;
	case MSR_TSC_AUX: return model_features.rdtscp ? &this_cpu->tsc_aux : NULL;
	default: return NULL;
	}
}

uint64_t x86_host_rdmsr(uint32_t msr)
{
	const uint64_t *value = find_msr(msr);

	if (!value)
		model_complain("#GP: RDMSR %#x", msr);
	return value ? *value : 0;
}

void x86_host_wrmsr(uint32_t msr, uint64_t value)
{
	uint64_t *place = find_msr(msr);

	if (!place || (msr == MSR_EFER && (value & ~limits.efer_valid)) ||
	    (msr == MSR_EFER && (value & X86_EFER_SVME) && (this_cpu->vm_cr & SVM_VM_CR_SVMDIS)) ||
	    (msr == MSR_VM_HSAVE_PA && value % HC_PAGE_SIZE) ||
	    (msr == MSR_TSC_RATIO && value >> 40) ||
	    (msr == MSR_VM_CR && (this_cpu->vm_cr & SVM_VM_CR_LOCK)))
		model_complain("#GP: WRMSR %#x = %#llx", msr, (unsigned long long)value);
	else
		*place = value;
}

uint64_t x86_host_read_cr4(void)
{
	return this_cpu->cr4;
}

void x86_host_write_cr4(uint64_t value)
{
	if (value & ~limits.cr4_valid)
		model_complain("#GP: CR4 = %#llx", (unsigned long long)value);
	this_cpu->cr4 = value;
}

void x86_host_write_cr2(uint64_t value)
{
	this_cpu->cr2 = value;
}

int hc_platform_start_nmis(void)
{
	model_nmi_starts++;
	return model_nmi_error;
}

/* --- VMLOAD and VMSAVE: FS and KernelGSBase stand for all of it --- */

static void vmsave(struct vmcb *v)
{
	v->fs.base = this_cpu->fs_base;
	v->kernel_gs_base = this_cpu->kernel_gs;
}

static void vmload(const struct vmcb *v)
{
	this_cpu->fs_base = v->fs.base;
	this_cpu->kernel_gs = v->kernel_gs_base;
}

void svm_hw_vmsave(hpa_t host)
{
	vmsave((struct vmcb *)(uintptr_t)host.v);
}

/* --- The VMCB cache --- */

struct cached_field {
	uint16_t offset, size;
	uint32_t clean;
	const char *name;
};

#define FIELD(member, group)                                                                       \
	{                                                                                          \
		offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member),                 \
			SVM_CLEAN_##group, #member                                                 \
	}

static const struct cached_field cached_fields[] = {
	FIELD(cr_read, I),
	FIELD(cr_write, I),
	FIELD(dr_read, I),
	FIELD(dr_write, I),
	FIELD(exceptions, I),
	FIELD(intercept, I),
	FIELD(tsc_offset, I),
	FIELD(pause_count, I),
	FIELD(pause_threshold, I),
	FIELD(iopm_pa, IOPM),
	FIELD(msrpm_pa, IOPM),
	FIELD(asid, ASID),
	FIELD(v_tpr, TPR),
	FIELD(v_irq, TPR),
	FIELD(v_intr_prio, TPR),
	FIELD(v_intr_control, TPR),
	FIELD(v_intr_vector, TPR),
	FIELD(np_control, NP),
	FIELD(n_cr3, NP),
	FIELD(g_pat, NP),
	FIELD(cr0, CRX),
	FIELD(cr3, CRX),
	FIELD(cr4, CRX),
	FIELD(efer, CRX),
	FIELD(dr6, DRX),
	FIELD(dr7, DRX),
	FIELD(gdtr, DT),
	FIELD(idtr, DT),
	FIELD(cs, SEG),
	FIELD(ss, SEG),
	FIELD(ds, SEG),
	FIELD(es, SEG),
	FIELD(cpl, SEG),
	FIELD(cr2, CR2),
	FIELD(dbgctl, LBR),
	FIELD(virt_ext, LBR),
};

static void check_clean(const struct vmcb *v)
{
	if (!model_features.clean_bits || this_cpu->cached_pa != (uintptr_t)v)
		return;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cached_fields); i++) {
		const struct cached_field *f = &cached_fields[i];

		if ((v->clean & f->clean) &&
		    memcmp((const uint8_t *)v + f->offset,
		           (const uint8_t *)&this_cpu->cached + f->offset, f->size))
			model_complain("%s changed, but its clean bit %#x is set", f->name,
			               f->clean);
	}
}

static void cache_vmcb(const struct vmcb *v)
{
	this_cpu->cached_pa = (uintptr_t)v;
	this_cpu->cached = *v;
}

/* --- TLB: per ASID, who filled it, and when --- */

static void flush(const struct vmcb *v)
{
	if (v->tlb_control == SVM_TLB_NONE)
		return;
	this_cpu->flushes++;
	for (unsigned i = 0; i < MODEL_ASIDS; i++) {
		if (v->tlb_control == SVM_TLB_FLUSH_ALL || i == v->asid)
			this_cpu->tlb[i].vmcb = 0;
	}
}

static void use_tlb(const struct vmcb *v)
{
	uint64_t me = (uintptr_t)v;

	if (this_cpu->tlb[v->asid].vmcb && this_cpu->tlb[v->asid].vmcb != me)
		model_complain("ASID %u holds another vCPU's translations", v->asid);
	else if (this_cpu->tlb[v->asid].vmcb && this_cpu->tlb[v->asid].epoch != epoch)
		model_complain("ASID %u holds translations from before a change", v->asid);
	this_cpu->tlb[v->asid].vmcb = me;
	this_cpu->tlb[v->asid].epoch = epoch;
}

/* --- The guest --- */

static bool intercepts(const struct vmcb *v, unsigned i)
{
	return v->intercept[i / 32] >> (i % 32) & 1;
}

static void set_exit(struct vmcb *v, uint64_t code, uint64_t info1, uint64_t info2)
{
	v->exitcode = code;
	v->exitinfo1 = info1;
	v->exitinfo2 = info2;
}

static void deliver(struct vmcb *v, uint64_t event)
{
	if (model_delivered >= MODEL_DELIVERIES || frame_count >= MODEL_DELIVERIES) {
		model_complain("more events than the model has room for");
		return;
	}
	model_deliveries[model_delivered++] = (struct model_delivery){
		.type = (uint8_t)SVM_EVENT_TYPE(event),
		.vector = SVM_EVENT_VECTOR(event),
		.has_error_code = event & SVM_EVENT_EV,
		.error_code = event & SVM_EVENT_EV ? SVM_EVENT_ERROR(event) : 0,
		.rip = v->rip,
	};
	if (SVM_EVENT_TYPE(event) == X86_EVENT_INTR &&
	    (!(v->rflags & X86_FLAG_IF) || (v->int_state & SVM_SHADOW)))
		model_complain("an interrupt was injected that the guest cannot take");
	frames[frame_count].rip = v->rip;
	frames[frame_count++].rflags = v->rflags;
	v->rip = MODEL_HANDLER(SVM_EVENT_VECTOR(event));
	v->rflags &= ~(uint64_t)(X86_FLAG_IF | X86_FLAG_TF);
	v->int_state = 0;
}

static void iret(struct vmcb *v)
{
	if (frame_count) {
		frame_count--;
		v->rip = frames[frame_count].rip;
		v->rflags = frames[frame_count].rflags;
	}
}

/* The virtual interrupt comes between instructions. */
static bool virtual_interrupt(struct vmcb *v)
{
	bool above = (v->v_intr_prio & SVM_V_IGN_TPR) || (v->v_intr_prio & 0xf) > v->v_tpr;

	if (!(v->v_irq & SVM_V_IRQ) || !above || !(v->rflags & X86_FLAG_IF) ||
	    (v->int_state & SVM_SHADOW) || (model_features.bochs && !this_cpu->sees_v_irq))
		return false;
	if (intercepts(v, SVM_I_VINTR)) {
		set_exit(v, SVM_EXIT_VINTR, 0, 0);
		return true;
	}
	if (!v->v_intr_vector)
		model_complain("a virtual interrupt that was meant as a window reached the guest");
	if (script->op == OP_NOT_PRESENT) {
		script++;
		if (!model_features.keeps_v_irq)
			v->v_irq = 0;
		deliver(v, SVM_EVENT_EV | (uint64_t)X86_EVENT_EXCEPTION << 8 | X86_VEC_NP);
		return false;
	}
	v->v_irq = 0;
	deliver(v, (uint64_t)X86_EVENT_INTR << 8 | v->v_intr_vector);
	return false;
}

static void exit_first(struct vmcb *v)
{
	set_exit(v, script->code, script->info1, script->info2);
	v->exitintinfo = script->intinfo;
	if (script->intinfo && !intercepts(v, SVM_I_VINTR) && !model_features.keeps_v_irq)
		v->v_irq = 0;
	script++;
}

/* An instruction completes. True if the trap after it exits. */
static bool complete(struct vmcb *v, bool trap, bool shadow)
{
	v->int_state = shadow ? SVM_SHADOW : 0;
	if (!trap)
		return false;
	v->dr6 |= HC_BIT(14);
	if (v->exceptions >> X86_VEC_DB & 1) {
		set_exit(v, SVM_EXIT_EXCP0 + (unsigned)X86_VEC_DB, 0, 0);
		return true;
	}
	deliver(v, (uint64_t)X86_EVENT_EXCEPTION << 8 | X86_VEC_DB);
	return false;
}

static void exit_by_insn(struct vmcb *v, uint64_t code, unsigned len)
{
	set_exit(v, code, 0, 0);
	v->nrip = model_features.nrip ? v->rip + len : 0;
}

static bool comes_first(enum model_op op)
{
	return op == OP_FIRST || op == OP_INTERRUPT;
}

/* 15.30.5: of 40 bits of the factor 32 are behind the point. */
static uint64_t guest_tsc(const struct vmcb *v)
{
	uint64_t tsc = hc_platform_cycles(), ratio = this_cpu->tsc_ratio;

	if (!model_features.tsc_ratio)
		return tsc + v->tsc_offset;
	return (tsc >> 32) * ratio + ((tsc & UINT32_MAX) * (ratio >> 32)) +
	       ((tsc & UINT32_MAX) * (ratio & UINT32_MAX) >> 32) + v->tsc_offset;
}

/* One step; true if the guest exits. */
static bool step(struct vmcb *v, uint64_t *gpr)
{
	const struct model_step *s = script;
	bool trap = (v->rflags & X86_FLAG_TF) != 0;

	switch (s->op) {
	case OP_EXIT:
		script++;
		exit_by_insn(v, s->code, s->len);
		v->exitinfo1 = s->info1;
		v->exitinfo2 = s->info2;
		v->exitintinfo = s->intinfo;
		return true;
	case OP_INSN:
		script++;
		v->rip += s->len;
		return complete(v, trap, false);
	case OP_STI: {
		bool shadow = !(v->rflags & X86_FLAG_IF);

		script++;
		v->rflags |= X86_FLAG_IF;
		v->rip += 1;
		return complete(v, trap, shadow);
	}
	case OP_IRET:
		if (intercepts(v, SVM_I_IRET)) {
			set_exit(v, SVM_EXIT_IRET, 0, 0);
			return true;
		}
		script++;
		iret(v);
		return complete(v, trap, false);
	case OP_CALL:
		script++;
		s->fn(gpr);
		return false;
	case OP_RDTSC:
		script++;
		model_tsc = guest_tsc(v);
		v->rip += 2;
		return complete(v, trap, false);
	case OP_FIRST: exit_first(v); return true;
	case OP_HLT:
		script++;
		exit_by_insn(v, SVM_EXIT_HLT, 1);
		return true;
	case OP_TRIPLE_FAULT:
		script++;
		set_exit(v, SVM_EXIT_SHUTDOWN, 0, 0);
		return true;
	case OP_INTERRUPT:
		script++;
		set_exit(v, SVM_EXIT_INTR, 0, 0);
		return true;
	case OP_MOV_SS:
	case OP_RDMSR:
	case OP_WRMSR:
	case OP_APIC_WRITE:
	case OP_MOV_CR8:
	case OP_POSTED:
	case OP_END:
	default: set_exit(v, SVM_EXIT_INTR, 0, 0); return true;
	}
}

/* --- An interpreter for the backend's self-test: 16-bit code, identity-mapped --- */

static void interpret(struct vmcb *v, uint64_t *gpr)
{
	uint8_t *page = model_first_page(v->n_cr3);

	if (!model_features.bochs && atomic_exchange(&hc_platform_this_cpu()->attention, false)) {
		set_exit(v, SVM_EXIT_INTR, 0, 0);
		return;
	}
	set_exit(v, SVM_EXIT_NPF, 0, v->rip);
	gpr[X86_RAX] = v->rax;
	for (unsigned i = 0; page && i < 100; i++) {
		const uint8_t *p = page + v->rip % HC_PAGE_SIZE;
		int len = model_interpret_one(page, p, gpr, 2);

		v->rax = gpr[X86_RAX];
		if (!len) {
			set_exit(v, p[0] == 0xf4 ? SVM_EXIT_HLT : SVM_EXIT_SHUTDOWN, 0, 0);
			return;
		}
		v->rip += (uint64_t)(int64_t)len;
	}
}

/* --- VMRUN --- */

/* A step, and what a change of IF does on Bochs' CPU. */
static bool step_on(struct vmcb *v, uint64_t *gpr)
{
	bool before = (v->rflags & X86_FLAG_IF) != 0, exits = step(v, gpr);

	this_cpu->sees_v_irq |= !before && v->rflags & X86_FLAG_IF;
	return exits;
}

static bool enter(struct vmcb *v)
{
	if (!(this_cpu->efer & X86_EFER_SVME))
		model_complain("#UD: VMRUN without EFER.SVME");
	if (!this_cpu->hsave)
		model_complain("VMRUN without VM_HSAVE_PA");
	if ((uintptr_t)v % HC_PAGE_SIZE)
		model_complain("#GP: VMCB at %p", (void *)v);
	check_clean(v);
	model_refused_by = svm_check(v, &limits);
	if (!model_refused_by)
		return true;
	this_cpu->refused++;
	set_exit(v, model_features.short_invalid ? UINT32_MAX : UINT64_MAX, 0, 0);
	return false;
}

static void run_guest(struct vmcb *v, uint64_t *gpr)
{
	uint64_t event = v->eventinj;

	flush(v);
	use_tlb(v);
	if (model_features.ignores_shadow)
		v->int_state = 0;
	if (event & SVM_EVENT_V)
		deliver(v, event);
	if ((event & SVM_EVENT_V) && SVM_EVENT_TYPE(event) == X86_EVENT_INTR &&
	    model_features.repeats_intr)
		deliver(v, event);
	if (!script) {
		interpret(v, gpr);
		return;
	}
	this_cpu->sees_v_irq = false;
	while ((comes_first(script->op) || !virtual_interrupt(v)) && !step_on(v, gpr)) {
	}
}

void svm_hw_enter(uint64_t *gpr, hpa_t vmcb, hpa_t host)
{
	struct vmcb *v = (struct vmcb *)(uintptr_t)vmcb.v;
	uint64_t fs_base = this_cpu->fs_base, kernel_gs = this_cpu->kernel_gs;

	this_cpu->entries++;
	vmload(v);
	v->exitintinfo = 0;
	if (!model_features.bochs)
		this_cpu->cr2 = v->cr2;
	if (enter(v))
		run_guest(v, gpr);
	v->cr2 = this_cpu->cr2;
	if (!model_features.keeps_eventinj)
		v->eventinj &= ~SVM_EVENT_V;
	vmsave(v);
	vmload((const struct vmcb *)(uintptr_t)host.v);
	if (this_cpu->fs_base != fs_base || this_cpu->kernel_gs != kernel_gs)
		model_complain("VMLOAD brought back another CPU's state");
	cache_vmcb(v);
}
