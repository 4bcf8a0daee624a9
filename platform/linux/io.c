/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/io.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/log.h"

#define LATER_MS 4

enum mode { UNUSED, WAITING, LATER, ALWAYS };

struct watch {
	int fd;
	linux_io_fn fn;
	void *arg;
	enum mode mode;
	bool pollable; /* not a regular file */
};

struct linux_io {
	int epoll, stop_event;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	struct watch watches[LINUX_IO_MAX];
};

static int epoll_change(struct linux_io *io, int op, struct watch *w)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };

	return epoll_ctl(io->epoll, op, w->fd, &e) ? -errno : 0;
}

static void set_mode(struct linux_io *io, struct watch *w, enum mode mode)
{
	if (!w->pollable && mode == WAITING)
		mode = ALWAYS;
	if (w->mode == WAITING && mode != WAITING)
		epoll_change(io, EPOLL_CTL_DEL, w);
	else if (w->mode != WAITING && mode == WAITING)
		epoll_change(io, EPOLL_CTL_ADD, w);
	w->mode = mode;
}

static void call(struct linux_io *io, struct watch *w)
{
	static const enum mode modes[] = {
		[LINUX_IO_WAIT] = WAITING,
		[LINUX_IO_LATER] = LATER,
		[LINUX_IO_DONE] = UNUSED,
	};

	set_mode(io, w, modes[w->fn(w->arg)]);
}

static int timeout_of(const struct linux_io *io)
{
	int ms = -1;

	for (unsigned i = 0; i < LINUX_IO_MAX; i++)
		if (io->watches[i].mode == ALWAYS)
			return 0;
		else if (io->watches[i].mode == LATER)
			ms = LATER_MS;
	return ms;
}

static void *io_thread(void *arg)
{
	struct linux_io *io = arg;
	struct epoll_event events[LINUX_IO_MAX];

	while (!atomic_load(&io->stop)) {
		int n = epoll_wait(io->epoll, events, LINUX_IO_MAX, timeout_of(io));

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				call(io, events[i].data.ptr);
		for (unsigned i = 0; i < LINUX_IO_MAX; i++)
			if (io->watches[i].mode == ALWAYS || io->watches[i].mode == LATER)
				call(io, &io->watches[i]);
	}
	return NULL;
}

int linux_io_create(struct linux_io **out)
{
	struct linux_io *io = calloc(1, sizeof(*io));
	struct epoll_event e = { .events = EPOLLIN };

	if (!io)
		return hc_error(-ENOMEM, "no memory for input");
	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	io->stop_event = eventfd(0, EFD_CLOEXEC);
	if (io->epoll < 0 || io->stop_event < 0 ||
	    epoll_ctl(io->epoll, EPOLL_CTL_ADD, io->stop_event, &e)) {
		int rc = hc_error(-errno, "cannot wait for input: %s", strerror(errno));

		linux_io_destroy(io);
		return rc;
	}
	*out = io;
	return 0;
}

static struct watch *unused_watch(struct linux_io *io)
{
	for (unsigned i = 0; i < LINUX_IO_MAX; i++)
		if (io->watches[i].mode == UNUSED)
			return &io->watches[i];
	return NULL;
}

int linux_io_add(struct linux_io *io, int fd, linux_io_fn fn, void *arg)
{
	struct watch *w = unused_watch(io);

	if (!w)
		return hc_error(-ENOSPC, "more than %d sources of input", LINUX_IO_MAX);
	*w = (struct watch){ fd, fn, arg, WAITING, true };
	int rc = epoll_change(io, EPOLL_CTL_ADD, w);

	if (rc == -EPERM) {
		w->pollable = false;
		w->mode = ALWAYS;
		rc = 0;
	} else if (rc) {
		w->mode = UNUSED;
		hc_error(rc, "cannot wait for input: %s", strerror(-rc));
	}
	return rc;
}

int linux_io_start(struct linux_io *io)
{
	sigset_t mask, old;

	sigfillset(&mask);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	int rc = pthread_create(&io->thread, NULL, io_thread, io);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	io->started = !rc;
	return rc ? hc_error(-rc, "no thread for input: %s", strerror(rc)) : 0;
}

void linux_io_destroy(struct linux_io *io)
{
	if (!io)
		return;
	atomic_store(&io->stop, true);
	if (io->started) {
		eventfd_write(io->stop_event, 1);
		pthread_join(io->thread, NULL);
	}
	if (io->epoll >= 0)
		close(io->epoll);
	if (io->stop_event >= 0)
		close(io->stop_event);
	free(io);
}
