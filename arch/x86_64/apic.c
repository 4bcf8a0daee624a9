/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's registers: state, MMIO page, x2APIC MSRs, mode changes, priorities. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/x86.h"
#include "core/device.h"
#include "core/log.h"

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

/* --- Priorities (10.8.3) --- */

static uint32_t processor_priority(const struct x86_apic *apic)
{
	int in_service = x86_apic_highest(apic, APIC_ISR);
	uint32_t tpr = x86_apic_get(apic, APIC_TPR);
	uint32_t isrv = in_service < 0 ? 0 : (uint32_t)in_service;

	return tpr >> 4 >= isrv >> 4 ? tpr : isrv & 0xf0;
}

int x86_apic_pending(struct x86_apic *apic)
{
	if (__builtin_expect(apic->notify != NULL, 0))
		x86_apic_merge(apic);
	int vector = x86_apic_highest(apic, APIC_IRR);

	if (vector < 0 || !(load64(&apic->base) & X86_APIC_BASE_EN))
		return -1;
	return (uint32_t)vector >> 4 > processor_priority(apic) >> 4 ? vector : -1;
}

void x86_apic_take(struct x86_apic *apic, unsigned vector)
{
	uint32_t bit = x86_apic_bit(vector);

	atomic_fetch_and_explicit(x86_apic_bits(apic, APIC_IRR, vector), ~bit,
	                          memory_order_relaxed);
	atomic_fetch_or_explicit(x86_apic_bits(apic, APIC_ISR, vector), bit, memory_order_relaxed);
}

/* A CPU that works on the page by itself is to hear of every change. */
static void recheck(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (apic->notify || x86_apic_pending(apic) >= 0)
		x86_request_event(vcpu);
}

static void write_tpr(struct hc_vcpu *vcpu, uint32_t value)
{
	x86_apic_put(&x86_vcpu_of(vcpu)->apic, APIC_TPR, value & 0xff);
	recheck(vcpu);
}

unsigned x86_apic_cr8(struct hc_vcpu *vcpu)
{
	return x86_apic_get(&x86_vcpu_of(vcpu)->apic, APIC_TPR) >> 4;
}

void x86_apic_set_cr8(struct hc_vcpu *vcpu, unsigned cr8)
{
	write_tpr(vcpu, (cr8 & 15) << 4);
}

void x86_apic_ended(struct hc_vcpu *vcpu, unsigned vector)
{
	const struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	const _Atomic uint32_t *tmr = x86_apic_bits(apic, APIC_TMR, vector);

	if (atomic_load_explicit(tmr, memory_order_relaxed) & x86_apic_bit(vector) &&
	    !(x86_apic_get(apic, APIC_SVR) & APIC_SVR_NO_EOI))
		hc_irq_broadcast_eoi(vcpu->vm, vector);
}

/* 10.8.5: the interrupt in service with the highest priority ends. */
static void end_of_interrupt(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	int highest_isr = x86_apic_highest(apic, APIC_ISR);

	x86_apic_put(apic, APIC_EOI, 0);
	if (highest_isr < 0)
		return;
	unsigned vector = (unsigned)highest_isr;

	atomic_fetch_and_explicit(x86_apic_bits(apic, APIC_ISR, vector), ~x86_apic_bit(vector),
	                          memory_order_relaxed);
	x86_apic_ended(vcpu, vector);
	recheck(vcpu);
}

/* --- Errors --- */

void x86_apic_error(struct hc_vcpu *vcpu, uint32_t bit)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	atomic_fetch_or(&apic->esr_pending, bit);
	/* An illegal vector in the error entry itself would report itself for ever. */
	if ((x86_apic_get_lvt(apic, LVT_ERROR) & 0xff) >= 16)
		x86_apic_local(vcpu, LVT_ERROR);
}

/* --- Writes of single registers --- */

static void write_svr(struct hc_vcpu *vcpu, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	x86_apic_put(apic, APIC_SVR, value & (0xff | APIC_SVR_ENABLE | APIC_SVR_NO_EOI));
	if (value & APIC_SVR_ENABLE)
		return;
	/* 10.4.7.2: switching the APIC off by software masks every local source. */
	for (unsigned i = 0; i < LVT_COUNT; i++)
		atomic_fetch_or(x86_apic_reg(apic, APIC_LVT_TIMER + 16 * i), APIC_LVT_MASKED);
}

static void write_lvt(struct hc_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	uint32_t i = (offset - APIC_LVT_TIMER) / 16;

	value &= lvt_writable[i];
	if (!(x86_apic_get(apic, APIC_SVR) & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASKED;
	if (i == LVT_TIMER)
		x86_apic_timer_catch_up(vcpu);
	x86_apic_put(apic, offset, value);
	if (i == LVT_TIMER)
		x86_apic_timer_write_lvt(vcpu, value);
	/* The 8259s may have waited for LINT0. */
	if (i == LVT_LINT0 && !(value & APIC_LVT_MASKED))
		x86_request_event(vcpu);
}

/* 10.5.3: a write makes what happened since the last one readable. */
static void write_esr(struct x86_apic *apic)
{
	x86_apic_put(apic, APIC_ESR, atomic_exchange(&apic->esr_pending, 0));
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
	case APIC_LVT_ERROR: write_lvt(vcpu, offset, value); return true;
	case APIC_TIMER_ICR: x86_apic_timer_write_icr(vcpu, value); return true;
	case APIC_TIMER_DCR: x86_apic_timer_write_dcr(vcpu, value); return true;
	default: return false;
	}
}

/* --- Reads --- */

static inline bool is_in(uint64_t registers, uint32_t offset)
{
	return offset < X86_APIC_REGS * 16 && registers >> (offset / 16) & 1;
}

/* --- The xAPIC page --- */

uint32_t x86_apic_mmio_read(struct hc_vcpu *vcpu, uint32_t offset)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (offset & 15)
		return 0;
	if (is_in(X86_XAPIC_PLAIN, offset))
		return x86_apic_get(apic, offset);
	switch (offset) {
	case APIC_PPR: return processor_priority(apic);
	case APIC_TIMER_CCR: return x86_apic_timer_ccr(vcpu);
	/* Arbitration is that of the old APIC bus; EOI and remote read give nothing. */
	case APIC_APR:
	case APIC_EOI:
	case APIC_RRD: return 0;
	default: x86_apic_error(vcpu, APIC_ESR_REGISTER); return 0;
	}
}

/* 10.6.1: delivery status is never set, since sending is instantaneous. */
static void write_icr(struct hc_vcpu *vcpu, uint32_t value)
{
	x86_apic_put(&x86_vcpu_of(vcpu)->apic, APIC_ICR, value & ~0xfff33000u);
	x86_apic_send_icr(vcpu);
}

void x86_apic_mmio_write(struct hc_vcpu *vcpu, uint32_t offset, uint32_t value)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (offset & 15 || write_common(vcpu, offset, value))
		return;
	switch (offset) {
	case APIC_LDR: x86_apic_put(apic, offset, value & 0xff000000u); break;
	case APIC_DFR: x86_apic_put(apic, offset, value | 0x0fffffffu); break;
	case APIC_ICR: write_icr(vcpu, value); break;
	case APIC_ICR_HIGH: x86_apic_put(apic, offset, value & 0xff000000u); break;
	case APIC_ID: x86_apic_put(apic, offset, apic->id << 24); break; /* fixed (10.4.6) */
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
	uint32_t offset = (msr - 0x800) << 4;

	if (!x86_apic_is_x2apic(apic))
		return -EINVAL;
	if (is_in(X86_X2APIC_PLAIN, offset)) {
		*value = x86_apic_get(apic, offset);
		return 0;
	}
	switch (offset) {
	case APIC_PPR: *value = processor_priority(apic); return 0;
	case APIC_ICR: *value = x86_apic_icr(apic); return 0;
	case APIC_TIMER_CCR: *value = x86_apic_timer_ccr(vcpu); return 0;
	default: return -EINVAL;
	}
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

	if (!x86_apic_is_x2apic(apic) || offset > 0xff0)
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
		x86_apic_put(apic, APIC_ICR_HIGH, (uint32_t)(value >> 32));
		write_icr(vcpu, (uint32_t)value);
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

/* ID and LDR as they look in the APIC's mode. LDR is the guest's to write in xAPIC mode, where it
 * begins with 0 (10.4.7.1). */
static void show_id(struct x86_apic *apic)
{
	x86_apic_put(apic, APIC_ID, x86_apic_is_x2apic(apic) ? apic->id : apic->id << 24);
	x86_apic_put(apic, APIC_LDR, x86_apic_is_x2apic(apic) ? x2apic_ldr(apic) : 0);
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
	atomic_store(&apic->base, value);
	/* The backend has another look at the mode. */
	hc_vcpu_need(vcpu, X86_G_MSR);
	hc_vcpu_dirty(vcpu, X86_G_MSR);
	/* 10.12.5.1: the destination of the xAPIC's ICR has no place in x2APIC mode. */
	if (value & ~old & X86_APIC_BASE_EXTD)
		x86_apic_put(apic, APIC_ICR_HIGH, 0);
	if ((value ^ old) & mode)
		show_id(apic);
	return 0;
}

/* --- Reset --- */

int x86_apic_init(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	apic->page = hc_platform_alloc_pages(0);
	if (!apic->page)
		return hc_error(-ENOMEM, "vcpu %u of VM %s: no memory for its local APIC", vcpu->id,
		                vcpu->vm->name);
	apic->id = vcpu->id;
	x86_apic_timer_init(vcpu);
	x86_apic_reset(vcpu, true);
	return 0;
}

void x86_apic_fini(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	hc_timer_cancel(&apic->timer);
	hc_platform_free_pages(apic->page, 0);
}

/* Those that are not 0 after a reset (10.4.7.1), but for the ID. */
static const struct {
	uint32_t offset, value;
} after_reset[] = {
	{ APIC_VERSION, APIC_VERSION_VALUE },
	{ APIC_DFR, UINT32_MAX },
	{ APIC_SVR, 0xff },
	{ APIC_LVT_TIMER, APIC_LVT_MASKED },
	{ APIC_LVT_THERMAL, APIC_LVT_MASKED },
	{ APIC_LVT_PMC, APIC_LVT_MASKED },
	{ APIC_LVT_LINT0, APIC_LVT_MASKED },
	{ APIC_LVT_LINT1, APIC_LVT_MASKED },
	{ APIC_LVT_ERROR, APIC_LVT_MASKED },
};

void x86_apic_reset(struct hc_vcpu *vcpu, bool power_on)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (power_on)
		atomic_store(&apic->base,
		             DEFAULT_BASE | X86_APIC_BASE_EN | (vcpu->id ? 0 : X86_APIC_BASE_BSP));
	x86_apic_timer_reset(vcpu);
	for (uint32_t offset = 0; offset < X86_APIC_REGS * 16; offset += 16)
		x86_apic_put(apic, offset, 0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(after_reset); i++)
		x86_apic_put(apic, after_reset[i].offset, after_reset[i].value);
	show_id(apic);
	x86_apic_drop_posted(apic);
	atomic_store(&apic->esr_pending, 0);
}

void x86_apic_virtual_wire(struct hc_vcpu *vcpu)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	x86_apic_put(apic, APIC_SVR, 0xff | APIC_SVR_ENABLE);
	x86_apic_put(apic, APIC_LVT_LINT0, X86_DELIVER_EXTINT << 8);
	x86_apic_put(apic, APIC_LVT_LINT1, X86_DELIVER_NMI << 8);
}

bool x86_apic_takes_extint(const struct x86_apic *apic)
{
	uint32_t lint0 = x86_apic_get(apic, APIC_LVT_LINT0);

	if (!(load64(&apic->base) & X86_APIC_BASE_EN))
		return true;
	return !(lint0 & APIC_LVT_MASKED) && (lint0 >> 8 & 7) == X86_DELIVER_EXTINT;
}

/* --- Snapshots --- */

#define FIELD(name, first, count)                                                                  \
	{                                                                                          \
		name, first, 16, count, 1                                                          \
	}

/* What can be told from the rest is left out. */
static const struct hc_field page_fields[] = {
	FIELD("tpr", APIC_TPR, 1),
	FIELD("ldr", APIC_LDR, 1),
	FIELD("dfr", APIC_DFR, 1),
	FIELD("svr", APIC_SVR, 1),
	FIELD("isr", APIC_ISR, 8),
	FIELD("tmr", APIC_TMR, 8),
	FIELD("irr", APIC_IRR, 8),
	FIELD("esr", APIC_ESR, 1),
	FIELD("icr", APIC_ICR, 2),
	FIELD("lvt", APIC_LVT_TIMER, LVT_COUNT),
	FIELD("timer_icr", APIC_TIMER_ICR, 1),
	FIELD("timer_dcr", APIC_TIMER_DCR, 1),
};

static bool is_page_consistent(const struct x86_apic *apic)
{
	const uint32_t svr = 0xff | APIC_SVR_ENABLE | APIC_SVR_NO_EOI;

	for (unsigned i = 0; i < LVT_COUNT; i++)
		if (x86_apic_get_lvt(apic, i) & ~lvt_writable[i])
			return false;
	/* Vectors below 16 cannot have been accepted. */
	return x86_apic_get(apic, APIC_TPR) <= 0xff && !(x86_apic_get(apic, APIC_SVR) & ~svr) &&
	       !(x86_apic_get(apic, APIC_TIMER_DCR) & ~0xbu) &&
	       !(x86_apic_get(apic, APIC_IRR) & 0xffff) && !(x86_apic_get(apic, APIC_ISR) & 0xffff);
}

static int page_post_load(void *obj)
{
	const struct x86_apic apic = { .page = obj };

	return is_page_consistent(&apic) ? 0 : -EPROTO;
}

const struct hc_state_desc x86_apic_page_state = {
	.name = "local APIC page",
	.version = 1,
	.fields = page_fields,
	.field_count = HC_ARRAY_SIZE(page_fields),
	.post_load = page_post_load,
};

static const struct hc_field fields[] = {
	HC_FIELD(struct x86_apic, base, 1),         HC_FIELD(struct x86_apic, id, 1),
	HC_FIELD(struct x86_apic, esr_pending, 1),  HC_FIELD(struct x86_apic, timer_start_ns, 1),
	HC_FIELD(struct x86_apic, tsc_deadline, 1),
};

static bool is_consistent(const struct x86_apic *apic, uint32_t id)
{
	const uint64_t mode = X86_APIC_BASE_EN | X86_APIC_BASE_EXTD;
	uint64_t base = load64(&apic->base);

	return apic->id == id && (base & ~(mode | X86_APIC_BASE_BSP)) == DEFAULT_BASE &&
	       (base & mode) != X86_APIC_BASE_EXTD;
}

static int post_load(void *obj)
{
	struct x86_apic *apic = obj;
	struct x86_vcpu *x = HC_CONTAINER_OF(apic, struct x86_vcpu, apic);

	if (!is_consistent(apic, x->vcpu.id))
		return -EPROTO;
	x86_apic_put(apic, APIC_ID, x86_apic_is_x2apic(apic) ? apic->id : apic->id << 24);
	if (x86_apic_is_x2apic(apic))
		x86_apic_put(apic, APIC_LDR, x2apic_ldr(apic));
	apic->timer_lvt = x86_apic_get_lvt(apic, LVT_TIMER);
	apic->timer_icr = x86_apic_get(apic, APIC_TIMER_ICR);
	apic->timer_dcr = x86_apic_get(apic, APIC_TIMER_DCR);
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
