/* SPDX-License-Identifier: BSD-2-Clause */
/* PSCI 1.x (DEN 0022) and the calling convention (DEN 0028). */
#include "guest/aarch64/kernel.h"

#define ON         0
#define OFF        1
#define ON_PENDING 2
#define NO_CPU     UINT64_C(0xfe7d7b7f00)

extern void (*volatile secondary_hook)(unsigned int cpu);
static volatile unsigned int hooked;

static void hook(unsigned int cpu)
{
	__atomic_fetch_add(&hooked, 1, __ATOMIC_SEQ_CST);
}

static int64_t cpu_on(unsigned int cpu)
{
	dsb();
	return firmware(PSCI_CPU_ON, machine.mpidr[cpu], (uint64_t)secondary_start, cpu);
}

static int64_t affinity(unsigned int cpu)
{
	return firmware(PSCI_AFFINITY_INFO, machine.mpidr[cpu], 0, 0);
}

static unsigned int version(void)
{
	return (unsigned int)firmware(PSCI_VERSION, 0, 0, 0);
}

static void need_1_0(void)
{
	if (version() < 0x10000)
		skip("PSCI 1.0");
}

TEST(version, "DEN 0022 5.1.1: major in 31:16, minor in 15:0; 0.2 or later")
{
	CHECK(version() == 2 || (version() >= 0x10000 && version() < 0x20000));
}

TEST(features_mandatory, "DEN 0022 5.1.14, table 5: what a 1.0 has to have")
{
	static const uint32_t mandatory[] = { PSCI_VERSION,       PSCI_CPU_SUSPEND,
		                              PSCI_CPU_OFF,       PSCI_CPU_ON,
		                              PSCI_AFFINITY_INFO, PSCI_SYSTEM_OFF,
		                              PSCI_SYSTEM_RESET,  PSCI_FEATURES };

	need_1_0();
	for (unsigned int n = 0; n < sizeof(mandatory) / sizeof(mandatory[0]); n++) {
		int64_t result = firmware(PSCI_FEATURES, mandatory[n], 0, 0);

		if (result < 0)
			FAIL("%#x: %ld", mandatory[n], result);
	}
}

TEST(features_both_conventions, "DEN 0022 5.1.14: SMC32 and SMC64 forms, as far as there are two")
{
	need_1_0();
	CHECK(firmware(PSCI_FEATURES, PSCI_CPU_ON & ~BIT(30), 0, 0) >= 0);
	CHECK(firmware(PSCI_FEATURES, PSCI_AFFINITY_INFO & ~BIT(30), 0, 0) >= 0);
	CHECK(firmware(PSCI_FEATURES, PSCI_CPU_SUSPEND & ~BIT(30), 0, 0) >= 0);
}

TEST(features_unknown, "DEN 0022 5.1.14: NOT_SUPPORTED")
{
	need_1_0();
	CHECK_EQ((int32_t)firmware(PSCI_FEATURES, 0x8400001f, 0, 0), PSCI_NOT_SUPPORTED);
	CHECK_EQ((int32_t)firmware(PSCI_FEATURES, 0x12345678, 0, 0), PSCI_NOT_SUPPORTED);
	/* Of these there is no SMC64. */
	CHECK_EQ((int32_t)firmware(PSCI_FEATURES, PSCI_VERSION | BIT(30), 0, 0),
	         PSCI_NOT_SUPPORTED);
}

TEST(unknown_function, "DEN 0028 5.2: NOT_SUPPORTED, -1")
{
	CHECK_EQ(firmware(0x8400001f, 0, 0, 0), -1);
	CHECK_EQ(firmware(0xc400001f, 0, 0, 0), -1);
	CHECK_EQ(firmware(0x8600ff00, 0, 0, 0), -1);
	CHECK_EQ(firmware(0xbf00ff0f, 0, 0, 0), -1);
}

TEST(migrate_info_type, "DEN 0022 5.1.7: 0, 1, 2 or NOT_SUPPORTED")
{
	int64_t type = firmware(PSCI_MIGRATE_INFO_TYPE, 0, 0, 0);

	CHECK(type == -1 || (type >= 0 && type <= 2));
	/* 2, or not there: no trusted OS, so MIGRATE has nothing to do. */
	if (type == 2 || type == -1)
		CHECK(firmware(PSCI_MIGRATE, machine.mpidr[0], 0, 0) < 0);
}

TEST(affinity_self, "DEN 0022 5.1.5: the calling CPU is ON")
{
	CHECK_EQ(affinity(0), ON);
}

TEST(affinity_nobody, "DEN 0022 5.1.5: INVALID_PARAMETERS for a CPU that is not there")
{
	CHECK_EQ((int32_t)firmware(PSCI_AFFINITY_INFO, NO_CPU, 0, 0), PSCI_INVALID_PARAMETERS);
}

TEST(affinity_level_invalid, "DEN 0022 5.1.5: INVALID_PARAMETERS for a level beyond 3")
{
	CHECK_EQ((int32_t)firmware(PSCI_AFFINITY_INFO, machine.mpidr[0], 7, 0),
	         PSCI_INVALID_PARAMETERS);
}

TEST(on_self, "DEN 0022 5.1.4: ALREADY_ON")
{
	CHECK_EQ((int32_t)cpu_on(0), PSCI_ALREADY_ON);
}

TEST(on_nobody, "DEN 0022 5.1.4: INVALID_PARAMETERS for a CPU that is not there")
{
	CHECK_EQ((int32_t)firmware(PSCI_CPU_ON, NO_CPU, (uint64_t)secondary_start, 1),
	         PSCI_INVALID_PARAMETERS);
}

TEST(on_nobody_32, "DEN 0022 5.1.4: the same by SMC32")
{
	CHECK_EQ((int32_t)firmware(PSCI_CPU_ON & ~BIT(30), 0xfd7d00,
	                           (uint32_t)(uint64_t)secondary_start, 1),
	         PSCI_INVALID_PARAMETERS);
}

static void nothing(void *argument)
{
}

static volatile bool release;

static void wait_release(void *argument)
{
	while (!release)
		limit_passed(&(struct limit){ .end = 0 });
}

TEST_SMP(on_already, 2, "DEN 0022 5.1.4: ALREADY_ON for a CPU that runs; AFFINITY_INFO says ON")
{
	int64_t result, state;

	release = false;
	start_cpu(1, wait_release, NULL);
	result = cpu_on(1);
	state = affinity(1);
	release = true;
	wait_cpu(1);
	CHECK_EQ((int32_t)result, PSCI_ALREADY_ON);
	CHECK_EQ(state, ON);
}

TEST_SMP(on_pending, 2,
         "DEN 0022 5.1.4: of two calls one is SUCCESS, the other ON_PENDING or "
         "ALREADY_ON")
{
	int64_t first, second;

	hooked = 0;
	secondary_hook = hook;
	CHECK(WAIT_FOR(affinity(1) == OFF));
	first = cpu_on(1);
	second = cpu_on(1);
	CHECK_EQ(first, 0);
	/* It may be off again by then. */
	CHECK(second == PSCI_ON_PENDING || second == PSCI_ALREADY_ON || second == 0);
	CHECK(WAIT_FOR(hooked >= 1));
	CHECK(WAIT_FOR(affinity(1) == OFF));
	CHECK_EQ(hooked, second == 0 ? 2 : 1);
}

TEST_SMP(off_state, 2, "DEN 0022 5.1.3, 5.1.5: after CPU_OFF the CPU is OFF")
{
	start_cpu(1, nothing, NULL);
	wait_cpu(1);
	CHECK(WAIT_FOR(affinity(1) == OFF));
}

TEST_SMP(off_and_on, 2, "DEN 0022 5.1.3, 5.1.4: off and on again, many times")
{
	secondary_hook = hook;
	hooked = 0;
	for (unsigned int n = 1; n <= 50; n++) {
		CHECK(WAIT_FOR(affinity(1) == OFF));
		CHECK_EQ(cpu_on(1), 0);
		CHECK(WAIT_FOR(hooked == n));
	}
}

static volatile uint64_t state[4];

static void see_state(void *argument)
{
	state[0] = read_sysreg(CurrentEL);
	state[1] = read_sysreg(mpidr_el1);
	state[2] = this_cpu();
}

TEST_SMP(on_all, 2, "DEN 0022 5.6: each CPU starts with its own context ID, at EL1")
{
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++) {
		start_cpu(cpu, see_state, NULL);
		wait_cpu(cpu);
		CHECK_EQ(state[0], 4);
		CHECK_EQ(state[1] & UINT64_C(0xff00ffffff), machine.mpidr[cpu]);
		CHECK_EQ(state[2], cpu);
	}
}

TEST_SMP(affinity_level1, 2, "DEN 0022 5.1.5: a level above: ON as long as one of it is")
{
	int64_t result = firmware(PSCI_AFFINITY_INFO, machine.mpidr[0] & ~UINT64_C(0xff), 1, 0);

	/* From 1.0 on it need not know other levels. */
	CHECK(result == ON || result == PSCI_INVALID_PARAMETERS);
}

static volatile unsigned int results[4];

static void race(void *argument)
{
	int64_t result;

	while (!release)
		limit_passed(&(struct limit){ .end = 0 });
	dsb();
	result = firmware(PSCI_CPU_ON, machine.mpidr[2], (uint64_t)secondary_start, 2);
	if (result == 0)
		__atomic_fetch_add(&results[0], 1, __ATOMIC_SEQ_CST);
	else if (result == PSCI_ON_PENDING || result == PSCI_ALREADY_ON)
		__atomic_fetch_add(&results[1], 1, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_add(&results[2], 1, __ATOMIC_SEQ_CST);
}

static volatile unsigned int rounds;

static void hook_and_wait(unsigned int cpu)
{
	unsigned int mine = rounds;

	hook(cpu);
	while (rounds == mine)
		limit_passed(&(struct limit){ .end = 0 });
}

TEST_SMP(start_race, 3, "DEN 0022 5.1.4: of two CPUs that start a third at once one succeeds")
{
	for (unsigned int n = 0; n < 10; n++) {
		results[0] = results[1] = results[2] = 0;
		hooked = 0;
		release = false;
		secondary_hook = hook_and_wait;
		CHECK(WAIT_FOR(affinity(2) == OFF));
		start_cpu(1, race, NULL);
		release = true;
		race(NULL);
		wait_cpu(1);
		CHECK(WAIT_FOR(hooked == 1));
		rounds++;
		CHECK_EQ(results[2], 0);
		if (results[0] != 1 || results[1] != 1)
			FAIL("round %u: %u succeed", n, results[0]);
	}
}

TEST(suspend_wakes,
     "DEN 0022 5.1.2: CPU_SUSPEND to a standby state ends when an interrupt is pending")
{
	int64_t result;

	need_gic(0);
	irq_enable(3);
	sgi_send(3, 0);
	CHECK(irq_comes());
	result = firmware(PSCI_CPU_SUSPEND, 0, (uint64_t)secondary_start, 0);
	CHECK(result == 0 || result == PSCI_INVALID_PARAMETERS || result == PSCI_DENIED);
	CHECK_EQ(irq_ack() & 0x3ff, 3);
	irq_eoi(3);
}

/* ---- The calling convention ---- */

TEST(smccc_version, "DEN 0028 7.2: 1.0 has no such call; 1.1 and later say so")
{
	int64_t result;

	need_1_0();
	result = firmware(PSCI_FEATURES, 0x80000000, 0, 0);
	if ((int32_t)result == PSCI_NOT_SUPPORTED)
		skip("SMCCC_VERSION");
	result = firmware(0x80000000, 0, 0, 0);
	CHECK(result >= 0x10001 && result < 0x20000);
}

TEST(arch_features, "DEN 0028 7.3: of itself and SMCCC_VERSION 0; of unknown ones -1")
{
	if (version() < 0x10000 || firmware(PSCI_FEATURES, 0x80000000, 0, 0) < 0)
		skip("SMCCC_VERSION");
	CHECK(firmware(0x80000001, 0x80000000, 0, 0) >= 0);
	CHECK(firmware(0x80000001, 0x80000001, 0, 0) >= 0);
	CHECK_EQ(firmware(0x80000001, 0x80001234, 0, 0), -1);
}

TEST(registers_kept, "DEN 0028 3.1: from 1.1 on X4 to X17 are kept")
{
	uint64_t x[18] = { PSCI_VERSION };

	if (version() < 0x10000 || firmware(PSCI_FEATURES, 0x80000000, 0, 0) < 0)
		skip("SMCCC 1.1");
	for (unsigned int n = 1; n < 18; n++)
		x[n] = n * UINT64_C(0x0101010101010101);
	firmware_call(x);
	for (unsigned int n = 4; n < 18; n++)
		CHECK_EQ(x[n], n * UINT64_C(0x0101010101010101));
}

TEST(upper_registers_kept, "DEN 0028 3.1: X18 to X30 and SP are kept")
{
	uint64_t sum = 0;

	if (machine.conduit != CONDUIT_HVC)
		skip("HVC as conduit");
	__asm__ volatile("mov x0, %1\n\t"
	                 "mov x18, #18\n\tmov x20, #20\n\tmov x22, #22\n\tmov x24, #24\n\t"
	                 "mov x26, #26\n\tmov x28, #28\n\tmov x30, #30\n\tmov x19, sp\n\t"
	                 "hvc #0\n\t"
	                 "add x18, x18, x20\n\tadd x22, x22, x24\n\tadd x26, x26, x28\n\t"
	                 "add x18, x18, x22\n\tadd x18, x18, x26\n\tadd x18, x18, x30\n\t"
	                 "mov x20, sp\n\tsub x19, x19, x20\n\tadd %0, x18, x19"
	                 : "=r"(sum)
	                 : "r"((uint64_t)PSCI_VERSION)
	                 : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
	                   "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x22",
	                   "x24", "x26", "x28", "x30", "memory");
	CHECK_EQ(sum, 18 + 20 + 22 + 24 + 26 + 28 + 30);
}

TEST(flags_kept, "DEN 0028 3.1: PSTATE's masks are kept")
{
	write_sysreg(daif, SPSR_A | SPSR_F | SPSR_I | SPSR_D);
	version();
	CHECK_EQ(read_sysreg(daif), SPSR_DAIF);
	write_sysreg(daif, SPSR_D | SPSR_A);
	version();
	CHECK_EQ(read_sysreg(daif), SPSR_D | SPSR_A);
	write_sysreg(daif, SPSR_DAIF);
}

TEST(immediate, "DEN 0028 2.9: an immediate that is not 0 is no call of this convention")
{
	uint64_t x[8] = { PSCI_VERSION };

	if (machine.conduit != CONDUIT_HVC)
		skip("HVC as conduit");
	/* Nobody says what comes of it, but the machine goes on. */
	fault_expect();
	execute(0xd4000002 | 0x7abc << 5, x);
	fault_end();
	CHECK(version() >= 2);
}
