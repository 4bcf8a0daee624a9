/* SPDX-License-Identifier: BSD-2-Clause */
/* The one machine of arm64 hosts. What is no arm64 Image is refused by its loader, which says what
 * it looks like. */
#include "arch/aarch64/a64.h"
#include "machines/virt.h"
#include "platform/linux/guest.h"

static const struct linux_guest virt = {
	.isa = HC_ISA_AARCH64,
	.isa_name = "AArch64",
	.create = virt_create,
	.max_cpus = A64_MAX_VCPUS,
	.console = "console=ttyAMA0",
	.exit_at = VIRT_EXIT,
};

const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size)
{
	return &virt;
}
