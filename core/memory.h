/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest physical memory: slots of RAM and ROM, backed by host memory and mapped in stage 2.
 *
 * Slots change only while no vCPU runs. Reading and writing through these functions needs no lock.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <hypercore/types.h>
#include <stdatomic.h>

struct hc_vm;
struct mm_ops;

enum hc_slot_flags {
	HC_SLOT_READONLY = 1 << 0, /* guest writes go to the bus, as for a ROM */
	HC_SLOT_OWNED = 1 << 1,    /* taken from the platform by the core, given back by it */
	HC_SLOT_RAW = 1 << 2       /* from hc_platform_alloc_raw(), to be cleared */
};

struct hc_slot {
	uint64_t gpa, size; /* multiples of the page size */
	uint8_t *host;
	uint32_t flags;
	/* By block (core/touch.h): not cleared yet, and then: somebody does; NULL: all are. And how
	 * many are not in stage 2 yet; the memory lock's. */
	_Atomic uint64_t *raw;
	uint64_t unmapped;
	/* The dirty log's (core/dirty.h), a bit for each page in each; NULL until there was one. */
	_Atomic(uint64_t) *marked; /* written and not collected */
	uint64_t *taken, *ever;    /* at the last collection; since the start */
};

#define HC_MAX_SLOTS 64

struct hc_memory {
	struct hc_slot slots[HC_MAX_SLOTS]; /* by gpa */
	unsigned count;
	uint64_t total; /* bytes of RAM */
};

/* Before there is memory: stage 2, if it is the core's, will have pages of 4 KiB only. */
void hc_vm_use_small_pages(struct hc_vm *vm);

/* Adds [gpa, gpa + size) backed by host, which the VM sees as it is, and maps it. -EINVAL
 * (alignment, wrap, beyond the VM's gpa_bits), -EEXIST (overlap), -ENOSPC (too many slots),
 * -ENOMEM (stage-2 tables), -EBUSY (writes are being logged). */
int hc_vm_add_slot(struct hc_vm *vm, gpa_t gpa, uint64_t size, void *host, uint32_t flags);

/* Adds RAM taken from the platform, in as large pieces as it has, zeroed when it is first touched.
 * Same errors. */
int hc_vm_add_ram(struct hc_vm *vm, gpa_t gpa, uint64_t size);

/* Lets the guest reach a device of the physical machine's at [hpa, hpa + size), uncached, while no
 * vCPU runs. Devices come after memory: a slot that is added over one takes its place. -EINVAL
 * (alignment, wrap, beyond the VM's gpa_bits), -EEXIST (there is memory), -ENOMEM (stage-2
 * tables), -EOPNOTSUPP if the backend keeps its own stage 2. */
int hc_vm_map_device(struct hc_vm *vm, gpa_t gpa, uint64_t size, hpa_t hpa);

/* Internal to the core: makes the empty stage 2 (an error of s2_init) for addresses of gpa_bits,
 * see struct hc_vm_config; frees it, and all slots with the memory that the core owns. */
int hc_vm_init_memory(struct hc_vm *vm, unsigned gpa_bits);
void hc_vm_free_memory(struct hc_vm *vm);

/* Of a stage 2 that is no VM's, such as a backend's test guest's: tables in the platform's memory.
 * ctx is not looked at, nothing is invalidated: CPUs begin to walk the tables when they are
 * complete. The caller makes them visible to walkers that a fence does not bind. */
extern const struct mm_ops hc_lone_tables;

/* The slot that has gpa, or NULL. */
struct hc_slot *hc_mem_slot(struct hc_memory *m, uint64_t gpa);

/* Host pointer to [gpa, gpa + len), or NULL if that is not within one slot of RAM (want_write: of
 * writable RAM). Who writes through it while the VM runs calls hc_mem_wrote() afterwards. */
void *hc_mem_ptr(struct hc_vm *vm, gpa_t gpa, uint64_t len, bool want_write);

/* The range, all of it RAM, was written by something else than a vCPU: it goes to the dirty log,
 * and vCPUs may hold code that was translated from there. hc_mem_write() tells by itself. */
void hc_mem_wrote(struct hc_vm *vm, gpa_t gpa, uint64_t len);

/* Copy; the range may span slots. -EFAULT if any part of it is not RAM; nothing is copied then. */
int hc_mem_read(struct hc_vm *vm, gpa_t gpa, void *buf, uint64_t len);
int hc_mem_write(struct hc_vm *vm, gpa_t gpa, const void *buf, uint64_t len);

#endif
