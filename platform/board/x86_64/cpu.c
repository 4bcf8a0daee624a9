/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/cpu.h"

#include <hypercore/errno.h>

#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/layout.h"
#include "platform/board/x86_64/paging.h"
#include "platform/board/x86_64/trap.h"

#define MSR_GS_BASE 0xc0000101

/* SDM Vol. 3A 6.14.1: an interrupt gate. */
struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

_Static_assert(sizeof(struct idt_gate) == 16, "SDM Vol. 3A 6.14.1");

#define GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off */

struct board_cpu board_cpus[HC_MAX_CPUS] __attribute__((aligned(64)));
unsigned board_cpu_count = 1;

static struct idt_gate idt[256];

/* For traps before there is memory for stacks. */
static uint8_t emergency_stack[IST_STACK_SIZE] __attribute__((aligned(16)));

static const uint8_t vector_ist[32] = {
	[2] = IST_NMI,         [8] = IST_DOUBLE_FAULT,   [12] = IST_PAGE_FAULT,
	[14] = IST_PAGE_FAULT, [18] = IST_MACHINE_CHECK,
};

void idt_build(void)
{
	for (unsigned v = 0; v < HC_ARRAY_SIZE(idt); v++) {
		uint64_t at = (uint64_t)(uintptr_t)trap_vectors + v * (uint64_t)TRAP_VECTOR_SIZE;

		idt[v] = (struct idt_gate){
			.offset_low = (uint16_t)at,
			.offset_mid = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
			.selector = SEL_CODE,
			.ist = v < HC_ARRAY_SIZE(vector_ist) ? vector_ist[v] : IST_NONE,
			.type = GATE_INTERRUPT,
		};
	}
}

static void build_gdt(struct board_cpu *c)
{
	uint64_t tss = (uint64_t)(uintptr_t)&c->tss;

	c->gdt[SEL_CODE / 8] = 0x00af9b000000ffff;
	c->gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	/* SDM Vol. 3A 7.2.3: an available 64-bit TSS. */
	c->gdt[SEL_TSS / 8] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
	                      (tss >> 24 & 0xff) << 56;
	c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	c->tss.io_map = sizeof(c->tss);
	for (unsigned i = IST_DOUBLE_FAULT; i < IST_COUNT; i++)
		if (!c->tss.ist[i - 1])
			c->tss.ist[i - 1] =
				(uint64_t)(uintptr_t)emergency_stack + sizeof(emergency_stack);
}

void cpu_load(struct board_cpu *c)
{
	struct table_pointer gdt = { sizeof(c->gdt) - 1, (uint64_t)(uintptr_t)c->gdt };
	struct table_pointer idtr = { sizeof(idt) - 1, (uint64_t)(uintptr_t)idt };

	c->self = c;
	build_gdt(c);
	__asm__ volatile("lgdt %0\n\t"
	                 "lidt %1\n\t"
	                 "ltr %w2\n\t"
	                 "mov %w3, %%ds; mov %w3, %%es; mov %w3, %%ss\n\t"
	                 "pushq %4\n\t"
	                 "leaq 1f(%%rip), %%rax\n\t"
	                 "pushq %%rax\n\t"
	                 "lretq\n"
	                 "1:"
	                 :
	                 : "m"(gdt), "m"(idtr), "r"(SEL_TSS), "r"(SEL_DATA), "i"(SEL_CODE)
	                 : "rax", "memory");
	wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)c);
}

int cpu_alloc_stacks(struct board_cpu *c)
{
	c->stack_top = paging_stack(CPU_STACK_SIZE);
	if (!c->stack_top)
		return -ENOMEM;
	for (unsigned i = IST_DOUBLE_FAULT; i < IST_COUNT; i++) {
		uint64_t top = paging_stack(IST_STACK_SIZE);

		if (!top)
			return -ENOMEM;
		c->tss.ist[i - 1] = top;
	}
	return 0;
}
