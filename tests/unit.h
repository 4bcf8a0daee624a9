/* SPDX-License-Identifier: BSD-2-Clause */
/* CMocka with what it wants included before it, and a repeatable source of random numbers. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <hypercore/errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

/* xorshift64*: the same sequence for the same seed on every machine. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

static inline uint64_t test_below(uint64_t *state, uint64_t bound)
{
	return bound ? test_random(state) % bound : 0;
}

/* How many of n generated cases to try: HC_TEST_FACTOR in the environment multiplies them. */
static inline unsigned test_rounds(unsigned n)
{
	const char *factor = getenv("HC_TEST_FACTOR");
	int times = factor ? atoi(factor) : 1;

	return times > 1 ? n * (unsigned)times : n;
}

#endif
