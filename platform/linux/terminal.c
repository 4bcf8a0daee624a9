/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/terminal.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static dev_t device;
static _Atomic int raw_fd = -1;
static _Atomic bool within;

static bool in_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);

	/* -1: not our controlling terminal, which then stops nobody. */
	return group < 0 || group == getpgrp();
}

bool linux_terminal_raw(int fd)
{
	struct termios t;
	struct stat st;

	if (!isatty(fd) || !in_foreground(fd) || tcgetattr(fd, &t) || fstat(fd, &st))
		return false;
	if (atomic_load(&raw_fd) < 0)
		before = t;
	device = st.st_rdev;
	atomic_store(&raw_fd, fd);
	cfmakeraw(&t);
	return tcsetattr(fd, TCSANOW, &t) == 0;
}

void linux_terminal_restore(void)
{
	int fd = atomic_exchange(&raw_fd, -1);

	if (fd >= 0)
		tcsetattr(fd, TCSANOW, &before);
}

bool linux_terminal_is_raw(int fd)
{
	struct stat st;

	return atomic_load(&raw_fd) >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == device;
}

void linux_terminal_set_column(bool within_line)
{
	atomic_store_explicit(&within, within_line, memory_order_relaxed);
}

bool linux_terminal_within_line(void)
{
	return atomic_load_explicit(&within, memory_order_relaxed);
}
