/* SPDX-License-Identifier: BSD-2-Clause */
/* IN, OUT, INS and OUTS by their exit, on the scripted backend. */
#include "arch/x86_64/x86.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_guest.h"

static uint64_t port_values[32];
static unsigned port_count;
static uint32_t next_input;

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	return next_input++ * UINT32_C(0x01010101);
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	if (port_count < HC_ARRAY_SIZE(port_values))
		port_values[port_count] = value;
	port_count++;
}

static void add_port(struct hc_vm *vm)
{
	static const struct hc_region_ops ops = { port_read, port_write, 0 };
	const struct hc_region r = { "port", 0x500, 4, &ops, NULL };

	assert_int_equal(hc_bus_add(vm, HC_SPACE_IO, &r), 0);
	port_count = 0;
	next_input = 0x81;
}

static struct hc_exit io_exit(uint8_t width, bool write, bool string, bool rep)
{
	struct hc_exit e = exit_of(HC_EXIT_IO);

	e.u.io = (struct hc_exit_io){ .port = 0x500,
		                      .width = width,
		                      .write = write,
		                      .string = string,
		                      .rep = rep,
		                      .segment = X86_DS,
		                      .addr_size = 8 };
	return e;
}

static void test_ports(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	struct x86_state *s = x86_state_of(vcpu);

	add_port(vcpu->vm);
	for (unsigned width = 1; width <= 4; width *= 2) {
		struct hc_exit in = io_exit((uint8_t)width, false, false, false);
		struct hc_exit out = io_exit((uint8_t)width, true, false, false);
		uint64_t mask = HC_BIT(width * 8) - 1;
		uint32_t input = next_input * UINT32_C(0x01010101);

		set_gpr(vcpu, X86_RAX, UINT64_C(0x1122334455667788));
		script_exit(vcpu, &out);
		assert_int_equal(port_values[port_count - 1], UINT64_C(0x1122334455667788) & mask);
		script_exit(vcpu, &in);
		assert_int_equal(s->gpr[X86_RAX],
		                 width == 4
		                         ? input
		                         : (UINT64_C(0x1122334455667788) & ~mask) | (input & mask));
	}
	/* Where nothing answers. */
	struct hc_exit e = io_exit(2, false, false, false);

	e.u.io.port = 0x700;
	script_exit(vcpu, &e);
	assert_int_equal(s->gpr[X86_RAX] & 0xffff, 0xffff);
	hc_vm_destroy(vcpu->vm);
}

static void test_string_ports(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	struct x86_state *s = x86_state_of(vcpu);
	struct hc_exit out = io_exit(2, true, true, true), in = io_exit(1, false, true, true);
	uint8_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(0), MEMORY, true);

	add_port(vcpu->vm);
	for (unsigned i = 0; i < 16; i++)
		ram[0x20000 + i] = (uint8_t)i;
	set_gpr(vcpu, X86_RSI, 0x20000);
	set_gpr(vcpu, X86_RCX, 8);
	script_exit(vcpu, &out);
	assert_int_equal(port_count, 8);
	assert_int_equal(port_values[7], 0x0f0e);
	assert_int_equal(s->gpr[X86_RSI], 0x20010);
	assert_int_equal(s->gpr[X86_RCX], 0);
	assert_int_equal(s->rip, 0x10002);
	/* Long ones come back several times; backwards. */
	s->rip = 0x10000;
	s->rflags |= X86_FLAG_DF;
	set_gpr(vcpu, X86_RDI, 0x30fff);
	set_gpr(vcpu, X86_RCX, 1000);
	unsigned rounds = 0;

	for (; s->rip == 0x10000; rounds++) {
		uint64_t before = s->gpr[X86_RCX];

		assert_in_range(rounds, 0, 500);
		script_exit(vcpu, &in);
		assert_true(s->gpr[X86_RCX] < before);
	}
	assert_in_range(rounds, 2, 500);
	assert_int_equal(s->gpr[X86_RDI], 0x30fff - 1000);
	assert_int_equal(ram[0x30fff], 0x81);
	assert_int_equal(ram[0x30ffe], 0x82);
	/* A count of zero does nothing. */
	s->rip = 0x10000;
	set_gpr(vcpu, X86_RCX, 0);
	port_count = 0;
	script_exit(vcpu, &out);
	assert_int_equal(port_count, 0);
	assert_int_equal(s->rip, 0x10002);
	hc_vm_destroy(vcpu->vm);
}

/* A page fault in the middle: what was done counts, the port is not read for what cannot be stored.
 */
static void test_string_fault(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	struct x86_state *s = x86_state_of(vcpu);
	struct hc_exit in = io_exit(4, false, true, true);
	uint64_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(0), TABLES, true);

	add_port(vcpu->vm);
	ram[0x4000 / 8 + 4] = 0; /* 8 MiB on is not mapped */
	set_gpr(vcpu, X86_RDI, 0x7ffff4);
	set_gpr(vcpu, X86_RCX, 10);
	script_exit(vcpu, &in);
	assert_int_equal(s->gpr[X86_RCX], 7);
	assert_int_equal(s->gpr[X86_RDI], 0x800000);
	assert_int_equal(next_input, 0x84);
	const struct x86_event e = injected(vcpu);

	assert_true(e.vector == X86_VEC_PF && e.error_code == X86_PF_W);
	assert_int_equal(x86_env_state(vcpu)->cr2, 0x800000);
	assert_int_equal(s->rip, 0x10000);
	hc_vm_destroy(vcpu->vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_string_ports),
		cmocka_unit_test(test_string_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
