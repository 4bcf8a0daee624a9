/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM on the VT-x backend and the model of its CPU, without the rest of the x86 guest: what the
 * backend needs of arch/x86_64 is stood in for here.
 */
#ifndef TESTS_MODEL_VMX_RIG_H
#define TESTS_MODEL_VMX_RIG_H

#include "core/vm.h"
#include "tests/model/vmx_cpu.h"

#define RIG_VCPUS 4

extern struct x86_vm rig_vm;
extern struct x86_vcpu rig_vcpus[RIG_VCPUS];

/* The code at the guest's RIP, for x86_fetch and x86_insn_length (its length: rig_insn_len). */
extern uint8_t rig_code[15];
extern int rig_code_len; /* or an error */
extern int rig_insn_len;

/* The backend probed, CPUs enabled, one VM with RIG_VCPUS vCPUs in 64-bit mode, vCPU 0 loaded. */
void rig_start(const struct model_features *features);
/* The end of all that; fails the test if the model has complained, or a VMCS is still active. */
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

static inline struct vmx_vcpu *rig_vmx(unsigned vcpu)
{
	return vmx_vcpu_of(&rig_vcpus[vcpu].vcpu);
}

/* A field of a vCPU's VMCS, whether it is loaded or not, behind the backend's back. */
static inline uint64_t rig_get(unsigned vcpu, uint32_t field)
{
	return model_vmcs_get(rig_vmx(vcpu)->vmcs, field);
}

static inline void rig_set(unsigned vcpu, uint32_t field, uint64_t value)
{
	model_vmcs_set(rig_vmx(vcpu)->vmcs, field, value);
}

/* 64-bit mode at ring 0. */
void rig_long_mode(struct x86_state *st);
/* Real mode, as after reset but for CS:RIP, 0:1000h. */
void rig_real_mode(struct x86_state *st);

/* Fails the test if the model has complained. */
void rig_no_complaint(void);

#endif
