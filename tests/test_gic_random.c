/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests that do at random what guests do with an interrupt controller: on the real distributor and
 * list registers with a model of the virtual CPU interface, and on a reference that has neither.
 */
#include <string.h>

#include "arch/aarch64/gic/internal.h"
#include "tests/model/gic_ref.h"
#include "tests/model/gic_rig.h"

#define MAX_NEST 40

/* What a guest's CPU has acknowledged and not yet ended; ended and not yet deactivated. */
struct guest {
	struct {
		unsigned number, group;
	} nest[MAX_NEST];
	unsigned depth;
	unsigned dropped[MAX_NEST], dropped_count;
};

static struct ref ref;
static struct guest guests[RIG_VCPUS];
static uint64_t seed;
static struct rig_config config;
static bool split_eoi, write_active;
static unsigned acknowledged, overflows;

static unsigned below(unsigned n)
{
	return (unsigned)test_below(&seed, n);
}

/* Few, so that they meet: some SGIs, PPIs (one of them linked), SPIs. */
static unsigned any_intid(void)
{
	static const uint8_t some[] = { 0,  1,  3,  15, 20, 27, 27, 30, 32, 33, 34, 40,
		                        47, 63, 64, 65, 77, 95, 2,  7,  23, 35, 36, 37 };

	return some[below(HC_ARRAY_SIZE(some))];
}

static uint8_t any_priority(void)
{
	unsigned kept = 0xffu << (8 - config.priority_bits) & 0xff;

	return (uint8_t)((below(3) ? below(8) << 5 : below(256)) & kept);
}

/* --- Set-up: most things on, so that something happens --- */

static void enable_interface(unsigned cpu, unsigned group, bool on)
{
	model_gic_set_group(rig_hw(cpu), group, on);
	ref.cpu[cpu].enabled[group] = on;
}

static void set_mask(unsigned cpu, unsigned mask)
{
	model_gic_set_mask(rig_hw(cpu), mask);
	ref.cpu[cpu].mask = mask & (0xffu << (8 - config.priority_bits) & 0xff);
}

static void write_ctlr(unsigned groups)
{
	rig_write(RIG_DIST, 4, groups);
	ref.group_enabled[0] = groups & 1;
	ref.group_enabled[1] = groups >> 1 & 1;
}

static void set_target(unsigned intid, unsigned cpu)
{
	if (config.version == 3)
		rig_write(RIG_DIST + 0x6000 + 8 * intid, 8, cpu);
	else
		rig_write(RIG_DIST + 0x800 + intid, 1, 1u << cpu);
	ref_irq(&ref, 0, intid)->target = (uint8_t)cpu;
}

static void set_priority(unsigned cpu, unsigned intid, uint8_t priority)
{
	rig_write(rig_field(cpu, intid, 0x400, 8) + intid % 4, 1, priority);
	ref_irq(&ref, cpu, intid)->priority = priority;
}

static void set_enabled(unsigned cpu, unsigned intid, bool on)
{
	rig_set_bit(cpu, intid, on ? 0x100 : 0x180);
	ref_irq(&ref, cpu, intid)->enabled = on;
}

static void set_group(unsigned cpu, unsigned intid, bool group1)
{
	uint64_t at = rig_field(cpu, intid, 0x80, 1), bit = HC_BIT(intid % 32);
	uint64_t old = rig_read(at, 4);

	rig_write(at, 4, group1 ? old | bit : old & ~bit);
	ref_irq(&ref, cpu, intid)->group1 = group1;
}

static void set_edge(unsigned intid, bool edge)
{
	uint64_t at = rig_field(0, intid, 0xc00, 2), bit = HC_BIT(intid % 16 * 2 + 1);
	uint64_t old = rig_read(at, 4);

	rig_write(at, 4, edge ? old | bit : old & ~bit);
	ref_irq(&ref, 0, intid)->edge = edge;
}

static void begin(void)
{
	rig_start(&config);
	ref_reset(&ref, config.version == 2, config.cpus, config.priority_bits);
	memset(guests, 0, sizeof(guests));
	for (unsigned cpu = 0; cpu < config.cpus; cpu++) {
		rig_enter(cpu);
		enable_interface(cpu, 0, true);
		enable_interface(cpu, 1, true);
		set_mask(cpu, 0xf8);
		model_gic_set_eoi_mode(rig_hw(cpu), split_eoi);
		ref.cpu[cpu].split_eoi = split_eoi;
		for (unsigned intid = 0; intid < 32; intid++) {
			set_priority(cpu, intid, any_priority());
			set_group(cpu, intid, below(2));
			set_enabled(cpu, intid, below(8));
		}
	}
	for (unsigned intid = 32; intid < 32 + config.spis; intid++) {
		set_priority(0, intid, any_priority());
		set_group(0, intid, below(2));
		set_edge(intid, below(2));
		set_target(intid, below(config.cpus));
		set_enabled(0, intid, below(8));
	}
	write_ctlr(3);
}

/* --- The other vCPU's and the devices' part --- */

static void change_line(unsigned cpu)
{
	unsigned intid = any_intid();
	bool level = below(2);

	if (intid >= 32) {
		rig_line(intid - 32, level);
		ref_line(&ref, cpu, intid, level);
	} else if (intid >= 16 && intid != A64_PPI_VTIMER) {
		gic_set_ppi(&rig.vcpu[cpu].vcpu, intid, level, false);
		rig_settle();
		ref_line(&ref, cpu, intid, level);
	}
}

/* The physical interrupt stays active until the guest has deactivated it, whatever the timer does;
 * for the guest, its line is up so long. */
static void change_timer(unsigned cpu)
{
	rig_set_linked(below(2));
	ref.cpu[cpu].private[A64_PPI_VTIMER].line = rig.linked_active[cpu];
}

static void send_v3(unsigned cpu)
{
	unsigned sgi = any_intid() & 15, targets = below(1u << config.cpus), group = below(2);
	bool others = !below(4);

	gic_send_sgi(&rig.vcpu[cpu].vcpu, (uint64_t)sgi << 24 | targets | (others ? HC_BIT(40) : 0),
	             group);
	for (unsigned to = 0; to < config.cpus; to++)
		if ((others ? to != cpu : targets >> to & 1) &&
		    (group || !ref_irq(&ref, to, sgi)->group1))
			ref_pend(&ref, to, sgi);
	rig_settle();
}

static void send_v2(unsigned cpu)
{
	unsigned sgi = any_intid() & 15, targets = below(1u << config.cpus), filter = below(3);

	rig_write(RIG_DIST + 0xf00, 4, filter << 24 | targets << 16 | sgi);
	if (filter)
		targets = filter == 1 ? ~(1u << cpu) : 1u << cpu;
	for (unsigned to = 0; to < config.cpus; to++)
		if (targets >> to & 1)
			ref_send_sgi_v2(&ref, cpu, to, sgi);
}

static void send(unsigned cpu)
{
	if (config.version == 3)
		send_v3(cpu);
	else
		send_v2(cpu);
}

static void change_sources(unsigned cpu)
{
	unsigned sgi = any_intid() & 15, sources = below(1u << config.cpus);
	struct ref_irq *irq = ref_irq(&ref, cpu, sgi);
	bool set = below(2);

	if (config.version != 2)
		return;
	rig_write(RIG_DIST + (set ? 0xf20 : 0xf10) + sgi, 1, sources);
	irq->sources = (uint8_t)(set ? irq->sources | sources : irq->sources & ~sources);
	assert_int_equal(rig_read(RIG_DIST + 0xf10 + sgi, 1), irq->sources);
}

/* --- What the guest does with the distributor --- */

static void change_pending(unsigned cpu)
{
	unsigned intid = any_intid();

	if (intid == A64_PPI_VTIMER) /* until it is linked, it has a life of its own */
		return;
	if (below(2)) {
		rig_set_bit(cpu, intid, 0x200);
		ref_pend(&ref, cpu, intid);
	} else {
		rig_set_bit(cpu, intid, 0x280);
		ref_unpend(&ref, cpu, intid);
	}
}

static bool is_nested(unsigned intid)
{
	for (unsigned cpu = 0; cpu < config.cpus; cpu++) {
		for (unsigned i = 0; i < guests[cpu].depth; i++)
			if ((guests[cpu].nest[i].number & 0x3ff) == intid)
				return true;
		for (unsigned i = 0; i < guests[cpu].dropped_count; i++)
			if ((guests[cpu].dropped[i] & 0x3ff) == intid)
				return true;
	}
	return false;
}

/* Of what a handler runs for only if nothing is without a list register: an EOI that finds none is
 * taken for that of another one. */
static void change_active(unsigned cpu)
{
	unsigned intid = any_intid();
	bool set = below(2);

	if (!write_active || (is_nested(intid) && ref_active_count(&ref, cpu) > 4))
		return;
	/* To deactivate version 2's SGIs with another source than they have is not defined; SPIs
	 * are deactivated on the vCPU that they are active on. */
	if (is_nested(intid) && (intid >= 32 || config.version == 2))
		return;
	rig_set_bit(cpu, intid, set ? 0x300 : 0x380);
	ref_set_active(&ref, cpu, intid, set);
}

static void configure(unsigned cpu)
{
	unsigned intid = any_intid();

	switch (below(6)) {
	case 0: set_priority(cpu, intid, any_priority()); break;
	case 1:
		if (intid >= 32)
			set_target(intid, below(config.cpus));
		break;
	case 2: set_group(cpu, intid, below(2)); break;
	case 3: write_ctlr(below(6) ? 3 : below(4)); break;
	default: set_enabled(cpu, intid, below(4)); break;
	}
}

static void configure_interface(unsigned cpu)
{
	unsigned group = below(2), point = below(8), least;

	switch (below(4)) {
	case 0: set_mask(cpu, below(4) ? 0xf8 : below(256)); break;
	case 1: enable_interface(cpu, group, below(4)); break;
	case 2:
		if (guests[cpu].depth)
			break;
		model_gic_set_binary_point(rig_hw(cpu), group, point);
		least = (group ? 8 : 7) - config.priority_bits;
		ref.cpu[cpu].bpr[group] = point < least ? least : point;
		break;
	default:
		if (guests[cpu].depth)
			break;
		ref.cpu[cpu].common_bpr = below(2);
		model_gic_set_common(rig_hw(cpu), ref.cpu[cpu].common_bpr);
		break;
	}
	rig_settle();
}

/* --- And with its interface --- */

static void check_signals(unsigned cpu)
{
	bool any = false;

	for (unsigned group = 0; group < 2; group++) {
		bool signalled = model_gic_signalled(rig_hw(cpu), group);

		any |= signalled;
		if (!ref_may_signal(&ref, cpu, group, signalled))
			fail_msg("vCPU %u: group %u is %ssignalled", cpu, group,
			         signalled ? "" : "not ");
	}
	assert_int_equal(gic_has_interrupt(&rig.vcpu[cpu].vcpu), any);
	rig_settle(); /* back to the guest */
}

static void acknowledge(unsigned cpu)
{
	struct guest *g = &guests[cpu];
	unsigned group = below(2), number;

	if (g->depth == MAX_NEST - 1 || g->dropped_count == MAX_NEST - 1)
		return;
	number = model_gic_acknowledge(rig_hw(cpu), group);
	if (!ref_acknowledge(&ref, cpu, group, number))
		fail_msg("vCPU %u, group %u: %#x was acknowledged", cpu, group, number);
	if (number != MODEL_GIC_SPURIOUS) {
		g->nest[g->depth].number = number;
		g->nest[g->depth++].group = group;
		acknowledged++;
	}
	rig_settle();
}

static void deactivate(unsigned cpu, unsigned number)
{
	struct model_gic *hw = rig_hw(cpu);

	if (hw->r.hcr & ICH_HCR_TDIR)
		gic_deactivate(&rig.vcpu[cpu].vcpu, number);
	else
		model_gic_deactivate(hw, number);
	ref_deactivate(&ref, cpu, number);
}

static void after_deactivation(unsigned cpu)
{
	rig_settle();
	ref.cpu[cpu].private[A64_PPI_VTIMER].line = rig.linked_active[cpu];
}

static void end(unsigned cpu)
{
	struct guest *g = &guests[cpu];

	if (!g->depth)
		return;
	unsigned number = g->nest[--g->depth].number, group = g->nest[g->depth].group;

	model_gic_end(rig_hw(cpu), group, number);
	ref_end(&ref, cpu, group, number);
	if (split_eoi)
		g->dropped[g->dropped_count++] = number;
	after_deactivation(cpu);
}

static void deactivate_any(unsigned cpu)
{
	struct guest *g = &guests[cpu];

	if (!g->dropped_count)
		return;
	unsigned i = below(g->dropped_count), number = g->dropped[i];

	g->dropped[i] = g->dropped[--g->dropped_count];
	deactivate(cpu, number);
	after_deactivation(cpu);
}

/* --- Comparing --- */

static void compare(unsigned cpu, unsigned intid)
{
	const struct ref_irq *irq = ref_irq(&ref, cpu, intid);

	if (rig_bit(cpu, intid, 0x200 + below(2) * 0x80) != ref_is_pending(&ref, cpu, intid))
		fail_msg("vCPU %u: INTID %u is %spending in the reference", cpu, intid,
		         ref_is_pending(&ref, cpu, intid) ? "" : "not ");
	if (rig_bit(cpu, intid, 0x300 + below(2) * 0x80) != irq->active)
		fail_msg("vCPU %u: INTID %u is %sactive in the reference", cpu, intid,
		         irq->active ? "" : "not ");
	assert_int_equal(rig_bit(cpu, intid, 0x100 + below(2) * 0x80), irq->enabled);
	assert_int_equal(rig_bit(cpu, intid, 0x80), irq->group1);
	assert_int_equal(rig_read(rig_field(cpu, intid, 0x400, 8) + intid % 4, 1), irq->priority);
}

static void step(void)
{
	unsigned cpu = below(config.cpus);
	uint32_t waits = ICH_HCR_LRENPIE | ICH_HCR_NPIE;

	rig_enter(cpu);
	check_signals(cpu);
	switch (below(20)) {
	case 0:
	case 1:
	case 2: change_line(cpu); break;
	case 3: change_timer(cpu); break;
	case 4:
	case 5: send(cpu); break;
	case 6: change_sources(cpu); break;
	case 7: change_pending(cpu); break;
	case 8: change_active(cpu); break;
	case 9: configure(cpu); break;
	case 10: configure_interface(cpu); break;
	case 11:
	case 12:
	case 13:
	case 14: acknowledge(cpu); break;
	case 15:
	case 16: deactivate_any(cpu); break;
	case 17:
	case 18: end(cpu); break;
	default: compare(cpu, any_intid()); break;
	}
	rig_enter(cpu);
	check_signals(cpu);
	overflows += (rig_hw(cpu)->r.hcr & waits) != 0;
}

static void run(unsigned steps)
{
	begin();
	for (unsigned i = 0; i < steps; i++)
		step();
	for (unsigned cpu = 0; cpu < config.cpus; cpu++) {
		rig_enter(cpu);
		for (unsigned intid = 0; intid < 32 + config.spis; intid++)
			compare(cpu, intid);
	}
	rig_stop();
}

static void run_one(unsigned i, unsigned version, unsigned min_lrs, unsigned max_lrs)
{
	seed = UINT64_C(0x9e3779b97f4a7c15) * (i + 1) + version;
	config = (struct rig_config){ .version = version,
		                      .cpus = 1 + below(4),
		                      .list_registers = min_lrs + below(max_lrs - min_lrs + 1),
		                      .priority_bits = 5 + below(3),
		                      .spis = 64 };
	split_eoi = below(2);
	run(1500);
}

static void run_many(unsigned version, unsigned min_lrs, unsigned max_lrs, unsigned rounds)
{
	acknowledged = overflows = 0;
	for (unsigned i = 0; i < test_rounds(rounds); i++)
		run_one(i, version, min_lrs, max_lrs);
	assert_true(acknowledged > rounds * 50);
}

static void test_v3(void **state)
{
	write_active = false;
	run_many(3, 1, 4, 40);
	assert_true(overflows > 1000);
	run_one(364, 3, 1, 4); /* in which one that is pending and active hides one that waits */
}

static void test_v2(void **state)
{
	write_active = false;
	run_many(2, 1, 4, 40);
	assert_true(overflows > 1000);
}

static void test_writes_of_active(void **state)
{
	write_active = true;
	run_many(3, 16, 16, 20);
	run_many(2, 16, 16, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v3),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_writes_of_active),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
