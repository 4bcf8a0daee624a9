/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every device model has: a name, a reset, and one description of its state.
 *
 * A device embeds struct hc_device as its first member. It is created by its own xxx_create(vm,
 * config), which allocates it, adds its regions and registers it here; the VM owns it from then on.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/list.h"

struct hc_vm;
struct hc_device;

/* One member of a device's state, for snapshots. count > 1: an array of elements of size bytes. */
struct hc_field {
	const char *name;
	uint16_t offset, size, count;
	uint16_t since; /* first version of the description that has it */
};

#define HC_FIELD(type, member, version)                                                            \
	{                                                                                          \
#member, offsetof(type, member), sizeof(((type *)0)->member), 1, version           \
	}
#define HC_FIELD_ARRAY(type, member, version)                                                      \
	{                                                                                          \
#member, offsetof(type, member), sizeof(((type *)0)->member[0]),                   \
			HC_ARRAY_SIZE(((type *)0)->member), version                                \
	}

struct hc_state_desc {
	const char *name;
	uint16_t version;
	const struct hc_field *fields;
	unsigned field_count;
	/* Checks what was loaded and re-arms timers and lines. 0, or -EPROTO for a state that the
	 * device cannot be in. */
	int (*post_load)(void *obj);
};

struct hc_device_ops {
	const char *name;
	void (*reset)(struct hc_device *dev);   /* device lock held: as at power-on */
	void (*destroy)(struct hc_device *dev); /* frees it; no vCPU runs any more */
	const struct hc_state_desc *state;      /* NULL: it has none */
};

struct hc_device {
	struct hc_list link;
	const struct hc_device_ops *ops;
	struct hc_vm *vm;
	unsigned instance; /* tells devices of one kind apart; given by hc_device_add */
};

void hc_device_add(struct hc_vm *vm, struct hc_device *dev, const struct hc_device_ops *ops);

/* Resets every device of the VM (takes the device lock). */
void hc_devices_reset(struct hc_vm *vm);

/* Writes the object's state to buf as: name, version, then each field's name, element size, count
 * and little-endian data. Returns the bytes needed (also when size is too small or buf is NULL). */
size_t hc_state_save(const struct hc_state_desc *desc, const void *obj, void *buf, size_t size);

/* The other way. Fields that the data lacks and that are newer than its version keep their values.
 * -EPROTO for anything that does not match the description, obj is then unchanged, and for values
 * that post_load refuses, obj must then be reset before it is used. Returns the bytes consumed. */
long hc_state_load(const struct hc_state_desc *desc, void *obj, const void *buf, size_t size);

#endif
