/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler: which vCPU runs on which physical CPU, and for how long.
 *
 * The mechanism (queues of halted vCPUs, wake-ups, timers, the per-CPU loop) is here once; a policy
 * decides placement and order. In a process each vCPU thread is a "physical" CPU of its own.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "core/vcpu.h"

#define HC_MAX_CPUS 64

/* One physical CPU. The platform owns the storage. */
struct hc_cpu {
	unsigned id;    /* 0 .. count - 1; 0 is the boot CPU */
	uint64_t hw_id; /* APIC ID, MPIDR */
	struct hc_vcpu *current;
	bool virt_enabled; /* backend->cpu_enable succeeded */
	/* Set by hc_platform_kick(), and by whatever else wants a guest to be left soon (the
	 * deadline of a process): a software CPU looks at it every few instructions, leaves with
	 * HC_EXIT_INTERRUPT, and clears it. */
	_Atomic bool attention;

	struct hc_lock lock;  /* of the following and of the vCPUs' run_state and link */
	struct hc_list ready; /* in the policy's order */
	struct hc_list halted;
	unsigned assigned; /* vCPUs whose home this is */

	uint64_t deadline_ns; /* what the local timer is set to; this CPU only */
	_Atomic bool stop;
	uint64_t idle_cycles, switches;
	void *backend_data;
};

/* For cpu_enable(): size bytes of zeros become cpu->backend_data when switch_on(), on the calling
 * CPU, has made of them what the backend called name keeps for the CPU of that number. Its errors,
 * or -ENOMEM; explained, and nothing has changed. */
int hc_cpu_switch_on(struct hc_cpu *cpu, const char *name, size_t size,
                     int (*switch_on)(void *data, unsigned id));

/* For cpu_disable(): undoes it. Harmless on a CPU that was never enabled. */
void hc_cpu_switch_off(struct hc_cpu *cpu, size_t size, void (*switch_off)(void *data));

/* A policy. Called with the CPU's lock held but for place. */
struct hc_sched_policy {
	const char *name;
	/* The CPU that a new vCPU shall live on. */
	struct hc_cpu *(*place)(struct hc_vcpu *vcpu, struct hc_cpu *const *cpus, unsigned count);
	void (*enqueue)(struct hc_cpu *cpu, struct hc_vcpu *vcpu, bool woken);
	/* Takes the next vCPU off the ready queue; NULL if it is empty. */
	struct hc_vcpu *(*pick)(struct hc_cpu *cpu);
	/* Nanoseconds that it may run while others wait. */
	uint64_t (*slice_ns)(const struct hc_vcpu *vcpu);
};

extern const struct hc_sched_policy hc_sched_round_robin;

/* Once, before any VM is created; NULL: round robin. */
void hc_sched_init(const struct hc_sched_policy *policy);

/* Makes a CPU available for vCPUs; CPUs may add themselves at the same time. The platform filled in
 * id and hw_id. -ENOSPC. */
int hc_sched_add_cpu(struct hc_cpu *cpu);

/* The CPUs that were added, in the order of their ids. */
unsigned hc_sched_cpu_count(void);
struct hc_cpu *hc_sched_cpu(unsigned index);

/* The body of a CPU: runs vCPUs until hc_sched_stop(). Host interrupts off. */
void hc_sched_loop(struct hc_cpu *cpu);

/* Makes the loops of all CPUs return. Any context. */
void hc_sched_stop(void);

/* Internal to the core: gives a vCPU its home; puts it on its ready queue (VM start, resume). */
int hc_sched_place(struct hc_vcpu *vcpu);
void hc_sched_forget(struct hc_vcpu *vcpu);
void hc_sched_unpark(struct hc_vcpu *vcpu);

/* A timer of vcpu became the first of its queue: its CPU has to wake earlier. */
void hc_sched_deadline_changed(struct hc_vcpu *vcpu);

/* After host interrupts were taken: fires timers that are due on this CPU, ends running's slice
 * if it is over, and sets the local timer for what comes next. running may be NULL. */
void hc_sched_tick(struct hc_cpu *cpu, struct hc_vcpu *running);

#endif
