/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt controllers: the local APIC in either mode, the I/O APIC, the PICs; the HPET. */
#include "guest/x86_64/machine.h"

#define X2APIC_ENABLE BIT(10)
#define APIC_ENABLE   BIT(11)
#define X2APIC_MSR    0x800u
#define MASKED        0x10000u
#define PIC1          0x20u
#define PIC2          0xa0u

static bool x2apic_mode(void)
{
	return rdmsr(MSR_APIC_BASE) & X2APIC_ENABLE;
}

bool x2apic_supported(void)
{
	return cpuid(1, 0).ecx & BIT(21);
}

void x2apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_ENABLE | X2APIC_ENABLE);
}

uint32_t apic_read(uint32_t offset)
{
	if (x2apic_mode())
		return (uint32_t)rdmsr(X2APIC_MSR + offset / 16);
	return load32(APIC_DEFAULT + offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
	if (x2apic_mode())
		wrmsr(X2APIC_MSR + offset / 16, value);
	else
		store32(APIC_DEFAULT + offset, value);
}

/* The ICR is one register in x2APIC mode (SDM Vol. 3A 10.12.9), and its delivery needs no waiting.
 */
void apic_send(uint32_t apic_id, uint32_t command)
{
	if (x2apic_mode()) {
		wrmsr(X2APIC_MSR + APIC_ICR / 16, (uint64_t)apic_id << 32 | command);
		return;
	}
	apic_write(APIC_ICR2, apic_id << 24);
	apic_write(APIC_ICR, command);
	for (unsigned int turns = 0; turns < 1000000 && apic_read(APIC_ICR) & BIT(12); turns++)
		arch_relax();
}

/* What is in service has to be ended, or nothing of its priority comes again. */
static void end_interrupts(void)
{
	for (unsigned int turns = 0; turns < 256; turns++) {
		uint32_t any = 0;

		for (unsigned int n = 0; n < 8; n++)
			any |= apic_read(APIC_ISR + 16 * n);
		if (!any)
			return;
		apic_write(APIC_EOI, 0);
	}
}

static void swallow(struct frame *frame)
{
}

/* Interrupts that a case has left pending are let in, to be forgotten. */
static void drain(void)
{
	uint32_t any = 0;

	for (unsigned int n = 0; n < 8; n++)
		any |= apic_read(APIC_IRR + 16 * n);
	if (!any)
		return;
	/* Some deliver what has the vector of an exception. */
	for (unsigned int vector = 0; vector < 256; vector++)
		if (vector != UD && vector != DF && vector != GP && vector != PF)
			handle((uint8_t)vector, swallow);
	for (unsigned int turns = 0; turns < 256; turns++) {
		sti_nop_cli();
		end_interrupts();
	}
}

void apic_init_cpu(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if ((base & 0xfffffffff000) != APIC_DEFAULT || base & X2APIC_ENABLE ||
	    !(base & APIC_ENABLE)) {
		base = (base & (BIT(8))) | APIC_DEFAULT;
		wrmsr(MSR_APIC_BASE, base);
		wrmsr(MSR_APIC_BASE, base | APIC_ENABLE);
	}
	apic_write(APIC_TIMER_INITIAL, 0);
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_TIMER, MASKED);
	apic_write(APIC_LINT0, MASKED);
	apic_write(APIC_LINT1, MASKED);
	apic_write(APIC_ERROR, MASKED);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_DFR, UINT32_MAX);
	apic_write(APIC_LDR, 0);
	apic_write(APIC_ESR, 0);
	end_interrupts();
}

void apic_reset(void)
{
	apic_init_cpu();
	drain();
}

uint32_t ioapic_read(uint8_t index)
{
	store32(IOAPIC_DEFAULT, index);
	return load32(IOAPIC_DEFAULT + 0x10);
}

void ioapic_write(uint8_t index, uint32_t value)
{
	store32(IOAPIC_DEFAULT, index);
	store32(IOAPIC_DEFAULT + 0x10, value);
}

/* ICW1 to ICW4, all masked, nothing in service or requested (8259A data sheet). The PIT's channel 0
 * is left in mode 0 without a count, in which its output stays low (8254 data sheet). */
void pic_reset(void)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} commands[] = { { PIC1, 0x11 },    { PIC1 + 1, PIC_VECTOR }, { PIC1 + 1, 4 },
		         { PIC1 + 1, 1 },   { PIC2, 0x11 },           { PIC2 + 1, PIC_VECTOR + 8 },
		         { PIC2 + 1, 2 },   { PIC2 + 1, 1 },          { PIC1 + 1, 0xff },
		         { PIC2 + 1, 0xff } };

	out8(0x43, 0x30);
	for (unsigned int n = 0; n < sizeof(commands) / sizeof(commands[0]); n++)
		out8(commands[n].port, commands[n].value);
	for (unsigned int pin = 0; pin < 24; pin++)
		ioapic_write((uint8_t)(0x10 + 2 * pin), MASKED);
}

uint64_t hpet_base(void)
{
	const uint8_t *table = acpi_table("HPET");
	uint64_t base = table ? load64((uint64_t)table + 44) : 0;

	return base < BIT(32) ? base : 0;
}

/* HPET specification 2.3: interrupts off first, flags cleared, then it counts on. */
void hpet_reset(void)
{
	uint64_t base = hpet_base();
	uint32_t timers;
	bool off;

	if (!base)
		return;
	timers = (load32(base) >> 8 & 0x1f) + 1;
	off = load32(base + 0x10) == 1;
	for (uint32_t n = 0; n < timers; n++)
		off &= !(load32(base + 0x100 + 0x20 * n) & 4); /* Tn_INT_ENB_CNF */
	if (off)
		return;
	store64(base + 0x10, 0);
	for (uint32_t n = 0; n < timers; n++)
		store64(base + 0x100 + 0x20 * n, 0);
	store64(base + 0x20, UINT32_MAX);
	store64(base + 0x10, 1);
}
