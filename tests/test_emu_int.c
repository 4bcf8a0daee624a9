/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU's integer instructions: runs of random ones, as the decoder's tables have them,
 * with a conditional branch at the end, against x86_emulate() one by one. What is compared are the
 * registers, the flags, memory and which way the branch went; or, if one of them faulted, in the
 * middle of a block whose flags nobody had asked for yet, the exception and the same.
 *
 * HC_TEST_FACTOR=n runs n times as many cases.
 */
#include "tests/emu_rig.h"

#include "arch/x86_64/cpuid.h"
#include "emu/x86_64/alu.h"
#include "emu/x86_64/engine/engine_api.h"

#include <string.h>

#include "tests/platform.h"
#include "tests/unit.h"

#define MAX_CODE   400
#define MAX_INSNS  12
#define HALF       HC_PAGE_SIZE /* of the window: the second one may not be there */
#define HANDLERS   0x60000      /* one HLT for each vector, in long mode */
#define IST1       0x70000
#define PAGE_2M    UINT64_C(0x200000)
#define LEAF_FLAGS 0xe3u /* present, writable, accessed, dirty, large */

enum beyond { PRESENT, READ_ONLY, ABSENT };

static uint64_t seed = 20;

static uint64_t rnd(void)
{
	return test_random(&seed);
}

static uint64_t rnd_value(void)
{
	static const uint64_t corner[] = { 0,      1,          0x7f,       0x80,
		                           0xff,   0x7fff,     0x8000,     0xffff,
		                           ~0ull,  0x7fffffff, 0x80000000, 0xffffffff,
		                           1 << 5, 0x100,      0x80,       0x8000000000000000 };

	return rnd() & 3 ? rnd() : corner[rnd() % HC_ARRAY_SIZE(corner)];
}

/* --- One run --- */

static struct emu_rig rig;
static uint64_t window;          /* gpa and linear address */
static enum beyond beyond;       /* what the second half of the window is */
static uint8_t memory[2 * HALF]; /* what is to be there after the reference ran */
static uint8_t code[MAX_CODE + X86_INSN_MAX];
static unsigned n_code;
static struct x86_state s; /* the reference's */
static struct x86_fault fault;
static struct x86_segment first_ss;

static enum x86_mode mode_of(void)
{
	return rig.mode == RIG_LONG   ? X86_MODE_64
	       : rig.mode == RIG_FLAT ? X86_MODE_32
	                              : X86_MODE_16;
}

static uint64_t code_base(void)
{
	return rig.mode == RIG_REAL ? 0 : RIG_CODE;
}

static int test_fetch(void *opaque, gva_t address, void *bytes, unsigned len, struct x86_fault *f)
{
	memcpy(bytes, code + (address.v - RIG_CODE), len);
	return 0;
}

static int touch(gva_t address, unsigned len, bool write, struct x86_fault *f)
{
	uint64_t offset = address.v - window;

	if (offset >= sizeof(memory) || offset + len > sizeof(memory))
		return -EFAULT;
	if (offset + len <= HALF || beyond == PRESENT || (beyond == READ_ONLY && !write))
		return 0;
	*f = (struct x86_fault){ .vector = X86_VEC_PF,
		                 .has_error_code = true,
		                 .error_code = (write ? X86_PF_W : 0) |
		                               (beyond == READ_ONLY ? X86_PF_P : 0),
		                 .address = offset < HALF ? window + HALF : address.v };
	return X86_EMULATE_FAULT;
}

static int test_read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                     struct x86_fault *f)
{
	int r = touch(address, len, access & X86_ACCESS_RMW, f);

	if (!r)
		memcpy(value, memory + (address.v - window), len);
	return r;
}

static int test_write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                      struct x86_fault *f)
{
	int r = touch(address, len, true, f);

	if (!r)
		memcpy(memory + (address.v - window), value, len);
	return r;
}

static const struct x86_emulate_ops ops = { test_fetch, test_read, test_write, NULL };

/* Appends an instruction if the reference can execute it: X86_EMULATE_DONE, or X86_EMULATE_FAULT
 * where faults can be told. */
static int append(const uint8_t *bytes, unsigned n)
{
	static uint8_t old_memory[sizeof(memory)];
	struct x86_emulate_ctx ctx = { .ops = &ops, .state = &s };
	struct x86_state before = s;
	int r;

	if (n_code + n > MAX_CODE)
		return -ENOMEM;
	memcpy(old_memory, memory, sizeof(memory));
	memcpy(code + n_code, bytes, n);
	do {
		ctx.n_bytes = 0;
		r = x86_emulate(&ctx);
	} while (r == X86_EMULATE_REPEAT);
	fault = ctx.fault;
	if (r == X86_EMULATE_DONE || (r == X86_EMULATE_FAULT && rig.mode == RIG_LONG)) {
		n_code += n;
		return r;
	}
	s = before;
	memcpy(memory, old_memory, sizeof(memory));
	return -EINVAL;
}

/* MOV of an immediate to a register: all of it. */
static bool append_mov(unsigned reg, uint64_t v)
{
	uint8_t bytes[10];
	unsigned n = 0;

	if (rig.mode == RIG_LONG)
		bytes[n++] = (uint8_t)(0x48 | reg >> 3);
	else if (rig.mode == RIG_REAL)
		bytes[n++] = 0x66;
	bytes[n++] = (uint8_t)(0xb8 | (reg & 7));
	memcpy(bytes + n, &v, rig.mode == RIG_LONG ? 8 : 4);
	return append(bytes, n + (rig.mode == RIG_LONG ? 8 : 4)) == X86_EMULATE_DONE;
}

/* --- Making instructions --- */

/* What a branch may be fused with. */
static bool is_compare(const struct x86_insn *in)
{
	return !in->is_mem &&
	       (in->op == X86_OP_CMP || in->op == X86_OP_TEST || in->op == X86_OP_ADD ||
	        in->op == X86_OP_SUB || in->op == X86_OP_AND || in->op == X86_OP_DEC);
}

/* Random bytes that are an instruction of x86_execute()'s: its length. */
static unsigned make(uint8_t *bytes, struct x86_insn *in)
{
	static const uint8_t prefixes[] = { 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x64, 0x65, 0x3e };
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < X86_INSN_MAX; i++)
		bytes[i] = (uint8_t)rnd();
	while (rnd() % 4 == 0 && n < 3)
		bytes[n++] = prefixes[rnd() % HC_ARRAY_SIZE(prefixes)];
	if (rig.mode == RIG_LONG && rnd() % 2)
		bytes[n++] = 0x40 | (rnd() & 0xf);
	if (rnd() % 3 == 0)
		bytes[n++] = 0x0f;
	r = x86_decode(in, bytes, X86_INSN_MAX, mode_of());
	return r > 0 && x86_is_executable((enum x86_op)in->op) ? (unsigned)r : 0;
}

static uint64_t segment_base(unsigned seg)
{
	return rig.mode == RIG_LONG && seg < X86_FS ? 0 : s.seg[seg].base;
}

/* Somewhere in the first half, often near its end. */
static uint64_t target(unsigned seg)
{
	uint64_t offset =
		rig.mode == RIG_LONG && rnd() % 4 == 0 ? HALF - rnd() % 24 : HALF / 2 + rnd() % 64;

	return window + offset - segment_base(seg);
}

/* Replaces the displacement, wherever in the bytes it is. */
static bool patch(uint8_t *bytes, const struct x86_insn *in, uint64_t disp)
{
	unsigned size = in->adsize == 2 ? 2 : 4;
	struct x86_insn other;
	uint8_t copy[X86_INSN_MAX];

	for (unsigned at = 1; at + size <= in->length; at++) {
		memcpy(copy, bytes, sizeof(copy));
		memcpy(copy + at, &disp, size);
		if (x86_decode(&other, copy, X86_INSN_MAX, mode_of()) == in->length &&
		    other.op == in->op && other.base == in->base && other.index == in->index &&
		    other.imm == in->imm && other.modrm == in->modrm &&
		    !(((uint64_t)(int64_t)other.disp ^ disp) & (size == 2 ? 0xffff : UINT32_MAX))) {
			memcpy(bytes, copy, sizeof(copy));
			return true;
		}
	}
	return false;
}

/* Instructions that bring the r/m operand into the window. */
static bool aim_operand(uint8_t *bytes, const struct x86_insn *in)
{
	uint64_t to = target(in->seg), index;

	if (in->base == in->index && in->base != X86_REG_NONE)
		return false;
	if (in->index != X86_REG_NONE && !append_mov(in->index, rnd() & 0xff))
		return false;
	index = in->index == X86_REG_NONE ? 0 : s.gpr[in->index] << in->scale;
	if (in->base < X86_GPR_COUNT)
		return append_mov(in->base, (to - index - (uint64_t)(int64_t)in->disp) &
		                                    (in->adsize == 2   ? 0xffff
		                                     : in->adsize == 4 ? UINT32_MAX
		                                                       : UINT64_MAX));
	if (in->base == X86_REG_RIP)
		index += s.rip + in->length;
	return patch(bytes, in, to - index);
}

static bool uses_stack(unsigned op)
{
	return op == X86_OP_PUSH || op == X86_OP_POP || op == X86_OP_PUSHA || op == X86_OP_POPA;
}

static bool is_string(unsigned op)
{
	return op >= X86_OP_MOVS && op <= X86_OP_SCAS;
}

static bool aim(uint8_t *bytes, const struct x86_insn *in)
{
	if (uses_stack(in->op) && !append_mov(X86_RSP, target(X86_SS)))
		return false;
	if (in->op == X86_OP_LEAVE && !append_mov(X86_RBP, target(X86_SS)))
		return false;
	if (is_string(in->op) &&
	    !(append_mov(X86_RSI, target(in->seg)) && append_mov(X86_RDI, target(X86_ES)) &&
	      append_mov(X86_RCX, rnd() % 40)))
		return false;
	if (in->op >= X86_OP_BT && in->op <= X86_OP_BTC && in->is_mem && in->form == X86_FORM_MR &&
	    !append_mov(in->reg, rnd() % 128))
		return false;
	return !in->is_mem || in->op == X86_OP_LEA || in->op == X86_OP_NOP ||
	       aim_operand(bytes, in);
}

/* One more, with what it needs before it. */
static int add_insn(bool compare)
{
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn in;
	unsigned n = make(bytes, &in);

	if (!n || (compare && !is_compare(&in)) || in.form == X86_FORM_FD ||
	    in.form == X86_FORM_TD || !aim(bytes, &in))
		return -EINVAL;
	return append(bytes, n);
}

/* --- Runs --- */

static void start_state(void)
{
	struct x86_state *e = rig.s;

	for (unsigned i = 0; i < (rig.mode == RIG_LONG ? 16 : 8); i++)
		e->gpr[i] = rig.mode == RIG_LONG ? rnd_value() : (uint32_t)rnd_value();
	e->rip = code_base();
	e->rflags = (rnd() & (ALU_FLAGS | X86_FLAG_DF)) | X86_FLAG_1;
	e->seg[X86_SS] = first_ss;
	if (rig.mode != RIG_LONG)
		e->seg[X86_SS].base = 0;
	if (rig.mode == RIG_LONG) {
		e->seg[X86_FS].base = rnd() & 0xffff;
		e->seg[X86_GS].base = 0xffff800000001000;
	}
	s = *e;
	for (unsigned i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)rnd();
	emu_rig_poke(&rig, window, memory, sizeof(memory));
}

/* In long mode the second half begins a large page of its own. */
static void set_beyond(enum beyond b)
{
	uint64_t pml4 = emu_rig_get(&rig, RIG_TABLES, 8) & ~UINT64_C(0xfff);
	uint64_t pd = emu_rig_get(&rig, pml4, 8) & ~UINT64_C(0xfff);

	beyond = b;
	if (rig.mode != RIG_LONG)
		return;
	emu_rig_put(&rig, pd + (window + HALF) / PAGE_2M * 8,
	            (window + HALF) | (b == PRESENT     ? LEAF_FLAGS
	                               : b == READ_ONLY ? LEAF_FLAGS & ~2u
	                                                : LEAF_FLAGS & ~1u),
	            8);
	rig.s->cr3 ^= 8; /* PWT: another value, which flushes */
	hc_vcpu_dirty(rig.vcpu, X86_G_CR);
}

static unsigned differences(const struct x86_state *e)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < (rig.mode == RIG_LONG ? 16 : 8); i++)
		if (e->gpr[i] != s.gpr[i]) {
			print_error("gpr %u: is %#lx, should be %#lx\n", i, e->gpr[i], s.gpr[i]);
			bad++;
		}
	if ((e->rflags ^ s.rflags) & (ALU_FLAGS | X86_FLAG_DF)) {
		print_error("flags: are %#lx, should be %#lx\n", e->rflags, s.rflags);
		bad++;
	}
	for (unsigned i = 0; i < sizeof(memory); i++)
		if (rig.ram[window + i] != memory[i]) {
			print_error("memory %#x: is %#x, should be %#x\n", i, rig.ram[window + i],
			            memory[i]);
			bad++;
		}
	return bad;
}

/* The state that the handler's frame tells of. */
static unsigned compare_fault(void)
{
	unsigned vector = (unsigned)(rig.exit.pc - HANDLERS), bad;
	uint64_t frame = IST1 - (fault.has_error_code ? 48 : 40);
	uint64_t at = frame + (fault.has_error_code ? 8 : 0);
	struct x86_state e = *rig.s;

	e.rip = emu_rig_get(&rig, at, 8);
	e.rflags = emu_rig_get(&rig, at + 16, 8);
	e.gpr[X86_RSP] = emu_rig_get(&rig, at + 24, 8);
	bad = differences(&e);
	bad += vector != fault.vector || e.rip != s.rip;
	if (fault.has_error_code)
		bad += emu_rig_get(&rig, frame, 8) != fault.error_code;
	if (fault.vector == X86_VEC_PF)
		bad += e.cr2 != fault.address;
	if (bad)
		print_error("vector %u at %#lx (cr2 %#lx), should be %u (%#x) at %#lx (%#lx)\n",
		            vector, e.rip, e.cr2, fault.vector, fault.error_code, s.rip,
		            fault.address);
	return bad;
}

/* jcc 1f; hlt; 1: hlt */
static unsigned compare_branch(unsigned cc)
{
	bool taken = alu_condition(cc, s.rflags);
	uint64_t pc = code_base() + n_code + (rig.mode == RIG_REAL ? 4 : 6) + taken;
	unsigned bad = differences(rig.s);

	if (rig.exit.pc != pc) {
		print_error("halted at %#lx, should have at %#lx\n", rig.exit.pc, pc);
		bad++;
	}
	return bad;
}

static void put_branch(unsigned cc)
{
	const uint8_t wide[] = { 0x0f, (uint8_t)(0x80 | cc), 1, 0, 0, 0, 0xf4, 0xf4 };
	const uint8_t narrow[] = { 0x0f, (uint8_t)(0x80 | cc), 1, 0, 0xf4, 0xf4 };

	if (rig.mode == RIG_REAL)
		memcpy(code + n_code, narrow, sizeof(narrow));
	else
		memcpy(code + n_code, wide, sizeof(wide));
}

static unsigned faults;

static void one_case(unsigned number)
{
	unsigned cc = (unsigned)rnd() % 16, wanted = 1 + (unsigned)rnd() % MAX_INSNS, bad;
	bool fuse = rnd() & 1;
	int r = 0;

	memset(code, 0xf4, sizeof(code));
	n_code = 0;
	set_beyond(rig.mode == RIG_LONG ? (enum beyond)(rnd() % 3) : PRESENT);
	start_state();
	for (unsigned i = 0; i < wanted && r != X86_EMULATE_FAULT && r != -ENOMEM; i++)
		do
			r = add_insn(i + 1 == wanted && fuse);
		while (r == -EINVAL);
	if (r != X86_EMULATE_FAULT)
		put_branch(cc);
	emu_rig_poke(&rig, RIG_CODE, code, sizeof(code));
	assert_int_equal(emu_rig_run(&rig), HC_EXIT_HALT);
	bad = r == X86_EMULATE_FAULT ? compare_fault() : compare_branch(cc);
	faults += r == X86_EMULATE_FAULT;
	if (!bad)
		return;
	print_error("case %u, %u-bit:", number, (unsigned)mode_of());
	for (unsigned i = 0; i < n_code + 8; i++)
		print_error(" %02x", code[i]);
	print_error("\n");
	fail();
}

static void run_cases(enum rig_mode mode, uint64_t at, unsigned n)
{
	emu_rig_start(&rig, mode, 1);
	window = at;
	first_ss = rig.s->seg[X86_SS];
	for (unsigned i = 0; mode == RIG_LONG && i < 32; i++) {
		emu_rig_put(&rig, HANDLERS + i, 0xf4, 1);
		emu_rig_gate(&rig, i, HANDLERS + i, 0, 1);
	}
	emu_rig_put(&rig, RIG_TSS + 0x24, IST1, 8);
	n = test_rounds(n);
	for (unsigned i = 0; i < n; i++)
		one_case(i);
	emu_rig_stop(&rig);
}

static void test_long(void **state)
{
	faults = 0;
	run_cases(RIG_LONG, 3 * PAGE_2M - HALF, 4000);
	assert_true(faults > 400);
}

static void test_flat(void **state)
{
	run_cases(RIG_FLAT, 3 * PAGE_2M - HALF, 1500);
}

static void test_real(void **state)
{
	run_cases(RIG_REAL, 0x6000, 1500);
}

/* rdrand rax; setc bl; rdrand cx; rdseed edx; setc bh; hlt */
static void test_random_numbers(void **state)
{
	static const uint8_t program[] = { 0x48, 0x0f, 0xc7, 0xf0, 0x0f, 0x92, 0xc3, 0x66, 0x0f,
		                           0xc7, 0xf1, 0x0f, 0xc7, 0xfa, 0x0f, 0x92, 0xc7, 0xf4 };
	uint64_t last = 0;

	if (!emu_executes(X86_OP_RDRAND) || !emu_executes(X86_OP_RDSEED))
		skip();
	emu_rig_start(&rig, RIG_LONG, 1);
	for (unsigned i = 0; i < 4; i++) {
		emu_rig_poke(&rig, RIG_CODE, program, sizeof(program));
		rig.s->rip = RIG_CODE;
		rig.s->gpr[X86_RCX] = rig.s->gpr[X86_RDX] = ~UINT64_C(0);
		rig.s->rflags |= ALU_FLAGS;
		assert_int_equal(emu_rig_run(&rig), HC_EXIT_HALT);
		assert_true((rig.s->gpr[X86_RBX] & 1) == (rig.s->gpr[X86_RAX] != 0));
		assert_true(!rig.s->gpr[X86_RAX] || rig.s->gpr[X86_RAX] != last);
		assert_int_equal(rig.s->gpr[X86_RCX] >> 16, ~UINT64_C(0) >> 16);
		assert_int_equal(rig.s->gpr[X86_RDX] >> 32, 0);
		assert_int_equal(rig.s->rflags & ALU_FLAGS & ~(uint64_t)X86_FLAG_CF, 0);
		last = rig.s->gpr[X86_RAX];
	}
	emu_rig_stop(&rig);
}

/* --- What CPUID does not show --- */

/* The register's bits as CPUID answers them. */
static uint32_t *shown(uint32_t leaf, unsigned reg)
{
	struct x86_vm *x = x86_vm_of(rig.vm);
	struct x86_cpuid_entry *e = &x->cpuid[x86_cpuid_first(x, leaf)];
	uint32_t *regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	return regs[reg];
}

static void test_needs_cpuid(void **state)
{
	static const struct {
		uint8_t code[8], len;
		uint32_t leaf;
		uint8_t reg, bit;
	} rows[] = {
		{ { 0xf2, 0x0f, 0x38, 0xf1, 0xc8 }, 5, 1, 2, 20 },      /* CRC32 */
		{ { 0x0f, 0x38, 0xf0, 0x06 }, 4, 1, 2, 22 },            /* MOVBE */
		{ { 0xf3, 0x0f, 0xb8, 0xc8 }, 4, 1, 2, 23 },            /* POPCNT */
		{ { 0xc4, 0xe2, 0x78, 0xf2, 0xc8 }, 5, 7, 1, 3 },       /* ANDN */
		{ { 0xc4, 0xe2, 0x7b, 0xf5, 0xc8 }, 5, 7, 1, 8 },       /* PDEP */
		{ { 0xc4, 0xe3, 0x7b, 0xf0, 0xc8, 0x01 }, 6, 7, 1, 8 }, /* RORX */
		{ { 0x66, 0x0f, 0x38, 0xf6, 0xc8 }, 5, 7, 1, 19 },      /* ADCX */
		{ { 0x0f, 0x01, 0xcb }, 3, 7, 1, 20 },                  /* STAC */
		{ { 0x66, 0x0f, 0xae, 0x36 }, 4, 7, 1, 24 },            /* CLWB */
		{ { 0xf3, 0x0f, 0xc7, 0xf8 }, 4, 7, 2, 22 },            /* RDPID */
		{ { 0x0f, 0x01, 0xf9 }, 3, 0x80000001, 3, 27 },         /* RDTSCP */
		{ { 0x0f, 0x01, 0xfc }, 3, 0x80000008, 1, 0 },          /* CLZERO */
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		for (unsigned on = 0; on < 2; on++) {
			emu_rig_start(&rig, RIG_LONG, 1);
			uint32_t *reg = shown(rows[i].leaf, rows[i].reg), bit = 1u << rows[i].bit;

			*reg = on ? *reg | bit : *reg & ~bit;
			emu_rig_poke(&rig, RIG_CODE, rows[i].code, rows[i].len);
			rig.ram[RIG_CODE + rows[i].len] = 0xf4;
			rig.s->gpr[X86_RSI] = rig.s->gpr[X86_RAX] = RIG_DATA;
			/* There is no IDT: #UD ends in a triple fault. */
			assert_int_equal(emu_rig_run(&rig), on ? HC_EXIT_HALT : HC_EXIT_SHUTDOWN);
			emu_rig_stop(&rig);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long),        cmocka_unit_test(test_flat),
		cmocka_unit_test(test_real),        cmocka_unit_test(test_random_numbers),
		cmocka_unit_test(test_needs_cpuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
