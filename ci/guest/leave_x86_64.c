/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * By port 0xf4. Debian's kernel has no /dev/port, so this asks for the port with ioperm(2).
 */
#include "ci/guest/leave.h"

#define EXIT_PORT  0xf4
#define SYS_ioperm 173
#define SYS_exit   60

static long syscall3(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return result;
}

static void leave(unsigned char status)
{
	if (syscall3(SYS_ioperm, EXIT_PORT, 1, 1) == 0)
		__asm__ volatile("outb %0, %1" : : "a"(status), "Nd"((short)EXIT_PORT));
}

static _Noreturn void end(void)
{
	for (;;)
		syscall3(SYS_exit, 1, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
