/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leave STATUS: stops the machine with STATUS as its exit status. No libc: the guest has none. Each
 * architecture has its system calls, its way out, and what the kernel's stack is handed over by.
 */
#ifndef CI_GUEST_LEAVE_H
#define CI_GUEST_LEAVE_H

static inline unsigned char parse(const char *text)
{
	unsigned value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (unsigned)(*text - '0');
	return (unsigned char)value;
}

static void leave(unsigned char status);
static _Noreturn void end(void);

/* What the kernel puts on the new stack: argc, argv[0].., NULL. */
__attribute__((used)) static _Noreturn void start(const long *stack)
{
	const char *const *argv = (const char *const *)(stack + 1);

	if (stack[0] == 2)
		leave(parse(argv[1]));
	end();
}

#endif
