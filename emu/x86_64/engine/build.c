/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes blocks: fetches, decodes, and has each instruction translated by the part that knows it. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/private.h"

#define MAX_INSNS 32
#define MAX_UOPS  640

/* The code that a block is made of: up to two pages. */
struct source {
	struct emu_cpu *c;
	const uint8_t *host[2]; /* of the first byte; of the second page */
	uint64_t second; /* gpa of the second page; EMU_NO_PAGE: not looked for, or not there */
	unsigned room;   /* bytes in the first page */
	unsigned limit;  /* bytes up to the segment's end, as far as that matters */
	bool tried;      /* the second page */
};

/* --- Emitting --- */

struct emu_uop *emu_emit(struct emu_builder *b, emu_fn *fn)
{
	struct emu_uop *u = b->next;

	/* One is kept for the block's end. */
	if (u + 1 >= b->end)
		return NULL;
	b->next++;
	*u = (struct emu_uop){ .fn = fn, .pc = (uint16_t)(b->pc - b->block->rip) };
	return u;
}

bool emu_emit_call(struct emu_builder *b, emu_call_fn *fn, const struct x86_insn *in,
                   enum emu_call_kind kind)
{
	struct emu_private *p = b->c->priv;
	struct emu_uop *u;
	struct emu_call *call;

	if ((uint8_t *)b->end + sizeof(*call) > p->high)
		return false;
	u = emu_emit(b, kind == EMU_CALL_END ? emu_uop_call_end : emu_uop_call);
	if (!u)
		return false;
	p->high -= sizeof(*call);
	call = (struct emu_call *)(void *)p->high;
	call->fn = fn;
	call->in = *in;
	u->ptr = call;
	if (kind == EMU_CALL_END)
		b->ended = true;
	return true;
}

_Static_assert(sizeof(struct emu_code_page) % _Alignof(struct emu_call) == 0,
               "records stay aligned");

/* Longer than 15 bytes, or beyond the limit of CS. */
static void call_too_long(struct emu_cpu *c, const struct x86_insn *in)
{
	emu_raise_code(c, NULL, X86_VEC_GP, 0);
}

/* --- Fetching --- */

/* The second page, if it can be fetched from. */
static bool open_second(struct source *s)
{
	struct emu_cpu *c = s->c;
	uint64_t va = emu_code_address(c, s->room);
	struct x86_fault fault;
	struct emu_page page;

	if (!s->tried && !emu_tlb_code(c, va) &&
	    (emu_tlb_fill_code(c, va, &page, &fault) || !page.host)) {
		s->tried = true;
		return false;
	}
	if (!s->tried) {
		s->second = c->priv->gpa[emu_tlb_index(va)];
		s->host[1] = (const uint8_t *)(uintptr_t)(va + emu_tlb_of(c, va)->addend);
		emu_watch_code(c, s->second);
	}
	s->tried = true;
	return s->second != EMU_NO_PAGE;
}

/* Bytes at `at` that are in one piece, in *bytes; up to X86_INSN_MAX of both pages in buf. */
static unsigned bytes_at(struct source *s, unsigned at, uint8_t *buf, const uint8_t **bytes,
                         bool both)
{
	unsigned n = (unsigned)hc_min(X86_INSN_MAX, s->limit - at), here = s->room - at;

	*bytes = s->host[0] + at;
	if (n <= here || !both)
		return (unsigned)hc_min(n, here);
	memcpy(buf, *bytes, here);
	memcpy(buf + here, s->host[1], n - here);
	*bytes = buf;
	return n;
}

/* x86_decode()'s values; -EFAULT: the instruction goes on in a page that cannot be fetched. */
static int decode_at(struct source *s, unsigned at, enum x86_mode mode, struct x86_insn *in)
{
	uint8_t buf[X86_INSN_MAX];
	const uint8_t *bytes;
	unsigned n = bytes_at(s, at, buf, &bytes, false);
	int rc = n ? x86_decode(in, bytes, n, mode) : -EAGAIN;

	if (rc != -EAGAIN)
		return rc;
	/* All that the limit allows was there: an access beyond the segment. */
	if (n < X86_INSN_MAX && at + n == s->limit)
		return -EPROTO;
	if (!open_second(s))
		return -EFAULT;
	n = bytes_at(s, at, buf, &bytes, true);
	rc = x86_decode(in, bytes, n, mode);
	return rc == -EAGAIN ? -EPROTO : rc;
}

static enum x86_mode decoder_mode(uint32_t mode)
{
	return mode & EMU_MODE_64 ? X86_MODE_64 : mode & EMU_MODE_32 ? X86_MODE_32 : X86_MODE_16;
}

/* --- Dispatch --- */

static bool is_vector(enum x86_op op)
{
	switch (op) {
	case X86_OP_X87:
	case X86_OP_SIMD:
	case X86_OP_EVEX:
	case X86_OP_FWAIT:
	case X86_OP_FXSAVE:
	case X86_OP_FXRSTOR:
	case X86_OP_XSAVE:
	case X86_OP_XRSTOR:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
	case X86_OP_XSAVES:
	case X86_OP_XRSTORS:
	case X86_OP_LDMXCSR:
	case X86_OP_STMXCSR: return true;
	default: return false;
	}
}

/* Instructions that are #UD where CPUID does not show them: a VM may be shown less than there is,
 * as one that also runs on a CPU without them. x87 and vector instructions are vector.c's. */
/* clang-format off */
static const struct {
	uint32_t leaf;
	uint8_t reg, bit; /* reg: 0 EAX to 3 EDX */
} features[X86_OP_COUNT] = {
	[X86_OP_CRC32]  = { 1, 2, 20 },
	[X86_OP_MOVBE]  = { 1, 2, 22 },
	[X86_OP_POPCNT] = { 1, 2, 23 },
	[X86_OP_RDRAND] = { 1, 2, 30 },
	[X86_OP_ANDN] = { 7, 1, 3 }, [X86_OP_BEXTR] = { 7, 1, 3 }, [X86_OP_BLSI] = { 7, 1, 3 },
	[X86_OP_BLSMSK] = { 7, 1, 3 }, [X86_OP_BLSR] = { 7, 1, 3 },
	[X86_OP_BZHI] = { 7, 1, 8 }, [X86_OP_MULX] = { 7, 1, 8 }, [X86_OP_PDEP] = { 7, 1, 8 },
	[X86_OP_PEXT] = { 7, 1, 8 }, [X86_OP_RORX] = { 7, 1, 8 }, [X86_OP_SARX] = { 7, 1, 8 },
	[X86_OP_SHLX] = { 7, 1, 8 }, [X86_OP_SHRX] = { 7, 1, 8 },
	[X86_OP_INVPCID] = { 7, 1, 10 },
	[X86_OP_RDSEED] = { 7, 1, 18 },
	[X86_OP_ADCX] = { 7, 1, 19 }, [X86_OP_ADOX] = { 7, 1, 19 },
	[X86_OP_CLAC] = { 7, 1, 20 }, [X86_OP_STAC] = { 7, 1, 20 },
	[X86_OP_CLWB] = { 7, 1, 24 },
	[X86_OP_RDPID] = { 7, 2, 22 },
	[X86_OP_MOVDIRI] = { 7, 2, 27 },
	[X86_OP_RDTSCP] = { 0x80000001, 3, 27 },
	[X86_OP_CLZERO] = { 0x80000008, 1, 0 },
};
/* clang-format on */

static bool is_shown(const struct emu_cpu *c, const struct x86_insn *in)
{
	return !features[in->op].leaf || c->host->shows(c->vcpu, features[in->op].leaf,
	                                                features[in->op].reg, features[in->op].bit);
}

static bool translate_one(struct emu_builder *b, const struct x86_insn *in)
{
	struct emu_call_row row = emu_system_call(in);

	if (!is_shown(b->c, in))
		return emu_emit_call(b, emu_call_undefined, in, EMU_CALL_END);
	if (row.fn)
		return emu_emit_call(b, row.fn, in, row.kind);
	if (is_vector((enum x86_op)in->op))
		return emu_translate_vector(b, in);
	return emu_translate_integer(b, in);
}

/* Bytes of the instruction that was translated, 0: the block ends before it. */
static unsigned add_insn(struct emu_builder *b, struct source *s, unsigned at)
{
	struct emu_uop *first = b->next;
	struct x86_insn in = { .length = 0 };
	int rc = decode_at(s, at, decoder_mode(b->c->mode), &in);
	bool ok;

	if (rc == -EFAULT)
		return 0;
	if (rc < 0) {
		ok = emu_emit_call(b, rc == -EPROTO ? call_too_long : emu_call_undefined, &in,
		                   EMU_CALL_END);
		return ok ? 1 : 0;
	}
	if (!translate_one(b, &in)) {
		b->next = first;
		b->ended = false;
		return 0;
	}
	return (unsigned)rc;
}

/* --- Blocks --- */

static void open_source(struct emu_cpu *c, struct source *s)
{
	uint64_t va = emu_code_address(c, 0), left;

	*s = (struct source){ .c = c, .second = EMU_NO_PAGE };
	s->host[0] = (const uint8_t *)(uintptr_t)(va + emu_tlb_of(c, va)->addend);
	s->room = (unsigned)(HC_PAGE_SIZE - (va & ~EMU_PAGE_MASK));
	s->limit = 2 * (unsigned)HC_PAGE_SIZE;
	left = c->priv->cs_limit - c->s->rip;
	if (!(c->mode & EMU_MODE_64) && left < s->limit)
		s->limit = (unsigned)left + 1;
}

static struct emu_block *begin(struct emu_cpu *c, struct emu_builder *b)
{
	struct emu_private *p = c->priv;
	struct emu_block *block;
	uint64_t va = emu_code_address(c, 0);

	emu_cache_reserve(c);
	block = (struct emu_block *)(void *)p->low;
	*block = (struct emu_block){
		.rip = c->s->rip,
		.cs_base = c->mode & EMU_MODE_64 ? 0 : c->s->seg[X86_CS].base,
		.gpa = p->gpa[emu_tlb_index(va)] | (va & ~EMU_PAGE_MASK),
		.mode = c->mode,
		.cs_limit = p->cs_limit,
	};
	block->next[0].tag = block->next[1].tag = UINT64_MAX;
	*b = (struct emu_builder){ .c = c, .block = block, .next = block->uops };
	b->end = block->uops + MAX_UOPS;
	b->pc = block->rip;
	return block;
}

/* The instruction at the beginning cannot be fetched as a whole: the fault is the second page's. */
static _Noreturn void raise_second(struct emu_cpu *c, const struct source *s)
{
	struct x86_fault fault;
	struct emu_page page;
	int rc = emu_tlb_fill_code(c, emu_code_address(c, s->room), &page, &fault);

	emu_flags_store(c);
	if (rc == -EFAULT)
		emu_raise_fault(c, NULL, &fault);
	c->exit->reason = HC_EXIT_STAGE2;
	c->exit->u.stage2 = (struct hc_exit_stage2){
		.gpa = rc ? gpa_of(fault.address) : page.gpa,
		.access = HC_ACCESS_EXEC,
		.in_walk = rc != 0,
	};
	emu_leave(c, NULL);
}

static void finish(struct emu_builder *b, const struct source *s, unsigned bytes, unsigned insns)
{
	struct emu_block *block = b->block;

	/* Also behind what ends the block: an instruction that can end in two ways skips to it. */
	*b->next = (struct emu_uop){ .fn = emu_uop_next, .pc = (uint16_t)bytes };
	b->next++;
	block->bytes = (uint16_t)bytes;
	block->insns = (uint16_t)insns;
	block->end = b->next;
	b->c->priv->low = (uint8_t *)b->next;
	if (emu_cache_insert(b->c, block, bytes > s->room ? s->second : EMU_NO_PAGE))
		b->c->priv->flush_wanted = true;
}

struct emu_block *emu_translate(struct emu_cpu *c)
{
	unsigned bytes = 0, insns = 0, max = c->mode & EMU_MODE_ONE ? 1 : MAX_INSNS;
	struct emu_builder b;
	struct emu_block *block = begin(c, &b);
	struct source s;

	open_source(c, &s);
	emu_watch_code(c, block->gpa);
	while (insns < max && !b.ended && bytes < s.room) {
		unsigned n = add_insn(&b, &s, bytes);

		if (!n)
			break;
		insns++;
		bytes += n;
		b.pc = block->rip + bytes;
	}
	if (!insns)
		raise_second(c, &s);
	finish(&b, &s, bytes, insns);
	return block;
}
