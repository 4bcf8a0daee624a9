/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend on Unicorn, in its module: small 64-bit guests, what they ask of devices, what is
 * delivered to them; what is refused, and how; a crash of the library.
 */
#include "platform/linux/unicorn.h"

#include <string.h>

#include "arch/x86_64/cpuid.h"
#include "tests/test_kvm.h"

const struct hc_backend_ops *const guest_backend = &unicorn_backend;

/* --- Plain instructions --- */

GUEST(sum, "64",
      "mov $1000, %ecx; xor %eax, %eax; 1: add %ecx, %eax; loop 1b; mov %rax, 0x4000;"
      "stc; setc 0x4008; cvtsi2sd %eax, %xmm0; mulsd %xmm0, %xmm0; movsd %xmm0, 0x4010;"
      "fldpi; fldl 0x4010; fldl 0x4010; hlt");

static void test_arithmetic(void **state)
{
	double square = 500500.0 * 500500.0;
	uint64_t bits;

	guest_make(sum, sum_end);
	guest_long_mode();
	guest_run();
	memcpy(&bits, &square, sizeof(bits));
	assert_int_equal(guest_result(0), 500500);
	assert_int_equal(guest_result(1), 1);
	assert_int_equal(guest_result(2), bits);
	assert_memory_equal(guest.st->xsave + 160, &bits, sizeof(bits));
	/* Three values on the x87 stack: TOP is 5, and pi is ST(2). */
	assert_int_equal(guest.st->xsave[3] >> 3 & 7, 5);
	assert_int_equal(guest.st->xsave[4], 0xe0);
	assert_memory_equal(guest.st->xsave + 32 + 2 * 16, "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\0\x40",
	                    10);
	assert_int_equal(guest.st->rip, CODE + (uint64_t)(sum_end - sum));
	assert_int_equal(guest.vcpu->stats.exits[HC_EXIT_HALT].count, 1);
	guest_end();
}

/* --- Devices --- */

GUEST(ports, "64",
      "mov $0x500, %edx; mov $0x11223344, %eax; out %al, %dx; add $2, %edx; out %ax, %dx;"
      "mov $0x508, %edx; out %eax, %dx; in %dx, %al; mov %eax, 0x4000; in %dx, %ax;"
      "mov %eax, 0x4008; mov $0x510, %edx; in %dx, %eax; mov %eax, 0x4010;"
      "mov $0x4000, %esi; mov $0x520, %edx; mov $5, %ecx; rep outsb;"
      "mov $0x4020, %edi; mov $3, %ecx; mov $0x530, %edx; rep insw; out %al, $0x80; hlt");

static void test_ports(void **state)
{
	guest_make(ports, ports_end);
	guest_long_mode();
	guest_run();
	guest_expect_ports();
	assert_int_equal(guest.vm->bus[HC_SPACE_IO].unclaimed_writes, 1);
	guest_end();
}

GUEST(memory, "64",
      "mov $0xd0000000, %ebx; mov $0x1122334455667788, %rax; mov %rax, (%rbx); mov 8(%rbx), %rcx;"
      "mov %rcx, 0x4000; movb $0x11, 24(%rbx); orl $0x0f, 28(%rbx); push 40(%rbx); pop 0x4008;"
      "lea 32(%rbx), %rsi; mov $0x4010, %edi; mov $4, %ecx; rep movsl;"
      "mov $0xe0000000, %esi; movl $0x12345678, (%rsi); mov (%rsi), %eax; mov %eax, 0x4020; hlt");

static void test_memory(void **state)
{
	uint8_t *rom;

	guest_make(memory, memory_end);
	rom = hc_platform_alloc_pages(0);
	for (uint8_t i = 0; i < 4; i++)
		rom[i] = i + 1;
	assert_int_equal(hc_vm_add_slot(guest.vm, gpa_of(ROM), HC_PAGE_SIZE, rom,
	                                HC_SLOT_READONLY | HC_SLOT_OWNED),
	                 0);
	guest_long_mode();
	guest_run();
	guest_expect(0, true, 0, 8, 0x1122334455667788);
	guest_expect(1, false, 8, 8, 0xafaeadacabaaa9a8);
	guest_expect(2, true, 24, 1, 0x11);
	guest_expect(3, false, 28, 4, 0xbfbebdbc);
	guest_expect(4, true, 28, 4, 0xbfbebdbf);
	guest_expect(5, false, 40, 8, 0xcfcecdcccbcac9c8);
	assert_int_equal(guest_result(0), 0xafaeadacabaaa9a8);
	assert_int_equal(guest_result(1), 0xcfcecdcccbcac9c8);
	assert_memory_equal(guest.ram + RESULTS + 0x10, guest.bytes + 32, 16);
	assert_int_equal(guest_result(4), 0x04030201);
	assert_memory_equal(rom, "\1\2\3\4", 4);
	assert_int_equal(guest.vm->bus[HC_SPACE_MEMORY].unclaimed_writes, 1);
	guest_end();
}

/* --- CPUID, MSRs, control registers --- */

GUEST(system_64, "64",
      "xor %eax, %eax; xor %ecx, %ecx; cpuid; mov %eax, 0x4000; mov %ebx, 0x4004;"
      "mov $1, %eax; cpuid; mov %ecx, 0x4008; mov %edx, 0x400c;"
      "mov $0x277, %ecx; mov $0x01070106, %eax; mov $0x00070106, %edx; wrmsr; xor %eax, %eax;"
      "rdmsr; mov %eax, 0x4010; mov %edx, 0x4014; mov $0x12345, %ecx; rdmsr; nop;"
      "mov %cr0, %rax; mov %rax, 0x4020; mov %cr3, %rax; mov %rax, 0x4028; mov %rax, %cr3;"
      "mov %cr4, %rax; or $0x80, %eax; mov %rax, %cr4; mov %cr4, %rax; mov %rax, 0x4030;"
      "mov $5, %eax; mov %rax, %cr8; xor %eax, %eax; mov %cr8, %rax; mov %rax, 0x4038;"
      "mov $0xc0000102, %ecx; mov $0x1234, %eax; xor %edx, %edx; wrmsr; swapgs;"
      "mov %gs:0x10, %rax; mov %rax, 0x4040; rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, 0x4048;"
      "vmmcall; mov %rax, 0x4050; invlpg 0x4000; hlt");
GUEST(skip_two, "64", "incl 0x4018; addq $2, 8(%rsp); add $8, %rsp; iretq");

static void test_system(void **state)
{
	uint32_t regs[4];
	uint64_t word = 0x1122334455667788;

	guest_make(system_64, system_64_end);
	guest_long_mode();
	guest_handler(X86_VEC_GP, skip_two, skip_two_end);
	memcpy(guest.ram + 0x1244, &word, sizeof(word));
	guest.st->gpr[X86_RAX] = 7;
	test_now_ns = 1000;
	guest_run();
	x86_cpuid(guest.vcpu, 0, 0, regs);
	assert_memory_equal(guest.ram + RESULTS, regs, 8);
	x86_cpuid(guest.vcpu, 1, 0, regs);
	assert_memory_equal(guest.ram + RESULTS + 8, regs + 2, 8);
	assert_int_equal(guest_result(2), 0x0007010601070106);
	assert_int_equal((uint32_t)guest_result(3), 1);
	assert_int_equal(guest_result(4), guest.st->cr0);
	assert_true(guest.st->cr0 & X86_CR0_PG);
	assert_int_equal(guest_result(5), TABLES);
	assert_int_equal(guest_result(6), guest.st->cr4);
	assert_true(guest.st->cr4 & X86_CR4_PGE);
	assert_int_equal(guest_result(7), 5);
	assert_int_equal(guest_result(8), word);
	assert_int_equal(guest.st->seg[X86_GS].base, 0x1234);
	assert_int_equal(guest_result(9), test_now_ns + guest.st->tsc_offset);
	assert_int_not_equal(guest_result(10), guest_result(9));
	assert_int_equal(guest.vcpu->stats.exits[HC_EXIT_CPUID].count, 2);
	assert_int_equal(guest.vcpu->stats.exits[HC_EXIT_HYPERCALL].count, 1);
	guest_end();
}

/* --- Exceptions --- */

GUEST(faults, "64",
      "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx; ud2; div %ecx;"
      "mov $0x400010, %esi; stc; mov %al, (%rsi); mov $0x40, %eax; mov %eax, %ds; int $0x30;"
      "int3; movabs $0x8000000000000000, %rsi; mov %al, (%rsi); hlt");
GUEST(on_fault, "64", "incl 0x4000; addq $2, (%rsp); iretq");
GUEST(on_page_fault, "64",
      "pop %rax; mov %rax, 0x4010; mov %cr2, %rax; mov %rax, 0x4018; mov 16(%rsp), %rax;"
      "mov %rax, 0x4020; addq $2, (%rsp); iretq");
GUEST(on_gp, "64", "incl 0x4028; pop 0x4030; addq $2, (%rsp); iretq");
GUEST(on_int, "64", "incl 0x4008; iretq");

/* Unicorn 2.1 cuts addresses short where 2.0 tells them whole: it knows no other than canonical
 * ones. */
static bool cuts_addresses(void)
{
	struct hc_backend_info info;

	(void)guest_backend->probe(&info);
	return strstr(info.reason, "Unicorn 2.1") != NULL;
}

static void test_exceptions(void **state)
{
	guest_make(faults, faults_end);
	guest_long_mode();
	guest_handler(X86_VEC_DE, on_fault, on_fault_end);
	guest_handler(X86_VEC_UD, on_fault, on_fault_end);
	guest_handler(X86_VEC_PF, on_page_fault, on_page_fault_end);
	guest_handler(X86_VEC_GP, on_gp, on_gp_end);
	guest_handler(X86_VEC_BP, on_int, on_int_end);
	guest_handler(0x30, on_int, on_int_end);
	guest_run();
	assert_int_equal((uint32_t)guest_result(0), 3);
	assert_int_equal((uint32_t)guest_result(1), 2);
	assert_int_equal(guest_result(2), X86_PF_W);
	assert_int_equal(guest_result(3), 0x400010);
	assert_int_equal(guest_result(4) & X86_FLAG_CF, X86_FLAG_CF);
	assert_int_equal((uint32_t)guest_result(5), cuts_addresses() ? 1 : 2);
	assert_int_equal(guest_result(6), cuts_addresses() ? 0x40 : 0); /* the last error code */
	assert_int_equal(guest.st->cr2, 0x400010);
	assert_int_equal(guest.st->rip, CODE + (uint64_t)(faults_end - faults));
	assert_int_equal(guest.st->gpr[X86_RSP], CODE);
	guest_end();
}

/* Every instruction between the two POPFQ traps once, whoever carries it out. */
GUEST(steps, "64",
      "mov $0xd0000000, %ebx; mov $0x1b, %ecx; mov $0x508, %edx; pushfq; orl $0x100, (%rsp); popfq;"
      "nop; mov %edx, %esi; rdmsr; mov %esi, %edx; in %dx, %al; mov (%rbx), %eax;"
      "mov %cr0, %rax; pushfq; andl $~0x100, (%rsp); popfq; hlt");
GUEST(on_step, "64", "push %rax; incl 0x4000; mov %dr6, %rax; mov %rax, 0x4008; pop %rax; iretq");

static void test_single_steps(void **state)
{
	guest_make(steps, steps_end);
	guest_long_mode();
	guest_handler(X86_VEC_DB, on_step, on_step_end);
	guest_run();
	assert_int_equal((uint32_t)guest_result(0), 10);
	assert_int_equal(guest_result(1) & 0x4000, 0x4000);
	guest_end();
}

/* --- Page tables: what is remembered of them, and of code --- */

/* At 40000000h is a page with "mov $1, %eax; ret" by one set of tables, with 2 by the other; then
 * its own code changes, by itself. Linear 200000h is not 200000h. */
GUEST(tables, "64",
      "mov $0x40000000, %ebx; call *%rbx; mov %rax, 0x4000; mov $0x17000, %eax; mov %rax, %cr3;"
      "call *%rbx; mov %rax, 0x4008; movb $3, 1(%rbx); call *%rbx; mov %rax, 0x4010;"
      "mov $0x10000, %eax; mov %rax, %cr3; call *%rbx; mov %rax, 0x4018;"
      "mov $0x40001000, %esi; mov (%rsi), %eax; orl $2, 0x16008; mov %eax, (%rsi); hlt");

static void link_tables(uint64_t root, uint64_t pdpt, uint64_t pd, uint64_t pt, uint64_t page)
{
	uint64_t *ram = (uint64_t *)(void *)guest.ram;

	ram[root / 8] = pdpt | 3;
	memcpy(guest.ram + pdpt, guest.ram + TABLES + 0x1000, HC_PAGE_SIZE);
	ram[pdpt / 8 + 1] = pd | 3;
	ram[pd / 8] = pt | 3;
	ram[pt / 8] = page | 3;
	ram[pt / 8 + 1] = 0xa001; /* read-only */
	memcpy(guest.ram + page, "\xb8\0\0\0\0\xc3", 6);
}

static void test_tables(void **state)
{
	uint64_t pte;

	guest_make(tables, tables_end);
	guest_long_mode();
	link_tables(TABLES, TABLES + 0x1000, 0x13000, 0x16000, 0x1d000);
	link_tables(0x17000, 0x18000, 0x19000, 0x1a000, 0x1e000);
	guest.ram[0x1d001] = 1;
	guest.ram[0x1e001] = 2;
	guest_run();
	assert_int_equal(guest_result(0), 1);
	assert_int_equal(guest_result(1), 2);
	assert_int_equal(guest_result(2), 3);
	assert_int_equal(guest_result(3), 1);
	memcpy(&pte, guest.ram + 0x16008, sizeof(pte));
	assert_int_equal(pte, 0xa063); /* accessed, dirty */
	guest_end();
}

/* A guest that never leaves by itself is left when something wants its CPU's attention. */
GUEST(endless, "64", "out %al, $0x80; mov $0x500, %edx; out %al, %dx; 1: jmp 1b");

static void want_attention(void)
{
	test_stop_loop();
	hc_vm_stop(guest.vm, HC_STOP_REQUEST, 0);
	atomic_store(&guest.vcpu->cpu->attention, true);
}

static void test_kick(void **state)
{
	guest_make(endless, endless_end);
	guest_long_mode();
	guest.on_access = want_attention;
	guest_run();
	assert_int_equal(hc_vm_state(guest.vm), HC_VM_STOPPED);
	guest_end();
}

/* --- What cannot be carried out --- */

GUEST(to_user, "64", "push $0x10; push $0; pushfq; push $0x23; push $0; iretq");
GUEST(to_32, "64", "push $0x18; push $0; lretq");
GUEST(far_jump, "64", "ljmpl *0x4000");
GUEST(set_ts, "64", "mov %cr0, %rax; or $8, %eax; mov %rax, %cr0; hlt");
GUEST(nowhere, "64", "mov $0xd0000000, %eax; jmp *%rax");

static const struct refused {
	const uint8_t *code, *end;
	const char *text;
} refused[] = {
	{ to_user, to_user_end, "user mode" },          { to_32, to_32_end, "leaves 64-bit mode" },
	{ far_jump, far_jump_end, "far CALL" },         { set_ts, set_ts_end, "CR0.TS" },
	{ nowhere, nowhere_end, "code at 0xd0000000" },
};

static void test_refused_instructions(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(refused); i++) {
		guest_make(refused[i].code, refused[i].end);
		guest_long_mode();
		guest_expect_failure(refused[i].text);
	}
}

static void test_refused_states(void **state)
{
	const struct hc_vm_config two = { "two", &x86_arch_ops, guest_backend, 2, NULL, 0, 0 };
	struct hc_vm *vm;

	guest_make(sum, sum_end);
	guest_expect_failure("real mode");
	guest_make(sum, sum_end);
	guest_protected_mode(0x18);
	guest_expect_failure("paging is off");
	guest_make(sum, sum_end);
	guest_long_mode();
	guest.st->seg[X86_CS].attr &= (uint16_t)~X86_ATTR_L;
	guest_expect_failure("32-bit code");
	guest_make(sum, sum_end);
	guest_long_mode();
	guest.st->cpl = 3;
	guest_expect_failure("user mode");
	guest_make(sum, sum_end);
	guest_long_mode();
	guest.st->dr7 = 0x401;
	guest_expect_failure("breakpoint");
	assert_int_equal(hc_vm_create(&vm, &two), -ERANGE);
	assert_non_null(strstr(test_log(), "2 vCPUs asked for, 1 to 1"));
}

/* A far jump by a register is undefined, but Unicorn 2.0 calls abort() when it meets one. A later
 * one may well raise #UD, which this guest cannot take. Either way the next guest runs. */
GUEST(undefined_jump, "64", ".byte 0xff, 0xec");

static void test_crash(void **state)
{
	guest_make(undefined_jump, undefined_jump_end);
	guest_long_mode();
	guest.st->idtr.limit = 0;
	hc_vcpu_dirty(guest.vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(guest.vm), 0);
	test_on_idle = test_stop_loop;
	test_run_loop();
	if (hc_vm_state(guest.vm) == HC_VM_FAILED)
		assert_non_null(strstr(hc_vm_reason(guest.vm), "Unicorn crashed (SIGABRT)"));
	else
		assert_int_equal(hc_vm_cause(guest.vm), HC_STOP_RESET);
	hc_vcpu_need(guest.vcpu, X86_G_ALL);
	assert_int_equal(guest.st->rip, CODE);
	guest_end();
	test_arithmetic(state);
}

/* Its memory is written where nobody sees it. */
static void test_no_dirty_log(void **state)
{
	guest_make(sum, sum_end);
	guest_long_mode();
	assert_int_equal(hc_vm_dirty_start(guest.vm), -EOPNOTSUPP);
	guest_run();
	guest_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_single_steps),
		cmocka_unit_test(guest_test_triple_fault),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(guest_test_interrupts),
		cmocka_unit_test(guest_test_nmi),
		cmocka_unit_test(test_no_dirty_log),
		cmocka_unit_test(test_kick),
		cmocka_unit_test(test_refused_instructions),
		cmocka_unit_test(test_refused_states),
		cmocka_unit_test(test_crash),
	};

	return GUEST_TESTS(tests);
}
