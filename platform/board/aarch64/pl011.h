/* SPDX-License-Identifier: BSD-2-Clause */
/* PL011 UARTs (DDI 0183), and the part of them that the SBSA guarantees. */
#ifndef PLATFORM_BOARD_AARCH64_PL011_H
#define PLATFORM_BOARD_AARCH64_PL011_H

#include "platform/board/serial.h"

extern const struct serial_ops pl011_ops, sbsa_uart_ops;

#endif
