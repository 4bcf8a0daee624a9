/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/console.h"

#include <hypercore/freestanding.h>

#include "platform/board/output_lock.h"

#define LINE 256

static struct output_lock lock;
static char ring[CONSOLE_RING];
static uint64_t written; /* characters; every line ends with a newline */
static struct {
	console_sink fn;
	void *arg;
} sinks[CONSOLE_MAX_SINKS];
static unsigned sink_count;

static void remember(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ring[written++ & (CONSOLE_RING - 1)] = line[i];
	ring[written++ & (CONSOLE_RING - 1)] = '\n';
}

void console_line(const char *line, size_t len)
{
	struct output_hold hold = output_enter(&lock);

	remember(line, len);
	for (unsigned i = 0; i < sink_count; i++)
		sinks[i].fn(sinks[i].arg, line, len);
	output_leave(&lock, hold);
}

/* The line that begins at position at, cut to LINE. Returns the position after its newline. */
static uint64_t ring_line(uint64_t at, char *line, size_t *len)
{
	*len = 0;
	for (; at < written; at++) {
		char c = ring[at & (CONSOLE_RING - 1)];

		if (c == '\n')
			return at + 1;
		if (*len < LINE)
			line[(*len)++] = c;
	}
	return at;
}

void console_attach(console_sink sink, void *arg)
{
	struct output_hold hold = output_enter(&lock);
	uint64_t at = written > CONSOLE_RING ? written - CONSOLE_RING : 0;
	char line[LINE];
	size_t len;

	if (at) /* the oldest line has lost its beginning */
		at = ring_line(at, line, &len);
	while (at < written) {
		at = ring_line(at, line, &len);
		sink(arg, line, len);
	}
	if (sink_count < CONSOLE_MAX_SINKS) {
		sinks[sink_count].fn = sink;
		sinks[sink_count++].arg = arg;
	}
	output_leave(&lock, hold);
}

unsigned console_sink_count(void)
{
	return sink_count;
}
