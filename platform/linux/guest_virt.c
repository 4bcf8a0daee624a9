/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/aarch64/a64.h"
#include "machines/virt.h"
#include "platform/linux/guest.h"

static const struct linux_guest virt = {
	.isa = HC_ISA_AARCH64,
	.create = virt_create,
	.max_cpus = A64_MAX_VCPUS,
	.console = "console=ttyAMA0",
	.exit_at = VIRT_EXIT,
};

/* For programs other than Linux, whose command lines are their own. */
static const struct linux_guest virt_plain = {
	.isa = HC_ISA_AARCH64,
	.create = virt_create,
	.max_cpus = A64_MAX_VCPUS,
	.console = "",
	.exit_at = VIRT_EXIT,
};

const struct linux_guest *linux_guest_arm64(const void *kernel, uint64_t size)
{
	if (a64_is_image(kernel, size))
		return &virt;
	return a64_is_program(kernel, size) ? &virt_plain : NULL;
}
