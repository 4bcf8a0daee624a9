/* SPDX-License-Identifier: BSD-2-Clause */
/* The entries of a backend that has nothing to do there. */
#ifndef TESTS_STUB_BACKEND_H
#define TESTS_STUB_BACKEND_H

#include "core/vm.h"

int stub_cpu_enable(struct hc_cpu *cpu);
void stub_cpu_disable(struct hc_cpu *cpu);
int stub_vm_create(struct hc_vm *vm); /* leaves the backend's part empty: no vm_destroy() */
void stub_vm_destroy(struct hc_vm *vm);
int stub_vcpu_create(struct hc_vcpu *vcpu);
void stub_vcpu(struct hc_vcpu *vcpu); /* vcpu_destroy, load, put */
void stub_state(struct hc_vcpu *vcpu, uint32_t groups);
void stub_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size);

/* Entries of a struct hc_backend_ops without anything of a CPU's or a VM's own. */
#define STUB_BACKEND                                                                               \
	.cpu_enable = stub_cpu_enable, .cpu_disable = stub_cpu_disable,                            \
	.vm_create = stub_vm_create, .vm_destroy = stub_vm_destroy, .load = stub_vcpu,             \
	.put = stub_vcpu, .invalidate = stub_invalidate

#endif
