/* SPDX-License-Identifier: BSD-2-Clause */
/* Other CPUs: how they start, interrupts between them, atomicity, translations, clocks. */
#include "guest/arch.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#include <stdatomic.h>

#define VECTOR 0x60u

/* ---- Start ---- */

static atomic_uint ran;
static uint32_t ids[CPUS_MAX];

static void report(void *argument)
{
	ids[this_cpu()] = apic_read(APIC_ID) >> 24;
	atomic_fetch_add(&ran, 1);
}

TEST_SMP(all_start, 2, "SDM Vol. 3A 8.4")
{
	atomic_store(&ran, 0);
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, report, NULL);
	for (unsigned int n = 1; n < cpu_count(); n++) {
		wait_cpu(n);
		CHECK_EQ(ids[n], cpu_apic_id(n));
	}
	CHECK_EQ(atomic_load(&ran), cpu_count() - 1);
}

TEST_SMP(starts_again, 2,
         "SDM Vol. 3A 8.4.2: INIT, then the start-up IPI, whatever the CPU did before")
{
	atomic_store(&ran, 0);
	for (unsigned int n = 0; n < 20; n++) {
		start_cpu(1, report, NULL);
		wait_cpu(1);
	}
	CHECK_EQ(atomic_load(&ran), 20);
}

static void spin(void *argument)
{
	for (;;)
		atomic_fetch_add(&ran, 1);
}

TEST_SMP(init_stops_a_running_cpu, 2,
         "SDM Vol. 3A 10.4.7.3: after INIT it waits for a start-up IPI")
{
	unsigned int before;

	atomic_store(&ran, 0);
	start_cpu(1, spin, NULL);
	CHECK(WAIT_FOR(atomic_load(&ran) > 10));
	apic_send(cpu_apic_id(1), ICR_INIT | ICR_ASSERT);
	/* It has gone; the time it takes to come has no limit that a manual names. */
	for (unsigned int n = 0; n < 50; n++) {
		struct limit limit = limit_of(2);

		before = atomic_load(&ran);
		while (!limit_passed(&limit))
			;
		if (atomic_load(&ran) == before)
			return;
	}
	FAIL("it goes on");
}

TEST_SMP(startup_to_a_running_cpu, 2, "SDM Vol. 3A 8.4.4.1: a start-up IPI counts after INIT only")
{
	unsigned int before;

	atomic_store(&ran, 0);
	start_cpu(1, spin, NULL);
	CHECK(WAIT_FOR(atomic_load(&ran) > 10));
	apic_send(cpu_apic_id(1), ICR_STARTUP | ICR_ASSERT | 0x08);
	before = atomic_load(&ran);
	CHECK(WAIT_FOR(atomic_load(&ran) > before + 1000));
}

/* Real-mode code that writes what it finds to this page's second half, then halts. */
#define START_PAGE UINT64_C(0x6000)
#define FOUND      (START_PAGE + 0x800)
LOW_CODE_TEXT(
	start_probe, 16,
	"movl %edx, %cs:0x808; movl %cr0, %edx; movl %edx, %cs:0x800; "
	"xorl %edx, %edx; movw %cs, %dx; movl %edx, %cs:0x804; movw %ds, %dx; movl %edx, "
	"%cs:0x80c; "
	"movl %cr4, %edx; movl %edx, %cs:0x810; movl %cr3, %edx; movl %edx, %cs:0x814; "
	"movl %dr7, %edx; movl %edx, %cs:0x818; movl $0x600d, %cs:0x81c; 1: cli; hlt; jmp 1b");

static uint32_t found(unsigned int n)
{
	return load32(FOUND + 4 * n);
}

TEST_SMP(start_state, 2,
         "SDM Vol. 3A 9.1.1, table 9-1; 8.4.3: CS is the vector's page, IP 0, real mode")
{
	memcpy((void *)START_PAGE, start_probe, 0x100);
	memset((void *)FOUND, 0, 0x100);
	apic_send(cpu_apic_id(1), ICR_INIT | ICR_ASSERT);
	for (struct limit limit = limit_of(1); !limit_passed(&limit);)
		;
	apic_send(cpu_apic_id(1), ICR_STARTUP | ICR_ASSERT | START_PAGE >> 12);
	CHECK(WAIT_FOR(*(volatile uint32_t *)(FOUND + 0x1c) == 0x600d));
	apic_send(cpu_apic_id(1), ICR_INIT | ICR_ASSERT);
	CHECK_EQ(found(0) & (CR0_PE | CR0_PG | CR0_WP | CR0_ET), CR0_ET);
	CHECK_EQ(found(1), START_PAGE >> 4);
	CHECK_EQ(found(3), 0);
	CHECK_EQ(found(4), 0);
	CHECK_EQ(found(5), 0);
	CHECK_EQ(found(6), 0x400);
}

/* ---- Interrupts between CPUs ---- */

static atomic_uint taken[CPUS_MAX];
static atomic_uint ready;
static atomic_bool enough;

static void take(struct frame *frame)
{
	atomic_fetch_add(&taken[this_cpu()], 1);
	if (frame->vector != NMI)
		apic_write(APIC_EOI, 0);
}

static void listen(void *argument)
{
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&enough)) {
		sti();
		for (unsigned int n = 0; n < 100; n++)
			__asm__ volatile("pause");
		cli();
	}
}

static void sleep(void *argument)
{
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&enough))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static unsigned int all_taken(void)
{
	unsigned int sum = 0;

	for (unsigned int n = 0; n < cpu_count(); n++)
		sum += atomic_load(&taken[n]);
	return sum;
}

/* All other CPUs wait for interrupts, by pausing or in HLT. */
static void start_listeners(void (*function)(void *))
{
	handle(VECTOR, take);
	handle(NMI, take);
	atomic_store(&ready, 0);
	atomic_store(&enough, false);
	for (unsigned int n = 0; n < CPUS_MAX; n++)
		atomic_store(&taken[n], 0);
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, function, NULL);
	CHECK(WAIT_FOR(atomic_load(&ready) == cpu_count() - 1));
}

TEST_SMP(ipi_to_each, 2, "SDM Vol. 3A 10.6.1: a fixed interrupt by APIC ID")
{
	start_listeners(listen);
	for (unsigned int n = 1; n < cpu_count(); n++) {
		apic_send(cpu_apic_id(n), ICR_FIXED | ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR(atomic_load(&taken[n]) == 1));
		for (unsigned int other = n + 1; other < cpu_count(); other++)
			CHECK_EQ(atomic_load(&taken[other]), 0);
	}
	CHECK_EQ(atomic_load(&taken[0]), 0);
}

TEST_SMP(ipi_to_halted, 2, "SDM Vol. 2A HLT: an interrupt wakes")
{
	start_listeners(sleep);
	for (unsigned int round = 1; round <= 10; round++) {
		apic_send(cpu_apic_id(1), ICR_FIXED | ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR(atomic_load(&taken[1]) == round));
	}
}

TEST_SMP(ipi_to_all_others, 2, "SDM Vol. 3A 10.6.1: the shorthand all excluding self")
{
	start_listeners(listen);
	apic_send(0, ICR_ALL_BUT_SELF | ICR_FIXED | ICR_ASSERT | VECTOR);
	for (unsigned int n = 1; n < cpu_count(); n++)
		CHECK(WAIT_FOR(atomic_load(&taken[n]) == 1));
	sti_nop_cli();
	CHECK_EQ(atomic_load(&taken[0]), 0);
}

TEST_SMP(ipi_to_all, 2, "SDM Vol. 3A 10.6.1: the shorthand all including self")
{
	start_listeners(listen);
	apic_send(0, 0x80000 | ICR_FIXED | ICR_ASSERT | VECTOR);
	for (unsigned int n = 1; n < cpu_count(); n++)
		CHECK(WAIT_FOR(atomic_load(&taken[n]) == 1));
	sti_nop_cli();
	CHECK(WAIT_FOR((sti_nop_cli(), atomic_load(&taken[0]) == 1)));
}

TEST_SMP(nmi_to_each, 2, "SDM Vol. 3A 10.6.1: delivery mode NMI")
{
	start_listeners(listen);
	for (unsigned int n = 1; n < cpu_count(); n++) {
		apic_send(cpu_apic_id(n), ICR_NMI | ICR_ASSERT);
		CHECK(WAIT_FOR(atomic_load(&taken[n]) == 1));
	}
}

static void set_logical(void *argument)
{
	apic_write(APIC_LDR, 1u << (24 + this_cpu()));
	listen(argument);
}

TEST_SMP(ipi_logical_flat, 2, "SDM Vol. 3A 10.6.2.2: the flat model: a bit for each CPU")
{
	start_listeners(set_logical);
	apic_send(2, 0x800 | ICR_FIXED | ICR_ASSERT | VECTOR);
	CHECK(WAIT_FOR(atomic_load(&taken[1]) == 1));
	for (unsigned int n = 2; n < cpu_count() && n < 8; n++)
		CHECK_EQ(atomic_load(&taken[n]), 0);
}

TEST_SMP(many_ipis, 2, "SDM Vol. 3A 10.8.4: none is lost that was taken before the next is sent")
{
	start_listeners(listen);
	for (unsigned int round = 1; round <= 100; round++) {
		apic_send(cpu_apic_id(1), ICR_FIXED | ICR_ASSERT | VECTOR);
		if (!WAIT_FOR(atomic_load(&taken[1]) == round))
			FAIL("number %u does not come", round);
	}
}

static void set_logical_2(void *argument)
{
	apic_write(APIC_LDR, 0x02000000);
	listen(argument);
}

TEST_SMP(ipi_lowest_priority, 2, "SDM Vol. 3A 10.6.2.4: to one of those addressed")
{
	apic_write(APIC_LDR, 0x01000000);
	start_listeners(set_logical_2);
	for (unsigned int round = 1; round < 10; round++) {
		apic_send(3, 0x100 | 0x800 | ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR((sti_nop_cli(), all_taken() == round)));
	}
	for (struct limit limit = limit_of(2); !limit_passed(&limit);)
		sti_nop_cli();
	CHECK_EQ(all_taken(), 9);
}

TEST_SMP(ipi_physical_broadcast, 2, "SDM Vol. 3A 10.6.2.1: FFH is all")
{
	start_listeners(sleep);
	apic_send(0xff, ICR_FIXED | ICR_ASSERT | VECTOR);
	CHECK(WAIT_FOR((sti_nop_cli(), all_taken() == cpu_count())));
	for (unsigned int n = 0; n < cpu_count(); n++)
		CHECK_EQ(atomic_load(&taken[n]), 1);
}

TEST_SMP(nmi_to_halted, 2, "SDM Vol. 2A HLT: an NMI wakes; the vector is ignored")
{
	start_listeners(sleep);
	for (unsigned int round = 1; round < 10; round++) {
		apic_send(cpu_apic_id(1), ICR_NMI | ICR_ASSERT | 0x33);
		CHECK(WAIT_FOR(atomic_load(&taken[1]) == round));
	}
}

TEST_SMP(ipis_both_ways, 2,
         "SDM Vol. 3A 10.8.4: none is lost while the sender is interrupted itself")
{
	start_listeners(listen);
	for (unsigned int round = 1; round < 100; round++) {
		apic_send(cpu_apic_id(1), ICR_ASSERT | VECTOR);
		apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR((sti_nop_cli(), atomic_load(&taken[0]) == round &&
		                                       atomic_load(&taken[1]) == round)));
	}
}

/* ---- Atomicity ---- */

#define ROUNDS 20000u
static struct {
	uint8_t before[60];
	uint64_t value; /* across a cache line's end */
	uint8_t after[60];
} __attribute__((packed, aligned(64))) split;
static uint64_t counter[2] __attribute__((aligned(16)));

static void locked_inc(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS; n++)
		__asm__ volatile("lock incq %0" : "+m"(counter[0]) : : "cc");
}

static void locked_xadd(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS; n++) {
		uint64_t one = 1;

		__asm__ volatile("lock xaddq %1, %0" : "+m"(counter[0]), "+r"(one) : : "cc");
	}
}

static void locked_cmpxchg(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS; n++) {
		uint64_t old = *(volatile uint64_t *)&counter[0];

		__asm__ volatile("1: movq %1, %%rdx; incq %%rdx; lock cmpxchgq %%rdx, %0; jnz 1b"
		                 : "+m"(counter[0]), "+a"(old)
		                 :
		                 : "rdx", "cc", "memory");
	}
}

static void locked_cmpxchg16b(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS / 4; n++) {
		uint64_t low = 0, high = 0;

		__asm__ volatile("1: movq %%rax, %%rbx; movq %%rdx, %%rcx; incq %%rbx; decq %%rcx; "
		                 "lock cmpxchg16b %0; jnz 1b"
		                 : "+m"(counter), "+a"(low), "+d"(high)
		                 :
		                 : "rbx", "rcx", "cc", "memory");
	}
}

static void locked_split(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS / 10; n++)
		__asm__ volatile("lock incq %0" : "+m"(split.value) : : "cc");
}

static void exchanged_lock(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS / 10; n++) {
		uint64_t taken_lock = 1;

		do {
			__asm__ volatile("pause; xchgq %0, %1"
			                 : "+r"(taken_lock), "+m"(counter[1])
			                 :
			                 : "memory");
		} while (taken_lock);
		(*(volatile uint64_t *)&counter[0])++;
		__asm__ volatile("movq $0, %0" : "=m"(counter[1]) : : "memory");
	}
}

static void on_all_cpus(void (*function)(void *))
{
	counter[0] = counter[1] = split.value = 0;
	on_each_cpu(function, NULL);
}

#define ATOMIC(name, function, place, count)                                                       \
	TEST_SMP(name, 2, "SDM Vol. 3A 8.1.2: LOCK makes the access to memory atomic")             \
	{                                                                                          \
		on_all_cpus(function);                                                             \
		CHECK_EQ(place, (uint64_t)(count)*cpu_count());                                    \
	}
ATOMIC(lock_inc, locked_inc, counter[0], ROUNDS)
ATOMIC(lock_xadd, locked_xadd, counter[0], ROUNDS)
ATOMIC(lock_cmpxchg, locked_cmpxchg, counter[0], ROUNDS)
ATOMIC(lock_split, locked_split, split.value, ROUNDS / 10)
ATOMIC(xchg_without_prefix, exchanged_lock, counter[0], ROUNDS / 10)

TEST_SMP(lock_cmpxchg16b, 2, "SDM Vol. 3A 8.1.2, Vol. 2A CMPXCHG16B")
{
	need(F_CMPXCHG16B);
	on_all_cpus(locked_cmpxchg16b);
	CHECK_EQ(counter[0], (uint64_t)(ROUNDS / 4) * cpu_count());
	CHECK_EQ(counter[1], -(uint64_t)(ROUNDS / 4) * cpu_count());
}

static void half_words(void *argument)
{
	uint32_t pattern = this_cpu() ? UINT32_MAX : 0;

	for (unsigned int n = 0; n < ROUNDS; n++) {
		uint32_t got;

		*(volatile uint32_t *)&counter[0] = pattern;
		got = *(volatile uint32_t *)&counter[0];
		if (got && got != UINT32_MAX)
			FAIL("a mixture: %#x", got);
	}
}

TEST_SMP(aligned_stores_are_whole, 2, "SDM Vol. 3A 8.1.1: aligned 4 bytes are accessed atomically")
{
	on_all_cpus(half_words);
}

/* ---- Translations ---- */

static atomic_uint flushes;
static uint8_t *old_page, *new_page;
static atomic_uint seen_old;

static void flush(struct frame *frame)
{
	invlpg(FREE_SPACE);
	apic_write(APIC_EOI, 0);
	atomic_fetch_add(&flushes, 1);
}

static void read_page(void *argument)
{
	write_cr3((uint64_t)kernel_pml4);
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&enough)) {
		unsigned int done = atomic_load(&flushes);

		sti_nop_cli();
		if (load8(FREE_SPACE) == 1 && done)
			atomic_fetch_add(&seen_old, 1);
	}
}

TEST_SMP(shootdown, 2, "SDM Vol. 3A 4.10.5: after INVLPG in an interrupt a CPU uses the new entry")
{
	uint64_t *entry;

	old_page = page_alloc();
	new_page = page_alloc();
	old_page[0] = 1;
	new_page[0] = 2;
	entry = page_map(FREE_SPACE, (uint64_t)old_page, PTE_P | PTE_W, 1);
	atomic_store(&flushes, 0);
	atomic_store(&seen_old, 0);
	atomic_store(&ready, 0);
	atomic_store(&enough, false);
	handle(VECTOR, flush);
	start_cpu(1, read_page, NULL);
	CHECK(WAIT_FOR(atomic_load(&ready) == 1));
	page_set(entry, (uint64_t)new_page | PTE_P | PTE_W, FREE_SPACE);
	apic_send(cpu_apic_id(1), ICR_FIXED | ICR_ASSERT | VECTOR);
	CHECK(WAIT_FOR(atomic_load(&flushes) == 1));
	for (struct limit limit = limit_of(5); !limit_passed(&limit);)
		;
	atomic_store(&enough, true);
	wait_cpu(1);
	CHECK_EQ(atomic_load(&seen_old), 0);
}

static void touch(void *argument)
{
	uint64_t base = UINT64_C(0x5000000);

	for (unsigned int n = 0; n < 512; n++)
		__asm__ volatile("lock incq (%0)"
		                 :
		                 : "r"(base + n * UINT64_C(0x1000))
		                 : "memory", "cc");
}

TEST_SMP(first_touch_together, 2,
         "SDM Vol. 3A 8.1: memory that a hypervisor has to find, from several CPUs at once")
{
	for (unsigned int n = 0; n < 512; n++)
		store64(UINT64_C(0x5000000) + n * UINT64_C(0x1000) + 8, 0);
	on_all_cpus(touch);
	for (unsigned int n = 1; n < 512; n++)
		CHECK_EQ(load64(UINT64_C(0x5000000) + n * UINT64_C(0x1000)),
		         load64(UINT64_C(0x5000000)));
}

/* ---- Clocks ---- */

static atomic_uint turn;
static uint64_t last_tsc;
static unsigned int backwards;

static void look_at_clock(void *argument)
{
	unsigned int self = this_cpu();

	for (unsigned int n = 0; n < 300; n++) {
		uint64_t now;

		while (atomic_load(&turn) % 2 != self)
			__asm__ volatile("pause");
		__asm__ volatile("lfence" : : : "memory"); /* RDTSC waits for nothing */
		now = rdtsc();
		if (now < last_tsc)
			backwards++;
		last_tsc = now;
		atomic_fetch_add(&turn, 1);
	}
}

TEST_SMP(tsc_monotone, 2,
         "SDM Vol. 3B 17.17.1: an invariant TSC, the same on all CPUs, does not go back")
{
	atomic_store(&turn, 0);
	last_tsc = 0;
	backwards = 0;
	start_cpu(1, look_at_clock, NULL);
	look_at_clock(NULL);
	wait_cpu(1);
	CHECK_EQ(backwards, 0);
}

/* ---- Code ---- */

static uint8_t *code;
static atomic_uint modified, executed;

static void call_code(void *argument)
{
	for (unsigned int n = 1; n < 50; n++) {
		uint32_t eax;

		while (atomic_load(&modified) < n)
			arch_relax();
		cpuid(0, 0);
		__asm__ volatile("callq *%1" : "=a"(eax) : "r"(code) : "memory");
		CHECK_EQ(eax, n);
		atomic_store(&executed, n);
	}
}

TEST_SMP(cross_modifying_code, 2,
         "SDM Vol. 3A 8.1.3: after a flag and a serialising instruction the new code runs")
{
	code = page_alloc();
	code[0] = 0xb8; /* mov $imm32, %eax; ret */
	code[5] = 0xc3;
	atomic_store(&modified, 0);
	atomic_store(&executed, 0);
	start_cpu(1, call_code, NULL);
	for (uint32_t n = 1; n < 50; n++) {
		store32((uint64_t)code + 1, n);
		atomic_store(&modified, n);
		if (!WAIT_FOR(atomic_load(&executed) == n))
			break;
	}
	wait_cpu(1);
}
