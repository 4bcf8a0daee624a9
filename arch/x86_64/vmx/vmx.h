/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VT-x backend (SDM Vol. 3C chapters 24 to 34).
 *
 * Needs EPT, VMX_CPU_TPR_SHADOW, MSR and I/O bitmaps, virtual NMIs, and loading of IA32_EFER and
 * IA32_PAT by entries and exits. Runs with or without: unrestricted guest, VPID, EPT accessed and
 * dirty flags, RDTSCP, INVPCID, PAUSE-loop exiting.
 *
 * What the guest does without an exit, and what follows from it:
 *  - CR0 and CR4 are the guest's but for bits that VT-x wants fixed (CR0.NE, CR4.VMXE), CR0.CD and
 *    CR0.NW, which have no effect, and bits of CR4 that its CPUID hides: writes of those exit.
 *  - What SYSCALL, SWAPGS and RDTSCP use, the FPU, DR0..DR3, DR6 and CR2 stay in the CPU from
 *    load() to put(): the hypervisor uses none of them.
 */
#ifndef ARCH_X86_64_VMX_VMX_H
#define ARCH_X86_64_VMX_VMX_H

#include <hypercore/backend.h>

/* probe() sets s2_format, by whether the CPU's EPT has accessed and dirty flags. */
extern struct hc_backend_ops vmx_backend;

#endif
