/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executes one guest instruction in software, on an x86_state and three callbacks for memory.
 *
 * For exits where the hardware cannot: accesses to device memory; and what the software CPU has no
 * faster way for. The integer instructions are here, in 16-, 32- and 64-bit mode, but for those
 * that load segment registers or transfer control, and moves between memory and XMM or YMM
 * registers. x86_emulate() says -EOPNOTSUPP to the rest.
 *
 * An instruction either completes or leaves registers, flags and RIP as they were. The exceptions
 * are the architecture's own: each finished iteration of a repeated string instruction counts. An
 * instruction whose read reached a device and whose write then fails reads again when restarted;
 * X86_ACCESS_RMW on the read is there for the callback to refuse early.
 *
 * Left to the caller: the interrupt shadow and the single-step trap after the instruction, data
 * breakpoints, CPL-dependent page permissions (the callbacks').
 */
#ifndef EMU_X86_64_EMULATE_H
#define EMU_X86_64_EMULATE_H

#include <hypercore/types.h>
#include <hypercore/x86_state.h>

#include "emu/x86_64/decode.h"

/* What x86_emulate() and its callbacks return besides 0 and -E... */
enum x86_emulate_result {
	X86_EMULATE_DONE = 0,
	X86_EMULATE_FAULT = 1, /* ctx->fault holds the exception */
	X86_EMULATE_REPEAT = 2 /* a repeated string instruction has not finished: call again */
};

/* How memory is accessed. */
#define X86_ACCESS_RMW    0x1u /* read: a write to the same bytes follows */
#define X86_ACCESS_LOCKED 0x2u /* the read and the write are one atomic access */

/*
 * Memory, by linear address. Segmentation has been applied and canonical form checked; paging has
 * not. An access may cross a page boundary. Values are little-endian bytes. Each returns 0,
 * X86_EMULATE_FAULT with *fault filled in, or, which x86_emulate() returns as it is, -E... or
 * X86_EMULATE_REPEAT: the CPU itself shall execute the instruction, which has done nothing yet.
 */
struct x86_emulate_ops {
	/* len bytes of code, 1 to 15, within one page. */
	int (*fetch)(void *opaque, gva_t address, void *bytes, unsigned len,
	             struct x86_fault *fault);
	/* len: 1, 2, 4, 8, 16 or 32. */
	int (*read)(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
	            struct x86_fault *fault);
	int (*write)(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
	             struct x86_fault *fault);
	/* The next thing looked at is state->xcr0 and state->xsave, which may change if `change`.
	 * NULL: instructions with vector registers are not emulated. */
	void (*vector)(void *opaque, bool change);
};

/* Iterations of a repeated string instruction in one call. */
#define X86_REPEAT_MAX 256

struct x86_emulate_ctx {
	/* Set by the caller. */
	const struct x86_emulate_ops *ops;
	void *opaque;
	/* Read: gpr, rip, rflags, cr0, cr4, efer, cpl, seg. Written: gpr, rip, rflags. After
	 * ops->vector: xcr0, xsave. */
	struct x86_state *state;
	/* The first n_bytes of the instruction, where the hardware gave them; else 0: they are
	 * fetched. Must be set again for each instruction. */
	uint8_t n_bytes;
	uint8_t bytes[X86_INSN_MAX];
	/* Iterations of a repeated string instruction in one call; 0: X86_REPEAT_MAX. */
	uint16_t repeat;

	/* Result. insn is valid as soon as decoding succeeded, also with -EOPNOTSUPP. */
	struct x86_insn insn;
	struct x86_fault fault;

	/* Private. */
	enum x86_mode mode;
	gva_t operand; /* the r/m operand's linear address */
	unsigned access;
};

/*
 * Executes the instruction at CS:RIP. Returns an enum x86_emulate_result, a callback's error, or
 * -EOPNOTSUPP for a valid instruction that is not emulated. Not thread-safe per state.
 */
int x86_emulate(struct x86_emulate_ctx *ctx);

/*
 * The same for the instruction in ctx->insn, which was decoded already, in mode: bytes and n_bytes
 * do not matter, ops->fetch is not called. -EOPNOTSUPP comes without a look at the state, but for
 * vector registers.
 */
int x86_execute(struct x86_emulate_ctx *ctx, enum x86_mode mode);

/* Whether x86_execute() has the instruction, whatever the callbacks. */
bool x86_is_executable(enum x86_op op);

/*
 * Instructions decoded before, found again by their bytes. One for each virtual CPU, all zero at
 * first; never needs to be invalidated, as decoding depends on nothing but the bytes and the mode.
 */
#define X86_DECODED_MAX 8

struct x86_decode_cache {
	struct {
		uint8_t bytes[X86_INSN_MAX];
		uint8_t mode; /* enum x86_mode; 0: empty */
		struct x86_insn insn;
	} entry[X86_DECODED_MAX];
};

/*
 * Decodes the instruction at bytes[0], X86_INSN_MAX of which are readable; rip is where the cache
 * looks for it. NULL: it is undefined or too long, and x86_emulate() says which fault that is.
 */
const struct x86_insn *x86_decode_cached(struct x86_decode_cache *cache, const uint8_t *bytes,
                                         uint64_t rip, enum x86_mode mode);

/*
 * x86_emulate() with half its cost where the same instruction comes again, as it does when a driver
 * accesses its device. Uses the cache when ctx->n_bytes is X86_INSN_MAX, or becomes so by fetching.
 */
int x86_emulate_cached(struct x86_emulate_ctx *ctx, struct x86_decode_cache *cache);

/* The mode that the code segment and EFER select. */
enum x86_mode x86_state_mode(const struct x86_state *state);

#endif
