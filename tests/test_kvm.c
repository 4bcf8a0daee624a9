/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The KVM backend on the real thing: small guests in real, protected and 64-bit mode, with a device
 * that writes down what it was asked. Skipped, with the reason, where /dev/kvm cannot be used.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/hw.h"
#include "core/irq.h"
#include "platform/linux/kvm.h"
#include "platform/linux/linux.h"
#include "tests/platform.h"
#include "tests/unit.h"

/* --- Guests: code at 8000h, their stack below it, page tables from 10000h --- */

#define RAM_SIZE 0x20000u
#define CODE     0x8000u
#define RESULTS  0x4000u /* where guests leave what they found out */
#define GDT      0x500u
#define IDT      0x600u
#define TABLES   0x10000u
#define DEVICE   0xd0000000u
#define ROM      0xe0000000u
#define PORTS    0x500u

/* Position-independent but for what is written as a number. */
#define GUEST(name, bits, body)                                                                    \
	extern const uint8_t name[], name##_end[];                                                 \
	__asm__(".pushsection .rodata\n.code" bits "\n" #name ":\n" body "\n" #name                \
	        "_end:\n.code64\n.popsection")

static struct hc_vm *vm;
static struct hc_vcpu *vcpu;
static struct x86_state *st;
static uint8_t *ram;

/* --- The device: bytes that can be read back, and a list of accesses --- */

#define BYTES      64
#define MAX_ACCESS 64

static uint8_t bytes[BYTES];
static struct access {
	uint64_t offset, value;
	unsigned size;
	bool write;
} accesses[MAX_ACCESS];
static unsigned access_count;
static void (*on_access)(void);

static void note(uint64_t offset, unsigned size, bool write, uint64_t value)
{
	if (access_count < MAX_ACCESS)
		accesses[access_count] = (struct access){ offset, value, size, write };
	access_count++;
	if (on_access)
		on_access();
}

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes + offset, size);
	note(offset, size, false, value);
	return value;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	memcpy(bytes + offset, &value, size);
	note(offset, size, true, value);
}

static void expect_access(unsigned i, bool write, uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(i < access_count);
	assert_int_equal(accesses[i].write, write);
	assert_int_equal(accesses[i].offset, offset);
	assert_int_equal(accesses[i].size, size);
	assert_int_equal(accesses[i].value, value);
}

/* --- Set-up --- */

static void add_devices(void)
{
	static const struct hc_region_ops ops = { device_read, device_write, 0 };
	const struct hc_region memory = { "bytes", DEVICE, BYTES, &ops, NULL };
	const struct hc_region ports = { "bytes", PORTS, BYTES, &ops, NULL };

	assert_int_equal(hc_bus_add(vm, HC_SPACE_MEMORY, &memory), 0);
	assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &ports), 0);
	for (unsigned i = 0; i < BYTES; i++)
		bytes[i] = (uint8_t)(0xa0 + i);
	access_count = 0;
	on_access = NULL;
}

/* The test drives the vCPU from its own thread: nobody else kicks it. */
void linux_cpu_set_exit_flag(uint8_t *flag)
{
}

static void make_vm(const uint8_t *code, const uint8_t *end)
{
	const struct hc_vm_config config = { "test", &x86_arch_ops, &kvm_backend, 1, NULL };

	test_platform_init(1);
	test_allocated = 0;
	assert_int_equal(hc_vm_create(&vm, &config), 0);
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(0), RAM_SIZE), 0);
	add_devices();
	vcpu = vm->vcpus[0];
	st = x86_state_of(vcpu);
	ram = hc_mem_ptr(vm, gpa_of(0), RAM_SIZE, true);
	assert_non_null(ram);
	assert_int_equal(hc_mem_write(vm, gpa_of(CODE), code, (uint64_t)(end - code)), 0);
	st->rip = CODE;
	st->gpr[X86_RSP] = CODE;
	st->seg[X86_CS].selector = 0;
	st->seg[X86_CS].base = 0;
}

/* Selectors 8: 64-bit code, 10h: data, 18h: 32-bit code. */
static const uint64_t gdt[] = { 0, 0x00209b0000000000, 0x00cf93000000ffff, 0x00cf9b000000ffff };

static struct x86_segment flat(unsigned selector)
{
	uint64_t d = gdt[selector / 8];

	return (struct x86_segment){
		.selector = (uint16_t)selector,
		.attr = (uint16_t)((d >> 40 & 0xff) | (d >> 44 & 0xf00)),
		.limit = 0xffffffff,
	};
}

static void protected_mode(unsigned code_selector)
{
	static const enum x86_seg data[] = { X86_ES, X86_SS, X86_DS, X86_FS, X86_GS };

	memcpy(ram + GDT, gdt, sizeof(gdt));
	st->gdtr = (struct x86_dtable){ GDT, sizeof(gdt) - 1 };
	st->idtr = (struct x86_dtable){ IDT, 0xfff };
	st->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	st->seg[X86_CS] = flat(code_selector);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(data); i++)
		st->seg[data[i]] = flat(0x10);
}

/* 2 MiB pages for the first 2 MiB and for every device, at their own addresses. */
static void map_identity(void)
{
	static const uint64_t pages[] = { 0, DEVICE, ROM, X86_APIC_BASE };
	uint64_t *pml4 = (uint64_t *)(void *)(ram + TABLES), *pdpt = pml4 + 512;

	pml4[0] = (TABLES + 0x1000) | 3;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(pages); i++) {
		unsigned gib = (unsigned)(pages[i] >> 30);
		uint64_t *pd = pml4 + 512 * (2 + gib);

		pdpt[gib] = (TABLES + 0x2000 + gib * 0x1000) | 3;
		pd[pages[i] >> 21 & 511] = HC_ALIGN_DOWN(pages[i], HC_MIB * 2) | 0x83;
	}
}

static void long_mode(void)
{
	protected_mode(8);
	map_identity();
	st->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
	st->cr3 = TABLES;
	st->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	st->cr0 |= X86_CR0_PG | X86_CR0_WP;
}

/* All vectors that are not set lead nowhere: a guest that takes one triple faults. */
static void set_gate(unsigned vector, uint64_t handler)
{
	uint64_t gate[2] = { 0, handler >> 32 };

	gate[0] = (handler & 0xffff) | 8u << 16 | UINT64_C(0x8e00) << 32 |
	          (handler >> 16 & 0xffff) << 48;
	memcpy(ram + IDT + vector * 16, gate, sizeof(gate));
}

/* Each vector's handler has 64 bytes from 9000h. */
static void set_handler(unsigned vector, const uint8_t *code, const uint8_t *code_end)
{
	assert_in_range(code_end - code, 1, 64);
	memcpy(ram + 0x9000 + vector * 64, code, (size_t)(code_end - code));
	set_gate(vector, 0x9000 + vector * 64);
}

static void stop_loop(void)
{
	atomic_store(&hc_platform_this_cpu()->stop, true);
}

static void loop(void)
{
	hc_sched_loop(hc_sched_cpu(0));
	atomic_store(&hc_sched_cpu(0)->stop, false);
}

/* Until the guest halts, or the VM ends. */
static void run(void)
{
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(vm), 0);
	test_on_idle = stop_loop;
	loop();
	if (hc_vm_cause(vm) == HC_STOP_FAILURE)
		fail_msg("%s", hc_vm_reason(vm));
	hc_vcpu_need(vcpu, X86_G_ALL);
}

static void end(void)
{
	(void)hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	test_on_idle = stop_loop;
	loop();
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
	test_on_idle = NULL;
	vm = NULL;
}

static uint64_t result(unsigned i)
{
	uint64_t value;

	memcpy(&value, ram + RESULTS + i * 8, sizeof(value));
	return value;
}

/* --- Real mode --- */

GUEST(sum_16, "16", "mov $1000, %cx; xor %ax, %ax; 1: add %cx, %ax; loop 1b; mov %ax, 0x4000; hlt");

static void test_arithmetic(void **state)
{
	make_vm(sum_16, sum_16_end);
	run();
	assert_int_equal((uint16_t)result(0), (uint16_t)(1000 * 1001 / 2));
	assert_int_equal(st->gpr[X86_RCX], 0);
	assert_int_equal(st->rip, CODE + (uint64_t)(sum_16_end - sum_16));
	assert_int_equal(vcpu->stats.exits[HC_EXIT_HALT].count, 1);
	end();
}

GUEST(ports_16, "16",
      "mov $0x500, %dx; mov $0x11223344, %eax; out %al, %dx; inc %dx; inc %dx; out %ax, %dx;"
      "mov $0x508, %dx; out %eax, %dx; in %dx, %al; mov %eax, 0x4000; in %dx, %ax;"
      "mov %eax, 0x4008; mov $0x510, %dx; in %dx, %eax; mov %eax, 0x4010;"
      "mov $0x4000, %si; mov $0x520, %dx; mov $5, %cx; rep outsb;"
      "mov $0x4020, %di; mov $3, %cx; mov $0x530, %dx; rep insw; hlt");

static void test_ports(void **state)
{
	make_vm(ports_16, ports_16_end);
	run();
	expect_access(0, true, 0, 1, 0x44);
	expect_access(1, true, 2, 2, 0x3344);
	expect_access(2, true, 8, 4, 0x11223344);
	assert_int_equal((uint32_t)result(0), 0x11223344);
	assert_int_equal((uint32_t)result(1), 0x11223344);
	assert_int_equal((uint32_t)result(2), 0xb3b2b1b0);
	for (unsigned i = 0; i < 5; i++)
		expect_access(6 + i, true, 0x20, 1, ram[RESULTS + i]);
	for (unsigned i = 0; i < 3; i++)
		expect_access(11 + i, false, 0x30, 2, 0xd1d0);
	assert_memory_equal(ram + RESULTS + 0x20, "\xd0\xd1\xd0\xd1\xd0\xd1\0", 7);
	assert_int_equal(access_count, 14);
	assert_int_equal(st->gpr[X86_RSI], RESULTS + 5);
	assert_int_equal(st->gpr[X86_RDI], RESULTS + 0x26);
	assert_int_equal(st->gpr[X86_RCX], 0);
	end();
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

	make_vm(memory_32, memory_32_end);
	rom = hc_platform_alloc_pages(0);
	memcpy(rom, rom_word, sizeof(rom_word));
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(ROM), HC_PAGE_SIZE, rom,
	                                HC_SLOT_READONLY | HC_SLOT_OWNED),
	                 0);
	protected_mode(0x18);
	run();
	expect_access(0, true, 0, 1, 0x11);
	expect_access(1, true, 2, 2, 0x2233);
	expect_access(2, true, 4, 4, 0x44556677);
	expect_access(3, false, 8, 1, 0xa8);
	expect_access(4, false, 10, 2, 0xabaa);
	expect_access(5, false, 12, 4, 0xafaeadac);
	assert_int_equal((uint8_t)result(0), 0xa8);
	assert_int_equal((uint32_t)result(1), 0xabaa);
	assert_int_equal((uint32_t)result(2), 0xafaeadac);
	expect_access(6, false, 16, 4, 0xb3b2b1b0);
	expect_access(7, true, 16, 4, 0xb3b2b1bf);
	assert_int_equal((uint32_t)result(3), 0xb8b7b6b5);
	assert_memory_equal(ram + RESULTS + 0x20, bytes + 32, 16);
	/* The ROM is read as it is, and writes of it are the bus's. */
	memcpy(&value, rom, sizeof(rom_word));
	assert_int_equal(value, 0x04030201);
	assert_int_equal((uint32_t)result(7), 0x04030201);
	assert_int_equal(vm->bus[HC_SPACE_MEMORY].unclaimed_writes, 1);
	end();
}

GUEST(memory_64, "64",
      "mov $0xd0000000, %ebx; mov $0x1122334455667788, %rax; mov %rax, (%rbx); mov 8(%rbx), %rcx;"
      "mov %rcx, 0x4000; mov 3(%rbx), %rdx; mov %rdx, 0x4008; movups 16(%rbx), %xmm0;"
      "movups %xmm0, 0x4010; movups %xmm0, 32(%rbx); mov $0xd0000ffe, %esi; mov (%rsi), %eax;"
      "mov %rax, 0x4020; hlt");

static void test_memory_64(void **state)
{
	make_vm(memory_64, memory_64_end);
	long_mode();
	run();
	expect_access(0, true, 0, 8, 0x1122334455667788);
	expect_access(1, false, 8, 8, 0xafaeadacabaaa9a8);
	assert_int_equal(result(0), 0xafaeadacabaaa9a8);
	assert_int_equal(result(1), 0xaaa9a81122334455);
	assert_memory_equal(ram + RESULTS + 0x10, bytes + 16, 16);
	assert_memory_equal(bytes + 32, bytes + 16, 16);
	assert_int_equal(result(4), 0xffffffff); /* nothing answers, on either page */
	end();
}

/* --- CPUID and MSRs --- */

GUEST(cpuid_64, "64",
      "mov $0x4000, %edi; mov $0x4800, %esi; 1: mov (%rsi), %eax; mov 4(%rsi), %ecx; cpuid;"
      "mov %eax, (%rdi); mov %ebx, 4(%rdi); mov %ecx, 8(%rdi); mov %edx, 12(%rdi);"
      "add $8, %esi; add $16, %edi; cmpl $-1, (%rsi); jne 1b; hlt");

/* A KVM without hardware extensions shows the host's features, for it cannot hide what runs on the
 * CPU itself; who it is and where its processors are it tells as it was told. */
static bool shows_features(void)
{
	uint32_t basic[4], extended[4];

	x86_host_cpuid(1, 0, basic);
	x86_host_cpuid(0x80000001, 0, extended);
	return basic[2] >> 5 & 1 || extended[2] >> 2 & 1;
}

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

	make_vm(cpuid_64, cpuid_64_end);
	long_mode();
	memset(ram + 0x4800, 0xff, 8 * (HC_ARRAY_SIZE(rows) + 1));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		memcpy(ram + 0x4800 + 8 * i, &rows[i], 8);
	run();
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		bool is_all = !rows[i].is_features || shows_features();

		x86_cpuid(vcpu, rows[i].leaf, rows[i].subleaf, regs);
		assert_memory_equal(ram + RESULTS + 16 * i, regs, is_all ? sizeof(regs) : 0);
	}
	end();
}

/* Each row of four words: an MSR, whether it is written first, and with what; then it is read. What
 * was read goes to the results, and the number of faults, whose handler skips the instruction. */
GUEST(msr_64, "64",
      "mov $0x4000, %edi; mov $0x4800, %esi; 1: xor %ebp, %ebp; mov (%rsi), %ecx;"
      "mov 8(%rsi), %eax; mov 12(%rsi), %edx; cmpl $0, 4(%rsi); je 2f; wrmsr; 2: mov $0x55, %eax;"
      "mov $0x66, %edx; rdmsr; mov %eax, (%rdi); mov %edx, 4(%rdi); mov %rbp, 8(%rdi);"
      "add $16, %esi; add $16, %edi; cmpl $-1, (%rsi); jne 1b; .byte 0x48; rdmsr; nop; hlt");
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

	make_vm(msr_64, msr_64_end);
	long_mode();
	set_handler(X86_VEC_GP, skip_two, skip_two_end);
	list = ram + 0x4800;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		memcpy(list + 16 * i, &rows[i], 16);
	memset(list + 16 * HC_ARRAY_SIZE(rows), 0xff, 4);
	run();
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		assert_int_equal(result(2 * i), rows[i].read);
		assert_int_equal(result(2 * i + 1), rows[i].faults);
	}
	assert_int_equal(st->efer, 0x500);
	assert_int_equal(st->msr_lstar, 0xffff800012345678);
	assert_int_equal(x86_apic_cr8(vcpu), 2);
	end();
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
	make_vm(faults_64, faults_64_end);
	long_mode();
	set_handler(X86_VEC_DE, on_fault, on_fault_end);
	set_handler(X86_VEC_UD, on_fault, on_fault_end);
	set_handler(X86_VEC_PF, on_page_fault, on_page_fault_end);
	run();
	assert_int_equal((uint32_t)result(0), 2);
	assert_int_equal(result(2), X86_PF_W);
	assert_int_equal(result(3), 0x400010);
	assert_int_equal(st->cr2, 0x400010);
	assert_int_equal(st->rip, CODE + (uint64_t)(faults_64_end - faults_64));
	end();
}

/* Every instruction between the two POPFQ traps once, whoever carries it out. (KVM itself forgets
 * the trap of a write that it leaves to its user.) */
GUEST(steps_64, "64",
      "mov $0xd0000000, %ebx; mov $0x1b, %ecx; mov $0x508, %edx; pushfq; orl $0x100, (%rsp); popfq;"
      "nop; mov %edx, %esi; rdmsr; mov %esi, %edx; in %dx, %al; mov (%rbx), %eax;"
      "pushfq; andl $~0x100, (%rsp); popfq; hlt");
GUEST(on_step, "64", "push %rax; incl 0x4000; mov %dr6, %rax; mov %rax, 0x4008; pop %rax; iretq");

static void test_single_steps(void **state)
{
	make_vm(steps_64, steps_64_end);
	long_mode();
	set_handler(X86_VEC_DB, on_step, on_step_end);
	run();
	assert_int_equal((uint32_t)result(0), 9);
	assert_int_equal(result(1) & 0x4000, 0x4000);
	assert_int_equal(access_count, 2);
	end();
}

GUEST(triple_64, "64", "ud2");

static void test_triple_fault(void **state)
{
	make_vm(triple_64, triple_64_end);
	long_mode();
	st->idtr.limit = 0;
	run();
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_RESET);
	assert_int_equal(vcpu->stats.exits[HC_EXIT_SHUTDOWN].count, 1);
	end();
}

/* --- Interrupts --- */

GUEST(interrupts_64, "64",
      "mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%rbx);"
      "movl $0x40040, 0x300(%rbx); nop; mov 0x4000, %eax; mov %eax, 0x4008;" /* IF is clear */
      "sti; 1: cmpl $1, 0x4000; jb 1b; mov 0x4000, %eax; mov %eax, 0x4010;"
      "mov $5, %eax; mov %rax, %cr8; movl $0x40040, 0x300(%rbx); nop; mov 0x4000, %eax;"
      "mov %eax, 0x4018; xor %eax, %eax; mov %rax, %cr8; out %al, $0x80;"
      "1: cmpl $2, 0x4000; jb 1b; mov 0x4000, %eax; mov %eax, 0x4020; hlt; mov 0x4000, %eax; mov "
      "%eax, 0x4028;"
      "cli; hlt; mov 0x4000, %eax; mov %eax, 0x4030; hlt");
GUEST(count_it, "64", "incl 0x4000; iretq");
GUEST(on_interrupt, "64", "incl 0x4000; movl $0, 0xb0(%rbx); iretq");

static unsigned idles;

static void send(enum x86_delivery mode, uint8_t vector)
{
	const struct x86_message message = { .vector = vector,
		                             .mode = (uint8_t)mode,
		                             .assert = true };

	assert_int_equal(x86_apic_deliver(vm, &message), 1);
}

/* At the first HLT an interrupt; at the second, with IF clear, another and then an NMI. */
static void idle(void)
{
	switch (idles++) {
	case 0: send(X86_DELIVER_FIXED, 0x40); break;
	case 1: send(X86_DELIVER_FIXED, 0x40); break;
	case 2: send(X86_DELIVER_NMI, 0); break;
	default: stop_loop();
	}
}

static void test_interrupts(void **state)
{
	make_vm(interrupts_64, interrupts_64_end);
	long_mode();
	set_handler(0x40, on_interrupt, on_interrupt_end);
	set_handler(X86_VEC_NMI, count_it, count_it_end);
	idles = 0;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(vm), 0);
	test_on_idle = idle;
	loop();
	assert_int_equal((uint32_t)result(1), 0);
	assert_int_equal((uint32_t)result(2), 1);
	assert_int_equal((uint32_t)result(3), 1);
	assert_int_equal((uint32_t)result(4), 2);
	assert_int_equal((uint32_t)result(5), 3);
	assert_int_equal((uint32_t)result(6), 4); /* the NMI; the interrupt waits for IF */
	assert_int_equal(idles, 4);
	assert_true(x86_apic_pending(&x86_vcpu_of(vcpu)->apic) == 0x40);
	assert_true(vcpu->stats.exits[HC_EXIT_WINDOW].count > 0);
	end();
}

/* The second NMI comes in the first one's handler, and waits for its IRET. */
GUEST(nmi_64, "64", "out %al, $0x80; nop; nop; hlt");
GUEST(on_nmi, "64",
      "incl 0x4000; mov $0x500, %edx; out %al, %dx; nop; mov 0x4000, %eax;"
      "cmpl $1, 0x4000; jne 1f; mov %eax, 0x4008; 1: iretq");

static void send_second_nmi(void)
{
	if (access_count == 1)
		send(X86_DELIVER_NMI, 0);
}

static void test_nmi(void **state)
{
	make_vm(nmi_64, nmi_64_end);
	long_mode();
	set_handler(X86_VEC_NMI, on_nmi, on_nmi_end);
	on_access = send_second_nmi;
	send(X86_DELIVER_NMI, 0);
	run();
	assert_int_equal((uint32_t)result(0), 2);
	assert_int_equal((uint32_t)result(1), 1);
	assert_false(atomic_load(&x86_vcpu_of(vcpu)->nmi_pending));
	assert_false(st->events.nmi_masked);
	end();
}

/* --- State --- */

static void fill(void *p, size_t size, uint64_t *seed)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)p)[i] = (uint8_t)test_random(seed);
}

static uint64_t canonical(uint64_t *seed)
{
	return (uint64_t)((int64_t)(test_random(seed) << 16) >> 16);
}

static void random_segments(uint64_t *seed)
{
	static const enum x86_seg data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(data); i++) {
		st->seg[data[i]].selector = (uint16_t)test_random(seed);
		st->seg[data[i]].base = (uint32_t)test_random(seed);
	}
	st->seg[X86_FS].base = canonical(seed);
	st->seg[X86_GS].base = canonical(seed);
	st->seg[X86_ES].attr &= (uint16_t)~X86_ATTR_P;
	st->seg[X86_TR] = (struct x86_segment){ 0x28, 0x8b, 0x67, canonical(seed) };
	st->seg[X86_LDTR] = (struct x86_segment){ 0x30, 0x82, 0xff, canonical(seed) };
	st->gdtr = (struct x86_dtable){ canonical(seed), 0x7f };
	st->idtr = (struct x86_dtable){ canonical(seed), 0xfff };
}

static void random_msrs(uint64_t *seed)
{
	uint64_t *const addresses[] = { &st->msr_lstar, &st->msr_cstar, &st->msr_kernel_gs_base,
		                        &st->msr_sysenter_esp, &st->msr_sysenter_eip };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(addresses); i++)
		*addresses[i] = canonical(seed);
	st->msr_star = test_random(seed);
	st->msr_sfmask = (uint32_t)test_random(seed);
	st->msr_sysenter_cs = (uint16_t)test_random(seed);
	st->msr_pat = test_below(seed, 2) ? 0x0007040600070406 : 0x0001050600070406;
}

static void random_fpu(uint64_t *seed)
{
	memset(st->xsave, 0, sizeof(st->xsave));
	fill(st->xsave + 160, 256, seed);      /* XMM */
	memcpy(st->xsave, "\x7f\x02", 2);      /* FCW */
	memcpy(st->xsave + 24, "\x80\x3f", 2); /* MXCSR */
	memcpy(st->xsave + 28, "\xff\xff", 2); /* MXCSR's mask, which is read only */
	for (unsigned i = 0; i < 8; i++)
		fill(st->xsave + 32 + 16 * i, 10, seed); /* ST */
	st->xsave[512] = 3;
}

static void random_state(uint64_t *seed)
{
	static const struct x86_event events[] = {
		{ 0 },
		{ 1, X86_EVENT_INTR, 0x41, 0, 0 },
		{ 1, X86_EVENT_NMI, 2, 0, 0 },
		{ 1, X86_EVENT_EXCEPTION, X86_VEC_PF, 1, 7 },
		{ 1, X86_EVENT_EXCEPTION, X86_VEC_DE, 0, 0 },
	};

	fill(st->gpr, sizeof(st->gpr), seed);
	st->rip = canonical(seed);
	st->rflags = X86_FLAG_1 | (test_random(seed) & 0x200cd5);
	random_segments(seed);
	st->cpl = test_below(seed, 2) ? 3 : 0;
	st->seg[X86_CS].attr = (uint16_t)((st->seg[X86_CS].attr & ~0x60u) | (unsigned)st->cpl << 5);
	st->seg[X86_SS].attr = (uint16_t)((st->seg[X86_SS].attr & ~0x60u) | (unsigned)st->cpl << 5);
	st->cr2 = test_random(seed);
	fill(st->dr, sizeof(st->dr), seed);
	for (unsigned i = 0; i < 4; i++)
		st->dr[i] = canonical(seed);
	st->dr6 = 0xffff0ff0 | test_below(seed, 16);
	st->dr7 = 0x400 | test_below(seed, 256);
	random_msrs(seed);
	random_fpu(seed);
	st->events.reinject = events[test_below(seed, HC_ARRAY_SIZE(events))];
	st->events.interrupt_shadow = (uint8_t)test_below(seed, 2);
	st->events.nmi_masked = (uint8_t)test_below(seed, 2);
	st->tsc_offset = test_random(seed) >> 8;
}

/* KVM gives back what it was given. A counter that it cannot offset it says it did not. */
static void test_state(void **state)
{
	struct x86_state *expected = malloc(sizeof(*expected));
	uint64_t seed = 9001;

	make_vm(sum_16, sum_16_end);
	long_mode();
	for (unsigned n = 0; n < test_rounds(50); n++) {
		random_state(&seed);
		memcpy(expected, st, sizeof(*st));
		vcpu->dirty = 0;
		vcpu->valid = X86_G_ALL;
		kvm_backend.set_state(vcpu, X86_G_ALL);
		expected->tsc_offset = st->tsc_offset;
		memset(st, 0xee, sizeof(*st));
		st->tsc_offset = expected->tsc_offset;
		vcpu->valid = 0;
		kvm_backend.get_state(vcpu, X86_G_ALL);
		assert_memory_equal(st->gpr, expected->gpr, sizeof(st->gpr));
		assert_int_equal(st->rip, expected->rip);
		assert_int_equal(st->rflags, expected->rflags);
		assert_memory_equal(&st->cr0, &expected->cr0,
		                    offsetof(struct x86_state, cpl) + 1 -
		                            offsetof(struct x86_state, cr0));
		for (unsigned i = 0; i < X86_SEG_COUNT; i++)
			assert_memory_equal(&st->seg[i], &expected->seg[i], sizeof(st->seg[i]));
		assert_int_equal(st->gdtr.base, expected->gdtr.base);
		assert_int_equal(st->gdtr.limit, expected->gdtr.limit);
		assert_int_equal(st->idtr.base, expected->idtr.base);
		assert_int_equal(st->idtr.limit, expected->idtr.limit);
		assert_memory_equal(st->dr, expected->dr, sizeof(st->dr) + 16);
		assert_memory_equal(&st->msr_star, &expected->msr_star,
		                    offsetof(struct x86_state, tsc_offset) -
		                            offsetof(struct x86_state, msr_star));
		assert_memory_equal(&st->events, &expected->events,
		                    offsetof(struct x86_events, nmi_masked) + 1);
		assert_memory_equal(st->xsave, expected->xsave, 520);
		assert_int_equal(st->xcr0, expected->xcr0);
	}
	free(expected);
	end();
}

/* --- A move from one VM to another after any number of exits --- */

GUEST(mover_64, "64",
      "mov $0xd0000000, %ebx; mov $0x508, %edx; mov $3, %ecx; xor %r8d, %r8d;"
      "1: in %dx, %al; movzbl %al, %eax; add %rax, %r8; mov 8(%rbx), %rax; add %rax, %r8;"
      "movups 16(%rbx), %xmm0; movups %xmm0, 0x4200; mov 0x4208, %rax; add %rax, %r8; add %r8d, "
      "4(%rbx);"
      "push %rcx; mov $0x277, %ecx; mov %edx, %esi; rdmsr; mov %esi, %edx; add %rax, %r8; pop %rcx;"
      "mov $0x4100, %esi; mov %r8, (%rsi); push %rcx; mov $5, %ecx; rep outsb; pop %rcx;"
      "dec %ecx; jnz 1b; mov %r8, 0x4000; hlt");

/* Leaves the loop after some exits: as a pause would. */
static unsigned exits_left;

static bool step(void)
{
	struct hc_exit exit;

	if (!exits_left)
		return false;
	exits_left--;
	kvm_backend.run(vcpu, &exit);
	if (exit.reason == HC_EXIT_ENTRY_FAILED || exit.reason == HC_EXIT_UNKNOWN) {
		char why[128];

		kvm_backend.explain(vcpu, &exit, why, sizeof(why));
		fail_msg("at %#llx: %s", (unsigned long long)exit.pc, why);
	}
	assert_true(vcpu->handlers[exit.reason](vcpu, &exit) >= 0);
	return exit.reason != HC_EXIT_HALT;
}

/* Into a VM like this one, devices and all; as if it were on another machine. */
static void move(void)
{
	struct x86_state *saved = malloc(sizeof(*saved));
	uint8_t *memory = malloc(RAM_SIZE);
	unsigned count;

	kvm_backend.put(vcpu);
	kvm_backend.get_state(vcpu, X86_G_ALL);
	memcpy(saved, st, sizeof(*st));
	memcpy(memory, ram, RAM_SIZE);
	count = access_count;
	end();
	uint8_t device[BYTES];

	memcpy(device, bytes, BYTES);
	make_vm(mover_64, mover_64_end);
	memcpy(bytes, device, BYTES);
	access_count = count;
	memcpy(st, saved, sizeof(*st));
	memcpy(ram, memory, RAM_SIZE);
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	free(saved);
	free(memory);
}

static uint64_t run_mover(unsigned exits)
{
	make_vm(mover_64, mover_64_end);
	long_mode();
	vcpu->cpu = hc_sched_cpu(0);
	exits_left = exits;
	bool is_running = true;

	while (is_running && exits_left)
		is_running = step();
	if (is_running) {
		move();
		exits_left = 1000;
		while (step())
			continue;
	}
	uint64_t sum = result(0);

	end();
	return sum;
}

static void test_move(void **state)
{
	uint64_t expected = run_mover(1000);
	unsigned accesses_made = access_count, exits = 1000 - exits_left;
	uint8_t device[BYTES];

	memcpy(device, bytes, BYTES);
	assert_in_range(exits, 30, 200);
	for (unsigned i = 1; i < exits; i++) {
		assert_int_equal(run_mover(i), expected);
		assert_int_equal(access_count, accesses_made);
		assert_memory_equal(bytes, device, BYTES);
	}
}

/* --- Kicks --- */

GUEST(forever_64, "64", "1: jmp 1b");

static uint8_t *exit_flag;

static void set_flag(uint8_t *flag)
{
	exit_flag = flag;
}

static void on_alarm(int number)
{
	atomic_store(&vcpu->cpu->attention, true);
	if (exit_flag)
		*exit_flag = 1;
}

static void stop_vm(void)
{
	assert_int_equal(hc_vm_stop(vm, HC_STOP_REQUEST, 0), 0);
}

/* Both a signal while the guest runs and one before it does end the loop. */
static void test_kicked(void **state)
{
	const struct itimerval soon = { .it_value.tv_usec = 20000 };
	struct sigaction action = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &action, NULL);
	kvm_hooks.set_exit_flag = set_flag;
	for (unsigned early = 0; early < 2; early++) {
		make_vm(forever_64, forever_64_end);
		long_mode();
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		assert_int_equal(hc_vm_start(vm), 0);
		test_on_irq_window = stop_vm;
		test_on_idle = stop_loop;
		if (early)
			atomic_store(&vcpu->cpu->attention, true);
		else
			setitimer(ITIMER_REAL, &soon, NULL);
		loop();
		assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
		assert_int_equal(vcpu->stats.exits[HC_EXIT_INTERRUPT].count, 1);
		assert_null(exit_flag);
		test_on_irq_window = NULL;
		end();
	}
	kvm_hooks.set_exit_flag = NULL;
}

/* --- What cannot be carried out --- */

static void expect_failure(const char *text)
{
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(vm), 0);
	test_on_idle = stop_loop;
	loop();
	assert_int_equal(hc_vm_state(vm), HC_VM_FAILED);
	if (!strstr(hc_vm_reason(vm), text))
		fail_msg("%s", hc_vm_reason(vm));
	end();
}

GUEST(nowhere_64, "64", "mov $0xd0000000, %eax; jmp *%rax");

static void test_failures(void **state)
{
	make_vm(nowhere_64, nowhere_64_end);
	long_mode();
	st->cr4 |= HC_BIT(30);
	expect_failure("KVM_SET_SREGS: Invalid argument");
	make_vm(nowhere_64, nowhere_64_end);
	long_mode();
	expect_failure("KVM_EXIT_INTERNAL_ERROR 1: instruction not emulated");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),   cmocka_unit_test(test_ports),
		cmocka_unit_test(test_memory),       cmocka_unit_test(test_memory_64),
		cmocka_unit_test(test_cpuid),        cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_exceptions),   cmocka_unit_test(test_single_steps),
		cmocka_unit_test(test_triple_fault), cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_nmi),          cmocka_unit_test(test_state),
		cmocka_unit_test(test_move),         cmocka_unit_test(test_kicked),
		cmocka_unit_test(test_failures),
	};
	struct hc_backend_info info;

	test_platform_init(1);
	if (kvm_backend.probe(&info)) {
		printf("SKIP: %s\n", info.reason);
		return 77;
	}
	printf("%s\n", info.reason);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
