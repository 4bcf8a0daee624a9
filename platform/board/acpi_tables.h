/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding and opening ACPI tables (ACPI 6.4, chapter 5), for those who read what is in them. The
 * tables are firmware's, and not trusted: lengths and checksums are checked, a bad table is logged
 * and left out.
 */
#ifndef PLATFORM_BOARD_ACPI_TABLES_H
#define PLATFORM_BOARD_ACPI_TABLES_H

#include <hypercore/types.h>

#define ACPI_HEADER_SIZE 36

/* Pointer to the size bytes at physical address pa, or NULL if they cannot be reached. */
typedef const void *(*acpi_map)(void *arg, uint64_t pa, uint64_t size);

/* A table that has been mapped and whose checksum is right; or one of its entries. */
struct acpi_table {
	const uint8_t *data;
	uint32_t len;
};

/* Who reads, and by what. */
struct acpi_reader {
	void *info; /* the reader's own */
	acpi_map map;
	void *arg;
	/* What to do with tables of these signatures; ends with an empty name. */
	const struct acpi_table_kind {
		char name[5];
		void (*read)(const struct acpi_reader *r, const struct acpi_table *t);
	} * kinds;
};

/* Calls the reader's functions for the tables that the RSDP at pa leads to, in their order. -ENOENT
 * if there is no valid RSDP or root table there (logged). */
int acpi_read_tables(const struct acpi_reader *r, uint64_t rsdp);

/* Opens the table at physical address pa. False: it is bad, which has been logged. */
bool acpi_open_table(const struct acpi_reader *r, uint64_t pa, struct acpi_table *t);

/* Little-endian members at any alignment; 0 beyond the table's end, as in tables of older revisions
 * that lack the member. */
uint64_t acpi_get(const struct acpi_table *t, uint64_t at, unsigned size);
uint8_t acpi_get8(const struct acpi_table *t, uint64_t at);
uint16_t acpi_get16(const struct acpi_table *t, uint64_t at);
uint32_t acpi_get32(const struct acpi_table *t, uint64_t at);
uint64_t acpi_get64(const struct acpi_table *t, uint64_t at);

/* Calls fn for each entry (type, length, ...) of the table from offset at on. Entries that are
 * shorter than least[type], or whose type is not in least or 0 there, are left out. */
struct acpi_entries {
	const char *table;
	const uint8_t *least;
	unsigned count; /* of least */
	void (*read)(void *info, uint8_t type, const struct acpi_table *entry);
};
void acpi_read_entries(const struct acpi_entries *kind, void *info, const struct acpi_table *t,
                       uint64_t at);

/* Looks for an RSDP in [pa, pa + size), on 16-byte boundaries. 0: there is none. */
uint64_t acpi_find_rsdp(uint64_t pa, uint64_t size, acpi_map map, void *arg);

#endif
