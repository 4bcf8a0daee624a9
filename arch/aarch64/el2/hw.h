/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The privileged instructions of the EL2 backend, one function each. hw.S and hw.c implement them
 * on a board; tests/model/el2_cpu.c models a CPU that does. Nothing here decides anything.
 */
#ifndef ARCH_AARCH64_EL2_HW_H
#define ARCH_AARCH64_EL2_HW_H

#include <hypercore/a64_state.h>

/* The vector by which the guest was left (Arm ARM D1.3.1.1, exceptions from a lower level). */
enum el2_vector { EL2_VECTOR_SYNC, EL2_VECTOR_IRQ, EL2_VECTOR_FIQ, EL2_VECTOR_SERROR };

/*
 * The world switch: ELR_EL2 and SPSR_EL2 from st->pc and st->pstate, X0 to X30 from st->x, ERET;
 * and all of them back. Called and returns with PSTATE.DAIF set. A physical interrupt that ended
 * the guest is pending on return. Returns the enum el2_vector.
 *
 * The board's vector table (VBAR_EL2) has, for exceptions from AArch64 at a lower level, branches
 * to el2_vector_sync, el2_vector_irq, el2_vector_fiq and el2_vector_serror of hw.S, and for AArch32
 * at a lower level the same.
 */
uint64_t el2_hw_enter(struct a64_state *st);

/* The system registers of EL2 that the backend reads and writes, by A64_SYSREG number. hw.c has one
 * MRS and one MSR for each that internal.h names; no other may be asked for. */
uint64_t el2_hw_read(uint32_t number);
void el2_hw_write(uint32_t number, uint64_t value);

/* All of A64_EL1_REGISTERS at once, by the _EL12 names if vhe. */
void el2_hw_save_el1(uint64_t sys[A64_SYS_COUNT], bool vhe);
void el2_hw_load_el1(const uint64_t sys[A64_SYS_COUNT], bool vhe);

void el2_hw_save_fp(struct a64_state *st); /* V0 .. V31, FPSR, FPCR; not trapped now */
void el2_hw_load_fp(const struct a64_state *st);

void el2_hw_isb(void);

/* DSB ISHST; TLBI VMALLS12E1IS; DSB ISH; ISB: of the VMID in VTTBR_EL2 now, on all CPUs. */
void el2_hw_tlbi_vmall(void);
/* TLBI IPAS2E1IS of one address, DSB ISH, TLBI VMALLE1IS, DSB ISH, ISB (Arm ARM D8.14.5). */
void el2_hw_tlbi_ipa(gpa_t gpa);
/* TLBI ALLE1IS: all guests' of all VMIDs, on all CPUs. */
void el2_hw_tlbi_all(void);
/* DSB ISHST: entries that were written are seen by all walkers. */
void el2_hw_dsb_tables(void);

/* AT S1E1R or S1E1W, then PAR_EL1, which is left as it was (Arm ARM C5.5). */
uint64_t el2_hw_translate(gva_t gva, bool write);

#endif
