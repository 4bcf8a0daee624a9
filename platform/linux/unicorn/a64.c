/* SPDX-License-Identifier: BSD-2-Clause */
/* The AArch64 backend's functions: hooks, stops, entry, and what the module shows. */
#include <hypercore/freestanding.h>

#include "core/sched.h"
#include "emu/aarch64/access.h"
#include "platform/linux/unicorn/a64_internal.h"

const struct unicorn_a64_host *unicorn_a64_host;

/* The core's locks wait by it; none is taken here, but compilers that do not optimise keep the
 * code. */
void hc_platform_relax(void)
{
	/* Nobody waits. */
}

/* All groups that are kept in the neutral state. */
#define KEPT (A64_G_ALL & ~(uint32_t)A64_G_FP)

/* QEMU's numbers of exceptions. */
enum { EXCP_UDEF = 1, EXCP_DATA_ABORT = 4 };

static struct unicorn_a64 *unicorn_a64_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

/* --- The guard --- */

struct call {
	struct unicorn_a64 *v;
	void (*fn)(struct unicorn_a64 *v);
};

static void make_call(void *arg)
{
	const struct call *c = arg;

	c->fn(c->v);
}

static bool guarded(struct unicorn_a64 *v, void (*fn)(struct unicorn_a64 *v))
{
	struct call c = { v, fn };

	return unicorn_guarded(&v->guard, make_call, &c);
}

/* --- Hooks --- */

static void stop(struct unicorn_a64 *v, enum unicorn_a64_stop why)
{
	v->stop = why;
	(void)uc_emu_stop(v->uc);
}

static bool find_word(struct unicorn_a64 *v, uint64_t pc)
{
	const struct hc_memory *m = &v->vcpu->vm->memory;

	for (unsigned i = 0; i < m->count && !(v->code && pc - v->code->gpa < v->code->size); i++)
		v->code = &m->slots[i];
	if (!v->code || pc - v->code->gpa >= v->code->size)
		return false;
	memcpy(&v->word, v->code->host + (pc - v->code->gpa), sizeof(v->word));
	return true;
}

static void on_code(uc_engine *uc, uint64_t pc, uint32_t size, void *opaque)
{
	struct unicorn_a64 *v = opaque;

	v->pc = pc;
	if (atomic_load_explicit(&v->vcpu->cpu->attention, memory_order_relaxed))
		stop(v, UNICORN_A64_KICK);
	else if (!find_word(v, pc) || unicorn_a64_is_ours(v, v->word))
		stop(v, UNICORN_A64_INSTRUCTION);
}

static bool on_memory(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value,
                      void *opaque)
{
	struct unicorn_a64 *v = opaque;

	v->stop = UNICORN_A64_MEMORY;
	v->address = address;
	switch (type) {
	case UC_MEM_WRITE_UNMAPPED:
	case UC_MEM_WRITE_PROT: v->access = HC_ACCESS_WRITE; break;
	case UC_MEM_FETCH_UNMAPPED:
	case UC_MEM_FETCH_PROT:
		v->access = HC_ACCESS_EXEC;
		v->pc = address;
		break;
	default: v->access = HC_ACCESS_READ; break;
	}
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

static void add_hooks(struct unicorn_a64 *v)
{
	const struct {
		int type;
		uintptr_t fn;
	} hooks[] = {
		{ UC_HOOK_CODE, (uintptr_t)on_code },
		{ UC_HOOK_MEM_INVALID, (uintptr_t)on_memory },
		{ UC_HOOK_INTR, (uintptr_t)on_exception },
		{ UC_HOOK_INSN_INVALID, (uintptr_t)on_undefined },
	};
	uc_hook handle;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(hooks) && v->err == UC_ERR_OK; i++)
		v->err = uc_hook_add(v->uc, &handle, hooks[i].type, (void *)hooks[i].fn, v, 1, 0);
}

/* --- Stops --- */

enum unicorn_a64_step unicorn_a64_give_up(struct unicorn_a64 *v, struct hc_exit *exit,
                                          const char *why)
{
	if (why)
		unicorn_a64_host->snprintf(v->guard.failure, sizeof(v->guard.failure), "%s", why);
	exit->reason = HC_EXIT_ENTRY_FAILED;
	exit->u.raw.code = exit->u.raw.info1 = exit->u.raw.info2 = 0;
	return UNICORN_A64_EXITS;
}

/* As ESR_EL2.ISV: plain accesses of one general register. */
static void describe(const struct unicorn_a64 *v, struct hc_exit_stage2 *out)
{
	const struct a64_state *s = a64_state_of(v->vcpu);
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

static enum unicorn_a64_step on_stage2(struct unicorn_a64 *v, struct hc_exit *exit)
{
	exit->reason = HC_EXIT_STAGE2;
	exit->next_pc = exit->pc + 4;
	exit->u.stage2 = (struct hc_exit_stage2){ .gpa = gpa_of(v->address),
		                                  .gva = gva_of(v->address),
		                                  .access = (uint8_t)v->access };
	describe(v, &exit->u.stage2);
	return UNICORN_A64_EXITS;
}

/* Aborts that Unicorn itself finds are those of alignment. */
static enum unicorn_a64_step on_exception_stop(struct unicorn_a64 *v, struct hc_exit *exit)
{
	const struct a64_state *s = a64_state_of(v->vcpu);
	struct a64_ldst i;

	if (v->exception != EXCP_DATA_ABORT || a64_decode_ldst(v->word, &i)) {
		unicorn_a64_host->snprintf(v->guard.failure, sizeof(v->guard.failure),
		                           "an exception of Unicorn's, %u, at instruction %#x",
		                           v->exception, v->word);
		return unicorn_a64_give_up(v, exit, NULL);
	}
	bool is_write = i.kind != A64_LDST_LOAD && i.kind != A64_LDST_LOAD_EX;

	unicorn_a64_host->raise_at(v->vcpu, A64_EC_DABT_LOWER,
	                           A64_FSC_ALIGN | (is_write ? A64_ISS_WNR : 0),
	                           a64_ldst_address(&i, s));
	return UNICORN_A64_GOES_ON;
}

static enum unicorn_a64_step on_stop(struct unicorn_a64 *v, struct hc_exit *exit)
{
	switch (v->stop) {
	case UNICORN_A64_KICK: return UNICORN_A64_GOES_ON; /* seen there */
	case UNICORN_A64_INSTRUCTION: return unicorn_a64_instruction(v, exit);
	case UNICORN_A64_MEMORY: return on_stage2(v, exit);
	case UNICORN_A64_UNDEFINED:
		unicorn_a64_host->raise(v->vcpu, A64_EC_UNKNOWN, 0);
		return UNICORN_A64_GOES_ON;
	case UNICORN_A64_EXCEPTION: return on_exception_stop(v, exit);
	case UNICORN_A64_ERROR:
	default: return unicorn_a64_give_up(v, exit, uc_strerror(v->err));
	}
}

/* --- Entry --- */

#define SCTLR_M  HC_BIT(0)
#define SCTLR_EE HC_BIT(25)

static const char *find_obstacle(const struct a64_state *s)
{
	uint64_t mode = s->pstate & A64_PSTATE_M;

	if (mode == A64_PSTATE_EL0T)
		return "the guest is in user mode (EL0), which the backend unicorn does not run";
	if (mode != A64_PSTATE_EL1T && mode != A64_PSTATE_EL1H)
		return "the guest is not at EL1 in AArch64 state";
	if (s->sys[A64_SCTLR_EL1] & SCTLR_M)
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
static void execute(struct unicorn_a64 *v)
{
	unicorn_a64_store(v);
	if (v->err == UC_ERR_OK) {
		v->stop = UNICORN_A64_ERROR;
		v->err = uc_emu_start(v->uc, v->pc, UINT64_MAX, 0, 0);
	}
	unicorn_a64_fetch(v);
	v->vcpu->valid = KEPT;
	if (v->stop == UNICORN_A64_EXCEPTION || v->stop == UNICORN_A64_UNDEFINED)
		unicorn_a64_forget_exception(v);
}

/* Before the guest goes on: UNICORN_A64_EXITS if it does not. */
static enum unicorn_a64_step prepare(struct unicorn_a64 *v, struct hc_exit *exit)
{
	struct a64_state *s = a64_state_of(v->vcpu);
	const char *obstacle = find_obstacle(s);

	if (obstacle)
		return unicorn_a64_give_up(v, exit, obstacle);
	if (s->pstate & A64_PSTATE_IL)
		unicorn_a64_host->raise(v->vcpu, A64_EC_ILLEGAL, 0);
	else if (s->pc & 3)
		unicorn_a64_host->raise_at(v->vcpu, A64_EC_PC_ALIGN, 0, gva_of(s->pc));
	if (!atomic_exchange(&v->vcpu->cpu->attention, false))
		return UNICORN_A64_GOES_ON;
	exit->reason = HC_EXIT_INTERRUPT;
	return UNICORN_A64_EXITS;
}

static enum unicorn_a64_step step(struct unicorn_a64 *v, struct hc_exit *exit)
{
	const struct a64_state *s = a64_state_of(v->vcpu);

	exit->pc = exit->next_pc = s->pc;
	if (v->guard.is_dead)
		return unicorn_a64_give_up(v, exit, NULL);
	if (prepare(v, exit) == UNICORN_A64_EXITS)
		return UNICORN_A64_EXITS;
	v->pc = s->pc;
	bool is_alive = guarded(v, execute);

	exit->pc = exit->next_pc = s->pc;
	if (is_alive)
		return on_stop(v, exit);
	v->vcpu->valid = A64_G_ALL;
	return unicorn_a64_give_up(v, exit, NULL);
}

/* What was changed here is stored at the next entry. */
static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	while (step(unicorn_a64_of(vcpu), exit) == UNICORN_A64_GOES_ON)
		continue;
}

/* --- VMs and vCPUs --- */

static int vm_create(struct hc_vm *vm)
{
	if (vm->cpu_count > 1)
		return unicorn_a64_host->error(-EOPNOTSUPP, "unicorn: VM %s: one vCPU at most",
		                               vm->name);
	unicorn_guard_init();
	return 0;
}

static void vm_destroy(struct hc_vm *vm)
{
	/* The vCPU has everything. */
}

static void make(struct unicorn_a64 *v)
{
	v->err = uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &v->uc);
	if (v->err == UC_ERR_OK)
		v->err = uc_ctl_set_cpu_model(v->uc, UC_CPU_ARM64_A57);
	if (v->err == UC_ERR_OK)
		v->err = uc_context_alloc(v->uc, &v->pristine);
	if (v->err == UC_ERR_OK)
		v->err = uc_context_save(v->uc, v->pristine);
	if (v->err == UC_ERR_OK)
		add_hooks(v);
}

static void unmake(struct unicorn_a64 *v)
{
	if (v->pristine)
		(void)uc_context_free(v->pristine);
	if (v->uc)
		(void)uc_close(v->uc);
}

static void free_vcpu(struct unicorn_a64 *v)
{
	(void)guarded(v, unmake);
	unicorn_a64_host->platform_free(v, sizeof(*v));
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	struct unicorn_a64 *v = unicorn_a64_host->platform_alloc(sizeof(*v));

	if (!v)
		return unicorn_a64_host->error(-ENOMEM, "unicorn: no memory for a vCPU of VM %s",
		                               vcpu->vm->name);
	v->vcpu = vcpu;
	v->lost = true;
	if (!guarded(v, make) || v->err != UC_ERR_OK) {
		int rc = unicorn_a64_host->error(
			-ENOMEM, "unicorn: vCPU %u of VM %s: %s", vcpu->id, vcpu->vm->name,
			v->guard.is_dead ? v->guard.failure : uc_strerror(v->err));

		free_vcpu(v);
		return rc;
	}
	vcpu->backend_data = v;
	hc_vm_set_part(vcpu->vm, unicorn_a64_host->self, v);
	return 0;
}

static void vcpu_destroy(struct hc_vcpu *vcpu)
{
	if (!vcpu->backend_data)
		return;
	hc_vm_set_part(vcpu->vm, unicorn_a64_host->self, NULL);
	free_vcpu(vcpu->backend_data);
	vcpu->backend_data = NULL;
}

/* --- State: of one that crashed there is what was known before --- */

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	if (groups & A64_G_FP)
		(void)guarded(unicorn_a64_of(vcpu), unicorn_a64_fetch_fp);
}

/* The entry does it, by what is dirty. */
static void set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	hc_vcpu_dirty(vcpu, groups);
}

/* --- The rest --- */

static int probe(struct hc_backend_info *info)
{
	unsigned major = 0, minor = 0;

	(void)uc_version(&major, &minor);
	info->max_vcpus = 1;
	info->gpa_bits = 40;
	if (major != UC_API_MAJOR || !uc_arch_supported(UC_ARCH_ARM64)) {
		unicorn_a64_host->snprintf(info->reason, sizeof(info->reason),
		                           "Unicorn %u.%u: version %d with AArch64 is needed",
		                           major, minor, UC_API_MAJOR);
		return -EOPNOTSUPP;
	}
	unicorn_a64_host->snprintf(info->reason, sizeof(info->reason),
	                           "Unicorn %u.%u: small AArch64 guests at EL1, one CPU, no MMU, "
	                           "no interrupts",
	                           major, minor);
	return 0;
}

static int cpu_enable(struct hc_cpu *cpu)
{
	return 0;
}

static void cpu_disable(struct hc_cpu *cpu)
{
	/* There was nothing to enable. */
}

static void load(struct hc_vcpu *vcpu)
{
	/* Nothing is kept in the CPU. */
}

/* Slots are looked at at the entry. */
static void invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	/* Nothing else is mapped. */
}

static void written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	struct unicorn_a64 *v = hc_vm_part(vm, unicorn_a64_host->self);

	if (v)
		atomic_store(&v->code_was_written, true);
}

static void explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	unicorn_a64_host->snprintf(buf, size, "%s", unicorn_a64_of(vcpu)->guard.failure);
}

static const struct hc_backend_ops ops = {
	.name = "unicorn",
	.isa = HC_ISA_AARCH64,
	.probe = probe,
	.cpu_enable = cpu_enable,
	.cpu_disable = cpu_disable,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.load = load,
	.put = load,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.invalidate = invalidate,
	.written = written,
	.explain = explain,
};

__attribute__((visibility("default"))) const struct hc_backend_ops *hypercore_unicorn_a64_module(
	const struct unicorn_a64_host *host);

const struct hc_backend_ops *hypercore_unicorn_a64_module(const struct unicorn_a64_host *host)
{
	if (host->abi != UNICORN_A64_ABI || host->vm_size != sizeof(struct a64_vm) ||
	    host->vcpu_size != sizeof(struct a64_vcpu))
		return NULL;
	unicorn_a64_host = host;
	return &ops;
}
