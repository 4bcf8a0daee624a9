/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to a bus without a call, for exit handlers: nearly all are of a region that was accessed
 * before, by a size that it takes.
 */
#ifndef CORE_BUS_ACCESS_H
#define CORE_BUS_ACCESS_H

#include "core/vm.h"

/* The low size bytes (1, 2, 4, 8). */
static inline uint64_t hc_bus_mask(unsigned size)
{
	static const uint64_t mask[9] = { 0, 0xff, 0xffff, 0, UINT32_MAX, 0, 0, 0, UINT64_MAX };

	return mask[size];
}

static inline _Atomic uint8_t *hc_bus_hint(struct hc_bus *bus, uint64_t addr)
{
	return &bus->hints[(addr >> bus->hint_shift) % HC_BUS_HINTS];
}

/* The region that takes the access as it is, if it is where the hint says; else NULL. */
static inline const struct hc_region *hc_bus_hinted(struct hc_bus *bus, uint64_t addr,
                                                    unsigned size)
{
	unsigned i = atomic_load_explicit(hc_bus_hint(bus, addr), memory_order_relaxed);
	bool takes_it = (bus->sizes[i] & size) != 0; /* then it has as many bytes */
	const struct hc_region *r = bus->regions + i;

	return takes_it && addr - r->base <= r->len - size ? r : NULL;
}

/* Makes the access if the region is where the hint says and nobody else holds the device lock:
 * waiting for it would want registers of those who do not have to. False: nothing was done. *value
 * has anything above the low size bytes. */
static inline __attribute__((always_inline)) bool hc_bus_try_read(struct hc_vm *vm,
                                                                  enum hc_space space,
                                                                  uint64_t addr, unsigned size,
                                                                  uint64_t *value)
{
	const struct hc_region *r = hc_bus_hinted(&vm->bus[space], addr, size);

	if (!r || !hc_try_lock(&vm->device_lock))
		return false;
	*value = r->ops->read(r->dev, addr - r->base, size);
	hc_unlock(&vm->device_lock);
	return true;
}

/* The same; of value the low size bytes are written. */
static inline __attribute__((always_inline)) bool hc_bus_try_write(struct hc_vm *vm,
                                                                   enum hc_space space,
                                                                   uint64_t addr, unsigned size,
                                                                   uint64_t value)
{
	const struct hc_region *r = hc_bus_hinted(&vm->bus[space], addr, size);

	if (!r || !hc_try_lock(&vm->device_lock))
		return false;
	r->ops->write(r->dev, addr - r->base, size, value & hc_bus_mask(size));
	hc_unlock(&vm->device_lock);
	return true;
}

/* Internal to this header: the long way. */
uint64_t hc_bus_read_any(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size);

/* hc_bus_read_value() with anything above the low size bytes. */
static inline __attribute__((always_inline)) uint64_t hc_bus_read_raw(struct hc_vm *vm,
                                                                      enum hc_space space,
                                                                      uint64_t addr, unsigned size)
{
	uint64_t value;

	return hc_bus_try_read(vm, space, addr, size, &value)
	               ? value
	               : hc_bus_read_any(vm, space, addr, size);
}

/* The value of hc_bus_read(), for those to whom it is the same whether a device answered. */
static inline __attribute__((always_inline)) uint64_t hc_bus_read_value(struct hc_vm *vm,
                                                                        enum hc_space space,
                                                                        uint64_t addr,
                                                                        unsigned size)
{
	return hc_bus_read_raw(vm, space, addr, size) & hc_bus_mask(size);
}

#endif
