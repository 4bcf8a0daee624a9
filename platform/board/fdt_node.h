/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks a device tree and reads what nodes have in common: cells, reg, interrupts. For fdt.c. */
#ifndef PLATFORM_BOARD_FDT_NODE_H
#define PLATFORM_BOARD_FDT_NODE_H

#include "platform/board/fdt.h"

/* Nodes that lie deeper are not looked at: machines have about five levels. */
#define DT_DEPTH 12

/* Of a property; p is NULL if there is none. */
struct dt_value {
	const void *p;
	int len;
};

struct dt_level {
	int node;                           /* libfdt's offset */
	uint32_t address_cells, size_cells; /* for its children */
	uint32_t interrupt_parent;          /* phandle; 0: none */
	bool takes_interrupts;              /* a controller or a nexus */
	struct dt_value compatible;
};

struct dt_walk {
	const void *blob; /* passed fdt_check_full() */

	/* The node that is visited and those above it, the root at 0. */
	unsigned depth;
	struct dt_level level[DT_DEPTH];

	/* The interrupt controller, once it is known. */
	int gic_node;
	uint32_t gic;       /* its phandle; 0: not known */
	uint32_t gic_cells; /* of its interrupts, at least 3 */
};

struct dt_region {
	uint64_t base, size; /* base + size does not wrap */
};

/* Calls fn for each node that is not disabled, nor lies in one that is, parents first. What fn
 * returns ends the walk, and is returned, if it is not 0. */
typedef int (*dt_visit_fn)(struct dt_walk *w, void *arg);
int dt_walk(struct dt_walk *w, dt_visit_fn fn, void *arg);

/* The node that is visited. */
static inline int dt_here(const struct dt_walk *w)
{
	return w->level[w->depth].node;
}

/* Logs an error about the node that is visited, with its path, and returns err. */
int dt_node_error(const struct dt_walk *w, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A property of one 32-bit number. False: it is not there, or longer or shorter. */
bool dt_u32(const struct dt_walk *w, int node, const char *name, uint32_t *value);

/* A property of a number of 32 or 64 bits. */
bool dt_u64(const struct dt_walk *w, int node, const char *name, uint64_t *value);

/* A property that is a string, or the first of a list. NULL: it is not there or not terminated. */
const char *dt_string(const struct dt_walk *w, int node, const char *name);

/* A property's value, which is big-endian and of *len bytes. NULL: it is not there. */
const uint8_t *dt_property(const struct dt_walk *w, int node, const char *name, unsigned *len);

/* The number in the 1 or 2 cells at p. */
uint64_t dt_number(const uint8_t *p, unsigned cells);

bool dt_is_compatible(const struct dt_walk *w, const char *compatible);

/* Pair n of the reg property of the node that is visited, as its parent numbers addresses.
 * -ENOENT: there is none, or its numbers are of more than two cells; -EPROTO, logged: half a pair,
 * or one that wraps. */
int dt_bus_region(const struct dt_walk *w, unsigned n, struct dt_region *out);

/* The same as the CPUs reach it. -ENOENT also where no bus above translates to them. */
int dt_cpu_region(const struct dt_walk *w, unsigned n, struct dt_region *out);

/* Interrupt n of the node that is visited. -ENOENT: there is none, or it is not the GIC's;
 * -EPROTO, logged: no such interrupt can be. */
int dt_interrupt(const struct dt_walk *w, unsigned n, struct board_irq *out);

#endif
