/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/apic.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/paging.h"
#include "platform/board/x86_64/trap.h"

/* SDM Vol. 3A table 10-1: offsets / 16; x2APIC: MSR 0x800 + number (table 10-6). */
enum apic_reg {
	APIC_ID = 0x02,
	APIC_VERSION = 0x03,
	APIC_TPR = 0x08,
	APIC_EOI = 0x0b,
	APIC_SVR = 0x0f,
	APIC_ESR = 0x28,
	APIC_ICR = 0x30,
	APIC_ICR_HIGH = 0x31,
	APIC_LVT_TIMER = 0x32,
	APIC_LVT_THERMAL = 0x33,
	APIC_LVT_PERF = 0x34,
	APIC_LVT_LINT0 = 0x35,
	APIC_LVT_LINT1 = 0x36,
	APIC_LVT_ERROR = 0x37,
	APIC_TIMER_INITIAL = 0x38,
	APIC_TIMER_CURRENT = 0x39,
	APIC_TIMER_DIVIDE = 0x3e
};

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC       0x800
#define BASE_ENABLE      HC_BIT(11)
#define BASE_X2APIC      HC_BIT(10)
#define BASE_ADDRESS     UINT64_C(0x000ffffffffff000)

#define SVR_ENABLE       0x100
#define LVT_MASKED       0x10000
#define LVT_NMI          0x400
#define LVT_PERIODIC     0x20000
#define LVT_TSC_DEADLINE 0x40000
#define DIVIDE_BY_1      0xb

/* Figure 10-12: delivery modes, level, destination shorthand. */
#define ICR_FIXED      0x000
#define ICR_NMI        0x400
#define ICR_INIT       0x500
#define ICR_STARTUP    0x600
#define ICR_PENDING    0x1000
#define ICR_ASSERT     0x4000
#define ICR_ALL_OTHERS 0xc0000

static bool x2apic;
static bool tsc_deadline;
static volatile uint32_t *mmio;

static volatile uint32_t *xapic_reg(enum apic_reg reg)
{
	return &mmio[(size_t)reg * 4];
}

static uint32_t apic_read(enum apic_reg reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg) : *xapic_reg(reg);
}

static void apic_write(enum apic_reg reg, uint32_t v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + reg, v);
	else
		*xapic_reg(reg) = v;
}

static void write_icr(uint32_t id, uint32_t low)
{
	if (x2apic) {
		/* 10.12.3: a WRMSR here does not wait for earlier stores by itself. */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)id << 32 | low);
		return;
	}
	while (*xapic_reg(APIC_ICR) & ICR_PENDING)
		cpu_pause();
	*xapic_reg(APIC_ICR_HIGH) = id << 24;
	*xapic_reg(APIC_ICR) = low;
}

/* 8259A data sheet, ICW1-4: vectors out of the way of exceptions, and every input masked. */
static void pic_silence(void)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} init[] = {
		{ 0x20, 0x11 },       { 0xa0, 0x11 },           /* ICW1: edge, cascade, ICW4 */
		{ 0x21, VECTOR_PIC }, { 0xa1, VECTOR_PIC + 8 }, /* ICW2 */
		{ 0x21, 0x04 },       { 0xa1, 0x02 },           /* ICW3 */
		{ 0x21, 0x01 },       { 0xa1, 0x01 },           /* ICW4: 8086 mode */
		{ 0x21, 0xff },       { 0xa1, 0xff },           /* OCW1 */
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(init); i++)
		outb(init[i].port, init[i].value);
}

int apic_init(void)
{
	struct cpuid f1 = cpuid(1, 0);
	uint64_t base;

	if (!(f1.edx & HC_BIT(9)))
		return hc_error(-ENODEV, "the CPU has no local APIC");
	pic_silence();
	base = rdmsr(MSR_APIC_BASE);
	x2apic = f1.ecx & HC_BIT(21);
	tsc_deadline = f1.ecx & HC_BIT(24);
	if (x2apic)
		return 0;
	mmio = paging_window(hpa_of(base & BASE_ADDRESS), HC_PAGE_SIZE, PAGING_UNCACHED);
	return mmio ? 0 : hc_error(-ENOMEM, "no memory to map the local APIC");
}

void apic_init_cpu(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) | BASE_ENABLE;

	/* 10.12.5: disabled -> xAPIC -> x2APIC, one step at a time. */
	wrmsr(MSR_APIC_BASE, base);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | BASE_X2APIC);
	apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_NMI);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	if ((apic_read(APIC_VERSION) >> 16 & 0xff) >= 4)
		apic_write(APIC_LVT_PERF, LVT_MASKED);
	/* What the firmware left in service would block lower vectors. */
	for (unsigned i = 0; i < 8; i++)
		apic_eoi();
}

uint32_t apic_id(void)
{
	return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

const char *apic_mode(void)
{
	return x2apic ? "x2APIC" : "xAPIC";
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_send_ipi(uint32_t id, uint8_t vector)
{
	write_icr(id, ICR_FIXED | ICR_ASSERT | vector);
}

void apic_send_init(uint32_t id)
{
	write_icr(id, ICR_INIT | ICR_ASSERT);
}

void apic_send_startup(uint32_t id, uint8_t page)
{
	write_icr(id, ICR_STARTUP | ICR_ASSERT | page);
}

void apic_send_nmi_to_others(void)
{
	write_icr(0, ICR_NMI | ICR_ASSERT | ICR_ALL_OTHERS);
}

bool apic_has_tsc_deadline(void)
{
	return tsc_deadline;
}

void apic_timer_init_cpu(uint8_t vector)
{
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, vector | (tsc_deadline ? LVT_TSC_DEADLINE : LVT_PERIODIC));
	/* 10.5.4.1: the mode must have changed before the first deadline is written. */
	__asm__ volatile("mfence" : : : "memory");
}

void apic_timer_count(uint32_t count)
{
	apic_write(APIC_TIMER_INITIAL, count);
}

uint32_t apic_timer_current(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

void apic_timer_tsc(uint64_t deadline)
{
	wrmsr(MSR_TSC_DEADLINE, deadline);
}
