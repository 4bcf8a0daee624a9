/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/boot_info.h"

#include <hypercore/errno.h>

int boot_info_check(struct board_boot_info *info)
{
	info->loader[sizeof(info->loader) - 1] = '\0';
	info->cmdline[sizeof(info->cmdline) - 1] = '\0';
	if (info->magic != BOARD_BOOT_MAGIC || info->range_count > BOARD_MAX_RANGES ||
	    info->module_count > BOARD_MAX_MODULES)
		return -EPROTO;
	for (uint32_t i = 0; i < info->module_count; i++)
		info->modules[i].name[BOARD_MODULE_NAME - 1] = '\0';
	return 0;
}
