/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend on Unicorn, a second software CPU to compare with. It is in modules of its own
 * (platform/linux/unicorn/, platform/linux/module.h), one for each kind of guest, of which one is
 * loaded when its backend is first asked for; all else works without it.
 */
#ifndef PLATFORM_LINUX_UNICORN_H
#define PLATFORM_LINUX_UNICORN_H

#include <hypercore/backend.h>

/* probe() is -ENODEV if there is no module, or it does not go with this program. The first call of
 * it fills in the rest, which others leave alone. */
extern struct hc_backend_ops unicorn_backend;     /* x86-64 guests */
extern struct hc_backend_ops unicorn_a64_backend; /* AArch64 guests */

#endif
