/* SPDX-License-Identifier: BSD-2-Clause */
/* Single steps, breakpoints and watchpoints. */
#include "guest/x86_64/feature.h"

#define DR6_BD    BIT(13)
#define DR6_BS    BIT(14)
#define DR6_CLEAR UINT64_C(0xffff0ff0)

/* #DB's, by a handler that takes down where they came and goes on. */
#define STEPS 16
static struct {
	uint64_t rip[STEPS], dr6[STEPS], flags[STEPS];
	unsigned int count;
	bool keep_tf;
} seen;

static void see_debug(struct frame *frame)
{
	if (seen.count < STEPS) {
		seen.rip[seen.count] = frame->rip;
		seen.dr6[seen.count] = read_dr6();
		seen.flags[seen.count] = frame->rflags;
	}
	seen.count++;
	write_dr6(DR6_CLEAR);
	if (!seen.keep_tf)
		frame->rflags &= ~FLAG_TF;
	/* A fault at a breakpoint comes again without RF. */
	if (seen.count < STEPS)
		frame->rflags |= FLAG_RF;
	else
		write_dr7(0x400);
}

static void watch(bool keep_tf)
{
	seen.count = 0;
	seen.keep_tf = keep_tf;
	handle(DB, see_debug);
	write_dr6(DR6_CLEAR);
}

/* Text with TF set before its first instruction; label 1 is there. */
#define STEP(text, ...)                                                                            \
	__asm__ volatile("leaq 1f(%%rip), %%rax; pushfq; orq $0x100, (%%rsp); popfq; 1: " text     \
	                 " ; pushfq; andq $~0x100, (%%rsp); popfq"                                 \
	                 : "=&a"(start), ##__VA_ARGS__                                             \
	                 :                                                                         \
	                 : "rbx", "rcx", "rdx", "rsi", "rdi", "cc", "memory")

TEST(step_one, "SDM Vol. 3B 17.3.1.4: a trap after the instruction that was executed with TF set")
{
	uint64_t start;

	watch(false);
	STEP("nop; nop");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], start + 1);
	CHECK_EQ(seen.dr6[0] & (DR6_BS | 0xf), DR6_BS);
}

TEST(step_three, "SDM Vol. 3B 17.3.1.4: a trap after each instruction")
{
	uint64_t start;

	watch(true);
	STEP("nop; xchgw %%bx, %%bx; nop");
	CHECK(seen.count >= 3);
	CHECK_EQ(seen.rip[0], start + 1);
	CHECK_EQ(seen.rip[1], start + 4);
	CHECK_EQ(seen.rip[2], start + 5);
}

TEST(step_saves_tf, "SDM Vol. 3A 6.12.1.3: TF is saved and cleared in the handler")
{
	uint64_t start;

	watch(false);
	STEP("nop");
	CHECK(seen.flags[0] & FLAG_TF);
	CHECK(!(seen.flags[0] & FLAG_RF));
}

TEST(step_of_cpuid, "SDM Vol. 3B 17.3.1.4: a trap after an instruction that a hypervisor emulates")
{
	uint64_t start;

	watch(false);
	__asm__ volatile("leaq 1f(%%rip), %%rsi; xorl %%eax, %%eax; xorl %%ecx, %%ecx; pushfq; orq "
	                 "$0x100, (%%rsp); popfq;"
	                 "1: cpuid; nop; nop; pushfq; andq $~0x100, (%%rsp); popfq"
	                 : "=S"(start)
	                 :
	                 : "rax", "rbx", "rcx", "rdx", "cc", "memory");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], start + 2);
}

TEST(step_of_rdmsr, "SDM Vol. 3B 17.3.1.4: a trap after an instruction that a hypervisor emulates")
{
	uint64_t start;

	watch(false);
	__asm__ volatile(
		"leaq 1f(%%rip), %%rsi; movl $0x1b, %%ecx; pushfq; orq $0x100, (%%rsp); popfq;"
		"1: rdmsr; nop; nop; pushfq; andq $~0x100, (%%rsp); popfq"
		: "=S"(start)
		:
		: "rax", "rcx", "rdx", "cc", "memory");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], start + 2);
}

TEST(step_of_port_io,
     "SDM Vol. 3B 17.3.1.4: a trap after an instruction that a hypervisor emulates")
{
	uint64_t start;

	watch(false);
	STEP("inb $0x61, %%al; nop; nop");
	CHECK_EQ(seen.count, 1);
}

TEST(step_of_mmio, "SDM Vol. 3B 17.3.1.4: a trap after an instruction that a hypervisor emulates")
{
	uint64_t start;

	watch(false);
	__asm__ volatile("leaq 1f(%%rip), %%rsi; movl $0xfee00030, %%ecx; pushfq; orq $0x100, "
	                 "(%%rsp); popfq;"
	                 "1: movl (%%rcx), %%eax; nop; nop; pushfq; andq $~0x100, (%%rsp); popfq"
	                 : "=S"(start)
	                 :
	                 : "rax", "rcx", "rdx", "cc", "memory");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], start + 2);
}

TEST(step_of_rep,
     "SDM Vol. 3B 17.3.1.4: a trap after each iteration of a repeated string instruction")
{
	static uint8_t from[4], to[4];
	uint64_t start;

	watch(true);
	__asm__ volatile("leaq 1f(%%rip), %%rax; pushfq; orq $0x100, (%%rsp); popfq;"
	                 "1: rep movsb; nop; pushfq; andq $~0x100, (%%rsp); popfq"
	                 : "=&a"(start)
	                 : "S"(from), "D"(to), "c"(3)
	                 : "cc", "memory");
	CHECK(seen.count >= 4);
	CHECK_EQ(seen.rip[0], start);
	CHECK_EQ(seen.rip[1], start);
	CHECK_EQ(seen.rip[2], start + 2);
}

TEST(step_after_mov_ss,
     "SDM Vol. 3B 17.3.1.4, Vol. 2B MOV: no trap after MOV SS; one after the next instruction")
{
	uint64_t start;

	watch(true);
	__asm__ volatile(
		"leaq 1f(%%rip), %%rsi; movw %%ss, %%cx; pushfq; orq $0x100, (%%rsp); popfq;"
		"1: movw %%cx, %%ss; nop; nop; pushfq; andq $~0x100, (%%rsp); popfq"
		: "=S"(start)
		:
		: "rcx", "cc", "memory");
	CHECK(seen.count >= 2);
	CHECK_EQ(seen.rip[0], start + 3);
	CHECK_EQ(seen.rip[1], start + 4);
}

static void nothing(struct frame *frame)
{
}

TEST(step_of_int, "SDM Vol. 2A INT n: TF is cleared; IRET restores it, and the trap follows the "
                  "next instruction")
{
	uint64_t start;

	watch(false);
	handle(0x90, nothing);
	STEP("int $0x90; nop; nop");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], start + 3);
}

TEST(step_by_iret,
     "SDM Vol. 2A IRET: with TF in the image, the trap comes after the next instruction")
{
	uint64_t at;

	watch(false);
	__asm__ volatile("movq %%rsp, %%rcx; leaq 1f(%%rip), %0; pushq $0x10; pushq %%rcx; pushq "
	                 "$0x102; pushq $8;"
	                 "pushq %0; iretq; 1: nop; nop; nop"
	                 : "=&r"(at)
	                 :
	                 : "rcx", "cc", "memory");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], at + 1);
}

TEST(step_of_faulting, "SDM Vol. 3A 6.9: an instruction that faults is not stepped over")
{
	uint64_t start;
	struct fault got;

	watch(false);
	fault_expect();
	__asm__ volatile("leaq 771f(%%rip), %%rsi; pushfq; orq $0x100, (%%rsp); popfq;" TRY(
				 "ud2") "nop; pushfq; andq $~0x100, (%%rsp); popfq"
	                 : "=S"(start)
	                 :
	                 : "cc", "memory");
	got = fault_end();
	CHECK_EQ(got.vector, UD);
	CHECK_EQ(got.pc, start);
	CHECK(got.flags & FLAG_TF);
	CHECK_EQ(seen.count, 0);
}

TEST(icebp, "SDM Vol. 2A INT1: #DB, a trap, without a bit in DR6")
{
	uint64_t at;

	watch(false);
	__asm__ volatile("leaq 1f(%%rip), %0; .byte 0xf1; 1: nop" : "=r"(at) : : "memory");
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], at);
	CHECK_EQ(seen.dr6[0] & 0xf, 0);
}

/* ---- Breakpoints ---- */

static uint8_t watched[128] __attribute__((aligned(64)));

#define RW_EXECUTE 0u
#define RW_WRITE   1u
#define RW_IO      2u
#define RW_BOTH    3u
#define LEN_1      0u
#define LEN_2      1u
#define LEN_8      2u
#define LEN_4      3u

static void set_breakpoint(unsigned int n, uint64_t address, uint64_t rw, uint64_t length)
{
	switch (n) {
	case 0: write_dr0(address); break;
	case 1: write_dr1(address); break;
	case 2: write_dr2(address); break;
	default: write_dr3(address); break;
	}
	write_dr7(0x400 | BIT(1 + 2 * n) | (rw | length << 2) << (16 + 4 * n));
}

struct watchpoint {
	unsigned int n; /* DRn */
	uint64_t offset, rw, length;
	uint64_t access_offset;
	unsigned int access_size;
	bool store, hit;
};

static void watchpoint_case(const struct test_case *self)
{
	const struct watchpoint *row = self->row;
	uint64_t at = (uint64_t)watched + row->access_offset;

	watch(false);
	set_breakpoint(row->n, (uint64_t)watched + row->offset, row->rw, row->length);
	switch (row->access_size | (row->store ? 0x80u : 0)) {
	case 1: load8(at); break;
	case 2: load16(at); break;
	case 4: load32(at); break;
	case 8: load64(at); break;
	case 0x81: store8(at, 1); break;
	case 0x82: store16(at, 1); break;
	case 0x84: store32(at, 1); break;
	default: store64(at, 1); break;
	}
	write_dr7(0x400);
	CHECK_EQ(seen.count, row->hit);
	if (row->hit) {
		CHECK_EQ(seen.dr6[0] & 0xf, BIT(row->n));
		CHECK_EQ(seen.dr6[0] & DR6_BS, 0);
	}
}

#define WATCH(name, n, offset, rw, length, access_offset, size, store, hit)                        \
	static const struct watchpoint row_##name = { n,    offset, rw, length, access_offset,     \
		                                      size, store,  hit };                         \
	TEST_ROW(name, watchpoint_case, &row_##name,                                               \
	         "SDM Vol. 3B 17.2.5: breakpoint field recognition")
WATCH(write_1, 0, 8, RW_WRITE, LEN_1, 8, 1, true, true);
WATCH(write_1_by_load, 0, 8, RW_WRITE, LEN_1, 8, 1, false, false);
WATCH(write_1_below, 0, 8, RW_WRITE, LEN_1, 7, 1, true, false);
WATCH(write_1_above, 0, 8, RW_WRITE, LEN_1, 9, 1, true, false);
WATCH(write_2, 1, 8, RW_WRITE, LEN_2, 9, 1, true, true);
WATCH(write_4, 2, 8, RW_WRITE, LEN_4, 11, 1, true, true);
WATCH(write_4_above, 2, 8, RW_WRITE, LEN_4, 12, 1, true, false);
WATCH(write_8, 3, 8, RW_WRITE, LEN_8, 15, 1, true, true);
WATCH(write_8_above, 3, 8, RW_WRITE, LEN_8, 16, 8, true, false);
WATCH(both_by_load, 0, 8, RW_BOTH, LEN_4, 8, 4, false, true);
WATCH(both_by_store, 0, 8, RW_BOTH, LEN_4, 8, 4, true, true);
WATCH(wide_access_around, 1, 11, RW_BOTH, LEN_1, 8, 8, false, true);
WATCH(wide_access_from_below, 1, 8, RW_BOTH, LEN_4, 5, 4, false, true);
WATCH(wide_access_ends_below, 1, 8, RW_BOTH, LEN_4, 4, 4, false, false);
WATCH(low_bits_ignored, 0, 9, RW_BOTH, LEN_4, 8, 1, false, true);
WATCH(unaligned_across_lines, 0, 64, RW_BOTH, LEN_1, 60, 8, false, true);

TEST(watchpoint_is_a_trap, "SDM Vol. 3B 17.3.1.2: after the instruction, its result there")
{
	uint64_t at, value = 0;

	watch(false);
	watched[0] = 0x5a;
	set_breakpoint(0, (uint64_t)watched, RW_BOTH, LEN_1);
	__asm__ volatile("leaq 1f(%%rip), %0; movb (%2), %b1; 1: nop"
	                 : "=&r"(at), "+&r"(value)
	                 : "r"(watched));
	write_dr7(0x400);
	CHECK_EQ(seen.rip[0], at);
	CHECK_EQ(value, 0x5a);
}

TEST(watchpoint_disabled, "SDM Vol. 3B 17.2.4: L and G clear: no breakpoint")
{
	watch(false);
	set_breakpoint(0, (uint64_t)watched, RW_BOTH, LEN_1);
	write_dr7(read_dr7() & ~UINT64_C(0xff));
	load8((uint64_t)watched);
	CHECK_EQ(seen.count, 0);
}

TEST(watchpoint_local, "SDM Vol. 3B 17.2.4: L alone enables it, too")
{
	watch(false);
	set_breakpoint(0, (uint64_t)watched, RW_BOTH, LEN_1);
	write_dr7((read_dr7() & ~UINT64_C(0xff)) | 1);
	load8((uint64_t)watched);
	write_dr7(0x400);
	CHECK_EQ(seen.count, 1);
}

TEST(watchpoint_of_push, "SDM Vol. 3B 17.2.5: an access by a push")
{
	uint64_t dummy;

	watch(false);
	__asm__ volatile("leaq -8(%%rsp), %0" : "=r"(dummy));
	set_breakpoint(2, dummy, RW_WRITE, LEN_8);
	__asm__ volatile("pushq %%rax; addq $8, %%rsp" : : : "memory", "cc");
	write_dr7(0x400);
	CHECK(seen.count >= 1);
	CHECK_EQ(seen.dr6[0] & 0xf, 4);
}

TEST(watchpoint_after_mov_ss,
     "SDM Vol. 3A 6.8.3: a breakpoint by MOV SS itself waits for the next instruction")
{
	static uint16_t selector = KERNEL_DATA;
	uint64_t at;

	watch(false);
	set_breakpoint(0, (uint64_t)&selector, RW_BOTH, LEN_2);
	__asm__ volatile("leaq 1f(%%rip), %0; movw (%1), %%ss; nop; 1: nop"
	                 : "=&r"(at)
	                 : "r"(&selector)
	                 : "memory");
	write_dr7(0x400);
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], at);
}

TEST(execution_breakpoint,
     "SDM Vol. 3B 17.3.1.1: a fault before the instruction; RF in the image lets it go")
{
	uint64_t at, ran = 0;

	watch(false);
	__asm__ volatile("leaq 1f(%%rip), %0; movq %0, %%dr0; movl $0x402, %%eax; movq %%rax, "
	                 "%%dr7; xorl %%eax, %%eax; "
	                 "1: incl %%eax; nop"
	                 : "=&r"(at), "=&a"(ran)
	                 :
	                 : "cc", "memory");
	write_dr7(0x400);
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.rip[0], at);
	CHECK_EQ(seen.dr6[0] & 0xf, 1);
	CHECK_EQ(ran, 1);
}

TEST(execution_breakpoint_before_ud, "SDM Vol. 3A 6.9, table 6-2: a code breakpoint before #UD")
{
	uint64_t at;
	struct fault got;

	fault_expect();
	__asm__ volatile(
		"leaq 771f(%%rip), %0; movq %0, %%dr0; movl $0x402, %%eax; movq %%rax, %%dr7; " TRY(
			"ud2")
		: "=&r"(at)
		:
		: "rax", "memory");
	got = fault_end();
	write_dr7(0x400);
	CHECK_EQ(got.vector, DB);
	CHECK_EQ(got.pc, at);
}

TEST(io_breakpoint, "SDM Vol. 3B 17.2.4: R/W 10 with CR4.DE: a trap after I/O to the port")
{
	need(F_DE_EXTENSIONS);
	write_cr4(read_cr4() | CR4_DE);
	watch(false);
	set_breakpoint(0, 0x61, RW_IO, LEN_1);
	in8(0x61);
	write_dr7(0x400);
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.dr6[0] & 0xf, 1);
}

TEST(io_breakpoint_other_port, "SDM Vol. 3B 17.2.4: another port does not match")
{
	need(F_DE_EXTENSIONS);
	write_cr4(read_cr4() | CR4_DE);
	watch(false);
	set_breakpoint(0, 0x62, RW_IO, LEN_1);
	in8(0x61);
	write_dr7(0x400);
	CHECK_EQ(seen.count, 0);
}

/* ---- The registers ---- */

TEST(gd_guards,
     "SDM Vol. 3B 17.2.4: with GD, MOV DR is #DB, a fault, with BD; GD is cleared for the handler")
{
	struct fault got;

	write_dr6(DR6_CLEAR);
	write_dr7(0x400 | BIT(13));
	got = FAULT_OF(read_dr0());
	CHECK_EQ(got.vector, DB);
	CHECK_EQ(got.address & DR6_BD, DR6_BD);
	CHECK(!(read_dr7() & BIT(13)));
}

TEST(dr4_is_dr6, "SDM Vol. 3B 17.2.2: DR4 and DR5 are DR6 and DR7 while CR4.DE is 0")
{
	uint64_t value;

	write_cr4(read_cr4() & ~CR4_DE);
	__asm__ volatile(".byte 0x0f, 0x21, 0xe0" : "=a"(value)); /* mov %db4, %rax */
	CHECK_EQ(value, read_dr6());
	__asm__ volatile(".byte 0x0f, 0x21, 0xe8" : "=a"(value));
	CHECK_EQ(value, read_dr7());
}

TEST(dr4_with_de, "SDM Vol. 3B 17.2.2: #UD while CR4.DE is 1")
{
	need(F_DE_EXTENSIONS);
	write_cr4(read_cr4() | CR4_DE);
	fault_expect();
	__asm__ volatile(TRY(".byte 0x0f, 0x21, 0xe0") : : : "rax");
	check_fault(HERE, "mov %db4, %rax", fault_end(), UD, 0);
	fault_expect();
	__asm__ volatile(TRY(".byte 0x0f, 0x23, 0xe8") : : "a"(0x400));
	check_fault(HERE, "mov %rax, %db5", fault_end(), UD, 0);
}

TEST(dr8_is_not_there, "SDM Vol. 2B MOV DR: #UD with REX.R")
{
	fault_expect();
	__asm__ volatile(TRY(".byte 0x44, 0x0f, 0x21, 0xc0") : : : "rax");
	check_fault(HERE, "mov %db8, %rax", fault_end(), UD, 0);
}

TEST(dr6_fixed_bits, "SDM Vol. 3B 17.2.3: bits 31:16 and 11:4 read as 1, bit 12 as 0")
{
	/* Bits 11 and 16 are BLD and RTM where they are known. */
	write_dr6(0);
	CHECK_EQ(read_dr6() & 0xfffe17f0, 0xfffe07f0);
	write_dr6(0xffffffff);
	CHECK_EQ(read_dr6() & BIT(12), 0);
	CHECK_EQ(read_dr6() & 0xf, 0xf);
}

TEST(dr6_high_half, "SDM Vol. 3B 17.2.6: #GP(0) for a bit of 63:32 of DR6")
{
	CHECK_FAULT(GP, 0, write_dr6(BIT(32)));
}

TEST(dr7_high_half, "SDM Vol. 3B 17.2.6: #GP(0) for a bit of 63:32 of DR7")
{
	CHECK_FAULT(GP, 0, write_dr7(BIT(32) | 0x400));
}

TEST(dr7_fixed_bits, "SDM Vol. 3B 17.2.4: bit 10 reads as 1; bits 12, 14 and 15 as 0")
{
	write_dr7(0xd000);
	CHECK_EQ(read_dr7() & 0xd400, 0x400);
}

TEST(dr0_keeps_any_value, "SDM Vol. 3B 17.2.6: DR0 to DR3 take addresses that are not canonical")
{
	CHECK_NO_FAULT(write_dr0(UINT64_C(0x0123456789abcdef)));
	CHECK_EQ(read_dr0(), UINT64_C(0x0123456789abcdef));
	write_dr3(UINT64_MAX);
	CHECK_EQ(read_dr3(), UINT64_MAX);
}

TEST(bits_accumulate, "SDM Vol. 3B 17.2.3: the processor does not clear DR6")
{
	watch(false);
	write_dr6(DR6_CLEAR | DR6_BS);
	set_breakpoint(1, (uint64_t)watched, RW_BOTH, LEN_1);
	load8((uint64_t)watched);
	write_dr7(0x400);
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.dr6[0] & (DR6_BS | 2), DR6_BS | 2);
}

TEST(ring_3_watchpoint, "SDM Vol. 3B 17.2.5: at any privilege level")
{
	struct frame frame;
	extern const char user_load[];

	write_dr6(DR6_CLEAR);
	set_breakpoint(0, (uint64_t)user_data, RW_BOTH, LEN_1);
	frame = enter_user(user_load, (uint64_t)user_data, 0);
	write_dr7(0x400);
	CHECK_EQ(frame.vector, DB);
	CHECK_EQ(read_dr6() & 0xf, 1);
}
USER_CODE_TEXT(user_load, 64, "movb (%rdi), %al; nop");

TEST(ring_3_step, "SDM Vol. 3B 17.3.1.4: in ring 3")
{
	struct frame frame = { .rip = (uint64_t)user_load,
		               .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rflags = FLAG_ONE | FLAG_TF,
		               .rsp = (uint64_t)user_stack_top,
		               .rdi = (uint64_t)user_data };

	write_dr6(DR6_CLEAR);
	enter(&frame, USER_DATA);
	CHECK_EQ(frame.vector, DB);
	CHECK_EQ(frame.rip, user_load + 2);
	CHECK_EQ(read_dr6() & DR6_BS, DR6_BS);
}

TEST(step_into_syscall, "SDM Vol. 2B SYSCALL, Vol. 3B 17.3.1.4: TF by IA32_FMASK; the trap is in "
                        "the kernel if it stays")
{
	struct frame frame;
	extern const char user_syscall[], syscall_target[];

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	wrmsr(MSR_STAR, (uint64_t)(USER_CODE32 & ~3u) << 48 | (uint64_t)KERNEL_CODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_target);
	wrmsr(MSR_SFMASK, FLAG_TF);
	write_dr6(DR6_CLEAR);
	frame = (struct frame){ .rip = (uint64_t)user_syscall,
		                .cs = USER_CODE,
		                .ss = USER_DATA,
		                .rflags = FLAG_ONE | FLAG_TF,
		                .rsp = (uint64_t)user_stack_top };
	enter(&frame, USER_DATA);
	/* TF is masked: the kernel's code is not stepped. */
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.cs, KERNEL_CODE);
	CHECK(frame.r11 & FLAG_TF);
}
USER_CODE_TEXT(user_syscall, 64, "syscall");
USER_CODE_TEXT(syscall_target, 64, "nop");
