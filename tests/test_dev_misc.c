/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware, keyboard controller, debug console, exit port. */
#include "core/timer.h"
#include "devices/acpi_pm.h"
#include "devices/debugcon.h"
#include "devices/exit_port.h"
#include "devices/i8042.h"
#include "tests/devices_env.h"

#define PM  0x600
#define SCI 9

__extension__ typedef unsigned __int128 u128;

static struct acpi_pm *pm;
static uint64_t start_ns;

static struct env *make_pm(void **state, bool tmr_32bit)
{
	struct env *e = *state;
	const struct acpi_pm_config config = {
		.evt_port = PM,
		.cnt_port = PM + 4,
		.tmr_port = PM + 8,
		.reset_port = PM + 12,
		.reset_value = 6,
		.s5_type = 5,
		.tmr_32bit = tmr_32bit,
		.sci_line = SCI,
	};

	assert_int_equal(acpi_pm_create(e->vm, &config, &pm), 0);
	start_ns = test_now_ns;
	return e;
}

/* --- ACPI --- */

static void pm_timer_counts(void **state)
{
	uint64_t seed = 1;

	for (unsigned wide = 0; wide < 2; wide++) {
		struct env *e = wide ? (env_end(0), env_begin(0)) : *state;

		*state = e;
		make_pm(state, wide);
		for (unsigned i = 0; i < 2000; i++) {
			env_advance(test_below(&seed, UINT64_C(1) << test_below(&seed, 44)));
			uint64_t ns = test_now_ns - start_ns;
			uint64_t ticks = (uint64_t)((u128)ns * 3579545 / 1000000000);

			assert_int_equal(env_port_in(e, PM + 8, 4),
			                 ticks & (wide ? 0xffffffff : 0xffffff));
			assert_int_equal(env_port_in(e, PM + 9, 1), ticks >> 8 & 0xff);
		}
	}
}

static void timer_status_follows_the_top_bit(void **state)
{
	struct env *e = make_pm(state, false);
	uint64_t half = hc_ticks_to_ns(1 << 23, ACPI_PM_TIMER_HZ);

	env_advance(half - 1);
	assert_int_equal(env_port_in(e, PM, 2), 0);
	env_advance(1);
	assert_int_equal(env_port_in(e, PM, 2), 1);
	assert_false(env_line(e, SCI));
	env_port_out(e, PM + 2, 2, 1);
	assert_true(env_line(e, SCI));
	env_port_out(e, PM, 2, 1);
	assert_false(env_line(e, SCI));
	env_advance(hc_ticks_to_ns(1 << 24, ACPI_PM_TIMER_HZ) - half - 1);
	assert_false(env_line(e, SCI));
	env_advance(1); /* 1 -> 0 counts as well, and the timer fires by itself */
	assert_true(env_line(e, SCI));
}

static void power_button(void **state)
{
	struct env *e = make_pm(state, true);

	acpi_pm_power_button(pm);
	assert_int_equal(env_port_in(e, PM, 2), 0x100);
	assert_false(env_line(e, SCI));
	env_port_out(e, PM + 3, 1, 0x01); /* PWRBTN_EN, bytewise */
	assert_int_equal(env_port_in(e, PM + 2, 2), 0x100);
	assert_true(env_line(e, SCI));
	env_port_out(e, PM, 1, 0xff); /* the other byte */
	assert_true(env_line(e, SCI));
	env_port_out(e, PM + 4, 2, 0); /* SCI_EN off */
	assert_false(env_line(e, SCI));
	env_port_out(e, PM + 4, 2, 1);
	assert_true(env_line(e, SCI));
	env_port_out(e, PM, 4, 0x01000100); /* clears the status, keeps the enable */
	assert_false(env_line(e, SCI));
	assert_int_equal(env_port_in(e, PM, 4), 0x01000000);
}

static void enables_keep_defined_bits(void **state)
{
	struct env *e = make_pm(state, true);

	env_port_out(e, PM + 2, 2, 0xffff);
	assert_int_equal(env_port_in(e, PM + 2, 2), 0x0721);
	env_port_out(e, PM + 4, 2, 0xdfff & ~0x1c00u);
	assert_int_equal(env_port_in(e, PM + 4, 2), 0x0003);
}

static enum hc_stop_cause cause_after(struct env *e, uint16_t port, unsigned size, uint64_t value)
{
	if (hc_vm_state(e->vm) == HC_VM_CREATED)
		assert_int_equal(hc_vm_start(e->vm), 0);
	env_port_out(e, port, size, value);
	return hc_vm_cause(e->vm);
}

static void only_s5_powers_off(void **state)
{
	struct env *e = make_pm(state, true);

	for (unsigned type = 0; type < 8; type++)
		if (type != 5)
			assert_int_equal(cause_after(e, PM + 4, 2, 0x2001 | type << 10),
			                 HC_STOP_NONE);
	assert_int_equal(cause_after(e, PM + 4, 2, 0x0001 | 5 << 10), HC_STOP_NONE);
	assert_int_equal(cause_after(e, PM + 5, 1, 0x34), HC_STOP_POWEROFF); /* SLP_EN, bytewise */
}

static void reset_register(void **state)
{
	struct env *e = make_pm(state, true);

	for (unsigned v = 0; v < 256; v++)
		if (v != 6)
			assert_int_equal(cause_after(e, PM + 12, 1, v), HC_STOP_NONE);
	assert_int_equal(cause_after(e, PM + 12, 1, 6), HC_STOP_RESET);
}

static void acpi_configuration_is_checked(void **state)
{
	struct env *e = *state;
	struct acpi_pm_config config = { .sci_line = HC_IRQ_LINES };

	assert_int_equal(acpi_pm_create(e->vm, &config, NULL), -EINVAL);
	config = (struct acpi_pm_config){ .s5_type = 8 };
	assert_int_equal(acpi_pm_create(e->vm, &config, NULL), -EINVAL);
}

/* --- i8042 --- */

static struct env *make_kbc(void **state)
{
	struct env *e = *state;

	assert_int_equal(i8042_create(e->vm), 0);
	return e;
}

/* What Linux's driver does, step by step; every answer is there at once. */
static void linux_probe(void **state)
{
	struct env *e = make_kbc(state);

	assert_int_equal(env_in(e, 0x64) & 0x03, 0); /* flush: empty */
	env_out(e, 0x64, 0x20);
	assert_int_equal(env_in(e, 0x64) & 0x21, 0x01);
	uint8_t ctr = env_in(e, 0x60);

	env_out(e, 0x64, 0x60);
	env_out(e, 0x60, ctr | 0x10);
	env_out(e, 0x64, 0x20);
	assert_int_equal(env_in(e, 0x60), ctr | 0x10);
	env_out(e, 0x64, 0xaa);
	assert_int_equal(env_in(e, 0x60), 0x55);
	env_out(e, 0x64, 0xd3);
	env_out(e, 0x60, 0x5a);
	assert_int_equal(env_in(e, 0x64) & 0x21, 0x01); /* not from an auxiliary port: test it */
	assert_int_equal(env_in(e, 0x60), 0x5a);
	env_out(e, 0x64, 0xa9);
	assert_int_equal(env_in(e, 0x60), 0x01);
	env_out(e, 0x64, 0x60);
	env_out(e, 0x60, 0x01); /* keyboard and its interrupt on */
	env_out(e, 0x60, 0xf2);
	assert_true(env_line(e, 1));
	assert_int_equal(env_in(e, 0x64) & 0x61, 0x41); /* nobody answered */
	assert_int_equal(env_in(e, 0x60), 0xfe);
	assert_false(env_line(e, 1));
}

static void auxiliary_port_is_empty(void **state)
{
	struct env *e = make_kbc(state);

	env_out(e, 0x64, 0x60);
	env_out(e, 0x60, 0x02);
	env_out(e, 0x64, 0xd4);
	env_out(e, 0x60, 0xff);
	assert_true(env_line(e, 12));
	assert_false(env_line(e, 1));
	assert_int_equal(env_in(e, 0x64) & 0x61, 0x61);
	assert_int_equal(env_in(e, 0x60), 0xfe);
	assert_false(env_line(e, 12));
}

static void a20_is_one_bit_behind_two_ports(void **state)
{
	struct env *e = make_kbc(state);

	assert_int_equal(env_in(e, 0x92), 2);
	env_out(e, 0x64, 0xd1);
	env_out(e, 0x60, 0xdd);
	assert_int_equal(env_in(e, 0x92), 0);
	env_out(e, 0x92, 2);
	env_out(e, 0x64, 0xd0);
	assert_int_equal(env_in(e, 0x60) & 3, 3);
}

static void ways_to_reset(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t before, value;
	} ways[] = { { 0x64, 0, 0xfe }, { 0x64, 0, 0xf0 }, { 0x60, 0xd1, 0x02 }, { 0x92, 0, 3 } };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(ways); i++) {
		struct env *e = i ? (env_end(0), env_begin(0)) : *state;

		*state = e;
		make_kbc(state);
		assert_int_equal(cause_after(e, 0x64, 1, 0xff), HC_STOP_NONE);
		if (ways[i].before)
			assert_int_equal(cause_after(e, 0x64, 1, ways[i].before), HC_STOP_NONE);
		assert_int_equal(cause_after(e, ways[i].port, 1, ways[i].value), HC_STOP_RESET);
	}
}

/* --- Debug console, exit port --- */

static void debug_console(void **state)
{
	struct env *e = *state;

	assert_int_equal(debugcon_create(e->vm, NULL), -EINVAL);
	assert_int_equal(debugcon_create(e->vm, &e->chr), 0);
	assert_int_equal(env_in(e, 0xe9), 0xe9);
	env_port_out(e, 0xe9, 1, 'h');
	env_port_out(e, 0xe9, 1, 'i');
	assert_memory_equal(e->output, "hi", 2);
	assert_int_equal(e->output_len, 2);
}

static void exit_status(void **state)
{
	struct env *e = *state;

	assert_int_equal(exit_port_create(e->vm, HC_SPACE_IO, 0xf4), 0);
	assert_int_equal(env_in(e, 0xf4), 0xff);
	assert_int_equal(cause_after(e, 0xf4, 4, 0x12345678), HC_STOP_EXIT);
	assert_int_equal(hc_vm_status(e->vm), 0x78);
}

#define TEST(name) ENV_TEST(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pm_timer_counts),
		TEST(timer_status_follows_the_top_bit),
		TEST(power_button),
		TEST(enables_keep_defined_bits),
		TEST(only_s5_powers_off),
		TEST(reset_register),
		TEST(acpi_configuration_is_checked),
		TEST(linux_probe),
		TEST(auxiliary_port_is_empty),
		TEST(a20_is_one_bit_behind_two_ports),
		TEST(ways_to_reset),
		TEST(debug_console),
		TEST(exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
