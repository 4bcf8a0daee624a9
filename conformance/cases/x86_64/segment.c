/* SPDX-License-Identifier: BSD-2-Clause */
/* Segment registers, descriptors, far transfers, system calls, and the ways to other modes. */
#include "guest/x86_64/feature.h"

/* Descriptors: base 0, limit 4 GiB - 1 unless said otherwise. */
#define D_DATA        UINT64_C(0x00cf93000000ffff)
#define D_READ_ONLY   UINT64_C(0x00cf91000000ffff)
#define D_DATA_3      UINT64_C(0x00cff3000000ffff)
#define D_ABSENT      UINT64_C(0x00cf13000000ffff)
#define D_CODE64      UINT64_C(0x00af9b000000ffff)
#define D_CODE64_3    UINT64_C(0x00affb000000ffff)
#define D_CODE_X      UINT64_C(0x00af99000000ffff) /* execute only */
#define D_CODE_ABSENT UINT64_C(0x00af1b000000ffff)
#define D_CONFORMING  UINT64_C(0x00af9f000000ffff)
#define D_CODE_L_D    UINT64_C(0x00ef9b000000ffff) /* both L and D */
#define D_LDT         UINT64_C(0x00008200000000ff)
#define D_LDT_ABSENT  UINT64_C(0x00000200000000ff)
#define D_TSS_BUSY    UINT64_C(0x00008b0000000067)
#define D_TSS_ABSENT  UINT64_C(0x0000090000000067)
#define SLOT          TEST_SELECTOR

/* ---- Loads of a selector in ring 0 ---- */

enum how { DS_, SS_, LLDT_, LTR_ };

struct load {
	enum how how;
	uint64_t descriptor; /* at SLOT, the 8 bytes after it being 0 */
	uint16_t selector;
	uint64_t vector, code;
};

static void load_case(const struct test_case *self)
{
	static void (*const loads[])(uint16_t) = { load_ds, load_ss, lldt, ltr };
	const struct load *row = self->row;
	struct fault got;

	gdt[SLOT / 8] = row->descriptor;
	gdt[SLOT / 8 + 1] = 0;
	got = FAULT_OF(loads[row->how](row->selector));
	check_fault(HERE, "load", got, row->vector, row->code);
}

#define LOAD(name, how, descriptor, selector, vector, code, reference)                             \
	static const struct load row_##name = { how, descriptor, selector, vector, code };         \
	TEST_ROW(name, load_case, &row_##name, reference)
#define MOV_REFERENCE  "SDM Vol. 2B MOV: loading a segment register"
#define LLDT_REFERENCE "SDM Vol. 2A LLDT"
#define LTR_REFERENCE  "SDM Vol. 2A LTR"
LOAD(ds_null, DS_, 0, 0, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_null_rpl_3, DS_, 0, 3, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_data, DS_, D_DATA, SLOT, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_rpl_above_dpl, DS_, D_DATA, SLOT | 3, GP, SLOT, MOV_REFERENCE);
LOAD(ds_of_ring_3, DS_, D_DATA_3, SLOT | 3, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_read_only, DS_, D_READ_ONLY, SLOT, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_readable_code, DS_, D_CODE64, SLOT, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_execute_only, DS_, D_CODE_X, SLOT, GP, SLOT, MOV_REFERENCE);
LOAD(ds_conforming_any_rpl, DS_, D_CONFORMING, SLOT | 3, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ds_system, DS_, D_LDT, SLOT, GP, SLOT, MOV_REFERENCE);
LOAD(ds_absent, DS_, D_ABSENT, SLOT, NP, SLOT, MOV_REFERENCE);
LOAD(ds_zero_descriptor, DS_, 0, SLOT, GP, SLOT, MOV_REFERENCE);
LOAD(ds_beyond_gdt, DS_, D_DATA, 0xfff8, GP, 0xfff8, MOV_REFERENCE);
LOAD(ds_in_no_ldt, DS_, D_DATA, 4, GP, 4, MOV_REFERENCE);
LOAD(ss_null, SS_, 0, 0, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ss_null_rpl_3, SS_, 0, 3, GP, 0, MOV_REFERENCE);
LOAD(ss_data, SS_, D_DATA, SLOT, FAULT_NONE, ANY_CODE, MOV_REFERENCE);
LOAD(ss_rpl_3, SS_, D_DATA, SLOT | 3, GP, SLOT, MOV_REFERENCE);
LOAD(ss_of_ring_3, SS_, D_DATA_3, SLOT, GP, SLOT, MOV_REFERENCE);
LOAD(ss_read_only, SS_, D_READ_ONLY, SLOT, GP, SLOT, MOV_REFERENCE);
LOAD(ss_code, SS_, D_CODE64, SLOT, GP, SLOT, MOV_REFERENCE);
LOAD(ss_absent, SS_, D_ABSENT, SLOT, SS, SLOT, MOV_REFERENCE);
LOAD(ss_beyond_gdt, SS_, D_DATA, 0xfff8, GP, 0xfff8, MOV_REFERENCE);
LOAD(lldt_null, LLDT_, 0, 0, FAULT_NONE, ANY_CODE, LLDT_REFERENCE);
LOAD(lldt_ldt, LLDT_, D_LDT, SLOT, FAULT_NONE, ANY_CODE, LLDT_REFERENCE);
LOAD(lldt_absent, LLDT_, D_LDT_ABSENT, SLOT, NP, SLOT, LLDT_REFERENCE);
LOAD(lldt_data, LLDT_, D_DATA, SLOT, GP, SLOT, LLDT_REFERENCE);
LOAD(lldt_beyond_gdt, LLDT_, D_LDT, 0xfff8, GP, 0xfff8, LLDT_REFERENCE);
LOAD(lldt_in_ldt, LLDT_, D_LDT, SLOT | 4, GP, SLOT | 4, LLDT_REFERENCE);
LOAD(ltr_null, LTR_, 0, 0, GP, 0, LTR_REFERENCE);
LOAD(ltr_busy, LTR_, D_TSS_BUSY, SLOT, GP, SLOT, LTR_REFERENCE);
LOAD(ltr_absent, LTR_, D_TSS_ABSENT, SLOT, NP, SLOT, LTR_REFERENCE);
LOAD(ltr_data, LTR_, D_DATA, SLOT, GP, SLOT, LTR_REFERENCE);
LOAD(ltr_ldt, LTR_, D_LDT, SLOT, GP, SLOT, LTR_REFERENCE);

TEST(ltr_sets_busy, LTR_REFERENCE)
{
	uint64_t base = (uint64_t)cpu_tss(0);

	gdt[SLOT / 8] = DESCRIPTOR(base, 0x67, 0x89);
	gdt[SLOT / 8 + 1] = base >> 32;
	ltr(SLOT);
	CHECK_EQ(gdt[SLOT / 8] >> 40 & 0xff, 0x8b);
	CHECK_EQ(str(), SLOT);
}

TEST(lldt_not_canonical, LLDT_REFERENCE)
{
	gdt[SLOT / 8] = D_LDT;
	gdt[SLOT / 8 + 1] = 0x01000000;
	CHECK_FAULT(GP, SLOT, lldt(SLOT));
}

TEST(load_sets_accessed, "SDM Vol. 3A 3.4.5.1: the accessed bit")
{
	gdt[SLOT / 8] = D_DATA & ~BIT(40);
	load_ds(SLOT);
	CHECK(gdt[SLOT / 8] & BIT(40));
}

TEST(failed_load_keeps_selector, MOV_REFERENCE)
{
	gdt[SLOT / 8] = D_ABSENT;
	load_ds(KERNEL_DATA);
	CHECK_FAULT(NP, SLOT, load_ds(SLOT));
	CHECK_EQ(read_ds(), KERNEL_DATA);
}

TEST(ldt_is_used, "SDM Vol. 3A 3.5.1")
{
	static uint64_t ldt[4] __attribute__((aligned(8)));
	uint64_t base = (uint64_t)ldt;

	ldt[1] = D_DATA;
	gdt[SLOT / 8] = DESCRIPTOR(base, 15, 0x82);
	gdt[SLOT / 8 + 1] = base >> 32;
	lldt(SLOT);
	CHECK_NO_FAULT(load_ds(0x0c));
	CHECK_EQ(read_ds(), 0x0c);
	CHECK_FAULT(GP, 0x14, load_ds(0x14));
	CHECK_EQ(sldt(), SLOT);
}

TEST(fs_base_from_descriptor, "SDM Vol. 3A 3.4.4: the base is loaded, 32 bits of it")
{
	wrmsr(MSR_FS_BASE, UINT64_C(0x7fff00000000));
	gdt[SLOT / 8] = DESCRIPTOR(UINT64_C(0xf2345678), 0xfffff, 0xc093);
	load_fs(SLOT);
	CHECK_EQ(rdmsr(MSR_FS_BASE), 0xf2345678);
}

TEST(ds_base_and_limit_ignored, "SDM Vol. 3A 3.2.4: in 64-bit mode")
{
	static uint32_t cell = 0x12345678;

	gdt[SLOT / 8] = DESCRIPTOR(UINT64_C(0x1000), 0, 0x93);
	load_ds(SLOT);
	CHECK_EQ(load32((uint64_t)&cell), 0x12345678);
}

TEST(null_ds_is_usable, "SDM Vol. 3A 5.4.1.1: in 64-bit mode")
{
	static uint32_t cell = 0x12345678;

	load_ds(0);
	CHECK_EQ(load32((uint64_t)&cell), 0x12345678);
}

/* ---- LAR, LSL, VERR, VERW, ARPL's absence ---- */

#define QUERY(instruction)                                                                         \
	static inline bool instruction(uint16_t selector, uint32_t *value)                         \
	{                                                                                          \
		bool found;                                                                        \
		*value = 0xdeadbeef;                                                               \
		__asm__ volatile(#instruction " %2, %1"                                            \
		                 : "=@ccz"(found), "+r"(*value)                                    \
		                 : "r"((uint32_t)selector));                                       \
		return found;                                                                      \
	}
QUERY(lar)
QUERY(lsl)
#undef QUERY

static bool verr(uint16_t selector)
{
	bool ok;

	__asm__ volatile("verr %1" : "=@ccz"(ok) : "r"(selector));
	return ok;
}

static bool verw(uint16_t selector)
{
	bool ok;

	__asm__ volatile("verw %1" : "=@ccz"(ok) : "r"(selector));
	return ok;
}

TEST(lar_gives_rights, "SDM Vol. 2A LAR")
{
	uint32_t value;

	gdt[SLOT / 8] = D_DATA_3;
	CHECK(lar(SLOT | 3, &value));
	CHECK_EQ(value & 0xf0ff00, 0xc0f300);
	CHECK(!lar(0, &value));
	CHECK_EQ(value, 0xdeadbeef);
	CHECK(!lar(0xfff8, &value));
}

TEST(lar_of_system_types,
     "SDM Vol. 2A LAR, table: in IA-32e mode LDT and TSS, not gates other than call gates")
{
	uint32_t value;

	gdt[SLOT / 8] = D_LDT;
	gdt[SLOT / 8 + 1] = 0;
	CHECK(lar(SLOT, &value));
	CHECK_EQ(value & 0xff00, 0x8200);
	gdt[SLOT / 8] = UINT64_C(0x00008e0000080000); /* an interrupt gate */
	CHECK(!lar(SLOT, &value));
	gdt[SLOT / 8] = UINT64_C(0x0000830000000067); /* a busy 16-bit TSS */
	CHECK(!lar(SLOT, &value));
}

TEST(lsl_gives_limit, "SDM Vol. 2A LSL: in bytes")
{
	uint32_t value;

	gdt[SLOT / 8] = D_DATA;
	CHECK(lsl(SLOT, &value));
	CHECK_EQ(value, 0xffffffff);
	gdt[SLOT / 8] = DESCRIPTOR(0, 0x12345, 0x4093);
	CHECK(lsl(SLOT, &value));
	CHECK_EQ(value, 0x12345);
	CHECK(!lsl(SLOT | 3, &value));
}

TEST(verr_verw, "SDM Vol. 2B VERR")
{
	gdt[SLOT / 8] = D_DATA;
	CHECK(verr(SLOT) && verw(SLOT));
	CHECK(!verr(SLOT | 3));
	gdt[SLOT / 8] = D_READ_ONLY;
	CHECK(verr(SLOT) && !verw(SLOT));
	gdt[SLOT / 8] = D_CODE_X;
	CHECK(!verr(SLOT) && !verw(SLOT));
	gdt[SLOT / 8] = D_LDT;
	CHECK(!verr(SLOT));
	CHECK(!verr(0));
}

/* ---- Far transfers ---- */

#define TRY_FAR(instruction, selector_value)                                                       \
	({                                                                                         \
		struct {                                                                           \
			uint32_t offset;                                                           \
			uint16_t selector;                                                         \
		} __attribute__((packed)) far_operand = { 0, selector_value };                     \
		fault_expect();                                                                    \
		__asm__ volatile("movq %%rsp, %%rbx; leaq 3f(%%rip), %%rax; movl %%eax, %0; " TRY( \
					 instruction " %0") "3: movq %%rbx, %%rsp"                 \
		                 : "+m"(far_operand)                                               \
		                 :                                                                 \
		                 : "rax", "rbx", "memory");                                        \
		fault_end();                                                                       \
	})

struct far {
	uint64_t descriptor;
	uint16_t selector;
	uint64_t vector, code;
};

static void far_jump_case(const struct test_case *self)
{
	const struct far *row = self->row;
	struct fault got;

	gdt[SLOT / 8] = row->descriptor;
	gdt[SLOT / 8 + 1] = 0;
	got = TRY_FAR("ljmp *", row->selector);
	check_fault(HERE, "far jump", got, row->vector, row->code);
	if (row->vector == FAULT_NONE)
		CHECK_EQ(read_cs() & ~3u, row->selector & ~3u);
	got = TRY_FAR("lcall *", row->selector);
	check_fault(HERE, "far call", got, row->vector, row->code);
}

#define FAR(name, descriptor, selector, vector, code)                                              \
	static const struct far row_##name = { descriptor, selector, vector, code };               \
	TEST_ROW(name, far_jump_case, &row_##name, "SDM Vol. 2A JMP, CALL: far, in IA-32e mode")
FAR(far_to_code, D_CODE64, SLOT, FAULT_NONE, ANY_CODE);
FAR(far_to_conforming, D_CONFORMING, SLOT, FAULT_NONE, ANY_CODE);
FAR(far_to_null, D_CODE64, 0, GP, 0);
FAR(far_to_data, D_DATA, SLOT, GP, SLOT);
FAR(far_beyond_gdt, D_CODE64, 0xfff8, GP, 0xfff8);
FAR(far_to_absent, D_CODE_ABSENT, SLOT, NP, SLOT);
FAR(far_to_ring_3, D_CODE64_3, SLOT, GP, SLOT);
FAR(far_rpl_above_cpl, D_CODE64, SLOT | 3, GP, SLOT);
FAR(far_with_l_and_d, D_CODE_L_D, SLOT, GP, SLOT);
FAR(far_to_tss, D_TSS_BUSY & ~BIT(41), SLOT, GP, SLOT);

TEST(far_return, "SDM Vol. 2B RET: far, to the same privilege level")
{
	uint64_t cs;

	gdt[SLOT / 8] = D_CODE64;
	__asm__ volatile("leaq 1f(%%rip), %%rax; pushq %1; pushq %%rax; lretq; 1: movq %%cs, %0"
	                 : "=r"(cs)
	                 : "i"(SLOT)
	                 : "rax", "memory");
	CHECK_EQ(cs, SLOT);
}

TEST(call_gate, "SDM Vol. 3A 5.8.3.1: a 64-bit call gate to the same privilege level")
{
	uint64_t target, cs = 0;

	__asm__ volatile("leaq 1f(%%rip), %0; jmp 2f; 1: movq %%cs, %1; lretq; 2:"
	                 : "=r"(target), "+r"(cs));
	gdt[SLOT / 8] = (target & 0xffff) | (uint64_t)KERNEL_CODE << 16 | UINT64_C(0x8c) << 40 |
	                (target >> 16 & 0xffff) << 48;
	gdt[SLOT / 8 + 1] = target >> 32;
	CHECK_EQ(TRY_FAR("lcall *", SLOT).vector, FAULT_NONE);
	gdt[SLOT / 8] &= ~BIT(47);
	check_fault(HERE, "call by an absent gate", TRY_FAR("lcall *", SLOT), NP, SLOT);
}

USER_CODE_TEXT(call_gate_target, 64, "movq %cs, %rax; movq %rsp, %rcx");
USER_CODE_TEXT(user_call_gate, 64, "lcall *(%rdi)");

TEST(call_gate_from_ring_3, "SDM Vol. 3A 5.8.5.1: RSP0 of the TSS, a null SS")
{
	uint64_t target = (uint64_t)call_gate_target;
	struct frame frame;

	gdt[SLOT / 8] = (target & 0xffff) | (uint64_t)KERNEL_CODE << 16 | UINT64_C(0xec) << 40 |
	                (target >> 16 & 0xffff) << 48;
	gdt[SLOT / 8 + 1] = target >> 32;
	*(uint64_t *)user_data = (uint64_t)SLOT << 32;
	frame = enter_user(user_call_gate, (uint64_t)user_data, 0);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, KERNEL_CODE);
	CHECK_EQ(frame.rcx, cpu_tss(0)->rsp[0] - 32);
	gdt[SLOT / 8] &= ~(BIT(45) | BIT(46));
	frame = enter_user(user_call_gate, (uint64_t)user_data, 0);
	CHECK_EQ(frame.vector, GP);
	CHECK_EQ(frame.code, SLOT);
}

/* ---- IRET ---- */

static struct fault try_iret(uint64_t rip, uint64_t cs, uint64_t flags, uint64_t rsp, uint64_t ss)
{
	fault_expect();
	__asm__ volatile(
		"movq %%rsp, %%rbx; pushq %4; pushq %3; pushq %2; pushq %1; pushq %0; " TRY(
			"iretq") "movq %%rbx, %%rsp"
		:
		: "r"(rip), "r"(cs), "r"(flags), "r"(rsp), "r"(ss)
		: "rbx", "memory", "cc");
	return fault_end();
}

TEST(iret_to_null_cs, "SDM Vol. 2A IRET: #GP(0)")
{
	check_fault(HERE, "iretq", try_iret(0x1000, 0, 2, 0x1000, KERNEL_DATA), GP, 0);
}

TEST(iret_to_data, "SDM Vol. 2A IRET: #GP(selector)")
{
	check_fault(HERE, "iretq", try_iret(0x1000, KERNEL_DATA, 2, 0x1000, KERNEL_DATA), GP,
	            KERNEL_DATA);
}

TEST(iret_to_absent_code, "SDM Vol. 2A IRET: #NP(selector)")
{
	gdt[SLOT / 8] = D_CODE_ABSENT;
	check_fault(HERE, "iretq", try_iret(0x1000, SLOT, 2, 0x1000, KERNEL_DATA), NP, SLOT);
}

TEST(iret_to_null_ss_of_ring_3, "SDM Vol. 2A IRET: #GP(0) for a null SS in ring 3")
{
	check_fault(HERE, "iretq", try_iret(0x1000, USER_CODE, 2, 0x1000, 3), GP, 0);
}

TEST(iret_ss_rpl_differs, "SDM Vol. 2A IRET: #GP(selector)")
{
	check_fault(HERE, "iretq", try_iret(0x1000, USER_CODE, 2, 0x1000, USER_DATA & ~3u), GP,
	            USER_DATA & ~3u);
}

TEST(iret_not_canonical, "SDM Vol. 2A IRET: #GP(0)")
{
	check_fault(HERE, "iretq",
	            try_iret(UINT64_C(0x0100000000000000), KERNEL_CODE, 2, 0x1000, KERNEL_DATA), GP,
	            0);
}

TEST(iret_with_nt, "SDM Vol. 2A IRET: #GP(0) in IA-32e mode if NT is set")
{
	write_flags(FLAG_ONE | FLAG_NT);
	check_fault(HERE, "iretq", try_iret(0x1000, KERNEL_CODE, 2, 0x1000, KERNEL_DATA), GP, 0);
	write_flags(FLAG_ONE);
}

TEST(iret_nulls_data_segments, "SDM Vol. 2A IRET: DS and ES with DPL < CPL become null")
{
	extern const char user_read_ds[];
	struct frame frame = { .rip = (uint64_t)user_read_ds,
		               .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)user_stack_top };

	enter(&frame, KERNEL_DATA);
	CHECK_EQ(frame.rax, 0);
}
USER_CODE_TEXT(user_read_ds, 64, "movq %ds, %rax");

TEST(iopl_from_ring_3, "SDM Vol. 2B POPF: IOPL and IF stay as they are")
{
	extern const char user_popf[];
	struct frame frame = enter_user(user_popf, 0, 0);

	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rflags & (FLAG_IOPL | FLAG_IF), 0);
	CHECK(frame.rflags & FLAG_CF);
}
USER_CODE_TEXT(user_popf, 64, "pushq $0x3203; popfq");

/* ---- SYSCALL, SYSRET, SYSENTER ---- */

USER_CODE_TEXT(user_system_call, 64, "syscall");
USER_CODE_TEXT(user_sysenter, 64, "sysenter");
USER_CODE_TEXT(system_call_entry, 64, "movq %cs, %rax; movq %ss, %rbx");
USER_CODE_TEXT(sysret_to_64, 64, "sysretq");
USER_CODE_TEXT(sysret_to_32, 64, "sysretl");
USER_CODE_TEXT(user_read_cs, 64, "movl %cs, %eax; movl %ss, %ebx");

static void with_syscall(const char *target)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	wrmsr(MSR_STAR, (uint64_t)(USER_CODE32 | 3u) << 48 | (uint64_t)KERNEL_CODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)target);
	wrmsr(MSR_SFMASK, FLAG_DF | FLAG_AC);
}

TEST(syscall_enters, "SDM Vol. 2B SYSCALL: CS and SS by IA32_STAR, RCX, R11, IA32_FMASK")
{
	struct frame frame = { .rip = (uint64_t)user_system_call,
		               .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rflags = FLAG_ONE | FLAG_DF | FLAG_CF,
		               .rsp = (uint64_t)user_stack_top };

	with_syscall(system_call_entry);
	enter(&frame, USER_DATA);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, KERNEL_CODE);
	CHECK_EQ(frame.rbx, KERNEL_DATA);
	CHECK_EQ(frame.rcx, user_system_call + 2);
	CHECK_EQ(frame.r11, FLAG_ONE | FLAG_DF | FLAG_CF);
	CHECK_EQ(frame.rsp, user_stack_top);
	CHECK(!(frame.rflags & FLAG_DF));
	CHECK(frame.rflags & FLAG_CF);
}

TEST(syscall_without_sce, "SDM Vol. 2B SYSCALL: #UD if EFER.SCE is 0")
{
	CHECK_EQ(enter_user(user_system_call, 0, 0).vector, UD);
}

static struct frame run_sysret(const char *code, uint64_t rcx, uint64_t r11)
{
	struct frame frame = { .rip = (uint64_t)code,
		               .cs = KERNEL_CODE,
		               .ss = KERNEL_DATA,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)user_stack_top,
		               .rcx = rcx,
		               .r11 = r11 };

	with_syscall(system_call_entry);
	enter(&frame, USER_DATA);
	return frame;
}

TEST(sysret_to_64_bit, "SDM Vol. 2B SYSRET: CS is IA32_STAR[63:48] + 16, SS + 8, with RPL 3")
{
	struct frame frame = run_sysret(sysret_to_64, (uint64_t)user_read_cs, FLAG_ONE | FLAG_ZF);

	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, USER_CODE);
	CHECK_EQ(frame.rbx, USER_DATA);
	CHECK(frame.rflags & FLAG_ZF);
}

TEST(sysret_to_32_bit,
     "SDM Vol. 2B SYSRET: without REX.W compatibility mode, CS is IA32_STAR[63:48]")
{
	struct frame frame = run_sysret(sysret_to_32, (uint64_t)user_read_cs, FLAG_ONE);

	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, USER_CODE32);
	CHECK_EQ(frame.cs, USER_CODE32);
}

TEST(sysret_clears_rf_vm, "SDM Vol. 2B SYSRET: RFLAGS is R11 AND 3C7FD7H OR 2")
{
	struct frame frame = run_sysret(sysret_to_64, (uint64_t)user_read_cs,
	                                UINT64_C(0xffc00000) | FLAG_VM | FLAG_RF);

	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rflags & (FLAG_RF | FLAG_VM | UINT64_C(0xffc00000)), 0);
}

TEST(sysenter_without_cs, "SDM Vol. 2B SYSENTER: #GP(0) if IA32_SYSENTER_CS[15:2] is 0")
{
	struct frame frame;

	if (!vendor_is_intel())
		skip("an Intel CPU");
	need(F_SEP);
	wrmsr(MSR_SYSENTER_CS, 0);
	frame = enter_user(user_sysenter, 0, 0);
	CHECK_EQ(frame.vector, GP);
	CHECK_EQ(frame.code, 0);
}

TEST(sysenter_enters, "SDM Vol. 2B SYSENTER")
{
	struct frame frame;

	if (!vendor_is_intel())
		skip("an Intel CPU");
	need(F_SEP);
	wrmsr(MSR_SYSENTER_CS, KERNEL_CODE);
	wrmsr(MSR_SYSENTER_ESP, (uint64_t)user_stack_top);
	wrmsr(MSR_SYSENTER_EIP, (uint64_t)system_call_entry);
	frame = enter_user(user_sysenter, 0, 0);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, KERNEL_CODE);
	CHECK_EQ(frame.rbx, KERNEL_DATA);
	CHECK_EQ(frame.rsp, user_stack_top);
}

/* ---- Compatibility mode ---- */

USER_CODE_TEXT(compat_add, 32, "movl $0xffffffff, %eax; addl $1, %eax; .byte 0x40; nop");
USER_CODE_TEXT(compat_load, 32, "movl (%edi), %eax");
USER_CODE_TEXT(compat_store, 32, "movl %eax, (%edi)");
LOW_CODE_TEXT(compat_16, 16, "movw $0xffff, %ax; incw %ax; pushf; popw %bx");

static struct frame run_compat(const char *code, uint64_t cs, uint16_t ds, uint64_t rdi)
{
	struct frame frame = { .rip = (uint64_t)code,
		               .cs = cs,
		               .ss = KERNEL_DATA,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)user_stack_top,
		               .rdi = rdi };

	enter(&frame, ds);
	return frame;
}

TEST(compatibility_mode_is_32_bits,
     "SDM Vol. 3A 3.2.4, Vol. 1 3.2.1: 40h is INC, registers have 32 bits")
{
	struct frame frame = run_compat(compat_add, KERNEL_CODE32, KERNEL_DATA, 0);

	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax & 0xffffffff, 1);
	CHECK_EQ(frame.cs, KERNEL_CODE32);
}

TEST(compatibility_mode_16_bits, "SDM Vol. 3A 3.4.5: D = 0")
{
	struct frame frame = run_compat(compat_16, KERNEL_CODE16, KERNEL_DATA, 0);

	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax & 0xffff, 0);
	CHECK(frame.rbx & FLAG_ZF);
}

TEST(compatibility_base, "SDM Vol. 3A 3.2.4: segmentation works in compatibility mode")
{
	*(uint32_t *)user_data = 0xcafe1234;
	gdt[SLOT / 8] = DESCRIPTOR((uint64_t)user_data - 0x100, 0xfffff, 0xc093);
	CHECK_EQ(run_compat(compat_load, KERNEL_CODE32, SLOT, 0x100).rax & 0xffffffff, 0xcafe1234);
}

TEST(compatibility_base_wraps, "SDM Vol. 3A 3.4: base and offset are added modulo 4 GiB")
{
	*(uint32_t *)user_data = 0xcafe4321;
	gdt[SLOT / 8] = DESCRIPTOR(((uint64_t)user_data + 0x1000) & 0xffffffff, 0xfffff, 0xc093);
	CHECK_EQ(run_compat(compat_load, KERNEL_CODE32, SLOT, 0xfffff000).rax & 0xffffffff,
	         0xcafe4321);
}

struct compat {
	const char *code;
	uint64_t descriptor;
	uint64_t offset;
	uint64_t vector, error;
};

static void compat_case(const struct test_case *self)
{
	const struct compat *row = self->row;
	struct frame frame;
	struct fault got;

	gdt[SLOT / 8] = row->descriptor;
	frame = run_compat(row->code, KERNEL_CODE32, row->descriptor ? SLOT : 0, row->offset);
	got = (struct fault){ .vector = frame.vector, .code = frame.code };
	check_fault(HERE, "in compatibility mode", got, row->vector,
	            row->vector == RETURN_VECTOR ? ANY_CODE : row->error);
}

#define COMPAT(name, code, descriptor, offset, vector, error, reference)                           \
	static const struct compat row_##name = { code, descriptor, offset, vector, error };       \
	TEST_ROW(name, compat_case, &row_##name, reference)
#define LIMIT_REFERENCE "SDM Vol. 3A 5.3: limit checking"
#define LIMITED         DESCRIPTOR(0, 0x8fff, 0x4093)
#define EXPAND_DOWN     DESCRIPTOR(0, 0x8fff, 0x4097)
COMPAT(limit_last, compat_load, LIMITED, 0x8ffc, RETURN_VECTOR, 0, LIMIT_REFERENCE);
COMPAT(limit_across, compat_load, LIMITED, 0x8ffd, GP, 0, LIMIT_REFERENCE);
COMPAT(limit_beyond, compat_load, LIMITED, 0x9000, GP, 0, LIMIT_REFERENCE);
COMPAT(expand_down_below, compat_load, EXPAND_DOWN, 0x8fff, GP, 0, LIMIT_REFERENCE);
COMPAT(expand_down_above, compat_load, EXPAND_DOWN, 0x9000, RETURN_VECTOR, 0, LIMIT_REFERENCE);
COMPAT(store_read_only, compat_store, D_READ_ONLY, 0x7000, GP, 0, "SDM Vol. 3A 5.5: type checking");
COMPAT(load_read_only, compat_load, D_READ_ONLY, 0x9000, RETURN_VECTOR, 0,
       "SDM Vol. 3A 5.5: type checking");
COMPAT(null_segment, compat_load, 0, 0x9000, GP, 0, "SDM Vol. 3A 5.4.1: null selectors");

/* ---- Real mode and protected mode ---- */

LOW_CODE_TEXT(real_flags, 16, "smsw %ax; movw $0x1234, %bx; movw %bx, %es; movw %es, %cx");
LOW_CODE_TEXT(real_add_32, 16, "movl $0x12345678, %eax; addl $0x11111111, %eax");
LOW_CODE_TEXT(real_load, 16, "movb %es:(%di), %al");
LOW_CODE_TEXT(real_word_at_ffff, 16, "movw (%si), %ax");
LOW_CODE_TEXT(real_stack_word, 16, "movw %si, %bp; movw (%bp), %ax");
LOW_CODE_TEXT(real_far_call, 16,
              "xorl %eax, %eax; lcall $0, $real_far_target; jmp 2f; "
              ".globl real_far_target; real_far_target: movw %cs, %ax; movw $7, %bx; lret; 2: nop");
LOW_CODE_TEXT(real_int, 16, "sti; int $0x55");
LOW_CODE_TEXT(real_div, 16, "xorw %cx, %cx; divw %cx");
LOW_CODE_TEXT(real_ud, 16, "ud2");
LOW_CODE_TEXT(real_lmsw_off, 16,
              "smsw %ax; orw $1, %ax; lmsw %ax; smsw %bx; andw $0xfffe, %ax; lmsw %ax; smsw %cx; "
              "movl %cr0, %edx; andl $0xfffffffe, %edx; movl %edx, %cr0");
LOW_CODE_TEXT(real_push_pop, 16,
              "pushw $0x1234; pushl $0x56789abc; popl %eax; popw %bx; movw %sp, %cx");
LOW_CODE_TEXT(real_loop, 16, "movw $5, %cx; xorw %ax, %ax; 1: addw %cx, %ax; loop 1b");
LOW_CODE_TEXT(real_lods, 16, "cld; movw $0x7000, %si; lodsw; movw %ax, %bx; lodsb");
LOW_CODE_TEXT(real_address_32, 16, "movl $0x7000, %ebx; movl (%ebx), %eax");
LOW_CODE_TEXT(
	unreal_load, 16,
	"movl %cr0, %eax; orb $1, %al; movl %eax, %cr0; movw $0x10, %bx; movw %bx, %es; "
	"andb $0xfe, %al; movl %eax, %cr0; xorw %bx, %bx; movw %bx, %es; movl %es:(%esi), %edx");
LOW_CODE_TEXT(low_nop_32, 32, "movl $0xffffffff, %eax; incl %eax; pushf; popl %ebx");
LOW_CODE_TEXT(low_nop_16, 16, "movw $0xffff, %ax; incw %ax; pushf; popw %bx");
LOW_CODE_TEXT(low_load_es, 32, "movw %si, %es");
LOW_CODE_TEXT(low_load_cell, 32, "movl (%esi), %eax");
LOW_CODE_TEXT(low_cli, 32, "cli");
LOW_CODE_TEXT(low_arpl, 32, "movw $0x10, %ax; movw $3, %cx; arpl %cx, %ax; setz %bl");
LOW_CODE_TEXT(low_pusha, 32,
              "movl %esp, %edx; pushal; movl 12(%esp), %ecx; movl %ecx, 0x7000; popal; subl %esp, "
              "%edx; movl 0x7000, %ecx");
LOW_CODE_TEXT(low_push_segments, 32, "pushl %ds; popl %es; pushl %es; popl %eax; movw %es, %bx");
LOW_CODE_TEXT(low_xlat, 32, "movl $0x7000, %ebx; movb $1, %al; xlatb");
LOW_CODE_TEXT(
	low_cmpxchg8b, 32,
	"movl $0x7000, %esi; movl (%esi), %eax; movl 4(%esi), %edx; movl $1, %ebx; movl $2, %ecx; "
	"cmpxchg8b (%esi); setz %al; movl (%esi), %ebx; movl 4(%esi), %ecx");

#define LOW_DATA UINT64_C(0x7000)

static struct mode run(struct mode mode)
{
	mode_call(&mode);
	return mode;
}

TEST(real_mode, "SDM Vol. 3A 20.1: 16-bit code, PE clear, selectors as they are written")
{
	struct mode mode = run(mode_real(real_flags));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax & 1, 0);
	CHECK_EQ(mode.ecx & 0xffff, 0x1234);
}

TEST(real_mode_operand_size, "SDM Vol. 3A 20.1.3: 32-bit operands by prefix")
{
	CHECK_EQ(run(mode_real(real_add_32)).eax, 0x23456789);
}

TEST(real_mode_address, "SDM Vol. 3A 20.1.1: selector * 16 + offset")
{
	struct mode mode = mode_real(real_load);

	store8(LOW_DATA + 0x123, 0xa5);
	mode.ds = (uint32_t)(LOW_DATA >> 4);
	mode.edi = 0x123;
	CHECK_EQ(run(mode).eax & 0xff, 0xa5);
}

TEST(real_mode_above_1m, "SDM Vol. 3A 20.1.1: FFFFH:0010H is 100000H with A20 on")
{
	struct mode mode = mode_real(real_load);

	mode.ds = 0xffff;
	mode.edi = 0x10;
	CHECK_EQ(run(mode).eax & 0xff, load8(0x100000));
}

TEST(real_mode_limit, "SDM Vol. 3A 20.1, 6.15: #GP for a word at FFFFH")
{
	struct mode mode = mode_real(real_word_at_ffff);

	mode.esi = 0xffff;
	CHECK_EQ(run(mode).vector, GP);
}

TEST(real_mode_stack_limit, "SDM Vol. 3A 20.1, 6.15: #SS for a word at FFFFH of the stack segment")
{
	struct mode mode = mode_real(real_stack_word);

	mode.esi = 0xffff;
	CHECK_EQ(run(mode).vector, SS);
}

TEST(real_mode_far_call, "SDM Vol. 2A CALL: far, in real-address mode")
{
	struct mode mode = run(mode_real(real_far_call));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.ebx & 0xffff, 7);
	CHECK_EQ(mode.eax & 0xffff, 0);
}

TEST(real_mode_interrupt, "SDM Vol. 3A 20.1.4: FLAGS, CS, IP; IF and TF cleared")
{
	struct mode mode = run(mode_real(real_int));

	CHECK_EQ(mode.vector, 0x55);
	CHECK_EQ(mode.eip, (uint64_t)real_int + 3);
	CHECK(mode.eflags & FLAG_IF);
}

TEST(real_mode_divide_error, "SDM Vol. 3A 6.15, 20.1.4: the saved IP is the instruction's")
{
	struct mode mode = run(mode_real(real_div));

	CHECK_EQ(mode.vector, DE);
	CHECK_EQ(mode.eip, (uint64_t)real_div + 2);
}

TEST(real_mode_invalid_opcode, "SDM Vol. 3A 20.1.4")
{
	CHECK_EQ(run(mode_real(real_ud)).vector, UD);
}

TEST(real_mode_lmsw, "SDM Vol. 2A LMSW: sets PE and cannot clear it; MOV CR0 can")
{
	struct mode mode = run(mode_real(real_lmsw_off));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.ebx & 1, 1);
	CHECK_EQ(mode.ecx & 1, 1);
}

TEST(real_mode_stack, "SDM Vol. 2B PUSH: operand sizes in real mode")
{
	struct mode mode = mode_real(real_push_pop), done = run(mode);

	CHECK_EQ(done.eax, 0x56789abc);
	CHECK_EQ(done.ebx & 0xffff, 0x1234);
	CHECK_EQ(done.ecx & 0xffff, mode.esp & 0xffff);
}

TEST(real_mode_loop, "SDM Vol. 2A LOOP: CX")
{
	CHECK_EQ(run(mode_real(real_loop)).eax & 0xffff, 15);
}

TEST(real_mode_strings, "SDM Vol. 2A LODS: DS:SI")
{
	struct mode mode;

	store32(LOW_DATA, 0x44332211);
	mode = run(mode_real(real_lods));
	CHECK_EQ(mode.ebx & 0xffff, 0x2211);
	CHECK_EQ(mode.eax & 0xff, 0x33);
	CHECK_EQ(mode.esi & 0xffff, 0x7003);
}

TEST(real_mode_32_bit_address, "SDM Vol. 3A 20.1.3: 32-bit addresses by prefix")
{
	store32(LOW_DATA, 0x98765432);
	CHECK_EQ(run(mode_real(real_address_32)).eax, 0x98765432);
}

TEST(unreal_mode, "SDM Vol. 3A 9.9.2: a limit loaded in protected mode stays in real mode")
{
	struct mode mode = mode_real(unreal_load);
	uint32_t cell = 0x600df00d;

	mode.esi = (uint32_t)(uint64_t)&cell;
	mode = run(mode);
	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.edx, 0x600df00d);
}

TEST(protected_mode_32, "SDM Vol. 3A 9.9.1")
{
	struct mode mode = run(mode_32(low_nop_32));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax, 0);
	CHECK(mode.ebx & FLAG_ZF);
}

TEST(protected_mode_16, "SDM Vol. 3A 3.4.5: D = 0")
{
	struct mode mode = run(mode_16(low_nop_16));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax & 0xffff, 0);
}

static struct mode ring_3(const void *code)
{
	struct mode mode = mode_32(code);

	mode.cs = LOW_USER32;
	mode.ss = mode.ds = LOW_USER_DATA;
	return mode;
}

TEST(protected_mode_ring_3, "SDM Vol. 3A 5.9: CLI with CPL > IOPL")
{
	struct mode mode = run(ring_3(low_cli));

	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.code, 0);
	CHECK_EQ(mode.cs & 3, 3);
	CHECK_EQ(mode.eip, (uint64_t)low_cli);
}

TEST(protected_mode_ring_3_data, "SDM Vol. 3A 5.6: ring 3 cannot load a segment of ring 0")
{
	struct mode mode = ring_3(low_load_es);

	mode.esi = LOW_DATA32;
	mode = run(mode);
	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.code, LOW_DATA32);
}

TEST(protected_mode_limit, LIMIT_REFERENCE)
{
	struct mode mode = mode_32(low_load_cell);

	low_gdt[LOW_TEST / 8] = DESCRIPTOR(0, 0x6fff, 0x4093);
	mode.ds = LOW_TEST;
	mode.esi = 0x6ffd;
	mode = run(mode);
	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.code, 0);
}

TEST(protected_mode_absent_segment, MOV_REFERENCE)
{
	struct mode mode = mode_32(low_load_es);

	low_gdt[LOW_TEST / 8] = D_ABSENT;
	mode.esi = LOW_TEST;
	mode = run(mode);
	CHECK_EQ(mode.vector, NP);
	CHECK_EQ(mode.code, LOW_TEST);
}

TEST(protected_mode_arpl, "SDM Vol. 2A ARPL")
{
	struct mode mode = run(mode_32(low_arpl));

	CHECK_EQ(mode.eax & 0xffff, 0x13);
	CHECK_EQ(mode.ebx & 0xff, 1);
}

TEST(protected_mode_pusha, "SDM Vol. 2B PUSHA, POPA: ESP as it was before")
{
	struct mode mode = mode_32(low_pusha), done = run(mode);

	CHECK_EQ(done.edx, 0);
	CHECK_EQ(done.ecx, mode.esp);
}

TEST(protected_mode_push_segments, "SDM Vol. 2B PUSH, POP: segment registers")
{
	struct mode mode = run(mode_32(low_push_segments));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.ebx & 0xffff, LOW_DATA32);
}

TEST(protected_mode_xlat, "SDM Vol. 2C XLAT")
{
	store16(LOW_DATA, 0xbeef);
	CHECK_EQ(run(mode_32(low_xlat)).eax & 0xff, 0xbe);
}

TEST(protected_mode_cmpxchg8b, "SDM Vol. 2A CMPXCHG8B")
{
	struct mode mode;

	store64(LOW_DATA, UINT64_C(0x1122334455667788));
	mode = run(mode_32(low_cmpxchg8b));
	CHECK_EQ(mode.eax & 0xff, 1);
	CHECK_EQ(mode.ebx, 1);
	CHECK_EQ(mode.ecx, 2);
}

/* ---- Virtual-8086 mode ---- */

LOW_CODE_TEXT(v86_code, 16, "movw %cs, %ax; movw $0x7100, %bx; movw %ss, %cx");
LOW_CODE_TEXT(v86_cli, 16, "cli");
LOW_CODE_TEXT(v86_int, 16, "int $0x21");
LOW_CODE_TEXT(v86_pushf, 16, "pushf");
LOW_CODE_TEXT(v86_lgdt, 16, "lgdt (0)");
LOW_CODE_TEXT(v86_load, 16, "movb (%si), %al");

static struct mode v86(const void *code, uint32_t iopl)
{
	struct mode mode = mode_32(code);

	mode.eflags = (uint32_t)FLAG_VM | FLAG_ONE | iopl << 12;
	mode.cs = mode.ds = mode.ss = 0;
	return mode;
}

/* INT n of every vector but those with DPL 3 is #GP there: 80h's gate has it, with IOPL 3. */
TEST(v86_mode, "SDM Vol. 3A 20.2: ring 3, segments as in real mode")
{
	struct mode mode = run(v86(v86_code, 3));

	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax & 0xffff, 0);
	CHECK_EQ(mode.ebx & 0xffff, 0x7100);
	CHECK(mode.eflags & FLAG_VM);
}

TEST(v86_cli_needs_iopl_3, "SDM Vol. 3A 20.2.8.1: CLI is sensitive to IOPL")
{
	struct mode mode = run(v86(v86_cli, 0));

	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.eip, (uint64_t)v86_cli);
	CHECK_EQ(run(v86(v86_cli, 3)).vector, RETURN_VECTOR);
}

TEST(v86_pushf_needs_iopl_3, "SDM Vol. 3A 20.2.8.1: PUSHF is sensitive to IOPL")
{
	CHECK_EQ(run(v86(v86_pushf, 0)).vector, GP);
}

TEST(v86_int_needs_iopl_3, "SDM Vol. 3A 20.2.8.1: INT n is sensitive to IOPL")
{
	struct mode mode = run(v86(v86_int, 0));

	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.code, 0);
}

TEST(v86_int_gate_dpl, "SDM Vol. 3A 20.3.1.1: with IOPL 3, a gate with DPL 0: #GP(vector * 8 + 2)")
{
	struct mode mode = run(v86(v86_int, 3));

	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.code, 0x21 * 8 + 2);
}

TEST(v86_privileged, "SDM Vol. 2A LGDT: #GP in virtual-8086 mode")
{
	CHECK_EQ(run(v86(v86_lgdt, 3)).vector, GP);
}

TEST(v86_address, "SDM Vol. 3A 20.2.2: selector * 16 + offset")
{
	struct mode mode = v86(v86_load, 3);

	store8(LOW_DATA + 0x45, 0x77);
	mode.ds = (uint32_t)(LOW_DATA >> 4);
	mode.esi = 0x45;
	CHECK_EQ(run(mode).eax & 0xff, 0x77);
}
