/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/sched.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "core/vm.h"

static const struct hc_sched_policy *current_policy = &hc_sched_round_robin;
static struct hc_cpu *cpus[HC_MAX_CPUS];
static unsigned cpu_count;
static struct hc_lock cpus_lock; /* of the two while CPUs are added */

static struct hc_vcpu *vcpu_of(struct hc_list *link)
{
	return HC_CONTAINER_OF(link, struct hc_vcpu, link);
}

void hc_sched_init(const struct hc_sched_policy *policy)
{
	current_policy = policy ? policy : &hc_sched_round_robin;
	cpu_count = 0;
}

/* --- CPUs --- */

int hc_cpu_switch_on(struct hc_cpu *cpu, const char *name, size_t size,
                     int (*switch_on)(void *data, unsigned id))
{
	void *data = hc_platform_alloc(size);

	if (!data)
		return hc_error(-ENOMEM, "%s: CPU %u: out of memory", name, cpu->id);
	int rc = switch_on(data, cpu->id);

	if (rc) {
		hc_platform_free(data, size);
		return rc;
	}
	cpu->backend_data = data;
	return 0;
}

void hc_cpu_switch_off(struct hc_cpu *cpu, size_t size, void (*switch_off)(void *data))
{
	void *data = cpu->backend_data;

	if (!data)
		return;
	switch_off(data);
	hc_platform_free(data, size);
	cpu->backend_data = NULL;
}

/* CPUs that come up at the same time stand in the order of their numbers all the same. */
static void insert_cpu_locked(struct hc_cpu *cpu)
{
	unsigned at = cpu_count++;

	for (; at > 0 && cpus[at - 1]->id > cpu->id; at--)
		cpus[at] = cpus[at - 1];
	cpus[at] = cpu;
}

int hc_sched_add_cpu(struct hc_cpu *cpu)
{
	hc_list_init(&cpu->ready);
	hc_list_init(&cpu->halted);
	cpu->deadline_ns = UINT64_MAX;
	bool irq = hc_lock_irq(&cpus_lock);
	bool full = cpu_count == HC_MAX_CPUS;

	if (!full)
		insert_cpu_locked(cpu);
	hc_unlock_irq(&cpus_lock, irq);
	return full ? hc_error(-ENOSPC, "cpu %u: no more than %d CPUs are used", cpu->id,
	                       HC_MAX_CPUS)
	            : 0;
}

unsigned hc_sched_cpu_count(void)
{
	return cpu_count;
}

struct hc_cpu *hc_sched_cpu(unsigned index)
{
	return index < cpu_count ? cpus[index] : NULL;
}

struct hc_vcpu *hc_vcpu_current(void)
{
	return hc_platform_this_cpu()->current;
}

/* --- Placement and wake-ups --- */

int hc_sched_place(struct hc_vcpu *vcpu)
{
	if (!cpu_count)
		return hc_error(-ENODEV, "vm %s: no CPU is there to run it", vcpu->vm->name);
	vcpu->cpu = current_policy->place(vcpu, cpus, cpu_count);
	bool irq = hc_lock_irq(&vcpu->cpu->lock);

	vcpu->cpu->assigned++;
	hc_unlock_irq(&vcpu->cpu->lock, irq);
	return 0;
}

void hc_sched_forget(struct hc_vcpu *vcpu)
{
	if (!vcpu->cpu)
		return;
	bool irq = hc_lock_irq(&vcpu->cpu->lock);

	vcpu->cpu->assigned--;
	hc_unlock_irq(&vcpu->cpu->lock, irq);
	vcpu->cpu = NULL;
}

static void make_ready_locked(struct hc_cpu *cpu, struct hc_vcpu *vcpu, bool woken)
{
	hc_list_remove(&vcpu->link);
	atomic_store_explicit(&vcpu->run_state, HC_VCPU_READY, memory_order_relaxed);
	current_policy->enqueue(cpu, vcpu, woken);
}

void hc_sched_unpark(struct hc_vcpu *vcpu)
{
	struct hc_cpu *cpu = vcpu->cpu;
	bool irq = hc_lock_irq(&cpu->lock);

	/* Halted before it was parked, or not: before_entry finds out. */
	atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
	make_ready_locked(cpu, vcpu, false);
	hc_unlock_irq(&cpu->lock, irq);
	hc_platform_kick(cpu);
}

void hc_vcpu_request(struct hc_vcpu *vcpu, uint32_t requests)
{
	struct hc_cpu *cpu = vcpu->cpu;
	bool kick = false;

	atomic_fetch_or(&vcpu->requests, requests);
	if (!cpu || (cpu == hc_platform_this_cpu() && cpu->current == vcpu))
		return;
	bool irq = hc_lock_irq(&cpu->lock);
	uint32_t state = atomic_load_explicit(&vcpu->run_state, memory_order_relaxed);

	if (state == HC_VCPU_HALTED) {
		/* It may have taken the requests already and gone to sleep over them: then there is
		 * nothing to wake up for, which before_entry finds out. */
		atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
		make_ready_locked(cpu, vcpu, true);
		kick = true;
	} else {
		kick = state == HC_VCPU_RUNNING;
	}
	hc_unlock_irq(&cpu->lock, irq);
	/* Also to this CPU itself: it then reconsiders deadlines before it enters another guest. */
	if (kick)
		hc_platform_kick(cpu);
}

/* --- Timers --- */

static void set_deadline(struct hc_cpu *cpu, uint64_t deadline_ns)
{
	cpu->deadline_ns = deadline_ns;
	hc_platform_set_deadline(deadline_ns);
}

void hc_sched_deadline_changed(struct hc_vcpu *vcpu)
{
	struct hc_cpu *cpu = vcpu->cpu;

	if (!cpu)
		return;
	if (cpu != hc_platform_this_cpu()) {
		hc_platform_kick(cpu);
		return;
	}
	uint64_t next = atomic_load_explicit(&vcpu->timers.next_ns, memory_order_relaxed);
	bool irq = hc_platform_irq_disable();

	if (next < cpu->deadline_ns)
		set_deadline(cpu, next);
	hc_platform_irq_restore(irq);
}

static uint64_t next_of(const struct hc_vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->timers.next_ns, memory_order_acquire);
}

static struct hc_vcpu *soonest_in(struct hc_list *queue, struct hc_vcpu *best)
{
	hc_list_for_each (e, queue) {
		struct hc_vcpu *v = vcpu_of(e);

		if (!best || next_of(v) < next_of(best))
			best = v;
	}
	return best;
}

/* What a tick goes by. */
struct outlook {
	struct hc_vcpu *soonest; /* whose timer is due first of all that live here; NULL: no vCPU */
	bool waiting;            /* somebody is ready */
};

static struct outlook look(struct hc_cpu *cpu, struct hc_vcpu *running)
{
	bool irq = hc_lock_irq(&cpu->lock);
	struct hc_vcpu *v = soonest_in(&cpu->ready, soonest_in(&cpu->halted, running));
	bool waiting = !hc_list_empty(&cpu->ready);

	hc_unlock_irq(&cpu->lock, irq);
	return (struct outlook){ v, waiting };
}

/* The hardware counts the guest's time only. A guest that spends its slice in exits is ended by the
 * host's timer, which is not to come first where exits take a fifth of the time or less. */
#define LATE(slice_ns) ((slice_ns) / 4)

/* running's slice ends at end_ns (UINT64_MAX: not until somebody waits): when the host's timer has
 * to say so. */
static uint64_t end_slice_at(struct hc_vcpu *running, uint64_t now, uint64_t end_ns)
{
	const struct hc_backend_ops *backend = running->backend;
	bool ends = end_ns != UINT64_MAX;

	if (!backend->limit || !backend->limit(running, ends ? end_ns - now : UINT64_MAX) || !ends)
		return end_ns;
	return end_ns + LATE(current_policy->slice_ns(running));
}

void hc_sched_tick(struct hc_cpu *cpu, struct hc_vcpu *running)
{
	uint64_t now = hc_platform_now_ns(), end = UINT64_MAX;
	struct outlook ahead = look(cpu, running);
	/* Each vCPU once and some: a timer that is always due must not hold the CPU here. */
	unsigned budget = cpu->assigned + 1;

	while (ahead.soonest && next_of(ahead.soonest) <= now && budget--) {
		hc_timers_run(ahead.soonest, now);
		ahead = look(cpu, running);
	}
	if (running && ahead.waiting)
		end = running->slice_end_ns;
	if (end <= now) {
		atomic_fetch_or(&running->requests, HC_REQ_YIELD);
		end = UINT64_MAX;
	} else if (running) {
		end = end_slice_at(running, now, end);
	}
	set_deadline(cpu, hc_min(end, ahead.soonest ? next_of(ahead.soonest) : UINT64_MAX));
}

/* --- The loop of a CPU --- */

static struct hc_vcpu *take_next(struct hc_cpu *cpu)
{
	hc_lock(&cpu->lock);
	struct hc_vcpu *vcpu = current_policy->pick(cpu);

	if (vcpu)
		atomic_store_explicit(&vcpu->run_state, HC_VCPU_RUNNING, memory_order_relaxed);
	cpu->current = vcpu;
	hc_unlock(&cpu->lock);
	return vcpu;
}

/* A vCPU about to sleep may have been sent something since it looked. */
static bool stays_awake(struct hc_vcpu *vcpu)
{
	return atomic_load(&vcpu->requests) || vcpu->vm->arch->has_event(vcpu);
}

static void put_back(struct hc_cpu *cpu, struct hc_vcpu *vcpu, enum hc_vcpu_run_state next)
{
	hc_lock(&cpu->lock);
	cpu->current = NULL;
	if (next == HC_VCPU_HALTED && stays_awake(vcpu)) {
		atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
		next = HC_VCPU_READY;
	}
	atomic_store_explicit(&vcpu->run_state, next, memory_order_relaxed);
	if (next == HC_VCPU_READY)
		current_policy->enqueue(cpu, vcpu, false);
	else if (next == HC_VCPU_HALTED)
		hc_list_append(&cpu->halted, &vcpu->link);
	hc_unlock(&cpu->lock);
	if (next == HC_VCPU_PARKED)
		hc_vm_vcpu_parked(vcpu->vm);
}

/* The tick is never left out: the platform may have used the local timer up while it idled. */
static void run_one(struct hc_cpu *cpu, struct hc_vcpu *vcpu)
{
	vcpu->slice_end_ns = hc_platform_now_ns() + current_policy->slice_ns(vcpu);
	vcpu->stats.slices++;
	cpu->switches++;
	hc_sched_tick(cpu, vcpu);
	enum hc_vcpu_run_state next = hc_vcpu_run(vcpu);

	if (next == HC_VCPU_HALTED)
		vcpu->stats.halts++;
	put_back(cpu, vcpu, next);
}

static void sleep_until_needed(struct hc_cpu *cpu)
{
	uint64_t start = hc_platform_cycles();

	hc_sched_tick(cpu, NULL);
	hc_lock(&cpu->lock);
	bool idle = hc_list_empty(&cpu->ready) && !atomic_load(&cpu->stop);

	hc_unlock(&cpu->lock);
	if (!idle)
		return;
	hc_platform_idle();
	cpu->idle_cycles += hc_platform_cycles() - start;
}

void hc_sched_loop(struct hc_cpu *cpu)
{
	while (!atomic_load(&cpu->stop)) {
		struct hc_vcpu *vcpu = take_next(cpu);

		if (vcpu)
			run_one(cpu, vcpu);
		else
			sleep_until_needed(cpu);
	}
}

void hc_sched_stop(void)
{
	for (unsigned i = 0; i < cpu_count; i++) {
		atomic_store(&cpus[i]->stop, true);
		hc_platform_kick(cpus[i]);
	}
}
