/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system registers that the guest has (Arm ARM D17, D18): one table, by number. All else is
 * UNDEFINED to it, as on a CPU without the feature.
 */
#include "arch/aarch64/gic/gic.h"
#include "arch/aarch64/internal.h"
#include "core/log.h"
#include "core/sched.h"

/* --- What the rows' functions are --- */

static uint64_t read_sys(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	hc_vcpu_need(vcpu, A64_G_SYS);
	return a64_state_of(vcpu)->sys[reg->value];
}

static void write_sys(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value)
{
	hc_vcpu_need(vcpu, A64_G_SYS);
	a64_state_of(vcpu)->sys[reg->value] = value;
	hc_vcpu_dirty(vcpu, A64_G_SYS);
}

static uint64_t read_midr(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	hc_vcpu_need(vcpu, A64_G_ID);
	return a64_state_of(vcpu)->midr;
}

static uint64_t read_mpidr(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	hc_vcpu_need(vcpu, A64_G_ID);
	return a64_state_of(vcpu)->mpidr;
}

static uint64_t read_id(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	return a64_vm_of(vcpu->vm)->id[reg->value];
}

static uint64_t read_host(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	return a64_host_id(reg->number);
}

static uint64_t read_frequency(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	return hc_platform_cycles_hz();
}

static void drop(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value)
{
	/* Nothing to do. */
}

/* Trapped only while the list registers do not hold all that is active. */
static void deactivate(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value)
{
	gic_deactivate(vcpu, value);
}

static void send_sgi(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, uint64_t value)
{
	gic_send_sgi(vcpu, value, (unsigned)reg->value);
}

static bool has_interface(struct hc_vcpu *vcpu, const struct a64_sysreg *reg)
{
	return a64_vcpu_of(vcpu)->gic && a64_id_field(vcpu->vm, A64_ID_AA64PFR0, 24);
}

/* --- The table --- */

#define ICC_SRE 7 /* SRE, DFB, DIB: IHI 0069 12.2.26 */

#define ROW(op0, op1, crn, crm, op2, the_name, the_value, ...)                                     \
	{                                                                                          \
		.number = A64_SYSREG(op0, op1, crn, crm, op2), .name = (the_name),                 \
		.value = (the_value), __VA_ARGS__                                                  \
	}
#define DIRECT(op1, crn, crm, op2, reg, is_el0)                                                    \
	ROW(3, op1, crn, crm, op2, #reg, A64_##reg, .read = read_sys, .write = write_sys,          \
	    .el0 = (is_el0))
#define IGNORED(op0, op1, crn, crm, op2, name, value, is_el0)                                      \
	ROW(op0, op1, crn, crm, op2, name, value, .write = drop, .el0 = (is_el0))
#define CONSTANT(op0, op1, crn, crm, op2, name, value, is_el0)                                     \
	ROW(op0, op1, crn, crm, op2, name, value, .el0 = (is_el0))
/* Set/way operations come here where the CPU is software and has no caches. Elsewhere the CPU does
 * them; HCR_EL2.SWIO makes it write back what was to be invalidated only. */
#define DROPPED(op0, op1, crn, crm, op2, name)                                                     \
	ROW(op0, op1, crn, crm, op2, name, 0, .write = drop, .is_wo = true)
#define IDENTITY(op2, name, fn) ROW(3, 0, 0, 0, op2, name, 0, .read = fn)
#define ID(crm, op2, name)      ROW(3, 0, 0, crm, op2, name, A64_ID_AT(crm, op2), .read = read_id)
#define HOST(op2, name)         ROW(3, 3, 0, 0, op2, name, 0, .read = read_host, .el0 = true)
#define SGI(op2, name, group)                                                                      \
	ROW(3, 0, 12, 11, op2, name, group, .write = send_sgi, .is_wo = true,                      \
	    .present = has_interface)
#define INTERFACE(crm, op2, name, value)                                                           \
	ROW(3, 0, 12, crm, op2, name, value, .write = drop, .present = has_interface)

#define DEBUG(crn, crm, op2, name, which)                                                          \
	ROW(2, 0, crn, crm, op2, name, which, .read = a64_debug_read, .write = a64_debug_write)
#define DEBUG_FILE(n, op2, name, which)                                                            \
	ROW(2, 0, 0, n, op2, name, (which) | (n), .read = a64_debug_read,                          \
	    .write = a64_debug_write, .present = a64_debug_present)
#define DEBUG_FILES(n)                                                                             \
	DEBUG_FILE(n, 4, "DBGBVR" #n "_EL1", A64_DBGBVR),                                          \
		DEBUG_FILE(n, 5, "DBGBCR" #n "_EL1", A64_DBGBCR),                                  \
		DEBUG_FILE(n, 6, "DBGWVR" #n "_EL1", A64_DBGWVR),                                  \
		DEBUG_FILE(n, 7, "DBGWCR" #n "_EL1", A64_DBGWCR)
#define OS_LOCK()                                                                                  \
	ROW(2, 0, 1, 0, 4, "OSLAR_EL1", A64_OSLAR, .write = a64_debug_write, .is_wo = true)
#define OS_LOCK_STATUS() ROW(2, 0, 1, 1, 4, "OSLSR_EL1", A64_OSLSR, .read = a64_debug_read)

#define FREQUENCY() ROW(3, 3, 14, 0, 0, "CNTFRQ_EL0", 0, .read = read_frequency, .el0 = true)
#define COUNTER(crm, op2, name, which)                                                             \
	ROW(3, 3, 14, crm, op2, name, which, .read = a64_timer_read, .el0 = true)
#define TIMER(crm, op2, name, which)                                                               \
	ROW(3, 3, 14, crm, op2, name, which, .read = a64_timer_read, .write = a64_timer_write,     \
	    .el0 = true)

/* clang-format off */
const struct a64_sysreg a64_sysregs[] = {
	DROPPED(1, 0, 7, 6, 2, "DC ISW"),
	DROPPED(1, 0, 7, 10, 2, "DC CSW"),
	DROPPED(1, 0, 7, 14, 2, "DC CISW"),
	IGNORED(2, 0, 0, 0, 2, "OSDTRRX_EL1", 0, false),
	DEBUG_FILES(0),
	DEBUG_FILES(1),
	IGNORED(2, 0, 0, 2, 0, "MDCCINT_EL1", 0, false),
	DEBUG(0, 2, 2, "MDSCR_EL1", A64_MDSCR),
	DEBUG_FILES(2),
	IGNORED(2, 0, 0, 3, 2, "OSDTRTX_EL1", 0, false),
	DEBUG_FILES(3),
	DEBUG_FILES(4),
	DEBUG_FILES(5),
	IGNORED(2, 0, 0, 6, 2, "OSECCR_EL1", 0, false),
	DEBUG_FILES(6),
	DEBUG_FILES(7),
	DEBUG_FILES(8),
	DEBUG_FILES(9),
	DEBUG_FILES(10),
	DEBUG_FILES(11),
	DEBUG_FILES(12),
	DEBUG_FILES(13),
	DEBUG_FILES(14),
	DEBUG_FILES(15),
	CONSTANT(2, 0, 1, 0, 0, "MDRAR_EL1", 0, false),
	OS_LOCK(),
	OS_LOCK_STATUS(),
	IGNORED(2, 0, 1, 3, 4, "OSDLR_EL1", 0, false),
	IGNORED(2, 0, 1, 4, 4, "DBGPRCR_EL1", 0, false),
	IGNORED(2, 0, 7, 8, 6, "DBGCLAIMSET_EL1", 0, false),
	IGNORED(2, 0, 7, 9, 6, "DBGCLAIMCLR_EL1", 0, false),
	CONSTANT(2, 0, 7, 14, 6, "DBGAUTHSTATUS_EL1", 0, false),
	CONSTANT(2, 3, 0, 1, 0, "MDCCSR_EL0", 0, true),
	IGNORED(2, 3, 0, 4, 0, "DBGDTR_EL0", 0, true),
	IGNORED(2, 3, 0, 5, 0, "DBGDTRTX_EL0", 0, true),
	IDENTITY(0, "MIDR_EL1", read_midr),
	IDENTITY(5, "MPIDR_EL1", read_mpidr),
	CONSTANT(3, 0, 0, 0, 6, "REVIDR_EL1", 0, false),
	ID(1, 0, "ID_PFR0_EL1"),
	ID(1, 1, "ID_PFR1_EL1"),
	ID(1, 2, "ID_DFR0_EL1"),
	ID(1, 3, "ID_AFR0_EL1"),
	ID(1, 4, "ID_MMFR0_EL1"),
	ID(1, 5, "ID_MMFR1_EL1"),
	ID(1, 6, "ID_MMFR2_EL1"),
	ID(1, 7, "ID_MMFR3_EL1"),
	ID(2, 0, "ID_ISAR0_EL1"),
	ID(2, 1, "ID_ISAR1_EL1"),
	ID(2, 2, "ID_ISAR2_EL1"),
	ID(2, 3, "ID_ISAR3_EL1"),
	ID(2, 4, "ID_ISAR4_EL1"),
	ID(2, 5, "ID_ISAR5_EL1"),
	ID(2, 6, "ID_MMFR4_EL1"),
	ID(2, 7, "ID_ISAR6_EL1"),
	ID(3, 0, "MVFR0_EL1"),
	ID(3, 1, "MVFR1_EL1"),
	ID(3, 2, "MVFR2_EL1"),
	ID(3, 3, "S3_0_C0_C3_3"),
	ID(3, 4, "ID_PFR2_EL1"),
	ID(3, 5, "ID_DFR1_EL1"),
	ID(3, 6, "ID_MMFR5_EL1"),
	ID(3, 7, "S3_0_C0_C3_7"),
	ID(4, 0, "ID_AA64PFR0_EL1"),
	ID(4, 1, "ID_AA64PFR1_EL1"),
	ID(4, 2, "ID_AA64PFR2_EL1"),
	ID(4, 3, "S3_0_C0_C4_3"),
	ID(4, 4, "ID_AA64ZFR0_EL1"),
	ID(4, 5, "ID_AA64SMFR0_EL1"),
	ID(4, 6, "S3_0_C0_C4_6"),
	ID(4, 7, "ID_AA64FPFR0_EL1"),
	ID(5, 0, "ID_AA64DFR0_EL1"),
	ID(5, 1, "ID_AA64DFR1_EL1"),
	ID(5, 2, "ID_AA64DFR2_EL1"),
	ID(5, 3, "S3_0_C0_C5_3"),
	ID(5, 4, "ID_AA64AFR0_EL1"),
	ID(5, 5, "ID_AA64AFR1_EL1"),
	ID(5, 6, "S3_0_C0_C5_6"),
	ID(5, 7, "S3_0_C0_C5_7"),
	ID(6, 0, "ID_AA64ISAR0_EL1"),
	ID(6, 1, "ID_AA64ISAR1_EL1"),
	ID(6, 2, "ID_AA64ISAR2_EL1"),
	ID(6, 3, "ID_AA64ISAR3_EL1"),
	ID(6, 4, "S3_0_C0_C6_4"),
	ID(6, 5, "S3_0_C0_C6_5"),
	ID(6, 6, "S3_0_C0_C6_6"),
	ID(6, 7, "S3_0_C0_C6_7"),
	ID(7, 0, "ID_AA64MMFR0_EL1"),
	ID(7, 1, "ID_AA64MMFR1_EL1"),
	ID(7, 2, "ID_AA64MMFR2_EL1"),
	ID(7, 3, "ID_AA64MMFR3_EL1"),
	ID(7, 4, "ID_AA64MMFR4_EL1"),
	ID(7, 5, "S3_0_C0_C7_5"),
	ID(7, 6, "S3_0_C0_C7_6"),
	ID(7, 7, "S3_0_C0_C7_7"),
	DIRECT(0, 1, 0, 0, SCTLR_EL1, false),
	IGNORED(3, 0, 1, 0, 1, "ACTLR_EL1", 0, false),
	DIRECT(0, 1, 0, 2, CPACR_EL1, false),
	DIRECT(0, 2, 0, 0, TTBR0_EL1, false),
	DIRECT(0, 2, 0, 1, TTBR1_EL1, false),
	DIRECT(0, 2, 0, 2, TCR_EL1, false),
	DIRECT(0, 4, 0, 0, SPSR_EL1, false),
	DIRECT(0, 4, 0, 1, ELR_EL1, false),
	DIRECT(0, 4, 1, 0, SP_EL0, false),
	DIRECT(0, 5, 1, 0, AFSR0_EL1, false),
	DIRECT(0, 5, 1, 1, AFSR1_EL1, false),
	DIRECT(0, 5, 2, 0, ESR_EL1, false),
	DIRECT(0, 6, 0, 0, FAR_EL1, false),
	DIRECT(0, 7, 4, 0, PAR_EL1, false),
	DIRECT(0, 10, 2, 0, MAIR_EL1, false),
	DIRECT(0, 10, 3, 0, AMAIR_EL1, false),
	DIRECT(0, 12, 0, 0, VBAR_EL1, false),
	ROW(3, 0, 12, 11, 1, "ICC_DIR_EL1", 0, .write = deactivate, .is_wo = true,
	    .present = has_interface),
	SGI(5, "ICC_SGI1R_EL1", 1),
	SGI(6, "ICC_ASGI1R_EL1", 2),
	SGI(7, "ICC_SGI0R_EL1", 0),
	INTERFACE(12, 5, "ICC_SRE_EL1", ICC_SRE),
	DIRECT(0, 13, 0, 1, CONTEXTIDR_EL1, false),
	DIRECT(0, 13, 0, 4, TPIDR_EL1, false),
	DIRECT(0, 14, 1, 0, CNTKCTL_EL1, false),
	CONSTANT(3, 1, 0, 0, 0, "CCSIDR_EL1", 0, false),
	CONSTANT(3, 1, 0, 0, 1, "CLIDR_EL1", 0, false),
	CONSTANT(3, 1, 0, 0, 7, "AIDR_EL1", 0, false),
	DIRECT(2, 0, 0, 0, CSSELR_EL1, false),
	HOST(1, "CTR_EL0"),
	HOST(7, "DCZID_EL0"),
	IGNORED(3, 3, 9, 14, 0, "PMUSERENR_EL0", 0, false),
	DIRECT(3, 13, 0, 2, TPIDR_EL0, true),
	DIRECT(3, 13, 0, 3, TPIDRRO_EL0, true),
	FREQUENCY(),
	COUNTER(0, 1, "CNTPCT_EL0", A64_CNTPCT),
	COUNTER(0, 2, "CNTVCT_EL0", A64_CNTVCT),
	TIMER(2, 0, "CNTP_TVAL_EL0", A64_CNTP_TVAL),
	TIMER(2, 1, "CNTP_CTL_EL0", A64_CNTP_CTL),
	TIMER(2, 2, "CNTP_CVAL_EL0", A64_CNTP_CVAL),
	TIMER(3, 0, "CNTV_TVAL_EL0", A64_CNTV_TVAL),
	TIMER(3, 1, "CNTV_CTL_EL0", A64_CNTV_CTL),
	TIMER(3, 2, "CNTV_CVAL_EL0", A64_CNTV_CVAL),
};
/* clang-format on */

const unsigned a64_sysreg_count = HC_ARRAY_SIZE(a64_sysregs);

/* --- Accesses --- */

const struct a64_sysreg *a64_find_sysreg(uint32_t number)
{
	unsigned low = 0, high = HC_ARRAY_SIZE(a64_sysregs);

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (a64_sysregs[mid].number == number)
			return &a64_sysregs[mid];
		if (a64_sysregs[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool may_access(struct hc_vcpu *vcpu, const struct a64_sysreg *reg, bool write)
{
	if (!reg || (!reg->el0 && a64_is_el0(a64_state_of(vcpu))))
		return false;
	if (write ? !reg->write : reg->is_wo)
		return false;
	return !reg->present || reg->present(vcpu, reg);
}

/* EL0's attempts are its own affair. Of the others, the first gets a line: guests may try what
 * their ID registers tell them they do not have. */
static __attribute__((noinline, cold)) void tell_undefined(struct hc_vcpu *vcpu,
                                                           const struct hc_exit *exit,
                                                           const struct a64_sysreg *reg)
{
	uint32_t n = exit->u.sysreg.number;

	if (a64_is_el0(a64_state_of(vcpu)) ||
	    atomic_exchange(&a64_vm_of(vcpu->vm)->undefined_sysreg, true))
		return;
	hc_log(HC_LOG_INFO,
	       "vm %s: vcpu %u: S%u_%u_C%u_C%u_%u (%s) %s at pc %#llx: UNDEFINED, as later ones",
	       vcpu->vm->name, vcpu->id, n >> 14, n >> 11 & 7, n >> 7 & 15, n >> 3 & 15, n & 7,
	       reg ? reg->name : "not known here", exit->u.sysreg.write ? "written" : "read",
	       (unsigned long long)exit->pc);
}

/* Guests write one register again and again: ICC_SGI1R_EL1. */
static const struct a64_sysreg *find_again(struct hc_vcpu *vcpu, uint32_t number)
{
	struct a64_vcpu *a = a64_vcpu_of(vcpu);
	const struct a64_sysreg *reg = a->last_sysreg;

	if (__builtin_expect(reg->number == number, 1))
		return reg;
	reg = a64_find_sysreg(number);
	if (reg)
		a->last_sysreg = reg;
	return reg;
}

int a64_exit_sysreg(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct a64_sysreg *reg = find_again(vcpu, exit->u.sysreg.number);
	struct a64_state *s = a64_state_of(vcpu);

	if (!may_access(vcpu, reg, exit->u.sysreg.write)) {
		tell_undefined(vcpu, exit, reg);
		a64_raise_undefined(vcpu);
		return HC_ACT_RESUME;
	}
	if (!exit->u.sysreg.write)
		a64_set_x(s, exit->u.sysreg.rt, reg->read ? reg->read(vcpu, reg) : reg->value);
	else
		reg->write(vcpu, reg, a64_get_x(s, exit->u.sysreg.rt));
	a64_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}
