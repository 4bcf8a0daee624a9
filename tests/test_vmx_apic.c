/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU does of the local APIC, by modes; what it leaves to others, and what they see of it.
 */
#include <string.h>

#include "mmu/stage2.h"
#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

static uint64_t seed = 0xa91c;

static struct hc_vcpu *const vcpu = &rig_vcpus[0].vcpu;

/* --- The local APIC's page --- */

/* rig_full without posted interrupts. */
static struct model_features features_unposted(void)
{
	struct model_features f = rig_full;

	f.caps.pin &= ~((uint64_t)VMX_PIN_POSTED_INTR << 32);
	return f;
}

/* rig_full without some of its secondary controls. */
static struct model_features features_without(uint64_t cpu2)
{
	struct model_features f = rig_full;

	f.caps.cpu2 &= ~(cpu2 << 32);
	return f;
}

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
	assert_int_equal(has_cpu2(cpu, VMX_CPU2_VIRTUAL_INTERRUPTS),
	                 has_x2apic && (mode == 1 || x2apic));
	assert_int_equal(!(rig_get(cpu, VMCS_PIN_BASED_CONTROLS) & VMX_PIN_POSTED_INTR),
	                 !has_cpu2(cpu, VMX_CPU2_VIRTUAL_INTERRUPTS));
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
	const struct model_features without = features_without(VMX_CPU2_X2APIC_MODE);

	change_modes(&rig_full, true);
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

static bool in_page(unsigned number, bool virtual_interrupts)
{
	return X86_X2APIC_PLAIN >> number & 1 || (virtual_interrupts && number == APIC_PPR / 16);
}

/* What is in the page is read there, and the rest exits; with another mode's bitmap all do. */
static void read_x2apic(const struct model_features *features, bool virtual_interrupts)
{
	static struct model_step steps[] = { { .op = OP_RDMSR }, { .op = OP_HLT }, { 0 } };

	rig_start(features);
	for (unsigned n = 0; n < test_rounds(1000); n++) {
		unsigned mode = 1 + (unsigned)test_below(&seed, 2);
		unsigned number = (unsigned)test_below(&seed, n & 1 ? 0x100 : 0x40);
		uint32_t value = (uint32_t)test_random(&seed);

		set_mode(0, mode);
		steps[0].qualification = 0x800 + number;
		/* PPR is the CPU's to compute. */
		if (number == APIC_PPR / 16)
			x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, value &= 0xff);
		else if (number < X86_APIC_REGS)
			x86_apic_put(&rig_vcpus[0].apic, number * 16, value);
		struct hc_exit exit = rig_run_script(0, steps);

		if (mode == 2 && number < X86_APIC_REGS && in_page(number, virtual_interrupts)) {
			assert_int_equal(exit.reason, HC_EXIT_HALT);
			assert_int_equal(rig_state(0)->gpr[X86_RAX], value);
			assert_int_equal(rig_state(0)->gpr[X86_RDX], 0);
		} else {
			assert_int_equal(exit.reason, HC_EXIT_MSR_READ);
		}
		rig_no_complaint();
		for (uint32_t offset = APIC_ISR; offset < APIC_ESR; offset += 16)
			x86_apic_put(&rig_vcpus[0].apic, offset, 0);
		x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, 0);
	}
	rig_stop();
}

static void test_x2apic_reads(void **state)
{
	const struct model_features without = features_without(VMX_CPU2_VIRTUAL_INTERRUPTS);

	read_x2apic(&rig_full, true);
	read_x2apic(&without, false);
}

/* TPR alone is written without an exit, and lowering it exits for what may wait for that. */
static void test_x2apic_writes(void **state)
{
	static struct model_step steps[] = { { .op = OP_WRMSR }, { .op = OP_HLT }, { 0 } };
	const struct model_features without = features_without(VMX_CPU2_VIRTUAL_INTERRUPTS);

	rig_start(&without);
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

/* With interrupts delivered, three are; the vectors that are none, are told of with the value. */
static void test_x2apic_interrupt_writes(void **state)
{
	static struct model_step steps[] = { { .op = OP_WRMSR }, { .op = OP_HLT }, { 0 } };

	rig_start(&rig_full);
	set_mode(0, 2);
	for (unsigned number = 0; number < 0x100; number++) {
		bool known = number == APIC_TPR / 16 || number == APIC_EOI / 16 ||
		             number == APIC_SELF_IPI / 16;

		steps[0].qualification = 0x800 + number;
		steps[0].value = 0;
		struct hc_exit exit = rig_run_script(0, steps);

		rig_no_complaint();
		assert_int_equal(exit.reason, known && number != APIC_SELF_IPI / 16
		                                      ? HC_EXIT_HALT
		                                      : HC_EXIT_MSR_WRITE);
	}
	for (unsigned vector = 0; vector < 16; vector++) {
		steps[0].qualification = 0x83f;
		steps[0].value = vector;
		uint64_t after = rig_state(0)->rip + 2;
		struct hc_exit exit = rig_run_script(0, steps);

		assert_int_equal(exit.reason, HC_EXIT_MSR_WRITE);
		assert_int_equal(exit.pc, after);
		assert_int_equal(exit.next_pc, after);
		assert_int_equal(rig_state(0)->gpr[X86_RCX], 0x83f);
		assert_int_equal(rig_state(0)->gpr[X86_RAX], vector);
	}
	rig_stop();
}

/* Each entry asks for an exit when the guest lowers the TPR that it has. */
static void test_tpr_threshold(void **state)
{
	const struct model_features without = features_without(VMX_CPU2_VIRTUAL_INTERRUPTS);

	rig_start(&without);
	for (unsigned n = 0; n < 200; n++) {
		uint32_t tpr = (uint32_t)test_below(&seed, 256);

		x86_apic_put(&rig_vcpus[0].apic, APIC_TPR, tpr);
		rig_run_script(0, rig_one_exit);
		assert_int_equal(rig_get(0, VMCS_TPR_THRESHOLD), tpr >> 4);
		rig_no_complaint();
	}
	rig_stop();
}

/* --- Interrupts that the CPU delivers, against an APIC of flags --- */

static struct {
	bool irr[256], isr[256], tmr[256];
	unsigned tpr;
	bool interrupts_on;
	unsigned taken; /* in this round, the last one: */
	unsigned last;
} plain;

static unsigned top(const bool flags[256])
{
	for (unsigned v = 255; v > 0; v--)
		if (flags[v])
			return v;
	return 0;
}

static unsigned plain_ppr(void)
{
	return (unsigned)hc_max(plain.tpr & 0xf0, top(plain.isr) & 0xf0);
}

static void plain_take(void)
{
	unsigned v = top(plain.irr);

	if (!plain.interrupts_on || (v & 0xf0) <= plain_ppr())
		return;
	plain.irr[v] = false;
	plain.isr[v] = true;
	plain.interrupts_on = false;
	plain.taken++;
	plain.last = v;
}

/* What others send between exits; the vCPU's CPU then looks, as before_entry() does. */
static void send_some(void)
{
	struct x86_apic *apic = &rig_vcpus[0].apic;

	for (unsigned n = (unsigned)test_below(&seed, 4); n; n--) {
		unsigned vector = 16 + (unsigned)test_below(&seed, 240);
		bool level = test_below(&seed, 3) == 0;

		x86_apic_post(vcpu, vector, level);
		assert_true(atomic_load(&vcpu->requests) & HC_REQ_EVENT);
		x86_apic_merge(apic);
		plain.irr[vector] = true;
		plain.tmr[vector] = level;
	}
	atomic_store(&vcpu->requests, 0);
	assert_true(vmx_backend.show_interrupts(vcpu));
}

static void switch_on(uint64_t *gpr)
{
	uint64_t rflags = model_vmcs_get(model_current(), VMCS_GUEST_RFLAGS);

	model_vmcs_set(model_current(), VMCS_GUEST_RFLAGS, rflags | X86_FLAG_IF);
}

static enum hc_exit_reason plain_eoi(unsigned *vector)
{
	*vector = top(plain.isr);
	plain.isr[*vector] = false;
	return plain.tmr[*vector] ? HC_EXIT_EOI : HC_EXIT_HALT;
}

static struct model_step access_register(bool x2apic, uint32_t offset, uint64_t value)
{
	return (struct model_step){ .op = x2apic ? OP_WRMSR : OP_APIC_WRITE,
		                    .qualification = x2apic ? 0x800 + offset / 16 : offset,
		                    .value = value };
}

/* What others send while the guest runs, for the CPU to merge if it is told. */
static struct {
	unsigned vector[4], count;
} on_the_way;

static void send_meanwhile(uint64_t *gpr)
{
	for (unsigned i = 0; i < on_the_way.count; i++)
		x86_apic_post(vcpu, on_the_way.vector[i], false);
}

/* Of a vector that was level-triggered before, the end exits once more. */
static void choose_meanwhile(void)
{
	on_the_way.count = 0;
	for (unsigned n = (unsigned)test_below(&seed, 4); n; n--) {
		unsigned vector = 16 + (unsigned)test_below(&seed, 240);

		if (plain.tmr[vector])
			continue;
		on_the_way.vector[on_the_way.count++] = vector;
		plain.irr[vector] = true;
	}
}

/* One thing that a guest does to its APIC, and how it ends. */
static struct model_step guest_does(bool x2apic, enum hc_exit_reason *reason, unsigned *vector)
{
	*reason = HC_EXIT_HALT;
	switch (test_below(&seed, 6)) {
	case 0:
	case 1: *reason = plain_eoi(vector); return access_register(x2apic, APIC_EOI, 0);
	case 2:
		plain.tpr = (unsigned)test_below(&seed, 256);
		return access_register(x2apic, APIC_TPR, plain.tpr);
	case 3:
		plain.tpr = (unsigned)test_below(&seed, 16) << 4;
		return (struct model_step){ .op = OP_MOV_CR8, .value = plain.tpr >> 4 };
	case 4:
		*vector = 16 + (unsigned)test_below(&seed, 240);
		plain.irr[*vector] = true;
		return access_register(x2apic, x2apic ? APIC_SELF_IPI : APIC_ICR,
		                       x2apic ? *vector : 0x44000 | *vector);
	default:
		plain.interrupts_on = true;
		return (struct model_step){ .op = OP_CALL, .fn = switch_on };
	}
}

static void compare_bits(uint32_t bitmap, const bool flags[256])
{
	const struct x86_apic *apic = &rig_vcpus[0].apic;

	for (unsigned v = 0; v < 256; v++)
		assert_int_equal(atomic_load(x86_apic_bits(apic, bitmap, v)) >> v % 32 & 1,
		                 flags[v]);
}

static void compare(void)
{
	rig_no_complaint();
	compare_bits(APIC_IRR, plain.irr);
	compare_bits(APIC_ISR, plain.isr);
	compare_bits(APIC_TMR, plain.tmr);
	assert_int_equal(x86_apic_get(&rig_vcpus[0].apic, APIC_TPR), plain.tpr);
	assert_int_equal(model_delivered, plain.taken);
	if (plain.taken) {
		assert_int_equal(model_deliveries[plain.taken - 1].type, X86_EVENT_INTR);
		assert_int_equal(model_deliveries[plain.taken - 1].vector, plain.last);
	}
	assert_int_equal((rig_state(0)->rflags & X86_FLAG_IF) != 0, plain.interrupts_on);
}

static void one_round(bool x2apic, bool posted)
{
	static struct model_step steps[] = { { .op = OP_CALL, .fn = send_meanwhile },
		                             { .op = OP_POSTED },
		                             { 0 },
		                             { .op = OP_HLT },
		                             { 0 } };
	enum hc_exit_reason reason;
	unsigned vector = 0;

	model_clear_deliveries();
	plain.taken = 0;
	send_some();
	plain_take();
	if (posted)
		choose_meanwhile();
	plain_take();
	steps[2] = guest_does(x2apic, &reason, &vector);
	struct hc_exit exit = rig_run_script(0, posted ? steps : steps + 2);

	assert_int_equal(exit.reason, reason);
	if (reason == HC_EXIT_EOI)
		assert_int_equal(exit.u.eoi.vector, vector);
	else
		plain_take();
	compare();
	assert_int_equal(atomic_load(&vcpu->requests), 0);
	/* What the guest could take now, and does at the next entry. */
	assert_int_equal(rig_get(0, VMCS_PRIMARY_CONTROLS) & VMX_CPU_INTR_WINDOW, 0);
}

static void deliver_random(const struct model_features *features, bool x2apic, bool posted)
{
	memset(&plain, 0, sizeof(plain));
	rig_start(features);
	set_mode(0, x2apic ? 2 : 1);
	rig_run_script(0, rig_one_exit);
	for (unsigned n = 0; n < test_rounds(3000); n++) {
		one_round(x2apic, posted);
		/* Elsewhere, and back. */
		if (test_below(&seed, 16) == 0) {
			rig_put(0);
			rig_load(0, (unsigned)test_below(&seed, MODEL_CPUS));
		}
	}
	rig_stop();
}

static void test_virtual_interrupts(void **state)
{
	const struct model_features unposted = features_unposted();

	deliver_random(&unposted, false, false);
	deliver_random(&unposted, true, false);
	deliver_random(&rig_full, false, true);
	deliver_random(&rig_full, true, true);
}

/* --- Posting --- */

static bool is_asked(void)
{
	return atomic_exchange(&vcpu->requests, 0) & HC_REQ_EVENT;
}

static unsigned posts_to(unsigned cpu)
{
	return model_cpus[cpu].posts;
}

/* The CPU is told while its vCPU is in the guest, and once; otherwise the vCPU is asked to look.
 * What the CPU was told too late, the vCPU finds when it leaves. */
static void test_notifications(void **state)
{
	static const struct model_step late[] = { { .op = OP_CALL, .fn = send_meanwhile },
		                                  { .op = OP_HLT },
		                                  { 0 } };
	static const struct model_step in_time[] = { { .op = OP_POSTED }, { .op = OP_HLT }, { 0 } };

	rig_start(&rig_full);
	on_the_way.count = 2;
	on_the_way.vector[0] = 0x51;
	on_the_way.vector[1] = 0x62;
	set_mode(0, 1);
	for (unsigned n = 0; n < 20; n++) {
		bool leaves = n % 2;

		rig_run_script(0, late);
		assert_int_equal(posts_to(0), 1);
		assert_false(is_asked());
		if (leaves) {
			rig_put(0);
			assert_true(is_asked());
			x86_apic_merge(&rig_vcpus[0].apic);
			model_cpus[0].posts = 0;
			rig_load(0, 0);
			assert_true(vmx_backend.show_interrupts(vcpu));
		}
		rig_run_script(0, in_time);
		assert_int_equal(rig_get(0, VMCS_GUEST_INTERRUPT_STATUS), 0x62);
		assert_int_equal(x86_apic_get(&rig_vcpus[0].apic, APIC_IRR + 0x20), 1u << 0x11);
		assert_int_equal(x86_apic_get(&rig_vcpus[0].apic, APIC_IRR + 0x30), 1u << 2);
		send_meanwhile(NULL);
		assert_true(is_asked());
		assert_int_equal(posts_to(0), 0);
		x86_apic_merge(&rig_vcpus[0].apic);
	}
	rig_stop();
}

/* The end of one that came in level-triggered is told of, also if the next comes as an edge. */
static void test_posted_edge_after_level(void **state)
{
	static const struct model_step steps[] = {
		{ .op = OP_CALL, .fn = send_meanwhile },
		{ .op = OP_POSTED },
		{ .op = OP_CALL, .fn = switch_on },
		{ .op = OP_APIC_WRITE, .qualification = APIC_EOI },
		{ .op = OP_HLT },
		{ 0 },
	};
	const struct x86_apic *apic = &rig_vcpus[0].apic;

	rig_start(&rig_full);
	set_mode(0, 1);
	on_the_way.count = 1;
	on_the_way.vector[0] = 0x51;
	x86_apic_post(vcpu, 0x51, true);
	x86_apic_merge(&rig_vcpus[0].apic);
	assert_int_equal(x86_apic_get(apic, APIC_TMR + 0x20), 1u << 0x11);
	struct hc_exit exit = rig_run_script(0, steps);

	assert_int_equal(exit.reason, HC_EXIT_EOI);
	assert_int_equal(exit.u.eoi.vector, 0x51);
	assert_int_equal(x86_apic_get(apic, APIC_TMR + 0x20), 0);
	rig_stop();
}

/* Some that deliver interrupts do so to guests that have them off: these are not used. */
static void test_cpu_that_unmasks(void **state)
{
	struct model_features features = rig_full;

	rig_start(&features);
	assert_true(vmx_caps.virtual_interrupts && vmx_caps.posted_interrupts);
	assert_ptr_equal(vmx_backend.run, vmx_run_virtual);
	rig_stop();
	features.unmasks = true;
	rig_start(&features);
	assert_false(vmx_caps.virtual_interrupts || vmx_caps.posted_interrupts);
	assert_ptr_equal(vmx_backend.run, vmx_run);
	assert_null(rig_vcpus[0].apic.notify);
	assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
	assert_false(rig_get(0, VMCS_SECONDARY_CONTROLS) & VMX_CPU2_VIRTUAL_INTERRUPTS);
	assert_false(rig_get(0, VMCS_PIN_BASED_CONTROLS) & VMX_PIN_POSTED_INTR);
	assert_true(rig_get(0, VMCS_PRIMARY_CONTROLS) & VMX_CPU_CR8_LOAD);
	rig_stop();
}

/* What an exit acknowledged is the host's; what it did not, is pending still. */
static void test_acknowledged_interrupts(void **state)
{
	static const struct model_step steps[] = { { .op = OP_INTERRUPT }, { 0 } };
	const struct model_features unposted = features_unposted();

	rig_start(&rig_full);
	unsigned before = model_this()->interrupts;

	for (unsigned n = 1; n < 10; n++) {
		assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
		assert_int_equal(model_this()->interrupts, before + n);
	}
	rig_stop();
	rig_start(&unposted);
	assert_int_equal(rig_run_script(0, steps).reason, HC_EXIT_INTERRUPT);
	assert_int_equal(model_this()->interrupts, 0);
	rig_stop();
}

/* After INIT, or a stay on another backend, IRR and ISR are other ones. */
static void test_virtual_interrupts_anew(void **state)
{
	struct x86_apic *apic = &rig_vcpus[0].apic;

	rig_start(&rig_full);
	for (unsigned n = 0; n < test_rounds(300); n++) {
		for (uint32_t offset = APIC_ISR; offset < APIC_ESR; offset += 16)
			x86_apic_put(apic, offset, test_below(&seed, 3) ? 0 : 1u << n % 32);
		set_mode(0, 1 + (unsigned)test_below(&seed, 2));
		if (test_below(&seed, 2)) {
			rig_put(0);
			hc_vcpu_dirty(vcpu, X86_G_ALL);
			rig_load(0, 0);
		}
		rig_run_script(0, rig_one_exit);
		rig_no_complaint();
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(rig_get(0, VMCS_EOI_EXIT_BITMAP_0 + 2 * i),
			                 (uint64_t)x86_apic_get(apic, APIC_TMR + 32 * i + 16)
			                                 << 32 |
			                         x86_apic_get(apic, APIC_TMR + 32 * i));
	}
	/* With the APIC off, or on CPUs that do not, they are injected. */
	set_mode(0, 0);
	rig_run_script(0, rig_one_exit);
	assert_false(vmx_backend.show_interrupts(vcpu));
	rig_stop();
	const struct model_features without = features_without(VMX_CPU2_VIRTUAL_INTERRUPTS);

	rig_start(&without);
	assert_null(apic->notify);
	assert_null(vmx_backend.show_interrupts);
	rig_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apic_accesses),
		cmocka_unit_test(test_apic_writes),
		cmocka_unit_test(test_apic_modes),
		cmocka_unit_test(test_without_registers),
		cmocka_unit_test(test_x2apic_reads),
		cmocka_unit_test(test_x2apic_writes),
		cmocka_unit_test(test_x2apic_interrupt_writes),
		cmocka_unit_test(test_tpr_threshold),
		cmocka_unit_test(test_virtual_interrupts),
		cmocka_unit_test(test_virtual_interrupts_anew),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_posted_edge_after_level),
		cmocka_unit_test(test_acknowledged_interrupts),
		cmocka_unit_test(test_cpu_that_unmasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
