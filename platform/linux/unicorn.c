/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads the module with the backend "unicorn", and stands in for its functions. */
#include "platform/linux/unicorn.h"

#include <pthread.h>
#include <string.h>
/* after the above */
#include "platform/linux/module.h"
#include "platform/linux/unicorn/module.h"

static const struct unicorn_host host = {
	.abi = UNICORN_ABI,
	.vm_size = sizeof(struct x86_vm),
	.vcpu_size = sizeof(struct x86_vcpu),
	.self = &unicorn_backend,
	.platform_alloc = hc_platform_alloc,
	.platform_free = hc_platform_free,
	.platform_cycles = hc_platform_cycles,
	.error = hc_error,
	.snprintf = hc_snprintf,
	.mem_ptr = hc_mem_ptr,
	.translate_page = x86_translate_page,
	.apic_cr8 = x86_apic_cr8,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct hc_backend_ops *module; /* NULL: why_not */
static char why_not[128];

static void find_module(void)
{
	unicorn_entry entry = NULL;
	void *symbol = linux_module_find(UNICORN_MODULE, UNICORN_ENTRY, why_not, sizeof(why_not));

	memcpy(&entry, &symbol, sizeof(entry));
	module = entry ? entry(&host) : NULL;
	if (entry && !module)
		hc_snprintf(why_not, sizeof(why_not), "not of this build: %s", UNICORN_MODULE);
}

/* --- The backend --- */

static int probe(struct hc_backend_info *info)
{
	pthread_once(&once, find_module);
	if (module)
		return module->probe(info);
	hc_snprintf(info->reason, sizeof(info->reason), "%s", why_not);
	return -ENODEV;
}

/* The rest is called only where probe() found the module. */

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	module->cpuid(leaf, subleaf, out);
}

static int cpu_enable(struct hc_cpu *cpu)
{
	return module->cpu_enable(cpu);
}

static void cpu_disable(struct hc_cpu *cpu)
{
	module->cpu_disable(cpu);
}

static int vm_create(struct hc_vm *vm)
{
	return module->vm_create(vm);
}

static void vm_destroy(struct hc_vm *vm)
{
	module->vm_destroy(vm);
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	return module->vcpu_create(vcpu);
}

static void vcpu_destroy(struct hc_vcpu *vcpu)
{
	module->vcpu_destroy(vcpu);
}

static void load_vcpu(struct hc_vcpu *vcpu)
{
	module->load(vcpu);
}

static void put(struct hc_vcpu *vcpu)
{
	module->put(vcpu);
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	module->run(vcpu, exit);
}

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	module->get_state(vcpu, groups);
}

static void set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	module->set_state(vcpu, groups);
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	return module->inject(vcpu, event);
}

static void request_window(struct hc_vcpu *vcpu, bool nmi)
{
	module->request_window(vcpu, nmi);
}

static void invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	module->invalidate(vm, gpa, size);
}

static void written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	module->written(vm, gpa, size);
}

static void explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	module->explain(vcpu, exit, buf, size);
}

const struct hc_backend_ops unicorn_backend = {
	.name = "unicorn",
	.isa = HC_ISA_X86_64,
	.cpuid = cpuid,
	.probe = probe,
	.cpu_enable = cpu_enable,
	.cpu_disable = cpu_disable,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.load = load_vcpu,
	.put = put,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.inject = inject,
	.request_window = request_window,
	.invalidate = invalidate,
	.written = written,
	.explain = explain,
};
