/* SPDX-License-Identifier: BSD-2-Clause */
/* Vector registers moved to and from devices, through the handler of stage 2 exits. */
#include <string.h>

#include "tests/x86_guest.h"

static struct {
	uint64_t offset, value;
	unsigned size;
} pieces[8];
static unsigned n_pieces;

static void note(uint64_t offset, unsigned size, uint64_t value)
{
	assert_in_range(n_pieces, 0, HC_ARRAY_SIZE(pieces) - 1);
	pieces[n_pieces].offset = offset;
	pieces[n_pieces].size = size;
	pieces[n_pieces++].value = value;
}

static uint64_t pieces_read(void *dev, uint64_t offset, unsigned size)
{
	note(offset, size, UINT64_C(0x0101010101010101) * (offset + 1));
	return pieces[n_pieces - 1].value;
}

static void pieces_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	note(offset, size, value);
}

/* No piece is wider than 8 bytes, each is aligned, and they come in ascending order. */
static void test_vector_pieces(void **state)
{
	static const struct {
		const char *code;
		uint8_t len, offset, n, size[4];
		bool write;
	} rows[] = {
		{ "\x66\x0f\x6e\x03", 4, 4, 1, { 4 }, false },         /* movd xmm0, [rbx] */
		{ "\x66\x0f\xd6\x03", 4, 8, 1, { 8 }, true },          /* movq [rbx], xmm0 */
		{ "\x66\x0f\x6f\x03", 4, 16, 2, { 8, 8 }, false },     /* movdqa xmm0, [rbx] */
		{ "\x66\x0f\xe7\x03", 4, 16, 2, { 8, 8 }, true },      /* movntdq [rbx], xmm0 */
		{ "\x0f\x10\x03", 3, 4, 3, { 4, 8, 4 }, false },       /* movups xmm0, [rbx] */
		{ "\xc5\xfe\x7f\x03", 4, 0, 4, { 8, 8, 8, 8 }, true }, /* vmovdqu [rbx], ymm0 */
	};
	static const struct hc_region_ops ops = { pieces_read, pieces_write, 0 };
	const struct hc_region r = { "pieces", 0xd0000000, 4096, &ops, NULL };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct hc_exit e = { .reason = HC_EXIT_STAGE2 };
		struct x86_state *s = x86_state_of(vcpu);
		unsigned at = 0;

		e.u.stage2.gpa = gpa_of(r.base + rows[i].offset);
		e.u.stage2.access = rows[i].write ? HC_ACCESS_WRITE : HC_ACCESS_READ;
		assert_int_equal(hc_bus_add(vcpu->vm, HC_SPACE_MEMORY, &r), 0);
		put_code(vcpu, rows[i].code, rows[i].len);
		set_gpr(vcpu, X86_RBX, r.base + rows[i].offset);
		hc_vcpu_need(vcpu, X86_G_CR | X86_G_FPU);
		s->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
		s->xcr0 = 7;
		s->xsave[512] = 7; /* XSTATE_BV */
		for (unsigned k = 0; k < 16; k++) {
			s->xsave[160 + k] = (uint8_t)(k + 1);
			s->xsave[576 + k] = (uint8_t)(k + 17);
		}
		hc_vcpu_dirty(vcpu, X86_G_CR | X86_G_FPU);
		n_pieces = 0;
		script_exit(vcpu, &e);
		s = x86_env_state(vcpu);
		assert_int_equal(s->rip, 0x10000 + rows[i].len);
		assert_int_equal(n_pieces, rows[i].n);
		for (unsigned n = 0; n < n_pieces; at += rows[i].size[n++]) {
			const uint8_t *reg = s->xsave + (at < 16 ? 160 + at : 576 + at - 16);

			assert_int_equal(pieces[n].size, rows[i].size[n]);
			assert_int_equal(pieces[n].offset, rows[i].offset + at);
			assert_memory_equal(&pieces[n].value, reg, rows[i].size[n]);
		}
		hc_vm_destroy(vcpu->vm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vector_pieces) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
