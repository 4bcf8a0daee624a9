/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child process that runs cases, so that what goes wrong with one costs that one: a crash or a
 * hang is ORACLE_LOST, and another child goes on with the next case.
 */
#ifndef TESTS_ORACLE_PROCESS_H
#define TESTS_ORACLE_PROCESS_H

#include <sys/types.h>

#include "tests/oracle/oracle.h"

struct oracle_shared;

struct oracle_process {
	/* In the child: once, false if it cannot run cases; and for each case. */
	bool (*prepare)(void);
	enum oracle_result (*run)(const struct oracle_case *c, struct oracle_outcome *o);

	/* Private. */
	struct oracle_shared *shared;
	pid_t child;
	int to_child, from_child;
};

/* Starts the first child: 0; -ENOMEM, -EAGAIN; -EOPNOTSUPP if it cannot run cases. */
int oracle_process_open(struct oracle_process *p);
void oracle_process_close(struct oracle_process *p);

/* As struct oracle_executor's run(). Ends the program if no further child can be started. */
void oracle_process_run(struct oracle_process *p, const struct oracle_case *cases,
                        struct oracle_outcome *outcomes, enum oracle_result *results, unsigned n);

#endif
