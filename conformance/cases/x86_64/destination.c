/* SPDX-License-Identifier: BSD-2-Clause */
/* Whom an interrupt command reaches: physical and logical destinations, shorthands, in xAPIC and in
 * x2APIC mode. All from CPU 0; smp.c has those from one CPU to another. */
#include "cases/x86_64/taken.h"

#define VECTOR     0x62u
#define LOGICAL    0x800u
#define ICR_LOWEST 0x100u
#define ICR_ALL    0x80000u
#define MSR(reg)   (0x800u + (reg) / 16)

static void check_arrives(const struct place *place, uint32_t id, uint32_t command, bool expected)
{
	expect_vector(VECTOR);
	apic_send(id, command | ICR_ASSERT | VECTOR);
	if (expected)
		came(VECTOR, 1);
	let_in();
	check_equal(place, "interrupts", taken[VECTOR], expected);
}
#define CHECK_ARRIVES(id, command)    check_arrives(HERE, id, command, true)
#define CHECK_STAYS_AWAY(id, command) check_arrives(HERE, id, command, false)

TEST(physical_broadcast, "SDM Vol. 3A 10.6.2.1: FFH is all")
{
	CHECK_ARRIVES(0xff, 0);
}

TEST(shorthand_all, "SDM Vol. 3A 10.6.1: all including self")
{
	CHECK_ARRIVES(0, ICR_ALL);
}

TEST(shorthand_all_but_self, "SDM Vol. 3A 10.6.1: all excluding self")
{
	CHECK_STAYS_AWAY(cpu_apic_id(0), ICR_ALL_BUT_SELF);
}

TEST(logical_flat, "SDM Vol. 3A 10.6.2.2: a bit in common with the LDR")
{
	apic_write(APIC_LDR, 0x24000000);
	CHECK_ARRIVES(0x04, LOGICAL);
	CHECK_ARRIVES(0x20, LOGICAL);
	CHECK_ARRIVES(0x31, LOGICAL);
	CHECK_STAYS_AWAY(0xdb, LOGICAL);
	CHECK_STAYS_AWAY(0, LOGICAL);
}

TEST(logical_cluster, "SDM Vol. 3A 10.6.2.2: the cluster's number and a bit in common")
{
	apic_write(APIC_DFR, 0x0fffffff);
	apic_write(APIC_LDR, 0x24000000);
	CHECK_ARRIVES(0x24, LOGICAL);
	CHECK_ARRIVES(0x2f, LOGICAL);
	CHECK_STAYS_AWAY(0x2b, LOGICAL);
	CHECK_STAYS_AWAY(0x34, LOGICAL);
}

TEST(logical_broadcast, "SDM Vol. 3A 10.6.2.2: FFH is all, in either model")
{
	apic_write(APIC_LDR, 0x01000000);
	CHECK_ARRIVES(0xff, LOGICAL);
	apic_write(APIC_DFR, 0x0fffffff);
	CHECK_ARRIVES(0xff, LOGICAL);
}

TEST(self_shorthand_ignores_destination, "SDM Vol. 3A 10.6.1: the destination field is ignored")
{
	CHECK_ARRIVES(0xfe, ICR_SELF);
	CHECK_ARRIVES(0xfe, ICR_SELF | LOGICAL);
}

static void use_x2apic(void)
{
	need(F_X2APIC);
	x2apic_enable();
}

TEST(x2apic_modes, "SDM Vol. 3A 10.12.9: physical, logical, shorthands and broadcast")
{
	uint32_t id, logical;

	use_x2apic();
	id = (uint32_t)rdmsr(MSR(APIC_ID));
	logical = (uint32_t)rdmsr(MSR(APIC_LDR));
	CHECK_ARRIVES(id, 0);
	CHECK_ARRIVES(UINT32_MAX, 0);
	CHECK_ARRIVES(0, ICR_SELF);
	CHECK_ARRIVES(0, ICR_ALL);
	CHECK_STAYS_AWAY(id, ICR_ALL_BUT_SELF);
	CHECK_STAYS_AWAY(0x7777, 0);
	CHECK_ARRIVES(logical, LOGICAL);
	CHECK_ARRIVES(logical | 0xffff, LOGICAL);
	CHECK_STAYS_AWAY(logical & ~0xffffu, LOGICAL);
	CHECK_STAYS_AWAY(logical ^ 0x70000, LOGICAL);
}

TEST(x2apic_icr_reads_back, "SDM Vol. 3A 10.12.9: 64 bits; no delivery status")
{
	uint64_t command = UINT64_C(0x12345) << 32 | ICR_ASSERT | VECTOR;

	use_x2apic();
	wrmsr(MSR(APIC_ICR), command);
	CHECK_EQ(rdmsr(MSR(APIC_ICR)), command);
}
