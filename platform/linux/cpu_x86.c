/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/linux.h"

void linux_pause(void)
{
	__builtin_ia32_pause();
}
