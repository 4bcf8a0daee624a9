/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware's power control (PSCI, DEN 0022). */
#ifndef PLATFORM_BOARD_AARCH64_PSCI_H
#define PLATFORM_BOARD_AARCH64_PSCI_H

#include <hypercore/types.h>

/* Function IDs of version 0.2 (5.1), with 64-bit arguments where there are two kinds. */
#define PSCI_VERSION       0x84000000u
#define PSCI_CPU_ON        0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_SYSTEM_OFF    0x84000008u
#define PSCI_SYSTEM_RESET  0x84000009u

struct board_tree;

/* Whether there is one that can be called from EL2, that is by SMC; a warning says why not. Until
 * then there is none. */
void psci_init(const struct board_tree *tree);

/* "PSCI 1.1", for the banner; "no PSCI". */
const char *psci_name(void);

/* Starts the CPU of that affinity at the physical address entry, with x0 = context, MMU off, at the
 * caller's exception level. -ENODEV without PSCI, -EIO if the firmware refuses; explained. */
int psci_cpu_on(uint64_t mpidr, uint64_t entry, uint64_t context);

/* False only if the firmware says that the CPU is off, so that it will not come any more. */
bool psci_may_come(uint64_t mpidr);

/* They return only if there is no PSCI 0.2 or if it refuses. Any context. */
void psci_system_off(void);
void psci_system_reset(void);

#endif
