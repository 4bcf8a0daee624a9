/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The framebuffer's drawing and its console, pixel by pixel against naive references: a picture of
 * 32-bit colours in which every pixel decides for itself whether it belongs to a shape, and a
 * terminal that moves characters about and paints its whole page anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hypercore/errno.h>

#include "core/log.h"
#include "platform/board/fb.h"
#include "platform/board/fbcon.h"
#include "platform/board/font.h"

int hc_error(int err, const char *fmt, ...)
{
	return err;
}

static uint64_t seed = 6364136223846793005u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

static int32_t around(int32_t limit)
{
	switch (below(8)) {
	case 0: return (int32_t)below(UINT32_MAX);
	case 1: return below(2) ? INT32_MAX : INT32_MIN;
	default: return (int32_t)below((uint32_t)limit * 3) - limit;
	}
}

/* --- A surface in memory of exactly its size, so that the sanitizer sees what is outside --- */

struct surface {
	struct board_framebuffer info;
	uint8_t *bytes;
	size_t size;
	struct fb fb;
};

/* Position and seed decide, so that a byte that moved is noticed. */
static uint8_t poison(size_t at)
{
	return (uint8_t)((at * 2654435761u) >> 13);
}

static void make_surface(struct surface *s, uint32_t width, uint32_t height, uint8_t bits)
{
	uint32_t padding = below(3) ? below(5) * 4 : 0;

	s->info = (struct board_framebuffer){
		.base = 0xc0000000,
		.width = width,
		.height = height,
		.pitch = width * (bits / 8u) + padding,
		.bits_per_pixel = bits,
		.red_shift = 16,
		.green_shift = 8,
	};
	if (below(2)) {
		s->info.red_shift = 0;
		s->info.blue_shift = 16;
	}
	s->size = (size_t)s->info.pitch * (height - 1) + (size_t)width * (bits / 8u);
	s->bytes = malloc(s->size);
	assert_non_null(s->bytes);
	for (size_t i = 0; i < s->size; i++)
		s->bytes[i] = poison(i);
}

static void random_surface(struct surface *s)
{
	make_surface(s, 1 + below(60), 1 + below(60), below(2) ? 24 : 32);
	assert_int_equal(fb_init(&s->fb, &s->info, s->bytes), 0);
}

static uint32_t pixel_at(const struct surface *s, const uint8_t *bytes, uint32_t x, uint32_t y)
{
	const uint8_t *p =
		bytes + (size_t)y * s->info.pitch + (size_t)x * (s->info.bits_per_pixel / 8u);
	uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;

	return s->info.bits_per_pixel == 32 ? v | (uint32_t)p[3] << 24 : v;
}

static void set_pixel(const struct surface *s, uint8_t *bytes, uint32_t x, uint32_t y, uint32_t v)
{
	for (uint32_t i = 0; i < s->info.bits_per_pixel / 8u; i++)
		bytes[(size_t)y * s->info.pitch + (size_t)x * (s->info.bits_per_pixel / 8u) + i] =
			(uint8_t)(v >> (8 * i));
}

/* --- Shapes --- */

struct shape {
	int32_t x0, y0, x1, y1; /* x1 and y1 are width and height of rectangles */
};

static bool in_fill(const struct shape *s, int64_t x, int64_t y)
{
	return x >= s->x0 && x < (int64_t)s->x0 + s->x1 && y >= s->y0 && y < (int64_t)s->y0 + s->y1;
}

static bool in_rect(const struct shape *s, int64_t x, int64_t y)
{
	return in_fill(s, x, y) && (x == s->x0 || x == (int64_t)s->x0 + s->x1 - 1 || y == s->y0 ||
	                            y == (int64_t)s->y0 + s->y1 - 1);
}

static bool in_pixel(const struct shape *s, int64_t x, int64_t y)
{
	return x == s->x0 && y == s->y0;
}

/* Is b, at the step i of n, the pixel nearest to the line that rises by rise? Twice the distances
 * times n: |2bn - 2 rise i|; a tie goes to the farther one. */
static bool nearest(__int128 b, __int128 i, __int128 n, __int128 rise)
{
	__int128 above = 2 * (b * n - rise * i);

	return n == 0 ? b == 0 : above > -n && above <= n;
}

static bool in_line(const struct shape *s, int64_t x, int64_t y)
{
	int64_t dx = (int64_t)s->x1 - s->x0, dy = (int64_t)s->y1 - s->y0;
	int64_t u = dx < 0 ? s->x0 - x : x - s->x0, v = dy < 0 ? s->y0 - y : y - s->y0;
	int64_t n = llabs(dx), m = llabs(dy);
	int64_t limit = INT64_C(1) << 30;

	if (llabs((int64_t)s->x0) > limit || llabs((int64_t)s->y0) > limit ||
	    llabs((int64_t)s->x1) > limit || llabs((int64_t)s->y1) > limit)
		return false;
	if (m > n)
		return v >= 0 && v <= m && nearest(u, v, m, n);
	return u >= 0 && u <= n && nearest(v, u, n, m);
}

static void draw_pixel(const struct fb *fb, const struct shape *s, uint32_t color)
{
	fb_pixel(fb, s->x0, s->y0, color);
}

static void draw_rect(const struct fb *fb, const struct shape *s, uint32_t color)
{
	fb_rect(fb, s->x0, s->y0, s->x1, s->y1, color);
}

static void draw_fill(const struct fb *fb, const struct shape *s, uint32_t color)
{
	fb_fill(fb, s->x0, s->y0, s->x1, s->y1, color);
}

static void draw_line(const struct fb *fb, const struct shape *s, uint32_t color)
{
	fb_line(fb, s->x0, s->y0, s->x1, s->y1, color);
}

static void check_shapes(void (*draw)(const struct fb *, const struct shape *, uint32_t),
                         bool (*inside)(const struct shape *, int64_t, int64_t))
{
	for (int round = 0; round < 1500; round++) {
		struct surface s;
		struct shape shape;
		uint8_t *expected;
		uint32_t color;

		random_surface(&s);
		color = fb_color(&s.fb, (uint8_t)below(256), (uint8_t)below(256),
		                 (uint8_t)below(256));
		shape = (struct shape){ around(60), around(60), around(60), around(60) };
		expected = malloc(s.size);
		assert_non_null(expected);
		memcpy(expected, s.bytes, s.size);
		for (uint32_t y = 0; y < s.info.height; y++)
			for (uint32_t x = 0; x < s.info.width; x++)
				if (inside(&shape, x, y))
					set_pixel(&s, expected, x, y, color);
		draw(&s.fb, &shape, color);
		if (memcmp(s.bytes, expected, s.size) != 0)
			fail_msg("shape %d %d %d %d on %u x %u", shape.x0, shape.y0, shape.x1,
			         shape.y1, s.info.width, s.info.height);
		free(expected);
		free(s.bytes);
	}
}

static void pixels(void **state)
{
	check_shapes(draw_pixel, in_pixel);
}

static void lines(void **state)
{
	check_shapes(draw_line, in_line);
}

static void outlines(void **state)
{
	check_shapes(draw_rect, in_rect);
}

static void fills(void **state)
{
	check_shapes(draw_fill, in_fill);
}

static void colours_are_where_the_firmware_says(void **state)
{
	struct surface s;

	make_surface(&s, 1, 1, 32);
	s.info.red_shift = 24;
	s.info.green_shift = 3;
	s.info.blue_shift = 11;
	assert_int_equal(fb_init(&s.fb, &s.info, s.bytes), 0);
	assert_int_equal(fb_color(&s.fb, 0x81, 0x42, 0xc3), 0x81000000u | 0x42u << 3 | 0xc3u << 11);
	free(s.bytes);
}

static void copies(void **state)
{
	for (int round = 0; round < 1500; round++) {
		struct surface s;
		int32_t x = around(60), y = around(60), fx = around(60), fy = around(60);
		int32_t w = around(60), h = around(60);
		uint8_t *before;

		random_surface(&s);
		before = malloc(s.size);
		assert_non_null(before);
		memcpy(before, s.bytes, s.size);
		fb_copy(&s.fb, x, y, fx, fy, w, h);
		for (uint32_t py = 0; py < s.info.height; py++) {
			for (uint32_t px = 0; px < s.info.width; px++) {
				struct shape to = { x, y, w, h };
				int64_t sx = (int64_t)px - x + fx, sy = (int64_t)py - y + fy;
				bool copied = in_fill(&to, px, py) && sx >= 0 &&
				              sx < s.info.width && sy >= 0 && sy < s.info.height;

				assert_int_equal(
					pixel_at(&s, s.bytes, px, py),
					copied ? pixel_at(&s, before, (uint32_t)sx, (uint32_t)sy)
					       : pixel_at(&s, before, px, py));
			}
		}
		free(before);
		free(s.bytes);
	}
}

static void bitmaps(void **state)
{
	for (int round = 0; round < 1000; round++) {
		struct surface s;
		int32_t x = around(60), y = around(60), scale = 1 + (int32_t)below(3);
		uint8_t rows[16];
		uint8_t *expected;

		random_surface(&s);
		for (size_t i = 0; i < sizeof(rows); i++)
			rows[i] = (uint8_t)below(256);
		expected = malloc(s.size);
		assert_non_null(expected);
		memcpy(expected, s.bytes, s.size);
		for (uint32_t py = 0; py < s.info.height; py++) {
			for (uint32_t px = 0; px < s.info.width; px++) {
				int64_t col = (int64_t)px - x, row = (int64_t)py - y;
				int64_t side = scale;

				if (col < 0 || row < 0 || col >= 8 * side || row >= 16 * side)
					continue;
				set_pixel(&s, expected, px, py,
				          rows[row / scale] & 0x80 >> (col / scale) ? 0x123456
				                                                    : 0xabcdef);
			}
		}
		fb_bitmap(&s.fb, x, y, rows, 16, scale, 0x123456, 0xabcdef);
		assert_memory_equal(s.bytes, expected, s.size);
		free(expected);
		free(s.bytes);
	}
}

static void hostile_geometry_is_refused(void **state)
{
	static const struct board_framebuffer good = {
		.base = 1 << 20, .width = 64, .height = 64, .pitch = 256, .bits_per_pixel = 32
	};
	static uint32_t memory[64 * 64];
	struct fb fb;

#define REFUSED(member, value)                                                                     \
	do {                                                                                       \
		struct board_framebuffer bad = good;                                               \
		bad.member = (value);                                                              \
		assert_int_equal(fb_init(&fb, &bad, memory), -EINVAL);                             \
		assert_int_equal(fbcon_init(&bad, memory), -EINVAL);                               \
	} while (0)

	assert_int_equal(fb_init(&fb, &good, memory), 0);
	assert_int_equal(fb_init(&fb, &good, NULL), -EINVAL);
	assert_int_equal(fb_init(&fb, &good, (uint8_t *)memory + 2), -EINVAL);
	REFUSED(width, 0);
	REFUSED(width, 65);
	REFUSED(width, UINT32_MAX);
	REFUSED(width, 0x40000001); /* times 4 is 4 in 32 bits */
	REFUSED(height, 0);
	REFUSED(height, UINT32_MAX);
	REFUSED(pitch, 0);
	REFUSED(pitch, 255);
	REFUSED(pitch, 258);
	REFUSED(bits_per_pixel, 0);
	REFUSED(bits_per_pixel, 8);
	REFUSED(bits_per_pixel, 16);
	REFUSED(bits_per_pixel, 31);
	REFUSED(bits_per_pixel, 255);
	REFUSED(red_shift, 25);
	REFUSED(green_shift, 255);
	REFUSED(blue_shift, 32);

	/* A surface, but without room for text. */
	struct board_framebuffer flat = good;

	flat.height = 20;
	assert_int_equal(fb_init(&fb, &flat, memory), 0);
	assert_int_equal(fbcon_init(&flat, memory), -EINVAL);
	fbcon_write("nothing happens", 15);
}

/* --- The font --- */

static void the_fonts_glyphs_differ(void **state)
{
	uint8_t rows[FONT_GLYPHS][FONT_HEIGHT];

	for (unsigned i = 0; i < FONT_GLYPHS; i++) {
		font_rows((uint8_t)i, rows[i]);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(rows[i], rows[j], FONT_HEIGHT);
	}
	for (uint32_t c = 0x20; c < 0x7f; c++)
		for (uint32_t d = 0x20; d < c; d++)
			assert_int_not_equal(font_glyph(c), font_glyph(d));
	/* Box characters join: what leaves a cell at one edge enters the next at the other. */
	font_rows(font_glyph(0x2500), rows[0]);
	font_rows(font_glyph(0x253c), rows[1]);
	assert_int_equal(rows[0][7], 0xff);
	assert_int_equal(rows[1][7], 0xff);
	assert_int_equal(rows[1][0], rows[1][15]);
	assert_int_equal(font_glyph(0), font_glyph(0x10ffff));
	assert_in_range(font_glyph(UINT32_MAX), 0, FONT_GLYPHS - 1);
}

/* --- The console: a terminal that keeps characters and colours --- */

#define BAR 22

struct terminal {
	int cols, rows, step, col, row;
	int fg, bg;
	bool bright;
	struct {
		uint32_t character;
		int fg, bg;
	} cell[64][64];
};

static void term_clear_row(struct terminal *t, int row)
{
	for (int i = 0; i < t->cols; i++) {
		t->cell[row][i].character = ' ';
		t->cell[row][i].fg = 7;
		t->cell[row][i].bg = 0;
	}
}

static void term_newline(struct terminal *t)
{
	t->col = 0;
	if (++t->row < t->rows)
		return;
	for (int n = 0; n < t->step; n++) {
		memmove(t->cell[0], t->cell[1], sizeof(t->cell) - sizeof(t->cell[0]));
		term_clear_row(t, t->rows - 1);
		t->row--;
	}
}

static void term_put(struct terminal *t, uint32_t character)
{
	if (t->col == t->cols)
		term_newline(t);
	t->cell[t->row][t->col].character = character;
	t->cell[t->row][t->col].fg = t->fg + (t->bright ? 8 : 0);
	t->cell[t->row][t->col].bg = t->bg;
	t->col++;
}

/* One random action, on the terminal and as bytes at the end of text. */
static size_t random_action(struct terminal *t, char *text)
{
	static const uint32_t boxes[] = { 0x2500, 0x2502, 0x250c, 0x2588, 0x2022, 0x20ac };
	int n;

	switch (below(14)) {
	case 0: term_newline(t); return (size_t)sprintf(text, "\r\n");
	case 1: t->col = 0; return (size_t)sprintf(text, "\r");
	case 2: t->col -= t->col > 0; return (size_t)sprintf(text, "\b");
	case 3:
		do
			t->col++;
		while (t->col % 8 != 0);
		if (t->col > t->cols)
			t->col = t->cols;
		return (size_t)sprintf(text, "\t");
	case 4:
		n = (int)below(8);
		t->fg = n;
		t->bright = false;
		t->bg = 0;
		return (size_t)sprintf(text, "\x1b[0;3%dm", n);
	case 5:
		n = (int)below(8);
		t->bg = n;
		t->bright = true;
		return (size_t)sprintf(text, "\x1b[1;4%dm", n);
	case 6:
		n = (int)below(8);
		t->fg = n;
		t->bright = true;
		return (size_t)sprintf(text, "\x1b[9%dm", n);
	case 7:
		t->fg = 7;
		t->bg = 0;
		t->bright = false;
		return (size_t)sprintf(text, below(2) ? "\x1b[m" : "\x1b[39;49;22m");
	case 8: return (size_t)sprintf(text, "%s", below(2) ? "\x1b[2J" : "\x1b[?25l");
	case 9:
		return (size_t)sprintf(text, "%s",
		                       below(2) ? "\x07"
		                                : "\x1b"
		                                  "7\x7f");
	case 10: {
		uint32_t c = boxes[below(6)];

		term_put(t, c);
		return (size_t)sprintf(text, "%c%c%c", (int)(0xe0 | c >> 12),
		                       (int)(0x80 | (c >> 6 & 0x3f)), (int)(0x80 | (c & 0x3f)));
	}
	default:
		for (n = 0; n < 1 + (int)(seed % 12); n++) {
			text[n] = (char)(' ' + (int)((seed >> n) % 95));
			term_put(t, (uint32_t)text[n]);
		}
		return (size_t)n;
	}
}

/* Learns the palette from the screen: that of a cell whose glyph has both colours. */
static void check_cell(const struct surface *s, const struct terminal *t, int row, int col,
                       int64_t palette[16])
{
	uint8_t rows[FONT_HEIGHT];
	int fg = t->cell[row][col].fg, bg = t->cell[row][col].bg;

	font_rows(font_glyph(t->cell[row][col].character), rows);
	for (int y = 0; y < FONT_HEIGHT; y++) {
		for (int x = 0; x < FONT_WIDTH; x++) {
			int color = rows[y] & 0x80 >> x ? fg : bg;
			uint32_t seen = pixel_at(s, s->bytes, (uint32_t)(col * FONT_WIDTH + x),
			                         (uint32_t)(BAR + row * FONT_HEIGHT + y));

			if (palette[color] < 0)
				palette[color] = seen;
			if (palette[color] != seen)
				fail_msg("row %d, column %d, pixel %d %d: %#x, not %#x", row, col,
				         x, y, seen, (unsigned)palette[color]);
		}
	}
}

static void check_screen(const struct surface *s, const struct terminal *t, int64_t palette[16])
{
	for (int row = 0; row < t->rows; row++)
		for (int col = 0; col < t->cols; col++)
			check_cell(s, t, row, col, palette);
}

static void start_terminal(struct terminal *t, const struct surface *s)
{
	memset(t, 0, sizeof(*t));
	t->cols = (int)s->info.width / FONT_WIDTH;
	t->rows = ((int)s->info.height - BAR) / FONT_HEIGHT;
	t->step = t->rows >= 16 ? t->rows / 8 : 1;
	t->fg = 7;
	for (int row = 0; row < t->rows; row++)
		term_clear_row(t, row);
}

static void the_console_shows_what_a_terminal_would(void **state)
{
	static struct terminal t;
	static char text[4096];

	for (int round = 0; round < 20; round++) {
		struct surface s;
		int64_t palette[16];
		size_t len = 0;

		make_surface(&s, 8 + below(300), BAR + 16 + below(400), below(2) ? 24 : 32);
		memset(palette, -1, sizeof(palette));
		assert_int_equal(fbcon_init(&s.info, s.bytes), 0);
		start_terminal(&t, &s);
		check_screen(&s, &t, palette);
		for (int action = 0; action < 150; action++) {
			len += random_action(&t, text + len);
			if (below(4) != 0)
				continue;
			/* In pieces: sequences may be cut anywhere. */
			size_t cut = below((uint32_t)len + 1);

			fbcon_write(text, cut);
			fbcon_write(text + cut, len - cut);
			len = 0;
			check_screen(&s, &t, palette);
		}
		/* Different colours look different. */
		for (int i = 0; i < 16; i++)
			for (int j = 0; j < i; j++)
				assert_true(palette[i] < 0 || palette[i] != palette[j]);
		free(s.bytes);
	}
}

/* The device's memory is noise after each write; if any of it moved, or a cell is drawn without
 * need, more than the new text's pixels differ from the noise. */
static void the_console_does_not_read_the_framebuffer(void **state)
{
	struct surface s;
	char line[32];

	make_surface(&s, 320, BAR + 20 * FONT_HEIGHT, 32);
	assert_int_equal(fbcon_init(&s.info, s.bytes), 0);
	for (int n = 0; n < 60; n++) {
		int len = sprintf(line, "%s%d\n", n % 3 ? "line " : "", n);
		unsigned strange = 0;

		for (size_t i = 0; i < s.size; i++)
			s.bytes[i] = poison(i);
		fbcon_write(line, (size_t)len);
		for (uint32_t y = 0; y < s.info.height; y++) {
			for (uint32_t x = 0; x < s.info.width; x++) {
				size_t at = (size_t)y * s.info.pitch + (size_t)x * 4;
				uint32_t seen = pixel_at(&s, s.bytes, x, y);
				bool kept = s.bytes[at] == poison(at) &&
				            s.bytes[at + 1] == poison(at + 1) &&
				            s.bytes[at + 2] == poison(at + 2) &&
				            s.bytes[at + 3] == poison(at + 3);

				/* Cells of lines are in the first 8 columns. */
				if (!kept && (y < BAR || x >= 8 * FONT_WIDTH || seen >> 24 != 0))
					strange++;
			}
		}
		assert_int_equal(strange, 0);
	}
	free(s.bytes);
}

static void noise_does_no_harm(void **state)
{
	struct surface s;
	char noise[512];

	make_surface(&s, 200, 200, 24);
	assert_int_equal(fbcon_init(&s.info, s.bytes), 0);
	for (int round = 0; round < 300; round++) {
		size_t len = below(sizeof(noise));

		for (size_t i = 0; i < len; i++)
			noise[i] = below(4) ? (char)below(256) : "\x1b[;m\n\t0"[below(7)];
		fbcon_write(noise, len);
	}
	free(s.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pixels),
		cmocka_unit_test(lines),
		cmocka_unit_test(outlines),
		cmocka_unit_test(fills),
		cmocka_unit_test(colours_are_where_the_firmware_says),
		cmocka_unit_test(copies),
		cmocka_unit_test(bitmaps),
		cmocka_unit_test(hostile_geometry_is_refused),
		cmocka_unit_test(the_fonts_glyphs_differ),
		cmocka_unit_test(the_console_shows_what_a_terminal_would),
		cmocka_unit_test(the_console_does_not_read_the_framebuffer),
		cmocka_unit_test(noise_does_no_harm),
	};

	return cmocka_run_group_tests_name("framebuffer", tests, NULL, NULL);
}
