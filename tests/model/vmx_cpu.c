/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions of VT-x, the VMCS, and the translations that a CPU keeps. */
#include "tests/model/vmx_cpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct model_features model_features;
struct model_cpu model_cpus[MODEL_CPUS];
const struct vmx_rule *model_refused_by;
unsigned model_complaints;
char model_complaint[160];

static _Thread_local struct model_cpu *this_cpu = &model_cpus[0];
static _Atomic uint64_t epoch;
static _Atomic uint64_t next_id;

void model_complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (model_complaints++ == 0)
		vsnprintf(model_complaint, sizeof(model_complaint), fmt, ap);
	va_end(ap);
}

void model_reset(const struct model_features *features)
{
	model_features = *features;
	memset(model_cpus, 0, sizeof(model_cpus));
	this_cpu = &model_cpus[0];
	epoch = 1;
	model_refused_by = NULL;
	model_complaints = 0;
	model_complaint[0] = '\0';
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

void model_stage2_changed(void)
{
	epoch++;
}

static unsigned this_id(void)
{
	return (unsigned)(this_cpu - model_cpus);
}

/* --- The fields --- */

/* Which capability gives a CPU the field (25.11 and the notes of appendix B). */
enum gate { ALWAYS, PIN, CPU, CPU2, EXIT, ENTRY, VMFUNC, PAT, EFER, PERF };

static const struct {
	uint32_t first, last; /* in order of the encodings */
	enum gate gate;
	uint64_t bit;
} gates[] = {
	{ VMCS_VPID, VMCS_VPID, CPU2, VMX_CPU2_VPID },
	{ VMCS_POSTED_INTR_NOTIFICATION_VECTOR, VMCS_POSTED_INTR_NOTIFICATION_VECTOR, PIN,
	  VMX_PIN_POSTED_INTR },
	{ VMCS_GUEST_INTERRUPT_STATUS, VMCS_GUEST_INTERRUPT_STATUS, CPU2,
	  VMX_CPU2_VIRTUAL_INTERRUPTS },
	{ VMCS_GUEST_PML_INDEX, VMCS_GUEST_PML_INDEX, CPU2, VMX_CPU2_PML },
	{ VMCS_MSR_BITMAP, VMCS_MSR_BITMAP, CPU, VMX_CPU_MSR_BITMAPS },
	{ VMCS_PML_ADDRESS, VMCS_PML_ADDRESS, CPU2, VMX_CPU2_PML },
	{ VMCS_VIRTUAL_APIC_ADDRESS, VMCS_VIRTUAL_APIC_ADDRESS, CPU, VMX_CPU_TPR_SHADOW },
	{ VMCS_APIC_ACCESS_ADDRESS, VMCS_APIC_ACCESS_ADDRESS, CPU2, VMX_CPU2_APIC_ACCESSES },
	{ VMCS_POSTED_INTR_DESCRIPTOR_ADDRESS, VMCS_POSTED_INTR_DESCRIPTOR_ADDRESS, PIN,
	  VMX_PIN_POSTED_INTR },
	{ VMCS_VMFUNC_CONTROLS, VMCS_VMFUNC_CONTROLS, CPU2, VMX_CPU2_VMFUNC },
	{ VMCS_EPT_POINTER, VMCS_EPT_POINTER, CPU2, VMX_CPU2_EPT },
	{ VMCS_EOI_EXIT_BITMAP_0, VMCS_EOI_EXIT_BITMAP_3, CPU2, VMX_CPU2_VIRTUAL_INTERRUPTS },
	{ VMCS_EPTP_LIST_ADDRESS, VMCS_EPTP_LIST_ADDRESS, VMFUNC, HC_BIT(0) },
	{ VMCS_VMREAD_BITMAP, VMCS_VMWRITE_BITMAP, CPU2, VMX_CPU2_VMCS_SHADOWING },
	{ VMCS_XSS_EXITING_BITMAP, VMCS_XSS_EXITING_BITMAP, CPU2, VMX_CPU2_XSAVES },
	{ VMCS_ENCLS_EXITING_BITMAP, VMCS_ENCLS_EXITING_BITMAP, CPU2, VMX_CPU2_ENCLS },
	{ VMCS_TSC_MULTIPLIER, VMCS_TSC_MULTIPLIER, CPU2, VMX_CPU2_TSC_SCALING },
	{ VMCS_GUEST_PHYSICAL_ADDRESS, VMCS_GUEST_PHYSICAL_ADDRESS, CPU2, VMX_CPU2_EPT },
	{ VMCS_GUEST_IA32_PAT, VMCS_GUEST_IA32_PAT, PAT, 0 },
	{ VMCS_GUEST_IA32_EFER, VMCS_GUEST_IA32_EFER, EFER, 0 },
	{ VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL, PERF, 0 },
	{ VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE3, CPU2, VMX_CPU2_EPT },
	{ VMCS_HOST_IA32_PAT, VMCS_HOST_IA32_PAT, EXIT, VMX_EXIT_LOAD_PAT },
	{ VMCS_HOST_IA32_EFER, VMCS_HOST_IA32_EFER, EXIT, VMX_EXIT_LOAD_EFER },
	{ VMCS_HOST_IA32_PERF_GLOBAL_CTRL, VMCS_HOST_IA32_PERF_GLOBAL_CTRL, EXIT,
	  VMX_EXIT_LOAD_PERF },
	{ VMCS_TPR_THRESHOLD, VMCS_TPR_THRESHOLD, CPU, VMX_CPU_TPR_SHADOW },
	{ VMCS_SECONDARY_CONTROLS, VMCS_SECONDARY_CONTROLS, CPU, VMX_CPU_SECONDARY },
	{ VMCS_PLE_GAP, VMCS_PLE_WINDOW, CPU2, VMX_CPU2_PAUSE_LOOP },
	{ VMCS_PREEMPTION_TIMER_VALUE, VMCS_PREEMPTION_TIMER_VALUE, PIN, VMX_PIN_PREEMPTION_TIMER },
};

static bool may_be_1(uint64_t msr, uint64_t bit)
{
	return (VMX_MAY_BE_1(msr) & bit) != 0;
}

static bool gate_open(const struct vmx_cap_msrs *c, enum gate gate, uint64_t bit)
{
	switch (gate) {
	case PIN: return may_be_1(c->pin, bit);
	case CPU: return may_be_1(c->cpu, bit);
	case CPU2: return may_be_1(c->cpu, VMX_CPU_SECONDARY) && may_be_1(c->cpu2, bit);
	case EXIT: return may_be_1(c->exit, bit);
	case ENTRY: return may_be_1(c->entry, bit);
	case VMFUNC: return (c->vmfunc & bit) != 0;
	case PAT:
		return may_be_1(c->entry, VMX_ENTRY_LOAD_PAT) ||
		       may_be_1(c->exit, VMX_EXIT_SAVE_PAT);
	case EFER:
		return may_be_1(c->entry, VMX_ENTRY_LOAD_EFER) ||
		       may_be_1(c->exit, VMX_EXIT_SAVE_EFER);
	case PERF: return may_be_1(c->entry, VMX_ENTRY_LOAD_PERF);
	case ALWAYS:
	default: return true;
	}
}

static const struct {
	uint32_t encoding;
	const char *name;
} fields[] = {
#define FIELD(name, encoding) { encoding, #name },
	VMCS_FIELDS(FIELD)
#undef FIELD
};

#define FIELDS HC_ARRAY_SIZE(fields)

/* By width, type and index; 0: there is none, else the number of the field plus 1. */
static uint8_t slot_of[4][4][32];

_Static_assert(FIELDS < UINT8_MAX, "slot_of has room");

static void index_fields(void)
{
	for (unsigned i = 0; i < FIELDS; i++) {
		uint32_t e = fields[i].encoding;

		slot_of[e >> 13 & 3][e >> 10 & 3][e >> 1 & 31] = (uint8_t)(i + 1);
	}
}

/* The number of a field, or -1. high: the upper half of a 64-bit field is meant. */
static int find_field(uint32_t encoding, bool *high)
{
	*high = encoding & 1;
	if (encoding & ~0x6c3fu || (*high && (encoding >> 13 & 3) != 1))
		return -1;
	if (!slot_of[0][0][0])
		index_fields();
	return slot_of[encoding >> 13 & 3][encoding >> 10 & 3][encoding >> 1 & 31] - 1;
}

const char *model_field_name(uint32_t field)
{
	bool high;
	int i = find_field(field, &high);

	return i < 0 ? NULL : fields[i].name;
}

bool model_has_field(const struct vmx_cap_msrs *caps, uint32_t field)
{
	bool high;

	if (find_field(field, &high) < 0)
		return false;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(gates); i++) {
		if ((field & ~1u) >= gates[i].first && (field & ~1u) <= gates[i].last)
			return gate_open(caps, gates[i].gate, gates[i].bit);
	}
	return true;
}

static uint64_t width_mask(uint32_t encoding)
{
	switch (encoding >> 13 & 3) {
	case 0: return UINT16_MAX;
	case 2: return UINT32_MAX;
	default: return UINT64_MAX;
	}
}

static bool read_only(uint32_t encoding)
{
	return (encoding >> 10 & 3) == 1;
}

/* --- A VMCS in its region --- */

#define MAGIC UINT64_C(0x5343a0d0564d4353)

struct model_vmcs {
	uint32_t revision, abort;
	uint64_t magic;
	const void *self;
	uint64_t id;
	uint64_t paging_epoch; /* counts what is written over the guest's paging */
	uint32_t active_on;    /* the CPU's number plus 1, 0: on none */
	uint32_t launched;
	uint8_t written[FIELDS];
	uint64_t values[FIELDS];
};

_Static_assert(sizeof(struct model_vmcs) <= sizeof(struct vmx_region), "it has room");

static struct model_vmcs *vmcs_in(struct vmx_region *region)
{
	return (struct model_vmcs *)(void *)region;
}

static const struct model_vmcs *const_vmcs_in(const struct vmx_region *region)
{
	return (const struct model_vmcs *)(const void *)region;
}

static bool intact(const struct model_vmcs *v)
{
	return v->magic == MAGIC && v->self == v;
}

/* The current VMCS, or NULL with a complaint. */
static struct model_vmcs *current(const char *what)
{
	struct model_vmcs *v = this_cpu->current ? vmcs_in(this_cpu->current) : NULL;

	if (!this_cpu->vmx_on)
		model_complain("#UD: %s outside VMX operation", what);
	else if (!v)
		model_complain("%s without a current VMCS", what);
	else if (!intact(v) || v->active_on != this_id() + 1)
		model_complain("%s: the current VMCS's memory was used otherwise", what);
	else
		return v;
	return NULL;
}

struct vmx_region *model_current(void)
{
	return this_cpu->current;
}

bool model_vmcs_launched(const struct vmx_region *vmcs)
{
	return const_vmcs_in(vmcs)->launched;
}

static uint64_t get_value(const struct model_vmcs *v, uint32_t field)
{
	bool high;
	int i = find_field(field, &high);

	if (i < 0)
		return 0;
	return high ? v->values[i] >> 32 : v->values[i];
}

static void set_value(struct model_vmcs *v, uint32_t field, uint64_t value)
{
	bool high;
	int i = find_field(field, &high);

	if (i < 0)
		return;
	v->written[i] = 1;
	if (high)
		v->values[i] = (v->values[i] & UINT32_MAX) | value << 32;
	else
		v->values[i] = value & width_mask(field);
}

uint64_t model_vmcs_get(const struct vmx_region *vmcs, uint32_t field)
{
	return get_value(const_vmcs_in(vmcs), field);
}

void model_vmcs_set(struct vmx_region *vmcs, uint32_t field, uint64_t value)
{
	set_value(vmcs_in(vmcs), field, value);
}

uint64_t model_get(uint32_t field)
{
	return model_vmcs_get(this_cpu->current, field);
}

void model_set(uint32_t field, uint64_t value)
{
	model_vmcs_set(this_cpu->current, field, value);
}

/* --- VMfail --- */

static int vm_fail(enum vmx_instruction_error error)
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
		return vm_fail(VMX_ERROR_VMXON_IN_ROOT);
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
	struct model_vmcs *v = vmcs_in(region);
	bool held = let_go(region);

	if (!intact(v)) {
		if (held)
			model_complain("VMCLEAR: the active VMCS's memory was used otherwise");
		memset((uint8_t *)v + sizeof(v->revision), 0, sizeof(*v) - sizeof(v->revision));
		memset(v->values, 0xa5, sizeof(v->values));
		v->magic = MAGIC;
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
		return vm_fail(VMX_ERROR_VMCLEAR_ADDRESS);
	if (vmcs.v == this_cpu->vmxon_region)
		return vm_fail(VMX_ERROR_VMCLEAR_VMXON_POINTER);
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
		return vm_fail(VMX_ERROR_VMPTRLD_ADDRESS);
	if (vmcs.v == this_cpu->vmxon_region)
		return vm_fail(VMX_ERROR_VMPTRLD_VMXON_POINTER);
	if (!has_revision(region))
		return vm_fail(VMX_ERROR_VMPTRLD_REVISION);
	if (!intact(vmcs_in(region))) {
		model_complain("VMPTRLD of a VMCS that was never cleared");
		clear(region);
	}
	if (vmcs_in(region)->active_on && vmcs_in(region)->active_on != this_id() + 1)
		model_complain("VMPTRLD of a VMCS that is active on CPU %u",
		               vmcs_in(region)->active_on - 1);
	let_go(region);
	hold(region);
	vmcs_in(region)->active_on = this_id() + 1;
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
	vm_fail(VMX_ERROR_UNSUPPORTED_FIELD);
	return false;
}

static void expect_written(const char *what, const struct model_vmcs *v, uint32_t field)
{
	bool high;
	int i = find_field(field, &high);

	if (i >= 0 && !read_only(field) && !v->written[i])
		model_complain("%s of %s, which nothing has written", what, name_of(field));
}

uint64_t vmx_hw_read(uint32_t field)
{
	const struct model_vmcs *v = current("VMREAD");

	this_cpu->reads++;
	if (!v || !accessible("VMREAD", field))
		return UINT64_C(0xbadbadbadbadbad);
	expect_written("VMREAD", v, field);
	return get_value(v, field);
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
	if (read_only(field)) {
		model_complain("VMWRITE of %s, which is read-only", name_of(field));
		vm_fail(VMX_ERROR_READ_ONLY_FIELD);
		return;
	}
	if ((get_value(v, field) ^ value) & paging_bits(field))
		v->paging_epoch++;
	set_value(v, field, value);
}

/* --- Translations --- */

static uint64_t eptp_key(uint64_t eptp)
{
	return eptp & UINT64_C(0x000ffffffffff000);
}

int vmx_hw_invept(enum vmx_invept type, const struct vmx_invept_descriptor *d)
{
	uint64_t needed = type == VMX_INVEPT_ONE ? VMX_EPT_CAP_INVEPT_ONE : VMX_EPT_CAP_INVEPT_ALL;
	uint64_t caps = model_features.caps.ept_vpid;

	this_cpu->invepts++;
	if (!this_cpu->vmx_on || !(caps & VMX_EPT_CAP_INVEPT))
		model_complain("#UD: INVEPT");
	if (!(caps & needed) || (type != VMX_INVEPT_ONE && type != VMX_INVEPT_ALL) || d->reserved) {
		model_complain("INVEPT of type %u fails", (unsigned)type);
		return vm_fail(VMX_ERROR_INVEPT_OPERAND);
	}
	for (unsigned i = 0; i < MODEL_TLB; i++) {
		if (type == VMX_INVEPT_ALL || this_cpu->tlb[i].eptp == eptp_key(d->eptp))
			this_cpu->tlb[i].eptp = 0;
	}
	return 0;
}

static bool canonical(uint64_t address)
{
	unsigned spare = 64u - model_features.caps.linear_bits;

	return (uint64_t)((int64_t)(address << spare) >> spare) == address;
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

	this_cpu->invvpids++;
	if (!this_cpu->vmx_on || !(caps & VMX_EPT_CAP_INVVPID))
		model_complain("#UD: INVVPID");
	if (!(caps & invvpid_cap(type)) || (d->reserved[0] | d->reserved[1] | d->reserved[2]) ||
	    (type != VMX_INVVPID_ALL && !d->vpid) ||
	    (type == VMX_INVVPID_ADDRESS && !canonical(d->linear))) {
		model_complain("INVVPID of type %u, VPID %u fails", (unsigned)type, d->vpid);
		return vm_fail(VMX_ERROR_INVEPT_OPERAND);
	}
	/* That all others than those of one address stay is what ADDRESS is about. */
	for (unsigned i = 0; i < MODEL_TLB && type != VMX_INVVPID_ADDRESS; i++) {
		struct model_translations *t = &this_cpu->tlb[i];

		if (t->vpid != MODEL_GUEST_PHYSICAL &&
		    (type == VMX_INVVPID_ALL || t->vpid == d->vpid))
			t->eptp = 0;
	}
	return 0;
}

static struct model_translations *find_translations(uint64_t eptp, uint32_t vpid)
{
	for (unsigned i = 0; i < MODEL_TLB; i++) {
		if (this_cpu->tlb[i].eptp == eptp && this_cpu->tlb[i].vpid == vpid)
			return &this_cpu->tlb[i];
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
		t = &this_cpu->tlb[this_cpu->tlb_next++ % MODEL_TLB];
	*t = (struct model_translations){ eptp, vpid, owner, epoch, paging_epoch };
}

/* Entries and exits without VPID drop all that is not guest-physical of VPID 0 (29.4.3.1). */
static void drop_vpid_0(void)
{
	for (unsigned i = 0; i < MODEL_TLB; i++) {
		if (this_cpu->tlb[i].vpid == 0)
			this_cpu->tlb[i].eptp = 0;
	}
}

static void use_tlb(const struct model_vmcs *v)
{
	uint64_t controls2 = get_value(v, VMCS_SECONDARY_CONTROLS);
	uint64_t eptp = eptp_key(get_value(v, VMCS_EPT_POINTER));
	bool has_vpid = controls2 & VMX_CPU2_VPID;

	if (!(controls2 & VMX_CPU2_EPT)) {
		model_complain("entry without EPT, which the model does not know");
		return;
	}
	if (!has_vpid)
		drop_vpid_0();
	use_translations(eptp, MODEL_GUEST_PHYSICAL, 0, 0);
	use_translations(eptp, has_vpid ? (uint32_t)get_value(v, VMCS_VPID) : 0, v->id,
	                 v->paging_epoch);
}

/* --- Entries --- */

static uint64_t read_for_check(const struct vmx_check *c, uint32_t field)
{
	const struct model_vmcs *v = c->ctx;

	if (!model_has_field(c->caps, field))
		model_complain("the checks look at %s, which this CPU lacks", name_of(field));
	expect_written("use by an entry", v, field);
	return get_value(v, field);
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

	if ((get_value(v, VMCS_EXIT_CONTROLS) & host_fields[i].exit_control) !=
	    host_fields[i].exit_control) {
		model_complain("exits do not bring back %s", name_of(host_fields[i].field));
		return;
	}
	memcpy(&own, (const uint8_t *)&this_cpu->host + host_fields[i].offset, host_fields[i].size);
	if (get_value(v, host_fields[i].field) != own)
		model_complain("%s is not this CPU's", name_of(host_fields[i].field));
}

static void check_host(const struct model_vmcs *v)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(host_fields); i++)
		check_host_field(v, i);
}

static void check_msr_areas(const struct model_vmcs *v)
{
	if (get_value(v, VMCS_ENTRY_MSR_LOAD_COUNT) || get_value(v, VMCS_EXIT_MSR_LOAD_COUNT) ||
	    get_value(v, VMCS_EXIT_MSR_STORE_COUNT))
		model_complain("MSR areas, which the model does not know");
}

/* Beyond the manual: a real mode whose CS is code is entered with selectors of RPL 0 alone. */
static void check_bochs(const struct model_vmcs *v)
{
	uint64_t rights = get_value(v, VMCS_GUEST_CS_ACCESS_RIGHTS);
	unsigned type = (unsigned)X86_ATTR_TYPE(rights);

	if (get_value(v, VMCS_GUEST_RFLAGS) & X86_FLAG_VM)
		return;
	if ((type == 9 || type == 11) &&
	    (get_value(v, VMCS_GUEST_CS_SELECTOR) & 3) != X86_ATTR_DPL(rights))
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
	case VMX_RULE_CONTROLS: return vm_fail(VMX_ERROR_CONTROLS);
	case VMX_RULE_HOST: return vm_fail(VMX_ERROR_HOST_STATE);
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
	use_tlb(v);
	v->launched = 1;
	model_run_guest(gpr);
	if (!(get_value(v, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_VPID))
		drop_vpid_0();
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
		return vm_fail(launch_error(v, resume));
	set_value(v, VMCS_HOST_RSP, (uintptr_t)&check);
	set_value(v, VMCS_HOST_RIP, 0x100000);
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
