/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/backends.h"

#include "tests/linux/toy.h"

const struct linux_backend linux_backends[] = {
	{ .ops = &toy_absent_backend },
	{ .ops = &toy_slow_backend },
	{ .ops = &toy_backend },
	{ .ops = NULL },
};
