/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of each exit: one function per reason, the same for all backends. */
#include <hypercore/errno.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/internal.h"
#include "core/log.h"

static __attribute__((noinline)) int cpuid_in_parts(struct hc_vcpu *vcpu, uint64_t next_pc)
{
	struct x86_state *s = x86_state_of(vcpu);
	uint32_t regs[4];

	x86_cpuid(vcpu, (uint32_t)s->gpr[X86_RAX], (uint32_t)s->gpr[X86_RCX], regs);
	s->gpr[X86_RAX] = regs[0];
	s->gpr[X86_RBX] = regs[1];
	s->gpr[X86_RCX] = regs[2];
	s->gpr[X86_RDX] = regs[3];
	x86_skip(vcpu, next_pc);
	return HC_ACT_RESUME;
}

static int exit_cpuid(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);
	const struct x86_cpuid_entry *e = x86_cpuid_whole(vcpu->vm, (uint32_t)s->gpr[X86_RAX]);

	if (!e)
		return cpuid_in_parts(vcpu, exit->next_pc);
	s->gpr[X86_RAX] = e->eax;
	s->gpr[X86_RBX] = e->ebx;
	s->gpr[X86_RCX] = e->ecx;
	s->gpr[X86_RDX] = e->edx;
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

static int exit_halt(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	x86_skip(vcpu, exit->next_pc);
	return x86_halt(vcpu);
}

/* --- Hypercalls: number in RAX, arguments in RBX, RCX, RDX, RSI; the result in RAX is a value or a
 * negative error number. --- */

static int64_t call_version(struct hc_vcpu *vcpu)
{
	return X86_HV_INTERFACE;
}

static int64_t (*const hypercalls[])(struct hc_vcpu *vcpu) = {
	[0] = call_version,
};

static int64_t call(struct hc_vcpu *vcpu, uint64_t number)
{
	if (number >= HC_ARRAY_SIZE(hypercalls))
		return -ENOSYS;
	hc_vcpu_need(vcpu, X86_G_CR);
	return x86_state_of(vcpu)->cpl ? -EPERM : hypercalls[number](vcpu);
}

static int exit_hypercall(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);

	s->gpr[X86_RAX] = (uint64_t)call(vcpu, s->gpr[X86_RAX]);
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

static int exit_cr_write(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	if (x86_write_cr(vcpu, exit->u.cr.number, exit->u.cr.value))
		x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

/* SDM Vol. 1 13.3: x87 cannot be off, AVX needs SSE, AVX-512 needs AVX and comes whole. */
static bool is_valid_xcr0(uint64_t value, uint64_t mask)
{
	uint64_t avx512 = value & 0xe0;

	return !(value & ~mask) && value & 1 && (!(value & 4) || value & 2) &&
	       (!avx512 || (avx512 == 0xe0 && value & 4));
}

static int exit_xsetbv(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);
	uint64_t value = x86_edx_eax(s);

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_FPU);
	if (s->cpl || (uint32_t)s->gpr[X86_RCX] ||
	    !is_valid_xcr0(value, x86_vm_of(vcpu->vm)->xcr0_mask)) {
		x86_raise_gp(vcpu);
		return HC_ACT_RESUME;
	}
	s->xcr0 = value;
	hc_vcpu_dirty(vcpu, X86_G_FPU);
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

/* Memory is coherent, and devices are reached by exits: there is nothing to write back. Dropping
 * the caches (INVD) is not a guest's to ask for. */
static int exit_cache(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

static int exit_undefined(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	x86_raise_ud(vcpu);
	return HC_ACT_RESUME;
}

static int exit_exception(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct x86_fault fault = {
		.vector = exit->u.exception.vector,
		.has_error_code = exit->u.exception.has_error_code,
		.error_code = exit->u.exception.error_code,
		.address = exit->u.exception.address,
	};

	x86_raise(vcpu, &fault);
	return HC_ACT_RESUME;
}

static int exit_window(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	x86_request_event(vcpu);
	return HC_ACT_RESUME;
}

static int exit_eoi(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	x86_apic_ended(vcpu, exit->u.eoi.vector);
	return HC_ACT_RESUME;
}

static int exit_task_switch(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	hc_vm_fail(vcpu->vm, "vcpu %u: task switch at rip %#llx: not emulated", vcpu->id,
	           (unsigned long long)exit->pc);
	return HC_ACT_RESUME;
}

static int exit_shutdown(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	hc_log(HC_LOG_WARN, "vm %s: vcpu %u: triple fault at rip %#llx", vcpu->vm->name, vcpu->id,
	       (unsigned long long)exit->pc);
	hc_vm_stop(vcpu->vm, HC_STOP_RESET, 0);
	return HC_ACT_RESUME;
}

static int exit_refused(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	char why[128] = "";

	if (vcpu->backend->explain)
		vcpu->backend->explain(vcpu, exit, why, sizeof(why));
	hc_vm_fail(vcpu->vm, "vcpu %u: %s at rip %#llx: %s", vcpu->id,
	           hc_exit_reason_name(exit->reason), (unsigned long long)exit->pc, why);
	return HC_ACT_RESUME;
}

const hc_exit_handler x86_exit_handlers[HC_EXIT_REASON_COUNT] = {
	[HC_EXIT_WINDOW] = exit_window,
	[HC_EXIT_HALT] = exit_halt,
	[HC_EXIT_IO] = x86_exit_io,
	[HC_EXIT_STAGE2] = x86_exit_stage2,
	[HC_EXIT_BUS] = x86_exit_bus,
	[HC_EXIT_CPUID] = exit_cpuid,
	[HC_EXIT_MSR_READ] = x86_exit_msr_read,
	[HC_EXIT_MSR_WRITE] = x86_exit_msr_write,
	[HC_EXIT_CR_WRITE] = exit_cr_write,
	[HC_EXIT_XSETBV] = exit_xsetbv,
	[HC_EXIT_EXCEPTION] = exit_exception,
	[HC_EXIT_HYPERCALL] = exit_hypercall,
	[HC_EXIT_CACHE] = exit_cache,
	[HC_EXIT_UNDEFINED] = exit_undefined,
	[HC_EXIT_TASK_SWITCH] = exit_task_switch,
	[HC_EXIT_SHUTDOWN] = exit_shutdown,
	[HC_EXIT_ENTRY_FAILED] = exit_refused,
	[HC_EXIT_EOI] = exit_eoi,
	[HC_EXIT_UNKNOWN] = exit_refused,
};
