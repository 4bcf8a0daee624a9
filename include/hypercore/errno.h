/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error numbers. Functions return 0 or a count on success and -E... on failure, with Linux's
 * numbers, so that hosted code can pass them to strerror(). The spelling of each line is that of
 * the numbers' only meaning: a file that also includes <errno.h> sees the same definitions.
 */
#ifndef HYPERCORE_ERRNO_H
#define HYPERCORE_ERRNO_H

#define EPERM      1  /* the firmware or a policy forbids it */
#define ENOENT     2  /* no such file, slot, register or VM */
#define EIO        5  /* a device or a disk failed */
#define E2BIG      7  /* a command line or list is too long */
#define ENOEXEC    8  /* not a kernel image of a known format */
#define EAGAIN     11 /* not now: try again after the named event */
#define ENOMEM     12 /* out of host memory */
#define EFAULT     14 /* an address outside the guest's memory */
#define EBUSY      16 /* in use */
#define EEXIST     17 /* overlaps something that is there */
#define ENODEV     19 /* the hardware does not have it */
#define EINVAL     22 /* a parameter is out of its range */
#define ENOSPC     28 /* a table is full */
#define ERANGE     34 /* a number outside what the machine supports */
#define ENOSYS     38 /* this build or backend does not offer it */
#define EPROTO     71 /* contents that break the format's rules */
#define EOVERFLOW  75 /* does not fit the type or buffer */
#define EOPNOTSUPP 95 /* valid, but not supported here */
#define ETIMEDOUT  110
#define ECANCELED  125

#endif
