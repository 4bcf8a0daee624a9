/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers between the neutral state and Unicorn. What is not here is kept in the former. */
#include <hypercore/freestanding.h>

#include "platform/linux/unicorn/a64_internal.h"

#define CPACR_FPEN (UINT64_C(3) << 20)

static int x_register(unsigned n)
{
	return n < 29 ? UC_ARM64_REG_X0 + (int)n : UC_ARM64_REG_X29 + (int)n - 29;
}

static uint64_t get(struct unicorn_a64 *v, int reg)
{
	uint64_t value = 0;

	(void)uc_reg_read(v->u.uc, reg, &value);
	return value;
}

static void set(struct unicorn_a64 *v, int reg, uint64_t value)
{
	uc_err err = uc_reg_write(v->u.uc, reg, &value);

	if (err != UC_ERR_OK)
		v->u.err = err;
}

/* --- Memory --- */

static void forget_code(struct unicorn_a64 *v)
{
	const struct hc_memory *m = &v->u.vcpu->vm->memory;

	for (unsigned i = 0; i < v->slots; i++)
		(void)uc_ctl_remove_cache(v->u.uc, m->slots[i].gpa,
		                          m->slots[i].gpa + m->slots[i].size);
}

/* Slots never go away, but are sorted: all are mapped anew. */
static void map_slots(struct unicorn_a64 *v)
{
	const struct hc_memory *m = &v->u.vcpu->vm->memory;
	uc_mem_region *old = NULL;
	uint32_t count = 0;

	(void)uc_mem_regions(v->u.uc, &old, &count);
	for (uint32_t i = 0; i < count; i++)
		(void)uc_mem_unmap(v->u.uc, old[i].begin, old[i].end - old[i].begin + 1);
	(void)uc_free(old);
	v->code = NULL;
	for (unsigned i = 0; i < m->count && v->u.err == UC_ERR_OK; i++) {
		const struct hc_slot *s = &m->slots[i];
		uint32_t write = s->flags & HC_SLOT_READONLY ? 0 : UC_PROT_WRITE;

		v->u.err = uc_mem_map_ptr(v->u.uc, s->gpa, s->size,
		                          UC_PROT_READ | UC_PROT_EXEC | write, s->host);
	}
	v->slots = m->count;
}

/* --- Registers --- */

/* PSTATE.SP selects one of the two (Arm ARM D1.6.2). */
static uint64_t *stack_pointer(struct a64_state *s)
{
	return &s->sys[s->pstate & 1 ? A64_SP_EL1 : A64_SP_EL0];
}

static void store_fp(struct unicorn_a64 *v, const struct a64_state *s)
{
	for (int i = 0; i < 32; i++)
		(void)uc_reg_write(v->u.uc, UC_ARM64_REG_Q0 + i, s->v[i]);
	set(v, UC_ARM64_REG_FPCR, s->fpcr);
	set(v, UC_ARM64_REG_FPSR, s->fpsr);
}

void unicorn_a64_store(struct unicorn_a64 *v)
{
	struct a64_state *s = a64_state_of(v->u.vcpu);
	uint32_t dirty = v->lost ? A64_G_ALL : v->u.vcpu->dirty;

	v->u.err = UC_ERR_OK;
	if (v->slots != v->u.vcpu->vm->memory.count)
		map_slots(v);
	if (atomic_exchange(&v->u.code_was_written, false))
		forget_code(v);
	if (dirty & (A64_G_CORE | A64_G_SYS)) {
		for (unsigned i = 0; i < 31; i++)
			set(v, x_register(i), s->x[i]);
		set(v, UC_ARM64_REG_SP, *stack_pointer(s));
		set(v, UC_ARM64_REG_NZCV, s->pstate & A64_PSTATE_NZCV);
		set(v, UC_ARM64_REG_CPACR_EL1, CPACR_FPEN);
	}
	if (dirty & A64_G_FP)
		store_fp(v, s);
	v->u.vcpu->dirty = 0;
	v->lost = false;
}

void unicorn_a64_fetch(struct unicorn_a64 *v)
{
	struct a64_state *s = a64_state_of(v->u.vcpu);

	for (unsigned i = 0; i < 31; i++)
		s->x[i] = get(v, x_register(i));
	*stack_pointer(s) = get(v, UC_ARM64_REG_SP);
	s->pstate = (s->pstate & ~A64_PSTATE_NZCV) | (get(v, UC_ARM64_REG_NZCV) & A64_PSTATE_NZCV);
	s->pc = v->pc;
}

void unicorn_a64_fetch_fp(struct unicorn_a64 *v)
{
	struct a64_state *s = a64_state_of(v->u.vcpu);

	for (int i = 0; i < 32; i++)
		(void)uc_reg_read(v->u.uc, UC_ARM64_REG_Q0 + i, s->v[i]);
	s->fpcr = (uint32_t)get(v, UC_ARM64_REG_FPCR);
	s->fpsr = (uint32_t)get(v, UC_ARM64_REG_FPSR);
}

void unicorn_a64_forget_exception(struct unicorn_a64 *v)
{
	if (!(v->u.vcpu->valid & A64_G_FP))
		unicorn_a64_fetch_fp(v);
	v->u.vcpu->valid |= A64_G_FP;
	v->u.err = uc_context_restore(v->u.uc, v->u.pristine);
	v->lost = true;
}
