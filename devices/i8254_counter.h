/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One counter of an 8254, without a clock: what it shows follows from the tick at which its
 * counting element was loaded and from the tick now, which every function is told. Ticks are clock
 * pulses since some moment and never go back. i8254_counter_sync() comes before every other
 * function that is told a later tick than the last one.
 */
#ifndef DEVICES_I8254_COUNTER_H
#define DEVICES_I8254_COUNTER_H

#include <hypercore/types.h>

#define I8254_NEVER INT64_MAX
#define I8254_FAR   (INT64_C(1) << 52) /* ticks; loaded times lie within +- this */

enum { I8254_RW_LSB = 1, I8254_RW_MSB = 2, I8254_RW_BOTH = 3 };

/* A control word without the counter's number. */
enum { I8254_CW_BCD = 0x01, I8254_CW_MODE_SHIFT = 1, I8254_CW_RW_SHIFT = 4, I8254_CW_LOW6 = 0x3f };

struct i8254_counter {
	int64_t start;       /* tick at which the counting element held count */
	int64_t held;        /* ticks counted so far, while GATE stops it */
	int64_t switch_at;   /* tick from which next_count replaces count, */
	int64_t next_start;  /* and what start is then */
	uint32_t count;      /* 1 .. 65536 */
	uint32_t next_count; /* 0: none */
	uint16_t latch;
	uint8_t latched; /* bytes of latch still to be read */
	uint8_t status, status_latched;
	uint8_t control; /* RW, mode, BCD of the control word; mode is 0 .. 5 */
	uint8_t gate;
	uint8_t loaded;     /* a count was written since the control word */
	uint8_t triggered;  /* modes 1 and 5: GATE rose since then */
	uint8_t low_byte;   /* RW_BOTH: of the count being written, */
	uint8_t write_high; /* whose high byte comes next */
	uint8_t read_high;
};

/* A control word's low 6 bits; not a latch command. */
void i8254_counter_control(struct i8254_counter *ch, uint8_t value);

/* A byte of a count. It reaches the counting element with the next clock pulse, or when the mode
 * lets it. */
void i8254_counter_write(struct i8254_counter *ch, uint8_t value, int64_t tick);

/* The byte that the guest reads: of the latched status, the latched count, or the count. */
uint8_t i8254_counter_read(struct i8254_counter *ch, int64_t tick);

/* Do nothing while a latch was not read out. */
void i8254_counter_latch_count(struct i8254_counter *ch, int64_t tick);
void i8254_counter_latch_status(struct i8254_counter *ch, int64_t tick);

void i8254_counter_gate(struct i8254_counter *ch, bool level, int64_t tick);

/* Lets a count that was written during a period take effect once that period is over. */
void i8254_counter_sync(struct i8254_counter *ch, int64_t tick);

/* The level of OUT. */
bool i8254_counter_output(const struct i8254_counter *ch, int64_t tick);

/* The first tick after tick at which OUT rises, unless it is programmed before; I8254_NEVER. */
int64_t i8254_counter_next_rise(const struct i8254_counter *ch, int64_t tick);

/* Whether a loaded state is one that a counter can be in. */
bool i8254_counter_valid(const struct i8254_counter *ch);

#endif
