/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The privileged instructions of the AMD-V backend, one function each. hw.S and hw.c implement them
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

void svm_hw_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]); /* EAX, EBX, ECX, EDX */
uint64_t svm_hw_rdmsr(uint32_t msr);
void svm_hw_wrmsr(uint32_t msr, uint64_t value);
uint64_t svm_hw_read_cr4(void);
void svm_hw_write_cr4(uint64_t value);

/* DR0 .. DR3. */
void svm_hw_read_dr(uint64_t dr[4]);
void svm_hw_write_dr(const uint64_t dr[4]);

uint64_t svm_hw_xgetbv(void); /* XCR0 */
void svm_hw_xsetbv(uint64_t xcr0);
void svm_hw_xsave(void *area, uint64_t mask); /* area is aligned to 64 bytes */
void svm_hw_xrstor(const void *area, uint64_t mask);
void svm_hw_fxsave(void *area);
void svm_hw_fxrstor(const void *area);

/* Runs this CPU's own machine-check handler (INT 18), for a #MC that ended the guest. */
void svm_hw_machine_check(void);

#endif
