/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the other CPUs. */
#ifndef PLATFORM_BOARD_AARCH64_CPUS_H
#define PLATFORM_BOARD_AARCH64_CPUS_H

struct board_tree;

/* Starts all other CPUs of the tree, by PSCI or by spin tables, and waits for them; those that do
 * not come are logged and left out. Boot CPU, after clock_init_cpu(). */
void cpus_start(const struct board_tree *tree);

#endif
