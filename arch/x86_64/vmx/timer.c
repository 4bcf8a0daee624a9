/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preemption timer (SDM Vol. 3C 26.5.1): counts a vCPU's slice down while its guest runs, and
 * stands still from an exit to the next entry, which takes it up where the exit left it. So entries
 * and exits have nothing to do for it.
 */
#include "arch/x86_64/vmx/internal.h"

#define NS_PER_S   UINT64_C(1000000000)
#define LONGEST_NS NS_PER_S /* times the TSC's rate it still fits */

/* It counts at the TSC's rate divided by a power of two (appendix A.6); the first step may be a
 * part of one. */
static uint32_t value_of(uint64_t ns)
{
	uint64_t tsc = hc_min(ns, LONGEST_NS) * hc_platform_cycles_hz() / NS_PER_S;
	uint64_t value = (tsc >> VMX_MISC_TIMER_SHIFT(vmx_caps.msrs.misc)) + 1;

	return ns == UINT64_MAX ? VMX_NO_LIMIT : (uint32_t)hc_min(value, VMX_NO_LIMIT);
}

bool vmx_limit(struct hc_vcpu *vcpu, uint64_t ns)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (!vmx_caps.preemption_timer)
		return false;
	vv->limit = value_of(ns);
	if (!vv->loaded)
		return true;
	if (vv->limit != VMX_NO_LIMIT || vv->limited)
		vmx_hw_write(VMCS_PREEMPTION_TIMER_VALUE, vv->limit);
	vv->limited = vv->limit != VMX_NO_LIMIT;
	return true;
}

void vmx_load_limit(struct vmx_vcpu *vv)
{
	if (vmx_caps.preemption_timer)
		vmx_hw_write(VMCS_PREEMPTION_TIMER_VALUE, vv->limit);
	vv->limited = vv->limit != VMX_NO_LIMIT;
}
