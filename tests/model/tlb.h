/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of the memory that tables are in and of the CPUs' walkers and TLBs, to check what writes
 * the tables. Its walkers are written from the manuals alone.
 *
 * The TLB never forgets by itself: every translation and every pointer to a table that a walk
 * once met stays until it is invalidated, the worst that hardware may do. It finds
 *   - what it remembers and is no longer so once an operation is over (tlb_check);
 *   - a valid entry that changed into another one without a break, where the architecture demands
 *     one: the walk meets what contradicts something remembered (VMSAv8-64 only);
 *   - entries with reserved bits set, or encodings that the manual reserves;
 *   - on Arm, entries that walkers need not see yet as they were not synchronised;
 *   - tables that are reached after they were freed, freed twice, or freed and not allocated.
 * Each finding is counted, and the first is described in complaint.
 *
 * While an operation runs, the model accesses one of the addresses it was told to watch at every
 * call that the operation makes: CPUs that go on running.
 */
#ifndef TESTS_MODEL_TLB_H
#define TESTS_MODEL_TLB_H

#include "mmu/stage2.h"

enum tlb_arch { TLB_EPT, TLB_NPT, TLB_VMSAV8 };

#define TLB_PAGES     4096 /* of table memory */
#define TLB_BASE      UINT64_C(0x7c0000000)
#define TLB_CACHE     256
#define TLB_WATCH_MAX 64
#define TLB_PA_BITS   46 /* of the modelled CPU: higher address bits are reserved */

enum tlb_access { TLB_READ = 1, TLB_WRITE = 2, TLB_EXEC = 4 };

/* What a walk gave. */
struct tlb_entry {
	uint64_t gpa, size; /* of the page, or of what the table translates */
	uint64_t pa;        /* of the page, or of the table */
	unsigned access;    /* enum tlb_access */
	unsigned type;      /* S2_WB, S2_UC, S2_WC: the effective type */
	bool dirty;         /* this CPU knows the dirty flag to be set */
	bool table;
};

struct tlb {
	enum tlb_arch arch;
	bool flags; /* accessed and dirty flags are enabled */
	/* As a CPU would: the root and the first level, from the registers' values. */
	uint64_t root;
	unsigned top, ipa_bits; /* top: the lowest address bit that the root's index uses */
	uint64_t pat;           /* NPT: the host's */

	struct tlb_entry cache[TLB_CACHE];
	unsigned cached, evict, coin;
	uint64_t watch[TLB_WATCH_MAX];
	unsigned watched, turn;
	bool others_write; /* not only read */
	bool busy;

	unsigned complaints;
	char complaint[256];

	/* Allocation. The fail_after-th from now fails (0: the next), and all after it; -1: none.
	 */
	int64_t fail_after;
	unsigned allocated, invalidations, syncs;
	uint8_t order[TLB_PAGES]; /* 1 + order at an allocation's first page, 0xff at the others */
	bool suspect[TLB_PAGES];  /* given out for writing since it was last compared */
	bool ignore_invalidate;   /* to show that it is missed */

	uint64_t memory[TLB_PAGES][512]; /* what is written */
	uint64_t seen[TLB_PAGES][512];   /* what walkers are certain to see */
};

/* For struct mm_ops: the model's memory, with ctx a struct tlb. */
extern const struct mm_ops tlb_mm_ops;

/* A model without a root yet. Free it with free(). */
struct tlb *tlb_new(enum tlb_arch arch);

/* Registers as the hypervisor would load them. nCR3 and the host's PAT; EPTP; VTCR_EL2 and
 * VTTBR_EL2. */
void tlb_load_npt(struct tlb *tlb, uint64_t ncr3, uint64_t pat);
void tlb_load_ept(struct tlb *tlb, uint64_t eptp);
void tlb_load_vmsav8(struct tlb *tlb, uint64_t vtcr, uint64_t vttbr);

/*
 * A guest's access, by the TLB if it knows the address, else by a walk that is remembered. Whether
 * it passed; *entry is the translation used. Writes set dirty flags.
 */
bool tlb_access(struct tlb *tlb, uint64_t gpa, enum tlb_access access, struct tlb_entry *entry);

/* Adds gpa to the addresses accessed during the operations that follow. */
void tlb_watch(struct tlb *tlb, uint64_t gpa);
void tlb_unwatch(struct tlb *tlb);

/* Between operations: compares all that is remembered with what is true now. */
void tlb_check(struct tlb *tlb);

#endif
