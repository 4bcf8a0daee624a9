/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's pc-testdev: its interrupt lines, and its buffer. */
#ifndef CONFORMANCE_CASES_X86_64_TESTDEV_H
#define CONFORMANCE_CASES_X86_64_TESTDEV_H

#include "guest/x86_64/kernel.h"

#define TESTDEV_MEMORY UINT64_C(0xff000000) /* 64 KiB */

static inline void need_testdev(void)
{
	out32(0xe0, 0x12345678);
	if (in32(0xe0) != 0x12345678)
		skip("pc-testdev");
	out32(0xe0, 0x9abcdef0);
	if (in32(0xe0) != 0x9abcdef0)
		skip("pc-testdev");
}

static inline void set_line(unsigned int n, bool level)
{
	out8((uint16_t)(0x2000 + n), level);
}

#endif
