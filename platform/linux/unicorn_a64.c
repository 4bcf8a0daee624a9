/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads the module with the backend "unicorn" for AArch64 guests, and stands in for its functions.
 */
#include <pthread.h>
#include <string.h>
/* after the above */
#include "platform/linux/module.h"
#include "platform/linux/unicorn.h"
#include "platform/linux/unicorn/a64_module.h"

static const struct unicorn_a64_host host = {
	.abi = UNICORN_A64_ABI,
	.vm_size = sizeof(struct a64_vm),
	.vcpu_size = sizeof(struct a64_vcpu),
	.self = &unicorn_a64_backend,
	.platform_alloc = hc_platform_alloc,
	.platform_free = hc_platform_free,
	.error = hc_error,
	.snprintf = hc_snprintf,
	.raise = a64_raise,
	.raise_at = a64_raise_at,
	.skip = a64_skip,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct hc_backend_ops *module; /* NULL: why_not */
static char why_not[128];

static void find_module(void)
{
	unicorn_a64_entry entry = NULL;
	void *symbol =
		linux_module_find(UNICORN_A64_MODULE, UNICORN_A64_ENTRY, why_not, sizeof(why_not));

	memcpy(&entry, &symbol, sizeof(entry));
	module = entry ? entry(&host) : NULL;
	if (entry && !module)
		hc_snprintf(why_not, sizeof(why_not), "not of this build: %s", UNICORN_A64_MODULE);
}

static int probe(struct hc_backend_info *info)
{
	pthread_once(&once, find_module);
	if (module)
		return module->probe(info);
	hc_snprintf(info->reason, sizeof(info->reason), "%s", why_not);
	return -ENODEV;
}

/* The rest is called only where probe() found the module. */

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

static void load(struct hc_vcpu *vcpu)
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

const struct hc_backend_ops unicorn_a64_backend = {
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
	.put = put,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.invalidate = invalidate,
	.written = written,
	.explain = explain,
};
