/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that a feature brings: there if the ID register says so, else UNDEFINED. */
#include "guest/aarch64/kernel.h"

struct instruction {
	uint32_t opcode;    /* may use X0 to X3, V0; X2 holds an address */
	uint8_t crm, op2;   /* of the ID register */
	uint8_t low, least; /* the field, and the value from which on it is there */
};

static uint64_t memory[8] __attribute__((aligned(64)));

static void check(const struct test_case *self)
{
	const struct instruction *row = self->row;
	uint64_t x[8] = { 0, 0, (uint64_t)memory };
	unsigned int field = id_field(row->crm, row->op2, row->low);
	struct fault fault;

	if (row->crm == 4 && row->op2 == 0 && row->low == 32) { /* SVE */
		write_sysreg(cpacr_el1, CPACR_FPEN(3) | 3 << 16);
		isb();
	}
	fault_expect();
	execute(row->opcode, x);
	fault = fault_end();
	check_fault(HERE, "the instruction", fault, field >= row->least ? FAULT_NONE : EC_UNKNOWN,
	            ANY_CODE);
}

#define IS(name, number, ...)                                                                      \
	static const struct instruction name##_row = { number, __VA_ARGS__ };                      \
	TEST_ROW(name, check, &name##_row, "Arm ARM D17.2: ID registers; C2.1.2: else UNDEFINED")

#define PFR0  4, 0
#define PFR1  4, 1
#define ISAR0 6, 0
#define ISAR1 6, 1
#define MMFR1 7, 1
#define MMFR2 7, 2

IS(aes, 0x4e284800, ISAR0, 4, 1);
IS(pmull, 0x0ee0e000, ISAR0, 4, 2);
IS(sha1h, 0x5e280800, ISAR0, 8, 1);
IS(sha256h, 0x5e004000, ISAR0, 12, 1);
IS(sha512h, 0xce608000, ISAR0, 12, 2);
IS(crc32, 0x1ac04000, ISAR0, 16, 1);
IS(lse_ldadd, 0xb8200041, ISAR0, 20, 2);
IS(lse_cas, 0xc8a07c41, ISAR0, 20, 2);
IS(lse_swp, 0xf8208041, ISAR0, 20, 2);
IS(rdm, 0x2e408400, ISAR0, 28, 1);
IS(sha3_eor3, 0xce000000, ISAR0, 32, 1);
IS(sm3, 0xce60c000, ISAR0, 36, 1);
IS(sm4, 0xcec08400, ISAR0, 40, 1);
IS(dot_product, 0x6e809400, ISAR0, 44, 1);
IS(fhm, 0x0e20ec00, ISAR0, 48, 1);
IS(flagm, 0xd500401f, ISAR0, 52, 1);
IS(flagm2, 0xd500405f, ISAR0, 52, 2);
IS(tlbi_outer, 0xd508811f, ISAR0, 56, 1);
IS(tlbi_range, 0xd5088620, ISAR0, 56, 2);
IS(rndr, 0xd53b2400, ISAR0, 60, 1);
IS(dc_cvap, 0xd50b7c22, ISAR1, 0, 1);
IS(dc_cvadp, 0xd50b7d22, ISAR1, 0, 2);
IS(jscvt, 0x1e7e0000, ISAR1, 12, 1);
IS(fcma, 0x6e80e400, ISAR1, 16, 1);
IS(lrcpc_ldapr, 0xb8bfc040, ISAR1, 20, 1);
IS(lrcpc_ldapur, 0x99400040, ISAR1, 20, 2);
IS(frintts, 0x1e284000, ISAR1, 32, 1);
IS(specres_cfp, 0xd50b7380, ISAR1, 40, 1);
IS(bf16, 0x6e40fc00, ISAR1, 44, 1);
IS(i8mm, 0x4e80a400, ISAR1, 52, 1);
IS(sve_rdvl, 0x04bf5020, PFR0, 32, 1);
IS(dit, 0xd53b42a0, PFR0, 48, 1);
IS(ssbs, 0xd53b42c0, PFR1, 4, 2);
IS(pan, 0xd5384260, MMFR1, 20, 1);
IS(uao, 0xd5384280, MMFR2, 4, 1);
