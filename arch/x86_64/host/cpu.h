/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The privileged instructions that the hardware backends share, one function each. cpu.c implements
 * them on a board; the models of CPUs in tests/model do in unit tests. Nothing here decides
 * anything.
 *
 * Instructions fault as the manual says: callers check by CPUID that what they ask for exists.
 */
#ifndef ARCH_X86_64_HOST_CPU_H
#define ARCH_X86_64_HOST_CPU_H

#include "arch/x86_64/host/cpuid.h"

uint64_t x86_host_rdmsr(uint32_t msr);
void x86_host_wrmsr(uint32_t msr, uint64_t value);
uint64_t x86_host_read_cr0(void);
void x86_host_write_cr0(uint64_t value);
uint64_t x86_host_read_cr2(void);
void x86_host_write_cr2(uint64_t value);
uint64_t x86_host_read_cr4(void);
void x86_host_write_cr4(uint64_t value);

/* DR0 .. DR3. */
void x86_host_read_dr(uint64_t dr[4]);
void x86_host_write_dr(const uint64_t dr[4]);
uint64_t x86_host_read_dr6(void);
void x86_host_write_dr6(uint64_t value);

uint64_t x86_host_xgetbv(void); /* XCR0 */
void x86_host_xsetbv(uint64_t xcr0);
void x86_host_xsave(void *area, uint64_t mask); /* area is aligned to 64 bytes */
void x86_host_xrstor(const void *area, uint64_t mask);
void x86_host_fxsave(void *area);
void x86_host_fxrstor(const void *area);

/* Runs this CPU's own machine-check handler (INT 18), for a #MC that ended the guest. */
void x86_host_machine_check(void);
/* The same for an NMI (INT 2); its IRET ends the masking of NMIs. */
void x86_host_nmi(void);
/* And for an interrupt that the CPU acknowledged when it left the guest for it. Interrupts are off.
 */
void x86_host_interrupt(uint8_t vector);

#endif
