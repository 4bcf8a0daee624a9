/* SPDX-License-Identifier: BSD-2-Clause */
/* The backend's functions: entry, stops, state and events. */
#include <hypercore/freestanding.h>

#include "core/sched.h"
#include "emu/x86_64/decode.h"
#include "platform/linux/unicorn/internal.h"

/* Groups that nothing which Unicorn executes changes. */
#define KEPT (X86_G_CR | X86_G_CS | X86_G_DR | X86_G_MSR)

/* --- What cannot be run --- */

static const char *find_obstacle(const struct x86_state *s)
{
	if (!(s->cr0 & X86_CR0_PE))
		return "the guest is in real mode; the backend unicorn runs 64-bit code only";
	if (!(s->cr0 & X86_CR0_PG) || !(s->efer & X86_EFER_LMA))
		return "the guest's paging is off; the backend unicorn runs 64-bit code only";
	if (!(s->seg[X86_CS].attr & X86_ATTR_L))
		return "the guest is in 32-bit code; the backend unicorn runs 64-bit code only";
	if (s->cpl || s->seg[X86_CS].selector & 3)
		return "the guest is in user mode (CPL 3), which the backend unicorn does not run";
	if (s->cr4 & X86_CR4_LA57)
		return "5-level paging, which the backend unicorn does not know";
	if (s->cr0 & (X86_CR0_TS | X86_CR0_EM))
		return "CR0.TS or CR0.EM is set, which Unicorn does not look at";
	if (s->dr7 & 0xff)
		return "a breakpoint in a debug register, which Unicorn does not look at";
	return NULL;
}

/* --- Stops --- */

/* Of the loads of segment registers, which fault with the selector. */
static enum unicorn_step raise_of_load(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);
	struct x86_fault fault = { .vector = (uint8_t)v->vector, .has_error_code = true };
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn insn;

	if (unicorn_read(v, s->rip, bytes, sizeof(bytes), &fault) ||
	    x86_decode(&insn, bytes, sizeof(bytes), X86_MODE_64) < 0)
		return unicorn_give_up(&v->u, exit, "an exception in code that cannot be read");
	bool is_load = (insn.map == 0 && insn.opcode == 0x8e) ||
	               (insn.map == 1 && (insn.opcode & 0xf0) == 0xb0);

	if (is_load && insn.is_mem)
		return unicorn_give_up(&v->u, exit,
		                       "a segment could not be loaded from memory, and "
		                       "Unicorn does not tell the error code");
	fault.vector = (uint8_t)v->vector;
	fault.has_error_code = true;
	fault.error_code = is_load ? s->gpr[insn.rm] & 0xfffc : 0;
	return unicorn_raise(v, exit, &fault);
}

static enum unicorn_step on_exception(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(v->u.vcpu);

	switch (v->vector) {
	case X86_VEC_DB:
		s->dr6 |= HC_BIT(14); /* BS: breakpoints are refused */
		hc_vcpu_dirty(v->u.vcpu, X86_G_DR);
		return unicorn_raise_vector(v, exit, X86_VEC_DB);
	case X86_VEC_DE:
	case X86_VEC_OF:
	case X86_VEC_BR:
	case X86_VEC_UD:
	case X86_VEC_NM:
	case X86_VEC_MF:
	case X86_VEC_XM: return unicorn_raise_vector(v, exit, (enum x86_vector)v->vector);
	case X86_VEC_NP:
	case X86_VEC_SS:
	case X86_VEC_GP: return raise_of_load(v, exit);
	default:
		return unicorn_give_up(&v->u, exit,
		                       "an exception whose error code Unicorn does not "
		                       "tell");
	}
}

static void map_wanted(void *vcpu)
{
	struct unicorn_vcpu *v = vcpu;

	unicorn_map(v, &v->wanted);
}

static enum unicorn_step on_memory(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	if (!unicorn_find_page(v, v->address, v->access, &v->wanted, exit))
		return UNICORN_EXITS;
	if (unicorn_guarded(&v->u.guard, map_wanted, v) && v->u.err == UC_ERR_OK)
		return UNICORN_GOES_ON;
	return unicorn_give_up(&v->u, exit, v->u.guard.is_dead ? NULL : uc_strerror(v->u.err));
}

static enum unicorn_step leave(struct hc_exit *exit, enum hc_exit_reason reason)
{
	exit->reason = reason;
	exit->u.word = 0;
	return UNICORN_EXITS;
}

static enum unicorn_step on_stop(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	switch (v->stop) {
	case UNICORN_STOP_KICK: return UNICORN_GOES_ON; /* seen there */
	case UNICORN_STOP_WINDOW: v->wants_window = false; return leave(exit, HC_EXIT_WINDOW);
	case UNICORN_STOP_INSTRUCTION: return unicorn_do_instruction(v, exit);
	case UNICORN_STOP_MEMORY: return on_memory(v, exit);
	case UNICORN_STOP_EXCEPTION: return on_exception(v, exit);
	case UNICORN_STOP_STATE:
		return unicorn_give_up(&v->u, exit,
		                       "Unicorn cannot be given this state: a segment that "
		                       "is not in the GDT");
	case UNICORN_STOP_ERROR:
	default: return unicorn_give_up(&v->u, exit, uc_strerror(v->u.err));
	}
}

/* --- Entry --- */

/* No instruction is at the last address: nothing ends it but the hooks. */
static void execute(void *vcpu)
{
	struct unicorn_vcpu *v = vcpu;

	v->stop = UNICORN_STOP_STATE;
	unicorn_store(v);
	if (v->u.err != UC_ERR_OK)
		return;
	v->stop = UNICORN_STOP_ERROR;
	v->u.err = uc_emu_start(v->u.uc, x86_state_of(v->u.vcpu)->rip, UINT64_MAX, 0, 0);
	unicorn_fetch_core(v);
	v->u.vcpu->valid = X86_G_CORE | KEPT;
	if (v->stop == UNICORN_STOP_EXCEPTION)
		unicorn_forget_exception(v);
}

/* Before the guest goes on: UNICORN_EXITS if it does not. */
static enum unicorn_step prepare(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);
	const char *obstacle = find_obstacle(s);

	if (obstacle)
		return unicorn_give_up(&v->u, exit, obstacle);
	unicorn_store_events(v);
	if (v->due.valid && unicorn_deliver(v, exit) == UNICORN_EXITS)
		return UNICORN_EXITS;
	if (v->wants_nmi_window && !v->nmi_is_masked) {
		v->wants_nmi_window = false;
		return leave(exit, HC_EXIT_WINDOW);
	}
	if (atomic_exchange(&v->u.vcpu->cpu->attention, false))
		return leave(exit, HC_EXIT_INTERRUPT);
	return UNICORN_GOES_ON;
}

static enum unicorn_step step(struct unicorn_vcpu *v, struct hc_exit *exit)
{
	const struct x86_state *s = x86_state_of(v->u.vcpu);

	exit->pc = exit->next_pc = s->rip;
	if (v->u.guard.is_dead)
		return unicorn_give_up(&v->u, exit, NULL);
	if (prepare(v, exit) == UNICORN_EXITS)
		return UNICORN_EXITS;
	bool is_alive = unicorn_guarded(&v->u.guard, execute, v);

	exit->pc = exit->next_pc = s->rip;
	if (is_alive)
		return on_stop(v, exit);
	v->u.vcpu->valid |= X86_G_CORE;
	return unicorn_give_up(&v->u, exit, NULL);
}

/* What was changed here is stored at the next entry. */
static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	while (step(unicorn_vcpu_of(vcpu), exit) == UNICORN_GOES_ON)
		continue;
}

/* --- State --- */

static void fetch_asked(void *vcpu)
{
	struct unicorn_vcpu *v = vcpu;

	unicorn_fetch(v, v->asked);
}

/* Of one that crashed there is what was known before. */
static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	struct unicorn_vcpu *v = unicorn_vcpu_of(vcpu);

	v->asked = groups & (X86_G_SEG | X86_G_DT | X86_G_FPU);
	if (v->asked)
		(void)unicorn_guarded(&v->u.guard, fetch_asked, v);
	if (groups & X86_G_EVENT)
		unicorn_fetch_events(v);
}

/* --- Events --- */

static bool is_in_shadow(const struct unicorn_vcpu *v)
{
	return v->has_shadow && v->shadow_rip == x86_state_of(v->u.vcpu)->rip;
}

static int inject(struct hc_vcpu *vcpu, const struct x86_event *event)
{
	struct unicorn_vcpu *v = unicorn_vcpu_of(vcpu);

	unicorn_store_events(v);
	if (v->due.valid)
		return -EBUSY;
	if (event->type == X86_EVENT_INTR &&
	    (!(x86_state_of(vcpu)->rflags & X86_FLAG_IF) || is_in_shadow(v)))
		return -EAGAIN;
	if (event->type == X86_EVENT_NMI && v->nmi_is_masked)
		return -EAGAIN;
	v->due = *event;
	vcpu->valid &= ~(uint32_t)X86_G_EVENT;
	return 0;
}

static void request_window(struct hc_vcpu *vcpu, bool nmi)
{
	struct unicorn_vcpu *v = unicorn_vcpu_of(vcpu);

	if (nmi)
		v->wants_nmi_window = true;
	else
		v->wants_window = true;
}

/* --- The rest --- */

/* What Unicorn executes and hypercore offers: SSE to SSE4.2 (not POPCNT, which is undefined
 * to Unicorn 2.0); nothing that has state of its
 * own beyond FXSAVE's. Leaves that are not here answer zeros. */
static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	static const struct {
		uint32_t leaf, regs[4];
	} rows[] = {
		{ 0, { 0xd, 0x68747541, 0x444d4163, 0x69746e65 } }, /* AuthenticAMD */
		/* SSE3 SSSE3 CX16 SSE4.1 SSE4.2; FPU DE PSE TSC MSR PAE MCE CX8 APIC MTRR
		 * PGE MCA CMOV PAT PSE36 CLFLUSH MMX FXSR SSE SSE2 */
		{ 1, { 0x00800f12, 0x00000800, 0x00182201, 0x078bf3fd } },
		{ 0x80000000, { 0x80000008, 0x68747541, 0x444d4163, 0x69746e65 } },
		/* LAHF; SYSCALL, as kernels set EFER.SCE whatever CPUID says; NX RDTSCP LM */
		{ 0x80000001, { 0x00800f12, 0, 0x00000001, 0x28100800 } },
		{ 0x80000008, { 0x3028, 0, 0, 0 } },
	};

	memset(out, 0, 4 * sizeof(out[0]));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++)
		if (rows[i].leaf == leaf && !subleaf)
			memcpy(out, rows[i].regs, sizeof(rows[i].regs));
}

static const struct hc_backend_ops ops = {
	UNICORN_COMMON_OPS,
	.isa = HC_ISA_X86_64,
	.cpuid = cpuid,
	.run = run,
	.get_state = get_state,
	.inject = inject,
	.request_window = request_window,
};

/* Haswell's instructions, of which those with VEX prefixes are undefined all the same. */
const struct unicorn_kind unicorn_kind = {
	.ops = &ops,
	.vm_size = sizeof(struct x86_vm),
	.vcpu_size = sizeof(struct x86_vcpu),
	.size = sizeof(struct unicorn_vcpu),
	.arch = UC_ARCH_X86,
	.mode = UC_MODE_64,
	.model = UC_CPU_X86_HASWELL,
	.isa = "x86",
	.abilities = "small 64-bit guests, one CPU, no user mode",
	.on_code = unicorn_on_code,
	.on_memory = unicorn_on_memory,
	.on_exception = unicorn_on_exception,
	.on_undefined = unicorn_on_undefined,
};
