/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's serial ports COM1 to COM4: 16550 UARTs (PC16550D data sheet, 8.0). */
#ifndef PLATFORM_BOARD_X86_64_SERIAL_H
#define PLATFORM_BOARD_X86_64_SERIAL_H

#include "core/chardev.h"

#define SERIAL_PORTS 4

struct serial_port;

/* Number 0 is COM1. Sets the port to 115200 8N1 at its first use. NULL if it is not there. */
struct serial_port *serial_open(unsigned number);

/* A line of the log (console_sink): begins on a line of its own, ends with CR LF. */
void serial_write_line(void *port, const char *line, size_t len);

/* Makes the port the other end of a guest's: what the guest sends goes out, what comes in is fed to
 * it. Needs the interrupt that serial_start_input() sets up. The port owns the chardev. */
struct hc_chardev *serial_chardev(struct serial_port *p);

/* Boot CPU: input of opened ports arrives as interrupts at this CPU from now on. */
struct acpi_info;
void serial_start_input(struct serial_port *p, const struct acpi_info *acpi);

/* Boot CPU, no lock held: passes on what interrupts have brought. True if there was something. */
bool serial_poll(void);

/* Waits until all ports have sent their last byte. */
void serial_drain(void);

#endif
