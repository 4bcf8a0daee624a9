/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU as an executor: a VM whose user mode has the case's address space. Whatever ends
 * the case is an exception; its handler in the VM is a HLT, and what the CPU pushed on the
 * handler's stack tells the rest. Behind the instruction there is INT3, or, branches, RFLAGS.TF is
 * set.
 */
#include <hypercore/errno.h>
#include <string.h>

#include "tests/emu_rig.h"
#include "tests/oracle/process.h"

/* RAM, which supervisor mode sees from here on. */
#define HIGH UINT64_C(0xffff800000000000)

/* Guest-physical addresses. */
#define HANDLERS 0x10000 /* one byte, HLT, for each vector */
#define TABLES   0x200000
#define CODE     0x300000
#define DATA     0x400000

/* Page-table entries (SDM Vol. 3A 4.5.4), accessed and dirty. */
#define P  0x61u
#define W  0x02u
#define U  0x04u
#define PS 0x80u
#define NX (UINT64_C(1) << 63)

#define CR4_OSXMMEXCPT HC_BIT(10)
#define CR4_FSGSBASE   HC_BIT(16)
#define INT3           0xcc
#define HLT            0xf4
#define EXITED         0xfe /* outcome.vector: not by an exception but out of the VM */

static struct emu_rig rig;

static void entry(unsigned table, uint64_t index, uint64_t value)
{
	emu_rig_put(&rig, TABLES + 0x1000 * table + 8 * index, value, 8);
}

/* Tables 0: PML4; 1 and 2: the lower half's PDPT and directory; 3: code, 4: data; 5 and 6: the
 * upper half's. */
static void make_tables(void)
{
	entry(0, 0, (TABLES + 0x1000) | P | W | U);
	entry(1, 0, (TABLES + 0x2000) | P | W | U);
	entry(2, ORACLE_CODE >> 21, (TABLES + 0x3000) | P | W | U);
	entry(2, ORACLE_DATA >> 21, (TABLES + 0x4000) | P | W | U);
	entry(3, 0, CODE | P | U);
	for (unsigned i = 0; i < ORACLE_DATA_SIZE / HC_PAGE_SIZE; i++)
		entry(4, i,
		      (DATA + i * HC_PAGE_SIZE) | P | U | NX |
		              (i * HC_PAGE_SIZE < ORACLE_READ_ONLY ? W : 0));
	entry(0, HIGH >> 39 & 511, (TABLES + 0x5000) | P | W);
	entry(5, 0, (TABLES + 0x6000) | P | W);
	for (unsigned i = 0; i < RIG_RAM >> 21; i++)
		entry(6, i, (uint64_t)i << 21 | P | W | PS);
}

static void make_handlers(void)
{
	static uint8_t code[HC_PAGE_SIZE];

	memset(code, HLT, sizeof(code));
	emu_rig_poke(&rig, HANDLERS, code, 256);
	memset(code, INT3, sizeof(code));
	emu_rig_poke(&rig, CODE, code, sizeof(code));
	for (unsigned vector = 0; vector < 32; vector++)
		emu_rig_gate(&rig, vector, HIGH + HANDLERS + vector, vector == X86_VEC_BP ? 3 : 0,
		             0);
	emu_rig_put(&rig, RIG_TSS + 4, HIGH + RIG_STACK, 8);
}

static bool prepare(void)
{
	emu_rig_start(&rig, RIG_LONG, 1);
	make_tables();
	make_handlers();
	return true;
}

static void load_segments(struct x86_state *s, const struct oracle_case *c)
{
	static const struct x86_segment data = { 0x2b, 0xcf3, UINT32_MAX, 0 };

	s->seg[X86_ES] = s->seg[X86_SS] = s->seg[X86_DS] = data;
	s->seg[X86_FS] = s->seg[X86_GS] = (struct x86_segment){ 0, 0, 0, 0 };
	s->seg[X86_CS] = (struct x86_segment){ 0x23, 0xcfb, UINT32_MAX, 0 };
	if (c->mode == X86_MODE_64) {
		s->seg[X86_CS] = (struct x86_segment){ 0x33, 0xafb, UINT32_MAX, 0 };
		s->seg[X86_FS].base = c->state.fs_base;
		s->seg[X86_GS].base = c->state.gs_base;
	}
	s->seg[X86_TR].base = HIGH + RIG_TSS;
	s->gdtr.base = HIGH + RIG_GDT;
	s->idtr = (struct x86_dtable){ HIGH + RIG_IDT, 0xfff };
}

static void load_state(struct x86_state *s, const struct oracle_case *c)
{
	memcpy(s->gpr, c->state.gpr, sizeof(s->gpr));
	s->rip = c->state.rip;
	s->rflags = c->state.rflags | (c->step ? X86_FLAG_TF : 0);
	s->cr0 |= X86_CR0_AM;
	s->cr3 = TABLES;
	s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | CR4_OSXMMEXCPT | X86_CR4_OSXSAVE | X86_CR4_UMIP |
	         CR4_FSGSBASE;
	s->cpl = 3;
	s->dr6 = UINT32_C(0xffff0ff0);
	memset(&s->events, 0, sizeof(s->events));
	load_segments(s, c);
	s->xcr0 = ORACLE_XCR0;
	memcpy(s->xsave, c->state.xsave, ORACLE_XSAVE_SIZE);
}

static void place(const struct oracle_case *c)
{
	uint8_t bytes[X86_INSN_MAX + 1];
	uint64_t offset = c->state.rip - ORACLE_CODE;
	unsigned n = c->undefined ? X86_INSN_MAX : c->insn.length;

	memcpy(rig.ram + DATA, c->memory, ORACLE_DATA_SIZE);
	memset(bytes, INT3, sizeof(bytes));
	memcpy(bytes, c->code, n);
	emu_rig_poke(&rig, CODE + offset, bytes, hc_min(HC_PAGE_SIZE - offset, sizeof(bytes)));
}

static uint64_t pushed(unsigned n)
{
	return emu_rig_get(&rig, RIG_STACK - 8 * n, 8);
}

static bool has_error_code(unsigned vector)
{
	return vector == X86_VEC_DF || (vector >= X86_VEC_TS && vector <= X86_VEC_PF) ||
	       vector == X86_VEC_AC;
}

/* Whether the exception is but the end of the instruction: as in native.c. */
static bool has_completed(const struct oracle_case *c, struct oracle_outcome *o)
{
	uint64_t next = c->state.rip + c->insn.length;

	if (o->vector == X86_VEC_DB)
		return c->step;
	if (o->vector == X86_VEC_BP)
		o->state.rip--;
	else if (o->vector != X86_VEC_PF || !(o->error_code & X86_PF_I))
		return false;
	return !c->undefined && o->state.rip == next;
}

/* What the handler finds: vector by its address, the rest on the stack. */
static void take_outcome(const struct oracle_case *c, struct oracle_outcome *o)
{
	const struct x86_state *s = rig.s;

	memcpy(o->state.gpr, s->gpr, sizeof(s->gpr));
	memcpy(o->state.xsave, s->xsave, ORACLE_XSAVE_SIZE);
	memcpy(o->memory, rig.ram + DATA, ORACLE_DATA_SIZE);
	o->state.fs_base = s->seg[X86_FS].base;
	o->state.gs_base = s->seg[X86_GS].base;
	o->cr2 = s->cr2;
	o->vector = (uint8_t)(s->rip - (HIGH + HANDLERS));
	o->error_code = has_error_code(o->vector) ? (uint32_t)pushed(6) : 0;
	o->state.rip = pushed(5);
	o->state.rflags = pushed(3);
	o->state.gpr[X86_RSP] = pushed(2);
	if (has_completed(c, o))
		o->vector = ORACLE_COMPLETED;
}

static enum oracle_result run(const struct oracle_case *c, struct oracle_outcome *o)
{
	load_state(rig.s, c);
	place(c);
	if (emu_rig_run(&rig) == HC_EXIT_HALT && rig.s->rip - (HIGH + HANDLERS) < 32) {
		take_outcome(c, o);
		return ORACLE_RAN;
	}
	o->vector = EXITED;
	o->error_code = rig.exit.reason;
	o->state.rip = rig.s->rip;
	return ORACLE_RAN;
}

static struct oracle_process process = { .prepare = prepare, .run = run };

static int engine_open(void)
{
	return oracle_process_open(&process);
}

static void engine_close(void)
{
	oracle_process_close(&process);
}

static void engine_run(const struct oracle_case *cases, struct oracle_outcome *outcomes,
                       enum oracle_result *results, unsigned n)
{
	oracle_process_run(&process, cases, outcomes, results, n);
}

const struct oracle_executor oracle_engine = {
	.name = "engine",
	.has_vectors = true,
	.has_faults = true,
	.has_mode_32 = true,
	.open = engine_open,
	.close = engine_close,
	.run = engine_run,
};
