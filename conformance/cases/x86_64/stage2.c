/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees of the second stage of translation, which it should not: its memory is mapped
 * by large pages that a hypervisor splits, protects and fills while CPUs use them. The local APIC's
 * page is moved over RAM, the ROM area's shadow is switched, writes are logged (the targets that do
 * so), and all others keep on using what is next to it.
 */
#include "guest/arch.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#include <stdatomic.h>

/* Memory that these cases alone use, and find untouched: at the beginning of a large page. */
#define REGION(n)    (UINT64_C(0x8000000) + (n)*PAGE_2M)
#define REGION_PAGES (PAGE_2M / PAGE)

static atomic_bool enough;
static atomic_uint busy;
static uint64_t region;
static uint64_t added[CPUS_MAX];

/* ---- Others that use the large page ---- */

/* Each page's words from 64 * CPU on are this CPU's; word 0 is everybody's. */
static uint64_t word_of(uint64_t page, unsigned int cpu)
{
	return region + page * PAGE + 64 * (cpu + 1);
}

static void lock_inc(uint64_t at)
{
	__asm__ volatile("lock incq (%0)" : : "r"(at) : "memory", "cc");
}

/* One page's turn: reads, writes, locked instructions. */
static void use_page(uint64_t page)
{
	unsigned int cpu = this_cpu();
	uint64_t own = word_of(page, cpu), before = load64(own);

	store64(own, before + 1);
	lock_inc(own + 8);
	lock_inc(region + page * PAGE);
	if (load64(own) != before + 1 || load64(own + 8) != before + 1)
		FAIL("page %lu: %lx and %lx after %lx and one", page, load64(own), load64(own + 8),
		     before);
	added[cpu]++;
}

/* All pages but the first, which the cases take away. */
static void use_region(void *argument)
{
	uint64_t page = this_cpu() * 37;

	atomic_fetch_add(&busy, 1);
	while (!atomic_load(&enough)) {
		page = (page * 5 + 1) % REGION_PAGES;
		if (page)
			use_page(page);
	}
}

static void start_users(uint64_t at)
{
	region = at;
	atomic_store(&enough, false);
	atomic_store(&busy, 0);
	for (unsigned int n = 0; n < CPUS_MAX; n++)
		added[n] = 0;
	for (uint64_t n = 0; n < REGION_PAGES; n++)
		memset((void *)(region + n * PAGE), 0, 64 * (CPUS_MAX + 1));
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, use_region, NULL);
	CHECK(WAIT_FOR(atomic_load(&busy) == cpu_count() - 1));
}

/* What all have added is there. */
static void end_users(void)
{
	uint64_t expected = 0, sum = 0;

	atomic_store(&enough, true);
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
	for (unsigned int n = 0; n < cpu_count(); n++)
		expected += added[n];
	for (uint64_t n = 1; n < REGION_PAGES; n++)
		sum += load64(region + n * PAGE);
	CHECK_EQ(sum, expected);
}

#define SAME_MEMORY "SDM Vol. 3A 8.1, 8.2: what CPUs write to memory stays, none is lost"

TEST_SMP(large_page_in_use, 2, SAME_MEMORY)
{
	start_users(REGION(0));
	for (struct limit limit = limit_of(60); !limit_passed(&limit);)
		for (uint64_t page = 1; page < REGION_PAGES; page += 7)
			use_page(page);
	end_users();
}

/* Each CPU sets its bit in every page: whatever was there, all bits are to be. */
static void first_use(void *argument)
{
	uint64_t mine = BIT(this_cpu());

	atomic_fetch_add(&busy, 1);
	while (atomic_load(&busy) < cpu_count())
		arch_relax();
	for (uint64_t page = 0; page < 2 * REGION_PAGES; page++)
		__asm__ volatile("lock orq %0, (%1)"
		                 :
		                 : "r"(mine), "r"(region + page * PAGE + 0x100)
		                 : "memory", "cc");
}

TEST_SMP(first_use_together, 2,
         SAME_MEMORY ": memory that a hypervisor has to find, by all CPUs at once")
{
	uint64_t all = BIT(cpu_count()) - 1;

	region = REGION(1);
	atomic_store(&busy, 0);
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, first_use, NULL);
	first_use(NULL);
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
	for (uint64_t page = 0; page < 2 * REGION_PAGES; page++)
		CHECK_EQ(load64(region + page * PAGE + 0x100) & all, all);
}

/* Code in the large page that is written all the time. */
TEST_SMP(code_in_large_page, 2, "SDM Vol. 3A 8.1.3, 11.6: code next to data that others write")
{
	uint64_t at = REGION(0) + 0xe00; /* page 0: nobody else's */

	start_users(REGION(0));
	for (uint32_t n = 1; n < 200; n++) {
		uint32_t eax;

		store8(at, 0xb8); /* mov $n, %eax; ret */
		store32(at + 1, n);
		store8(at + 5, 0xc3);
		__asm__ volatile("callq *%1" : "=a"(eax) : "r"(at) : "memory");
		CHECK_EQ(eax, n);
		use_page(n);
	}
	end_users();
}

/* ---- The local APIC over RAM ---- */

static void move_apic(uint64_t to)
{
	wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) & 0xfff) | to);
}

static void need_moving(void)
{
	fault_expect();
	move_apic(REGION(3));
	if (fault_end().vector != FAULT_NONE)
		skip("a local APIC whose base can be changed");
	move_apic(APIC_DEFAULT);
}

TEST(apic_over_ram, "SDM Vol. 3A 10.4.5: its registers are at the base; the RAM there is hidden")
{
	uint64_t at = REGION(3);
	uint32_t version = apic_read(APIC_VERSION), there, elsewhere;

	need_moving();
	for (uint64_t n = 0; n < PAGE; n += 8)
		store64(at + n, n * 0x1111);
	for (unsigned int turns = 0; turns < 5; turns++) {
		move_apic(at);
		there = load32(at + APIC_VERSION);
		elsewhere = load32(APIC_DEFAULT + APIC_VERSION);
		store32(at + APIC_TPR, 0x50 + turns);
		CHECK_EQ(read_cr8(), 5);
		CHECK_EQ(load32(at + APIC_TPR), 0x50 + turns);
		store64(at + PAGE, turns);
		CHECK_EQ(load64(at + PAGE), turns);
		move_apic(APIC_DEFAULT);
		CHECK_EQ(there, version);
		CHECK(elsewhere != version);
		CHECK_EQ(apic_read(APIC_TPR), 0x50 + turns);
	}
	for (uint64_t n = 0; n < PAGE; n += 8)
		CHECK_EQ(load64(at + n), n * 0x1111);
}

TEST_SMP(apic_over_ram_of_others, 2,
         "SDM Vol. 3A 10.4.5: each CPU's base is its own; others see the RAM, and lose none of it")
{
	uint32_t version = apic_read(APIC_VERSION);

	need_moving();
	start_users(REGION(4));
	for (unsigned int turns = 0; turns < 50; turns++) {
		move_apic(region);
		CHECK_EQ(load32(region + APIC_VERSION), version);
		for (uint64_t page = 1; page < 8; page++)
			use_page(page);
		move_apic(APIC_DEFAULT);
		CHECK_EQ(load32(APIC_DEFAULT + APIC_VERSION), version);
		use_page(100 + turns);
	}
	end_users();
}

static volatile uint64_t seen_there;
static atomic_bool moved;

static void read_there(void *argument)
{
	atomic_store(&busy, 1);
	while (!atomic_load(&moved))
		arch_relax();
	seen_there = load64(region + 0x30);
	store64(region + 0x38, 0x77);
	atomic_store(&busy, 2);
}

TEST_SMP(apic_over_ram_is_per_cpu, 2, "SDM Vol. 3A 10.4.4: IA32_APIC_BASE is each CPU's own")
{
	need_moving();
	region = REGION(5);
	store64(region + 0x30, 0x12345);
	store64(region + 0x38, 0);
	atomic_store(&busy, 0);
	atomic_store(&moved, false);
	start_cpu(1, read_there, NULL);
	CHECK(WAIT_FOR(atomic_load(&busy) == 1));
	move_apic(region);
	atomic_store(&moved, true);
	WAIT_FOR(atomic_load(&busy) == 2);
	move_apic(APIC_DEFAULT);
	wait_cpu(1);
	CHECK_EQ(seen_there, 0x12345);
	CHECK_EQ(load64(region + 0x38), 0x77);
}

/* ---- Shadow RAM ---- */

#define SHADOW UINT64_C(0xd4000) /* 16 KiB: free on PCs, with a register of its own */
#define I440FX 0x12378086u
#define Q35    0x29c08086u
#define PAM_RE 1u
#define PAM_WE 2u

static uint32_t host_bridge(uint32_t offset)
{
	out32(0xcf8, BIT(31) | (offset & ~3u));
	return in32(0xcfc);
}

/* PAM3: the lower half is D0000 to D3FFF, the upper one D4000 to D7FFF. */
static void set_pam(unsigned int enable)
{
	uint16_t offset = host_bridge(0) == I440FX ? 0x5c : 0x93;

	host_bridge(offset);
	out8((uint16_t)(0xcfc + offset % 4),
	     (uint8_t)((in8((uint16_t)(0xcfc + offset % 4)) & 0xf) | enable << 4));
}

static void need_pam(void)
{
	uint32_t id = host_bridge(0);

	if (id != I440FX && id != Q35)
		skip("an 82441FX or Q35 host bridge");
}

TEST(shadow_ram,
     "82441FX data sheet 3.2.19: PAM: reads and writes to DRAM or to PCI, each by a bit")
{
	uint64_t pci;

	need_pam();
	set_pam(0);
	pci = load64(SHADOW);
	store64(SHADOW, ~pci);
	CHECK_EQ(load64(SHADOW), pci);
	set_pam(PAM_RE | PAM_WE);
	store64(SHADOW, UINT64_C(0x5a5a123456789abc));
	CHECK_EQ(load64(SHADOW), UINT64_C(0x5a5a123456789abc));
	set_pam(0);
	CHECK_EQ(load64(SHADOW), pci);
	set_pam(PAM_RE);
	CHECK_EQ(load64(SHADOW), UINT64_C(0x5a5a123456789abc));
	set_pam(0);
}

TEST(shadow_ram_read_only, "82441FX data sheet 3.2.19: with RE alone writes do not change the DRAM")
{
	uint64_t rdi = SHADOW, rcx = 8;
	uint32_t one = 1;
	uint8_t zero;

	need_pam();
	set_pam(PAM_RE | PAM_WE);
	memset((void *)SHADOW, 0x11, PAGE);
	set_pam(PAM_RE);
	store8(SHADOW, 0x22);
	store64(SHADOW + 0xffc, 0x33);
	__asm__ volatile("lock xaddl %0, (%1)" : "+r"(one) : "r"(SHADOW + 4) : "memory", "cc");
	__asm__ volatile("rep stosq" : "+D"(rdi), "+c"(rcx) : "a"(0) : "memory");
	__asm__ volatile("subl $0x11111111, (%1); setz %0"
	                 : "=q"(zero)
	                 : "r"(SHADOW)
	                 : "memory", "cc");
	CHECK_EQ(one, 0x11111111);
	CHECK_EQ(rdi, SHADOW + 64);
	CHECK_EQ(zero, 1);
	for (uint64_t at = SHADOW; at < SHADOW + PAGE; at += 8)
		CHECK_EQ(load64(at), UINT64_C(0x1111111111111111));
	set_pam(0);
}

TEST(shadow_ram_runs, "82441FX data sheet 3.2.19: code in shadow RAM, writable or not")
{
	static const unsigned int modes[] = { PAM_RE | PAM_WE, PAM_RE };

	need_pam();
	for (uint32_t n = 1; n < 20; n++) {
		uint32_t eax;

		set_pam(PAM_RE | PAM_WE);
		store8(SHADOW + 0x40, 0xb8); /* mov $n, %eax; ret */
		store32(SHADOW + 0x41, n);
		store8(SHADOW + 0x45, 0xc3);
		set_pam(modes[n % 2]);
		__asm__ volatile("callq *%1" : "=a"(eax) : "r"(SHADOW + 0x40) : "memory");
		CHECK_EQ(eax, n);
	}
	set_pam(0);
}

TEST_SMP(shadow_ram_while_others_run, 2,
         "82441FX data sheet 3.2.19: switching it disturbs nobody who uses other memory")
{
	need_pam();
	start_users(REGION(6));
	for (uint32_t n = 1; n < 40; n++) {
		set_pam(n % 4);
		use_page(n);
	}
	set_pam(0);
	end_users();
}
