/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks that VM entry applies to a VMCS (SDM Vol. 3C 27.2, 27.3), as a list of rules. Says
 * which rule a refused entry broke, and is what the model of the hardware in tests/model refuses
 * by.
 */
#ifndef ARCH_X86_64_VMX_CHECK_H
#define ARCH_X86_64_VMX_CHECK_H

#include "arch/x86_64/vmx/caps.h"

/* A VMCS, and the CPU that it is checked for. */
struct vmx_check {
	uint64_t (*read)(const struct vmx_check *c, uint32_t field);
	const void *ctx; /* read()'s */
	const struct vmx_cap_msrs *caps;
	bool host_ia32e; /* EFER.LMA at the entry */
};

/* In the order in which the CPU looks: what breaks rules of the first two groups is VMfailValid
 * with VMX_ERROR_CONTROLS or VMX_ERROR_HOST_STATE, of the third an exit,
 * VMX_REASON_INVALID_GUEST_STATE. */
enum vmx_rule_group { VMX_RULE_CONTROLS, VMX_RULE_HOST, VMX_RULE_GUEST, VMX_RULE_GROUPS };

struct vmx_rule {
	const char *name;    /* what has to hold, with the manual's names of fields and bits */
	const char *section; /* of SDM Vol. 3C */
	bool (*broken)(const struct vmx_check *c);
};

/* Rules of one group. VMX_RULE_GUEST has two sets: the segments are a chapter of their own. */
struct vmx_rules {
	enum vmx_rule_group group;
	unsigned count;
	const struct vmx_rule *rules;
};

#define VMX_RULE_SETS 4

/* In the order in which they are applied. */
extern const struct vmx_rules *const vmx_rules[VMX_RULE_SETS];

/* The first rule that is broken, or NULL: VM entry has to succeed. *group may be NULL. */
const struct vmx_rule *vmx_check(const struct vmx_check *c, enum vmx_rule_group *group);

#endif
