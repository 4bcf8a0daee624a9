/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "platform/linux/terminal.h"

#define PTY_DRAIN_MS 3000
#define PTY_EMPTY_MS 5

/* --- What there is to connect to --- */

static int open_stdio(struct serial *s, const char *file)
{
	s->in = STDIN_FILENO;
	s->out = STDOUT_FILENO;
	s->is_terminal = isatty(STDIN_FILENO);
	return 0;
}

static int open_null(struct serial *s, const char *file)
{
	s->out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	s->owns_out = true;
	return s->out < 0 ? hc_error(-errno, "/dev/null: %s", strerror(errno)) : 0;
}

static int open_file(struct serial *s, const char *file)
{
	s->out = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	s->owns_out = true;
	return s->out < 0 ? hc_error(-errno, "--serial file:%s: %s", file, strerror(errno)) : 0;
}

static int set_up_pty(struct serial *s, char *name, size_t size)
{
	struct termios t;

	s->owns_out = true;
	s->out = s->in = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->out < 0 || grantpt(s->out) || unlockpt(s->out))
		return -errno;
	int rc = ptsname_r(s->out, name, size);

	if (rc)
		return -rc;
	s->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0 || tcgetattr(s->slave, &t))
		return -errno;
	cfmakeraw(&t);
	return tcsetattr(s->slave, TCSANOW, &t) ? -errno : 0;
}

static int open_pty(struct serial *s, const char *file)
{
	char name[64];
	int rc = set_up_pty(s, name, sizeof(name));

	if (rc)
		return hc_error(rc, "--serial pty: %s", strerror(-rc));
	/* Wanted even by those who want nothing else. */
	fprintf(stderr, "hypercore: serial port %u is %s\n", s->port, name);
	return 0;
}

static const struct {
	const char *name;
	int (*open)(struct serial *s, const char *file);
} kinds[] = {
	{ "stdio", open_stdio },
	{ "null", open_null },
	{ "pty", open_pty },
	{ "file:", open_file },
};

int serial_open(struct serial *s, const char *spec, unsigned port, struct hypercore_config *config)
{
	*s = (struct serial){ .port = port, .in = -1, .out = -1, .slave = -1 };
	for (unsigned i = 0; i < HC_ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].name);

		if (strncmp(spec, kinds[i].name, len) != 0)
			continue;
		int rc = kinds[i].open(s, spec + len);

		if (!rc)
			rc = linux_outlet_open(&s->outlet, s->out);
		if (rc)
			return rc;
		config->serial[port].output = linux_outlet_write;
		config->serial[port].arg = s->outlet;
		return 0;
	}
	return hc_error(-EINVAL, "--serial %s: there is no such thing", spec);
}

/* --- Input --- */

static bool feed(struct serial *s)
{
	s->from += hypercore_input(s->vm, s->port, s->buf + s->from, s->to - s->from);
	return s->from == s->to;
}

/* Takes the escape key's commands out. */
static void filter(struct serial *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->to; i++) {
		enum escape_action action = escape_key(&s->escape, s->buf[i]);

		if (action == ESCAPE_PASS)
			s->buf[kept++] = s->buf[i];
		else if (action != ESCAPE_SWALLOW)
			s->command(s->command_arg, action);
	}
	s->to = kept;
}

static enum linux_io_next on_input(void *arg)
{
	struct serial *s = arg;

	if (!feed(s))
		return LINUX_IO_LATER;
	ssize_t n = read(s->in, s->buf, sizeof(s->buf));

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN) ? LINUX_IO_WAIT : LINUX_IO_DONE;
	s->from = 0;
	s->to = (size_t)n;
	if (s->is_terminal)
		filter(s);
	return feed(s) ? LINUX_IO_WAIT : LINUX_IO_LATER;
}

int serial_attach(struct serial *s, struct hypercore *vm, struct linux_io *io,
                  serial_command command, void *arg)
{
	s->vm = vm;
	s->command = command;
	s->command_arg = arg;
	if (s->in < 0)
		return 0;
	if (s->is_terminal)
		linux_terminal_raw(s->in);
	return linux_io_add(io, s->in, on_input, s);
}

/* Whether anybody but us has the slave open. */
static bool has_reader(struct serial *s)
{
	struct pollfd master = { .fd = s->out };
	int slave = -1;

	close(s->slave);
	poll(&master, 1, 0);
	if (!(master.revents & POLLHUP))
		slave = ioctl(s->out, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	s->slave = slave;
	return slave >= 0;
}

/* What a pty holds is lost when its master is closed: waits until a reader has had it. The kernel
 * hands over what was written a little later, so that empty has to mean empty for a while. */
static void drain_pty(struct serial *s)
{
	int unread = 0;
	unsigned empty_ms = 0;

	if (!has_reader(s))
		return;
	for (unsigned ms = 0; ms < PTY_DRAIN_MS && empty_ms < PTY_EMPTY_MS; ms++) {
		if (ioctl(s->slave, FIONREAD, &unread))
			return;
		empty_ms = unread ? 0 : empty_ms + 1;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

bool serial_drain(struct serial *s, unsigned wait_ms)
{
	bool drained = !s->outlet || linux_outlet_drain(s->outlet, wait_ms);

	if (s->slave < 0 || !s->outlet)
		return drained;
	drain_pty(s);
	return true;
}

void serial_close(struct serial *s)
{
	if (s->outlet) {
		uint64_t lost = linux_outlet_close(s->outlet);

		if (lost)
			hc_log(HC_LOG_WARN,
			       "serial port %u: %llu bytes of output are lost: nobody took them",
			       s->port, (unsigned long long)lost);
	}
	if (s->is_terminal)
		linux_terminal_restore();
	if (s->owns_out && s->out >= 0)
		close(s->out);
	if (s->slave > 0)
		close(s->slave);
	*s = (struct serial){ .in = -1, .out = -1, .slave = -1 };
}
