/* SPDX-License-Identifier: BSD-2-Clause */
/* measure_guest.S as C sees it. */
#ifndef PLATFORM_LINUX_MEASURE_H
#define PLATFORM_LINUX_MEASURE_H

#include <hypercore/types.h>

extern const uint8_t linux_measure_guest[], linux_measure_fault[], linux_measure_end[];

/* Instructions of a round: 1 + 250 * 5, 8 and the handler's 3. */
#define LINUX_MEASURE_ROUND 1262

#endif
