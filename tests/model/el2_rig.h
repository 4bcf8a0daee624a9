/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMs on the EL2 backend and the model of its CPUs, without the rest of the AArch64 guest: what the
 * backend needs of arch/aarch64 is stood in for here.
 */
#ifndef TESTS_MODEL_EL2_RIG_H
#define TESTS_MODEL_EL2_RIG_H

#include "core/vm.h"
#include "tests/model/el2_cpu.h"

#define RIG_VMS   300
#define RIG_VCPUS 4 /* of VM 0; the others have one */

extern struct a64_vm rig_vms[RIG_VMS];
extern struct a64_vcpu rig_vcpus[RIG_VCPUS];

extern const struct model_features rig_plain; /* as Cortex-A57: none of the optional features */
extern const struct model_features rig_full;  /* all of them */
extern const struct model_features rig_v2;    /* a plain CPU with a GICv2 */

/* What the backend told the guest's side. */
struct rig_told {
	unsigned raised_ec, raised, externals, requests;
	uint32_t raised_iss;
	uint64_t raised_far;
	bool external_fetch, external_write;
	unsigned ppi, ppis;
	bool ppi_level, ppi_linked;
};

extern struct rig_told rig_told;

/* The backend probed, CPUs enabled, VM 0 with RIG_VCPUS vCPUs at EL1, vCPU 0 loaded on CPU 0. */
void rig_start(const struct model_features *features);
void rig_stop(void);

/* One more VM, with a vCPU, and its end. */
struct hc_vcpu *rig_add_vm(unsigned n);
void rig_remove_vm(unsigned n);

/* Moves a vCPU to a CPU, which the calling thread becomes. */
void rig_load_vcpu(struct hc_vcpu *vcpu, unsigned cpu);
void rig_load(unsigned vcpu, unsigned cpu);
void rig_put(unsigned vcpu);

/* run() of the backend, as the core calls it. */
struct hc_exit rig_run_vcpu(struct hc_vcpu *vcpu);
struct hc_exit rig_run(unsigned vcpu);
/* The same with a script. */
struct hc_exit rig_run_script(unsigned vcpu, const struct model_step *steps);

static inline struct a64_state *rig_state(unsigned vcpu)
{
	return &rig_vcpus[vcpu].state;
}

static inline struct el2_vcpu *rig_el2(unsigned vcpu)
{
	return el2_vcpu_of(&rig_vcpus[vcpu].vcpu);
}

/* Fails the test if the model has complained. */
void rig_no_complaint(void);

#endif
