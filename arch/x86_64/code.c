/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's code: where CS:RIP is, fetches, lengths, and instructions remembered. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/code_cache.h"
#include "arch/x86_64/internal.h"

unsigned x86_code_bits(struct hc_vcpu *vcpu)
{
	const struct x86_state *s = x86_state_of(vcpu);

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS);
	if (s->efer & X86_EFER_LMA && s->seg[X86_CS].attr & X86_ATTR_L)
		return 64;
	/* Real and virtual-8086 mode have the D bit clear. */
	return s->seg[X86_CS].attr & X86_ATTR_DB ? 32 : 16;
}

gva_t x86_code_address(struct hc_vcpu *vcpu)
{
	const struct x86_state *s = x86_state_of(vcpu);

	if (x86_code_bits(vcpu) == 64)
		return gva_of(s->rip);
	return gva_of((uint32_t)(s->seg[X86_CS].base + s->rip));
}

/* --- Fetches --- */

int x86_fetch(struct hc_vcpu *vcpu, gva_t gva, uint8_t *buf, unsigned len, struct x86_fault *fault)
{
	unsigned done = 0;

	while (done < len) {
		int rc;
		const uint8_t *code = x86_code_ptr(vcpu, gva_of(gva.v + done), &rc, fault);

		if (!code)
			return done ? (int)done : rc;
		unsigned here =
			(unsigned)hc_min(len - done, HC_PAGE_SIZE - (gva.v + done) % HC_PAGE_SIZE);

		memcpy(buf + done, code, here);
		done += here;
	}
	return (int)done;
}

/* --- The cache --- */

static struct x86_code_key key_of(const struct x86_state *s)
{
	return (struct x86_code_key){
		.rip = s->rip,
		.cs_base = s->seg[X86_CS].base,
		.cr0 = s->cr0,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.efer = s->efer,
		.cs_attr = s->seg[X86_CS].attr,
		.rights = s->cpl | (uint32_t)s->pdptes_loaded << 2,
	};
}

/* The entries that lead to the code at gva. False if they cannot be watched: 4-byte ones, five
 * levels, or what they lead to has changed already. */
static bool take_path(struct hc_vcpu *vcpu, struct x86_code *c, gva_t gva)
{
	const struct x86_walk_cache *w = x86_walk_cached(vcpu, gva.v, HC_ACCESS_EXEC, false);
	bool paging = (x86_state_of(vcpu)->cr0 & X86_CR0_PG) != 0;

	if (paging &&
	    (!w || w->entry[4] != &x86_walk_no_entry || w->host + gva.v % HC_PAGE_SIZE != c->host))
		return false;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(c->entry); i++) {
		c->entry[i] = paging ? w->entry[i] : &x86_walk_no_entry;
		c->value[i] = paging ? w->value[i] : 0;
	}
	return true;
}

static __attribute__((noinline)) const struct x86_code *learn(struct hc_vcpu *vcpu)
{
	const struct x86_state *s = x86_state_of(vcpu);
	struct x86_code *c = x86_code_slot(vcpu, s->rip);
	unsigned bits = x86_code_bits(vcpu);
	gva_t gva = x86_code_address(vcpu);
	struct x86_fault fault;
	int rc;

	c->key.cr3 = X86_CODE_NONE;
	if (HC_PAGE_SIZE - gva.v % HC_PAGE_SIZE < X86_INSN_MAX)
		return NULL;
	c->host = x86_code_ptr(vcpu, gva, &rc, &fault);
	if (!c->host)
		return NULL;
	memcpy(c->bytes, c->host, X86_INSN_MAX);
	if (x86_decode(&c->insn, c->bytes, X86_INSN_MAX, (enum x86_mode)bits) < 0)
		return NULL;
	c->is_move = x86_is_move(&c->insn);
	if (take_path(vcpu, c, gva))
		c->key = key_of(s);
	return c;
}

const struct x86_code *x86_code_here(struct hc_vcpu *vcpu)
{
	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS);
	const struct x86_code_key key = key_of(x86_state_of(vcpu));
	const struct x86_code *c = x86_code_find(vcpu, &key);

	return c ? c : learn(vcpu);
}

void x86_code_forget(struct hc_vcpu *vcpu)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(x86_vcpu_of(vcpu)->code); i++)
		x86_vcpu_of(vcpu)->code[i].key.cr3 = X86_CODE_NONE;
}

/* --- Lengths --- */

static __attribute__((noinline)) int decode_length(struct hc_vcpu *vcpu)
{
	struct x86_fault fault;
	uint8_t buf[X86_INSN_MAX] = { 0 };
	enum x86_mode mode = (enum x86_mode)x86_code_bits(vcpu);
	int n = x86_fetch(vcpu, x86_code_address(vcpu), buf, sizeof(buf), &fault);

	return n < 0 ? n : x86_decode_length(buf, (unsigned)n, mode);
}

int x86_insn_length(struct hc_vcpu *vcpu)
{
	const struct x86_code *c = x86_code_here(vcpu);

	return c ? c->insn.length : decode_length(vcpu);
}
