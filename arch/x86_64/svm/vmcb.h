/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine control block: what VMRUN reads and #VMEXIT writes (APM Vol. 2 appendix B).
 */
#ifndef ARCH_X86_64_SVM_VMCB_H
#define ARCH_X86_64_SVM_VMCB_H

#include <hypercore/types.h>

/* One segment register; attr is packed as in struct x86_segment. GDTR and IDTR use base and the
 * limit's low 16 bits only. */
struct vmcb_seg {
	uint16_t selector;
	uint16_t attr;
	uint32_t limit;
	uint64_t base;
} __attribute__((packed));

/* clang-format off */
struct vmcb {
	/* Control area, table B-1. */
	uint16_t cr_read, cr_write;      /* bit n: intercept accesses to CRn */
	uint16_t dr_read, dr_write;
	uint32_t exceptions;             /* bit n: vector n */
	uint32_t intercept[3];           /* SVM_I_... of words 0Ch, 10h and 14h */
	uint8_t  reserved_018[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm_pa, msrpm_pa;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t  tlb_control;            /* SVM_TLB_... */
	uint8_t  reserved_05d[3];
	uint8_t  v_tpr;                  /* bits 3:0: CR8 */
	uint8_t  v_irq;                  /* SVM_V_IRQ */
	uint8_t  v_intr_prio;            /* bits 3:0 priority, SVM_V_IGN_TPR */
	uint8_t  v_intr_control;         /* SVM_V_INTR_MASKING */
	uint8_t  v_intr_vector;
	uint8_t  reserved_065[3];
	uint64_t int_state;              /* SVM_SHADOW */
	uint64_t exitcode, exitinfo1, exitinfo2;
	uint64_t exitintinfo;            /* laid out as eventinj */
	uint64_t np_control;             /* SVM_NP_ENABLE */
	uint8_t  reserved_098[0xa8 - 0x98];
	uint64_t eventinj;               /* SVM_EVENT_... */
	uint64_t n_cr3;
	uint64_t virt_ext;               /* SVM_LBR_VIRT */
	uint32_t clean;                  /* SVM_CLEAN_...: unchanged since the last #VMEXIT */
	uint8_t  reserved_0c4[4];
	uint64_t nrip;
	uint8_t  insn_len;               /* bits 3:0: bytes of insn[] */
	uint8_t  insn[15];
	uint8_t  reserved_0e0[0x400 - 0xe0];

	/* State save area, table B-2; offsets there count from 400h. */
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t  reserved_4a0[0x4cb - 0x4a0];
	uint8_t  cpl;
	uint8_t  reserved_4cc[4];
	uint64_t efer;
	uint8_t  reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t  reserved_580[0x5d8 - 0x580];
	uint64_t rsp;
	uint64_t s_cet, ssp, isst_addr;
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t  reserved_648[0x668 - 0x648];
	uint64_t g_pat;
	uint64_t dbgctl, br_from, br_to, lastexcp_from, lastexcp_to;
	uint8_t  reserved_698[0x1000 - 0x698];
} __attribute__((packed, aligned(4096)));
/* clang-format on */

#define VMCB_AT(member, offset)                                                                    \
	_Static_assert(offsetof(struct vmcb, member) == (offset), #member " is at " #offset)

VMCB_AT(cr_read, 0x000);
VMCB_AT(cr_write, 0x002);
VMCB_AT(dr_read, 0x004);
VMCB_AT(dr_write, 0x006);
VMCB_AT(exceptions, 0x008);
VMCB_AT(intercept[0], 0x00c);
VMCB_AT(intercept[1], 0x010);
VMCB_AT(intercept[2], 0x014);
VMCB_AT(pause_threshold, 0x03c);
VMCB_AT(pause_count, 0x03e);
VMCB_AT(iopm_pa, 0x040);
VMCB_AT(msrpm_pa, 0x048);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(asid, 0x058);
VMCB_AT(tlb_control, 0x05c);
VMCB_AT(v_tpr, 0x060);
VMCB_AT(v_irq, 0x061);
VMCB_AT(v_intr_prio, 0x062);
VMCB_AT(v_intr_control, 0x063);
VMCB_AT(v_intr_vector, 0x064);
VMCB_AT(int_state, 0x068);
VMCB_AT(exitcode, 0x070);
VMCB_AT(exitinfo1, 0x078);
VMCB_AT(exitinfo2, 0x080);
VMCB_AT(exitintinfo, 0x088);
VMCB_AT(np_control, 0x090);
VMCB_AT(eventinj, 0x0a8);
VMCB_AT(n_cr3, 0x0b0);
VMCB_AT(virt_ext, 0x0b8);
VMCB_AT(clean, 0x0c0);
VMCB_AT(nrip, 0x0c8);
VMCB_AT(insn_len, 0x0d0);
VMCB_AT(insn, 0x0d1);
VMCB_AT(es, 0x400);
VMCB_AT(cs, 0x410);
VMCB_AT(ss, 0x420);
VMCB_AT(ds, 0x430);
VMCB_AT(fs, 0x440);
VMCB_AT(gs, 0x450);
VMCB_AT(gdtr, 0x460);
VMCB_AT(ldtr, 0x470);
VMCB_AT(idtr, 0x480);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(cr3, 0x550);
VMCB_AT(cr0, 0x558);
VMCB_AT(dr7, 0x560);
VMCB_AT(dr6, 0x568);
VMCB_AT(rflags, 0x570);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(s_cet, 0x5e0);
VMCB_AT(ssp, 0x5e8);
VMCB_AT(isst_addr, 0x5f0);
VMCB_AT(rax, 0x5f8);
VMCB_AT(star, 0x600);
VMCB_AT(lstar, 0x608);
VMCB_AT(cstar, 0x610);
VMCB_AT(sfmask, 0x618);
VMCB_AT(kernel_gs_base, 0x620);
VMCB_AT(sysenter_cs, 0x628);
VMCB_AT(sysenter_esp, 0x630);
VMCB_AT(sysenter_eip, 0x638);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(dbgctl, 0x670);
VMCB_AT(br_from, 0x678);
VMCB_AT(br_to, 0x680);
VMCB_AT(lastexcp_from, 0x688);
VMCB_AT(lastexcp_to, 0x690);
_Static_assert(sizeof(struct vmcb_seg) == 16, "a segment register takes 16 bytes");
_Static_assert(sizeof(struct vmcb) == 0x1000, "the VMCB is a page");

/* Intercepts: numbers of bits, counted through the words at 0Ch, 10h and 14h (intercept[n / 32]).
 */
enum svm_intercept {
	SVM_I_INTR = 0,
	SVM_I_NMI = 1,
	SVM_I_SMI = 2,
	SVM_I_INIT = 3,
	SVM_I_VINTR = 4,
	SVM_I_CR0_SEL_WRITE = 5, /* other bits than TS and MP; LMSW in any case */
	SVM_I_RDPMC = 15,
	SVM_I_CPUID = 18,
	SVM_I_RSM = 19,
	SVM_I_IRET = 20,
	SVM_I_INVD = 22,
	SVM_I_PAUSE = 23,
	SVM_I_HLT = 24,
	SVM_I_INVLPGA = 26,
	SVM_I_IOIO = 27,
	SVM_I_MSR = 28,
	SVM_I_TASK_SWITCH = 29,
	SVM_I_SHUTDOWN = 31,
	SVM_I_VMRUN = 32,
	SVM_I_VMMCALL = 33,
	SVM_I_VMLOAD = 34,
	SVM_I_VMSAVE = 35,
	SVM_I_STGI = 36,
	SVM_I_CLGI = 37,
	SVM_I_SKINIT = 38,
	SVM_I_WBINVD = 41,
	SVM_I_MONITOR = 42,
	SVM_I_MWAIT = 43,
	SVM_I_XSETBV = 45,
	SVM_I_RDPRU = 46,
	SVM_I_INVLPGB = 64,
	SVM_I_INVLPGB_ILLEGAL = 65,
	SVM_I_MCOMMIT = 67,
	SVM_I_TLBSYNC = 68
};

#define SVM_INTERCEPT_MASK(i) (UINT32_C(1) << ((i) % 32))

/* TLB_CONTROL, 15.16.2. */
#define SVM_TLB_NONE                  0
#define SVM_TLB_FLUSH_ALL             1
#define SVM_TLB_FLUSH_ASID            3 /* with FlushByAsid only */
#define SVM_TLB_FLUSH_ASID_NON_GLOBAL 7

/* The virtual interrupt, 15.21. */
#define SVM_V_IRQ          (1u << 0)
#define SVM_V_IGN_TPR      (1u << 4)
#define SVM_V_INTR_MASKING (1u << 0)
#define SVM_SHADOW         HC_BIT(0)

#define SVM_NP_ENABLE HC_BIT(0)
#define SVM_LBR_VIRT  HC_BIT(0)

/* EVENTINJ and EXITINTINFO, 15.20 and 15.7.2. Types are enum x86_event_type. */
#define SVM_EVENT_VECTOR(e) ((uint8_t)(e))
#define SVM_EVENT_TYPE(e)   ((unsigned)((e) >> 8) & 7u)
#define SVM_EVENT_EV        HC_BIT(11)
#define SVM_EVENT_V         HC_BIT(31)
#define SVM_EVENT_ERROR(e)  ((uint32_t)((e) >> 32))

/* VMCB clean bits, 15.15.3: what each covers. */
#define SVM_CLEAN_I    (1u << 0) /* intercepts, TSC offset, pause filter */
#define SVM_CLEAN_IOPM (1u << 1) /* IOPM and MSRPM base */
#define SVM_CLEAN_ASID (1u << 2)
#define SVM_CLEAN_TPR  (1u << 3) /* the virtual interrupt's fields */
#define SVM_CLEAN_NP   (1u << 4) /* NP control, nCR3, gPAT */
#define SVM_CLEAN_CRX  (1u << 5) /* CR0, CR3, CR4, EFER */
#define SVM_CLEAN_DRX  (1u << 6) /* DR6, DR7 */
#define SVM_CLEAN_DT   (1u << 7) /* GDTR, IDTR */
#define SVM_CLEAN_SEG  (1u << 8) /* CS, DS, SS, ES, CPL */
#define SVM_CLEAN_CR2  (1u << 9)
#define SVM_CLEAN_LBR  (1u << 10)
#define SVM_CLEAN_ALL  ((1u << 11) - 1)

/* Exit codes, appendix C. */
enum svm_exitcode {
	SVM_EXIT_CR0_READ = 0x00,
	SVM_EXIT_CR0_WRITE = 0x10,
	SVM_EXIT_CR8_WRITE = 0x18,
	SVM_EXIT_DR0_READ = 0x20,
	SVM_EXIT_DR0_WRITE = 0x30,
	SVM_EXIT_EXCP0 = 0x40,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_SMI = 0x62,
	SVM_EXIT_INIT = 0x63,
	SVM_EXIT_VINTR = 0x64,
	SVM_EXIT_CR0_SEL_WRITE = 0x65,
	SVM_EXIT_RDTSC = 0x6e,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_RSM = 0x73,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_SWINT = 0x75,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_PAUSE = 0x77,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPG = 0x79,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_TASK_SWITCH = 0x7d,
	SVM_EXIT_FERR_FREEZE = 0x7e,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_VMSAVE = 0x83,
	SVM_EXIT_STGI = 0x84,
	SVM_EXIT_CLGI = 0x85,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_RDTSCP = 0x87,
	SVM_EXIT_ICEBP = 0x88,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR = 0x8a,
	SVM_EXIT_MWAIT = 0x8b,
	SVM_EXIT_MWAIT_CONDITIONAL = 0x8c,
	SVM_EXIT_XSETBV = 0x8d,
	SVM_EXIT_RDPRU = 0x8e,
	SVM_EXIT_EFER_WRITE_TRAP = 0x8f,
	SVM_EXIT_CR0_WRITE_TRAP = 0x90,
	SVM_EXIT_INVLPGB = 0xa0,
	SVM_EXIT_INVLPGB_ILLEGAL = 0xa1,
	SVM_EXIT_INVPCID = 0xa2,
	SVM_EXIT_MCOMMIT = 0xa3,
	SVM_EXIT_TLBSYNC = 0xa4,
	SVM_EXIT_BUSLOCK = 0xa5,
	SVM_EXIT_IDLE_HLT = 0xa6,
	SVM_EXIT_LOW_COUNT, /* codes below this index the tables of names and decoders */
	SVM_EXIT_NPF = 0x400,
	SVM_EXIT_AVIC_INCOMPLETE_IPI = 0x401,
	SVM_EXIT_AVIC_NOACCEL = 0x402,
	SVM_EXIT_VMGEXIT = 0x403
};

/* VMEXIT_INVALID is -1; some implementations store only its low 32 bits. */
#define SVM_EXIT_IS_INVALID(code) ((uint32_t)(code) == UINT32_MAX)

/* EXITINFO1 of IOIO, 15.10.2. */
#define SVM_IOIO_IN      HC_BIT(0)
#define SVM_IOIO_STR     HC_BIT(2)
#define SVM_IOIO_REP     HC_BIT(3)
#define SVM_IOIO_SIZE(i) ((uint8_t)hc_bits((i), 6, 4)) /* one-hot: the width in bytes */
#define SVM_IOIO_A16     HC_BIT(7)
#define SVM_IOIO_A32     HC_BIT(8)
#define SVM_IOIO_A64     HC_BIT(9)
#define SVM_IOIO_SEG(i)  ((uint8_t)hc_bits((i), 12, 10))
#define SVM_IOIO_PORT(i) ((uint16_t)((i) >> 16))

/* EXITINFO1 of a nested page fault beyond the page-fault error code, 15.25.6. */
#define SVM_NPF_IN_WALK HC_BIT(33)

/* EXITINFO1 of a CR write with decode assists, 15.8.1. */
#define SVM_CR_MOV    HC_BIT(63)
#define SVM_CR_GPR(i) ((unsigned)(i)&0xfu)

/* MSRs, 15.30. */
#define MSR_VM_CR        0xc0010114u
#define MSR_VM_HSAVE_PA  0xc0010117u
#define MSR_EFER         0xc0000080u
#define MSR_TSC_AUX      0xc0000103u
#define MSR_TSC_RATIO    0xc0000104u /* of guests: 8 bits before the point, 32 behind it (15.30.5) */
#define SVM_TSC_RATIO_1  HC_BIT(32)
#define SVM_VM_CR_LOCK   HC_BIT(3)
#define SVM_VM_CR_SVMDIS HC_BIT(4)

/* The permission maps, 15.10.1 and 15.11. */
#define SVM_IOPM_SIZE  (3 * HC_PAGE_SIZE)
#define SVM_MSRPM_SIZE (2 * HC_PAGE_SIZE)

#endif
