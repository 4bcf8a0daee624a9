/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine's memory with ACPI tables in it, for the tests of their readers. What is mapped is
 * handed out as copies of exactly the mapped size, so that the sanitizers see every byte too far.
 */
#ifndef TESTS_ACPI_RIG_H
#define TESTS_ACPI_RIG_H

#include "core/log.h"
#include "platform/board/acpi_tables.h"
#include "tests/unit.h"

#define BASE   UINT64_C(0xe0000)
#define MEMORY 0x8000

struct machine {
	uint8_t memory[MEMORY];
	uint64_t used;
	void *copies[4096];
	unsigned copy_count;
	uint64_t rsdp, madt, fadt, dsdt, hpet, root;
};

extern uint64_t seed;
extern unsigned warnings; /* logged since it was set to 0 */

uint32_t below(uint32_t n);
struct machine *new_machine(void);
void free_machine(struct machine *m);

/* The acpi_map of a struct machine. */
const void *map(void *arg, uint64_t pa, uint64_t size);

void put(uint8_t *at, uint64_t value, unsigned size);
uint8_t *at_pa(struct machine *m, uint64_t pa);
uint32_t table_len(struct machine *m, uint64_t pa);
void fix_table(struct machine *m, uint64_t pa);

/* body: what follows the 36 bytes of the header. */
uint64_t add_table(struct machine *m, const char *signature, const uint8_t *body, size_t len);

/* RSDP and root table: an XSDT, or an RSDT. */
void add_root(struct machine *m, bool extended, const uint64_t *tables, unsigned count);

/* Writes nonsense into a table, under a right checksum if its length still makes sense. */
void spoil(struct machine *m, uint64_t table);

#endif
