/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's command line: which cases to run. conformance/README.md describes it. */
#ifndef CONFORMANCE_GUEST_OPTIONS_H
#define CONFORMANCE_GUEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define ONLY_MAX 2

/* Patterns with commas between, ended by a space or NUL; or NULL. */
struct options {
	const char *only[ONLY_MAX]; /* of several, each has to match; the last ones count */
	const char *skip;
	const char *after;
	bool list;
};

/* The options point into the line, which has to stay. */
struct options options_read(const char *line);
/* The decimal number of the word KEY=NUMBER; otherwise if the line has none. */
uint64_t options_number(const char *line, const char *key, uint64_t otherwise);
/* Whether a case is among those selected. after is not looked at. */
bool options_select(const struct options *options, const char *name);
/* Whether a name, "SUBJECT.CASE", matches one of the patterns. A subject alone means all of its
 * cases. */
bool options_match(const char *patterns, const char *name);

#endif
