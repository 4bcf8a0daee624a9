/* SPDX-License-Identifier: BSD-2-Clause */
/* The log's ring and sinks, output locks, and guests' serial output as log lines. */
#include <stdlib.h>
#include <string.h>

#include "core/sched.h"
#include "platform/board/console.h"
#include "platform/board/log_chardev.h"
#include "platform/board/output_lock.h"
#include "tests/unit.h"

static uint64_t seed = 7046029254386353131u;

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_below(&seed, n);
}

/* --- A platform of one CPU that remembers --- */

struct text {
	char *data;
	size_t len;
};

static struct text logged;
static struct hc_cpu cpu;

static void add_line(struct text *t, const char *line, size_t len)
{
	t->data = realloc(t->data, t->len + len + 1);
	memcpy(t->data + t->len, line, len);
	t->data[t->len + len] = '\n';
	t->len += len + 1;
}

static void forget(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}

bool hc_platform_irq_disable(void)
{
	return false;
}

void hc_platform_irq_restore(bool enabled)
{
}

struct hc_cpu *hc_platform_this_cpu(void)
{
	return &cpu;
}

void hc_platform_relax(void)
{
	fail_msg("a lock is waited for that nobody will release");
}

void hc_platform_log(const char *line, size_t len)
{
	add_line(&logged, line, len);
}

/* --- Tests --- */

static void sink(void *arg, const char *line, size_t len)
{
	add_line(arg, line, len);
}

static void random_line(char *line, size_t *len)
{
	*len = below(200);
	for (size_t i = 0; i < *len; i++)
		line[i] = (char)(' ' + below(95));
}

static void write_lines(struct text *all, unsigned count)
{
	char line[200];
	size_t len;

	while (count--) {
		random_line(line, &len);
		console_line(line, len);
		add_line(all, line, len);
	}
}

/* The longest end of all that consists of whole lines and fits into the ring, but for the oldest
 * line, whose beginning may be lost. */
static const char *replayable(const struct text *all)
{
	const char *p = all->data;

	if (all->len <= CONSOLE_RING)
		return p;
	p += all->len - CONSOLE_RING;
	return strchr(p, '\n') + 1;
}

static void ring_is_replayed(void **state)
{
	static const unsigned counts[] = { 40, 50, 900, 5 };
	struct text all = { 0 }, seen[HC_ARRAY_SIZE(counts)] = { 0 };
	const char *expected[HC_ARRAY_SIZE(counts)];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(counts); i++) {
		write_lines(&all, counts[i]);
		all.data = realloc(all.data, all.len + 1);
		all.data[all.len] = '\0';
		expected[i] = strdup(replayable(&all));
		console_attach(sink, &seen[i]);
		assert_int_equal(seen[i].len, strlen(expected[i]));
		assert_memory_equal(seen[i].data, expected[i], seen[i].len);
	}
	assert_int_equal(console_sink_count(), HC_ARRAY_SIZE(counts));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(counts); i++)
		forget(&seen[i]);
	/* From now on all sinks get every line. */
	forget(&all);
	write_lines(&all, 100);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(counts); i++) {
		assert_int_equal(seen[i].len, all.len);
		assert_memory_equal(seen[i].data, all.data, all.len);
		forget(&seen[i]);
		free((void *)(uintptr_t)expected[i]);
	}
	forget(&all);
}

/* As when an NMI handler prints, and, after the locks were broken, in a panic. */
static void owner_enters_again(void **state)
{
	struct output_lock lock = { 0 };
	struct output_hold outer = output_enter(&lock), inner = output_enter(&lock);

	assert_true(outer.taken);
	assert_false(inner.taken);
	output_leave(&lock, inner);
	inner = output_enter(&lock);
	assert_false(inner.taken);
	output_leave(&lock, inner);
	output_leave(&lock, outer);
	outer = output_enter(&lock);
	assert_true(outer.taken);

	cpu.id = 5; /* another CPU, while the first is stopped */
	output_break_locks();
	inner = output_enter(&lock);
	assert_false(inner.taken);
	output_leave(&lock, inner);
	cpu.id = 0;
	output_leave(&lock, outer);
}

static void guest_output_becomes_lines(void **state)
{
	static const char text[] = "boot\r\n\x1b[1mbold\x07\ttab\nno end";
	struct log_chardev l;

	log_chardev_init(&l, "a-name-of-thirty-one-characters");
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		l.chr.write(&l.chr, (const uint8_t *)text + i, 1);
	log_chardev_flush(&l);
	log_chardev_flush(&l);
	add_line(&logged, "", 0);
	logged.data[logged.len - 1] = '\0';
	assert_string_equal(logged.data, "a-name-of-thirty-one-characters: boot\n"
	                                 "a-name-of-thirty-one-characters: [1mbold\ttab\n"
	                                 "a-name-of-thirty-one-characters: no end\n");
	forget(&logged);
}

/* Nothing printable is lost or reordered, and no line is longer than the log takes. */
static void random_guest_output(void **state)
{
	struct log_chardev l;
	char kept[20000];
	size_t count = 0, at = 0;

	log_chardev_init(&l, "vm");
	for (unsigned i = 0; i < 19000; i++) {
		uint8_t c = (uint8_t)below(256);

		if (below(300) == 0)
			c = '\n';
		l.chr.write(&l.chr, &c, 1);
		if (c >= ' ' || c == '\t')
			kept[count++] = (char)c;
	}
	log_chardev_flush(&l);
	for (size_t i = 0; i < logged.len;) {
		const char *end = memchr(logged.data + i, '\n', logged.len - i);
		size_t len = (size_t)(end - (logged.data + i));

		assert_true(len <= 255);
		assert_memory_equal(logged.data + i, "vm: ", 4);
		assert_true(at + len - 4 <= count);
		assert_memory_equal(logged.data + i + 4, kept + at, len - 4);
		at += len - 4;
		i += len + 1;
	}
	assert_int_equal(at, count);
	forget(&logged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_is_replayed),
		cmocka_unit_test(owner_enters_again),
		cmocka_unit_test(guest_output_becomes_lines),
		cmocka_unit_test(random_guest_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
