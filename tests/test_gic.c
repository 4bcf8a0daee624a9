/* SPDX-License-Identifier: BSD-2-Clause */
/* The interrupt controller's registers one by one, and the situations that have to be right. */
#include "arch/aarch64/gic/internal.h"

#include <string.h>

#include "core/sched.h"
#include "tests/model/gic_rig.h"

static const struct rig_config plain_v3 = { 3, 4, 4, 5, 64 };
static const struct rig_config plain_v2 = { 2, 4, 4, 5, 64 };

#define ISENABLER 0x100
#define ICENABLER 0x180
#define ISPENDR   0x200
#define ICPENDR   0x280
#define ISACTIVER 0x300
#define ICACTIVER 0x380

static void on_cpu(unsigned cpu)
{
	rig_enter(cpu);
	model_gic_set_group(rig_hw(cpu), 0, true);
	model_gic_set_group(rig_hw(cpu), 1, true);
	model_gic_set_mask(rig_hw(cpu), 0xf8);
	rig_settle();
}

/* Everything on, in group 1. */
static void start(const struct rig_config *config)
{
	rig_start(config);
	for (unsigned cpu = config->cpus; cpu-- > 0;) {
		on_cpu(cpu);
		rig_write(rig_field(cpu, 0, 0x80, 1), 4, UINT32_MAX);
		rig_write(rig_field(cpu, 0, ISENABLER, 1), 4, UINT32_MAX);
		if (config->version == 3) /* awake */
			rig_write(RIG_REDIST + cpu * 0x20000 + 0x14, 4, 0);
	}
	for (unsigned intid = 32; intid < 32 + config->spis; intid += 32) {
		rig_write(rig_field(0, intid, 0x80, 1), 4, UINT32_MAX);
		rig_write(rig_field(0, intid, ISENABLER, 1), 4, UINT32_MAX);
	}
	rig_write(RIG_DIST, 4, 3);
}

static unsigned acknowledge(unsigned cpu)
{
	unsigned number = model_gic_acknowledge(rig_hw(cpu), 1);

	rig_settle();
	return number;
}

static void end(unsigned cpu, unsigned number)
{
	model_gic_end(rig_hw(cpu), 1, number);
	rig_settle();
}

static void expect(unsigned cpu, unsigned number)
{
	assert_int_equal(acknowledge(cpu), number);
	if (number != MODEL_GIC_SPURIOUS)
		end(cpu, number);
}

/* --- Registers --- */

struct expected {
	uint64_t address, value;
	unsigned size;
};

static void check_reset_values(const struct expected *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t value = rig_read(e[i].address, e[i].size);

		if (value != e[i].value)
			fail_msg("%#llx: %#llx, not %#llx", (unsigned long long)e[i].address,
			         (unsigned long long)value, (unsigned long long)e[i].value);
	}
}

#define SGI_BASE (RIG_REDIST + 0x10000)

static void test_reset_v3(void **state)
{
	static const struct expected e[] = {
		{ RIG_DIST + 0x000, 0x50, 4 },
		{ RIG_DIST + 0x004, 0x00480002, 4 },
		{ RIG_DIST + 0x008, 0x4800043b, 4 },
		{ RIG_DIST + 0x009, 0x04, 1 },
		{ RIG_DIST + 0x00a, 0x4800, 2 },
		{ RIG_DIST + 0x000, UINT64_C(0x0048000200000050), 8 },
		{ RIG_DIST + 0x084, 0, 4 },
		{ RIG_DIST + 0x100, 0, 4 },
		{ RIG_DIST + 0x800, 0, 4 }, /* targets are of version 2 */
		{ RIG_DIST + 0xc00, 0, 4 }, /* SGIs are in the redistributors */
		{ RIG_DIST + 0xc08, 0, 4 },
		{ RIG_DIST + 0x6100, 0, 8 },
		{ RIG_DIST + 0xffe8, 0x3b, 4 },
		{ RIG_DIST + 0xfff4, 0xf0, 4 },
		{ RIG_REDIST + 0x0004, 0x4800043b, 4 },
		{ RIG_REDIST + 0x0008, 0, 8 },
		{ RIG_REDIST + 0x20008, UINT64_C(0x100000100), 8 },
		{ RIG_REDIST + 0x60008, UINT64_C(0x300000310), 8 }, /* the last one */
		{ RIG_REDIST + 0x60008, 0x310, 4 },
		{ RIG_REDIST + 0x6000c, 3, 4 },
		{ RIG_REDIST + 0x0014, 6, 4 },
		{ RIG_REDIST + 0xffe8, 0x3b, 4 },
		{ SGI_BASE + 0x0c00, 0xaaaaaaaa, 4 },
		{ SGI_BASE + 0x0c04, 0, 4 },
		{ SGI_BASE + 0x0100, 0, 4 },
		{ SGI_BASE + 0x0104, 0, 4 },
	};

	rig_start(&plain_v3);
	rig_enter(0);
	check_reset_values(e, HC_ARRAY_SIZE(e));
	rig_stop();
}

static void test_reset_v2(void **state)
{
	static const struct expected e[] = {
		{ RIG_DIST + 0x000, 0, 4 },          { RIG_DIST + 0x004, 0x62, 4 },
		{ RIG_DIST + 0x800, 0x02020202, 4 }, /* it is vCPU 1 that looks */
		{ RIG_DIST + 0x81d, 0x02, 1 },       { RIG_DIST + 0x820, 0, 4 },
		{ RIG_DIST + 0xc00, 0xaaaaaaaa, 4 }, { RIG_DIST + 0xf10, 0, 4 },
		{ RIG_DIST + 0xfe8, 0x2b, 4 },
	};

	rig_start(&plain_v2);
	rig_enter(1);
	check_reset_values(e, HC_ARRAY_SIZE(e));
	rig_stop();
}

/* Which bits of a register keep what is written, and whether bytes of it can be. */
struct writable {
	uint64_t address;
	uint64_t kept;
	unsigned size;
	bool bytes;
};

static void check_writable(const struct writable *w)
{
	uint64_t seed = w->address | 1, before;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t value = test_random(&seed) & (w->size == 8 ? UINT64_MAX : UINT32_MAX);

		rig_write(w->address, w->size, value);
		assert_int_equal(rig_read(w->address, w->size), value & w->kept);
	}
	before = rig_read(w->address, w->size);
	rig_write(w->address + 1, 1, ~before >> 8 & 0xff);
	if (w->bytes)
		before = (before & ~UINT64_C(0xff00)) | (~before & 0xff00 & w->kept);
	assert_int_equal(rig_read(w->address, w->size), before);
	rig_write(w->address + 1, 4, ~before); /* misaligned */
	assert_int_equal(rig_read(w->address, w->size), before);
	assert_int_equal(rig_read(w->address + 1, 4), 0);
}

static void test_writable(void **state)
{
	static const struct writable v3[] = {
		{ RIG_DIST + 0x084, 0xffffffff, 4, false },
		{ RIG_DIST + 0x420, 0xf8f8f8f8, 4, true },
		{ RIG_DIST + 0x45c, 0xf8f8f8f8, 4, true },
		{ RIG_DIST + 0x460, 0, 4, true }, /* beyond the last SPI */
		{ RIG_DIST + 0xc08, 0xaaaaaaaa, 4, false },
		{ RIG_DIST + 0x6100, UINT64_C(0xff80ffffff), 8, false },
		{ RIG_DIST + 0x62f8, UINT64_C(0xff80ffffff), 8, false },
		{ RIG_DIST + 0x6300, 0, 8, false },
		{ SGI_BASE + 0x80, 0xffffffff, 4, false },
		{ SGI_BASE + 0x20400, 0xf8f8f8f8, 4, true },
	};
	static const struct writable v2[] = {
		{ RIG_DIST + 0x080, 0xffffffff, 4, false },
		{ RIG_DIST + 0x418, 0xf8f8f8f8, 4, true },
		{ RIG_DIST + 0x85c, 0x0f0f0f0f, 4, true },
		{ RIG_DIST + 0x820, 0x0f0f0f0f, 4, true },
		{ RIG_DIST + 0x880, 0, 4, true },
	};

	rig_start(&plain_v3);
	rig_enter(0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(v3); i++)
		check_writable(&v3[i]);
	rig_stop();
	rig_start(&plain_v2);
	rig_enter(0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(v2); i++)
		check_writable(&v2[i]);
	rig_stop();
}

static void test_what_cannot_be_made(void **state)
{
	static const struct {
		struct gic_config config;
		int error;
	} bad[] = {
		{ { 1, 32, 4, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 4, 32, 4, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 33, 4, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 0, 4, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 96, 4, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 32, 0, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 32, 17, 5, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 32, 4, 4, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 32, 4, 8, RIG_DIST, RIG_REDIST }, -EINVAL },
		{ { 3, 32, 4, 5, RIG_DIST, RIG_DIST + 0x8000 }, -EEXIST },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++) {
		rig_start(&plain_v3);
		gic_destroy(&rig.vm.vm);
		rig.vm.vm.bus[HC_SPACE_MEMORY].count = 0;
		assert_int_equal(gic_create(&rig.vm.vm, &bad[i].config), bad[i].error);
		rig_stop();
	}
	rig_start(&plain_v3);
	gic_destroy(&rig.vm.vm);
	test_fail_alloc = 1;
	assert_int_equal(gic_create(&rig.vm.vm, &(struct gic_config){ 3, 32, 4, 5, 0, 1 << 20 }),
	                 -ENOMEM);
	rig_stop();
}

/* --- Situations --- */

static bool is_wanted(unsigned cpu)
{
	return (rig.vcpu[cpu].vcpu.requests & HC_REQ_EVENT) != 0;
}

static void test_sgi_goes_where_it_says(void **state)
{
	start(&plain_v3);
	on_cpu(0);
	gic_send_sgi(&rig.vcpu[0].vcpu, UINT64_C(5) << 24 | 0xc, 1);
	assert_false(is_wanted(0) || is_wanted(1));
	assert_true(is_wanted(2) && is_wanted(3));
	assert_true(gic_has_interrupt(&rig.vcpu[2].vcpu));
	assert_false(gic_has_interrupt(&rig.vcpu[1].vcpu));
	rig_enter(2);
	expect(2, 5);
	expect(2, MODEL_GIC_SPURIOUS);
	assert_false(gic_has_interrupt(&rig.vcpu[2].vcpu));
	rig_enter(3);
	expect(3, 5);
	/* Other clusters, and CPUs that are not there. */
	gic_send_sgi(&rig.vcpu[3].vcpu, UINT64_C(0x0000000100050001), 1);
	gic_send_sgi(&rig.vcpu[3].vcpu, UINT64_C(0x0000000005010001), 1);
	gic_send_sgi(&rig.vcpu[3].vcpu, UINT64_C(0x0000100005000001), 1);
	gic_send_sgi(&rig.vcpu[3].vcpu, UINT64_C(0x000000000500fff0), 1);
	for (unsigned i = 0; i < 4; i++)
		assert_false(is_wanted(i));
	/* All but itself. */
	gic_send_sgi(&rig.vcpu[3].vcpu, UINT64_C(0x0000010005000008), 1);
	assert_true(is_wanted(0) && is_wanted(1) && is_wanted(2) && !is_wanted(3));
	rig_stop();
}

/* The line stays up: the interrupt comes again after its end, and not before. */
static void test_level_is_sampled_at_its_end(void **state)
{
	start(&plain_v3);
	on_cpu(0);
	rig_line(3, true);
	for (unsigned i = 0; i < 3; i++) {
		unsigned before = rig.maintenance;

		assert_int_equal(acknowledge(0), 35);
		assert_int_equal(acknowledge(0), MODEL_GIC_SPURIOUS);
		end(0, 35);
		assert_int_equal(rig.maintenance, before + 1);
	}
	assert_int_equal(acknowledge(0), 35);
	rig_line(3, false);
	unsigned before = rig.maintenance;

	end(0, 35); /* without a maintenance interrupt */
	assert_int_equal(rig.maintenance, before);
	expect(0, MODEL_GIC_SPURIOUS);
	/* Withdrawn before it was acknowledged. */
	rig_line(3, true);
	rig_line(3, false);
	expect(0, MODEL_GIC_SPURIOUS);
	rig_stop();
}

/* The guest disables what another vCPU has listed: RWP says so until that has looked. */
static void test_disabling_takes_it_back(void **state)
{
	start(&plain_v3);
	rig_enter(1);
	rig_write(RIG_DIST + 0x6000 + 8 * 40, 8, 1);
	rig_line(8, true);
	assert_true(model_gic_signalled(rig_hw(1), 1));
	rig_leave();
	rig.vcpu[1].vcpu.run_state = HC_VCPU_RUNNING; /* elsewhere */
	hc_platform_this_cpu()->current = &rig.vcpu[0].vcpu;
	rig_write(RIG_DIST + ICENABLER + 4, 4, 1 << 8);
	assert_true(is_wanted(1));
	assert_int_equal(rig_read(RIG_DIST, 4), 0x80000053);
	assert_int_equal(rig_read(RIG_REDIST + 0x20000, 4), 8);
	assert_int_equal(rig_read(RIG_REDIST, 4), 0);
	rig_enter(1);
	assert_false(model_gic_signalled(rig_hw(1), 1));
	assert_int_equal(rig_read(RIG_DIST, 4), 0x53);
	assert_int_equal(rig_read(RIG_REDIST + 0x20000, 4), 0);
	rig_set_bit(1, 40, ISENABLER);
	expect(1, 40);
	/* Of a vCPU that is off nothing is waited for. */
	rig_leave();
	rig.vcpu[1].power = A64_POWER_OFF;
	rig_write(RIG_DIST + ICENABLER + 4, 4, 1 << 8);
	assert_int_equal(rig_read(RIG_DIST, 4), 0x53);
	rig_stop();
}

static void test_pending_spi_moves(void **state)
{
	for (unsigned version = 2; version <= 3; version++) {
		start(version == 2 ? &plain_v2 : &plain_v3);
		on_cpu(0);
		if (version == 2)
			rig_write(RIG_DIST + 0x800 + 40, 1, 1);
		rig_line(8, true);
		assert_true(model_gic_signalled(rig_hw(0), 1));
		if (version == 2)
			rig_write(RIG_DIST + 0x800 + 40, 1, 4);
		else
			rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 2);
		assert_false(model_gic_signalled(rig_hw(0), 1));
		rig_enter(2);
		assert_int_equal(acknowledge(2), 40);
		/* While it is active there it does not go elsewhere. */
		if (version == 2)
			rig_write(RIG_DIST + 0x800 + 40, 1, 2);
		else
			rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 1);
		rig_enter(1);
		assert_false(model_gic_signalled(rig_hw(1), 1));
		rig_enter(2);
		end(2, 40);
		rig_enter(1);
		expect(1, 40);
		rig_line(8, false);
		rig_stop();
	}
}

/* The vCPUs, as bits, that have INTID 40 signalled; they handle it. */
static unsigned who_takes_it(void)
{
	unsigned taken = 0;

	for (unsigned cpu = 0; cpu < 4; cpu++) {
		if (rig.vcpu[cpu].power != A64_POWER_ON)
			continue;
		on_cpu(cpu);
		if (!model_gic_signalled(rig_hw(cpu), 1))
			continue;
		assert_int_equal(acknowledge(cpu), 40);
		rig_line(8, false);
		end(cpu, 40);
		taken |= 1u << cpu;
	}
	return taken;
}

/* One of those that are awake; when that one has gone to sleep, another one. */
static void test_one_of_many(void **state)
{
	unsigned asleep = 0;

	start(&plain_v3);
	rig_enter(0);
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, UINT64_C(1) << 31);
	for (unsigned i = 0; i < 4; i++) {
		unsigned taken;

		rig_line(8, true);
		taken = who_takes_it();
		assert_true(taken && !(taken & (taken - 1)) && !(taken & asleep));
		rig_line(8, true);
		assert_int_equal(who_takes_it() & asleep, 0);
		asleep |= taken;
		rig_write(RIG_REDIST + (uint64_t)__builtin_ctz(taken) * 0x20000 + 0x14, 4, 2);
	}
	assert_int_equal(asleep, 0xf);
	rig_stop();
}

/* A vCPU that was switched off does not look at its list registers any more. */
static void test_one_that_is_off(void **state)
{
	start(&plain_v3);
	on_cpu(2);
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 2);
	rig_line(8, true);
	assert_true(model_gic_signalled(rig_hw(2), 1));
	rig_leave();
	rig.vcpu[2].power = A64_POWER_OFF;
	on_cpu(0);
	assert_false(model_gic_signalled(rig_hw(0), 1));
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 0);
	assert_int_equal(who_takes_it(), 1);
	/* What comes for it meanwhile waits until it is on again. */
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 2);
	rig_line(8, true);
	assert_int_equal(who_takes_it(), 0);
	rig.vcpu[2].power = A64_POWER_ON;
	gic_reset_cpu(&rig.vcpu[2].vcpu);
	assert_int_equal(who_takes_it(), 4);
	rig_stop();
}

/* Two sources of an SGI are two interrupts (IHI 0048 3.2.1). */
static void test_sources_are_kept_apart(void **state)
{
	start(&plain_v2);
	for (unsigned from = 1; from < 4; from++) {
		rig_enter(from);
		rig_write(RIG_DIST + 0xf00, 4, UINT32_C(1) << 16 | 7);
		rig_write(RIG_DIST + 0xf00, 4, UINT32_C(1) << 16 | 7);
	}
	on_cpu(0);
	for (unsigned from = 1; from < 4; from++)
		expect(0, from << 10 | 7);
	expect(0, MODEL_GIC_SPURIOUS);
	rig_stop();
}

/* One vCPU reads what another, which does not run and lives on the same CPU, has listed; that is
 * then found to belong to a third one. */
static void test_taking_back_by_another(void **state)
{
	start(&plain_v3);
	on_cpu(1);
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 1);
	rig_line(8, true);
	assert_true(model_gic_signalled(rig_hw(1), 1));
	on_cpu(0);
	for (unsigned i = 0; i < 4; i++)
		rig.vcpu[i].vcpu.cpu = hc_platform_this_cpu();
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 2);
	assert_true(is_wanted(1) && !is_wanted(2));
	assert_int_equal(rig_read(RIG_DIST + ISACTIVER + 4, 4), 0);
	assert_true(is_wanted(2));
	rig_enter(2);
	assert_true(model_gic_signalled(rig_hw(2), 1));
	rig_enter(1);
	assert_false(model_gic_signalled(rig_hw(1), 1));
	rig_stop();
}

/* What the hardware has said about a linked interrupt is not another vCPU's to take back. */
static void test_linked_is_not_cleared(void **state)
{
	start(&plain_v3);
	on_cpu(1);
	rig_set_linked(true);
	assert_int_equal(acknowledge(1), 27);
	model_gic_end(rig_hw(1), 1, 27);
	rig.linked_active[1] = true;
	gic_set_ppi(&rig.vcpu[1].vcpu, 27, true, true);
	rig_write(RIG_REDIST + 0x20000 + 0x10000 + ICPENDR, 4, UINT32_C(1) << 27);
	expect(1, 27);
	rig_stop();
}

/* The physical timer interrupt is deactivated by the guest's end of the virtual one, with no exit,
 * and comes again. */
static void test_linked(void **state)
{
	start(&plain_v3);
	on_cpu(2);
	for (unsigned i = 0; i < 3; i++) {
		unsigned before = rig.maintenance;

		rig_set_linked(true);
		assert_true(rig.linked_active[2]);
		assert_int_equal(acknowledge(2), 27);
		rig_set_linked(false);
		model_gic_end(rig_hw(2), 1, 27);
		assert_false(rig.linked_active[2]);
		rig_settle();
		assert_false(gic_has_interrupt(&rig.vcpu[2].vcpu));
		rig_settle();
		expect(2, MODEL_GIC_SPURIOUS);
		assert_int_equal(rig.maintenance, before);
	}
	/* It is still due: it comes at once. */
	rig_set_linked(true);
	expect(2, 27);
	expect(2, 27);
	/* The backend says that it is not due any more. */
	rig.linked_level[2] = rig.linked_active[2] = false;
	gic_set_ppi(&rig.vcpu[2].vcpu, 27, false, true);
	rig_settle();
	expect(2, MODEL_GIC_SPURIOUS);
	rig_stop();
}

/* WFI: what waits behind the priority mask does not end it, and an interrupt for another vCPU does
 * not either. */
static void test_what_ends_sleep(void **state)
{
	start(&plain_v3);
	on_cpu(1);
	model_gic_set_mask(rig_hw(1), 0x80);
	rig_write(rig_field(1, 20, 0x400, 8), 4, 0x80808080);
	gic_set_ppi(&rig.vcpu[1].vcpu, 20, true, false);
	rig_settle();
	assert_false(gic_has_interrupt(&rig.vcpu[1].vcpu));
	rig_leave();
	assert_false(gic_has_interrupt(&rig.vcpu[1].vcpu));
	rig_line(8, true); /* to vCPU 0 */
	assert_false(gic_has_interrupt(&rig.vcpu[1].vcpu));
	assert_true(gic_has_interrupt(&rig.vcpu[0].vcpu));
	rig_enter(1);
	model_gic_set_mask(rig_hw(1), 0x88);
	rig_settle();
	assert_true(gic_has_interrupt(&rig.vcpu[1].vcpu));
	rig_leave();
	assert_true(gic_has_interrupt(&rig.vcpu[1].vcpu));
	on_cpu(2);
	gic_send_sgi(&rig.vcpu[2].vcpu, 4, 1);
	on_cpu(2); /* it has been listed; nobody asked whether it interrupts */
	rig_leave();
	assert_true(gic_has_interrupt(&rig.vcpu[2].vcpu));
	rig_stop();
}

static void test_reset_of_the_interface(void **state)
{
	start(&plain_v3);
	on_cpu(1);
	gic_send_sgi(&rig.vcpu[1].vcpu, UINT64_C(5) << 24 | 2, 1);
	gic_send_sgi(&rig.vcpu[1].vcpu, UINT64_C(6) << 24 | 2, 1);
	rig_settle();
	assert_int_equal(acknowledge(1), 5);
	memset(&rig.vcpu[1].state, 0, sizeof(rig.vcpu[1].state));
	hc_vcpu_dirty(&rig.vcpu[1].vcpu, A64_G_ALL);
	gic_reset_cpu(&rig.vcpu[1].vcpu);
	rig_settle();
	assert_int_equal(rig_hw(1)->r.vmcr, 0x4c0008);
	assert_int_equal(model_gic_running(rig_hw(1)), 256);
	on_cpu(1);
	assert_true(rig_bit(1, 6, ISPENDR));
	expect(1, 5); /* nobody has said that it was acknowledged */
	expect(1, 6);
	rig_stop();
}

/* --- Saved states --- */

#define STATE_ROOM 16384

static const struct hc_state_desc *description(void)
{
	return rig.vm.gic->dev.ops->state;
}

/* vCPU 1 has interrupts listed as pending, as active and as both, and more than fit. */
static void make_busy(const struct rig_config *config)
{
	start(config);
	on_cpu(1);
	rig_write(RIG_DIST + 0x6000 + 40 * 8, 8, 1);
	rig_write(RIG_DIST + 0x6000 + 41 * 8, 8, 1);
	rig_write(rig_field(1, 40, 0x400, 8), 4, 0x00000800);
	gic_send_sgi(&rig.vcpu[1].vcpu, UINT64_C(3) << 24 | 2, 1);
	rig_settle();
	assert_int_equal(acknowledge(1), 3);
	rig_line(8, true);
	rig_line(9, true);
	for (uint64_t sgi = 3; sgi < 8; sgi++)
		gic_send_sgi(&rig.vcpu[1].vcpu, sgi << 24 | 2, 1);
	rig_settle();
	rig_leave();
}

static void end_all(void)
{
	static const unsigned order[] = { 3, 4, 5, 6, 7, 40, 41 };
	unsigned seen = 0, number, count = 0;

	on_cpu(1);
	end(1, 3);
	while ((number = acknowledge(1)) != MODEL_GIC_SPURIOUS) {
		assert_true(count++ < HC_ARRAY_SIZE(order));
		for (unsigned i = 0; i < HC_ARRAY_SIZE(order); i++)
			seen |= (unsigned)(order[i] == number) << i;
		if (number >= 40)
			rig_line(number - 32, false);
		end(1, number);
	}
	assert_int_equal(seen, (1u << HC_ARRAY_SIZE(order)) - 1);
}

static void test_state_goes_along(void **state)
{
	static uint8_t buf[STATE_ROOM];
	struct a64_gic_cpu interface[4];
	size_t size;

	make_busy(&plain_v3);
	size = hc_state_save(description(), &rig.vm.gic->dev, buf, sizeof(buf));
	assert_true(size <= sizeof(buf));
	for (unsigned i = 0; i < 4; i++)
		interface[i] = rig.hw[i].r;
	rig_stop();
	rig_start(&plain_v3);
	rig.vm.vm.irq.levels = 3 << 8; /* the devices' state has come along as well */
	assert_int_equal(hc_state_load(description(), &rig.vm.gic->dev, buf, size), size);
	for (unsigned i = 0; i < 4; i++) {
		rig.vcpu[i].state.gic = interface[i];
		hc_vcpu_dirty(&rig.vcpu[i].vcpu, A64_G_GIC);
	}
	end_all();
	rig_stop();
}

/* A state is taken, or refused and the controller reset. */
static bool takes(const uint8_t *buf, size_t size)
{
	if (hc_state_load(description(), &rig.vm.gic->dev, buf, size) >= 0)
		return true;
	rig.vm.gic->dev.ops->reset(&rig.vm.gic->dev);
	return false;
}

/* What a guest may do next; all banks are looked at when a group is switched. */
static void go_on(unsigned cpu)
{
	on_cpu(cpu);
	(void)acknowledge(cpu);
	(void)rig_read(RIG_DIST + ISACTIVER + 4, 8);
	rig_write(RIG_DIST + 0x6000 + 8 * (32 + cpu), 8, cpu);
	rig_write(RIG_DIST, 4, cpu & 3);
	rig_write(RIG_DIST, 4, ~cpu & 3);
}

/* Four vCPUs and 32 of 64 SPIs: there are banks that nobody has. */
static const struct rig_config small_v3 = { 3, 4, 4, 5, 32 };

/* Bytes that are not what they were: refused, or a state in which nothing worse happens than
 * interrupts that nobody sent. */
static void test_spoiled_states(void **state)
{
	static uint8_t good[STATE_ROOM], bad[STATE_ROOM];
	unsigned refused = 0, taken = 0, rounds = test_rounds(300);
	uint64_t seed = 7;
	size_t size;

	make_busy(&small_v3);
	size = hc_state_save(description(), &rig.vm.gic->dev, good, sizeof(good));
	rig_stop();
	for (unsigned i = 0; i < rounds; i++) {
		memcpy(bad, good, size);
		for (unsigned n = 0; n < 1 + i % 4; n++)
			bad[test_below(&seed, size)] = (uint8_t)test_random(&seed);
		rig_start(&small_v3);
		if (hc_state_load(description(), &rig.vm.gic->dev, bad, size) < 0)
			refused++;
		else
			taken++;
		(void)takes(bad, size);
		for (unsigned cpu = 0; cpu < 4; cpu++)
			go_on(cpu);
		rig_stop();
	}
	assert_true(refused > 10 && taken > 10);
}

/* Words of a bank that name its interrupts. */
static uint32_t *word_of(struct gic_bank *b, unsigned n)
{
	uint32_t *words[] = { &b->group,  &b->enabled, &b->line,  &b->latch, &b->active,
		              &b->linked, &b->listed,  &b->again, &b->forced };

	return n < HC_ARRAY_SIZE(words) ? words[n] : NULL;
}

/* Spoils the state, and expects that it is refused and does no harm. */
static void expect_refused(void (*spoil)(struct gic *g, unsigned n), unsigned n)
{
	static uint8_t buf[STATE_ROOM];
	size_t size;

	make_busy(&small_v3);
	size = hc_state_save(description(), &rig.vm.gic->dev, buf, sizeof(buf));
	assert_true(takes(buf, size)); /* it is for what was spoiled that it is refused */
	spoil(rig.vm.gic, n);
	size = hc_state_save(description(), &rig.vm.gic->dev, buf, sizeof(buf));
	rig_stop();
	rig_start(&small_v3);
	assert_false(takes(buf, size));
	for (unsigned cpu = 0; cpu < 4; cpu++)
		go_on(cpu);
	rig_stop();
}

static void spoil_no_vcpu(struct gic *g, unsigned n)
{
	*word_of(&g->bank[4 + n], n) |= 1u << (16 + n);
}

static void spoil_no_spi(struct gic *g, unsigned n)
{
	*word_of(&g->bank[GIC_SPI_BANK + 1], n) |= 1u << n;
}

static void spoil_holder(struct gic *g, unsigned n)
{
	g->holder[32 + n] = (uint8_t)n; /* vCPUs that there are, and others */
}

/* Any PPI but the virtual timer's: the backend would let the guest deactivate a physical interrupt
 * of somebody else's. */
static void spoil_linked(struct gic *g, unsigned n)
{
	g->bank[n % 4].linked |= 1u << (n == A64_PPI_VTIMER ? n + 1 : n);
}

static void spoil_forced(struct gic *g, unsigned n)
{
	g->bank[2].forced |= 1u << n;
}

static void test_impossible_states(void **state)
{
	for (unsigned n = 0; n < 9; n++) {
		expect_refused(spoil_no_vcpu, n);
		expect_refused(spoil_no_spi, n);
		expect_refused(spoil_holder, n);
	}
	for (unsigned n = 0; n < 32; n++)
		expect_refused(spoil_linked, n);
	expect_refused(spoil_forced, 20);
}

/* --- Anything anywhere --- */

static uint64_t any_address(uint64_t *seed, const struct rig_config *c)
{
	uint64_t dist = c->version == 2 ? 0x1000 : 0x10000, redist = c->cpus * 0x20000;

	if (c->version == 3 && test_below(seed, 2))
		return RIG_REDIST + (test_below(seed, 2)
		                             ? test_below(seed, redist - 8)
		                             : test_below(seed, c->cpus) * 0x20000 + 0x10000 +
		                                       test_below(seed, 0xd00));
	return RIG_DIST + test_below(seed, test_below(seed, 2) ? 0x1000 - 8 : dist - 8);
}

static void anything(const struct rig_config *c, uint64_t seed)
{
	rig_start(c);
	for (unsigned i = 0; i < 4000; i++) {
		unsigned cpu = (unsigned)test_below(&seed, c->cpus);
		unsigned size = 1u << test_below(&seed, 4);
		uint64_t address = any_address(&seed, c), value = test_random(&seed);

		on_cpu(cpu);
		if (test_below(&seed, 3))
			address &= ~(uint64_t)(size - 1);
		if (test_below(&seed, 4) == 0)
			rig_write(address, size, value);
		else
			(void)rig_read(address, size);
		if (test_below(&seed, 4) == 0)
			gic_send_sgi(&rig.vcpu[cpu].vcpu, test_random(&seed) & 0xf0000ff000f, 1);
		rig_line((unsigned)test_below(&seed, 64), test_below(&seed, 2));
		rig_enter(cpu);
		unsigned number = model_gic_acknowledge(rig_hw(cpu), value & 1);

		rig_settle();
		if (number != MODEL_GIC_SPURIOUS)
			model_gic_end(rig_hw(cpu), value & 1, number);
		rig_settle();
	}
	rig_stop();
}

static void test_anything_anywhere(void **state)
{
	for (unsigned i = 0; i < test_rounds(6); i++) {
		struct rig_config c = { 2 + i % 2, 1 + i % 5, 1 + i, 5 + i % 3, 32 + 32 * (i % 2) };

		c.list_registers = c.list_registers > 16 ? 16 : c.list_registers;
		anything(&c, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset_v3),
		cmocka_unit_test(test_reset_v2),
		cmocka_unit_test(test_writable),
		cmocka_unit_test(test_what_cannot_be_made),
		cmocka_unit_test(test_sgi_goes_where_it_says),
		cmocka_unit_test(test_level_is_sampled_at_its_end),
		cmocka_unit_test(test_disabling_takes_it_back),
		cmocka_unit_test(test_pending_spi_moves),
		cmocka_unit_test(test_one_of_many),
		cmocka_unit_test(test_one_that_is_off),
		cmocka_unit_test(test_sources_are_kept_apart),
		cmocka_unit_test(test_taking_back_by_another),
		cmocka_unit_test(test_linked),
		cmocka_unit_test(test_linked_is_not_cleared),
		cmocka_unit_test(test_what_ends_sleep),
		cmocka_unit_test(test_reset_of_the_interface),
		cmocka_unit_test(test_state_goes_along),
		cmocka_unit_test(test_spoiled_states),
		cmocka_unit_test(test_impossible_states),
		cmocka_unit_test(test_anything_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
