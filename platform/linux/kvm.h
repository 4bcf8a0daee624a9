/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend on Linux's /dev/kvm: guests run on the kernel's virtualization, with our own devices
 * and interrupt controllers. Each vCPU belongs to the thread that is its struct hc_cpu.
 */
#ifndef PLATFORM_LINUX_KVM_H
#define PLATFORM_LINUX_KVM_H

#include <hypercore/backend.h>

extern const struct hc_backend_ops kvm_backend;

/* What the platform may do for the backend; set before the first VM is made. */
struct kvm_hooks {
	/* The calling thread's byte that a kick's and a deadline's signal handler set to 1, after
	 * hc_cpu.attention; NULL: none. Without it only kicks from the thread itself are seen. */
	void (*set_exit_flag)(uint8_t *flag);
};

extern struct kvm_hooks kvm_hooks;

#endif
