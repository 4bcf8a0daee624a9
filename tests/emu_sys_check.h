/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of single system instructions share: a machine in each mode, and what came of an
 * instruction. Everything is at CODE, STACK and DATA. */
#ifndef TESTS_EMU_SYS_CHECK_H
#define TESTS_EMU_SYS_CHECK_H

#include "emu_sys_rig.h"
#include "unit.h"

#define GDT   0x1000u
#define IDT   0x2000u
#define TSS   0x3000u
#define CODE  0x8000u
#define STACK 0xa000u
#define DATA  0x6000u

#define DO(...)                                                                                    \
	({                                                                                         \
		static const uint8_t bytes_[] = { __VA_ARGS__ };                                   \
		rig_do(bytes_, sizeof(bytes_));                                                    \
	})

static inline void flat(unsigned bits, unsigned cpl)
{
	struct x86_state *s = &rig.state;

	rig_flat(bits, cpl);
	s->gdtr = (struct x86_dtable){ GDT, 0xff };
	s->idtr = (struct x86_dtable){ IDT, 0xfff };
	s->seg[X86_TR] = (struct x86_segment){ 0x70, 0x8b, 0xfff, TSS };
	s->rip = CODE;
	s->gpr[X86_RSP] = STACK;
	s->gpr[X86_RAX] = DATA;
}

/* Virtual-8086 mode with all segments at 0. */
static inline void vm86(unsigned iopl)
{
	struct x86_state *s = &rig.state;

	flat(32, 3);
	s->rflags |= X86_FLAG_VM | iopl << 12;
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_segment){ 0, 0xf3, 0xffff, 0 };
	emu_update_mode(&rig_cpu);
}

static inline void check_raised(enum rig_result r, unsigned vector, unsigned code)
{
	assert_int_equal(r, RIG_FAULT);
	assert_int_equal(rig_cpu.fault.vector, vector);
	if (rig_cpu.fault.has_error_code)
		assert_int_equal(rig_cpu.fault.error_code, code);
}

#define check_gp(r) check_raised(r, X86_VEC_GP, 0)
#define check_ud(r) check_raised(r, X86_VEC_UD, 0)
#define check_ok(r) assert_int_equal(r, RIG_OK)

static inline void check_exit(enum rig_result r, enum hc_exit_reason reason, unsigned length)
{
	assert_int_equal(r, RIG_EXIT);
	assert_int_equal(rig.exit.reason, reason);
	assert_int_equal(rig.exit.pc, CODE);
	assert_int_equal(rig.exit.next_pc, CODE + length);
}

#endif
