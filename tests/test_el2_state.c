/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a vCPU's state is: in the neutral struct, or in the CPU. */
#include <string.h>

#include "arch/aarch64/gic/gic.h"
#include "tests/model/el2_rig.h"
#include "tests/unit.h"

#define VTIMER_LR                                                                                  \
	(ICH_LR_HW | ICH_LR_GROUP | UINT64_C(0xa0) << 48 | ICH_LR_PINTID_OF(27) | A64_PPI_VTIMER)

static const struct model_features *const machines[] = { &rig_plain, &rig_full, &rig_v2 };
static const struct model_step ends[] = { { .op = OP_END } };

static struct hc_vcpu *vcpu_of(unsigned n)
{
	return &rig_vcpus[n].vcpu;
}

static void end_all(unsigned vcpu)
{
	rig_put(vcpu);
	rig_stop();
}

/* --- All of it, to and fro --- */

static void randomize(struct a64_state *st, uint64_t *seed)
{
	const uint64_t mpidr = st->mpidr, midr = st->midr;

	for (unsigned i = 0; i < sizeof(*st) / 8; i++)
		((uint64_t *)(void *)st)[i] = test_random(seed);
	st->pstate = A64_PSTATE_EL1H;
	st->cntv_ctl &= CNTV_CTL_ENABLE | CNTV_CTL_IMASK;
	st->cntv_ctl |= CNTV_CTL_IMASK;
	st->cntvoff = 0;
	st->cntv_cval = test_below(seed, HC_BIT(60));
	st->mdscr &= MDSCR_SS | MDSCR_MDE | MDSCR_KDE;
	st->serror = test_below(seed, 2);
	st->vsesr &= 0x1ffffff;
	memset(&st->gic, 0, sizeof(st->gic));
	st->gic.hcr = ICH_HCR_EN;
	st->gic.vmcr = (uint32_t)test_random(seed) & 0xf8fc021f;
	st->gic.ap1r[0] = (uint32_t)test_random(seed);
	for (unsigned i = 0; i < el2_caps.list_registers; i++)
		st->gic.lr[i] = test_below(seed, 3) ? (uint64_t)test_below(seed, 32) << 51 |
		                                              ICH_LR_PENDING | (32 + i)
		                                    : 0;
	st->midr = midr;
	st->mpidr = mpidr;
}

static void same_state(const struct a64_state *a, const struct a64_state *b)
{
	assert_memory_equal(a->x, b->x, sizeof(a->x));
	assert_memory_equal(a->sys, b->sys, sizeof(a->sys));
	assert_int_equal(a->cntv_cval, b->cntv_cval);
	assert_int_equal(a->cntv_ctl & 3, b->cntv_ctl & 3);
	assert_int_equal(a->mdscr, b->mdscr);
	assert_memory_equal(a->dbgbvr, b->dbgbvr, sizeof(a->dbgbvr));
	assert_int_equal(a->serror, b->serror);
	assert_memory_equal(&a->gic, &b->gic, sizeof(a->gic));
	assert_memory_equal(a->v, b->v, sizeof(a->v));
	assert_int_equal(a->fpsr, b->fpsr);
	assert_int_equal(a->fpcr, b->fpcr);
}

/* A vCPU's whole state comes back from wherever it was, past others that ran there. */
static void test_all_groups_survive(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		struct a64_state before[RIG_VCPUS];
		uint64_t seed = 5 + i;

		rig_start(machines[i]);
		rig_put(0);
		for (unsigned n = 0; n < RIG_VCPUS; n++) {
			randomize(rig_state(n), &seed);
			vcpu_of(n)->valid = vcpu_of(n)->dirty = A64_G_ALL;
			before[n] = *rig_state(n);
		}
		for (unsigned round = 0; round < test_rounds(100); round++) {
			unsigned n = (unsigned)test_below(&seed, RIG_VCPUS);
			const struct model_step vectors[] = {
				{ .op = OP_VECTOR, .esr = before[n].v[0][0] }, { .op = OP_END }
			};

			rig_load(n, (unsigned)test_below(&seed, MODEL_CPUS));
			rig_run_script(n, test_below(&seed, 2) ? vectors : ends);
			hc_vcpu_need(vcpu_of(n), (uint32_t)test_below(&seed, A64_G_ALL + 1));
			if (test_below(&seed, 2))
				rig_run_script(n, test_below(&seed, 2) ? vectors : ends);
			rig_put(n);
			same_state(rig_state(n), &before[n]);
			rig_no_complaint();
		}
		rig_stop();
	}
}

/* --- Vectors --- */

static void test_vectors_are_moved_only_when_used(void **state)
{
	static const struct model_step uses[] = { { .op = OP_VECTOR, .esr = 77 },
		                                  { .op = OP_VECTOR, .esr = 78 },
		                                  { .op = OP_END } };

	rig_start(&rig_plain);
	/* New ones are there from the start. */
	rig_run_script(0, ends);
	assert_int_equal(model_this()->fp_loads, 1);
	rig_load(1, 1);
	rig_run_script(1, ends);
	rig_put(1);
	model_be(0);
	assert_int_equal(rig_run_script(0, uses).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_this()->fp_loads, 1);
	rig_run_script(0, uses);
	assert_int_equal(model_this()->fp_loads, 1);
	rig_put(0);
	assert_int_equal(rig_state(0)->v[0][0], 78);
	/* Nobody else used them: they are there still. */
	rig_load(0, 0);
	rig_run_script(0, uses);
	assert_int_equal(model_this()->fp_loads, 1);
	rig_put(0);
	/* One that does not use them leaves them alone, */
	rig_load(1, 0);
	rig_run_script(1, ends);
	rig_put(1);
	rig_load(0, 0);
	rig_run_script(0, uses);
	assert_int_equal(model_this()->fp_loads, 1);
	rig_put(0);
	/* and one that does, does not. */
	rig_load(1, 0);
	rig_run_script(1, uses);
	rig_put(1);
	rig_load(0, 0);
	rig_run_script(0, uses);
	assert_int_equal(model_this()->fp_loads, 3);
	/* Changed from outside. */
	hc_vcpu_need(vcpu_of(0), A64_G_FP);
	rig_state(0)->v[1][1] = 5;
	hc_vcpu_dirty(vcpu_of(0), A64_G_FP);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->fp_loads, 4);
	assert_int_equal(model_this()->v[1][1], 5);
	end_all(0);
}

static void put_99(struct model_cpu *cpu, struct a64_state *st)
{
	assert_int_equal(cpu->v[0][0], 99);
}

static void test_vectors_can_be_changed(void **state)
{
	static const struct model_step uses[] = { { .op = OP_VECTOR, .esr = 77 },
		                                  { .op = OP_END } };
	static const struct model_step looks[] = { { .op = OP_VECTOR, .esr = 99 },
		                                   { .op = OP_CALL, .fn = put_99 },
		                                   { .op = OP_END } };

	rig_start(&rig_full);
	rig_run_script(0, uses);
	hc_vcpu_need(vcpu_of(0), A64_G_FP);
	assert_int_equal(rig_state(0)->v[0][0], 77);
	rig_state(0)->v[0][0] = 99;
	rig_state(0)->v[31][1] = 5;
	hc_vcpu_dirty(vcpu_of(0), A64_G_FP);
	rig_run_script(0, ends);
	rig_run_script(0, looks);
	assert_int_equal(model_this()->v[31][1], 5);
	rig_put(0);
	assert_int_equal(rig_state(0)->v[0][0], 99);
	/* The same of one that is not loaded. */
	rig_state(0)->v[31][1] = 6;
	hc_vcpu_dirty(vcpu_of(0), A64_G_FP);
	rig_load(0, 0);
	rig_run_script(0, looks);
	assert_int_equal(model_this()->v[31][1], 6);
	/* Changed on another CPU, where they are not used: the first one's are old. */
	rig_put(0);
	rig_load(0, 1);
	rig_run_script(0, ends);
	rig_state(0)->v[31][1] = 7;
	hc_vcpu_dirty(vcpu_of(0), A64_G_FP);
	rig_run_script(0, ends);
	rig_put(0);
	rig_load(0, 0);
	rig_run_script(0, looks);
	assert_int_equal(model_this()->v[31][1], 7);
	end_all(0);
}

/* --- EL1 --- */

static void guest_sets_ttbr(struct model_cpu *cpu, struct a64_state *st)
{
	cpu->el1[A64_TTBR0_EL1] = 0x1234000;
}

static void test_el1_registers_are_the_guests(void **state)
{
	static const struct model_step sets[] = { { .op = OP_CALL, .fn = guest_sets_ttbr },
		                                  { .op = OP_END } };

	rig_start(&rig_full);
	rig_run_script(0, sets);
	assert_int_equal(rig_state(0)->sys[A64_TTBR0_EL1], 0);
	hc_vcpu_need(vcpu_of(0), A64_G_SYS);
	assert_int_equal(rig_state(0)->sys[A64_TTBR0_EL1], 0x1234000);
	rig_state(0)->sys[A64_VBAR_EL1] = 0x800;
	hc_vcpu_dirty(vcpu_of(0), A64_G_SYS);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->el1[A64_VBAR_EL1], 0x800);
	assert_int_equal(model_this()->el1[A64_TTBR0_EL1], 0x1234000);
	/* What changed while it was not loaded is not lost either. */
	rig_put(0);
	rig_state(0)->sys[A64_VBAR_EL1] = 0x1000;
	hc_vcpu_dirty(vcpu_of(0), A64_G_SYS);
	rig_load(0, 0);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->el1[A64_VBAR_EL1], 0x1000);
	end_all(0);
}

static void test_exits_touch_no_register(void **state)
{
	static const struct model_step hvc[] = {
		{ .op = OP_EXIT, .esr = UINT64_C(0x5a000000), .skip = 4 }, { .op = OP_END }
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		rig_start(machines[i]);
		rig_run_script(0, ends);
		struct model_cpu *c = model_this();
		unsigned reads = c->register_reads, writes = c->register_writes;
		unsigned lr_writes = c->lr_writes, el1_loads = c->el1_loads;

		rig_run_script(0, hvc);
		rig_run_script(0, hvc);
		assert_int_equal(c->register_reads, reads);
		assert_int_equal(c->register_writes, writes);
		assert_int_equal(c->lr_writes, lr_writes);
		assert_int_equal(c->el1_loads, el1_loads);
		end_all(0);
	}
}

/* --- Debug --- */

static void test_debug_registers_only_while_used(void **state)
{
	rig_start(&rig_plain);
	rig_state(0)->dbgbvr[2] = 0x4000;
	hc_vcpu_dirty(vcpu_of(0), A64_G_DEBUG);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->bvr[2], 0);
	rig_state(0)->mdscr = MDSCR_MDE | MDSCR_KDE;
	hc_vcpu_dirty(vcpu_of(0), A64_G_DEBUG);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->bvr[2], 0x4000);
	assert_int_equal(model_this()->reg[EL2_MDSCR_EL1], MDSCR_MDE | MDSCR_KDE);
	rig_put(0);
	assert_int_equal(model_this()->reg[EL2_MDSCR_EL1], 0);
	rig_load(1, 0);
	rig_run_script(1, ends);
	assert_int_equal(model_this()->reg[EL2_MDSCR_EL1], 0);
	rig_put(1);
	rig_load(0, 0);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->reg[EL2_MDSCR_EL1], MDSCR_MDE | MDSCR_KDE);
	rig_state(0)->mdscr = 0;
	hc_vcpu_dirty(vcpu_of(0), A64_G_DEBUG);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->reg[EL2_MDSCR_EL1], 0);
	end_all(0);
}

/* --- Virtual SErrors --- */

static void take_serror(struct model_cpu *cpu, struct a64_state *st)
{
	assert_true(cpu->reg[EL2_HCR_EL2] & HCR_VSE);
	cpu->reg[EL2_HCR_EL2] &= ~HCR_VSE;
}

static void see_none(struct model_cpu *cpu, struct a64_state *st)
{
	assert_false(cpu->reg[EL2_HCR_EL2] & HCR_VSE);
}

static void test_serror_is_taken_once(void **state)
{
	static const struct model_step takes[] = { { .op = OP_CALL, .fn = take_serror },
		                                   { .op = OP_END } };
	static const struct model_step none[] = { { .op = OP_CALL, .fn = see_none },
		                                  { .op = OP_END } };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++)
		for (unsigned again = 0; again < 3; again++) {
			rig_start(machines[i]);
			rig_state(0)->serror = true;
			rig_state(0)->vsesr = 0x42;
			hc_vcpu_dirty(vcpu_of(0), A64_G_EVENT);
			if (again == 1) { /* it waits while another one runs */
				rig_run_script(0, ends);
				rig_put(0);
				rig_load(1, 0);
				rig_run_script(1, none);
				rig_put(1);
				rig_load(0, 0);
			}
			rig_run_script(0, takes);
			if (machines[i]->ras)
				assert_int_equal(model_this()->reg[EL2_VSESR_EL2], 0x42);
			if (again == 2) {
				hc_vcpu_need(vcpu_of(0), A64_G_EVENT);
				assert_false(rig_state(0)->serror);
			}
			rig_put(0);
			assert_false(rig_state(0)->serror);
			rig_load(0, 0);
			rig_run_script(0, none);
			end_all(0);
		}
}

/* The next one comes before the backend looked whether the last was taken. */
static void test_serror_after_serror(void **state)
{
	static const struct model_step takes[] = { { .op = OP_CALL, .fn = take_serror },
		                                   { .op = OP_END } };

	rig_start(&rig_full);
	for (unsigned i = 0; i < 3; i++) {
		rig_state(0)->serror = true;
		hc_vcpu_dirty(vcpu_of(0), A64_G_EVENT);
		rig_run_script(0, takes);
	}
	end_all(0);
}

/* --- Timer --- */

static void program_timer(struct model_cpu *cpu, uint64_t cval, uint64_t ctl)
{
	cpu->cntv_cval = cval;
	cpu->cntv_ctl = ctl;
}

static void guest_arms_timer(struct model_cpu *cpu, struct a64_state *st)
{
	program_timer(cpu, model_now - cpu->cntvoff + 100, 1);
}

static void guest_masks_timer(struct model_cpu *cpu, struct a64_state *st)
{
	program_timer(cpu, 0, 3);
}

/* The LR with the interrupt goes, and the physical one with it. */
static void guest_ends_vtimer(struct model_cpu *cpu, struct a64_state *st)
{
	assert_true(cpu->gic.lr[0] & ICH_LR_STATE);
	assert_true(cpu->active[27]);
	cpu->gic.lr[0] &= ~ICH_LR_STATE;
	cpu->active[27] = false;
	program_timer(cpu, UINT64_C(1) << 60, 1);
}

/* Acknowledged, reprogrammed, not ended. */
static void guest_takes_vtimer(struct model_cpu *cpu, struct a64_state *st)
{
	cpu->gic.lr[0] = (cpu->gic.lr[0] & ~ICH_LR_STATE) | ICH_LR_ACTIVE;
	program_timer(cpu, UINT64_C(1) << 60, 1);
}

static void run_fn(unsigned vcpu, void (*fn)(struct model_cpu *cpu, struct a64_state *st))
{
	const struct model_step steps[] = { { .op = OP_CALL, .fn = fn }, { .op = OP_END } };

	rig_run_script(vcpu, steps);
}

/* The board acknowledged the interrupt, and left it active; then the interrupt controller lists it.
 */
static void interrupt(unsigned vcpu)
{
	model_this()->active[27] = true;
	el2_vtimer_interrupt(vcpu_of(vcpu));
}

static void list_vtimer(unsigned vcpu, uint64_t lr_state)
{
	hc_vcpu_need(vcpu_of(vcpu), A64_G_GIC);
	rig_state(vcpu)->gic.hcr = ICH_HCR_EN;
	rig_state(vcpu)->gic.lr[0] = VTIMER_LR | lr_state;
	hc_vcpu_dirty(vcpu_of(vcpu), A64_G_GIC);
}

static void start_with_due_timer(const struct model_features *f)
{
	rig_start(f);
	rig_state(0)->cntvoff = 600;
	hc_vcpu_dirty(vcpu_of(0), A64_G_TIMER);
	run_fn(0, guest_arms_timer);
	model_now += 100;
	interrupt(0);
	assert_int_equal(rig_told.ppis, 1);
	assert_int_equal(rig_told.ppi, A64_PPI_VTIMER);
	assert_true(rig_told.ppi_level && rig_told.ppi_linked);
}

static void test_timer_stops_with_its_vcpu(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		rig_start(machines[i]);
		run_fn(0, guest_arms_timer);
		rig_put(0);
		assert_int_equal(model_this()->cntv_ctl, 0);
		assert_int_equal(rig_state(0)->cntv_ctl, 1);
		assert_int_equal(rig_state(0)->cntv_cval, model_now + 100);
		model_now += 100;
		rig_load(0, 1);
		rig_run_script(0, ends);
		assert_int_equal(el2_hw_timer_ctl(model_features.vhe), 5);
		end_all(0);
	}
}

static void test_interrupt_that_is_over_is_dropped(void **state)
{
	rig_start(&rig_plain);
	run_fn(0, guest_masks_timer);
	interrupt(0);
	assert_int_equal(rig_told.ppis, 0);
	assert_false(model_this()->active[27]);
	rig_put(0);
	interrupt(0);
	assert_int_equal(rig_told.ppis, 0);
	assert_false(model_this()->active[27]);
	rig_stop();
}

static void test_physical_interrupt_is_active_until_the_guest_ended_it(void **state)
{
	start_with_due_timer(&rig_full);
	list_vtimer(0, ICH_LR_PENDING);
	rig_run_script(0, ends);
	assert_true(model_this()->active[27]);
	/* It goes along: neither another vCPU on this CPU, nor the next CPU, sees another state. */
	rig_put(0);
	assert_false(model_cpus[0].active[27]);
	rig_load(1, 0);
	rig_run_script(1, ends);
	assert_false(model_cpus[0].active[27]);
	rig_put(1);
	rig_load(0, 2);
	rig_run_script(0, ends);
	assert_true(model_cpus[2].active[27]);
	run_fn(0, guest_ends_vtimer);
	run_fn(0, guest_arms_timer);
	rig_put(0);
	/* It becomes due meanwhile: it has to interrupt for that. */
	model_now += 100;
	rig_load(0, 3);
	rig_run_script(0, ends);
	assert_false(model_cpus[3].active[27]);
	end_all(0);
}

static void test_interrupt_in_service_stays_active(void **state)
{
	start_with_due_timer(&rig_plain);
	list_vtimer(0, ICH_LR_PENDING);
	run_fn(0, guest_takes_vtimer);
	rig_put(0);
	rig_load(0, 1);
	rig_run_script(0, ends);
	assert_true(model_this()->active[27]);
	run_fn(0, guest_ends_vtimer);
	end_all(0);
	assert_false(rig_el2(0) && rig_el2(0)->vtimer_active);
}

/* The next one interrupts before the end of the last was noticed. */
static void test_interrupt_after_interrupt(void **state)
{
	start_with_due_timer(&rig_plain);
	list_vtimer(0, ICH_LR_PENDING);
	run_fn(0, guest_ends_vtimer);
	run_fn(0, guest_arms_timer);
	model_now += 100;
	interrupt(0);
	assert_int_equal(rig_told.ppis, 2);
	list_vtimer(0, ICH_LR_PENDING);
	rig_run_script(0, ends);
	assert_true(model_this()->active[27]);
	run_fn(0, guest_ends_vtimer);
	end_all(0);
}

/* The interrupt controller keeps it back: it is the vCPU's all the same. */
static void test_interrupt_that_is_not_listed(void **state)
{
	start_with_due_timer(&rig_plain);
	for (unsigned i = 0; i < 2; i++) {
		rig_run_script(0, ends);
		rig_put(0);
		assert_false(model_cpus[0].active[27]);
		rig_load(0, 0);
		rig_run_script(0, ends);
		assert_true(model_cpus[0].active[27]);
	}
	list_vtimer(0, ICH_LR_PENDING);
	run_fn(0, guest_ends_vtimer);
	run_fn(0, guest_arms_timer);
	model_now += 100;
	interrupt(0);
	hc_vcpu_need(vcpu_of(0), A64_G_GIC);
	rig_state(0)->gic.lr[0] = 0;
	hc_vcpu_dirty(vcpu_of(0), A64_G_GIC);
	rig_run_script(0, ends);
	rig_put(0);
	assert_false(model_cpus[0].active[27]);
	rig_load(0, 1);
	rig_run_script(0, ends);
	assert_true(model_cpus[1].active[27]);
	end_all(0);
}

static void test_timer_that_was_stopped_takes_its_interrupt_back(void **state)
{
	start_with_due_timer(&rig_full);
	list_vtimer(0, ICH_LR_PENDING);
	run_fn(0, guest_masks_timer);
	list_vtimer(0, ICH_LR_PENDING);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->gic.lr[0] & ICH_LR_STATE, 0);
	assert_false(model_this()->active[27]);
	end_all(0);
}

/* The core's timer stood in for it while the vCPU slept: nothing physical has happened yet. */
static void test_interrupt_of_the_stand_in(void **state)
{
	rig_start(&rig_plain);
	run_fn(0, guest_arms_timer);
	rig_put(0);
	model_now += 100;
	list_vtimer(0, ICH_LR_PENDING);
	rig_load(0, 0);
	rig_run_script(0, ends);
	assert_true(model_this()->active[27]);
	run_fn(0, guest_ends_vtimer);
	end_all(0);
}

static void test_reset_forgets_the_interrupt(void **state)
{
	start_with_due_timer(&rig_plain);
	list_vtimer(0, ICH_LR_PENDING);
	rig_run_script(0, ends);
	memset(&rig_state(0)->gic, 0, sizeof(rig_state(0)->gic));
	rig_state(0)->cntv_ctl = 0;
	hc_vcpu_dirty(vcpu_of(0), A64_G_ALL);
	rig_run_script(0, ends);
	assert_false(model_this()->active[27]);
	assert_int_equal(model_this()->gic.lr[0], 0);
	end_all(0);
}

static void test_physical_intid_is_the_machines(void **state)
{
	rig_start(&rig_plain);
	el2_host.vtimer_ppi = 19;
	run_fn(0, guest_arms_timer);
	model_now += 100;
	model_this()->active[19] = true;
	el2_vtimer_interrupt(vcpu_of(0));
	assert_int_equal(rig_told.ppi, A64_PPI_VTIMER);
	list_vtimer(0, ICH_LR_PENDING);
	rig_run_script(0, ends);
	assert_int_equal(hc_bits(model_this()->gic.lr[0], 44, 32), 19);
	end_all(0);
}

/* --- The virtual CPU interface --- */

static void test_interrupts_end_with_put(void **state)
{
	rig_start(&rig_plain);
	list_vtimer(0, 0);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->gic.hcr, ICH_HCR_EN);
	rig_put(0);
	assert_int_equal(model_this()->gic.hcr, 0);
	assert_int_equal(rig_state(0)->gic.hcr, ICH_HCR_EN);
	rig_stop();
}

static void test_maintenance_interrupt_is_silenced(void **state)
{
	rig_start(&rig_plain);
	list_vtimer(0, 0);
	rig_run_script(0, ends);
	model_this()->gic.lr[0] = 0;
	el2_maintenance_interrupt(vcpu_of(0));
	assert_int_equal(model_this()->gic.hcr, 0);
	assert_int_equal(rig_state(0)->gic.lr[0], 0);
	assert_true(vcpu_of(0)->requests & HC_REQ_EVENT);
	rig_run_script(0, ends);
	assert_int_equal(model_this()->gic.hcr, ICH_HCR_EN);
	rig_put(0);
	el2_maintenance_interrupt(vcpu_of(0));
	rig_stop();
}

/* Another vCPU's list registers do not stay behind. */
static void test_list_registers_are_replaced(void **state)
{
	rig_start(&rig_plain);
	for (unsigned i = 0; i < 4; i++)
		rig_state(0)->gic.lr[i] = ICH_LR_PENDING | (40 + i);
	hc_vcpu_dirty(vcpu_of(0), A64_G_GIC);
	rig_run_script(0, ends);
	rig_put(0);
	rig_load(1, 0);
	rig_run_script(1, ends);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(model_this()->gic.lr[i], 0);
	rig_put(1);
	rig_stop();
}

/* --- GICv2 --- */

static uint32_t gich_reg(unsigned offset)
{
	return *(volatile uint32_t *)((volatile char *)el2_host.gich + offset);
}

static void test_v2_list_registers(void **state)
{
	static const struct {
		uint64_t v3;
		uint32_t v2;
	} rows[] = {
		{ 0, 0 },
		{ ICH_LR_PENDING | 40, 0x10000000 | 40 },
		{ ICH_LR_ACTIVE | ICH_LR_PENDING | 1019, 0x30000000 | 1019 },
		{ ICH_LR_PENDING | ICH_LR_GROUP | UINT64_C(0xf8) << 48 | 33, 0x5f800000 | 33 },
		{ ICH_LR_PENDING | ICH_LR_EOI | 34, 0x10000000 | 1 << 19 | 34 },
		{ ICH_LR_PENDING | 3 << 10 | 5, 0x10000000 | 3 << 10 | 5 },
		{ ICH_LR_ACTIVE | ICH_LR_HW | ICH_LR_PINTID_OF(30) | 35,
		  UINT32_C(0xa0000000) | 30 << 10 | 35 },
	};

	rig_start(&rig_v2);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		rig_state(0)->gic.lr[1] = rows[i].v3;
		hc_vcpu_dirty(vcpu_of(0), A64_G_GIC);
		rig_run_script(0, ends);
		assert_int_equal(gich_reg(0x104), rows[i].v2);
		hc_vcpu_need(vcpu_of(0), A64_G_GIC);
		assert_int_equal(rig_state(0)->gic.lr[1], rows[i].v3);
	}
	end_all(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_groups_survive),
		cmocka_unit_test(test_vectors_are_moved_only_when_used),
		cmocka_unit_test(test_vectors_can_be_changed),
		cmocka_unit_test(test_el1_registers_are_the_guests),
		cmocka_unit_test(test_exits_touch_no_register),
		cmocka_unit_test(test_debug_registers_only_while_used),
		cmocka_unit_test(test_serror_is_taken_once),
		cmocka_unit_test(test_serror_after_serror),
		cmocka_unit_test(test_timer_stops_with_its_vcpu),
		cmocka_unit_test(test_interrupt_that_is_over_is_dropped),
		cmocka_unit_test(test_physical_interrupt_is_active_until_the_guest_ended_it),
		cmocka_unit_test(test_interrupt_in_service_stays_active),
		cmocka_unit_test(test_interrupt_after_interrupt),
		cmocka_unit_test(test_interrupt_that_is_not_listed),
		cmocka_unit_test(test_timer_that_was_stopped_takes_its_interrupt_back),
		cmocka_unit_test(test_interrupt_of_the_stand_in),
		cmocka_unit_test(test_reset_forgets_the_interrupt),
		cmocka_unit_test(test_physical_intid_is_the_machines),
		cmocka_unit_test(test_interrupts_end_with_put),
		cmocka_unit_test(test_maintenance_interrupt_is_silenced),
		cmocka_unit_test(test_list_registers_are_replaced),
		cmocka_unit_test(test_v2_list_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
