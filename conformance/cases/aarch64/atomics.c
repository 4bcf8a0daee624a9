/* SPDX-License-Identifier: BSD-2-Clause */
/* Exclusives (Arm ARM B2.9) and the atomic instructions of FEAT_LSE, alone and between CPUs. */
#include "guest/aarch64/kernel.h"
#include "guest/print.h"

#define ROUNDS 1000u

static uint64_t shared[32] __attribute__((aligned(128)));

/* ---- The exclusives monitor ---- */

#define LDXR_X2 0xc85f7c22u /* LDXR X2, [X1] */
#define STXR_W0 0xc8007c23u /* STXR W0, X3, [X1] */

/* LDXR, something between, STXR: its status. */
static uint64_t around(uint32_t between)
{
	const uint32_t code[] = { LDXR_X2, between, STXR_W0, OPCODE_RET };
	uint64_t x[8] = { 7, (uint64_t)shared, 0, 99, 0 };

	shared[0] = 5;
	execute_under(read_sysreg(sctlr_el1), code, 4, x);
	CHECK(x[0] <= 1);
	CHECK_EQ(x[2], 5);
	return x[0];
}

TEST(exclusive, "Arm ARM B2.9: STXR behind LDXR stores, with status 0")
{
	bool stored = false;

	/* It may fail now and then, for whatever reason. */
	for (unsigned int n = 0; n < 100 && !stored; n++)
		stored = !around(OPCODE_NOP);
	CHECK(stored);
	CHECK_EQ(shared[0], 99);
}

TEST(exclusive_alone, "Arm ARM B2.9.1: STXR without LDXR stores nothing, with status 1")
{
	uint64_t x[8] = { 7, (uint64_t)shared, 0, 99 };

	shared[0] = 5;
	op("clrex");
	execute(STXR_W0, x);
	CHECK_EQ(x[0], 1);
	CHECK_EQ(shared[0], 5);
}

TEST(exclusive_twice, "Arm ARM B2.9.1: of two STXR behind one LDXR the second fails")
{
	for (unsigned int n = 0; n < 20; n++)
		CHECK_EQ(around(0xc8047c23 /* STXR W4, X3, [X1] */), 1);
}

TEST(exclusive_cleared, "Arm ARM C6.2, CLREX: the next STXR fails")
{
	CHECK_EQ(around(0xd5033f5f), 1);
}

static bool leave_out(struct frame *frame)
{
	frame->elr += 4;
	return true;
}

TEST(exclusive_exception, "Arm ARM B2.9.1: an exception return clears the local monitor")
{
	uint64_t failed;

	shared[0] = 5;
	handle(KIND_SYNC, leave_out);
	__asm__ volatile("ldxr x9, [%1]\n\tbrk #0\n\tstxr %w0, xzr, [%1]"
	                 : "=&r"(failed)
	                 : "r"(shared)
	                 : "x9", "memory");
	CHECK_EQ(failed & 1, 1);
	CHECK_EQ(shared[0], 5);
}

static volatile unsigned int step;

static void store_between(void *argument)
{
	WAIT_FOR(step == 1);
	*(volatile uint64_t *)&shared[0] = 1234;
	dsb();
	step = 2;
}

TEST_SMP(exclusive_overtaken, 2, "Arm ARM B2.9.2: another CPU's store in between makes STXR fail")
{
	uint64_t failed;

	shared[0] = 5;
	step = 0;
	start_cpu(1, store_between, NULL);
	__asm__ volatile("ldxr x9, [%1]\n"
	                 "\tmov w10, #1\n"
	                 "\tstr w10, [%2]\n"
	                 "\tmov x11, #0x10000000\n"
	                 "1:\tldr w10, [%2]\n"
	                 "\tsub x11, x11, #1\n"
	                 "\tcbz x11, 2f\n"
	                 "\tcmp w10, #2\n"
	                 "\tb.ne 1b\n"
	                 "2:\tstxr %w0, x9, [%1]"
	                 : "=&r"(failed)
	                 : "r"(shared), "r"(&step)
	                 : "x9", "x10", "x11", "cc", "memory");
	wait_cpu(1);
	CHECK_EQ(step, 2);
	CHECK_EQ(failed & 1, 1);
	CHECK_EQ(shared[0], 1234);
}

/* ---- What the atomic instructions compute ---- */

struct atomic {
	uint32_t opcode; /* of 64 bits, ordered: X2 with X1 (LD...), from [X3] */
	uint64_t (*compute)(uint64_t old, uint64_t operand, unsigned int bits);
};

static uint64_t add(uint64_t old, uint64_t operand, unsigned int bits)
{
	return old + operand;
}

static uint64_t clear(uint64_t old, uint64_t operand, unsigned int bits)
{
	return old & ~operand;
}

static uint64_t flip(uint64_t old, uint64_t operand, unsigned int bits)
{
	return old ^ operand;
}

static uint64_t set(uint64_t old, uint64_t operand, unsigned int bits)
{
	return old | operand;
}

static int64_t as_signed(uint64_t value, unsigned int bits)
{
	return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static uint64_t signed_most(uint64_t old, uint64_t operand, unsigned int bits)
{
	return as_signed(old, bits) > as_signed(operand, bits) ? old : operand;
}

static uint64_t signed_least(uint64_t old, uint64_t operand, unsigned int bits)
{
	return as_signed(old, bits) < as_signed(operand, bits) ? old : operand;
}

static uint64_t most(uint64_t old, uint64_t operand, unsigned int bits)
{
	return old > operand ? old : operand;
}

static uint64_t least(uint64_t old, uint64_t operand, unsigned int bits)
{
	return old < operand ? old : operand;
}

static uint64_t swap(uint64_t old, uint64_t operand, unsigned int bits)
{
	return operand;
}

static void check_atomic(const struct test_case *self)
{
	static const uint64_t values[] = {
		0, 1, 0x7f, 0x80, 0x8000, 0x80000000, UINT64_C(0x123456789abcdef0), UINT64_MAX
	};
	const struct atomic *atomic = self->row;

	need_lse();
	for (unsigned int size = 0; size < 4; size++) {
		unsigned int bits = 8u << size;
		uint64_t mask = UINT64_MAX >> (64 - bits);

		for (unsigned int n = 0; n < 64; n++) {
			uint64_t old = values[n / 8], operand = values[n % 8], expected;
			uint64_t x[8] = { 0, operand, UINT64_MAX, (uint64_t)shared };

			shared[0] = old;
			execute((atomic->opcode & ~(3u << 30)) | size << 30, x);
			CHECK_EQ(x[2], old & mask);
			expected = atomic->compute(old & mask, operand & mask, bits) & mask;
			CHECK_EQ(shared[0], (old & ~mask) | expected);
		}
	}
}

#define ATOMIC(name, number, function)                                                             \
	static const struct atomic name##_atomic = { number, function };                           \
	TEST_ROW(name, check_atomic, &name##_atomic,                                               \
	         "Arm ARM C6.2: the old value, zero-extended; what is stored, in all sizes")

ATOMIC(ldadd, 0xf8e10062, add);
ATOMIC(ldclr, 0xf8e11062, clear);
ATOMIC(ldeor, 0xf8e12062, flip);
ATOMIC(ldset, 0xf8e13062, set);
ATOMIC(ldsmax, 0xf8e14062, signed_most);
ATOMIC(ldsmin, 0xf8e15062, signed_least);
ATOMIC(ldumax, 0xf8e16062, most);
ATOMIC(ldumin, 0xf8e17062, least);
ATOMIC(swp, 0xf8e18062, swap);

TEST(cas, "Arm ARM C6.2, CAS: stores if it was equal; the old value in any case")
{
	need_lse();
	for (unsigned int size = 0; size < 4; size++)
		for (unsigned int equal = 0; equal < 2; equal++) {
			uint64_t mask = UINT64_MAX >> (64 - (8u << size)),
				 old = UINT64_C(0x8877665544332211);
			uint64_t x[8] = { 0, equal ? old : old + 1, 0x5a5a5a5a5a5a5a5a,
				          (uint64_t)shared };

			shared[0] = old;
			execute(0x08e1fc62 | size << 30, x); /* CASAL X1, X2, [X3] */
			CHECK_EQ(x[1], old & mask);
			CHECK_EQ(shared[0], equal ? (old & ~mask) | (x[2] & mask) : old);
		}
}

TEST(casp, "Arm ARM C6.2, CASP: two registers, both have to be equal")
{
	need_lse();
	for (unsigned int equal = 0; equal < 4; equal++) {
		uint64_t x[8] = { 5 + (equal & 1), 6 + (equal >> 1), 10, 11, (uint64_t)shared };

		shared[0] = 6;
		shared[1] = 7;
		execute(0x4860fc82, x); /* CASPAL X0, X1, X2, X3, [X4] */
		CHECK_EQ(x[0], 6);
		CHECK_EQ(x[1], 7);
		CHECK_EQ(shared[0], equal == 3 ? 10 : 6);
		CHECK_EQ(shared[1], equal == 3 ? 11 : 7);
	}
}

/* ---- Between CPUs ---- */

struct contest {
	void (*step)(unsigned int cpu);
	bool lse, bits; /* bits: each CPU flips one of its own */
};

#define COUNT_BY(size, ldxr, stxr, w)                                                              \
	static void count_##size(unsigned int cpu)                                                 \
	{                                                                                          \
		uint64_t value, failed;                                                            \
		__asm__ volatile("1:\t" ldxr " %" w "0, [%2]\n"                                    \
		                 "\tadd %0, %0, #1\n"                                              \
		                 "\t" stxr " %w1, %" w "0, [%2]\n"                                 \
		                 "\tcbnz %w1, 1b"                                                  \
		                 : "=&r"(value), "=&r"(failed)                                     \
		                 : "r"(shared)                                                     \
		                 : "memory");                                                      \
	}
COUNT_BY(8, "ldxrb", "stxrb", "w")
COUNT_BY(16, "ldxrh", "stxrh", "w")
COUNT_BY(32, "ldxr", "stxr", "w")
COUNT_BY(64, "ldaxr", "stlxr", "x")

static void count_pair(unsigned int cpu)
{
	uint64_t low, high, failed;

	__asm__ volatile("1:\tldaxp %0, %1, [%3]\n"
	                 "\tadd %0, %0, #1\n"
	                 "\tsub %1, %1, #1\n"
	                 "\tstlxp %w2, %0, %1, [%3]\n"
	                 "\tcbnz %w2, 1b"
	                 : "=&r"(low), "=&r"(high), "=&r"(failed)
	                 : "r"(shared)
	                 : "memory");
}

static void count_word_pair(unsigned int cpu)
{
	uint64_t low, high, failed;

	__asm__ volatile("1:\tldxp %w0, %w1, [%3]\n"
	                 "\tadd %w0, %w0, #1\n"
	                 "\tstxp %w2, %w0, %w1, [%3]\n"
	                 "\tcbnz %w2, 1b"
	                 : "=&r"(low), "=&r"(high), "=&r"(failed)
	                 : "r"(shared)
	                 : "memory");
}

#define LSE ".arch_extension lse\n\t"

static void count_add(unsigned int cpu)
{
	__asm__ volatile(LSE "ldadd %0, xzr, [%1]" : : "r"(UINT64_C(1)), "r"(shared) : "memory");
}

static void count_add_byte(unsigned int cpu)
{
	__asm__ volatile(LSE "ldaddb %w0, w9, [%1]" : : "r"(1), "r"(shared) : "x9", "memory");
}

static void count_cas(unsigned int cpu)
{
	uint64_t old = *(volatile uint64_t *)shared, expected;

	do {
		expected = old;
		__asm__ volatile(LSE "casal %0, %1, [%2]"
		                 : "+r"(old)
		                 : "r"(expected + 1), "r"(shared)
		                 : "memory");
	} while (old != expected);
}

/* Two words that always add up to nothing. */
static void count_casp(unsigned int cpu)
{
	register uint64_t low __asm__("x2") = 0, high __asm__("x3") = 0;
	uint64_t expected;

	do {
		register uint64_t new_low __asm__("x4") = low + 1;
		register uint64_t new_high __asm__("x5") = high - 1;

		expected = low;
		__asm__ volatile(LSE "caspal x2, x3, x4, x5, [%4]"
		                 : "+r"(low), "+r"(high)
		                 : "r"(new_low), "r"(new_high), "r"(shared)
		                 : "memory");
	} while (low != expected);
	CHECK_EQ(low + high, 0);
}

static void count_swap_lock(unsigned int cpu)
{
	uint64_t was;

	do {
		__asm__ volatile(LSE "swpa %1, %0, [%2]"
		                 : "=&r"(was)
		                 : "r"(UINT64_C(1)), "r"(&shared[16])
		                 : "memory");
	} while (was);
	(*(volatile uint64_t *)shared)++;
	__asm__ volatile("stlr xzr, [%0]" : : "r"(&shared[16]) : "memory");
}

/* What a CPU alone changes has to be as it left it. */
static void flip_own(unsigned int cpu)
{
	uint64_t mine = BIT(cpu * 3), old;

	__asm__ volatile(LSE "ldset %1, %0, [%2]" : "=r"(old) : "r"(mine), "r"(shared) : "memory");
	CHECK_EQ(old & mine, 0);
	__asm__ volatile(LSE "ldeoral %1, %0, [%2]"
	                 : "=r"(old)
	                 : "r"(mine), "r"(shared)
	                 : "memory");
	CHECK_EQ(old & mine, mine);
	__asm__ volatile(LSE "ldeor %1, %0, [%2]" : "=r"(old) : "r"(mine), "r"(shared) : "memory");
	CHECK_EQ(old & mine, 0);
	__asm__ volatile(LSE "ldclr %1, %0, [%2]" : "=r"(old) : "r"(mine), "r"(shared) : "memory");
	CHECK_EQ(old & mine, mine);
}

static void contend(void *argument)
{
	const struct contest *contest = argument;
	unsigned int cpu = this_cpu();

	meet();
	for (unsigned int n = 0; n < ROUNDS; n++)
		contest->step(cpu);
}

static void check_contest(const struct test_case *self)
{
	void *contest = (void *)(uintptr_t)self->row;
	const struct contest *row = self->row;

	if (row->lse)
		need_lse();
	if (cpu_count() < 2)
		skip("2 CPUs");
	memset(shared, 0, sizeof(shared));
	on_each_cpu(contend, contest);
	if (row->bits)
		CHECK_EQ(shared[0], 0);
	else if (row->step == count_8 || row->step == count_add_byte)
		CHECK_EQ(shared[0], (uint8_t)(ROUNDS * cpu_count()));
	else
		CHECK_EQ(shared[0], ROUNDS * cpu_count());
}

#define CONTEST(name, function, ...)                                                               \
	static const struct contest name##_contest = { .step = (function), __VA_ARGS__ };          \
	TEST_ROW(name, check_contest, &name##_contest,                                             \
	         "Arm ARM B2.2.1, B2.9: of what CPUs count at once nothing is lost")

CONTEST(contest_bytes, count_8, );
CONTEST(contest_halfwords, count_16, );
CONTEST(contest_words, count_32, );
CONTEST(contest_doublewords, count_64, );
CONTEST(contest_pairs, count_pair, );
CONTEST(contest_word_pairs, count_word_pair, );
CONTEST(contest_ldadd, count_add, .lse = true);
CONTEST(contest_ldaddb, count_add_byte, .lse = true);
CONTEST(contest_cas, count_cas, .lse = true);
CONTEST(contest_casp, count_casp, .lse = true);
CONTEST(contest_swap, count_swap_lock, .lse = true);
CONTEST(contest_bits, flip_own, .lse = true, .bits = true);

/* ---- Single-copy atomicity ---- */

static volatile unsigned int over;

static void write_halves(void *argument)
{
	bool pair = argument != NULL;

	for (uint64_t n = 0; !over; n++) {
		uint64_t value = n & 1 ? UINT64_MAX : 0, failed;

		if (pair)
			__asm__ volatile("1:\tldxp x9, x10, [%2]\n"
			                 "\tstxp %w0, %1, %1, [%2]\n"
			                 "\tcbnz %w0, 1b"
			                 : "=&r"(failed)
			                 : "r"(value), "r"(shared)
			                 : "x9", "x10", "memory");
		else
			store64((uint64_t)shared, value);
		if (n % 64 == 0)
			limit_passed(&(struct limit){ .end = 0 });
	}
}

static void check_halves(const struct test_case *self)
{
	if (cpu_count() < 2)
		skip("2 CPUs");
	over = 0;
	shared[0] = shared[1] = 0;
	start_cpu(1, write_halves, (void *)(uintptr_t)self->row);
	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t low, high, failed;

		if (self->row)
			__asm__ volatile("1:\tldxp %0, %1, [%3]\n"
			                 "\tstxp %w2, %0, %1, [%3]\n"
			                 "\tcbnz %w2, 1b"
			                 : "=&r"(low), "=&r"(high), "=&r"(failed)
			                 : "r"(shared)
			                 : "memory");
		else
			low = high = load64((uint64_t)shared);
		CHECK(low == 0 || low == UINT64_MAX);
		CHECK_EQ(low, high);
	}
	over = 1;
	wait_cpu(1);
}
TEST_ROW(whole_doublewords, check_halves, NULL,
         "Arm ARM B2.2.1: an aligned doubleword is seen whole");
TEST_ROW(whole_pairs, check_halves, shared,
         "Arm ARM B2.2.1, B2.9: a pair whose STXP succeeds was loaded and stored whole");
