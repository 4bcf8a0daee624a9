/* SPDX-License-Identifier: BSD-2-Clause */
/* How it all ends: in order, or with a panic. */
#include "core/log.h"
#include "core/sched.h"
#include "platform/board/board.h"
#include "platform/board/console.h"
#include "platform/board/output_lock.h"
#include "platform/board/panic.h"
#include "platform/board/serial.h"

#define NOBODY UINT32_MAX

static enum board_end chosen = BOARD_END_HALT;
static _Atomic uint32_t panicking = NOBODY;

static uint32_t self(void)
{
	return hc_platform_this_cpu()->id;
}

void board_set_end(enum board_end end)
{
	chosen = end;
}

void board_end(bool ok)
{
	hc_platform_irq_disable();
	serial_drain();
	end_machine(chosen, ok);
	end_halt();
}

void panic_begin(void)
{
	uint32_t nobody = NOBODY;

	hc_platform_irq_disable();
	if (!atomic_compare_exchange_strong(&panicking, &nobody, self())) {
		if (nobody == self()) /* once more, on the way out: at least stop */
			board_end(false);
		end_halt();
	}
	end_stop_others();
	output_break_locks();
	if (!console_sink_count())
		board_attach_serial(BOARD_SERIAL_COM1);
}

void panic_stop_if_other(void)
{
	uint32_t who = atomic_load(&panicking);

	if (who != NOBODY && who != self())
		end_halt();
}

void hc_platform_panic(const char *message)
{
	static _Atomic bool begun;

	if (atomic_load(&panicking) != self())
		panic_begin();
	if (!atomic_exchange(&begun, true)) {
		hc_log(HC_LOG_ERROR, "panic: cpu %u: %s", self(), message);
		hc_log(HC_LOG_INFO, "end: panic");
	}
	board_end(false);
}
