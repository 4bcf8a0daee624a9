/* SPDX-License-Identifier: BSD-2-Clause */
/* x86_emulate(), what the hardware backends emulate single instructions with, as an executor. */
#include <hypercore/errno.h>
#include <string.h>

#include "emu/x86_64/emulate.h"
#include "tests/oracle/oracle.h"

/* What the callbacks work on. */
struct target {
	const struct oracle_case *c;
	uint8_t *memory;
};

static int page_fault(struct x86_fault *fault, uint64_t address, uint32_t error_code)
{
	*fault = (struct x86_fault){ .vector = X86_VEC_PF,
		                     .has_error_code = true,
		                     .error_code = error_code | X86_PF_U,
		                     .address = address };
	return X86_EMULATE_FAULT;
}

static int check_page(uint64_t address, bool write, struct x86_fault *fault)
{
	uint64_t offset = address - ORACLE_DATA;
	uint32_t w = write ? X86_PF_W : 0;

	if (address - ORACLE_CODE < HC_PAGE_SIZE)
		return write ? page_fault(fault, address, w | X86_PF_P) : 0;
	if (offset >= ORACLE_DATA_SIZE)
		return page_fault(fault, address, w);
	return write && offset >= ORACLE_READ_ONLY ? page_fault(fault, address, w | X86_PF_P) : 0;
}

/* The lower page of two is looked at first. */
static int check(uint64_t address, unsigned len, bool write, struct x86_fault *fault)
{
	uint64_t last = address + len - 1;
	int r = check_page(address, write, fault);

	if (r || address / HC_PAGE_SIZE == last / HC_PAGE_SIZE)
		return r;
	return check_page(last & ~(HC_PAGE_SIZE - 1), write, fault);
}

static int on_fetch(void *opaque, gva_t address, void *bytes, unsigned len, struct x86_fault *fault)
{
	const struct target *t = opaque;
	uint64_t offset = address.v - t->c->state.rip;

	if (address.v - ORACLE_CODE >= HC_PAGE_SIZE)
		return page_fault(fault, address.v, X86_PF_I);
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)bytes)[i] =
			offset + i < sizeof(t->c->code) ? t->c->code[offset + i] : 0;
	return 0;
}

/* The code page is not among what can be read here: nothing is aimed at it. */
static int on_read(void *opaque, gva_t address, void *value, unsigned len, unsigned access,
                   struct x86_fault *fault)
{
	const struct target *t = opaque;
	int r = check(address.v, len, access & X86_ACCESS_RMW, fault);

	if (r)
		return r;
	if (address.v - ORACLE_DATA > ORACLE_DATA_SIZE - len)
		return -EIO;
	memcpy(value, t->memory + (address.v - ORACLE_DATA), len);
	return 0;
}

static int on_write(void *opaque, gva_t address, const void *value, unsigned len, unsigned access,
                    struct x86_fault *fault)
{
	const struct target *t = opaque;
	int r = check(address.v, len, true, fault);

	if (!r)
		memcpy(t->memory + (address.v - ORACLE_DATA), value, len);
	return r;
}

static const struct x86_emulate_ops ops = { on_fetch, on_read, on_write, NULL };

/* User mode of a flat 64-bit or 32-bit segment, as Linux has it. */
static void load_state(struct x86_state *s, const struct oracle_case *c)
{
	memset(s, 0, offsetof(struct x86_state, xsave));
	memcpy(s->gpr, c->state.gpr, sizeof(s->gpr));
	s->rip = c->state.rip;
	s->rflags = c->state.rflags;
	s->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |
	         X86_CR0_PG;
	s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXSAVE | X86_CR4_UMIP;
	s->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	s->cpl = 3;
	for (unsigned i = X86_ES; i <= X86_DS; i++)
		s->seg[i] = (struct x86_segment){ 0x2b, 0xcf3, UINT32_MAX, 0 };
	s->seg[X86_CS] = (struct x86_segment){ 0x23, 0xcfb, UINT32_MAX, 0 };
	if (c->mode != X86_MODE_64)
		return;
	s->seg[X86_CS] = (struct x86_segment){ 0x33, 0xafb, UINT32_MAX, 0 };
	s->seg[X86_FS].base = c->state.fs_base;
	s->seg[X86_GS].base = c->state.gs_base;
}

static enum oracle_result run_one(const struct oracle_case *c, struct oracle_outcome *o)
{
	static struct x86_state s;
	struct target target = { c, o->memory };
	struct x86_emulate_ctx ctx;
	int r;

	memcpy(o->memory, c->memory, ORACLE_DATA_SIZE);
	load_state(&s, c);
	do {
		ctx = (struct x86_emulate_ctx){ .ops = &ops, .opaque = &target, .state = &s };
		r = x86_emulate(&ctx);
	} while (r == X86_EMULATE_REPEAT);
	if (r < 0)
		return ORACLE_UNSUPPORTED;
	memcpy(o->state.gpr, s.gpr, sizeof(s.gpr));
	o->state.rip = s.rip;
	o->state.rflags = s.rflags;
	o->vector = r == X86_EMULATE_FAULT ? ctx.fault.vector : ORACLE_COMPLETED;
	o->error_code = ctx.fault.error_code;
	o->cr2 = ctx.fault.address;
	return ORACLE_RAN;
}

static int emulate_open(void)
{
	return 0;
}

static void emulate_close(void)
{
}

static void emulate_run(const struct oracle_case *cases, struct oracle_outcome *outcomes,
                        enum oracle_result *results, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		results[i] = run_one(&cases[i], &outcomes[i]);
}

const struct oracle_executor oracle_emulate = {
	.name = "emulate",
	.has_faults = true,
	.has_mode_32 = true,
	.open = emulate_open,
	.close = emulate_close,
	.run = emulate_run,
};
