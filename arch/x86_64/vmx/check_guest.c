/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM Vol. 3C 27.3.1: the guest state but for the segments, which are in check_segments.c. */
#include "arch/x86_64/vmx/check_rules.h"

static bool ia32e(const struct vmx_check *c)
{
	return vmx_has_entry(c, VMX_ENTRY_IA32E);
}

/* --- 27.3.1.1: control registers, debug registers, MSRs --- */

/* CD and NW are never looked at (27.3.1.1, note). */
VMX_RULE(cr0_fixed)
{
	uint64_t ignored = X86_CR0_NW | X86_CR0_CD;

	if (vmx_unrestricted(c))
		ignored |= X86_CR0_PE | X86_CR0_PG;
	return vmx_not_fixed(VMX_GET(GUEST_CR0), c->caps->cr0_fixed0 & ~ignored,
	                     c->caps->cr0_fixed1 | ignored);
}

VMX_RULE(cr0_paging)
{
	return (VMX_GET(GUEST_CR0) & X86_CR0_PG) && !(VMX_GET(GUEST_CR0) & X86_CR0_PE);
}

VMX_RULE(cr4_fixed)
{
	return vmx_not_fixed(VMX_GET(GUEST_CR4), c->caps->cr4_fixed0, c->caps->cr4_fixed1);
}

VMX_RULE(cr4_cet)
{
	return (VMX_GET(GUEST_CR4) & VMX_CR4_CET) && !(VMX_GET(GUEST_CR0) & VMX_CR0_WP);
}

/* Vol. 4, IA32_DEBUGCTL. */
#define DEBUGCTL_VALID 0xffc7u
#define DEBUGCTL_BTF   HC_BIT(1)

VMX_RULE(debugctl)
{
	return vmx_has_entry(c, VMX_ENTRY_LOAD_DEBUG) &&
	       (VMX_GET(GUEST_IA32_DEBUGCTL) & ~(uint64_t)DEBUGCTL_VALID);
}

VMX_RULE(ia32e_paging)
{
	return ia32e(c) && !(VMX_GET(GUEST_CR0) & X86_CR0_PG);
}

VMX_RULE(ia32e_pae)
{
	return ia32e(c) && !(VMX_GET(GUEST_CR4) & X86_CR4_PAE);
}

VMX_RULE(cr4_pcide)
{
	return !ia32e(c) && (VMX_GET(GUEST_CR4) & X86_CR4_PCIDE);
}

VMX_RULE(cr3_width)
{
	return vmx_beyond_physical(c, VMX_GET(GUEST_CR3));
}

VMX_RULE(dr7_high)
{
	return vmx_has_entry(c, VMX_ENTRY_LOAD_DEBUG) && VMX_GET(GUEST_DR7) >> 32;
}

#define CANONICAL_RULE(id, field)                                                                  \
	VMX_RULE(id)                                                                               \
	{                                                                                          \
		return vmx_not_canonical(c, VMX_GET(field));                                       \
	}

CANONICAL_RULE(sysenter_esp, GUEST_IA32_SYSENTER_ESP)
CANONICAL_RULE(sysenter_eip, GUEST_IA32_SYSENTER_EIP)

VMX_RULE(pat)
{
	return vmx_has_entry(c, VMX_ENTRY_LOAD_PAT) && vmx_bad_pat(VMX_GET(GUEST_IA32_PAT));
}

VMX_RULE(efer_reserved)
{
	return vmx_has_entry(c, VMX_ENTRY_LOAD_EFER) &&
	       (VMX_GET(GUEST_IA32_EFER) & ~VMX_EFER_VALID);
}

VMX_RULE(efer_lma)
{
	return vmx_has_entry(c, VMX_ENTRY_LOAD_EFER) &&
	       !(VMX_GET(GUEST_IA32_EFER) & X86_EFER_LMA) == ia32e(c);
}

VMX_RULE(efer_lme)
{
	uint64_t mode;

	if (!vmx_has_entry(c, VMX_ENTRY_LOAD_EFER) || !(VMX_GET(GUEST_CR0) & X86_CR0_PG))
		return false;
	mode = VMX_GET(GUEST_IA32_EFER) & (X86_EFER_LMA | X86_EFER_LME);
	return mode == X86_EFER_LMA || mode == X86_EFER_LME;
}

/* --- 27.3.1.3: descriptor tables --- */

CANONICAL_RULE(gdtr_base, GUEST_GDTR_BASE)
CANONICAL_RULE(idtr_base, GUEST_IDTR_BASE)

VMX_RULE(gdtr_limit)
{
	return VMX_GET(GUEST_GDTR_LIMIT) > UINT16_MAX;
}

VMX_RULE(idtr_limit)
{
	return VMX_GET(GUEST_IDTR_LIMIT) > UINT16_MAX;
}

/* --- 27.3.1.4: RIP and RFLAGS --- */

/* VMX packs L where descriptors have it, at bit 13 (25.4.1). */
#define AR_L       HC_BIT(13)
#define AR_DPL(ar) (((ar) >> 5) & 3u)

static bool code_64(const struct vmx_check *c)
{
	return ia32e(c) && (VMX_GET(GUEST_CS_ACCESS_RIGHTS) & AR_L);
}

VMX_RULE(rip_32)
{
	return !code_64(c) && VMX_GET(GUEST_RIP) >> 32;
}

/* All bits beyond the width are alike, but not necessarily like the highest within. */
VMX_RULE(rip_64)
{
	return code_64(c) && vmx_not_extended(VMX_GET(GUEST_RIP), c->caps->linear_bits);
}

VMX_RULE(rflags_reserved)
{
	const uint64_t reserved = ~UINT64_C(0x3fffff) | HC_BIT(15) | HC_BIT(5) | HC_BIT(3);

	return (VMX_GET(GUEST_RFLAGS) & reserved) || !(VMX_GET(GUEST_RFLAGS) & X86_FLAG_1);
}

VMX_RULE(rflags_vm)
{
	return (VMX_GET(GUEST_RFLAGS) & X86_FLAG_VM) &&
	       (ia32e(c) || !(VMX_GET(GUEST_CR0) & X86_CR0_PE));
}

/* What is to be injected, 0: nothing. */
static uint64_t injected(const struct vmx_check *c)
{
	uint64_t info = VMX_GET(ENTRY_INTERRUPTION_INFO);

	return info & VMX_INFO_V ? info : 0;
}

static bool injects(const struct vmx_check *c, enum vmx_event_type type)
{
	return injected(c) && VMX_INFO_TYPE(injected(c)) == type;
}

VMX_RULE(rflags_if)
{
	return injects(c, VMX_EVENT_INTR) && !(VMX_GET(GUEST_RFLAGS) & X86_FLAG_IF);
}

/* --- 27.3.1.5: non-register state --- */

static bool blocks(const struct vmx_check *c, uint64_t bits)
{
	return VMX_GET(GUEST_INTERRUPTIBILITY) & bits;
}

VMX_RULE(activity)
{
	switch (VMX_GET(GUEST_ACTIVITY_STATE)) {
	case VMX_ACTIVE: return false;
	case VMX_HLT: return !(c->caps->misc & VMX_MISC_ACTIVITY_HLT);
	case VMX_SHUTDOWN: return !(c->caps->misc & VMX_MISC_ACTIVITY_SHUTDOWN);
	case VMX_WAIT_SIPI: return !(c->caps->misc & VMX_MISC_ACTIVITY_WAIT_SIPI);
	default: return true;
	}
}

VMX_RULE(activity_hlt)
{
	return VMX_GET(GUEST_ACTIVITY_STATE) == VMX_HLT &&
	       AR_DPL(VMX_GET(GUEST_SS_ACCESS_RIGHTS)) != 0;
}

VMX_RULE(activity_blocking)
{
	return VMX_GET(GUEST_ACTIVITY_STATE) != VMX_ACTIVE &&
	       blocks(c, VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS);
}

/* Whether an event comes through in an activity state. */
static bool wakes(enum vmx_activity activity, uint64_t info)
{
	unsigned type = (unsigned)VMX_INFO_TYPE(info), vector = VMX_INFO_VECTOR(info);
	bool exception = type == VMX_EVENT_EXCEPTION;

	switch (activity) {
	case VMX_ACTIVE: return true;
	case VMX_HLT:
		return type == VMX_EVENT_INTR || type == VMX_EVENT_NMI || type == VMX_EVENT_OTHER ||
		       (exception && (vector == X86_VEC_DB || vector == X86_VEC_MC));
	case VMX_SHUTDOWN: return type == VMX_EVENT_NMI || (exception && vector == X86_VEC_MC);
	case VMX_WAIT_SIPI:
	default: return false;
	}
}

VMX_RULE(activity_event)
{
	return injected(c) && !wakes((enum vmx_activity)VMX_GET(GUEST_ACTIVITY_STATE), injected(c));
}

VMX_RULE(interruptibility_reserved)
{
	return VMX_GET(GUEST_INTERRUPTIBILITY) >> 5 != 0;
}

VMX_RULE(sti_and_mov_ss)
{
	return blocks(c, VMX_BLOCKING_STI) && blocks(c, VMX_BLOCKING_MOV_SS);
}

VMX_RULE(sti_without_if)
{
	return blocks(c, VMX_BLOCKING_STI) && !(VMX_GET(GUEST_RFLAGS) & X86_FLAG_IF);
}

VMX_RULE(interrupt_blocked)
{
	return injects(c, VMX_EVENT_INTR) && blocks(c, VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS);
}

VMX_RULE(nmi_mov_ss)
{
	return injects(c, VMX_EVENT_NMI) && blocks(c, VMX_BLOCKING_MOV_SS);
}

/* Only some CPUs refuse this one (27.3.1.5, 27.8). */
VMX_RULE(nmi_sti)
{
	return injects(c, VMX_EVENT_NMI) && blocks(c, VMX_BLOCKING_STI);
}

VMX_RULE(smi_blocked)
{
	return blocks(c, VMX_BLOCKING_SMI);
}

VMX_RULE(nmi_blocked)
{
	return vmx_has_pin(c, VMX_PIN_VIRTUAL_NMIS) && injects(c, VMX_EVENT_NMI) &&
	       blocks(c, VMX_BLOCKING_NMI);
}

#define BLOCKING_ENCLAVE HC_BIT(4) /* an interruption came while in an enclave */

/* A CPU that has SGX lets ENCLS exit. */
VMX_RULE(enclave_sgx)
{
	return blocks(c, BLOCKING_ENCLAVE) && !(VMX_MAY_BE_1(c->caps->cpu2) & VMX_CPU2_ENCLS);
}

VMX_RULE(enclave_mov_ss)
{
	return blocks(c, BLOCKING_ENCLAVE) && blocks(c, VMX_BLOCKING_MOV_SS);
}

/* 16: RTM */
#define PENDING_RTM   HC_BIT(16)
#define PENDING_VALID (VMX_PENDING_HITS | VMX_PENDING_ENABLED | VMX_PENDING_BS | PENDING_RTM)

VMX_RULE(pending_reserved)
{
	return (VMX_GET(GUEST_PENDING_DEBUG_EXCEPTIONS) & ~PENDING_VALID) != 0;
}

VMX_RULE(pending_bs)
{
	bool bs = VMX_GET(GUEST_PENDING_DEBUG_EXCEPTIONS) & VMX_PENDING_BS;
	bool step = (VMX_GET(GUEST_RFLAGS) & X86_FLAG_TF) &&
	            !(VMX_GET(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);

	if (!blocks(c, VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS) &&
	    VMX_GET(GUEST_ACTIVITY_STATE) != VMX_HLT)
		return false;
	return bs != step;
}

VMX_RULE(pending_rtm)
{
	uint64_t pending = VMX_GET(GUEST_PENDING_DEBUG_EXCEPTIONS);

	return (pending & PENDING_RTM) &&
	       (pending != (PENDING_RTM | VMX_PENDING_ENABLED) || blocks(c, VMX_BLOCKING_MOV_SS));
}

VMX_RULE(link_pointer)
{
	uint64_t link = VMX_GET(VMCS_LINK_POINTER);

	return link != UINT64_MAX && vmx_bad_address(c, link, HC_PAGE_SIZE);
}

/* --- 27.3.1.6: page-directory-pointer-table entries --- */

static bool uses_pdptes(const struct vmx_check *c)
{
	return vmx_has_cpu2(c, VMX_CPU2_EPT) && !ia32e(c) && (VMX_GET(GUEST_CR0) & X86_CR0_PG) &&
	       (VMX_GET(GUEST_CR4) & X86_CR4_PAE);
}

static bool bad_pdpte(const struct vmx_check *c, uint64_t pdpte)
{
	const uint64_t reserved = 0x1e6;

	return (pdpte & 1) && ((pdpte & reserved) || vmx_beyond_physical(c, pdpte));
}

#define PDPTE_RULE(n)                                                                              \
	VMX_RULE(pdpte##n)                                                                         \
	{                                                                                          \
		return uses_pdptes(c) && bad_pdpte(c, VMX_GET(GUEST_PDPTE##n));                    \
	}

PDPTE_RULE(0)
PDPTE_RULE(1)
PDPTE_RULE(2)
PDPTE_RULE(3)

#define REGISTERS "27.3.1.1"
#define TABLES    "27.3.1.3"
#define FLAGS     "27.3.1.4"
#define OTHER     "27.3.1.5"
#define PDPTES    "27.3.1.6"

#define CANONICAL " is canonical"
#define PDPTE_OK  "'s reserved bits are clear (PDPTE)"

static const struct vmx_rule rules[] = {
	{ "GUEST_CR0's bits are as IA32_VMX_CR0_FIXED0 and FIXED1 want", REGISTERS, cr0_fixed },
	{ "GUEST_CR0.PG implies GUEST_CR0.PE", REGISTERS, cr0_paging },
	{ "GUEST_CR4's bits are as IA32_VMX_CR4_FIXED0 and FIXED1 want", REGISTERS, cr4_fixed },
	{ "GUEST_CR4.CET implies GUEST_CR0.WP", REGISTERS, cr4_cet },
	{ "GUEST_IA32_DEBUGCTL's reserved bits are clear", REGISTERS, debugctl },
	{ "ENTRY_CONTROLS: IA-32e mode implies GUEST_CR0.PG", REGISTERS, ia32e_paging },
	{ "ENTRY_CONTROLS: IA-32e mode implies GUEST_CR4.PAE", REGISTERS, ia32e_pae },
	{ "GUEST_CR4.PCIDE implies IA-32e mode of ENTRY_CONTROLS", REGISTERS, cr4_pcide },
	{ "GUEST_CR3 is within the physical address width", REGISTERS, cr3_width },
	{ "GUEST_DR7[63:32] is 0", REGISTERS, dr7_high },
	{ "GUEST_IA32_SYSENTER_ESP" CANONICAL, REGISTERS, sysenter_esp },
	{ "GUEST_IA32_SYSENTER_EIP" CANONICAL, REGISTERS, sysenter_eip },
	{ "GUEST_IA32_PAT holds memory types", REGISTERS, pat },
	{ "GUEST_IA32_EFER's reserved bits are clear", REGISTERS, efer_reserved },
	{ "GUEST_IA32_EFER.LMA is as IA-32e mode of ENTRY_CONTROLS", REGISTERS, efer_lma },
	{ "GUEST_IA32_EFER.LME is as LMA while GUEST_CR0.PG is set", REGISTERS, efer_lme },
	{ "GUEST_GDTR_BASE" CANONICAL, TABLES, gdtr_base },
	{ "GUEST_IDTR_BASE" CANONICAL, TABLES, idtr_base },
	{ "GUEST_GDTR_LIMIT[31:16] is 0", TABLES, gdtr_limit },
	{ "GUEST_IDTR_LIMIT[31:16] is 0", TABLES, idtr_limit },
	{ "GUEST_RIP[63:32] is 0 outside 64-bit mode (ENTRY_CONTROLS, GUEST_CS_ACCESS_RIGHTS.L)",
	  FLAGS, rip_32 },
	{ "GUEST_RIP's bits beyond the linear address width are alike", FLAGS, rip_64 },
	{ "GUEST_RFLAGS' reserved bits are as they always are", FLAGS, rflags_reserved },
	{ "GUEST_RFLAGS.VM implies GUEST_CR0.PE and no IA-32e mode of ENTRY_CONTROLS", FLAGS,
	  rflags_vm },
	{ "GUEST_RFLAGS.IF is set when ENTRY_INTERRUPTION_INFO is an external interrupt", FLAGS,
	  rflags_if },
	{ "GUEST_ACTIVITY_STATE is one that IA32_VMX_MISC knows", OTHER, activity },
	{ "GUEST_ACTIVITY_STATE is HLT only at CPL 0 (GUEST_SS_ACCESS_RIGHTS.DPL)", OTHER,
	  activity_hlt },
	{ "GUEST_ACTIVITY_STATE is active while GUEST_INTERRUPTIBILITY blocks by STI or MOV SS",
	  OTHER, activity_blocking },
	{ "GUEST_ACTIVITY_STATE is left by the event in ENTRY_INTERRUPTION_INFO", OTHER,
	  activity_event },
	{ "GUEST_INTERRUPTIBILITY[31:5] is 0", OTHER, interruptibility_reserved },
	{ "GUEST_INTERRUPTIBILITY does not block by STI and by MOV SS", OTHER, sti_and_mov_ss },
	{ "GUEST_INTERRUPTIBILITY blocks by STI only with GUEST_RFLAGS.IF", OTHER, sti_without_if },
	{ "ENTRY_INTERRUPTION_INFO is no external interrupt while GUEST_INTERRUPTIBILITY blocks by "
	  "STI or MOV SS",
	  OTHER, interrupt_blocked },
	{ "ENTRY_INTERRUPTION_INFO is no NMI while GUEST_INTERRUPTIBILITY blocks by MOV SS", OTHER,
	  nmi_mov_ss },
	{ "ENTRY_INTERRUPTION_INFO is no NMI while GUEST_INTERRUPTIBILITY blocks by STI", OTHER,
	  nmi_sti },
	{ "GUEST_INTERRUPTIBILITY does not block SMIs outside SMM", OTHER, smi_blocked },
	{ "ENTRY_INTERRUPTION_INFO is no NMI while GUEST_INTERRUPTIBILITY blocks virtual NMIs",
	  OTHER, nmi_blocked },
	{ "GUEST_INTERRUPTIBILITY has an enclave interruption only on a CPU with SGX", OTHER,
	  enclave_sgx },
	{ "GUEST_INTERRUPTIBILITY has no enclave interruption while it blocks by MOV SS", OTHER,
	  enclave_mov_ss },
	{ "GUEST_PENDING_DEBUG_EXCEPTIONS' reserved bits are clear", OTHER, pending_reserved },
	{ "GUEST_PENDING_DEBUG_EXCEPTIONS.BS is as GUEST_RFLAGS.TF and not "
	  "GUEST_IA32_DEBUGCTL.BTF while GUEST_INTERRUPTIBILITY blocks by STI or MOV SS, or "
	  "GUEST_ACTIVITY_STATE is HLT",
	  OTHER, pending_bs },
	{ "GUEST_PENDING_DEBUG_EXCEPTIONS[16] comes with bit 12 alone, and not while "
	  "GUEST_INTERRUPTIBILITY blocks by MOV SS",
	  OTHER, pending_rtm },
	{ "VMCS_LINK_POINTER is all ones, or aligned to 4 KiB and within the physical address "
	  "width "
	  "(link pointer)",
	  OTHER, link_pointer },
	{ "GUEST_PDPTE0" PDPTE_OK, PDPTES, pdpte0 },
	{ "GUEST_PDPTE1" PDPTE_OK, PDPTES, pdpte1 },
	{ "GUEST_PDPTE2" PDPTE_OK, PDPTES, pdpte2 },
	{ "GUEST_PDPTE3" PDPTE_OK, PDPTES, pdpte3 },
};

const struct vmx_rules vmx_guest_rules = { VMX_RULE_GUEST, HC_ARRAY_SIZE(rules), rules };
