/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One counter of an 8254 that counts: each call of pit_model_clock() is one CLK pulse, and does
 * what the data sheet's mode definitions say happens on it.
 */
#ifndef TESTS_DEVICES_PIT_MODEL_H
#define TESTS_DEVICES_PIT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct pit_model {
	unsigned mode;
	bool bcd, gate, out;
	bool load;     /* on the next CLK, CE takes CR */
	bool counting; /* CE holds a count that CLK decrements */
	bool null_count;
	bool armed;  /* modes 4 and 5: the strobe is still to come */
	bool strobe; /* OUT is low for this CLK only */
	bool odd;    /* mode 3: the count that CE was loaded from */
	uint32_t cr; /* 1 .. 65536 */
	uint32_t ce;
	unsigned rises; /* of OUT */
};

void pit_model_control(struct pit_model *m, unsigned mode, bool bcd);
/* The low byte of a two-byte count was written. */
void pit_model_first_byte(struct pit_model *m);
/* n: 1 .. 65536, or .. 10000 in BCD. */
void pit_model_count(struct pit_model *m, uint32_t n);
void pit_model_gate(struct pit_model *m, bool level);
void pit_model_clock(struct pit_model *m);

#endif
