/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/fb.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"

#define LINE_LIMIT (INT32_C(1) << 30)

/* A rectangle as half-open intervals, in 64 bits: no sum of two coordinates wraps. */
struct area {
	int64_t x0, y0, x1, y1;
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static struct area area_of(int64_t x, int64_t y, int64_t width, int64_t height)
{
	return (struct area){ x, y, x + most(width, 0), y + most(height, 0) };
}

static struct area clip(const struct fb *fb, struct area a)
{
	return (struct area){ most(a.x0, 0), most(a.y0, 0), least(a.x1, fb->width),
		              least(a.y1, fb->height) };
}

static const char *wrong_geometry(const struct board_framebuffer *info, const void *mapped)
{
	uint32_t bytes = info->bits_per_pixel / 8u;
	uint32_t top = info->bits_per_pixel - 8u;

	if (info->bits_per_pixel != 24 && info->bits_per_pixel != 32)
		return "the depth should be 24 or 32 bits";
	if (info->width == 0 || info->height == 0 || !mapped)
		return "it has no pixels";
	if (info->width > FB_MAX_SIDE || info->height > FB_MAX_SIDE)
		return "it should have at most 16384 pixels in each direction";
	if (info->pitch < info->width * bytes)
		return "its rows overlap";
	if (bytes == 4 && (info->pitch % 4 != 0 || (uintptr_t)mapped % 4 != 0))
		return "its rows should start at multiples of 4 bytes";
	if (info->red_shift > top || info->green_shift > top || info->blue_shift > top)
		return "its colours lie outside the pixel";
	return NULL;
}

int fb_init(struct fb *fb, const struct board_framebuffer *info, void *mapped)
{
	const char *wrong = wrong_geometry(info, mapped);

	if (wrong)
		return hc_error(-EINVAL, "framebuffer, %u x %u, %u bits, pitch %u: %s", info->width,
		                info->height, info->bits_per_pixel, info->pitch, wrong);
	*fb = (struct fb){
		.pixels = mapped,
		.width = (int32_t)info->width,
		.height = (int32_t)info->height,
		.pitch = info->pitch,
		.bytes = info->bits_per_pixel / 8,
		.red_shift = info->red_shift,
		.green_shift = info->green_shift,
		.blue_shift = info->blue_shift,
	};
	return 0;
}

fb_color_t fb_color(const struct fb *fb, uint8_t red, uint8_t green, uint8_t blue)
{
	return (uint32_t)red << fb->red_shift | (uint32_t)green << fb->green_shift |
	       (uint32_t)blue << fb->blue_shift;
}

/* The address of a pixel inside the surface. */
static uint8_t *at(const struct fb *fb, int64_t x, int64_t y)
{
	return fb->pixels + (size_t)y * fb->pitch + (size_t)x * fb->bytes;
}

/* count pixels from (x, y) to the right, inside the surface. */
static void put_run(const struct fb *fb, int64_t x, int64_t y, int64_t count, fb_color_t color)
{
	uint8_t *p = at(fb, x, y);

	if (fb->bytes == 4) {
		uint32_t *wide = (uint32_t *)(void *)p;

		for (int64_t i = 0; i < count; i++)
			wide[i] = color;
		return;
	}
	for (int64_t i = 0; i < count; i++, p += 3) {
		p[0] = (uint8_t)color;
		p[1] = (uint8_t)(color >> 8);
		p[2] = (uint8_t)(color >> 16);
	}
}

static void fill_area(const struct fb *fb, struct area area, fb_color_t color)
{
	struct area a = clip(fb, area);

	if (a.x0 >= a.x1)
		return;
	for (int64_t y = a.y0; y < a.y1; y++)
		put_run(fb, a.x0, y, a.x1 - a.x0, color);
}

void fb_fill(const struct fb *fb, int32_t x, int32_t y, int32_t width, int32_t height,
             fb_color_t color)
{
	fill_area(fb, area_of(x, y, width, height), color);
}

void fb_pixel(const struct fb *fb, int32_t x, int32_t y, fb_color_t color)
{
	fill_area(fb, area_of(x, y, 1, 1), color);
}

void fb_rect(const struct fb *fb, int32_t x, int32_t y, int32_t width, int32_t height,
             fb_color_t color)
{
	struct area a = area_of(x, y, width, height);

	if (a.x0 == a.x1 || a.y0 == a.y1)
		return;
	fill_area(fb, (struct area){ a.x0, a.y0, a.x1, a.y0 + 1 }, color);
	fill_area(fb, (struct area){ a.x0, a.y1 - 1, a.x1, a.y1 }, color);
	fill_area(fb, (struct area){ a.x0, a.y0, a.x0 + 1, a.y1 }, color);
	fill_area(fb, (struct area){ a.x1 - 1, a.y0, a.x1, a.y1 }, color);
}

/* --- Lines ---
 *
 * Along the major axis a line has one pixel per step i = 0..length; its minor offset there is
 * floor((2 * rise * i + length) / (2 * length)). Clipping picks the steps whose major coordinate is
 * on the surface and starts there with the offset and the remainder that the steps before would
 * have left, so that the cost is bounded by the surface and not by the line. */

struct axis {
	int64_t start, length; /* length >= 0 */
	int dir;
	int64_t limit; /* of the surface */
};

static struct axis axis_of(int32_t from, int32_t to, int32_t limit)
{
	int64_t delta = (int64_t)to - from;

	return (struct axis){ from, delta < 0 ? -delta : delta, delta < 0 ? -1 : 1, limit };
}

/* The first and last step on the surface. */
static void clip_steps(const struct axis *a, int64_t *first, int64_t *last)
{
	int64_t enter = a->dir > 0 ? -a->start : a->start - (a->limit - 1);
	int64_t leave = a->dir > 0 ? a->limit - 1 - a->start : a->start;

	*first = most(enter, 0);
	*last = least(leave, a->length);
}

static bool beyond(int32_t v)
{
	return v > LINE_LIMIT || v < -LINE_LIMIT;
}

void fb_line(const struct fb *fb, int32_t x0, int32_t y0, int32_t x1, int32_t y1, fb_color_t color)
{
	struct axis x = axis_of(x0, x1, fb->width), y = axis_of(y0, y1, fb->height);
	bool steep = y.length > x.length;
	const struct axis *major = steep ? &y : &x, *minor = steep ? &x : &y;
	int64_t first, last, offset, remainder, whole;

	if (beyond(x0) || beyond(y0) || beyond(x1) || beyond(y1))
		return;
	clip_steps(major, &first, &last);
	whole = 2 * most(major->length, 1);
	/* At most 2 * 2^31 * 2^31 and a little: no overflow in 64 bits unsigned. */
	offset = (int64_t)((2 * (uint64_t)minor->length * (uint64_t)most(first, 0) +
	                    (uint64_t)major->length) /
	                   (uint64_t)whole);
	remainder = (int64_t)((2 * (uint64_t)minor->length * (uint64_t)most(first, 0) +
	                       (uint64_t)major->length) %
	                      (uint64_t)whole);

	for (int64_t i = first; i <= last; i++) {
		int64_t a = major->start + major->dir * i;
		int64_t b = minor->start + minor->dir * offset;

		if (b >= 0 && b < minor->limit)
			put_run(fb, steep ? b : a, steep ? a : b, 1, color);
		remainder += 2 * minor->length;
		if (remainder >= whole) {
			remainder -= whole;
			offset++;
		}
	}
}

void fb_bitmap(const struct fb *fb, int32_t x, int32_t y, const uint8_t *rows, int32_t height,
               int32_t scale, fb_color_t on, fb_color_t off)
{
	int64_t s = scale;

	for (int64_t row = 0; row < height; row++) {
		/* Runs of one colour, not single pixels: device memory is slow. */
		for (int64_t from = 0, to; from < 8; from = to) {
			unsigned bit = rows[row] >> (7 - from) & 1u;

			for (to = from + 1; to < 8 && (rows[row] >> (7 - to) & 1u) == bit;)
				to++;
			fill_area(fb,
			          (struct area){ x + from * s, y + row * s, x + to * s,
			                         y + (row + 1) * s },
			          bit ? on : off);
		}
	}
}

void fb_copy(const struct fb *fb, int32_t x, int32_t y, int32_t from_x, int32_t from_y,
             int32_t width, int32_t height)
{
	int64_t dx = (int64_t)x - from_x, dy = (int64_t)y - from_y;
	struct area from = clip(fb, area_of(from_x, from_y, width, height));
	struct area to =
		clip(fb, (struct area){ from.x0 + dx, from.y0 + dy, from.x1 + dx, from.y1 + dy });

	if (to.x0 >= to.x1)
		return;
	for (int64_t i = 0; i < to.y1 - to.y0; i++) {
		/* Downwards from below: no row is overwritten before it was copied. */
		int64_t row = dy > 0 ? to.y1 - 1 - i : to.y0 + i;

		memmove(at(fb, to.x0, row), at(fb, to.x0 - dx, row - dy),
		        (size_t)(to.x1 - to.x0) * fb->bytes);
	}
}
