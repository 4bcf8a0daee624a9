/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for people, and the one place where an error code gets its explanation. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <hypercore/errno.h>
#include <stdarg.h>
#include <stddef.h>

enum hc_log_level { HC_LOG_ERROR, HC_LOG_WARN, HC_LOG_INFO, HC_LOG_DEBUG };

#define HC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Messages above this level are dropped; HC_LOG_INFO at the start. */
void hc_log_set_level(enum hc_log_level level);

/* One line, without a newline, at most 255 bytes. Any context. */
void hc_log(enum hc_log_level level, const char *fmt, ...) HC_PRINTF(2, 3);

/* Logs the message and returns err: `return hc_error(-EINVAL, "disk %s: ...", name);`. Used where
 * an error arises, not where it is passed on. The last message stays available to the CPU that
 * raised it through hc_error_last(), for front ends that want to repeat it. */
int hc_error(int err, const char *fmt, ...) HC_PRINTF(2, 3);
const char *hc_error_last(void);

/* Our own invariant is broken. Never for a value that a guest, file or user supplied. */
_Noreturn void hc_panic(const char *fmt, ...) HC_PRINTF(1, 2);

/* The subset of printf(3) without floating point: flags -, 0, +, space, #; width, precision and *;
 * h hh l ll z; d i u x X o c s p %. Always terminates buf if size > 0. Returns the length that the
 * whole text has, as snprintf does. */
int hc_snprintf(char *buf, size_t size, const char *fmt, ...) HC_PRINTF(3, 4);
int hc_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) HC_PRINTF(3, 0);

#endif
