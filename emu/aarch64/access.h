/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries out a decoded load or store on an a64_state and two callbacks for memory.
 *
 * An instruction either completes or leaves all registers as they were: a pair loads both or none,
 * the base is written last. What it had stored before a later part faulted stays stored, and what
 * it had read from a device was read (Arm ARM B2.2.1 makes no promise about either).
 *
 * Little-endian data. An atomic instruction is a read and a write, a store exclusive always
 * succeeds: right for devices, whose accesses exclude each other, not for RAM that several CPUs
 * share. The choices of the architecture (K1.2): a base that is loaded too has what was loaded, one
 * that is stored too is stored as it was; of a pair of the same register the second counts.
 */
#ifndef EMU_AARCH64_ACCESS_H
#define EMU_AARCH64_ACCESS_H

#include <hypercore/a64_state.h>

#include "emu/aarch64/ldst.h"

/* How memory is accessed. */
#define A64_ACCESS_USER      0x1u /* LDTR, STTR */
#define A64_ACCESS_ATOMIC    0x2u /* read: a write to the same bytes follows, unless a CAS fails */
#define A64_ACCESS_EXCLUSIVE 0x4u

/*
 * Memory, by virtual address, which may have a tag. size: 1, 2, 4 or 8; 16-byte registers are two
 * accesses. An access never crosses a page: one that would is made byte by byte; alignment is not
 * checked otherwise. The value is in the low size bytes. 0, or anything else, which a64_ldst_run
 * returns: the access did not happen.
 */
struct a64_mem_ops {
	int (*read)(void *ctx, gva_t address, unsigned size, unsigned access, uint64_t *value);
	int (*write)(void *ctx, gva_t address, unsigned size, unsigned access, uint64_t value);
	unsigned zero_block; /* bytes that DC ZVA clears: 4 << DCZID_EL0.BS, 8 at least */
};

/* The groups of state, enum a64_state_group, that the instruction reads or writes. */
uint32_t a64_ldst_groups(const struct a64_ldst *insn);

/* The instruction is that at state->pc, which is left alone: the caller goes on (a64_skip). */
int a64_ldst_run(const struct a64_ldst *insn, struct a64_state *state,
                 const struct a64_mem_ops *ops, void *ctx);

/* Where its access begins. */
gva_t a64_ldst_address(const struct a64_ldst *insn, const struct a64_state *state);

#endif
