/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the x86-64 board share about the machine as a whole. */
#ifndef PLATFORM_BOARD_X86_64_MACHINE_H
#define PLATFORM_BOARD_X86_64_MACHINE_H

#include <hypercore/types.h>

#include "platform/board/acpi.h"

/* What the firmware's tables said; all zero until board_machine_start(). */
extern struct acpi_info machine_acpi;

/* Physical address of a free page below 1 MiB, 0 if there is none. */
uint64_t machine_low_page(void);

#endif
