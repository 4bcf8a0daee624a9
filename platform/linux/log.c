/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines for people, and the end that a broken invariant of our own is. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/log.h"
#include "platform/linux/linux.h"
#include "platform/linux/terminal.h"
#include "platform/platform.h"

#define PATIENCE_MS 200

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*sink)(void *arg, const char *line, size_t len);
static void *sink_arg;

void linux_log_to(void (*fn)(void *arg, const char *line, size_t len), void *arg)
{
	pthread_mutex_lock(&lock);
	sink = fn;
	sink_arg = arg;
	pthread_mutex_unlock(&lock);
}

/* A terminal that was stopped, or a pipe that nobody empties, shall hold nobody up for long: the
 * lines are lost then, and there is no waiting again until one gets through. */
static bool takes_lines(void)
{
	static _Atomic bool stalled;
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	bool ready = poll(&p, 1, atomic_load(&stalled) ? 0 : PATIENCE_MS) > 0;

	atomic_store(&stalled, !ready);
	return ready;
}

/* One write, so that the lines of several processes on a terminal stay whole. */
static void write_line(const char *line, size_t len)
{
	static char crlf[] = "\r\n";
	char text[512];
	bool raw = linux_terminal_is_raw(STDERR_FILENO);
	bool fresh = raw && linux_terminal_within_line();
	struct iovec parts[] = {
		{ crlf, fresh ? 2 : 0 },
		{ text, hc_min(len, sizeof(text)) },
		{ raw ? crlf : crlf + 1, raw ? 2 : 1 },
	};

	memcpy(text, line, parts[1].iov_len);
	if (fresh)
		linux_terminal_set_column(false);
	/* Nothing is left to be done when it fails. */
	if (takes_lines() && writev(STDERR_FILENO, parts, 3) < 0)
		return;
}

void hc_platform_log(const char *line, size_t len)
{
	pthread_mutex_lock(&lock);
	if (sink)
		sink(sink_arg, line, len);
	else
		write_line(line, len);
	pthread_mutex_unlock(&lock);
}

void hc_platform_panic(const char *message)
{
	char line[512];

	linux_terminal_restore();
	hc_snprintf(line, sizeof(line), "hypercore: panic: %s", message);
	/* Without the lock: its holder may be who panics. */
	write_line(line, strlen(line));
	abort();
}
