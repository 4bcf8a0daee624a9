/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system part of the software CPU: segments, control transfers, events, control and debug
 * registers, instructions that exit. What its files share, and what run.c and tlb.c ask of it.
 *
 * Instructions are functions of kind emu_call_fn: s->rip is their address, RFLAGS is up to date,
 * and they unwind at a fault or an exit. So each makes its checks and accesses first, in the
 * manual's order, and changes the state last; the only things that may stay changed by one that
 * faults late are accessed bits of descriptors, as on hardware.
 */
#ifndef EMU_X86_64_ENGINE_SYSTEM_H
#define EMU_X86_64_ENGINE_SYSTEM_H

#include "emu/x86_64/engine/engine.h"

/* RFLAGS and control register bits that x86_state.h has no names for. */
#define X86_FLAG_IOPL_SHIFT 12
#define X86_FLAG_IOPL       (3u << X86_FLAG_IOPL_SHIFT)
#define X86_FLAG_NT         (1u << 14)
#define X86_CR4_TSD         HC_BIT(2)
#define X86_CR4_FSGSBASE    HC_BIT(16)

/* Error codes of selectors and vectors (SDM Vol. 3A 6.13). */
#define EMU_ERROR_EXT 1u
#define EMU_ERROR_IDT 2u

/* x86_events.interrupt_shadow: that of MOV SS and POP SS holds debug exceptions off as well (SDM
 * Vol. 3A 6.8.3). */
enum emu_shadow { EMU_SHADOW_STI = 1, EMU_SHADOW_MOV_SS = 2 };

/* --- Modes --- */

static inline bool emu_is_vm86(const struct x86_state *s)
{
	return s->rflags & X86_FLAG_VM;
}

/* Segments are paragraphs: real-address or virtual-8086 mode. */
static inline bool emu_is_real(const struct x86_state *s)
{
	return !(s->cr0 & X86_CR0_PE) || emu_is_vm86(s);
}

static inline bool emu_is_long(const struct x86_state *s)
{
	return s->efer & X86_EFER_LMA;
}

static inline bool emu_is_64(const struct emu_cpu *c)
{
	return c->mode & EMU_MODE_64;
}

static inline unsigned emu_iopl(const struct x86_state *s)
{
	return s->rflags >> X86_FLAG_IOPL_SHIFT & 3;
}

/* Bits above the linear address width repeat its highest (SDM Vol. 1 3.3.7.1). */
static inline bool emu_is_canonical(const struct x86_state *s, uint64_t va)
{
	unsigned shift = s->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(va << shift) >> shift) == va;
}

/* --- Leaving --- */

/* #GP(0), #UD */
static inline _Noreturn void emu_gp(struct emu_cpu *c)
{
	emu_raise_code(c, NULL, X86_VEC_GP, 0);
}

static inline _Noreturn void emu_ud(struct emu_cpu *c)
{
	emu_raise(c, NULL, X86_VEC_UD);
}

/* #GP(0) but at CPL 0. */
static inline void emu_need_cpl0(struct emu_cpu *c)
{
	if (EMU_UNLIKELY(c->s->cpl != 0))
		emu_gp(c);
}

/* The error code of a fault about a selector. While an event other than INT n is being delivered
 * EXT is set. */
static inline uint32_t emu_selector_error(const struct emu_cpu *c, unsigned selector)
{
	return (selector & 0xfffcu) | (c->delivering ? EMU_ERROR_EXT : 0);
}

static inline _Noreturn void emu_raise_selector(struct emu_cpu *c, enum x86_vector vector,
                                                unsigned selector)
{
	emu_raise_code(c, NULL, vector, emu_selector_error(c, selector));
}

/* The offset in CS of the instruction after this one. */
static inline uint64_t emu_next_rip(const struct emu_cpu *c, const struct x86_insn *in)
{
	uint64_t rip = c->s->rip + in->length;

	return emu_is_64(c) ? rip : (uint32_t)rip;
}

/* An exit whose handler completes the instruction, so that a shadow over it ends: the union of
 * *c->exit is filled in. */
static inline _Noreturn void emu_leave_insn(struct emu_cpu *c, const struct x86_insn *in,
                                            enum hc_exit_reason reason)
{
	c->exit->reason = reason;
	c->exit->next_pc = emu_next_rip(c, in);
	c->s->events.interrupt_shadow = 0;
	emu_leave(c, NULL);
}

/* --- Operands (segment.c) --- */

/* Registers by width: 2 leaves the upper bits, 4 clears them. */
static inline uint64_t emu_merge(uint64_t old, uint64_t v, unsigned width)
{
	if (width == 8)
		return v;
	return width == 4 ? (uint32_t)v : (old & ~UINT64_C(0xffff)) | (v & 0xffff);
}

/* The r/m operand of width bytes (memory: at most 8). Writing checks memory first. */
uint64_t emu_read_operand(struct emu_cpu *c, const struct x86_insn *in, unsigned width);
void emu_write_operand(struct emu_cpu *c, const struct x86_insn *in, uint64_t v, unsigned width);

/* --- Descriptors (descriptor.c; SDM Vol. 3A 3.4.5, 5.8.3, 7.2) --- */

enum emu_desc_type { /* of system segments and gates, attr's bits 4:0 */
	             EMU_DESC_TSS16 = 1,
	             EMU_DESC_LDT = 2,
	             EMU_DESC_TSS16_BUSY = 3,
	             EMU_DESC_CALL16 = 4,
	             EMU_DESC_TASK = 5,
	             EMU_DESC_INT16 = 6,
	             EMU_DESC_TRAP16 = 7,
	             EMU_DESC_TSS32 = 9, /* 64-bit in long mode, as are the following */
	             EMU_DESC_TSS32_BUSY = 11,
	             EMU_DESC_CALL32 = 12,
	             EMU_DESC_INT32 = 14,
	             EMU_DESC_TRAP32 = 15
};

struct emu_descriptor {
	uint64_t va;            /* of its first byte */
	uint64_t low, high;     /* high: of those of 16 bytes */
	struct x86_segment seg; /* with the selector it was found by; of gates the attr alone */
};

static inline unsigned emu_desc_type(const struct emu_descriptor *d)
{
	return d->seg.attr & 0x1fu;
}

static inline unsigned emu_dpl(const struct x86_segment *seg)
{
	return X86_ATTR_DPL(seg->attr);
}

static inline bool emu_is_present(const struct x86_segment *seg)
{
	return seg->attr & X86_ATTR_P;
}

static inline bool emu_is_code(const struct x86_segment *seg)
{
	return (seg->attr & 0x18) == 0x18;
}

static inline bool emu_is_conforming(const struct x86_segment *seg)
{
	return (seg->attr & 0x1c) == 0x1c;
}

/* A writable data segment: what SS has to be. */
static inline bool emu_is_stack(const struct x86_segment *seg)
{
	return (seg->attr & 0x1a) == 0x12;
}

/* The descriptor's bytes as a segment. */
void emu_parse_descriptor(struct emu_descriptor *d, uint16_t selector);
/* False: the selector is null or outside of its table. Unwinds if the table cannot be read. */
bool emu_find_descriptor(struct emu_cpu *c, uint16_t selector, struct emu_descriptor *d);
/* The upper half of a system descriptor in long mode: base, and type 0. False: beyond the table, or
 * malformed. */
bool emu_find_upper_half(struct emu_cpu *c, struct emu_descriptor *d);
/* The same as emu_find_descriptor, raising vector(selector): #GP or #TS; null: vector(0). */
void emu_need_descriptor(struct emu_cpu *c, uint16_t selector, enum x86_vector vector,
                         struct emu_descriptor *d);
/* Sets bits of the type in memory and in *d: accessed, busy. */
void emu_mark_descriptor(struct emu_cpu *c, struct emu_descriptor *d, uint8_t bits);

/* --- Segment registers (segment.c) --- */

/* Null, as LDTR, DS, ES, FS and GS may be; SS in 64-bit mode keeps CPL as its DPL. */
void emu_set_null(struct x86_state *s, unsigned seg, uint16_t selector);
/* Real and virtual-8086 mode: limit and attributes stay in the former. */
void emu_set_paragraph(struct x86_state *s, unsigned seg, uint16_t selector);
/* Virtual-8086 mode's fixed attributes, of any segment. */
void emu_set_vm86(struct x86_state *s, unsigned seg, uint16_t selector);
/* Checks selector for DS, ES, FS, GS or SS as MOV does at the present CPL, marks it accessed:
 * *out is what the register becomes. */
void emu_check_data(struct emu_cpu *c, unsigned seg, uint16_t selector, struct x86_segment *out);
/* Checks SS for a stack of privilege cpl; what is wrong with it is vector(selector), but for a
 * stack that is not present, which is #SS. */
void emu_check_stack(struct emu_cpu *c, uint16_t selector, unsigned cpl, enum x86_vector vector,
                     struct emu_descriptor *d);
/* After a return to an outer privilege level: segments that it may not have become null. */
void emu_drop_inner_segments(struct x86_state *s);
/* The flat segments of SYSCALL, SYSENTER and their returns. */
void emu_set_flat_code(struct x86_state *s, uint16_t selector, unsigned cpl, bool is_64);
void emu_set_flat_stack(struct x86_state *s, uint16_t selector, unsigned cpl);

/* --- Stacks (stack.c) --- */

struct emu_stack {
	const struct x86_segment *ss;
	uint64_t sp;
	uint64_t mask;   /* of the bits of the stack pointer that count */
	unsigned access; /* 0, or EMU_SYSTEM for a stack of another privilege level */
	uint32_t error;  /* error code of #SS */
	bool flat;       /* 64-bit mode: no segment */
};

/* The present stack, with the mode's rules. */
struct emu_stack emu_present_stack(struct emu_cpu *c);
/* Stores n words of width bytes below st->sp, the first of them highest, all or none; st->sp
 * becomes the new stack pointer. */
void emu_push_words(struct emu_cpu *c, struct emu_stack *st, const uint64_t *words, unsigned n,
                    unsigned width);
/* Faults where emu_push_words() would. */
void emu_probe_push(struct emu_cpu *c, const struct emu_stack *st, unsigned n, unsigned width);
/* Loads n words from st->sp up; st->sp moves on. */
void emu_pop_words(struct emu_cpu *c, struct emu_stack *st, uint64_t *words, unsigned n,
                   unsigned width);
/* RSP = st->sp, in the bits that count. */
void emu_set_sp(struct x86_state *s, const struct emu_stack *st);
/* The mask of a stack pointer in segment ss, outside of 64-bit mode. */
static inline uint64_t emu_sp_mask(const struct x86_segment *ss)
{
	return ss->attr & X86_ATTR_DB ? UINT32_MAX : UINT16_MAX;
}

/* Stack of privilege level cpl from the TSS (SDM Vol. 3A 7.2.1, 7.7): its pointer, and its selector
 * outside of long mode. #TS if the TSS is too short. ist: 0, or the number of the entry that counts
 * instead, in long mode. */
uint64_t emu_tss_stack(struct emu_cpu *c, unsigned cpl, unsigned ist, uint16_t *selector);

/* --- Code segments (far.c) --- */

/* #GP(0) unless rip lies in code segment cs (in 64-bit code: is canonical). */
void emu_check_target(struct emu_cpu *c, const struct x86_segment *cs, uint64_t rip);
/* Whether code in cs is 64-bit code. */
static inline bool emu_is_code64(const struct x86_state *s, const struct x86_segment *cs)
{
	return emu_is_long(s) && (cs->attr & X86_ATTR_L);
}
/* L and D both set in long mode is reserved (SDM Vol. 3A 5.2.1). */
static inline bool emu_is_reserved_code(const struct x86_state *s, const struct x86_segment *cs)
{
	return emu_is_long(s) && (cs->attr & X86_ATTR_L) && (cs->attr & X86_ATTR_DB);
}

/* Ends a transfer: CS, RIP and CPL, then everything that follows from them. */
void emu_enter_code(struct emu_cpu *c, const struct x86_segment *cs, uint64_t rip, unsigned cpl);

/* RET and IRET: the code segment returned to, with CPL selector.RPL; the stack of the same level,
 * null where 64-bit code may have that; and the end of a return that changes the stack: sp is the
 * stack pointer there. */
void emu_find_return_code(struct emu_cpu *c, uint16_t selector, struct emu_descriptor *cs);
void emu_find_return_stack(struct emu_cpu *c, const struct x86_segment *cs, uint16_t selector,
                           unsigned cpl, struct emu_descriptor *ss);
void emu_return_outer(struct emu_cpu *c, const struct emu_descriptor *cs, uint64_t rip,
                      const struct emu_descriptor *ss, uint64_t sp);

/* HC_EXIT_TASK_SWITCH */
_Noreturn void emu_task_switch(struct emu_cpu *c);

/* --- Events (events.c) --- */

struct emu_interrupt {
	uint8_t vector;
	bool software; /* INT n, INT3, INTO: the gate's DPL counts */
	bool has_error_code;
	uint32_t error_code;
	uint64_t rip;    /* to return to */
	uint64_t rflags; /* to be pushed */
};

/* Through the IDT, or the real-mode table. Unwinds at faults, having changed nothing. */
void emu_interrupt(struct emu_cpu *c, const struct emu_interrupt *i);

/* --- Debugging (debug.c; SDM Vol. 3B 17.2) --- */

#define EMU_DR6_BD HC_BIT(13)
#define EMU_DR6_BS HC_BIT(14)
#define EMU_DR7_GD HC_BIT(13)

/* Whether instructions have to be executed one by one, with emu_debug_before() and
 * emu_debug_after() around each: TF or RF is set, or a breakpoint is enabled. */
static inline bool emu_debug_active(const struct x86_state *s)
{
	return s->rflags & (X86_FLAG_TF | X86_FLAG_RF) || s->dr7 & 0xff;
}

/* Breakpoints at the instruction at s->rip, unless RF or a shadow of MOV SS holds them off. True:
 * *fault is to be delivered instead of executing it. */
bool emu_debug_before(struct emu_cpu *c, struct x86_fault *fault);
/* After an instruction that completed (string instructions: an iteration), with the RFLAGS from
 * before it: RF goes, and a single step or the data breakpoints it met are a trap. */
bool emu_debug_after(struct emu_cpu *c, uint64_t rflags, struct x86_fault *fault);

/* The breakpoints of DR0 to DR3 that a data access of size bytes (access: enum emu_access) meets,
 * which are kept for emu_debug_after(). By the slow paths of access.c. */
unsigned emu_watch_hit(struct emu_cpu *c, uint64_t va, unsigned size, unsigned access);
/* Whether the page has a data breakpoint: it must not be accessed but through the slow path. */
bool emu_watched_page(const struct emu_cpu *c, uint64_t va);

/* --- Control registers (control.c) --- */

/* At an entry, if c->cr_written: what the move to a control register that made the last exit asks
 * of the TLB is carried out, and the mode looked at anew. */
void emu_control_resync(struct emu_cpu *c);

/* --- The instructions, by the files they are in --- */

/* segment.c */
emu_call_fn emu_call_mov_from_sreg, emu_call_mov_to_sreg, emu_call_push_sreg, emu_call_pop_sreg,
	emu_call_load_far_pointer, emu_call_swapgs, emu_call_rdfsbase, emu_call_wrfsbase;
/* tables.c */
emu_call_fn emu_call_sgdt, emu_call_lgdt, emu_call_lidt, emu_call_sldt, emu_call_str, emu_call_lldt,
	emu_call_ltr, emu_call_lar, emu_call_lsl, emu_call_verr, emu_call_verw, emu_call_arpl;
/* far.c, iret.c, syscall.c */
emu_call_fn emu_call_jmp_far, emu_call_call_far, emu_call_ret_far, emu_call_iret, emu_call_syscall,
	emu_call_sysret, emu_call_sysenter, emu_call_sysexit;
/* events.c */
emu_call_fn emu_call_int, emu_call_int1, emu_call_int3, emu_call_into;
/* rflags.c */
emu_call_fn emu_call_pushf, emu_call_popf, emu_call_cli, emu_call_sti, emu_call_clac, emu_call_stac;
/* control.c */
emu_call_fn emu_call_mov_from_cr, emu_call_mov_to_cr, emu_call_smsw, emu_call_lmsw, emu_call_clts,
	emu_call_xgetbv, emu_call_xsetbv, emu_call_invlpg, emu_call_invpcid;
/* debug.c */
emu_call_fn emu_call_mov_from_dr, emu_call_mov_to_dr;
/* port.c */
emu_call_fn emu_call_in, emu_call_out, emu_call_ins, emu_call_outs;

#endif
