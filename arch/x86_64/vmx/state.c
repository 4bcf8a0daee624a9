/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The neutral state and where its parts live: in the VMCS, which can be read and written between
 * load() and put() only, or in the CPU's own registers, which VM entries do not switch: FPU,
 * DR0..DR3, DR6, CR2 and the MSRs of SYSCALL, SWAPGS and RDTSCP.
 */
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"
#include "mmu/ept.h"

#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

#define DEBUGCTL_BTF HC_BIT(1)

/* Writes a field that is likely to hold the value already. True if it did not. */
static bool update(uint32_t field, uint64_t value)
{
	if (vmx_hw_read(field) == value)
		return false;
	vmx_hw_write(field, value);
	return true;
}

/* --- Core --- */

static void get_core(struct hc_vcpu *vcpu, struct x86_state *st)
{
	st->rip = vmx_hw_read(VMCS_GUEST_RIP);
	st->gpr[X86_RSP] = vmx_hw_read(VMCS_GUEST_RSP);
	st->rflags = vmx_hw_read(VMCS_GUEST_RFLAGS);
}

static void set_core(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	vmx_sync_rip(vv, st);
	vv->rsp = st->gpr[X86_RSP];
	vmx_hw_write(VMCS_GUEST_RSP, vv->rsp);
	vv->rflags = st->rflags;
	vmx_hw_write(VMCS_GUEST_RFLAGS, vv->rflags);
}

/* --- Control registers. In the VMCS, bits that VT-x wants fixed are; the guest reads those of the
 * masks from the shadows (SDM Vol. 3C 25.6.6). --- */

static uint64_t shadowed(uint32_t field, uint32_t shadow, uint64_t mask)
{
	return (vmx_hw_read(field) & ~mask) | (vmx_hw_read(shadow) & mask);
}

static unsigned current_cpl(void)
{
	return X86_ATTR_DPL((unsigned)vmx_hw_read(VMCS_GUEST_SS_ACCESS_RIGHTS));
}

static void get_pdptes(struct x86_state *st)
{
	st->pdptes_loaded = x86_is_pae_paging(st->cr0, st->cr4, st->efer);
	for (uint32_t i = 0; st->pdptes_loaded && i < HC_ARRAY_SIZE(st->pdpte); i++)
		st->pdpte[i] = vmx_hw_read(VMCS_GUEST_PDPTE0 + 2 * i);
}

/* LMA is LME with paging on, which the guest switches without an exit. */
static void get_cr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	const struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	st->cr0 = shadowed(VMCS_GUEST_CR0, VMCS_CR0_READ_SHADOW, vv->cr0_mask);
	st->cr2 = x86_host_read_cr2();
	st->cr3 = vmx_hw_read(VMCS_GUEST_CR3);
	st->cr4 = shadowed(VMCS_GUEST_CR4, VMCS_CR4_READ_SHADOW, vv->cr4_mask);
	st->efer = vmx_hw_read(VMCS_GUEST_IA32_EFER) & ~X86_EFER_LMA;
	if (st->efer & X86_EFER_LME && st->cr0 & X86_CR0_PG)
		st->efer |= X86_EFER_LMA;
	st->cpl = (uint8_t)current_cpl();
	get_pdptes(st);
}

/* VM entry takes the four entries from the VMCS, not from memory (27.3.2.4), and refuses reserved
 * bits in those that are present: such an entry counts as not present. */
static bool set_pdptes(struct hc_vcpu *vcpu, struct x86_state *st)
{
	const uint64_t reserved = HC_BIT(1) | HC_BIT(2) | UINT64_C(0x1e0) | ~UINT64_C(0) << 52;
	uint64_t phys = vmx_caps.msrs.phys_bits < 52 ? ~UINT64_C(0) << vmx_caps.msrs.phys_bits : 0;
	const uint8_t *entries = hc_mem_ptr(vcpu->vm, gpa_of(st->cr3 & 0xffffffe0), 32, false);
	bool changed = false;

	for (uint32_t i = 0; i < HC_ARRAY_SIZE(st->pdpte); i++) {
		uint64_t entry = st->pdpte[i];

		if (!st->pdptes_loaded) {
			entry = 0;
			if (entries)
				memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
		}
		if (!(entry & 1) || entry & (reserved | phys))
			entry = 0;
		changed |= update(VMCS_GUEST_PDPTE0 + 2 * i, entry);
	}
	return changed;
}

/* CPL is SS.DPL (25.4.1). */
static void set_cpl(unsigned cpl)
{
	uint64_t rights = vmx_hw_read(VMCS_GUEST_SS_ACCESS_RIGHTS);

	update(VMCS_GUEST_SS_ACCESS_RIGHTS, (rights & ~UINT64_C(0x60)) | (uint64_t)(cpl & 3) << 5);
}

/* What the CPU remembers of the guest's translations is void if these change here: the guest's own
 * changes it has seen itself. */
static void set_cr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	uint64_t cr0 = (st->cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | vmx_caps.cr0_fixed;
	bool changed = update(VMCS_GUEST_CR3, st->cr3);

	changed |= update(VMCS_GUEST_CR0, cr0);
	changed |= update(VMCS_GUEST_CR4, st->cr4 | vmx_caps.cr4_fixed);
	changed |= update(VMCS_GUEST_IA32_EFER, st->efer);
	update(VMCS_CR0_READ_SHADOW, st->cr0);
	update(VMCS_CR4_READ_SHADOW, st->cr4);
	vv->entry_controls = vmx_caps.entry & ~(uint32_t)VMX_ENTRY_IA32E;
	if (st->efer & X86_EFER_LMA)
		vv->entry_controls |= VMX_ENTRY_IA32E;
	update(VMCS_ENTRY_CONTROLS, vv->entry_controls);
	if (x86_is_pae_paging(st->cr0, st->cr4, st->efer))
		changed |= set_pdptes(vcpu, st);
	if (changed)
		vv->vpid_generation = 0;
	set_cpl(st->cpl);
	x86_host_write_cr2(st->cr2);
}

/* --- Segments --- */

uint32_t vmx_access_rights(const struct x86_segment *s)
{
	uint32_t rights = (s->attr & 0xffu) | (s->attr & 0xf00u) << 4;

	return s->attr & X86_ATTR_P ? rights : rights | (uint32_t)VMX_AR_UNUSABLE;
}

uint16_t vmx_segment_attr(uint32_t access_rights)
{
	uint16_t attr = (uint16_t)((access_rights & 0xff) | (access_rights >> 4 & 0xf00));

	return access_rights & VMX_AR_UNUSABLE ? attr & (uint16_t)~X86_ATTR_P : attr;
}

static void get_segment(struct x86_state *st, unsigned seg)
{
	struct x86_segment *s = &st->seg[seg];

	s->selector = (uint16_t)vmx_hw_read(VMCS_GUEST_SELECTOR(seg));
	s->attr = vmx_segment_attr((uint32_t)vmx_hw_read(VMCS_GUEST_ACCESS_RIGHTS(seg)));
	s->limit = (uint32_t)vmx_hw_read(VMCS_GUEST_LIMIT(seg));
	s->base = vmx_hw_read(VMCS_GUEST_BASE(seg));
}

static bool is_v8086(const struct x86_state *st)
{
	return st->rflags & X86_FLAG_VM && st->cr0 & X86_CR0_PE;
}

/* G may be what it was where the limit would be the same either way (27.3.1.2). */
static void fit_granularity(struct x86_segment *s)
{
	if (s->limit > 0xfffff)
		s->attr |= X86_ATTR_G;
	else if ((s->limit & 0xfff) != 0xfff)
		s->attr &= (uint16_t)~X86_ATTR_G;
}

static void fit_tr(const struct x86_state *st, struct x86_segment *s)
{
	s->attr |= X86_ATTR_TSS_BUSY;
	if (st->efer & X86_EFER_LMA)
		s->attr |= 0xb;
}

/* In real mode, RPL is a part of the address. Bochs wants it to be the DPL of a CS that is code;
 * far jumps, as reset, leave data there (Vol. 3A table 9-1). */
static void fit_real_cs(struct x86_segment *s)
{
	if (s->selector & 3)
		s->attr = (uint16_t)((s->attr & ~0x6fu) | 3);
}

/* What other CPUs leave in hidden parts and VM entry would refuse although it makes no difference
 * to the guest (27.3.1.2). */
static struct x86_segment fitted(const struct x86_state *st, unsigned seg)
{
	struct x86_segment s = st->seg[seg];

	s.attr &= 0xfff;
	if (is_v8086(st) && seg <= X86_GS) {
		s.attr = X86_ATTR_P | 3u << 5 | X86_ATTR_S | 3;
		s.limit = 0xffff;
		return s;
	}
	if (seg == X86_SS)
		s.attr = (uint16_t)((s.attr & ~0x60u) | (st->cpl & 3u) << 5);
	if (!(s.attr & X86_ATTR_P))
		return s;
	if (seg == X86_CS && !(st->cr0 & X86_CR0_PE))
		fit_real_cs(&s);
	fit_granularity(&s);
	if (seg == X86_TR)
		fit_tr(st, &s);
	else if (s.attr & X86_ATTR_S)
		s.attr |= 1; /* accessed */
	return s;
}

static void set_segment(const struct x86_state *st, unsigned seg)
{
	struct x86_segment s = fitted(st, seg);

	vmx_hw_write(VMCS_GUEST_SELECTOR(seg), s.selector);
	vmx_hw_write(VMCS_GUEST_ACCESS_RIGHTS(seg), vmx_access_rights(&s));
	vmx_hw_write(VMCS_GUEST_LIMIT(seg), s.limit);
	vmx_hw_write(VMCS_GUEST_BASE(seg), s.base);
}

/* How segments have to look depends on the mode. */
static void need_mode(struct hc_vcpu *vcpu, struct x86_state *st)
{
	if (vcpu->valid & X86_G_CR)
		return;
	get_cr(vcpu, st);
	vcpu->valid |= X86_G_CR;
}

static void get_cs(struct hc_vcpu *vcpu, struct x86_state *st)
{
	get_segment(st, X86_CS);
}

static void set_cs(struct hc_vcpu *vcpu, struct x86_state *st)
{
	need_mode(vcpu, st);
	set_segment(st, X86_CS);
}

static void get_segments(struct hc_vcpu *vcpu, struct x86_state *st)
{
	for (unsigned seg = 0; seg < X86_SEG_COUNT; seg++) {
		if (seg != X86_CS)
			get_segment(st, seg);
	}
	st->seg[X86_TR].attr |= X86_ATTR_TSS_BUSY;
}

static void set_segments(struct hc_vcpu *vcpu, struct x86_state *st)
{
	need_mode(vcpu, st);
	for (unsigned seg = 0; seg < X86_SEG_COUNT; seg++) {
		if (seg != X86_CS)
			set_segment(st, seg);
	}
}

static void get_dt(struct hc_vcpu *vcpu, struct x86_state *st)
{
	st->gdtr.base = vmx_hw_read(VMCS_GUEST_GDTR_BASE);
	st->gdtr.limit = (uint16_t)vmx_hw_read(VMCS_GUEST_GDTR_LIMIT);
	st->idtr.base = vmx_hw_read(VMCS_GUEST_IDTR_BASE);
	st->idtr.limit = (uint16_t)vmx_hw_read(VMCS_GUEST_IDTR_LIMIT);
}

static void set_dt(struct hc_vcpu *vcpu, struct x86_state *st)
{
	vmx_hw_write(VMCS_GUEST_GDTR_BASE, st->gdtr.base);
	vmx_hw_write(VMCS_GUEST_GDTR_LIMIT, st->gdtr.limit);
	vmx_hw_write(VMCS_GUEST_IDTR_BASE, st->idtr.base);
	vmx_hw_write(VMCS_GUEST_IDTR_LIMIT, st->idtr.limit);
}

/* --- Debug registers --- */

static void get_dr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	x86_host_read_dr(st->dr);
	st->dr6 = x86_host_read_dr6();
	st->dr7 = vmx_hw_read(VMCS_GUEST_DR7);
}

/* MOV to DR6 faults on a high half that is not 0. */
static void put_drs(const struct x86_state *st)
{
	x86_host_write_dr(st->dr);
	x86_host_write_dr6((uint32_t)st->dr6);
}

static void set_dr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	put_drs(st);
	vmx_hw_write(VMCS_GUEST_DR7, st->dr7);
}

/* --- MSRs --- */

/* WRMSR faults on an address that no CPU of this width could use, whatever the mode. */
static uint64_t canonical(uint64_t address)
{
	unsigned unused = 64u - vmx_caps.msrs.linear_bits;

	return (uint64_t)((int64_t)(address << unused) >> unused);
}

static void put_msrs(const struct x86_state *st)
{
	x86_host_wrmsr(MSR_STAR, st->msr_star);
	x86_host_wrmsr(MSR_LSTAR, canonical(st->msr_lstar));
	x86_host_wrmsr(MSR_CSTAR, canonical(st->msr_cstar));
	x86_host_wrmsr(MSR_SFMASK, (uint32_t)st->msr_sfmask);
	x86_host_wrmsr(MSR_KERNEL_GS_BASE, canonical(st->msr_kernel_gs_base));
	if (vmx_caps.rdtscp)
		x86_host_wrmsr(MSR_TSC_AUX, (uint32_t)st->msr_tsc_aux);
}

static void get_msr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	st->msr_star = x86_host_rdmsr(MSR_STAR);
	st->msr_lstar = x86_host_rdmsr(MSR_LSTAR);
	st->msr_cstar = x86_host_rdmsr(MSR_CSTAR);
	st->msr_sfmask = x86_host_rdmsr(MSR_SFMASK);
	st->msr_kernel_gs_base = x86_host_rdmsr(MSR_KERNEL_GS_BASE);
	if (vmx_caps.rdtscp)
		st->msr_tsc_aux = x86_host_rdmsr(MSR_TSC_AUX);
	st->msr_sysenter_cs = vmx_hw_read(VMCS_GUEST_IA32_SYSENTER_CS);
	st->msr_sysenter_esp = vmx_hw_read(VMCS_GUEST_IA32_SYSENTER_ESP);
	st->msr_sysenter_eip = vmx_hw_read(VMCS_GUEST_IA32_SYSENTER_EIP);
	st->msr_pat = vmx_hw_read(VMCS_GUEST_IA32_PAT);
	st->msr_debugctl = vmx_hw_read(VMCS_GUEST_IA32_DEBUGCTL);
	st->tsc_offset = vmx_hw_read(VMCS_TSC_OFFSET);
}

static void set_msr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	put_msrs(st);
	vmx_hw_write(VMCS_GUEST_IA32_SYSENTER_CS, (uint32_t)st->msr_sysenter_cs);
	vmx_hw_write(VMCS_GUEST_IA32_SYSENTER_ESP, st->msr_sysenter_esp);
	vmx_hw_write(VMCS_GUEST_IA32_SYSENTER_EIP, st->msr_sysenter_eip);
	vmx_hw_write(VMCS_GUEST_IA32_PAT, st->msr_pat);
	vmx_hw_write(VMCS_GUEST_IA32_DEBUGCTL, st->msr_debugctl);
	vmx_hw_write(VMCS_TSC_OFFSET, st->tsc_offset);
	if (st->tsc_ratio)
		vmx_hw_write(VMCS_TSC_MULTIPLIER, st->tsc_ratio);
}

/* --- FPU --- */

/* Out of the CPU and in again: the guest goes on with it. */
static void get_fpu(struct hc_vcpu *vcpu, struct x86_state *st)
{
	x86_fpu_out(st);
	if (x86_fpu_caps.xsave)
		x86_host_xsetbv(st->xcr0);
}

static void set_fpu(struct hc_vcpu *vcpu, struct x86_state *st)
{
	x86_fpu_in(st);
}

/* --- Groups --- */

/* By the number of the bit in enum x86_state_group. Set in this order: segments and events look at
 * what comes before them. */
static const struct {
	void (*get)(struct hc_vcpu *vcpu, struct x86_state *st);
	void (*set)(struct hc_vcpu *vcpu, struct x86_state *st);
} groups_table[] = {
	{ get_core, set_core }, { get_cr, set_cr },
	{ get_cs, set_cs },     { get_segments, set_segments },
	{ get_dt, set_dt },     { get_dr, set_dr },
	{ get_msr, set_msr },   { vmx_get_events, vmx_set_events },
	{ get_fpu, set_fpu },
};

_Static_assert(1u << HC_ARRAY_SIZE(groups_table) == X86_G_ALL + 1u, "one row per group");

void vmx_get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct x86_state *st = x86_state_of(vcpu);

	if (!vmx_vcpu_of(vcpu)->loaded)
		return; /* put() left nothing out */
	/* What every access to a device looks at. */
	if (__builtin_expect(groups == (X86_G_CR | X86_G_CS), 1)) {
		get_cr(vcpu, st);
		get_segment(st, X86_CS);
		return;
	}
	for (groups &= X86_G_ALL; groups; groups &= groups - 1)
		groups_table[__builtin_ctz(groups)].get(vcpu, st);
}

void vmx_sync_pending_step(const struct x86_state *st)
{
	bool step =
		st->rflags & X86_FLAG_TF && !(vmx_hw_read(VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);
	uint64_t pending = vmx_hw_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & ~VMX_PENDING_BS;

	update(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, step ? pending | VMX_PENDING_BS : pending);
}

void vmx_set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (!vv->loaded) {
		vcpu->dirty |= groups & X86_G_ALL;
		return;
	}
	for (uint32_t g = groups & X86_G_ALL; g; g &= g - 1)
		groups_table[__builtin_ctz(g)].set(vcpu, x86_state_of(vcpu));
	if (groups & (X86_G_CORE | X86_G_MSR | X86_G_EVENT) && vv->interruptibility & VMX_SHADOW)
		vmx_sync_pending_step(x86_state_of(vcpu));
}

/* --- Without unrestricted guest --- */

#define RPL(s) ((s)->selector & 3u)

/* 27.3.1.2: what real mode leaves in segments until they are loaded is refused. */
static bool data_fits(const struct x86_segment *s)
{
	unsigned type = X86_ATTR_TYPE(s->attr);

	return !(s->attr & X86_ATTR_P) || type >= 12 || X86_ATTR_DPL(s->attr) >= RPL(s);
}

static bool segments_fit(const struct x86_state *st)
{
	const struct x86_segment *cs = &st->seg[X86_CS], *ss = &st->seg[X86_SS];

	if (!(cs->attr & X86_ATTR_S) || !(cs->attr & 8) || RPL(cs) != RPL(ss) || RPL(ss) != st->cpl)
		return false;
	return data_fits(&st->seg[X86_ES]) && data_fits(&st->seg[X86_DS]) &&
	       data_fits(&st->seg[X86_FS]) && data_fits(&st->seg[X86_GS]);
}

static bool fits(struct hc_vcpu *vcpu)
{
	const struct x86_state *st = x86_state_of(vcpu);
	const uint64_t paged = X86_CR0_PE | X86_CR0_PG;

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS | X86_G_SEG);
	return (st->cr0 & paged) == paged && (is_v8086(st) || segments_fit(st));
}

bool vmx_can_enter(struct hc_vcpu *vcpu)
{
	const uint32_t decisive = X86_G_CR | X86_G_CS | X86_G_SEG;

	return vmx_caps.unrestricted_guest || !(vcpu->dirty & decisive) || fits(vcpu);
}

bool vmx_can_run(struct hc_vcpu *vcpu)
{
	return vmx_caps.unrestricted_guest || fits(vcpu) ||
	       atomic_load(&x86_vcpu_of(vcpu)->mp_state) == X86_MP_WAIT_SIPI;
}

/* --- Load and put --- */

static void must(struct hc_vcpu *vcpu, const char *insn, int error)
{
	if (error)
		hc_panic("vmx: vm %s: vcpu %u: %s fails with error %d", vcpu->vm->name, vcpu->id,
		         insn, error);
}

/* What update() compares with, and what only some modes use. */
static const uint32_t zero_at_first[] = {
	VMCS_GUEST_CR0,
	VMCS_GUEST_CR3,
	VMCS_GUEST_CR4,
	VMCS_GUEST_IA32_EFER,
	VMCS_CR0_READ_SHADOW,
	VMCS_CR4_READ_SHADOW,
	VMCS_GUEST_PDPTE0,
	VMCS_GUEST_PDPTE1,
	VMCS_GUEST_PDPTE2,
	VMCS_GUEST_PDPTE3,
	VMCS_GUEST_SS_ACCESS_RIGHTS,
};

/* What the members of struct vmx_vcpu say that is in the VMCS. */
static void write_remembered(struct vmx_vcpu *vv)
{
	vmx_hw_write(VMCS_GUEST_RIP, vv->rip);
	vmx_hw_write(VMCS_GUEST_RSP, vv->rsp);
	vmx_hw_write(VMCS_GUEST_RFLAGS, vv->rflags);
	vmx_hw_write(VMCS_GUEST_INTERRUPTIBILITY, vv->interruptibility);
	vmx_hw_write(VMCS_ENTRY_INTERRUPTION_INFO, vv->entry_info);
	vmx_hw_write(VMCS_CR0_GUEST_HOST_MASK, vv->cr0_mask);
	vmx_hw_write(VMCS_CR4_GUEST_HOST_MASK, vv->cr4_mask);
}

/* The first time: what a VMCS holds before VMCLEAR, and in which format, is not defined (25.11.3).
 */
static void make_vmcs(struct hc_vcpu *vcpu, struct vmx_vcpu *vv)
{
	must(vcpu, "VMCLEAR", vmx_hw_clear(vv->vmcs_pa));
	must(vcpu, "VMPTRLD", vmx_hw_load(vv->vmcs_pa));
	vmx_vmcs_init(vv);
	vv->cr0_mask = X86_CR0_NE | X86_CR0_CD | X86_CR0_NW | vmx_caps.cr0_fixed;
	vv->cr4_mask = ~x86_vm_of(vcpu->vm)->cr4_mask | vmx_caps.cr4_fixed;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(zero_at_first); i++)
		vmx_hw_write(zero_at_first[i], 0);
	write_remembered(vv);
	vv->made = true;
}

void vmx_load(struct hc_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	struct x86_state *st = x86_state_of(vcpu);

	if (vv->made)
		must(vcpu, "VMPTRLD", vmx_hw_load(vv->vmcs_pa));
	else
		make_vmcs(vcpu, vv);
	vmx_vmcs_set_host();
	vmx_hw_write(VMCS_EPT_POINTER, ept_eptp(&vcpu->vm->s2));
	vmx_load_limit(vv);
	/* It comes from another backend: the guest has changed its tables there. */
	if ((vcpu->dirty & X86_G_ALL) == X86_G_ALL)
		vv->vpid_generation = 0;
	x86_fpu_in(st);
	put_drs(st);
	put_msrs(st);
	x86_host_write_cr2(st->cr2);
	vv->loaded = true;
}

/* A VMCS stays with the CPU that it is active on; cleared, it may go to another or be freed. Then
 * nothing can be read from it any more: the neutral state is made whole first. */
void vmx_put(struct hc_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	vmx_get_state(vcpu, X86_G_ALL & ~vcpu->valid);
	vcpu->valid |= X86_G_ALL;
	must(vcpu, "VMCLEAR", vmx_hw_clear(vv->vmcs_pa));
	vmx_apic_put(vcpu);
	vv->launched = false;
	vv->loaded = false;
	vv->limit = VMX_NO_LIMIT;
}
