/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VPIDs and stale translations (SDM Vol. 3C 29.4).
 *
 * Each CPU hands out its VPIDs in order; when none is left it starts a new generation with an
 * INVVPID of all, which voids those that vCPUs hold there. A vCPU takes a new one when it comes to
 * another CPU, so that what it left behind on the first is never used again. VPIDs tag what was
 * combined with the guest's own tables; what was learned of stage 2 alone is tagged by its root
 * only, which other VMs may have had before: a vCPU that comes to a CPU drops that, too.
 *
 * Changes of stage 2 reach the vCPUs as core/shootdown.h has it.
 */
#include "arch/x86_64/vmx/internal.h"

#define VPIDS 0x10000u

/* Without VPIDs entries and exits drop all that is tagged by one (29.4.3.3). */
static void new_vpid(struct vmx_vcpu *vv, struct vmx_cpu *cpu)
{
	const struct vmx_invvpid_descriptor all = { 0 };

	vv->vpid_generation = cpu->generation;
	if (!vmx_caps.vpid)
		return;
	if (cpu->next_vpid >= VPIDS) {
		cpu->generation += VMX_GENERATION_STEP;
		cpu->next_vpid = 1; /* 0 is the host's */
		vv->vpid_generation = cpu->generation;
		(void)vmx_hw_invvpid(VMX_INVVPID_ALL, &all);
	}
	vmx_hw_write(VMCS_VPID, cpu->next_vpid++);
}

static void invept(uint64_t eptp)
{
	const struct vmx_invept_descriptor d = { .eptp = eptp };

	(void)vmx_hw_invept(vmx_caps.invept_one ? VMX_INVEPT_ONE : VMX_INVEPT_ALL, &d);
}

void vmx_tlb_renew(struct vmx_vcpu *vv, struct vmx_cpu *cpu, uint64_t generation, uint64_t eptp)
{
	if (vv->vpid_generation != cpu->generation)
		new_vpid(vv, cpu);
	invept(eptp);
	vv->cpu = cpu;
	hc_shootdown_seen(&vv->tlb, generation);
}

/* NULL: it is being made. */
static struct hc_shootdown_vcpu *tlb_of(struct hc_vcpu *vcpu)
{
	struct vmx_vcpu *vv = hc_vcpu_part(vcpu, &vmx_backend);

	return vv ? &vv->tlb : NULL;
}

void vmx_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	struct vmx_vm *vmx = vmx_vm_of(vm);

	if (vmx) /* else the VM is being made: nothing has run */
		hc_shootdown(vm, &vmx->tlb, tlb_of);
}
