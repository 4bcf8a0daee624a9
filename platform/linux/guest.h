/* SPDX-License-Identifier: BSD-2-Clause */
/* Which machine a kernel is for. */
#ifndef PLATFORM_LINUX_GUEST_H
#define PLATFORM_LINUX_GUEST_H

#include <hypercore/backend.h>

#include "machines/machine.h"

struct linux_guest {
	enum hc_isa isa;
	machine_create_fn create;
	unsigned max_cpus;
	const char *console; /* the kernel's command line if nobody gives one */
	uint64_t exit_at;    /* where the exit device is if one is asked for; 0: at the port */
};

/* On hosts of both kinds: of an arm64 Image, or of a program without a header. NULL: it is neither.
 */
const struct linux_guest *linux_guest_arm64(const void *kernel, uint64_t size);

/* By the file's contents. What is no kernel at all is the host's own machine's to refuse. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size);

#endif
