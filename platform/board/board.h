/* SPDX-License-Identifier: BSD-2-Clause */
/* What each architecture's board owes platform/board/main.c, and the other way round. */
#ifndef PLATFORM_BOARD_BOARD_H
#define PLATFORM_BOARD_BOARD_H

#include <hypercore/backend.h>

#include "core/chardev.h"
#include "core/sched.h"
#include "machines/machine.h"
#include "platform/board/boot_info.h"
#include "platform/board/config.h"

/* main.c: everything after memory works. Boot CPU, on its own stack, interrupts off. */
_Noreturn void board_main(const struct board_boot_info *info);

/* Instead of it: start-up has failed, for a reason that has been logged. Ends as a run that failed,
 * in the way that the command line says, as far as that is known. */
_Noreturn void board_fail(const struct board_boot_info *info);

/* The backends that were linked in, best first; a NULL ends the table. */
extern const struct hc_backend_ops *const board_backends[];

/* Makes the machine that guests of these backends get, and where on it guests leave with a status
 * (machine_config.exit_at). */
extern const machine_create_fn board_create_guest;
extern const uint64_t board_guest_exit_at;

/* Starts what is left of the machine: firmware tables, interrupts, clock, all CPUs. 0 or an error
 * that has been logged. */
int board_machine_start(void);

/* One line each about the machine, for the banner. */
void board_log_machine(void);

/* Pointer to what the boot loader put at physical address pa; read only. NULL: out of memory. */
const void *board_reach(uint64_t pa, uint64_t size);

/* A framebuffer's memory. NULL: out of memory. */
void *board_map_framebuffer(uint64_t pa, uint64_t size);

/* Sends the log to a serial port. -ENODEV if the machine does not have it. */
int board_attach_serial(enum board_serial port);

/* The other end of a guest's serial port. NULL if the machine does not have it. */
struct hc_chardev *board_serial_chardev(enum board_serial port);

/* The CPUs that were started, the boot CPU first. NULL beyond the last. */
struct hc_cpu *board_cpu(unsigned n);

/* Runs fn on every CPU that was started, the calling boot CPU included, and waits for all. */
void board_call_cpus(void (*fn)(struct hc_cpu *cpu));

/* What to do when all is over; also after a panic. How before board_set_end(): halt. */
void board_set_end(enum board_end end);
_Noreturn void board_end(bool ok);

#endif
