/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC in x2APIC mode: registers as MSRs, their faults, destinations. */
#include "cases/x86_64/taken.h"

#define VECTOR   0x62u
#define LOGICAL  0x800u
#define MSR(reg) (0x800u + (reg) / 16)
#define SELF_IPI 0x83fu
#define ICR_ALL  0x80000u

static void enable(void)
{
	if (!x2apic_supported())
		skip("CPUID.01H:ECX.x2APIC[21]");
	x2apic_enable();
}

TEST(mode_in_base, "SDM Vol. 3A 10.12.1: EN[11] and EXTD[10]")
{
	enable();
	CHECK_EQ(rdmsr(MSR_APIC_BASE) & 0xc00, 0xc00);
}

TEST(no_way_back_to_xapic, "SDM Vol. 3A 10.12.5: from x2APIC to xAPIC directly: #GP(0)")
{
	enable();
	CHECK_FAULT(GP, 0, wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~BIT(10)));
	CHECK_EQ(rdmsr(MSR_APIC_BASE) & 0xc00, 0xc00);
}

TEST(invalid_state, "SDM Vol. 3A 10.12.5: EXTD without EN: #GP(0)")
{
	enable();
	CHECK_FAULT(GP, 0, wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~BIT(11)));
	CHECK_EQ(rdmsr(MSR_APIC_BASE) & 0xc00, 0xc00);
}

TEST(no_msrs_in_xapic_mode, "SDM Vol. 3A 10.12.2: #GP(0) for 800H to 8FFH")
{
	if (!x2apic_supported())
		skip("CPUID.01H:ECX.x2APIC[21]");
	CHECK_FAULT(GP, 0, rdmsr(MSR(APIC_ID)));
	CHECK_FAULT(GP, 0, rdmsr(MSR(APIC_TPR)));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_TPR), 0));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_EOI), 0));
}

TEST(id_is_cpuids, "SDM Vol. 3A 10.12.5.1: CPUID.0BH:EDX")
{
	enable();
	CHECK_EQ(rdmsr(MSR(APIC_ID)) & 0xff, cpuid(1, 0).ebx >> 24);
	if (cpuid(0, 0).eax >= 0xb)
		CHECK_EQ(rdmsr(MSR(APIC_ID)), cpuid(0xb, 0).edx);
}

TEST(ldr_is_derived, "SDM Vol. 3A 10.12.10.2: cluster ID[19:4], 1 << ID[3:0]")
{
	uint64_t id;

	enable();
	id = rdmsr(MSR(APIC_ID));
	CHECK_EQ(rdmsr(MSR(APIC_LDR)), (id >> 4) << 16 | BIT(id & 15));
}

TEST(state_survives_the_switch, "SDM Vol. 3A 10.12.5.2: other registers keep their values")
{
	if (!x2apic_supported())
		skip("CPUID.01H:ECX.x2APIC[21]");
	apic_write(APIC_TPR, 0x35);
	apic_write(APIC_ERROR, 0x10044);
	enable();
	CHECK_EQ(rdmsr(MSR(APIC_TPR)), 0x35);
	CHECK_EQ(rdmsr(MSR(APIC_ERROR)), 0x10044);
	CHECK_EQ(rdmsr(MSR(APIC_SVR)), 0x1ff);
}

/* One case for all: some never come back from x2APIC mode, and start anew after each. */
TEST(missing, "SDM Vol. 3A 10.12.1.2, table 10-6: reserved: #GP(0)")
{
	static const uint32_t msrs[] = { 0x800, 0x804, 0x809, 0x80c, 0x80e, 0x831, 0x840, 0x8ff };

	enable();
	for (unsigned int n = 0; n < sizeof(msrs) / sizeof(msrs[0]); n++) {
		CHECK_FAULT(GP, 0, rdmsr(msrs[n]));
		CHECK_FAULT(GP, 0, wrmsr(msrs[n], 0));
	}
}

TEST(read_only, "SDM Vol. 3A 10.12.1.3: a write of a read-only register: #GP(0)")
{
	static const uint32_t msrs[] = { 0x802, 0x803, 0x80a, 0x80d, 0x810, 0x81f, 0x827, 0x839 };

	enable();
	for (unsigned int n = 0; n < sizeof(msrs) / sizeof(msrs[0]); n++)
		CHECK_FAULT(GP, 0, wrmsr(msrs[n], rdmsr(msrs[n])));
}

TEST(write_only, "SDM Vol. 3A 10.12.1.3: a read of EOI or SELF IPI: #GP(0)")
{
	enable();
	CHECK_FAULT(GP, 0, rdmsr(MSR(APIC_EOI)));
	CHECK_FAULT(GP, 0, rdmsr(SELF_IPI));
}

TEST(eoi_takes_zero_only, "SDM Vol. 3A 10.12.1.3: another value: #GP(0)")
{
	enable();
	CHECK_NO_FAULT(wrmsr(MSR(APIC_EOI), 0));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_EOI), 1));
}

TEST(esr_takes_zero_only, "SDM Vol. 3A 10.12.1.3: another value: #GP(0)")
{
	enable();
	CHECK_NO_FAULT(wrmsr(MSR(APIC_ESR), 0));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_ESR), 1));
}

TEST(reserved_bits, "SDM Vol. 3A 10.12.1.2: reserved bits written as ones: #GP(0)")
{
	enable();
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_TPR), 0x100));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_TPR), BIT(32)));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_SVR), 0x1ff | BIT(16)));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_TIMER), 0x10000 | BIT(20)));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_TIMER_DIVIDE), 4));
	CHECK_FAULT(GP, 0, wrmsr(MSR(APIC_TIMER_INITIAL), BIT(32)));
	CHECK_FAULT(GP, 0, wrmsr(SELF_IPI, 0x100));
	CHECK_EQ(rdmsr(MSR(APIC_SVR)), 0x1ff);
}

TEST(self_ipi, "SDM Vol. 3A 10.12.11: a fixed, edge-triggered interrupt to oneself")
{
	enable();
	for (uint32_t vector = 0x30; vector < 0x100; vector += 0x11) {
		expect_vector((uint8_t)vector);
		wrmsr(SELF_IPI, vector);
		CHECK(came((uint8_t)vector, 1));
	}
}

static void check_arrives(const struct place *place, uint32_t id, uint32_t command, bool expected)
{
	expect_vector(VECTOR);
	wrmsr(MSR(APIC_ICR), (uint64_t)id << 32 | ICR_ASSERT | VECTOR | command);
	if (expected)
		came(VECTOR, 1);
	let_in();
	check_equal(place, "interrupts", taken[VECTOR], expected);
}

TEST(destinations, "SDM Vol. 3A 10.12.9: physical, logical, shorthands and broadcast")
{
	uint32_t id, logical;

	enable();
	id = (uint32_t)rdmsr(MSR(APIC_ID));
	logical = (uint32_t)rdmsr(MSR(APIC_LDR));
	check_arrives(HERE, id, 0, true);
	check_arrives(HERE, UINT32_MAX, 0, true);
	check_arrives(HERE, 0, ICR_SELF, true);
	check_arrives(HERE, 0, ICR_ALL, true);
	check_arrives(HERE, id, ICR_ALL_BUT_SELF, false);
	check_arrives(HERE, 0x7777, 0, false);
	check_arrives(HERE, logical, LOGICAL, true);
	check_arrives(HERE, logical | 0xffff, LOGICAL, true);
	check_arrives(HERE, logical & ~0xffffu, LOGICAL, false);
	check_arrives(HERE, logical ^ 0x70000, LOGICAL, false);
}

TEST(icr_reads_back, "SDM Vol. 3A 10.12.9: 64 bits; no delivery status")
{
	uint64_t command = UINT64_C(0x12345) << 32 | ICR_ASSERT | VECTOR;

	enable();
	wrmsr(MSR(APIC_ICR), command);
	CHECK_EQ(rdmsr(MSR(APIC_ICR)), command);
}

TEST(eoi_order, "SDM Vol. 3A 10.8.5")
{
	enable();
	handle(VECTOR, take);
	taken[VECTOR] = 0;
	wrmsr(SELF_IPI, VECTOR);
	CHECK(came(VECTOR, 1));
	CHECK(apic_bit(APIC_ISR, VECTOR));
	wrmsr(MSR(APIC_EOI), 0);
	CHECK(!apic_bit(APIC_ISR, VECTOR));
}

TEST(tpr_is_cr8, "SDM Vol. 3A 10.8.6.1")
{
	enable();
	wrmsr(MSR(APIC_TPR), 0xa7);
	CHECK_EQ(read_cr8(), 0xa);
	write_cr8(3);
	CHECK_EQ(rdmsr(MSR(APIC_TPR)), 0x30);
}

TEST(timer, "SDM Vol. 3A 10.5.4")
{
	enable();
	expect_vector(VECTOR);
	wrmsr(MSR(APIC_TIMER_DIVIDE), 0xb);
	wrmsr(MSR(APIC_TIMER), VECTOR);
	wrmsr(MSR(APIC_TIMER_INITIAL), 50000);
	CHECK(came(VECTOR, 1));
	CHECK_EQ(rdmsr(MSR(APIC_TIMER_CURRENT)), 0);
}
