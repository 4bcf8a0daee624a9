/* SPDX-License-Identifier: BSD-2-Clause */
/* The translations that the model of a CPU with VT-x keeps (SDM Vol. 3C 29.4). */
#include <string.h>

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
	if (!t) {
		t = &model_this()->tlb[model_this()->tlb_next++ % MODEL_TLB];
		memset(t->dirty, 0, sizeof(t->dirty));
	}
	t->eptp = eptp;
	t->vpid = vpid;
	t->owner = owner;
	t->epoch = epoch;
	t->paging_epoch = paging_epoch;
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

/* --- Stores (29.3) --- */

#define EPT_W     HC_BIT(1)
#define EPT_PAGE  HC_BIT(7)
#define EPT_A     HC_BIT(8)
#define EPT_D     HC_BIT(9)
#define EPTP_AD   HC_BIT(6)
#define EPT_TABLE UINT64_C(0x000ffffffffff000)

/* Where the entry is that maps gpa, or the first that does not let a store pass. */
static _Atomic(uint64_t) *walk(uint64_t gpa, bool *passes)
{
	uint64_t table = eptp_key(model_get(VMCS_EPT_POINTER));

	for (unsigned shift = 39;; shift -= 9) {
		_Atomic(uint64_t) *entry =
			(_Atomic(uint64_t) *)(uintptr_t)table + (gpa >> shift & 511);
		uint64_t value = atomic_load(entry);

		*passes = value & EPT_W;
		if (!*passes || shift == 12 || value & EPT_PAGE)
			return entry;
		table = value & EPT_TABLE;
	}
}

/* False: there is no place left. */
static bool list_page(uint64_t gpa)
{
	uint64_t index = model_get(VMCS_GUEST_PML_INDEX);
	_Atomic(uint64_t) *list = (_Atomic(uint64_t) *)(uintptr_t)model_get(VMCS_PML_ADDRESS);

	if (index > 511)
		return false;
	if (atomic_exchange(&list[index], gpa & EPT_TABLE) != UINT64_MAX)
		model_complain("place %u of the list of written pages is in use", (unsigned)index);
	model_set(VMCS_GUEST_PML_INDEX, (index - 1) & 0xffff);
	return true;
}

static bool knows_dirty(const struct model_translations *t, uint64_t page)
{
	for (unsigned i = 0; t && i < MODEL_DIRTY; i++)
		if (t->dirty[i] == page + 1)
			return true;
	return false;
}

uint32_t model_guest_store(uint64_t gpa, uint64_t *qualification)
{
	uint64_t eptp = model_get(VMCS_EPT_POINTER), page = gpa & EPT_TABLE;
	struct model_translations *t = find_translations(eptp_key(eptp), MODEL_GUEST_PHYSICAL);
	bool passes;

	if (knows_dirty(t, page))
		return 0;
	_Atomic(uint64_t) *entry = walk(gpa, &passes);

	*qualification =
		VMX_EPT_WRITE | VMX_EPT_LINEAR | VMX_EPT_TRANSLATED | (atomic_load(entry) & 7) << 3;
	if (!passes)
		return VMX_REASON_EPT_VIOLATION;
	if (eptp & EPTP_AD && !(atomic_load(entry) & EPT_D)) {
		*qualification = 0;
		if (model_get(VMCS_SECONDARY_CONTROLS) & VMX_CPU2_PML && !list_page(page))
			return VMX_REASON_PML_FULL;
		atomic_fetch_or(entry, EPT_A | EPT_D);
	}
	if (t) /* else the CPU has forgotten it already, for want of room */
		t->dirty[t->dirty_next++ % MODEL_DIRTY] = page + 1;
	return 0;
}
