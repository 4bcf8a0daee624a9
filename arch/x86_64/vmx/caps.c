/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU offers (SDM Vol. 3D appendix A), and what of it is needed and used. */
#include "arch/x86_64/vmx/caps.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"
#include "mmu/stage2.h"

struct vmx_caps vmx_caps;

enum need {
	NEEDED,  /* has to be there, and is set */
	WANTED,  /* is set where it is there */
	SWITCHED /* has to be there and may not be fixed: is set and cleared while a vCPU runs */
};

struct control {
	uint32_t bit;
	enum need need;
	const char *name; /* the manual's, where it may be missing for good */
};

static const struct control pin_controls[] = {
	{ VMX_PIN_INTR_EXITING, NEEDED, "external-interrupt exiting" },
	{ VMX_PIN_NMI_EXITING, NEEDED, "NMI exiting" },
	{ VMX_PIN_VIRTUAL_NMIS, NEEDED, "virtual NMIs" },
	{ VMX_PIN_PREEMPTION_TIMER, WANTED, NULL },
};

static const struct control cpu_controls[] = {
	{ VMX_CPU_INTR_WINDOW, SWITCHED, "interrupt-window exiting" },
	{ VMX_CPU_TSC_OFFSETTING, NEEDED, "TSC offsetting" },
	{ VMX_CPU_HLT, NEEDED, "HLT exiting" },
	{ VMX_CPU_MWAIT, NEEDED, "MWAIT exiting" },
	{ VMX_CPU_RDPMC, NEEDED, "RDPMC exiting" },
	{ VMX_CPU_CR8_LOAD, NEEDED, "CR8-load exiting" },
	{ VMX_CPU_TPR_SHADOW, NEEDED, "TPR shadow" },
	{ VMX_CPU_NMI_WINDOW, SWITCHED, "NMI-window exiting" },
	{ VMX_CPU_IO_BITMAPS, NEEDED, "I/O bitmaps" },
	{ VMX_CPU_MSR_BITMAPS, NEEDED, "MSR bitmaps" },
	{ VMX_CPU_MONITOR, NEEDED, "MONITOR exiting" },
	{ VMX_CPU_SECONDARY, NEEDED, "secondary controls" },
};

static const struct control cpu2_controls[] = {
	{ VMX_CPU2_APIC_ACCESSES, WANTED, NULL },  { VMX_CPU2_EPT, NEEDED, "EPT" },
	{ VMX_CPU2_RDTSCP, WANTED, NULL },         { VMX_CPU2_VPID, WANTED, NULL },
	{ VMX_CPU2_WBINVD, WANTED, NULL },         { VMX_CPU2_UNRESTRICTED_GUEST, WANTED, NULL },
	{ VMX_CPU2_APIC_REGISTERS, WANTED, NULL }, { VMX_CPU2_PAUSE_LOOP, WANTED, NULL },
	{ VMX_CPU2_INVPCID, WANTED, NULL },        { VMX_CPU2_ENCLS, WANTED, NULL },
	{ VMX_CPU2_XSAVES, WANTED, NULL },
};

static const struct control exit_controls[] = {
	{ VMX_EXIT_SAVE_DEBUG, NEEDED, "save debug controls" },
	{ VMX_EXIT_HOST_64, NEEDED, "host address-space size" },
	{ VMX_EXIT_LOAD_PAT, NEEDED, "load IA32_PAT on exit" },
	{ VMX_EXIT_SAVE_EFER, NEEDED, "save IA32_EFER" },
	{ VMX_EXIT_LOAD_EFER, NEEDED, "load IA32_EFER on exit" },
	{ VMX_EXIT_SAVE_PREEMPTION, WANTED, NULL },
};

static const struct control entry_controls[] = {
	{ VMX_ENTRY_LOAD_DEBUG, NEEDED, "load debug controls" },
	{ VMX_ENTRY_IA32E, SWITCHED, "IA-32e mode guest" },
	{ VMX_ENTRY_LOAD_PAT, NEEDED, "load IA32_PAT on entry" },
	{ VMX_ENTRY_LOAD_EFER, NEEDED, "load IA32_EFER on entry" },
};

/* One word of controls. Bits that are 1 on all CPUs and mean nothing: the default1 class (appendix
 * A.2) but for CR3-load and CR3-store exiting. */
static const struct word {
	size_t msr, value; /* in struct vmx_cap_msrs, struct vmx_caps */
	const struct control *controls;
	unsigned count;
	uint32_t default1;
	const char *name;
} words[] = {
#define WORD(field, default1, name)                                                                \
	{                                                                                          \
		offsetof(struct vmx_cap_msrs, field), offsetof(struct vmx_caps, field),            \
			field##_controls, HC_ARRAY_SIZE(field##_controls), default1, name          \
	}
	WORD(pin, 0x00000016, "pin-based"), WORD(cpu, 0x04006172, "primary"),
	WORD(cpu2, 0, "secondary"),         WORD(exit, 0x00036dff, "exit"),
	WORD(entry, 0x000011ff, "entry"),
#undef WORD
};

/* --- What is missing --- */

struct list {
	char text[256];
	unsigned count;
};

static void miss(struct list *l, const char *name)
{
	size_t len = strlen(l->text);

	hc_snprintf(l->text + len, sizeof(l->text) - len, "%s%s", l->count++ ? ", " : "", name);
}

static void miss_zero(struct list *l, const struct word *w, uint32_t bits)
{
	char name[64];

	hc_snprintf(name, sizeof(name), "a 0 for %s control bit %d", w->name, __builtin_ctz(bits));
	miss(l, name);
}

static uint32_t choose(const struct word *w, uint64_t msr, struct list *missing)
{
	uint32_t must = VMX_MUST_BE_1(msr), may = VMX_MAY_BE_1(msr), value = must;
	uint32_t expected = w->default1;

	for (unsigned i = 0; i < w->count; i++) {
		const struct control *c = &w->controls[i];

		if (c->need != WANTED && !(may & c->bit))
			miss(missing, c->name);
		if (c->need != SWITCHED) {
			value |= c->bit & may;
			expected |= c->bit;
		}
	}
	/* Exits that nothing here handles, or modes that nobody asked for. */
	if (must & ~expected)
		miss_zero(missing, w, must & ~expected);
	return value;
}

static const struct {
	uint64_t bits; /* all of them */
	const char *name;
} ept_needs[] = {
	{ VMX_EPT_CAP_4_LEVELS, "EPT of 4 levels" },
	{ VMX_EPT_CAP_WB, "write-back EPT" },
	{ VMX_EPT_CAP_INVEPT, "INVEPT" },
};

static void check_ept(uint64_t ept, struct list *missing)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(ept_needs); i++)
		if ((ept & ept_needs[i].bits) != ept_needs[i].bits)
			miss(missing, ept_needs[i].name);
	if (ept & VMX_EPT_CAP_INVEPT && !(ept & (VMX_EPT_CAP_INVEPT_ONE | VMX_EPT_CAP_INVEPT_ALL)))
		miss(missing, "types of INVEPT");
}

static void check_basic(uint64_t basic, struct list *missing)
{
	if (!(basic & VMX_BASIC_TRUE))
		miss(missing, "TRUE control MSRs");
	if (basic & VMX_BASIC_32BIT)
		miss(missing, "64-bit VMCS addresses");
	if (VMX_BASIC_SIZE(basic) > HC_PAGE_SIZE)
		miss(missing, "a VMCS of at most 4 KiB");
	if (VMX_BASIC_TYPE(basic) != 6)
		miss(missing, "a write-back VMCS");
}

/* --- The whole --- */

/* The preemption timer goes on where an exit stopped it, or it would have to be written at each
 * entry. */
static void choose_timer(struct vmx_caps *c)
{
	c->preemption_timer =
		c->pin & VMX_PIN_PREEMPTION_TIMER && c->exit & VMX_EXIT_SAVE_PREEMPTION;
	if (c->preemption_timer)
		return;
	c->pin &= ~(uint32_t)VMX_PIN_PREEMPTION_TIMER | VMX_MUST_BE_1(c->msrs.pin);
	c->exit &= ~(uint32_t)VMX_EXIT_SAVE_PREEMPTION | VMX_MUST_BE_1(c->msrs.exit);
}

/* Without INVVPID of all contexts, VPIDs could not be handed out a second time. */
static void set_flags(struct vmx_caps *c)
{
	const uint64_t all_vpids = VMX_EPT_CAP_INVVPID | VMX_EPT_CAP_INVVPID_ALL;
	const uint64_t apic = VMX_CPU2_APIC_ACCESSES | VMX_CPU2_APIC_REGISTERS;
	uint64_t ept = c->msrs.ept_vpid;

	if ((ept & all_vpids) != all_vpids)
		c->cpu2 &= ~(uint32_t)VMX_CPU2_VPID;
	if ((c->cpu2 & apic) != apic)
		c->cpu2 &= ~(uint32_t)apic;
	c->apic_registers = c->cpu2 & VMX_CPU2_APIC_REGISTERS;
	choose_timer(c);
	c->unrestricted_guest = c->cpu2 & VMX_CPU2_UNRESTRICTED_GUEST;
	c->vpid = c->cpu2 & VMX_CPU2_VPID;
	c->pause_loop = c->cpu2 & VMX_CPU2_PAUSE_LOOP;
	c->rdtscp = c->cpu2 & VMX_CPU2_RDTSCP;
	c->invpcid = c->cpu2 & VMX_CPU2_INVPCID;
	c->xsaves = c->cpu2 & VMX_CPU2_XSAVES;
	c->ept_ad = ept & VMX_EPT_CAP_AD;
	c->page_log = c->ept_ad && VMX_MAY_BE_1(c->msrs.cpu2) & VMX_CPU2_PML;
	c->tsc_scaling = VMX_MAY_BE_1(c->msrs.cpu2) & VMX_CPU2_TSC_SCALING;
	c->invept_one = ept & VMX_EPT_CAP_INVEPT_ONE;
}

int vmx_compute_caps(struct vmx_caps *caps, const struct vmx_cap_msrs *m, char *why, size_t size)
{
	struct list missing = { .count = 0 };

	memset(caps, 0, sizeof(*caps));
	caps->msrs = *m;
	check_basic(m->basic, &missing);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(words); i++) {
		const uint64_t *msr = (const void *)((const char *)m + words[i].msr);
		uint32_t *value = (void *)((char *)caps + words[i].value);

		*value = choose(&words[i], *msr, &missing);
	}
	if (VMX_MAY_BE_1(m->cpu2) & VMX_CPU2_EPT)
		check_ept(m->ept_vpid, &missing);
	set_flags(caps);
	/* Unrestricted guests may do without protection and paging (SDM Vol. 3C 24.8). */
	caps->cr0_fixed = m->cr0_fixed0;
	if (caps->unrestricted_guest)
		caps->cr0_fixed &= ~(X86_CR0_PE | X86_CR0_PG);
	caps->cr4_fixed = m->cr4_fixed0;
	caps->gpa_bits = (uint8_t)hc_min(m->phys_bits, 48);
	if (!missing.count)
		return 0;
	hc_snprintf(why, size, "VT-x without %s, which %s required", missing.text,
	            missing.count == 1 ? "is" : "are");
	return -EOPNOTSUPP;
}

uint64_t vmx_ept_page(void)
{
	uint64_t ept = vmx_caps.msrs.ept_vpid;

	if (ept & VMX_EPT_CAP_2M)
		return ept & VMX_EPT_CAP_1G ? S2_PAGE_1G : S2_PAGE_2M;
	return S2_PAGE_4K;
}

/* --- The calling CPU --- */

static void read_controls(struct vmx_cap_msrs *m)
{
	bool is_true = m->basic & VMX_BASIC_TRUE;

	m->pin = x86_host_rdmsr(is_true ? MSR_IA32_VMX_TRUE_PINBASED_CTLS
	                                : MSR_IA32_VMX_PINBASED_CTLS);
	m->cpu = x86_host_rdmsr(is_true ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS
	                                : MSR_IA32_VMX_PROCBASED_CTLS);
	m->exit = x86_host_rdmsr(is_true ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
	m->entry = x86_host_rdmsr(is_true ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
	/* The others exist where the controls before them do (appendix A.3.3, A.10, A.11). */
	if (VMX_MAY_BE_1(m->cpu) & VMX_CPU_SECONDARY)
		m->cpu2 = x86_host_rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
	if (VMX_MAY_BE_1(m->cpu2) & (VMX_CPU2_EPT | VMX_CPU2_VPID))
		m->ept_vpid = x86_host_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	if (VMX_MAY_BE_1(m->cpu2) & VMX_CPU2_VMFUNC)
		m->vmfunc = x86_host_rdmsr(MSR_IA32_VMX_VMFUNC);
}

void vmx_read_cap_msrs(struct vmx_cap_msrs *m)
{
	uint32_t regs[4];

	memset(m, 0, sizeof(*m));
	m->basic = x86_host_rdmsr(MSR_IA32_VMX_BASIC);
	m->misc = x86_host_rdmsr(MSR_IA32_VMX_MISC);
	m->cr0_fixed0 = x86_host_rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	m->cr0_fixed1 = x86_host_rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	m->cr4_fixed0 = x86_host_rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	m->cr4_fixed1 = x86_host_rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	read_controls(m);
	x86_host_cpuid(0x80000008, 0, regs);
	m->phys_bits = (uint8_t)regs[0];
	m->linear_bits = (uint8_t)(regs[0] >> 8);
}

int vmx_cpu_usable(const char **why)
{
	uint32_t regs[4];

	*why = "the CPU has no VT-x";
	x86_host_cpuid(0, 0, regs);
	if (regs[0] < 1)
		return -ENODEV;
	x86_host_cpuid(1, 0, regs);
	if (!(regs[2] >> 5 & 1))
		return -ENODEV;
	uint64_t control = x86_host_rdmsr(MSR_IA32_FEATURE_CONTROL);

	*why = "VT-x is locked by firmware (IA32_FEATURE_CONTROL): enable it in the firmware's "
	       "setup";
	if (control & VMX_FEATURE_CONTROL_LOCK && !(control & VMX_FEATURE_CONTROL_OUTSIDE_SMX))
		return -EPERM;
	return 0;
}
