/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of Unicorn's AArch64 module share. Unicorn executes plain instructions in a flat
 * address space here as well: the guest's RAM at its physical addresses, while the guest's own MMU
 * is off. A hook sees each instruction before it is executed, and stops in front of those of the
 * system: they become exits, or are carried out on the neutral state (a64_insn.c). All system
 * registers are kept there; Unicorn has X0 to X30, SP, NZCV, V0 to V31, FPCR and FPSR.
 */
#ifndef PLATFORM_LINUX_UNICORN_A64_INTERNAL_H
#define PLATFORM_LINUX_UNICORN_A64_INTERNAL_H

#include "platform/linux/unicorn/a64_module.h"
#include "platform/linux/unicorn/common.h"

/* Why Unicorn came back. */
enum unicorn_a64_stop {
	UNICORN_A64_KICK,        /* hc_cpu.attention, or a PC with low bits */
	UNICORN_A64_INSTRUCTION, /* the next one, word, is not Unicorn's */
	UNICORN_A64_MEMORY,      /* memory it does not have: access, address */
	UNICORN_A64_UNDEFINED,   /* word is */
	UNICORN_A64_EXCEPTION,   /* of QEMU's number exception */
	UNICORN_A64_ERROR        /* an error that has no hook: u.err */
};

struct unicorn_a64 {
	struct unicorn_common u;

	/* The last stop. */
	enum unicorn_a64_stop stop;
	uint64_t pc; /* of the instruction it is about */
	uint32_t word;
	unsigned access; /* enum hc_access */
	uint64_t address;
	uint32_t exception;

	unsigned slots;             /* of the VM's memory that are mapped */
	const struct hc_slot *code; /* of the last instruction */
	bool lost;                  /* Unicorn has to be given everything again */
};

/* Of which unicorn_host is the first member. */
static inline const struct unicorn_a64_host *unicorn_a64_host(void)
{
	return (const void *)unicorn_host;
}

/* --- a64_insn.c --- */

/* Whether the hook stops in front of this instruction. */
bool unicorn_a64_is_ours(const struct unicorn_a64 *v, uint32_t word);

/* Carries out v->word at PC, or makes an exit of it; the neutral state is the guest's. */
enum unicorn_step unicorn_a64_instruction(struct unicorn_a64 *v, struct hc_exit *exit);

/* --- a64_state.c: under the guard --- */

/* Between the neutral state and Unicorn. Clears v->u.vcpu->dirty. */
void unicorn_a64_store(struct unicorn_a64 *v);
void unicorn_a64_fetch(struct unicorn_a64 *v);
void unicorn_a64_fetch_fp(struct unicorn_a64 *v);

/* After an exception that Unicorn told of: see unicorn_forget_exception(). */
void unicorn_a64_forget_exception(struct unicorn_a64 *v);

#endif
