/* SPDX-License-Identifier: BSD-2-Clause */
/* Text on the console, and the few string functions that this takes. */
#ifndef CONFORMANCE_GUEST_PRINT_H
#define CONFORMANCE_GUEST_PRINT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* %s %c %d %u %x with l and ll, a width, 0 before it, and # before x; nothing else. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_list(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
/* One CPU's lines at a time. Not to be nested. */
void print_lock(void);
void print_unlock(void);

size_t strlen(const char *text);
int strncmp(const char *a, const char *b, size_t most);
void *memset(void *to, int byte, size_t bytes);
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
