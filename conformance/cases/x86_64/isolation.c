/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State that belongs to a CPU of a VM: it is as it was left, whatever the hypervisor, the VM's
 * other CPUs and other VMs do on the physical CPU meanwhile. The values differ from run to run, so
 * that VMs side by side hold different ones.
 */
#include "guest/arch.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#define HOLD_MS 40u
#define ROUNDS  30u

/* SDM Vol. 1 13.4: the standard format; AVX state where CPUs have it, by CPUID.0DH. */
#define AREA_BYTES     2048u
#define AREA_FCW       0u
#define AREA_MXCSR     24u
#define AREA_ST        32u
#define AREA_XMM       160u
#define AREA_XSTATE_BV 512u

static uint8_t areas[CPUS_MAX][2][AREA_BYTES] __attribute__((aligned(64)));
static bool xsave, avx;
static uint32_t ymm_offset;

static uint64_t mix(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint64_t fresh_seed(void)
{
	return (rdtsc() + this_cpu() + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void put(uint8_t *area, uint32_t offset, unsigned int bytes, uint64_t *seed)
{
	for (unsigned int n = 0; n < bytes; n++)
		area[offset + n] = (uint8_t)mix(seed);
}

/* Control words that are allowed and not those at reset, full x87, XMM and YMM registers. */
static void fill_area(uint8_t *area, uint64_t seed)
{
	static const uint16_t control_words[] = { 0x37f, 0xf7f, 0x27f, 0x77f };
	uint32_t mxcsr = 0x1f80 | (uint32_t)(mix(&seed) & 3) << 13;

	memset(area, 0, AREA_BYTES);
	memcpy(area + AREA_FCW, &control_words[mix(&seed) & 3], 2);
	area[4] = 0xff; /* FTW: none is empty */
	memcpy(area + AREA_MXCSR, &mxcsr, 4);
	for (unsigned int n = 0; n < 8; n++) {
		put(area, AREA_ST + 16 * n, 10, &seed);
		area[AREA_ST + 16 * n + 7] |= 0x80; /* the integer bit */
		area[AREA_ST + 16 * n + 9] &= 0x3f; /* no infinity */
	}
	put(area, AREA_XMM, 256, &seed);
	area[AREA_XSTATE_BV] = avx ? 7 : 3;
	if (avx)
		put(area, ymm_offset, 256, &seed);
}

static void load_area(const uint8_t *area)
{
	if (xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(7), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static void save_area(uint8_t *area)
{
	if (xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(7), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void check_bytes(const char *what, const uint8_t *got, const uint8_t *expected,
                        uint32_t offset, uint32_t bytes)
{
	for (uint32_t n = offset; n < offset + bytes; n++)
		if (got[n] != expected[n])
			FAIL("%s, byte %u: expected %#x, got %#x", what, n - offset, expected[n],
			     got[n]);
}

static void check_area(void)
{
	const uint8_t *expected = areas[this_cpu()][0];
	uint8_t *got = areas[this_cpu()][1];

	save_area(got);
	check_bytes("x87 control word", got, expected, AREA_FCW, 2);
	check_bytes("MXCSR", got, expected, AREA_MXCSR, 4);
	for (unsigned int n = 0; n < 8; n++)
		check_bytes("x87 register", got, expected, AREA_ST + 16 * n, 10);
	check_bytes("XMM registers", got, expected, AREA_XMM, 256);
	if (avx)
		check_bytes("YMM registers", got, expected, ymm_offset, 256);
}

/* Of this CPU. */
static void enable_vectors(void)
{
	if (!xsave)
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(0, avx ? 7 : 3);
}

static void prepare(void)
{
	xsave = has(F_XSAVE);
	avx = xsave && has(F_AVX) && cpuid(0xd, 0).eax & 4;
	ymm_offset = avx ? cpuid(0xd, 2).ebx : 0;
	if (ymm_offset + 256 > AREA_BYTES)
		error("an XSAVE area that is too large");
}

static void new_vectors(void)
{
	uint8_t *area = areas[this_cpu()][0];

	fill_area(area, fresh_seed());
	load_area(area);
}

static void hold(unsigned int milliseconds)
{
	for (struct limit limit = limit_of(milliseconds); !limit_passed(&limit);)
		;
}

static void exits(void)
{
	in8(0x61);
	cpuid(0, 0);
	apic_read(APIC_ID);
}

static void vectors_with_exits(void *argument)
{
	enable_vectors();
	for (unsigned int n = 0; n < ROUNDS; n++) {
		new_vectors();
		for (unsigned int turns = 0; turns < 20; turns++)
			exits();
		check_area();
	}
}

static void vectors_held(void *argument)
{
	enable_vectors();
	for (unsigned int n = 0; n < 3; n++) {
		new_vectors();
		hold(HOLD_MS / 3);
		check_area();
	}
}

static void on_all(void (*function)(void *argument))
{
	for (unsigned int n = 1; n < cpu_count(); n++)
		start_cpu(n, function, NULL);
	function(NULL);
	for (unsigned int n = 1; n < cpu_count(); n++)
		wait_cpu(n);
}

#define REGISTERS "SDM Vol. 1 8.1, 10.2, 14.1: registers keep what was written; "

TEST(vectors_over_exits, REGISTERS "whatever traps")
{
	prepare();
	vectors_with_exits(NULL);
}

TEST(vectors_over_time, REGISTERS "whoever runs in between")
{
	prepare();
	vectors_held(NULL);
}

TEST_SMP(vectors_of_cpus, 2, "SDM Vol. 3A 8.7.1: each CPU has its own x87, SSE and AVX registers")
{
	prepare();
	on_all(vectors_with_exits);
}

TEST_SMP(vectors_of_cpus_over_time, 2, "SDM Vol. 3A 8.7.1: each CPU has its own")
{
	prepare();
	on_all(vectors_held);
}

static void pause_tick(struct frame *frame)
{
	apic_write(APIC_EOI, 0);
}

TEST(vectors_over_halts, REGISTERS "while the CPU sleeps, too")
{
	prepare();
	enable_vectors();
	handle(0x61, pause_tick);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, 0x61);
	for (unsigned int n = 0; n < 10; n++) {
		new_vectors();
		apic_write(APIC_TIMER_INITIAL, 200000);
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		check_area();
	}
}

/* ---- MSRs, control and debug registers ---- */

static const struct {
	uint32_t msr;
	uint64_t mask; /* what any value may have */
} msrs[] = {
	{ MSR_STAR, UINT64_MAX },
	{ MSR_LSTAR, 0x7fffffffffff },
	{ MSR_CSTAR, 0x7fffffffffff },
	{ MSR_SFMASK, 0xffffffff },
	{ MSR_FS_BASE, 0x7fffffffffff },
	{ MSR_GS_BASE, 0x7fffffffffff },
	{ MSR_KERNEL_GS_BASE, 0x7fffffffffff },
	{ MSR_SYSENTER_CS, 0xffff },
};
#define MSRS (sizeof(msrs) / sizeof(msrs[0]))

static void system_registers(void *argument)
{
	for (unsigned int n = 0; n < ROUNDS; n++) {
		uint64_t seed = fresh_seed(), values[MSRS], cr2 = mix(&seed), dr[4],
			 tpr = mix(&seed) & 0xf;

		for (unsigned int m = 0; m < MSRS; m++)
			wrmsr(msrs[m].msr, values[m] = mix(&seed) & msrs[m].mask);
		for (unsigned int m = 0; m < 4; m++)
			dr[m] = mix(&seed) & 0x7fffffffffff;
		write_dr0(dr[0]);
		write_dr1(dr[1]);
		write_dr2(dr[2]);
		write_dr3(dr[3]);
		write_cr2(cr2);
		write_cr8(tpr);
		if (n % 8)
			exits();
		else
			hold(2);
		for (unsigned int m = 0; m < MSRS; m++)
			CHECK_EQ(rdmsr(msrs[m].msr), values[m]);
		CHECK_EQ(read_dr0(), dr[0]);
		CHECK_EQ(read_dr1(), dr[1]);
		CHECK_EQ(read_dr2(), dr[2]);
		CHECK_EQ(read_dr3(), dr[3]);
		CHECK_EQ(read_cr2(), cr2);
		CHECK_EQ(read_cr8(), tpr);
		CHECK_EQ(apic_read(APIC_TPR), tpr << 4);
	}
}

TEST(system_registers_over_time, "SDM Vol. 3A 2.1: they keep what was written")
{
	system_registers(NULL);
}

TEST_SMP(system_registers_of_cpus, 2,
         "SDM Vol. 3A 8.7.2, 8.7.3: each CPU has its own MSRs, control and debug registers")
{
	on_all(system_registers);
}

/* ---- Memory ---- */

#define HELD_FROM UINT64_C(0x9000000)
#define HELD_TO   UINT64_C(0x9800000)

TEST(memory_over_time, "SDM Vol. 3A 3.3: a VM's memory holds what it has written there itself")
{
	uint64_t seed = fresh_seed(), again = seed;

	for (uint64_t at = HELD_FROM; at < HELD_TO; at += 512)
		*(volatile uint64_t *)at = mix(&seed);
	hold(HOLD_MS);
	for (uint64_t at = HELD_FROM; at < HELD_TO; at += 512) {
		uint64_t expected = mix(&again), got = *(volatile uint64_t *)at;

		if (got != expected)
			FAIL("at %#lx: expected %#lx, got %#lx", at, expected, got);
	}
}

/* ---- Devices ---- */

TEST(devices_over_time, "8259A, MC146818A, 82093AA data sheets: registers keep what was written")
{
	uint64_t seed = fresh_seed();
	uint8_t mask = (uint8_t)mix(&seed), ram = (uint8_t)mix(&seed), before;
	uint32_t entry = 0x10000 | (uint32_t)(mix(&seed) & 0xff);
	uint64_t initial = mix(&seed) & 0xffffffff;

	out8(0x70, 0xfe);
	before = in8(0x71);
	out8(0x71, ram);
	out8(0x21, mask);
	ioapic_write(0x3e, entry);
	apic_write(APIC_TIMER, 0x10040);
	apic_write(APIC_TIMER_INITIAL, (uint32_t)initial);
	hold(HOLD_MS);
	CHECK_EQ(in8(0x71), ram);
	CHECK_EQ(in8(0x21), mask);
	CHECK_EQ(ioapic_read(0x3e), entry);
	CHECK_EQ(apic_read(APIC_TIMER_INITIAL), initial);
	out8(0x71, before);
}
