/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leave STATUS: writes STATUS to port 0xf4, which stops the machine with it as its exit status.
 * Debian's kernel has no /dev/port, so this asks for the port with ioperm(2). No libc: the guest
 * has none.
 */

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

static unsigned char parse(const char *text)
{
	unsigned value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (unsigned)(*text - '0');
	return (unsigned char)value;
}

/* What the kernel puts on the new stack: argc, argv[0].., NULL. */
__attribute__((used)) static void start(const long *stack)
{
	const char *const *argv = (const char *const *)(stack + 1);

	if (stack[0] == 2 && syscall3(SYS_ioperm, EXIT_PORT, 1, 1) == 0)
		__asm__ volatile("outb %0, %1" : : "a"(parse(argv[1])), "Nd"((short)EXIT_PORT));
	for (;;)
		syscall3(SYS_exit, 1, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
