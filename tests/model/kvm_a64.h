/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of /dev/kvm on an arm64 host (Documentation/virt/kvm/api.rst of Linux): the system calls
 * of the program that it is linked into are answered by it. Guests are lists of what they do next.
 *
 * It knows which registers there are by their numbers, refuses others, and finishes accesses to
 * devices at the next KVM_RUN.
 */
#ifndef TESTS_MODEL_KVM_A64_H
#define TESTS_MODEL_KVM_A64_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#define MODEL_KVM_VCPUS 2
#define MODEL_KVM_SLOTS 4
#define MODEL_KVM_PAGES 1024 /* of a slot at most */

enum model_kvm_kind {
	MODEL_KVM_READ,        /* a load of size bytes from address to register rt */
	MODEL_KVM_WRITE,       /* a store */
	MODEL_KVM_CALL,        /* HVC with value in X0: an exit if the filter says so, else KVM's */
	MODEL_KVM_UNDESCRIBED, /* a store at address that the CPU does not describe */
	MODEL_KVM_SIGNAL,      /* KVM_RUN ends with EINTR */
	MODEL_KVM_EXIT,        /* with exit reason value */
	MODEL_KVM_ERROR        /* KVM_RUN fails with errno value */
};

struct model_kvm_step {
	enum model_kvm_kind kind;
	uint64_t address, value;
	unsigned size, rt;
	uint64_t levels; /* of the timers, from this exit on */
	void (*before)(void);
};

struct model_kvm_reg {
	uint64_t id;
	uint8_t bytes[16];
};

struct model_kvm_vcpu {
	bool is_made, is_initialised, mmio_pending, abort_pending;
	uint32_t features;
	unsigned rt;
	struct model_kvm_reg regs[320];
	unsigned reg_count, reads, writes;  /* of registers by KVM_GET_ONE_REG, KVM_SET_ONE_REG */
	const struct model_kvm_step *steps; /* then the guest switches the machine off */
	unsigned count, at, entries;
	bool irq, fiq;
	struct kvm_vcpu_events events;
	void *run;
};

extern struct model_kvm {
	bool has_filter, has_offset, has_nisv, id_writable, has_ras;
	unsigned ipa_bits;
	/* What it was told. */
	unsigned long vm_type;
	uint64_t counter_offset;
	bool nisv_enabled;
	struct {
		uint32_t base, count;
	} filters[8];
	unsigned filter_count;
	struct kvm_userspace_memory_region slots[MODEL_KVM_SLOTS];
	unsigned slot_count;
	uint64_t dirty[MODEL_KVM_SLOTS][MODEL_KVM_PAGES / 64];
	struct model_kvm_vcpu vcpu[MODEL_KVM_VCPUS];
	unsigned open_files, mappings;
} model_kvm;

/* Everything as before the first system call; the files that are open stay so. */
void model_kvm_reset(void);

void model_kvm_script(unsigned vcpu, const struct model_kvm_step *steps, unsigned count);

/* For a step's before(): the guest counts up the byte at address, if that is memory. */
void model_kvm_store(uint64_t address);

/* The low 64 bits of a register, which has to be there. */
uint64_t model_kvm_get(unsigned vcpu, uint64_t id);
void model_kvm_set(unsigned vcpu, uint64_t id, uint64_t value);

#endif
