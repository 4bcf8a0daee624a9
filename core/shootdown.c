/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/shootdown.h"

#include "core/sched.h"
#include "core/vm.h"

static bool uses_old(struct hc_shootdown_vcpu *vcpu, uint64_t generation)
{
	return atomic_load(&vcpu->in_guest) &&
	       atomic_load_explicit(&vcpu->seen, memory_order_acquire) < generation;
}

void hc_shootdown(struct hc_vm *vm, struct hc_shootdown *shootdown, hc_shootdown_of of)
{
	uint64_t generation = atomic_fetch_add(&shootdown->generation, 1) + 1;

	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct hc_vcpu *vcpu = vm->vcpus[i];
		struct hc_shootdown_vcpu *part = vcpu ? of(vcpu) : NULL;

		if (!part || !uses_old(part, generation))
			continue;
		hc_platform_kick(vcpu->cpu);
		while (uses_old(part, generation))
			hc_platform_relax();
	}
}
