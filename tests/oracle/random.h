/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers, registers and operands of cases: what generate.c and operands.c share. */
#ifndef TESTS_ORACLE_RANDOM_H
#define TESTS_ORACLE_RANDOM_H

#include "tests/oracle/oracle.h"

/* xorshift64* */
static inline uint64_t random64(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

static inline uint64_t below(uint64_t *r, uint64_t bound)
{
	return (random64(r) >> 20) % bound;
}

static inline bool one_in(uint64_t *r, unsigned n)
{
	return below(r, n) == 0;
}

/* An integer; those at which carries and signs change are more frequent than by chance. */
uint64_t random_value(uint64_t *r);

/* 64 bits of a vector or of memory: integers, floats, doubles, zeros, infinities, NaN, denormals.
 */
uint64_t random_lane(uint64_t *r);

/* An XSAVE image of x87, SSE and AVX that XRSTOR accepts. */
void oracle_random_vectors(uint8_t *xsave, uint64_t *r);

/* Changes registers and displacement so that the operands in memory mostly are in the data: at its
 * borders, across pages, aligned or not; sometimes elsewhere. Sets c->target. */
void oracle_aim(struct oracle_case *c, unsigned disp_at, unsigned disp_len, uint64_t *r);

/* Changes operands so that what seldom happens by chance happens: equal comparands, quotients that
 * fit. After the memory's content is there. */
void oracle_suit(struct oracle_case *c, uint64_t *r);

/* oracle_excluded() for bytes that the decoder calls undefined: whether the host CPU may know more
 * than the decoder there. */
bool oracle_excluded_bytes(const uint8_t *code, size_t n);

#endif
