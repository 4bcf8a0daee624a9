/* SPDX-License-Identifier: BSD-2-Clause */
/* Several CPUs: their start, interrupts between them, locked instructions, what they see of each
 * other's writes to page tables and code. */
#include "cases/x86_64/taken.h"
#include "guest/print.h"

#define VECTOR  0x71u
#define LOGICAL 0x800u
#define ICR_ALL 0x80000u
#define ROUNDS  2000u
#define SIPI_AT 0x2000u /* the page that the cases' own start-up code is copied to */

static volatile uint64_t word __attribute__((aligned(64)));
static volatile bool stop, ready;

static void halt_forever(void *argument)
{
	ready = true;
	for (;;)
		__asm__ volatile("sti; hlt");
}

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
		error("CPU %u does not come", n);
}

/* ---- Interrupts ---- */

static volatile unsigned int taken_by[CPUS_MAX];

static void take_by(struct frame *frame)
{
	__atomic_fetch_add(&taken_by[this_cpu()], 1, __ATOMIC_SEQ_CST);
	if (frame->vector != NMI)
		apic_write(APIC_EOI, 0);
}

static void count_by_cpu(uint8_t vector)
{
	for (unsigned int n = 0; n < CPUS_MAX; n++)
		taken_by[n] = 0;
	handle(vector, take_by);
}

TEST_SMP(ipi_fixed, 2, "SDM Vol. 3A 10.6.1: to the CPU that is addressed, once")
{
	count_by_cpu(VECTOR);
	others(1, spin_open);
	for (unsigned int n = 1; n < 20; n++) {
		apic_send(cpu_apic_id(1), ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR(taken_by[1] == n));
	}
	CHECK_EQ(taken_by[0], 0);
}

TEST_SMP(ipi_wakes_hlt, 2, "SDM Vol. 2A HLT")
{
	count_by_cpu(VECTOR);
	others(1, halt_forever);
	for (unsigned int n = 1; n < 20; n++) {
		apic_send(cpu_apic_id(1), ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR(taken_by[1] == n));
	}
}

TEST_SMP(ipi_nmi, 2, "SDM Vol. 3A 10.6.1: delivery mode NMI, the vector ignored")
{
	count_by_cpu(NMI);
	others(1, halt_forever);
	for (unsigned int n = 1; n < 10; n++) {
		apic_send(cpu_apic_id(1), ICR_NMI | ICR_ASSERT | 0x33);
		CHECK(WAIT_FOR(taken_by[1] == n));
	}
	CHECK_EQ(taken_by[0], 0);
}

TEST_SMP(ipi_all_but_self, 2, "SDM Vol. 3A 10.6.1: all excluding self")
{
	count_by_cpu(VECTOR);
	for (unsigned int n = 1; n < cpu_count(); n++)
		others(n, halt_forever);
	apic_send(0, ICR_ALL_BUT_SELF | ICR_ASSERT | VECTOR);
	for (unsigned int n = 1; n < cpu_count(); n++)
		CHECK(WAIT_FOR(taken_by[n] == 1));
	let_in();
	CHECK_EQ(taken_by[0], 0);
}

TEST_SMP(ipi_all, 2, "SDM Vol. 3A 10.6.1: all including self")
{
	count_by_cpu(VECTOR);
	for (unsigned int n = 1; n < cpu_count(); n++)
		others(n, halt_forever);
	apic_send(0, ICR_ALL | ICR_ASSERT | VECTOR);
	sti();
	for (unsigned int n = 0; n < cpu_count(); n++)
		CHECK(WAIT_FOR(taken_by[n] == 1));
	cli();
}

TEST_SMP(ipi_physical_broadcast, 2, "SDM Vol. 3A 10.6.2.1: FFH is all")
{
	count_by_cpu(VECTOR);
	others(1, halt_forever);
	apic_send(0xff, ICR_ASSERT | VECTOR);
	sti();
	for (unsigned int n = 0; n < 2; n++)
		CHECK(WAIT_FOR(taken_by[n] == 1));
	cli();
}

static void logical_2(void *argument)
{
	apic_write(APIC_LDR, 0x02000000);
	halt_forever(NULL);
}

TEST_SMP(ipi_logical, 2, "SDM Vol. 3A 10.6.2.2: to all whose LDR has a bit in common")
{
	count_by_cpu(VECTOR);
	apic_write(APIC_LDR, 0x01000000);
	others(1, logical_2);
	apic_send(0x02, LOGICAL | ICR_ASSERT | VECTOR);
	CHECK(WAIT_FOR(taken_by[1] == 1));
	let_in();
	CHECK_EQ(taken_by[0], 0);
	apic_send(0x03, LOGICAL | ICR_ASSERT | VECTOR);
	CHECK(WAIT_FOR(taken_by[1] == 2));
	sti();
	CHECK(WAIT_FOR(taken_by[0] == 1));
	cli();
}

TEST_SMP(ipi_lowest_priority, 2, "SDM Vol. 3A 10.6.2.4: to one of those addressed")
{
	count_by_cpu(VECTOR);
	apic_write(APIC_LDR, 0x01000000);
	others(1, logical_2);
	for (unsigned int n = 1; n < 10; n++) {
		apic_send(0x03, 0x100 | LOGICAL | ICR_ASSERT | VECTOR);
		sti();
		CHECK(WAIT_FOR(taken_by[0] + taken_by[1] == n));
		cli();
	}
	let_in();
	CHECK_EQ(taken_by[0] + taken_by[1], 9);
}

TEST_SMP(ipi_both_ways, 2, "SDM Vol. 3A 10.6.1: none is lost when two CPUs interrupt each other")
{
	count_by_cpu(VECTOR);
	others(1, spin_open);
	for (unsigned int n = 1; n < 200; n++) {
		apic_send(cpu_apic_id(1), ICR_ASSERT | VECTOR);
		apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
		sti();
		CHECK(WAIT_FOR(taken_by[0] == n && taken_by[1] == n));
		cli();
	}
}

/* ---- Start ---- */

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

TEST_SMP(sipi_without_init, 2, "SDM Vol. 3A 8.4.2: a CPU that does not wait for it ignores it")
{
	others(1, spin_open);
	sipi_code();
	send_sipi(1);
	pause_a_little();
	CHECK_EQ(*arrivals, 0);
	stop = true;
	wait_cpu(1);
}

static void count(void *argument)
{
	word = 0;
	ready = true;
	for (;;)
		word++;
}

TEST_SMP(init_stops, 2, "SDM Vol. 3A 8.4.2: INIT stops a CPU until SIPI")
{
	uint64_t seen;

	others(1, count);
	CHECK(WAIT_FOR(word > 100));
	send_init(1);
	pause_a_little();
	seen = word;
	pause_a_little();
	pause_a_little();
	CHECK_EQ(word, seen);
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

TEST_SMP(start_again_and_again, 2, "SDM Vol. 3A 8.4.4: INIT and SIPI as often as one likes")
{
	for (unsigned int n = 0; n < 10; n++)
		wake(1 + n % (cpu_count() - 1));
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
	for (;;)
		apic_send(cpu_apic_id(2), ICR_INIT | ICR_ASSERT);
}

TEST_SMP(init_storm, 3,
         "SDM Vol. 3A 8.4.2: a CPU in wait-for-SIPI stays there, whoever sends INITs")
{
	others(1, init_of_others);
	for (unsigned int n = 0; n < 20; n++)
		apic_send(cpu_apic_id(2), ICR_STARTUP | ICR_ASSERT | SIPI_AT >> 12);
	send_init(1);
	wake(2);
}

/* ---- Locked instructions ---- */

static uint8_t *operand;
static void (*locked)(void);

static void work(void *argument)
{
	ready = true;
	for (unsigned int n = 0; n < ROUNDS; n++)
		locked();
}

/* On two CPUs at a time, ROUNDS each. */
static void together(void (*function)(void), uint64_t offset)
{
	operand = (uint8_t *)page_alloc() + offset;
	page_alloc();
	locked = function;
	others(1, work);
	work(NULL);
	wait_cpu(1);
}

struct lock_row {
	void (*function)(void);
	uint64_t expected, offset;
};
static void atomic(const struct test_case *self)
{
	const struct lock_row *row = self->row;
	uint64_t value;

	together(row->function, row->offset);
	memcpy(&value, operand, 8);
	CHECK_EQ(value, row->expected);
}
#define ATOMIC_AT(name, at, result, text)                                                          \
	static void name##_code(void)                                                              \
	{                                                                                          \
		__asm__ volatile(text                                                              \
		                 :                                                                 \
		                 : "r"(operand)                                                    \
		                 : "rax", "rbx", "rcx", "rdx", "memory", "cc");                    \
	}                                                                                          \
	static const struct lock_row name##_row = { name##_code, result, at };                     \
	TEST_SMP_ROW(name, &name##_row)
#define TEST_SMP_ROW(case_name, row_address)                                                       \
	TEST_REGISTER("cases", case_name, .name = #case_name, .file = __FILE__,                    \
	              .reference = "SDM Vol. 3A 8.1.2.2: locked: no other CPU comes between",      \
	              .cpus = 2, .run = atomic, .row = (row_address))
#define ATOMIC(name, result, text) ATOMIC_AT(name, 0, result, text)
ATOMIC(lock_inc, 2 * ROUNDS, "lock incq (%0)");
ATOMIC(lock_dec, -(uint64_t)2 * ROUNDS, "lock decq (%0)");
ATOMIC(lock_add, 6 * ROUNDS, "lock addl $3, (%0)");
ATOMIC(lock_sub, -(uint64_t)14 * ROUNDS, "lock subq $7, (%0)");
ATOMIC(lock_adc, 4 * ROUNDS, "stc; lock adcl $1, (%0)");
ATOMIC(lock_sbb, -(uint64_t)4 * ROUNDS, "stc; lock sbbq $1, (%0)");
ATOMIC(lock_xadd, 2 * ROUNDS, "movl $1, %%eax; lock xaddl %%eax, (%0)");
ATOMIC(lock_xor, 0, "lock xorq $0x5a5a5a5, (%0)");
ATOMIC(lock_not, 0, "lock notq (%0)");
ATOMIC(lock_neg, 0, "lock negq (%0)");
ATOMIC(lock_btc, 0, "lock btcl $7, (%0); lock btcq $40, (%0)");
ATOMIC(lock_cmpxchg, 2 * ROUNDS,
       "movl (%0), %%eax; 1: leal 1(%%rax), %%edx; lock cmpxchgl %%edx, (%0); jnz 1b");
ATOMIC(lock_cmpxchg8b, 2 * ROUNDS,
       "movl (%0), %%eax; movl 4(%0), %%edx; 1: movl %%eax, %%ebx; movl %%edx, %%ecx; addl $1, "
       "%%ebx;"
       "adcl $0, %%ecx; lock cmpxchg8b (%0); jnz 1b");
ATOMIC(xchg_as_lock, 2 * ROUNDS,
       "1: movl $1, %%eax; xchgl %%eax, 8(%0); testl %%eax, %%eax; jz 2f; pause; jmp 1b; 2:"
       "incq (%0); movl $0, 8(%0)");
ATOMIC(lock_bts_as_lock, 2 * ROUNDS,
       "1: lock btsl $5, 8(%0); jnc 2f; pause; jmp 1b; 2: incq (%0); movl $0, 8(%0)");
ATOMIC(lock_inc_8, 2 * ROUNDS & 0xff, "lock incb (%0)");
ATOMIC(lock_inc_16, 2 * ROUNDS & 0xffff, "lock incw (%0)");
ATOMIC_AT(lock_unaligned, 3, 2 * ROUNDS, "lock incq (%0)");
ATOMIC_AT(lock_across_lines, 61, 2 * ROUNDS, "lock incq (%0)");
ATOMIC_AT(lock_across_pages, PAGE - 3, 2 * ROUNDS, "lock incq (%0)");

/* ---- Page tables and code ---- */

static uint64_t *entry;
static volatile unsigned int flushed;

static void flush_there(struct frame *frame)
{
	invlpg(FREE_SPACE);
	apic_write(APIC_EOI, 0);
	flushed++;
}

static void read_there(void *argument)
{
	ready = true;
	sti();
	while (!stop)
		word = load64(FREE_SPACE);
	cli();
}

TEST_SMP(shootdown, 2, "SDM Vol. 3A 4.10.5: after INVLPG there, a CPU uses the new entry")
{
	uint64_t *pages[2] = { page_alloc(), page_alloc() };

	*pages[0] = 1000;
	*pages[1] = 1001;
	flushed = 0;
	handle(VECTOR, flush_there);
	entry = page_map(FREE_SPACE, (uint64_t)pages[0], PTE_P | PTE_W, 1);
	others(1, read_there);
	for (unsigned int n = 1; n < 40; n++) {
		page_set(entry, (uint64_t)pages[n % 2] | PTE_P | PTE_W, FREE_SPACE);
		apic_send(cpu_apic_id(1), ICR_ASSERT | VECTOR);
		CHECK(WAIT_FOR(flushed == n));
		CHECK(WAIT_FOR(word == 1000 + n % 2));
		for (unsigned int turns = 0; turns < 200; turns++)
			CHECK_EQ(word, 1000 + n % 2);
	}
}

static uint8_t *code;
static volatile unsigned int turn;

static void call_code(void *argument)
{
	ready = true;
	while (!stop) {
		uint32_t result;

		__asm__ volatile("cpuid" : "=a"(result) : "a"(0) : "rbx", "rcx", "rdx", "memory");
		__asm__ volatile("callq *%1" : "=a"(result) : "r"(code) : "memory");
		word = result;
		turn++;
	}
}

TEST_SMP(cross_modifying_code, 2,
         "SDM Vol. 3A 8.1.3: after a serialising instruction the new code runs")
{
	unsigned int seen;

	code = page_alloc();
	code[0] = 0xb8; /* mov $imm32, %eax; ret */
	code[5] = 0xc3;
	others(1, call_code);
	for (uint32_t n = 1; n < 20; n++) {
		__atomic_store_n((uint32_t *)(code + 1), n, __ATOMIC_SEQ_CST);
		seen = turn;
		CHECK(WAIT_FOR(turn - seen >= 2));
		CHECK_EQ(word, n);
	}
	stop = true;
}

/* ---- State that belongs to a CPU ---- */

static uint64_t pattern_of(unsigned int cpu, unsigned int n)
{
	return (uint64_t)(cpu + 1) * UINT64_C(0x0101010101010101) + n * UINT64_C(0x1000000010000);
}

static void fpu_work(void *argument)
{
	unsigned int cpu = this_cpu();

	ready = true;
	for (unsigned int n = 0; n < 500; n++) {
		uint64_t in = pattern_of(cpu, n), low, high, x87;
		uint16_t cw = (uint16_t)(0x37f | (cpu & 3) << 10), cw_now;

		__asm__ volatile("movq %0, %%xmm4; movq %0, %%xmm13; fninit; fldcw %2; fildll %1"
		                 :
		                 : "r"(in), "m"(in), "m"(cw));
		in8(0x61); /* an exit, on a hypervisor */
		__asm__ volatile("pause");
		__asm__ volatile("movq %%xmm4, %0; movq %%xmm13, %1; fnstcw %3; fistpll %2"
		                 : "=r"(low), "=r"(high), "=m"(x87), "=m"(cw_now)
		                 :
		                 : "memory");
		CHECK_EQ(low, in);
		CHECK_EQ(high, in);
		CHECK_EQ(cw_now, cw);
		CHECK_EQ(x87, in);
	}
}

TEST_SMP(vector_state_is_separate, 2, "SDM Vol. 3A 8.7.1: each CPU has its own")
{
	for (unsigned int n = 1; n < cpu_count(); n++)
		others(n, fpu_work);
	fpu_work(NULL);
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
}

static void registers_work(void *argument)
{
	unsigned int cpu = this_cpu();

	ready = true;
	for (unsigned int n = 0; n < 100; n++) {
		wrmsr(MSR_KERNEL_GS_BASE, pattern_of(cpu, 0) & 0xffffffffff);
		wrmsr(MSR_STAR, pattern_of(cpu, 1));
		write_dr0(pattern_of(cpu, 2) & 0xffffff);
		write_cr2(pattern_of(cpu, 3));
		apic_write(APIC_TPR, (cpu + 1) << 4);
		in8(0x61);
		CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), pattern_of(cpu, 0) & 0xffffffffff);
		CHECK_EQ(rdmsr(MSR_STAR), pattern_of(cpu, 1));
		CHECK_EQ(read_dr0(), pattern_of(cpu, 2) & 0xffffff);
		CHECK_EQ(read_cr2(), pattern_of(cpu, 3));
		CHECK_EQ(read_cr8(), cpu + 1);
	}
}

TEST_SMP(system_registers_are_separate, 2,
         "SDM Vol. 3A 8.7.2, 8.7.3: MSRs, debug and control registers")
{
	for (unsigned int n = 1; n < cpu_count(); n++)
		others(n, registers_work);
	registers_work(NULL);
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
}

static void touch(void *argument)
{
	ready = true;
	while (!stop)
		;
	for (uint64_t at = 0x4000000; at < 0x5000000; at += PAGE)
		__atomic_fetch_add((uint64_t *)at, 1, __ATOMIC_SEQ_CST);
}

TEST_SMP(first_touch_together, 2,
         "SDM Vol. 3A 8.1.2: memory that several CPUs use for the first time at once")
{
	others(1, touch);
	for (uint64_t at = 0x4000000; at < 0x5000000; at += PAGE)
		if (load64(at))
			store64(at, 0);
	for (uint64_t at = 0x5000000; at < 0x5010000; at += PAGE)
		store64(at, 0);
	stop = true;
	touch(NULL);
	wait_cpu(1);
	for (uint64_t at = 0x4000000; at < 0x5000000; at += PAGE)
		CHECK_EQ(load64(at), 2);
}
