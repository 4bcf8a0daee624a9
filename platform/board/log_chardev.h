/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's serial port whose output becomes lines of the log, after "NAME: ". */
#ifndef PLATFORM_BOARD_LOG_CHARDEV_H
#define PLATFORM_BOARD_LOG_CHARDEV_H

#include "core/chardev.h"

struct log_chardev {
	struct hc_chardev chr; /* first */
	size_t prefix, used;
	char line[200]; /* "NAME: " and what came since the last newline */
};

/* name: at most 31 characters. */
void log_chardev_init(struct log_chardev *l, const char *name);

/* Logs a line that has no end yet. */
void log_chardev_flush(struct log_chardev *l);

#endif
