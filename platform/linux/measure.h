/* SPDX-License-Identifier: BSD-2-Clause */
/* The measuring guest: one for each kind of host. */
#ifndef PLATFORM_LINUX_MEASURE_H
#define PLATFORM_LINUX_MEASURE_H

#include "core/arch.h"

struct linux_measure_program {
	const struct hc_arch_ops *arch;
	uint64_t base;     /* where its 2 MiB of RAM are */
	uint64_t count_at; /* the count of its rounds, a uint64_t: a guest physical address */
	uint64_t round;    /* instructions in one */
	void (*write)(uint8_t *ram);
	void (*set_state)(struct hc_vcpu *vcpu);
};

extern const struct linux_measure_program linux_measure_program;

/* Its code as C sees it. */

extern const uint8_t linux_measure_guest[], linux_measure_fault[], linux_measure_end[];

#endif
