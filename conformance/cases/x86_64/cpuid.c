/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUID says, against itself and against the CPU that it describes. */
#include "guest/x86_64/kernel.h"

TEST(max_leaf, "SDM Vol. 2A CPUID")
{
	CHECK(cpuid(0, 0).eax >= 1);
}
