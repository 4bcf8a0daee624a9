/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fake.h"

#include <assert.h>
#include <stdio.h>

#include "mmu/npt.h"
#include "tests/platform.h"
#include "tests/stub_backend.h"

int fake_probe_rc;
unsigned fake_invalidations;
void (*fake_on_clean)(const void *p, uint64_t size);

/* --- Backend --- */

static int fake_probe(struct hc_backend_info *info)
{
	snprintf(info->reason, sizeof(info->reason), "replays exits");
	info->max_vcpus = 8;
	info->gpa_bits = 40;
	return fake_probe_rc;
}

static int vm_create(struct hc_vm *vm)
{
	vm->parts[0].data = vm; /* nothing looks at it */
	return 0;
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	vcpu->backend_data = vcpu;
	return 0;
}

static void load(struct hc_vcpu *vcpu)
{
	fake_of(vcpu)->loads++;
}

static void put(struct hc_vcpu *vcpu)
{
	fake_of(vcpu)->puts++;
}

static const struct fake_step halt_for_good = { .exit = { .reason = HC_EXIT_HALT },
	                                        .action = HC_ACT_HALT };

static const struct fake_step *current_step(struct fake_vcpu *f)
{
	return f->at < f->step_count ? &f->script[f->at] : &halt_for_good;
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct fake_step *step = current_step(fake_of(vcpu));

	*exit = step->exit;
	vcpu->valid = 1; /* group 0: the core's */
	vcpu->dirty = 0;
	test_now_ns += step->advance_ns;
	if (exit->reason == HC_EXIT_INTERRUPT || exit->reason == HC_EXIT_MODE) /* the core's own */
		fake_of(vcpu)->at++;
}

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	fake_of(vcpu)->gets++;
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	return -ENOSYS;
}

static void request_window(struct hc_vcpu *vcpu, bool nmi)
{
}

static void invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	fake_invalidations++;
}

static void clean(const void *p, uint64_t size)
{
	if (fake_on_clean)
		fake_on_clean(p, size);
}

static void explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	snprintf(buf, size, "scripted");
}

const struct hc_backend_ops fake_backend = {
	.name = "fake",
	.isa = HC_ISA_X86_64,
	.s2_format = &npt_format,
	.probe = fake_probe,
	.cpu_enable = stub_cpu_enable,
	.cpu_disable = stub_cpu_disable,
	.vm_create = vm_create,
	.vm_destroy = stub_vm_destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = stub_vcpu,
	.load = load,
	.put = put,
	.run = run,
	.get_state = get_state,
	.set_state = stub_state,
	.inject = inject,
	.request_window = request_window,
	.invalidate = invalidate,
	.clean = clean,
	.explain = explain,
};

/* --- Architecture --- */

static int vm_init(struct hc_vm *vm)
{
	return 0;
}

static void vm_fini(struct hc_vm *vm)
{
}

static int vcpu_init(struct hc_vcpu *vcpu)
{
	vcpu->state = fake_of(vcpu)->state_words;
	return 0;
}

static void vcpu_fini(struct hc_vcpu *vcpu)
{
}

static int take_step(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct fake_vcpu *f = fake_of(vcpu);
	const struct fake_step *step = current_step(f);

	assert(exit->reason == step->exit.reason);
	f->at++;
	if (step->hook)
		step->hook(vcpu);
	return step->action;
}

static int before_entry(struct hc_vcpu *vcpu)
{
	fake_of(vcpu)->entries++;
	return HC_ACT_RESUME;
}

static bool has_event(struct hc_vcpu *vcpu)
{
	return fake_of(vcpu)->event;
}

static void deliver_msi(struct hc_vm *vm, uint64_t address, uint32_t data)
{
	fake_of(vm->vcpus[address])->state_words[0] = data;
	hc_vcpu_request(vm->vcpus[address], HC_REQ_EVENT);
}

static const hc_exit_handler handlers[HC_EXIT_REASON_COUNT] = {
	[HC_EXIT_HALT] = take_step,
	[HC_EXIT_IO] = take_step,
	[HC_EXIT_CPUID] = take_step,
	[HC_EXIT_STAGE2] = take_step,
};

const struct hc_arch_ops fake_arch = {
	.name = "fake",
	.isa = HC_ISA_X86_64,
	.max_vcpus = 16,
	.vm_size = sizeof(struct hc_vm),
	.vcpu_size = sizeof(struct fake_vcpu),
	.vm_init = vm_init,
	.vm_fini = vm_fini,
	.vcpu_init = vcpu_init,
	.vcpu_fini = vcpu_fini,
	.handlers = handlers,
	.before_entry = before_entry,
	.has_event = has_event,
	.deliver_msi = deliver_msi,
};

/* --- For the tests --- */

struct hc_vm *fake_vm(const char *name, unsigned cpus)
{
	const struct hc_vm_config config = {
		.name = name, .arch = &fake_arch, .backend = &fake_backend, .cpus = cpus
	};
	struct hc_vm *vm = NULL;

	return hc_vm_create(&vm, &config) ? NULL : vm;
}

void fake_script(struct hc_vm *vm, unsigned cpu, const struct fake_step *steps, unsigned count)
{
	struct fake_vcpu *f = fake_of(vm->vcpus[cpu]);

	f->script = steps;
	f->step_count = count;
	f->at = 0;
}

void fake_run_cpu(unsigned cpu)
{
	test_platform_be(cpu);
	test_run_until_idle();
	test_platform_be(0);
}
