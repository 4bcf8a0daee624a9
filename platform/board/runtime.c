/* SPDX-License-Identifier: BSD-2-Clause */
/* What libfdt's archive calls beyond <hypercore/freestanding.h>. */
#include <stddef.h>
#include <stdint.h>

void *memchr(const void *s, int c, size_t n);
char *strrchr(const char *s, int c);

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
