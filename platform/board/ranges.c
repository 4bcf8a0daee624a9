/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/ranges.h"

#include <hypercore/freestanding.h>

static void delete_at(struct ranges *l, unsigned i)
{
	l->count--;
	memmove(&l->r[i], &l->r[i + 1], (l->count - i) * sizeof(l->r[0]));
}

static void insert_at(struct ranges *l, unsigned i, uint64_t base, uint64_t end)
{
	if (l->count == RANGES_MAX) {
		l->full = true;
		return;
	}
	memmove(&l->r[i + 1], &l->r[i], (l->count - i) * sizeof(l->r[0]));
	l->r[i].base = base;
	l->r[i].end = end;
	l->count++;
}

void ranges_add(struct ranges *l, uint64_t base, uint64_t end)
{
	unsigned i = 0;

	if (base >= end)
		return;
	while (i < l->count && l->r[i].end < base)
		i++;
	while (i < l->count && l->r[i].base <= end) {
		base = hc_min(base, l->r[i].base);
		end = hc_max(end, l->r[i].end);
		delete_at(l, i);
	}
	insert_at(l, i, base, end);
}

void ranges_remove(struct ranges *l, uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < l->count;) {
		uint64_t b = l->r[i].base, e = l->r[i].end;

		if (base >= end || e <= base || b >= end) {
			i++;
			continue;
		}
		delete_at(l, i);
		if (b < base)
			insert_at(l, i++, b, base);
		if (e > end)
			insert_at(l, i++, end, e);
	}
}

uint64_t ranges_take(struct ranges *l, uint64_t size, uint64_t align, uint64_t limit)
{
	for (unsigned i = l->count; i-- > 0;) {
		uint64_t end = hc_min(l->r[i].end, limit);
		uint64_t at = end < size ? 0 : HC_ALIGN_DOWN(end - size, align);

		if (at && at >= l->r[i].base) {
			ranges_remove(l, at, at + size);
			return at;
		}
	}
	return 0;
}

bool ranges_contain(const struct ranges *l, uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < l->count; i++)
		if (base >= l->r[i].base && base <= end && end <= l->r[i].end)
			return true;
	return false;
}

bool ranges_intersect(const struct ranges *l, uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < l->count; i++)
		if (base < l->r[i].end && l->r[i].base < end)
			return true;
	return false;
}

uint64_t ranges_total(const struct ranges *l)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < l->count; i++)
		total += l->r[i].end - l->r[i].base;
	return total;
}
