/* SPDX-License-Identifier: BSD-2-Clause */
/* Fetch, decode, dispatch, retire. */
#include "emu/x86_64/emulate.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "emu/x86_64/operand.h"

typedef int exec_fn(struct x86_emulate_ctx *ctx);

/* An empty row is an instruction that is not emulated, or, of SIMD, not by everybody. */
static exec_fn *const exec_table[X86_OP_COUNT] = {
	[X86_OP_ADD] = emu_exec_binary,
	[X86_OP_OR] = emu_exec_binary,
	[X86_OP_ADC] = emu_exec_binary,
	[X86_OP_SBB] = emu_exec_binary,
	[X86_OP_AND] = emu_exec_binary,
	[X86_OP_SUB] = emu_exec_binary,
	[X86_OP_XOR] = emu_exec_binary,
	[X86_OP_CMP] = emu_exec_compare,
	[X86_OP_TEST] = emu_exec_compare,
	[X86_OP_ROL] = emu_exec_shift,
	[X86_OP_ROR] = emu_exec_shift,
	[X86_OP_RCL] = emu_exec_shift,
	[X86_OP_RCR] = emu_exec_shift,
	[X86_OP_SHL] = emu_exec_shift,
	[X86_OP_SHR] = emu_exec_shift,
	[X86_OP_SAL] = emu_exec_shift,
	[X86_OP_SAR] = emu_exec_shift,
	[X86_OP_SHLD] = emu_exec_double_shift,
	[X86_OP_SHRD] = emu_exec_double_shift,
	[X86_OP_BT] = emu_exec_bit,
	[X86_OP_BTS] = emu_exec_bit,
	[X86_OP_BTR] = emu_exec_bit,
	[X86_OP_BTC] = emu_exec_bit,
	[X86_OP_MOV] = emu_exec_mov,
	[X86_OP_MOVNTI] = emu_exec_mov,
	[X86_OP_MOVZX] = emu_exec_extend,
	[X86_OP_MOVSX] = emu_exec_extend,
	[X86_OP_MOVSXD] = emu_exec_extend,
	[X86_OP_MOVBE] = emu_exec_movbe,
	[X86_OP_MOV_FROM_SREG] = emu_exec_mov_from_sreg,
	[X86_OP_XCHG] = emu_exec_xchg,
	[X86_OP_XADD] = emu_exec_xadd,
	[X86_OP_CMPXCHG] = emu_exec_cmpxchg,
	[X86_OP_CMPXCHG8B] = emu_exec_cmpxchg_pair,
	[X86_OP_INC] = emu_exec_unary,
	[X86_OP_DEC] = emu_exec_unary,
	[X86_OP_NEG] = emu_exec_unary,
	[X86_OP_NOT] = emu_exec_unary,
	[X86_OP_MUL] = emu_exec_multiply,
	[X86_OP_IMUL] = emu_exec_multiply,
	[X86_OP_DIV] = emu_exec_divide,
	[X86_OP_IDIV] = emu_exec_divide,
	[X86_OP_SETCC] = emu_exec_setcc,
	[X86_OP_CMOVCC] = emu_exec_cmovcc,
	[X86_OP_BSF] = emu_exec_scan,
	[X86_OP_BSR] = emu_exec_scan,
	[X86_OP_TZCNT] = emu_exec_scan,
	[X86_OP_LZCNT] = emu_exec_scan,
	[X86_OP_POPCNT] = emu_exec_scan,
	[X86_OP_PUSH] = emu_exec_push,
	[X86_OP_POP] = emu_exec_pop,
	[X86_OP_MOVS] = emu_exec_string,
	[X86_OP_CMPS] = emu_exec_string,
	[X86_OP_STOS] = emu_exec_string,
	[X86_OP_LODS] = emu_exec_string,
	[X86_OP_SCAS] = emu_exec_string,
	[X86_OP_PUSHA] = emu_exec_pusha,
	[X86_OP_POPA] = emu_exec_popa,
	[X86_OP_ENTER] = emu_exec_enter,
	[X86_OP_LEAVE] = emu_exec_leave,
	[X86_OP_ANDN] = emu_exec_andn,
	[X86_OP_BLSR] = emu_exec_lowest_bit,
	[X86_OP_BLSMSK] = emu_exec_lowest_bit,
	[X86_OP_BLSI] = emu_exec_lowest_bit,
	[X86_OP_BEXTR] = emu_exec_bit_field,
	[X86_OP_BZHI] = emu_exec_bit_field,
	[X86_OP_PDEP] = emu_exec_deposit,
	[X86_OP_PEXT] = emu_exec_deposit,
	[X86_OP_SARX] = emu_exec_shift_vex,
	[X86_OP_SHLX] = emu_exec_shift_vex,
	[X86_OP_SHRX] = emu_exec_shift_vex,
	[X86_OP_RORX] = emu_exec_shift_vex,
	[X86_OP_MULX] = emu_exec_mulx,
	[X86_OP_ADCX] = emu_exec_add_flag,
	[X86_OP_ADOX] = emu_exec_add_flag,
	[X86_OP_CRC32] = emu_exec_crc32,
	[X86_OP_NOP] = emu_exec_nop,
	[X86_OP_PREFETCH] = emu_exec_nop,
	[X86_OP_LEA] = emu_exec_lea,
	[X86_OP_BSWAP] = emu_exec_bswap,
	[X86_OP_CBW] = emu_exec_widen,
	[X86_OP_CWD] = emu_exec_widen,
	[X86_OP_SAHF] = emu_exec_flag,
	[X86_OP_LAHF] = emu_exec_flag,
	[X86_OP_CLC] = emu_exec_flag,
	[X86_OP_STC] = emu_exec_flag,
	[X86_OP_CMC] = emu_exec_flag,
	[X86_OP_CLD] = emu_exec_flag,
	[X86_OP_STD] = emu_exec_flag,
	[X86_OP_XLAT] = emu_exec_xlat,
	[X86_OP_BOUND] = emu_exec_bound,
	[X86_OP_AAA] = emu_exec_ascii_adjust,
	[X86_OP_AAS] = emu_exec_ascii_adjust,
	[X86_OP_DAA] = emu_exec_decimal_adjust,
	[X86_OP_DAS] = emu_exec_decimal_adjust,
	[X86_OP_AAM] = emu_exec_ascii_multiply,
	[X86_OP_AAD] = emu_exec_ascii_multiply,
	[X86_OP_SALC] = emu_exec_salc,
	[X86_OP_MOVDIRI] = emu_exec_mov,
};

enum x86_mode x86_state_mode(const struct x86_state *state)
{
	unsigned attr = state->seg[X86_CS].attr;

	if ((attr & X86_ATTR_L) && (state->efer & X86_EFER_LMA))
		return X86_MODE_64;
	return attr & X86_ATTR_DB ? X86_MODE_32 : X86_MODE_16;
}

/* Fetches the next bytes, up to the end of their page: what lies beyond may not be needed. */
static int fetch_more(struct x86_emulate_ctx *ctx)
{
	const struct x86_state *s = ctx->state;
	uint64_t offset = s->rip + ctx->n_bytes;
	uint64_t room = X86_INSN_MAX - ctx->n_bytes;
	gva_t address = gva_of(offset);
	int r;

	if (ctx->mode != X86_MODE_64) {
		offset = (uint32_t)offset;
		if (offset > s->seg[X86_CS].limit)
			return emu_fault_code(ctx, X86_VEC_GP, 0);
		room = hc_min(room, s->seg[X86_CS].limit - offset + 1);
		address = gva_of((uint32_t)(s->seg[X86_CS].base + offset));
	} else {
		r = emu_operand_linear(ctx, X86_CS, offset, 1, false, &address);
		if (r)
			return r;
	}
	room = hc_min(room, HC_PAGE_SIZE - address.v % HC_PAGE_SIZE);
	r = ctx->ops->fetch(ctx->opaque, address, ctx->bytes + ctx->n_bytes, (unsigned)room,
	                    &ctx->fault);
	if (!r)
		ctx->n_bytes = (uint8_t)(ctx->n_bytes + room);
	return r;
}

/* Decodes what has been fetched, and fetches more if that is not all of it. */
static int decode(struct x86_emulate_ctx *ctx)
{
	for (;;) {
		int r = x86_decode(&ctx->insn, ctx->bytes, ctx->n_bytes, ctx->mode);

		if (r > 0)
			return 0;
		if (r == -EPROTO)
			return emu_fault_code(ctx, X86_VEC_GP, 0);
		if (r == -EINVAL)
			return emu_fault(ctx, X86_VEC_UD);
		r = fetch_more(ctx);
		if (r)
			return r;
	}
}

/* Compares X86_INSN_MAX bytes, as two words that overlap. */
static inline bool same_bytes(const uint8_t *a, const uint8_t *b)
{
	uint64_t a0, a1, b0, b1;

	__builtin_memcpy(&a0, a, 8);
	__builtin_memcpy(&b0, b, 8);
	__builtin_memcpy(&a1, a + X86_INSN_MAX - 8, 8);
	__builtin_memcpy(&b1, b + X86_INSN_MAX - 8, 8);
	return a0 == b0 && a1 == b1;
}

const struct x86_insn *x86_decode_cached(struct x86_decode_cache *cache, const uint8_t *bytes,
                                         uint64_t rip, enum x86_mode mode)
{
	unsigned i = (unsigned)(rip ^ rip >> 3) % X86_DECODED_MAX;

	if (cache->entry[i].mode == mode && same_bytes(cache->entry[i].bytes, bytes))
		return &cache->entry[i].insn;
	cache->entry[i].mode = 0;
	if (x86_decode(&cache->entry[i].insn, bytes, X86_INSN_MAX, mode) < 0)
		return NULL;
	memcpy(cache->entry[i].bytes, bytes, X86_INSN_MAX);
	cache->entry[i].mode = (uint8_t)mode;
	return &cache->entry[i].insn;
}

static int decode_cached(struct x86_emulate_ctx *ctx, struct x86_decode_cache *cache)
{
	const struct x86_insn *insn =
		x86_decode_cached(cache, ctx->bytes, ctx->state->rip, ctx->mode);

	if (!insn)
		return decode(ctx);
	ctx->insn = *insn;
	return 0;
}

static inline int fetch_and_decode(struct x86_emulate_ctx *ctx, struct x86_decode_cache *cache)
{
	int r = ctx->n_bytes ? 0 : fetch_more(ctx);

	if (r)
		return r;
	return cache && ctx->n_bytes == X86_INSN_MAX ? decode_cached(ctx, cache) : decode(ctx);
}

static void retire(struct x86_emulate_ctx *ctx)
{
	struct x86_state *s = ctx->state;

	s->rip += ctx->insn.length;
	if (ctx->mode != X86_MODE_64)
		s->rip = (uint32_t)s->rip;
	s->rflags &= ~(uint64_t)X86_FLAG_RF;
}

static inline int execute(struct x86_emulate_ctx *ctx)
{
	exec_fn *exec = exec_table[ctx->insn.op];
	int r;

	if (!exec && ctx->insn.op == X86_OP_SIMD)
		exec = emu_exec_vector;
	if (!exec)
		return -EOPNOTSUPP;
	ctx->access = ctx->insn.prefixes & X86_PFX_LOCK ? X86_ACCESS_LOCKED : 0;
	r = exec(ctx);
	if (!r)
		retire(ctx);
	return r;
}

int x86_execute(struct x86_emulate_ctx *ctx, enum x86_mode mode)
{
	ctx->mode = mode;
	return execute(ctx);
}

bool x86_is_executable(enum x86_op op)
{
	return exec_table[op];
}

int x86_emulate_cached(struct x86_emulate_ctx *ctx, struct x86_decode_cache *cache)
{
	int r;

	ctx->mode = x86_state_mode(ctx->state);
	r = fetch_and_decode(ctx, cache);
	return r ? r : execute(ctx);
}

int x86_emulate(struct x86_emulate_ctx *ctx)
{
	return x86_emulate_cached(ctx, NULL);
}
