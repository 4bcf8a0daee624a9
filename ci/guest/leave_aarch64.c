/* SPDX-License-Identifier: BSD-2-Clause */
/* By the exit device of machines/virt.h, through /dev/mem. */
#include "ci/guest/leave.h"

#define EXIT_DEVICE 0x09050000L /* VIRT_EXIT */
#define PAGE        4096

#define SYS_openat 56
#define SYS_exit   93
#define SYS_mmap   222

#define AT_FDCWD   (-100)
#define O_RDWR     2
#define O_SYNC     04010000
#define PROT_WRITE 2
#define MAP_SHARED 1

static long syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
}

static void leave(unsigned char status)
{
	static const char path[] = "/dev/mem";
	long fd = syscall6(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_SYNC, 0, 0, 0);
	long at =
		fd < 0 ? fd : syscall6(SYS_mmap, 0, PAGE, PROT_WRITE, MAP_SHARED, fd, EXIT_DEVICE);

	if (at < 0 && at > -PAGE)
		return;
	*(volatile unsigned char *)at = status;
}

static _Noreturn void end(void)
{
	for (;;)
		syscall6(SYS_exit, 1, 0, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl start\n");
