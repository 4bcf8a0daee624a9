/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors in the GDT and the LDT.
 *
 *    63      56 55 52 51  48 47      40 39      32 31         16 15          0
 *   | base 31:24 | G D L A | limit 19:16 | P DPL S type | base 23:16 | base 15:0 | limit 15:0 |
 *
 * System descriptors of long mode have a second half with bits 63:32 of the base, and a type of 0
 * where an ordinary descriptor has its own (SDM Vol. 3A 7.2.3).
 */
#include "emu/x86_64/engine/system.h"

#define LIMIT_OF(low) ((uint32_t)(((low)&0xffff) | ((low) >> 32 & 0xf0000)))
#define BASE_OF(low)  (((low) >> 16 & 0xffffff) | ((low) >> 32 & 0xff000000))
#define ATTR_OF(low)  ((uint16_t)(((low) >> 40 & 0xff) | ((low) >> 44 & 0xf00)))

#define TYPE_BYTE 5 /* where the access byte is in a descriptor */

void emu_parse_descriptor(struct emu_descriptor *d, uint16_t selector)
{
	d->seg.selector = selector;
	d->seg.attr = ATTR_OF(d->low);
	d->seg.base = BASE_OF(d->low);
	d->seg.limit = LIMIT_OF(d->low);
	if (d->seg.attr & X86_ATTR_G)
		d->seg.limit = d->seg.limit << 12 | 0xfff;
}

static uint64_t table_address(const struct x86_state *s, uint64_t base, uint64_t offset)
{
	return emu_is_long(s) ? base + offset : (uint32_t)(base + offset);
}

/* Whether [offset, offset + 8) is in the table of selector, and its linear address. */
static bool locate(const struct x86_state *s, uint16_t selector, uint32_t offset, uint64_t *va)
{
	const struct x86_segment *ldt = &s->seg[X86_LDTR];

	if (selector & 4) {
		*va = table_address(s, ldt->base, offset);
		return emu_is_present(ldt) && offset + 7 <= ldt->limit;
	}
	*va = table_address(s, s->gdtr.base, offset);
	return offset + 7 <= s->gdtr.limit;
}

bool emu_find_descriptor(struct emu_cpu *c, uint16_t selector, struct emu_descriptor *d)
{
	if (!(selector & 0xfffc) || !locate(c->s, selector, selector & 0xfff8, &d->va))
		return false;
	emu_read(c, d->va, &d->low, 8, EMU_READ | EMU_SYSTEM);
	d->high = 0;
	emu_parse_descriptor(d, selector);
	return true;
}

bool emu_find_upper_half(struct emu_cpu *c, struct emu_descriptor *d)
{
	uint16_t selector = d->seg.selector;
	uint64_t va;

	if (!emu_is_long(c->s))
		return true;
	if (!locate(c->s, selector, (selector & 0xfff8u) + 8, &va))
		return false;
	emu_read(c, va, &d->high, 8, EMU_READ | EMU_SYSTEM);
	if (d->high >> 40 & 0x1f)
		return false;
	d->seg.base |= d->high << 32;
	return true;
}

void emu_need_descriptor(struct emu_cpu *c, uint16_t selector, enum x86_vector vector,
                         struct emu_descriptor *d)
{
	if (!emu_find_descriptor(c, selector, d))
		emu_raise_selector(c, vector, selector);
}

void emu_mark_descriptor(struct emu_cpu *c, struct emu_descriptor *d, uint8_t bits)
{
	uint8_t type = (uint8_t)(d->seg.attr | bits);

	if ((uint8_t)d->seg.attr == type)
		return;
	emu_write(c, d->va + TYPE_BYTE, &type, 1, EMU_WRITE | EMU_SYSTEM);
	d->seg.attr |= bits;
}
