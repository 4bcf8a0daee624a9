/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM on a hardware backend and the model of its CPU, without the rest of the x86 guest: what the
 * backends need of arch/x86_64 is stood in for here.
 */
#ifndef TESTS_MODEL_X86_RIG_H
#define TESTS_MODEL_X86_RIG_H

#include "arch/x86_64/x86.h"
#include "core/vm.h"
#include "tests/model/x86_host_model.h"

#define RIG_VCPUS 4

extern struct x86_vm rig_vm;
extern struct x86_vcpu rig_vcpus[RIG_VCPUS];

/* The code at the guest's RIP, for x86_fetch and x86_insn_length (its length: rig_insn_len). */
extern uint8_t rig_code[15];
extern int rig_code_len; /* or an error */
extern int rig_insn_len;
extern uint8_t rig_cr; /* x86_find_cr_write finds RBX moved to this control register */

/* The backend probed, CPUs enabled, one VM with RIG_VCPUS vCPUs in 64-bit mode, vCPU 0 loaded. */
void rig_start(const struct model_features *features);
/* The end of all that; fails the test if the model has complained. */
void rig_stop(void);

/* Moves a vCPU to a CPU, which the calling thread becomes. */
void rig_load(unsigned vcpu, unsigned cpu);
void rig_put(unsigned vcpu);

/* run() of the backend, as the core calls it. */
struct hc_exit rig_run(unsigned vcpu);
/* The same with a script. */
struct hc_exit rig_run_script(unsigned vcpu, const struct model_step *steps);

static inline struct x86_state *rig_state(unsigned vcpu)
{
	return &rig_vcpus[vcpu].state;
}

/* 64-bit mode at ring 0. */
void rig_long_mode(struct x86_state *st);
/* Real mode, as after reset but for CS:RIP, 0:1000h. */
void rig_real_mode(struct x86_state *st);

/* Fails the test if the model has complained. */
void rig_no_complaint(void);

/* Each model's rig: the backend; what else the VM is to be before the backend sees it, and what has
 * to be so when all vCPUs have left their CPUs. */
extern const struct hc_backend_ops *const rig_backend;
void rig_prepare(void);
void rig_all_left(void);
/* The calling CPU's virtualization is switched off. */
bool rig_is_off(void);

#endif
