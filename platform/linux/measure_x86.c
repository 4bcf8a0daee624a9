/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The measuring guest of a PC's CPU, measure_guest.S, and what it runs in:
 *
 *   0x1000  GDT           0x5000  page directory     0x8000  code
 *   0x2000  IDT           0x6000  page table         0x9000  stack, growing down
 *   0x3000  PML4          0x7000  the other PML4     0xa000  the count
 *   0x4000  PDPT          0xb000  memory to work on  0xc000  not mapped
 */
#include <hypercore/freestanding.h>

#include "arch/x86_64/x86.h"
#include "platform/linux/measure.h"

/* Instructions of a round: 1 + 250 * 5, 8 and the handler's 3. */
#define ROUND 1262

enum { GDT = 0x1000, IDT = 0x2000, PML4 = 0x3000, PDPT = 0x4000, PD = 0x5000, PT = 0x6000 };
enum { COUNT_AT = 0xa000 };
enum { OTHER_PML4 = 0x7000, CODE = 0x8000, STACK = 0xa000, WORK = 0xb000, UNMAPPED = 0xc000 };

static void write_tables(uint8_t *ram)
{
	const uint64_t link = 3; /* present, writable */
	uint64_t *pt = (uint64_t *)(void *)(ram + PT);

	*(uint64_t *)(void *)(ram + PML4) = PDPT | link;
	*(uint64_t *)(void *)(ram + OTHER_PML4) = PDPT | link;
	*(uint64_t *)(void *)(ram + PDPT) = PD | link;
	*(uint64_t *)(void *)(ram + PD) = PT | link;
	for (uint64_t i = 0; i < 512; i++)
		pt[i] = i * HC_PAGE_SIZE == UNMAPPED ? 0 : i * HC_PAGE_SIZE | link;
}

/* SDM Vol. 3A figure 6-8: an interrupt gate of 64-bit mode. */
static void write_gate(uint8_t *ram, unsigned vector, uint64_t handler)
{
	uint64_t *gate = (uint64_t *)(void *)(ram + IDT + 16 * vector);

	gate[0] = (handler & 0xffff) | UINT64_C(0x10) << 16 | UINT64_C(0x8e00) << 32 |
	          (handler >> 16 & 0xffff) << 48;
	gate[1] = handler >> 32;
}

static void write_guest(uint8_t *ram)
{
	static const uint64_t gdt[] = { 0, 0, UINT64_C(0x00af9b000000ffff),
		                        UINT64_C(0x00cf93000000ffff) };

	write_tables(ram);
	memcpy(ram + GDT, gdt, sizeof(gdt));
	memcpy(ram + CODE, linux_measure_guest, (size_t)(linux_measure_end - linux_measure_guest));
	write_gate(ram, X86_VEC_PF, CODE + (uint64_t)(linux_measure_fault - linux_measure_guest));
}

static void set_state(struct hc_vcpu *vcpu)
{
	struct x86_state *s = x86_state_of(vcpu);

	s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	s->cr3 = PML4;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		s->seg[i] = (struct x86_segment){ 0x18, 0xc93, UINT32_MAX, 0 };
	s->seg[X86_CS] = (struct x86_segment){ 0x10, 0xa9b, UINT32_MAX, 0 };
	s->gdtr = (struct x86_dtable){ GDT, 31 };
	s->idtr = (struct x86_dtable){ IDT, 16 * 32 - 1 };
	s->rip = CODE;
	s->gpr[X86_RBP] = COUNT_AT;
	s->gpr[X86_RSI] = WORK;
	s->gpr[X86_RDI] = UNMAPPED;
	s->gpr[X86_RSP] = STACK;
	s->gpr[X86_R8] = OTHER_PML4;
	s->gpr[X86_R9] = PML4;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
}

const struct linux_measure_program linux_measure_program = {
	.arch = &x86_arch_ops,
	.count_at = COUNT_AT,
	.round = ROUND,
	.write = write_guest,
	.set_state = set_state,
};
