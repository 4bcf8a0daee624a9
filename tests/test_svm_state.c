/* SPDX-License-Identifier: BSD-2-Clause */
/* State groups: what set_state() takes is what the guest gets and get_state() gives back. */
#include "tests/model/svm_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

#include <string.h>

#define ROUNDS 300

static uint64_t seed = 0x5eed;

static void random_bytes(void *p, size_t n)
{
	for (uint8_t *b = p; n; b++, n--)
		*b = (uint8_t)(test_random(&seed) >> 32);
}

static void random_segment(struct x86_segment *s)
{
	random_bytes(s, sizeof(*s));
	s->attr &= 0xfff;
}

/* Any bits where hardware takes any; where VMRUN checks, what it accepts. */
static void random_state(struct x86_state *st)
{
	uint64_t xcr0 = x86_fpu_caps.xsave ? x86_fpu_caps.xcr0 : 1;

	random_bytes(st, sizeof(*st));
	st->tsc_ratio = 0; /* not something that comes back */
	st->cr0 = (uint32_t)st->cr0 & ~(X86_CR0_NW | X86_CR0_PG);
	st->cr4 &= svm_caps.limits.cr4_valid;
	st->efer &= svm_caps.limits.efer_valid & ~X86_EFER_SVME;
	st->pdptes_loaded = 0;
	st->dr6 = (uint32_t)st->dr6;
	st->dr7 = (uint32_t)st->dr7;
	st->msr_pat = UINT64_C(0x0007010600050406);
	st->msr_tsc_aux = svm_caps.tsc_aux ? (uint32_t)st->msr_tsc_aux : 0;
	st->rflags &= ~(uint64_t)X86_FLAG_TF;
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		random_segment(&st->seg[i]);
	st->seg[X86_TR].attr |= X86_ATTR_TSS_BUSY;
	st->events = (struct x86_events){
		.reinject = { 1, X86_EVENT_EXCEPTION, X86_VEC_PF, 1, (uint32_t)st->rip },
		.interrupt_shadow = st->rip & 1,
		.nmi_masked = st->rip >> 1 & 1,
	};
	st->xcr0 = xcr0;
	memset(st->xsave + 24, 0, 4);
	memset(st->xsave + 512, 0, 64);
	memcpy(st->xsave + 512, &xcr0, sizeof(xcr0));
	if (!x86_fpu_caps.xsave) {
		memset(st->xsave + 512, 0, X86_XSAVE_SIZE - 512);
		st->xsave[512] = 3;
	}
}

/* Set everything, forget it here, get it back. */
static void round_trip(bool loaded)
{
	static struct x86_state want;
	struct x86_state *st = rig_state(0);

	if (!loaded)
		rig_put(0);
	random_state(st);
	want = *st;
	svm_backend.set_state(&rig_vcpus[0].vcpu, X86_G_ALL);
	if (loaded) {
		random_bytes(st, sizeof(*st));
		memcpy(st->gpr, want.gpr, sizeof(st->gpr)); /* live in the neutral state */
		st->tsc_ratio = 0;
	}
	svm_backend.get_state(&rig_vcpus[0].vcpu, X86_G_ALL);
	rig_assert_same_state(st, &want);
	if (!loaded)
		rig_load(0, (unsigned)test_below(&seed, TEST_CPUS));
}

static void round_trips(const struct model_features *features)
{
	rig_start(features);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_trip(i % 3 != 0);
	rig_stop();
}

static void test_round_trip(void **state)
{
	round_trips(&rig_plain);
	round_trips(&rig_full);
}

/* Through the guest and back, over several CPUs, with clean bits checked by the model. */
static void through_the_guest(const struct model_features *features)
{
	static struct x86_state want;
	struct x86_state *st = rig_state(0);

	rig_start(features);
	for (unsigned i = 0; i < ROUNDS; i++) {
		random_state(st);
		st->events = (struct x86_events){ 0 };
		want = *st;
		rig_vcpus[0].vcpu.valid = rig_vcpus[0].vcpu.dirty = X86_G_ALL;
		struct hc_exit exit = rig_run_script(0, rig_one_exit);

		assert_int_equal(exit.reason, HC_EXIT_HALT);
		rig_put(0);
		rig_load(0, (unsigned)test_below(&seed, TEST_CPUS));
		rig_run_script(0, rig_one_exit);
		hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_ALL);
		rig_assert_same_state(st, &want);
	}
	rig_stop();
}

static void test_through_the_guest(void **state)
{
	through_the_guest(&rig_plain);
	through_the_guest(&rig_full);
}

/* One group at a time: the model complains of a clean bit that was left set. */
static void test_each_group_is_noticed(void **state)
{
	static struct x86_state other;

	rig_start(&rig_full);
	rig_run_script(0, rig_one_exit);
	for (unsigned i = 0; i < 20 * 9; i++) {
		uint32_t group = 1u << i % 9;

		hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_ALL);
		other = *rig_state(0);
		random_state(rig_state(0));
		rig_state(0)->events.reinject.valid = 0;
		if (group != X86_G_CORE)
			rig_state(0)->rip = other.rip;
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, group);
		rig_run_script(0, rig_one_exit);
		rig_no_complaint();
	}
	rig_stop();
}

/* What the guest does to the registers that VMRUN does not switch is found at put(). */
static void guest_writes(uint64_t *gpr)
{
	model_this()->x86.dr[3] = 0xd3;
	model_this()->tsc_aux = 7;
	model_this()->x86.fpu[100] = 0x77;
	model_this()->x86.xcr0 = 7;
	gpr[X86_R9] = 9;
}

static const struct model_step writes[] = {
	{ .op = OP_CALL, .fn = guest_writes },
	{ .op = OP_EXIT, .code = SVM_EXIT_HLT },
	{ .op = OP_END },
};

static void test_put_finds_the_guests_registers(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, writes);
	rig_put(0);
	assert_int_equal(rig_state(0)->dr[3], 0xd3);
	assert_int_equal(rig_state(0)->msr_tsc_aux, 7);
	assert_int_equal(rig_state(0)->xsave[100], 0x77);
	assert_int_equal(rig_state(0)->xcr0, 7);
	assert_int_equal(rig_state(0)->gpr[X86_R9], 9);
	/* Another vCPU has the CPU meanwhile. */
	rig_load(1, 0);
	assert_int_equal(model_this()->x86.fpu[100], 0);
	assert_int_equal(model_this()->x86.dr[3], 0);
	assert_int_equal(model_this()->x86.xcr0, 1);
	rig_put(1);
	rig_load(0, 2);
	assert_int_equal(model_this()->x86.fpu[100], 0x77);
	assert_int_equal(model_this()->x86.dr[3], 0xd3);
	assert_int_equal(model_this()->tsc_aux, 7);
	assert_int_equal(model_this()->x86.xcr0, 7);
	rig_stop();
}

/* put() does not overwrite what a handler changed and no entry has taken yet. */
static uint64_t seen_cr2;

static void look_at_cr2(uint64_t *gpr)
{
	seen_cr2 = model_this()->cr2;
	model_this()->cr2++;
}

/* Of vCPUs that take turns, each has its own CR2, also where VMRUN does not load it. */
static void test_cr2(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_CALL, .fn = look_at_cr2 },
		{ .op = OP_HLT },
		{ .op = OP_END },
	};
	static const struct model_features *const machines[] = { &rig_plain, &rig_bochs };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		rig_start(machines[i]);
		rig_put(0);
		for (unsigned v = 0; v < 2; v++)
			rig_state(v)->cr2 = 0x1000 * (v + 1);
		for (unsigned n = 0; n < 10; n++) {
			unsigned v = n % 2;

			rig_load(v, n / 4 % 2);
			rig_run_script(v, steps);
			assert_int_equal(seen_cr2, 0x1000 * (v + 1) + n / 2);
			if (n == 9) {
				hc_vcpu_need(&rig_vcpus[v].vcpu, X86_G_CR);
				assert_int_equal(rig_state(v)->cr2, seen_cr2 + 1);
				rig_state(v)->cr2 = 0x77;
				hc_vcpu_dirty(&rig_vcpus[v].vcpu, X86_G_CR);
				rig_run_script(v, steps);
				assert_int_equal(seen_cr2, 0x77);
			}
			rig_put(v);
		}
		rig_stop();
	}
}

static void test_put_keeps_what_is_dirty(void **state)
{
	struct hc_vcpu *vcpu = &rig_vcpus[0].vcpu;

	rig_start(&rig_full);
	rig_run_script(0, writes);
	hc_vcpu_need(vcpu, X86_G_ALL);
	rig_state(0)->dr[3] = 1;
	rig_state(0)->msr_tsc_aux = 2;
	rig_state(0)->xsave[100] = 3;
	hc_vcpu_dirty(vcpu, X86_G_DR | X86_G_MSR | X86_G_FPU);
	rig_put(0);
	rig_load(0, 1);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(model_this()->x86.dr[3], 1);
	assert_int_equal(model_this()->tsc_aux, 2);
	assert_int_equal(model_this()->x86.fpu[100], 3);
	rig_stop();
}

/* Parts that the header calls initial are, with XSAVE or without. */
static void test_initial_fpu(void **state)
{
	uint32_t mxcsr;

	rig_start(&rig_plain);
	random_bytes(rig_state(0)->xsave, 512);
	memset(rig_state(0)->xsave + 512, 0, 64);
	hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_FPU);
	rig_run_script(0, rig_one_exit);
	memcpy(&mxcsr, model_this()->x86.fpu + 24, sizeof(mxcsr));
	assert_int_equal(mxcsr, 0x1f80);
	assert_int_equal(model_this()->x86.fpu[0] | model_this()->x86.fpu[1] << 8, 0x37f);
	for (unsigned i = 160; i < 416; i++)
		assert_int_equal(model_this()->x86.fpu[i], 0);
	rig_stop();
}

/* Nothing that a snapshot holds does worse than make VMRUN refuse. */
static void test_hostile_state(void **state)
{
	unsigned refused = 0;

	rig_start(&rig_full);
	for (unsigned i = 0; i < 2000; i++) {
		char text[160];

		random_bytes(rig_state(0), sizeof(struct x86_state));
		if (i & 1) {
			rig_long_mode(rig_state(0));
			random_bytes(&rig_state(0)->events, sizeof(struct x86_events));
		}
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_ALL);
		model_clear_deliveries();
		struct hc_exit exit = rig_run_script(0, rig_one_exit);

		if (exit.reason == HC_EXIT_ENTRY_FAILED) {
			svm_backend.explain(&rig_vcpus[0].vcpu, &exit, text, sizeof(text));
			assert_non_null(model_refused_by);
			assert_non_null(strstr(text, model_refused_by->name));
			refused++;
		}
	}
	assert_true(refused > 900);
	/* Interrupts without IF among the events to be delivered again are complaints: theirs. */
	model_complaints = 0;
	rig_stop();
}

static void test_efer_hides_svme(void **state)
{
	rig_start(&rig_plain);
	rig_run_script(0, rig_one_exit);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_CR);
	assert_false(rig_state(0)->efer & X86_EFER_SVME);
	assert_true(rig_vmcb(0)->efer & X86_EFER_SVME);
	rig_stop();
}

static void load_tr(uint64_t *gpr)
{
	struct vmcb *v = rig_vmcb(0);

	v->tr.attr = X86_ATTR_P | 9;
}

static const struct model_step loads_tr[] = {
	{ .op = OP_CALL, .fn = load_tr },
	{ .op = OP_EXIT, .code = SVM_EXIT_HLT, .len = 1 },
	{ .op = OP_END },
};

/* Other backends want TR's TSS marked busy, as a CPU has it; QEMU's CPU gets what it leaves. */
static void tss_is_busy(const struct model_features *features)
{
	rig_start(features);
	rig_run_script(0, loads_tr);
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_SEG);
	assert_int_equal(rig_state(0)->seg[X86_TR].attr, X86_ATTR_P | 11);
	hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_SEG);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(rig_vmcb(0)->tr.attr, X86_ATTR_P | (features->tcg ? 9 : 11));
	rig_stop();
}

static void test_tss_is_busy(void **state)
{
	tss_is_busy(&rig_plain);
	tss_is_busy(&rig_full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_through_the_guest),
		cmocka_unit_test(test_each_group_is_noticed),
		cmocka_unit_test(test_put_finds_the_guests_registers),
		cmocka_unit_test(test_cr2),
		cmocka_unit_test(test_put_keeps_what_is_dirty),
		cmocka_unit_test(test_hostile_fpu),
		cmocka_unit_test(test_tsc_factor),
		cmocka_unit_test(test_tsc_ratio),
		cmocka_unit_test(test_initial_fpu),
		cmocka_unit_test(test_hostile_state),
		cmocka_unit_test(test_efer_hides_svme),
		cmocka_unit_test(test_tss_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
