/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/kernel_file.h"

#include <hypercore/freestanding.h>

#define SECTOR 512u

/* The first that fits. */
static const struct {
	uint16_t offset;
	uint8_t len;
	const char *magic, *what;
} known_files[] = {
	{ 0x202, 4, "HdrS", "a Linux kernel for x86 (bzImage)" },
	{ 0x38, 4, "ARM\x64", "a kernel for arm64" },
	{ 0, 4,
	  "\x7f"
	  "ELF",
	  "an ELF file (vmlinux?)" },
	{ 0, 2, "\x1f\x8b", "a gzip file" },
	{ 0, 5,
	  "\xfd"
	  "7zXZ",
	  "an xz file" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "a zstd file" },
	{ 0, 3, "BZh", "a bzip2 file" },
	{ 0, 6, "070701", "a cpio archive (an initramfs?)" },
	{ 0, 4, "\x27\x05\x19\x56", "a U-Boot image" },
	{ 0, 2, "#!", "a script" },
	{ 0, 7, "!<arch>", "an archive (a Debian package?)" },
	{ 0, 4, "\xd0\x0d\xfe\xed", "a device tree" },
	{ 4, 4, "zimg", "a compressed kernel for UEFI (vmlinuz.efi)" },
	{ 0, 2, "MZ", "a DOS or UEFI executable" },
};

static bool is_text(const uint8_t *p, uint64_t size)
{
	for (uint64_t i = 0; i < size && i < 64; i++)
		if ((p[i] < ' ' || p[i] > '~') && p[i] != '\n' && p[i] != '\r' && p[i] != '\t')
			return false;
	return true;
}

static bool is_zero(const uint8_t *p, uint64_t size)
{
	for (uint64_t i = 0; i < size && i < SECTOR; i++)
		if (p[i])
			return false;
	return true;
}

static const char *kind_of(const void *file, uint64_t size)
{
	const uint8_t *p = file;

	if (!size)
		return "empty";
	for (unsigned i = 0; i < HC_ARRAY_SIZE(known_files); i++)
		if (size >= (uint64_t)known_files[i].offset + known_files[i].len &&
		    !memcmp(p + known_files[i].offset, known_files[i].magic, known_files[i].len))
			return known_files[i].what;
	if (is_text(p, size))
		return "text";
	if (is_zero(p, size))
		return "all zeros";
	if (size >= SECTOR && p[510] == 0x55 && p[511] == 0xaa)
		return "a boot sector without a Linux header";
	return NULL;
}

const char *hc_kernel_file_kind(const void *file, uint64_t size)
{
	const char *kind = kind_of(file, size);

	return kind ? kind : "of no known format";
}

bool hc_kernel_file_is_unknown(const void *file, uint64_t size)
{
	return !kind_of(file, size);
}
