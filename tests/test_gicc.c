/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Version 2's CPU interface in software, against the model of the hardware's: the same list
 * registers and the same accesses have to leave the same registers behind.
 */
#include <string.h>

#include "arch/aarch64/gic/internal.h"
#include "tests/model/gic_rig.h"

#define GICC UINT64_C(0x08010000)

enum { CTLR = 0x0, PMR = 0x4, BPR = 0x8, IAR = 0xc, EOIR = 0x10, RPR = 0x14, HPPIR = 0x18 };
enum { ABPR = 0x1c, AIAR = 0x20, AEOIR = 0x24, AHPPIR = 0x28, APR = 0xd0, NSAPR = 0xe0 };
enum { IIDR = 0xfc, DIR = 0x1000 };

#define PENDING HC_BIT(62)
#define ACTIVE  HC_BIT(63)
#define GROUP1  HC_BIT(60)

static uint64_t seed;
static struct a64_gic_cpu *s; /* of vCPU 0, which is current */
static struct model_gic *hw;

static unsigned below(unsigned n)
{
	return (unsigned)test_below(&seed, n);
}

static int set_up(void **state)
{
	static const struct rig_config config = {
		.version = 2, .cpus = 2, .list_registers = 6, .priority_bits = 5, .spis = 64
	};

	seed = 20;
	rig_start(&config);
	assert_int_equal(gic_add_cpu_interface(&rig.vm.vm, GICC), 0);
	hc_platform_this_cpu()->current = &rig.vcpu[0].vcpu;
	rig.vcpu[0].vcpu.run_state = HC_VCPU_RUNNING;
	s = &rig.vcpu[0].state.gic;
	hw = rig_hw(0);
	return 0;
}

static int tear_down(void **state)
{
	hc_platform_this_cpu()->current = NULL;
	rig_stop();
	return 0;
}

static uint32_t get(uint64_t offset)
{
	uint64_t value = 0;

	assert_int_equal(hc_bus_read(&rig.vm.vm, HC_SPACE_MEMORY, GICC + offset, 4, &value), 0);
	return (uint32_t)value;
}

static void put(uint64_t offset, uint32_t value)
{
	assert_int_equal(hc_bus_write(&rig.vm.vm, HC_SPACE_MEMORY, GICC + offset, 4, value), 0);
}

/* --- The same by the model --- */

static int model_best(void)
{
	int best = -1;

	for (unsigned i = 0; i < hw->list_registers; i++) {
		uint64_t lr = hw->r.lr[i];

		if ((lr & (PENDING | ACTIVE)) != PENDING || !(hw->r.vmcr >> !!(lr & GROUP1) & 1))
			continue;
		if (best < 0 || hc_bits(lr, 55, 48) < hc_bits(hw->r.lr[best], 55, 48))
			best = (int)i;
	}
	return best;
}

/* AckCtl, with which IAR is for both groups, is not the model's. */
static uint32_t model_acknowledge(bool alias)
{
	bool acks_both = hw->r.vmcr >> 2 & 1;

	if (alias)
		return model_gic_acknowledge(hw, 1);
	if (model_gic_signalled(hw, 0) || acks_both)
		return model_gic_acknowledge(hw, !model_gic_signalled(hw, 0));
	return model_gic_signalled(hw, 1) ? 1022 : MODEL_GIC_SPURIOUS;
}

static uint32_t model_pending(bool alias)
{
	int i = model_best();

	if (i < 0 || (alias && !(hw->r.lr[i] & GROUP1)))
		return 1023;
	if (!alias && (hw->r.lr[i] & GROUP1) && !(hw->r.vmcr >> 2 & 1))
		return 1022;
	return (uint32_t)hw->r.lr[i] & 0x1fff;
}

/* The group of what runs, or -1. */
static int running_group(void)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t both = hw->r.ap0r[i] | hw->r.ap1r[i];

		if (both)
			return (hw->r.ap1r[i] & both & -both) != 0;
	}
	return -1;
}

static void check_same(const char *what)
{
	bool line = model_gic_signalled(hw, 0) || model_gic_signalled(hw, 1);
	bool fiq = model_gic_signalled(hw, 0) && hw->r.vmcr >> 3 & 1;
	uint32_t requests = atomic_exchange(&rig.vcpu[0].vcpu.requests, 0);

	if (memcmp(&hw->r, s, sizeof(*s)) != 0)
		fail_msg("%s: hcr %x %x vmcr %x %x ap %x %x, %x %x", what, s->hcr, hw->r.hcr,
		         s->vmcr, hw->r.vmcr, s->ap0r[0], hw->r.ap0r[0], s->ap1r[0], hw->r.ap1r[0]);
	assert_int_equal(gic_outputs(&rig.vcpu[0].vcpu), !line ? 0
	                                                 : fiq ? GIC_OUTPUT_FIQ
	                                                       : GIC_OUTPUT_IRQ);
	assert_int_equal((requests & HC_REQ_EVENT) != 0, model_gic_maintenance(hw) != 0);
}

/* --- By chance --- */

static uint64_t any_lr(unsigned i)
{
	static const uint64_t states[] = { 0, PENDING, PENDING, PENDING, ACTIVE, PENDING | ACTIVE };
	uint64_t lr = (uint64_t)below(8) << 53 | states[below(HC_ARRAY_SIZE(states))];

	/* SGIs have a source. */
	lr |= below(3) ? 40 + i : i | below(8) << 10;
	return lr | (below(2) ? GROUP1 : 0) | (below(3) ? 0 : ICH_LR_EOI);
}

static void any_state(void)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < 6; i++)
		s->lr[i] = any_lr(i);
	s->vmcr = (below(4) ? 3u : below(4)) | (below(2) ? 0 : 4) | (below(2) ? 0 : 8) |
	          (below(2) ? 0 : 0x10) | (below(3) ? 0 : 0x200) | 2u << 21 | 3u << 18 |
	          (below(4) ? 0xf8u : below(32) << 3) << 24;
	s->hcr = ICH_HCR_EN | (below(2) ? 0 : below(256) & 0xfc);
	*hw = (struct model_gic){ .list_registers = 6, .priority_bits = 5, .v2 = true };
	model_gic_load(hw, s);
	assert_null(hw->complaint);
	atomic_store(&rig.vcpu[0].vcpu.requests, 0);
}

/* What ends what runs, or what is not there: both have to be counted the same. */
static uint32_t any_number(void)
{
	uint64_t lr = s->lr[below(6)];

	return below(5) ? (uint32_t)lr & 0x1fff : 50 + below(40);
}

/* The model ends for the group that it is told; hardware looks what runs. */
static void end_one(void)
{
	int group = running_group();
	bool alias = below(2), acks_both = hw->r.vmcr >> 2 & 1;
	uint32_t number = any_number();

	put(alias ? AEOIR : EOIR, number);
	if (group == alias || (group == 1 && acks_both))
		model_gic_end(hw, (unsigned)group, number);
}

static void write_controls(void)
{
	uint32_t value = below(0x400);

	put(CTLR, value);
	hw->r.vmcr = (hw->r.vmcr & ~0x21fu) | (value & 0x21f);
	assert_int_equal(get(CTLR), value & 0x21f);
}

static void write_priorities(void)
{
	uint32_t value = below(256);
	bool group1 = below(2);

	put(PMR, value);
	model_gic_set_mask(hw, value);
	assert_int_equal(get(PMR), value & 0xf8);
	value = below(8);
	put(group1 ? ABPR : BPR, value);
	model_gic_set_binary_point(hw, group1, value);
	assert_int_equal(get(group1 ? ABPR : BPR), hc_max(value, group1 ? 3u : 2u));
}

static void one_step(void)
{
	bool alias = below(2);
	unsigned running = model_gic_running(hw);
	uint32_t number;

	switch (below(8)) {
	case 0: write_controls(); break;
	case 1: write_priorities(); break;
	case 2:
		number = any_number();
		put(DIR, number);
		model_gic_deactivate(hw, number);
		break;
	case 3:
	case 4: end_one(); break;
	case 5:
		assert_int_equal(get(alias ? AHPPIR : HPPIR), model_pending(alias));
		assert_int_equal(get(RPR), running > 255 ? 255 : running);
		break;
	default: assert_int_equal(get(alias ? AIAR : IAR), model_acknowledge(alias)); break;
	}
}

static void test_as_the_hardware(void **state)
{
	for (unsigned i = 0; i < 4000; i++) {
		any_state();
		for (unsigned step = 0; step < 24; step++) {
			one_step();
			check_same("after a step");
		}
	}
}

/* --- Together with the distributor --- */

/* A level that stays up comes again; one that went down does not. */
static void test_level(void **state)
{
	struct hc_vcpu *vcpu = &rig.vcpu[0].vcpu;

	put(CTLR, 1);
	put(PMR, 0xf0);
	rig_write(RIG_DIST, 4, 1);
	rig_write(RIG_DIST + 0x800 + 40, 1, 1);
	rig_write(RIG_DIST + 0x104, 4, 1u << 8);
	gic_before_entry(vcpu);
	assert_int_equal(gic_outputs(vcpu), 0);
	rig_line(8, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_not_equal(atomic_exchange(&vcpu->requests, 0) & HC_REQ_EVENT, 0);
		gic_before_entry(vcpu);
		assert_int_equal(gic_outputs(vcpu), GIC_OUTPUT_IRQ);
		assert_int_equal(get(IAR), 40);
		assert_int_equal(gic_outputs(vcpu), 0);
		assert_int_equal(get(IAR), 1023);
		if (i == 2)
			rig_line(8, false);
		put(EOIR, 40);
	}
	assert_int_equal(get(RPR), 0xff);
	gic_before_entry(vcpu);
	assert_int_equal(gic_outputs(vcpu), 0);
}

static void test_sgi(void **state)
{
	struct hc_vcpu *vcpu = &rig.vcpu[0].vcpu;

	put(CTLR, 1);
	put(PMR, 0xf0);
	rig_write(RIG_DIST, 4, 1);
	rig_write(RIG_DIST + 0x100, 4, 0xffff);
	hc_platform_this_cpu()->current = &rig.vcpu[1].vcpu;
	rig_write(RIG_DIST + 0xf00, 4, 1u << 16 | 5);
	hc_platform_this_cpu()->current = vcpu;
	gic_before_entry(vcpu);
	assert_int_equal(get(IAR), 1u << 10 | 5);
	put(EOIR, 1u << 10 | 5);
	assert_int_equal(get(IAR), 1023);
}

/* --- What guests should not do --- */

static void test_bad_accesses(void **state)
{
	struct a64_gic_cpu before;
	uint64_t value;

	any_state();
	s->vmcr |= 3;
	before = *s;
	for (unsigned offset = 0; offset < 0x2000; offset += offset < 0x100 ? 1 : 0x1f)
		for (unsigned size = 1; size <= 2; size *= 2) {
			hc_bus_write(&rig.vm.vm, HC_SPACE_MEMORY, GICC + offset, size, 0xff);
			hc_bus_read(&rig.vm.vm, HC_SPACE_MEMORY, GICC + offset, size, &value);
		}
	put(IIDR, 0);
	put(0x2c, 0xffffffff);
	put(EOIR, 1023);
	assert_memory_equal(s, &before, sizeof(before));
	assert_int_equal(get(IIDR) & 0xfffff, 0x2043b);
	hc_platform_this_cpu()->current = NULL;
	assert_int_equal(get(IAR), 0);
	put(CTLR, 0);
	assert_memory_equal(s, &before, sizeof(before));
}

/* A guest that saves and restores its active priorities. */
static void test_active_priorities(void **state)
{
	put(APR, 0x80);
	put(NSAPR, 0x40);
	assert_int_equal(get(APR), 0x80);
	assert_int_equal(get(NSAPR), 0x40);
	assert_int_equal(get(RPR), 6 << 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_the_hardware),   TEST(level), TEST(sgi), TEST(bad_accesses),
		TEST(active_priorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
