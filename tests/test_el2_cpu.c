/* SPDX-License-Identifier: BSD-2-Clause */
/* Probing, CPUs, VMIDs and invalidation of the EL2 backend. */
#include <string.h>

#include "tests/model/el2_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"

static const struct model_features *const machines[] = { &rig_plain, &rig_full, &rig_v2 };

/* --- Probing --- */

static int probe(const struct model_features *f, struct hc_backend_info *info)
{
	test_platform_init(1);
	model_reset(f);
	int rc = el2_backend.probe(info);

	rig_no_complaint();
	return rc;
}

static void test_probe_says_what_is_there(void **state)
{
	struct hc_backend_info info;

	assert_int_equal(probe(&rig_plain, &info), 0);
	assert_string_equal(info.reason, "EL2, 8-bit VMIDs, GICv3 with 4 list registers");
	assert_int_equal(info.gpa_bits, 40);
	assert_int_equal(info.gic_version, 3);
	assert_int_equal(info.gic_list_registers, 4);
	assert_int_equal(info.gic_priority_bits, 5);
	assert_int_equal(probe(&rig_full, &info), 0);
	assert_string_equal(info.reason,
	                    "EL2 with VHE, 16-bit VMIDs, GICv3 with 16 list registers");
	assert_int_equal(info.gic_priority_bits, 7);
	assert_int_equal(probe(&rig_v2, &info), 0);
	assert_int_equal(info.gic_version, 2);
	assert_int_equal(info.gicv.v, 0x8040000);
}

static void test_probe_leaves_the_cpu_as_it_was(void **state)
{
	struct hc_backend_info info;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		assert_int_equal(probe(machines[i], &info), 0);
		assert_int_equal(model_this()->reg[EL2_HCR_EL2],
		                 HCR_RW | HCR_AMO | HCR_IMO | HCR_FMO |
		                         (machines[i]->vhe ? HCR_E2H : 0));
		assert_false(model_this()->enabled[27]);
		assert_int_equal(test_allocated, 0);
	}
}

static void test_probe_says_why_not(void **state)
{
	struct model_features f = rig_plain;
	struct hc_backend_info info;

	f.no_el2 = true;
	assert_int_equal(probe(&f, &info), -ENODEV);
	assert_string_equal(info.reason, "the hypervisor was not started at EL2");
	f = rig_plain;
	f.no_4k = true;
	assert_int_equal(probe(&f, &info), -EOPNOTSUPP);
	assert_non_null(strstr(info.reason, "4 KiB pages"));
	f = rig_plain;
	f.broken = true;
	assert_int_equal(probe(&f, &info), -EOPNOTSUPP);
	assert_non_null(strstr(info.reason, "wrong result"));
	for (f = rig_v2; f.gic_version <= 3; f.gic_version++) {
		f.preemption_bits = 4;
		assert_int_equal(probe(&f, &info), -EOPNOTSUPP);
		assert_non_null(strstr(info.reason, "priorities"));
	}
	f.gic_version = 0;
	assert_int_equal(probe(&f, &info), 0);
	assert_int_equal(info.gic_version, 0);
}

/* No more than preempt, and than fit into list registers and active priorities. */
static void test_priorities(void **state)
{
	struct hc_backend_info info;

	for (unsigned version = 2; version <= 3; version++) {
		for (unsigned pri = 5; pri <= 8; pri++) {
			for (unsigned pre = 5; pre <= hc_min(pri, 7); pre++) {
				struct model_features f = version == 2 ? rig_v2 : rig_full;

				f.priority_bits = pri;
				f.preemption_bits = pre;
				assert_int_equal(probe(&f, &info), 0);
				assert_int_equal(info.gic_priority_bits, version == 2 ? 5 : pre);
				assert_int_equal(el2_caps.aprs, version == 2 ? 1 : 1u << (pre - 5));
			}
		}
	}
}

static void test_probe_without_memory(void **state)
{
	struct hc_backend_info info;
	int rc = -ENOMEM;

	for (unsigned n = 1; rc == -ENOMEM; n++) {
		test_platform_init(1);
		model_reset(&rig_plain);
		test_fail_alloc = n;
		rc = el2_backend.probe(&info);
		assert_true(rc == -ENOMEM || (rc == 0 && n > 3));
		assert_int_equal(test_allocated, 0);
	}
}

static void test_gpa_bits_follow_parange(void **state)
{
	static const unsigned bits[] = { 32, 36, 40, 40, 40, 40, 40 };
	struct model_features f = rig_plain;
	struct hc_backend_info info;

	for (f.parange = 0; f.parange < HC_ARRAY_SIZE(bits); f.parange++) {
		assert_int_equal(probe(&f, &info), 0);
		assert_int_equal(info.gpa_bits, bits[f.parange]);
	}
}

/* --- CPUs --- */

static void test_cpu_that_differs_is_refused(void **state)
{
	struct hc_backend_info info;

	assert_int_equal(probe(&rig_full, &info), 0);
	model_features.lor = false;
	assert_int_equal(el2_backend.cpu_enable(hc_sched_cpu(0)), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "other features than the boot CPU"));
	model_features = rig_full;
	model_features.vmid16 = false;
	assert_int_equal(el2_backend.cpu_enable(hc_sched_cpu(0)), -EOPNOTSUPP);
	model_features = rig_full;
	test_fail_alloc = 1;
	assert_int_equal(el2_backend.cpu_enable(hc_sched_cpu(0)), -ENOMEM);
	assert_int_equal(el2_backend.cpu_enable(hc_sched_cpu(0)), 0);
	assert_true(model_this()->enabled[27] && model_this()->enabled[25]);
	el2_backend.cpu_disable(hc_sched_cpu(0));
	el2_backend.cpu_disable(hc_sched_cpu(0));
	assert_false(model_this()->enabled[27] || model_this()->enabled[25]);
}

/* --- VMIDs --- */

static uint16_t vmid_of(const struct model_cpu *c)
{
	return (uint16_t)(c->reg[EL2_VTTBR_EL2] >> 48);
}

static const struct model_step ends[] = { { .op = OP_END } };

static void test_guest_runs_on_its_tables(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(machines); i++) {
		rig_start(machines[i]);
		assert_int_equal(rig_run_script(0, ends).reason, HC_EXIT_INTERRUPT);
		assert_int_equal(hc_bits(model_this()->reg[EL2_VTTBR_EL2], 47, 0),
		                 s2_root(&rig_vms[0].vm.s2).v);
		assert_int_not_equal(vmid_of(model_this()), 0);
		assert_int_equal((model_this()->reg[EL2_VTCR_EL2] & VTCR_VS) != 0,
		                 machines[i]->vmid16);
		rig_put(0);
		rig_stop();
	}
}

static void test_vcpus_of_a_vm_share_its_vmid(void **state)
{
	rig_start(&rig_plain);
	rig_run_script(0, ends);
	rig_load(1, 1);
	rig_run_script(1, ends);
	assert_int_equal(vmid_of(&model_cpus[0]), vmid_of(&model_cpus[1]));
	assert_int_equal(model_tlbi_local, 0);
	rig_put(1);
	/* One CPU's TLB is not for two of them. */
	rig_load(1, 0);
	rig_run_script(1, ends);
	assert_int_equal(model_tlbi_local, 1);
	rig_put(1);
	rig_load(1, 0);
	rig_run_script(1, ends);
	assert_int_equal(model_tlbi_local, 1);
	rig_put(1);
	rig_stop();
}

static void test_registers_stay_while_nobody_else_comes(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, ends);
	unsigned hcr = model_this()->hcr_writes, vttbr = model_this()->vttbr_writes;
	unsigned el1 = model_this()->el1_loads;

	for (unsigned i = 0; i < 5; i++) {
		rig_put(0);
		rig_load(0, 0);
		rig_run_script(0, ends);
	}
	assert_int_equal(model_this()->hcr_writes, hcr);
	assert_int_equal(model_this()->vttbr_writes, vttbr);
	assert_int_equal(model_this()->el1_loads, el1);
	rig_put(0);
	rig_stop();
}

static void change_stage2(struct hc_vm *vm)
{
	model_stage2_changed(s2_root(&vm->s2), 0x1000, 0x1000);
	el2_backend.invalidate(vm, gpa_of(0x1000), 0x1000);
}

static void run_on(struct hc_vcpu *vcpu, unsigned cpu)
{
	rig_load_vcpu(vcpu, cpu);
	rig_run_vcpu(vcpu);
}

/* More VMs than VMIDs take turns on CPUs; VM 0 stays on CPU 0 for long, and visits others: nobody
 * gets anybody's VMID, and what is invalidated reaches a VM whatever its VMID is called by now. */
static void test_vmids_are_used_again(void **state)
{
	struct hc_vcpu *vcpus[RIG_VMS];
	uint64_t seed = 1;

	rig_start(&rig_plain);
	rig_run_script(0, ends);
	for (unsigned i = 1; i < RIG_VMS; i++)
		vcpus[i] = rig_add_vm(i);
	for (unsigned round = 0; round < 6 * RIG_VMS; round++) {
		struct hc_vcpu *vcpu = vcpus[1 + test_below(&seed, RIG_VMS - 1)];

		if (test_below(&seed, 16) == 0)
			vcpu = &rig_vcpus[1].vcpu;
		if (test_below(&seed, 32) == 0) {
			model_be(0);
			rig_put(0);
			run_on(vcpu, 0);
			el2_backend.put(vcpu);
			rig_load(0, 0);
		}
		run_on(vcpu, 1 + (unsigned)test_below(&seed, 3));
		if (test_below(&seed, 4) == 0)
			change_stage2(test_below(&seed, 2) ? &rig_vms[0].vm : vcpu->vm);
		rig_run_vcpu(vcpu);
		el2_backend.put(vcpu);
		model_be(0);
		if (test_below(&seed, 4) == 0)
			rig_run(0);
		rig_no_complaint();
	}
	assert_true(model_tlbi_all >= 2);
	rig_put(0);
	for (unsigned i = 1; i < RIG_VMS; i++)
		rig_remove_vm(i);
	rig_stop();
}

/* --- Invalidation --- */

static void test_changes_reach_all_cpus(void **state)
{
	static char page[HC_PAGE_SIZE] __attribute__((aligned(4096)));
	struct s2 *s2 = &rig_vms[0].vm.s2;

	rig_start(&rig_plain);
	assert_int_equal(s2_map(s2, gpa_of(0), hpa_of(0x1000), HC_PAGE_SIZE, S2_RWX), 0);
	rig_run_script(0, ends);
	rig_load(1, 1);
	rig_run_script(1, ends);
	assert_int_equal(s2_protect(s2, gpa_of(0), HC_PAGE_SIZE, S2_R), 0);
	assert_int_equal(model_tlbi_pages, 1);
	rig_run_script(1, ends);
	model_be(0);
	rig_run_script(0, ends);
	/* From a CPU that runs another VM, whose translations stay in use. */
	uint64_t vttbr = model_this()->reg[EL2_VTTBR_EL2];
	struct hc_vcpu *other = rig_add_vm(1);

	rig_load_vcpu(other, 2);
	rig_run_vcpu(other);
	assert_int_equal(s2_map(s2, gpa_of(0x200000), hpa_of(0x200000), 0x200000, S2_RWX), 0);
	rig_run_vcpu(other);
	model_be(0);
	rig_run(0);
	model_be(2);
	unsigned all = model_tlbi_vmall;

	assert_int_equal(s2_unmap(s2, gpa_of(0x200000), 0x200000), 0);
	assert_int_equal(model_tlbi_vmall, all + 1);
	rig_run_vcpu(other);
	assert_int_equal(model_cpus[0].reg[EL2_VTTBR_EL2], vttbr);
	model_be(0);
	rig_run(0);
	rig_put(0);
	(void)page;
	rig_remove_vm(1);
	rig_stop();
}

static void test_missing_invalidate_is_noticed(void **state)
{
	rig_start(&rig_plain);
	rig_run_script(0, ends);
	model_stage2_changed(s2_root(&rig_vms[0].vm.s2), 0x1000, 0x1000);
	rig_run_script(0, ends);
	assert_int_equal(model_complaints, 1);
	model_complaints = 0;
	rig_put(0);
	rig_stop();
}

static void test_nothing_to_invalidate_before_and_after(void **state)
{
	struct a64_vm vm = { 0 };

	rig_start(&rig_plain);
	vm.vm.parts[0].ops = &el2_backend;
	el2_backend.invalidate(&vm.vm, gpa_of(0), HC_PAGE_SIZE);
	el2_backend.written(&vm.vm, gpa_of(0), HC_PAGE_SIZE);
	assert_int_equal(model_tlbi_pages, 0);
	rig_put(0);
	rig_stop();
}

/* --- Caches --- */

/* When a vCPU comes to a CPU, nothing is left to be done that others would have to wait for. */
static void test_memory_is_cleaned_when_it_is_added(void **state)
{
	static char ram[4 * HC_PAGE_SIZE] __attribute__((aligned(4096)));
	struct hc_vm *vm = &rig_vms[1].vm;

	rig_start(&rig_plain);
	rig_add_vm(1);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0), sizeof(ram), ram, 0), 0);
	assert_true(model_was_cleaned(ram) && model_was_cleaned(ram + sizeof(ram) - 1));
	rig_remove_vm(1);
	model_be(0);
	rig_put(0);
	rig_stop();
}

static void test_writes_are_cleaned(void **state)
{
	static char ram[4 * HC_PAGE_SIZE] __attribute__((aligned(4096)));
	struct hc_vm *vm = &rig_vms[0].vm;

	rig_start(&rig_plain);
	vm->memory.slots[0] =
		(struct hc_slot){ .gpa = 0x10000, .size = sizeof(ram), .host = (uint8_t *)ram };
	vm->memory.count = 1;
	el2_backend.written(vm, gpa_of(0x10ff8), 16);
	assert_true(model_was_cleaned(ram + 0xff8) && model_was_cleaned(ram + 0x1007));
	assert_false(model_was_cleaned(ram + 0xff0) || model_was_cleaned(ram + 0x1008));
	/* Across slots. */
	vm->memory.slots[0].size = HC_PAGE_SIZE;
	vm->memory.slots[1] = (struct hc_slot){ .gpa = 0x11000,
		                                .size = HC_PAGE_SIZE,
		                                .host = (uint8_t *)ram + 0x3000 };
	vm->memory.count = 2;
	el2_backend.written(vm, gpa_of(0x10ff0), 0x20);
	assert_true(model_was_cleaned(ram + 0xff0) && model_was_cleaned(ram + 0x300f));
	assert_false(model_was_cleaned(ram + 0x1008) || model_was_cleaned(ram + 0x3010));
	/* What is not there is not touched. */
	el2_backend.written(vm, gpa_of(0x20000), 16);
	rig_put(0);
	rig_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe_says_what_is_there),
		cmocka_unit_test(test_probe_leaves_the_cpu_as_it_was),
		cmocka_unit_test(test_probe_says_why_not),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_probe_without_memory),
		cmocka_unit_test(test_gpa_bits_follow_parange),
		cmocka_unit_test(test_cpu_that_differs_is_refused),
		cmocka_unit_test(test_guest_runs_on_its_tables),
		cmocka_unit_test(test_vcpus_of_a_vm_share_its_vmid),
		cmocka_unit_test(test_registers_stay_while_nobody_else_comes),
		cmocka_unit_test(test_vmids_are_used_again),
		cmocka_unit_test(test_changes_reach_all_cpus),
		cmocka_unit_test(test_missing_invalidate_is_noticed),
		cmocka_unit_test(test_nothing_to_invalidate_before_and_after),
		cmocka_unit_test(test_memory_is_cleaned_when_it_is_added),
		cmocka_unit_test(test_writes_are_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
