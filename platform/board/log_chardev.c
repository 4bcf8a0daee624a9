/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/log_chardev.h"

#include <hypercore/freestanding.h>

#include "core/log.h"

static void add(struct log_chardev *l, uint8_t c)
{
	if (c == '\n') {
		hc_platform_log(l->line, l->used);
		l->used = l->prefix;
		return;
	}
	/* Control characters would move the cursor in other VMs' lines. */
	if (c < ' ' && c != '\t')
		return;
	if (l->used == sizeof(l->line))
		add(l, '\n');
	l->line[l->used++] = (char)c;
}

static void log_write(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	struct log_chardev *l = HC_CONTAINER_OF(chr, struct log_chardev, chr);

	for (size_t i = 0; i < len; i++)
		add(l, data[i]);
}

void log_chardev_init(struct log_chardev *l, const char *name)
{
	memset(l, 0, sizeof(*l));
	l->chr.write = log_write;
	l->prefix = (size_t)hc_snprintf(l->line, 40, "%.31s: ", name);
	l->used = l->prefix;
}

void log_chardev_flush(struct log_chardev *l)
{
	if (l->used > l->prefix)
		add(l, '\n');
}
