/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/clock.h"

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/aarch64/cpu.h"
#include "platform/board/aarch64/gic.h"
#include "platform/board/aarch64/hw.h"
#include "platform/board/fdt.h"
#include "platform/platform.h"

#define NS_PER_S   UINT64_C(1000000000)
#define HCR_E2H    HC_BIT(34)
#define CTL_ENABLE 1u

/* Names of other levels' timers that assemblers do not know without options (Arm ARM D17.8). */
#define CNTP_CTL_EL02      S3_5_C14_C2_1
#define CNTV_CTL_EL02      S3_5_C14_C3_1
#define CNTHV_CTL_EL2      S3_4_C14_C3_1
#define READ(name)         READ_SYSREG(name)
#define WRITE(name, value) WRITE_SYSREG(name, value)

static uint64_t hz, base, ns_per_tick_32; /* nanoseconds per tick, as 32.32 */
static unsigned timer_intid;

int clock_init(const struct board_tree *tree)
{
	hz = tree->timer_hz ? tree->timer_hz : (uint32_t)READ(CNTFRQ_EL0);
	/* D11.1.1: 1 to 50 MHz, 1 GHz from version 8.6 on. */
	if (hz < 100000)
		return hc_error(-ENODEV,
		                "the system counter's rate is %llu Hz by %s: the firmware should "
		                "have set it",
		                (unsigned long long)hz,
		                tree->timer_hz ? "the device tree" : "CNTFRQ_EL0");
	ns_per_tick_32 = (NS_PER_S << 32) / hz;
	base = READ(CNTPCT_EL0);
	return 0;
}

void clock_delay_us(unsigned us)
{
	uint64_t end = hc_platform_now_ns() + UINT64_C(1000) * us;

	while (hc_platform_now_ns() < end)
		cpu_pause();
}

uint64_t hc_platform_cycles(void)
{
	return READ(CNTPCT_EL0);
}

uint64_t hc_platform_cycles_hz(void)
{
	return hz;
}

/* The counter may be read ahead of time (D11.2.1): what was seen before must have been before. */
uint64_t hc_platform_now_ns(void)
{
	isb();
	return (uint64_t)((unsigned __int128)(READ(CNTPCT_EL0) - base) * ns_per_tick_32 >> 32);
}

/* Rounded up; the seconds apart, so that nothing overflows. */
static uint64_t ticks_of(uint64_t ns)
{
	return ns / NS_PER_S * hz + (ns % NS_PER_S * hz + NS_PER_S - 1) / NS_PER_S;
}

/* --- Deadlines --- */

/* What else the boot CPU's timer is for. */
static struct {
	void (*fn)(void);
	uint64_t period, next;
	uint64_t deadline; /* that was set meanwhile */
} poll = { .deadline = UINT64_MAX };

static bool polls(void)
{
	return poll.fn && this_cpu()->cpu.id == 0;
}

/* ns_per_tick_32 was rounded down, so that the clock may be a tick behind: hence the one more. */
static void arm(uint64_t deadline_ns)
{
	uint64_t now;

	if (deadline_ns == UINT64_MAX) {
		WRITE(CNTHP_CTL_EL2, 0);
		return;
	}
	now = hc_platform_now_ns();
	deadline_ns = deadline_ns > now ? hc_min(deadline_ns - now, 3600 * NS_PER_S) : 0;
	WRITE(CNTHP_CVAL_EL2, READ(CNTPCT_EL0) + ticks_of(deadline_ns) + 1);
	WRITE(CNTHP_CTL_EL2, CTL_ENABLE);
	isb();
}

void hc_platform_set_deadline(uint64_t deadline_ns)
{
	if (polls()) {
		poll.deadline = deadline_ns;
		deadline_ns = hc_min(deadline_ns, poll.next);
	}
	arm(deadline_ns);
}

/* Its condition stays met, and its level up, until it is set anew. */
static bool expired(void *arg)
{
	uint64_t now;

	(void)arg;
	WRITE(CNTHP_CTL_EL2, 0);
	isb();
	if (!polls())
		return false;
	now = hc_platform_now_ns();
	if (now >= poll.next) {
		poll.fn();
		poll.next = now + poll.period;
	}
	if (now >= poll.deadline)
		poll.deadline = UINT64_MAX;
	arm(hc_min(poll.deadline, poll.next));
	return false;
}

void clock_set_poll(void (*fn)(void), uint64_t period_ns)
{
	bool irq = hc_platform_irq_disable();

	poll.period = period_ns;
	poll.next = hc_platform_now_ns() + period_ns;
	poll.fn = fn;
	arm(poll.next);
	hc_platform_irq_restore(irq);
}

int clock_init_irq(const struct board_tree *tree)
{
	timer_intid = tree->timer_hyp.intid;
	return board_irq_register(&tree->timer_hyp, expired, NULL);
}

void clock_init_cpu(void)
{
	WRITE(CNTHP_CTL_EL2, 0);
	/* With E2H the names of EL1's timers mean EL2's own. */
	if (READ(HCR_EL2) & HCR_E2H) {
		WRITE(CNTP_CTL_EL02, 0);
		WRITE(CNTV_CTL_EL02, 0);
		WRITE(CNTHV_CTL_EL2, 0);
	} else {
		WRITE(CNTP_CTL_EL0, 0);
		WRITE(CNTV_CTL_EL0, 0);
	}
	isb();
	board_irq_enable(timer_intid);
}
