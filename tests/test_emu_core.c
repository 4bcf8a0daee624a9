/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU's loop, blocks, TLB and memory, in machine code on the rig. Where the outcome
 * depends on page tables, a naive walk of them says what it has to be.
 */
#include "tests/emu_rig.h"

#include <pthread.h>
#include <string.h>

#include "core/sched.h"
#include "emu/x86_64/engine/engine.h"
#include "tests/platform.h"
#include "tests/unit.h"

static uint64_t seed = 0x1234567887654321;

/* --- The loop --- */

static void test_loop(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	/* mov ecx, 1000; xor eax, eax; 1: add rax, rcx; dec ecx; jnz 1b; hlt */
	emu_rig_code(&r, 0xb9, 0xe8, 0x03, 0, 0, 0x31, 0xc0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75,
	             0xf9, 0xf4);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->gpr[X86_RAX], 500500);
	assert_int_equal(r.exit.pc, RIG_CODE + 14);
	assert_int_equal(r.exit.next_pc, RIG_CODE + 15);
	emu_rig_stop(&r);
}

/* A loop without end is left when its budget is used up, and sooner when somebody wants the CPU. */
static void test_leaves(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	/* 1: inc rax; jmp 1b */
	emu_rig_code(&r, 0x48, 0xff, 0xc0, 0xeb, 0xfb);
	r.vcpu->backend->run(r.vcpu, &r.exit);
	assert_int_equal(r.exit.reason, HC_EXIT_INTERRUPT);
	assert_in_range(r.s->gpr[X86_RAX], 100, 100000);
	r.s->gpr[X86_RAX] = 0;
	atomic_store(&r.vcpu->cpu->attention, true);
	r.vcpu->backend->run(r.vcpu, &r.exit);
	assert_int_equal(r.exit.reason, HC_EXIT_INTERRUPT);
	assert_in_range(r.s->gpr[X86_RAX], 1, 2); /* it gets somewhere, but not far */
	assert_false(atomic_load(&r.vcpu->cpu->attention));
	emu_rig_stop(&r);
}

/* Also one that exits all the time: interrupts of the machine are to be seen meanwhile. */
static void test_leaves_among_exits(void **state)
{
	struct emu_rig r;
	unsigned exits = 0;

	emu_rig_start(&r, RIG_LONG, 1);
	/* 1: in al, 80h; jmp 1b */
	emu_rig_code(&r, 0xe4, 0x80, 0xeb, 0xfc);
	for (;; exits++) {
		r.vcpu->backend->run(r.vcpu, &r.exit);
		if (r.exit.reason == HC_EXIT_INTERRUPT)
			break;
		assert_int_equal(r.exit.reason, HC_EXIT_IO);
		r.s->rip = r.exit.next_pc;
		assert_true(exits < 100000);
	}
	assert_true(exits > 100);
	emu_rig_stop(&r);
}

/* Whatever the flags are, they come back, and conditions see them as the manual says. */
static void test_flags(void **state)
{
	static const uint32_t bits[] = { X86_FLAG_CF, X86_FLAG_PF, X86_FLAG_AF,
		                         X86_FLAG_ZF, X86_FLAG_SF, X86_FLAG_OF };

	for (unsigned n = 0; n < 64; n++) {
		struct emu_flags f;
		uint64_t flags = 0;

		for (unsigned i = 0; i < 6; i++)
			flags |= n >> i & 1 ? bits[i] : 0;
		emu_flags_set(&f, flags | X86_FLAG_IF | X86_FLAG_1);
		assert_int_equal(emu_flags_get(&f), flags);
		for (unsigned cc = 0; cc < 16; cc++)
			assert_int_equal(emu_condition(&f, cc), alu_condition(cc, flags));
	}
}

/* --- Events --- */

static void test_window(void **state)
{
	const struct x86_event intr = { .valid = 1, .type = X86_EVENT_INTR, .vector = 0x40 };
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	emu_rig_gate(&r, 0x40, RIG_CODE + 0x100, 0, 0);
	emu_rig_put(&r, RIG_CODE + 0x100, 0xf4, 1);
	/* nop; sti; inc eax; inc eax; 1: jmp 1b */
	emu_rig_code(&r, 0x90, 0xfb, 0xff, 0xc0, 0xff, 0xc0, 0xeb, 0xfe);
	assert_int_equal(r.vcpu->backend->inject(r.vcpu, &intr), -EAGAIN);
	r.vcpu->backend->request_window(r.vcpu, false);
	/* The window opens behind the instruction that STI shadows. */
	assert_int_equal(emu_rig_run(&r), HC_EXIT_WINDOW);
	assert_int_equal(r.s->rip, RIG_CODE + 4);
	assert_int_equal(r.s->gpr[X86_RAX], 1);
	assert_int_equal(r.vcpu->backend->inject(r.vcpu, &intr), 0);
	assert_int_equal(r.vcpu->backend->inject(r.vcpu, &intr), -EBUSY);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->rip, RIG_CODE + 0x100);
	assert_int_equal(r.s->gpr[X86_RAX], 1);
	assert_int_equal(emu_rig_get(&r, r.s->gpr[X86_RSP], 8), RIG_CODE + 4);
	emu_rig_stop(&r);
}

/* Each instruction of a loop traps, and the loop does what it does without. */
static void test_single_step(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	emu_rig_gate(&r, X86_VEC_DB, RIG_CODE + 0x100, 0, 0);
	/* inc rbx; iretq */
	emu_rig_poke(&r, RIG_CODE + 0x100, "\x48\xff\xc3\x48\xcf", 5);
	/* mov ecx, 10; 1: add eax, ecx; dec ecx; jnz 1b; hlt */
	emu_rig_code(&r, 0xb9, 10, 0, 0, 0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xf4);
	r.s->rflags |= X86_FLAG_TF;
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->gpr[X86_RAX], 55);
	assert_int_equal(r.s->gpr[X86_RBX], 31);
	assert_true(r.s->dr6 & HC_BIT(14));
	emu_rig_stop(&r);
}

/* --- Paging --- */

/* Where the tests' own pages are mapped, in a slot of the top table that has nothing else. */
#define AREA   UINT64_C(0xffff900000000000)
#define PML4   0x200000
#define LOW    0x201000 /* PDPT, then PD: RAM for the supervisor */
#define PDPT   0x203000
#define PD     0x204000
#define PT     0x205000
#define FRAMES 0x300000 /* FRAME_COUNT pages whose first byte is their number */

#define FRAME_COUNT 32
#define PAGE_COUNT  16
#define USER_CODE   (AREA + 0x100000) /* RIG_CODE for CPL 3 */
#define PF_HANDLER  (RIG_CODE + 0x800)

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX HC_BIT(63)

/* What runs an access: each ends in VMMCALL, which exits on any CPL. */
enum access_kind { READ, WRITE, EXEC, ACCESS_KINDS };
static const uint64_t access_code[ACCESS_KINDS] = { RIG_CODE, RIG_CODE + 0x10, RIG_CODE + 0x20 };

/* Supervisor pages for RAM, tables of our own for the rest. */
static void start_paging(struct emu_rig *r, unsigned cpus)
{
	emu_rig_start(r, RIG_LONG, cpus);
	emu_rig_put(r, PML4, LOW | P | W | A, 8);
	emu_rig_put(r, LOW, (LOW + 0x1000) | P | W | A, 8);
	for (unsigned i = 0; i < RIG_RAM >> 21; i++)
		emu_rig_put(r, LOW + 0x1000 + 8 * i, (uint64_t)i << 21 | P | W | A | D | PS, 8);
	emu_rig_put(r, PML4 + 8 * (AREA >> 39 & 511), PDPT | P | W | U, 8);
	emu_rig_put(r, PDPT, PD | P | W | U, 8);
	emu_rig_put(r, PD, PT | P | W | U, 8);
	emu_rig_put(r, PT + 8 * 0x100, RIG_CODE | P | U | A, 8);
	for (unsigned i = 0; i < FRAME_COUNT; i++) {
		emu_rig_put(r, FRAMES + 0x1000 * i, i, 1);
		/* What EXEC jumps to: mov al, i; vmmcall */
		emu_rig_put(r, FRAMES + 0x1000 * i + 0x10, 0xd9010f00b0 | i << 8, 5);
	}
	emu_rig_poke(r, access_code[READ], "\x8a\x03\x0f\x01\xd9", 5);
	emu_rig_poke(r, access_code[WRITE], "\x88\x03\x0f\x01\xd9", 5);
	emu_rig_poke(r, access_code[EXEC], "\xff\xe3", 2);
	emu_rig_gate(r, X86_VEC_PF, PF_HANDLER, 0, 0);
	emu_rig_put(r, PF_HANDLER, 0xf4, 1);
	for (unsigned i = 0; i < cpus; i++)
		x86_state_of(r->vm->vcpus[i])->cr3 = PML4;
}

static void set_cpl(struct x86_state *s, unsigned cpl)
{
	s->cpl = (uint8_t)cpl;
	s->seg[X86_CS].selector = cpl ? RIG_USER_CS : RIG_CS;
	s->seg[X86_SS].selector = cpl ? RIG_USER_DS : RIG_DS;
	s->seg[X86_CS].attr = (uint16_t)(cpl ? 0xafb : 0xa9b);
	s->seg[X86_SS].attr = (uint16_t)(cpl ? 0xcf3 : 0xc93);
}

/* The naive walk, for four levels. The frame's address, or -1 with the error code. */
static int64_t naive_walk(const struct emu_rig *r, uint64_t va, enum access_kind kind,
                          uint32_t *error)
{
	const struct x86_state *s = r->s;
	bool user = s->cpl == 3, wp = s->cr0 & X86_CR0_WP, writable = true, for_user = true,
	     nx = false;
	uint64_t table = s->cr3 & ~UINT64_C(0xfff), entry = 0, size = HC_PAGE_SIZE;

	*error = (kind == WRITE ? X86_PF_W : 0) | (user ? X86_PF_U : 0) |
	         (kind == EXEC ? X86_PF_I : 0);
	for (unsigned shift = 39;; shift -= 9) {
		entry = emu_rig_get(r, table + 8 * (va >> shift & 511), 8);
		if (!(entry & P))
			return -1;
		writable &= (entry & W) != 0;
		for_user &= (entry & U) != 0;
		nx |= (entry & NX) != 0;
		table = entry & UINT64_C(0xffffffffff000);
		size = UINT64_C(1) << shift;
		if (shift == 12 || (shift == 21 && entry & PS))
			break;
	}
	*error |= X86_PF_P;
	if (user && !for_user)
		return -1;
	if (kind == EXEC && (nx || (!user && for_user && s->cr4 & X86_CR4_SMEP)))
		return -1;
	if (kind != EXEC && !user && for_user && s->cr4 & X86_CR4_SMAP &&
	    !(s->rflags & X86_FLAG_AC))
		return -1;
	if (kind == WRITE && !writable && (user || wp))
		return -1;
	return (int64_t)((table & ~(size - 1)) | (va & (size - 1)));
}

static uint64_t run_at(struct emu_rig *r, uint64_t rip, uint64_t rbx)
{
	r->s->rip = rip;
	r->s->gpr[X86_RBX] = rbx;
	return emu_rig_run(r);
}

static void check_fault(struct emu_rig *r, uint64_t va, uint32_t error)
{
	assert_int_equal(r->exit.reason, HC_EXIT_HALT);
	assert_int_equal(r->s->rip, PF_HANDLER);
	assert_int_equal(r->s->cr2, va);
	assert_int_equal(emu_rig_get(r, r->s->gpr[X86_RSP], 8), error);
}

static uint8_t written;

static void check_success(struct emu_rig *r, uint64_t va, enum access_kind kind, uint64_t at)
{
	uint64_t frame = (at - FRAMES) >> 12;
	uint8_t al = (uint8_t)r->s->gpr[X86_RAX];

	assert_int_equal(r->exit.reason, HC_EXIT_HYPERCALL);
	if (kind == READ)
		assert_int_equal(al, emu_rig_get(r, at, 1));
	else if (kind == EXEC)
		assert_int_equal(al, frame);
	else
		assert_int_equal(emu_rig_get(r, at, 1), written);
}

static uint64_t code_for(const struct emu_rig *r, enum access_kind kind)
{
	return access_code[kind] + (r->s->cpl ? USER_CODE - RIG_CODE : 0);
}

static void try_access(struct emu_rig *r, uint64_t va, enum access_kind kind)
{
	uint32_t error;
	unsigned cpl = r->s->cpl;
	uint64_t rflags = r->s->rflags;
	int64_t at = naive_walk(r, va, kind, &error);

	r->s->gpr[X86_RSP] = RIG_STACK;
	r->s->gpr[X86_RAX] = kind == WRITE ? ++written : 0xee;
	(void)run_at(r, code_for(r, kind), va);
	if (at < 0)
		check_fault(r, va, error);
	else
		check_success(r, va, kind, (uint64_t)at);
	if (at >= 0 && va < AREA + PAGE_COUNT * HC_PAGE_SIZE && r->s->cr3 == PML4) {
		uint64_t entry = emu_rig_get(r, PT + 8 * (va >> 12 & 511), 8);

		assert_true(entry & A);
		assert_true(kind != WRITE || entry & D);
	}
	set_cpl(r->s, cpl);
	r->s->rflags = rflags;
}

static uint64_t random_entry(void)
{
	static const uint64_t flags[] = { P, P | W, P | U, P | W | U, P | W | U, 0 };
	uint64_t e = FRAMES + test_below(&seed, FRAME_COUNT) * HC_PAGE_SIZE;

	e |= flags[test_below(&seed, HC_ARRAY_SIZE(flags))];
	return test_below(&seed, 4) ? e : e | NX;
}

/* invlpg [rbx]; hlt */
static void invlpg(struct emu_rig *r, uint64_t va)
{
	unsigned cpl = r->s->cpl;
	uint64_t rflags = r->s->rflags;

	set_cpl(r->s, 0);
	emu_rig_poke(r, RIG_CODE + 0x40, "\x0f\x01\x3b\xf4", 4);
	assert_int_equal(run_at(r, RIG_CODE + 0x40, va), HC_EXIT_HALT);
	set_cpl(r->s, cpl);
	r->s->rflags = rflags;
}

static void move_to_cr3(struct emu_rig *r, uint64_t value)
{
	unsigned cpl = r->s->cpl;

	set_cpl(r->s, 0);
	/* mov cr3, rbx; hlt */
	emu_rig_poke(r, RIG_CODE + 0x50, "\x0f\x22\xdb\xf4", 4);
	r->s->rip = RIG_CODE + 0x50;
	r->s->gpr[X86_RBX] = value;
	assert_int_equal(emu_rig_go(r, 3), HC_EXIT_HALT);
	set_cpl(r->s, cpl);
}

static void random_rules(struct emu_rig *r)
{
	struct x86_state *s = r->s;

	s->cr0 ^= test_below(&seed, 2) ? X86_CR0_WP : 0;
	s->cr4 ^= test_below(&seed, 2) ? X86_CR4_SMEP : 0;
	s->cr4 ^= test_below(&seed, 2) ? X86_CR4_SMAP : 0;
}

static void random_privilege(struct emu_rig *r)
{
	set_cpl(r->s, test_below(&seed, 2) ? 3 : 0);
	r->s->rflags ^= test_below(&seed, 2) ? X86_FLAG_AC : 0;
	r->s->rflags &= ~(uint64_t)X86_FLAG_IF;
}

/* Accesses of all kinds and privileges to a few pages, whose entries change now and then: each time
 * with the flush that the change wants, and never with more. */
static void test_paging(void **state)
{
	struct emu_rig r;

	start_paging(&r, 1);
	for (unsigned i = 0; i < PAGE_COUNT; i++)
		emu_rig_put(&r, PT + 8 * i, random_entry(), 8);
	for (unsigned n = 0; n < test_rounds(30000); n++) {
		uint64_t page = test_below(&seed, PAGE_COUNT), va = AREA + page * HC_PAGE_SIZE;
		enum access_kind kind = (enum access_kind)test_below(&seed, ACCESS_KINDS);

		if (!test_below(&seed, 10)) {
			emu_rig_put(&r, PT + 8 * page, random_entry(), 8);
			invlpg(&r, va);
		}
		if (!test_below(&seed, 100)) {
			emu_rig_put(&r, PT + 8 * (page ^ 1), random_entry(), 8);
			move_to_cr3(&r, r.s->cr3);
		}
		if (!test_below(&seed, 50))
			random_rules(&r);
		random_privilege(&r);
		try_access(&r, va + (kind == EXEC ? 0x10 : 0), kind);
	}
	emu_rig_stop(&r);
}

/* Without a flush the old translation may be used, and one that was forbidden may not be. After
 * INVLPG anywhere in a large page nothing of it is used. */
static void test_large_page(void **state)
{
	const uint64_t va = AREA + S2_PAGE_2M;
	struct emu_rig r;

	start_paging(&r, 1);
	set_cpl(r.s, 0);
	for (unsigned n = 0; n < 200; n++) {
		uint64_t base = n % 2 ? 0x200000 : 0x400000;
		uint64_t a = va + test_below(&seed, 500) * HC_PAGE_SIZE;
		uint64_t b = va + test_below(&seed, 500) * HC_PAGE_SIZE;

		emu_rig_put(&r, 0x400000 + (a - va), 0x77, 1);
		emu_rig_put(&r, PD + 8, base | P | W | PS | A | D, 8);
		invlpg(&r, b);
		try_access(&r, a, READ);
		try_access(&r, b, READ);
	}
	emu_rig_stop(&r);
}

/* Two address spaces with a PCID each: translations are kept on demand, and only then. */
static void test_pcid(void **state)
{
	const uint64_t other = 0x210000; /* top table, PDPT, PD, PT */
	struct emu_rig r;

	start_paging(&r, 1);
	memcpy(r.ram + other, r.ram + PML4, HC_PAGE_SIZE);
	emu_rig_put(&r, other + 8 * (AREA >> 39 & 511), (other + 0x1000) | P | W | U, 8);
	emu_rig_put(&r, other + 0x1000, (other + 0x2000) | P | W | U, 8);
	emu_rig_put(&r, other + 0x2000, (other + 0x3000) | P | W | U, 8);
	set_cpl(r.s, 0);
	r.s->cr4 |= X86_CR4_PCIDE;
	emu_rig_put(&r, PT, FRAMES | P | W, 8);
	emu_rig_put(&r, other + 0x3000, (FRAMES + 0x1000) | P | W, 8);
	for (unsigned n = 0; n < 2000; n++) {
		bool second = test_below(&seed, 2), keep = test_below(&seed, 2);
		uint64_t table = second ? other + 0x3000 : PT;

		/* Changed while another space is current, or this one: the move flushes. */
		if (!keep)
			emu_rig_put(&r, table,
			            (FRAMES + test_below(&seed, 8) * HC_PAGE_SIZE) | P | W, 8);
		move_to_cr3(&r, (second ? other | 7 : PML4) | (keep ? HC_BIT(63) : 0));
		assert_int_equal(r.s->cr3, second ? other | 7 : PML4);
		try_access(&r, AREA, READ);
		try_access(&r, AREA + 0x10, EXEC);
	}
	emu_rig_stop(&r);
}

/* Two levels, and 4 MiB pages, one of which is split and joined again. */
static void test_legacy_paging(void **state)
{
	const uint64_t directory = RIG_TABLES + 0x8000, table = RIG_TABLES + 0xa000;
	struct emu_rig r;

	emu_rig_start(&r, RIG_PAGED, 1);
	/* mov al, [ebx]; hlt, and invlpg [ebx]; hlt */
	emu_rig_code(&r, 0x8a, 0x03, 0xf4);
	emu_rig_poke(&r, RIG_CODE + 0x40, "\x0f\x01\x3b\xf4", 4);
	for (unsigned i = 0; i < 1024; i++)
		emu_rig_put(&r, table + 4 * i, (0x800000 + 0x1000 * (1023 - i)) | P | W | A, 4);
	for (unsigned i = 0; i < 1024; i++)
		emu_rig_put(&r, 0x800000 + 0x1000 * i, i % 251, 1);
	for (unsigned n = 0; n < 300; n++) {
		uint64_t page = test_below(&seed, 1024), va = 0x40000000 + page * HC_PAGE_SIZE;
		bool split = test_below(&seed, 2);

		emu_rig_put(&r, directory + 4 * (va >> 22),
		            split ? table | P | W : 0x800000 | P | W | PS, 4);
		r.s->rip = RIG_CODE + 0x40;
		r.s->gpr[X86_RBX] = 0x40000000 + test_below(&seed, 1024) * HC_PAGE_SIZE;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		/* Of the pages of a split one, INVLPG has dropped that one alone. */
		r.s->rip = RIG_CODE + 0x40;
		r.s->gpr[X86_RBX] = va;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		r.s->rip = RIG_CODE;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal((uint8_t)r.s->gpr[X86_RAX], (split ? 1023 - page : page) % 251);
		assert_true(
			emu_rig_get(&r, split ? table + 4 * page : directory + 4 * (va >> 22), 1) &
			A);
	}
	emu_rig_stop(&r);
}

/* Code up to the limit of CS, and not beyond it; another limit is another meaning. */
static void test_code_limit(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_FLAT, 1);
	emu_rig_gate(&r, X86_VEC_GP, RIG_CODE, 0, 0);
	emu_rig_code(&r, 0xf4);
	/* inc eax; inc eax; mov ecx, imm32; hlt */
	emu_rig_poke(&r, 0x20000, "\x40\x40\xb9\x01\x02\x03\x04\xf4", 8);
	for (unsigned n = 0; n < 60; n++) {
		unsigned bytes = (unsigned)test_below(&seed, 10);
		unsigned done = bytes < 2 ? bytes : 2;

		emu_rig_reset(&r, 0);
		emu_rig_gate(&r, X86_VEC_GP, RIG_CODE, 0, 0);
		r.s->rip = 0x20000;
		r.s->seg[X86_CS].limit = 0x20000 + bytes - 1;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal(r.s->gpr[X86_RAX], done);
		/* The handler's frame: error code, EIP. */
		if (bytes < 8)
			assert_int_equal(emu_rig_get(&r, r.s->gpr[X86_RSP] + 4, 4),
			                 0x20000 + (bytes < 7 ? done : 7));
		assert_int_equal(r.s->rip, bytes < 8 ? RIG_CODE : 0x20007);
		assert_int_equal(r.s->gpr[X86_RCX], bytes < 7 ? 0 : 0x04030201);
	}
	emu_rig_stop(&r);
}

/* The same bytes in the three sizes of code are three blocks. */
static void test_modes(void **state)
{
	/* mov eax or ax, imm; hlt where that ends in 16 bits, or two bytes later */
	static const uint8_t code[] = { 0xb8, 0x11, 0x22, 0xf4, 0x33, 0xf4 };
	struct emu_rig r;

	emu_rig_start(&r, RIG_FLAT, 1);
	emu_rig_poke(&r, RIG_CODE, code, sizeof(code));
	for (unsigned n = 0; n < 40; n++) {
		bool wide = test_below(&seed, 2);

		r.s->rip = RIG_CODE;
		r.s->gpr[X86_RAX] = 0;
		r.s->seg[X86_CS].attr = wide ? 0xc9b : 0x89b;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal(r.s->gpr[X86_RAX], wide ? 0x33f42211 : 0x2211);
	}
	emu_rig_stop(&r);
}

/* Real mode, with the loop's target below where the segment begins in memory by wrapping IP. */
static void test_real(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_REAL, 1);
	/* mov cx, 100; 1: add ax, cx; push ax; pop bx; loop 1b; mov [0x1234], bx; hlt */
	emu_rig_code(&r, 0xb9, 100, 0, 0x01, 0xc8, 0x50, 0x5b, 0xe2, 0xfa, 0x89, 0x1e, 0x34, 0x12,
	             0xf4);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->gpr[X86_RAX], 5050);
	assert_int_equal(emu_rig_get(&r, 0x1234, 2), 5050);
	assert_int_equal(r.s->rip, 13);
	emu_rig_stop(&r);
}

/* --- Accesses across a page border --- */

/* Two pages side by side, each writable, readable or not there: all of a store or nothing of it. */
static void test_crossing(void **state)
{
	struct emu_rig r;

	start_paging(&r, 1);
	/* mov [rbx], rax; mov rcx, [rbx]; vmmcall */
	emu_rig_poke(&r, RIG_CODE + 0x80, "\x48\x89\x03\x48\x8b\x0b\x0f\x01\xd9", 9);
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t frame[2], flags[2], v = test_random(&seed), before[2];
		unsigned offset = HC_PAGE_SIZE - 8 + (unsigned)test_below(&seed, 9);
		uint64_t va = AREA + offset;

		for (unsigned i = 0; i < 2; i++) {
			frame[i] = FRAMES + (2 * test_below(&seed, 4) + i) * HC_PAGE_SIZE;
			flags[i] = test_below(&seed, 5) ? P | W : test_below(&seed, 2) ? P : 0;
			emu_rig_put(&r, PT + 8 * i, frame[i] | flags[i], 8);
		}
		before[0] = emu_rig_get(&r, frame[0] + HC_PAGE_SIZE - 8, 8);
		before[1] = emu_rig_get(&r, frame[1], 8);
		move_to_cr3(&r, r.s->cr3);
		set_cpl(r.s, 0);
		r.s->gpr[X86_RSP] = RIG_STACK;
		r.s->gpr[X86_RAX] = v;
		bool first = offset<HC_PAGE_SIZE, second = offset> HC_PAGE_SIZE - 8;
		bool bad0 = first && flags[0] != (P | W), bad1 = second && flags[1] != (P | W);

		if (run_at(&r, RIG_CODE + 0x80, va) == HC_EXIT_HYPERCALL) {
			assert_false(bad0 || bad1);
			assert_int_equal(r.s->gpr[X86_RCX], v);
			continue;
		}
		assert_true(bad0 || bad1);
		unsigned which = bad0 ? 0 : 1;

		check_fault(&r,
		            which ? AREA + HC_PAGE_SIZE + (first ? 0 : offset - HC_PAGE_SIZE) : va,
		            X86_PF_W | (flags[which] ? X86_PF_P : 0));
		assert_int_equal(emu_rig_get(&r, frame[0] + HC_PAGE_SIZE - 8, 8), before[0]);
		assert_int_equal(emu_rig_get(&r, frame[1], 8), before[1]);
	}
	emu_rig_stop(&r);
}

/* An instruction in two pages, the second of which is not there, is there, is another one. */
static void test_code_crossing(void **state)
{
	struct emu_rig r;
	uint64_t va = AREA + HC_PAGE_SIZE - 3;

	start_paging(&r, 1);
	set_cpl(r.s, 0);
	/* mov eax, imm32 from three bytes before the border on; vmmcall */
	emu_rig_poke(&r, FRAMES + HC_PAGE_SIZE - 3, "\xb8\x11\x22", 3);
	emu_rig_poke(&r, FRAMES + 0x1000, "\x33\x44\x0f\x01\xd9", 5);
	emu_rig_poke(&r, FRAMES + 0x2000, "\x55\x66\x0f\x01\xd9", 5);
	for (unsigned n = 0; n < 30; n++) {
		uint64_t second = n % 3 == 0 ? 0 : (FRAMES + 0x1000 * (n % 3)) | P | W;

		emu_rig_put(&r, PT, FRAMES | P | W, 8);
		emu_rig_put(&r, PT + 8, second, 8);
		invlpg(&r, AREA + HC_PAGE_SIZE);
		r.s->gpr[X86_RSP] = RIG_STACK;
		(void)run_at(&r, va, 0);
		if (!second) {
			check_fault(&r, AREA + HC_PAGE_SIZE, X86_PF_I);
			assert_int_equal(emu_rig_get(&r, r.s->gpr[X86_RSP] + 8, 8), va);
			continue;
		}
		assert_int_equal(r.exit.reason, HC_EXIT_HYPERCALL);
		assert_int_equal(r.s->gpr[X86_RAX], n % 3 == 1 ? 0x44332211 : 0x66552211);
	}
	emu_rig_stop(&r);
}

/* --- Code that changes --- */

/* A store changes the immediate of an instruction some instructions further on, in the same block:
 * it is the new one that is executed. */
static void test_own_code(void **state)
{
	static const uint8_t tail[] = { 0xb1, 0x00, 0xf4 }; /* mov cl, 0; hlt */
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	for (unsigned distance = 0; distance < 12; distance++) {
		uint8_t code[64] = { 0x88, 0x03 }; /* mov [rbx], al */

		memset(code + 2, 0x90, distance);
		memcpy(code + 2 + distance, tail, sizeof(tail));
		emu_rig_poke(&r, RIG_CODE, code, sizeof(code));
		for (unsigned n = 1; n < 20; n++) {
			emu_rig_reset(&r, 0);
			r.s->gpr[X86_RAX] = n * 7;
			r.s->gpr[X86_RBX] = RIG_CODE + 3 + distance;
			assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
			assert_int_equal((uint8_t)r.s->gpr[X86_RCX], (uint8_t)(n * 7));
		}
	}
	emu_rig_stop(&r);
}

/* The same by the stores that are functions (LOCK XCHG, MOVS), and through another address. */
static void test_own_code_elsewhere(void **state)
{
	static const char *const stores[] = { "\x86\x03\x90", "\xf0\x00\x03", "\xa4\x90\x90" };
	struct emu_rig r;

	start_paging(&r, 1);
	set_cpl(r.s, 0);
	emu_rig_put(&r, PT, RIG_CODE | P | W, 8);
	for (unsigned n = 0; n < 60; n++) {
		uint64_t at = n % 2 ? AREA : RIG_CODE;

		/* the store; mov cl, 0; vmmcall */
		emu_rig_poke(&r, RIG_CODE + 0x90, stores[n % 3], 3);
		emu_rig_poke(&r, RIG_CODE + 0x93, "\xb1\x00\x0f\x01\xd9", 5);
		emu_rig_put(&r, RIG_DATA, n + 1, 1);
		r.s->gpr[X86_RAX] = n + 1;
		r.s->gpr[X86_RSI] = RIG_DATA;
		r.s->gpr[X86_RDI] = at + 0x94;
		assert_int_equal(run_at(&r, RIG_CODE + 0x90, at + 0x94), HC_EXIT_HYPERCALL);
		assert_int_equal((uint8_t)r.s->gpr[X86_RCX], n + 1);
	}
	emu_rig_stop(&r);
}

/* One CPU has the code, the other one writes to it, by an entry that it had before or not. */
static void test_code_of_another(void **state)
{
	struct emu_rig r;
	struct x86_state *writer;

	emu_rig_start(&r, RIG_LONG, 2);
	writer = x86_state_of(r.vm->vcpus[1]);
	/* mov al, imm8; hlt, and in another page: mov [rbx], al; hlt */
	emu_rig_code(&r, 0xb0, 0, 0xf4);
	emu_rig_poke(&r, 0x30000, "\x88\x03\xf4", 3);
	for (unsigned n = 0; n < 200; n++) {
		bool on_code = n % 3;

		writer->rip = 0x30000;
		writer->gpr[X86_RAX] = n;
		writer->gpr[X86_RBX] = on_code ? RIG_CODE + 1 : RIG_CODE + 0x500;
		assert_int_equal(emu_rig_run_cpu(&r, 1), HC_EXIT_HALT);
		r.s->rip = RIG_CODE;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal((uint8_t)r.s->gpr[X86_RAX], emu_rig_get(&r, RIG_CODE + 1, 1));
		assert_true(!on_code || (uint8_t)r.s->gpr[X86_RAX] == (uint8_t)n);
	}
	emu_rig_stop(&r);
}

/* A device, or an exit handler. */
static void test_code_from_outside(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	emu_rig_code(&r, 0xb0, 0, 0xf4);
	for (unsigned n = 0; n < 100; n++) {
		uint8_t v = (uint8_t)n;

		assert_int_equal(hc_mem_write(r.vm, gpa_of(RIG_CODE + 1), &v, 1), 0);
		r.s->rip = RIG_CODE;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal((uint8_t)r.s->gpr[X86_RAX], v);
	}
	emu_rig_stop(&r);
}

/* Data beside code in one page: many writes, and the code goes on to be right. */
static void test_data_beside_code(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	/* mov ecx, 50000; 1: inc qword [rbx]; dec ecx; jnz 1b; hlt */
	emu_rig_code(&r, 0xb9, 0x50, 0xc3, 0, 0, 0x48, 0xff, 0x03, 0xff, 0xc9, 0x75, 0xf9, 0xf4);
	for (unsigned distance = 13; distance < 2000; distance = distance * 3 / 2) {
		emu_rig_put(&r, RIG_CODE + distance, 0, 8);
		r.s->rip = RIG_CODE;
		r.s->gpr[X86_RBX] = RIG_CODE + distance;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal(emu_rig_get(&r, RIG_CODE + distance, 8), 50000);
	}
	emu_rig_stop(&r);
}

/* More code than the cache has room for, twice. */
static void test_full_cache(void **state)
{
	struct emu_rig r;
	const uint64_t from = 0x200000, to = 0x240000;

	emu_rig_start(&r, RIG_LONG, 1);
	/* inc eax; jmp +0: a block each */
	for (uint64_t at = from; at < to; at += 4)
		emu_rig_put(&r, at, 0x00ebc0ff, 4);
	emu_rig_put(&r, to, 0xf4, 1);
	for (unsigned n = 0; n < 2; n++) {
		r.s->rip = from;
		r.s->gpr[X86_RAX] = 0;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal(r.s->gpr[X86_RAX], (to - from) / 4);
	}
	emu_rig_stop(&r);
}

/* --- Stage 2 --- */

static void test_dirty_log(void **state)
{
	struct emu_rig r;
	uint64_t bitmap[RIG_RAM / HC_PAGE_SIZE / 64] = { 0 };

	emu_rig_start(&r, RIG_LONG, 1);
	/* mov [rbx], al; hlt */
	emu_rig_code(&r, 0x88, 0x03, 0xf4);
	r.s->gpr[X86_RBX] = 0x100 * HC_PAGE_SIZE;
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(s2_log_start(&r.vm->s2, gpa_of(0), RIG_RAM), 0);
	for (unsigned n = 0; n < 300; n++) {
		uint64_t page = 0x100 + test_below(&seed, 16);

		r.s->rip = RIG_CODE;
		r.s->gpr[X86_RBX] = page * HC_PAGE_SIZE;
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		memset(bitmap, 0, sizeof(bitmap));
		/* Guest tables have A and D set already: nothing else was written. */
		assert_int_equal(s2_log_collect(&r.vm->s2, gpa_of(0), RIG_RAM, bitmap), 1);
		assert_int_equal(bitmap[page / 64], HC_BIT(page % 64));
	}
	s2_log_stop(&r.vm->s2);
	emu_rig_stop(&r);
}

static void test_device(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	/* mov [rbx], al; hlt */
	emu_rig_code(&r, 0x88, 0x03, 0xf4);
	r.s->gpr[X86_RBX] = 0xd0000123;
	assert_int_equal(emu_rig_run(&r), HC_EXIT_STAGE2);
	assert_int_equal(r.exit.u.stage2.gpa.v, 0xd0000123);
	assert_int_equal(r.exit.u.stage2.access, HC_ACCESS_WRITE);
	assert_int_equal(r.s->rip, RIG_CODE);
	/* Handled: the store goes nowhere, and on to HLT. */
	assert_int_equal(emu_rig_go(&r, 2), HC_EXIT_HALT);
	assert_int_equal(r.exit.pc, RIG_CODE + 2);
	emu_rig_stop(&r);
}

/* --- Several at a time --- */

struct runner {
	struct emu_rig *rig;
	unsigned cpu;
	enum hc_exit_reason reason;
	unsigned cpuids;
};

/* Exits are passed over as far as threads can do without the platform: only CPUID comes. */
static void *run_thread(void *arg)
{
	struct runner *t = arg;
	struct hc_vcpu *vcpu = t->rig->vm->vcpus[t->cpu];
	struct x86_state *s = x86_state_of(vcpu);
	struct hc_exit exit;

	do {
		vcpu->backend->run(vcpu, &exit);
		if (exit.reason == HC_EXIT_CPUID) {
			s->rip = exit.next_pc;
			t->cpuids++;
		}
	} while (exit.reason == HC_EXIT_INTERRUPT || exit.reason == HC_EXIT_CPUID);
	t->reason = exit.reason;
	return NULL;
}

/* Each vCPU on a CPU of its own. */
static void run_both(struct emu_rig *r)
{
	struct runner t[2] = { { .rig = r, .cpu = 0 }, { .rig = r, .cpu = 1 } };
	pthread_t thread[2];

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_thread, &t[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(t[0].reason, HC_EXIT_HALT);
	assert_int_equal(t[1].reason, HC_EXIT_HALT);
}

/* LOCK is atomic whatever the alignment. */
static void test_locked(void **state)
{
	static const unsigned offsets[] = { 0, 1, 4, HC_PAGE_SIZE - 8, HC_PAGE_SIZE - 3 };
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 2);
	/* 1: lock inc qword [rbx]; dec ecx; jnz 1b; hlt */
	emu_rig_code(&r, 0xf0, 0x48, 0xff, 0x03, 0xff, 0xc9, 0x75, 0xf8, 0xf4);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(offsets); i++) {
		unsigned count = offsets[i] == HC_PAGE_SIZE - 3 ? 5000 : 20000;

		emu_rig_put(&r, RIG_DATA + offsets[i], 0, 8);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			struct x86_state *s = x86_state_of(r.vm->vcpus[cpu]);

			s->rip = RIG_CODE;
			s->gpr[X86_RBX] = RIG_DATA + offsets[i];
			s->gpr[X86_RCX] = count;
		}
		run_both(&r);
		assert_int_equal(emu_rig_get(&r, RIG_DATA + offsets[i], 8), 2 * count);
	}
	emu_rig_stop(&r);
}

/* One CPU changes a function's immediate and then says so; the other reads what was said,
 * serializes, and calls: it must not get an older value (SDM Vol. 3A 8.1.3). Meanwhile the writer
 * also stores next to the code, and both have work with each other's pages. */
static void test_cross_modifying(void **state)
{
	const uint64_t function = 0x40000, said = 0x50000;
	struct emu_rig r;
	struct x86_state *writer;

	emu_rig_start(&r, RIG_LONG, 2);
	writer = x86_state_of(r.vm->vcpus[1]);
	/* mov eax, imm32, aligned to a word; ret */
	emu_rig_poke(&r, function + 3, "\xb8\x00\x00\x00\x00\xc3", 6);
	/* 1: mov esi, [rbx]; cpuid; call rdi; cmp eax, esi; jb 2f; cmp eax, 3000; jb 1b; hlt
	 * 2: ud2 */
	emu_rig_code(&r, 0x8b, 0x33, 0x0f, 0xa2, 0xbb, 0, 0, 5, 0, 0xff, 0xd7, 0x39, 0xf0, 0x72,
	             0x08, 0x3d, 0xb8, 0x0b, 0, 0, 0x72, 0xea, 0xf4, 0x0f, 0x0b);
	/* 1: inc eax; mov [rdi], eax; mov [rbx], eax; inc dword [rdi + 100]; cmp eax, 3000;
	 * jb 1b; hlt */
	emu_rig_poke(&r, 0x60000,
	             "\xff\xc0\x89\x07\x89\x03\xff\x47\x64\x3d\xb8\x0b\x00\x00\x72\xf0\xf4", 17);
	r.s->gpr[X86_RBX] = said;
	r.s->gpr[X86_RDI] = function + 3;
	writer->rip = 0x60000;
	writer->gpr[X86_RBX] = said;
	writer->gpr[X86_RDI] = function + 4;
	writer->gpr[X86_RAX] = 0;
	run_both(&r);
	assert_int_equal(r.s->gpr[X86_RAX], 3000);
	emu_rig_stop(&r);
}

static void *invalidate_thread(void *arg)
{
	struct emu_rig *r = arg;

	for (unsigned i = 0; i < 300; i++) {
		hc_lock(&r->vm->memory_lock);
		r->vm->parts[0].ops->invalidate(r->vm, gpa_of(0), HC_PAGE_SIZE);
		hc_unlock(&r->vm->memory_lock);
	}
	return NULL;
}

/* Stage 2 changes with its lock held while CPUs want the lock to fill their TLBs, and ask each
 * other about code: nobody waits for ever. */
static void test_invalidate_meanwhile(void **state)
{
	struct emu_rig r;
	pthread_t thread;

	emu_rig_start(&r, RIG_LONG, 2);
	/* 1: xor byte [rbx + rcx * 8], 1; invlpg [rbx + rcx * 8]; dec ecx; jnz 1b; hlt */
	emu_rig_code(&r, 0x80, 0x34, 0xcb, 0x01, 0x0f, 0x01, 0x3c, 0xcb, 0xff, 0xc9, 0x75, 0xf4,
	             0xf4);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		struct x86_state *s = x86_state_of(r.vm->vcpus[cpu]);

		s->gpr[X86_RBX] = RIG_DATA;
		s->gpr[X86_RCX] = 20000;
	}
	assert_int_equal(pthread_create(&thread, NULL, invalidate_thread, &r), 0);
	run_both(&r);
	assert_int_equal(pthread_join(thread, NULL), 0);
	emu_rig_stop(&r);
}

/* XRSTORS and XSAVES are the kernel's. The fault's frame tells whose it is: HLT would make one too.
 */
static void test_xsaves_in_programs(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	emu_rig_gate(&r, X86_VEC_GP, 0x60000, 0, 0);
	emu_rig_put(&r, 0x60000, 0xf4, 1);
	for (uint8_t reg = 3; reg <= 5; reg += 2) {
		const uint8_t code[] = { 0x0f, 0xc7, (uint8_t)(reg << 3 | X86_RBX), 0xf4 };

		emu_rig_reset(&r, 0);
		r.s->cr4 |= X86_CR4_OSXSAVE;
		r.s->idtr = (struct x86_dtable){ RIG_IDT, 0xfff };
		r.s->cpl = 3;
		r.s->seg[X86_CS].selector = RIG_USER_CS;
		r.s->seg[X86_SS].selector = RIG_USER_DS;
		r.s->seg[X86_CS].attr |= 3u << 5;
		r.s->seg[X86_SS].attr |= 3u << 5;
		r.s->gpr[X86_RBX] = RIG_DATA;
		emu_rig_poke(&r, RIG_CODE, code, sizeof(code));
		assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
		assert_int_equal(r.exit.pc, 0x60000);
		assert_int_equal(emu_rig_get(&r, RIG_STACK - 40, 8), RIG_CODE);
	}
	emu_rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xsaves_in_programs),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_leaves_among_exits),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_paging),
		cmocka_unit_test(test_large_page),
		cmocka_unit_test(test_pcid),
		cmocka_unit_test(test_legacy_paging),
		cmocka_unit_test(test_code_limit),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_code_crossing),
		cmocka_unit_test(test_own_code),
		cmocka_unit_test(test_own_code_elsewhere),
		cmocka_unit_test(test_code_of_another),
		cmocka_unit_test(test_code_from_outside),
		cmocka_unit_test(test_data_beside_code),
		cmocka_unit_test(test_full_cache),
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_cross_modifying),
		cmocka_unit_test(test_invalidate_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
