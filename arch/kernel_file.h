/* SPDX-License-Identifier: BSD-2-Clause */
/* For kernel loaders of all architectures: what a file is that they do not take. */
#ifndef ARCH_KERNEL_FILE_H
#define ARCH_KERNEL_FILE_H

#include <hypercore/types.h>

/* What the file looks like, as the end of a sentence: "an ELF file (vmlinux?)". A constant. */
const char *hc_kernel_file_kind(const void *file, uint64_t size);

/* Nothing tells what it is: it may be a program without a header. */
bool hc_kernel_file_is_unknown(const void *file, uint64_t size);

#endif
