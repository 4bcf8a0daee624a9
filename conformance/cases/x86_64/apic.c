/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: registers, priorities, acceptance, its timer, x2APIC mode. */
#include "guest/x86_64/feature.h"

#define VECTOR   0x52u
#define MASKED   0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u

#define APIC_PERFORMANCE 0x340u
/* Delivery status; LINT0's and LINT1's remote IRR. */
#define LVT_READ_ONLY 0x5000u

static volatile unsigned int count;
static volatile uint32_t isr_inside, ppr_inside;

static uint32_t isr_of(uint32_t vector)
{
	return apic_read(APIC_ISR + vector / 32 * 16) >> vector % 32 & 1;
}

static uint32_t irr_of(uint32_t vector)
{
	return apic_read(APIC_IRR + vector / 32 * 16) >> vector % 32 & 1;
}

static void take(struct frame *frame)
{
	count++;
	isr_inside = isr_of((uint32_t)frame->vector);
	ppr_inside = apic_read(APIC_PPR);
	apic_write(APIC_EOI, 0);
}

static void prepare(void)
{
	count = 0;
	handle(VECTOR, take);
}

static void send_self(uint32_t vector)
{
	apic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

/* Lets interrupts in until the condition holds or the limit is over. */
#define LET_IN(condition) WAIT_FOR((sti_nop_cli(), (condition)))

TEST(id_and_version, "SDM Vol. 3A 10.4.6, 10.4.8: an integrated APIC (1xH) with 4 to 7 LVT entries")
{
	CHECK_EQ(apic_read(APIC_VERSION) >> 4 & 0xf, 1);
	CHECK((apic_read(APIC_VERSION) >> 16 & 0xff) >= 3);
	CHECK_EQ(apic_read(APIC_ID) >> 24, cpu_apic_id(0));
}

TEST(version_is_read_only, "SDM Vol. 3A 10.4.1, table 10-1")
{
	uint32_t before = apic_read(APIC_VERSION);

	apic_write(APIC_VERSION, 0);
	CHECK_EQ(apic_read(APIC_VERSION), before);
}

TEST(tpr_keeps, "SDM Vol. 3A 10.8.3.1")
{
	apic_write(APIC_TPR, 0x73);
	CHECK_EQ(apic_read(APIC_TPR), 0x73);
}

TEST(ppr_follows_tpr, "SDM Vol. 3A 10.8.3.1: PPR is the TPR while nothing is in service")
{
	apic_write(APIC_TPR, 0x6a);
	CHECK_EQ(apic_read(APIC_PPR), 0x6a);
}

TEST(in_service, "SDM Vol. 3A 10.8.4: ISR is set when it is accepted, and cleared by EOI")
{
	prepare();
	send_self(VECTOR);
	CHECK(LET_IN(count));
	CHECK_EQ(isr_inside, 1);
	CHECK_EQ(ppr_inside, VECTOR & 0xf0);
	CHECK_EQ(isr_of(VECTOR), 0);
	CHECK_EQ(apic_read(APIC_PPR), 0);
}

TEST(pending_is_in_irr, "SDM Vol. 3A 10.8.4: IRR holds it until it is accepted")
{
	prepare();
	send_self(VECTOR);
	CHECK(WAIT_FOR(irr_of(VECTOR)));
	CHECK(LET_IN(count == 1));
	CHECK_EQ(irr_of(VECTOR), 0);
}

TEST(twice_pending_is_once, "SDM Vol. 3A 10.8.4: one more is held while one is pending in IRR")
{
	prepare();
	send_self(VECTOR);
	send_self(VECTOR);
	send_self(VECTOR);
	CHECK(LET_IN(count));
	sti_nop_cli();
	CHECK_EQ(count, 1);
}

TEST(edge_clears_tmr, "SDM Vol. 3A 10.8.4: TMR is clear for edge-triggered interrupts")
{
	prepare();
	send_self(VECTOR);
	CHECK(LET_IN(count));
	CHECK_EQ(apic_read(APIC_TMR + VECTOR / 32 * 16) & BIT(VECTOR % 32), 0);
}

TEST(disabled_by_svr,
     "SDM Vol. 3A 10.4.7.2: no interrupts but NMI, INIT, SMI, SIPI; LVT entries are masked")
{
	apic_write(APIC_TIMER, VECTOR);
	apic_write(APIC_SVR, 0xff);
	CHECK_EQ(apic_read(APIC_TIMER) & MASKED, MASKED);
	apic_write(APIC_TIMER, VECTOR);
	CHECK_EQ(apic_read(APIC_TIMER) & MASKED, MASKED);
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_TIMER, VECTOR);
	CHECK_EQ(apic_read(APIC_TIMER) & MASKED, 0);
}

TEST(illegal_vector_sent,
     "SDM Vol. 3A 10.5.3: ESR bit 5 for a vector below 16, after a write to ESR")
{
	apic_write(APIC_ESR, 0);
	send_self(5);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x20, 0x20);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR), 0);
}

TEST(error_interrupt, "SDM Vol. 3A 10.5.3: the LVT's error entry")
{
	prepare();
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ERROR, VECTOR);
	send_self(3);
	CHECK(LET_IN(count));
}

TEST(lvt_reserved_bits,
     "SDM Vol. 3A 10.5.1, figure 10-8: delivery status is read-only, reserved bits read as 0")
{
	apic_write(APIC_TIMER, UINT32_MAX & ~(PERIODIC | DEADLINE));
	CHECK_EQ(apic_read(APIC_TIMER) & ~(MASKED | 0x10ff), 0);
	CHECK_EQ(apic_read(APIC_TIMER) & 0xff, 0xff);
}

TEST(id_is_cpuids, "SDM Vol. 3A 10.4.6: initially CPUID.01H:EBX[31:24]")
{
	CHECK_EQ(apic_read(APIC_ID) >> 24, cpuid(1, 0).ebx >> 24);
	CHECK_EQ(apic_read(APIC_ID) & 0xffffff, 0);
}

TEST(tpr_reserved_bits, "SDM Vol. 3A 10.8.3.1: bits 31:8 are reserved")
{
	apic_write(APIC_TPR, 0xffffff00);
	CHECK_EQ(apic_read(APIC_TPR), 0);
}

TEST(tpr_is_cr8, "SDM Vol. 3A 10.8.6.1: CR8 is TPR[7:4]")
{
	for (uint32_t value = 0; value < 256; value += 5) {
		apic_write(APIC_TPR, value);
		CHECK_EQ(apic_read(APIC_TPR), value);
		CHECK_EQ(apic_read(APIC_PPR), value);
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

TEST(svr_keeps, "SDM Vol. 3A 10.9: the vector and the enable bit; bits 31:13 are reserved")
{
	apic_write(APIC_SVR, 0x1a5);
	CHECK_EQ(apic_read(APIC_SVR) & 0xffffe1ff, 0x1a5);
	apic_write(APIC_SVR, 0xffffe000 | 0x15f);
	CHECK_EQ(apic_read(APIC_SVR) & 0xffffe1ff, 0x15f);
}

TEST(icr_keeps,
     "SDM Vol. 3A 10.6.1: the destination, bits 63:56; the command, idle once it is sent")
{
	uint32_t command = ICR_SELF | ICR_ASSERT | VECTOR;

	prepare();
	apic_write(APIC_ICR2, 0xa5000000);
	CHECK_EQ(apic_read(APIC_ICR2) & 0xff000000, 0xa5000000);
	apic_write(APIC_ICR, command);
	CHECK(WAIT_FOR(apic_read(APIC_ICR) == command));
	CHECK(LET_IN(count == 1));
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

TEST(illegal_register, "SDM Vol. 3A 10.5.3: ESR bit 7 for a reserved register of xAPIC mode")
{
	apic_write(APIC_ESR, 0);
	apic_read(0x40);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x80, 0x80);
	apic_write(0x3f0, 1);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x80, 0x80);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR), 0);
}

struct lvt_row {
	uint32_t offset, kept;
};
static void lvt_keeps(const struct test_case *self)
{
	const struct lvt_row *row = self->row;

	if (row->offset == APIC_PERFORMANCE && (apic_read(APIC_VERSION) >> 16 & 0xff) < 4)
		skip("an LVT entry for performance counters");
	apic_write(row->offset, MASKED | 0xa5);
	CHECK_EQ(apic_read(row->offset) & ~LVT_READ_ONLY, MASKED | 0xa5);
	apic_write(row->offset, MASKED | row->kept);
	CHECK_EQ(apic_read(row->offset) & ~LVT_READ_ONLY, MASKED | row->kept);
	apic_write(row->offset, (UINT32_MAX & ~0x700u) | row->kept);
	CHECK_EQ(apic_read(row->offset) & 0xfff80000, 0);
	apic_write(row->offset, MASKED);
}
#define LVT_ROW(name, ...)                                                                         \
	static const struct lvt_row name##_row = { __VA_ARGS__ };                                  \
	TEST_ROW(lvt_##name, lvt_keeps, &name##_row, "SDM Vol. 3A 10.5.1, figure 10-8")
LVT_ROW(timer, APIC_TIMER, PERIODIC | 0xff);
LVT_ROW(performance, APIC_PERFORMANCE, 0x400 | 0xff);
LVT_ROW(lint0, APIC_LINT0, 0xa000 | 0x700 | 0xff);
LVT_ROW(lint1, APIC_LINT1, 0xa000 | 0x400 | 0xff);
LVT_ROW(error, APIC_ERROR, 0xff);

TEST(ldr_dfr, "SDM Vol. 3A 10.6.2.2: LDR[31:24]; DFR[31:28], the rest ones")
{
	apic_write(APIC_LDR, 0xabcdef01);
	CHECK_EQ(apic_read(APIC_LDR), 0xab000000);
	apic_write(APIC_DFR, 0x00000000);
	CHECK_EQ(apic_read(APIC_DFR), 0x0fffffff);
	apic_write(APIC_DFR, 0xffffffff);
	CHECK_EQ(apic_read(APIC_DFR), 0xffffffff);
}

TEST(logical_to_self, "SDM Vol. 3A 10.6.2.2: flat model")
{
	prepare();
	apic_write(APIC_LDR, 0x10000000);
	apic_send(0x20, 0x800 | ICR_ASSERT | VECTOR);
	for (unsigned int n = 0; n < 100; n++)
		sti_nop_cli();
	CHECK_EQ(count, 0);
	apic_send(0x30, 0x800 | ICR_ASSERT | VECTOR);
	CHECK(LET_IN(count == 1));
}

TEST(physical_to_nobody, "SDM Vol. 3A 10.6.2.1: another APIC ID than ours")
{
	prepare();
	apic_send(0xee, ICR_ASSERT | VECTOR);
	for (unsigned int n = 0; n < 100; n++)
		sti_nop_cli();
	CHECK_EQ(count, 0);
}

TEST(lowest_priority_to_self, "SDM Vol. 3A 10.6.2.4: with one addressed it goes there")
{
	prepare();
	if (!vendor_is_intel())
		skip("an Intel CPU");
	apic_write(APIC_LDR, 0x40000000);
	apic_send(0x40, 0x800 | 0x100 | ICR_ASSERT | VECTOR);
	CHECK(LET_IN(count == 1));
}

/* ---- Timer ---- */

#define TICKS 20000u

TEST(timer_one_shot, "SDM Vol. 3A 10.5.4: one interrupt when the count reaches 0")
{
	prepare();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, VECTOR);
	apic_write(APIC_TIMER_INITIAL, TICKS);
	CHECK(LET_IN(count));
	CHECK_EQ(apic_read(APIC_TIMER_CURRENT), 0);
	for (unsigned int n = 0; n < 1000; n++)
		sti_nop_cli();
	CHECK_EQ(count, 1);
}

/* Where taking one takes longer than the period, nothing but the handler gets on. */
static void take_five(struct frame *frame)
{
	if (count == 4)
		apic_write(APIC_TIMER_INITIAL, 0);
	take(frame);
}

TEST(timer_periodic, "SDM Vol. 3A 10.5.4: the count is loaded again")
{
	prepare();
	handle(VECTOR, take_five);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, PERIODIC | VECTOR);
	apic_write(APIC_TIMER_INITIAL, TICKS);
	CHECK(LET_IN(count >= 5));
}

TEST(timer_counts_down, "SDM Vol. 3A 10.5.4")
{
	uint32_t first, second;

	apic_write(APIC_TIMER_DIVIDE, 0xa); /* by 128 */
	apic_write(APIC_TIMER, MASKED | VECTOR);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	first = apic_read(APIC_TIMER_CURRENT);
	CHECK(WAIT_FOR(apic_read(APIC_TIMER_CURRENT) < first));
	second = apic_read(APIC_TIMER_CURRENT);
	CHECK(second != 0);
	CHECK_EQ(apic_read(APIC_TIMER_INITIAL), UINT32_MAX);
}

TEST(timer_stopped_by_0, "SDM Vol. 3A 10.5.4: an initial count of 0 stops it")
{
	prepare();
	apic_write(APIC_TIMER, PERIODIC | VECTOR);
	apic_write(APIC_TIMER_INITIAL, 10000000);
	apic_write(APIC_TIMER_INITIAL, 0);
	CHECK_EQ(apic_read(APIC_TIMER_CURRENT), 0);
	for (unsigned int n = 0; n < 1000; n++)
		sti_nop_cli();
	CHECK_EQ(count, 0);
}

TEST(timer_masked, "SDM Vol. 3A 10.5.1: nothing comes while the entry is masked")
{
	prepare();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, MASKED | VECTOR);
	apic_write(APIC_TIMER_INITIAL, 1000);
	CHECK(WAIT_FOR(apic_read(APIC_TIMER_CURRENT) == 0));
	for (unsigned int n = 0; n < 1000; n++)
		sti_nop_cli();
	CHECK_EQ(count, 0);
}

TEST(timer_wakes_hlt, "SDM Vol. 2A HLT")
{
	prepare();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER, VECTOR);
	apic_write(APIC_TIMER_INITIAL, TICKS);
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK_EQ(count, 1);
}

TEST(divide_keeps, "SDM Vol. 3A 10.5.4, figure 10-10: bits 3, 1 and 0")
{
	apic_write(APIC_TIMER_DIVIDE, UINT32_MAX);
	CHECK_EQ(apic_read(APIC_TIMER_DIVIDE), 0xb);
	apic_write(APIC_TIMER_DIVIDE, 0x8);
	CHECK_EQ(apic_read(APIC_TIMER_DIVIDE), 0x8);
}

static void need_deadline(void)
{
	if (!(cpuid(1, 0).ecx & BIT(24)))
		skip("CPUID.01H:ECX.TSC_Deadline[24]");
}

TEST(deadline_fires,
     "SDM Vol. 3A 10.5.4.1: when the TSC reaches IA32_TSC_DEADLINE, which is 0 then")
{
	uint64_t deadline;

	need_deadline();
	prepare();
	apic_write(APIC_TIMER, DEADLINE | VECTOR);
	__asm__ volatile("mfence");
	deadline = rdtsc() + 10 * 100000;
	wrmsr(0x6e0, deadline);
	CHECK(LET_IN(count));
	CHECK(rdtsc() >= deadline);
	CHECK_EQ(rdmsr(0x6e0), 0);
	CHECK_EQ(count, 1);
}

TEST(deadline_passed, "SDM Vol. 3A 10.5.4.1: at once for a time that has passed")
{
	need_deadline();
	prepare();
	apic_write(APIC_TIMER, DEADLINE | VECTOR);
	__asm__ volatile("mfence");
	wrmsr(0x6e0, 1);
	CHECK(LET_IN(count == 1));
}

TEST(deadline_disarmed, "SDM Vol. 3A 10.5.4.1: by 0")
{
	need_deadline();
	prepare();
	apic_write(APIC_TIMER, DEADLINE | VECTOR);
	__asm__ volatile("mfence");
	wrmsr(0x6e0, rdtsc() + BIT(50));
	CHECK(rdmsr(0x6e0) != 0);
	wrmsr(0x6e0, 0);
	CHECK_EQ(rdmsr(0x6e0), 0);
}

TEST(deadline_ignored_in_other_modes, "SDM Vol. 3A 10.5.4.1: writes are ignored, it reads as 0")
{
	need_deadline();
	apic_write(APIC_TIMER, MASKED | VECTOR);
	wrmsr(0x6e0, rdtsc() + BIT(50));
	CHECK_EQ(rdmsr(0x6e0), 0);
}

/* ---- x2APIC mode ---- */

static void use_x2apic(void)
{
	need(F_X2APIC);
	prepare();
	x2apic_enable();
}

TEST(x2apic_id, "SDM Vol. 3A 10.12.5.1, 10.12.10.1: 32 bits")
{
	use_x2apic();
	CHECK_EQ(rdmsr(0x802), cpu_apic_id(0));
}

TEST(x2apic_ldr, "SDM Vol. 3A 10.12.10.2: derived from the ID, read-only")
{
	uint32_t id;

	use_x2apic();
	id = (uint32_t)rdmsr(0x802);
	CHECK_EQ(rdmsr(0x80d), (id & ~0xfu) << 12 | 1u << (id & 0xf));
	CHECK_FAULT(GP, 0, wrmsr(0x80d, 0));
}

TEST(x2apic_self_ipi, "SDM Vol. 3A 10.12.11")
{
	use_x2apic();
	wrmsr(0x83f, VECTOR);
	CHECK(LET_IN(count == 1));
}

TEST(x2apic_self_ipi_is_write_only, "SDM Vol. 3A 10.12.11: #GP for RDMSR")
{
	use_x2apic();
	CHECK_FAULT(GP, 0, rdmsr(0x83f));
	CHECK_FAULT(GP, 0, wrmsr(0x83f, 0x100));
}

TEST(x2apic_icr, "SDM Vol. 3A 10.12.9: one 64-bit register, no delivery status")
{
	use_x2apic();
	wrmsr(0x830, (uint64_t)cpu_apic_id(0) << 32 | ICR_ASSERT | VECTOR);
	CHECK(LET_IN(count == 1));
	CHECK_EQ(rdmsr(0x830) & BIT(12), 0);
	CHECK_FAULT(GP, 0, rdmsr(0x831));
	CHECK_FAULT(GP, 0, wrmsr(0x831, 0));
}

TEST(x2apic_read_only,
     "SDM Vol. 3A 10.12.1.2, table 10-6: #GP for WRMSR of ID, version, PPR, ISR, current count")
{
	static const uint32_t registers[] = { 0x802, 0x803, 0x80a, 0x810, 0x820, 0x839 };

	use_x2apic();
	for (unsigned int n = 0; n < sizeof(registers) / sizeof(registers[0]); n++)
		CHECK_FAULT(GP, 0, wrmsr(registers[n], 0));
}

TEST(x2apic_eoi, "SDM Vol. 3A 10.12.1.2, table 10-6: write-only; #GP for another value than 0")
{
	use_x2apic();
	CHECK_FAULT(GP, 0, rdmsr(0x80b));
	CHECK_FAULT(GP, 0, wrmsr(0x80b, 1));
	CHECK_NO_FAULT(wrmsr(0x80b, 0));
}

TEST(x2apic_reserved, "SDM Vol. 3A 10.12.1.2, 10.12.1.3: #GP for reserved registers and bits")
{
	use_x2apic();
	CHECK_FAULT(GP, 0, rdmsr(0x80e)); /* DFR is not there */
	CHECK_FAULT(GP, 0, rdmsr(0x804));
	CHECK_FAULT(GP, 0, rdmsr(0x8ff));
	CHECK_FAULT(GP, 0, wrmsr(0x808, 0x100));
	CHECK_FAULT(GP, 0, wrmsr(0x808, BIT(32)));
	CHECK_FAULT(GP, 0, wrmsr(0x80f, BIT(32)));
}

TEST(x2apic_keeps_state, "SDM Vol. 3A 10.12.5.1: from xAPIC mode to x2APIC mode registers stay")
{
	need(F_X2APIC);
	apic_write(APIC_TPR, 0x35);
	apic_write(APIC_ERROR, MASKED | 0x44);
	use_x2apic();
	CHECK_EQ(rdmsr(MSR_APIC_BASE) & (BIT(10) | BIT(11)), BIT(10) | BIT(11));
	CHECK_EQ(rdmsr(0x808), 0x35);
	CHECK_EQ(rdmsr(0x837), MASKED | 0x44);
	CHECK_EQ(rdmsr(0x80f), 0x1ff);
}

TEST(x2apic_more_reserved, "SDM Vol. 3A 10.12.1.2, table 10-6: #GP for what is not there")
{
	static const uint32_t registers[] = { 0x800, 0x809, 0x80c, 0x831, 0x840 };

	use_x2apic();
	for (unsigned int n = 0; n < sizeof(registers) / sizeof(registers[0]); n++) {
		CHECK_FAULT(GP, 0, rdmsr(registers[n]));
		CHECK_FAULT(GP, 0, wrmsr(registers[n], 0));
	}
	CHECK_FAULT(GP, 0, wrmsr(0x828, 1)); /* ESR takes 0 only */
	CHECK_FAULT(GP, 0, wrmsr(0x80f, 0x1ff | BIT(16)));
	CHECK_FAULT(GP, 0, wrmsr(0x832, MASKED | BIT(20)));
	CHECK_FAULT(GP, 0, wrmsr(0x83e, 4));
	CHECK_FAULT(GP, 0, wrmsr(0x838, BIT(32)));
	CHECK_EQ(rdmsr(0x80f), 0x1ff);
}

TEST(x2apic_timer, "SDM Vol. 3A 10.12.1.2: the timer works by MSRs")
{
	use_x2apic();
	wrmsr(0x83e, 0xb);
	wrmsr(0x832, VECTOR);
	wrmsr(0x838, TICKS);
	CHECK(LET_IN(count == 1));
}

TEST(x2apic_tpr_is_cr8, "SDM Vol. 3A 10.8.6.1")
{
	use_x2apic();
	wrmsr(0x808, 0x70);
	CHECK_EQ(read_cr8(), 7);
	write_cr8(3);
	CHECK_EQ(rdmsr(0x808), 0x30);
}

TEST(x2apic_and_back,
     "SDM Vol. 3A 10.12.5.1: by way of the disabled state; registers are as after a reset")
{
	uint64_t base;

	use_x2apic();
	base = rdmsr(MSR_APIC_BASE) & ~(BIT(10) | BIT(11));
	wrmsr(MSR_APIC_BASE, base);
	wrmsr(MSR_APIC_BASE, base | BIT(11));
	CHECK_EQ(rdmsr(MSR_APIC_BASE) & (BIT(10) | BIT(11)), BIT(11));
	CHECK_EQ(load32(APIC_DEFAULT + APIC_SVR), 0xff);
	CHECK_EQ(load32(APIC_DEFAULT + APIC_ID) >> 24, cpu_apic_id(0));
}
