/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drawing on a linear framebuffer of 24 or 32 bits per pixel. Everything is clipped to the surface;
 * coordinates may lie anywhere, (0, 0) is the upper left pixel. No locking: one caller at a time.
 */
#ifndef PLATFORM_BOARD_FB_H
#define PLATFORM_BOARD_FB_H

#include <hypercore/types.h>

#include "platform/board/boot_info.h"

#define FB_MAX_SIDE 16384 /* pixels */

struct fb {
	uint8_t *pixels;
	int32_t width, height; /* pixels */
	uint32_t pitch;        /* bytes from one row to the next */
	uint8_t bytes;         /* per pixel: 3 or 4 */
	uint8_t red_shift, green_shift, blue_shift;
};

/* A pixel's value, made for one surface by fb_color(). */
typedef uint32_t fb_color_t;

/* mapped is where the surface's first pixel can be written. -EINVAL, with the reason logged, for a
 * geometry that does not describe a surface: no pixels, more than FB_MAX_SIDE in a direction, rows
 * that overlap, a depth other than 24 and 32, colours outside the pixel, or (32 bits) rows that do
 * not start at multiples of 4 bytes. */
int fb_init(struct fb *fb, const struct board_framebuffer *info, void *mapped);

fb_color_t fb_color(const struct fb *fb, uint8_t red, uint8_t green, uint8_t blue);

void fb_pixel(const struct fb *fb, int32_t x, int32_t y, fb_color_t color);

/* Bresenham's line, both ends included: of the two pixels nearest to the line the one that is
 * nearer, on a tie the one farther from (x0, y0) in the minor direction. Clipping does not change
 * which pixels a line has. A line with a coordinate beyond +-2^30 is not drawn. */
void fb_line(const struct fb *fb, int32_t x0, int32_t y0, int32_t x1, int32_t y1, fb_color_t color);

/* A rectangle, its outline one pixel wide or all of it. Empty if a side is 0 or less. */
void fb_rect(const struct fb *fb, int32_t x, int32_t y, int32_t width, int32_t height,
             fb_color_t color);
void fb_fill(const struct fb *fb, int32_t x, int32_t y, int32_t width, int32_t height,
             fb_color_t color);

/* A bitmap 8 pixels wide, one byte per row, bit 7 at the left; each of its pixels becomes a square
 * of scale by scale (1 or more). Set bits get the colour on, the others off. */
void fb_bitmap(const struct fb *fb, int32_t x, int32_t y, const uint8_t *rows, int32_t height,
               int32_t scale, fb_color_t on, fb_color_t off);

/* Copies a rectangle of the surface to where its upper left corner is (x, y); the two may overlap.
 * What would come from outside the surface leaves its destination unchanged. Reads the surface,
 * which is slow on real devices. */
void fb_copy(const struct fb *fb, int32_t x, int32_t y, int32_t from_x, int32_t from_y,
             int32_t width, int32_t height);

#endif
