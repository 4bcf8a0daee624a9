/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM Vol. 3C 27.2.1: the controls. */
#include "arch/x86_64/vmx/check_rules.h"
#include "emu/x86_64/exceptions.h"

/* --- 27.2.1.1: execution controls --- */

static bool bad_controls(uint64_t value, uint64_t msr)
{
	return vmx_not_fixed(value, VMX_MUST_BE_1(msr), VMX_MAY_BE_1(msr));
}

VMX_RULE(pin_controls)
{
	return bad_controls(VMX_GET(PIN_BASED_CONTROLS), c->caps->pin);
}

VMX_RULE(primary_controls)
{
	return bad_controls(VMX_GET(PRIMARY_CONTROLS), c->caps->cpu);
}

VMX_RULE(secondary_controls)
{
	return vmx_has_cpu(c, VMX_CPU_SECONDARY) && bad_controls(vmx_get_cpu2(c), c->caps->cpu2);
}

VMX_RULE(cr3_targets)
{
	return VMX_GET(CR3_TARGET_COUNT) > hc_bits(c->caps->misc, 24, 16);
}

/* A page that is named where a control is set. */
#define PAGE_RULE(id, has, bits, field)                                                            \
	VMX_RULE(id)                                                                               \
	{                                                                                          \
		return has(c, bits) && vmx_bad_address(c, VMX_GET(field), HC_PAGE_SIZE);           \
	}

PAGE_RULE(io_bitmap_a, vmx_has_cpu, VMX_CPU_IO_BITMAPS, IO_BITMAP_A)
PAGE_RULE(io_bitmap_b, vmx_has_cpu, VMX_CPU_IO_BITMAPS, IO_BITMAP_B)
PAGE_RULE(msr_bitmap, vmx_has_cpu, VMX_CPU_MSR_BITMAPS, MSR_BITMAP)
PAGE_RULE(virtual_apic, vmx_has_cpu, VMX_CPU_TPR_SHADOW, VIRTUAL_APIC_ADDRESS)
PAGE_RULE(apic_access, vmx_has_cpu2, VMX_CPU2_APIC_ACCESSES, APIC_ACCESS_ADDRESS)
PAGE_RULE(pml_address, vmx_has_cpu2, VMX_CPU2_PML, PML_ADDRESS)
PAGE_RULE(vmread_bitmap, vmx_has_cpu2, VMX_CPU2_VMCS_SHADOWING, VMREAD_BITMAP)
PAGE_RULE(vmwrite_bitmap, vmx_has_cpu2, VMX_CPU2_VMCS_SHADOWING, VMWRITE_BITMAP)

VMX_RULE(tpr_threshold)
{
	return vmx_has_cpu(c, VMX_CPU_TPR_SHADOW) &&
	       !vmx_has_cpu2(c, VMX_CPU2_VIRTUAL_INTERRUPTS) && VMX_GET(TPR_THRESHOLD) >> 4;
}

VMX_RULE(apic_without_tpr_shadow)
{
	return !vmx_has_cpu(c, VMX_CPU_TPR_SHADOW) &&
	       vmx_has_cpu2(c, VMX_CPU2_X2APIC_MODE | VMX_CPU2_APIC_REGISTERS |
	                               VMX_CPU2_VIRTUAL_INTERRUPTS);
}

VMX_RULE(virtual_nmis)
{
	return !vmx_has_pin(c, VMX_PIN_NMI_EXITING) && vmx_has_pin(c, VMX_PIN_VIRTUAL_NMIS);
}

VMX_RULE(nmi_window)
{
	return !vmx_has_pin(c, VMX_PIN_VIRTUAL_NMIS) && vmx_has_cpu(c, VMX_CPU_NMI_WINDOW);
}

VMX_RULE(x2apic_mode)
{
	return vmx_has_cpu2(c, VMX_CPU2_X2APIC_MODE) && vmx_has_cpu2(c, VMX_CPU2_APIC_ACCESSES);
}

VMX_RULE(virtual_interrupts)
{
	return vmx_has_cpu2(c, VMX_CPU2_VIRTUAL_INTERRUPTS) &&
	       !vmx_has_pin(c, VMX_PIN_INTR_EXITING);
}

VMX_RULE(posted_delivery)
{
	return vmx_has_pin(c, VMX_PIN_POSTED_INTR) && !vmx_has_cpu2(c, VMX_CPU2_VIRTUAL_INTERRUPTS);
}

VMX_RULE(posted_acknowledge)
{
	return vmx_has_pin(c, VMX_PIN_POSTED_INTR) && !vmx_has_exit(c, VMX_EXIT_ACK_INTR);
}

VMX_RULE(posted_vector)
{
	return vmx_has_pin(c, VMX_PIN_POSTED_INTR) &&
	       VMX_GET(POSTED_INTR_NOTIFICATION_VECTOR) > UINT8_MAX;
}

VMX_RULE(posted_descriptor)
{
	return vmx_has_pin(c, VMX_PIN_POSTED_INTR) &&
	       vmx_bad_address(c, VMX_GET(POSTED_INTR_DESCRIPTOR_ADDRESS), 64);
}

VMX_RULE(vpid_zero)
{
	return vmx_has_cpu2(c, VMX_CPU2_VPID) && VMX_GET(VPID) == 0;
}

/* --- EPT (25.6.11) --- */

static bool ept_supports(const struct vmx_check *c, uint64_t bit)
{
	return c->caps->ept_vpid & bit;
}

VMX_RULE(eptp_type)
{
	if (!vmx_has_cpu2(c, VMX_CPU2_EPT))
		return false;
	switch (hc_bits(VMX_GET(EPT_POINTER), 2, 0)) {
	case 0: return !ept_supports(c, VMX_EPT_CAP_UC);
	case 6: return !ept_supports(c, VMX_EPT_CAP_WB);
	default: return true;
	}
}

VMX_RULE(eptp_levels)
{
	if (!vmx_has_cpu2(c, VMX_CPU2_EPT))
		return false;
	switch (hc_bits(VMX_GET(EPT_POINTER), 5, 3)) {
	case 3: return !ept_supports(c, VMX_EPT_CAP_4_LEVELS);
	case 4: return !ept_supports(c, VMX_EPT_CAP_5_LEVELS);
	default: return true;
	}
}

VMX_RULE(eptp_flags)
{
	return vmx_has_cpu2(c, VMX_CPU2_EPT) && (VMX_GET(EPT_POINTER) & HC_BIT(6)) &&
	       !ept_supports(c, VMX_EPT_CAP_AD);
}

VMX_RULE(eptp_reserved)
{
	uint64_t eptp = vmx_has_cpu2(c, VMX_CPU2_EPT) ? VMX_GET(EPT_POINTER) : 0;

	return hc_bits(eptp, 11, 7) || vmx_beyond_physical(c, eptp);
}

VMX_RULE(pml_ept)
{
	return vmx_has_cpu2(c, VMX_CPU2_PML) && !vmx_has_cpu2(c, VMX_CPU2_EPT);
}

VMX_RULE(unrestricted_ept)
{
	return vmx_unrestricted(c) && !vmx_has_cpu2(c, VMX_CPU2_EPT);
}

VMX_RULE(mode_based_ept)
{
	return vmx_has_cpu2(c, VMX_CPU2_MODE_BASED_EXECUTE) && !vmx_has_cpu2(c, VMX_CPU2_EPT);
}

VMX_RULE(sub_page_ept)
{
	return vmx_has_cpu2(c, VMX_CPU2_SUB_PAGE) && !vmx_has_cpu2(c, VMX_CPU2_EPT);
}

#define EPTP_SWITCHING HC_BIT(0)

static uint64_t vm_functions(const struct vmx_check *c)
{
	return vmx_has_cpu2(c, VMX_CPU2_VMFUNC) ? VMX_GET(VMFUNC_CONTROLS) : 0;
}

VMX_RULE(vmfunc_reserved)
{
	return (vm_functions(c) & ~c->caps->vmfunc) != 0;
}

VMX_RULE(eptp_switching_ept)
{
	return (vm_functions(c) & EPTP_SWITCHING) && !vmx_has_cpu2(c, VMX_CPU2_EPT);
}

VMX_RULE(eptp_list)
{
	return (vm_functions(c) & EPTP_SWITCHING) &&
	       vmx_bad_address(c, VMX_GET(EPTP_LIST_ADDRESS), HC_PAGE_SIZE);
}

VMX_RULE(tsc_multiplier)
{
	return vmx_has_cpu2(c, VMX_CPU2_TSC_SCALING) && VMX_GET(TSC_MULTIPLIER) == 0;
}

/* --- 27.2.1.2: exit controls --- */

VMX_RULE(exit_controls)
{
	return bad_controls(VMX_GET(EXIT_CONTROLS), c->caps->exit);
}

VMX_RULE(save_preemption)
{
	return !vmx_has_pin(c, VMX_PIN_PREEMPTION_TIMER) &&
	       vmx_has_exit(c, VMX_EXIT_SAVE_PREEMPTION);
}

/* Areas of count entries of 16 bytes: the first and the last byte are within reach. */
static bool bad_area(const struct vmx_check *c, uint64_t count, uint64_t address)
{
	return vmx_bad_address(c, address, 16) || vmx_bad_address(c, address + count * 16 - 1, 1);
}

#define AREA_RULE(id, area)                                                                        \
	VMX_RULE(id)                                                                               \
	{                                                                                          \
		uint64_t count = VMX_GET(area##_COUNT);                                            \
                                                                                                   \
		return count && bad_area(c, count, VMX_GET(area##_ADDRESS));                       \
	}

AREA_RULE(exit_store, EXIT_MSR_STORE)
AREA_RULE(exit_load, EXIT_MSR_LOAD)
AREA_RULE(entry_load, ENTRY_MSR_LOAD)

/* --- 27.2.1.3: entry controls --- */

VMX_RULE(entry_controls)
{
	return bad_controls(VMX_GET(ENTRY_CONTROLS), c->caps->entry);
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

VMX_RULE(info_type)
{
	return injected(c) && VMX_INFO_TYPE(injected(c)) == 1;
}

VMX_RULE(info_other)
{
	return injects(c, VMX_EVENT_OTHER) && !(VMX_MAY_BE_1(c->caps->cpu) & VMX_CPU_MONITOR_TRAP);
}

VMX_RULE(info_vector)
{
	unsigned vector = VMX_INFO_VECTOR(injected(c));

	return (injects(c, VMX_EVENT_NMI) && vector != X86_VEC_NMI) ||
	       (injects(c, VMX_EVENT_EXCEPTION) && vector > 31) ||
	       (injects(c, VMX_EVENT_OTHER) && vector != 0);
}

/* Exceptions in real mode push no error code. */
static bool protected_mode(const struct vmx_check *c)
{
	return !vmx_unrestricted(c) || (VMX_GET(GUEST_CR0) & X86_CR0_PE);
}

VMX_RULE(info_no_error_code)
{
	return (injected(c) & VMX_INFO_ERROR) &&
	       (!injects(c, VMX_EVENT_EXCEPTION) || !protected_mode(c));
}

/* IA32_VMX_BASIC[56]: exceptions may have one or not as software likes (A.1). */
#define BASIC_ANY_ERROR_CODE HC_BIT(56)

VMX_RULE(info_error_code)
{
	bool given = injected(c) & VMX_INFO_ERROR;

	if (!injects(c, VMX_EVENT_EXCEPTION) || !protected_mode(c) ||
	    (c->caps->basic & BASIC_ANY_ERROR_CODE))
		return false;
	return given != x86_has_error_code(VMX_INFO_VECTOR(injected(c)));
}

VMX_RULE(info_reserved)
{
	return hc_bits(injected(c), 30, 12) != 0;
}

VMX_RULE(error_code_reserved)
{
	return (injected(c) & VMX_INFO_ERROR) && VMX_GET(ENTRY_EXCEPTION_ERROR_CODE) >> 16;
}

VMX_RULE(instruction_length)
{
	uint64_t length;

	if (!injects(c, VMX_EVENT_SOFT_INT) && !injects(c, VMX_EVENT_PRIVILEGED) &&
	    !injects(c, VMX_EVENT_SOFT_EXCEPTION))
		return false;
	length = VMX_GET(ENTRY_INSTRUCTION_LENGTH);
	return length > 15 || (length == 0 && !(c->caps->misc & VMX_MISC_ZERO_LENGTH));
}

VMX_RULE(entry_smm)
{
	return vmx_has_entry(c, VMX_ENTRY_SMM | VMX_ENTRY_DUAL_SMM);
}

#define EXECUTION "27.2.1.1"
#define EXIT      "27.2.1.2"
#define ENTRY     "27.2.1.3"

#define PAGE_IS " is aligned to 4 KiB and within the physical address width"
#define AREA_IS                                                                                    \
	" is aligned to 16 bytes, and what its count says is within the physical address width"

static const struct vmx_rule rules[] = {
	{ "PIN_BASED_CONTROLS are as IA32_VMX_(TRUE_)PINBASED_CTLS allows", EXECUTION,
	  pin_controls },
	{ "PRIMARY_CONTROLS are as IA32_VMX_(TRUE_)PROCBASED_CTLS allows", EXECUTION,
	  primary_controls },
	{ "SECONDARY_CONTROLS are as IA32_VMX_PROCBASED_CTLS2 allows", EXECUTION,
	  secondary_controls },
	{ "CR3_TARGET_COUNT is at most what IA32_VMX_MISC says", EXECUTION, cr3_targets },
	{ "IO_BITMAP_A" PAGE_IS, EXECUTION, io_bitmap_a },
	{ "IO_BITMAP_B" PAGE_IS, EXECUTION, io_bitmap_b },
	{ "MSR_BITMAP" PAGE_IS, EXECUTION, msr_bitmap },
	{ "VIRTUAL_APIC_ADDRESS" PAGE_IS, EXECUTION, virtual_apic },
	{ "TPR_THRESHOLD[31:4] is 0 without virtual-interrupt delivery", EXECUTION, tpr_threshold },
	{ "SECONDARY_CONTROLS: x2APIC mode, APIC-register virtualization and virtual-interrupt "
	  "delivery need the TPR shadow of PRIMARY_CONTROLS",
	  EXECUTION, apic_without_tpr_shadow },
	{ "PIN_BASED_CONTROLS: virtual NMIs need NMI exiting", EXECUTION, virtual_nmis },
	{ "PRIMARY_CONTROLS: NMI-window exiting needs virtual NMIs of PIN_BASED_CONTROLS",
	  EXECUTION, nmi_window },
	{ "APIC_ACCESS_ADDRESS" PAGE_IS, EXECUTION, apic_access },
	{ "SECONDARY_CONTROLS: x2APIC mode excludes virtualizing APIC accesses", EXECUTION,
	  x2apic_mode },
	{ "SECONDARY_CONTROLS: virtual-interrupt delivery needs external-interrupt exiting of "
	  "PIN_BASED_CONTROLS",
	  EXECUTION, virtual_interrupts },
	{ "PIN_BASED_CONTROLS: posted interrupts need virtual-interrupt delivery of "
	  "SECONDARY_CONTROLS",
	  EXECUTION, posted_delivery },
	{ "PIN_BASED_CONTROLS: posted interrupts need acknowledging on exit of EXIT_CONTROLS",
	  EXECUTION, posted_acknowledge },
	{ "POSTED_INTR_NOTIFICATION_VECTOR is at most 255", EXECUTION, posted_vector },
	{ "POSTED_INTR_DESCRIPTOR_ADDRESS is aligned to 64 bytes and within the physical address "
	  "width",
	  EXECUTION, posted_descriptor },
	{ "VPID is not 0", EXECUTION, vpid_zero },
	{ "EPT_POINTER[2:0] is a memory type that EPT walks may have", EXECUTION, eptp_type },
	{ "EPT_POINTER[5:3] is a walk length that there is, less 1", EXECUTION, eptp_levels },
	{ "EPT_POINTER[6] is clear without accessed and dirty flags", EXECUTION, eptp_flags },
	{ "EPT_POINTER's reserved bits are clear", EXECUTION, eptp_reserved },
	{ "SECONDARY_CONTROLS: PML needs EPT", EXECUTION, pml_ept },
	{ "PML_ADDRESS" PAGE_IS, EXECUTION, pml_address },
	{ "SECONDARY_CONTROLS: unrestricted guest needs EPT", EXECUTION, unrestricted_ept },
	{ "SECONDARY_CONTROLS: mode-based execute control needs EPT", EXECUTION, mode_based_ept },
	{ "SECONDARY_CONTROLS: sub-page write permissions need EPT", EXECUTION, sub_page_ept },
	{ "VMFUNC_CONTROLS are as IA32_VMX_VMFUNC allows", EXECUTION, vmfunc_reserved },
	{ "VMFUNC_CONTROLS: EPTP switching needs EPT of SECONDARY_CONTROLS", EXECUTION,
	  eptp_switching_ept },
	{ "EPTP_LIST_ADDRESS" PAGE_IS, EXECUTION, eptp_list },
	{ "VMREAD_BITMAP" PAGE_IS, EXECUTION, vmread_bitmap },
	{ "VMWRITE_BITMAP" PAGE_IS, EXECUTION, vmwrite_bitmap },
	{ "TSC_MULTIPLIER is not 0", EXECUTION, tsc_multiplier },
	{ "EXIT_CONTROLS are as IA32_VMX_(TRUE_)EXIT_CTLS allows", EXIT, exit_controls },
	{ "EXIT_CONTROLS: saving the preemption timer needs the timer of PIN_BASED_CONTROLS", EXIT,
	  save_preemption },
	{ "EXIT_MSR_STORE_ADDRESS" AREA_IS " (EXIT_MSR_STORE_COUNT)", EXIT, exit_store },
	{ "EXIT_MSR_LOAD_ADDRESS" AREA_IS " (EXIT_MSR_LOAD_COUNT)", EXIT, exit_load },
	{ "ENTRY_CONTROLS are as IA32_VMX_(TRUE_)ENTRY_CTLS allows", ENTRY, entry_controls },
	{ "ENTRY_INTERRUPTION_INFO's type is not 1, which is reserved", ENTRY, info_type },
	{ "ENTRY_INTERRUPTION_INFO's type is 7 only where there is the monitor trap flag", ENTRY,
	  info_other },
	{ "ENTRY_INTERRUPTION_INFO's vector is one of its type", ENTRY, info_vector },
	{ "ENTRY_INTERRUPTION_INFO[11] is set for exceptions in protected mode only (GUEST_CR0)",
	  ENTRY, info_no_error_code },
	{ "ENTRY_INTERRUPTION_INFO[11] is set for exactly those exceptions that have error codes",
	  ENTRY, info_error_code },
	{ "ENTRY_INTERRUPTION_INFO[30:12] is 0", ENTRY, info_reserved },
	{ "ENTRY_EXCEPTION_ERROR_CODE[31:16] is 0", ENTRY, error_code_reserved },
	{ "ENTRY_INSTRUCTION_LENGTH is 1 to 15 for software events, or 0 where IA32_VMX_MISC says "
	  "so",
	  ENTRY, instruction_length },
	{ "ENTRY_MSR_LOAD_ADDRESS" AREA_IS " (ENTRY_MSR_LOAD_COUNT)", ENTRY, entry_load },
	{ "ENTRY_CONTROLS: entry to SMM and the end of dual-monitor treatment are for SMM", ENTRY,
	  entry_smm },
};

const struct vmx_rules vmx_control_rules = { VMX_RULE_CONTROLS, HC_ARRAY_SIZE(rules), rules };
