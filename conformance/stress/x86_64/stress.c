/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random things on all CPUs at once, from a seed: whatever a kernel may do to a processor and to a
 * PC, with an outcome that is known beforehand. Eight phases share the time given:
 * "seed=N time=SECONDS" on the command line.
 */
#include "guest/arch.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#define PHASES     8u
#define IPI_VECTOR 0x71u
#define OWN_VECTOR 0x82u
#define TIMER      0x93u
#define AREA_BYTES 0x8000u
#define REFERENCE  "SDM Vol. 3A 8.1, 8.7: a CPU's state is its own, memory holds what was written"

struct cpu {
	uint64_t random;
	volatile uint64_t rounds, ipis, own, timers;
	uint64_t own_sent, timers_sent, tsc;
	uint8_t seed;    /* of the area's pattern */
	uint64_t *entry; /* maps space */
	uint64_t space;  /* linear, of this CPU only */
	uint64_t page;   /* physical, of this CPU only */
	uint8_t *code;   /* a page for code */
	uint8_t *area;
};
static struct cpu cpus[CPUS_MAX];
static uint8_t areas[CPUS_MAX][AREA_BYTES] __attribute__((aligned(4096)));
static volatile bool stop;
static volatile uint64_t ipis_sent[CPUS_MAX];

static uint64_t next(struct cpu *cpu)
{
	cpu->random ^= cpu->random << 13;
	cpu->random ^= cpu->random >> 7;
	cpu->random ^= cpu->random << 17;
	return cpu->random;
}

static void interrupted(struct frame *frame)
{
	struct cpu *cpu = &cpus[this_cpu()];

	switch (frame->vector) {
	case IPI_VECTOR: cpu->ipis++; break;
	case OWN_VECTOR: cpu->own++; break;
	default: cpu->timers++; break;
	}
	apic_write(APIC_EOI, 0);
}

/* ---- What a CPU may do ---- */

static void ports(struct cpu *cpu)
{
	static const uint16_t readable[] = { 0x20, 0x21, 0x40, 0x42,  0x61,  0x64,  0x70,  0x71,
		                             0xa0, 0xa1, 0xe9, 0x3fd, 0x4d0, 0x4d1, 0xcf8, 0x5555 };
	uint64_t random = next(cpu);

	switch (random >> 8 & 3) {
	case 0: in8(readable[random & 15]); break;
	case 1: in16(0x5550); break;
	case 2: in32(0x5554); break;
	default: out8(0x80, (uint8_t)random); break;
	}
}

static void msrs(struct cpu *cpu)
{
	static const uint32_t kept[] = { MSR_STAR, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_LSTAR };
	uint64_t random = next(cpu);
	uint32_t msr = kept[random & 3];

	wrmsr(msr, random >> 20);
	CHECK_EQ(rdmsr(msr), random >> 20);
	FAULT_OF(rdmsr((uint32_t)next(cpu)));
	FAULT_OF(rdmsr((uint32_t)next(cpu) & 0xfff));
}

static void control(struct cpu *cpu)
{
	uint64_t random = next(cpu), cr0 = read_cr0(), cr4 = read_cr4();

	write_cr0(cr0 ^ (random & (CR0_WP | CR0_AM | CR0_TS | CR0_MP)));
	write_cr0(cr0);
	write_cr4(cr4 ^ (random & (CR4_PGE | CR4_TSD | CR4_DE | CR4_PCE)));
	CHECK_EQ(read_cr4(), cr4 ^ (random & (CR4_PGE | CR4_TSD | CR4_DE | CR4_PCE)));
	write_cr4(cr4);
	write_cr3(read_cr3());
	write_cr8(random & 15);
	CHECK_EQ(read_cr8(), random & 15);
	write_cr8(0);
	CHECK_EQ(read_cr0(), cr0);
}

static void identify(struct cpu *cpu)
{
	struct cpuid vendor = cpuid(0, 0);

	cpuid((uint32_t)next(cpu), (uint32_t)next(cpu));
	cpuid((uint32_t)next(cpu) & 0x1f, (uint32_t)next(cpu) & 3);
	CHECK_EQ(cpuid(0, 0).ebx, vendor.ebx);
}

static void devices(struct cpu *cpu)
{
	uint64_t random = next(cpu);

	switch (random & 3) {
	case 0:
		apic_write(APIC_TPR, random >> 8 & 0xff);
		CHECK_EQ(apic_read(APIC_TPR), random >> 8 & 0xff);
		apic_write(APIC_TPR, 0);
		break;
	case 1: load32(IOAPIC_DEFAULT + 0x10); break;
	case 2: load32(0xe7654000 + (random >> 8 & 0xffc)); break;
	default: store32(0xe7654000 + (random >> 8 & 0xffc), (uint32_t)random); break;
	}
}

static void paging(struct cpu *cpu)
{
	uint64_t random = next(cpu), at = cpu->space + (random >> 8 & 0xff8);
	bool present = random & 1, writable = random & 2;
	struct fault got;

	page_set(cpu->entry, cpu->page | (present ? PTE_P : 0) | (writable ? PTE_W : 0),
	         cpu->space);
	got = FAULT_OF(store64(at, random));
	if (present && writable) {
		CHECK_EQ(got.vector, FAULT_NONE);
		CHECK_EQ(load64(at), random);
		CHECK_EQ(load64(cpu->page + (at & 0xfff)), random);
	} else {
		check_fault(HERE, "store", got, PF, PF_W | (present ? PF_P : 0));
		CHECK_EQ(got.address, at);
	}
}

static void exceptions(struct cpu *cpu)
{
	struct fault got;

	fault_expect();
	if (next(cpu) & 16)
		__asm__ volatile(TRY("ud2"));
	else
		__asm__ volatile(TRY("divl %0") : : "r"(0), "a"(1), "d"(0) : "cc");
	got = fault_end();
	CHECK(got.vector == UD || got.vector == DE);
	CHECK_FAULT(GP, 0, load64(BIT(60) | next(cpu) >> 8));
}

static void let_in(void)
{
	for (unsigned int n = 0; n < 20; n++)
		sti_nop_cli();
}

static void interrupts(struct cpu *cpu)
{
	uint64_t random = next(cpu);
	unsigned int other = (unsigned int)(random >> 8) % cpu_count();

	if (random & 1) {
		__atomic_fetch_add(&ipis_sent[other], 1, __ATOMIC_SEQ_CST);
		apic_send(cpu_apic_id(other), ICR_ASSERT | IPI_VECTOR);
		let_in();
		return;
	}
	cpu->own_sent++;
	apic_send(0, ICR_SELF | ICR_ASSERT | OWN_VECTOR);
	sti();
	CHECK(WAIT_FOR(cpu->own == cpu->own_sent));
	cli();
}

static void sleep(struct cpu *cpu)
{
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, TIMER);
	cpu->timers_sent++;
	apic_write(APIC_TIMER_INITIAL, 1000 + (uint32_t)(next(cpu) & 0xffff));
	while (cpu->timers != cpu->timers_sent) /* an IPI may wake it, too */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void own_code(struct cpu *cpu)
{
	uint32_t value = (uint32_t)next(cpu), result;
	uint64_t at = (uint64_t)cpu->code + (next(cpu) & 0xfe0);

	store8(at, 0xb8); /* mov $value, %eax; ret */
	store32(at + 1, value);
	store8(at + 5, 0xc3);
	__asm__ volatile("callq *%1" : "=a"(result) : "r"(at) : "memory");
	CHECK_EQ(result, value);
}

static void vectors(struct cpu *cpu)
{
	uint64_t in = next(cpu), first, second;

	__asm__ volatile("movq %0, %%xmm3; movq %0, %%xmm12" : : "r"(in));
	ports(cpu);
	let_in();
	__asm__ volatile("movq %%xmm3, %0; movq %%xmm12, %1" : "=r"(first), "=r"(second));
	CHECK_EQ(first, in);
	CHECK_EQ(second, in);
}

/* The area holds a pattern, of which a part is checked and given a new place each time. */
static uint8_t pattern(const struct cpu *cpu, uint64_t n)
{
	return (uint8_t)(cpu->seed + n * 7 + (n >> 8) * 13);
}

static void memory(struct cpu *cpu)
{
	uint64_t from = next(cpu) % (AREA_BYTES - 512), to = from;
	static uint8_t copies[CPUS_MAX][512];
	uint8_t *copy = copies[cpu - cpus];
	uint64_t rsi = (uint64_t)cpu->area + from, rdi = (uint64_t)copy, rcx = next(cpu) % 512;
	uint64_t count = rcx;

	__asm__ volatile("rep movsb" : "+S"(rsi), "+D"(rdi), "+c"(rcx) : : "memory");
	CHECK_EQ(rsi - (uint64_t)cpu->area, from + count);
	for (uint64_t n = 0; n < count; n++)
		CHECK_EQ(copy[n], pattern(cpu, from + n));
	memcpy(cpu->area + to, copy, count);
}

static void clock(struct cpu *cpu)
{
	uint64_t now = rdtsc();

	CHECK(now >= cpu->tsc);
	cpu->tsc = now;
}

static void (*const acts[16])(struct cpu *) = { ports,   msrs,     control,    identify,
	                                        devices, paging,   exceptions, interrupts,
	                                        sleep,   own_code, vectors,    memory,
	                                        clock,   memory,   paging,     interrupts };

/* ---- Phases ---- */

static void work(void *argument)
{
	struct cpu *cpu = &cpus[this_cpu()];

	while (!stop) {
		acts[next(cpu) >> 30 & 15](cpu);
		cpu->rounds++;
	}
}

static void prepare(unsigned int n, uint64_t seed)
{
	struct cpu *cpu = &cpus[n];

	*cpu = (struct cpu){ .random = (seed + n + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1,
		             .seed = (uint8_t)(seed * 31 + n),
		             .space = FREE_SPACE + n * PAGE_2M,
		             .page = (uint64_t)page_alloc(),
		             .code = page_alloc(),
		             .area = areas[n] };
	cpu->entry = page_entry(kernel_pml4, 4, cpu->space, 1);
	ipis_sent[n] = 0;
	for (uint64_t at = 0; at < AREA_BYTES; at++)
		cpu->area[at] = pattern(cpu, at);
}

static void check(unsigned int n)
{
	struct cpu *cpu = &cpus[n];

	CHECK(cpu->rounds > 0);
	CHECK_EQ(cpu->own, cpu->own_sent);
	CHECK_EQ(cpu->timers, cpu->timers_sent);
	CHECK(cpu->ipis <= ipis_sent[n]);
	for (uint64_t at = 0; at < AREA_BYTES; at++)
		CHECK_EQ(cpu->area[at], pattern(cpu, at));
}

static void phase(const struct test_case *self)
{
	uint64_t seed = option_number("seed", 1) * PHASES + (uint64_t)self->row, rounds = 0;
	unsigned int seconds = (unsigned int)option_number("time", PHASES);
	struct limit limit;

	stop = false;
	handle(IPI_VECTOR, interrupted);
	handle(OWN_VECTOR, interrupted);
	handle(TIMER, interrupted);
	for (unsigned int n = 0; n < cpu_count(); n++)
		prepare(n, seed);
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, work, NULL);
	limit = limit_of(seconds * 1000 / PHASES);
	while (!limit_passed(&limit)) {
		acts[next(&cpus[0]) >> 30 & 15](&cpus[0]);
		cpus[0].rounds++;
	}
	stop = true;
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
	let_in();
	for (unsigned int n = 0; n < cpu_count(); n++) {
		check(n);
		rounds += cpus[n].rounds;
	}
	note("seed %lu: %lu rounds on %u CPUs", seed, rounds, cpu_count());
}

#define PHASE(n)                                                                                   \
	TEST_REGISTER("cases", phase_##n, .name = "phase_" #n, .file = __FILE__,                   \
	              .reference = REFERENCE, .cpus = 1, .run = phase, .row = (const void *)(n))
PHASE(1);
PHASE(2);
PHASE(3);
PHASE(4);
PHASE(5);
PHASE(6);
PHASE(7);
PHASE(8);
