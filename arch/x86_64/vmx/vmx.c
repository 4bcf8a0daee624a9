/* SPDX-License-Identifier: BSD-2-Clause */
/* The VT-x backend: its VMs, its vCPUs, and the table of its functions. */
#include "arch/x86_64/vmx/vmx.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"
#include "mmu/stage2.h"

#define IO_BITMAP_ORDER 1

/* --- VMs --- */

int vmx_vm_alloc(struct vmx_vm *vm)
{
	vm->io_bitmap = hc_platform_alloc_pages(IO_BITMAP_ORDER);
	vm->msr_bitmap = hc_platform_alloc_pages(0);
	if (vmx_caps.apic_registers)
		vm->apic_access = hc_platform_alloc_pages(0);
	if (!vm->io_bitmap || !vm->msr_bitmap || (vmx_caps.apic_registers && !vm->apic_access)) {
		vmx_vm_free(vm);
		return -ENOMEM;
	}
	memset(vm->io_bitmap, 0xff, HC_PAGE_SIZE << IO_BITMAP_ORDER);
	vmx_msr_bitmap_init(vm->msr_bitmap, x86_msr_policy, x86_msr_policy_count);
	return 0;
}

void vmx_vm_free(struct vmx_vm *vm)
{
	if (vm->io_bitmap)
		hc_platform_free_pages(vm->io_bitmap, IO_BITMAP_ORDER);
	if (vm->msr_bitmap)
		hc_platform_free_pages(vm->msr_bitmap, 0);
	if (vm->apic_access)
		hc_platform_free_pages(vm->apic_access, 0);
}

/* Nothing is mapped yet. Accesses to the local APIC are told by where they arrive in host memory:
 * its page has to lead there (30.4). */
static int prepare_stage2(struct hc_vm *vm, const struct vmx_vm *vmx)
{
	if (vm->s2.format != vmx_backend.s2_format)
		return 0;
	(void)s2_limit_page(&vm->s2, vmx_ept_page());
	if (!vmx_caps.apic_registers)
		return 0;
	return s2_map(&vm->s2, gpa_of(X86_APIC_BASE), hc_platform_to_hpa(vmx->apic_access),
	              HC_PAGE_SIZE, S2_R | S2_W);
}

static int vmx_vm_create(struct hc_vm *vm)
{
	struct vmx_vm *vmx = hc_platform_alloc(sizeof(*vmx));

	if (!vmx)
		return hc_error(-ENOMEM, "vmx: no memory for VM %s", vm->name);
	if (vmx_vm_alloc(vmx)) {
		hc_platform_free(vmx, sizeof(*vmx));
		return hc_error(-ENOMEM, "vmx: no memory for the bitmaps of VM %s", vm->name);
	}
	if (prepare_stage2(vm, vmx)) {
		vmx_vm_free(vmx);
		hc_platform_free(vmx, sizeof(*vmx));
		return hc_error(-ENOMEM, "vmx: no memory for the local APICs' page of VM %s",
		                vm->name);
	}
	hc_vm_set_part(vm, &vmx_backend, vmx);
	return 0;
}

static void vmx_vm_destroy(struct hc_vm *vm)
{
	struct vmx_vm *vmx = vmx_vm_of(vm);

	vmx_vm_free(vmx);
	hc_platform_free(vmx, sizeof(*vmx));
	hc_vm_set_part(vm, &vmx_backend, NULL);
}

/* --- vCPUs --- */

int vmx_vcpu_alloc(struct vmx_vcpu *vv, struct vmx_vm *vm, const void *virtual_apic)
{
	vv->vmcs = hc_platform_alloc_pages(0);
	if (!vv->vmcs)
		return -ENOMEM;
	vv->vmcs->revision = VMX_BASIC_REVISION(vmx_caps.msrs.basic);
	vv->vmcs_pa = hc_platform_to_hpa(vv->vmcs);
	vv->virtual_apic = hc_platform_to_hpa(virtual_apic);
	vv->vm = vm;
	vv->limit = VMX_NO_LIMIT;
	return 0;
}

void vmx_vcpu_free(struct vmx_vcpu *vv)
{
	if (vv->log)
		hc_platform_free_pages(vv->log, 0);
	hc_platform_free_pages(vv->vmcs, 0);
}

static int vmx_vcpu_create(struct hc_vcpu *vcpu)
{
	struct vmx_vcpu *vv = hc_platform_alloc(sizeof(*vv));

	if (!vv)
		return hc_error(-ENOMEM, "vmx: no memory for a vCPU of VM %s", vcpu->vm->name);
	if (vmx_vcpu_alloc(vv, vmx_vm_of(vcpu->vm), x86_vcpu_of(vcpu)->apic.page)) {
		hc_platform_free(vv, sizeof(*vv));
		return hc_error(-ENOMEM, "vmx: no memory for a VMCS of VM %s", vcpu->vm->name);
	}
	vcpu->backend_data = vv;
	return 0;
}

static void vmx_vcpu_destroy(struct hc_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (!vv)
		return;
	vmx_vcpu_free(vv);
	hc_platform_free(vv, sizeof(*vv));
	vcpu->backend_data = NULL;
}

/* --- CPUID --- */

/* Instructions that end in #UD without their control (SDM Vol. 3C 26.3). RDPID goes with RDTSCP. */
static void vmx_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	x86_host_cpuid(leaf, subleaf, out);
	if (leaf == 0x80000001 && !vmx_caps.rdtscp)
		out[3] &= ~(1u << 27);
	if (leaf == 7 && subleaf == 0 && !vmx_caps.rdtscp)
		out[2] &= ~(1u << 22);
	if (leaf == 7 && subleaf == 0 && !vmx_caps.invpcid)
		out[1] &= ~(1u << 10);
	if (leaf == 0xd && subleaf == 1 && !vmx_caps.xsaves)
		out[0] &= ~(1u << 3);
}

/* --- TSC --- */

static int vmx_tsc_ratio(uint64_t hz, uint64_t *ratio)
{
	if (!vmx_caps.tsc_scaling)
		return hc_error(-EOPNOTSUPP, "vmx: this CPU cannot scale the TSC");
	*ratio = x86_tsc_ratio(hz, hc_platform_cycles_hz(), 32);
	return *ratio ? 0
	              : hc_error(-EOPNOTSUPP, "vmx: the TSC cannot be scaled from %llu to %llu Hz",
	                         (unsigned long long)hc_platform_cycles_hz(),
	                         (unsigned long long)hz);
}

struct hc_backend_ops vmx_backend = {
	.name = "vmx",
	.isa = HC_ISA_X86_64,
	.cpuid = vmx_cpuid,
	.tsc_ratio = vmx_tsc_ratio,
	.probe = vmx_probe,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vm_create = vmx_vm_create,
	.vm_destroy = vmx_vm_destroy,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.load = vmx_load,
	.put = vmx_put,
	.run = vmx_run,
	.limit = vmx_limit,
	.can_run = vmx_can_run,
	.get_state = vmx_get_state,
	.set_state = vmx_set_state,
	.inject = vmx_inject,
	.request_window = vmx_request_window,
	.invalidate = vmx_invalidate,
	.log_start = vmx_log_start,
	.log_collect = vmx_log_collect,
	.log_stop = vmx_log_stop,
	.explain = vmx_explain,
};
