/* SPDX-License-Identifier: BSD-2-Clause */
/* An AArch64 machine by its ACPI tables: MADT, GTDT, FADT, SPCR (ACPI 6.4, chapter 5). */
#ifndef PLATFORM_BOARD_ACPI_TREE_H
#define PLATFORM_BOARD_ACPI_TREE_H

#include "platform/board/acpi_tables.h"
#include "platform/board/fdt.h"

/* Fills *tree by the tables that the RSDP at rsdp leads to; its memory, initrd and bootargs are the
 * boot loader's to know: it has said that memory is RAM, and the others stay empty. There is no
 * clock, which only AML would name. -ENOENT without tables; -E2BIG if there are too many
 * redistributors, else as board_tree_check(); explained. On failure *tree holds what was read, as
 * with board_tree_read(): serial ports and a PCI bridge are right then, too. */
int acpi_read_tree(struct board_tree *tree, uint64_t rsdp, const struct ranges *memory,
                   acpi_map map, void *arg);

#endif
