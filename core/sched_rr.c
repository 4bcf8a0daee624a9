/* SPDX-License-Identifier: BSD-2-Clause */
/* Round robin: first come, first served; equal slices; a new vCPU goes where the fewest live. */
#include "core/sched.h"

#define SLICE_NS UINT64_C(5000000)

static struct hc_cpu *rr_place(struct hc_vcpu *vcpu, struct hc_cpu *const *cpus, unsigned count)
{
	struct hc_cpu *best = cpus[0];

	for (unsigned i = 1; i < count; i++)
		if (cpus[i]->assigned < best->assigned)
			best = cpus[i];
	return best;
}

static void rr_enqueue(struct hc_cpu *cpu, struct hc_vcpu *vcpu, bool woken)
{
	hc_list_append(&cpu->ready, &vcpu->link);
}

static struct hc_vcpu *rr_pick(struct hc_cpu *cpu)
{
	struct hc_list *first = cpu->ready.next;

	if (first == &cpu->ready)
		return NULL;
	hc_list_remove(first);
	return HC_CONTAINER_OF(first, struct hc_vcpu, link);
}

static uint64_t rr_slice_ns(const struct hc_vcpu *vcpu)
{
	return SLICE_NS;
}

const struct hc_sched_policy hc_sched_round_robin = {
	.name = "round-robin",
	.place = rr_place,
	.enqueue = rr_enqueue,
	.pick = rr_pick,
	.slice_ns = rr_slice_ns,
};
