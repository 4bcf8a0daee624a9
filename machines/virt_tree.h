/* SPDX-License-Identifier: BSD-2-Clause */
/* The device tree by which a guest of machines/virt.c knows its machine. */
#ifndef MACHINES_VIRT_TREE_H
#define MACHINES_VIRT_TREE_H

#include "core/vm.h"
#include "machines/machine.h"

struct virt_tree {
	struct hc_vm *vm;
	const struct machine_config *config;
};

/* a64_boot.make_tree, whose argument is a struct virt_tree: writes it into buf, of room bytes.
 * -E2BIG: the command line is too long. */
int virt_tree_write(void *tree, gpa_t initrd, uint64_t initrd_size, void *buf, size_t room);

#endif
