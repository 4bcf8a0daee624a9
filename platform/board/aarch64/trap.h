/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions that EL2 takes from itself. */
#ifndef PLATFORM_BOARD_AARCH64_TRAP_H
#define PLATFORM_BOARD_AARCH64_TRAP_H

#include <hypercore/types.h>

/* What vectors.S leaves on the emergency stack, lowest address first. */
struct trap_frame {
	uint64_t x[31];
	uint64_t sp, elr, spsr;
	uint64_t vector; /* its index in the table (Arm ARM D1.3.1.1) */
	uint64_t pad;
};

_Static_assert(sizeof(struct trap_frame) == 288, "vectors.S");
_Static_assert(offsetof(struct trap_frame, sp) == 248, "vectors.S");
_Static_assert(offsetof(struct trap_frame, vector) == 272, "vectors.S");

extern const uint8_t trap_vectors[];

/* Called by vectors.S: dumps, and ends it all. */
_Noreturn void trap_fatal(const struct trap_frame *frame);

/* "data abort, same EL", for ESR_ELx.EC; NULL for reserved numbers. */
const char *trap_class(uint64_t esr);

#endif
