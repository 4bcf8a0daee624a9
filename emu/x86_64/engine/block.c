/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The blocks of one CPU: where they are kept, how they are found, and how they go.
 *
 *    cache                low                     high                 cache_end
 *      |  block | block |  |        free           |  record | record |
 *
 * Blocks grow up, records (of calls, of pages) down. Nothing is freed alone: a block that goes is
 * only made unreachable, its first micro-operation led elsewhere; when the room is used up all of
 * it starts anew, which happens in the loop of run.c, where nothing runs in a block.
 *
 * A block is found by its physical address and what else its translation depends on; links between
 * blocks and the jump cache are short cuts that hold under one code tag.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/vcpu.h"
#include "emu/x86_64/engine/private.h"

#define RESERVE (32 * HC_KIB) /* more than any block takes with its records */

/* --- Room --- */

/* 8 MiB for the first two CPUs, less for more, at least 1 MiB. */
static unsigned wanted_order(unsigned id)
{
	return id < 2 ? 11 : id < 4 ? 10 : id < 8 ? 9 : 8;
}

int emu_cache_init(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;
	unsigned order = wanted_order(c->vcpu->id);

	do
		p->cache = hc_platform_alloc_pages(order);
	while (!p->cache && order-- > 8);
	if (!p->cache)
		return -ENOMEM;
	p->cache_order = order;
	p->cache_end = p->cache + (HC_PAGE_SIZE << order);
	emu_cache_flush(c);
	return 0;
}

void emu_cache_free(struct emu_cpu *c)
{
	if (c->priv->cache)
		hc_platform_free_pages(c->priv->cache, c->priv->cache_order);
}

/* The CPU has no code of the page any more. */
static void forget_page(struct emu_cpu *c, const struct emu_code_page *page)
{
	atomic_fetch_and(&emu_page_use(c, page->gpa)->code, ~c->priv->bit);
}

static void clear_jumps(struct emu_cpu *c)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(c->jumps); i++)
		c->jumps[i].tag = UINT64_MAX;
}

void emu_cache_flush(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(p->pages); i++)
		for (const struct emu_code_page *page = p->pages[i]; page; page = page->next)
			forget_page(c, page);
	memset(p->pages, 0, sizeof(p->pages));
	memset(p->hash, 0, sizeof(p->hash));
	clear_jumps(c);
	p->low = p->cache;
	p->high = p->cache_end;
	p->flushes++;
	p->flush_wanted = false;
	c->block = NULL;
	emu_code_renew(c);
}

void emu_cache_reserve(struct emu_cpu *c)
{
	if (c->priv->high - c->priv->low < (ptrdiff_t)RESERVE)
		emu_cache_flush(c);
}

/* --- Pages --- */

static uint64_t page_of(uint64_t gpa)
{
	return gpa & EMU_PAGE_MASK;
}

static struct emu_code_page **page_bucket(struct emu_private *p, uint64_t gpa)
{
	return &p->pages[gpa >> HC_PAGE_SHIFT & ((1u << EMU_PAGE_HASH_BITS) - 1)];
}

static struct emu_code_page *find_page(struct emu_private *p, uint64_t gpa)
{
	struct emu_code_page *page = *page_bucket(p, gpa);

	while (page && page->gpa != page_of(gpa))
		page = page->next;
	return page;
}

static struct emu_code_page *make_page(struct emu_private *p, uint64_t gpa)
{
	struct emu_code_page *page = find_page(p, gpa), **bucket = page_bucket(p, gpa);

	if (page || p->high - p->low < (ptrdiff_t)sizeof(*page))
		return page;
	p->high -= sizeof(*page);
	page = (struct emu_code_page *)(void *)p->high;
	*page = (struct emu_code_page){ .gpa = page_of(gpa), .next = *bucket };
	*bucket = page;
	return page;
}

/* Which of the block's two page links belongs to the page. */
static unsigned side_of(const struct emu_block *b, uint64_t gpa)
{
	return page_of(b->gpa) != page_of(gpa);
}

/* The block's bytes within the page: [*from, *to), as offsets. */
static void bytes_in(const struct emu_block *b, uint64_t gpa, uint64_t *from, uint64_t *to)
{
	uint64_t start = b->gpa & ~EMU_PAGE_MASK;
	uint64_t first = hc_min(b->bytes, HC_PAGE_SIZE - start);

	*from = side_of(b, gpa) ? 0 : start;
	*to = side_of(b, gpa) ? b->bytes - first : start + first;
}

/* A mask of the 64-byte pieces that [from, to) touches. */
static uint64_t pieces_of(uint64_t from, uint64_t to)
{
	return (~UINT64_C(0) >> (63 - (to - 1) / 64 % 64)) & (~UINT64_C(0) << from / 64 % 64);
}

static void add_to_page(struct emu_code_page *page, struct emu_block *b)
{
	uint64_t from, to;

	bytes_in(b, page->gpa, &from, &to);
	page->pieces |= pieces_of(from, to);
	b->same_page[side_of(b, page->gpa)] = page->blocks;
	page->blocks = b;
}

static void remove_from_page(struct emu_private *p, struct emu_block *b, uint64_t gpa)
{
	struct emu_code_page *page = find_page(p, gpa);
	struct emu_block **at = &page->blocks;

	while (*at != b)
		at = &(*at)->same_page[side_of(*at, gpa)];
	*at = b->same_page[side_of(b, gpa)];
}

/* --- Blocks by what they are of --- */

static struct emu_block **hash_bucket(struct emu_private *p, uint64_t gpa)
{
	return &p->hash[gpa * UINT64_C(0x9e3779b97f4a7c15) >> (64 - EMU_HASH_BITS)];
}

static struct emu_jump *jump_of(struct emu_cpu *c, uint64_t rip)
{
	return &c->jumps[emu_jump_index(rip)];
}

static void drop(struct emu_cpu *c, struct emu_block *b)
{
	struct emu_block **at = hash_bucket(c->priv, b->gpa);

	while (*at != b)
		at = &(*at)->same_hash;
	*at = b->same_hash;
	remove_from_page(c->priv, b, b->gpa);
	if (b->second != EMU_NO_PAGE)
		remove_from_page(c->priv, b, b->second);
	if (jump_of(c, b->rip)->block == b)
		jump_of(c, b->rip)->tag = UINT64_MAX;
	b->uops[0].fn = emu_uop_stale;
	b->uops[0].pc = 0;
}

int emu_cache_insert(struct emu_cpu *c, struct emu_block *b, uint64_t second)
{
	struct emu_private *p = c->priv;
	struct emu_code_page *page = make_page(p, b->gpa), *page2 = NULL;
	struct emu_block **bucket = hash_bucket(p, b->gpa);

	b->second = second == page_of(b->gpa) ? EMU_NO_PAGE : second;
	if (b->second != EMU_NO_PAGE)
		page2 = make_page(p, b->second);
	if (!page || (b->second != EMU_NO_PAGE && !page2))
		return -ENOMEM;
	add_to_page(page, b);
	if (page2)
		add_to_page(page2, b);
	b->same_hash = *bucket;
	*bucket = b;
	return 0;
}

static struct emu_block *find_at(struct emu_cpu *c, uint64_t gpa)
{
	const struct x86_state *s = c->s;
	uint64_t base = c->mode & EMU_MODE_64 ? 0 : s->seg[X86_CS].base;
	struct emu_block *b = *hash_bucket(c->priv, gpa);

	while (b && (b->gpa != gpa || b->rip != s->rip || b->mode != c->mode ||
	             b->cs_base != base || b->cs_limit != c->priv->cs_limit))
		b = b->same_hash;
	return b;
}

/* --- Written code --- */

/* Instructions after u's, or the one at s->rip, of the block being executed, are not to be: they
 * are old. */
static void cut_current(struct emu_cpu *c, const struct emu_uop *u)
{
	struct emu_block *b = c->block;
	uint64_t pc = u ? u->pc : c->s->rip - b->rip;
	struct emu_uop *next = b->uops;

	while (next < b->end && next->pc <= pc)
		next++;
	if (next < b->end)
		next->fn = emu_uop_stale;
}

/* Drops those of the page's blocks that overlap [from, to); what remains tells which pieces. */
static void drop_overlapping(struct emu_cpu *c, const struct emu_uop *u, struct emu_code_page *page,
                             uint64_t from, uint64_t to)
{
	struct emu_block *next;
	uint64_t pieces = 0, first, last;

	for (struct emu_block *b = page->blocks; b; b = next) {
		next = b->same_page[side_of(b, page->gpa)];
		bytes_in(b, page->gpa, &first, &last);
		if (first >= to || from >= last) {
			pieces |= pieces_of(first, last);
			continue;
		}
		drop(c, b);
		if (b == c->block)
			cut_current(c, u);
	}
	page->pieces = pieces;
}

void emu_cache_written(struct emu_cpu *c, const struct emu_uop *u, uint64_t gpa, uint64_t size)
{
	struct emu_code_page *page = find_page(c->priv, gpa);
	uint64_t from = gpa & ~EMU_PAGE_MASK;

	if (!page || !(page->pieces & pieces_of(from, from + size)))
		return;
	drop_overlapping(c, u, page, from, from + size);
	if (!page->blocks)
		forget_page(c, page);
}

/* --- Finding --- */

/* The second page still is what it was when the block was made. */
static bool second_fits(struct emu_cpu *c, const struct emu_block *b, bool fill)
{
	uint64_t va = (emu_code_address(c, b->bytes - 1u)) & EMU_PAGE_MASK;
	struct x86_fault fault;
	struct emu_page page;

	if ((emu_code_address(c, 0) & EMU_PAGE_MASK) == va)
		return true;
	if (!emu_tlb_code(c, va) &&
	    (!fill || emu_tlb_fill_code(c, va, &page, &fault) || !emu_tlb_code(c, va)))
		return false;
	return c->priv->gpa[emu_tlb_index(va)] ==
	       (b->second == EMU_NO_PAGE ? page_of(b->gpa) : b->second);
}

static void remember(struct emu_cpu *c, struct emu_block *b)
{
	struct emu_jump *j = jump_of(c, b->rip);

	emu_tlb_executed(c, emu_code_address(c, 0));
	emu_tlb_executed(c, emu_code_address(c, b->bytes - 1u));
	if (!(c->code_tag >> EMU_CODE_GENERATION))
		return;
	*j = (struct emu_jump){ .rip = b->rip, .tag = c->code_tag, .block = b };
}

/* By the TLB, which has an entry for fetches from there, and the tables of this file. */
static struct emu_block *find_by_page(struct emu_cpu *c, bool fill)
{
	uint64_t va = emu_code_address(c, 0);
	struct emu_block *b = find_at(c, c->priv->gpa[emu_tlb_index(va)] | (va & ~EMU_PAGE_MASK));

	if (!b || !second_fits(c, b, fill))
		return NULL;
	remember(c, b);
	return b;
}

struct emu_block *emu_find_block(struct emu_cpu *c)
{
	const struct emu_jump *j = jump_of(c, c->s->rip);

	if (j->rip == c->s->rip && j->tag == c->code_tag)
		return j->block;
	return emu_tlb_code(c, emu_code_address(c, 0)) ? find_by_page(c, false) : NULL;
}

static _Noreturn void leave_for_code(struct emu_cpu *c, uint64_t gpa, bool in_walk)
{
	c->exit->reason = HC_EXIT_STAGE2;
	c->exit->u.stage2 = (struct hc_exit_stage2){ .gpa = gpa_of(gpa),
		                                     .access = HC_ACCESS_EXEC,
		                                     .in_walk = in_walk };
	emu_leave(c, NULL);
}

/* The first page has to be there; the registers are up to date. */
static void fetch_first(struct emu_cpu *c)
{
	uint64_t va = emu_code_address(c, 0);
	struct x86_fault fault;
	struct emu_page page;
	int rc;

	emu_flags_store(c);
	/* A branch may have come to an address that is not canonical. */
	if (c->mode & EMU_MODE_64)
		(void)emu_linear(c, NULL, X86_CS, va, 1, EMU_READ);
	rc = emu_tlb_fill_code(c, va, &page, &fault);
	if (rc == -EFAULT)
		emu_raise_fault(c, NULL, &fault);
	if (rc || !page.host)
		leave_for_code(c, rc ? fault.address : page.gpa.v, rc);
}

struct emu_block *emu_get_block(struct emu_cpu *c)
{
	struct emu_block *b = emu_find_block(c);

	if (b)
		return b;
	if (c->s->rip > c->priv->cs_limit && !(c->mode & EMU_MODE_64)) {
		emu_flags_store(c);
		emu_raise_code(c, NULL, X86_VEC_GP, 0);
	}
	if (!emu_tlb_code(c, emu_code_address(c, 0)))
		fetch_first(c);
	b = find_by_page(c, true);
	if (!b) {
		b = emu_translate(c);
		remember(c, b);
	}
	return b;
}

/* --- Links --- */

static bool may_link(const struct emu_cpu *c)
{
	return !(c->mode & EMU_MODE_ONE) && c->code_tag >> EMU_CODE_GENERATION;
}

void emu_link_found(struct emu_cpu *c, struct emu_block *b)
{
	struct emu_private *p = c->priv;
	struct emu_link *link = p->unlinked;

	p->unlinked = NULL;
	if (link && p->unlinked_flushes == p->flushes && p->unlinked_tag == c->code_tag &&
	    p->unlinked_rip == b->rip && may_link(c))
		*link = (struct emu_link){ .to = b, .tag = c->code_tag };
}

const struct emu_uop *emu_find_next(struct emu_cpu *c, struct emu_link *link)
{
	struct emu_private *p = c->priv;
	struct emu_block *b;

	if (c->mode & EMU_MODE_ONE)
		return NULL;
	b = emu_find_block(c);
	if (!b) {
		p->unlinked = link;
		p->unlinked_flushes = p->flushes;
		p->unlinked_tag = c->code_tag;
		p->unlinked_rip = c->s->rip;
		return NULL;
	}
	if (link && may_link(c))
		*link = (struct emu_link){ .to = b, .tag = c->code_tag };
	c->block = b;
	if (atomic_load_explicit(c->attention, memory_order_relaxed) || --c->budget < 0)
		return NULL;
	return b->uops;
}
