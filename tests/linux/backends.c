/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/backends.h"

#include "tests/linux/toy.h"

const struct hc_backend_ops *const linux_backends[] = {
	&toy_absent_backend,
	&toy_slow_backend,
	&toy_backend,
	NULL,
};
