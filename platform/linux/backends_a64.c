/* SPDX-License-Identifier: BSD-2-Clause */
/* The backends of arm64 hosts. */
#include "platform/linux/backends.h"
#include "platform/linux/kvm.h"

const struct linux_backend linux_backends[] = {
	{ .ops = &kvm_backend },
	{ .ops = NULL },
};
