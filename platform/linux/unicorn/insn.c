/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that Unicorn stops in front of: exits, or carried out here. All are at CPL 0. */
#include <hypercore/freestanding.h>

#include "emu/x86_64/decode.h"
#include "platform/linux/unicorn/internal.h"

/* --- Results --- */

enum unicorn_step unicorn_raise(struct unicorn_vcpu *v, struct hc_exit *exit,
                                const struct x86_fault *fault)
{
	exit->reason = HC_EXIT_EXCEPTION;
	exit->u.exception.vector = fault->vector;
	exit->u.exception.has_error_code = fault->has_error_code;
	exit->u.exception.error_code = fault->error_code;
	exit->u.exception.address = fault->address;
	return UNICORN_EXITS;
}

enum unicorn_step unicorn_raise_vector(struct unicorn_vcpu *v, struct hc_exit *exit,
                                       enum x86_vector vector)
{
	const struct x86_fault fault = {
		.vector = (uint8_t)vector,
		.has_error_code = vector == X86_VEC_GP || vector == X86_VEC_SS,
	};

	return unicorn_raise(v, exit, &fault);
}

enum unicorn_step unicorn_finish(struct unicorn_vcpu *v, struct hc_exit *exit, uint64_t next)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	s->rip = next;
	s->rflags &= ~(uint64_t)X86_FLAG_RF;
	hc_vcpu_dirty(v->u.vcpu, X86_G_CORE);
	if (!(s->rflags & X86_FLAG_TF))
		return UNICORN_GOES_ON;
	s->dr6 |= HC_BIT(14); /* BS */
	hc_vcpu_dirty(v->u.vcpu, X86_G_DR);
	return unicorn_raise_vector(v, exit, X86_VEC_DB);
}

static enum unicorn_step leave(struct hc_exit *exit, enum hc_exit_reason reason, uint64_t word)
{
	exit->reason = reason;
	exit->u.word = word;
	return UNICORN_EXITS;
}

/* It is Unicorn's after all. */
static enum unicorn_step pass(struct unicorn_vcpu *v)
{
	v->passes = true;
	v->passed_rip = x86_state_of(v->u.vcpu)->rip;
	return UNICORN_GOES_ON;
}

/* --- Ports --- */

static enum unicorn_step port(struct unicorn_vcpu *v, struct hc_exit *exit,
                              const struct x86_insn *i)
{
	bool string = (i->opcode & 0xfc) == 0x6c, is_dx = string || i->opcode & 8;

	exit->reason = HC_EXIT_IO;
	exit->u.io = (struct hc_exit_io){
		.port = (uint16_t)(is_dx ? x86_state_of(v->u.vcpu)->gpr[X86_RDX] : i->imm & 0xff),
		.width = (uint8_t)(i->opcode & 1 ? hc_min(i->opsize, 4) : 1),
		.write = (i->opcode & 2) != 0,
		.string = string,
		.rep = (i->prefixes & (X86_PFX_F3 | X86_PFX_F2)) != 0,
		.segment = i->seg,
		.addr_size = i->adsize,
	};
	return UNICORN_EXITS;
}

/* --- Control and debug registers --- */

static enum unicorn_step write_cr(struct unicorn_vcpu *v, struct hc_exit *exit, unsigned number,
                                  uint64_t value)
{
	if (number == 2) {
		x86_state_of(v->u.vcpu)->cr2 = value;
		return unicorn_finish(v, exit, exit->next_pc);
	}
	exit->reason = HC_EXIT_CR_WRITE;
	exit->u.cr.number = (uint8_t)number;
	exit->u.cr.value = value;
	return UNICORN_EXITS;
}

static enum unicorn_step move_cr(struct unicorn_vcpu *v, struct hc_exit *exit,
                                 const struct x86_insn *i)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	uint64_t *reg = &s->gpr[i->rm];

	if (i->opcode == 0x22)
		return write_cr(v, exit, i->reg, *reg);
	switch (i->reg) {
	case 0: *reg = s->cr0; break;
	case 2: *reg = s->cr2; break;
	case 3: *reg = s->cr3; break;
	case 4: *reg = s->cr4; break;
	case 8: *reg = unicorn_x86_host()->apic_cr8(v->u.vcpu); break;
	default: return unicorn_raise_vector(v, exit, X86_VEC_UD);
	}
	return unicorn_finish(v, exit, exit->next_pc);
}

/* DR4 and DR5 are DR6 and DR7 (SDM Vol. 3B 17.2.2). An enabled breakpoint is refused at the entry.
 */
static enum unicorn_step move_dr(struct unicorn_vcpu *v, struct hc_exit *exit,
                                 const struct x86_insn *i)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	unsigned n = i->reg < 4 ? i->reg : i->reg | 2u;
	uint64_t *dr = n < 4 ? &s->dr[n] : n == 6 ? &s->dr6 : &s->dr7;

	if (i->reg > 7)
		return unicorn_raise_vector(v, exit, X86_VEC_UD);
	if (i->opcode == 0x21)
		s->gpr[i->rm] = *dr;
	else if (n >= 4 && s->gpr[i->rm] >> 32)
		return unicorn_raise_vector(v, exit, X86_VEC_GP);
	else
		*dr = n == 6   ? (s->gpr[i->rm] & 0xe00f) | 0xffff0ff0
		      : n == 7 ? (s->gpr[i->rm] & 0xffff2fff) | 0x400
		               : s->gpr[i->rm];
	hc_vcpu_dirty(v->u.vcpu, X86_G_DR);
	return unicorn_finish(v, exit, exit->next_pc);
}

/* --- Groups 6 and 7 --- */

/* A register's result of 16 bits, or of 32 that clear the rest. */
static void set_register(struct x86_state *s, const struct x86_insn *i, uint64_t value)
{
	uint64_t *reg = &s->gpr[i->rm];

	*reg = i->opsize == 2 ? (*reg & ~UINT64_C(0xffff)) | (value & 0xffff)
	                      : value & (i->opsize == 4 ? UINT32_MAX : UINT64_MAX);
}

static enum unicorn_step group6(struct unicorn_vcpu *v, struct hc_exit *exit,
                                const struct x86_insn *i)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	unsigned which = i->modrm >> 3 & 7;

	if (which >= 4) /* VERR, VERW */
		return pass(v);
	if (i->is_mem)
		return unicorn_give_up(&v->u, exit, "SLDT, STR, LLDT or LTR with memory");
	switch (which) {
	case 0: set_register(s, i, s->seg[X86_LDTR].selector); break;
	case 1: set_register(s, i, s->seg[X86_TR].selector); break;
	case 2:
		if (s->gpr[i->rm] & 0xfffc)
			return unicorn_give_up(&v->u, exit, "LLDT: Unicorn's LDT cannot be set");
		s->seg[X86_LDTR] = (struct x86_segment){ .selector = (uint16_t)s->gpr[i->rm] };
		break;
	default: return unicorn_ltr(v, exit, (uint16_t)s->gpr[i->rm], exit->next_pc);
	}
	return unicorn_finish(v, exit, exit->next_pc);
}

/* GS.base is Unicorn's. */
static enum unicorn_step swapgs(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	hc_vcpu_need(v->u.vcpu, X86_G_SEG);
	uint64_t base = s->seg[X86_GS].base;

	s->seg[X86_GS].base = s->msr_kernel_gs_base;
	s->msr_kernel_gs_base = base;
	hc_vcpu_dirty(v->u.vcpu, X86_G_SEG);
	return unicorn_finish(v, exit, exit->next_pc);
}

static enum unicorn_step rdtsc(struct unicorn_vcpu *v, struct hc_exit *exit, bool with_aux)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	uint64_t tsc = x86_tsc_of(s, unicorn_x86_host()->platform_cycles());

	s->gpr[X86_RAX] = (uint32_t)tsc;
	s->gpr[X86_RDX] = tsc >> 32;
	if (with_aux)
		s->gpr[X86_RCX] = (uint32_t)s->msr_tsc_aux;
	return unicorn_finish(v, exit, exit->next_pc);
}

/* LMSW cannot clear PE (SDM Vol. 2A). */
static enum unicorn_step machine_status(struct unicorn_vcpu *v, struct hc_exit *exit,
                                        const struct x86_insn *i)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	if ((i->modrm >> 3 & 7) == 6 && i->is_mem)
		return unicorn_give_up(&v->u, exit, "LMSW with memory");
	if ((i->modrm >> 3 & 7) == 6)
		return write_cr(v, exit, 0, (s->cr0 & ~UINT64_C(0xe)) | (s->gpr[i->rm] & 0xf));
	if (i->is_mem) /* 16 bits, which Unicorn has */
		return pass(v);
	set_register(s, i, s->cr0);
	return unicorn_finish(v, exit, exit->next_pc);
}

static void unmap_all(void *vcpu)
{
	unicorn_unmap_all(vcpu);
}

static enum unicorn_step invalidate_page(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	if (!unicorn_guarded(&v->u.guard, unmap_all, v))
		return unicorn_give_up(&v->u, exit, NULL);
	return unicorn_finish(v, exit, exit->next_pc);
}

static enum unicorn_step group7(struct unicorn_vcpu *v, struct hc_exit *exit,
                                const struct x86_insn *i)
{
	unsigned which = i->modrm >> 3 & 7;

	if (which == 4 || which == 6)
		return machine_status(v, exit, i);
	if (i->is_mem)
		return which == 7 ? invalidate_page(v, exit) : pass(v);
	switch (i->modrm) {
	case 0xc1:                                                  /* VMCALL */
	case 0xd9: return leave(exit, HC_EXIT_HYPERCALL, i->modrm); /* VMMCALL */
	case 0xf8: return swapgs(v, exit);
	case 0xf9: return rdtsc(v, exit, true);
	default: return leave(exit, HC_EXIT_UNDEFINED, i->modrm);
	}
}

/* --- Two-byte opcodes --- */

static enum unicorn_step two_bytes(struct unicorn_vcpu *v, struct hc_exit *exit,
                                   const struct x86_insn *i)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	switch (i->opcode) {
	case 0x00: return group6(v, exit, i);
	case 0x01: return group7(v, exit, i);
	case 0x05:
	case 0x07:
		if (!(s->efer & X86_EFER_SCE))
			return leave(exit, HC_EXIT_UNDEFINED, i->opcode);
		return unicorn_give_up(&v->u, exit,
		                       "SYSCALL or SYSRET: the backend unicorn does not "
		                       "run user mode");
	case 0x06: return write_cr(v, exit, 0, s->cr0 & ~X86_CR0_TS);
	case 0x08:
	case 0x09: return leave(exit, HC_EXIT_CACHE, i->opcode);
	case 0x20:
	case 0x22: return move_cr(v, exit, i);
	case 0x21:
	case 0x23: return move_dr(v, exit, i);
	case 0x30: return leave(exit, HC_EXIT_MSR_WRITE, (uint32_t)s->gpr[X86_RCX]);
	case 0x31: return rdtsc(v, exit, false);
	case 0x32: return leave(exit, HC_EXIT_MSR_READ, (uint32_t)s->gpr[X86_RCX]);
	case 0x33: return unicorn_raise_vector(v, exit, X86_VEC_GP); /* RDPMC: none */
	case 0x34:
	case 0x35:
		return unicorn_give_up(&v->u, exit,
		                       "SYSENTER or SYSEXIT: the backend unicorn does "
		                       "not run user mode");
	case 0xa2: return leave(exit, HC_EXIT_CPUID, (uint32_t)s->gpr[X86_RAX]);
	default: return pass(v);
	}
}

/* --- One-byte opcodes --- */

static enum unicorn_step interrupt(struct unicorn_vcpu *v, struct hc_exit *exit, unsigned vector)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);
	uint64_t rip = s->rip;

	v->due = (struct x86_event){ .valid = 1,
		                     .type = X86_EVENT_SOFT_INT,
		                     .vector = (uint8_t)vector };
	s->rip = exit->next_pc;
	enum unicorn_step step = unicorn_deliver(v, exit);

	if (step == UNICORN_EXITS)
		s->rip = rip;
	return step;
}

static enum unicorn_step one_byte(struct unicorn_vcpu *v, struct hc_exit *exit,
                                  const struct x86_insn *i)
{
	switch (i->opcode) {
	case 0x6c:
	case 0x6d:
	case 0x6e:
	case 0x6f:
	case 0xe4:
	case 0xe5:
	case 0xe6:
	case 0xe7:
	case 0xec:
	case 0xed:
	case 0xee:
	case 0xef: return port(v, exit, i);
	case 0xca:
	case 0xcb: return unicorn_far_ret(v, exit, i);
	case 0xcc: return interrupt(v, exit, X86_VEC_BP);
	case 0xcd: return interrupt(v, exit, (uint8_t)i->imm);
	case 0xcf: return unicorn_iret(v, exit, i);
	case 0xf1: return unicorn_raise_vector(v, exit, X86_VEC_DB);
	case 0xf4: return leave(exit, HC_EXIT_HALT, 0);
	case 0xff:
		if ((i->modrm >> 3 & 7) == 3 || (i->modrm >> 3 & 7) == 5)
			return unicorn_give_up(&v->u, exit, "far CALL or JMP");
		return pass(v);
	default: return pass(v);
	}
}

/* --- Fetching --- */

/* Bytes at RIP, to the end of its page or beyond: at least one, or -1 with exit filled in. */
static int fetch(struct unicorn_vcpu *v, struct hc_exit *exit, uint8_t bytes[X86_INSN_MAX])
{
	uint64_t rip = x86_state_of(v->u.vcpu)->rip;
	struct unicorn_region r;
	unsigned n = 0;

	while (n < X86_INSN_MAX) {
		if (!unicorn_find_page(v, rip + n, HC_ACCESS_EXEC, &r, exit))
			break;
		uint64_t left = hc_min(X86_INSN_MAX - n, r.size - (rip + n - r.gva));

		memcpy(bytes + n, r.host + (rip + n - r.gva), left);
		n += (unsigned)left;
	}
	return n ? (int)n : -1;
}

/* exit is that of the page that ends the bytes, should they not be enough. */
enum unicorn_step unicorn_do_instruction(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn insn;
	int n = fetch(v, exit, bytes);

	if (n < 0)
		return UNICORN_EXITS;
	int rc = x86_decode(&insn, bytes, (size_t)n, X86_MODE_64);

	if (rc == -EAGAIN)
		return UNICORN_EXITS;
	if (rc < 0)
		return unicorn_raise_vector(v, exit, rc == -EPROTO ? X86_VEC_GP : X86_VEC_UD);
	exit->pc = x86_state_of(v->u.vcpu)->rip;
	exit->next_pc = exit->pc + insn.length;
	switch (insn.map) {
	case 0: return one_byte(v, exit, &insn);
	case 1: return two_bytes(v, exit, &insn);
	default: return pass(v);
	}
}
