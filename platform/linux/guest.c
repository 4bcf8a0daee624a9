/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/guest.h"

#include "arch/aarch64/a64.h"
#include "arch/x86_64/x86.h"
#include "machines/pc.h"

static bool is_linux(const void *kernel, uint64_t size)
{
	return x86_kernel_kind(kernel, size) == X86_KERNEL_LINUX;
}

static const struct linux_guest pc = {
	.isa = HC_ISA_X86_64,
	.create = pc_create,
	.max_cpus = X86_MAX_VCPUS,
	.is_linux = is_linux,
	.console = "console=ttyS0",
};

/* The PC's loader says of what is no kernel what it looks like. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size)
{
	bool arm64 = a64_is_image(kernel, size) || a64_is_program(kernel, size);

	return arm64 && x86_kernel_kind(kernel, size) == X86_KERNEL_NONE ? &linux_guest_virt : &pc;
}
