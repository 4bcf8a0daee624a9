/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions of VT-x, one function each. hw.S and hw.c implement them on a board;
 * tests/model/vmx_cpu.c models a CPU that does. Nothing here decides anything.
 *
 * What fails by VMfailInvalid or VMfailValid (SDM Vol. 3C 31.2) is -1 or the number of
 * VM_INSTRUCTION_ERROR; 0 is success. Instructions fault as the manual says: callers check that
 * what they ask for exists.
 */
#ifndef ARCH_X86_64_VMX_HW_H
#define ARCH_X86_64_VMX_HW_H

/* vmx_hw_read() and vmx_hw_write() of the current VMCS: inline/vmx_access.h on a board,
 * tests/model/inline/vmx_access.h in unit tests. */
#include <vmx_access.h>

#include "arch/x86_64/vmx/vmcs.h"

int vmx_hw_on(hpa_t region); /* VMXON; CR4.VMXE is set */
void vmx_hw_off(void);
int vmx_hw_clear(hpa_t vmcs);
int vmx_hw_load(hpa_t vmcs); /* VMPTRLD */
int vmx_hw_invept(enum vmx_invept type, const struct vmx_invept_descriptor *d);
int vmx_hw_invvpid(enum vmx_invvpid type, const struct vmx_invvpid_descriptor *d);

/*
 * The world switch: VMLAUNCH, or VMRESUME if resume, of the current VMCS. The guest's general
 * registers but RSP are taken from gpr[] (order of enum x86_gpr) and left there; RSP and RIP are
 * the VMCS's. Writes HOST_RSP and HOST_RIP. Called and returns with RFLAGS.IF clear. The result is
 * that of the instruction: 0 after an exit, which EXIT_REASON tells (also of an entry that failed
 * on the guest's state, 27.8).
 */
int vmx_hw_enter(uint64_t *gpr, bool resume);

/* What VM exits have to bring back of this CPU (25.5). */
struct vmx_host {
	uint64_t cr0, cr3, cr4, efer, pat;
	uint64_t fs_base, gs_base, tr_base, gdtr_base, idtr_base;
	uint64_t sysenter_esp, sysenter_eip;
	uint32_t sysenter_cs;
	uint16_t cs, ss, tr; /* DS, ES, FS and GS are null */
};

void vmx_hw_read_host(struct vmx_host *host);

#endif
