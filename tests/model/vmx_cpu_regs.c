/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID, MSRs, control registers and DR6 of the model of a CPU with VT-x. */
#include <string.h>

#include "tests/model/vmx_cpu_vmcs.h"

#define CR4_VMXE HC_BIT(13)

void model_reset_registers(void)
{
	for (unsigned i = 0; i < MODEL_CPUS; i++) {
		struct model_cpu *c = &model_cpus[i];

		c->feature_control = model_features.feature_control;
		model_x86_reset(&c->x86, model_features.xsave, model_features.avx512,
		                model_features.xsaves);
		c->dr6 = 0xffff0ff0;
		c->kernel_gs = 0x65000 + i;
		c->host = (struct vmx_host){
			.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP,
			.cr3 = 0x9000,
			.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR,
			.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE,
			.pat = UINT64_C(0x0007040600070106),
			.fs_base = 0xf5000 + i,
			.gs_base = UINT64_C(0xffff888000000000) + i,
			.tr_base = UINT64_C(0xffff800000070000) + i * HC_PAGE_SIZE,
			.gdtr_base = UINT64_C(0xffff800000060000) + i * HC_PAGE_SIZE,
			.idtr_base = UINT64_C(0xffff800000050000),
			.cs = 0x08,
			.ss = 0x10,
			.tr = (uint16_t)(0x28 + 0x10 * i),
		};
	}
}

/* --- CPUID --- */

void x86_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const struct model_features *f = &model_features;

	memset(out, 0, 4 * sizeof(out[0]));
	switch (leaf) {
	case 0: out[0] = 0xd; break;
	case 1: out[2] = (f->no_vmx ? 0 : 1u << 5) | (f->xsave ? 1u << 26 : 0); break;
	case 7: out[1] = 1u << 0 | 1u << 7 | 1u << 20 | (f->invpcid ? 1u << 10 : 0); break;
	case 0xd: model_cpuid_xsave(subleaf, out); break;
	case 0x80000000: out[0] = 0x80000008; break;
	case 0x80000001: out[3] = 1u << 20 | 1u << 29 | (f->rdtscp ? 1u << 27 : 0); break;
	case 0x80000008: out[0] = f->caps.phys_bits | (uint32_t)f->caps.linear_bits << 8; break;
	default: break;
	}
}

/* --- MSRs --- */

/* The control MSRs that know no TRUE ones: bits that once had to be 1 have to (appendix A.2). */
static bool old_controls(uint32_t msr, uint64_t *value)
{
	const struct vmx_cap_msrs *c = &model_features.caps;

	switch (msr) {
	case MSR_IA32_VMX_PINBASED_CTLS: *value = c->pin | 0x16; return true;
	case MSR_IA32_VMX_PROCBASED_CTLS: *value = c->cpu | 0x0401e172; return true;
	case MSR_IA32_VMX_EXIT_CTLS: *value = c->exit | 0x36dff; return true;
	case MSR_IA32_VMX_ENTRY_CTLS: *value = c->entry | 0x11ff; return true;
	default: return false;
	}
}

static bool true_controls(uint32_t msr, uint64_t *value)
{
	const struct vmx_cap_msrs *c = &model_features.caps;

	if (!(c->basic & VMX_BASIC_TRUE))
		return false;
	switch (msr) {
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS: *value = c->pin; return true;
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS: *value = c->cpu; return true;
	case MSR_IA32_VMX_TRUE_EXIT_CTLS: *value = c->exit; return true;
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS: *value = c->entry; return true;
	default: return false;
	}
}

/* Those that are there only where a control's bit may be 1 (A.3.3, A.10, A.11). */
static bool optional_caps(uint32_t msr, uint64_t *value)
{
	const struct vmx_cap_msrs *c = &model_features.caps;
	bool secondary = VMX_MAY_BE_1(c->cpu) & VMX_CPU_SECONDARY;
	uint32_t cpu2 = secondary ? VMX_MAY_BE_1(c->cpu2) : 0;

	switch (msr) {
	case MSR_IA32_VMX_PROCBASED_CTLS2: *value = c->cpu2; return secondary;
	case MSR_IA32_VMX_EPT_VPID_CAP:
		*value = c->ept_vpid;
		return cpu2 & (VMX_CPU2_EPT | VMX_CPU2_VPID);
	case MSR_IA32_VMX_VMFUNC: *value = c->vmfunc; return cpu2 & VMX_CPU2_VMFUNC;
	default: return false;
	}
}

static bool vmx_caps_msr(uint32_t msr, uint64_t *value)
{
	const struct vmx_cap_msrs *c = &model_features.caps;

	if (model_features.no_vmx)
		return false;
	switch (msr) {
	case MSR_IA32_VMX_BASIC: *value = c->basic; return true;
	case MSR_IA32_VMX_MISC: *value = c->misc; return true;
	case MSR_IA32_VMX_CR0_FIXED0: *value = c->cr0_fixed0; return true;
	case MSR_IA32_VMX_CR0_FIXED1: *value = c->cr0_fixed1; return true;
	case MSR_IA32_VMX_CR4_FIXED0: *value = c->cr4_fixed0; return true;
	case MSR_IA32_VMX_CR4_FIXED1: *value = c->cr4_fixed1; return true;
	default:
		return old_controls(msr, value) || true_controls(msr, value) ||
		       optional_caps(msr, value);
	}
}

static uint64_t *find_msr(uint32_t msr)
{
	struct model_cpu *c = model_this();

	switch (msr) {
	case MSR_IA32_FEATURE_CONTROL: return model_features.no_vmx ? NULL : &c->feature_control;
	case 0x175: return &c->host.sysenter_esp;
	case 0x176: return &c->host.sysenter_eip;
	case 0x1d9: return &c->debugctl;
	case 0x277: return &c->host.pat;
	case 0xda0: return model_features.xsaves ? &c->xss : NULL;
	case 0xc0000080: return &c->host.efer;
	case 0xc0000081: return &c->star;
	case 0xc0000082: return &c->lstar;
	case 0xc0000083: return &c->cstar;
	case 0xc0000084: return &c->sfmask;
	case 0xc0000100: return &c->host.fs_base;
	case 0xc0000101: return &c->host.gs_base;
	case 0xc0000102: return &c->kernel_gs;
	case 0xc0000103: return model_features.rdtscp ? &c->tsc_aux : NULL;
	default: return NULL;
	}
}

uint64_t x86_host_rdmsr(uint32_t msr)
{
	const uint64_t *place = find_msr(msr);
	uint64_t value = 0;

	if (place)
		return *place;
	if (msr == 0x174)
		return model_this()->host.sysenter_cs;
	if (!vmx_caps_msr(msr, &value))
		model_complain("#GP: RDMSR %#x", msr);
	return value;
}

static bool msr_takes(uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_IA32_FEATURE_CONTROL:
		return !(model_this()->feature_control & VMX_FEATURE_CONTROL_LOCK);
	case 0xc0000080:
		return !(value & ~(X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE));
	case 0x175:
	case 0x176:
	case 0xc0000082:
	case 0xc0000083:
	case 0xc0000100:
	case 0xc0000101:
	case 0xc0000102: return model_canonical(value);
	case 0xc0000084:
	case 0xc0000103: return value <= UINT32_MAX;
	default: return true;
	}
}

void x86_host_wrmsr(uint32_t msr, uint64_t value)
{
	uint64_t *place = find_msr(msr);

	if (msr == 0x174)
		model_this()->host.sysenter_cs = (uint32_t)value;
	else if (!place || !msr_takes(msr, value))
		model_complain("#GP: WRMSR %#x = %#llx", msr, (unsigned long long)value);
	else
		*place = value;
}

/* --- Control and debug registers --- */

uint64_t x86_host_read_cr0(void)
{
	return model_this()->host.cr0;
}

void x86_host_write_cr0(uint64_t value)
{
	const struct vmx_cap_msrs *c = &model_features.caps;

	if (model_this()->vmx_on &&
	    ((value & c->cr0_fixed0) != c->cr0_fixed0 || (value & ~c->cr0_fixed1)))
		model_complain("#GP: CR0 = %#llx in VMX operation", (unsigned long long)value);
	model_this()->host.cr0 = value;
}

uint64_t x86_host_read_cr2(void)
{
	return model_this()->cr2;
}

void x86_host_write_cr2(uint64_t value)
{
	model_this()->cr2 = value;
}

uint64_t x86_host_read_cr4(void)
{
	return model_this()->host.cr4;
}

void x86_host_write_cr4(uint64_t value)
{
	uint64_t valid = model_features.no_vmx ? ~CR4_VMXE : model_features.caps.cr4_fixed1;

	if ((value & ~valid) || (model_this()->vmx_on && !(value & CR4_VMXE)) ||
	    ((value & X86_CR4_OSXSAVE) && !model_features.xsave))
		model_complain("#GP: CR4 = %#llx", (unsigned long long)value);
	model_this()->host.cr4 = value;
}

uint64_t x86_host_read_dr6(void)
{
	return model_this()->dr6;
}

void x86_host_write_dr6(uint64_t value)
{
	if (value >> 32)
		model_complain("#GP: DR6 = %#llx", (unsigned long long)value);
	model_this()->dr6 = value;
}

/* --- Events of the machine --- */

void x86_host_nmi(void)
{
	model_this()->nmis++;
}

void x86_host_interrupt(uint8_t vector)
{
	struct model_cpu *c = model_this();

	if (!c->holds_vector || c->vector != vector)
		model_complain("vector %#x is handled, which no exit acknowledged", vector);
	c->holds_vector = false;
	c->interrupts++;
}

uint8_t hc_platform_posting_vector(void)
{
	return 0xd3;
}

void hc_platform_post(struct hc_cpu *cpu)
{
	model_cpus[cpu->id].posts++;
}
