/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a virtual machine, for the core, the architectures and the backends. */
#ifndef CORE_VM_H
#define CORE_VM_H

#include <hypercore/vm.h>

#include "core/arch.h"
#include "core/bus.h"
#include "core/dirty.h"
#include "core/irq.h"
#include "core/list.h"
#include "core/lock.h"
#include "core/memory.h"
#include "core/vcpu.h"
#include "mmu/stage2.h"

#define HC_MAX_VCPUS     64
#define HC_MAX_OBSERVERS 4

struct hc_vm {
	char name[32];
	const struct hc_arch_ops *arch;
	struct hc_backend_part parts[HC_VM_BACKENDS]; /* those after the last one have no ops */
	uint64_t tsc_hz;                              /* of struct hc_vm_config */
	uint64_t switch_ns;                           /* hc_vm_switch_every(); 0: never */
	_Atomic uint32_t moves;                       /* hc_vm_move() calls so far */
	_Atomic uint32_t move_left; /* vCPUs that have not made the last one yet */
	struct hc_timer move_timer;
	_Atomic bool away;           /* on the second backend for what the first cannot run */
	_Atomic uint64_t home_votes; /* by vCPU: the first could run it, when it was asked */

	/* Devices: what accesses to ports need lies in one page with what is above. */
	struct hc_lock device_lock;
	struct hc_bus bus[HC_SPACE_COUNT];
	struct hc_irq_router irq;
	struct {
		hc_irq_eoi_fn fn;
		void *dev;
	} eoi_sinks[HC_IRQ_MAX_SINKS];
	unsigned eoi_sink_count;
	struct hc_list devices;

	struct hc_vcpu *vcpus[HC_MAX_VCPUS];
	unsigned cpu_count;

	/* Lifecycle. */
	struct hc_lock lifecycle_lock;
	_Atomic uint32_t state;     /* enum hc_vm_state */
	uint32_t target;            /* state to enter when all vCPUs have parked */
	_Atomic uint32_t unparked;  /* vCPUs that have not */
	_Atomic uint32_t notifying; /* transitions whose observers are being told */
	enum hc_stop_cause cause;
	unsigned status;
	char reason[192];
	uint64_t entered_ns; /* when the current state was entered */
	uint64_t state_entries[HC_VM_STATE_COUNT];
	uint64_t state_time_ns[HC_VM_STATE_COUNT];
	struct {
		hc_vm_observer fn;
		void *arg;
	} observers[HC_MAX_OBSERVERS];
	unsigned observer_count;

	/* Memory. */
	struct hc_lock memory_lock;
	struct hc_memory memory;
	struct s2 s2; /* if s2.format */
	struct hc_dirty dirty;

	struct hc_backend_info info; /* what all of its backends have; reason: the first one's */
};

/* What a backend keeps for the VM, or NULL. */
static inline void *hc_vm_part(const struct hc_vm *vm, const struct hc_backend_ops *backend)
{
	return vm->parts[vm->parts[0].ops != backend].data;
}

static inline void hc_vm_set_part(struct hc_vm *vm, const struct hc_backend_ops *backend,
                                  void *data)
{
	vm->parts[vm->parts[0].ops != backend].data = data;
}

/* Internal to the core: a vCPU of the VM left its run queues for good; its CPU does not touch it
 * any more. The last one completes the transition. */
void hc_vm_vcpu_parked(struct hc_vm *vm);

#endif
