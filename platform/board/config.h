/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the board is to do: hypercore.conf, and the image's command line.
 *
 *     # comment
 *     backend = svm              (auto, vmx, svm, emu, el2; two as in svm,emu: vCPUs move
 *                                 between them)
 *     switch-every = 100ms       (how often they do)
 *     console = com1,framebuffer (where the hypervisor's own log goes: com1..com4, framebuffer,
 *                                 none; com1 may be a guest's as well: lines go between its own)
 *     end     = poweroff         (poweroff, reset, halt, debug-exit: when the last VM has ended)
 *     stats   = yes              (log each VM's statistics when it ends)
 *     dirty-stats = 1s           (log every so often how much of its memory each VM has written)
 *
 *     [vm debian]                (a section per VM; its name)
 *     kernel = vmlinuz           (names of modules)
 *     initrd = initrd.img
 *     append = console=ttyS0 quiet          (or in quotes: blanks at its ends stay)
 *     memory = 512M
 *     cpus   = 2
 *     tsc-hz = 2500000000        (x86: the rate of the guest's TSC, if not the machine's)
 *     large-pages = no           (yes; no: map its memory by 4 KiB)
 *     serial0 = com1             (com1..com4, log, none)
 *     serial1 = none
 *     device = isa-debug-exit,iobase=0xf4   (or testdev; a line for each)
 *
 * The command line holds the same settings of the first part, as words (`console=com2 stats=yes`);
 * it wins over the file.
 */
#ifndef PLATFORM_BOARD_CONFIG_H
#define PLATFORM_BOARD_CONFIG_H

#include <hypercore/types.h>

#include "machines/device_option.h"

#define BOARD_MAX_VMS    8
#define BOARD_MAX_APPEND 2048

enum board_end { BOARD_END_POWEROFF, BOARD_END_RESET, BOARD_END_HALT, BOARD_END_DEBUG_EXIT };

/* A serial port's other end. */
enum board_serial {
	BOARD_SERIAL_NONE,
	BOARD_SERIAL_LOG,
	BOARD_SERIAL_COM1,
	BOARD_SERIAL_COM2,
	BOARD_SERIAL_COM3,
	BOARD_SERIAL_COM4
};

struct board_vm_config {
	char name[32], kernel[64], initrd[64];
	char append[BOARD_MAX_APPEND];
	uint64_t memory; /* bytes */
	uint64_t tsc_hz; /* 0: the machine's */
	unsigned cpus;
	bool large_pages;
	enum board_serial serial[2];
	struct machine_devices devices;
};

struct board_config {
	char backend[16], other[16];  /* other: empty if there is one only */
	uint64_t switch_ns, dirty_ns; /* 0: never */
	enum board_serial console;
	bool console_framebuffer;
	enum board_end end;
	bool stats;
	unsigned vm_count;
	struct board_vm_config vms[BOARD_MAX_VMS];
};

/* Defaults: backend auto, console com1 + framebuffer, power off at the end, no VMs. */
void board_config_init(struct board_config *config);

/* Adds the settings of a file. -EPROTO with a logged message naming file, line, the key and what
 * would be right; -E2BIG for values that are too long. */
int board_config_parse(struct board_config *config, const char *name, const char *text, size_t len);

/* Adds the settings of the command line. Unknown words are logged and ignored. */
int board_config_cmdline(struct board_config *config, const char *cmdline);

#endif
