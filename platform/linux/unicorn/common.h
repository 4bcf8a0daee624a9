/* SPDX-License-Identifier: BSD-2-Clause */
/* What both modules do alike: the life of Unicorn's CPU, and of the vCPU that has it. */
#ifndef PLATFORM_LINUX_UNICORN_COMMON_H
#define PLATFORM_LINUX_UNICORN_COMMON_H

#include <unicorn/unicorn.h>
/* after the above */
#include "core/sched.h"
#include "core/vm.h"
#include "platform/linux/unicorn/guard.h"
#include "platform/linux/unicorn/host.h"

/* The first member of a vCPU's struct, which is its backend_data. */
struct unicorn_common {
	struct hc_vcpu *vcpu;
	uc_engine *uc;
	uc_context *pristine; /* of the CPU as it was made */
	uc_err err;           /* of the last calls, the first that failed */
	struct unicorn_guard guard;
	_Atomic bool code_was_written; /* by something else than the guest */
};

/* What is the module's own. Each has one. */
extern const struct unicorn_kind {
	const struct hc_backend_ops *ops;
	uint32_t vm_size, vcpu_size; /* as in struct unicorn_host */
	size_t size;                 /* of the vCPU's struct here, all zeros at first */

	uc_arch arch;
	uc_mode mode;
	int model;             /* UC_CPU_... */
	const char *isa;       /* what Unicorn has to have been built with */
	const char *abilities; /* what guests may be, for people */

	void (*on_code)(uc_engine *uc, uint64_t pc, uint32_t size, void *vcpu);
	bool (*on_memory)(uc_engine *uc, uc_mem_type type, uint64_t address, int size,
	                  int64_t value, void *vcpu);
	void (*on_exception)(uc_engine *uc, uint32_t number, void *vcpu);
	bool (*on_undefined)(uc_engine *uc, void *vcpu);
} unicorn_kind;

extern const struct unicorn_host *unicorn_host;

/* What a step came to. */
enum unicorn_step { UNICORN_GOES_ON, UNICORN_EXITS };

/* Notes why the guest cannot go on; the exit is to be HC_EXIT_ENTRY_FAILED. Returns -EOPNOTSUPP. */
int unicorn_refuse(struct unicorn_common *u, const char *why);

/* HC_EXIT_ENTRY_FAILED; why: NULL: noted before. Returns UNICORN_EXITS. */
enum unicorn_step unicorn_give_up(struct unicorn_common *u, struct hc_exit *exit, const char *why);

/* The enum hc_access that an on_memory() is about. */
unsigned unicorn_access_of(uc_mem_type type);

/* --- The backend's functions --- */

int unicorn_probe(struct hc_backend_info *info);
int unicorn_cpu_enable(struct hc_cpu *cpu);
void unicorn_cpu_disable(struct hc_cpu *cpu);
int unicorn_vm_create(struct hc_vm *vm);
void unicorn_vm_destroy(struct hc_vm *vm);
int unicorn_vcpu_create(struct hc_vcpu *vcpu);
void unicorn_vcpu_destroy(struct hc_vcpu *vcpu);
void unicorn_load(struct hc_vcpu *vcpu); /* and put() */
void unicorn_set_state(struct hc_vcpu *vcpu, uint32_t groups);
void unicorn_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size);
void unicorn_written(struct hc_vm *vm, gpa_t gpa, uint64_t size);
void unicorn_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);

/* Those of a struct hc_backend_ops. */
#define UNICORN_COMMON_OPS                                                                         \
	.name = "unicorn", .probe = unicorn_probe, .cpu_enable = unicorn_cpu_enable,               \
	.cpu_disable = unicorn_cpu_disable, .vm_create = unicorn_vm_create,                        \
	.vm_destroy = unicorn_vm_destroy, .vcpu_create = unicorn_vcpu_create,                      \
	.vcpu_destroy = unicorn_vcpu_destroy, .load = unicorn_load, .put = unicorn_load,           \
	.set_state = unicorn_set_state, .invalidate = unicorn_invalidate,                          \
	.written = unicorn_written, .explain = unicorn_explain

#endif
