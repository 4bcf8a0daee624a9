/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/unicorn/common.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

const struct unicorn_host *unicorn_host;

/* The core's locks wait by it; none is taken here, but compilers that do not optimise keep the
 * code. */
void hc_platform_relax(void)
{
	/* Nobody waits. */
}

/* --- Exits --- */

int unicorn_refuse(struct unicorn_common *u, const char *why)
{
	unicorn_host->snprintf(u->guard.failure, sizeof(u->guard.failure), "%s", why);
	return -EOPNOTSUPP;
}

enum unicorn_step unicorn_give_up(struct unicorn_common *u, struct hc_exit *exit, const char *why)
{
	if (why)
		(void)unicorn_refuse(u, why);
	exit->reason = HC_EXIT_ENTRY_FAILED;
	exit->u.raw.code = exit->u.raw.info1 = exit->u.raw.info2 = 0;
	return UNICORN_EXITS;
}

unsigned unicorn_access_of(uc_mem_type type)
{
	switch (type) {
	case UC_MEM_WRITE_UNMAPPED:
	case UC_MEM_WRITE_PROT: return HC_ACCESS_WRITE;
	case UC_MEM_FETCH_UNMAPPED:
	case UC_MEM_FETCH_PROT: return HC_ACCESS_EXEC;
	default: return HC_ACCESS_READ;
	}
}

/* --- Unicorn's CPU: under the guard --- */

static void add_hooks(struct unicorn_common *u)
{
	const struct unicorn_kind *k = &unicorn_kind;
	const struct {
		int type;
		uintptr_t fn;
	} hooks[] = {
		{ UC_HOOK_CODE, (uintptr_t)k->on_code },
		{ UC_HOOK_MEM_INVALID, (uintptr_t)k->on_memory },
		{ UC_HOOK_INTR, (uintptr_t)k->on_exception },
		{ UC_HOOK_INSN_INVALID, (uintptr_t)k->on_undefined },
	};
	uc_hook handle;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(hooks) && u->err == UC_ERR_OK; i++)
		u->err = uc_hook_add(u->uc, &handle, hooks[i].type, (void *)hooks[i].fn, u, 1, 0);
}

static void make(void *arg)
{
	struct unicorn_common *u = arg;

	u->err = uc_open(unicorn_kind.arch, unicorn_kind.mode, &u->uc);
	if (u->err == UC_ERR_OK)
		u->err = uc_ctl_set_cpu_model(u->uc, unicorn_kind.model);
	if (u->err == UC_ERR_OK)
		u->err = uc_context_alloc(u->uc, &u->pristine);
	if (u->err == UC_ERR_OK)
		u->err = uc_context_save(u->uc, u->pristine);
	add_hooks(u);
}

static void unmake(void *arg)
{
	struct unicorn_common *u = arg;

	if (u->pristine)
		(void)uc_context_free(u->pristine);
	if (u->uc)
		(void)uc_close(u->uc);
}

/* --- VMs and vCPUs --- */

int unicorn_vm_create(struct hc_vm *vm)
{
	if (vm->cpu_count > 1)
		return unicorn_host->error(-EOPNOTSUPP, "unicorn: VM %s: one vCPU at most",
		                           vm->name);
	unicorn_guard_init();
	return 0;
}

void unicorn_vm_destroy(struct hc_vm *vm)
{
	/* The vCPU has everything. */
}

static void free_vcpu(struct unicorn_common *u)
{
	(void)unicorn_guarded(&u->guard, unmake, u);
	unicorn_host->platform_free(u, unicorn_kind.size);
}

int unicorn_vcpu_create(struct hc_vcpu *vcpu)
{
	struct unicorn_common *u = unicorn_host->platform_alloc(unicorn_kind.size);

	if (!u)
		return unicorn_host->error(-ENOMEM, "unicorn: no memory for a vCPU of VM %s",
		                           vcpu->vm->name);
	u->vcpu = vcpu;
	if (!unicorn_guarded(&u->guard, make, u) || u->err != UC_ERR_OK) {
		int rc = unicorn_host->error(
			-ENOMEM, "unicorn: vCPU %u of VM %s: %s", vcpu->id, vcpu->vm->name,
			u->guard.is_dead ? u->guard.failure : uc_strerror(u->err));

		free_vcpu(u);
		return rc;
	}
	vcpu->backend_data = u;
	hc_vm_set_part(vcpu->vm, unicorn_host->self, u);
	return 0;
}

void unicorn_vcpu_destroy(struct hc_vcpu *vcpu)
{
	if (!vcpu->backend_data)
		return;
	hc_vm_set_part(vcpu->vm, unicorn_host->self, NULL);
	free_vcpu(vcpu->backend_data);
	vcpu->backend_data = NULL;
}

/* The entry does it, by what is dirty. */
void unicorn_set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	hc_vcpu_dirty(vcpu, groups);
}

/* --- The rest --- */

int unicorn_probe(struct hc_backend_info *info)
{
	const struct unicorn_kind *k = &unicorn_kind;
	unsigned major = 0, minor = 0;

	(void)uc_version(&major, &minor);
	info->max_vcpus = 1;
	info->gpa_bits = 40;
	if (major != UC_API_MAJOR || !uc_arch_supported(k->arch)) {
		unicorn_host->snprintf(info->reason, sizeof(info->reason),
		                       "Unicorn %u.%u: version %d with %s is needed", major, minor,
		                       UC_API_MAJOR, k->isa);
		return -EOPNOTSUPP;
	}
	unicorn_host->snprintf(info->reason, sizeof(info->reason), "Unicorn %u.%u: %s", major,
	                       minor, k->abilities);
	return 0;
}

int unicorn_cpu_enable(struct hc_cpu *cpu)
{
	return 0;
}

void unicorn_cpu_disable(struct hc_cpu *cpu)
{
	/* There was nothing to enable. */
}

void unicorn_load(struct hc_vcpu *vcpu)
{
	/* Nothing is kept in the CPU. */
}

/* Slots are looked at at the entry. */
void unicorn_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	/* Nothing else is mapped. */
}

void unicorn_written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	struct unicorn_common *u = hc_vm_part(vm, unicorn_host->self);

	if (u)
		atomic_store(&u->code_was_written, true);
}

void unicorn_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	const struct unicorn_common *u = vcpu->backend_data;

	unicorn_host->snprintf(buf, size, "%s", u->guard.failure);
}

/* --- The module's symbol --- */

__attribute__((visibility("default"))) const struct hc_backend_ops *hypercore_unicorn_module(
	const struct unicorn_host *host);

const struct hc_backend_ops *hypercore_unicorn_module(const struct unicorn_host *host)
{
	if (host->abi != UNICORN_ABI || host->vm_size != unicorn_kind.vm_size ||
	    host->vcpu_size != unicorn_kind.vcpu_size)
		return NULL;
	unicorn_host = host;
	return unicorn_kind.ops;
}
