/* SPDX-License-Identifier: BSD-2-Clause */
/* The AMD-V backend: its VMs, its vCPUs, and the table of its functions. */
#include "arch/x86_64/svm/svm.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/svm/internal.h"
#include "core/log.h"
#include "mmu/npt.h"

#define IOPM_ORDER  2 /* 12 KiB */
#define MSRPM_ORDER 1

static void free_vm(struct svm_vm *svm)
{
	if (svm->iopm)
		hc_platform_free_pages(svm->iopm, IOPM_ORDER);
	if (svm->msrpm)
		hc_platform_free_pages(svm->msrpm, MSRPM_ORDER);
	hc_platform_free(svm, sizeof(*svm));
}

static int svm_vm_create(struct hc_vm *vm)
{
	struct svm_vm *svm = hc_platform_alloc(sizeof(*svm));

	if (!svm)
		return hc_error(-ENOMEM, "svm: no memory for VM %s", vm->name);
	svm->iopm = hc_platform_alloc_pages(IOPM_ORDER);
	svm->msrpm = hc_platform_alloc_pages(MSRPM_ORDER);
	if (!svm->iopm || !svm->msrpm) {
		free_vm(svm);
		return hc_error(-ENOMEM, "svm: no memory for the permission maps of VM %s",
		                vm->name);
	}
	memset(svm->iopm, 0xff, SVM_IOPM_SIZE);
	svm_msrpm_init(svm->msrpm, x86_msr_policy, x86_msr_policy_count);
	hc_vm_set_part(vm, &svm_backend, svm);
	return 0;
}

static void svm_vm_destroy(struct hc_vm *vm)
{
	free_vm(svm_vm_of(vm));
	hc_vm_set_part(vm, &svm_backend, NULL);
}

static int svm_vcpu_create(struct hc_vcpu *vcpu)
{
	struct svm_vm *svm = svm_vm_of(vcpu->vm);
	struct svm_vcpu *sv = hc_platform_alloc(sizeof(*sv));

	if (!sv)
		return hc_error(-ENOMEM, "svm: no memory for a vCPU of VM %s", vcpu->vm->name);
	sv->vmcb = hc_platform_alloc_pages(0);
	if (!sv->vmcb) {
		hc_platform_free(sv, sizeof(*sv));
		return hc_error(-ENOMEM, "svm: no memory for a VMCB of VM %s", vcpu->vm->name);
	}
	sv->vmcb_pa = hc_platform_to_hpa(sv->vmcb);
	svm_vmcb_init(sv->vmcb, hc_platform_to_hpa(svm->iopm), hc_platform_to_hpa(svm->msrpm));
	sv->vm = svm;
	vcpu->backend_data = sv;
	return 0;
}

static void svm_vcpu_destroy(struct hc_vcpu *vcpu)
{
	struct svm_vcpu *sv = svm_vcpu_of(vcpu);

	if (!sv)
		return;
	hc_platform_free_pages(sv->vmcb, 0);
	hc_platform_free(sv, sizeof(*sv));
	vcpu->backend_data = NULL;
}

/* The MSR has eight bits before the point. */
static int svm_tsc_ratio(uint64_t hz, uint64_t *ratio)
{
	if (!svm_caps.tsc_ratio)
		return hc_error(-EOPNOTSUPP, "svm: this CPU cannot scale the TSC");
	*ratio = x86_tsc_ratio(hz, hc_platform_cycles_hz(), 32);
	if (*ratio && *ratio >> 56 == 0)
		return 0;
	return hc_error(-EOPNOTSUPP, "svm: the TSC cannot be scaled from %llu to %llu Hz",
	                (unsigned long long)hc_platform_cycles_hz(), (unsigned long long)hz);
}

const struct hc_backend_ops svm_backend = {
	.name = "svm",
	.isa = HC_ISA_X86_64,
	.s2_format = &npt_format,
	.tsc_ratio = svm_tsc_ratio,
	.probe = svm_probe,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vm_create = svm_vm_create,
	.vm_destroy = svm_vm_destroy,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.load = svm_load,
	.put = svm_put,
	.run = svm_run,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.inject = svm_inject,
	.request_window = svm_request_window,
	.invalidate = svm_invalidate,
	.explain = svm_explain,
};
