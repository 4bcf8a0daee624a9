/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stage 1 switched off (Arm ARM D8.2.10): addresses stay what they are, all data is Device-nGnRnE
 * memory and nothing is protected. And the caches switched off alone.
 */
#include "guest/aarch64/kernel.h"

#define LDR_X0_X1 0xf9400020u
#define STR_X0_X1 0xf9000020u
#define NO_MMU    (read_sysreg(sctlr_el1) & ~(SCTLR_M | SCTLR_C))
#define CODE(...)                                                                                  \
	(const uint32_t[]){ __VA_ARGS__, OPCODE_RET },                                             \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4 + 1

static uint64_t *word(unsigned int page)
{
	return (uint64_t *)test_pages[page];
}

/* Memory that the caches do not hold. */
static uint64_t uncached(unsigned int page, uint64_t value)
{
	word(page)[0] = value;
	word(page)[1] = 0;
	flush_data(test_pages[page], PAGE);
	return (uint64_t)test_pages[page];
}

static struct fault run_off(uint32_t opcode, uint64_t x[8])
{
	return execute_under(NO_MMU, CODE(opcode), x);
}

#define CHECK_OFF(opcode, x) check_fault(HERE, "the instruction", run_off(opcode, x), FAULT_NONE, 0)

TEST(runs, "Arm ARM D8.2.10: code runs where it is; SCTLR_EL1.M reads as it was written")
{
	uint64_t x[8] = { 40, 2 };
	struct fault fault = execute_under(
		NO_MMU, CODE(0x8b010000 /* ADD X0, X0, X1 */, 0xd5381002 /* MRS X2, SCTLR_EL1 */),
		x);

	CHECK_EQ(fault.vector, FAULT_NONE);
	CHECK_EQ(x[0], 42);
	CHECK_EQ(x[2] & SCTLR_M, 0);
	CHECK(read_sysreg(sctlr_el1) & SCTLR_M);
}

TEST(stores, "Arm ARM D8.2.10: what is stored is in memory when the MMU is on again")
{
	uint64_t at = uncached(0, 1), x[8] = { 0x1234567890abcdef, at };

	CHECK_OFF(STR_X0_X1, x);
	flush_data(test_pages[0], PAGE);
	CHECK_EQ(load64(at), 0x1234567890abcdef);
	CHECK_EQ(load64(at + 8), 0);
}

TEST(loads, "Arm ARM D8.2.10: what was cleaned to the point of coherency is loaded")
{
	uint64_t x[8] = { 0, uncached(0, 0x7766554433221100) };

	CHECK_OFF(LDR_X0_X1, x);
	CHECK_EQ(x[0], 0x7766554433221100);
}

TEST(sizes, "Arm ARM C6.2: bytes, halfwords, words and pairs, aligned")
{
	static const struct {
		uint32_t opcode;
		uint64_t expected, second;
	} rows[] = {
		{ 0x39400420, 0x99, 9 },                         /* LDRB W0, [X1, #1] */
		{ 0x39800420, UINT64_C(0xffffffffffffff99), 9 }, /* LDRSB X0 */
		{ 0x79400420, 0xbbaa, 9 },                       /* LDRH W0, [X1, #2] */
		{ 0xb9400420, 0xffeeddcc, 9 },                   /* LDR W0, [X1, #4] */
		{ 0xf8408420, UINT64_C(0xffeeddccbbaa9988), 9 }, /* LDR X0, [X1], #8 */
		{ 0x29400820, 0xbbaa9988, 0xffeeddcc },          /* LDP W0, W2, [X1] */
		{ 0xa9400820, UINT64_C(0xffeeddccbbaa9988), 0 }, /* LDP X0, X2, [X1] */
		{ 0xc8dffc20, UINT64_C(0xffeeddccbbaa9988), 9 }, /* LDAR X0, [X1] */
	};
	uint64_t at = uncached(0, UINT64_C(0xffeeddccbbaa9988));

	for (unsigned int n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		uint64_t x[8] = { 0, at, 9 };

		CHECK_OFF(rows[n].opcode, x);
		CHECK_EQ(x[0], rows[n].expected);
		CHECK_EQ(x[2], rows[n].second);
	}
}

TEST(unaligned, "Arm ARM B2.5.2, D8.2.10: all memory is Device memory: unaligned accesses abort")
{
	static const struct {
		uint32_t opcode;
		uint64_t code;
	} rows[] = {
		{ 0x79400020, FSC_ALIGNMENT }, /* LDRH W0, [X1] */
		{ 0xb9400020, FSC_ALIGNMENT }, /* LDR W0, [X1] */
		{ LDR_X0_X1, FSC_ALIGNMENT },
		{ 0xa9400820, FSC_ALIGNMENT },           /* LDP X0, X2, [X1] */
		{ 0x79000020, FSC_ALIGNMENT | ISS_WNR }, /* STRH */
		{ STR_X0_X1, FSC_ALIGNMENT | ISS_WNR },
	};
	uint64_t at = uncached(0, 5) + 1;

	for (unsigned int n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		uint64_t x[8] = { 0, at };
		struct fault fault = run_off(rows[n].opcode, x);

		check_fault(HERE, "the access", fault, EC_DABORT, rows[n].code);
		CHECK_EQ(fault.address, at);
	}
}

TEST(permissions, "Arm ARM D8.2.10: no permissions: what the tables protect can be written and run")
{
	uint64_t at = uncached(1, 1), x[8] = { 77, at };
	const uint32_t code[] = { OPCODE_RET };
	uint64_t page = (uint64_t)place_code(code, 1);

	page_set(at, 3, at | PTE_NORMAL | PTE_TABLE | PTE_RO | PTE_PXN | PTE_UXN);
	CHECK_OFF(STR_X0_X1, x);
	flush_data(test_pages[1], PAGE);
	CHECK_EQ(load64(at), 77);
	page_set(page, 3, page | PTE_NORMAL | PTE_TABLE | PTE_PXN | PTE_UXN);
	CHECK_OFF(0x8b010000, x);
}

TEST(tables_unused, "Arm ARM D8.2.10: TTBR0_EL1 may hold anything")
{
	uint64_t x[8] = { 0, uncached(0, 99), UINT64_C(0x0000fffffffff000),
		          read_sysreg(ttbr0_el1) };

	check_fault(HERE, "the load",
	            execute_under(NO_MMU,
	                          CODE(0xd5182002 /* MSR TTBR0_EL1, X2 */, 0xd5033fdf /* ISB */,
	                               LDR_X0_X1, 0xd5182003 /* MSR TTBR0_EL1, X3 */, 0xd5033fdf),
	                          x),
	            FAULT_NONE, 0);
	CHECK_EQ(x[0], 99);
}

static unsigned int address_bits(void)
{
	static const uint8_t bits[] = { 32, 36, 40, 42, 44, 48, 52 };
	uint64_t range = FIELD(read_sysreg(id_aa64mmfr0_el1), 3, 0);

	if (range >= sizeof(bits))
		skip("a size of physical addresses that is known");
	return bits[range];
}

TEST(address_size,
     "Arm ARM D8.2.10: an address beyond ID_AA64MMFR0_EL1.PARange: address size fault, level 0")
{
	uint64_t at = BIT(address_bits()) + 0x1008, x[8] = { 0, at };
	struct fault fault = run_off(LDR_X0_X1, x);

	check_fault(HERE, "load", fault, EC_DABORT, FSC_SIZE);
	CHECK_EQ(fault.address, at);
	fault = run_off(STR_X0_X1, x);
	check_fault(HERE, "store", fault, EC_DABORT, FSC_SIZE | ISS_WNR);
	CHECK_EQ(fault.address, at);
}

TEST(address_size_top, "Arm ARM D8.2.10: the upper half of the address space as well")
{
	uint64_t x[8] = { 0, UINT64_C(0xffffffff80000000) };

	check_fault(HERE, "load", run_off(LDR_X0_X1, x), EC_DABORT, FSC_SIZE);
}

TEST(address_size_fetch, "Arm ARM D8.2.10: the same of a fetch")
{
	uint64_t at = BIT(address_bits()) + 0x2000, x[8] = { 0, at };
	struct fault fault = run_off(0xd61f0020, x); /* BR X1 */

	check_fault(HERE, "the jump", fault, EC_IABORT, FSC_SIZE);
	CHECK_EQ(fault.address, at);
	CHECK_EQ(fault.pc, at);
}

TEST(top_byte, "Arm ARM D8.8: TCR_EL1.TBI0 is for addresses that are not translated, too")
{
	uint64_t x[8] = { 0, uncached(0, 123) | UINT64_C(0xa5) << 56 };

	check_fault(HERE, "load", run_off(LDR_X0_X1, x), EC_DABORT, FSC_SIZE);
	write_sysreg(tcr_el1, read_sysreg(tcr_el1) | BIT(37));
	tlb_flush();
	CHECK_OFF(LDR_X0_X1, x);
	CHECK_EQ(x[0], 123);
}

TEST(exceptions, "Arm ARM D1.3.4: exceptions come to VBAR_EL1's vectors")
{
	uint64_t x[8] = { 0 };

	check_fault(HERE, "BRK", run_off(0xd4200540, x), EC_BRK, 0x2a);
	check_fault(HERE, "SVC", run_off(0xd4000541, x), EC_SVC, 0x2a);
	check_fault(HERE, "UDF", run_off(0, x), EC_UNKNOWN, 0);
	check_fault(HERE, "MRS of HCR_EL2", run_off(0xd53c1100, x), EC_UNKNOWN, 0);
}

TEST(interrupt, "Arm ARM D1.3.6: an IRQ is taken")
{
	uint64_t x[8] = { 0 };
	struct fault fault;

	need_gic(0);
	irq_enable(3);
	sgi_send(3, 0);
	CHECK(irq_comes());
	fault = execute_under(NO_MMU,
	                      CODE(0xd50342ff /* MSR DAIFClr, #2 */, OPCODE_NOP, OPCODE_NOP), x);
	CHECK_EQ(fault.vector, VECTOR_IRQ);
	CHECK_EQ(irq_ack() & 0x3ff, 3);
	irq_eoi(3);
}

TEST(firmware, "DEN 0028 2.6: calls need no MMU")
{
	uint64_t x[8] = { PSCI_VERSION };
	int64_t version = firmware(PSCI_VERSION, 0, 0, 0);

	CHECK_OFF(machine.conduit == CONDUIT_HVC ? 0xd4000002 : 0xd4000003, x);
	CHECK_EQ(x[0], (uint64_t)version);
}

TEST(device, "Arm ARM D17.2.37: a device's registers, by instructions with ISV and without")
{
	static const uint32_t opcodes[] = { 0xb9400020 /* LDR W0, [X1] */,
		                            0xb8404420 /* LDR W0, [X1], #4 */,
		                            0x29400820 /* LDP W0, W2, [X1] */,
		                            0x88dffc20 /* LDAR W0, [X1] */ };
	uint64_t at;

	need_gic(0);
	at = machine.gicd + GICD_IPRIORITYR + (spare_spi(7) & ~7u);
	store32(at, 0x40302010);
	for (unsigned int n = 0; n < sizeof(opcodes) / sizeof(opcodes[0]); n++) {
		uint64_t x[8] = { 0, at };

		CHECK_OFF(opcodes[n], x);
		CHECK_EQ(x[0], 0x40302010);
	}
}

TEST(zeroing, "Arm ARM C5.3.13: DC ZVA of Device memory zeroes, or aborts for its alignment")
{
	uint64_t at = uncached(0, 5), x[8] = { at };
	struct fault fault;

	if (read_sysreg(dczid_el0) & BIT(4))
		skip("DC ZVA");
	fault = run_off(0xd50b7420, x); /* DC ZVA, X0 */
	flush_data(test_pages[0], PAGE);
	if (fault.vector == FAULT_NONE) {
		CHECK_EQ(load64(at), 0);
	} else {
		check_fault(HERE, "DC ZVA", fault, EC_DABORT, FSC_ALIGNMENT | ISS_WNR);
		CHECK_EQ(load64(at), 5);
	}
}

TEST(on_and_off,
     "Arm ARM D8.2.10, D17.2.118: switched many times, with what the tables map in between")
{
	uint64_t at = uncached(0, 0), x[8] = { 0, at };

	page_map(WINDOW, test_pages[1], PTE_NORMAL);
	for (uint64_t n = 0; n < 100; n++) {
		x[0] = n;
		CHECK_OFF(STR_X0_X1, x);
		flush_data(test_pages[0], 16);
		CHECK_EQ(load64(at), n);
		store64(WINDOW, n);
		CHECK_EQ(load64((uint64_t)test_pages[1]), n);
	}
}

static void alone(void *argument)
{
	unsigned int cpu = this_cpu();
	uint64_t at = uncached(cpu, 0), x[8] = { 0, at };

	for (uint64_t n = 1; n <= 50; n++) {
		x[0] = n << 8 | cpu;
		CHECK_OFF(STR_X0_X1, x);
		x[0] = 0;
		CHECK_OFF(LDR_X0_X1, x);
		CHECK_EQ(x[0], n << 8 | cpu);
	}
}

TEST_SMP(each_cpu, 2, "Arm ARM D17.2.118: SCTLR_EL1 is each CPU's own")
{
	on_each_cpu(alone, NULL);
}

/* ---- Caches off ---- */

TEST(data_cache_off,
     "Arm ARM D8.2.10, D17.2.118: SCTLR_EL1.C 0: Normal memory, not cached: any alignment")
{
	uint64_t at = uncached(0, UINT64_C(0x1122334455667788)), x[8] = { 0, at + 1 };
	uint64_t sctlr = read_sysreg(sctlr_el1) & ~SCTLR_C;

	check_fault(HERE, "load", execute_under(sctlr, CODE(LDR_X0_X1), x), FAULT_NONE, 0);
	CHECK_EQ(x[0], UINT64_C(0x0011223344556677));
	x[0] = 0x9999;
	x[1] = at;
	check_fault(HERE, "store", execute_under(sctlr, CODE(STR_X0_X1), x), FAULT_NONE, 0);
	flush_data(test_pages[0], 16);
	CHECK_EQ(load64(at), 0x9999);
}

TEST(instruction_cache_off, "Arm ARM D17.2.118: SCTLR_EL1.I 0: code runs, with and without the MMU")
{
	uint64_t x[8] = { 1, 2 };

	execute_under(read_sysreg(sctlr_el1) & ~SCTLR_I, CODE(0x8b010000), x);
	CHECK_EQ(x[0], 3);
	execute_under(NO_MMU & ~SCTLR_I, CODE(0x8b010000), x);
	CHECK_EQ(x[0], 5);
}
