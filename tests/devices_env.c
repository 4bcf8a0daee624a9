/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices_env.h"

#include <string.h>

#include "tests/fake.h"

static struct env envs[ENV_VMS];
static struct hc_arch_ops arch;

static struct env *env_of(const struct hc_vm *vm)
{
	return envs[0].vm == vm ? &envs[0] : &envs[1];
}

static void record_message(struct hc_vm *vm, uint64_t address, uint32_t data)
{
	struct env *e = env_of(vm);

	e->messages[e->message_count++ % ENV_MESSAGES] = (struct env_message){ address, data };
}

static void record_line(void *dev, unsigned line, bool level)
{
	struct env *e = dev;

	e->rises[line] += level;
}

static void record_output(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	struct env *e = HC_CONTAINER_OF(chr, struct env, chr);

	for (size_t i = 0; i < len && e->output_len < ENV_OUTPUT; i++)
		e->output[e->output_len++] = data[i];
}

struct env *env_begin(unsigned slot)
{
	struct env *e = &envs[slot];
	struct hc_vm_config config = { "devices", &arch, &fake_backend, 1, NULL, 0, 0 };

	if (slot == 0)
		test_platform_init(1);
	arch = fake_arch;
	arch.deliver_msi = record_message;
	memset(e, 0, sizeof(*e));
	assert_int_equal(hc_vm_create(&e->vm, &config), 0);
	e->chr.write = record_output;
	e->chr.vm = e->vm;
	assert_int_equal(hc_irq_add_sink(e->vm, record_line, e), 0);
	return e;
}

void env_end(unsigned slot)
{
	struct env *e = &envs[slot];

	if (hc_vm_state(e->vm) != HC_VM_CREATED) {
		hc_vm_stop(e->vm, HC_STOP_REQUEST, 0);
		fake_run_cpu(0);
	}
	assert_int_equal(hc_vm_destroy(e->vm), 0);
	e->vm = NULL;
	if (slot == 0)
		assert_int_equal(test_allocated, 0);
}

static uint64_t next_deadline(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < ENV_VMS; i++)
		if (envs[i].vm)
			next = hc_min(next, envs[i].vm->vcpus[0]->timers.next_ns);
	return next;
}

static void run_timers(void)
{
	for (unsigned i = 0; i < ENV_VMS; i++)
		if (envs[i].vm)
			hc_timers_run(envs[i].vm->vcpus[0], test_now_ns);
}

void env_advance(uint64_t ns)
{
	uint64_t target = test_now_ns + ns;

	for (uint64_t next; (next = next_deadline()) <= target;) {
		test_now_ns = hc_max(next, test_now_ns);
		run_timers();
	}
	test_now_ns = target;
}

uint64_t env_port_in(struct env *e, uint16_t port, unsigned size)
{
	uint64_t v;

	hc_bus_read(e->vm, HC_SPACE_IO, port, size, &v);
	return v;
}

void env_port_out(struct env *e, uint16_t port, unsigned size, uint64_t value)
{
	hc_bus_write(e->vm, HC_SPACE_IO, port, size, value);
}

uint8_t env_in(struct env *e, uint16_t port)
{
	return (uint8_t)env_port_in(e, port, 1);
}

void env_out(struct env *e, uint16_t port, uint8_t value)
{
	env_port_out(e, port, 1, value);
}

uint32_t env_read32(struct env *e, uint64_t gpa)
{
	uint64_t value;

	hc_bus_read(e->vm, HC_SPACE_MEMORY, gpa, 4, &value);
	return (uint32_t)value;
}

void env_write32(struct env *e, uint64_t gpa, uint32_t value)
{
	hc_bus_write(e->vm, HC_SPACE_MEMORY, gpa, 4, value);
}

void env_set_line(struct env *e, unsigned line, bool level)
{
	hc_dev_lock(e->vm);
	hc_irq_set(e->vm, line, level);
	hc_dev_unlock(e->vm);
}

bool env_line(const struct env *e, unsigned line)
{
	return e->vm->irq.levels >> line & 1;
}

size_t env_feed(struct env *e, const void *data, size_t len)
{
	return hc_chardev_feed(&e->chr, data, len);
}

size_t env_save(struct env *e, uint8_t *buf, size_t size)
{
	size_t at = 0;

	hc_list_for_each (l, &e->vm->devices) {
		struct hc_device *dev = HC_CONTAINER_OF(l, struct hc_device, link);

		if (dev->ops->state)
			at += hc_state_save(dev->ops->state, dev, buf + at, size - at);
	}
	assert_true(at <= size);
	return at;
}

long env_load(struct env *e, const uint8_t *buf, size_t size)
{
	long rc = 0;

	hc_dev_lock(e->vm);
	hc_list_for_each (l, &e->vm->devices) {
		struct hc_device *dev = HC_CONTAINER_OF(l, struct hc_device, link);

		if (!dev->ops->state)
			continue;
		rc = hc_state_load(dev->ops->state, dev, buf, size);
		if (rc < 0)
			break;
		buf += rc;
		size -= (size_t)rc;
	}
	hc_dev_unlock(e->vm);
	return rc < 0 ? rc : 0;
}

static void damage(uint8_t *buf, size_t size, uint64_t *seed)
{
	for (uint64_t k = test_below(seed, 4) + 1; k > 0; k--)
		buf[test_below(seed, size)] = (uint8_t)test_random(seed);
}

unsigned env_load_damaged(struct env *e, unsigned copies, uint64_t seed, void (*use)(struct env *e))
{
	uint8_t good[1024], bad[1024];
	size_t n = env_save(e, good, sizeof(good));
	unsigned refused = 0;

	for (unsigned i = 0; i < copies; i++) {
		memcpy(bad, good, n);
		damage(bad, n, &seed);
		if (env_load(e, bad, n)) {
			refused++;
			hc_devices_reset(e->vm);
		}
		use(e);
	}
	return refused;
}

int env_setup(void **state)
{
	*state = env_begin(0);
	return 0;
}

int env_teardown(void **state)
{
	env_end(0);
	return 0;
}
