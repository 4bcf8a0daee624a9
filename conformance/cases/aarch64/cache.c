/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cache maintenance (Arm ARM D7.5): what it must not change, what it must bring about, and the
 * faults that it gives. How large caches are, and whether there are any, does not matter.
 */
#include "guest/aarch64/kernel.h"

#define DC_IVAC  0xd5087620u
#define DC_CVAC  0xd50b7a20u
#define DC_CVAU  0xd50b7b20u
#define DC_CIVAC 0xd50b7e20u
#define DC_ZVA   0xd50b7420u
#define IC_IVAU  0xd50b7520u
#define LEVELS   7u

static void run(uint32_t opcode, uint64_t x0)
{
	uint64_t x[8] = { x0 };

	execute(opcode, x);
}

static void dsb_isb(void)
{
	op("dsb ish\n\tisb");
}

/* ---- What there is ---- */

static unsigned int cache_type(unsigned int level)
{
	return (unsigned int)FIELD(read_sysreg(clidr_el1), 3 * level + 2, 3 * level);
}

static unsigned int coherency_levels(void)
{
	return (unsigned int)FIELD(read_sysreg(clidr_el1), 26, 24);
}

TEST(clidr, "Arm ARM D17.2.27: no cache behind the last level; LoUIS and LoUU are not beyond LoC")
{
	uint64_t clidr = read_sysreg(clidr_el1);
	bool ended = false;

	for (unsigned int level = 0; level < LEVELS; level++) {
		CHECK(cache_type(level) <= 4);
		CHECK(!ended || !cache_type(level));
		ended |= !cache_type(level);
	}
	CHECK(FIELD(clidr, 23, 21) <= FIELD(clidr, 26, 24));
	CHECK(FIELD(clidr, 29, 27) <= FIELD(clidr, 26, 24));
	for (unsigned int level = 0; level < FIELD(clidr, 26, 24); level++)
		CHECK(cache_type(level));
}

struct geometry {
	uint64_t line, ways, sets; /* the line's logarithm */
};

/* FEAT_CCIDX has wider fields. */
static struct geometry geometry_of(unsigned int level, bool code)
{
	uint64_t ccsidr;

	write_sysreg(csselr_el1, level << 1 | code);
	ccsidr = read_sysreg(ccsidr_el1);
	if (FIELD(read_sysreg(id_aa64mmfr2_el1), 23, 20))
		return (struct geometry){ FIELD(ccsidr, 2, 0) + 4, FIELD(ccsidr, 23, 3) + 1,
			                  FIELD(ccsidr, 55, 32) + 1 };
	return (struct geometry){ FIELD(ccsidr, 2, 0) + 4, FIELD(ccsidr, 12, 3) + 1,
		                  FIELD(ccsidr, 27, 13) + 1 };
}

TEST(ccsidr,
     "Arm ARM D17.2.25: of each cache that CLIDR_EL1 has; lines no shorter than CTR_EL0 says")
{
	uint64_t least = FIELD(read_sysreg(ctr_el0), 19, 16) + 2;

	for (unsigned int level = 0; level < LEVELS; level++) {
		unsigned int type = cache_type(level);

		if (type & 1)
			CHECK(geometry_of(level, true).line >=
			      FIELD(read_sysreg(ctr_el0), 3, 0) + 2);
		if (type & 6)
			CHECK(geometry_of(level, false).line >= least);
	}
	write_sysreg(csselr_el1, 0);
}

/* ---- By set and way ---- */

static unsigned int log2_up(uint64_t n)
{
	unsigned int bits = 0;

	while (BIT(bits) < n)
		bits++;
	return bits;
}

static void all_sets(unsigned int level, bool invalidate)
{
	struct geometry g = geometry_of(level, false);
	unsigned int shift = 32 - log2_up(g.ways);

	for (uint64_t way = 0; way < g.ways; way++)
		for (uint64_t set = 0; set < g.sets; set++) {
			uint64_t operand =
				(g.ways > 1 ? way << shift : 0) | set << g.line | level << 1;

			if (invalidate)
				op1("dc cisw", operand);
			else
				op1("dc csw", operand);
		}
}

static void by_set_and_way(bool invalidate)
{
	for (unsigned int level = 0; level < coherency_levels(); level++)
		if (cache_type(level) & 6)
			all_sets(level, invalidate);
	write_sysreg(csselr_el1, 0);
	op("dsb sy\n\tisb");
}

static void fill(uint64_t seed)
{
	for (unsigned int n = 0; n < sizeof(test_pages); n += 8)
		store64((uint64_t)test_pages + n, seed * n + 5);
}

static void check_filled(const struct place *place, uint64_t seed)
{
	for (unsigned int n = 0; n < sizeof(test_pages); n += 8)
		check_equal(place, "memory", load64((uint64_t)test_pages + n), seed * n + 5);
}

TEST(clean_by_set, "Arm ARM D7.5.3: DC CSW over all levels: memory holds what was written")
{
	fill(3);
	by_set_and_way(false);
	check_filled(HERE, 3);
}

TEST(flush_by_set, "Arm ARM D7.5.3: DC CISW over all levels, as before a CPU is switched off")
{
	fill(7);
	by_set_and_way(true);
	check_filled(HERE, 7);
}

static volatile bool over;

static void flush_all(void *argument)
{
	while (!over) {
		by_set_and_way(true);
		limit_passed(&(struct limit){ .end = 0 });
	}
}

TEST_SMP(flush_beside, 2, "Arm ARM D7.5.3: another CPU's DC CISW takes nothing away")
{
	over = false;
	start_cpu(1, flush_all, NULL);
	for (uint64_t n = 1; n < 20; n++) {
		fill(n);
		check_filled(HERE, n);
	}
	over = true;
	wait_cpu(1);
}

/* ---- By address ---- */

struct operation {
	uint32_t opcode;
};

static void check_kept(const struct test_case *self)
{
	const struct operation *operation = self->row;
	uint64_t line = UINT64_C(4) << FIELD(read_sysreg(ctr_el0), 19, 16);

	fill(11);
	for (uint64_t n = 0; n < sizeof(test_pages[0]); n += line)
		CHECK_NO_FAULT(run(operation->opcode, (uint64_t)test_pages[0] + n + 1));
	op("dsb sy");
	check_filled(HERE, 11);
}

#define KEEPS(name, number)                                                                        \
	static const struct operation name##_operation = { number };                               \
	TEST_ROW(                                                                                  \
		name, check_kept, &name##_operation,                                               \
		"Arm ARM D7.5.9: memory holds what was written; any byte of a line stands for it")

KEEPS(clean, DC_CVAC);
KEEPS(clean_to_unification, DC_CVAU);
KEEPS(flush, DC_CIVAC);
KEEPS(invalidate_code, IC_IVAU);

TEST(invalidate_clean, "Arm ARM D7.5.9: DC IVAC of what was cleaned takes nothing away")
{
	fill(13);
	flush_data(test_pages, sizeof(test_pages));
	for (unsigned int n = 0; n < sizeof(test_pages); n += 16)
		run(DC_IVAC, (uint64_t)test_pages + n);
	op("dsb sy");
	check_filled(HERE, 13);
}

TEST(device_address, "Arm ARM D7.5.9: addresses of devices are taken, and nothing comes of it")
{
	uint64_t at;

	need_gic(0);
	at = machine.gicd + GICD_IPRIORITYR + (spare_spi(7) & ~7u);
	store32(at, 0x40302010);
	CHECK_NO_FAULT(run(DC_CVAC, at));
	CHECK_NO_FAULT(run(DC_CIVAC, at));
	CHECK_NO_FAULT(run(DC_IVAC, at));
	CHECK_NO_FAULT(run(DC_CVAU, at));
	CHECK_EQ(load32(at), 0x40302010);
}

/* ---- Code ---- */

static uint32_t *const code = (uint32_t *)test_pages[0];

/* MOV X0, #n; RET: not seen by fetches yet. */
static void write_code(uint32_t n)
{
	((volatile uint32_t *)code)[0] = 0xd2800000 | n << 5;
	((volatile uint32_t *)code)[1] = OPCODE_RET;
}

static uint64_t call_code(void)
{
	return ((uint64_t(*)(void))WINDOW)();
}

static void map_code(void)
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
}

TEST(code_by_address, "Arm ARM B2.4.4: DC CVAU, DSB, IC IVAU, DSB, ISB: the new code runs")
{
	map_code();
	for (uint32_t n = 0; n < 50; n++) {
		write_code(n);
		clean_code(code, 8);
		CHECK_EQ(call_code(), n);
	}
}

TEST(code_by_other_address, "Arm ARM B2.4.4, D7.5.9: IC IVAU by the address that it runs at")
{
	map_code();
	for (uint32_t n = 0; n < 50; n++) {
		write_code(n);
		op1("dc cvau", code);
		op("dsb ish");
		op1("ic ivau", WINDOW);
		dsb_isb();
		CHECK_EQ(call_code(), n);
	}
}

TEST(code_all, "Arm ARM B2.4.4: the same by IC IALLU")
{
	map_code();
	for (uint32_t n = 0; n < 50; n++) {
		write_code(n);
		op1("dc cvau", code);
		op("dsb ish\n\tic iallu");
		dsb_isb();
		CHECK_EQ(call_code(), n);
	}
}

static volatile uint32_t written, ran;

static void run_code(void *argument)
{
	uint32_t last = 0;

	while (last < 50) {
		if (!WAIT_FOR(written != last))
			return;
		last = written;
		isb(); /* its own: other CPUs cannot do that for it */
		CHECK_EQ(call_code(), last);
		ran = last;
	}
}

static void check_other_cpu(const struct test_case *self)
{
	bool all = self->row != NULL;

	if (cpu_count() < 2)
		skip("2 CPUs");
	map_code();
	written = ran = 0;
	start_cpu(1, run_code, NULL);
	for (uint32_t n = 1; n <= 50; n++) {
		write_code(n);
		if (all) {
			op1("dc cvau", code);
			op("dsb ish\n\tic ialluis");
			dsb_isb();
		} else {
			clean_code(code, 8);
		}
		written = n;
		if (!WAIT_FOR(ran == n))
			break;
	}
	wait_cpu(1);
}
TEST_ROW(code_of_other_cpu, check_other_cpu, NULL, "Arm ARM B2.4.4: IC IVAU is for all CPUs");
TEST_ROW(code_of_other_cpu_all, check_other_cpu, test_pages,
         "Arm ARM B2.4.4: IC IALLUIS is for all CPUs");

/* ---- DC ZVA ---- */

static uint64_t zero_bytes(void)
{
	uint64_t dczid = read_sysreg(dczid_el0);

	if (dczid & BIT(4))
		skip("DC ZVA");
	return UINT64_C(4) << FIELD(dczid, 3, 0);
}

TEST(zero,
     "Arm ARM C5.3.13: the block of DCZID_EL0.BS that holds the address is zero, nothing beside it")
{
	uint64_t bytes = zero_bytes(), from = (uint64_t)test_pages[0] + 2048;

	CHECK(bytes <= 2048);
	fill(17);
	run(DC_ZVA, from + bytes - 1);
	for (uint64_t n = 0; n < sizeof(test_pages); n += 8) {
		uint64_t at = (uint64_t)test_pages + n;

		CHECK_EQ(load64(at), at >= from && at < from + bytes ? 0 : 17 * n + 5);
	}
}

TEST(zero_unmapped,
     "Arm ARM C5.3.13, D17.2.37: a store: WnR 1, CM 0; FAR_EL1 has the address given")
{
	struct fault fault;

	zero_bytes();
	fault = FAULT_OF(run(DC_ZVA, WINDOW + 0x12b));
	check_fault(HERE, "DC ZVA", fault, EC_DABORT, FSC_TRANSLATION | 1 | ISS_WNR);
	CHECK_EQ(fault.address, WINDOW + 0x12b);
}

TEST(zero_read_only, "Arm ARM C5.3.13, D8.4: a permission fault, nothing is written")
{
	zero_bytes();
	store64((uint64_t)test_pages[0] + 64, 5);
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_RO);
	CHECK_FAULT(EC_DABORT, FSC_PERMISSION | 3 | ISS_WNR, run(DC_ZVA, WINDOW + 64));
	CHECK_EQ(load64((uint64_t)test_pages[0] + 64), 5);
}

TEST(zero_prohibited, "Arm ARM D17.2.36: at EL0 without SCTLR_EL1.DZE DCZID_EL0.DZP reads as 1")
{
	uint64_t x[8] = { 0 };

	zero_bytes();
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) & ~SCTLR_DZE);
	execute_el0(0xd53b00e0, x); /* MRS X0, DCZID_EL0 */
	CHECK(x[0] & BIT(4));
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_DZE);
	execute_el0(0xd53b00e0, x);
	CHECK(!(x[0] & BIT(4)));
}

/* ---- Faults ---- */

static void check_unmapped(const struct test_case *self)
{
	const struct operation *operation = self->row;
	struct fault fault = FAULT_OF(run(operation->opcode, WINDOW + 0x12b));

	check_fault(HERE, "the operation", fault, EC_DABORT,
	            FSC_TRANSLATION | 1 | ISS_WNR | ISS_CM);
	CHECK_EQ(fault.address, WINDOW + 0x12b);
}

#define FAULTS(name)                                                                               \
	TEST_ROW(name##_unmapped, check_unmapped, &name##_operation,                               \
	         "Arm ARM D7.5.9, D17.2.37: a translation fault with CM and WnR 1; FAR_EL1 has "   \
	         "the address given")
FAULTS(clean);
FAULTS(clean_to_unification);
FAULTS(flush);

TEST(invalidate_read_only, "Arm ARM D7.5.9: DC IVAC needs the permission to write")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_RO);
	CHECK_FAULT(EC_DABORT, FSC_PERMISSION | 3 | ISS_WNR | ISS_CM, run(DC_IVAC, WINDOW));
}

TEST(clean_read_only, "Arm ARM D7.5.9: at EL1 cleaning needs no permission")
{
	page_map(WINDOW, test_pages[0], PTE_NORMAL | PTE_RO);
	CHECK_NO_FAULT(run(DC_CVAC, WINDOW));
	CHECK_NO_FAULT(run(DC_CIVAC, WINDOW));
	CHECK_NO_FAULT(run(DC_CVAU, WINDOW));
	CHECK_NO_FAULT(run(IC_IVAU, WINDOW));
}

/* ---- EL0 ---- */

struct el0_operation {
	uint32_t opcode;
	uint64_t iss;
};

static void check_el0(const struct test_case *self)
{
	const struct el0_operation *operation = self->row;
	uint64_t sctlr = read_sysreg(sctlr_el1), x[8] = { (uint64_t)user_data };
	struct frame frame;

	write_sysreg(sctlr_el1, sctlr & ~SCTLR_UCI);
	frame = execute_el0(operation->opcode, x);
	CHECK_EQ(EC_OF(frame), EC_SYSREG);
	CHECK_EQ(ISS_OF(frame), operation->iss);
	write_sysreg(sctlr_el1, sctlr | SCTLR_UCI);
	CHECK_EQ(EC_OF(execute_el0(operation->opcode, x)), EC_SVC);
}

/* ISS of a trapped system instruction with X0 (D17.2.37, EC 0x18). */
#define ISS_OPERATION(op1, crm) (UINT64_C(1) << 20 | 1 << 17 | (op1) << 14 | 7 << 10 | (crm) << 1)
#define EL0_OPERATION(name, number, crm)                                                           \
	static const struct el0_operation name##_operation = { number, ISS_OPERATION(3, crm) };    \
	TEST_ROW(name, check_el0, &name##_operation,                                               \
	         "Arm ARM D17.2.118: SCTLR_EL1.UCI: EL0's cache maintenance, trapped without it")
EL0_OPERATION(el0_clean, DC_CVAC, 10);
EL0_OPERATION(el0_clean_to_unification, DC_CVAU, 11);
EL0_OPERATION(el0_flush, DC_CIVAC, 14);
EL0_OPERATION(el0_invalidate_code, IC_IVAU, 5);

TEST(el0_undefined,
     "Arm ARM C5.3: what invalidates data, and what goes by set and way or for all, is EL1's")
{
	static const uint32_t opcodes[] = { DC_IVAC,
		                            0xd5087640 /* DC ISW */,
		                            0xd5087a40 /* DC CSW */,
		                            0xd5087e40 /* DC CISW */,
		                            0xd508751f /* IC IALLU */,
		                            0xd508711f /* IC IALLUIS */ };
	uint64_t x[8] = { (uint64_t)user_data };

	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_UCI);
	for (unsigned int n = 0; n < sizeof(opcodes) / sizeof(opcodes[0]); n++) {
		struct frame frame = execute_el0(opcodes[n], x);

		CHECK_EQ(EC_OF(frame), EC_UNKNOWN);
	}
}

static void check_el0_kernel(const struct test_case *self)
{
	const struct el0_operation *operation = self->row;
	uint64_t x[8] = { (uint64_t)test_pages[0] };
	struct frame frame;

	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_UCI);
	frame = execute_el0(operation->opcode, x);
	CHECK_EQ(EC_OF(frame), EC_DABORT_LOWER);
	CHECK_EQ(ISS_OF(frame), FSC_PERMISSION | 3 | ISS_WNR | ISS_CM);
}
#define EL0_KERNEL(name)                                                                           \
	TEST_ROW(name##_of_el1, check_el0_kernel, &name##_operation,                               \
	         "Arm ARM D7.5.9: from EL0 it needs the permission to read")
EL0_KERNEL(el0_clean);
EL0_KERNEL(el0_clean_to_unification);
EL0_KERNEL(el0_flush);
