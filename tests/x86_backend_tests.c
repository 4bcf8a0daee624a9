/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/x86_backend_tests.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/platform.h"
#include "tests/unit.h"

const struct x86_event rig_nmi = { 1, X86_EVENT_NMI, X86_VEC_NMI, 0, 0 };
const struct x86_event rig_intr = { 1, X86_EVENT_INTR, 0x31, 0, 0 };
const struct x86_event rig_gp = { 1, X86_EVENT_EXCEPTION, X86_VEC_GP, 1, 0x18 };

const struct model_step rig_halts[] = {
	{ .op = OP_HLT }, { .op = OP_HLT }, { .op = OP_HLT }, { .op = OP_END }
};
const struct model_step rig_one_exit[] = { { .op = OP_HLT }, { .op = OP_END } };

int rig_inject(const struct x86_event *event)
{
	return rig_backend->inject(&rig_vcpus[0].vcpu, event);
}

void rig_window(bool nmi)
{
	rig_backend->request_window(&rig_vcpus[0].vcpu, nmi);
}

void rig_assert_delivered(unsigned count, uint8_t last_vector)
{
	assert_int_equal(model_delivered, count);
	assert_int_equal(model_deliveries[count - 1].vector, last_vector);
}

int x86_backend_start(const struct model_features *features)
{
	rig_start(features);
	rig_insn_len = 1;
	model_script(rig_halts);
	return 0;
}

int x86_backend_stop(void **state)
{
	rig_stop();
	return 0;
}

void rig_run_on(unsigned vcpu, unsigned cpu)
{
	rig_load(vcpu, cpu);
	rig_run_script(vcpu, rig_one_exit);
	rig_put(vcpu);
	rig_no_complaint();
}

/* --- Probing and creation --- */

/* A CPU that runs the test guest wrongly. */
static void no_work(uint64_t *gpr)
{
}

void test_probe_looks_at_results(void **state)
{
	static const struct model_step wrong[] = {
		{ .op = OP_CALL, .fn = no_work },
		{ .op = OP_HLT },
		{ .op = OP_END },
	};
	static const struct model_step unexpected[] = { { .op = OP_TRIPLE_FAULT },
		                                        { .op = OP_END } };
	static const struct model_step interrupted[] = { { .op = OP_END } };
	static const struct model_step *const scripts[] = { wrong, unexpected, interrupted };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(scripts); i++) {
		struct hc_backend_info info = { 0 };

		test_platform_init(1);
		model_reset(&rig_full);
		model_script(scripts[i]);
		assert_int_equal(rig_backend->probe(&info), -EOPNOTSUPP);
		assert_non_null(strstr(info.reason, "test guest"));
		assert_int_equal(test_allocated, 0);
		assert_true(rig_is_off());
		rig_no_complaint();
	}
}

void test_probe_without_memory(void **state)
{
	unsigned n = 0;
	int rc;

	do {
		struct hc_backend_info info = { 0 };

		test_platform_init(1);
		model_reset(&rig_full);
		test_fail_alloc = ++n;
		rc = rig_backend->probe(&info);
		assert_int_equal(test_allocated, 0);
		assert_true(rig_is_off());
		rig_no_complaint();
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_non_null(strstr(info.reason, "no memory"));
		}
	} while (rc);
	assert_in_range(n, 8, 20);
	test_fail_alloc = 0;
}

void test_create_without_memory(void **state)
{
	struct hc_vm vm = { .name = "poor" };
	static struct x86_vcpu x;
	struct hc_vcpu *vcpu = &x.vcpu;
	unsigned n = 0;

	vcpu->vm = &vm;
	rig_start(&rig_plain);
	uint64_t before = test_allocated;

	while (test_fail_alloc = ++n, rig_backend->vm_create(&vm)) {
		assert_int_equal(test_fail_alloc, 0);
		assert_int_equal(test_allocated, before);
	}
	assert_int_equal(n, 4);
	uint64_t with_vm = test_allocated;

	for (n = 1; test_fail_alloc = n, rig_backend->vcpu_create(vcpu); n++) {
		assert_int_equal(test_fail_alloc, 0);
		assert_int_equal(test_allocated, with_vm);
	}
	assert_in_range(n, 3, 4);
	test_fail_alloc = 0;
	rig_backend->vcpu_destroy(vcpu);
	rig_backend->vm_destroy(&vm);
	assert_int_equal(test_allocated, before);
	rig_stop();
}

/* --- Flushes --- */

static void twice(void (*test)(const struct model_features *features))
{
	test(&rig_plain);
	test(&rig_full);
}

static void stay(const struct model_features *features)
{
	rig_start(features);
	rig_run_script(0, rig_one_exit);
	unsigned before = model_flushes();

	for (unsigned i = 0; i < 100; i++)
		rig_run_script(0, rig_one_exit);
	assert_int_equal(model_flushes(), before);
	rig_stop();
}

/* Staying on one CPU with nothing changed, nothing is flushed. */
void test_no_needless_flush(void **state)
{
	twice(stay);
}

static void take_turns(const struct model_features *features)
{
	rig_start(features);
	rig_put(0);
	for (unsigned v = 0; v < RIG_VCPUS; v++)
		rig_run_on(v, 0);
	unsigned before = model_flushes();

	for (unsigned i = 0; i < 100; i++)
		rig_run_on(i % RIG_VCPUS, 0);
	assert_int_equal(model_flushes(), before);
	rig_stop();
}

/* 4 vCPUs by turns on a CPU: no flush either, as long as there are ASIDs or VPIDs. */
void test_tags_are_kept(void **state)
{
	twice(take_turns);
}

/* --- invalidate() against a vCPU that is in the guest --- */

static _Atomic bool in_guest, invalidated;

static unsigned kicks_of(unsigned cpu)
{
	return __atomic_load_n(&test_kicks[cpu], __ATOMIC_SEQ_CST);
}

/* The guest runs on until it is kicked; nobody may have been told that it left before. */
static void spin(uint64_t *gpr)
{
	in_guest = true;
	while (kicks_of(1) == 0)
		sched_yield();
	assert_false(invalidated);
}

static void *guest_thread(void *arg)
{
	static const struct model_step steps[] = {
		{ .op = OP_CALL, .fn = spin },
		{ .op = OP_END },
	};

	rig_load(1, 1);
	rig_run_script(1, steps);
	rig_run_script(1, rig_one_exit);
	rig_put(1);
	return NULL;
}

static void invalidate_while_running(const struct model_features *features)
{
	pthread_t thread;

	in_guest = invalidated = false;
	rig_start(features);
	assert_int_equal(pthread_create(&thread, NULL, guest_thread, NULL), 0);
	while (!in_guest)
		sched_yield();
	model_stage2_changed();
	rig_backend->invalidate(&rig_vm.vm, gpa_of(0x1000), HC_PAGE_SIZE);
	invalidated = true;
	assert_int_equal(kicks_of(1), 1);
	assert_int_equal(kicks_of(0), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	rig_stop();
}

void test_invalidate_waits(void **state)
{
	twice(invalidate_while_running);
}

/* Tables are built before the VM has a backend, and torn down after it lost it. */
void test_invalidate_without_vm(void **state)
{
	struct hc_vm vm = { .name = "early", .cpu_count = 1 };

	rig_backend->invalidate(&vm, gpa_of(0), HC_PAGE_SIZE);
}

/* --- Events --- */

void test_exception(void **state)
{
	assert_int_equal(rig_inject(&rig_gp), 0);
	assert_int_equal(rig_inject(&rig_gp), -EBUSY);
	assert_int_equal(rig_inject(&rig_nmi), -EBUSY);
	rig_run(0);
	rig_assert_delivered(1, X86_VEC_GP);
	assert_int_equal(model_deliveries[0].type, X86_EVENT_EXCEPTION);
	assert_int_equal(model_deliveries[0].error_code, 0x18);
	assert_true(model_deliveries[0].has_error_code);
	/* Once. */
	rig_run(0);
	assert_int_equal(model_delivered, 1);
	assert_int_equal(rig_inject(&rig_gp), 0);
}

void test_interrupt_needs_if(void **state)
{
	assert_int_equal(rig_inject(&rig_intr), -EAGAIN);
	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run(0);
	rig_assert_delivered(1, 0x31);
	assert_int_equal(model_deliveries[0].type, X86_EVENT_INTR);
}

void test_interrupt_waits_for_the_shadow(void **state)
{
	rig_state(0)->rflags |= X86_FLAG_IF;
	rig_state(0)->events.interrupt_shadow = 1;
	assert_int_equal(rig_inject(&rig_intr), -EAGAIN);
	assert_int_equal(rig_inject(&rig_nmi), -EAGAIN);
	/* The instruction in the shadow was emulated. */
	rig_state(0)->rip += 2;
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run(0);
	rig_assert_delivered(1, 0x31);
}

/* STI; HLT: the exit is in the shadow, and the handler moves past the HLT. */
void test_sti_hlt(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_STI },
		{ .op = OP_HLT },
		{ .op = OP_INSN, .len = 1 },
		{ .op = OP_END },
	};
	struct hc_exit exit = rig_run_script(0, steps);

	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
	assert_int_equal(rig_state(0)->events.interrupt_shadow, 1);
	assert_int_equal(rig_inject(&rig_intr), -EAGAIN);
	rig_state(0)->rip = exit.next_pc;
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run(0);
	rig_assert_delivered(1, 0x31);
	assert_int_equal(model_deliveries[0].rip, exit.next_pc);
}

/* The same, and it is fetched after that: whoever goes on with it elsewhere finds no shadow. */
void test_shadow_ends_with_its_instruction(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_STI },
		{ .op = OP_HLT },
		{ .op = OP_END },
	};

	rig_state(0)->rip = rig_run_script(0, steps).next_pc;
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_EVENT);
	assert_int_equal(rig_state(0)->events.interrupt_shadow, 0);
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_run(0);
	rig_assert_delivered(1, 0x31);
}

void test_window(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_INSN, .len = 3 },
		{ .op = OP_STI },
		{ .op = OP_INSN, .len = 2 },
		{ .op = OP_END },
	};

	assert_int_equal(rig_inject(&rig_intr), -EAGAIN);
	rig_window(false);
	struct hc_exit exit = rig_run_script(0, steps);

	/* After the instruction in the shadow of STI. */
	assert_int_equal(exit.reason, HC_EXIT_WINDOW);
	assert_int_equal(exit.pc, 0x1000 + 3 + 1 + 2);
	assert_int_equal(rig_inject(&rig_intr), 0);
	exit = rig_run(0);
	assert_int_equal(exit.reason, HC_EXIT_INTERRUPT);
	rig_assert_delivered(1, 0x31);
	/* Closed; and again. */
	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	rig_window(false);
	assert_int_equal(rig_run(0).reason, HC_EXIT_WINDOW);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
}

/* A second one waits for its window, which the first leaves alone. */
void test_window_behind_an_interrupt(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_INSN, .len = 2 },
		{ .op = OP_IRET },
		{ .op = OP_END },
	};

	rig_state(0)->rflags |= X86_FLAG_IF;
	assert_int_equal(rig_inject(&rig_intr), 0);
	rig_window(false);
	struct hc_exit exit = rig_run_script(0, steps);

	assert_int_equal(exit.reason, HC_EXIT_WINDOW);
	assert_int_equal(exit.pc, 0x1000);
	rig_assert_delivered(1, 0x31);
}

/* A window that nobody waits for any more: the interrupt went in at another exit. */
void test_window_overtaken(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_STI },       { .op = OP_INSN, .len = 1 },
		{ .op = OP_INTERRUPT }, { .op = OP_INSN, .len = 2 },
		{ .op = OP_IRET },      { .op = OP_END },
	};

	rig_window(false);
	assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(rig_inject(&rig_intr), 0);
	assert_int_equal(rig_run(0).reason, HC_EXIT_INTERRUPT);
	rig_assert_delivered(1, 0x31);
}

/* --- Exits --- */

struct hc_exit_io rig_random_io(uint64_t *seed)
{
	uint64_t r = test_random(seed);

	return (struct hc_exit_io){
		.port = (uint16_t)r,
		.width = (uint8_t)(1u << (r >> 16) % 3),
		.addr_size = (uint8_t)(2u << (r >> 20) % 3),
		.write = r >> 24 & 1,
		.watched = test_below(seed, 2) != 0,
		.string = r >> 25 & 1,
		.rep = r >> 26 & 1,
		.segment = (uint8_t)((r >> 28) % 6),
	};
}

/* --- State --- */

static void assert_dt(const struct x86_dtable *a, const struct x86_dtable *b)
{
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->limit, b->limit);
}

static void assert_event(const struct x86_event *a, const struct x86_event *b)
{
	assert_int_equal(a->valid, b->valid);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->vector, b->vector);
	assert_int_equal(a->has_error_code, b->has_error_code);
	assert_int_equal(a->error_code, b->error_code);
}

static void assert_cr(const struct x86_state *a, const struct x86_state *b)
{
	assert_int_equal(a->cr0, b->cr0);
	assert_int_equal(a->cr2, b->cr2);
	assert_int_equal(a->cr3, b->cr3);
	assert_int_equal(a->cr4, b->cr4);
	assert_int_equal(a->efer, b->efer);
	assert_int_equal(a->cpl, b->cpl);
	assert_int_equal(a->pdptes_loaded, b->pdptes_loaded);
	if (a->pdptes_loaded)
		assert_memory_equal(a->pdpte, b->pdpte, sizeof(a->pdpte));
}

static void assert_segments(const struct x86_state *a, const struct x86_state *b)
{
	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		assert_int_equal(a->seg[i].selector, b->seg[i].selector);
		assert_int_equal(a->seg[i].attr, b->seg[i].attr);
		assert_int_equal(a->seg[i].limit, b->seg[i].limit);
		assert_int_equal(a->seg[i].base, b->seg[i].base);
	}
}

void rig_assert_same_state(const struct x86_state *a, const struct x86_state *b)
{
	assert_memory_equal(a->gpr, b->gpr, sizeof(a->gpr));
	assert_int_equal(a->rip, b->rip);
	assert_int_equal(a->rflags, b->rflags);
	assert_cr(a, b);
	assert_segments(a, b);
	assert_dt(&a->gdtr, &b->gdtr);
	assert_dt(&a->idtr, &b->idtr);
	assert_memory_equal(a->dr, b->dr, sizeof(a->dr));
	assert_int_equal(a->dr6, b->dr6);
	assert_int_equal(a->dr7, b->dr7);
	assert_memory_equal(&a->msr_star, &b->msr_star,
	                    offsetof(struct x86_state, events) -
	                            offsetof(struct x86_state, msr_star));
	assert_event(&a->events.reinject, &b->events.reinject);
	assert_int_equal(a->events.interrupt_shadow, b->events.interrupt_shadow);
	assert_int_equal(a->events.nmi_masked, b->events.nmi_masked);
	assert_int_equal(a->xcr0, b->xcr0);
	assert_memory_equal(a->xsave, b->xsave, sizeof(a->xsave));
}

static void random_bytes(void *p, size_t n)
{
	static uint64_t seed = 0x5eed0f9a3c1d7b26;

	for (uint8_t *b = p; n; b++, n--)
		*b = (uint8_t)(test_random(&seed) >> 32);
}

/* A snapshot may hold anything; the model complains of what XRSTOR and XSETBV refuse. */
void test_hostile_fpu(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < 500; i++) {
		struct x86_state *st = rig_state(0);

		random_bytes(st->xsave, sizeof(st->xsave));
		random_bytes(&st->xcr0, sizeof(st->xcr0));
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_FPU);
		rig_run_script(0, rig_one_exit);
		rig_no_complaint();
		rig_put(0);
		random_bytes(st->xsave, sizeof(st->xsave));
		rig_load(0, 0);
		rig_no_complaint();
	}
	rig_stop();
}

/* --- The TSC --- */

static void assert_tsc(unsigned vcpu)
{
	static const struct model_step steps[] = { { .op = OP_RDTSC },
		                                   { .op = OP_HLT },
		                                   { .op = OP_END } };
	struct hc_exit exit = rig_run_script(vcpu, steps);

	assert_int_equal(exit.reason, HC_EXIT_HALT);
	assert_int_equal(model_tsc, x86_tsc_of(rig_state(vcpu), test_now_ns));
	rig_no_complaint();
}

/* vCPUs of different factors and of none, on CPUs in turns. What AMD-V's MSR can hold is what both
 * can. */
void test_tsc_factor(void **state)
{
	uint64_t seed = 15;

	rig_start(&rig_full);
	rig_put(0);
	for (unsigned i = 0; i < 300; i++) {
		unsigned vcpu = (unsigned)test_below(&seed, RIG_VCPUS);
		struct x86_state *st = rig_state(vcpu);

		test_now_ns += test_random(&seed) >> 20;
		rig_vcpus[vcpu].vcpu.valid = X86_G_ALL;
		if (i % 3 == 0) {
			st->tsc_ratio =
				i % 2 ? (test_random(&seed) >> 8 | 1u << 16) & ~0xffffull : 0;
			st->tsc_offset = test_random(&seed);
			hc_vcpu_dirty(&rig_vcpus[vcpu].vcpu, X86_G_ALL);
		}
		rig_load(vcpu, (unsigned)test_below(&seed, TEST_CPUS));
		assert_tsc(vcpu);
		test_now_ns += test_random(&seed) >> 40;
		assert_tsc(vcpu);
		rig_put(vcpu);
	}
	rig_stop();
}

void test_tsc_ratio(void **state)
{
	uint64_t ratio = 0;

	rig_start(&rig_plain); /* the test's counter has 1 GHz */
	assert_int_equal(rig_backend->tsc_ratio(2000000000, &ratio), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "this CPU cannot scale the TSC"));
	rig_stop();
	rig_start(&rig_full);
	assert_int_equal(rig_backend->tsc_ratio(2500000000, &ratio), 0);
	assert_int_equal(ratio, UINT64_C(5) << 47);
	assert_int_equal(rig_backend->tsc_ratio(UINT64_C(65536000000000), &ratio), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "from 1000000000 to 65536000000000 Hz"));
	rig_stop();
}
