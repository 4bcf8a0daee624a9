/* SPDX-License-Identifier: BSD-2-Clause */
/* Output to readers who are slow, who stop, and who leave. */
#include "tests/unit.h"
/* after the above */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "platform/linux/outlet.h"

static uint8_t data[3 * LINUX_OUTLET_SIZE], received[sizeof(data)];

static void make_data(void)
{
	uint64_t random = 3;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)test_random(&random);
}

static void write_in_pieces(struct linux_outlet *o, const uint8_t *from, size_t size)
{
	uint64_t random = 5;

	while (size) {
		size_t n = test_below(&random, 9) ? 1 + test_below(&random, 20)
		                                  : 1 + test_below(&random, 20000);

		n = n < size ? n : size;
		linux_outlet_write(o, from, n);
		from += n;
		size -= n;
	}
}

static size_t read_some(int fd, size_t at, size_t most)
{
	ssize_t n = read(fd, received + at, most);

	assert_true(n >= 0);
	return (size_t)n;
}

struct reader {
	int fd;
	size_t got;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	size_t n;

	while ((n = read_some(r->fd, r->got, sizeof(received) - r->got)))
		r->got += n;
	return NULL;
}

/* More than the buffer holds: the writer waits for the reader. */
static void test_all_arrives(void **state)
{
	struct linux_outlet *o;
	pthread_t thread;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	struct reader r = { fds[0], 0 };

	assert_int_equal(linux_outlet_open(&o, fds[1]), 0);
	pthread_create(&thread, NULL, read_all, &r);
	write_in_pieces(o, data, sizeof(data) / 4);
	write_in_pieces(o, data + sizeof(data) / 4, sizeof(data) - sizeof(data) / 4);
	while (!linux_outlet_drain(o, 100))
		;
	assert_int_equal(linux_outlet_close(o), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(r.got, sizeof(data));
	assert_memory_equal(received, data, sizeof(data));
}

/* What is lost is counted; what arrives is the beginning. */
static void test_reader_stops(void **state)
{
	struct linux_outlet *o;
	int fds[2];
	size_t got = 0, n;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(linux_outlet_open(&o, fds[1]), 0);
	write_in_pieces(o, data, sizeof(data));
	assert_false(linux_outlet_drain(o, 1));
	uint64_t lost = linux_outlet_close(o);

	close(fds[1]);
	while ((n = read_some(fds[0], got, sizeof(received) - got)))
		got += n;
	close(fds[0]);
	assert_int_equal(got + lost, sizeof(data));
	assert_memory_equal(received, data, got);
}

static void test_reader_leaves(void **state)
{
	struct linux_outlet *o;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(linux_outlet_open(&o, fds[1]), 0);
	close(fds[0]);
	write_in_pieces(o, data, sizeof(data));
	while (!linux_outlet_drain(o, 100))
		;
	assert_int_equal(linux_outlet_close(o), sizeof(data));
	close(fds[1]);
}

/* Somebody who shares the descriptor made it so. */
static void test_non_blocking(void **state)
{
	struct linux_outlet *o;
	pthread_t thread;
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	fcntl(fds[0], F_SETFL, 0);
	struct reader r = { fds[0], 0 };

	assert_int_equal(linux_outlet_open(&o, fds[1]), 0);
	linux_outlet_write(o, data, 200000);
	pthread_create(&thread, NULL, read_all, &r);
	while (!linux_outlet_drain(o, 100))
		;
	assert_int_equal(linux_outlet_close(o), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(r.got, 200000);
	assert_memory_equal(received, data, r.got);
}

static int set_up(void **state)
{
	alarm(60);
	make_data();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrives),
		cmocka_unit_test(test_reader_stops),
		cmocka_unit_test(test_reader_leaves),
		cmocka_unit_test(test_non_blocking),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
