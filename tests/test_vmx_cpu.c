/* SPDX-License-Identifier: BSD-2-Clause */
/* Probing, the MSR bitmap, VMCSs on several CPUs, VPIDs and stale translations, refused entries. */
#include <string.h>

#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

/* --- Probing --- */

static int probe(const struct model_features *features, const char *reason)
{
	struct hc_backend_info info = { 0 };

	test_platform_init(1);
	model_reset(features);
	int rc = vmx_backend.probe(&info);

	if (!strstr(info.reason, reason))
		fail_msg("probe says: %s", info.reason);
	assert_int_equal(test_allocated, 0);
	assert_false(model_this()->vmx_on);
	assert_false(model_this()->host.cr4 & X86_CR4_VMXE);
	model_expect_none_active();
	rig_no_complaint();
	return rc;
}

static void test_probe(void **state)
{
	struct model_features f = rig_full;

	assert_int_equal(probe(&rig_plain, "VT-x, EPT"), 0);
	assert_int_equal(model_this()->entries, 1);
	assert_int_equal(probe(&rig_restricted, "VT-x, EPT"), 0);
	assert_false(vmx_caps.unrestricted_guest);
	assert_int_equal(probe(&rig_full, "1 GiB"), 0);
	assert_int_equal(probe(&rig_full, "VPID"), 0);
	/* Firmware left it open: locked now, for good. */
	assert_int_equal(model_this()->feature_control, 5);
	f.feature_control = VMX_FEATURE_CONTROL_LOCK;
	assert_int_equal(probe(&f, "locked by firmware"), -EPERM);
	f.feature_control = 0;
	f.no_vmx = true;
	assert_int_equal(probe(&f, "no VT-x"), -ENODEV);
	f = rig_full;
	f.caps.cpu2 &= ~(VMX_CPU2_EPT << 32);
	assert_int_equal(probe(&f, "EPT"), -EOPNOTSUPP);
	f = rig_full;
	f.caps.cpu &= ~(VMX_CPU_SECONDARY << 32);
	assert_int_equal(probe(&f, "without"), -EOPNOTSUPP);
	f = rig_full;
	f.caps.basic &= ~VMX_BASIC_TRUE;
	assert_int_equal(probe(&f, "TRUE"), -EOPNOTSUPP);
	assert_int_equal(model_this()->entries, 0);
}

/* Without unrestricted guest: what has to be another backend's. */
static void test_modes(void **state)
{
	static const struct {
		uint64_t cr0, rflags;
		uint16_t cs, ss;
		bool fits;
	} cases[] = {
		{ X86_CR0_PE | X86_CR0_PG, 0, 0x10, 0x18, true },
		{ X86_CR0_PE, 0, 0x10, 0x18, false },
		{ 0, 0, 0xf000, 0, false },
		{ X86_CR0_PE | X86_CR0_PG, 0, 0x13, 0x18, false }, /* RPLs differ */
		{ X86_CR0_PE | X86_CR0_PG, 0, 0x13, 0x1b, false }, /* at CPL 0 */
		{ X86_CR0_PE | X86_CR0_PG, X86_FLAG_VM, 0x13, 0x18, true },
	};
	struct x86_state *st = rig_state(0);

	rig_start(&rig_restricted);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cases); i++) {
		hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_ALL);
		rig_long_mode(st);
		st->cr0 = cases[i].cr0 | X86_CR0_NE | X86_CR0_ET;
		st->rflags = cases[i].rflags | X86_FLAG_1;
		st->seg[X86_CS].selector = cases[i].cs;
		st->seg[X86_SS].selector = cases[i].ss;
		st->cpl = 0;
		hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_ALL);
		assert_int_equal(vmx_backend.can_run(&rig_vcpus[0].vcpu), cases[i].fits);
		if (cases[i].fits)
			continue;
		unsigned entries = model_this()->entries;

		assert_int_equal(rig_run(0).reason, HC_EXIT_MODE);
		assert_int_equal(model_this()->entries, entries);
		assert_int_equal(rig_vcpus[0].vcpu.dirty & X86_G_ALL, X86_G_ALL);
	}
	/* Nobody waits for a CPU that waits for its start-up message. */
	atomic_store(&rig_vcpus[0].mp_state, X86_MP_WAIT_SIPI);
	st->cr0 = 0;
	assert_true(vmx_backend.can_run(&rig_vcpus[0].vcpu));
	atomic_store(&rig_vcpus[0].mp_state, X86_MP_RUNNABLE);
	rig_stop();
}

/* Rather what a CPU says than what its name promises. */
static void test_probe_lesser_cpus(void **state)
{
	struct model_features f = rig_full;

	f.caps.ept_vpid &= ~VMX_EPT_CAP_INVVPID_ALL; /* VPIDs could not be used again */
	assert_int_equal(probe(&f, "VT-x, EPT"), 0);
	assert_false(vmx_caps.vpid);
	f.caps.ept_vpid &= ~VMX_EPT_CAP_INVEPT_ONE;
	assert_int_equal(probe(&f, "VT-x, EPT"), 0);
	f.caps.ept_vpid &= ~VMX_EPT_CAP_AD;
	assert_int_equal(probe(&f, "VT-x, EPT"), 0);
	f.rdtscp = f.invpcid = f.xsave = f.xsaves = false;
	f.caps.cr4_fixed1 &= ~X86_CR4_OSXSAVE;
	assert_int_equal(probe(&f, "VT-x, EPT"), 0);
}

/* Without the control the instructions are #UD in a guest, whatever the CPU has (26.3). */
static void test_xsaves(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct model_features f = rig_full;
		uint32_t regs[4];

		if (i)
			f.caps.cpu2 &= ~(VMX_CPU2_XSAVES << 32);
		rig_start(&f);
		vmx_backend.cpuid(0xd, 1, regs);
		assert_int_equal(regs[0] >> 3 & 1, !i);
		assert_int_equal(!(rig_get(0, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_XSAVES), i);
		rig_stop();
	}
}

static void test_unlike_cpus(void **state)
{
	struct hc_backend_info info = { 0 };

	test_platform_init(2);
	model_reset(&rig_full);
	assert_int_equal(vmx_backend.probe(&info), 0);
	model_features.caps.ept_vpid &= ~VMX_EPT_CAP_1G;
	model_be(1);
	assert_int_equal(vmx_backend.cpu_enable(hc_sched_cpu(1)), -EOPNOTSUPP);
	assert_non_null(strstr(test_log(), "CPU 1 has other features"));
	model_features = rig_full;
	model_this()->feature_control = VMX_FEATURE_CONTROL_LOCK;
	assert_int_equal(vmx_backend.cpu_enable(hc_sched_cpu(1)), -EPERM);
	vmx_backend.cpu_disable(hc_sched_cpu(1)); /* never enabled: nothing happens */
	rig_no_complaint();
}

static void test_enable_again(void **state)
{
	rig_start(&rig_plain);
	uint64_t before = test_allocated;

	model_be(3);
	vmx_backend.cpu_disable(hc_sched_cpu(3));
	assert_false(model_this()->vmx_on);
	assert_true(test_allocated < before);
	assert_int_equal(vmx_backend.cpu_enable(hc_sched_cpu(3)), 0);
	assert_int_equal(test_allocated, before);
	assert_true(model_this()->vmx_on);
	rig_stop();
	assert_int_equal(test_allocated, 0);
}

/* --- The MSR bitmap, as the CPU reads it (25.6.9), MSR by MSR --- */

static bool is_open(const uint8_t *map, uint32_t msr, bool write)
{
	uint32_t byte = (write ? 0x800u : 0) + (msr >> 31 ? 0x400u : 0) + (msr & 0x1fff) / 8;

	return !(map[byte] >> (msr % 8) & 1);
}

/* What the policy lets pass and the backend switches: not DEBUGCTL, which entries load and exits
 * save, but which a guest may not have all of. */
static bool expected_open(uint32_t msr)
{
	static const uint32_t open[] = {
		0x174,      0x175,      0x176,      0xc0000081, 0xc0000082,
		0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(open); i++) {
		if (open[i] == msr)
			return true;
	}
	return msr == 0xc0000103 && vmx_caps.rdtscp;
}

static void test_msr_bitmap(void **state)
{
	static const uint32_t bases[] = { 0, 0xc0000000 };

	rig_start(&rig_full);
	const uint8_t *map = vmx_vm_of(&rig_vm.vm)->msr_bitmap;

	for (unsigned i = 0; i < 2 * 0x2000; i++) {
		uint32_t msr = bases[i / 0x2000] + i % 0x2000;
		bool open = is_open(map, msr, false);

		assert_int_equal(open, is_open(map, msr, true));
		/* TSC_AUX may be switched without exits, but need not be. */
		if (open != expected_open(msr) && msr != 0xc0000103)
			fail_msg("MSR %#x is %s", msr, open ? "open" : "closed");
	}
	for (unsigned i = 0; i < 2 * HC_PAGE_SIZE; i++)
		assert_int_equal(vmx_vm_of(&rig_vm.vm)->io_bitmap[i], 0xff);
	rig_stop();
}

/* --- VMCSs on several CPUs --- */

static void run_on(unsigned vcpu, unsigned cpu)
{
	rig_load(vcpu, cpu);
	rig_run_script(vcpu, rig_one_exit);
	rig_run_script(vcpu, rig_one_exit);
	assert_true(model_vmcs_launched(rig_vmx(vcpu)->vmcs));
	rig_put(vcpu);
	rig_no_complaint();
}

/* What put() leaves may be freed, or go to another CPU. */
static void test_put_clears(void **state)
{
	rig_start(&rig_plain);
	rig_run_script(0, rig_one_exit);
	assert_ptr_equal(model_current(), rig_vmx(0)->vmcs);
	assert_true(model_vmcs_launched(rig_vmx(0)->vmcs));
	rig_put(0);
	assert_null(model_current());
	assert_false(model_vmcs_launched(rig_vmx(0)->vmcs));
	model_expect_none_active();
	run_on(0, 2);
	rig_stop();
	assert_int_equal(test_allocated, 0);
}

static void test_many_on_one_cpu(void **state)
{
	rig_start(&rig_full);
	rig_put(0);
	for (unsigned i = 0; i < 100; i++)
		run_on(i % RIG_VCPUS, 0);
	rig_stop();
}

/* Our own state is that of the CPU which the vCPU has come to. */
static void test_host_state_is_current(void **state)
{
	rig_start(&rig_plain);
	rig_put(0);
	model_this()->host.fs_base = 0x77000;
	model_this()->host.cr3 = 0xa000;
	run_on(0, 0);
	assert_int_equal(model_this()->host.fs_base, 0x77000);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		run_on(0, cpu);
	rig_stop();
}

/* --- VPIDs and translations --- */

/* The next VPID handed out is the last: soon there is a new generation. */
static void use_up_vpids(void)
{
	for (unsigned i = 0; i < TEST_CPUS; i++) {
		struct vmx_cpu *c = vmx_cpu_of(hc_sched_cpu(i));

		if (c->next_vpid < 0xffff)
			c->next_vpid = 0xffff;
	}
}

/* vCPUs wander over the CPUs at random; now and then a translation changes. */
static void wander(const struct model_features *features, uint64_t seed)
{
	rig_start(features);
	rig_put(0);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned vcpu = (unsigned)test_below(&seed, RIG_VCPUS);

		run_on(vcpu, (unsigned)test_below(&seed, 3));
		if (test_below(&seed, 8) == 0) {
			model_stage2_changed();
			vmx_backend.invalidate(&rig_vm.vm, gpa_of(0), HC_PAGE_SIZE);
		}
		if (test_below(&seed, 50) == 0)
			use_up_vpids();
	}
	model_be(0);
	rig_stop();
}

static void test_wandering(void **state)
{
	struct model_features f = rig_full;

	wander(&rig_plain, 1);
	wander(&rig_full, 2);
	wander(&rig_restricted, 5);
	f.caps.ept_vpid &= ~VMX_EPT_CAP_INVVPID_ONE;
	wander(&f, 3);
	f.caps.ept_vpid &= ~VMX_EPT_CAP_INVEPT_ONE;
	wander(&f, 4);
}

/* Two vCPUs whose VPIDs came to be the same, of different generations. */
static void test_new_generation(void **state)
{
	rig_start(&rig_full);
	rig_put(0);
	run_on(0, 0);
	struct vmx_cpu *c = vmx_cpu_of(hc_sched_cpu(0));
	uint64_t generation = c->generation;

	c->next_vpid = 0x10000;
	run_on(1, 0);
	assert_true(c->generation > generation);
	assert_int_equal(rig_get(1, VMCS_VPID), 1);
	run_on(0, 0);
	assert_int_equal(rig_get(0, VMCS_VPID), 2);
	rig_stop();
}

/* What is written over the guest's CR3 makes its translations stale. */
static void test_new_cr3(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, rig_one_exit);
	rig_state(0)->cr3 = 0x8000;
	rig_vcpus[0].vcpu.valid |= X86_G_CR;
	hc_vcpu_need(&rig_vcpus[0].vcpu, X86_G_ALL);
	hc_vcpu_dirty(&rig_vcpus[0].vcpu, X86_G_CR);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(rig_get(0, VMCS_GUEST_CR3), 0x8000);
	rig_stop();
}

/* --- Refused entries --- */

static void assert_refused(int error, const char *rule, const char *section)
{
	struct hc_exit exit = rig_run_script(0, rig_one_exit);
	char text[400];

	assert_int_equal(exit.reason, HC_EXIT_ENTRY_FAILED);
	assert_int_equal(rig_vmx(0)->enter_error, error);
	assert_non_null(rig_vmx(0)->broken);
	assert_string_equal(rig_vmx(0)->broken->name, rule);
	assert_ptr_equal(rig_vmx(0)->broken, model_refused_by);
	vmx_backend.explain(&rig_vcpus[0].vcpu, &exit, text, sizeof(text));
	if (!strstr(text, rule) || !strstr(text, section))
		fail_msg("explained by: %s", text);
}

/* Behind the backend's back a field changes, and back. */
static void assert_field_refused(uint32_t field, uint64_t value, int error, const char *rule,
                                 const char *section)
{
	uint64_t old = rig_get(0, field);
	unsigned entries = model_this()->entries, refused = model_this()->refused;

	rig_set(0, field, value);
	assert_refused(error, rule, section);
	assert_int_equal(model_this()->entries, entries + 1);
	assert_int_equal(model_this()->refused, refused + 1);
	rig_set(0, field, old);
	assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
}

/* The guest goes on as if nothing had been once the reason is gone. launched: whether it had run
 * before. */
static void refuse_all(bool launched)
{
	rig_start(&rig_full);
	if (launched)
		rig_run_script(0, rig_one_exit);
	else
		vmx_backend.set_state(&rig_vcpus[0].vcpu, X86_G_ALL);
	rig_vcpus[0].vcpu.dirty = 0;
	assert_field_refused(VMCS_VMCS_LINK_POINTER, 1, 0,
	                     "VMCS_LINK_POINTER is all ones, or aligned to 4 KiB and within the "
	                     "physical address width (link pointer)",
	                     "27.3.1.5");
	assert_field_refused(VMCS_GUEST_TR_ACCESS_RIGHTS, VMX_AR_UNUSABLE | 0x8b, 0,
	                     "GUEST_TR_ACCESS_RIGHTS.unusable is clear", "27.3.1.2");
	assert_field_refused(VMCS_CR3_TARGET_COUNT, 9, VMX_ERROR_CONTROLS,
	                     "CR3_TARGET_COUNT is at most what IA32_VMX_MISC says", "27.2.1.1");
	assert_field_refused(VMCS_HOST_CS_SELECTOR, 0, VMX_ERROR_HOST_STATE,
	                     "HOST_CS_SELECTOR is not null", "27.2.3");
	rig_stop();
}

static void test_refused(void **state)
{
	refuse_all(false);
	refuse_all(true);
}

/* What a guest's state cannot be comes from outside, too: snapshots, debuggers. */
static void test_refused_state(void **state)
{
	rig_start(&rig_full);
	rig_state(0)->rip = HC_BIT(62);
	assert_refused(0, "GUEST_RIP's bits beyond the linear address width are alike", "27.3.1.4");
	rig_put(0);
	rig_stop();
}

/* --- The model notices --- */

static void assert_complains(const char *text)
{
	if (!model_complaints || !strstr(model_complaint, text))
		fail_msg("instead of \"%s\": \"%s\"", text, model_complaint);
	model_complaints = 0;
	model_complaint[0] = '\0';
}

static struct vmx_region *new_region(void)
{
	struct vmx_region *r = hc_platform_alloc_pages(0);

	assert_non_null(r);
	r->revision = VMX_BASIC_REVISION(model_features.caps.basic);
	return r;
}

static hpa_t pa(const struct vmx_region *r)
{
	return hc_platform_to_hpa(r);
}

/* CPUs 0 and 1 in VMX operation, without the backend. */
static struct vmx_region *vmxon[2];

static void bare_start(void)
{
	test_platform_init(2);
	model_reset(&rig_full);
	for (unsigned i = 2; i-- > 0;) {
		model_be(i);
		model_this()->feature_control = 5;
		x86_host_write_cr4(x86_host_read_cr4() | X86_CR4_VMXE);
		vmxon[i] = new_region();
		assert_int_equal(vmx_hw_on(pa(vmxon[i])), 0);
	}
	rig_no_complaint();
}

static void bare_stop(void)
{
	rig_no_complaint();
	for (unsigned i = 0; i < 2; i++) {
		model_be(i);
		vmx_hw_off();
		hc_platform_free_pages(vmxon[i], 0);
	}
	rig_no_complaint();
	assert_int_equal(test_allocated, 0);
}

static void test_vmxon(void **state)
{
	bare_start();
	assert_int_equal(vmx_hw_on(pa(vmxon[0])), -1); /* no VMCS to tell the error */
	x86_host_write_cr4(x86_host_read_cr4() & ~X86_CR4_VMXE);
	assert_complains("CR4");
	x86_host_write_cr4(x86_host_read_cr4() | X86_CR4_VMXE);
	x86_host_write_cr0(x86_host_read_cr0() & ~X86_CR0_NE);
	assert_complains("CR0");
	x86_host_write_cr0(x86_host_read_cr0() | X86_CR0_NE);
	vmx_hw_off();
	vmxon[0]->revision++;
	assert_int_equal(vmx_hw_on(pa(vmxon[0])), -1);
	vmxon[0]->revision--;
	assert_int_equal(vmx_hw_on(hpa_of(pa(vmxon[0]).v + 8)), -1);
	model_this()->feature_control = 0;
	(void)vmx_hw_on(pa(vmxon[0]));
	assert_complains("IA32_FEATURE_CONTROL");
	bare_stop();
}

static void test_vmcs_errors(void **state)
{
	bare_start();
	struct vmx_region *r = new_region(), *s = new_region();

	assert_int_equal(vmx_hw_clear(hpa_of(1)), -1);
	assert_int_equal(vmx_hw_clear(pa(r)), 0);
	assert_int_equal(vmx_hw_load(pa(r)), 0);
	assert_int_equal(vmx_hw_load(hpa_of(pa(s).v | 4)), VMX_ERROR_VMPTRLD_ADDRESS);
	assert_int_equal(vmx_hw_load(hpa_of(HC_BIT(60))), VMX_ERROR_VMPTRLD_ADDRESS);
	assert_int_equal(vmx_hw_load(pa(vmxon[0])), VMX_ERROR_VMPTRLD_VMXON_POINTER);
	assert_int_equal(vmx_hw_clear(pa(vmxon[0])), VMX_ERROR_VMCLEAR_VMXON_POINTER);
	assert_int_equal(vmx_hw_clear(hpa_of(pa(s).v | 4)), VMX_ERROR_VMCLEAR_ADDRESS);
	assert_int_equal(vmx_hw_on(pa(s)), VMX_ERROR_VMXON_IN_ROOT);
	s->revision++;
	assert_int_equal(vmx_hw_load(pa(s)), VMX_ERROR_VMPTRLD_REVISION);
	assert_int_equal(vmx_hw_read(VMCS_VM_INSTRUCTION_ERROR), VMX_ERROR_VMPTRLD_REVISION);
	assert_int_equal(vmx_hw_enter(NULL, true), VMX_ERROR_VMRESUME_NOT_LAUNCHED);
	rig_no_complaint();
	assert_int_equal(vmx_hw_clear(pa(r)), 0);
	assert_int_equal(vmx_hw_enter(NULL, false), -1);
	assert_complains("without a current VMCS");
	hc_platform_free_pages(r, 0);
	hc_platform_free_pages(s, 0);
	bare_stop();
}

static void test_the_model_sees_misuse(void **state)
{
	bare_start();
	struct vmx_region *r = new_region();

	(void)vmx_hw_read(VMCS_GUEST_RIP);
	assert_complains("VMREAD without a current VMCS");
	(void)vmx_hw_load(pa(r));
	assert_complains("never cleared");
	(void)vmx_hw_read(VMCS_GUEST_RIP);
	assert_complains("GUEST_RIP, which nothing has written");
	vmx_hw_write(VMCS_EXIT_REASON, 0);
	assert_complains("EXIT_REASON, which is read-only");
	vmx_hw_write(0x6822 + 8, 0);
	assert_complains("lacks");
	vmx_hw_write(VMCS_GUEST_ES_SELECTOR, 0x12345);
	assert_int_equal(vmx_hw_read(VMCS_GUEST_ES_SELECTOR), 0x2345);
	vmx_hw_write(VMCS_TSC_OFFSET, 5);
	vmx_hw_write(VMCS_TSC_OFFSET | 1, 7);
	assert_int_equal(vmx_hw_read(VMCS_TSC_OFFSET), UINT64_C(7) << 32 | 5);
	model_features.caps.cpu2 &= ~(VMX_CPU2_VPID << 32);
	(void)vmx_hw_read(VMCS_VPID);
	assert_complains("VPID (0), which this CPU lacks");
	rig_no_complaint();
	model_be(1);
	(void)vmx_hw_load(pa(r));
	assert_complains("active on CPU 0");
	model_be(0);
	(void)vmx_hw_clear(pa(r));
	assert_complains("active on CPU 1");
	model_be(1);
	(void)vmx_hw_clear(pa(r));
	hc_platform_free_pages(r, 0);
	bare_stop();
}

static void test_the_model_sees_lost_memory(void **state)
{
	bare_start();
	struct vmx_region *r = new_region();

	assert_int_equal(vmx_hw_clear(pa(r)), 0);
	assert_int_equal(vmx_hw_load(pa(r)), 0);
	model_expect_none_active();
	assert_complains("CPU 0 still holds a VMCS");
	memset(r->data, 0, sizeof(r->data));
	vmx_hw_write(VMCS_GUEST_RIP, 0);
	assert_complains("used otherwise");
	(void)vmx_hw_clear(pa(r));
	assert_complains("used otherwise");
	assert_int_equal(vmx_hw_load(pa(r)), 0);
	vmx_hw_off();
	assert_complains("VMXOFF while");
	hc_platform_free_pages(r, 0);
	assert_int_equal(vmx_hw_on(pa(vmxon[0])), 0);
	bare_stop();
}

static void test_the_model_sees_bad_invalidations(void **state)
{
	const struct vmx_invept_descriptor ept = { .eptp = 0x1000 };
	const struct vmx_invept_descriptor reserved = { .reserved = 1 };
	const struct vmx_invvpid_descriptor none = { 0 }, one = { .vpid = 1, .linear = HC_BIT(60) };

	bare_start();
	assert_int_equal(vmx_hw_invept(VMX_INVEPT_ONE, &ept), 0);
	assert_int_equal(vmx_hw_invvpid(VMX_INVVPID_ONE, &one), 0);
	assert_int_equal(vmx_hw_invvpid(VMX_INVVPID_ALL, &none), 0);
	rig_no_complaint();
	assert_int_equal(vmx_hw_invept((enum vmx_invept)3, &ept), -1);
	assert_complains("INVEPT of type 3");
	assert_int_equal(vmx_hw_invept(VMX_INVEPT_ALL, &reserved), -1);
	assert_complains("INVEPT of type 2");
	assert_int_equal(vmx_hw_invvpid(VMX_INVVPID_ONE, &none), -1);
	assert_complains("INVVPID of type 1, VPID 0");
	assert_int_equal(vmx_hw_invvpid(VMX_INVVPID_ADDRESS, &one), -1);
	assert_complains("INVVPID of type 0");
	model_features.caps.ept_vpid &= ~VMX_EPT_CAP_INVEPT_ONE;
	assert_int_equal(vmx_hw_invept(VMX_INVEPT_ONE, &ept), -1);
	assert_complains("INVEPT of type 1");
	bare_stop();
}

/* A change without invalidate(); another vCPU's VPID; paging that changed behind its back; a host
 * state of before. */
static void test_the_model_sees_stale_state(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, rig_one_exit);
	model_stage2_changed();
	rig_run_script(0, rig_one_exit);
	assert_complains("before a change");
	vmx_hw_write(VMCS_GUEST_CR3, 0x123000);
	rig_run_script(0, rig_one_exit);
	assert_complains("earlier paging");
	vmx_hw_write(VMCS_HOST_FS_BASE, 1);
	rig_run_script(0, rig_one_exit);
	assert_complains("HOST_FS_BASE is not this CPU's");
	rig_put(0);
	run_on(1, 0); /* drops what there is of the EPT */
	run_on(0, 0);
	rig_load(1, 0);
	vmx_hw_write(VMCS_VPID, rig_get(0, VMCS_VPID));
	rig_run_script(1, rig_one_exit);
	assert_complains("another vCPU's translations");
	rig_stop();
}

/* Firmware may have left something in IA32_XSS, which the guest's XSAVES would save. */
static void test_no_supervisor_state(void **state)
{
	rig_start(&rig_full);
	model_be(3);
	vmx_backend.cpu_disable(hc_sched_cpu(3));
	model_this()->xss = 0x100;
	assert_int_equal(vmx_backend.cpu_enable(hc_sched_cpu(3)), 0);
	assert_int_equal(model_this()->xss, 0);
	rig_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xsaves),
		cmocka_unit_test(test_no_supervisor_state),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_probe_lesser_cpus),
		cmocka_unit_test(test_probe_looks_at_results),
		cmocka_unit_test(test_probe_without_memory),
		cmocka_unit_test(test_unlike_cpus),
		cmocka_unit_test(test_enable_again),
		cmocka_unit_test(test_create_without_memory),
		cmocka_unit_test(test_msr_bitmap),
		cmocka_unit_test(test_put_clears),
		cmocka_unit_test(test_many_on_one_cpu),
		cmocka_unit_test(test_host_state_is_current),
		cmocka_unit_test(test_wandering),
		cmocka_unit_test(test_new_generation),
		cmocka_unit_test(test_no_needless_flush),
		cmocka_unit_test(test_tags_are_kept),
		cmocka_unit_test(test_new_cr3),
		cmocka_unit_test(test_invalidate_waits),
		cmocka_unit_test(test_invalidate_without_vm),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_state),
		cmocka_unit_test(test_vmxon),
		cmocka_unit_test(test_vmcs_errors),
		cmocka_unit_test(test_the_model_sees_misuse),
		cmocka_unit_test(test_the_model_sees_lost_memory),
		cmocka_unit_test(test_the_model_sees_bad_invalidations),
		cmocka_unit_test(test_the_model_sees_stale_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
