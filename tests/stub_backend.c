/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/stub_backend.h"

int stub_cpu_enable(struct hc_cpu *cpu)
{
	return 0;
}

void stub_cpu_disable(struct hc_cpu *cpu)
{
}

int stub_vm_create(struct hc_vm *vm)
{
	return 0;
}

void stub_vm_destroy(struct hc_vm *vm)
{
}

int stub_vcpu_create(struct hc_vcpu *vcpu)
{
	return 0;
}

void stub_vcpu(struct hc_vcpu *vcpu)
{
}

void stub_state(struct hc_vcpu *vcpu, uint32_t groups)
{
}

void stub_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
}
