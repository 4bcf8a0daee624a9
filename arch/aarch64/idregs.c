/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ID registers say to the guest (Arm ARM D17.2.59 to D17.2.73): for each field that is
 * known here, how much of what the physical CPU has a guest may use. A field that is not listed
 * reads as 0, which is "not there". So do the registers of AArch32, which no guest has.
 *
 * Hidden on purpose: what has state of its own that is not part of struct a64_state (SVE, SME, MTE,
 * pointer authentication, SCXTNUM_EL1), what would let a guest see or disturb more than itself
 * (PMU, SPE, trace, AMU, MPAM), and what EL2 would have to emulate (EL2, EL3, RAS, WFxT).
 */
#include "arch/aarch64/internal.h"

enum rule {
	CAP,   /* the lesser of the CPU's and arg: fields that count what is there upwards */
	SIGN,  /* the same, but 15 is "not there" */
	FIXED, /* arg, whatever the CPU has */
};

struct field {
	uint8_t index; /* in a64_vm.id[] */
	uint8_t shift; /* all fields are of 4 bits */
	uint8_t rule;
	uint8_t arg;
};

#define PFR0  A64_ID_AA64PFR0
#define PFR1  A64_ID_AA64PFR1
#define DFR0  A64_ID_AA64DFR0
#define ISAR0 A64_ID_AT(6, 0)
#define ISAR1 A64_ID_AT(6, 1)
#define ISAR2 A64_ID_AT(6, 2)
#define MMFR0 A64_ID_AA64MMFR0
#define MMFR1 A64_ID_AA64MMFR1
#define MMFR2 A64_ID_AA64MMFR2

static const struct field fields[] = {
	{ PFR0, 0, FIXED, 1 },   /* EL0: AArch64 only */
	{ PFR0, 4, FIXED, 1 },   /* EL1: AArch64 only */
	{ PFR0, 16, SIGN, 1 },   /* FP: half precision */
	{ PFR0, 20, SIGN, 1 },   /* AdvSIMD: the same */
	{ PFR0, 48, CAP, 1 },    /* DIT */
	{ PFR0, 56, CAP, 1 },    /* CSV2: 2 has SCXTNUM_EL1 */
	{ PFR0, 60, CAP, 1 },    /* CSV3 */
	{ PFR1, 0, CAP, 1 },     /* BT */
	{ PFR1, 4, CAP, 2 },     /* SSBS: with MRS and MSR */
	{ PFR1, 32, CAP, 1 },    /* CSV2_frac: 2 has SCXTNUM_EL1 */
	{ DFR0, 0, FIXED, 6 },   /* DebugVer: of ARMv8.0 */
	{ DFR0, 12, CAP, 15 },   /* BRPs, less one */
	{ DFR0, 20, CAP, 15 },   /* WRPs, less one */
	{ DFR0, 28, CAP, 15 },   /* CTX_CMPs, less one */
	{ DFR0, 36, FIXED, 15 }, /* DoubleLock: none */
	{ ISAR0, 4, CAP, 2 },    /* AES: with PMULL */
	{ ISAR0, 8, CAP, 1 },    /* SHA1 */
	{ ISAR0, 12, CAP, 2 },   /* SHA2: with SHA512 */
	{ ISAR0, 16, CAP, 1 },   /* CRC32 */
	{ ISAR0, 20, CAP, 2 },   /* Atomic: LSE */
	{ ISAR0, 28, CAP, 1 },   /* RDM */
	{ ISAR0, 32, CAP, 1 },   /* SHA3 */
	{ ISAR0, 36, CAP, 1 },   /* SM3 */
	{ ISAR0, 40, CAP, 1 },   /* SM4 */
	{ ISAR0, 44, CAP, 1 },   /* DP */
	{ ISAR0, 48, CAP, 1 },   /* FHM */
	{ ISAR0, 52, CAP, 2 },   /* TS: FlagM2 */
	{ ISAR0, 56, CAP, 2 },   /* TLB: outer shareable, and ranges */
	{ ISAR0, 60, CAP, 1 },   /* RNDR */
	{ ISAR1, 0, CAP, 2 },    /* DPB: DC CVADP */
	{ ISAR1, 12, CAP, 1 },   /* JSCVT */
	{ ISAR1, 16, CAP, 1 },   /* FCMA */
	{ ISAR1, 20, CAP, 2 },   /* LRCPC: LDAPUR */
	{ ISAR1, 32, CAP, 1 },   /* FRINTTS */
	{ ISAR1, 36, CAP, 1 },   /* SB */
	{ ISAR1, 40, CAP, 1 },   /* SPECRES */
	{ ISAR1, 44, CAP, 1 },   /* BF16 */
	{ ISAR1, 48, CAP, 1 },   /* DGH */
	{ ISAR1, 52, CAP, 1 },   /* I8MM */
	{ ISAR2, 20, CAP, 1 },   /* BC */
	{ ISAR2, 28, CAP, 1 },   /* CLRBHB */
	{ MMFR0, 0, CAP, 5 },    /* PARange: 48 bits; stage 2 may have fewer */
	{ MMFR0, 4, CAP, 2 },    /* ASIDBits: 16 */
	{ MMFR0, 20, CAP, 1 },   /* TGran16 */
	{ MMFR0, 24, SIGN, 0 },  /* TGran64 */
	{ MMFR0, 28, SIGN, 0 },  /* TGran4 */
	{ MMFR0, 44, CAP, 1 },   /* ExS */
	{ MMFR1, 0, CAP, 2 },    /* HAFDBS: accessed and dirty */
	{ MMFR1, 12, CAP, 2 },   /* HPDS */
	{ MMFR1, 20, CAP, 3 },   /* PAN: EPAN */
	{ MMFR1, 36, CAP, 1 },   /* ETS */
	{ MMFR1, 60, CAP, 1 },   /* ECBHB */
	{ MMFR2, 0, CAP, 1 },    /* CnP */
	{ MMFR2, 4, CAP, 1 },    /* UAO */
	{ MMFR2, 20, CAP, 1 },   /* CCIDX: CCSIDR_EL1 is the CPU's */
	{ MMFR2, 28, CAP, 1 },   /* ST */
	{ MMFR2, 32, CAP, 1 },   /* AT */
	{ MMFR2, 48, CAP, 1 },   /* TTL */
	{ MMFR2, 52, CAP, 2 },   /* BBM */
	{ MMFR2, 60, CAP, 1 },   /* E0PD */
};

static uint64_t apply(const struct field *f, uint64_t host)
{
	if (f->rule == FIXED)
		return f->arg;
	if (f->rule == SIGN && host == 15)
		return 15;
	return hc_min(host, f->arg);
}

static void set_field(struct hc_vm *vm, unsigned index, unsigned shift, uint64_t value)
{
	uint64_t *id = &a64_vm_of(vm)->id[index];

	*id = (*id & ~(UINT64_C(15) << shift)) | value << shift;
}

/* D17.2.64: what PARange says in bits. */
static const uint8_t parange_bits[] = { 32, 36, 40, 42, 44, 48 };

/* Not more than stage 2 translates. */
static void limit_parange(struct hc_vm *vm)
{
	unsigned range = a64_id_field(vm, MMFR0, 0);

	while (range && parange_bits[range] > vm->info.gpa_bits)
		range--;
	set_field(vm, MMFR0, 0, range);
}

/* Context-aware breakpoints are the last ones of all. */
static void limit_ctx_cmps(struct hc_vm *vm)
{
	set_field(vm, DFR0, 28, hc_min(a64_id_field(vm, DFR0, 28), a64_id_field(vm, DFR0, 12)));
}

void a64_id_init(struct hc_vm *vm)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		set_field(vm, f->index, f->shift, apply(f, a64_host_field(f->index, f->shift)));
	}
	limit_parange(vm);
	limit_ctx_cmps(vm);
}

void a64_set_gic_version(struct hc_vm *vm, unsigned version)
{
	set_field(vm, PFR0, 24, version == 3); /* GIC: the CPU interface's registers */
}
