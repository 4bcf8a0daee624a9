/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory ordering between CPUs: what SDM Vol. 3A 8.2.3 forbids is looked for many times over. A
 * batch is a row of cells that each CPU goes through at its own pace after a common start.
 */
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#include <stdatomic.h>

#define CELLS   512u
#define BATCHES 12u

/* Two variables, in cache lines of their own. */
struct cell {
	uint64_t x, unused_x[7], y, unused_y[7];
};
_Static_assert(sizeof(struct cell) == 128, "two cache lines");

static struct cell cells[CELLS] __attribute__((aligned(64)));
static uint64_t reads[4][CELLS][2]; /* what each CPU has read */
static atomic_uint go, done;

typedef void step(unsigned int cpu, struct cell *cell, uint64_t read[2]);
static step *current;

static inline void store(uint64_t *to, uint64_t value)
{
	__asm__ volatile("movq %1, %0" : "=m"(*to) : "r"(value) : "memory");
}

static inline uint64_t load(const uint64_t *from)
{
	uint64_t value;

	__asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*from) : "memory");
	return value;
}

static inline void fence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static void play(unsigned int cpu)
{
	for (unsigned int n = 0; n < CELLS; n++)
		current(cpu, &cells[n], reads[cpu][n]);
}

static void player(void *argument)
{
	for (unsigned int batch = 1; batch <= BATCHES; batch++) {
		while (atomic_load(&go) < batch)
			__asm__ volatile("pause");
		play(this_cpu());
		atomic_fetch_add(&done, 1);
	}
}

/* Plays a pattern on some CPUs; a cell whose reads are forbidden ends the case. */
static void run_pattern(step *pattern, unsigned int players, bool (*forbidden)(unsigned int n))
{
	current = pattern;
	atomic_store(&go, 0);
	atomic_store(&done, 0);
	for (unsigned int n = 1; n < players; n++)
		start_cpu(n, player, NULL);
	for (unsigned int batch = 1; batch <= BATCHES; batch++) {
		memset(cells, 0, sizeof(cells));
		atomic_store(&go, batch);
		play(0);
		CHECK(WAIT_FOR(atomic_load(&done) == batch * (players - 1)));
		for (unsigned int n = 0; n < CELLS; n++)
			if (forbidden(n))
				FAIL("cell %u of batch %u: %lu %lu, %lu %lu, %lu %lu, %lu %lu", n,
				     batch, reads[0][n][0], reads[0][n][1], reads[1][n][0],
				     reads[1][n][1], reads[2][n][0], reads[2][n][1], reads[3][n][0],
				     reads[3][n][1]);
	}
}

#define LITMUS(name, cpus, reference)                                                              \
	static step name##_step;                                                                   \
	static bool name##_forbidden(unsigned int n);                                              \
	TEST_SMP(name, cpus, reference)                                                            \
	{                                                                                          \
		run_pattern(name##_step, cpus, name##_forbidden);                                  \
	}

LITMUS(message_passing, 2,
       "SDM Vol. 3A 8.2.3.2: neither loads nor stores are reordered with like operations")
static void message_passing_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	if (cpu == 0) {
		store(&cell->x, 1);
		store(&cell->y, 1);
	} else {
		read[0] = load(&cell->y);
		read[1] = load(&cell->x);
	}
}
static bool message_passing_forbidden(unsigned int n)
{
	return reads[1][n][0] == 1 && reads[1][n][1] == 0;
}

LITMUS(load_buffering, 2, "SDM Vol. 3A 8.2.3.3: stores are not reordered with earlier loads")
static void load_buffering_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	read[0] = load(cpu ? &cell->y : &cell->x);
	store(cpu ? &cell->x : &cell->y, 1);
}
static bool load_buffering_forbidden(unsigned int n)
{
	return reads[0][n][0] == 1 && reads[1][n][0] == 1;
}

LITMUS(store_buffering_fenced, 2, "SDM Vol. 3A 8.2.5: MFENCE orders a store and a later load")
static void store_buffering_fenced_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	store(cpu ? &cell->y : &cell->x, 1);
	fence();
	read[0] = load(cpu ? &cell->x : &cell->y);
}
static bool store_buffering_fenced_forbidden(unsigned int n)
{
	return reads[0][n][0] == 0 && reads[1][n][0] == 0;
}

LITMUS(store_buffering_locked, 2,
       "SDM Vol. 3A 8.2.3.9: loads and stores are not reordered with locked instructions")
static void store_buffering_locked_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	uint64_t one = 1;

	__asm__ volatile("xchgq %0, %1"
	                 : "+r"(one), "+m"(*(cpu ? &cell->y : &cell->x))
	                 :
	                 : "memory");
	read[0] = load(cpu ? &cell->x : &cell->y);
}
static bool store_buffering_locked_forbidden(unsigned int n)
{
	return reads[0][n][0] == 0 && reads[1][n][0] == 0;
}

LITMUS(store_forwarding, 2,
       "SDM Vol. 3A 8.2.3.5: a CPU sees its own store; both may see theirs first")
static void store_forwarding_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	store(cpu ? &cell->y : &cell->x, 1);
	read[0] = load(cpu ? &cell->y : &cell->x);
	read[1] = load(cpu ? &cell->x : &cell->y);
}
static bool store_forwarding_forbidden(unsigned int n)
{
	return reads[0][n][0] != 1 || reads[1][n][0] != 1;
}

LITMUS(coherence, 2,
       "SDM Vol. 3A 8.2.2: two reads of a location do not see its stores in the opposite order")
static void coherence_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	if (cpu == 0) {
		store(&cell->x, 1);
		store(&cell->x, 2);
	} else {
		read[0] = load(&cell->x);
		read[1] = load(&cell->x);
	}
}
static bool coherence_forbidden(unsigned int n)
{
	return reads[1][n][0] > reads[1][n][1];
}

LITMUS(stores_in_one_order, 2,
       "SDM Vol. 3A 8.2.3.7: 2+2W: each location ends with one of the last stores, in one order")
static void stores_in_one_order_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	store(cpu ? &cell->y : &cell->x, 1);
	store(cpu ? &cell->x : &cell->y, 2);
}
static bool stores_in_one_order_forbidden(unsigned int n)
{
	return cells[n].x == 1 && cells[n].y == 1;
}

LITMUS(transitive, 3, "SDM Vol. 3A 8.2.3.6: stores are transitively visible")
static void transitive_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	if (cpu == 0) {
		store(&cell->x, 1);
	} else if (cpu == 1) {
		read[0] = load(&cell->x);
		store(&cell->y, read[0]);
	} else {
		read[0] = load(&cell->y);
		read[1] = load(&cell->x);
	}
}
static bool transitive_forbidden(unsigned int n)
{
	return reads[2][n][0] == 1 && reads[2][n][1] == 0;
}

LITMUS(iriw, 4, "SDM Vol. 3A 8.2.3.7: stores are seen in a consistent order by other processors")
static void iriw_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	if (cpu < 2) {
		store(cpu ? &cell->y : &cell->x, 1);
	} else {
		read[0] = load(cpu == 2 ? &cell->x : &cell->y);
		read[1] = load(cpu == 2 ? &cell->y : &cell->x);
	}
}
static bool iriw_forbidden(unsigned int n)
{
	return reads[2][n][0] == 1 && reads[2][n][1] == 0 && reads[3][n][0] == 1 &&
	       reads[3][n][1] == 0;
}

LITMUS(iriw_locked, 4, "SDM Vol. 3A 8.2.3.8: locked instructions have a total order")
static void iriw_locked_step(unsigned int cpu, struct cell *cell, uint64_t read[2])
{
	uint64_t one = 1;

	if (cpu < 2) {
		__asm__ volatile("xchgq %0, %1"
		                 : "+r"(one), "+m"(*(cpu ? &cell->y : &cell->x))
		                 :
		                 : "memory");
	} else {
		read[0] = load(cpu == 2 ? &cell->x : &cell->y);
		read[1] = load(cpu == 2 ? &cell->y : &cell->x);
	}
}
static bool iriw_locked_forbidden(unsigned int n)
{
	return iriw_forbidden(n);
}
