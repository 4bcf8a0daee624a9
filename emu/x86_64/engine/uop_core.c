/* SPDX-License-Identifier: BSD-2-Clause */
/* The micro-operations that belong to no instruction, and those that call a function. */
#include "emu/x86_64/engine/private.h"

/* The block ends without a branch. */
const struct emu_uop *emu_uop_next(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s)
{
	emu_commit_pc(c, u);
	EMU_FOLLOW(c, &c->block->next[0], s);
}

/* Of a block whose code changed, or in the middle of one: on with what is there now. */
const struct emu_uop *emu_uop_stale(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s)
{
	emu_commit_pc(c, u);
	u = emu_find_next(c, NULL);
	if (!u)
		return NULL;
	EMU_GOTO(c, u, s);
}

static __attribute__((noinline)) void call(struct emu_cpu *c, const struct emu_uop *u)
{
	const struct emu_call *record = u->ptr;

	emu_commit_pc(c, u);
	emu_flags_store(c);
	record->fn(c, &record->in);
	emu_flags_load(c);
}

const struct emu_uop *emu_uop_call(struct emu_cpu *c, const struct emu_uop *u, struct x86_state *s)
{
	call(c, u);
	EMU_NEXT(c, u, s);
}

const struct emu_uop *emu_uop_call_end(struct emu_cpu *c, const struct emu_uop *u,
                                       struct x86_state *s)
{
	call(c, u);
	return NULL;
}
