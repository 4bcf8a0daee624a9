/* SPDX-License-Identifier: BSD-2-Clause */
/* The x86 guest architecture as the core sees it, and a CPU's state after reset. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/internal.h"
#include "arch/x86_64/msr.h"

/* A segment as real mode has it. */
static struct x86_segment real_segment(uint16_t selector, uint64_t base, uint16_t attr)
{
	return (struct x86_segment){ selector, attr, 0xffff, base };
}

#define ATTR_DATA (X86_ATTR_P | X86_ATTR_S | 0x3u) /* read/write, accessed */
#define ATTR_CODE (X86_ATTR_P | X86_ATTR_S | 0xbu) /* execute/read, accessed */
#define ATTR_LDT  (X86_ATTR_P | 0x2u)
#define ATTR_TSS  (X86_ATTR_P | 0xbu) /* busy: VM entry wants TR to be */

static void reset_segments(struct x86_state *s)
{
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		s->seg[i] = real_segment(0, 0, ATTR_DATA);
	s->seg[X86_CS] = real_segment(0xf000, 0xffff0000, ATTR_CODE);
	s->seg[X86_LDTR].attr = ATTR_LDT;
	s->seg[X86_TR].attr = ATTR_TSS;
	s->gdtr = s->idtr = (struct x86_dtable){ 0, 0xffff };
}

/* FCW and MXCSR are not zero after reset, and FNINIT's FCW is another one. */
static void reset_fpu(struct x86_state *s)
{
	static const uint16_t fcw = 0x0040;
	static const uint32_t mxcsr = 0x1f80;

	memset(s->xsave, 0, sizeof(s->xsave));
	memcpy(&s->xsave[0], &fcw, sizeof(fcw));
	memcpy(&s->xsave[24], &mxcsr, sizeof(mxcsr));
	s->xcr0 = 1;
}

/* The TSCs of a machine begin together, however long after the first CPU the others are made, and
 * however often one is set to another start: guests take them for one clock. */
static uint64_t first_tsc_offset(const struct x86_vcpu *x)
{
	const struct hc_vcpu *boot = x->vcpu.vm->vcpus[0];
	const struct x86_state *s = boot ? boot->state : NULL;

	return s ? s->tsc_offset
	         : 0 - x86_tsc_scale(hc_platform_cycles(), x86_vm_of(x->vcpu.vm)->tsc_ratio);
}

/* What INIT leaves alone: FPU, XCR0, TSC and the MSRs that table 9-1 does not name. */
static void power_on(struct x86_vcpu *x)
{
	struct x86_state *s = &x->state;
	uint64_t tsc_offset = first_tsc_offset(x);

	memset(s, 0, sizeof(*s));
	reset_fpu(s);
	s->cr0 = X86_CR0_CD | X86_CR0_NW;
	s->msr_pat = UINT64_C(0x0007040600070406);
	s->tsc_ratio = x86_vm_of(x->vcpu.vm)->tsc_ratio;
	s->tsc_offset = tsc_offset;
	x86_msr_reset(x);
}

void x86_vcpu_reset(struct hc_vcpu *vcpu, bool is_power_on)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);
	struct x86_state *s = &x->state;

	if (is_power_on)
		power_on(x);
	else
		hc_vcpu_need(vcpu, X86_G_ALL);
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_RDX] = x86_cpuid_signature(vcpu->vm);
	s->rip = 0xfff0;
	s->rflags = X86_FLAG_1;
	s->cr0 = (s->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	s->cr2 = s->cr3 = s->cr4 = s->efer = 0;
	s->cpl = s->pdptes_loaded = 0;
	reset_segments(s);
	memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->msr_debugctl = 0;
	s->events = (struct x86_events){ 0 };
	x->pending_exception.valid = 0;
	x->pending_extint.valid = 0;
	atomic_store(&x->nmi_pending, false);
	x86_apic_reset(vcpu, is_power_on);
	atomic_store(&x->mp_state, X86_MP_RUNNABLE);
	hc_vcpu_dirty(vcpu, X86_G_ALL);
}

static int vm_init(struct hc_vm *vm)
{
	int rc = x86_tsc_init(vm);

	if (rc)
		return rc;
	x86_cpuid_init(vm);
	x86_msr_init(x86_vm_of(vm));
	return 0;
}

static void vm_fini(struct hc_vm *vm)
{
	/* Everything is inside struct x86_vm. */
}

static int vcpu_init(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	int rc = x86_apic_init(vcpu);

	if (rc)
		return rc;
	vcpu->state = &x->state;
	x86_cpuid_set_cpus(vcpu->vm, vcpu->id + 1); /* vCPUs are made in order */
	x86_code_forget(vcpu);
	x86_vcpu_reset(vcpu, true);
	if (vcpu->id)
		atomic_store(&x->mp_state, X86_MP_WAIT_SIPI);
	/* Those that wait for start-up find out before they would first run. */
	x86_request_event(vcpu);
	return 0;
}

static void vcpu_fini(struct hc_vcpu *vcpu)
{
	x86_apic_fini(vcpu);
}

const struct hc_arch_ops x86_arch_ops = {
	.name = "x86-64",
	.isa = HC_ISA_X86_64,
	.max_vcpus = X86_MAX_VCPUS,
	.vm_size = sizeof(struct x86_vm),
	.vcpu_size = sizeof(struct x86_vcpu),
	.vm_init = vm_init,
	.vm_fini = vm_fini,
	.vcpu_init = vcpu_init,
	.vcpu_fini = vcpu_fini,
	.handlers = x86_exit_handlers,
	.before_entry = x86_before_entry,
	.has_event = x86_has_event,
	.deliver_msi = x86_apic_deliver_msi,
};
