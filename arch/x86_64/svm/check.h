/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks that VMRUN applies to a VMCB before it enters the guest, as a list of rules. Says
 * which rule a refused entry broke, and is what the model of the hardware in tests/model refuses
 * by.
 */
#ifndef ARCH_X86_64_SVM_CHECK_H
#define ARCH_X86_64_SVM_CHECK_H

#include "arch/x86_64/svm/vmcb.h"

/* What the checks need to know of the CPU. */
struct svm_limits {
	uint64_t cr4_valid, efer_valid; /* bits that may be set */
	uint8_t phys_bits;              /* width of a physical address */
	bool long_mode, flush_by_asid;
	uint32_t asids; /* ASIDs 0 .. asids - 1 exist */
};

struct svm_rule {
	const char *name;    /* what has to hold */
	const char *section; /* of APM Vol. 2 */
	bool (*broken)(const struct vmcb *vmcb, const struct svm_limits *limits);
};

extern const struct svm_rule svm_rules[];
extern const unsigned svm_rule_count;

/* The first rule that vmcb breaks, or NULL if VMRUN has to accept it. */
const struct svm_rule *svm_check(const struct vmcb *vmcb, const struct svm_limits *limits);

/* limits of a CPU, from what its CPUID answers. */
void svm_limits_from_cpuid(struct svm_limits *limits,
                           void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]));

#endif
