/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU (emu/x86_64) as the exit handlers use it: one instruction on a vCPU's state,
 * with memory reached through the vCPU's own translation.
 */
#ifndef ARCH_X86_64_SOFTWARE_H
#define ARCH_X86_64_SOFTWARE_H

#include <hypercore/x86_state.h>

/* An exception that the instruction or one of its accesses raised. */
struct x86_soft_fault {
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
	uint64_t address;
};

/* Each returns 0, 1 with *fault filled in, or -errno. cpu is what x86_soft_step was given. */
struct x86_soft_memory {
	int (*fetch)(void *cpu, gva_t gva, void *bytes, unsigned len, struct x86_soft_fault *fault);
	/* will_write: a write to the same bytes follows. */
	int (*read)(void *cpu, gva_t gva, void *value, unsigned len, bool will_write,
	            struct x86_soft_fault *fault);
	int (*write)(void *cpu, gva_t gva, const void *value, unsigned len,
	             struct x86_soft_fault *fault);
};

enum x86_soft_result { X86_SOFT_DONE, X86_SOFT_FAULT, X86_SOFT_REPEAT };

/* What ran, for messages. */
struct x86_soft_insn {
	const char *name;
	uint8_t bytes[15], length;
};

/* Executes the instruction at CS:RIP; bytes holds its first n bytes, if n is not 0. Groups CORE,
 * CR, CS and SEG of the state are up to date. An enum x86_soft_result (X86_SOFT_REPEAT: a repeated
 * string instruction has not finished), a callback's error, or -EOPNOTSUPP with *insn filled in. */
int x86_soft_step(struct x86_state *state, const uint8_t *bytes, unsigned n,
                  const struct x86_soft_memory *memory, void *cpu, struct x86_soft_fault *fault,
                  struct x86_soft_insn *insn);

/* The length of the instruction at bytes[0], n of which are readable, in code of 16, 32 or 64 bits;
 * -EAGAIN: n bytes are too few; -EINVAL, -EPROTO: no instruction. */
int x86_soft_length(const uint8_t *bytes, unsigned n, unsigned bits);

#endif
