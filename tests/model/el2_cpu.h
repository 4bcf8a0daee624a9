/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of CPUs with EL2, by the Arm ARM: implements arch/aarch64/el2/hw.h and a64_host_id(). It
 * keeps the registers of several CPUs, remembers what their TLBs would, and lets a script be the
 * guest.
 *
 * What code under test does wrong without a CPU noticing at once is a complaint:
 *   - a register that this CPU does not have, or reserved bits that are not as they should be
 *   - vectors, translations or TLB maintenance under a register that was written without an ISB
 *   - an ERET that would not leave EL2, or into a guest that nothing confines
 *   - translations used under a VMID that another VM filled, that are older than the last change of
 *     stage 2, or that another vCPU of the same VM left behind on the CPU
 *   - list registers that do not exist, hold an interrupt twice, or are linked to a physical
 *     interrupt that is not active
 */
#ifndef TESTS_MODEL_EL2_CPU_H
#define TESTS_MODEL_EL2_CPU_H

#include "arch/aarch64/el2/internal.h"

#define MODEL_CPUS      4
#define MODEL_VMIDS     65536
#define MODEL_REGISTERS 65536

/* What the machine's CPUs are like. */
struct model_features {
	bool no_el2, no_4k, vhe, ras, vmid16, pmu, spe, amu, trace, fgt, hcx, lor;
	unsigned parange;     /* the field of ID_AA64MMFR0_EL1 */
	unsigned gic_version; /* 0, 2, 3 */
	unsigned list_registers, preemption_bits, priority_bits;
	unsigned breakpoints, watchpoints;
	bool broken; /* guests compute rubbish */
};

enum model_op {
	OP_END = 0, /* a host interrupt ends the guest; stays there */
	OP_EXIT,    /* a synchronous exception: esr, far, hpfar, with ELR_EL2 at PC + skip */
	OP_SERROR,  /* a physical SError: esr */
	OP_FIQ,
	OP_VECTOR, /* the guest uses vectors: V0's low half becomes esr */
	OP_CALL,   /* fn(cpu, st): the guest does something to itself; takes no time */
};

struct model_cpu;

struct model_step {
	enum model_op op;
	uint64_t esr, far, hpfar, skip;
	void (*fn)(struct model_cpu *cpu, struct a64_state *st);
};

struct model_cpu {
	uint64_t reg[MODEL_REGISTERS]; /* by enum el2_register */
	uint64_t el1[A64_SYS_COUNT];
	uint64_t v[32][2];
	uint32_t fpsr, fpcr;
	uint64_t bvr[A64_DEBUG_REGISTERS], wvr[A64_DEBUG_REGISTERS];
	struct a64_gic_cpu gic;
	uint64_t cntvoff, cntv_cval, cntv_ctl;
	uint64_t far, hpfar;
	bool unsynced;                /* written since the last ISB, or ERET */
	bool active[32], enabled[32]; /* PPIs */
	struct {
		uint64_t root;     /* 0: nothing remembered */
		uint64_t from, to; /* what of it is stale */
		uint64_t vmpidr;   /* whose own entries are among them */
	} tlb[MODEL_VMIDS];
	unsigned entries, fp_loads, fp_saves, el1_loads, vttbr_writes, hcr_writes, lr_writes;
	unsigned register_reads, register_writes;
};

extern struct model_features model_features;
extern struct model_cpu model_cpus[MODEL_CPUS];

/* All CPUs as the board leaves them, and el2_host. */
void model_reset(const struct model_features *features);

/* Which CPU the calling thread is. */
void model_be(unsigned cpu);
struct model_cpu *model_this(void);

/* What the guest does from the next entry on; ends with OP_END. NULL: guest code is interpreted
 * (what the self-test of the backend uses). */
void model_script(const struct model_step *steps);

/* What the physical counter shows. */
extern uint64_t model_now;

/* PAR_EL1 as AT leaves it. */
extern uint64_t model_par;

/* Stage 2 with this root changed in [gpa, gpa + size): translations made before are stale. */
void model_stage2_changed(hpa_t root, uint64_t gpa, uint64_t size);

/* Whether the data caches were cleaned for an address since model_reset(). */
bool model_was_cleaned(const void *p);

/* TLB maintenance so far: of one VMID whole, of pages, on one CPU, of everything. */
extern unsigned model_tlbi_vmall, model_tlbi_pages, model_tlbi_local, model_tlbi_all;

/* How many complaints, and the first. */
extern unsigned model_complaints;
extern char model_complaint[160];

#endif
