/* SPDX-License-Identifier: BSD-2-Clause */
/* From EXIT_REASON and EXIT_QUALIFICATION to struct hc_exit (SDM Vol. 3C 28.2, Vol. 3D appendix C).
 */
#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"

typedef void (*decode_fn)(struct hc_vcpu *vcpu, struct hc_exit *exit);

struct exit_row {
	decode_fn decode; /* the rest of *exit but for pc and reason */
	enum hc_exit_reason reason;
};

static void decode_nothing(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
}

static bool is_64bit(struct hc_vcpu *vcpu)
{
	const struct x86_state *st = x86_state_of(vcpu);

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS);
	return st->efer & X86_EFER_LMA && st->seg[X86_CS].attr & X86_ATTR_L;
}

/* EIP wraps around where RIP does not; VM entry would refuse it (27.3.1.4). */
static __attribute__((noinline, cold)) void wrap(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	if (!is_64bit(vcpu))
		exit->next_pc = (uint32_t)exit->next_pc;
}

static inline void decode_insn(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	exit->next_pc = exit->pc + vmx_hw_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (__builtin_expect((uint32_t)exit->next_pc < X86_INSN_MAX, 0))
		wrap(vcpu, exit);
}

static void decode_raw(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	exit->u.raw.code = (uint32_t)vmx_hw_read(VMCS_EXIT_REASON);
	exit->u.raw.info1 = vmx_hw_read(VMCS_EXIT_QUALIFICATION);
	exit->u.raw.info2 = vmx_hw_read(VMCS_GUEST_PHYSICAL_ADDRESS);
}

static void unknown(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	exit->reason = HC_EXIT_UNKNOWN;
	decode_raw(vcpu, exit);
}

static void decode_window(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	vmx_close_window(vmx_vcpu_of(vcpu), false);
}

static void decode_nmi_window(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	vmx_close_window(vmx_vcpu_of(vcpu), true);
}

/* Others are still pending, and taken when the host opens its window. */
void vmx_take_acknowledged(void)
{
	if (!(vmx_caps.exit & VMX_EXIT_ACK_INTR))
		return;
	uint32_t info = (uint32_t)vmx_hw_read(VMCS_EXIT_INTERRUPTION_INFO);

	if (info & VMX_INFO_V && VMX_INFO_TYPE(info) == VMX_EVENT_INTR)
		x86_host_interrupt(VMX_INFO_VECTOR(info));
}

static void decode_interrupt(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	vmx_take_acknowledged();
}

static void decode_pause(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	atomic_fetch_or(&vcpu->requests, HC_REQ_YIELD);
}

/* --- Exceptions and NMIs --- */

static void set_exception(struct hc_exit *exit, uint8_t vector, bool has_error, uint32_t error)
{
	exit->u.exception.vector = vector;
	exit->u.exception.has_error_code = has_error;
	exit->u.exception.error_code = error;
	exit->u.exception.address = 0;
}

/* The counters are not there: RDPMC of a counter that does not exist is #GP(0). */
static void decode_rdpmc(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	set_exception(exit, X86_VEC_GP, true, 0);
}

/* What delivering the #DB would have done to the debug registers, the exit has not (28.1): DR6 has
 * to tell the cause, DR7.GD and DEBUGCTL's LBR and BTF are cleared (Vol. 3B 18.2.3, 18.2.4, 18.4).
 */
static void update_debug_registers(uint64_t cause)
{
	const uint64_t gd = HC_BIT(13), lbr_btf = 3, hits = 0xf;
	uint64_t dr7 = vmx_hw_read(VMCS_GUEST_DR7);
	uint64_t debugctl = vmx_hw_read(VMCS_GUEST_IA32_DEBUGCTL);

	x86_host_write_dr6((x86_host_read_dr6() & ~hits) | (cause & VMX_DB_BITS));
	if (dr7 & gd)
		vmx_hw_write(VMCS_GUEST_DR7, dr7 & ~gd);
	if (debugctl & lbr_btf)
		vmx_hw_write(VMCS_GUEST_IA32_DEBUGCTL, debugctl & ~lbr_btf);
}

/* INT1 is a trap whose exit comes before RIP has moved on. Injected as an exception, it is to push
 * the address after it. */
static void finish_int1(struct hc_vcpu *vcpu)
{
	x86_state_of(vcpu)->rip += vmx_hw_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	hc_vcpu_dirty(vcpu, X86_G_CORE);
	vmx_sync_rip(vmx_vcpu_of(vcpu), x86_state_of(vcpu));
}

static void decode_debug(struct hc_vcpu *vcpu, uint32_t info)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (VMX_INFO_TYPE(info) == VMX_EVENT_PRIVILEGED)
		finish_int1(vcpu);
	update_debug_registers(vmx_hw_read(VMCS_EXIT_QUALIFICATION));
	if (vv->interruptibility & VMX_SHADOW)
		vmx_sync_pending_step(x86_state_of(vcpu));
}

/* The host's own. */
static void decode_host_event(struct hc_exit *exit, void (*handle)(void))
{
	handle();
	exit->reason = HC_EXIT_INTERRUPT;
}

static void decode_exception(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	uint32_t info = (uint32_t)vmx_hw_read(VMCS_EXIT_INTERRUPTION_INFO);
	uint8_t vector = VMX_INFO_VECTOR(info);
	uint32_t error = 0;

	if (VMX_INFO_TYPE(info) == VMX_EVENT_NMI) {
		decode_host_event(exit, x86_host_nmi);
		return;
	}
	if (vector == X86_VEC_MC) {
		decode_host_event(exit, x86_host_machine_check);
		return;
	}
	if (vector > 31) {
		unknown(vcpu, exit);
		return;
	}
	if (info & VMX_INFO_NMI_UNBLOCK && vector != X86_VEC_DF)
		vmx_nmi_unblocked(vmx_vcpu_of(vcpu));
	if (info & VMX_INFO_ERROR)
		error = (uint32_t)vmx_hw_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
	set_exception(exit, vector, (info & VMX_INFO_ERROR) != 0, error);
	if (vector == X86_VEC_PF)
		exit->u.exception.address = vmx_hw_read(VMCS_EXIT_QUALIFICATION);
	if (vector == X86_VEC_DB)
		decode_debug(vcpu, info);
}

/* --- Control registers --- */

/* Bits 3:0 of CR0: MP, EM, TS, and PE, which LMSW sets but does not clear. */
static uint64_t lmsw(uint64_t cr0, uint16_t source)
{
	return (cr0 & ~(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)) | (source & 0xf);
}

/* Outside 64-bit mode the upper half of a register is nobody's (Vol. 1 3.4.1.1). */
static uint64_t cr_source(struct hc_vcpu *vcpu, uint64_t qualification)
{
	uint64_t value = x86_state_of(vcpu)->gpr[VMX_CR_GPR(qualification)];

	return is_64bit(vcpu) ? value : (uint32_t)value;
}

static void decode_cr(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	uint64_t q = vmx_hw_read(VMCS_EXIT_QUALIFICATION);

	decode_insn(vcpu, exit);
	exit->u.cr.number = (uint8_t)VMX_CR_NUMBER(q);
	exit->u.cr.value = cr_source(vcpu, q);
	uint64_t cr0 = x86_state_of(vcpu)->cr0;

	switch (VMX_CR_TYPE(q)) {
	case VMX_CR_TO: return;
	case VMX_CR_CLTS:
		exit->u.cr.number = 0;
		exit->u.cr.value = cr0 & ~X86_CR0_TS;
		return;
	case VMX_CR_LMSW:
		exit->u.cr.number = 0;
		exit->u.cr.value = lmsw(cr0, VMX_CR_LMSW(q));
		return;
	default: unknown(vcpu, exit); return; /* reads do not exit */
	}
}

/* --- I/O --- */

static void decode_string(struct hc_vcpu *vcpu, struct hc_exit *exit, uint64_t q)
{
	struct hc_exit_io *io = &exit->u.io;
	unsigned info = (unsigned)vmx_hw_read(VMCS_EXIT_INSTRUCTION_INFO);
	unsigned size = VMX_INS_ADDRESS(info), segment = VMX_INS_SEGMENT(info);

	io->rep = (q & VMX_IO_REP) != 0;
	io->addr_size = size == 0 ? 2 : size == 1 ? 4 : 8;
	io->segment = X86_ES;
	if (io->write)
		io->segment = segment <= X86_GS ? (uint8_t)segment : X86_DS;
	decode_insn(vcpu, exit);
}

static __attribute__((noinline)) void decode_rare(struct hc_vcpu *vcpu, struct hc_exit *exit,
                                                  uint64_t q, uint64_t dr7)
{
	exit->u.io.string = (q & VMX_IO_STRING) != 0;
	exit->u.io.watched = x86_watches_ports(dr7);
	if (exit->u.io.string)
		decode_string(vcpu, exit, q);
	else
		decode_insn(vcpu, exit);
}

/* By EXIT_QUALIFICATION 3:0: what struct hc_exit_io has from its width on, as it usually is. */
#define VMX_IO_KIND 0xfu
static const struct io_kind {
	uint8_t width, write;
	uint16_t rare;
} io_kinds[VMX_IO_KIND + 1] = {
	[0] = { 1, 1, 0 },
	[1] = { 2, 1, 0 },
	[3] = { 4, 1, 0 },
	[VMX_IO_IN] = { 1, 0, 0 },
	[VMX_IO_IN + 1] = { 2, 0, 0 },
	[VMX_IO_IN + 3] = { 4, 0, 0 },
};
_Static_assert(offsetof(struct hc_exit_io, write) == offsetof(struct hc_exit_io, width) + 1 &&
                       offsetof(struct hc_exit_io, rare) ==
                               offsetof(struct hc_exit_io, width) + offsetof(struct io_kind, rare),
               "copied at once");

static void decode_io(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	uint64_t q = vmx_hw_read(VMCS_EXIT_QUALIFICATION);
	uint64_t dr7 = vmx_hw_read(VMCS_GUEST_DR7);
	struct hc_exit_io *io = &exit->u.io;
	struct io_kind kind = io_kinds[q & VMX_IO_KIND];

	if (__builtin_expect(!kind.width, 0)) {
		unknown(vcpu, exit);
		return;
	}
	__builtin_memcpy((uint8_t *)io + offsetof(struct hc_exit_io, width), &kind, sizeof(kind));
	io->port = VMX_IO_PORT(q);
	if (__builtin_expect(q & VMX_IO_STRING || dr7 & X86_DR7_ENABLES, 0))
		decode_rare(vcpu, exit, q, dr7);
	else
		decode_insn(vcpu, exit);
}

/* --- EPT --- */

/* Accesses that have no linear address load PDPTEs. With accessed and dirty flags, the CPU's walks
 * of the guest's tables are writes (29.3.5). */
static void decode_ept_violation(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const uint64_t own_access = VMX_EPT_LINEAR | VMX_EPT_TRANSLATED;
	struct hc_exit_stage2 *s = &exit->u.stage2;
	uint64_t q = vmx_hw_read(VMCS_EXIT_QUALIFICATION);

	if (__builtin_expect((q & VMX_EPT_NMI_UNBLOCK) != 0, 0))
		vmx_nmi_unblocked(vmx_vcpu_of(vcpu));
	s->gpa = gpa_of(vmx_hw_read(VMCS_GUEST_PHYSICAL_ADDRESS));
	s->in_walk = (q & own_access) != own_access;
	s->present = VMX_EPT_ALLOWED(q) != 0;
	s->insn_len = 0;
	if (q & VMX_EPT_WRITE)
		s->access = HC_ACCESS_WRITE;
	else
		s->access = q & VMX_EPT_FETCH ? HC_ACCESS_EXEC : HC_ACCESS_READ;
}

/* Bit 12 as of a violation (table 28-7). */
static void decode_log_full(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	if (vmx_hw_read(VMCS_EXIT_QUALIFICATION) & VMX_EPT_NMI_UNBLOCK)
		vmx_nmi_unblocked(vmx_vcpu_of(vcpu));
	vmx_log_full(vcpu);
}

/* --- The local APIC --- */

/* Accesses that the CPU left undone: as if there were no memory. */
static void decode_apic_access(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	static const uint8_t access[] = { [VMX_APIC_READ] = HC_ACCESS_READ,
		                          [VMX_APIC_WRITE] = HC_ACCESS_WRITE,
		                          [VMX_APIC_FETCH] = HC_ACCESS_EXEC };
	uint64_t q = vmx_hw_read(VMCS_EXIT_QUALIFICATION);
	struct hc_exit_stage2 *s = &exit->u.stage2;
	unsigned type = VMX_APIC_TYPE(q);

	s->gpa = gpa_of(X86_APIC_BASE | VMX_APIC_OFFSET(q));
	s->in_walk = type > VMX_APIC_FETCH;
	s->present = true;
	s->insn_len = 0;
	s->access = s->in_walk ? HC_ACCESS_WRITE : access[type];
}

/* Stores that the CPU has carried out, in the page: their effects are still to come (30.4.3.3). In
 * x2APIC mode it was a WRMSR, whose operands are all there still. */
static void decode_apic_write(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	uint32_t offset = VMX_APIC_OFFSET(vmx_hw_read(VMCS_EXIT_QUALIFICATION)) & 0x3f0;

	if (vv->cpu2_controls & VMX_CPU2_X2APIC_MODE) {
		exit->reason = HC_EXIT_MSR_WRITE;
		exit->next_pc = exit->pc;
		return;
	}
	vv->apic_value = x86_apic_get(&x86_vcpu_of(vcpu)->apic, offset);
	exit->u.bus = (struct hc_exit_bus){ .space = HC_SPACE_MEMORY,
		                            .address = X86_APIC_BASE | offset,
		                            .width = 4,
		                            .write = true,
		                            .value = &vv->apic_value };
}

/* The CPU has taken it out of ISR: the EOI-exit bitmap asks for the rest (30.1.4). */
static void decode_eoi(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	exit->u.eoi.vector = (uint8_t)vmx_hw_read(VMCS_EXIT_QUALIFICATION);
}

/* --- All reasons. What has no row does not exit with the controls that are set. --- */

/* clang-format off */
#define ROW(name, reason, decode) [VMX_REASON_##name] = { decode, HC_EXIT_##reason }

static const struct exit_row rows[VMX_REASON_COUNT] = {
	ROW(EXCEPTION_OR_NMI,   EXCEPTION,   decode_exception),
	ROW(EXTERNAL_INTERRUPT, INTERRUPT,   decode_interrupt),
	ROW(TRIPLE_FAULT,       SHUTDOWN,    decode_nothing),
	ROW(INIT,               INTERRUPT,   decode_nothing),
	ROW(INTERRUPT_WINDOW,   WINDOW,      decode_window),
	ROW(NMI_WINDOW,         WINDOW,      decode_nmi_window),
	ROW(TASK_SWITCH,        TASK_SWITCH, decode_nothing),
	ROW(CPUID,              CPUID,       decode_insn),
	ROW(GETSEC,             UNDEFINED,   decode_nothing),
	ROW(HLT,                HALT,        decode_insn),
	ROW(INVD,               CACHE,       decode_insn),
	ROW(RDPMC,              EXCEPTION,   decode_rdpmc),
	ROW(RSM,                UNDEFINED,   decode_nothing),
	ROW(VMCALL,             HYPERCALL,   decode_insn),
	ROW(VMCLEAR,            UNDEFINED,   decode_nothing),
	ROW(VMLAUNCH,           UNDEFINED,   decode_nothing),
	ROW(VMPTRLD,            UNDEFINED,   decode_nothing),
	ROW(VMPTRST,            UNDEFINED,   decode_nothing),
	ROW(VMREAD,             UNDEFINED,   decode_nothing),
	ROW(VMRESUME,           UNDEFINED,   decode_nothing),
	ROW(VMWRITE,            UNDEFINED,   decode_nothing),
	ROW(VMXOFF,             UNDEFINED,   decode_nothing),
	ROW(VMXON,              UNDEFINED,   decode_nothing),
	ROW(CR_ACCESS,          CR_WRITE,    decode_cr),
	ROW(IO,                 IO,          decode_io),
	ROW(RDMSR,              MSR_READ,    decode_insn),
	ROW(WRMSR,              MSR_WRITE,   decode_insn),
	ROW(MWAIT,              UNDEFINED,   decode_nothing),
	ROW(MONITOR,            UNDEFINED,   decode_nothing),
	ROW(PAUSE,              INTERRUPT,   decode_pause),
	ROW(TPR_BELOW_THRESHOLD, WINDOW,     decode_nothing),
	ROW(APIC_ACCESS,        STAGE2,      decode_apic_access),
	ROW(VIRTUALIZED_EOI,    EOI,         decode_eoi),
	ROW(PREEMPTION_TIMER,   SLICE,       vmx_limit_reached),
	ROW(EPT_VIOLATION,      STAGE2,      decode_ept_violation),
	ROW(INVEPT,             UNDEFINED,   decode_nothing),
	ROW(INVVPID,            UNDEFINED,   decode_nothing),
	ROW(WBINVD,             CACHE,       decode_insn),
	ROW(XSETBV,             XSETBV,      decode_insn),
	ROW(APIC_WRITE,         BUS,         decode_apic_write),
	ROW(VMFUNC,             UNDEFINED,   decode_nothing),
	ROW(PML_FULL,           LOG,         decode_log_full),
	ROW(ENCLS,              UNDEFINED,   decode_nothing),
	ROW(XSAVES,             UNDEFINED,   decode_nothing),
	ROW(XRSTORS,            UNDEFINED,   decode_nothing),
	ROW(PCONFIG,            UNDEFINED,   decode_nothing),
	ROW(UMWAIT,             UNDEFINED,   decode_nothing),
	ROW(TPAUSE,             UNDEFINED,   decode_nothing),
	ROW(LOADIWKEY,          UNDEFINED,   decode_nothing),
	ROW(ENCLV,              UNDEFINED,   decode_nothing),
	ROW(ENQCMD_PASID,       UNDEFINED,   decode_nothing),
	ROW(ENQCMDS_PASID,      UNDEFINED,   decode_nothing),
};
/* clang-format on */

#define REASON_NAME(name, number) [number] = #name,
static const char *const names[VMX_REASON_COUNT] = { VMX_EXIT_REASONS(REASON_NAME) };
#undef REASON_NAME

const char *vmx_exit_name(uint32_t reason)
{
	unsigned basic = VMX_EXIT_REASON(reason);

	return basic < VMX_REASON_COUNT && names[basic] ? names[basic] : "unknown";
}

/* --- Refused entries --- */

static uint64_t read_current(const struct vmx_check *c, uint32_t field)
{
	return vmx_hw_read(field);
}

static void find_broken_rule(struct hc_vcpu *vcpu, struct hc_exit *exit, int error)
{
	const struct vmx_check check = { .read = read_current,
		                         .caps = &vmx_caps.msrs,
		                         .host_ia32e = true };
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	exit->reason = HC_EXIT_ENTRY_FAILED;
	vv->enter_error = error;
	vv->broken = vmx_check(&check, NULL);
}

void vmx_decode_failure(struct hc_vcpu *vcpu, int error, struct hc_exit *exit)
{
	exit->u.raw.code = (uint64_t)error;
	exit->u.raw.info1 = exit->u.raw.info2 = 0;
	find_broken_rule(vcpu, exit, error);
}

/* Out of line, or the reasons in the table would pay for its stack frame. */
static __attribute__((noinline, cold)) void decode_other(struct hc_vcpu *vcpu, uint32_t reason,
                                                         struct hc_exit *exit)
{
	unknown(vcpu, exit);
	if (!(reason & VMX_EXIT_REASON_ENTRY))
		return;
	if (VMX_EXIT_REASON(reason) == VMX_REASON_MACHINE_CHECK)
		decode_host_event(exit, x86_host_machine_check);
	else
		find_broken_rule(vcpu, exit, 0);
}

void vmx_decode_exit(struct hc_vcpu *vcpu, uint32_t reason, struct hc_exit *exit)
{
	if (__builtin_expect(reason >= VMX_REASON_COUNT || !rows[reason].decode, 0)) {
		decode_other(vcpu, reason, exit);
		return;
	}
	exit->reason = rows[reason].reason;
	rows[reason].decode(vcpu, exit);
}

/* --- Words --- */

static void explain_refusal(const struct vmx_vcpu *vv, const struct hc_exit *exit, char *buf,
                            size_t size)
{
	const char *what = vv->enter_error ? "error" : "exit reason";
	int number = vv->enter_error ? vv->enter_error : VMX_EXIT_REASON(exit->u.raw.code);

	if (vv->broken)
		hc_snprintf(buf, size, "VM entry refused (%s %d): not so: %s (SDM Vol. 3C %s)",
		            what, number, vv->broken->name, vv->broken->section);
	else
		hc_snprintf(buf, size, "VM entry refused (%s %d), but no known rule is broken",
		            what, number);
}

void vmx_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	uint32_t reason = (uint32_t)exit->u.raw.code;

	if (exit->reason == HC_EXIT_ENTRY_FAILED)
		explain_refusal(vmx_vcpu_of(vcpu), exit, buf, size);
	else
		hc_snprintf(buf, size,
		            "exit reason %#x (%s), qualification %#llx, guest physical %#llx",
		            reason, vmx_exit_name(reason), (unsigned long long)exit->u.raw.info1,
		            (unsigned long long)exit->u.raw.info2);
}
