/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two address spaces that devices answer in: I/O ports and guest physical memory.
 *
 * Regions are added while the machine is built, before the VM first runs, and stay until it is
 * destroyed. Accesses take the VM's device lock around the device's callback, so that a device
 * model is single-threaded code.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <hypercore/types.h>

struct hc_vm;

enum hc_space { HC_SPACE_IO, HC_SPACE_MEMORY, HC_SPACE_COUNT };

/* offset is from the region's base; size is 1, 2, 4 or 8 and never crosses the region's end.
 * read returns the value in the low size bytes. */
struct hc_region_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
	void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
	/* Sizes the device takes, as a mask of 1 | 2 | 4 | 8; 0 means all. Others are split into
	 * the largest smaller size that it takes, lowest address first. */
	uint8_t sizes;
};

struct hc_region {
	const char *name; /* for traces and messages */
	uint64_t base, len;
	const struct hc_region_ops *ops;
	void *dev;
};

#define HC_BUS_MAX_REGIONS 64
#define HC_BUS_HINTS       64 /* a power of two */

struct hc_bus {
	/* By the low bits of an address >> hint_shift: where its region was the last time. */
	_Atomic uint8_t hints[HC_BUS_HINTS];
	uint8_t hint_shift;                           /* ports are told apart, memory by pages */
	uint8_t sizes[HC_BUS_MAX_REGIONS];            /* that a region takes and has room for */
	struct hc_region regions[HC_BUS_MAX_REGIONS]; /* sorted by base */
	unsigned count;
	uint64_t unclaimed_reads, unclaimed_writes;
};

/* -EEXIST if it overlaps another region, -ENOSPC if the table is full, -EINVAL if empty or it
 * wraps. The region is copied. */
int hc_bus_add(struct hc_vm *vm, enum hc_space space, const struct hc_region *region);

/* A guest's access of 1, 2, 4 or 8 bytes. Where no device answers, reads give all ones and writes
 * are dropped, as on a PC's bus; both are counted. An access that crosses a region's end is split.
 * Returns 0, or -ENOENT if no device answered any part of it. */
int hc_bus_read(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size,
                uint64_t *value);
int hc_bus_write(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size,
                 uint64_t value);

/* The lock that device callbacks run under. For code that enters a device from elsewhere: input
 * from the outside, end-of-interrupt broadcasts. */
void hc_dev_lock(struct hc_vm *vm);
void hc_dev_unlock(struct hc_vm *vm);

#endif
