/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pair of 8259As written from the data sheet, as plainly as can be: one flag per input, the
 * priority order as a list. Where the product's model chooses (requests of edge-triggered inputs
 * stay latched when the input falls), this one makes the same choice.
 */
#ifndef TESTS_DEVICES_PIC_MODEL_H
#define TESTS_DEVICES_PIC_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct pic_model_chip {
	bool input[8], request[8], masked[8], service[8], level[8];
	unsigned order[8]; /* inputs, highest priority first */
	unsigned base;
	unsigned expecting; /* number of the ICW that is due, 0: none */
	bool single, needs_icw4, operational;
	bool aeoi, nested_special, special_mask, rotate_aeoi, poll, show_service;
};

struct pic_model {
	struct pic_model_chip chip[2];
};

void pic_model_init(struct pic_model *m);
void pic_model_line(struct pic_model *m, unsigned line, bool level);
void pic_model_write(struct pic_model *m, unsigned chip, unsigned a0, uint8_t value);
uint8_t pic_model_read(struct pic_model *m, unsigned chip, unsigned a0);
void pic_model_write_elcr(struct pic_model *m, unsigned chip, uint8_t value);
bool pic_model_intr(const struct pic_model *m);
unsigned pic_model_inta(struct pic_model *m);

#endif
