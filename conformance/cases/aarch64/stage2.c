/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical addresses: those where nothing is, and memory that is touched for the first time, which
 * a hypervisor's second stage sees. What a bus does with an access to nowhere is its own matter
 * (Arm ARM D8.17 leaves external aborts to the implementation): the cases skip where it does not
 * answer by a synchronous abort. If it does, the manual says what the abort looks like.
 */
#include "guest/aarch64/kernel.h"

#define FSC_WALK  0x14u /* external abort on a walk, | level */
#define ISS_EA    BIT(9)
#define ISS_SET   (UINT64_C(3) << 11)
#define LDR_X0_X1 0xf9400020u
#define STR_X0_X1 0xf9000020u
#define AT_S1E1R  0xd5087801u /* X1 */
#define BLOCK     UINT64_C(0x200000)
#define PAGES     512u

static uint64_t nowhere(void)
{
	uint64_t at = hole_address();

	if (!at)
		skip("addresses where nothing is");
	return at;
}

/* An access with SErrors let in, so that one which comes for it does so here. */
static struct fault access(uint32_t opcode, uint64_t address, uint64_t x[8])
{
	struct fault fault;

	x[1] = address;
	fault_expect();
	execute(opcode, x);
	op("dsb sy\n\tmsr daifclr, #4\n\tisb\n\tmsr daifset, #4");
	fault = fault_end();
	if (fault.vector == FAULT_NONE || fault.vector == VECTOR_SERROR)
		skip("a synchronous abort of accesses to nowhere");
	return fault;
}

/* Of the ISS, what the implementation may choose left out (D17.2.37). */
static uint64_t syndrome(uint64_t iss)
{
	return iss & ~(ISS_EA | ISS_SET | ISS_FNV);
}

static void check_abort(const struct place *place, const char *what, struct fault fault,
                        uint64_t ec, uint64_t code, uint64_t address)
{
	bool has_far = (fault.code & ISS_FSC) != FSC_EXTERNAL || !(fault.code & ISS_FNV);

	fault.code = syndrome(fault.code);
	check_fault(place, what, fault, ec, code);
	if (has_far)
		check_equal(place, "FAR_EL1", fault.address, address);
}

static void check_data(const struct place *place, uint32_t opcode, uint64_t address, uint64_t code)
{
	uint64_t x[8] = { 0x1111, 0, 0x2222 };
	struct fault fault = access(opcode, address, x);

	check_abort(place, "the access", fault, EC_DABORT, code, address);
	check_equal(place, "the instruction at ELR_EL1", load32(fault.pc), opcode);
	check_equal(place, "X0", x[0], 0x1111);
	check_equal(place, "X1", x[1], address);
	check_equal(place, "X2", x[2], 0x2222);
}

/* ---- Nothing there: data ---- */

struct form {
	uint32_t opcode;
	bool store, lse;
};

static void check_form(const struct test_case *self)
{
	const struct form *form = self->row;

	if (form->lse)
		need_lse();
	check_data(HERE, form->opcode, nowhere(), FSC_EXTERNAL | (form->store ? ISS_WNR : 0));
}

#define FORM(name, number, ...)                                                                    \
	static const struct form name##_form = { .opcode = (number), __VA_ARGS__ };                \
	TEST_ROW(name, check_form, &name##_form,                                                   \
	         "Arm ARM D17.2.37, D8.17: synchronous external abort, DFSC 0b010000; WnR; "       \
	         "registers as before")

FORM(load, LDR_X0_X1, .store = false);
FORM(load_byte, 0x39400020, .store = false);
FORM(load_halfword, 0x79400020, .store = false);
FORM(load_word, 0xb9400020, .store = false);
FORM(load_sign, 0xb9800020, .store = false);
FORM(load_post, 0xf8408420, .store = false);
FORM(load_pre, 0xf8400c20, .store = false);
FORM(load_pair, 0xa9400820, .store = false);
FORM(load_pair_post, 0xa8c10820, .store = false);
FORM(load_acquire, 0xc8dffc20, .store = false);
FORM(load_vector, 0x3dc00020, .store = false);
FORM(load_structures, 0x4c408820, .store = false);
FORM(store, STR_X0_X1, .store = true);
FORM(store_byte, 0x39000020, .store = true);
FORM(store_halfword, 0x79000020, .store = true);
FORM(store_post, 0xf8008420, .store = true);
FORM(store_pair, 0xa9000820, .store = true);
FORM(store_release, 0xc89ffc20, .store = true);
FORM(store_vector, 0x3d800020, .store = true);

/* Of these a bus or a CPU may say that it does not have them there (DFSC 0b110101, B2.9.2). */
static void check_exclusive(const struct test_case *self)
{
	const struct form *form = self->row;
	uint64_t x[8] = { 0x1111, 0, 0x2222 }, at = nowhere(), code;
	struct fault fault;

	if (form->lse)
		need_lse();
	fault = access(form->opcode, at, x);
	CHECK_EQ(fault.vector, EC_DABORT);
	code = syndrome(fault.code) & ~ISS_WNR; /* of the read or the write that failed */
	CHECK(code == FSC_EXTERNAL || code == 0x35);
	if (!(fault.code & ISS_FNV))
		CHECK_EQ(fault.address, at);
	CHECK_EQ(x[0], 0x1111);
	CHECK_EQ(x[2], 0x2222);
}

#define EXCLUSIVE(name, number, ...)                                                               \
	static const struct form name##_form = { .opcode = (number), __VA_ARGS__ };                \
	TEST_ROW(                                                                                  \
		name, check_exclusive, &name##_form,                                               \
		"Arm ARM D17.2.37, B2.9.2: an external abort, or unsupported exclusive or atomic")

EXCLUSIVE(load_exclusive, 0xc85f7c20, .lse = false);
EXCLUSIVE(atomic_add, 0xf8200022, .lse = true);
EXCLUSIVE(swap, 0xf8208022, .lse = true);
EXCLUSIVE(compare_and_swap, 0xc8a07c22, .lse = true);

TEST(as_normal_memory, "Arm ARM D8.17: the same where the tables say it is Normal memory")
{
	uint64_t hole = nowhere();

	page_set(WINDOW, 3, (hole & PTE_ADDRESS) | PTE_NORMAL | PTE_TABLE);
	check_data(HERE, LDR_X0_X1, WINDOW + 0x128, FSC_EXTERNAL);
}

/* D17.2.64, PARange: 32 bits and more; an entry of a table has 48. */
static uint64_t top_address(void)
{
	static const uint8_t bits[] = { 32, 36, 40, 42, 44, 48 };
	uint64_t range = read_sysreg(id_aa64mmfr0_el1) & 15;

	return BIT(bits[range < 5 ? range : 5] - 1);
}

TEST(far_away, "Arm ARM D8.17: the same as far away as physical addresses reach")
{
	uint64_t at = top_address();

	check_data(HERE, LDR_X0_X1, nowhere(), FSC_EXTERNAL); /* or it skips */
	page_set(WINDOW, 3, at | PTE_NORMAL | PTE_TABLE);
	check_data(HERE, LDR_X0_X1, WINDOW + 0x128, FSC_EXTERNAL);
	page_set(WINDOW, 3, (2 * at - PAGE) | PTE_DEVICE | PTE_TABLE);
	check_data(HERE, STR_X0_X1, WINDOW + 0x128, FSC_EXTERNAL | ISS_WNR);
}

TEST(from_el0, "Arm ARM D17.2.37: from EL0 EC is 0x24")
{
	uint64_t x[8] = { 0x1111, WINDOW + 0x128 };
	struct frame frame;

	check_data(HERE, LDR_X0_X1, nowhere(), FSC_EXTERNAL); /* or it skips */
	page_set(WINDOW, 3, (nowhere() & PTE_ADDRESS) | PTE_DEVICE | PTE_TABLE | PTE_EL0);
	frame = execute_el0(LDR_X0_X1, x);
	CHECK_EQ(EC_OF(frame), EC_DABORT_LOWER);
	CHECK_EQ(syndrome(ISS_OF(frame)), FSC_EXTERNAL);
	if (!(ISS_OF(frame) & ISS_FNV))
		CHECK_EQ(frame.far, WINDOW + 0x128);
	x[1] = WINDOW + 0x128;
	frame = execute_el0(STR_X0_X1, x);
	CHECK_EQ(EC_OF(frame), EC_DABORT_LOWER);
	CHECK_EQ(syndrome(ISS_OF(frame)), FSC_EXTERNAL | ISS_WNR);
}

TEST(mmu_off, "Arm ARM D8.2.10, D17.2.37: the same without translation")
{
	uint64_t at = nowhere(), x[8] = { 0, at };
	const uint32_t code[] = { LDR_X0_X1, 0xd5033f9f /* DSB SY */, OPCODE_RET };
	struct fault fault;

	check_data(HERE, LDR_X0_X1, at, FSC_EXTERNAL);
	fault = execute_under(read_sysreg(sctlr_el1) & ~(SCTLR_M | SCTLR_C), code, 3, x);
	check_abort(HERE, "the load", fault, EC_DABORT, FSC_EXTERNAL, at);
}

TEST(prefetch, "Arm ARM C6.2, PRFM: a hint does not abort")
{
	uint64_t x[8] = { 0, nowhere() };

	CHECK_NO_FAULT(execute(0xf9800020, x)); /* PRFM PLDL1KEEP, [X1] */
	CHECK_NO_FAULT(execute(0xf9800030, x)); /* PRFM PSTL1KEEP, [X1] */
}

/* From the last bytes of a page of memory into nothing. */
TEST(crossing,
     "Arm ARM D17.2.40: an access that begins in memory: FAR_EL1 is where it is not, or there")
{
	uint64_t hole = nowhere() & PTE_ADDRESS, x[8] = { 0x1111 }, at = WINDOW + PAGE - 4;
	struct fault fault;

	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	page_set(WINDOW + PAGE, 3, hole | PTE_NORMAL | PTE_TABLE);
	fault = access(LDR_X0_X1, at, x);
	check_fault(HERE, "load",
	            (struct fault){ .vector = fault.vector, .code = syndrome(fault.code) },
	            EC_DABORT, FSC_EXTERNAL);
	if (!(fault.code & ISS_FNV))
		CHECK(fault.address >= at && fault.address <= WINDOW + PAGE);
	CHECK_EQ(x[0], 0x1111);
	fault = access(STR_X0_X1, at, x);
	check_fault(HERE, "store",
	            (struct fault){ .vector = fault.vector, .code = syndrome(fault.code) },
	            EC_DABORT, FSC_EXTERNAL | ISS_WNR);
}

TEST(many, "Arm ARM D1.3.4: a thousand aborts in a row, memory beside them as it was")
{
	uint64_t hole = nowhere(), x[8];

	check_data(HERE, LDR_X0_X1, hole, FSC_EXTERNAL);
	for (unsigned int n = 0; n < 1000; n++) {
		uint64_t at = hole + (n % 100) * PAGE;

		store64((uint64_t)test_pages[0], n);
		CHECK_EQ(access(n % 2 ? LDR_X0_X1 : STR_X0_X1, at, x).vector, EC_DABORT);
		CHECK_EQ(load64((uint64_t)test_pages[0]), n);
	}
}

/* ---- Nothing there: code ---- */

static void jump(uint64_t address)
{
	((void (*)(void))address)();
}

static void check_fetch(const struct place *place, uint64_t address)
{
	struct fault fault = FAULT_OF(jump(address));

	if (fault.vector == EC_UNKNOWN)
		skip("a synchronous abort of accesses to nowhere");
	check_abort(place, "the jump", fault, EC_IABORT, FSC_EXTERNAL, address);
	check_equal(place, "ELR_EL1", fault.pc, address);
}

TEST(fetch, "Arm ARM D17.2.37: EC 0x21, IFSC 0b010000; ELR_EL1 and FAR_EL1 have the target")
{
	uint64_t hole = nowhere();

	page_set(WINDOW, 3, (hole & PTE_ADDRESS) | PTE_NORMAL | PTE_TABLE);
	check_fetch(HERE, WINDOW + 0x120);
}

TEST(fetch_el0, "Arm ARM D17.2.37: EC 0x20 from EL0")
{
	struct frame frame;

	page_set(WINDOW, 3, (nowhere() & PTE_ADDRESS) | PTE_NORMAL | PTE_TABLE | PTE_EL0 | PTE_RO);
	frame = enter_el0((const void *)(WINDOW + 0x120), 0, 0);
	if (EC_OF(frame) == EC_UNKNOWN)
		skip("a synchronous abort of accesses to nowhere");
	CHECK_EQ(EC_OF(frame), EC_IABORT_LOWER);
	CHECK_EQ(syndrome(ISS_OF(frame)), FSC_EXTERNAL);
	CHECK_EQ(frame.elr, WINDOW + 0x120);
}

/* Runs off the end of memory: the last instruction is carried out. */
TEST(fetch_on, "Arm ARM D17.2.37: code that goes on where nothing is")
{
	uint32_t *last = (uint32_t *)(test_pages[0] + PAGE - 4);
	struct fault fault;

	*last = OPCODE_NOP;
	clean_code(last, 4);
	page_map(WINDOW, test_pages[0], PTE_NORMAL);
	page_set(WINDOW + PAGE, 3, (nowhere() & PTE_ADDRESS) | PTE_NORMAL | PTE_TABLE);
	fault = FAULT_OF(jump(WINDOW + PAGE - 4));
	if (fault.vector == EC_UNKNOWN)
		skip("a synchronous abort of accesses to nowhere");
	check_abort(HERE, "the fetch", fault, EC_IABORT, FSC_EXTERNAL, WINDOW + PAGE);
	CHECK_EQ(fault.pc, WINDOW + PAGE);
}

/* ---- Nothing there: tables ---- */

static void check_walk(const struct place *place, unsigned int level)
{
	uint64_t address = WINDOW + 0x128;

	check_data(place, LDR_X0_X1, address, FSC_WALK | level);
	check_data(place, STR_X0_X1, address, FSC_WALK | level | ISS_WNR);
}

/* The descriptor at a level leads to a table that is not there. */
static void hang_table(unsigned int level)
{
	page_set(WINDOW, level, (nowhere() & PTE_ADDRESS) | PTE_TABLE | PTE_VALID);
}

TEST(walk_level2, "Arm ARM D17.2.37, D8.17: external abort on a walk, level 2; WnR is the access's")
{
	hang_table(1);
	check_walk(HERE, 2);
}

TEST(walk_level3, "Arm ARM D17.2.37, D8.17: external abort on a walk, level 3")
{
	hang_table(2);
	check_walk(HERE, 3);
}

TEST(walk_fetch, "Arm ARM D17.2.37, D8.17: an instruction abort, IFSC 0b010110")
{
	struct fault fault;

	hang_table(1);
	fault = FAULT_OF(jump(WINDOW + 0x120));
	if (fault.vector == EC_IABORT && (fault.code & ISS_FSC) < FSC_EXTERNAL)
		skip("a synchronous abort of accesses to nowhere");
	check_abort(HERE, "the jump", fault, EC_IABORT, FSC_WALK | 2, WINDOW + 0x120);
	CHECK_EQ(fault.pc, WINDOW + 0x120);
}

TEST(walk_el0, "Arm ARM D17.2.37: EC 0x24 and 0x20 from EL0")
{
	uint64_t x[8] = { 0, WINDOW + 0x128 };
	struct frame frame;

	hang_table(2);
	check_walk(HERE, 3);
	frame = execute_el0(LDR_X0_X1, x);
	CHECK_EQ(EC_OF(frame), EC_DABORT_LOWER);
	CHECK_EQ(syndrome(ISS_OF(frame)), FSC_WALK | 3);
	frame = enter_el0((const void *)(WINDOW + 0x120), 0, 0);
	CHECK_EQ(EC_OF(frame), EC_IABORT_LOWER);
	CHECK_EQ(syndrome(ISS_OF(frame)), FSC_WALK | 3);
}

/* What reports a fault in PAR_EL1 takes this one as an exception, of a cache maintenance or address
 * translation instruction: CM and WnR are 1. */
TEST(walk_of_at, "Arm ARM D8.15.1, D17.2.37: AT S1E1R takes an external abort on its walk; CM is 1")
{
	uint64_t x[8] = { 0 };
	struct fault fault;

	hang_table(1);
	fault = access(AT_S1E1R, WINDOW + 0x128, x);
	check_abort(HERE, "AT S1E1R", fault, EC_DABORT, FSC_WALK | 2 | ISS_CM | ISS_WNR,
	            WINDOW + 0x128);
}

TEST(walk_mended, "Arm ARM D8.14: what is valid is found once the tables are there")
{
	hang_table(2);
	check_walk(HERE, 3);
	page_set(WINDOW, 2, spare_block() | PTE_NORMAL);
	CHECK_NO_FAULT(store64(WINDOW + 0x128, 1));
	CHECK_EQ(load64(spare_block() + 0x128), 1);
}

/* ---- Memory touched for the first time ---- */

#define FRESH 8u
static uint64_t fresh[FRESH];

/* Each CPU's own line of each page, in an order of its own. */
static uint64_t slot(unsigned int cpu, unsigned int n)
{
	unsigned int page = (n * (2 * cpu + 1) * 77 + cpu * 131) % PAGES;

	return (uint64_t)page * PAGE + cpu * 64;
}

static void touch(void *argument)
{
	unsigned int cpu = this_cpu();

	meet();
	for (unsigned int b = 0; b < FRESH; b++)
		for (unsigned int n = 0; n < PAGES; n++) {
			uint64_t at = fresh[b] + slot(cpu, n), value = at * 31 + cpu;

			store64(at, value);
			if (n % 3 == 0)
				__atomic_fetch_add((uint64_t *)at, 0, __ATOMIC_SEQ_CST);
			else if (n % 3 == 1)
				store8(at + 8, (uint8_t)n);
		}
}

TEST_SMP(first_touch, 2,
         "Arm ARM B2.2: memory that CPUs touch for the first time at once holds what all wrote")
{
	for (unsigned int b = 0; b < FRESH; b++)
		fresh[b] = spare_block_at(b + 2);
	on_each_cpu(touch, NULL);
	for (unsigned int cpu = 0; cpu < cpu_count(); cpu++)
		for (unsigned int n = 0; n < FRESH * PAGES; n++) {
			uint64_t at = fresh[n / PAGES] + slot(cpu, n % PAGES);

			CHECK_EQ(load64(at), at * 31 + cpu);
		}
}

/* The first access to a page by each kind of instruction that is not a plain load or store. */
TEST(first_touch_forms,
     "Arm ARM B2.2: exclusives, atomics, pairs, vectors, DC ZVA and walks as the first access")
{
	static const uint32_t opcodes[] = {
		0xc85f7c20, /* LDXR X0, [X1] */
		0xa9000820, /* STP X0, X2, [X1] */
		0xa9400820, /* LDP X0, X2, [X1] */
		0x3d800020, /* STR Q0, [X1] */
		0x4c408820, /* LD2 {V0.4S, V1.4S}, [X1] */
		0xc89ffc20, /* STLR X0, [X1] */
		0xd50b7421, /* DC ZVA, X1 */
		0xd50b7e21, /* DC CIVAC, X1 */
		0xd5087801, /* AT S1E1R, X1 */
		0xf8008420, /* STR X0, [X1], #8 */
	};
	uint64_t block = spare_block_at(FRESH + 2);

	for (unsigned int n = 0; n < sizeof(opcodes) / sizeof(opcodes[0]); n++) {
		uint64_t x[8] = { 0, block + n * PAGE };

		if (opcodes[n] == 0xd50b7421 && read_sysreg(dczid_el0) & BIT(4))
			continue;
		CHECK_NO_FAULT(execute(opcodes[n], x));
	}
	/* A table in a page that nobody has touched. */
	page_set(WINDOW, 2, (block + 100 * PAGE) | PTE_TABLE | PTE_VALID);
	FAULT_OF(load64(WINDOW + 8));
}
