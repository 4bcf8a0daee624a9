/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions, registers and numbers of the Arm Architecture Reference Manual, and accesses. */
#ifndef CONFORMANCE_AARCH64_CPU_H
#define CONFORMANCE_AARCH64_CPU_H

#include <stdbool.h>
#include <stdint.h>

#define BIT(n)                  (UINT64_C(1) << (n))
#define FIELD(value, high, low) ((uint64_t)(value) >> (low) & (BIT((high) - (low) + 1) - 1))

#define read_sysreg(name)                                                                          \
	({                                                                                         \
		uint64_t sysreg_value;                                                             \
		__asm__ volatile("mrs %0, " #name : "=r"(sysreg_value) : : "memory");              \
		sysreg_value;                                                                      \
	})
#define write_sysreg(name, value)                                                                  \
	({                                                                                         \
		uint64_t sysreg_new = (value);                                                     \
		__asm__ volatile("msr " #name ", %0\n\tisb" : : "r"(sysreg_new) : "memory");       \
	})
/* An instruction without operands, or with one register. */
#define op(text)     __asm__ volatile(text : : : "memory")
#define op1(text, a) __asm__ volatile(text ", %0" : : "r"((uint64_t)(a)) : "memory")

#define isb() op("isb")
#define dsb() op("dsb sy")
#define dmb() op("dmb sy")
#define wfi() op("dsb sy\n\twfi")
#define wfe() op("wfe")
#define sev() op("sev")

/* MRS's and MSR's number of a register: op0, op1, CRn, CRm, op2, as in bits 20:5. */
#define SYSREG(op0, op1, crn, crm, op2)                                                            \
	((uint32_t)((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)))
#define OPCODE_MRS 0xd5200000u /* | number << 5 | Rt */
#define OPCODE_MSR 0xd5000000u
#define OPCODE_RET 0xd65f03c0u
#define OPCODE_NOP 0xd503201fu

/* ---- ESR_EL1.EC (D17.2.37) ---- */
#define EC_UNKNOWN      0x00u
#define EC_WFX          0x01u
#define EC_FP           0x07u
#define EC_BTI          0x0du
#define EC_ILLEGAL      0x0eu
#define EC_SVC          0x15u
#define EC_SYSREG       0x18u
#define EC_SVE          0x19u
#define EC_IABORT_LOWER 0x20u
#define EC_IABORT       0x21u
#define EC_PC_ALIGNMENT 0x22u
#define EC_DABORT_LOWER 0x24u
#define EC_DABORT       0x25u
#define EC_SP_ALIGNMENT 0x26u
#define EC_SERROR       0x2fu
#define EC_BREAK_LOWER  0x30u
#define EC_BREAK        0x31u
#define EC_STEP_LOWER   0x32u
#define EC_STEP         0x33u
#define EC_WATCH_LOWER  0x34u
#define EC_WATCH        0x35u
#define EC_BRK          0x3cu
/* What is no synchronous exception, as fault.vector. */
#define VECTOR_IRQ    0x40u
#define VECTOR_FIQ    0x41u
#define VECTOR_SERROR 0x42u

/* ISS of aborts. */
#define ISS_WNR         BIT(6)
#define ISS_CM          BIT(8)
#define ISS_FNV         BIT(10)
#define ISS_FSC         0x3fu
#define FSC_SIZE        0x00u /* | level */
#define FSC_TRANSLATION 0x04u
#define FSC_ACCESS      0x08u
#define FSC_PERMISSION  0x0cu
#define FSC_EXTERNAL    0x10u
#define FSC_ALIGNMENT   0x21u

/* ---- PSTATE ---- */
#define SPSR_EL0T 0x0u
#define SPSR_EL1T 0x4u
#define SPSR_EL1H 0x5u
#define SPSR_F    BIT(6)
#define SPSR_I    BIT(7)
#define SPSR_A    BIT(8)
#define SPSR_D    BIT(9)
#define SPSR_DAIF 0x3c0u
#define SPSR_IL   BIT(20)
#define SPSR_SS   BIT(21)
#define SPSR_NZCV 0xf0000000u

/* ---- SCTLR_EL1 ---- */
#define SCTLR_M    BIT(0)
#define SCTLR_A    BIT(1)
#define SCTLR_C    BIT(2)
#define SCTLR_SA   BIT(3)
#define SCTLR_SA0  BIT(4)
#define SCTLR_UMA  BIT(9)
#define SCTLR_I    BIT(12)
#define SCTLR_DZE  BIT(14)
#define SCTLR_UCT  BIT(15)
#define SCTLR_NTWI BIT(16)
#define SCTLR_NTWE BIT(18)
#define SCTLR_WXN  BIT(19)
#define SCTLR_UCI  BIT(26)

#define CPACR_FPEN(n) ((uint64_t)(n) << 20)

/* ---- Accesses, in one instruction with a valid syndrome ---- */

#define ACCESSORS(bits, w, ldr, str)                                                               \
	static inline uint##bits##_t load##bits(uint64_t address)                                  \
	{                                                                                          \
		uint##bits##_t value;                                                              \
		__asm__ volatile(ldr " %" w "0, [%1]" : "=r"(value) : "r"(address) : "memory");    \
		return value;                                                                      \
	}                                                                                          \
	static inline void store##bits(uint64_t address, uint##bits##_t value)                     \
	{                                                                                          \
		__asm__ volatile(str " %" w "0, [%1]" : : "r"(value), "r"(address) : "memory");    \
	}
ACCESSORS(8, "w", "ldrb", "strb")
ACCESSORS(16, "w", "ldrh", "strh")
ACCESSORS(32, "w", "ldr", "str")
ACCESSORS(64, "x", "ldr", "str")

static inline void unmask_irq(void)
{
	__asm__ volatile("msr daifclr, #2\n\tisb" : : : "memory");
}

static inline void mask_irq(void)
{
	__asm__ volatile("msr daifset, #2\n\tisb" : : : "memory");
}

#endif
