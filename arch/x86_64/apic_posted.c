/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts for vCPUs whose CPU works on IRR by itself: where they wait until its owner merges
 * them. */
#include "arch/x86_64/x86.h"

/* Who finds that there was nothing outstanding tells the vCPU, of all that come until it looks. Of
 * the others the CPU that may take posted interrupts knows nothing: it is told of each. */
void x86_apic_post(struct hc_vcpu *vcpu, unsigned vector, bool level)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	_Atomic uint64_t *words = level ? apic->level : apic->posted->requests;
	_Atomic uint32_t *tmr = x86_apic_bits(apic, APIC_TMR, vector);

	/* It may come in without more ado (10.8.4). No CPU changes TMR. */
	if (!level && atomic_load_explicit(tmr, memory_order_relaxed) & x86_apic_bit(vector))
		atomic_fetch_and(tmr, ~x86_apic_bit(vector));
	atomic_fetch_or(&words[vector / 64], HC_BIT(vector % 64));
	if (level) {
		atomic_store(&apic->level_outstanding, true);
		hc_vcpu_request(vcpu, HC_REQ_EVENT);
	} else if (!(atomic_fetch_or(&apic->posted->control, X86_POSTED_ON) & X86_POSTED_ON)) {
		apic->notify(vcpu);
	}
}

static void merge_half(struct x86_apic *apic, unsigned first, uint32_t bits, bool level)
{
	_Atomic uint32_t *irr = x86_apic_bits(apic, APIC_IRR, first);

	if (level)
		atomic_fetch_or(x86_apic_bits(apic, APIC_TMR, first), bits);
	atomic_store_explicit(irr, atomic_load_explicit(irr, memory_order_relaxed) | bits,
	                      memory_order_relaxed);
}

static void merge_words(struct x86_apic *apic, _Atomic uint64_t words[4], bool level)
{
	for (unsigned i = 0; i < 4; i++) {
		if (!atomic_load_explicit(&words[i], memory_order_relaxed))
			continue;
		uint64_t bits = atomic_exchange(&words[i], 0);

		merge_half(apic, 64 * i, (uint32_t)bits, level);
		merge_half(apic, 64 * i + 32, (uint32_t)(bits >> 32), level);
	}
}

/* The flags first: what comes after is announced anew. */
void x86_apic_merge_outstanding(struct x86_apic *apic)
{
	if (atomic_exchange(&apic->posted->control, 0) & X86_POSTED_ON)
		merge_words(apic, apic->posted->requests, false);
	if (atomic_exchange(&apic->level_outstanding, false))
		merge_words(apic, apic->level, true);
}

void x86_apic_drop_posted(struct x86_apic *apic)
{
	if (!apic->notify)
		return;
	atomic_store(&apic->posted->control, 0);
	atomic_store(&apic->level_outstanding, false);
	for (unsigned i = 0; i < 4; i++) {
		atomic_store(&apic->posted->requests[i], 0);
		atomic_store(&apic->level[i], 0);
	}
}
