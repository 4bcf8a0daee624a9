/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events, privilege levels and modes on the whole software CPU: small programs, assembled with this
 * file, that run at RIG_CODE.
 */
#include <string.h>

#include "core/memory.h"
#include "platform/platform.h"
#include "tests/emu_rig.h"
#include "tests/unit.h"

/* PROGRAM(name, lines...): bytes name[], up to name_end. `at(label)`: where label lies in memory.
 */
#define PROGRAM(name, text)                                                                        \
	__asm__(".pushsection .rodata\n.globl " #name ", " #name "_end\n" #name ":\n" text         \
	        "\n" #name "_end:\n.popsection\n");                                                \
	extern const uint8_t name[], name##_end[]

#define LOAD(r, name) emu_rig_poke((r), RIG_CODE, name, (size_t)(name##_end - name))

#define HANDLER (RIG_CODE + 0x1000)
#define LOG     RIG_DATA /* a count, then what handlers note */

static void load_at(struct emu_rig *r, uint64_t at, const uint8_t *from, const uint8_t *end)
{
	emu_rig_poke(r, at, from, (size_t)(end - from));
}

static uint64_t noted(const struct emu_rig *r, unsigned i)
{
	return emu_rig_get(r, LOG + 8 * i, 8);
}

/* --- Single steps and breakpoints --- */

/* Counts, and notes RIP and DR6. RF goes back set. */
PROGRAM(code_db, "push %rax; push %rcx\n"
                 "incq 0x100000; mov 0x100000, %rcx\n"
                 "mov 16(%rsp), %rax; mov %rax, 0x100000(,%rcx,8)\n"
                 "mov %dr6, %rax; mov %rax, 0x100400(,%rcx,8)\n"
                 "xor %eax, %eax; mov %rax, %dr6\n"
                 "orl $0x10000, 32(%rsp)\n"
                 "pop %rcx; pop %rax; iretq");

/* Traps at the numbers. */
PROGRAM(code_step, "int $0x40\n"
                   "pushfq; orl $0x100, (%rsp); popfq\n"
                   "nop\n"                      /* 1 */
                   "inc %eax\n"                 /* 2 */
                   "call 1f\n"                  /* 3 */
                   "jmp 2f\n"                   /* 5 */
                   "1: ret\n"                   /* 4 */
                   "2: mov %ss, %ebx\n"         /* 6 */
                   "mov %ebx, %ss\n"            /* held off by its shadow */
                   "nop\n"                      /* 7 */
                   "mov $3, %ecx\n"             /* 8 */
                   "mov $0x100900, %edi\n"      /* 9 */
                   "rep stosb\n"                /* 10, 11, 12: each iteration */
                   "int $0x40\n"                /* INT n clears TF */
                   "pushfq\n"                   /* 13 */
                   "andl $0xfffffeff, (%rsp)\n" /* 14 */
                   "popfq\n"                    /* 15: TF was set when it began */
                   "hlt");

PROGRAM(code_iret, "iretq");

static void start_debug(struct emu_rig *r)
{
	emu_rig_start(r, RIG_LONG, 1);
	load_at(r, HANDLER, code_db, code_db_end);
	load_at(r, HANDLER + 0x100, code_iret, code_iret_end);
	emu_rig_gate(r, X86_VEC_DB, HANDLER, 0, 0);
	emu_rig_gate(r, 0x40, HANDLER + 0x100, 0, 0);
}

static void test_single_step(void **state)
{
	struct emu_rig r;

	start_debug(&r);
	LOAD(&r, code_step);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	for (unsigned i = 1; i <= 15; i++)
		assert_int_equal(emu_rig_get(&r, LOG + 0x400 + 8 * i, 8), 0xffff4ff0);
	assert_int_equal(noted(&r, 0), 15);
	assert_int_equal(noted(&r, 1), RIG_CODE + 12);
	emu_rig_stop(&r);
}

/* DR0: writes to 4 bytes; DR1: an instruction. */
PROGRAM(code_break, "mov $0x100200, %eax; mov %rax, %dr0\n"
                    "mov $(0x10000 + code_break_at - code_break), %eax; mov %rax, %dr1\n"
                    "mov $0xd0005, %eax; mov %rax, %dr7\n"
                    "mov 0x100200, %ebx\n"
                    "mov %ebx, 0x1001fc\n"
                    "mov %ebx, 0x1001fd\n"
                    ".globl code_break_hit; code_break_hit: nop\n"
                    ".globl code_break_at; code_break_at: inc %esi\n"
                    "nop; hlt");
extern const uint8_t code_break_hit[], code_break_at[];

static void test_breakpoints(void **state)
{
	struct emu_rig r;

	start_debug(&r);
	LOAD(&r, code_break);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(noted(&r, 0), 2);
	assert_int_equal(noted(&r, 1), RIG_CODE + (code_break_hit - code_break));
	assert_int_equal(emu_rig_get(&r, LOG + 0x408, 8), 0xffff0ff1);
	assert_int_equal(noted(&r, 2), RIG_CODE + (code_break_at - code_break));
	assert_int_equal(emu_rig_get(&r, LOG + 0x410, 8), 0xffff0ff2);
	assert_int_equal(r.s->gpr[X86_RSI], 1);
	emu_rig_stop(&r);
}

/* --- Privilege levels --- */

/* To user mode, SYSCALL in a loop, and INT 80h ends it. */
PROGRAM(code_user, "mov $1000, %ebp\n"
                   "push $0x4b; push $0x70000; push $0x202; push $0x53\n"
                   "pushq $(0x10000 + code_user_in - code_user); iretq\n"
                   "code_user_in: mov $7, %eax; syscall\n"
                   "add %eax, %ebx; dec %ebp; jnz code_user_in\n"
                   "int $0x80\n"
                   "code_user_call: add $1, %eax; sysretq\n"
                   ".globl code_user_entry; .set code_user_entry, code_user_call\n"
                   ".globl code_user_end_; code_user_end_: hlt");
extern const uint8_t code_user_entry[], code_user_end_[];

static void test_user_mode(void **state)
{
	struct emu_rig r;
	uint64_t call = RIG_CODE + (uint64_t)(code_user_entry - code_user);

	emu_rig_start(&r, RIG_LONG, 1);
	LOAD(&r, code_user);
	/* The user's stack segment at 4bh, 64-bit code at 53h. */
	emu_rig_put(&r, RIG_GDT + 0x48, UINT64_C(0x00cff3000000ffff), 8);
	emu_rig_put(&r, RIG_GDT + 0x50, UINT64_C(0x00affb000000ffff), 8);
	r.s->msr_star = UINT64_C(0x0043000800000000);
	r.s->msr_lstar = call;
	r.s->msr_sfmask = X86_FLAG_IF;
	emu_rig_gate(&r, 0x80, RIG_CODE + (uint64_t)(code_user_end_ - code_user), 3, 0);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->cpl, 0);
	assert_int_equal(r.s->gpr[X86_RBX], 8 * 1000);
	assert_int_equal(r.s->gpr[X86_RSP], RIG_STACK - 40);
	assert_int_equal(emu_rig_get(&r, RIG_STACK - 8, 8), 0x4b);
	assert_int_equal(emu_rig_get(&r, RIG_STACK - 32, 8), 0x53);
	emu_rig_stop(&r);
}

/* 32-bit user code of a kernel whose tables and stack lie in the upper half. */
PROGRAM(code_compat, "push $0x4b; push $0x70000; push $2; push $0x53\n"
                     "pushq $(0x10000 + code_compat_in - code_compat); iretq\n"
                     ".code32\n"
                     "code_compat_in: mov $5, %ecx; 1: int $0x80; loop 1b; int $0x81\n"
                     ".code64\n"
                     ".globl code_compat_80; code_compat_80: inc %rax; iretq\n"
                     ".globl code_compat_81; code_compat_81: hlt");
extern const uint8_t code_compat_80[], code_compat_81[];

/* Where the RAM is once more; not where it is with bits 63:32 cut off. */
#define UPPER UINT64_C(0xffff800140000000)

static void test_compatibility_mode(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	LOAD(&r, code_compat);
	uint64_t pdpt = emu_rig_get(&r, RIG_TABLES, 8);

	emu_rig_put(&r, RIG_TABLES + 8 * 256, pdpt, 8);
	pdpt &= ~UINT64_C(0xfff);
	emu_rig_put(&r, pdpt + 8 * 5, emu_rig_get(&r, pdpt, 8), 8);
	emu_rig_put(&r, RIG_GDT + 0x48, UINT64_C(0x00cff3000000ffff), 8);
	emu_rig_put(&r, RIG_GDT + 0x50, UINT64_C(0x00cffb000000ffff), 8);
	emu_rig_put(&r, RIG_TSS + 4, UPPER + RIG_STACK - 0x1000, 8);
	emu_rig_gate(&r, 0x80, UPPER + RIG_CODE + (uint64_t)(code_compat_80 - code_compat), 3, 0);
	emu_rig_gate(&r, 0x81, UPPER + RIG_CODE + (uint64_t)(code_compat_81 - code_compat), 3, 0);
	r.s->idtr.base += UPPER;
	r.s->gdtr.base += UPPER;
	r.s->seg[X86_TR].base += UPPER;
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->gpr[X86_RAX], 5);
	assert_int_equal(r.s->gpr[X86_RSP], UPPER + RIG_STACK - 0x1000 - 40);
	assert_int_equal(emu_rig_get(&r, RIG_STACK - 0x1000 - 32, 8), 0x53);
	assert_int_equal(emu_rig_get(&r, RIG_STACK - 0x1000 - 8, 8), 0x4b);
	emu_rig_stop(&r);
}

/* --- Faults that get worse --- */

PROGRAM(code_bad_stack, "movabs $0x800000000000, %rsp; push %rax; hlt");
PROGRAM(code_halt, "hlt");

static void test_double_fault(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	LOAD(&r, code_bad_stack);
	load_at(&r, HANDLER, code_halt, code_halt_end);
	/* #SS cannot be delivered on that stack; #DF has one of its own. */
	emu_rig_gate(&r, X86_VEC_SS, HANDLER + 0x40, 0, 0);
	emu_rig_gate(&r, X86_VEC_DF, HANDLER, 0, 1);
	emu_rig_put(&r, RIG_TSS + 0x24, RIG_STACK, 8);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.exit.pc, HANDLER);
	assert_int_equal(emu_rig_get(&r, RIG_STACK - 48, 8), 0);
	assert_int_equal(emu_rig_get(&r, RIG_STACK - 40, 8), RIG_CODE + 10);
	/* Not even that: a shutdown, with the state as it was. */
	emu_rig_reset(&r, 0);
	emu_rig_gate(&r, X86_VEC_DF, HANDLER, 0, 0);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_SHUTDOWN);
	assert_int_equal(r.exit.pc, RIG_CODE + 10);
	emu_rig_stop(&r);
}

/* --- Through all modes and back --- */

PROGRAM(code_modes,
        ".code16\n"
        "cli; lgdtl %cs:(code_modes_gdtr - code_modes)\n"
        "mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
        "ljmpl $8, $(0x10000 + code_modes_32 - code_modes)\n"
        "code_modes_gdtr: .word 0x2f; .long 0x10000 + code_modes_gdt - code_modes\n"
        ".code32\n"
        "code_modes_32: mov $0x10, %eax; mov %eax, %ds; mov %eax, %ss\n"
        "mov %cr4, %eax; or $0x20, %al; mov %eax, %cr4\n"
        "mov $0xf00000, %eax; mov %eax, %cr3\n"
        "mov $0xc0000080, %ecx; rdmsr; or $1, %ah; wrmsr\n"
        "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
        "ljmpl $0x18, $(0x10000 + code_modes_64 - code_modes)\n"
        ".code64\n"
        "code_modes_64: movabs $0x123456789abcdef0, %rax; mov %rax, 0x100000\n"
        "mov $0x70000, %esp; pushq $8; pushq $(0x10000 + code_modes_compat - code_modes); lretq\n"
        ".code32\n"
        "code_modes_compat: pushl $0x1234; popl 0x100008\n"
        "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
        "mov $0xc0000080, %ecx; rdmsr; and $0xfe, %ah; wrmsr\n"
        "ljmpl $0x20, $(code_modes_16 - code_modes)\n"
        ".code16\n"
        "code_modes_16: mov $0x28, %ax; mov %ax, %ds; mov %ax, %ss\n"
        "mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0\n"
        "ljmpw $0x1000, $(code_modes_real - code_modes)\n"
        "code_modes_real: mov $0x2000, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x100, %sp\n"
        "movw $0x55aa, 0; int $0x40; hlt\n"
        ".balign 8\n"
        "code_modes_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
        ".quad 0x00af9b000000ffff, 0x00009b010000ffff, 0x000093010000ffff\n"
        ".code64");

/* movw %sp, 2; iretw */
static const uint8_t real_handler[] = { 0x89, 0x26, 0x02, 0x00, 0xcf };

static void test_modes(void **state)
{
	struct emu_rig r;

	/* Long mode's tables, real mode's registers. */
	emu_rig_start(&r, RIG_LONG, 1);
	r.mode = RIG_REAL;
	emu_rig_reset(&r, 0);
	LOAD(&r, code_modes);
	load_at(&r, 0x18000, real_handler, real_handler + sizeof(real_handler));
	emu_rig_gate(&r, 0x40, 0x18000000, 0, 0);
	assert_int_equal(emu_rig_go(&r, 100), HC_EXIT_HALT);
	assert_int_equal(emu_rig_get(&r, RIG_DATA, 8), 0x123456789abcdef0);
	assert_int_equal(emu_rig_get(&r, RIG_DATA + 8, 4), 0x1234);
	assert_int_equal(emu_rig_get(&r, 0x20000, 2), 0x55aa);
	assert_int_equal(emu_rig_get(&r, 0x20002, 2), 0x100 - 6);
	assert_int_equal(r.s->gpr[X86_RSP] & 0xffff, 0x100);
	assert_int_equal(r.s->seg[X86_CS].base, 0x10000);
	assert_int_equal(r.s->cr0 & (X86_CR0_PE | X86_CR0_PG), 0);
	assert_int_equal(r.s->efer & X86_EFER_LMA, 0);
	emu_rig_stop(&r);
}

/* What a hardware backend maps at the local APIC's page is there for its CPU alone. */
static void test_apic_page(void **state)
{
	static const uint64_t bases[] = { 0, X86_APIC_BASE_EN,
		                          X86_APIC_BASE_EN | X86_APIC_BASE_EXTD };
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	assert_int_equal(hc_vm_map_device(r.vm, gpa_of(X86_APIC_BASE), HC_PAGE_SIZE,
	                                  hc_platform_to_hpa(r.ram + RIG_DATA)),
	                 0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(bases); i++) {
		emu_rig_reset(&r, 0);
		assert_int_equal(x86_apic_write_base(r.vcpu, X86_APIC_BASE | bases[i]), 0);
		emu_rig_code(&r, 0xa1, 0x30, 0, 0xe0, 0xfe, 0, 0, 0, 0); /* mov fee00030h, %eax */
		assert_int_equal(emu_rig_run(&r), HC_EXIT_STAGE2);
		assert_int_equal(r.exit.u.stage2.gpa.v, X86_APIC_BASE + 0x30);
	}
	emu_rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_step), cmocka_unit_test(test_breakpoints),
		cmocka_unit_test(test_user_mode),   cmocka_unit_test(test_double_fault),
		cmocka_unit_test(test_modes),       cmocka_unit_test(test_compatibility_mode),
		cmocka_unit_test(test_apic_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
