/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/msr.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/internal.h"

enum {
	MSR_TSC = 0x10,
	MSR_APIC_BASE = 0x1b,
	MSR_MTRRCAP = 0xfe,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176,
	MSR_MCG_STATUS = 0x17a,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_PHYS = 0x200,
	MSR_MTRR_FIX64K = 0x250,
	MSR_MTRR_FIX16K = 0x258,
	MSR_MTRR_FIX4K = 0x268,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_X2APIC = 0x800
};

#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

#define MTRR_PAIRS 8
#define MTRR_FIXED (2 * MTRR_PAIRS) /* index in x86_vcpu.mtrr of the first fixed range */
#define MTRR_CAP   (MTRR_PAIRS | HC_BIT(8) | HC_BIT(10)) /* fixed ranges; WC */

#define KEPT(member) X86_MSR_KEPT, offsetof(struct x86_vcpu, member)

/* Sorted by number; the first kind that matches counts. */
const struct x86_msr_policy x86_msr_policy[] = {
	{ 0x00, 0x01, X86_MSR_IGNORED, 0, "P5_MC", "machine checks of the Pentium: none" },
	{ MSR_TSC, MSR_TSC, X86_MSR_EMULATED, 0, "TSC", "has an offset" },
	{ 0x17, 0x17, X86_MSR_CONSTANT, 0, "PLATFORM_ID", "tells microcode variants apart" },
	{ MSR_APIC_BASE, MSR_APIC_BASE, KEPT(apic.base), "APIC_BASE", "local APIC" },
	{ 0x8b, 0x8b, X86_MSR_IGNORED, 0, "PATCH_LEVEL", "microcode is the host's" },
	{ MSR_MTRRCAP, MSR_MTRRCAP, X86_MSR_EMULATED, 0, "MTRRCAP", "read-only" },
	{ MSR_SYSENTER_CS, MSR_SYSENTER_EIP, X86_MSR_DIRECT, 0, "SYSENTER_*", "switched" },
	{ 0x179, 0x179, X86_MSR_CONSTANT, 0, "MCG_CAP", "no machine-check banks" },
	{ MSR_MCG_STATUS, MSR_MCG_STATUS, KEPT(msr_mcg_status), "MCG_STATUS", "holds zero" },
	{ MSR_MISC_ENABLE, MSR_MISC_ENABLE, KEPT(msr_misc_enable), "MISC_ENABLE", "kept" },
	{ MSR_DEBUGCTL, MSR_DEBUGCTL, X86_MSR_STATE, 0, "DEBUGCTL", "LBR and BTF" },
	{ 0x1db, 0x1de, X86_MSR_IGNORED, 0, "LASTBRANCH", "not recorded" },
	{ MSR_MTRR_PHYS, 0x20f, KEPT(mtrr[0]), "MTRR_PHYS*", "kept: stage 2 decides" },
	{ MSR_MTRR_FIX64K, 0x250, KEPT(mtrr[MTRR_FIXED]), "MTRR_FIX64K", "the same" },
	{ MSR_MTRR_FIX16K, 0x259, KEPT(mtrr[MTRR_FIXED + 1]), "MTRR_FIX16K", "the same" },
	{ MSR_MTRR_FIX4K, 0x26f, KEPT(mtrr[MTRR_FIXED + 3]), "MTRR_FIX4K", "the same" },
	{ MSR_PAT, MSR_PAT, X86_MSR_STATE, 0, "PAT", "types are checked" },
	{ MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, KEPT(msr_mtrr_def_type), "MTRR_DEF_TYPE", "kept" },
	{ MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, X86_MSR_EMULATED, 0, "TSC_DEADLINE", "local APIC" },
	{ MSR_X2APIC, 0x8ff, X86_MSR_EMULATED, 0, "x2APIC", "local APIC" },
	{ X86_MSR_XSS, X86_MSR_XSS, X86_MSR_CONSTANT, 0, "XSS", "no supervisor state" },
	{ MSR_EFER, MSR_EFER, X86_MSR_STATE, 0, "EFER", "SVME and modes are checked" },
	{ MSR_STAR, MSR_SFMASK, X86_MSR_DIRECT, 0, "STAR, LSTAR, CSTAR, SFMASK", "switched" },
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, X86_MSR_DIRECT, 0, "FS, GS, KERNEL_GS base",
	  "switched" },
	{ MSR_TSC_AUX, MSR_TSC_AUX, X86_MSR_STATE, 0, "TSC_AUX", "RDTSCP reads it" },
	{ 0xc0010010, 0xc0010010, X86_MSR_IGNORED, 0, "SYSCFG", "no encryption, no top of memory" },
	{ 0xc0010015, 0xc0010015, X86_MSR_IGNORED, 0x01000000, "HWCR",
	  "the TSC counts at P0's frequency" },
	{ 0xc0010016, 0xc0010019, X86_MSR_IGNORED, 0, "IORR", "no remapping of I/O ranges" },
	{ 0xc001001a, 0xc001001a, X86_MSR_IGNORED, 0, "TOP_MEM", "MTRRs tell" },
	{ 0xc001001d, 0xc001001d, X86_MSR_IGNORED, 0, "TOP_MEM2", "MTRRs tell" },
	{ 0xc001001f, 0xc001001f, X86_MSR_IGNORED, 0, "NB_CFG", "no northbridge" },
	{ 0xc0010020, 0xc0010020, X86_MSR_IGNORED, 0, "PATCH_LOADER", "microcode is the host's" },
	{ 0xc0010055, 0xc0010055, X86_MSR_IGNORED, 0, "INT_PENDING", "no C1E" },
	{ 0xc0010058, 0xc0010058, X86_MSR_IGNORED, 0, "MMIO_CFG_BASE", "no PCI by memory" },
	{ 0xc0010061, 0xc0010064, X86_MSR_IGNORED, 0, "PSTATE", "the host's business" },
	{ 0xc0010111, 0xc0010113, X86_MSR_IGNORED, 0, "SMM_*", "no system management mode" },
	{ 0xc0010114, 0xc0010114, X86_MSR_CONSTANT, 0x18, "VM_CR", "SVM disabled and locked" },
	{ 0xc0010140, 0xc0010141, X86_MSR_CONSTANT, 0, "OSVW", "no known errata" },
	{ 0xc0011021, 0xc0011023, X86_MSR_IGNORED, 0, "IC_CFG, DC_CFG, BU_CFG", "the same" },
	{ 0xc0011029, 0xc0011029, X86_MSR_IGNORED, 2, "DE_CFG", "LFENCE is serializing" },
	{ 0xc001102a, 0xc001102a, X86_MSR_IGNORED, 0, "BU_CFG2", "errata are the host's" },
};

const unsigned x86_msr_policy_count = HC_ARRAY_SIZE(x86_msr_policy);

/* Without a branch that depends on the number: the compiler makes it conditional moves. */
const struct x86_msr_policy *x86_msr_find(uint32_t msr)
{
	const struct x86_msr_policy *p = x86_msr_policy;

	for (unsigned n = HC_ARRAY_SIZE(x86_msr_policy); n > 1;) {
		unsigned half = n / 2;

		p = p[half].first <= msr ? p + half : p;
		n -= half;
	}
	return p->first <= msr && msr <= p->last ? p : NULL;
}

_Static_assert(HC_ARRAY_SIZE(x86_msr_policy) < UINT8_MAX, "x86_vm.msr_row holds bytes");

/* Where msr_row has msr; at its end if it does not. */
static inline uint32_t row_index(uint32_t msr)
{
	uint32_t high = msr - 0xc0000000u;

	if (msr < X86_MSR_LOW)
		return msr;
	return X86_MSR_LOW + (high < X86_MSR_HIGH ? high : X86_MSR_HIGH);
}

void x86_msr_init(struct x86_vm *x)
{
	memset(x->msr_row, 0, sizeof(x->msr_row));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(x86_msr_policy); i++)
		for (uint32_t m = x86_msr_policy[i].first; m <= x86_msr_policy[i].last; m++)
			if (row_index(m) < HC_ARRAY_SIZE(x->msr_row))
				x->msr_row[row_index(m)] = (uint8_t)(i + 1);
}

static inline const struct x86_msr_policy *row_of(struct hc_vcpu *vcpu, uint32_t msr)
{
	const struct x86_vm *x = x86_vm_of(vcpu->vm);
	uint32_t i = row_index(msr);

	if (i >= HC_ARRAY_SIZE(x->msr_row))
		return x86_msr_find(msr);
	return x->msr_row[i] ? x86_msr_policy + x->msr_row[i] - 1 : NULL;
}

/* --- Members of struct x86_vcpu --- */

static inline void *kept_of(struct x86_vcpu *x, const struct x86_msr_policy *p, uint32_t msr)
{
	return (uint8_t *)x + p->value + (uint64_t)(msr - p->first) * sizeof(uint64_t);
}

static inline uint64_t read_kept(struct hc_vcpu *vcpu, const struct x86_msr_policy *p, uint32_t msr)
{
	uint64_t value;

	__builtin_memcpy(&value, kept_of(x86_vcpu_of(vcpu), p, msr), sizeof(value));
	return value;
}

/* --- Members of struct x86_state --- */

static bool is_canonical(const struct x86_state *s, uint64_t address)
{
	unsigned shift = s->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* Where DIRECT and STATE MSRs are, and the group. NULL: none of these. */
static uint64_t *member_of(struct x86_state *s, uint32_t msr, uint32_t *group)
{
	*group = X86_G_MSR;
	switch (msr) {
	case MSR_SYSENTER_CS: return &s->msr_sysenter_cs;
	case MSR_SYSENTER_ESP: return &s->msr_sysenter_esp;
	case MSR_SYSENTER_EIP: return &s->msr_sysenter_eip;
	case MSR_DEBUGCTL: return &s->msr_debugctl;
	case MSR_PAT: return &s->msr_pat;
	case MSR_STAR: return &s->msr_star;
	case MSR_LSTAR: return &s->msr_lstar;
	case MSR_CSTAR: return &s->msr_cstar;
	case MSR_SFMASK: return &s->msr_sfmask;
	case MSR_KERNEL_GS_BASE: return &s->msr_kernel_gs_base;
	case MSR_TSC_AUX: return &s->msr_tsc_aux;
	case MSR_EFER: *group = X86_G_CR; return &s->efer;
	case MSR_FS_BASE: *group = X86_G_SEG; return &s->seg[X86_FS].base;
	case MSR_GS_BASE: *group = X86_G_SEG; return &s->seg[X86_GS].base;
	default: return NULL;
	}
}

/* Memory types 0, 1, 4, 5, 6 and 7 in each byte (SDM Vol. 3A 11.12.2). */
static bool is_valid_pat(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t type = value >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* LMA is the CPU's; LME does not change under paging (SDM Vol. 3A 9.8.5). */
static bool check_efer(struct hc_vcpu *vcpu, uint64_t *value)
{
	const struct x86_state *s = x86_state_of(vcpu);

	if (*value & ~x86_vm_of(vcpu->vm)->efer_mask)
		return false;
	*value = (*value & ~X86_EFER_LMA) | (s->efer & X86_EFER_LMA);
	return !(s->cr0 & X86_CR0_PG) || !((*value ^ s->efer) & X86_EFER_LME);
}

static bool check_member(struct hc_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const struct x86_state *s = x86_state_of(vcpu);

	switch (msr) {
	case MSR_EFER: return check_efer(vcpu, value);
	case MSR_PAT: return is_valid_pat(*value);
	case MSR_DEBUGCTL: return !(*value & ~UINT64_C(3));
	case MSR_TSC_AUX: return *value >> 32 == 0;
	case MSR_SFMASK: *value = (uint32_t)*value; return true;
	case MSR_SYSENTER_CS:
	case MSR_STAR: return true;
	default: return is_canonical(s, *value);
	}
}

static __attribute__((noinline)) int write_member(struct hc_vcpu *vcpu, uint32_t msr,
                                                  uint64_t value)
{
	uint32_t group;
	uint64_t *member = member_of(x86_state_of(vcpu), msr, &group);

	hc_vcpu_need(vcpu, group | X86_G_CR);
	if (!check_member(vcpu, msr, &value))
		return -EINVAL;
	*member = value;
	hc_vcpu_dirty(vcpu, group);
	return 0;
}

static __attribute__((noinline)) int read_member(struct hc_vcpu *vcpu, uint32_t msr,
                                                 uint64_t *value)
{
	uint32_t group;
	const uint64_t *member = member_of(x86_state_of(vcpu), msr, &group);

	hc_vcpu_need(vcpu, group);
	*value = *member;
	return 0;
}

/* --- MTRRs (SDM Vol. 3A 11.11): kept for the guest. All its memory is RAM, and devices are reached
 * by exits, so that they change nothing. --- */

static bool is_memory_type(uint64_t type)
{
	return type < 7 && type != 2 && type != 3;
}

static bool check_fixed(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!is_memory_type(value >> i & 0xff))
			return false;
	return true;
}

static int write_mtrr(struct hc_vcpu *vcpu, const struct x86_msr_policy *p, uint32_t msr,
                      uint64_t value)
{
	uint64_t address = x86_vm_of(vcpu->vm)->gpa_mask & ~UINT64_C(0xfff);
	bool ok;

	if (msr >= MSR_MTRR_FIX64K)
		ok = check_fixed(value);
	else if (msr & 1) /* PHYSMASKn: bit 11 enables */
		ok = !(value & ~(address | HC_BIT(11)));
	else
		ok = !(value & ~(address | 0xff)) && is_memory_type(value & 0xff);
	if (!ok)
		return -EINVAL;
	memcpy(kept_of(x86_vcpu_of(vcpu), p, msr), &value, sizeof(value));
	return 0;
}

static int write_mtrr_def_type(struct hc_vcpu *vcpu, uint64_t value)
{
	/* Type, fixed ranges' enable, enable. */
	if (value & ~UINT64_C(0xcff) || !is_memory_type(value & 0xff))
		return -EINVAL;
	x86_vcpu_of(vcpu)->msr_mtrr_def_type = value;
	return 0;
}

void x86_msr_set_boot_mtrrs(struct hc_vcpu *vcpu)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);
	uint64_t hole = HC_BIT(32) - X86_RAM_LOW_END;

	x->msr_mtrr_def_type = 6 | HC_BIT(11); /* write-back, enabled */
	x->mtrr[0] = X86_RAM_LOW_END;          /* uncached */
	x->mtrr[1] = (x86_vm_of(vcpu->vm)->gpa_mask & ~(hole - 1)) | HC_BIT(11);
}

/* --- Functions --- */

/* tsc_offset is never changed by the hardware: the group is valid for it whatever the rest is. */
static void write_tsc(struct hc_vcpu *vcpu, uint64_t value)
{
	hc_vcpu_need(vcpu, X86_G_MSR);
	x86_state_of(vcpu)->tsc_offset += value - x86_tsc_now(vcpu);
	hc_vcpu_dirty(vcpu, X86_G_MSR);
	x86_apic_write_deadline(vcpu, x86_apic_read_deadline(vcpu));
}

static int read_emulated(struct hc_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_TSC: *value = x86_tsc_now(vcpu); return 0;
	case MSR_MTRRCAP: *value = MTRR_CAP; return 0;
	case MSR_TSC_DEADLINE: *value = x86_apic_read_deadline(vcpu); return 0;
	default: return x86_x2apic_read(vcpu, msr, value);
	}
}

static int write_misc_enable(struct x86_vcpu *x, uint64_t value)
{
	/* Fast strings, XD disable and CPUID limit may be written; only the first matters to none.
	 */
	if (value & ~(HC_BIT(0) | HC_BIT(11) | HC_BIT(12)))
		return -EINVAL;
	x->msr_misc_enable = (x->msr_misc_enable & ~HC_BIT(0)) | (value & HC_BIT(0));
	return 0;
}

static int write_emulated(struct hc_vcpu *vcpu, const struct x86_msr_policy *p, uint32_t msr,
                          uint64_t value)
{
	struct x86_vcpu *x = x86_vcpu_of(vcpu);

	switch (msr) {
	case MSR_TSC: write_tsc(vcpu, value); return 0;
	case MSR_APIC_BASE: return x86_apic_write_base(vcpu, value);
	case MSR_MTRRCAP: return -EINVAL;
	case MSR_MCG_STATUS:
		if (value)
			return -EINVAL;
		x->msr_mcg_status = 0;
		return 0;
	case MSR_MISC_ENABLE: return write_misc_enable(x, value);
	case MSR_MTRR_DEF_TYPE: return write_mtrr_def_type(vcpu, value);
	case MSR_TSC_DEADLINE: x86_apic_write_deadline(vcpu, value); return 0;
	default: return write_mtrr(vcpu, p, msr, value);
	}
}

static bool is_x2apic(uint32_t msr)
{
	return msr - MSR_X2APIC <= 0xff;
}

static int unknown(struct hc_vcpu *vcpu)
{
	vcpu->stats.unknown_msrs++;
	return -EINVAL;
}

int x86_msr_read(struct hc_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	if (is_x2apic(msr))
		return x86_x2apic_read(vcpu, msr, value);
	const struct x86_msr_policy *p = row_of(vcpu, msr);

	if (!p)
		return unknown(vcpu);
	switch (p->kind) {
	case X86_MSR_DIRECT:
	case X86_MSR_STATE: return read_member(vcpu, msr, value);
	case X86_MSR_EMULATED: return read_emulated(vcpu, msr, value);
	case X86_MSR_KEPT: *value = read_kept(vcpu, p, msr); return 0;
	default: *value = p->value; return 0;
	}
}

int x86_msr_write(struct hc_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	if (msr == MSR_TSC_DEADLINE) {
		x86_apic_write_deadline(vcpu, value);
		return 0;
	}
	if (is_x2apic(msr))
		return x86_x2apic_write(vcpu, msr, value);
	const struct x86_msr_policy *p = row_of(vcpu, msr);

	if (!p)
		return unknown(vcpu);
	switch (p->kind) {
	case X86_MSR_DIRECT:
	case X86_MSR_STATE: return write_member(vcpu, msr, value);
	case X86_MSR_EMULATED:
	case X86_MSR_KEPT: return write_emulated(vcpu, p, msr, value);
	case X86_MSR_CONSTANT: return value == p->value ? 0 : -EINVAL;
	default: return 0;
	}
}

/* --- Exits --- */

static inline void put_edx_eax(uint64_t *gpr, uint64_t value)
{
	gpr[X86_RDX] = value >> 32;
	gpr[X86_RAX] = (uint32_t)value;
}

static __attribute__((noinline)) int read_any(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	uint64_t *gpr = x86_state_of(vcpu)->gpr, value;

	if (x86_msr_read(vcpu, (uint32_t)gpr[X86_RCX], &value)) {
		x86_raise_gp(vcpu);
		return HC_ACT_RESUME;
	}
	put_edx_eax(gpr, value);
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

/* Here only those that are a load from memory, without a call. */
int x86_exit_msr_read(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	uint64_t *gpr = x86_state_of(vcpu)->gpr;
	uint32_t msr = (uint32_t)gpr[X86_RCX];
	const struct x86_msr_policy *p = row_of(vcpu, msr);

	if (!p || p->kind != X86_MSR_KEPT)
		return read_any(vcpu, exit);
	put_edx_eax(gpr, read_kept(vcpu, p, msr));
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

int x86_exit_msr_write(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);

	if (x86_msr_write(vcpu, (uint32_t)s->gpr[X86_RCX], x86_edx_eax(s)))
		x86_raise_gp(vcpu);
	else
		x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

void x86_msr_reset(struct x86_vcpu *x)
{
	x->msr_misc_enable = HC_BIT(0) | HC_BIT(11) | HC_BIT(12); /* no branch trace, no PEBS */
	x->msr_mtrr_def_type = 0;
	x->msr_mcg_status = 0;
	memset(x->mtrr, 0, sizeof(x->mtrr));
}
