/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE /* names of registers in ucontext_t */
#include "tests/native_x86.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/unit.h"

#define FIELD_RFLAGS 128
#define FIELD_XSAVE  192

_Static_assert(offsetof(struct native, rflags) == FIELD_RFLAGS, "used in assembly");
_Static_assert(offsetof(struct native, xsave) == FIELD_XSAVE, "used in assembly");

/* native_enter(n, code): loads all registers and goes to code, which jumps to native_back. */
void native_enter(struct native *n, const void *code);
void native_back(void);

__asm__(".text\n"
        ".globl native_enter, native_back\n"
        "native_enter:\n"
        "	push %rbx\n"
        "	push %rbp\n"
        "	push %r12\n"
        "	push %r13\n"
        "	push %r14\n"
        "	push %r15\n"
        "	push %rdi\n"
        "	push %rsi\n"
        "	mov $7, %eax\n"
        "	xor %edx, %edx\n"
        "	xrstor64 192(%rdi)\n"
        "	push 128(%rdi)\n"
        "	popfq\n"
        "	mov 0(%rdi), %rax\n"
        "	mov 8(%rdi), %rcx\n"
        "	mov 16(%rdi), %rdx\n"
        "	mov 24(%rdi), %rbx\n"
        "	mov 40(%rdi), %rbp\n"
        "	mov 48(%rdi), %rsi\n"
        "	mov 64(%rdi), %r8\n"
        "	mov 72(%rdi), %r9\n"
        "	mov 80(%rdi), %r10\n"
        "	mov 88(%rdi), %r11\n"
        "	mov 96(%rdi), %r12\n"
        "	mov 104(%rdi), %r13\n"
        "	mov 112(%rdi), %r14\n"
        "	mov 120(%rdi), %r15\n"
        "	mov 56(%rdi), %rdi\n"
        "	ret\n"
        "native_back:\n"
        "	push %rdi\n"
        "	mov 8(%rsp), %rdi\n"
        "	mov %rax, 0(%rdi)\n"
        "	mov %rcx, 8(%rdi)\n"
        "	mov %rdx, 16(%rdi)\n"
        "	mov %rbx, 24(%rdi)\n"
        "	mov %rbp, 40(%rdi)\n"
        "	mov %rsi, 48(%rdi)\n"
        "	pop 56(%rdi)\n"
        "	mov %r8, 64(%rdi)\n"
        "	mov %r9, 72(%rdi)\n"
        "	mov %r10, 80(%rdi)\n"
        "	mov %r11, 88(%rdi)\n"
        "	mov %r12, 96(%rdi)\n"
        "	mov %r13, 104(%rdi)\n"
        "	mov %r14, 112(%rdi)\n"
        "	mov %r15, 120(%rdi)\n"
        "	pushfq\n"
        "	pop 128(%rdi)\n"
        "	mov $7, %eax\n"
        "	xor %edx, %edx\n"
        "	xsave64 192(%rdi)\n"
        "	fninit\n"
        "	movl $0x1f80, -8(%rsp)\n"
        "	ldmxcsr -8(%rsp)\n"
        "	vzeroupper\n"
        "	pop %rdi\n"
        "	pop %r15\n"
        "	pop %r14\n"
        "	pop %r13\n"
        "	pop %r12\n"
        "	pop %rbp\n"
        "	pop %rbx\n"
        "	ret\n");

static sigjmp_buf escape;
static volatile sig_atomic_t vector;
static uint8_t legacy[416]; /* the registers at the exception, as FXSAVE has them */
static uint8_t *code;
static const int signals[] = { SIGFPE, SIGSEGV, SIGILL, SIGBUS };
static struct sigaction before[sizeof(signals) / sizeof(signals[0])];

/* The frame's XSTATE_BV: what is in its initial configuration there, is not written. */
static void complete_legacy(uint64_t xstate_bv)
{
	static const uint16_t fcw = 0x37f;

	if (!(xstate_bv & 1)) {
		memset(legacy, 0, 24);
		memset(legacy + 32, 0, 128);
		memcpy(legacy, &fcw, sizeof(fcw));
	}
	if (!(xstate_bv & 2))
		memset(legacy + 160, 0, 256);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	uint64_t xstate_bv;

	vector = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
	memcpy(legacy, uc->uc_mcontext.fpregs, sizeof(legacy));
	memcpy(&xstate_bv, (const uint8_t *)uc->uc_mcontext.fpregs + 512, sizeof(xstate_bv));
	complete_legacy(xstate_bv);
	siglongjmp(escape, 1);
}

void native_start(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	            0);
	assert_true(code != MAP_FAILED);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, &before[i]);
}

void native_stop(void)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &before[i], NULL);
	munmap(code, 4096);
}

void native_run(struct native *n, const uint8_t *bytes, size_t length)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	void (*const back)(void) = native_back;
	static struct native *volatile current;

	memcpy(code, bytes, length);
	memcpy(code + length, jump, sizeof(jump));
	memcpy(code + length + sizeof(jump), &back, sizeof(back));
	current = n;
	n->vector = -1;
	if (!sigsetjmp(escape, 0)) {
		native_enter(n, code);
		return;
	}
	__asm__ volatile("fninit");
	__asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
	current->vector = vector;
	memcpy(current->xsave, legacy, sizeof(legacy));
}
