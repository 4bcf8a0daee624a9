/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/log.h"
#include "platform/board/image.h"
#include "platform/board/paging.h"
#include "platform/board/panic.h"
#include "platform/platform.h"

typedef unsigned long long ull;

void dump_say(const char *fmt, ...)
{
	char line[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = hc_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	hc_platform_log(line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

const char *dump_place(uint64_t va, char *buf, size_t size)
{
	uint64_t start = (uint64_t)(uintptr_t)image_start;

	if (va >= start && va < (uint64_t)(uintptr_t)image_rodata)
		hc_snprintf(buf, size, "image+0x%llx", (ull)(va - start));
	else
		hc_snprintf(buf, size, "0x%llx", (ull)va);
	return buf;
}

void dump_stack(uint64_t sp)
{
	hpa_t pa;

	for (unsigned row = 0; row < 8; row++, sp += 32) {
		const uint64_t *w = (const uint64_t *)(uintptr_t)sp;

		if (sp & 7 || !paging_lookup(sp, &pa) || !paging_lookup(sp + 31, &pa))
			return;
		dump_say("  stack %016llx: %016llx %016llx %016llx %016llx", (ull)sp, (ull)w[0],
		         (ull)w[1], (ull)w[2], (ull)w[3]);
	}
}
