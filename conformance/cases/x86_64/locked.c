/* SPDX-License-Identifier: BSD-2-Clause */
/* Locked instructions of every form, on two CPUs at once, aligned and not. */
#include "guest/print.h"
#include "guest/x86_64/feature.h"

#define ROUNDS 2000u

static volatile bool ready;

static uint8_t *operand;
static void (*locked)(void);

static void work(void *argument)
{
	ready = true;
	for (unsigned int n = 0; n < ROUNDS; n++)
		locked();
}

/* On two CPUs at a time, ROUNDS each. */
static void together(void (*function)(void), uint64_t offset)
{
	operand = (uint8_t *)page_alloc() + offset;
	page_alloc();
	locked = function;
	ready = false;
	start_cpu(1, work, NULL);
	if (!WAIT_FOR(ready))
		error("the other CPU does not come");
	work(NULL);
	wait_cpu(1);
}

struct lock_row {
	void (*function)(void);
	uint64_t expected, offset;
};
static void atomic(const struct test_case *self)
{
	const struct lock_row *row = self->row;
	uint64_t value;

	together(row->function, row->offset);
	memcpy(&value, operand, 8);
	CHECK_EQ(value, row->expected);
}
#define ATOMIC_AT(name, at, result, text)                                                          \
	static void name##_code(void)                                                              \
	{                                                                                          \
		__asm__ volatile(text                                                              \
		                 :                                                                 \
		                 : "r"(operand)                                                    \
		                 : "rax", "rbx", "rcx", "rdx", "memory", "cc");                    \
	}                                                                                          \
	static const struct lock_row name##_row = { name##_code, result, at };                     \
	TEST_SMP_ROW(name, &name##_row)
#define TEST_SMP_ROW(case_name, row_address)                                                       \
	TEST_REGISTER("cases", case_name, .name = #case_name, .file = __FILE__,                    \
	              .reference = "SDM Vol. 3A 8.1.2.2: locked: no other CPU comes between",      \
	              .cpus = 2, .run = atomic, .row = (row_address))
#define ATOMIC(name, result, text) ATOMIC_AT(name, 0, result, text)
ATOMIC(dec, -(uint64_t)2 * ROUNDS, "lock decq (%0)");
ATOMIC(add, 6 * ROUNDS, "lock addl $3, (%0)");
ATOMIC(sub, -(uint64_t)14 * ROUNDS, "lock subq $7, (%0)");
ATOMIC(adc, 4 * ROUNDS, "stc; lock adcl $1, (%0)");
ATOMIC(sbb, -(uint64_t)4 * ROUNDS, "stc; lock sbbq $1, (%0)");
ATOMIC(xor, 0, "lock xorq $0x5a5a5a5, (%0)");
ATOMIC(not, 0, "lock notq (%0)");
ATOMIC(neg, 0, "lock negq (%0)");
ATOMIC(btc, 0, "lock btcl $7, (%0); lock btcq $40, (%0)");
ATOMIC(cmpxchg8b, 2 * ROUNDS,
       "movl (%0), %%eax; movl 4(%0), %%edx; 1: movl %%eax, %%ebx; movl %%edx, %%ecx; addl $1, "
       "%%ebx;"
       "adcl $0, %%ecx; lock cmpxchg8b (%0); jnz 1b");
ATOMIC(bts_as_lock, 2 * ROUNDS,
       "1: lock btsl $5, 8(%0); jnc 2f; pause; jmp 1b; 2: incq (%0); movl $0, 8(%0)");
ATOMIC(inc_8, 2 * ROUNDS & 0xff, "lock incb (%0)");
ATOMIC(inc_16, 2 * ROUNDS & 0xffff, "lock incw (%0)");
ATOMIC_AT(unaligned, 3, 2 * ROUNDS, "lock incq (%0)");
ATOMIC_AT(across_pages, PAGE - 3, 2 * ROUNDS, "lock incq (%0)");
