/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The architectural state of one x86 virtual CPU, the same for every backend.
 *
 * Every backend can load it and give it back. On an exit only the X86_G_CORE group is guaranteed to
 * be up to date; the rest is fetched on demand (hc_vcpu_need, core/vcpu.h) and written back before
 * the next entry if marked dirty (hc_vcpu_dirty). The local APIC is not part of it: it belongs to
 * the platform that all backends share (arch/x86_64/apic.h).
 */
#ifndef HYPERCORE_X86_STATE_H
#define HYPERCORE_X86_STATE_H

#include <hypercore/types.h>

/* General registers in the order of their encoding (SDM Vol. 2A 2.1.5). */
enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_GPR_COUNT
};

/* Segment registers in the order of their encoding, then the two system segments. */
enum x86_seg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_SEG_COUNT };

/* Groups of state, for hc_vcpu_need() and hc_vcpu_dirty(). */
enum x86_state_group {
	X86_G_CORE = 1 << 0,  /* gpr, rip, rflags */
	X86_G_CR = 1 << 1,    /* cr0, cr2, cr3, cr4, efer, cpl, pdpte */
	X86_G_CS = 1 << 2,    /* seg[X86_CS] */
	X86_G_SEG = 1 << 3,   /* the other segments */
	X86_G_DT = 1 << 4,    /* gdtr, idtr */
	X86_G_DR = 1 << 5,    /* dr0..dr3, dr6, dr7 */
	X86_G_MSR = 1 << 6,   /* the msr_* members */
	X86_G_EVENT = 1 << 7, /* the events member */
	X86_G_FPU = 1 << 8,   /* xcr0 and the xsave area */
	X86_G_ALL = (1 << 9) - 1
};

/* attr holds the descriptor's access byte and flags packed as in the VMCB (APM Vol. 2 15.5.1):
 * type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11. A segment whose P bit is clear is
 * unusable. limit is in bytes, already scaled by G. TR's type is that of a busy TSS (3 or 11), as
 * LTR leaves it. */
struct x86_segment {
	uint16_t selector;
	uint16_t attr;
	uint32_t limit;
	uint64_t base;
};

#define X86_ATTR_TYPE(a)  ((a)&0xfu)
#define X86_ATTR_TSS_BUSY (1u << 1)
#define X86_ATTR_S        (1u << 4)
#define X86_ATTR_DPL(a)   (((a) >> 5) & 3u)
#define X86_ATTR_P        (1u << 7)
#define X86_ATTR_L        (1u << 9)
#define X86_ATTR_DB       (1u << 10)
#define X86_ATTR_G        (1u << 11)

struct x86_dtable {
	uint64_t base;
	uint16_t limit;
};

/* How an event is delivered; the numbers are those of EVENTINJ.TYPE (APM Vol. 2 15.20). */
enum x86_event_type {
	X86_EVENT_INTR = 0,
	X86_EVENT_NMI = 2,
	X86_EVENT_EXCEPTION = 3,
	X86_EVENT_SOFT_INT = 4
};

struct x86_event {
	uint8_t valid;
	uint8_t type; /* enum x86_event_type */
	uint8_t vector;
	uint8_t has_error_code;
	uint32_t error_code;
};

struct x86_events {
	/* Delivery that an exit interrupted: has to be injected again before anything else. */
	struct x86_event reinject;
	uint8_t interrupt_shadow; /* after STI, MOV SS, POP SS */
	uint8_t nmi_masked;       /* from NMI delivery to IRET */
};

#define X86_XSAVE_SIZE 2816 /* legacy, header, AVX, and AVX-512 in the standard format */

struct x86_state {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rip;
	uint64_t rflags;

	uint64_t cr0, cr2, cr3, cr4;
	uint64_t efer;
	uint8_t cpl;
	/* In PAE paging, the page-directory-pointer-table entries are registers, which moves to
	 * control registers load (SDM Vol. 3A 4.4.1). Not pdptes_loaded: the CPU reads them when it
	 * uses them, as AMD-V does (APM Vol. 2 15.25.10). */
	uint8_t pdptes_loaded;
	uint64_t pdpte[4];

	struct x86_segment seg[X86_SEG_COUNT];
	struct x86_dtable gdtr, idtr;

	uint64_t dr[4], dr6, dr7;

	/* Guest TSC = the platform's cycle counter * tsc_ratio / 2^48 + tsc_offset. 0: a factor of
	 * 1; backends never change it, and it is the same on all vCPUs of a VM. */
	uint64_t tsc_ratio;

	uint64_t msr_star, msr_lstar, msr_cstar, msr_sfmask, msr_kernel_gs_base;
	uint64_t msr_sysenter_cs, msr_sysenter_esp, msr_sysenter_eip;
	uint64_t msr_pat, msr_debugctl, msr_tsc_aux;
	uint64_t tsc_offset;

	struct x86_events events;

	uint64_t xcr0;
	_Alignas(64) uint8_t xsave[X86_XSAVE_SIZE];
};

/* What the factor makes of so many cycles. */
static inline uint64_t x86_tsc_scale(uint64_t cycles, uint64_t ratio)
{
	return ratio ? (uint64_t)((unsigned __int128)cycles * ratio >> 48) : cycles;
}

/* The guest's TSC when the platform's cycle counter is at cycles. */
static inline uint64_t x86_tsc_of(const struct x86_state *s, uint64_t cycles)
{
	return x86_tsc_scale(cycles, s->tsc_ratio) + s->tsc_offset;
}

/* RFLAGS (SDM Vol. 1 3.4.3) */
#define X86_FLAG_CF (1u << 0)
#define X86_FLAG_1  (1u << 1) /* always set */
#define X86_FLAG_PF (1u << 2)
#define X86_FLAG_AF (1u << 4)
#define X86_FLAG_ZF (1u << 6)
#define X86_FLAG_SF (1u << 7)
#define X86_FLAG_TF (1u << 8)
#define X86_FLAG_IF (1u << 9)
#define X86_FLAG_DF (1u << 10)
#define X86_FLAG_OF (1u << 11)
#define X86_FLAG_RF (1u << 16)
#define X86_FLAG_VM (1u << 17)
#define X86_FLAG_AC (1u << 18)
#define X86_FLAG_ID (1u << 21)

/* CR0, CR4, EFER (SDM Vol. 3A 2.5, APM Vol. 2 3.1) */
#define X86_CR0_PE HC_BIT(0)
#define X86_CR0_MP HC_BIT(1)
#define X86_CR0_EM HC_BIT(2)
#define X86_CR0_TS HC_BIT(3)
#define X86_CR0_ET HC_BIT(4)
#define X86_CR0_NE HC_BIT(5)
#define X86_CR0_WP HC_BIT(16)
#define X86_CR0_AM HC_BIT(18)
#define X86_CR0_NW HC_BIT(29)
#define X86_CR0_CD HC_BIT(30)
#define X86_CR0_PG HC_BIT(31)

#define X86_CR4_DE      HC_BIT(3)
#define X86_CR4_PSE     HC_BIT(4)
#define X86_CR4_PAE     HC_BIT(5)
#define X86_CR4_PGE     HC_BIT(7)
#define X86_CR4_OSFXSR  HC_BIT(9)
#define X86_CR4_UMIP    HC_BIT(11)
#define X86_CR4_LA57    HC_BIT(12)
#define X86_CR4_PCIDE   HC_BIT(17)
#define X86_CR4_OSXSAVE HC_BIT(18)
#define X86_CR4_SMEP    HC_BIT(20)
#define X86_CR4_SMAP    HC_BIT(21)
#define X86_CR4_PKE     HC_BIT(22)

#define X86_DR7_ENABLES 0xffu /* L0, G0 to L3, G3 */

/* Whether a breakpoint that DR7 enables is an I/O breakpoint, if CR4.DE lets there be such: R/W is
 * 10b (SDM Vol. 3B 17.2.4). May be true in vain. */
static inline bool x86_watches_ports(uint64_t dr7)
{
	return dr7 & X86_DR7_ENABLES && dr7 >> 17 & ~(dr7 >> 16) & 0x1111;
}

#define X86_EFER_SCE  HC_BIT(0)
#define X86_EFER_LME  HC_BIT(8)
#define X86_EFER_LMA  HC_BIT(10)
#define X86_EFER_NXE  HC_BIT(11)
#define X86_EFER_SVME HC_BIT(12)

/* Paging by three levels, whose first entries are registers (SDM Vol. 3A 4.1.1). */
static inline bool x86_is_pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(efer & X86_EFER_LMA);
}

/* Exception vectors (SDM Vol. 3A 6.3.1) */
enum x86_vector {
	X86_VEC_DE = 0,
	X86_VEC_DB = 1,
	X86_VEC_NMI = 2,
	X86_VEC_BP = 3,
	X86_VEC_OF = 4,
	X86_VEC_BR = 5,
	X86_VEC_UD = 6,
	X86_VEC_NM = 7,
	X86_VEC_DF = 8,
	X86_VEC_TS = 10,
	X86_VEC_NP = 11,
	X86_VEC_SS = 12,
	X86_VEC_GP = 13,
	X86_VEC_PF = 14,
	X86_VEC_MF = 16,
	X86_VEC_AC = 17,
	X86_VEC_MC = 18,
	X86_VEC_XM = 19
};

/* An exception that an access or an emulated instruction raised. */
struct x86_fault {
	uint8_t vector; /* enum x86_vector */
	bool has_error_code;
	uint32_t error_code;
	uint64_t address; /* #PF: the linear address, for CR2 */
};

/* Page-fault error code (SDM Vol. 3A 4.7) */
#define X86_PF_P    (1u << 0)
#define X86_PF_W    (1u << 1)
#define X86_PF_U    (1u << 2)
#define X86_PF_RSVD (1u << 3)
#define X86_PF_I    (1u << 4)

#endif
