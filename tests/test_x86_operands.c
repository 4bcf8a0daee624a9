/* SPDX-License-Identifier: BSD-2-Clause */
/* What exits do not tell: the operands of moves to control registers, I/O breakpoints,
 * operands in segments. */
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

/* SDM Vol. 3A 5.3 and table 3-1, a byte at a time: outside of 64-bit mode. */
static bool may_access(const struct x86_segment *g, uint64_t offset, unsigned len, unsigned access)
{
	unsigned type = g->attr & 0xf;
	bool code = type >= 8;

	if (access == HC_ACCESS_EXEC    ? !code
	    : access == HC_ACCESS_WRITE ? code || !(type & 2)
	                                : code && !(type & 2))
		return false;
	for (uint64_t byte = offset; byte < offset + len; byte++) {
		bool below = byte <= g->limit;
		bool inside =
			!code && type & 4
				? !below && byte <= (g->attr & X86_ATTR_DB ? UINT32_MAX : 0xffff)
				: below;

		if (!inside)
			return false;
	}
	return true;
}

static void test_segments(void **state)
{
	static const unsigned accesses[] = { HC_ACCESS_READ, HC_ACCESS_WRITE, HC_ACCESS_EXEC };
	static const uint32_t edges[] = { 0, 0xfff, 0xffff, 0x10000, 0xfffffff8, UINT32_MAX };
	struct hc_vcpu *vcpu = guest(1);
	struct x86_state *s = x86_env_state(vcpu);
	uint64_t random = 5;

	s->seg[X86_CS].attr &= (uint16_t)~X86_ATTR_L;
	for (unsigned i = 0; i < 200000; i++) {
		enum x86_seg seg = i & 1 ? X86_SS : X86_FS;
		unsigned len = (unsigned)test_below(&random, 8) + 1, access = accesses[i % 3];
		uint32_t offset =
			edges[test_below(&random, 6)] + (uint32_t)test_below(&random, 17) - 8;
		struct x86_segment *g = &s->seg[seg];
		struct x86_fault fault = { 0 };
		gva_t gva;
		int rc;

		g->base = test_below(&random, UINT32_MAX);
		g->limit = edges[test_below(&random, 6)];
		g->attr = (uint16_t)(X86_ATTR_P | X86_ATTR_S | test_below(&random, 16) |
		                     (test_below(&random, 2) ? X86_ATTR_DB : 0));
		rc = x86_linear(vcpu, seg, offset, len, access, &gva, &fault);
		assert_int_equal(rc, may_access(g, offset, len, access) ? 0 : -EFAULT);
		if (rc)
			assert_int_equal(fault.vector, i & 1 ? X86_VEC_SS : X86_VEC_GP);
		else
			assert_int_equal(gva.v, (uint32_t)(g->base + offset));
	}
	hc_vm_destroy(vcpu->vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_cr_writes),
		cmocka_unit_test(test_io_breakpoints),
		cmocka_unit_test(test_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
