/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/aml.h"

#include <hypercore/freestanding.h>

/* Opcodes (ACPI 6.4 table 20.2) */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_DEVICE = 0x82 /* after OP_EXT */
};

static void put(struct aml *a, uint8_t byte)
{
	if (a->len < a->size)
		a->buf[a->len++] = byte;
	else
		a->overflow = true;
}

static void put_all(struct aml *a, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n--)
		put(a, *p++);
}

static void put_number(struct aml *a, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		put(a, (uint8_t)(value >> 8 * i));
}

void aml_integer(struct aml *a, uint32_t value)
{
	unsigned bytes = value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;

	if (value <= 1) {
		put(a, (uint8_t)value); /* OP_ZERO, OP_ONE */
		return;
	}
	put(a, bytes == 1 ? OP_BYTE : bytes == 2 ? OP_WORD : OP_DWORD);
	put_number(a, value, bytes);
}

void aml_name(struct aml *a, const char *name)
{
	put(a, OP_NAME);
	put_all(a, name, 4);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits each and four hexadecimal digits, big-endian. */
void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | ((uint32_t)id[i] & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	aml_integer(a, __builtin_bswap32(v));
}

/* --- Blocks. Their length (20.2.4 "PkgLength") is always written in two bytes: four bits in the
 * first, which also counts the bytes that follow, eight in the second. --- */

static struct aml_block begin(struct aml *a)
{
	struct aml_block b = { a->len };

	put_number(a, 0, 2);
	return b;
}

void aml_end(struct aml *a, struct aml_block block)
{
	size_t len = a->len - block.at;

	if (a->overflow || len >= 1 << 12) {
		a->overflow = true;
		return;
	}
	a->buf[block.at] = (uint8_t)(1 << 6 | (len & 0xf));
	a->buf[block.at + 1] = (uint8_t)(len >> 4);
}

struct aml_block aml_package(struct aml *a, uint8_t count)
{
	put(a, OP_PACKAGE);
	struct aml_block b = begin(a);

	put(a, count);
	return b;
}

struct aml_block aml_scope(struct aml *a, const char *path)
{
	put(a, OP_SCOPE);
	struct aml_block b = begin(a);

	put_all(a, path, strlen(path));
	return b;
}

struct aml_block aml_device(struct aml *a, const char *name)
{
	put(a, OP_EXT);
	put(a, OP_DEVICE);
	struct aml_block b = begin(a);

	put_all(a, name, 4);
	return b;
}

/* --- Resources (6.4 "Resource Data Types for ACPI") --- */

static void put_io(struct aml *a, uint16_t base, uint8_t len)
{
	put(a, 0x47); /* I/O port descriptor, 7 bytes */
	put(a, 1);    /* decodes 16 bits */
	put_number(a, base, 2);
	put_number(a, base, 2);
	put(a, 1); /* alignment */
	put(a, len);
}

static void put_irq(struct aml *a, unsigned irq)
{
	put(a, 0x22); /* IRQ descriptor, 2 bytes: edge, active high */
	put_number(a, 1u << irq, 2);
}

static void put_end_tag(struct aml *a)
{
	put(a, 0x79);
	put(a, 0); /* checksum 0: not checked */
}

void aml_crs(struct aml *a, uint16_t base, uint8_t len, unsigned irq)
{
	uint32_t bytes = 8 + (irq ? 3 : 0) + 2;

	aml_name(a, "_CRS");
	put(a, OP_BUFFER);
	struct aml_block b = begin(a);

	aml_integer(a, bytes);
	put_io(a, base, len);
	if (irq)
		put_irq(a, irq);
	put_end_tag(a);
	aml_end(a, b);
}
