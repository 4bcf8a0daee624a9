/* SPDX-License-Identifier: BSD-2-Clause */
/* The rig on the VT-x backend. rig_stop() fails the test also if a VMCS is still active. */
#ifndef TESTS_MODEL_VMX_RIG_H
#define TESTS_MODEL_VMX_RIG_H

#include "tests/model/vmx_cpu.h"
#include "tests/model/x86_rig.h"

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

/* Lets the first vCPU run into an exit, and no further. */
static inline struct hc_exit rig_exit_by(struct model_step step)
{
	static struct model_step steps[] = { { .op = OP_END }, { .op = OP_END } };

	steps[0] = step;
	return rig_run_script(0, steps);
}

#define EXIT_BY(...) rig_exit_by((struct model_step){ .op = OP_EXIT, __VA_ARGS__ })

#endif
