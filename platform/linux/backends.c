/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/backends.h"

#include "arch/x86_64/emu/emu.h"

/* A backend is declared here and named below: nothing else knows which there are. */

const struct hc_backend_ops *const linux_backends[] = {
	&emu_backend,
	NULL,
};
