/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules' order, which is the CPU's as far as it has one (27.1: controls and host state in any
 * order, then guest state).
 *
 * Not here, since it takes more than a VMCS to tell: what is in memory (VTPR, MSR areas, the
 * PDPTEs without EPT, the VMCS that the link pointer names), and the reserved bits of
 * IA32_PERF_GLOBAL_CTRL, which only CPUID knows.
 *
 * Held against Bochs 2.7, by single changes in VMCSs of all modes: it lets pass some of what the
 * manual refuses (reserved bits of DEBUGCTL and of pending debug exceptions, and their BS, RIP
 * beyond the linear address width, CS.DPL against SS.DPL, events against activity states and
 * blocked virtual NMIs, IA-32e mode without paging), and refuses one thing more: the RPL of a CS
 * that is not conforming has to be its DPL.
 */
#include "arch/x86_64/vmx/check.h"

#include "arch/x86_64/vmx/check_rules.h"

bool vmx_bad_pat(uint64_t pat)
{
	const unsigned known = 1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7;

	for (unsigned i = 0; i < 8; i++) {
		unsigned type = (unsigned)hc_bits(pat, 8 * i + 7, 8 * i);

		if (type > 7 || !(known >> type & 1))
			return true;
	}
	return false;
}

const struct vmx_rules *const vmx_rules[VMX_RULE_SETS] = {
	&vmx_control_rules,
	&vmx_host_rules,
	&vmx_guest_rules,
	&vmx_segment_rules,
};

static const struct vmx_rule *check_rules(const struct vmx_rules *rules, const struct vmx_check *c)
{
	for (unsigned i = 0; i < rules->count; i++) {
		if (rules->rules[i].broken(c))
			return &rules->rules[i];
	}
	return NULL;
}

const struct vmx_rule *vmx_check(const struct vmx_check *c, enum vmx_rule_group *group)
{
	for (unsigned i = 0; i < VMX_RULE_SETS; i++) {
		const struct vmx_rule *rule = check_rules(vmx_rules[i], c);

		if (!rule)
			continue;
		if (group)
			*group = vmx_rules[i]->group;
		return rule;
	}
	return NULL;
}
