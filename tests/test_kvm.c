/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The KVM backend on the real thing: small guests in real, protected and 64-bit mode, what they ask
 * of devices, CPUID and MSRs, and what is delivered to them.
 */
#include <string.h>

#include "arch/x86_64/cpuid.h"
#include "platform/linux/kvm_x86.h"
#include "tests/test_kvm.h"

const struct hc_backend_ops *const guest_backend = &kvm_backend;

/* --- Real mode --- */

GUEST(sum_16, "16", "mov $1000, %cx; xor %ax, %ax; 1: add %cx, %ax; loop 1b; mov %ax, 0x4000; hlt");

static void test_arithmetic(void **state)
{
	guest_make(sum_16, sum_16_end);
	guest_run();
	assert_int_equal((uint16_t)guest_result(0), (uint16_t)(1000 * 1001 / 2));
	assert_int_equal(guest.st->gpr[X86_RCX], 0);
	assert_int_equal(guest.st->rip, CODE + (uint64_t)(sum_16_end - sum_16));
	assert_int_equal(guest.vcpu->stats.exits[HC_EXIT_HALT].count, 1);
	guest_end();
}

GUEST(ports_16, "16",
      "mov $0x500, %dx; mov $0x11223344, %eax; out %al, %dx; inc %dx; inc %dx; out %ax, %dx;"
      "mov $0x508, %dx; out %eax, %dx; in %dx, %al; mov %eax, 0x4000; in %dx, %ax;"
      "mov %eax, 0x4008; mov $0x510, %dx; in %dx, %eax; mov %eax, 0x4010;"
      "mov $0x4000, %si; mov $0x520, %dx; mov $5, %cx; rep outsb;"
      "mov $0x4020, %di; mov $3, %cx; mov $0x530, %dx; rep insw; hlt");

static void test_ports(void **state)
{
	guest_make(ports_16, ports_16_end);
	guest_run();
	guest_expect_ports();
	assert_int_equal(guest.st->gpr[X86_RSI], RESULTS + 5);
	assert_int_equal(guest.st->gpr[X86_RDI], RESULTS + 0x26);
	assert_int_equal(guest.st->gpr[X86_RCX], 0);
	guest_end();
}

/* --- Memory --- */

GUEST(memory_32, "32",
      "mov $0xd0000000, %ebx; movb $0x11, (%ebx); movw $0x2233, 2(%ebx); movl $0x44556677, 4(%ebx);"
      "mov 8(%ebx), %al; movzwl 10(%ebx), %ecx; mov 12(%ebx), %edx;"
      "mov %al, 0x4000; mov %ecx, 0x4008; mov %edx, 0x4010;"
      "orl $0x0f, 16(%ebx); mov 21(%ebx), %eax; mov %eax, 0x4018;" /* read-modify-write; odd */
      "lea 32(%ebx), %esi; mov $0x4020, %edi; mov $4, %ecx; rep movsl;"
      "movl $0x12345678, 0xe0000000; mov 0xe0000000, %eax; mov %eax, 0x4038; hlt");

static void test_memory(void **state)
{
	static const uint8_t rom_word[4] = { 1, 2, 3, 4 };
	uint8_t *rom;
	uint64_t value = 0;

	guest_make(memory_32, memory_32_end);
	rom = hc_platform_alloc_pages(0);
	memcpy(rom, rom_word, sizeof(rom_word));
	assert_int_equal(hc_vm_add_slot(guest.vm, gpa_of(ROM), HC_PAGE_SIZE, rom,
	                                HC_SLOT_READONLY | HC_SLOT_OWNED),
	                 0);
	guest_protected_mode(0x18);
	guest_run();
	guest_expect(0, true, 0, 1, 0x11);
	guest_expect(1, true, 2, 2, 0x2233);
	guest_expect(2, true, 4, 4, 0x44556677);
	guest_expect(3, false, 8, 1, 0xa8);
	guest_expect(4, false, 10, 2, 0xabaa);
	guest_expect(5, false, 12, 4, 0xafaeadac);
	assert_int_equal((uint8_t)guest_result(0), 0xa8);
	assert_int_equal((uint32_t)guest_result(1), 0xabaa);
	assert_int_equal((uint32_t)guest_result(2), 0xafaeadac);
	guest_expect(6, false, 16, 4, 0xb3b2b1b0);
	guest_expect(7, true, 16, 4, 0xb3b2b1bf);
	assert_int_equal((uint32_t)guest_result(3), 0xb8b7b6b5);
	assert_memory_equal(guest.ram + RESULTS + 0x20, guest.bytes + 32, 16);
	/* The ROM is read as it is, and writes of it are the bus's. */
	memcpy(&value, rom, sizeof(rom_word));
	assert_int_equal(value, 0x04030201);
	assert_int_equal((uint32_t)guest_result(7), 0x04030201);
	assert_int_equal(guest.vm->bus[HC_SPACE_MEMORY].unclaimed_writes, 1);
	guest_end();
}

GUEST(memory_64, "64",
      "mov $0xd0000000, %ebx; mov $0x1122334455667788, %rax; mov %rax, (%rbx); mov 8(%rbx), %rcx;"
      "mov %rcx, 0x4000; mov 3(%rbx), %rdx; mov %rdx, 0x4008; movups 16(%rbx), %xmm0;"
      "movups %xmm0, 0x4010; movups %xmm0, 32(%rbx); mov $0xd0000ffe, %esi; mov (%rsi), %eax;"
      "mov %rax, 0x4020; hlt");

static void test_memory_64(void **state)
{
	guest_make(memory_64, memory_64_end);
	guest_long_mode();
	guest_run();
	guest_expect(0, true, 0, 8, 0x1122334455667788);
	guest_expect(1, false, 8, 8, 0xafaeadacabaaa9a8);
	assert_int_equal(guest_result(0), 0xafaeadacabaaa9a8);
	assert_int_equal(guest_result(1), 0xaaa9a81122334455);
	assert_memory_equal(guest.ram + RESULTS + 0x10, guest.bytes + 16, 16);
	assert_memory_equal(guest.bytes + 32, guest.bytes + 16, 16);
	assert_int_equal(guest_result(4), 0xffffffff); /* nothing answers, on either page */
	guest_end();
}

/* --- The dirty log --- */

GUEST(dirty_64, "64",
      "mov $0x500, %edx; movb $1, 0x6000; movl $1, 0x9ffe; out %al, %dx;"
      "movb $2, 0xb000; out %al, %dx; out %al, %dx; movb $3, 0x6000; hlt");

#define QUIET 0xffac /* pages that nobody but the guest's own stores writes: 2, 3, 5, 7 to 15 */

static uint64_t dirty_bits[3];
static unsigned collections;

static void look(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	assert_int_equal(gpa.v, 0);
	assert_int_equal(pages, RAM_SIZE / HC_PAGE_SIZE);
	dirty_bits[collections++] = bitmap[0];
}

static void collects(void)
{
	assert_true(hc_vm_dirty_collect(guest.vm, look, NULL) >= 0);
}

static void test_dirty_log(void **state)
{
	guest_make(dirty_64, dirty_64_end);
	guest_long_mode();
	guest.on_access = collects;
	collections = 0;
	assert_int_equal(hc_vm_dirty_start(guest.vm), 0);
	guest_run();
	assert_int_equal(collections, 3);
	assert_int_equal(dirty_bits[0] & (QUIET | 0x40), 0x640);
	assert_int_equal(dirty_bits[1] & (QUIET | 0x40), 0x800);
	assert_int_equal(dirty_bits[2] & (QUIET | 0x40), 0);
	collections = 0;
	collects();
	assert_int_equal(dirty_bits[0] & (QUIET | 0x40), 0x40);
	guest_end();
}

/* --- CPUID and MSRs --- */

GUEST(cpuid_64, "64",
      "mov $0x4000, %edi; mov $0x4800, %esi; 1: mov (%rsi), %eax; mov 4(%rsi), %ecx; cpuid;"
      "mov %eax, (%rdi); mov %ebx, 4(%rdi); mov %ecx, 8(%rdi); mov %edx, 12(%rdi);"
      "add $8, %esi; add $16, %edi; cmpl $-1, (%rsi); jne 1b; hlt");

static void test_cpuid(void **state)
{
	static const struct {
		uint32_t leaf, subleaf;
		bool is_features;
	} rows[] = {
		{ 0, 0, false },          { 1, 0, true },           { 4, 1, false },
		{ 7, 0, true },           { 0xb, 0, false },        { 0xb, 1, false },
		{ 0xb, 2, false },        { 0xd, 0, true },         { 0x40000000, 0, false },
		{ 0x40000001, 0, false }, { 0x80000000, 0, false }, { 0x80000001, 0, false },
		{ 0x80000008, 0, false },
	};
	uint32_t regs[4];

	guest_make(cpuid_64, cpuid_64_end);
	guest_long_mode();
	memset(guest.ram + 0x4800, 0xff, 8 * (HC_ARRAY_SIZE(rows) + 1));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		memcpy(guest.ram + 0x4800 + 8 * i, &rows[i], 8);
	guest_run();
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		bool is_all = !rows[i].is_features || guest_has_extensions();

		/* KVM has the area's size there also if there is no XSAVE. */
		if (rows[i].leaf == 0xd && !x86_vm_of(guest.vm)->xcr0_mask)
			continue;

		x86_cpuid(guest.vcpu, rows[i].leaf, rows[i].subleaf, regs);
		assert_memory_equal(guest.ram + RESULTS + 16 * i, regs, is_all ? sizeof(regs) : 0);
	}
	guest_end();
}

/* Each row of four words: an MSR, whether it is written first, and with what; then it is read. What
 * was read goes to the results, and the number of faults, whose handler skips the instruction. */
GUEST(msr_64, "64",
      "mov $0x4000, %edi; mov $0x4800, %esi; 1: xor %ebp, %ebp; mov (%rsi), %ecx;"
      "mov 8(%rsi), %eax; mov 12(%rsi), %edx; cmpl $0, 4(%rsi); je 2f; wrmsr; 2: mov $0x55, %eax;"
      "mov $0x66, %edx; rdmsr; mov %eax, (%rdi); mov %edx, 4(%rdi); mov %rbp, 8(%rdi);"
      "add $16, %esi; add $16, %edi; cmpl $-1, (%rsi); jne 1b; mov $0x277, %ecx; .byte 0x48; "
      "rdmsr; .byte 0x48; wrmsr; hlt");
GUEST(skip_two, "64", "addq $2, 8(%rsp); add $8, %rsp; inc %ebp; iretq");

struct msr_row {
	uint32_t msr, write;
	uint64_t value;
	uint64_t read, faults;
};

static void test_msrs(void **state)
{
	static const struct msr_row rows[] = {
		{ 0x174, 1, 0x10, 0x10, 0 }, /* KVM's own */
		{ 0xc0000082, 1, 0xffff800012345678, 0xffff800012345678, 0 },
		{ 0x277, 1, 0x0007010600070106, 0x0007010600070106, 0 }, /* PAT */
		{ 0x277, 1, 2, 0x0007010600070106, 1 },                  /* refused */
		{ 0xc0000080, 1, 0x500, 0x500, 0 },                      /* EFER: SCE off */
		{ 0xc0000080, 1, 0x1500, 0x500, 1 },                     /* SVME: refused */
		{ 0x1b, 0, 0, 0xfee00900, 0 },                           /* APIC_BASE */
		{ 0x2ff, 1, 0xc06, 0xc06, 0 },                           /* MTRR_DEF_TYPE */
		{ 0x8b, 1, 5, 0, 0 },                                    /* dropped */
		{ 0x12345, 1, 5, 0x6600000055, 2 },                      /* unknown */
		{ 0x808, 1, 0x20, 0x6600000055, 2 },                     /* x2APIC is off */
		{ 0x1b, 1, 0xfee00d00, 0xfee00d00, 0 },                  /* and on */
		{ 0x808, 1, 0x20, 0x20, 0 },
		{ 0x802, 0, 0, 0, 0 },
	};
	uint8_t *list;

	guest_make(msr_64, msr_64_end);
	guest_long_mode();
	guest_handler(X86_VEC_GP, skip_two, skip_two_end);
	list = guest.ram + 0x4800;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		memcpy(list + 16 * i, &rows[i], 16);
	memset(list + 16 * HC_ARRAY_SIZE(rows), 0xff, 4);
	guest_run();
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		assert_int_equal(guest_result(2 * i), rows[i].read);
		assert_int_equal(guest_result(2 * i + 1), rows[i].faults);
	}
	assert_int_equal(guest.st->rip, CODE + (uint64_t)(msr_64_end - msr_64));
	assert_int_equal(guest.st->efer, 0x500);
	assert_int_equal(guest.st->msr_lstar, 0xffff800012345678);
	assert_int_equal(x86_apic_cr8(guest.vcpu), 2);
	guest_end();
}

/* --- The TSC's rate --- */

/* Nearly the host's rate is the host's; the other factors are rounded down to the last bit. */
static void test_tsc_factor(void **state)
{
	uint64_t seed = 3;

	assert_int_equal(kvm_x86_tsc_factor(2600000, 2600000, 48, 250), 0);
	assert_int_equal(kvm_x86_tsc_factor(2600650, 2600000, 48, 250), 0);
	assert_int_equal(kvm_x86_tsc_factor(2599350, 2600000, 48, 250), 0);
	assert_int_not_equal(kvm_x86_tsc_factor(2600651, 2600000, 48, 250), 0);
	assert_int_not_equal(kvm_x86_tsc_factor(2599349, 2600000, 48, 250), 0);
	assert_int_equal(kvm_x86_tsc_factor(1300000, 2600000, 32, 250), HC_BIT(47));
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t host = 500000 + test_below(&seed, 5000000), bits = i % 2 ? 32 : 48;
		uint64_t khz = 500000 + test_below(&seed, 50000000);
		uint64_t factor = kvm_x86_tsc_factor(khz, host, (unsigned)bits, 0);
		unsigned __int128 exact = ((unsigned __int128)khz << bits) / host;

		if (khz != host)
			assert_true(factor == (uint64_t)exact << (48 - bits));
	}
}

static void test_tsc_rate(void **state)
{
	struct hc_backend_info info;
	uint64_t ratio = 1;

	assert_int_equal(kvm_backend.probe(&info), 0);
	int rc = kvm_backend.tsc_ratio(3000000000, &ratio);

	if (rc) {
		assert_int_equal(rc, -EOPNOTSUPP);
		assert_non_null(strstr(test_log(), "kvm: "));
	}
}

/* --- Exceptions --- */

GUEST(faults_64, "64",
      "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx; ud2;"
      "mov $0x400010, %esi; mov %al, (%rsi); hlt");
GUEST(on_fault, "64", "incl 0x4000; addq $2, (%rsp); iretq");
GUEST(on_page_fault, "64",
      "pop %rax; mov %rax, 0x4010; mov %cr2, %rax; mov %rax, 0x4018; addq $2, (%rsp); iretq");

static void test_exceptions(void **state)
{
	guest_make(faults_64, faults_64_end);
	guest_long_mode();
	guest_handler(X86_VEC_DE, on_fault, on_fault_end);
	guest_handler(X86_VEC_UD, on_fault, on_fault_end);
	guest_handler(X86_VEC_PF, on_page_fault, on_page_fault_end);
	guest_run();
	assert_int_equal((uint32_t)guest_result(0), 2);
	assert_int_equal(guest_result(2), X86_PF_W);
	assert_int_equal(guest_result(3), 0x400010);
	assert_int_equal(guest.st->cr2, 0x400010);
	assert_int_equal(guest.st->rip, CODE + (uint64_t)(faults_64_end - faults_64));
	guest_end();
}

/* Every instruction between the two POPFQ traps once, whoever carries it out. (Not tried is what
 * KVM does alone: it forgets the trap of a write that it leaves to its user.) */
GUEST(steps_64, "64",
      "mov $0xd0000000, %ebx; mov $0x1b, %ecx; mov $0x508, %edx; pushfq; orl $0x100, (%rsp); popfq;"
      "nop; mov %edx, %esi; rdmsr; mov %esi, %edx; mov (%rbx), %eax;"
      "pushfq; andl $~0x100, (%rsp); popfq; hlt");
GUEST(on_step, "64",
      "push %rax; push %rbx; mov %dr6, %rax; mov %rax, 0x4008; incl 0x4000; mov 0x4000, %ebx;"
      "mov 16(%rsp), %rax; mov %rax, 0x4100(,%rbx,8); pop %rbx; pop %rax; iretq");

static void test_single_steps(void **state)
{
	guest_make(steps_64, steps_64_end);
	guest_long_mode();
	guest_handler(X86_VEC_DB, on_step, on_step_end);
	guest_run();
	for (unsigned i = 0x22; i <= 0x20 + (uint32_t)guest_result(0); i++)
		assert_true(guest_result(i) > guest_result(i - 1));
	assert_int_equal((uint32_t)guest_result(0), 8);
	assert_int_equal(guest_result(1) & 0x4000, 0x4000);
	assert_int_equal(guest.access_count, 1);
	guest_end();
}

/* --- What cannot be carried out --- */

GUEST(nowhere_64, "64", "mov $0xd0000000, %eax; jmp *%rax");

static void test_failures(void **state)
{
	guest_make(nowhere_64, nowhere_64_end);
	guest_long_mode();
	guest.st->cr4 |= HC_BIT(30);
	guest_expect_failure("KVM_SET_SREGS: Invalid argument");
	guest_make(nowhere_64, nowhere_64_end);
	guest_long_mode();
	guest_expect_failure("KVM_EXIT_INTERNAL_ERROR 1: instruction not emulated");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_64),
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_cpuid),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_tsc_factor),
		cmocka_unit_test(test_tsc_rate),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_single_steps),
		cmocka_unit_test(guest_test_triple_fault),
		cmocka_unit_test(guest_test_interrupts),
		cmocka_unit_test(guest_test_nmi),
		cmocka_unit_test(test_failures),
	};

	return GUEST_TESTS(tests);
}
