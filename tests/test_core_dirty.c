/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log, with random writes of all kinds of writers on all kinds of stage 2, against a list
 * of what was written. The CPU that writes is a naive one: it remembers for each page whether it
 * may write there without looking, as long as it is not told to forget.
 */
#include <string.h>

#include "core/touch.h"
#include "mmu/ept.h"
#include "mmu/format.h"
#include "mmu/npt.h"
#include "mmu/vmsav8.h"
#include "tests/fake.h"
#include "tests/platform.h"
#include "tests/unit.h"

/* Slots: RAM, RAM that lies apart and is not a multiple of 64 pages, and a ROM. */
static const struct {
	uint64_t gpa, pages;
	uint32_t flags;
} slots[] = {
	{ 0, 1024, HC_SLOT_OWNED },
	{ 0x40000000, 70, 0 },
	{ 0x40100000, 8, HC_SLOT_READONLY },
};

#define PAGES 1102

static _Alignas(HC_PAGE_SIZE) uint8_t apart[70 * HC_PAGE_SIZE], rom[8 * HC_PAGE_SIZE];

/* What a CPU may be like. */
struct kind {
	const char *name;
	const struct s2_format *format; /* NULL: the backend's own stage 2 */
	bool lists;                     /* the CPU keeps a list of the pages that become dirty */
};

static const struct kind kinds[] = {
	{ "NPT", &npt_format, false },        { "EPT", &ept_format, false },
	{ "EPT A/D", &ept_ad_format, false }, { "EPT A/D, PML", &ept_ad_format, true },
	{ "VMSAv8", &vmsav8_format, false },  { "its own", NULL, true },
};

static const struct kind *kind;
static struct hc_backend_ops backend;
static struct hc_vm *vm;
static uint64_t seed;

static bool written[PAGES]; /* and not collected */
static bool reported[PAGES];
static bool passes[PAGES]; /* the CPU remembers that a write may pass, and the page is dirty */
static bool on_list[PAGES];
static bool own_clean[PAGES];
static unsigned starts, stops;
static int log_error;
static uint64_t collect_ns; /* how long it takes */

static uint64_t gpa_of_page(unsigned page)
{
	for (unsigned i = 0;; i++) {
		if (page < slots[i].pages)
			return slots[i].gpa + page * HC_PAGE_SIZE;
		page -= (unsigned)slots[i].pages;
	}
}

static unsigned page_of_gpa(uint64_t gpa)
{
	unsigned page = 0;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(slots); page += (unsigned)slots[i++].pages)
		if (gpa - slots[i].gpa < slots[i].pages * HC_PAGE_SIZE)
			return page + (unsigned)((gpa - slots[i].gpa) / HC_PAGE_SIZE);
	fail_msg("%#lx is in no slot", (unsigned long)gpa);
	return 0;
}

/* --- The CPU --- */

static void forget(struct hc_vm *of, gpa_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < PAGES; i++)
		if (gpa_of_page(i) - gpa.v < size)
			passes[i] = false;
}

static s2_entry_t *leaf_of(uint64_t gpa)
{
	const struct s2_format *f = kind->format;
	uint64_t table = vm->s2.root.v, entry;

	hc_mem_fault(vm, gpa_of(gpa)); /* if nobody touched it before */
	for (unsigned level = vm->s2.root_level;; level--) {
		s2_entry_t *e = (s2_entry_t *)hc_platform_from_hpa(hpa_of(table)) +
		                (gpa >> s2_shift(level)) % S2_ENTRIES;

		entry = atomic_load(e);
		assert_true(s2_is_valid(f, entry));
		if (s2_is_leaf(f, entry, level))
			return e;
		table = entry & f->address;
	}
}

/* True: it faults. */
static bool walk_to_write(unsigned page)
{
	const struct s2_format *f = kind->format;
	s2_entry_t *e = leaf_of(gpa_of_page(page));

	if (!(atomic_load(e) & f->write))
		return true;
	if (f->hw_dirty && !(atomic_fetch_or(e, f->dirty) & f->dirty))
		on_list[page] = kind->lists;
	return false;
}

static void write_by_cpu(unsigned page)
{
	if (!kind->format) {
		on_list[page] |= own_clean[page];
		own_clean[page] = false;
	} else if (!passes[page] && walk_to_write(page)) {
		assert_int_equal(hc_dirty_fault(vm, gpa_of(gpa_of_page(page))), 0);
		assert_false(walk_to_write(page));
	}
	passes[page] = true;
}

/* --- The backend --- */

static int log_start(struct hc_vm *of)
{
	starts++;
	if (log_error)
		return log_error;
	memset(own_clean, true, sizeof(own_clean));
	memset(on_list, 0, sizeof(on_list));
	return kind->lists;
}

static int tell_bitmaps(void)
{
	unsigned first = 0;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(slots); first += (unsigned)slots[i++].pages) {
		uint64_t words[16] = { 0 };

		for (unsigned n = 0; n < slots[i].pages; n++)
			words[n / 64] |= (uint64_t)on_list[first + n] << n % 64;
		hc_dirty_merge(vm, gpa_of(slots[i].gpa), words, slots[i].pages);
	}
	memset(own_clean, true, sizeof(own_clean));
	return 0;
}

static int log_collect(struct hc_vm *of)
{
	test_now_ns += collect_ns;
	if (log_error)
		return log_error;
	if (!kind->format)
		tell_bitmaps();
	for (unsigned i = 0; i < PAGES; i++)
		if (on_list[i] && kind->format)
			hc_dirty_mark(of, gpa_of(gpa_of_page(i)), HC_PAGE_SIZE);
	memset(on_list, 0, sizeof(on_list));
	return 0;
}

static void log_stop(struct hc_vm *of)
{
	stops++;
}

static struct hc_vm *make_vm(const struct kind *k)
{
	const struct hc_vm_config config = {
		.name = "log", .arch = &fake_arch, .backend = &backend, .cpus = 1
	};
	uint8_t *host[] = { NULL, apart, rom };

	kind = k;
	backend = fake_backend;
	backend.s2_format = k->format;
	backend.invalidate = forget;
	if (k->lists) {
		backend.log_start = log_start;
		backend.log_collect = log_collect;
		backend.log_stop = log_stop;
	}
	starts = stops = 0;
	log_error = 0;
	memset(passes, 0, sizeof(passes));
	memset(written, 0, sizeof(written));
	assert_int_equal(hc_vm_create(&vm, &config), 0);
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(slots[0].gpa), slots[0].pages * HC_PAGE_SIZE), 0);
	for (unsigned i = 1; i < HC_ARRAY_SIZE(slots); i++)
		assert_int_equal(hc_vm_add_slot(vm, gpa_of(slots[i].gpa),
		                                slots[i].pages * HC_PAGE_SIZE, host[i],
		                                slots[i].flags),
		                 0);
	return vm;
}

static int setup(void **state)
{
	test_platform_init(1);
	fake_probe_rc = 0;
	seed = 42;
	return 0;
}

/* --- The comparison --- */

static unsigned below(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

static void write_by_software(unsigned page)
{
	static const uint8_t data[3 * HC_PAGE_SIZE];
	uint64_t gpa = gpa_of_page(page) + below(HC_PAGE_SIZE), len = 1 + below(2 * HC_PAGE_SIZE);

	if (hc_mem_write(vm, gpa_of(gpa), data, len))
		return;
	for (uint64_t at = gpa & ~(HC_PAGE_SIZE - 1); at < gpa + len; at += HC_PAGE_SIZE)
		written[page_of_gpa(at)] = true;
}

static bool is_rom(unsigned page)
{
	return page >= slots[0].pages + slots[1].pages;
}

static void some_writes(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned page = below(below(2) ? PAGES : 40);

		if (below(4) == 0) {
			write_by_software(page);
		} else if (!is_rom(page)) {
			write_by_cpu(page);
			written[page] = true;
		}
	}
}

static void report(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	unsigned first = page_of_gpa(gpa.v);

	for (unsigned i = 0; i < pages; i++)
		reported[first + i] = bitmap[i / 64] >> i % 64 & 1;
	for (uint64_t i = pages; i % 64; i++)
		assert_false(bitmap[i / 64] >> i % 64 & 1);
}

static void compare(void)
{
	int64_t count = 0, pages;

	memset(reported, 0, sizeof(reported));
	pages = hc_vm_dirty_collect(vm, report, NULL);
	for (unsigned i = 0; i < PAGES; i++) {
		if (reported[i] != written[i])
			fail_msg("%s: page %u was%s written", kind->name, i,
			         written[i] ? "" : " not");
		count += written[i];
	}
	assert_int_equal(pages, count);
	memset(written, 0, sizeof(written));
}

static void all_give_the_same(void **state)
{
	for (unsigned k = 0; k < HC_ARRAY_SIZE(kinds); k++) {
		make_vm(&kinds[k]);
		some_writes(100);
		assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -EINVAL);
		assert_int_equal(hc_vm_dirty_start(vm), 0);
		assert_int_equal(hc_vm_dirty_start(vm), -EBUSY);
		memset(written, 0, sizeof(written));
		for (unsigned round = 0; round < 20; round++) {
			some_writes(below(200));
			compare();
		}
		compare();
		some_writes(50);
		hc_vm_dirty_stop(vm);
		hc_vm_dirty_stop(vm);
		assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -EINVAL);
		assert_int_equal(starts, kinds[k].lists);
		assert_int_equal(stops, kinds[k].lists);
		/* What the first log has left does not come with the second one. */
		assert_int_equal(hc_vm_dirty_start(vm), 0);
		memset(written, 0, sizeof(written));
		some_writes(50);
		compare();
		assert_int_equal(hc_vm_destroy(vm), 0);
		assert_int_equal(test_allocated, 0);
	}
}

/* Only tables whose flags nobody else tells of are searched: an entry that says dirty by mistake
 * is seen by those who look. */
static void lists_save_the_search(void **state)
{
	for (unsigned k = 0; k < HC_ARRAY_SIZE(kinds); k++) {
		if (!kinds[k].format)
			continue;
		make_vm(&kinds[k]);
		assert_int_equal(hc_vm_dirty_start(vm), 0);
		atomic_fetch_or(leaf_of(0x3000), kinds[k].format->dirty);
		assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL),
		                 kinds[k].format->hw_dirty && !kinds[k].lists);
		assert_int_equal(hc_vm_destroy(vm), 0);
	}
}

static unsigned level_of(uint64_t gpa)
{
	struct s2_mapping m;

	hc_mem_fault(vm, gpa_of(gpa));
	assert_int_equal(s2_walk(&vm->s2, gpa_of(gpa), &m), 0);
	return m.level;
}

static void pages_are_small_for_the_log_only(void **state)
{
	make_vm(&kinds[0]);
	assert_int_equal(level_of(0), 1);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	assert_int_equal(level_of(0), 0);
	hc_vm_dirty_stop(vm);
	assert_int_equal(level_of(0), 1);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* --- What is refused --- */

static void a_failed_start_changes_nothing(void **state)
{
	unsigned n = 0;
	int rc;

	do {
		make_vm(&kinds[3]);
		test_fail_alloc = ++n;
		rc = hc_vm_dirty_start(vm);
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_false(vm->s2.logging);
			assert_int_equal(starts, stops);
			assert_int_equal(level_of(0), 1);
			assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -EINVAL);
		}
		test_fail_alloc = 0;
		assert_int_equal(hc_vm_destroy(vm), 0);
		assert_int_equal(test_allocated, 0);
	} while (rc);
	/* A bitmap for each slot, a table for each large page. */
	assert_int_equal(n, HC_ARRAY_SIZE(slots) + 2 + 1);
}

static void a_backend_may_fail(void **state)
{
	make_vm(&kinds[3]);
	log_error = -EIO;
	assert_int_equal(hc_vm_dirty_start(vm), -EIO);
	assert_int_equal(stops, 0);
	log_error = 0;
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	some_writes(40);
	log_error = -EIO;
	assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -EIO);
	some_writes(40);
	log_error = 0;
	compare(); /* nothing is lost */
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void who_cannot_tell_is_named(void **state)
{
	static const struct kind blind = { "blind", NULL, false };

	make_vm(&blind);
	assert_int_equal(hc_vm_dirty_start(vm), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "backend fake cannot say which pages were written"));
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void memory_stays_while_it_is_logged(void **state)
{
	static _Alignas(HC_PAGE_SIZE) uint8_t more[HC_PAGE_SIZE];

	make_vm(&kinds[0]);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0x80000000), sizeof(more), more, 0), -EBUSY);
	hc_vm_dirty_stop(vm);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0x80000000), sizeof(more), more, 0), 0);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* A list may name pages that are not RAM, and callers may be told anything. */
static void what_is_no_memory_is_left_out(void **state)
{
	const uint64_t word = UINT64_MAX;

	make_vm(&kinds[3]);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	hc_dirty_mark(vm, gpa_of(UINT64_MAX), 1);
	hc_dirty_mark(vm, gpa_of(0x30000000), HC_PAGE_SIZE);
	hc_dirty_mark(vm, gpa_of(0x1000), 0);
	hc_dirty_merge(vm, gpa_of(0x30000000), &word, 64);
	assert_int_equal(hc_dirty_fault(vm, gpa_of(0x30000000)), -EFAULT);
	assert_int_equal(hc_dirty_fault(vm, gpa_of(slots[2].gpa)), -EFAULT);
	compare();
	assert_int_equal(hc_vm_destroy(vm), 0);
}

static void one_collector_at_a_time(void **state)
{
	make_vm(&kinds[0]);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	hc_lock(&vm->dirty.collector);
	assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -EBUSY);
	hc_unlock(&vm->dirty.collector);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* --- By the clock --- */

static void writes_pages(struct hc_vcpu *vcpu)
{
	static const struct {
		unsigned from, to;
	} runs[] = { { 0, 16 }, { 8, 10 }, { 100, 132 } };
	static unsigned n;

	for (unsigned i = runs[n % 3].from; i < runs[n % 3].to; i++)
		write_by_cpu(i);
	n++;
}

static void stops_vm(struct hc_vcpu *vcpu)
{
	assert_int_equal(hc_vm_stop(vcpu->vm, HC_STOP_POWEROFF, 0), 0);
}

static void observes(struct hc_vm *observed, enum hc_vm_state from, enum hc_vm_state to, void *arg)
{
}

/* Nobody would hear of the end: nothing is logged. */
static void counting_needs_an_observer(void **state)
{
	make_vm(&kinds[0]);
	for (unsigned i = 0; i < HC_MAX_OBSERVERS; i++)
		assert_int_equal(hc_vm_observe(vm, observes, NULL), 0);
	assert_int_equal(hc_vm_dirty_every(vm, 1000000000), -ENOSPC);
	assert_int_equal(hc_vm_dirty_collect(vm, NULL, NULL), -EINVAL);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
}

static void counts_by_the_clock(void **state)
{
#define TICK                                                                                       \
	{                                                                                          \
		.exit = { .reason = HC_EXIT_INTERRUPT }, .advance_ns = 500000000                   \
	}
	static const struct fake_step steps[] = {
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = writes_pages },
		TICK,
		TICK,
		TICK,
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = writes_pages },
		TICK,
		{ .exit = { .reason = HC_EXIT_CPUID }, .hook = writes_pages },
		{ .exit = { .reason = HC_EXIT_IO }, .hook = stops_vm },
	};

	make_vm(&kinds[0]);
	assert_int_equal(hc_vm_dirty_every(vm, 0), -EINVAL);
	assert_int_equal(hc_vm_dirty_every(vm, 1000000000), 0);
	fake_script(vm, 0, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	assert_non_null(
		strstr(test_log(), "vm log: wrote 64 KiB in 1000 ms, 64 KiB in all so far\n"));
	assert_non_null(
		strstr(test_log(), "vm log: wrote 8 KiB in 1000 ms, 64 KiB in all so far\n"));
	assert_non_null(
		strstr(test_log(), "vm log: wrote 128 KiB in 0 ms, 192 KiB in all so far\n"));
	hc_vm_log_stats(vm);
	assert_non_null(strstr(test_log(),
	                       "vm log: wrote 192 KiB of its memory in 3 periods of 1000 ms: "
	                       "8 KiB at least, 66 on average, 128 at most\n"));
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
}

/* A period shorter than collecting takes: the guest has half of the time. */
static void leaves_time_to_the_guest(void **state)
{
	static const struct fake_step work = { .exit = { .reason = HC_EXIT_INTERRUPT },
		                               .advance_ns = 1000000,
		                               .hook = writes_pages };
	static struct fake_step steps[200];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(steps); i++)
		steps[i] = work;
	steps[HC_ARRAY_SIZE(steps) - 1] =
		(struct fake_step){ .exit = { .reason = HC_EXIT_IO }, .hook = stops_vm };
	make_vm(&kinds[3]);
	assert_int_equal(hc_vm_dirty_every(vm, 5000000), 0);
	collect_ns = 20000000;
	fake_script(vm, 0, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vm), 0);
	fake_run_cpu(0);
	collect_ns = 0;
	assert_in_range(vm->dirty.periods, 8, 11);
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_give_the_same, setup),
		cmocka_unit_test_setup(lists_save_the_search, setup),
		cmocka_unit_test_setup(pages_are_small_for_the_log_only, setup),
		cmocka_unit_test_setup(a_failed_start_changes_nothing, setup),
		cmocka_unit_test_setup(a_backend_may_fail, setup),
		cmocka_unit_test_setup(who_cannot_tell_is_named, setup),
		cmocka_unit_test_setup(memory_stays_while_it_is_logged, setup),
		cmocka_unit_test_setup(what_is_no_memory_is_left_out, setup),
		cmocka_unit_test_setup(one_collector_at_a_time, setup),
		cmocka_unit_test_setup(counting_needs_an_observer, setup),
		cmocka_unit_test_setup(counts_by_the_clock, setup),
		cmocka_unit_test_setup(leaves_time_to_the_guest, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
