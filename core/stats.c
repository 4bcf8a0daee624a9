/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/stats.h"

#include "core/log.h"
#include "core/vm.h"

typedef unsigned long long ull;

static void add(struct hc_vcpu_stats *sum, const struct hc_vcpu_stats *s)
{
	for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++) {
		sum->exits[r].count += s->exits[r].count;
		sum->exits[r].cycles += s->exits[r].cycles;
	}
	sum->guest_cycles += s->guest_cycles;
	sum->injected += s->injected;
	sum->halts += s->halts;
	sum->unknown_msrs += s->unknown_msrs;
	sum->slices += s->slices;
	sum->moves += s->moves;
}

void hc_vm_stats(const struct hc_vm *vm, struct hc_vcpu_stats *sum)
{
	*sum = (struct hc_vcpu_stats){ 0 };
	for (unsigned i = 0; i < vm->cpu_count; i++)
		add(sum, &vm->vcpus[i]->stats);
}

/* who: "vm NAME" or "vm NAME vcpu N". */
static void log_exits(const char *who, const struct hc_vcpu_stats *s)
{
	for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++) {
		uint64_t n = s->exits[r].count;

		if (n)
			hc_log(HC_LOG_INFO, "%s: %-12s %10llu exits %12llu cycles %8llu each", who,
			       hc_exit_reason_name(r), (ull)n, (ull)s->exits[r].cycles,
			       (ull)(s->exits[r].cycles / n));
	}
}

static void log_one(const char *who, const struct hc_vcpu_stats *s)
{
	uint64_t exits = 0, handling = 0;

	for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++) {
		exits += s->exits[r].count;
		handling += s->exits[r].cycles;
	}
	log_exits(who, s);
	hc_log(HC_LOG_INFO,
	       "%s: %llu exits, %llu cycles in the guest, %llu handling exits, %llu events, "
	       "%llu halts, %llu slices, %llu moves, %llu unknown MSRs",
	       who, (ull)exits, (ull)s->guest_cycles, (ull)handling, (ull)s->injected,
	       (ull)s->halts, (ull)s->slices, (ull)s->moves, (ull)s->unknown_msrs);
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
	struct hc_vcpu_stats sum;
	char who[64];

	for (unsigned i = 0; vm->cpu_count > 1 && i < vm->cpu_count; i++) {
		hc_snprintf(who, sizeof(who), "vm %s vcpu %u", vm->name, i);
		log_one(who, &vm->vcpus[i]->stats);
	}
	hc_vm_stats(vm, &sum);
	hc_snprintf(who, sizeof(who), "vm %s", vm->name);
	log_one(who, &sum);
	log_buses(vm);
	hc_dirty_log_stats(vm);
	log_states(vm);
}
