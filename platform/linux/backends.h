/* SPDX-License-Identifier: BSD-2-Clause */
/* The backends of a Linux process, and which of them is to run a VM. */
#ifndef PLATFORM_LINUX_BACKENDS_H
#define PLATFORM_LINUX_BACKENDS_H

#include <hypercore/backend.h>

/* All there are, the one to prefer at equal speed first; the last element's ops is NULL. */
struct linux_backend {
	const struct hc_backend_ops *ops;
	bool by_name_only; /* "auto" does not look at it */
};

extern const struct linux_backend linux_backends[];

/* What a backend does with the measuring guest (measure_guest.S). */
struct linux_speed {
	uint64_t instructions; /* per second, in the mix of a kernel's work */
};

/* Runs the measuring guest on backend for some milliseconds. linux_init() was called, linux_vm_lock
 * is not held. An error of making the VM, or -EIO if the guest ended or got nowhere (explained), or
 * -ENOSYS: there is no such guest for what the backend runs. */
int linux_measure(const struct hc_backend_ops *backend, struct linux_speed *speed);

/* A VM's backends: the first runs it, its vCPUs can move to the second; NULL: there is none. */
#define LINUX_VM_BACKENDS 2

/* The backend for guests of that ISA called name, if it can be used, or two, as in "kvm,emu";
 * "auto" or NULL: of those that can, the one that is fastest by linux_measure(), and says in one
 * line why. -ENOENT (no such backend: says which there are), -EOPNOTSUPP (it runs other guests),
 * -ENODEV (none can be used), -EINVAL (the same twice, or three), or the error of its probe(),
 * explained. */
int linux_choose_backends(const char *names, enum hc_isa isa,
                          const struct hc_backend_ops *chosen[LINUX_VM_BACKENDS]);

#endif
