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

static bool delivers(void)
{
	return has_cpu2(VMX_CPU2_VIRTUAL_INTERRUPTS);
}

bool model_exit_is_trap(void)
{
	switch (model_get(VMCS_EXIT_REASON)) {
	case VMX_REASON_TPR_BELOW_THRESHOLD:
	case VMX_REASON_VIRTUALIZED_EOI:
	case VMX_REASON_APIC_WRITE: return true;
	default: return false;
	}
}

/* --- The virtual-APIC page (30.1.1) --- */

static uint32_t *virtual_register(uint32_t offset)
{
	uint8_t *page = (uint8_t *)(uintptr_t)model_get(VMCS_VIRTUAL_APIC_ADDRESS);

	return (uint32_t *)(void *)(page + offset);
}

static void set_bit(uint32_t bitmap, unsigned vector, bool value)
{
	uint32_t *word = virtual_register(bitmap + vector / 32 * 16);
	uint32_t bit = 1u << vector % 32;

	*word = value ? *word | bit : *word & ~bit;
}

/* 0 if there is none. */
static uint8_t highest(uint32_t bitmap)
{
	for (unsigned v = 255; v > 0; v--)
		if (*virtual_register(bitmap + v / 32 * 16) >> v % 32 & 1)
			return (uint8_t)v;
	return 0;
}

static uint8_t rvi(void)
{
	return VMX_RVI(model_get(VMCS_GUEST_INTERRUPT_STATUS));
}

static uint8_t svi(void)
{
	return VMX_SVI(model_get(VMCS_GUEST_INTERRUPT_STATUS));
}

static void set_status(uint64_t requesting, uint64_t in_service)
{
	model_set(VMCS_GUEST_INTERRUPT_STATUS, VMX_INTERRUPT_STATUS(requesting, in_service));
}

/* --- Virtual interrupts (30.1.3 to 30.2.2) --- */

static _Thread_local bool recognized;

static void virtualize_ppr(void)
{
	uint32_t tpr = *virtual_register(APIC_TPR) & 0xff;

	*virtual_register(APIC_PPR) = tpr >> 4 >= svi() >> 4 ? tpr : svi() & 0xf0u;
}

static void evaluate(void)
{
	recognized = rvi() >> 4 > hc_bits(*virtual_register(APIC_PPR), 7, 4);
}

/* The manual leaves RVI and SVI to software; if they are not the highest of IRR and ISR, interrupts
 * are lost. */
void model_enter_apic(void)
{
	recognized = false;
	if (model_this()->holds_vector)
		model_complain("vector %#x was acknowledged, and nobody handled it",
		               model_this()->vector);
	if (!delivers())
		return;
	if (rvi() != highest(APIC_IRR) || svi() != highest(APIC_ISR))
		model_complain("RVI %#x and SVI %#x, IRR has %#x and ISR %#x", rvi(), svi(),
		               highest(APIC_IRR), highest(APIC_ISR));
	virtualize_ppr();
	evaluate();
}

static void take_recognized(void)
{
	unsigned vector = rvi();

	set_bit(APIC_ISR, vector, true);
	set_bit(APIC_IRR, vector, false);
	*virtual_register(APIC_PPR) = vector & 0xf0;
	set_status(highest(APIC_IRR), vector);
	recognized = false;
	model_deliver(VMX_INFO_V | (uint64_t)VMX_EVENT_INTR << 8 | vector, 0, 0);
}

void model_take_virtual(void)
{
	const uint64_t blocking = VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS;

	if (recognized && model_get(VMCS_GUEST_RFLAGS) & X86_FLAG_IF &&
	    !(model_get(VMCS_GUEST_INTERRUPTIBILITY) & blocking))
		take_recognized();
}

/* True: it exits. */
static bool virtualize_tpr(void)
{
	if (delivers()) {
		virtualize_ppr();
		evaluate();
		return false;
	}
	if (hc_bits(*virtual_register(APIC_TPR), 7, 4) >=
	    hc_bits(model_get(VMCS_TPR_THRESHOLD), 3, 0))
		return false;
	model_set_exit(VMX_REASON_TPR_BELOW_THRESHOLD, 0);
	return true;
}

static bool virtualize_eoi(void)
{
	unsigned vector = svi();

	*virtual_register(APIC_EOI) = 0;
	set_bit(APIC_ISR, vector, false);
	set_status(rvi(), highest(APIC_ISR));
	virtualize_ppr();
	if (model_get(VMCS_EOI_EXIT_BITMAP_0 + 2 * (vector / 64)) >> vector % 64 & 1) {
		model_set_exit(VMX_REASON_VIRTUALIZED_EOI, vector);
		return true;
	}
	evaluate();
	return false;
}

static bool virtualize_self_ipi(unsigned vector)
{
	set_bit(APIC_IRR, vector, true);
	set_status(hc_max(rvi(), vector), svi());
	evaluate();
	return false;
}

static bool apic_write_exit(uint32_t offset)
{
	model_set_exit(VMX_REASON_APIC_WRITE, offset);
	return true;
}

/* --- Interrupts of the host (28.2.2, 30.6) --- */

/* The descriptor is also others', who work on it with a lock. */
static void take_posted(void)
{
	struct x86_posted *p =
		(struct x86_posted *)(uintptr_t)model_get(VMCS_POSTED_INTR_DESCRIPTOR_ADDRESS);

	atomic_fetch_and(&p->control, ~(uint64_t)X86_POSTED_ON);
	for (unsigned v = 0; v < 256; v++) {
		uint64_t bit = HC_BIT(v % 64);

		if (!(atomic_fetch_and(&p->requests[v / 64], ~bit) & bit))
			continue;
		set_bit(APIC_IRR, v, true);
		set_status(hc_max(rvi(), v), svi());
	}
	evaluate();
}

static bool is_posting(uint8_t vector)
{
	return model_get(VMCS_PIN_BASED_CONTROLS) & VMX_PIN_POSTED_INTR &&
	       vector == model_get(VMCS_POSTED_INTR_NOTIFICATION_VECTOR);
}

void model_acknowledge(uint64_t info)
{
	if (!(model_get(VMCS_EXIT_CONTROLS) & VMX_EXIT_ACK_INTR) || !(info & VMX_INFO_V) ||
	    VMX_INFO_TYPE(info) != VMX_EVENT_INTR)
		return;
	model_this()->holds_vector = true;
	model_this()->vector = VMX_INFO_VECTOR(info);
}

bool model_host_interrupt(uint8_t vector)
{
	if (recognized && model_features.unmasks)
		take_recognized();
	if (is_posting(vector)) {
		take_posted();
		return false;
	}
	model_set_exit(VMX_REASON_EXTERNAL_INTERRUPT, 0);
	if (model_get(VMCS_EXIT_CONTROLS) & VMX_EXIT_ACK_INTR) {
		uint64_t info = VMX_INFO_V | (uint64_t)VMX_EVENT_INTR << 8 | vector;

		model_set(VMCS_EXIT_INTERRUPTION_INFO, info);
		model_acknowledge(info);
	}
	return true;
}

/* --- Stores to the page (30.4.3.2) --- */

/* Edge-triggered, fixed, to itself, of no vector below 16. */
static bool is_self_ipi(uint32_t icr)
{
	return !(icr & 0xfff3b700u) && hc_bits(icr, 19, 18) == 1 && hc_bits(icr, 7, 4);
}

static bool stored(uint32_t offset)
{
	uint32_t value = *virtual_register(offset);

	switch (offset) {
	case APIC_TPR: *virtual_register(offset) &= 0xff; return virtualize_tpr();
	case APIC_EOI: return delivers() ? virtualize_eoi() : apic_write_exit(offset);
	case APIC_ICR:
		return delivers() && is_self_ipi(value) ? virtualize_self_ipi(value & 0xff)
		                                        : apic_write_exit(offset);
	case APIC_ICR_HIGH: *virtual_register(offset) &= 0xff000000u; return false;
	default: return apic_write_exit(offset);
	}
}

/* 30.4.3.1: of registers that the CPU knows the page takes the store. */
static bool takes_store(uint32_t offset)
{
	switch (offset) {
	case APIC_TPR: return has_tpr_shadow();
	case APIC_EOI:
	case APIC_ICR: return delivers() || has_cpu2(VMX_CPU2_APIC_REGISTERS);
	case APIC_ID:
	case APIC_LDR:
	case APIC_DFR:
	case APIC_SVR:
	case APIC_ESR:
	case APIC_ICR_HIGH:
	case APIC_TIMER_ICR:
	case APIC_TIMER_DCR: return has_cpu2(VMX_CPU2_APIC_REGISTERS);
	default:
		return offset >= APIC_LVT_TIMER && offset <= APIC_LVT_ERROR &&
		       has_cpu2(VMX_CPU2_APIC_REGISTERS);
	}
}

bool model_apic_store(uint32_t offset, uint32_t value)
{
	if (!has_cpu2(VMX_CPU2_APIC_ACCESSES)) {
		model_set_exit(VMX_REASON_EPT_VIOLATION, VMX_EPT_WRITE | VMX_EPT_LINEAR);
		model_set(VMCS_GUEST_PHYSICAL_ADDRESS, X86_APIC_BASE | offset);
		return true;
	}
	if (!takes_store(offset)) {
		model_set_exit(VMX_REASON_APIC_ACCESS, (uint64_t)VMX_APIC_WRITE << 12 | offset);
		return true;
	}
	*virtual_register(offset) = value;
	return stored(offset);
}

/* 30.3 */
bool model_mov_cr8(uint64_t value)
{
	if (model_get(VMCS_PRIMARY_CONTROLS) & VMX_CPU_CR8_LOAD) {
		model_set_exit(VMX_REASON_CR_ACCESS, 8);
		return true;
	}
	*virtual_register(APIC_TPR) = (uint32_t)(value & 15) << 4;
	return virtualize_tpr();
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

static bool write_self_ipi(uint64_t value)
{
	if (value >> 8)
		return general_protection();
	*virtual_register(APIC_SELF_IPI) = (uint32_t)value;
	return value >> 4 ? virtualize_self_ipi((unsigned)value) : apic_write_exit(APIC_SELF_IPI);
}

static bool write_x2apic(uint32_t offset, uint64_t value)
{
	if (offset == APIC_TPR && has_tpr_shadow()) {
		if (value >> 8)
			return general_protection();
		*virtual_register(APIC_TPR) = (uint32_t)value;
		return virtualize_tpr();
	}
	if (offset == APIC_EOI && delivers())
		return value ? general_protection() : virtualize_eoi();
	if (offset == APIC_SELF_IPI && delivers())
		return write_self_ipi(value);
	model_complain("the guest writes to the host's local APIC: WRMSR of register %#x", offset);
	return false;
}

bool model_wrmsr(uint64_t *gpr)
{
	uint64_t value = gpr[X86_RDX] << 32 | (uint32_t)gpr[X86_RAX];
	uint32_t msr = (uint32_t)gpr[X86_RCX];

	if (is_intercepted(msr, WRITES))
		return msr_exit(VMX_REASON_WRMSR);
	if (!is_x2apic(msr))
		return false;
	if (has_cpu2(VMX_CPU2_X2APIC_MODE))
		return write_x2apic((msr & 0xff) << 4, value);
	model_complain("the guest writes to the host's local APIC: WRMSR %#x", msr);
	return false;
}
