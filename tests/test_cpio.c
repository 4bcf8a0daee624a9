/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cpio reader against archives made here, member by member, against the cpio tool's output
 * where the tool is installed, and against damaged archives.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/cpio.h"

int hc_error(int err, const char *fmt, ...)
{
	return err;
}

static uint64_t seed = 1442695040888963407u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

/* --- An archive and what is in it --- */

#define MAX_FILES 8

struct file {
	char name[32];
	uint8_t data[600];
	size_t size;
};

struct archive {
	char bytes[16384];
	size_t len;
};

static void add_padding(struct archive *a)
{
	while (a->len % 4 != 0)
		a->bytes[a->len++] = '\0';
}

static void add_member(struct archive *a, unsigned mode, const char *name, const void *data,
                       size_t size)
{
	bool upper = below(2) != 0;
	size_t name_size = strlen(name) + 1;

	snprintf(a->bytes + a->len, 111,
	         "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", below(99), mode, 0,
	         0, 1, 0x5eadbeef, (unsigned)size, 8, 1, 0, 0, (unsigned)name_size, 0);
	for (size_t i = 0; i < 110 && upper; i++)
		a->bytes[a->len + i] = (char)toupper(a->bytes[a->len + i]);
	a->len += 110;
	memcpy(a->bytes + a->len, name, name_size);
	a->len += name_size;
	add_padding(a);
	if (size != 0)
		memcpy(a->bytes + a->len, data, size);
	a->len += size;
	add_padding(a);
}

static unsigned random_files(struct file *files)
{
	unsigned count = below(MAX_FILES + 1);

	for (unsigned i = 0; i < count; i++) {
		snprintf(files[i].name, sizeof(files[i].name), "%.*s%u", (int)below(20),
		         "abcdefghijklmnopqrst", i);
		files[i].size = below(3) ? below(sizeof(files[i].data) + 1) : 0;
		for (size_t j = 0; j < files[i].size; j++)
			files[i].data[j] = (uint8_t)below(256);
	}
	return count;
}

/* --- What the reader said --- */

struct seen {
	const struct file *expected;
	unsigned count, stop_at;
	const char *start, *end;
};

static int check_member(void *arg, const char *name, const void *data, size_t size)
{
	struct seen *s = arg;
	const struct file *f = &s->expected[s->count++];

	assert_string_equal(name, f->name);
	assert_int_equal(size, f->size);
	if (size != 0)
		assert_memory_equal(data, f->data, size);
	return s->count == s->stop_at ? 77 : 0;
}

static int touch_member(void *arg, const char *name, const void *data, size_t size)
{
	struct seen *s = arg;
	const char *bytes = data;

	s->count++;
	assert_true(name >= s->start && name + strlen(name) < s->end);
	assert_true(bytes >= s->start && bytes + size <= s->end);
	return 0;
}

/* On a copy of exactly this size, so that the sanitizer sees reads behind the end. */
static int read_copy(const char *bytes, size_t len,
                     int (*fn)(void *, const char *, const void *, size_t), struct seen *s)
{
	char *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	s->start = copy;
	s->end = copy + len;
	ret = cpio_each(copy, len, fn, s);
	free(copy);
	return ret;
}

static void make_archive(struct archive *a, const struct file *files, unsigned count)
{
	char name[40];

	a->len = 0;
	add_member(a, 0040755, ".", NULL, 0);
	for (unsigned i = 0; i < count; i++) {
		if (below(4) == 0)
			add_member(a, 0120777, "link", "elsewhere", 9);
		snprintf(name, sizeof(name), "%s%s", below(2) ? "./" : "", files[i].name);
		add_member(a, 0100644, name, files[i].data, files[i].size);
	}
	add_member(a, 0, "TRAILER!!!", NULL, 0);
}

static void members_come_back(void **state)
{
	static struct file files[MAX_FILES];
	static struct archive a;

	for (int round = 0; round < 500; round++) {
		unsigned count = random_files(files);
		struct seen s = { .expected = files };

		make_archive(&a, files, count);
		assert_int_equal(read_copy(a.bytes, a.len, check_member, &s), 0);
		assert_int_equal(s.count, count);

		/* The caller can end the walk. */
		if (count > 0) {
			s = (struct seen){ .expected = files, .stop_at = 1 + below(count) };
			assert_int_equal(read_copy(a.bytes, a.len, check_member, &s), 77);
			assert_int_equal(s.count, s.stop_at);
		}
	}
}

static void every_shorter_archive_is_refused(void **state)
{
	static struct file files[MAX_FILES];
	static struct archive a;

	for (int round = 0; round < 5; round++) {
		unsigned count = random_files(files);
		size_t needed;

		make_archive(&a, files, count);
		/* The trailer's name is complete without the padding behind it. */
		needed = a.len - (124 - 110 - sizeof("TRAILER!!!"));
		for (size_t len = 0; len < a.len; len++) {
			struct seen s = { .expected = files };

			assert_int_equal(read_copy(a.bytes, len, check_member, &s),
			                 len < needed ? -EPROTO : 0);
		}
	}
}

static void damaged_archives_stay_in_bounds(void **state)
{
	static const char spice[] = "0f7F\0 g";
	static struct file files[MAX_FILES];
	static struct archive a;
	unsigned refused = 0;

	for (int round = 0; round < 5000; round++) {
		unsigned count = random_files(files);
		struct seen s = { 0 };
		int ret;

		make_archive(&a, files, count > 3 ? 3 : count);
		for (unsigned n = 1 + below(6); n > 0; n--) {
			size_t at = below((uint32_t)a.len);

			/* Mostly in the first headers: there it matters. */
			if (below(4) != 0)
				at %= 256;
			a.bytes[at] = below(2) ? spice[below(sizeof(spice) - 1)] : (char)below(256);
		}
		ret = read_copy(a.bytes, a.len, touch_member, &s);
		assert_true(ret == 0 || ret == -EPROTO);
		refused += ret != 0;
	}
	assert_in_range(refused, 500, 4900);
}

static void huge_sizes_do_not_wrap(void **state)
{
	static struct archive a;
	static const size_t fields[] = { 54, 94 }; /* filesize, namesize */

	for (size_t f = 0; f < 2; f++) {
		for (uint32_t v = 0xfffffff0; v != 0; v++) {
			struct seen s = { 0 };
			char digits[9];

			a.len = 0;
			add_member(&a, 0100644, "x", "data", 4);
			add_member(&a, 0, "TRAILER!!!", NULL, 0);
			snprintf(digits, sizeof(digits), "%08x", v);
			memcpy(a.bytes + fields[f], digits, 8);
			assert_int_equal(read_copy(a.bytes, a.len, touch_member, &s), -EPROTO);
			assert_int_equal(s.count, 0);
		}
	}
}

/* --- The tool --- */

static void write_file(const char *dir, const struct file *f)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%.31s", dir, f->name);
	out = fopen(path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(f->data, 1, f->size, out), f->size);
	assert_int_equal(fclose(out), 0);
}

static void the_tools_archives_are_read(void **state)
{
	static struct file files[MAX_FILES];
	static struct archive a;
	char dir[] = "/tmp/test_cpio.XXXXXX", command[512];
	unsigned count;
	int len;
	FILE *pipe;

	if (system("command -v cpio >/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	do {
		count = random_files(files);
	} while (count < 3);
	len = snprintf(command, sizeof(command), "cd %s && mkdir sub && printf '%%s\\n' . sub",
	               dir);
	for (unsigned i = 0; i < count; i++) {
		write_file(dir, &files[i]);
		len += snprintf(command + len, sizeof(command) - (size_t)len, " %s", files[i].name);
	}
	snprintf(command + len, sizeof(command) - (size_t)len, " | cpio -o -H newc --quiet");
	pipe = popen(command, "r");
	assert_non_null(pipe);
	a.len = fread(a.bytes, 1, sizeof(a.bytes), pipe);
	assert_int_equal(pclose(pipe), 0);

	struct seen s = { .expected = files };

	assert_int_equal(read_copy(a.bytes, a.len, check_member, &s), 0);
	assert_int_equal(s.count, count);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_come_back),
		cmocka_unit_test(every_shorter_archive_is_refused),
		cmocka_unit_test(damaged_archives_stay_in_bounds),
		cmocka_unit_test(huge_sizes_do_not_wrap),
		cmocka_unit_test(the_tools_archives_are_read),
	};

	return cmocka_run_group_tests_name("cpio", tests, NULL, NULL);
}
