/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs ten instructions on EPT tables of their own, and looks at what they computed: a CPU, or
 * something that pretends to be one, that says it has VT-x may still not do it. In real mode, or,
 * on a CPU without unrestricted guest, in 32-bit mode on a page directory that lies before the
 * code.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"
#include "mmu/ept.h"

#define RESULT  0x1250
#define SCRATCH 0x800
#define TRIES   64 /* host interrupts may come first */

#define CODE_AT 0x100

/* 4 MiB from 0 on: present, writable, a large page (SDM Vol. 3A table 4-4). */
static const uint8_t page_directory[] = { 0x83, 0, 0, 0 };

static const uint8_t code_32[] = {
	0xb8, 0x34, 0x12, 0x00, 0x00,       /*    mov $0x1234, %eax */
	0xb9, 0x07, 0x00, 0x00, 0x00,       /*    mov $7, %ecx */
	0x31, 0xd2,                         /*    xor %edx, %edx */
	0x01, 0xc8,                         /* 1: add %ecx, %eax */
	0x42,                               /*    inc %edx */
	0xe2, 0xfb,                         /*    loop 1b */
	0xa3, 0x00, 0x08, 0x00, 0x00,       /*    mov %eax, SCRATCH */
	0x8b, 0x1d, 0x00, 0x08, 0x00, 0x00, /*    mov SCRATCH, %ebx */
	0xf4,                               /*    hlt */
};

static const uint8_t code_16[] = {
	0xb8, 0x34, 0x12,       /*    mov $0x1234, %ax */
	0xb9, 0x07, 0x00,       /*    mov $7, %cx */
	0x31, 0xd2,             /*    xor %dx, %dx */
	0x01, 0xc8,             /* 1: add %cx, %ax */
	0x42,                   /*    inc %dx */
	0xe2, 0xfb,             /*    loop 1b */
	0xa3, 0x00, 0x08,       /*    mov %ax, SCRATCH */
	0x8b, 0x1e, 0x00, 0x08, /*    mov SCRATCH, %bx */
	0xf4,                   /*    hlt */
};

static int alloc_table(void *ctx, unsigned order, hpa_t *table)
{
	void *p = hc_platform_alloc_pages(order);

	if (!p)
		return -ENOMEM;
	*table = hc_platform_to_hpa(p);
	return 0;
}

static void free_table(void *ctx, hpa_t table, unsigned order)
{
	hc_platform_free_pages(hc_platform_from_hpa(table), order);
}

static s2_entry_t *table_ptr(void *ctx, hpa_t table)
{
	return hc_platform_from_hpa(table);
}

/* Nothing has run on these tables while they change. */
static void invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
}

static void sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
}

static const struct mm_ops table_ops = { alloc_table, free_table, table_ptr, invalidate, sync };

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
		{ VMCS_GUEST_RIP, CODE_AT },
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
	if (reason == VMX_REASON_EXTERNAL_INTERRUPT)
		return true;
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

	for (unsigned i = 0; i < TRIES; i++) {
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
	uint16_t stored = (uint16_t)(page[SCRATCH] | page[SCRATCH + 1] << 8);

	*why = "VT-x refused to run a test guest";
	if (reason < 0 || (uint64_t)reason & VMX_EXIT_REASON_ENTRY)
		return -EOPNOTSUPP;
	*why = "VT-x left a test guest for an unexpected reason";
	if (reason != VMX_REASON_HLT)
		return -EOPNOTSUPP;
	*why = "VT-x ran a test guest, but with a wrong result";
	if ((uint16_t)gpr[X86_RAX] != RESULT || (uint16_t)gpr[X86_RBX] != RESULT ||
	    (uint16_t)gpr[X86_RDX] != 7 || stored != RESULT)
		return -EOPNOTSUPP;
	return 0;
}

/* Between VMPTRLD and VMCLEAR. */
static int run_loaded(struct vmx_vcpu *vv, struct vmx_cpu *c, const struct s2 *s2,
                      const uint8_t *page, const char **why)
{
	uint64_t gpr[X86_GPR_COUNT] = { 0 };

	vmx_vmcs_init(vv);
	vmx_vmcs_set_host();
	write_state(!vmx_caps.unrestricted_guest);
	vmx_hw_write(VMCS_EPT_POINTER, ept_eptp(s2));
	vmx_tlb_renew(vv, c, 0, ept_eptp(s2));
	return verdict(enter(gpr), gpr, page, why);
}

static int run_vcpu(struct vmx_vcpu *vv, struct vmx_cpu *c, const struct s2 *s2,
                    const uint8_t *page, const char **why)
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

static void write_code(uint8_t *page)
{
	memcpy(page, page_directory, sizeof(page_directory));
	if (vmx_caps.unrestricted_guest)
		memcpy(page + CODE_AT, code_16, sizeof(code_16));
	else
		memcpy(page + CODE_AT, code_32, sizeof(code_32));
}

static int run_guest(struct vmx_vcpu *vv, struct vmx_cpu *c, uint8_t *page, const char **why)
{
	struct s2 s2;
	int rc = s2_init(&s2, vmx_backend.s2_format, &table_ops, NULL, vmx_caps.gpa_bits);

	if (rc)
		return rc;
	rc = s2_map(&s2, gpa_of(0), hc_platform_to_hpa(page), HC_PAGE_SIZE, S2_RWX);
	if (!rc) {
		write_code(page);
		rc = run_vcpu(vv, c, &s2, page, why);
	}
	s2_destroy(&s2);
	return rc;
}

static int with_vcpu(struct vmx_cpu *c, uint8_t *page, const char **why)
{
	struct vmx_vm vm = { 0 };
	struct vmx_vcpu vv = { 0 };
	int rc = vmx_vm_alloc(&vm);

	if (rc)
		return rc;
	rc = vmx_vcpu_alloc(&vv, &vm);
	if (!rc) {
		rc = run_guest(&vv, c, page, why);
		vmx_vcpu_free(&vv);
	}
	vmx_vm_free(&vm);
	return rc;
}

int vmx_selftest(struct vmx_cpu *c, const char **why)
{
	uint8_t *page = hc_platform_alloc_pages(0);

	*why = "no memory for a test guest";
	if (!page)
		return -ENOMEM;
	int rc = with_vcpu(c, page, why);

	hc_platform_free_pages(page, 0);
	return rc;
}
