/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoder and emulator where no oracle helps: bytes that end early, garbage, memory that fails at
 * each access, faults of segmentation, restarts, and instructions that the oracles lack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emu/x86_64/alu.h"
#include "emu/x86_64/emulate.h"
#include <hypercore/errno.h>

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static const enum x86_mode modes[3] = { X86_MODE_16, X86_MODE_32, X86_MODE_64 };

/* The decoder */

/* The same verdict from as many bytes as the instruction has or more; from fewer, -EAGAIN. */
static void check_truncations(const uint8_t *bytes, enum x86_mode mode)
{
	struct x86_insn in, part;
	int whole = x86_decode(&in, bytes, X86_INSN_MAX, mode);

	if (whole < 0) {
		assert_true(whole == -EINVAL || whole == -EPROTO);
		for (unsigned n = 0; n < X86_INSN_MAX; n++) {
			int r = x86_decode(&part, bytes, n, mode);

			assert_true(r == -EAGAIN || r == -EINVAL);
		}
		return;
	}
	assert_in_range(whole, 1, X86_INSN_MAX);
	assert_int_equal(in.length, whole);
	assert_in_range(in.op, X86_OP_UNDEFINED + 1, X86_OP_COUNT - 1);
	assert_in_range(in.form, 0, X86_FORM_LAST_OPERANDS);
	assert_string_not_equal(x86_op_name(in.op), "?");
	assert_int_equal(x86_decode_length(bytes, X86_INSN_MAX, mode), whole);
	for (unsigned n = 0; n <= X86_INSN_MAX; n++) {
		int r = x86_decode(&part, bytes, n, mode);

		assert_int_equal(r, n < (unsigned)whole ? -EAGAIN : whole);
		assert_int_equal(x86_decode_length(bytes, n, mode), r);
	}
}

static void test_truncation(void **state)
{
	for (unsigned i = 0; i < 100000; i++) {
		/* Exactly the bytes that may be read, for the sanitizer to see. */
		uint8_t bytes[X86_INSN_MAX];

		for (unsigned k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)rnd();
		if (i % 2)
			bytes[0] = 0x0f;
		check_truncations(bytes, modes[i % 3]);
	}
}

static void test_garbage(void **state)
{
	static uint8_t garbage[1 << 20];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)rnd();
	for (size_t i = 0; i < sizeof(garbage); i++) {
		struct x86_insn in;
		int r = x86_decode(&in, garbage + i, sizeof(garbage) - i, modes[i % 3]);

		assert_true((r >= 1 && r <= X86_INSN_MAX) || r == -EINVAL || r == -EPROTO ||
		            r == -EAGAIN);
	}
}

static void test_too_long(void **state)
{
	static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64,
		                            0x65, 0x66, 0x67, 0xf2, 0xf3 };
	struct x86_insn in;
	uint8_t bytes[20];

	for (unsigned m = 0; m < 3; m++)
		for (unsigned n = 0; n < 18; n++) {
			for (unsigned i = 0; i < n; i++)
				bytes[i] = prefixes[rnd() % sizeof(prefixes)];
			bytes[n] = 0x88; /* mov [...], al */
			bytes[n + 1] = 0x00;
			assert_int_equal(x86_decode(&in, bytes, n + 2, modes[m]),
			                 n + 2 <= X86_INSN_MAX ? (int)n + 2 : -EPROTO);
		}
}

/* REX counts only as the last prefix (SDM Vol. 2A 2.2.1); ES to DS overrides never in 64 bits. */
static void test_prefix_order(void **state)
{
	static const uint8_t rex_first[] = { 0x4f, 0x66, 0x8b, 0x00 };
	static const uint8_t rex_last[] = { 0x66, 0x4f, 0x8b, 0x00 };
	static const uint8_t segments[] = { 0x65, 0x2e, 0x8b, 0x00 };
	static const uint8_t repeats[] = { 0xf2, 0xf3, 0x90 };
	struct x86_insn in;

	assert_int_equal(x86_decode(&in, rex_first, 4, X86_MODE_64), 4);
	assert_true(in.rex == 0 && in.opsize == 2 && in.base == X86_RAX && in.reg == X86_RAX);
	assert_int_equal(x86_decode(&in, rex_last, 4, X86_MODE_64), 4);
	assert_true(in.rex == 0x4f && in.opsize == 8 && in.base == X86_R8 && in.reg == X86_R8);
	assert_int_equal(x86_decode(&in, segments, 4, X86_MODE_64), 4);
	assert_int_equal(in.seg, X86_GS);
	assert_int_equal(x86_decode(&in, segments, 4, X86_MODE_32), 4);
	assert_int_equal(in.seg, X86_CS);
	assert_int_equal(x86_decode(&in, repeats, 3, X86_MODE_64), 3);
	assert_int_equal(in.op, X86_OP_PAUSE);
}

static void test_lock(void **state)
{
	static const struct {
		uint8_t bytes[5];
		bool allowed;
	} table[] = {
		{ { 0xf0, 0x01, 0x00 }, true },        /* add [rax], eax */
		{ { 0xf0, 0x01, 0xc0 }, false },       /* add eax, eax */
		{ { 0xf0, 0x03, 0x00 }, false },       /* add eax, [rax] */
		{ { 0xf0, 0x39, 0x00 }, false },       /* cmp */
		{ { 0xf0, 0x89, 0x00 }, false },       /* mov */
		{ { 0xf0, 0x87, 0x00 }, true },        /* xchg */
		{ { 0xf0, 0x0f, 0xc7, 0x08 }, true },  /* cmpxchg8b */
		{ { 0xf0, 0x0f, 0xa3, 0x00 }, false }, /* bt */
		{ { 0xf0, 0x0f, 0xab, 0x00 }, true },  /* bts */
		{ { 0xf0, 0x0f, 0xa2 }, false },       /* cpuid */
		{ { 0xf0, 0xf4 }, false },             /* hlt */
	};

	for (size_t i = 0; i < HC_ARRAY_SIZE(table); i++) {
		struct x86_insn in;
		int r = x86_decode(&in, table[i].bytes, 5, X86_MODE_64);

		assert_int_equal(r > 0, table[i].allowed);
	}
}

/* Lengths of what exits without a next RIP. */
static void test_exit_lengths(void **state)
{
	static const struct {
		uint8_t bytes[8];
		int length;
		uint16_t op;
	} table[] = {
		{ { 0x0f, 0xa2 }, 2, X86_OP_CPUID },
		{ { 0x0f, 0x32 }, 2, X86_OP_RDMSR },
		{ { 0x0f, 0x30 }, 2, X86_OP_WRMSR },
		{ { 0x0f, 0x31 }, 2, X86_OP_RDTSC },
		{ { 0x66, 0x0f, 0xa2 }, 3, X86_OP_CPUID },
		{ { 0xf4 }, 1, X86_OP_HLT },
		{ { 0x0f, 0x01, 0xd9 }, 3, X86_OP_VMMCALL },
		{ { 0x0f, 0x01, 0xc1 }, 3, X86_OP_VMCALL },
		{ { 0x0f, 0x01, 0xd1 }, 3, X86_OP_XSETBV },
		{ { 0x0f, 0x01, 0xf9 }, 3, X86_OP_RDTSCP },
		{ { 0x0f, 0x01, 0x38 }, 3, X86_OP_INVLPG },
		{ { 0x41, 0x0f, 0x01, 0x78, 0x10 }, 5, X86_OP_INVLPG },
		{ { 0x0f, 0x22, 0xc0 }, 3, X86_OP_MOV_TO_CR },
		{ { 0x44, 0x0f, 0x20, 0xc0 }, 4, X86_OP_MOV_FROM_CR },
		{ { 0x0f, 0x22, 0x04 }, 3, X86_OP_MOV_TO_CR }, /* mod is ignored */
		{ { 0x0f, 0x23, 0xf8 }, 3, X86_OP_MOV_TO_DR },
		{ { 0xe4, 0x60 }, 2, X86_OP_IN },
		{ { 0x66, 0xef }, 2, X86_OP_OUT },
		{ { 0xf3, 0x6e }, 2, X86_OP_OUTS },
		{ { 0x0f, 0x09 }, 2, X86_OP_WBINVD },
		{ { 0xf3, 0x90 }, 2, X86_OP_PAUSE },
	};

	for (size_t i = 0; i < HC_ARRAY_SIZE(table); i++) {
		struct x86_insn in;

		assert_int_equal(x86_decode(&in, table[i].bytes, 8, X86_MODE_64), table[i].length);
		assert_int_equal(in.op, table[i].op);
		assert_int_equal(x86_decode_length(table[i].bytes, 8, X86_MODE_64),
		                 table[i].length);
	}
}

/* The emulator, on 16 KiB of memory at 0 */

#define MEMORY_SIZE 0x4000u
#define CODE        0x1000u

static uint8_t memory[MEMORY_SIZE];
static unsigned accesses, fail_at; /* the fail_at-th access fails; 0: none */
static unsigned seen_access;       /* all flags seen */
static uint64_t last_address;

static int touch(gva_t address, unsigned len, struct x86_fault *fault)
{
	last_address = address.v;
	if (++accesses == fail_at) {
		*fault = (struct x86_fault){ X86_VEC_PF, true, X86_PF_W, address.v };
		return X86_EMULATE_FAULT;
	}
	return address.v < MEMORY_SIZE && address.v + len <= MEMORY_SIZE ? 0 : -EFAULT;
}

static int test_fetch(void *opaque, gva_t address, void *bytes, unsigned len,
                      struct x86_fault *fault)
{
	int r = touch(address, len, fault);

	assert_true(address.v / HC_PAGE_SIZE == (address.v + len - 1) / HC_PAGE_SIZE);
	if (!r)
		memcpy(bytes, memory + address.v, len);
	return r;
}

static int test_read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                     struct x86_fault *fault)
{
	int r = touch(address, len, fault);

	seen_access |= access;
	if (!r)
		memcpy(value, memory + address.v, len);
	return r;
}

static int test_write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                      struct x86_fault *fault)
{
	int r = touch(address, len, fault);

	seen_access |= access;
	if (!r)
		memcpy(memory + address.v, value, len);
	return r;
}

static const struct x86_emulate_ops test_ops = { test_fetch, test_read, test_write, NULL };
static struct x86_state state;
static struct x86_emulate_ctx ctx;
static struct x86_decode_cache cache;

static void reset(enum x86_mode mode)
{
	static const uint16_t code[3] = { 0x9b, 0xc9b, 0xa9b };
	unsigned m = mode == X86_MODE_16 ? 0 : mode == X86_MODE_32 ? 1 : 2;

	memset(&state, 0, sizeof(state));
	state.cr0 = X86_CR0_PE;
	state.efer = mode == X86_MODE_64 ? X86_EFER_LMA : 0;
	state.rflags = X86_FLAG_1;
	state.rip = CODE;
	for (unsigned i = 0; i < 6; i++)
		state.seg[i] = (struct x86_segment){ 8, 0xc93, UINT32_MAX, 0 };
	state.seg[X86_CS].attr = code[m];
	ctx = (struct x86_emulate_ctx){ .ops = &test_ops, .state = &state };
	accesses = fail_at = seen_access = 0;
}

static int run(const void *code, unsigned n)
{
	memcpy(memory + state.rip, code, n);
	ctx.n_bytes = 0;
	accesses = 0;
	return x86_emulate_cached(&ctx, &cache);
}

#define RUN(code) run(code, sizeof(code) - 1)

static void assert_fault(int r, unsigned vector, bool has_error_code)
{
	assert_int_equal(r, X86_EMULATE_FAULT);
	assert_int_equal(ctx.fault.vector, vector);
	assert_int_equal(ctx.fault.has_error_code, has_error_code);
	assert_int_equal(ctx.fault.error_code, 0);
	assert_int_equal(state.rip, CODE);
}

static void random_registers(uint64_t window)
{
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		state.gpr[i] = window + rnd() % 512;
	state.rflags = (rnd() & ALU_FLAGS) | X86_FLAG_1;
}

/* Below the stack pointer anything may be. */
static bool pushes_many(unsigned op)
{
	return op == X86_OP_PUSHA || op == X86_OP_ENTER;
}

/* Each instruction with memory failing at each of its accesses: nothing may have changed. */
static void test_failing_memory(void **unused)
{
	static struct x86_state before;
	static uint8_t old_memory[MEMORY_SIZE];
	unsigned failed = 0;

	for (unsigned i = 0; i < 40000; i++) {
		uint8_t code[X86_INSN_MAX];
		unsigned total;

		reset(modes[i % 3]);
		random_registers(0x2000);
		for (unsigned k = 0; k < sizeof(code); k++)
			code[k] = (uint8_t)rnd();
		if (i & 8)
			code[0] = 0x0f;
		code[1 + (i >> 3 & 1)] &= 0x3f; /* few displacements that would miss the memory */
		before = state;
		memcpy(old_memory, memory, sizeof(memory));
		if (run(code, sizeof(code)) != X86_EMULATE_DONE)
			continue;
		total = accesses;
		assert_int_equal(state.rip, CODE + ctx.insn.length);
		if (ctx.insn.prefixes & (X86_PFX_F2 | X86_PFX_F3))
			continue; /* each iteration counts */
		for (unsigned k = 1; k <= total; k++) {
			state = before;
			memcpy(memory, old_memory, sizeof(memory));
			memcpy(memory + CODE, code, sizeof(code));
			memcpy(old_memory + CODE, code, sizeof(code));
			fail_at = k;
			assert_int_equal(run(code, sizeof(code)), X86_EMULATE_FAULT);
			assert_int_equal(ctx.fault.vector, X86_VEC_PF);
			assert_int_equal(ctx.fault.address, last_address);
			assert_memory_equal(&state, &before, sizeof(state));
			if (!pushes_many(ctx.insn.op))
				assert_memory_equal(memory, old_memory, sizeof(memory));
			failed++;
		}
	}
	assert_true(failed > 20000);
}

static void test_access_flags(void **unused)
{
	static const struct {
		const char *code;
		unsigned n, access;
	} table[] = {
		{ "\x8b\x00", 2, 0 },                                      /* mov eax, [rax] */
		{ "\x01\x00", 2, X86_ACCESS_RMW },                         /* add [rax], eax */
		{ "\x39\x00", 2, 0 },                                      /* cmp [rax], eax */
		{ "\xf0\x01\x00", 3, X86_ACCESS_RMW | X86_ACCESS_LOCKED }, /* lock add */
		{ "\x87\x00", 2, X86_ACCESS_RMW | X86_ACCESS_LOCKED },     /* xchg */
		{ "\xf0\x0f\xba\x28\x01", 5, X86_ACCESS_RMW | X86_ACCESS_LOCKED }, /* lock bts */
		{ "\x0f\xc7\x08", 3, X86_ACCESS_RMW },                             /* cmpxchg8b */
	};

	for (size_t i = 0; i < HC_ARRAY_SIZE(table); i++) {
		reset(X86_MODE_64);
		state.gpr[X86_RAX] = 0x2000;
		assert_int_equal(run(table[i].code, table[i].n), X86_EMULATE_DONE);
		assert_int_equal(seen_access, table[i].access);
	}
}

static void test_not_emulated(void **unused)
{
	reset(X86_MODE_64);
	assert_int_equal(RUN("\x0f\x10\x00"), -EOPNOTSUPP); /* movups xmm0, [rax] */
	assert_int_equal(ctx.insn.op, X86_OP_SIMD);
	assert_int_equal(state.rip, CODE);
	assert_int_equal(RUN("\x0f\x0b"), -EOPNOTSUPP); /* UD2 is an instruction */
	assert_string_equal(x86_op_name(ctx.insn.op), "UD2");
}

static void test_undefined(void **unused)
{
	reset(X86_MODE_64);
	assert_fault(RUN("\x06"), X86_VEC_UD, false);
	assert_fault(RUN("\xf0\x8b\x00"), X86_VEC_UD, false);
	assert_fault(RUN("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
	             X86_VEC_GP, true);
}

/* Code across a page boundary: the second page is fetched only for instructions that reach it. */
static void test_fetch_pages(void **unused)
{
	static const char code[] =
		"\xc7\x05\x10\x00\x00\x00\x78\x56\x34\x12"; /* mov [rip+16], imm */

	for (unsigned n = 1; n < 10; n++) {
		reset(X86_MODE_64);
		state.rip = 0x2000 - n;
		assert_int_equal(run(code, 10), X86_EMULATE_DONE);
		assert_int_equal(accesses, 3);
		reset(X86_MODE_64);
		state.rip = 0x2000 - n;
		fail_at = 2;
		assert_int_equal(run(code, 10), X86_EMULATE_FAULT);
		assert_int_equal(last_address, 0x2000);
		assert_int_equal(state.rip, 0x2000 - n);
	}
	reset(X86_MODE_64);
	state.rip = 0x2000 - 10;
	assert_int_equal(run(code, 10), X86_EMULATE_DONE);
	assert_int_equal(accesses, 2);
}

static void test_code_limit(void **unused)
{
	reset(X86_MODE_32);
	state.seg[X86_CS].limit = CODE + 1;
	assert_int_equal(RUN("\x8b\x00"), X86_EMULATE_DONE);
	reset(X86_MODE_32);
	state.seg[X86_CS].limit = CODE;
	assert_fault(RUN("\x8b\x00"), X86_VEC_GP, true);
	reset(X86_MODE_64);
	state.rip = UINT64_C(0x800000000000);
	ctx.n_bytes = 0;
	assert_int_equal(x86_emulate(&ctx), X86_EMULATE_FAULT);
	assert_int_equal(ctx.fault.vector, X86_VEC_GP);
}

/* The same address before other bytes or in another mode must be decoded anew. */
static void test_decoded_again(void **unused)
{
	static const char *const code[4] = { "\x8b\x03\x90", "\x89\x03\x90", "\x88\x03\x90",
		                             "\x66\x89\x03" };
	static const uint16_t op_size[4] = { 4, 4, 1, 2 };

	reset(X86_MODE_64);
	for (unsigned i = 0; i < 64; i++) {
		unsigned k = (unsigned)rnd() & 3;

		state.rip = CODE + (rnd() & 1) * 64;
		state.gpr[X86_RBX] = 0x2000;
		assert_int_equal(run(code[k], 3), X86_EMULATE_DONE);
		assert_int_equal(ctx.insn.rm_width, op_size[k]);
		assert_int_equal(ctx.insn.form, k ? X86_FORM_MR : X86_FORM_RM);
	}
	state.rip = CODE;
	assert_int_equal(run(code[0], 3), X86_EMULATE_DONE);
	state.rip = CODE;
	state.seg[X86_CS].attr = 0x9b; /* compatibility mode, 16 bits: mov ax, [bp+di] */
	state.gpr[X86_RBP] = 0x2000;
	state.gpr[X86_RDI] = 0;
	assert_int_equal(run(code[0], 3), X86_EMULATE_DONE);
	assert_int_equal(ctx.insn.rm_width, 2);
}

/* mov [ebx], al and mov al, [ebx], by segment type and limit, at EBX = 0x2000. */
static void test_segments(void **unused)
{
	static const struct {
		uint16_t attr;
		uint32_t limit;
		bool readable, writable;
	} table[] = {
		{ 0xc93, 0xffffffff, true, true },   { 0xc91, 0xffffffff, true, false },
		{ 0xc9b, 0xffffffff, true, false },  { 0xc99, 0xffffffff, false, false },
		{ 0xc13, 0xffffffff, false, false }, /* not present: unusable */
		{ 0xc93, 0x2000, true, true },       { 0xc93, 0x1fff, false, false },
		{ 0xc97, 0x1fff, true, true }, /* expand-down: the limit is below */
		{ 0xc97, 0x2000, false, false },     { 0x97, 0x1fff, true, true },
	};

	for (size_t i = 0; i < HC_ARRAY_SIZE(table); i++)
		for (unsigned ss = 0; ss < 2; ss++) {
			unsigned vector = ss ? X86_VEC_SS : X86_VEC_GP;
			unsigned seg = ss ? X86_SS : X86_DS;
			int r;

			reset(X86_MODE_32);
			state.gpr[X86_RBX] = state.gpr[X86_RBP] = 0x2000;
			state.seg[seg].attr = table[i].attr;
			state.seg[seg].limit = table[i].limit;
			r = ss ? RUN("\x8a\x45\x00") : RUN("\x8a\x03");
			assert_int_equal(r == X86_EMULATE_DONE, table[i].readable);
			if (r)
				assert_fault(r, vector, true);
			state.rip = CODE;
			state.gpr[X86_RBX] = 0x2000;
			r = ss ? RUN("\x88\x45\x00") : RUN("\x88\x03");
			assert_int_equal(r == X86_EMULATE_DONE, table[i].writable);
			if (r)
				assert_fault(r, vector, true);
		}
}

static void test_limit_width(void **unused)
{
	reset(X86_MODE_32);
	state.seg[X86_DS].limit = 0x2002;
	state.gpr[X86_RBX] = 0x2000;
	assert_fault(RUN("\x8b\x03"), X86_VEC_GP, true); /* four bytes, one too many */
	assert_int_equal(RUN("\x66\x8b\x03"), X86_EMULATE_DONE);
	reset(X86_MODE_32);
	state.gpr[X86_RBX] = 0xfffffffe;
	assert_fault(RUN("\x8b\x03"), X86_VEC_GP, true); /* around the end */
	reset(X86_MODE_32);
	state.seg[X86_DS].base = 0xfffff000;
	state.gpr[X86_RBX] = 0x3000;
	assert_int_equal(RUN("\x8b\x03"), X86_EMULATE_DONE); /* linear addresses wrap */
	assert_int_equal(last_address, 0x2000);
}

static void test_real_mode(void **unused)
{
	reset(X86_MODE_16);
	state.cr0 = 0;
	state.seg[X86_DS] = (struct x86_segment){ 0x200, 0x9b, 0xffff, 0x2000 };
	state.gpr[X86_RBX] = 0xffff0010;
	assert_int_equal(RUN("\x88\x07"), X86_EMULATE_DONE); /* mov [bx], al: no types here */
	assert_int_equal(last_address, 0x2010);
	reset(X86_MODE_16);
	state.cr0 = 0;
	state.seg[X86_DS].limit = 0xffff;
	state.gpr[X86_RBX] = 0xffff;
	assert_fault(RUN("\x8b\x07"), X86_VEC_GP, true); /* a word at the limit */
}

static void test_canonical(void **unused)
{
	static const struct {
		uint64_t address;
		bool la57, canonical;
	} table[] = {
		{ UINT64_C(0x00007ffffffffffc), false, true },
		{ UINT64_C(0x00007ffffffffffd), false, false }, /* its last byte is not */
		{ UINT64_C(0x0000800000000000), false, false },
		{ UINT64_C(0x0000800000000000), true, true },
		{ UINT64_C(0xffff7fffffffffff), false, false },
		{ UINT64_C(0xffff800000000000), false, true },
		{ UINT64_C(0xff00000000000000), true, true },
		{ UINT64_C(0x0100000000000000), true, false },
	};

	for (size_t i = 0; i < HC_ARRAY_SIZE(table); i++) {
		int r;

		reset(X86_MODE_64);
		state.cr4 = table[i].la57 ? X86_CR4_LA57 : 0;
		state.gpr[X86_RBX] = state.gpr[X86_RSP] = table[i].address;
		r = RUN("\x8b\x03");
		if (table[i].canonical)
			assert_int_equal(r, -EFAULT); /* it came as far as the memory */
		else
			assert_fault(r, X86_VEC_GP, true);
		r = RUN("\x8b\x04\x24");
		if (!table[i].canonical)
			assert_fault(r, X86_VEC_SS, true);
	}
}

static void test_alignment_check(void **unused)
{
	for (unsigned i = 0; i < 32; i++) {
		bool checked = (i & 7) == 7 && (i & 8);
		int r;

		reset(X86_MODE_64);
		state.gpr[X86_RBX] = i & 8 ? 0x2002 : 0x2004;
		state.rflags |= i & 1 ? X86_FLAG_AC : 0;
		state.cr0 |= i & 2 ? X86_CR0_AM : 0;
		state.cpl = i & 4 ? 3 : 0;
		r = i & 16 ? RUN("\x66\x8b\x03") : RUN("\x8b\x03");
		if (checked && !(i & 16))
			assert_fault(r, X86_VEC_AC, true);
		else
			assert_int_equal(r, X86_EMULATE_DONE);
	}
	reset(X86_MODE_64);
	state.gpr[X86_RBX] = 0x2008;
	assert_fault(RUN("\x48\x0f\xc7\x0b"), X86_VEC_GP, true); /* cmpxchg16b needs 16 */
}

/* rep stosb of 1000 bytes: in pieces, each restartable. */
static void test_repeat(void **unused)
{
	unsigned calls = 0;
	int r;

	reset(X86_MODE_64);
	state.gpr[X86_RAX] = 0x77;
	state.gpr[X86_RCX] = 1000;
	state.gpr[X86_RDI] = 0x2000;
	memset(memory + 0x2000, 0, 0x800);
	while ((r = RUN("\xf3\xaa")) == X86_EMULATE_REPEAT) {
		calls++;
		assert_int_equal(state.rip, CODE);
		assert_int_equal(state.gpr[X86_RCX], 1000 - calls * X86_REPEAT_MAX);
		assert_int_equal(state.gpr[X86_RDI], 0x2000 + calls * X86_REPEAT_MAX);
	}
	assert_int_equal(r, X86_EMULATE_DONE);
	assert_int_equal(calls, 1000 / X86_REPEAT_MAX);
	assert_int_equal(state.gpr[X86_RCX], 0);
	assert_int_equal(memory[0x2000 + 999], 0x77);
	assert_int_equal(memory[0x2000 + 1000], 0);
}

/* rep movsb whose 10th store fails: nine count, and the rest goes on from there. */
static void test_repeat_fault(void **unused)
{
	reset(X86_MODE_64);
	state.gpr[X86_RCX] = 30;
	state.gpr[X86_RSI] = 0x2000;
	state.gpr[X86_RDI] = 0x3000;
	fail_at = 1 + 20; /* fetch; a load and a store each */
	assert_int_equal(RUN("\xf3\xa4"), X86_EMULATE_FAULT);
	assert_int_equal(state.rip, CODE);
	assert_int_equal(state.gpr[X86_RCX], 21);
	assert_int_equal(state.gpr[X86_RSI], 0x2009);
	assert_int_equal(state.gpr[X86_RDI], 0x3009);
	fail_at = 0;
	assert_int_equal(RUN("\xf3\xa4"), X86_EMULATE_DONE);
	assert_memory_equal(memory + 0x2000, memory + 0x3000, 30);
}

/* pop [rsp+16]: based on the stack pointer after the pop (SDM Vol. 2B, POP). */
static void test_pop_based_on_stack(void **unused)
{
	const uint64_t v = UINT64_C(0x1122334455667788);

	reset(X86_MODE_64);
	state.gpr[X86_RSP] = 0x2000;
	memcpy(memory + 0x2000, &v, 8);
	memset(memory + 0x2008, 0, 64);
	assert_int_equal(RUN("\x8f\x44\x24\x10"), X86_EMULATE_DONE);
	assert_int_equal(state.gpr[X86_RSP], 0x2008);
	assert_memory_equal(memory + 0x2018, &v, 8);
	assert_int_equal(RUN("\xff\x74\x24\x10"), X86_EMULATE_DONE); /* push: before it */
	assert_int_equal(state.gpr[X86_RSP], 0x2000);
	assert_memory_equal(memory + 0x2000, &v, 8);
}

static void test_resume_flag(void **unused)
{
	reset(X86_MODE_64);
	state.rflags |= X86_FLAG_RF;
	state.gpr[X86_RBX] = 0x2000;
	assert_int_equal(RUN("\x8b\x03"), X86_EMULATE_DONE);
	assert_false(state.rflags & X86_FLAG_RF);
}

/* What the oracle lacks, against definitions in other words */

static void test_movbe(void **unused)
{
	for (unsigned i = 0; i < 300; i++) {
		static const char *const load[3] = { "\x66\x0f\x38\xf0\x03", "\x0f\x38\xf0\x03\x90",
			                             "\x48\x0f\x38\xf0\x03" };
		static const char *const store[3] = { "\x66\x0f\x38\xf1\x03",
			                              "\x0f\x38\xf1\x03\x90",
			                              "\x48\x0f\x38\xf1\x03" };
		unsigned width = 2u << i % 3;
		uint64_t v = rnd(), old = rnd();

		reset(X86_MODE_64);
		state.gpr[X86_RBX] = 0x2000;
		state.gpr[X86_RAX] = old;
		memcpy(memory + 0x2000, &v, 8);
		assert_int_equal(run(load[i % 3], 5), X86_EMULATE_DONE);
		for (unsigned k = 0; k < width; k++)
			assert_int_equal(state.gpr[X86_RAX] >> 8 * k & 0xff,
			                 memory[0x2000 + width - 1 - k]);
		if (width == 2)
			assert_true(state.gpr[X86_RAX] >> 16 == old >> 16);
		state.rip = CODE;
		assert_int_equal(run(store[i % 3], 5), X86_EMULATE_DONE);
		assert_memory_equal(memory + 0x2000, &v, 8); /* there and back */
	}
}

static void test_scan(void **unused)
{
	for (unsigned i = 0; i < 4000; i++) {
		unsigned width = 2u << i % 3, bits = 8 * width;
		uint64_t v = rnd() >> rnd() % 64 << rnd() % 64 & alu_mask(width);
		unsigned low = 0, high = 0, set = 0;
		uint64_t flags = ALU_FLAGS;

		while (low < bits && !(v >> low & 1))
			low++;
		while (high < bits && !(v >> (bits - 1 - high) & 1))
			high++;
		for (unsigned k = 0; k < bits; k++)
			set += (unsigned)(v >> k) & 1;
		assert_int_equal(alu_scan(X86_OP_TZCNT, v, 0, width, &flags), low);
		assert_int_equal(!!(flags & X86_FLAG_CF), !v);
		assert_int_equal(!!(flags & X86_FLAG_ZF), low == 0);
		assert_int_equal(alu_scan(X86_OP_LZCNT, v, 0, width, &flags), high);
		assert_int_equal(!!(flags & X86_FLAG_CF), !v);
		assert_int_equal(!!(flags & X86_FLAG_ZF), high == 0);
		flags = ALU_FLAGS;
		assert_int_equal(alu_scan(X86_OP_POPCNT, v, 0, width, &flags), set);
		assert_int_equal(flags, v ? 0 : X86_FLAG_ZF);
	}
}

/* All bytes: the flags from the exact signed and unsigned result. */
static void test_add_sub_bytes(void **unused)
{
	for (unsigned i = 0; i < 256 * 256 * 4; i++) {
		unsigned a = i & 0xff, b = i >> 8 & 0xff, c = i >> 16 & 1;
		bool sub = i >> 17;
		int exact = sub ? (int)a - (int)b - (int)c : (int)(a + b + c);
		int exact_signed =
			sub ? (int8_t)a - (int8_t)b - (int)c : (int8_t)a + (int8_t)b + (int)c;
		int nibble = sub ? (int)(a & 15) - (int)(b & 15) - (int)c
		                 : (int)((a & 15) + (b & 15) + c);
		uint64_t flags = c | X86_FLAG_DF;
		uint64_t r = alu_binary(sub ? X86_OP_SBB : X86_OP_ADC, a, b, 1, &flags);

		assert_int_equal(r, exact & 0xff);
		assert_int_equal(!!(flags & X86_FLAG_CF), exact < 0 || exact > 255);
		assert_int_equal(!!(flags & X86_FLAG_OF), exact_signed != (int8_t)exact_signed);
		assert_int_equal(!!(flags & X86_FLAG_AF), nibble < 0 || nibble > 15);
		assert_int_equal(!!(flags & X86_FLAG_ZF), r == 0);
		assert_int_equal(!!(flags & X86_FLAG_SF), r >= 128);
		assert_int_equal(!!(flags & X86_FLAG_PF), !(__builtin_popcount((unsigned)r) & 1));
		assert_true(flags & X86_FLAG_DF);
	}
}

/* quotient * divisor + rest is the dividend again, with the right signs; all else is #DE. */
static void test_divide(void **unused)
{
	unsigned done = 0;

	for (unsigned i = 0; i < 40000; i++) {
		unsigned width = 1u << i % 4;
		uint64_t high = rnd() >> rnd() % 64, low = rnd(), b = rnd() >> rnd() % 64;
		uint64_t q, rest, back, carry, flags = 0;
		bool sign = i & 4;
		enum x86_op mul = sign ? X86_OP_IMUL : X86_OP_MUL;
		uint64_t mask = alu_mask(width);

		if (rnd() & 1)
			high = sign ? -(low >> 63) : 0;
		if (alu_divide(sign ? X86_OP_IDIV : X86_OP_DIV, high, low, b, width, &q, &rest))
			continue;
		done++;
		low &= mask;
		back = alu_multiply(mul, q, b, width, &carry, &flags);
		carry += sign ? -alu_msb(rest, width) : 0;
		carry += ((back & mask) + rest) > mask || (back + rest < back);
		assert_int_equal((back + rest) & mask, low);
		assert_int_equal(carry & mask, high & mask);
		if (sign && rest)
			assert_int_equal(alu_msb(rest, width), alu_msb(high, width));
		if (!sign)
			assert_true(rest < (b & mask));
	}
	assert_true(done > 5000);
	assert_int_equal(alu_divide(X86_OP_DIV, 0, 5, 0, 8, &seed, &seed), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncation),      cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_too_long),        cmocka_unit_test(test_lock),
		cmocka_unit_test(test_prefix_order),    cmocka_unit_test(test_pop_based_on_stack),
		cmocka_unit_test(test_exit_lengths),    cmocka_unit_test(test_failing_memory),
		cmocka_unit_test(test_access_flags),    cmocka_unit_test(test_not_emulated),
		cmocka_unit_test(test_undefined),       cmocka_unit_test(test_fetch_pages),
		cmocka_unit_test(test_code_limit),      cmocka_unit_test(test_decoded_again),
		cmocka_unit_test(test_segments),        cmocka_unit_test(test_limit_width),
		cmocka_unit_test(test_real_mode),       cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_alignment_check), cmocka_unit_test(test_repeat),
		cmocka_unit_test(test_repeat_fault),    cmocka_unit_test(test_resume_flag),
		cmocka_unit_test(test_movbe),           cmocka_unit_test(test_scan),
		cmocka_unit_test(test_add_sub_bytes),   cmocka_unit_test(test_divide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
