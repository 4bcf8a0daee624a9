/* SPDX-License-Identifier: BSD-2-Clause */
/* Crashes of the library, contained: what both modules' calls into Unicorn are made under. */
#ifndef PLATFORM_LINUX_UNICORN_GUARD_H
#define PLATFORM_LINUX_UNICORN_GUARD_H

#include <hypercore/types.h>

/* Of one vCPU. */
struct unicorn_guard {
	char failure[112]; /* why it was refused or given up */
	bool is_dead;      /* the library crashed: it is not called again */
	_Alignas(16) uint8_t signal_stack[65536];
};

/* Takes SIGSEGV, SIGABRT and the like over, for what happens in unicorn_guarded(); others' go where
 * they went. Harmless when repeated. */
void unicorn_guard_init(void);

/* Calls fn(arg). False: it crashed, or had before; g->failure then says how, and g->is_dead. */
bool unicorn_guarded(struct unicorn_guard *g, void (*fn)(void *arg), void *arg);

#endif
