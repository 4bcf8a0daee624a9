/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Crashes of the library, contained. Unicorn ends the process by abort() where it meets a guest
 * that it does not understand, and follows wild pointers here and there. The signals come to the
 * thread that caused them, which goes on after its call into the library, and never calls it again
 * for this guest. What it had allocated is lost.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include "platform/linux/unicorn/guard.h"

static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP };

static struct sigaction others[HC_ARRAY_SIZE(signals)];

/* Looked at by the signal handler, which must not be the first to touch it in its thread. */
static __thread __attribute__((tls_model("initial-exec"))) sigjmp_buf *way_out;

/* Somebody else's crash: as if this handler had never been. A fault comes again by itself, and
 * abort() goes on when its signal's handler returns. */
static void pass_on(int sig)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(signals); i++)
		if (signals[i] == sig)
			sigaction(sig, &others[i], NULL);
	if (sig == SIGABRT || sig == SIGTRAP)
		raise(sig);
}

static void on_signal(int sig)
{
	sigjmp_buf *to = way_out;

	if (!to) {
		pass_on(sig);
		return;
	}
	way_out = NULL;
	siglongjmp(*to, sig);
}

void unicorn_guard_init(void)
{
	static atomic_flag is_done = ATOMIC_FLAG_INIT;
	/* SA_NODEFER: the jump leaves the signal mask as it is. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NODEFER | SA_ONSTACK };

	if (atomic_flag_test_and_set(&is_done))
		return;
	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, &others[i]);
}

static void bury(struct unicorn_guard *g, int sig)
{
	g->is_dead = true;
	(void)snprintf(g->failure, sizeof(g->failure),
	               "Unicorn crashed (SIG%s) and is not used again for this guest",
	               sigabbrev_np(sig));
}

static bool call(struct unicorn_guard *g, void (*fn)(void *arg), void *arg)
{
	sigjmp_buf here;
	int sig = sigsetjmp(here, 0);

	if (sig) {
		bury(g, sig);
		return false;
	}
	way_out = &here;
	fn(arg);
	way_out = NULL;
	return true;
}

/* Where it crashes, the stack pointer may be anything: the handler has a stack of its own. */
bool unicorn_guarded(struct unicorn_guard *g, void (*fn)(void *arg), void *arg)
{
	const stack_t own = { .ss_sp = g->signal_stack, .ss_size = sizeof(g->signal_stack) };
	stack_t old;

	if (g->is_dead)
		return false;
	(void)sigaltstack(&own, &old);
	bool ok = call(g, fn, arg);

	(void)sigaltstack(&old, NULL);
	return ok;
}
