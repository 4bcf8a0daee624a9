/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/timer.h"

#include "core/bus.h"
#include "core/sched.h"
#include "core/vm.h"

#define NS_PER_S UINT64_C(1000000000)

/* A periodic timer that is far behind catches up in pieces, so that the CPU gets to other work. */
#define MAX_BURST 64

void hc_timer_queue_init(struct hc_timer_queue *q)
{
	*q = (struct hc_timer_queue){ 0 };
	hc_list_init(&q->timers);
	atomic_init(&q->next_ns, UINT64_MAX);
}

void hc_timer_init(struct hc_timer *t, struct hc_vcpu *home, bool device, hc_timer_fn fn)
{
	*t = (struct hc_timer){ .fn = fn, .home = home, .device = device };
	hc_list_init(&t->link);
}

static struct hc_timer *timer_of(struct hc_list *link)
{
	return HC_CONTAINER_OF(link, struct hc_timer, link);
}

static void update_next(struct hc_timer_queue *q)
{
	uint64_t next =
		hc_list_empty(&q->timers) ? UINT64_MAX : timer_of(q->timers.next)->deadline_ns;

	atomic_store_explicit(&q->next_ns, next, memory_order_release);
}

static void remove_locked(struct hc_timer_queue *q, struct hc_timer *t)
{
	hc_list_remove(&t->link);
	t->armed = false;
	update_next(q);
}

static void insert_locked(struct hc_timer_queue *q, struct hc_timer *t)
{
	struct hc_list *pos = q->timers.next;

	while (pos != &q->timers && timer_of(pos)->deadline_ns <= t->deadline_ns)
		pos = pos->next;
	hc_list_insert_before(pos, &t->link);
	t->armed = true;
	update_next(q);
}

void hc_timer_arm(struct hc_timer *t, uint64_t deadline_ns)
{
	struct hc_timer_queue *q = &t->home->timers;
	bool irq = hc_lock_irq(&q->lock);

	if (t->armed)
		hc_list_remove(&t->link);
	t->deadline_ns = deadline_ns;
	insert_locked(q, t);
	bool first = q->timers.next == &t->link;

	hc_unlock_irq(&q->lock, irq);
	if (first)
		hc_sched_deadline_changed(t->home);
}

void hc_timer_cancel(struct hc_timer *t)
{
	struct hc_timer_queue *q = &t->home->timers;
	bool irq = hc_lock_irq(&q->lock);

	if (t->armed)
		remove_locked(q, t);
	hc_unlock_irq(&q->lock, irq);
}

/* Takes the first timer off the queue if it is due. */
static struct hc_timer *take_due(struct hc_timer_queue *q, uint64_t now_ns)
{
	struct hc_timer *t = NULL;
	bool irq = hc_lock_irq(&q->lock);

	if (!hc_list_empty(&q->timers) && timer_of(q->timers.next)->deadline_ns <= now_ns) {
		t = timer_of(q->timers.next);
		remove_locked(q, t);
	}
	hc_unlock_irq(&q->lock, irq);
	return t;
}

/* The device lock comes before the queue's, and a device may cancel its timer until the callback
 * has begun: so the lock is taken first and the queue looked at under it. */
static void run_due(struct hc_vcpu *vcpu, uint64_t now_ns)
{
	struct hc_timer *t;

	hc_dev_lock(vcpu->vm);
	for (unsigned n = 0; n < MAX_BURST && (t = take_due(&vcpu->timers, now_ns)) != NULL; n++) {
		if (t->device) {
			t->fn(t, now_ns);
			continue;
		}
		hc_dev_unlock(vcpu->vm);
		t->fn(t, now_ns);
		hc_dev_lock(vcpu->vm);
	}
	hc_dev_unlock(vcpu->vm);
}

void hc_timers_run(struct hc_vcpu *vcpu, uint64_t now_ns)
{
	if (atomic_load_explicit(&vcpu->timers.next_ns, memory_order_acquire) <= now_ns)
		run_due(vcpu, now_ns);
}

uint64_t hc_ns_to_ticks(uint64_t ns, uint64_t hz)
{
	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S;
}

/* rest / hz of a second, where rest * NS_PER_S would not fit. */
static __attribute__((noinline, cold)) uint64_t fast_rest_to_ns(uint64_t rest, uint64_t hz)
{
	uint64_t ms = rest * 1000 / hz, below = rest * 1000 % hz;

	return ms * 1000000 + (below * 1000000 + hz - 1) / hz;
}

uint64_t hc_ticks_to_ns(uint64_t ticks, uint64_t hz)
{
	uint64_t whole = ticks / hz * NS_PER_S, rest = ticks % hz;

	if (__builtin_expect(hz >> 34 != 0, 0))
		return whole + fast_rest_to_ns(rest, hz);
	return whole + (rest * NS_PER_S + hz - 1) / hz;
}
