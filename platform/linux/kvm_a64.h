/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the KVM backend for arm64 share.
 *
 * KVM has no interrupt controller here: the guest's is ours, a GICv2 whose CPU interface is in
 * software (arch/aarch64/gic/gicc.c), and KVM is told what that shows the CPU. The timers are
 * KVM's, which says what they show us (KVM_CAP_ARM_USER_IRQ). WFI is KVM's as well: what wakes the
 * vCPU is either a timer or a kick.
 *
 * PSCI is ours where KVM lets it be (KVM_ARM_VM_SMCCC_FILTER, Linux 6.4); else KVM does it, and the
 * vCPUs that it keeps off are running ones to the core.
 */
#ifndef PLATFORM_LINUX_KVM_A64_H
#define PLATFORM_LINUX_KVM_A64_H

#include "arch/aarch64/a64.h"
#include "platform/linux/kvm_internal.h"

/* What of the core group KVM has. */
struct kvm_a64_core {
	uint64_t x[31], pc, pstate;
};

struct kvm_a64_vcpu {
	struct kvm_vcpu kv; /* first */
	bool is_set_up;     /* has the guest's ID registers */
	bool core_known;
	struct kvm_a64_core core; /* if core_known: KVM's */
	unsigned outputs;         /* GIC_OUTPUT_...: as KVM was told */
	bool levels_known;
	uint64_t levels; /* KVM_ARM_DEV_...: as the interrupt controller was told */
};

static inline struct kvm_a64_vcpu *kvm_a64_of(struct hc_vcpu *vcpu)
{
	return HC_CONTAINER_OF(kvm_vcpu_of(vcpu), struct kvm_a64_vcpu, kv);
}

/* Groups that KVM has nothing of. */
#define KVM_A64_NEUTRAL ((uint32_t)(A64_G_GIC | A64_G_ID))

/* --- kvm_a64_setup.c --- */

int kvm_a64_probe(struct hc_backend_info *info);
int kvm_a64_vm_create(struct hc_vm *vm);
int kvm_a64_vcpu_create(struct hc_vcpu *vcpu);

/* --- kvm_a64_state.c: errors are kvm_refuse()'s --- */

/* A register by KVM's number for it, of 8 bytes unless the number says less. -ENOENT: KVM does not
 * have it. */
int kvm_a64_get_reg(int vcpu_fd, uint64_t id, void *value);
int kvm_a64_set_reg(int vcpu_fd, uint64_t id, const void *value);

/* KVM's number of a system register, by A64_SYSREG(): the fields are the same. */
#define KVM_A64_SYSREG(number) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | (number))

/* KVM's number of a member of struct kvm_regs. */
#define KVM_A64_CORE(size, member)                                                                 \
	(KVM_REG_ARM64 | KVM_REG_SIZE_##size | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))

/* Between the neutral state and KVM, whatever is pending: hc_backend_ops less the settling. */
void kvm_a64_fetch(struct hc_vcpu *vcpu, uint32_t groups);
void kvm_a64_store(struct hc_vcpu *vcpu, uint32_t groups);

/* --- kvm_a64_hw.c: what only the machine itself can say --- */

/* DCZID_EL0. */
uint64_t kvm_a64_dczid(void);

/* --- Of KVM's interface since Linux 6.4, which older headers do not have --- */

#define KVM_A64_SMCCC_CTRL        0 /* KVM_ARM_VM_SMCCC_CTRL */
#define KVM_A64_SMCCC_FILTER      0 /* KVM_ARM_VM_SMCCC_FILTER */
#define KVM_A64_SMCCC_FWD_TO_USER 2

struct kvm_a64_smccc_filter {
	uint32_t base, nr_functions;
	uint8_t action, pad[15];
};

_Static_assert(sizeof(struct kvm_a64_smccc_filter) == 24, "as struct kvm_smccc_filter");

/* KVM_ARM_SET_COUNTER_OFFSET */
struct kvm_a64_counter_offset {
	uint64_t counter_offset, reserved;
};

#define KVM_A64_SET_COUNTER_OFFSET _IOW(KVMIO, 0xb5, struct kvm_a64_counter_offset)

#endif
