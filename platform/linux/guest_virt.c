/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/aarch64/a64.h"
#include "machines/virt.h"
#include "platform/linux/guest.h"

const struct linux_guest linux_guest_virt = {
	.isa = HC_ISA_AARCH64,
	.create = virt_create,
	.max_cpus = A64_MAX_VCPUS,
	.exit_at = VIRT_EXIT,
	.is_linux = a64_is_image,
	.console = "console=ttyAMA0",
};
