/* SPDX-License-Identifier: BSD-2-Clause */
/* What exits do not tell: the operands of moves to control registers, I/O breakpoints. */
#include <hypercore/errno.h>
#include <string.h>

#include "tests/platform.h"
#include "tests/x86_guest.h"

static void test_finds_cr_writes(void **state)
{
	static const struct {
		const char *code;
		uint8_t len, number;
		uint64_t value;
		int rc;
	} rows[] = {
		{ "\x0f\x22\xdb", 3, 3, 0x1122334455667788, 0 },   /* MOV CR3, RBX */
		{ "\x41\x0f\x22\xe7", 4, 4, 0x99, 0 },             /* MOV CR4, R15 */
		{ "\x0f\x22\x03", 3, 0, 0x1122334455667788, 0 },   /* mod is not looked at */
		{ "\x0f\x01\xf3", 3, 0, X86_CR0_PG | 0x9, 0 },     /* LMSW BX */
		{ "\x0f\x01\x36", 3, 0, X86_CR0_PG | 0x7, 0 },     /* LMSW [RSI] */
		{ "\x65\x0f\x01\x36", 4, 0, X86_CR0_PG | 0x5, 0 }, /* LMSW GS:[RSI] */
		{ "\x0f\x01\x37", 3, 0, 0, -EFAULT },              /* LMSW [RDI] */
		{ "\x0f\x20\xdb", 3, 0, 0, -ENOENT },              /* MOV RBX, CR3 */
		{ "\x0f\x0b", 2, 0, 0, -ENOENT },
	};
	static const uint8_t words[] = { 0xf6, 0xff, 0xf4, 0xff };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct hc_exit e = exit_of(HC_EXIT_CR_WRITE);
		struct x86_fault fault = { 0 };

		put_code(vcpu, rows[i].code, rows[i].len);
		assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(0x11000), words, 4), 0);
		set_gpr(vcpu, X86_RBX, 0x1122334455667788);
		set_gpr(vcpu, X86_R15, 0x99);
		set_gpr(vcpu, X86_RSI, 0x11000);
		set_gpr(vcpu, X86_RDI, HC_BIT(60));
		x86_state_of(vcpu)->cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_MP | X86_CR0_EM;
		x86_state_of(vcpu)->seg[X86_GS].base = 2;
		assert_int_equal(x86_find_cr_write(vcpu, &e, &fault), rows[i].rc);
		if (rows[i].rc == -EFAULT)
			assert_int_equal(fault.vector, X86_VEC_GP);
		if (!rows[i].rc) {
			assert_int_equal(e.u.cr.number, rows[i].number);
			assert_int_equal(e.u.cr.value, rows[i].value);
			assert_int_equal(e.next_pc, e.pc + rows[i].len);
		}
		hc_vm_destroy(vcpu->vm);
	}
}

/* All settings of a breakpoint against all places of an access: hit if they share a byte. */
static void check_io_breakpoint(struct hc_vcpu *vcpu, unsigned n, unsigned field, unsigned width,
                                uint16_t port)
{
	static const uint8_t sizes[] = { 1, 2, 8, 4 };
	struct hc_exit e = exit_of(HC_EXIT_IO);
	struct x86_state *s = x86_env_state(vcpu);
	uint64_t size = sizes[field >> 2], first = 0x1005 & ~(size - 1);
	bool hit = (field & 3) == 2 && s->cr4 & X86_CR4_DE && first < port + width &&
	           port < first + size;

	x86_script_of(vcpu)->event_count = 0;
	s->rip = 0x10000;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr[n] = 0x1005;
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400 | UINT64_C(2) << 2 * n | (uint64_t)field << (16 + 4 * n);
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	e.u.io = (struct hc_exit_io){ .port = port, .width = (uint8_t)width, .write = true };
	e.u.io.watched = x86_watches_ports(s->dr7);
	script_exit(vcpu, &e);
	const struct x86_event got = injected(vcpu);

	assert_int_equal(got.valid && got.vector == X86_VEC_DB, hit);
	assert_int_equal(x86_env_state(vcpu)->rip, 0x10002);
	assert_int_equal(x86_env_state(vcpu)->dr6 & 0xf, hit ? 1u << n : 0);
}

static void test_io_breakpoints(void **state)
{
	struct hc_vcpu *vcpu = guest(1);

	for (unsigned i = 0; i < 2 * 4 * 16 * 3; i++) {
		x86_env_state(vcpu)->cr4 = X86_CR4_PAE | (i & 1 ? X86_CR4_DE : 0);
		check_io_breakpoint(vcpu, i / 2 % 4, i / 8 % 16, 1u << i / 128,
		                    (uint16_t)(0x1000 + i % 11));
	}
	hc_vm_destroy(vcpu->vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_cr_writes),
		cmocka_unit_test(test_io_breakpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
