/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"

static int explain(int rc, const char *what, const char *path)
{
	return hc_error(rc, "%s %s: %s", what, path, strerror(-rc));
}

static int grow(struct file *f, size_t *room, size_t limit)
{
	size_t size = *room ? 2 * *room : HC_MIB;
	/* One more than the limit shows that the file is longer. */
	void *p = realloc(f->data, size < limit ? size : limit + 1);

	if (!p)
		return -ENOMEM;
	f->data = p;
	*room = size < limit ? size : limit + 1;
	return 0;
}

static int read_all(struct file *f, int fd, size_t limit)
{
	size_t room = 0;

	for (;;) {
		int rc = f->size == room ? grow(f, &room, limit) : 0;

		if (rc)
			return rc;
		ssize_t n = read(fd, (char *)f->data + f->size, room - f->size);

		if (n < 0 && errno != EINTR)
			return -errno;
		f->size += n > 0 ? (size_t)n : 0;
		if (f->size > limit)
			return -EFBIG;
		if (!n)
			return 0;
	}
}

int file_read(struct file *f, const char *what, const char *path, size_t limit)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;

	*f = (struct file){ 0 };
	if (fd < 0 || fstat(fd, &st))
		rc = -errno;
	else if (S_ISDIR(st.st_mode))
		rc = -EISDIR;
	if (!rc)
		rc = read_all(f, fd, limit);
	if (!rc && !f->size)
		rc = hc_error(-EINVAL, "%s %s: the file is empty", what, path);
	else if (rc == -EFBIG)
		hc_error(rc, "%s %s: has more than the %llu MiB that can be loaded", what, path,
		         (unsigned long long)(limit / HC_MIB));
	else if (rc)
		explain(rc, what, path);
	if (fd >= 0)
		close(fd);
	if (rc)
		file_free(f);
	return rc;
}

void file_free(struct file *f)
{
	free(f->data);
	*f = (struct file){ 0 };
}
