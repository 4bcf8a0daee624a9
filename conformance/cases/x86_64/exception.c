/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions: each vector, its error code, what is saved, and which comes first. */
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#define NON_CANONICAL UINT64_C(0x0100000000000000)

/* ---- One instruction, one exception: executed in ring 0 under fault_expect() ---- */

struct one {
	void (*execute)(void);
	uint64_t vector, code;
	uint64_t cr0_set, cr0_clear, cr4_clear;
};

static void one_case(const struct test_case *self)
{
	const struct one *row = self->row;
	struct fault got;

	write_cr4(read_cr4() & ~row->cr4_clear);
	write_cr0((read_cr0() | row->cr0_set) & ~row->cr0_clear);
	got = FAULT_OF(row->execute());
	check_fault(HERE, "exception", got, row->vector, row->code);
}

static uint64_t cells[8] __attribute__((aligned(64)));

/* RSI: cells; RDI: a non-canonical address. */
#define ONE_FULL(name, text, vector, code, set, clear, clear4, reference)                          \
	static void execute_##name(void)                                                           \
	{                                                                                          \
		uint64_t rax = 0, rcx = 0, rdx = 0;                                                \
		__asm__ volatile("movq %%rsp, %%r12\n\t" TRY(text) "movq %%r12, %%rsp"             \
		                 : "+a"(rax), "+c"(rcx), "+d"(rdx)                                 \
		                 : "S"(cells), "D"(NON_CANONICAL)                                  \
		                 : "rbx", "rbp", "r12", "cc", "memory");                           \
	}                                                                                          \
	static const struct one row_##name = { execute_##name, vector, code, set, clear, clear4 }; \
	TEST_ROW(name, one_case, &row_##name, reference)
#define ONE(name, text, vector, code, reference)                                                   \
	ONE_FULL(name, text, vector, code, 0, 0, 0, reference)

ONE(de_divide_by_zero, "xorl %%ecx, %%ecx; movl $1, %%eax; xorl %%edx, %%edx; divl %%ecx", DE, 0,
    "SDM Vol. 2A DIV");
ONE(de_quotient_too_large, "movl $2, %%ecx; xorl %%eax, %%eax; movl $2, %%edx; divl %%ecx", DE, 0,
    "SDM Vol. 2A DIV");
ONE(de_idiv_overflow, "movq $-1, %%rcx; movq $1, %%rax; rorq $1, %%rax; cqto; idivq %%rcx", DE, 0,
    "SDM Vol. 2A IDIV");
ONE(de_byte, "movw $0x1000, %%ax; movb $2, %%cl; divb %%cl", DE, 0, "SDM Vol. 2A DIV");
ONE(ud2, "ud2", UD, 0, "SDM Vol. 2B UD");
ONE(ud1, ".byte 0x0f, 0xb9, 0xc0", UD, 0, "SDM Vol. 2B UD");
ONE(ud0, ".byte 0x0f, 0xff, 0xc0", UD, 0, "SDM Vol. 2B UD");
ONE(bp, "int3", BP, 0, "SDM Vol. 3A 6.15, interrupt 3");
ONE(gp_load, "movq (%%rdi), %%rax", GP, 0,
    "SDM Vol. 3A 6.15, interrupt 13: a non-canonical address");
ONE(gp_store, "movq %%rax, (%%rdi)", GP, 0,
    "SDM Vol. 3A 6.15, interrupt 13: a non-canonical address");
ONE(ss_by_rbp, "movq %%rdi, %%rbp; movq (%%rbp), %%rax", SS, 0,
    "SDM Vol. 3A 6.15, interrupt 12: a non-canonical address through the stack segment");
ONE(gp_by_rbp_in_fs, "movq %%rdi, %%rbp; movq %%fs:(%%rbp), %%rax", GP, 0,
    "SDM Vol. 3A 6.15, interrupt 13: another segment than the stack's");
ONE(gp_jump, "jmp *%%rdi", GP, 0, "SDM Vol. 2A JMP: #GP(0) if the target is not canonical");
ONE(gp_call, "call *%%rdi", GP, 0, "SDM Vol. 2A CALL: #GP(0) if the target is not canonical");
ONE(gp_sse_alignment, "movaps 4(%%rsi), %%xmm0", GP, 0, "SDM Vol. 2B MOVAPS: 16 bytes");
ONE(gp_fxsave_alignment, "fxsave 8(%%rsi)", GP, 0, "SDM Vol. 2A FXSAVE: 16 bytes");
ONE(gp_too_long, ".fill 15, 1, 0x66; nop", GP, 0,
    "SDM Vol. 3A 6.15, interrupt 13: longer than 15 bytes");
ONE(longest, ".fill 14, 1, 0x66; nop", FAULT_NONE, ANY_CODE, "SDM Vol. 2A 2.3.11: 15 bytes");
ONE(pf_null_page, "movq $0x4000000000, %%rax; movq (%%rax), %%rax", PF, 0, "SDM Vol. 3A 4.7");
ONE_FULL(nm_ts, "fnop", NM, 0, CR0_TS, 0, 0, "SDM Vol. 3A 2.5, CR0.TS");
ONE_FULL(nm_ts_sse, "addps %%xmm0, %%xmm0", NM, 0, CR0_TS, 0, 0, "SDM Vol. 3A 2.5, CR0.TS");
ONE_FULL(nm_em, "fnop", NM, 0, CR0_EM, 0, 0, "SDM Vol. 3A 2.5, CR0.EM");
ONE_FULL(ud_em_sse, "addps %%xmm0, %%xmm0", UD, 0, CR0_EM, 0, 0, "SDM Vol. 3A 2.5, CR0.EM");
ONE_FULL(nm_wait_mp_ts, "fwait", NM, 0, CR0_TS | CR0_MP, 0, 0, "SDM Vol. 3A 2.5, CR0.MP");
ONE_FULL(wait_ts_without_mp, "fwait", FAULT_NONE, ANY_CODE, CR0_TS, CR0_MP, 0,
         "SDM Vol. 3A 2.5, CR0.MP");
ONE_FULL(wait_mp_without_ts, "fwait", FAULT_NONE, ANY_CODE, CR0_MP, 0, 0,
         "SDM Vol. 3A 2.5, CR0.MP");
ONE_FULL(ud_sse_without_osfxsr, "addps %%xmm0, %%xmm0", UD, 0, 0, 0, CR4_OSFXSR,
         "SDM Vol. 3A 2.5, OSFXSR");
ONE(mf, "fninit; pushq $0x37b; fldcw (%%rsp); popq %%rax; fld1; fldz; fdivrp; fwait", MF, 0,
    "SDM Vol. 3A 6.15, interrupt 16: a pending unmasked x87 exception");
ONE(xm, "pushq $0x1f00; ldmxcsr (%%rsp); popq %%rax; xorps %%xmm0, %%xmm0; divps %%xmm0, %%xmm0",
    XM, 0, "SDM Vol. 3A 6.15, interrupt 19");
ONE_FULL(ud_for_xm,
         "pushq $0x1f00; ldmxcsr (%%rsp); popq %%rax; xorps %%xmm0, %%xmm0; divps %%xmm0, %%xmm0",
         UD, 0, 0, 0, CR4_OSXMMEXCPT, "SDM Vol. 3A 2.5, CR4.OSXMMEXCPT");
ONE_FULL(ac_not_in_ring_0,
         "pushfq; orq $0x40000, (%%rsp); popfq; movl 1(%%rsi), %%eax; pushfq; "
         "andq $~0x40000, (%%rsp); popfq",
         FAULT_NONE, ANY_CODE, CR0_AM, 0, 0, "SDM Vol. 3A 6.15, interrupt 17: in ring 3 only");

#define INVALID_REFERENCE    "SDM Vol. 2 (opcode maps): invalid in 64-bit mode, #UD"
#define INVALID(name, bytes) ONE(ud_##name, ".byte " bytes, UD, 0, INVALID_REFERENCE)
INVALID(push_es, "0x06");
INVALID(pop_es, "0x07");
INVALID(push_cs, "0x0e");
INVALID(push_ss, "0x16");
INVALID(push_ds, "0x1e");
INVALID(daa, "0x27");
INVALID(das, "0x2f");
INVALID(aaa, "0x37");
INVALID(aas, "0x3f");
INVALID(pusha, "0x60");
INVALID(popa, "0x61");
INVALID(opcode_82, "0x82, 0xc0, 0");
INVALID(call_far, "0x9a, 0, 0, 0, 0, 0, 0");
INVALID(into, "0xce");
INVALID(aam, "0xd4, 10");
INVALID(aad, "0xd5, 10");
INVALID(jmp_far, "0xea, 0, 0, 0, 0, 0, 0");
INVALID(lea_register, "0x8d, 0xc0");
INVALID(mov_to_cs, "0x8e, 0xc8");
INVALID(mov_segment_6, "0x8e, 0xf0");
INVALID(group_c6_1, "0xc6, 0xc8, 0");
INVALID(group_fe_2, "0xfe, 0xd0");
INVALID(group_ff_7, "0xff, 0xf8");
INVALID(group_8f_1, "0x8f, 0xc8, 0, 0");
INVALID(opcode_0f_04, "0x0f, 0x04");
INVALID(opcode_0f_0a, "0x0f, 0x0a");
INVALID(opcode_0f_24, "0x0f, 0x24, 0xc0");
INVALID(opcode_0f_a6, "0x0f, 0xa6, 0x07");
INVALID(group_ba_0, "0x0f, 0xba, 0xc0, 0");
INVALID(cmpxchg8b_register, "0x0f, 0xc7, 0xc8");

#define LOCK_REFERENCE                                                                             \
	"SDM Vol. 2A LOCK: #UD unless the destination is memory and the instruction may have it"
#define LOCKED(name, text) ONE(ud_lock_##name, text, UD, 0, LOCK_REFERENCE)
LOCKED(nop, ".byte 0xf0, 0x90");
LOCKED(mov, ".byte 0xf0, 0x89, 0x06");
LOCKED(load, ".byte 0xf0, 0x8b, 0x06");
LOCKED(add_register, ".byte 0xf0, 0x01, 0xc0");
LOCKED(add_from_memory, ".byte 0xf0, 0x03, 0x06");
LOCKED(cmp, ".byte 0xf0, 0x39, 0x06");
LOCKED(test, ".byte 0xf0, 0x85, 0x06");
LOCKED(xchg_register, ".byte 0xf0, 0x87, 0xc1");
LOCKED(bt, ".byte 0xf0, 0x0f, 0xa3, 0x06");
LOCKED(push, ".byte 0xf0, 0x50");
LOCKED(jmp, ".byte 0xf0, 0xeb, 0");
LOCKED(movsb, ".byte 0xf0, 0xa4");
LOCKED(ltr, ".byte 0xf0, 0x0f, 0x00, 0xd8");
ONE(lock_add, "lock addl $1, (%%rsi)", FAULT_NONE, ANY_CODE, LOCK_REFERENCE);
ONE(lock_xchg, "lock xchgl %%eax, (%%rsi)", FAULT_NONE, ANY_CODE, LOCK_REFERENCE);
ONE(lock_btsq, "lock btsq $3, (%%rsi)", FAULT_NONE, ANY_CODE, LOCK_REFERENCE);

/* ---- What is saved ---- */

TEST(fault_saves_its_rip, "SDM Vol. 3A 6.5: a fault's return address is the instruction's")
{
	uint64_t at;
	struct fault got;

	fault_expect();
	__asm__ volatile("leaq 1f(%%rip), %0\n1:\t" TRY("ud2") : "=r"(at));
	got = fault_end();
	CHECK_EQ(got.pc, at);
}

TEST(trap_saves_the_next_rip, "SDM Vol. 3A 6.5: a trap's return address is the next instruction's")
{
	uint64_t at;
	struct fault got;

	fault_expect();
	__asm__ volatile("leaq 1f(%%rip), %0\n" TRY("int3") "1:\n" : "=r"(at));
	got = fault_end();
	CHECK_EQ(got.vector, BP);
	CHECK_EQ(got.pc, at);
}

TEST(rf_saved_by_fault, "SDM Vol. 3B 17.3.1.1: RF is set in the image that a fault saves")
{
	CHECK(FAULT_OF(load64(NON_CANONICAL)).flags & FLAG_RF);
}

TEST(rf_saved_by_page_fault, "SDM Vol. 3B 17.3.1.1: RF is set in the image that a fault saves")
{
	CHECK(FAULT_OF(load64(FREE_SPACE)).flags & FLAG_RF);
}

TEST(rf_not_saved_by_trap, "SDM Vol. 3B 17.3.1.1: RF is as it was for a trap by INT3")
{
	struct fault got;

	fault_expect();
	__asm__ volatile(TRY("int3"));
	got = fault_end();
	CHECK_EQ(got.vector, BP);
	CHECK(!(got.flags & FLAG_RF));
}

static uint64_t seen_flags, seen_rsp;

static void see(struct frame *frame)
{
	seen_flags = read_flags();
	seen_rsp = (uint64_t)frame;
}

TEST(interrupt_gate_masks,
     "SDM Vol. 3A 6.12.1.2: an interrupt gate clears IF; TF, NT and RF are clear in the handler")
{
	handle(0x90, see);
	__asm__ volatile("pushfq; orq $0x4200, (%%rsp); popfq; int $0x90; cli"
	                 :
	                 :
	                 : "memory", "cc");
	CHECK_EQ(seen_flags & (FLAG_IF | FLAG_TF | FLAG_NT | FLAG_RF), 0);
	CHECK_EQ(read_flags() & FLAG_NT, FLAG_NT);
	write_flags(FLAG_ONE);
}

TEST(trap_gate_leaves_if, "SDM Vol. 3A 6.12.1.2: a trap gate leaves IF")
{
	handle(0x90, see);
	idt[0x90].type = GATE_TRAP;
	__asm__ volatile("sti; int $0x90; cli" : : : "memory", "cc");
	CHECK_EQ(seen_flags & FLAG_IF, FLAG_IF);
}

TEST(iret_restores_flags, "SDM Vol. 2A IRET")
{
	const uint64_t all = FLAG_ONE | FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF |
	                     FLAG_AC | FLAG_ID;
	uint64_t flags;

	handle(0x90, see);
	__asm__ volatile("pushq %1; popfq; int $0x90; pushfq; popq %0; pushq $2; popfq"
	                 : "=r"(flags)
	                 : "r"(all)
	                 : "memory", "cc");
	CHECK_EQ(flags, all);
}

TEST(stack_is_aligned, "SDM Vol. 3A 6.14.2: RSP is aligned to 16 bytes before the frame is pushed")
{
	handle(0x90, see);
	__asm__ volatile("movq %%rsp, %%rbx; subq $3, %%rsp; int $0x90; movq %%rbx, %%rsp"
	                 :
	                 :
	                 : "rbx", "memory");
	/* The frame below is 22 words: SS to RIP and what the stub pushes. */
	CHECK_EQ((seen_rsp + sizeof(struct frame)) & 15, 0);
}

TEST(old_rsp_is_saved,
     "SDM Vol. 3A 6.14.2: SS:RSP is pushed whether the privilege level changes or not")
{
	uint64_t rsp;

	fault_expect();
	__asm__ volatile("movq %%rsp, %0\n\t" TRY("ud2") : "=r"(rsp));
	fault_end();
	CHECK_EQ(fault_frame()->rsp, rsp);
	CHECK_EQ(fault_frame()->ss & 0xffff, KERNEL_DATA);
}

static uint8_t other_stack[2048] __attribute__((aligned(16)));

TEST(ist_switches_stacks, "SDM Vol. 3A 6.14.5: the interrupt stack table")
{
	handle(0x90, see);
	cpu_tss(0)->ist[6] = (uint64_t)other_stack + sizeof(other_stack);
	idt[0x90].ist = 7;
	__asm__ volatile("int $0x90" : : : "memory");
	CHECK_EQ(seen_rsp + sizeof(struct frame), other_stack + sizeof(other_stack));
}

USER_CODE_TEXT(user_int_90, 64, "int $0x90");
USER_CODE_TEXT(user_ud2, 64, "ud2");
USER_CODE_TEXT(user_into_unaligned, 64, "movl 1(%rdi), %eax");

static uint64_t seen_ss, seen_cs;

static void see_segments(struct frame *frame)
{
	seen_ss = read_ss();
	seen_cs = read_cs();
	seen_rsp = (uint64_t)frame;
}

TEST(ring_3_switches_stacks, "SDM Vol. 3A 6.14.4: RSP0 of the TSS, and a null SS with RPL 0")
{
	struct frame frame;

	idt[0x90].type |= GATE_DPL3;
	handle(0x90, see_segments);
	frame = enter_user(user_int_90, 0, 0);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(seen_ss, 0);
	CHECK_EQ(seen_cs, KERNEL_CODE);
	CHECK_EQ(seen_rsp + sizeof(struct frame), cpu_tss(0)->rsp[0]);
}

TEST(ring_3_frame, "SDM Vol. 3A 6.14.2")
{
	struct frame frame = enter_user(user_ud2, 1, 2);

	CHECK_EQ(frame.vector, UD);
	CHECK_EQ(frame.cs, USER_CODE);
	CHECK_EQ(frame.ss, USER_DATA);
	CHECK_EQ(frame.rsp, user_stack_top);
	CHECK_EQ(frame.rip, user_ud2);
	CHECK_EQ(frame.rdi, 1);
}

TEST(ac_in_ring_3, "SDM Vol. 3A 6.15, interrupt 17: #AC(0) with CR0.AM and RFLAGS.AC")
{
	struct frame frame = { .rip = (uint64_t)user_into_unaligned,
		               .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rsp = (uint64_t)user_stack_top,
		               .rflags = FLAG_ONE | FLAG_AC,
		               .rdi = (uint64_t)user_data };
	struct frame masked = frame;

	write_cr0(read_cr0() | CR0_AM);
	enter(&frame, USER_DATA);
	CHECK_EQ(frame.vector, AC);
	CHECK_EQ(frame.code, 0);
	write_cr0(read_cr0() & ~CR0_AM);
	enter(&masked, USER_DATA);
	CHECK_EQ(masked.vector, RETURN_VECTOR);
}

/* ---- Software interrupts and gates ---- */

TEST(int_from_ring_3_needs_dpl_3, "SDM Vol. 3A 6.12.1.1: #GP(vector * 8 + 2)")
{
	struct frame frame = enter_user(user_int_90, 0, 0);

	CHECK_EQ(frame.vector, GP);
	CHECK_EQ(frame.code, 0x90 * 8 + 2);
	CHECK_EQ(frame.rip, user_int_90);
}

TEST(exception_from_ring_3_ignores_dpl,
     "SDM Vol. 3A 6.12.1.1: DPL counts for INT n, INT3 and INTO only")
{
	CHECK_EQ(enter_user(user_ud2, 0, 0).vector, UD);
}

#define TRY_INT(n)                                                                                 \
	({                                                                                         \
		fault_expect();                                                                    \
		__asm__ volatile(TRY("int $" #n) : : : "memory");                                  \
		fault_end();                                                                       \
	})

TEST(int_pushes_no_error_code, "SDM Vol. 3A 6.13: INT n pushes no error code, whatever its vector")
{
	/* The stub of vector 90h, which expects none, in the gate of #GP. */
	idt[GP].offset0 = idt[0x90].offset0;
	idt[GP].offset1 = idt[0x90].offset1;
	CHECK_EQ(TRY_INT(13).vector, 0x90);
	CHECK_EQ(fault_frame()->cs, KERNEL_CODE);
}

static void gate_case(uint64_t vector, uint64_t code)
{
	check_fault(HERE, "int $0x90", TRY_INT(0x90), vector, code);
}

TEST(gate_not_present, "SDM Vol. 3A 6.15, interrupt 11: #NP(vector * 8 + 2)")
{
	idt[0x90].type = 0x0e;
	gate_case(NP, 0x90 * 8 + 2);
}

TEST(gate_of_wrong_type, "SDM Vol. 2A INT n: #GP(vector * 8 + 2) unless the gate is a 64-bit one")
{
	idt[0x90].type = 0x85;
	gate_case(GP, 0x90 * 8 + 2);
	idt[0x90].type = 0x86;
	gate_case(GP, 0x90 * 8 + 2);
	idt[0x90].type = 0x8c;
	gate_case(GP, 0x90 * 8 + 2);
}

TEST(gate_with_null_selector, "SDM Vol. 2A INT n: #GP(0)")
{
	idt[0x90].selector = 0;
	gate_case(GP, 0);
}

TEST(gate_to_data_segment, "SDM Vol. 2A INT n: #GP(selector)")
{
	idt[0x90].selector = KERNEL_DATA;
	gate_case(GP, KERNEL_DATA);
}

TEST(gate_to_32_bit_code, "SDM Vol. 2A INT n: #GP(selector) unless L is set")
{
	idt[0x90].selector = KERNEL_CODE32;
	gate_case(GP, KERNEL_CODE32);
}

TEST(gate_beyond_gdt, "SDM Vol. 2A INT n: #GP(selector)")
{
	idt[0x90].selector = 0xfff8;
	gate_case(GP, 0xfff8);
}

TEST(gate_to_absent_code, "SDM Vol. 2A INT n: #NP(selector)")
{
	gdt[TEST_SELECTOR / 8] = UINT64_C(0x00af1b000000ffff);
	idt[0x90].selector = TEST_SELECTOR;
	gate_case(NP, TEST_SELECTOR);
}

TEST(gate_to_user_code, "SDM Vol. 2A INT n: #GP(selector) if DPL is greater than CPL")
{
	idt[0x90].selector = USER_CODE & ~3u;
	gate_case(GP, USER_CODE & ~3u);
}

TEST(gate_not_canonical, "SDM Vol. 2A INT n: #GP(0)")
{
	idt_set(0x90, NON_CANONICAL, KERNEL_CODE, GATE_INTERRUPT, 0);
	gate_case(GP, 0);
}

TEST(beyond_idt_limit, "SDM Vol. 3A 6.15, interrupt 13: #GP(vector * 8 + 2)")
{
	lidt((uint64_t)idt, 0x90 * 16 - 1);
	gate_case(GP, 0x90 * 8 + 2);
}

TEST(beyond_idt_limit_by_one, "SDM Vol. 3A 6.10: the limit is the last valid byte")
{
	lidt((uint64_t)idt, 0x91 * 16 - 2);
	gate_case(GP, 0x90 * 8 + 2);
	lidt((uint64_t)idt, 0x91 * 16 - 1);
	CHECK_EQ(TRY_INT(0x90).vector, 0x90);
}

TEST(idt_not_mapped, "SDM Vol. 3A 4.7: reading a gate is a supervisor access")
{
	/* A table of which the gates from 90h on are in a page that is not there. */
	uint8_t *page = page_alloc();
	struct fault got;

	memcpy(page + PAGE - 0x90 * 16, idt, 0x90 * 16);
	page_map(FREE_SPACE, (uint64_t)page, PTE_P | PTE_W, 1);
	lidt(FREE_SPACE + PAGE - 0x90 * 16, 256 * 16 - 1);
	got = TRY_INT(0x90);
	CHECK_EQ(got.vector, PF);
	CHECK_EQ(got.code, 0);
	CHECK_EQ(got.address, FREE_SPACE + PAGE);
}

/* ---- One exception on the way to another ---- */

USER_CODE_TEXT(kernel_gp, 64, "movabsq $0x0100000000000000, %rax; movq (%rax), %rax");
USER_CODE_TEXT(kernel_pf, 64, "movabsq $0x8000000000, %rax; movq (%rax), %rax");
USER_CODE_TEXT(kernel_ud, 64, "ud2");
USER_CODE_TEXT(kernel_de, 64, "xorl %ecx, %ecx; divl %ecx");
USER_CODE_TEXT(kernel_bp, 64, "int3");

static struct frame enter_kernel(const void *code)
{
	struct frame frame = { .rip = (uint64_t)code,
		               .cs = KERNEL_CODE,
		               .ss = KERNEL_DATA,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)other_stack + sizeof(other_stack) };

	enter(&frame, KERNEL_DATA);
	return frame;
}

struct chain {
	const char *code;
	uint8_t first; /* the vector whose gate is not present */
	uint64_t vector, error;
};

static void chain_case(const struct test_case *self)
{
	const struct chain *row = self->row;
	struct frame frame;
	struct fault got;

	idt[row->first].type = 0x0e;
	frame = enter_kernel(row->code);
	got = (struct fault){ .vector = frame.vector, .code = frame.code };
	check_fault(HERE, "second exception", got, row->vector, row->error);
}

#define CHAIN(name, code, first, vector, error, reference)                                         \
	static const struct chain row_##name = { code, first, vector, error };                     \
	TEST_ROW(name, chain_case, &row_##name, reference)
CHAIN(df_gp_then_np, kernel_gp, GP, DF, 0,
      "SDM Vol. 3A 6.15, table 6-5: contributory, contributory");
CHAIN(df_de_then_np, kernel_de, DE, DF, 0,
      "SDM Vol. 3A 6.15, table 6-5: contributory, contributory");
CHAIN(df_pf_then_np, kernel_pf, PF, DF, 0, "SDM Vol. 3A 6.15, table 6-5: page fault, contributory");
CHAIN(ud_then_np, kernel_ud, UD, NP, UD * 8 + 3,
      "SDM Vol. 3A 6.15, table 6-5: benign; 6.13: EXT is set");
CHAIN(bp_then_np, kernel_bp, BP, NP, BP * 8 + 2,
      "SDM Vol. 3A 6.13: EXT is clear for INT n, INT3, INTO");

/* A handler's stack that is not there: the page fault comes while the first is delivered. */
static struct frame fault_on_stack(const void *code, uint8_t vector)
{
	cpu_tss(0)->ist[6] = FREE_SPACE + 0x2000;
	idt[vector].ist = 7;
	return enter_kernel(code);
}

TEST(ud_then_pf, "SDM Vol. 3A 6.15, table 6-5: benign, page fault: handled one after the other")
{
	struct frame frame = fault_on_stack(kernel_ud, UD);

	CHECK_EQ(frame.vector, PF);
	CHECK_EQ(frame.code, PF_W);
	CHECK_EQ(frame.rip, kernel_ud);
	CHECK_EQ(read_cr2() & ~UINT64_C(0xfff), FREE_SPACE + 0x1000);
}

TEST(gp_then_pf,
     "SDM Vol. 3A 6.15, table 6-5: contributory, page fault: handled one after the other")
{
	CHECK_EQ(fault_on_stack(kernel_gp, GP).vector, PF);
}

USER_CODE_TEXT(kernel_ss, 64, "movabsq $0x0100000000000000, %rsp; pushq %rax");

TEST(ss_by_rsp,
     "SDM Vol. 3A 6.15, interrupt 12: #SS(0) for a push to an address that is not canonical")
{
	struct frame frame;

	idt[SS].ist = 1;
	frame = enter_kernel(kernel_ss);
	CHECK_EQ(frame.vector, SS);
	CHECK_EQ(frame.code, 0);
	CHECK_EQ(frame.rsp, NON_CANONICAL);
}

TEST(df_ss_then_ss,
     "SDM Vol. 3A 6.15, table 6-5: the stack that #SS came from has no room for its frame")
{
	CHECK_EQ(enter_kernel(kernel_ss).vector, DF);
}

TEST(df_pf_then_pf, "SDM Vol. 3A 6.15, table 6-5: page fault, page fault")
{
	struct frame frame = fault_on_stack(kernel_pf, PF);

	CHECK_EQ(frame.vector, DF);
	CHECK_EQ(frame.code, 0);
}

TEST(de_then_ss, "SDM Vol. 3A 6.15, table 6-5: #DE, #SS by a stack that is not canonical: #DF")
{
	cpu_tss(0)->ist[6] = NON_CANONICAL;
	idt[DE].ist = 7;
	CHECK_EQ(enter_kernel(kernel_de).vector, DF);
}

TEST(ud_then_ss,
     "SDM Vol. 2A INT n: #SS(EXT) if pushing the frame uses an address that is not canonical")
{
	struct frame frame;

	cpu_tss(0)->ist[6] = NON_CANONICAL;
	idt[UD].ist = 7;
	frame = enter_kernel(kernel_ud);
	CHECK_EQ(frame.vector, SS);
	CHECK_EQ(frame.code & ~UINT64_C(1), 0);
}

/* ---- Which comes first ---- */

TEST(lock_before_page_fault,
     "SDM Vol. 3A 6.9, table 6-2: #UD of decoding before faults of execution")
{
	fault_expect();
	__asm__ volatile(TRY(".byte 0xf0, 0x8b, 0x00") : : "a"(FREE_SPACE));
	check_fault(HERE, "lock mov", fault_end(), UD, 0);
}

TEST(nm_before_page_fault, "SDM Vol. 3A 6.9, table 6-2: #NM before #PF")
{
	write_cr0(read_cr0() | CR0_TS);
	fault_expect();
	__asm__ volatile(TRY("fldl (%0)") : : "r"(FREE_SPACE));
	check_fault(HERE, "fld", fault_end(), NM, 0);
}

TEST(alignment_before_page_fault, "SDM Vol. 2B MOVAPS, Vol. 3A 6.9: #GP of alignment before #PF")
{
	fault_expect();
	__asm__ volatile(TRY("movaps (%0), %%xmm0") : : "r"(FREE_SPACE + 8));
	check_fault(HERE, "movaps", fault_end(), GP, 0);
}

TEST(page_fault_before_divide, "SDM Vol. 2A DIV: the operand is read before it divides")
{
	fault_expect();
	__asm__ volatile(TRY("divl (%0)") : : "r"(FREE_SPACE), "a"(1), "d"(0) : "cc");
	check_fault(HERE, "div", fault_end(), PF, 0);
}

TEST(fetch_fault_of_second_page,
     "SDM Vol. 3A 6.9: an instruction's bytes are fetched before it is decoded")
{
	uint8_t *page = page_alloc();
	struct frame frame;

	page[4095] = 0x0f; /* UD2's first byte; the second is not there */
	page_map(FREE_SPACE, (uint64_t)page, PTE_P, 1);
	frame = enter_kernel((const void *)(FREE_SPACE + 4095));
	CHECK_EQ(frame.vector, PF);
	CHECK_EQ(read_cr2(), FREE_SPACE + 4096);
	CHECK_EQ(frame.rip, FREE_SPACE + 4095);
}

TEST(nothing_beyond_is_fetched, "SDM Vol. 3A 6.9: only an instruction's own bytes have to be there")
{
	uint8_t *page = page_alloc();

	page[4094] = 0xcd;
	page[4095] = 0x80;
	page_map(FREE_SPACE, (uint64_t)page, PTE_P, 1);
	CHECK_EQ(enter_kernel((const void *)(FREE_SPACE + 4094)).vector, RETURN_VECTOR);
}

/* ---- Outside of 64-bit mode ---- */

LOW_CODE_TEXT(low_aam_0, 32, ".byte 0xd4, 0");
LOW_CODE_TEXT(low_into, 32, "movb $0x7f, %al; addb $1, %al; into");
LOW_CODE_TEXT(low_into_clear, 32, "xorl %eax, %eax; into");
LOW_CODE_TEXT(low_bound, 32, "movl $5, %eax; pushl $4; pushl $1; .byte 0x62, 0x04, 0x24");
LOW_CODE_TEXT(low_bound_inside, 32, "movl $4, %eax; pushl $4; pushl $1; .byte 0x62, 0x04, 0x24");
LOW_CODE_TEXT(low_ud_salc, 32, "ud2");
LOW_CODE_TEXT(low_daa, 32, "movb $0x9b, %al; clc; daa");

static struct mode run_32(const void *code)
{
	struct mode mode = mode_32(code);

	mode_call(&mode);
	return mode;
}

TEST(de_aam_0, "SDM Vol. 2A AAM: #DE for an immediate of 0")
{
	CHECK_EQ(run_32(low_aam_0).vector, DE);
}

TEST(of_into, "SDM Vol. 2A INTO: #OF, a trap, if OF is set")
{
	struct mode mode = run_32(low_into);

	CHECK_EQ(mode.vector, OF);
	CHECK_EQ(mode.eip, low_into + 5);
	CHECK_EQ(run_32(low_into_clear).vector, RETURN_VECTOR);
}

TEST(br_bound, "SDM Vol. 2A BOUND: #BR, a fault, if the index is outside")
{
	struct mode mode = run_32(low_bound);

	CHECK_EQ(mode.vector, BR);
	CHECK_EQ(mode.eip, low_bound + 9);
	CHECK_EQ(run_32(low_bound_inside).vector, RETURN_VECTOR);
}

TEST(ud_in_protected_mode, "SDM Vol. 2B UD")
{
	struct mode mode = run_32(low_ud_salc);

	CHECK_EQ(mode.vector, UD);
	CHECK_EQ(mode.eip, low_ud_salc);
}

TEST(daa_in_protected_mode, "SDM Vol. 2A DAA")
{
	struct mode mode = run_32(low_daa);

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax & 0xff, 0x01);
	CHECK(mode.eflags & FLAG_CF);
}

TEST_ENDS(triple_fault, "triple-fault",
          "SDM Vol. 3A 6.15, interrupt 8: a fault on the way to #DF: shutdown")
{
	lidt(0, 0);
	__asm__ volatile("ud2");
}
