/* SPDX-License-Identifier: BSD-2-Clause */
#include "machines/device_option.h"

#include <hypercore/freestanding.h>

/* A word of text that ends at a comma. */
struct word {
	const char *text;
	size_t len;
};

static struct word next_word(const char **text)
{
	struct word w = { *text, 0 };

	while (w.text[w.len] && w.text[w.len] != ',')
		w.len++;
	*text += w.len + (w.text[w.len] == ',');
	return w;
}

static bool is(struct word w, const char *name)
{
	return strlen(name) == w.len && memcmp(w.text, name, w.len) == 0;
}

/* Is w KEY=...? Leaves the value in it then. */
static bool take_key(struct word *w, const char *key)
{
	size_t n = strlen(key);

	if (w->len < n || memcmp(w->text, key, n) != 0)
		return false;
	w->text += n;
	w->len -= n;
	return true;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Decimal, or hexadecimal after 0x; up to 0xffff. */
static bool number(struct word w, uint16_t *out)
{
	int base = w.len > 2 && w.text[0] == '0' && (w.text[1] | 0x20) == 'x' ? 16 : 10;
	unsigned v = 0;

	if (!w.len)
		return false;
	for (size_t i = base == 16 ? 2 : 0; i < w.len; i++) {
		int d = digit(w.text[i]);

		if (d >= base)
			return false;
		v = v * (unsigned)base + (unsigned)d;
		if (v > 0xffff)
			return false;
	}
	*out = (uint16_t)v;
	return true;
}

static const char *debug_exit_option(struct word w, struct machine_devices *d)
{
	uint16_t size = 0;

	if (take_key(&w, "iobase="))
		return number(w, &d->debug_exit)
		               ? NULL
		               : "iobase wants a port number such as 0xf4, up to 0xffff";
	if (!take_key(&w, "iosize="))
		return "isa-debug-exit has the options iobase=PORT and iosize=1, 2 or 4";
	if (!number(w, &size) || (size != 1 && size != 2 && size != 4))
		return "iosize wants 1, 2 or 4";
	d->debug_exit_size = (uint8_t)size;
	return NULL;
}

static const char *add_debug_exit(const char *options, struct machine_devices *d)
{
	const char *wrong = NULL;

	if (d->debug_exit_size)
		return "there is one already";
	d->debug_exit = 0x501;
	d->debug_exit_size = 2;
	while (!wrong && *options)
		wrong = debug_exit_option(next_word(&options), d);
	if (!wrong && d->debug_exit + d->debug_exit_size > 0x10000)
		wrong = "ports end at 0xffff";
	return wrong;
}

const char *machine_add_device(struct machine_devices *devices, const char *text)
{
	struct machine_devices d = *devices;
	struct word name = next_word(&text);
	const char *wrong = "wants " MACHINE_DEVICE_WORDS;

	if (is(name, "isa-debug-exit")) {
		wrong = add_debug_exit(text, &d);
	} else if (is(name, "testdev") || is(name, "pc-testdev")) {
		wrong = *text ? "testdev has no options" : NULL;
		wrong = d.testdev ? "there is one already" : wrong;
		d.testdev = true;
	}
	if (!wrong)
		*devices = d;
	return wrong;
}
