/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmark guests of every architecture share: they time operations and say the result.
 */
#ifndef BENCH_GUEST_MEASURE_H
#define BENCH_GUEST_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#define BATCHES     31
#define REPETITIONS 100

typedef void operation(void);

/* Of bare.h: to the serial port; the clock, not before what stands before. */
static inline void print(const char *text);
static inline uint64_t counter(void);

static inline void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline void print_number(uint64_t value)
{
	char text[21];
	size_t at = sizeof(text) - 1;

	text[at] = '\0';
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	print(text + at);
}

static inline void report(const char *name, uint64_t value)
{
	print(name);
	print(" ");
	print_number(value);
	print("\n");
}

static inline uint64_t median(uint64_t *values, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = i; j > 0 && values[j] < values[j - 1]; j--) {
			uint64_t value = values[j];

			values[j] = values[j - 1];
			values[j - 1] = value;
		}
	return values[count / 2];
}

static inline uint64_t time_batch(operation *run)
{
	uint64_t start = counter();

	for (unsigned i = 0; i < REPETITIONS; i++)
		run();
	return counter() - start;
}

/* Of what a batch took: for one of its operations. */
static inline uint64_t share(uint64_t batch)
{
	return (batch + REPETITIONS / 2) / REPETITIONS;
}

/* The median of several batches, in ticks of the counter. run: not as linked, but where it is. */
static inline uint64_t time_operation(operation *run)
{
	uint64_t batches[BATCHES];

	for (unsigned i = 0; i < BATCHES; i++)
		batches[i] = time_batch(run);
	return median(batches, BATCHES);
}

#endif
