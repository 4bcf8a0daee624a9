/* SPDX-License-Identifier: BSD-2-Clause */
/* Injection, windows, and how long an NMI masks the next. */
#include "tests/model/svm_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

#include <string.h>

static void test_what_is_no_event(void **state)
{
	const struct x86_event bad[] = {
		{ 0, X86_EVENT_INTR, 0x31, 0, 0 },
		{ 1, 1, 0x31, 0, 0 },
		{ 1, 7, 0x31, 0, 0 },
		{ 1, 0xff, 0x31, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, 2, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, 32, 0, 0 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++)
		assert_int_equal(rig_inject(&bad[i]), -EINVAL);
}

/* The window ignores the guest's TPR: the local APIC has decided already. */
static void test_window_ignores_tpr(void **state)
{
	x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, 0xf0);
	rig_state(0)->rflags |= X86_FLAG_IF;
	rig_window(false);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
}

/* One interrupt, whatever comes between: exits before it is taken, and in its delivery. */
static void test_interrupt_put_off(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_FIRST, .code = SVM_EXIT_INTR },
		{ .op = OP_FIRST, .code = SVM_EXIT_NPF, .info1 = 4, .intinfo = SVM_EVENT_V | 0x31 },
		{ .op = OP_FIRST, .code = SVM_EXIT_INTR },
		{ .op = OP_END },
	};

	/* Elsewhere it is delivered by the first entry. */
	if (!model_features.tcg)
		return;
	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_inject(&rig_intr), 0);
	model_script(steps);
	for (unsigned i = 0; i < 3; i++) {
		rig_run(0);
		assert_int_equal(model_delivered, 0);
		assert_int_equal(rig_inject(&rig_intr), -EBUSY);
		hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
		assert_int_equal(rig_state(0)->events.reinject.valid, 1);
		assert_int_equal(rig_state(0)->events.reinject.vector, 0x31);
	}
	rig_run(0);
	rig_assert_delivered(1, 0x31);
	assert_int_equal(model_deliveries[0].rip, 0x1000);
	rig_state(0)->rflags |= X86_FLAG_IF;
	rig_run(0);
	assert_int_equal(model_delivered, 1);
}

/* A fault in its delivery takes its place: it does not come again. */
static void test_interrupt_that_faults(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_NOT_PRESENT },
		{ .op = OP_EXIT, .code = SVM_EXIT_CPUID, .len = 2 },
		{ .op = OP_END },
	};

	if (!model_features.tcg)
		return;
	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_inject(&rig_intr), 0);
	model_script(steps);
	assert_int_equal(rig_run(0).reason, HC_EXIT_CPUID);
	rig_assert_delivered(1, X86_VEC_NP);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
	assert_int_equal(rig_state(0)->events.reinject.valid, 0);
	rig_state(0)->rflags |= X86_FLAG_IF;
	rig_run(0);
	assert_int_equal(model_delivered, 1);
}

/* It is over with its delivery: V_IRQ is a later window's. */
static void test_window_after_an_interrupt(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_FIRST, .code = SVM_EXIT_INTR },
		{ .op = OP_STI },
		{ .op = OP_INSN, .len = 1 },
		{ .op = OP_END },
	};

	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run(0);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_window(false);
	assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
}

/* An exit in the middle of delivery: the event comes again, first of all. */
static void interrupted(uint64_t intinfo, unsigned again, uint8_t vector)
{
	const struct model_step steps[] = {
		{ .op = OP_EXIT, .code = SVM_EXIT_NPF, .info1 = 4, .intinfo = intinfo },
		{ .op = OP_END },
	};

	rig_state(0)->rflags |= X86_FLAG_IF;
	model_clear_deliveries();
	rig_run_script(0, steps);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
	assert_int_equal(rig_state(0)->events.reinject.valid, again);
	if (again)
		assert_int_equal(rig_inject(&rig_intr), -EBUSY);
	rig_run(0);
	assert_int_equal(model_delivered, again);
	if (again)
		rig_assert_delivered(1, vector);
	rig_run(0);
	assert_int_equal(model_delivered, again);
}

static void test_delivery_interrupted(void **state)
{
	interrupted(SVM_EVENT_V | 0x31, 1, 0x31);
	interrupted(SVM_EVENT_V | X86_EVENT_EXCEPTION << 8 | 0x31, 1, 0x31);
	interrupted(SVM_EVENT_V | SVM_EVENT_EV | X86_EVENT_EXCEPTION << 8 | X86_VEC_PF, 1,
	            X86_VEC_PF);
	/* The instructions are executed again. */
	interrupted(SVM_EVENT_V | X86_EVENT_EXCEPTION << 8 | X86_VEC_BP, 0, 0);
	interrupted(SVM_EVENT_V | X86_EVENT_SOFT_INT << 8 | 0x80, 0, 0);
	interrupted(0x31, 0, 0);
}

/* --- NMI --- */

/* In the NMI handler; then the rest. */
static const struct model_step handler[] = {
	{ .op = OP_INSN, .len = 2 },
	{ .op = OP_EXIT, .code = SVM_EXIT_HLT },
	{ .op = OP_IRET },
	{ .op = OP_EXIT, .code = SVM_EXIT_HLT },
	{ .op = OP_EXIT, .code = SVM_EXIT_HLT },
	{ .op = OP_END },
};

static void test_nmi_masks_until_iret(void **state)
{
	assert_int_equal(rig_inject(&rig_nmi), 0);
	assert_int_equal(rig_run_script(0, handler).reason, HC_EXIT_HALT);
	rig_assert_delivered(1, X86_VEC_NMI);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
	assert_int_equal(rig_state(0)->events.nmi_masked, 1);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	/* The exit for IRET comes before it is executed. */
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
	assert_int_equal(rig_state(0)->rip, 0x1000);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run(0);
	rig_assert_delivered(2, X86_VEC_NMI);
	assert_int_equal(model_deliveries[1].rip, 0x1000);
}

/* With a window asked for inside the handler, before or after the exit for IRET. */
static void nmi_window(bool after_iret_exit)
{
	model_clear_deliveries();
	rig_state(0)->rip = 0x1000;
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run_script(0, handler);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	if (!after_iret_exit)
		rig_window(true);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	if (after_iret_exit)
		rig_window(true);
	struct hc_exit exit = rig_run(0);

	/* At the first instruction after IRET, and nothing of the step is left. */
	assert_int_equal(exit.reason, HC_EXIT_WINDOW);
	assert_int_equal(exit.pc, 0x1000);
	assert_false(rig_state(0)->rflags & X86_FLAG_TF);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_DR);
	assert_int_equal(rig_state(0)->dr6, 0xffff0ff0);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run(0);
	rig_assert_delivered(2, X86_VEC_NMI);
	/* Out of the second handler again. */
	const struct model_step leave[] = { { .op = OP_IRET },
		                            { .op = OP_INSN, .len = 1 },
		                            { .op = OP_END } };

	rig_run_script(0, leave);
	rig_run(0);
}

static void test_nmi_window(void **state)
{
	nmi_window(false);
	nmi_window(true);
	nmi_window(false);
}

/* A guest that single-steps itself keeps its own #DB. */
static void test_nmi_window_in_a_stepping_guest(void **state)
{
	rig_state(0)->rflags |= X86_FLAG_TF;
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run_script(0, handler);
	rig_window(true);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	/* In its handler TF is clear: the step is ours. Back from it, TF is the guest's. */
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
	assert_true(rig_state(0)->rflags & X86_FLAG_TF);
	const struct model_step on[] = { { .op = OP_INSN, .len = 1 }, { .op = OP_END } };
	struct hc_exit exit = rig_run_script(0, on);

	assert_int_equal(exit.reason, HC_EXIT_EXCEPTION);
	assert_int_equal(exit.u.exception.vector, X86_VEC_DB);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_DR);
	assert_true(rig_state(0)->dr6 & HC_BIT(14));
}

/* In a shadow without masking: after one instruction. */
static void test_nmi_window_after_the_shadow(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_INSN, .len = 3 },
		{ .op = OP_EXIT, .code = SVM_EXIT_HLT },
		{ .op = OP_END },
	};

	rig_state(0)->events.interrupt_shadow = 1;
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	rig_window(true);
	struct hc_exit exit = rig_run_script(0, steps);

	assert_int_equal(exit.reason, HC_EXIT_WINDOW);
	assert_int_equal(exit.pc, 0x1003);
	assert_false(rig_state(0)->rflags & X86_FLAG_TF);
	assert_int_equal(rig_inject(&rig_nmi), 0);
}

/* The window opened together with another exit: its handler is followed by a look at events. */
static void test_nmi_window_with_an_exit(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_IRET },
		{ .op = OP_END },
	};
	static const struct model_step exits[] = {
		{ .op = OP_EXIT, .code = SVM_EXIT_HLT },
		{ .op = OP_END },
	};

	assert_int_equal(rig_inject(&rig_nmi), 0);
	assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
	rig_window(true);
	/* The IRET is emulated: RIP is elsewhere when the guest goes on. */
	rig_state(0)->rip = 0x1000;
	assert_int_equal(rig_run_script(0, exits).reason, HC_EXIT_HALT);
	assert_true(rig_vcpus[0].vcpu.requests & HC_REQ_EVENT);
	assert_int_equal(rig_inject(&rig_nmi), 0);
}

/* What the state says about masking counts, though no entry has taken it yet. */
static void test_nmi_window_of_a_changed_state(void **state)
{
	rig_run(0);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
	rig_state(0)->events.nmi_masked = 1;
	hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_EVENT);
	rig_window(true);
	assert_int_equal(rig_run_script(0, handler).reason, HC_EXIT_HALT);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
}

/* Masking survives set_state() on another backend's behalf. */
static void test_masking_is_state(void **state)
{
	struct hc_vcpu *vcpu = &rig_vcpus[0].vcpu;

	rig_state(0)->events.nmi_masked = 1;
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	rig_run(0);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	hc_vcpu_need(vcpu, X86_G_EVENT);
	rig_state(0)->events.nmi_masked = 0;
	hc_vcpu_dirty(vcpu, X86_G_EVENT);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	/* An event that is not yet delivered is part of the state. */
	hc_vcpu_need(vcpu, X86_G_EVENT);
	assert_int_equal(rig_state(0)->events.reinject.valid, 1);
	assert_int_equal(rig_state(0)->events.reinject.type, X86_EVENT_NMI);
}

/* By EVENTINJ: virtual interrupts are the window's. */
static void test_window_behind_eventinj(void **state)
{
	model_features.repeats_intr = false;
	test_window_behind_an_interrupt(state);
}

/* An interrupt of the machine ends the guest before the window is noticed, though it is open. The
 * next entry would find Bochs' CPU deaf for it: the interrupt is delivered there. */
static void test_window_and_an_interrupt_of_the_machine(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_STI },       { .op = OP_INSN, .len = 1 },
		{ .op = OP_INTERRUPT }, { .op = OP_INSN, .len = 1 },
		{ .op = OP_END },
	};
	static const struct model_step ends[] = { { .op = OP_END } };

	rig_window(false);
	assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
	if (!model_features.bochs) {
		assert_int_equal(rig_run_script(0, ends).reason, HC_EXIT_WINDOW);
		return;
	}
	assert_true(rig_vcpus[0].vcpu.requests & HC_REQ_EVENT);
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run_script(0, ends);
	rig_assert_delivered(1, 0x31);
	/* The handler ran with IF clear: nothing waited, nothing is left. */
	rig_vcpus[0].vcpu.requests = 0;
	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_run_script(0, ends).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_vcpus[0].vcpu.requests, 0);
}

/* While IF is clear the window waits, through as many exits as there are. */
static void test_window_through_exits(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_INTERRUPT }, { .op = OP_EXIT, .code = SVM_EXIT_CPUID, .len = 2 },
		{ .op = OP_STI },       { .op = OP_INSN, .len = 1 },
		{ .op = OP_END },
	};

	rig_window(false);
	assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_run(0).reason, HC_EXIT_CPUID);
	assert_int_equal(rig_vcpus[0].vcpu.requests, 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
}

/* Left in the shadow of its STI, the guest comes to its HLT, or to the end of another instruction,
 * before the interrupt: also where VMRUN forgets the shadow, and though it is left there again. */
static void window_in_a_shadow(bool halts, unsigned exits)
{
	static const struct model_step sti[] = { { .op = OP_STI }, { .op = OP_INTERRUPT } };
	static const struct model_step again[] = { { .op = OP_INTERRUPT } };
	static const struct model_step hlt[] = {
		{ .op = OP_EXIT, .code = SVM_EXIT_HLT, .len = 1 }
	};
	static const struct model_step other[] = { { .op = OP_INSN, .len = 1 }, { .op = OP_END } };
	uint64_t rip;

	rig_state(0)->rflags &= ~(uint64_t)X86_FLAG_IF;
	rig_window(false);
	assert_int_equal(rig_run_script(0, sti).reason, HC_EXIT_INTERRUPT);
	rip = rig_state(0)->rip;
	for (unsigned i = 0; i < exits; i++) {
		assert_int_equal(rig_inject(&rig_intr), -EAGAIN);
		rig_window(false);
		assert_int_equal(rig_run_script(0, again).reason, HC_EXIT_INTERRUPT);
	}
	assert_int_equal(rig_inject(&rig_intr), -EAGAIN);
	rig_window(false);
	rig_vcpus[0].vcpu.requests = 0;
	if (halts) {
		assert_int_equal(rig_run_script(0, hlt).reason, HC_EXIT_HALT);
		rig_state(0)->rip++;
	} else {
		struct hc_exit exit = rig_run_script(0, other);

		assert_true(exit.reason == HC_EXIT_WINDOW ||
		            rig_vcpus[0].vcpu.requests & HC_REQ_EVENT);
		assert_int_equal(rig_state(0)->rip, rip + 1);
	}
	assert_false(rig_state(0)->rflags & X86_FLAG_TF);
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run_script(0, (const struct model_step[]){ { .op = OP_END } });
	rig_assert_delivered(1, 0x31);
}

static void test_window_in_a_shadow(void **state)
{
	window_in_a_shadow(true, 0);
}

static void test_window_left_in_a_shadow(void **state)
{
	window_in_a_shadow(true, 2);
}

static void test_window_behind_a_shadow(void **state)
{
	window_in_a_shadow(false, 1);
}

static int start(void **state)
{
	return x86_backend_start(*state);
}

int main(void)
{
#define T(f)                                                                                       \
	{ #f " (plain)", f, start, x86_backend_stop, (void *)(uintptr_t)&rig_plain },              \
	{                                                                                          \
#f " (full)", f, start, x86_backend_stop, (void *)(uintptr_t)&rig_full             \
	}
#define B(f)                                                                                       \
	{                                                                                          \
#f " (Bochs)", f, start, x86_backend_stop, (void *)(uintptr_t)&rig_bochs           \
	}
	const struct CMUnitTest tests[] = {
		T(test_exception),
		T(test_what_is_no_event),
		T(test_interrupt_needs_if),
		T(test_sti_hlt),
		T(test_shadow_ends_with_its_instruction),
		T(test_window),
		T(test_window_ignores_tpr),
		T(test_interrupt_put_off),
		T(test_window_after_an_interrupt),
		T(test_interrupt_that_faults),
		T(test_window_behind_eventinj),
		T(test_window_overtaken),
		T(test_window_in_a_shadow),
		T(test_window_left_in_a_shadow),
		T(test_window_behind_a_shadow),
		T(test_delivery_interrupted),
		T(test_interrupt_waits_for_the_shadow),
		T(test_nmi_masks_until_iret),
		T(test_nmi_window),
		T(test_nmi_window_in_a_stepping_guest),
		T(test_nmi_window_after_the_shadow),
		T(test_nmi_window_with_an_exit),
		T(test_nmi_window_of_a_changed_state),
		T(test_masking_is_state),
		T(test_window_and_an_interrupt_of_the_machine),
		T(test_window_through_exits),
		B(test_exception),
		B(test_interrupt_needs_if),
		B(test_sti_hlt),
		B(test_window_and_an_interrupt_of_the_machine),
		B(test_window_through_exits),
		B(test_delivery_interrupted),
		B(test_nmi_masks_until_iret),
		B(test_nmi_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
