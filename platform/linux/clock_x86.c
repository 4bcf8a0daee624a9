/* SPDX-License-Identifier: BSD-2-Clause */
/* The cycle counter of a PC's CPU: the TSC, with a rate measured against CLOCK_MONOTONIC. */
#include <pthread.h>
#include <x86intrin.h>

#include "platform/linux/linux.h"
#include "platform/platform.h"

/* Long enough that reading the clock, some 50 ns, is less than 20 millionths of it. */
#define MEASURE_NS UINT64_C(5000000)

struct instant {
	uint64_t ns, cycles;
};

static struct instant first;
static uint64_t hz;
static pthread_once_t first_once = PTHREAD_ONCE_INIT, hz_once = PTHREAD_ONCE_INIT;

uint64_t hc_platform_cycles(void)
{
	return __rdtsc();
}

/* Both clocks at one moment: of some tries the one in which the least happened in between. */
static struct instant sample(void)
{
	struct instant best = { 0 };
	uint64_t shortest = UINT64_MAX;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = hc_platform_now_ns(), cycles = __rdtsc();
		uint64_t took = hc_platform_now_ns() - before;

		if (took < shortest) {
			shortest = took;
			best = (struct instant){ before + took / 2, cycles };
		}
	}
	return best;
}

static void take_first(void)
{
	first = sample();
}

void linux_clock_init(void)
{
	pthread_once(&first_once, take_first);
}

static void measure(void)
{
	struct instant now;

	linux_clock_init();
	do
		now = sample();
	while (now.ns - first.ns < MEASURE_NS);
	hz = (uint64_t)((unsigned __int128)(now.cycles - first.cycles) * 1000000000 /
	                (now.ns - first.ns));
}

uint64_t hc_platform_cycles_hz(void)
{
	pthread_once(&hz_once, measure);
	return hz;
}
