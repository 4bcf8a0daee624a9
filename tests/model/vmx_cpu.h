/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of a CPU with VT-x, by SDM Vol. 3C chapters 25 to 31: implements arch/x86_64/vmx/hw.h and
 * arch/x86_64/host/cpu.h. It checks what a CPU would refuse, remembers what a CPU would cache, and
 * lets a script be the guest.
 *
 * A VMCS lives in its region, in a layout of the model's own: so a region that is freed, copied or
 * overwritten while a CPU holds it is noticed.
 *
 * What code under test does wrong without a CPU noticing at once is a complaint:
 *   - a VMCS that is active on two CPUs, or whose memory is used otherwise while it is active; one
 *     that was never cleared; VMXOFF while a VMCS is active
 *   - VMREAD and VMWRITE without a current VMCS, of a field that this CPU lacks, VMWRITE of
 *     read-only data; VMREAD of, and entry with, a field that nothing has written
 *   - translations used under a VPID that another VMCS filled, or that are older than the last
 *     change of the EPT or than what was written over the guest's own paging
 *   - a host state that is not this CPU's
 *   - an interrupt that an exit acknowledged, and nobody handled; or the other way round
 *   - an instruction that would fault or fail: XSETBV, XRSTOR of values that they refuse, VMXON
 *     without CR4.VMXE, INVEPT and INVVPID of types that there are not, RDMSR and WRMSR of MSRs
 *     that there are not or of values that they do not take
 *   - a list of written pages (29.3.6) that would go on in a place that is in use
 */
#ifndef TESTS_MODEL_VMX_CPU_H
#define TESTS_MODEL_VMX_CPU_H

#include "arch/x86_64/vmx/internal.h"
#include "tests/model/x86_host_model.h"

#define MODEL_TLB    64 /* contexts of translations that a CPU holds at most */
#define MODEL_ACTIVE 16 /* VMCSs that a CPU holds at most */

/* What the machine's CPUs are like. */
struct model_features {
	bool no_vmx;
	uint64_t feature_control; /* IA32_FEATURE_CONTROL as firmware leaves it */
	struct vmx_cap_msrs caps; /* phys_bits and linear_bits are what CPUID says */
	bool xsave, avx512, rdtscp, invpcid, xsaves;
	bool unmasks; /* an interrupt of the host's has a virtual one delivered, masked or not */
	bool bochs;   /* entries want the RPL of a CS that is not conforming to be its DPL */
};

/* vmx_features.c */
/* Like Bochs' corei5_lynnfield_750: no unrestricted guest. */
extern const struct model_features rig_restricted;

/* Translations that a CPU holds. Combined mappings have a VPID and an EPTP (29.3.1), guest-physical
 * ones only the EPTP: vpid is MODEL_GUEST_PHYSICAL. */
#define MODEL_GUEST_PHYSICAL UINT32_MAX

#define MODEL_DIRTY 16 /* pages of which it remembers that they are dirty */

struct model_translations {
	uint64_t eptp; /* bits 51:12; 0: empty */
	uint32_t vpid;
	uint64_t owner; /* which VMCS; guest-physical: 0 */
	uint64_t epoch, paging_epoch;
	uint64_t dirty[MODEL_DIRTY]; /* guest-physical: their addresses, plus 1 */
	unsigned dirty_next;
};

struct model_cpu {
	struct vmx_host host; /* this CPU's own state, as far as exits bring it back */
	struct model_x86 x86;
	uint64_t cr2, dr6;
	uint64_t feature_control, tsc_aux, star, lstar, cstar, sfmask, kernel_gs, xss, debugctl;
	bool vmx_on;
	uint64_t vmxon_region;
	struct vmx_region *current;              /* NULL: none */
	struct vmx_region *active[MODEL_ACTIVE]; /* in any order, with gaps */
	struct model_translations tlb[MODEL_TLB];
	unsigned tlb_next;
	unsigned entries, refused, invepts, invvpids, clears, loads, reads, writes;
	unsigned nmis;
	bool holds_vector; /* an exit acknowledged an interrupt that nobody has handled yet */
	uint8_t vector;
	unsigned interrupts; /* handled, after exits that acknowledged them */
	unsigned posts;      /* sent to this CPU, and not yet met by OP_POSTED */
};

extern struct model_features model_features;
extern struct model_cpu model_cpus[MODEL_CPUS];
extern const struct vmx_rule *model_refused_by; /* the rule that the last refused entry broke */

struct model_cpu *model_this(void);

/* A field of a VMCS, whichever CPU it is active on: for tests to look and to act the guest. The
 * field need not exist on this CPU. */
uint64_t model_vmcs_get(const struct vmx_region *vmcs, uint32_t field);
void model_vmcs_set(struct vmx_region *vmcs, uint32_t field, uint64_t value);
/* The calling CPU's current VMCS. */
struct vmx_region *model_current(void);
bool model_vmcs_launched(const struct vmx_region *vmcs);
/* Whether a CPU with these capabilities has the field. */
bool model_has_field(const struct vmx_cap_msrs *caps, uint32_t field);
const char *model_field_name(uint32_t field); /* NULL: there is no such field */

/* Complains if a CPU still holds VMCSs. */
void model_expect_none_active(void);

/* Between the files of the model. */
void model_reset_registers(void);
void model_reset_guest(void);
uint64_t model_get(uint32_t field); /* of the current VMCS */
void model_set(uint32_t field, uint64_t value);
void model_set_exit(uint32_t reason, uint64_t qualification); /* all other fields are undefined */
void model_deliver(uint64_t info, uint32_t error_code, uint64_t insn_len);
/* vmx_cpu_apic.c: RDMSR and WRMSR by ECX, stores to the local APIC's page, moves to CR8. True if
 * the guest exits. */
bool model_rdmsr(uint64_t *gpr);
bool model_wrmsr(uint64_t *gpr);
bool model_apic_store(uint32_t offset, uint32_t value);
bool model_mov_cr8(uint64_t value);
/* An interrupt of the host's comes in: true if the guest exits for it. */
bool model_host_interrupt(uint8_t vector);
/* An exit says that it acknowledged this one. */
void model_acknowledge(uint64_t info);
/* What an entry looks at of the local APIC, and the delivery of a virtual interrupt before the next
 * instruction. */
void model_enter_apic(void);
void model_take_virtual(void);
/* The exit comes after the instruction. */
bool model_exit_is_trap(void);
/* The guest stores to gpa: sets dirty flags and lists pages, but for pages of which the CPU knows
 * that they are dirty. 0; or the reason of the exit that comes first, and its qualification. */
uint32_t model_guest_store(uint64_t gpa, uint64_t *qualification);
/* Enters the guest, whose state is in order, and runs it up to an exit. */
void model_run_guest(uint64_t *gpr);

#endif
