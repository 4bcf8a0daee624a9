/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions of EL2 but for the world switch. See hw.h. */
#include "arch/aarch64/el2/hw.h"

/* S<op0>_<op1>_C<n>_C<m>_<op2>: a register by its number, which every assembler understands. */
#define NAME(op0, op1, crn, crm, op2) "S" #op0 "_" #op1 "_C" #crn "_C" #crm "_" #op2

#define MRS(value, op0, op1, crn, crm, op2)                                                        \
	__asm__ volatile("mrs %0, " NAME(op0, op1, crn, crm, op2) : "=r"(value)::"memory")
#define MSR(value, op0, op1, crn, crm, op2)                                                        \
	__asm__ volatile("msr " NAME(op0, op1, crn, crm, op2) ", %0" ::"r"(value) : "memory")

void el2_hw_isb(void)
{
	__asm__ volatile("isb" ::: "memory");
}

uint64_t el2_hw_read(enum el2_register reg)
{
	uint64_t value = 0;

	switch (reg) {
#define READ(name, op0, op1, crn, crm, op2)                                                        \
	case EL2_##name: MRS(value, op0, op1, crn, crm, op2); break;
		EL2_REGISTERS(READ)
	default: break;
	}
	return value;
}

void el2_hw_write(enum el2_register reg, uint64_t value)
{
	switch (reg) {
#define WRITE(name, op0, op1, crn, crm, op2)                                                       \
	case EL2_##name: MSR(value, op0, op1, crn, crm, op2); break;
		EL2_REGISTERS(WRITE)
	default: break;
	}
}

uint64_t el2_hw_far(void)
{
	uint64_t value;

	MRS(value, 3, 4, 6, 0, 0);
	return value;
}

uint64_t el2_hw_hpfar(void)
{
	uint64_t value;

	MRS(value, 3, 4, 6, 0, 4);
	return value;
}

/* --- Registers of EL1 --- */

#define SAVE(name, op0, op1, crn, crm, op2, vhe_op1, vhe_crn)                                      \
	MRS(sys[A64_##name], op0, op1, crn, crm, op2);
#define SAVE_VHE(name, op0, op1, crn, crm, op2, vhe_op1, vhe_crn)                                  \
	MRS(sys[A64_##name], op0, vhe_op1, vhe_crn, crm, op2);
#define LOAD(name, op0, op1, crn, crm, op2, vhe_op1, vhe_crn)                                      \
	MSR(sys[A64_##name], op0, op1, crn, crm, op2);
#define LOAD_VHE(name, op0, op1, crn, crm, op2, vhe_op1, vhe_crn)                                  \
	MSR(sys[A64_##name], op0, vhe_op1, vhe_crn, crm, op2);

void el2_hw_save_el1(uint64_t sys[A64_SYS_COUNT], bool vhe)
{
	if (vhe) {
		A64_EL1_REGISTERS(SAVE_VHE)
	} else {
		A64_EL1_REGISTERS(SAVE)
	}
}

void el2_hw_load_el1(const uint64_t sys[A64_SYS_COUNT], bool vhe)
{
	if (vhe) {
		A64_EL1_REGISTERS(LOAD_VHE)
	} else {
		A64_EL1_REGISTERS(LOAD)
	}
}

/* --- Timer: CNTV_*_EL0 is S3_3_C14_C3_*, CNTV_*_EL02 S3_5_C14_C3_* --- */

void el2_hw_load_timer(uint64_t offset, uint64_t cval, uint32_t ctl, bool vhe)
{
	MSR(offset, 3, 4, 14, 0, 3);
	if (vhe) {
		MSR(cval, 3, 5, 14, 3, 2);
		MSR((uint64_t)ctl, 3, 5, 14, 3, 1);
	} else {
		MSR(cval, 3, 3, 14, 3, 2);
		MSR((uint64_t)ctl, 3, 3, 14, 3, 1);
	}
	el2_hw_isb();
}

uint32_t el2_hw_timer_ctl(bool vhe)
{
	uint64_t ctl;

	if (vhe)
		MRS(ctl, 3, 5, 14, 3, 1);
	else
		MRS(ctl, 3, 3, 14, 3, 1);
	return (uint32_t)ctl;
}

uint64_t el2_hw_timer_cval(bool vhe)
{
	uint64_t cval;

	if (vhe)
		MRS(cval, 3, 5, 14, 3, 2);
	else
		MRS(cval, 3, 3, 14, 3, 2);
	return cval;
}

void el2_hw_stop_timer(bool vhe)
{
	if (vhe)
		MSR(UINT64_C(0), 3, 5, 14, 3, 1);
	else
		MSR(UINT64_C(0), 3, 3, 14, 3, 1);
}

/* --- Debug registers: DBGBVR<n> is S2_0_C0_C<n>_4, then DBGBCR, DBGWVR, DBGWCR --- */

#define EACH_OF_16(X)                                                                              \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

static void load_breakpoint(const struct a64_state *st, unsigned n)
{
	switch (n) {
#define BREAKPOINT(m)                                                                              \
	case m:                                                                                    \
		MSR(st->dbgbvr[m], 2, 0, 0, m, 4);                                                 \
		MSR(st->dbgbcr[m], 2, 0, 0, m, 5);                                                 \
		break;
		EACH_OF_16(BREAKPOINT)
	default: break;
	}
}

static void load_watchpoint(const struct a64_state *st, unsigned n)
{
	switch (n) {
#define WATCHPOINT(m)                                                                              \
	case m:                                                                                    \
		MSR(st->dbgwvr[m], 2, 0, 0, m, 6);                                                 \
		MSR(st->dbgwcr[m], 2, 0, 0, m, 7);                                                 \
		break;
		EACH_OF_16(WATCHPOINT)
	default: break;
	}
}

void el2_hw_load_debug(const struct a64_state *st, unsigned breakpoints, unsigned watchpoints)
{
	for (unsigned n = 0; n < breakpoints; n++)
		load_breakpoint(st, n);
	for (unsigned n = 0; n < watchpoints; n++)
		load_watchpoint(st, n);
}

/* --- GICv3: ICH_LR<n>_EL2 is S3_4_C12_C12_<n>, from 8 on S3_4_C12_C13_<n-8> --- */

/* clang-format off */
#define LIST_REGISTERS(X)                                                                          \
	X(0, 12, 0)  X(1, 12, 1)  X(2, 12, 2)  X(3, 12, 3)                                         \
	X(4, 12, 4)  X(5, 12, 5)  X(6, 12, 6)  X(7, 12, 7)                                         \
	X(8, 13, 0)  X(9, 13, 1)  X(10, 13, 2) X(11, 13, 3)                                        \
	X(12, 13, 4) X(13, 13, 5) X(14, 13, 6) X(15, 13, 7)
/* clang-format on */

static void save_lr(uint64_t *lr, unsigned n)
{
	switch (n) {
#define SAVE_LR(m, crm, op2)                                                                       \
	case m: MRS(*lr, 3, 4, 12, crm, op2); break;
		LIST_REGISTERS(SAVE_LR)
	default: break;
	}
}

static void load_lr(uint64_t lr, unsigned n)
{
	switch (n) {
#define LOAD_LR(m, crm, op2)                                                                       \
	case m: MSR(lr, 3, 4, 12, crm, op2); break;
		LIST_REGISTERS(LOAD_LR)
	default: break;
	}
}

/* Most CPUs have but the first of each group. */
static __attribute__((noinline)) void save_more_aprs(struct a64_gic_cpu *gic, unsigned aprs)
{
	uint64_t value[6] = { 0 };

	MRS(value[0], 3, 4, 12, 8, 1);
	MRS(value[3], 3, 4, 12, 9, 1);
	if (aprs > 2) {
		MRS(value[1], 3, 4, 12, 8, 2);
		MRS(value[2], 3, 4, 12, 8, 3);
		MRS(value[4], 3, 4, 12, 9, 2);
		MRS(value[5], 3, 4, 12, 9, 3);
	}
	for (unsigned n = 1; n < aprs; n++) {
		gic->ap0r[n] = (uint32_t)value[n - 1];
		gic->ap1r[n] = (uint32_t)value[n + 2];
	}
}

static __attribute__((noinline)) void load_more_aprs(const struct a64_gic_cpu *gic, unsigned aprs)
{
	MSR((uint64_t)gic->ap0r[1], 3, 4, 12, 8, 1);
	MSR((uint64_t)gic->ap1r[1], 3, 4, 12, 9, 1);
	if (aprs <= 2)
		return;
	MSR((uint64_t)gic->ap0r[2], 3, 4, 12, 8, 2);
	MSR((uint64_t)gic->ap0r[3], 3, 4, 12, 8, 3);
	MSR((uint64_t)gic->ap1r[2], 3, 4, 12, 9, 2);
	MSR((uint64_t)gic->ap1r[3], 3, 4, 12, 9, 3);
}

void el2_hw_save_gic(struct a64_gic_cpu *gic, uint32_t lrs, unsigned aprs)
{
	uint64_t hcr, vmcr, ap0r, ap1r;

	MRS(hcr, 3, 4, 12, 11, 0);
	MRS(vmcr, 3, 4, 12, 11, 7);
	MRS(ap0r, 3, 4, 12, 8, 0);
	MRS(ap1r, 3, 4, 12, 9, 0);
	gic->hcr = (uint32_t)hcr;
	gic->vmcr = (uint32_t)vmcr;
	gic->ap0r[0] = (uint32_t)ap0r;
	gic->ap1r[0] = (uint32_t)ap1r;
	if (aprs > 1)
		save_more_aprs(gic, aprs);
	for (; lrs; lrs &= lrs - 1) {
		unsigned n = (unsigned)__builtin_ctz(lrs);

		save_lr(&gic->lr[n], n);
	}
}

void el2_hw_load_gic(const struct a64_gic_cpu *gic, uint32_t lrs, unsigned aprs)
{
	MSR((uint64_t)gic->vmcr, 3, 4, 12, 11, 7);
	MSR((uint64_t)gic->ap0r[0], 3, 4, 12, 8, 0);
	MSR((uint64_t)gic->ap1r[0], 3, 4, 12, 9, 0);
	if (aprs > 1)
		load_more_aprs(gic, aprs);
	for (; lrs; lrs &= lrs - 1) {
		unsigned n = (unsigned)__builtin_ctz(lrs);

		load_lr(gic->lr[n], n);
	}
	MSR((uint64_t)gic->hcr, 3, 4, 12, 11, 0);
}

void el2_hw_stop_gic(void)
{
	MSR(UINT64_C(0), 3, 4, 12, 11, 0);
}

/* --- Translations --- */

void el2_hw_dsb_tables(void)
{
	__asm__ volatile("dsb ishst" ::: "memory");
}

void el2_hw_tlbi_vmall(void)
{
	__asm__ volatile("dsb ishst; tlbi vmalls12e1is; dsb ish; isb" ::: "memory");
}

void el2_hw_tlbi_ipa(gpa_t gpa, unsigned pages)
{
	uint64_t page = gpa.v >> HC_PAGE_SHIFT;

	__asm__ volatile("dsb ishst" ::: "memory");
	for (unsigned i = 0; i < pages; i++)
		__asm__ volatile("tlbi ipas2e1is, %0" ::"r"(page + i) : "memory");
	__asm__ volatile("dsb ish; tlbi vmalle1is; dsb ish; isb" ::: "memory");
}

void el2_hw_tlbi_local(void)
{
	__asm__ volatile("tlbi vmalle1; ic iallu; dsb nsh; isb" ::: "memory");
}

void el2_hw_tlbi_all(void)
{
	__asm__ volatile("dsb ishst; tlbi alle1is; ic ialluis; dsb ish; isb" ::: "memory");
}

uint64_t el2_hw_translate(gva_t gva)
{
	uint64_t before, par;

	MRS(before, 3, 0, 7, 4, 0);
	__asm__ volatile("at s1e1r, %0; isb" ::"r"(gva.v) : "memory");
	MRS(par, 3, 0, 7, 4, 0);
	MSR(before, 3, 0, 7, 4, 0);
	return par;
}

/* --- Caches: CTR_EL0.DminLine is the logarithm of the smallest line's words --- */

void el2_hw_clean(const void *p, uint64_t size)
{
	uint64_t ctr;

	MRS(ctr, 3, 3, 0, 0, 1);
	uint64_t line = UINT64_C(4) << hc_bits(ctr, 19, 16);
	uint64_t at = HC_ALIGN_DOWN((uint64_t)(uintptr_t)p, line),
		 end = (uint64_t)(uintptr_t)p + size;

	for (; at < end; at += line)
		__asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
	__asm__ volatile("dsb ish; ic ialluis; dsb ish; isb" ::: "memory");
}
