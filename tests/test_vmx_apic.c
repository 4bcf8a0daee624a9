/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU does of the local APIC, by modes; what it leaves to others, and what they see of it.
 */
#include "mmu/stage2.h"
#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

static uint64_t seed = 0xa91c;

static struct hc_exit exit_by(struct model_step step)
{
	static struct model_step steps[] = { { .op = OP_END }, { .op = OP_END } };

	steps[0] = step;
	return rig_run_script(0, steps);
}

#define EXIT_BY(...) exit_by((struct model_step){ .op = OP_EXIT, __VA_ARGS__ })

/* --- The local APIC's page --- */

/* What the CPU leaves undone is like an access to where there is no memory. */
static void test_apic_accesses(void **state)
{
	static const unsigned access[] = { HC_ACCESS_READ, HC_ACCESS_WRITE, HC_ACCESS_EXEC };

	rig_start(&rig_full);
	for (unsigned n = 0; n < 1000; n++) {
		uint64_t offset = test_below(&seed, 4096), type = test_below(&seed, 16);
		struct hc_exit exit = EXIT_BY(.reason = VMX_REASON_APIC_ACCESS,
		                              .qualification = type << 12 | offset);

		assert_int_equal(exit.reason, HC_EXIT_STAGE2);
		assert_int_equal(exit.u.stage2.gpa.v, 0xfee00000 + offset);
		assert_int_equal(exit.u.stage2.in_walk, type > 2);
		assert_int_equal(exit.u.stage2.insn_len, 0);
		if (type <= 2)
			assert_int_equal(exit.u.stage2.access, access[type]);
	}
	rig_stop();
}

/* What it has stored already is told with its value. */
static void test_apic_writes(void **state)
{
	rig_start(&rig_full);
	for (unsigned n = 0; n < 1000; n++) {
		uint32_t offset = (uint32_t)test_below(&seed, X86_APIC_REGS) * 16;
		uint32_t value = (uint32_t)test_random(&seed);

		x86_apic_put(&rig_vcpus[0].apic, offset, value);
		/* Bits that mean nothing, or lie about a register that there is not. */
		struct hc_exit exit =
			EXIT_BY(.reason = VMX_REASON_APIC_WRITE,
		                .qualification = (test_random(&seed) & ~UINT64_C(0x3f0)) | offset);

		assert_int_equal(exit.reason, HC_EXIT_BUS);
		assert_int_equal(exit.u.bus.space, HC_SPACE_MEMORY);
		assert_int_equal(exit.u.bus.address, 0xfee00000 + offset);
		assert_int_equal(exit.u.bus.width, 4);
		assert_true(exit.u.bus.write);
		assert_int_equal(*exit.u.bus.value, value);
	}
	rig_stop();
}

/* --- Modes --- */

static const uint64_t modes[] = { 0, X86_APIC_BASE_EN, X86_APIC_BASE_EN | X86_APIC_BASE_EXTD };

static void set_mode(unsigned cpu, unsigned mode)
{
	struct hc_vcpu *v = &rig_vcpus[cpu].vcpu;

	atomic_store(&rig_vcpus[cpu].apic.base, 0xfee00000 | modes[mode]);
	hc_vcpu_need(v, X86_G_MSR);
	hc_vcpu_dirty(v, X86_G_MSR);
}

static bool has_cpu2(unsigned cpu, uint64_t control)
{
	return rig_get(cpu, VMCS_SECONDARY_CONTROLS) & control;
}

static void assert_controls(unsigned cpu, unsigned mode, bool has_x2apic)
{
	bool x2apic = mode == 2 && has_x2apic;

	assert_int_equal(has_cpu2(cpu, VMX_CPU2_X2APIC_MODE), x2apic);
	assert_int_equal(has_cpu2(cpu, VMX_CPU2_APIC_ACCESSES), mode == 1);
	assert_int_equal(has_cpu2(cpu, VMX_CPU2_APIC_REGISTERS), mode == 1 || x2apic);
	assert_int_equal(rig_get(cpu, VMCS_MSR_BITMAP),
	                 hc_platform_to_hpa(x2apic ? rig_vmx(cpu)->vm->x2apic_bitmap
	                                           : rig_vmx(cpu)->vm->msr_bitmap)
	                         .v);
}

/* Where the guest's accesses to the page lead: writes to it only while all CPUs watch it. */
static void assert_page(bool writable)
{
	const uint8_t *bytes = rig_vmx(0)->vm->apic_access;
	struct s2_mapping m;

	assert_int_equal(s2_walk(&rig_vm.vm.s2, gpa_of(0xfee00000), &m), 0);
	assert_int_equal(m.hpa.v, rig_get(0, VMCS_APIC_ACCESS_ADDRESS));
	assert_int_equal(m.size, HC_PAGE_SIZE);
	assert_int_equal(m.attr, writable ? S2_R | S2_W : S2_R);
	assert_int_equal(bytes[test_below(&seed, HC_PAGE_SIZE)], 0xff);
}

/* The CPU answers for the registers in xAPIC mode, in x2APIC mode if it can. */
static void change_modes(const struct model_features *features, bool has_x2apic)
{
	unsigned mode[2] = { 1, 1 };

	rig_start(features);
	atomic_store(&rig_vcpus[0].apic.base, 0xfee00000 | modes[1]);
	rig_put(0);
	for (unsigned n = 0; n < 100; n++) {
		unsigned cpu = n & 1, was = mode[cpu];

		mode[cpu] = (unsigned)test_below(&seed, 3);
		rig_load(cpu, cpu);
		set_mode(cpu, mode[cpu]);
		unsigned flushes = model_flushes();

		rig_run_script(cpu, rig_one_exit);
		assert_controls(cpu, mode[cpu], has_x2apic);
		/* What was known of the page while it was not watched. */
		if (was != 1 && mode[cpu] == 1)
			assert_true(model_flushes() > flushes);
		if (n)
			assert_page(mode[0] == 1 && mode[1] == 1);
		rig_put(cpu);
		rig_no_complaint();
	}
	rig_stop();
}

static void test_apic_modes(void **state)
{
	struct model_features without = rig_full;

	change_modes(&rig_full, true);
	without.caps.cpu2 &= ~((uint64_t)VMX_CPU2_X2APIC_MODE << 32);
	change_modes(&without, false);
}

/* One without the other is of no use. */
static void test_without_registers(void **state)
{
	struct s2_mapping m;

	rig_start(&rig_plain);
	rig_run_script(0, rig_one_exit);
	assert_false(has_cpu2(0, VMX_CPU2_APIC_ACCESSES));
	assert_int_equal(s2_walk(&rig_vm.vm.s2, gpa_of(0xfee00000), &m), -EFAULT);
	rig_stop();
}

/* --- x2APIC mode's MSRs --- */

static bool in_page(unsigned number)
{
	return X86_X2APIC_PLAIN >> number & 1;
}

/* What is in the page is read there, and the rest exits; with another mode's bitmap all do. */
static void test_x2apic_reads(void **state)
{
	static struct model_step steps[] = { { .op = OP_RDMSR }, { .op = OP_HLT }, { 0 } };

	rig_start(&rig_full);
	for (unsigned n = 0; n < test_rounds(2000); n++) {
		unsigned mode = 1 + (unsigned)test_below(&seed, 2);
		unsigned number = (unsigned)test_below(&seed, n & 1 ? 0x100 : 0x40);
		uint32_t value = (uint32_t)test_random(&seed);

		set_mode(0, mode);
		steps[0].qualification = 0x800 + number;
		if (number < X86_APIC_REGS)
			x86_apic_put(&rig_vcpus[0].apic, number * 16, value);
		struct hc_exit exit = rig_run_script(0, steps);

		if (mode == 2 && number < X86_APIC_REGS && in_page(number)) {
			assert_int_equal(exit.reason, HC_EXIT_HALT);
			assert_int_equal(rig_state(0)->gpr[X86_RAX], value);
			assert_int_equal(rig_state(0)->gpr[X86_RDX], 0);
		} else {
			assert_int_equal(exit.reason, HC_EXIT_MSR_READ);
		}
		rig_no_complaint();
	}
	rig_stop();
}

/* TPR alone is written without an exit, and lowering it exits for what may wait for that. */
static void test_x2apic_writes(void **state)
{
	static struct model_step steps[] = { { .op = OP_WRMSR }, { .op = OP_HLT }, { 0 } };

	rig_start(&rig_full);
	set_mode(0, 2);
	for (unsigned n = 0; n < test_rounds(2000); n++) {
		unsigned number = (unsigned)test_below(&seed, n & 1 ? 0x100 : 0x10);
		uint32_t old = (uint32_t)test_below(&seed, 256);

		steps[0].qualification = 0x800 + number;
		steps[0].value = test_below(&seed, 256);
		x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, old);
		struct hc_exit exit = rig_run_script(0, steps);

		rig_no_complaint();
		if (number != APIC_TPR / 16) {
			assert_int_equal(exit.reason, HC_EXIT_MSR_WRITE);
			continue;
		}
		assert_int_equal(x86_apic_get(&rig_vcpus[0].apic, APIC_TPR), steps[0].value);
		assert_int_equal(exit.reason,
		                 steps[0].value >> 4 < old >> 4 ? HC_EXIT_WINDOW : HC_EXIT_HALT);
	}
	rig_stop();
}

/* Each entry asks for an exit when the guest lowers the TPR that it has. */
static void test_tpr_threshold(void **state)
{
	rig_start(&rig_full);
	for (unsigned n = 0; n < 200; n++) {
		uint32_t tpr = (uint32_t)test_below(&seed, 256);

		x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, tpr);
		rig_run_script(0, rig_one_exit);
		assert_int_equal(rig_get(0, VMCS_TPR_THRESHOLD), tpr >> 4);
		rig_no_complaint();
	}
	rig_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apic_accesses), cmocka_unit_test(test_apic_writes),
		cmocka_unit_test(test_apic_modes),    cmocka_unit_test(test_without_registers),
		cmocka_unit_test(test_x2apic_reads),  cmocka_unit_test(test_x2apic_writes),
		cmocka_unit_test(test_tpr_threshold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
