/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Capstone makes of an instruction, without Capstone's headers: its enum x86_insn and its
 * X86_REG_... have the names of our own.
 */
#ifndef TESTS_TEST_DECODE_ORACLE_H
#define TESTS_TEST_DECODE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Register numbers as encoded, 0 to 15; 16 is rIP. */
#define ORACLE_NO_REG (-1)

struct oracle_insn {
	unsigned length;
	char text[96]; /* for messages */
	char name[24]; /* mnemonic, lower case */
	bool has_mem;
	int base, index; /* ORACLE_NO_REG: none, or no general register */
	int scale;       /* the factor */
	int seg;         /* enum x86_seg, ORACLE_NO_REG: not shown */
	int64_t disp;
	unsigned mem_size; /* bytes */
	unsigned reg_size; /* of the first general register among the operands, 0: none */
	int reg;           /* and its number; AH to BH are 4 to 7 */
	bool has_imm;
	int64_t imm;
	unsigned address_size;
};

/* mode 16, 32, 64. */
void *oracle_open(unsigned mode);
unsigned oracle_version(void); /* Capstone's, the major number */
void oracle_close(void *oracle);

/* false: Capstone knows no such instruction, or the bytes end early. */
bool oracle_decode(void *oracle, const uint8_t *bytes, size_t n, uint64_t address,
                   struct oracle_insn *out);

#endif
