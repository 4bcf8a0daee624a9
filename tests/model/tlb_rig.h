/* SPDX-License-Identifier: BSD-2-Clause */
/* A stage 2 of each format, in the TLB model's memory and under its eyes. */
#ifndef TESTS_MODEL_TLB_RIG_H
#define TESTS_MODEL_TLB_RIG_H

#include "mmu/ept.h"
#include "mmu/npt.h"
#include "mmu/vmsav8.h"
#include "tests/model/tlb.h"

struct rig_kind {
	const char *name;
	const struct s2_format *format;
	enum tlb_arch arch;
	bool hw_dirty;
	bool breaks; /* break-before-make is the architecture's rule */
};

extern const struct rig_kind rig_kinds[];
extern const unsigned rig_kind_count;

struct rig {
	const struct rig_kind *kind;
	struct tlb *tlb;
	struct s2 s2;
};

/* Makes an empty stage 2, and loads the model's registers as a backend would the CPU's. */
void rig_open(struct rig *rig, const struct rig_kind *kind, unsigned ipa_bits);

/* Destroys it; fails the test when tables are left or the model has a complaint. */
void rig_close(struct rig *rig);

/* After an operation: fails the test on what the model found, with the model's words. */
void rig_check(struct rig *rig);

#endif
