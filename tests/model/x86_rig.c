/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/x86_rig.h"

#include <hypercore/errno.h>

#include <string.h>

#include "arch/x86_64/code_cache.h"
#include "tests/platform.h"
#include "tests/unit.h"

struct x86_vm rig_vm;
struct x86_vcpu rig_vcpus[RIG_VCPUS];
uint8_t rig_code[15];
int rig_code_len, rig_insn_len;
uint8_t rig_cr;

static unsigned loaded_on[RIG_VCPUS]; /* the CPU's number plus 1, 0: on none */

/* --- In place of arch/x86_64 --- */

const struct x86_msr_policy x86_msr_policy[] = {
	{ 0x174, 0x176, X86_MSR_DIRECT, 0, "SYSENTER", "switched" },
	{ 0x1d9, 0x1d9, X86_MSR_DIRECT, 0, "DEBUGCTL", "not switched" },
	{ 0xc0000080, 0xc0000080, X86_MSR_STATE, 0, "EFER", "checked" },
	{ 0xc0000081, 0xc0000084, X86_MSR_DIRECT, 0, "STAR", "switched" },
	{ 0xc0000100, 0xc0000102, X86_MSR_DIRECT, 0, "FS_BASE", "switched" },
	{ 0xc0000103, 0xc0000103, X86_MSR_DIRECT, 0, "TSC_AUX", "switched" },
};
const unsigned x86_msr_policy_count = HC_ARRAY_SIZE(x86_msr_policy);

int x86_insn_length(struct hc_vcpu *vcpu)
{
	/* As the real one, it looks at the guest's mode. */
	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS);
	return rig_insn_len;
}

int x86_fetch(struct hc_vcpu *vcpu, gva_t gva, uint8_t *buf, unsigned len, struct x86_fault *fault)
{
	if (rig_code_len <= 0)
		return rig_code_len;
	unsigned count = (unsigned)rig_code_len < len ? (unsigned)rig_code_len : len;

	memcpy(buf, rig_code, count);
	return (int)count;
}

int x86_find_cr_write(struct hc_vcpu *vcpu, struct hc_exit *exit, struct x86_fault *fault)
{
	if (rig_code_len <= 0) {
		*fault = (struct x86_fault){ .vector = X86_VEC_SS, .has_error_code = true };
		return rig_code_len ? rig_code_len : -ENOENT;
	}
	exit->u.cr.number = rig_cr;
	exit->u.cr.value = x86_state_of(vcpu)->gpr[X86_RBX];
	exit->next_pc = exit->pc + (unsigned)rig_code_len;
	return 0;
}

/* --- The vCPUs' state --- */

static void set_all_segments(struct x86_state *st, const struct x86_segment *data, uint16_t cs_attr)
{
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = *data;
	st->seg[X86_CS].attr = cs_attr;
	st->seg[X86_TR] = (struct x86_segment){ .attr = 0x08b, .limit = 0xffff };
	st->seg[X86_LDTR] = (struct x86_segment){ .attr = 0x082, .limit = 0xffff };
	st->gdtr.limit = st->idtr.limit = 0xffff;
	st->rip = 0x1000;
	st->rflags = X86_FLAG_1;
	st->dr6 = 0xffff0ff0;
	st->dr7 = 0x400;
	st->msr_pat = UINT64_C(0x0007040600070406);
	st->xcr0 = 1;
}

void rig_long_mode(struct x86_state *st)
{
	const struct x86_segment data = { .selector = 0x10, .attr = 0xc93, .limit = UINT32_MAX };

	memset(st, 0, sizeof(*st));
	set_all_segments(st, &data, 0xa9b);
	st->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE;
	st->cr3 = 0x5000;
	st->cr4 = X86_CR4_PAE;
	st->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
}

void rig_real_mode(struct x86_state *st)
{
	const struct x86_segment data = { .attr = 0x093, .limit = 0xffff };

	memset(st, 0, sizeof(*st));
	set_all_segments(st, &data, 0x09b);
	st->cr0 = X86_CR0_ET;
}

/* --- The VM --- */

static void invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
	model_stage2_changed();
	rig_backend->invalidate(ctx, gpa, size);
}

static void make_tables(struct hc_vm *vm)
{
	static struct mm_ops table_ops;

	table_ops = hc_lone_tables;
	table_ops.invalidate = invalidate;
	assert_int_equal(s2_init(&vm->s2, rig_backend->s2_format, &table_ops, vm, 40), 0);
}

static void make_vcpu(unsigned i)
{
	struct hc_vcpu *vcpu = &rig_vcpus[i].vcpu;

	vcpu->vm = &rig_vm.vm;
	vcpu->id = i;
	vcpu->backend = rig_backend;
	vcpu->state = &rig_vcpus[i].state;
	for (unsigned slot = 0; slot < HC_ARRAY_SIZE(rig_vcpus[i].code); slot++)
		rig_vcpus[i].code[slot].key.cr3 = X86_CODE_NONE;
	rig_vcpus[i].apic.page = hc_platform_alloc_pages(0);
	assert_non_null(rig_vcpus[i].apic.page);
	assert_int_equal(rig_backend->vcpu_create(vcpu), 0);
	vcpu->parts[0] = (struct hc_backend_part){ vcpu->backend, vcpu->backend_data };
	rig_long_mode(&rig_vcpus[i].state);
	vcpu->valid = vcpu->dirty = X86_G_ALL;
	rig_vm.vm.vcpus[i] = vcpu;
	rig_vm.vm.cpu_count = i + 1;
}

static void make_vm(void)
{
	struct hc_vm *vm = &rig_vm.vm;

	memset(&rig_vm, 0, sizeof(rig_vm));
	memset(rig_vcpus, 0, sizeof(rig_vcpus));
	memcpy(vm->name, "rig", 4);
	rig_prepare();
	vm->parts[0].ops = rig_backend;
	make_tables(vm);
	assert_int_equal(rig_backend->vm_create(vm), 0);
	for (unsigned i = 0; i < RIG_VCPUS; i++)
		make_vcpu(i);
}

void rig_start(const struct model_features *features)
{
	struct hc_backend_info info;

	test_platform_init(TEST_CPUS);
	model_reset(features);
	memset(loaded_on, 0, sizeof(loaded_on));
	rig_insn_len = rig_code_len = -EFAULT;
	if (rig_backend->probe(&info) != 0)
		fail_msg("probe: %s; %s", info.reason, model_complaint);
	memset(test_kicks, 0, sizeof(test_kicks)); /* those that it tried the CPU with */
	for (unsigned i = 0; i < TEST_CPUS; i++) {
		model_be(i);
		assert_int_equal(rig_backend->cpu_enable(hc_sched_cpu(i)), 0);
	}
	model_be(0);
	make_vm();
	rig_load(0, 0);
}

static void leave_cpus(void)
{
	for (unsigned i = 0; i < RIG_VCPUS; i++) {
		if (loaded_on[i]) {
			model_be(loaded_on[i] - 1);
			rig_put(i);
		}
	}
	rig_all_left();
}

void rig_stop(void)
{
	leave_cpus();
	rig_no_complaint();
	for (unsigned i = 0; i < RIG_VCPUS; i++) {
		rig_backend->vcpu_destroy(&rig_vcpus[i].vcpu);
		hc_platform_free_pages(rig_vcpus[i].apic.page, 0);
	}
	rig_backend->vm_destroy(&rig_vm.vm);
	s2_destroy(&rig_vm.vm.s2);
	for (unsigned i = 0; i < TEST_CPUS; i++) {
		model_be(i);
		rig_backend->cpu_disable(hc_sched_cpu(i));
	}
	rig_no_complaint();
}

/* --- Running --- */

void rig_load(unsigned vcpu, unsigned cpu)
{
	model_be(cpu);
	rig_vcpus[vcpu].vcpu.cpu = hc_sched_cpu(cpu);
	loaded_on[vcpu] = cpu + 1;
	rig_backend->load(&rig_vcpus[vcpu].vcpu);
}

void rig_put(unsigned vcpu)
{
	rig_backend->put(&rig_vcpus[vcpu].vcpu);
	loaded_on[vcpu] = 0;
}

struct hc_exit rig_run(unsigned vcpu)
{
	struct hc_exit exit;

	memset(&exit, 0xa5, sizeof(exit));
	rig_backend->run(&rig_vcpus[vcpu].vcpu, &exit);
	return exit;
}

struct hc_exit rig_run_script(unsigned vcpu, const struct model_step *steps)
{
	model_script(steps);
	return rig_run(vcpu);
}

void rig_no_complaint(void)
{
	if (model_complaints)
		fail_msg("%u complaints of the CPU: %s", model_complaints, model_complaint);
}
