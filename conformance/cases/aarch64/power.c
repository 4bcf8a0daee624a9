/* SPDX-License-Identifier: BSD-2-Clause */
/* How the machine ends. */
#include "guest/aarch64/kernel.h"

TEST_ENDS(system_reset, "reset", "DEN 0022 5.1.10")
{
	firmware(PSCI_SYSTEM_RESET, 0, 0, 0);
}

TEST_ENDS(system_reset2, "reset", "DEN 0022 5.1.11: reset type 0 is a warm reset")
{
	if (firmware(PSCI_VERSION, 0, 0, 0) < 0x10001 ||
	    firmware(PSCI_FEATURES, PSCI_SYSTEM_RESET2, 0, 0) < 0)
		skip("SYSTEM_RESET2");
	firmware(PSCI_SYSTEM_RESET2, 0, 0, 0);
}

TEST_ENDS(system_off, "power-off", "DEN 0022 5.1.9")
{
	firmware(PSCI_SYSTEM_OFF, 0, 0, 0);
}

static void run_on(void *argument)
{
	for (;;)
		limit_passed(&(struct limit){ .end = 0 });
}

TEST_ENDS(off_while_others_run, "power-off", "DEN 0022 5.1.9: all CPUs end")
{
	for (unsigned int cpu = 1; cpu < cpu_count(); cpu++)
		start_cpu(cpu, run_on, NULL);
	firmware(PSCI_SYSTEM_OFF, 0, 0, 0);
}
