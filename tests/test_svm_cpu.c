/* SPDX-License-Identifier: BSD-2-Clause */
/* Probing, permission maps, ASIDs and stale translations. */
#include <string.h>

#include "tests/model/svm_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

/* --- Probing --- */

static int probe(const struct model_features *features, const char *reason)
{
	struct hc_backend_info info = { 0 };

	test_platform_init(1);
	model_reset(features);
	int rc = svm_backend.probe(&info);

	if (!strstr(info.reason, reason))
		fail_msg("probe says: %s", info.reason);
	assert_int_equal(test_allocated, 0);
	assert_false(model_this()->efer & X86_EFER_SVME);
	rig_no_complaint();
	return rc;
}

static void test_probe(void **state)
{
	struct model_features f = rig_plain;

	assert_int_equal(probe(&rig_plain, "AMD-V rev. 1, nested paging, 16 ASIDs"), 0);
	assert_int_equal(model_this()->entries, 2);
	assert_int_equal(
		probe(&rig_full, "next RIP, flush by ASID, decode assists, TSC scaling, XSAVE"), 0);
	f.svmdis = true;
	assert_int_equal(probe(&f, "AMD-V"), 0); /* not locked: switched on */
	f.lock = true;
	assert_int_equal(probe(&f, "locked by firmware"), -EPERM);
	f = rig_plain;
	f.no_npt = true;
	assert_int_equal(probe(&f, "without nested paging"), -EOPNOTSUPP);
	f = rig_plain;
	f.no_svm = true;
	assert_int_equal(probe(&f, "no AMD-V"), -ENODEV);
	f = rig_plain;
	f.asids = 1;
	assert_int_equal(probe(&f, "fewer than 2"), -EOPNOTSUPP);
	assert_int_equal(model_this()->entries, 0);
}

/* QEMU's first CPU may lose track of where it is when others run guests; no other CPU does. */
static void test_boot_cpu_is_spared(void **state)
{
	struct hc_backend_info info = { 0 };
	struct model_features f = rig_plain;

	for (unsigned tcg = 0; tcg < 2; tcg++) {
		f.tcg = tcg;
		test_platform_init(1);
		model_reset(&f);
		assert_int_equal(svm_backend.probe(&info), 0);
		assert_int_equal(info.spare_boot_cpu, tcg);
		rig_no_complaint();
	}
}

/* A CPU that leaves no guest for interrupts while its IF is clear gets NMIs, once it is used. */
static void test_deaf_cpus(void **state)
{
	struct hc_backend_info info = { 0 };

	test_platform_init(1);
	model_reset(&rig_full);
	assert_int_equal(svm_backend.probe(&info), 0);
	assert_false(svm_caps.bochs);
	rig_start(&rig_full);
	assert_int_equal(model_nmi_starts, 0);
	rig_stop();
	rig_start(&rig_bochs);
	assert_true(svm_caps.bochs);
	assert_true(model_nmi_starts > 0);
	rig_stop();
	/* Without them guests run all the same. */
	test_platform_init(1);
	model_reset(&rig_bochs);
	assert_int_equal(svm_backend.probe(&info), 0);
	model_nmi_error = -ENODEV;
	assert_int_equal(svm_backend.cpu_enable(hc_sched_cpu(0)), 0);
	assert_non_null(strstr(test_log(), "hold back interrupts"));
	svm_backend.cpu_disable(hc_sched_cpu(0));
	rig_no_complaint();
}

static void test_unlike_cpus(void **state)
{
	struct hc_backend_info info = { 0 };

	test_platform_init(2);
	model_reset(&rig_full);
	assert_int_equal(svm_backend.probe(&info), 0);
	model_features.nrip = false;
	model_be(1);
	assert_int_equal(svm_backend.cpu_enable(hc_sched_cpu(1)), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "CPU 1 has other features"));
	model_features = rig_full;
	model_this()->vm_cr = SVM_VM_CR_SVMDIS | SVM_VM_CR_LOCK;
	assert_int_equal(svm_backend.cpu_enable(hc_sched_cpu(1)), -EPERM);
	svm_backend.cpu_disable(hc_sched_cpu(1)); /* never enabled: nothing happens */
	rig_no_complaint();
}

static void test_disable(void **state)
{
	uint64_t before;

	rig_start(&rig_plain);
	before = test_allocated;
	svm_backend.cpu_disable(hc_sched_cpu(3));
	model_be(3);
	svm_backend.cpu_disable(hc_sched_cpu(3));
	assert_true(test_allocated < before);
	assert_int_equal(svm_backend.cpu_enable(hc_sched_cpu(3)), 0);
	assert_int_equal(test_allocated, before);
	assert_true(model_this()->efer & X86_EFER_NXE);
	rig_stop();
	assert_int_equal(test_allocated, 0);
}

/* --- Permission maps --- */

static bool open_in_policy(uint32_t msr)
{
	for (unsigned i = 0; i < x86_msr_policy_count; i++) {
		if (msr >= x86_msr_policy[i].first && msr <= x86_msr_policy[i].last)
			return x86_msr_policy[i].kind == X86_MSR_DIRECT;
	}
	return false;
}

/* The map as the CPU reads it (15.11, table 15-9), MSR by MSR. */
static void test_msrpm(void **state)
{
	static const uint32_t bases[] = { 0, 0xc0000000, 0xc0010000 };

	rig_start(&rig_full);
	const uint8_t *map = svm_vm_of(&rig_vm.vm)->msrpm;

	for (unsigned r = 0; r < HC_ARRAY_SIZE(bases); r++) {
		for (uint32_t i = 0; i < 0x2000; i++) {
			uint32_t msr = bases[r] + i;
			unsigned bits = (unsigned)map[r * 0x800 + i / 4] >> (i % 4 * 2) & 3u;
			/* DEBUGCTL is not switched: it stays closed though the policy has it. */
			bool open = open_in_policy(msr) && msr != 0x1d9;

			assert_int_equal(bits, open ? 0 : 3);
			assert_int_equal(svm_msrpm_bits(map, msr), (int)bits);
		}
	}
	assert_int_equal(svm_msrpm_bits(map, 0x40000000), -1);
	for (unsigned i = 0; i < SVM_IOPM_SIZE; i++)
		assert_int_equal(svm_vm_of(&rig_vm.vm)->iopm[i], 0xff);
	rig_stop();
}

static void test_tsc_aux_needs_rdtscp(void **state)
{
	struct model_features f = rig_full;

	f.rdtscp = false;
	rig_start(&f);
	assert_int_equal(svm_msrpm_bits(svm_vm_of(&rig_vm.vm)->msrpm, MSR_TSC_AUX), 3);
	rig_run(0);
	rig_put(0);
	rig_stop();
}

/* --- ASIDs --- */

/* vCPUs wander over the CPUs at random; now and then a translation changes. */
static void wander(const struct model_features *features, uint64_t seed)
{
	rig_start(features);
	rig_put(0);
	for (unsigned i = 0; i < 5000; i++) {
		rig_run_on((unsigned)test_below(&seed, RIG_VCPUS), (unsigned)test_below(&seed, 3));
		if (test_below(&seed, 8) == 0) {
			model_stage2_changed();
			svm_backend.invalidate(&rig_vm.vm, gpa_of(0), HC_PAGE_SIZE);
		}
	}
	model_be(0);
	rig_stop();
}

static void test_wandering(void **state)
{
	struct model_features few = rig_plain;

	wander(&rig_plain, 1);
	wander(&rig_full, 2);
	few.asids = 2; /* one for all guests */
	wander(&few, 3);
}

/* The model does notice: a change without invalidate(). */
static void test_the_model_sees_a_missing_flush(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, rig_one_exit);
	model_stage2_changed();
	rig_run_script(0, rig_one_exit);
	assert_int_equal(model_complaints, 1);
	assert_non_null(strstr(model_complaint, "before a change"));
	model_complaints = 0;
	rig_stop();
}

/* An entry that was refused may have flushed nothing: the next one flushes. */
static void test_refused_entry_flushes_again(void **state)
{
	rig_start(&rig_plain);
	rig_state(0)->dr7 |= HC_BIT(50);
	assert_int_equal(rig_run(0).reason, HC_EXIT_ENTRY_FAILED);
	for (unsigned i = 0; i < MODEL_ASIDS; i++)
		model_this()->tlb[i].vmcb = 0xbad; /* somebody's from before */
	rig_put(0);
	rig_run_on(1, 0);
	rig_stop();
}

/* Our own FS, GS and TR are those that this CPU had when the vCPU came to it. */
static void test_host_state_is_current(void **state)
{
	rig_start(&rig_plain);
	rig_put(0);
	model_this()->fs_base = 0x77000;
	rig_run_on(0, 0);
	assert_int_equal(model_this()->fs_base, 0x77000);
	rig_stop();
}

/* Firmware may have left something in IA32_XSS, which the guest's XSAVES would save. */
static void test_no_supervisor_state(void **state)
{
	rig_start(&rig_full);
	model_be(3);
	svm_backend.cpu_disable(hc_sched_cpu(3));
	model_this()->xss = 0x100;
	assert_int_equal(svm_backend.cpu_enable(hc_sched_cpu(3)), 0);
	assert_int_equal(model_this()->xss, 0);
	rig_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_supervisor_state),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_boot_cpu_is_spared),
		cmocka_unit_test(test_probe_looks_at_results),
		cmocka_unit_test(test_probe_without_memory),
		cmocka_unit_test(test_deaf_cpus),
		cmocka_unit_test(test_unlike_cpus),
		cmocka_unit_test(test_disable),
		cmocka_unit_test(test_create_without_memory),
		cmocka_unit_test(test_msrpm),
		cmocka_unit_test(test_tsc_aux_needs_rdtscp),
		cmocka_unit_test(test_wandering),
		cmocka_unit_test(test_no_needless_flush),
		cmocka_unit_test(test_tags_are_kept),
		cmocka_unit_test(test_the_model_sees_a_missing_flush),
		cmocka_unit_test(test_refused_entry_flushes_again),
		cmocka_unit_test(test_host_state_is_current),
		cmocka_unit_test(test_invalidate_waits),
		cmocka_unit_test(test_invalidate_without_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
