/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/debug_exit.h"

#include <hypercore/errno.h>
#include <hypercore/vm.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/log.h"
#include "core/vm.h"

struct debug_exit {
	struct hc_device dev; /* first */
};

static uint64_t debug_exit_read(void *dev, uint64_t offset, unsigned size)
{
	return 0;
}

static void debug_exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct debug_exit *s = dev;

	hc_vm_stop(s->dev.vm, HC_STOP_EXIT, (uint8_t)(value << 1 | 1));
}

static const struct hc_region_ops debug_exit_ops = {
	.read = debug_exit_read,
	.write = debug_exit_write,
	.sizes = 1 | 2 | 4,
};

static void debug_exit_reset(struct hc_device *dev)
{
}

static void debug_exit_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct debug_exit, dev), sizeof(struct debug_exit));
}

static const struct hc_device_ops debug_exit_device = {
	.name = "isa-debug-exit",
	.reset = debug_exit_reset,
	.destroy = debug_exit_destroy,
};

int debug_exit_create(struct hc_vm *vm, uint16_t base, unsigned size)
{
	struct debug_exit *s;

	if ((size != 1 && size != 2 && size != 4) || base + size > 0x10000)
		return hc_error(-EINVAL,
		                "isa-debug-exit: %u ports from %#x on: wants 1, 2 or 4 below "
		                "0x10000",
		                size, base);
	s = hc_platform_alloc(sizeof(*s));
	if (!s)
		return hc_error(-ENOMEM, "isa-debug-exit: out of memory");
	hc_device_add(vm, &s->dev, &debug_exit_device);
	return hc_bus_add(vm, HC_SPACE_IO,
	                  &(struct hc_region){ .name = "isa-debug-exit",
	                                       .base = base,
	                                       .len = size,
	                                       .ops = &debug_exit_ops,
	                                       .dev = s });
}
