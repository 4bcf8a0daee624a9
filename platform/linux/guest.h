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

/* Of arm64 Images: on hosts of both kinds. */
extern const struct linux_guest linux_guest_virt;

/* By the file's contents: an arm64 Image, or else whatever the host's own machine makes of it. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size);

#endif
