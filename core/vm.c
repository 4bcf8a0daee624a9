/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtual machines: creation, the lifecycle, destruction. */
#include "core/vm.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/device.h"
#include "core/log.h"
#include "core/sched.h"

#define S(state) (1u << HC_VM_##state)

/* Which states may follow which: the picture in <hypercore/vm.h>. */
static const uint8_t may_follow[HC_VM_STATE_COUNT] = {
	[HC_VM_CREATED] = S(RUNNING) | S(FAILED) | S(DESTROYED),
	[HC_VM_RUNNING] = S(PAUSED) | S(STOPPED) | S(FAILED),
	[HC_VM_PAUSED] = S(RUNNING) | S(STOPPED) | S(FAILED),
	[HC_VM_STOPPED] = S(DESTROYED),
	[HC_VM_FAILED] = S(DESTROYED),
	[HC_VM_DESTROYED] = 0,
};

static const char *const state_names[HC_VM_STATE_COUNT] = {
	[HC_VM_CREATED] = "created", [HC_VM_RUNNING] = "running", [HC_VM_PAUSED] = "paused",
	[HC_VM_STOPPED] = "stopped", [HC_VM_FAILED] = "failed",   [HC_VM_DESTROYED] = "destroyed",
};

static uint32_t load_state(const struct hc_vm *vm)
{
	return atomic_load_explicit(&vm->state, memory_order_acquire);
}

/* --- Transitions --- */

/* Lifecycle lock held. notify() has to follow when it is released. */
static enum hc_vm_state enter(struct hc_vm *vm, enum hc_vm_state to)
{
	enum hc_vm_state from = load_state(vm);
	uint64_t now = hc_platform_now_ns();

	if (!(may_follow[from] & 1u << to))
		hc_panic("vm %s: %s cannot follow %s", vm->name, state_names[to],
		         state_names[from]);
	vm->state_time_ns[from] += now - vm->entered_ns;
	vm->entered_ns = now;
	vm->state_entries[to]++;
	vm->target = to;
	atomic_fetch_add(&vm->notifying, 1);
	atomic_store_explicit(&vm->state, to, memory_order_release);
	return from;
}

static void notify(struct hc_vm *vm, enum hc_vm_state from, enum hc_vm_state to)
{
	for (unsigned i = 0; i < vm->observer_count; i++)
		vm->observers[i].fn(vm, from, to, vm->observers[i].arg);
	atomic_fetch_sub(&vm->notifying, 1);
}

static void unpark_all(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hc_sched_unpark(vm->vcpus[i]);
}

static void park_all(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		hc_vcpu_request(vm->vcpus[i], HC_REQ_PARK);
}

/* From a state in which no vCPU runs to running. */
static int go(struct hc_vm *vm, enum hc_vm_state expected)
{
	bool irq = hc_lock_irq(&vm->lifecycle_lock);

	if (load_state(vm) != expected) {
		hc_unlock_irq(&vm->lifecycle_lock, irq);
		return hc_error(-EBUSY, "vm %s: is %s, not %s", vm->name,
		                state_names[load_state(vm)], state_names[expected]);
	}
	atomic_store(&vm->unparked, vm->cpu_count);
	enter(vm, HC_VM_RUNNING);
	hc_unlock_irq(&vm->lifecycle_lock, irq);
	notify(vm, expected, HC_VM_RUNNING);
	unpark_all(vm);
	return 0;
}

int hc_vm_start(struct hc_vm *vm)
{
	return go(vm, HC_VM_CREATED);
}

int hc_vm_resume(struct hc_vm *vm)
{
	return go(vm, HC_VM_PAUSED);
}

int hc_vm_pause(struct hc_vm *vm)
{
	bool irq = hc_lock_irq(&vm->lifecycle_lock);
	bool running = load_state(vm) == HC_VM_RUNNING && vm->target == HC_VM_RUNNING;

	if (running)
		vm->target = HC_VM_PAUSED;
	hc_unlock_irq(&vm->lifecycle_lock, irq);
	if (!running)
		return hc_error(-EBUSY, "vm %s: is %s, not running", vm->name,
		                state_names[load_state(vm)]);
	park_all(vm);
	while (load_state(vm) == HC_VM_RUNNING)
		hc_platform_relax();
	return load_state(vm) == HC_VM_PAUSED ? 0 : -ECANCELED;
}

/* The last of the VM's vCPUs parked: what was asked for has come about. */
static void all_parked(struct hc_vm *vm)
{
	bool irq = hc_lock_irq(&vm->lifecycle_lock);
	enum hc_vm_state to = vm->target;
	enum hc_vm_state from = enter(vm, to);

	hc_unlock_irq(&vm->lifecycle_lock, irq);
	notify(vm, from, to);
}

void hc_vm_vcpu_parked(struct hc_vm *vm)
{
	if (atomic_fetch_sub(&vm->unparked, 1) == 1)
		all_parked(vm);
}

/* Stops or fails. The caller holds the lock and releases it through this function. */
static int end_locked(struct hc_vm *vm, enum hc_vm_state to, bool irq)
{
	enum hc_vm_state from = load_state(vm);

	if (from == HC_VM_RUNNING) {
		vm->target = to;
		hc_unlock_irq(&vm->lifecycle_lock, irq);
		park_all(vm);
		return 0;
	}
	enter(vm, to);
	hc_unlock_irq(&vm->lifecycle_lock, irq);
	notify(vm, from, to);
	return 0;
}

/* Is the VM in a state that `to` may follow, and has nobody ended it yet? */
static bool can_end(const struct hc_vm *vm, enum hc_vm_state to)
{
	return may_follow[load_state(vm)] & 1u << to && vm->cause == HC_STOP_NONE;
}

static void describe_stop(struct hc_vm *vm)
{
	static const char *const text[] = {
		[HC_STOP_POWEROFF] = "guest powered off",
		[HC_STOP_RESET] = "guest asked for a reset",
		[HC_STOP_REQUEST] = "stopped on request",
	};

	if (vm->cause == HC_STOP_EXIT)
		hc_snprintf(vm->reason, sizeof(vm->reason), "exit status %u", vm->status);
	else
		hc_snprintf(vm->reason, sizeof(vm->reason), "%s", text[vm->cause]);
}

int hc_vm_stop(struct hc_vm *vm, enum hc_stop_cause cause, unsigned status)
{
	bool irq = hc_lock_irq(&vm->lifecycle_lock);

	if (cause == HC_STOP_NONE || cause >= HC_STOP_FAILURE || !can_end(vm, HC_VM_STOPPED)) {
		hc_unlock_irq(&vm->lifecycle_lock, irq);
		return -EBUSY;
	}
	vm->cause = cause;
	vm->status = status;
	describe_stop(vm);
	return end_locked(vm, HC_VM_STOPPED, irq);
}

void hc_vm_fail(struct hc_vm *vm, const char *fmt, ...)
{
	bool irq = hc_lock_irq(&vm->lifecycle_lock);
	va_list ap;

	if (!can_end(vm, HC_VM_FAILED)) {
		hc_unlock_irq(&vm->lifecycle_lock, irq);
		return;
	}
	vm->cause = HC_STOP_FAILURE;
	va_start(ap, fmt);
	hc_vsnprintf(vm->reason, sizeof(vm->reason), fmt, ap);
	va_end(ap);
	end_locked(vm, HC_VM_FAILED, irq);
}

/* --- Creation and destruction --- */

static void destroy_vcpu(struct hc_vm *vm, struct hc_vcpu *vcpu)
{
	hc_sched_forget(vcpu);
	for (unsigned i = 0; i < HC_VM_BACKENDS; i++) {
		vcpu->backend = vcpu->parts[i].ops;
		vcpu->backend_data = vcpu->parts[i].data;
		if (vcpu->backend_data)
			vcpu->backend->vcpu_destroy(vcpu);
	}
	vm->arch->vcpu_fini(vcpu);
	hc_platform_free(vcpu, vm->arch->vcpu_size);
}

/* The vCPU starts on the first one. */
static int create_parts(struct hc_vm *vm, struct hc_vcpu *vcpu)
{
	int rc = 0;

	for (unsigned i = HC_VM_BACKENDS; !rc && i-- > 0;) {
		struct hc_backend_part *part = &vcpu->parts[i];

		part->ops = vcpu->backend = vm->parts[i].ops;
		vcpu->backend_data = NULL;
		if (part->ops)
			rc = part->ops->vcpu_create(vcpu);
		part->data = vcpu->backend_data;
	}
	return rc;
}

static int create_vcpu(struct hc_vm *vm, unsigned id)
{
	struct hc_vcpu *vcpu = hc_platform_alloc(vm->arch->vcpu_size);

	if (!vcpu)
		return hc_error(-ENOMEM, "vm %s: no memory for vCPU %u", vm->name, id);
	vcpu->vm = vm;
	vcpu->id = id;
	hc_vcpu_set_handlers(vcpu, vm->arch->handlers);
	vcpu->valid = vcpu->dirty = ~UINT32_C(0);
	hc_list_init(&vcpu->link);
	hc_timer_queue_init(&vcpu->timers);
	int rc = vm->arch->vcpu_init(vcpu);

	if (rc) {
		hc_platform_free(vcpu, vm->arch->vcpu_size);
		return rc;
	}
	vm->vcpus[vm->cpu_count++] = vcpu;
	rc = create_parts(vm, vcpu);
	return rc ? rc : hc_sched_place(vcpu);
}

static int probe_backend(const struct hc_vm_config *c, const struct hc_backend_ops *backend,
                         struct hc_backend_info *info)
{
	int rc = backend->probe(info);

	if (rc)
		return hc_error(rc, "backend %s: %s", backend->name, info->reason);
	if (c->arch->isa != backend->isa)
		return hc_error(-EINVAL, "vm %s: backend %s does not run %s guests", c->name,
		                backend->name, c->arch->name);
	if (!info->max_vcpus)
		info->max_vcpus = HC_MAX_VCPUS;
	return 0;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* What both of the VM's backends can do. */
static int probe_other(const struct hc_vm_config *c, struct hc_backend_info *all)
{
	struct hc_backend_info info = { 0 };
	int rc = probe_backend(c, c->other, &info);

	if (rc)
		return rc;
	if (info.gic_version != all->gic_version)
		return hc_error(-EOPNOTSUPP,
		                "vm %s: backend %s has a GICv%u for guests, %s has a GICv%u: "
		                "vCPUs cannot move between them",
		                c->name, c->backend->name, all->gic_version, c->other->name,
		                info.gic_version);
	all->max_vcpus = least(all->max_vcpus, info.max_vcpus);
	all->gpa_bits = least(all->gpa_bits, info.gpa_bits);
	all->gic_list_registers = least(all->gic_list_registers, info.gic_list_registers);
	all->gic_priority_bits = least(all->gic_priority_bits, info.gic_priority_bits);
	return 0;
}

static int check_config(const struct hc_vm_config *c, struct hc_backend_info *all)
{
	if (!c->name || !*c->name || strlen(c->name) > 31)
		return hc_error(-EINVAL, "a VM's name has 1 to 31 characters");
	int rc = probe_backend(c, c->backend, all);

	if (!rc && c->other)
		rc = probe_other(c, all);
	if (rc)
		return rc;
	all->max_vcpus = least(all->max_vcpus, least(c->arch->max_vcpus, HC_MAX_VCPUS));
	if (!c->cpus || c->cpus > all->max_vcpus)
		return hc_error(-ERANGE, "vm %s: %u vCPUs asked for, 1 to %u are supported",
		                c->name, c->cpus, all->max_vcpus);
	return 0;
}

static void init_vm(struct hc_vm *vm, const struct hc_vm_config *config,
                    const struct hc_backend_info *info)
{
	hc_snprintf(vm->name, sizeof(vm->name), "%s", config->name);
	vm->arch = config->arch;
	vm->parts[0].ops = config->backend;
	vm->parts[1].ops = config->other;
	vm->tsc_hz = config->tsc_hz;
	vm->info = *info;
	vm->entered_ns = hc_platform_now_ns();
	vm->state_entries[HC_VM_CREATED] = 1;
	hc_list_init(&vm->devices);
}

static void free_vm(struct hc_vm *vm)
{
	while (!hc_list_empty(&vm->devices)) {
		struct hc_device *d = HC_CONTAINER_OF(vm->devices.next, struct hc_device, link);

		hc_list_remove(&d->link);
		d->ops->destroy(d);
	}
	while (vm->cpu_count)
		destroy_vcpu(vm, vm->vcpus[--vm->cpu_count]);
	/* The tables go before the backend's part: the engine still asks it to invalidate. */
	hc_vm_free_memory(vm);
	for (unsigned i = 0; i < HC_VM_BACKENDS; i++)
		if (vm->parts[i].data)
			vm->parts[i].ops->vm_destroy(vm);
	vm->arch->vm_fini(vm);
	hc_platform_free(vm, vm->arch->vm_size);
}

static int build(struct hc_vm *vm, const struct hc_vm_config *config)
{
	int rc = hc_vm_init_memory(vm, config->gpa_bits);

	for (unsigned i = 0; !rc && i < HC_VM_BACKENDS; i++)
		if (vm->parts[i].ops)
			rc = vm->parts[i].ops->vm_create(vm);
	for (unsigned i = 0; !rc && i < config->cpus; i++)
		rc = create_vcpu(vm, i);
	return rc;
}

int hc_vm_create(struct hc_vm **out, const struct hc_vm_config *config)
{
	struct hc_backend_info info = { 0 };
	int rc = check_config(config, &info);

	if (rc)
		return rc;
	struct hc_vm *vm = hc_platform_alloc(config->arch->vm_size);

	if (!vm)
		return hc_error(-ENOMEM, "vm %s: no memory for it", config->name);
	init_vm(vm, config, &info);
	rc = vm->arch->vm_init(vm);
	if (rc) {
		hc_platform_free(vm, config->arch->vm_size);
		return rc;
	}
	rc = build(vm, config);
	if (rc) {
		free_vm(vm);
		return rc;
	}
	*out = vm;
	return 0;
}

int hc_vm_destroy(struct hc_vm *vm)
{
	bool irq = hc_lock_irq(&vm->lifecycle_lock);
	enum hc_vm_state from = load_state(vm);

	if (!(may_follow[from] & S(DESTROYED))) {
		hc_unlock_irq(&vm->lifecycle_lock, irq);
		return hc_error(-EBUSY, "vm %s: is %s: stop it first", vm->name, state_names[from]);
	}
	enter(vm, HC_VM_DESTROYED);
	hc_unlock_irq(&vm->lifecycle_lock, irq);
	notify(vm, from, HC_VM_DESTROYED);
	/* The CPU that brought the VM to its end may still be telling the observers. */
	while (atomic_load(&vm->notifying))
		hc_platform_relax();
	free_vm(vm);
	return 0;
}

int hc_vm_observe(struct hc_vm *vm, hc_vm_observer fn, void *arg)
{
	if (vm->observer_count == HC_MAX_OBSERVERS)
		return hc_error(-ENOSPC, "vm %s: more than %d observers", vm->name,
		                HC_MAX_OBSERVERS);
	vm->observers[vm->observer_count].fn = fn;
	vm->observers[vm->observer_count].arg = arg;
	vm->observer_count++;
	return 0;
}

/* --- Questions --- */

enum hc_vm_state hc_vm_state(const struct hc_vm *vm)
{
	return load_state(vm);
}

const char *hc_vm_state_name(enum hc_vm_state state)
{
	return state < HC_VM_STATE_COUNT ? state_names[state] : "?";
}

const char *hc_vm_name(const struct hc_vm *vm)
{
	return vm->name;
}

enum hc_stop_cause hc_vm_cause(const struct hc_vm *vm)
{
	return vm->cause;
}

unsigned hc_vm_status(const struct hc_vm *vm)
{
	return vm->status;
}

const char *hc_vm_reason(const struct hc_vm *vm)
{
	return vm->reason;
}

uint64_t hc_vm_state_entries(const struct hc_vm *vm, enum hc_vm_state state)
{
	return vm->state_entries[state];
}

uint64_t hc_vm_state_time_ns(const struct hc_vm *vm, enum hc_vm_state state)
{
	uint64_t now = load_state(vm) == state ? hc_platform_now_ns() - vm->entered_ns : 0;

	return vm->state_time_ns[state] + now;
}
