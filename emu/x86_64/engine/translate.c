/* SPDX-License-Identifier: BSD-2-Clause */
/* From decoded integer instructions to micro-operations: which function translates what. */
#include "emu/x86_64/emulate.h"
#include "emu/x86_64/engine/uop.h"
#include "emu/x86_64/native/native.h"

/* --- Operands in memory --- */

static bool fits_disp(uint64_t v)
{
	return v == (uint64_t)(int64_t)(int32_t)v;
}

/* A moffs address may be wider than a displacement. */
static bool is_moffs(const struct x86_insn *in)
{
	return in->form == X86_FORM_FD || in->form == X86_FORM_TD;
}

static uint64_t absolute(const struct emu_builder *b, const struct x86_insn *in)
{
	if (is_moffs(in))
		return in->imm;
	if (in->base == X86_REG_RIP)
		return b->pc + in->length + (uint64_t)(int64_t)in->disp;
	return (uint64_t)(int64_t)in->disp;
}

static bool is_flat(const struct emu_builder *b, const struct x86_insn *in)
{
	return uop_mode64(b) && in->adsize == 8;
}

/* Every address has an encoding but these: those of 64 bits with a segment's base, and those
 * relative to a RIP from which they are far away. */
bool uop_has_ea(const struct emu_builder *b, const struct x86_insn *in)
{
	uint64_t a = absolute(b, in);

	if (in->adsize < 8 || fits_disp(a) || (!is_moffs(in) && in->base != X86_REG_RIP))
		return true;
	return uop_mode64(b) && fits_disp(a - b->block->rip);
}

/* base and disp of an address without registers; imm64 if there is nothing else to it. */
static enum uop_ea encode_absolute(const struct emu_builder *b, struct emu_uop *u,
                                   const struct x86_insn *in, bool imm)
{
	uint64_t a = absolute(b, in);
	bool plain = is_flat(b, in) && in->seg < X86_FS;

	if (plain && !imm) {
		u->imm64 = a;
		return UOP_EA_ABS;
	}
	if (fits_disp(a) || in->adsize < 8) {
		u->disp = (int32_t)a;
		return plain ? UOP_EA_ABS : is_flat(b, in) ? UOP_EA_FULL : UOP_EA_ANY;
	}
	u->disp = (int32_t)(a - b->block->rip);
	u->base = UOP_REG_BLOCK;
	return is_flat(b, in) ? UOP_EA_FULL : UOP_EA_ANY;
}

static enum uop_ea encode(const struct emu_builder *b, struct emu_uop *u, const struct x86_insn *in,
                          bool imm)
{
	bool index = in->index != X86_REG_NONE;

	u->seg = in->seg;
	u->scale = (uint8_t)(in->scale | (in->adsize < 8 ? in->adsize << 4 : 0));
	u->base = in->base < X86_GPR_COUNT ? EMU_GPR(in->base) : UOP_REG_NONE;
	u->index = index ? EMU_GPR(in->index) : UOP_REG_NONE;
	if (is_moffs(in) || in->base == X86_REG_RIP || (in->base == X86_REG_NONE && !index))
		return encode_absolute(b, u, in, imm);
	u->disp = in->disp;
	if (!is_flat(b, in))
		return UOP_EA_ANY;
	if (in->seg >= X86_FS || in->base == X86_REG_NONE)
		return UOP_EA_FULL;
	return index ? UOP_EA_INDEX : UOP_EA_BASE;
}

struct emu_uop *uop_emit_mem(struct emu_builder *b, const struct x86_insn *in, bool imm,
                             enum uop_ea *kind)
{
	struct emu_uop *u = emu_emit(b, NULL);

	if (u)
		*kind = encode(b, u, in, imm);
	return u;
}

struct emu_uop *uop_emit_ea(struct emu_builder *b, const struct x86_insn *in, bool imm,
                            emu_fn *const row[UOP_EA_KINDS])
{
	enum uop_ea kind;
	struct emu_uop *u = uop_emit_mem(b, in, imm, &kind);

	if (u)
		u->fn = row[kind];
	return u;
}

/* --- What is known of the instructions before --- */

void uop_note_overwritten(struct emu_builder *b)
{
	if (b->before.setter)
		b->before.setter->fn = b->before.without;
}

void uop_note_setter(struct emu_builder *b, struct emu_uop *u, emu_fn *without)
{
	b->notes.setter = without ? u : NULL;
	b->notes.without = without;
}

void uop_note_pure(struct emu_builder *b)
{
	b->notes.setter = b->before.setter;
	b->notes.without = b->before.without;
}

void uop_note_fusable(struct emu_builder *b, struct emu_uop *u, emu_fn *const *by_condition)
{
	b->notes.fusable = by_condition ? u : NULL;
	b->notes.by_condition = by_condition;
}

void uop_fuse(struct emu_builder *b, unsigned cc)
{
	if (b->before.fusable && b->before.by_condition[cc])
		b->before.fusable->fn = b->before.by_condition[cc];
}

/* --- Dispatch --- */

static bool is_random(enum x86_op op)
{
	return op == X86_OP_RDRAND || op == X86_OP_RDSEED;
}

bool emu_executes(enum x86_op op)
{
	return is_random(op) ? emu_native_has_random(op == X86_OP_RDSEED) : x86_is_executable(op);
}

static bool nothing(struct emu_builder *b, const struct x86_insn *in)
{
	return uop_tr_nop(b, in);
}

/* An empty row: by x86_execute() if it knows the instruction, else #UD. */
static emu_translate_fn *const rows[X86_OP_COUNT] = {
	[X86_OP_ADD... X86_OP_CMP] = uop_tr_binary,
	[X86_OP_TEST] = uop_tr_binary,
	[X86_OP_ROL... X86_OP_SAR] = uop_tr_shift,
	[X86_OP_BT... X86_OP_BTC] = uop_tr_bit,
	[X86_OP_MOV] = uop_tr_mov,
	[X86_OP_MOVNTI] = uop_tr_mov,
	[X86_OP_MOVZX... X86_OP_MOVSXD] = uop_tr_extend,
	[X86_OP_LEA] = uop_tr_lea,
	[X86_OP_XCHG] = uop_tr_xchg,
	[X86_OP_XADD] = uop_tr_locked,
	[X86_OP_CMPXCHG] = uop_tr_locked,
	[X86_OP_INC... X86_OP_NOT] = uop_tr_unary,
	[X86_OP_MUL] = uop_tr_multiply,
	[X86_OP_IMUL] = uop_tr_multiply,
	[X86_OP_DIV] = uop_tr_divide,
	[X86_OP_IDIV] = uop_tr_divide,
	[X86_OP_SHLD] = uop_tr_double_shift,
	[X86_OP_SHRD] = uop_tr_double_shift,
	[X86_OP_SETCC] = uop_tr_setcc,
	[X86_OP_CMOVCC] = uop_tr_cmov,
	[X86_OP_BSWAP] = uop_tr_bswap,
	[X86_OP_BSF... X86_OP_POPCNT] = uop_tr_scan,
	[X86_OP_MOVS... X86_OP_SCAS] = uop_tr_string,
	[X86_OP_PUSH] = uop_tr_push,
	[X86_OP_POP] = uop_tr_pop,
	[X86_OP_LEAVE] = uop_tr_leave,
	[X86_OP_CALL] = uop_tr_call,
	[X86_OP_JMP] = uop_tr_jmp,
	[X86_OP_JCC] = uop_tr_jcc,
	[X86_OP_RET] = uop_tr_ret,
	[X86_OP_LOOP... X86_OP_JCXZ] = uop_tr_loop,
	[X86_OP_CBW] = uop_tr_widen,
	[X86_OP_CWD] = uop_tr_widen,
	[X86_OP_SAHF... X86_OP_STC] = uop_tr_flag,
	[X86_OP_CLD] = uop_tr_flag,
	[X86_OP_STD] = uop_tr_flag,
	[X86_OP_NOP] = nothing,
	[X86_OP_PREFETCH] = nothing,
};

_Static_assert(X86_OP_CMP == X86_OP_ADD + 7 && X86_OP_SAR == X86_OP_ROL + 7 &&
                       X86_OP_BTC == X86_OP_BT + 3 && X86_OP_MOVSXD == X86_OP_MOVZX + 2 &&
                       X86_OP_POPCNT == X86_OP_BSF + 4 && X86_OP_SCAS == X86_OP_MOVS + 4 &&
                       X86_OP_JCXZ == X86_OP_LOOP + 3 && X86_OP_STC == X86_OP_SAHF + 4,
               "ranges of rows");

bool emu_translate_integer(struct emu_builder *b, const struct x86_insn *in)
{
	emu_translate_fn *fn = rows[in->op];
	bool done;

	b->before = b->notes.at == b->next ? b->notes : (struct emu_notes){ .at = NULL };
	b->notes = (struct emu_notes){ .at = NULL };
	if (fn)
		done = fn(b, in);
	else if (emu_executes((enum x86_op)in->op))
		done = uop_emit_generic(b, in);
	else
		done = emu_emit_call(b, emu_call_undefined, in, EMU_CALL_END);
	b->notes.at = b->next;
	return done;
}
