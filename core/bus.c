/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/bus.h"

#include "core/bus_access.h"
#include "core/log.h"

void hc_dev_lock(struct hc_vm *vm)
{
	hc_lock(&vm->device_lock);
}

void hc_dev_unlock(struct hc_vm *vm)
{
	hc_unlock(&vm->device_lock);
}

/* Index of the first region that ends after addr. */
static unsigned find(const struct hc_bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct hc_region *r = &bus->regions[mid];

		if (addr - r->base < r->len)
			return mid;
		if (addr < r->base)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* Those that it takes and has room for. */
static uint8_t sizes_of(const struct hc_region *r)
{
	uint8_t all = r->len >= 8 ? 15 : r->len >= 4 ? 7 : r->len >= 2 ? 3 : 1;

	return r->ops->sizes ? r->ops->sizes & all : all;
}

int hc_bus_add(struct hc_vm *vm, enum hc_space space, const struct hc_region *region)
{
	struct hc_bus *bus = &vm->bus[space];

	if (!region->len || region->base + (region->len - 1) < region->base)
		return hc_error(-EINVAL, "device %s: region of %llu bytes at %#llx wraps around",
		                region->name, (unsigned long long)region->len,
		                (unsigned long long)region->base);
	unsigned at = find(bus, region->base);

	if (at < bus->count && bus->regions[at].base <= region->base + (region->len - 1))
		return hc_error(-EEXIST, "device %s at %#llx overlaps %s", region->name,
		                (unsigned long long)region->base, bus->regions[at].name);
	if (bus->count == HC_BUS_MAX_REGIONS)
		return hc_error(-ENOSPC, "device %s: no more than %d regions on a bus",
		                region->name, HC_BUS_MAX_REGIONS);
	for (unsigned i = bus->count; i > at; i--) {
		bus->regions[i] = bus->regions[i - 1];
		bus->sizes[i] = bus->sizes[i - 1];
	}
	bus->regions[at] = *region;
	bus->sizes[at] = sizes_of(region);
	bus->hint_shift = space == HC_SPACE_IO ? 0 : HC_PAGE_SHIFT;
	bus->count++;
	return 0;
}

/* The largest size up to want that region i takes at offset, and that ends inside it. */
static unsigned usable_size(const struct hc_bus *bus, unsigned i, uint64_t offset, unsigned want)
{
	unsigned size = want;

	while (size > 1 && (!(bus->sizes[i] & size) || size > bus->regions[i].len - offset))
		size /= 2;
	return size;
}

/* Where addr falls: the region, or NULL and how many bytes up to want no device has. */
static const struct hc_region *at_address(const struct hc_bus *bus, uint64_t addr, unsigned want,
                                          unsigned *size)
{
	unsigned i = find(bus, addr);
	const struct hc_region *r = &bus->regions[i];

	*size = want;
	if (i == bus->count)
		return NULL;
	if (addr >= r->base) {
		*size = usable_size(bus, i, addr - r->base, want);
		return r;
	}
	if (r->base - addr < want)
		*size = 1;
	return NULL;
}

/* Hints are only where to look first. */
static void set_hint(struct hc_bus *bus, uint64_t addr, const struct hc_region *r)
{
	atomic_store_explicit(hc_bus_hint(bus, addr), (uint8_t)(r - bus->regions),
	                      memory_order_relaxed);
}

_Static_assert(HC_BUS_MAX_REGIONS <= UINT8_MAX, "hints are bytes");

/* --- The long way: accesses that are split, cross a region's end or find nothing --- */

static int read_any(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size,
                    uint64_t *value)
{
	struct hc_bus *bus = &vm->bus[space];
	int rc = -ENOENT;
	unsigned n;

	*value = 0;
	hc_dev_lock(vm);
	for (unsigned done = 0; done < size; done += n) {
		unsigned want = size - done;
		const struct hc_region *r;
		uint64_t part;

		while (want & (want - 1))
			want &= want - 1;
		r = at_address(bus, addr + done, want, &n);
		if (r) {
			part = r->ops->read(r->dev, addr + done - r->base, n) & hc_bus_mask(n);
			set_hint(bus, addr + done, r);
			rc = 0;
		} else {
			part = hc_bus_mask(n);
			bus->unclaimed_reads++;
		}
		*value |= part << (done * 8);
	}
	hc_dev_unlock(vm);
	return rc;
}

uint64_t hc_bus_read_any(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size)
{
	uint64_t value;

	(void)read_any(vm, space, addr, size, &value);
	return value;
}

static __attribute__((noinline)) int write_any(struct hc_vm *vm, enum hc_space space, uint64_t addr,
                                               unsigned size, uint64_t value)
{
	struct hc_bus *bus = &vm->bus[space];
	int rc = -ENOENT;
	unsigned n;

	hc_dev_lock(vm);
	for (unsigned done = 0; done < size; done += n) {
		unsigned want = size - done;
		const struct hc_region *r;

		while (want & (want - 1))
			want &= want - 1;
		r = at_address(bus, addr + done, want, &n);
		if (r) {
			r->ops->write(r->dev, addr + done - r->base, n,
			              value >> (done * 8) & hc_bus_mask(n));
			set_hint(bus, addr + done, r);
			rc = 0;
		} else {
			bus->unclaimed_writes++;
		}
	}
	hc_dev_unlock(vm);
	return rc;
}

/* --- Accesses --- */

int hc_bus_read(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size,
                uint64_t *value)
{
	return read_any(vm, space, addr, size, value);
}

int hc_bus_write(struct hc_vm *vm, enum hc_space space, uint64_t addr, unsigned size,
                 uint64_t value)
{
	const struct hc_region *r = hc_bus_hinted(&vm->bus[space], addr, size);

	if (!r)
		return write_any(vm, space, addr, size, value);
	hc_lock(&vm->device_lock);
	r->ops->write(r->dev, addr - r->base, size, value & hc_bus_mask(size));
	hc_unlock(&vm->device_lock);
	return 0;
}
