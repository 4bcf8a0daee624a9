/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's registers: state, MMIO page, x2APIC MSRs, mode changes, priorities. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/x86.h"
#include "core/device.h"

#define DEFAULT_BASE X86_APIC_BASE

/* What a guest may write to each LVT entry: vector, delivery mode, polarity, trigger, mask, timer
 * mode (figure 10-8). Delivery status (12) and remote IRR (14) are read-only. */
static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ffu, [LVT_THERMAL] = 0x107ffu, [LVT_PMC] = 0x107ffu,
	[LVT_LINT0] = 0x1a7ffu, [LVT_LINT1] = 0x1a7ffu,   [LVT_ERROR] = 0x100ffu,
};

static inline uint64_t load64(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline uint32_t load32(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline void store32(_Atomic uint32_t *p, uint32_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static bool is_x2apic(const struct x86_apic *apic)
{
	return (load64(&apic->base) & X86_APIC_BASE_EXTD) != 0;
}

/* --- Priorities (10.8.3) --- */

static inline int highest(const uint64_t words[4])
{
	for (int i = 3; i >= 0; i--)
		if (words[i])
			return i * 64 + 63 - __builtin_clzll(words[i]);
	return -1;
}

static inline int highest_requested(const struct x86_apic *apic)
{
	for (int i = 3; i >= 0; i--) {
		uint64_t word = atomic_load_explicit(&apic->irr[i], memory_order_acquire);

		if (word)
			return i * 64 + 63 - __builtin_clzll(word);
	}
	return -1;
}

static uint32_t processor_priority(const struct x86_apic *apic)
{
	int in_service = highest(apic->isr);
	uint32_t tpr = load32(&apic->tpr);
	uint32_t isrv = in_service < 0 ? 0 : (uint32_t)in_service;

	return tpr >> 4 >= isrv >> 4 ? tpr : isrv & 0xf0;
}

int x86_apic_pending(const struct x86_apic *apic)
{
	int vector = highest_requested(apic);

	if (vector < 0 || !(load64(&apic->base) & X86_APIC_BASE_EN))
		return -1;
	return (uint32_t)vector >> 4 > processor_priority(apic) >> 4 ? vector : -1;
}

void x86_apic_take(struct x86_apic *apic, unsigned vector)
{
	uint64_t bit = HC_BIT(vector % 64);

	atomic_fetch_and_explicit(&apic->irr[vector / 64], ~bit, memory_order_relaxed);
	apic->isr[vector / 64] |= bit;
}

static void recheck(struct hc_vcpu *vcpu)
{
	if (x86_apic_pending(&x86_vcpu_of(vcpu)->apic) >= 0)
		x86_request_event(vcpu);
}

static void write_tpr(struct hc_vcpu *vcpu, uint32_t value)
{
	store32(&x86_vcpu_of(vcpu)->apic.tpr, value & 0xff);
	recheck(vcpu);
}

unsigned x86_apic_cr8(struct hc_vcpu *vcpu)
{
	return load32(&x86_vcpu_of(vcpu)->apic.tpr) >> 4;
}

void x86_apic_set_cr8(struct hc_vcpu *vcpu, unsigned cr8)
{
	write_tpr(vcpu, (cr8 & 15) << 4);
}

/* 10.8.5: the interrupt in service with the highest priority ends. */
static void end_of_interrupt(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	int vector = highest(apic->isr);

	if (vector < 0)
		return;
	uint64_t bit = HC_BIT((unsigned)vector % 64);

	apic->isr[vector / 64] &= ~bit;
	if (load64(&apic->tmr[vector / 64]) & bit && !(load32(&apic->svr) & APIC_SVR_NO_EOI))
		hc_irq_broadcast_eoi(vcpu->vm, (unsigned)vector);
	recheck(vcpu);
}

/* --- Errors --- */

void x86_apic_error(struct hc_vcpu *vcpu, uint32_t bit)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	atomic_fetch_or(&apic->esr_pending, bit);
	/* An illegal vector in the error entry itself would report itself for ever. */
	if ((load32(&apic->lvt[LVT_ERROR]) & 0xff) >= 16)
		x86_apic_local(vcpu, LVT_ERROR);
}

/* --- Writes of single registers --- */

static void write_svr(struct hc_vcpu *vcpu, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	store32(&apic->svr, value & (0xff | APIC_SVR_ENABLE | APIC_SVR_NO_EOI));
	if (value & APIC_SVR_ENABLE)
		return;
	/* 10.4.7.2: switching the APIC off by software masks every local source. */
	for (unsigned i = 0; i < LVT_COUNT; i++)
		atomic_fetch_or(&apic->lvt[i], APIC_LVT_MASKED);
}

static void write_lvt(struct hc_vcpu *vcpu, unsigned i, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	uint32_t old = load32(&apic->lvt[i]);

	value &= lvt_writable[i];
	if (!(load32(&apic->svr) & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASKED;
	store32(&apic->lvt[i], value);
	if (i == LVT_TIMER)
		x86_apic_timer_write_lvt(vcpu, old);
	/* The 8259s may have waited for LINT0. */
	if (i == LVT_LINT0 && !(value & APIC_LVT_MASKED))
		x86_request_event(vcpu);
}

static uint32_t write_esr(struct x86_apic *apic)
{
	/* 10.5.3: a write makes what happened since the last one readable. */
	return apic->esr = atomic_exchange(&apic->esr_pending, 0);
}

/* Registers that both modes write alike. False: there is no such register to write. */
static bool write_common(struct hc_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	switch (offset) {
	case APIC_TPR: write_tpr(vcpu, value); return true;
	case APIC_EOI: end_of_interrupt(vcpu); return true;
	case APIC_SVR: write_svr(vcpu, value); return true;
	case APIC_ESR: write_esr(apic); return true;
	case APIC_LVT_TIMER:
	case APIC_LVT_THERMAL:
	case APIC_LVT_PMC:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR: write_lvt(vcpu, (offset - APIC_LVT_TIMER) / 16, value); return true;
	case APIC_TIMER_ICR: x86_apic_timer_write_icr(vcpu, value); return true;
	case APIC_TIMER_DCR: x86_apic_timer_write_dcr(vcpu, value); return true;
	default: return false;
	}
}

/* --- Reads --- */

static uint32_t bitmap_word(const _Atomic uint64_t *words, unsigned i)
{
	return (uint32_t)(load64(&words[i / 2]) >> (i % 2 * 32));
}

/* ISR, TMR and IRR: eight 32-bit registers each, 16 bytes apart. */
static uint32_t read_bitmap(const struct x86_apic *apic, uint32_t offset)
{
	unsigned i = offset >> 4 & 7;

	if (offset < APIC_TMR)
		return (uint32_t)(apic->isr[i / 2] >> (i % 2 * 32));
	return bitmap_word(offset < APIC_IRR ? apic->tmr : apic->irr, i);
}

/* Registers that both modes read alike. False: there is no such register to read. */
static inline __attribute__((always_inline)) bool read_common(struct hc_vcpu *vcpu, uint32_t offset,
                                                              uint32_t *value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (offset >= APIC_ISR && offset < APIC_ESR) {
		*value = read_bitmap(apic, offset);
		return true;
	}
	switch (offset) {
	case APIC_VERSION: *value = APIC_VERSION_VALUE; return true;
	case APIC_TPR: *value = load32(&apic->tpr); return true;
	case APIC_PPR: *value = processor_priority(apic); return true;
	case APIC_SVR: *value = load32(&apic->svr); return true;
	case APIC_ESR: *value = apic->esr; return true;
	case APIC_LVT_TIMER:
	case APIC_LVT_THERMAL:
	case APIC_LVT_PMC:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR:
		*value = load32(&apic->lvt[(offset - APIC_LVT_TIMER) / 16]);
		return true;
	case APIC_TIMER_ICR: *value = apic->timer_icr; return true;
	case APIC_TIMER_CCR: *value = x86_apic_timer_ccr(vcpu); return true;
	case APIC_TIMER_DCR: *value = apic->timer_dcr; return true;
	default: return false;
	}
}

/* --- The xAPIC page --- */

uint32_t x86_apic_mmio_read(struct hc_vcpu *vcpu, uint32_t offset)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	uint32_t value = 0;

	if (offset & 15 || read_common(vcpu, offset, &value))
		return value;
	switch (offset) {
	case APIC_ID: return apic->id << 24;
	case APIC_LDR: return load32(&apic->ldr);
	case APIC_DFR: return load32(&apic->dfr);
	case APIC_ICR: return (uint32_t)apic->icr;
	case APIC_ICR_HIGH: return (uint32_t)(apic->icr >> 32);
	/* Arbitration is that of the old APIC bus; EOI and remote read give nothing. */
	case APIC_APR:
	case APIC_EOI:
	case APIC_RRD: return 0;
	default: x86_apic_error(vcpu, APIC_ESR_REGISTER); return 0;
	}
}

/* 10.6.1: delivery status is never set, since sending is instantaneous. */
static void write_icr(struct hc_vcpu *vcpu, uint64_t value)
{
	x86_vcpu_of(vcpu)->apic.icr = value & ~UINT64_C(0xfff33000);
	x86_apic_send_icr(vcpu);
}

void x86_apic_mmio_write(struct hc_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (offset & 15 || write_common(vcpu, offset, value))
		return;
	switch (offset) {
	case APIC_LDR: store32(&apic->ldr, value & 0xff000000u); break;
	case APIC_DFR: store32(&apic->dfr, value | 0x0fffffffu); break;
	case APIC_ICR: write_icr(vcpu, (apic->icr & ~UINT64_C(0xffffffff)) | value); break;
	case APIC_ICR_HIGH:
		apic->icr = (apic->icr & 0xffffffffu) | (uint64_t)(value & 0xff000000u) << 32;
		break;
	case APIC_ID: /* fixed, as on CPUs with x2APIC */
	case APIC_VERSION: /* read-only */ break;
	default: x86_apic_error(vcpu, APIC_ESR_REGISTER); break;
	}
}

/* --- x2APIC MSRs (10.12.1.2, table 10-6) --- */

/* Bits that may be set in a write; others raise #GP. 0: not writable by this table. */
static uint64_t x2apic_writable(uint32_t offset)
{
	switch (offset) {
	case APIC_TPR: return 0xff;
	case APIC_SVR: return 0xff | APIC_SVR_ENABLE | APIC_SVR_NO_EOI;
	case APIC_LVT_TIMER:
	case APIC_LVT_THERMAL:
	case APIC_LVT_PMC:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR:
		/* Delivery status and remote IRR are read-only, which is not reserved. */
		return lvt_writable[(offset - APIC_LVT_TIMER) / 16] | 0x5000u;
	case APIC_TIMER_ICR: return 0xffffffffu;
	case APIC_TIMER_DCR: return 0xb;
	default: return 0;
	}
}

/* 10.12.10.2 */
static uint32_t x2apic_ldr(const struct x86_apic *apic)
{
	return (apic->id & ~15u) << 12 | 1u << (apic->id & 15);
}

int x86_x2apic_read(struct hc_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	uint32_t offset = (msr - 0x800) << 4, low = 0;

	if (!is_x2apic(apic) || offset > 0xff0)
		return -EINVAL;
	if (offset == APIC_ICR) {
		*value = apic->icr;
		return 0;
	}
	if (offset == APIC_ID)
		low = apic->id;
	else if (offset == APIC_LDR)
		low = x2apic_ldr(apic);
	else if (!read_common(vcpu, offset, &low))
		return -EINVAL;
	*value = low;
	return 0;
}

static int write_self_ipi(struct hc_vcpu *vcpu, uint64_t value)
{
	if (value >> 8)
		return -EINVAL;
	if (value < 16)
		x86_apic_error(vcpu, APIC_ESR_SEND_VECTOR);
	else
		x86_apic_accept(vcpu, (unsigned)value, false);
	return 0;
}

int x86_x2apic_write(struct hc_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	uint32_t offset = (msr - 0x800) << 4;

	if (!is_x2apic(apic) || offset > 0xff0)
		return -EINVAL;
	switch (offset) {
	case APIC_EOI:
	case APIC_ESR:
		if (value)
			return -EINVAL;
		write_common(vcpu, offset, 0);
		return 0;
	case APIC_ICR:
		if (value & UINT64_C(0xfff33000))
			return -EINVAL;
		write_icr(vcpu, value);
		return 0;
	case APIC_SELF_IPI: return write_self_ipi(vcpu, value);
	default:
		if (!x2apic_writable(offset) || value & ~x2apic_writable(offset))
			return -EINVAL;
		write_common(vcpu, offset, (uint32_t)value);
		return 0;
	}
}

/* --- IA32_APIC_BASE --- */

/* Figure 10-27, "Local x2APIC State Transitions", but for the loop of each state. */
static bool mode_change_allowed(uint64_t from, uint64_t to)
{
	const uint64_t xapic = X86_APIC_BASE_EN, x2apic = X86_APIC_BASE_EN | X86_APIC_BASE_EXTD;

	if (to == X86_APIC_BASE_EXTD)
		return false;
	if (from == to || to == 0)
		return true;
	return (from == 0 && to == xapic) || (from == xapic && to == x2apic);
}

int x86_apic_write_base(struct hc_vcpu *vcpu, uint64_t value)
{
	const uint64_t mode = X86_APIC_BASE_EN | X86_APIC_BASE_EXTD;
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	uint64_t old = load64(&apic->base);

	if ((value & ~(mode | X86_APIC_BASE_BSP)) != DEFAULT_BASE ||
	    !mode_change_allowed(old & mode, value & mode))
		return -EINVAL;
	if (!(value & X86_APIC_BASE_EN) && old & X86_APIC_BASE_EN)
		x86_apic_reset(vcpu, false);
	/* 10.12.5.1: the destination of the xAPIC's ICR has no place in x2APIC mode. */
	if (value & ~old & X86_APIC_BASE_EXTD)
		apic->icr &= 0xffffffffu;
	atomic_store(&apic->base, value);
	return 0;
}

/* --- Reset --- */

void x86_apic_init(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	apic->id = vcpu->id;
	x86_apic_timer_init(vcpu);
	x86_apic_reset(vcpu, true);
}

void x86_apic_reset(struct hc_vcpu *vcpu, bool power_on)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (power_on)
		atomic_store(&apic->base,
		             DEFAULT_BASE | X86_APIC_BASE_EN | (vcpu->id ? 0 : X86_APIC_BASE_BSP));
	store32(&apic->tpr, 0);
	store32(&apic->ldr, 0);
	store32(&apic->dfr, UINT32_MAX);
	store32(&apic->svr, 0xff);
	apic->esr = 0;
	store32(&apic->esr_pending, 0);
	apic->icr = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		store32(&apic->lvt[i], APIC_LVT_MASKED);
	for (unsigned i = 0; i < 4; i++) {
		atomic_store(&apic->irr[i], 0);
		atomic_store(&apic->tmr[i], 0);
		apic->isr[i] = 0;
	}
	x86_apic_timer_reset(vcpu);
}

void x86_apic_virtual_wire(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	store32(&apic->svr, 0xff | APIC_SVR_ENABLE);
	store32(&apic->lvt[LVT_LINT0], X86_DELIVER_EXTINT << 8);
	store32(&apic->lvt[LVT_LINT1], X86_DELIVER_NMI << 8);
}

bool x86_apic_takes_extint(const struct x86_apic *apic)
{
	uint32_t lint0 = load32(&apic->lvt[LVT_LINT0]);

	if (!(load64(&apic->base) & X86_APIC_BASE_EN))
		return true;
	return !(lint0 & APIC_LVT_MASKED) && (lint0 >> 8 & 7) == X86_DELIVER_EXTINT;
}

/* --- Snapshots --- */

static const struct hc_field fields[] = {
	HC_FIELD(struct x86_apic, base, 1),
	HC_FIELD(struct x86_apic, id, 1),
	HC_FIELD(struct x86_apic, tpr, 1),
	HC_FIELD(struct x86_apic, ldr, 1),
	HC_FIELD(struct x86_apic, dfr, 1),
	HC_FIELD(struct x86_apic, svr, 1),
	HC_FIELD(struct x86_apic, esr, 1),
	HC_FIELD(struct x86_apic, esr_pending, 1),
	HC_FIELD(struct x86_apic, icr, 1),
	HC_FIELD_ARRAY(struct x86_apic, lvt, 1),
	HC_FIELD(struct x86_apic, timer_icr, 1),
	HC_FIELD(struct x86_apic, timer_dcr, 1),
	HC_FIELD(struct x86_apic, timer_start_ns, 1),
	HC_FIELD(struct x86_apic, tsc_deadline, 1),
	HC_FIELD_ARRAY(struct x86_apic, irr, 1),
	HC_FIELD_ARRAY(struct x86_apic, tmr, 1),
	HC_FIELD_ARRAY(struct x86_apic, isr, 1),
};

static bool is_consistent(const struct x86_apic *apic, uint32_t id)
{
	const uint64_t mode = X86_APIC_BASE_EN | X86_APIC_BASE_EXTD;
	uint64_t base = load64(&apic->base);

	for (unsigned i = 0; i < LVT_COUNT; i++)
		if (load32(&apic->lvt[i]) & ~lvt_writable[i])
			return false;
	/* Vectors below 16 cannot have been accepted. */
	return apic->id == id && (base & ~(mode | X86_APIC_BASE_BSP)) == DEFAULT_BASE &&
	       (base & mode) != X86_APIC_BASE_EXTD && load32(&apic->tpr) <= 0xff &&
	       !(apic->timer_dcr & ~0xbu) && !(load64(&apic->irr[0]) & 0xffff) &&
	       !(apic->isr[0] & 0xffff);
}

static int post_load(void *obj)
{
	struct x86_apic *apic = obj;
	struct x86_vcpu *x = HC_CONTAINER_OF(apic, struct x86_vcpu, apic);

	if (!is_consistent(apic, x->vcpu.id))
		return -EPROTO;
	x86_apic_timer_rearm(&x->vcpu);
	x86_request_event(&x->vcpu);
	return 0;
}

const struct hc_state_desc x86_apic_state = {
	.name = "local APIC",
	.version = 1,
	.fields = fields,
	.field_count = HC_ARRAY_SIZE(fields),
	.post_load = post_load,
};
