/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory ordering between CPUs: outcomes that barriers, or acquires and releases, forbid. */
#include "guest/litmus.h"

static void fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* ---- MP: message passing ---- */

static void mp_write(unsigned int mine[2])
{
	litmus_put(&x, 1);
	fence();
	litmus_put(&y, 1);
}

static void mp_read(unsigned int mine[2])
{
	mine[0] = litmus_get(&y);
	fence();
	mine[1] = litmus_get(&x);
}

static void mp_release(unsigned int mine[2])
{
	litmus_put(&x, 1);
	atomic_store_explicit(&y.value, 1, memory_order_release);
}

static void mp_acquire(unsigned int mine[2])
{
	mine[0] = atomic_load_explicit(&y.value, memory_order_acquire);
	mine[1] = litmus_get(&x);
}

static bool mp_forbidden(void)
{
	return seen[1][0] == 1 && seen[1][1] == 0;
}

/* ---- SB: store buffering ---- */

static void sb_x(unsigned int mine[2])
{
	litmus_put(&x, 1);
	fence();
	mine[0] = litmus_get(&y);
}

static void sb_y(unsigned int mine[2])
{
	litmus_put(&y, 1);
	fence();
	mine[0] = litmus_get(&x);
}

static bool sb_forbidden(void)
{
	return seen[0][0] == 0 && seen[1][0] == 0;
}

/* ---- LB: load buffering ---- */

static void lb_x(unsigned int mine[2])
{
	mine[0] = litmus_get(&x);
	fence();
	litmus_put(&y, 1);
}

static void lb_y(unsigned int mine[2])
{
	mine[0] = litmus_get(&y);
	fence();
	litmus_put(&x, 1);
}

static bool lb_forbidden(void)
{
	return seen[0][0] == 1 && seen[1][0] == 1;
}

/* ---- IRIW: independent reads of independent writes ---- */

static void write_x(unsigned int mine[2])
{
	litmus_put(&x, 1);
}

static void write_y(unsigned int mine[2])
{
	litmus_put(&y, 1);
}

static void read_xy(unsigned int mine[2])
{
	mine[0] = litmus_get(&x);
	fence();
	mine[1] = litmus_get(&y);
}

static void read_yx(unsigned int mine[2])
{
	mine[0] = litmus_get(&y);
	fence();
	mine[1] = litmus_get(&x);
}

static bool iriw_forbidden(void)
{
	return seen[2][0] && !seen[2][1] && seen[3][0] && !seen[3][1];
}

/* ---- CoRR: two reads of one place ---- */

static void read_twice(unsigned int mine[2])
{
	mine[0] = litmus_get(&x);
	mine[1] = litmus_get(&x);
}

static bool corr_forbidden(void)
{
	return seen[1][0] == 1 && seen[1][1] == 0;
}

#define FORBIDDEN "SDM Vol. 3A 8.2; Arm ARM B2.3: forbidden by the barriers"

LITMUS(message_passing, FORBIDDEN, 2, mp_forbidden, mp_write, mp_read);
LITMUS(message_passing_acquire, FORBIDDEN, 2, mp_forbidden, mp_release, mp_acquire);
LITMUS(store_buffering, FORBIDDEN, 2, sb_forbidden, sb_x, sb_y);
LITMUS(load_buffering, FORBIDDEN, 2, lb_forbidden, lb_x, lb_y);
LITMUS(independent_reads, FORBIDDEN, 4, iriw_forbidden, write_x, write_y, read_xy, read_yx);
LITMUS(coherent_reads, FORBIDDEN, 2, corr_forbidden, write_x, read_twice);
