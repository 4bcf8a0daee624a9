/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preemption timer (SDM Vol. 3C 26.5.1): counts a vCPU's slice down while its guest runs, and
 * stands still from an exit to the next entry, which takes it up where the exit left it. So entries
 * and exits have nothing to do for it.
 *
 * It is a watchdog as well: no guest runs for longer than CAP_NS without an exit. Bochs does not
 * leave one that was entered with RFLAGS.IF clear for an interrupt, and a CPU that is lost to its
 * guest can be asked for nothing.
 */
#include "arch/x86_64/vmx/internal.h"

#define NS_PER_S UINT64_C(1000000000)
#define CAP_NS   UINT64_C(10000000)

/* It counts at the TSC's rate divided by a power of two (appendix A.6); the first step may be a
 * part of one. */
static uint32_t value_of(uint64_t ns)
{
	uint64_t tsc = ns * hc_platform_cycles_hz() / NS_PER_S;
	uint64_t value = (tsc >> VMX_MISC_TIMER_SHIFT(vmx_caps.msrs.misc)) + 1;

	return (uint32_t)hc_min(value, VMX_NO_LIMIT - 1);
}

static void write_value(struct vmx_vcpu *vv)
{
	vv->limited = vv->limit != VMX_NO_LIMIT;
	vmx_hw_write(VMCS_PREEMPTION_TIMER_VALUE, vv->limited ? vv->limit : value_of(CAP_NS));
}

bool vmx_limit(struct hc_vcpu *vcpu, uint64_t ns)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (!vmx_caps.preemption_timer)
		return false;
	vv->limit = ns <= CAP_NS ? value_of(ns) : VMX_NO_LIMIT;
	if (vv->loaded && (vv->limit != VMX_NO_LIMIT || vv->limited))
		write_value(vv);
	return true;
}

void vmx_load_limit(struct vmx_vcpu *vv)
{
	if (vmx_caps.preemption_timer)
		write_value(vv);
}

/* It stands at 0, whatever it was set to, and would end the next entry at once: the tick after the
 * exit sets it again. */
void vmx_limit_reached(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	vv->limited = true;
	if (vv->limit == VMX_NO_LIMIT)
		exit->reason = HC_EXIT_INTERRUPT;
}
