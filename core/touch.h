/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM is cleared, cleaned from the caches and mapped when it is first touched: a guest that boots
 * touches a small part of its memory, and waits for no other.
 *
 *    raw ---- anybody's first access ----> clear ---- a vCPU's first access ----> mapped
 *              hc_slot_touch()                             hc_mem_walk()
 *
 * This goes block by block: so much at a time as an exit may take. All that may fail was done when
 * the memory was added: the pages are the VM's, and so are the tables that lead to its blocks.
 *
 * Locking: clearing takes no lock, since devices' accesses come here under theirs; one CPU clears a
 * block, others wait for that block. Mapping is the memory lock's.
 */
#ifndef CORE_TOUCH_H
#define CORE_TOUCH_H

#include "core/memory.h"
#include "mmu/stage2.h"

#define HC_BLOCK_ORDER 9
#define HC_BLOCK_SIZE  (HC_PAGE_SIZE << HC_BLOCK_ORDER)

/* A slot of whole, aligned blocks that is not yet the VM's, from hc_platform_alloc_raw(): it
 * becomes so block by block. -ENOMEM; -EOPNOTSUPP: not in this VM, whose backends do not all come
 * here, or not with this slot. Memory lock held. */
int hc_slot_defer(struct hc_vm *vm, struct hc_slot *slot);

/* What hc_slot_defer() allocated, if it was called. */
void hc_slot_release(struct hc_slot *slot);

void hc_slot_clear_blocks(struct hc_vm *vm, struct hc_slot *slot, uint64_t first, uint64_t last);

/* Of a slot with raw blocks, before HC_BLOCK_SIZE bytes of data are written to it at offset: if
 * they are a block that nobody has touched, writes them there instead of zeros, and sees to it that
 * guests find them. False: nothing was done. */
bool hc_slot_fill_block(struct hc_vm *vm, struct hc_slot *slot, uint64_t offset, const void *data);

/* Before the hypervisor's own access to len bytes, at least 1, within the slot: they can be read
 * and written. Any context but an interrupt's. */
static inline void hc_slot_touch(struct hc_vm *vm, struct hc_slot *slot, uint64_t offset,
                                 uint64_t len)
{
	if (slot->raw)
		hc_slot_clear_blocks(vm, slot, offset / HC_BLOCK_SIZE,
		                     (offset + (len - 1)) / HC_BLOCK_SIZE);
}

/* s2_walk(), after which RAM is mapped that was not yet. Memory lock held. */
int hc_mem_walk(struct hc_vm *vm, gpa_t gpa, struct s2_mapping *mapping);

/* A vCPU's access to RAM at gpa exited. It may be repeated, unless a dirty log wants to know of
 * it. In the exit's handler, no lock held. */
void hc_mem_fault(struct hc_vm *vm, gpa_t gpa);

/* Before s2_log_start(), which splits what is mapped: what is not will be mapped by pages. Memory
 * lock held. -ENOMEM. */
int hc_mem_reserve_pages(struct hc_vm *vm);

/* For each of the VM's backends: guests see in memory what is in the caches of [p, p + size). */
void hc_mem_clean(struct hc_vm *vm, const void *p, uint64_t size);

#endif
