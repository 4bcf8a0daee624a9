/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the hypercore command share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <hypercore/types.h>

/* Exit statuses beside the guest's own. */
enum {
	CLI_USAGE = 2,
	CLI_FAILED = 125, /* the VM could not be made, or did what cannot be carried out */
	CLI_RESET = 126,  /* the guest asked for a reset, or triple faulted */
	CLI_SIGNAL = 128  /* and the number of the signal that ended it */
};

/* Where guests write their exit status. */
#define CLI_EXIT_PORT 0xf4

/* The commands; argv[0] is the command's name. They return the exit status. */
int cli_run(int argc, char **argv);
int cli_caps(int argc, char **argv);
int cli_conform(int argc, char **argv);

/* A wrong command line: prints "hypercore COMMAND: ..." and how to get help. Returns CLI_USAGE. */
int cli_usage_error(const char *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
