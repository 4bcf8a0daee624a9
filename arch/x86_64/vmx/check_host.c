/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM Vol. 3C 27.2.2 to 27.2.4: the host state. */
#include "arch/x86_64/vmx/check_rules.h"

/* --- 27.2.2: control registers and MSRs --- */

VMX_RULE(host_cr0)
{
	return vmx_not_fixed(VMX_GET(HOST_CR0), c->caps->cr0_fixed0, c->caps->cr0_fixed1);
}

VMX_RULE(host_cr4)
{
	return vmx_not_fixed(VMX_GET(HOST_CR4), c->caps->cr4_fixed0, c->caps->cr4_fixed1);
}

VMX_RULE(host_cet)
{
	return (VMX_GET(HOST_CR4) & VMX_CR4_CET) && !(VMX_GET(HOST_CR0) & VMX_CR0_WP);
}

VMX_RULE(host_cr3)
{
	return vmx_beyond_physical(c, VMX_GET(HOST_CR3));
}

#define CANONICAL_RULE(id, field)                                                                  \
	VMX_RULE(id)                                                                               \
	{                                                                                          \
		return vmx_not_canonical(c, VMX_GET(field));                                       \
	}

CANONICAL_RULE(host_sysenter_esp, HOST_IA32_SYSENTER_ESP)
CANONICAL_RULE(host_sysenter_eip, HOST_IA32_SYSENTER_EIP)

VMX_RULE(host_pat)
{
	return vmx_has_exit(c, VMX_EXIT_LOAD_PAT) && vmx_bad_pat(VMX_GET(HOST_IA32_PAT));
}

VMX_RULE(host_efer_reserved)
{
	return vmx_has_exit(c, VMX_EXIT_LOAD_EFER) && (VMX_GET(HOST_IA32_EFER) & ~VMX_EFER_VALID);
}

VMX_RULE(host_efer_mode)
{
	uint64_t mode = X86_EFER_LMA | X86_EFER_LME;

	return vmx_has_exit(c, VMX_EXIT_LOAD_EFER) &&
	       (VMX_GET(HOST_IA32_EFER) & mode) != (vmx_has_exit(c, VMX_EXIT_HOST_64) ? mode : 0);
}

/* --- 27.2.3: segments and descriptor tables --- */

/* RPL and TI are clear. */
#define SELECTOR_RULE(id, field)                                                                   \
	VMX_RULE(id)                                                                               \
	{                                                                                          \
		return (VMX_GET(field) & 7) != 0;                                                  \
	}

SELECTOR_RULE(host_es, HOST_ES_SELECTOR)
SELECTOR_RULE(host_cs, HOST_CS_SELECTOR)
SELECTOR_RULE(host_ss, HOST_SS_SELECTOR)
SELECTOR_RULE(host_ds, HOST_DS_SELECTOR)
SELECTOR_RULE(host_fs, HOST_FS_SELECTOR)
SELECTOR_RULE(host_gs, HOST_GS_SELECTOR)
SELECTOR_RULE(host_tr, HOST_TR_SELECTOR)

VMX_RULE(host_cs_null)
{
	return VMX_GET(HOST_CS_SELECTOR) == 0;
}

VMX_RULE(host_tr_null)
{
	return VMX_GET(HOST_TR_SELECTOR) == 0;
}

VMX_RULE(host_ss_null)
{
	return !vmx_has_exit(c, VMX_EXIT_HOST_64) && VMX_GET(HOST_SS_SELECTOR) == 0;
}

CANONICAL_RULE(host_fs_base, HOST_FS_BASE)
CANONICAL_RULE(host_gs_base, HOST_GS_BASE)
CANONICAL_RULE(host_gdtr_base, HOST_GDTR_BASE)
CANONICAL_RULE(host_idtr_base, HOST_IDTR_BASE)
CANONICAL_RULE(host_tr_base, HOST_TR_BASE)

/* --- 27.2.4: address-space size --- */

VMX_RULE(entry_ia32e_without)
{
	return !c->host_ia32e && vmx_has_entry(c, VMX_ENTRY_IA32E);
}

VMX_RULE(host_size)
{
	return vmx_has_exit(c, VMX_EXIT_HOST_64) != c->host_ia32e;
}

VMX_RULE(host_32_entry)
{
	return !vmx_has_exit(c, VMX_EXIT_HOST_64) && vmx_has_entry(c, VMX_ENTRY_IA32E);
}

VMX_RULE(host_32_pcide)
{
	return !vmx_has_exit(c, VMX_EXIT_HOST_64) && (VMX_GET(HOST_CR4) & X86_CR4_PCIDE);
}

VMX_RULE(host_32_rip)
{
	return !vmx_has_exit(c, VMX_EXIT_HOST_64) && VMX_GET(HOST_RIP) >> 32;
}

VMX_RULE(host_64_pae)
{
	return vmx_has_exit(c, VMX_EXIT_HOST_64) && !(VMX_GET(HOST_CR4) & X86_CR4_PAE);
}

VMX_RULE(host_64_rip)
{
	return vmx_has_exit(c, VMX_EXIT_HOST_64) && vmx_not_canonical(c, VMX_GET(HOST_RIP));
}

#define REGISTERS "27.2.2"
#define SEGMENTS  "27.2.3"
#define SIZE      "27.2.4"

#define CANONICAL   " is canonical"
#define SELECTOR_OK "'s RPL and TI are 0"

static const struct vmx_rule rules[] = {
	/* First, since what follows depends on the controls that they are about. */
	{ "ENTRY_CONTROLS: a guest in IA-32e mode needs a host in IA-32e mode", SIZE,
	  entry_ia32e_without },
	{ "ENTRY_CONTROLS: a guest in IA-32e mode needs 64-bit host address-space size of "
	  "EXIT_CONTROLS",
	  SIZE, host_32_entry },
	{ "EXIT_CONTROLS: host address-space size is that of the host", SIZE, host_size },
	{ "HOST_CR0's bits are as IA32_VMX_CR0_FIXED0 and FIXED1 want", REGISTERS, host_cr0 },
	{ "HOST_CR4's bits are as IA32_VMX_CR4_FIXED0 and FIXED1 want", REGISTERS, host_cr4 },
	{ "HOST_CR4.CET implies HOST_CR0.WP", REGISTERS, host_cet },
	{ "HOST_CR3 is within the physical address width", REGISTERS, host_cr3 },
	{ "HOST_IA32_SYSENTER_ESP" CANONICAL, REGISTERS, host_sysenter_esp },
	{ "HOST_IA32_SYSENTER_EIP" CANONICAL, REGISTERS, host_sysenter_eip },
	{ "HOST_IA32_PAT holds memory types", REGISTERS, host_pat },
	{ "HOST_IA32_EFER's reserved bits are clear", REGISTERS, host_efer_reserved },
	{ "HOST_IA32_EFER.LMA and LME are as host address-space size of EXIT_CONTROLS", REGISTERS,
	  host_efer_mode },
	{ "HOST_ES_SELECTOR" SELECTOR_OK, SEGMENTS, host_es },
	{ "HOST_CS_SELECTOR" SELECTOR_OK, SEGMENTS, host_cs },
	{ "HOST_SS_SELECTOR" SELECTOR_OK, SEGMENTS, host_ss },
	{ "HOST_DS_SELECTOR" SELECTOR_OK, SEGMENTS, host_ds },
	{ "HOST_FS_SELECTOR" SELECTOR_OK, SEGMENTS, host_fs },
	{ "HOST_GS_SELECTOR" SELECTOR_OK, SEGMENTS, host_gs },
	{ "HOST_TR_SELECTOR" SELECTOR_OK, SEGMENTS, host_tr },
	{ "HOST_CS_SELECTOR is not null", SEGMENTS, host_cs_null },
	{ "HOST_TR_SELECTOR is not null", SEGMENTS, host_tr_null },
	{ "HOST_SS_SELECTOR is not null in a 32-bit host", SEGMENTS, host_ss_null },
	{ "HOST_FS_BASE" CANONICAL, SEGMENTS, host_fs_base },
	{ "HOST_GS_BASE" CANONICAL, SEGMENTS, host_gs_base },
	{ "HOST_GDTR_BASE" CANONICAL, SEGMENTS, host_gdtr_base },
	{ "HOST_IDTR_BASE" CANONICAL, SEGMENTS, host_idtr_base },
	{ "HOST_TR_BASE" CANONICAL, SEGMENTS, host_tr_base },
	{ "HOST_CR4.PCIDE is clear in a 32-bit host", SIZE, host_32_pcide },
	{ "HOST_RIP[63:32] is 0 in a 32-bit host", SIZE, host_32_rip },
	{ "HOST_CR4.PAE is set in a 64-bit host", SIZE, host_64_pae },
	{ "HOST_RIP is canonical in a 64-bit host", SIZE, host_64_rip },
};

const struct vmx_rules vmx_host_rules = { VMX_RULE_HOST, HC_ARRAY_SIZE(rules), rules };
