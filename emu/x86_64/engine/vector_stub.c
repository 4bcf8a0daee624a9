/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stubs: a guest's vector instruction as host code that works on the state in memory.
 *
 * A stub is called as a handler is: RDI holds c, RSI the uop, RDX s. It may change RAX, RCX, R8 to
 * R11, the flags and all vector registers. The guest's registers are moved to the host's lowest:
 *
 *   0  XMM0 where it is implied; EAX   1  ModRM.reg   2  VEX.vvvv   3  r/m   4  imm8[7:4]   5  zero
 *
 * and what was in guest memory is in c->operand. An instruction that can raise SIMD floating-point
 * exceptions is there twice: once for when the guest masks them all, and once with a look at the
 * flags afterwards. (Encodings: SDM Vol. 2A 2.1 to 2.3.)
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/lock.h"
#include "emu/x86_64/engine/vector.h"
#include "emu/x86_64/native/native.h"

/* The memory holds code, room for one more stub, and the table of stubs. */
#define MEMORY_SIZE (4 * HC_MIB)
#define STUB_MAX    320 /* bytes of the longest, with room to spare */
#define SLOTS       32768u
#define SLOTS_AT    (MEMORY_SIZE - SLOTS * sizeof(struct slot))
#define ONCE_AT     (SLOTS_AT - STUB_MAX) /* the stub that is used once */

/* Host registers. */
enum { RAX, RCX, RDX, RSI = 6, RDI = 7 };
enum { H_XMM0, H_REG, H_VVVV, H_RM, H_IS4, H_ZERO };

struct slot {
	uint64_t key; /* 0: free */
	uint32_t offset;
};

static struct {
	struct hc_lock lock;
	const uint8_t *code;
	uint8_t *writable;
	uint32_t used;
	uint32_t count;
	struct slot *slots;
} cache;

int emu_stub_init(void)
{
	void *writable;

	if (cache.code)
		return 0;
	cache.code = hc_platform_alloc_code(MEMORY_SIZE, &writable);
	if (!cache.code)
		return -ENOMEM;
	cache.writable = writable;
	cache.slots = (struct slot *)(void *)(cache.writable + SLOTS_AT);
	return 0;
}

/* --- Bytes --- */

struct out {
	uint8_t *p;
	const struct vec_key *key;
	const struct vec_row *row;
};

static void put1(struct out *o, unsigned v)
{
	*o->p++ = (uint8_t)v;
}

static void put_n(struct out *o, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put1(o, bytes[i]);
}

#define PUT(o, ...)                                                                                \
	do {                                                                                       \
		static const uint8_t put_bytes[] = { __VA_ARGS__ };                                \
		put_n((o), put_bytes, sizeof(put_bytes));                                          \
	} while (0)

/* ModRM of [base + disp32]. */
static void put_mem(struct out *o, unsigned reg, unsigned base, size_t disp)
{
	put1(o, 0x80 | reg << 3 | base);
	put1(o, (unsigned)disp);
	put1(o, (unsigned)(disp >> 8));
	put1(o, (unsigned)(disp >> 16));
	put1(o, (unsigned)(disp >> 24));
}

/* REX.W and a one-byte opcode on RAX or another register and memory. */
static void put_gpr64(struct out *o, unsigned opcode, unsigned reg, unsigned base, size_t disp)
{
	put1(o, 0x48);
	put1(o, opcode);
	put_mem(o, reg, base, disp);
}

static void put_vex(struct out *o, unsigned map, unsigned pp, bool l, bool w, unsigned vvvv)
{
	put1(o, 0xc4);
	put1(o, 0xe0 | map);
	put1(o, (unsigned)w << 7 | (~vvvv & 15) << 3 | (unsigned)l << 2 | pp);
}

/* --- Keys --- */

uint64_t emu_stub_pack(const struct vec_key *key)
{
	return HC_BIT(63) | (uint64_t)key->imm << 40 | (uint64_t)key->rm << 36 |
	       (uint64_t)key->vvvv << 32 | (uint64_t)key->reg << 28 | (uint64_t)key->w << 27 |
	       (uint64_t)key->l << 26 | (uint64_t)key->vex << 25 | (uint64_t)key->map << 18 |
	       (uint64_t)key->pp << 16 | (uint64_t)key->opcode << 8 | key->modrm;
}

struct vec_key emu_stub_key(uint64_t packed)
{
	return (struct vec_key){ .imm = (uint8_t)(packed >> 40),
		                 .rm = packed >> 36 & 15,
		                 .vvvv = packed >> 32 & 15,
		                 .reg = packed >> 28 & 15,
		                 .w = packed >> 27 & 1,
		                 .l = packed >> 26 & 1,
		                 .vex = packed >> 25 & 1,
		                 .map = packed >> 18 & 3,
		                 .pp = packed >> 16 & 3,
		                 .opcode = (uint8_t)(packed >> 8),
		                 .modrm = (uint8_t)packed };
}

/* --- Registers --- */

static bool is_256(const struct out *o, unsigned class)
{
	return class == VEC_CLASS_V && o->key->l;
}

static size_t xmm_at(unsigned n)
{
	return offsetof(struct x86_state, xsave) + XSAVE_XMM + 16 * n;
}

static size_t ymm_high_at(unsigned n)
{
	return offsetof(struct x86_state, xsave) + XSAVE_YMM + 16 * n;
}

static size_t mmx_at(unsigned n)
{
	return offsetof(struct x86_state, xsave) + XSAVE_ST + 16 * (n & 7);
}

/* (V)MOVAPS between host register h and memory: 28 loads, 29 stores. */
static void put_movaps(struct out *o, unsigned opcode, unsigned h, size_t disp)
{
	if (o->key->vex) {
		put_vex(o, 1, 0, false, false, 0);
	} else {
		PUT(o, 0x0f);
	}
	put1(o, opcode);
	put_mem(o, h, RDX, disp);
}

static void load(struct out *o, unsigned class, unsigned h, unsigned n)
{
	if (class == VEC_CLASS_P) {
		PUT(o, 0x0f, 0x6f); /* MOVQ */
		put_mem(o, h, RDX, mmx_at(n));
	} else if (class == VEC_CLASS_V || class == VEC_CLASS_X) {
		put_movaps(o, 0x28, h, xmm_at(n));
		if (!is_256(o, class))
			return;
		put_vex(o, 3, 1, true, false, h); /* VINSERTF128 h, h, mem, 1 */
		put1(o, 0x18);
		put_mem(o, h, RDX, ymm_high_at(n));
		put1(o, 1);
	}
}

static void store_vector(struct out *o, unsigned class, unsigned h, unsigned n)
{
	put_movaps(o, 0x29, h, xmm_at(n));
	if (!o->key->vex)
		return;
	if (is_256(o, class)) {
		put_vex(o, 3, 1, true, false, 0); /* VEXTRACTF128 mem, h, 1 */
		put1(o, 0x19);
		put_mem(o, h, RDX, ymm_high_at(n));
		put1(o, 1);
	} else {
		PUT(o, 0xc5, 0xd0, 0x57, 0xed); /* VXORPS XMM5, XMM5, XMM5 */
		put_movaps(o, 0x29, H_ZERO, ymm_high_at(n));
	}
}

static void store(struct out *o, unsigned class, unsigned h, unsigned n)
{
	if (class == VEC_CLASS_G) {
		put_gpr64(o, 0x89, RAX, RDX, 8 * n);
	} else if (class == VEC_CLASS_P) {
		PUT(o, 0x0f, 0x7f); /* MOVQ; the rest of the x87 register is all ones */
		put_mem(o, h, RDX, mmx_at(n));
		PUT(o, 0x66, 0xc7);
		put_mem(o, 0, RDX, mmx_at(n) + 8);
		PUT(o, 0xff, 0xff);
	} else {
		store_vector(o, class, h, n);
	}
}

/* --- The instruction --- */

static bool is_memory(const struct vec_key *key)
{
	return key->modrm < 0xc0;
}

static void put_operands(struct out *o)
{
	const struct vec_row *row = o->row;
	unsigned reg = row->reg == VEC_CLASS_NONE ? o->key->reg & 7u : H_REG;

	if (row->reg == VEC_CLASS_G)
		reg = RAX;
	if (is_memory(o->key))
		put_mem(o, reg, RDI, offsetof(struct emu_cpu, operand));
	else if (row->rm != VEC_CLASS_G)
		put1(o, 0xc0 | reg << 3 | H_RM);
	else if (row->flags & VEC_TO_RM)
		put1(o, 0xc0 | reg << 3 | RAX);
	else
		put_mem(o, reg, RDX, 8 * o->key->rm);
}

/* Maps 0F38 with no immediate at all, 0F3A always, of 0F these. */
static bool has_imm(const struct vec_key *key)
{
	unsigned op = key->opcode;

	if (key->map != 1)
		return key->map == 3;
	return (op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6);
}

static bool uses_vvvv(const struct out *o)
{
	if (!o->key->vex)
		return false;
	return o->row->flags & (VEC_NDS | VEC_TO_VVVV) ||
	       (o->row->flags & VEC_NDS_REG && !is_memory(o->key));
}

static void put_legacy_opcode(struct out *o)
{
	static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	const struct vec_key *key = o->key;

	if (key->pp)
		put1(o, prefixes[key->pp]);
	if (key->w)
		put1(o, 0x48);
	put1(o, 0x0f);
	if (key->map > 1)
		put1(o, key->map == 2 ? 0x38 : 0x3a);
}

static void put_instruction(struct out *o)
{
	const struct vec_key *key = o->key;

	if (key->vex)
		put_vex(o, key->map, key->pp, key->l, key->w, uses_vvvv(o) ? H_VVVV : 0);
	else
		put_legacy_opcode(o);
	put1(o, key->opcode);
	put_operands(o);
	if (has_imm(key))
		put1(o,
		     o->row->flags & VEC_IS4 ? (unsigned)(key->imm & 15) | H_IS4 << 4 : key->imm);
}

/* PCMPESTRI and PCMPESTRM; s is in R8 meanwhile. */
static void put_with_lengths(struct out *o)
{
	PUT(o, 0x49, 0x89, 0xd0); /* MOV R8, RDX */
	put_gpr64(o, 0x8b, RAX, RDX, 8 * X86_RAX);
	put_gpr64(o, 0x8b, RDX, RDX, 8 * X86_RDX);
	put_instruction(o);
	PUT(o, 0x4c, 0x89, 0xc2); /* MOV RDX, R8 */
}

static void put_execution(struct out *o)
{
	if (o->row->flags & VEC_LENGTHS)
		put_with_lengths(o);
	else
		put_instruction(o);
	if (o->row->flags & VEC_EFLAGS) {
		PUT(o, 0x9c, 0x58); /* PUSHFQ; POP RAX */
		put_gpr64(o, 0x89, RAX, RDI, offsetof(struct emu_cpu, operand_flags));
	}
}

static void load_sources(struct out *o)
{
	const struct vec_row *row = o->row;
	const struct vec_key *key = o->key;

	/* Under a legacy prefix the destination keeps what the instruction does not write. */
	if (!key->vex || row->flags & (VEC_TO_RM | VEC_TO_NONE | VEC_RMW))
		load(o, row->reg, H_REG, key->reg);
	if (uses_vvvv(o) && !(row->flags & VEC_TO_VVVV))
		load(o, row->reg, H_VVVV, key->vvvv);
	if (!is_memory(key))
		load(o, row->rm, H_RM, key->rm);
	if (row->flags & VEC_XMM0)
		load(o, VEC_CLASS_X, H_XMM0, 0);
	if (row->flags & VEC_IS4)
		load(o, VEC_CLASS_V, H_IS4, key->imm >> 4);
}

static void store_results(struct out *o)
{
	const struct vec_row *row = o->row;
	const struct vec_key *key = o->key;

	if (row->flags & VEC_TO_XMM0)
		store(o, VEC_CLASS_X, H_XMM0, 0);
	else if (row->flags & VEC_TO_ECX)
		put_gpr64(o, 0x89, RCX, RDX, 8 * X86_RCX);
	else if (row->flags & VEC_TO_VVVV)
		store(o, row->rm, key->vex ? H_VVVV : H_RM, key->vex ? key->vvvv : key->rm);
	else if (row->flags & VEC_TO_RM && !is_memory(key))
		store(o, row->rm, H_RM, key->rm);
	else if (!(row->flags & (VEC_TO_RM | VEC_TO_NONE)))
		store(o, row->reg, H_REG, key->reg);
	if (key->l)
		PUT(o, 0xc5, 0xf8, 0x77); /* VZEROUPPER */
	if (row->reg == VEC_CLASS_P || row->rm == VEC_CLASS_P)
		PUT(o, 0x0f, 0x77); /* EMMS */
}

/* A 32-bit opcode on EAX, or with a group's extension, and a member of struct emu_cpu. */
static void put_cpu32(struct out *o, unsigned opcode, unsigned reg, size_t disp)
{
	put1(o, opcode);
	put_mem(o, reg, RDI, disp);
}

/* A conditional near jump whose target comes later. */
static uint8_t *put_forward(struct out *o, unsigned cc)
{
	put1(o, 0x0f);
	put1(o, 0x80 | cc);
	PUT(o, 0, 0, 0, 0);
	return o->p;
}

static void land(const struct out *o, uint8_t *from)
{
	uint32_t distance = (uint32_t)(o->p - from);

	__builtin_memcpy(from - 4, &distance, 4);
}

static void put_key(struct out *o)
{
	uint64_t packed = emu_stub_pack(o->key);

	PUT(o, 0x48, 0xb8); /* MOV RAX, imm64 */
	for (unsigned i = 0; i < 64; i += 8)
		put1(o, (unsigned)(packed >> i & 0xff));
	put_gpr64(o, 0x89, RAX, RDI, offsetof(struct emu_cpu, simd_key));
}

#define CC_E  4
#define CC_NE 5

/*
 *       CMP  mxcsr_unmasked, 0
 *       JE   plain
 *       LDMXCSR mxcsr_masked        all masked, no flags
 *       the instruction
 *       STMXCSR mxcsr_raised
 *       MOV  ECX, mxcsr_raised      EAX may be the result
 *       AND  ECX, 3F
 *       TEST ECX, mxcsr_unmasked
 *       JNE  raise
 *       OR   s->mxcsr, ECX
 *       JMP  done
 * raise: MOV  RAX, key
 *       MOV  simd_key, RAX
 *       JMP  [simd_exception]       puts into s->mxcsr what is to be seen
 * plain: the instruction
 * done:
 */
static void put_checked(struct out *o)
{
	uint8_t *plain, *raise, *done;
	const size_t mxcsr = offsetof(struct x86_state, xsave) + XSAVE_MXCSR;

	put_cpu32(o, 0x83, 7, offsetof(struct emu_cpu, mxcsr_unmasked)); /* CMP mem, imm8 */
	PUT(o, 0);
	plain = put_forward(o, CC_E);
	PUT(o, 0x0f);
	put_cpu32(o, 0xae, 2, offsetof(struct emu_cpu, mxcsr_masked));
	put_execution(o);
	PUT(o, 0x0f);
	put_cpu32(o, 0xae, 3, offsetof(struct emu_cpu, mxcsr_raised));
	put_cpu32(o, 0x8b, RCX, offsetof(struct emu_cpu, mxcsr_raised));
	PUT(o, 0x83, 0xe1, MXCSR_FLAGS); /* AND ECX, imm8 */
	put_cpu32(o, 0x85, RCX, offsetof(struct emu_cpu, mxcsr_unmasked));
	raise = put_forward(o, CC_NE);
	put1(o, 0x09); /* OR mem, ECX */
	put_mem(o, RCX, RDX, mxcsr);
	PUT(o, 0xe9, 0, 0, 0, 0); /* JMP rel32 */
	done = o->p;
	land(o, raise);
	if (o->key->l)
		PUT(o, 0xc5, 0xf8, 0x77);
	if (o->row->reg == VEC_CLASS_P || o->row->rm == VEC_CLASS_P)
		PUT(o, 0x0f, 0x77);
	put_key(o);
	put1(o, 0xff); /* JMP mem */
	put_mem(o, 4, RDI, offsetof(struct emu_cpu, simd_exception));
	land(o, plain);
	put_execution(o);
	land(o, done);
}

/* EMU_NEXT */
static void put_next(struct out *o)
{
#ifdef EMU_TRAMPOLINE
	PUT(o, 0x48, 0x8d, 0x46, sizeof(struct emu_uop)); /* LEA RAX, [RSI + n] */
	PUT(o, 0xc3);
#else
	PUT(o, 0x48, 0x83, 0xc6, sizeof(struct emu_uop)); /* ADD RSI, n */
	PUT(o, 0xff, 0x26);                               /* JMP [RSI] */
#endif
}

_Static_assert(offsetof(struct emu_uop, fn) == 0, "JMP [RSI]");

/*
 * x87: a function. FXRSTOR64 brings the guest's registers and FCW; the status flags are set
 * (FCMOVcc) and read (FCOMI); FXSAVE64 and FNINIT leave the host's x87 as it was, with nothing
 * pending.
 */
static void put_x87(struct out *o)
{
	const struct vec_key *key = o->key;

	PUT(o, 0x48, 0x0f, 0xae);
	put_mem(o, 1, RDX, offsetof(struct x86_state, xsave));
	put1(o, 0xff); /* PUSH mem; POPFQ */
	put_mem(o, 6, RDI, offsetof(struct emu_cpu, operand_flags));
	put1(o, 0x9d);
	put1(o, key->opcode);
	if (is_memory(key))
		put_mem(o, key->modrm >> 3 & 7, RDI, offsetof(struct emu_cpu, operand));
	else
		put1(o, key->modrm);
	PUT(o, 0x9c, 0x8f); /* PUSHFQ; POP mem */
	put_mem(o, 0, RDI, offsetof(struct emu_cpu, operand_flags));
	PUT(o, 0x48, 0x0f, 0xae);
	put_mem(o, 0, RDX, offsetof(struct x86_state, xsave));
	PUT(o, 0xdb, 0xe3, 0xc3); /* FNINIT; RET */
}

/* Returns the number of bytes. */
static uint32_t generate(uint8_t *at, const struct vec_key *key, const struct vec_row *row)
{
	struct out o = { .p = at, .key = key, .row = row };

	if (!key->map) {
		put_x87(&o);
		return (uint32_t)(o.p - at);
	}
	load_sources(&o);
	if (row->flags & VEC_FP)
		put_checked(&o);
	else
		put_execution(&o);
	store_results(&o);
	put_next(&o);
	return (uint32_t)(o.p - at);
}

/* --- The cache --- */

static struct slot *find(uint64_t key)
{
	uint32_t i = (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40);

	while (cache.slots[i % SLOTS].key && cache.slots[i % SLOTS].key != key)
		i++;
	return &cache.slots[i % SLOTS];
}

/* ISO C has no conversion from data to functions. */
static emu_fn *as_function(const uint8_t *code)
{
	emu_fn *fn;

	__builtin_memcpy(&fn, &code, sizeof(fn));
	return fn;
}

emu_fn *emu_stub(const struct vec_key *key, const struct vec_row *row)
{
	uint64_t packed = emu_stub_pack(key);
	struct slot *slot;
	emu_fn *fn = NULL;

	hc_lock(&cache.lock);
	slot = find(packed);
	if (!slot->key && cache.count < SLOTS / 4 * 3 && cache.used + STUB_MAX <= ONCE_AT) {
		slot->key = packed;
		slot->offset = cache.used;
		cache.used += generate(cache.writable + cache.used, key, row);
		cache.used = (uint32_t)HC_ALIGN_UP(cache.used, 16);
		cache.count++;
	}
	if (slot->key)
		fn = as_function(cache.code + slot->offset);
	hc_unlock(&cache.lock);
	return fn;
}

static const struct emu_uop *stop(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s)
{
	return NULL;
}

void emu_stub_once(struct emu_cpu *c, const struct vec_key *key, const struct vec_row *row)
{
	const struct emu_uop uops[2] = { { .fn = stop }, { .fn = stop } };

	hc_lock(&cache.lock);
	generate(cache.writable + ONCE_AT, key, row);
	emu_native_serialize();
	c->stub_locked = true;
	(void)as_function(cache.code + ONCE_AT)(c, uops, c->s);
	emu_stub_once_done(c);
}

void emu_stub_once_done(struct emu_cpu *c)
{
	c->stub_locked = false;
	hc_unlock(&cache.lock);
}
