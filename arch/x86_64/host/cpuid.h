/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the x86 guest platform asks of the physical CPU. Each backend's image links one
 * implementation: arch/x86_64/host/cpuid.c where the CPU is one; unit tests link tables.
 */
#ifndef ARCH_X86_64_HOST_CPUID_H
#define ARCH_X86_64_HOST_CPUID_H

#include <hypercore/types.h>

/* The CPUID instruction: EAX, EBX, ECX, EDX in out[0..3]. What a backend cannot virtualize may be
 * left out of the answer. */
void x86_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#endif
