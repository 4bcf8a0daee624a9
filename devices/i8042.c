/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/i8042.h"

#include <hypercore/errno.h>
#include <hypercore/vm.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/vm.h"

#define KEYBOARD_LINE  1
#define AUXILIARY_LINE 12

enum {
	STATUS_OBF = 0x01,
	STATUS_SYS = 0x04,
	STATUS_COMMAND = 0x08, /* the last write was to port 0x64 */
	STATUS_UNLOCKED = 0x10,
	STATUS_AUX = 0x20,
	STATUS_TIMEOUT = 0x40,

	CTR_KEYBOARD_INT = 0x01,
	CTR_AUX_INT = 0x02,
	CTR_SYS = 0x04,
	CTR_KEYBOARD_OFF = 0x10,
	CTR_AUX_OFF = 0x20,

	OUTPUT_RESET = 0x01, /* active low */
	OUTPUT_A20 = 0x02,
	OUTPUT_OBF = 0x10,
	OUTPUT_AUX_OBF = 0x20,

	PORT92_RESET = 0x01,
	PORT92_A20 = 0x02
};

enum {
	CMD_READ_RAM = 0x20,  /* .. 0x3f; byte 0 is the command byte */
	CMD_WRITE_RAM = 0x60, /* .. 0x7f */
	CMD_AUX_DISABLE = 0xa7,
	CMD_AUX_ENABLE = 0xa8,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KEYBOARD_TEST = 0xab,
	CMD_KEYBOARD_DISABLE = 0xad,
	CMD_KEYBOARD_ENABLE = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_WRITE_KEYBOARD_OBF = 0xd2,
	CMD_WRITE_AUX_OBF = 0xd3,
	CMD_WRITE_AUX = 0xd4,
	CMD_READ_TEST = 0xe0,
	CMD_PULSE = 0xf0, /* .. 0xff: pulls the output lines whose bits are 0 low */

	SELF_TEST_PASSED = 0x55,
	AUX_CLOCK_STUCK_LOW = 0x01,
	DEVICE_RESEND = 0xfe /* with STATUS_TIMEOUT: nobody answered */
};

#define RAM_BYTES 32

struct i8042 {
	struct hc_device dev; /* first */
	uint8_t ram[RAM_BYTES];
	uint8_t status; /* without STATUS_SYS and STATUS_UNLOCKED */
	uint8_t data;
	uint8_t command; /* that waits for a parameter, or 0 */
	uint8_t a20;
};

static void update_irq(struct i8042 *s)
{
	bool full = s->status & STATUS_OBF, aux = s->status & STATUS_AUX;

	hc_irq_set(s->dev.vm, KEYBOARD_LINE, full && !aux && (s->ram[0] & CTR_KEYBOARD_INT));
	hc_irq_set(s->dev.vm, AUXILIARY_LINE, full && aux && (s->ram[0] & CTR_AUX_INT));
}

/* A byte that was not read yet is overwritten. flags: STATUS_AUX, STATUS_TIMEOUT. */
static void answer(struct i8042 *s, uint8_t data, uint8_t flags)
{
	s->data = data;
	s->status = (s->status & STATUS_COMMAND) | STATUS_OBF | flags;
	update_irq(s);
}

static void request_reset(struct i8042 *s)
{
	hc_vm_stop(s->dev.vm, HC_STOP_RESET, 0);
}

static uint8_t output_port(const struct i8042 *s)
{
	uint8_t value = OUTPUT_RESET | (s->a20 ? OUTPUT_A20 : 0);

	if (s->status & STATUS_OBF)
		value |= s->status & STATUS_AUX ? OUTPUT_AUX_OBF : OUTPUT_OBF;
	return value;
}

static void write_output_port(struct i8042 *s, uint8_t value)
{
	s->a20 = !!(value & OUTPUT_A20);
	if (!(value & OUTPUT_RESET))
		request_reset(s);
}

/* The parameter of a command, or, without one, a byte for the keyboard. */
static void write_data(struct i8042 *s, uint8_t value)
{
	uint8_t command = s->command;

	s->command = 0;
	s->status &= (uint8_t)~STATUS_COMMAND;
	switch (command) {
	case CMD_WRITE_OUTPUT: write_output_port(s, value); break;
	case CMD_WRITE_KEYBOARD_OBF:
	case CMD_WRITE_AUX_OBF: answer(s, value, 0); break; /* without STATUS_AUX: no such port */
	case CMD_WRITE_AUX: answer(s, DEVICE_RESEND, STATUS_AUX | STATUS_TIMEOUT); break;
	case 0: answer(s, DEVICE_RESEND, STATUS_TIMEOUT); break;
	default:
		s->ram[command % RAM_BYTES] = value;
		update_irq(s);
		break;
	}
}

static bool takes_parameter(uint8_t command)
{
	return (command & 0xe0) == CMD_WRITE_RAM ||
	       (command >= CMD_WRITE_OUTPUT && command <= CMD_WRITE_AUX);
}

/* The commands that answer with a byte; -1 for others. */
static int reply_to(const struct i8042 *s, uint8_t command)
{
	switch (command) {
	case CMD_AUX_TEST: return AUX_CLOCK_STUCK_LOW; /* how guests see that there is no port */
	case CMD_SELF_TEST: return SELF_TEST_PASSED;
	case CMD_KEYBOARD_TEST:
	case CMD_READ_TEST: return 0;
	case CMD_READ_INPUT: return 0x80; /* keyboard not locked */
	case CMD_READ_OUTPUT: return output_port(s);
	default: break;
	}
	return (command & 0xe0) == CMD_READ_RAM ? s->ram[command % RAM_BYTES] : -1;
}

static void change_ctr(struct i8042 *s, uint8_t command)
{
	switch (command) {
	case CMD_AUX_DISABLE: s->ram[0] |= CTR_AUX_OFF; break;
	case CMD_AUX_ENABLE: s->ram[0] &= (uint8_t)~CTR_AUX_OFF; break;
	case CMD_KEYBOARD_DISABLE: s->ram[0] |= CTR_KEYBOARD_OFF; break;
	case CMD_KEYBOARD_ENABLE: s->ram[0] &= (uint8_t)~CTR_KEYBOARD_OFF; break;
	case CMD_SELF_TEST: s->ram[0] |= CTR_SYS; break;
	default: break;
	}
}

static void write_command(struct i8042 *s, uint8_t command)
{
	int reply = reply_to(s, command);

	s->status |= STATUS_COMMAND;
	s->command = takes_parameter(command) ? command : 0;
	change_ctr(s, command);
	if (reply >= 0)
		answer(s, (uint8_t)reply, 0);
	if (command >= CMD_PULSE && !(command & OUTPUT_RESET))
		request_reset(s);
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8042 *s = dev;

	s->status &= STATUS_COMMAND;
	update_irq(s);
	return s->data;
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	write_data(dev, (uint8_t)value);
}

static const struct hc_region_ops data_ops = { .read = data_read, .write = data_write, .sizes = 1 };

static uint64_t status_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8042 *s = dev;

	return s->status | STATUS_UNLOCKED | (s->ram[0] & CTR_SYS ? STATUS_SYS : 0);
}

static void command_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	write_command(dev, (uint8_t)value);
}

static const struct hc_region_ops command_ops = {
	.read = status_read,
	.write = command_write,
	.sizes = 1,
};

/* --- Port 0x92 --- */

static uint64_t port92_read(void *dev, uint64_t offset, unsigned size)
{
	struct i8042 *s = dev;

	return s->a20 ? PORT92_A20 : 0;
}

static void port92_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct i8042 *s = dev;

	s->a20 = !!(value & PORT92_A20);
	if (value & PORT92_RESET)
		request_reset(s);
}

static const struct hc_region_ops port92_ops = {
	.read = port92_read,
	.write = port92_write,
	.sizes = 1,
};

/* --- Life --- */

/* As firmware leaves it: self test passed, both devices off, A20 open. */
static void i8042_reset(struct hc_device *dev)
{
	struct i8042 *s = HC_CONTAINER_OF(dev, struct i8042, dev);

	for (unsigned i = 0; i < RAM_BYTES; i++)
		s->ram[i] = 0;
	s->ram[0] = CTR_SYS | CTR_KEYBOARD_OFF | CTR_AUX_OFF;
	s->status = s->data = s->command = 0;
	s->a20 = 1;
	update_irq(s);
}

static void i8042_destroy(struct hc_device *dev)
{
	hc_platform_free(HC_CONTAINER_OF(dev, struct i8042, dev), sizeof(struct i8042));
}

static int i8042_post_load(void *obj)
{
	struct i8042 *s = obj;
	uint8_t known = STATUS_OBF | STATUS_COMMAND | STATUS_AUX | STATUS_TIMEOUT;

	if ((s->status & (uint8_t)~known) || s->a20 > 1 ||
	    (s->command && !takes_parameter(s->command)))
		return -EPROTO;
	update_irq(s);
	return 0;
}

static const struct hc_field i8042_fields[] = {
	HC_FIELD_ARRAY(struct i8042, ram, 1), HC_FIELD(struct i8042, status, 1),
	HC_FIELD(struct i8042, data, 1),      HC_FIELD(struct i8042, command, 1),
	HC_FIELD(struct i8042, a20, 1),
};

static const struct hc_state_desc i8042_state = {
	.name = "i8042",
	.version = 1,
	.fields = i8042_fields,
	.field_count = HC_ARRAY_SIZE(i8042_fields),
	.post_load = i8042_post_load,
};

static const struct hc_device_ops i8042_device = {
	.name = "i8042",
	.reset = i8042_reset,
	.destroy = i8042_destroy,
	.state = &i8042_state,
};

int i8042_create(struct hc_vm *vm)
{
	struct i8042 *s = hc_platform_alloc(sizeof(*s));

	if (!s)
		return hc_error(-ENOMEM, "8042 keyboard controller: out of memory");
	hc_device_add(vm, &s->dev, &i8042_device);
	i8042_reset(&s->dev);

	const struct hc_region regions[] = {
		{ .name = "8042 data", .base = 0x60, .len = 1, .ops = &data_ops, .dev = s },
		{ .name = "8042 command", .base = 0x64, .len = 1, .ops = &command_ops, .dev = s },
		{ .name = "port 0x92", .base = 0x92, .len = 1, .ops = &port92_ops, .dev = s },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(regions); i++) {
		int rc = hc_bus_add(vm, HC_SPACE_IO, &regions[i]);

		if (rc)
			return rc;
	}
	return 0;
}
