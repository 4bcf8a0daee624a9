/* SPDX-License-Identifier: BSD-2-Clause */
/* All devices of a PC together: saved and loaded states, hostile accesses, exhausted memory. */
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/debugcon.h"
#include "devices/exit_port.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/ioapic.h"
#include "devices/mc146818.h"
#include "devices/uart16550.h"
#include "tests/devices_env.h"

#define IOAPIC UINT64_C(0xfec00000)

/* --- The machine --- */

static int make_uart(struct env *e)
{
	return uart16550_create(e->vm, &(struct uart16550_config){ 0x3f8, 4, &e->chr, HC_SPACE_IO },
	                        NULL);
}

static int make_pic(struct env *e)
{
	return i8259_create(e->vm);
}

static int make_pit(struct env *e)
{
	return i8254_create(e->vm);
}

static int make_rtc(struct env *e)
{
	return mc146818_create(e->vm, &(struct mc146818_config){ .ram_low = 64 * HC_MIB });
}

static int make_ioapic(struct env *e)
{
	return ioapic_create(e->vm, &(struct ioapic_config){ IOAPIC, 1 });
}

static int make_pm(struct env *e)
{
	const struct acpi_pm_config config = { 0x600, 0x604, 0x608, 0x60c, 6, 5, true, 9 };

	return acpi_pm_create(e->vm, &config, NULL);
}

static int make_kbc(struct env *e)
{
	return i8042_create(e->vm);
}

static int make_debugcon(struct env *e)
{
	return debugcon_create(e->vm, &e->chr);
}

static int make_exit(struct env *e)
{
	return exit_port_create(e->vm, HC_SPACE_IO, 0xf4);
}

static int (*const makers[])(struct env *e) = {
	make_uart, make_pic, make_pit, make_rtc, make_ioapic, make_pm, make_kbc, make_exit,
};

static void make_all(struct env *e, bool backwards)
{
	unsigned n = HC_ARRAY_SIZE(makers);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(makers[backwards ? n - 1 - i : i](e), 0);
}

static const uint16_t ports[] = {
	0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,  0x42,  0x43,  0x61,
	0x70,  0x71,  0x60,  0x64,  0x92,  0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd,
	0x3fe, 0x3ff, 0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x608, 0x60c, 0xf4,
};

/* --- One random thing that happens, the same to every VM given --- */

enum op_kind { OP_IN, OP_OUT, OP_MMIO_READ, OP_MMIO_WRITE, OP_ACK, OP_EOI, OP_FEED, OP_LINE };

struct op {
	enum op_kind kind;
	unsigned size;
	uint64_t addr, value;
};

static struct op random_op(uint64_t *seed)
{
	struct op op = {
		.kind = (enum op_kind)test_below(seed, 8),
		.size = test_below(seed, 4) ? 1u : 1u << test_below(seed, 3),
		.addr = ports[test_below(seed, HC_ARRAY_SIZE(ports))],
		.value = test_random(seed),
	};

	if (test_below(seed, 2))
		op.kind = OP_OUT;
	if (op.kind == OP_MMIO_READ || op.kind == OP_MMIO_WRITE) {
		op.size = 4;
		op.addr = IOAPIC + (test_below(seed, 8) ? test_below(seed, 2) * 0x10 : 0x40);
		if (op.addr == IOAPIC)
			op.value = 0x10 + test_below(seed, 48);
		else
			op.value &= ~UINT64_C(0x10000); /* unmasked */
	}
	return op;
}

static uint64_t apply(struct env *e, const struct op *op)
{
	uint64_t v = 0;

	switch (op->kind) {
	case OP_IN: hc_bus_read(e->vm, HC_SPACE_IO, op->addr, op->size, &v); break;
	case OP_OUT: hc_bus_write(e->vm, HC_SPACE_IO, op->addr, op->size, op->value); break;
	case OP_MMIO_READ: hc_bus_read(e->vm, HC_SPACE_MEMORY, op->addr, op->size, &v); break;
	case OP_MMIO_WRITE:
		hc_bus_write(e->vm, HC_SPACE_MEMORY, op->addr, op->size, op->value);
		break;
	case OP_ACK: v = (uint64_t)hc_irq_extint_ack(e->vm); break;
	case OP_EOI: hc_irq_broadcast_eoi(e->vm, op->value & 0xff); break;
	case OP_FEED: env_feed(e, &op->value, op->size); break;
	default: env_set_line(e, 16 + op->value % 8, op->value >> 8 & 1); break;
	}
	return v;
}

/* Guests program their timers; random bytes rarely do. */
static void wake_up(struct env *e, uint64_t *seed)
{
	uint16_t count = (uint16_t)(200 + test_below(seed, 5000));
	uint8_t mode = (uint8_t)test_below(seed, 6), rate = (uint8_t)(3 + test_below(seed, 13));
	const uint8_t icw[] = { 0x21, 0x30, 0xa1, 0x38, 0x21, 4, 0xa1, 2, 0x21, 1, 0xa1, 1 };
	const uint16_t setup[][2] = {
		{ 0x20, 0x11 },
		{ 0xa0, 0x11 },
		{ 0x43, (uint16_t)(0x30 | mode << 1) },
		{ 0x40, count },
		{ 0x40, (uint16_t)(count >> 8) },
		{ 0x70, 0x0a },
		{ 0x71, (uint16_t)(0x20 | rate) },
		{ 0x70, 0x0b },
		{ 0x71, 0x72 },
		{ 0x3fb, 3 },
		{ 0x3fa, 0xc1 },
		{ 0x3fc, 8 },
		{ 0x3f9, 1 },
		{ 0x602, 0x21 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(setup); i++)
		env_out(e, setup[i][0], (uint8_t)setup[i][1]);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(icw); i += 2)
		env_out(e, icw[i], icw[i + 1]);
}

static void disturb(struct env *e, uint64_t *seed, unsigned ops)
{
	if (test_below(seed, 2))
		wake_up(e, seed);
	for (unsigned i = 0; i < ops; i++) {
		struct op op = random_op(seed);

		apply(e, &op);
		if (!test_below(seed, 4))
			env_advance(test_below(seed, 1 << test_below(seed, 30)));
	}
}

/* --- Save and load --- */

/* What is outside of the devices: input that no device has taken, lines that no device drives. */
static void copy_outside(struct env *to, const struct env *from)
{
	memcpy(to->chr.input, from->chr.input, sizeof(to->chr.input));
	to->chr.head = from->chr.head;
	to->chr.tail = from->chr.tail;
	for (unsigned line = 16; line < 24; line++)
		env_set_line(to, line, env_line(from, line));
}

static void forget_records(struct env *e)
{
	e->message_count = e->output_len = 0;
	memset(e->rises, 0, sizeof(e->rises));
}

static void assert_alike(const struct env *a, const struct env *b)
{
	assert_int_equal(a->vm->irq.levels, b->vm->irq.levels);
	assert_memory_equal(a->rises, b->rises, sizeof(a->rises));
	assert_int_equal(a->message_count, b->message_count);
	for (unsigned i = 0; i < hc_min(a->message_count, ENV_MESSAGES); i++) {
		assert_int_equal(a->messages[i].address, b->messages[i].address);
		assert_int_equal(a->messages[i].data, b->messages[i].data);
	}
	assert_int_equal(hc_irq_extint_pending(a->vm), hc_irq_extint_pending(b->vm));
	assert_int_equal(a->output_len, b->output_len);
	assert_memory_equal(a->output, b->output, a->output_len);
	assert_int_equal(a->vm->vcpus[0]->timers.next_ns, b->vm->vcpus[0]->timers.next_ns);
}

static void go_on_in_lockstep(struct env *a, struct env *b, uint64_t *seed, unsigned ops)
{
	for (unsigned i = 0; i < ops; i++) {
		struct op op = random_op(seed);
		uint64_t want = apply(a, &op), got = apply(b, &op);

		assert_int_equal(got, want);
		if (!test_below(seed, 4))
			env_advance(test_below(seed, 1 << test_below(seed, 24)));
		assert_alike(a, b);
	}
}

static void loaded_devices_go_on_alike(void **state)
{
	static uint8_t saved[1 << 16], again[1 << 16];
	struct env *a = *state, *b;
	uint64_t seed = 4711;

	for (unsigned round = 0; round < 300; round++) {
		if (round) {
			env_end(0);
			a = env_begin(0);
		}
		make_all(a, round & 1);
		disturb(a, &seed, 200);
		size_t len = env_save(a, saved, sizeof(saved));

		b = env_begin(1);
		make_all(b, round & 1);
		assert_int_equal(env_load(b, saved, len), 0);
		copy_outside(b, a);
		assert_int_equal(b->message_count, 0); /* old lines are not new interrupts */
		assert_int_equal(env_save(b, again, sizeof(again)), len);
		assert_memory_equal(saved, again, len);
		forget_records(a);
		forget_records(b);
		go_on_in_lockstep(a, b, &seed, 200);
		env_end(1);
	}
	*state = a;
}

/* --- Hostile state --- */

static void corrupt(const struct hc_field *f, void *obj, uint64_t *seed)
{
	uint8_t *p = (uint8_t *)obj + f->offset + test_below(seed, f->count) * f->size;

	switch (test_below(seed, 4)) {
	case 0: memset(p, 0, f->size); break;
	case 1: memset(p, 0xff, f->size); break;
	case 2: p[test_below(seed, f->size)] ^= (uint8_t)(1u << test_below(seed, 8)); break;
	default:
		for (unsigned i = 0; i < f->size; i++)
			p[i] = (uint8_t)test_random(seed);
		break;
	}
}

static struct hc_device *random_device(struct env *e, uint64_t *seed)
{
	struct hc_device *dev;

	do {
		struct hc_list *l = e->vm->devices.next;

		for (uint64_t n = test_below(seed, HC_ARRAY_SIZE(makers)); n; n--)
			l = l->next;
		dev = HC_CONTAINER_OF(l, struct hc_device, link);
	} while (!dev->ops->state);
	return dev;
}

/* Values that no device can have are refused, and whatever is accepted does no harm. */
static void hostile_states(void **state)
{
	struct env *e = *state;
	uint64_t seed = 666;
	unsigned refused = 0, accepted = 0;

	make_all(e, false);
	for (unsigned i = 0; i < 20000; i++) {
		struct hc_device *dev = random_device(e, &seed);
		const struct hc_state_desc *desc = dev->ops->state;

		hc_dev_lock(e->vm);
		for (unsigned n = 0; n <= test_below(&seed, 3); n++)
			corrupt(&desc->fields[test_below(&seed, desc->field_count)], dev, &seed);
		int rc = desc->post_load(dev);

		assert_true(rc == 0 || rc == -EPROTO);
		if (rc)
			dev->ops->reset(dev);
		hc_dev_unlock(e->vm);
		refused += !!rc;
		accepted += !rc;
		disturb(e, &seed, 10);
	}
	assert_true(refused > 1000 && accepted > 1000);
}

/* --- Hostile accesses --- */

static void any_access_of_any_size(void **state)
{
	struct env *e = *state;
	uint64_t seed = 1234;

	make_all(e, false);
	assert_int_equal(make_debugcon(e), 0);
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t v, port = test_below(&seed, 0x620);
		unsigned size = 1u << test_below(&seed, 4);

		if (test_below(&seed, 2))
			hc_bus_read(e->vm, HC_SPACE_IO, port, size, &v);
		else
			hc_bus_write(e->vm, HC_SPACE_IO, port, size, test_random(&seed));
		if (!test_below(&seed, 16))
			env_advance(test_below(&seed, 1 << 20));
	}
	hc_devices_reset(e->vm);
	assert_int_equal(env_in(e, 0x3fd), 0x60);
}

static void out_of_memory(void **state)
{
	struct env *e = *state;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(makers); i++) {
		test_fail_alloc = 1;
		assert_int_equal(makers[i](e), -ENOMEM);
		assert_int_equal(makers[i](e), 0);
	}
	test_fail_alloc = 1;
	assert_int_equal(make_debugcon(e), -ENOMEM);
}

/* A second device at the same place fails, and the VM can still be destroyed. */
static void occupied_ports(void **state)
{
	struct env *e = *state;

	make_all(e, false);
	assert_int_equal(make_debugcon(e), 0);
	assert_int_equal(make_debugcon(e), -EEXIST);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(makers); i++)
		assert_int_equal(makers[i](e), -EEXIST);
}

#define TEST(name) ENV_TEST(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loaded_devices_go_on_alike),
		TEST(hostile_states),
		TEST(any_access_of_any_size),
		TEST(out_of_memory),
		TEST(occupied_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
