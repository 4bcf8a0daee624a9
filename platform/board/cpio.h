/* SPDX-License-Identifier: BSD-2-Clause */
/* Reader of cpio archives in the "newc" format, which bundles of modules and initramfs images use.
 */
#ifndef PLATFORM_BOARD_CPIO_H
#define PLATFORM_BOARD_CPIO_H

#include <stddef.h>

/*
 * Calls fn for each regular file of the archive, in the archive's order; directories, links and
 * devices are passed over. name is the stored one without a leading "./"; data is in place, aligned
 * to 4 relative to archive, and lives as long as that does. A value other than 0 from fn ends the
 * walk and is returned.
 *
 * Returns 0 at the archive's trailer; what follows the trailer is not looked at. -EPROTO, logged
 * with the byte offset of the member, if the archive breaks the format's rules or ends without a
 * trailer; fn has then been called for the members before.
 */
int cpio_each(const void *archive, size_t size,
              int (*fn)(void *arg, const char *name, const void *data, size_t size), void *arg);

#endif
