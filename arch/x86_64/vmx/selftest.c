/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the test guest on EPT tables of its own: in real mode, or, on a CPU without unrestricted
 * guest, in 32-bit mode with paging.
 */
#include <hypercore/errno.h>

#include "arch/x86_64/host/selftest.h"
#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"
#include "mmu/ept.h"

/* --- The guest's state --- */

#define DATA   0x93 /* writable and accessed, as after reset */
#define CODE   0x9b
#define LDT    0x82
#define WIDE   0xc000u /* G and D/B */
#define TSS_16 0x83    /* busy */
#define DR7    0x400
#define PAT    UINT64_C(0x0007040600070406)

/* As after reset; with_32: code and data of 32 bits and 4 GiB. */
static void write_segments(bool with_32)
{
	static const uint8_t rights[X86_SEG_COUNT] = {
		[X86_ES] = DATA, [X86_CS] = CODE, [X86_SS] = DATA,  [X86_DS] = DATA,
		[X86_FS] = DATA, [X86_GS] = DATA, [X86_LDTR] = LDT, [X86_TR] = TSS_16,
	};

	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		bool wide = with_32 && i <= X86_GS;

		vmx_hw_write(VMCS_GUEST_SELECTOR(i), 0);
		vmx_hw_write(VMCS_GUEST_BASE(i), 0);
		vmx_hw_write(VMCS_GUEST_LIMIT(i), wide ? UINT32_MAX : 0xffff);
		vmx_hw_write(VMCS_GUEST_ACCESS_RIGHTS(i), wide ? rights[i] | WIDE : rights[i]);
	}
}

static void write_state(bool with_32)
{
	uint64_t cr0 = vmx_caps.cr0_fixed | X86_CR0_ET;
	const struct {
		uint32_t field;
		uint64_t value;
	} fields[] = {
		{ VMCS_CR0_GUEST_HOST_MASK, UINT64_MAX },
		{ VMCS_CR4_GUEST_HOST_MASK, UINT64_MAX },
		{ VMCS_CR0_READ_SHADOW, cr0 },
		{ VMCS_CR4_READ_SHADOW, 0 },
		{ VMCS_GUEST_CR0, cr0 },
		{ VMCS_GUEST_CR3, 0 },
		{ VMCS_GUEST_CR4, vmx_caps.cr4_fixed | (with_32 ? X86_CR4_PSE : 0) },
		{ VMCS_GUEST_DR7, DR7 },
		{ VMCS_GUEST_RIP, X86_SELFTEST_RIP },
		{ VMCS_GUEST_RSP, 0 },
		{ VMCS_GUEST_RFLAGS, X86_FLAG_1 },
		{ VMCS_GUEST_IA32_PAT, PAT },
		{ VMCS_GUEST_IA32_EFER, 0 },
		{ VMCS_GUEST_IA32_SYSENTER_CS, 0 },
		{ VMCS_GUEST_IA32_SYSENTER_ESP, 0 },
		{ VMCS_GUEST_IA32_SYSENTER_EIP, 0 },
		{ VMCS_GUEST_GDTR_BASE, 0 },
		{ VMCS_GUEST_GDTR_LIMIT, 0xffff },
		{ VMCS_GUEST_IDTR_BASE, 0 },
		{ VMCS_GUEST_IDTR_LIMIT, 0xffff },
	};

	write_segments(with_32);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(fields); i++)
		vmx_hw_write(fields[i].field, fields[i].value);
}

/* --- Running it --- */

static bool is_host_event(uint32_t reason)
{
	if (reason == VMX_REASON_EXTERNAL_INTERRUPT) {
		vmx_take_acknowledged();
		return true;
	}
	if (reason != VMX_REASON_EXCEPTION_OR_NMI ||
	    VMX_INFO_TYPE(vmx_hw_read(VMCS_EXIT_INTERRUPTION_INFO)) != VMX_EVENT_NMI)
		return false;
	x86_host_nmi();
	return true;
}

/* The exit's reason, or -EOPNOTSUPP. */
static int64_t enter(uint64_t *gpr)
{
	uint32_t reason = VMX_REASON_EXTERNAL_INTERRUPT;

	for (unsigned i = 0; i < X86_SELFTEST_TRIES; i++) {
		if (vmx_hw_enter(gpr, i != 0))
			return -EOPNOTSUPP;
		reason = (uint32_t)vmx_hw_read(VMCS_EXIT_REASON);
		if (!is_host_event(reason))
			break;
		hc_platform_irq_window();
	}
	return reason;
}

static int verdict(int64_t reason, const uint64_t *gpr, const uint8_t *page, const char **why)
{
	*why = "VT-x refused to run a test guest";
	if (reason < 0 || (uint64_t)reason & VMX_EXIT_REASON_ENTRY)
		return -EOPNOTSUPP;
	*why = "VT-x left a test guest for an unexpected reason";
	if (reason != VMX_REASON_HLT)
		return -EOPNOTSUPP;
	*why = "VT-x ran a test guest, but with a wrong result";
	return x86_selftest_passed(page, gpr[X86_RAX], gpr[X86_RBX], gpr[X86_RDX]) ? 0
	                                                                           : -EOPNOTSUPP;
}

/* --- Whether interrupts that are masked wait --- */

#define MASKED_VECTOR 0x30

/* While an interrupt waits for it, and one of the host's comes in, the guest switches interrupts
 * off: until CLI it is in the shadow of STI. That is no occasion to deliver the first; Bochs does.
 */
static bool holds_back(struct x86_apic_page *apic_page, uint8_t *page, uint64_t *gpr)
{
	const struct x86_apic apic = { .page = apic_page };

	write_state(!vmx_caps.unrestricted_guest);
	page[X86_SELFTEST_RIP] = 0xfa; /* CLI */
	page[X86_SELFTEST_RIP + 1] = 0xf4;
	vmx_hw_write(VMCS_GUEST_RFLAGS, X86_FLAG_1 | X86_FLAG_IF);
	vmx_hw_write(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKING_STI);
	vmx_hw_write(VMCS_PIN_BASED_CONTROLS, vmx_caps.pin & ~(uint32_t)VMX_PIN_POSTED_INTR);
	atomic_store(x86_apic_bits(&apic, APIC_IRR, MASKED_VECTOR), x86_apic_bit(MASKED_VECTOR));
	vmx_hw_write(VMCS_GUEST_INTERRUPT_STATUS, VMX_INTERRUPT_STATUS(MASKED_VECTOR, 0u));
	hc_platform_post(hc_platform_this_cpu());
	if (!vmx_hw_enter(gpr, true))
		(void)is_host_event((uint32_t)vmx_hw_read(VMCS_EXIT_REASON));
	hc_platform_irq_window();
	return VMX_RVI(vmx_hw_read(VMCS_GUEST_INTERRUPT_STATUS)) == MASKED_VECTOR;
}

static void check_delivery(struct x86_apic_page *apic, uint8_t *page, uint64_t *gpr)
{
	if (!vmx_caps.virtual_interrupts || holds_back(apic, page, gpr))
		return;
	hc_log(HC_LOG_INFO, "vmx: the CPU delivers virtual interrupts to guests that have them "
	                    "off: they are injected instead");
	vmx_forgo_delivery(&vmx_caps);
}

/* --- The whole --- */

/* Between VMPTRLD and VMCLEAR. */
static int run_loaded(struct vmx_vcpu *vv, struct vmx_cpu *c, const struct s2 *s2, uint8_t *page,
                      const char **why)
{
	uint64_t gpr[X86_GPR_COUNT] = { 0 };

	vmx_vmcs_init(vv);
	vmx_vmcs_set_host();
	write_state(!vmx_caps.unrestricted_guest);
	vmx_hw_write(VMCS_EPT_POINTER, ept_eptp(s2));
	vmx_tlb_renew(vv, c, 0, ept_eptp(s2));
	int rc = verdict(enter(gpr), gpr, page, why);

	if (!rc)
		check_delivery(hc_platform_from_hpa(vv->virtual_apic), page, gpr);
	return rc;
}

static int run_vcpu(struct vmx_vcpu *vv, struct vmx_cpu *c, const struct s2 *s2, uint8_t *page,
                    const char **why)
{
	bool irq = hc_platform_irq_disable();
	int rc = -EOPNOTSUPP;

	*why = "VT-x refused a VMCS";
	if (!vmx_hw_clear(vv->vmcs_pa) && !vmx_hw_load(vv->vmcs_pa))
		rc = run_loaded(vv, c, s2, page, why);
	(void)vmx_hw_clear(vv->vmcs_pa);
	hc_platform_irq_restore(irq);
	return rc;
}

static int run_guest(struct vmx_vcpu *vv, struct vmx_cpu *c, uint8_t *page, const char **why)
{
	struct s2 s2;
	int rc = x86_selftest_map(&s2, vmx_backend.s2_format, vmx_caps.gpa_bits, page,
	                          !vmx_caps.unrestricted_guest);

	if (rc)
		return rc;
	rc = run_vcpu(vv, c, &s2, page, why);
	s2_destroy(&s2);
	return rc;
}

static int with_vcpu(struct vmx_cpu *c, uint8_t *page, const uint8_t *apic, const char **why)
{
	struct vmx_vm vm = { 0 };
	struct vmx_vcpu vv = { 0 };
	int rc = vmx_vm_alloc(&vm);

	if (rc)
		return rc;
	rc = vmx_vcpu_alloc(&vv, &vm, apic, apic + HC_PAGE_SIZE);
	if (!rc) {
		rc = run_guest(&vv, c, page, why);
		vmx_vcpu_free(&vv);
	}
	vmx_vm_free(&vm);
	return rc;
}

int vmx_selftest(struct vmx_cpu *c, const char **why)
{
	/* The guest's, its virtual-APIC page, and that of its posted interrupts. */
	uint8_t *pages = hc_platform_alloc_pages(2);

	*why = "no memory for a test guest";
	if (!pages)
		return -ENOMEM;
	int rc = with_vcpu(c, pages, pages + HC_PAGE_SIZE, why);

	hc_platform_free_pages(pages, 2);
	return rc;
}
