/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A text console on the framebuffer: a title bar, and below it a page of text that scrolls. One
 * console; the caller sees to it that one CPU at a time is inside (the log's lock).
 */
#ifndef PLATFORM_BOARD_FBCON_H
#define PLATFORM_BOARD_FBCON_H

#include <hypercore/types.h>

#include "platform/board/boot_info.h"

/* Clears the screen and draws the bar. mapped is info->base in the caller's address space, writable
 * for pitch * height bytes, and stays so. -EINVAL, logged, for a geometry that is none (fb_init) or
 * one that has no room for a line of text; fbcon_write() then does nothing. */
int fbcon_init(const struct board_framebuffer *info, void *mapped);

/*
 * Shows len bytes of UTF-8. Understood are newline (which also returns), carriage return,
 * backspace, tab (to the next multiple of 8) and the escape sequences for colours (ECMA-48, SGR 0,
 * 1, 22, 30-37, 39, 40-47, 49, 90-97); other control characters and sequences are swallowed. Long
 * lines go on in the next row. Never reads the framebuffer. Before fbcon_init() it does nothing.
 */
void fbcon_write(const char *text, size_t len);

#endif
