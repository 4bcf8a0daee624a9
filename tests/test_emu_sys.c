/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segments, far transfers and events of the software CPU. All combinations of privilege levels and
 * descriptors are compared with models that are written down once more from the manual's text, as
 * lists of conditions.
 */
#include <string.h>

#include "emu_sys_rig.h"
#include "unit.h"

#define GDT   0x1000u
#define IDT   0x2000u
#define TSS   0x3000u
#define LDT   0x4000u
#define CODE  0x8000u
#define STACK 0xa000u /* the present one's top */
#define INNER 0xc000u /* + 0x100 * level: of the TSS */

#define NO_FAULT 0xffu

/* What the models answer. */
struct verdict {
	unsigned vector; /* NO_FAULT: none */
	unsigned code;
};

static const struct verdict fine = { NO_FAULT, 0 };

static struct verdict gp(unsigned code)
{
	return (struct verdict){ X86_VEC_GP, code };
}

static struct verdict np(unsigned code)
{
	return (struct verdict){ X86_VEC_NP, code };
}

static void check_fault(enum rig_result r, struct verdict v)
{
	if (v.vector == NO_FAULT) {
		assert_int_equal(r, RIG_OK);
		return;
	}
	assert_int_equal(r, RIG_FAULT);
	assert_int_equal(rig_cpu.fault.vector, v.vector);
	assert_int_equal(rig_cpu.fault.error_code, v.code);
}

/* --- The machine: selectors 8 + 16 * level: code, 16 + 16 * level: stack of the level --- */

#define CODE_OF(level)  (8u + 16u * (level) + (level))
#define STACK_OF(level) (16u + 16u * (level) + (level))
#define FREE            0x80u /* two entries for the test's own */
#define FREE2           0x90u
#define GATE            0xa0u

static void make_machine(unsigned bits, unsigned cpl)
{
	struct x86_state *s = &rig.state;
	unsigned db = bits == 32 ? X86_ATTR_DB : bits == 64 ? X86_ATTR_L : 0;

	rig_flat(bits, cpl);
	s->gdtr = (struct x86_dtable){ GDT, 0xff };
	s->idtr = (struct x86_dtable){ IDT, 0xfff };
	for (unsigned level = 0; level < 4; level++) {
		unsigned dpl = level << 5;

		rig_descriptor(GDT + CODE_OF(level) - level, 0, 0xfffff,
		               0x9b | dpl | X86_ATTR_G | db);
		rig_descriptor(GDT + STACK_OF(level) - level, 0, 0xfffff,
		               0x93 | dpl | X86_ATTR_G | (bits == 16 ? 0 : X86_ATTR_DB));
		if (bits == 64) {
			rig_put(TSS + 4 + 8 * level, INNER + 0x100 * level, 8);
		} else {
			rig_put(TSS + 4 + 8 * level, INNER + 0x100 * level, 4);
			rig_put(TSS + 8 + 8 * level, STACK_OF(level), 2);
		}
	}
	s->seg[X86_TR] = (struct x86_segment){ 0x70, 0x8b, 0x1fff, TSS };
	s->seg[X86_CS].selector = (uint16_t)CODE_OF(cpl);
	s->seg[X86_SS].selector = (uint16_t)STACK_OF(cpl);
	s->rip = CODE;
	s->gpr[X86_RSP] = STACK;
}

/* --- Loads of data segments --- */

struct load {
	unsigned seg, cpl, rpl, attr;
	bool null;
};

/* SDM Vol. 2B, MOV, "Loading a segment register" */
static struct verdict model_load(const struct load *l, bool is_64)
{
	unsigned type = l->attr & 0xf, dpl = l->attr >> 5 & 3, sel = FREE;
	bool s = l->attr & 0x10, p = l->attr & 0x80;
	bool code = s && type & 8, readable = code && type & 2, conforming = code && type & 4;
	bool data = s && !(type & 8), writable = data && type & 2;

	if (l->seg == X86_SS) {
		if (l->null)
			return is_64 && l->cpl != 3 && l->rpl == l->cpl ? fine : gp(0);
		if (l->rpl != l->cpl || !writable || dpl != l->cpl)
			return gp(sel);
		return p ? fine : (struct verdict){ X86_VEC_SS, sel };
	}
	if (l->null)
		return fine;
	if (!data && !readable)
		return gp(sel);
	if (!conforming && (l->rpl > dpl || l->cpl > dpl))
		return gp(sel);
	return p ? fine : np(sel);
}

static void try_load(const struct load *l, unsigned bits)
{
	const uint8_t mov[2] = { 0x8e, (uint8_t)(0xc0 | l->seg << 3) }; /* MOV Sreg, AX */
	unsigned selector = (l->null ? 0 : FREE) | l->rpl;
	const struct x86_segment *g = &rig.state.seg[l->seg];
	struct verdict v = model_load(l, bits == 64);

	make_machine(bits, l->cpl);
	rig_descriptor(GDT + FREE, 0x12345678, 0x54321, l->attr);
	rig.state.gpr[X86_RAX] = selector;
	check_fault(rig_do(mov, 2), v);
	if (v.vector != NO_FAULT)
		return;
	assert_int_equal(g->selector, selector);
	assert_int_equal(g->attr & X86_ATTR_P, l->null ? 0 : X86_ATTR_P);
	assert_int_equal(rig.state.rip, CODE + 2);
	assert_int_equal(rig.state.events.interrupt_shadow, l->seg == X86_SS ? 2 : 0);
	if (l->null)
		return;
	assert_int_equal(g->base, 0x12345678);
	assert_int_equal(g->limit, l->attr & X86_ATTR_G ? 0x54321fff : 0x54321);
	assert_int_equal(g->attr, l->attr | 1);
	assert_int_equal(rig_get(GDT + FREE + 5, 1), (l->attr | 1) & 0xff);
}

static void test_segment_loads(void **state)
{
	static const uint8_t segs[] = { X86_ES, X86_SS, X86_DS, X86_FS, X86_GS };

	for (unsigned bits = 16; bits <= 64; bits *= 2)
		for (unsigned i = 0; i < 256 * 4 * 4 * 5; i++) {
			struct load l = { .attr = (i & 0xff) | (i & 1 ? X86_ATTR_G : 0),
				          .cpl = i >> 8 & 3,
				          .rpl = i >> 10 & 3,
				          .seg = segs[i >> 12] };

			try_load(&l, bits);
			if (i % 256 == 0) {
				l.null = true;
				try_load(&l, bits);
			}
		}
}

static void test_segment_tables(void **state)
{
	static const uint8_t mov_ds[2] = { 0x8e, 0xd8 };

	/* Beyond the GDT; without an LDT; in it; beyond it. */
	make_machine(32, 0);
	rig.state.gdtr.limit = FREE + 6;
	rig.state.gpr[X86_RAX] = FREE;
	check_fault(rig_do(mov_ds, 2), gp(FREE));
	rig.state.gpr[X86_RAX] = 0x0c;
	check_fault(rig_do(mov_ds, 2), gp(0x0c));
	rig.state.seg[X86_LDTR] = (struct x86_segment){ 0x60, 0x82, 0xf, LDT };
	rig_descriptor(LDT + 8, 0x1000, 0xffff, 0x92);
	check_fault(rig_do(mov_ds, 2), fine);
	assert_int_equal(rig.state.seg[X86_DS].base, 0x1000);
	rig.state.gpr[X86_RAX] = 0x14;
	check_fault(rig_do(mov_ds, 2), gp(0x14));
	/* A table that cannot be read, or not be written when the accessed bit has to be. */
	make_machine(32, 0);
	rig_descriptor(GDT + FREE, 0, 0xffff, 0x92);
	rig.state.gpr[X86_RAX] = FREE;
	rig.page[GDT / HC_PAGE_SIZE] = RIG_READ_ONLY;
	assert_int_equal(rig_do(mov_ds, 2), RIG_FAULT);
	assert_int_equal(rig_cpu.fault.vector, X86_VEC_PF);
	assert_int_equal(rig_cpu.fault.error_code, X86_PF_P | X86_PF_W);
	assert_int_equal(rig_cpu.fault.address, GDT + FREE + 5);
	rig.page[GDT / HC_PAGE_SIZE] = RIG_ABSENT;
	assert_int_equal(rig_do(mov_ds, 2), RIG_FAULT);
	assert_int_equal(rig_cpu.fault.error_code, 0);
	/* User code loads segments from a table that it cannot read. */
	make_machine(32, 3);
	rig.page[GDT / HC_PAGE_SIZE] = RIG_SUPERVISOR;
	rig.state.gpr[X86_RAX] = STACK_OF(3);
	check_fault(rig_do(mov_ds, 2), fine);
}

/* --- Far JMP and CALL to code segments --- */

struct far_case {
	unsigned bits, cpl, rpl, attr;
};

/* SDM Vol. 2A, JMP, "Conforming/Nonconforming code segment" */
static struct verdict model_far(const struct far_case *f)
{
	unsigned type = f->attr & 0xf, dpl = f->attr >> 5 & 3;
	bool code = (f->attr & 0x18) == 0x18, conforming = type & 4;
	unsigned sel = FREE;

	if (!code)
		return gp(sel);
	if (conforming ? dpl > f->cpl : f->rpl > f->cpl || dpl != f->cpl)
		return gp(sel);
	if (f->bits == 64 && f->attr & X86_ATTR_L && f->attr & X86_ATTR_DB)
		return gp(sel);
	return f->attr & 0x80 ? fine : np(sel);
}

/* System descriptors are another test's. */
static void try_far(const struct far_case *f, bool call)
{
	const uint8_t insn[2] = { 0xff, call ? 0x18 : 0x28 }; /* CALL, JMP m16:32 [RAX] */
	struct verdict v = model_far(f);
	struct x86_state *s = &rig.state;

	make_machine(f->bits, f->cpl);
	rig_descriptor(GDT + FREE, 0, 0xfffff, f->attr | X86_ATTR_G);
	rig_put(0x6000, 0x1234, 4);
	rig_put(0x6004, FREE | f->rpl, 2);
	s->gpr[X86_RAX] = 0x6000;
	check_fault(rig_do(insn, 2), v);
	if (v.vector != NO_FAULT)
		return;
	assert_int_equal(s->rip, 0x1234);
	assert_int_equal(s->cpl, f->cpl);
	assert_int_equal(s->seg[X86_CS].selector, FREE | f->cpl);
	assert_int_equal(s->seg[X86_CS].attr, f->attr | X86_ATTR_G | 1);
	assert_int_equal(s->gpr[X86_RSP], call ? STACK - 8 : STACK);
	if (call) {
		assert_int_equal(rig_get(STACK - 4, 4), CODE_OF(f->cpl));
		assert_int_equal(rig_get(STACK - 8, 4), CODE + 2);
	}
}

static void test_far_code(void **state)
{
	for (unsigned i = 0; i < 256 * 4 * 4 * 4 * 2; i++) {
		struct far_case f = { .bits = i >> 12 & 1 ? 64 : 32,
			              .attr = (i & 0xff) | (i >> 13 & 1 ? X86_ATTR_DB : 0) |
			                      (i >> 14 & 1 ? X86_ATTR_L : 0),
			              .cpl = i >> 8 & 3,
			              .rpl = i >> 10 & 3 };

		if (!(f.attr & 0x10))
			continue;
		try_far(&f, false);
		try_far(&f, true);
	}
}

static void test_far_limits(void **state)
{
	static const uint8_t jmp[] = { 0xff, 0x28 };
	static const uint8_t jmp_64[] = { 0x48, 0xff, 0x28 };

	make_machine(32, 0);
	rig_descriptor(GDT + FREE, 0, 0x1233, 0x9b | X86_ATTR_DB);
	rig_put(0x6000, 0x1234, 4);
	rig_put(0x6004, FREE, 2);
	rig.state.gpr[X86_RAX] = 0x6000;
	check_fault(rig_do(jmp, 2), gp(0));
	rig_put(0x6000, 0x1233, 4);
	check_fault(rig_do(jmp, 2), fine);
	make_machine(64, 0);
	rig_put(0x6000, HC_BIT(47), 8);
	rig_put(0x6008, CODE_OF(0), 2);
	rig.state.gpr[X86_RAX] = 0x6000;
	check_fault(rig_do(jmp_64, 3), gp(0));
	rig_put(0x6000, HC_BIT(47) - 1, 8);
	check_fault(rig_do(jmp_64, 3), fine);
	/* Null selectors, and a table's end. */
	make_machine(32, 0);
	rig.state.gpr[X86_RAX] = 0x6000;
	rig_put(0x6004, 3, 2);
	check_fault(rig_do(jmp, 2), gp(0));
	rig_put(0x6004, 0x100, 2);
	check_fault(rig_do(jmp, 2), gp(0x100));
}

/* --- System descriptors as targets --- */

struct gate_case {
	unsigned bits, cpl, rpl;
	unsigned gate;   /* access byte of the gate */
	unsigned target; /* that of the code segment */
	bool call;
};

/* SDM Vol. 2A, JMP and CALL, "Call gate"; *cpl: at the target; *task: a task switch. */
static struct verdict model_gate(const struct gate_case *k, unsigned *cpl, bool *task)
{
	unsigned type = k->gate & 0x1f, dpl = k->gate >> 5 & 3, cs_dpl = k->target >> 5 & 3;
	bool is_long = k->bits == 64, conforming = k->target & 4;
	bool call_gate = type == 12 || (!is_long && type == 4);
	bool task_like = !is_long && (type == 1 || type == 9 || type == 5);

	*task = false;
	*cpl = k->cpl;
	if (!call_gate && !task_like)
		return gp(GATE);
	if (dpl < k->cpl || dpl < k->rpl)
		return gp(GATE);
	if (!(k->gate & 0x80))
		return np(GATE);
	if (task_like) {
		*task = true;
		return fine;
	}
	if ((k->target & 0x18) != 0x18 || cs_dpl > k->cpl)
		return gp(FREE);
	if (!k->call && !conforming && cs_dpl != k->cpl)
		return gp(FREE);
	if (!(k->target & 0x80))
		return np(FREE);
	if (!conforming)
		*cpl = cs_dpl;
	return fine;
}

static void check_call_frame(const struct gate_case *k, unsigned cpl, unsigned width)
{
	const struct x86_state *s = &rig.state;
	unsigned params = k->bits == 64 || cpl == k->cpl ? 0 : 3, at = (unsigned)s->gpr[X86_RSP];
	unsigned words = cpl == k->cpl ? 2 : 4 + params;
	unsigned top = cpl == k->cpl ? STACK : INNER + 0x100 * cpl;

	assert_int_equal(at, top - words * width);
	assert_int_equal(rig_get(at, width), CODE + 2);
	assert_int_equal(rig_get(at + width, width), CODE_OF(k->cpl));
	if (cpl == k->cpl)
		return;
	for (unsigned i = 0; i < params; i++)
		assert_int_equal(rig_get(at + (2 + i) * width, width), 0x100 + i);
	assert_int_equal(rig_get(at + (2 + params) * width, width), STACK);
	assert_int_equal(rig_get(at + (3 + params) * width, width), STACK_OF(k->cpl));
	assert_int_equal(s->seg[X86_SS].selector, k->bits == 64 ? cpl : STACK_OF(cpl));
}

static void try_gate(const struct gate_case *k)
{
	const uint8_t insn[2] = { 0xff, k->call ? 0x18 : 0x28 };
	unsigned cpl, width = k->bits == 64 ? 8 : (k->gate & 0x1f) == 12 ? 4 : 2;
	struct x86_state *s = &rig.state;
	bool task;
	struct verdict v = model_gate(k, &cpl, &task);

	make_machine(k->bits, k->cpl);
	rig_descriptor(GDT + FREE, 0, 0xfffff,
	               k->target | X86_ATTR_G | (k->bits == 64 ? X86_ATTR_L : X86_ATTR_DB));
	/* Offset 0x5678, 3 parameters */
	rig_put(GDT + GATE, 0x5678 | FREE << 16 | (uint64_t)k->gate << 40 | 3ull << 32, 8);
	rig_put(0x6004, GATE | k->rpl, 2);
	s->gpr[X86_RAX] = 0x6000;
	for (unsigned i = 0; i < 3; i++)
		rig_put(STACK + i * width, 0x100 + i, width);
	if (task) {
		assert_int_equal(rig_do(insn, 2), RIG_EXIT);
		assert_int_equal(rig.exit.reason, HC_EXIT_TASK_SWITCH);
		return;
	}
	check_fault(rig_do(insn, 2), v);
	if (v.vector != NO_FAULT)
		return;
	assert_int_equal(s->rip, 0x5678);
	assert_int_equal(s->cpl, cpl);
	assert_int_equal(s->seg[X86_CS].selector, FREE | cpl);
	if (k->call)
		check_call_frame(k, cpl, width);
	else
		assert_int_equal(s->gpr[X86_RSP], STACK);
}

static void test_gates(void **state)
{
	static const uint8_t targets[] = { 0x93, 0x9b, 0x9f };

	for (unsigned i = 0; i < 256 * 4 * 4 * 2 * 2; i++) {
		struct gate_case k = { .bits = i >> 12 & 1 ? 64 : 32,
			               .cpl = i >> 8 & 3,
			               .rpl = i >> 10 & 3,
			               .gate = i & 0xff,
			               .call = i >> 13 & 1 };

		if (k.gate & 0x10)
			continue;
		for (unsigned t = 0; t < 12; t++) {
			k.target = targets[t % 3] | (t / 3) << 5;
			try_gate(&k);
		}
		k.target = 0x1b;
		try_gate(&k);
	}
}

/* --- RET and IRET --- */

/* SDM Vol. 2B, RET, "Return to outer/same privilege level": code segment, then stack segment. */
static struct verdict model_return(unsigned bits, unsigned cpl, unsigned rpl, unsigned attr,
                                   bool always_stack, unsigned ss_attr, unsigned ss_rpl)
{
	unsigned dpl = attr >> 5 & 3;

	if ((attr & 0x18) != 0x18 || rpl < cpl)
		return gp(FREE);
	if (attr & 4 ? dpl > rpl : dpl != rpl)
		return gp(FREE);
	if (bits == 64 && attr & X86_ATTR_L && attr & X86_ATTR_DB)
		return gp(FREE);
	if (!(attr & 0x80))
		return np(FREE);
	if (rpl == cpl && !always_stack)
		return fine;
	if (ss_rpl != rpl || (ss_attr & 0x1a) != 0x12 || (ss_attr >> 5 & 3) != rpl)
		return gp(FREE2);
	return ss_attr & 0x80 ? fine : (struct verdict){ X86_VEC_SS, FREE2 };
}

struct return_case {
	unsigned bits, cpl, rpl, attr, ss_attr, ss_rpl;
	bool iret;
};

static void try_return(const struct return_case *k)
{
	static const uint8_t iret[] = { 0x48, 0xcf }, retf[] = { 0x48, 0xcb };
	unsigned w = k->bits == 64 ? 8 : 4, skip = k->bits == 64 ? 0 : 1, n = 0;
	struct x86_state *s = &rig.state;
	bool always = k->iret && k->bits == 64;
	struct verdict v =
		model_return(k->bits, k->cpl, k->rpl, k->attr, always, k->ss_attr, k->ss_rpl);
	unsigned at = STACK;

	make_machine(k->bits, k->cpl);
	rig_descriptor(GDT + FREE, 0, 0xfffff, k->attr | X86_ATTR_G);
	rig_descriptor(GDT + FREE2, 0, 0xfffff, k->ss_attr | X86_ATTR_G | X86_ATTR_DB);
	rig_put(at + w * n++, 0x1234, w);
	rig_put(at + w * n++, FREE | k->rpl, w);
	if (k->iret)
		rig_put(at + w * n++, 0x3fff02, w);
	rig_put(at + w * n++, 0x7000, w);
	rig_put(at + w * n++, FREE2 | k->ss_rpl, w);
	if (k->iret && k->bits == 32)
		rig_put(at + w * 2, 0x3dff02, w); /* not to virtual-8086 mode */
	s->events.nmi_masked = 1;
	check_fault(rig_do((k->iret ? iret : retf) + skip, 2 - skip), v);
	if (v.vector != NO_FAULT)
		return;
	assert_int_equal(s->rip, 0x1234);
	assert_int_equal(s->cpl, k->rpl);
	assert_int_equal(s->seg[X86_CS].selector, FREE | k->rpl);
	assert_int_equal(s->events.nmi_masked, !k->iret);
	if (k->rpl != k->cpl || always) {
		assert_int_equal(s->gpr[X86_RSP], 0x7000);
		assert_int_equal(s->seg[X86_SS].selector, FREE2 | k->rpl);
	} else {
		assert_int_equal(s->gpr[X86_RSP], STACK + w * (k->iret ? 3 : 2));
		assert_int_equal(s->seg[X86_SS].selector, STACK_OF(k->cpl));
	}
	/* Data segments of an inner level are gone. */
	assert_int_equal(!(s->seg[X86_DS].attr & X86_ATTR_P), k->rpl > k->cpl);
	if (k->iret) {
		uint64_t want = 0x244d02 & ~0x3000u; /* AC, ID, NT, TF and so on; not IOPL, IF */

		if (k->cpl == 0)
			want |= 0x3000;
		if (k->cpl == 0)
			want |= X86_FLAG_IF;
		assert_int_equal(s->rflags & ~(uint64_t)0x80, want);
	}
}

static void test_returns(void **state)
{
	for (unsigned i = 0; i < 256 * 4 * 4 * 2 * 2; i++) {
		struct return_case k = { .bits = i >> 12 & 1 ? 64 : 32,
			                 .iret = i >> 13 & 1,
			                 .cpl = i >> 8 & 3,
			                 .rpl = i >> 10 & 3,
			                 .attr = i & 0xff };

		k.ss_rpl = k.rpl;
		k.ss_attr = 0x93 | k.rpl << 5;
		try_return(&k);
		k.attr |= X86_ATTR_DB;
		try_return(&k);
		k.attr |= X86_ATTR_L;
		try_return(&k);
		/* Stack segments of all kinds, for code that is as it should be. */
		k.ss_attr = k.attr & 0xff;
		k.attr = 0x9b | k.rpl << 5;
		try_return(&k);
		k.ss_rpl = k.rpl ^ 1;
		try_return(&k);
	}
}

/* --- Interrupts --- */

struct int_case {
	unsigned bits, cpl, gate, target, ist;
	bool software;
};

/* SDM Vol. 2A, INT n, "Protected mode" and "IA-32e mode" */
static struct verdict model_interrupt(const struct int_case *k, unsigned *cpl, bool *task)
{
	unsigned type = k->gate & 0x1f, ext = !k->software, about = 0x40 << 3 | 2 | ext;
	bool is_long = k->bits == 64, ok = type == 14 || type == 15;
	unsigned dpl = k->target >> 5 & 3;

	if (!is_long)
		ok = ok || (type >= 5 && type <= 7);
	*cpl = k->cpl;
	*task = false;
	if (!ok || (k->software && (k->gate >> 5 & 3) < k->cpl))
		return gp(about);
	if (!(k->gate & 0x80))
		return np(about);
	*task = type == 5;
	if (*task)
		return fine;
	if ((k->target & 0x18) != 0x18 || dpl > k->cpl)
		return gp(FREE | ext);
	if (!(k->target & 0x80))
		return np(FREE | ext);
	if (!(k->target & 4))
		*cpl = dpl;
	return fine;
}

static void check_frame(const struct int_case *k, unsigned cpl, uint64_t rip, bool has_error)
{
	const struct x86_state *s = &rig.state;
	bool is_long = k->bits == 64, inner = cpl != k->cpl;
	unsigned width = is_long ? 8 : k->gate & 8 ? 4 : 2, words = is_long || inner ? 5 : 3;
	uint64_t at = s->gpr[X86_RSP], top = inner ? INNER + 0x100 * cpl : STACK;

	if (is_long && k->ist)
		top = 0xe000;
	words += has_error;
	assert_int_equal(at, (is_long ? top & ~15ull : top) - words * width);
	if (has_error) {
		assert_int_equal(rig_get(at, width), 0x1230);
		at += width;
	}
	assert_int_equal(rig_get(at, width), rip);
	assert_int_equal(rig_get(at + width, width), CODE_OF(k->cpl));
	assert_int_equal(rig_get(at + 2 * width, width) & 0xffff, 0x4303);
	if (is_long || inner) {
		assert_int_equal(rig_get(at + 3 * width, width), STACK);
		assert_int_equal(rig_get(at + 4 * width, width), STACK_OF(k->cpl));
		assert_int_equal(s->seg[X86_SS].selector, !inner    ? STACK_OF(cpl)
		                                          : is_long ? cpl
		                                                    : STACK_OF(cpl));
	}
}

static void put_gate(unsigned bits, unsigned vector, unsigned selector, unsigned access,
                     uint64_t offset, unsigned ist)
{
	uint64_t low = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)access << 40 |
	               (offset & 0xffff0000) << 32 | (uint64_t)ist << 32;

	if (bits == 64) {
		rig_put(IDT + vector * 16, low, 8);
		rig_put(IDT + vector * 16 + 8, offset >> 32, 8);
	} else {
		rig_put(IDT + vector * 8, low, 8);
	}
}

/* Gate 0x40, reached by INT n or by an injected #GP-like event with an error code. */
static void try_interrupt(const struct int_case *k)
{
	static const uint8_t insn[2] = { 0xcd, 0x40 };
	struct x86_state *s = &rig.state;
	unsigned cpl;
	bool task, delivered;
	struct verdict v = model_interrupt(k, &cpl, &task);
	const struct x86_event event = { .valid = 1, .type = X86_EVENT_INTR, .vector = 0x40 };

	make_machine(k->bits, k->cpl);
	rig_descriptor(GDT + FREE, 0, 0xfffff,
	               k->target | X86_ATTR_G | (k->bits == 64 ? X86_ATTR_L : X86_ATTR_DB));
	put_gate(k->bits, 0x40, FREE, k->gate, 0x5678, k->ist);
	rig_put(TSS + 0x24, 0xe000, 8);
	s->rflags = 0x4303; /* NT, IF, TF, CF */
	if (k->software) {
		enum rig_result r = rig_do(insn, 2);

		if (task) {
			assert_int_equal(r, RIG_EXIT);
			assert_int_equal(rig.exit.reason, HC_EXIT_TASK_SWITCH);
			return;
		}
		check_fault(r, v);
		if (v.vector != NO_FAULT)
			return;
	} else {
		/* A fault on the way finds an empty IDT: a triple fault, whose first is known. */
		delivered = emu_deliver_event(&rig_cpu, &event);
		assert_int_equal(delivered, v.vector == NO_FAULT && !task);
		if (!delivered) {
			assert_int_equal(rig.exit.reason,
			                 task ? HC_EXIT_TASK_SWITCH : HC_EXIT_SHUTDOWN);
			assert_int_equal(s->rip, CODE);
			assert_int_equal(s->events.reinject.valid, task);
			return;
		}
	}
	assert_int_equal(s->rip, 0x5678);
	assert_int_equal(s->cpl, cpl);
	assert_int_equal(s->seg[X86_CS].selector, FREE | cpl);
	assert_int_equal(s->rflags, k->gate & 1 ? 0x203 : 0x003);
	check_frame(k, cpl, k->software ? CODE + 2 : CODE, false);
}

static void test_interrupts(void **state)
{
	static const uint8_t targets[] = { 0x93, 0x9b, 0x9f };

	for (unsigned i = 0; i < 256 * 4 * 2 * 2 * 2; i++) {
		struct int_case k = { .gate = i & 0xff,
			              .cpl = i >> 8 & 3,
			              .bits = i >> 10 & 1 ? 64 : 32,
			              .software = i >> 11 & 1,
			              .ist = i >> 10 & 1 ? i >> 12 & 1 : 0 };

		for (unsigned t = 0; t < 12; t++) {
			k.target = targets[t % 3] | (t / 3) << 5;
			try_interrupt(&k);
		}
		k.target = 0x1b;
		try_interrupt(&k);
	}
}

/* --- Stacks of inner levels --- */

struct stack_case {
	unsigned selector, attr; /* in the TSS; of its descriptor, at FREE2 */
	unsigned limit;          /* of the stack segment, 0: none */
	unsigned tss_limit;      /* 0: enough */
	unsigned sp;
};

/* SDM Vol. 2A, INT n, "Inter-privilege-level interrupt", and CALL, "More privilege": from level 3
 * to 0. */
static struct verdict model_inner(const struct stack_case *k, unsigned frame)
{
	unsigned limit = k->limit ? k->limit : UINT32_MAX;

	if (k->tss_limit && k->tss_limit < 9)
		return (struct verdict){ X86_VEC_TS, 0x70 };
	if (!(k->selector & ~3u))
		return (struct verdict){ X86_VEC_TS, 0 };
	if ((k->selector & ~3u) != FREE2 || (k->selector & 3) || (k->attr & 0x1a) != 0x12 ||
	    k->attr & 0x60)
		return (struct verdict){ X86_VEC_TS, k->selector & ~3u };
	if (!(k->attr & 0x80))
		return (struct verdict){ X86_VEC_SS, FREE2 };
	if (k->attr & 4 ? k->sp - frame <= limit : k->sp - 1 > limit)
		return (struct verdict){ X86_VEC_SS, FREE2 };
	return fine;
}

static void try_inner(const struct stack_case *k, bool call)
{
	static const uint8_t int_40[] = { 0xcd, 0x40 }, call_gate[] = { 0xff, 0x18 };
	struct x86_state *s = &rig.state;
	struct verdict v = model_inner(k, call ? 16 : 20);

	make_machine(32, 3);
	rig_descriptor(GDT + FREE2, 0, k->limit ? k->limit : 0xfffff,
	               k->attr | X86_ATTR_DB | (k->limit ? 0 : X86_ATTR_G));
	put_gate(32, 0x40, CODE_OF(0), 0xee, 0x5678, 0);
	rig_put(GDT + GATE, 0x5678 | CODE_OF(0) << 16 | 0xecull << 40, 8);
	rig_put(0x6004, GATE | 3, 2);
	s->gpr[X86_RAX] = 0x6000;
	rig_put(TSS + 4, k->sp, 4);
	rig_put(TSS + 8, k->selector, 2);
	if (k->tss_limit)
		s->seg[X86_TR].limit = k->tss_limit;
	check_fault(call ? rig_do(call_gate, 2) : rig_do(int_40, 2), v);
	if (v.vector == NO_FAULT) {
		assert_int_equal(s->seg[X86_SS].selector, FREE2);
		assert_int_equal(s->gpr[X86_RSP], k->sp - (call ? 16 : 20));
	}
}

static void test_inner_stacks(void **state)
{
	static const unsigned selectors[] = { 0, 3, FREE2, FREE2 | 1, FREE2 | 3, 0x1f0 };

	for (unsigned i = 0; i < 256 * HC_ARRAY_SIZE(selectors); i++) {
		struct stack_case k = { .selector = selectors[i / 256],
			                .attr = i % 256,
			                .sp = 0xc000 };

		try_inner(&k, false);
		try_inner(&k, true);
	}
	for (unsigned limit = 0xbfe0; limit < 0xc004; limit++) {
		struct stack_case k = { .selector = FREE2, .attr = 0x93, .sp = 0xc000 };

		k.limit = limit;
		try_inner(&k, false);
		try_inner(&k, true);
		k.attr = 0x97; /* expand-down */
		try_inner(&k, false);
		try_inner(&k, true);
	}
	for (unsigned limit = 1; limit < 16; limit++) {
		struct stack_case k = { .selector = FREE2, .attr = 0x93, .sp = 0xc000 };

		k.tss_limit = limit;
		try_inner(&k, false);
		try_inner(&k, true);
	}
}

/* Of long mode: no selector, but canonical pointers, and a TSS that holds them. */
static void test_inner_stacks_long(void **state)
{
	static const uint8_t int_40[] = { 0xcd, 0x40 };
	struct x86_state *s = &rig.state;

	for (unsigned ist = 0; ist < 8; ist++)
		for (unsigned i = 0; i < 4; i++) {
			unsigned at = ist ? 0x24 + 8 * (ist - 1) : 4;

			make_machine(64, 3);
			put_gate(64, 0x40, CODE_OF(0), 0xee, 0x5678, ist);
			rig_put(TSS + at, i == 1 ? HC_BIT(47) + 16 : 0xc00f, 8);
			s->seg[X86_TR].limit = at + 7 - (i == 2);
			s->seg[X86_TR].attr &= i == 3 ? 0xff7f : 0xffff;
			if (i == 0)
				check_fault(rig_do(int_40, 2), fine);
			else if (i == 1)
				check_fault(rig_do(int_40, 2), (struct verdict){ X86_VEC_SS, 0 });
			else
				check_fault(rig_do(int_40, 2),
				            (struct verdict){ X86_VEC_TS, 0x70 });
			if (i == 0)
				assert_int_equal(s->gpr[X86_RSP], 0xc000 - 40);
		}
}

/* The error codes that faults on the way have, seen by a handler of theirs. */
static void test_error_codes(void **state)
{
	struct x86_state *s = &rig.state;
	static const struct {
		unsigned gate, target, vector, code;
	} row[] = {
		{ 0x0e, 0x9b, X86_VEC_NP, 0x203 },    /* gate not present */
		{ 0x8c, 0x9b, X86_VEC_GP, 0x203 },    /* a call gate */
		{ 0x8e, 0x93, X86_VEC_GP, FREE | 1 }, /* no code segment */
		{ 0x8e, 0x1b, X86_VEC_NP, FREE | 1 }, /* not present */
	};

	for (unsigned bits = 32; bits <= 64; bits *= 2)
		for (unsigned i = 0; i < HC_ARRAY_SIZE(row); i++) {
			const struct x86_event event = { .valid = 1, .vector = 0x40 };
			unsigned width = bits / 8;

			make_machine(bits, 0);
			rig_descriptor(GDT + FREE, 0, 0xfffff,
			               row[i].target | X86_ATTR_G |
			                       (bits == 64 ? X86_ATTR_L : X86_ATTR_DB));
			put_gate(bits, 0x40, FREE, row[i].gate, 0x5678, 0);
			put_gate(bits, row[i].vector, CODE_OF(0), 0x8e, 0x7777, 0);
			assert_true(emu_deliver_event(&rig_cpu, &event));
			assert_int_equal(s->rip, 0x7777);
			assert_int_equal(rig_get(s->gpr[X86_RSP], width), row[i].code);
			assert_int_equal(rig_get(s->gpr[X86_RSP] + width, width), CODE);
			/* A fault pushes RF. */
			assert_true(rig_get(s->gpr[X86_RSP] + 3 * width, width) & X86_FLAG_RF);
		}
}

/* --- Table 6-5 --- */

enum { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT };

static unsigned class_of(unsigned vector)
{
	switch (vector) {
	case X86_VEC_DE:
	case X86_VEC_TS:
	case X86_VEC_NP:
	case X86_VEC_SS:
	case X86_VEC_GP: return CLASS_CONTRIBUTORY;
	case X86_VEC_PF: return CLASS_PAGE_FAULT;
	default: return CLASS_BENIGN;
	}
}

/* first's gate is broken so that its delivery raises second (#NP or #PF). */
static void try_double(unsigned first, unsigned second, bool df_present)
{
	const struct x86_fault fault = { .vector = (uint8_t)first,
		                         .has_error_code = true,
		                         .address = 0x123000 };
	unsigned a = class_of(first), b = class_of(second);
	bool is_double = (a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY) ||
	                 (a == CLASS_PAGE_FAULT && b != CLASS_BENIGN);
	bool delivered;

	make_machine(64, 0);
	put_gate(64, first, CODE_OF(0), second == X86_VEC_PF ? 0x8e : 0x0e, 0x1111,
	         second == X86_VEC_PF ? 1 : 0);
	rig_put(TSS + 0x24, RIG_MEMORY + 0x8000, 8); /* IST1: not mapped */
	if (first != second)
		put_gate(64, second, CODE_OF(0), 0x8e, 0x2222, 0);
	if (df_present)
		put_gate(64, X86_VEC_DF, CODE_OF(0), 0x8e, 0x3333, 0);
	rig_cpu.fault = fault;
	delivered = rig_deliver();
	if (is_double && !df_present) {
		assert_false(delivered);
		assert_int_equal(rig.exit.reason, HC_EXIT_SHUTDOWN);
		assert_int_equal(rig.exit.pc, CODE);
		return;
	}
	assert_true(delivered);
	assert_int_equal(rig.state.rip, is_double ? 0x3333 : 0x2222);
	if (is_double)
		assert_int_equal(rig_get(rig.state.gpr[X86_RSP], 8), 0);
	if (second == X86_VEC_PF)
		assert_int_equal(rig.state.cr2, RIG_MEMORY + 0x8000 - 48);
	else if (first == X86_VEC_PF)
		assert_int_equal(rig.state.cr2, 0x123000);
}

static void test_double_faults(void **state)
{
	static const uint8_t first[] = { X86_VEC_DE, X86_VEC_UD, X86_VEC_TS, X86_VEC_SS,
		                         X86_VEC_GP, X86_VEC_PF, X86_VEC_AC, X86_VEC_NM };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(first) * 4; i++) {
		unsigned second = i & 1 ? X86_VEC_NP : X86_VEC_PF;

		if (first[i / 4] == X86_VEC_PF && second == X86_VEC_PF && i & 2)
			continue; /* the same vector twice is in the other tests */
		try_double(first[i / 4], second, i & 2);
	}
}

/* An exit on the way keeps the event. */
static void test_exit_while_delivering(void **state)
{
	const struct x86_fault fault = {
		.vector = X86_VEC_PF, .has_error_code = true, .error_code = 7, .address = 0x4567
	};
	struct x86_events *e = &rig.state.events;

	make_machine(64, 3);
	put_gate(64, X86_VEC_PF, CODE_OF(0), 0x8e, 0x1111, 0);
	rig.page[(INNER - 1) / HC_PAGE_SIZE] = RIG_DEVICE;
	rig_cpu.fault = fault;
	assert_false(rig_deliver());
	assert_int_equal(rig.exit.reason, HC_EXIT_STAGE2);
	assert_int_equal(rig.state.rip, CODE);
	assert_int_equal(rig.state.cpl, 3);
	assert_true(e->reinject.valid);
	assert_int_equal(e->reinject.vector, X86_VEC_PF);
	assert_int_equal(e->reinject.error_code, 7);
	rig.page[(INNER - 1) / HC_PAGE_SIZE] = 0;
	assert_true(emu_deliver_event(&rig_cpu, &e->reinject));
	assert_false(e->reinject.valid);
	assert_int_equal(rig.state.rip, 0x1111);
	assert_int_equal(rig.state.cr2, 0x4567);
	assert_int_equal(rig_get(rig.state.gpr[X86_RSP], 8), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segment_loads),
		cmocka_unit_test(test_segment_tables),
		cmocka_unit_test(test_far_code),
		cmocka_unit_test(test_far_limits),
		cmocka_unit_test(test_gates),
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_inner_stacks),
		cmocka_unit_test(test_inner_stacks_long),
		cmocka_unit_test(test_error_codes),
		cmocka_unit_test(test_double_faults),
		cmocka_unit_test(test_exit_while_delivering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
