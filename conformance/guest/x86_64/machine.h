/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the x86-64 part of the library. */
#ifndef CONFORMANCE_X86_64_MACHINE_H
#define CONFORMANCE_X86_64_MACHINE_H

#include "guest/arch.h"
#include "guest/x86_64/kernel.h"

#define STACK_BYTES 0x8000u /* low.S knows it */
#define TRAP_BYTES  0x2000u

void tables_init_cpu(unsigned int n);
void tables_reset(void);
void exceptions_reset(void);
void pages_init(void);
void pages_reset(void);
void modes_init(void);
void console_init(void);
void acpi_init(uint64_t rsdp);
void cpus_init(void);
void cpus_stop(void);
void ticks_init(void);
void apic_init_cpu(void);
void apic_reset(void);
void pic_reset(void);
/* The MADT's: APIC IDs of usable CPUs, at most CPUS_MAX; 0 without a MADT. */
unsigned int acpi_cpus(uint32_t ids[CPUS_MAX]);
/* The control registers that a case finds. */
void control_reset(void);

#endif
