/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed-width integers and the three kinds of address.
 *
 * A guest virtual, a guest physical and a host physical address are different types, so that the
 * compiler refuses one where another is meant. They are one-member structs: `.v` is the number.
 */
#ifndef HYPERCORE_TYPES_H
#define HYPERCORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint64_t v;
} gva_t; /* guest virtual (x86: linear) address */
typedef struct {
	uint64_t v;
} gpa_t; /* guest physical: what stage 2 translates from */
typedef struct {
	uint64_t v;
} hpa_t; /* host physical: what stage 2 translates to */

static inline gva_t gva_of(uint64_t v)
{
	return (gva_t){ v };
}

static inline gpa_t gpa_of(uint64_t v)
{
	return (gpa_t){ v };
}

static inline hpa_t hpa_of(uint64_t v)
{
	return (hpa_t){ v };
}

#define HC_KIB (UINT64_C(1) << 10)
#define HC_MIB (UINT64_C(1) << 20)
#define HC_GIB (UINT64_C(1) << 30)

#define HC_PAGE_SHIFT 12
#define HC_PAGE_SIZE  (UINT64_C(1) << HC_PAGE_SHIFT)

#define HC_BIT(n)                          (UINT64_C(1) << (n))
#define HC_ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define HC_ALIGN_DOWN(x, a)                ((x) & ~((uint64_t)(a)-1))
#define HC_ALIGN_UP(x, a)                  HC_ALIGN_DOWN((x) + (uint64_t)(a)-1, a)
#define HC_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Bits hi..lo of v, both inclusive, moved down to bit 0. */
static inline uint64_t hc_bits(uint64_t v, unsigned hi, unsigned lo)
{
	return (v >> lo) & (~UINT64_C(0) >> (63 - (hi - lo)));
}

/* How many bits of v are 1. __builtin_popcount*() calls a library where the CPU has no instruction
 * for it, or one of its vector unit's only. */
static inline unsigned hc_count_bits(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(v * UINT64_C(0x0101010101010101) >> 56);
}

/* Words of 64 bits that a bitmap of so many bits takes. */
static inline uint64_t hc_bitmap_words(uint64_t bits)
{
	return (bits + 63) / 64;
}

static inline uint64_t hc_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t hc_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
