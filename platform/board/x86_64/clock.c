/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/clock.h"

#include <stdatomic.h>

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/machine.h"
#include "platform/board/x86_64/paging.h"
#include "platform/board/x86_64/trap.h"
#include "platform/platform.h"

#define NS_PER_S UINT64_C(1000000000)

/* A counter that goes up, of a rate that is known or to be measured. */
struct counter {
	const char *name;
	uint64_t hz;   /* 0: to be measured */
	uint64_t mask; /* the bits it has */
	uint64_t (*read)(void);
};

/* --- The 8254's channel 2, which nothing else uses. --- */

#define PIT_HZ      1193182
#define PIT_CH0     0x40
#define PIT_CH2     0x42
#define PIT_CONTROL 0x43
#define PORT_61     0x61

static uint64_t pit_read(void)
{
	uint8_t low;

	outb(PIT_CONTROL, 0x80); /* latch channel 2 */
	low = inb(PIT_CH2);
	return 0xffff - ((uint64_t)inb(PIT_CH2) << 8 | low);
}

static void pit_start(void)
{
	outb(PORT_61, (inb(PORT_61) & 0xfc) | 1); /* gate on, speaker off */
	outb(PIT_CONTROL, 0xb4);                  /* channel 2, both bytes, mode 2 */
	outb(PIT_CH2, 0);
	outb(PIT_CH2, 0);
}

/* --- HPET (IA-PC HPET specification 1.0a, 2.3) --- */

static volatile uint32_t *hpet;

static uint64_t hpet_read(void)
{
	return hpet[0xf0 / 4];
}

static uint64_t hpet_start(hpa_t pa)
{
	uint64_t femtoseconds;

	hpet = pa.v ? paging_window(pa, 0x400, PAGING_UNCACHED) : NULL;
	if (!hpet)
		return 0;
	femtoseconds = hpet[1];
	if (femtoseconds == 0 || femtoseconds > 100000000) /* 2.3.4: at most 100 ns */
		return 0;
	hpet[0x10 / 4] |= 1;
	return UINT64_C(1000000000000000) / femtoseconds;
}

/* --- Its channel 0, at ISA interrupt 0. --- */

#define NMI_HZ 1000

int hc_platform_start_nmis(void)
{
	static atomic_bool started;

	if (atomic_exchange(&started, true))
		return 0;
	trap_expect_nmis();
	outb(PIT_CONTROL, 0x34); /* channel 0, both bytes, mode 2 */
	outb(PIT_CH0, PIT_HZ / NMI_HZ & 0xff);
	outb(PIT_CH0, PIT_HZ / NMI_HZ >> 8);
	if (ioapic_route_isa_nmi(&machine_acpi, 0))
		return hc_error(-ENODEV, "no I/O APIC has an input for the PIT");
	return 0;
}

static struct counter pit = { "PIT", PIT_HZ, 0xffff, pit_read };
static struct counter hpet_counter = { "HPET", 0, 0xffffffff, hpet_read };
static struct counter tsc = { "TSC", 0, UINT64_MAX, rdtsc };

static uint64_t apic_count_up(void)
{
	return UINT32_MAX - apic_timer_current();
}

static struct counter apic = { "local APIC timer", 0, UINT32_MAX, apic_count_up };

static const struct counter *reference;

/* Both counters at one moment: the sample that took least time, since anything may come between the
 * two reads. */
static void sample(const struct counter *a, const struct counter *b, uint64_t *at_a, uint64_t *at_b)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = a->read(), value = b->read(), after = a->read();
		uint64_t took = (after - before) & a->mask;

		if (took < best) {
			best = took;
			*at_a = (before + took / 2) & a->mask;
			*at_b = value;
		}
	}
}

/* The rate of a, by some 10 ms of ref. 0 if one of them stands still. */
static uint64_t measure_once(const struct counter *a, const struct counter *ref)
{
	uint64_t a0, a1, r0, r1, ticks = 0;

	sample(a, ref, &a0, &r0);
	for (unsigned i = 0; i < 10000000 && ticks < ref->hz / 100; i++)
		ticks = (ref->read() - r0) & ref->mask;
	if (ticks < ref->hz / 100)
		return 0;
	sample(a, ref, &a1, &r1);
	ticks = (r1 - r0) & ref->mask;
	return ticks ? mul_div((a1 - a0) & a->mask, ref->hz, ticks) : 0;
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* Until two results in succession agree within 0.1 %: a 16-bit counter may have wrapped unseen when
 * something (a host, SMM) took the CPU away. The last one if they never do. */
static uint64_t measure(const struct counter *a, const struct counter *ref)
{
	uint64_t last = 0, hz = 0;

	for (unsigned i = 0; i < 8; i++) {
		hz = measure_once(a, ref);
		if (!hz || difference(hz, last) <= hz / 1000)
			break;
		last = hz;
	}
	return hz;
}

/* --- The clock --- */

static uint64_t tsc_base, ns_per_tick_32; /* nanoseconds per tick, as 32.32 */

static int calibrate_tsc(hpa_t hpet_address)
{
	pit_start();
	hpet_counter.hz = hpet_start(hpet_address);
	reference = hpet_counter.hz ? &hpet_counter : &pit;
	tsc.hz = measure(&tsc, reference);
	if (!tsc.hz && reference != &pit) {
		hc_log(HC_LOG_WARN, "the HPET does not count: using the PIT");
		reference = &pit;
		tsc.hz = measure(&tsc, reference);
	}
	if (tsc.hz < 1000000)
		return hc_error(-ENODEV, "neither HPET nor PIT counts: cannot measure the TSC");
	ns_per_tick_32 = mul_div(NS_PER_S, HC_BIT(32), tsc.hz);
	tsc_base = rdtsc();
	return 0;
}

int clock_init(hpa_t hpet_address)
{
	int err = calibrate_tsc(hpet_address);

	if (err || apic_has_tsc_deadline())
		return err;
	apic_timer_init_cpu(VECTOR_TIMER);
	apic_timer_count(UINT32_MAX);
	apic.hz = measure(&apic, &tsc);
	apic_timer_count(0);
	return apic.hz ? 0 : hc_error(-ENODEV, "the local APIC timer does not count");
}

const char *clock_reference(void)
{
	return reference->name;
}

void clock_init_cpu(void)
{
	apic_timer_init_cpu(VECTOR_TIMER);
}

void clock_delay_us(unsigned us)
{
	uint64_t end = hc_platform_now_ns() + UINT64_C(1000) * us;

	while (hc_platform_now_ns() < end)
		cpu_pause();
}

uint64_t hc_platform_cycles(void)
{
	return rdtsc();
}

uint64_t hc_platform_cycles_hz(void)
{
	return tsc.hz;
}

uint64_t hc_platform_now_ns(void)
{
	uint64_t ticks = rdtsc() - tsc_base;

	return (uint64_t)((unsigned __int128)ticks * ns_per_tick_32 >> 32);
}

/* Ticks of a clock of hz until deadline_ns, rounded up; at least 1, at most those of a minute. */
static uint64_t ticks_until(uint64_t deadline_ns, uint64_t hz)
{
	uint64_t now = hc_platform_now_ns();
	uint64_t ns = deadline_ns > now ? hc_min(deadline_ns - now, 60 * NS_PER_S) : 0;

	return mul_div(ns, hz, NS_PER_S) + 1;
}

/*
 * The counting timer is periodic, and never off: it repeats until it is heard and set anew. An
 * emulated CPU can lose an interrupt that arrives while it enters or leaves a guest (QEMU's
 * do_vmexit changes the CPU's pending interrupts without a lock); the next one brings it back.
 */
#define REPEAT_MIN_NS UINT64_C(20000)
#define REPEAT_MAX_NS UINT64_C(100000000)

static uint32_t repeat_count(uint64_t deadline_ns)
{
	uint64_t most = mul_div(REPEAT_MAX_NS, apic.hz, NS_PER_S);
	uint64_t least = mul_div(REPEAT_MIN_NS, apic.hz, NS_PER_S) + 1;
	uint64_t ticks = deadline_ns == UINT64_MAX ? most : ticks_until(deadline_ns, apic.hz);

	return (uint32_t)hc_min(hc_max(least, hc_min(ticks, most)), UINT32_MAX);
}

void hc_platform_set_deadline(uint64_t deadline_ns)
{
	if (!apic_has_tsc_deadline())
		apic_timer_count(repeat_count(deadline_ns));
	else if (deadline_ns == UINT64_MAX)
		apic_timer_tsc(0);
	else
		apic_timer_tsc(rdtsc() + ticks_until(deadline_ns, tsc.hz));
}
