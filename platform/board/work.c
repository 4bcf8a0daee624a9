/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/work.h"

#include <stdatomic.h>

#include "platform/board/board.h"
#include "platform/platform.h"

static struct {
	void (*fn)(struct hc_cpu *cpu);
	_Atomic uint32_t generation;
	_Atomic uint32_t done[HC_MAX_CPUS]; /* the last generation that each CPU finished */
} work;

_Noreturn void work_loop(struct hc_cpu *cpu)
{
	for (;;) {
		uint32_t generation = atomic_load(&work.generation);

		if (generation == atomic_load(&work.done[cpu->id])) {
			hc_platform_idle();
			continue;
		}
		work.fn(cpu);
		atomic_store(&work.done[cpu->id], generation);
		hc_platform_kick(board_cpu(0));
	}
}

void board_call_cpus(void (*fn)(struct hc_cpu *cpu))
{
	uint32_t generation = atomic_load(&work.generation) + 1;

	work.fn = fn;
	atomic_store(&work.generation, generation);
	for (unsigned i = 1; board_cpu(i); i++)
		hc_platform_kick(board_cpu(i));
	fn(board_cpu(0));
	for (unsigned i = 1; board_cpu(i); i++)
		while (atomic_load(&work.done[i]) != generation)
			hc_platform_idle();
}
