/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel's extended page tables, SDM Vol. 3C 29.3 "The extended page table mechanism". */
#ifndef MMU_EPT_H
#define MMU_EPT_H

#include "mmu/stage2.h"

/* For CPUs without accessed and dirty flags (IA32_VMX_EPT_VPID_CAP bit 21 clear): writes are
 * logged by write protection. */
extern const struct s2_format ept_format;

/* For CPUs that have them: writes are logged by the dirty flags. */
extern const struct s2_format ept_ad_format;

/* The EPTP for a stage 2 of either format: write-back table walks, flags enabled accordingly. */
uint64_t ept_eptp(const struct s2 *s2);

#endif
