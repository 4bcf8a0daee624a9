/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses that stage 2 does not allow: device memory, writes to ROM, and what is nowhere.
 *
 * Nearly all of them are plain loads and stores of one register, which the hardware describes; the
 * others are decoded and carried out here.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/internal.h"
#include "core/bus_access.h"
#include "core/log.h"

/* --- Accesses that the hardware described --- */

static uint64_t extend(const struct hc_exit_stage2 *a, uint64_t value)
{
	unsigned shift = 64 - a->width * 8u;

	if (!a->is_signed)
		return value;
	value = (uint64_t)((int64_t)(value << shift) >> shift);
	return a->is_64 ? value : (uint32_t)value;
}

/* False: nothing answers. */
static bool read_device(struct hc_vm *vm, uint64_t gpa, unsigned width, uint64_t *value)
{
	const struct hc_region *r = hc_bus_hinted(&vm->bus[HC_SPACE_MEMORY], gpa, width);

	if (!r || !hc_try_lock(&vm->device_lock))
		return !hc_bus_read(vm, HC_SPACE_MEMORY, gpa, width, value);
	*value = a64_low_bytes(r->ops->read(r->dev, gpa - r->base, width), width);
	hc_unlock(&vm->device_lock);
	return true;
}

/* What is written to ROM is lost. */
static bool write_device(struct hc_vm *vm, uint64_t gpa, unsigned width, uint64_t value)
{
	return !hc_bus_write(vm, HC_SPACE_MEMORY, gpa, width, value) ||
	       hc_mem_ptr(vm, gpa_of(gpa), width, false);
}

static int do_described(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	struct a64_state *s = a64_state_of(vcpu);
	bool write = a->access == HC_ACCESS_WRITE;
	uint64_t value;

	if (write ? !write_device(vcpu->vm, a->gpa.v, a->width,
	                          a64_low_bytes(a64_get_x(s, a->rt), a->width))
	          : !read_device(vcpu->vm, a->gpa.v, a->width, &value)) {
		a64_raise_external(vcpu, a->gva, false, write);
		return HC_ACT_RESUME;
	}
	if (!write)
		a64_set_x(s, a->rt, extend(a, value));
	a64_skip(vcpu, exit->pc + 4);
	return HC_ACT_RESUME;
}

/* --- Dispatch --- */

/* Not a device's: what it comes to. */
static __attribute__((noinline)) bool is_settled(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;
	bool write = a->access == HC_ACCESS_WRITE;
	struct hc_vm *vm = vcpu->vm;

	/* Mapped meanwhile; or write-protected for the dirty log, where a walk that sets flags in a
	 * table writes as well. */
	if (hc_mem_ptr(vm, a->gpa, 1, write || a->in_walk)) {
		if (vm->s2.format && (write || a->in_walk)) {
			hc_lock(&vm->memory_lock);
			(void)s2_log_fault(&vm->s2, a->gpa);
			hc_unlock(&vm->memory_lock);
		}
		return true;
	}
	if (!a->in_walk && a->access != HC_ACCESS_EXEC)
		return false;
	a64_raise_external(vcpu, a->gva, a->access == HC_ACCESS_EXEC, false);
	return true;
}

/* The page, and the memory slots with which it is a device's; never 0. */
static inline uint64_t device_page(const struct hc_vcpu *vcpu, uint64_t gpa)
{
	return HC_ALIGN_DOWN(gpa, HC_PAGE_SIZE) | (vcpu->vm->memory.count + 1);
}

static inline bool is_known_device(struct hc_vcpu *vcpu, const struct hc_exit_stage2 *a)
{
	return !a->in_walk && a->access != HC_ACCESS_EXEC &&
	       a64_vcpu_of(vcpu)->device_page == device_page(vcpu, a->gpa.v);
}

int a64_exit_stage2(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_stage2 *a = &exit->u.stage2;

	if (!is_known_device(vcpu, a)) {
		if (is_settled(vcpu, exit))
			return HC_ACT_RESUME;
		if (!hc_mem_ptr(vcpu->vm, a->gpa, 1, false))
			a64_vcpu_of(vcpu)->device_page = device_page(vcpu, a->gpa.v);
	}
	if (a->is_cache) {
		a64_skip(vcpu, exit->pc + 4); /* devices are not cached */
		return HC_ACT_RESUME;
	}
	if (a->described)
		return do_described(vcpu, exit);
	return -ENOSYS;
}

/* --- Accesses that the backend decoded --- */

int a64_exit_bus(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct hc_exit_bus *b = &exit->u.bus;

	if (b->space != HC_SPACE_MEMORY || !hc_bus_mask(b->width < 9 ? b->width : 0))
		return hc_error(-EINVAL, "%s: %u bytes in space %u", vcpu->vm->name, b->width,
		                b->space);
	if (b->write)
		(void)hc_bus_write(vcpu->vm, HC_SPACE_MEMORY, b->address, b->width, *b->value);
	else
		*b->value = hc_bus_read_value(vcpu->vm, HC_SPACE_MEMORY, b->address, b->width);
	return HC_ACT_RESUME;
}
