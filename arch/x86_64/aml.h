/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes ACPI Machine Language (ACPI 6.4 chapter 20): as much of it as the DSDT needs. */
#ifndef ARCH_X86_64_AML_H
#define ARCH_X86_64_AML_H

#include <hypercore/types.h>

/* Output stops at the end of the buffer and is then incomplete: overflow is set. */
struct aml {
	uint8_t *buf;
	size_t size, len;
	bool overflow;
};

/* A block whose length is filled in by aml_end. */
struct aml_block {
	size_t at;
};

/* Name (name, four characters), to be followed by its object. */
void aml_name(struct aml *a, const char *name);

void aml_integer(struct aml *a, uint32_t value);

/* An EISA ID such as "PNP0501", as an integer (19.3.4 "EISAID"). */
void aml_eisa_id(struct aml *a, const char *id);

/* Package of count elements, which follow. */
struct aml_block aml_package(struct aml *a, uint8_t count);
struct aml_block aml_scope(struct aml *a, const char *path);
struct aml_block aml_device(struct aml *a, const char *name);
void aml_end(struct aml *a, struct aml_block block);

/* A _CRS object: len ports from base, and an edge-triggered interrupt line unless irq is 0. */
void aml_crs(struct aml *a, uint16_t base, uint8_t len, unsigned irq);

#endif
