/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder of loads and stores against Capstone: random words of every class, and random words
 * of all of that encoding space. What was decoded is written as the manual's assembler has it, and
 * compared with what Capstone writes: which instruction, registers and their sizes, addressing,
 * offsets. What order an instruction keeps (LDAR) and what it hints (LDNP) is nothing to us.
 *
 * HC_TEST_SEED=n: other random words. HC_TEST_FACTOR=n: n times as many.
 */
#include <stdio.h>
#include <string.h>

#include <capstone/capstone.h>

#include "emu/aarch64/ldst.h"
#include "tests/unit.h"

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

/* --- The manual's notation --- */

struct text {
	char s[160];
	size_t n;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	t->n += (size_t)vsnprintf(t->s + t->n, sizeof(t->s) - t->n, format, ap);
	va_end(ap);
}

static char letter(unsigned size)
{
	return size == 1 ? 'b' : size == 2 ? 'h' : size == 4 ? 's' : size == 8 ? 'd' : 'q';
}

static void put_x(struct text *t, bool is_64, unsigned r)
{
	if (r == 31)
		put(t, is_64 ? "xzr" : "wzr");
	else
		put(t, "%c%u", is_64 ? 'x' : 'w', r);
}

static void put_register(struct text *t, const struct a64_ldst *i, unsigned r)
{
	if (i->is_vector)
		put(t, "%c%u", letter(i->size), r);
	else
		put_x(t, i->size == 8 || (i->is_signed && i->is_64), r);
}

static void put_list(struct text *t, const struct a64_ldst *i)
{
	put(t, "{");
	for (unsigned n = 0; n < i->count; n++) {
		put(t, "%sv%u.", n ? ", " : "", (i->rt + n) % 32);
		if (i->lane >= A64_LANE_COPY)
			put(t, "%u", i->size / i->element);
		put(t, "%c", letter(i->element));
	}
	put(t, "}");
	if (i->lane < A64_LANE_COPY)
		put(t, "[%u]", i->lane);
}

static void put_index(struct text *t, const struct a64_ldst *i, bool is_scaled)
{
	static const char *const options[8] = { "", "", "uxtw", "lsl", "", "", "sxtw", "sxtx" };

	put(t, ", ");
	put_x(t, i->option & 1, i->rm);
	if (i->post)
		return; /* LD1 .. ST4 */
	if (i->option != 3 || is_scaled)
		put(t, ", %s", options[i->option]);
	if (is_scaled)
		put(t, " #%u", i->shift);
}

static void put_address(struct text *t, const struct a64_ldst *i, uint32_t word)
{
	if (i->is_literal) {
		put(t, "#%lld", (long long)i->offset);
		return;
	}
	if (i->rn == 31)
		put(t, "[sp");
	else
		put(t, "[x%u", i->rn);
	if (i->post)
		put(t, "]");
	if (i->has_index)
		put_index(t, i, word >> 12 & 1);
	else if (i->offset || i->writeback)
		put(t, ", #%lld", (long long)i->offset);
	if (!i->post)
		put(t, i->writeback ? "]!" : "]");
}

static void put_operands(struct text *t, const struct a64_ldst *i, uint32_t word)
{
	if (i->kind == A64_LDST_STORE_EX) {
		put_x(t, false, i->rs);
		put(t, ", ");
	}
	if (i->element) {
		put_list(t, i);
		put(t, ", ");
	} else if (i->kind != A64_LDST_PREFETCH) {
		for (unsigned n = 0; n < i->count; n++) {
			put_register(t, i, n ? i->rt2 : i->rt);
			put(t, ", ");
		}
	}
	put_address(t, i, word);
}

static void put_name(struct text *t, const struct a64_ldst *i)
{
	static const char *const sizes[9] = { [1] = "b", [2] = "h", [4] = "w" };
	bool is_load = i->kind == A64_LDST_LOAD || i->kind == A64_LDST_LOAD_EX;
	bool is_exclusive = i->kind == A64_LDST_LOAD_EX || i->kind == A64_LDST_STORE_EX;

	if (i->kind == A64_LDST_PREFETCH) {
		put(t, "prfm");
		return;
	}
	put(t, "%s", is_load ? "ld" : "st");
	if (i->element) {
		put(t, "%u%s", i->structure, i->lane == A64_LANE_COPY ? "r" : "");
		return;
	}
	put(t, "%s%s", is_exclusive ? "x" : i->is_user ? "t" : "", i->count == 2 ? "p" : "r");
	if (i->is_signed)
		put(t, "s%s", sizes[i->size]);
	else if (!i->is_vector && i->size < 4)
		put(t, "%s", sizes[i->size]);
}

/* --- Capstone's --- */

/* The same without order, hints and forms of the offset. */
static const struct {
	const char *from, *to;
} names[] = {
	{ "ldaxr", "ldxr" }, { "stlxr", "stxr" }, { "ldaxp", "ldxp" }, { "stlxp", "stxp" },
	{ "ldnp", "ldp" },   { "stnp", "stp" },   { "prfum", "prfm" }, { "ldtr", "ldtr" },
	{ "sttr", "sttr" },  { "ldur", "ldr" },   { "stur", "str" },   { "ldar", "ldr" },
	{ "stlr", "str" },
};

static void put_their_name(struct text *t, const char *name)
{
	for (size_t i = 0; i < HC_ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i].from);

		if (strncmp(name, names[i].from, n) == 0) {
			put(t, "%s%s", names[i].to, name + n);
			return;
		}
	}
	put(t, "%s", name);
}

static bool starts_number(const char *s)
{
	return *s == '#' || (s[0] == '[' && s[1] >= '0' && s[1] <= '9');
}

/* Numbers are compared by value. */
static bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		bool is_number = starts_number(a) && starts_number(b);

		a++;
		b++;
		if (is_number) {
			char *end_a, *end_b;

			if (strtoull(a, &end_a, 0) != strtoull(b, &end_b, 0))
				return false;
			a = end_a;
			b = end_b;
		}
	}
	return *a == *b;
}

/* What Capstone 4 does not decode: all that came after Armv8.0, and a mistake. */
static const struct {
	uint32_t mask, value;
	const char *why;
} unknown[] = {
	{ 0x3f200c00, 0x38200000, "FEAT_LSE, FEAT_LRCPC: atomics, LDAPR (C4.1.94.28)" },
	{ 0x3fa07c00, 0x08a07c00, "FEAT_LSE: CAS (C6.2.49)" },
	{ 0xbfa07c00, 0x08207c00, "FEAT_LSE: CASP (C6.2.48)" },
	{ 0x3fa08000, 0x08800000, "FEAT_LOR: LDLAR, STLLR (C6.2.193, C6.2.325)" },
	{ 0x3f200c00, 0x19000000, "FEAT_LRCPC2: LDAPUR, STLUR (C6.2.186, C6.2.328)" },
	{ 0x3f200c00, 0x38000800, "LDTR of its own base, which is not written back (C6.2.224)" },
};

static bool is_unknown(uint32_t word)
{
	for (size_t i = 0; i < HC_ARRAY_SIZE(unknown); i++)
		if ((word & unknown[i].mask) == unknown[i].value)
			return true;
	return false;
}

/* --- Comparison --- */

static csh handle;
static cs_insn *theirs;
static unsigned failures, decoded;

static void report(uint32_t word, const char *ours, const char *capstone)
{
	if (failures++ < 20)
		print_error("%08x: ours \"%s\", Capstone's \"%s\"\n", word, ours, capstone);
}

static bool disassemble(uint32_t word, struct text *t)
{
	const uint8_t *code = (const uint8_t *)&word;
	size_t size = sizeof(word);
	uint64_t address = 0;

	if (!cs_disasm_iter(handle, &code, &size, &address, theirs))
		return false;
	const char *operands = theirs->op_str;

	put_their_name(t, theirs->mnemonic);
	if (strncmp(t->s, "prfm", 4) == 0)
		operands = strchr(operands, ',') + 2;
	put(t, " %s", operands);
	return true;
}

/* CONSTRAINED UNPREDICTABLE (Arm ARM K1.2.2), which Capstone refuses in part. */
static bool is_unpredictable(const struct a64_ldst *i)
{
	bool is_pair = i->count == 2 && !i->element;
	bool is_load = i->kind == A64_LDST_LOAD || i->kind == A64_LDST_LOAD_EX;
	bool has_base =
		!i->is_vector && i->rn != 31 && (i->rt == i->rn || (is_pair && i->rt2 == i->rn));

	return (is_pair && is_load && i->rt == i->rt2) || (i->writeback && has_base);
}

static void check(uint32_t word)
{
	struct text ours = { .n = 0 }, other = { .n = 0 };
	struct a64_ldst i;
	bool is_ours = a64_decode_ldst(word, &i) == 0, is_theirs = disassemble(word, &other);

	decoded += is_ours;
	if (!is_theirs && (is_unknown(word) || (is_ours && is_unpredictable(&i))))
		return;
	if (is_ours) {
		put_name(&ours, &i);
		put(&ours, " ");
		put_operands(&ours, &i, word);
	}
	if (is_ours != is_theirs || !same_text(ours.s, other.s))
		report(word, ours.s, other.s);
}

/* Classes of the encoding space (Arm ARM table C4-91), with what is fixed in them. */
static const struct {
	uint32_t mask, value;
} classes[] = {
	{ 0xbfbf0000, 0x0c000000 }, { 0xbfa00000, 0x0c800000 }, { 0xbf9f0000, 0x0d000000 },
	{ 0xbf800000, 0x0d800000 }, { 0x3f000000, 0x08000000 }, { 0x3b000000, 0x18000000 },
	{ 0x3b800000, 0x28000000 }, { 0x3b800000, 0x28800000 }, { 0x3b800000, 0x29000000 },
	{ 0x3b800000, 0x29800000 }, { 0x3b200c00, 0x38000000 }, { 0x3b200c00, 0x38000400 },
	{ 0x3b200c00, 0x38000800 }, { 0x3b200c00, 0x38000c00 }, { 0x3b200c00, 0x38200800 },
	{ 0x3b000000, 0x39000000 }, { 0x3f200c00, 0x38200000 }, { 0x3f200c00, 0x19000000 },
	{ 0x0a000000, 0x08000000 },
};

static void loads_and_stores(void **state)
{
	for (size_t c = 0; c < HC_ARRAY_SIZE(classes); c++) {
		decoded = 0;
		for (unsigned n = test_rounds(60000); n > 0; n--)
			check(((uint32_t)test_random(&seed) & ~classes[c].mask) | classes[c].value);
		assert_in_range(decoded, 1000, UINT32_MAX);
	}
	assert_int_equal(failures, 0);
}

/* All other instructions are none, but for DC ZVA. */
static void nothing_else(void **state)
{
	struct a64_ldst i;

	for (unsigned n = test_rounds(200000); n > 0; n--) {
		uint32_t word = (uint32_t)test_random(&seed);

		if ((word & 0x0a000000) != 0x08000000 && (word & 0xffffffe0) != 0xd50b7420)
			assert_int_equal(a64_decode_ldst(word, &i), -ENOSYS);
	}
	for (uint32_t rt = 0; rt < 32; rt++) {
		assert_int_equal(a64_decode_ldst(0xd50b7420 | rt, &i), 0);
		assert_int_equal(i.kind, A64_LDST_ZERO);
		assert_int_equal(i.rn, rt);
	}
}

/* What Capstone does not know: fields at their places, by hand. Execution is checked elsewhere. */
static void after_armv8_0(void **state)
{
	static const struct {
		uint32_t word;
		struct a64_ldst want;
	} rows[] = {
		/* ldsmaxal w3, w4, [sp] */
		{ 0xb8e343e4,
		  { .kind = A64_LDST_ATOMIC,
		    .op = A64_SMAX,
		    .size = 4,
		    .count = 1,
		    .rt = 4,
		    .rs = 3,
		    .rn = 31 } },
		/* swph w1, wzr, [x2] */
		{ 0x7821805f,
		  { .kind = A64_LDST_SWAP, .size = 2, .count = 1, .rt = 31, .rs = 1, .rn = 2 } },
		/* caspa x2, x3, x4, x5, [x6] */
		{ 0x48627cc4,
		  { .kind = A64_LDST_CAS,
		    .op = 7,
		    .size = 8,
		    .count = 2,
		    .rt = 4,
		    .rt2 = 5,
		    .rs = 2,
		    .rn = 6 } },
		/* caslb w7, w8, [x9] */
		{ 0x08a7fd28,
		  { .kind = A64_LDST_CAS,
		    .op = 7,
		    .size = 1,
		    .count = 1,
		    .rt = 8,
		    .rs = 7,
		    .rn = 9 } },
		/* ldapr x10, [x11] */
		{ 0xf8bfc16a,
		  { .kind = A64_LDST_LOAD, .op = 4, .size = 8, .count = 1, .rt = 10, .rn = 11 } },
		/* ldapursw x12, [x13, #-256] */
		{ 0x999001ac,
		  { .kind = A64_LDST_LOAD,
		    .size = 4,
		    .count = 1,
		    .rt = 12,
		    .rn = 13,
		    .is_signed = true,
		    .is_64 = true,
		    .offset = -256 } },
		/* stllrh w14, [x15] */
		{ 0x489f7dee,
		  { .kind = A64_LDST_STORE, .op = 7, .size = 2, .count = 1, .rt = 14, .rn = 15 } },
	};
	static const uint32_t undefined[] = {
		0x48637cc4,                                                /* caspa x3, x4, ... */
		0x48627cc5, 0x38209000, 0x19c00000 | 3u << 30, 0xf83fd000, /* ld64b */
		0xd9200800,                                                /* stg */
		0xf8200400,                                                /* ldraa */
	};
	struct a64_ldst i;

	for (size_t n = 0; n < HC_ARRAY_SIZE(rows); n++) {
		const struct a64_ldst *want = &rows[n].want;

		assert_int_equal(a64_decode_ldst(rows[n].word, &i), 0);
		if (want->kind != A64_LDST_ATOMIC)
			i.op = want->op; /* it says nothing there */
		assert_memory_equal(&i, want, sizeof(i));
	}
	for (size_t n = 0; n < HC_ARRAY_SIZE(undefined); n++)
		assert_int_equal(a64_decode_ldst(undefined[n], &i), -ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_and_stores),
		cmocka_unit_test(nothing_else),
		cmocka_unit_test(after_armv8_0),
	};
	const char *s = getenv("HC_TEST_SEED");
	int major = 0, minor = 0, rc;

	(void)cs_version(&major, &minor);
	if (major != 4) { /* which instructions it lacks is its version's */
		printf("SKIP: Capstone %d: what is known is about 4\n", major);
		return 77;
	}
	seed ^= s ? strtoull(s, NULL, 0) : 0;
	if (cs_open(CS_ARCH_ARM64, CS_MODE_ARM, &handle) != CS_ERR_OK)
		return 1;
	theirs = cs_malloc(handle);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	cs_free(theirs, 1);
	cs_close(&handle);
	return rc;
}
