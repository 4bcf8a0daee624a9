/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Modules: parts of the product that are loaded when they are first asked for.
 *
 * They are looked for in the folder that HYPERCORE_MODULES names, or else beside the program, in
 * the library folder that belongs to it, and in the one that hypercore was configured for.
 */
#ifndef PLATFORM_LINUX_MODULE_H
#define PLATFORM_LINUX_MODULE_H

#include <stddef.h>

/* Loads the module in file, for good. Its symbol, or NULL: why, a line of at most size bytes, says
 * what is wrong. */
void *linux_module_find(const char *file, const char *symbol, char *why, size_t size);

#endif
