/* SPDX-License-Identifier: BSD-2-Clause */
/* What libfdt's archive and the compiler call beyond <hypercore/freestanding.h>. */
#include <stddef.h>
#include <stdint.h>

void *memchr(const void *s, int c, size_t n);
char *strrchr(const char *s, int c);
int __popcountdi2(uint64_t v);

void *memchr(const void *s, int c, size_t n)
{
	const uint8_t *p = s;

	for (; n; p++, n--)
		if (*p == (uint8_t)c)
			return (void *)(uintptr_t)p;
	return NULL;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do {
		if (*s == (char)c)
			last = s;
	} while (*s++);
	return (char *)(uintptr_t)last;
}

/* __builtin_popcount*(), where the instruction for it is one of the vector unit's. */
int __popcountdi2(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (int)(v * UINT64_C(0x0101010101010101) >> 56);
}
