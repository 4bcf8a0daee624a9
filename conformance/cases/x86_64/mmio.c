/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on memory-mapped registers, which a hypervisor has to emulate, against the same
 * instruction on memory. The register is the initial count of the local APIC's timer (masked): it
 * keeps the 32 bits that are written. SDM Vol. 3A 10.4.1: it is to be accessed by aligned 32 bits.
 */
#include "guest/x86_64/feature.h"

#define REGISTER ((uint64_t)APIC_DEFAULT + APIC_TIMER_INITIAL)
#define FLAGS    (FLAG_CF | FLAG_PF | FLAG_ZF | FLAG_SF | FLAG_OF)

struct registers {
	uint64_t rax, rcx, rdx, rsi, flags, memory;
};

struct form {
	void (*execute)(struct registers *r, uint64_t address);
	enum feature feature;
	uint64_t undefined; /* flags */
};

static const uint32_t starts[] = { 0x12345678, 0x80000001, 0xffffffff, 0x00000003, 0x7fffff00 };
static uint32_t cell __attribute__((aligned(64)));

static struct registers run(const struct form *form, uint64_t address, uint32_t start)
{
	struct registers r = { .rax = UINT64_C(0x1111222212345678),
		               .rcx = UINT64_C(0x3333444400000005),
		               .rdx = UINT64_C(0x5555666600000001) };

	store32(address, start);
	form->execute(&r, address);
	r.memory = load32(address);
	r.flags &= FLAGS & ~form->undefined;
	return r;
}

static void form_case(const struct test_case *self)
{
	const struct form *form = self->row;

	need(form->feature);
	apic_write(APIC_TIMER, 0x10000 | 0x40);
	for (unsigned int n = 0; n < sizeof(starts) / sizeof(starts[0]); n++) {
		struct registers expected = run(form, (uint64_t)&cell, starts[n]);
		struct registers got = run(form, REGISTER, starts[n]);

		/* String instructions move their pointers by the same. */
		if (got.rsi != expected.rsi)
			FAIL("from %#x: RSI or RDI moved by %lx instead of %lx", starts[n], got.rsi,
			     expected.rsi);
		if (got.memory != expected.memory)
			FAIL("from %#x: memory %#lx instead of %#lx", starts[n], got.memory,
			     expected.memory);
		if (got.rax != expected.rax || got.rcx != expected.rcx || got.rdx != expected.rdx)
			FAIL("from %#x: rax %#lx rcx %#lx rdx %#lx instead of %#lx %#lx %#lx",
			     starts[n], got.rax, got.rcx, got.rdx, expected.rax, expected.rcx,
			     expected.rdx);
		if (got.flags != expected.flags)
			FAIL("from %#x: flags %#lx instead of %#lx", starts[n], got.flags,
			     expected.flags);
	}
}

#define FORM(name, text, feature, undefined)                                                       \
	static void execute_##name(struct registers *r, uint64_t address)                          \
	{                                                                                          \
		uint64_t rdi = address, rsi = (uint64_t)&r->rax;                                   \
		__asm__ volatile("pushq $0x3; popfq; " text "; pushfq; popq %[flags]"              \
		                 : "+a"(r->rax), "+c"(r->rcx), "+d"(r->rdx), "+D"(rdi),            \
		                   "+S"(rsi), [flags] "=&r"(r->flags)                              \
		                 :                                                                 \
		                 : "cc", "memory");                                                \
		r->rsi = (rdi - address) << 32 | ((rsi - (uint64_t)&r->rax) & 0xffffffff);         \
	}                                                                                          \
	static const struct form form_##name = { execute_##name, F_##feature, undefined };         \
	TEST_ROW(name, form_case, &form_##name,                                                    \
	         "SDM Vol. 2: an instruction does the same whatever its memory operand is")

FORM(mov_store, "movl %%eax, (%%rdi)", LM, 0);
FORM(mov_load, "movl (%%rdi), %%eax", LM, 0);
FORM(mov_store_r8, "movl %%eax, %%r8d; movl %%r8d, (%%rdi)", LM, 0);
FORM(mov_immediate, "movl $0x89abcdef, (%%rdi)", LM, 0);
FORM(mov_base_index, "xorl %%ecx, %%ecx; movl %%eax, (%%rdi, %%rcx, 4)", LM, 0);
FORM(mov_displacement, "leaq -0x1234(%%rdi), %%rdi; movl %%eax, 0x1234(%%rdi)", LM, 0);
FORM(movslq, "movslq (%%rdi), %%rax", LM, 0);
FORM(movnti, "movnti %%eax, (%%rdi)", LM, 0);
FORM(movbe_load, "movbe (%%rdi), %%eax", MOVBE, 0);
FORM(movbe_store, "movbe %%eax, (%%rdi)", MOVBE, 0);
FORM(movd_load, "movd (%%rdi), %%xmm0; movd %%xmm0, %%eax", LM, 0);
FORM(movd_store, "movd %%eax, %%xmm0; movd %%xmm0, (%%rdi)", LM, 0);
FORM(movss_load, "movss (%%rdi), %%xmm0; movd %%xmm0, %%eax", LM, 0);
FORM(movss_store, "movd %%eax, %%xmm0; movss %%xmm0, (%%rdi)", LM, 0);

#define ARITHMETIC(op)                                                                             \
	FORM(op##_to_memory, #op "l %%eax, (%%rdi)", LM, 0);                                       \
	FORM(op##_from_memory, #op "l (%%rdi), %%eax", LM, 0);                                     \
	FORM(op##_immediate_8, #op "l $-5, (%%rdi)", LM, 0);                                       \
	FORM(op##_immediate_32, #op "l $0x12345678, (%%rdi)", LM, 0)
ARITHMETIC(add);
ARITHMETIC(or);
ARITHMETIC(adc);
ARITHMETIC(sbb);
ARITHMETIC(and);
ARITHMETIC(sub);
ARITHMETIC(xor);
ARITHMETIC(cmp);
FORM(test_register, "testl %%eax, (%%rdi)", LM, 0);
FORM(test_immediate, "testl $0x80000001, (%%rdi)", LM, 0);
FORM(not, "notl (%%rdi)", LM, 0);
FORM(neg, "negl (%%rdi)", LM, 0);
FORM(inc, "incl (%%rdi)", LM, 0);
FORM(dec, "decl (%%rdi)", LM, 0);
FORM(lock_add, "lock addl %%eax, (%%rdi)", LM, 0);
FORM(lock_or, "lock orl $0x40, (%%rdi)", LM, 0);
FORM(lock_inc, "lock incl (%%rdi)", LM, 0);
FORM(xchg, "xchgl %%eax, (%%rdi)", LM, 0);
FORM(xadd, "lock xaddl %%eax, (%%rdi)", LM, 0);
FORM(cmpxchg, "lock cmpxchgl %%ecx, (%%rdi)", LM, 0);
FORM(cmpxchg_unlocked, "cmpxchgl %%ecx, (%%rdi)", LM, 0);

FORM(bt_immediate, "btl $31, (%%rdi)", LM, FLAG_OF | FLAG_SF | FLAG_PF);
FORM(bts_immediate, "btsl $7, (%%rdi)", LM, FLAG_OF | FLAG_SF | FLAG_PF);
FORM(btr_immediate, "btrl $3, (%%rdi)", LM, FLAG_OF | FLAG_SF | FLAG_PF);
FORM(btc_immediate, "btcl $0, (%%rdi)", LM, FLAG_OF | FLAG_SF | FLAG_PF);
FORM(bts_register, "btsl %%ecx, (%%rdi)", LM, FLAG_OF | FLAG_SF | FLAG_PF);
FORM(lock_btr, "lock btrl $4, (%%rdi)", LM, FLAG_OF | FLAG_SF | FLAG_PF);
FORM(shl_one, "shll (%%rdi)", LM, 0);
FORM(shr_one, "shrl (%%rdi)", LM, 0);
FORM(sar_one, "sarl (%%rdi)", LM, 0);
FORM(rol_one, "roll (%%rdi)", LM, 0);
FORM(ror_one, "rorl (%%rdi)", LM, 0);
FORM(rcl_one, "rcll (%%rdi)", LM, 0);
FORM(rcr_one, "rcrl (%%rdi)", LM, 0);
FORM(shl_immediate, "shll $9, (%%rdi)", LM, FLAG_OF);
FORM(shr_cl, "shrl %%cl, (%%rdi)", LM, FLAG_OF);
FORM(sar_cl, "sarl %%cl, (%%rdi)", LM, FLAG_OF);
FORM(rol_cl, "roll %%cl, (%%rdi)", LM, FLAG_OF);
FORM(rcr_immediate, "rcrl $3, (%%rdi)", LM, FLAG_OF);
FORM(shld, "shldl $8, %%eax, (%%rdi)", LM, FLAG_OF);
FORM(shrd, "shrdl %%cl, %%eax, (%%rdi)", LM, FLAG_OF);

FORM(mul, "mull (%%rdi)", LM, FLAG_ZF | FLAG_SF | FLAG_PF);
FORM(imul_one, "imull (%%rdi)", LM, FLAG_ZF | FLAG_SF | FLAG_PF);
FORM(imul_two, "imull (%%rdi), %%eax", LM, FLAG_ZF | FLAG_SF | FLAG_PF);
FORM(imul_three, "imull $-7, (%%rdi), %%eax", LM, FLAG_ZF | FLAG_SF | FLAG_PF);
FORM(div, "divl (%%rdi)", LM, FLAGS);
FORM(bsf, "bsfl (%%rdi), %%eax", LM, FLAGS & ~FLAG_ZF);
FORM(bsr, "bsrl (%%rdi), %%eax", LM, FLAGS & ~FLAG_ZF);
FORM(popcnt, "popcntl (%%rdi), %%eax", POPCNT, 0);
FORM(crc32, "crc32l (%%rdi), %%eax", SSE4_2, 0);
FORM(cmovc, "cmovcl (%%rdi), %%eax", LM, 0);
FORM(cmovnc, "cmovncl (%%rdi), %%eax", LM, 0);
FORM(andn, "andnl (%%rdi), %%ecx, %%eax", BMI1, FLAG_PF);
FORM(rorx, "rorxl $5, (%%rdi), %%eax", BMI2, 0);
FORM(shlx, "shlxl %%ecx, (%%rdi), %%eax", BMI2, 0);

FORM(stos, "cld; stosl", LM, 0);
FORM(stos_down, "std; stosl; cld", LM, 0);
FORM(rep_stos, "cld; movl $1, %%ecx; rep stosl", LM, 0);
FORM(movs_to, "cld; movsl", LM, 0);
FORM(movs_from, "cld; xchgq %%rsi, %%rdi; movsl; xchgq %%rsi, %%rdi", LM, 0);
FORM(lods, "cld; xchgq %%rsi, %%rdi; lodsl; xchgq %%rsi, %%rdi", LM, 0);
FORM(scas, "cld; scasl", LM, 0);
FORM(repne_scas, "cld; movl $1, %%ecx; repne scasl", LM, 0);
FORM(cmps, "cld; cmpsl", LM, 0);
FORM(rep_movs, "cld; movl $1, %%ecx; rep movsl", LM, 0);
FORM(rep_none, "cld; xorl %%ecx, %%ecx; rep stosl", LM, 0);

/* ---- Through the guest's own page tables ---- */

TEST(through_other_mapping, "SDM Vol. 3A 4.1: a register at another linear address")
{
	page_map(FREE_SPACE, APIC_DEFAULT, PTE_P | PTE_W | PTE_PCD, 1);
	apic_write(APIC_TIMER, 0x10000 | 0x40);
	store32(FREE_SPACE + APIC_TIMER_INITIAL, 0x7654321);
	CHECK_EQ(load32(REGISTER), 0x7654321);
}

TEST(read_only_mapping, "SDM Vol. 3A 4.6: access rights come before the register")
{
	page_map(FREE_SPACE, APIC_DEFAULT, PTE_P | PTE_PCD, 1);
	apic_write(APIC_TIMER, 0x10000 | 0x40);
	store32(REGISTER, 0x1111);
	CHECK_FAULT(PF, PF_P | PF_W, store32(FREE_SPACE + APIC_TIMER_INITIAL, 0x2222));
	CHECK_EQ(load32(REGISTER), 0x1111);
}

TEST(rmw_sets_dirty, "SDM Vol. 3A 4.8: accessed and dirty for a register's page")
{
	uint64_t *entry = page_map(FREE_SPACE, APIC_DEFAULT, PTE_P | PTE_W | PTE_PCD, 1);

	apic_write(APIC_TIMER, 0x10000 | 0x40);
	load32(FREE_SPACE + APIC_TIMER_INITIAL);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A);
	__asm__ volatile("orl $1, (%0)" : : "r"(FREE_SPACE + APIC_TIMER_INITIAL) : "memory", "cc");
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}

USER_CODE_TEXT(user_or, 64, "orl $0x100, (%rdi); movl (%rdi), %eax");

TEST(from_ring_3, "SDM Vol. 3A 4.6: a page for ring 3")
{
	struct frame frame;

	page_map(FREE_SPACE, APIC_DEFAULT, PTE_P | PTE_W | PTE_U | PTE_PCD, 1);
	apic_write(APIC_TIMER, 0x10000 | 0x40);
	store32(REGISTER, 0x23);
	frame = enter_user(user_or, FREE_SPACE + APIC_TIMER_INITIAL, 0);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(frame.rax, 0x123);
}

TEST(code_across_pages,
     "SDM Vol. 2A 2.3: an instruction on a register whose bytes are in two pages")
{
	static uint8_t stack[512] __attribute__((aligned(16)));
	static const uint8_t code[] = { 0xc7, 0x07, 0x78, 0x56, 0x34, 0x12, 0xcd, RETURN_VECTOR };

	apic_write(APIC_TIMER, 0x10000 | 0x40);
	for (unsigned int before = 1; before < 6; before++) {
		uint8_t *first = page_alloc(), *second = (page_alloc(), page_alloc());
		struct frame frame = { .rip = FREE_SPACE + PAGE - before,
			               .cs = KERNEL_CODE,
			               .ss = KERNEL_DATA,
			               .rflags = FLAG_ONE,
			               .rsp = (uint64_t)stack + sizeof(stack),
			               .rdi = REGISTER };

		for (unsigned int n = 0; n < sizeof(code); n++)
			*(n < before ? first + PAGE - before + n : second + n - before) = code[n];
		page_map(FREE_SPACE, (uint64_t)first, PTE_P, 1);
		page_map(FREE_SPACE + PAGE, (uint64_t)second, PTE_P, 1);
		store32(REGISTER, 1);
		enter(&frame, KERNEL_DATA);
		CHECK_EQ(frame.vector, RETURN_VECTOR);
		CHECK_EQ(load32(REGISTER), 0x12345678);
	}
}

TEST(faulting_operand_of_movs,
     "SDM Vol. 2A MOVS: a fault of the other operand leaves all as it was")
{
	uint64_t rsi = REGISTER, rdi = FREE_SPACE, got_rsi, got_rdi;

	apic_write(APIC_TIMER, 0x10000 | 0x40);
	fault_expect();
	__asm__ volatile("cld; " TRY("movsl") : "+S"(rsi), "+D"(rdi) : : "memory");
	check_fault(HERE, "movs", fault_end(), PF, PF_W);
	got_rsi = rsi;
	got_rdi = rdi;
	CHECK_EQ(got_rsi, REGISTER);
	CHECK_EQ(got_rdi, FREE_SPACE);
}

LOW_CODE_TEXT(low_or_apic, 32,
              "movl $0xfee00380, %edi; movl $0x41, (%edi); orl $0x10, (%edi); movl (%edi), %eax");

TEST(in_protected_mode, "SDM Vol. 2: registers by 32-bit code")
{
	struct mode mode = mode_32(low_or_apic);

	apic_write(APIC_TIMER, 0x10000 | 0x40);
	mode_call(&mode);
	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax, 0x51);
}
