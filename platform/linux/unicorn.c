/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads the module with the backend "unicorn", and stands in for its functions. */
#include "platform/linux/unicorn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above */
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

/* --- Search --- */

static bool load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	unicorn_entry entry = NULL;

	if (!handle) {
		hc_snprintf(why_not, sizeof(why_not), "%s", dlerror());
		return false;
	}
	void *symbol = dlsym(handle, UNICORN_ENTRY);

	memcpy(&entry, &symbol, sizeof(entry));
	module = entry ? entry(&host) : NULL;
	if (!module) {
		hc_snprintf(why_not, sizeof(why_not), "not of this build: %s", path);
		dlclose(handle);
	}
	return module != NULL;
}

/* True: there is a file, so that the search is over. */
static bool try_folder(const char *folder, const char *below)
{
	char path[512];

	if (hc_snprintf(path, sizeof(path), "%s%s/%s", folder, below, UNICORN_MODULE) >=
	            (int)sizeof(path) ||
	    access(path, F_OK))
		return false;
	(void)load(path);
	return true;
}

/* Where this program is: the folder's path, or "" if that is not known. */
static void program_folder(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	path[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

static void find_module(void)
{
	const char *folder = getenv("HYPERCORE_MODULES");
	char program[256];

	program_folder(program, sizeof(program));
	hc_snprintf(why_not, sizeof(why_not),
	            "not there: module %s not found (it needs the package libunicorn2)",
	            UNICORN_MODULE);
	if (folder && *folder) {
		(void)try_folder(folder, "");
		return;
	}
	(void)(try_folder(program, "") || try_folder(program, HC_MODULES_FROM_PROGRAM) ||
	       try_folder(HC_MODULES, ""));
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
