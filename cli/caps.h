/* SPDX-License-Identifier: BSD-2-Clause */
/* What of "hypercore caps" depends on the CPU: caps_x86.c, caps_a64.c. */
#ifndef CLI_CAPS_H
#define CLI_CAPS_H

#include <hypercore/types.h>

void caps_line(const char *what, const char *found, const char *how);

/* The lines about the CPU, and the one about its cycle counter. */
void caps_cpu(void);
void caps_clock(double mhz);

/* Of KVM: KVM_CAP_... */
struct caps_kvm {
	const char *name;
	unsigned number;
};

extern const struct caps_kvm caps_kvm[];
extern const unsigned caps_kvm_count;

#define CAPS_KVM(name)                                                                             \
	{                                                                                          \
#name, KVM_CAP_##name                                                              \
	}

#endif
