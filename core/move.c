/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves of running vCPUs from one backend to another.
 *
 * The neutral state is all there is to a vCPU besides what the VM and the architecture hold anyway:
 * the old backend gives it up whole, the new one takes it as if it had come from a snapshot.
 * Windows that were asked for are asked for anew, as events are looked at before the next entry.
 */
#include <hypercore/errno.h>

#include "core/log.h"
#include "core/sched.h"
#include "core/vm.h"

void hc_vcpu_move(struct hc_vcpu *vcpu)
{
	struct hc_backend_part *part = &vcpu->parts[vcpu->backend == vcpu->parts[0].ops];

	atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_MOVE);
	hc_vcpu_need(vcpu, ~UINT32_C(0));
	vcpu->backend->put(vcpu);
	vcpu->backend = part->ops;
	vcpu->backend_data = part->data;
	vcpu->dirty = ~UINT32_C(0);
	vcpu->backend->load(vcpu);
	vcpu->stats.moves++;
}

int hc_vm_move(struct hc_vm *vm)
{
	if (!vm->parts[1].ops)
		return hc_error(-EOPNOTSUPP, "vm %s: has no backend but %s to move to", vm->name,
		                vm->parts[0].ops->name);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hc_vcpu_request(vm->vcpus[i], HC_REQ_MOVE | HC_REQ_EVENT);
	return 0;
}

static void period_is_over(struct hc_timer *timer, uint64_t now_ns)
{
	struct hc_vcpu *vcpu = timer->home;

	hc_vcpu_request(vcpu, HC_REQ_MOVE | HC_REQ_EVENT);
	hc_timer_arm(timer, now_ns + vcpu->vm->switch_ns);
}

int hc_vm_switch_every(struct hc_vm *vm, uint64_t period_ns)
{
	if (!vm->parts[1].ops)
		return hc_error(-EOPNOTSUPP, "vm %s: has no backend but %s to move to", vm->name,
		                vm->parts[0].ops->name);
	if (!period_ns)
		return hc_error(-EINVAL, "vm %s: cannot move every 0 ns", vm->name);
	vm->switch_ns = period_ns;
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct hc_vcpu *vcpu = vm->vcpus[i];

		hc_timer_init(&vcpu->move_timer, vcpu, false, period_is_over);
		hc_timer_arm(&vcpu->move_timer, hc_platform_now_ns() + period_ns);
	}
	return 0;
}
