/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every form of load and store that there is, on a device's registers and on memory that holds the
 * same: both have to end up alike, and so do the CPU's registers.
 */
#include "guest/aarch64/kernel.h"
#include "guest/print.h"

#define AREA 64u

struct twin {
	uint32_t opcode;
	uint64_t x2, x3;              /* unless they are 0 */
	uint8_t back;                 /* from the middle of the area, where it is otherwise */
	bool atomic;                  /* which need not be supported for Device memory (B2.9.2) */
	uint8_t crm, op2, low, least; /* the ID register's field that says whether it is there */
	uint8_t unit;  /* of the registers: 2: UARTIBRD, 4: GICD_IPRIORITYR, 8: GICD_IROUTER */
	uint8_t ahead; /* of X1, where the access is */
};
#define LRCPC(n) .crm = 6, .op2 = 1, .low = 20, .least = (n)
#define LOR      .crm = 7, .op2 = 1, .low = 16, .least = 1
#define LSE      .crm = 6, .op2 = 0, .low = 20, .least = 2, .atomic = true

/* What the registers can hold: priorities without their lower halves, and affinities. */
static uint8_t content(const struct twin *twin, unsigned int n)
{
	switch (twin->unit) {
	case 2: return (uint8_t)(0x95 - 0x31 * n);
	case 4: return (uint8_t)(0x10 * (n * 5 % 16));
	default: return n % 16 == 8;
	}
}

static unsigned int area_bytes(const struct twin *twin)
{
	return twin->unit == 2 ? 2 : 8 * twin->unit;
}

static uint64_t device_area(const struct twin *twin)
{
	switch (twin->unit) {
	case 2: return machine.uart + 0x24;
	case 4: return machine.gicd + GICD_IPRIORITYR + ((spare_spi(0) - 31) & ~3u);
	default: need_gic(3); return machine.gicd + GICD_IROUTER + 8 * (spare_spi(7) & ~7u);
	}
}

static void put_area(const struct twin *twin, uint64_t at, const uint8_t *bytes)
{
	for (unsigned int n = 0; n < area_bytes(twin); n += twin->unit) {
		uint64_t value = 0;

		memcpy(&value, bytes + n, twin->unit);
		if (twin->unit == 8)
			store64(at + n, value);
		else
			store32(at + n, (uint32_t)value);
	}
}

static void get_area(const struct twin *twin, uint64_t at, uint8_t *bytes)
{
	for (unsigned int n = 0; n < area_bytes(twin); n += twin->unit) {
		uint64_t value = twin->unit == 8 ? load64(at + n) : load32(at + n);

		memcpy(bytes + n, &value, twin->unit);
	}
}

struct result {
	uint64_t x[8];
	struct vectors v;
	struct fault fault;
};

static void run_twin(const struct twin *twin, uint64_t base, struct result *result)
{
	bool wide = twin->unit == 8;
	uint64_t data = wide ? 1 : 0x40302010, more = wide ? 0 : 0x80706050;
	uint64_t operand = twin->x2 ? twin->x2 : more;
	uint64_t x[8] = { data, base, operand, twin->x3 ? twin->x3 : twin->unit, more, data };

	for (unsigned int n = 0; n < 32; n++) {
		result->v.v[n][0] = wide ? n & 1 : 0x1020304050607080 + ((n & 7) << 4);
		result->v.v[n][1] = wide ? ~n & 1 : 0x8070605040302010;
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
	unsigned int count = area_bytes(twin);
	unsigned int middle = twin->unit == 2 ? 0 : count / 2 - twin->back;
	uint64_t at = device_area(twin), offset = at % PAGE;

	if (twin->least && id_field(twin->crm, twin->op2, twin->low) < twin->least)
		skip("what the ID register says is not there");
	for (unsigned int n = 0; n < count; n++)
		filled[n] = content(twin, n);
	get_area(twin, at, before);
	put_area(twin, at, filled);
	memcpy(test_pages[0] + offset, filled, count);
	page_set(WINDOW, 3, (at - offset) | PTE_DEVICE | PTE_TABLE | PTE_EL0);
	page_map(WINDOW + PAGE, test_pages[0], PTE_NORMAL | PTE_EL0);
	run_twin(twin, WINDOW + offset + middle - twin->ahead, &device);
	run_twin(twin, WINDOW + PAGE + offset + middle - twin->ahead, &memory);
	get_area(twin, at, got);
	put_area(twin, at, before);
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
#define HALFWORDS(name, ...)   TWIN_ROW(name, __VA_ARGS__, .unit = 2)
#define WORDS(name, ...)       TWIN_ROW(name, __VA_ARGS__, .unit = 4)
#define DOUBLEWORDS(name, ...) TWIN_ROW(name, __VA_ARGS__, .unit = 8)

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
WORDS(ld3_lane_s, 0x0d40b020);
WORDS(ld4_lane_s, 0x0d60b020);
WORDS(st3_lane_s, 0x0d00b020);
WORDS(st4_lane_b, 0x0d202c20);
WORDS(ld3r_s, 0x4d40e820);
WORDS(ld4r_s, 0x4d60e820);

/* Of 16 bits, of which a PL011 has registers. */
HALFWORDS(ldrh, 0x79400020);
HALFWORDS(ldrsh_w, 0x79c00020);
HALFWORDS(ldrsh_x, 0x79800020);
HALFWORDS(strh, 0x79000020);
HALFWORDS(ldrh_post, 0x78402420);
HALFWORDS(ldrh_pre, 0x78402c20, .ahead = 2);
HALFWORDS(strh_post, 0x78002420);
HALFWORDS(strh_pre, 0x78002c20, .ahead = 2);
HALFWORDS(ldrsh_w_post, 0x78c02420);
HALFWORDS(ldrsh_x_pre, 0x78802c20, .ahead = 2);
HALFWORDS(ldurh, 0x78402020, .ahead = 2);
HALFWORDS(ldursh_w, 0x78c02020, .ahead = 2);
HALFWORDS(ldursh_x, 0x78802020, .ahead = 2);
HALFWORDS(sturh, 0x78002020, .ahead = 2);
HALFWORDS(ldtrh, 0x78402820, .ahead = 2);
HALFWORDS(ldtrsh_w, 0x78c02820, .ahead = 2);
HALFWORDS(ldtrsh_x, 0x78802820, .ahead = 2);
HALFWORDS(sttrh, 0x78002820, .ahead = 2);
HALFWORDS(ldrh_index, 0x78636820, .ahead = 2);
HALFWORDS(ldrh_scaled, 0x78637820, .x3 = 1, .ahead = 2);
HALFWORDS(ldrsh_scaled, 0x78a37820, .x3 = 1, .ahead = 2);
HALFWORDS(strh_scaled, 0x78237820, .x3 = 1, .ahead = 2);
HALFWORDS(ldarh, 0x48dffc20);
HALFWORDS(stlrh, 0x489ffc20);
HALFWORDS(ldlarh, 0x48df7c20, LOR);
HALFWORDS(stllrh, 0x489f7c20, LOR);
HALFWORDS(ldaprh, 0x78bfc020, LRCPC(1));
HALFWORDS(ldapurh, 0x59402020, LRCPC(2), .ahead = 2);
HALFWORDS(ldapursh, 0x59802020, LRCPC(2), .ahead = 2);
HALFWORDS(stlurh, 0x59002020, LRCPC(2), .ahead = 2);
HALFWORDS(ldxrh, 0x485f7c20, .atomic = true);
HALFWORDS(ldaxrh, 0x485ffc20, .atomic = true);
HALFWORDS(ldaddh, 0x78220020, LSE);
HALFWORDS(ldeorh, 0x78222020, LSE);
HALFWORDS(ldsmaxh, 0x78224020, LSE);
HALFWORDS(swph, 0x78228020, LSE);
HALFWORDS(cash, 0x48e2fc20, LSE);
HALFWORDS(ldr_h, 0x7d400020);
HALFWORDS(str_h, 0x7d000020);
HALFWORDS(ldur_h, 0x7c402020, .ahead = 2);
HALFWORDS(ldr_h_post, 0x7c402420);
HALFWORDS(str_h_pre, 0x7c002c20, .ahead = 2);
HALFWORDS(ld1_lane_h, 0x0d405020);
HALFWORDS(st1_lane_h, 0x0d005020);
HALFWORDS(ld1r_h, 0x0d40c420);

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
DOUBLEWORDS(ld1_d3, 0x4c406c20, .back = 16);
DOUBLEWORDS(st1_d3, 0x4c006c20, .back = 16);
DOUBLEWORDS(st1_d4, 0x4c002c20, .back = 32);
DOUBLEWORDS(st3_d, 0x4c004c20, .back = 16);
DOUBLEWORDS(ld2_lane_d, 0x4d608420);
DOUBLEWORDS(st2_lane_d, 0x4d208420);
DOUBLEWORDS(ld2r_d, 0x4d60cc20);

TEST(exclusive_pair,
     "Arm ARM B2.9.2: LDXR and STXR of a device's register: refused, or what the status says")
{
	uint64_t at = machine.gicd + GICD_IPRIORITYR + (spare_spi(7) & ~7u),
		 x[8] = { 0x40302010, at, 0, 0, 7 };
	const uint32_t code[] = { 0x885f7c22 /* LDXR W2, [X1] */,
		                  0x88047c20 /* STXR W4, W0, [X1] */, OPCODE_RET };
	struct fault fault;

	store32(at, 0x90b0d0f0);
	fault = execute_under(read_sysreg(sctlr_el1), code, 3, x);
	if (is_refused(fault))
		return;
	CHECK_EQ(fault.vector, FAULT_NONE);
	CHECK_EQ(x[2], 0x90b0d0f0);
	CHECK(x[4] <= 1);
	CHECK_EQ(load32(at), x[4] ? 0x90b0d0f0 : 0x40302010);
}
