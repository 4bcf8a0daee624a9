/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cases from the decoder's own tables: whatever bytes the tables take for an instruction become a
 * template; a case is a template with random prefixes, operands, registers and memory. Each case
 * has its own random numbers, from the seed and its index, so that it can be had again alone.
 */
#include <hypercore/errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "emu/x86_64/alu.h"
#include "tests/oracle/random.h"
#include "tests/test_decode_oracle.h"

/* The fixed part of an encoding. */
struct template
{
	uint8_t vex; /* bool */
	uint8_t map, opcode;
	uint8_t prefix; /* 0: none, 1: 66, 2: F3, 3: F2 */
	uint8_t reg;    /* ModRM.reg */
	uint8_t is_reg; /* ModRM.mod is 3 */
};

#define MAX_TEMPLATES 65536
/* Templates that share a name: cases are spread evenly over groups, not over templates. */
#define MAX_GROUPS 4096

static struct template templates[MAX_TEMPLATES];
static struct {
	unsigned first, n;
} groups[MAX_GROUPS];
static unsigned n_templates, n_groups;

/* --- Bytes --- */

struct built {
	uint8_t bytes[24];
	unsigned n;
	unsigned disp_at, disp_len; /* of the ModRM operand; 0: none */
};

static void put(struct built *b, uint64_t byte)
{
	b->bytes[b->n++] = (uint8_t)byte;
}

static const uint8_t prefix_bytes[4] = { 0, 0x66, 0xf3, 0xf2 };

static void put_legacy(struct built *b, const struct template *t, enum x86_mode mode, uint64_t *r)
{
	static const uint8_t maps[4] = { 0, 0, 0x38, 0x3a };

	if (t->prefix)
		put(b, prefix_bytes[t->prefix]);
	if (t->prefix > 1 && one_in(r, 4))
		put(b, 0x66);
	if (one_in(r, 32))
		put(b, 0xf0);
	if (mode == X86_MODE_64 && one_in(r, 2))
		put(b, 0x40 | (random64(r) & 0xf));
	if (t->map)
		put(b, 0x0f);
	if (t->map > 1)
		put(b, maps[t->map]);
}

/* R, X, B are stored inverted and are 1 outside 64-bit mode, where C4 and C5 else are LES, LDS. */
static void put_vex(struct built *b, const struct template *t, enum x86_mode mode, uint64_t *r)
{
	static const uint8_t pp[4] = { 0, 1, 2, 3 };
	uint64_t rxb = mode == X86_MODE_64 ? random64(r) & 0xe0 : 0xe0;
	uint64_t vvvv = one_in(r, 2) ? 0x78 : random64(r) & 0x78;
	uint64_t low = (random64(r) & 4) | pp[t->prefix];

	if (mode != X86_MODE_64)
		vvvv |= 0x40;
	if (t->map == 1 && one_in(r, 2)) {
		put(b, 0xc5);
		put(b, (rxb & 0x80) | vvvv | low);
		return;
	}
	put(b, 0xc4);
	put(b, rxb | t->map);
	put(b, (random64(r) & 0x80) | vvvv | low);
}

static void put_modrm(struct built *b, const struct template *t, bool adsize16, uint64_t *r)
{
	unsigned mod = t->is_reg ? 3 : (unsigned)below(r, 3);
	unsigned rm = (unsigned)below(r, 8);
	bool no_base = mod == 0 && rm == 5;

	put(b, mod << 6 | (unsigned)t->reg << 3 | rm);
	if (adsize16) {
		b->disp_len = mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 6) ? 2 : 0;
	} else {
		if (mod != 3 && rm == 4) {
			unsigned sib = (unsigned)random64(r) & 0xff;

			put(b, sib);
			no_base = mod == 0 && (sib & 7) == 5;
		}
		b->disp_len = mod == 1 ? 1 : mod == 2 || no_base ? 4 : 0;
	}
	b->disp_at = b->n;
}

/* All that the template leaves open is random, also the bytes after ModRM and SIB. */
static void build(struct built *b, const struct template *t, enum x86_mode mode, uint64_t *r)
{
	static const uint8_t segments[6] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	bool adsize = one_in(r, 8);

	*b = (struct built){ .n = 0 };
	for (unsigned i = 0; i < sizeof(b->bytes); i++)
		b->bytes[i] = (uint8_t)random64(r);
	if (adsize)
		put(b, 0x67);
	if (one_in(r, 6))
		put(b, segments[below(r, 6)]);
	if (t->vex)
		put_vex(b, t, mode, r);
	else
		put_legacy(b, t, mode, r);
	put(b, t->opcode);
	put_modrm(b, t, mode == X86_MODE_32 && adsize, r);
}

/* --- The list of templates --- */

static void *capstone[2];

static void *disassembler(enum x86_mode mode)
{
	void **p = &capstone[mode == X86_MODE_64];

	if (!*p)
		*p = oracle_open(mode);
	return *p;
}

enum answer { NO, YES, UNKNOWN };

/* Whether one of the names, between which there are commas, is ours or begins theirs. */
static bool is_listed(const char *names, const char *ours, const char *theirs)
{
	for (size_t n; (n = strcspn(names, ",")) > 0; names += n + (names[n] == ','))
		if ((strlen(ours) == n && !strncasecmp(ours, names, n)) ||
		    !strncmp(theirs, names, n))
			return true;
	return false;
}

static enum answer has_name(const struct x86_insn *in, const uint8_t *bytes, enum x86_mode mode,
                            const char *names)
{
	struct oracle_insn theirs = { .name = "" };
	bool known;

	if (!names)
		return YES;
	known = oracle_decode(disassembler(mode), bytes, in->length, ORACLE_CODE, &theirs);
	if (is_listed(names, x86_op_name(in->op), known ? theirs.name : ""))
		return YES;
	return known ? NO : UNKNOWN;
}

static bool is_vector(const struct x86_insn *in)
{
	return in->op == X86_OP_SIMD || in->op == X86_OP_X87;
}

/* Whether what a template decodes to is wanted. */
static bool try_template(const struct template *t, const char *names, bool vectors,
                         enum x86_mode mode, struct x86_insn *in)
{
	enum answer named = UNKNOWN;
	uint64_t r = 1;
	struct built b;

	for (unsigned i = 0; i < 12 && named == UNKNOWN; i++) {
		build(&b, t, mode, &r);
		if (x86_decode(in, b.bytes, X86_INSN_MAX, mode) > 0 && in->opcode == t->opcode &&
		    in->map == t->map && (vectors || !is_vector(in)) && !oracle_excluded(in))
			named = has_name(in, b.bytes, mode, names);
	}
	return named == YES;
}

/* Of SIMD and x87 the encoding is the name. */
static uint32_t group_key(const struct template *t, const struct x86_insn *in)
{
	uint32_t key = (uint32_t)in->op << 16;

	if (in->op == X86_OP_SIMD)
		key |= (uint32_t)t->opcode << 5 | (uint32_t)t->map << 3 | (uint32_t)t->vex << 2 |
		       t->prefix |
		       (uint32_t)(t->map == 1 && (t->opcode & 0xfc) == 0x70 ? t->reg : 0) << 13;
	if (in->op == X86_OP_X87)
		key |= (uint32_t)t->opcode << 4 | (uint32_t)t->reg << 1 | t->is_reg;
	return key;
}

static struct keyed {
	uint32_t key;
	struct template t;
} found[MAX_TEMPLATES];

static int by_key(const void *a, const void *b)
{
	uint32_t x = ((const struct keyed *)a)->key, y = ((const struct keyed *)b)->key;

	return x < y ? -1 : x > y;
}

static void make_groups(void)
{
	qsort(found, n_templates, sizeof(found[0]), by_key);
	n_groups = 0;
	for (unsigned i = 0; i < n_templates; i++) {
		templates[i] = found[i].t;
		if (!i || found[i].key != found[i - 1].key) {
			if (n_groups == MAX_GROUPS)
				abort();
			groups[n_groups].first = i;
			groups[n_groups++].n = 0;
		}
		groups[n_groups - 1].n++;
	}
}

unsigned oracle_list(const char *names, bool vectors, enum x86_mode mode)
{
	n_templates = 0;
	for (uint32_t i = 0; i < 1u << 18; i++) {
		struct template t = { .vex = i & 1,
			              .is_reg = i >> 1 & 1,
			              .prefix = i >> 2 & 3,
			              .reg = i >> 4 & 7,
			              .opcode = (uint8_t)(i >> 7),
			              .map = (uint8_t)(i >> 15 & 3) };
		struct x86_insn in;

		if ((t.vex && !t.map) || !try_template(&t, names, vectors, mode, &in))
			continue;
		if (n_templates == MAX_TEMPLATES)
			abort();
		found[n_templates].key = group_key(&t, &in);
		found[n_templates++].t = t;
	}
	make_groups();
	return n_groups;
}

/* --- Cases --- */

static void random_state(struct oracle_state *s, enum x86_mode mode, uint64_t *r)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < (mode == X86_MODE_64 ? 16 : 8); i++)
		s->gpr[i] = mode == X86_MODE_64 ? random_value(r) : (uint32_t)random_value(r);
	s->rip = ORACLE_CODE + 0x100 + below(r, 0xe00);
	if (one_in(r, 32)) /* at the end of the page */
		s->rip = ORACLE_CODE + HC_PAGE_SIZE - 1 - below(r, X86_INSN_MAX);
	s->rflags = (random64(r) & ALU_FLAGS) | X86_FLAG_1 | X86_FLAG_IF;
	if (one_in(r, 3))
		s->rflags |= X86_FLAG_DF;
	if (one_in(r, 16))
		s->rflags |= X86_FLAG_AC;
	if (mode == X86_MODE_64) {
		s->fs_base = random64(r) & 0xffff;
		s->gs_base = one_in(r, 2) ? random64(r) & UINT32_MAX : random64(r) >> 17;
	}
}

static void random_memory(struct oracle_case *c, uint64_t *r)
{
	uint64_t at = c->target - ORACLE_DATA - 64;

	memset(c->memory, 0x5a, ORACLE_DATA_SIZE);
	for (unsigned i = 0; i < 192; i += 8, at += 8) {
		uint64_t v = random_lane(r);

		if (at < ORACLE_DATA_SIZE - 8)
			memcpy(c->memory + at, &v, 8);
	}
}

/* Whether an instruction that came of the template may be made a case of. */
static bool accept(struct oracle_case *c, const struct template *t, uint64_t *r)
{
	int n = x86_decode(&c->insn, c->code, X86_INSN_MAX, (enum x86_mode)c->mode);

	c->undefined = n < 0;
	if (n == -EINVAL && !t->vex && one_in(r, 8)) { /* LOCK where it may not be, and the like */
		c->insn = (struct x86_insn){ .op = X86_OP_UNDEFINED };
		return !oracle_excluded_bytes(c->code, X86_INSN_MAX);
	}
	return n > 0 && c->insn.opcode == t->opcode && c->insn.map == t->map &&
	       !oracle_excluded(&c->insn);
}

static bool is_branch(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_CALL:
	case X86_OP_JMP:
	case X86_OP_JCC:
	case X86_OP_RET:
	case X86_OP_LOOP:
	case X86_OP_LOOPE:
	case X86_OP_LOOPNE:
	case X86_OP_JCXZ: return true;
	default: return false;
	}
}

void oracle_generate(struct oracle_case *c, uint64_t seed, uint64_t index, enum x86_mode mode)
{
	uint64_t r = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
	             (index + 1) * UINT64_C(0xd1342543de82ef95);
	const struct template *t;
	struct built b;

	for (unsigned i = 0; i < 4; i++)
		random64(&r);
	c->mode = (uint8_t)mode;
	do {
		unsigned g = (unsigned)below(&r, n_groups);

		t = &templates[groups[g].first + below(&r, groups[g].n)];
		build(&b, t, mode, &r);
		memcpy(c->code, b.bytes, sizeof(c->code));
	} while (!accept(c, t, &r));
	random_state(&c->state, mode, &r);
	oracle_random_vectors(c->state.xsave, &r);
	if (!c->undefined)
		oracle_aim(c, b.disp_at, b.disp_len, &r);
	random_memory(c, &r);
	if (!c->undefined)
		oracle_suit(c, &r);
	c->step = !c->undefined && is_branch(&c->insn);
}

void oracle_describe(const struct oracle_case *c, char *text, size_t size)
{
	struct oracle_insn theirs = { .text = "(undefined)" };
	unsigned length = c->undefined ? X86_INSN_MAX : c->insn.length;
	int n = snprintf(text, size, "%u-bit, %s, ", (unsigned)c->mode, x86_op_name(c->insn.op));

	for (unsigned i = 0; i < length && (size_t)n < size; i++)
		n += snprintf(text + n, size - (size_t)n, "%02x ", c->code[i]);
	if (!c->undefined && !oracle_decode(disassembler((enum x86_mode)c->mode), c->code, length,
	                                    c->state.rip, &theirs))
		snprintf(theirs.text, sizeof(theirs.text), "(unknown to Capstone)");
	if ((size_t)n < size)
		snprintf(text + n, size - (size_t)n, " %s, operand at %#lx", theirs.text,
		         c->target);
}
