/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The privileged instructions of the EL2 backend, one function each. hw.S and hw.c implement them
 * on a board; tests/model/el2_cpu.c models a CPU that does. Nothing here decides anything.
 */
#ifndef ARCH_AARCH64_EL2_HW_H
#define ARCH_AARCH64_EL2_HW_H

#include <hypercore/a64_state.h>

#include "arch/aarch64/el2/regs.h"

/* The vector by which the guest was left (Arm ARM D1.3.1.1, exceptions from a lower level). */
enum el2_vector { EL2_VECTOR_SYNC, EL2_VECTOR_IRQ, EL2_VECTOR_FIQ, EL2_VECTOR_SERROR };

#define EL2_LEFT_VECTOR(left)   ((enum el2_vector)((left) >> 56))
#define EL2_LEFT_SYNDROME(left) ((left)&UINT64_C(0x00ffffffffffffff))

/*
 * The world switch: ELR_EL2 and SPSR_EL2 from st->pc and st->pstate, X0 to X30 from st->x, ERET;
 * and all of them back. Called and returns with PSTATE.DAIF set. A physical interrupt that ended
 * the guest is pending on return. Returns the enum el2_vector in bits 63:56 and, for SYNC and
 * SERROR, ESR_EL2 below.
 *
 * The board's vector table (VBAR_EL2) has, for exceptions from AArch64 at a lower level, branches
 * to el2_vector_sync, el2_vector_irq, el2_vector_fiq and el2_vector_serror of hw.S, and for AArch32
 * at a lower level the same.
 */
uint64_t el2_hw_enter(struct a64_state *st);

/* Any of EL2_REGISTERS. One that the CPU does not have is UNDEFINED: callers know by the ID
 * registers. Writes are seen by the instructions after the next el2_hw_isb(), and by the guest. */
uint64_t el2_hw_read(enum el2_register reg);
void el2_hw_write(enum el2_register reg, uint64_t value);

/* FAR_EL2 and HPFAR_EL2, for the exit path. */
uint64_t el2_hw_far(void);
uint64_t el2_hw_hpfar(void);

/* All of A64_EL1_REGISTERS at once, by the _EL12 names if vhe. */
void el2_hw_save_el1(uint64_t sys[A64_SYS_COUNT], bool vhe);
void el2_hw_load_el1(const uint64_t sys[A64_SYS_COUNT], bool vhe);

/* The virtual timer, by its _EL02 names if vhe: CNTVOFF_EL2, CNTV_CVAL_EL0, CNTV_CTL_EL0, ISB. */
void el2_hw_load_timer(uint64_t offset, uint64_t cval, uint32_t ctl, bool vhe);
uint32_t el2_hw_timer_ctl(bool vhe);
uint64_t el2_hw_timer_cval(bool vhe);
void el2_hw_stop_timer(bool vhe);

/* V0 .. V31, FPSR and FPCR. Not trapped now. */
void el2_hw_save_fp(uint64_t v[32][2], uint32_t *fpsr, uint32_t *fpcr);
void el2_hw_load_fp(uint64_t v[32][2], uint32_t fpsr, uint32_t fpcr);

/* DBGBVR<n>_EL1 and DBGBCR<n>_EL1 of so many breakpoints, DBGWVR<n>_EL1 and DBGWCR<n>_EL1. */
void el2_hw_load_debug(const struct a64_state *st, unsigned breakpoints, unsigned watchpoints);

/* ICH_VMCR_EL2, the list registers whose bit is set in lrs, and of either group so many active
 * priorities registers (1, 2 or 4). With the list registers, ICH_HCR_EL2 is read as well. */
void el2_hw_save_gic(struct a64_gic_cpu *gic, uint32_t lrs, unsigned aprs);
/* The same, and ICH_HCR_EL2 last. */
void el2_hw_load_gic(const struct a64_gic_cpu *gic, uint32_t lrs, unsigned aprs);
/* ICH_HCR_EL2 becomes 0. */
void el2_hw_stop_gic(void);

void el2_hw_isb(void);

/* DSB ISHST; TLBI VMALLS12E1IS; DSB ISH; ISB: of the VMID in VTTBR_EL2 now, on all CPUs. */
void el2_hw_tlbi_vmall(void);
/* DSB ISHST; TLBI IPAS2E1IS of so many pages from gpa; DSB ISH; TLBI VMALLE1IS; DSB ISH; ISB (Arm
 * ARM D8.14.5). */
void el2_hw_tlbi_ipa(gpa_t gpa, unsigned pages);
/* TLBI VMALLE1, of the VMID in VTTBR_EL2 now, and IC IALLU: on this CPU only. */
void el2_hw_tlbi_local(void);
/* TLBI ALLE1IS: all guests' of all VMIDs, on all CPUs. */
void el2_hw_tlbi_all(void);
/* DSB ISHST: entries that were written are seen by all walkers. */
void el2_hw_dsb_tables(void);

/* Cleans and invalidates the data caches for [p, p + size) to the point of coherency, and all
 * instruction caches. */
void el2_hw_clean(const void *p, uint64_t size);

/* AT S1E1R, then PAR_EL1, which is left as it was (Arm ARM C5.5). */
uint64_t el2_hw_translate(gva_t gva);

#endif
