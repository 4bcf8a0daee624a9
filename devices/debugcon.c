/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/debugcon.h"

#include <hypercore/errno.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/log.h"
#include "core/vm.h"

#define DEBUGCON_PORT 0xe9

struct debugcon {
	struct hc_device dev; /* first */
	struct hc_chardev *chr;
};

static uint64_t debugcon_read(void *dev, uint64_t offset, unsigned size)
{
	return DEBUGCON_PORT;
}

static void debugcon_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct debugcon *s = dev;
	uint8_t c = (uint8_t)value;

	hc_chardev_send(s->chr, &c, 1);
}

static const struct hc_region_ops debugcon_ops = {
	.read = debugcon_read,
	.write = debugcon_write,
	.sizes = 1,
};

static void debugcon_reset(struct hc_device *dev)
{
}

static void debugcon_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct debugcon, dev), sizeof(struct debugcon));
}

static const struct hc_device_ops debugcon_device = {
	.name = "debugcon",
	.reset = debugcon_reset,
	.destroy = debugcon_destroy,
};

int debugcon_create(struct hc_vm *vm, struct hc_chardev *chr)
{
	struct debugcon *s;

	if (!chr)
		return hc_error(-EINVAL, "debug console: no character device");
	s = hc_platform_alloc(sizeof(*s));
	if (!s)
		return hc_error(-ENOMEM, "debug console: out of memory");
	s->chr = chr;
	chr->vm = vm;
	hc_device_add(vm, &s->dev, &debugcon_device);
	return hc_bus_add(vm, HC_SPACE_IO,
	                  &(struct hc_region){ .name = "debugcon",
	                                       .base = DEBUGCON_PORT,
	                                       .len = 1,
	                                       .ops = &debugcon_ops,
	                                       .dev = s });
}
