/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations that the walker made before (walk.c fills them in), and how one is found again: in a
 * header, since every instruction here is paid by each exit whose instruction has to be looked at.
 */
#ifndef ARCH_X86_64_WALK_CACHE_H
#define ARCH_X86_64_WALK_CACHE_H

#include "arch/x86_64/x86.h"

/* What of an access its outcome depends on, besides the tables, CR0, CR3, CR4 and EFER. */
static inline uint32_t x86_walk_rights(const struct x86_state *s, unsigned access, bool implicit)
{
	return access | (uint32_t)s->cpl << 3 | (uint32_t)implicit << 5 |
	       (uint32_t)s->pdptes_loaded << 6 | ((uint32_t)s->rflags & X86_FLAG_AC);
}

/* Changes with the VM's memory: slots are added, never taken away or moved, as long as it lives.
 * Never 0, and less than the page size. */
static inline uint64_t x86_walk_epoch(const struct hc_vm *vm)
{
	return vm->memory.count + 1u;
}

_Static_assert(HC_MAX_SLOTS + 1 < HC_PAGE_SIZE, "epochs share a word with a page's address");

static inline struct x86_walk_cache *x86_walk_slot(struct hc_vcpu *vcpu, uint64_t gva,
                                                   unsigned access)
{
	uint64_t i = gva >> HC_PAGE_SHIFT ^ (access & HC_ACCESS_EXEC);

	return &x86_vcpu_of(vcpu)->walk[i & (X86_WALK_SLOTS - 1)];
}

/* The same entries still hold the same values: the walk would end where it did before. All five are
 * compared, so that there is nothing to count: unused ones are this one. */
extern const _Atomic uint64_t x86_walk_no_entry;

static inline uint64_t x86_walk_entry_differs(const struct x86_walk_cache *c, unsigned i)
{
	return atomic_load_explicit(c->entry[i], memory_order_relaxed) ^ c->value[i];
}

static inline bool x86_walk_is_current(const struct x86_walk_cache *c)
{
	return !(x86_walk_entry_differs(c, 0) | x86_walk_entry_differs(c, 1) |
	         x86_walk_entry_differs(c, 2) | x86_walk_entry_differs(c, 3) |
	         x86_walk_entry_differs(c, 4));
}

/* One branch for the whole key. Group CR must be valid. */
static inline __attribute__((always_inline)) const struct x86_walk_cache *x86_walk_cached(
	struct hc_vcpu *vcpu, uint64_t gva, unsigned access, bool implicit)
{
	const struct x86_state *s = x86_state_of(vcpu);
	const struct x86_walk_cache *c = x86_walk_slot(vcpu, gva, access);
	uint64_t differs = (c->page ^ gva) >> HC_PAGE_SHIFT;

	differs |= (c->cr0 ^ s->cr0) | (c->cr3 ^ s->cr3) | (c->cr4 ^ s->cr4) | (c->efer ^ s->efer);
	differs |= (c->rights ^ x86_walk_rights(s, access, implicit)) |
	           (c->epoch ^ x86_walk_epoch(vcpu->vm));
	return !differs && x86_walk_is_current(c) ? c : NULL;
}

/* The same for code: where it is, up to the end of its page; NULL if that is not at hand. */
static inline __attribute__((always_inline)) const uint8_t *x86_walk_cached_code(
	struct hc_vcpu *vcpu, gva_t gva)
{
	const struct x86_walk_cache *c = x86_walk_cached(vcpu, gva.v, HC_ACCESS_EXEC, false);

	return c && c->host ? c->host + gva.v % HC_PAGE_SIZE : NULL;
}

#endif
