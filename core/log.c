/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/log.h"

#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "core/sched.h"

#define LINE 256

static enum hc_log_level max_level = HC_LOG_INFO;

/* The last error of each CPU; one that has no struct (hc_platform_this_cpu() is NULL while start-up
 * cannot tell which it is) uses the first. */
static char last_error[HC_MAX_CPUS][LINE];

static char *last_error_here(void)
{
	const struct hc_cpu *cpu = hc_platform_this_cpu();

	return last_error[cpu && cpu->id < HC_MAX_CPUS ? cpu->id : 0];
}

static void emit(const char *prefix, const char *text)
{
	char line[LINE];
	int n = hc_snprintf(line, sizeof(line), "hypercore: %s%s", prefix, text);

	hc_platform_log(line, n < LINE ? (size_t)n : LINE - 1);
}

void hc_log_set_level(enum hc_log_level level)
{
	max_level = level;
}

void hc_log(enum hc_log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = { "error: ", "warning: ", "", "debug: " };
	char text[LINE];
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	hc_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(prefix[level], text);
}

int hc_error(int err, const char *fmt, ...)
{
	char *text = last_error_here();
	va_list ap;

	va_start(ap, fmt);
	hc_vsnprintf(text, LINE, fmt, ap);
	va_end(ap);
	emit("error: ", text);
	return err;
}

const char *hc_error_last(void)
{
	return last_error_here();
}

void hc_panic(const char *fmt, ...)
{
	char text[LINE];
	va_list ap;

	va_start(ap, fmt);
	hc_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hc_platform_panic(text);
}
