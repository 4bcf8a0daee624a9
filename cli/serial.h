/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest's serial port is connected to. */
#ifndef CLI_SERIAL_H
#define CLI_SERIAL_H

#include <hypercore/hypercore.h>

#include "cli/escape.h"
#include "platform/linux/io.h"
#include "platform/linux/outlet.h"

/* What the user asked for with the escape key. On the I/O thread. */
typedef void (*serial_command)(void *arg, enum escape_action action);

struct serial {
	unsigned port;
	int in, out;      /* -1: none */
	int slave;        /* pty: kept open, so that nobody's leaving ends it */
	bool owns_out;    /* close it */
	bool is_terminal; /* stdin is one: escape keys */
	struct linux_outlet *outlet;
	struct hypercore *vm;
	struct escape escape;
	serial_command command;
	void *command_arg;
	uint8_t buf[512]; /* of input that the guest has not taken yet: */
	size_t from, to;
};

/* Opens what spec names (stdio, null, pty, file:F), and sets it as the config's port. -errno,
 * explained. A pty's name is printed. */
int serial_open(struct serial *s, const char *spec, unsigned port, struct hypercore_config *config);

/* The VM is there: from now on input goes to it. Puts a terminal in raw mode. -errno, explained. */
int serial_attach(struct serial *s, struct hypercore *vm, struct linux_io *io,
                  serial_command command, void *arg);

/* The VM has ended: waits for its output to be taken, wait_ms milliseconds at most. True if it was,
 * or there is none, or nobody can be expected to take it (pty). */
bool serial_drain(struct serial *s, unsigned wait_ms);

/* Closes, and says so if output was lost. Harmless on a port that was not opened, if the struct was
 * all zero. */
void serial_close(struct serial *s);

#endif
