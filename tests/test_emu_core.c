/* SPDX-License-Identifier: BSD-2-Clause */
/* The software CPU's loop, blocks, TLB and memory. */
#include "tests/emu_rig.h"

#include <string.h>

#include "tests/platform.h"
#include "tests/unit.h"

static void test_loop(void **state)
{
	struct emu_rig r;

	emu_rig_start(&r, RIG_LONG, 1);
	/* mov ecx, 1000; xor eax, eax; 1: add rax, rcx; dec ecx; jnz 1b; hlt */
	emu_rig_code(&r, 0xb9, 0xe8, 0x03, 0, 0, 0x31, 0xc0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75,
	             0xf9, 0xf4);
	assert_int_equal(emu_rig_run(&r), HC_EXIT_HALT);
	assert_int_equal(r.s->gpr[X86_RAX], 500500);
	assert_int_equal(r.exit.pc, RIG_CODE + 14);
	assert_int_equal(r.exit.next_pc, RIG_CODE + 15);
	emu_rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
