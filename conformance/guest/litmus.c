/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/litmus.h"
#include "guest/arch.h"

#define ROUNDS 2000u

struct litmus_variable x, y, z;
unsigned int seen[LITMUS_CPUS][2];
static atomic_uint turn[CPUS_MAX], stop;
static unsigned int running;

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

void litmus_run(const struct test_case *self)
{
	const struct litmus *litmus = self->row;
	uint64_t end = arch_ticks() + 400 * arch_ticks_per_ms();
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
		litmus_put(&x, 0);
		litmus_put(&y, 0);
		litmus_put(&z, 0);
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
