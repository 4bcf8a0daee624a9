/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt messages between local APICs, and from devices to them (SDM Vol. 3A 10.6, 10.11).
 *
 * Delivery runs on the sender's CPU. It touches a receiver only through its atomic members and
 * hc_vcpu_request(); the receiver's before_entry() does the rest.
 */
#include <hypercore/errno.h>

#include "arch/x86_64/x86.h"

static uint32_t load32(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static uint64_t load_base(const struct x86_apic *apic)
{
	return atomic_load_explicit(&apic->base, memory_order_relaxed);
}

static struct x86_apic *apic_of(struct hc_vm *vm, unsigned i)
{
	return &x86_vcpu_of(vm->vcpus[i])->apic;
}

/* --- Acceptance --- */

void x86_apic_accept(struct hc_vcpu *vcpu, unsigned vector, bool level)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	_Atomic uint32_t *tmr = x86_apic_bits(apic, APIC_TMR, vector);
	uint32_t bit = x86_apic_bit(vector);

	if (__builtin_expect(apic->notify != NULL, 0)) {
		x86_apic_post(vcpu, vector, level);
		return;
	}
	/* 10.8.4: TMR tells how the vector last came in; it has to be right before IRR is seen. */
	if (level)
		atomic_fetch_or_explicit(tmr, bit, memory_order_relaxed);
	else if (load32(tmr) & bit)
		atomic_fetch_and_explicit(tmr, ~bit, memory_order_relaxed);
	atomic_fetch_or(x86_apic_bits(apic, APIC_IRR, vector), bit);
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

/* 10.5.2: a vector below 16 is an error, where it was sent and where it is received. */
static void accept_fixed(struct hc_vcpu *vcpu, unsigned vector, bool level)
{
	if (vector < 16)
		x86_apic_error(vcpu, APIC_ESR_RECEIVE_VECTOR);
	else
		x86_apic_accept(vcpu, vector, level);
}

static void accept_nmi(struct hc_vcpu *vcpu)
{
	atomic_store(&x86_vcpu_of(vcpu)->nmi_pending, true);
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

/* INIT undoes a start-up that was not taken yet. */
static void accept_init(struct hc_vcpu *vcpu)
{
	atomic_store(&x86_vcpu_of(vcpu)->start_request, X86_START_INIT);
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

/* Of several start-up messages the first counts: the second finds the CPU running. */
static void accept_startup(struct hc_vcpu *vcpu, uint8_t vector)
{
	_Atomic uint32_t *request = &x86_vcpu_of(vcpu)->start_request;
	uint32_t old = load32(request), new;

	do {
		if (old & X86_START_SIPI)
			return;
		new = (old & X86_START_INIT) | X86_START_SIPI | (uint32_t)vector << 8;
	} while (!atomic_compare_exchange_weak(request, &old, new));
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

static bool is_software_enabled(const struct x86_apic *apic)
{
	return (x86_apic_get(apic, APIC_SVR) & APIC_SVR_ENABLE) != 0;
}

static void accept(struct hc_vcpu *vcpu, const struct x86_message *m)
{
	switch (m->mode) {
	case X86_DELIVER_FIXED:
	case X86_DELIVER_LOWEST:
		/* 10.4.7.2: an APIC that software switched off takes only INIT, NMI, SMI, SIPI. */
		if (is_software_enabled(&x86_vcpu_of(vcpu)->apic))
			accept_fixed(vcpu, m->vector, m->level);
		break;
	case X86_DELIVER_NMI: accept_nmi(vcpu); break;
	case X86_DELIVER_INIT: accept_init(vcpu); break;
	case X86_DELIVER_STARTUP: accept_startup(vcpu, m->vector); break;
	/* There is no system management mode, and the 8259s have a line of their own. */
	default: break;
	}
}

/* --- Destinations (10.6.2) --- */

/* Logical destinations in xAPIC mode: flat if DFR's model is 1111, else cluster (10.6.2.2). */
static bool matches_logical(const struct x86_apic *apic, uint32_t dest)
{
	uint32_t ldr = x86_apic_get(apic, APIC_LDR) >> 24;

	if (x86_apic_get(apic, APIC_DFR) >> 28 == 0xf)
		return (ldr & dest) != 0;
	return (ldr >> 4 == dest >> 4 || dest >> 4 == 0xf) && (ldr & dest & 0xf);
}

/* 10.12.10.1; a message from an 8-bit source reaches x2APICs with IDs below 255 too. */
static bool matches_x2apic(const struct x86_apic *apic, const struct x86_message *m)
{
	if (!m->logical)
		return apic->id == m->destination;
	return apic->id >> 4 == m->destination >> 16 &&
	       (m->destination >> (apic->id & 15) & 1) != 0;
}

static bool matches(const struct x86_apic *apic, const struct x86_message *m)
{
	uint64_t base = load_base(apic);

	/* INIT and start-up messages also reach CPUs whose APIC is switched off, so that these can
	 * be brought back. */
	if (!(base & X86_APIC_BASE_EN) && m->mode != X86_DELIVER_INIT &&
	    m->mode != X86_DELIVER_STARTUP)
		return false;
	if (m->broadcast)
		return true;
	if (base & X86_APIC_BASE_EXTD)
		return matches_x2apic(apic, m);
	if (m->destination > 0xff)
		return false;
	return m->logical ? matches_logical(apic, m->destination) : apic->id == m->destination;
}

/* 10.6.2.4: of those that match, one with the lowest task priority; equals take turns. */
static struct hc_vcpu *arbitrate(struct hc_vm *vm, const struct x86_message *m)
{
	_Atomic uint32_t *next = &x86_vm_of(vm)->lowest_next;
	unsigned start = load32(next), n = vm->cpu_count;
	struct hc_vcpu *best = NULL;
	uint32_t best_tpr = UINT32_MAX;

	for (unsigned i = 0; i < n; i++) {
		unsigned candidate = (start + i) % n;
		struct x86_apic *apic = apic_of(vm, candidate);
		uint32_t tpr = x86_apic_get(apic, APIC_TPR);

		if (is_software_enabled(apic) && matches(apic, m) && tpr < best_tpr) {
			best = vm->vcpus[candidate];
			best_tpr = tpr;
		}
	}
	if (best)
		atomic_store_explicit(next, best->id + 1, memory_order_relaxed);
	return best;
}

unsigned x86_apic_deliver(struct hc_vm *vm, const struct x86_message *message)
{
	unsigned count = 0;

	if (message->mode == X86_DELIVER_INIT && !message->assert)
		return 0; /* de-assertion only synchronised the arbitration of old APIC buses */
	if (message->mode == X86_DELIVER_LOWEST) {
		struct hc_vcpu *one = arbitrate(vm, message);

		if (one)
			accept(one, message);
		return one ? 1 : 0;
	}
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		if (!matches(apic_of(vm, i), message))
			continue;
		accept(vm->vcpus[i], message);
		count++;
	}
	return count;
}

/* --- Sources --- */

/* ICR destination shorthands (10.6.1) */
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

static void send_to_others(struct hc_vcpu *self, const struct x86_message *m)
{
	struct hc_vm *vm = self->vm;

	for (unsigned i = 0; i < vm->cpu_count; i++)
		if (vm->vcpus[i] != self && matches(apic_of(vm, i), m))
			accept(vm->vcpus[i], m);
}

static void send(struct hc_vcpu *vcpu, struct x86_message *m, unsigned shorthand)
{
	m->broadcast |= shorthand != SHORTHAND_NONE;
	if (shorthand == SHORTHAND_SELF)
		accept(vcpu, m);
	else if (shorthand == SHORTHAND_OTHERS)
		send_to_others(vcpu, m);
	else
		x86_apic_deliver(vcpu->vm, m);
}

/* Table 10-3: to itself a CPU can send nothing but fixed interrupts (and to all but itself,
 * everything). */
static bool is_valid_combination(uint8_t mode, unsigned shorthand)
{
	if (shorthand == SHORTHAND_SELF || shorthand == SHORTHAND_ALL)
		return mode == X86_DELIVER_FIXED;
	return mode != X86_DELIVER_RESERVED && mode != X86_DELIVER_EXTINT;
}

void x86_apic_send_icr(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	bool x2apic = x86_apic_is_x2apic(apic);
	uint64_t icr = x86_apic_icr(apic);
	unsigned shorthand = (unsigned)hc_bits(icr, 19, 18);
	struct x86_message m = {
		.destination = (uint32_t)(icr >> (x2apic ? 32 : 56)),
		.vector = (uint8_t)icr,
		.mode = (uint8_t)hc_bits(icr, 10, 8),
		.logical = icr >> 11 & 1,
		.assert = (icr >> 14 & 1) || !(icr >> 15 & 1),
	};

	m.broadcast = m.destination == (x2apic ? X2APIC_BROADCAST : APIC_BROADCAST);
	if (!is_valid_combination(m.mode, shorthand))
		return;
	if (m.vector < 16 && (m.mode == X86_DELIVER_FIXED || m.mode == X86_DELIVER_LOWEST))
		x86_apic_error(vcpu, APIC_ESR_SEND_VECTOR);
	else
		send(vcpu, &m, shorthand);
}

/* One of the APIC's own sources has an interrupt (10.5.1). */
void x86_apic_local(struct hc_vcpu *vcpu, enum x86_apic_lvt entry)
{
	uint32_t lvt = x86_apic_get_lvt(&x86_vcpu_of(vcpu)->apic, entry);

	if (lvt & APIC_LVT_MASKED)
		return;
	/* The timer's and the error entry's mode field is reserved: they are fixed. */
	if (entry == LVT_TIMER || entry == LVT_ERROR || (lvt >> 8 & 7) == X86_DELIVER_FIXED)
		accept_fixed(vcpu, lvt & 0xff, false);
	else if ((lvt >> 8 & 7) == X86_DELIVER_NMI)
		accept_nmi(vcpu);
}

/* Figures 10-24 and 10-25. Where the address has a redirection hint without logical mode, the hint
 * has no meaning (10.11.1). */
void x86_apic_deliver_msi(struct hc_vm *vm, uint64_t address, uint32_t data)
{
	struct x86_message m = {
		.destination = (uint32_t)hc_bits(address, 19, 12),
		.vector = (uint8_t)data,
		.mode = (uint8_t)hc_bits(data, 10, 8),
		.logical = address >> 2 & 1,
		.level = data >> 15 & 1,
		.assert = true,
	};

	if (address >> 20 != 0xfee)
		return;
	m.broadcast = m.destination == APIC_BROADCAST;
	if (address >> 3 & 1 && m.logical && m.mode == X86_DELIVER_FIXED)
		m.mode = X86_DELIVER_LOWEST;
	if (m.mode == X86_DELIVER_STARTUP)
		return;
	x86_apic_deliver(vm, &m);
}
