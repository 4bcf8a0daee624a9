/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD's nested page tables, APM Vol. 2 15.25 "Nested Paging". */
#ifndef MMU_NPT_H
#define MMU_NPT_H

#include "mmu/stage2.h"

/*
 * nCR3 is s2_root(). Writes are logged by the dirty flags. The host's CR0, CR4 and EFER control
 * the nested walk (15.25.3): it has to have EFER.NXE set.
 */
extern const struct s2_format npt_format;

/*
 * What the host's PAT has to hold for memory types to mean what they say (15.25.8): entry 1 is WC,
 * the others are as after reset. With the reset value, S2_WC maps as write-through.
 */
#define NPT_HOST_PAT UINT64_C(0x0007040600070106)

#endif
