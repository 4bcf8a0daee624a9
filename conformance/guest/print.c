/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/print.h"
#include "guest/arch.h"

#include <stdatomic.h>

struct directive {
	unsigned int width;
	unsigned int longs; /* how many l */
	char pad;
	bool prefix; /* # */
};

static atomic_flag lock = ATOMIC_FLAG_INIT;

void print_lock(void)
{
	while (atomic_flag_test_and_set(&lock))
		arch_relax();
}

void print_unlock(void)
{
	atomic_flag_clear(&lock);
}

static void put(char c)
{
	if (c == '\n')
		arch_console_put('\r');
	arch_console_put(c);
}

static void put_string(const char *text, unsigned int width)
{
	size_t length = strlen(text);

	for (; *text; text++)
		put(*text);
	for (; length < width; length++)
		put(' ');
}

static void put_number(uint64_t value, unsigned int base, const struct directive *directive)
{
	char digits[24];
	unsigned int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (directive->prefix)
		put_string("0x", 0);
	for (unsigned int n = count; n < directive->width; n++)
		put(directive->pad);
	while (count)
		put(digits[--count]);
}

static const char *read_directive(const char *at, struct directive *directive)
{
	*directive = (struct directive){ .pad = ' ' };
	if (*at == '#') {
		directive->prefix = true;
		at++;
	}
	if (*at == '0') {
		directive->pad = '0';
		at++;
	}
	for (; *at >= '0' && *at <= '9'; at++)
		directive->width = directive->width * 10 + (unsigned int)(*at - '0');
	for (; *at == 'l'; at++)
		directive->longs++;
	return at;
}

void print_list(const char *format, va_list arguments)
{
	struct directive directive;
	int64_t number;

	for (const char *at = format; *at; at++) {
		if (*at != '%') {
			put(*at);
			continue;
		}
		at = read_directive(at + 1, &directive);
		switch (*at) {
		case 's': put_string(va_arg(arguments, const char *), directive.width); break;
		case 'c': put((char)va_arg(arguments, int)); break;
		case 'd':
			number = directive.longs ? va_arg(arguments, long) : va_arg(arguments, int);
			if (number < 0)
				put('-');
			put_number(number < 0 ? -(uint64_t)number : (uint64_t)number, 10,
			           &directive);
			break;
		case 'u':
		case 'x':
			put_number(directive.longs ? va_arg(arguments, unsigned long)
			                           : va_arg(arguments, unsigned int),
			           *at == 'x' ? 16 : 10, &directive);
			break;
		default: put(*at); break;
		}
	}
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strncmp(const char *a, const char *b, size_t most)
{
	for (; most; most--, a++, b++)
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

void *memset(void *to, int byte, size_t bytes)
{
	volatile unsigned char *at = to;

	while (bytes--)
		*at++ = (unsigned char)byte;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	return memmove(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
	volatile unsigned char *at = to;
	const volatile unsigned char *source = from;

	if (at <= source) {
		while (bytes--)
			*at++ = *source++;
	} else {
		while (bytes--)
			at[bytes] = source[bytes];
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const volatile unsigned char *left = a, *right = b;

	for (; bytes; bytes--, left++, right++)
		if (*left != *right)
			return *left - *right;
	return 0;
}
