/* SPDX-License-Identifier: BSD-2-Clause */
/* The rig on the AMD-V backend. */
#ifndef TESTS_MODEL_SVM_RIG_H
#define TESTS_MODEL_SVM_RIG_H

#include "tests/model/svm_cpu.h"
#include "tests/model/x86_rig.h"

/* Bochs' ryzen. */
extern const struct model_features rig_bochs;

static inline struct vmcb *rig_vmcb(unsigned vcpu)
{
	return svm_vcpu_of(&rig_vcpus[vcpu].vcpu)->vmcb;
}

#endif
