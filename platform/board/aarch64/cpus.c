/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/cpus.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/aarch64/clock.h"
#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/aarch64/psci.h"
#include "platform/board/fdt.h"
#include "platform/board/image.h"
#include "platform/board/paging.h"
#include "platform/board/ram.h"
#include "platform/board/work.h"
#include "platform/platform.h"

/* How long a CPU may take to answer. Emulated ones on a busy host are slow. */
#define START_PATIENCE_NS UINT64_C(2000000000)

/* Whose turn it is to leave secondary_spin, and with what in X0. */
struct secondary_turn {
	uint64_t mpidr, argument;
};

extern struct secondary_turn secondary_turn;
extern const uint8_t secondary_spin[];

enum answer { ANSWER_NONE, ANSWER_READY, ANSWER_FAILED };

/* Of the CPU that is being started; they come one after the other. */
static _Atomic int answer;

_Noreturn void cpu_secondary_main(struct board_cpu *c)
{
	if (gic_init_cpu(c)) {
		atomic_store(&answer, ANSWER_FAILED);
		/* Its struct and its stack may become another's: none of them is touched again. */
		__asm__ volatile("1: wfi; b 1b");
		__builtin_unreachable();
	}
	clock_init_cpu();
	atomic_store(&answer, ANSWER_READY);
	work_loop(&c->cpu);
}

/* To where CPUs without caches see it (Arm ARM D7.4.7). */
static void clean(const void *p, uint64_t size)
{
	uint64_t line = UINT64_C(4) << (READ_SYSREG(CTR_EL0) >> 16 & 15); /* DminLine */
	uint64_t end = (uint64_t)(uintptr_t)p + size;

	for (uint64_t at = HC_ALIGN_DOWN((uint64_t)(uintptr_t)p, line); at < end; at += line)
		__asm__ volatile("dc cvac, %0" : : "r"(at) : "memory");
	dsb_sy();
}

static void offer(uint64_t mpidr, const struct board_cpu *c)
{
	secondary_turn.mpidr = mpidr;
	secondary_turn.argument = (uint64_t)(uintptr_t)c;
	clean(&secondary_turn, sizeof(secondary_turn));
}

/* Devicetree Specification 3.8.1: the address to go to, little-endian; SEV wakes the poller. */
static int release(const struct board_tree_cpu *t, const struct board_cpu *c)
{
	volatile uint64_t *slot;

	if (ram_is_ours(t->release, sizeof(*slot)))
		return hc_error(-EPROTO,
		                "the spin table of the CPU 0x%llx, at 0x%llx, is in memory that is "
		                "not reserved",
		                (unsigned long long)t->mpidr, (unsigned long long)t->release);
	slot = paging_window(hpa_of(t->release), sizeof(*slot), PAGING_RW);
	if (!slot)
		return hc_error(-ENOMEM, "no memory to map the spin table of the CPU 0x%llx",
		                (unsigned long long)t->mpidr);
	offer(t->mpidr, c);
	*slot = image_hpa(secondary_spin).v;
	clean((const void *)(uintptr_t)slot, sizeof(*slot));
	__asm__ volatile("sev" : : : "memory");
	return 0;
}

static int send_off(const struct board_tree_cpu *t, const struct board_cpu *c)
{
	switch (t->method) {
	case BOARD_CPU_PSCI:
		return psci_cpu_on(t->mpidr, image_hpa(start_secondary).v, (uint64_t)(uintptr_t)c);
	case BOARD_CPU_SPIN_TABLE: return release(t, c);
	default:
		return hc_error(-ENODEV, "nobody says how to start the CPU 0x%llx",
		                (unsigned long long)t->mpidr);
	}
}

static int wait_for_answer(void)
{
	uint64_t end = hc_platform_now_ns() + START_PATIENCE_NS;

	while (atomic_load(&answer) == ANSWER_NONE && hc_platform_now_ns() < end)
		cpu_pause();
	return atomic_load(&answer);
}

/* Its turn is over: it has left secondary_spin and answers soon, or it will wait there for good.
 * From PSCI there is no way back but if the firmware says that the CPU never left. */
static int give_up(const struct board_tree_cpu *t, bool *late)
{
	if (t->method == BOARD_CPU_PSCI) {
		*late = psci_may_come(t->mpidr);
		return ANSWER_NONE;
	}
	offer(UINT64_MAX, NULL);
	return wait_for_answer();
}

/* True: it runs. *late: it may still come, and use the struct and its stack. */
static bool start_one(const struct board_tree_cpu *t, struct board_cpu *c, bool *late)
{
	int came;

	c->cpu.id = board_cpu_count;
	c->cpu.hw_id = t->mpidr;
	atomic_store(&answer, ANSWER_NONE);
	clean(c, sizeof(*c));
	if (send_off(t, c))
		return false;
	came = wait_for_answer();
	if (came == ANSWER_NONE)
		came = give_up(t, late);
	return came == ANSWER_READY;
}

/* The next free struct with its stacks; NULL: explained. */
static struct board_cpu *next_cpu(void)
{
	struct board_cpu *c = &board_cpus[board_cpu_count];

	if (board_cpu_count == HC_MAX_CPUS) {
		hc_log(HC_LOG_WARN, "CPUs beyond %u are left out", HC_MAX_CPUS);
		return NULL;
	}
	if (!c->stack_top && cpu_alloc_stacks(c)) {
		hc_log(HC_LOG_WARN, "no memory for more CPUs' stacks");
		return NULL;
	}
	return c;
}

void cpus_start(const struct board_tree *tree)
{
	bool late = false;

	for (unsigned i = 0; i < tree->cpu_count && !late; i++) {
		struct board_cpu *c;

		if (tree->cpus[i].mpidr == board_cpus[0].cpu.hw_id)
			continue;
		c = next_cpu();
		if (!c)
			return;
		if (start_one(&tree->cpus[i], c, &late))
			board_cpu_count++;
		else
			hc_log(HC_LOG_WARN, "the CPU 0x%llx does not start: %s left out",
			       (unsigned long long)tree->cpus[i].mpidr,
			       late ? "it and those after it are" : "it is");
	}
}
