/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of arch/aarch64 share among themselves. */
#ifndef ARCH_AARCH64_INTERNAL_H
#define ARCH_AARCH64_INTERNAL_H

#include "arch/aarch64/a64.h"

/* exits.c: hc_arch_ops.before_entry and has_event; WFI's action. */
int a64_before_entry(struct hc_vcpu *vcpu);
bool a64_has_event(struct hc_vcpu *vcpu);
int a64_halt(struct hc_vcpu *vcpu);

/* idregs.c: fills a64_vm.id once the width of the guest's addresses is known. */
void a64_id_init(struct hc_vm *vm);

/* timer.c */
void a64_timers_init(struct hc_vcpu *vcpu);
void a64_timers_reset(struct hc_vcpu *vcpu);
void a64_timers_fini(struct hc_vcpu *vcpu);

/* exits.c: one handler per exit reason; psci.c: HC_EXIT_HYPERCALL; sysregs.c: HC_EXIT_SYSREG;
 * mmio.c: HC_EXIT_STAGE2, HC_EXIT_BUS. */
extern const hc_exit_handler a64_exit_handlers[HC_EXIT_REASON_COUNT];
int a64_exit_hypercall(struct hc_vcpu *vcpu, struct hc_exit *exit);
int a64_exit_sysreg(struct hc_vcpu *vcpu, struct hc_exit *exit);
int a64_exit_stage2(struct hc_vcpu *vcpu, struct hc_exit *exit);
int a64_exit_bus(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* A system register that the guest has. On most backends the guest uses part of them without an
 * exit. */
struct a64_sysreg {
	uint32_t number; /* A64_SYSREG() */
	const char *name;
	uint64_t value;
	/* NULL: reads give the value, or are UNDEFINED if is_wo. */
	uint64_t (*read)(struct hc_vcpu *vcpu, const struct a64_sysreg *reg);
	/* NULL: writes are UNDEFINED. */
	void (*write)(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value);
	/* Whether this guest has it; NULL: all have. */
	bool (*present)(struct hc_vcpu *vcpu, const struct a64_sysreg *reg);
	bool el0;   /* EL0 may access it */
	bool is_wo; /* write only */
};

/* sysregs.c: all of them, sorted by number. What is not in it is UNDEFINED to the guest. */
extern const struct a64_sysreg a64_sysregs[];
extern const unsigned a64_sysreg_count;

/* The register's row, or NULL. */
const struct a64_sysreg *a64_find_sysreg(uint32_t number);

/* Rows' functions: debug.c, timer.c. Their numbers are in sysregs.c's table. */
uint64_t a64_debug_read(struct hc_vcpu *vcpu, const struct a64_sysreg *reg);
void a64_debug_write(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value);
bool a64_debug_present(struct hc_vcpu *vcpu, const struct a64_sysreg *reg);
uint64_t a64_timer_read(struct hc_vcpu *vcpu, const struct a64_sysreg *reg);
void a64_timer_write(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value);

/* Which register a row of theirs is: its value. Debug registers that there are several of: the
 * number in bits 3:0. */
enum a64_timer_reg {
	A64_CNTPCT,
	A64_CNTVCT,
	A64_CNTP_CTL,
	A64_CNTP_CVAL,
	A64_CNTP_TVAL,
	A64_CNTV_CTL,
	A64_CNTV_CVAL,
	A64_CNTV_TVAL
};

enum a64_debug_reg {
	A64_DBGBVR = 0x00,
	A64_DBGBCR = 0x10,
	A64_DBGWVR = 0x20,
	A64_DBGWCR = 0x30,
	A64_MDSCR = 0x40,
	A64_OSLAR = 0x50,
	A64_OSLSR = 0x60
};

/*
 * walk.c: the guest's stage 1, walked by software (Arm ARM D8.2). 0; -EFAULT: the guest is to get
 * an abort with *fsc, which has the level in it; -EAGAIN: the tables changed meanwhile, the
 * instruction is to be executed once more. access: one enum hc_access. user: with EL0's rights.
 * Makes group SYS valid.
 */
int a64_translate(struct hc_vcpu *vcpu, gva_t gva, enum hc_access access, bool user, gpa_t *gpa,
                  uint32_t *fsc);

/* The width of the guest's physical addresses, as ID_AA64MMFR0_EL1.PARange says it; at most 48. */
unsigned a64_address_bits(struct hc_vm *vm);

/* The instruction at PC, with the same results. */
int a64_fetch(struct hc_vcpu *vcpu, uint32_t *insn, uint32_t *fsc);

static inline bool a64_is_el0(const struct a64_state *s)
{
	return (s->pstate & 0xf) == A64_PSTATE_EL0T; /* AArch32's User mode as well */
}

static inline bool a64_is_aarch32(const struct a64_state *s)
{
	return (s->pstate & 0x10) != 0;
}

#endif
