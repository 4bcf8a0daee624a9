/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU for tests of the process around it: interprets the handful of instructions that their
 * kernels (tests/linux/test_cli.py) are made of, with paging off as the boot protocol's tables are
 * an identity, and knows the measuring guest as a whole. It takes no interrupts.
 */
#ifndef TESTS_LINUX_TOY_H
#define TESTS_LINUX_TOY_H

#include <hypercore/backend.h>

/* The same CPU at two speeds, and one that is never there. */
extern const struct hc_backend_ops toy_backend, toy_slow_backend, toy_absent_backend;

#endif
