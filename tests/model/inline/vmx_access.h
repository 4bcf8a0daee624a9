/* SPDX-License-Identifier: BSD-2-Clause */
/* VMREAD and VMWRITE where the CPU is the model of vmx_cpu.c. */
#ifndef TESTS_MODEL_INLINE_VMX_ACCESS_H
#define TESTS_MODEL_INLINE_VMX_ACCESS_H

#include <hypercore/types.h>

uint64_t vmx_hw_read(uint32_t field);
void vmx_hw_write(uint32_t field, uint64_t value);

#endif
