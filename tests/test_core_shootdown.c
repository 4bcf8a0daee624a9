/* SPDX-License-Identifier: BSD-2-Clause */
/* Shootdowns against vCPUs that come and go: threads that cache what a table holds, and a table
 * whose old contents are gone for good when hc_shootdown() returns. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "core/shootdown.h"
#include "core/vm.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define GUESTS 2

struct guest {
	struct hc_vcpu vcpu;
	struct hc_shootdown_vcpu tlb;
	uint64_t seed;
	uint64_t cached;                      /* what the guest goes by: a version of the table */
	_Atomic unsigned flushes, kicked_out; /* entries with a flush; stays ended by a kick */
	unsigned bad;                         /* accesses to what was gone */
};

static struct guest guests[GUESTS];
static struct hc_vm vm;
static struct hc_shootdown shootdown;
static _Atomic uint64_t table; /* version that a walk finds now */
static _Atomic uint64_t gone;  /* versions below this one are not to be used any more */
static _Atomic bool stop;

static struct hc_shootdown_vcpu *tlb_of(struct hc_vcpu *vcpu)
{
	return &HC_CONTAINER_OF(vcpu, struct guest, vcpu)->tlb;
}

static int setup(void **state)
{
	test_platform_init(GUESTS);
	memset(guests, 0, sizeof(guests));
	vm = (struct hc_vm){ .name = "shot", .cpu_count = GUESTS };
	for (unsigned i = 0; i < GUESTS; i++) {
		guests[i].vcpu.cpu = hc_sched_cpu(i);
		guests[i].seed = i + 1;
		vm.vcpus[i] = &guests[i].vcpu;
	}
	shootdown = (struct hc_shootdown){ 0 };
	table = gone = 0;
	stop = false;
	return 0;
}

/* --- vCPUs that need not be waited for: hc_shootdown() returns, and kicks nobody --- */

static void enter(struct guest *g)
{
	uint64_t generation = hc_shootdown_enter(&g->tlb, &shootdown);

	if (!hc_shootdown_due(&g->tlb, generation))
		return;
	g->cached = atomic_load_explicit(&table, memory_order_relaxed);
	hc_shootdown_seen(&g->tlb, generation);
	g->flushes++;
}

static unsigned kicks(void)
{
	return test_kicks[0] + test_kicks[1];
}

static struct hc_shootdown_vcpu *none_of(struct hc_vcpu *vcpu)
{
	return NULL;
}

static void test_being_made(void **state)
{
	enter(&guests[0]);
	hc_shootdown(&vm, &shootdown, none_of);
	vm.vcpus[0] = NULL;
	hc_shootdown(&vm, &shootdown, tlb_of);
	assert_int_equal(kicks(), 0);
}

static void test_outside(void **state)
{
	enter(&guests[0]);
	hc_shootdown_leave(&guests[0].tlb);
	hc_shootdown(&vm, &shootdown, tlb_of);
	assert_int_equal(kicks(), 0);
	assert_int_equal(guests[0].flushes, 0);
	enter(&guests[0]);
	assert_int_equal(guests[0].flushes, 1);
	hc_shootdown_leave(&guests[0].tlb);
	enter(&guests[0]);
	assert_int_equal(guests[0].flushes, 1);
}

/* Enters when the generation has just been counted up; a second time, when somebody else has made
 * a later one of it. */
static struct hc_shootdown_vcpu *enters_now(struct hc_vcpu *vcpu)
{
	shootdown.generation += vcpu->id;
	enter(HC_CONTAINER_OF(vcpu, struct guest, vcpu));
	return tlb_of(vcpu);
}

static void test_entered_meanwhile(void **state)
{
	guests[1].vcpu.id = 1;
	hc_shootdown(&vm, &shootdown, enters_now);
	assert_int_equal(kicks(), 0);
	assert_int_equal(guests[0].flushes, 1);
	assert_int_equal(guests[1].flushes, 1);
	assert_int_equal(shootdown.generation, 2);
}

/* --- Threads --- */

static bool kicked(struct guest *g)
{
	return atomic_load(&g->vcpu.cpu->attention);
}

static void use(struct guest *g)
{
	g->bad += g->cached < atomic_load(&gone);
}

/* Mostly a few accesses; now and then as many as come before a kick. */
static void stay(struct guest *g)
{
	unsigned steps = (unsigned)test_below(&g->seed, 64);

	if (test_below(&g->seed, 64)) {
		for (unsigned i = 0; i < steps && !kicked(g); i++)
			use(g);
		return;
	}
	while (!kicked(g)) {
		use(g);
		sched_yield();
	}
	g->kicked_out++;
}

static void *guest_thread(void *arg)
{
	struct guest *g = arg;

	while (!stop) {
		enter(g);
		stay(g);
		use(g);
		hc_shootdown_leave(&g->tlb);
		atomic_store(&g->vcpu.cpu->attention, false);
	}
	return NULL;
}

static bool had_enough(unsigned rounds)
{
	for (unsigned i = 0; i < GUESTS; i++)
		if (guests[i].kicked_out < 10 || guests[i].flushes < 10)
			return false;
	return rounds >= test_rounds(4000);
}

static void replace_table(void)
{
	uint64_t version = atomic_load_explicit(&table, memory_order_relaxed) + 1;

	atomic_store_explicit(&table, version, memory_order_relaxed);
	hc_shootdown(&vm, &shootdown, tlb_of);
	atomic_store(&gone, version);
}

static void test_hammered(void **state)
{
	pthread_t threads[GUESTS];

	for (unsigned i = 0; i < GUESTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, guest_thread, &guests[i]), 0);
	for (unsigned rounds = 0; !had_enough(rounds); rounds++)
		replace_table();
	stop = true;
	for (unsigned i = 0; i < GUESTS; i++)
		hc_platform_kick(guests[i].vcpu.cpu);
	for (unsigned i = 0; i < GUESTS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < GUESTS; i++)
		assert_int_equal(guests[i].bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_being_made, setup),
		cmocka_unit_test_setup(test_outside, setup),
		cmocka_unit_test_setup(test_entered_meanwhile, setup),
		cmocka_unit_test_setup(test_hammered, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
