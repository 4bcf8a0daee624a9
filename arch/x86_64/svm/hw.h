/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions of AMD-V, one function each. hw.S and hw.c implement them
 * on a board; tests/model/svm_cpu.c models a CPU that does. Nothing here decides anything.
 *
 * Instructions fault as the manual says: callers check by CPUID that what they ask for exists.
 */
#ifndef ARCH_X86_64_SVM_HW_H
#define ARCH_X86_64_SVM_HW_H

#include <hypercore/types.h>

/*
 * The world switch, APM Vol. 2 15.5 and 15.6. CLGI; VMLOAD and VMRUN of the VMCB at vmcb; VMSAVE to
 * it; VMLOAD of host, where svm_hw_vmsave() saved this CPU's own state; STGI. The guest's general
 * registers are taken from gpr[] (order of enum x86_gpr) and left there; RAX and RSP are the
 * VMCB's. Called and returns with RFLAGS.IF clear; it is set while the guest runs, so that, with
 * V_INTR_MASKING, physical interrupts end the guest. An interrupt that did is pending on return.
 */
void svm_hw_enter(uint64_t *gpr, hpa_t vmcb, hpa_t host);

/* FS, GS, TR, LDTR with their hidden parts, KernelGSBase, STAR.., SYSENTER.. (15.5.2). */
void svm_hw_vmsave(hpa_t host);

#endif
