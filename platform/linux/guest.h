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
	uint64_t exit_at; /* where the exit device is if one is asked for; 0: at the port */
	/* Whether a kernel for it is Linux, and what its command line is if nobody gives one; other
	 * kernels' are their own. */
	bool (*is_linux)(const void *kernel, uint64_t size);
	const char *console;
};

/* That of arm64 kernels, on hosts of both kinds. */
extern const struct linux_guest linux_guest_virt;

/* By the file's contents. What is no kernel at all is the host's own machine's to refuse. */
const struct linux_guest *linux_guest_of(const void *kernel, uint64_t size);

/* The command line of a kernel that is given none. */
static inline const char *linux_guest_cmdline(const void *kernel, uint64_t size)
{
	const struct linux_guest *guest = linux_guest_of(kernel, size);

	return guest->is_linux(kernel, size) ? guest->console : "";
}

#endif
