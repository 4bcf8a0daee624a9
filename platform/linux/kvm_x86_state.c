/* SPDX-License-Identifier: BSD-2-Clause */
/* The neutral state and the formats in which KVM takes and gives its parts. */
#include <string.h>
/* after the above */
#include "core/log.h"
#include "platform/linux/kvm_x86.h"

static void get(struct kvm_vcpu *kv, unsigned long request, const char *name, void *arg)
{
	int rc = kvm_ioctl(kv->fd, request, arg);

	if (rc < 0)
		kvm_refuse(kv, name, rc);
}

#define KVM_CALL(kv, request, arg) get(kv, request, #request, arg)

/* --- Core. kvm_regs has them in its own order. --- */

static const size_t regs_offset[X86_GPR_COUNT] = {
	[X86_RAX] = offsetof(struct kvm_regs, rax), [X86_RCX] = offsetof(struct kvm_regs, rcx),
	[X86_RDX] = offsetof(struct kvm_regs, rdx), [X86_RBX] = offsetof(struct kvm_regs, rbx),
	[X86_RSP] = offsetof(struct kvm_regs, rsp), [X86_RBP] = offsetof(struct kvm_regs, rbp),
	[X86_RSI] = offsetof(struct kvm_regs, rsi), [X86_RDI] = offsetof(struct kvm_regs, rdi),
	[X86_R8] = offsetof(struct kvm_regs, r8),   [X86_R9] = offsetof(struct kvm_regs, r9),
	[X86_R10] = offsetof(struct kvm_regs, r10), [X86_R11] = offsetof(struct kvm_regs, r11),
	[X86_R12] = offsetof(struct kvm_regs, r12), [X86_R13] = offsetof(struct kvm_regs, r13),
	[X86_R14] = offsetof(struct kvm_regs, r14), [X86_R15] = offsetof(struct kvm_regs, r15),
};

void kvm_x86_from_regs(struct x86_state *st, const struct kvm_regs *regs)
{
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		memcpy(&st->gpr[i], (const char *)regs + regs_offset[i], sizeof(st->gpr[i]));
	st->rip = regs->rip;
	st->rflags = regs->rflags;
}

void kvm_x86_to_regs(struct kvm_regs *regs, const struct x86_state *st)
{
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		memcpy((char *)regs + regs_offset[i], &st->gpr[i], sizeof(st->gpr[i]));
	regs->rip = st->rip;
	regs->rflags = st->rflags;
}

static void get_core(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_regs regs = { 0 };

	KVM_CALL(kvm_vcpu_of(vcpu), KVM_GET_REGS, &regs);
	kvm_x86_from_regs(st, &regs);
}

static void set_core(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_regs regs;

	kvm_x86_to_regs(&regs, st);
	KVM_CALL(kvm_vcpu_of(vcpu), KVM_SET_REGS, &regs);
}

/* --- Segments, tables, control registers: one structure of KVM's --- */

static void get_seg(struct x86_segment *s, const struct kvm_segment *k)
{
	unsigned attr = k->type | (unsigned)k->s << 4 | (unsigned)k->dpl << 5 |
	                (unsigned)k->present << 7 | (unsigned)k->avl << 8 | (unsigned)k->l << 9 |
	                (unsigned)k->db << 10 | (unsigned)k->g << 11;

	s->selector = k->selector;
	s->attr = (uint16_t)(k->unusable ? attr & ~X86_ATTR_P : attr);
	s->limit = k->limit;
	s->base = k->base;
}

static void set_seg(struct kvm_segment *k, const struct x86_segment *s)
{
	*k = (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = X86_ATTR_TYPE(s->attr),
		.s = (s->attr & X86_ATTR_S) != 0,
		.dpl = (uint8_t)X86_ATTR_DPL(s->attr),
		.present = (s->attr & X86_ATTR_P) != 0,
		.avl = s->attr >> 8 & 1,
		.l = (s->attr & X86_ATTR_L) != 0,
		.db = (s->attr & X86_ATTR_DB) != 0,
		.g = (s->attr & X86_ATTR_G) != 0,
		.unusable = !(s->attr & X86_ATTR_P),
	};
}

static const struct {
	size_t offset;
	enum x86_seg seg;
} segments[] = {
	{ offsetof(struct kvm_sregs, es), X86_ES },    { offsetof(struct kvm_sregs, ss), X86_SS },
	{ offsetof(struct kvm_sregs, ds), X86_DS },    { offsetof(struct kvm_sregs, fs), X86_FS },
	{ offsetof(struct kvm_sregs, gs), X86_GS },    { offsetof(struct kvm_sregs, tr), X86_TR },
	{ offsetof(struct kvm_sregs, ldt), X86_LDTR },
};

static struct kvm_segment *segment_of(struct kvm_sregs *k, unsigned row)
{
	return (struct kvm_segment *)(void *)((char *)k + segments[row].offset);
}

static void get_dt(struct x86_dtable *t, const struct kvm_dtable *k)
{
	t->base = k->base;
	t->limit = k->limit;
}

static void set_dt(struct kvm_dtable *k, const struct x86_dtable *t)
{
	*k = (struct kvm_dtable){ .base = t->base, .limit = t->limit };
}

/* KVM has the CPL as the stack segment's DPL, as the VMCS does (SDM Vol. 3C 24.4.1). */
static void get_cr(struct x86_state *st, const struct kvm_sregs *k)
{
	st->cr0 = k->cr0;
	st->cr2 = k->cr2;
	st->cr3 = k->cr3;
	st->cr4 = k->cr4;
	st->efer = k->efer;
	st->cpl = k->cr0 & X86_CR0_PE ? k->ss.dpl : 0;
	st->pdptes_loaded = 0;
}

static void set_cr(struct kvm_sregs *k, const struct x86_state *st)
{
	k->cr0 = st->cr0;
	k->cr2 = st->cr2;
	k->cr3 = st->cr3;
	k->cr4 = st->cr4;
	k->efer = st->efer;
	if (st->cr0 & X86_CR0_PE)
		k->ss.dpl = st->cpl;
}

#define SREGS_GROUPS ((uint32_t)(X86_G_CR | X86_G_CS | X86_G_SEG | X86_G_DT))

static void fetch_sregs(struct kvm_vcpu *kv)
{
	if (kvm_x86_of(kv)->sregs_valid)
		return;
	KVM_CALL(kv, KVM_GET_SREGS, &kvm_x86_of(kv)->sregs);
	kvm_x86_of(kv)->sregs_valid = true;
}

/* All that are not known yet: the rest of them costs nothing more. */
static void get_sregs(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct x86_state *st = x86_state_of(vcpu);

	fetch_sregs(kv);
	groups |= SREGS_GROUPS & ~vcpu->valid;
	if (groups & X86_G_CR)
		get_cr(st, &kvm_x86_of(kv)->sregs);
	if (groups & X86_G_CS)
		get_seg(&st->seg[X86_CS], &kvm_x86_of(kv)->sregs.cs);
	for (unsigned i = 0; groups & X86_G_SEG && i < HC_ARRAY_SIZE(segments); i++)
		get_seg(&st->seg[segments[i].seg], segment_of(&kvm_x86_of(kv)->sregs, i));
	if (groups & X86_G_DT) {
		get_dt(&st->gdtr, &kvm_x86_of(kv)->sregs.gdt);
		get_dt(&st->idtr, &kvm_x86_of(kv)->sregs.idt);
	}
	vcpu->valid |= SREGS_GROUPS;
}

/* An interrupt that KVM holds is not the bitmap's business: naming it again would change nothing,
 * and naming none drops nothing. */
static void set_sregs(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	const struct x86_state *st = x86_state_of(vcpu);
	struct kvm_sregs *k = &kvm_x86_of(kv)->sregs;

	fetch_sregs(kv);
	if (groups & X86_G_CS)
		set_seg(&k->cs, &st->seg[X86_CS]);
	for (unsigned i = 0; groups & X86_G_SEG && i < HC_ARRAY_SIZE(segments); i++)
		set_seg(segment_of(k, i), &st->seg[segments[i].seg]);
	if (groups & X86_G_DT) {
		set_dt(&k->gdt, &st->gdtr);
		set_dt(&k->idt, &st->idtr);
	}
	/* After SS, whose DPL they share. */
	if (vcpu->valid & X86_G_CR)
		set_cr(k, st);
	kvm_x86_of(kv)->apic_base = x86_vcpu_of(vcpu)->apic.base;
	k->apic_base = kvm_x86_of(kv)->apic_base;
	k->cr8 = x86_apic_cr8(vcpu);
	memset(k->interrupt_bitmap, 0, sizeof(k->interrupt_bitmap));
	KVM_CALL(kv, KVM_SET_SREGS, k);
}

/* A change of CR4.PGE has to do it (SDM Vol. 3A 4.10.4.1). */
void kvm_x86_forget_translations(struct hc_vcpu *vcpu)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	fetch_sregs(kv);
	kvm_x86_of(kv)->sregs.cr4 ^= X86_CR4_PGE;
	memset(kvm_x86_of(kv)->sregs.interrupt_bitmap, 0,
	       sizeof(kvm_x86_of(kv)->sregs.interrupt_bitmap));
	KVM_CALL(kv, KVM_SET_SREGS, &kvm_x86_of(kv)->sregs);
	if (!kvm_x86_has_nested_paging())
		kvm_forget_tables(vcpu);
}

/* --- Debug registers --- */

static void get_dr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_debugregs dr = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };

	KVM_CALL(kvm_vcpu_of(vcpu), KVM_GET_DEBUGREGS, &dr);
	memcpy(st->dr, dr.db, sizeof(st->dr));
	st->dr6 = dr.dr6;
	st->dr7 = dr.dr7;
}

static void set_dr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_debugregs dr = { .dr6 = st->dr6, .dr7 = st->dr7 };

	memcpy(dr.db, st->dr, sizeof(st->dr));
	KVM_CALL(kvm_vcpu_of(vcpu), KVM_SET_DEBUGREGS, &dr);
}

/* --- MSRs --- */

#define MSR(number, member)                                                                        \
	{                                                                                          \
		number, offsetof(struct x86_state, member)                                         \
	}

static const struct {
	uint32_t index;
	size_t offset;
} msrs[] = {
	MSR(0xc0000081, msr_star),
	MSR(0xc0000082, msr_lstar),
	MSR(0xc0000083, msr_cstar),
	MSR(0xc0000084, msr_sfmask),
	MSR(0xc0000102, msr_kernel_gs_base),
	MSR(0x174, msr_sysenter_cs),
	MSR(0x175, msr_sysenter_esp),
	MSR(0x176, msr_sysenter_eip),
	MSR(0x277, msr_pat),
	MSR(0xc0000103, msr_tsc_aux),
	MSR(0x1d9, msr_debugctl), /* last: set_msr() */
};

#define MSR_COUNT HC_ARRAY_SIZE(msrs)
#define MSR_TSC   0x10

union msr_list {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + MSR_COUNT * sizeof(struct kvm_msr_entry)];
};

/* KVM stops at one that it does not have: it is left as it was, and the others follow. */
static void transfer_msrs(struct kvm_vcpu *kv, unsigned long request, struct x86_state *st,
                          unsigned count)
{
	unsigned done = 0;

	while (done < count) {
		union msr_list list = { .head = { .nmsrs = count - done } };
		struct kvm_msr_entry *e = list.head.entries;

		for (unsigned i = done; i < count; i++) {
			e[i - done].index = msrs[i].index;
			memcpy(&e[i - done].data, (char *)st + msrs[i].offset, sizeof(e->data));
		}
		int n = kvm_ioctl(kv->fd, request, &list);

		for (int i = 0; i < n; i++)
			memcpy((char *)st + msrs[done + (unsigned)i].offset, &e[i].data,
			       sizeof(e->data));
		if (n < 0) {
			kvm_refuse(kv, "KVM_GET_MSRS, KVM_SET_MSRS", n);
			return;
		}
		done += (unsigned)n;
		if (done < count)
			hc_log(HC_LOG_DEBUG, "kvm: MSR %#x is not transferred", msrs[done].index);
		done++;
	}
}

static int transfer_tsc_offset(struct kvm_vcpu *kv, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return kvm_ioctl(kv->fd, request, &attr);
}

/* Kernels before 5.16 take only the counter's value. */
static void set_tsc(struct kvm_vcpu *kv, const struct x86_state *st)
{
	union msr_list list = { .head = { .nmsrs = 1 } };

	list.head.entries[0].index = MSR_TSC;
	list.head.entries[0].data = x86_tsc_of(st, hc_platform_cycles());
	(void)kvm_ioctl(kv->fd, KVM_SET_MSRS, &list);
}

static void get_msr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	/* The TSC's offset is never KVM's own doing. */
	transfer_msrs(kv, KVM_GET_MSRS, st, MSR_COUNT);
	kvm_x86_of(kv)->debugctl = st->msr_debugctl;
}

/* AMD's KVM complains to the kernel's log about DEBUGCTL, even about zero.
 *
 * A KVM without hardware extensions may be unable to offset the counter. The guest then sees the
 * host's, and what is derived from it has to agree. */
static void set_msr(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	transfer_msrs(kv, KVM_SET_MSRS, st,
	              (unsigned)MSR_COUNT - (st->msr_debugctl == kvm_x86_of(kv)->debugctl));
	kvm_x86_of(kv)->debugctl = st->msr_debugctl;
	if (transfer_tsc_offset(kv, KVM_SET_DEVICE_ATTR, &st->tsc_offset) < 0)
		set_tsc(kv, st);
	else
		(void)transfer_tsc_offset(kv, KVM_GET_DEVICE_ATTR, &st->tsc_offset);
}

/* --- Events --- */

static void get_event(struct hc_vcpu *vcpu, struct x86_state *st)
{
	kvm_x86_get_events(kvm_vcpu_of(vcpu), &st->events);
}

static void set_event(struct hc_vcpu *vcpu, struct x86_state *st)
{
	kvm_x86_set_events(vcpu, st);
}

/* --- FPU --- */

#define XSAVE_MXCSR  24
#define XSAVE_SW     464 /* 48 bytes that software may use (SDM Vol. 1 13.4.1): KVM does */
#define XSAVE_HEADER 512

_Static_assert(X86_XSAVE_SIZE <= sizeof(struct kvm_xsave), "KVM's area holds ours");

static bool has_xsave(struct hc_vcpu *vcpu)
{
	return x86_vm_of(vcpu->vm)->xcr0_mask != 0;
}

static void get_fpu(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct kvm_xcrs xcrs = { 0 };
	struct kvm_xsave area;

	memset(&area, 0, sizeof(area));
	KVM_CALL(kv, KVM_GET_XSAVE, &area);
	memcpy(st->xsave, &area, sizeof(st->xsave));
	memset(st->xsave + XSAVE_SW, 0, XSAVE_HEADER - XSAVE_SW);
	st->xcr0 = 1;
	if (!has_xsave(vcpu))
		return;
	KVM_CALL(kv, KVM_GET_XCRS, &xcrs);
	for (unsigned i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (xcrs.xcrs[i].xcr == 0)
			st->xcr0 = xcrs.xcrs[i].value;
}

/* Components that KVM does not have, and reserved bits, make it refuse the area, which may come
 * from outside (SDM Vol. 1 13.8). */
static void set_xsave(struct kvm_vcpu *kv, const struct x86_state *st)
{
	struct kvm_xsave area;
	uint32_t mxcsr;
	uint64_t header[8] = { 0 };

	memset(&area, 0, sizeof(area));
	memcpy(&area, st->xsave, sizeof(st->xsave));
	memcpy(&mxcsr, (uint8_t *)&area + XSAVE_MXCSR, sizeof(mxcsr));
	mxcsr &= 0xffff;
	memcpy((uint8_t *)&area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	memset((uint8_t *)&area + XSAVE_SW, 0, XSAVE_HEADER - XSAVE_SW);
	memcpy(header, st->xsave + XSAVE_HEADER, sizeof(header[0]));
	header[0] &= kvm_x86_xcr0();
	memcpy((uint8_t *)&area + XSAVE_HEADER, header, sizeof(header));
	KVM_CALL(kv, KVM_SET_XSAVE, &area);
}

static void set_fpu(struct hc_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };

	set_xsave(kv, st);
	if (!has_xsave(vcpu))
		return;
	xcrs.xcrs[0].value = st->xcr0;
	KVM_CALL(kv, KVM_SET_XCRS, &xcrs);
}

/* --- Groups --- */

/* In the order in which KVM wants them: CR4 and XCR0 before what they allow. */
static const struct {
	uint32_t group;
	void (*get)(struct hc_vcpu *vcpu, struct x86_state *st);
	void (*set)(struct hc_vcpu *vcpu, struct x86_state *st);
} rows[] = {
	{ X86_G_FPU, get_fpu, set_fpu },       { X86_G_MSR, get_msr, set_msr },
	{ X86_G_DR, get_dr, set_dr },          { X86_G_CORE, get_core, set_core },
	{ X86_G_EVENT, get_event, set_event },
};

void kvm_x86_fetch(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (groups & SREGS_GROUPS)
		get_sregs(vcpu, groups & SREGS_GROUPS);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		if (groups & rows[i].group)
			rows[i].get(vcpu, x86_state_of(vcpu));
}

void kvm_x86_store(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct kvm_vcpu *kv = kvm_vcpu_of(vcpu);

	if (groups & SREGS_GROUPS || kvm_x86_of(kv)->apic_base != x86_vcpu_of(vcpu)->apic.base)
		set_sregs(vcpu, groups);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		if (groups & rows[i].group)
			rows[i].set(vcpu, x86_state_of(vcpu));
	kvm_x86_of(kv)->touched = true;
}
