/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that the assembly files share with C. */
#ifndef CONFORMANCE_AARCH64_LAYOUT_H
#define CONFORMANCE_AARCH64_LAYOUT_H

#define STACK_BYTES 0x4000
/* struct frame */
#define FRAME_BYTES 304
#define FRAME_SP    248
#define FRAME_ELR   256
#define FRAME_SPSR  264
#define FRAME_ESR   272
#define FRAME_FAR   280
#define FRAME_KIND  288

/* Attr0: Normal write-back. 1: Device-nGnRnE. 2: Device-nGnRE. 3: Normal non-cacheable. */
#define MAIR_VALUE 0x440400ff
/* TCR_EL1 but for IPS and AS: T0SZ 25 (39 bits), write-back and inner shareable walks, 4 KiB,
 * EPD1. */
#define TCR_BASE 0x80993519
/* SCTLR_EL1: Armv8.0's RES1 (LSMAOE, nTLSMD, SPAN, EIS, TSCXT, EOS, SED, ITD), nTWE, nTWI, I, SA0,
 * SA, C, M. */
#define SCTLR_ON 0x30d5199d

#endif
