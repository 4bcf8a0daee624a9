/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/el2_cpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/platform.h"

struct model_features model_features;
struct model_cpu model_cpus[MODEL_CPUS];
uint64_t model_now, model_par;
unsigned model_tlbi_vmall, model_tlbi_pages, model_tlbi_local, model_tlbi_all;
unsigned model_complaints;
char model_complaint[160];

static unsigned this_cpu;
static const struct model_step *script;
static uint32_t gich[0x100]; /* GICv2's control block; banked as the CPUs are, one at a time */

#define CLEANED 64
static struct {
	const char *p;
	uint64_t size;
} cleaned[CLEANED];
static unsigned cleaned_count;

static __attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...)
{
	va_list ap;

	if (model_complaints++)
		return;
	va_start(ap, fmt);
	vsnprintf(model_complaint, sizeof(model_complaint), fmt, ap);
	va_end(ap);
}

struct model_cpu *model_this(void)
{
	return &model_cpus[this_cpu];
}

void model_be(unsigned cpu)
{
	this_cpu = cpu;
	test_platform_be(cpu);
}

void model_script(const struct model_step *steps)
{
	script = steps;
}

/* --- ID registers --- */

static uint64_t mmfr0(const struct model_features *f)
{
	return f->parange | (uint64_t)(f->no_4k ? 1 : 0) << 40 | (uint64_t)f->fgt << 56;
}

static uint64_t mmfr1(const struct model_features *f)
{
	return (f->vmid16 ? UINT64_C(2) << 4 : 0) | (uint64_t)f->vhe << 8 | (uint64_t)f->lor << 16 |
	       (uint64_t)f->hcx << 40;
}

static uint64_t dfr0(const struct model_features *f)
{
	return (uint64_t)f->trace << 4 | (f->pmu ? UINT64_C(4) << 8 : 0) |
	       (uint64_t)(f->breakpoints - 1) << 12 | (uint64_t)(f->watchpoints - 1) << 20 |
	       (uint64_t)f->spe << 32 | (uint64_t)f->trace << 40;
}

uint64_t a64_host_id(uint32_t number)
{
	const struct model_features *f = &model_features;

	switch (number) {
	case A64_SYSREG(3, 0, 0, 0, 0): return 0x410fd0c1;
	case A64_SYSREG(3, 0, 0, 4, 0): return (uint64_t)f->ras << 28 | (uint64_t)f->amu << 44;
	case A64_SYSREG(3, 0, 0, 5, 0): return dfr0(f);
	case A64_SYSREG(3, 0, 0, 7, 0): return mmfr0(f);
	case A64_SYSREG(3, 0, 0, 7, 1): return mmfr1(f);
	default: return 0;
	}
}

/* --- Registers --- */

static const struct {
	enum el2_register reg;
	const char *name;
} names[] = {
#define NAME(name, ...) { EL2_##name, #name },
	EL2_REGISTERS(NAME)
#undef NAME
};

static const char *name_of(enum el2_register reg)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(names); i++)
		if (names[i].reg == reg)
			return names[i].name;
	return NULL;
}

static bool is_v3_usable(void)
{
	return model_features.gic_version == 3 && model_this()->reg[EL2_ICC_SRE_EL2] & ICC_SRE_SRE;
}

static bool exists(enum el2_register reg)
{
	const struct model_features *f = &model_features;

	if (reg == EL2_CURRENTEL)
		return true;
	if (f->no_el2)
		return false;
	switch (reg) {
	case EL2_VSESR_EL2: return f->ras;
	case EL2_HCRX_EL2: return f->hcx;
	case EL2_HFGRTR_EL2:
	case EL2_HFGWTR_EL2:
	case EL2_HFGITR_EL2:
	case EL2_HDFGRTR_EL2:
	case EL2_HDFGWTR_EL2: return f->fgt;
	case EL2_HAFGRTR_EL2: return f->fgt && f->amu;
	case EL2_PMCR_EL0:
	case EL2_PMUSERENR_EL0: return f->pmu;
	case EL2_ICC_SRE_EL2: return f->gic_version == 3;
	case EL2_ICH_HCR_EL2:
	case EL2_ICH_VTR_EL2: return is_v3_usable();
	default: return name_of(reg) != NULL;
	}
}

uint64_t el2_hw_read(enum el2_register reg)
{
	struct model_cpu *c = model_this();

	c->register_reads++;
	if (!exists(reg))
		complain("MRS of %s, which is UNDEFINED here", name_of(reg));
	if (reg == EL2_ICH_HCR_EL2)
		return c->gic.hcr;
	return c->reg[reg];
}

#define VTCR_RES1 HC_BIT(31)
/* Bits that no CPU without the features that the backend knows nothing of has. */
#define HCR_KNOWN                                                                                  \
	(HCR_VM | HCR_SWIO | HCR_PTW | HCR_FMO | HCR_IMO | HCR_AMO | HCR_VSE | HCR_FB |            \
	 HCR_BSU_INNER | HCR_TWI | HCR_TID3 | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_RW | HCR_E2H |  \
	 HCR_TLOR | HCR_TERR | HCR_TEA)

static void check_hcr(uint64_t value)
{
	const struct model_features *f = &model_features;
	uint64_t known = HCR_KNOWN;

	if (!f->ras)
		known &= ~(HCR_TERR | HCR_TEA);
	if (!f->lor)
		known &= ~HCR_TLOR;
	if (value & ~known)
		complain("HCR_EL2 = %#llx: reserved bits", (unsigned long long)value);
	if (((value & HCR_E2H) != 0) != f->vhe)
		complain("HCR_EL2.E2H changed");
}

static void check_cptr(uint64_t value)
{
	const struct model_features *f = &model_features;
	uint64_t tam = f->amu ? CPTR_TAM : 0;

	if (f->vhe && value & ~(CPTR_VHE_FPEN | tam | (f->trace ? CPTR_VHE_TTA : 0)))
		complain("CPTR_EL2 = %#llx: reserved bits", (unsigned long long)value);
	/* Without SVE and SME their bits are RES1. */
	if (!f->vhe && (value & 0x33ff) != 0x33ff)
		complain("CPTR_EL2 = %#llx: RES1 bits", (unsigned long long)value);
	if (!f->vhe && value & ~(0x33ff | CPTR_TFP | tam | (f->trace ? CPTR_TTA : 0)))
		complain("CPTR_EL2 = %#llx: reserved bits", (unsigned long long)value);
}

static void check_mdcr(uint64_t value)
{
	const struct model_features *f = &model_features;
	uint64_t known = MDCR_TDA | MDCR_TDOSA | MDCR_TDRA;

	if (f->pmu)
		known |= MDCR_TPM | MDCR_TPMCR | 0x1f;
	if (f->spe)
		known |= MDCR_TPMS;
	if (f->trace)
		known |= MDCR_TTRF;
	if (value != (f->pmu ? (known & ~UINT64_C(0x1f)) | 6 : known))
		complain("MDCR_EL2 = %#llx", (unsigned long long)value);
}

static void check_write(enum el2_register reg, uint64_t value)
{
	switch ((unsigned)reg) {
	case EL2_HCR_EL2: check_hcr(value); break;
	case EL2_CPTR_EL2: check_cptr(value); break;
	case EL2_MDCR_EL2: check_mdcr(value); break;
	case EL2_VTCR_EL2:
		if (!(value & VTCR_RES1) || (!model_features.vmid16 && value & VTCR_VS))
			complain("VTCR_EL2 = %#llx", (unsigned long long)value);
		break;
	case EL2_VTTBR_EL2:
		if (!model_features.vmid16 && value >> 56)
			complain("VTTBR_EL2 = %#llx: a VMID of more than 8 bits",
			         (unsigned long long)value);
		break;
	case EL2_CURRENTEL:
	case EL2_ICH_VTR_EL2: complain("MSR of %s, which is read only", name_of(reg)); break;
	default: break;
	}
}

void el2_hw_write(enum el2_register reg, uint64_t value)
{
	struct model_cpu *c = model_this();

	c->register_writes++;
	if (!exists(reg))
		complain("MSR of %s, which is UNDEFINED here", name_of(reg));
	check_write(reg, value);
	c->vttbr_writes += reg == EL2_VTTBR_EL2;
	c->hcr_writes += reg == EL2_HCR_EL2;
	c->unsynced = true;
	if (reg == EL2_ICH_HCR_EL2)
		c->gic.hcr = (uint32_t)value;
	else
		c->reg[reg] = value;
}

void el2_hw_isb(void)
{
	model_this()->unsynced = false;
}

uint64_t el2_hw_far(void)
{
	return model_this()->far;
}

uint64_t el2_hw_hpfar(void)
{
	return model_this()->hpfar;
}

static void check_synced(const char *what)
{
	if (model_this()->unsynced)
		complain("%s before an ISB after a register was written", what);
}

/* --- What EL1 has --- */

void el2_hw_save_el1(uint64_t sys[A64_SYS_COUNT], bool vhe)
{
	if (vhe != model_features.vhe)
		complain("EL1's registers by the wrong names");
	memcpy(sys, model_this()->el1, sizeof(model_this()->el1));
}

void el2_hw_load_el1(const uint64_t sys[A64_SYS_COUNT], bool vhe)
{
	if (vhe != model_features.vhe)
		complain("EL1's registers by the wrong names");
	memcpy(model_this()->el1, sys, sizeof(model_this()->el1));
	model_this()->el1_loads++;
}

/* With E2H set, the plain names of the virtual timer are those of EL2's own. */
static void check_timer_names(bool vhe)
{
	if (vhe != model_features.vhe)
		complain("the virtual timer by the wrong names");
}

void el2_hw_load_timer(uint64_t offset, uint64_t cval, uint32_t ctl, bool vhe)
{
	struct model_cpu *c = model_this();

	check_timer_names(vhe);
	if (ctl & ~3u)
		complain("CNTV_CTL_EL0 = %#x", ctl);
	c->cntvoff = offset;
	c->cntv_cval = cval;
	c->cntv_ctl = ctl;
}

uint32_t el2_hw_timer_ctl(bool vhe)
{
	struct model_cpu *c = model_this();
	bool due = (int64_t)(model_now - c->cntvoff - c->cntv_cval) >= 0;

	check_timer_names(vhe);
	return (uint32_t)c->cntv_ctl | (c->cntv_ctl & 1 && due ? 4 : 0);
}

uint64_t el2_hw_timer_cval(bool vhe)
{
	check_timer_names(vhe);
	return model_this()->cntv_cval;
}

void el2_hw_stop_timer(bool vhe)
{
	check_timer_names(vhe);
	model_this()->cntv_ctl = 0;
}

static bool vectors_trap(const struct model_cpu *c)
{
	uint64_t cptr = c->reg[EL2_CPTR_EL2];

	return model_features.vhe ? (cptr & CPTR_VHE_FPEN) != CPTR_VHE_FPEN
	                          : (cptr & CPTR_TFP) != 0;
}

static void check_vectors(void)
{
	check_synced("vectors used");
	if (vectors_trap(model_this()))
		complain("vectors used at EL2 while they are trapped");
}

void el2_hw_save_fp(uint64_t v[32][2], uint32_t *fpsr, uint32_t *fpcr)
{
	struct model_cpu *c = model_this();

	check_vectors();
	c->fp_saves++;
	memcpy(v, c->v, sizeof(c->v));
	*fpsr = c->fpsr;
	*fpcr = c->fpcr;
}

void el2_hw_load_fp(uint64_t v[32][2], uint32_t fpsr, uint32_t fpcr)
{
	struct model_cpu *c = model_this();

	check_vectors();
	c->fp_loads++;
	memcpy(c->v, v, sizeof(c->v));
	c->fpsr = fpsr;
	c->fpcr = fpcr;
}

void el2_hw_load_debug(const struct a64_state *st, unsigned breakpoints, unsigned watchpoints)
{
	struct model_cpu *c = model_this();

	if (breakpoints > model_features.breakpoints || watchpoints > model_features.watchpoints)
		complain("debug registers that are not there");
	memcpy(c->bvr, st->dbgbvr, breakpoints * sizeof(c->bvr[0]));
	memcpy(c->wvr, st->dbgwvr, watchpoints * sizeof(c->wvr[0]));
}

/* --- The virtual CPU interface --- */

static void check_lrs(const struct model_cpu *c)
{
	for (unsigned i = 0; i < A64_LIST_REGISTERS; i++) {
		uint64_t lr = c->gic.lr[i];

		if (!(lr & ICH_LR_STATE))
			continue;
		if (lr & ICH_LR_HW && (lr & ICH_LR_STATE) == ICH_LR_STATE)
			complain("list register %u: linked, pending and active", i);
		if (lr & ICH_LR_HW && !c->active[hc_bits(lr, 36, 32)])
			complain("list register %u: its physical interrupt is not active", i);
		for (unsigned j = 0; j < i; j++)
			if (c->gic.lr[j] & ICH_LR_STATE &&
			    ICH_LR_VINTID(c->gic.lr[j]) == ICH_LR_VINTID(lr))
				complain("list registers %u and %u hold the same interrupt", j, i);
	}
}

static void check_gic(uint32_t lrs, unsigned aprs)
{
	unsigned bits = model_features.preemption_bits;

	if (!is_v3_usable())
		complain("ICH_* registers are UNDEFINED here");
	if (lrs >> model_features.list_registers)
		complain("list registers %#x, of %u", lrs, model_features.list_registers);
	if (aprs != (bits <= 5 ? 1u : bits == 6 ? 2u : 4u))
		complain("%u active priorities registers", aprs);
}

void el2_hw_save_gic(struct a64_gic_cpu *gic, uint32_t lrs, unsigned aprs)
{
	const struct a64_gic_cpu *have = &model_this()->gic;

	check_gic(lrs, aprs);
	gic->hcr = have->hcr;
	gic->vmcr = have->vmcr;
	memcpy(gic->ap0r, have->ap0r, aprs * sizeof(gic->ap0r[0]));
	memcpy(gic->ap1r, have->ap1r, aprs * sizeof(gic->ap1r[0]));
	for (unsigned i = 0; i < A64_LIST_REGISTERS; i++)
		if (lrs >> i & 1)
			gic->lr[i] = have->lr[i];
}

void el2_hw_load_gic(const struct a64_gic_cpu *gic, uint32_t lrs, unsigned aprs)
{
	struct a64_gic_cpu *have = &model_this()->gic;

	check_gic(lrs, aprs);
	have->vmcr = gic->vmcr;
	memcpy(have->ap0r, gic->ap0r, aprs * sizeof(gic->ap0r[0]));
	memcpy(have->ap1r, gic->ap1r, aprs * sizeof(gic->ap1r[0]));
	for (unsigned i = 0; i < A64_LIST_REGISTERS; i++)
		if (lrs >> i & 1) {
			have->lr[i] = gic->lr[i];
			model_this()->lr_writes++;
		}
	have->hcr = gic->hcr;
}

void el2_hw_stop_gic(void)
{
	if (!is_v3_usable())
		complain("ICH_* registers are UNDEFINED here");
	model_this()->gic.hcr = 0;
}

/* --- Translations --- */

static uint16_t vmid_now(void)
{
	return (uint16_t)(model_this()->reg[EL2_VTTBR_EL2] >> 48);
}

void model_stage2_changed(hpa_t root, uint64_t gpa, uint64_t size)
{
	for (unsigned n = 0; n < MODEL_CPUS; n++)
		for (unsigned vmid = 0; vmid < MODEL_VMIDS; vmid++) {
			struct model_cpu *c = &model_cpus[n];

			if (c->tlb[vmid].root != root.v)
				continue;
			if (c->tlb[vmid].from == c->tlb[vmid].to) {
				c->tlb[vmid].from = gpa;
				c->tlb[vmid].to = gpa + size;
			}
			c->tlb[vmid].from = hc_min(c->tlb[vmid].from, gpa);
			c->tlb[vmid].to = hc_max(c->tlb[vmid].to, gpa + size);
		}
}

static void forget(unsigned cpu, unsigned vmid)
{
	memset(&model_cpus[cpu].tlb[vmid], 0, sizeof(model_cpus[cpu].tlb[vmid]));
}

void el2_hw_tlbi_vmall(void)
{
	check_synced("TLBI");
	model_tlbi_vmall++;
	for (unsigned n = 0; n < MODEL_CPUS; n++)
		forget(n, vmid_now());
}

/* Entries of the pages, on all CPUs; what is combined with stage 1 goes for all pages. */
void el2_hw_tlbi_ipa(gpa_t gpa, unsigned pages)
{
	uint64_t end = gpa.v + pages * HC_PAGE_SIZE;

	check_synced("TLBI");
	model_tlbi_pages++;
	for (unsigned n = 0; n < MODEL_CPUS; n++) {
		struct model_cpu *c = &model_cpus[n];
		unsigned vmid = vmid_now();

		c->tlb[vmid].vmpidr = 0;
		if (gpa.v <= c->tlb[vmid].from && end >= c->tlb[vmid].to)
			c->tlb[vmid].from = c->tlb[vmid].to = 0;
	}
}

/* Stage 1 and combined entries: of a changed stage 2, tables on the way may stay. */
void el2_hw_tlbi_local(void)
{
	check_synced("TLBI");
	model_tlbi_local++;
	model_this()->tlb[vmid_now()].vmpidr = 0;
}

void el2_hw_tlbi_all(void)
{
	model_tlbi_all++;
	for (unsigned n = 0; n < MODEL_CPUS; n++)
		memset(model_cpus[n].tlb, 0, sizeof(model_cpus[n].tlb));
}

void el2_hw_dsb_tables(void)
{
}

uint64_t el2_hw_translate(gva_t gva)
{
	return model_par;
}

void el2_hw_clean(const void *p, uint64_t size)
{
	cleaned[cleaned_count % CLEANED].p = p;
	cleaned[cleaned_count++ % CLEANED].size = size;
}

bool model_was_cleaned(const void *p)
{
	const char *at = p;

	for (unsigned i = 0; i < cleaned_count && i < CLEANED; i++)
		if (at >= cleaned[i].p && at < cleaned[i].p + cleaned[i].size)
			return true;
	return false;
}

static void use_translations(struct model_cpu *c)
{
	uint64_t root = hc_bits(c->reg[EL2_VTTBR_EL2], 47, 1) << 1, id = c->reg[EL2_VMPIDR_EL2];
	unsigned vmid = vmid_now();

	if (c->tlb[vmid].root && c->tlb[vmid].root != root)
		complain("VMID %u: translations of another VM", vmid);
	if (c->tlb[vmid].from != c->tlb[vmid].to)
		complain("VMID %u: stale translations of %#llx", vmid,
		         (unsigned long long)c->tlb[vmid].from);
	if (c->tlb[vmid].vmpidr && c->tlb[vmid].vmpidr != id)
		complain("VMID %u: translations of another vCPU", vmid);
	c->tlb[vmid].root = root;
	c->tlb[vmid].vmpidr = id;
}

/* --- Guests --- */

#define HCR_CONFINES (HCR_VM | HCR_FMO | HCR_IMO | HCR_AMO | HCR_RW)

static void check_entry(struct model_cpu *c, const struct a64_state *st)
{
	uint64_t mode = st->pstate & 0x1f, hcr = c->reg[EL2_HCR_EL2];

	if (mode != 0 && mode != 4 && mode != 5)
		complain("ERET to PSTATE %#llx", (unsigned long long)st->pstate);
	if ((hcr & HCR_CONFINES) != HCR_CONFINES || hcr & HCR_TGE)
		complain("ERET with HCR_EL2 = %#llx", (unsigned long long)hcr);
	if (!(c->reg[EL2_VMPIDR_EL2] >> 31))
		complain("ERET with VMPIDR_EL2 = %#llx",
		         (unsigned long long)c->reg[EL2_VMPIDR_EL2]);
	if (c->reg[EL2_CNTHCTL_EL2] || c->reg[EL2_HSTR_EL2])
		complain("ERET with CNTHCTL_EL2 or HSTR_EL2 not 0");
	if (model_features.pmu && c->reg[EL2_PMUSERENR_EL0] != PMUSERENR_ALL)
		complain("ERET with EL0's accesses to the PMU trapped to EL1");
	if (c->gic.hcr & ICH_HCR_EN && c->reg[EL2_ICC_SRE_EL2] & ICC_SRE_ENABLE)
		complain("ERET with ICC_SRE_EL2.Enable set");
	check_lrs(c);
	c->unsynced = false;
	c->entries++;
	use_translations(c);
}

#define ESR_FP_TRAP (UINT64_C(0x07) << 26 | HC_BIT(25))

/* Where stage 2 puts an address: 3 levels, 4 KiB pages. NULL: nowhere. */
static void *walk(const struct model_cpu *c, uint64_t gpa)
{
	uint64_t table = hc_bits(c->reg[EL2_VTTBR_EL2], 47, 12) << 12;
	unsigned top = 30 + 9 * (unsigned)(hc_bits(c->reg[EL2_VTCR_EL2], 7, 6) - 1);

	for (unsigned shift = top;; shift -= 9) {
		const uint64_t *entries = hc_platform_from_hpa(hpa_of(table));
		uint64_t index = gpa >> shift & (shift == top ? 0x1fff : 0x1ff);
		uint64_t entry = entries[index];

		table = entry & UINT64_C(0xfffffffff000);
		if (!(entry & 1))
			return NULL;
		if (shift == 12)
			return (char *)hc_platform_from_hpa(hpa_of(table)) + gpa % HC_PAGE_SIZE;
	}
}

/* MOVZ, ADD (registers and immediate), SUBS, B.NE, STR, LDR, HVC, in the forms that the self-test
 * uses. False: the guest has left. */
static bool step(struct model_cpu *c, struct a64_state *st, bool *zero, uint64_t *left)
{
	uint32_t insn, *code = walk(c, st->pc);
	unsigned rd, rn, imm12;

	if (!code || !model_was_cleaned(code)) {
		*left = UINT64_C(0x20) << 26;
		return false;
	}
	insn = *code;
	rd = insn & 31;
	rn = insn >> 5 & 31;
	imm12 = insn >> 10 & 0xfff;
	st->pc += 4;
	if (insn >> 23 == 0x1a5) {
		st->x[rd] = insn >> 5 & 0xffff;
	} else if (insn >> 24 == 0x8b) {
		st->x[rd] = st->x[rn] + st->x[insn >> 16 & 31];
	} else if (insn >> 22 == 0x244) {
		st->x[rd] = st->x[rn] + imm12 + model_features.broken;
	} else if (insn >> 22 == 0x3c4) {
		st->x[rd] = st->x[rn] - imm12;
		*zero = !st->x[rd];
	} else if (insn >> 24 == 0x54) {
		st->pc += *zero ? 0 : (uint64_t)((int64_t)(int32_t)(insn << 8) >> 11 & ~3) - 4;
	} else if (insn >> 22 == 0x3e4) {
		memcpy(walk(c, st->x[rn]), &st->x[rd], 8);
	} else if (insn >> 22 == 0x3e5) {
		memcpy(&st->x[rd], walk(c, st->x[rn]), 8);
	} else {
		*left = insn >> 21 == 0x6a0 ? UINT64_C(0x5a000000) | (insn >> 5 & 0xffff) : 0;
		return false;
	}
	return true;
}

static uint64_t interpret(struct model_cpu *c, struct a64_state *st)
{
	uint64_t left = 0;
	bool zero = false;

	/* A host interrupt comes first. */
	if (c->entries % 2)
		return (uint64_t)EL2_VECTOR_IRQ << 56;
	for (unsigned i = 0; i < 100 && step(c, st, &zero, &left); i++)
		;
	return left;
}

static uint64_t leave_by(struct model_cpu *c, struct a64_state *st, const struct model_step *s)
{
	c->far = s->far;
	c->hpfar = s->hpfar;
	st->pc += s->skip;
	return s->esr;
}

uint64_t el2_hw_enter(struct a64_state *st)
{
	struct model_cpu *c = model_this();

	check_entry(c, st);
	if (!script)
		return interpret(c, st);
	for (;; script++) {
		switch (script->op) {
		case OP_EXIT: return leave_by(c, st, script++);
		case OP_SERROR: return (uint64_t)EL2_VECTOR_SERROR << 56 | (script++)->esr;
		case OP_FIQ: script++; return (uint64_t)EL2_VECTOR_FIQ << 56;
		case OP_VECTOR:
			if (vectors_trap(c))
				return ESR_FP_TRAP;
			c->v[0][0] = script->esr;
			break;
		case OP_CALL: script->fn(c, st); break;
		case OP_END:
		default: return (uint64_t)EL2_VECTOR_IRQ << 56;
		}
	}
}

/* --- The machine --- */

static void set_active(unsigned intid, bool active)
{
	model_this()->active[intid] = active;
}

static void set_enabled(unsigned intid, bool enabled)
{
	model_this()->enabled[intid] = enabled;
}

static uint64_t vtr(const struct model_features *f)
{
	return (f->list_registers - 1) | (uint64_t)(f->preemption_bits - 1) << 26 |
	       (uint64_t)(f->priority_bits - 1) << 29;
}

static void reset_cpu(struct model_cpu *c, const struct model_features *f)
{
	memset(c, 0, sizeof(*c));
	c->reg[EL2_CURRENTEL] = f->no_el2 ? 1 << 2 : 2 << 2;
	c->reg[EL2_HCR_EL2] = HCR_RW | HCR_AMO | HCR_IMO | HCR_FMO | (f->vhe ? HCR_E2H : 0);
	c->reg[EL2_ICH_VTR_EL2] = vtr(f);
	c->reg[EL2_ICC_SRE_EL2] = 0xf;
	c->reg[EL2_PMCR_EL0] = 6 << 11;
	/* What the architecture leaves unknown. */
	c->reg[EL2_HSTR_EL2] = c->reg[EL2_CNTHCTL_EL2] = 0x5a5a;
	c->cntv_ctl = 1;
}

void model_reset(const struct model_features *features)
{
	model_features = *features;
	for (unsigned i = 0; i < MODEL_CPUS; i++)
		reset_cpu(&model_cpus[i], features);
	memset(gich, 0, sizeof(gich));
	gich[1] = (uint32_t)vtr(features);
	el2_host = (struct el2_host){
		.gic_version = features->gic_version,
		.gich = gich,
		.gicv = hpa_of(0x8040000),
		.maintenance_ppi = 25,
		.vtimer_ppi = 27,
		.set_active = set_active,
		.set_enabled = set_enabled,
	};
	script = NULL;
	model_now = 1000;
	model_par = PAR_F;
	cleaned_count = model_complaints = 0;
	model_tlbi_vmall = model_tlbi_pages = model_tlbi_local = model_tlbi_all = 0;
	model_complaint[0] = '\0';
	model_be(0);
}
