/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APICs against a model that keeps a flag per vector and takes every sentence of SDM Vol. 3A
 * chapter 10 one at a time; the timer against closed forms.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "arch/x86_64/x86.h"
#include "core/device.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

#define CPUS 5

/* --- The model --- */

struct model_cpu {
	bool irr[256], isr[256], tmr[256];
	bool nmi, init, sipi;
	unsigned sipi_vector;
	uint32_t tpr, ldr, dfr, svr, esr, pending_esr;
	uint32_t icr_low, icr_high;
	uint32_t lvt[6];
};

static struct model_cpu model[CPUS];
static unsigned model_eois[256], eois[256];

static int top(const bool flags[256])
{
	for (int v = 255; v >= 0; v--)
		if (flags[v])
			return v;
	return -1;
}

static unsigned model_ppr(const struct model_cpu *c)
{
	int isr = top(c->isr);
	unsigned isrv = isr < 0 ? 0 : (unsigned)isr;

	return (c->tpr & 0xf0) >= (isrv & 0xf0) ? c->tpr : isrv & 0xf0;
}

static int model_pending(const struct model_cpu *c)
{
	int v = top(c->irr);

	return v >= 0 && ((unsigned)v & 0xf0) > (model_ppr(c) & 0xf0) ? v : -1;
}

static void model_fixed(struct model_cpu *c, unsigned v, bool level);

static void model_error(struct model_cpu *c, uint32_t bit)
{
	c->pending_esr |= bit;
	if (!(c->lvt[5] & 0x10000) && (c->lvt[5] & 0xff) >= 16)
		model_fixed(c, c->lvt[5] & 0xff, false);
}

static void model_fixed(struct model_cpu *c, unsigned v, bool level)
{
	if (v < 16) {
		model_error(c, 1u << 6);
		return;
	}
	c->irr[v] = true;
	c->tmr[v] = level;
}

static void model_accept(struct model_cpu *c, unsigned mode, unsigned v, bool level)
{
	switch (mode) {
	case 0:
	case 1:
		if (c->svr & 0x100)
			model_fixed(c, v, level);
		break;
	case 4: c->nmi = true; break;
	case 5:
		c->init = true;
		c->sipi = false;
		break;
	case 6:
		if (!c->sipi) {
			c->sipi = true;
			c->sipi_vector = v;
		}
		break;
	default: break;
	}
}

static bool model_matches(unsigned i, bool logical, unsigned dest)
{
	const struct model_cpu *c = &model[i];

	if (dest == 0xff)
		return true;
	if (!logical)
		return i == dest;
	unsigned ldr = c->ldr >> 24;

	if (c->dfr >> 28 == 15)
		return ldr & dest;
	return (ldr >> 4 == dest >> 4 || dest >> 4 == 15) && (ldr & dest & 15);
}

static void model_send(unsigned self)
{
	struct model_cpu *c = &model[self];
	unsigned mode = c->icr_low >> 8 & 7, v = c->icr_low & 0xff;
	unsigned shorthand = c->icr_low >> 18 & 3;

	if ((shorthand == 1 || shorthand == 2) && mode != 0)
		return;
	if (mode == 3 || mode == 7)
		return;
	if (v < 16 && mode < 2) {
		model_error(c, 1u << 5);
		return;
	}
	if (shorthand == 0 && mode == 5 && !(c->icr_low & 1u << 14) && c->icr_low & 1u << 15)
		return;
	for (unsigned i = 0; i < CPUS; i++) {
		bool to = shorthand == 1   ? i == self
		          : shorthand == 2 ? true
		          : shorthand == 3
		                  ? i != self
		                  : model_matches(i, c->icr_low >> 11 & 1, c->icr_high >> 24);

		if (to)
			model_accept(&model[i], mode, v, false);
	}
}

static void model_eoi(struct model_cpu *c)
{
	int v = top(c->isr);

	if (v < 0)
		return;
	c->isr[v] = false;
	if (c->tmr[v] && !(c->svr & 1u << 12))
		model_eois[v]++;
}

static const uint32_t lvt_mask[6] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

static void model_write(unsigned self, uint32_t offset, uint32_t value)
{
	struct model_cpu *c = &model[self];

	switch (offset) {
	case 0x20:
	case 0x30: break;
	case 0x80: c->tpr = value & 0xff; break;
	case 0xb0: model_eoi(c); break;
	case 0xd0: c->ldr = value & 0xff000000; break;
	case 0xe0: c->dfr = value | 0x0fffffff; break;
	case 0xf0:
		c->svr = value & 0x11ff;
		for (unsigned i = 0; i < 6 && !(value & 0x100); i++)
			c->lvt[i] |= 0x10000;
		break;
	case 0x280:
		c->esr = c->pending_esr;
		c->pending_esr = 0;
		break;
	case 0x300:
		c->icr_low = value & 0x000ccfff;
		model_send(self);
		break;
	case 0x310: c->icr_high = value & 0xff000000; break;
	case 0x320:
	case 0x330:
	case 0x340:
	case 0x350:
	case 0x360:
	case 0x370: {
		unsigned i = (offset - 0x320) / 16;

		c->lvt[i] = (value & lvt_mask[i]) | (c->svr & 0x100 ? 0 : 0x10000);
		break;
	}
	default: model_error(c, 1u << 7); break;
	}
}

static uint32_t model_word(const bool flags[256], unsigned i)
{
	uint32_t w = 0;

	for (unsigned b = 0; b < 32; b++)
		w |= (uint32_t)flags[32 * i + b] << b;
	return w;
}

/* A CPU that virtualizes the APIC's registers stores into the page first, and tells after that (SDM
 * Vol. 3C 30.4.3.2). It must not matter. */
static void write_register(struct hc_vcpu *vcpu, uint64_t *seed, uint32_t offset, uint32_t value)
{
	static const uint16_t stored[] = { 0x20,  0x80,  0xb0,  0xd0,  0xe0,  0xf0,
		                           0x280, 0x300, 0x310, 0x320, 0x330, 0x340,
		                           0x350, 0x360, 0x370, 0x380, 0x3e0 };
	bool by_cpu = test_below(seed, 2);

	for (unsigned i = 0; by_cpu && i < HC_ARRAY_SIZE(stored); i++)
		if (offset == stored[i])
			x86_apic_put(&x86_vcpu_of(vcpu)->apic, offset,
			             offset == 0x80 ? value & 0xff : value);
	x86_apic_mmio_write(vcpu, offset, value);
}

/* Without side effects: of registers that exist. */
static uint32_t model_read(unsigned self, uint32_t offset)
{
	const struct model_cpu *c = &model[self];

	if (offset >= 0x100 && offset < 0x180)
		return model_word(c->isr, (offset - 0x100) / 16);
	if (offset >= 0x180 && offset < 0x200)
		return model_word(c->tmr, (offset - 0x180) / 16);
	if (offset >= 0x200 && offset < 0x280)
		return model_word(c->irr, (offset - 0x200) / 16);
	switch (offset) {
	case 0x20: return self << 24;
	case 0x30: return 0x01050014;
	case 0x80: return c->tpr;
	case 0xa0: return model_ppr(c);
	case 0xd0: return c->ldr;
	case 0xe0: return c->dfr;
	case 0xf0: return c->svr;
	case 0x280: return c->esr;
	case 0x300: return c->icr_low;
	case 0x310: return c->icr_high;
	default: return offset >= 0x320 && offset <= 0x370 ? c->lvt[(offset - 0x320) / 16] : 0;
	}
}

static void model_reset(void)
{
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < CPUS; i++) {
		model[i].dfr = UINT32_MAX;
		model[i].svr = 0xff;
		for (unsigned j = 0; j < 6; j++)
			model[i].lvt[j] = 0x10000;
	}
}

/* --- Comparison --- */

static const uint16_t compared[] = { 0x20,  0x30,  0x80,  0x90,  0xa0,  0xb0,  0xc0,
	                             0xd0,  0xe0,  0xf0,  0x280, 0x300, 0x310, 0x320,
	                             0x330, 0x340, 0x350, 0x360, 0x370 };

static void compare_cpu(struct hc_vm *vm, unsigned i)
{
	struct x86_vcpu *x = x86_vcpu_of(vm->vcpus[i]);
	uint32_t start = (model[i].init ? X86_START_INIT : 0) |
	                 (model[i].sipi ? X86_START_SIPI : 0) |
	                 (model[i].sipi ? model[i].sipi_vector << 8 : 0);

	/* It also moves to IRR what is posted. */
	assert_int_equal(x86_apic_pending(&x->apic), model_pending(&model[i]));
	for (unsigned j = 0; j < HC_ARRAY_SIZE(compared); j++)
		assert_int_equal(x86_apic_mmio_read(&x->vcpu, compared[j]),
		                 model_read(i, compared[j]));
	for (uint32_t offset = 0x100; offset < 0x280; offset += 16)
		assert_int_equal(x86_apic_mmio_read(&x->vcpu, offset), model_read(i, offset));
	/* As a guest reads it that does not exit. */
	assert_int_equal(x86_apic_get(&x->apic, APIC_EOI), 0);
	assert_int_equal(atomic_load(&x->nmi_pending), model[i].nmi);
	assert_int_equal(atomic_load(&x->start_request), start);
	/* Whatever can be taken has been announced. */
	if (model_pending(&model[i]) >= 0)
		assert_true(atomic_load(&x->vcpu.requests) & HC_REQ_EVENT);
}

static void note_eoi(void *dev, unsigned vector)
{
	eois[vector]++;
}

static uint32_t random_register(uint64_t *seed)
{
	static const uint16_t often[] = { 0x20,  0x80,  0xb0,  0xb0,  0xd0,  0xe0,  0xf0,  0x280,
		                          0x300, 0x300, 0x300, 0x310, 0x330, 0x350, 0x360, 0x370 };

	if (test_below(seed, 32) == 0)
		return (uint32_t)test_below(seed, 2) ? 0x3f0
		                                     : 0x400 + 16 * (uint32_t)test_below(seed, 8);
	return often[test_below(seed, HC_ARRAY_SIZE(often))];
}

static uint32_t random_value(uint64_t *seed, uint32_t offset)
{
	uint32_t v = (uint32_t)test_random(seed);

	switch (offset) {
	case 0x80: return v & (test_below(seed, 2) ? 0x3f : 0xff);
	case 0xe0: return test_below(seed, 4) ? UINT32_MAX : v;
	case 0xf0: return v | (test_below(seed, 8) ? 0x100 : 0);
	case 0x300: /* lowest priority is compared by itself, since the model does not arbitrate */
		v &= ~(test_below(seed, 2) ? 0xc0000u : 0);
		return (v >> 8 & 7) == 1 ? v & ~0x700u : v;
	case 0x310: return test_below(seed, 2) ? v : (uint32_t)test_below(seed, CPUS) << 24;
	default: return v;
	}
}

static void take_everything(struct hc_vm *vm, unsigned i)
{
	struct x86_vcpu *x = x86_vcpu_of(vm->vcpus[i]);
	int v = model_pending(&model[i]);

	if (v >= 0) {
		x86_apic_take(&x->apic, (unsigned)v);
		model[i].irr[v] = false;
		model[i].isr[v] = true;
	}
	model[i].nmi = model[i].init = model[i].sipi = false;
	atomic_store(&x->nmi_pending, false);
	atomic_store(&x->start_request, 0);
}

static void send_message(struct hc_vm *vm, uint64_t *seed)
{
	uint64_t address = 0xfee00000 | (test_random(seed) & 0xff000) | (test_random(seed) & 4);
	uint32_t data = (uint32_t)test_random(seed) & 0xc7ff;
	unsigned mode = data >> 8 & 7;

	if (mode == 1)
		data &= ~0x700u, mode = 0;
	x86_arch_ops.deliver_msi(vm, address, data);
	for (unsigned i = 0; i < CPUS; i++)
		if (mode != 6 && model_matches(i, address & 4, address >> 12 & 0xff))
			model_accept(&model[i], mode, data & 0xff, data & 0x8000);
}

static void request_event(struct hc_vcpu *vcpu)
{
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

static void start_posting(struct x86_apic *apic, unsigned i, void (*notify)(struct hc_vcpu *vcpu))
{
	static struct x86_posted posted[CPUS];

	memset(&posted[i], 0, sizeof(posted[i]));
	apic->posted = &posted[i];
	apic->notify = notify;
}

/* posted: interrupts wait out of IRR until the vCPU looks. */
static void compare_with_model(bool posted)
{
	struct hc_vm *vm = script_vm(CPUS, 0);
	uint64_t seed = 4711;

	for (unsigned i = 0; i < CPUS && posted; i++)
		start_posting(&x86_vcpu_of(vm->vcpus[i])->apic, i, request_event);

	hc_irq_add_eoi_sink(vm, note_eoi, NULL);
	memset(eois, 0, sizeof(eois));
	memset(model_eois, 0, sizeof(model_eois));
	model_reset();
	for (unsigned n = 0; n < 60000; n++) {
		unsigned i = (unsigned)test_below(&seed, CPUS);
		uint32_t offset = random_register(&seed), value = random_value(&seed, offset);

		switch (test_below(&seed, 8)) {
		case 0: take_everything(vm, i); break;
		case 1: send_message(vm, &seed); break;
		default:
			write_register(vm->vcpus[i], &seed, offset, value);
			model_write(i, offset, value);
		}
		for (unsigned j = 0; j < CPUS; j++)
			compare_cpu(vm, j);
	}
	assert_memory_equal(eois, model_eois, sizeof(eois));
	hc_vm_destroy(vm);
}

static void test_against_model(void **state)
{
	compare_with_model(false);
	compare_with_model(true);
}

/* --- Posting, by several at once --- */

#define SENDERS 3

static struct {
	struct hc_vcpu *vcpu;
	_Atomic bool told;
	_Atomic unsigned arrived[SENDERS];
} post_office;

static void tell(struct hc_vcpu *vcpu)
{
	atomic_store(&post_office.told, true);
}

static void *send_many(void *arg)
{
	const unsigned *self = arg;

	for (unsigned n = 0; n < 3000; n++) {
		x86_apic_post(post_office.vcpu, 0x40 + 0x31 * *self, false);
		/* The next one is another one only when this one has arrived. */
		while (atomic_load(&post_office.arrived[*self]) <= n)
			sched_yield();
	}
	return NULL;
}

/* What a CPU does that looks only when it is told. */
static void receive(struct x86_apic *apic)
{
	if (!atomic_exchange(&post_office.told, false))
		return;
	x86_apic_merge(apic);
	for (unsigned i = 0; i < SENDERS; i++) {
		unsigned vector = 0x40 + 0x31 * i;

		if (!(atomic_load(x86_apic_bits(apic, APIC_IRR, vector)) & x86_apic_bit(vector)))
			continue;
		x86_apic_take(apic, vector);
		atomic_fetch_add(&post_office.arrived[i], 1);
	}
}

static bool all_arrived(void)
{
	for (unsigned i = 0; i < SENDERS; i++)
		if (atomic_load(&post_office.arrived[i]) < 3000)
			return false;
	return true;
}

/* None is lost, however few notifications there are. */
static void test_posting(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct x86_apic *apic = &x86_vcpu_of(vm->vcpus[0])->apic;
	unsigned numbers[SENDERS];
	pthread_t threads[SENDERS];

	post_office.vcpu = vm->vcpus[0];
	start_posting(apic, 0, tell);
	for (unsigned i = 0; i < SENDERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, &numbers[i]), 0);
	}
	while (!all_arrived()) {
		receive(apic);
		sched_yield();
	}
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	apic->notify = NULL;
	hc_vm_destroy(vm);
}

/* What is posted is as gone after a reset as what is in IRR. */
static void test_reset_drops_what_is_posted(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct x86_apic *apic = &x86_vcpu_of(vm->vcpus[0])->apic;

	start_posting(apic, 0, request_event);
	for (unsigned n = 0; n < 2; n++) {
		x86_apic_post(vm->vcpus[0], 0x55, false);
		x86_apic_post(vm->vcpus[0], 0x66, true);
		if (n)
			x86_vcpu_reset(vm->vcpus[0], true);
		assert_int_equal(x86_apic_pending(apic), n ? -1 : 0x66);
		assert_int_equal(x86_apic_get(apic, APIC_TMR + 0x30), n ? 0 : 1u << (0x66 & 31));
		assert_int_equal(x86_apic_get(apic, APIC_IRR + 0x20), n ? 0 : 1u << (0x55 & 31));
	}
	hc_vm_destroy(vm);
}

/* 10.6.2.4: exactly one of those with the lowest task priority; over time all of them. */
static void test_lowest_priority(void **state)
{
	struct hc_vm *vm = script_vm(4, 0);
	unsigned taken[4] = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		x86_apic_mmio_write(vm->vcpus[i], APIC_SVR, 0x1ff);
		x86_apic_mmio_write(vm->vcpus[i], APIC_LDR, 1u << (24 + i));
		x86_apic_mmio_write(vm->vcpus[i], APIC_TPR, i == 1 ? 0x40 : 0x20);
	}
	for (unsigned n = 0; n < 300; n++) {
		unsigned count = 0;

		x86_arch_ops.deliver_msi(vm, 0xfee0700c, 0x51); /* logical 7, redirection hint */
		for (unsigned i = 0; i < 4; i++) {
			struct x86_apic *apic = &x86_vcpu_of(vm->vcpus[i])->apic;

			if (x86_apic_pending(apic) == 0x51) {
				x86_apic_take(apic, 0x51);
				x86_apic_mmio_write(vm->vcpus[i], APIC_EOI, 0);
				taken[i]++;
				count++;
			}
		}
		assert_int_equal(count, 1);
	}
	assert_int_equal(taken[1] + taken[3], 0);
	assert_int_equal(taken[0], 150);
	assert_int_equal(taken[2], 150);
	hc_vm_destroy(vm);
}

/* 10.5.1: what the 8259s ask for while LINT0 is masked comes when it is not any more. */
static void test_lint0_is_unmasked(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
	x86_apic_mmio_write(vcpu, APIC_LVT_LINT0, APIC_LVT_MASKED | 0x700);
	hc_irq_set_extint(vm, true);
	atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_EVENT);
	assert_false(x86_apic_takes_extint(&x86_vcpu_of(vcpu)->apic));
	x86_apic_mmio_write(vcpu, APIC_LVT_LINT0, 0x700);
	assert_true(x86_apic_takes_extint(&x86_vcpu_of(vcpu)->apic));
	assert_true(atomic_load(&vcpu->requests) & HC_REQ_EVENT);
	hc_vm_destroy(vm);
}

/* --- x2APIC --- */

/* Figure 10-27: which of the 16 changes #GP. */
static void test_mode_changes(void **state)
{
	static const uint64_t modes[4] = { 0, X86_APIC_BASE_EXTD, X86_APIC_BASE_EN,
		                           X86_APIC_BASE_EN | X86_APIC_BASE_EXTD };
	static const bool allowed[4][4] = {
		{ true, false, true, false }, /* from off */
		{ false, false, false, false },
		{ true, false, true, true },  /* from xAPIC */
		{ true, false, false, true }, /* from x2APIC */
	};
	struct hc_vm *vm = script_vm(1, 0);
	struct x86_apic *apic = &x86_vcpu_of(vm->vcpus[0])->apic;

	for (unsigned from = 0; from < 4; from++) {
		for (unsigned to = 0; to < 4; to++) {
			if (from == 1)
				continue; /* cannot be reached */
			atomic_store(&apic->base, 0xfee00000 | modes[from]);
			int rc = x86_apic_write_base(vm->vcpus[0], 0xfee00000 | modes[to]);

			assert_int_equal(rc, allowed[from][to] ? 0 : -EINVAL);
			assert_int_equal(atomic_load(&apic->base),
			                 0xfee00000 | modes[allowed[from][to] ? to : from]);
		}
	}
	assert_int_equal(x86_apic_write_base(vm->vcpus[0], 0xfee01800), -EINVAL);
	assert_int_equal(x86_apic_write_base(vm->vcpus[0], 0xfee00801), -EINVAL);
	hc_vm_destroy(vm);
}

static void to_x2apic(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		x86_apic_mmio_write(vm->vcpus[i], APIC_SVR, 0x1ff);
		assert_int_equal(x86_apic_write_base(vm->vcpus[i], 0xfee00c00), 0);
	}
}

/* Table 10-6: the MSRs that can be read and written, and their reserved bits. */
static void test_x2apic_registers(void **state)
{
	static const struct {
		uint32_t msr;
		bool read;
		uint64_t writable; /* 0: #GP for everything */
	} rows[] = {
		{ 0x802, true, 0 },          { 0x803, true, 0 },       { 0x808, true, 0xff },
		{ 0x80a, true, 0 },          { 0x80d, true, 0 },       { 0x80e, false, 0 },
		{ 0x80f, true, 0x11ff },     { 0x810, true, 0 },       { 0x818, true, 0 },
		{ 0x820, true, 0 },          { 0x827, true, 0 },       { 0x831, false, 0 },
		{ 0x832, true, 0x750ff },    { 0x835, true, 0x1f7ff }, { 0x837, true, 0x150ff },
		{ 0x838, true, UINT32_MAX }, { 0x839, true, 0 },       { 0x83e, true, 0xb },
		{ 0x83f, false, 0xff },      { 0x800, false, 0 },      { 0x840, false, 0 },
		{ 0x8ff, false, 0 },
	};
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint64_t v;

	/* In xAPIC mode none of them is there. */
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		assert_int_equal(x86_x2apic_read(vcpu, rows[i].msr, &v), -EINVAL);
	to_x2apic(vm);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		assert_int_equal(x86_x2apic_read(vcpu, rows[i].msr, &v),
		                 rows[i].read ? 0 : -EINVAL);
		for (unsigned b = 0; b < 64; b++) {
			bool ok = rows[i].writable >> b & 1;

			assert_int_equal(x86_x2apic_write(vcpu, rows[i].msr, HC_BIT(b)),
			                 ok ? 0 : -EINVAL);
		}
	}
	assert_int_equal(x86_x2apic_write(vcpu, 0x80b, 0), 0);
	assert_int_equal(x86_x2apic_write(vcpu, 0x80b, 1), -EINVAL);
	assert_int_equal(x86_x2apic_write(vcpu, 0x828, 0), 0);
	assert_int_equal(x86_x2apic_write(vcpu, 0x828, 1), -EINVAL);
	hc_vm_destroy(vm);
}

/* Physical, broadcast and cluster destinations of 32 bits. */
static void test_x2apic_destinations(void **state)
{
	struct hc_vm *vm = script_vm(20, 0);
	uint64_t v;

	to_x2apic(vm);
	for (unsigned dest = 0; dest < 20; dest++) {
		const uint64_t cluster = (uint64_t)((dest / 16) << 16 | 1u << dest % 16) << 32;

		assert_int_equal(x86_x2apic_read(vm->vcpus[dest], 0x80d, &v), 0);
		assert_int_equal(v, cluster >> 32);
		assert_int_equal(x86_x2apic_write(vm->vcpus[0], 0x830, (uint64_t)dest << 32 | 0x41),
		                 0);
		assert_int_equal(x86_x2apic_write(vm->vcpus[0], 0x830, cluster | 0x842), 0);
		for (unsigned i = 0; i < 20; i++) {
			x86_x2apic_read(vm->vcpus[i], 0x822, &v);
			assert_int_equal(v, i <= dest ? 6 : 0);
		}
	}
	assert_int_equal(x86_x2apic_write(vm->vcpus[3], 0x830, UINT64_C(0xffffffff00000060)), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(x86_apic_pending(&x86_vcpu_of(vm->vcpus[i])->apic), 0x60);
	assert_int_equal(x86_x2apic_write(vm->vcpus[3], 0x83f, 0x71), 0);
	assert_int_equal(x86_apic_pending(&x86_vcpu_of(vm->vcpus[3])->apic), 0x71);
	hc_vm_destroy(vm);
}

/* --- Timer --- */

static unsigned fires(struct hc_vcpu *vcpu, uint64_t until)
{
	struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	unsigned count = 0;

	while (test_now_ns < until) {
		uint64_t next = atomic_load(&vcpu->timers.next_ns);

		test_now_ns = next < until ? next : until;
		hc_timers_run(vcpu, test_now_ns);
		if (x86_apic_pending(apic) == 0x30) {
			x86_apic_take(apic, 0x30);
			x86_apic_mmio_write(vcpu, APIC_EOI, 0);
			count++;
		}
	}
	return count;
}

static void test_timer_counts(void **state)
{
	static const uint8_t shift_of[16] = {
		[0] = 1, [1] = 2, [2] = 3, [3] = 4, [8] = 5, [9] = 6, [10] = 7, [11] = 0
	};
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint64_t seed = 5;

	x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
	for (unsigned n = 0; n < 3000; n++) {
		bool periodic = test_below(&seed, 2);
		uint32_t dcr = (uint32_t)test_below(&seed, 16) & 0xb;
		uint32_t icr = (uint32_t)test_random(&seed) >> test_below(&seed, 16);
		uint64_t period = (uint64_t)icr << shift_of[dcr];

		write_register(vcpu, &seed, APIC_LVT_TIMER, 0x30 | (periodic ? 0x20000u : 0));
		write_register(vcpu, &seed, APIC_TIMER_DCR, dcr);
		write_register(vcpu, &seed, APIC_TIMER_ICR, icr);
		if (period < X86_APIC_MIN_PERIOD_NS)
			continue;
		uint64_t start = test_now_ns, elapsed = test_below(&seed, 5 * period);
		unsigned count = fires(vcpu, start + elapsed);
		uint64_t left = periodic ? elapsed % period : elapsed < period ? elapsed : period;

		assert_int_equal(count, periodic ? elapsed / period : elapsed >= period);
		assert_int_equal(x86_apic_mmio_read(vcpu, APIC_TIMER_CCR),
		                 icr - (uint32_t)(left >> shift_of[dcr]));
		/* Writing 0 stops it. */
		x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 0);
		assert_int_equal(fires(vcpu, test_now_ns + 2 * period), 0);
	}
	hc_vm_destroy(vm);
}

/* However short the period, interrupts are not closer than the limit. */
static void test_timer_has_a_limit(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
	x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x20030);
	x86_apic_mmio_write(vcpu, APIC_TIMER_DCR, 0xb);
	x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 1);
	assert_in_range(fires(vcpu, test_now_ns + 1000 * X86_APIC_MIN_PERIOD_NS), 990, 1000);
	hc_vm_destroy(vm);
}

static bool in_irr(struct hc_vcpu *vcpu)
{
	return x86_apic_mmio_read(vcpu, APIC_IRR + 0x10) >> 16 & 1;
}

/* The count has ended, as the guest can see, and the platform's timer comes late: that makes no
 * difference to what the guest does next. */
static void test_timer_is_late(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];

	x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
	x86_apic_mmio_write(vcpu, APIC_TIMER_DCR, 0xb);
	/* Unmasked when it is over: no interrupt. */
	x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x10030);
	x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 50000);
	test_now_ns += 50000;
	x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x30);
	assert_int_equal(fires(vcpu, test_now_ns + 100000), 0);
	/* Masked when it is over: one. Nor does starting it again take that back. */
	for (unsigned again = 0; again < 2; again++) {
		x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x30);
		x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 50000);
		assert_false(in_irr(vcpu));
		test_now_ns += 50000;
		if (again)
			x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 0);
		else
			x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x10030);
		assert_true(in_irr(vcpu));
		assert_int_equal(fires(vcpu, test_now_ns + 1), 1);
	}
	/* Who sees 0 sees the request as well, of a deadline, too. */
	x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 50000);
	test_now_ns += 50000;
	assert_int_equal(x86_apic_mmio_read(vcpu, APIC_TIMER_CCR), 0);
	assert_true(in_irr(vcpu));
	assert_int_equal(fires(vcpu, test_now_ns + 1), 1);
	x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x40030);
	uint64_t passed = test_now_ns + x86_state_of(vcpu)->tsc_offset + 1000;

	for (unsigned again = 0; again < 2; again++) {
		x86_apic_write_deadline(vcpu, passed);
		test_now_ns += 1000;
		if (again)
			x86_apic_write_deadline(vcpu, UINT64_MAX);
		else
			assert_int_equal(x86_apic_read_deadline(vcpu), 0);
		assert_true(in_irr(vcpu));
		assert_int_equal(fires(vcpu, test_now_ns + 1), 1);
	}
	hc_vm_destroy(vm);
}

static void test_deadline(void **state)
{
	struct hc_vm *vm = script_vm(1, 0);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);
	uint64_t seed = 77,
		 now = test_now_ns + s->tsc_offset; /* the platform's cycles are nanoseconds */

	x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
	/* In another mode the MSR is not there to be written. */
	x86_apic_write_deadline(vcpu, now + 1000);
	assert_int_equal(x86_apic_read_deadline(vcpu), 0);
	x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x40030);
	x86_apic_mmio_write(vcpu, APIC_TIMER_ICR, 100);
	assert_int_equal(x86_apic_mmio_read(vcpu, APIC_TIMER_CCR), 0);
	x86_apic_write_deadline(vcpu, now + 5000);
	assert_int_equal(x86_apic_read_deadline(vcpu), now + 5000);
	write_register(vcpu, &seed, APIC_TIMER_ICR, 100);
	assert_int_equal(x86_apic_mmio_read(vcpu, APIC_TIMER_ICR), 0);
	assert_int_equal(fires(vcpu, test_now_ns + 4999), 0);
	assert_int_equal(fires(vcpu, test_now_ns + 1), 1);
	assert_int_equal(x86_apic_read_deadline(vcpu), 0);
	/* One that is past fires at once; 0 disarms; one beyond all time never does. */
	x86_apic_write_deadline(vcpu, 1);
	assert_int_equal(fires(vcpu, test_now_ns + 1), 1);
	x86_apic_write_deadline(vcpu, now + 10000);
	x86_apic_write_deadline(vcpu, 0);
	x86_apic_write_deadline(vcpu, UINT64_MAX);
	assert_int_equal(fires(vcpu, test_now_ns + 1000000), 0);
	/* Leaving the mode disarms. */
	x86_apic_write_deadline(vcpu, now + 2000000);
	x86_apic_mmio_write(vcpu, APIC_LVT_TIMER, 0x30);
	assert_int_equal(fires(vcpu, test_now_ns + 3000000), 0);
	hc_vm_destroy(vm);
}

/* --- Snapshots --- */

static void test_state_round_trip(void **state)
{
	struct hc_vm *vm = script_vm(2, 0);
	struct x86_apic *a = &x86_vcpu_of(vm->vcpus[0])->apic,
			*b = &x86_vcpu_of(vm->vcpus[1])->apic;
	uint8_t buf[4096];
	uint64_t seed = 99;

	for (unsigned n = 0; n < 500; n++) {
		uint32_t offset = random_register(&seed);

		x86_apic_mmio_write(vm->vcpus[0], offset, random_value(&seed, offset));
	}
	size_t page = hc_state_save(&x86_apic_page_state, a->page, buf, sizeof(buf));
	size_t size = hc_state_save(&x86_apic_state, a, buf + page, sizeof(buf) - page);
	uint8_t again[4096];

	assert_in_range(page, 600, 1000);
	assert_in_range(size, 50, 300);
	assert_int_equal(hc_state_load(&x86_apic_page_state, b->page, buf, page), (long)page);
	/* Its ID belongs to the other vCPU. */
	assert_int_equal(hc_state_load(&x86_apic_state, b, buf + page, size), -EPROTO);
	x86_apic_reset(vm->vcpus[0], true);
	assert_int_equal(hc_state_load(&x86_apic_page_state, a->page, buf, page), (long)page);
	assert_int_equal(hc_state_load(&x86_apic_state, a, buf + page, size), (long)size);
	assert_int_equal(hc_state_save(&x86_apic_page_state, a->page, again, sizeof(again)), page);
	assert_int_equal(hc_state_save(&x86_apic_state, a, again + page, sizeof(again) - page),
	                 size);
	assert_memory_equal(buf, again, page + size);
	/* A vector that no message can bring. */
	x86_apic_put(a, APIC_IRR, 0x8000);
	page = hc_state_save(&x86_apic_page_state, a->page, buf, sizeof(buf));
	assert_int_equal(hc_state_load(&x86_apic_page_state, a->page, buf, page), -EPROTO);
	hc_vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_posting),
		cmocka_unit_test(test_reset_drops_what_is_posted),
		cmocka_unit_test(test_lowest_priority),
		cmocka_unit_test(test_lint0_is_unmasked),
		cmocka_unit_test(test_mode_changes),
		cmocka_unit_test(test_x2apic_registers),
		cmocka_unit_test(test_x2apic_destinations),
		cmocka_unit_test(test_timer_counts),
		cmocka_unit_test(test_timer_has_a_limit),
		cmocka_unit_test(test_timer_is_late),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_state_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
