/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory ordering between CPUs: outcomes that barriers, or acquires and releases, forbid. What may
 * happen need not: only what must not is a failure.
 */
#include "guest/arch.h"

#include <stdatomic.h>

#define ROUNDS 2000u

static struct {
	atomic_uint value;
	uint8_t apart[124];
} x, y;
static atomic_uint turn[CPUS_MAX], stop;
static unsigned int seen[CPUS_MAX][2];
static unsigned int running;

static unsigned int get(atomic_uint *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static void put(atomic_uint *at, unsigned int value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static void fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

struct litmus {
	unsigned int cpus;
	void (*act[4])(unsigned int seen[2]);
	bool (*forbidden)(void);
};

/* ---- MP: message passing ---- */

static void mp_write(unsigned int mine[2])
{
	put(&x.value, 1);
	fence();
	put(&y.value, 1);
}

static void mp_read(unsigned int mine[2])
{
	mine[0] = get(&y.value);
	fence();
	mine[1] = get(&x.value);
}

static void mp_release(unsigned int mine[2])
{
	put(&x.value, 1);
	atomic_store_explicit(&y.value, 1, memory_order_release);
}

static void mp_acquire(unsigned int mine[2])
{
	mine[0] = atomic_load_explicit(&y.value, memory_order_acquire);
	mine[1] = get(&x.value);
}

static bool mp_forbidden(void)
{
	return seen[1][0] == 1 && seen[1][1] == 0;
}

/* ---- SB: store buffering ---- */

static void sb_x(unsigned int mine[2])
{
	put(&x.value, 1);
	fence();
	mine[0] = get(&y.value);
}

static void sb_y(unsigned int mine[2])
{
	put(&y.value, 1);
	fence();
	mine[0] = get(&x.value);
}

static bool sb_forbidden(void)
{
	return seen[0][0] == 0 && seen[1][0] == 0;
}

/* ---- LB: load buffering ---- */

static void lb_x(unsigned int mine[2])
{
	mine[0] = get(&x.value);
	fence();
	put(&y.value, 1);
}

static void lb_y(unsigned int mine[2])
{
	mine[0] = get(&y.value);
	fence();
	put(&x.value, 1);
}

static bool lb_forbidden(void)
{
	return seen[0][0] == 1 && seen[1][0] == 1;
}

/* ---- IRIW: independent reads of independent writes ---- */

static void write_x(unsigned int mine[2])
{
	put(&x.value, 1);
}

static void write_y(unsigned int mine[2])
{
	put(&y.value, 1);
}

static void read_xy(unsigned int mine[2])
{
	mine[0] = get(&x.value);
	fence();
	mine[1] = get(&y.value);
}

static void read_yx(unsigned int mine[2])
{
	mine[0] = get(&y.value);
	fence();
	mine[1] = get(&x.value);
}

static bool iriw_forbidden(void)
{
	return seen[2][0] && !seen[2][1] && seen[3][0] && !seen[3][1];
}

/* ---- CoRR: two reads of one place ---- */

static void read_twice(unsigned int mine[2])
{
	mine[0] = get(&x.value);
	mine[1] = get(&x.value);
}

static bool corr_forbidden(void)
{
	return seen[1][0] == 1 && seen[1][1] == 0;
}

/* Each CPU acts once a round; the first one starts the rounds and looks at what came of them. */
static void follow(void *argument)
{
	const struct litmus *litmus = argument;
	unsigned int cpu = this_cpu();

	for (unsigned int round = 1; round <= ROUNDS; round++) {
		struct limit limit = limit_of(2 * LIMIT_MS);

		while (atomic_load(&turn[0]) != round)
			if (limit_passed(&limit) || atomic_load(&stop))
				return;
		litmus->act[cpu](seen[cpu]);
		atomic_store(&turn[cpu], round);
	}
}

static void run_litmus(const struct test_case *self)
{
	const struct litmus *litmus = self->row;
	uint64_t end = arch_ticks() + 1000 * arch_ticks_per_ms();
	unsigned int round;

	if (cpu_count() < litmus->cpus)
		skip(litmus->cpus == 4 ? "4 CPUs" : "2 CPUs");
	running = litmus->cpus;
	atomic_store(&stop, 0);
	for (unsigned int cpu = 0; cpu < running; cpu++)
		atomic_store(&turn[cpu], 0);
	for (unsigned int cpu = 1; cpu < running; cpu++)
		start_cpu(cpu, follow, (void *)(uintptr_t)litmus);
	/* On a machine of few CPUs the rounds that time allows. */
	for (round = 1; round <= ROUNDS && !(round > 20 && (int64_t)(arch_ticks() - end) > 0);
	     round++) {
		put(&x.value, 0);
		put(&y.value, 0);
		atomic_store(&turn[0], round);
		litmus->act[0](seen[0]);
		for (unsigned int cpu = 1; cpu < running; cpu++)
			if (!WAIT_FOR(atomic_load(&turn[cpu]) == round))
				FAIL("CPU %u does not come to round %u", cpu, round);
		if (litmus->forbidden())
			FAIL("a forbidden outcome in round %u: %u %u, %u %u, %u %u, %u %u", round,
			     seen[0][0], seen[0][1], seen[1][0], seen[1][1], seen[2][0], seen[2][1],
			     seen[3][0], seen[3][1]);
	}
	atomic_store(&stop, 1);
	for (unsigned int cpu = 1; cpu < running; cpu++)
		wait_cpu(cpu);
}

#define LITMUS(name, count, check, ...)                                                            \
	static const struct litmus name##_litmus = { count, { __VA_ARGS__ }, check };              \
	TEST_ROW(name, run_litmus, &name##_litmus,                                                 \
	         "SDM Vol. 3A 8.2; Arm ARM B2.3: forbidden by the barriers")

LITMUS(message_passing, 2, mp_forbidden, mp_write, mp_read);
LITMUS(message_passing_acquire, 2, mp_forbidden, mp_release, mp_acquire);
LITMUS(store_buffering, 2, sb_forbidden, sb_x, sb_y);
LITMUS(load_buffering, 2, lb_forbidden, lb_x, lb_y);
LITMUS(independent_reads, 4, iriw_forbidden, write_x, write_y, read_xy, read_yx);
LITMUS(coherent_reads, 2, corr_forbidden, write_x, read_twice);
