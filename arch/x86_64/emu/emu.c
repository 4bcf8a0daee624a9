/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/emu/emu.h"

#include <hypercore/errno.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/x86.h"
#include "core/log.h"
#include "core/touch.h"
#include "emu/x86_64/engine/engine_api.h"
#include "mmu/ept.h"

#define GPA_BITS 40

static struct emu_cpu *cpu_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

static struct emu_vm *shared_of(struct hc_vm *vm)
{
	return hc_vm_part(vm, &emu_backend);
}

/* --- What the engine asks for --- */

/* The holder may wait for this very CPU: it invalidates. */
static void lock_memory(struct hc_vcpu *vcpu)
{
	while (atomic_exchange_explicit(&vcpu->vm->memory_lock.held, true, memory_order_acquire))
		emu_answer_while_waiting(cpu_of(vcpu));
}

/* Stage 2 of a page. The local APIC's page is never memory: what hardware backends map there is for
 * the CPU that virtualizes APIC registers, whether or not the guest's local APIC shows a page. */
static void find_memory(struct hc_vcpu *vcpu, struct emu_page *page)
{
	struct s2_mapping m;
	int rc;

	page->host = NULL;
	page->host_writable = false;
	if (page->gpa.v >> HC_PAGE_SHIFT == X86_APIC_BASE >> HC_PAGE_SHIFT)
		return;
	lock_memory(vcpu);
	rc = hc_mem_walk(vcpu->vm, page->gpa, &m);
	hc_unlock(&vcpu->vm->memory_lock);
	if (rc)
		return;
	page->host = hc_platform_from_hpa(m.hpa);
	/* Of a format whose dirty flags hardware sets, nobody sets them here. */
	page->host_writable = m.write_ok && (m.dirty || !vcpu->vm->s2.logging);
}

static int translate(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
                     struct emu_page *page, struct x86_fault *fault)
{
	struct x86_mapping m;
	int rc = x86_translate_page(vcpu, gva, access, implicit, &m, fault);

	if (rc)
		return rc;
	page->gpa = m.gpa;
	page->span = m.span;
	find_memory(vcpu, page);
	return 0;
}

static bool make_writable(struct hc_vcpu *vcpu, gpa_t gpa)
{
	int rc;

	lock_memory(vcpu);
	rc = hc_dirty_fault_locked(vcpu->vm, gpa);
	hc_unlock(&vcpu->vm->memory_lock);
	return rc == 0;
}

static unsigned read_cr8(struct hc_vcpu *vcpu)
{
	return x86_apic_cr8(vcpu);
}

static bool shows(struct hc_vcpu *vcpu, uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t regs[4];

	x86_cpuid(vcpu, leaf, 0, regs);
	return regs[reg] >> bit & 1;
}

static const struct emu_host_ops host_ops = { translate, make_writable, read_cr8, shows };

/* --- The backend --- */

static int probe(struct hc_backend_info *info)
{
	bool vectors = emu_vector_init() == 0;

	hc_snprintf(info->reason, sizeof(info->reason), "software CPU, needs no virtualization%s",
	            vectors ? "" : "; no executable memory, hence no x87 and no vector registers");
	info->max_vcpus = X86_MAX_VCPUS;
	info->gpa_bits = GPA_BITS;
	return 0;
}

static int tsc_ratio(uint64_t hz, uint64_t *ratio)
{
	*ratio = x86_tsc_ratio(hz, hc_platform_cycles_hz(), 32);
	return *ratio ? 0 : hc_error(-EOPNOTSUPP, "emu: this machine's TSC is too slow for that");
}

static int cpu_enable(struct hc_cpu *cpu)
{
	emu_vector_cpu_enable();
	return 0;
}

static void cpu_disable(struct hc_cpu *cpu)
{
}

static int vm_create(struct hc_vm *vm)
{
	struct emu_vm *shared = emu_vm_create();

	hc_vm_set_part(vm, &emu_backend, shared);
	return shared ? 0 : hc_error(-ENOMEM, "emu: no memory for VM %s", vm->name);
}

static void vm_destroy(struct hc_vm *vm)
{
	emu_vm_destroy(shared_of(vm));
	hc_vm_set_part(vm, &emu_backend, NULL);
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	vcpu->backend_data = emu_cpu_create(vcpu, shared_of(vcpu->vm), &host_ops);
	return vcpu->backend_data ? 0
	                          : hc_error(-ENOMEM, "emu: no memory for vCPU %u of VM %s",
	                                     vcpu->id, vcpu->vm->name);
}

static void vcpu_destroy(struct hc_vcpu *vcpu)
{
	emu_cpu_destroy(cpu_of(vcpu));
	vcpu->backend_data = NULL;
}

/* Nothing of the guest is in the physical CPU between exits. */
static void nothing(struct hc_vcpu *vcpu)
{
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	emu_run(cpu_of(vcpu), exit);
}

/* The neutral state is where the CPU works. */
static void move_state(struct hc_vcpu *vcpu, uint32_t groups)
{
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	return emu_inject(cpu_of(vcpu), event);
}

static void request_window(struct hc_vcpu *vcpu, bool nmi)
{
	emu_request_window(cpu_of(vcpu), nmi);
}

static void invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	if (shared_of(vm))
		emu_invalidate(shared_of(vm));
}

static void written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	emu_memory_written(shared_of(vm), gpa.v, size);
}

static void explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	hc_snprintf(buf, size, "software CPU, code %#llx", (unsigned long long)exit->u.raw.code);
}

const struct hc_backend_ops emu_backend = {
	.name = "emu",
	.isa = HC_ISA_X86_64,
	.s2_format = &ept_format,
	.s2_any = true,
	.cpuid = emu_cpuid,
	.tsc_ratio = tsc_ratio,
	.probe = probe,
	.cpu_enable = cpu_enable,
	.cpu_disable = cpu_disable,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.load = nothing,
	.put = nothing,
	.run = run,
	.get_state = move_state,
	.set_state = move_state,
	.inject = inject,
	.request_window = request_window,
	.invalidate = invalidate,
	.written = written,
	.explain = explain,
};
