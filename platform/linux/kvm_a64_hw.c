/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/kvm_a64.h"

uint64_t kvm_a64_dczid(void)
{
	uint64_t value;

	__asm__("mrs %0, dczid_el0" : "=r"(value));
	return value;
}
