/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/el2_rig.h"

#include <string.h>

#include "arch/aarch64/gic/gic.h"
#include "mmu/vmsav8.h"
#include "tests/platform.h"
#include "tests/unit.h"

struct a64_vm rig_vms[RIG_VMS];
struct a64_vcpu rig_vcpus[RIG_VCPUS];
static struct a64_vcpu other_vcpus[RIG_VMS];
struct rig_told rig_told;

const struct model_features rig_plain = { .parange = 4,
	                                  .gic_version = 3,
	                                  .list_registers = 4,
	                                  .preemption_bits = 5,
	                                  .priority_bits = 5,
	                                  .breakpoints = 6,
	                                  .watchpoints = 4 };
const struct model_features rig_full = { .vhe = true,
	                                 .ras = true,
	                                 .vmid16 = true,
	                                 .pmu = true,
	                                 .spe = true,
	                                 .amu = true,
	                                 .trace = true,
	                                 .fgt = true,
	                                 .hcx = true,
	                                 .lor = true,
	                                 .parange = 6,
	                                 .gic_version = 3,
	                                 .list_registers = 16,
	                                 .preemption_bits = 7,
	                                 .priority_bits = 7,
	                                 .breakpoints = 16,
	                                 .watchpoints = 16 };
const struct model_features rig_v2 = { .parange = 2,
	                               .gic_version = 2,
	                               .list_registers = 4,
	                               .preemption_bits = 5,
	                               .priority_bits = 5,
	                               .breakpoints = 6,
	                               .watchpoints = 4 };

/* --- In place of arch/aarch64 --- */

void a64_raise_at(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss, gva_t far)
{
	rig_told.raised++;
	rig_told.raised_ec = ec;
	rig_told.raised_iss = iss;
	rig_told.raised_far = far.v;
	hc_vcpu_need(vcpu, A64_G_SYS);
	hc_vcpu_dirty(vcpu, A64_G_SYS);
}

void a64_raise_external(struct hc_vcpu *vcpu, gva_t far, bool fetch, bool write)
{
	rig_told.externals++;
	rig_told.raised_far = far.v;
	rig_told.external_fetch = fetch;
	rig_told.external_write = write;
}

void gic_set_ppi(struct hc_vcpu *vcpu, unsigned intid, bool level, bool linked)
{
	rig_told.ppis++;
	rig_told.ppi = intid;
	rig_told.ppi_level = level;
	rig_told.ppi_linked = linked;
}

/* --- VMs --- */

static void invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
	struct hc_vm *vm = ctx;

	model_stage2_changed(s2_root(&vm->s2), gpa.v, size);
	el2_backend.invalidate(vm, gpa, size);
}

static void sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
	el2_backend.tables_written();
}

static struct mm_ops table_ops;

static void make_vm(struct hc_vm *vm)
{
	struct hc_backend_info info;

	memset(vm, 0, sizeof(struct a64_vm));
	memcpy(vm->name, "rig", 4);
	vm->parts[0].ops = &el2_backend;
	assert_int_equal(el2_backend.probe(&info), 0);
	vm->info = info;
	assert_int_equal(s2_init(&vm->s2, &vmsav8_format, &table_ops, vm, info.gpa_bits), 0);
	assert_int_equal(el2_backend.vm_create(vm), 0);
}

static void make_vcpu(struct hc_vm *vm, struct a64_vcpu *a)
{
	struct hc_vcpu *vcpu = &a->vcpu;

	memset(a, 0, sizeof(*a));
	vcpu->vm = vm;
	vcpu->id = vm->cpu_count;
	vcpu->backend = &el2_backend;
	vcpu->state = &a->state;
	assert_int_equal(el2_backend.vcpu_create(vcpu), 0);
	vcpu->parts[0] = (struct hc_backend_part){ vcpu->backend, vcpu->backend_data };
	a->state.pc = 0x1000;
	a->state.pstate = A64_PSTATE_EL1H;
	a->state.midr = 0x410fd0c1;
	a->state.mpidr = HC_BIT(31) | vcpu->id;
	vcpu->valid = vcpu->dirty = ~UINT32_C(0);
	vm->vcpus[vm->cpu_count++] = vcpu;
}

static void destroy_vm(struct hc_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		el2_backend.vcpu_destroy(vm->vcpus[i]);
	s2_destroy(&vm->s2);
	el2_backend.vm_destroy(vm);
}

struct hc_vcpu *rig_add_vm(unsigned n)
{
	make_vm(&rig_vms[n].vm);
	make_vcpu(&rig_vms[n].vm, &other_vcpus[n]);
	return &other_vcpus[n].vcpu;
}

void rig_remove_vm(unsigned n)
{
	destroy_vm(&rig_vms[n].vm);
}

void rig_start(const struct model_features *features)
{
	struct hc_backend_info info;

	table_ops = hc_lone_tables;
	table_ops.invalidate = invalidate;
	table_ops.sync = sync;
	test_platform_init(TEST_CPUS);
	model_reset(features);
	memset(&rig_told, 0, sizeof(rig_told));
	assert_int_equal(el2_backend.probe(&info), 0);
	for (unsigned i = 0; i < TEST_CPUS; i++) {
		model_be(i);
		assert_int_equal(el2_backend.cpu_enable(hc_sched_cpu(i)), 0);
	}
	model_be(0);
	make_vm(&rig_vms[0].vm);
	for (unsigned i = 0; i < RIG_VCPUS; i++)
		make_vcpu(&rig_vms[0].vm, &rig_vcpus[i]);
	rig_load(0, 0);
}

void rig_stop(void)
{
	rig_no_complaint();
	destroy_vm(&rig_vms[0].vm);
	for (unsigned i = 0; i < TEST_CPUS; i++) {
		model_be(i);
		el2_backend.cpu_disable(hc_sched_cpu(i));
	}
	rig_no_complaint();
}

void rig_load_vcpu(struct hc_vcpu *vcpu, unsigned cpu)
{
	model_be(cpu);
	vcpu->cpu = hc_sched_cpu(cpu);
	el2_backend.load(vcpu);
}

void rig_load(unsigned vcpu, unsigned cpu)
{
	rig_load_vcpu(&rig_vcpus[vcpu].vcpu, cpu);
}

void rig_put(unsigned vcpu)
{
	el2_backend.put(&rig_vcpus[vcpu].vcpu);
}

struct hc_exit rig_run_vcpu(struct hc_vcpu *vcpu)
{
	struct hc_exit exit;

	assert_int_equal(hc_bits(model_this()->reg[EL2_VTTBR_EL2], 47, 0),
	                 s2_root(&vcpu->vm->s2).v);
	memset(&exit, 0xa5, sizeof(exit));
	el2_backend.run(vcpu, &exit);
	return exit;
}

struct hc_exit rig_run(unsigned vcpu)
{
	return rig_run_vcpu(&rig_vcpus[vcpu].vcpu);
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
