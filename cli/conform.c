/* SPDX-License-Identifier: BSD-2-Clause */
/* hypercore conform: hands over to the conformance suite's runner, which is in Python. */
#include <errno.h>
#include <hypercore/hypercore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "platform/linux/program.h"

#define PYTHON "python3"

static bool has_runner(const char *folder, const char *below, char *path, size_t size)
{
	int n = snprintf(path, size, "%s%s/runner", folder, below);

	return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}

/* HYPERCORE_CONFORMANCE names the suite's folder, or it is beside the program (as built), or where
 * the installation has put it. */
static bool find_runner(const char *program, char *path, size_t size)
{
	const char *folder = getenv("HYPERCORE_CONFORMANCE");

	if (folder && *folder)
		return has_runner(folder, "", path, size);
	return has_runner(program, "/conformance-suite", path, size) ||
	       has_runner(program, HC_CONFORMANCE_FROM_PROGRAM, path, size);
}

/* The runner starts targets that are this command. */
static void name_self(const char *program)
{
	char self[512];

	if (*program && snprintf(self, sizeof(self), "%s/hypercore", program) < (int)sizeof(self))
		setenv("HYPERCORE", self, 0);
	setenv("HYPERCORE_VERSION", hypercore_version(), 1);
}

static int execute(char *runner, int argc, char **argv)
{
	static char python[] = PYTHON;
	char **line = calloc((size_t)argc + 2, sizeof(*line));

	if (!line) {
		fprintf(stderr, "hypercore conform: out of memory\n");
		return CLI_FAILED;
	}
	line[0] = python;
	line[1] = runner;
	memcpy(line + 2, argv + 1, (size_t)(argc - 1) * sizeof(*line));
	execvp(PYTHON, line);
	fprintf(stderr, "hypercore conform: %s: %s (it is needed for this command)\n", PYTHON,
	        strerror(errno));
	free(line);
	return CLI_FAILED;
}

int cli_conform(int argc, char **argv)
{
	char program[256], runner[512];

	linux_program_folder(program, sizeof(program));
	if (!find_runner(program, runner, sizeof(runner))) {
		fprintf(stderr,
		        "hypercore conform: the suite is not there: %s (HYPERCORE_CONFORMANCE may "
		        "name its folder)\n",
		        runner);
		return CLI_FAILED;
	}
	name_self(program);
	return execute(runner, argc, argv);
}
