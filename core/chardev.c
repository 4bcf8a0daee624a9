/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/chardev.h"

#include "core/bus.h"

static size_t put_input(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	size_t n = 0;
	bool irq = hc_lock_irq(&chr->lock);

	while (n < len && chr->head - chr->tail < HC_CHARDEV_INPUT)
		chr->input[chr->head++ % HC_CHARDEV_INPUT] = data[n++];
	chr->dropped += len - n;
	hc_unlock_irq(&chr->lock, irq);
	return n;
}

size_t hc_chardev_feed(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	size_t n = put_input(chr, data, len);

	if (n && chr->on_input) {
		hc_dev_lock(chr->vm);
		chr->on_input(chr->dev);
		hc_dev_unlock(chr->vm);
	}
	return n;
}

void hc_chardev_send(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	if (chr->write)
		chr->write(chr, data, len);
}

size_t hc_chardev_take(struct hc_chardev *chr, uint8_t *data, size_t len)
{
	size_t n = 0;
	bool irq = hc_lock_irq(&chr->lock);

	while (n < len && chr->tail != chr->head)
		data[n++] = chr->input[chr->tail++ % HC_CHARDEV_INPUT];
	hc_unlock_irq(&chr->lock, irq);
	return n;
}

bool hc_chardev_has_input(struct hc_chardev *chr)
{
	bool irq = hc_lock_irq(&chr->lock);
	bool has = chr->tail != chr->head;

	hc_unlock_irq(&chr->lock, irq);
	return has;
}
