/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A byte stream between a device model (a guest's serial port) and the outside (a physical serial
 * port, a terminal, a file, the log).
 *
 * The outside creates it and may feed it from any CPU; the device attaches to it.
 */
#ifndef CORE_CHARDEV_H
#define CORE_CHARDEV_H

#include "core/lock.h"

#define HC_CHARDEV_INPUT 1024

struct hc_chardev {
	/* Set by the outside. Writes len bytes; may drop what the outside does not take. Called
	 * with the device lock held, from any CPU. NULL: output is discarded. */
	void (*write)(struct hc_chardev *chr, const uint8_t *data, size_t len);

	/* Set by the device when it attaches: there is input. Device lock held. */
	void (*on_input)(void *dev);
	void *dev;
	struct hc_vm *vm;

	struct hc_lock lock; /* of the ring */
	uint8_t input[HC_CHARDEV_INPUT];
	uint32_t head, tail; /* written at head, read at tail, both free-running */
	uint64_t dropped;    /* input bytes lost because the ring was full */
};

/* The outside: bytes for the guest. Takes the device lock of the VM to notify the device. Returns
 * how many were accepted. Not from interrupt handlers. */
size_t hc_chardev_feed(struct hc_chardev *chr, const uint8_t *data, size_t len);

/* The device, lock held: sends, and takes up to len bytes of input. */
void hc_chardev_send(struct hc_chardev *chr, const uint8_t *data, size_t len);
size_t hc_chardev_take(struct hc_chardev *chr, uint8_t *data, size_t len);
bool hc_chardev_has_input(struct hc_chardev *chr);

#endif
