/* SPDX-License-Identifier: BSD-2-Clause */
/* The atomic exchange of 16 bytes that x86-64 hosts have (SDM Vol. 2A, CMPXCHG16B). */
#include <hypercore/freestanding.h>

#include "emu/x86_64/engine/private.h"

bool emu_exchange_16(void *host, void *old, const void *new)
{
	uint64_t was[2], next[2];
	bool done;

	memcpy(was, old, sizeof(was));
	memcpy(next, new, sizeof(next));
	__asm__ volatile("lock cmpxchg16b %1"
	                 : "=@ccz"(done), "+m"(*(uint64_t(*)[2])host), "+a"(was[0]), "+d"(was[1])
	                 : "b"(next[0]), "c"(next[1])
	                 : "memory");
	memcpy(old, was, sizeof(was));
	return done;
}
