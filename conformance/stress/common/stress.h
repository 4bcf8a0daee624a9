/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stress guest: random things on all CPUs at once, from a seed, whose outcome is known
 * beforehand. Eight phases share the time given: "seed=N time=SECONDS" on the command line.
 */
#ifndef CONFORMANCE_STRESS_H
#define CONFORMANCE_STRESS_H

#include "guest/arch.h"

#define STRESS_ACTS 16u

/* What a CPU has of its own. */
struct stress_cpu {
	uint64_t random;
	volatile uint64_t rounds;
	/* Interrupts that came: of others, of its own, of its timer; and what was sent. */
	volatile uint64_t ipis, own, timers;
	volatile uint64_t ipis_sent; /* by all, to it; changed atomically */
	uint64_t own_sent, timers_sent;
	uint64_t ticks; /* the counter when it was last looked at */
	uint8_t seed;   /* of the area's pattern */
	uint8_t *area;
	/* The architecture's: addresses to map, a page to map there, a page for code. */
	uint64_t space, page;
	uint8_t *code;
};

extern struct stress_cpu stress_cpus[CPUS_MAX];

uint64_t stress_next(struct stress_cpu *cpu);
/* Any CPU but as an IPI is sent to it: counted. */
unsigned int stress_other(struct stress_cpu *cpu);

/* Acts that are the same everywhere: memory keeps what was written, the counter goes on. */
void stress_memory(struct stress_cpu *cpu);
void stress_clock(struct stress_cpu *cpu);

/* ---- The architecture's ---- */

/* What a CPU may do: one of them at a time, by chance. */
extern void (*const stress_acts[STRESS_ACTS])(struct stress_cpu *cpu);
/* Fills in space, page and code, before any CPU begins. */
void stress_prepare(struct stress_cpu *cpu, unsigned int n);
/* Once a phase, on CPU 0; then on each CPU, before its first act. */
void stress_begin(void);
void stress_enter(void);
/* Lets what is pending in. */
void stress_let_in(void);
/* Copies as the architecture does it best. */
void stress_copy(void *to, const void *from, uint64_t bytes);
/* What the architecture's own acts leave to be checked when all CPUs have stopped. */
void stress_check(void);

#endif
