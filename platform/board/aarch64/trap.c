/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/aarch64/trap.h"

#include "core/log.h"
#include "core/vm.h"
#include "platform/board/aarch64/cpu.h"
#include "platform/board/paging.h"
#include "platform/board/panic.h"

#define EC(esr)       ((unsigned)hc_bits(esr, 31, 26))
#define EC_IABT       0x21 /* from the same exception level */
#define EC_DABT       0x25
#define ISS_WNR       HC_BIT(6)
#define ISS_FNV       HC_BIT(10)
#define FSC(esr)      ((unsigned)(esr)&0x3f)
#define FSC_EXTERNAL  0x10
#define FSC_ALIGNMENT 0x21
#define FSC_CONFLICT  0x30

typedef unsigned long long ull;

/* Arm ARM D17.2.37, ESR_ELx.EC. */
static const char *const classes[64] = {
	[0x00] = "unknown reason",
	[0x01] = "WFI or WFE",
	[0x03] = "MCR or MRC, CP15",
	[0x04] = "MCRR or MRRC, CP15",
	[0x05] = "MCR or MRC, CP14",
	[0x06] = "LDC or STC",
	[0x07] = "SVE, SIMD or floating point access",
	[0x0a] = "LD64B or ST64B",
	[0x0c] = "MRRC, CP14",
	[0x0d] = "branch target",
	[0x0e] = "illegal execution state",
	[0x11] = "SVC, AArch32",
	[0x12] = "HVC, AArch32",
	[0x13] = "SMC, AArch32",
	[0x15] = "SVC",
	[0x16] = "HVC",
	[0x17] = "SMC",
	[0x18] = "MSR, MRS or system instruction",
	[0x19] = "SVE access",
	[0x1a] = "ERET",
	[0x1c] = "pointer authentication",
	[0x1d] = "SME access",
	[0x20] = "instruction abort, lower EL",
	[0x21] = "instruction abort",
	[0x22] = "PC alignment",
	[0x24] = "data abort, lower EL",
	[0x25] = "data abort",
	[0x26] = "SP alignment",
	[0x28] = "floating point, AArch32",
	[0x2c] = "floating point",
	[0x2f] = "SError",
	[0x30] = "breakpoint, lower EL",
	[0x31] = "breakpoint",
	[0x32] = "software step, lower EL",
	[0x33] = "software step",
	[0x34] = "watchpoint, lower EL",
	[0x35] = "watchpoint",
	[0x38] = "BKPT, AArch32",
	[0x3a] = "vector catch, AArch32",
	[0x3c] = "BRK",
};

static const char *const vectors[4] = { "synchronous", "IRQ", "FIQ", "SError" };

/* ISS.DFSC and IFSC 0x04 to 0x0f: the kind, and at which level. */
static const char *const faults[4] = { "address size", "not mapped", "access flag", "not allowed" };

const char *trap_class(uint64_t esr)
{
	return classes[EC(esr)];
}

static const char *fault_name(unsigned fsc)
{
	if (fsc < 0x10)
		return faults[fsc >> 2];
	switch (fsc) {
	case FSC_EXTERNAL: return "external abort";
	case FSC_ALIGNMENT: return "not aligned";
	case FSC_CONFLICT: return "conflict in the TLB";
	default: return "fault";
	}
}

static void explain_abort(uint64_t esr, uint64_t far)
{
	const char *access = EC(esr) == EC_IABT ? "execution" : esr & ISS_WNR ? "write" : "read";

	if (esr & ISS_FNV)
		dump_say("  %s: %s (FSC 0x%x)", access, fault_name(FSC(esr)), FSC(esr));
	else
		dump_say("  %s of 0x%016llx: %s (FSC 0x%x)%s", access, (ull)far,
		         fault_name(FSC(esr)), FSC(esr),
		         paging_is_guard(far) ? ", stack overflow" : "");
}

static void dump_registers(const struct trap_frame *f)
{
	char text[40];

	dump_say("  elr %016llx (%s) spsr %08llx sp %016llx", (ull)f->elr,
	         dump_place(f->elr, text, sizeof(text)), (ull)f->spsr, (ull)f->sp);
	for (unsigned i = 0; i < 30; i += 3)
		dump_say("  x%-2u %016llx x%-2u %016llx x%-2u %016llx", i, (ull)f->x[i], i + 1,
		         (ull)f->x[i + 1], i + 2, (ull)f->x[i + 2]);
	dump_say("  x30 %016llx (%s)", (ull)f->x[30], dump_place(f->x[30], text, sizeof(text)));
	dump_say("  sctlr %llx hcr %llx tcr %llx ttbr0 %llx", (ull)READ_SYSREG(sctlr_el2),
	         (ull)READ_SYSREG(hcr_el2), (ull)READ_SYSREG(tcr_el2), (ull)READ_SYSREG(ttbr0_el2));
	dump_say("  vttbr %llx hpfar %llx", (ull)READ_SYSREG(vttbr_el2),
	         (ull)READ_SYSREG(hpfar_el2));
}

static void dump_vcpu(void)
{
	const struct hc_vcpu *v = this_cpu()->cpu.current;

	if (v)
		dump_say("  vm %s, vcpu %u", v->vm->name, v->id);
}

void trap_fatal(const struct trap_frame *f)
{
	uint64_t esr = READ_SYSREG(esr_el2), far = READ_SYSREG(far_el2);
	const char *kind = vectors[f->vector & 3];
	const char *name = f->vector & 3 ? kind : trap_class(esr);
	char text[40];

	panic_begin();
	dump_say("cpu %u: %s exception (vector %llu), ESR 0x%llx: %s", this_cpu()->cpu.id, kind,
	         (ull)f->vector, (ull)esr, name ? name : "reserved");
	if (!(f->vector & 3) && (EC(esr) == EC_IABT || EC(esr) == EC_DABT))
		explain_abort(esr, far);
	dump_vcpu();
	dump_registers(f);
	dump_stack(f->sp);
	hc_panic("%s at %s", name ? name : "reserved exception",
	         dump_place(f->elr, text, sizeof(text)));
}
