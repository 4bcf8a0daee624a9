/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of hypercore run. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <hypercore/types.h>

struct run_options {
	const char *name, *kernel, *initrd, *backend, *trace;
	const char *append;     /* NULL: the machine's */
	const char *serial[2];  /* NULL: the port is not there */
	const char *devices[4]; /* as hypercore_config.devices */
	uint64_t memory;
	uint64_t switch_ns, dirty_ns; /* 0: never */
	uint64_t tsc_hz;              /* 0: the machine's */
	unsigned cpus;
	bool stats, quiet;
	bool help; /* was asked for; nothing else matters then */
};

/* 0, or CLI_USAGE: what is wrong has been printed. */
int run_options_parse(struct run_options *o, int argc, char **argv);

/* "512M", "2G", "65536K" or bytes. False if it is no such number or does not fit. */
bool parse_size(const char *text, uint64_t *bytes);

#endif
