/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between hypercore and a module with the backend "unicorn": what is the same for all guests.
 *
 * The modules are loaded at run time, because the library that they link, Unicorn, is under the
 * GPL, and hypercore is not. They need no symbols of who loads them: the functions that they call
 * are handed over in a table. Both sides share the core's structs, so that they have to be of the
 * same build: the version and the sizes in the table are compared.
 */
#ifndef PLATFORM_LINUX_UNICORN_HOST_H
#define PLATFORM_LINUX_UNICORN_HOST_H

#include <hypercore/backend.h>

#include "core/log.h"

#define UNICORN_ABI 2

/* What the loader has for the module. Each function is the core's of that name. */
struct unicorn_host {
	uint32_t abi;                /* UNICORN_ABI */
	uint32_t vm_size, vcpu_size; /* of the structs of the guest's architecture */

	/* The table that VMs know the backend by (hc_vm_part()). */
	const struct hc_backend_ops *self;

	void *(*platform_alloc)(size_t size);
	void (*platform_free)(void *p, size_t size);
	int (*error)(int err, const char *fmt, ...) HC_PRINTF(2, 3);
	int (*snprintf)(char *buf, size_t size, const char *fmt, ...) HC_PRINTF(3, 4);
};

/* A module's one symbol, named UNICORN_ENTRY: the backend's functions, less the probe's search.
 * NULL: host is of another build. host, the first member of the architecture's table, has to stay.
 */
#define UNICORN_ENTRY "hypercore_unicorn_module"

typedef const struct hc_backend_ops *(*unicorn_entry)(const struct unicorn_host *host);

#endif
