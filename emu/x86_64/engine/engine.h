/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU: what its parts share. Private to emu/x86_64/engine; engine_api.h is for others.
 *
 *   bytes --decode.c--> struct x86_insn --translate.c--> struct emu_uop[] (a block) --> execution
 *
 * A block is a run of instructions that is entered at its top only. Each instruction has become one
 * or more micro-operations: a handler, and operands in the form in which the handler wants them. A
 * handler does its work and jumps to the next one's (EMU_NEXT): there is no loop in between. The
 * last handler of a block goes to the next block itself if it was linked to it, else back to the
 * loop of run.c, which looks for it, has it translated if need be, and does all that is rare:
 * events, windows, single steps, requests of other CPUs.
 *
 * The guest's registers are live in struct x86_state, but for two things that are kept in another
 * form while a block runs: RIP (block->rip + uop->pc: emu_commit_pc()) and the status flags (struct
 * emu_flags: emu_flags_store()). Whoever leaves the handlers - a call of a function that reads
 * them, a fault, an exit - brings the state up to date first.
 *
 * A handler that faults or exits does not return: emu_raise() and emu_leave() unwind to run.c. So
 * an instruction changes nothing before the last of its accesses that can fault.
 */
#ifndef EMU_X86_64_ENGINE_ENGINE_H
#define EMU_X86_64_ENGINE_ENGINE_H

#include <hypercore/exit.h>
#include <hypercore/x86_state.h>
#include <stdatomic.h>

#include "emu/x86_64/alu.h"
#include "emu/x86_64/decode.h"
#include "emu/x86_64/engine/engine_api.h"

struct emu_cpu;
struct emu_uop;
struct emu_block;

#define EMU_LIKELY(x)   __builtin_expect(!!(x), 1)
#define EMU_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* --- Micro-operations --- */

/* Returns the micro-operation to go on with (in a build that makes tail calls, only what the last
 * of a chain returns is seen), or NULL: back to the loop of run.c, with s->rip up to date. */
typedef const struct emu_uop *emu_fn(struct emu_cpu *c, const struct emu_uop *u,
                                     struct x86_state *s);

struct emu_uop {
	emu_fn *fn;
	/* Registers: offsets in bytes into struct x86_state, so that AH is RAX's plus 1
	 * (EMU_GPR()); what a handler has no register for it does not look at. */
	uint8_t dst, src;    /* by most handlers: the register operands */
	uint8_t base, index; /* of the address */
	uint8_t scale;       /* log2 of the index's factor */
	uint8_t seg;         /* enum x86_seg, for addresses that are not EMU_EA_FLAT */
	uint16_t pc;         /* of the instruction, from the beginning of the block */
	union {
		struct {
			int32_t disp; /* of the address */
			int32_t imm;  /* sign-extended */
		};
		uint64_t imm64;
		void *ptr;
	};
};

_Static_assert(sizeof(struct emu_uop) == 24, "handlers step from one to the next by addition");

/* A build whose compiler makes no tail calls (-O0, sanitizers) returns to run.c's loop after every
 * handler instead; cmake/Hypercore.cmake says which builds those are. */
#ifdef EMU_TRAMPOLINE
#define EMU_GOTO(c, u, s) return (u)
#else
#define EMU_GOTO(c, u, s) return (u)->fn((c), (u), (s))
#endif
#define EMU_NEXT(c, u, s) EMU_GOTO((c), (u) + 1, (s))

#define EMU_GPR(n) ((uint8_t)((n)*8)) /* uop->dst and others of register n */
/* The same for an 8-bit operand: AH to BH without REX (SDM Vol. 1 3.4.1.1). */
#define EMU_GPR8(n, rex) ((uint8_t)(!(rex) && (n) >= 4 && (n) < 8 ? ((n)-4) * 8 + 1 : (n)*8))

_Static_assert(offsetof(struct x86_state, gpr) == 0, "EMU_GPR");

/* Register access; the build has -fno-strict-aliasing. A 32-bit write clears the upper half:
 * EMU_R64(s, o) = (uint32_t)v. */
#define EMU_R8(s, o)  (*(uint8_t *)((char *)(s) + (o)))
#define EMU_R16(s, o) (*(uint16_t *)((char *)(s) + (o)))
#define EMU_R32(s, o) (*(uint32_t *)((char *)(s) + (o)))
#define EMU_R64(s, o) (*(uint64_t *)((char *)(s) + (o)))

/* --- Status flags, computed when somebody asks --- */

/*
 * What the last instruction that set them left. result is sign-extended from its width. aux:
 *   bit 63  CF: the carry out of the result's most significant bit
 *   bit 62  the carry into it (OF = bit 63 ^ bit 62)
 *   bit  3  AF
 *   bit  0  inverts SF, bits 15:8 are XORed into the byte that PF is computed from: for flags that
 *           no result has (POPF, and BT's or shifts' own flags)
 */
struct emu_flags {
	uint64_t result, aux;
};

#define EMU_AUX_CF       HC_BIT(63)
#define EMU_AUX_CARRY_IN HC_BIT(62)
#define EMU_AUX_AF       HC_BIT(3)
#define EMU_AUX_SF       HC_BIT(0)

/* aux of an addition or subtraction of `width` bytes whose bitwise carries (borrows) are given. */
static inline uint64_t emu_aux(uint64_t carries, unsigned width)
{
	uint64_t top = carries << (64 - 8 * width) & (EMU_AUX_CF | EMU_AUX_CARRY_IN);

	return top | (carries & EMU_AUX_AF);
}

static inline bool emu_cf(const struct emu_flags *f)
{
	return f->aux >> 63;
}

static inline bool emu_of(const struct emu_flags *f)
{
	return (f->aux ^ f->aux << 1) >> 63;
}

static inline bool emu_zf(const struct emu_flags *f)
{
	return !f->result;
}

static inline bool emu_sf(const struct emu_flags *f)
{
	return (f->result >> 63 ^ f->aux) & 1;
}

static inline bool emu_pf(const struct emu_flags *f)
{
	unsigned b = (unsigned)(f->result ^ f->aux >> 8) & 0xff;

	return !(0x6996u >> ((b ^ b >> 4) & 0xf) & 1);
}

/* As alu_condition(). With a constant cc nothing but that condition is left of it. */
static inline bool emu_condition(const struct emu_flags *f, unsigned cc)
{
	bool r;

	switch (cc >> 1 & 7) {
	case 0: r = emu_of(f); break;
	case 1: r = emu_cf(f); break;
	case 2: r = emu_zf(f); break;
	case 3: r = emu_cf(f) || emu_zf(f); break;
	case 4: r = emu_sf(f); break;
	case 5: r = emu_pf(f); break;
	case 6: r = emu_sf(f) != emu_of(f); break;
	default: r = emu_zf(f) || emu_sf(f) != emu_of(f); break;
	}
	return r != (cc & 1);
}

/* The six status flags as RFLAGS has them, and from there. */
uint64_t emu_flags_get(const struct emu_flags *f);
void emu_flags_set(struct emu_flags *f, uint64_t rflags);

/* --- The translation look-aside buffer --- */

#define EMU_TLB_BITS  12
#define EMU_PAGE_MASK (~(HC_PAGE_SIZE - 1))

/*
 * read, write, exec: the page's linear address | the tag of generation and privilege under which
 * the access is allowed; EMU_TLB_NONE: it is not, or has to take the slow path each time (writes to
 * pages with translated code, pages with watchpoints). Device memory is never entered.
 */
struct emu_tlb_entry {
	uint64_t read, write, exec;
	uint64_t addend; /* host address - linear address */
};

#define EMU_TLB_NONE UINT64_C(0x800) /* no tag has this bit */

/* --- Blocks --- */

/* What a translation depends on besides the bytes. */
enum emu_mode_flag {
	EMU_MODE_16 = 0,
	EMU_MODE_32 = 1 << 0,
	EMU_MODE_64 = 1 << 1,
	EMU_MODE_SS32 = 1 << 2, /* SS.B: the stack pointer is ESP */
	EMU_MODE_ONE = 1 << 3   /* blocks of one instruction: single steps, shadows, breakpoints */
};

struct emu_link {
	struct emu_block *to; /* NULL: not linked yet */
	uint64_t tag;         /* c->code_tag for which it holds; see emu_follow() */
};

struct emu_block {
	uint64_t rip;     /* of its first instruction (an offset in CS) */
	uint64_t cs_base; /* 0 in 64-bit mode */
	uint64_t gpa;     /* of its first byte */
	uint32_t mode;    /* enum emu_mode_flag */
	uint16_t bytes;   /* of guest code; at most two pages are touched */
	uint16_t insns;
	struct emu_link next[2]; /* 0: fall-through or only target, 1: branch taken */
	/* block.c's: the limit of CS that was checked, the second page or EMU_NO_PAGE */
	uint32_t cs_limit;
	uint64_t second;
	struct emu_block *same_hash, *same_page[2]; /* by page */
	struct emu_uop *end;
	struct emu_uop uops[]; /* the first becomes emu_uop_stale when the code changes */
};

/* What a block's last handlers jump by: the fall-through and the target, both as offsets in CS
 * (`imm64` of the handler's uop holds the target, the block's rip + bytes the other). */

/* --- The CPU --- */

struct emu_jump {          /* recently entered blocks by address */
	uint64_t rip, tag; /* tag: code_tag */
	struct emu_block *block;
};

#define EMU_JUMP_BITS 12

static inline unsigned emu_jump_index(uint64_t rip)
{
	return (unsigned)(rip ^ rip >> EMU_JUMP_BITS) & ((1u << EMU_JUMP_BITS) - 1);
}

struct emu_cpu {
	/* Hot: in the order of use. */
	struct x86_state *s;
	uint64_t tag;        /* of entries that data accesses may use now */
	uint64_t system_tag; /* the same, of EMU_SYSTEM accesses */
	uint64_t code_tag;   /* of links and jumps: address space, CS base, user or not, mode */
	struct emu_flags flags;
	struct emu_block *block;       /* being executed */
	const _Atomic bool *attention; /* somebody wants this CPU: leave the chain of blocks */
	int32_t budget;                /* blocks until run() is left anyway, over all calls of it */
	uint32_t mode;                 /* enum emu_mode_flag of now */

	/* A vector or x87 operand on its way to or from memory. */
	_Alignas(64) uint8_t operand[64];
	uint64_t operand_flags;

	/* The guest's MXCSR while its code runs (vector.c): which exceptions it does not mask, as
	 * flags; what the host's register holds instead, with all masked; what a checked
	 * instruction raised; and the host's own. */
	uint32_t mxcsr_unmasked, mxcsr_masked, mxcsr_raised, mxcsr_host;
	emu_fn *simd_exception; /* where stubs go when something unmasked was raised */
	uint64_t simd_key;      /* which did: a struct vec_key, packed */
	bool stub_locked;       /* vector_stub.c */

	struct hc_vcpu *vcpu;
	const struct emu_host_ops *host;
	struct emu_vm *vm;

	/* Why the handlers were left (run.c). */
	void *unwind[5]; /* __builtin_setjmp */
	struct x86_fault fault;
	struct hc_exit *exit; /* filled in by whoever calls emu_leave() */

	/* Events (events.c). */
	bool window, nmi_window; /* HC_EXIT_WINDOW is wanted */
	bool delivering;         /* an event other than INT n: EXT in error codes */
	uint8_t watch_hits;      /* data breakpoints that this instruction met: DR6 bits 3:0 */
	bool no_step;            /* this instruction leaves no single-step trap (INT n) */
	uint32_t pauses;         /* PAUSE instructions, for yielding now and then */

	/* A move to CRn left run() (bit n), and what it wanted (control.c). */
	uint32_t cr_written;
	uint64_t cr_old, cr_value;

	struct emu_private *priv; /* tlb.c's, block.c's and run.c's own */

	struct emu_jump jumps[1 << EMU_JUMP_BITS];
	struct emu_tlb_entry tlb[1 << EMU_TLB_BITS];
};

/* --- Leaving the handlers --- */

/* RIP of the instruction that u belongs to, into the state. */
static inline void emu_commit_pc(struct emu_cpu *c, const struct emu_uop *u)
{
	uint64_t rip = c->block->rip + u->pc;

	c->s->rip = c->mode & EMU_MODE_64 ? rip : (uint32_t)rip;
}

/* The status flags into RFLAGS, and back after something changed RFLAGS. */
static inline void emu_flags_store(struct emu_cpu *c)
{
	c->s->rflags = (c->s->rflags & ~ALU_FLAGS) | emu_flags_get(&c->flags);
}

static inline void emu_flags_load(struct emu_cpu *c)
{
	emu_flags_set(&c->flags, c->s->rflags);
}

/* An exception of the instruction at s->rip (u NULL), or of u's. Unwinds. */
_Noreturn void emu_raise(struct emu_cpu *c, const struct emu_uop *u, enum x86_vector vector);
_Noreturn void emu_raise_code(struct emu_cpu *c, const struct emu_uop *u, enum x86_vector vector,
                              uint32_t error_code);
_Noreturn void emu_raise_fault(struct emu_cpu *c, const struct emu_uop *u,
                               const struct x86_fault *fault);

/* Leaves run() with *c->exit, whose reason and union the caller has filled in; pc is set here.
 * s->rip stays that of the instruction: whoever handles the exit skips it by next_pc. */
_Noreturn void emu_leave(struct emu_cpu *c, const struct emu_uop *u);

/* --- Memory, by linear address --- */

/* The slow path of the functions below: another page as well, not in the TLB, a page with code, a
 * device (unwinds with HC_EXIT_STAGE2), a fault (unwinds). u NULL: s->rip is up to date. */
uint64_t emu_load_slow(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size);
void emu_store_slow(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, uint64_t v,
                    unsigned size);

static inline struct emu_tlb_entry *emu_tlb_of(struct emu_cpu *c, uint64_t va)
{
	return &c->tlb[va >> HC_PAGE_SHIFT & ((1u << EMU_TLB_BITS) - 1)];
}

/* Whether [va, va + size) lies in the page that `have` (a member of va's entry) is for. */
static inline bool emu_tlb_hit(const struct emu_cpu *c, uint64_t have, uint64_t va, unsigned size)
{
	return EMU_LIKELY(have == (((va + size - 1) & EMU_PAGE_MASK) | c->tag));
}

#define EMU_DEFINE_ACCESS_(bits)                                                                   \
	static inline __attribute__((always_inline))                                               \
	uint64_t emu_load##bits(struct emu_cpu *c, const struct emu_uop *u, uint64_t va)           \
	{                                                                                          \
		const struct emu_tlb_entry *e = emu_tlb_of(c, va);                                 \
		uint##bits##_t v;                                                                  \
                                                                                                   \
		if (!emu_tlb_hit(c, e->read, va, bits / 8))                                        \
			return emu_load_slow(c, u, va, bits / 8);                                  \
		__builtin_memcpy(&v, (const void *)(uintptr_t)(va + e->addend), bits / 8);         \
		return v;                                                                          \
	}                                                                                          \
	static inline __attribute__((always_inline)) void emu_store##bits(                         \
		struct emu_cpu *c, const struct emu_uop *u, uint64_t va, uint64_t v)               \
	{                                                                                          \
		const struct emu_tlb_entry *e = emu_tlb_of(c, va);                                 \
		uint##bits##_t low = (uint##bits##_t)v;                                            \
                                                                                                   \
		if (!emu_tlb_hit(c, e->write, va, bits / 8))                                       \
			emu_store_slow(c, u, va, low, bits / 8);                                   \
		else                                                                               \
			__builtin_memcpy((void *)(uintptr_t)(va + e->addend), &low, bits / 8);     \
	}

EMU_DEFINE_ACCESS_(8)
EMU_DEFINE_ACCESS_(16)
EMU_DEFINE_ACCESS_(32)
EMU_DEFINE_ACCESS_(64)
#undef EMU_DEFINE_ACCESS_

/* How an access is meant, for the functions that take all kinds. */
enum emu_access {
	EMU_READ = HC_ACCESS_READ,
	EMU_WRITE = HC_ACCESS_WRITE,
	EMU_SYSTEM = 1 << 4, /* the CPU's own: supervisor whatever CPL, not lifted by AC (SMAP) */
	EMU_NO_AC = 1 << 5   /* no alignment check */
};

/* For functions: s->rip is up to date. Up to 64 bytes, may cross a page; EMU_SYSTEM for tables.
 * Both pages are translated before anything is copied. */
void emu_read(struct emu_cpu *c, uint64_t va, void *buf, unsigned size, unsigned access);
void emu_write(struct emu_cpu *c, uint64_t va, const void *buf, unsigned size, unsigned access);

/* Faults if [va, va + size), which may cross one page border, cannot be accessed so; else nothing.
 * For instructions with several accesses, before the first change. */
void emu_probe(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
               unsigned access);

/* A host pointer to [va, va + size), all of it RAM in one page and accessible so without a fault,
 * after making it so as emu_probe() does; NULL: the page is a device's, has code or a watchpoint,
 * or the range crosses a page border. Good until the next access: for string instructions. */
void *emu_host_ptr(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, unsigned size,
                   unsigned access);

/* LOCK: atomically replaces *old by new at va (1, 2, 4, 8 or 16 bytes); false: memory holds
 * something else, now in *old. Any alignment, across pages too. Unwinds like a write. */
bool emu_cmpxchg(struct emu_cpu *c, const struct emu_uop *u, uint64_t va, void *old,
                 const void *new, unsigned size);

/* Linear address of offset in seg with all checks of the mode (limit, type, canonical form) for
 * size bytes; #GP or #SS unwind. In 64-bit mode handlers just add the base: an address that is not
 * canonical is never in the TLB, and the slow path raises #GP or #SS by u->seg. */
uint64_t emu_linear(struct emu_cpu *c, const struct emu_uop *u, unsigned seg, uint64_t offset,
                    unsigned size, unsigned access);

/* The linear address of the memory operand, checked for size bytes and enum emu_access. */
uint64_t emu_insn_linear(struct emu_cpu *c, const struct x86_insn *in, unsigned size,
                         unsigned access);

/* --- Going on --- */

/* To the block at s->rip = target, which must be set: through link if it is good, else the loop
 * finds and links it. link may be NULL: an indirect branch, by the jump cache. */
const struct emu_uop *emu_find_next(struct emu_cpu *c, struct emu_link *link);

/* Enters a block; the loop has a look when it is wanted. s->rip is its address. */
#define EMU_ENTER(c, b, s)                                                                         \
	do {                                                                                       \
		(c)->block = (b);                                                                  \
		if (EMU_UNLIKELY(atomic_load_explicit((c)->attention, memory_order_relaxed)) ||    \
		    EMU_UNLIKELY(--(c)->budget < 0))                                               \
			return NULL;                                                               \
		EMU_GOTO((c), (b)->uops, (s));                                                     \
	} while (0)

/* The end of a handler that goes to s->rip, which is set. */
#define EMU_FOLLOW(c, link_, s)                                                                    \
	do {                                                                                       \
		struct emu_link *follow_ = (link_);                                                \
		if (EMU_LIKELY(follow_->tag == (c)->code_tag))                                     \
			EMU_ENTER((c), follow_->to, (s));                                          \
		const struct emu_uop *found_ = emu_find_next((c), follow_);                        \
		if (!found_)                                                                       \
			return NULL;                                                               \
		EMU_GOTO((c), found_, (s));                                                        \
	} while (0)

/* --- Translation --- */

/* What the integer instructions know of the one before (uop.h, uop_note_...). */
struct emu_notes {
	const struct emu_uop *at; /* where they end: what another part translates voids them */
	struct emu_uop *setter;   /* sets flags that nothing has read yet, or NULL */
	emu_fn *without;          /* its handler for the case that nothing does */
	struct emu_uop *fusable;  /* the last one, if it can branch as well, or NULL */
	emu_fn *const *by_condition;
};

struct emu_builder {
	struct emu_cpu *c;
	struct emu_block *block;
	struct emu_uop *next, *end;     /* where the next goes, and where the room ends */
	uint64_t pc;                    /* offset in CS of the instruction being translated */
	bool ended;                     /* the last uop leaves the block */
	struct emu_notes before, notes; /* translate.c's: of the instruction before; of this one */
	uint8_t vector_checked;         /* vector.c's: what the block has made sure of */
};

/* Room for one uop, with pc filled in and everything else 0 but fn. NULL: no room: the caller gives
 * up, returning false. */
struct emu_uop *emu_emit(struct emu_builder *b, emu_fn *fn);

/* An instruction that is a function: in `in` what was decoded, s->rip its address, RFLAGS up to
 * date before and after. It unwinds, or returns and the instruction is over. One that ends its
 * block (EMU_CALL_END) sets s->rip itself (emu_advance) and is followed by a look at everything:
 * mode, events, shadows. */
typedef void emu_call_fn(struct emu_cpu *c, const struct x86_insn *in);

enum emu_call_kind { EMU_CALL, EMU_CALL_END };

bool emu_emit_call(struct emu_builder *b, emu_call_fn *fn, const struct x86_insn *in,
                   enum emu_call_kind kind);

/* s->rip to the next instruction, RF cleared. */
static inline void emu_advance(struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t rip = c->s->rip + in->length;

	c->s->rip = c->mode & EMU_MODE_64 ? rip : (uint32_t)rip;
	c->s->rflags &= ~(uint64_t)X86_FLAG_RF;
}

/* The parts of the translator. Each emits one instruction: false if there is no room (the block
 * ends before it). What no part knows is #UD: emu_call_undefined. */
bool emu_translate_integer(struct emu_builder *b, const struct x86_insn *in); /* translate.c */
bool emu_translate_vector(struct emu_builder *b, const struct x86_insn *in);  /* vector.c */

/* The function of a system instruction and how it ends; fn NULL: op is none (system.c). */
struct emu_call_row {
	emu_call_fn *fn;
	enum emu_call_kind kind;
};
struct emu_call_row emu_system_call(const struct x86_insn *in);

void emu_call_undefined(struct emu_cpu *c, const struct x86_insn *in);

/* Translates the block at s->rip into room for uops that run.c has; never fails but by unwinding
 * with the fault of its first instruction (fetch, #UD is an instruction). */
struct emu_block *emu_translate(struct emu_cpu *c);

/* --- Vector registers (vector.c) --- */

/* Around a stay in the handlers, also one that is unwound: the host's MXCSR is the guest's, and
 * back. enter() also sees to it that all components of s->xsave are valid. */
void emu_vector_enter(struct emu_cpu *c);
void emu_vector_leave(struct emu_cpu *c);

/* XINUSE (SDM Vol. 1 13.6): the components that are not in their initial configuration. For
 * XGETBV with ECX = 1, and only between enter() and leave(). */
uint64_t emu_xinuse(const struct x86_state *s);

/* --- Events (events.c) --- */

/* Delivers *fault as an exception of the instruction at s->rip, or *event (an interrupt, NMI, or
 * what was injected), through the IDT or the real-mode table. Faults on the way become contributory
 * ones, #DF, and in the end HC_EXIT_SHUTDOWN: false, and *c->exit is filled in. */
bool emu_deliver_fault(struct emu_cpu *c, const struct x86_fault *fault);
bool emu_deliver_event(struct emu_cpu *c, const struct x86_event *event);

/* --- State that follows from other state (run.c, tlb.c) --- */

/* CS, SS, CR0, CR4, EFER, CPL, RFLAGS.VM/AC or their like changed: mode and tags anew. */
void emu_update_mode(struct emu_cpu *c);
/* CPL or RFLAGS.AC alone changed. */
void emu_update_tag(struct emu_cpu *c);

/* TLB maintenance (SDM Vol. 3A 4.10.4). */
void emu_tlb_flush_all(struct emu_cpu *c);               /* also global pages */
void emu_tlb_flush_context(struct emu_cpu *c);           /* not global ones, of the current PCID */
void emu_tlb_flush_page(struct emu_cpu *c, uint64_t va); /* INVLPG */
void emu_tlb_load_cr3(struct emu_cpu *c, uint64_t old, uint64_t value, bool keep); /* bit 63 */

#endif
