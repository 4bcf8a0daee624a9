/* SPDX-License-Identifier: BSD-2-Clause */
#include <hypercore/hypercore.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char help[] = "Usage: hypercore COMMAND [OPTION...]\n"
			   "\n"
			   "  run     run a virtual machine on this terminal\n"
			   "  caps    what this machine offers, and how that was found out\n"
			   "  conform the conformance suite, on this or another hypervisor\n"
			   "\n"
			   "hypercore COMMAND --help says more; so does man hypercore.\n"
			   "hypercore --version prints the version.\n";

int cli_usage_error(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "hypercore%s%s: ", command ? " " : "", command ? command : "");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (hypercore%s%s --help shows the options)\n", command ? " " : "",
	        command ? command : "");
	return CLI_USAGE;
}

static int print(const char *text)
{
	return fputs(text, stdout) < 0 || fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = { { "run", cli_run }, { "caps", cli_caps }, { "conform", cli_conform } };
	const char *word = argc > 1 ? argv[1] : "";

	for (unsigned i = 0; i < HC_ARRAY_SIZE(commands); i++)
		if (!strcmp(word, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
		return print(help);
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		printf("hypercore %s\n", hypercore_version());
		return 0;
	}
	if (argc > 1)
		return cli_usage_error(
			NULL, "there is no command %s: there are run, caps and conform", word);
	fputs(help, stderr);
	return CLI_USAGE;
}
