/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the memory model of Armv8 (Arm ARM B2.3) forbids without full barriers: by DMB of one kind,
 * dependencies, acquire and release, and because all other CPUs see a store at once.
 */
#include "guest/litmus.h"
#include "guest/aarch64/kernel.h"

/* Accesses in one instruction, which the compiler orders against nothing but each other. */
static inline unsigned int ldr(struct litmus_variable *at)
{
	return load32((uint64_t)at);
}

static inline void str(struct litmus_variable *at, unsigned int value)
{
	store32((uint64_t)at, value);
}

static inline unsigned int ldar(struct litmus_variable *at)
{
	unsigned int value;

	__asm__ volatile("ldar %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline void stlr(struct litmus_variable *at, unsigned int value)
{
	__asm__ volatile("stlr %w0, [%1]" : : "r"(value), "r"(at) : "memory");
}

/* A load whose address depends on a value. */
static inline unsigned int ldr_behind(struct litmus_variable *at, unsigned int value)
{
	unsigned int got;

	__asm__ volatile("eor %w0, %w1, %w1\n\tldr %w0, [%2, %w0, uxtw]"
	                 : "=&r"(got)
	                 : "r"(value), "r"(at)
	                 : "memory");
	return got;
}

/* A store of 1 that depends on a value by its data. */
static inline void str_behind(struct litmus_variable *at, unsigned int value)
{
	unsigned int one;

	__asm__ volatile("eor %w0, %w1, %w1\n\tadd %w0, %w0, #1\n\tstr %w0, [%2]"
	                 : "=&r"(one)
	                 : "r"(value), "r"(at)
	                 : "memory");
}

/* A branch that depends on a value, and ISB or nothing behind it. */
#define BRANCH(value, behind)                                                                      \
	__asm__ volatile("cbnz %w0, 1f\n1:\t" behind : : "r"(value) : "memory")

/* ---- Message passing ---- */

static void write_dmb_st(unsigned int mine[2])
{
	str(&x, 1);
	op("dmb ishst");
	str(&y, 1);
}

static void write_release(unsigned int mine[2])
{
	str(&x, 1);
	stlr(&y, 1);
}

static void read_dmb_ld(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	op("dmb ishld");
	mine[1] = ldr(&x);
}

static void read_address(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	mine[1] = ldr_behind(&x, mine[0]);
}

static void read_branch_isb(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	BRANCH(mine[0], "isb");
	mine[1] = ldr(&x);
}

static void read_acquire(unsigned int mine[2])
{
	mine[0] = ldar(&y);
	mine[1] = ldr(&x);
}

static bool mp_forbidden(void)
{
	return seen[1][0] == 1 && seen[1][1] == 0;
}

#define MP "Arm ARM B2.3, MP: who sees the second store sees the first one: "
LITMUS(mp_dmb, MP "DMB ISHST, DMB ISHLD", 2, mp_forbidden, write_dmb_st, read_dmb_ld);
LITMUS(mp_address, MP "an address dependency", 2, mp_forbidden, write_dmb_st, read_address);
LITMUS(mp_branch, MP "a branch and ISB", 2, mp_forbidden, write_release, read_branch_isb);
LITMUS(mp_acquire, MP "STLR, LDAR", 2, mp_forbidden, write_release, read_acquire);

/* ---- Store buffering ---- */

static void sb_x(unsigned int mine[2])
{
	stlr(&x, 1);
	mine[0] = ldar(&y);
}

static void sb_y(unsigned int mine[2])
{
	stlr(&y, 1);
	mine[0] = ldar(&x);
}

static void sb_x_dsb(unsigned int mine[2])
{
	str(&x, 1);
	op("dsb ish");
	mine[0] = ldr(&y);
}

static void sb_y_dsb(unsigned int mine[2])
{
	str(&y, 1);
	op("dsb ish");
	mine[0] = ldr(&x);
}

static bool sb_forbidden(void)
{
	return !seen[0][0] && !seen[1][0];
}

LITMUS(sb_acquire, "Arm ARM B2.3.11, SB: LDAR is not before an earlier STLR", 2, sb_forbidden, sb_x,
       sb_y);
LITMUS(sb_dsb, "Arm ARM B2.3, SB: DSB", 2, sb_forbidden, sb_x_dsb, sb_y_dsb);

/* ---- Load buffering ---- */

static void lb_x(unsigned int mine[2])
{
	mine[0] = ldr(&x);
	str_behind(&y, mine[0]);
}

static void lb_y(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	str_behind(&x, mine[0]);
}

static void lb_x_branch(unsigned int mine[2])
{
	mine[0] = ldr(&x);
	BRANCH(mine[0], "");
	str(&y, 1);
}

static void lb_y_branch(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	BRANCH(mine[0], "");
	str(&x, 1);
}

static bool lb_forbidden(void)
{
	return seen[0][0] && seen[1][0];
}

LITMUS(lb_data, "Arm ARM B2.3, LB: stores of data that was loaded", 2, lb_forbidden, lb_x, lb_y);
LITMUS(lb_branch, "Arm ARM B2.3, LB: stores behind a branch", 2, lb_forbidden, lb_x_branch,
       lb_y_branch);

/* ---- Stores in a circle ---- */

static void circle_x(unsigned int mine[2])
{
	str(&x, 2);
	op("dmb ishst");
	str(&y, 1);
}

static void circle_y(unsigned int mine[2])
{
	str(&y, 2);
	op("dmb ishst");
	str(&x, 1);
}

static bool circle_forbidden(void)
{
	return litmus_get(&x) == 2 && litmus_get(&y) == 2;
}

static void r_write(unsigned int mine[2])
{
	str(&y, 2);
	op("dmb ish");
	mine[0] = ldr(&x);
}

static bool r_forbidden(void)
{
	return litmus_get(&y) == 2 && !seen[1][0];
}

static void s_read(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	str_behind(&x, mine[0]);
}

static bool s_forbidden(void)
{
	return seen[1][0] == 1 && litmus_get(&x) == 2;
}

LITMUS(two_writes, "Arm ARM B2.3, 2+2W: DMB ISHST", 2, circle_forbidden, circle_x, circle_y);
LITMUS(write_read, "Arm ARM B2.3, R: DMB ISH", 2, r_forbidden, write_dmb_st, r_write);
LITMUS(write_after, "Arm ARM B2.3, S: DMB ISHST, a data dependency", 2, s_forbidden, circle_x,
       s_read);

/* ---- All others see a store at once ---- */

static void write_x(unsigned int mine[2])
{
	str(&x, 1);
}

static void write_y(unsigned int mine[2])
{
	str(&y, 1);
}

static void pass_on(unsigned int mine[2])
{
	mine[0] = ldr(&x);
	str_behind(&y, mine[0]);
}

static bool wrc_forbidden(void)
{
	return seen[1][0] == 1 && seen[2][0] == 1 && !seen[2][1];
}

static void read_xy(unsigned int mine[2])
{
	mine[0] = ldr(&x);
	mine[1] = ldr_behind(&y, mine[0]);
}

static void read_xy_acquire(unsigned int mine[2])
{
	mine[0] = ldar(&x);
	mine[1] = ldar(&y);
}

static void read_yx_acquire(unsigned int mine[2])
{
	mine[0] = ldar(&y);
	mine[1] = ldar(&x);
}

static bool iriw_forbidden(void)
{
	return seen[2][0] && !seen[2][1] && seen[3][0] && !seen[3][1];
}

/* ISA2 */
static void pass_y_to_z(unsigned int mine[2])
{
	mine[0] = ldr(&y);
	str_behind(&z, mine[0]);
}

static void read_zx(unsigned int mine[2])
{
	mine[0] = ldr(&z);
	mine[1] = ldr_behind(&x, mine[0]);
}

static bool isa2_forbidden(void)
{
	return seen[1][0] == 1 && seen[2][0] == 1 && !seen[2][1];
}

#define AT_ONCE "Arm ARM B2.3.6: other-multi-copy atomicity: "
LITMUS(wrc, AT_ONCE "WRC by dependencies", 3, wrc_forbidden, write_x, pass_on, read_address);
LITMUS(isa2, AT_ONCE "ISA2 by dependencies", 3, isa2_forbidden, write_dmb_st, pass_y_to_z, read_zx);
LITMUS(iriw_address, AT_ONCE "IRIW by dependencies", 4, iriw_forbidden, write_x, write_y, read_xy,
       read_address);
LITMUS(iriw_acquire, AT_ONCE "IRIW by LDAR", 4, iriw_forbidden, write_x, write_y, read_xy_acquire,
       read_yx_acquire);

/* ---- One place ---- */

static void write_twice(unsigned int mine[2])
{
	str(&x, 1);
	str(&x, 2);
}

static void read_twice(unsigned int mine[2])
{
	mine[0] = ldr(&x);
	mine[1] = ldr(&x);
}

static bool coww_forbidden(void)
{
	return litmus_get(&x) != 2 || seen[1][1] < seen[1][0];
}

static void write_and_read(unsigned int mine[2])
{
	str(&x, 1);
	mine[0] = ldr(&x);
}

static void write_2(unsigned int mine[2])
{
	str(&x, 2);
}

static bool cowr_forbidden(void)
{
	return !seen[0][0] || (seen[0][0] == 2 && litmus_get(&x) == 1);
}

static void swap_1(unsigned int mine[2])
{
	mine[0] = atomic_exchange_explicit(&x.value, 1, memory_order_relaxed);
}

static void swap_2(unsigned int mine[2])
{
	mine[0] = atomic_exchange_explicit(&x.value, 2, memory_order_relaxed);
}

/* One of them came first, and the other one saw it. */
static bool swap_forbidden(void)
{
	bool first = !seen[0][0] && seen[1][0] == 1 && litmus_get(&x) == 2;
	bool second = !seen[1][0] && seen[0][0] == 2 && litmus_get(&x) == 1;

	return !first && !second;
}

#define ONE_PLACE "Arm ARM B2.3.1: coherence: "
LITMUS(two_stores, ONE_PLACE "two stores of one CPU", 2, coww_forbidden, write_twice, read_twice);
LITMUS(own_store, ONE_PLACE "a CPU reads its own store or a later one", 2, cowr_forbidden,
       write_and_read, write_2);
LITMUS(exchange, ONE_PLACE "of two exchanges one comes first", 2, swap_forbidden, swap_1, swap_2);
