/* SPDX-License-Identifier: BSD-2-Clause */
/* The device tree by which a guest of machines/virt.c knows its machine. */
#ifndef MACHINES_VIRT_TREE_H
#define MACHINES_VIRT_TREE_H

#include "core/vm.h"
#include "machines/machine.h"

struct virt_tree {
	struct hc_vm *vm;
	const struct machine_config *config;
	unsigned gic_version; /* 2, 3; 0: there is no interrupt controller */
};

/* Writes it into buf, of room bytes. -E2BIG: the command line is too long. */
int virt_tree_write(const struct virt_tree *t, gpa_t initrd, uint64_t initrd_size, void *buf,
                    size_t room);

#endif
