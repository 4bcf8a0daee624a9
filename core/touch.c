/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/touch.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/vm.h"

/* --- Raw blocks: a bit for each in two bitmaps, one after the other --- */

static uint64_t blocks_of(const struct hc_slot *slot)
{
	return slot->size / HC_BLOCK_SIZE;
}

static uint64_t words_of(const struct hc_slot *slot)
{
	return hc_bitmap_words(blocks_of(slot));
}

static bool is_raw(const struct hc_slot *slot, uint64_t block)
{
	return atomic_load_explicit(&slot->raw[block / 64], memory_order_acquire) >> block % 64 & 1;
}

/* Whether the caller is the one to clear it. */
static bool claim(struct hc_slot *slot, uint64_t block)
{
	_Atomic uint64_t *claimed = &slot->raw[words_of(slot)];

	return !(atomic_fetch_or(&claimed[block / 64], HC_BIT(block % 64)) & HC_BIT(block % 64));
}

void hc_mem_clean(struct hc_vm *vm, const void *p, uint64_t size)
{
	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++)
		if (vm->parts[i].ops->clean)
			vm->parts[i].ops->clean(p, size);
}

/* Gives a block contents: data, or zeros. False: somebody else does, or did, give it zeros. */
static __attribute__((noinline)) bool fill_block(struct hc_vm *vm, struct hc_slot *slot,
                                                 uint64_t block, const void *data)
{
	uint8_t *host = slot->host + block * HC_BLOCK_SIZE;

	if (!claim(slot, block)) {
		while (is_raw(slot, block))
			hc_platform_relax();
		return false;
	}
	if (data)
		memcpy(host, data, HC_BLOCK_SIZE);
	else
		hc_platform_clear(host, HC_BLOCK_SIZE);
	hc_mem_clean(vm, host, HC_BLOCK_SIZE);
	atomic_fetch_and(&slot->raw[block / 64], ~HC_BIT(block % 64));
	return true;
}

void hc_slot_clear_blocks(struct hc_vm *vm, struct hc_slot *slot, uint64_t first, uint64_t last)
{
	for (uint64_t block = first; block <= last; block++)
		if (is_raw(slot, block))
			(void)fill_block(vm, slot, block, NULL);
}

bool hc_slot_fill_block(struct hc_vm *vm, struct hc_slot *slot, uint64_t offset, const void *data)
{
	uint64_t block = offset / HC_BLOCK_SIZE;

	return offset % HC_BLOCK_SIZE == 0 && is_raw(slot, block) &&
	       fill_block(vm, slot, block, data);
}

/* --- Slots --- */

/* Those that are not told of faults want all memory there. */
static bool all_walk(const struct hc_vm *vm)
{
	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++)
		if (!vm->parts[i].ops->s2_format)
			return false;
	return true;
}

static int make_bitmaps(struct hc_slot *slot)
{
	uint64_t words = words_of(slot);

	slot->raw = hc_platform_alloc(2 * words * sizeof(*slot->raw));
	if (!slot->raw)
		return -ENOMEM;
	for (uint64_t i = 0; i < words; i++)
		atomic_store_explicit(&slot->raw[i], ~UINT64_C(0), memory_order_relaxed);
	slot->unmapped = blocks_of(slot);
	return 0;
}

int hc_slot_defer(struct hc_vm *vm, struct hc_slot *slot)
{
	gpa_t gpa = gpa_of(slot->gpa);

	if (!all_walk(vm) || (slot->gpa | slot->size | (uintptr_t)slot->host) % HC_BLOCK_SIZE)
		return -EOPNOTSUPP;
	int rc = make_bitmaps(slot);

	if (!rc)
		rc = s2_unmap(&vm->s2, gpa, slot->size);
	if (!rc)
		rc = s2_reserve(&vm->s2, gpa, slot->size, HC_BLOCK_SIZE);
	if (rc)
		hc_slot_release(slot);
	return rc;
}

void hc_slot_release(struct hc_slot *slot)
{
	if (slot->raw)
		hc_platform_free(slot->raw, 2 * words_of(slot) * sizeof(*slot->raw));
	slot->raw = NULL;
}

/* --- Mapping --- */

/* A dirty log wants to tell its pages apart, of which nobody has written any. */
static int map_block(struct hc_vm *vm, struct hc_slot *slot, uint64_t block)
{
	uint64_t at = block * HC_BLOCK_SIZE, end = at + HC_BLOCK_SIZE;
	uint64_t step = vm->s2.logging ? HC_PAGE_SIZE : HC_BLOCK_SIZE;
	unsigned attr = S2_RWX | S2_WB | (vm->s2.logging ? S2_CLEAN : 0);
	int rc = 0;

	hc_slot_clear_blocks(vm, slot, block, block);
	for (; !rc && at < end; at += step)
		rc = s2_map(&vm->s2, gpa_of(slot->gpa + at), hc_platform_to_hpa(slot->host + at),
		            step, attr);
	if (!rc)
		slot->unmapped--;
	return rc;
}

int hc_mem_reserve_pages(struct hc_vm *vm)
{
	struct hc_memory *m = &vm->memory;
	int rc = 0;

	for (unsigned i = 0; !rc && i < m->count; i++)
		if (m->slots[i].raw && m->slots[i].unmapped)
			rc = s2_reserve(&vm->s2, gpa_of(m->slots[i].gpa), m->slots[i].size,
			                HC_PAGE_SIZE);
	return rc;
}

static struct hc_slot *deferred_slot(struct hc_vm *vm, gpa_t gpa)
{
	struct hc_slot *slot = hc_mem_slot(&vm->memory, gpa.v);

	return slot && slot->raw ? slot : NULL;
}

int hc_mem_walk(struct hc_vm *vm, gpa_t gpa, struct s2_mapping *mapping)
{
	int rc = s2_walk(&vm->s2, gpa, mapping);
	struct hc_slot *slot = rc == -EFAULT ? deferred_slot(vm, gpa) : NULL;

	if (!slot)
		return rc;
	rc = map_block(vm, slot, (gpa.v - slot->gpa) / HC_BLOCK_SIZE);
	return rc ? rc : s2_walk(&vm->s2, gpa, mapping);
}

void hc_mem_fault(struct hc_vm *vm, gpa_t gpa)
{
	struct hc_slot *slot = deferred_slot(vm, gpa);
	struct s2_mapping mapping;

	if (!slot)
		return;
	hc_slot_touch(vm, slot, gpa.v - slot->gpa, 1);
	hc_lock(&vm->memory_lock);
	uint64_t before = slot->unmapped;
	int rc = hc_mem_walk(vm, gpa, &mapping);

	/* The last one: pages as large as they would be if it had been mapped at once. */
	if (before && !slot->unmapped)
		(void)s2_merge(&vm->s2, gpa_of(slot->gpa), slot->size);
	hc_unlock(&vm->memory_lock);
	if (rc)
		hc_vm_fail(vm, "memory at %#llx cannot be mapped (error %d)",
		           (unsigned long long)gpa.v, -rc);
}
