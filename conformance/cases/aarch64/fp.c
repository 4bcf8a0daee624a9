/* SPDX-License-Identifier: BSD-2-Clause */
/* SIMD and floating-point registers (Arm ARM B1.2): each CPU's own, kept over all that comes
 * between. */
#include "guest/aarch64/kernel.h"
#include "guest/arch.h"

/* Different for each CPU and round. */
static struct vectors pattern(uint64_t seed)
{
	struct vectors made = { .fpcr = (seed & 3) << 22 | (seed >> 2 & 1) << 24,
		                .fpsr = seed & 0x1f };

	for (unsigned int n = 0; n < 32; n++) {
		made.v[n][0] = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + n;
		made.v[n][1] = ~made.v[n][0] * 3;
	}
	return made;
}

static void check_vectors(const struct place *place, const struct vectors *expected)
{
	static struct vectors got[CPUS_MAX];
	struct vectors *mine = &got[this_cpu()];

	vectors_store(mine);
	for (unsigned int n = 0; n < 32; n++)
		if (mine->v[n][0] != expected->v[n][0] || mine->v[n][1] != expected->v[n][1])
			fail(place, "V%u: expected %#lx:%#lx, got %#lx:%#lx", n, expected->v[n][1],
			     expected->v[n][0], mine->v[n][1], mine->v[n][0]);
	check_equal(place, "FPCR", mine->fpcr, expected->fpcr);
	check_equal(place, "FPSR", mine->fpsr, expected->fpsr);
}

TEST(kept, "Arm ARM B1.2: all 32 registers, FPCR and FPSR")
{
	for (unsigned int n = 0; n < 64; n++) {
		struct vectors v = pattern(n);

		vectors_load(&v);
		check_vectors(HERE, &v);
	}
}

/* What a hypervisor may be entered by. */
static void between(void)
{
	uint64_t x[8] = { 0, machine.gicd };

	load32(machine.uart + 0x18);
	firmware(PSCI_VERSION, 0, 0, 0);
	sysreg_read(SYSREG(3, 0, 0, 4, 0));
	if (machine.gic_version) {
		execute(0xb8404420, x); /* LDR W0, [X1], #4 */
		doze();
	}
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION | 1, load64(WINDOW));
}

TEST(over_exits,
     "Arm ARM B1.2, DEN 0028 3.1: device accesses, calls, interrupts, WFI and aborts leave them")
{
	for (unsigned int n = 0; n < 20; n++) {
		struct vectors v = pattern(n);

		vectors_load(&v);
		between();
		check_vectors(HERE, &v);
	}
}

static void keep_own(void *argument)
{
	unsigned int cpu = this_cpu();
	uint64_t salt = arch_ticks() << 8; /* another VM may run the same beside this one */

	meet();
	for (unsigned int n = 0; n < 60; n++) {
		struct vectors v = pattern(salt + n * 16 + cpu);

		vectors_load(&v);
		if (n % 4 == 0)
			between();
		else
			arch_relax();
		check_vectors(HERE, &v);
	}
}

TEST_SMP(own, 2, "Arm ARM B1.2: each CPU has its own")
{
	need_gic(0);
	on_each_cpu(keep_own, NULL);
}

static void overwrite(void *argument)
{
	struct vectors v = pattern(999);

	vectors_load(&v);
}

TEST_SMP(others_start, 2,
         "Arm ARM B1.2: CPUs that start, use them and stop leave those of others alone")
{
	struct vectors v = pattern(1);

	for (unsigned int n = 0; n < 10; n++) {
		vectors_load(&v);
		start_cpu(1, overwrite, NULL);
		wait_cpu(1);
		check_vectors(HERE, &v);
	}
}

TEST(switched_off, "Arm ARM D17.2.30: CPACR_EL1.FPEN 0 traps the use, and keeps what they hold")
{
	struct vectors v = pattern(5);

	vectors_load(&v);
	write_sysreg(cpacr_el1, 0);
	CHECK_FAULT(EC_FP, BIT(24) | 14 << 20, execute(0x1e604000, (uint64_t[8]){ 0 }));
	CHECK_FAULT(EC_FP, ANY_CODE, sysreg_read(SYSREG(3, 3, 4, 4, 0))); /* FPCR */
	write_sysreg(cpacr_el1, CPACR_FPEN(3));
	check_vectors(HERE, &v);
}

TEST(device_to_vector,
     "Arm ARM C7.2: a load from a device changes its register alone, the upper part to 0")
{
	struct vectors v = pattern(6);
	uint64_t at, x[8] = { 0 };

	need_gic(0);
	at = machine.gicd + GICD_IPRIORITYR + (spare_spi(7) & ~7u);
	store32(at, 0x80706050);
	x[1] = at;
	vectors_load(&v);
	execute(0xbd400027, x); /* LDR S7, [X1] */
	v.v[7][0] = 0x80706050;
	v.v[7][1] = 0;
	check_vectors(HERE, &v);
}

/* 1/3 by FDIV of single precision. */
static uint32_t third(uint64_t mode)
{
	uint64_t x[8] = { 0x3f800000, 0x40400000 };

	write_sysreg(fpcr, mode << 22);
	execute(0x1e270000, x); /* FMOV S0, W0 */
	execute(0x1e270021, x); /* FMOV S1, W1 */
	execute(0x1e211800, x); /* FDIV S0, S0, S1 */
	execute(0x1e260000, x); /* FMOV W0, S0 */
	return (uint32_t)x[0];
}

TEST(rounding, "Arm ARM A1.5.9: FPCR.RMode: to nearest, up, down, to zero")
{
	CHECK_EQ(third(0), 0x3eaaaaab);
	CHECK_EQ(third(1), 0x3eaaaaab);
	CHECK_EQ(third(2), 0x3eaaaaaa);
	CHECK_EQ(third(3), 0x3eaaaaaa);
}

TEST(flags, "Arm ARM A1.5.4: FPSR: IXC of a quotient that is rounded, DZC of a division by zero")
{
	uint64_t x[8] = { 0x3f800000 };

	write_sysreg(fpsr, 0);
	third(0);
	CHECK_EQ(read_sysreg(fpsr) & 0x1f, 0x10);
	write_sysreg(fpsr, 0);
	execute(0x1e270000, x);
	execute(0x1e2703e1, x); /* FMOV S1, WZR */
	execute(0x1e211800, x);
	execute(0x1e260000, x);
	CHECK_EQ(x[0] & UINT32_MAX, 0x7f800000);
	CHECK_EQ(read_sysreg(fpsr) & 0x1f, 2);
}

static void round_own(void *argument)
{
	static const uint32_t results[] = { 0x3eaaaaab, 0x3eaaaaab, 0x3eaaaaaa, 0x3eaaaaaa };
	unsigned int mode = this_cpu() % 4;

	for (unsigned int n = 0; n < 100; n++)
		CHECK_EQ(third(mode), results[mode]);
}

TEST_SMP(rounding_own, 2, "Arm ARM C5.2.8: FPCR is each CPU's own")
{
	on_each_cpu(round_own, NULL);
}

TEST(at_el0, "Arm ARM B1.2: EL0 and EL1 have the same registers")
{
	struct vectors v = pattern(8);
	uint64_t x[8] = { UINT64_C(0x1234567812345678) };

	vectors_load(&v);
	execute_el0(0x9e670005, x); /* FMOV D5, X0 */
	v.v[5][0] = x[0];
	v.v[5][1] = 0;
	check_vectors(HERE, &v);
}
