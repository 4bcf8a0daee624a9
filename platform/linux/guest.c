/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/guest.h"

#include "arch/aarch64/a64.h"
#include "arch/x86_64/x86.h"
#include "machines/pc.h"

static const struct linux_guest pc = {
	.isa = HC_ISA_X86_64,
	.create = pc_create,
	.max_cpus = X86_MAX_VCPUS,
	.console = "console=ttyS0",
};

/* For kernels other than Linux, whose command lines are their own. */
static const struct linux_guest pc_plain = {
	.isa = HC_ISA_X86_64,
	.create = pc_create,
	.max_cpus = X86_MAX_VCPUS,
	.console = "",
};

/* The PC's loader says of what is no kernel what it looks like. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size)
{
	enum x86_kernel kind = x86_kernel_kind(kernel, size);

	if (kind != X86_KERNEL_NONE)
		return kind == X86_KERNEL_LINUX ? &pc : &pc_plain;
	return linux_guest_arm64(kernel, size) ? linux_guest_arm64(kernel, size) : &pc_plain;
}
