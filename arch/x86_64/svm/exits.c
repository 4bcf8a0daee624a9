/* SPDX-License-Identifier: BSD-2-Clause */
/* From EXITCODE to struct hc_exit (APM Vol. 2 appendix C). */
#include <hypercore/errno.h>

#include "arch/x86_64/code_cache.h"
#include "arch/x86_64/svm/internal.h"
#include "core/log.h"
#include "emu/x86_64/exceptions.h"

typedef void (*decode_fn)(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit);

struct exit_row {
	decode_fn decode; /* the rest of *exit but for pc and reason */
	enum hc_exit_reason reason;
	const char *name;
};

static void decode_nothing(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
}

/* Another vCPU may have changed the code since it was executed: then it is taken to have been the
 * plain one, of length bytes. */
static __attribute__((noinline, cold)) void look_up_next_pc(struct hc_vcpu *vcpu,
                                                            struct hc_exit *exit, unsigned length)
{
	svm_get_code_state(vcpu);
	int found = x86_insn_length(vcpu);

	exit->next_pc = exit->pc + (found > 0 ? (unsigned)found : length);
}

/* next_pc of an instruction that has length bytes without prefixes. */
static inline __attribute__((always_inline)) void set_next_pc(struct hc_vcpu *vcpu,
                                                              const struct vmcb *v,
                                                              struct hc_exit *exit, unsigned length)
{
	if (svm_caps.nrip) {
		exit->next_pc = v->nrip;
		return;
	}
	const struct x86_code_key key = {
		.rip = v->rip,
		.cs_base = v->cs.base,
		.cr0 = v->cr0,
		.cr3 = v->cr3,
		.cr4 = v->cr4,
		.efer = v->efer & ~X86_EFER_SVME,
		.cs_attr = v->cs.attr,
		.rights = v->cpl,
	};
	const struct x86_code *code = x86_code_find(vcpu, &key);

	if (__builtin_expect(code != NULL, 1))
		exit->next_pc = key.rip + code->insn.length;
	else
		look_up_next_pc(vcpu, exit, length);
}

static void decode_insn1(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	set_next_pc(vcpu, v, exit, 1);
}

static void decode_insn2(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	set_next_pc(vcpu, v, exit, 2);
}

static void decode_insn3(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	set_next_pc(vcpu, v, exit, 3);
}

static void decode_raw(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	exit->u.raw.code = v->exitcode;
	exit->u.raw.info1 = v->exitinfo1;
	exit->u.raw.info2 = v->exitinfo2;
}

static void decode_window(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	svm_close_window(v);
}

static void decode_pause(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	atomic_fetch_or(&vcpu->requests, HC_REQ_YIELD);
}

static void decode_iret(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	svm_nmi_iret(svm_vcpu_of(vcpu));
}

static void decode_msr(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	if (v->exitinfo1 & 1)
		exit->reason = HC_EXIT_MSR_WRITE;
	set_next_pc(vcpu, v, exit, 2);
}

static void set_exception(struct hc_exit *exit, uint8_t vector, bool has_error, uint32_t error)
{
	exit->u.exception.vector = vector;
	exit->u.exception.has_error_code = has_error;
	exit->u.exception.error_code = error;
	exit->u.exception.address = 0;
}

/* The counters are not there: RDPMC of a counter that does not exist is #GP(0). */
static void decode_rdpmc(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	set_exception(exit, X86_VEC_GP, true, 0);
}

/* The CPU has changed DR6 and DR7 as for the handler before it leaves the guest; Bochs' (2.7, 3.0)
 * has not, and forgets what DR6 was to have. With GD the handler would never come to its first
 * line. */
static void clear_gd(struct vmcb *v)
{
	if (!svm_caps.bochs)
		return;
	v->dr7 &= ~HC_BIT(13);
	v->clean &= ~SVM_CLEAN_DRX;
}

static void decode_exception(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	uint8_t vector = (uint8_t)(v->exitcode - SVM_EXIT_EXCP0);
	bool has_error = x86_has_error_code(vector);

	if (vector == X86_VEC_MC) {
		x86_host_machine_check();
		exit->reason = HC_EXIT_INTERRUPT;
		return;
	}
	set_exception(exit, vector, has_error, has_error ? (uint32_t)v->exitinfo1 : 0);
	if (vector == X86_VEC_PF)
		exit->u.exception.address = v->exitinfo2;
	if (vector == X86_VEC_DB)
		clear_gd(v);
}

static unsigned fetch(struct hc_vcpu *vcpu, const struct vmcb *v, uint8_t *buf, unsigned len)
{
	bool long_code = (v->efer & X86_EFER_LMA) && (v->cs.attr & X86_ATTR_L);
	gva_t at = gva_of(long_code ? v->rip : (uint32_t)(v->cs.base + v->rip));
	struct x86_fault fault;
	int count = x86_fetch(vcpu, at, buf, len, &fault);

	return count > 0 ? (unsigned)count : 0;
}

/* Of INS and OUTS, by their prefixes, where the hardware does not tell: the segment of OUTS'
 * source, and the addresses' size, which QEMU leaves out. */
struct string_prefixes {
	uint8_t segment, addr_size;
};

static struct string_prefixes string_prefixes(struct hc_vcpu *vcpu, const struct vmcb *v)
{
	bool long_code = (v->efer & X86_EFER_LMA) && (v->cs.attr & X86_ATTR_L);
	uint8_t usual = long_code ? 8 : v->cs.attr & X86_ATTR_DB ? 4 : 2;
	struct string_prefixes found = { X86_DS, usual };
	uint8_t code[15];
	unsigned count = fetch(vcpu, v, code, sizeof(code));

	for (unsigned i = 0; i < count; i++) {
		switch (code[i]) {
		case 0x26: found.segment = X86_ES; break;
		case 0x2e: found.segment = X86_CS; break;
		case 0x36: found.segment = X86_SS; break;
		case 0x3e: found.segment = X86_DS; break;
		case 0x64: found.segment = X86_FS; break;
		case 0x65: found.segment = X86_GS; break;
		case 0x67: found.addr_size = usual == 4 ? 2 : 4; break;
		case 0x6e:
		case 0x6f: return found;
		default: break;
		}
	}
	return found;
}

static uint8_t addr_size_of(uint64_t info)
{
	return info & SVM_IOIO_A64 ? 8 : info & SVM_IOIO_A32 ? 4 : info & SVM_IOIO_A16 ? 2 : 0;
}

static __attribute__((noinline)) void decode_string(struct hc_vcpu *vcpu, struct vmcb *v,
                                                    struct hc_exit *exit)
{
	uint64_t info = v->exitinfo1;
	struct hc_exit_io *io = &exit->u.io;

	io->rep = (info & SVM_IOIO_REP) != 0;
	io->addr_size = addr_size_of(info);
	io->segment = SVM_IOIO_SEG(info) <= X86_GS ? SVM_IOIO_SEG(info) : X86_DS;
	if (!svm_caps.decode_assists || !io->addr_size) {
		const struct string_prefixes prefixes = string_prefixes(vcpu, v);

		io->segment = prefixes.segment;
		io->addr_size = io->addr_size ? io->addr_size : prefixes.addr_size;
	}
	if (!io->write)
		io->segment = X86_ES;
}

static void decode_io(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	uint64_t info = v->exitinfo1;
	uint8_t width = SVM_IOIO_SIZE(info);

	if (__builtin_expect(width != 1 && width != 2 && width != 4, 0)) {
		exit->reason = HC_EXIT_UNKNOWN;
		decode_raw(vcpu, v, exit);
		return;
	}
	exit->next_pc = v->exitinfo2;
	exit->u.io = (struct hc_exit_io){
		.port = SVM_IOIO_PORT(info),
		.width = width,
		.write = !(info & SVM_IOIO_IN),
		.string = (info & SVM_IOIO_STR) != 0,
		.watched = x86_watches_ports(v->dr7),
	};
	if (__builtin_expect((info & SVM_IOIO_STR) != 0, 0))
		decode_string(vcpu, v, exit);
}

/* The GPR that MOV to CR8 reads; SP and up count by REX.B (or REX.R of LOCK MOV CR0). */
static int cr8_source(struct hc_vcpu *vcpu, const struct vmcb *v)
{
	uint8_t code[15];
	unsigned rex_b = 0, count;

	if (svm_caps.decode_assists && (v->exitinfo1 & SVM_CR_MOV))
		return (int)SVM_CR_GPR(v->exitinfo1);
	count = fetch(vcpu, v, code, sizeof(code));
	for (unsigned i = 0; i + 2 < count; i++) {
		if ((code[i] & 0xf0) == 0x40)
			rex_b = code[i] & 1u;
		if (code[i] == 0x0f && code[i + 1] == 0x22)
			return (int)((code[i + 2] & 7u) | rex_b << 3);
	}
	return -1;
}

static void decode_cr8(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	int source = cr8_source(vcpu, v);

	if (source < 0) {
		/* Not the instruction that exited any more: let the guest try again. */
		exit->reason = HC_EXIT_INTERRUPT;
		return;
	}
	set_next_pc(vcpu, v, exit, 4);
	exit->u.cr.number = 8;
	exit->u.cr.value = x86_state_of(vcpu)->gpr[source];
}

/* Bochs' CPU (2.7, SetCR0) changes EFER.LMA for the new CR0 before it leaves the guest. */
static void put_lma_back(struct vmcb *v)
{
	bool active = v->efer & X86_EFER_LME && v->cr0 & X86_CR0_PG;

	v->efer = active ? v->efer | X86_EFER_LMA : v->efer & ~(uint64_t)X86_EFER_LMA;
	v->clean &= ~SVM_CLEAN_CRX;
}

static void decode_cr(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	struct x86_fault fault;

	if (svm_caps.bochs)
		put_lma_back(v);
	int rc = x86_find_cr_write(vcpu, exit, &fault);

	if (rc == -EFAULT) {
		exit->reason = HC_EXIT_EXCEPTION;
		set_exception(exit, fault.vector, fault.has_error_code, fault.error_code);
		exit->u.exception.address = fault.address;
	} else if (rc) {
		/* Not the instruction that exited any more: let the guest try again. */
		exit->reason = HC_EXIT_INTERRUPT;
	}
}

static void decode_insn_bytes(const struct vmcb *v, struct hc_exit_stage2 *s)
{
	s->insn_len = 0;
	if (!svm_caps.decode_assists)
		return;
	s->insn_len = v->insn_len & 0xf;
	for (unsigned i = 0; i < sizeof(s->insn); i++)
		s->insn[i] = v->insn[i];
}

/* Reserved-bit faults come without P on some implementations: the translation is there. */
static void decode_npf(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	struct hc_exit_stage2 *s = &exit->u.stage2;
	uint64_t info = v->exitinfo1;

	s->gpa = gpa_of(v->exitinfo2);
	s->in_walk = (info & SVM_NPF_IN_WALK) != 0;
	s->present = (info & (X86_PF_P | X86_PF_RSVD)) != 0;
	if (info & X86_PF_W)
		s->access = HC_ACCESS_WRITE;
	else
		s->access = (info & X86_PF_I) && !s->in_walk ? HC_ACCESS_EXEC : HC_ACCESS_READ;
	decode_insn_bytes(v, s);
}

/* clang-format off */
#define ROW(code, reason, decode) [SVM_EXIT_##code] = { decode, HC_EXIT_##reason, #code }
#define UNUSED(code) ROW(code, UNKNOWN, decode_raw)

static const struct exit_row rows[SVM_EXIT_LOW_COUNT] = {
	[SVM_EXIT_CR0_READ ... SVM_EXIT_CR0_READ + 15] = { decode_raw, HC_EXIT_UNKNOWN, "CR read" },
	[SVM_EXIT_CR0_WRITE ... SVM_EXIT_CR0_WRITE + 3] = { decode_raw, HC_EXIT_UNKNOWN, "CR write" },
	[SVM_EXIT_CR0_WRITE + 4] = { decode_cr, HC_EXIT_CR_WRITE, "CR4 write" },
	[SVM_EXIT_CR0_WRITE + 5 ... SVM_EXIT_CR0_WRITE + 7] = { decode_raw, HC_EXIT_UNKNOWN, "CR write" },
	ROW(CR8_WRITE,         CR_WRITE,    decode_cr8),
	[SVM_EXIT_CR0_WRITE + 9 ... SVM_EXIT_CR0_WRITE + 15] = { decode_raw, HC_EXIT_UNKNOWN, "CR write" },
	[SVM_EXIT_DR0_READ ... SVM_EXIT_DR0_READ + 15] = { decode_raw, HC_EXIT_UNKNOWN, "DR read" },
	[SVM_EXIT_DR0_WRITE ... SVM_EXIT_DR0_WRITE + 15] = { decode_raw, HC_EXIT_UNKNOWN, "DR write" },
	[SVM_EXIT_EXCP0 ... SVM_EXIT_EXCP0 + 31] = { decode_exception, HC_EXIT_EXCEPTION, "exception" },
	ROW(INTR,              INTERRUPT,   decode_nothing),
	ROW(NMI,               INTERRUPT,   decode_nothing),
	ROW(SMI,               INTERRUPT,   decode_nothing),
	ROW(INIT,              INTERRUPT,   decode_nothing),
	ROW(VINTR,             WINDOW,      decode_window),
	ROW(CR0_SEL_WRITE,     CR_WRITE,    decode_cr),
	[0x66 ... 0x6d] = { decode_raw, HC_EXIT_UNKNOWN, "descriptor table access" },
	UNUSED(RDTSC),
	ROW(RDPMC,             EXCEPTION,   decode_rdpmc),
	[0x70 ... 0x71] = { decode_raw, HC_EXIT_UNKNOWN, "PUSHF or POPF" },
	ROW(CPUID,             CPUID,       decode_insn2),
	ROW(RSM,               UNDEFINED,   decode_nothing),
	ROW(IRET,              INTERRUPT,   decode_iret),
	UNUSED(SWINT),
	ROW(INVD,              CACHE,       decode_insn2),
	ROW(PAUSE,             INTERRUPT,   decode_pause),
	ROW(HLT,               HALT,        decode_insn1),
	UNUSED(INVLPG),
	ROW(INVLPGA,           UNDEFINED,   decode_nothing),
	ROW(IOIO,              IO,          decode_io),
	ROW(MSR,               MSR_READ,    decode_msr),
	ROW(TASK_SWITCH,       TASK_SWITCH, decode_nothing),
	UNUSED(FERR_FREEZE),
	ROW(SHUTDOWN,          SHUTDOWN,    decode_nothing),
	ROW(VMRUN,             UNDEFINED,   decode_nothing),
	ROW(VMMCALL,           HYPERCALL,   decode_insn3),
	ROW(VMLOAD,            UNDEFINED,   decode_nothing),
	ROW(VMSAVE,            UNDEFINED,   decode_nothing),
	ROW(STGI,              UNDEFINED,   decode_nothing),
	ROW(CLGI,              UNDEFINED,   decode_nothing),
	ROW(SKINIT,            UNDEFINED,   decode_nothing),
	UNUSED(RDTSCP),
	UNUSED(ICEBP),
	ROW(WBINVD,            CACHE,       decode_insn2),
	ROW(MONITOR,           UNDEFINED,   decode_nothing),
	ROW(MWAIT,             UNDEFINED,   decode_nothing),
	ROW(MWAIT_CONDITIONAL, UNDEFINED,   decode_nothing),
	ROW(XSETBV,            XSETBV,      decode_insn3),
	ROW(RDPRU,             UNDEFINED,   decode_nothing),
	UNUSED(EFER_WRITE_TRAP),
	[SVM_EXIT_CR0_WRITE_TRAP ... SVM_EXIT_CR0_WRITE_TRAP + 15] =
		{ decode_raw, HC_EXIT_UNKNOWN, "CR write trap" },
	ROW(INVLPGB,           UNDEFINED,   decode_nothing),
	ROW(INVLPGB_ILLEGAL,   UNDEFINED,   decode_nothing),
	UNUSED(INVPCID),
	ROW(MCOMMIT,           UNDEFINED,   decode_nothing),
	ROW(TLBSYNC,           UNDEFINED,   decode_nothing),
	UNUSED(BUSLOCK),
	UNUSED(IDLE_HLT),
};
/* clang-format on */

const char *svm_exit_name(uint64_t code)
{
	if (code < SVM_EXIT_LOW_COUNT)
		return rows[code].name;
	if (code == SVM_EXIT_NPF)
		return "NPF";
	return SVM_EXIT_IS_INVALID(code) ? "INVALID" : "unknown";
}

/* QEMU also leaves the guest with this code when it writes to CR3 what is reserved, before the
 * instruction (helper_write_crN): nothing was wrong with the entry. */
static bool is_refused_cr3(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct x86_fault fault;

	return svm_caps.tcg && !svm_vcpu_of(vcpu)->broken &&
	       x86_find_cr_write(vcpu, exit, &fault) == 0 && exit->u.cr.number == 3;
}

static void decode_invalid(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	svm_vcpu_of(vcpu)->broken = svm_check(v, &svm_caps.limits);
	exit->reason = is_refused_cr3(vcpu, exit) ? HC_EXIT_CR_WRITE : HC_EXIT_ENTRY_FAILED;
	svm_tlb_forget(svm_cpu_of(vcpu->cpu));
}

/* Codes beyond the table. Out of line, or the ones in it would pay for its stack frame. */
static __attribute__((noinline)) void decode_high(struct hc_vcpu *vcpu, struct vmcb *v,
                                                  struct hc_exit *exit)
{
	if (v->exitcode == SVM_EXIT_NPF) {
		exit->reason = HC_EXIT_STAGE2;
		decode_npf(vcpu, v, exit);
		return;
	}
	exit->reason = HC_EXIT_UNKNOWN;
	decode_raw(vcpu, v, exit);
	if (SVM_EXIT_IS_INVALID(v->exitcode))
		decode_invalid(vcpu, v, exit);
}

void svm_decode_exit(struct hc_vcpu *vcpu, struct vmcb *v, struct hc_exit *exit)
{
	exit->pc = v->rip;
	if (v->exitcode >= SVM_EXIT_LOW_COUNT) {
		decode_high(vcpu, v, exit);
		return;
	}
	const struct exit_row *row = &rows[v->exitcode];

	exit->reason = row->reason;
	row->decode(vcpu, v, exit);
}

void svm_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	const struct svm_rule *rule = svm_vcpu_of(vcpu)->broken;

	if (exit->reason == HC_EXIT_ENTRY_FAILED && rule)
		hc_snprintf(buf, size, "VMRUN refused: not so: %s (APM Vol. 2 %s)", rule->name,
		            rule->section);
	else if (exit->reason == HC_EXIT_ENTRY_FAILED)
		hc_snprintf(buf, size, "VMRUN refused, but no known rule is broken");
	else
		hc_snprintf(buf, size, "exit code %#llx (%s), info %#llx, %#llx",
		            (unsigned long long)exit->u.raw.code, svm_exit_name(exit->u.raw.code),
		            (unsigned long long)exit->u.raw.info1,
		            (unsigned long long)exit->u.raw.info2);
}
