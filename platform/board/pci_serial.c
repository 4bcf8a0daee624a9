/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/pci_serial.h"

/* Configuration space, PCI Local Bus 3.0 6.1. */
#define CFG_ID      0x00
#define CFG_COMMAND 0x04
#define CFG_CLASS   0x08 /* and revision */
#define CFG_HEADER  0x0c /* bits 23:16: type */
#define CFG_BAR0    0x10

#define COMMAND_IO     1u
#define CLASS_SERIAL   0x0700u
#define HEADER_MULTI   0x800000u
#define HEADER_TYPE(h) ((h) >> 16 & 0x7fu)
#define BAR_IO         1u
#define BAR_IO_MASK    0xfffffffcu
#define NO_FUNCTION    0xffffffffu

#define DEVICES    32
#define FUNCTIONS  8
#define PORT_SIZE  8u
#define MAX_PORTS  16u
#define FIRST_PORT 0x1000u /* below it a PC's own may be */

struct function {
	const struct pci_config *config;
	uint32_t base;
};

static struct function function_of(const struct pci_config *config, unsigned device,
                                   unsigned number)
{
	return (struct function){ config, device << 15 | number << 12 };
}

static uint32_t read(struct function f, uint32_t at)
{
	return f.config->read(f.config->arg, f.base + at);
}

static void write(struct function f, uint32_t at, uint32_t value)
{
	f.config->write(f.config->arg, f.base + at, value);
}

/* Bytes of I/O space that the first BAR takes; 0: it is none of I/O space, or of an odd size. It
 * must not answer meanwhile, at an address that it has not got (6.2.5.1). */
static uint32_t io_size(struct function f)
{
	uint32_t bar = read(f, CFG_BAR0), size;
	/* The upper half is the status, whose bits are cleared by writing ones. */
	uint32_t command = read(f, CFG_COMMAND) & 0xffff;

	if (!(bar & BAR_IO))
		return 0;
	write(f, CFG_COMMAND, command & ~COMMAND_IO);
	write(f, CFG_BAR0, BAR_IO_MASK | BAR_IO);
	size = ~(read(f, CFG_BAR0) & BAR_IO_MASK) + 1;
	write(f, CFG_BAR0, bar);
	write(f, CFG_COMMAND, command);
	/* Bits 31:16 may be hardwired to 0 in a BAR of I/O space (6.2.5.1). */
	size &= 0xffff;
	return size & (size - 1) ? 0 : size;
}

/* The function's ports, enabled; false: it can have none. */
static bool assign(struct function f, const struct pci_host *host, uint32_t size, uint32_t *next,
                   uint32_t *port)
{
	*port = read(f, CFG_BAR0) & BAR_IO_MASK;
	if (!*port) {
		*port = (uint32_t)HC_ALIGN_UP(*next, size);
		*next = *port + size;
		write(f, CFG_COMMAND, read(f, CFG_COMMAND) & 0xffff & ~COMMAND_IO);
		write(f, CFG_BAR0, *port);
	}
	if (*port > host->io_size || size > host->io_size - *port)
		return false;
	write(f, CFG_COMMAND, (read(f, CFG_COMMAND) & 0xffff) | COMMAND_IO);
	return true;
}

static bool is_serial(struct function f)
{
	return read(f, CFG_ID) != NO_FUNCTION && read(f, CFG_CLASS) >> 16 == CLASS_SERIAL &&
	       HEADER_TYPE(read(f, CFG_HEADER)) == 0;
}

static bool has_more(struct function first)
{
	return read(first, CFG_ID) != NO_FUNCTION && read(first, CFG_HEADER) & HEADER_MULTI;
}

unsigned pci_serial_find(const struct pci_host *host, const struct pci_config *config,
                         uint64_t *found, unsigned most)
{
	uint32_t next = FIRST_PORT, port;
	unsigned count = 0;

	for (unsigned n = 0; n < DEVICES * FUNCTIONS; n++) {
		struct function first = function_of(config, n / FUNCTIONS, 0);
		struct function f = function_of(config, n / FUNCTIONS, n % FUNCTIONS);

		if (n % FUNCTIONS && !has_more(first))
			continue;
		uint32_t size = is_serial(f) ? io_size(f) : 0;

		if (size < PORT_SIZE || size > MAX_PORTS * PORT_SIZE ||
		    !assign(f, host, size, &next, &port))
			continue;
		for (uint32_t at = 0; at < size && count < most; at += PORT_SIZE)
			found[count++] = host->io + port + at;
	}
	return count;
}
