/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host CPU as an executor. A child process has the case's address space; it runs each
 * instruction by itself: followed by a jump back, or, branches, with RFLAGS.TF. Faults come as
 * signals, with vector, error code and CR2 as the kernel saw them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/oracle/native.h"
#include "tests/oracle/process.h"

/* Linux's flat selectors of user mode. */
#define CS_32 0x23
#define CS_64 0x33
#define DATA  0x2b

/* The code page's first bytes: where the case jumps to when it has finished. */
#define BACK_64 ORACLE_CODE        /* JMP [RIP+2] and, aligned (AC may be set), the address */
#define BACK_32 (ORACLE_CODE + 16) /* the same after a far jump to 64-bit code */

#define ALT_STACK_SIZE 65536

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE 2
#endif

static uint8_t *code_alias; /* writable */
static uint8_t *data_alias;
static const struct oracle_case *running;
static struct oracle_outcome *outcome; /* of the case that runs */

/* XSAVE leaves components in their initial state as they were (SDM Vol. 1 13.6). */
static void take_xsave(uint8_t *to, const uint8_t *from)
{
	uint64_t present;

	memcpy(to, from, ORACLE_XSAVE_SIZE);
	memcpy(&present, from + ORACLE_XSAVE_HEADER, sizeof(present));
	if (!(present & 1)) {
		static const uint8_t fcw[2] = { 0x7f, 0x03 };

		memset(to, 0, 24);
		memset(to + 32, 0, 128);
		memcpy(to, fcw, sizeof(fcw));
	}
	if (!(present & 2))
		memset(to + 160, 0, 256);
	if (!(present & 4))
		memset(to + ORACLE_XSAVE_YMM, 0, 256);
}

static void take_registers(struct oracle_state *s, const greg_t *from)
{
	static const uint8_t order[X86_GPR_COUNT] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX,
		                                      REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		                                      REG_R8,  REG_R9,  REG_R10, REG_R11,
		                                      REG_R12, REG_R13, REG_R14, REG_R15 };

	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		s->gpr[i] = (uint64_t)from[order[i]];
	s->rip = (uint64_t)from[REG_RIP];
	s->rflags = (uint64_t)from[REG_EFL];
}

/* The instruction may end where the page does: then fetching the next one is what faults. */
static bool has_completed(const struct oracle_case *c, const greg_t *regs)
{
	uint64_t next = c->state.rip + c->insn.length;

	if (regs[REG_TRAPNO] == X86_VEC_DB)
		return c->step;
	return !c->undefined && regs[REG_TRAPNO] == X86_VEC_PF && (regs[REG_ERR] & X86_PF_I) &&
	       (uint64_t)regs[REG_RIP] == next;
}

/* On the alternative stack, with the case's FS base. */
void native_on_signal(int signal, void *info, void *context)
{
	ucontext_t *u = context;
	greg_t *regs = u->uc_mcontext.gregs;

	if (!outcome)
		_exit(1);
	take_registers(&outcome->state, regs);
	take_xsave(outcome->state.xsave, (const uint8_t *)u->uc_mcontext.fpregs);
	outcome->vector = (uint8_t)regs[REG_TRAPNO];
	outcome->error_code = (uint32_t)regs[REG_ERR];
	outcome->cr2 = (uint64_t)regs[REG_CR2];
	if (has_completed(running, regs))
		outcome->vector = ORACLE_COMPLETED;
	regs[REG_RIP] = (greg_t)(uintptr_t)native_aborted;
	regs[REG_RSP] = (greg_t)native_host_rsp;
	regs[REG_EFL] = X86_FLAG_1;
	regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~(greg_t)0xffff) | CS_64;
}

/* Places the instruction, up to the end of its page, and the jump back. */
static void place_code(const struct oracle_case *c)
{
	uint8_t bytes[X86_INSN_MAX + 8];
	uint64_t offset = c->state.rip - ORACLE_CODE;
	uint64_t room = HC_PAGE_SIZE - offset;
	unsigned n = c->undefined ? X86_INSN_MAX : c->insn.length;

	memcpy(bytes, c->code, n);
	if (c->mode == X86_MODE_64) {
		int32_t distance = (int32_t)(BACK_64 - (c->state.rip + n + 5));

		bytes[n] = 0xe9; /* JMP rel32 */
		memcpy(bytes + n + 1, &distance, 4);
	} else {
		static const uint8_t selector[2] = { CS_64, 0 };
		uint32_t target = (uint32_t)BACK_32;

		bytes[n] = 0xea; /* JMP ptr16:32 */
		memcpy(bytes + n + 1, &target, 4);
		memcpy(bytes + n + 5, selector, 2);
	}
	memcpy(code_alias + offset, bytes, hc_min(room, n + 7));
}

static void load_frame(const struct oracle_case *c)
{
	const struct oracle_state *s = &c->state;

	memcpy(native_in.gpr, s->gpr, sizeof(native_in.gpr));
	native_in.rip = s->rip;
	native_in.rflags = s->rflags | (c->step ? X86_FLAG_TF : 0);
	native_in.cs = c->mode == X86_MODE_64 ? CS_64 : CS_32;
	native_in.rsp = s->gpr[X86_RSP];
	native_in.ss = DATA;
	native_in.fs_base = s->fs_base;
	native_in.gs_base = s->gs_base;
	memcpy(native_in.xsave, s->xsave, ORACLE_XSAVE_SIZE);
}

static void run_one(const struct oracle_case *c, struct oracle_outcome *o)
{
	memcpy(data_alias, c->memory, ORACLE_DATA_SIZE);
	place_code(c);
	load_frame(c);
	o->vector = ORACLE_COMPLETED;
	o->state.rip = c->state.rip + c->insn.length;
	native_out.rip = 0;
	running = c;
	outcome = o;
	native_out.cs = 1; /* native_return does not touch it, nor the handler */
	native_out.rflags = 0;
	native_enter();
	outcome = NULL;
	if (native_out.rflags) { /* by native_return */
		memcpy(o->state.gpr, native_out.gpr, sizeof(o->state.gpr));
		o->state.rflags = native_out.rflags;
		take_xsave(o->state.xsave, native_out.xsave);
	}
	o->state.fs_base = native_out.fs_base;
	o->state.gs_base = native_out.gs_base;
	memcpy(o->memory, data_alias, ORACLE_DATA_SIZE);
}

/* `pages` pages of one new file at `address`, with `prot`, and somewhere else writable. */
static uint8_t *map_twice(uint64_t address, size_t size, int prot)
{
	int fd = memfd_create("oracle", 0);
	void *fixed, *alias;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return NULL;
	fixed = mmap((void *)(uintptr_t)address, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
	             0);
	alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	close(fd);
	if (fixed != (void *)(uintptr_t)address || alias == MAP_FAILED)
		return NULL;
	madvise(fixed, size, MADV_POPULATE_READ);
	return alias;
}

static void place_ways_back(void)
{
	uint8_t *p = code_alias;
	uintptr_t address = (uintptr_t)native_return;
	static const uint8_t jump[8] = { 0xff, 0x25, 2, 0, 0, 0 };

	for (unsigned i = 0; i < 2; i++, p += 16) {
		memcpy(p, jump, sizeof(jump));
		memcpy(p + sizeof(jump), &address, sizeof(address));
	}
}

static bool prepare_memory(void)
{
	code_alias = map_twice(ORACLE_CODE, HC_PAGE_SIZE, PROT_READ | PROT_EXEC);
	data_alias = map_twice(ORACLE_DATA, ORACLE_DATA_SIZE, PROT_READ | PROT_WRITE);
	if (!code_alias || !data_alias)
		return false;
	place_ways_back();
	return !mprotect((void *)(uintptr_t)(ORACLE_DATA + ORACLE_READ_ONLY),
	                 ORACLE_DATA_SIZE - ORACLE_READ_ONLY, PROT_READ);
}

static bool prepare_signals(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	stack_t stack = { .ss_size = ALT_STACK_SIZE };
	struct sigaction action = { .sa_flags = SA_ONSTACK | SA_SIGINFO };

	stack.ss_sp = malloc(ALT_STACK_SIZE);
	if (!stack.ss_sp || sigaltstack(&stack, NULL))
		return false;
	action.sa_sigaction = (void (*)(int, siginfo_t *, void *))native_signal;
	for (size_t i = 0; i < HC_ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], &action, NULL))
			return false;
	signal(SIGALRM, SIG_DFL);
	return true;
}

static bool prepare(void)
{
	if (!prepare_memory() || !prepare_signals())
		return false;
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(DATA));
	return true;
}

static enum oracle_result run(const struct oracle_case *c, struct oracle_outcome *o)
{
	run_one(c, o);
	return ORACLE_RAN;
}

static struct oracle_process process = { .prepare = prepare, .run = run };

static int native_open(void)
{
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) || !__builtin_cpu_supports("avx2"))
		return -EOPNOTSUPP;
	return oracle_process_open(&process);
}

static void native_close(void)
{
	oracle_process_close(&process);
}

static void native_run(const struct oracle_case *cases, struct oracle_outcome *outcomes,
                       enum oracle_result *results, unsigned n)
{
	oracle_process_run(&process, cases, outcomes, results, n);
}

const struct oracle_executor oracle_native = {
	.name = "native",
	.has_vectors = true,
	.has_faults = true,
	.has_mode_32 = true,
	.open = native_open,
	.close = native_close,
	.run = native_run,
	.known = oracle_known,
};
