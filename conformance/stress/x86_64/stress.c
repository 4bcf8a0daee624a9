/* SPDX-License-Identifier: BSD-2-Clause */
/* What a kernel may do to a processor and to a PC. */
#include "stress/common/stress.h"
#include "guest/x86_64/feature.h"

#define IPI_VECTOR 0x71u
#define OWN_VECTOR 0x82u
#define TIMER      0x93u

static void interrupted(struct frame *frame)
{
	struct stress_cpu *cpu = &stress_cpus[this_cpu()];

	switch (frame->vector) {
	case IPI_VECTOR: cpu->ipis++; break;
	case OWN_VECTOR: cpu->own++; break;
	default: cpu->timers++; break;
	}
	apic_write(APIC_EOI, 0);
}

/* ---- What a CPU may do ---- */

static void ports(struct stress_cpu *cpu)
{
	static const uint16_t readable[] = { 0x20, 0x21, 0x40, 0x42,  0x61,  0x64,  0x70,  0x71,
		                             0xa0, 0xa1, 0xe9, 0x3fd, 0x4d0, 0x4d1, 0xcf8, 0x5555 };
	uint64_t random = stress_next(cpu);

	switch (random >> 8 & 3) {
	case 0: in8(readable[random & 15]); break;
	case 1: in16(0x5550); break;
	case 2: in32(0x5554); break;
	default: out8(0x80, (uint8_t)random); break;
	}
}

static void msrs(struct stress_cpu *cpu)
{
	static const uint32_t kept[] = { MSR_STAR, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_LSTAR };
	uint64_t random = stress_next(cpu);
	uint32_t msr = kept[random & 3];

	wrmsr(msr, random >> 20);
	CHECK_EQ(rdmsr(msr), random >> 20);
	FAULT_OF(rdmsr((uint32_t)stress_next(cpu)));
	FAULT_OF(rdmsr((uint32_t)stress_next(cpu) & 0xfff));
}

static void control(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), cr0 = read_cr0(), cr4 = read_cr4();

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

static void identify(struct stress_cpu *cpu)
{
	struct cpuid vendor = cpuid(0, 0);

	cpuid((uint32_t)stress_next(cpu), (uint32_t)stress_next(cpu));
	cpuid((uint32_t)stress_next(cpu) & 0x1f, (uint32_t)stress_next(cpu) & 3);
	CHECK_EQ(cpuid(0, 0).ebx, vendor.ebx);
}

static void devices(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu);

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

static void paging(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), at = cpu->space + (random >> 8 & 0xff8);
	bool present = random & 1, writable = random & 2;
	struct fault got;

	page_set(page_entry(kernel_pml4, 4, cpu->space, 1),
	         cpu->page | (present ? PTE_P : 0) | (writable ? PTE_W : 0), cpu->space);
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

static void exceptions(struct stress_cpu *cpu)
{
	struct fault got;

	fault_expect();
	if (stress_next(cpu) & 16)
		__asm__ volatile(TRY("ud2"));
	else
		__asm__ volatile(TRY("divl %0") : : "r"(0), "a"(1), "d"(0) : "cc");
	got = fault_end();
	CHECK(got.vector == UD || got.vector == DE);
	CHECK_FAULT(GP, 0, load64(BIT(60) | stress_next(cpu) >> 8));
}

void stress_let_in(void)
{
	for (unsigned int n = 0; n < 20; n++)
		sti_nop_cli();
}

static void interrupts(struct stress_cpu *cpu)
{
	if (stress_next(cpu) & 1) {
		apic_send(cpu_apic_id(stress_other(cpu)), ICR_ASSERT | IPI_VECTOR);
		stress_let_in();
		return;
	}
	cpu->own_sent++;
	apic_send(0, ICR_SELF | ICR_ASSERT | OWN_VECTOR);
	sti();
	CHECK(WAIT_FOR(cpu->own == cpu->own_sent));
	cli();
}

static void sleep(struct stress_cpu *cpu)
{
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, TIMER);
	cpu->timers_sent++;
	apic_write(APIC_TIMER_INITIAL, 1000 + (uint32_t)(stress_next(cpu) & 0xffff));
	while (cpu->timers != cpu->timers_sent) /* an IPI may wake it, too */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void own_code(struct stress_cpu *cpu)
{
	uint32_t value = (uint32_t)stress_next(cpu), result;
	uint64_t at = (uint64_t)cpu->code + (stress_next(cpu) & 0xfe0);

	store8(at, 0xb8); /* mov $value, %eax; ret */
	store32(at + 1, value);
	store8(at + 5, 0xc3);
	__asm__ volatile("callq *%1" : "=a"(result) : "r"(at) : "memory");
	CHECK_EQ(result, value);
}

static void vectors(struct stress_cpu *cpu)
{
	uint64_t in = stress_next(cpu), first, second;

	__asm__ volatile("movq %0, %%xmm3; movq %0, %%xmm12" : : "r"(in));
	ports(cpu);
	stress_let_in();
	__asm__ volatile("movq %%xmm3, %0; movq %%xmm12, %1" : "=r"(first), "=r"(second));
	CHECK_EQ(first, in);
	CHECK_EQ(second, in);
}

void (*const stress_acts[STRESS_ACTS])(struct stress_cpu *) = {
	ports,        msrs,          control, identify,  devices, paging,
	exceptions,   interrupts,    sleep,   own_code,  vectors, stress_memory,
	stress_clock, stress_memory, paging,  interrupts
};

/* ---- What the common part asks for ---- */

void stress_prepare(struct stress_cpu *cpu, unsigned int n)
{
	cpu->space = FREE_SPACE + n * PAGE_2M;
	cpu->page = (uint64_t)page_alloc();
	cpu->code = page_alloc();
	page_entry(kernel_pml4, 4, cpu->space, 1);
}

void stress_begin(void)
{
	handle(IPI_VECTOR, interrupted);
	handle(OWN_VECTOR, interrupted);
	handle(TIMER, interrupted);
}

void stress_enter(void)
{
}

void stress_copy(void *to, const void *from, uint64_t bytes)
{
	uint64_t rsi = (uint64_t)from, rdi = (uint64_t)to, rcx = bytes;

	__asm__ volatile("rep movsb" : "+S"(rsi), "+D"(rdi), "+c"(rcx) : : "memory");
	CHECK_EQ(rsi - (uint64_t)from, bytes);
	CHECK_EQ(rcx, 0);
}

void stress_check(void)
{
}
