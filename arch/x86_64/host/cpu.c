/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/host/cpu.h"

uint64_t x86_host_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

void x86_host_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

uint64_t x86_host_read_cr0(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

void x86_host_write_cr0(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

uint64_t x86_host_read_cr2(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

void x86_host_write_cr2(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr2" : : "r"(value) : "memory");
}

uint64_t x86_host_read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

void x86_host_write_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

void x86_host_read_dr(uint64_t dr[4])
{
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr[0]));
	__asm__ volatile("mov %%dr1, %0" : "=r"(dr[1]));
	__asm__ volatile("mov %%dr2, %0" : "=r"(dr[2]));
	__asm__ volatile("mov %%dr3, %0" : "=r"(dr[3]));
}

void x86_host_write_dr(const uint64_t dr[4])
{
	__asm__ volatile("mov %0, %%dr0" : : "r"(dr[0]));
	__asm__ volatile("mov %0, %%dr1" : : "r"(dr[1]));
	__asm__ volatile("mov %0, %%dr2" : : "r"(dr[2]));
	__asm__ volatile("mov %0, %%dr3" : : "r"(dr[3]));
}

uint64_t x86_host_read_dr6(void)
{
	uint64_t value;

	__asm__ volatile("mov %%dr6, %0" : "=r"(value));
	return value;
}

void x86_host_write_dr6(uint64_t value)
{
	__asm__ volatile("mov %0, %%dr6" : : "r"(value) : "memory");
}

uint64_t x86_host_xgetbv(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

void x86_host_xsetbv(uint64_t xcr0)
{
	__asm__ volatile("xsetbv"
	                 :
	                 : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32))
	                 : "memory");
}

void x86_host_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

void x86_host_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
	                 :
	                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
	                 : "memory");
}

void x86_host_fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

void x86_host_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

void x86_host_machine_check(void)
{
	__asm__ volatile("int $18");
}

void x86_host_nmi(void)
{
	__asm__ volatile("int $2");
}

/* An interrupt gate of 64-bit mode (SDM Vol. 3A figure 6-8). */
struct gate {
	uint16_t offset_low, selector, attributes, offset_mid;
	uint32_t offset_high, reserved;
};

_Static_assert(sizeof(struct gate) == 16, "figure 6-8");

static uintptr_t handler_of(uint8_t vector)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		const struct gate *gates;
	} idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	const struct gate *g = &idtr.gates[vector];

	return (uintptr_t)g->offset_high << 32 | (uintptr_t)g->offset_mid << 16 | g->offset_low;
}

/* INT n takes n as an immediate: the frame is made by hand, and IRET comes back (6.14.2). */
void x86_host_interrupt(uint8_t vector)
{
	uint64_t sp, scratch;

	__asm__ volatile("mov %%rsp, %[sp]\n\t"
	                 "and $-16, %%rsp\n\t"
	                 "mov %%ss, %k[scratch]\n\t"
	                 "push %[scratch]\n\t"
	                 "push %[sp]\n\t"
	                 "pushfq\n\t"
	                 "mov %%cs, %k[scratch]\n\t"
	                 "push %[scratch]\n\t"
	                 "call *%[handler]"
	                 : [sp] "=&r"(sp), [scratch] "=&r"(scratch)
	                 : [handler] "r"(handler_of(vector))
	                 : "cc", "memory");
}
