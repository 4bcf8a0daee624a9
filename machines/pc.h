/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC that x86 guests see, put together from arch/x86_64 and devices/: RAM, local APICs, IOAPIC,
 * 8259 pair, 8254, MC146818, two 16550s (0x3f8 and 0x2f8), ACPI power management, i8042 reset, port
 * 0xe9, and what test kernels know. It boots a bzImage, or an ELF file by multiboot or PVH.
 */
#ifndef MACHINES_PC_H
#define MACHINES_PC_H

#include "machines/machine.h"

/* The port of QEMU's isa-debug-exit, where most products put it. */
#define PC_EXIT_PORT 0xf4

/* A machine_create_fn. */
int pc_create(struct hc_vm **out, const struct hc_backend_ops *backend,
              const struct machine_config *config);

#endif
