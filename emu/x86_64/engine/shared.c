/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPUs of a VM have to do with each other: code that one writes and another has
 * translated, stage 2, and the rare operation that has to be alone.
 *
 * A fast write looks at no page flags. So a page's code may be read for translation only when no
 * CPU has a fast entry for writes to it any more, and no entry is made while somebody has its code:
 *
 *    writer:      writers |= me;  code == 0?  enter it, else write slowly and tell those in `code`
 *    translator:  code |= me;     writers != 0?  have them drop theirs, then read the code
 *
 * Slow writes, also those of devices, are made before `code` is read; the translator reads memory
 * after it wrote `code`: one of the two sees the other. All of these accesses are sequentially
 * consistent.
 *
 * A handshake: the CPU that asks sets the other's request and waits until it is answered. One that
 * is not in run() cannot answer: `busy` keeps it out while the asker does the work itself. CPUs
 * that wait for the handshake's turn, or for a lock whose holder may be invalidating, answer
 * meanwhile, so that no circle of waiting CPUs comes about.
 */
#include "core/sched.h"
#include "core/vm.h"
#include "emu/x86_64/engine/private.h"

struct emu_page_use *emu_page_use(struct emu_cpu *c, uint64_t gpa)
{
	return &c->vm->use[gpa >> HC_PAGE_SHIFT & ((1u << EMU_PAGE_USE_BITS) - 1)];
}

/* --- Answers --- */

static void stand_still(struct emu_private *p)
{
	atomic_store(&p->stopped, true);
	while (atomic_load(&p->requests) & EMU_REQ_STOP)
		hc_platform_relax();
	atomic_store(&p->stopped, false);
}

static void done(struct emu_private *p, uint32_t request)
{
	atomic_fetch_and(&p->requests, ~request);
}

/* The list is taken over in pieces, so that the lock is not held while blocks are dropped. */
static void take_written(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;
	struct emu_written list[EMU_WRITTEN_MAX];
	unsigned n;

	done(p, EMU_REQ_CODE);
	hc_lock(&p->written_lock);
	n = p->written_count;
	for (unsigned i = 0; i < n && i < EMU_WRITTEN_MAX; i++)
		list[i] = p->written[i];
	p->written_count = 0;
	hc_unlock(&p->written_lock);
	if (n > EMU_WRITTEN_MAX) {
		p->flush_wanted = true;
		emu_code_renew(c);
		c->budget = 0;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		emu_cache_written(c, NULL, list[i].gpa, list[i].size);
}

void emu_answer(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;
	uint32_t asked = atomic_load(&p->requests);

	if (asked & EMU_REQ_STOP)
		stand_still(p);
	if (asked & EMU_REQ_DROP) {
		emu_tlb_drop_writes(c, p->drop_gpa);
		p->answers++;
		done(p, EMU_REQ_DROP);
	}
	if (asked & EMU_REQ_FLUSH) {
		emu_tlb_flush_all(c);
		p->answers++;
		done(p, EMU_REQ_FLUSH);
	}
	if (asked & EMU_REQ_CODE)
		take_written(c);
}

void emu_enter(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;

	atomic_store(&p->in_run, true);
	while (atomic_load(&p->busy)) {
		emu_answer(c);
		hc_platform_relax();
	}
	if (emu_is_asked(c))
		emu_answer(c);
}

void emu_quit(struct emu_cpu *c)
{
	atomic_store(&c->priv->in_run, false);
}

/* --- Questions --- */

static void notice(struct emu_cpu *other)
{
	struct hc_cpu *cpu = other->vcpu->cpu;

	if (cpu)
		atomic_store(&cpu->attention, true);
}

/* c: the CPU that asks, or NULL if it is none of the VM's. */
static void take_turn(struct emu_vm *vm, struct emu_cpu *c)
{
	while (atomic_exchange(&vm->handshake.held, true)) {
		if (c)
			emu_answer(c);
		hc_platform_relax();
	}
}

static void end_turn(struct emu_vm *vm)
{
	hc_unlock(&vm->handshake);
}

static void ask(struct emu_cpu *other, uint32_t request)
{
	atomic_fetch_or(&other->priv->requests, request);
	notice(other);
}

static bool is_answered(struct emu_cpu *other, uint32_t request)
{
	return !atomic_load(&other->priv->in_run) ||
	       !(atomic_load(&other->priv->requests) & request);
}

/* Waits for the answer of a CPU that was asked. The request stays if it is not in run(): it will
 * find it when it comes back. */
static void wait_for(struct emu_cpu *other, uint32_t request)
{
	while (!is_answered(other, request))
		hc_platform_relax();
}

static void drop_writes_of(struct emu_cpu *other, uint64_t gpa)
{
	struct emu_private *p = other->priv;

	atomic_store(&p->busy, true);
	p->drop_gpa = gpa;
	ask(other, EMU_REQ_DROP);
	wait_for(other, EMU_REQ_DROP);
	/* Outside of run(), or gone there meanwhile: it cannot come in. */
	if (atomic_load(&p->requests) & EMU_REQ_DROP && !atomic_load(&p->in_run)) {
		emu_tlb_drop_writes(other, gpa);
		done(p, EMU_REQ_DROP);
	}
	/* It came in after that look, and answers before it does anything else. */
	while (atomic_load(&p->requests) & EMU_REQ_DROP)
		hc_platform_relax();
	atomic_store(&p->busy, false);
}

static void drop_others_writes(struct emu_cpu *c, uint64_t gpa, uint32_t mask)
{
	take_turn(c->vm, c);
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++)
		if (mask >> i & 1 && c->vm->cpus[i])
			drop_writes_of(c->vm->cpus[i], gpa);
	end_turn(c->vm);
}

void emu_watch_code(struct emu_cpu *c, uint64_t gpa)
{
	struct emu_page_use *use = emu_page_use(c, gpa);
	uint32_t writers;

	if (atomic_load(&use->code) & c->priv->bit)
		return;
	atomic_fetch_or(&use->code, c->priv->bit);
	writers = atomic_load(&use->writers);
	if (writers & c->priv->bit)
		emu_tlb_drop_writes(c, gpa);
	if (writers & ~c->priv->bit)
		drop_others_writes(c, gpa, writers & ~c->priv->bit);
	atomic_fetch_and(&use->writers, ~writers);
}

bool emu_may_write_fast(struct emu_cpu *c, uint64_t gpa)
{
	struct emu_page_use *use = emu_page_use(c, gpa);

	if (!(atomic_load_explicit(&use->writers, memory_order_relaxed) & c->priv->bit))
		atomic_fetch_or(&use->writers, c->priv->bit);
	return !atomic_load(&use->code);
}

void emu_stop_others(struct emu_cpu *c)
{
	take_turn(c->vm, c);
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++)
		if (c->vm->cpus[i] && c->vm->cpus[i] != c)
			ask(c->vm->cpus[i], EMU_REQ_STOP);
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++) {
		const struct emu_cpu *other = c->vm->cpus[i];

		while (other && other != c && atomic_load(&other->priv->in_run) &&
		       !atomic_load(&other->priv->stopped))
			hc_platform_relax();
	}
}

void emu_let_others_go(struct emu_cpu *c)
{
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++) {
		struct emu_cpu *other = c->vm->cpus[i];

		if (!other || other == c)
			continue;
		done(other->priv, EMU_REQ_STOP);
		/* So that the next one who asks does not take the old answer for a new one. */
		while (atomic_load(&other->priv->stopped))
			hc_platform_relax();
	}
	end_turn(c->vm);
}

void emu_invalidate(struct emu_vm *vm)
{
	take_turn(vm, NULL);
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++)
		if (vm->cpus[i])
			ask(vm->cpus[i], EMU_REQ_FLUSH);
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++)
		if (vm->cpus[i])
			wait_for(vm->cpus[i], EMU_REQ_FLUSH);
	end_turn(vm);
}

void emu_answer_while_waiting(struct emu_cpu *c)
{
	if (emu_is_asked(c))
		emu_answer(c);
	hc_platform_relax();
}

/* --- Writes to code --- */

static void tell(struct emu_cpu *other, uint64_t gpa, uint64_t size)
{
	struct emu_private *p = other->priv;

	hc_lock(&p->written_lock);
	if (p->written_count < EMU_WRITTEN_MAX)
		p->written[p->written_count] = (struct emu_written){ gpa, size };
	if (p->written_count <= EMU_WRITTEN_MAX)
		p->written_count++;
	hc_unlock(&p->written_lock);
	ask(other, EMU_REQ_CODE);
}

static void tell_all(struct emu_vm *vm, uint32_t mask, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < EMU_MAX_CPUS; i++)
		if (mask >> i & 1 && vm->cpus[i])
			tell(vm->cpus[i], gpa, size);
}

void emu_wrote(struct emu_cpu *c, const struct emu_uop *u, uint64_t gpa, unsigned size)
{
	uint32_t code;

	atomic_thread_fence(memory_order_seq_cst);
	code = atomic_load(&emu_page_use(c, gpa)->code);
	if (code & c->priv->bit)
		emu_cache_written(c, u, gpa, size);
	if (code & ~c->priv->bit)
		tell_all(c->vm, code & ~c->priv->bit, gpa, size);
}

void emu_memory_written(struct emu_vm *vm, uint64_t gpa, uint64_t size)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (uint64_t end = gpa + size, n; gpa < end; gpa += n) {
		uint64_t page = gpa >> HC_PAGE_SHIFT & ((1u << EMU_PAGE_USE_BITS) - 1);
		uint32_t code = atomic_load(&vm->use[page].code);

		n = hc_min(end - gpa, HC_PAGE_SIZE - gpa % HC_PAGE_SIZE);
		if (code)
			tell_all(vm, code, gpa, n);
	}
}
