/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors, and what goes through them: events into the guest, IRETQ, far RET, LTR. Only between
 * 64-bit code at CPL 0: Unicorn has no means to set the hidden parts that anything else needs.
 */
#include <hypercore/freestanding.h>

#include "platform/linux/unicorn/internal.h"

/* --- Descriptors (SDM Vol. 3A 3.4.5) --- */

static int fault_selector(struct x86_fault *fault, enum x86_vector vector, uint32_t code)
{
	*fault = (struct x86_fault){ .vector = (uint8_t)vector,
		                     .has_error_code = true,
		                     .error_code = code };
	return -EFAULT;
}

static struct x86_segment decode(uint16_t selector, uint64_t d)
{
	struct x86_segment g = {
		.selector = selector,
		.attr = (uint16_t)((d >> 40 & 0xff) | (d >> 44 & 0xf00)),
		.limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000)),
		.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
	};

	if (g.attr & X86_ATTR_G)
		g.limit = g.limit << 12 | 0xfff;
	return g;
}

int unicorn_descriptor(struct unicorn_vcpu *v, uint16_t selector, struct x86_segment *segment,
                       struct x86_fault *fault)
{
	const struct x86_dtable *gdtr = &x86_state_of(v->u.vcpu)->gdtr;
	uint64_t d;

	if (selector & 4 || (selector | 7u) > gdtr->limit)
		return fault_selector(fault, X86_VEC_GP, selector & 0xfffcu);
	int rc = unicorn_read(v, gdtr->base + (selector & 0xfff8u), &d, sizeof(d), fault);

	if (rc)
		return rc;
	*segment = decode(selector, d);
	return 0;
}

#define ATTR_CODE (X86_ATTR_P | X86_ATTR_S | 8u)

int unicorn_code_segment(struct unicorn_vcpu *v, uint16_t selector, struct x86_segment *segment,
                         struct x86_fault *fault)
{
	if (!(selector & 0xfffc))
		return fault_selector(fault, X86_VEC_GP, 0);
	if (selector & 3)
		return unicorn_refuse(&v->u,
		                      "the guest goes to user mode (CPL 3), which the backend "
		                      "unicorn does not run");
	int rc = unicorn_descriptor(v, selector, segment, fault);

	if (rc)
		return rc;
	if ((segment->attr & (X86_ATTR_S | 8u)) != (X86_ATTR_S | 8u) || X86_ATTR_DPL(segment->attr))
		return fault_selector(fault, X86_VEC_GP, selector & 0xfffcu);
	if (!(segment->attr & X86_ATTR_P))
		return fault_selector(fault, X86_VEC_NP, selector & 0xfffcu);
	if (!(segment->attr & X86_ATTR_L))
		return unicorn_refuse(&v->u, "the guest leaves 64-bit mode, which is all that the "
		                             "backend unicorn runs");
	return 0;
}

/* What a failed step of the above is as an exit. */
static enum unicorn_step failed(struct unicorn_vcpu *v, struct hc_exit *exit, int rc,
                                const struct x86_fault *fault)
{
	if (rc == -EFAULT)
		return unicorn_raise(v, exit, fault);
	return unicorn_give_up(&v->u, exit,
	                       rc == -EOPNOTSUPP ? NULL : "a table or a stack is not in RAM");
}

static void set_code_segment(struct unicorn_vcpu *v, const struct x86_segment *segment)
{
	x86_state_of(v->u.vcpu)->seg[X86_CS] = *segment;
	hc_vcpu_dirty(v->u.vcpu, X86_G_CS);
}

/* Into SS, whose selector alone counts. */
static void set_stack_selector(struct unicorn_vcpu *v, uint16_t selector)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	struct x86_fault fault;

	hc_vcpu_need(v->u.vcpu, X86_G_SEG);
	if (s->seg[X86_SS].selector == selector)
		return;
	if (!(selector & 0xfffc) || unicorn_descriptor(v, selector, &s->seg[X86_SS], &fault))
		s->seg[X86_SS] = (struct x86_segment){ .selector = selector };
	hc_vcpu_dirty(v->u.vcpu, X86_G_SEG);
}

/* --- Events (SDM Vol. 3A 6.14) --- */

struct gate {
	uint16_t selector;
	uint8_t ist;
	bool is_trap;
	uint64_t offset;
};

/* Bit 1: the vector comes from the table; bit 0 (EXT) for events from outside (6.13). */
static uint32_t gate_error(const struct x86_event *e)
{
	return e->vector * 8u + 2 + (e->type == X86_EVENT_SOFT_INT ? 0 : 1);
}

static int read_gate(struct unicorn_vcpu *v, const struct x86_event *e, struct gate *g,
                     struct x86_fault *fault)
{
	const struct x86_dtable *idtr = &x86_state_of(v->u.vcpu)->idtr;
	uint64_t d[2];

	if (e->vector * 16u + 15 > idtr->limit)
		return fault_selector(fault, X86_VEC_GP, gate_error(e));
	int rc = unicorn_read(v, idtr->base + e->vector * 16u, d, sizeof(d), fault);

	if (rc)
		return rc;
	if ((d[0] >> 40 & 0x1e) != 0xe)
		return fault_selector(fault, X86_VEC_GP, gate_error(e));
	if (!(d[0] >> 47 & 1))
		return fault_selector(fault, X86_VEC_NP, gate_error(e));
	*g = (struct gate){
		.selector = (uint16_t)(d[0] >> 16 & 0xfffc),
		.ist = d[0] >> 32 & 7,
		.is_trap = d[0] >> 40 & 1,
		.offset = (d[0] & 0xffff) | (d[0] >> 32 & 0xffff0000) | d[1] << 32,
	};
	return 0;
}

/* 7.7: IST1 is at 24h of the TSS. The frame is aligned to 16 bytes (6.14.2). */
static int find_stack(struct unicorn_vcpu *v, const struct gate *g, uint64_t *rsp,
                      struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);
	const struct x86_segment *tr = &s->seg[X86_TR];
	int rc = 0;

	*rsp = s->gpr[X86_RSP];
	if (g->ist && tr->limit < 0x24u + 8u * g->ist - 1)
		return fault_selector(fault, X86_VEC_TS, tr->selector & 0xfffcu);
	if (g->ist)
		rc = unicorn_read(v, tr->base + 0x24 + 8u * (g->ist - 1u), rsp, 8, fault);
	*rsp = HC_ALIGN_DOWN(*rsp, 16);
	return rc;
}

static int push_frame(struct unicorn_vcpu *v, const struct x86_event *e, uint64_t *rsp,
                      struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);
	const uint64_t frame[] = { e->error_code, s->rip,          s->seg[X86_CS].selector,
		                   s->rflags,     s->gpr[X86_RSP], s->seg[X86_SS].selector };
	unsigned skip = e->has_error_code ? 0 : 1;
	unsigned size = (unsigned)sizeof(frame) - 8 * skip;

	*rsp -= size;
	return unicorn_write(v, *rsp, frame + skip, size, fault);
}

static int deliver(struct unicorn_vcpu *v, const struct x86_event *e, struct x86_fault *fault)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	struct x86_segment code;
	struct gate g;
	uint64_t rsp;
	int rc = read_gate(v, e, &g, fault);

	if (!rc)
		rc = unicorn_code_segment(v, g.selector, &code, fault);
	if (!rc)
		rc = find_stack(v, &g, &rsp, fault);
	if (!rc)
		rc = push_frame(v, e, &rsp, fault);
	if (rc)
		return rc;
	set_code_segment(v, &code);
	s->gpr[X86_RSP] = rsp;
	s->rip = g.offset;
	s->rflags &=
		~(uint64_t)(X86_FLAG_TF | X86_FLAG_RF | HC_BIT(14) | (g.is_trap ? 0 : X86_FLAG_IF));
	return 0;
}

/* A fault meanwhile: the core makes it a double fault if need be, by what was interrupted. */
enum unicorn_step unicorn_deliver(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	struct x86_event e = v->due;
	struct x86_fault fault;

	v->due.valid = 0;
	hc_vcpu_need(v->u.vcpu, X86_G_DT | X86_G_SEG);
	int rc = deliver(v, &e, &fault);

	if (rc) {
		hc_vcpu_need(v->u.vcpu, X86_G_EVENT);
		s->events.reinject = e;
		hc_vcpu_dirty(v->u.vcpu, X86_G_EVENT);
		return failed(v, exit, rc, &fault);
	}
	v->has_shadow = false;
	if (e.type == X86_EVENT_NMI)
		v->nmi_is_masked = true;
	hc_vcpu_dirty(v->u.vcpu, X86_G_CORE);
	return UNICORN_GOES_ON;
}

/* --- Returns --- */

/* RFLAGS of 64-bit code at CPL 0: all that are defined but VM, VIF and VIP. */
#define FLAGS_OF_IRET UINT64_C(0x257fd5)

enum unicorn_step unicorn_iret(struct unicorn_vcpu *v, struct hc_exit *exit,
                               const struct x86_insn *insn)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	uint64_t frame[5]; /* RIP, CS, RFLAGS, RSP, SS */
	struct x86_segment code;
	struct x86_fault fault;

	if (insn->opsize != 8)
		return unicorn_give_up(&v->u, exit, "IRET of a 32-bit frame");
	hc_vcpu_need(v->u.vcpu, X86_G_DT);
	int rc = unicorn_read(v, s->gpr[X86_RSP], frame, sizeof(frame), &fault);

	if (!rc)
		rc = unicorn_code_segment(v, (uint16_t)frame[1], &code, &fault);
	if (rc)
		return failed(v, exit, rc, &fault);
	set_code_segment(v, &code);
	set_stack_selector(v, (uint16_t)frame[4]);
	s->rip = frame[0];
	s->gpr[X86_RSP] = frame[3];
	s->rflags = (frame[2] & FLAGS_OF_IRET) | X86_FLAG_1;
	v->nmi_is_masked = false;
	hc_vcpu_dirty(v->u.vcpu, X86_G_CORE);
	return UNICORN_GOES_ON;
}

enum unicorn_step unicorn_far_ret(struct unicorn_vcpu *v, struct hc_exit *exit,
                                  const struct x86_insn *insn)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	uint8_t frame[16];
	uint64_t rip = 0;
	uint16_t selector;
	struct x86_segment code;
	struct x86_fault fault;

	hc_vcpu_need(v->u.vcpu, X86_G_DT);
	int rc = unicorn_read(v, s->gpr[X86_RSP], frame, 2u * insn->opsize, &fault);

	memcpy(&rip, frame, insn->opsize);
	memcpy(&selector, frame + insn->opsize, sizeof(selector));
	if (!rc)
		rc = unicorn_code_segment(v, selector, &code, &fault);
	if (rc)
		return failed(v, exit, rc, &fault);
	set_code_segment(v, &code);
	s->gpr[X86_RSP] += 2u * insn->opsize + (insn->opcode == 0xca ? insn->imm : 0);
	return unicorn_finish(v, exit, rip);
}

/* --- LTR (SDM Vol. 2A) --- */

#define TYPE_MASK     (X86_ATTR_S | 0xfu)
#define AVAILABLE_TSS 9u
#define BUSY          2u

enum unicorn_step unicorn_ltr(struct unicorn_vcpu *v, struct hc_exit *exit, uint16_t selector,
                              uint64_t next)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	struct x86_segment tss;
	struct x86_fault fault;
	uint64_t d[2];

	hc_vcpu_need(v->u.vcpu, X86_G_DT);
	uint64_t at = s->gdtr.base + (selector & 0xfff8u);
	int rc = selector & 0xfffc ? unicorn_descriptor(v, selector, &tss, &fault)
	                           : fault_selector(&fault, X86_VEC_GP, 0);

	if (!rc && (tss.attr & TYPE_MASK) != AVAILABLE_TSS)
		rc = fault_selector(&fault, X86_VEC_GP, selector & 0xfffcu);
	if (!rc && !(tss.attr & X86_ATTR_P))
		rc = fault_selector(&fault, X86_VEC_NP, selector & 0xfffcu);
	if (!rc)
		rc = unicorn_read(v, at, d, sizeof(d), &fault);
	if (!rc) {
		d[0] |= HC_BIT(41);
		rc = unicorn_write(v, at, d, sizeof(d[0]), &fault);
	}
	if (rc)
		return failed(v, exit, rc, &fault);
	tss.base |= d[1] << 32;
	tss.attr |= BUSY;
	s->seg[X86_TR] = tss;
	return unicorn_finish(v, exit, next);
}
