/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What run.c, tlb.c, access.c, block.c, build.c and shared.c keep for themselves.
 *
 * Tags. A generation stands for what the TLB holds of one address space (a PCID); giving it a new
 * one is the flush. A code tag names everything that a link between blocks depends on:
 *
 *    63             40 39              8  7    6     0
 *   +-----------------+-----------------+----+--------+
 *   | code generation |    CS base      |user|  mode  |
 *   +-----------------+-----------------+----+--------+
 *
 * Code generations are not used twice before all blocks were dropped, unlike those of the TLB,
 * which is cleared when the few that its tags can tell apart have been used up.
 */
#ifndef EMU_X86_64_ENGINE_PRIVATE_H
#define EMU_X86_64_ENGINE_PRIVATE_H

#include "core/lock.h"
#include "emu/x86_64/engine/engine.h"

/* --- Shared between the CPUs of a VM (shared.c) --- */

#define EMU_MAX_CPUS 32

/* Bit n: CPU n may hold a fast entry for writes to the page; CPU n has blocks of its code. Pages
 * whose numbers are equal in the low bits share one, which costs time and nothing else. */
struct emu_page_use {
	_Atomic uint32_t writers, code;
};

#define EMU_PAGE_USE_BITS 18

struct emu_vm {
	struct hc_lock handshake; /* one CPU at a time asks others for something */
	struct emu_cpu *cpus[EMU_MAX_CPUS];
	struct emu_page_use *use;
};

/* What other CPUs ask of one. */
enum emu_request {
	EMU_REQ_DROP = 1 << 0,  /* entries for writes to drop_gpa */
	EMU_REQ_FLUSH = 1 << 1, /* all of the TLB */
	EMU_REQ_CODE = 1 << 2,  /* blocks of what is in written[] */
	EMU_REQ_STOP = 1 << 3   /* wait until it is cleared */
};

struct emu_written {
	uint64_t gpa, size; /* within a page */
};

#define EMU_WRITTEN_MAX 16

/* --- One CPU --- */

struct emu_context {
	uint64_t code_generation;
	uint64_t used;       /* when it was current last */
	uint32_t generation; /* 0: the context is free */
	uint16_t pcid;
};

#define EMU_CONTEXTS        8
#define EMU_GENERATIONS     512
#define EMU_CODE_GENERATION 40 /* its first bit in a code tag */
#define EMU_TAG_BITS        11

/* A set of page numbers that may say yes too often. */
#define EMU_FILTER_BITS 12
struct emu_filter {
	uint64_t word[(1 << EMU_FILTER_BITS) / 64];
};

/* A guest page with blocks. */
struct emu_code_page {
	uint64_t gpa;
	uint64_t pieces; /* bit n: a block has bytes of [64 n, 64 n + 64) */
	struct emu_block *blocks;
	struct emu_code_page *next;
};

#define EMU_HASH_BITS      14
#define EMU_PAGE_HASH_BITS 11
#define EMU_NO_PAGE        UINT64_MAX

/* The record behind an emu_uop of emu_emit_call(). */
struct emu_call {
	emu_call_fn *fn;
	struct x86_insn in;
};

enum emu_unwound { EMU_UNWOUND_NOT, EMU_UNWOUND_FAULT, EMU_UNWOUND_EXIT };

struct emu_private {
	/* Others' side (shared.c). */
	_Atomic bool in_run; /* between emu_enter() and emu_quit() */
	_Atomic bool busy;   /* somebody works on the TLB while the CPU is not in run() */
	_Atomic bool stopped;
	_Atomic uint32_t requests; /* enum emu_request */
	uint64_t drop_gpa;
	struct hc_lock written_lock;
	unsigned written_count; /* EMU_WRITTEN_MAX + 1: too many, all blocks go */
	struct emu_written written[EMU_WRITTEN_MAX];
	uint32_t bit;     /* in masks of CPUs */
	uint64_t answers; /* requests that changed the TLB, so far */

	/* tlb.c */
	struct emu_context contexts[EMU_CONTEXTS], *context;
	uint64_t clock;
	uint32_t next_generation;
	uint64_t next_code_generation;
	uint64_t cr0, cr3, cr4, efer; /* for which the TLB holds translations */
	uint32_t cs_limit;
	struct emu_filter executed;        /* pages that code was entered on */
	struct emu_filter large, gigantic; /* 2 MiB and 1 GiB pieces with parts of large pages */
	uint64_t gpa[1 << EMU_TLB_BITS];   /* of the pages in c->tlb */

	/* block.c */
	uint8_t *cache, *low, *high, *cache_end; /* blocks below low, records above high */
	unsigned cache_order;
	bool flush_wanted;         /* all blocks are to be dropped, when nothing runs in them */
	uint64_t flushes;          /* of the whole cache */
	struct emu_link *unlinked; /* what led to the block that is looked for */
	uint64_t unlinked_flushes, unlinked_tag, unlinked_rip;
	struct emu_block *hash[1 << EMU_HASH_BITS];
	struct emu_code_page *pages[1 << EMU_PAGE_HASH_BITS];

	/* run.c */
	enum emu_unwound unwound;
	bool one;  /* EMU_MODE_ONE is wanted */
	bool done; /* *c->exit is filled in */
};

/* --- shared.c --- */

struct emu_page_use *emu_page_use(struct emu_cpu *c, uint64_t gpa);

/* The CPU's way into and out of run(). */
void emu_enter(struct emu_cpu *c);
void emu_quit(struct emu_cpu *c);

/* Does what others ask for. Anywhere in run() where no host pointer is held. */
void emu_answer(struct emu_cpu *c);

static inline bool emu_is_asked(const struct emu_cpu *c)
{
	return atomic_load_explicit(&c->priv->requests, memory_order_relaxed) != 0;
}

/* Blocks of the page are about to be made: when it returns, all writes to it take the slow path. */
void emu_watch_code(struct emu_cpu *c, uint64_t gpa);

/* After a write to [gpa, gpa + size), within a page, that did not go through a fast entry: blocks
 * made of it go; u as in emu_store_slow(). */
void emu_wrote(struct emu_cpu *c, const struct emu_uop *u, uint64_t gpa, unsigned size);

/* May a fast entry for writes to the page be used? If so, the CPU is noted as a writer. */
bool emu_may_write_fast(struct emu_cpu *c, uint64_t gpa);

/* All other CPUs of the VM stand still between the two. */
void emu_stop_others(struct emu_cpu *c);
void emu_let_others_go(struct emu_cpu *c);

/* --- tlb.c --- */

void emu_tlb_init(struct emu_cpu *c);

/* Drops entries for writes to pages that share gpa's emu_page_use. */
void emu_tlb_drop_writes(struct emu_cpu *c, uint64_t gpa);

/* Translates va's page for access, enters what may be entered; the fault unwinds (u as ever).
 * False: not RAM; *page says where, or a ROM. */
bool emu_tlb_fill(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned access,
                  struct emu_page *page);

/* The same for a fetch. 0, or an error of emu_host_ops.translate with *fault; nothing unwinds. */
int emu_tlb_fill_code(struct emu_cpu *c, uint64_t va, struct emu_page *page,
                      struct x86_fault *fault);

/* The entry for a fetch from va, or NULL. */
struct emu_tlb_entry *emu_tlb_code(struct emu_cpu *c, uint64_t va);

/* Code of the page of va is entered: INVLPG has to look at it. */
void emu_tlb_executed(struct emu_cpu *c, uint64_t va);

/* Links and remembered jumps hold no longer, in any context. */
void emu_code_renew(struct emu_cpu *c);

static inline unsigned emu_tlb_index(uint64_t va)
{
	return (unsigned)(va >> HC_PAGE_SHIFT) & ((1u << EMU_TLB_BITS) - 1);
}

/* Linear address of s->rip + more. */
static inline uint64_t emu_code_address(const struct emu_cpu *c, uint64_t more)
{
	const struct x86_state *s = c->s;

	if (c->mode & EMU_MODE_64)
		return s->rip + more;
	return (uint32_t)(s->seg[X86_CS].base + (uint32_t)(s->rip + more));
}

/* --- block.c --- */

int emu_cache_init(struct emu_cpu *c);
void emu_cache_free(struct emu_cpu *c);

/* The block at s->rip, if there is one at hand. */
struct emu_block *emu_find_block(struct emu_cpu *c);

/* The same; it is made if need be. Unwinds with the fault of its first instruction. */
struct emu_block *emu_get_block(struct emu_cpu *c);

/* The block that emu_find_next() did not find is b: links it. */
void emu_link_found(struct emu_cpu *c, struct emu_block *b);

/* Drops all blocks; nothing runs in them. */
void emu_cache_flush(struct emu_cpu *c);

/* Room for a block and its records: *low to *high. Flushes if there is none; c->block is void then.
 */
void emu_cache_reserve(struct emu_cpu *c);

/* A new block, which ends at p->low, becomes findable. second: the gpa of the second page that it
 * touches, or EMU_NO_PAGE. -ENOMEM: no room. */
int emu_cache_insert(struct emu_cpu *c, struct emu_block *b, uint64_t second);

/* Drops this CPU's blocks with bytes of [gpa, gpa + size), within a page. */
void emu_cache_written(struct emu_cpu *c, const struct emu_uop *u, uint64_t gpa, uint64_t size);

/* --- native/atomic_x86.c --- */

/* Atomically replaces the 16 bytes at host, which is aligned, by new if they are *old; else *old
 * becomes what they are. */
bool emu_exchange_16(void *host, void *old, const void *new);

/* --- Micro-operations of run.c's own (uop_core.c) --- */

emu_fn emu_uop_next, emu_uop_stale, emu_uop_call, emu_uop_call_end;

#endif
