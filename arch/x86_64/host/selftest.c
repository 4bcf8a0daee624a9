/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/host/selftest.h"

#include <hypercore/freestanding.h>

#include "core/memory.h"
#include "platform/platform.h"

#define RESULT  0x1250
#define LOOPS   7
#define SCRATCH 0x800

/* 4 MiB from 0 on: present, writable, a large page (SDM Vol. 3A table 4-4). */
static const uint8_t page_directory[] = { 0x83, 0, 0, 0 };

static const uint8_t code_32[] = {
	0xb8, 0x34, 0x12, 0x00, 0x00,       /*    mov $0x1234, %eax */
	0xb9, 0x07, 0x00, 0x00, 0x00,       /*    mov $LOOPS, %ecx */
	0x31, 0xd2,                         /*    xor %edx, %edx */
	0x01, 0xc8,                         /* 1: add %ecx, %eax */
	0x42,                               /*    inc %edx */
	0xe2, 0xfb,                         /*    loop 1b */
	0xa3, 0x00, 0x08, 0x00, 0x00,       /*    mov %eax, SCRATCH */
	0x8b, 0x1d, 0x00, 0x08, 0x00, 0x00, /*    mov SCRATCH, %ebx */
	0xf4,                               /*    hlt */
};

static const uint8_t code_16[] = {
	0xb8, 0x34, 0x12,       /*    mov $0x1234, %ax */
	0xb9, 0x07, 0x00,       /*    mov $LOOPS, %cx */
	0x31, 0xd2,             /*    xor %dx, %dx */
	0x01, 0xc8,             /* 1: add %cx, %ax */
	0x42,                   /*    inc %dx */
	0xe2, 0xfb,             /*    loop 1b */
	0xa3, 0x00, 0x08,       /*    mov %ax, SCRATCH */
	0x8b, 0x1e, 0x00, 0x08, /*    mov SCRATCH, %bx */
	0xf4,                   /*    hlt */
};

void x86_selftest_write(uint8_t *page, bool with_32)
{
	memcpy(page, page_directory, sizeof(page_directory));
	if (with_32)
		memcpy(page + X86_SELFTEST_RIP, code_32, sizeof(code_32));
	else
		memcpy(page + X86_SELFTEST_RIP, code_16, sizeof(code_16));
}

int x86_selftest_map(struct s2 *s2, const struct s2_format *format, unsigned gpa_bits,
                     uint8_t *page, bool with_32)
{
	int rc = s2_init(s2, format, &hc_lone_tables, NULL, gpa_bits);

	if (rc)
		return rc;
	rc = s2_map(s2, gpa_of(0), hc_platform_to_hpa(page), HC_PAGE_SIZE, S2_RWX);
	if (rc)
		s2_destroy(s2);
	else
		x86_selftest_write(page, with_32);
	return rc;
}

bool x86_selftest_passed(const uint8_t *page, uint64_t rax, uint64_t rbx, uint64_t rdx)
{
	uint16_t stored = (uint16_t)(page[SCRATCH] | page[SCRATCH + 1] << 8);

	return (uint16_t)rax == RESULT && (uint16_t)rbx == RESULT && (uint16_t)rdx == LOOPS &&
	       stored == RESULT;
}
