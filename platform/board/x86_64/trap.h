/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and interrupts of the host. */
#ifndef PLATFORM_BOARD_X86_64_TRAP_H
#define PLATFORM_BOARD_X86_64_TRAP_H

#include <hypercore/types.h>

/* Each vector's entry code in vectors.S takes this many bytes. */
#define TRAP_VECTOR_SIZE 16

extern const uint8_t trap_vectors[];

/* What vectors.S leaves on the stack, lowest address first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss; /* pushed by the CPU */
};

/* Our vectors. Higher numbers have higher priority in the local APIC. */
enum trap_vector {
	VECTOR_NMI = 2,
	VECTOR_IRQ = 0x30, /* + ISA interrupt, through the IOAPIC */
	VECTOR_PIC = 0x40, /* where the masked 8259 pair's spurious interrupts go */
	VECTOR_TIMER = 0xf0,
	VECTOR_KICK = 0xf1,
	VECTOR_POST = 0xf2,
	VECTOR_ERROR = 0xfe,
	VECTOR_SPURIOUS = 0xff
};

/* fn runs with interrupts off when vector arrives; the local APIC has been told of its end. */
void trap_set_handler(unsigned vector, void (*fn)(void));

/* NMIs are no news from now on: they only end guests. */
void trap_expect_nmis(void);

/* Called by vectors.S. */
void trap_dispatch(struct trap_frame *frame);

/* Registers and stack of the calling CPU, as log lines. */
void trap_dump(const struct trap_frame *frame);

#endif
