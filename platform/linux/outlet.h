/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's output on its way to a file descriptor that may be slow, or stopped for good.
 *
 * Bytes go into a buffer, from which a thread of its own writes. When the buffer is full the writer
 * of bytes waits, so that nothing is lost to a reader that is merely slow; but only OUTLET_WAIT_MS,
 * after which what does not fit is dropped and counted, without further waiting, until the
 * descriptor takes bytes again: nobody who stops reading holds a virtual CPU up.
 */
#ifndef PLATFORM_LINUX_OUTLET_H
#define PLATFORM_LINUX_OUTLET_H

#include <hypercore/types.h>

#define LINUX_OUTLET_SIZE    (256 * 1024)
#define LINUX_OUTLET_WAIT_MS 200

struct linux_outlet;

/* fd stays the caller's, and open until linux_outlet_close(). -ENOMEM, -EAGAIN (no thread),
 * explained. */
int linux_outlet_open(struct linux_outlet **out, int fd);

/* Any thread. The type is that of hypercore_output; arg is the outlet. */
void linux_outlet_write(void *arg, const void *data, size_t size);

/* Waits for what is in the buffer to be written, wait_ms milliseconds at most. True if it is. */
bool linux_outlet_drain(struct linux_outlet *o, unsigned wait_ms);

/* Frees the outlet, and what has not been written by now stays so. Returns how many bytes in all
 * never were. */
uint64_t linux_outlet_close(struct linux_outlet *o);

#endif
