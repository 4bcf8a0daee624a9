/* SPDX-License-Identifier: BSD-2-Clause */
/* Arm's VMSAv8-64 stage 2 with the 4 KiB granule, Arm ARM (DDI 0487) D8.2 and D8.3. */
#ifndef MMU_VMSAV8_H
#define MMU_VMSAV8_H

#include "mmu/stage2.h"

/*
 * Writes are logged by write protection: VTCR_EL2.HA and HD stay clear, and HCR_EL2.FWB too. The
 * guest's address space must not be wider than the CPU's physical one (ID_AA64MMFR0_EL1.PARange).
 */
extern const struct s2_format vmsav8_format;

/*
 * VTCR_EL2 for a stage 2: inner shareable, write-back walks from its root. parange is the field of
 * ID_AA64MMFR0_EL1; values above 5 (48 bits) count as 5.
 */
uint64_t vmsav8_vtcr(const struct s2 *s2, unsigned parange);

/* VTTBR_EL2 for a stage 2 and a VMID (of 8 or 16 bits, as VTCR_EL2.VS says). */
uint64_t vmsav8_vttbr(const struct s2 *s2, uint16_t vmid);

#endif
