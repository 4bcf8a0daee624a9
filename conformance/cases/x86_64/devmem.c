/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on device memory, of all widths, unaligned and across pages: each does there what it
 * does in RAM, where the processor itself carries it out. The device is pc-testdev's buffer, whose
 * bytes read as they were written.
 */
#include "cases/x86_64/testdev.h"
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#define BYTES      (2 * PAGE)
#define EVERY_FLAG (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define NO_FLAG    0u

/* What an instruction finds and leaves. rdi: at its operand; rsi: at another, in RAM. */
struct registers {
	uint64_t rax, rcx, rdx, rbx, rsi, rdi, r8, flags;
};
struct form {
	void (*run)(struct registers *registers);
	uint64_t flags; /* those that the instruction defines */
	uint64_t feature;
	uint64_t rcx;
	bool aligned; /* on its size only */
};

static uint8_t ram[BYTES] __attribute__((aligned(4096)));
static uint8_t other[2][256] __attribute__((aligned(64)));

static uint64_t pattern(uint64_t n)
{
	return (n + 0x5a) * UINT64_C(0x9e3779b97f4a7c15);
}

static void need_device(void)
{
	need_testdev();
	store32(TESTDEV_MEMORY, 0x13572468);
	if (load32(TESTDEV_MEMORY) != 0x13572468)
		skip("pc-testdev's memory");
}

/* Only around the operand: device memory takes an exit for each access. */
#define AROUND 64u
#define MIDDLE 128u

static uint64_t around(uint64_t offset)
{
	return (offset - AROUND) & ~UINT64_C(7);
}

static struct registers run_at(const struct form *form, uint64_t base, uint64_t offset,
                               uint8_t *second)
{
	struct registers registers = { .rax = UINT64_C(0x8877665544332211),
		                       .rcx = form->rcx,
		                       .rdx = UINT64_C(0x0123456789abcdef),
		                       .rbx = UINT64_C(0xfedcba9876543210),
		                       .rsi = (uint64_t)second + MIDDLE,
		                       .rdi = base + offset,
		                       .r8 = UINT64_C(0xa5a5a5a55a5a5a5a),
		                       .flags = FLAG_ONE | FLAG_CF };

	for (uint64_t n = around(offset); n < offset + AROUND; n += 8)
		store64(base + n, pattern(n));
	for (uint64_t n = 0; n < sizeof(other[0]); n++)
		second[n] = (uint8_t)pattern(n + 77);
	form->run(&registers);
	registers.rdi -= base;
	registers.rsi -= (uint64_t)second;
	return registers;
}

static void compare(const struct form *form, uint64_t offset)
{
	struct registers got = run_at(form, TESTDEV_MEMORY, offset, other[1]);
	struct registers expected = run_at(form, (uint64_t)ram, offset, other[0]);

	CHECK_EQ(got.rax, expected.rax);
	CHECK_EQ(got.rcx, expected.rcx);
	CHECK_EQ(got.rdx, expected.rdx);
	CHECK_EQ(got.rbx, expected.rbx);
	CHECK_EQ(got.rsi, expected.rsi);
	CHECK_EQ(got.rdi, expected.rdi);
	CHECK_EQ(got.r8, expected.r8);
	CHECK_EQ(got.flags & form->flags, expected.flags & form->flags);
	for (uint64_t n = around(offset); n < offset + AROUND; n += 8)
		if (load64(TESTDEV_MEMORY + n) != load64((uint64_t)ram + n))
			FAIL("operand at %lx, at %lx: expected %lx, got %lx", offset, n,
			     load64((uint64_t)ram + n), load64(TESTDEV_MEMORY + n));
	for (uint64_t n = 0; n < sizeof(other[0]); n++)
		CHECK_EQ(other[1][n], other[0][n]);
}

static void run_form(const struct test_case *self)
{
	static const uint64_t offsets[] = { 0x100,    0x101,    0x103,    0x106,    0x10f,
		                            PAGE - 1, PAGE - 2, PAGE - 3, PAGE - 4, PAGE - 7 };
	const struct form *form = self->row;

	need_device();
	if (form->feature)
		need((enum feature)(form->feature - 1));
	if (form->feature == F_AVX + 1 || form->feature == F_AVX2 + 1) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		xsetbv(0, 7);
	}
	for (unsigned int n = 0; n < (form->aligned ? 1 : sizeof(offsets) / sizeof(offsets[0]));
	     n++)
		compare(form, offsets[n]);
}

#define FULL_FORM(name, text, ...)                                                                 \
	static void name##_code(struct registers *r)                                               \
	{                                                                                          \
		register uint64_t r8 __asm__("r8") = r->r8;                                        \
                                                                                                   \
		__asm__ volatile("pushq %7\n\tpopfq\n\t" text "\n\tpushfq\n\tpopq %7\n\tcld"       \
		                 : "+a"(r->rax), "+c"(r->rcx), "+d"(r->rdx), "+b"(r->rbx),         \
		                   "+S"(r->rsi), "+D"(r->rdi), "+r"(r8), "+r"(r->flags)            \
		                 :                                                                 \
		                 : "memory", "cc");                                                \
		r->r8 = r8;                                                                        \
	}                                                                                          \
	static const struct form name##_form = { .run = name##_code, .rcx = 3, __VA_ARGS__ };      \
	TEST_ROW(name, run_form, &name##_form,                                                     \
	         "SDM Vol. 1 19.3.1: any instruction that references memory reaches devices")
#define FORM(name, text)             FULL_FORM(name, text, .flags = EVERY_FLAG)
#define FORM_FLAGS(name, mask, text) FULL_FORM(name, text, .flags = (mask))
#define FORM_WITH(name, has, text)                                                                 \
	FULL_FORM(name, text, .flags = EVERY_FLAG, .feature = F_##has + 1)

/* Moves. */
FORM(mov_load_8, "movb (%%rdi), %%al");
FORM(mov_load_16, "movw (%%rdi), %%ax");
FORM(mov_load_32, "movl (%%rdi), %%eax");
FORM(mov_load_64, "movq (%%rdi), %%rax");
FORM(mov_load_high_byte, "movb (%%rdi), %%ah; movb (%%rdi), %%dh");
FORM(mov_load_r8, "movl (%%rdi), %%r8d");
FORM(mov_store_8, "movb %%dl, (%%rdi)");
FORM(mov_store_16, "movw %%dx, (%%rdi)");
FORM(mov_store_32, "movl %%edx, (%%rdi)");
FORM(mov_store_64, "movq %%rdx, (%%rdi)");
FORM(mov_store_high_byte, "movb %%bh, (%%rdi)");
FORM(mov_store_r8, "movb %%r8b, (%%rdi); movq %%r8, 8(%%rdi)");
FORM(mov_immediate_8, "movb $0x5a, (%%rdi)");
FORM(mov_immediate_16, "movw $0x1234, (%%rdi)");
FORM(mov_immediate_32, "movl $0x12345678, (%%rdi)");
FORM(mov_immediate_64, "movq $-2, (%%rdi)");
FORM(mov_index, "movl 4(%%rdi,%%rcx,4), %%eax; movw %%dx, -8(%%rdi,%%rcx,2)");
FORM(mov_segment, "movw %%ss, (%%rdi); movw %%ds, 2(%%rdi)");
FORM(movzx,
     "movzbl (%%rdi), %%eax; movzwl 1(%%rdi), %%ecx; movzbq 2(%%rdi), %%rdx; movzwq 3(%%rdi), "
     "%%rbx; movzbw 4(%%rdi), %%r8w");
FORM(movsx,
     "movsbl (%%rdi), %%eax; movswl 1(%%rdi), %%ecx; movsbq 2(%%rdi), %%rdx; movswq 3(%%rdi), "
     "%%rbx; movsbw 4(%%rdi), %%r8w");
FORM(movsxd, "movslq (%%rdi), %%rax; movslq 4(%%rdi), %%rdx");
FORM_WITH(movbe_load, MOVBE, "movbew (%%rdi), %%ax; movbel (%%rdi), %%edx; movbeq (%%rdi), %%rbx");
FORM_WITH(movbe_store, MOVBE,
          "movbew %%ax, (%%rdi); movbel %%edx, 2(%%rdi); movbeq %%rbx, 8(%%rdi)");
FORM(movnti, "movntil %%edx, (%%rdi); movntiq %%rbx, 8(%%rdi)");
FORM(cmov, "cmovcl (%%rdi), %%eax; cmovncq 4(%%rdi), %%rdx");
FORM(setcc, "setc (%%rdi); setnc 1(%%rdi); setz 2(%%rdi)");
FORM(xlat, "movq %%rdi, %%rbx; movb $5, %%al; xlatb; movq $0, %%rbx");

/* Arithmetic: to memory, from memory, immediate. */
#define ARITHMETIC(name)                                                                           \
	FORM(name##_to_memory, #name "b %%al, (%%rdi);" #name "w %%dx, 1(%%rdi);" #name            \
	                             "l %%ebx, 3(%%rdi);" #name "q %%r8, 7(%%rdi)");               \
	FORM(name##_from_memory, #name "b (%%rdi), %%al;" #name "w 1(%%rdi), %%dx;" #name          \
	                               "l 3(%%rdi), %%ebx;" #name "q 7(%%rdi), %%r8");             \
	FORM(name##_immediate, #name "b $0x7f, (%%rdi);" #name "w $0x1234, 1(%%rdi);" #name        \
	                             "l $-5, 3(%%rdi);" #name "q $0x12345678, 7(%%rdi)")
ARITHMETIC(add);
ARITHMETIC(adc);
ARITHMETIC(sub);
ARITHMETIC(sbb);
ARITHMETIC(cmp);
#define LOGIC(name)                                                                                \
	FORM_FLAGS(name##_to_memory, EVERY_FLAG & ~FLAG_AF,                                        \
	           #name "b %%al, (%%rdi);" #name "w %%dx, 1(%%rdi);" #name                        \
	                 "l %%ebx, 3(%%rdi);" #name "q %%r8, 7(%%rdi)");                           \
	FORM_FLAGS(name##_immediate, EVERY_FLAG & ~FLAG_AF,                                        \
	           #name "b $0x7f, (%%rdi);" #name "w $0x1234, 1(%%rdi);" #name                    \
	                 "l $-5, 3(%%rdi);" #name "q $0x12345678, 7(%%rdi)")
LOGIC(and);
LOGIC(or);
LOGIC(xor);
LOGIC(test);
FORM(inc, "incb (%%rdi); incw 1(%%rdi); incl 3(%%rdi); incq 7(%%rdi)");
FORM(dec, "decb (%%rdi); decw 1(%%rdi); decl 3(%%rdi); decq 7(%%rdi)");
FORM(neg, "negb (%%rdi); negw 1(%%rdi); negl 3(%%rdi); negq 7(%%rdi)");
FORM(not, "notb (%%rdi); notw 1(%%rdi); notl 3(%%rdi); notq 7(%%rdi)");
FORM_FLAGS(shift_by_1, FLAG_CF,
           "shll (%%rdi); shrw 4(%%rdi); sarq 8(%%rdi); roll (%%rdi); rcrb 1(%%rdi)");
FORM_FLAGS(shift_by_cl, FLAG_CF,
           "shll %%cl, (%%rdi); shrw %%cl, 4(%%rdi); sarq %%cl, 8(%%rdi); rorl %%cl, (%%rdi)");
FORM_FLAGS(shift_double, FLAG_CF, "shldl $5, %%edx, (%%rdi); shrdq %%cl, %%rbx, 8(%%rdi)");
FORM_FLAGS(multiply, FLAG_CF | FLAG_OF,
           "mull (%%rdi); imulq 4(%%rdi), %%rbx; imull $7, 8(%%rdi), %%r8d");
FORM_FLAGS(divide, NO_FLAG, "xorl %%edx, %%edx; orb $1, (%%rdi); divl (%%rdi)");
FORM_FLAGS(bit_test, FLAG_CF, "btl $5, (%%rdi)");
FORM_FLAGS(bit_set, FLAG_CF, "btsl $5, (%%rdi); btsq $40, 8(%%rdi)");
FORM_FLAGS(bit_reset, FLAG_CF, "btrl $6, (%%rdi); btrw $9, 4(%%rdi)");
FORM_FLAGS(bit_complement, FLAG_CF, "btcl $7, (%%rdi); btcq $50, 8(%%rdi)");
FORM_FLAGS(bit_string, FLAG_CF,
           "btsl %%ecx, (%%rdi); movl $77, %%ecx; btcl %%ecx, (%%rdi); movq $-9, %%rcx; btrq "
           "%%rcx, (%%rdi)");
FORM_FLAGS(bit_scan, FLAG_ZF, "orb $4, (%%rdi); bsfl (%%rdi), %%eax; bsrl (%%rdi), %%edx");
FORM_WITH(popcnt, POPCNT, "popcntl (%%rdi), %%eax; popcntq 4(%%rdi), %%rdx");
FORM_WITH(crc32, SSE4_2, "crc32l (%%rdi), %%eax; crc32b 4(%%rdi), %%edx");

/* Exchanges and locked forms. */
FORM(xchg_8, "xchgb %%dl, (%%rdi)");
FORM(xchg_16, "xchgw %%dx, (%%rdi)");
FORM(xchg_32, "xchgl %%edx, (%%rdi)");
FORM(xchg_64, "xchgq %%rdx, (%%rdi)");
FORM(xadd,
     "xaddb %%al, (%%rdi); xaddw %%dx, 1(%%rdi); xaddl %%ebx, 3(%%rdi); xaddq %%r8, 7(%%rdi)");
FORM(cmpxchg_equal, "movl (%%rdi), %%eax; cmpxchgl %%edx, (%%rdi)");
FORM(cmpxchg_different,
     "cmpxchgl %%edx, (%%rdi); cmpxchgq %%rbx, 8(%%rdi); cmpxchgb %%bl, 4(%%rdi)");
FORM(cmpxchg8b_different, "cmpxchg8b (%%rdi)");
FORM(cmpxchg8b_equal, "movl (%%rdi), %%eax; movl 4(%%rdi), %%edx; cmpxchg8b (%%rdi)");
FORM(lock_add, "lock addb %%al, (%%rdi); lock addw %%dx, 1(%%rdi); lock addl %%ebx, 4(%%rdi); lock "
               "addq %%r8, 8(%%rdi)");
FORM(lock_sub_adc_sbb,
     "lock subl %%ebx, (%%rdi); lock adcl %%edx, 4(%%rdi); lock sbbq %%r8, 8(%%rdi)");
FORM_FLAGS(lock_logic, EVERY_FLAG & ~FLAG_AF,
           "lock andl %%ebx, (%%rdi); lock orl %%edx, 4(%%rdi); lock xorq %%r8, 8(%%rdi)");
FORM(lock_unary, "lock incl (%%rdi); lock decw 4(%%rdi); lock negq 8(%%rdi); lock notb 6(%%rdi)");
FORM(lock_xadd, "lock xaddl %%ebx, (%%rdi); lock xaddq %%r8, 8(%%rdi)");
FORM(lock_cmpxchg, "lock cmpxchgl %%ebx, (%%rdi); lock cmpxchgl %%edx, (%%rdi)");
FORM(lock_cmpxchg8b, "lock cmpxchg8b (%%rdi); lock cmpxchg8b (%%rdi)");
FORM_FLAGS(lock_bits, FLAG_CF,
           "lock btsl $3, (%%rdi); lock btrl $9, 4(%%rdi); lock btcq $33, 8(%%rdi)");

/* Strings. */
FORM(movs_from_device, "xchgq %%rsi, %%rdi; movsb; movsw; movsl; movsq; xchgq %%rsi, %%rdi");
FORM(movs_to_device, "movsb; movsw; movsl; movsq");
FORM(movs_within_device,
     "movq %%rsi, %%rbx;"
     "leaq -24(%%rdi), %%rsi; movsl; movsq; movq %%rbx, %%rsi; xorl %%ebx, %%ebx");
FORM(rep_movsb, "movl $11, %%ecx; rep movsb");
FORM(rep_movsl, "rep movsl");
FORM(rep_movsq_from_device, "xchgq %%rsi, %%rdi; rep movsq; xchgq %%rsi, %%rdi");
FORM(rep_movsw_down, "std; rep movsw; cld");
FORM(rep_movs_none, "xorl %%ecx, %%ecx; rep movsq");
FORM(stos, "stosb; stosw; stosl; stosq");
FORM(rep_stosb, "movl $9, %%ecx; rep stosb");
FORM(rep_stosl_down, "std; rep stosl; cld");
FORM(lods, "xchgq %%rsi, %%rdi; lodsb; movq %%rax, %%rbx; lodsw; movq %%rax, %%rdx; lodsl; lodsq; "
           "xchgq %%rsi, %%rdi");
FORM(rep_lodsl, "xchgq %%rsi, %%rdi; rep lodsl; xchgq %%rsi, %%rdi");
FORM(scas, "scasb; scasw; scasl; scasq");
FORM(repne_scasb, "movl $20, %%ecx; movb 7(%%rdi), %%al; repne scasb");
FORM(cmps, "cmpsb; cmpsw; cmpsl; cmpsq");
FORM(repe_cmpsb, "movl $8, %%ecx; movq %%rsi, %%rdx; movq (%%rdi), %%rax; movq %%rax, (%%rsi); "
                 "notb 5(%%rsi); xorl %%edx, %%edx; repe cmpsb");

/* The stack. */
FORM(push_from_device, "pushq (%%rdi); popq %%rax");
FORM(pop_to_device, "pushq %%rdx; popq (%%rdi)");
FORM(stack_in_device, "movq %%rsp, %%rbx; leaq 16(%%rdi), %%rsp; pushq %%rdx; pushq $77; popq "
                      "%%rax; movq %%rbx, %%rsp; xorl %%ebx, %%ebx");

/* Vectors: 16 bytes from the device to RAM, and from RAM to the device; what must be aligned is. */
#define MOVE_16(name, ...)                                                                         \
	FULL_FORM(name,                                                                            \
	          #name                                                                            \
	          " (%%rdi), %%xmm9; movups %%xmm9, (%%rsi); movups 32(%%rsi), %%xmm3; " #name     \
	          " %%xmm3, 16(%%rdi)",                                                            \
	          .flags = EVERY_FLAG, __VA_ARGS__)
MOVE_16(movups, .aligned = false);
MOVE_16(movupd, .aligned = false);
MOVE_16(movdqu, .aligned = false);
MOVE_16(movaps, .aligned = true);
MOVE_16(movapd, .aligned = true);
MOVE_16(movdqa, .aligned = true);
#define STORE_16(name)                                                                             \
	FULL_FORM(name, "movups 32(%%rsi), %%xmm5; " #name " %%xmm5, (%%rdi)",                     \
	          .flags = EVERY_FLAG, .aligned = true)
STORE_16(movntps);
STORE_16(movntpd);
STORE_16(movntdq);
#define LOAD_16(name, has, ...)                                                                    \
	FULL_FORM(name, #name " (%%rdi), %%xmm14; movups %%xmm14, (%%rsi)", .flags = EVERY_FLAG,   \
	          .feature = F_##has + 1, __VA_ARGS__)
LOAD_16(lddqu, SSE3, .aligned = false);
LOAD_16(movntdqa, SSE4_1, .aligned = true);

/* Parts of a register: a load leaves the other half, or clears it. */
#define MOVE_PART(name)                                                                            \
	FORM(name, "movups 32(%%rsi), %%xmm2; " #name " (%%rdi), %%xmm2; movups %%xmm2, (%%rsi);"  \
	           "movups 48(%%rsi), %%xmm11; " #name " %%xmm11, 9(%%rdi)")
MOVE_PART(movss);
MOVE_PART(movsd);
MOVE_PART(movlps);
MOVE_PART(movhps);
MOVE_PART(movlpd);
MOVE_PART(movhpd);
FORM(movd,
     "movd (%%rdi), %%xmm2; movups %%xmm2, (%%rsi); movd %%xmm2, %%eax; movd %%xmm2, 5(%%rdi)");
FORM(movq, "movq (%%rdi), %%xmm12; movups %%xmm12, (%%rsi); movq %%xmm12, %%rax; movq %%xmm12, "
           "9(%%rdi)");

/* 32 bytes, and what VEX adds: the rest of the register is cleared. */
#define MOVE_32(name, ...)                                                                         \
	FULL_FORM(name,                                                                            \
	          #name                                                                            \
	          " (%%rdi), %%ymm9; vmovups %%ymm9, (%%rsi); vmovups 32(%%rsi), %%ymm3; " #name   \
	          " %%ymm3, (%%rdi); vmovups -32(%%rsi), %%ymm2; " #name " (%%rdi), "              \
	          "%%xmm2; vmovups %%ymm2, 64(%%rsi); " #name " %%xmm9, (%%rdi); vzeroall",        \
	          .flags = EVERY_FLAG, .feature = F_AVX + 1, __VA_ARGS__)
MOVE_32(vmovups, .aligned = false);
MOVE_32(vmovupd, .aligned = false);
MOVE_32(vmovdqu, .aligned = false);
MOVE_32(vmovaps, .aligned = true);
MOVE_32(vmovapd, .aligned = true);
MOVE_32(vmovdqa, .aligned = true);
#define STORE_32(name)                                                                             \
	FULL_FORM(name, "vmovups 32(%%rsi), %%ymm5; " #name " %%ymm5, (%%rdi); vzeroall",          \
	          .flags = EVERY_FLAG, .feature = F_AVX + 1, .aligned = true)
STORE_32(vmovntps);
STORE_32(vmovntpd);
STORE_32(vmovntdq);
#define LOAD_32(name, has, ...)                                                                    \
	FULL_FORM(name, #name " (%%rdi), %%ymm14; vmovups %%ymm14, (%%rsi); vzeroall",             \
	          .flags = EVERY_FLAG, .feature = F_##has + 1, __VA_ARGS__)
LOAD_32(vlddqu, AVX, .aligned = false);
LOAD_32(vmovntdqa, AVX2, .aligned = true);
#define PART_VEX(name, text)                                                                       \
	FORM_WITH(name, AVX,                                                                       \
	          "vmovups 32(%%rsi), %%ymm2; vmovups 48(%%rsi), %%ymm11; " text                   \
	          "; vmovups %%ymm2, (%%rsi); " #name " %%xmm11, 9(%%rdi); vzeroall")
PART_VEX(vmovss, "vmovss (%%rdi), %%xmm2");
PART_VEX(vmovsd, "vmovsd (%%rdi), %%xmm2");
PART_VEX(vmovd, "vmovd (%%rdi), %%xmm2");
PART_VEX(vmovq, "vmovq (%%rdi), %%xmm2");
PART_VEX(vmovlps, "vmovlps (%%rdi), %%xmm11, %%xmm2");
PART_VEX(vmovhpd, "vmovhpd (%%rdi), %%xmm11, %%xmm2");

/* ---- Faults ---- */

TEST(movaps_unaligned, "SDM Vol. 2B MOVAPS: an operand that is not on 16 bytes: #GP(0)")
{
	struct fault got;

	need_device();
	fault_expect();
	__asm__ volatile(TRY("movaps (%0), %%xmm0") : : "r"(TESTDEV_MEMORY + 8) : "memory");
	got = fault_end();
	check_fault(HERE, "movaps", got, GP, 0);
}

TEST(vmovaps_unaligned, "SDM Vol. 2B MOVAPS, VEX.256: an operand that is not on 32 bytes: #GP(0)")
{
	need_device();
	need(F_AVX);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(0, 7);
	fault_expect();
	__asm__ volatile(TRY("vmovaps (%0), %%ymm0") : : "r"(TESTDEV_MEMORY + 16) : "memory");
	check_fault(HERE, "vmovaps", fault_end(), GP, 0);
}

TEST(vmovups_needs_xcr0, "SDM Vol. 1 14.3: #UD while XCR0 does not enable AVX")
{
	need_device();
	need(F_AVX);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(0, 3);
	fault_expect();
	__asm__ volatile(TRY("vmovups (%0), %%ymm0") : : "r"(TESTDEV_MEMORY) : "memory");
	check_fault(HERE, "vmovups", fault_end(), UD, ANY_CODE);
}

TEST(movups_with_ts, "SDM Vol. 3A 2.5: #NM while CR0.TS is set")
{
	need_device();
	write_cr0(read_cr0() | CR0_TS);
	fault_expect();
	__asm__ volatile(TRY("movups (%0), %%xmm0") : : "r"(TESTDEV_MEMORY) : "memory");
	check_fault(HERE, "movups", fault_end(), NM, ANY_CODE);
}

/* Linear address space whose first page is the device and whose second is not there. */
static uint64_t before_nothing(void)
{
	page_map(FREE_SPACE, TESTDEV_MEMORY, PTE_P | PTE_W, 1);
	return FREE_SPACE + PAGE;
}

TEST(crosses_into_nothing,
     "SDM Vol. 3A 4.7: #PF at the second page; nothing is written to the first")
{
	uint64_t end;

	need_device();
	end = before_nothing();
	store32(end - 4, 0x11223344);
	check_fault(HERE, "store", FAULT_OF(store32(end - 2, 0xaabbccdd)), PF, PF_W);
	CHECK_EQ(load32(end - 4), 0x11223344);
	check_fault(HERE, "load", FAULT_OF(load64(end - 4)), PF, 0);
}

TEST(rep_stops_at_the_fault, "SDM Vol. 2B REP: registers as of the iteration that faults")
{
	uint64_t end, rdi, rcx = 8;
	struct fault got;

	need_device();
	end = before_nothing();
	rdi = end - 12;
	fault_expect();
	__asm__ volatile(TRY("rep stosl") : "+D"(rdi), "+c"(rcx) : "a"(0x55667788) : "memory");
	got = fault_end();
	check_fault(HERE, "rep stosl", got, PF, PF_W);
	CHECK_EQ(got.address, end);
	CHECK_EQ(rdi, end);
	CHECK_EQ(rcx, 5);
	CHECK_EQ(load32(end - 12), 0x55667788);
	CHECK_EQ(load32(end - 4), 0x55667788);
}

TEST(crosses_from_ram, "SDM Vol. 3A 4.7: an operand in RAM and in a device")
{
	uint8_t *page;
	uint64_t at = FREE_SPACE + PAGE - 3;

	need_device();
	page = page_alloc();
	page_map(FREE_SPACE, (uint64_t)page, PTE_P | PTE_W, 1);
	page_map(FREE_SPACE + PAGE, TESTDEV_MEMORY, PTE_P | PTE_W, 1);
	store64(at, UINT64_C(0x1122334455667788));
	CHECK_EQ(load64(at), UINT64_C(0x1122334455667788));
	CHECK_EQ(page[PAGE - 1], 0x66);
	CHECK_EQ(load8(TESTDEV_MEMORY), 0x55);
	CHECK_EQ(load32(TESTDEV_MEMORY + 1), 0x11223344);
}

TEST(vector_crosses_from_ram, "SDM Vol. 3A 4.7: 16 bytes in RAM and in a device, and back")
{
	uint8_t *page;
	uint64_t at = FREE_SPACE + PAGE - 5;

	need_device();
	page = page_alloc();
	page_map(FREE_SPACE, (uint64_t)page, PTE_P | PTE_W, 1);
	page_map(FREE_SPACE + PAGE, TESTDEV_MEMORY, PTE_P | PTE_W, 1);
	store64((uint64_t)other, UINT64_C(0x1122334455667788));
	store64((uint64_t)other + 8, UINT64_C(0x99aabbccddeeff01));
	__asm__ volatile("movups (%0), %%xmm6; movups %%xmm6, (%1); movups (%1), %%xmm7; movups "
	                 "%%xmm7, 32(%0)"
	                 :
	                 : "r"(other), "r"(at)
	                 : "memory");
	CHECK_EQ(load32((uint64_t)page + PAGE - 5), 0x55667788);
	/* Bytes 5 to 8 of the value. */
	CHECK_EQ(load32(TESTDEV_MEMORY), 0x01112233);
	CHECK_EQ(load64((uint64_t)other + 32), UINT64_C(0x1122334455667788));
	CHECK_EQ(load64((uint64_t)other + 40), UINT64_C(0x99aabbccddeeff01));
}

TEST(vector_crosses_into_nothing,
     "SDM Vol. 3A 4.7: #PF at the second page; nothing is written to the first")
{
	uint64_t end;

	need_device();
	end = before_nothing();
	store64(end - 8, UINT64_C(0x1122334455667788));
	fault_expect();
	__asm__ volatile(TRY("movups %%xmm0, (%0)") : : "r"(end - 8) : "memory");
	check_fault(HERE, "store", fault_end(), PF, PF_W);
	CHECK_EQ(load64(end - 8), UINT64_C(0x1122334455667788));
	fault_expect();
	__asm__ volatile(TRY("movups (%0), %%xmm0") : : "r"(end - 8) : "memory");
	check_fault(HERE, "load", fault_end(), PF, 0);
}

TEST(read_only_page, "SDM Vol. 3A 4.6: the page tables come before the device: #PF")
{
	need_device();
	store32(TESTDEV_MEMORY, 0x10203040);
	page_map(FREE_SPACE, TESTDEV_MEMORY, PTE_P, 1);
	check_fault(HERE, "store", FAULT_OF(store32(FREE_SPACE, 1)), PF, PF_P | PF_W);
	CHECK_EQ(load32(FREE_SPACE), 0x10203040);
}

TEST(sets_dirty, "SDM Vol. 3A 4.8: accessed by a load, dirty by a store")
{
	uint64_t *entry;

	need_device();
	entry = page_map(FREE_SPACE, TESTDEV_MEMORY, PTE_P | PTE_W, 1);
	load32(FREE_SPACE);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A);
	store32(FREE_SPACE, 1);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}
