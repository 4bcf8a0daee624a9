/* SPDX-License-Identifier: BSD-2-Clause */
/* Between hypercore and hypercore-unicorn-a64.so, for AArch64 guests: see host.h. */
#ifndef PLATFORM_LINUX_UNICORN_A64_MODULE_H
#define PLATFORM_LINUX_UNICORN_A64_MODULE_H

#include "arch/aarch64/a64.h"
#include "platform/linux/unicorn/host.h"

#define UNICORN_A64_MODULE "hypercore-unicorn-a64.so"

/* Each function is arch/aarch64's of that name. */
struct unicorn_a64_host {
	struct unicorn_host common;
	void (*raise)(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss);
	void (*raise_at)(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss, gva_t far);
	void (*skip)(struct hc_vcpu *vcpu, uint64_t next_pc);
};

#endif
