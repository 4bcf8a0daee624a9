/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for code made at run time: RAM as the direct map has it, and once more, executable. */
#include "platform/board/paging.h"
#include "platform/platform.h"

void *hc_platform_alloc_code(size_t size, void **writable)
{
	unsigned order = (unsigned)__builtin_ctzll(size) - HC_PAGE_SHIFT;
	void *code;

	*writable = hc_platform_alloc_pages(order);
	if (!*writable)
		return NULL;
	code = paging_window(hc_platform_to_hpa(*writable), size, PAGING_RX);
	if (!code)
		hc_platform_free_pages(*writable, order);
	return code;
}
