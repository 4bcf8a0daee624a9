/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys by which a terminal's user talks to hypercore instead of to the guest. */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H

#include <hypercore/types.h>

#define ESCAPE_KEY 1 /* Ctrl-a */

enum escape_action { ESCAPE_PASS, ESCAPE_SWALLOW, ESCAPE_LEAVE, ESCAPE_HELP, ESCAPE_STATS };

struct escape {
	bool pending; /* the escape key was pressed */
};

/* What is to be done about a key: pass it to the guest, nothing, or a command. */
static inline enum escape_action escape_key(struct escape *e, uint8_t key)
{
	if (!e->pending) {
		e->pending = key == ESCAPE_KEY;
		return e->pending ? ESCAPE_SWALLOW : ESCAPE_PASS;
	}
	e->pending = false;
	switch (key) {
	case ESCAPE_KEY: return ESCAPE_PASS;
	case 'x': return ESCAPE_LEAVE;
	case 's': return ESCAPE_STATS;
	default: return ESCAPE_HELP;
	}
}

#endif
