/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest of ./dev bench emu: times loops that stand for what guests do. For each it prints
 *
 *   start NAME
 *   NAME TIMES INSTRUCTIONS-OF-TEN-TIMES TICKS
 *
 * the second line after running the loop for about TICKS_WANTED of the TSC (CMakeLists.txt).
 * Whoever reads that has a clock of his own: what the TSC is worth is his to judge.
 */
#include "bench/guest/bare.h"

#define TIMES_MIN     UINT64_C(1000)
#define MSR_EFER      0xc0000080
#define MSR_STAR      0xc0000081
#define MSR_LSTAR     0xc0000082
#define MSR_FMASK     0xc0000084
#define STAR          (UINT64_C(0x1b) << 48 | UINT64_C(0x18) << 32)
#define FAULT_ADDRESS UINT64_C(0x100000000) /* the first that map_memory() leaves out */
#define VECTOR_PF     14

typedef void kernel(uint64_t n);
typedef void handler(void);
kernel run_integer, run_branches, run_multiply, run_loads, run_stores, run_pages, run_strings,
	run_calls, run_indirect, run_double, run_sse, run_avx, run_atomics, run_rewrites,
	run_syscalls, run_faults, run_ports, run_mmio, run_cpuid;
handler handle_fault, handle_other, handle_syscall;
extern uint64_t fault_entry, fault_address;
void guest_main(const char *base);
void unexpected(void);

enum need { NOTHING, AVX };

/* Addresses in these tables are as linked. */
static const struct {
	const char name[12];
	kernel *run;
	unsigned instructions; /* of ten times */
	enum need need;
} kernels[] = {
	{ "integer", run_integer, 100, NOTHING },  { "branches", run_branches, 85, NOTHING },
	{ "multiply", run_multiply, 80, NOTHING }, { "loads", run_loads, 90, NOTHING },
	{ "stores", run_stores, 90, NOTHING },     { "pages", run_pages, 80, NOTHING },
	{ "strings", run_strings, 80, NOTHING },   { "calls", run_calls, 90, NOTHING },
	{ "indirect", run_indirect, 90, NOTHING }, { "double", run_double, 80, NOTHING },
	{ "sse", run_sse, 100, NOTHING },          { "avx", run_avx, 100, AVX },
	{ "atomics", run_atomics, 50, NOTHING },   { "rewrites", run_rewrites, 60, NOTHING },
	{ "syscalls", run_syscalls, 70, NOTHING }, { "faults", run_faults, 110, NOTHING },
	{ "ports", run_ports, 30, NOTHING },       { "mmio", run_mmio, 30, NOTHING },
	{ "cpuid", run_cpuid, 40, NOTHING },
};
static handler *const handlers[] = { handle_other, handle_fault, handle_syscall };

static struct gate idt[256];
static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[5][512] __attribute__((aligned(4096)));
static uint64_t pt[512] __attribute__((aligned(4096)));
static uint64_t slide; /* where we run less where we were linked */

void unexpected(void)
{
	print("unexpected exception\n");
	leave(1);
}

static void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return ((uint64_t)high << 32) | low;
}

static uint32_t cpuid_ecx(uint32_t leaf)
{
	uint32_t a = leaf, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return c;
}

static void load_idt(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		const void *base;
	} pointer = { sizeof(idt) - 1, idt };

	for (unsigned vector = 0; vector < 256; vector++)
		set_gate(&idt[vector], handlers[vector == VECTOR_PF], slide);
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

/* The first 4 GiB, one to one, for user mode too; and one page table beyond. */
static void map_memory(void)
{
	pml4[0] = (uint64_t)(uintptr_t)pdpt | 7;
	for (unsigned i = 0; i < 5; i++)
		pdpt[i] = (uint64_t)(uintptr_t)pd[i] | 7;
	for (unsigned i = 0; i < 4 * 512; i++)
		pd[i / 512][i % 512] = (uint64_t)i << 21 | 0x87;
	pd[4][0] = (uint64_t)(uintptr_t)pt | 7;
	fault_entry = (uint64_t)(uintptr_t)&pt[0];
	fault_address = FAULT_ADDRESS;
	__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
}

static void enable_syscalls(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
	wrmsr(MSR_STAR, STAR);
	wrmsr(MSR_LSTAR, (uint64_t)(uintptr_t)handlers[2] + slide);
	wrmsr(MSR_FMASK, 0x700);
}

/* true: AVX is there, too. */
static bool enable_vectors(void)
{
	const uint32_t wanted = 1u << 26 | 1u << 28; /* XSAVE, AVX */
	bool avx = (cpuid_ecx(1) & wanted) == wanted;
	uint64_t cr0, cr4;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %0, %%cr0" : : "r"((cr0 & ~UINT64_C(0xc)) | 2));
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= UINT64_C(0x600) | (avx ? UINT64_C(1) << 18 : 0);
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
	if (avx)
		__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	return avx;
}

static uint64_t time_kernel(kernel *run, uint64_t n)
{
	uint64_t start = counter();

	run(n);
	return counter() - start;
}

static void print_result(const char *name, uint64_t n, unsigned instructions, uint64_t ticks)
{
	const uint64_t numbers[] = { n, instructions, ticks };

	print(name);
	for (unsigned i = 0; i < 3; i++) {
		print(" ");
		print_number(numbers[i]);
	}
	print("\n");
}

/* As many times as take long enough, found by doubling. */
static void measure(unsigned i)
{
	kernel *run = (kernel *)((uintptr_t)kernels[i].run + slide);
	uint64_t n = TIMES_MIN, ticks;

	while ((ticks = time_kernel(run, n)) < TICKS_WANTED / 16)
		n *= 2;
	n = n * 16;
	while (ticks > TICKS_WANTED / 8) {
		n /= 2;
		ticks /= 2;
	}
	print("start ");
	print(kernels[i].name);
	print("\n");
	ticks = time_kernel(run, n);
	print_result(kernels[i].name, n, kernels[i].instructions, ticks);
}

void guest_main(const char *base)
{
	bool avx;

	slide = (uint64_t)(uintptr_t)base - LINK_BASE;
	map_memory();
	load_idt();
	enable_syscalls();
	avx = enable_vectors();
	outb(COM_LCR, LCR_8_BITS);
	write32(UINT64_C(0xfee000f0), 0x1ff); /* SVR: the local APIC is on */
	for (unsigned i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		if (kernels[i].need == NOTHING || avx)
			measure(i);
	print("done\n");
	while (!(inb(COM_LSR) & LSR_TEMT))
		;
	leave(0);
}
