/* SPDX-License-Identifier: BSD-2-Clause */
/* Injection, windows, NMI blocking, and what exits leave undone of an event's delivery. */
#include <string.h>

#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

static const struct x86_event db = { 1, X86_EVENT_EXCEPTION, X86_VEC_DB, 0, 0 };

static struct hc_vcpu *const vcpu = &rig_vcpus[0].vcpu;

#define INFO(type, vector) (uint32_t)(VMX_INFO_V | (uint32_t)(type) << 8 | (vector))

static uint64_t blocking(void)
{
	return rig_get(0, VMCS_GUEST_INTERRUPTIBILITY);
}

static struct x86_events *events(void)
{
	hc_vcpu_need(vcpu, X86_G_EVENT);
	return &rig_state(0)->events;
}

/* --- Encoding --- */

static void test_encoding(void **state)
{
	for (unsigned type = 0; type < 256; type++) {
		for (unsigned vector = 0; vector < 256; vector++) {
			const struct x86_event e = { 1, (uint8_t)type, (uint8_t)vector,
				                     vector == X86_VEC_GP && type == 3,
				                     vector == X86_VEC_GP && type == 3 ? 7 : 0 };
			uint32_t info = vmx_event_encode(&e);
			struct x86_event back;

			if (!info)
				continue;
			assert_true(type == X86_EVENT_INTR || vector < 32);
			vmx_event_decode(info, e.error_code, &back);
			assert_int_equal(back.type, type);
			assert_int_equal(back.vector, vector);
			assert_int_equal(back.error_code, e.error_code);
			assert_true(!e.has_error_code || back.has_error_code);
		}
	}
}

static void test_what_is_no_event(void **state)
{
	const struct x86_event bad[] = {
		{ 0, X86_EVENT_INTR, 0x31, 0, 0 },
		{ 1, 1, 0x31, 0, 0 },
		{ 1, 7, 0x31, 0, 0 },
		{ 1, 0xff, 0x31, 0, 0 },
		{ 1, X86_EVENT_SOFT_INT, 3, 0, 0 },
		{ 1, X86_EVENT_NMI, 3, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, 2, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, 32, 0, 0 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++)
		assert_int_equal(rig_inject(&bad[i]), -EINVAL);
	rig_run(0);
	assert_int_equal(model_delivered, 0);
}

/* --- Exceptions --- */

/* VM entry insists on an error code for those that have one, in protected mode, and on none else.
 */
static void test_all_exceptions(void **state)
{
	for (unsigned i = 0; i < 4 * 32; i++) {
		uint8_t vector = (uint8_t)(i % 32);
		bool has = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
		bool real = i & 32, given = i & 64;
		const struct x86_event e = { 1, X86_EVENT_EXCEPTION, vector, given, given ? 9 : 0 };

		if (vector == X86_VEC_NMI)
			continue;
		if (real)
			rig_real_mode(rig_state(0));
		else
			rig_long_mode(rig_state(0));
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		model_clear_deliveries();
		model_script(rig_halts);
		assert_int_equal(rig_inject(&e), 0);
		assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
		rig_assert_delivered(1, vector);
		assert_int_equal(model_deliveries[0].has_error_code, has && !real);
		assert_int_equal(model_deliveries[0].error_code, has && !real && given ? 9 : 0);
	}
}

/* The mode that counts is the one that the next entry finds. */
static void test_exception_after_a_mode_change(void **state)
{
	rig_run(0);
	rig_real_mode(rig_state(0));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(rig_inject(&rig_gp), 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
	assert_false(model_deliveries[0].has_error_code);
	rig_long_mode(rig_state(0));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(rig_inject(&rig_gp), 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
	assert_true(model_deliveries[1].has_error_code);
}

/* --- Interrupts --- */

/* The kind of shadow is kept while the guest is: only MOV SS holds debug exceptions back. */
static void test_both_shadows(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_STI },    { .op = OP_HLT }, { .op = OP_INSN, .len = 1 },
		{ .op = OP_MOV_SS }, { .op = OP_HLT }, { .op = OP_END },
	};

	rig_run_script(0, steps);
	assert_int_equal(blocking(), VMX_BLOCKING_STI);
	rig_put(0);
	rig_load(0, 1);
	hc_vcpu_dirty(vcpu, X86_G_EVENT);
	vmx_backend.set_state(vcpu, X86_G_EVENT);
	assert_int_equal(blocking(), VMX_BLOCKING_STI);
	rig_run(0);
	assert_int_equal(blocking(), VMX_BLOCKING_MOV_SS);
	assert_int_equal(events()->interrupt_shadow, 1);
	vmx_backend.set_state(vcpu, X86_G_EVENT);
	assert_int_equal(blocking(), VMX_BLOCKING_MOV_SS);
}

/* --- Delivery that an exit interrupts: the event comes again, first of all --- */

/* An NMI blocks the next from the beginning of its delivery. */
static void block_nmis(uint64_t *gpr)
{
	model_set(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKING_NMI);
}

static void let_be(uint64_t *gpr)
{
}

static void interrupted(uint32_t reason, uint32_t idt_info, uint32_t error, bool again)
{
	const struct model_step steps[] = {
		{ .op = OP_CALL,
		  .fn = VMX_INFO_TYPE(idt_info) == VMX_EVENT_NMI ? block_nmis : let_be },
		{ .op = OP_EXIT,
		  .reason = reason,
		  .physical = 0x5000,
		  .idt_info = idt_info,
		  .idt_error = error },
		{ .op = OP_END },
	};
	uint8_t vector = VMX_INFO_VECTOR(idt_info);

	rig_long_mode(rig_state(0));
	rig_state(0)->rflags |= X86_FLAG_IF;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	model_clear_deliveries();
	rig_run_script(0, steps);
	assert_int_equal(events()->reinject.valid, again);
	if (again)
		assert_int_equal(rig_inject(&rig_intr), -EBUSY);
	rig_put(0);
	rig_load(0, (unsigned)error % TEST_CPUS);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_delivered, again);
	if (again) {
		rig_assert_delivered(1, vector);
		assert_int_equal(model_deliveries[0].rip, 0x1000);
		assert_int_equal(model_deliveries[0].error_code,
		                 idt_info & VMX_INFO_ERROR ? error : 0);
	}
	rig_run(0);
	assert_int_equal(model_delivered, again);
}

static void test_delivery_interrupted(void **state)
{
	static const uint32_t reasons[] = {
		VMX_REASON_TASK_SWITCH,          VMX_REASON_APIC_ACCESS, VMX_REASON_EPT_VIOLATION,
		VMX_REASON_EPT_MISCONFIGURATION, VMX_REASON_PML_FULL,    VMX_REASON_SPP
	};
	const uint32_t error = (uint32_t)VMX_INFO_ERROR;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(reasons); i++) {
		uint32_t r = reasons[i];

		interrupted(r, INFO(VMX_EVENT_INTR, 0x31), 1, true);
		interrupted(r, INFO(VMX_EVENT_EXCEPTION, X86_VEC_PF) | error, 2, true);
		interrupted(r, INFO(VMX_EVENT_EXCEPTION, X86_VEC_GP) | error, 0x1f8, true);
		interrupted(r, INFO(VMX_EVENT_EXCEPTION, X86_VEC_UD), 3, true);
		interrupted(r, INFO(VMX_EVENT_NMI, X86_VEC_NMI), 0, true);
		/* Bit 12 means nothing here. */
		interrupted(r, INFO(VMX_EVENT_INTR, 0x32) | (uint32_t)VMX_INFO_NMI_UNBLOCK, 1,
		            true);
		/* The instructions are executed again. */
		interrupted(r, INFO(VMX_EVENT_SOFT_EXCEPTION, X86_VEC_BP), 0, false);
		interrupted(r, INFO(VMX_EVENT_SOFT_EXCEPTION, X86_VEC_OF), 0, false);
		interrupted(r, INFO(VMX_EVENT_PRIVILEGED, X86_VEC_DB), 0, false);
		interrupted(r, INFO(VMX_EVENT_SOFT_INT, 0x80), 0, false);
		interrupted(r, 0x31, 0, false);
	}
}

/* A #DB in the middle of a #PF's delivery, in real mode. */
static void test_delivery_interrupted_by_an_exception(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_EXIT,
		  .intr_info = INFO(VMX_EVENT_EXCEPTION, X86_VEC_DB),
		  .idt_info = INFO(VMX_EVENT_EXCEPTION, X86_VEC_GP) },
		{ .op = OP_END },
	};

	rig_real_mode(rig_state(0));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	struct hc_exit exit = rig_run_script(0, steps);

	assert_int_equal(exit.reason, HC_EXIT_EXCEPTION);
	assert_int_equal(events()->reinject.vector, X86_VEC_GP);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	rig_assert_delivered(1, X86_VEC_GP);
	assert_false(model_deliveries[0].has_error_code);
}

/* Nor are they delivered twice when another backend left them: they are executed again. */
static void test_software_events_of_others(void **state)
{
	const struct x86_event soft[] = {
		{ 1, X86_EVENT_EXCEPTION, X86_VEC_BP, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, X86_VEC_OF, 0, 0 },
		{ 1, X86_EVENT_SOFT_INT, 0x80, 0, 0 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(soft); i++) {
		rig_state(0)->events.reinject = soft[i];
		hc_vcpu_dirty(vcpu, X86_G_EVENT);
		assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
		assert_int_equal(model_delivered, 0);
	}
}

/* What the exception handler of arch/x86_64 does: the event goes back to where it came from. */
static void test_reinjection_is_taken_back(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_EXIT,
		  .reason = VMX_REASON_EPT_VIOLATION,
		  .idt_info = INFO(VMX_EVENT_NMI, X86_VEC_NMI) },
		{ .op = OP_END },
	};

	rig_run_script(0, steps);
	assert_int_equal(events()->reinject.type, X86_EVENT_NMI);
	assert_int_equal(events()->nmi_masked, 1);
	events()->reinject.valid = 0;
	events()->nmi_masked = 0;
	hc_vcpu_dirty(vcpu, X86_G_EVENT);
	assert_int_equal(rig_inject(&rig_gp), 0);
	rig_run(0);
	rig_assert_delivered(1, X86_VEC_GP);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run(0);
	rig_assert_delivered(2, X86_VEC_NMI);
}

/* --- NMIs --- */

/* In the NMI handler; then the rest. */
static const struct model_step handler[] = {
	{ .op = OP_INSN, .len = 2 },
	{ .op = OP_HLT },
	{ .op = OP_IRET },
	{ .op = OP_HLT },
	{ .op = OP_HLT },
	{ .op = OP_END },
};

static void test_nmi_blocks_until_iret(void **state)
{
	assert_int_equal(rig_inject(&rig_nmi), 0);
	assert_int_equal(events()->nmi_masked, 1);
	assert_int_equal(rig_run_script(0, handler).reason, HC_EXIT_HALT);
	rig_assert_delivered(1, X86_VEC_NMI);
	assert_int_equal(model_deliveries[0].type, VMX_EVENT_NMI);
	assert_int_equal(events()->nmi_masked, 1);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
	assert_int_equal(rig_state(0)->rip, 0x1000);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run(0);
	rig_assert_delivered(2, X86_VEC_NMI);
	assert_int_equal(model_deliveries[1].rip, 0x1000);
}

/* Blocking goes along to another CPU, and is there when the state is all there is. */
static void test_nmi_blocking_is_state(void **state)
{
	rig_state(0)->events.nmi_masked = 1;
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	rig_run(0);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	rig_put(0);
	rig_load(0, 3);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	assert_int_equal(events()->nmi_masked, 1);
	events()->nmi_masked = 0;
	hc_vcpu_dirty(vcpu, X86_G_EVENT);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	/* An event that is not yet delivered is part of the state. */
	assert_int_equal(events()->reinject.valid, 1);
	assert_int_equal(events()->reinject.type, X86_EVENT_NMI);
}

static void test_nmi_window(void **state)
{
	assert_int_equal(rig_inject(&rig_nmi), 0);
	rig_run_script(0, handler);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	rig_window(true);
	struct hc_exit exit = rig_run(0);

	/* At the first instruction after IRET. */
	assert_int_equal(exit.reason, HC_EXIT_WINDOW);
	assert_int_equal(exit.pc, 0x1000);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
	rig_assert_delivered(2, X86_VEC_NMI);
	/* Closed. */
	rig_state(0)->events = (struct x86_events){ 0 };
	hc_vcpu_dirty(vcpu, X86_G_EVENT);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
}

/* In either shadow: after one instruction, and not before. */
static void test_nmi_window_after_the_shadow(void **state)
{
	static const struct model_step shadows[][3] = {
		{ { .op = OP_STI }, { .op = OP_HLT }, { .op = OP_END } },
		{ { .op = OP_MOV_SS }, { .op = OP_HLT }, { .op = OP_END } },
	};
	static const struct model_step steps[] = { { .op = OP_INSN, .len = 3 },
		                                   { .op = OP_HLT },
		                                   { .op = OP_END } };

	for (unsigned i = 0; i < 2; i++) {
		rig_long_mode(rig_state(0));
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		uint64_t rip = rig_run_script(0, shadows[i]).pc;

		assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
		rig_window(true);
		struct hc_exit exit = rig_run_script(0, steps);

		assert_int_equal(exit.reason, HC_EXIT_WINDOW);
		assert_int_equal(exit.pc, rip + 3);
		assert_int_equal(rig_inject(&rig_nmi), 0);
		rig_run_script(0, handler);
	}
}

/* Some CPUs would open it at once, where they refuse the NMI: it is not asked for there. */
static void test_nmi_window_behind_sti(void **state)
{
	rig_run(0);
	events()->interrupt_shadow = 1;
	rig_state(0)->rflags |= X86_FLAG_IF;
	hc_vcpu_dirty(vcpu, X86_G_EVENT | X86_G_CORE);
	rig_window(true);
	assert_int_equal(blocking(), VMX_BLOCKING_STI);
	assert_int_equal(rig_get(0, VMCS_PRIMARY_CONTROLS) &
	                         (VMX_CPU_NMI_WINDOW | VMX_CPU_INTR_WINDOW),
	                 VMX_CPU_INTR_WINDOW);
}

/* What the state says about blocking counts, though no entry has taken it yet. */
static void test_nmi_window_of_a_changed_state(void **state)
{
	rig_run(0);
	events()->nmi_masked = 1;
	hc_vcpu_dirty(vcpu, X86_G_EVENT);
	rig_window(true);
	assert_int_equal(rig_run_script(0, handler).reason, HC_EXIT_HALT);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
}

/* Both windows, and each on its own. */
static void test_windows_together(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_IRET }, { .op = OP_STI }, { .op = OP_INSN, .len = 1 }, { .op = OP_END }
	};

	rig_state(0)->events.nmi_masked = 1;
	rig_window(true);
	rig_window(false);
	struct hc_exit exit = rig_run_script(0, steps);

	assert_int_equal(exit.reason, HC_EXIT_WINDOW);
	assert_false(blocking() & VMX_BLOCKING_NMI);
	assert_int_equal(rig_inject(&rig_nmi), 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
	rig_assert_delivered(1, X86_VEC_NMI);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
}

/* IRET unblocks NMIs before it does the rest; if that exits, it is executed again (28.2.3). */
static void iret_exits(struct model_step step, bool blocked)
{
	const struct model_step steps[] = { step, { .op = OP_END } };

	rig_long_mode(rig_state(0));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	rig_run_script(0, steps);
	assert_int_equal(events()->nmi_masked, blocked);
	assert_int_equal((blocking() & VMX_BLOCKING_NMI) != 0, blocked);
	assert_int_equal(rig_inject(&rig_nmi), blocked ? -EAGAIN : 0);
}

static void test_iret_exits(void **state)
{
	const uint32_t unblock = (uint32_t)VMX_INFO_NMI_UNBLOCK;
	const uint32_t ac = INFO(VMX_EVENT_EXCEPTION, X86_VEC_AC) | (uint32_t)VMX_INFO_ERROR;
	const uint32_t df = INFO(VMX_EVENT_EXCEPTION, X86_VEC_DF) | (uint32_t)VMX_INFO_ERROR;
	const uint32_t pf = INFO(VMX_EVENT_EXCEPTION, X86_VEC_UD);

	iret_exits((struct model_step){ .op = OP_EXIT, .intr_info = ac | unblock }, true);
	iret_exits((struct model_step){ .op = OP_EXIT, .intr_info = ac }, false);
	iret_exits((struct model_step){ .op = OP_EXIT, .intr_info = df | unblock }, false);
	iret_exits((struct model_step){ .op = OP_EXIT,
	                                .reason = VMX_REASON_EPT_VIOLATION,
	                                .qualification = VMX_EPT_NMI_UNBLOCK },
	           true);
	iret_exits((struct model_step){ .op = OP_EXIT, .reason = VMX_REASON_EPT_VIOLATION }, false);
	/* On the way to a handler, it means nothing; the event is what is injected next. */
	const struct model_step delivering[] = {
		{ .op = OP_EXIT,
		  .reason = VMX_REASON_EPT_VIOLATION,
		  .idt_info = pf,
		  .qualification = VMX_EPT_NMI_UNBLOCK },
		{ .op = OP_END },
	};

	rig_long_mode(rig_state(0));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	rig_run_script(0, delivering);
	assert_int_equal(events()->nmi_masked, 0);
}

/* --- Debug exceptions --- */

static void step_with(uint64_t debugctl)
{
	rig_long_mode(rig_state(0));
	rig_state(0)->rflags |= X86_FLAG_TF | X86_FLAG_IF;
	rig_state(0)->msr_debugctl = debugctl;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	model_clear_deliveries();
}

/* MOV SS under TF: its trap waits for the next instruction, which exits and is emulated; then there
 * is one #DB. */
static void test_step_over_mov_ss(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_MOV_SS }, { .op = OP_HLT }, { .op = OP_INSN, .len = 1 }, { .op = OP_END }
	};

	step_with(0);
	struct hc_exit exit = rig_run_script(0, steps);

	assert_int_equal(exit.reason, HC_EXIT_HALT);
	assert_int_equal(blocking(), VMX_BLOCKING_MOV_SS);
	/* As x86_skip() does it. */
	rig_state(0)->rip = exit.next_pc;
	hc_vcpu_need(vcpu, X86_G_DR);
	rig_state(0)->dr6 |= HC_BIT(14);
	hc_vcpu_dirty(vcpu, X86_G_DR);
	assert_int_equal(rig_inject(&db), 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	rig_assert_delivered(1, X86_VEC_DB);
	assert_int_equal(model_deliveries[0].rip, exit.next_pc);
}

/* A breakpoint that MOV SS met is told of together with the trap of what was emulated after it. */
static void test_breakpoint_at_mov_ss(void **state)
{
	static const struct model_step steps[] = { { .op = OP_MOV_SS },
		                                   { .op = OP_HLT },
		                                   { .op = OP_END } };

	step_with(0);
	struct hc_exit exit = rig_run_script(0, steps);

	model_this()->dr6 = 0xffff2ff0;
	rig_set(0, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
	        VMX_PENDING_ENABLED | VMX_PENDING_BS | 1u << 2);
	rig_state(0)->rip = exit.next_pc;
	assert_int_equal(rig_inject(&db), 0);
	rig_run(0);
	rig_assert_delivered(1, X86_VEC_DB);
	hc_vcpu_need(vcpu, X86_G_DR);
	assert_int_equal(rig_state(0)->dr6, 0xffff2ff0 | HC_BIT(14) | 1u << 2);
	rig_run(0);
	assert_int_equal(model_delivered, 1);
}

/* After INIT, or with a state from elsewhere, nothing of what was pending is left. */
static void test_new_state_has_nothing_pending(void **state)
{
	rig_run(0);
	rig_set(0, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, VMX_PENDING_ENABLED | 1);
	rig_long_mode(rig_state(0));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(rig_run(0).reason, HC_EXIT_HALT);
}

/* A shadow, TF and BTF in all combinations, each as the state of another backend; with and without
 * an exception that is delivered first. */
static void test_pending_step_is_as_entry_wants_it(void **state)
{
	static const struct model_step exits[] = {
		{ .op = OP_HLT },
		{ .op = OP_EXIT, .intr_info = INFO(VMX_EVENT_EXCEPTION, X86_VEC_DB) },
		{ .op = OP_END },
	};

	for (unsigned i = 0; i < 32; i++) {
		step_with(i & 1 ? 2 : 0);
		if (i & 2)
			rig_state(0)->rflags &= ~(uint64_t)X86_FLAG_TF;
		if (i & 4)
			rig_state(0)->rflags &= ~(uint64_t)X86_FLAG_IF;
		rig_state(0)->events.interrupt_shadow = i >> 3 & 1;
		if (i & 16)
			assert_int_equal(rig_inject(&rig_gp), 0);
		assert_int_equal(rig_run_script(0, exits).reason, HC_EXIT_HALT);
		/* The guest's flags are changed, and it goes on in the same place. */
		rig_state(0)->rflags ^= X86_FLAG_TF;
		hc_vcpu_dirty(vcpu, X86_G_CORE);
		vmx_backend.set_state(vcpu, X86_G_CORE);
		/* The script's #DB, and maybe one that was pending before it. */
		unsigned count = 0;
		struct hc_exit exit = rig_run(0);

		for (; exit.reason == HC_EXIT_EXCEPTION; count++) {
			assert_int_equal(rig_inject(&db), 0);
			exit = rig_run(0);
		}
		assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
		assert_in_range(count, 1, 2);
	}
}

static int start(void **state)
{
	return x86_backend_start(&rig_full);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, x86_backend_stop)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoding),
		T(test_what_is_no_event),
		T(test_exception),
		T(test_all_exceptions),
		T(test_exception_after_a_mode_change),
		T(test_interrupt_needs_if),
		T(test_interrupt_waits_for_the_shadow),
		T(test_sti_hlt),
		T(test_shadow_ends_with_its_instruction),
		T(test_both_shadows),
		T(test_window),
		T(test_window_overtaken),
		T(test_window_behind_an_interrupt),
		T(test_delivery_interrupted),
		T(test_delivery_interrupted_by_an_exception),
		T(test_software_events_of_others),
		T(test_reinjection_is_taken_back),
		T(test_nmi_blocks_until_iret),
		T(test_nmi_blocking_is_state),
		T(test_nmi_window),
		T(test_nmi_window_after_the_shadow),
		T(test_nmi_window_behind_sti),
		T(test_nmi_window_of_a_changed_state),
		T(test_windows_together),
		T(test_iret_exits),
		T(test_step_over_mov_ss),
		T(test_breakpoint_at_mov_ss),
		T(test_new_state_has_nothing_pending),
		T(test_pending_step_is_as_entry_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
