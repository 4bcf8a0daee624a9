/* SPDX-License-Identifier: BSD-2-Clause */
#include "stress/common/stress.h"
#include "guest/print.h"

#define PHASES       8u
#define AREA_BYTES   0x8000u
#define ROUNDS_LEAST 200u /* on a machine that others use */
#define REFERENCE                                                                                  \
	"SDM Vol. 3A 8.1, 8.7; Arm ARM B1.2, B2.2: a CPU's state is its own, memory holds what "   \
	"was written"

struct stress_cpu stress_cpus[CPUS_MAX];
static uint8_t areas[CPUS_MAX][AREA_BYTES] __attribute__((aligned(4096)));
static volatile bool stop;

uint64_t stress_next(struct stress_cpu *cpu)
{
	cpu->random ^= cpu->random << 13;
	cpu->random ^= cpu->random >> 7;
	cpu->random ^= cpu->random << 17;
	return cpu->random;
}

unsigned int stress_other(struct stress_cpu *cpu)
{
	unsigned int other = (unsigned int)(stress_next(cpu) >> 8) % cpu_count();

	__atomic_fetch_add(&stress_cpus[other].ipis_sent, 1, __ATOMIC_SEQ_CST);
	return other;
}

/* ---- Acts ---- */

/* The area holds a pattern, of which a part is checked and written again each time. */
static uint8_t pattern(const struct stress_cpu *cpu, uint64_t n)
{
	return (uint8_t)(cpu->seed + n * 7 + (n >> 8) * 13);
}

void stress_memory(struct stress_cpu *cpu)
{
	static uint8_t copies[CPUS_MAX][512];
	uint8_t *copy = copies[cpu - stress_cpus];
	uint64_t from = stress_next(cpu) % (AREA_BYTES - 512), count = stress_next(cpu) % 512;

	stress_copy(copy, cpu->area + from, count);
	for (uint64_t n = 0; n < count; n++)
		CHECK_EQ(copy[n], pattern(cpu, from + n));
	memcpy(cpu->area + from, copy, count);
}

void stress_clock(struct stress_cpu *cpu)
{
	uint64_t now = arch_ticks();

	CHECK(now >= cpu->ticks);
	cpu->ticks = now;
}

/* ---- Phases ---- */

static void act(struct stress_cpu *cpu)
{
	stress_acts[stress_next(cpu) >> 30 & (STRESS_ACTS - 1)](cpu);
	cpu->rounds++;
}

static void work(void *argument)
{
	struct stress_cpu *cpu = &stress_cpus[this_cpu()];

	stress_enter();
	while (!stop)
		act(cpu);
}

static void prepare(unsigned int n, uint64_t seed)
{
	struct stress_cpu *cpu = &stress_cpus[n];

	*cpu = (struct stress_cpu){ .random = (seed + n + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1,
		                    .seed = (uint8_t)(seed * 31 + n),
		                    .area = areas[n] };
	for (uint64_t at = 0; at < AREA_BYTES; at++)
		cpu->area[at] = pattern(cpu, at);
	stress_prepare(cpu, n);
}

static void check(const struct stress_cpu *cpu)
{
	CHECK(cpu->rounds > 0);
	CHECK_EQ(cpu->own, cpu->own_sent);
	CHECK_EQ(cpu->timers, cpu->timers_sent);
	CHECK(cpu->ipis <= cpu->ipis_sent);
	for (uint64_t at = 0; at < AREA_BYTES; at++)
		CHECK_EQ(cpu->area[at], pattern(cpu, at));
}

static void phase(const struct test_case *self)
{
	uint64_t seed = option_number("seed", 1) * PHASES + (uint64_t)self->row, rounds = 0;
	uint64_t end, seconds = option_number("time", PHASES);

	stop = false;
	for (unsigned int n = 0; n < cpu_count(); n++)
		prepare(n, seed);
	stress_begin();
	stress_enter();
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, work, NULL);
	end = arch_ticks() + seconds * 1000 / PHASES * arch_ticks_per_ms();
	while (stress_cpus[0].rounds < ROUNDS_LEAST || (int64_t)(arch_ticks() - end) < 0)
		act(&stress_cpus[0]);
	stop = true;
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
	stress_let_in();
	for (unsigned int n = 0; n < cpu_count(); n++) {
		check(&stress_cpus[n]);
		rounds += stress_cpus[n].rounds;
	}
	stress_check();
	note("seed %lu: %lu rounds on %u CPUs", seed, rounds, cpu_count());
}

#define PHASE(n)                                                                                   \
	TEST_REGISTER("cases", phase_##n, .name = "phase_" #n, .file = __FILE__,                   \
	              .reference = REFERENCE, .cpus = 1, .run = phase, .row = (const void *)(n))
PHASE(1);
PHASE(2);
PHASE(3);
PHASE(4);
PHASE(5);
PHASE(6);
PHASE(7);
PHASE(8);
