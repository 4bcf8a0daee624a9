/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform of the unit tests: a process with a clock that only the test moves, and as many CPUs
 * as the test likes to have, of which it is one at a time.
 */
#ifndef TESTS_PLATFORM_H
#define TESTS_PLATFORM_H

#include "core/sched.h"

#define TEST_CPUS 4

/* Sets up count CPUs (up to TEST_CPUS) and the scheduler; the test is CPU 0. Forgets the log. */
void test_platform_init(unsigned count);

/* Which CPU the test is. */
void test_platform_be(unsigned cpu);

/* The clock; it also counts as cycles, at 1 GHz. */
extern uint64_t test_now_ns;

/* What the code under test asked the platform for. */
extern uint64_t test_deadline_ns[TEST_CPUS];
extern unsigned test_kicks[TEST_CPUS];

/* Called for hc_platform_idle() and hc_platform_irq_window(), if set. */
extern void (*test_on_idle)(void);
extern void (*test_on_irq_window)(void);

/* The loop of the CPU that the test is, until something like test_stop_loop() stops it. */
void test_run_loop(void);
void test_stop_loop(void); /* for test_on_idle: of the CPU that calls it */

/* The same, until nothing is left to do. */
void test_run_until_idle(void);

/* The n-th allocation from now on fails, once (0: none does). */
extern unsigned test_fail_alloc;

/* Bytes allocated and not yet freed. */
extern uint64_t test_allocated;

/* What was logged since test_platform_init, lines ending in a newline each. Also printed if the
 * environment has HC_TEST_LOG. */
const char *test_log(void);

/* The panic message, if hc_panic was called; the test is ended by longjmp to here if armed. */
extern void *test_panic_jump; /* a jmp_buf */
const char *test_panic_message(void);

#endif
