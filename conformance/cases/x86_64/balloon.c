/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory given to a virtio balloon on the PCI bus, and taken back while CPUs use what is next to
 * it. Virtual I/O Device (VIRTIO) 1.1.
 */
#include "guest/arch.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#include <stdatomic.h>

#define VIRTIO_VENDOR 0x1af4u
#define BALLOON       0x1045u /* 5.5.1 and 4.1.2.1: 1040H and the device's number, */
#define TRANSITIONAL  0x1002u /* or that of devices which have the older interface, too */

enum { INFLATE, DEFLATE, QUEUES };
#define QUEUE_SIZE 4u

/* 4.1.4.3: offsets of the common configuration. */
enum {
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_LENGTH = 0x18,
	QUEUE_ENABLE = 0x1c,
	NOTIFY_OFFSET = 0x1e,
	QUEUE_DESCRIPTORS = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 }; /* 2.1 */

/* 2.6.5 to 2.6.8: a split queue. */
struct queue {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} descriptors[QUEUE_SIZE];
	struct {
		uint16_t flags, index, ring[QUEUE_SIZE], event;
	} available;
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, length;
		} ring[QUEUE_SIZE];
	} used __attribute__((aligned(4)));
};

static struct queue *queues[QUEUES];
static uint64_t common, notify[QUEUES];
static uint32_t *frames; /* the numbers of pages that are given or taken */

static uint32_t config(unsigned int device, unsigned int offset)
{
	out32(0xcf8, BIT(31) | device << 11 | (offset & 0xfc));
	return in32(0xcfc);
}

static void set_config(unsigned int device, unsigned int offset, uint32_t value)
{
	config(device, offset);
	out32(0xcfc, value);
}

static unsigned int find_balloon(void)
{
	for (unsigned int device = 0; device < 32; device++) {
		uint32_t id = config(device, 0);

		if (id == (BALLOON << 16 | VIRTIO_VENDOR) ||
		    id == (TRANSITIONAL << 16 | VIRTIO_VENDOR))
			return device;
	}
	skip("a virtio balloon on PCI bus 0");
}

/* Where a capability's structure is, mapped: window n of 2 MiB. */
static uint64_t map_structure(unsigned int device, unsigned int capability, unsigned int window)
{
	unsigned int bar = config(device, capability + 4) & 0xff;
	uint64_t address = config(device, 0x10 + 4 * bar);
	uint64_t at = FREE_SPACE + window * (uint64_t)PAGE_2M;

	if (address & 1)
		skip("virtio structures in memory");
	if ((address & 6) == 4)
		address |= (uint64_t)config(device, 0x14 + 4 * bar) << 32;
	address = (address & ~UINT64_C(15)) + config(device, capability + 8);
	page_map(at, address & ~UINT64_C(0x1fffff), PTE_P | PTE_W | PTE_PCD, 2);
	return at + (address & 0x1fffff);
}

static unsigned int find_capability(unsigned int device, unsigned int type)
{
	unsigned int at = config(device, 0x34) & 0xfc;

	for (unsigned int n = 0; at && n < 48; n++) {
		uint32_t head = config(device, at);

		if ((head & 0xff) == 9 && head >> 24 == type)
			return at;
		at = head >> 8 & 0xfc;
	}
	skip("virtio 1.0's capabilities");
}

static void start_queue(unsigned int n, uint64_t notifications, uint32_t multiplier)
{
	queues[n] = page_alloc();
	store16(common + QUEUE_SELECT, (uint16_t)n);
	if (load16(common + QUEUE_LENGTH) < QUEUE_SIZE)
		error("a queue is too short");
	store16(common + QUEUE_LENGTH, QUEUE_SIZE);
	store64(common + QUEUE_DESCRIPTORS, (uint64_t)queues[n]->descriptors);
	store64(common + QUEUE_DRIVER, (uint64_t)&queues[n]->available);
	store64(common + QUEUE_DEVICE, (uint64_t)&queues[n]->used);
	notify[n] = notifications + (uint64_t)load16(common + NOTIFY_OFFSET) * multiplier;
	store16(common + QUEUE_ENABLE, 1);
}

/* 3.1.1. Without VIRTIO_BALLOON_F_MUST_TELL_HOST. */
static void start_balloon(void)
{
	unsigned int device = find_balloon(), capability = find_capability(device, 1);
	unsigned int where = find_capability(device, 2);
	uint64_t notifications;

	set_config(device, 4, (config(device, 4) & 0xffff) | 6); /* memory, bus master */
	common = map_structure(device, capability, 0);
	notifications = map_structure(device, where, 1);
	store8(common + STATUS, 0);
	CHECK(WAIT_FOR(load8(common + STATUS) == 0));
	store8(common + STATUS, ACKNOWLEDGE | DRIVER);
	for (uint32_t n = 0; n < 2; n++) {
		store32(common + DRIVER_FEATURE_SELECT, n);
		store32(common + DRIVER_FEATURE, n); /* VIRTIO_F_VERSION_1 */
	}
	store8(common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	CHECK(load8(common + STATUS) & FEATURES_OK);
	for (unsigned int n = 0; n < QUEUES; n++)
		start_queue(n, notifications, config(device, where + 16));
	frames = page_alloc();
	store8(common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* Pages of a 2 MiB range, every other one from first on. */
static void tell(unsigned int n, uint64_t range, unsigned int first, unsigned int count)
{
	struct queue *queue = queues[n];
	uint16_t index = queue->available.index;

	for (unsigned int page = 0; page < count; page++)
		frames[page] = (uint32_t)(range / PAGE) + first + 2 * page;
	queue->descriptors[0].address = (uint64_t)frames;
	queue->descriptors[0].length = 4 * count;
	queue->available.ring[index % QUEUE_SIZE] = 0;
	atomic_thread_fence(memory_order_seq_cst);
	*(volatile uint16_t *)&queue->available.index = (uint16_t)(index + 1);
	atomic_thread_fence(memory_order_seq_cst);
	store16(notify[n], (uint16_t)n);
	if (!WAIT_FOR(*(volatile uint16_t *)&queue->used.index == (uint16_t)(index + 1)))
		FAIL("the device does not use what it was given");
}

#define RANGE(n) (UINT64_C(0xa000000) + (n)*PAGE_2M)

static void fill(uint64_t range)
{
	for (uint64_t page = 0; page < PAGE_2M / PAGE; page++)
		store64(range + page * PAGE + 8, page ^ 0x5555);
}

/* Pages that were never given, between those that were. */
static void check_others(uint64_t range)
{
	for (uint64_t page = 1; page < PAGE_2M / PAGE; page += 2)
		CHECK_EQ(load64(range + page * PAGE + 8), page ^ 0x5555);
}

TEST(given_back, "VIRTIO 1.1, 5.5.6: pages taken back are memory again; others have not changed")
{
	start_balloon();
	fill(RANGE(0));
	for (unsigned int turns = 0; turns < 4; turns++) {
		tell(INFLATE, RANGE(0), 0, 256);
		check_others(RANGE(0));
		tell(DEFLATE, RANGE(0), 0, 256);
		for (uint64_t page = 0; page < 512; page += 2)
			store64(RANGE(0) + page * PAGE + 16, page + turns);
		for (uint64_t page = 0; page < 512; page += 2)
			CHECK_EQ(load64(RANGE(0) + page * PAGE + 16), page + turns);
		check_others(RANGE(0));
	}
}

TEST(used_without_telling,
     "VIRTIO 1.1, 5.5.6: without MUST_TELL_HOST the driver may use a page before it takes it back")
{
	start_balloon();
	fill(RANGE(1));
	tell(INFLATE, RANGE(1), 0, 256);
	for (uint64_t page = 0; page < 512; page += 2) {
		uint64_t one = 1, before = load64(RANGE(1) + page * PAGE);

		__asm__ volatile("lock xaddq %0, (%1)"
		                 : "+r"(one)
		                 : "r"(RANGE(1) + page * PAGE)
		                 : "memory", "cc");
		CHECK_EQ(one, before);
		CHECK_EQ(load64(RANGE(1) + page * PAGE), before + 1);
	}
	tell(DEFLATE, RANGE(1), 0, 256);
	check_others(RANGE(1));
}

TEST(code_and_tables_after,
     "VIRTIO 1.1, 5.5.6: memory that was given and taken back does for code and page tables")
{
	uint64_t table = RANGE(2), code = RANGE(2) + 2 * PAGE;
	uint32_t eax;

	start_balloon();
	for (uint32_t n = 1; n < 10; n++) {
		tell(INFLATE, RANGE(2), 0, 4);
		tell(DEFLATE, RANGE(2), 0, 4);
		for (uint64_t entry = 0; entry < 512; entry++)
			store64(table + 8 * entry, entry == n ? code | PTE_P | PTE_W : 0);
		*page_entry(kernel_pml4, 4, FREE_SPACE + PAGE_1G, 2) = table | PTE_P | PTE_W;
		flush_all();
		store8(code, 0xb8); /* mov $n, %eax; ret */
		store32(code + 1, n);
		store8(code + 5, 0xc3);
		__asm__ volatile("callq *%1"
		                 : "=a"(eax)
		                 : "r"(FREE_SPACE + PAGE_1G + n * PAGE)
		                 : "memory");
		CHECK_EQ(eax, n);
	}
}

static atomic_bool enough;
static atomic_uint busy;
static uint64_t added[CPUS_MAX];

static void use_others(void *argument)
{
	unsigned int cpu = this_cpu();

	atomic_fetch_add(&busy, 1);
	for (uint64_t page = 1; !atomic_load(&enough); page = (page + 2) % 512) {
		__asm__ volatile("lock incq (%0)" : : "r"(RANGE(3) + page * PAGE) : "memory", "cc");
		added[cpu]++;
	}
}

TEST_SMP(while_others_run, 2,
         "VIRTIO 1.1, 5.5.6: only the pages named are concerned, whoever uses the rest meanwhile")
{
	uint64_t sum = 0;

	start_balloon();
	for (uint64_t page = 0; page < 512; page++)
		store64(RANGE(3) + page * PAGE, 0);
	atomic_store(&enough, false);
	atomic_store(&busy, 0);
	for (unsigned int n = 1; n < cpu_count(); n++) {
		added[n] = 0;
		start_cpu(n, use_others, NULL);
	}
	CHECK(WAIT_FOR(atomic_load(&busy) == cpu_count() - 1));
	for (unsigned int turns = 0; turns < 20; turns++) {
		tell(INFLATE, RANGE(3), 2 * turns, 128);
		tell(DEFLATE, RANGE(3), 2 * turns, 128);
		store64(RANGE(3) + 2 * turns * PAGE, turns);
		CHECK_EQ(load64(RANGE(3) + 2 * turns * PAGE), turns);
	}
	atomic_store(&enough, true);
	for (unsigned int n = 1; n < cpu_count(); n++) {
		wait_cpu(n);
		sum += added[n];
	}
	for (uint64_t page = 1; page < 512; page += 2)
		sum -= load64(RANGE(3) + page * PAGE);
	CHECK_EQ(sum, 0);
}
