/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handlers jump from one to the next: however many instructions run, the host's stack is as deep as
 * for a few. One that cannot jump, because something has the address of a local of its own, leaves
 * a frame for each instruction, and a board's stack is small. Instructions that are met by the slow
 * way above all: operands that cross pages or are not aligned under LOCK, wide divisions.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>
#include <sys/mman.h>

#include "tests/emu_rig.h"
#include "tests/unit.h"

#define STACK  (4 * HC_MIB)
#define COPIES 16
#define ROUNDS 300
#define LIMIT                                                                                      \
	2048 /* bytes that more instructions may take; a frame for each would be 20 times that */

/*
 * rbx = an address at which operands cross a page; rbp = one that is not aligned; r8 = one that is;
 * rsi, rdi = room; rsp = an address at which the stack crosses a page. rcx counts the rounds.
 */
static const struct row {
	const char *name;
	uint8_t len;
	uint8_t code[12];
} rows[] = {
	{ "mov eax, [rbx]", 2, { 0x8b, 0x03 } },
	{ "mov [rbx], eax", 2, { 0x89, 0x03 } },
	{ "mov rax, [rbx]", 3, { 0x48, 0x8b, 0x03 } },
	{ "mov word [rbx + 2], 1", 6, { 0x66, 0xc7, 0x43, 0x02, 0x01, 0x00 } },
	{ "movzx eax, word [rbx + 2]", 4, { 0x0f, 0xb7, 0x43, 0x02 } },
	{ "add eax, [rbx]", 2, { 0x03, 0x03 } },
	{ "add [rbx], eax", 2, { 0x01, 0x03 } },
	{ "adc [rbx], eax", 2, { 0x11, 0x03 } },
	{ "cmp dword [rbx], 7", 3, { 0x83, 0x3b, 0x07 } },
	{ "inc dword [rbx]", 2, { 0xff, 0x03 } },
	{ "neg dword [rbx]", 2, { 0xf7, 0x1b } },
	{ "rol dword [rbx], 3", 3, { 0xc1, 0x03, 0x03 } },
	{ "shld [rbx], eax, 4", 4, { 0x0f, 0xa4, 0x03, 0x04 } },
	{ "bts [rbx], eax", 3, { 0x0f, 0xab, 0x03 } },
	{ "imul eax, [rbx]", 3, { 0x0f, 0xaf, 0x03 } },
	{ "mul dword [rbx]", 2, { 0xf7, 0x23 } },
	{ "cmovz eax, [rbx]", 3, { 0x0f, 0x44, 0x03 } },
	{ "popcnt eax, [rbx]", 4, { 0xf3, 0x0f, 0xb8, 0x03 } },
	{ "lock add [rbx], eax", 3, { 0xf0, 0x01, 0x03 } },
	{ "lock add [rbp], eax", 4, { 0xf0, 0x01, 0x45, 0x00 } },
	{ "lock inc dword [rbp]", 4, { 0xf0, 0xff, 0x45, 0x00 } },
	{ "lock bts [rbp], eax", 5, { 0xf0, 0x0f, 0xab, 0x45, 0x00 } },
	{ "xchg [rbp], eax", 3, { 0x87, 0x45, 0x00 } },
	{ "xchg [rbx], eax", 2, { 0x87, 0x03 } },
	{ "lock xadd [rbp], eax", 5, { 0xf0, 0x0f, 0xc1, 0x45, 0x00 } },
	{ "lock cmpxchg [rbp], eax", 5, { 0xf0, 0x0f, 0xb1, 0x45, 0x00 } },
	{ "cmpxchg8b [rbx]", 3, { 0x0f, 0xc7, 0x0b } },
	{ "mov edx, 1; div rbx", 8, { 0xba, 0x01, 0, 0, 0, 0x48, 0xf7, 0xf3 } },
	{ "mov edx, 1; idiv rbx", 8, { 0xba, 0x01, 0, 0, 0, 0x48, 0xf7, 0xfb } },
	{ "push rax; pop rax", 2, { 0x50, 0x58 } },
	{ "push [rbx]; pop rax", 3, { 0xff, 0x33, 0x58 } },
	{ "push rax; pop [rbx]", 3, { 0x50, 0x8f, 0x03 } },
	{ "pushf; popf", 2, { 0x9c, 0x9d } },
	{ "enter 16, 0; leave", 5, { 0xc8, 0x10, 0, 0, 0xc9 } },
	{ "call next; pop rax", 6, { 0xe8, 0, 0, 0, 0, 0x58 } },
	{ "movsq", 2, { 0x48, 0xa5 } },
	{ "lodsd", 1, { 0xad } },
	{ "movups xmm0, [rbx]", 3, { 0x0f, 0x10, 0x03 } },
	{ "movups [rbx], xmm0", 3, { 0x0f, 0x11, 0x03 } },
	{ "addps xmm0, xmm1", 3, { 0x0f, 0x58, 0xc1 } },
	{ "paddd xmm0, [r8]", 5, { 0x66, 0x41, 0x0f, 0xfe, 0x00 } },
	{ "fld [rbx]; fstp [rbx]", 4, { 0xd9, 0x03, 0xd9, 0x1b } },
	{ "fxsave [r8]", 4, { 0x41, 0x0f, 0xae, 0x00 } },
	{ "stmxcsr [rbx]", 3, { 0x0f, 0xae, 0x1b } },
	{ "mov eax, ds", 2, { 0x8c, 0xd8 } },
	{ "mov ds, eax", 7, { 0xb8, RIG_DS, 0, 0, 0, 0x8e, 0xd8 } },
	{ "mov rax, cr4", 3, { 0x0f, 0x20, 0xe0 } },
	{ "cld", 1, { 0xfc } },
};

#define STAYS 4 /* code and data are noticed to be new; after that one is enough for all rounds */

static void *run(void *arg)
{
	struct emu_rig *r = arg;

	for (unsigned i = 0; i < STAYS; i++) {
		r->vcpu->backend->run(r->vcpu, &r->exit);
		if (r->exit.reason != HC_EXIT_INTERRUPT)
			break;
	}
	return NULL;
}

/* Bytes of the stack, all zero before, that are not. */
static size_t used(const uint64_t *stack)
{
	size_t untouched = 0;

	while (untouched < STACK / 8 && !stack[untouched])
		untouched++;
	return STACK - 8 * untouched;
}

/* Runs on a stack of its own, and says how much of it that took. */
static size_t depth(struct emu_rig *r)
{
	void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;

	assert_ptr_not_equal(stack, MAP_FAILED);
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK), 0);
	assert_int_equal(pthread_create(&thread, &attr, run, r), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	size_t n = used(stack);

	munmap(stack, STACK);
	return n;
}

/* 1: the row, COPIES times; dec ecx; jnz 1b; hlt */
static void write_code(struct emu_rig *r, const struct row *row)
{
	uint8_t code[COPIES * sizeof(row->code) + 9];
	unsigned n = 0;

	for (unsigned i = 0; i < COPIES; i++, n += row->len)
		__builtin_memcpy(code + n, row->code, row->len);
	const int32_t back = -(int32_t)(n + 8);
	const uint8_t end[] = { 0xff, 0xc9, 0x0f, 0x85 };

	__builtin_memcpy(code + n, end, sizeof(end));
	__builtin_memcpy(code + n + sizeof(end), &back, sizeof(back));
	code[n + 8] = 0xf4;
	emu_rig_poke(r, RIG_CODE, code, n + 9);
}

static size_t depth_of(struct emu_rig *r, const struct row *row, unsigned rounds)
{
	emu_rig_reset(r, 0);
	write_code(r, row);
	r->s->gpr[X86_RAX] = 5;
	r->s->gpr[X86_RCX] = rounds;
	r->s->gpr[X86_RBX] = RIG_DATA + 0xffd;
	r->s->gpr[X86_RBP] = RIG_DATA + 0x101;
	r->s->gpr[X86_RSI] = RIG_DATA + 0x10000;
	r->s->gpr[X86_RDI] = RIG_DATA + 0x20000;
	r->s->gpr[8] = RIG_DATA + 0x4000;
	r->s->gpr[X86_RSP] = RIG_STACK - 0x1000 + 3;
	size_t n = depth(r);

	if (r->exit.reason != HC_EXIT_HALT)
		fail_msg("%s, %u rounds: exit %d at %#llx (%llu)", row->name, rounds,
		         (int)r->exit.reason, (unsigned long long)r->exit.pc,
		         (unsigned long long)r->s->gpr[X86_RCX]);
	return n;
}

static void test_rows(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		size_t few = depth_of(&r, &rows[i], 1), many = depth_of(&r, &rows[i], ROUNDS);

		if (many > few + LIMIT)
			fail_msg("%s: %zu bytes of stack for %d of them, %zu for %d", rows[i].name,
			         few, COPIES, many, ROUNDS * COPIES);
	}
	emu_rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
