/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/cpu.h"

#include <hypercore/errno.h>

#include "platform/board/aarch64/mpidr.h"
#include "platform/board/paging.h"

/* For exceptions before there is memory for stacks. */
static uint8_t emergency_stack[EMERGENCY_STACK_SIZE] __attribute__((aligned(16)));

struct board_cpu board_cpus[HC_MAX_CPUS] __attribute__((aligned(64)));
unsigned board_cpu_count = 1;

void cpu_init_boot(void)
{
	board_cpus[0].emergency_top = (uint64_t)(uintptr_t)(emergency_stack + EMERGENCY_STACK_SIZE);
	board_cpus[0].cpu.hw_id = cpu_mpidr();
}

int cpu_alloc_stacks(struct board_cpu *c)
{
	uint64_t stack = paging_stack(CPU_STACK_SIZE);
	uint64_t emergency = stack ? paging_stack(EMERGENCY_STACK_SIZE) : 0;

	if (!emergency)
		return -ENOMEM;
	c->stack_top = stack;
	c->emergency_top = emergency;
	return 0;
}

uint64_t cpu_mpidr(void)
{
	return READ_SYSREG(mpidr_el1) & MPIDR_AFFINITY;
}
