/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC in xAPIC mode: registers, priorities, interrupts to itself, errors. */
#include "cases/x86_64/taken.h"

#define LOW_VECTOR  0x51u
#define MID_VECTOR  0x62u
#define HIGH_VECTOR 0x93u
#define ILLEGAL     9u /* of those that are the processor's own, one that nothing raises */
#define MASKED      0x10000u
#define LOGICAL     0x800u
#define ICR_LOWEST  0x100u
#define ICR_ALL     0x80000u
#define APIC_PERF   0x340u
#define APIC_RRD    0xc0u

static void send_self(uint32_t vector)
{
	apic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

static void check_arrives(const struct place *place, uint32_t id, uint32_t command, bool expected)
{
	uint8_t vector = (uint8_t)command;

	expect_vector(vector);
	apic_send(id, command | ICR_ASSERT);
	if (expected)
		came(vector, 1);
	let_in();
	check_equal(place, "interrupts", taken[vector], expected);
}
#define CHECK_ARRIVES(id, command)    check_arrives(HERE, id, command, true)
#define CHECK_STAYS_AWAY(id, command) check_arrives(HERE, id, command, false)

/* ---- Registers ---- */

TEST(id_is_cpuids, "SDM Vol. 3A 10.4.6: initially CPUID.01H:EBX[31:24]")
{
	CHECK_EQ(apic_read(APIC_ID) >> 24, cpuid(1, 0).ebx >> 24);
	CHECK_EQ(apic_read(APIC_ID) & 0xffffff, 0);
}

TEST(version, "SDM Vol. 3A 10.4.8: 1XH for an integrated APIC; the LVT's last entry")
{
	uint32_t version = apic_read(APIC_VERSION);

	CHECK_EQ(version & 0xf0, 0x10);
	CHECK((version >> 16 & 0xff) >= 3);
	CHECK_EQ(version & 0x7e00ff00, 0);
}

TEST(version_is_read_only, "SDM Vol. 3A 10.4.1, table 10-1")
{
	uint32_t version = apic_read(APIC_VERSION);

	apic_write(APIC_VERSION, ~version);
	CHECK_EQ(apic_read(APIC_VERSION), version);
}

TEST(base_names_the_bsp, "SDM Vol. 3A 10.4.4: IA32_APIC_BASE.BSP[8], EN[11], the base")
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	CHECK_EQ(base & 0xfffffffff000, APIC_DEFAULT);
	CHECK_EQ(base & 0xfff, 0x900);
}

TEST(tpr_keeps_8_bits, "SDM Vol. 3A 10.8.3.1: bits 31:8 are reserved")
{
	for (uint32_t value = 0; value < 256; value++) {
		apic_write(APIC_TPR, value);
		CHECK_EQ(apic_read(APIC_TPR), value);
	}
	apic_write(APIC_TPR, 0xffffff00);
	CHECK_EQ(apic_read(APIC_TPR), 0);
}

TEST(tpr_is_cr8, "SDM Vol. 3A 10.8.6.1: CR8 is TPR[7:4]")
{
	for (uint32_t value = 0; value < 256; value++) {
		apic_write(APIC_TPR, value);
		CHECK_EQ(read_cr8(), value >> 4);
	}
}

TEST(cr8_is_tpr, "SDM Vol. 3A 10.8.6.1: writing CR8 clears TPR[3:0]")
{
	for (uint32_t value = 0; value < 16; value++) {
		apic_write(APIC_TPR, 0xff);
		write_cr8(value);
		CHECK_EQ(apic_read(APIC_TPR), value << 4);
	}
}

TEST(cr8_reserved_bits, "SDM Vol. 3A 10.8.6: bits 63:4 must be zero: #GP(0)")
{
	CHECK_FAULT(GP, 0, write_cr8(16));
	CHECK_FAULT(GP, 0, write_cr8(BIT(63)));
	CHECK_EQ(read_cr8(), 0);
}

TEST(ppr_without_service, "SDM Vol. 3A 10.8.3.1: the TPR with nothing in service")
{
	for (uint32_t value = 0; value < 256; value += 3) {
		apic_write(APIC_TPR, value);
		CHECK_EQ(apic_read(APIC_PPR), value);
	}
}

TEST(svr_bits, "SDM Vol. 3A 10.9: the vector and the enable bit")
{
	apic_write(APIC_SVR, 0x1a5);
	CHECK_EQ(apic_read(APIC_SVR) & 0xfffffdff, 0x1a5);
	apic_write(APIC_SVR, 0x15f | 0xffffe000);
	CHECK_EQ(apic_read(APIC_SVR) & 0xffffe1ff, 0x15f);
}

TEST(ldr_keeps_8_bits, "SDM Vol. 3A 10.6.2.2: the logical APIC ID in bits 31:24")
{
	apic_write(APIC_LDR, 0xa5ffffff);
	CHECK_EQ(apic_read(APIC_LDR) & 0xff000000, 0xa5000000);
	apic_write(APIC_LDR, 0x5a000000);
	CHECK_EQ(apic_read(APIC_LDR), 0x5a000000);
}

TEST(dfr_low_bits_are_ones, "SDM Vol. 3A 10.6.2.2: bits 27:0 are reserved, all ones")
{
	apic_write(APIC_DFR, 0);
	CHECK_EQ(apic_read(APIC_DFR), 0x0fffffff);
	apic_write(APIC_DFR, 0xffffffff);
	CHECK_EQ(apic_read(APIC_DFR), 0xffffffff);
}

TEST(icr_keeps_destination, "SDM Vol. 3A 10.6.1: bits 63:56")
{
	apic_write(APIC_ICR2, 0xa5000000);
	CHECK_EQ(apic_read(APIC_ICR2) & 0xff000000, 0xa5000000);
}

TEST(icr_keeps_command, "SDM Vol. 3A 10.6.1: vector, mode, shorthand; sent: status idle")
{
	uint32_t command = ICR_SELF | ICR_ASSERT | MID_VECTOR;

	expect_vector(MID_VECTOR);
	apic_send(0, command);
	CHECK_EQ(apic_read(APIC_ICR), command);
	CHECK(came(MID_VECTOR, 1));
}

struct lvt_row {
	uint32_t offset, kept, read_only;
};
static void lvt_read_back(const struct test_case *self)
{
	const struct lvt_row *row = self->row;
	uint32_t ignore = row->read_only;

	apic_write(row->offset, MASKED);
	CHECK_EQ(apic_read(row->offset) & ~ignore, MASKED);
	apic_write(row->offset, MASKED | 0xa5);
	CHECK_EQ(apic_read(row->offset) & ~ignore, MASKED | 0xa5);
	apic_write(row->offset, MASKED | row->kept);
	CHECK_EQ(apic_read(row->offset) & ~ignore, MASKED | row->kept);
	apic_write(row->offset, UINT32_MAX & ~UINT32_C(0x700));
	CHECK_EQ(apic_read(row->offset) & ~ignore & 0xfff80000, 0);
	apic_write(row->offset, MASKED);
}
#define LVT_ROW(name, ...)                                                                         \
	static const struct lvt_row name##_row = { __VA_ARGS__ };                                  \
	TEST_ROW(name, lvt_read_back, &name##_row, "SDM Vol. 3A 10.5.1, figure 10-8")
LVT_ROW(lvt_timer, APIC_TIMER, 0x20000 | 0xff, 0x1000);
LVT_ROW(lvt_lint0, APIC_LINT0, 0xa000 | 0x700 | 0xff, 0x5000);
LVT_ROW(lvt_lint1, APIC_LINT1, 0xa000 | 0x400 | 0xff, 0x5000);
LVT_ROW(lvt_error, APIC_ERROR, 0xff, 0x1000);

TEST(lvt_perf, "SDM Vol. 3A 10.5.1: the entry is there if the version register says so")
{
	if ((apic_read(APIC_VERSION) >> 16 & 0xff) < 4)
		skip("LVT performance counter register");
	apic_write(APIC_PERF, MASKED | 0x4a5);
	CHECK_EQ(apic_read(APIC_PERF) & 0xffffefff, MASKED | 0x4a5);
	apic_write(APIC_PERF, MASKED);
}

TEST(disabled_masks_lvt, "SDM Vol. 3A 10.4.7.2: while SVR[8] is clear all masks are set, and stay")
{
	static const uint32_t entries[] = { APIC_TIMER, APIC_LINT0, APIC_LINT1, APIC_ERROR };

	for (unsigned int n = 0; n < 4; n++)
		apic_write(entries[n], n == 1 || n == 2 ? MASKED | LOW_VECTOR : LOW_VECTOR);
	apic_write(APIC_SVR, 0xff);
	for (unsigned int n = 0; n < 4; n++) {
		CHECK_EQ(apic_read(entries[n]) & MASKED, MASKED);
		apic_write(entries[n], LOW_VECTOR);
		CHECK_EQ(apic_read(entries[n]) & MASKED, MASKED);
	}
	apic_write(APIC_SVR, 0x1ff);
	for (unsigned int n = 0; n < 4; n++)
		CHECK_EQ(apic_read(entries[n]) & MASKED, MASKED);
}

TEST(disabled_takes_no_fixed, "SDM Vol. 3A 10.4.7.2: INIT, NMI, SMI and SIPI only")
{
	expect_vector(MID_VECTOR);
	apic_write(APIC_SVR, 0xff);
	apic_send(cpu_apic_id(0), ICR_ASSERT | MID_VECTOR);
	let_in();
	apic_write(APIC_SVR, 0x1ff);
	let_in();
	CHECK_EQ(taken[MID_VECTOR], 0);
}

TEST(disabled_keeps_requests, "SDM Vol. 3A 10.4.7.2: IRR and ISR are held")
{
	expect_vector(MID_VECTOR);
	send_self(MID_VECTOR);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, MID_VECTOR)));
	apic_write(APIC_SVR, 0xff);
	CHECK(apic_bit(APIC_IRR, MID_VECTOR));
	apic_write(APIC_SVR, 0x1ff);
	CHECK(came(MID_VECTOR, 1));
}

/* ---- Acceptance and priority ---- */

TEST(request_to_service, "SDM Vol. 3A 10.8.4: IRR, then ISR, then neither")
{
	handle(MID_VECTOR, take);
	taken[MID_VECTOR] = 0;
	send_self(MID_VECTOR);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, MID_VECTOR)));
	CHECK(!apic_bit(APIC_ISR, MID_VECTOR));
	CHECK(came(MID_VECTOR, 1));
	CHECK(!apic_bit(APIC_IRR, MID_VECTOR));
	CHECK(apic_bit(APIC_ISR, MID_VECTOR));
	apic_write(APIC_EOI, 0);
	CHECK(!apic_bit(APIC_ISR, MID_VECTOR));
}

TEST(every_vector, "SDM Vol. 3A 10.5.2: 16 to 255 are valid; each of 32 to 255 comes as itself")
{
	for (unsigned int vector = 32; vector < 256; vector++) {
		expect_vector((uint8_t)vector);
		send_self(vector);
		CHECK(came((uint8_t)vector, 1));
		CHECK_EQ(taken_total, 1);
	}
}

TEST(ppr_in_service, "SDM Vol. 3A 10.8.3.1: the higher of TPR and ISRV; their low bits")
{
	handle(MID_VECTOR, take);
	taken[MID_VECTOR] = 0;
	send_self(MID_VECTOR);
	CHECK(came(MID_VECTOR, 1));
	CHECK_EQ(apic_read(APIC_PPR), MID_VECTOR & 0xf0);
	apic_write(APIC_TPR, 0x35);
	CHECK_EQ(apic_read(APIC_PPR), MID_VECTOR & 0xf0);
	apic_write(APIC_TPR, 0x75);
	CHECK_EQ(apic_read(APIC_PPR), 0x75);
	apic_write(APIC_EOI, 0);
	CHECK_EQ(apic_read(APIC_PPR), 0x75);
	apic_write(APIC_TPR, 0);
	CHECK_EQ(apic_read(APIC_PPR), 0);
}

TEST(eoi_ends_the_highest, "SDM Vol. 3A 10.8.5: the highest-priority bit of the ISR")
{
	handle(LOW_VECTOR, take);
	handle(HIGH_VECTOR, take);
	taken[LOW_VECTOR] = taken[HIGH_VECTOR] = 0;
	send_self(LOW_VECTOR);
	CHECK(came(LOW_VECTOR, 1));
	send_self(HIGH_VECTOR);
	CHECK(came(HIGH_VECTOR, 1));
	CHECK_EQ(apic_read(APIC_PPR), HIGH_VECTOR & 0xf0);
	apic_write(APIC_EOI, 0);
	CHECK(!apic_bit(APIC_ISR, HIGH_VECTOR));
	CHECK(apic_bit(APIC_ISR, LOW_VECTOR));
	CHECK_EQ(apic_read(APIC_PPR), LOW_VECTOR & 0xf0);
	apic_write(APIC_EOI, 0);
	CHECK(!apic_bit(APIC_ISR, LOW_VECTOR));
}

TEST(eoi_with_nothing, "SDM Vol. 3A 10.8.5: without a bit in the ISR it does nothing")
{
	expect_vector(MID_VECTOR);
	send_self(MID_VECTOR);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, MID_VECTOR)));
	apic_write(APIC_EOI, 0);
	CHECK(apic_bit(APIC_IRR, MID_VECTOR));
	CHECK(came(MID_VECTOR, 1));
}

TEST(one_in_service_one_requested, "SDM Vol. 3A 10.8.4: two of a vector at most are held")
{
	handle(MID_VECTOR, take);
	taken[MID_VECTOR] = 0;
	send_self(MID_VECTOR);
	CHECK(came(MID_VECTOR, 1));
	for (unsigned int n = 0; n < 3; n++)
		send_self(MID_VECTOR);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, MID_VECTOR)));
	let_in();
	CHECK_EQ(taken[MID_VECTOR], 1);
	apic_write(APIC_EOI, 0);
	CHECK(came(MID_VECTOR, 2));
	apic_write(APIC_EOI, 0);
	let_in();
	CHECK_EQ(taken[MID_VECTOR], 2);
}

TEST(same_class_waits, "SDM Vol. 3A 10.8.3: a higher vector of the class in service waits, too")
{
	handle(LOW_VECTOR, take);
	expect_vector(LOW_VECTOR + 5);
	handle(LOW_VECTOR, take);
	taken[LOW_VECTOR] = 0;
	send_self(LOW_VECTOR);
	CHECK(came(LOW_VECTOR, 1));
	send_self(LOW_VECTOR + 5);
	let_in();
	CHECK_EQ(taken[LOW_VECTOR + 5], 0);
	apic_write(APIC_EOI, 0);
	CHECK(came(LOW_VECTOR + 5, 1));
}

TEST(order_of_many, "SDM Vol. 3A 10.8.3: from the highest vector down")
{
	static const uint8_t vectors[] = { 0x41, 0xe2, 0x73, 0x72, 0xa0, 0x35, 0xef, 0x90 };
	static const uint8_t sorted[] = { 0xef, 0xe2, 0xa0, 0x90, 0x73, 0x72, 0x41, 0x35 };

	for (unsigned int n = 0; n < 8; n++)
		expect_vector(vectors[n]);
	for (unsigned int n = 0; n < 8; n++)
		send_self(vectors[n]);
	for (unsigned int n = 0; n < 8; n++)
		CHECK(WAIT_FOR(apic_bit(APIC_IRR, vectors[n])));
	for (unsigned int n = 0; n < 8; n++)
		sti_nop_cli();
	CHECK_EQ(taken_total, 8);
	for (unsigned int n = 0; n < 8; n++)
		CHECK_EQ(taken_order[n], sorted[n]);
}

TEST(tpr_threshold, "SDM Vol. 3A 10.8.3.1: delivered only above the TPR's class")
{
	for (uint32_t class = 3; class < 16; class ++) {
		expect_vector((uint8_t)(class << 4 | 7));
		apic_write(APIC_TPR, class << 4);
		send_self(class << 4 | 7);
		let_in();
		CHECK_EQ(taken_total, 0);
		apic_write(APIC_TPR, (class - 1) << 4 | 0xf);
		CHECK(came((uint8_t)(class << 4 | 7), 1));
		apic_write(APIC_TPR, 0);
	}
}

TEST(cr8_lets_in_at_once, "SDM Vol. 3A 10.8.6: lowering CR8 delivers what it held back")
{
	uint64_t zero = 0;

	expect_vector(MID_VECTOR);
	write_cr8(15);
	send_self(MID_VECTOR);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, MID_VECTOR)));
	__asm__ volatile("sti; nop; nop; movq %0, %%cr8; nop; nop; cli" : : "r"(zero) : "memory");
	CHECK_EQ(taken[MID_VECTOR], 1);
}

TEST(hlt_waits_above_tpr,
     "SDM Vol. 3A 10.8.3.1, Vol. 2A HLT: what the TPR holds back does not wake")
{
	expect_vector(LOW_VECTOR);
	expect_vector(HIGH_VECTOR);
	apic_write(APIC_TPR, 0x80);
	send_self(LOW_VECTOR);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, HIGH_VECTOR);
	apic_write(APIC_TIMER_INITIAL, 200000);
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK_EQ(taken[LOW_VECTOR], 0);
	CHECK_EQ(taken[HIGH_VECTOR], 1);
	apic_write(APIC_TPR, 0);
	CHECK(came(LOW_VECTOR, 1));
}

TEST(tmr_is_clear_for_edges, "SDM Vol. 3A 10.8.4: TMR is set for level-triggered ones only")
{
	expect_vector(MID_VECTOR);
	send_self(MID_VECTOR);
	CHECK(WAIT_FOR(apic_bit(APIC_IRR, MID_VECTOR)));
	CHECK(!apic_bit(APIC_TMR, MID_VECTOR));
	CHECK(came(MID_VECTOR, 1));
}

TEST(isr_irr_are_read_only, "SDM Vol. 3A 10.8.4")
{
	for (uint32_t n = 0; n < 8; n++) {
		apic_write(APIC_ISR + 16 * n, UINT32_MAX);
		apic_write(APIC_IRR + 16 * n, UINT32_MAX);
		CHECK_EQ(apic_read(APIC_ISR + 16 * n), 0);
		CHECK_EQ(apic_read(APIC_IRR + 16 * n), 0);
	}
}

/* ---- Errors ---- */

TEST(esr_is_clear, "SDM Vol. 3A 10.5.3: written to have it updated; no error: 0")
{
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR), 0);
	apic_write(APIC_ESR, UINT32_MAX);
	CHECK_EQ(apic_read(APIC_ESR), 0);
}

/* To nobody: some do deliver it. */
static void send_illegal(void)
{
	apic_send(0xfe, ICR_ASSERT | ILLEGAL);
}

TEST(esr_illegal_vector_sent, "SDM Vol. 3A 10.5.3: send illegal vector [5] for vectors 0 to 15")
{
	apic_write(APIC_ESR, 0);
	send_illegal();
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x20, 0x20);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR), 0);
}

TEST(esr_illegal_register, "SDM Vol. 3A 10.5.3: illegal register address [7]")
{
	apic_write(APIC_ESR, 0);
	apic_read(0x40);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x80, 0x80);
	apic_write(0x3f0, 1);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x80, 0x80);
}

TEST(error_interrupt, "SDM Vol. 3A 10.5.3: an error raises the LVT error register's vector")
{
	expect_vector(HIGH_VECTOR);
	apic_write(APIC_ERROR, HIGH_VECTOR);
	send_illegal();
	CHECK(came(HIGH_VECTOR, 1));
}

/* ---- Destinations ---- */

TEST(physical_to_self, "SDM Vol. 3A 10.6.2.1: a physical destination")
{
	CHECK_ARRIVES(cpu_apic_id(0), MID_VECTOR);
}

TEST(physical_to_nobody, "SDM Vol. 3A 10.6.2.1: an ID that no CPU has")
{
	CHECK_STAYS_AWAY(0xfe, MID_VECTOR);
}

TEST(physical_broadcast, "SDM Vol. 3A 10.6.2.1: FFH is all")
{
	CHECK_ARRIVES(0xff, MID_VECTOR);
}

TEST(shorthand_all, "SDM Vol. 3A 10.6.1: all including self")
{
	CHECK_ARRIVES(0, ICR_ALL | MID_VECTOR);
}

TEST(shorthand_all_but_self, "SDM Vol. 3A 10.6.1: all excluding self")
{
	CHECK_STAYS_AWAY(cpu_apic_id(0), ICR_ALL_BUT_SELF | MID_VECTOR);
}

TEST(logical_flat, "SDM Vol. 3A 10.6.2.2: a bit in common with the LDR")
{
	apic_write(APIC_LDR, 0x24000000);
	CHECK_ARRIVES(0x04, LOGICAL | MID_VECTOR);
	CHECK_ARRIVES(0x20, LOGICAL | MID_VECTOR);
	CHECK_ARRIVES(0x31, LOGICAL | MID_VECTOR);
	CHECK_STAYS_AWAY(0xdb, LOGICAL | MID_VECTOR);
	CHECK_STAYS_AWAY(0, LOGICAL | MID_VECTOR);
}

TEST(logical_cluster, "SDM Vol. 3A 10.6.2.2: the cluster's number and a bit in common")
{
	apic_write(APIC_DFR, 0x0fffffff);
	apic_write(APIC_LDR, 0x24000000);
	CHECK_ARRIVES(0x24, LOGICAL | MID_VECTOR);
	CHECK_ARRIVES(0x2f, LOGICAL | MID_VECTOR);
	CHECK_STAYS_AWAY(0x2b, LOGICAL | MID_VECTOR);
	CHECK_STAYS_AWAY(0x34, LOGICAL | MID_VECTOR);
}

TEST(logical_broadcast, "SDM Vol. 3A 10.6.2.2: FFH is all, in either model")
{
	apic_write(APIC_LDR, 0x01000000);
	CHECK_ARRIVES(0xff, LOGICAL | MID_VECTOR);
	apic_write(APIC_DFR, 0x0fffffff);
	CHECK_ARRIVES(0xff, LOGICAL | MID_VECTOR);
}

TEST(lowest_priority, "SDM Vol. 3A 10.6.2.4: the one CPU that is addressed")
{
	apic_write(APIC_LDR, 0x40000000);
	CHECK_ARRIVES(0x40, ICR_LOWEST | LOGICAL | MID_VECTOR);
}

TEST(self_shorthand_ignores_destination, "SDM Vol. 3A 10.6.1: the destination field is ignored")
{
	CHECK_ARRIVES(0xfe, ICR_SELF | MID_VECTOR);
	CHECK_ARRIVES(0xfe, ICR_SELF | LOGICAL | MID_VECTOR);
}
