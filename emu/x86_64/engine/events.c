/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions, interrupts and NMIs, what becomes of faults on their way (SDM Vol. 3A 6.15, tables
 * 6-4 and 6-5), and the instructions that make events.
 */
#include "emu/x86_64/engine/system.h"
#include "emu/x86_64/exceptions.h"

#define NO_FAULT 0xff /* no exception has this vector */

/* Exceptions of the fault class, whose return address is the instruction itself and which push RF
 * as 1 (Vol. 3B 17.3.1.1). #DB is one at times: its RF is what RFLAGS has then. */
#define FAULTS                                                                                     \
	(1u << X86_VEC_DE | 1u << X86_VEC_BR | 1u << X86_VEC_UD | 1u << X86_VEC_NM |               \
	 1u << X86_VEC_TS | 1u << X86_VEC_NP | 1u << X86_VEC_SS | 1u << X86_VEC_GP |               \
	 1u << X86_VEC_PF | 1u << X86_VEC_MF | 1u << X86_VEC_AC | 1u << X86_VEC_XM)

static struct x86_event event_of(struct emu_cpu *c, const struct x86_fault *fault)
{
	if (fault->vector == X86_VEC_PF)
		c->s->cr2 = fault->address;
	return (struct x86_event){
		.valid = 1,
		.type = X86_EVENT_EXCEPTION,
		.vector = fault->vector,
		.has_error_code = fault->has_error_code,
		.error_code = fault->error_code,
	};
}

/* --- One attempt --- */

static void start(struct emu_cpu *c, const struct x86_event *e)
{
	struct x86_state *s = c->s;
	bool exception = e->type == X86_EVENT_EXCEPTION;
	struct emu_interrupt i = {
		.vector = e->vector,
		.software = e->type == X86_EVENT_SOFT_INT,
		.has_error_code = exception && e->has_error_code,
		.error_code = e->error_code,
		.rip = s->rip,
		.rflags = s->rflags,
	};

	if (exception && e->vector < 32 && FAULTS >> e->vector & 1)
		i.rflags |= X86_FLAG_RF;
	c->delivering = !i.software;
	c->watch_hits = 0;
	c->no_step = false;
	emu_interrupt(c, &i);
	/* Vol. 3B 17.2.4: the handler may use the debug registers. */
	if (exception && e->vector == X86_VEC_DB)
		s->dr7 &= ~EMU_DR7_GD;
	if (e->type == X86_EVENT_NMI)
		s->events.nmi_masked = 1;
}

enum outcome { DELIVERED, FAULTED, LEFT };

/* A fault or an exit on the way comes back here, in c->fault or *c->exit. */
static __attribute__((noinline)) enum outcome attempt(struct emu_cpu *c, const struct x86_event *e)
{
	void *outer[HC_ARRAY_SIZE(c->unwind)];
	enum outcome r = DELIVERED;

	__builtin_memcpy(outer, c->unwind, sizeof(outer));
	c->fault.vector = NO_FAULT;
	if (__builtin_setjmp(c->unwind))
		r = c->fault.vector == NO_FAULT ? LEFT : FAULTED;
	else
		start(c, e);
	__builtin_memcpy(c->unwind, outer, sizeof(outer));
	c->delivering = false;
	return r;
}

/* --- Until it is delivered --- */

static bool shut_down(struct emu_cpu *c)
{
	c->exit->reason = HC_EXIT_SHUTDOWN;
	c->exit->pc = c->s->rip;
	c->exit->next_pc = c->s->rip;
	return false;
}

/* What *e becomes by the fault in c->fault. False: a triple fault. */
static bool combine(struct emu_cpu *c, struct x86_event *e)
{
	const struct x86_event second = event_of(c, &c->fault);
	enum x86_exception_class first_class = x86_exception_class(e),
				 second_class = x86_exception_class(&second);

	if (first_class == X86_DOUBLE_FAULT)
		return false;
	*e = second;
	if (x86_makes_double_fault(first_class, second_class))
		*e = (struct x86_event){ .valid = 1,
			                 .type = X86_EVENT_EXCEPTION,
			                 .vector = X86_VEC_DF,
			                 .has_error_code = 1 };
	return true;
}

/* Faults on the way can only get worse, so that this ends. */
static bool deliver(struct emu_cpu *c, struct x86_event e)
{
	c->s->events.reinject.valid = 0;
	for (;;) {
		switch (attempt(c, &e)) {
		case FAULTED:
			if (!combine(c, &e))
				return shut_down(c);
			break;
		case LEFT: c->s->events.reinject = e; return false;
		case DELIVERED:
		default: return true;
		}
	}
}

bool emu_deliver_fault(struct emu_cpu *c, const struct x86_fault *fault)
{
	return deliver(c, event_of(c, fault));
}

bool emu_deliver_event(struct emu_cpu *c, const struct x86_event *event)
{
	return deliver(c, *event);
}

/* --- INT n, INT3, INTO, INT1 --- */

static void software_interrupt(struct emu_cpu *c, const struct x86_insn *in, uint8_t vector)
{
	struct emu_interrupt i = {
		.vector = vector,
		.software = in->op != X86_OP_INT1,
		.rip = emu_next_rip(c, in),
		.rflags = c->s->rflags & ~(uint64_t)X86_FLAG_RF,
	};

	/* INT1 counts as a hardware exception (Vol. 2A, INT n). */
	c->delivering = in->op == X86_OP_INT1;
	emu_interrupt(c, &i);
	c->delivering = false;
	c->no_step = true;
}

void emu_call_int(struct emu_cpu *c, const struct x86_insn *in)
{
	if (emu_is_vm86(c->s) && emu_iopl(c->s) < 3)
		emu_gp(c);
	software_interrupt(c, in, (uint8_t)in->imm);
}

void emu_call_int1(struct emu_cpu *c, const struct x86_insn *in)
{
	software_interrupt(c, in, X86_VEC_DB);
}

void emu_call_int3(struct emu_cpu *c, const struct x86_insn *in)
{
	software_interrupt(c, in, X86_VEC_BP);
}

void emu_call_into(struct emu_cpu *c, const struct x86_insn *in)
{
	if (c->s->rflags & X86_FLAG_OF)
		software_interrupt(c, in, X86_VEC_OF);
	else
		emu_advance(c, in);
}
