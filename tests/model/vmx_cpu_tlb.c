/* SPDX-License-Identifier: BSD-2-Clause */
/* The translations that the model of a CPU with VT-x keeps (SDM Vol. 3C 29.4). */
#include "tests/model/vmx_cpu_vmcs.h"

static _Atomic uint64_t epoch;

void model_reset_tlb(void)
{
	epoch = 1;
}

void model_stage2_changed(void)
{
	epoch++;
}

static uint64_t eptp_key(uint64_t eptp)
{
	return eptp & UINT64_C(0x000ffffffffff000);
}

int vmx_hw_invept(enum vmx_invept type, const struct vmx_invept_descriptor *d)
{
	uint64_t needed = type == VMX_INVEPT_ONE ? VMX_EPT_CAP_INVEPT_ONE : VMX_EPT_CAP_INVEPT_ALL;
	uint64_t caps = model_features.caps.ept_vpid;

	model_this()->invepts++;
	if (!model_this()->vmx_on || !(caps & VMX_EPT_CAP_INVEPT))
		model_complain("#UD: INVEPT");
	if (!(caps & needed) || (type != VMX_INVEPT_ONE && type != VMX_INVEPT_ALL) || d->reserved) {
		model_complain("INVEPT of type %u fails", (unsigned)type);
		return model_vm_fail(VMX_ERROR_INVEPT_OPERAND);
	}
	for (unsigned i = 0; i < MODEL_TLB; i++) {
		if (type == VMX_INVEPT_ALL || model_this()->tlb[i].eptp == eptp_key(d->eptp))
			model_this()->tlb[i].eptp = 0;
	}
	return 0;
}

static uint64_t invvpid_cap(enum vmx_invvpid type)
{
	switch (type) {
	case VMX_INVVPID_ADDRESS: return VMX_EPT_CAP_INVVPID_ADDRESS;
	case VMX_INVVPID_ONE: return VMX_EPT_CAP_INVVPID_ONE;
	case VMX_INVVPID_ALL: return VMX_EPT_CAP_INVVPID_ALL;
	default: return 0;
	}
}

int vmx_hw_invvpid(enum vmx_invvpid type, const struct vmx_invvpid_descriptor *d)
{
	uint64_t caps = model_features.caps.ept_vpid;

	model_this()->invvpids++;
	if (!model_this()->vmx_on || !(caps & VMX_EPT_CAP_INVVPID))
		model_complain("#UD: INVVPID");
	if (!(caps & invvpid_cap(type)) || (d->reserved[0] | d->reserved[1] | d->reserved[2]) ||
	    (type != VMX_INVVPID_ALL && !d->vpid) ||
	    (type == VMX_INVVPID_ADDRESS && !model_canonical(d->linear))) {
		model_complain("INVVPID of type %u, VPID %u fails", (unsigned)type, d->vpid);
		return model_vm_fail(VMX_ERROR_INVEPT_OPERAND);
	}
	/* That all others than those of one address stay is what ADDRESS is about. */
	for (unsigned i = 0; i < MODEL_TLB && type != VMX_INVVPID_ADDRESS; i++) {
		struct model_translations *t = &model_this()->tlb[i];

		if (t->vpid != MODEL_GUEST_PHYSICAL &&
		    (type == VMX_INVVPID_ALL || t->vpid == d->vpid))
			t->eptp = 0;
	}
	return 0;
}

static struct model_translations *find_translations(uint64_t eptp, uint32_t vpid)
{
	for (unsigned i = 0; i < MODEL_TLB; i++) {
		if (model_this()->tlb[i].eptp == eptp && model_this()->tlb[i].vpid == vpid)
			return &model_this()->tlb[i];
	}
	return NULL;
}

/* The guest uses what the CPU has, and adds to it. */
static void use_translations(uint64_t eptp, uint32_t vpid, uint64_t owner, uint64_t paging_epoch)
{
	struct model_translations *t = find_translations(eptp, vpid);

	if (t && t->epoch != epoch)
		model_complain("the translations of %s %u are from before a change",
		               vpid == MODEL_GUEST_PHYSICAL ? "the EPT, VPID" : "VPID", vpid);
	else if (t && t->owner != owner)
		model_complain("VPID %u holds another vCPU's translations", vpid);
	else if (t && t->paging_epoch != paging_epoch)
		model_complain("VPID %u holds translations of the guest's earlier paging", vpid);
	if (!t)
		t = &model_this()->tlb[model_this()->tlb_next++ % MODEL_TLB];
	*t = (struct model_translations){ eptp, vpid, owner, epoch, paging_epoch };
}

void model_drop_vpid_0(void)
{
	for (unsigned i = 0; i < MODEL_TLB; i++) {
		if (model_this()->tlb[i].vpid == 0)
			model_this()->tlb[i].eptp = 0;
	}
}

void model_use_tlb(const struct model_vmcs *v)
{
	uint64_t controls2 = model_get_value(v, VMCS_SECONDARY_CONTROLS);
	uint64_t eptp = eptp_key(model_get_value(v, VMCS_EPT_POINTER));
	bool has_vpid = controls2 & VMX_CPU2_VPID;

	if (!(controls2 & VMX_CPU2_EPT)) {
		model_complain("entry without EPT, which the model does not know");
		return;
	}
	if (!has_vpid)
		model_drop_vpid_0();
	use_translations(eptp, MODEL_GUEST_PHYSICAL, 0, 0);
	use_translations(eptp, has_vpid ? (uint32_t)model_get_value(v, VMCS_VPID) : 0, v->id,
	                 v->paging_epoch);
}
