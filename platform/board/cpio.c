/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A member is a header of ASCII, the name with its NUL, padding to 4, the data, padding to 4.
 * (cpio(5), "New ASCII Format"; Linux, Documentation/driver-api/early-userspace/buffer-format.rst)
 */
#include "platform/board/cpio.h"

#include <stdbool.h>
#include <stdint.h>

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/types.h>

#include "core/log.h"

#define CPIO_MAGIC   "070701"
#define CPIO_TRAILER "TRAILER!!!"

#define CPIO_MODE_TYPE    0170000u
#define CPIO_MODE_REGULAR 0100000u

struct cpio_header {
	char magic[6];
	/* each a number of 8 hexadecimal digits */
	char ino[8], mode[8], uid[8], gid[8], nlink[8], mtime[8], filesize[8];
	char devmajor[8], devminor[8], rdevmajor[8], rdevminor[8], namesize[8], check[8];
};
_Static_assert(sizeof(struct cpio_header) == 110, "newc header");
_Static_assert(offsetof(struct cpio_header, filesize) == 54, "newc header");
_Static_assert(offsetof(struct cpio_header, namesize) == 94, "newc header");

/* One member, decoded. */
struct cpio_member {
	uint32_t mode, data_size, name_size;
	const char *name;
	const void *data;
	size_t next; /* offset of the member after it, may lie up to 3 bytes behind the end */
};

static bool cpio_number(const char digits[8], uint32_t *value)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 8; i++) {
		char c = digits[i];
		char lower = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (lower >= 'a' && lower <= 'f')
			v = v << 4 | (uint32_t)(lower - 'a' + 10);
		else
			return false;
	}
	*value = v;
	return true;
}

/* Sizes are 32 bits wide and sums are made in 64, so that none wraps. */
static const char *cpio_decode(const char *archive, size_t size, size_t offset,
                               struct cpio_member *m)
{
	const struct cpio_header *h = (const void *)(archive + offset);
	uint64_t name, data, end;

	if (size - offset < sizeof(*h))
		return "the archive ends without a trailer";
	if (memcmp(h->magic, CPIO_MAGIC, sizeof(h->magic)) != 0)
		return "no member starts here; the format should be newc (cpio -H newc)";
	if (!cpio_number(h->mode, &m->mode) || !cpio_number(h->filesize, &m->data_size) ||
	    !cpio_number(h->namesize, &m->name_size))
		return "a number in the header is not hexadecimal";

	name = (uint64_t)offset + sizeof(*h);
	data = HC_ALIGN_UP(name + m->name_size, 4);
	end = data + m->data_size;
	if (m->name_size == 0 || name + m->name_size > size)
		return "the name does not fit into the archive";
	if (archive[name + m->name_size - 1] != '\0')
		return "the name is not terminated";
	/* A trailer may be the archive's last byte, without the padding. */
	if (m->data_size != 0 && end > size)
		return "the data do not fit into the archive";

	m->name = archive + name;
	m->data = archive + hc_min(data, size);
	m->next = (size_t)HC_ALIGN_UP(end, 4);
	return NULL;
}

static const char *cpio_plain_name(const char *name)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return name;
}

int cpio_each(const void *archive, size_t size,
              int (*fn)(void *arg, const char *name, const void *data, size_t size), void *arg)
{
	struct cpio_member m;

	for (size_t offset = 0;; offset = m.next) {
		const char *wrong = "the archive ends without a trailer";

		if (offset < size)
			wrong = cpio_decode(archive, size, offset, &m);
		if (wrong)
			return hc_error(-EPROTO, "cpio archive, byte %zu: %s", offset, wrong);
		if (strcmp(m.name, CPIO_TRAILER) == 0)
			return 0;
		if ((m.mode & CPIO_MODE_TYPE) == CPIO_MODE_REGULAR) {
			int ret = fn(arg, cpio_plain_name(m.name), m.data, m.data_size);

			if (ret != 0)
				return ret;
		}
	}
}
