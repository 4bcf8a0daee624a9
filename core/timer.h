/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One-shot timers of the virtual machine: local APIC timers, PIT channels, RTC alarms.
 *
 * A timer lives on one vCPU's queue and fires on the CPU that this vCPU belongs to, running, ready
 * or halted. Its deadline is in nanoseconds of hc_platform_now_ns().
 */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include "core/list.h"
#include "core/lock.h"

struct hc_vcpu;
struct hc_timer;

/* Called with no lock held but, for timers of devices, the VM's device lock (hc_dev_lock). May arm
 * the timer again. */
typedef void (*hc_timer_fn)(struct hc_timer *timer, uint64_t now_ns);

struct hc_timer {
	struct hc_list link;
	uint64_t deadline_ns;
	hc_timer_fn fn;
	struct hc_vcpu *home;
	bool armed;
	bool device; /* take the device lock around fn */
};

struct hc_timer_queue {
	struct hc_lock lock;
	struct hc_list timers;    /* by deadline, soonest first */
	_Atomic uint64_t next_ns; /* deadline of the first; UINT64_MAX if there is none */
};

void hc_timer_queue_init(struct hc_timer_queue *q);

/* A timer of vcpu itself (device = false: armed and fired by that vCPU's CPU only), or of a device
 * of its VM (device = true: armed with the device lock held, by any CPU). */
void hc_timer_init(struct hc_timer *t, struct hc_vcpu *home, bool device, hc_timer_fn fn);

/* (Re)arms: fires once, at deadline_ns or as soon as possible if that is past. */
void hc_timer_arm(struct hc_timer *t, uint64_t deadline_ns);

/* Not armed any more. The callback may be running on the home CPU only if no device lock is held.
 */
void hc_timer_cancel(struct hc_timer *t);

/* Fires all timers of vcpu that are due. On the vCPU's CPU, outside the guest. */
void hc_timers_run(struct hc_vcpu *vcpu, uint64_t now_ns);

/* Whole ticks of a clock of hz in ns nanoseconds, and nanoseconds (rounded up) of that many ticks.
 * No overflow for spans up to 500 years and any hz up to 2^32; from ticks, also up to 2^40. */
uint64_t hc_ns_to_ticks(uint64_t ns, uint64_t hz);
uint64_t hc_ticks_to_ns(uint64_t ticks, uint64_t hz);

#endif
