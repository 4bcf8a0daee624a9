/* SPDX-License-Identifier: BSD-2-Clause */
/* Between hypercore and hypercore-unicorn-a64.so: as module.h, for AArch64 guests. */
#ifndef PLATFORM_LINUX_UNICORN_A64_MODULE_H
#define PLATFORM_LINUX_UNICORN_A64_MODULE_H

#include "arch/aarch64/a64.h"
#include "core/log.h"

#define UNICORN_A64_ABI 1

/* What the loader has for the module. Each is the core's or arch/aarch64's function of that name.
 */
struct unicorn_a64_host {
	uint32_t abi;                /* UNICORN_A64_ABI */
	uint32_t vm_size, vcpu_size; /* of struct a64_vm, struct a64_vcpu */

	/* The table that VMs know the backend by (hc_vm_part()). */
	const struct hc_backend_ops *self;

	void *(*platform_alloc)(size_t size);
	void (*platform_free)(void *p, size_t size);
	int (*error)(int err, const char *fmt, ...) HC_PRINTF(2, 3);
	int (*snprintf)(char *buf, size_t size, const char *fmt, ...) HC_PRINTF(3, 4);
	void (*raise)(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss);
	void (*raise_at)(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss, gva_t far);
	void (*skip)(struct hc_vcpu *vcpu, uint64_t next_pc);
};

#define UNICORN_A64_ENTRY  "hypercore_unicorn_a64_module"
#define UNICORN_A64_MODULE "hypercore-unicorn-a64.so"

typedef const struct hc_backend_ops *(*unicorn_a64_entry)(const struct unicorn_a64_host *host);

#endif
