/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/exit_port.h"

#include <hypercore/errno.h>
#include <hypercore/vm.h>

#include "core/device.h"
#include "core/log.h"
#include "core/vm.h"

struct exit_port {
	struct hc_device dev; /* first */
};

static uint64_t exit_read(void *dev, uint64_t offset, unsigned size)
{
	return 0xff;
}

static void exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct exit_port *s = dev;

	hc_vm_stop(s->dev.vm, HC_STOP_EXIT, (uint8_t)value);
}

static uint64_t debug_exit_read(void *dev, uint64_t offset, unsigned size)
{
	return 0;
}

static void debug_exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	exit_write(dev, offset, size, value << 1 | 1);
}

static const struct hc_region_ops exit_ops = { exit_read, exit_write, 1 };
static const struct hc_region_ops debug_exit_ops = { debug_exit_read, debug_exit_write, 1 | 2 | 4 };

static void exit_reset(struct hc_device *dev)
{
}

static void exit_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct exit_port, dev), sizeof(struct exit_port));
}

static const struct hc_device_ops exit_device = { "exit port", exit_reset, exit_destroy, NULL };
static const struct hc_device_ops debug_exit_device = { "isa-debug-exit", exit_reset, exit_destroy,
	                                                NULL };

static int create(struct hc_vm *vm, const struct hc_device_ops *ops, enum hc_space space,
                  struct hc_region region)
{
	struct exit_port *s = hc_platform_alloc(sizeof(*s));

	if (!s)
		return hc_error(-ENOMEM, "%s %#llx: out of memory", ops->name,
		                (unsigned long long)region.base);
	hc_device_add(vm, &s->dev, ops);
	region.name = ops->name;
	region.dev = s;
	return hc_bus_add(vm, space, &region);
}

int exit_port_create(struct hc_vm *vm, enum hc_space space, uint64_t at)
{
	if (space == HC_SPACE_IO && at > 0xffff)
		return hc_error(-EINVAL, "exit port %#llx: ports end at 0xffff",
		                (unsigned long long)at);
	return create(vm, &exit_device, space,
	              (struct hc_region){ .base = at, .len = 1, .ops = &exit_ops });
}

int debug_exit_create(struct hc_vm *vm, uint16_t base, unsigned size)
{
	if ((size != 1 && size != 2 && size != 4) || base + size > 0x10000)
		return hc_error(-EINVAL,
		                "isa-debug-exit: %u ports from %#x on: wants 1, 2 or 4 below "
		                "0x10000",
		                size, base);
	return create(vm, &debug_exit_device, HC_SPACE_IO,
	              (struct hc_region){ .base = base, .len = size, .ops = &debug_exit_ops });
}
