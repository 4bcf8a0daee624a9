/* SPDX-License-Identifier: BSD-2-Clause */
/* The AMD-V instructions but for the world switch. See hw.h. */
#include "arch/x86_64/svm/hw.h"

void svm_hw_vmsave(hpa_t host)
{
	__asm__ volatile("vmsave %0" : : "a"(host.v) : "memory");
}
