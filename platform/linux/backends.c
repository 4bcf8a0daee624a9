/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/backends.h"

#include "arch/x86_64/emu/emu.h"
#include "platform/linux/kvm.h"

/* A backend is declared here and named below: nothing else knows which there are. */

const struct hc_backend_ops *const linux_backends[] = {
	&emu_backend,
	&kvm_backend,
	NULL,
};
