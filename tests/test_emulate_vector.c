/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves between vector registers and memory, made from a table in all encodings, against what the
 * table's columns say byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emu/x86_64/emulate.h"
#include <hypercore/errno.h>

#define CODE   0x1000u
#define DATA   0x2000u
#define BV     512 /* in the XSAVE area: XSTATE_BV */
#define XMM    160
#define YMM    576
#define SSE    2u
#define AVX    4u
#define ZMM    0x40u
#define ROUNDS 400

static uint64_t seed = UINT64_C(0x2545f4914f6cdd1d);

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * UINT64_C(0x9e3779b97f4a7c15);
}

static bool one_in(unsigned n)
{
	return rnd() % n == 0;
}

/* --- The instructions --- */

enum size { B4, B8, BY_W, VECTOR };
enum way { LOAD, STORE };
enum rest { ZERO, KEEP_HIGH, KEEP_LOW }; /* of the 16 bytes, what a load does not bring */

struct row {
	const char *name;
	uint8_t prefix, map, opcode;
	enum way way;
	enum size size;
	bool aligned;
	enum rest rest;
	bool any_length; /* VEX.L does not matter */
};

static const struct row rows[] = {
	{ "movups", 0x00, 1, 0x10, LOAD, VECTOR, false, ZERO, false },
	{ "movups", 0x00, 1, 0x11, STORE, VECTOR, false, ZERO, false },
	{ "movupd", 0x66, 1, 0x10, LOAD, VECTOR, false, ZERO, false },
	{ "movupd", 0x66, 1, 0x11, STORE, VECTOR, false, ZERO, false },
	{ "movss", 0xf3, 1, 0x10, LOAD, B4, false, ZERO, true },
	{ "movss", 0xf3, 1, 0x11, STORE, B4, false, ZERO, true },
	{ "movsd", 0xf2, 1, 0x10, LOAD, B8, false, ZERO, true },
	{ "movsd", 0xf2, 1, 0x11, STORE, B8, false, ZERO, true },
	{ "movlps", 0x00, 1, 0x12, LOAD, B8, false, KEEP_HIGH, false },
	{ "movlps", 0x00, 1, 0x13, STORE, B8, false, KEEP_HIGH, false },
	{ "movlpd", 0x66, 1, 0x12, LOAD, B8, false, KEEP_HIGH, false },
	{ "movlpd", 0x66, 1, 0x13, STORE, B8, false, KEEP_HIGH, false },
	{ "movhps", 0x00, 1, 0x16, LOAD, B8, false, KEEP_LOW, false },
	{ "movhps", 0x00, 1, 0x17, STORE, B8, false, KEEP_LOW, false },
	{ "movhpd", 0x66, 1, 0x16, LOAD, B8, false, KEEP_LOW, false },
	{ "movhpd", 0x66, 1, 0x17, STORE, B8, false, KEEP_LOW, false },
	{ "movaps", 0x00, 1, 0x28, LOAD, VECTOR, true, ZERO, false },
	{ "movaps", 0x00, 1, 0x29, STORE, VECTOR, true, ZERO, false },
	{ "movapd", 0x66, 1, 0x28, LOAD, VECTOR, true, ZERO, false },
	{ "movapd", 0x66, 1, 0x29, STORE, VECTOR, true, ZERO, false },
	{ "movntps", 0x00, 1, 0x2b, STORE, VECTOR, true, ZERO, false },
	{ "movntpd", 0x66, 1, 0x2b, STORE, VECTOR, true, ZERO, false },
	{ "movd", 0x66, 1, 0x6e, LOAD, BY_W, false, ZERO, false },
	{ "movd", 0x66, 1, 0x7e, STORE, BY_W, false, ZERO, false },
	{ "movq", 0xf3, 1, 0x7e, LOAD, B8, false, ZERO, false },
	{ "movq", 0x66, 1, 0xd6, STORE, B8, false, ZERO, false },
	{ "movdqa", 0x66, 1, 0x6f, LOAD, VECTOR, true, ZERO, false },
	{ "movdqa", 0x66, 1, 0x7f, STORE, VECTOR, true, ZERO, false },
	{ "movdqu", 0xf3, 1, 0x6f, LOAD, VECTOR, false, ZERO, false },
	{ "movdqu", 0xf3, 1, 0x7f, STORE, VECTOR, false, ZERO, false },
	{ "movntdq", 0x66, 1, 0xe7, STORE, VECTOR, true, ZERO, false },
	{ "lddqu", 0xf2, 1, 0xf0, LOAD, VECTOR, false, ZERO, false },
	{ "movntdqa", 0x66, 2, 0x2a, LOAD, VECTOR, true, ZERO, false },
};

/* One of its encodings. */
struct form {
	const struct row *row;
	bool mode_64, vex, w, l;
	unsigned reg, vvvv;
	uint8_t code[X86_INSN_MAX];
	unsigned n;
};

static void put(struct form *f, unsigned byte)
{
	f->code[f->n++] = (uint8_t)byte;
}

static void encode_vex(struct form *f)
{
	static const uint8_t prefixes[4] = { 0x00, 0x66, 0xf3, 0xf2 };
	unsigned pp = 0;

	while (prefixes[pp] != f->row->prefix)
		pp++;
	pp |= (f->l ? 4u : 0) | (~f->vvvv & 15u) << 3;
	if (f->row->map == 1 && !f->w && one_in(2)) {
		put(f, 0xc5);
		put(f, (f->reg < 8 ? 0x80u : 0) | pp);
	} else {
		put(f, 0xc4);
		put(f, (f->reg < 8 ? 0x80u : 0) | 0x60u | f->row->map);
		put(f, (f->w ? 0x80u : 0) | pp);
	}
}

static void encode_legacy(struct form *f)
{
	if (f->row->prefix)
		put(f, f->row->prefix);
	if (f->w || f->reg >= 8)
		put(f, 0x40u | (f->w ? 8u : 0) | (f->reg >= 8 ? 4u : 0));
	put(f, 0x0f);
	if (f->row->map == 2)
		put(f, 0x38);
}

/* [rbx] is the operand. */
static void make(struct form *f, const struct row *row)
{
	*f = (struct form){ .row = row, .mode_64 = !one_in(4), .vex = one_in(2) };
	f->reg = (unsigned)rnd() % (f->mode_64 ? 16 : 8);
	f->w = one_in(2) && (f->mode_64 || f->vex);
	if (f->vex) {
		f->l = one_in(2);
		f->vvvv = one_in(2) ? (unsigned)rnd() % (f->mode_64 ? 16 : 8) : 0;
		encode_vex(f);
	} else {
		encode_legacy(f);
	}
	put(f, row->opcode);
	put(f, (f->reg & 7) << 3 | X86_RBX);
}

static unsigned bytes_of(const struct form *f)
{
	switch (f->row->size) {
	case B4: return 4;
	case B8: return 8;
	case BY_W: return f->w && f->mode_64 ? 8 : 4;
	case VECTOR:
	default: return f->l ? 32 : 16;
	}
}

/* --- Memory --- */

static struct form form;
static uint8_t data[64]; /* at DATA */
static unsigned accesses, asked;
static bool fails;

static int test_fetch(void *opaque, gva_t address, void *bytes, unsigned len,
                      struct x86_fault *fault)
{
	memset(bytes, 0x90, len);
	memcpy(bytes, form.code, X86_INSN_MAX);
	return 0;
}

static int touch(gva_t address, unsigned len, bool write, struct x86_fault *fault)
{
	accesses++;
	assert_int_equal(asked, 1);
	assert_int_equal(len, bytes_of(&form));
	assert_int_equal(write, form.row->way == STORE);
	assert_in_range(address.v, DATA, DATA + sizeof(data) - len);
	*fault = (struct x86_fault){ X86_VEC_PF, true, X86_PF_W, address.v };
	return fails ? X86_EMULATE_FAULT : 0;
}

static int test_read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                     struct x86_fault *fault)
{
	int r = touch(address, len, false, fault);

	assert_int_equal(access, 0);
	if (!r)
		memcpy(value, data + (address.v - DATA), len);
	return r;
}

static int test_write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                      struct x86_fault *fault)
{
	int r = touch(address, len, true, fault);

	assert_int_equal(access, 0);
	if (!r)
		memcpy(data + (address.v - DATA), value, len);
	return r;
}

static void test_vector(void *opaque, bool change)
{
	asked++;
	assert_int_equal(change, form.row->way == LOAD);
}

static const struct x86_emulate_ops ops = { test_fetch, test_read, test_write, test_vector };

/* --- Registers --- */

static struct x86_state state;

typedef uint8_t file[16][32];

static uint64_t components(void)
{
	uint64_t bv;

	memcpy(&bv, state.xsave + BV, sizeof(bv));
	return bv;
}

/* What the guest would see. */
static void registers(file f)
{
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 16; k++) {
			f[i][k] = components() & SSE ? state.xsave[XMM + 16 * i + k] : 0;
			f[i][16 + k] = components() & AVX ? state.xsave[YMM + 16 * i + k] : 0;
		}
}

static void reset(bool rarely)
{
	uint64_t bv = rnd() % 8;

	memset(&state, 0, sizeof(state));
	for (size_t i = 0; i < sizeof(state.xsave); i++)
		state.xsave[i] = (uint8_t)rnd();
	memcpy(state.xsave + BV, &bv, sizeof(bv));
	state.cr0 = X86_CR0_PE;
	state.cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
	if (rarely && one_in(4))
		state.cr0 |= X86_CR0_TS;
	if (rarely && one_in(4))
		state.cr0 |= X86_CR0_EM;
	if (rarely && one_in(4))
		state.cr4 &= ~X86_CR4_OSFXSR;
	if (rarely && one_in(4))
		state.cr4 &= ~X86_CR4_OSXSAVE;
	state.xcr0 = rarely && one_in(4) ? 3 : 7;
	state.efer = form.mode_64 ? X86_EFER_LMA : 0;
	state.rflags = X86_FLAG_1;
	state.rip = CODE;
	for (unsigned i = 0; i < 6; i++)
		state.seg[i] = (struct x86_segment){ 8, 0xc93, UINT32_MAX, 0 };
	state.seg[X86_CS].attr = form.mode_64 ? 0xa9b : 0xc9b;
	state.gpr[X86_RBX] = DATA + (one_in(2) ? 0 : rnd() % 32);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rnd();
	accesses = asked = 0;
}

/* --- The naive expectation --- */

#define NO_FAULT 256u

static unsigned expected_fault(void)
{
	const struct row *row = form.row;
	bool merges = row->rest != ZERO && row->way == LOAD;

	if (!form.vex && (state.cr0 & X86_CR0_EM || !(state.cr4 & X86_CR4_OSFXSR)))
		return X86_VEC_UD;
	if (form.vex && (!(state.cr4 & X86_CR4_OSXSAVE) || state.xcr0 != 7))
		return X86_VEC_UD;
	if (form.vex && form.vvvv && !merges)
		return X86_VEC_UD;
	if (form.l && row->size != VECTOR && !row->any_length)
		return X86_VEC_UD;
	if (state.cr0 & X86_CR0_TS)
		return X86_VEC_NM;
	if (row->aligned && state.gpr[X86_RBX] % bytes_of(&form))
		return X86_VEC_GP;
	return fails ? X86_VEC_PF : NO_FAULT;
}

/* Byte k of the register after a load. */
static uint8_t loaded(file before, unsigned k)
{
	const uint8_t *memory = data + (state.gpr[X86_RBX] - DATA);
	unsigned first = form.row->rest == KEEP_LOW ? 8 : 0;

	if (k >= first && k < first + bytes_of(&form))
		return memory[k - first];
	if (k >= 16)
		return form.vex ? 0 : before[form.reg][k];
	if (form.row->rest == ZERO)
		return 0;
	return before[form.vex ? form.vvvv : form.reg][k];
}

static void check_done(file before, file after, const uint8_t *old_data)
{
	unsigned n = bytes_of(&form), first = form.row->rest == KEEP_LOW ? 8 : 0;
	size_t at = state.gpr[X86_RBX] - DATA;
	uint8_t expected[32];

	assert_int_equal(accesses, 1);
	assert_int_equal(state.rip, CODE + form.n);
	for (unsigned k = 0; k < 32; k++)
		expected[k] = form.row->way == LOAD ? loaded(before, k) : before[form.reg][k];
	memcpy(before[form.reg], expected, sizeof(expected));
	assert_memory_equal(before, after, sizeof(file));
	for (size_t i = 0; i < sizeof(data); i++) {
		bool stored = form.row->way == STORE && i >= at && i < at + n;

		assert_int_equal(data[i], stored ? after[form.reg][first + i - at] : old_data[i]);
	}
}

/* Of the state, all but RIP and the registers. */
static void check_rest(const struct x86_state *before)
{
	struct x86_state now = state;

	now.rip = before->rip;
	memcpy(now.xsave + XMM, before->xsave + XMM, 256);
	memcpy(now.xsave + YMM, before->xsave + YMM, 256);
	memcpy(now.xsave + BV, before->xsave + BV, 8);
	assert_memory_equal(&now, before, sizeof(now));
}

static void run_one(void)
{
	struct x86_emulate_ctx ctx = { .ops = &ops, .state = &state };
	static struct x86_state was;
	uint8_t before[16][32], after[16][32], old_data[sizeof(data)];
	unsigned fault = expected_fault();
	int r;

	was = state;
	registers(before);
	memcpy(old_data, data, sizeof(data));
	r = x86_emulate(&ctx);
	registers(after);
	check_rest(&was);
	if (fault == NO_FAULT) {
		assert_int_equal(r, X86_EMULATE_DONE);
		check_done(before, after, old_data);
		return;
	}
	assert_int_equal(r, X86_EMULATE_FAULT);
	assert_int_equal(ctx.fault.vector, fault);
	assert_int_equal(ctx.fault.has_error_code, fault == X86_VEC_GP || fault == X86_VEC_PF);
	assert_int_equal(accesses, fault == X86_VEC_PF);
	assert_int_equal(state.rip, CODE);
	assert_memory_equal(before, after, sizeof(after));
	assert_memory_equal(data, old_data, sizeof(data));
}

static void test_moves(void **unused)
{
	unsigned done = 0;

	for (unsigned i = 0; i < ROUNDS * HC_ARRAY_SIZE(rows); i++) {
		make(&form, &rows[i % HC_ARRAY_SIZE(rows)]);
		fails = one_in(8);
		reset(one_in(4));
		run_one();
		done += state.rip != CODE;
	}
	assert_true(done > ROUNDS * HC_ARRAY_SIZE(rows) / 4);
}

static int emulate(const struct x86_emulate_ops *with)
{
	struct x86_emulate_ctx ctx = { .ops = with, .state = &state };

	return x86_emulate(&ctx);
}

/* Where nobody gives the registers, between registers, arithmetic, MMX: left to the caller. */
static void test_not_emulated(void **unused)
{
	static const uint8_t others[][4] = { { 0x0f, 0x10, 0xc1 },   /* movups xmm0, xmm1 */
		                             { 0x0f, 0x58, 0x03 },   /* addps xmm0, [rbx] */
		                             { 0x0f, 0x6f, 0x03 },   /* movq mm0, [rbx] */
		                             { 0x0f, 0xe7, 0x03 } }; /* movntq [rbx], mm0 */
	const struct x86_emulate_ops without = { test_fetch, test_read, test_write, NULL };

	fails = false;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		make(&form, &rows[i]);
		reset(false);
		assert_int_equal(emulate(&without), -EOPNOTSUPP);
	}
	for (unsigned i = 0; i < HC_ARRAY_SIZE(others); i++) {
		form = (struct form){ .row = &rows[0], .mode_64 = true, .n = 3 };
		memcpy(form.code, others[i], 4);
		reset(false);
		assert_int_equal(emulate(&ops), -EOPNOTSUPP);
		assert_int_equal(accesses, 0);
		assert_int_equal(state.rip, CODE);
	}
}

/* A VEX prefix would have to clear the upper half of a ZMM register, of which nothing is known. */
static void test_zmm(void **unused)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		make(&form, &rows[i % HC_ARRAY_SIZE(rows)]);
		fails = false;
		reset(false);
		if (expected_fault() != NO_FAULT)
			continue;
		state.xsave[BV] |= ZMM;
		if (form.vex && form.row->way == LOAD)
			assert_int_equal(emulate(&ops), -EOPNOTSUPP);
		else
			run_one();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_not_emulated),
		cmocka_unit_test(test_zmm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
