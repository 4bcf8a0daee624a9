/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest in 64-bit mode on the scripted backend, for tests of exit handlers. */
#ifndef TESTS_X86_GUEST_H
#define TESTS_X86_GUEST_H

#include "arch/x86_64/x86.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

#define MEMORY (16 * HC_MIB)
#define TABLES 0x8000 /* below it are the page tables: what is asked for is cleared first */

/* Identity tables of 2 MiB pages for 4 GiB. */
static inline void enter_long_mode(struct hc_vcpu *vcpu)
{
	struct x86_state *s = x86_env_state(vcpu);
	uint64_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(0), TABLES, true);

	ram[0x2000 / 8] = 0x3007;
	for (unsigned i = 0; i < 4; i++)
		ram[0x3000 / 8 + i] = (0x4000 + i * 0x1000) | 7;
	for (uint64_t i = 0; i < 2048; i++)
		ram[0x4000 / 8 + i] = i << 21 | 0x87;
	s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	s->cr3 = 0x2000;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	s->seg[X86_CS] = (struct x86_segment){ 0x10, 0xa9b, UINT32_MAX, 0 };
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS)
			s->seg[i] = (struct x86_segment){ 0x18, 0xc93, UINT32_MAX, 0 };
	s->rip = 0x10000;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
}

static inline struct hc_vcpu *guest(unsigned cpus)
{
	struct hc_vm *vm = script_vm(cpus, MEMORY);

	enter_long_mode(vm->vcpus[0]);
	return vm->vcpus[0];
}

static inline void put_code(struct hc_vcpu *vcpu, const char *bytes, unsigned len)
{
	assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(0x10000), bytes, len), 0);
}

static inline void set_gpr(struct hc_vcpu *vcpu, enum x86_gpr reg, uint64_t value)
{
	x86_state_of(vcpu)->gpr[reg] = value;
	hc_vcpu_dirty(vcpu, X86_G_CORE);
}

/* Lets pending events go in; returns the last one that did. */
static inline struct x86_event injected(struct hc_vcpu *vcpu)
{
	struct x86_script *s = x86_script_of(vcpu);

	atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_EVENT);
	assert_int_equal(x86_arch_ops.before_entry(vcpu), HC_ACT_RESUME);
	return s->event_count ? s->events[s->event_count - 1] : (struct x86_event){ 0 };
}

static const struct hc_exit at_10002 = { .next_pc = 0x10002 };

static inline struct hc_exit exit_of(enum hc_exit_reason reason)
{
	struct hc_exit e = at_10002;

	e.reason = reason;
	return e;
}

#endif
