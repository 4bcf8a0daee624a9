/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers between the neutral state and Unicorn. Control registers, MSRs, debug registers, CS, TR
 * and LDTR are not changed by anything that Unicorn executes here, and stay in the neutral state.
 */
#include <hypercore/freestanding.h>

#include "platform/linux/unicorn/internal.h"

static const int gprs[X86_GPR_COUNT] = {
	UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
	UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
	UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
	UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

static const struct {
	enum x86_seg seg;
	int reg;
} data_segments[] = {
	{ X86_ES, UC_X86_REG_ES }, { X86_SS, UC_X86_REG_SS }, { X86_DS, UC_X86_REG_DS },
	{ X86_FS, UC_X86_REG_FS }, { X86_GS, UC_X86_REG_GS },
};

static uint64_t get(struct unicorn_vcpu *v, int reg)
{
	uint64_t value = 0; /* narrow registers write a part of it */

	(void)uc_reg_read(v->u.uc, reg, &value);
	return value;
}

static void set(struct unicorn_vcpu *v, int reg, uint64_t value)
{
	uc_err err = uc_reg_write(v->u.uc, reg, &value);

	if (err != UC_ERR_OK)
		v->u.err = err;
}

/* --- The core group --- */

static void store_core(struct unicorn_vcpu *v, const struct x86_state *s)
{
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		set(v, gprs[i], s->gpr[i]);
	set(v, UC_X86_REG_RFLAGS, s->rflags);
}

void unicorn_fetch_core(struct unicorn_vcpu *v)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		s->gpr[i] = get(v, gprs[i]);
	s->rip = get(v, UC_X86_REG_RIP);
	s->rflags = (uint32_t)get(v, UC_X86_REG_RFLAGS) | X86_FLAG_1;
}

/* --- System registers --- */

/* Unicorn's paging is off; it ignores TS and EM, which are refused at the entry. */
static void store_cr(struct unicorn_vcpu *v, const struct x86_state *s)
{
	set(v, UC_X86_REG_CR0, s->cr0 & ~X86_CR0_PG);
	set(v, UC_X86_REG_CR4, X86_CR4_PAE | (s->cr4 & (X86_CR4_OSFXSR | HC_BIT(10))));
}

static void store_table(struct unicorn_vcpu *v, int reg, const struct x86_dtable *t)
{
	const uc_x86_mmr value = { .base = t->base, .limit = t->limit };

	(void)uc_reg_write(v->u.uc, reg, &value);
}

static void fetch_table(struct unicorn_vcpu *v, int reg, struct x86_dtable *t)
{
	uc_x86_mmr value = { 0 };

	(void)uc_reg_read(v->u.uc, reg, &value);
	*t = (struct x86_dtable){ value.base, (uint16_t)value.limit };
}

/* --- Segments --- */

/* Unicorn loads the descriptor from the guest's memory, and jumps into the void if it does not have
 * that: the page is mapped before. */
static bool prefault(struct unicorn_vcpu *v, uint16_t selector)
{
	uint64_t at = x86_state_of(v->u.vcpu)->gdtr.base + (selector & 0xfff8u);
	struct unicorn_region region;
	struct x86_segment segment;
	struct x86_fault fault;
	struct hc_exit exit;

	if (!(selector & 0xfffc))
		return true;
	if (at % HC_PAGE_SIZE > HC_PAGE_SIZE - 8 ||
	    unicorn_descriptor(v, selector, &segment, &fault))
		return false;
	/* It sets the accessed bit if that is not. */
	unsigned access = segment.attr & 1 ? HC_ACCESS_READ : HC_ACCESS_WRITE;
	const struct unicorn_region *have = unicorn_region_at(v, at);

	if (have && (have->perms & UC_PROT_WRITE || access == HC_ACCESS_READ))
		return true;
	if (!unicorn_find_page(v, at, access, &region, &exit))
		return false;
	unicorn_map(v, &region);
	return v->u.err == UC_ERR_OK;
}

/* Selectors alone matter to 64-bit code, and the bases of FS and GS, which are set after them. */
static void store_segments(struct unicorn_vcpu *v, const struct x86_state *s)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(data_segments); i++) {
		uint16_t selector = s->seg[data_segments[i].seg].selector;

		if ((uint16_t)get(v, data_segments[i].reg) == selector)
			continue;
		if (prefault(v, selector))
			set(v, data_segments[i].reg, selector);
		else
			v->u.err = UC_ERR_EXCEPTION;
	}
	set(v, UC_X86_REG_FS_BASE, s->seg[X86_FS].base);
	set(v, UC_X86_REG_GS_BASE, s->seg[X86_GS].base);
	v->loaded = 0;
}

/* The hidden part is that of the descriptor, which the guest loaded since it was last asked for. */
static void fetch_segments(struct unicorn_vcpu *v, struct x86_state *s)
{
	struct x86_fault fault;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(data_segments); i++) {
		struct x86_segment *g = &s->seg[data_segments[i].seg];
		uint16_t selector = (uint16_t)get(v, data_segments[i].reg);

		if (!(v->loaded >> data_segments[i].seg & 1) && g->selector == selector)
			continue;
		if (!(selector & ~3u) || unicorn_descriptor(v, selector, g, &fault))
			*g = (struct x86_segment){ .selector = selector };
	}
	s->seg[X86_FS].base = get(v, UC_X86_REG_FS_BASE);
	s->seg[X86_GS].base = get(v, UC_X86_REG_GS_BASE);
	v->loaded = 0;
}

/* --- FPU: the legacy area of XSAVE (SDM Vol. 1 10.5.1) --- */

enum { FCW = 0, FSW = 2, FTW = 4, MXCSR = 24, ST0 = 32, XMM0 = 160 };

static unsigned top_of(uint16_t fsw)
{
	return fsw >> 11 & 7;
}

/* The tag word has two bits a register, 3 for empty; the area's has one, clear for empty. */
static uint16_t full_tags(uint8_t abridged)
{
	uint16_t full = 0;

	for (unsigned i = 0; i < 8; i++)
		if (!(abridged >> i & 1))
			full |= (uint16_t)(3u << 2 * i);
	return full;
}

static uint8_t abridged_tags(uint16_t full)
{
	unsigned abridged = 0;

	for (unsigned i = 0; i < 8; i++)
		if ((full >> 2 * i & 3) != 3)
			abridged |= 1u << i;
	return (uint8_t)abridged;
}

static uint16_t word(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void store_fpu(struct unicorn_vcpu *v, const struct x86_state *s)
{
	const uint8_t *area = s->xsave;
	unsigned top = top_of(word(area + FSW));
	uint32_t mxcsr;

	memcpy(&mxcsr, area + MXCSR, sizeof(mxcsr));
	set(v, UC_X86_REG_FPCW, word(area + FCW));
	set(v, UC_X86_REG_FPSW, word(area + FSW));
	set(v, UC_X86_REG_MXCSR, mxcsr);
	for (unsigned i = 0; i < 8; i++)
		(void)uc_reg_write(v->u.uc, UC_X86_REG_FP0 + (int)((top + i) & 7),
		                   area + ST0 + 16 * i);
	for (unsigned i = 0; i < 16; i++)
		(void)uc_reg_write(v->u.uc, UC_X86_REG_XMM0 + (int)i, area + XMM0 + 16 * i);
	set(v, UC_X86_REG_FPTAG, full_tags(area[FTW]));
}

static void fetch_fpu(struct unicorn_vcpu *v, struct x86_state *s)
{
	uint16_t fcw = (uint16_t)get(v, UC_X86_REG_FPCW), fsw = (uint16_t)get(v, UC_X86_REG_FPSW);
	uint32_t mxcsr = (uint32_t)get(v, UC_X86_REG_MXCSR);
	uint8_t *area = s->xsave;

	memcpy(area + FCW, &fcw, sizeof(fcw));
	memcpy(area + FSW, &fsw, sizeof(fsw));
	memcpy(area + MXCSR, &mxcsr, sizeof(mxcsr));
	area[FTW] = abridged_tags((uint16_t)get(v, UC_X86_REG_FPTAG));
	for (unsigned i = 0; i < 8; i++)
		(void)uc_reg_read(v->u.uc, UC_X86_REG_FP0 + (int)((top_of(fsw) + i) & 7),
		                  area + ST0 + 16 * i);
	for (unsigned i = 0; i < 16; i++)
		(void)uc_reg_read(v->u.uc, UC_X86_REG_XMM0 + (int)i, area + XMM0 + 16 * i);
}

/* --- All --- */

/* After a change of the tables' root, or of what entries mean, translations are void. */
void unicorn_store(struct unicorn_vcpu *v)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);
	uint32_t dirty = v->u.vcpu->dirty | v->lost;

	v->u.err = UC_ERR_OK;
	if (v->u.vcpu->dirty & X86_G_CR || v->slots != v->u.vcpu->vm->memory.count)
		unicorn_unmap_all(v);
	if (atomic_exchange(&v->u.code_was_written, false))
		unicorn_forget_code(v);
	if (dirty & X86_G_CR)
		store_cr(v, s);
	if (dirty & X86_G_DT) {
		store_table(v, UC_X86_REG_GDTR, &s->gdtr);
		store_table(v, UC_X86_REG_IDTR, &s->idtr);
	}
	if (dirty & X86_G_CS)
		set(v, UC_X86_REG_CS, s->seg[X86_CS].selector);
	if (dirty & X86_G_SEG)
		store_segments(v, s);
	if (dirty & X86_G_FPU)
		store_fpu(v, s);
	if (dirty & X86_G_CORE)
		store_core(v, s);
	unicorn_store_events(v);
	v->u.vcpu->dirty = v->lost = 0;
}

/* Whoever delivers an exception tells QEMU's CPU, inside of Unicorn, that it is done with; as
 * nobody does here, the next one would count as raised by its delivery, and become a double fault.
 * A CPU that is as new has forgotten it. */
void unicorn_forget_exception(struct unicorn_vcpu *v)
{
	static const uint32_t fetched = X86_G_SEG | X86_G_DT | X86_G_FPU;

	unicorn_fetch(v, fetched & ~v->u.vcpu->valid);
	v->u.vcpu->valid |= fetched;
	v->u.err = uc_context_restore(v->u.uc, v->u.pristine);
	v->lost = X86_G_ALL & ~(uint32_t)X86_G_EVENT;
}

/* --- Events: they are kept here --- */

void unicorn_store_events(struct unicorn_vcpu *v)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);

	if (!(v->u.vcpu->dirty & X86_G_EVENT))
		return;
	v->due = s->events.reinject;
	v->has_shadow = s->events.interrupt_shadow;
	v->shadow_rip = s->rip;
	v->nmi_is_masked = s->events.nmi_masked;
	v->u.vcpu->dirty &= ~(uint32_t)X86_G_EVENT;
}

void unicorn_fetch_events(struct unicorn_vcpu *v)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	s->events.reinject = v->due;
	s->events.interrupt_shadow = v->has_shadow && v->shadow_rip == s->rip;
	s->events.nmi_masked = v->nmi_is_masked;
}

void unicorn_fetch(struct unicorn_vcpu *v, uint32_t groups)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	/* Descriptors are looked up by GDTR. */
	if (groups & (X86_G_DT | X86_G_SEG) && !(v->u.vcpu->valid & X86_G_DT)) {
		fetch_table(v, UC_X86_REG_GDTR, &s->gdtr);
		fetch_table(v, UC_X86_REG_IDTR, &s->idtr);
	}
	if (groups & X86_G_SEG)
		fetch_segments(v, s);
	if (groups & X86_G_FPU)
		fetch_fpu(v, s);
}
