/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times what makes a guest leave guest mode. Prints "NAME TICKS" lines on its serial port: TSC
 * ticks of one operation less those of an empty one, the median of several batches. On QEMU with
 * -icount shift=0, and on Bochs with one CPU, a tick is an instruction.
 */
#include "bench/guest/bare.h"

#define APIC_SVR         UINT64_C(0xfee000f0)
#define IOAPIC_SEL       UINT64_C(0xfec00000)
#define IPI_VECTOR       0xf0
#define TIMER_VECTOR     0xf1
#define APIC_LVT_TIMER   UINT64_C(0xfee00320)
#define LVT_TSC_DEADLINE (2u << 17)
#define MSR_APIC_BASE    0x1b
#define BASE_EXTD        0x400u

operation op_nothing, op_cpuid, op_vmmcall, op_vmcall, op_rdmsr, op_port_in, op_lapic_read,
	op_ioapic_read, op_first_touch, op_self_ipi, op_self_ipi_taken, op_timer, op_x2apic_read,
	handle_ipi, handle_timer, handle_ud, handle_other;
void guest_main(const char *base);
void unexpected(void);

struct measured {
	const char name[16];
	operation *run; /* as linked */
};

static const struct measured in_xapic_mode[] = {
	{ "cpuid", op_cpuid },
	{ "vmmcall", op_vmmcall },
	{ "vmcall", op_vmcall },
	{ "rdmsr", op_rdmsr },
	{ "port-in", op_port_in },
	{ "lapic-read", op_lapic_read },
	{ "ioapic-read", op_ioapic_read },
	{ "first-touch", op_first_touch },
	{ "self-ipi-hlt", op_self_ipi },
	{ "self-ipi", op_self_ipi_taken },
	{ "timer", op_timer },
};
static const struct measured in_x2apic_mode[] = {
	{ "x2apic-read", op_x2apic_read },
};

static struct gate idt[256];
static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[4][512] __attribute__((aligned(4096)));
static uint64_t slide; /* where we run less where we were linked */

void unexpected(void)
{
	print("unexpected exception\n");
	leave(1);
}

static void load_idt(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		const void *base;
	} pointer = { sizeof(idt) - 1, idt };

	for (unsigned vector = 0; vector < 256; vector++)
		set_gate(&idt[vector], handle_other, slide);
	set_gate(&idt[6], handle_ud, slide);
	set_gate(&idt[IPI_VECTOR], handle_ipi, slide);
	set_gate(&idt[TIMER_VECTOR], handle_timer, slide);
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

static operation *relocate(operation *linked)
{
	return (operation *)((uintptr_t)linked + slide);
}

static void measure(const struct measured *operations, size_t count)
{
	uint64_t empty = time_operation(relocate(op_nothing));

	for (size_t i = 0; i < count; i++)
		report(operations[i].name,
		       share(time_operation(relocate(operations[i].run)) - empty));
}

static void enter_x2apic_mode(void)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_APIC_BASE));
	__asm__ volatile("wrmsr" : : "a"(low | BASE_EXTD), "d"(high), "c"(MSR_APIC_BASE));
}

void guest_main(const char *base)
{
	slide = (uint64_t)(uintptr_t)base - LINK_BASE;
	map_low_memory();
	load_idt();
	outb(COM_LCR, LCR_8_BITS);
	write32(APIC_SVR, 0x1ff);
	write32(IOAPIC_SEL, 1);
	write32(APIC_LVT_TIMER, LVT_TSC_DEADLINE | TIMER_VECTOR);
	measure(in_xapic_mode, sizeof(in_xapic_mode) / sizeof(in_xapic_mode[0]));
	enter_x2apic_mode();
	measure(in_x2apic_mode, sizeof(in_x2apic_mode) / sizeof(in_x2apic_mode[0]));
	leave(0);
}
