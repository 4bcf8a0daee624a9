/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines say whether an interrupt is asserted, not which voltage does it, so that the polarity bit
 * is kept for the guest to read and inverts nothing.
 */
#include "devices/ioapic.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/vm.h"

#define IOAPIC_WINDOW  0x1000
#define IOAPIC_VERSION 0x20
#define IOAPIC_ALL     ((1u << IOAPIC_PINS) - 1)

/* Offsets in the window; register numbers in IOREGSEL. */
enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };
enum { IOAPICID = 0x00, IOAPICVER = 0x01, IOAPICARB = 0x02, IOREDTBL = 0x10 };

/* A redirection table entry. */
#define RTE_VECTOR     UINT64_C(0xff)
#define RTE_DELMOD     UINT64_C(0x700)
#define RTE_DESTMOD    UINT64_C(0x800)
#define RTE_INTPOL     UINT64_C(0x2000)
#define RTE_REMOTE_IRR UINT64_C(0x4000)
#define RTE_TRIGGER    UINT64_C(0x8000)
#define RTE_MASK       UINT64_C(0x10000)
#define RTE_DEST_SHIFT 56
#define RTE_WRITABLE                                                                               \
	(UINT64_C(0xff) << RTE_DEST_SHIFT | RTE_VECTOR | RTE_DELMOD | RTE_DESTMOD | RTE_INTPOL |   \
	 RTE_TRIGGER | RTE_MASK)

enum { DELMOD_FIXED = 0, DELMOD_LOWEST = 1 };

/* SDM Vol. 3A 10.11.1 and 10.11.2. */
#define MSI_ADDRESS         UINT64_C(0xfee00000)
#define MSI_DEST_SHIFT      12
#define MSI_REDIRECTION     UINT64_C(0x8)
#define MSI_LOGICAL         UINT64_C(0x4)
#define MSI_DELMOD_SHIFT    8
#define MSI_ASSERT          UINT32_C(0x4000)
#define MSI_LEVEL_TRIGGERED UINT32_C(0x8000)

struct ioapic {
	struct hc_device dev; /* first */
	uint32_t select, id;
	uint32_t asserted;             /* bit n: pin n's input */
	uint32_t remote_irr;           /* bit n: pin n waits for its EOI */
	uint64_t entries[IOAPIC_PINS]; /* only RTE_WRITABLE */
	uint8_t reset_id;
};

static unsigned delivery_mode(uint64_t entry)
{
	return (unsigned)hc_bits(entry, 10, 8);
}

/* Only fixed and lowest-priority interrupts can be level-triggered; the other modes are treated as
 * edges whatever the bit says (82093AA data sheet, delivery mode). */
static bool is_level(uint64_t entry)
{
	return (entry & RTE_TRIGGER) && delivery_mode(entry) <= DELMOD_LOWEST;
}

static void send(struct ioapic *s, uint64_t entry)
{
	uint64_t address = MSI_ADDRESS | entry >> RTE_DEST_SHIFT << MSI_DEST_SHIFT;
	uint32_t data = (uint32_t)((entry & RTE_VECTOR) | (uint64_t)delivery_mode(entry)
	                                                          << MSI_DELMOD_SHIFT);

	if (entry & RTE_DESTMOD)
		address |= MSI_LOGICAL;
	if (delivery_mode(entry) == DELMOD_LOWEST)
		address |= MSI_REDIRECTION;
	if (is_level(entry))
		data |= MSI_LEVEL_TRIGGERED | MSI_ASSERT;
	hc_irq_message(s->dev.vm, address, data);
}

/* A level-triggered pin that is asserted, open and not waiting for an EOI sends. */
static void service_level(struct ioapic *s, unsigned pin)
{
	uint64_t entry = s->entries[pin];
	uint32_t bit = 1u << pin;

	if (!is_level(entry) || (entry & RTE_MASK) || !(s->asserted & ~s->remote_irr & bit))
		return;
	s->remote_irr |= bit;
	send(s, entry);
}

/* An edge on a masked pin is lost (82093AA data sheet, interrupt mask). */
static void set_pin(struct ioapic *s, unsigned pin, bool level)
{
	uint32_t bit = 1u << pin, before = s->asserted;
	uint64_t entry = s->entries[pin];

	if (!level) {
		s->asserted &= ~bit;
		return;
	}
	s->asserted |= bit;
	if (is_level(entry))
		service_level(s, pin);
	else if (!(before & bit) && !(entry & RTE_MASK))
		send(s, entry);
}

/* Line 2 is the cascade of the 8259 pair, which nothing drives; pin 0 is its output, which is wired
 * to the processor directly. */
static void set_line(void *dev, unsigned line, bool level)
{
	if (line == 0)
		set_pin(dev, 2, level);
	else if (line != 2 && line < IOAPIC_PINS)
		set_pin(dev, line, level);
}

static void end_of_interrupt(void *dev, unsigned vector)
{
	struct ioapic *s = dev;

	for (uint32_t waiting = s->remote_irr; waiting; waiting &= waiting - 1) {
		unsigned pin = (unsigned)__builtin_ctz(waiting);

		if ((s->entries[pin] & RTE_VECTOR) != vector)
			continue;
		s->remote_irr &= ~(1u << pin);
		service_level(s, pin);
	}
}

/* --- Registers --- */

static uint32_t read_entry(const struct ioapic *s, unsigned reg)
{
	unsigned pin = (reg - IOREDTBL) / 2;
	uint64_t entry = s->entries[pin];

	if (reg & 1)
		return (uint32_t)(entry >> 32);
	return (uint32_t)entry | (s->remote_irr >> pin & 1 ? (uint32_t)RTE_REMOTE_IRR : 0);
}

static uint32_t read_register(const struct ioapic *s)
{
	unsigned reg = s->select;

	if (reg - IOREDTBL < 2 * IOAPIC_PINS)
		return read_entry(s, reg);
	switch (reg) {
	case IOAPICID:
	case IOAPICARB: return s->id << 24;
	case IOAPICVER: return (IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION;
	default: return 0;
	}
}

/* Going over to edges forgets that an EOI is awaited: system software relies on it to get a stuck
 * pin going again. */
static void write_entry(struct ioapic *s, unsigned reg, uint32_t value)
{
	unsigned pin = (reg - IOREDTBL) / 2;
	uint64_t *entry = &s->entries[pin];

	if (reg & 1)
		*entry = ((uint64_t)value << 32 | (uint32_t)*entry) & RTE_WRITABLE;
	else
		*entry = ((*entry & ~UINT64_C(0xffffffff)) | value) & RTE_WRITABLE;
	if (!is_level(*entry))
		s->remote_irr &= ~(1u << pin);
	service_level(s, pin);
}

static void write_register(struct ioapic *s, uint32_t value)
{
	unsigned reg = s->select;

	if (reg - IOREDTBL < 2 * IOAPIC_PINS)
		write_entry(s, reg, value);
	else if (reg == IOAPICID)
		s->id = value >> 24 & 15;
}

/* Registers are to be accessed as doublewords; smaller reads get the bytes that they ask for. */
static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned size)
{
	const struct ioapic *s = dev;
	unsigned shift = (unsigned)(offset & 3) * 8;

	switch (offset & ~UINT64_C(3)) {
	case IOREGSEL: return s->select >> shift;
	case IOWIN: return read_register(s) >> shift;
	default: return 0;
	}
}

static void ioapic_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *s = dev;

	if (offset == IOREGSEL)
		s->select = (uint8_t)value;
	else if (offset == IOWIN && size >= 4)
		write_register(s, (uint32_t)value);
	else if (offset == IOEOI)
		end_of_interrupt(s, (uint8_t)value);
}

static const struct hc_region_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
	.sizes = 1 | 2 | 4,
};

/* --- Life --- */

static void ioapic_reset(struct hc_device *dev)
{
	struct ioapic *s = HC_CONTAINER_OF(dev, struct ioapic, dev);

	s->select = 0;
	s->id = s->reset_id;
	s->remote_irr = 0;
	s->asserted &= IOAPIC_ALL;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		s->entries[i] = RTE_MASK;
}

static void ioapic_destroy(struct hc_device *dev)
{
	struct ioapic *s = HC_CONTAINER_OF(dev, struct ioapic, dev);

	hc_platform_free(s, sizeof(*s));
}

static int ioapic_post_load(void *obj)
{
	struct ioapic *s = obj;

	if (s->select > 0xff || s->id > 15 || (s->asserted & ~IOAPIC_ALL) ||
	    (s->remote_irr & ~IOAPIC_ALL))
		return -EPROTO;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		if ((s->entries[i] & ~RTE_WRITABLE) ||
		    ((s->remote_irr >> i & 1) && !is_level(s->entries[i])))
			return -EPROTO;
	return 0;
}

static const struct hc_field ioapic_fields[] = {
	HC_FIELD(struct ioapic, select, 1),        HC_FIELD(struct ioapic, id, 1),
	HC_FIELD(struct ioapic, asserted, 1),      HC_FIELD(struct ioapic, remote_irr, 1),
	HC_FIELD_ARRAY(struct ioapic, entries, 1),
};

static const struct hc_state_desc ioapic_state = {
	.name = "ioapic",
	.version = 1,
	.fields = ioapic_fields,
	.field_count = HC_ARRAY_SIZE(ioapic_fields),
	.post_load = ioapic_post_load,
};

static const struct hc_device_ops ioapic_device = {
	.name = "ioapic",
	.reset = ioapic_reset,
	.destroy = ioapic_destroy,
	.state = &ioapic_state,
};

int ioapic_create(struct hc_vm *vm, const struct ioapic_config *config)
{
	struct ioapic *s;
	int rc;

	if (config->base & (HC_PAGE_SIZE - 1))
		return hc_error(-EINVAL, "IOAPIC: base %#llx is not a multiple of 4 KiB",
		                (unsigned long long)config->base);
	if (config->id > 15)
		return hc_error(-EINVAL, "IOAPIC: id %u, the register holds 0 to 15", config->id);
	s = hc_platform_alloc(sizeof(*s));
	if (!s)
		return hc_error(-ENOMEM, "IOAPIC: out of memory");
	s->reset_id = config->id;
	hc_device_add(vm, &s->dev, &ioapic_device);
	ioapic_reset(&s->dev);
	rc = hc_bus_add(vm, HC_SPACE_MEMORY,
	                &(struct hc_region){ .name = "ioapic",
	                                     .base = config->base,
	                                     .len = IOAPIC_WINDOW,
	                                     .ops = &ioapic_ops,
	                                     .dev = s });
	if (!rc)
		rc = hc_irq_add_sink(vm, set_line, s);
	if (!rc)
		rc = hc_irq_add_eoi_sink(vm, end_of_interrupt, s);
	return rc;
}
