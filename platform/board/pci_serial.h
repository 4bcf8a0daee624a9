/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550s on PCI cards, for machines that have few serial ports of their own: functions of class
 * 07h, subclass 00h, whose first BAR is an I/O range with eight bytes for each port. Configuration
 * space is reached by ECAM (PCI Express Base 7.2.2), ports through the host bridge's window in
 * memory.
 */
#ifndef PLATFORM_BOARD_PCI_SERIAL_H
#define PLATFORM_BOARD_PCI_SERIAL_H

#include <hypercore/types.h>

#define PCI_BUS_SIZE HC_MIB /* of a bus' configuration space */

/* A host bridge: what it says of itself is the boot loader's and is checked by whoever read it. */
struct pci_host {
	uint64_t ecam, ecam_size; /* physical; size 0: there is no bridge */
	uint64_t io, io_size;     /* where its I/O ports from 0 on lie in memory */
};

/* 32-bit accesses to the first bus' configuration space, at offset at of its PCI_BUS_SIZE bytes. */
struct pci_config {
	uint32_t (*read)(void *arg, uint32_t at);
	void (*write)(void *arg, uint32_t at, uint32_t value);
	void *arg;
};

/*
 * The physical addresses of up to most ports' registers, on the first bus in the order of device
 * numbers; how many. Cards that firmware gave no ports get them here, from 1000h on; all are
 * enabled.
 */
unsigned pci_serial_find(const struct pci_host *host, const struct pci_config *config,
                         uint64_t *found, unsigned most);

#endif
