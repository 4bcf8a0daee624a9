/* SPDX-License-Identifier: BSD-2-Clause */
/* The software CPU's descriptor queries and table registers, segment registers on the stack, real
 * and virtual-8086 mode. */
#include <string.h>

#include "emu_sys_check.h"

/* --- Questions about descriptors --- */

/* SDM Vol. 2A, LAR (table 3-52), LSL (3-56), VERR/VERW: whether ZF is set. */
static bool model_query(char what, unsigned attr, unsigned cpl, unsigned rpl, bool is_long)
{
	unsigned type = attr & 0xf, dpl = attr >> 5 & 3;
	bool s = attr & 0x10, code = s && type & 8;
	static const char legacy_lar[] = "1234591BC", long_lar[] = "29BC";
	static const char legacy_lsl[] = "12391B", long_lsl[] = "29B";
	const char *set = what == 'a' ? is_long ? long_lar : legacy_lar
	                  : is_long   ? long_lsl
	                              : legacy_lsl;

	if (!(code && type & 4) && (cpl > dpl || rpl > dpl))
		return false;
	switch (what) {
	case 'r': return s && (!code || type & 2);
	case 'w': return s && !code && type & 2;
	default: return s || (type && strchr(set, "0123456789ABCDEF"[type]));
	}
}

static void try_query(unsigned i, bool is_long)
{
	static const uint8_t insn[4][3] = {
		{ 0x0f, 0x02, 0xd8 },
		{ 0x0f, 0x03, 0xd8 },
		{ 0x0f, 0x00, 0xe0 },
		{ 0x0f, 0x00, 0xe8 },
	};
	unsigned which = i >> 12 & 3, attr = i & 0xff, cpl = i >> 8 & 3, rpl = i >> 10 & 3;
	bool want = model_query("alrw"[which], attr, cpl, rpl, is_long);
	struct x86_state *s = &rig.state;

	flat(is_long ? 64 : 32, cpl);
	rig_descriptor(GDT + 0x20, 0x12345678, 0x54321, attr | X86_ATTR_G);
	s->gpr[X86_RAX] = 0x20 | rpl;
	s->gpr[X86_RBX] = 0x1234567812345678;
	s->rflags |= want ? 0 : X86_FLAG_ZF;
	check_ok(rig_do(insn[which], 3));
	assert_int_equal((s->rflags & X86_FLAG_ZF) != 0, want);
	if (which > 1 || !want)
		assert_int_equal(s->gpr[X86_RBX], 0x1234567812345678);
	else if (which == 0)
		assert_int_equal(s->gpr[X86_RBX] & 0x00f0ff00, 0x00800000 | attr << 8);
	else
		assert_int_equal(s->gpr[X86_RBX], 0x54321fff);
}

static void test_queries(void **state)
{
	for (unsigned i = 0; i < 1 << 14; i++) {
		try_query(i, false);
		try_query(i, true);
	}
	flat(32, 0);
	rig.state.gpr[X86_RAX] = 0;
	rig.state.rflags |= X86_FLAG_ZF;
	check_ok(DO(0x0f, 0x02, 0xd8));
	assert_false(rig.state.rflags & X86_FLAG_ZF);
	vm86(3);
	check_ud(DO(0x0f, 0x02, 0xd8));
	check_ud(DO(0x0f, 0x00, 0xd8));
	check_ud(DO(0x63, 0xd8));
}

static void test_arpl(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned i = 0; i < 16; i++) {
		unsigned dst = 0x1230 | (i & 3), src = 0x4560 | i >> 2;
		bool adjust = (dst & 3) < (src & 3);

		flat(32, 3);
		s->gpr[X86_RAX] = 0xaaaa0000 | dst;
		s->gpr[X86_RBX] = src;
		check_ok(DO(0x63, 0xd8));
		assert_int_equal(s->gpr[X86_RAX], 0xaaaa1230 | (adjust ? src & 3 : dst & 3));
		assert_int_equal((s->rflags & X86_FLAG_ZF) != 0, adjust);
	}
}

/* --- Table registers --- */

static void test_lldt_ltr(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned i = 0; i < 256 * 2 * 2; i++) {
		unsigned attr = i & 0xff, type = attr & 0x1f;
		bool ltr = i >> 8 & 1, is_long = i >> 9 & 1;
		bool right = ltr ? type == 9 || (!is_long && type == 1) : type == 2;
		enum rig_result r;

		flat(is_long ? 64 : 32, 0);
		rig_descriptor(GDT + 0x20, 0x12345678, 0x67, attr);
		rig_put(GDT + 0x28, 0xffff8000, 8);
		s->gpr[X86_RAX] = 0x20;
		r = ltr ? DO(0x0f, 0x00, 0xd8) : DO(0x0f, 0x00, 0xd0);
		if (!right) {
			check_raised(r, X86_VEC_GP, 0x20);
		} else if (!(attr & 0x80)) {
			check_raised(r, X86_VEC_NP, 0x20);
		} else {
			const struct x86_segment *g = &s->seg[ltr ? X86_TR : X86_LDTR];

			check_ok(r);
			assert_int_equal(g->base, is_long ? 0xffff800012345678 : 0x12345678);
			assert_int_equal(g->limit, 0x67);
			assert_int_equal(g->attr, ltr ? attr | 2 : attr);
			assert_int_equal(rig_get(GDT + 0x25, 1), ltr ? attr | 2 : attr);
		}
	}
	flat(64, 0);
	s->gpr[X86_RAX] = 4;
	check_raised(DO(0x0f, 0x00, 0xd0), X86_VEC_GP, 4);
	s->gpr[X86_RAX] = 0x24;
	check_raised(DO(0x0f, 0x00, 0xd0), X86_VEC_GP, 0x24);
	s->gpr[X86_RAX] = 0;
	check_gp(DO(0x0f, 0x00, 0xd8));
	check_ok(DO(0x0f, 0x00, 0xd0));
	assert_false(s->seg[X86_LDTR].attr & X86_ATTR_P);
	for (unsigned bit = 32; bit < 64; bit++) { /* SDM Vol. 3A 7.2.3: type 0 in the upper half */
		flat(64, 0);
		s->gpr[X86_RAX] = 0x20;
		rig_descriptor(GDT + 0x20, 0x12345678, 0x67, 0x89);
		rig_put(GDT + 0x28, 1ull << bit, 8);
		if (bit >= 40 && bit < 45)
			check_raised(DO(0x0f, 0x00, 0xd8), X86_VEC_GP, 0x20);
		else
			check_ok(DO(0x0f, 0x00, 0xd8));
	}
	s->gpr[X86_RAX] = 0x20; /* a base that is not canonical */
	rig_descriptor(GDT + 0x20, 0, 0x67, 0x89);
	rig_put(GDT + 0x28, 0x00008000, 8);
	check_raised(DO(0x0f, 0x00, 0xd8), X86_VEC_GP, 0x20);
	s->cpl = 3;
	check_gp(DO(0x0f, 0x00, 0xd8));
	check_gp(DO(0x0f, 0x00, 0xd0));
}

static void test_lgdt(void **state)
{
	struct x86_state *s = &rig.state;

	flat(64, 0);
	rig_put(DATA, 0x1234, 2);
	rig_put(DATA + 2, 0xffff800000001000, 8);
	check_ok(DO(0x0f, 0x01, 0x10));
	assert_int_equal(s->gdtr.limit, 0x1234);
	assert_int_equal(s->gdtr.base, 0xffff800000001000);
	s->gpr[X86_RAX] = DATA + 0x20;
	check_ok(DO(0x0f, 0x01, 0x00));
	assert_memory_equal(rig.memory + DATA, rig.memory + DATA + 0x20, 10);
	rig_put(DATA + 0x22, HC_BIT(47), 8);
	check_gp(DO(0x0f, 0x01, 0x18));
	s->cpl = 3;
	check_gp(DO(0x0f, 0x01, 0x18));
	flat(32, 0);
	rig_put(DATA, 0x12345678abcd, 8);
	check_ok(DO(0x66, 0x0f, 0x01, 0x18));
	assert_int_equal(s->idtr.limit, 0xabcd);
	assert_int_equal(s->idtr.base, 0x345678);
	check_ok(DO(0x0f, 0x01, 0x18));
	assert_int_equal(s->idtr.base, 0x12345678);
}

/* --- Pushes, pops and far pointers of segment registers --- */

static void test_push_pop_sreg(void **state)
{
	struct x86_state *s = &rig.state;

	flat(32, 0);
	rig_descriptor(GDT + 0x20, 0x1000, 0xffff, 0x92);
	s->seg[X86_ES].selector = 0x20;
	check_ok(DO(0x06));
	assert_int_equal(s->gpr[X86_RSP], STACK - 4);
	check_ok(DO(0x1f)); /* POP DS */
	assert_int_equal(s->gpr[X86_RSP], STACK);
	assert_int_equal(s->seg[X86_DS].base, 0x1000);
	check_ok(DO(0x66, 0x0f, 0xa8));
	assert_int_equal(s->gpr[X86_RSP], STACK - 2);
	rig_put(STACK - 2, 0x20, 2);
	check_ok(DO(0x66, 0x17)); /* POP SS: a 16-bit stack from here on */
	assert_int_equal(s->events.interrupt_shadow, EMU_SHADOW_MOV_SS);
	assert_int_equal(s->gpr[X86_RSP], STACK);
	rig_put(STACK + 0x1000, 0x28, 2);
	check_raised(DO(0x66, 0x1f), X86_VEC_GP, 0x28);
	assert_int_equal(s->gpr[X86_RSP], STACK);
	flat(32, 0);
	rig_descriptor(GDT + 0x20, 0x1000, 0xffff, 0x92);
	rig_put(DATA, 0x2055667788, 8);
	check_ok(DO(0x0f, 0xb5, 0x18)); /* LGS EBX, [EAX] */
	assert_int_equal(s->gpr[X86_RBX], 0x55667788);
	assert_int_equal(s->seg[X86_GS].selector, 0x20);
	rig_put(DATA, 0x2855667788, 8);
	check_raised(DO(0xc5, 0x18), X86_VEC_GP, 0x28);
	flat(64, 3);
	s->seg[X86_FS].selector = 0x33;
	check_ok(DO(0x48, 0x8c, 0xe3)); /* MOV RBX, FS */
	assert_int_equal(s->gpr[X86_RBX], 0x33);
}

/* --- Real mode --- */

static void test_real_mode(void **state)
{
	struct x86_state *s = &rig.state;

	rig_reset();
	s->seg[X86_CS].selector = 0x100;
	s->seg[X86_CS].base = 0x1000;
	s->seg[X86_SS].selector = 0x800;
	s->seg[X86_SS].base = 0x8000;
	s->rip = 0x20;
	s->gpr[X86_RSP] = 0xaaaa0000 | 4; /* the frame wraps around */
	s->rflags = 0x2 | X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_CF;
	rig_put(0x21 * 4, 0x02000123, 4);
	check_ok(DO(0xcd, 0x21));
	assert_int_equal(s->rip, 0x123);
	assert_int_equal(s->seg[X86_CS].base, 0x2000);
	assert_int_equal(s->seg[X86_CS].selector, 0x200);
	assert_int_equal(s->gpr[X86_RSP], 0xaaaafffe);
	assert_int_equal(rig_get(0x8000 + 2, 2), 0x303);
	assert_int_equal(rig_get(0x8000, 2), 0x100);
	assert_int_equal(rig_get(0x8000 + 0xfffe, 2), 0x22);
	assert_int_equal(s->rflags, 0x3);
	check_ok(DO(0xcf));
	assert_int_equal(s->rip, 0x22);
	assert_int_equal(s->seg[X86_CS].base, 0x1000);
	assert_int_equal(s->gpr[X86_RSP], 0xaaaa0004);
	assert_int_equal(s->rflags, 0x303);
	/* An exception pushes no error code; the table's end is a triple fault. */
	rig_put(X86_VEC_GP * 4, 0x03000456, 4);
	rig_cpu.fault = (struct x86_fault){ .vector = X86_VEC_GP, .has_error_code = true };
	assert_true(rig_deliver());
	assert_int_equal(s->rip, 0x456);
	assert_int_equal(s->gpr[X86_RSP], 0xaaaafffe);
	s->idtr.limit = X86_VEC_GP * 4;
	rig_cpu.fault.vector = X86_VEC_GP;
	assert_true(rig_deliver()); /* by #DF, vector 8 */
	assert_int_equal(s->rip, 0);
	s->idtr.limit = 0x1f;
	rig_cpu.fault.vector = X86_VEC_GP;
	assert_false(rig_deliver());
	assert_int_equal(rig.exit.reason, HC_EXIT_SHUTDOWN);
}

static void test_real_far(void **state)
{
	struct x86_state *s = &rig.state;

	rig_reset();
	s->rip = 0x100;
	s->gpr[X86_RSP] = 0x8000;
	check_ok(DO(0x9a, 0x34, 0x12, 0x00, 0x01)); /* CALL 100h:1234h */
	assert_int_equal(s->rip, 0x1234);
	assert_int_equal(s->seg[X86_CS].base, 0x1000);
	assert_int_equal(rig_get(0x7ffc, 4), 0x105);
	check_ok(DO(0xca, 0x06, 0x00)); /* RET 6 */
	assert_int_equal(s->rip, 0x105);
	assert_int_equal(s->seg[X86_CS].base, 0);
	assert_int_equal(s->gpr[X86_RSP], 0x8006);
	check_gp(DO(0x66, 0xea, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00)); /* JMP 0:10000h */
	check_ok(DO(0xea, 0x00, 0x02, 0x00, 0x00));
	/* Limits stay: "unreal" mode. */
	s->seg[X86_DS].limit = UINT32_MAX;
	s->gpr[X86_RAX] = 0x123;
	check_ok(DO(0x8e, 0xd8));
	assert_int_equal(s->seg[X86_DS].limit, UINT32_MAX);
	assert_int_equal(s->seg[X86_DS].base, 0x1230);
	/* Instructions that real mode does not have. */
	check_ud(DO(0x0f, 0x00, 0xd0));
	check_ud(DO(0x0f, 0x00, 0xc0));
	check_gp(DO(0x0f, 0x34));
	check_ok(DO(0xfa));
}

/* --- Virtual-8086 mode --- */

#define R0_CODE  0x08u
#define R0_STACK 0x10u

static void test_vm86(void **state)
{
	struct x86_state *s = &rig.state;

	vm86(3);
	rig_descriptor(GDT + R0_CODE, 0, 0xfffff, 0x9b | X86_ATTR_G | X86_ATTR_DB);
	rig_descriptor(GDT + R0_STACK, 0, 0xfffff, 0x93 | X86_ATTR_G | X86_ATTR_DB);
	rig_put(TSS + 4, 0xc000, 4);
	rig_put(TSS + 8, R0_STACK, 2);
	rig_put(IDT + 0x20 * 8, 0x1111 | R0_CODE << 16 | 0xeeull << 40, 8);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS)
			emu_set_vm86(s, i, (uint16_t)(0x10 * (i + 1)));
	check_ok(DO(0xcd, 0x20));
	assert_int_equal(s->cpl, 0);
	assert_int_equal(s->rip, 0x1111);
	assert_int_equal(s->gpr[X86_RSP], 0xc000 - 9 * 4);
	assert_int_equal(s->rflags, 0x3002);
	assert_int_equal(s->seg[X86_DS].attr & X86_ATTR_P, 0);
	assert_int_equal(s->seg[X86_SS].selector, R0_STACK);
	assert_int_equal(rig_get(0xc000 - 36, 4), CODE + 2);
	assert_int_equal(rig_get(0xc000 - 28, 4), 0x23002);
	assert_int_equal(rig_get(0xc000 - 24, 4), STACK);
	assert_int_equal(rig_get(0xc000 - 20, 4), 0x30);
	assert_int_equal(rig_get(0xc000 - 16, 4), 0x10);
	assert_int_equal(rig_get(0xc000 - 12, 4), 0x40);
	assert_int_equal(rig_get(0xc000 - 8, 4), 0x50);
	assert_int_equal(rig_get(0xc000 - 4, 4), 0x60);
	check_ok(DO(0xcf));
	assert_int_equal(s->cpl, 3);
	assert_int_equal(s->rip, CODE + 2);
	assert_int_equal(s->rflags, 0x23002);
	assert_int_equal(s->gpr[X86_RSP], STACK);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		assert_int_equal(s->seg[i].base, i == X86_CS ? 0 : 0x100 * (i + 1));
	/* The handler has to be of level 0, and the gate for level 3. */
	rig_descriptor(GDT + R0_CODE, 0, 0xfffff, 0x9f | X86_ATTR_G | X86_ATTR_DB);
	check_raised(DO(0xcd, 0x20), X86_VEC_GP, R0_CODE);
	rig_put(IDT + 0x20 * 8 + 5, 0x8e, 1);
	check_raised(DO(0xcd, 0x20), X86_VEC_GP, 0x102);
}

/* --- Anything, anywhere --- */

/* Bytes that begin system instructions; what follows is random. */
static const uint8_t openings[][3] = {
	{ 1, 0x06 },       { 1, 0x07 },       { 1, 0x17 },       { 1, 0x1f },
	{ 1, 0x63 },       { 1, 0x8c },       { 1, 0x8e },       { 1, 0x8e },
	{ 1, 0x9a },       { 1, 0x9c },       { 1, 0x9d },       { 1, 0xc4 },
	{ 1, 0xca },       { 1, 0xcb },       { 1, 0xcc },       { 1, 0xcd },
	{ 1, 0xce },       { 1, 0xcf },       { 1, 0xcf },       { 1, 0xea },
	{ 1, 0xfa },       { 1, 0xfb },       { 1, 0xff },       { 1, 0xec },
	{ 2, 0x0f, 0x00 }, { 2, 0x0f, 0x01 }, { 2, 0x0f, 0x02 }, { 2, 0x0f, 0x03 },
	{ 2, 0x0f, 0x05 }, { 2, 0x0f, 0x07 }, { 2, 0x0f, 0x20 }, { 2, 0x0f, 0x22 },
	{ 2, 0x0f, 0x23 }, { 2, 0x0f, 0x34 }, { 2, 0x0f, 0x35 }, { 2, 0x0f, 0xa1 },
	{ 2, 0x0f, 0xb2 }, { 2, 0x0f, 0xb4 }, { 1, 0xf1 },
};

static uint64_t any_value(uint64_t *seed)
{
	switch (test_below(seed, 6)) {
	case 0: return test_random(seed);
	case 1: return test_below(seed, 0x100) & ~4ull; /* a selector */
	case 2: return HC_BIT(47) - 1 + test_below(seed, 3);
	default: return test_below(seed, RIG_MEMORY);
	}
}

static void any_machine(uint64_t *seed)
{
	struct x86_state *s = &rig.state;
	unsigned kind = (unsigned)test_below(seed, 8);

	if (kind == 0)
		rig_reset();
	else if (kind == 1)
		vm86((unsigned)test_below(seed, 4));
	else
		flat(kind < 4 ? 32 : kind == 4 ? 16 : 64, (unsigned)test_below(seed, 4));
	for (unsigned i = 0; i < 0x100; i += 8)
		rig_descriptor(GDT + i, (uint32_t)test_below(seed, 0x1000),
		               (uint32_t)test_random(seed) & 0xfffff,
		               (unsigned)test_random(seed) & 0xfff);
	for (unsigned i = 0; i < 0x1000; i += 8)
		rig_put(IDT + i,
		        test_below(seed, 0x10000) | test_below(seed, 0x100) << 16 |
		                (test_random(seed) & 0x6f) << 40 | UINT64_C(0x8e) << 40,
		        8);
	for (unsigned i = 0; i < 0x70; i += 4)
		rig_put(TSS + i, any_value(seed), 4);
	for (unsigned i = 0; i < 64; i++)
		rig_put(STACK + 2 * i, any_value(seed), 2);
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		s->gpr[i] = any_value(seed);
	s->gpr[X86_RSP] = test_below(seed, 4) ? STACK : any_value(seed);
	s->efer |= test_below(seed, 2) ? X86_EFER_SCE : 0;
	s->msr_star = test_random(seed);
	s->msr_lstar = s->msr_cstar = CODE;
	s->msr_sysenter_cs = any_value(seed);
	s->rflags |= test_random(seed) & 0x247fd5;
	s->rip = CODE;
}

/* Whatever happened, the registers are such that a CPU can have them. */
static void check_sane(void)
{
	const struct x86_state *s = &rig.state;
	const struct x86_segment *cs = &s->seg[X86_CS], *ss = &s->seg[X86_SS];

	assert_true(s->rflags & X86_FLAG_1);
	assert_int_equal(s->rflags & ~UINT64_C(0x3f7fd7), 0); /* SYSRET loads VIF and VIP */
	if (!(s->cr0 & X86_CR0_PE)) {
		assert_int_equal(s->cpl, 0);
		return;
	}
	if (s->rflags & X86_FLAG_VM) {
		assert_int_equal(s->cpl, 3);
		assert_int_equal(cs->attr, 0xf3);
		assert_int_equal(cs->base, (uint64_t)cs->selector << 4);
		return;
	}
	assert_int_equal(cs->selector & 3, s->cpl);
	assert_int_equal(cs->attr & 0x98, 0x98);
	assert_true(X86_ATTR_DPL(cs->attr) == s->cpl ||
	            (cs->attr & 4 && X86_ATTR_DPL(cs->attr) < s->cpl));
	assert_int_equal(X86_ATTR_DPL(ss->attr), s->cpl);
	if (ss->attr & X86_ATTR_P)
		assert_int_equal(ss->attr & 0x1a, 0x12);
	else
		assert_true(s->efer & X86_EFER_LMA);
	if (rig_cpu.mode & EMU_MODE_64)
		assert_true(emu_is_canonical(s, s->rip));
	else
		assert_int_equal(s->rip >> 32, 0);
}

static bool can_fetch(void)
{
	const struct x86_state *s = &rig.state;
	uint64_t base = rig_cpu.mode & EMU_MODE_64 ? 0 : s->seg[X86_CS].base;

	return s->rip < RIG_MEMORY && base + s->rip + 2 * X86_INSN_MAX < RIG_MEMORY;
}

static void any_insn(uint64_t *seed)
{
	const uint8_t *opening = openings[test_below(seed, HC_ARRAY_SIZE(openings))];
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = 0;

	if (test_below(seed, 4) == 0)
		bytes[n++] = 0x66;
	if (test_below(seed, 3) == 0 && rig_cpu.mode & EMU_MODE_64)
		bytes[n++] = 0x48;
	memcpy(bytes + n, opening + 1, opening[0]);
	n += opening[0];
	while (n < sizeof(bytes))
		bytes[n++] = (uint8_t)test_random(seed);
	if (rig_do(bytes, sizeof(bytes)) == RIG_FAULT)
		rig_deliver();
}

static void test_anything(void **state)
{
	uint64_t seed = 7;

	for (unsigned i = 0; i < test_rounds(10000); i++) {
		any_machine(&seed);
		for (unsigned n = 0; n < 8 && can_fetch(); n++) {
			any_insn(&seed);
			check_sane();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries),       cmocka_unit_test(test_arpl),
		cmocka_unit_test(test_lldt_ltr),      cmocka_unit_test(test_lgdt),
		cmocka_unit_test(test_push_pop_sreg), cmocka_unit_test(test_real_mode),
		cmocka_unit_test(test_real_far),      cmocka_unit_test(test_vm86),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
