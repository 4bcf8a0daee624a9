/* SPDX-License-Identifier: BSD-2-Clause */
/* What the ID registers say, against each other and against the CPU that they describe. */
#include "guest/aarch64/kernel.h"

TEST(midr_architecture, "Arm ARM D17.2.101")
{
	CHECK_EQ(FIELD(read_sysreg(midr_el1), 19, 16), 15);
}
