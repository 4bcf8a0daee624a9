/* SPDX-License-Identifier: BSD-2-Clause */
/* The running program's own place, beside which its parts are found. */
#ifndef PLATFORM_LINUX_PROGRAM_H
#define PLATFORM_LINUX_PROGRAM_H

#include <stddef.h>

/* The folder that the program's file is in, without a slash at its end; "" if that is not known, or
 * longer than size allows. */
void linux_program_folder(char *path, size_t size);

#endif
