/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/guest.h"

#include <hypercore/freestanding.h>

#include "arch/aarch64/a64.h"
#include "arch/x86_64/x86.h"
#include "machines/pc.h"
#include "machines/virt.h"

static const struct linux_guest pc = {
	.isa = HC_ISA_X86_64,
	.isa_name = "x86-64",
	.create = pc_create,
	.max_cpus = X86_MAX_VCPUS,
	.console = "console=ttyS0",
};

/* What says by itself what it wants to be told, or takes no words that it does not know. */
static const struct linux_guest pc_plain = {
	.isa = HC_ISA_X86_64,
	.isa_name = "x86-64",
	.create = pc_create,
	.max_cpus = X86_MAX_VCPUS,
	.console = "",
};

static const struct linux_guest virt = {
	.isa = HC_ISA_AARCH64,
	.isa_name = "AArch64",
	.create = virt_create,
	.max_cpus = A64_MAX_VCPUS,
	.console = "console=ttyAMA0",
	.exit_at = VIRT_EXIT,
};

/* Linux: Documentation/arch/arm64/booting.rst, section 4. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size)
{
	static const char magic[4] = { 'A', 'R', 'M', 0x64 };

	if (size >= 64 && memcmp((const uint8_t *)kernel + 56, magic, sizeof(magic)) == 0)
		return &virt;
	return x86_kernel_kind(kernel, size) == X86_KERNEL_LINUX ? &pc : &pc_plain;
}
