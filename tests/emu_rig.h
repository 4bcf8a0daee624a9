/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM on the software CPU for unit tests: machine code goes in, exits and state come out. It
 * stands on tests/platform.c, so that the clock is the test's and one thread is all CPUs.
 *
 *    0x000000  real mode's vectors; free below RIG_STACK
 *    RIG_CODE  where emu_rig_code() puts code, and where execution begins
 *    RIG_STACK the stack grows down from here
 *    RIG_DATA  nothing is there
 *    RIG_IDT, RIG_GDT, RIG_TSS
 *    RIG_TABLES  identity tables: 4 GiB of 2 MiB pages (4 MiB outside of 64-bit mode), writable,
 *              for user and supervisor, accessed and dirty
 *
 * The GDT's selectors are RIG_CS and so on. There is no IDT entry: what the test does not provide
 * for ends in HC_EXIT_SHUTDOWN.
 */
#ifndef TESTS_EMU_RIG_H
#define TESTS_EMU_RIG_H

#include "arch/x86_64/x86.h"

#define RIG_RAM    (16 * HC_MIB)
#define RIG_CODE   0x10000
#define RIG_STACK  0x80000
#define RIG_DATA   0x100000
#define RIG_IDT    0xe00000
#define RIG_GDT    0xe10000
#define RIG_TSS    0xe11000
#define RIG_TABLES 0xf00000

/* Selectors: code and data of the mode, for CPL 0 and 3; 64-bit code also as RIG_CS64. */
#define RIG_CS      0x08
#define RIG_DS      0x10
#define RIG_USER_CS 0x1b
#define RIG_USER_DS 0x23
#define RIG_CS64    0x28
#define RIG_TR      0x30 /* takes 16 bytes */

enum rig_mode {
	RIG_REAL,  /* 16 bits, CS = RIG_CODE >> 4 and IP = 0; other segments are 0 */
	RIG_FLAT,  /* 32 bits, flat segments, paging off */
	RIG_PAGED, /* the same with paging on, 4 MiB pages */
	RIG_LONG   /* 64 bits */
};

struct emu_rig {
	struct hc_vm *vm;
	struct hc_vcpu *vcpu; /* number 0 */
	struct x86_state *s;  /* its state, which may be changed between two runs */
	uint8_t *ram;         /* all of it, RIG_RAM bytes from gpa 0 */
	struct hc_exit exit;  /* of the last run */
	enum rig_mode mode;
	uint64_t interrupts; /* HC_EXIT_INTERRUPT passed over */
};

/* Makes the VM, all of whose CPUs are in the mode at RIG_CODE. Fails the test if it cannot. */
void emu_rig_start(struct emu_rig *r, enum rig_mode mode, unsigned cpus);
void emu_rig_stop(struct emu_rig *r);

/* Brings CPU n into the mode again, at RIG_CODE. */
void emu_rig_reset(struct emu_rig *r, unsigned cpu);

/* Puts code into RAM behind the software CPU's back: it is told. */
void emu_rig_poke(struct emu_rig *r, uint64_t gpa, const void *bytes, size_t n);
#define emu_rig_code(r, ...)                                                                       \
	do {                                                                                       \
		static const uint8_t code_[] = { __VA_ARGS__ };                                    \
		emu_rig_poke((r), RIG_CODE, code_, sizeof(code_));                                 \
	} while (0)

/* Runs CPU 0 (or n) to its next exit but HC_EXIT_INTERRUPT, in r->exit. The exit is not handled;
 * state that the test changed counts as changed from outside. At most 100000 rounds. */
enum hc_exit_reason emu_rig_run(struct emu_rig *r);
enum hc_exit_reason emu_rig_run_cpu(struct emu_rig *r, unsigned cpu);

/* The same, but exits other than HALT and SHUTDOWN are handled as in a real VM (ports and device
 * memory of which read as all ones), and requests taken before entries, so that events are
 * injected; at most max exits. */
enum hc_exit_reason emu_rig_go(struct emu_rig *r, unsigned max);

/* Sets gate `vector` of the mode's IDT (a vector table entry in real mode) to handler; dpl as in
 * the gate; ist in 64-bit mode. Loads IDTR. Gates are interrupt gates. */
void emu_rig_gate(struct emu_rig *r, unsigned vector, uint64_t handler, unsigned dpl, unsigned ist);

/* Little-endian values in RAM. */
static inline uint64_t emu_rig_get(const struct emu_rig *r, uint64_t gpa, unsigned size)
{
	uint64_t v = 0;

	__builtin_memcpy(&v, r->ram + gpa, size);
	return v;
}

static inline void emu_rig_put(struct emu_rig *r, uint64_t gpa, uint64_t v, unsigned size)
{
	emu_rig_poke(r, gpa, &v, size);
}

#endif
