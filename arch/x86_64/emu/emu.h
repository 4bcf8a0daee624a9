/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU as a backend: for machines whose CPU has no virtualization, or does not give it
 * away. It needs nothing of the machine but its instructions.
 *
 * The neutral state is the CPU's own, in place: all groups are always valid. Stage 2 is in EPT's
 * format without dirty flags, so that a write to a clean page of a dirty log is seen.
 */
#ifndef ARCH_X86_64_EMU_EMU_H
#define ARCH_X86_64_EMU_EMU_H

#include <hypercore/backend.h>

extern const struct hc_backend_ops emu_backend;

/* CPUID of the software CPU (hc_backend_ops.cpuid). */
void emu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#endif
