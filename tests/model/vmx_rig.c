/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/vmx_rig.h"

const struct hc_backend_ops *const rig_backend = &vmx_backend;

void rig_prepare(void)
{
	rig_vm.cr4_mask = model_features.caps.cr4_fixed1 & ~HC_BIT(13);
}

void rig_all_left(void)
{
	model_expect_none_active();
}

bool rig_is_off(void)
{
	return !model_this()->vmx_on && !(model_this()->host.cr4 & X86_CR4_VMXE);
}
