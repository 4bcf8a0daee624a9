/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers: the policy table is x86_msr_policy of x86.h. */
#ifndef ARCH_X86_64_MSR_H
#define ARCH_X86_64_MSR_H

#include <hypercore/types.h>

struct hc_vcpu;
struct x86_vm;
struct x86_vcpu;

/* 0, or -EINVAL: #GP(0), and *value is not written. An MSR without a policy is counted in
 * stats.unknown_msrs. */
int x86_msr_read(struct hc_vcpu *vcpu, uint32_t msr, uint64_t *value);
int x86_msr_write(struct hc_vcpu *vcpu, uint32_t msr, uint64_t value);

/* As after power-on; those in struct x86_state are the caller's. */
void x86_msr_reset(struct x86_vcpu *x);

/* As firmware leaves them: memory is write-back, but for the hole below 4 GiB. */
void x86_msr_set_boot_mtrrs(struct hc_vcpu *vcpu);

/* Makes the VM's table of rows. */
void x86_msr_init(struct x86_vm *x);

/* The row for msr, or NULL. */
const struct x86_msr_policy *x86_msr_find(uint32_t msr);

#endif
