/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hypercore.conf and the command line: configurations are generated, written out as text in many
 * spellings and must come back unchanged; damaged text must be refused with a message that names
 * the place, or give a configuration within its bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/config.h"

/* The log keeps what the configuration's messages said. */
static char last_message[512];
static unsigned warnings;

static void keep(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static void keep(const char *fmt, va_list ap)
{
	vsnprintf(last_message, sizeof(last_message), fmt, ap);
}

int hc_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
	return err;
}

void hc_log(enum hc_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
	warnings++;
}

int hc_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return len;
}

/* --- Random numbers, the same in every run --- */

static uint64_t seed = 88172645463325252u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

/* --- Text from a configuration --- */

static const char *const serial_words[] = { "none", "log", "com1", "com2", "com3", "com4" };
static const char *const end_words[] = { "poweroff", "reset", "halt", "debug-exit" };

struct text {
	char bytes[32768];
	size_t len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->bytes + t->len, sizeof(t->bytes) - t->len, fmt, ap);
	va_end(ap);
	assert_true(t->len < sizeof(t->bytes));
}

static const char *space(void)
{
	static const char *const spaces[] = { "", " ", "\t", "  \t " };

	return spaces[below(4)];
}

static void add_setting(struct text *t, const char *key, const char *value)
{
	static const char *const ends[] = { "\n", "\r\n", "\n\n", " \n# x = y\n", "\n \t# [vm\n" };

	add(t, "%s%s%s=%s%s%s", space(), key, space(), space(), value, ends[below(5)]);
}

static void add_memory(struct text *t, uint64_t memory)
{
	static const char units[] = "\0kKmMgG";
	char value[32];
	unsigned shift;

	do {
		shift = below(4);
	} while (memory % (UINT64_C(1) << (10 * shift)) != 0);
	snprintf(value, sizeof(value), "%s%llu%c", below(2) ? "0" : "",
	         (unsigned long long)(memory >> (10 * shift)),
	         shift == 0 ? ' ' : units[2 * shift - below(2)]);
	add_setting(t, "memory", value);
}

/* What begins or ends with a blank or looks quoted has to be quoted; all else may be. */
static void add_append(struct text *t, const char *append)
{
	char value[BOARD_MAX_APPEND + 2];
	size_t len = strlen(append);
	bool must = len && (strchr(" \t\"", append[0]) || strchr(" \t\"", append[len - 1]));

	snprintf(value, sizeof(value), "\"%s\"", append);
	add_setting(t, "append", must || below(2) ? value : append);
}

static void add_devices(struct text *t, const struct machine_devices *d)
{
	char value[64];

	if (d->testdev)
		add_setting(t, "device", below(2) ? "testdev" : "pc-testdev");
	snprintf(value, sizeof(value), "isa-debug-exit,iosize=%u,iobase=%#x", d->debug_exit_size,
	         d->debug_exit);
	if (d->debug_exit_size)
		add_setting(t, "device", value);
}

static void add_vm(struct text *t, const struct board_vm_config *vm)
{
	char cpus[16];

	snprintf(cpus, sizeof(cpus), "%u", vm->cpus);
	add(t, "%s[%svm %s%s%s]%s\n", space(), space(), space(), vm->name, space(), space());
	add_memory(t, vm->memory);
	add_setting(t, "cpus", cpus);
	add_append(t, vm->append);
	add_setting(t, "serial1", serial_words[vm->serial[1]]);
	add_setting(t, "serial0", serial_words[vm->serial[0]]);
	if (vm->initrd[0])
		add_setting(t, "initrd", vm->initrd);
	add_devices(t, &vm->devices);
	add_setting(t, "kernel", vm->kernel);
}

static void add_global(struct text *t, const struct board_config *c)
{
	char console[32] = "none";

	if (c->console && c->console_framebuffer)
		snprintf(console, sizeof(console), below(2) ? "%1$s,%2$s" : "%2$s,%1$s",
		         serial_words[c->console], "framebuffer");
	else if (c->console || c->console_framebuffer)
		snprintf(console, sizeof(console), "%s",
		         c->console ? serial_words[c->console] : "framebuffer");
	add_setting(t, "backend", c->backend);
	add_setting(t, "console", console);
	add_setting(t, "end", end_words[c->end]);
	add_setting(t, "stats", c->stats ? "yes" : "no");
}

/* --- Random configurations --- */

static void random_word(char *out, size_t room)
{
	static const char chars[] = "abcxyzABCXYZ0189._-";
	size_t len = 1 + below((uint32_t)(below(8) ? 8 : room - 1));

	if (len > room - 1)
		len = room - 1;
	for (size_t i = 0; i < len; i++)
		out[i] = chars[below(sizeof(chars) - 1)];
	out[len] = '\0';
}

static void random_append(char *out, size_t room)
{
	size_t len = below((uint32_t)(below(8) ? 40 : room - 1));

	for (size_t i = 0; i < len; i++)
		out[i] = (char)('!' + below(94));
	if (len > 4)
		out[len / 2] = ' ';
	if (len > 4 && below(2))
		out[0] = out[len - 1] = below(2) ? ' ' : '"';
	out[len] = '\0';
}

static void random_vm(struct board_vm_config *vm, unsigned index)
{
	memset(vm, 0, sizeof(*vm));
	snprintf(vm->name, sizeof(vm->name), "%u-", index);
	random_word(vm->name + 2, sizeof(vm->name) - 2);
	random_word(vm->kernel, sizeof(vm->kernel));
	if (below(2))
		random_word(vm->initrd, sizeof(vm->initrd));
	random_append(vm->append, sizeof(vm->append));
	vm->memory = (1 + below(below(2) ? 512 : 524288)) * (2 * HC_MIB);
	vm->cpus = 1 + below(255);
	vm->serial[0] = (enum board_serial)below(6);
	vm->serial[1] = (enum board_serial)below(6);
	vm->devices.testdev = below(2);
	if (below(2)) {
		vm->devices.debug_exit_size = (uint8_t)(1u << below(3));
		vm->devices.debug_exit = (uint16_t)below(0xfff0);
	}
}

static void random_config(struct board_config *c)
{
	memset(c, 0, sizeof(*c));
	random_word(c->backend, sizeof(c->backend));
	c->console =
		below(2) ? (enum board_serial)(BOARD_SERIAL_COM1 + below(4)) : BOARD_SERIAL_NONE;
	c->console_framebuffer = below(2) != 0;
	c->end = (enum board_end)below(4);
	c->stats = below(2) != 0;
	c->vm_count = below(BOARD_MAX_VMS + 1);
	for (unsigned i = 0; i < c->vm_count; i++)
		random_vm(&c->vms[i], i);
}

static void assert_same(const struct board_config *a, const struct board_config *b)
{
	assert_string_equal(a->backend, b->backend);
	assert_int_equal(a->console, b->console);
	assert_int_equal(a->console_framebuffer, b->console_framebuffer);
	assert_int_equal(a->end, b->end);
	assert_int_equal(a->stats, b->stats);
	assert_int_equal(a->vm_count, b->vm_count);
	for (unsigned i = 0; i < a->vm_count; i++) {
		assert_string_equal(a->vms[i].name, b->vms[i].name);
		assert_string_equal(a->vms[i].kernel, b->vms[i].kernel);
		assert_string_equal(a->vms[i].initrd, b->vms[i].initrd);
		assert_string_equal(a->vms[i].append, b->vms[i].append);
		assert_int_equal(a->vms[i].memory, b->vms[i].memory);
		assert_int_equal(a->vms[i].cpus, b->vms[i].cpus);
		assert_int_equal(a->vms[i].serial[0], b->vms[i].serial[0]);
		assert_int_equal(a->vms[i].serial[1], b->vms[i].serial[1]);
		assert_int_equal(a->vms[i].devices.testdev, b->vms[i].devices.testdev);
		assert_int_equal(a->vms[i].devices.debug_exit, b->vms[i].devices.debug_exit);
		assert_int_equal(a->vms[i].devices.debug_exit_size,
		                 b->vms[i].devices.debug_exit_size);
	}
}

static int parse(struct board_config *c, const char *text, size_t len)
{
	/* A copy of exactly this size, so that the sanitizer sees reads behind the end. */
	char *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, text, len);
	last_message[0] = '\0';
	board_config_init(c);
	ret = board_config_parse(c, "t.conf", copy, len);
	free(copy);
	return ret;
}

static void written_configurations_come_back(void **state)
{
	static struct board_config in, out;
	static struct text t;

	for (int round = 0; round < 300; round++) {
		random_config(&in);
		t.len = 0;
		if (below(8) == 0)
			add(&t, "\xef\xbb\xbf");
		add_global(&t, &in);
		for (unsigned i = 0; i < in.vm_count; i++)
			add_vm(&t, &in.vms[i]);
		if (parse(&out, t.bytes, t.len) != 0)
			fail_msg("%s\n%.*s", last_message, (int)t.len, t.bytes);
		assert_same(&in, &out);
	}
}

static void defaults_hold_where_nothing_is_set(void **state)
{
	static struct board_config c;
	static const char text[] = "[vm a]\nkernel = k";

	assert_int_equal(parse(&c, text, sizeof(text) - 1), 0);
	assert_string_equal(c.backend, "auto");
	assert_int_equal(c.console, BOARD_SERIAL_COM1);
	assert_true(c.console_framebuffer);
	assert_int_equal(c.end, BOARD_END_POWEROFF);
	assert_false(c.stats);
	assert_int_equal(c.vm_count, 1);
	assert_string_equal(c.vms[0].initrd, "");
	assert_string_equal(c.vms[0].append, "");
	assert_int_equal(c.vms[0].cpus, 1);
	assert_int_equal(c.vms[0].serial[0], BOARD_SERIAL_LOG);
	assert_int_equal(c.vms[0].serial[1], BOARD_SERIAL_NONE);
	assert_int_equal(c.vms[0].memory % (2 * HC_MIB), 0);
}

static void mistakes_are_named(void **state)
{
	/* text, the line that is wrong, what the message must hold besides */
	static const struct {
		const char *text;
		int err;
		unsigned line;
		const char *holds;
	} cases[] = {
		{ "console = com9", -EPROTO, 1, "com1 to com4" },
		{ "console = com1,com2", -EPROTO, 1, "console" },
		{ "console = com1,", -EPROTO, 1, "console" },
		{ "console = framebuffer,framebuffer", -EPROTO, 1, "console" },
		{ "console = none,com1", -EPROTO, 1, "console" },
		{ "console = log", -EPROTO, 1, "console" },
		{ "console =", -EPROTO, 1, "console" },
		{ "\n\nend = off", -EPROTO, 3, "poweroff, reset, halt or debug-exit" },
		{ "stats = 1", -EPROTO, 1, "yes or no" },
		{ "backend = a b", -EPROTO, 1, "backend" },
		{ "backend = abcdefghijklmnop", -E2BIG, 1, "at most 15" },
		{ "backend = svm,svm", -EPROTO, 1, "two different ones" },
		{ "backend = auto,emu", -EPROTO, 1, "backend" },
		{ "backend = svm,", -EPROTO, 1, "backend" },
		{ "switch-every = 0ms", -EPROTO, 1, "100ms or 2s" },
		{ "[vm a]\nkernel = k\ntsc-hz = 2.5G", -EPROTO, 3, "a number of Hz such as" },
		{ "[vm a]\nkernel = k\ntsc-hz = 999000", -EPROTO, 3, "from 1 MHz to 100 GHz" },
		{ "[vm a]\nkernel = k\ntsc-hz = 2500000500", -EPROTO, 3, "whole kHz" },
		{ "[vm a]\nkernel = k\ntsc-hz = 100000001000", -EPROTO, 3,
		  "from 1 MHz to 100 GHz" },
		{ "[vm a]\nkernel = k\nlarge-pages = 2M", -EPROTO, 3, "yes or no" },
		{ "dirty-stats = 0s", -EPROTO, 1, "500ms or 1s" },
		{ "dirty-stats = yes", -EPROTO, 1, "500ms or 1s" },
		{ "switch-every = 100", -EPROTO, 1, "100ms or 2s" },
		{ "switch-every = 3601s", -EPROTO, 1, "100ms or 2s" },
		{ "# x\nwhat", -EPROTO, 2, "KEY = VALUE" },
		{ "kernel = k", -EPROTO, 1,
		  "before the first [vm NAME]: backend, switch-every, console, end, stats, "
		  "dirty-stats" },
		{ "[vm a]\nstats = yes\n", -EPROTO, 2,
		  "in a vm: kernel, initrd, append, memory, cpus, tsc-hz, large-pages, serial0, "
		  "serial1, "
		  "device" },
		{ "[vm a]\nmemory = 4M\n\n\n", -EPROTO, 1, "vm a has no kernel" },
		{ "[vm a]\n[vm b]\nkernel = k", -EPROTO, 1, "vm a has no kernel" },
		{ "[vm a]\nkernel = k\n[vm a]", -EPROTO, 3, "already" },
		{ "[vm]", -EPROTO, 1, "[vm debian]" },
		{ "[vm a", -EPROTO, 1, "[vm NAME]" },
		{ "[", -EPROTO, 1, "[vm NAME]" },
		{ "[]", -EPROTO, 1, "[vm NAME]" },
		{ "[disk a]", -EPROTO, 1, "[vm NAME]" },
		{ "[vm a/b]", -EPROTO, 1, "letters" },
		{ "[vm 01234567890123456789012345678901]", -E2BIG, 1, "at most 31" },
		{ "[vm a]\nkernel = /boot/k", -EPROTO, 2, "without a path" },
		{ "[vm a]\nkernel =", -EPROTO, 2, "without a path" },
		{ "[vm a]\nkernel = k\nkernel = l", -EPROTO, 3, "twice" },
		{ "[vm a]\nmemory = 512Q", -EPROTO, 2, "512M" },
		{ "[vm a]\nmemory = 512MB", -EPROTO, 2, "512M" },
		{ "[vm a]\nmemory = 0", -EPROTO, 2, "512M" },
		{ "[vm a]\nmemory = M", -EPROTO, 2, "512M" },
		{ "[vm a]\nmemory = -2M", -EPROTO, 2, "512M" },
		{ "[vm a]\nmemory = 3M", -EPROTO, 2, "multiple of 2M" },
		{ "[vm a]\nmemory = 1025G", -EPROTO, 2, "1024G" },
		{ "[vm a]\nmemory = 18446744073709551616", -EPROTO, 2, "1024G" },
		{ "[vm a]\nmemory = 17179869184G", -EPROTO, 2, "1024G" },
		{ "[vm a]\ncpus = 0", -EPROTO, 2, "1 to 255" },
		{ "[vm a]\ncpus = 256", -EPROTO, 2, "1 to 255" },
		{ "[vm a]\ncpus = 2 2", -EPROTO, 2, "1 to 255" },
		{ "[vm a]\ncpus = 4294967297", -EPROTO, 2, "1 to 255" },
		{ "[vm a]\nserial0 = com5", -EPROTO, 2, "com1, com2" },
		{ "[vm a]\ndevice = pci", -EPROTO, 2, "isa-debug-exit" },
		{ "[vm a]\ndevice = testdev\ndevice = testdev", -EPROTO, 3, "each once" },
		{ "[vm a]\nappend = a\x01", -EPROTO, 2, "control character" },
	};
	static struct board_config c;

	for (size_t i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		char place[16];

		snprintf(place, sizeof(place), "t.conf:%u: ", cases[i].line);
		assert_int_equal(parse(&c, cases[i].text, strlen(cases[i].text)), cases[i].err);
		if (strncmp(last_message, place, strlen(place)) != 0 ||
		    !strstr(last_message, cases[i].holds))
			fail_msg("\"%s\" gives \"%s\", without \"%s\" or \"%s\"", cases[i].text,
			         last_message, place, cases[i].holds);
	}
}

static void too_many_vms_and_too_long_texts(void **state)
{
	static struct board_config c;
	static struct text t;

	t.len = 0;
	for (int i = 0; i <= BOARD_MAX_VMS; i++)
		add(&t, "[vm v%d]\nkernel=k\n", i);
	assert_int_equal(parse(&c, t.bytes, t.len), -E2BIG);
	assert_non_null(strstr(last_message, "t.conf:17: "));
	assert_int_equal(c.vm_count, BOARD_MAX_VMS);

	for (size_t len = BOARD_MAX_APPEND - 1; len <= BOARD_MAX_APPEND; len++) {
		t.len = 0;
		add(&t, "[vm v]\nkernel=k\nappend=");
		memset(t.bytes + t.len, 'a', len);
		t.len += len;
		assert_int_equal(parse(&c, t.bytes, t.len), len < BOARD_MAX_APPEND ? 0 : -E2BIG);
	}
	assert_non_null(strstr(last_message, "append: 2048 bytes are too long, at most 2047"));
}

static void two_files_add_up(void **state)
{
	static struct board_config c;
	static const char first[] = "stats = yes\n[vm a]\nkernel = k\n";
	static const char second[] = "end = halt\n[vm b]\nkernel = k\n";

	assert_int_equal(parse(&c, first, sizeof(first) - 1), 0);
	assert_int_equal(board_config_parse(&c, "u", second, sizeof(second) - 1), 0);
	assert_true(c.stats);
	assert_int_equal(c.end, BOARD_END_HALT);
	assert_int_equal(c.vm_count, 2);
}

/* Everything that later code relies on. */
static void assert_in_bounds(const struct board_config *c)
{
	assert_true(strnlen(c->backend, sizeof(c->backend)) < sizeof(c->backend));
	assert_in_range(c->vm_count, 0, BOARD_MAX_VMS);
	assert_in_range(c->console, 0, BOARD_SERIAL_COM4);
	assert_int_not_equal(c->console, BOARD_SERIAL_LOG);
	assert_in_range(c->end, 0, BOARD_END_DEBUG_EXIT);
	for (unsigned i = 0; i < c->vm_count; i++) {
		const struct board_vm_config *vm = &c->vms[i];

		assert_in_range(strnlen(vm->name, sizeof(vm->name)), 1, sizeof(vm->name) - 1);
		assert_in_range(strnlen(vm->kernel, sizeof(vm->kernel)), 1, sizeof(vm->kernel) - 1);
		assert_true(strnlen(vm->initrd, sizeof(vm->initrd)) < sizeof(vm->initrd));
		assert_true(strnlen(vm->append, sizeof(vm->append)) < sizeof(vm->append));
		assert_in_range(vm->memory, 2 * HC_MIB, 1024 * HC_GIB);
		assert_int_equal(vm->memory % (2 * HC_MIB), 0);
		assert_in_range(vm->cpus, 1, 255);
		assert_in_range(vm->serial[0], 0, BOARD_SERIAL_COM4);
		assert_in_range(vm->serial[1], 0, BOARD_SERIAL_COM4);
	}
}

static void mutate(struct text *t)
{
	static const char spice[] = "=[]#,\n\r\t \0vm0KMG9\xff";

	for (unsigned n = 1 + below(4); n > 0 && t->len > 1; n--) {
		size_t at = below((uint32_t)t->len), len = 1 + below(8);

		if (at + len > t->len)
			len = t->len - at;
		switch (below(3)) {
		case 0: /* another byte */
			t->bytes[at] =
				below(2) ? spice[below(sizeof(spice) - 1)] : (char)below(256);
			break;
		case 1: /* a piece less */
			memmove(t->bytes + at, t->bytes + at + len, t->len - at - len);
			t->len -= len;
			break;
		default: /* a piece twice */
			if (t->len + len > sizeof(t->bytes))
				break;
			memmove(t->bytes + at + len, t->bytes + at, t->len - at);
			t->len += len;
			break;
		}
	}
}

static void damaged_text_is_refused_or_harmless(void **state)
{
	static struct board_config in, out;
	static struct text t;
	unsigned refused = 0;

	for (int round = 0; round < 4000; round++) {
		int ret;

		random_config(&in);
		if (in.vm_count > 2)
			in.vm_count = 2;
		t.len = 0;
		add_global(&t, &in);
		for (unsigned i = 0; i < in.vm_count; i++)
			add_vm(&t, &in.vms[i]);
		mutate(&t);
		ret = parse(&out, t.bytes, t.len);
		if (ret == 0) {
			assert_in_bounds(&out);
			continue;
		}
		refused++;
		assert_true(ret == -EPROTO || ret == -E2BIG);
		assert_int_equal(strncmp(last_message, "t.conf:", 7), 0);
	}
	/* Both kinds occurred. */
	assert_in_range(refused, 400, 3600);
}

static void noise_is_refused_or_harmless(void **state)
{
	static struct board_config c;
	char noise[200];

	for (int round = 0; round < 4000; round++) {
		size_t len = below(sizeof(noise));

		for (size_t i = 0; i < len; i++)
			noise[i] = (char)below(256);
		if (parse(&c, noise, len) == 0)
			assert_in_bounds(&c);
	}
}

static void two_backends_and_a_period(void **state)
{
	static struct board_config c;
	static const char text[] = "backend = svm , emu\nswitch-every = 2s\ndirty-stats = 500ms";

	assert_int_equal(parse(&c, text, sizeof(text) - 1), 0);
	assert_string_equal(c.backend, "svm");
	assert_string_equal(c.other, "emu");
	assert_int_equal(c.switch_ns, 2000000000);
	assert_int_equal(c.dirty_ns, 500000000);
	assert_int_equal(board_config_cmdline(&c, "backend=emu switch-every=150ms"), 0);
	assert_string_equal(c.backend, "emu");
	assert_string_equal(c.other, "");
	assert_int_equal(c.switch_ns, 150000000);
}

static void a_rate_of_the_tsc(void **state)
{
	static struct board_config c;
	static const char text[] = "[vm a]\nkernel = k\ntsc-hz = 2500001000\n[vm b]\nkernel = k";

	assert_int_equal(parse(&c, text, sizeof(text) - 1), 0);
	assert_int_equal(c.vms[0].tsc_hz, 2500001000);
	assert_int_equal(c.vms[1].tsc_hz, 0);
}

static void large_pages(void **state)
{
	static struct board_config c;
	static const char text[] = "[vm a]\nkernel = k\nlarge-pages = no\n"
				   "[vm b]\nkernel = k\nlarge-pages = yes\n[vm c]\nkernel = k";

	assert_int_equal(parse(&c, text, sizeof(text) - 1), 0);
	assert_false(c.vms[0].large_pages);
	assert_true(c.vms[1].large_pages);
	assert_true(c.vms[2].large_pages);
}

static void command_line_wins_over_the_file(void **state)
{
	static struct board_config c;
	static const char text[] = "console = com1\nstats = no\nend = halt";

	assert_int_equal(parse(&c, text, sizeof(text) - 1), 0);
	assert_int_equal(board_config_cmdline(&c, "  console=com2\tstats=yes\n"), 0);
	assert_int_equal(c.console, BOARD_SERIAL_COM2);
	assert_false(c.console_framebuffer);
	assert_true(c.stats);
	assert_int_equal(c.end, BOARD_END_HALT);
}

static void command_line_ignores_what_it_does_not_know(void **state)
{
	static struct board_config c;

	board_config_init(&c);
	warnings = 0;
	assert_int_equal(board_config_cmdline(&c, "quiet kernel=k end=reset a=b="), 0);
	assert_int_equal(warnings, 3);
	assert_int_equal(c.end, BOARD_END_RESET);

	assert_int_equal(board_config_cmdline(&c, ""), 0);
	assert_int_equal(board_config_cmdline(&c, "end=never"), -EPROTO);
	assert_non_null(strstr(last_message, "command line: end = never: should be poweroff"));
	assert_int_equal(c.end, BOARD_END_RESET);
}

/* The example of docs/board.md, as somebody would copy it. */
static void the_manuals_example_is_taken(void **state)
{
	static struct board_config c;
	static char text[1 << 16];
	FILE *file = fopen(HC_BOARD_MANUAL, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	char *example = strstr(text, "```\n# A comment"), *end = NULL;

	assert_non_null(example);
	example += 4;
	end = strstr(example, "```");
	assert_non_null(end);
	board_config_init(&c);
	if (board_config_parse(&c, "board.md", example, (size_t)(end - example)))
		fail_msg("%s", last_message);
	assert_int_equal(c.vm_count, 2);
	assert_int_equal(c.vms[1].devices.debug_exit, 0xf4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manuals_example_is_taken),
		cmocka_unit_test(written_configurations_come_back),
		cmocka_unit_test(defaults_hold_where_nothing_is_set),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(too_many_vms_and_too_long_texts),
		cmocka_unit_test(two_files_add_up),
		cmocka_unit_test(damaged_text_is_refused_or_harmless),
		cmocka_unit_test(noise_is_refused_or_harmless),
		cmocka_unit_test(two_backends_and_a_period),
		cmocka_unit_test(a_rate_of_the_tsc),
		cmocka_unit_test(large_pages),
		cmocka_unit_test(command_line_wins_over_the_file),
		cmocka_unit_test(command_line_ignores_what_it_does_not_know),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
