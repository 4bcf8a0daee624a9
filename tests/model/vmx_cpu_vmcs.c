/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of a VMCS: which there are, and what they hold. */
#include "tests/model/vmx_cpu_vmcs.h"

/* --- The fields --- */

/* Which capability gives a CPU the field (25.11 and the notes of appendix B). */
enum gate { ALWAYS, PIN, CPU, CPU2, EXIT, ENTRY, VMFUNC, PAT, EFER, PERF };

static const struct {
	uint32_t first, last; /* in order of the encodings */
	enum gate gate;
	uint64_t bit;
} gates[] = {
	{ VMCS_VPID, VMCS_VPID, CPU2, VMX_CPU2_VPID },
	{ VMCS_POSTED_INTR_NOTIFICATION_VECTOR, VMCS_POSTED_INTR_NOTIFICATION_VECTOR, PIN,
	  VMX_PIN_POSTED_INTR },
	{ VMCS_GUEST_INTERRUPT_STATUS, VMCS_GUEST_INTERRUPT_STATUS, CPU2,
	  VMX_CPU2_VIRTUAL_INTERRUPTS },
	{ VMCS_GUEST_PML_INDEX, VMCS_GUEST_PML_INDEX, CPU2, VMX_CPU2_PML },
	{ VMCS_MSR_BITMAP, VMCS_MSR_BITMAP, CPU, VMX_CPU_MSR_BITMAPS },
	{ VMCS_PML_ADDRESS, VMCS_PML_ADDRESS, CPU2, VMX_CPU2_PML },
	{ VMCS_VIRTUAL_APIC_ADDRESS, VMCS_VIRTUAL_APIC_ADDRESS, CPU, VMX_CPU_TPR_SHADOW },
	{ VMCS_APIC_ACCESS_ADDRESS, VMCS_APIC_ACCESS_ADDRESS, CPU2, VMX_CPU2_APIC_ACCESSES },
	{ VMCS_POSTED_INTR_DESCRIPTOR_ADDRESS, VMCS_POSTED_INTR_DESCRIPTOR_ADDRESS, PIN,
	  VMX_PIN_POSTED_INTR },
	{ VMCS_VMFUNC_CONTROLS, VMCS_VMFUNC_CONTROLS, CPU2, VMX_CPU2_VMFUNC },
	{ VMCS_EPT_POINTER, VMCS_EPT_POINTER, CPU2, VMX_CPU2_EPT },
	{ VMCS_EOI_EXIT_BITMAP_0, VMCS_EOI_EXIT_BITMAP_3, CPU2, VMX_CPU2_VIRTUAL_INTERRUPTS },
	{ VMCS_EPTP_LIST_ADDRESS, VMCS_EPTP_LIST_ADDRESS, VMFUNC, HC_BIT(0) },
	{ VMCS_VMREAD_BITMAP, VMCS_VMWRITE_BITMAP, CPU2, VMX_CPU2_VMCS_SHADOWING },
	{ VMCS_XSS_EXITING_BITMAP, VMCS_XSS_EXITING_BITMAP, CPU2, VMX_CPU2_XSAVES },
	{ VMCS_ENCLS_EXITING_BITMAP, VMCS_ENCLS_EXITING_BITMAP, CPU2, VMX_CPU2_ENCLS },
	{ VMCS_TSC_MULTIPLIER, VMCS_TSC_MULTIPLIER, CPU2, VMX_CPU2_TSC_SCALING },
	{ VMCS_GUEST_PHYSICAL_ADDRESS, VMCS_GUEST_PHYSICAL_ADDRESS, CPU2, VMX_CPU2_EPT },
	{ VMCS_GUEST_IA32_PAT, VMCS_GUEST_IA32_PAT, PAT, 0 },
	{ VMCS_GUEST_IA32_EFER, VMCS_GUEST_IA32_EFER, EFER, 0 },
	{ VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, PERF, 0 },
	{ VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE3, CPU2, VMX_CPU2_EPT },
	{ VMCS_HOST_IA32_PAT, VMCS_HOST_IA32_PAT, EXIT, VMX_EXIT_LOAD_PAT },
	{ VMCS_HOST_IA32_EFER, VMCS_HOST_IA32_EFER, EXIT, VMX_EXIT_LOAD_EFER },
	{ VMCS_HOST_IA32_PERF_GLOBAL_CTRL, VMCS_HOST_IA32_PERF_GLOBAL_CTRL, EXIT,
	  VMX_EXIT_LOAD_PERF },
	{ VMCS_TPR_THRESHOLD, VMCS_TPR_THRESHOLD, CPU, VMX_CPU_TPR_SHADOW },
	{ VMCS_SECONDARY_CONTROLS, VMCS_SECONDARY_CONTROLS, CPU, VMX_CPU_SECONDARY },
	{ VMCS_PLE_GAP, VMCS_PLE_WINDOW, CPU2, VMX_CPU2_PAUSE_LOOP },
	{ VMCS_PREEMPTION_TIMER_VALUE, VMCS_PREEMPTION_TIMER_VALUE, PIN, VMX_PIN_PREEMPTION_TIMER },
};

static bool may_be_1(uint64_t msr, uint64_t bit)
{
	return (VMX_MAY_BE_1(msr) & bit) != 0;
}

static bool gate_open(const struct vmx_cap_msrs *c, enum gate gate, uint64_t bit)
{
	switch (gate) {
	case PIN: return may_be_1(c->pin, bit);
	case CPU: return may_be_1(c->cpu, bit);
	case CPU2: return may_be_1(c->cpu, VMX_CPU_SECONDARY) && may_be_1(c->cpu2, bit);
	case EXIT: return may_be_1(c->exit, bit);
	case ENTRY: return may_be_1(c->entry, bit);
	case VMFUNC: return (c->vmfunc & bit) != 0;
	case PAT:
		return may_be_1(c->entry, VMX_ENTRY_LOAD_PAT) ||
		       may_be_1(c->exit, VMX_EXIT_SAVE_PAT);
	case EFER:
		return may_be_1(c->entry, VMX_ENTRY_LOAD_EFER) ||
		       may_be_1(c->exit, VMX_EXIT_SAVE_EFER);
	case PERF: return may_be_1(c->entry, VMX_ENTRY_LOAD_PERF);
	case ALWAYS:
	default: return true;
	}
}

static const struct {
	uint32_t encoding;
	const char *name;
} fields[] = {
#define FIELD(name, encoding) { encoding, #name },
	VMCS_FIELDS(FIELD)
#undef FIELD
};

_Static_assert(HC_ARRAY_SIZE(fields) == MODEL_FIELDS, "all of them");

/* By width, type and index; 0: there is none, else the number of the field plus 1. */
static uint8_t slot_of[4][4][32];

_Static_assert(MODEL_FIELDS < UINT8_MAX, "slot_of has room");

static void index_fields(void)
{
	for (unsigned i = 0; i < MODEL_FIELDS; i++) {
		uint32_t e = fields[i].encoding;

		slot_of[e >> 13 & 3][e >> 10 & 3][e >> 1 & 31] = (uint8_t)(i + 1);
	}
}

int model_find_field(uint32_t encoding, bool *high)
{
	*high = encoding & 1;
	if (encoding & ~0x6c3fu || (*high && (encoding >> 13 & 3) != 1))
		return -1;
	if (!slot_of[0][0][0])
		index_fields();
	return slot_of[encoding >> 13 & 3][encoding >> 10 & 3][encoding >> 1 & 31] - 1;
}

const char *model_field_name(uint32_t field)
{
	bool high;
	int i = model_find_field(field, &high);

	return i < 0 ? NULL : fields[i].name;
}

bool model_has_field(const struct vmx_cap_msrs *caps, uint32_t field)
{
	bool high;

	if (model_find_field(field, &high) < 0)
		return false;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(gates); i++) {
		if ((field & ~1u) >= gates[i].first && (field & ~1u) <= gates[i].last)
			return gate_open(caps, gates[i].gate, gates[i].bit);
	}
	return true;
}

static uint64_t width_mask(uint32_t encoding)
{
	switch (encoding >> 13 & 3) {
	case 0: return UINT16_MAX;
	case 2: return UINT32_MAX;
	default: return UINT64_MAX;
	}
}

bool model_read_only(uint32_t encoding)
{
	return (encoding >> 10 & 3) == 1;
}

/* --- What they hold --- */

static const struct model_vmcs *const_vmcs_in(const struct vmx_region *region)
{
	return (const struct model_vmcs *)(const void *)region;
}

bool model_vmcs_launched(const struct vmx_region *vmcs)
{
	return const_vmcs_in(vmcs)->launched;
}

uint64_t model_get_value(const struct model_vmcs *v, uint32_t field)
{
	bool high;
	int i = model_find_field(field, &high);

	if (i < 0)
		return 0;
	return high ? v->values[i] >> 32 : v->values[i];
}

void model_set_value(struct model_vmcs *v, uint32_t field, uint64_t value)
{
	bool high;
	int i = model_find_field(field, &high);

	if (i < 0)
		return;
	v->written[i] = 1;
	if (high)
		v->values[i] = (v->values[i] & UINT32_MAX) | value << 32;
	else
		v->values[i] = value & width_mask(field);
}

uint64_t model_vmcs_get(const struct vmx_region *vmcs, uint32_t field)
{
	return model_get_value(const_vmcs_in(vmcs), field);
}

void model_vmcs_set(struct vmx_region *vmcs, uint32_t field, uint64_t value)
{
	model_set_value(model_vmcs_in(vmcs), field, value);
}
