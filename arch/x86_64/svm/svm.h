/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AMD-V backend (APM Vol. 2 chapter 15).
 *
 * Needs nested paging. Runs with or without: next RIP saved on exits, decode assists, flushing by
 * ASID, clean bits, XSAVE.
 *
 * What the guest does without an exit, and what follows from it:
 *  - CR0, CR3 and CR4 are written directly. The hardware checks them by the CPU's own features, so
 *    that a guest can set bits of CR4 whose feature its CPUID hides (PKE, LA57). Intercepting CR4
 *    would cost an exit on every global TLB flush. CR0.CD is honoured: the guest runs uncached.
 *  - VMRUN and its relatives end in #UD. At CPL 3 hardware gives #GP first, since EFER.SVME is set
 *    in the VMCB; a guest that reads EFER does not see it.
 *  - Where the hardware does not intercept XSETBV (QEMU 7.2), components of XCR0 that
 *    X86_XSAVE_SIZE has no room for are shared by all guests.
 */
#ifndef ARCH_X86_64_SVM_SVM_H
#define ARCH_X86_64_SVM_SVM_H

#include <hypercore/backend.h>

extern const struct hc_backend_ops svm_backend;

#endif
