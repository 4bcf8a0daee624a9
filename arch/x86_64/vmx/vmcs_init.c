/* SPDX-License-Identifier: BSD-2-Clause */
/* What a VMCS holds for good, what it holds of the CPU, and the permission bitmaps. */
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"

/* PAUSEs that are at most so many cycles apart are one loop, and a loop may go on for so long until
 * others get a turn (SDM Vol. 3C 26.1.3). */
#define PLE_GAP    128
#define PLE_WINDOW 65536

/* #DB and #AC can be made to recur for ever within their own delivery, with interrupts never
 * served: each round has to come out (CVE-2015-8104, CVE-2015-5307). #MC is the host's. */
#define EXCEPTIONS (1u << X86_VEC_DB | 1u << X86_VEC_AC | 1u << X86_VEC_MC)

static void write_controls(struct vmx_vcpu *vv)
{
	const struct vmx_caps *c = &vmx_caps;

	vmx_hw_write(VMCS_PIN_BASED_CONTROLS, c->pin);
	vmx_hw_write(VMCS_PRIMARY_CONTROLS, c->cpu);
	vmx_hw_write(VMCS_SECONDARY_CONTROLS, c->cpu2);
	vmx_hw_write(VMCS_EXIT_CONTROLS, c->exit);
	vmx_hw_write(VMCS_ENTRY_CONTROLS, c->entry);
	vv->cpu_controls = c->cpu;
	vv->cpu2_controls = c->cpu2;
	vv->entry_controls = c->entry;
	if (c->pause_loop) {
		vmx_hw_write(VMCS_PLE_GAP, PLE_GAP);
		vmx_hw_write(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	if (c->pin & VMX_PIN_PREEMPTION_TIMER)
		vmx_hw_write(VMCS_PREEMPTION_TIMER_VALUE, VMX_NO_LIMIT);
	/* There are no bits in IA32_XSS to exit for. */
	if (c->xsaves)
		vmx_hw_write(VMCS_XSS_EXITING_BITMAP, 0);
	/* Of all leaves: a guest has no SGX. */
	if (c->cpu2 & VMX_CPU2_ENCLS)
		vmx_hw_write(VMCS_ENCLS_EXITING_BITMAP, UINT64_MAX);
}

static void write_addresses(const struct vmx_vcpu *vv)
{
	hpa_t io = hc_platform_to_hpa(vv->vm->io_bitmap);

	vmx_hw_write(VMCS_IO_BITMAP_A, io.v);
	vmx_hw_write(VMCS_IO_BITMAP_B, io.v + HC_PAGE_SIZE);
	vmx_hw_write(VMCS_MSR_BITMAP, hc_platform_to_hpa(vv->vm->msr_bitmap).v);
	vmx_hw_write(VMCS_VIRTUAL_APIC_ADDRESS, vv->virtual_apic.v);
	if (vmx_caps.apic_registers)
		vmx_hw_write(VMCS_APIC_ACCESS_ADDRESS, hc_platform_to_hpa(vv->vm->apic_access).v);
}

/* A region that was never a VMCS holds nothing that is known (25.11.3). */
static const struct {
	uint32_t field;
	uint64_t value;
} constants[] = {
	{ VMCS_EXCEPTION_BITMAP, EXCEPTIONS },
	{ VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0 }, /* with bit 14 of the bitmap 0: no #PF exits */
	{ VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0 },
	{ VMCS_CR3_TARGET_COUNT, 0 },
	{ VMCS_TSC_OFFSET, 0 },
	{ VMCS_TPR_THRESHOLD, 0 },
	{ VMCS_EXIT_MSR_STORE_COUNT, 0 },
	{ VMCS_EXIT_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_INTERRUPTION_INFO, 0 },
	{ VMCS_VMCS_LINK_POINTER, UINT64_MAX }, /* no shadow VMCS */
	{ VMCS_GUEST_IA32_DEBUGCTL, 0 },
	{ VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVE },
	{ VMCS_GUEST_INTERRUPTIBILITY, 0 },
	{ VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0 },
};

void vmx_vmcs_init(struct vmx_vcpu *vv)
{
	write_controls(vv);
	write_addresses(vv);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(constants); i++)
		vmx_hw_write(constants[i].field, constants[i].value);
}

void vmx_vmcs_set_host(void)
{
	struct vmx_host h;

	vmx_hw_read_host(&h);

	const struct {
		uint32_t field;
		uint64_t value;
	} fields[] = {
		{ VMCS_HOST_CR0, h.cr0 },
		{ VMCS_HOST_CR3, h.cr3 },
		{ VMCS_HOST_CR4, h.cr4 },
		{ VMCS_HOST_IA32_EFER, h.efer },
		{ VMCS_HOST_IA32_PAT, h.pat },
		{ VMCS_HOST_CS_SELECTOR, h.cs },
		{ VMCS_HOST_SS_SELECTOR, h.ss },
		{ VMCS_HOST_DS_SELECTOR, 0 },
		{ VMCS_HOST_ES_SELECTOR, 0 },
		{ VMCS_HOST_FS_SELECTOR, 0 },
		{ VMCS_HOST_GS_SELECTOR, 0 },
		{ VMCS_HOST_TR_SELECTOR, h.tr },
		{ VMCS_HOST_FS_BASE, h.fs_base },
		{ VMCS_HOST_GS_BASE, h.gs_base },
		{ VMCS_HOST_TR_BASE, h.tr_base },
		{ VMCS_HOST_GDTR_BASE, h.gdtr_base },
		{ VMCS_HOST_IDTR_BASE, h.idtr_base },
		{ VMCS_HOST_IA32_SYSENTER_CS, h.sysenter_cs },
		{ VMCS_HOST_IA32_SYSENTER_ESP, h.sysenter_esp },
		{ VMCS_HOST_IA32_SYSENTER_EIP, h.sysenter_eip },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(fields); i++)
		vmx_hw_write(fields[i].field, fields[i].value);
}

/* Only in xAPIC mode are there registers in the page. That accesses to it are virtualized stays, or
 * translations of it would have to be dropped (29.4.4). */
void vmx_sync_cpu2(struct hc_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	bool scales = x86_state_of(vcpu)->tsc_ratio != 0;
	uint32_t controls = vmx_caps.cpu2 | (vv->logs ? (uint32_t)VMX_CPU2_PML : 0) |
	                    (scales ? (uint32_t)VMX_CPU2_TSC_SCALING : 0);

	if (!x86_apic_has_page(&x86_vcpu_of(vcpu)->apic, X86_APIC_BASE))
		controls &= ~(uint32_t)VMX_CPU2_APIC_REGISTERS;
	if (vv->cpu2_controls == controls)
		return;
	vv->cpu2_controls = controls;
	vmx_hw_write(VMCS_SECONDARY_CONTROLS, controls);
}

/* --- Permission bitmap --- */

/* MSRs that entries and exits or load() and put() switch: only these may be open. */
static const struct {
	uint32_t first, last;
} switched[] = {
	{ 0x174, 0x176 },           /* SYSENTER_CS, _ESP, _EIP */
	{ 0xc0000081, 0xc0000084 }, /* STAR, LSTAR, CSTAR, SFMASK */
	{ 0xc0000100, 0xc0000102 }, /* FS.base, GS.base, KernelGSBase */
};

#define WRITES 0x800 /* where in the bitmap those for writes begin (25.6.9) */

static void open_msr(uint8_t *bitmap, uint32_t msr)
{
	uint32_t byte = (msr & 0x1fff) / 8 + (msr >= 0xc0000000 ? 0x400 : 0);
	uint8_t mask = (uint8_t)(1u << (msr % 8));

	bitmap[byte] = (uint8_t)(bitmap[byte] & ~mask);
	bitmap[WRITES + byte] = (uint8_t)(bitmap[WRITES + byte] & ~mask);
}

static bool is_direct(const struct x86_msr_policy *policy, unsigned count, uint32_t msr)
{
	for (unsigned p = 0; p < count; p++)
		if (msr >= policy[p].first && msr <= policy[p].last)
			return policy[p].kind == X86_MSR_DIRECT;
	return false;
}

void vmx_msr_bitmap_init(uint8_t *bitmap, const struct x86_msr_policy *policy, unsigned count)
{
	memset(bitmap, 0xff, HC_PAGE_SIZE);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(switched); i++)
		for (uint32_t msr = switched[i].first; msr <= switched[i].last; msr++)
			if (is_direct(policy, count, msr))
				open_msr(bitmap, msr);
}
