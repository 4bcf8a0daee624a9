/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between hypercore and hypercore-unicorn.so, the module with the backend "unicorn".
 *
 * The module is loaded at run time, because the library that it links, Unicorn, is under the GPL,
 * and hypercore is not. It needs no symbols of who loads it: the functions that it calls are handed
 * over in a table. Both sides share the core's structs, so that they have to be of the same build:
 * the version and the sizes in the table are compared.
 */
#ifndef PLATFORM_LINUX_UNICORN_MODULE_H
#define PLATFORM_LINUX_UNICORN_MODULE_H

#include "arch/x86_64/x86.h"
#include "core/log.h"

#define UNICORN_ABI 1

/* What the loader has for the module. Each is the core's function of that name. */
struct unicorn_host {
	uint32_t abi;                /* UNICORN_ABI */
	uint32_t vm_size, vcpu_size; /* of struct x86_vm, struct x86_vcpu */

	/* The table that VMs know the backend by (hc_vm_part()). */
	const struct hc_backend_ops *self;

	void *(*platform_alloc)(size_t size);
	void (*platform_free)(void *p, size_t size);
	uint64_t (*platform_cycles)(void);
	int (*error)(int err, const char *fmt, ...) HC_PRINTF(2, 3);
	int (*snprintf)(char *buf, size_t size, const char *fmt, ...) HC_PRINTF(3, 4);
	void *(*mem_ptr)(struct hc_vm *vm, gpa_t gpa, uint64_t len, bool want_write);
	int (*translate_page)(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
	                      struct x86_mapping *mapping, struct x86_fault *fault);
	unsigned (*apic_cr8)(struct hc_vcpu *vcpu);
};

/* The module's one symbol, named UNICORN_ENTRY: the backend's functions, less the probe's search.
 * NULL: host is of another build. host has to stay. */
#define UNICORN_ENTRY  "hypercore_unicorn_module"
#define UNICORN_MODULE "hypercore-unicorn.so"

typedef const struct hc_backend_ops *(*unicorn_entry)(const struct unicorn_host *host);

#endif
