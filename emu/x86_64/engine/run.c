/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run(): the loop around the blocks, and the ways out of it.
 *
 * Handlers go from block to block by themselves. They come back here when the next block is not at
 * hand, when an instruction may have changed more than the registers, when somebody wants
 * attention, and when the budget is used up; they are left from anywhere by unwinding, with a fault
 * or an exit.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/sched.h"
#include "core/vm.h"
#include "emu/x86_64/engine/private.h"
#include "emu/x86_64/engine/system.h"

/* Blocks between two looks at the world outside: about 50 us. On a board run() is called with
 * interrupts off, so that this bounds how long they wait. */
#define BUDGET 4096

/* --- Unwinding --- */

static _Noreturn __attribute__((noinline)) void unwind(struct emu_cpu *c, const struct emu_uop *u,
                                                       enum emu_unwound how)
{
	if (u) {
		emu_commit_pc(c, u);
		emu_flags_store(c);
	}
	c->priv->unwound = how;
	__builtin_longjmp(c->unwind, 1);
}

void emu_raise_fault(struct emu_cpu *c, const struct emu_uop *u, const struct x86_fault *fault)
{
	c->fault = *fault;
	unwind(c, u, EMU_UNWOUND_FAULT);
}

void emu_raise(struct emu_cpu *c, const struct emu_uop *u, enum x86_vector vector)
{
	c->fault = (struct x86_fault){ .vector = (uint8_t)vector };
	unwind(c, u, EMU_UNWOUND_FAULT);
}

void emu_raise_code(struct emu_cpu *c, const struct emu_uop *u, enum x86_vector vector,
                    uint32_t error_code)
{
	c->fault = (struct x86_fault){ .vector = (uint8_t)vector,
		                       .has_error_code = true,
		                       .error_code = error_code };
	unwind(c, u, EMU_UNWOUND_FAULT);
}

void emu_leave(struct emu_cpu *c, const struct emu_uop *u)
{
	unwind(c, u, EMU_UNWOUND_EXIT);
}

/* --- The loop --- */

static void end_with(struct emu_cpu *c, enum hc_exit_reason reason)
{
	c->exit->reason = reason;
	c->priv->done = true;
}

/* Delivered events change everything. */
static void after_event(struct emu_cpu *c, bool delivered)
{
	c->s->events.interrupt_shadow = 0;
	emu_flags_load(c);
	emu_update_mode(c);
	if (!delivered)
		c->priv->done = true;
}

static void deliver_event(struct emu_cpu *c, struct x86_event *event)
{
	const struct x86_event e = *event;

	event->valid = 0;
	emu_flags_store(c);
	after_event(c, emu_deliver_event(c, &e));
}

static void deliver_fault(struct emu_cpu *c)
{
	const struct x86_fault fault = c->fault;

	after_event(c, emu_deliver_fault(c, &fault));
}

static bool can_take_interrupt(const struct x86_state *s)
{
	return s->rflags & X86_FLAG_IF && !s->events.interrupt_shadow;
}

static bool window_opens(struct emu_cpu *c)
{
	const struct x86_events *e = &c->s->events;

	return (c->window && can_take_interrupt(c->s)) ||
	       (c->nmi_window && !e->nmi_masked && !e->interrupt_shadow);
}

/* Work of others, events to be delivered, windows. False: out of run(). */
static __attribute__((noinline)) bool look_around(struct emu_cpu *c)
{
	struct emu_private *p = c->priv;

	if (emu_is_asked(c))
		emu_answer(c);
	if (p->flush_wanted)
		emu_cache_flush(c);
	if (c->s->events.reinject.valid)
		deliver_event(c, &c->s->events.reinject);
	if (!p->done && window_opens(c)) {
		c->window = c->nmi_window = false;
		end_with(c, HC_EXIT_WINDOW);
	}
	return !p->done;
}

static bool has_business(const struct emu_cpu *c)
{
	return emu_is_asked(c) || c->priv->flush_wanted || c->s->events.reinject.valid ||
	       c->window || c->nmi_window;
}

/* Somebody wants the CPU, or it has been here for long. */
static bool is_time_up(struct emu_cpu *c)
{
	struct hc_cpu *cpu = c->vcpu->cpu;

	if (!atomic_load_explicit(c->attention, memory_order_relaxed) && c->budget >= 0)
		return false;
	if (cpu)
		atomic_store(&cpu->attention, false);
	c->budget = BUDGET;
	end_with(c, HC_EXIT_INTERRUPT);
	return true;
}

static void execute(struct emu_cpu *c, struct emu_block *b)
{
	const struct emu_uop *u = b->uops;

	c->block = b;
	c->budget--;
	while (u)
		u = u->fn(c, u, c->s);
}

static void deliver_debug(struct emu_cpu *c, const struct x86_fault *fault)
{
	emu_flags_store(c);
	after_event(c, emu_deliver_fault(c, fault));
}

static void step_one(struct emu_cpu *c)
{
	c->priv->one = true;
	emu_update_mode(c);
	c->s->events.interrupt_shadow = 0;
	execute(c, emu_get_block(c));
	c->priv->one = false;
	emu_update_mode(c);
}

/* One instruction with all that debugging may want of it, or the one after STI while somebody waits
 * for the window. */
static __attribute__((noinline)) void step(struct emu_cpu *c)
{
	uint64_t rflags = c->s->rflags;
	struct x86_fault fault;

	if (emu_debug_active(c->s) && emu_debug_before(c, &fault)) {
		deliver_debug(c, &fault);
		return;
	}
	c->no_step = false; /* of an INT n before that was not stepped */
	step_one(c);
	if (emu_debug_after(c, rflags, &fault))
		deliver_debug(c, &fault);
}

/* RF holds off breakpoints alone: where there are none, it need not be looked at. */
static bool wants_steps(struct emu_cpu *c)
{
	struct x86_state *s = c->s;

	if (s->rflags & X86_FLAG_RF && !(s->dr7 & 0xff))
		s->rflags &= ~(uint64_t)X86_FLAG_RF;
	return emu_debug_active(s) || (s->events.interrupt_shadow && (c->window || c->nmi_window));
}

static void run_blocks(struct emu_cpu *c)
{
	while (!c->priv->done) {
		if (EMU_UNLIKELY(has_business(c)) && !look_around(c))
			return;
		if (EMU_UNLIKELY(wants_steps(c))) {
			step(c);
		} else {
			struct emu_block *b = emu_get_block(c);

			emu_link_found(c, b);
			c->s->events.interrupt_shadow = 0;
			execute(c, b);
		}
		/* Not before the instruction that a shadow covers. */
		if (!c->s->events.interrupt_shadow && !c->priv->done && is_time_up(c))
			return;
	}
}

/* Handlers unwind to here. */
static __attribute__((noinline)) bool run_protected(struct emu_cpu *c)
{
	if (__builtin_setjmp(c->unwind))
		return false;
	if (c->priv->unwound == EMU_UNWOUND_FAULT) {
		c->priv->unwound = EMU_UNWOUND_NOT;
		deliver_fault(c);
	}
	run_blocks(c);
	return true;
}

static void unwound(struct emu_cpu *c)
{
	if (c->priv->one) {
		c->priv->one = false;
		emu_update_mode(c);
	}
	if (c->priv->unwound == EMU_UNWOUND_EXIT)
		c->priv->done = true;
	/* The registers are what counts, here and in every function that was left. */
	emu_flags_load(c);
}

/* The vCPU comes from another backend, where the guest changed what it liked. */
static void forget_everything(struct emu_cpu *c)
{
	emu_tlb_flush_all(c);
	emu_cache_flush(c);
}

static const _Atomic bool never;

void emu_run(struct emu_cpu *c, struct hc_exit *exit)
{
	struct hc_vcpu *vcpu = c->vcpu;

	c->exit = exit;
	c->attention = vcpu->cpu ? &vcpu->cpu->attention : &never;
	c->priv->unwound = EMU_UNWOUND_NOT;
	c->priv->done = false;
	c->priv->unlinked = NULL;
	emu_enter(c);
	if (vcpu->dirty == UINT32_MAX)
		forget_everything(c);
	if (c->cr_written)
		emu_control_resync(c);
	emu_update_mode(c);
	emu_flags_load(c);
	emu_vector_enter(c);
	while (!c->priv->done)
		if (!run_protected(c))
			unwound(c);
	emu_vector_leave(c);
	emu_flags_store(c);
	emu_quit(c);
	exit->pc = c->s->rip;
	vcpu->valid = X86_G_ALL;
	vcpu->dirty = 0;
}

/* --- What the backend asks for between two calls of run() --- */

int emu_inject(struct emu_cpu *c, const struct x86_event *event)
{
	struct x86_state *s = c->s;

	if (s->events.reinject.valid)
		return -EBUSY;
	if (event->type == X86_EVENT_INTR && !can_take_interrupt(s))
		return -EAGAIN;
	if (event->type == X86_EVENT_NMI && (s->events.nmi_masked || s->events.interrupt_shadow))
		return -EAGAIN;
	s->events.reinject = *event;
	return 0;
}

void emu_request_window(struct emu_cpu *c, bool nmi)
{
	*(nmi ? &c->nmi_window : &c->window) = true;
}

/* --- Creation --- */

struct emu_vm *emu_vm_create(void)
{
	const size_t size = sizeof(struct emu_page_use) << EMU_PAGE_USE_BITS;
	struct emu_vm *vm = hc_platform_alloc(sizeof(*vm));

	if (!vm)
		return NULL;
	vm->use = hc_platform_alloc(size);
	if (vm->use)
		return vm;
	hc_platform_free(vm, sizeof(*vm));
	return NULL;
}

void emu_vm_destroy(struct emu_vm *vm)
{
	hc_platform_free(vm->use, sizeof(struct emu_page_use) << EMU_PAGE_USE_BITS);
	hc_platform_free(vm, sizeof(*vm));
}

static void free_cpu(struct emu_cpu *c)
{
	if (c->priv) {
		emu_cache_free(c);
		hc_platform_free(c->priv, sizeof(*c->priv));
	}
	hc_platform_free(c, sizeof(*c));
}

struct emu_cpu *emu_cpu_create(struct hc_vcpu *vcpu, struct emu_vm *vm,
                               const struct emu_host_ops *host)
{
	struct emu_cpu *c = hc_platform_alloc(sizeof(*c));

	if (!c)
		return NULL;
	c->s = vcpu->state;
	c->vcpu = vcpu;
	c->vm = vm;
	c->host = host;
	c->budget = BUDGET;
	c->priv = hc_platform_alloc(sizeof(*c->priv));
	if (!c->priv) {
		free_cpu(c);
		return NULL;
	}
	c->priv->bit = 1u << vcpu->id;
	emu_tlb_init(c);
	if (emu_cache_init(c)) {
		free_cpu(c);
		return NULL;
	}
	vm->cpus[vcpu->id] = c;
	return c;
}

void emu_cpu_destroy(struct emu_cpu *c)
{
	c->vm->cpus[c->vcpu->id] = NULL;
	free_cpu(c);
}
