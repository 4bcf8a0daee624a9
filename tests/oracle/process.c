/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/oracle/process.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 5 /* for a batch */

/* What parent and child share. */
struct oracle_shared {
	unsigned n;
	_Atomic unsigned done; /* cases that have come back */
	enum oracle_result results[ORACLE_BATCH];
	struct oracle_case cases[ORACLE_BATCH];
	struct oracle_outcome outcomes[ORACLE_BATCH];
};

static void run_batch(struct oracle_process *p)
{
	static const struct itimerval none;
	const struct itimerval limit = { .it_value = { .tv_sec = TIMEOUT_SECONDS } };
	struct oracle_shared *s = p->shared;

	setitimer(ITIMER_REAL, &limit, NULL);
	for (unsigned i; (i = s->done) < s->n; s->done++)
		s->results[i] = p->run(&s->cases[i], &s->outcomes[i]);
	setitimer(ITIMER_REAL, &none, NULL);
}

/* The child: says a byte when it is ready for a batch, gets one when there is a batch. */
static _Noreturn void serve(struct oracle_process *p, int in, int out)
{
	char byte = 'r';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	if (!p->prepare())
		_exit(1);
	while (write(out, &byte, 1) == 1 && read(in, &byte, 1) == 1)
		run_batch(p);
	_exit(0);
}

static bool is_ready(struct oracle_process *p)
{
	char byte;

	return read(p->from_child, &byte, 1) == 1;
}

static int start_child(struct oracle_process *p)
{
	int down[2], up[2];

	if (pipe(down) || pipe(up))
		return -errno;
	fflush(stdout);
	p->child = fork();
	if (p->child < 0)
		return -errno;
	if (p->child == 0) {
		close(down[1]);
		close(up[0]);
		serve(p, down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	p->to_child = down[1];
	p->from_child = up[0];
	return is_ready(p) ? 0 : -EOPNOTSUPP;
}

static void end_child(struct oracle_process *p)
{
	if (p->child <= 0)
		return;
	close(p->to_child);
	close(p->from_child);
	kill(p->child, SIGKILL); /* a child of another pool that came later keeps the pipe open */
	waitpid(p->child, NULL, 0);
	p->child = 0;
}

void oracle_process_close(struct oracle_process *p)
{
	end_child(p);
	if (p->shared)
		munmap(p->shared, sizeof(*p->shared));
	p->shared = NULL;
}

int oracle_process_open(struct oracle_process *p)
{
	int r;

	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->shared == MAP_FAILED) {
		p->shared = NULL;
		return -ENOMEM;
	}
	signal(SIGPIPE, SIG_IGN);
	r = start_child(p);
	if (r)
		oracle_process_close(p);
	return r;
}

/* Has the cases from shared->done on run; false: the child has died in case shared->done. */
static bool run_rest(struct oracle_process *p)
{
	char byte = 'g';

	return write(p->to_child, &byte, 1) == 1 && is_ready(p);
}

void oracle_process_run(struct oracle_process *p, const struct oracle_case *cases,
                        struct oracle_outcome *outcomes, enum oracle_result *results, unsigned n)
{
	struct oracle_shared *s = p->shared;

	memcpy(s->cases, cases, n * sizeof(*cases));
	s->n = n;
	s->done = 0;
	while (!run_rest(p)) {
		end_child(p);
		if (s->done < n)
			s->results[s->done++] = ORACLE_LOST;
		if (start_child(p)) {
			fprintf(stderr, "a process that runs cases does not start\n");
			exit(2);
		}
	}
	memcpy(outcomes, s->outcomes, n * sizeof(*outcomes));
	memcpy(results, s->results, n * sizeof(*results));
}
