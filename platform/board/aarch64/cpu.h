/* SPDX-License-Identifier: BSD-2-Clause */
/* One physical CPU: its stacks and what interrupts leave for it. */
#ifndef PLATFORM_BOARD_AARCH64_CPU_H
#define PLATFORM_BOARD_AARCH64_CPU_H

#include "core/sched.h"
#include "platform/board/aarch64/hw.h"
#include "platform/board/aarch64/layout.h"

#define CPU_STACK_SIZE       0x8000
#define EMERGENCY_STACK_SIZE 0x2000

struct board_cpu {
	uint64_t stack_top;     /* SP_EL2 */
	uint64_t emergency_top; /* where exceptions of EL2's own are dumped, whatever SP holds */
	struct hc_cpu cpu;      /* hw_id: the affinity fields of MPIDR_EL1 and nothing else */
	volatile void *redist;  /* version 3: this CPU's redistributor, by gic_init_cpu() */
};

_Static_assert(offsetof(struct board_cpu, stack_top) == BOARD_CPU_STACK_TOP, "layout.h");
_Static_assert(offsetof(struct board_cpu, emergency_top) == BOARD_CPU_EMERGENCY_TOP, "layout.h");

extern struct board_cpu board_cpus[HC_MAX_CPUS];
extern unsigned board_cpu_count; /* those that run */

static inline struct board_cpu *this_cpu(void)
{
	struct board_cpu *c;

	/* Not volatile: it never changes on a CPU. */
	__asm__("mrs %0, tpidr_el2" : "=r"(c));
	return c;
}

/* Boot CPU, first of all: what its struct has to have before there is memory. */
void cpu_init_boot(void);

/* The boot CPU is at EL1, where it has no struct that it could find: it only says why it ends.
 * Output locks must be broken. */
void cpu_set_at_el1(void);

/* Allocates c's stacks. -ENOMEM. */
int cpu_alloc_stacks(struct board_cpu *c);

/* The affinity fields of the calling CPU's MPIDR_EL1. */
uint64_t cpu_mpidr(void);

/*
 * Where a CPU comes to life, at EL2 with its MMU off (start.S): X0 = the struct board_cpu of it, at
 * its virtual address, with the stacks allocated. Sets EL2 up as the boot CPU has it (VHE, tables,
 * vectors, TPIDR_EL2) and calls cpu_secondary_main() on the CPU's own stack.
 */
extern const uint8_t start_secondary[];
_Noreturn void cpu_secondary_main(struct board_cpu *c); /* cpus.c */

#endif
