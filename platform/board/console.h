/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the hypervisor's own log goes: a ring in memory, and the sinks attached to it. Lines are
 * never mixed; a sink that is attached later gets what the ring still holds.
 */
#ifndef PLATFORM_BOARD_CONSOLE_H
#define PLATFORM_BOARD_CONSOLE_H

#include <hypercore/types.h>

#define CONSOLE_MAX_SINKS 4
#define CONSOLE_RING      32768 /* bytes that the ring keeps; a power of two */

/* Writes one line, which has no newline. Any context; calls are never concurrent. */
typedef void (*console_sink)(void *arg, const char *line, size_t len);

/* Start-up only. More sinks than there is room for are ignored. */
void console_attach(console_sink sink, void *arg);
unsigned console_sink_count(void);

void console_line(const char *line, size_t len);

#endif
