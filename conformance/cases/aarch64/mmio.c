/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and stores of devices' registers in every form, with a valid syndrome (ISV) and without.
 * The registers are the distributor's priorities, which are bytes that a word holds four of.
 */
#include "guest/aarch64/kernel.h"
#include "guest/print.h"

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

/* ---- Each form that there is: as with memory that holds the same ---- */

#define AREA 64u

struct twin {
	uint32_t opcode;
	uint64_t x2, x3;              /* unless they are 0 */
	uint8_t back;                 /* from the middle of the area, where it is otherwise */
	bool atomic;                  /* which need not be supported for Device memory (B2.9.2) */
	uint8_t crm, op2, low, least; /* the ID register's field that says whether it is there */
	bool wide;                    /* doublewords: GICD_IROUTER */
};
#define LRCPC(n) .crm = 6, .op2 = 1, .low = 20, .least = (n)
#define LOR      .crm = 7, .op2 = 1, .low = 16, .least = 1
#define LSE      .crm = 6, .op2 = 0, .low = 20, .least = 2, .atomic = true

/* What the registers can hold: priorities without their lower halves, and affinities. */
static uint8_t content(const struct twin *twin, unsigned int n)
{
	return twin->wide ? n % 16 == 8 : (uint8_t)(0x10 * (n * 5 % 16));
}

static uint64_t device_area(const struct twin *twin)
{
	if (!twin->wide)
		return machine.gicd + GICD_IPRIORITYR + ((spare_spi(0) - 31) & ~3u);
	need_gic(3);
	return machine.gicd + GICD_IROUTER + 8 * (spare_spi(7) & ~7u);
}

static void put_area(const struct twin *twin, uint64_t at, const uint8_t *bytes, unsigned int count)
{
	uint64_t value;

	for (unsigned int n = 0; n < count; n += 8) {
		memcpy(&value, bytes + n, 8);
		if (twin->wide) {
			store64(at + n, value);
		} else {
			store32(at + n, (uint32_t)value);
			store32(at + n + 4, (uint32_t)(value >> 32));
		}
	}
}

static void get_area(const struct twin *twin, uint64_t at, uint8_t *bytes, unsigned int count)
{
	for (unsigned int n = 0; n < count; n += 8) {
		uint64_t value = twin->wide ? load64(at + n)
		                            : load32(at + n) | (uint64_t)load32(at + n + 4) << 32;

		memcpy(bytes + n, &value, 8);
	}
}

struct result {
	uint64_t x[8];
	struct vectors v;
	struct fault fault;
};

static void run_twin(const struct twin *twin, uint64_t base, struct result *result)
{
	uint64_t data = twin->wide ? 1 : 0x40302010, more = twin->wide ? 0 : 0x80706050;
	uint64_t operand = twin->x2 ? twin->x2 : more;
	uint64_t x[8] = {
		data, base, operand, twin->x3 ? twin->x3 : twin->wide ? 8 : 4, more, data
	};

	for (unsigned int n = 0; n < 32; n++) {
		result->v.v[n][0] = twin->wide ? n & 1 : 0x1020304050607080 + ((n & 7) << 4);
		result->v.v[n][1] = twin->wide ? ~n & 1 : 0x8070605040302010;
	}
	result->v.fpcr = result->v.fpsr = 0;
	vectors_load(&result->v);
	result->fault = FAULT_OF(execute(twin->opcode, x));
	vectors_store(&result->v);
	memcpy(result->x, x, sizeof(x));
	result->x[1] -= base;
}

/* What Device memory may answer to exclusives and atomics: unsupported, or an external abort. */
static bool is_refused(struct fault fault)
{
	uint64_t fsc = fault.code & ISS_FSC;

	return fault.vector == EC_DABORT && (fsc == 0x35 || fsc == FSC_EXTERNAL);
}

static void check_twin(const struct test_case *self)
{
	static struct result device, memory;
	static uint8_t before[AREA], filled[AREA], got[AREA];
	const struct twin *twin = self->row;
	unsigned int count = twin->wide ? 64 : 32, middle = count / 2 - twin->back;
	uint64_t at = device_area(twin), offset = at % PAGE;

	if (twin->least &&
	    (sysreg_read(SYSREG(3, 0, 0, twin->crm, twin->op2)) >> twin->low & 15) < twin->least)
		skip("what the ID register says is not there");
	for (unsigned int n = 0; n < count; n++)
		filled[n] = content(twin, n);
	get_area(twin, at, before, count);
	put_area(twin, at, filled, count);
	memcpy(test_pages[0] + offset, filled, count);
	page_set(WINDOW, 3, (at - offset) | PTE_DEVICE | PTE_TABLE | PTE_EL0);
	page_map(WINDOW + PAGE, test_pages[0], PTE_NORMAL | PTE_EL0);
	run_twin(twin, WINDOW + offset + middle, &device);
	run_twin(twin, WINDOW + PAGE + offset + middle, &memory);
	get_area(twin, at, got, count);
	put_area(twin, at, before, count);
	CHECK_EQ(memory.fault.vector, FAULT_NONE);
	if (twin->atomic && is_refused(device.fault))
		return;
	CHECK_EQ(device.fault.vector, FAULT_NONE);
	for (unsigned int n = 0; n < 8; n++)
		CHECK_EQ(device.x[n], memory.x[n]);
	for (unsigned int n = 0; n < 32; n++) {
		CHECK_EQ(device.v.v[n][0], memory.v.v[n][0]);
		CHECK_EQ(device.v.v[n][1], memory.v.v[n][1]);
	}
	for (unsigned int n = 0; n < count; n++)
		CHECK_EQ(got[n], test_pages[0][offset + n]);
}

#define TWIN_ROW(name, number, ...)                                                                \
	static const struct twin name##_twin = { .opcode = (number), __VA_ARGS__ };                \
	TEST_ROW(name, check_twin, &name##_twin,                                                   \
	         "Arm ARM C6.2, C7.2, D17.2.37: a device's registers as memory")
#define WORDS(name, ...)       TWIN_ROW(name, __VA_ARGS__, .wide = false)
#define DOUBLEWORDS(name, ...) TWIN_ROW(name, __VA_ARGS__, .wide = true)

WORDS(prefetch, 0xf9800020);
WORDS(prefetch_unscaled, 0xf8800020);
WORDS(prefetch_index, 0xf8a36820);
WORDS(ldtr_w, 0xb8400820);
WORDS(ldtrb, 0x38400820);
WORDS(ldtrsb_x, 0x38800820);
WORDS(ldtrsb_w, 0x38c00820);
WORDS(ldtrsw, 0xb8800820);
WORDS(sttr_w, 0xb8000820);
WORDS(sttrb, 0x38000820);
WORDS(ldurb, 0x385ff020);
WORDS(ldursb_x, 0x389ff020);
WORDS(ldursb_w, 0x38dff020);
WORDS(ldursw, 0xb89fc020);
WORDS(sturb, 0x381ff020);
WORDS(ldrsb_w, 0x39c00020);
WORDS(ldrsb_w_post, 0x38c01420);
WORDS(ldrsb_w_pre, 0x38c01c20);
WORDS(ldrsb_x_post, 0x38801420);
WORDS(ldrb_pre, 0x38401c20);
WORDS(strb_pre, 0x38001c20);
WORDS(ldrsw_pre, 0xb8804c20);
WORDS(ldr_w_uxtw, 0xb8634820);
WORDS(ldr_w_sxtw, 0xb863c820, .x3 = UINT32_MAX - 3);
WORDS(ldr_w_sxtw_scaled, 0xb863d820, .x3 = UINT32_MAX);
WORDS(ldr_w_sxtx, 0xb863e820, .x3 = UINT64_MAX - 3);
WORDS(ldrb_index, 0x38636820);
WORDS(ldrsb_index, 0x38a36820);
WORDS(strb_index, 0x38236820);
WORDS(ldrsw_scaled, 0xb8a37820, .x3 = 1);
WORDS(str_w_uxtw_scaled, 0xb8235820, .x3 = 1);
WORDS(ldlar_w, 0x88df7c20, LOR);
WORDS(ldlarb, 0x08df7c20, LOR);
WORDS(stllr_w, 0x889f7c20, LOR);
WORDS(stllrb, 0x089f7c20, LOR);
WORDS(ldapr_w, 0xb8bfc020, LRCPC(1));
WORDS(ldaprb, 0x38bfc020, LRCPC(1));
WORDS(ldapur_w, 0x99400020, LRCPC(2));
WORDS(ldapurb, 0x19400020, LRCPC(2));
WORDS(ldapursb, 0x19800020, LRCPC(2));
WORDS(ldapursw, 0x99800020, LRCPC(2));
WORDS(stlur_w, 0x99000020, LRCPC(2));
WORDS(stlurb, 0x19000020, LRCPC(2));
WORDS(ldxr_w, 0x885f7c20, .atomic = true);
WORDS(ldaxr_w, 0x885ffc20, .atomic = true);
WORDS(ldxrb, 0x085f7c20, .atomic = true);
/* Without a carry into the lower half of a priority. */
WORDS(ldadd_w, 0xb8220020, LSE, .x2 = 0x00404040);
WORDS(ldaddb, 0x38220020, LSE);
WORDS(ldclr_w, 0xb8221020, LSE);
WORDS(ldeor_w, 0xb8222020, LSE);
WORDS(ldset_w, 0xb8223020, LSE);
WORDS(ldsmax_w, 0xb8224020, LSE);
WORDS(ldsmin_w, 0xb8225020, LSE);
WORDS(ldumax_w, 0xb8226020, LSE);
WORDS(ldumin_w, 0xb8227020, LSE);
WORDS(stadd_w, 0xb822003f, LSE, .x2 = 0x00404040);
WORDS(swp_w, 0xb8228020, LSE);
WORDS(swpb, 0x38228020, LSE);
WORDS(cas_w, 0x88e2fc20, LSE);
WORDS(casb, 0x08e2fc20, LSE);
WORDS(ldr_b, 0x3d400020);
WORDS(str_b, 0x3d000020);
WORDS(ldr_s_index, 0xbc636820);
WORDS(ldr_s_pre, 0xbc404c20);
WORDS(str_s_post, 0xbc004420);
WORDS(ldur_s, 0xbc5fc020);
WORDS(ldp_s, 0x2d400420);
WORDS(stp_s, 0x2d000420);
WORDS(ldnp_s, 0x2c400420);
WORDS(ldp_s_post, 0x2cc10420);
WORDS(ld1_lane_s, 0x0d409020);
WORDS(st1_lane_s, 0x0d009020);
WORDS(ld1_lane_b, 0x0d400c20);
WORDS(st1_lane_b, 0x0d000c20);
WORDS(ld1_lane_s_post, 0x0dc39020);
WORDS(ld2_lane_s, 0x0d609020);
WORDS(ld4_lane_b, 0x0d602c20);
WORDS(ld1r_s, 0x4d40c820);
WORDS(ld1r_b, 0x4d40c020);
WORDS(ld2r_s, 0x0d60c820);
WORDS(ld2_s, 0x4c408820, .back = 16);
WORDS(st2_s, 0x0c008820);
WORDS(ld3_s, 0x0c404820, .back = 16);
WORDS(ld4_s, 0x0c400820, .back = 16);
WORDS(st4_s, 0x0c000820, .back = 16);

/* Of 64 bits and more. */
DOUBLEWORDS(ldr_x, 0xf9400020);
DOUBLEWORDS(str_x, 0xf9000020);
DOUBLEWORDS(ldur_x, 0xf85f8020);
DOUBLEWORDS(ldr_x_post, 0xf8408420);
DOUBLEWORDS(ldr_x_pre, 0xf8408c20);
DOUBLEWORDS(str_x_post, 0xf8008420);
DOUBLEWORDS(ldtr_x, 0xf8400820);
DOUBLEWORDS(sttr_x, 0xf8000820);
DOUBLEWORDS(ldr_x_scaled, 0xf8637820, .x3 = 1);
DOUBLEWORDS(str_x_scaled, 0xf8237820, .x3 = 1);
DOUBLEWORDS(ldp_x, 0xa9400820);
DOUBLEWORDS(stp_x, 0xa9000820);
DOUBLEWORDS(ldp_x_post, 0xa8c10820);
DOUBLEWORDS(stp_x_pre, 0xa9810820);
DOUBLEWORDS(ldnp_x, 0xa8400820);
DOUBLEWORDS(stnp_x, 0xa8000820);
DOUBLEWORDS(ldar_x, 0xc8dffc20);
DOUBLEWORDS(stlr_x, 0xc89ffc20);
DOUBLEWORDS(ldapr_x, 0xf8bfc020, LRCPC(1));
DOUBLEWORDS(ldapur_x, 0xd9400020, LRCPC(2));
DOUBLEWORDS(stlur_x, 0xd9000020, LRCPC(2));
DOUBLEWORDS(ldxr_x, 0xc85f7c20, .atomic = true);
/* A pair of words is one access (B2.2.1). */
DOUBLEWORDS(ldxp_w, 0x887f0820, .atomic = true);
DOUBLEWORDS(casp_w, 0x08227c24, LSE);
DOUBLEWORDS(ldxp_x, 0xc87f0820, .atomic = true);
DOUBLEWORDS(ldadd_x, 0xf8220020, LSE);
DOUBLEWORDS(swp_x, 0xf8228020, LSE);
DOUBLEWORDS(cas_x, 0xc8e2fc20, LSE);
DOUBLEWORDS(casp_x, 0x48227c24, LSE);
DOUBLEWORDS(ldr_d, 0xfd400020);
DOUBLEWORDS(str_d, 0xfd000020);
DOUBLEWORDS(ldur_d, 0xfc5f8020);
DOUBLEWORDS(ldr_d_post, 0xfc408420);
DOUBLEWORDS(ldr_q, 0x3dc00020);
DOUBLEWORDS(str_q, 0x3d800020);
DOUBLEWORDS(ldr_q_post, 0x3cc10420);
DOUBLEWORDS(str_q_pre, 0x3c810c20);
DOUBLEWORDS(ldp_d, 0x6d400420);
DOUBLEWORDS(stp_d, 0x6d000420);
DOUBLEWORDS(ldp_q, 0xad400420);
DOUBLEWORDS(stp_q, 0xad000420);
DOUBLEWORDS(ldp_q_post, 0xacc10420);
DOUBLEWORDS(ldnp_q, 0xac400420);
DOUBLEWORDS(ld1_d, 0x4c407c20);
DOUBLEWORDS(ld1_1d, 0x0c407c20);
DOUBLEWORDS(ld1_d2, 0x4c40ac20);
DOUBLEWORDS(ld1_d4, 0x4c402c20, .back = 32);
DOUBLEWORDS(st1_d, 0x4c007c20);
DOUBLEWORDS(st1_d2, 0x4c00ac20);
DOUBLEWORDS(ld2_d, 0x4c408c20);
DOUBLEWORDS(st2_d, 0x4c008c20);
DOUBLEWORDS(ld3_d, 0x4c404c20, .back = 16);
DOUBLEWORDS(ld4_d, 0x4c400c20, .back = 32);
DOUBLEWORDS(st4_d, 0x4c000c20, .back = 32);
DOUBLEWORDS(ld1_d_post, 0x4cdf7c20);
DOUBLEWORDS(ld1_lane_d, 0x4d408420);
DOUBLEWORDS(st1_lane_d, 0x4d008420);
DOUBLEWORDS(ld1r_d, 0x4d40cc20);

TEST(literal, "Arm ARM C6.2: LDR of a literal that is a device's register; LDRSW; LDR of S0")
{
	uint64_t at = registers(), offset = at & (PAGE - 1);
	/* The code is a page behind the registers. */
	uint32_t back = (uint32_t)(0 - (PAGE - offset)) >> 2 & 0x7ffff;
	static const uint32_t opcodes[] = { 0x18000000, 0x98000000, 0x1c000000 };

	set_bytes(at);
	page_set(WINDOW, 3, (at - offset) | PTE_DEVICE | PTE_TABLE);
	for (unsigned int n = 0; n < 3; n++) {
		const uint32_t code[] = { opcodes[n] | back << 5,
			                  n < 2 ? OPCODE_NOP : 0x1e260000 /* FMOV W0, S0 */,
			                  OPCODE_RET };
		uint64_t got, expected = value_at(at, 4);

		page_map(WINDOW + PAGE, place_code(code, 3), PTE_NORMAL);
		got = ((uint64_t(*)(void))(WINDOW + PAGE))();
		CHECK_EQ(got, n == 1 ? (uint64_t)(int32_t)expected : expected);
	}
}

TEST(exclusive_pair,
     "Arm ARM B2.9.2: LDXR and STXR of a device's register: refused, or what the status says")
{
	uint64_t at = registers(), x[8] = { 0x40302010, at, 0, 0, 7 };
	const uint32_t code[] = { 0x885f7c22 /* LDXR W2, [X1] */,
		                  0x88047c20 /* STXR W4, W0, [X1] */, OPCODE_RET };
	struct fault fault;

	set_bytes(at);
	fault = execute_under(read_sysreg(sctlr_el1), code, 3, x);
	if (is_refused(fault))
		return;
	CHECK_EQ(fault.vector, FAULT_NONE);
	CHECK_EQ(x[2], 0x90b0d0f0);
	CHECK(x[4] <= 1);
	CHECK_EQ(load32(at), x[4] ? 0x90b0d0f0 : 0x40302010);
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
