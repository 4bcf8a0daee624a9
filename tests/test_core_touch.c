/* SPDX-License-Identifier: BSD-2-Clause */
/* RAM that becomes a VM's when it is touched. What the platform's raw pages hold is RUBBISH. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/touch.h"
#include "tests/fake.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define RUBBISH 0xe5
#define BLOCKS  16
#define RAM     (BLOCKS * HC_BLOCK_SIZE) /* several pieces of the test platform's */
#define BASE    (64 * HC_MIB)

static struct hc_vm *vm;
static uint64_t seed = 9;

static int setup(void **state)
{
	test_platform_init(1);
	vm = fake_vm("touched", 1);
	return vm ? hc_vm_add_ram(vm, gpa_of(BASE), RAM) : -1;
}

static int teardown(void **state)
{
	int rc = hc_vm_destroy(vm);

	return rc || test_allocated ? -1 : 0;
}

/* Looks at it without touching it. */
static uint8_t *host_of(uint64_t offset)
{
	const struct hc_slot *s = hc_mem_slot(&vm->memory, BASE + offset);

	return s->host + (BASE + offset - s->gpa);
}

static bool is_all(uint64_t block, uint8_t value)
{
	const uint8_t *p = host_of(block * HC_BLOCK_SIZE);

	return p[0] == value && memcmp(p, p + 1, HC_BLOCK_SIZE - 1) == 0;
}

static bool is_mapped(uint64_t block)
{
	struct s2_mapping m;
	uint64_t offset = block * HC_BLOCK_SIZE + test_below(&seed, HC_BLOCK_SIZE);

	if (s2_walk(&vm->s2, gpa_of(BASE + offset), &m))
		return false;
	assert_ptr_equal(hc_platform_from_hpa(m.hpa), host_of(offset));
	assert_int_equal(m.attr, S2_RWX | S2_WB);
	return true;
}

enum block_state { RAW, CLEAR, MAPPED };

static void check_blocks(const enum block_state expected[BLOCKS])
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_true(is_all(i, expected[i] == RAW ? RUBBISH : 0));
		assert_int_equal(is_mapped(i), expected[i] == MAPPED);
	}
}

/* The hypervisor clears what it looks at, and no more; a vCPU's fault maps it. */
static void touched_by_anybody(void **state)
{
	enum block_state expected[BLOCKS] = { RAW };

	check_blocks(expected);
	for (unsigned n = 0; n < 40; n++) {
		uint64_t block = test_below(&seed, BLOCKS), in = test_below(&seed, HC_BLOCK_SIZE);
		gpa_t gpa = gpa_of(BASE + block * HC_BLOCK_SIZE + in);
		uint64_t len = hc_min(HC_BLOCK_SIZE - in, 100);
		char buf[100];

		switch (test_below(&seed, 4)) {
		case 0: assert_non_null(hc_mem_ptr(vm, gpa, len, true)); break;
		case 1: assert_int_equal(hc_mem_read(vm, gpa, buf, len), 0); break;
		case 2:
			memset(buf, 0, len);
			assert_int_equal(hc_mem_write(vm, gpa, buf, len), 0);
			break;
		default:
			hc_mem_fault(vm, gpa);
			expected[block] = MAPPED;
			break;
		}
		if (expected[block] == RAW)
			expected[block] = CLEAR;
		if (n % 5 == 0)
			check_blocks(expected);
	}
	check_blocks(expected);
}

/* An access over the border of two blocks touches both; what is refused touches nothing. */
static void touched_across_a_border(void **state)
{
	enum block_state expected[BLOCKS] = { RAW, RAW, CLEAR, CLEAR, CLEAR };
	static char buf[HC_BLOCK_SIZE + 2];

	assert_int_equal(hc_mem_read(vm, gpa_of(BASE + RAM - 1), buf, 2), -EFAULT);
	assert_int_equal(hc_mem_write(vm, gpa_of(BASE - 1), buf, 2), -EFAULT);
	assert_null(hc_mem_ptr(vm, gpa_of(BASE + RAM - 1), 2, false));
	hc_mem_fault(vm, gpa_of(BASE + RAM));
	hc_mem_fault(vm, gpa_of(0));
	assert_int_equal(hc_vm_state(vm), HC_VM_CREATED);
	check_blocks((enum block_state[BLOCKS]){ RAW });
	assert_int_equal(hc_mem_read(vm, gpa_of(BASE + 3 * HC_BLOCK_SIZE - 1), buf, sizeof(buf)),
	                 0);
	check_blocks(expected);
}

static void contents_stay(void **state)
{
	uint64_t value = 0x1122334455667788, found = 0;

	assert_int_equal(hc_mem_write(vm, gpa_of(BASE + 0x1000), &value, 8), 0);
	hc_mem_fault(vm, gpa_of(BASE));
	hc_mem_fault(vm, gpa_of(BASE + 0x1000));
	assert_int_equal(hc_mem_read(vm, gpa_of(BASE + 0x1000), &found, 8), 0);
	assert_int_equal(found, value);
}

/* The guest's own accesses can want no memory: all of it was taken at the start. */
static void faults_allocate_nothing(void **state)
{
	uint64_t before = test_allocated;

	for (unsigned i = 0; i < BLOCKS; i++) {
		test_fail_alloc = 1;
		hc_mem_fault(vm, gpa_of(BASE + i * HC_BLOCK_SIZE));
		assert_int_equal(test_fail_alloc, 1);
		assert_true(is_mapped(i));
	}
	test_fail_alloc = 0;
	assert_int_equal(test_allocated, before);
	assert_int_equal(hc_vm_state(vm), HC_VM_CREATED);
}

/* --- The dirty log --- */

static unsigned level_of(uint64_t block)
{
	struct s2_mapping m;

	assert_int_equal(s2_walk(&vm->s2, gpa_of(BASE + block * HC_BLOCK_SIZE), &m), 0);
	return m.level;
}

/* Whether page n of RAM was written. */
static bool collected(uint64_t n)
{
	static uint64_t bitmap[RAM / HC_PAGE_SIZE / 64];

	memset(bitmap, 0, sizeof(bitmap));
	assert_true(s2_log_collect(&vm->s2, gpa_of(BASE), RAM, bitmap) >= 0);
	return bitmap[n / 64] >> n % 64 & 1;
}

/* What is touched while writes are logged is clean until somebody writes, and is logged page by
 * page; when all is mapped, pages are as large as if there had been no log. */
static void logged_by_pages(void **state)
{
	const struct hc_slot *slot = hc_mem_slot(&vm->memory, BASE);
	uint64_t blocks = slot->size / HC_BLOCK_SIZE, last = blocks - 1;

	assert_true(blocks > 2);
	hc_mem_fault(vm, gpa_of(BASE));
	assert_int_equal(level_of(0), 1);
	assert_int_equal(hc_mem_reserve_pages(vm), 0);
	assert_int_equal(s2_log_start(&vm->s2, gpa_of(BASE), RAM), 0);
	assert_false(collected(0));
	for (uint64_t i = 1; i < last; i++) {
		unsigned invalidations = fake_invalidations;

		test_fail_alloc = 1;
		hc_mem_fault(vm, gpa_of(BASE + i * HC_BLOCK_SIZE));
		assert_int_equal(test_fail_alloc, 1);
		/* Never dirty for a moment: writes in it would be lost. */
		assert_int_equal(fake_invalidations, invalidations);
		assert_int_equal(level_of(i), 0);
		uint64_t page = i * 512 + test_below(&seed, 512);

		assert_false(collected(page));
		assert_int_equal(s2_log_fault(&vm->s2, gpa_of(BASE + page * HC_PAGE_SIZE)), 0);
		assert_true(collected(page));
	}
	test_fail_alloc = 0;
	s2_log_stop(&vm->s2);
	hc_mem_fault(vm, gpa_of(BASE + last * HC_BLOCK_SIZE));
	for (uint64_t i = 0; i < blocks; i++)
		assert_int_equal(level_of(i), 1);
	hc_mem_fault(vm, gpa_of(BASE + last * HC_BLOCK_SIZE));
}

/* A log that cannot be started leaves pages as large as they were. */
static void no_memory_for_a_log(void **state)
{
	unsigned n = 0;
	int rc;

	for (unsigned i = 0; i < BLOCKS; i += 3)
		hc_mem_fault(vm, gpa_of(BASE + i * HC_BLOCK_SIZE));
	do {
		test_fail_alloc = ++n;
		rc = hc_vm_dirty_start(vm);
		test_fail_alloc = 0;
		for (unsigned i = 0; i < BLOCKS; i += 3)
			assert_int_equal(level_of(i), rc ? 1 : 0);
	} while (rc);
	assert_true(n > vm->memory.count + 1);
}

/* --- Cleaning: once, when the block is zero, before a vCPU can reach it --- */

static _Atomic unsigned cleaned[BLOCKS];

static void on_clean(const void *p, uint64_t size)
{
	uint64_t block = 0;

	while (block < BLOCKS && host_of(block * HC_BLOCK_SIZE) != p)
		block++;
	assert_true(block < BLOCKS && size == HC_BLOCK_SIZE);
	assert_true(is_all(block, 0));
	assert_false(is_mapped(block));
	atomic_fetch_add(&cleaned[block], 1);
}

static void clean_before_use(void **state)
{
	memset(cleaned, 0, sizeof(cleaned));
	fake_on_clean = on_clean;
	for (unsigned n = 0; n < 60; n++) {
		uint64_t block = test_below(&seed, BLOCKS);
		gpa_t gpa = gpa_of(BASE + block * HC_BLOCK_SIZE + test_below(&seed, HC_BLOCK_SIZE));

		if (test_below(&seed, 2))
			hc_mem_fault(vm, gpa);
		else
			assert_non_null(hc_mem_ptr(vm, gpa, 1, false));
		assert_int_equal(cleaned[block], 1);
	}
	fake_on_clean = NULL;
}

/* --- Without large pages --- */

static void by_small_pages(void **state)
{
	const struct hc_vm_config config = {
		.name = "small", .arch = &fake_arch, .backend = &fake_backend, .cpus = 1
	};
	struct hc_vm *touched = vm;
	uint64_t before;

	assert_int_equal(hc_vm_create(&vm, &config), 0);
	hc_vm_use_small_pages(vm);
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(BASE), RAM), 0);
	before = test_allocated;
	for (unsigned i = 0; i < BLOCKS; i++) {
		test_fail_alloc = 1;
		assert_true(is_all(i, RUBBISH));
		hc_mem_fault(vm, gpa_of(BASE + i * HC_BLOCK_SIZE + 0x5000));
		assert_true(is_all(i, 0));
		assert_true(is_mapped(i));
		assert_int_equal(level_of(i), 0);
	}
	test_fail_alloc = 0;
	assert_int_equal(test_allocated, before);
	/* When all is mapped, nothing is merged. */
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(level_of(i), 0);
	assert_int_equal(hc_vm_destroy(vm), 0);
	vm = touched;
}

/* --- Blocks that are written as a whole --- */

static uint8_t image[4 * HC_BLOCK_SIZE];

/* When a block is cleaned, it is zero or what is written to it, never rubbish. */
static void on_clean_of_image(const void *p, uint64_t size)
{
	uint64_t block = 0;

	while (block < BLOCKS && host_of(block * HC_BLOCK_SIZE) != p)
		block++;
	assert_true(block < BLOCKS && size == HC_BLOCK_SIZE);
	atomic_fetch_add(&cleaned[block], is_all(block, 0) ? 1 : 100);
}

static void check_image(uint64_t at, uint64_t len)
{
	for (uint64_t i = 0; i < len;) {
		uint64_t n = hc_min(len - i, HC_PAGE_SIZE - (at + i) % HC_PAGE_SIZE);

		assert_memory_equal(host_of(at + i), image + i, n);
		i += n;
	}
}

/* Those that it fills take the data at once, if nobody has touched them: 3 and 4, not 6. */
static void written_as_a_whole(void **state)
{
	static const unsigned expected[BLOCKS] = {
		[2] = 1, [3] = 100, [4] = 100, [5] = 1, [6] = 1
	};
	uint64_t at = 3 * HC_BLOCK_SIZE - 100, len = 2 * HC_BLOCK_SIZE + 300;

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i * 7 + i / 4096 + 1);
	memset(cleaned, 0, sizeof(cleaned));
	fake_on_clean = on_clean_of_image;
	assert_int_equal(hc_mem_write(vm, gpa_of(BASE + at), image, len), 0);
	check_image(at, len);
	assert_int_equal(*host_of(at - 1), 0);
	assert_int_equal(*host_of(at + len), 0);
	hc_mem_fault(vm, gpa_of(BASE + 6 * HC_BLOCK_SIZE));
	assert_int_equal(hc_mem_write(vm, gpa_of(BASE + 6 * HC_BLOCK_SIZE), image, HC_BLOCK_SIZE),
	                 0);
	check_image(6 * HC_BLOCK_SIZE, HC_BLOCK_SIZE);
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_int_equal(cleaned[i], expected[i]);
		assert_int_equal(is_mapped(i), i == 6);
	}
	/* Again, over what is there now, and over all of memory. */
	assert_int_equal(hc_mem_write(vm, gpa_of(BASE + at + 8), image, len), 0);
	check_image(at + 8, len);
	for (uint64_t i = 0; i < RAM; i += sizeof(image))
		assert_int_equal(hc_mem_write(vm, gpa_of(BASE + i), image, sizeof(image)), 0);
	for (uint64_t i = 0; i < RAM; i += sizeof(image))
		check_image(i, sizeof(image));
	fake_on_clean = NULL;
}

/* --- Several CPUs --- */

#define THREADS 4
#define TIMES   400

static void count_clean(const void *p, uint64_t size)
{
	const struct hc_slot *s = vm->memory.slots;

	while ((const uint8_t *)p < s->host || (const uint8_t *)p >= s->host + s->size)
		s++;
	uint64_t offset = (uint64_t)((const uint8_t *)p - s->host) + (s->gpa - BASE);

	atomic_fetch_add(&cleaned[offset / HC_BLOCK_SIZE], 1);
}

/* Counts up a word of a block, through the pointer, or as a vCPU that faulted first. */
static void *toucher(void *arg)
{
	uint64_t own = *(uint64_t *)arg;

	for (unsigned n = 0; n < TIMES; n++) {
		uint64_t word = test_below(&own, BLOCKS * 4);
		gpa_t gpa = gpa_of(BASE + word * (HC_BLOCK_SIZE / 4));
		struct s2_mapping m = { 0 };
		_Atomic uint64_t *p;

		if (test_below(&own, 2)) {
			p = hc_mem_ptr(vm, gpa, 8, true);
		} else {
			hc_mem_fault(vm, gpa);
			hc_lock(&vm->memory_lock);
			int rc = s2_walk(&vm->s2, gpa, &m);

			hc_unlock(&vm->memory_lock);
			p = rc ? NULL : hc_platform_from_hpa(m.hpa);
		}
		if (!p)
			return arg;
		atomic_fetch_add(p, 1);
	}
	return NULL;
}

static void many_touch_the_same(void **state)
{
	uint64_t seeds[THREADS], sum = 0;
	pthread_t threads[THREADS];

	memset(cleaned, 0, sizeof(cleaned));
	fake_on_clean = count_clean;
	for (unsigned i = 0; i < THREADS; i++) {
		seeds[i] = i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL, toucher, &seeds[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	fake_on_clean = NULL;
	for (uint64_t word = 0; word < BLOCKS * 4; word++) {
		uint64_t value;

		memcpy(&value, host_of(word * (HC_BLOCK_SIZE / 4)), 8);
		sum += value;
	}
	assert_int_equal(sum, THREADS * TIMES);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(cleaned[i], 1);
}

/* --- What is not put off --- */

/* A backend that is not asked on faults: all memory is there, and zero, from the start. */
static void not_for_all_backends(void **state)
{
	struct hc_backend_ops blind = fake_backend;
	const struct hc_vm_config config = { .name = "blind",
		                             .arch = &fake_arch,
		                             .backend = &fake_backend,
		                             .other = &blind,
		                             .cpus = 1 };
	struct hc_vm *touched = vm;

	blind.s2_format = NULL;
	assert_int_equal(hc_vm_create(&vm, &config), 0);
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(BASE), RAM), 0);
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_true(is_all(i, 0));
		assert_true(is_mapped(i));
	}
	assert_int_equal(hc_vm_destroy(vm), 0);
	vm = touched;
}

/* Nor what is less than a block; and a slot of somebody else's is as it is. */
static void not_for_small_pieces(void **state)
{
	static _Alignas(4096) uint8_t mine[HC_PAGE_SIZE];
	struct s2_mapping m;

	memset(mine, 0x5a, sizeof(mine));
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(HC_MIB), HC_BLOCK_SIZE), 0);
	for (uint64_t gpa = HC_MIB; gpa < HC_MIB + HC_BLOCK_SIZE; gpa += HC_PAGE_SIZE) {
		assert_int_equal(s2_walk(&vm->s2, gpa_of(gpa), &m), 0);
		assert_int_equal(*(uint8_t *)hc_platform_from_hpa(m.hpa), 0);
	}
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0), sizeof(mine), mine, 0), 0);
	assert_int_equal(mine[0], 0x5a);
	assert_int_equal(s2_walk(&vm->s2, gpa_of(0), &m), 0);
}

/* Each allocation fails once: the VM has no memory then that it cannot use, and nothing leaks. */
static void no_memory_for_it(void **state)
{
	unsigned failed = 0;

	for (unsigned n = 1;; n++) {
		struct hc_vm *other = fake_vm("other", 1);

		assert_non_null(other);
		test_fail_alloc = n;
		int rc = hc_vm_add_ram(other, gpa_of(BASE), RAM);
		bool was_met = !test_fail_alloc;

		test_fail_alloc = 0;
		for (uint64_t at = BASE; !rc && at < BASE + RAM; at += HC_BLOCK_SIZE)
			hc_mem_fault(other, gpa_of(at));
		assert_int_equal(hc_vm_state(other), HC_VM_CREATED);
		assert_int_equal(hc_vm_destroy(other), 0);
		if (!was_met)
			break;
		failed += rc == -ENOMEM;
	}
	assert_true(failed > 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(touched_by_anybody),   TEST(touched_across_a_border),
		TEST(contents_stay),        TEST(faults_allocate_nothing),
		TEST(logged_by_pages),      TEST(no_memory_for_a_log),
		TEST(clean_before_use),     TEST(written_as_a_whole),
		TEST(by_small_pages),       TEST(many_touch_the_same),
		TEST(not_for_all_backends), TEST(not_for_small_pieces),
		TEST(no_memory_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
