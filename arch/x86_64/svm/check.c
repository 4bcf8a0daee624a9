/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * APM Vol. 2 15.5.1 "Basic Operation", under "Canonicalization and Consistency Checks", and the
 * conditions that other sections add to it. One function per rule.
 */
#include "arch/x86_64/svm/check.h"

#include <hypercore/x86_state.h>

#define RULE(id) static bool id(const struct vmcb *v, const struct svm_limits *l)

static bool long_paging(const struct vmcb *v)
{
	return (v->efer & X86_EFER_LME) && (v->cr0 & X86_CR0_PG);
}

static uint64_t phys_mask(const struct svm_limits *l)
{
	return (UINT64_C(1) << l->phys_bits) - 1;
}

RULE(efer_svme)
{
	return !(v->efer & X86_EFER_SVME);
}

RULE(efer_reserved)
{
	return (v->efer & ~l->efer_valid) != 0;
}

RULE(efer_no_long_mode)
{
	return !l->long_mode && (v->efer & (X86_EFER_LMA | X86_EFER_LME));
}

RULE(cr0_cd_nw)
{
	return !(v->cr0 & X86_CR0_CD) && (v->cr0 & X86_CR0_NW);
}

RULE(cr0_high)
{
	return v->cr0 >> 32 != 0;
}

RULE(cr3_reserved)
{
	return long_paging(v) && (v->cr3 & ~phys_mask(l));
}

RULE(cr4_reserved)
{
	return (v->cr4 & ~l->cr4_valid) != 0;
}

RULE(dr6_high)
{
	return v->dr6 >> 32 != 0;
}

RULE(dr7_high)
{
	return v->dr7 >> 32 != 0;
}

RULE(long_mode_pae)
{
	return long_paging(v) && !(v->cr4 & X86_CR4_PAE);
}

RULE(long_mode_pe)
{
	return long_paging(v) && !(v->cr0 & X86_CR0_PE);
}

RULE(long_mode_cs)
{
	return long_paging(v) && (v->cr4 & X86_CR4_PAE) && (v->cs.attr & X86_ATTR_L) &&
	       (v->cs.attr & X86_ATTR_DB);
}

RULE(vmrun_intercept)
{
	return !(v->intercept[1] & SVM_INTERCEPT_MASK(SVM_I_VMRUN));
}

/* [pa, pa + size) within the physical address space; the low 12 bits of pa are ignored. */
static bool beyond(uint64_t pa, uint64_t size, const struct svm_limits *l)
{
	uint64_t end = (pa & ~(HC_PAGE_SIZE - 1)) + size;

	return pa > phys_mask(l) || end > phys_mask(l) + 1;
}

RULE(msrpm_address)
{
	return (v->intercept[0] & SVM_INTERCEPT_MASK(SVM_I_MSR)) &&
	       beyond(v->msrpm_pa, SVM_MSRPM_SIZE, l);
}

RULE(iopm_address)
{
	return (v->intercept[0] & SVM_INTERCEPT_MASK(SVM_I_IOIO)) &&
	       beyond(v->iopm_pa, SVM_IOPM_SIZE, l);
}

RULE(asid_zero)
{
	return v->asid == 0;
}

RULE(asid_range)
{
	return v->asid >= l->asids;
}

RULE(tlb_control)
{
	switch (v->tlb_control) {
	case SVM_TLB_NONE:
	case SVM_TLB_FLUSH_ALL: return false;
	case SVM_TLB_FLUSH_ASID:
	case SVM_TLB_FLUSH_ASID_NON_GLOBAL: return !l->flush_by_asid;
	default: return true;
	}
}

RULE(event_type)
{
	unsigned known = 1u << X86_EVENT_INTR | 1u << X86_EVENT_NMI | 1u << X86_EVENT_EXCEPTION |
	                 1u << X86_EVENT_SOFT_INT;

	return (v->eventinj & SVM_EVENT_V) && !(known >> SVM_EVENT_TYPE(v->eventinj) & 1);
}

RULE(event_vector)
{
	uint8_t vector = SVM_EVENT_VECTOR(v->eventinj);

	return (v->eventinj & SVM_EVENT_V) && SVM_EVENT_TYPE(v->eventinj) == X86_EVENT_EXCEPTION &&
	       (vector == X86_VEC_NMI || vector > 31);
}

RULE(ncr3_reserved)
{
	return (v->np_control & SVM_NP_ENABLE) && (v->n_cr3 & ~phys_mask(l));
}

RULE(gpat_type)
{
	const unsigned known = 1u << 0 | 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7;

	if (!(v->np_control & SVM_NP_ENABLE))
		return false;
	for (unsigned i = 0; i < 8; i++) {
		unsigned type = (unsigned)hc_bits(v->g_pat, 8 * i + 7, 8 * i);

		if (type > 7 || !(known >> type & 1))
			return true;
	}
	return false;
}

#define BASIC  "15.5.1"
#define EVENTS "15.20"
#define NESTED "15.25.4"

const struct svm_rule svm_rules[] = {
	{ "EFER.SVME is set", BASIC, efer_svme },
	{ "reserved bits of EFER are clear", BASIC, efer_reserved },
	{ "EFER.LME and LMA are clear without long mode", BASIC, efer_no_long_mode },
	{ "CR0.NW is clear unless CR0.CD is set", BASIC, cr0_cd_nw },
	{ "CR0[63:32] is clear", BASIC, cr0_high },
	{ "reserved bits of CR3 are clear", BASIC, cr3_reserved },
	{ "reserved bits of CR4 are clear", BASIC, cr4_reserved },
	{ "DR6[63:32] is clear", BASIC, dr6_high },
	{ "DR7[63:32] is clear", BASIC, dr7_high },
	{ "EFER.LME and CR0.PG imply CR4.PAE", BASIC, long_mode_pae },
	{ "EFER.LME and CR0.PG imply CR0.PE", BASIC, long_mode_pe },
	{ "CS.L and CS.D are not both set in long mode", BASIC, long_mode_cs },
	{ "VMRUN is intercepted", BASIC, vmrun_intercept },
	{ "the MSRPM is within the physical address space", BASIC, msrpm_address },
	{ "the IOPM is within the physical address space", BASIC, iopm_address },
	{ "the ASID is not 0", BASIC, asid_zero },
	{ "the ASID exists", "15.16", asid_range },
	{ "TLB_CONTROL is not a reserved encoding", "15.16.2", tlb_control },
	{ "the type of EVENTINJ is not reserved", EVENTS, event_type },
	{ "the vector of EVENTINJ is an exception's", EVENTS, event_vector },
	{ "reserved bits of nCR3 are clear", NESTED, ncr3_reserved },
	{ "gPAT holds memory types", NESTED, gpat_type },
};

const unsigned svm_rule_count = HC_ARRAY_SIZE(svm_rules);

const struct svm_rule *svm_check(const struct vmcb *vmcb, const struct svm_limits *limits)
{
	for (unsigned i = 0; i < svm_rule_count; i++) {
		if (svm_rules[i].broken(vmcb, limits))
			return &svm_rules[i];
	}
	return NULL;
}

/* Control bits that exist where a CPUID bit says so. */
struct gated_bits {
	uint64_t bits;
	uint32_t leaf;
	uint8_t reg, bit; /* reg: 0 EAX .. 3 EDX */
};

#define ALWAYS 0xff

static const struct gated_bits cr4_bits[] = {
	{ 0x7ff, 0, 0, ALWAYS }, /* VME .. OSXMMEXCPT: on every CPU with SVM */
	{ X86_CR4_UMIP, 7, 2, 2 },   { X86_CR4_LA57, 7, 2, 16 },
	{ HC_BIT(16), 7, 1, 0 }, /* FSGSBASE */
	{ X86_CR4_PCIDE, 1, 2, 17 }, { X86_CR4_OSXSAVE, 1, 2, 26 },
	{ X86_CR4_SMEP, 7, 1, 7 },   { X86_CR4_SMAP, 7, 1, 20 },
	{ X86_CR4_PKE, 7, 2, 3 },    { HC_BIT(23), 7, 2, 7 }, /* CET */
};

static const struct gated_bits efer_bits[] = {
	{ X86_EFER_SCE | X86_EFER_SVME, 0, 0, ALWAYS },
	{ X86_EFER_LME | X86_EFER_LMA, 0x80000001, 3, 29 },
	{ X86_EFER_NXE, 0x80000001, 3, 20 },
	{ HC_BIT(13), 0, 0, ALWAYS },      /* LMSLE: told by family, not by CPUID */
	{ HC_BIT(14), 0x80000001, 3, 25 }, /* FFXSR */
	{ HC_BIT(15), 0x80000001, 2, 17 }, /* TCE */
	{ HC_BIT(17), 0x80000008, 1, 8 },  /* MCOMMIT */
	{ HC_BIT(18), 0x80000008, 1, 13 }, /* INTWB */
	{ HC_BIT(20), 0x80000021, 0, 7 },  /* UAIE */
	{ HC_BIT(21), 0x80000021, 0, 8 },  /* AIBRSE */
};

typedef void (*cpuid_fn)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

static bool cpuid_bit(cpuid_fn cpuid, const struct gated_bits *g)
{
	uint32_t regs[4];

	cpuid(g->leaf & 0x80000000, 0, regs);
	if (regs[0] < g->leaf)
		return false;
	cpuid(g->leaf, 0, regs);
	return regs[g->reg] >> g->bit & 1;
}

static uint64_t valid_bits(cpuid_fn cpuid, const struct gated_bits *g, size_t count)
{
	uint64_t valid = 0;

	for (; count; g++, count--) {
		if (g->bit == ALWAYS || cpuid_bit(cpuid, g))
			valid |= g->bits;
	}
	return valid;
}

void svm_limits_from_cpuid(struct svm_limits *limits, cpuid_fn cpuid)
{
	uint32_t svm[4], sizes[4], ext[4];

	cpuid(0x8000000a, 0, svm);
	cpuid(0x80000008, 0, sizes);
	cpuid(0x80000001, 0, ext);
	limits->cr4_valid = valid_bits(cpuid, cr4_bits, HC_ARRAY_SIZE(cr4_bits));
	limits->efer_valid = valid_bits(cpuid, efer_bits, HC_ARRAY_SIZE(efer_bits));
	limits->phys_bits = (uint8_t)sizes[0];
	limits->long_mode = ext[3] >> 29 & 1;
	limits->flush_by_asid = svm[3] >> 6 & 1;
	limits->asids = svm[1];
}
