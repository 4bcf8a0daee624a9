/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the AArch64 part of the library. */
#ifndef CONFORMANCE_AARCH64_MACHINE_H
#define CONFORMANCE_AARCH64_MACHINE_H

#include "guest/aarch64/kernel.h"
#include "guest/arch.h"

extern const char image_start[], image_end[], user_text_start[], user_text_end[], user_data_start[],
	user_data_end[];
/* Device tree: fills machine and the command line. False: it is none. */
bool tree_read(uint64_t tree, char *line, uint64_t size);
/* ACPI's tables: fills machine but for memory. False: what is needed is not there. */
bool acpi_read(uint64_t rsdp);
void pages_init(void);
void pages_reset(void);
void control_reset(void);
void exceptions_reset(void);
void gic_init(void);
void gic_init_cpu(void);
bool gic_reset(void);
void timers_off(void);
bool cpus_stop(void);

#endif
