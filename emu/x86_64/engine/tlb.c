/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software TLB: what is entered, under which tag, and how it is forgotten.
 *
 * One array serves all address spaces; a tag is a generation and a kind of privilege. Each PCID in
 * use has a generation of its own, so that a move to CR3 that keeps translations only changes tags.
 * Global pages are entered like others: flushing more than was asked for is allowed (SDM Vol. 3A
 * 4.10.2.4), and so is flushing at once what INVLPG shall flush in all contexts.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/private.h"
#include "emu/x86_64/engine/system.h"

/* Bits of a tag below the generation. WATCHED is never entered: no access is fast under it. */
enum { SUPERVISOR, SUPERVISOR_USER_PAGES, USER, WATCHED };

static uint64_t tag_of(const struct emu_cpu *c, unsigned kind)
{
	return (uint64_t)c->priv->context->generation << 2 | kind;
}

_Static_assert(((EMU_GENERATIONS - 1) << 2 | WATCHED) < (1 << EMU_TAG_BITS), "tags fit");

/* --- Filters --- */

static unsigned filter_bit(uint64_t number)
{
	return (unsigned)(number * UINT64_C(0x9e3779b97f4a7c15) >> (64 - EMU_FILTER_BITS));
}

static void filter_add(struct emu_filter *f, uint64_t number)
{
	f->word[filter_bit(number) / 64] |= HC_BIT(filter_bit(number) % 64);
}

static bool filter_has(const struct emu_filter *f, uint64_t number)
{
	return f->word[filter_bit(number) / 64] >> filter_bit(number) % 64 & 1;
}

/* --- Generations --- */

static void clear_entries(struct emu_cpu *c)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(c->tlb); i++)
		c->tlb[i].read = c->tlb[i].write = c->tlb[i].exec = EMU_TLB_NONE;
}

/* Never 0: no tag of an empty entry or link is that of a context. When the numbers have been used
 * up, links hold no longer until all blocks were dropped. */
static uint64_t new_code_generation(struct emu_private *p)
{
	if (++p->next_code_generation >> (64 - EMU_CODE_GENERATION)) {
		p->next_code_generation = 0;
		p->flush_wanted = true;
	}
	return p->flush_wanted ? 0 : p->next_code_generation;
}

static void new_generation(struct emu_cpu *c, struct emu_context *x)
{
	struct emu_private *p = c->priv;

	if (p->next_generation == EMU_GENERATIONS) {
		clear_entries(c);
		for (unsigned i = 0; i < EMU_CONTEXTS; i++)
			p->contexts[i].generation = 0;
		p->next_generation = 1;
	}
	x->generation = p->next_generation++;
	x->code_generation = new_code_generation(p);
}

void emu_code_renew(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;

	for (unsigned i = 0; i < EMU_CONTEXTS; i++)
		if (p->contexts[i].generation)
			p->contexts[i].code_generation = new_code_generation(p);
	memset(&p->executed, 0, sizeof(p->executed));
	emu_update_tag(c);
}

void emu_tlb_flush_all(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;

	for (unsigned i = 0; i < EMU_CONTEXTS; i++)
		p->contexts[i].generation = 0;
	new_generation(c, p->context);
	memset(&p->executed, 0, sizeof(p->executed));
	memset(&p->large, 0, sizeof(p->large));
	memset(&p->gigantic, 0, sizeof(p->gigantic));
	emu_update_tag(c);
}

void emu_tlb_flush_context(struct emu_cpu *c)
{
	new_generation(c, c->priv->context);
	emu_update_tag(c);
}

void emu_tlb_flush_page(struct emu_cpu *c, uint64_t va)
{
	struct emu_private *p = c->priv;
	struct emu_tlb_entry *e = emu_tlb_of(c, va);
	uint64_t page = va >> HC_PAGE_SHIFT;

	if (filter_has(&p->large, va >> 21) || filter_has(&p->gigantic, va >> 30)) {
		emu_tlb_flush_all(c);
		return;
	}
	e->read = e->write = e->exec = EMU_TLB_NONE;
	if (filter_has(&p->executed, page))
		emu_code_renew(c);
}

/* --- Contexts --- */

/* The PCID's context; else a free one, or the one unused for longest, empty. */
static struct emu_context *context_of(struct emu_private *p, uint16_t pcid)
{
	struct emu_context *best = &p->contexts[0];

	for (unsigned i = 0; i < EMU_CONTEXTS; i++) {
		struct emu_context *x = &p->contexts[i];

		if (x->generation && x->pcid == pcid)
			return x;
		if (!x->generation || (best->generation && x->used < best->used))
			best = x;
	}
	best->generation = 0;
	best->pcid = pcid;
	return best;
}

static void switch_context(struct emu_cpu *c, bool keep)
{
	struct emu_private *p = c->priv;
	bool pcids = c->s->cr4 & X86_CR4_PCIDE;
	struct emu_context *x = context_of(p, pcids ? (uint16_t)(c->s->cr3 & 0xfff) : 0);

	x->used = ++p->clock;
	p->context = x;
	if (!keep || !x->generation)
		new_generation(c, x);
	p->cr3 = c->s->cr3;
	emu_update_tag(c);
}

void emu_tlb_load_cr3(struct emu_cpu *c, uint64_t old, uint64_t value, bool keep)
{
	switch_context(c, keep && c->s->cr4 & X86_CR4_PCIDE);
}

void emu_tlb_init(struct emu_cpu *c)
{
	clear_entries(c);
	c->priv->next_generation = 1;
	c->priv->context = &c->priv->contexts[0];
	new_generation(c, c->priv->context);
}

/* --- Modes and tags --- */

void emu_update_tag(struct emu_cpu *c)
{
	const struct x86_state *s = c->s;
	uint64_t base = c->mode & EMU_MODE_64 ? 0 : (uint32_t)s->seg[X86_CS].base;
	bool user = s->cpl == 3, ac = s->rflags & X86_FLAG_AC;
	unsigned kind = SUPERVISOR;

	if (user)
		kind = ac && s->cr0 & X86_CR0_AM ? WATCHED : USER;
	else if (ac || !(s->cr4 & X86_CR4_SMAP))
		kind = SUPERVISOR_USER_PAGES;
	c->tag = tag_of(c, kind);
	c->system_tag = tag_of(c, SUPERVISOR);
	c->code_tag = c->priv->context->code_generation << EMU_CODE_GENERATION | base << 8 |
	              (uint64_t)user << 7 | c->mode;
}

/* Bits that translations depend on. CR4.PGE: every change of it flushes (SDM Vol. 3A 4.10.4.1). */
#define CR0_BITS (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE)
#define CR4_BITS                                                                                   \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_SMEP |   \
	 X86_CR4_SMAP)
#define EFER_BITS (X86_EFER_LMA | X86_EFER_NXE)

static void update_address_space(struct emu_cpu *c)
{
	const struct x86_state *s = c->s;
	struct emu_private *p = c->priv;
	bool rules = (s->cr0 ^ p->cr0) & CR0_BITS || (s->cr4 ^ p->cr4) & CR4_BITS ||
	             (s->efer ^ p->efer) & EFER_BITS;

	p->cr0 = s->cr0;
	p->cr4 = s->cr4;
	p->efer = s->efer;
	/* Changed without a move to it: a new state altogether. */
	if (s->cr3 != p->cr3)
		switch_context(c, false);
	if (rules) {
		switch_context(c, false);
		emu_tlb_flush_all(c);
	}
}

static uint32_t mode_of(const struct x86_state *s)
{
	unsigned cs = s->seg[X86_CS].attr, ss = s->seg[X86_SS].attr;

	if (s->efer & X86_EFER_LMA && cs & X86_ATTR_L)
		return EMU_MODE_64;
	return (cs & X86_ATTR_DB ? EMU_MODE_32 : EMU_MODE_16) |
	       (ss & X86_ATTR_DB ? EMU_MODE_SS32 : 0);
}

void emu_update_mode(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;
	uint32_t limit;

	c->mode = mode_of(c->s) | (p->one ? EMU_MODE_ONE : 0);
	update_address_space(c);
	/* Translation checked the limit; a tag does not tell of it. */
	limit = c->mode & EMU_MODE_64 ? UINT32_MAX : c->s->seg[X86_CS].limit;
	if (limit != p->cs_limit) {
		p->cs_limit = limit;
		emu_code_renew(c);
	}
	emu_update_tag(c);
}

/* --- Entries --- */

void emu_tlb_drop_writes(struct emu_cpu *c, uint64_t gpa)
{
	const struct emu_page_use *use = emu_page_use(c, gpa);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(c->tlb); i++)
		if (c->tlb[i].write != EMU_TLB_NONE && emu_page_use(c, c->priv->gpa[i]) == use)
			c->tlb[i].write = EMU_TLB_NONE;
}

static void note_span(struct emu_private *p, uint64_t va, uint64_t span)
{
	if (span > HC_PAGE_SIZE)
		filter_add(span > 2 * HC_MIB ? &p->gigantic : &p->large,
		           va >> (span > 2 * HC_MIB ? 30 : 21));
}

/* What an entry holds besides stays good only if it is for the same page in the same place. */
static struct emu_tlb_entry *entry_for(struct emu_cpu *c, uint64_t va, const struct emu_page *page)
{
	struct emu_tlb_entry *e = emu_tlb_of(c, va);
	uint64_t linear = va & EMU_PAGE_MASK;
	uint64_t addend = (uint64_t)(uintptr_t)page->host - linear;
	bool same = e->addend == addend;

	if (!same || (e->read & EMU_PAGE_MASK) != linear)
		e->read = EMU_TLB_NONE;
	if (!same || (e->write & EMU_PAGE_MASK) != linear)
		e->write = EMU_TLB_NONE;
	if (!same || (e->exec & EMU_PAGE_MASK) != linear)
		e->exec = EMU_TLB_NONE;
	e->addend = addend;
	c->priv->gpa[emu_tlb_index(va)] = page->gpa.v;
	note_span(c->priv, va, page->span);
	return e;
}

/* Translates until no other CPU wanted anything meanwhile: the answer would be old. */
static int translate(struct emu_cpu *c, uint64_t va, unsigned access, bool implicit,
                     struct emu_page *page, struct x86_fault *fault)
{
	uint64_t answers;
	int rc;

	do {
		answers = c->priv->answers;
		rc = c->host->translate(c->vcpu, gva_of(va), access, implicit, page, fault);
	} while (c->priv->answers != answers);
	return rc;
}

static _Noreturn void leave_in_walk(struct emu_cpu *c, const struct emu_uop *u, unsigned access,
                                    uint64_t gpa)
{
	c->exit->reason = HC_EXIT_STAGE2;
	c->exit->u.stage2 = (struct hc_exit_stage2){ .gpa = gpa_of(gpa),
		                                     .access = (uint8_t)access,
		                                     .in_walk = 1 };
	emu_leave(c, u);
}

/* EMU_SYSTEM accesses have the rights of supervisor code under SMAP, whatever AC is. */
bool emu_tlb_fill(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned access,
                  struct emu_page *page)
{
	unsigned kind = access & (HC_ACCESS_READ | HC_ACCESS_WRITE);
	bool write = kind & HC_ACCESS_WRITE;
	struct x86_fault fault;
	int rc = translate(c, va, write ? HC_ACCESS_WRITE : HC_ACCESS_READ, access & EMU_SYSTEM,
	                   page, &fault);

	if (rc == -EFAULT)
		emu_raise_fault(c, u, &fault);
	if (rc)
		leave_in_walk(c, u, kind, fault.address);
	if (!page->host)
		return false;
	if (write && !page->host_writable && !c->host->make_writable(c->vcpu, page->gpa))
		return false;
	uint64_t tag = access & EMU_SYSTEM ? c->system_tag : c->tag;

	if ((tag & 3) == WATCHED || emu_watched_page(c, va))
		return true;
	struct emu_tlb_entry *e = entry_for(c, va, page);

	e->read = (va & EMU_PAGE_MASK) | tag;
	if (write && page->host_writable && emu_may_write_fast(c, page->gpa.v))
		e->write = e->read;
	return true;
}

/* Fetches know two kinds of privilege. */
static uint64_t code_entry_tag(const struct emu_cpu *c)
{
	return tag_of(c, c->s->cpl == 3 ? USER : SUPERVISOR);
}

struct emu_tlb_entry *emu_tlb_code(struct emu_cpu *c, uint64_t va)
{
	struct emu_tlb_entry *e = emu_tlb_of(c, va);

	return e->exec == ((va & EMU_PAGE_MASK) | code_entry_tag(c)) ? e : NULL;
}

int emu_tlb_fill_code(struct emu_cpu *c, uint64_t va, struct emu_page *page,
                      struct x86_fault *fault)
{
	int rc = translate(c, va, HC_ACCESS_EXEC, false, page, fault);

	if (!rc && page->host)
		entry_for(c, va, page)->exec = (va & EMU_PAGE_MASK) | code_entry_tag(c);
	return rc;
}

void emu_tlb_executed(struct emu_cpu *c, uint64_t va)
{
	filter_add(&c->priv->executed, va >> HC_PAGE_SHIFT);
}
