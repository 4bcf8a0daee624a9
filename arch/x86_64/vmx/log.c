/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-modification logging (SDM Vol. 3C 29.3.6): when the CPU sets the dirty flag of a page in
 * EPT, it writes the page's address to a list, from the last of 512 places down to the first one,
 * and exits when there is no place left.
 *
 * Nobody but the vCPU's own CPU can know how far its list goes, as the index is in the VMCS. So all
 * places are filled with what no address is, and who takes an address leaves that in its place: any
 * CPU may do so at any time, while the vCPU adds more. What was written before the vCPU left the
 * guest is in the list then.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"

#define PLACES     (HC_PAGE_SIZE / sizeof(uint64_t))
#define LAST_PLACE (PLACES - 1)
#define NO_ADDRESS UINT64_MAX

static void take_list(struct hc_vm *vm, struct vmx_vcpu *vv)
{
	for (unsigned i = 0; vv->log && i < PLACES; i++) {
		uint64_t address = NO_ADDRESS;

		if (atomic_load_explicit(&vv->log[i], memory_order_relaxed) != NO_ADDRESS)
			address = atomic_exchange(&vv->log[i], NO_ADDRESS);
		if (address != NO_ADDRESS)
			hc_dirty_mark(vm, gpa_of(HC_ALIGN_DOWN(address, HC_PAGE_SIZE)),
			              HC_PAGE_SIZE);
	}
}

/* --- On the vCPU's CPU --- */

/* What is set is the opposite of what it should be. This one control alone: what goes by the local
 * APIC's mode takes the memory lock, whose holder may wait for this vCPU. */
void vmx_log_switch(struct vmx_vcpu *vv)
{
	vv->cpu2_controls ^= (uint32_t)VMX_CPU2_PML;
	if (vmx_is_logging(vv)) {
		vmx_hw_write(VMCS_PML_ADDRESS, hc_platform_to_hpa(vv->log).v);
		vmx_hw_write(VMCS_GUEST_PML_INDEX, LAST_PLACE);
	}
	vmx_hw_write(VMCS_SECONDARY_CONTROLS, vv->cpu2_controls);
}

void vmx_log_full(struct hc_vcpu *vcpu)
{
	take_list(vcpu->vm, vmx_vcpu_of(vcpu));
	vmx_hw_write(VMCS_GUEST_PML_INDEX, LAST_PLACE);
}

/* --- On any CPU --- */

static int make_list(struct vmx_vcpu *vv)
{
	if (!vv->log)
		vv->log = hc_platform_alloc_pages(0);
	if (!vv->log)
		return -ENOMEM;
	for (unsigned i = 0; i < PLACES; i++)
		atomic_store_explicit(&vv->log[i], NO_ADDRESS, memory_order_relaxed);
	return 0;
}

/* Not on the way of any exit: the CPU lists pages once all vCPUs have left the guest and come back.
 */
static void switch_all(struct hc_vm *vm, bool on)
{
	atomic_store(&vmx_vm_of(vm)->logs, on);
	vmx_invalidate(vm, gpa_of(0), 0);
}

/* Without dirty flags of the CPU's there is nothing for it to list. */
int vmx_log_start(struct hc_vm *vm)
{
	if (!vmx_caps.page_log || vm->s2.format != vmx_backend.s2_format)
		return 0;
	for (unsigned i = 0; i < vm->cpu_count; i++)
		if (make_list(hc_vcpu_part(vm->vcpus[i], &vmx_backend)))
			return -ENOMEM;
	switch_all(vm, true);
	return 1;
}

/* vCPUs that are in the guest leave it. */
int vmx_log_collect(struct hc_vm *vm)
{
	if (!atomic_load(&vmx_vm_of(vm)->logs))
		return 0;
	vmx_invalidate(vm, gpa_of(0), 0);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		take_list(vm, hc_vcpu_part(vm->vcpus[i], &vmx_backend));
	return 0;
}

void vmx_log_stop(struct hc_vm *vm)
{
	if (atomic_load(&vmx_vm_of(vm)->logs))
		switch_all(vm, false);
}
