/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads as CPUs: no kick is lost, no deadline either; and the memory that guests get. */
#include "tests/unit.h"
/* after the above */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/sched.h"
#include "platform/linux/linux.h"

/* --- A backend whose "enabling" is the body of a test on the CPU's own thread --- */

static void (*body)(struct hc_cpu *cpu);
static struct hc_cpu *_Atomic running;

static int enable(struct hc_cpu *cpu)
{
	atomic_store(&running, cpu);
	body(cpu);
	return 0;
}

static void disable(struct hc_cpu *cpu)
{
}

static const struct hc_backend_ops body_backend = { .name = "body",
	                                            .cpu_enable = enable,
	                                            .cpu_disable = disable };

static void *start_cpu(void *arg)
{
	static const struct hc_backend_ops *const backends[2] = { &body_backend };

	linux_vm_lock();
	assert_int_equal(linux_cpus_start(backends, 1), 0);
	linux_cpus_stop_unused();
	linux_vm_unlock();
	return NULL;
}

/* Runs fn on a CPU's thread; returns when it has begun. */
static pthread_t run_on_cpu(void (*fn)(struct hc_cpu *cpu))
{
	pthread_t thread;

	body = fn;
	atomic_store(&running, NULL);
	assert_int_equal(pthread_create(&thread, NULL, start_cpu, NULL), 0);
	while (!atomic_load(&running))
		sched_yield();
	return thread;
}

/* --- Kicks: each tells of a new number, which the CPU has to see before the next is sent --- */

/* Few, as where CPUs are scarce each costs a time slice; HC_TEST_FACTOR makes them more. */
#define KICKS 200

static _Atomic unsigned sent, seen;

static void send_all(void (*receiver)(struct hc_cpu *cpu))
{
	atomic_store(&sent, 0);
	atomic_store(&seen, 0);
	pthread_t thread = run_on_cpu(receiver);
	struct hc_cpu *cpu = atomic_load(&running);
	uint64_t random = 1;

	for (unsigned i = 1; i <= test_rounds(KICKS); i++) {
		atomic_store(&sent, i);
		hc_platform_kick(cpu);
		while (atomic_load(&seen) != i)
			sched_yield();
		/* So that the next one finds the CPU at another place. */
		for (uint64_t n = test_below(&random, 2000); n; n--)
			atomic_signal_fence(memory_order_seq_cst);
	}
	pthread_join(thread, NULL);
}

static bool take_news(void)
{
	unsigned n = atomic_load(&sent);

	atomic_store(&seen, n);
	return n < test_rounds(KICKS);
}

static void sleeper(struct hc_cpu *cpu)
{
	while (take_news())
		hc_platform_idle();
}

static void test_kick_wakes(void **state)
{
	send_all(sleeper);
}

/* A software CPU's run(). */
static void interpreter(struct hc_cpu *cpu)
{
	while (take_news())
		while (!atomic_exchange(&cpu->attention, false))
			hc_platform_relax();
}

static void test_kick_ends_software_guest(void **state)
{
	send_all(interpreter);
}

/* KVM_RUN with kvm_run.immediate_exit: the flag is looked at with the signal blocked, the wait
 * unblocks it. */
static uint8_t exit_flag;

static void wait_like_kvm(const sigset_t *unblocked)
{
	sigset_t kick, old;

	sigemptyset(&kick);
	sigaddset(&kick, LINUX_KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick, &old);
	if (!__atomic_load_n(&exit_flag, __ATOMIC_SEQ_CST))
		ppoll(NULL, 0, NULL, unblocked);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void system_call(struct hc_cpu *cpu)
{
	sigset_t unblocked;

	pthread_sigmask(SIG_SETMASK, NULL, &unblocked);
	linux_cpu_set_exit_flag(&exit_flag);
	while (take_news()) {
		__atomic_store_n(&exit_flag, 0, __ATOMIC_SEQ_CST);
		if (!atomic_exchange(&cpu->attention, false))
			wait_like_kvm(&unblocked);
		atomic_exchange(&cpu->attention, false);
	}
	linux_cpu_set_exit_flag(NULL);
}

static void test_kick_ends_system_call(void **state)
{
	send_all(system_call);
}

/* Sleeps and runs in turn, as a guest with little to do. */
static void mixture(struct hc_cpu *cpu)
{
	unsigned before = 0;

	for (unsigned i = 0; take_news(); i++) {
		unsigned now = atomic_load(&sent);

		if (now == before && i % 2)
			hc_platform_idle();
		else if (now == before)
			while (!atomic_exchange(&cpu->attention, false))
				hc_platform_relax();
		before = now;
		hc_platform_irq_window();
	}
}

static void test_kick_anywhere(void **state)
{
	send_all(mixture);
}

static void *kick_on(void *arg)
{
	while (!atomic_load(&seen)) {
		hc_platform_kick(arg);
		sched_yield();
	}
	return NULL;
}

static void count_wake_ups(struct hc_cpu *cpu)
{
	while (!atomic_load(&sent))
		sched_yield();
	for (unsigned i = 0; i < 300; i++)
		hc_platform_idle();
	atomic_store(&seen, 1);
}

static void test_many_kick(void **state)
{
	pthread_t threads[3];

	atomic_store(&seen, 0);
	atomic_store(&sent, 0);
	pthread_t cpu = run_on_cpu(count_wake_ups);

	for (unsigned i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, kick_on, atomic_load(&running));
	atomic_store(&sent, 1);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	pthread_join(cpu, NULL);
}

static void kick_oneself(struct hc_cpu *cpu)
{
	for (unsigned i = 0; i < 100; i++) {
		hc_platform_kick(cpu);
		assert_true(atomic_load(&cpu->attention));
		hc_platform_idle();
		assert_false(atomic_load(&cpu->attention));
	}
}

static void test_kick_oneself(void **state)
{
	pthread_join(run_on_cpu(kick_oneself), NULL);
}

/* --- Deadlines --- */

static uint64_t in_us(uint64_t us)
{
	return hc_platform_now_ns() + us * 1000;
}

static void sleep_to_deadline(struct hc_cpu *cpu)
{
	static const unsigned us[] = { 0, 1, 50, 1000, 3000 };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(us); i++) {
		uint64_t deadline = in_us(us[i]);

		hc_platform_set_deadline(deadline);
		hc_platform_idle();
		assert_true(hc_platform_now_ns() >= deadline);
	}
}

static void test_deadline_ends_sleep(void **state)
{
	pthread_join(run_on_cpu(sleep_to_deadline), NULL);
}

/* As the scheduler does: attention may come early, and the deadline is then set again. */
static void run_to(struct hc_cpu *cpu, uint64_t deadline)
{
	do {
		hc_platform_set_deadline(deadline);
		while (!atomic_exchange(&cpu->attention, false))
			;
		hc_platform_irq_window();
	} while (hc_platform_now_ns() < deadline);
}

static void run_to_deadlines(struct hc_cpu *cpu)
{
	uint64_t random = 7;

	for (unsigned i = 0; i < 100; i++) {
		/* Set, then moved to an earlier or a later moment. */
		hc_platform_set_deadline(in_us(test_below(&random, 300)));
		run_to(cpu, in_us(test_below(&random, 300)));
	}
	/* After "never", and after one that is past. */
	hc_platform_set_deadline(UINT64_MAX);
	run_to(cpu, in_us(100));
	run_to(cpu, 0);
	run_to(cpu, 1);
}

static void test_deadline_ends_guest(void **state)
{
	pthread_join(run_on_cpu(run_to_deadlines), NULL);
}

static void wait_to_deadlines(struct hc_cpu *cpu)
{
	sigset_t unblocked;

	pthread_sigmask(SIG_SETMASK, NULL, &unblocked);
	linux_cpu_set_exit_flag(&exit_flag);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t deadline = in_us(200);

		while (hc_platform_now_ns() < deadline) {
			hc_platform_set_deadline(deadline);
			wait_like_kvm(&unblocked);
			hc_platform_irq_window();
		}
	}
	linux_cpu_set_exit_flag(NULL);
}

static void test_deadline_ends_system_call(void **state)
{
	pthread_join(run_on_cpu(wait_to_deadlines), NULL);
}

/* --- Memory --- */

static void test_pages(void **state)
{
	for (unsigned order = 0; order <= 15; order++) {
		size_t size = HC_PAGE_SIZE << order;
		uint8_t *p = hc_platform_alloc_pages(order);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % size, 0);
		for (size_t i = 0; i < size; i += HC_PAGE_SIZE / 2)
			assert_int_equal(p[i], 0);
		assert_ptr_equal(hc_platform_from_hpa(hc_platform_to_hpa(p)), p);
		memset(p, 0xff, HC_PAGE_SIZE);
		hc_platform_free_pages(p, order);
	}
}

static void test_promises(void **state)
{
	uint64_t before = linux_memory_available();
	void *p = hc_platform_alloc_pages(13);

	assert_non_null(p);
	/* What others do meanwhile does not count while something is promised. */
	uint64_t with_one = linux_memory_available();
	void *q = hc_platform_alloc_pages(12);

	assert_int_equal(linux_memory_available(), with_one - (HC_PAGE_SIZE << 12));
	hc_platform_free_pages(q, 12);
	assert_int_equal(linux_memory_available(), with_one);
	hc_platform_free_pages(p, 13);
	assert_true(before > 0);
	/* More than any machine has, in pieces. */
	void *pieces[64];
	unsigned n = 0;

	while (n < 64 && (pieces[n] = hc_platform_alloc_pages(hc_platform_max_order())))
		n++;
	assert_true(linux_memory_available() < HC_PAGE_SIZE << hc_platform_max_order());
	assert_null(hc_platform_alloc_pages(hc_platform_max_order() + 1));
	while (n)
		hc_platform_free_pages(pieces[--n], hc_platform_max_order());
}

static void test_clock(void **state)
{
	uint64_t hz = hc_platform_cycles_hz(), c = hc_platform_cycles(), t = hc_platform_now_ns();

	usleep(2000);
	c = hc_platform_cycles() - c;
	t = hc_platform_now_ns() - t;
	/* Within a tenth, as this thread may be interrupted between two readings. */
	uint64_t expected = (uint64_t)((unsigned __int128)t * hz / 1000000000);

	assert_in_range(c, expected - expected / 10, expected + expected / 10);
}

static int set_up(void **state)
{
	alarm(60); /* what is lost is waited for in vain */
	return linux_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kick_wakes),
		cmocka_unit_test(test_kick_ends_software_guest),
		cmocka_unit_test(test_kick_ends_system_call),
		cmocka_unit_test(test_kick_anywhere),
		cmocka_unit_test(test_many_kick),
		cmocka_unit_test(test_kick_oneself),
		cmocka_unit_test(test_deadline_ends_sleep),
		cmocka_unit_test(test_deadline_ends_guest),
		cmocka_unit_test(test_deadline_ends_system_call),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_promises),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
