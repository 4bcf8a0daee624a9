/* SPDX-License-Identifier: BSD-2-Clause */
#include "emu/x86_64/engine/engine.h"

static bool shut_down(struct emu_cpu *c)
{
	c->exit->reason = HC_EXIT_SHUTDOWN;
	return false;
}

bool emu_deliver_fault(struct emu_cpu *c, const struct x86_fault *fault)
{
	return shut_down(c);
}

bool emu_deliver_event(struct emu_cpu *c, const struct x86_event *event)
{
	return shut_down(c);
}
