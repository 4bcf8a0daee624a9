/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <hypercore/vm.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "machines/device_option.h"

#define NAME "run"

bool parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	char *end;

	/* strtoull() takes signs and spaces. */
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (errno || (*end && (!unit || end[1])) || n > UINT64_MAX >> shift)
		return false;
	*bytes = (uint64_t)n << shift;
	return true;
}

static int take_memory(struct run_options *o, const char *text)
{
	if (!parse_size(text, &o->memory))
		return cli_usage_error(NAME, "--memory %s: wants a size such as 512M or 2G", text);
	if (o->memory < 16 * HC_MIB || o->memory % (2 * HC_MIB))
		return cli_usage_error(NAME, "--memory %s: wants at least 16M, in steps of 2 MiB",
		                       text);
	return 0;
}

static int take_cpus(struct run_options *o, const char *text)
{
	char *end;
	unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;

	if (!n || *end || n > 32)
		return cli_usage_error(NAME, "--cpus %s: wants a number from 1 to 32", text);
	o->cpus = (unsigned)n;
	return 0;
}

static int take_period(uint64_t *ns, const char *option, const char *text)
{
	char *end;
	unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
	uint64_t unit = !n ? 0 : !strcmp(end, "ms") ? 1000000 : !strcmp(end, "s") ? 1000000000 : 0;

	if (!unit || n > 1000000)
		return cli_usage_error(NAME, "%s %s: wants a time such as 100ms or 2s", option,
		                       text);
	*ns = n * unit;
	return 0;
}

static int take_rate(struct run_options *o, const char *text)
{
	uint64_t hz = 0;

	if (!parse_size(text, &hz) || !isdigit((unsigned char)text[strlen(text) - 1]) ||
	    !hc_is_tsc_hz(hz))
		return cli_usage_error(
			NAME,
			"--tsc-hz %s: wants a number of Hz such as 2500000000: " HC_TSC_HZ_WORDS,
			text);
	o->tsc_hz = hz;
	return 0;
}

static bool is_serial(const char *text)
{
	return !strcmp(text, "stdio") || !strcmp(text, "pty") || !strcmp(text, "null") ||
	       (!strncmp(text, "file:", 5) && text[5]);
}

static int take_serial(struct run_options *o, unsigned *count, const char *text)
{
	if (!is_serial(text))
		return cli_usage_error(NAME, "--serial %s: wants stdio, pty, null or file:F", text);
	if (*count == HC_ARRAY_SIZE(o->serial))
		return cli_usage_error(NAME, "--serial %s: there are two serial ports", text);
	if (*count && !strcmp(text, "stdio") && !strcmp(o->serial[0], "stdio"))
		return cli_usage_error(NAME, "--serial stdio: only one port can have it");
	o->serial[(*count)++] = text;
	return 0;
}

static int take_device(struct run_options *o, const char *text)
{
	struct machine_devices devices = { 0 };
	const char *wrong;
	unsigned n = 0;

	/* Those that were right alone may not be there twice. */
	for (; n < HC_ARRAY_SIZE(o->devices) && o->devices[n]; n++)
		(void)machine_add_device(&devices, o->devices[n]);
	wrong = n < HC_ARRAY_SIZE(o->devices) ? machine_add_device(&devices, text)
	                                      : "too many devices";
	if (wrong)
		return cli_usage_error(NAME, "--device %s: %s", text, wrong);
	o->devices[n] = text;
	return 0;
}

static const struct option options[] = {
	{ "kernel", required_argument, NULL, 'k' },
	{ "initrd", required_argument, NULL, 'i' },
	{ "append", required_argument, NULL, 'a' },
	{ "memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, 'c' },
	{ "backend", required_argument, NULL, 'b' },
	{ "serial", required_argument, NULL, 's' },
	{ "device", required_argument, NULL, 'd' },
	{ "trace", required_argument, NULL, 't' },
	{ "name", required_argument, NULL, 'n' },
	{ "stats", no_argument, NULL, 'S' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "switch-every", required_argument, NULL, 'w' },
	{ "tsc-hz", required_argument, NULL, 'z' },
	{ "dirty-stats", required_argument, NULL, 'D' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int take(struct run_options *o, int option, const char *value, unsigned *serials)
{
	switch (option) {
	case 'k': o->kernel = value; return 0;
	case 'i': o->initrd = value; return 0;
	case 'a': o->append = value; return 0;
	case 'b': o->backend = value; return 0;
	case 't': o->trace = value; return 0;
	case 'S': o->stats = true; return 0;
	case 'q': o->quiet = true; return 0;
	case 'h': o->help = true; return 0;
	case 'm': return take_memory(o, value);
	case 'c': return take_cpus(o, value);
	case 'd': return take_device(o, value);
	case 's': return take_serial(o, serials, value);
	case 'w': return take_period(&o->switch_ns, "--switch-every", value);
	case 'z': return take_rate(o, value);
	case 'D': return take_period(&o->dirty_ns, "--dirty-stats", value);
	case 'n':
		o->name = value;
		if (!*value || strlen(value) > 31)
			return cli_usage_error(NAME, "--name: wants 1 to 31 characters");
		return 0;
	default: return CLI_USAGE;
	}
}

/* getopt_long() leaves the option that it did not like behind. */
static int bad_option(int result, char **argv)
{
	const char *word = argv[optind - 1];
	bool is_long = !strncmp(word, "--", 2);

	if (result == ':')
		return cli_usage_error(NAME, "%s wants a value", word);
	if (is_long && optopt)
		return cli_usage_error(NAME, "%s: this option has no value", word);
	if (is_long)
		return cli_usage_error(NAME, "there is no option %s", word);
	return cli_usage_error(NAME, "there is no option -%c", optopt);
}

int run_options_parse(struct run_options *o, int argc, char **argv)
{
	unsigned serials = 0;
	int option, rc = 0;

	*o = (struct run_options){
		.name = "guest", .backend = "auto", .memory = 512 * HC_MIB, .cpus = 1
	};
	optind = 1;
	while (!rc && (option = getopt_long(argc, argv, ":hqk:i:a:m:c:b:", options, NULL)) != -1)
		rc = option == '?' || option == ':' ? bad_option(option, argv)
		                                    : take(o, option, optarg, &serials);
	if (rc || o->help)
		return rc;
	if (optind < argc)
		return cli_usage_error(NAME, "%s: is not an option", argv[optind]);
	if (!o->kernel)
		return cli_usage_error(NAME, "--kernel FILE is missing");
	if (o->switch_ns && !strchr(o->backend, ','))
		return cli_usage_error(NAME, "--switch-every wants two backends, as in "
		                             "--backend kvm,emu");
	if (!serials)
		o->serial[0] = "stdio";
	return 0;
}
