/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the KVM backend share.
 *
 * KVM decodes accesses to ports, device memory and MSRs, exits in the middle of the instruction,
 * and finishes it in the next KVM_RUN. Until then the registers are those of the middle:
 *
 *   KVM_RUN --exit--> pending --KVM_RUN: finishes it, and on--> guest
 *                        |
 *                        +--kvm_settle(): KVM_RUN with immediate_exit--> state is consistent
 */
#ifndef PLATFORM_LINUX_KVM_INTERNAL_H
#define PLATFORM_LINUX_KVM_INTERNAL_H

#include <hypercore/errno.h>
#include <linux/kvm.h>

#include "core/vm.h"
#include "platform/linux/kvm.h"

struct kvm_vm {
	int fd;
	_Atomic unsigned slots_seen; /* of vm->memory, those that KVM has */
	uint64_t slot_gpa[HC_MAX_SLOTS];
	bool logs;        /* what is written: KVM_MEM_LOG_DIRTY_PAGES */
	uint64_t *bitmap; /* of the largest slot; NULL: nothing is logged */
	size_t bitmap_size;
	/* arm64: PSCI is ours; the VM's counters have the offset that it was given. */
	bool own_firmware, own_counter;
};

/* What the next KVM_RUN finishes. */
enum kvm_pending { KVM_PENDING_NONE, KVM_PENDING_BUS, KVM_PENDING_MSR };

/* The architecture's own structs embed it as their first member. */
struct kvm_vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_size, size; /* mapped; of the struct that this is part of */

	enum kvm_pending pending;
	unsigned element; /* of a string instruction's exit */
	uint64_t value;   /* of the access: struct hc_exit_bus.value */
	bool is_missed;   /* the same */
	bool stashed;     /* run holds an exit that came while an access was finished */

	bool is_refused; /* KVM did not take a part of the state; failure says which */
	char failure[96];
};

static inline struct kvm_vm *kvm_vm_of(struct hc_vm *vm)
{
	return hc_vm_part(vm, &kvm_backend);
}

static inline struct kvm_vcpu *kvm_vcpu_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

/* --- kvm.c: what is the same for all architectures --- */

/* ioctl(2), repeated when a signal interrupts it; a negative errno on failure. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

/* /dev/kvm once kvm_open() succeeded. */
extern int kvm_fd;

/* Opens /dev/kvm and looks at the interface's version. On failure *why says it: -ENODEV, -EPERM,
 * -EOPNOTSUPP. */
int kvm_open(const char **why);

/* Extensions that the backend cannot do without; bits: of the answer, 0 if any will do. */
struct kvm_extension {
	int number;
	int bits;
	const char *name;
};

/* 0, or -EOPNOTSUPP with the names of those missing in buf. */
int kvm_check_extensions(const struct kvm_extension *list, unsigned count, char *buf, size_t size);

/* The VM's file; -ENOMEM or KVM's error. type: KVM_CREATE_VM's argument. Slots follow when it
 * runs. */
int kvm_vm_create(struct hc_vm *vm, unsigned long type);
void kvm_vm_destroy(struct hc_vm *vm);

/* size: of the architecture's struct. */
int kvm_vcpu_create(struct hc_vcpu *vcpu, size_t size);
void kvm_vcpu_destroy(struct hc_vcpu *vcpu);

/* Gives KVM the slots that were added since the last time. False: it does not take one, and
 * kvm_refuse() was called. */
bool kvm_sync_memory(struct hc_vcpu *vcpu);

/* Gives KVM a slot under this number, or says anew of what kind it is. KVM's error. */
int kvm_give_slot(struct kvm_vm *k, unsigned number, const struct hc_slot *slot);

/* kvm_log.c: of the backend's functions; and the end of the VM. */
int kvm_log_start(struct hc_vm *vm);
int kvm_log_collect(struct hc_vm *vm);
void kvm_log_stop(struct hc_vm *vm);
void kvm_log_free(struct kvm_vm *k);

/* Drops what KVM derived from the guest's page tables, for hosts where it does so: they may have
 * been changed where it did not see it. */
void kvm_forget_tables(struct hc_vcpu *vcpu);

/* Notes for explain() why the vCPU cannot be entered. */
void kvm_refuse(struct kvm_vcpu *kv, const char *what, int err);

/* KVM_RUN. 0 or a negative errno; -EINTR: there was a kick. */
int kvm_enter(struct hc_vcpu *vcpu);

/* KVM_RUN only as far as it takes to finish what is pending: -EINTR when that is done, 0 if it
 * comes to another exit, another errno if KVM failed. A kick stays one. */
int kvm_finish(struct hc_vcpu *vcpu);

/* KVM_EXIT_IO and KVM_EXIT_MMIO. The current access as an exit; the handler's value back into the
 * kvm_run; on to the next element, false if that was the last. */
void kvm_bus_exit(struct kvm_vcpu *kv, struct hc_exit *exit);
void kvm_bus_return(struct kvm_vcpu *kv);
bool kvm_bus_next(struct kvm_vcpu *kv);

/* Finishes a pending access, and those that the instruction goes on with: devices are called. */
void kvm_settle_bus(struct hc_vcpu *vcpu);

/* --- kvm.c: a guest of one page and one vCPU that probe() runs --- */

struct kvm_test_guest {
	int vm, vcpu;  /* files, negative: not there */
	uint8_t *page; /* zeros at first */
	struct kvm_run *run;
	size_t run_size;
};

/* The VM, of KVM_CREATE_VM's type, and its page, which is not the guest's yet. Of this and the next
 * a negative errno on failure, after which kvm_test_free() is to be called as well. */
int kvm_test_make(struct kvm_test_guest *g, unsigned long type);

/* Page and vCPU, which the caller sets up then. */
int kvm_test_add_vcpu(struct kvm_test_guest *g, gpa_t gpa);

/* KVM_RUN, some more times if signals interrupt it. */
int kvm_test_run(const struct kvm_test_guest *g);

void kvm_test_free(struct kvm_test_guest *g);

/* --- The backend's functions that are the same, too --- */

/* The calling thread's signals reach the vCPU, or do not. */
void kvm_load(struct hc_vcpu *vcpu);
void kvm_put(struct hc_vcpu *vcpu);
int kvm_cpu_enable(struct hc_cpu *cpu);
void kvm_cpu_disable(struct hc_cpu *cpu);
void kvm_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size);
void kvm_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);

/* Those of a struct hc_backend_ops. Architectures have more to do in load() or put(). */
#define KVM_COMMON_OPS                                                                             \
	.name = "kvm", .cpu_enable = kvm_cpu_enable, .cpu_disable = kvm_cpu_disable,               \
	.vm_destroy = kvm_vm_destroy, .vcpu_destroy = kvm_vcpu_destroy,                            \
	.invalidate = kvm_invalidate, .explain = kvm_explain

#endif
