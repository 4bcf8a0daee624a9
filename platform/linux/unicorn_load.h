/* SPDX-License-Identifier: BSD-2-Clause */
/* What unicorn.c and unicorn_a64.c have in common: a backend whose functions are in a module. */
#ifndef PLATFORM_LINUX_UNICORN_LOAD_H
#define PLATFORM_LINUX_UNICORN_LOAD_H

#include <pthread.h>
/* after the above */
#include "platform/linux/unicorn/host.h"

/* The common part of a module's table of functions. */
#define UNICORN_HOST(vm, vcpu, backend)                                                            \
	{                                                                                          \
		.abi = UNICORN_ABI, .vm_size = sizeof(vm), .vcpu_size = sizeof(vcpu),              \
		.self = (backend), .platform_alloc = hc_platform_alloc,                            \
		.platform_free = hc_platform_free, .error = hc_error, .snprintf = hc_snprintf,     \
	}

/* One such backend. The first three are the user's to set; the mutex is PTHREAD_MUTEX_INITIALIZER.
 */
struct unicorn_loader {
	struct hc_backend_ops *ops; /* has its name, isa and probe() */
	const char *file;           /* the module's */
	const struct unicorn_host *host;

	pthread_mutex_t lock;
	bool is_done;
	int (*probe)(struct hc_backend_info *info); /* the module's; NULL: why_not */
	char why_not[128];
};

/* probe() of that backend. The first one loads the module and fills *ops with its other functions:
 * -ENODEV if there is none, or one that is of another build. */
int unicorn_loader_probe(struct unicorn_loader *l, struct hc_backend_info *info);

#endif
