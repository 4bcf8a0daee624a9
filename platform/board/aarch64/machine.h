/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the AArch64 board share about the machine as a whole. */
#ifndef PLATFORM_BOARD_AARCH64_MACHINE_H
#define PLATFORM_BOARD_AARCH64_MACHINE_H

#include "platform/board/fdt.h"

/* What the device tree or ACPI's tables said; complete before board_main(). */
extern struct board_tree machine_tree;

/* Makes serial_ports[] of the tree's UARTs (serial.c). */
void serial_find(const struct board_tree *tree);

#endif
