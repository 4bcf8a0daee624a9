/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/stats.h"

#include "core/log.h"
#include "core/vm.h"

typedef unsigned long long ull;

static void log_exits(const struct hc_vm *vm, const struct hc_vcpu *v)
{
	for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++) {
		uint64_t n = v->stats.exits[r];

		if (n)
			hc_log(HC_LOG_INFO,
			       "vm %s vcpu %u: %-12s %10llu exits %12llu cycles %8llu each",
			       vm->name, v->id, hc_exit_reason_name(r), (ull)n,
			       (ull)v->stats.exit_cycles[r], (ull)(v->stats.exit_cycles[r] / n));
	}
}

static void log_vcpu(const struct hc_vm *vm, const struct hc_vcpu *v)
{
	log_exits(vm, v);
	hc_log(HC_LOG_INFO,
	       "vm %s vcpu %u: %llu entries, %llu cycles in the guest, %llu events, %llu halts, "
	       "%llu slices, %llu unknown MSRs",
	       vm->name, v->id, (ull)v->stats.entries, (ull)v->stats.guest_cycles,
	       (ull)v->stats.injected, (ull)v->stats.halts, (ull)v->stats.slices,
	       (ull)v->stats.unknown_msrs);
}

/* The VM's own row: the sum of its vCPUs' exits and time. */
static void log_sum(struct hc_vm *vm)
{
	uint64_t entries = 0, guest = 0, handling = 0;

	for (unsigned i = 0; i < vm->cpu_count; i++) {
		entries += vm->vcpus[i]->stats.entries;
		guest += vm->vcpus[i]->stats.guest_cycles;
		for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++)
			handling += vm->vcpus[i]->stats.exit_cycles[r];
	}
	hc_log(HC_LOG_INFO, "vm %s: %llu entries, %llu cycles in the guest, %llu handling exits",
	       vm->name, (ull)entries, (ull)guest, (ull)handling);
}

static void log_states(struct hc_vm *vm)
{
	for (unsigned s = 0; s < HC_VM_STATE_COUNT; s++)
		if (hc_vm_state_entries(vm, s))
			hc_log(HC_LOG_INFO, "vm %s: %-9s entered %llu times, %llu us", vm->name,
			       hc_vm_state_name(s), (ull)hc_vm_state_entries(vm, s),
			       (ull)(hc_vm_state_time_ns(vm, s) / 1000));
}

static void log_buses(struct hc_vm *vm)
{
	static const char *const names[HC_SPACE_COUNT] = { "ports", "memory" };

	for (unsigned s = 0; s < HC_SPACE_COUNT; s++)
		hc_log(HC_LOG_INFO, "vm %s: %s where no device answers: %llu reads, %llu writes",
		       vm->name, names[s], (ull)vm->bus[s].unclaimed_reads,
		       (ull)vm->bus[s].unclaimed_writes);
}

void hc_vm_log_stats(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		log_vcpu(vm, vm->vcpus[i]);
	log_sum(vm);
	log_buses(vm);
	log_states(vm);
}
