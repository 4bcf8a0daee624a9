/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Litmus tests: each CPU does a few accesses to shared variables, at the same time as others, many
 * times over; an outcome that the memory model forbids is a failure. What may happen need not.
 */
#ifndef CONFORMANCE_GUEST_LITMUS_H
#define CONFORMANCE_GUEST_LITMUS_H

#include "guest/test.h"

#include <stdatomic.h>

#define LITMUS_CPUS 4u

/* Each in a cache line of its own; all are 0 when a round begins. */
struct litmus_variable {
	atomic_uint value;
	uint8_t apart[124];
};
extern struct litmus_variable x, y, z;
/* What each CPU has seen in the round. */
extern unsigned int seen[LITMUS_CPUS][2];

struct litmus {
	unsigned int cpus;
	void (*act[LITMUS_CPUS])(unsigned int mine[2]); /* mine: this CPU's seen */
	bool (*forbidden)(void);
};

void litmus_run(const struct test_case *self);

/* LITMUS(name, reference, CPUs, forbidden, act of CPU 0, ...) */
#define LITMUS(name, text, count, check, ...)                                                      \
	static const struct litmus name##_litmus = { count, { __VA_ARGS__ }, check };              \
	TEST_ROW(name, litmus_run, &name##_litmus, text)

static inline unsigned int litmus_get(struct litmus_variable *at)
{
	return atomic_load_explicit(&at->value, memory_order_relaxed);
}

static inline void litmus_put(struct litmus_variable *at, unsigned int value)
{
	atomic_store_explicit(&at->value, value, memory_order_relaxed);
}

#endif
