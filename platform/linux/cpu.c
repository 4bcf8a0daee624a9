/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads as the core's physical CPUs: kicks, deadlines, idle sleep. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/sched.h"
#include "platform/linux/backends.h"
#include "platform/linux/linux.h"

/* Which field of struct sigevent holds the thread is not in every libc's header. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct linux_cpu {
	struct hc_cpu cpu; /* first */
	_Atomic pid_t tid; /* 0: has no thread now */
	/* Kicked since it last slept; a futex. */
	_Atomic uint32_t woken;
	_Atomic bool signals; /* exit_flag is set: a kick has to send the signal */
	uint8_t *exit_flag;   /* own thread only */
	uint64_t deadline_ns; /* own thread only */
	/* What the timer is set to, UINT64_MAX once it has fired. It may be earlier than
	 * deadline_ns: a system call less, for an interrupt too many now and then. */
	_Atomic uint64_t armed_ns;
	timer_t timer;
	pthread_t thread;
	const struct hc_backend_ops *const *backends; /* until ready is posted */
	const struct hc_backend_ops *enabled[LINUX_VM_BACKENDS];
	sem_t ready;
	int start_error; /* of the backend or the timer; valid when ready is posted */
};

#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

static struct linux_cpu cpus[LINUX_MAX_CPUS];
static pthread_mutex_t vm_lock = PTHREAD_MUTEX_INITIALIZER;
static THREAD_LOCAL struct linux_cpu *self;
static THREAD_LOCAL struct hc_cpu outside = { .id = LINUX_MAX_CPUS };
static THREAD_LOCAL bool irq_is_off;
static THREAD_LOCAL unsigned relaxed;

_Static_assert(LINUX_MAX_CPUS < HC_MAX_CPUS, "the other threads need an id of their own");

void linux_vm_lock(void)
{
	pthread_mutex_lock(&vm_lock);
}

void linux_vm_unlock(void)
{
	pthread_mutex_unlock(&vm_lock);
}

/* --- Kicks --- */

static struct linux_cpu *linux_cpu_of(struct hc_cpu *cpu)
{
	return HC_CONTAINER_OF(cpu, struct linux_cpu, cpu);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct linux_cpu *c = self;

	if (!c)
		return;
	if (info->si_code == SI_TIMER)
		atomic_store(&c->armed_ns, UINT64_MAX);
	atomic_store(&c->cpu.attention, true);
	if (c->exit_flag)
		__atomic_store_n(c->exit_flag, 1, __ATOMIC_SEQ_CST);
}

void linux_cpu_set_exit_flag(uint8_t *flag)
{
	/* Off first: the handler may come at any instruction. */
	self->exit_flag = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	self->exit_flag = flag;
	atomic_store(&self->signals, flag != NULL);
	/* A kick from before that sent no signal. */
	if (flag && atomic_load(&self->cpu.attention))
		__atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
	return syscall(SYS_futex, word, op, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void hc_platform_kick(struct hc_cpu *cpu)
{
	struct linux_cpu *c = linux_cpu_of(cpu);
	bool pending = atomic_exchange(&cpu->attention, true);

	if (c == self) {
		if (c->exit_flag)
			__atomic_store_n(c->exit_flag, 1, __ATOMIC_SEQ_CST);
	} else if (!pending && atomic_load(&c->signals)) {
		/* The thread may be gone: then so is what it was to be told of. */
		syscall(SYS_tgkill, getpid(), atomic_load(&c->tid), LINUX_KICK_SIGNAL);
	}
	if (!atomic_exchange(&c->woken, 1) && c != self)
		futex(&c->woken, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL);
}

/* --- The calling CPU --- */

struct hc_cpu *hc_platform_this_cpu(void)
{
	return self ? &self->cpu : &outside;
}

bool hc_platform_irq_disable(void)
{
	bool was_on = !irq_is_off;

	irq_is_off = true;
	return was_on;
}

void hc_platform_irq_restore(bool enabled)
{
	irq_is_off = !enabled;
}

/* What was raised until now is being looked at: the caller goes on to requests and timers. */
static void acknowledge(struct linux_cpu *c)
{
	if (c->exit_flag)
		__atomic_store_n(c->exit_flag, 0, __ATOMIC_SEQ_CST);
	atomic_store(&c->cpu.attention, false);
}

void hc_platform_irq_window(void)
{
	acknowledge(self);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

void hc_platform_set_deadline(uint64_t deadline_ns)
{
	struct linux_cpu *c = self;

	c->deadline_ns = deadline_ns;
	if (deadline_ns >= atomic_load(&c->armed_ns))
		return;
	/* Nothing is "never" for the timer; half of the range is far enough. */
	struct itimerspec when = { .it_value =
		                           timespec_of(hc_max(1, hc_min(deadline_ns, INT64_MAX))) };

	atomic_store(&c->armed_ns, deadline_ns);
	timer_settime(c->timer, TIMER_ABSTIME, &when, NULL);
}

void hc_platform_idle(void)
{
	struct linux_cpu *c = self;
	struct timespec until = timespec_of(hc_min(c->deadline_ns, INT64_MAX));
	const struct timespec *limit = c->deadline_ns == UINT64_MAX ? NULL : &until;

	while (!atomic_load(&c->woken)) {
		long rc = futex(&c->woken, FUTEX_WAIT_BITSET_PRIVATE, 0, limit);

		if (rc < 0 && errno == ETIMEDOUT)
			break;
	}
	atomic_store(&c->woken, 0);
	acknowledge(c);
}

/* The holder of a lock may have been preempted: let it run. */
void hc_platform_relax(void)
{
	if (++relaxed % 64 == 0)
		sched_yield();
	else
		linux_pause();
}

/* --- Threads --- */

static int make_timer(struct linux_cpu *c)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = LINUX_KICK_SIGNAL,
		.sigev_notify_thread_id = atomic_load(&c->tid),
	};

	atomic_store(&c->armed_ns, UINT64_MAX);
	c->deadline_ns = UINT64_MAX;
	return timer_create(CLOCK_MONOTONIC, &event, &c->timer)
	               ? hc_error(-errno, "cpu %u: no timer: %s", c->cpu.id, strerror(errno))
	               : 0;
}

static void disable(struct linux_cpu *c)
{
	for (unsigned i = 0; i < LINUX_VM_BACKENDS; i++) {
		if (c->enabled[i])
			c->enabled[i]->cpu_disable(&c->cpu);
		c->enabled[i] = NULL;
	}
	c->cpu.virt_enabled = false;
}

static int enable(struct linux_cpu *c)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < LINUX_VM_BACKENDS && c->backends[i]; i++) {
		rc = c->backends[i]->cpu_enable(&c->cpu);
		if (rc)
			hc_error(rc, "cpu %u: backend %s cannot be enabled (%s)", c->cpu.id,
			         c->backends[i]->name, strerror(-rc));
		else
			c->enabled[i] = c->backends[i];
	}
	c->cpu.virt_enabled = !rc;
	if (rc)
		disable(c);
	return rc;
}

static void loop(struct linux_cpu *c)
{
	irq_is_off = true;
	hc_sched_loop(&c->cpu);
	disable(c);
}

static void *cpu_thread(void *arg)
{
	struct linux_cpu *c = arg;
	char name[16];
	bool has_timer;

	self = c;
	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	hc_snprintf(name, sizeof(name), "hypercore cpu%u", c->cpu.id);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_TIMERSLACK, 1);
	c->start_error = make_timer(c);
	has_timer = !c->start_error;
	if (has_timer)
		c->start_error = enable(c);
	int error = c->start_error;

	sem_post(&c->ready);
	if (!error)
		loop(c);
	if (has_timer)
		timer_delete(c->timer);
	self = NULL;
	atomic_store(&c->tid, 0);
	return NULL;
}

/* The thread takes no signals but ours and those that it raises itself. */
static int spawn(struct linux_cpu *c)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
	sigset_t mask, old;

	sigfillset(&mask);
	sigdelset(&mask, LINUX_KICK_SIGNAL);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(own); i++)
		sigdelset(&mask, own[i]);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	int rc = pthread_create(&c->thread, NULL, cpu_thread, c);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc ? hc_error(-rc, "cpu %u: no thread: %s", c->cpu.id, strerror(rc)) : 0;
}

static int start_thread(struct linux_cpu *c, const struct hc_backend_ops *const *backends)
{
	c->backends = backends;
	atomic_store(&c->cpu.stop, false);
	sem_init(&c->ready, 0, 0);
	int rc = spawn(c);

	if (!rc) {
		while (sem_wait(&c->ready))
			;
		rc = c->start_error;
		if (rc)
			pthread_join(c->thread, NULL);
	}
	sem_destroy(&c->ready);
	return rc;
}

static void stop_thread(struct linux_cpu *c)
{
	atomic_store(&c->cpu.stop, true);
	hc_platform_kick(&c->cpu);
	pthread_join(c->thread, NULL);
	atomic_store(&c->signals, false);
}

void linux_cpus_stop_unused(void)
{
	for (unsigned i = 0; i < hc_sched_cpu_count(); i++)
		if (!cpus[i].cpu.assigned && atomic_load(&cpus[i].tid))
			stop_thread(&cpus[i]);
}

/* The scheduler puts a vCPU where the fewest are, and there on the first: on CPUs without any, in
 * the order of their numbers. These are what gets a thread. */
int linux_cpus_start(const struct hc_backend_ops *const *backends, unsigned count)
{
	int rc = 0;

	for (unsigned i = 0; !rc && count; i++) {
		if (i == LINUX_MAX_CPUS) {
			rc = hc_error(-ENOSPC, "all VMs together have at most %d vCPUs",
			              LINUX_MAX_CPUS);
			break;
		}
		if (i == hc_sched_cpu_count()) {
			cpus[i].cpu.id = i;
			cpus[i].cpu.hw_id = i;
			rc = hc_sched_add_cpu(&cpus[i].cpu);
		}
		if (!rc && !cpus[i].cpu.assigned) {
			rc = start_thread(&cpus[i], backends);
			count--;
		}
	}
	if (rc)
		linux_cpus_stop_unused();
	return rc;
}

uint64_t linux_cpu_time_ns(struct hc_cpu *cpu)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(linux_cpu_of(cpu)->thread, &clock))
		clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- Once --- */

static int init_error;

static void init_once(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	linux_clock_init();
	hc_sched_init(NULL);
	if (sigaction(LINUX_KICK_SIGNAL, &action, NULL))
		init_error = hc_error(-errno, "signal %d: %s", LINUX_KICK_SIGNAL, strerror(errno));
}

int linux_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
	return init_error;
}
