/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unicorn as the judge, in a program of its own: it is under the GPL. It executes a case at CPL 0
 * and tells that there was a fault, not which (unicorn_known.c has what else is different). A child
 * process does that, for it may end itself.
 */
#include "tests/oracle/unicorn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unicorn/unicorn.h>

#include "tests/oracle/process.h"

#define INT3 0xcc

/* One for each mode. */
static struct engine {
	uc_engine *uc;
	uc_context *initial; /* of the registers; an exception leaves some that show up later */
} engines[2];
static bool faulted, stepped;

static const int gpr_64[X86_GPR_COUNT] = { UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX,
	                                   UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
	                                   UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,
	                                   UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
	                                   UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14,
	                                   UC_X86_REG_R15 };
static const int gpr_32[8] = { UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
	                       UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI };

static void on_interrupt(uc_engine *uc, uint32_t vector, void *opaque)
{
	if (vector == X86_VEC_DB)
		stepped = true;
	else
		faulted = true;
	uc_emu_stop(uc);
}

static bool open_engine(struct engine *e, bool mode_64)
{
	uc_engine *uc;
	uc_hook hook;

	if (uc_open(UC_ARCH_X86, mode_64 ? UC_MODE_64 : UC_MODE_32, &uc))
		return false;
	e->uc = uc;
	return !uc_ctl_set_cpu_model(uc, UC_CPU_X86_HASWELL) &&
	       !uc_hook_add(uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, NULL, 1, 0) &&
	       !uc_mem_map(uc, ORACLE_CODE, HC_PAGE_SIZE, UC_PROT_READ | UC_PROT_EXEC) &&
	       !uc_mem_map(uc, ORACLE_DATA, ORACLE_READ_ONLY, UC_PROT_READ | UC_PROT_WRITE) &&
	       !uc_mem_map(uc, ORACLE_DATA + ORACLE_READ_ONLY, ORACLE_DATA_SIZE - ORACLE_READ_ONLY,
	                   UC_PROT_READ) &&
	       !uc_context_alloc(uc, &e->initial) && !uc_context_save(uc, e->initial);
}

/* --- Registers --- */

/* Physical x87 registers have numbers; the image has ST(0) first. */
static unsigned physical(const uint8_t *xsave, unsigned st)
{
	return ((xsave[3] >> 3) + st) & 7;
}

static void load_vectors(uc_engine *uc, const uint8_t *xsave, bool mode_64)
{
	uint16_t tags = 0;
	uint32_t mxcsr;

	for (unsigned i = 0; i < 8; i++)
		tags |= (uint16_t)((xsave[4] >> i & 1 ? 0u : 3u) << 2 * i);
	memcpy(&mxcsr, xsave + 24, sizeof(mxcsr));
	uc_reg_write(uc, UC_X86_REG_FPCW, xsave);
	uc_reg_write(uc, UC_X86_REG_FPSW, xsave + 2);
	uc_reg_write(uc, UC_X86_REG_FPTAG, &tags);
	uc_reg_write(uc, UC_X86_REG_MXCSR, &mxcsr);
	for (unsigned i = 0; i < 8; i++)
		uc_reg_write(uc, UC_X86_REG_FP0 + (int)physical(xsave, i), xsave + 32 + 16 * i);
	for (int i = 0; i < (mode_64 ? 16 : 8); i++)
		uc_reg_write(uc, UC_X86_REG_XMM0 + i, xsave + 160 + 16 * i);
}

static void take_vectors(uc_engine *uc, uint8_t *xsave, bool mode_64)
{
	uint16_t tags = 0;
	uint32_t mxcsr = 0;

	uc_reg_read(uc, UC_X86_REG_FPCW, xsave);
	uc_reg_read(uc, UC_X86_REG_FPSW, xsave + 2);
	uc_reg_read(uc, UC_X86_REG_FPTAG, &tags);
	uc_reg_read(uc, UC_X86_REG_MXCSR, &mxcsr);
	xsave[4] = 0;
	for (unsigned i = 0; i < 8; i++)
		xsave[4] |= (uint8_t)((unsigned)((tags >> 2 * i & 3) != 3) << i);
	memcpy(xsave + 24, &mxcsr, sizeof(mxcsr));
	for (unsigned i = 0; i < 8; i++)
		uc_reg_read(uc, UC_X86_REG_FP0 + (int)physical(xsave, i), xsave + 32 + 16 * i);
	for (int i = 0; i < (mode_64 ? 16 : 8); i++)
		uc_reg_read(uc, UC_X86_REG_XMM0 + i, xsave + 160 + 16 * i);
}

static void load_state(uc_engine *uc, const struct oracle_case *c)
{
	bool mode_64 = c->mode == X86_MODE_64;
	uint64_t rflags = c->state.rflags | (c->step ? X86_FLAG_TF : 0);

	for (unsigned i = 0; i < (mode_64 ? 16 : 8); i++)
		uc_reg_write(uc, mode_64 ? gpr_64[i] : gpr_32[i], &c->state.gpr[i]);
	uc_reg_write(uc, UC_X86_REG_EFLAGS, &rflags);
	if (mode_64) {
		uc_reg_write(uc, UC_X86_REG_FS_BASE, &c->state.fs_base);
		uc_reg_write(uc, UC_X86_REG_GS_BASE, &c->state.gs_base);
	}
	load_vectors(uc, c->state.xsave, mode_64);
}

static void take_state(uc_engine *uc, const struct oracle_case *c, struct oracle_outcome *o)
{
	bool mode_64 = c->mode == X86_MODE_64;

	o->state = c->state;
	for (unsigned i = 0; i < (mode_64 ? 16 : 8); i++) {
		o->state.gpr[i] = 0;
		uc_reg_read(uc, mode_64 ? gpr_64[i] : gpr_32[i], &o->state.gpr[i]);
	}
	o->state.rip = o->state.rflags = 0;
	uc_reg_read(uc, mode_64 ? UC_X86_REG_RIP : UC_X86_REG_EIP, &o->state.rip);
	uc_reg_read(uc, UC_X86_REG_EFLAGS, &o->state.rflags);
	take_vectors(uc, o->state.xsave, mode_64);
}

/* --- Execution --- */

static void place(uc_engine *uc, const struct oracle_case *c)
{
	uint8_t bytes[X86_INSN_MAX + 1];
	uint64_t room = ORACLE_CODE + HC_PAGE_SIZE - c->state.rip;

	memset(bytes, INT3, sizeof(bytes));
	memcpy(bytes, c->code, c->undefined ? X86_INSN_MAX : c->insn.length);
	uc_mem_write(uc, c->state.rip, bytes, hc_min(room, (uint64_t)sizeof(bytes)));
	uc_mem_write(uc, ORACLE_DATA, c->memory, ORACLE_DATA_SIZE);
	uc_ctl_remove_cache(uc, c->state.rip, c->state.rip + sizeof(bytes));
}

static enum oracle_result run(const struct oracle_case *c, struct oracle_outcome *o)
{
	const struct engine *e = &engines[c->mode == X86_MODE_64];
	uint64_t next = c->state.rip + c->insn.length;

	if (!unicorn_has(c))
		return ORACLE_UNSUPPORTED;
	uc_context_restore(e->uc, e->initial);
	place(e->uc, c);
	load_state(e->uc, c);
	faulted = stepped = false;
	if (uc_emu_start(e->uc, c->state.rip, c->step ? 0 : next, 0, 0) && !stepped)
		faulted = true;
	take_state(e->uc, c, o);
	uc_mem_read(e->uc, ORACLE_DATA, o->memory, ORACLE_DATA_SIZE);
	o->vector = faulted ? X86_VEC_GP : ORACLE_COMPLETED;
	return ORACLE_RAN;
}

static bool prepare(void)
{
	return open_engine(&engines[0], false) && open_engine(&engines[1], true);
}

static struct oracle_process process = { .prepare = prepare, .run = run };

static int unicorn_open(void)
{
	return oracle_process_open(&process);
}

static void unicorn_close(void)
{
	oracle_process_close(&process);
}

static void unicorn_run(const struct oracle_case *cases, struct oracle_outcome *outcomes,
                        enum oracle_result *results, unsigned n)
{
	oracle_process_run(&process, cases, outcomes, results, n);
}

static const struct oracle_executor oracle_unicorn = {
	.name = "unicorn",
	.has_vectors = true,
	.has_mode_32 = true,
	.open = unicorn_open,
	.close = unicorn_close,
	.run = unicorn_run,
	.known = unicorn_known,
};

const struct oracle_executor *const oracle_judge = &oracle_unicorn;
