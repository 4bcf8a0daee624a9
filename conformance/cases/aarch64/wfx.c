/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WFI and WFE (Arm ARM D1.6): what has to end them. Both may end for no reason at all, so that
 * nothing says when they must go on waiting.
 */
#include "guest/aarch64/kernel.h"
#include "guest/arch.h"

#include <stdatomic.h>

#define ROUNDS 50u

static bool pending(void)
{
	isb();
	return read_sysreg(isr_el1) & BIT(7);
}

/* ---- WFI ---- */

TEST(wfi_pending, "Arm ARM D1.6.2: with an IRQ pending WFI ends, though PSTATE.I masks it")
{
	need_gic(0);
	irq_enable(3);
	for (unsigned int n = 0; n < ROUNDS; n++) {
		sgi_send(3, 0);
		CHECK(irq_comes());
		wfi();
		CHECK_EQ(irq_ack() & 0x3ff, 3);
		irq_eoi(3);
	}
}

static atomic_uint turn;

static void sleeper(void *argument)
{
	uint32_t acked;

	irq_enable(3);
	for (unsigned int n = 0; n < ROUNDS; n++) {
		atomic_store(&turn, 2 * n + 1);
		while (!pending()) {
			wfi();
			arch_relax();
		}
		acked = irq_ack();
		CHECK_EQ(acked & 0x3ff, 3);
		irq_eoi(acked);
		atomic_store(&turn, 2 * n + 2);
	}
}

TEST_SMP(wfi_other, 2, "Arm ARM D1.6.2: an SGI of another CPU ends WFI, masked or not")
{
	need_gic(0);
	atomic_store(&turn, 0);
	start_cpu(1, sleeper, NULL);
	for (unsigned int n = 0; n < ROUNDS; n++) {
		if (!WAIT_FOR(atomic_load(&turn) >= 2 * n + 1))
			break;
		sgi_send(3, 1);
		if (!WAIT_FOR(atomic_load(&turn) >= 2 * n + 2))
			FAIL("round %u: the SGI does not end WFI", n);
	}
	wait_cpu(1);
}

/* Waits by either, with interrupts let in, until a handler has seen some of the timer's. */
static volatile unsigned int ticks, behind;
static volatile uint64_t waits_at;

static bool tick(struct frame *frame)
{
	uint32_t acked = irq_ack();

	ticks++;
	behind += frame->elr == waits_at + 4;
	write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 300);
	irq_eoi(acked);
	return true;
}

#define WAIT_AT(instruction)                                                                       \
	__asm__ volatile("adr x9, 1f\n\tstr x9, %0\n\tmsr daifclr, #2\n1:\t" instruction           \
	                 "\n\tmsr daifset, #2"                                                     \
	                 : "=m"(waits_at)                                                          \
	                 :                                                                         \
	                 : "x9", "memory")

static void start_ticks(void)
{
	need_gic(0);
	if (!machine.timer_virtual)
		skip("the virtual timer's interrupt");
	ticks = behind = 0;
	handle(KIND_IRQ, tick);
	irq_enable(machine.timer_virtual);
	write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 300);
	write_sysreg(cntv_ctl_el0, 1);
}

TEST(wfi_taken, "Arm ARM D1.3.1, D1.6.2: an IRQ that ends WFI is taken behind it")
{
	start_ticks();
	/* One that comes before WFI is taken before it; the next one ends it. */
	while (ticks < 20)
		WAIT_AT("wfi");
	write_sysreg(cntv_ctl_el0, 0);
	CHECK(behind > 0);
}

TEST(wfe_taken,
     "Arm ARM D1.6.1: an IRQ that is not masked ends WFE; the return from it is an event")
{
	start_ticks();
	while (ticks < 20)
		WAIT_AT("wfe");
	write_sysreg(cntv_ctl_el0, 0);
}

/* ---- WFE ---- */

TEST(sevl, "Arm ARM C6.2, SEVL: sets this CPU's event register, which the next WFE clears")
{
	for (unsigned int n = 0; n < 1000; n++)
		op("sevl\n\twfe");
}

TEST(sev_self, "Arm ARM C6.2, SEV: an event for all CPUs, the one that executes it included")
{
	for (unsigned int n = 0; n < 1000; n++)
		op("sev\n\twfe");
}

static bool leave_out(struct frame *frame)
{
	frame->elr += 4;
	return true;
}

TEST(exception_return, "Arm ARM D1.6.1: an exception return sets the event register")
{
	handle(KIND_SYNC, leave_out);
	for (unsigned int n = 0; n < 100; n++)
		op("brk #0\n\twfe");
}

TEST(event_stream, "Arm ARM D12.2.3: CNTKCTL_EL1.EVNTEN: a bit of the count makes events")
{
	write_sysreg(cntkctl_el1, BIT(2) | 9 << 4); /* EVNTI 9: each 1024 counts */
	isb();
	for (unsigned int n = 0; n < 100; n++)
		wfe();
}

static atomic_uint flag;

static void wait_event(void *argument)
{
	for (unsigned int n = 1; n <= ROUNDS; n++) {
		while (atomic_load(&flag) != n) {
			wfe();
			arch_relax();
		}
		atomic_store(&turn, n);
	}
}

TEST_SMP(sev_other, 2, "Arm ARM D1.6.1: SEV of another CPU ends WFE")
{
	atomic_store(&flag, 0);
	atomic_store(&turn, 0);
	start_cpu(1, wait_event, NULL);
	for (unsigned int n = 1; n <= ROUNDS; n++) {
		atomic_store(&flag, n);
		dsb();
		sev();
		if (!WAIT_FOR(atomic_load(&turn) == n))
			FAIL("round %u: SEV does not end WFE", n);
	}
	wait_cpu(1);
}

static unsigned int load_exclusive(atomic_uint *at)
{
	unsigned int value;

	__asm__ volatile("ldaxr %w0, [%1]" : "=&r"(value) : "r"(at) : "memory");
	return value;
}

static bool store_exclusive(atomic_uint *at, unsigned int value)
{
	unsigned int failed;

	__asm__ volatile("stxr %w0, %w2, [%1]" : "=&r"(failed) : "r"(at), "r"(value) : "memory");
	return !failed;
}

/* Waits for another value than this. */
static unsigned int other_than(atomic_uint *at, unsigned int old)
{
	unsigned int value;

	while ((value = load_exclusive(at)) == old) {
		wfe();
		arch_relax();
	}
	return value;
}

static void watch_monitor(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS; n++)
		atomic_store(&turn, other_than(&flag, n));
}

TEST_SMP(monitor, 2,
         "Arm ARM B2.9.3, D1.6.1: a store that clears the exclusives monitor is an event")
{
	atomic_store(&flag, 0);
	atomic_store(&turn, 0);
	start_cpu(1, watch_monitor, NULL);
	for (unsigned int n = 1; n <= ROUNDS; n++) {
		atomic_store(&flag, n); /* and no SEV */
		if (!WAIT_FOR(atomic_load(&turn) == n))
			FAIL("round %u: the store does not end WFE", n);
	}
	wait_cpu(1);
}

static atomic_uint lock;
static volatile unsigned int guarded;

static void count_locked(void *argument)
{
	for (unsigned int n = 0; n < 200; n++) {
		do
			other_than(&lock, 1);
		while (!store_exclusive(&lock, 1));
		guarded++;
		atomic_store_explicit(&lock, 0, memory_order_release);
	}
}

TEST_SMP(spin_lock, 2,
         "Arm ARM K9.3.1: a lock that CPUs wait for by WFE, released by a plain store")
{
	atomic_store(&lock, 0);
	guarded = 0;
	on_each_cpu(count_locked, NULL);
	CHECK_EQ(guarded, 200 * cpu_count());
}
