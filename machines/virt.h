/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AArch64 machine that guests see, in the places of QEMU's "virt": RAM, GICv3 or GICv2 (as the
 * host's), the CPU's timers, PSCI, a PL011, a 16550, a PL031, described by a device tree. It boots
 * an arm64 Image.
 */
#ifndef MACHINES_VIRT_H
#define MACHINES_VIRT_H

#include "machines/machine.h"

/* Guest physical addresses. */
#define VIRT_GICD  UINT64_C(0x08000000)
#define VIRT_GICC  UINT64_C(0x08010000) /* version 2: CPU interface, 8 KiB */
#define VIRT_GICR  UINT64_C(0x080a0000) /* version 3: redistributors */
#define VIRT_PL011 UINT64_C(0x09000000) /* serial[0] */
#define VIRT_PL031 UINT64_C(0x09010000)
#define VIRT_UART  UINT64_C(0x09040000) /* serial[1]: a 16550, registers of a byte each */
#define VIRT_EXIT  UINT64_C(0x09050000) /* where most products put machine_config.exit_at */
#define VIRT_RAM   UINT64_C(0x40000000)

/* Device lines: SPIs. */
#define VIRT_PL011_SPI 1
#define VIRT_PL031_SPI 2
#define VIRT_UART_SPI  8

/* A machine_create_fn. */
int virt_create(struct hc_vm **out, const struct hc_backend_ops *backend,
                const struct machine_config *config);

#endif
