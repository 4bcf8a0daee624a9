/* SPDX-License-Identifier: BSD-2-Clause */
/* The interrupt controller that notes what it is told. */
#include <assert.h>

#include "tests/a64_env.h"

struct a64_env_gic a64_env_gic;

static struct dummy {
	int nothing;
} dummies[A64_MAX_VCPUS];

void gic_set_ppi(struct hc_vcpu *vcpu, unsigned intid, bool level, bool linked)
{
	assert(intid >= 16 && intid < 32);
	a64_env_gic.ppi_changes += a64_env_gic.ppi[vcpu->id][intid] != level;
	a64_env_gic.ppi[vcpu->id][intid] = level;
	a64_env_gic.linked[vcpu->id][intid] = linked;
	if (level) {
		a64_env_gic.has_interrupt[vcpu->id] = true;
		hc_vcpu_request(vcpu, HC_REQ_EVENT);
	}
}

void gic_before_entry(struct hc_vcpu *vcpu)
{
	a64_env_gic.entries++;
}

bool gic_has_interrupt(struct hc_vcpu *vcpu)
{
	return a64_env_gic.has_interrupt[vcpu->id];
}

void gic_deactivate(struct hc_vcpu *vcpu, uint64_t value)
{
	a64_env_gic.deactivations++;
}

void gic_send_sgi(struct hc_vcpu *vcpu, uint64_t value, unsigned group)
{
	a64_env_gic.sgis++;
	a64_env_gic.sgi_value = value;
	a64_env_gic.sgi_group = group;
}

void gic_reset_cpu(struct hc_vcpu *vcpu)
{
	a64_env_gic.resets++;
}

struct hc_vm *a64_env_vm_with_gic(unsigned cpus, uint64_t memory)
{
	struct hc_vm *vm;

	a64_env_gic = (struct a64_env_gic){ 0 };
	vm = script_vm(cpus, memory);
	if (!vm)
		return NULL;
	for (unsigned i = 0; i < cpus; i++)
		a64_vcpu_of(vm->vcpus[i])->gic = (struct gic_cpu *)(void *)&dummies[i];
	a64_set_gic_version(vm, 3);
	return vm;
}
