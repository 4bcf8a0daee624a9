/* SPDX-License-Identifier: BSD-2-Clause */
/* The console's font: 8 by 16 pixels, ASCII and a few of Unicode's boxes, blocks and arrows. */
#ifndef PLATFORM_BOARD_FONT_H
#define PLATFORM_BOARD_FONT_H

#include <stdint.h>

#define FONT_WIDTH  8
#define FONT_HEIGHT 16
#define FONT_GLYPHS 128

/* The glyph of a Unicode character; one of its own, a crossed box, stands for all it does not have.
 */
uint8_t font_glyph(uint32_t character);

/* Copies the glyph's rows from top to bottom, bit 7 at the left. glyph is from font_glyph(). */
void font_rows(uint8_t glyph, uint8_t rows[FONT_HEIGHT]);

#endif
