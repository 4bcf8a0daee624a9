/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The single-instruction emulator against Unicorn: every emulated opcode, as the decoder's own
 * tables list them, with random prefixes, addressing forms, registers, flags and memory. Compared
 * are all registers, RIP, the defined flags and all memory in reach.
 *
 * HC_TEST_ROUNDS=n runs n times as many cases, HC_TEST_SEED=n other ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unicorn/unicorn.h>

#include "emu/x86_64/alu.h"
#include "emu/x86_64/emulate.h"
#include <hypercore/errno.h>

#define WINDOW_SIZE 0x2000u
#define CODE_SIZE   0x1000u
#define ROUNDS      8

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* Values at which carries and signs change are more frequent than chance would have them. */
static uint64_t rnd_value(void)
{
	static const uint64_t corner[] = { 0,
		                           1,
		                           0x7f,
		                           0x80,
		                           0xff,
		                           0x7fff,
		                           0x8000,
		                           0xffff,
		                           0x7fffffff,
		                           0x80000000,
		                           0xffffffff,
		                           0x7fffffffffffffff,
		                           0x8000000000000000,
		                           0xffffffffffffffff };
	uint64_t v = rnd();

	return v & 3 ? v : corner[(v >> 8) % HC_ARRAY_SIZE(corner)];
}

static unsigned rounds(void)
{
	const char *s = getenv("HC_TEST_ROUNDS");

	return s ? (unsigned)strtoul(s, NULL, 0) * ROUNDS : ROUNDS;
}

/* One mode: its Unicorn instance and where things are in linear memory. */
struct machine {
	enum x86_mode mode;
	uc_mode uc_mode;
	uint64_t code;
	uint64_t window; /* the only memory that an instruction may touch */
	uc_engine *uc;
	uc_hook hook;
	unsigned exceptions; /* that Unicorn raised in this case */
};

static struct machine machines[3] = {
	{ .mode = X86_MODE_16, .uc_mode = UC_MODE_16, .code = 0x4000, .window = 0x20000 },
	{ .mode = X86_MODE_32, .uc_mode = UC_MODE_32, .code = 0x100000, .window = 0x8000 },
	{ .mode = X86_MODE_64, .uc_mode = UC_MODE_64, .code = 0x100000, .window = 0x8000 },
};

static uint8_t memory[WINDOW_SIZE];
static const struct machine *machine;
static bool out_of_window;

static uint8_t *window_at(gva_t address, unsigned len)
{
	uint64_t offset = address.v - machine->window;

	if (offset >= WINDOW_SIZE || offset + len > WINDOW_SIZE) {
		out_of_window = true;
		return NULL;
	}
	return memory + offset;
}

static int test_fetch(void *opaque, gva_t address, void *bytes, unsigned len,
                      struct x86_fault *fault)
{
	const uint8_t *code = opaque;
	uint64_t offset = address.v - machine->code;

	for (unsigned i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = offset + i < 16 ? code[offset + i] : 0;
	return 0;
}

static int test_read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                     struct x86_fault *fault)
{
	const uint8_t *p = window_at(address, len);

	if (!p)
		return -EFAULT;
	memcpy(value, p, len);
	return 0;
}

static int test_write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                      struct x86_fault *fault)
{
	uint8_t *p = window_at(address, len);

	if (!p)
		return -EFAULT;
	memcpy(p, value, len);
	return 0;
}

static const struct x86_emulate_ops test_ops = { test_fetch, test_read, test_write, NULL };

/* An instruction to make cases of. */
struct template
{
	uint8_t mode;
	uint8_t map;
	uint8_t opcode;
	uint8_t reg;
	uint8_t prefix; /* 0, F3 or F2 */
};

struct built {
	uint8_t bytes[16];
	unsigned n;
	unsigned disp_at; /* 0: none */
	unsigned disp_len;
};

static void put(struct built *b, unsigned byte)
{
	b->bytes[b->n++] = (uint8_t)byte;
}

static void put_opcode(struct built *b, const struct template *t)
{
	if (t->map)
		put(b, 0x0f);
	if (t->map == 2)
		put(b, 0x38);
	put(b, t->opcode);
}

/* Everything up to the ModRM byte's own bytes; the rest of b->bytes is random immediates. */
static void build(struct built *b, const struct template *t)
{
	static const uint8_t segments[6] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	bool is64 = t->mode == X86_MODE_64;
	bool adsize = rnd() % 6 == 0;
	bool adsize16 = !is64 && (t->mode == X86_MODE_16) != adsize;
	unsigned modrm = (unsigned)(rnd() & 0xc7) | (unsigned)t->reg << 3;
	unsigned mod = modrm >> 6, rm = modrm & 7;

	memset(b, 0, sizeof(*b));
	for (unsigned i = 0; i < sizeof(b->bytes); i++)
		b->bytes[i] = (uint8_t)rnd();
	if (rnd() % 4 == 0)
		put(b, 0x66);
	if (adsize)
		put(b, 0x67);
	if (rnd() % 6 == 0)
		put(b, segments[rnd() % 6]);
	if (rnd() % 8 == 0)
		put(b, 0xf0);
	if (t->prefix)
		put(b, t->prefix);
	if (is64 && rnd() % 2)
		put(b, 0x40 | (rnd() & 0xf));
	put_opcode(b, t);
	if (mod == 3 && rnd() % 4)
		modrm = (modrm & 0x3f) | (mod = (unsigned)rnd() % 3) << 6;
	put(b, modrm);
	if (adsize16) {
		b->disp_len = mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 6) ? 2 : 0;
	} else {
		bool no_base = mod == 0 && rm == 5;

		if (mod != 3 && rm == 4) {
			unsigned sib = (unsigned)rnd() & 0xff;

			put(b, sib);
			no_base = mod == 0 && (sib & 7) == 5;
		}
		b->disp_len = mod == 1 ? 1 : mod == 2 || no_base ? 4 : 0;
	}
	b->disp_at = b->n;
}

/* Registers and segments. */
static void random_state(struct x86_state *s, const struct machine *m)
{
	memset(s, 0, offsetof(struct x86_state, xsave));
	for (unsigned i = 0; i < (m->mode == X86_MODE_64 ? 16 : 8); i++)
		s->gpr[i] = m->mode == X86_MODE_64 ? rnd_value() : (uint32_t)rnd_value();
	s->rip = m->code;
	s->rflags = (rnd() & (ALU_FLAGS | X86_FLAG_DF)) | X86_FLAG_1;
	s->cr0 = m->mode == X86_MODE_16 ? 0 : X86_CR0_PE;
	for (unsigned i = 0; i < 6; i++) {
		uint16_t attr = m->mode == X86_MODE_16 ? 0x93 : 0xc93;

		s->seg[i] = (struct x86_segment){ 0, attr, UINT32_MAX, 0 };
		if (m->mode == X86_MODE_16 && i != X86_CS) {
			s->seg[i].selector = (uint16_t)(0x1800 + (rnd() & 0x7ff));
			s->seg[i].base = (uint64_t)s->seg[i].selector << 4;
			s->seg[i].limit = 0xffff;
		}
		if (m->mode == X86_MODE_64 && i >= X86_FS)
			s->seg[i].base = rnd() & 0xffff;
	}
	if (m->mode == X86_MODE_64) {
		s->efer = X86_EFER_LMA;
		s->seg[X86_CS].attr = 0xa9b;
	}
}

static uint64_t target_offset(const struct x86_state *s, unsigned seg, unsigned adsize)
{
	uint64_t base = s->seg[seg].base;

	if (machine->mode == X86_MODE_64 && seg < X86_FS)
		base = 0;
	return (machine->window + WINDOW_SIZE / 2 + rnd() % 64 - base) & alu_mask(adsize);
}

static void set_low(uint64_t *gpr, unsigned width, uint64_t v)
{
	*gpr = (*gpr & ~alu_mask(width)) | (v & alu_mask(width));
}

/* Changes displacement or base register so that the r/m operand is inside the window. */
static void aim_rm(struct built *b, const struct x86_insn *in, struct x86_state *s)
{
	uint64_t target = target_offset(s, in->seg, in->adsize);
	uint64_t ea = (uint64_t)(int64_t)in->disp;

	if (in->index != X86_REG_NONE && in->base >= X86_GPR_COUNT)
		set_low(&s->gpr[in->index], 8, rnd() & 0xff);
	if (in->index != X86_REG_NONE)
		ea += s->gpr[in->index] << in->scale;
	if (in->base < X86_GPR_COUNT) {
		set_low(&s->gpr[in->base], in->adsize, target - ea);
		if (machine->mode != X86_MODE_64)
			s->gpr[in->base] = (uint32_t)s->gpr[in->base];
		return;
	}
	if (in->base == X86_REG_RIP)
		ea += s->rip + in->length;
	ea -= (uint64_t)(int64_t)in->disp;
	for (unsigned i = 0; i < b->disp_len; i++)
		b->bytes[b->disp_at + i] = (uint8_t)((target - ea) >> 8 * i);
}

static bool is_string(const struct x86_insn *in)
{
	return in->op == X86_OP_MOVS || in->op == X86_OP_CMPS || in->op == X86_OP_STOS ||
	       in->op == X86_OP_LODS || in->op == X86_OP_SCAS;
}

static bool is_bit(const struct x86_insn *in)
{
	return in->op >= X86_OP_BT && in->op <= X86_OP_BTC;
}

static void aim(struct built *b, const struct x86_insn *in, struct x86_state *s)
{
	unsigned stack = machine->mode == X86_MODE_64 ? 8 : machine->mode == X86_MODE_32 ? 4 : 2;

	if (is_bit(in) && in->form == X86_FORM_MR && in->is_mem)
		set_low(&s->gpr[in->reg], in->reg_width, (rnd() & 0x3fff) - 0x2000);
	if (in->op == X86_OP_PUSH || in->op == X86_OP_POP || in->op == X86_OP_PUSHA ||
	    in->op == X86_OP_POPA || in->op == X86_OP_ENTER)
		set_low(&s->gpr[X86_RSP], stack, target_offset(s, X86_SS, stack));
	if (in->op == X86_OP_LEAVE || in->op == X86_OP_ENTER)
		set_low(&s->gpr[X86_RBP], stack, target_offset(s, X86_SS, stack));
	if (in->op == X86_OP_XLAT)
		set_low(&s->gpr[X86_RBX], in->adsize,
		        target_offset(s, in->seg, in->adsize) - (s->gpr[X86_RAX] & 0xff));
	if (is_string(in)) {
		set_low(&s->gpr[X86_RSI], in->adsize, target_offset(s, in->seg, in->adsize));
		set_low(&s->gpr[X86_RDI], in->adsize, target_offset(s, X86_ES, in->adsize));
		set_low(&s->gpr[X86_RCX], in->adsize, rnd() % 24);
	}
	if (in->form == X86_FORM_FD || in->form == X86_FORM_TD) {
		uint64_t target = target_offset(s, in->seg, in->adsize);
		unsigned at = in->length - in->adsize;

		memcpy(b->bytes + at, &target, in->adsize);
	}
	if (in->is_mem)
		aim_rm(b, in, s);
}

/*
 * Flags that the instruction leaves undefined (SDM Vol. 1 appendix A and the instructions' pages);
 * `count` is the masked shift count.
 */
static uint64_t undefined_flags(const struct x86_insn *in, unsigned count)
{
	const uint64_t of_unless_1 = count != 1 ? X86_FLAG_OF : 0;
	const uint64_t cf_if_over = count >= 8u * in->rm_width ? X86_FLAG_CF : 0;

	switch (in->op) {
	case X86_OP_AND:
	case X86_OP_OR:
	case X86_OP_XOR:
	case X86_OP_TEST: return X86_FLAG_AF;
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_RCL:
	case X86_OP_RCR: return of_unless_1;
	case X86_OP_SHL:
	case X86_OP_SAL:
	case X86_OP_SHR: return count ? X86_FLAG_AF | of_unless_1 | cf_if_over : 0;
	case X86_OP_SAR: return count ? X86_FLAG_AF : 0;
	case X86_OP_SHLD:
	case X86_OP_SHRD: return count ? X86_FLAG_AF | of_unless_1 : 0;
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC: return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
	case X86_OP_BSF:
	case X86_OP_BSR: return X86_FLAG_CF | X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
	case X86_OP_TZCNT:
	case X86_OP_LZCNT: return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
	case X86_OP_MUL:
	case X86_OP_IMUL: return X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_AF | X86_FLAG_PF;
	case X86_OP_DIV:
	case X86_OP_IDIV: return ALU_FLAGS;
	case X86_OP_AAA:
	case X86_OP_AAS: return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_PF;
	case X86_OP_DAA:
	case X86_OP_DAS: return X86_FLAG_OF;
	case X86_OP_AAM:
	case X86_OP_AAD: return X86_FLAG_OF | X86_FLAG_AF | X86_FLAG_CF;
	default: return 0;
	}
}

static unsigned masked_count(const struct x86_insn *in, const struct x86_state *s)
{
	unsigned count = (unsigned)in->imm;

	if (in->form == X86_FORM_M1)
		count = 1;
	else if (in->form == X86_FORM_MC || in->form == X86_FORM_MRC)
		count = (unsigned)s->gpr[X86_RCX];
	return count & (in->rm_width == 8 ? 63 : 31);
}

/* Results that are undefined as a whole: SHLD and SHRD by more than 16 of 16 bits. */
static bool undefined_result(const struct x86_insn *in, unsigned count)
{
	return (in->op == X86_OP_SHLD || in->op == X86_OP_SHRD) && count > 8u * in->rm_width;
}

/* The destination's upper half after a 32-bit BSF or BSR of 0: AMD CPUs leave it, Unicorn not. */
static bool undefined_upper_half(const struct x86_insn *in, const struct x86_state *after)
{
	return (in->op == X86_OP_BSF || in->op == X86_OP_BSR) && in->reg_width == 4 &&
	       (after->rflags & X86_FLAG_ZF);
}

static const int gpr_ids[16] = { UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
	                         UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
	                         UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
	                         UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15 };
static const int gpr32_ids[8] = { UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
	                          UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI };

static int gpr_id(const struct machine *m, unsigned n)
{
	return m->mode == X86_MODE_64 ? gpr_ids[n] : gpr32_ids[n];
}

static void on_exception(uc_engine *uc, uint32_t vector, void *opaque)
{
	struct machine *m = opaque;

	m->exceptions++;
	uc_emu_stop(uc);
}

static int open_oracle(struct machine *m)
{
	if (uc_open(UC_ARCH_X86, m->uc_mode, &m->uc) ||
	    uc_ctl_set_cpu_model(m->uc, UC_CPU_X86_HASWELL) ||
	    uc_hook_add(m->uc, &m->hook, UC_HOOK_INTR, (void *)on_exception, m, 1, 0) ||
	    uc_mem_map(m->uc, m->code, CODE_SIZE, UC_PROT_ALL) ||
	    uc_mem_map(m->uc, m->window, WINDOW_SIZE, UC_PROT_READ | UC_PROT_WRITE))
		return -1;
	return 0;
}

/* Runs the instruction; true if it completed. An exception leaves an instance that takes the next
 * one for a double fault: it is replaced once the registers have been read, by the next case. */
static bool run_oracle(struct machine *m, unsigned length)
{
	m->exceptions = 0;
	if (uc_emu_start(m->uc, m->code, m->code + length, 0, 0))
		m->exceptions++;
	return !m->exceptions;
}

static void load_oracle(struct machine *m, const struct x86_state *s, const struct built *b)
{
	static const int seg_ids[6] = { UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
		                        UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS };
	uint64_t flags = s->rflags;

	if (m->exceptions) {
		uc_close(m->uc);
		assert_int_equal(open_oracle(m), 0);
		m->exceptions = 0;
	}
	for (unsigned i = 0; i < (m->mode == X86_MODE_64 ? 16 : 8); i++)
		assert_int_equal(uc_reg_write(m->uc, gpr_id(m, i), &s->gpr[i]), UC_ERR_OK);
	uc_reg_write(m->uc, UC_X86_REG_EFLAGS, &flags);
	for (unsigned i = 0; i < 6 && m->mode == X86_MODE_16; i++)
		uc_reg_write(m->uc, seg_ids[i], &s->seg[i].selector);
	if (m->mode == X86_MODE_64) {
		uc_reg_write(m->uc, UC_X86_REG_FS_BASE, &s->seg[X86_FS].base);
		uc_reg_write(m->uc, UC_X86_REG_GS_BASE, &s->seg[X86_GS].base);
	}
	assert_int_equal(uc_mem_write(m->uc, m->code, b->bytes, 16), UC_ERR_OK);
	assert_int_equal(uc_mem_write(m->uc, m->window, memory, WINDOW_SIZE), UC_ERR_OK);
	assert_int_equal(uc_ctl_remove_cache(m->uc, m->code, m->code + 16), UC_ERR_OK);
}

static void describe(const struct machine *m, const struct built *b, const struct x86_insn *in)
{
	print_error("%u-bit, %s:", (unsigned)m->mode, x86_op_name(in->op));
	for (unsigned i = 0; i < in->length; i++)
		print_error(" %02x", b->bytes[i]);
	print_error("\n");
}

static unsigned count_differences(const struct machine *m, const struct x86_state *before,
                                  const struct x86_state *ours, uint64_t flags_mask)
{
	static uint8_t theirs[WINDOW_SIZE];
	unsigned bad = 0;
	uint64_t v;

	for (unsigned i = 0; i < (m->mode == X86_MODE_64 ? 16 : 8); i++) {
		v = 0;
		uc_reg_read(m->uc, gpr_id(m, i), &v);
		if (v != ours->gpr[i]) {
			print_error("  gpr %u: was %#lx, is %#lx, Unicorn has %#lx\n", i,
			            before->gpr[i], ours->gpr[i], v);
			bad++;
		}
	}
	v = 0;
	uc_reg_read(m->uc, UC_X86_REG_EFLAGS, &v);
	if ((v ^ ours->rflags) & flags_mask) {
		print_error("  flags: were %#lx, are %#lx, Unicorn has %#lx, compared %#lx\n",
		            before->rflags, ours->rflags, v, flags_mask);
		bad++;
	}
	uc_mem_read(m->uc, m->window, theirs, WINDOW_SIZE);
	if (!memcmp(theirs, memory, WINDOW_SIZE))
		return bad;
	for (unsigned i = 0; i < WINDOW_SIZE; i++)
		if (theirs[i] != memory[i]) {
			print_error("  memory %#x: %#x, Unicorn has %#x\n", i, memory[i],
			            theirs[i]);
			return bad + 1;
		}
	return bad;
}

/* What Unicorn 2.0.1 is known to do differently. */
static bool oracle_errs(const struct x86_insn *in)
{
	bool group_3 = in->map == 0 && (in->opcode & 0xfe) == 0xf6;
	bool group_11 = in->map == 0 && (in->opcode & 0xfe) == 0xc6;

	/* It lacks the alias /1 of TEST (APM Vol. 3 table A-6). */
	if (group_3 && (in->modrm >> 3 & 7) == 1)
		return true;
	/* It takes REX.R for a part of the opcode extension (APM Vol. 3 1.2.7). */
	if (group_11 && (in->rex & 4))
		return true;
	/* It takes RIP before the immediate of SHLD and SHRD for the address's base. */
	if (in->form == X86_FORM_MRI && in->base == X86_REG_RIP)
		return true;
	/* It has none of these, whatever its CPU model; test_emulate_edges.c checks them. */
	if (in->op == X86_OP_MOVBE || in->op == X86_OP_POPCNT || in->op == X86_OP_TZCNT ||
	    in->op == X86_OP_LZCNT || in->op == X86_OP_ADCX || in->op == X86_OP_ADOX ||
	    in->op == X86_OP_MOVDIRI)
		return true;
	/* It zero-extends a register that CMPXCHG does not change; CPUs do not. */
	if (in->op == X86_OP_CMPXCHG && !in->is_mem && in->opsize == 4)
		return true;
	/* It raises #UD for hints with a register; the result of a 16-bit BSWAP is undefined. */
	if (in->op == X86_OP_NOP && !in->is_mem)
		return true;
	if (in->op == X86_OP_BSWAP && in->opsize == 2)
		return true;
	/* It looks at the operand-size prefix alone for CRC32's source, and refuses both together.
	 */
	if (in->op == X86_OP_CRC32 && (in->opsize == 2 || in->prefixes & X86_PFX_66))
		return true;
	/* With REX it takes SPL for AH. */
	if ((in->op == X86_OP_SAHF || in->op == X86_OP_LAHF) && in->rex)
		return true;
	/* Its locked NEG computes the flags from the wrong operand. */
	return in->op == X86_OP_NEG && (in->prefixes & X86_PFX_LOCK);
}

enum outcome { COMPARED, SKIPPED, DIFFERENT };

static enum outcome run_case(struct machine *m, const struct template *t)
{
	static struct x86_state before, s;
	static uint8_t old_memory[WINDOW_SIZE];
	struct x86_emulate_ctx ctx = { .ops = &test_ops, .state = &s };
	struct built b;
	struct x86_insn in;
	unsigned count;
	bool completed;
	int r;

	machine = m;
	build(&b, t);
	if (x86_decode(&in, b.bytes, X86_INSN_MAX, m->mode) < 0)
		return SKIPPED; /* LOCK or a register where there may be none */
	random_state(&before, m);
	aim(&b, &in, &before);
	assert_int_equal(x86_decode(&in, b.bytes, X86_INSN_MAX, m->mode), in.length);
	count = masked_count(&in, &before);
	if (undefined_result(&in, count) || oracle_errs(&in))
		return SKIPPED;
	for (unsigned i = 0; i < 96; i++)
		memory[WINDOW_SIZE / 2 - 16 + i] = (uint8_t)rnd_value();
	memcpy(old_memory, memory, WINDOW_SIZE);
	memcpy(&s, &before, offsetof(struct x86_state, xsave));
	load_oracle(m, &before, &b);
	out_of_window = false;
	ctx.opaque = b.bytes;
	r = x86_emulate(&ctx);
	if (out_of_window) {
		assert_int_equal(r, -EFAULT);
		if (!is_string(&in)) /* nothing may have happened */
			assert_memory_equal(&s, &before, offsetof(struct x86_state, xsave));
		memcpy(memory, old_memory, WINDOW_SIZE);
		return SKIPPED;
	}
	if (undefined_upper_half(&in, &s) ||
	    (m->mode == X86_MODE_16 && r == X86_EMULATE_FAULT && ctx.fault.vector != X86_VEC_DE)) {
		memcpy(memory, old_memory, WINDOW_SIZE); /* Unicorn checks no segment limits */
		return SKIPPED;
	}
	if (r == -EOPNOTSUPP) /* BOUND's opcode is also EVEX */
		return SKIPPED;
	completed = run_oracle(m, in.length);
	if (r == X86_EMULATE_FAULT && !completed) {
		assert_memory_equal(&s, &before, offsetof(struct x86_state, xsave));
		return COMPARED;
	}
	if (r || !completed) {
		describe(m, &b, &in);
		print_error("  result %d, vector %u, Unicorn %s\n", r, ctx.fault.vector,
		            completed ? "completed" : "raised an exception");
		return DIFFERENT;
	}
	assert_int_equal(s.rip, before.rip + in.length);
	if (count_differences(m, &before, &s,
	                      (ALU_FLAGS | X86_FLAG_DF) & ~undefined_flags(&in, count))) {
		describe(m, &b, &in);
		return DIFFERENT;
	}
	return COMPARED;
}

/* Whether the emulator knows the instruction: everything but -EOPNOTSUPP and #UD. */
static bool is_emulated(const struct machine *m, const struct template *t)
{
	static struct x86_state s;
	struct x86_emulate_ctx ctx = { .ops = &test_ops, .state = &s };
	struct built b;
	struct x86_insn in;
	bool memory_form = false;

	machine = m;
	for (unsigned i = 0; i < 16 && !memory_form; i++) {
		build(&b, t);
		memory_form = x86_decode(&in, b.bytes, X86_INSN_MAX, m->mode) > 0 &&
		              in.opcode == t->opcode && in.map == t->map;
	}
	if (!memory_form)
		return false;
	random_state(&s, m);
	memcpy(ctx.bytes, b.bytes, X86_INSN_MAX);
	ctx.n_bytes = X86_INSN_MAX;
	return x86_emulate(&ctx) != -EOPNOTSUPP;
}

static struct template templates[16384];
static unsigned n_templates;

static void list_templates(const struct machine *m)
{
	static const uint8_t prefixes[3] = { 0, 0xf3, 0xf2 };

	n_templates = 0;
	for (unsigned i = 0; i < 3u * 3 * 256 * 8; i++) {
		struct template t = { (uint8_t)m->mode, (uint8_t)(i / 8 / 256 % 3),
			              (uint8_t)(i / 8), (uint8_t)(i % 8),
			              prefixes[i / 8 / 256 / 3] };

		if (is_emulated(m, &t))
			templates[n_templates++] = t;
		assert_true(n_templates < HC_ARRAY_SIZE(templates));
	}
}

static void test_against_unicorn(void **state)
{
	struct machine *m = *state;
	unsigned outcome[3] = { 0, 0, 0 };
	unsigned n = rounds();

	list_templates(m);
	for (unsigned i = 0; i < n_templates; i++)
		for (unsigned k = 0; k < n && outcome[DIFFERENT] < 20; k++)
			outcome[run_case(m, &templates[i])]++;
	print_message("%u-bit: %u opcodes, %u cases compared, %u skipped\n", (unsigned)m->mode,
	              n_templates, outcome[COMPARED], outcome[SKIPPED]);
	assert_int_equal(outcome[DIFFERENT], 0);
	assert_true(outcome[COMPARED] > 2 * outcome[SKIPPED]);
}

static int setup(void **state)
{
	const char *s = getenv("HC_TEST_SEED");

	seed = UINT64_C(0x9e3779b97f4a7c15) ^ (s ? strtoull(s, NULL, 0) : 0);
	memset(memory, 0x5a, sizeof(memory));
	return open_oracle(*state);
}

static int close_machine(void **state)
{
	struct machine *m = *state;

	uc_close(m->uc);
	return 0;
}

/* Asked by LeakSanitizer: what uc_close() leaves behind is not ours. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libunicorn";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "16-bit against Unicorn", test_against_unicorn, setup, close_machine,
		  &machines[0] },
		{ "32-bit against Unicorn", test_against_unicorn, setup, close_machine,
		  &machines[1] },
		{ "64-bit against Unicorn", test_against_unicorn, setup, close_machine,
		  &machines[2] },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
