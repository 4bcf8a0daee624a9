/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the models of CPUs with AMD-V and with VT-x have in common: who is which CPU, complaints,
 * and of arch/x86_64/host/cpu.h the FPU, DR0 to DR3 and machine checks.
 */
#ifndef TESTS_MODEL_X86_HOST_MODEL_H
#define TESTS_MODEL_X86_HOST_MODEL_H

#include <hypercore/x86_state.h>

#include "arch/x86_64/host/cpu.h"

#define MODEL_CPUS 4

struct model_features; /* each model's own */
struct model_step;

/* A part of each model's CPU. */
struct model_x86 {
	bool xsave, avx512, xsaves; /* what it has */
	uint64_t xcr0, dr[4];
	uint8_t fpu[X86_XSAVE_SIZE];
	unsigned machine_checks;
};

/* Each model's: the calling CPU's. */
struct model_x86 *model_x86(void);

void model_x86_reset(struct model_x86 *x86, bool xsave, bool avx512, bool xsaves);

/* CPUID leaf 0Dh. */
void model_cpuid_xsave(uint32_t component, uint32_t out[4]);

/* All CPUs as after reset. Each model's, as are those that follow. */
void model_reset(const struct model_features *features);

/* Which CPU the calling thread is. */
void model_be(unsigned cpu);

/* What the guest does from the next entry on; ends with OP_END. NULL: guest code is interpreted
 * (only what the self-test of the backend uses). */
void model_script(const struct model_step *steps);

/* Tables of stage 2 changed: translations made before are stale. */
void model_stage2_changed(void);

/* How many complaints, and the first. */
extern unsigned model_complaints;
extern char model_complaint[160];
void model_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void model_reset_complaints(void);

#endif
