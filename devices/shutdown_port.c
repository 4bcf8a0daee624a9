/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/shutdown_port.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/vm.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/log.h"
#include "core/vm.h"

#define SHUTDOWN_PORT 0x8900

static const char word[] = "Shutdown";
#define LETTERS (sizeof(word) - 1)

struct shutdown_port {
	struct hc_device dev; /* first */
	uint8_t seen;         /* letters of the word, in order; less than LETTERS */
};

static uint64_t shutdown_read(void *dev, uint64_t offset, unsigned size)
{
	return 0xff;
}

/* No letter of the word comes twice in a row, and the first never again: what does not go on with
 * it can only begin it. */
static void shutdown_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct shutdown_port *s = dev;
	char c = (char)value;

	if (c == word[s->seen])
		s->seen++;
	else
		s->seen = c == word[0];
	if (s->seen == LETTERS) {
		s->seen = 0;
		hc_vm_stop(s->dev.vm, HC_STOP_POWEROFF, 0);
	}
}

static const struct hc_region_ops shutdown_ops = {
	.read = shutdown_read,
	.write = shutdown_write,
	.sizes = 1,
};

static void shutdown_reset(struct hc_device *dev)
{
	HC_CONTAINER_OF(dev, struct shutdown_port, dev)->seen = 0;
}

static void shutdown_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct shutdown_port, dev),
	                 sizeof(struct shutdown_port));
}

static int shutdown_post_load(void *obj)
{
	return ((struct shutdown_port *)obj)->seen < LETTERS ? 0 : -EPROTO;
}

static const struct hc_field shutdown_fields[] = { HC_FIELD(struct shutdown_port, seen, 1) };

static const struct hc_state_desc shutdown_state = {
	.name = "shutdown port",
	.version = 1,
	.fields = shutdown_fields,
	.field_count = HC_ARRAY_SIZE(shutdown_fields),
	.post_load = shutdown_post_load,
};

static const struct hc_device_ops shutdown_device = {
	.name = "shutdown port",
	.reset = shutdown_reset,
	.destroy = shutdown_destroy,
	.state = &shutdown_state,
};

int shutdown_port_create(struct hc_vm *vm)
{
	struct shutdown_port *s = hc_platform_alloc(sizeof(*s));

	if (!s)
		return hc_error(-ENOMEM, "shutdown port: out of memory");
	hc_device_add(vm, &s->dev, &shutdown_device);
	return hc_bus_add(vm, HC_SPACE_IO,
	                  &(struct hc_region){ .name = "shutdown port",
	                                       .base = SHUTDOWN_PORT,
	                                       .len = 1,
	                                       .ops = &shutdown_ops,
	                                       .dev = s });
}
