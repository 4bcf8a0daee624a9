/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/aarch64/a64.h"
#include "machines/virt.h"
#include "platform/linux/guest.h"

/* What is no kernel is refused by the machine's loader, which says what it looks like. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size)
{
	static const struct linux_guest none = {
		.isa = HC_ISA_AARCH64,
		.create = virt_create,
		.max_cpus = A64_MAX_VCPUS,
		.console = "",
		.exit_at = VIRT_EXIT,
	};
	const struct linux_guest *known = linux_guest_arm64(kernel, size);

	return known ? known : &none;
}
