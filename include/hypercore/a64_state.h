/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The architectural state of one AArch64 virtual CPU, the same for every backend.
 *
 * Every backend can load it and give it back. On an exit only the A64_G_CORE group is guaranteed to
 * be up to date; the rest is fetched on demand (hc_vcpu_need, core/vcpu.h) and written back before
 * the next entry if marked dirty (hc_vcpu_dirty).
 *
 * Exceptions that EL2 gives to the guest are not part of it: they are taken by writing PC, PSTATE,
 * ELR_EL1, SPSR_EL1, ESR_EL1 and FAR_EL1 (a64_raise, arch/aarch64/a64.h).
 */
#ifndef HYPERCORE_A64_STATE_H
#define HYPERCORE_A64_STATE_H

#include <hypercore/types.h>

/* The number of a system register, as bits 20:5 of MRS and MSR have it (Arm ARM C6.2.229). */
#define A64_SYSREG(op0, op1, crn, crm, op2)                                                        \
	((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 |                    \
	 (uint32_t)(crm) << 3 | (uint32_t)(op2))

/* Groups of state, for hc_vcpu_need() and hc_vcpu_dirty(). */
enum a64_state_group {
	A64_G_CORE = 1 << 0,  /* x, pc, pstate */
	A64_G_SYS = 1 << 1,   /* sys[] */
	A64_G_TIMER = 1 << 2, /* the virtual timer's registers */
	A64_G_DEBUG = 1 << 3, /* breakpoints, watchpoints, MDSCR_EL1 */
	A64_G_FP = 1 << 4,    /* v, fpsr, fpcr */
	A64_G_GIC = 1 << 5,   /* the virtual CPU interface */
	A64_G_EVENT = 1 << 6, /* a virtual SError that is pending */
	A64_G_ID = 1 << 7,    /* what MIDR_EL1 and MPIDR_EL1 say; backends never change it */
	A64_G_ALL = (1 << 8) - 1
};

/*
 * The registers of EL1 and EL0 that the guest uses without an exit: X(name, op0, op1, CRn, CRm,
 * op2, op1 and CRn of the name by which EL2 reaches it when HCR_EL2.E2H is 1). Arm ARM D17.2,
 * D17.1.3.
 */
#define A64_EL1_REGISTERS(X)                                                                       \
	X(SP_EL0, 3, 0, 4, 1, 0, 0, 4)                                                             \
	X(SP_EL1, 3, 4, 4, 1, 0, 4, 4)                                                             \
	X(ELR_EL1, 3, 0, 4, 0, 1, 5, 4)                                                            \
	X(SPSR_EL1, 3, 0, 4, 0, 0, 5, 4)                                                           \
	X(SCTLR_EL1, 3, 0, 1, 0, 0, 5, 1)                                                          \
	X(ACTLR_EL1, 3, 0, 1, 0, 1, 0, 1)                                                          \
	X(CPACR_EL1, 3, 0, 1, 0, 2, 5, 1)                                                          \
	X(TTBR0_EL1, 3, 0, 2, 0, 0, 5, 2)                                                          \
	X(TTBR1_EL1, 3, 0, 2, 0, 1, 5, 2)                                                          \
	X(TCR_EL1, 3, 0, 2, 0, 2, 5, 2)                                                            \
	X(AFSR0_EL1, 3, 0, 5, 1, 0, 5, 5)                                                          \
	X(AFSR1_EL1, 3, 0, 5, 1, 1, 5, 5)                                                          \
	X(ESR_EL1, 3, 0, 5, 2, 0, 5, 5)                                                            \
	X(FAR_EL1, 3, 0, 6, 0, 0, 5, 6)                                                            \
	X(PAR_EL1, 3, 0, 7, 4, 0, 0, 7)                                                            \
	X(MAIR_EL1, 3, 0, 10, 2, 0, 5, 10)                                                         \
	X(AMAIR_EL1, 3, 0, 10, 3, 0, 5, 10)                                                        \
	X(VBAR_EL1, 3, 0, 12, 0, 0, 5, 12)                                                         \
	X(CONTEXTIDR_EL1, 3, 0, 13, 0, 1, 5, 13)                                                   \
	X(TPIDR_EL1, 3, 0, 13, 0, 4, 0, 13)                                                        \
	X(TPIDR_EL0, 3, 3, 13, 0, 2, 3, 13)                                                        \
	X(TPIDRRO_EL0, 3, 3, 13, 0, 3, 3, 13)                                                      \
	X(CNTKCTL_EL1, 3, 0, 14, 1, 0, 5, 14)                                                      \
	X(CSSELR_EL1, 3, 2, 0, 0, 0, 2, 0)

/* Index in sys[]: A64_SCTLR_EL1, ... */
enum a64_sys {
#define A64_SYS_ENUM(name, ...) A64_##name,
	A64_EL1_REGISTERS(A64_SYS_ENUM)
#undef A64_SYS_ENUM
		A64_SYS_COUNT
};

/* PSTATE, in the layout of SPSR_EL2 (Arm ARM C5.2.19). */
#define A64_PSTATE_EL0T  0x0u
#define A64_PSTATE_EL1T  0x4u
#define A64_PSTATE_EL1H  0x5u
#define A64_PSTATE_M     0x1fu /* bit 4: AArch32 */
#define A64_PSTATE_F     HC_BIT(6)
#define A64_PSTATE_I     HC_BIT(7)
#define A64_PSTATE_A     HC_BIT(8)
#define A64_PSTATE_D     HC_BIT(9)
#define A64_PSTATE_DAIF  (A64_PSTATE_D | A64_PSTATE_A | A64_PSTATE_I | A64_PSTATE_F)
#define A64_PSTATE_BTYPE (UINT64_C(3) << 10)
#define A64_PSTATE_SSBS  HC_BIT(12)
#define A64_PSTATE_IL    HC_BIT(20)
#define A64_PSTATE_SS    HC_BIT(21)
#define A64_PSTATE_PAN   HC_BIT(22)
#define A64_PSTATE_UAO   HC_BIT(23)
#define A64_PSTATE_NZCV  (UINT64_C(0xf) << 28)

/* SCTLR_EL1 (Arm ARM D17.2.118): stage 1 translates. */
#define A64_SCTLR_M HC_BIT(0)

#define A64_LIST_REGISTERS 16 /* the most that a CPU can have */

/* The virtual CPU interface, in the formats of GICv3 (IHI 0069 12.4) whatever the hardware's. */
struct a64_gic_cpu {
	uint32_t hcr;                    /* ICH_HCR_EL2 */
	uint32_t vmcr;                   /* ICH_VMCR_EL2 */
	uint64_t lr[A64_LIST_REGISTERS]; /* ICH_LR<n>_EL2; those that the CPU lacks stay 0 */
	uint32_t ap0r[4], ap1r[4];       /* ICH_AP0R<n>_EL2, ICH_AP1R<n>_EL2 */
};

#define A64_DEBUG_REGISTERS 16

struct a64_state {
	/* A64_G_CORE */
	uint64_t x[31];
	uint64_t pc;
	uint64_t pstate;

	uint64_t sys[A64_SYS_COUNT]; /* A64_G_SYS, by enum a64_sys */

	/* A64_G_TIMER. The guest's CNTVCT_EL0 is the machine's CNTPCT_EL0 less cntvoff. */
	uint64_t cntvoff;
	uint64_t cntv_cval;
	uint32_t cntv_ctl; /* ENABLE, IMASK; ISTATUS as of the moment it was fetched */

	/* A64_G_DEBUG. Registers that the guest's ID_AA64DFR0_EL1 does not count are 0. */
	uint64_t mdscr;
	uint64_t dbgbvr[A64_DEBUG_REGISTERS], dbgbcr[A64_DEBUG_REGISTERS];
	uint64_t dbgwvr[A64_DEBUG_REGISTERS], dbgwcr[A64_DEBUG_REGISTERS];

	/* A64_G_EVENT. A virtual SError waits for PSTATE.A to be clear; vsesr is what ESR_EL1.ISS
	 * becomes where the CPU lets EL2 say (FEAT_RAS). */
	bool serror;
	uint64_t vsesr;

	/* A64_G_ID */
	uint64_t midr, mpidr;

	struct a64_gic_cpu gic; /* A64_G_GIC */

	/* A64_G_FP: V0 .. V31, low half first. */
	uint64_t v[32][2] __attribute__((aligned(16)));
	uint32_t fpsr, fpcr;
};

/* Register rt of a load, store, MRS or MSR: 31 is the zero register. */
static inline uint64_t a64_get_x(const struct a64_state *s, unsigned rt)
{
	return rt < 31 ? s->x[rt] : 0;
}

static inline void a64_set_x(struct a64_state *s, unsigned rt, uint64_t value)
{
	if (rt < 31)
		s->x[rt] = value;
}

_Static_assert(offsetof(struct a64_state, pc) == 31 * 8, "world switches rely on it");
_Static_assert(offsetof(struct a64_state, pstate) == 32 * 8, "world switches rely on it");

#endif
