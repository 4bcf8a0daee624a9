/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction on the CPU that the test runs on, with all of its registers given: the judge of
 * what the software CPU does.
 */
#ifndef TESTS_NATIVE_X86_H
#define TESTS_NATIVE_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct native {
	/* In and out. RSP is the host's and not looked at. */
	uint64_t gpr[16];
	uint64_t rflags;
	_Alignas(64) uint8_t xsave[2816]; /* standard format: x87, SSE, AVX */
	/* Out. The exception's vector, -1: none. After an exception only the legacy region of
	 * xsave is what the CPU left; the rest is as it was. */
	int vector;
};

/* Catches the signals that exceptions are. Within a test, as CMocka has handlers of its own. */
void native_start(void);
void native_stop(void);

/* Executes n bytes, which have to be one instruction that does not jump. */
void native_run(struct native *n, const uint8_t *bytes, size_t length);

#endif
