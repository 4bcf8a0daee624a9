/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/outlet.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "platform/linux/linux.h"
#include "platform/linux/terminal.h"

/* Guests write byte by byte: some are gathered before the system call. */
#define GATHER_NS 1000000
#define CHUNK     4096u

struct linux_outlet {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t data;  /* there is something to write, or abandoned */
	pthread_cond_t space; /* there is room, or the thread is done */
	uint64_t head, tail;  /* free-running: bytes put in, bytes taken out */
	uint64_t dropped;
	bool stalled; /* the descriptor took nothing for a whole wait */
	bool broken;  /* writing fails: nobody is there any more */
	bool abandoned, done;
	uint8_t ring[LINUX_OUTLET_SIZE];
};

static struct timespec after_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t ns = (uint64_t)t.tv_nsec + (uint64_t)ms * 1000000;

	return (struct timespec){ t.tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* --- The thread --- */

static size_t copy_chunk(const struct linux_outlet *o, uint8_t *buf)
{
	size_t at = o->tail % LINUX_OUTLET_SIZE;
	size_t n = (size_t)hc_min(o->head - o->tail, CHUNK);

	n = (size_t)hc_min(n, LINUX_OUTLET_SIZE - at);
	memcpy(buf, o->ring + at, n);
	return n;
}

/* Bytes that are done with; 0: try again. */
static size_t write_chunk(struct linux_outlet *o, const uint8_t *buf, size_t n, bool *broken)
{
	/* Before, so that whoever sees the bytes finds it said. */
	if (linux_terminal_is_raw(o->fd))
		linux_terminal_set_column(buf[n - 1] != '\n');
	ssize_t rc = write(o->fd, buf, n);

	if (rc > 0)
		return (size_t)rc;
	/* Somebody who shares the descriptor may have made it non-blocking. */
	if (rc < 0 && errno == EAGAIN)
		poll(&(struct pollfd){ .fd = o->fd, .events = POLLOUT }, 1, 20);
	*broken = rc == 0 || (errno != EAGAIN && errno != EINTR);
	return 0;
}

static void take_out(struct linux_outlet *o, size_t n, bool broken)
{
	if (broken) {
		o->broken = true;
		o->dropped += o->head - o->tail;
		o->tail = o->head;
	} else if (n) {
		o->tail += n;
		o->stalled = false;
	}
	pthread_cond_broadcast(&o->space);
}

/* Lock held, and released meanwhile. */
static void write_some(struct linux_outlet *o)
{
	uint8_t buf[CHUNK];
	bool broken = false;
	size_t n;

	pthread_mutex_unlock(&o->lock);
	nanosleep(&(struct timespec){ .tv_nsec = GATHER_NS }, NULL);
	pthread_mutex_lock(&o->lock);
	n = copy_chunk(o, buf);
	pthread_mutex_unlock(&o->lock);
	n = write_chunk(o, buf, n, &broken);
	pthread_mutex_lock(&o->lock);
	take_out(o, n, broken);
}

static void *outlet_thread(void *arg)
{
	struct linux_outlet *o = arg;

	pthread_mutex_lock(&o->lock);
	while (!o->abandoned) {
		if (o->head == o->tail)
			pthread_cond_wait(&o->data, &o->lock);
		else
			write_some(o);
	}
	o->done = true;
	pthread_cond_broadcast(&o->space);
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* --- The other side --- */

static void init_sync(struct linux_outlet *o)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->data, &attr);
	pthread_cond_init(&o->space, &attr);
	pthread_condattr_destroy(&attr);
}

static void free_outlet(struct linux_outlet *o)
{
	pthread_cond_destroy(&o->space);
	pthread_cond_destroy(&o->data);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

/* Takes no signal but the one that ends a write; a reader that went away is EPIPE. */
static int spawn(struct linux_outlet *o)
{
	sigset_t mask, old;

	sigfillset(&mask);
	sigdelset(&mask, LINUX_KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	int rc = pthread_create(&o->thread, NULL, outlet_thread, o);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc ? hc_error(-rc, "no thread for output: %s", strerror(rc)) : 0;
}

int linux_outlet_open(struct linux_outlet **out, int fd)
{
	int rc = linux_init();

	if (rc)
		return rc;
	struct linux_outlet *o = calloc(1, sizeof(*o));

	if (!o)
		return hc_error(-ENOMEM, "no memory for output");
	o->fd = fd;
	init_sync(o);
	rc = spawn(o);
	if (rc)
		free_outlet(o);
	else
		*out = o;
	return rc;
}

static size_t room(const struct linux_outlet *o)
{
	return LINUX_OUTLET_SIZE - (size_t)(o->head - o->tail);
}

static void wait_for_room(struct linux_outlet *o)
{
	struct timespec until = after_ms(LINUX_OUTLET_WAIT_MS);
	int rc = 0;

	while (!room(o) && !o->stalled && rc != ETIMEDOUT) {
		rc = pthread_cond_timedwait(&o->space, &o->lock, &until);
		if (rc == ETIMEDOUT && !room(o))
			o->stalled = true;
	}
}

/* As much as fits. */
static size_t put_in(struct linux_outlet *o, const uint8_t *data, size_t size)
{
	size_t at = o->head % LINUX_OUTLET_SIZE;
	size_t n = (size_t)hc_min(hc_min(size, room(o)), LINUX_OUTLET_SIZE - at);

	memcpy(o->ring + at, data, n);
	if (o->head == o->tail && n)
		pthread_cond_signal(&o->data);
	o->head += n;
	return n;
}

void linux_outlet_write(void *arg, const void *data, size_t size)
{
	struct linux_outlet *o = arg;
	const uint8_t *from = data;
	size_t done = 0;

	pthread_mutex_lock(&o->lock);
	while (done < size && !o->broken) {
		if (!room(o))
			wait_for_room(o);
		if (!room(o))
			break;
		done += put_in(o, from + done, size - done);
	}
	o->dropped += size - done;
	pthread_mutex_unlock(&o->lock);
}

/* Lock held. The thread may be about to enter its system call when the signal comes, hence again
 * and again. */
static void abandon(struct linux_outlet *o)
{
	o->abandoned = true;
	while (!o->done) {
		struct timespec until = after_ms(5);

		pthread_kill(o->thread, LINUX_KICK_SIGNAL);
		pthread_cond_timedwait(&o->space, &o->lock, &until);
	}
}

bool linux_outlet_drain(struct linux_outlet *o, unsigned wait_ms)
{
	struct timespec until = after_ms(wait_ms);
	int rc = 0;

	pthread_mutex_lock(&o->lock);
	while (o->head != o->tail && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&o->space, &o->lock, &until);
	bool drained = o->head == o->tail;

	pthread_mutex_unlock(&o->lock);
	return drained;
}

uint64_t linux_outlet_close(struct linux_outlet *o)
{
	pthread_mutex_lock(&o->lock);
	pthread_cond_signal(&o->data);
	abandon(o);
	uint64_t lost = o->dropped + (o->head - o->tail);

	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	free_outlet(o);
	return lost;
}
