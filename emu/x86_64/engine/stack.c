/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames on stacks: what far transfers, events and their returns push and pop at once (SDM Vol. 3A
 * 6.12.1, 6.14.2).
 */
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/system.h"

#define FRAME_WORDS 40 /* a call gate copies up to 31 parameters */
#define PIECE       64 /* the most that one access moves */

struct emu_stack emu_present_stack(struct emu_cpu *c)
{
	const struct x86_state *s = c->s;
	bool flat = emu_is_64(c);

	return (struct emu_stack){
		.ss = &s->seg[X86_SS],
		.sp = s->gpr[X86_RSP],
		.mask = flat ? UINT64_MAX : emu_sp_mask(&s->seg[X86_SS]),
		.flat = flat,
		.error = c->delivering ? EMU_ERROR_EXT : 0,
	};
}

void emu_set_sp(struct x86_state *s, const struct emu_stack *st)
{
	uint64_t *rsp = &s->gpr[X86_RSP];

	*rsp = st->mask == UINT16_MAX ? (*rsp & ~st->mask) | (st->sp & st->mask)
	                              : st->sp & st->mask;
}

/* SDM Vol. 3A 5.3 */
static bool is_within_limit(const struct x86_segment *ss, uint64_t first, uint64_t last)
{
	if ((ss->attr & 0xc) == 4) /* expand-down */
		return first > ss->limit && last <= emu_sp_mask(ss);
	return last <= ss->limit;
}

/* The linear address of size bytes at offset, which do not wrap around. */
static uint64_t stack_linear(struct emu_cpu *c, const struct emu_stack *st, uint64_t offset,
                             unsigned size)
{
	uint64_t last = offset + size - 1;

	if (st->flat) {
		if (EMU_UNLIKELY(!emu_is_canonical(c->s, offset) || !emu_is_canonical(c->s, last)))
			emu_raise_code(c, NULL, X86_VEC_SS, st->error);
		return offset;
	}
	if (EMU_UNLIKELY(!is_within_limit(st->ss, offset, last)))
		emu_raise_code(c, NULL, X86_VEC_SS, st->error);
	return (uint32_t)(st->ss->base + offset);
}

/* Whether n words from offset up do not wrap around the end of the stack's offsets. */
static bool is_straight(const struct emu_stack *st, uint64_t offset, unsigned size)
{
	return offset + size - 1 <= st->mask && offset + size - 1 >= offset;
}

static void put_word(uint8_t *p, uint64_t v, unsigned width)
{
	if (width == 8) {
		memcpy(p, &v, 8);
	} else if (width == 4) {
		uint32_t v32 = (uint32_t)v;

		memcpy(p, &v32, 4);
	} else {
		uint16_t v16 = (uint16_t)v;

		memcpy(p, &v16, 2);
	}
}

static uint64_t get_word(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	if (width == 8)
		memcpy(&v, p, 8);
	else if (width == 4)
		memcpy(&v, p, 4);
	else
		memcpy(&v, p, 2);
	return v;
}

void emu_probe_push(struct emu_cpu *c, const struct emu_stack *st, unsigned n, unsigned width)
{
	uint64_t low = (st->sp - n * width) & st->mask;

	if (is_straight(st, low, n * width)) {
		emu_probe(c, NULL, stack_linear(c, st, low, n * width), n * width,
		          EMU_WRITE | st->access);
		return;
	}
	for (unsigned i = 1; i <= n; i++) {
		low = (st->sp - i * width) & st->mask;
		emu_probe(c, NULL, stack_linear(c, st, low, width), width, EMU_WRITE | st->access);
	}
}

static void write_pieces(struct emu_cpu *c, uint64_t va, const uint8_t *p, unsigned size,
                         unsigned access)
{
	unsigned at = 0;

	if (size > PIECE)
		emu_probe(c, NULL, va, size, access);
	for (; size - at > PIECE; at += PIECE)
		emu_write(c, va + at, p + at, PIECE, access);
	emu_write(c, va + at, p + at, size - at, access);
}

void emu_push_words(struct emu_cpu *c, struct emu_stack *st, const uint64_t *words, unsigned n,
                    unsigned width)
{
	uint8_t frame[FRAME_WORDS * 8];
	unsigned size = n * width, access = EMU_WRITE | st->access;
	uint64_t low = (st->sp - size) & st->mask;

	for (unsigned i = 0; i < n; i++)
		put_word(frame + (n - 1 - i) * width, words[i], width);
	if (is_straight(st, low, size)) {
		write_pieces(c, stack_linear(c, st, low, size), frame, size, access);
	} else {
		emu_probe_push(c, st, n, width);
		for (unsigned i = 0; i < n; i++) {
			uint64_t at = (low + i * width) & st->mask;

			emu_write(c, stack_linear(c, st, at, width), frame + i * width, width,
			          access);
		}
	}
	st->sp = low;
}

void emu_pop_words(struct emu_cpu *c, struct emu_stack *st, uint64_t *words, unsigned n,
                   unsigned width)
{
	uint8_t frame[PIECE * 2];
	unsigned size = n * width, access = EMU_READ | st->access;
	uint64_t low = st->sp & st->mask;

	if (is_straight(st, low, size) && size <= PIECE) {
		emu_read(c, stack_linear(c, st, low, size), frame, size, access);
	} else {
		for (unsigned i = 0; i < n; i++) {
			uint64_t at = (low + i * width) & st->mask;

			emu_read(c, stack_linear(c, st, at, width), frame + i * width, width,
			         access);
		}
	}
	for (unsigned i = 0; i < n; i++)
		words[i] = get_word(frame + i * width, width);
	st->sp = (low + size) & st->mask;
}

/* --- The stacks that the TSS names --- */

#define TSS16_SP0  2
#define TSS32_ESP0 4
#define TSS64_RSP0 4
#define TSS64_IST1 36

/* size bytes at offset of the TSS. */
static uint64_t read_tss(struct emu_cpu *c, unsigned offset, unsigned size)
{
	const struct x86_segment *tr = &c->s->seg[X86_TR];
	uint64_t va = tr->base + offset, v = 0;

	if (!emu_is_present(tr) || offset + size - 1 > tr->limit)
		emu_raise_selector(c, X86_VEC_TS, tr->selector);
	emu_read(c, emu_is_long(c->s) ? va : (uint32_t)va, &v, size, EMU_READ | EMU_SYSTEM);
	return v;
}

uint64_t emu_tss_stack(struct emu_cpu *c, unsigned cpl, unsigned ist, uint16_t *selector)
{
	unsigned type = X86_ATTR_TYPE(c->s->seg[X86_TR].attr);
	uint64_t v;

	if (emu_is_long(c->s))
		return read_tss(c, ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + cpl * 8, 8);
	if (type == EMU_DESC_TSS16 || type == EMU_DESC_TSS16_BUSY) {
		v = read_tss(c, TSS16_SP0 + cpl * 4, 4);
		*selector = (uint16_t)(v >> 16);
		return (uint16_t)v;
	}
	v = read_tss(c, TSS32_ESP0 + cpl * 8, 6);
	*selector = (uint16_t)(v >> 32);
	return (uint32_t)v;
}
