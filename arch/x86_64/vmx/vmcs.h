/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCS: its fields, and the bits in them (SDM Vol. 3C chapters 25 to 28, Vol. 3D appendix B).
 *
 * A field's encoding tells its width and kind (25.11.2): bit 0 the high half of a 64-bit field,
 * bits 9:1 its index, 11:10 control, read-only data, guest state, host state, 14:13 16, 64, 32 bits
 * or natural width.
 */
#ifndef ARCH_X86_64_VMX_VMCS_H
#define ARCH_X86_64_VMX_VMCS_H

#include <hypercore/types.h>

/* X(name, encoding) */
#define VMCS_FIELDS(X)                                                                             \
	/* 16 bits: control */                                                                     \
	X(VPID, 0x0000)                                                                            \
	X(POSTED_INTR_NOTIFICATION_VECTOR, 0x0002)                                                 \
	/* guest state */                                                                          \
	X(GUEST_ES_SELECTOR, 0x0800)                                                               \
	X(GUEST_CS_SELECTOR, 0x0802)                                                               \
	X(GUEST_SS_SELECTOR, 0x0804)                                                               \
	X(GUEST_DS_SELECTOR, 0x0806)                                                               \
	X(GUEST_FS_SELECTOR, 0x0808)                                                               \
	X(GUEST_GS_SELECTOR, 0x080a)                                                               \
	X(GUEST_LDTR_SELECTOR, 0x080c)                                                             \
	X(GUEST_TR_SELECTOR, 0x080e)                                                               \
	X(GUEST_INTERRUPT_STATUS, 0x0810)                                                          \
	X(GUEST_PML_INDEX, 0x0812)                                                                 \
	/* host state */                                                                           \
	X(HOST_ES_SELECTOR, 0x0c00)                                                                \
	X(HOST_CS_SELECTOR, 0x0c02)                                                                \
	X(HOST_SS_SELECTOR, 0x0c04)                                                                \
	X(HOST_DS_SELECTOR, 0x0c06)                                                                \
	X(HOST_FS_SELECTOR, 0x0c08)                                                                \
	X(HOST_GS_SELECTOR, 0x0c0a)                                                                \
	X(HOST_TR_SELECTOR, 0x0c0c)                                                                \
	/* 64 bits: control */                                                                     \
	X(IO_BITMAP_A, 0x2000)                                                                     \
	X(IO_BITMAP_B, 0x2002)                                                                     \
	X(MSR_BITMAP, 0x2004)                                                                      \
	X(EXIT_MSR_STORE_ADDRESS, 0x2006)                                                          \
	X(EXIT_MSR_LOAD_ADDRESS, 0x2008)                                                           \
	X(ENTRY_MSR_LOAD_ADDRESS, 0x200a)                                                          \
	X(EXECUTIVE_VMCS_POINTER, 0x200c)                                                          \
	X(PML_ADDRESS, 0x200e)                                                                     \
	X(TSC_OFFSET, 0x2010)                                                                      \
	X(VIRTUAL_APIC_ADDRESS, 0x2012)                                                            \
	X(APIC_ACCESS_ADDRESS, 0x2014)                                                             \
	X(POSTED_INTR_DESCRIPTOR_ADDRESS, 0x2016)                                                  \
	X(VMFUNC_CONTROLS, 0x2018)                                                                 \
	X(EPT_POINTER, 0x201a)                                                                     \
	X(EOI_EXIT_BITMAP_0, 0x201c)                                                               \
	X(EOI_EXIT_BITMAP_1, 0x201e)                                                               \
	X(EOI_EXIT_BITMAP_2, 0x2020)                                                               \
	X(EOI_EXIT_BITMAP_3, 0x2022)                                                               \
	X(EPTP_LIST_ADDRESS, 0x2024)                                                               \
	X(VMREAD_BITMAP, 0x2026)                                                                   \
	X(VMWRITE_BITMAP, 0x2028)                                                                  \
	X(XSS_EXITING_BITMAP, 0x202c)                                                              \
	X(ENCLS_EXITING_BITMAP, 0x202e)                                                            \
	X(TSC_MULTIPLIER, 0x2032)                                                                  \
	/* read-only data */                                                                       \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400)                                                          \
	/* guest state */                                                                          \
	X(VMCS_LINK_POINTER, 0x2800)                                                               \
	X(GUEST_IA32_DEBUGCTL, 0x2802)                                                             \
	X(GUEST_IA32_PAT, 0x2804)                                                                  \
	X(GUEST_IA32_EFER, 0x2806)                                                                 \
	X(GUEST_IA32_PERF_GLOBAL_CTRL, 0x2808)                                                     \
	X(GUEST_PDPTE0, 0x280a)                                                                    \
	X(GUEST_PDPTE1, 0x280c)                                                                    \
	X(GUEST_PDPTE2, 0x280e)                                                                    \
	X(GUEST_PDPTE3, 0x2810)                                                                    \
	/* host state */                                                                           \
	X(HOST_IA32_PAT, 0x2c00)                                                                   \
	X(HOST_IA32_EFER, 0x2c02)                                                                  \
	X(HOST_IA32_PERF_GLOBAL_CTRL, 0x2c04)                                                      \
	/* 32 bits: control */                                                                     \
	X(PIN_BASED_CONTROLS, 0x4000)                                                              \
	X(PRIMARY_CONTROLS, 0x4002)                                                                \
	X(EXCEPTION_BITMAP, 0x4004)                                                                \
	X(PAGE_FAULT_ERROR_CODE_MASK, 0x4006)                                                      \
	X(PAGE_FAULT_ERROR_CODE_MATCH, 0x4008)                                                     \
	X(CR3_TARGET_COUNT, 0x400a)                                                                \
	X(EXIT_CONTROLS, 0x400c)                                                                   \
	X(EXIT_MSR_STORE_COUNT, 0x400e)                                                            \
	X(EXIT_MSR_LOAD_COUNT, 0x4010)                                                             \
	X(ENTRY_CONTROLS, 0x4012)                                                                  \
	X(ENTRY_MSR_LOAD_COUNT, 0x4014)                                                            \
	X(ENTRY_INTERRUPTION_INFO, 0x4016)                                                         \
	X(ENTRY_EXCEPTION_ERROR_CODE, 0x4018)                                                      \
	X(ENTRY_INSTRUCTION_LENGTH, 0x401a)                                                        \
	X(TPR_THRESHOLD, 0x401c)                                                                   \
	X(SECONDARY_CONTROLS, 0x401e)                                                              \
	X(PLE_GAP, 0x4020)                                                                         \
	X(PLE_WINDOW, 0x4022)                                                                      \
	/* read-only data */                                                                       \
	X(VM_INSTRUCTION_ERROR, 0x4400)                                                            \
	X(EXIT_REASON, 0x4402)                                                                     \
	X(EXIT_INTERRUPTION_INFO, 0x4404)                                                          \
	X(EXIT_INTERRUPTION_ERROR_CODE, 0x4406)                                                    \
	X(IDT_VECTORING_INFO, 0x4408)                                                              \
	X(IDT_VECTORING_ERROR_CODE, 0x440a)                                                        \
	X(EXIT_INSTRUCTION_LENGTH, 0x440c)                                                         \
	X(EXIT_INSTRUCTION_INFO, 0x440e)                                                           \
	/* guest state */                                                                          \
	X(GUEST_ES_LIMIT, 0x4800)                                                                  \
	X(GUEST_CS_LIMIT, 0x4802)                                                                  \
	X(GUEST_SS_LIMIT, 0x4804)                                                                  \
	X(GUEST_DS_LIMIT, 0x4806)                                                                  \
	X(GUEST_FS_LIMIT, 0x4808)                                                                  \
	X(GUEST_GS_LIMIT, 0x480a)                                                                  \
	X(GUEST_LDTR_LIMIT, 0x480c)                                                                \
	X(GUEST_TR_LIMIT, 0x480e)                                                                  \
	X(GUEST_GDTR_LIMIT, 0x4810)                                                                \
	X(GUEST_IDTR_LIMIT, 0x4812)                                                                \
	X(GUEST_ES_ACCESS_RIGHTS, 0x4814)                                                          \
	X(GUEST_CS_ACCESS_RIGHTS, 0x4816)                                                          \
	X(GUEST_SS_ACCESS_RIGHTS, 0x4818)                                                          \
	X(GUEST_DS_ACCESS_RIGHTS, 0x481a)                                                          \
	X(GUEST_FS_ACCESS_RIGHTS, 0x481c)                                                          \
	X(GUEST_GS_ACCESS_RIGHTS, 0x481e)                                                          \
	X(GUEST_LDTR_ACCESS_RIGHTS, 0x4820)                                                        \
	X(GUEST_TR_ACCESS_RIGHTS, 0x4822)                                                          \
	X(GUEST_INTERRUPTIBILITY, 0x4824)                                                          \
	X(GUEST_ACTIVITY_STATE, 0x4826)                                                            \
	X(GUEST_SMBASE, 0x4828)                                                                    \
	X(GUEST_IA32_SYSENTER_CS, 0x482a)                                                          \
	X(PREEMPTION_TIMER_VALUE, 0x482e)                                                          \
	/* host state */                                                                           \
	X(HOST_IA32_SYSENTER_CS, 0x4c00)                                                           \
	/* natural width: control */                                                               \
	X(CR0_GUEST_HOST_MASK, 0x6000)                                                             \
	X(CR4_GUEST_HOST_MASK, 0x6002)                                                             \
	X(CR0_READ_SHADOW, 0x6004)                                                                 \
	X(CR4_READ_SHADOW, 0x6006)                                                                 \
	X(CR3_TARGET_VALUE0, 0x6008)                                                               \
	X(CR3_TARGET_VALUE1, 0x600a)                                                               \
	X(CR3_TARGET_VALUE2, 0x600c)                                                               \
	X(CR3_TARGET_VALUE3, 0x600e)                                                               \
	/* read-only data */                                                                       \
	X(EXIT_QUALIFICATION, 0x6400)                                                              \
	X(IO_RCX, 0x6402)                                                                          \
	X(IO_RSI, 0x6404)                                                                          \
	X(IO_RDI, 0x6406)                                                                          \
	X(IO_RIP, 0x6408)                                                                          \
	X(GUEST_LINEAR_ADDRESS, 0x640a)                                                            \
	/* guest state */                                                                          \
	X(GUEST_CR0, 0x6800)                                                                       \
	X(GUEST_CR3, 0x6802)                                                                       \
	X(GUEST_CR4, 0x6804)                                                                       \
	X(GUEST_ES_BASE, 0x6806)                                                                   \
	X(GUEST_CS_BASE, 0x6808)                                                                   \
	X(GUEST_SS_BASE, 0x680a)                                                                   \
	X(GUEST_DS_BASE, 0x680c)                                                                   \
	X(GUEST_FS_BASE, 0x680e)                                                                   \
	X(GUEST_GS_BASE, 0x6810)                                                                   \
	X(GUEST_LDTR_BASE, 0x6812)                                                                 \
	X(GUEST_TR_BASE, 0x6814)                                                                   \
	X(GUEST_GDTR_BASE, 0x6816)                                                                 \
	X(GUEST_IDTR_BASE, 0x6818)                                                                 \
	X(GUEST_DR7, 0x681a)                                                                       \
	X(GUEST_RSP, 0x681c)                                                                       \
	X(GUEST_RIP, 0x681e)                                                                       \
	X(GUEST_RFLAGS, 0x6820)                                                                    \
	X(GUEST_PENDING_DEBUG_EXCEPTIONS, 0x6822)                                                  \
	X(GUEST_IA32_SYSENTER_ESP, 0x6824)                                                         \
	X(GUEST_IA32_SYSENTER_EIP, 0x6826)                                                         \
	/* host state */                                                                           \
	X(HOST_CR0, 0x6c00)                                                                        \
	X(HOST_CR3, 0x6c02)                                                                        \
	X(HOST_CR4, 0x6c04)                                                                        \
	X(HOST_FS_BASE, 0x6c06)                                                                    \
	X(HOST_GS_BASE, 0x6c08)                                                                    \
	X(HOST_TR_BASE, 0x6c0a)                                                                    \
	X(HOST_GDTR_BASE, 0x6c0c)                                                                  \
	X(HOST_IDTR_BASE, 0x6c0e)                                                                  \
	X(HOST_IA32_SYSENTER_ESP, 0x6c10)                                                          \
	X(HOST_IA32_SYSENTER_EIP, 0x6c12)                                                          \
	X(HOST_RSP, 0x6c14)                                                                        \
	X(HOST_RIP, 0x6c16)

#define VMCS_ENUM(name, encoding) VMCS_##name = (encoding),
enum vmcs_field { VMCS_FIELDS(VMCS_ENUM) };
#undef VMCS_ENUM

/* Of the segments in the order of enum x86_seg: ES .. GS, LDTR, TR. */
#define VMCS_GUEST_SELECTOR(seg)      (VMCS_GUEST_ES_SELECTOR + 2 * (unsigned)(seg))
#define VMCS_GUEST_LIMIT(seg)         (VMCS_GUEST_ES_LIMIT + 2 * (unsigned)(seg))
#define VMCS_GUEST_ACCESS_RIGHTS(seg) (VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * (unsigned)(seg))
#define VMCS_GUEST_BASE(seg)          (VMCS_GUEST_ES_BASE + 2 * (unsigned)(seg))

/* Pin-based controls (25.6.1). */
#define VMX_PIN_INTR_EXITING     HC_BIT(0)
#define VMX_PIN_NMI_EXITING      HC_BIT(3)
#define VMX_PIN_VIRTUAL_NMIS     HC_BIT(5)
#define VMX_PIN_PREEMPTION_TIMER HC_BIT(6)
#define VMX_PIN_POSTED_INTR      HC_BIT(7)

/* Primary processor-based controls (25.6.2). */
#define VMX_CPU_INTR_WINDOW      HC_BIT(2)
#define VMX_CPU_TSC_OFFSETTING   HC_BIT(3)
#define VMX_CPU_HLT              HC_BIT(7)
#define VMX_CPU_INVLPG           HC_BIT(9)
#define VMX_CPU_MWAIT            HC_BIT(10)
#define VMX_CPU_RDPMC            HC_BIT(11)
#define VMX_CPU_RDTSC            HC_BIT(12)
#define VMX_CPU_CR3_LOAD         HC_BIT(15)
#define VMX_CPU_CR3_STORE        HC_BIT(16)
#define VMX_CPU_TERTIARY         HC_BIT(17)
#define VMX_CPU_CR8_LOAD         HC_BIT(19)
#define VMX_CPU_CR8_STORE        HC_BIT(20)
#define VMX_CPU_TPR_SHADOW       HC_BIT(21)
#define VMX_CPU_NMI_WINDOW       HC_BIT(22)
#define VMX_CPU_MOV_DR           HC_BIT(23)
#define VMX_CPU_UNCONDITIONAL_IO HC_BIT(24)
#define VMX_CPU_IO_BITMAPS       HC_BIT(25)
#define VMX_CPU_MONITOR_TRAP     HC_BIT(27)
#define VMX_CPU_MSR_BITMAPS      HC_BIT(28)
#define VMX_CPU_MONITOR          HC_BIT(29)
#define VMX_CPU_PAUSE            HC_BIT(30)
#define VMX_CPU_SECONDARY        HC_BIT(31)

/* Secondary processor-based controls (25.6.2). */
#define VMX_CPU2_APIC_ACCESSES      HC_BIT(0)
#define VMX_CPU2_EPT                HC_BIT(1)
#define VMX_CPU2_DESCRIPTOR_TABLE   HC_BIT(2)
#define VMX_CPU2_RDTSCP             HC_BIT(3)
#define VMX_CPU2_X2APIC_MODE        HC_BIT(4)
#define VMX_CPU2_VPID               HC_BIT(5)
#define VMX_CPU2_WBINVD             HC_BIT(6)
#define VMX_CPU2_UNRESTRICTED_GUEST HC_BIT(7)
#define VMX_CPU2_APIC_REGISTERS     HC_BIT(8)
#define VMX_CPU2_VIRTUAL_INTERRUPTS HC_BIT(9)
#define VMX_CPU2_PAUSE_LOOP         HC_BIT(10)
#define VMX_CPU2_RDRAND             HC_BIT(11)
#define VMX_CPU2_INVPCID            HC_BIT(12)
#define VMX_CPU2_VMFUNC             HC_BIT(13)
#define VMX_CPU2_VMCS_SHADOWING     HC_BIT(14)
#define VMX_CPU2_ENCLS              HC_BIT(15)
#define VMX_CPU2_RDSEED             HC_BIT(16)
#define VMX_CPU2_PML                HC_BIT(17)
#define VMX_CPU2_EPT_VIOLATION_VE   HC_BIT(18)
#define VMX_CPU2_XSAVES             HC_BIT(20)
#define VMX_CPU2_MODE_BASED_EXECUTE HC_BIT(22)
#define VMX_CPU2_SUB_PAGE           HC_BIT(23)
#define VMX_CPU2_TSC_SCALING        HC_BIT(25)
#define VMX_CPU2_USER_WAIT          HC_BIT(26)

/* VM-exit controls (25.7.1). */
#define VMX_EXIT_SAVE_DEBUG      HC_BIT(2)
#define VMX_EXIT_HOST_64         HC_BIT(9)
#define VMX_EXIT_LOAD_PERF       HC_BIT(12)
#define VMX_EXIT_ACK_INTR        HC_BIT(15)
#define VMX_EXIT_SAVE_PAT        HC_BIT(18)
#define VMX_EXIT_LOAD_PAT        HC_BIT(19)
#define VMX_EXIT_SAVE_EFER       HC_BIT(20)
#define VMX_EXIT_LOAD_EFER       HC_BIT(21)
#define VMX_EXIT_SAVE_PREEMPTION HC_BIT(22)

/* VM-entry controls (25.8.1). */
#define VMX_ENTRY_LOAD_DEBUG HC_BIT(2)
#define VMX_ENTRY_IA32E      HC_BIT(9)
#define VMX_ENTRY_SMM        HC_BIT(10)
#define VMX_ENTRY_DUAL_SMM   HC_BIT(11)
#define VMX_ENTRY_LOAD_PERF  HC_BIT(13)
#define VMX_ENTRY_LOAD_PAT   HC_BIT(14)
#define VMX_ENTRY_LOAD_EFER  HC_BIT(15)

/* Interruption information: entry, exit and IDT-vectoring (25.8.3, 25.9.2, 25.9.3). */
#define VMX_INFO_VECTOR(info) ((uint8_t)(info))
#define VMX_INFO_TYPE(info)   (((info) >> 8) & 7u)
#define VMX_INFO_ERROR        HC_BIT(11)
#define VMX_INFO_NMI_UNBLOCK  HC_BIT(12) /* exits: IRET had unblocked NMIs */
#define VMX_INFO_V            HC_BIT(31)

enum vmx_event_type {
	VMX_EVENT_INTR = 0,
	VMX_EVENT_NMI = 2,
	VMX_EVENT_EXCEPTION = 3, /* #BP and #OF by INT3 and INTO are VMX_EVENT_SOFT_EXCEPTION */
	VMX_EVENT_SOFT_INT = 4,
	VMX_EVENT_PRIVILEGED = 5, /* INT1 */
	VMX_EVENT_SOFT_EXCEPTION = 6,
	VMX_EVENT_OTHER = 7
};

/* Guest interruptibility (25.4.2). */
#define VMX_BLOCKING_STI    HC_BIT(0)
#define VMX_BLOCKING_MOV_SS HC_BIT(1)
#define VMX_BLOCKING_SMI    HC_BIT(2)
#define VMX_BLOCKING_NMI    HC_BIT(3)

/* Guest activity state (25.4.2). */
enum vmx_activity { VMX_ACTIVE, VMX_HLT, VMX_SHUTDOWN, VMX_WAIT_SIPI };

/* Pending debug exceptions (25.4.2). */
#define VMX_PENDING_HITS    0xfu
#define VMX_PENDING_ENABLED HC_BIT(12)
#define VMX_PENDING_BS      HC_BIT(14)

/* Access rights beyond those of struct x86_segment's attr (25.4.1). VMX packs type, S, DPL and P in
 * bits 7:0 and AVL, L, D/B, G in bits 15:12. */
#define VMX_AR_UNUSABLE HC_BIT(16)

/* Exit reason (25.9.1). */
#define VMX_EXIT_REASON(value) ((uint16_t)(value))
#define VMX_EXIT_REASON_ENTRY  HC_BIT(31) /* the entry failed */

/* X(name, number): SDM Vol. 3D appendix C. */
#define VMX_EXIT_REASONS(X)                                                                        \
	X(EXCEPTION_OR_NMI, 0)                                                                     \
	X(EXTERNAL_INTERRUPT, 1)                                                                   \
	X(TRIPLE_FAULT, 2)                                                                         \
	X(INIT, 3)                                                                                 \
	X(SIPI, 4)                                                                                 \
	X(IO_SMI, 5)                                                                               \
	X(OTHER_SMI, 6)                                                                            \
	X(INTERRUPT_WINDOW, 7)                                                                     \
	X(NMI_WINDOW, 8)                                                                           \
	X(TASK_SWITCH, 9)                                                                          \
	X(CPUID, 10)                                                                               \
	X(GETSEC, 11)                                                                              \
	X(HLT, 12)                                                                                 \
	X(INVD, 13)                                                                                \
	X(INVLPG, 14)                                                                              \
	X(RDPMC, 15)                                                                               \
	X(RDTSC, 16)                                                                               \
	X(RSM, 17)                                                                                 \
	X(VMCALL, 18)                                                                              \
	X(VMCLEAR, 19)                                                                             \
	X(VMLAUNCH, 20)                                                                            \
	X(VMPTRLD, 21)                                                                             \
	X(VMPTRST, 22)                                                                             \
	X(VMREAD, 23)                                                                              \
	X(VMRESUME, 24)                                                                            \
	X(VMWRITE, 25)                                                                             \
	X(VMXOFF, 26)                                                                              \
	X(VMXON, 27)                                                                               \
	X(CR_ACCESS, 28)                                                                           \
	X(MOV_DR, 29)                                                                              \
	X(IO, 30)                                                                                  \
	X(RDMSR, 31)                                                                               \
	X(WRMSR, 32)                                                                               \
	X(INVALID_GUEST_STATE, 33)                                                                 \
	X(MSR_LOADING, 34)                                                                         \
	X(MWAIT, 36)                                                                               \
	X(MONITOR_TRAP, 37)                                                                        \
	X(MONITOR, 39)                                                                             \
	X(PAUSE, 40)                                                                               \
	X(MACHINE_CHECK, 41)                                                                       \
	X(TPR_BELOW_THRESHOLD, 43)                                                                 \
	X(APIC_ACCESS, 44)                                                                         \
	X(VIRTUALIZED_EOI, 45)                                                                     \
	X(GDTR_IDTR, 46)                                                                           \
	X(LDTR_TR, 47)                                                                             \
	X(EPT_VIOLATION, 48)                                                                       \
	X(EPT_MISCONFIGURATION, 49)                                                                \
	X(INVEPT, 50)                                                                              \
	X(RDTSCP, 51)                                                                              \
	X(PREEMPTION_TIMER, 52)                                                                    \
	X(INVVPID, 53)                                                                             \
	X(WBINVD, 54)                                                                              \
	X(XSETBV, 55)                                                                              \
	X(APIC_WRITE, 56)                                                                          \
	X(RDRAND, 57)                                                                              \
	X(INVPCID, 58)                                                                             \
	X(VMFUNC, 59)                                                                              \
	X(ENCLS, 60)                                                                               \
	X(RDSEED, 61)                                                                              \
	X(PML_FULL, 62)                                                                            \
	X(XSAVES, 63)                                                                              \
	X(XRSTORS, 64)                                                                             \
	X(PCONFIG, 65)                                                                             \
	X(SPP, 66)                                                                                 \
	X(UMWAIT, 67)                                                                              \
	X(TPAUSE, 68)                                                                              \
	X(LOADIWKEY, 69)                                                                           \
	X(ENCLV, 70)                                                                               \
	X(ENQCMD_PASID, 72)                                                                        \
	X(ENQCMDS_PASID, 73)                                                                       \
	X(BUS_LOCK, 74)                                                                            \
	X(NOTIFY, 75)

#define VMX_REASON_ENUM(name, number) VMX_REASON_##name = (number),
enum vmx_exit_reason { VMX_EXIT_REASONS(VMX_REASON_ENUM) VMX_REASON_COUNT };
#undef VMX_REASON_ENUM

/* EXIT_QUALIFICATION of control-register accesses (table 28-3). */
#define VMX_CR_NUMBER(q) ((unsigned)(q)&0xfu)
#define VMX_CR_TYPE(q)   (((unsigned)(q) >> 4) & 3u)
#define VMX_CR_GPR(q)    (((unsigned)(q) >> 8) & 0xfu)
#define VMX_CR_LMSW(q)   ((uint16_t)((q) >> 16))
enum vmx_cr_access { VMX_CR_TO, VMX_CR_FROM, VMX_CR_CLTS, VMX_CR_LMSW };

/* of I/O instructions (table 28-5), and EXIT_INSTRUCTION_INFO for INS and OUTS (table 28-8) */
#define VMX_IO_IN          HC_BIT(3)
#define VMX_IO_STRING      HC_BIT(4)
#define VMX_IO_REP         HC_BIT(5)
#define VMX_IO_PORT(q)     ((uint16_t)((q) >> 16))
#define VMX_INS_ADDRESS(i) (((i) >> 7) & 7u) /* 0: 16 bits, 1: 32, 2: 64 */
#define VMX_INS_SEGMENT(i) (((i) >> 15) & 7u)

/* GUEST_INTERRUPT_STATUS (25.4.2): the vectors to be delivered next, and in service. */
#define VMX_INTERRUPT_STATUS(rvi, svi) ((rvi) | (svi) << 8)
#define VMX_RVI(status)                ((uint8_t)(status))
#define VMX_SVI(status)                ((uint8_t)((status) >> 8))

/* EXIT_QUALIFICATION of APIC accesses and APIC writes (tables 28-6, 30.4.3.3) */
#define VMX_APIC_OFFSET(q) ((uint32_t)((q)&0xfff))
#define VMX_APIC_TYPE(q)   ((unsigned)((q) >> 12 & 0xf))
enum {
	VMX_APIC_READ,
	VMX_APIC_WRITE,
	VMX_APIC_FETCH
}; /* others are parts of an event's delivery */

/* of EPT violations (table 28-7) */
#define VMX_EPT_READ        HC_BIT(0)
#define VMX_EPT_WRITE       HC_BIT(1)
#define VMX_EPT_FETCH       HC_BIT(2)
#define VMX_EPT_ALLOWED(q)  (((unsigned)(q) >> 3) & 7u) /* what the entries allow: R, W, X */
#define VMX_EPT_LINEAR      HC_BIT(7)                   /* GUEST_LINEAR_ADDRESS is valid */
#define VMX_EPT_TRANSLATED  HC_BIT(8) /* of that address, not of a table on the way to it */
#define VMX_EPT_NMI_UNBLOCK HC_BIT(12)

/* of #DB (table 28-1): B0..B3, BD, BS */
#define VMX_DB_BITS 0x600fu

/* --- MSRs (appendix A) --- */

#define MSR_IA32_FEATURE_CONTROL         0x03au
#define MSR_IA32_VMX_BASIC               0x480u
#define MSR_IA32_VMX_PINBASED_CTLS       0x481u
#define MSR_IA32_VMX_PROCBASED_CTLS      0x482u
#define MSR_IA32_VMX_EXIT_CTLS           0x483u
#define MSR_IA32_VMX_ENTRY_CTLS          0x484u
#define MSR_IA32_VMX_MISC                0x485u
#define MSR_IA32_VMX_CR0_FIXED0          0x486u
#define MSR_IA32_VMX_CR0_FIXED1          0x487u
#define MSR_IA32_VMX_CR4_FIXED0          0x488u
#define MSR_IA32_VMX_CR4_FIXED1          0x489u
#define MSR_IA32_VMX_VMCS_ENUM           0x48au
#define MSR_IA32_VMX_PROCBASED_CTLS2     0x48bu
#define MSR_IA32_VMX_EPT_VPID_CAP        0x48cu
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS  0x48du
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48eu
#define MSR_IA32_VMX_TRUE_EXIT_CTLS      0x48fu
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS     0x490u
#define MSR_IA32_VMX_VMFUNC              0x491u

#define VMX_FEATURE_CONTROL_LOCK        HC_BIT(0)
#define VMX_FEATURE_CONTROL_OUTSIDE_SMX HC_BIT(2)

#define VMX_BASIC_REVISION(v) ((uint32_t)(v)&0x7fffffffu)
#define VMX_BASIC_SIZE(v)     ((uint32_t)((v) >> 32) & 0x1fffu)
#define VMX_BASIC_32BIT       HC_BIT(48)                     /* addresses have 32 bits */
#define VMX_BASIC_TYPE(v)     ((unsigned)((v) >> 50) & 0xfu) /* memory type, 6: write-back */
#define VMX_BASIC_TRUE        HC_BIT(55)

#define VMX_MISC_TIMER_SHIFT(v)     ((unsigned)(v)&0x1fu)
#define VMX_MISC_ACTIVITY_HLT       HC_BIT(6)
#define VMX_MISC_ACTIVITY_SHUTDOWN  HC_BIT(7)
#define VMX_MISC_ACTIVITY_WAIT_SIPI HC_BIT(8)
#define VMX_MISC_ZERO_LENGTH        HC_BIT(30) /* software events of instruction length 0 */

#define VMX_EPT_CAP_EXEC_ONLY       HC_BIT(0)
#define VMX_EPT_CAP_4_LEVELS        HC_BIT(6)
#define VMX_EPT_CAP_5_LEVELS        HC_BIT(7)
#define VMX_EPT_CAP_UC              HC_BIT(8)
#define VMX_EPT_CAP_WB              HC_BIT(14)
#define VMX_EPT_CAP_2M              HC_BIT(16)
#define VMX_EPT_CAP_1G              HC_BIT(17)
#define VMX_EPT_CAP_INVEPT          HC_BIT(20)
#define VMX_EPT_CAP_AD              HC_BIT(21)
#define VMX_EPT_CAP_INVEPT_ONE      HC_BIT(25)
#define VMX_EPT_CAP_INVEPT_ALL      HC_BIT(26)
#define VMX_EPT_CAP_INVVPID         HC_BIT(32)
#define VMX_EPT_CAP_INVVPID_ADDRESS HC_BIT(40)
#define VMX_EPT_CAP_INVVPID_ONE     HC_BIT(41)
#define VMX_EPT_CAP_INVVPID_ALL     HC_BIT(42)

/* Types of INVEPT and INVVPID (Vol. 3C 31.3). */
enum vmx_invept { VMX_INVEPT_ONE = 1, VMX_INVEPT_ALL = 2 };
enum vmx_invvpid { VMX_INVVPID_ADDRESS = 0, VMX_INVVPID_ONE = 1, VMX_INVVPID_ALL = 2 };

struct vmx_invept_descriptor {
	uint64_t eptp, reserved;
};

struct vmx_invvpid_descriptor {
	uint16_t vpid, reserved[3];
	uint64_t linear;
};

_Static_assert(sizeof(struct vmx_invept_descriptor) == 16, "INVEPT's operand");
_Static_assert(sizeof(struct vmx_invvpid_descriptor) == 16, "INVVPID's operand");

/* VM-instruction errors (31.4). */
enum vmx_instruction_error {
	VMX_ERROR_NONE = 0,
	VMX_ERROR_VMCLEAR_ADDRESS = 2,
	VMX_ERROR_VMCLEAR_VMXON_POINTER = 3,
	VMX_ERROR_VMLAUNCH_NOT_CLEAR = 4,
	VMX_ERROR_VMRESUME_NOT_LAUNCHED = 5,
	VMX_ERROR_VMRESUME_AFTER_VMXOFF = 6,
	VMX_ERROR_CONTROLS = 7,
	VMX_ERROR_HOST_STATE = 8,
	VMX_ERROR_VMPTRLD_ADDRESS = 9,
	VMX_ERROR_VMPTRLD_VMXON_POINTER = 10,
	VMX_ERROR_VMPTRLD_REVISION = 11,
	VMX_ERROR_UNSUPPORTED_FIELD = 12,
	VMX_ERROR_READ_ONLY_FIELD = 13,
	VMX_ERROR_VMXON_IN_ROOT = 15,
	VMX_ERROR_MOV_SS = 26,
	VMX_ERROR_INVEPT_OPERAND = 28
};

/* The 4 KiB regions of VMXON and of VMCSs begin with this (25.2). */
struct vmx_region {
	uint32_t revision; /* bit 31: a shadow VMCS */
	uint32_t abort;
	uint8_t data[HC_PAGE_SIZE - 8];
};

_Static_assert(sizeof(struct vmx_region) == HC_PAGE_SIZE, "a VMCS region");

#endif
