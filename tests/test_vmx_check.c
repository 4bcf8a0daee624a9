/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM entry's checks: good VMCSs of all modes pass, each rule is broken by one change, and what
 * random changes break is what they are about. And what the backend needs of a CPU.
 */
#include <string.h>

#include "arch/x86_64/vmx/check_rules.h"
#include "tests/test_vmx_check.h"
#include "tests/unit.h"

/* --- A VMCS, as the checks see one --- */

static const uint32_t encodings[] = {
#define ENCODING(name, encoding) encoding,
	VMCS_FIELDS(ENCODING)
#undef ENCODING
};

#define FIELDS HC_ARRAY_SIZE(encodings)

struct image {
	const struct vmx_cap_msrs *caps;
	uint64_t values[FIELDS];
	bool read[FIELDS];
};

static unsigned field_number(uint32_t encoding)
{
	static uint16_t numbers[0x8000]; /* plus 1 */

	if (!numbers[encodings[0]]) {
		for (unsigned i = 0; i < FIELDS; i++)
			numbers[encodings[i]] = (uint16_t)(i + 1);
	}
	if (encoding >= HC_ARRAY_SIZE(numbers) || !numbers[encoding])
		fail_msg("there is no field %#x", encoding);
	return numbers[encoding] - 1u;
}

static uint64_t *place(struct image *v, uint32_t encoding)
{
	return &v->values[field_number(encoding)];
}

static uint64_t width_mask(uint32_t encoding)
{
	static const uint64_t masks[4] = { UINT16_MAX, UINT64_MAX, UINT32_MAX, UINT64_MAX };

	return masks[encoding >> 13 & 3];
}

static struct image image;

/* Rules look only at what is there. */
static uint64_t read_image(const struct vmx_check *c, uint32_t encoding)
{
	unsigned i = field_number(encoding);

	if (!model_has_field(image.caps, encoding))
		fail_msg("a rule looks at %s on a CPU without it", model_field_name(encoding));
	image.read[i] = true;
	return image.values[i];
}

static bool host_ia32e;

static const struct vmx_rule *check_image(enum vmx_rule_group *group)
{
	const struct vmx_check c = { read_image, &image, image.caps, host_ia32e };

	memset(image.read, 0, sizeof(image.read));
	return vmx_check(&c, group);
}

/* --- Good ones --- */

static const char *const mode_names[MODES] = { "64-bit", "64-bit user", "compatibility",
	                                       "PAE",    "32-bit user", "virtual-8086",
	                                       "real",   "reset",       "flat" };

struct setting {
	uint32_t field;
	uint64_t value;
};

static void apply(const struct setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*place(&image, settings[i].field) =
			settings[i].value & width_mask(settings[i].field);
}

#define APPLY(settings) apply(settings, HC_ARRAY_SIZE(settings))

static const struct setting plain_settings[] = {
	{ VMCS_IO_BITMAP_A, 0x10000 },
	{ VMCS_IO_BITMAP_B, 0x11000 },
	{ VMCS_MSR_BITMAP, 0x12000 },
	{ VMCS_VIRTUAL_APIC_ADDRESS, 0x13000 },
	{ VMCS_VPID, 1 },
	{ VMCS_TSC_MULTIPLIER, HC_BIT(48) },
	{ VMCS_EPT_POINTER, 0x2001e },
	{ VMCS_VMCS_LINK_POINTER, UINT64_MAX },
	{ VMCS_HOST_CR0, 0x80010031 },
	{ VMCS_HOST_CR3, 0x9000 },
	{ VMCS_HOST_CR4, 0x2020 },
	{ VMCS_HOST_IA32_PAT, UINT64_C(0x0007040600070106) },
	{ VMCS_HOST_IA32_EFER, 0xd01 },
	{ VMCS_HOST_CS_SELECTOR, 0x08 },
	{ VMCS_HOST_SS_SELECTOR, 0x10 },
	{ VMCS_HOST_TR_SELECTOR, 0x28 },
	{ VMCS_HOST_GS_BASE, UINT64_C(0xffff888000000000) },
	{ VMCS_HOST_TR_BASE, UINT64_C(0xffff800000070000) },
	{ VMCS_HOST_GDTR_BASE, UINT64_C(0xffff800000060000) },
	{ VMCS_HOST_IDTR_BASE, UINT64_C(0xffff800000050000) },
	{ VMCS_HOST_RIP, UINT64_C(0xffffffff80100000) },
	{ VMCS_GUEST_IA32_PAT, UINT64_C(0x0007040600070406) },
	{ VMCS_GUEST_DR7, 0x400 },
	{ VMCS_GUEST_RFLAGS, 2 },
	{ VMCS_GUEST_RIP, 0x1000 },
	{ VMCS_GUEST_GDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_IDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_TR_LIMIT, 0x67 },
	{ VMCS_GUEST_TR_ACCESS_RIGHTS, 0x8b },
	{ VMCS_GUEST_LDTR_ACCESS_RIGHTS, VMX_AR_UNUSABLE },
};

/* What a CPU offers of the bits, and what it insists on. */
static uint32_t controls(uint64_t msr, uint64_t wanted)
{
	return VMX_MUST_BE_1(msr) | ((uint32_t)wanted & VMX_MAY_BE_1(msr));
}

static void good_controls(const struct vmx_cap_msrs *c)
{
	*place(&image, VMCS_PIN_BASED_CONTROLS) =
		controls(c->pin, VMX_PIN_INTR_EXITING | VMX_PIN_NMI_EXITING | VMX_PIN_VIRTUAL_NMIS);
	*place(&image, VMCS_PRIMARY_CONTROLS) =
		controls(c->cpu, VMX_CPU_TPR_SHADOW | VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS |
	                                 VMX_CPU_SECONDARY);
	*place(&image, VMCS_SECONDARY_CONTROLS) =
		controls(c->cpu2, VMX_CPU2_EPT | VMX_CPU2_VPID | VMX_CPU2_UNRESTRICTED_GUEST |
	                                  VMX_CPU2_TSC_SCALING | VMX_CPU2_PAUSE_LOOP);
	*place(&image, VMCS_EXIT_CONTROLS) =
		controls(c->exit, VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_64 | VMX_EXIT_LOAD_PAT |
	                                  VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER);
	*place(&image, VMCS_ENTRY_CONTROLS) =
		controls(c->entry, VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER);
}

/* All six alike but for CS's access rights. */
static void good_segments(uint16_t selector, uint32_t limit, uint32_t cs, uint32_t data)
{
	for (unsigned i = X86_ES; i <= X86_GS; i++) {
		*place(&image, VMCS_GUEST_SELECTOR(i)) = selector;
		*place(&image, VMCS_GUEST_BASE(i)) = 0;
		*place(&image, VMCS_GUEST_LIMIT(i)) = limit;
		*place(&image, VMCS_GUEST_ACCESS_RIGHTS(i)) = i == X86_CS ? cs : data;
	}
}

static void good_registers(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	*place(&image, VMCS_GUEST_CR0) = cr0;
	*place(&image, VMCS_GUEST_CR4) = cr4 | 0x2000;
	*place(&image, VMCS_GUEST_IA32_EFER) = efer;
	if (efer & X86_EFER_LMA)
		*place(&image, VMCS_ENTRY_CONTROLS) |= VMX_ENTRY_IA32E;
}

static void good_v8086(void)
{
	good_segments(0x1234, 0xffff, 0xf3, 0xf3);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		*place(&image, VMCS_GUEST_BASE(i)) = 0x12340;
	*place(&image, VMCS_GUEST_RFLAGS) = X86_FLAG_VM | 0x3002;
}

static void good_mode(enum mode mode)
{
	switch (mode) {
	case LONG: good_segments(0x10, UINT32_MAX, 0xa09b, 0xc093); break;
	case LONG_USER: good_segments(0x1b, UINT32_MAX, 0xa0fb, 0xc0f3); break;
	case COMPAT: good_segments(0x1b, UINT32_MAX, 0xc0fb, 0xc0f3); break;
	case PAE: good_segments(0x10, UINT32_MAX, 0xc09b, 0xc093); break;
	case PAGING: good_segments(0x1b, UINT32_MAX, 0xc0fb, 0xc0f3); break;
	case V8086: good_v8086(); break;
	case REAL_RESET:
	case REAL: good_segments(0, 0xffff, 0x93, 0x93); break;
	case FLAT: good_segments(0x10, UINT32_MAX, 0xc09b, 0xc093); break;
	case MODES:
	default: fail(); break;
	}
	if (mode <= COMPAT)
		good_registers(0x80000031, X86_CR4_PAE, 0xd01);
	else if (mode <= V8086)
		good_registers(0x80000031, mode == PAE ? X86_CR4_PAE : 0, 0);
	else
		good_registers(mode == FLAT ? 0x31 : 0x30, 0, 0);
	if (mode == REAL_RESET) {
		*place(&image, VMCS_GUEST_CS_SELECTOR) = 0xf000;
		*place(&image, VMCS_GUEST_CS_BASE) = 0xffff0000;
	}
}

/* A VMCS that has to pass. */
static void good(const struct model_features *cpu, enum mode mode)
{
	memset(&image, 0, sizeof(image));
	image.caps = &cpu->caps;
	host_ia32e = true;
	good_controls(image.caps);
	APPLY(plain_settings);
	good_mode(mode);
}

/* The same of a host in protected mode. */
static void good_32(void)
{
	static const struct setting settings[] = {
		{ VMCS_HOST_IA32_EFER, 0 },
		{ VMCS_HOST_RIP, 0x100000 },
	};

	good(&rig_full, PAE);
	APPLY(settings);
	*place(&image, VMCS_EXIT_CONTROLS) &= ~VMX_EXIT_HOST_64;
	host_ia32e = false;
}

/* --- CPUs that there are not, for rules that no other could break --- */

struct model_features odd_cpu, poor_cpu;

static void make_cpus(void)
{
	odd_cpu = rig_full;
	odd_cpu.caps.cpu2 = (uint64_t)UINT32_MAX << 32;
	odd_cpu.caps.entry |= (VMX_ENTRY_SMM | VMX_ENTRY_DUAL_SMM) << 32;
	odd_cpu.caps.cr4_fixed1 |= VMX_CR4_CET;
	poor_cpu = rig_plain;
	poor_cpu.caps.basic |= VMX_BASIC_32BIT;
	poor_cpu.caps.misc = 0;
	poor_cpu.caps.cpu &= ~(VMX_CPU_MONITOR_TRAP << 32);
	poor_cpu.caps.ept_vpid &= ~VMX_EPT_CAP_UC;
}

static const struct model_features *const cpus[] = { &rig_plain, &rig_full, &rig_restricted,
	                                             &odd_cpu, &poor_cpu };

static bool has_mode(const struct model_features *cpu, enum mode mode)
{
	return mode < REAL || (VMX_MAY_BE_1(cpu->caps.cpu2) & VMX_CPU2_UNRESTRICTED_GUEST);
}

static void assert_passes(const char *what)
{
	const struct vmx_rule *rule = check_image(NULL);

	if (rule)
		fail_msg("%s breaks: %s", what, rule->name);
}

static void test_good(void **state)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(cpus) * MODES; i++) {
		if (!has_mode(cpus[i / MODES], i % MODES))
			continue;
		good(cpus[i / MODES], i % MODES);
		assert_passes(mode_names[i % MODES]);
	}
	good_32();
	assert_passes("a 32-bit host");
}

/* --- Each rule broken --- */

static void make_change(const struct change *c)
{
	uint64_t *value = place(&image, c->field);

	switch (c->op) {
	case TO: *value = c->value; break;
	case OR: *value |= c->value; break;
	case NOT: *value &= ~c->value; break;
	case END:
	default: fail(); break;
	}
	*value &= width_mask(c->field);
}

static void assert_breaks(const struct breaker *b)
{
	enum vmx_rule_group group;

	if (b->cpu)
		good(b->cpu, b->mode);
	else
		good_32();
	for (unsigned i = 0; i < HC_ARRAY_SIZE(b->before) && b->before[i].op; i++)
		make_change(&b->before[i]);
	assert_passes(b->rule);
	make_change(&b->change);
	const struct vmx_rule *rule = check_image(&group);

	if (!rule || strcmp(rule->name, b->rule))
		fail_msg("not broken: %s; but: %s", b->rule, rule ? rule->name : "none");
	if (!image.read[field_number(b->change.field)])
		fail_msg("it has nothing to do with the change: %s", b->rule);
}

static void test_breakers(void **state)
{
	for (unsigned i = 0; i < breaker_count; i++)
		assert_breaks(&breakers[i]);
}

static bool has_breaker(const struct vmx_rule *rule)
{
	for (unsigned i = 0; i < breaker_count; i++) {
		if (!strcmp(breakers[i].rule, rule->name))
			return true;
	}
	return false;
}

static void test_each_rule_has_a_breaker(void **state)
{
	static const char *const sections[] = { "27.2.1.", "27.2.", "27.3.1." };

	for (unsigned s = 0; s < VMX_RULE_SETS; s++) {
		const char *section = sections[vmx_rules[s]->group];

		for (unsigned i = 0; i < vmx_rules[s]->count; i++) {
			const struct vmx_rule *rule = &vmx_rules[s]->rules[i];

			if (!has_breaker(rule))
				fail_msg("no test breaks: %s", rule->name);
			assert_int_equal(strncmp(rule->section, section, strlen(section)), 0);
		}
	}
}

/* --- Random changes --- */

/* Fields that other rules than those about them look at, to see which mode they are in. */
static const uint32_t mode_fields[] = {
	VMCS_PIN_BASED_CONTROLS,
	VMCS_PRIMARY_CONTROLS,
	VMCS_SECONDARY_CONTROLS,
	VMCS_EXIT_CONTROLS,
	VMCS_ENTRY_CONTROLS,
	VMCS_ENTRY_INTERRUPTION_INFO,
	VMCS_GUEST_CR0,
	VMCS_GUEST_CR4,
	VMCS_GUEST_RFLAGS,
	VMCS_GUEST_ACTIVITY_STATE,
	VMCS_GUEST_CS_ACCESS_RIGHTS,
	VMCS_GUEST_LDTR_ACCESS_RIGHTS,
};

static bool is_mode_field(uint32_t field)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(mode_fields); i++) {
		if (mode_fields[i] == field)
			return true;
	}
	return false;
}

static uint64_t mutation(uint64_t *seed, uint64_t old)
{
	switch (test_below(seed, 4)) {
	case 0: return test_random(seed);
	case 1: return old + test_below(seed, 3) - 1;
	default: return old ^ HC_BIT(test_below(seed, 64));
	}
}

/* Other fields take no part: neither what is read-only nor what a CPU has no checks for. */
static void mutate(uint64_t *seed, const struct model_features *cpu, enum mode mode)
{
	unsigned field = (unsigned)test_below(seed, FIELDS);
	uint32_t encoding = encodings[field];

	good(cpu, mode);
	image.values[field] = mutation(seed, image.values[field]) & width_mask(encoding);
	const struct vmx_rule *rule = check_image(NULL);

	if (!rule)
		return;
	if (!image.read[field])
		fail_msg("%s was not looked at, but: %s", model_field_name(encoding), rule->name);
	if (!strstr(rule->name, model_field_name(encoding)) && !is_mode_field(encoding))
		fail_msg("%s breaks: %s", model_field_name(encoding), rule->name);
}

static void test_mutations(void **state)
{
	uint64_t seed = 0x5eed;

	for (unsigned i = 0; i < test_rounds(30000); i++) {
		const struct model_features *cpu = cpus[test_below(&seed, HC_ARRAY_SIZE(cpus))];
		enum mode mode = (enum mode)test_below(&seed, MODES);

		if (has_mode(cpu, mode))
			mutate(&seed, cpu, mode);
	}
}

/* Whatever a VMCS holds, the checks come to an end, and look at nothing that is not there. */
static void test_garbage(void **state)
{
	uint64_t seed = 0xbad;

	for (unsigned i = 0; i < test_rounds(3000); i++) {
		good(cpus[test_below(&seed, HC_ARRAY_SIZE(cpus))], LONG);
		for (unsigned n = 0; n < 40; n++) {
			unsigned field = (unsigned)test_below(&seed, FIELDS);

			image.values[field] =
				mutation(&seed, image.values[field]) & width_mask(encodings[field]);
		}
		host_ia32e = test_below(&seed, 2);
		(void)check_image(NULL);
	}
}

/* --- What a CPU of a later kind takes --- */

static void test_later_cpus(void **state)
{
	struct model_features later = rig_full;

	/* IA32_VMX_BASIC[56] */
	later.caps.basic |= HC_BIT(56);
	good(&later, LONG);
	*place(&image, VMCS_ENTRY_INTERRUPTION_INFO) = VMX_INFO_V | 3 << 8 | VMX_INFO_ERROR | 6;
	assert_passes("#UD with an error code");
	/* 57-bit linear addresses, 5-level EPT */
	later.caps.linear_bits = 57;
	later.caps.ept_vpid |= VMX_EPT_CAP_5_LEVELS;
	good(&later, LONG);
	*place(&image, VMCS_GUEST_FS_BASE) = HC_BIT(55);
	*place(&image, VMCS_EPT_POINTER) = 0x20026;
	assert_passes("5-level paging");
	/* software interrupts of length 0 */
	good(&rig_full, LONG);
	*place(&image, VMCS_ENTRY_INTERRUPTION_INFO) = VMX_INFO_V | 4 << 8 | 0x80;
	assert_passes("length 0");
}

/* --- What the backend makes of a CPU's capabilities --- */

/* A word of controls: where its MSR is, and what was chosen. */
static const struct word {
	size_t msr, chosen;
	const char *name;
	uint32_t default1; /* appendix A.2, but for what the TRUE MSRs let be 0 */
	uint32_t switched; /* set only while a vCPU wants it */
} words[] = {
#define WORD(field, name, default1, switched)                                                      \
	{                                                                                          \
		offsetof(struct vmx_cap_msrs, field), offsetof(struct vmx_caps, field), name,      \
			default1, (uint32_t)(switched)                                             \
	}
	WORD(pin, "pin-based", 0x16, 0),
	WORD(cpu, "primary", 0x04006172, VMX_CPU_INTR_WINDOW | VMX_CPU_NMI_WINDOW),
	WORD(cpu2, "secondary", 0, 0),
	WORD(exit, "exit", 0x36dfb, 0),
	WORD(entry, "entry", 0x11fb, VMX_ENTRY_IA32E),
};

enum { PIN_WORD, CPU_WORD, CPU2_WORD, EXIT_WORD, ENTRY_WORD, WORDS };

static uint64_t *msr_of(struct vmx_cap_msrs *m, unsigned word)
{
	return (uint64_t *)(void *)((char *)m + words[word].msr);
}

static uint32_t chosen_of(const struct vmx_caps *caps, unsigned word)
{
	uint32_t value;

	memcpy(&value, (const char *)caps + words[word].chosen, sizeof(value));
	return value;
}

static const struct {
	unsigned word;
	uint32_t bit;
	const char *name; /* or a part of it */
} required[] = {
	{ PIN_WORD, VMX_PIN_INTR_EXITING, "external-interrupt exiting" },
	{ PIN_WORD, VMX_PIN_NMI_EXITING, "NMI exiting" },
	{ PIN_WORD, VMX_PIN_VIRTUAL_NMIS, "virtual NMIs" },
	{ CPU_WORD, VMX_CPU_INTR_WINDOW, "interrupt-window exiting" },
	{ CPU_WORD, VMX_CPU_NMI_WINDOW, "NMI-window exiting" },
	{ CPU_WORD, VMX_CPU_TPR_SHADOW, "TPR shadow" },
	{ CPU_WORD, VMX_CPU_IO_BITMAPS, "I/O bitmaps" },
	{ CPU_WORD, VMX_CPU_MSR_BITMAPS, "MSR bitmaps" },
	{ CPU_WORD, VMX_CPU_HLT, "HLT exiting" },
	{ CPU_WORD, (uint32_t)VMX_CPU_SECONDARY, "secondary controls" },
	{ CPU2_WORD, VMX_CPU2_EPT, "EPT" },
	{ EXIT_WORD, VMX_EXIT_HOST_64, "host address-space size" },
	{ EXIT_WORD, VMX_EXIT_LOAD_PAT, "IA32_PAT" },
	{ EXIT_WORD, VMX_EXIT_SAVE_EFER, "IA32_EFER" },
	{ EXIT_WORD, VMX_EXIT_LOAD_EFER, "IA32_EFER" },
	{ ENTRY_WORD, VMX_ENTRY_IA32E, "IA-32e mode guest" },
	{ ENTRY_WORD, VMX_ENTRY_LOAD_PAT, "IA32_PAT" },
	{ ENTRY_WORD, VMX_ENTRY_LOAD_EFER, "IA32_EFER" },
};

static void test_caps_required(void **state)
{
	struct vmx_caps caps;
	char why[300];

	assert_int_equal(vmx_compute_caps(&caps, &rig_full.caps, why, sizeof(why)), 0);
	assert_int_equal(vmx_compute_caps(&caps, &rig_plain.caps, why, sizeof(why)), 0);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(required); i++) {
		struct vmx_cap_msrs m = rig_full.caps;

		*msr_of(&m, required[i].word) &= ~((uint64_t)required[i].bit << 32);
		assert_int_equal(vmx_compute_caps(&caps, &m, why, sizeof(why)), -EOPNOTSUPP);
		if (!strstr(why, required[i].name))
			fail_msg("without %s: %s", required[i].name, why);
	}
}

static void test_caps_ept(void **state)
{
	static const struct {
		uint64_t bits;
		const char *name;
	} needed[] = {
		{ VMX_EPT_CAP_4_LEVELS, "EPT of 4 levels" },
		{ VMX_EPT_CAP_WB, "write-back EPT" },
		{ VMX_EPT_CAP_INVEPT, "INVEPT" },
		{ VMX_EPT_CAP_INVEPT_ONE | VMX_EPT_CAP_INVEPT_ALL, "INVEPT" },
	};
	struct vmx_caps caps;
	char why[300];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(needed); i++) {
		struct vmx_cap_msrs m = rig_full.caps;

		m.ept_vpid &= ~needed[i].bits;
		assert_int_equal(vmx_compute_caps(&caps, &m, why, sizeof(why)), -EOPNOTSUPP);
		assert_non_null(strstr(why, needed[i].name));
	}
}

/* Some of what a CPU may have is gone, some of it is fixed. */
static void random_word(uint64_t *seed, struct vmx_cap_msrs *m, unsigned word)
{
	uint64_t *msr = msr_of(m, word);
	uint32_t must = VMX_MUST_BE_1(*msr), may = VMX_MAY_BE_1(*msr);

	if (test_below(seed, 2))
		may &= must | (uint32_t)~HC_BIT(test_below(seed, 32));
	if (test_below(seed, 4) == 0)
		may &= must | (uint32_t)test_random(seed);
	/* "Always 0" for the secondary controls (A.3.3) */
	if (word != CPU2_WORD && test_below(seed, 4) == 0)
		must |= may & (uint32_t)HC_BIT(test_below(seed, 32));
	*msr = (uint64_t)may << 32 | must;
}

/* What is asked for of CPUs that lack something else only. */
static uint32_t asked_of_others(unsigned word)
{
	switch (word) {
	case CPU_WORD: return (uint32_t)VMX_CPU_CR8_LOAD;
	case PIN_WORD: return (uint32_t)VMX_PIN_POSTED_INTR;
	case EXIT_WORD: return (uint32_t)VMX_EXIT_ACK_INTR;
	default: return 0;
	}
}

/* full: what is chosen of a CPU that has everything. */
static void check_word(const struct vmx_cap_msrs *m, const struct vmx_caps *caps,
                       const struct vmx_caps *full, unsigned word, int rc)
{
	struct vmx_cap_msrs copy = *m;
	uint64_t msr = *msr_of(&copy, word);
	uint32_t value = chosen_of(caps, word), must = VMX_MUST_BE_1(msr);

	if ((value & must) != must || (value & ~VMX_MAY_BE_1(msr)))
		fail_msg("%s controls %#x of %#llx", words[word].name, value,
		         (unsigned long long)msr);
	if (rc)
		return;
	/* What is fixed and not asked for means exits that nobody handles. */
	assert_int_equal(value & words[word].switched, 0);
	assert_int_equal(
		value & ~(chosen_of(full, word) | words[word].default1 | asked_of_others(word)), 0);
}

static void check_required(const struct vmx_caps *caps)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(required); i++) {
		if (!(words[required[i].word].switched & required[i].bit))
			assert_true(chosen_of(caps, required[i].word) & required[i].bit);
	}
}

/* What virtualizes the local APIC builds on each other. */
static void check_apic(const struct vmx_caps *caps)
{
	const uint64_t xapic = VMX_CPU2_APIC_ACCESSES | VMX_CPU2_APIC_REGISTERS;

	assert_int_equal(caps->cpu2 & xapic, caps->apic_registers ? xapic : 0);
	assert_int_equal(caps->cpu2 & VMX_CPU2_X2APIC_MODE, 0);
	assert_int_equal(!(caps->cpu2 & VMX_CPU2_VIRTUAL_INTERRUPTS), !caps->virtual_interrupts);
	assert_true(caps->apic_registers || !caps->x2apic_registers);
	assert_true(caps->x2apic_registers || !caps->virtual_interrupts);
	assert_true(caps->cpu & VMX_CPU_CR8_LOAD || caps->virtual_interrupts);
	assert_true(caps->virtual_interrupts || !caps->posted_interrupts);
	if (caps->posted_interrupts)
		assert_true(caps->pin & VMX_PIN_POSTED_INTR && caps->exit & VMX_EXIT_ACK_INTR);
	else
		assert_false((caps->pin & ~VMX_MUST_BE_1(caps->msrs.pin)) & VMX_PIN_POSTED_INTR);
}

static void test_caps_random(void **state)
{
	uint64_t seed = 0xca95;
	unsigned accepted = 0;
	struct vmx_caps full;

	assert_int_equal(vmx_compute_caps(&full, &odd_cpu.caps, NULL, 0), 0);
	for (unsigned i = 0; i < test_rounds(20000); i++) {
		struct vmx_cap_msrs m = rig_full.caps;
		struct vmx_caps caps;
		char why[64];
		size_t size = 1 + test_below(&seed, sizeof(why) - 1);

		memset(why, 0x55, sizeof(why));
		for (unsigned word = 0; word < WORDS; word++) {
			if (test_below(&seed, 4) == 0)
				random_word(&seed, &m, word);
		}
		int rc = vmx_compute_caps(&caps, &m, why, size);

		for (unsigned word = 0; word < WORDS; word++)
			check_word(&m, &caps, &full, word, rc);
		assert_int_equal(caps.vpid, (caps.cpu2 & VMX_CPU2_VPID) != 0);
		assert_int_equal(why[size], 0x55);
		if (rc == 0) {
			check_required(&caps);
			check_apic(&caps);
			accepted++;
		} else {
			assert_int_equal(rc, -EOPNOTSUPP);
			assert_non_null(memchr(why, 0, size));
		}
	}
	assert_in_range(accepted, 100, 19900 * (uint64_t)test_rounds(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_breakers),
		cmocka_unit_test(test_each_rule_has_a_breaker),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_later_cpus),
		cmocka_unit_test(test_caps_required),
		cmocka_unit_test(test_caps_ept),
		cmocka_unit_test(test_caps_random),
	};

	make_cpus();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
