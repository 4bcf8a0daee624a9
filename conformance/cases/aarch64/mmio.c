/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and stores of devices' registers, with a valid syndrome (ISV) and without; forms.c has
 * more. The registers are the distributor's priorities, which are bytes that a word holds four of.
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

/* X0 after an instruction with a literal at an address, and another one that brings it there. */
static uint64_t load_literal(uint32_t opcode, uint64_t at, uint32_t behind)
{
	uint64_t offset = at & (PAGE - 1);
	/* The code is a page behind the registers. */
	uint32_t back = (uint32_t)(0 - (PAGE - offset)) >> 2 & 0x7ffff;
	const uint32_t code[] = { opcode | back << 5, behind, OPCODE_RET };

	page_set(WINDOW, 3, (at - offset) | PTE_DEVICE | PTE_TABLE);
	page_map(WINDOW + PAGE, place_code(code, 3), PTE_NORMAL);
	return ((uint64_t(*)(uint64_t))(WINDOW + PAGE))(7);
}

TEST(literal,
     "Arm ARM C6.2, C7.2: LDR of a literal that is a device's register; LDRSW; LDR S0; PRFM")
{
	uint64_t at = registers(), expected;

	set_bytes(at);
	expected = value_at(at, 4);
	CHECK_EQ(load_literal(0x18000000, at, OPCODE_NOP), expected);
	CHECK_EQ(load_literal(0x98000000, at, OPCODE_NOP), (uint64_t)(int32_t)expected);
	CHECK_EQ(load_literal(0x1c000000, at, 0x1e260000 /* FMOV W0, S0 */), expected);
	CHECK_EQ(load_literal(0xd8000000, at, OPCODE_NOP), 7);
}

TEST(literal_wide, "Arm ARM C6.2, C7.2: LDR X0, LDR D0 and LDR Q0 of such a literal")
{
	uint64_t at;

	need_gic(3);
	at = machine.gicd + GICD_IROUTER + 8 * (spare_spi(7) & ~7u);
	store64(at, 1);
	store64(at + 8, 0x100);
	CHECK_EQ(load_literal(0x58000000, at, OPCODE_NOP), 1);
	CHECK_EQ(load_literal(0x5c000000, at, 0x9e660000 /* FMOV X0, D0 */), 1);
	CHECK_EQ(load_literal(0x9c000000, at, 0x4e183c00 /* MOV X0, V0.D[1] */), 0x100);
}

/* On either stack: MOV X9, SP; MOV SP, X1; LDR W0, [SP], #16; MOV X1, SP; MOV SP, X9. */
static void load_by_sp(void *argument)
{
	const uint32_t code[] = { 0x910003e9, 0x9100003f, 0xb84107e0,
		                  0x910003e1, 0x9100013f, OPCODE_RET };
	uint64_t at = registers() & ~UINT64_C(15), got, behind;
	const void *place = place_code(code, 6);

	store32(at, 0x40302010);
	__asm__ volatile("mov x1, %2\n\tblr %3\n\tmov %0, x0\n\tmov %1, x1"
	                 : "=&r"(got), "=&r"(behind)
	                 : "r"(at), "r"(place)
	                 : "x0", "x1", "x9", "x30", "memory");
	CHECK_EQ(got, 0x40302010);
	CHECK_EQ(behind, at + 16);
}

TEST(stack_pointers, "Arm ARM C1.2.5: SP as base, SP_EL0 and SP_EL1")
{
	load_by_sp(NULL);
	on_sp_el1(load_by_sp, NULL);
}

TEST(base_loaded, "Arm ARM C6.2: the base is loaded, alone and as one of a pair")
{
	uint64_t at = registers(), x[8] = { 0, at };

	set_bytes(at);
	execute(0xb9400021, x); /* LDR W1, [X1] */
	CHECK_EQ(x[1], value_at(at, 4));
	x[1] = at;
	execute(0x29400420, x); /* LDP W0, W1, [X1] */
	CHECK_EQ(x[0], value_at(at, 4));
	CHECK_EQ(x[1], value_at(at + 4, 4));
}

TEST(zeroing,
     "Arm ARM C5.3.13: DC ZVA of Device memory: aborts for its alignment, or nothing else does")
{
	uint64_t at, x[8] = { 0 };
	struct fault fault;

	need_gic(3);
	if (read_sysreg(dczid_el0) & BIT(4) || FIELD(read_sysreg(dczid_el0), 3, 0) > 4)
		skip("DC ZVA of 64 bytes at most");
	at = machine.gicd + GICD_IROUTER + 8 * (spare_spi(7) & ~7u);
	x[0] = at;
	fault = FAULT_OF(execute(0xd50b7420, x));
	if (fault.vector != FAULT_NONE)
		check_fault(HERE, "DC ZVA", fault, EC_DABORT, FSC_ALIGNMENT | ISS_WNR);
}

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
