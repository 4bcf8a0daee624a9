/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/pc_testdev.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/vm.h"

#define LINES       24u
#define MEMORY_BASE UINT64_C(0xff000000)
#define MEMORY_SIZE 0x10000u

struct pc_testdev {
	struct hc_device dev; /* first */
	uint32_t port;
	uint32_t lines; /* bit n: line n was set here */
	uint32_t memory[MEMORY_SIZE / 4];
};

/* --- Ports E0h and E8h --- */

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	const struct pc_testdev *s = dev;
	uint64_t v = 0;

	memcpy(&v, (const uint8_t *)&s->port + offset, size);
	return v;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pc_testdev *s = dev;

	memcpy((uint8_t *)&s->port + offset, &value, size);
}

static const struct hc_region_ops port_ops = { port_read, port_write, 1 | 2 | 4 };
static const struct hc_region_ops byte_ops = { port_read, port_write, 1 };

/* --- Port E4h --- */

static uint64_t flush_read(void *dev, uint64_t offset, unsigned size)
{
	return UINT32_MAX;
}

static void flush_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pc_testdev *s = dev;
	gpa_t page = gpa_of(HC_ALIGN_DOWN((uint32_t)value, HC_PAGE_SIZE));

	if (size == 4 && hc_mem_ptr(s->dev.vm, page, HC_PAGE_SIZE, true))
		hc_mem_wrote(s->dev.vm, page, HC_PAGE_SIZE);
}

static const struct hc_region_ops flush_ops = { flush_read, flush_write, 4 };

/* --- Lines --- */

static uint64_t line_read(void *dev, uint64_t offset, unsigned size)
{
	return 0;
}

static void line_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pc_testdev *s = dev;
	uint32_t bit = 1u << offset;

	s->lines = value ? s->lines | bit : s->lines & ~bit;
	hc_irq_set(s->dev.vm, (unsigned)offset, value != 0);
}

static const struct hc_region_ops line_ops = { line_read, line_write, 1 };

/* --- Memory --- */

static uint64_t memory_read(void *dev, uint64_t offset, unsigned size)
{
	const struct pc_testdev *s = dev;
	uint64_t v = 0;

	memcpy(&v, (const uint8_t *)s->memory + offset, size);
	return v;
}

static void memory_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pc_testdev *s = dev;

	memcpy((uint8_t *)s->memory + offset, &value, size);
}

static const struct hc_region_ops memory_ops = { memory_read, memory_write, 0 };

/* --- Life --- */

static void drive_lines(struct pc_testdev *s, uint32_t lines, bool level)
{
	for (unsigned i = 0; i < LINES; i++)
		if (lines & 1u << i)
			hc_irq_set(s->dev.vm, i, level);
}

static void testdev_reset(struct hc_device *dev)
{
	struct pc_testdev *s = HC_CONTAINER_OF(dev, struct pc_testdev, dev);

	drive_lines(s, s->lines, false);
	s->port = s->lines = 0;
	memset(s->memory, 0, sizeof(s->memory));
}

static void testdev_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct pc_testdev, dev), sizeof(struct pc_testdev));
}

static int testdev_post_load(void *obj)
{
	struct pc_testdev *s = obj;

	if (s->lines >> LINES)
		return -EPROTO;
	drive_lines(s, s->lines, true);
	return 0;
}

static const struct hc_field testdev_fields[] = {
	HC_FIELD(struct pc_testdev, port, 1),
	HC_FIELD(struct pc_testdev, lines, 1),
	HC_FIELD_ARRAY(struct pc_testdev, memory, 1),
};

static const struct hc_state_desc testdev_state = {
	.name = "pc-testdev",
	.version = 1,
	.fields = testdev_fields,
	.field_count = HC_ARRAY_SIZE(testdev_fields),
	.post_load = testdev_post_load,
};

static const struct hc_device_ops testdev_device = {
	.name = "pc-testdev",
	.reset = testdev_reset,
	.destroy = testdev_destroy,
	.state = &testdev_state,
};

int pc_testdev_create(struct hc_vm *vm)
{
	struct pc_testdev *s = hc_platform_alloc(sizeof(*s));

	if (!s)
		return hc_error(-ENOMEM, "pc-testdev: out of memory");
	hc_device_add(vm, &s->dev, &testdev_device);

	const struct {
		enum hc_space space;
		struct hc_region region;
	} parts[] = {
		{ HC_SPACE_IO, { "testdev port", 0xe0, 4, &port_ops, s } },
		{ HC_SPACE_IO, { "testdev flush", 0xe4, 4, &flush_ops, s } },
		{ HC_SPACE_IO, { "testdev bytes", 0xe8, 4, &byte_ops, s } },
		{ HC_SPACE_IO, { "testdev lines", 0x2000, LINES, &line_ops, s } },
		{ HC_SPACE_MEMORY, { "testdev memory", MEMORY_BASE, MEMORY_SIZE, &memory_ops, s } },
	};
	int rc = 0;

	for (unsigned i = 0; !rc && i < HC_ARRAY_SIZE(parts); i++)
		rc = hc_bus_add(vm, parts[i].space, &parts[i].region);
	return rc;
}
