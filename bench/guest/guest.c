/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times what makes a guest leave guest mode. Prints "NAME TICKS" lines on its serial port: TSC
 * ticks of one operation less those of an empty one, the median of several batches. On QEMU with
 * -icount shift=0 a tick is an instruction.
 */
#include <stddef.h>
#include <stdint.h>

#define COM1        0x3f8
#define COM_LCR     (COM1 + 3)
#define LCR_8_BITS  3
#define COM_LSR     (COM1 + 5)
#define LSR_THRE    0x20
#define EXIT_PORT   0xf4
#define APIC_SVR    UINT64_C(0xfee000f0)
#define IOAPIC_SEL  UINT64_C(0xfec00000)
#define IPI_VECTOR  0xf0
#define BATCHES     31
#define REPETITIONS 100
#define LINK_BASE   UINT64_C(0x100000)

typedef void operation(void);
operation op_nothing, op_cpuid, op_vmmcall, op_rdmsr, op_port_in, op_lapic_read, op_ioapic_read,
	op_self_ipi, handle_ipi, handle_ud, handle_other;
void guest_main(const char *base);
void unexpected(void);

static const struct {
	const char name[16];
	operation *run; /* as linked */
} operations[] = {
	{ "cpuid", op_cpuid },           { "vmmcall", op_vmmcall },
	{ "rdmsr", op_rdmsr },           { "port-in", op_port_in },
	{ "lapic-read", op_lapic_read }, { "ioapic-read", op_ioapic_read },
	{ "self-ipi-hlt", op_self_ipi },
};

/* AMD64 interrupt gate (APM Vol. 2 figure 4-24). */
struct gate {
	uint16_t offset_low, selector, attributes, offset_mid;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "gate");

static struct gate idt[256];
static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[4][512] __attribute__((aligned(4096)));
static uint64_t slide; /* where we run less where we were linked */

static void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return ((uint64_t)high << 32) | low;
}

static void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static void print(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM_LSR) & LSR_THRE))
			;
		outb(COM1, (uint8_t)*text);
	}
}

static void print_number(uint64_t value)
{
	char text[21];
	size_t at = sizeof(text) - 1;

	text[at] = '\0';
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	print(text + at);
}

static void leave(uint8_t status)
{
	outb(EXIT_PORT, status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void unexpected(void)
{
	print("unexpected exception\n");
	leave(1);
}

static void set_gate(unsigned vector, operation *handler)
{
	uint64_t offset = (uint64_t)(uintptr_t)handler + slide;

	idt[vector] = (struct gate){ .offset_low = (uint16_t)offset,
		                     .selector = 0x18,
		                     .attributes = 0x8e00,
		                     .offset_mid = (uint16_t)(offset >> 16),
		                     .offset_high = (uint32_t)(offset >> 32) };
}

static void load_idt(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		const void *base;
	} pointer = { sizeof(idt) - 1, idt };

	for (unsigned vector = 0; vector < 256; vector++)
		set_gate(vector, handle_other);
	set_gate(6, handle_ud);
	set_gate(IPI_VECTOR, handle_ipi);
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

/* The first 4 GiB, one to one: the loader's tables need not hold the devices. */
static void map_low_memory(void)
{
	pml4[0] = (uint64_t)(uintptr_t)pdpt | 3;
	for (unsigned i = 0; i < 4; i++) {
		pdpt[i] = (uint64_t)(uintptr_t)pd[i] | 3;
		for (unsigned j = 0; j < 512; j++)
			pd[i][j] = ((uint64_t)i << 30) | ((uint64_t)j << 21) | 0x83;
	}
	__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
}

static uint64_t time_batch(operation *run)
{
	uint64_t start = rdtsc();

	for (unsigned i = 0; i < REPETITIONS; i++)
		run();
	return rdtsc() - start;
}

static uint64_t median(uint64_t *values, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = i; j > 0 && values[j] < values[j - 1]; j--) {
			uint64_t value = values[j];

			values[j] = values[j - 1];
			values[j - 1] = value;
		}
	return values[count / 2];
}

static uint64_t time_operation(operation *linked)
{
	operation *run = (operation *)((uintptr_t)linked + slide);
	uint64_t batches[BATCHES];

	for (unsigned i = 0; i < BATCHES; i++)
		batches[i] = time_batch(run);
	return median(batches, BATCHES);
}

void guest_main(const char *base)
{
	uint64_t empty;

	slide = (uint64_t)(uintptr_t)base - LINK_BASE;
	map_low_memory();
	load_idt();
	outb(COM_LCR, LCR_8_BITS);
	write32(APIC_SVR, 0x1ff);
	write32(IOAPIC_SEL, 1);
	empty = time_operation(op_nothing);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		uint64_t ticks = time_operation(operations[i].run) - empty;

		print(operations[i].name);
		print(" ");
		print_number((ticks + REPETITIONS / 2) / REPETITIONS);
		print("\n");
	}
	leave(0);
}
