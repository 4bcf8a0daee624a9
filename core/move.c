/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves of a running VM from one backend to another.
 *
 * The neutral state is all there is to a vCPU besides what the VM and the architecture hold anyway:
 * the old backend gives it up whole, the new one takes it as if it had come from a snapshot.
 * Windows that were asked for are asked for anew, as events are looked at before the next entry.
 *
 * The vCPUs of a VM move together. A software CPU remembers code, and learns of what is written to
 * it from the other vCPUs only as long as these are software as well. So a vCPU that has moved
 * gives way to others, and does not enter the guest, until hc_vm.move_left is 0.
 */
#include <hypercore/errno.h>

#include "core/log.h"
#include "core/sched.h"
#include "core/vm.h"

static void change_backend(struct hc_vcpu *vcpu)
{
	struct hc_backend_part *part = &vcpu->parts[vcpu->backend == vcpu->parts[0].ops];

	hc_vcpu_need(vcpu, ~UINT32_C(0));
	vcpu->backend->put(vcpu);
	vcpu->backend = part->ops;
	vcpu->backend_data = part->data;
	vcpu->dirty = ~UINT32_C(0);
	vcpu->backend->load(vcpu);
	vcpu->stats.moves++;
}

bool hc_vcpu_move(struct hc_vcpu *vcpu)
{
	struct hc_vm *vm = vcpu->vm;
	uint32_t wanted = atomic_load(&vm->moves);

	if (vcpu->moves != wanted) {
		vcpu->moves = wanted;
		change_backend(vcpu);
		atomic_fetch_sub(&vm->move_left, 1);
	}
	if (atomic_load(&vm->move_left))
		return false;
	atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_MOVE);
	/* The next move may have begun before the request was cleared. */
	if (atomic_load(&vm->moves) == wanted)
		return true;
	atomic_fetch_or(&vcpu->requests, HC_REQ_MOVE);
	return false;
}

static int check_two(const struct hc_vm *vm)
{
	return vm->parts[1].ops ? 0
	                        : hc_error(-EOPNOTSUPP, "vm %s: has no backend but %s to move to",
	                                   vm->name, vm->parts[0].ops->name);
}

int hc_vm_move(struct hc_vm *vm)
{
	uint32_t none = 0;
	int rc = check_two(vm);

	if (rc)
		return rc;
	if (!atomic_compare_exchange_strong(&vm->move_left, &none, vm->cpu_count))
		return -EBUSY;
	atomic_fetch_add(&vm->moves, 1);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hc_vcpu_request(vm->vcpus[i], HC_REQ_MOVE | HC_REQ_EVENT);
	return 0;
}

/* --- Away from home --- */

/* Any CPU may arm it. */
static void arm_timer(struct hc_vm *vm, hc_timer_fn fn, uint64_t after_ns)
{
	hc_dev_lock(vm);
	if (!vm->move_timer.home)
		hc_timer_init(&vm->move_timer, vm->vcpus[0], true, fn);
	hc_timer_arm(&vm->move_timer, hc_platform_now_ns() + after_ns);
	hc_dev_unlock(vm);
}

#define LOOK_HOME_NS UINT64_C(1000000)

static void look_home(struct hc_timer *timer, uint64_t now_ns)
{
	struct hc_vm *vm = timer->home->vm;

	if (!atomic_load(&vm->away))
		return;
	atomic_store(&vm->home_votes, 0);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hc_vcpu_request(vm->vcpus[i], HC_REQ_HOME);
	hc_timer_arm(timer, now_ns + LOOK_HOME_NS);
}

/* A vCPU that needs the other backend just after it voted comes back at its next entry. One that is
 * home already was brought there by somebody else's hc_vm_move(). */
void hc_vcpu_consider_home(struct hc_vcpu *vcpu)
{
	struct hc_vm *vm = vcpu->vm;
	const struct hc_backend_ops *home = vm->parts[0].ops;
	uint64_t all = ~UINT64_C(0) >> (HC_MAX_VCPUS - vm->cpu_count), bit = HC_BIT(vcpu->id);

	atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_HOME);
	if (vcpu->backend == home) {
		atomic_store(&vm->away, false);
		return;
	}
	if (home->can_run && !home->can_run(vcpu))
		return;
	if ((atomic_fetch_or(&vm->home_votes, bit) | bit) == all &&
	    atomic_exchange(&vm->away, false))
		(void)hc_vm_move(vm);
}

int hc_vm_leave_home(struct hc_vcpu *vcpu)
{
	struct hc_vm *vm = vcpu->vm;

	if (!vm->parts[1].ops)
		return hc_error(-EOPNOTSUPP,
		                "vm %s: vcpu %u: backend %s cannot run the mode that the guest is "
		                "in, and there is no other one",
		                vm->name, vcpu->id, vcpu->backend->name);
	/* Moves by the clock bring it back themselves. Another vCPU may have been first. */
	if (hc_vm_move(vm) || vm->switch_ns)
		return 0;
	atomic_store(&vm->home_votes, 0);
	atomic_store(&vm->away, true);
	arm_timer(vm, look_home, LOOK_HOME_NS);
	return 0;
}

/* --- By the clock --- */

static void period_is_over(struct hc_timer *timer, uint64_t now_ns)
{
	struct hc_vm *vm = timer->home->vm;

	(void)hc_vm_move(vm); /* on the move still: the next time */
	hc_timer_arm(timer, now_ns + vm->switch_ns);
}

int hc_vm_switch_every(struct hc_vm *vm, uint64_t period_ns)
{
	int rc = check_two(vm);

	if (rc)
		return rc;
	if (!period_ns)
		return hc_error(-EINVAL, "vm %s: cannot move every 0 ns", vm->name);
	vm->switch_ns = period_ns;
	arm_timer(vm, period_is_over, period_ns);
	return 0;
}
