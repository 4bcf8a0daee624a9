/* SPDX-License-Identifier: BSD-2-Clause */
/* The files that came with the image, by name. */
#ifndef PLATFORM_BOARD_MODULES_H
#define PLATFORM_BOARD_MODULES_H

#include <stddef.h>

#include "platform/board/boot_info.h"

struct module {
	char name[BOARD_MODULE_NAME];
	const void *data;
	size_t size;
};

/* Lists the loader's modules and the members of bundles. 0, or the first error, which has been
 * logged; what could be read is listed all the same. */
int modules_init(const struct board_boot_info *info);

unsigned modules_count(void);

/* NULL if there is none of that name. */
const struct module *modules_find(const char *name);

#endif
