/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/linux/program.h"

#include <string.h>
#include <unistd.h>

void linux_program_folder(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n == (ssize_t)size - 1)
		n = 0;
	path[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}
