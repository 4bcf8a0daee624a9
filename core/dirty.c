/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/dirty.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "core/touch.h"
#include "core/vm.h"
#include "mmu/format.h"

#define NS_PER_MS UINT64_C(1000000)

typedef unsigned long long ull;

static uint64_t pages_of(const struct hc_slot *slot)
{
	return slot->size / HC_PAGE_SIZE;
}

static uint64_t words_of(const struct hc_slot *slot)
{
	return hc_bitmap_words(pages_of(slot));
}

/* --- The bitmaps --- */

#define BITMAPS 3 /* marked, taken, ever: one after the other */

static int make_bitmaps(struct hc_slot *slot)
{
	size_t words = (size_t)words_of(slot), bytes = BITMAPS * words * sizeof(uint64_t);

	if (!slot->taken) {
		uint64_t *p = hc_platform_alloc(bytes);

		if (!p)
			return -ENOMEM;
		slot->taken = p;
		slot->ever = p + words;
		slot->marked = (_Atomic(uint64_t) *)(p + 2 * words);
		return 0;
	}
	memset(slot->taken, 0, bytes);
	return 0;
}

/* Those of a log that has ended stay: somebody may be about to mark a page. */
void hc_dirty_free(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->memory.count; i++) {
		struct hc_slot *slot = &vm->memory.slots[i];

		if (slot->taken)
			hc_platform_free(slot->taken, BITMAPS * words_of(slot) * sizeof(uint64_t));
		slot->taken = NULL;
	}
}

/* --- What is told --- */

/* Also where the bit is set already: this orders what was written before what a collector does that
 * takes the bit. */
static void mark_page(struct hc_memory *m, uint64_t page)
{
	struct hc_slot *slot = hc_mem_slot(m, page << HC_PAGE_SHIFT);

	if (!slot)
		return;
	page -= slot->gpa >> HC_PAGE_SHIFT;
	atomic_fetch_or(&slot->marked[page / 64], HC_BIT(page % 64));
}

void hc_dirty_mark(struct hc_vm *vm, gpa_t gpa, uint64_t len)
{
	if (!atomic_load_explicit(&vm->dirty.on, memory_order_acquire) || !len)
		return;
	uint64_t last = (gpa.v + (len - 1)) >> HC_PAGE_SHIFT;

	for (uint64_t page = gpa.v >> HC_PAGE_SHIFT; page <= last; page++)
		mark_page(&vm->memory, page);
}

void hc_dirty_merge(struct hc_vm *vm, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	struct hc_slot *slot = hc_mem_slot(&vm->memory, gpa.v);

	if (!atomic_load_explicit(&vm->dirty.on, memory_order_acquire) || !slot)
		return;
	pages = hc_min(pages, pages_of(slot));
	for (uint64_t i = 0; i * 64 < pages; i++)
		if (bitmap[i])
			atomic_fetch_or(&slot->marked[i], bitmap[i]);
}

/* The page is marked before anybody can take the lock and make it clean again. */
int hc_dirty_fault_locked(struct hc_vm *vm, gpa_t gpa)
{
	int rc = vm->s2.format ? s2_log_fault(&vm->s2, gpa) : 0;

	if (!rc)
		hc_dirty_mark(vm, gpa, 1);
	return rc;
}

int hc_dirty_fault(struct hc_vm *vm, gpa_t gpa)
{
	hc_lock(&vm->memory_lock);
	int rc = hc_dirty_fault_locked(vm, gpa);

	hc_unlock(&vm->memory_lock);
	return rc;
}

/* --- Start and stop --- */

static int check_backends(const struct hc_vm *vm)
{
	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++) {
		const struct hc_backend_ops *ops = vm->parts[i].ops;

		if (!ops->s2_format && !ops->log_start)
			return hc_error(-EOPNOTSUPP,
			                "vm %s: backend %s cannot say which pages were written",
			                vm->name, ops->name);
	}
	return 0;
}

static void stop_backends(struct hc_vm *vm, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (vm->parts[i].ops->log_stop)
			vm->parts[i].ops->log_stop(vm);
}

/* Software, and CPUs whose tables have no dirty flags, come by hc_dirty_fault(). */
static bool writes_unnoticed(const struct hc_vm *vm, const struct hc_backend_ops *ops, int tells)
{
	return ops->s2_format && !ops->s2_any && vm->s2.format->hw_dirty && !tells;
}

static int start_backends(struct hc_vm *vm)
{
	vm->dirty.told = true;
	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++) {
		const struct hc_backend_ops *ops = vm->parts[i].ops;
		int rc = ops->log_start ? ops->log_start(vm) : 0;

		if (rc < 0) {
			stop_backends(vm, i);
			return rc;
		}
		if (writes_unnoticed(vm, ops, rc))
			vm->dirty.told = false;
	}
	return 0;
}

static unsigned backends_of(const struct hc_vm *vm)
{
	return vm->parts[1].ops ? 2 : 1;
}

/* From the first slot to the end of the last: what lies between is not asked for. */
static uint64_t span_of(const struct hc_vm *vm)
{
	const struct hc_slot *first = vm->memory.slots, *last = &first[vm->memory.count - 1];

	return last->gpa + last->size - first->gpa;
}

static gpa_t first_of(const struct hc_vm *vm)
{
	return gpa_of(vm->memory.slots[0].gpa);
}

/* Lists are begun before the tables are made clean: a page that becomes dirty is on one. */
static int start_locked(struct hc_vm *vm)
{
	int rc = start_backends(vm);

	if (rc || !vm->s2.format)
		return rc;
	rc = hc_mem_reserve_pages(vm);
	if (!rc)
		rc = s2_log_start(&vm->s2, first_of(vm), span_of(vm));
	if (!rc)
		return 0;
	(void)s2_merge(&vm->s2, first_of(vm), span_of(vm));
	stop_backends(vm, backends_of(vm));
	return rc;
}

int hc_vm_dirty_start(struct hc_vm *vm)
{
	int rc = check_backends(vm);

	if (!rc && (atomic_load(&vm->dirty.on) || !vm->memory.count))
		return -EBUSY;
	for (unsigned i = 0; !rc && i < vm->memory.count; i++)
		rc = make_bitmaps(&vm->memory.slots[i]);
	if (rc)
		return rc == -ENOMEM ? hc_error(rc, "vm %s: no memory for a dirty log", vm->name)
		                     : rc;
	hc_lock(&vm->memory_lock);
	atomic_store(&vm->dirty.on, true);
	rc = start_locked(vm);
	if (rc)
		atomic_store(&vm->dirty.on, false);
	hc_unlock(&vm->memory_lock);
	return rc ? hc_error(rc, "vm %s: writes cannot be logged", vm->name) : 0;
}

void hc_vm_dirty_stop(struct hc_vm *vm)
{
	if (!atomic_load(&vm->dirty.on))
		return;
	hc_lock(&vm->memory_lock);
	atomic_store(&vm->dirty.on, false);
	if (vm->s2.format) {
		s2_log_stop(&vm->s2);
		(void)s2_merge(&vm->s2, first_of(vm), span_of(vm));
	}
	stop_backends(vm, backends_of(vm));
	hc_unlock(&vm->memory_lock);
}

/* --- Collect --- */

static void take_marked(struct hc_slot *slot)
{
	uint64_t words = words_of(slot);

	for (uint64_t i = 0; i < words; i++) {
		uint64_t word = atomic_load_explicit(&slot->marked[i], memory_order_relaxed);

		slot->taken[i] = word ? atomic_exchange(&slot->marked[i], 0) : 0;
	}
}

/* Errors would be ours: the log in stage 2 is of all slots. */
static int64_t take_slot(struct hc_vm *vm, struct hc_slot *slot)
{
	int64_t rc = 0, pages = 0;

	take_marked(slot);
	if (vm->s2.format && vm->dirty.told)
		rc = s2_log_clean(&vm->s2, gpa_of(slot->gpa), slot->size, slot->taken);
	else if (vm->s2.format)
		rc = s2_log_collect(&vm->s2, gpa_of(slot->gpa), slot->size, slot->taken);
	if (rc < 0)
		return rc;
	for (uint64_t i = 0; i < words_of(slot); i++)
		pages += hc_count_bits(slot->taken[i]);
	return pages;
}

static int ask_backends(struct hc_vm *vm)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < HC_VM_BACKENDS && vm->parts[i].ops; i++)
		if (vm->parts[i].ops->log_collect)
			rc = vm->parts[i].ops->log_collect(vm);
	return rc;
}

static int64_t take_all(struct hc_vm *vm)
{
	int64_t sum = ask_backends(vm), n;

	for (unsigned i = 0; sum >= 0 && i < vm->memory.count; i++) {
		n = take_slot(vm, &vm->memory.slots[i]);
		sum = n < 0 ? n : sum + n;
	}
	return sum;
}

static int64_t collect(struct hc_vm *vm, hc_dirty_fn fn, void *arg)
{
	hc_lock(&vm->memory_lock);
	int64_t pages = take_all(vm);

	hc_unlock(&vm->memory_lock);
	if (pages < 0)
		return hc_error((int)pages, "vm %s: cannot tell what was written", vm->name);
	for (unsigned i = 0; fn && i < vm->memory.count; i++) {
		const struct hc_slot *slot = &vm->memory.slots[i];

		fn(arg, gpa_of(slot->gpa), slot->taken, pages_of(slot));
	}
	return pages;
}

int64_t hc_vm_dirty_collect(struct hc_vm *vm, hc_dirty_fn fn, void *arg)
{
	int64_t rc;

	if (!atomic_load(&vm->dirty.on))
		return -EINVAL;
	if (!hc_try_lock(&vm->dirty.collector))
		return -EBUSY;
	rc = collect(vm, fn, arg);
	hc_unlock(&vm->dirty.collector);
	return rc;
}

/* --- By the clock --- */

/* Within a collection: of the slot that gpa is the first of. */
static void add_ever(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	struct hc_vm *vm = arg;
	uint64_t *ever = hc_mem_slot(&vm->memory, gpa.v)->ever;

	for (uint64_t i = 0; i * 64 < pages; i++) {
		vm->dirty.ever += hc_count_bits(bitmap[i] & ~ever[i]);
		ever[i] |= bitmap[i];
	}
}

static ull kib(uint64_t pages)
{
	return pages * (HC_PAGE_SIZE / HC_KIB);
}

static void count(struct hc_vm *vm, uint64_t pages, uint64_t now_ns)
{
	struct hc_dirty *d = &vm->dirty;

	hc_log(HC_LOG_INFO, "vm %s: wrote %llu KiB in %llu ms, %llu KiB in all so far", vm->name,
	       kib(pages), (ull)((now_ns - d->last_ns) / NS_PER_MS), kib(d->ever));
	d->least = d->periods ? hc_min(d->least, pages) : pages;
	d->most = hc_max(d->most, pages);
	d->pages += pages;
	d->periods++;
	d->last_ns = now_ns;
}

/* False: nothing comes of it, now or later. */
static bool sample(struct hc_vm *vm, uint64_t now_ns)
{
	struct hc_dirty *d = &vm->dirty;
	int64_t pages;

	if (!hc_try_lock(&d->collector))
		return true;
	pages = collect(vm, add_ever, vm);
	if (pages >= 0)
		count(vm, (uint64_t)pages, now_ns);
	hc_unlock(&d->collector);
	return pages >= 0;
}

static void period_is_over(struct hc_timer *timer, uint64_t now_ns)
{
	struct hc_vm *vm = timer->home->vm;

	if (!sample(vm, now_ns))
		return;
	/* The guest gets as much of the time as collecting takes, however short the period is. */
	uint64_t end = hc_platform_now_ns();

	hc_timer_arm(timer, hc_max(now_ns + vm->dirty.period_ns, end + (end - now_ns)));
}

/* The last period is a shorter one. */
static void has_ended(struct hc_vm *vm, enum hc_vm_state from, enum hc_vm_state to, void *arg)
{
	if (to == HC_VM_STOPPED || to == HC_VM_FAILED)
		(void)sample(vm, hc_platform_now_ns());
}

int hc_vm_dirty_every(struct hc_vm *vm, uint64_t period_ns)
{
	struct hc_dirty *d = &vm->dirty;
	int rc;

	if (!period_ns)
		return hc_error(-EINVAL, "vm %s: writes cannot be counted every 0 ns", vm->name);
	rc = hc_vm_dirty_start(vm);
	if (rc)
		return rc;
	rc = hc_vm_observe(vm, has_ended, NULL);
	if (rc) {
		hc_vm_dirty_stop(vm);
		return rc;
	}
	d->period_ns = period_ns;
	d->last_ns = hc_platform_now_ns();
	hc_timer_init(&d->timer, vm->vcpus[0], false, period_is_over);
	hc_timer_arm(&d->timer, d->last_ns + period_ns);
	return 0;
}

void hc_dirty_log_stats(struct hc_vm *vm)
{
	const struct hc_dirty *d = &vm->dirty;

	if (d->periods)
		hc_log(HC_LOG_INFO,
		       "vm %s: wrote %llu KiB of its memory in %llu periods of %llu ms: "
		       "%llu KiB at least, %llu on average, %llu at most",
		       vm->name, kib(d->ever), (ull)d->periods, (ull)(d->period_ns / NS_PER_MS),
		       kib(d->least), kib(d->pages) / d->periods, kib(d->most));
}
