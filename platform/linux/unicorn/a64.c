/* SPDX-License-Identifier: BSD-2-Clause */
/* The AArch64 backend's functions: hooks, stops, entry. */
#include <hypercore/freestanding.h>

#include "core/sched.h"
#include "emu/aarch64/access.h"
#include "platform/linux/unicorn/a64_internal.h"

/* All groups that are kept in the neutral state. */
#define KEPT (A64_G_ALL & ~(uint32_t)A64_G_FP)

/* QEMU's numbers of exceptions. */
enum { EXCP_UDEF = 1, EXCP_DATA_ABORT = 4 };

static struct unicorn_a64 *unicorn_a64_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

/* --- Hooks --- */

static void stop(struct unicorn_a64 *v, enum unicorn_a64_stop why)
{
	v->stop = why;
	(void)uc_emu_stop(v->u.uc);
}

static bool holds(const struct hc_slot *slot, uint64_t pc)
{
	uint64_t offset = pc - slot->gpa;

	return offset < slot->size && slot->size - offset >= sizeof(uint32_t);
}

static bool find_word(struct unicorn_a64 *v, uint64_t pc)
{
	const struct hc_memory *m = &v->u.vcpu->vm->memory;

	for (unsigned i = 0; i < m->count && !(v->code && holds(v->code, pc)); i++)
		v->code = &m->slots[i];
	if (!v->code || !holds(v->code, pc))
		return false;
	memcpy(&v->word, v->code->host + (pc - v->code->gpa), sizeof(v->word));
	return true;
}

/* Unicorn does not check PC's alignment (Arm ARM D1.3): prepare() does. */
static void on_code(uc_engine *uc, uint64_t pc, uint32_t size, void *opaque)
{
	struct unicorn_a64 *v = opaque;

	v->pc = pc;
	if (pc & 3 || atomic_load_explicit(&v->u.vcpu->cpu->attention, memory_order_relaxed))
		stop(v, UNICORN_A64_KICK);
	else if (!find_word(v, pc) || unicorn_a64_is_ours(v, v->word))
		stop(v, UNICORN_A64_INSTRUCTION);
}

/* Fetched is what PC points to, but of a word across the end of a slot the address is the end. */
static bool on_memory(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value,
                      void *opaque)
{
	struct unicorn_a64 *v = opaque;

	v->stop = UNICORN_A64_MEMORY;
	v->address = address;
	v->access = unicorn_access_of(type);
	if (v->access != HC_ACCESS_EXEC)
		return false;
	(void)uc_reg_read(uc, UC_ARM64_REG_PC, &v->pc);
	if (v->pc & 3)
		v->stop = UNICORN_A64_KICK;
	return false;
}

static void on_exception(uc_engine *uc, uint32_t number, void *opaque)
{
	struct unicorn_a64 *v = opaque;

	v->exception = number;
	stop(v, number == EXCP_UDEF ? UNICORN_A64_UNDEFINED : UNICORN_A64_EXCEPTION);
}

static bool on_undefined(uc_engine *uc, void *opaque)
{
	struct unicorn_a64 *v = opaque;

	v->stop = UNICORN_A64_UNDEFINED;
	return false;
}

/* --- Stops --- */

/* As ESR_EL2.ISV: plain accesses of one general register. */
static void describe(const struct unicorn_a64 *v, struct hc_exit_stage2 *out)
{
	const struct a64_state *s = a64_state_of(v->u.vcpu);
	struct a64_ldst i;

	if (out->access == HC_ACCESS_EXEC || a64_decode_ldst(v->word, &i) ||
	    i.kind > A64_LDST_STORE || i.is_vector || i.count > 1 || i.writeback ||
	    a64_ldst_address(&i, s).v != v->address)
		return;
	out->described = true;
	out->width = i.size;
	out->is_signed = i.is_signed;
	out->is_64 = i.is_64 || i.size == 8;
	out->rt = i.rt;
}

static enum unicorn_step on_stage2(struct unicorn_a64 *v, struct hc_exit *exit)
{
	exit->reason = HC_EXIT_STAGE2;
	exit->next_pc = exit->pc + 4;
	exit->u.stage2 = (struct hc_exit_stage2){ .gpa = gpa_of(v->address),
		                                  .gva = gva_of(v->address),
		                                  .access = (uint8_t)v->access };
	describe(v, &exit->u.stage2);
	return UNICORN_EXITS;
}

/* Aborts that Unicorn itself finds are those of alignment. */
static enum unicorn_step on_exception_stop(struct unicorn_a64 *v, struct hc_exit *exit)
{
	const struct a64_state *s = a64_state_of(v->u.vcpu);
	struct a64_ldst i;

	if (v->exception != EXCP_DATA_ABORT || a64_decode_ldst(v->word, &i)) {
		unicorn_host->snprintf(v->u.guard.failure, sizeof(v->u.guard.failure),
		                       "an exception of Unicorn's, %u, at instruction %#x",
		                       v->exception, v->word);
		return unicorn_give_up(&v->u, exit, NULL);
	}
	bool is_write = i.kind != A64_LDST_LOAD && i.kind != A64_LDST_LOAD_EX;

	unicorn_a64_host()->raise_at(v->u.vcpu, A64_EC_DABT_LOWER,
	                             A64_FSC_ALIGN | (is_write ? A64_ISS_WNR : 0),
	                             a64_ldst_address(&i, s));
	return UNICORN_GOES_ON;
}

static enum unicorn_step on_stop(struct unicorn_a64 *v, struct hc_exit *exit)
{
	switch (v->stop) {
	case UNICORN_A64_KICK: return UNICORN_GOES_ON; /* seen there */
	case UNICORN_A64_INSTRUCTION: return unicorn_a64_instruction(v, exit);
	case UNICORN_A64_MEMORY: return on_stage2(v, exit);
	case UNICORN_A64_UNDEFINED:
		unicorn_a64_host()->raise(v->u.vcpu, A64_EC_UNKNOWN, 0);
		return UNICORN_GOES_ON;
	case UNICORN_A64_EXCEPTION: return on_exception_stop(v, exit);
	case UNICORN_A64_ERROR:
	default: return unicorn_give_up(&v->u, exit, uc_strerror(v->u.err));
	}
}

/* --- Entry --- */

#define SCTLR_EE HC_BIT(25)

static const char *find_obstacle(const struct a64_state *s)
{
	uint64_t mode = s->pstate & A64_PSTATE_M;

	if (mode == A64_PSTATE_EL0T)
		return "the guest is in user mode (EL0), which the backend unicorn does not run";
	if (mode != A64_PSTATE_EL1T && mode != A64_PSTATE_EL1H)
		return "the guest is not at EL1 in AArch64 state";
	if (s->sys[A64_SCTLR_EL1] & A64_SCTLR_M)
		return "the guest's MMU is on; the backend unicorn runs guests without";
	if (s->sys[A64_SCTLR_EL1] & SCTLR_EE)
		return "the guest is big-endian, which the backend unicorn does not run";
	if (s->pstate & A64_PSTATE_SS || s->mdscr & 1)
		return "single steps (MDSCR_EL1.SS), which Unicorn does not take";
	if (s->serror)
		return "an SError for the guest, which Unicorn cannot be given";
	return NULL;
}

/* No instruction is at the last address, which is odd: nothing ends it but the hooks. */
static void execute(void *vcpu)
{
	struct unicorn_a64 *v = vcpu;

	unicorn_a64_store(v);
	if (v->u.err == UC_ERR_OK) {
		v->stop = UNICORN_A64_ERROR;
		v->u.err = uc_emu_start(v->u.uc, v->pc, UINT64_MAX, 0, 0);
	}
	unicorn_a64_fetch(v);
	v->u.vcpu->valid = KEPT;
	if (v->stop == UNICORN_A64_EXCEPTION || v->stop == UNICORN_A64_UNDEFINED)
		unicorn_a64_forget_exception(v);
}

/* Before the guest goes on: UNICORN_EXITS if it does not. */
static enum unicorn_step prepare(struct unicorn_a64 *v, struct hc_exit *exit)
{
	struct a64_state *s = a64_state_of(v->u.vcpu);
	const char *obstacle = find_obstacle(s);

	if (obstacle)
		return unicorn_give_up(&v->u, exit, obstacle);
	if (s->pstate & A64_PSTATE_IL)
		unicorn_a64_host()->raise(v->u.vcpu, A64_EC_ILLEGAL, 0);
	else if (s->pc & 3)
		unicorn_a64_host()->raise_at(v->u.vcpu, A64_EC_PC_ALIGN, 0, gva_of(s->pc));
	if (!atomic_exchange(&v->u.vcpu->cpu->attention, false))
		return UNICORN_GOES_ON;
	exit->reason = HC_EXIT_INTERRUPT;
	return UNICORN_EXITS;
}

static enum unicorn_step step(struct unicorn_a64 *v, struct hc_exit *exit)
{
	const struct a64_state *s = a64_state_of(v->u.vcpu);

	exit->pc = exit->next_pc = s->pc;
	if (v->u.guard.is_dead)
		return unicorn_give_up(&v->u, exit, NULL);
	if (prepare(v, exit) == UNICORN_EXITS)
		return UNICORN_EXITS;
	v->pc = s->pc;
	bool is_alive = unicorn_guarded(&v->u.guard, execute, v);

	exit->pc = exit->next_pc = s->pc;
	if (is_alive)
		return on_stop(v, exit);
	v->u.vcpu->valid = A64_G_ALL;
	return unicorn_give_up(&v->u, exit, NULL);
}

/* What was changed here is stored at the next entry. */
static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	while (step(unicorn_a64_of(vcpu), exit) == UNICORN_GOES_ON)
		continue;
}

/* --- State: of one that crashed there is what was known before --- */

static void fetch_fp(void *vcpu)
{
	unicorn_a64_fetch_fp(vcpu);
}

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (groups & A64_G_FP)
		(void)unicorn_guarded(&unicorn_a64_of(vcpu)->u.guard, fetch_fp, vcpu->backend_data);
}

static const struct hc_backend_ops ops = {
	UNICORN_COMMON_OPS,
	.isa = HC_ISA_AARCH64,
	.run = run,
	.get_state = get_state,
};

const struct unicorn_kind unicorn_kind = {
	.ops = &ops,
	.vm_size = sizeof(struct a64_vm),
	.vcpu_size = sizeof(struct a64_vcpu),
	.size = sizeof(struct unicorn_a64),
	.arch = UC_ARCH_ARM64,
	.mode = UC_MODE_ARM,
	.model = UC_CPU_ARM64_A57,
	.isa = "AArch64",
	.abilities = "small AArch64 guests at EL1, one CPU, no MMU, no interrupts",
	.on_code = on_code,
	.on_memory = on_memory,
	.on_exception = on_exception,
	.on_undefined = on_undefined,
};
