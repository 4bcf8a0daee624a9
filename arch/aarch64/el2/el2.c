/* SPDX-License-Identifier: BSD-2-Clause */
/* The EL2 backend: its VMs, its vCPUs, and the table of its functions. */
#include "arch/aarch64/el2/el2.h"

#include <hypercore/errno.h>

#include "arch/aarch64/el2/internal.h"
#include "core/log.h"
#include "mmu/vmsav8.h"

struct el2_host el2_host;

static int el2_vm_create(struct hc_vm *vm)
{
	struct el2_vm *ev = hc_platform_alloc(sizeof(*ev));

	if (!ev)
		return hc_error(-ENOMEM, "el2: no memory for VM %s", vm->name);
	ev->vtcr = el2_vtcr(&vm->s2);
	ev->root = vmsav8_vttbr(&vm->s2, 0);
	hc_vm_set_part(vm, &el2_backend, ev);
	return 0;
}

static void el2_vm_destroy(struct hc_vm *vm)
{
	hc_platform_free(el2_vm_of(vm), sizeof(struct el2_vm));
	hc_vm_set_part(vm, &el2_backend, NULL);
}

static int el2_vcpu_create(struct hc_vcpu *vcpu)
{
	struct el2_vcpu *ev = hc_platform_alloc(sizeof(*ev));

	if (!ev)
		return hc_error(-ENOMEM, "el2: no memory for a vCPU of VM %s", vcpu->vm->name);
	ev->vm = el2_vm_of(vcpu->vm);
	ev->hcr = el2_caps.hcr;
	vcpu->backend_data = ev;
	return 0;
}

static void el2_vcpu_destroy(struct hc_vcpu *vcpu)
{
	hc_platform_free(vcpu->backend_data, sizeof(struct el2_vcpu));
	vcpu->backend_data = NULL;
}

const struct hc_backend_ops el2_backend = {
	.name = "el2",
	.isa = HC_ISA_AARCH64,
	.s2_format = &vmsav8_format,
	.probe = el2_probe,
	.cpu_enable = el2_cpu_enable,
	.cpu_disable = el2_cpu_disable,
	.vm_create = el2_vm_create,
	.vm_destroy = el2_vm_destroy,
	.vcpu_create = el2_vcpu_create,
	.vcpu_destroy = el2_vcpu_destroy,
	.load = el2_load,
	.put = el2_put,
	.run = el2_run,
	.get_state = el2_get_state,
	.set_state = el2_set_state,
	.invalidate = el2_invalidate,
	.tables_written = el2_hw_dsb_tables,
	.written = el2_written,
	.clean = el2_hw_clean,
	.explain = el2_explain,
};
