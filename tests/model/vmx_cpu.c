/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions of VT-x but for those about translations. */
#include "tests/model/vmx_cpu_vmcs.h"

#include <string.h>

struct model_features model_features;
struct model_cpu model_cpus[MODEL_CPUS];
const struct vmx_rule *model_refused_by;

static _Thread_local struct model_cpu *this_cpu = &model_cpus[0];
static _Atomic uint64_t next_id;

void model_reset(const struct model_features *features)
{
	model_features = *features;
	memset(model_cpus, 0, sizeof(model_cpus));
	this_cpu = &model_cpus[0];
	model_refused_by = NULL;
	model_reset_complaints();
	model_reset_tlb();
	model_reset_registers();
	model_reset_guest();
}

void model_be(unsigned cpu)
{
	this_cpu = &model_cpus[cpu];
}

struct model_cpu *model_this(void)
{
	return this_cpu;
}

struct model_x86 *model_x86(void)
{
	return &this_cpu->x86;
}

unsigned model_flushes(void)
{
	return this_cpu->invepts + this_cpu->invvpids;
}

static unsigned this_id(void)
{
	return (unsigned)(this_cpu - model_cpus);
}

/* --- The current VMCS --- */

/* The current VMCS, or NULL with a complaint. */
static struct model_vmcs *current(const char *what)
{
	struct model_vmcs *v = this_cpu->current ? model_vmcs_in(this_cpu->current) : NULL;

	if (!this_cpu->vmx_on)
		model_complain("#UD: %s outside VMX operation", what);
	else if (!v)
		model_complain("%s without a current VMCS", what);
	else if (!model_vmcs_intact(v) || v->active_on != this_id() + 1)
		model_complain("%s: the current VMCS's memory was used otherwise", what);
	else
		return v;
	return NULL;
}

struct vmx_region *model_current(void)
{
	return this_cpu->current;
}

uint64_t model_get(uint32_t field)
{
	return model_vmcs_get(this_cpu->current, field);
}

void model_set(uint32_t field, uint64_t value)
{
	model_vmcs_set(this_cpu->current, field, value);
}

bool model_canonical(uint64_t address)
{
	unsigned spare = 64u - model_features.caps.linear_bits;

	return (uint64_t)((int64_t)(address << spare) >> spare) == address;
}

/* --- VMfail --- */

int model_vm_fail(enum vmx_instruction_error error)
{
	if (!this_cpu->current)
		return -1;
	model_set(VMCS_VM_INSTRUCTION_ERROR, error);
	return (int)error;
}

static bool bad_address(uint64_t pa)
{
	return pa % HC_PAGE_SIZE || pa >> model_features.caps.phys_bits ||
	       ((model_features.caps.basic & VMX_BASIC_32BIT) && pa >> 32);
}

static bool has_revision(const struct vmx_region *region)
{
	return region->revision == VMX_BASIC_REVISION(model_features.caps.basic);
}

/* --- VMXON and VMXOFF --- */

static bool fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
	return (value & fixed0) == fixed0 && !(value & ~fixed1);
}

static void check_vmxon(void)
{
	const struct vmx_cap_msrs *c = &model_features.caps;
	const uint64_t wanted = VMX_FEATURE_CONTROL_LOCK | VMX_FEATURE_CONTROL_OUTSIDE_SMX;

	if (model_features.no_vmx || !(this_cpu->host.cr4 & HC_BIT(13)))
		model_complain("#UD: VMXON without CR4.VMXE");
	if ((this_cpu->feature_control & wanted) != wanted)
		model_complain("#GP: VMXON with IA32_FEATURE_CONTROL = %#llx",
		               (unsigned long long)this_cpu->feature_control);
	if (!fixed(this_cpu->host.cr0, c->cr0_fixed0, c->cr0_fixed1) ||
	    !fixed(this_cpu->host.cr4, c->cr4_fixed0, c->cr4_fixed1))
		model_complain("#GP: VMXON with CR0 or CR4 not as VMX operation wants it");
}

int vmx_hw_on(hpa_t region)
{
	check_vmxon();
	if (this_cpu->vmx_on)
		return model_vm_fail(VMX_ERROR_VMXON_IN_ROOT);
	if (bad_address(region.v) || !has_revision((const struct vmx_region *)(uintptr_t)region.v))
		return -1;
	this_cpu->vmx_on = true;
	this_cpu->vmxon_region = region.v;
	return 0;
}

void vmx_hw_off(void)
{
	if (!this_cpu->vmx_on)
		model_complain("#UD: VMXOFF outside VMX operation");
	for (unsigned i = 0; i < MODEL_ACTIVE; i++) {
		if (this_cpu->active[i])
			model_complain("VMXOFF while VMCS %p is active",
			               (void *)this_cpu->active[i]);
		this_cpu->active[i] = NULL;
	}
	memset(this_cpu->tlb, 0, sizeof(this_cpu->tlb));
	this_cpu->vmx_on = false;
	this_cpu->current = NULL;
}

void model_expect_none_active(void)
{
	for (unsigned i = 0; i < MODEL_CPUS * MODEL_ACTIVE; i++) {
		if (model_cpus[i / MODEL_ACTIVE].active[i % MODEL_ACTIVE])
			model_complain("CPU %u still holds a VMCS", i / MODEL_ACTIVE);
	}
}

/* --- VMCLEAR and VMPTRLD --- */

static void hold(struct vmx_region *region)
{
	for (unsigned i = 0; i < MODEL_ACTIVE; i++) {
		if (!this_cpu->active[i]) {
			this_cpu->active[i] = region;
			return;
		}
	}
	model_complain("more active VMCSs than the model has room for");
}

static bool let_go(const struct vmx_region *region)
{
	for (unsigned i = 0; i < MODEL_ACTIVE; i++) {
		if (this_cpu->active[i] == region) {
			this_cpu->active[i] = NULL;
			return true;
		}
	}
	return false;
}

static void clear(struct vmx_region *region)
{
	struct model_vmcs *v = model_vmcs_in(region);
	bool held = let_go(region);

	if (!model_vmcs_intact(v)) {
		if (held)
			model_complain("VMCLEAR: the active VMCS's memory was used otherwise");
		memset((uint8_t *)v + sizeof(v->revision), 0, sizeof(*v) - sizeof(v->revision));
		memset(v->values, 0xa5, sizeof(v->values));
		v->magic = MODEL_VMCS_MAGIC;
		v->self = v;
		v->id = ++next_id;
	} else if (v->active_on && v->active_on != this_id() + 1) {
		model_complain("VMCLEAR of a VMCS that is active on CPU %u", v->active_on - 1);
	}
	v->active_on = 0;
	v->launched = 0;
	if (this_cpu->current == region)
		this_cpu->current = NULL;
}

int vmx_hw_clear(hpa_t vmcs)
{
	this_cpu->clears++;
	if (!this_cpu->vmx_on)
		model_complain("#UD: VMCLEAR outside VMX operation");
	if (bad_address(vmcs.v))
		return model_vm_fail(VMX_ERROR_VMCLEAR_ADDRESS);
	if (vmcs.v == this_cpu->vmxon_region)
		return model_vm_fail(VMX_ERROR_VMCLEAR_VMXON_POINTER);
	clear((struct vmx_region *)(uintptr_t)vmcs.v);
	return 0;
}

int vmx_hw_load(hpa_t vmcs)
{
	struct vmx_region *region = (struct vmx_region *)(uintptr_t)vmcs.v;

	this_cpu->loads++;
	if (!this_cpu->vmx_on)
		model_complain("#UD: VMPTRLD outside VMX operation");
	if (bad_address(vmcs.v))
		return model_vm_fail(VMX_ERROR_VMPTRLD_ADDRESS);
	if (vmcs.v == this_cpu->vmxon_region)
		return model_vm_fail(VMX_ERROR_VMPTRLD_VMXON_POINTER);
	if (!has_revision(region))
		return model_vm_fail(VMX_ERROR_VMPTRLD_REVISION);
	if (!model_vmcs_intact(model_vmcs_in(region))) {
		model_complain("VMPTRLD of a VMCS that was never cleared");
		clear(region);
	}
	if (model_vmcs_in(region)->active_on && model_vmcs_in(region)->active_on != this_id() + 1)
		model_complain("VMPTRLD of a VMCS that is active on CPU %u",
		               model_vmcs_in(region)->active_on - 1);
	let_go(region);
	hold(region);
	model_vmcs_in(region)->active_on = this_id() + 1;
	this_cpu->current = region;
	return 0;
}

/* --- VMREAD and VMWRITE --- */

static const char *name_of(uint32_t field)
{
	const char *name = model_field_name(field);

	return name ? name : "a field that there is not";
}

static bool accessible(const char *what, uint32_t field)
{
	if (model_has_field(&model_features.caps, field))
		return true;
	model_complain("%s of %s (%#x), which this CPU lacks", what, name_of(field), field);
	model_vm_fail(VMX_ERROR_UNSUPPORTED_FIELD);
	return false;
}

static void expect_written(const char *what, const struct model_vmcs *v, uint32_t field)
{
	bool high;
	int i = model_find_field(field, &high);

	if (i >= 0 && !model_read_only(field) && !v->written[i])
		model_complain("%s of %s, which nothing has written", what, name_of(field));
}

uint64_t vmx_hw_read(uint32_t field)
{
	const struct model_vmcs *v = current("VMREAD");

	this_cpu->reads++;
	if (!v || !accessible("VMREAD", field))
		return UINT64_C(0xbadbadbadbadbad);
	expect_written("VMREAD", v, field);
	return model_get_value(v, field);
}

/* What is different when it changes as seen by translations of the guest's linear addresses. */
static uint64_t paging_bits(uint32_t field)
{
	switch (field) {
	case VMCS_GUEST_CR0: return X86_CR0_PG;
	case VMCS_GUEST_CR3: return ~HC_BIT(63);
	case VMCS_GUEST_CR4: return X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE;
	default: return 0;
	}
}

void vmx_hw_write(uint32_t field, uint64_t value)
{
	struct model_vmcs *v = current("VMWRITE");

	this_cpu->writes++;
	if (!v || !accessible("VMWRITE", field))
		return;
	if (model_read_only(field)) {
		model_complain("VMWRITE of %s, which is read-only", name_of(field));
		model_vm_fail(VMX_ERROR_READ_ONLY_FIELD);
		return;
	}
	if ((model_get_value(v, field) ^ value) & paging_bits(field))
		v->paging_epoch++;
	model_set_value(v, field, value);
}

/* --- Entries --- */

static uint64_t read_for_check(const struct vmx_check *c, uint32_t field)
{
	const struct model_vmcs *v = c->ctx;

	if (!model_has_field(c->caps, field))
		model_complain("the checks look at %s, which this CPU lacks", name_of(field));
	expect_written("use by an entry", v, field);
	return model_get_value(v, field);
}

/* As far as VMLAUNCH and VMRESUME refuse by themselves. 0, or the error. */
static enum vmx_instruction_error launch_error(const struct model_vmcs *v, bool resume)
{
	if (resume && !v->launched)
		return VMX_ERROR_VMRESUME_NOT_LAUNCHED;
	if (!resume && v->launched)
		return VMX_ERROR_VMLAUNCH_NOT_CLEAR;
	return VMX_ERROR_NONE;
}

static const struct {
	uint32_t field;
	uint16_t offset, size;
	uint32_t exit_control; /* that makes exits load it; 0: all do */
} host_fields[] = {
#define HOST(field, member, control)                                                               \
	{                                                                                          \
		VMCS_HOST_##field, offsetof(struct vmx_host, member),                              \
			sizeof(((struct vmx_host *)0)->member), control                            \
	}
	HOST(CR0, cr0, 0),
	HOST(CR3, cr3, 0),
	HOST(CR4, cr4, 0),
	HOST(IA32_EFER, efer, VMX_EXIT_LOAD_EFER),
	HOST(IA32_PAT, pat, VMX_EXIT_LOAD_PAT),
	HOST(FS_BASE, fs_base, 0),
	HOST(GS_BASE, gs_base, 0),
	HOST(TR_BASE, tr_base, 0),
	HOST(GDTR_BASE, gdtr_base, 0),
	HOST(IDTR_BASE, idtr_base, 0),
	HOST(IA32_SYSENTER_ESP, sysenter_esp, 0),
	HOST(IA32_SYSENTER_EIP, sysenter_eip, 0),
	HOST(IA32_SYSENTER_CS, sysenter_cs, 0),
	HOST(CS_SELECTOR, cs, 0),
	HOST(SS_SELECTOR, ss, 0),
	HOST(TR_SELECTOR, tr, 0),
};

static void check_host_field(const struct model_vmcs *v, unsigned i)
{
	uint64_t own = 0;

	if ((model_get_value(v, VMCS_EXIT_CONTROLS) & host_fields[i].exit_control) !=
	    host_fields[i].exit_control) {
		model_complain("exits do not bring back %s", name_of(host_fields[i].field));
		return;
	}
	memcpy(&own, (const uint8_t *)&this_cpu->host + host_fields[i].offset, host_fields[i].size);
	if (model_get_value(v, host_fields[i].field) != own)
		model_complain("%s is not this CPU's", name_of(host_fields[i].field));
}

static void check_host(const struct model_vmcs *v)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(host_fields); i++)
		check_host_field(v, i);
}

static void check_msr_areas(const struct model_vmcs *v)
{
	if (model_get_value(v, VMCS_ENTRY_MSR_LOAD_COUNT) ||
	    model_get_value(v, VMCS_EXIT_MSR_LOAD_COUNT) ||
	    model_get_value(v, VMCS_EXIT_MSR_STORE_COUNT))
		model_complain("MSR areas, which the model does not know");
}

/* Beyond the manual: a real mode whose CS is code is entered with selectors of RPL 0 alone. */
static void check_bochs(const struct model_vmcs *v)
{
	uint64_t rights = model_get_value(v, VMCS_GUEST_CS_ACCESS_RIGHTS);
	unsigned type = (unsigned)X86_ATTR_TYPE(rights);

	if (model_get_value(v, VMCS_GUEST_RFLAGS) & X86_FLAG_VM)
		return;
	if ((type == 9 || type == 11) &&
	    (model_get_value(v, VMCS_GUEST_CS_SELECTOR) & 3) != X86_ATTR_DPL(rights))
		model_complain("Bochs refuses a CS whose RPL is not its DPL");
}

/* 27.8: the exit qualification tells some failures apart. */
static unsigned failure_qualification(const struct vmx_rule *rule)
{
	if (strstr(rule->name, "PDPTE"))
		return 2;
	if (strstr(rule->name, "NMI is not injected"))
		return 3;
	return strstr(rule->name, "link pointer") ? 4 : 0;
}

static int refuse(const struct vmx_rule *rule, enum vmx_rule_group group)
{
	this_cpu->refused++;
	model_refused_by = rule;
	switch (group) {
	case VMX_RULE_CONTROLS: return model_vm_fail(VMX_ERROR_CONTROLS);
	case VMX_RULE_HOST: return model_vm_fail(VMX_ERROR_HOST_STATE);
	case VMX_RULE_GUEST:
	case VMX_RULE_GROUPS:
	default: break;
	}
	model_set(VMCS_EXIT_REASON, VMX_REASON_INVALID_GUEST_STATE | VMX_EXIT_REASON_ENTRY);
	model_set(VMCS_EXIT_QUALIFICATION, failure_qualification(rule));
	return 0;
}

static void enter(struct model_vmcs *v, uint64_t *gpr)
{
	check_host(v);
	check_msr_areas(v);
	if (model_features.bochs)
		check_bochs(v);
	model_use_tlb(v);
	v->launched = 1;
	model_run_guest(gpr);
	if (!(model_get_value(v, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_VPID))
		model_drop_vpid_0();
}

int vmx_hw_enter(uint64_t *gpr, bool resume)
{
	struct model_vmcs *v = current(resume ? "VMRESUME" : "VMLAUNCH");
	struct vmx_check check = { read_for_check, v, &model_features.caps, true };
	enum vmx_rule_group group;

	this_cpu->entries++;
	model_refused_by = NULL;
	if (!v)
		return -1;
	if (launch_error(v, resume))
		return model_vm_fail(launch_error(v, resume));
	model_set_value(v, VMCS_HOST_RSP, (uintptr_t)&check);
	model_set_value(v, VMCS_HOST_RIP, 0x100000);
	check.host_ia32e = this_cpu->host.efer & X86_EFER_LMA;
	const struct vmx_rule *rule = vmx_check(&check, &group);

	if (rule)
		return refuse(rule, group);
	enter(v, gpr);
	return 0;
}

void vmx_hw_read_host(struct vmx_host *host)
{
	*host = this_cpu->host;
}
