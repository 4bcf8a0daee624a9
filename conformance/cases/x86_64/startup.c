/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT and start-up interrupts: the state that a CPU starts in, those that come twice, too early,
 * to all, or from several CPUs at a time. */
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#define VECTOR  0x71u
#define SIPI_AT 0x2000u /* the page that the start-up code is copied to */

static volatile bool stop, ready;

static void spin_open(void *argument)
{
	ready = true;
	sti();
	while (!stop)
		__asm__ volatile("pause");
	cli();
}

static void others(unsigned int n, void (*function)(void *argument))
{
	stop = ready = false;
	start_cpu(n, function, NULL);
	if (!WAIT_FOR(ready))
		error("the other CPU does not come");
}

/* The state that a CPU wakes up in, from its first instruction on; then it counts at +0xf80. */
__asm__(".pushsection .rodata\n\t.code16\n"
        "smp_sipi_start:\n\t"
        "movl %edx, %cs:0xf00\n\tpushfl\n\t" /* SS:SP is 0000:0000: the push goes to 0000:fffc */
        "popl %ecx\n\tmovl %ecx, %cs:0xf04\n\t"
        "movl %cr0, %ecx\n\tmovl %ecx, %cs:0xf08\n\t"
        "movl %cr4, %ecx\n\tmovl %ecx, %cs:0xf0c\n\t"
        "movl %cr3, %ecx\n\tmovl %ecx, %cs:0xf10\n\t"
        "movw %cs, %cs:0xf14\n\tmovw %ds, %cs:0xf16\n\tmovw %ss, %cs:0xf18\n\t"
        "movw %es, %cs:0xf1a\n\tmovw %sp, %cs:0xf1c\n\t"
        "movl %dr7, %ecx\n\tmovl %ecx, %cs:0xf20\n\tmovl %dr6, %ecx\n\tmovl %ecx, %cs:0xf24\n\t"
        "lock incl %cs:0xf80\n"
        "1:\tcli\n\thlt\n\tjmp 1b\n"
        "smp_sipi_end:\n\t.code64\n\t.popsection");
extern const uint8_t smp_sipi_start[], smp_sipi_end[];

struct woken {
	uint32_t edx, eflags, cr0, cr4, cr3;
	uint16_t cs, ds, ss, es, sp, unused;
	uint32_t dr7, dr6;
};
static const volatile struct woken *const woken = (const volatile struct woken *)(SIPI_AT + 0xf00);
static const volatile uint32_t *const arrivals = (const volatile uint32_t *)(SIPI_AT + 0xf80);

static void pause_a_little(void)
{
	for (struct limit limit = limit_of(2); !limit_passed(&limit);)
		;
}

static void send_init(unsigned int n)
{
	apic_send(cpu_apic_id(n), ICR_INIT | ICR_ASSERT);
	pause_a_little();
}

static void send_sipi(unsigned int n)
{
	apic_send(cpu_apic_id(n), ICR_STARTUP | ICR_ASSERT | SIPI_AT >> 12);
}

static void sipi_code(void)
{
	for (uint64_t n = 0; n < PAGE; n++)
		store8(SIPI_AT + n, 0);
	memcpy((void *)(uintptr_t)SIPI_AT, smp_sipi_start, (size_t)(smp_sipi_end - smp_sipi_start));
}

static void wake(unsigned int n)
{
	sipi_code();
	send_init(n);
	send_sipi(n);
	CHECK(WAIT_FOR(*arrivals == 1));
}

TEST_SMP(state_after_sipi, 2, "SDM Vol. 3A 8.4.4, 9.1.1 table 9-1: registers after INIT and SIPI")
{
	others(1, spin_open);
	wake(1);
	CHECK_EQ(woken->cs, SIPI_AT >> 4);
	CHECK_EQ(woken->ds, 0);
	CHECK_EQ(woken->es, 0);
	CHECK_EQ(woken->ss, 0);
	CHECK_EQ(woken->sp, 0);
	CHECK_EQ(woken->eflags, FLAG_ONE);
	CHECK_EQ(woken->cr0 & 0x9fffffff, 0x10); /* CD and NW are left as they were */
	CHECK_EQ(woken->cr3, 0);
	CHECK_EQ(woken->cr4, 0);
	CHECK_EQ(woken->dr7, 0x400);
	CHECK_EQ(woken->dr6, 0xffff0ff0);
}

TEST_SMP(signature_after_init, 2, "SDM Vol. 3A 9.1.1, table 9-1: EDX has family, model, stepping")
{
	wake(1);
	CHECK_EQ(woken->edx >> 8 & 0xf, cpuid(1, 0).eax >> 8 & 0xf);
}

TEST_SMP(sipi_twice, 2, "SDM Vol. 3A 8.4.4.1: a second SIPI is ignored by a CPU that runs")
{
	wake(1);
	send_sipi(1);
	send_sipi(1);
	pause_a_little();
	CHECK_EQ(*arrivals, 1);
}

TEST_SMP(init_wakes_hlt, 2, "SDM Vol. 2A HLT: INIT, with IF clear, too")
{
	wake(1);
	wake(1);
	wake(1);
}

TEST_SMP(nmi_waits_for_sipi, 2, "SDM Vol. 3A 8.4.2: in wait-for-SIPI nothing else starts a CPU")
{
	sipi_code();
	send_init(1);
	apic_send(cpu_apic_id(1), ICR_ASSERT | VECTOR);
	pause_a_little();
	CHECK_EQ(*arrivals, 0);
	send_sipi(1);
	CHECK(WAIT_FOR(*arrivals == 1));
}

TEST_SMP(start_all_at_once, 2, "SDM Vol. 3A 8.4.4.1: INIT and SIPI to all excluding self")
{
	sipi_code();
	apic_send(0, ICR_ALL_BUT_SELF | ICR_INIT | ICR_ASSERT);
	pause_a_little();
	apic_send(0, ICR_ALL_BUT_SELF | ICR_STARTUP | ICR_ASSERT | SIPI_AT >> 12);
	CHECK(WAIT_FOR(*arrivals == cpu_count() - 1));
}

static void init_of_others(void *argument)
{
	ready = true;
	while (!stop)
		apic_send(cpu_apic_id(2), ICR_INIT | ICR_ASSERT);
}

TEST_SMP(init_storm, 3,
         "SDM Vol. 3A 8.4.2: a CPU in wait-for-SIPI stays there, whoever sends INITs")
{
	others(1, init_of_others);
	for (unsigned int n = 0; n < 20; n++)
		apic_send(cpu_apic_id(2), ICR_STARTUP | ICR_ASSERT | SIPI_AT >> 12);
	/* Not by an INIT: a CPU that is a thread of a busy machine might hear it late. */
	stop = true;
	wait_cpu(1);
	wake(2);
}
