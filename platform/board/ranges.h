/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sorted list of disjoint address ranges: the machine's RAM while start-up takes pieces out of
 * it, before the frame allocator exists.
 */
#ifndef PLATFORM_BOARD_RANGES_H
#define PLATFORM_BOARD_RANGES_H

#include <hypercore/types.h>

#define RANGES_MAX 256

struct ranges {
	unsigned count;
	bool full; /* a piece was lost for want of space */
	struct {
		uint64_t base, end;
	} r[RANGES_MAX];
};

/* Adds [base, end); overlapping and touching ranges become one. Empty ranges are ignored. */
void ranges_add(struct ranges *l, uint64_t base, uint64_t end);

/* Takes [base, end) out, as far as it is in. */
void ranges_remove(struct ranges *l, uint64_t base, uint64_t end);

/* Takes size bytes (a multiple of align, a power of two) out of the highest place below limit.
 * Returns the address, or 0 if there is no room. */
uint64_t ranges_take(struct ranges *l, uint64_t size, uint64_t align, uint64_t limit);

/* All of [base, end) is in one of the ranges; false if it ends before it begins. */
bool ranges_contain(const struct ranges *l, uint64_t base, uint64_t end);

/* Some of [base, end), which is not empty, is in one of them. */
bool ranges_intersect(const struct ranges *l, uint64_t base, uint64_t end);

uint64_t ranges_total(const struct ranges *l);

#endif
