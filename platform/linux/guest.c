/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/guest.h"

#include <hypercore/freestanding.h>

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

/* Linux: Documentation/arch/arm64/booting.rst, section 4. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size)
{
	static const char magic[4] = { 'A', 'R', 'M', 0x64 };

	if (size >= 64 && memcmp((const uint8_t *)kernel + 56, magic, sizeof(magic)) == 0)
		return &linux_guest_virt;
	return x86_kernel_kind(kernel, size) == X86_KERNEL_LINUX ? &pc : &pc_plain;
}
