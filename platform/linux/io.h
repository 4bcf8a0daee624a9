/* SPDX-License-Identifier: BSD-2-Clause */
/* One thread that waits for all that comes from outside: keys, terminals, signals. */
#ifndef PLATFORM_LINUX_IO_H
#define PLATFORM_LINUX_IO_H

#include <hypercore/types.h>

struct linux_io;

enum linux_io_next {
	LINUX_IO_WAIT,  /* call again when there is more to read */
	LINUX_IO_LATER, /* call again in some milliseconds, whether there is more or not */
	LINUX_IO_DONE   /* never again */
};

/* On the thread, when fd can be read without blocking. */
typedef enum linux_io_next (*linux_io_fn)(void *arg);

#define LINUX_IO_MAX 8

/* -errno, explained. */
int linux_io_create(struct linux_io **out);

/* Before linux_io_start(). fd stays the caller's. A regular file can always be read. -ENOSPC (more
 * than LINUX_IO_MAX), or -errno, explained. */
int linux_io_add(struct linux_io *io, int fd, linux_io_fn fn, void *arg);

int linux_io_start(struct linux_io *io);

/* Ends the thread if it was started, and frees it. */
void linux_io_destroy(struct linux_io *io);

#endif
