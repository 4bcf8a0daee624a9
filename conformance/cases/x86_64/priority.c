/* SPDX-License-Identifier: BSD-2-Clause */
/* What a local APIC accepts, and the order in which it lets interrupts in. */
#include "cases/x86_64/taken.h"

#define LOW_VECTOR  0x51u
#define MID_VECTOR  0x62u
#define HIGH_VECTOR 0x93u

static void send_self(uint32_t vector)
{
	apic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

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

TEST(every_vector, "SDM Vol. 3A 10.5.2: 16 to 255 are valid; each of 32 to 254 comes as itself")
{
	for (unsigned int vector = 32; vector < 255; vector++) { /* the last is SVR's */
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
	handle(0xff, take); /* a spurious one may come (10.9) */
	handle(LOW_VECTOR, take);
	taken[LOW_VECTOR] = 0;
	expect_vector(LOW_VECTOR + 5);
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
