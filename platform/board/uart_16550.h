/* SPDX-License-Identifier: BSD-2-Clause */
/* 16550 UARTs (PC16550D data sheet, 8.0). */
#ifndef PLATFORM_BOARD_UART_16550_H
#define PLATFORM_BOARD_UART_16550_H

#include "platform/board/serial.h"

extern const struct serial_ops uart_16550_ops;

/* The architecture's way to a register. */
uint8_t uart_16550_read(const struct serial_port *p, unsigned reg);
void uart_16550_write(const struct serial_port *p, unsigned reg, uint8_t value);

#endif
