/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log on VT-x: random stores of several vCPUs that go from CPU to CPU, against a list of
 * what was written; by page-modification logging, by dirty flags alone, and by write protection.
 */
#include <string.h>

#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define PAGES 2048

static uint8_t *ram;
static struct hc_vm *const vm = &rig_vm.vm;
static bool written[PAGES], reported[PAGES];
static uint64_t random_state;
static unsigned where[RIG_VCPUS]; /* which CPU a vCPU is on */
static unsigned full;             /* exits because a list was */

static uint64_t below(uint64_t bound)
{
	return test_below(&random_state, bound);
}

static void start(const struct model_features *features)
{
	random_state = 62;
	memset(written, 0, sizeof(written));
	full = 0;
	rig_start(features);
	where[0] = 0;
	for (unsigned i = 1; i < RIG_VCPUS; i++)
		rig_load(i, where[i] = i);
	vm->info.gpa_bits = 40;
	ram = hc_platform_alloc_pages(11);
	assert_non_null(ram);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0), PAGES * HC_PAGE_SIZE, ram, 0), 0);
}

static void stop(void)
{
	hc_dirty_free(vm);
	hc_platform_free_pages(ram, 11);
	rig_stop();
}

/* As the core would handle it. */
static void handle(const struct hc_exit *exit)
{
	if (exit->reason == HC_EXIT_LOG) {
		full++;
		return;
	}
	assert_int_equal(exit->reason, HC_EXIT_STAGE2);
	assert_int_equal(exit->u.stage2.access, HC_ACCESS_WRITE);
	assert_int_equal(hc_dirty_fault(vm, exit->u.stage2.gpa), 0);
}

static void store(unsigned vcpu, const uint64_t *pages, unsigned count)
{
	struct model_step steps[33] = { { .op = OP_END } };
	struct hc_exit exit;

	for (unsigned i = 0; i < count; i++) {
		steps[i] = (struct model_step){ .op = OP_WRITE,
			                        .physical = pages[i] * HC_PAGE_SIZE + below(4096) };
		steps[i + 1].op = OP_HLT;
		written[pages[i]] = true;
	}
	model_be(where[vcpu]);
	for (exit = rig_run_script(vcpu, steps); exit.reason != HC_EXIT_HALT; exit = rig_run(vcpu))
		handle(&exit);
	rig_no_complaint();
}

/* Some few pages again and again, which the CPU remembers to be dirty, and others. */
static void some_stores(unsigned vcpu)
{
	uint64_t pages[32];
	unsigned count = 1 + (unsigned)below(31);

	for (unsigned i = 0; i < count; i++)
		pages[i] = below(below(3) ? PAGES : 8);
	store(vcpu, pages, count);
}

static void report(void *arg, gpa_t gpa, const uint64_t *bitmap, uint64_t pages)
{
	assert_int_equal(pages, PAGES);
	for (unsigned i = 0; i < PAGES; i++)
		reported[i] = bitmap[i / 64] >> i % 64 & 1;
}

static void compare(void)
{
	assert_true(hc_vm_dirty_collect(vm, report, NULL) >= 0);
	for (unsigned i = 0; i < PAGES; i++)
		if (written[i] != reported[i])
			fail_msg("page %u was%s written", i, written[i] ? "" : " not");
	memset(written, 0, sizeof(written));
}

/* The vCPUs swap their CPUs. */
static void swap(unsigned a, unsigned b)
{
	unsigned cpu_a = where[a], cpu_b = where[b];

	model_be(cpu_a);
	rig_put(a);
	model_be(cpu_b);
	rig_put(b);
	rig_load(a, where[a] = cpu_b);
	rig_load(b, where[b] = cpu_a);
}

static void random_stores(const struct model_features *features, bool lists)
{
	start(features);
	assert_int_equal(vmx_caps.page_log, lists);
	for (unsigned i = 0; i < 50; i++)
		some_stores((unsigned)below(RIG_VCPUS));
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	assert_int_equal(vm->dirty.told, lists || !vmx_caps.ept_ad);
	memset(written, 0, sizeof(written));
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned n = (unsigned)below(round % 8 ? 20 : 200); n; n--)
			some_stores((unsigned)below(RIG_VCPUS));
		if (below(3) == 0)
			swap((unsigned)below(2), 2 + (unsigned)below(2));
		compare();
	}
	assert_true(lists ? full > 0 : full == 0);
	hc_vm_dirty_stop(vm);
	some_stores(0);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	memset(written, 0, sizeof(written));
	some_stores(0);
	some_stores(1);
	compare();
	stop();
}

static void test_page_modification_logging(void **state)
{
	random_stores(&rig_full, true);
}

static void test_dirty_flags(void **state)
{
	static struct model_features flags;

	flags = rig_full;
	flags.caps.cpu2 &= ~((uint64_t)VMX_CPU2_PML << 32);
	random_stores(&flags, false);
}

static void test_write_protection(void **state)
{
	random_stores(&rig_plain, false);
}

/* The control is set as long as there is a log, and no longer. */
static void test_control(void **state)
{
	start(&rig_full);
	some_stores(0);
	assert_false(rig_get(0, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_PML);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	some_stores(0);
	assert_true(rig_get(0, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_PML);
	assert_false(rig_get(1, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_PML); /* it has not run */
	/* Another change of these controls leaves it. */
	atomic_store(&rig_vcpus[0].apic.base, X86_APIC_BASE | X86_APIC_BASE_EN);
	hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_MSR);
	some_stores(0);
	assert_int_equal(rig_get(0, VMCS_SECONDARY_CONTROLS) &
	                         (VMX_CPU2_PML | VMX_CPU2_APIC_REGISTERS),
	                 VMX_CPU2_PML | VMX_CPU2_APIC_REGISTERS);
	hc_vm_dirty_stop(vm);
	some_stores(0);
	assert_false(rig_get(0, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_PML);
	stop();
}

/* Whoever changes stage 2 holds its lock, and may wait for a vCPU that is about to enter. */
static void test_no_lock_at_entries(void **state)
{
	static struct model_features no_apic;

	no_apic = rig_full;
	no_apic.caps.cpu2 &= ~(VMX_CPU2_APIC_REGISTERS << 32);
	start(&no_apic);
	assert_true(vmx_caps.page_log && !vmx_caps.apic_registers);
	some_stores(0);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			assert_int_equal(hc_vm_dirty_start(vm), 0);
		else
			hc_vm_dirty_stop(vm);
		hc_lock(&vm->memory_lock);
		some_stores(0);
		hc_unlock(&vm->memory_lock);
	}
	stop();
}

/* An event that the exit interrupted goes in again, and NMIs are blocked again. */
static void test_full_list_during_delivery(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_FIRST,
		  .reason = VMX_REASON_PML_FULL,
		  .qualification = VMX_EPT_NMI_UNBLOCK },
		{ .op = OP_FIRST,
		  .reason = VMX_REASON_PML_FULL,
		  .idt_info = VMX_INFO_V | VMX_EVENT_INTR << 8 | 0x31 },
		{ .op = OP_END },
	};
	struct hc_exit exit;

	start(&rig_full);
	assert_int_equal(hc_vm_dirty_start(vm), 0);
	model_be(0);
	exit = rig_run_script(0, steps);
	assert_int_equal(exit.reason, HC_EXIT_LOG);
	assert_true(rig_get(0, VMCS_GUEST_INTERRUPTIBILITY) & VMX_BLOCKING_NMI);
	assert_int_equal(rig_get(0, VMCS_GUEST_PML_INDEX), 511);
	exit = rig_run(0);
	assert_int_equal(exit.reason, HC_EXIT_LOG);
	assert_int_equal((uint32_t)rig_get(0, VMCS_ENTRY_INTERRUPTION_INFO),
	                 VMX_INFO_V | VMX_EVENT_INTR << 8 | 0x31);
	stop();
}

static void test_without_memory(void **state)
{
	unsigned n = 0;
	int rc;

	do {
		start(&rig_full);
		uint64_t before = test_allocated;

		test_fail_alloc = ++n;
		rc = hc_vm_dirty_start(vm);
		test_fail_alloc = 0;
		some_stores(1);
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_false(rig_get(1, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_PML);
		}
		assert_true(test_allocated >= before);
		stop();
		assert_int_equal(test_allocated, 0);
	} while (rc);
	assert_in_range(n, RIG_VCPUS + 2, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_modification_logging),
		cmocka_unit_test(test_dirty_flags),
		cmocka_unit_test(test_write_protection),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_no_lock_at_entries),
		cmocka_unit_test(test_full_list_during_delivery),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
