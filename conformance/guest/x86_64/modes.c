/* SPDX-License-Identifier: BSD-2-Clause */
/* Code outside of 64-bit mode: the tables that low.S uses, and requests. */
#include "guest/print.h"
#include "guest/x86_64/machine.h"

extern struct mode low_mode;
extern uint64_t low_idt[256];
extern uint32_t low_ivt[256], low_tss[26];
extern const uint8_t low_stubs32[256][8], low_stubs16[256][5];
extern char low_stack_top[];
void mode_switch(void);
void mode_again(uint32_t cr3, uint32_t cr4);

#define LOW_STACK 0x7f00u /* for code that runs there: below the first page of low code */

void modes_init(void)
{
	uint64_t base = (uint64_t)low_tss;

	for (unsigned int n = 0; n < 256; n++) {
		uint64_t offset = (uint64_t)low_stubs32[n];
		bool for_all = n == BP || n == OF || n == RETURN_VECTOR;

		low_idt[n] = offset | (uint64_t)LOW_CODE32 << 16 |
		             (uint64_t)(GATE_INTERRUPT | (for_all ? GATE_DPL3 : 0)) << 40;
		low_ivt[n] = (uint32_t)(uint64_t)low_stubs16[n];
	}
	low_gdt[LOW_TSS / 8] = DESCRIPTOR(base, 0x67, 0x89);
	low_tss[1] = (uint32_t)(uint64_t)low_stack_top;
	low_tss[2] = LOW_DATA32;
	low_tss[25] = 104 << 16; /* no I/O permission bitmap */
}

void mode_call(struct mode *mode)
{
	low_mode = *mode;
	mode_switch();
	*mode = low_mode;
}

void long_mode_again(uint64_t cr3, uint64_t cr4)
{
	mode_again((uint32_t)cr3, (uint32_t)cr4);
}

static struct mode request(const void *code, uint32_t cr0, uint32_t cs, uint32_t data)
{
	return (struct mode){ .cr0 = cr0,
		              .eip = (uint32_t)(uint64_t)code,
		              .cs = cs,
		              .ss = data,
		              .ds = data,
		              .esp = LOW_STACK,
		              .eflags = FLAG_ONE };
}

struct mode mode_real(const void *code)
{
	return request(code, CR0_ET, 0, 0);
}

struct mode mode_16(const void *code)
{
	return request(code, CR0_ET | CR0_PE, LOW_CODE16, LOW_DATA16);
}

struct mode mode_32(const void *code)
{
	return request(code, CR0_ET | CR0_PE, LOW_CODE32, LOW_DATA32);
}
