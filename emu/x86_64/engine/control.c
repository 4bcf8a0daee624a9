/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers, XCR0 and TLB instructions (SDM Vol. 3A 2.5, 2.6, 4.10.4). Moves to CR0, CR3,
 * CR4 and CR8 are exits: their checks belong to all backends. What they ask of the TLB is done at
 * the next entry.
 */
#include "emu/x86_64/address.h"
#include "emu/x86_64/engine/system.h"

/* --- MOV --- */

/* CR0, CR2, CR3, CR4, CR8 */
static void check_cr_number(struct emu_cpu *c, unsigned n)
{
	if (n > 8 || !(0x11du >> n & 1))
		emu_ud(c);
}

static uint64_t read_cr(struct emu_cpu *c, unsigned n)
{
	const struct x86_state *s = c->s;

	switch (n) {
	case 0: return s->cr0;
	case 2: return s->cr2;
	case 3: return s->cr3;
	case 4: return s->cr4;
	default: return c->host->read_cr8 ? c->host->read_cr8(c->vcpu) : 0;
	}
}

void emu_call_mov_from_cr(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t v;

	check_cr_number(c, in->reg);
	emu_need_cpl0(c);
	v = read_cr(c, in->reg);
	c->s->gpr[in->rm] = emu_is_64(c) ? v : (uint32_t)v;
}

static _Noreturn void leave_cr_write(struct emu_cpu *c, const struct x86_insn *in, unsigned n,
                                     uint64_t value)
{
	c->cr_written = 1u << n;
	c->cr_old = n == 8 ? 0 : read_cr(c, n);
	c->cr_value = value;
	c->exit->u.cr.number = (uint8_t)n;
	c->exit->u.cr.value = value;
	emu_leave_insn(c, in, HC_EXIT_CR_WRITE);
}

void emu_call_mov_to_cr(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t v = c->s->gpr[in->rm];

	check_cr_number(c, in->reg);
	emu_need_cpl0(c);
	if (!emu_is_64(c))
		v = (uint32_t)v;
	if (in->reg != 2)
		leave_cr_write(c, in, in->reg, v);
	c->s->cr2 = v;
	emu_advance(c, in);
}

/* Bits that translations in the TLB depend on (4.10.4.1). */
#define CR0_PAGING (X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define CR4_PAGING                                                                                 \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_SMEP |   \
	 X86_CR4_SMAP | X86_CR4_PKE)

void emu_control_resync(struct emu_cpu *c)
{
	const struct x86_state *s = c->s;
	uint32_t written = c->cr_written;
	bool keep = s->cr4 & X86_CR4_PCIDE && c->cr_value >> 63;

	c->cr_written = 0;
	if (written & 1u << 3)
		emu_tlb_load_cr3(c, c->cr_old, s->cr3, keep);
	if ((written & 1u << 0 && (c->cr_old ^ s->cr0) & CR0_PAGING) ||
	    (written & 1u << 4 && (c->cr_old ^ s->cr4) & CR4_PAGING))
		emu_tlb_flush_all(c);
	emu_update_mode(c);
}

/* --- SMSW, LMSW, CLTS --- */

void emu_call_smsw(struct emu_cpu *c, const struct x86_insn *in)
{
	if (c->s->cpl && c->s->cr4 & X86_CR4_UMIP)
		emu_gp(c);
	emu_write_operand(c, in, c->s->cr0, in->is_mem ? 2 : in->opsize);
}

/* PE can be set, but not cleared. */
void emu_call_lmsw(struct emu_cpu *c, const struct x86_insn *in)
{
	const uint64_t rest = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	uint64_t v;

	emu_need_cpl0(c);
	v = emu_read_operand(c, in, 2);
	leave_cr_write(c, in, 0, (c->s->cr0 & ~rest) | (v & (rest | X86_CR0_PE)));
}

void emu_call_clts(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_need_cpl0(c);
	c->s->cr0 &= ~X86_CR0_TS;
	emu_update_mode(c);
	emu_advance(c, in);
}

/* --- XCR0 --- */

static void need_osxsave(struct emu_cpu *c)
{
	if (!(c->s->cr4 & X86_CR4_OSXSAVE))
		emu_ud(c);
}

/* XCR1 would be which components are in use: all that are enabled (Vol. 1 13.2 allows it). */
void emu_call_xgetbv(struct emu_cpu *c, const struct x86_insn *in)
{
	struct x86_state *s = c->s;
	uint64_t value;

	need_osxsave(c);
	if ((uint32_t)s->gpr[X86_RCX] > 1)
		emu_gp(c);
	value = (uint32_t)s->gpr[X86_RCX] ? s->xcr0 & emu_xinuse(s) : s->xcr0;
	s->gpr[X86_RAX] = (uint32_t)value;
	s->gpr[X86_RDX] = value >> 32;
}

void emu_call_xsetbv(struct emu_cpu *c, const struct x86_insn *in)
{
	need_osxsave(c);
	emu_need_cpl0(c);
	emu_leave_insn(c, in, HC_EXIT_XSETBV);
}

/* --- INVLPG, INVPCID --- */

/* An address that is not canonical has no translation; the segment's limit does not matter. */
void emu_call_invlpg(struct emu_cpu *c, const struct x86_insn *in)
{
	const struct x86_state *s = c->s;
	uint64_t va = x86_effective_address(c->s, in, 0);

	emu_need_cpl0(c);
	if (!emu_is_64(c))
		va = (uint32_t)(va + s->seg[in->seg].base);
	else if (in->seg >= X86_FS)
		va += s->seg[in->seg].base;
	if (emu_is_canonical(s, va))
		emu_tlb_flush_page(c, va);
	emu_advance(c, in);
}

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_ALL_NOT_GLOBAL };

struct invpcid_descriptor {
	uint64_t pcid, address;
};

static void check_invpcid(struct emu_cpu *c, uint64_t type, const struct invpcid_descriptor *d)
{
	const struct x86_state *s = c->s;
	bool bad = type > INVPCID_ALL_NOT_GLOBAL || d->pcid >> 12;

	if (type <= INVPCID_CONTEXT && !(s->cr4 & X86_CR4_PCIDE) && d->pcid)
		bad = true;
	if (type == INVPCID_ADDRESS && !emu_is_canonical(s, d->address))
		bad = true;
	if (bad)
		emu_gp(c);
}

void emu_call_invpcid(struct emu_cpu *c, const struct x86_insn *in)
{
	const struct x86_state *s = c->s;
	struct invpcid_descriptor d;
	uint64_t type, pcid = s->cr4 & X86_CR4_PCIDE ? s->cr3 & 0xfff : 0;

	/* In real mode there are no such contexts (Vol. 2A, INVPCID). */
	if (emu_is_vm86(s))
		emu_gp(c);
	emu_need_cpl0(c);
	type = emu_is_64(c) ? s->gpr[in->reg] : (uint32_t)s->gpr[in->reg];
	emu_read(c, emu_insn_linear(c, in, 16, EMU_READ), &d, 16, EMU_READ);
	check_invpcid(c, type, &d);
	if (type == INVPCID_ADDRESS)
		emu_tlb_flush_page(c, d.address);
	else if (type == INVPCID_CONTEXT && d.pcid == pcid)
		emu_tlb_flush_context(c);
	else
		emu_tlb_flush_all(c);
	emu_advance(c, in);
}
