/* SPDX-License-Identifier: BSD-2-Clause */
/* The devices that test kernels know from QEMU and Bochs, and the words that ask for them. */
#include <hypercore/errno.h>
#include <string.h>

#include "devices/exit_port.h"
#include "devices/pc_testdev.h"
#include "devices/shutdown_port.h"
#include "machines/device_option.h"
#include "tests/devices_env.h"
#include "tests/fake.h"

/* Runs the VM if it does not, so that it can be stopped; the cause of its end. */
static enum hc_stop_cause cause(struct env *e)
{
	fake_run_cpu(0);
	return hc_vm_cause(e->vm);
}

/* --- isa-debug-exit --- */

static void exit_statuses(void **state)
{
	static const struct {
		unsigned size;
		uint64_t value;
		unsigned status;
	} cases[] = {
		{ 1, 0, 1 },    { 1, 1, 3 },    { 2, 0x10, 0x21 },       { 4, 0x7f, 0xff },
		{ 4, 0x80, 1 }, { 1, 0x81, 3 }, { 4, 0x12345678, 0xf1 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		struct env *e = i ? (env_end(0), env_begin(0)) : *state;

		*state = e;
		assert_int_equal(debug_exit_create(e->vm, 0xf4, 4), 0);
		assert_int_equal(env_port_in(e, 0xf4, 4), 0);
		assert_int_equal(hc_vm_start(e->vm), 0);
		env_port_out(e, 0xf4, cases[i].size, cases[i].value);
		assert_int_equal(cause(e), HC_STOP_EXIT);
		assert_int_equal(hc_vm_status(e->vm), cases[i].status);
	}
}

static void exit_ports(void **state)
{
	struct env *e = *state;

	assert_int_equal(debug_exit_create(e->vm, 0xf4, 3), -EINVAL);
	assert_int_equal(debug_exit_create(e->vm, 0xf4, 0), -EINVAL);
	assert_int_equal(debug_exit_create(e->vm, 0xffff, 2), -EINVAL);
	assert_int_equal(debug_exit_create(e->vm, 0xfffe, 2), 0);
	assert_int_equal(debug_exit_create(e->vm, 0xffff, 1), -EEXIST);
	test_fail_alloc = 1;
	assert_int_equal(debug_exit_create(e->vm, 0x501, 2), -ENOMEM);
}

/* --- "Shutdown" --- */

static void say(struct env *e, const char *text)
{
	for (; *text; text++)
		env_port_out(e, 0x8900, 1, (uint8_t)*text);
}

static void the_word_alone_shuts_down(void **state)
{
	static const struct {
		const char *text;
		enum hc_stop_cause cause;
	} cases[] = {
		{ "Shutdown", HC_STOP_POWEROFF },   { "ShutShutdown", HC_STOP_POWEROFF },
		{ "SShutdown", HC_STOP_POWEROFF },  { "xShutdowny", HC_STOP_POWEROFF },
		{ "Shutdow", HC_STOP_NONE },        { "shutdown", HC_STOP_NONE },
		{ "Shut down", HC_STOP_NONE },      { "hutdown", HC_STOP_NONE },
		{ "ShutdowShutdow", HC_STOP_NONE },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		struct env *e = i ? (env_end(0), env_begin(0)) : *state;

		*state = e;
		assert_int_equal(shutdown_port_create(e->vm), 0);
		assert_int_equal(env_port_in(e, 0x8900, 1), 0xff);
		assert_int_equal(hc_vm_start(e->vm), 0);
		say(e, cases[i].text);
		assert_int_equal(cause(e), cases[i].cause);
	}
}

/* --- pc-testdev --- */

static uint64_t load(struct env *e, uint64_t at, unsigned size)
{
	uint64_t v;

	hc_bus_read(e->vm, HC_SPACE_MEMORY, 0xff000000 + at, size, &v);
	return v;
}

static void store(struct env *e, uint64_t at, unsigned size, uint64_t v)
{
	hc_bus_write(e->vm, HC_SPACE_MEMORY, 0xff000000 + at, size, v);
}

static uint64_t part_of(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

/* Ports and memory against arrays of bytes. */
static void reads_as_written(void **state)
{
	static uint8_t memory[1 << 16];
	uint8_t port[4] = { 0 };
	struct env *e = *state;
	uint64_t seed = 99;

	memset(memory, 0, sizeof(memory));
	assert_int_equal(pc_testdev_create(e->vm), 0);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned size = 1u << test_below(&seed, 3), wide = 1u << test_below(&seed, 4);
		unsigned at = (unsigned)test_below(&seed, 4 / size) * size;
		uint64_t gpa = test_below(&seed, sizeof(memory) / wide) * wide;
		uint64_t v = test_random(&seed);
		uint16_t base = test_below(&seed, 2) ? 0xe0 : 0xe8;

		memcpy(port + at, &v, size);
		memcpy(memory + gpa, &v, wide);
		env_port_out(e, (uint16_t)(base + at), size, v);
		store(e, gpa, wide, v);
		at = (unsigned)test_below(&seed, 4 / size) * size;
		gpa = test_below(&seed, sizeof(memory) / wide) * wide;
		assert_int_equal(env_port_in(e, (uint16_t)(0xe0 + at), size),
		                 part_of(port + at, size));
		assert_int_equal(env_port_in(e, (uint16_t)(0xe8 + at), size),
		                 part_of(port + at, size));
		assert_int_equal(load(e, gpa, wide), part_of(memory + gpa, wide));
	}
	hc_devices_reset(e->vm);
	assert_int_equal(env_port_in(e, 0xe0, 4), 0);
	assert_int_equal(load(e, 0, 8), 0);
}

static void lines(void **state)
{
	struct env *e = *state;

	assert_int_equal(pc_testdev_create(e->vm), 0);
	for (unsigned n = 0; n < 24; n++) {
		env_port_out(e, (uint16_t)(0x2000 + n), 1, 0x80);
		assert_true(env_line(e, n));
		env_port_out(e, (uint16_t)(0x2000 + n), 1, 1);
		assert_int_equal(e->rises[n], 1);
		env_port_out(e, (uint16_t)(0x2000 + n), 1, 0);
		assert_false(env_line(e, n));
		assert_int_equal(e->vm->irq.levels, 0);
	}
	/* Wider accesses are a byte for each line. */
	env_port_out(e, 0x2004, 4, 0x00010001);
	assert_int_equal(e->vm->irq.levels, 0x50);
	hc_devices_reset(e->vm);
	assert_int_equal(e->vm->irq.levels, 0);
	assert_int_equal(env_port_in(e, 0x2018, 1), 0xff);
}

/* The page's address may be anything. */
static void flushes(void **state)
{
	struct env *e = *state;
	static const uint32_t pages[] = { 0, 0x1000, 0x1fff, 0x200000, 0xfee00000, UINT32_MAX };
	uint32_t before = 0x1234, after = 0;

	assert_int_equal(hc_vm_add_ram(e->vm, gpa_of(0), 2 * HC_MIB), 0);
	assert_int_equal(hc_mem_write(e->vm, gpa_of(0x1000), &before, 4), 0);
	assert_int_equal(pc_testdev_create(e->vm), 0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(pages); i++)
		for (unsigned size = 1; size <= 4; size *= 2)
			env_port_out(e, 0xe4, size, pages[i]);
	assert_int_equal(env_port_in(e, 0xe4, 4), UINT32_MAX);
	assert_int_equal(hc_mem_read(e->vm, gpa_of(0x1000), &after, 4), 0);
	assert_int_equal(after, before);
}

static void use(struct env *e)
{
	env_port_out(e, 0xe0, 4, 1);
	env_port_out(e, 0x2003, 1, 1);
	say(e, "Shut");
}

static void states(void **state)
{
	static uint8_t saved[1 << 17];
	struct env *a = *state, *b;

	assert_int_equal(pc_testdev_create(a->vm), 0);
	assert_int_equal(shutdown_port_create(a->vm), 0);
	use(a);
	store(a, 0x1234, 4, 0xabcdef);
	size_t len = env_save(a, saved, sizeof(saved));

	b = env_begin(1);
	assert_int_equal(pc_testdev_create(b->vm), 0);
	assert_int_equal(shutdown_port_create(b->vm), 0);
	assert_int_equal(env_load(b, saved, len), 0);
	assert_int_equal(b->vm->irq.levels, 8);
	assert_int_equal(env_port_in(b, 0xe0, 4), 1);
	assert_int_equal(load(b, 0x1234, 4), 0xabcdef);
	assert_int_equal(hc_vm_start(b->vm), 0);
	say(b, "down");
	fake_run_cpu(0);
	assert_int_equal(hc_vm_cause(b->vm), HC_STOP_POWEROFF);
	env_end(1);
}

static void type_half(struct env *e)
{
	say(e, "Shut");
}

static void damaged_states(void **state)
{
	struct env *e = *state;

	assert_int_equal(shutdown_port_create(e->vm), 0);
	type_half(e);
	assert_true(env_load_damaged(e, 200, 5, type_half) > 50);
}

static void no_memory_no_room(void **state)
{
	struct env *e = *state;

	test_fail_alloc = 1;
	assert_int_equal(pc_testdev_create(e->vm), -ENOMEM);
	test_fail_alloc = 1;
	assert_int_equal(shutdown_port_create(e->vm), -ENOMEM);
	assert_int_equal(pc_testdev_create(e->vm), 0);
	assert_int_equal(pc_testdev_create(e->vm), -EEXIST);
	assert_int_equal(shutdown_port_create(e->vm), 0);
	assert_int_equal(shutdown_port_create(e->vm), -EEXIST);
}

/* --- Words --- */

static void words(void **state)
{
	static const struct {
		const char *text;
		uint16_t base;
		uint8_t size;
		bool testdev;
	} good[] = {
		{ "isa-debug-exit", 0x501, 2, false },
		{ "isa-debug-exit,iobase=0xf4", 0xf4, 2, false },
		{ "isa-debug-exit,iobase=0xF4,iosize=0x4", 0xf4, 4, false },
		{ "isa-debug-exit,iosize=1,iobase=65535", 0xffff, 1, false },
		{ "isa-debug-exit,", 0x501, 2, false },
		{ "testdev", 0, 0, true },
		{ "pc-testdev", 0, 0, true },
	};
	static const char *const bad[] = {
		"",
		"isa",
		"isa-debug-exit2",
		"isa-debug-exit,iobase",
		"isa-debug-exit,iobase=",
		"isa-debug-exit,iobase=0x",
		"isa-debug-exit,iobase=f4",
		"isa-debug-exit,iobase=-1",
		"isa-debug-exit,iobase=0x10000",
		"isa-debug-exit,iobase=99999999999999999999",
		"isa-debug-exit,iobase=0xffff",
		"isa-debug-exit,iosize=3",
		"isa-debug-exit,iosize=0",
		"isa-debug-exit,,",
		"isa-debug-exit,foo=1",
		"testdev,iobase=1",
		"Testdev",
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(good); i++) {
		struct machine_devices d = { 0 };

		assert_null(machine_add_device(&d, good[i].text));
		assert_int_equal(d.debug_exit, good[i].base);
		assert_int_equal(d.debug_exit_size, good[i].size);
		assert_int_equal(d.testdev, good[i].testdev);
		assert_non_null(machine_add_device(&d, good[i].text));
	}
	for (unsigned i = 0; i < HC_ARRAY_SIZE(bad); i++) {
		struct machine_devices d = { 0 };

		if (!machine_add_device(&d, bad[i]))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(d.debug_exit | d.debug_exit_size | d.testdev, 0);
	}
}

#define TEST(name) ENV_TEST(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exit_statuses),
		TEST(exit_ports),
		TEST(the_word_alone_shuts_down),
		TEST(reads_as_written),
		TEST(lines),
		TEST(flushes),
		TEST(states),
		TEST(damaged_states),
		TEST(no_memory_no_room),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
