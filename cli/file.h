/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole files in memory. */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include <hypercore/types.h>

struct file {
	void *data; /* malloc()ed; NULL if there is no file */
	size_t size;
};

/* Reads path, of at most limit bytes; what ("--kernel") is for the message. Pipes are read to their
 * end. -errno, explained. */
int file_read(struct file *f, const char *what, const char *path, size_t limit);
void file_free(struct file *f);

#endif
