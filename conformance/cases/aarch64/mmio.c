/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and stores of devices' registers in every form, with a valid syndrome (ISV) and without.
 * The registers are the distributor's priorities, which are bytes that a word holds four of.
 */
#include "guest/aarch64/kernel.h"

struct form {
	uint32_t opcode;      /* X0 (and X2): data, X1: address, X3: index */
	uint8_t bytes;        /* of one register; 0x80: a pair */
	int8_t before, after; /* what the address is to be off before, and X1 more by afterwards */
	uint8_t index;        /* X3 */
	bool store, sign;
};
#define PAIR 0x80u

static uint64_t registers(void)
{
	return machine.gicd + GICD_IPRIORITYR + (spare_spi(7) & ~7u);
}

static void set_bytes(uint64_t at)
{
	for (unsigned int n = 0; n < 8; n++)
		store8(at + n, (uint8_t)(0xf0 - 0x20 * n));
}

static uint64_t value_at(uint64_t at, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int n = 0; n < bytes; n++)
		value |= (uint64_t)load8(at + n) << 8 * n;
	return value;
}

static void check_load(const struct form *form, uint64_t at, const uint64_t x[8])
{
	unsigned int bytes = form->bytes & ~PAIR;
	uint64_t expected = value_at(at, bytes);

	if (form->sign && expected >> (8 * bytes - 1))
		expected |= ~(BIT(8 * bytes) - 1);
	CHECK_EQ(x[0], expected);
	if (form->bytes & PAIR)
		CHECK_EQ(x[2],
		         form->sign ? (uint64_t)(int32_t)value_at(at + 4, 4) : value_at(at + 4, 4));
}

static void check_form(const struct test_case *self)
{
	const struct form *form = self->row;
	uint64_t at = registers(), x[8] = { 0 };
	unsigned int bytes = form->bytes & ~PAIR;

	set_bytes(at);
	x[0] = 0x40302010;
	x[1] = at - (uint64_t)form->before;
	x[2] = 0x80706050;
	x[3] = form->index;
	execute(form->opcode, x);
	CHECK_EQ(x[1], at - (uint64_t)form->before + (uint64_t)form->after);
	if (!form->store) {
		check_load(form, at, x);
		return;
	}
	CHECK_EQ(value_at(at, bytes), 0x40302010 & (BIT(8 * bytes) - 1));
	if (form->bytes & PAIR)
		CHECK_EQ(value_at(at + 4, 4), 0x80706050);
	else
		CHECK_EQ(load8(at + bytes), 0xf0 - 0x20 * bytes);
}

#define FORM(name, number, ...)                                                                    \
	static const struct form name##_form = { .opcode = (number), .bytes = __VA_ARGS__ };       \
	TEST_ROW(name, check_form, &name##_form,                                                   \
	         "Arm ARM C6.2, D17.2.37: with or without ISV an "                                 \
	         "access does what the instruction says")

FORM(ldrb, 0x39400020, 1);
FORM(ldrsb_x, 0x39800020, 1, .sign = true);
FORM(ldr_w, 0xb9400020, 4);
FORM(ldrsw, 0xb9800020, 4, .sign = true);
FORM(strb, 0x39000020, 1, .store = true);
FORM(str_w, 0xb9000020, 4, .store = true);
FORM(ldr_w_offset, 0xb9400420, 4, .before = 4);
FORM(ldur_w, 0xb85fc020, 4, .before = -4);
FORM(stur_w, 0xb81fc020, 4, .before = -4, .store = true);
FORM(ldr_w_post, 0xb8404420, 4, .after = 4);
FORM(ldr_w_pre, 0xb85fcc20, 4, .before = -4, .after = -4);
FORM(str_w_post, 0xb8004420, 4, .after = 4, .store = true);
FORM(str_w_pre, 0xb81fcc20, 4, .before = -4, .after = -4, .store = true);
FORM(ldrb_post, 0x38401420, 1, .after = 1);
FORM(strb_post, 0x38001420, 1, .after = 1, .store = true);
FORM(ldrsw_post, 0xb8804420, 4, .after = 4, .sign = true);
FORM(ldrsb_pre, 0x38801c20, 1, .before = 1, .after = 1, .sign = true);
FORM(ldr_w_index, 0xb8636820, 4, .before = 4, .index = 4);
FORM(ldr_w_scaled, 0xb8637820, 4, .before = 8, .index = 2);
FORM(str_w_index, 0xb8236820, 4, .before = 4, .index = 4, .store = true);
FORM(ldp_w, 0x29400820, 4 | PAIR);
FORM(ldpsw, 0x69400820, 4 | PAIR, .sign = true);
FORM(ldp_w_post, 0x28c10820, 4 | PAIR, .after = 8);
FORM(ldp_w_pre, 0x29c10820, 4 | PAIR, .before = 8, .after = 8);
FORM(stp_w, 0x29000820, 4 | PAIR, .store = true);
FORM(stp_w_post, 0x28810820, 4 | PAIR, .after = 8, .store = true);
FORM(stp_w_pre, 0x29bf0820, 4 | PAIR, .before = -8, .after = -8, .store = true);
FORM(ldnp_w, 0x28400820, 4 | PAIR);
FORM(stnp_w, 0x28000820, 4 | PAIR, .store = true);
FORM(ldar_w, 0x88dffc20, 4);
FORM(stlr_w, 0x889ffc20, 4, .store = true);
FORM(ldarb, 0x08dffc20, 1);
FORM(stlrb, 0x089ffc20, 1, .store = true);

/* Through V0 and back: FMOV W0, S0. */
TEST(simd_load, "Arm ARM C7.2, D17.2.37: LDR of S0, plain and post-indexed")
{
	uint64_t at = registers(), x[8] = { 0, at };

	set_bytes(at);
	execute(0xbd400020, x); /* LDR S0, [X1] */
	execute(0x1e260000, x); /* FMOV W0, S0 */
	CHECK_EQ(x[0], value_at(at, 4));
	execute(0xbc404420, x); /* LDR S0, [X1], #4 */
	CHECK_EQ(x[1], at + 4);
}

TEST(simd_store, "Arm ARM C7.2, D17.2.37: STR of S0")
{
	uint64_t at = registers(), x[8] = { 0x40302010, at };

	set_bytes(at);
	execute(0x1e270000, x); /* FMOV S0, W0 */
	execute(0xbd000020, x); /* STR S0, [X1] */
	CHECK_EQ(value_at(at, 4), 0x40302010);
	CHECK_EQ(load8(at + 4), 0x70);
}

TEST(zero_register, "Arm ARM C6.2: WZR as data")
{
	uint64_t at = registers(), x[8] = { 5, at };

	set_bytes(at);
	execute(0xb900003f, x); /* STR WZR, [X1] */
	CHECK_EQ(value_at(at, 4), 0);
	execute(0xb940003f, x); /* LDR WZR, [X1] */
	CHECK_EQ(x[0], 5);
}

TEST(doublewords, "Arm ARM C6.2, IHI 0069 12.9.22: 64 bits, plain, post-indexed and as a pair")
{
	uint64_t at, x[8] = { 0 };

	need_gic(3);
	at = machine.gicd + GICD_IROUTER + 8 * (spare_spi(7) & ~1u);
	store64(at, 0);
	store64(at + 8, machine.mpidr[0]);
	x[1] = at + 8;
	execute(0xf85f8420, x); /* LDR X0, [X1], #-8 */
	CHECK_EQ(x[0], machine.mpidr[0]);
	CHECK_EQ(x[1], at);
	execute(0xa9400820, x); /* LDP X0, X2, [X1] */
	CHECK_EQ(x[0], 0);
	CHECK_EQ(x[2], machine.mpidr[0]);
	execute(0xa9000820, x); /* STP X0, X2, [X1] */
	CHECK_EQ(load64(at + 8), machine.mpidr[0]);
}

TEST(other_address,
     "Arm ARM D8.2: a device's page mapped elsewhere, and code that is elsewhere, too")
{
	const uint32_t code[] = { 0xb8404420, OPCODE_RET }; /* LDR W0, [X1], #4 */
	uint64_t at = registers(), offset = at & (PAGE - 1);

	set_bytes(at);
	page_set(WINDOW, 3, (at & ~UINT64_C(0xfff)) | PTE_DEVICE | PTE_TABLE);
	page_map(WINDOW + PAGE, place_code(code, 2), PTE_NORMAL);
	CHECK_EQ(((uint64_t(*)(uint64_t, uint64_t))(WINDOW + PAGE))(0, WINDOW + offset),
	         value_at(at, 4));
}

TEST(from_el0, "Arm ARM D8.4: a device's page that EL0 may access")
{
	uint64_t at = registers(), x[8] = { 0 };
	struct frame frame;

	set_bytes(at);
	page_set(WINDOW, 3, (at & ~UINT64_C(0xfff)) | PTE_DEVICE | PTE_TABLE | PTE_EL0);
	x[1] = WINDOW + (at & (PAGE - 1));
	frame = execute_el0(0xb8404420, x); /* LDR W0, [X1], #4 */
	CHECK_EQ(EC_OF(frame), EC_SVC);
	CHECK_EQ(x[0], value_at(at, 4));
	x[1] = WINDOW + (at & (PAGE - 1));
	x[0] = 0x40302010;
	execute_el0(0xb8004420, x); /* STR W0, [X1], #4 */
	CHECK_EQ(value_at(at, 4), 0x40302010);
}
