/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only library functions that the hypervisor's own code may call: those that the compiler
 * itself emits calls to, and a few on strings. Hosted builds take them from libc, a board supplies
 * them (platform/board).
 */
#ifndef HYPERCORE_FREESTANDING_H
#define HYPERCORE_FREESTANDING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

#endif
