/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/emu_rig.h"

#include <string.h>

#include "arch/x86_64/emu/emu.h"
#include "emu/x86_64/engine/engine_api.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define PTE_TABLE 0x67 /* present, writable, user, accessed, dirty */
#define PTE_LARGE 0xe7

#define ATTR_CODE 0xc9b /* flat 32-bit code, accessed */
#define ATTR_DATA 0xc93
#define ATTR_LONG 0xa9b

/* --- Tables --- */

static void make_tables(struct emu_rig *r)
{
	for (unsigned i = 0; i < 4; i++)
		emu_rig_put(r, RIG_TABLES + 0x1000 + 8 * i,
		            (RIG_TABLES + 0x2000 + 0x1000 * i) | PTE_TABLE, 8);
	for (unsigned i = 0; i < 2048; i++)
		emu_rig_put(r, RIG_TABLES + 0x2000 + 8 * i, (uint64_t)i << 21 | PTE_LARGE, 8);
	emu_rig_put(r, RIG_TABLES, (RIG_TABLES + 0x1000) | PTE_TABLE, 8);
	/* For 32-bit paging. */
	for (unsigned i = 0; i < 1024; i++)
		emu_rig_put(r, RIG_TABLES + 0x8000 + 4 * i, (uint64_t)i << 22 | PTE_LARGE, 4);
}

static uint64_t descriptor(unsigned attr, uint32_t base, uint32_t limit)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)(attr & 0xff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
	       (uint64_t)(attr >> 8 & 0xf) << 52 | (uint64_t)(base >> 24) << 56;
}

static void make_gdt(struct emu_rig *r)
{
	unsigned code = r->mode == RIG_LONG ? ATTR_LONG : ATTR_CODE;

	emu_rig_put(r, RIG_GDT + RIG_CS, descriptor(code, 0, 0xfffff), 8);
	emu_rig_put(r, RIG_GDT + RIG_DS, descriptor(ATTR_DATA, 0, 0xfffff), 8);
	emu_rig_put(r, RIG_GDT + (RIG_USER_CS & ~7), descriptor(code | 0x60, 0, 0xfffff), 8);
	emu_rig_put(r, RIG_GDT + (RIG_USER_DS & ~7), descriptor(ATTR_DATA | 0x60, 0, 0xfffff), 8);
	emu_rig_put(r, RIG_GDT + RIG_CS64, descriptor(ATTR_LONG, 0, 0xfffff), 8);
	emu_rig_put(r, RIG_GDT + RIG_TR, descriptor(0x08b, RIG_TSS, 0x67), 8);
	/* Stacks for CPL 0: of a 32-bit and of a 64-bit TSS, which lie over each other. */
	if (r->mode == RIG_LONG) {
		emu_rig_put(r, RIG_TSS + 4, RIG_STACK, 8);
	} else {
		emu_rig_put(r, RIG_TSS + 4, RIG_STACK, 4);
		emu_rig_put(r, RIG_TSS + 8, RIG_DS, 4);
	}
	emu_rig_put(r, RIG_TSS + 0x66, 0x68, 2); /* no I/O bitmap */
}

void emu_rig_gate(struct emu_rig *r, unsigned vector, uint64_t handler, unsigned dpl, unsigned ist)
{
	uint64_t type = 0x8e00 | dpl << 13 | ist;

	if (r->mode == RIG_REAL) {
		emu_rig_put(r, 4 * vector, handler, 4);
		return;
	}
	unsigned size = r->mode == RIG_LONG ? 16 : 8;
	uint64_t at = RIG_IDT + size * vector;

	emu_rig_put(r, at,
	            (handler & 0xffff) | RIG_CS << 16 | type << 32 | (handler >> 16 & 0xffff) << 48,
	            8);
	if (r->mode == RIG_LONG)
		emu_rig_put(r, at + 8, handler >> 32, 8);
	r->s->idtr = (struct x86_dtable){ RIG_IDT, 0xfff };
}

/* --- Modes --- */

static void set_protected(struct x86_state *s, enum rig_mode mode)
{
	const struct x86_segment data = { RIG_DS, ATTR_DATA, UINT32_MAX, 0 };

	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = data;
	s->seg[X86_CS] = (struct x86_segment){ RIG_CS, mode == RIG_LONG ? ATTR_LONG : ATTR_CODE,
		                               UINT32_MAX, 0 };
	s->seg[X86_TR] = (struct x86_segment){ RIG_TR, 0x08b, 0x67, RIG_TSS };
	s->gdtr = (struct x86_dtable){ RIG_GDT, 0xff };
	s->idtr = (struct x86_dtable){ RIG_IDT, 0 };
	s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_MP;
	s->rip = RIG_CODE;
	if (mode == RIG_PAGED) {
		s->cr0 |= X86_CR0_PG;
		s->cr3 = RIG_TABLES + 0x8000;
		s->cr4 = X86_CR4_PSE;
	}
	if (mode == RIG_LONG) {
		s->cr0 |= X86_CR0_PG;
		s->cr3 = RIG_TABLES;
		s->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | HC_BIT(10);
		s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
	}
}

void emu_rig_reset(struct emu_rig *r, unsigned cpu)
{
	struct hc_vcpu *vcpu = r->vm->vcpus[cpu];
	struct x86_state *s = x86_state_of(vcpu);

	x86_vcpu_reset(vcpu, true);
	s->cr0 &= ~(X86_CR0_CD | X86_CR0_NW);
	s->gpr[X86_RSP] = RIG_STACK;
	if (r->mode == RIG_REAL) {
		s->seg[X86_CS].selector = RIG_CODE >> 4;
		s->seg[X86_CS].base = RIG_CODE;
		s->seg[X86_SS].selector = (RIG_STACK - 0x10000) >> 4;
		s->seg[X86_SS].base = RIG_STACK - 0x10000;
		s->gpr[X86_RSP] = 0xfffe;
		s->rip = 0;
	} else {
		set_protected(s, r->mode);
	}
	hc_vcpu_dirty(vcpu, X86_G_ALL);
}

void emu_rig_start(struct emu_rig *r, enum rig_mode mode, unsigned cpus)
{
	const struct hc_vm_config config = {
		.name = "rig", .arch = &x86_arch_ops, .backend = &emu_backend, .cpus = cpus
	};

	memset(r, 0, sizeof(*r));
	test_platform_init(TEST_CPUS);
	r->mode = mode;
	assert_int_equal(hc_vm_create(&r->vm, &config), 0);
	assert_int_equal(x86_add_ram(r->vm, RIG_RAM), 0);
	r->ram = hc_mem_ptr(r->vm, gpa_of(0), RIG_RAM, true);
	assert_non_null(r->ram);
	r->vcpu = r->vm->vcpus[0];
	r->s = x86_state_of(r->vcpu);
	make_tables(r);
	make_gdt(r);
	for (unsigned i = 0; i < cpus; i++)
		emu_rig_reset(r, i);
}

void emu_rig_stop(struct emu_rig *r)
{
	assert_int_equal(hc_vm_destroy(r->vm), 0);
}

void emu_rig_poke(struct emu_rig *r, uint64_t gpa, const void *bytes, size_t n)
{
	memcpy(r->ram + gpa, bytes, n);
	emu_memory_written(hc_vm_part(r->vm, &emu_backend), gpa, n);
}

/* --- Running --- */

enum hc_exit_reason emu_rig_run_cpu(struct emu_rig *r, unsigned cpu)
{
	struct hc_vcpu *vcpu = r->vm->vcpus[cpu];

	for (unsigned i = 0; i < 100000; i++) {
		memset(&r->exit, 0xa5, sizeof(r->exit));
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		vcpu->backend->run(vcpu, &r->exit);
		if (r->exit.reason != HC_EXIT_INTERRUPT)
			return r->exit.reason;
		r->interrupts++;
	}
	fail_msg("no exit: rip %#llx", (unsigned long long)x86_state_of(vcpu)->rip);
	return HC_EXIT_UNKNOWN;
}

enum hc_exit_reason emu_rig_run(struct emu_rig *r)
{
	return emu_rig_run_cpu(r, 0);
}

enum hc_exit_reason emu_rig_go(struct emu_rig *r, unsigned max)
{
	enum hc_exit_reason reason = HC_EXIT_INTERRUPT;

	while (max--) {
		if (atomic_fetch_and(&r->vcpu->requests, ~(uint32_t)HC_REQ_EVENT) & HC_REQ_EVENT)
			assert_true(r->vm->arch->before_entry(r->vcpu) >= 0);
		reason = emu_rig_run(r);
		if (reason == HC_EXIT_HALT || reason == HC_EXIT_SHUTDOWN)
			break;
		assert_int_equal(r->vcpu->handlers[reason](r->vcpu, &r->exit), HC_ACT_RESUME);
	}
	return reason;
}
