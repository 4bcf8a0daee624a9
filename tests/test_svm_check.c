/* SPDX-License-Identifier: BSD-2-Clause */
/* VMRUN's consistency checks: a good VMCB passes, and each rule is broken by one change. */
#include "tests/model/svm_rig.h"
#include "tests/unit.h"

#include <string.h>

static struct vmcb vmcb;

static const struct svm_limits limits = {
	.cr4_valid = 0x7ff | X86_CR4_OSXSAVE,
	.efer_valid = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SVME,
	.phys_bits = 40,
	.long_mode = true,
	.asids = 16,
};

static void good(void)
{
	memset(&vmcb, 0, sizeof(vmcb));
	svm_vmcb_init(&vmcb, hpa_of(0x10000), hpa_of(0x20000));
	vmcb.asid = 1;
	vmcb.n_cr3 = 0x30000;
	vmcb.g_pat = UINT64_C(0x0007040600070406);
	vmcb.efer = X86_EFER_SVME | X86_EFER_LME | X86_EFER_LMA;
	vmcb.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET;
	vmcb.cr4 = X86_CR4_PAE;
	vmcb.cs.attr = X86_ATTR_P | X86_ATTR_L;
}

/* Each sets `bits` in the 64 bits at `offset` (or clears them) of the good VMCB. */
static const struct {
	const char *rule;
	uint16_t offset;
	bool clear;
	uint64_t bits;
} breakers[] = {
#define SET(rule, member, bits)                                                                    \
	{                                                                                          \
		rule, offsetof(struct vmcb, member), false, bits                                   \
	}
#define CLEAR(rule, member, bits)                                                                  \
	{                                                                                          \
		rule, offsetof(struct vmcb, member), true, bits                                    \
	}
	CLEAR("EFER.SVME is set", efer, X86_EFER_SVME),
	SET("reserved bits of EFER are clear", efer, HC_BIT(9)),
	SET("reserved bits of EFER are clear", efer, HC_BIT(63)),
	SET("CR0.NW is clear unless CR0.CD is set", cr0, X86_CR0_NW),
	SET("CR0[63:32] is clear", cr0, HC_BIT(32)),
	SET("CR0[63:32] is clear", cr0, HC_BIT(63)),
	SET("reserved bits of CR3 are clear", cr3, HC_BIT(40)),
	SET("reserved bits of CR3 are clear", cr3, HC_BIT(63)),
	SET("reserved bits of CR4 are clear", cr4, X86_CR4_LA57),
	SET("reserved bits of CR4 are clear", cr4, HC_BIT(32)),
	SET("DR6[63:32] is clear", dr6, HC_BIT(32)),
	SET("DR7[63:32] is clear", dr7, HC_BIT(63)),
	CLEAR("EFER.LME and CR0.PG imply CR4.PAE", cr4, X86_CR4_PAE),
	CLEAR("EFER.LME and CR0.PG imply CR0.PE", cr0, X86_CR0_PE),
	SET("CS.L and CS.D are not both set in long mode", cs, (uint64_t)X86_ATTR_DB << 16),
	CLEAR("VMRUN is intercepted", intercept[1], 1),
	SET("the MSRPM is within the physical address space", msrpm_pa, HC_BIT(40)),
	SET("the MSRPM is within the physical address space", msrpm_pa, UINT64_C(0xfffffff000)),
	SET("the IOPM is within the physical address space", iopm_pa, HC_BIT(52)),
	SET("the IOPM is within the physical address space", iopm_pa, UINT64_C(0xffffffe000)),
	CLEAR("the ASID is not 0", asid, 1),
	SET("the ASID exists", asid, 16),
	SET("TLB_CONTROL is not a reserved encoding", tlb_control, 2),
	SET("TLB_CONTROL is not a reserved encoding", tlb_control, 3),
	SET("the type of EVENTINJ is not reserved", eventinj, SVM_EVENT_V | 1u << 8),
	SET("the type of EVENTINJ is not reserved", eventinj, SVM_EVENT_V | 7u << 8),
	SET("the vector of EVENTINJ is an exception's", eventinj, SVM_EVENT_V | 3u << 8 | 2),
	SET("the vector of EVENTINJ is an exception's", eventinj, SVM_EVENT_V | 3u << 8 | 32),
	SET("reserved bits of nCR3 are clear", n_cr3, HC_BIT(41)),
	SET("gPAT holds memory types", g_pat, 2),
	SET("gPAT holds memory types", g_pat, UINT64_C(8) << 56),
};

static void assert_breaks(unsigned i)
{
	uint64_t value;
	uint8_t *at = (uint8_t *)&vmcb + breakers[i].offset;

	good();
	if (!strncmp(breakers[i].rule, "gPAT", 4))
		vmcb.g_pat = 0;
	memcpy(&value, at, sizeof(value));
	value = breakers[i].clear ? value & ~breakers[i].bits : value | breakers[i].bits;
	memcpy(at, &value, sizeof(value));
	const struct svm_rule *rule = svm_check(&vmcb, &limits);

	assert_non_null(rule);
	assert_string_equal(rule->name, breakers[i].rule);
	assert_int_equal(strncmp(rule->section, "15.", 3), 0);
}

static void test_good(void **state)
{
	good();
	assert_null(svm_check(&vmcb, &limits));
	/* Nothing of it matters in real mode. */
	vmcb.efer = X86_EFER_SVME;
	vmcb.cr0 = X86_CR0_ET | X86_CR0_CD | X86_CR0_NW;
	vmcb.cr4 = 0;
	vmcb.cr3 = ~UINT64_C(0);
	vmcb.cs.attr = X86_ATTR_L | X86_ATTR_DB;
	assert_null(svm_check(&vmcb, &limits));
}

static void test_breakers(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(breakers); i++)
		assert_breaks(i);
}

static void test_no_long_mode(void **state)
{
	struct svm_limits old = limits;
	const struct svm_rule *rule;

	good();
	old.long_mode = false;
	rule = svm_check(&vmcb, &old);
	assert_non_null(rule);
	assert_string_equal(rule->name, "EFER.LME and LMA are clear without long mode");
}

static bool has_breaker(const char *name)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(breakers); i++) {
		if (!strcmp(breakers[i].rule, name))
			return true;
	}
	return !strcmp(name, "EFER.LME and LMA are clear without long mode");
}

static void test_each_rule_has_a_breaker(void **state)
{
	for (unsigned i = 0; i < svm_rule_count; i++) {
		if (!has_breaker(svm_rules[i].name))
			fail_msg("no test breaks: %s", svm_rules[i].name);
	}
}

static void test_flush_by_asid(void **state)
{
	struct svm_limits newer = limits;

	good();
	newer.flush_by_asid = true;
	vmcb.tlb_control = SVM_TLB_FLUSH_ASID;
	assert_null(svm_check(&vmcb, &newer));
	vmcb.tlb_control = SVM_TLB_FLUSH_ASID_NON_GLOBAL;
	assert_null(svm_check(&vmcb, &newer));
	vmcb.tlb_control = 5;
	assert_non_null(svm_check(&vmcb, &newer));
}

static void test_limits(void **state)
{
	struct svm_limits l;

	model_reset(&rig_plain);
	svm_limits_from_cpuid(&l, x86_host_cpuid);
	assert_int_equal(l.phys_bits, 48);
	assert_int_equal(l.asids, 16);
	assert_true(l.long_mode);
	assert_false(l.flush_by_asid);
	assert_false(l.cr4_valid & (X86_CR4_LA57 | X86_CR4_OSXSAVE | X86_CR4_PKE));
	assert_true(l.cr4_valid & X86_CR4_SMEP);
	model_reset(&rig_full);
	svm_limits_from_cpuid(&l, x86_host_cpuid);
	assert_true(l.flush_by_asid);
	assert_true((l.cr4_valid & X86_CR4_LA57) && (l.cr4_valid & X86_CR4_OSXSAVE));
}

/* The layout, by offsets of the manual's tables, not by the struct's own. */
static void test_layout(void **state)
{
	uint8_t *raw = (uint8_t *)&vmcb;

	good();
	vmcb.cs.attr = 0x29b;
	vmcb.eventinj = UINT64_C(0x1122334480000b0d);
	assert_int_equal(raw[0x010], 0x7f); /* VMRUN .. SKINIT */
	assert_int_equal(raw[0x412], 0x9b);
	assert_int_equal(raw[0x413], 0x02);
	assert_int_equal(raw[0x0a8], 0x0d);
	assert_int_equal(raw[0x0af], 0x11);
	assert_int_equal(raw[0x063], 1);           /* V_INTR_MASKING: bit 24 of 60h */
	assert_int_equal(raw[0x00f] & 0x98, 0x98); /* MSR_PROT, IOIO_PROT of 0Ch, SHUTDOWN */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_breakers),
		cmocka_unit_test(test_no_long_mode),
		cmocka_unit_test(test_each_rule_has_a_breaker),
		cmocka_unit_test(test_flush_by_asid),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
