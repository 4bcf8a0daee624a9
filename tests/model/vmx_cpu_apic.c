/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's MSRs, and the local APIC as the CPU virtualizes it (SDM Vol. 3C chapter 30). */
#include "tests/model/vmx_cpu.h"

#define MSR_X2APIC 0x800u
#define WRITES     0x800u /* where in the MSR bitmap they begin */

static bool has_cpu2(uint64_t bits)
{
	return (model_get(VMCS_SECONDARY_CONTROLS) & bits) == bits;
}

static bool has_tpr_shadow(void)
{
	return model_get(VMCS_PRIMARY_CONTROLS) & VMX_CPU_TPR_SHADOW;
}

bool model_exit_is_trap(void)
{
	return model_get(VMCS_EXIT_REASON) == VMX_REASON_TPR_BELOW_THRESHOLD;
}

/* --- The virtual-APIC page --- */

static uint32_t *virtual_register(uint32_t offset)
{
	uint8_t *page = (uint8_t *)(uintptr_t)model_get(VMCS_VIRTUAL_APIC_ADDRESS);

	return (uint32_t *)(void *)(page + offset);
}

/* 30.1.2: a TPR below the threshold exits, after the instruction. */
static bool tpr_written(void)
{
	if (hc_bits(*virtual_register(APIC_TPR), 7, 4) >=
	    hc_bits(model_get(VMCS_TPR_THRESHOLD), 3, 0))
		return false;
	model_set_exit(VMX_REASON_TPR_BELOW_THRESHOLD, 0);
	return true;
}

/* --- MSRs (26.1.3, 30.5) --- */

static bool is_intercepted(uint32_t msr, unsigned base)
{
	const uint8_t *bitmap = (const uint8_t *)(uintptr_t)model_get(VMCS_MSR_BITMAP) + base;

	if (msr - 0xc0000000 <= 0x1fff)
		bitmap += 0x400;
	else if (msr > 0x1fff)
		return true;
	return bitmap[(msr & 0x1fff) / 8] >> (msr % 8) & 1;
}

static bool msr_exit(uint32_t reason)
{
	model_set_exit(reason, 0);
	model_set(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	return true;
}

static bool is_x2apic(uint32_t msr)
{
	return msr - MSR_X2APIC <= 0xff;
}

/* Without virtualization of all registers there is TPR alone. */
static bool reads_page(uint32_t msr)
{
	if (!is_x2apic(msr) || !has_cpu2(VMX_CPU2_X2APIC_MODE) || !has_tpr_shadow())
		return false;
	return has_cpu2(VMX_CPU2_APIC_REGISTERS) || msr == MSR_X2APIC + APIC_TPR / 16;
}

bool model_rdmsr(uint64_t *gpr)
{
	uint32_t msr = (uint32_t)gpr[X86_RCX];

	if (is_intercepted(msr, 0))
		return msr_exit(VMX_REASON_RDMSR);
	if (reads_page(msr)) {
		const uint32_t *value = virtual_register((msr & 0xff) << 4);

		gpr[X86_RAX] = value[0];
		gpr[X86_RDX] = value[1];
	} else if (is_x2apic(msr)) {
		model_complain("the guest reads the host's local APIC: RDMSR %#x", msr);
	}
	return false;
}

static bool general_protection(void)
{
	model_complain("#GP in the guest, which the model does not deliver");
	return false;
}

static bool write_x2apic_tpr(uint64_t value)
{
	if (value >> 8)
		return general_protection();
	*virtual_register(APIC_TPR) = (uint32_t)value;
	return tpr_written();
}

bool model_wrmsr(uint64_t *gpr)
{
	uint64_t value = gpr[X86_RDX] << 32 | (uint32_t)gpr[X86_RAX];
	uint32_t msr = (uint32_t)gpr[X86_RCX];

	if (is_intercepted(msr, WRITES))
		return msr_exit(VMX_REASON_WRMSR);
	if (!is_x2apic(msr))
		return false;
	if (has_cpu2(VMX_CPU2_X2APIC_MODE) && has_tpr_shadow() && msr == MSR_X2APIC + APIC_TPR / 16)
		return write_x2apic_tpr(value);
	model_complain("the guest writes to the host's local APIC: WRMSR %#x", msr);
	return false;
}
