/* SPDX-License-Identifier: BSD-2-Clause */
/* libhypercore as an embedder uses it, and misuses it. */
#include "tests/unit.h"
/* after the above */
#include <dirent.h>
#include <hypercore/hypercore.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/linux/kernel.h"

static uint8_t kernel[TEST_KERNEL_SIZE];
static char log_text[4096];

static void keep_log(void *arg, const char *text, size_t size)
{
	size_t used = strlen(log_text);

	if (used + size + 2 < sizeof(log_text)) {
		memcpy(log_text + used, text, size);
		memcpy(log_text + used + size, "\n", 2);
	}
}

struct output {
	char text[256];
	size_t size;
};

static void keep_output(void *arg, const void *data, size_t size)
{
	struct output *o = arg;

	assert_true(o->size + size < sizeof(o->text));
	memcpy(o->text + o->size, data, size);
	__atomic_store_n(&o->size, o->size + size, __ATOMIC_RELEASE);
}

/* LCR = 8 bits, wait for LSR.THRE, '!' to THR. */
#define SAY                                                                                        \
	"\xba\xfb\x03\0\0\xb0\x03\xee\xba\xfd\x03\0\0\xec\xa8\x20\x74\xfb\xba\xf8\x03\0\0\xb0!"    \
	"\xee"
#define POWER_OFF "\xba\x04\x06\0\0\x66\xb8\x00\x34\x66\xef\xf4"
#define HALT      "\xf4\xeb\xfd"
#define SPIN      "\xeb\xfe"
/* Waits for LSR.DR, sends back what comes. */
#define ECHO_                                                                                      \
	"\xba\xfb\x03\0\0\xb0\x03\xee\xba\xfd\x03\0\0\xec\xa8\x01\x74\xfb\xba\xf8\x03\0\0\xec\xee" \
	"\xeb\xed"

#define CODE(config, text) set_code(config, text, sizeof(text) - 1)

static void set_code(struct hypercore_config *c, const char *code, size_t size)
{
	test_kernel(kernel, code, size);
	hypercore_config_init(c);
	c->kernel = kernel;
	c->kernel_size = sizeof(kernel);
	c->memory = 32 << 20;
	c->backend = "toy";
	log_text[0] = '\0';
}

static unsigned threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void wait_for_output(const struct hypercore *vm, const struct output *o, size_t size)
{
	while (__atomic_load_n(&o->size, __ATOMIC_ACQUIRE) < size) {
		if (hypercore_end(vm) != HYPERCORE_RUNS_STILL)
			fail_msg("the VM ended: %s", hypercore_reason(vm));
		usleep(100);
	}
}

static void test_run(void **state)
{
	struct hypercore_config c;
	struct output out = { 0 };
	struct hypercore *vm;
	struct hypercore_stats stats;

	CODE(&c, SAY POWER_OFF);
	c.serial[0].output = keep_output;
	c.serial[0].arg = &out;
	assert_int_equal(hypercore_create(&vm, &c), 0);
	assert_int_equal(hypercore_end(vm), HYPERCORE_RUNS_STILL);
	assert_int_equal(hypercore_wait(vm, 0), -ETIMEDOUT);
	assert_int_equal(hypercore_run(vm), 0);
	assert_int_equal(hypercore_end(vm), HYPERCORE_POWERED_OFF);
	assert_string_equal(hypercore_reason(vm), "guest powered off");
	assert_string_equal(hypercore_backend_of(vm), "toy");
	assert_string_equal(out.text, "!");
	hypercore_stats(vm, &stats, sizeof(stats));
	assert_true(stats.exits >= 4); /* and one for each interrupt of the host */
	assert_int_equal(hypercore_start(vm), -EBUSY);
	assert_int_equal(hypercore_stop(vm), -EBUSY);
	hypercore_destroy(vm);
	hypercore_destroy(NULL);
}

static void *stop(void *arg)
{
	hypercore_stop(arg);
	return NULL;
}

static void test_threads_come_and_go(void **state)
{
	struct hypercore_config c;
	struct hypercore *vms[3];
	pthread_t thread;
	unsigned before = threads();

	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < 3; i++) {
			/* The others' code is in their memory already. */
			if (i % 2)
				CODE(&c, HALT);
			else
				CODE(&c, SPIN);
			c.cpus = 1 + (round + i) % 4;
			assert_int_equal(hypercore_create(&vms[i], &c), 0);
			assert_int_equal(hypercore_start(vms[i]), 0);
		}
		pthread_create(&thread, NULL, stop, vms[1]);
		assert_int_equal(hypercore_wait(vms[1], -1), 0);
		assert_int_equal(hypercore_end(vms[1]), HYPERCORE_STOPPED);
		/* Out of order, one of them running. */
		hypercore_destroy(vms[0]);
		pthread_join(thread, NULL);
		hypercore_destroy(vms[1]);
		assert_int_equal(hypercore_end(vms[2]), HYPERCORE_RUNS_STILL);
		hypercore_destroy(vms[2]);
		assert_int_equal(threads(), before);
	}
}

static void test_pause(void **state)
{
	struct hypercore_config c;
	struct output out = { 0 };
	struct hypercore *vm;

	CODE(&c, ECHO_);
	c.serial[0].output = keep_output;
	c.serial[0].arg = &out;
	assert_int_equal(hypercore_create(&vm, &c), 0);
	assert_int_equal(hypercore_pause(vm), -EBUSY);
	assert_int_equal(hypercore_start(vm), 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(hypercore_input(vm, 0, "x", 1), 1);
		wait_for_output(vm, &out, 2 * i + 1);
		assert_int_equal(hypercore_pause(vm), 0);
		assert_int_equal(hypercore_input(vm, 0, "y", 1), 1);
		assert_int_equal(hypercore_wait(vm, 1), -ETIMEDOUT);
		assert_int_equal(out.size, 2 * i + 1);
		assert_int_equal(hypercore_resume(vm), 0);
		wait_for_output(vm, &out, 2 * i + 2);
	}
	assert_int_equal(hypercore_input(vm, 1, "x", 1), 0);
	assert_int_equal(hypercore_input(vm, 2, "x", 1), 0);
	assert_int_equal(hypercore_pause(vm), 0);
	assert_int_equal(hypercore_stop(vm), 0);
	assert_int_equal(hypercore_wait(vm, -1), 0);
	hypercore_destroy(vm);
}

static void test_move(void **state)
{
	struct hypercore_config c;
	struct output out = { 0 };
	struct hypercore *vm;

	CODE(&c, ECHO_);
	c.backend = "toy,toy-slow";
	c.serial[0].output = keep_output;
	c.serial[0].arg = &out;
	assert_int_equal(hypercore_create(&vm, &c), 0);
	assert_int_equal(hypercore_move(vm), -EBUSY);
	assert_int_equal(hypercore_start(vm), 0);
	for (unsigned i = 0; i < 50; i++) {
		const char *wanted = i % 2 ? "toy" : "toy-slow";
		int rc;

		/* -EBUSY: not all of its CPUs have finished the last move. */
		while ((rc = hypercore_move(vm)) == -EBUSY)
			usleep(50);
		assert_int_equal(rc, 0);
		while (strcmp(hypercore_backend_of(vm), wanted) != 0)
			usleep(50);
		hypercore_input(vm, 0, "x", 1);
		wait_for_output(vm, &out, i + 1);
	}
	hypercore_destroy(vm);
	CODE(&c, HALT);
	assert_int_equal(hypercore_create(&vm, &c), 0);
	assert_int_equal(hypercore_start(vm), 0);
	assert_int_equal(hypercore_move(vm), -EOPNOTSUPP);
	hypercore_destroy(vm);
}

static void refused(const struct hypercore_config *c, int err)
{
	struct hypercore *vm = NULL;
	unsigned before = threads();

	log_text[0] = '\0';
	assert_int_equal(hypercore_create(&vm, c), err);
	assert_null(vm);
	assert_int_equal(threads(), before);
	/* Explained, in one line of the log and as the last error. */
	assert_non_null(strstr(log_text, "hypercore: error: "));
	assert_non_null(strstr(log_text, hypercore_last_error()));
	assert_ptr_equal(strchr(log_text, '\n'), log_text + strlen(log_text) - 1);
}

static void test_refusals(void **state)
{
	static char long_name[] = "a name of thirty-two characters.", too_long[3000];
	struct hypercore_config good, c;

	CODE(&good, HALT);
	c = good;
	c.size = 8;
	refused(&c, -EINVAL);
	c = good;
	c.kernel = NULL;
	refused(&c, -EINVAL);
	c = good;
	c.kernel_size = 100;
	refused(&c, -ENOEXEC);
	c = good;
	c.cpus = 0;
	refused(&c, -ERANGE);
	c.cpus = 33;
	refused(&c, -ERANGE);
	c = good;
	c.memory += 4096;
	refused(&c, -EINVAL);
	c.memory = UINT64_MAX;
	refused(&c, -ENOMEM);
	c = good;
	c.name = long_name;
	refused(&c, -EINVAL);
	c = good;
	c.backend = "toy-absent";
	refused(&c, -ENODEV);
	c.backend = "none";
	refused(&c, -ENOENT);
	c.backend = "toy,toy";
	refused(&c, -EINVAL);
	c = good;
	c.switch_ns = 1;
	refused(&c, -EINVAL);
	c = good;
	memset(too_long, 'x', sizeof(too_long) - 1);
	c.cmdline = too_long;
	refused(&c, -E2BIG);
	c = good;
	c.initrd = kernel;
	c.initrd_size = 64 << 20;
	refused(&c, -ENOMEM);
}

static void test_backends(void **state)
{
	const char *name;
	char how[64];

	assert_int_equal(hypercore_backend(0, &name, how, sizeof(how)), -ENODEV);
	assert_string_equal(how, "is never there");
	assert_int_equal(hypercore_backend(2, &name, how, sizeof(how)), 0);
	assert_string_equal(name, "toy");
	assert_int_equal(hypercore_backend(3, &name, how, sizeof(how)), -ENOENT);
	assert_true(hypercore_backend_speed(2) > hypercore_backend_speed(1));
	assert_true(hypercore_backend_speed(0) < 0);
	assert_int_equal(hypercore_backend_speed(99), -ENOENT);
}

static int set_up(void **state)
{
	alarm(60);
	hypercore_set_log(keep_log, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),      cmocka_unit_test(test_threads_come_and_go),
		cmocka_unit_test(test_pause),    cmocka_unit_test(test_move),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_backends),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
