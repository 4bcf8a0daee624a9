/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that exits looked at before, found again by where they are (code.c fills them in).
 *
 * Nothing has to be invalidated: a remembered instruction counts only while the registers that
 * select mode, address space and rights, the entries of the page tables on the way, and the bytes
 * themselves are what they were; memory that tables or code lie in stays as long as the VM lives
 * (x86_walk_epoch). In a header, since every instruction here is paid by each exit of
 * CPUs that do not save the next RIP, and by each access to a device.
 */
#ifndef ARCH_X86_64_CODE_CACHE_H
#define ARCH_X86_64_CODE_CACHE_H

#include "arch/x86_64/walk_cache.h"

static inline struct x86_code *x86_code_slot(struct hc_vcpu *vcpu, uint64_t rip)
{
	/* Multiplicative hashing: the high bits depend on all of the low ones. */
	uint32_t hash = (uint32_t)rip * UINT32_C(0x9e3779b1);

	return &x86_vcpu_of(vcpu)->code[hash >> (32 - X86_CODE_SLOT_BITS)];
}

static inline uint64_t x86_code_key_differs(const struct x86_code_key *a,
                                            const struct x86_code_key *b)
{
	return (a->rip ^ b->rip) | (a->cs_base ^ b->cs_base) | (a->cr0 ^ b->cr0) |
	       (a->cr3 ^ b->cr3) | (a->cr4 ^ b->cr4) | (a->efer ^ b->efer) |
	       (a->cs_attr ^ b->cs_attr) | (a->rights ^ b->rights);
}

static inline uint64_t x86_code_entry_differs(const struct x86_code *c, unsigned i)
{
	return atomic_load_explicit(c->entry[i], memory_order_relaxed) ^ c->value[i];
}

/* X86_INSN_MAX bytes, as two words that overlap. */
static inline uint64_t x86_code_bytes_differ(const uint8_t *a, const uint8_t *b)
{
	uint64_t a0, a1, b0, b1;

	__builtin_memcpy(&a0, a, 8);
	__builtin_memcpy(&b0, b, 8);
	__builtin_memcpy(&a1, a + X86_INSN_MAX - 8, 8);
	__builtin_memcpy(&b1, b + X86_INSN_MAX - 8, 8);
	return (a0 ^ b0) | (a1 ^ b1);
}

/* The instruction at the key's CS:RIP; NULL if it is not remembered. No group of state has to be
 * valid: backends give what the hardware says, EFER without bits that are not the guest's. */
static inline __attribute__((always_inline)) const struct x86_code *x86_code_find(
	struct hc_vcpu *vcpu, const struct x86_code_key *key)
{
	const struct x86_code *c = x86_code_slot(vcpu, key->rip);

	if (x86_code_key_differs(&c->key, key))
		return NULL;
	if (x86_code_entry_differs(c, 0) | x86_code_entry_differs(c, 1) |
	    x86_code_entry_differs(c, 2) | x86_code_entry_differs(c, 3))
		return NULL;
	return x86_code_bytes_differ(c->bytes, c->host) ? NULL : c;
}

#endif
