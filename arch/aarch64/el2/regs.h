/* SPDX-License-Identifier: BSD-2-Clause */
/* The system registers that the EL2 backend uses, and their fields (Arm ARM D17). */
#ifndef ARCH_AARCH64_EL2_REGS_H
#define ARCH_AARCH64_EL2_REGS_H

#include <hypercore/a64_state.h>

#include "arch/aarch64/ich.h"

/* Those that el2_hw_read() and el2_hw_write() know: X(name, op0, op1, CRn, CRm, op2). */
#define EL2_REGISTERS(X)                                                                           \
	X(CURRENTEL, 3, 0, 4, 2, 2)                                                                \
	X(HCR_EL2, 3, 4, 1, 1, 0)                                                                  \
	X(MDCR_EL2, 3, 4, 1, 1, 1)                                                                 \
	X(CPTR_EL2, 3, 4, 1, 1, 2)                                                                 \
	X(HSTR_EL2, 3, 4, 1, 1, 3)                                                                 \
	X(HFGRTR_EL2, 3, 4, 1, 1, 4)                                                               \
	X(HFGWTR_EL2, 3, 4, 1, 1, 5)                                                               \
	X(HFGITR_EL2, 3, 4, 1, 1, 6)                                                               \
	X(HCRX_EL2, 3, 4, 1, 2, 2)                                                                 \
	X(VTTBR_EL2, 3, 4, 2, 1, 0)                                                                \
	X(VTCR_EL2, 3, 4, 2, 1, 2)                                                                 \
	X(HDFGRTR_EL2, 3, 4, 3, 1, 4)                                                              \
	X(HDFGWTR_EL2, 3, 4, 3, 1, 5)                                                              \
	X(HAFGRTR_EL2, 3, 4, 3, 1, 6)                                                              \
	X(VSESR_EL2, 3, 4, 5, 2, 3)                                                                \
	X(VPIDR_EL2, 3, 4, 0, 0, 0)                                                                \
	X(VMPIDR_EL2, 3, 4, 0, 0, 5)                                                               \
	X(CNTHCTL_EL2, 3, 4, 14, 1, 0)                                                             \
	X(PMCR_EL0, 3, 3, 9, 12, 0)                                                                \
	X(PMUSERENR_EL0, 3, 3, 9, 14, 0)                                                           \
	X(MDSCR_EL1, 2, 0, 0, 2, 2)                                                                \
	X(ICC_SRE_EL2, 3, 4, 12, 9, 5)                                                             \
	X(ICH_HCR_EL2, 3, 4, 12, 11, 0)                                                            \
	X(ICH_VTR_EL2, 3, 4, 12, 11, 1)

enum el2_register {
#define EL2_REGISTER_ENUM(name, op0, op1, crn, crm, op2)                                           \
	EL2_##name = A64_SYSREG(op0, op1, crn, crm, op2),
	EL2_REGISTERS(EL2_REGISTER_ENUM)
#undef EL2_REGISTER_ENUM
};

/* HCR_EL2 (D17.2.48). */
#define HCR_VM        HC_BIT(0)
#define HCR_SWIO      HC_BIT(1)
#define HCR_PTW       HC_BIT(2)
#define HCR_FMO       HC_BIT(3)
#define HCR_IMO       HC_BIT(4)
#define HCR_AMO       HC_BIT(5)
#define HCR_VSE       HC_BIT(8)
#define HCR_FB        HC_BIT(9)
#define HCR_BSU_INNER HC_BIT(10)
#define HCR_TWI       HC_BIT(13)
#define HCR_TID3      HC_BIT(18)
#define HCR_TSC       HC_BIT(19)
#define HCR_TIDCP     HC_BIT(20)
#define HCR_TACR      HC_BIT(21)
#define HCR_TGE       HC_BIT(27)
#define HCR_RW        HC_BIT(31)
#define HCR_E2H       HC_BIT(34)
#define HCR_TLOR      HC_BIT(35)
#define HCR_TERR      HC_BIT(36)
#define HCR_TEA       HC_BIT(37)
#define HCR_TID5      HC_BIT(58)

/* CPTR_EL2 in its two formats (D17.2.30). */
#define CPTR_RES1     UINT64_C(0x22ff) /* E2H clear */
#define CPTR_TZ       HC_BIT(8)
#define CPTR_TFP      HC_BIT(10)
#define CPTR_TSM      HC_BIT(12)
#define CPTR_TTA      HC_BIT(20)
#define CPTR_VHE_FPEN (UINT64_C(3) << 20) /* E2H set: not trapped */
#define CPTR_VHE_TTA  HC_BIT(28)
#define CPTR_TAM      HC_BIT(30)

/* PMUSERENR_EL0 (D17.5.18): ER, CR, SW, EN. */
#define PMUSERENR_ALL UINT64_C(0xf)

/* MDCR_EL2 (D17.3.17). */
#define MDCR_HPMN(n) ((uint64_t)(n))
#define MDCR_TPMCR   HC_BIT(5)
#define MDCR_TPM     HC_BIT(6)
#define MDCR_TDA     HC_BIT(9)
#define MDCR_TDOSA   HC_BIT(10)
#define MDCR_TDRA    HC_BIT(11)
#define MDCR_TPMS    HC_BIT(14)
#define MDCR_TTRF    HC_BIT(19)

#define MDSCR_SS   HC_BIT(0)
#define MDSCR_KDE  HC_BIT(13)
#define MDSCR_MDE  HC_BIT(15)
#define MDSCR_TDCC HC_BIT(12)

#define VTCR_VS HC_BIT(19) /* 16-bit VMIDs */

#define CNTV_CTL_ENABLE  1u
#define CNTV_CTL_IMASK   2u
#define CNTV_CTL_ISTATUS 4u

#define ICC_SRE_SRE    HC_BIT(0)
#define ICC_SRE_ENABLE HC_BIT(3)

/* ESR_EL2 (D17.2.37). */
#define ESR_EC(esr)  ((unsigned)hc_bits(esr, 31, 26))
#define ESR_ISS(esr) ((uint32_t)hc_bits(esr, 24, 0))

/* ISS of an instruction or data abort. */
#define ISS_ISV      HC_BIT(24)
#define ISS_SAS(iss) hc_bits(iss, 23, 22)
#define ISS_SSE      HC_BIT(21)
#define ISS_SRT(iss) hc_bits(iss, 20, 16)
#define ISS_SF       HC_BIT(15)
#define ISS_CM       HC_BIT(8)
#define ISS_S1PTW    HC_BIT(7)
#define ISS_WNR      HC_BIT(6)
#define ISS_FSC(iss) hc_bits(iss, 5, 0) /* A64_FSC_... */

/* Without the level, of those that have one. */
#define ISS_FSC_KIND(iss) (ISS_FSC(iss) & 0x3c)

#define PAR_F HC_BIT(0)

#endif
