/* SPDX-License-Identifier: BSD-2-Clause */
/* What native.c and native_cpu.S share; the latter has the offsets as numbers. */
#ifndef TESTS_ORACLE_NATIVE_H
#define TESTS_ORACLE_NATIVE_H

#include "tests/oracle/oracle.h"

/* What IRETQ takes to get into the case, and all other registers. */
struct native_frame {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rip, cs, rflags, rsp, ss;
	uint64_t fs_base, gs_base;
	_Alignas(64) uint8_t xsave[ORACLE_XSAVE_SIZE];
};

_Static_assert(offsetof(struct native_frame, rip) == 128, "native_cpu.S");
_Static_assert(offsetof(struct native_frame, rflags) == 144, "native_cpu.S");
_Static_assert(offsetof(struct native_frame, fs_base) == 168, "native_cpu.S");
_Static_assert(offsetof(struct native_frame, gs_base) == 176, "native_cpu.S");
_Static_assert(offsetof(struct native_frame, xsave) == 192, "native_cpu.S");

extern struct native_frame native_in, native_out;

/* Loads native_in and goes there; comes back with native_out filled in by native_return, or by the
 * signal handler, which makes the interrupted context go on at native_aborted. */
void native_enter(void);
void native_return(void);
void native_aborted(void);
extern uint64_t native_host_rsp;

/* The signal handler: clears AC, DF and TF, then native_on_signal(). */
void native_signal(int signal, void *info, void *context);
void native_on_signal(int signal, void *info, void *context);

#endif
