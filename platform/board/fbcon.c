/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text goes to the page, an array of cells, first. At the end of a write the cells that differ from
 * what the screen shows are drawn: scrolling is moving cells, and memory of the device is only ever
 * written. The page moves up by several rows at once, because on real hardware the drawing after it
 * is what takes time.
 */
#include "platform/board/fbcon.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/fb.h"
#include "platform/board/font.h"

#define MAX_COLS 320
#define MAX_ROWS 160

/* From this width on, every pixel of the font is 2 by 2. */
#define WIDE_SCREEN 2560

#define BAR_HEIGHT 22 /* at scale 1 */
#define TAB        8

#define DEFAULT_COLORS 0x07 /* light grey on black */
#define BRIGHT         0x08

struct cell {
	uint8_t glyph;
	uint8_t colors; /* foreground 3:0, background 6:4 */
};

enum state { ST_TEXT, ST_ESCAPE, ST_SEQUENCE };

static struct console {
	bool ready;
	struct fb fb;
	int32_t scale;
	unsigned cols, rows, scroll; /* scroll: rows that the page moves at once */
	unsigned col, row;           /* of the next character; col may be cols: wrap before it */
	uint8_t colors;
	fb_color_t palette[16];

	enum state state;
	unsigned parameter; /* of the sequence, as far as it was read */
	uint8_t colors_new;
	bool is_color;      /* nothing but digits and ';' so far */
	uint32_t character; /* of a UTF-8 sequence */
	unsigned more;      /* bytes that are still to come */

	struct cell page[MAX_ROWS][MAX_COLS];
	struct cell screen[MAX_ROWS][MAX_COLS];
	bool changed[MAX_ROWS];
} con;

/* Red, green, blue. Muted, so that bright text stands out on black. */
static const uint8_t colors_rgb[16][3] = {
	{ 0x10, 0x13, 0x1a }, { 0xd2, 0x4d, 0x57 }, { 0x5f, 0xb3, 0x6a }, { 0xd0, 0xa8, 0x4c },
	{ 0x5a, 0x8f, 0xd8 }, { 0xb0, 0x77, 0xc8 }, { 0x4f, 0xb3, 0xbf }, { 0xc8, 0xcc, 0xd4 },
	{ 0x5c, 0x63, 0x70 }, { 0xff, 0x7b, 0x85 }, { 0x8f, 0xe3, 0x9a }, { 0xff, 0xd8, 0x7a },
	{ 0x8a, 0xbc, 0xff }, { 0xdd, 0xa6, 0xf5 }, { 0x7f, 0xe3, 0xee }, { 0xff, 0xff, 0xff },
};

/* --- Drawing --- */

static void draw_glyph(int32_t x, int32_t y, uint8_t glyph, fb_color_t on, fb_color_t off)
{
	uint8_t rows[FONT_HEIGHT];

	font_rows(glyph, rows);
	fb_bitmap(&con.fb, x, y, rows, FONT_HEIGHT, con.scale, on, off);
}

static void draw_text(int32_t x, int32_t y, const char *text, fb_color_t on, fb_color_t off)
{
	for (; *text; text++, x += FONT_WIDTH * con.scale)
		draw_glyph(x, y, font_glyph((unsigned char)*text), on, off);
}

static void draw_bar(void)
{
	int32_t s = con.scale, width = con.fb.width;
	fb_color_t ground = fb_color(&con.fb, 0x22, 0x2b, 0x3d);
	fb_color_t edge = fb_color(&con.fb, 0x3b, 0x4a, 0x66);
	fb_color_t accent = con.palette[12];

	fb_fill(&con.fb, 0, 0, width, BAR_HEIGHT * s, ground);
	fb_line(&con.fb, 0, 0, width - 1, 0, edge);
	for (int32_t i = 1; i <= s; i++)
		fb_line(&con.fb, 0, BAR_HEIGHT * s - i, width - 1, BAR_HEIGHT * s - i, accent);

	/* Machines on a machine: two frames that share a corner. */
	fb_rect(&con.fb, 8 * s, 4 * s, 9 * s, 9 * s, edge);
	fb_fill(&con.fb, 12 * s, 8 * s, 9 * s, 9 * s, accent);
	fb_rect(&con.fb, 12 * s, 8 * s, 9 * s, 9 * s, con.palette[15]);
	draw_text(28 * s, 3 * s, "Hypercore", con.palette[15], ground);
}

static void draw_row(unsigned row)
{
	int32_t height = FONT_HEIGHT * con.scale, width = FONT_WIDTH * con.scale;
	int32_t y = BAR_HEIGHT * con.scale + (int32_t)row * height;

	for (unsigned col = 0; col < con.cols; col++) {
		const struct cell *want = &con.page[row][col];
		struct cell *shown = &con.screen[row][col];

		if (want->glyph == shown->glyph && want->colors == shown->colors)
			continue;
		draw_glyph((int32_t)col * width, y, want->glyph, con.palette[want->colors & 15],
		           con.palette[want->colors >> 4 & 7]);
		*shown = *want;
	}
	con.changed[row] = false;
}

/* --- The page --- */

static void clear_row(unsigned row)
{
	for (unsigned col = 0; col < con.cols; col++)
		con.page[row][col] = (struct cell){ font_glyph(' '), DEFAULT_COLORS };
	con.changed[row] = true;
}

static void next_row(void)
{
	con.col = 0;
	if (++con.row < con.rows)
		return;
	for (unsigned row = 0; row < con.rows; row++) {
		if (row + con.scroll < con.rows) {
			memcpy(con.page[row], con.page[row + con.scroll], sizeof(con.page[row]));
			con.changed[row] = true;
		} else {
			clear_row(row);
		}
	}
	con.row = con.rows - con.scroll;
}

static void put(uint32_t character)
{
	if (con.col == con.cols)
		next_row();
	con.page[con.row][con.col++] = (struct cell){ font_glyph(character), con.colors };
	con.changed[con.row] = true;
}

/* --- What the bytes mean --- */

static void set_color(unsigned sgr)
{
	uint8_t *c = &con.colors_new;

	if (sgr == 0)
		*c = DEFAULT_COLORS;
	else if (sgr == 1)
		*c |= BRIGHT;
	else if (sgr == 22)
		*c &= (uint8_t)~BRIGHT;
	else if (sgr >= 30 && sgr <= 37)
		*c = (uint8_t)((*c & 0x78) | (sgr - 30));
	else if (sgr == 39)
		*c = (uint8_t)((*c & 0x78) | (DEFAULT_COLORS & 7));
	else if (sgr >= 40 && sgr <= 47)
		*c = (uint8_t)((*c & 0x0f) | (sgr - 40) << 4);
	else if (sgr == 49)
		*c &= 0x0f;
	else if (sgr >= 90 && sgr <= 97)
		*c = (uint8_t)((*c & 0x70) | BRIGHT | (sgr - 90));
}

static void control_byte(uint8_t c)
{
	switch (c) {
	case '\n': next_row(); break;
	case '\r': con.col = 0; break;
	case '\b':
		if (con.col > 0)
			con.col--;
		break;
	case '\t':
		con.col = (con.col / TAB + 1) * TAB;
		if (con.col > con.cols)
			con.col = con.cols;
		break;
	case 0x1b: con.state = ST_ESCAPE; break;
	default: break;
	}
}

/* ECMA-48 5.4: parameters up to '?', intermediates up to '/', a final byte from '@' on. */
static void sequence_byte(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		if (con.parameter < 1000)
			con.parameter = con.parameter * 10 + (c - '0');
	} else if (c == ';') {
		set_color(con.parameter);
		con.parameter = 0;
	} else if (c == 'm' && con.is_color) {
		set_color(con.parameter);
		con.colors = con.colors_new;
		con.state = ST_TEXT;
	} else if (c < ' ') { /* broken off */
		con.state = ST_TEXT;
		control_byte(c);
	} else if (c < '@') {
		con.is_color = false;
	} else {
		con.state = ST_TEXT;
	}
}

/* UTF-8 (RFC 3629). A sequence that breaks off shows as one unknown character. */
static void text_byte(uint8_t c)
{
	if ((c & 0xc0) == 0x80) {
		if (con.more == 0) {
			put(UINT32_MAX);
			return;
		}
		con.character = con.character << 6 | (c & 0x3f);
		if (--con.more == 0)
			put(con.character);
		return;
	}
	if (con.more > 0) {
		con.more = 0;
		put(UINT32_MAX);
	}
	if (c < 0x20)
		control_byte(c);
	else if (c < 0x7f)
		put(c);
	else if (c >= 0xc0) {
		con.more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		con.character = c & (0x3fu >> con.more);
	}
}

static void take_byte(uint8_t c)
{
	switch (con.state) {
	case ST_ESCAPE:
		con.state = c == '[' ? ST_SEQUENCE : ST_TEXT;
		con.parameter = 0;
		con.is_color = true;
		con.colors_new = con.colors;
		break;
	case ST_SEQUENCE: sequence_byte(c); break;
	case ST_TEXT:
	default: text_byte(c); break;
	}
}

void fbcon_write(const char *text, size_t len)
{
	if (!con.ready)
		return;
	for (size_t i = 0; i < len; i++)
		take_byte((uint8_t)text[i]);
	for (unsigned row = 0; row < con.rows; row++)
		if (con.changed[row])
			draw_row(row);
}

int fbcon_init(const struct board_framebuffer *info, void *mapped)
{
	int32_t rest;
	int ret;

	con.ready = false;
	ret = fb_init(&con.fb, info, mapped);
	if (ret != 0)
		return ret;
	con.scale = con.fb.width >= WIDE_SCREEN ? 2 : 1;
	rest = con.fb.height - BAR_HEIGHT * con.scale;
	if (con.fb.width < FONT_WIDTH || rest < FONT_HEIGHT * con.scale)
		return hc_error(-EINVAL, "framebuffer, %u x %u: no room for a line of text",
		                info->width, info->height);
	con.cols = (unsigned)hc_min((uint64_t)(con.fb.width / (FONT_WIDTH * con.scale)), MAX_COLS);
	con.rows = (unsigned)hc_min((uint64_t)(rest / (FONT_HEIGHT * con.scale)), MAX_ROWS);
	con.scroll = con.rows >= 16 ? con.rows / 8 : 1;
	con.col = con.row = con.more = 0;
	con.state = ST_TEXT;
	con.colors = DEFAULT_COLORS;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(con.palette); i++)
		con.palette[i] =
			fb_color(&con.fb, colors_rgb[i][0], colors_rgb[i][1], colors_rgb[i][2]);

	fb_fill(&con.fb, 0, 0, con.fb.width, con.fb.height, con.palette[0]);
	draw_bar();
	for (unsigned row = 0; row < con.rows; row++) {
		clear_row(row);
		memcpy(con.screen[row], con.page[row], sizeof(con.screen[row]));
		con.changed[row] = false;
	}
	con.ready = true;
	return 0;
}
