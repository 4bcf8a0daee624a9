/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the EL2 backend share. */
#ifndef ARCH_AARCH64_EL2_INTERNAL_H
#define ARCH_AARCH64_EL2_INTERNAL_H

#include <stdatomic.h>

#include "arch/aarch64/a64.h"
#include "arch/aarch64/el2/el2.h"
#include "arch/aarch64/el2/hw.h"
#include "core/sched.h"

/* What the CPUs can do, and what follows from it for registers that never change while guests run.
 * Written by el2_probe(), the same on all CPUs. */
struct el2_caps {
	bool vhe; /* HCR_EL2.E2H is set */
	bool ras; /* VSESR_EL2 is there */
	uint8_t parange, gpa_bits, vmid_bits;
	uint8_t breakpoints, watchpoints;
	uint8_t gic_version, list_registers, priority_bits, aprs;
	uint64_t hcr;       /* HCR_EL2 while guests run, but for VSE */
	uint64_t mdcr;      /* MDCR_EL2 */
	uint64_t cptr_trap; /* CPTR_EL2: the guest's use of vectors exits */
	uint64_t cptr_open;
};

extern struct el2_caps el2_caps;

struct el2_vcpu;

/* One physical CPU (hc_cpu.backend_data). */
struct el2_cpu {
	unsigned id;
	/* Whose EL1 registers, and whose vectors, are in the CPU: also after put(), until another
	 * vCPU takes its place. NULL: nobody's. */
	struct el2_vcpu *resident, *fp_owner;
	uint64_t host_hcr;  /* HCR_EL2 before the backend was enabled */
	uint64_t hcr, cptr; /* what is in the registers */
	uint64_t vtcr, vttbr;
	/* The VMID in vttbr with its generation; if 0, reserved says it (see tlb.c). */
	_Atomic uint64_t active_vmid;
	uint64_t reserved;
};

struct el2_vm {
	_Atomic uint64_t vmid;                      /* with its generation; 0: none yet */
	uint64_t vtcr, root;                        /* VTCR_EL2; VTTBR_EL2 without the VMID */
	struct el2_vcpu *_Atomic last[HC_MAX_CPUS]; /* which of its vCPUs ran on the CPU last */
};

struct el2_vcpu {
	struct el2_vm *vm;
	struct el2_cpu *here;   /* between load() and put(): the CPU it is on */
	struct el2_cpu *cpu;    /* whose resident it became last */
	struct el2_cpu *fp_cpu; /* whose fp_owner it became last */
	uint64_t hcr;           /* HCR_EL2 for it */
	uint32_t live_lrs;      /* list registers in the hardware that are not 0 */
	bool fp_live;           /* the vectors in the CPU are this one's, and newer */
	bool debug_live;        /* MDSCR_EL1 in the CPU is not 0 */
	bool vtimer_active; /* the physical interrupt stands for one that the guest has to end */
	uint64_t refused;   /* PSTATE that no entry was made with */
};

static inline struct el2_vcpu *el2_vcpu_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

static inline struct el2_vm *el2_vm_of(struct hc_vm *vm)
{
	return hc_vm_part(vm, &el2_backend);
}

static inline struct el2_cpu *el2_cpu_of(struct hc_cpu *cpu)
{
	return cpu->backend_data;
}

/* Groups that live in the neutral state alone: what the guest does to these registers exits. */
#define EL2_G_NEUTRAL (A64_G_DEBUG | A64_G_ID)

/* probe.c */
int el2_probe(struct hc_backend_info *info);

/* cpu.c */
int el2_cpu_enable(struct hc_cpu *cpu);
void el2_cpu_disable(struct hc_cpu *cpu);
/* data: a struct el2_cpu. All that stays as it is while the CPU runs guests; what was there goes to
 * its host_hcr. Returns 0. */
int el2_cpu_switch_on(void *data, unsigned id);
void el2_cpu_switch_off(void *data);
void el2_set_hcr(struct el2_cpu *c, uint64_t hcr);
void el2_set_cptr(struct el2_cpu *c, uint64_t cptr);

/* selftest.c: runs a small guest on the calling CPU, which is switched on. 0, -ENOMEM, or
 * -EOPNOTSUPP with *why a constant. */
int el2_selftest(const char **why);

/* state.c */
void el2_get_state(struct hc_vcpu *vcpu, uint32_t groups);
void el2_set_state(struct hc_vcpu *vcpu, uint32_t groups);
void el2_load(struct hc_vcpu *vcpu);
void el2_put(struct hc_vcpu *vcpu);
/* The guest used vectors, which was trapped. */
void el2_fp_trap(struct hc_vcpu *vcpu);

/* gic.c: the virtual CPU interface. */
void el2_gic_save(struct el2_vcpu *ev, struct a64_gic_cpu *gic);
void el2_gic_load(struct el2_vcpu *ev, struct a64_state *st);
/* Whether the virtual timer's interrupt is in a list register of the neutral state. */
bool el2_gic_lists_vtimer(const struct a64_gic_cpu *gic);
/* No virtual interrupts and no maintenance interrupts until the next el2_gic_load(). */
void el2_gic_stop(void);

/* gich.c: the same by GICv2's registers. */
uint32_t el2_gich_vtr(void);
void el2_gich_save(struct a64_gic_cpu *gic, uint32_t lrs);
void el2_gich_load(const struct a64_gic_cpu *gic, uint32_t lrs);
void el2_gich_stop(void);

/* timer.c */
void el2_timer_save(struct a64_state *st);
void el2_timer_load(const struct a64_state *st);
void el2_timer_stop(void);
/* Whether the timer in the CPU asserts its interrupt now. */
bool el2_timer_output(const struct a64_state *st);
/* The physical interrupt becomes active, or not. */
void el2_timer_set_active(struct el2_vcpu *ev, bool active);

/* run.c */
void el2_run(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* tlb.c. VTCR_EL2 for a stage 2. */
uint64_t el2_vtcr(const struct s2 *s2);
void el2_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size);
void el2_written(struct hc_vm *vm, gpa_t gpa, uint64_t size);
/* Makes vcpu's VM the one that the CPU translates for. */
void el2_tlb_load(struct hc_vcpu *vcpu, struct el2_cpu *cpu);

/* exits.c: left: el2_hw_enter()'s result. */
void el2_decode_exit(struct hc_vcpu *vcpu, uint64_t left, struct hc_exit *exit);
void el2_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);

#endif
