/* SPDX-License-Identifier: BSD-2-Clause */
#include <hypercore/errno.h>

#include "arch/x86_64/x86.h"
#include "core/log.h"

#define RAM_UNIT (2 * HC_MIB)
#define RAM_MIN  (16 * HC_MIB)

int x86_add_ram(struct hc_vm *vm, uint64_t size)
{
	uint64_t low = hc_min(size, X86_RAM_LOW_END);

	if (size < RAM_MIN || size % RAM_UNIT)
		return hc_error(
			-EINVAL,
			"vm %s: %llu KiB of memory: wants at least 16 MiB, in steps of 2 MiB",
			vm->name, (unsigned long long)(size / HC_KIB));
	int rc = hc_vm_add_ram(vm, gpa_of(0), low);

	if (!rc && size > low)
		rc = hc_vm_add_ram(vm, gpa_of(HC_BIT(32)), size - low);
	return rc;
}
