/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend on Unicorn, a second software CPU to compare with. It is in a module of its own
 * (platform/linux/unicorn/), which is loaded when the backend is first asked for; all else works
 * without it.
 *
 * The module is looked for in the folder that HYPERCORE_MODULES names, or else beside the program,
 * in the library folder that belongs to it, and in the one that hypercore was configured for.
 */
#ifndef PLATFORM_LINUX_UNICORN_H
#define PLATFORM_LINUX_UNICORN_H

#include <hypercore/backend.h>

/* probe() is -ENODEV if there is no module, or it does not go with this program. */
extern const struct hc_backend_ops unicorn_backend;

#endif
