/* SPDX-License-Identifier: BSD-2-Clause */
/* One physical CPU: its descriptor tables, stacks and what interrupts leave for it. */
#ifndef PLATFORM_BOARD_X86_64_CPU_H
#define PLATFORM_BOARD_X86_64_CPU_H

#include "core/sched.h"

/* SDM Vol. 3A 7.7, figure 7-11. */
struct cpu_tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

_Static_assert(sizeof(struct cpu_tss) == 104, "SDM Vol. 3A 7.7");
_Static_assert(offsetof(struct cpu_tss, ist) == 36, "SDM Vol. 3A 7.7");

/* Stacks that traps switch to, whatever RSP holds (numbers of the interrupt stack table). */
enum cpu_ist { IST_NONE, IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK, IST_PAGE_FAULT, IST_COUNT };

#define CPU_STACK_SIZE 0x8000
#define IST_STACK_SIZE 0x2000

struct board_cpu {
	struct board_cpu *self; /* at GS:0 */
	struct hc_cpu cpu;
	uint64_t gdt[5]; /* null, code, data, TSS (16 bytes) */
	struct cpu_tss tss;
	uint64_t stack_top;
	uint64_t first_tsc; /* when it had started */
	_Atomic bool online;
};

extern struct board_cpu board_cpus[HC_MAX_CPUS];
extern unsigned board_cpu_count; /* those that run */

static inline struct board_cpu *this_cpu(void)
{
	struct board_cpu *c;

	__asm__("movq %%gs:0, %0" : "=r"(c));
	return c;
}

/* Makes c the calling CPU's: GS base, descriptor tables. */
void cpu_load(struct board_cpu *c);

/* Allocates c's stacks. -ENOMEM. */
int cpu_alloc_stacks(struct board_cpu *c);

/* Builds the interrupt descriptor table that all CPUs share. Boot CPU, once, before cpu_load(). */
void idt_build(void);

/* Starts all other CPUs that the firmware tables list, and waits for them. Those that do not answer
 * are logged and left out. */
struct acpi_info;
void cpus_start(const struct acpi_info *acpi);

#endif
