/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and stores carried out, against Unicorn: random instructions of all classes on random
 * registers and the same flat memory. Each is also run with every single one of its accesses
 * failing, after which no register may have changed.
 *
 * HC_TEST_SEED=n: other random numbers. HC_TEST_FACTOR=n: n times as many.
 */
#include <stdio.h>
#include <string.h>

#include <unicorn/unicorn.h>

#include "emu/aarch64/access.h"
#include "tests/unit.h"

/* Literals reach a megabyte in both directions from the code in the middle. */
#define MEMORY_BASE UINT64_C(0x400000)
#define MEMORY_SIZE UINT64_C(0x400000)
#define CODE        (MEMORY_BASE + MEMORY_SIZE / 2)
#define DATA        (CODE + HC_MIB) /* bases are around it */

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
static uc_engine *uc;
static uint8_t theirs[MEMORY_SIZE] __attribute__((aligned(4096)));
static uint8_t ours[MEMORY_SIZE] __attribute__((aligned(4096)));

/* --- Our side --- */

struct memory {
	unsigned accesses, fail_at; /* the fail_at-th access fails, counted from 1 */
	unsigned kinds;             /* all access flags seen */
	uint64_t low, high;         /* what was touched */
	bool dry;                   /* writes are not done */
};

#define FAULT 77

static int begin(struct memory *m, gva_t at, unsigned size, unsigned access)
{
	assert_true(size == 1 || size == 2 || size == 4 || size == 8);
	assert_true(at.v >= MEMORY_BASE && at.v + size <= MEMORY_BASE + MEMORY_SIZE);
	assert_true(at.v % HC_PAGE_SIZE + size <= HC_PAGE_SIZE);
	m->kinds |= access;
	m->low = hc_min(m->low, at.v);
	m->high = hc_max(m->high, at.v + size);
	return ++m->accesses == m->fail_at ? FAULT : 0;
}

static int read_memory(void *ctx, gva_t at, unsigned size, unsigned access, uint64_t *value)
{
	int rc = begin(ctx, at, size, access);

	*value = UINT64_C(0xbadbadbadbadbad);
	if (rc)
		return rc;
	*value = 0;
	memcpy(value, ours + (at.v - MEMORY_BASE), size);
	return 0;
}

static int write_memory(void *ctx, gva_t at, unsigned size, unsigned access, uint64_t value)
{
	const struct memory *m = ctx;
	int rc = begin(ctx, at, size, access);

	assert_true(size == 8 || value >> 8 * size == 0);
	if (!rc && !m->dry)
		memcpy(ours + (at.v - MEMORY_BASE), &value, size);
	return rc;
}

static const struct a64_mem_ops ops = { read_memory, write_memory, 64 };

static struct memory run(const struct a64_ldst *i, struct a64_state *s, unsigned fail_at, int want)
{
	struct memory m = { .fail_at = fail_at, .low = UINT64_MAX, .dry = fail_at != 0 };

	assert_int_equal(a64_ldst_run(i, s, &ops, &m), want);
	return m;
}

/* --- Unicorn's side --- */

static int x_id(unsigned n)
{
	return n < 29 ? UC_ARM64_REG_X0 + (int)n : UC_ARM64_REG_X29 + (int)n - 29;
}

static void load_state(const struct a64_state *s)
{
	for (unsigned n = 0; n < 31; n++)
		uc_reg_write(uc, x_id(n), &s->x[n]);
	uc_reg_write(uc, UC_ARM64_REG_SP, &s->sys[A64_SP_EL1]);
	for (int n = 0; n < 32; n++)
		uc_reg_write(uc, UC_ARM64_REG_Q0 + n, s->v[n]);
}

static void store_state(struct a64_state *s)
{
	for (unsigned n = 0; n < 31; n++)
		uc_reg_read(uc, x_id(n), &s->x[n]);
	uc_reg_read(uc, UC_ARM64_REG_SP, &s->sys[A64_SP_EL1]);
	for (int n = 0; n < 32; n++)
		uc_reg_read(uc, UC_ARM64_REG_Q0 + n, s->v[n]);
}

static void open_unicorn(void)
{
	const uint64_t fpen = 3 << 20;

	assert_int_equal(uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &uc), UC_ERR_OK);
	assert_int_equal(uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX), UC_ERR_OK);
	assert_int_equal(uc_mem_map_ptr(uc, MEMORY_BASE, MEMORY_SIZE, UC_PROT_ALL, theirs),
	                 UC_ERR_OK);
	assert_int_equal(uc_reg_write(uc, UC_ARM64_REG_CPACR_EL1, &fpen), UC_ERR_OK);
}

/* --- Comparison --- */

static void random_state(struct a64_state *s, const struct a64_ldst *i)
{
	bool is_loose = i->kind <= A64_LDST_STORE || i->kind == A64_LDST_ZERO;
	uint64_t base = DATA + test_below(&seed, 64 * HC_KIB);

	for (unsigned n = 0; n < 31; n++)
		s->x[n] = test_random(&seed);
	for (unsigned n = 0; n < 32; n++)
		s->v[n][0] = test_random(&seed), s->v[n][1] = test_random(&seed);
	if (i->has_index && i->rm < 31) {
		s->x[i->rm] = test_below(&seed, 8192);
		if (i->option & 4)
			s->x[i->rm] = -s->x[i->rm];
		if (!(i->option & 1)) /* the upper half does not count */
			s->x[i->rm] = (s->x[i->rm] & UINT32_MAX) | test_random(&seed) << 32;
	}
	base = is_loose ? base : HC_ALIGN_DOWN(base, 16);
	s->sys[A64_SP_EL1] = HC_ALIGN_DOWN(base, 16);
	if (i->rn < 31)
		s->x[i->rn] = base;
	s->pstate = A64_PSTATE_EL1H;
	s->pc = CODE;
}

/* CASes would hardly ever be equal. */
static void make_equal(struct a64_state *s, const struct a64_ldst *i)
{
	if (i->kind != A64_LDST_CAS || i->rn == 31 || i->rs == i->rn || test_below(&seed, 2))
		return;
	const uint8_t *at = ours + (s->x[i->rn] - MEMORY_BASE);

	for (unsigned n = 0; n < i->count && i->rs + n < 31 && i->rs + n != i->rn; n++)
		memcpy(&s->x[i->rs + n], at + n * i->size, i->size);
}

static bool is_comparable(const struct a64_ldst *i)
{
	bool is_pair = i->count == 2 && !i->element;
	bool has_base =
		!i->is_vector && i->rn != 31 && (i->rt == i->rn || (is_pair && i->rt2 == i->rn));

	/* Unicorn 2.0.1 gets LDSMAX ... LDUMIN of less than 64 bits wrong: atomics() has them. */
	if (i->kind == A64_LDST_ATOMIC && i->op >= A64_SMAX && i->size < 8)
		return false;
	/* CONSTRAINED UNPREDICTABLE; and a store exclusive wants the monitor. */
	if ((is_pair && i->rt == i->rt2) || (i->writeback && has_base) ||
	    i->kind == A64_LDST_STORE_EX)
		return false;
	if (i->kind == A64_LDST_ZERO)
		return i->rn != 31;
	return !(i->has_index && i->rm == i->rn && i->rn != 31);
}

static void check_failures(const struct a64_ldst *i, const struct a64_state *before, unsigned n)
{
	static struct a64_state s;

	for (unsigned k = 1; k <= n; k++) {
		s = *before;
		run(i, &s, k, FAULT);
		assert_memory_equal(&s, before, sizeof(s));
	}
}

/* Also of what has padding: both were copied from one. */
static bool is_same(const void *a, const void *b, size_t size)
{
	return memcmp(a, b, size) == 0;
}

static void explain(uint32_t word, const struct a64_state *a, const struct a64_state *b)
{
	print_error("%08x differs:", word);
	for (unsigned n = 0; n < 31; n++)
		if (a->x[n] != b->x[n])
			print_error(" x%u %#lx, Unicorn's %#lx", n, a->x[n], b->x[n]);
	for (unsigned n = 0; n < 32; n++)
		if (a->v[n][0] != b->v[n][0] || a->v[n][1] != b->v[n][1])
			print_error(" v%u %#lx:%#lx, Unicorn's %#lx:%#lx", n, a->v[n][1],
			            a->v[n][0], b->v[n][1], b->v[n][0]);
	print_error("\n");
	fail();
}

static unsigned compared;

static void check(uint32_t word)
{
	static struct a64_state before, mine, other;
	struct a64_ldst i;

	if ((word & 0x3f20fc00) == 0x3820c000)
		word |= 31 << 16; /* of LDAPR Unicorn wants these bits to be one */
	if (a64_decode_ldst(word, &i) || !is_comparable(&i))
		return;
	memset(&before, 0, sizeof(before));
	random_state(&before, &i);
	make_equal(&before, &i);
	mine = other = before;
	memcpy(theirs + (CODE - MEMORY_BASE), &word, 4);
	memcpy(ours + (CODE - MEMORY_BASE), &word, 4);
	load_state(&before);
	uc_err err = uc_emu_start(uc, CODE, CODE + 4, 0, 1);

	if (err != UC_ERR_OK)
		fail_msg("%08x: Unicorn: %s", word, uc_strerror(err));
	store_state(&other);
	if (i.kind <= A64_LDST_STORE) {
		struct a64_state dry = before;

		check_failures(&i, &before, run(&i, &dry, UINT32_MAX, 0).accesses);
	}
	struct memory m = run(&i, &mine, 0, 0);

	if (!is_same(&mine, &other, sizeof(mine)))
		explain(word, &mine, &other);
	if (m.accesses && memcmp(ours + (m.low - 64 - MEMORY_BASE),
	                         theirs + (m.low - 64 - MEMORY_BASE), m.high - m.low + 128))
		fail_msg("%08x: memory differs", word);
	compared++;
}

static const struct {
	uint32_t mask, value;
} classes[] = {
	{ 0xbfbf0000, 0x0c000000 }, { 0xbfa00000, 0x0c800000 }, { 0xbf9f0000, 0x0d000000 },
	{ 0xbf800000, 0x0d800000 }, { 0x3f000000, 0x08000000 }, { 0xbfa07c00, 0x08207c00 },
	{ 0x3fa07c00, 0x08a07c00 }, { 0x3b000000, 0x18000000 }, { 0x3b800000, 0x28000000 },
	{ 0x3b800000, 0x28800000 }, { 0x3b800000, 0x29000000 }, { 0x3b800000, 0x29800000 },
	{ 0x3b200c00, 0x38000000 }, { 0x3b200c00, 0x38000400 }, { 0x3b200c00, 0x38000800 },
	{ 0x3b200c00, 0x38000c00 }, { 0x3b200c00, 0x38200800 }, { 0x3b000000, 0x39000000 },
	{ 0x3f200c00, 0x38200000 }, { 0x3f200c00, 0x19000000 }, { 0xffffffe0, 0xd50b7420 },
};

static void same_as_unicorn(void **state)
{
	open_unicorn();
	for (size_t n = 0; n < MEMORY_SIZE; n += 8) {
		uint64_t r = test_random(&seed);

		memcpy(ours + n, &r, 8);
	}
	memcpy(theirs, ours, MEMORY_SIZE);
	for (size_t c = 0; c < HC_ARRAY_SIZE(classes); c++) {
		compared = 0;
		for (unsigned n = test_rounds(1500); n > 0; n--)
			check(((uint32_t)test_random(&seed) & ~classes[c].mask) | classes[c].value);
		assert_in_range(compared, 100, UINT32_MAX);
	}
	assert_memory_equal(ours, theirs, MEMORY_SIZE);
	uc_close(uc);
}

/* --- What Unicorn does not show --- */

static struct a64_state one(uint32_t word, unsigned access)
{
	struct a64_state s = { .pstate = A64_PSTATE_EL1H, .pc = CODE };
	struct a64_ldst i;

	for (unsigned n = 0; n < 31; n++)
		s.x[n] = DATA + 64 * n;
	s.sys[A64_SP_EL0] = DATA + 64 * 40;
	s.sys[A64_SP_EL1] = DATA + 64 * 41;
	assert_int_equal(a64_decode_ldst(word, &i), 0);
	assert_int_equal(run(&i, &s, 0, 0).kinds, access);
	return s;
}

static uint64_t memory64(uint64_t at)
{
	uint64_t v;

	memcpy(&v, ours + (at - MEMORY_BASE), 8);
	return v;
}

static void choices_and_flags(void **state)
{
	struct a64_state s = one(0xc80a7c62, A64_ACCESS_EXCLUSIVE); /* stxr w10, x2, [x3] */

	assert_int_equal(s.x[10], 0);
	assert_int_equal(memory64(s.x[3]), s.x[2]);
	s = one(0xc85f7c62, A64_ACCESS_EXCLUSIVE); /* ldxr x2, [x3] */
	assert_int_equal(s.x[2], memory64(s.x[3]));
	one(0xf8400862, A64_ACCESS_USER);   /* ldtr x2, [x3] */
	one(0xf8220064, A64_ACCESS_ATOMIC); /* ldadd x2, x4, [x3] */
	one(0xd50b7423, 0);                 /* dc zva, x3 */
	one(0xf9800060, 0);                 /* prfm pldl1keep, [x3] */
	s = one(0xf8408463, 0);             /* ldr x3, [x3], #8 */
	assert_int_equal(s.x[3], memory64(DATA + 64 * 3));
	s = one(0xf8008463, 0); /* str x3, [x3], #8 */
	assert_int_equal(memory64(DATA + 64 * 3), DATA + 64 * 3);
	assert_int_equal(s.x[3], DATA + 64 * 3 + 8);
}

/* LDADD ... LDUMIN, SWP of all sizes by the C types of that size. */
#define REFERENCE(name, utype, stype)                                                              \
	static uint64_t name(unsigned op, uint64_t old, uint64_t operand)                          \
	{                                                                                          \
		utype a = (utype)old, b = (utype)operand;                                          \
		const utype results[9] = { (utype)(a + b),                                         \
			                   (utype)(a & ~b),                                        \
			                   a ^ b,                                                  \
			                   a | b,                                                  \
			                   (stype)a > (stype)b ? a : b,                            \
			                   (stype)a < (stype)b ? a : b,                            \
			                   a > b ? a : b,                                          \
			                   a < b ? a : b,                                          \
			                   b };                                                    \
                                                                                                   \
		return results[op];                                                                \
	}

REFERENCE(reference8, uint8_t, int8_t)
REFERENCE(reference16, uint16_t, int16_t)
REFERENCE(reference32, uint32_t, int32_t)
REFERENCE(reference64, uint64_t, int64_t)

static void atomics(void **state)
{
	static uint64_t (*const references[])(unsigned, uint64_t,
	                                      uint64_t) = { reference8, reference16, reference32,
		                                            reference64 };
	struct a64_ldst i;

	for (unsigned n = 0; n < test_rounds(20000); n++) {
		struct a64_state s = { .x = { DATA, test_random(&seed) } };
		unsigned op = (unsigned)test_below(&seed, 9), log = n % 4;
		uint64_t old = test_random(&seed), mask = UINT64_MAX >> (64 - (8u << log));
		/* ldadd ... swp x1, x2, [x0] */
		uint32_t word = 0x38210002 | log << 30 | (op < 8 ? op << 12 : 0x8000);

		memcpy(ours + (DATA - MEMORY_BASE), &old, 8);
		assert_int_equal(a64_decode_ldst(word, &i), 0);
		assert_int_equal(run(&i, &s, 0, 0).accesses, 2);
		assert_int_equal(s.x[2], old & mask);
		assert_int_equal(memory64(DATA), (old & ~mask) | references[log](op, old, s.x[1]));
	}
}

/* SP is the one that PSTATE selects. */
static void stack_pointers(void **state)
{
	static const struct {
		uint64_t pstate;
		unsigned sp;
	} rows[] = { { A64_PSTATE_EL0T, A64_SP_EL0 },
		     { A64_PSTATE_EL1T, A64_SP_EL0 },
		     { A64_PSTATE_EL1H, A64_SP_EL1 } };
	struct a64_ldst i;

	assert_int_equal(a64_decode_ldst(0xf81f0fe0, &i), 0); /* str x0, [sp, #-16]! */
	assert_int_equal(a64_ldst_groups(&i), A64_G_CORE | A64_G_SYS);
	for (unsigned n = 0; n < HC_ARRAY_SIZE(rows); n++) {
		struct a64_state s = { .pstate = rows[n].pstate | A64_PSTATE_DAIF };

		s.sys[rows[n].sp] = DATA;
		run(&i, &s, 0, 0);
		assert_int_equal(s.sys[rows[n].sp], DATA - 16);
	}
	assert_int_equal(a64_decode_ldst(0x3dc00020, &i), 0); /* ldr q0, [x1] */
	assert_int_equal(a64_ldst_groups(&i), A64_G_CORE | A64_G_FP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_unicorn),
		cmocka_unit_test(choices_and_flags),
		cmocka_unit_test(atomics),
		cmocka_unit_test(stack_pointers),
	};
	const char *s = getenv("HC_TEST_SEED");

	seed ^= s ? strtoull(s, NULL, 0) : 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
