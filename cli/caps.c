/* SPDX-License-Identifier: BSD-2-Clause */
/* hypercore caps: what this machine offers. */
#include <hypercore/hypercore.h>
#include <stdio.h>

#include "cli/cli.h"

int cli_caps(int argc, char **argv)
{
	const char *name;
	char how[128];

	for (unsigned i = 0;; i++) {
		int rc = hypercore_backend(i, &name, how, sizeof(how));

		if (rc == -2)
			break;
		printf("backend %s: %s %s\n", name, rc ? "no" : "yes", how);
	}
	return 0;
}
