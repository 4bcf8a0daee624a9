/* SPDX-License-Identifier: BSD-2-Clause */
/* Between hypercore and hypercore-unicorn.so, for x86-64 guests: see host.h. */
#ifndef PLATFORM_LINUX_UNICORN_MODULE_H
#define PLATFORM_LINUX_UNICORN_MODULE_H

#include "arch/x86_64/x86.h"
#include "platform/linux/unicorn/host.h"

#define UNICORN_MODULE "hypercore-unicorn.so"

/* Each function is the core's of that name, or arch/x86_64's. */
struct unicorn_x86_host {
	struct unicorn_host common;
	uint64_t (*platform_cycles)(void);
	void *(*mem_ptr)(struct hc_vm *vm, gpa_t gpa, uint64_t len, bool want_write);
	int (*translate_page)(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
	                      struct x86_mapping *mapping, struct x86_fault *fault);
	unsigned (*apic_cr8)(struct hc_vcpu *vcpu);
};

#endif
