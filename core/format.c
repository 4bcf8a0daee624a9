/* SPDX-License-Identifier: BSD-2-Clause */
/* Formatted text without a libc and without floating point. */
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "core/log.h"

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	bool left, zero, plus, space, alt;
	int width, precision; /* precision -1: none given */
	char length;          /* 'H' hh, 'h', 'l', 'L' ll, 'z', 0 */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_padded(struct out *o, const struct spec *s, const char *text, int len)
{
	if (!s->left)
		pad(o, ' ', s->width - len);
	for (int i = 0; i < len; i++)
		put(o, text[i]);
	if (s->left)
		pad(o, ' ', s->width - len);
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	if (!text)
		text = "(null)";
	size_t max = s->precision < 0 ? 4096 : (size_t)s->precision;

	put_padded(o, s, text, (int)strnlen(text, max));
}

/* digits holds the number without sign or prefix. */
static void put_number(struct out *o, const struct spec *s, const char *prefix, const char *digits,
                       int count)
{
	int prefix_len = (int)strlen(prefix);
	int zeros = s->precision > count ? s->precision - count : 0;

	if (s->zero && !s->left && s->precision < 0 && s->width > prefix_len + count)
		zeros = s->width - prefix_len - count;
	int total = prefix_len + zeros + count;

	if (!s->left)
		pad(o, ' ', s->width - total);
	for (int i = 0; i < prefix_len; i++)
		put(o, prefix[i]);
	pad(o, '0', zeros);
	for (int i = 0; i < count; i++)
		put(o, digits[i]);
	if (s->left)
		pad(o, ' ', s->width - total);
}

static void put_unsigned(struct out *o, const struct spec *s, uint64_t v, unsigned base, bool upper,
                         const char *prefix)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[24];
	int at = (int)sizeof(digits);

	if (s->alt && base == 16 && v)
		prefix = upper ? "0X" : "0x";
	if (s->alt && base == 8)
		prefix = "0";
	while (v || (at == (int)sizeof(digits) && s->precision != 0)) {
		digits[--at] = set[v % base];
		v /= base;
	}
	put_number(o, s, prefix, digits + at, (int)sizeof(digits) - at);
}

static int64_t take_signed(char length, va_list *ap)
{
	switch (length) {
	case 'H': return (signed char)va_arg(*ap, int);
	case 'h': return (short)va_arg(*ap, int);
	case 'l': return va_arg(*ap, long);
	case 'L': return va_arg(*ap, long long);
	case 'z': return va_arg(*ap, ptrdiff_t);
	default: return va_arg(*ap, int);
	}
}

static uint64_t take_unsigned(char length, va_list *ap)
{
	switch (length) {
	case 'H': return (unsigned char)va_arg(*ap, unsigned);
	case 'h': return (unsigned short)va_arg(*ap, unsigned);
	case 'l': return va_arg(*ap, unsigned long);
	case 'L': return va_arg(*ap, unsigned long long);
	case 'z': return va_arg(*ap, size_t);
	default: return va_arg(*ap, unsigned);
	}
}

static void put_signed(struct out *o, const struct spec *s, int64_t v)
{
	const char *sign = v < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";

	put_unsigned(o, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, false, sign);
}

static const char *parse_count(const char *f, int *out, va_list *ap)
{
	if (*f == '*') {
		*out = va_arg(*ap, int);
		return f + 1;
	}
	*out = 0;
	for (; *f >= '0' && *f <= '9'; f++)
		*out = *out * 10 + (*f - '0');
	return f;
}

static const char *parse_flags(const char *f, struct spec *s)
{
	for (;; f++) {
		switch (*f) {
		case '-': s->left = true; break;
		case '0': s->zero = true; break;
		case '+': s->plus = true; break;
		case ' ': s->space = true; break;
		case '#': s->alt = true; break;
		default: return f;
		}
	}
}

static const char *parse_length(const char *f, struct spec *s)
{
	if (*f != 'h' && *f != 'l' && *f != 'z')
		return f;
	s->length = *f++;
	if (*f == s->length && *f != 'z') {
		s->length = *f == 'h' ? 'H' : 'L';
		f++;
	}
	return f;
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
	*s = (struct spec){ .precision = -1 };
	f = parse_flags(f, s);
	f = parse_count(f, &s->width, ap);
	if (s->width < 0) {
		s->left = true;
		s->width = -s->width;
	}
	if (*f == '.')
		f = parse_count(f + 1, &s->precision, ap);
	return parse_length(f, s);
}

static void convert(struct out *o, struct spec *s, char conversion, va_list *ap)
{
	char c;

	switch (conversion) {
	case 'd':
	case 'i': put_signed(o, s, take_signed(s->length, ap)); break;
	case 'u': put_unsigned(o, s, take_unsigned(s->length, ap), 10, false, ""); break;
	case 'x':
	case 'X':
		put_unsigned(o, s, take_unsigned(s->length, ap), 16, conversion == 'X', "");
		break;
	case 'o': put_unsigned(o, s, take_unsigned(s->length, ap), 8, false, ""); break;
	case 'p':
		s->alt = true;
		put_unsigned(o, s, (uintptr_t)va_arg(*ap, void *), 16, false, "");
		break;
	case 's': put_string(o, s, va_arg(*ap, const char *)); break;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_padded(o, s, &c, 1);
		break;
	case '%': put(o, '%'); break;
	default: /* not one of ours: shown as it stands */
		put(o, '%');
		put(o, conversion);
		break;
	}
}

int hc_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .buf = buf, .size = size };
	struct spec s;
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		if (*fmt != '%') {
			put(&o, *fmt++);
			continue;
		}
		fmt = parse_spec(fmt + 1, &s, &args);
		if (!*fmt)
			break;
		convert(&o, &s, *fmt++, &args);
	}
	va_end(args);
	if (size)
		buf[o.len < size ? o.len : size - 1] = '\0';
	return (int)o.len;
}

int hc_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = hc_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
