/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory by linear address, when the inline look-up of engine.h does not do: not in the TLB, across
 * a page border, a page with code, a device's, a fault.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/private.h"
#include "emu/x86_64/engine/system.h"

/* --- Linear addresses --- */

static _Noreturn void raise_segment(struct emu_cpu *c, const struct emu_uop *u, unsigned seg)
{
	emu_raise_code(c, u, seg == X86_SS ? X86_VEC_SS : X86_VEC_GP, 0);
}

/* Half the address space further on, the bits above the address width are all 0 (SDM Vol. 1
 * 3.3.7.1). */
static bool is_canonical(const struct emu_cpu *c, uint64_t va)
{
	unsigned width = c->s->cr4 & X86_CR4_LA57 ? 57 : 48;

	return !((va + (UINT64_C(1) << (width - 1))) >> width);
}

/* SDM Vol. 3A 5.5. Real and virtual-8086 mode have no types. */
static bool type_allows(const struct x86_state *s, const struct x86_segment *g, bool write)
{
	unsigned type = X86_ATTR_TYPE(g->attr);

	if (!(s->cr0 & X86_CR0_PE) || s->rflags & X86_FLAG_VM)
		return true;
	if (!(g->attr & X86_ATTR_P))
		return false;
	return type & 8 ? !write && type & 2 : !write || type & 2;
}

/* SDM Vol. 3A 5.3 */
static bool within_limit(const struct x86_segment *g, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;

	if ((X86_ATTR_TYPE(g->attr) & 0xc) == 4) /* expand-down data */
		return offset > g->limit &&
		       last <= (g->attr & X86_ATTR_DB ? UINT32_MAX : UINT16_MAX);
	return last <= g->limit;
}

uint64_t emu_linear(struct emu_cpu *c, const struct emu_uop *u, unsigned seg, uint64_t offset,
                    unsigned size, unsigned access)
{
	const struct x86_segment *g = &c->s->seg[seg];
	uint64_t va;

	if (c->mode & EMU_MODE_64) {
		va = offset + (seg == X86_FS || seg == X86_GS ? g->base : 0);
		if (!is_canonical(c, va) || !is_canonical(c, va + size - 1))
			raise_segment(c, u, seg);
		return va;
	}
	if (!type_allows(c->s, g, access & EMU_WRITE) || !within_limit(g, offset, size))
		raise_segment(c, u, seg);
	return (uint32_t)(g->base + offset);
}

/* --- Pages --- */

/* A piece of RAM in one page. */
struct piece {
	uint8_t *host;
	uint64_t gpa;
	unsigned size;
};

static _Noreturn void leave_for_device(struct emu_cpu *c, const struct emu_uop *u, uint64_t gpa,
                                       unsigned access, bool present)
{
	c->exit->reason = HC_EXIT_STAGE2;
	c->exit->u.stage2 = (struct hc_exit_stage2){
		.gpa = gpa_of(gpa),
		.access = access & EMU_WRITE ? HC_ACCESS_WRITE : HC_ACCESS_READ,
		.present = present,
	};
	emu_leave(c, u);
}

static void look_up(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned access,
                    struct piece *piece)
{
	const struct emu_tlb_entry *e = emu_tlb_of(c, va);
	uint64_t have = access & EMU_WRITE ? e->write : e->read;
	uint64_t offset = va & ~EMU_PAGE_MASK, tag = access & EMU_SYSTEM ? c->system_tag : c->tag;
	struct emu_page page;

	if (have == ((va & EMU_PAGE_MASK) | tag)) {
		piece->host = (uint8_t *)(uintptr_t)(va + e->addend);
		piece->gpa = c->priv->gpa[emu_tlb_index(va)] | offset;
		return;
	}
	if (!emu_tlb_fill(c, u, va, access, &page))
		leave_for_device(c, u, page.gpa.v | offset, access, page.host != NULL);
	piece->host = page.host + offset;
	piece->gpa = page.gpa.v | offset;
}

/* SDM Vol. 3A 6.15, #AC; tested for what moves as one datum. Of 16 bytes and more, what is not
 * aligned either has a #GP of its own or is allowed. */
static void check_alignment(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
                            unsigned access)
{
	const struct x86_state *s = c->s;
	unsigned wanted = size == 10 ? 8 : size;

	if (access & EMU_NO_AC || s->cpl != 3 || !(s->rflags & X86_FLAG_AC) ||
	    !(s->cr0 & X86_CR0_AM))
		return;
	if (wanted <= 8 && !(wanted & (wanted - 1)) && va & (wanted - 1))
		emu_raise_code(c, u, X86_VEC_AC, 0);
}

/* Finds both pieces before anything is done with either; the second may be empty. */
static void locate(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
                   unsigned access, struct piece piece[2])
{
	uint64_t last = va + size - 1, answers;
	unsigned first = (unsigned)hc_min(size, HC_PAGE_SIZE - (va & ~EMU_PAGE_MASK));
	unsigned seg = u ? u->seg : X86_DS;

	/* Tables and inner stacks of long mode lie anywhere, also while 32-bit code runs. */
	if (!(c->mode & EMU_MODE_64) && !(access & EMU_SYSTEM && c->s->efer & X86_EFER_LMA)) {
		va = (uint32_t)va;
		last = (uint32_t)last;
	} else if (!is_canonical(c, va) || !is_canonical(c, last)) {
		raise_segment(c, u, seg);
	}
	if (!(access & EMU_SYSTEM)) {
		check_alignment(c, u, va, size, access);
		(void)emu_watch_hit(c, va, size, access);
	}
	piece[0] = (struct piece){ .size = first };
	piece[1] = (struct piece){ .size = size - first };
	do {
		answers = c->priv->answers;
		look_up(c, u, va, access, &piece[0]);
		if (first < size)
			look_up(c, u, last & EMU_PAGE_MASK, access, &piece[1]);
	} while (c->priv->answers != answers);
}

static void copy_in(const struct piece piece[2], void *buf)
{
	memcpy(buf, piece[0].host, piece[0].size);
	if (piece[1].host)
		memcpy((uint8_t *)buf + piece[0].size, piece[1].host, piece[1].size);
}

static void wrote(struct emu_cpu *c, const struct emu_uop *u, const struct piece piece[2])
{
	emu_wrote(c, u, piece[0].gpa, piece[0].size);
	if (piece[1].size)
		emu_wrote(c, u, piece[1].gpa, piece[1].size);
}

static void copy_out(struct emu_cpu *c, const struct emu_uop *u, const struct piece piece[2],
                     const void *buf)
{
	memcpy(piece[0].host, buf, piece[0].size);
	if (piece[1].host)
		memcpy(piece[1].host, (const uint8_t *)buf + piece[0].size, piece[1].size);
	wrote(c, u, piece);
}

/* Other CPUs see an aligned datum change at once (SDM Vol. 3A 8.1.1): no bytewise copies. */
static bool store_at_once(uint8_t *host, uint64_t v, unsigned size)
{
	switch (size) {
	case 1: *(volatile uint8_t *)host = (uint8_t)v; return true;
	case 2: __builtin_memcpy(host, &(uint16_t){ (uint16_t)v }, 2); return true;
	case 4: __builtin_memcpy(host, &(uint32_t){ (uint32_t)v }, 4); return true;
	case 8: __builtin_memcpy(host, &v, 8); return true;
	default: return false;
	}
}

static uint64_t load_at_once(const uint8_t *host, unsigned size)
{
	uint16_t v2;
	uint32_t v4;
	uint64_t v8;

	switch (size) {
	case 1: return *host;
	case 2: __builtin_memcpy(&v2, host, 2); return v2;
	case 4: __builtin_memcpy(&v4, host, 4); return v4;
	default: __builtin_memcpy(&v8, host, 8); return v8;
	}
}

/* --- What engine.h declares --- */

uint64_t emu_load_slow(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size)
{
	struct piece piece[2];
	uint64_t v = 0;

	locate(c, u, va, size, EMU_READ, piece);
	if (!piece[1].size)
		return load_at_once(piece[0].host, size);
	copy_in(piece, &v);
	return v;
}

void emu_store_slow(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, uint64_t v,
                    unsigned size)
{
	struct piece piece[2];

	locate(c, u, va, size, EMU_WRITE, piece);
	if (!piece[1].size && store_at_once(piece[0].host, v, size))
		wrote(c, u, piece);
	else
		copy_out(c, u, piece, &v);
}

void emu_read(struct emu_cpu *c, uint64_t va, void *buf, unsigned size, unsigned access)
{
	struct piece piece[2];
	uint64_t v;

	locate(c, NULL, va, size, access | EMU_READ, piece);
	if (piece[1].size || size > 8 || size & (size - 1)) {
		copy_in(piece, buf);
		return;
	}
	v = load_at_once(piece[0].host, size);
	memcpy(buf, &v, size);
}

void emu_write(struct emu_cpu *c, uint64_t va, const void *buf, unsigned size, unsigned access)
{
	struct piece piece[2];
	uint64_t v = 0;

	locate(c, NULL, va, size, access | EMU_WRITE, piece);
	if (size <= 8)
		memcpy(&v, buf, size);
	if (!piece[1].size && store_at_once(piece[0].host, v, size))
		wrote(c, NULL, piece);
	else
		copy_out(c, NULL, piece, buf);
}

void emu_probe(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
               unsigned access)
{
	struct piece piece[2];

	locate(c, u, va, size, access, piece);
}

void *emu_host_ptr(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
                   unsigned access)
{
	const struct emu_tlb_entry *e = emu_tlb_of(c, va);
	uint64_t have = (va & EMU_PAGE_MASK) | c->tag, answers = c->priv->answers;
	struct emu_page page;

	if (((va + size - 1) ^ va) & EMU_PAGE_MASK || access & EMU_SYSTEM)
		return NULL;
	if ((access & EMU_WRITE ? e->write : e->read) != have) {
		if (c->mode & EMU_MODE_64 && !is_canonical(c, va))
			raise_segment(c, u, u ? u->seg : X86_DS);
		if (!emu_tlb_fill(c, u, va, access, &page) || c->priv->answers != answers)
			return NULL;
	}
	if ((access & EMU_WRITE ? e->write : e->read) != have)
		return NULL;
	return (void *)(uintptr_t)(va + e->addend);
}

/* --- LOCK --- */

#define EMU_DEFINE_EXCHANGE_(bits)                                                                 \
	static bool exchange_##bits(void *host, void *old, const void *new)                        \
	{                                                                                          \
		uint##bits##_t was, next;                                                          \
		bool done;                                                                         \
                                                                                                   \
		memcpy(&was, old, sizeof(was));                                                    \
		memcpy(&next, new, sizeof(next));                                                  \
		done = __atomic_compare_exchange_n((uint##bits##_t *)host, &was, next, false,      \
		                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);            \
		memcpy(old, &was, sizeof(was));                                                    \
		return done;                                                                       \
	}

EMU_DEFINE_EXCHANGE_(8)
EMU_DEFINE_EXCHANGE_(16)
EMU_DEFINE_EXCHANGE_(32)
EMU_DEFINE_EXCHANGE_(64)
#undef EMU_DEFINE_EXCHANGE_

/* Whether the host has an atomic exchange of size bytes there: its own LOCK takes any alignment. */
static bool exchange(const struct piece *piece, void *old, const void *new, unsigned size,
                     bool *done)
{
	switch (size) {
	case 1: *done = exchange_8(piece->host, old, new); return true;
	case 2: *done = exchange_16(piece->host, old, new); return true;
	case 4: *done = exchange_32(piece->host, old, new); return true;
	case 8: *done = exchange_64(piece->host, old, new); return true;
	case 16:
		if ((uintptr_t)piece->host % 16)
			return false;
		*done = emu_exchange_16(piece->host, old, new);
		return true;
	default: return false;
	}
}

/* All others stand still: no CPU of the VM sees the pieces change one after the other. False: what
 * was located is so no longer. */
static bool exchange_alone(struct emu_cpu *c, const struct piece piece[2], void *old,
                           const void *new, unsigned size, bool *equal)
{
	uint64_t answers = c->priv->answers;
	uint8_t now[16];
	bool still;

	emu_stop_others(c);
	still = c->priv->answers == answers;
	if (still) {
		copy_in(piece, now);
		*equal = !memcmp(now, old, size);
		memcpy(old, now, size);
	}
	if (still && *equal) {
		memcpy(piece[0].host, new, piece[0].size);
		if (piece[1].host)
			memcpy(piece[1].host, (const uint8_t *)new + piece[0].size, piece[1].size);
	}
	emu_let_others_go(c);
	return still;
}

bool emu_cmpxchg(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, void *old,
                 const void *new, unsigned size)
{
	struct piece piece[2];
	bool done;

	do
		locate(c, u, va, size, EMU_WRITE, piece);
	while ((piece[1].size || !exchange(&piece[0], old, new, size, &done)) &&
	       !exchange_alone(c, piece, old, new, size, &done));
	if (done)
		wrote(c, u, piece);
	return done;
}
