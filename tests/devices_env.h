/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of device models stand on: a VM without vCPUs that run, whose lines, messages and
 * serial output are recorded, and a clock that fires timers at their deadlines.
 */
#ifndef TESTS_DEVICES_ENV_H
#define TESTS_DEVICES_ENV_H

#include "core/bus.h"
#include "core/chardev.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/vm.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define ENV_VMS      2
#define ENV_MESSAGES 64
#define ENV_OUTPUT   (1 << 16)

struct env_message {
	uint64_t address;
	uint32_t data;
};

struct env {
	struct hc_vm *vm;
	struct hc_chardev chr;
	uint8_t output[ENV_OUTPUT]; /* what the guest wrote to chr */
	unsigned output_len;
	struct env_message messages[ENV_MESSAGES]; /* the last ones, a ring */
	unsigned message_count;
	unsigned rises[HC_IRQ_LINES]; /* edges of each line since the VM was made */
};

/* Slot 0 or 1; begin(0) also resets the test platform. The VM has no devices. */
struct env *env_begin(unsigned slot);
/* Destroys the VM, stopping it if it runs, and checks that all memory came back. */
void env_end(unsigned slot);

/* Moves the clock, firing the timers of all VMs on the way, each at its deadline. */
void env_advance(uint64_t ns);

uint8_t env_in(struct env *e, uint16_t port);
void env_out(struct env *e, uint16_t port, uint8_t value);
/* The same by 1, 2, 4 or 8 bytes. */
uint64_t env_port_in(struct env *e, uint16_t port, unsigned size);
void env_port_out(struct env *e, uint16_t port, unsigned size, uint64_t value);
uint32_t env_read32(struct env *e, uint64_t gpa);
void env_write32(struct env *e, uint64_t gpa, uint32_t value);

/* As a device would, with the lock. */
void env_set_line(struct env *e, unsigned line, bool level);
bool env_line(const struct env *e, unsigned line);

size_t env_feed(struct env *e, const void *data, size_t len);

/* All devices' state, one after the other in buf; returns the bytes. */
size_t env_save(struct env *e, uint8_t *buf, size_t size);
/* Into the same devices of another VM: 0 or the first error. */
long env_load(struct env *e, const uint8_t *buf, size_t size);

/* Loads damaged copies of all devices' state, so many, and after each has use() access them; a
 * reset follows those that are refused. Returns how many were. */
unsigned env_load_damaged(struct env *e, unsigned copies, uint64_t seed,
                          void (*use)(struct env *e));

/* CMocka setup and teardown with slot 0 in *state. */
int env_setup(void **state);
int env_teardown(void **state);
#define ENV_TEST(function) cmocka_unit_test_setup_teardown(function, env_setup, env_teardown)

#endif
