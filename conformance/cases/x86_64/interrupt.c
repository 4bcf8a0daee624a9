/* SPDX-License-Identifier: BSD-2-Clause */
/* When interrupts come in: interrupt shadows, NMI blocking, HLT, and delivery that faults. */
#include "guest/x86_64/feature.h"

#define VECTOR 0x50u
#define HIGHER 0x91u

static struct {
	unsigned int count, nmis;
	uint64_t rip, order[8];
} seen;

static void interrupt(struct frame *frame)
{
	if (seen.count < 8)
		seen.order[seen.count] = frame->vector;
	seen.count++;
	seen.rip = frame->rip;
	apic_write(APIC_EOI, 0);
}

static void prepare(void)
{
	seen.count = seen.nmis = 0;
	handle(VECTOR, interrupt);
	handle(HIGHER, interrupt);
}

/* A fixed interrupt to this CPU itself; waits until it is pending. */
static void send_self(uint32_t vector)
{
	apic_send(0, ICR_SELF | ICR_ASSERT | ICR_FIXED | vector);
	if (!WAIT_FOR(apic_read(APIC_IRR + vector / 32 * 16) & BIT(vector % 32)))
		error("an interrupt to oneself does not become pending");
}

TEST(masked_while_if_is_clear, "SDM Vol. 3A 6.8.1")
{
	prepare();
	send_self(VECTOR);
	for (unsigned int n = 0; n < 1000; n++)
		__asm__ volatile("nop");
	CHECK_EQ(seen.count, 0);
	sti_nop_cli();
	CHECK_EQ(seen.count, 1);
}

TEST(sti_cli_lets_nothing_in, "SDM Vol. 2B STI: STI, CLI: not recognised between them")
{
	prepare();
	send_self(VECTOR);
	__asm__ volatile("sti; cli; nop; nop" : : : "memory");
	CHECK_EQ(seen.count, 0);
}

/* What is pending when the text begins comes once, at its label 1. CR8 is as given before that: to
 * raise it later could give a spurious interrupt (10.9). */
#define COMES_AT_1(name, cr8, text, reference)                                                     \
	TEST(name, reference)                                                                      \
	{                                                                                          \
		uint64_t at;                                                                       \
                                                                                                   \
		prepare();                                                                         \
		write_cr8(cr8);                                                                    \
		send_self(VECTOR);                                                                 \
		__asm__ volatile("leaq 1f(%%rip), %0; " text                                       \
		                 : "=&r"(at)                                                       \
		                 :                                                                 \
		                 : "rax", "rcx", "cc", "memory");                                  \
		CHECK_EQ(seen.count, 1);                                                           \
		CHECK_EQ(seen.rip, at);                                                            \
	}
COMES_AT_1(sti_shadow, 0, "sti; nop; 1: nop; nop; cli",
           "SDM Vol. 2B STI: interrupts are recognised after the next instruction")
COMES_AT_1(sti_twice, 0, "sti; sti; 1: nop; nop; cli",
           "SDM Vol. 2B STI: only the STI that sets IF delays")
/* POPF has no shadow: what follows it would be interrupted before MOV SS. So TPR holds it back. */
COMES_AT_1(mov_ss_shadow, 15,
           "movw %%ss, %%cx; xorl %%eax, %%eax; sti; nop; movw %%cx, %%ss; movq %%rax, %%cr8; "
           "1: nop; nop; cli",
           "SDM Vol. 3A 6.8.3: no interrupt between MOV SS and the next instruction's end")
COMES_AT_1(popf_has_no_shadow, 0, "pushq $0x202; popfq; 1: nop; nop; cli",
           "SDM Vol. 2B POPF: IF counts for the next instruction")
COMES_AT_1(iret_has_no_shadow, 0,
           "movq %%rsp, %%rcx; pushq $0x10; pushq %%rcx; pushq $0x202; pushq $8; pushq %0; iretq; "
           "1: nop; nop; cli",
           "SDM Vol. 2A IRET: IF counts for the next instruction")
COMES_AT_1(sti_hlt_wakes, 0, "sti; hlt; 1: cli",
           "SDM Vol. 2B STI: the delay lets STI, HLT be interrupted in HLT only")

TEST(higher_vector_first, "SDM Vol. 3A 10.8.3: by priority")
{
	prepare();
	send_self(VECTOR);
	send_self(HIGHER);
	sti_nop_cli();
	sti_nop_cli();
	CHECK_EQ(seen.count, 2);
	CHECK_EQ(seen.order[0], HIGHER);
	CHECK_EQ(seen.order[1], VECTOR);
}

TEST(tpr_holds_back, "SDM Vol. 3A 10.8.3.1: not while its priority is not above the TPR's")
{
	prepare();
	write_cr8(VECTOR >> 4);
	send_self(VECTOR);
	sti_nop_cli();
	CHECK_EQ(seen.count, 0);
	write_cr8((VECTOR >> 4) - 1);
	sti_nop_cli();
	CHECK_EQ(seen.count, 1);
}

TEST(lower_waits_for_eoi, "SDM Vol. 3A 10.8.4: not while one of its priority is in service")
{
	prepare();
	handle(HIGHER, NULL);
	send_self(HIGHER);
	fault_expect();
	__asm__ volatile(TRY("sti; nop; nop; cli"));
	CHECK_EQ(fault_end().vector, HIGHER);
	cli();
	send_self(VECTOR);
	sti_nop_cli();
	CHECK_EQ(seen.count, 0);
	apic_write(APIC_EOI, 0);
	sti_nop_cli();
	CHECK_EQ(seen.count, 1);
}

TEST(interrupt_in_ring_3, "SDM Vol. 3A 6.8.1, 6.14.4: whatever IOPL is")
{
	struct frame frame = { .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rflags = FLAG_ONE | FLAG_IF,
		               .rsp = (uint64_t)user_stack_top };
	extern const char user_spin[];

	frame.rip = (uint64_t)user_spin;
	send_self(VECTOR);
	enter(&frame, USER_DATA);
	apic_write(APIC_EOI, 0);
	CHECK_EQ(frame.vector, VECTOR);
	CHECK_EQ(frame.rip, user_spin);
	CHECK_EQ(frame.cs, USER_CODE);
}
USER_CODE_TEXT(user_spin, 64, "1: jmp 1b");

/* ---- NMI ---- */

static void send_nmi(void)
{
	apic_send(cpu_apic_id(0), ICR_NMI | ICR_ASSERT);
}

static bool nested, ud_inside;
static unsigned int seen_inside;

static void nmi(struct frame *frame)
{
	seen.nmis++;
	seen.rip = frame->rip;
	if (!nested)
		return;
	nested = false;
	send_nmi();
	send_nmi();
	for (unsigned int n = 0; n < 10000; n++)
		__asm__ volatile("pause");
	if (ud_inside) {
		ud_inside = false;
		fault_expect();
		__asm__ volatile(TRY("ud2"));
		fault_end();
		for (unsigned int n = 0; n < 10000; n++)
			__asm__ volatile("pause");
	}
	seen_inside = seen.nmis;
}

static void prepare_nmi(bool nest, bool ud)
{
	prepare();
	nested = nest;
	ud_inside = ud;
	seen_inside = 0;
	handle(NMI, nmi);
}

static void need_two_cpus(void)
{
	if (cpu_count() < 2)
		skip("2 CPUs");
}

/* Again and again, for whoever takes one before it waits for it. */
static void send_nmis(void *argument)
{
	for (;;) {
		for (unsigned int n = 0; n < 20000; n++)
			__asm__ volatile("pause");
		send_nmi();
	}
}

TEST(nmi_ignores_if, "SDM Vol. 3A 6.7: IF does not mask NMIs")
{
	prepare_nmi(false, false);
	send_nmi();
	CHECK(WAIT_FOR(*(volatile unsigned int *)&seen.nmis));
	CHECK_EQ(seen.nmis, 1);
}

TEST(nmi_blocks_nmi, "SDM Vol. 3A 6.7.1: until IRET; one is held pending")
{
	prepare_nmi(true, false);
	send_nmi();
	CHECK(WAIT_FOR(*(volatile unsigned int *)&seen.nmis >= 2));
	CHECK_EQ(seen_inside, 1);
	for (unsigned int n = 0; n < 10000; n++)
		__asm__ volatile("pause");
	CHECK_EQ(seen.nmis, 2);
}

TEST(any_iret_unblocks_nmi,
     "SDM Vol. 3A 6.7.1: the IRET of an exception within the NMI's handler, too")
{
	prepare_nmi(true, true);
	send_nmi();
	CHECK(WAIT_FOR(*(volatile unsigned int *)&seen.nmis >= 2));
	CHECK_EQ(seen_inside, 2);
}

TEST(nmi_wakes_hlt, "SDM Vol. 2A HLT: an NMI, with IF clear")
{
	prepare_nmi(false, false);
	need_two_cpus();
	start_cpu(1, send_nmis, NULL);
	__asm__ volatile("hlt" : : : "memory");
	CHECK(seen.nmis);
}

USER_CODE_TEXT(user_after_nmi, 64, "nop");

/* Others may come before the code after the first has left ring 3. */
static void nmi_from_ring_3(struct frame *frame)
{
	if (!(frame->cs & 3) || seen.nmis++)
		return;
	seen.rip = frame->rip;
	frame->rip = (uint64_t)user_after_nmi;
}

TEST(nmi_in_ring_3, "SDM Vol. 3A 6.7")
{
	struct frame frame;

	need_two_cpus();
	seen.nmis = 0;
	handle(NMI, nmi_from_ring_3);
	start_cpu(1, send_nmis, NULL);
	frame = enter_user(user_spin, 0, 0);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(seen.rip, user_spin);
}

/* ---- Delivery that faults ---- */

USER_CODE_TEXT(kernel_sti, 64, "sti; nop; nop; cli");
static uint8_t kernel_stack[2048] __attribute__((aligned(16)));

static struct frame let_in(void)
{
	struct frame frame = { .rip = (uint64_t)kernel_sti,
		               .cs = KERNEL_CODE,
		               .ss = KERNEL_DATA,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)kernel_stack + sizeof(kernel_stack) };

	enter(&frame, KERNEL_DATA);
	return frame;
}

TEST(gate_not_present_has_ext, "SDM Vol. 3A 6.13: EXT is set for an external interrupt")
{
	struct frame frame;

	idt[VECTOR].type = 0x0e;
	send_self(VECTOR);
	frame = let_in();
	CHECK_EQ(frame.vector, NP);
	CHECK_EQ(frame.code, VECTOR * 8 + 3);
}

TEST(faulting_interrupt_is_in_service, "SDM Vol. 3A 10.8.4: it was accepted: IRR is clear, ISR set")
{
	idt[VECTOR].type = 0x0e;
	send_self(VECTOR);
	CHECK_EQ(let_in().vector, NP);
	CHECK_EQ(apic_read(APIC_IRR + VECTOR / 32 * 16) & BIT(VECTOR % 32), 0);
	CHECK(apic_read(APIC_ISR + VECTOR / 32 * 16) & BIT(VECTOR % 32));
}

TEST(interrupt_stack_not_there,
     "SDM Vol. 3A 6.15, table 6-5: an interrupt, then #PF of its stack: #PF")
{
	struct frame frame;

	cpu_tss(0)->ist[6] = FREE_SPACE + 0x1000;
	idt[VECTOR].ist = 7;
	send_self(VECTOR);
	frame = let_in();
	CHECK_EQ(frame.vector, PF);
	CHECK_EQ(frame.code, PF_W);
	CHECK_EQ(frame.rip, kernel_sti + 2);
}

static uint64_t *stack_entry, stack_page;

static void give_stack(struct frame *frame)
{
	seen.order[7]++;
	page_set(stack_entry, stack_page | PTE_P | PTE_W, FREE_SPACE);
}

TEST(fault_stack_given_later,
     "SDM Vol. 3A 6.15: an exception whose stack is not there comes again after #PF is handled")
{
	struct fault got;

	seen.order[7] = 0;
	stack_page = (uint64_t)page_alloc();
	stack_entry = page_entry(kernel_pml4, 4, FREE_SPACE, 1);
	cpu_tss(0)->ist[6] = FREE_SPACE + 0x1000;
	idt[UD].ist = 7;
	handle(PF, give_stack);
	fault_expect();
	__asm__ volatile(TRY("ud2"));
	got = fault_end();
	CHECK_EQ(got.vector, UD);
	CHECK_EQ(seen.order[7], 1);
}

/* Memory that nobody has used yet, from 32 MiB on: the delivery itself is its first use. */
#define UNTOUCHED UINT64_C(0x2000000)

TEST(stack_in_untouched_memory,
     "SDM Vol. 3A 6.14: delivery to memory that a hypervisor may have to find first")
{
	prepare();
	for (unsigned int n = 0; n < 8; n++) {
		cpu_tss(0)->ist[6] = UNTOUCHED + (n + 1) * 0x203000;
		idt[VECTOR].ist = 7;
		send_self(VECTOR);
		sti_nop_cli();
		CHECK_EQ(seen.count, n + 1);
	}
}

TEST(exception_stack_in_untouched_memory, "SDM Vol. 3A 6.14")
{
	for (unsigned int n = 0; n < 8; n++) {
		struct fault got;

		cpu_tss(0)->ist[6] = UNTOUCHED + 0x1800000 + (n + 1) * 0x203000;
		idt[GP].ist = 7;
		got = FAULT_OF(load64(UINT64_C(0x0100000000000000)));
		check_fault(HERE, "load", got, GP, 0);
	}
}

TEST(gate_in_untouched_memory, "SDM Vol. 3A 6.14: a table that a hypervisor may have to find first")
{
	struct gate *table = (struct gate *)(UNTOUCHED + 0x1000);
	struct fault got;

	table[UD] = idt[UD];
	table[VECTOR] = idt[VECTOR];
	table[PF] = idt[PF];
	lidt((uint64_t)table, 256 * 16 - 1);
	prepare();
	send_self(VECTOR);
	sti_nop_cli();
	CHECK_EQ(seen.count, 1);
	fault_expect();
	__asm__ volatile(TRY("ud2"));
	got = fault_end();
	CHECK_EQ(got.vector, UD);
}
