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

static const struct hc_region_ops exit_ops = { .read = exit_read, .write = exit_write, .sizes = 1 };

static void exit_reset(struct hc_device *dev)
{
}

static void exit_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct exit_port, dev), sizeof(struct exit_port));
}

static const struct hc_device_ops exit_device = {
	.name = "exit port",
	.reset = exit_reset,
	.destroy = exit_destroy,
};

int exit_port_create(struct hc_vm *vm, enum hc_space space, uint64_t at)
{
	struct exit_port *s;

	if (space == HC_SPACE_IO && at > 0xffff)
		return hc_error(-EINVAL, "exit port %#llx: ports end at 0xffff",
		                (unsigned long long)at);
	s = hc_platform_alloc(sizeof(*s));
	if (!s)
		return hc_error(-ENOMEM, "exit port %#llx: out of memory", (unsigned long long)at);
	hc_device_add(vm, &s->dev, &exit_device);
	return hc_bus_add(
		vm, space,
		&(struct hc_region){
			.name = "exit port", .base = at, .len = 1, .ops = &exit_ops, .dev = s });
}
