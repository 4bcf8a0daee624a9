/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by C and assembly: numbers only. */
#ifndef PLATFORM_BOARD_AARCH64_MPIDR_H
#define PLATFORM_BOARD_AARCH64_MPIDR_H

/* Aff3 and Aff2 .. Aff0 of MPIDR_EL1 (Arm ARM D17.2.101). */
#define MPIDR_AFFINITY 0xff00ffffff

#endif
