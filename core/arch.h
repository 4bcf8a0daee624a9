/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest architecture owes the VM core: everything about a guest's CPU that all backends for
 * that CPU share. arch/x86_64 and arch/aarch64 implement it once each.
 */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include <hypercore/backend.h>
#include <hypercore/exit.h>

struct hc_vm;
struct hc_vcpu;

/* What the run loop does after an exit was handled, or before an entry. */
enum hc_action {
	HC_ACT_RESUME, /* go on in the guest */
	HC_ACT_HALT,   /* sleep until hc_arch_ops.has_event() */
	HC_ACT_YIELD   /* another vCPU may run first */
};

/* Returns an enum hc_action, or -errno: the VM then fails, with the reason that the handler gave to
 * hc_vm_fail() or else one made from the errno and the exit. Host interrupts are off. */
typedef int (*hc_exit_handler)(struct hc_vcpu *vcpu, struct hc_exit *exit);

struct hc_arch_ops {
	const char *name;
	enum hc_isa isa;
	unsigned max_vcpus;

	/* The architecture's own structs embed hc_vm and hc_vcpu as their first member. */
	size_t vm_size, vcpu_size;

	/* After the core's part is set up, before the backend's. 0 or -ENOMEM. */
	int (*vm_init)(struct hc_vm *vm);
	void (*vm_fini)(struct hc_vm *vm);

	/* Sets vcpu->state and brings it to the state after reset. */
	int (*vcpu_init)(struct hc_vcpu *vcpu);
	void (*vcpu_fini)(struct hc_vcpu *vcpu);

	/* One handler per exit reason, HC_EXIT_REASON_COUNT of them. NULL: the exit fails the VM.
	 * HC_EXIT_INTERRUPT is the core's own. */
	const hc_exit_handler *handlers;

	/* HC_REQ_EVENT was set: take INIT/SIPI/PSCI requests, inject what is pending or request a
	 * window. Host interrupts are off. An enum hc_action or -errno. */
	int (*before_entry)(struct hc_vcpu *vcpu);

	/* Is there something that ends a halt? Any CPU. */
	bool (*has_event)(struct hc_vcpu *vcpu);

	/* A message-signalled interrupt from a device; device lock held. */
	void (*deliver_msi)(struct hc_vm *vm, uint64_t address, uint32_t data);
};

#endif
