/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of ICH_* (IHI 0069 12.4), which the neutral state of the virtual CPU interface is in.
 */
#ifndef ARCH_AARCH64_ICH_H
#define ARCH_AARCH64_ICH_H

#include <hypercore/types.h>

/* ICH_LR<n>_EL2 (12.4.9). Version 2's source of an SGI is in vINTID[12:10], where the guest reads
 * it from GICV_IAR. */
#define ICH_LR_VINTID(lr)     ((uint32_t)(lr))
#define ICH_LR_SOURCE_SHIFT   10
#define ICH_LR_PINTID         (UINT64_C(0x1fff) << 32)
#define ICH_LR_PINTID_OF(n)   ((uint64_t)(n) << 32)
#define ICH_LR_EOI            HC_BIT(41) /* HW clear */
#define ICH_LR_PRIORITY_SHIFT 48
#define ICH_LR_PRIORITY(lr)   ((unsigned)hc_bits(lr, 55, 48))
#define ICH_LR_GROUP          HC_BIT(60)
#define ICH_LR_HW             HC_BIT(61)
#define ICH_LR_PENDING        HC_BIT(62)
#define ICH_LR_ACTIVE         HC_BIT(63)
#define ICH_LR_STATE          (ICH_LR_PENDING | ICH_LR_ACTIVE)

/* ICH_HCR_EL2 (12.4.5) */
#define ICH_HCR_EN             UINT32_C(0x1)
#define ICH_HCR_LRENPIE        UINT32_C(0x4)
#define ICH_HCR_NPIE           UINT32_C(0x8)
#define ICH_HCR_VGRP0EIE       UINT32_C(0x10)
#define ICH_HCR_VGRP0DIE       UINT32_C(0x20)
#define ICH_HCR_VGRP1EIE       UINT32_C(0x40)
#define ICH_HCR_VGRP1DIE       UINT32_C(0x80)
#define ICH_HCR_TDIR           UINT32_C(0x4000)
#define ICH_HCR_EOICOUNT_SHIFT 27

/* ICH_VMCR_EL2 (12.4.8) */
#define ICH_VMCR_VENG0       UINT32_C(0x1)
#define ICH_VMCR_VENG1       UINT32_C(0x2)
#define ICH_VMCR_VACKCTL     UINT32_C(0x4)
#define ICH_VMCR_VFIQEN      UINT32_C(0x8)
#define ICH_VMCR_VCBPR       UINT32_C(0x10)
#define ICH_VMCR_VEOIM       UINT32_C(0x200)
#define ICH_VMCR_VBPR1_SHIFT 18
#define ICH_VMCR_VBPR0_SHIFT 21
#define ICH_VMCR_VPMR_SHIFT  24

/* ICH_VTR_EL2 (12.4.10), less one; GICH_VTR has it in the same place. */
#define ICH_VTR_PREBITS(vtr) ((unsigned)hc_bits(vtr, 28, 26))

#endif
