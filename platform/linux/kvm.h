/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend on Linux's /dev/kvm: guests run on the kernel's virtualization, with our own devices
 * and interrupt controllers. Each vCPU belongs to the thread that is its struct hc_cpu.
 */
#ifndef PLATFORM_LINUX_KVM_H
#define PLATFORM_LINUX_KVM_H

#include <hypercore/backend.h>

extern const struct hc_backend_ops kvm_backend;

#endif
