/* SPDX-License-Identifier: BSD-2-Clause */
/* hypercore run: one virtual machine, from its files to its exit status. */
#include <errno.h>
#include <hypercore/hypercore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/file.h"
#include "cli/options.h"
#include "cli/serial.h"
#include "core/log.h"
#include "platform/linux/guest.h"
#include "platform/linux/terminal.h"
#include "platform/platform.h"

#define FILE_LIMIT (4 * HC_GIB)
#define DRAIN_MS   100
#define INSIST_NS  UINT64_C(500000000)

static const char help[] =
	"Usage: hypercore run --kernel FILE [OPTION...]\n"
	"\n"
	"  -k, --kernel FILE    Linux (bzImage, arm64 Image), a multiboot or PVH kernel\n"
	"  -i, --initrd FILE    its initramfs; module 0 of a multiboot kernel\n"
	"  -a, --append TEXT    its command line; without it Linux gets \"console=ttyS0\"\n"
	"                       (arm64: \"console=ttyAMA0\"), others get nothing\n"
	"  -m, --memory SIZE    512M, 2G, ...: at least 16M, in steps of 2M; 512M\n"
	"  -c, --cpus N         1 to 32 (arm64 Images: 8 on kvm, 1 on unicorn); 1\n"
	"  -b, --backend NAME   what runs the guest; auto: the fastest by measurement\n"
	"                       (hypercore caps lists them); or two, as in kvm,emu\n"
	"      --switch-every T of two backends, take the other every 100ms, 2s, ...\n"
	"      --tsc-hz N       x86: the rate of the guest's TSC, if not this machine's\n"
	"      --serial WHERE   ttyS0 is stdio, pty, null or file:FILE; again: ttyS1\n"
	"      --device NAME    isa-debug-exit[,iobase=N][,iosize=N], or testdev\n"
	"      --name TEXT      for messages; guest\n"
	"      --stats          print statistics at the end\n"
	"      --dirty-stats T  say every 500ms, 1s, ... how much memory the guest wrote\n"
	"      --trace FILE     write the last events of each CPU there at the end\n"
	"  -q, --quiet          only warnings and errors\n"
	"Keys on a terminal: Ctrl-a x ends the machine, Ctrl-a h lists all.\n"
	"\n"
	"Exit status: 0 the guest powered off or was ended by Ctrl-a x, else what it\n"
	"wrote to port 0xf4 (arm64: address 0x9050000); 2 wrong options; 125 it could\n"
	"not be run; 126 it reset or triple faulted; 128 + N ended by signal N.\n";

struct run {
	struct run_options options;
	struct hypercore *vm;
	struct linux_io *io;
	struct serial serial[2];
	struct file kernel, initrd;
	int signals;        /* descriptor, -1: none yet */
	_Atomic int signal; /* the first that came, and when */
	uint64_t signal_ns;
	_Atomic bool leave; /* the user has asked for the end: no more waiting */
};

/* --- Signals --- */

static void end_signals(sigset_t *set)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

	sigemptyset(set);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(ends); i++)
		sigaddset(set, ends[i]);
}

/* On the I/O thread. Who insists is not asked to wait for the guest; a signal to the process and
 * its group (timeout(1), a terminal) is no insisting. */
static enum linux_io_next on_signal(void *arg)
{
	struct run *r = arg;
	struct signalfd_siginfo info;

	if (read(r->signals, &info, sizeof(info)) != sizeof(info))
		return LINUX_IO_WAIT;
	int number = (int)info.ssi_signo;

	if (number == SIGCONT) {
		if (r->serial[0].is_terminal || r->serial[1].is_terminal)
			linux_terminal_raw(STDIN_FILENO);
		return LINUX_IO_WAIT;
	}
	atomic_store(&r->leave, true);
	if (!atomic_load(&r->signal)) {
		atomic_store(&r->signal, number);
		r->signal_ns = hc_platform_now_ns();
		hypercore_stop(r->vm);
	} else if (hc_platform_now_ns() - r->signal_ns > INSIST_NS) {
		linux_terminal_restore();
		_exit(CLI_SIGNAL + number);
	}
	return LINUX_IO_WAIT;
}

static int watch_signals(struct run *r)
{
	sigset_t set;

	end_signals(&set);
	sigaddset(&set, SIGCONT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signals < 0)
		return hc_error(-errno, "signals: %s", strerror(errno));
	return linux_io_add(r->io, r->signals, on_signal, r);
}

/* A bug of ours shall not cost the user the terminal as well. */
static void on_crash(int number)
{
	linux_terminal_restore();
	raise(number);
}

static void guard_terminal(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction action = { .sa_handler = on_crash,
		                    .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(crashes); i++)
		sigaction(crashes[i], &action, NULL);
}

/* --- The escape key --- */

static void on_command(void *arg, enum escape_action action)
{
	struct run *r = arg;

	switch (action) {
	case ESCAPE_LEAVE:
		atomic_store(&r->leave, true);
		hypercore_stop(r->vm);
		break;
	case ESCAPE_STATS: hypercore_log_stats(r->vm); break;
	case ESCAPE_HELP:
		hc_log(HC_LOG_INFO, "Ctrl-a x: end the machine; Ctrl-a s: statistics; "
		                    "Ctrl-a Ctrl-a: send Ctrl-a");
		break;
	case ESCAPE_PASS:
	case ESCAPE_SWALLOW:
	default: break;
	}
}

/* --- Making and ending --- */

static int read_files(struct run *r)
{
	const struct run_options *o = &r->options;
	int rc = file_read(&r->kernel, "--kernel", o->kernel, FILE_LIMIT);

	if (!rc && o->initrd)
		rc = file_read(&r->initrd, "--initrd", o->initrd, FILE_LIMIT);
	return rc;
}

static int create(struct run *r)
{
	const struct run_options *o = &r->options;
	struct hypercore_config c;
	int rc = 0;

	hypercore_config_init(&c);
	c.name = o->name;
	c.backend = o->backend;
	c.memory = o->memory;
	c.cpus = o->cpus;
	c.kernel = r->kernel.data;
	c.kernel_size = r->kernel.size;
	c.initrd = r->initrd.data;
	c.initrd_size = r->initrd.size;
	c.initrd_name = o->initrd;
	c.cmdline = o->append ? o->append : linux_guest_cmdline(r->kernel.data, r->kernel.size);
	c.switch_ns = o->switch_ns;
	c.tsc_hz = o->tsc_hz;
	c.dirty_ns = o->dirty_ns;
	c.exit_port = CLI_EXIT_PORT;
	memcpy(c.devices, o->devices, sizeof(c.devices));
	for (unsigned i = 0; !rc && i < HC_ARRAY_SIZE(o->serial) && o->serial[i]; i++)
		rc = serial_open(&r->serial[i], o->serial[i], i, &c);
	if (!rc)
		rc = hypercore_create(&r->vm, &c);
	file_free(&r->kernel);
	file_free(&r->initrd);
	return rc;
}

static int attach(struct run *r)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < HC_ARRAY_SIZE(r->serial) && r->serial[i].outlet; i++)
		rc = serial_attach(&r->serial[i], r->vm, r->io, on_command, r);
	return rc ? rc : linux_io_start(r->io);
}

static void write_line(void *arg, const char *text)
{
	fprintf(arg, "%s\n", text);
}

static int write_trace(struct run *r)
{
	FILE *f = fopen(r->options.trace, "we");

	if (!f)
		return hc_error(-errno, "--trace %s: %s", r->options.trace, strerror(errno));
	fprintf(f, "# cpu cycles kind what pc argument extra\n");
	hypercore_trace(r->vm, write_line, f);
	return fclose(f) ? hc_error(-errno, "--trace %s: %s", r->options.trace, strerror(errno))
	                 : 0;
}

static int status_of(const struct run *r)
{
	int number = atomic_load(&r->signal);

	switch (hypercore_end(r->vm)) {
	case HYPERCORE_POWERED_OFF: return 0;
	case HYPERCORE_STOPPED: return number ? CLI_SIGNAL + number : 0;
	case HYPERCORE_EXITED: return (int)hypercore_status(r->vm);
	case HYPERCORE_RESET: return CLI_RESET;
	case HYPERCORE_FAILED:
	case HYPERCORE_RUNS_STILL:
	default: return CLI_FAILED;
	}
}

static void say_end(const struct run *r, int status)
{
	bool failed = status == CLI_FAILED || status == CLI_RESET;

	hc_log(failed ? HC_LOG_ERROR : HC_LOG_INFO, "vm %s: %s", r->options.name,
	       hypercore_reason(r->vm));
}

/* Readers may be slow (a pager): as long as the user wants to wait, so does the command. */
static void drain(struct run *r)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(r->serial); i++)
		while (!serial_drain(&r->serial[i], DRAIN_MS) && !atomic_load(&r->leave))
			;
}

/* The guest has ended: all its output goes out, nothing comes in any more, the terminal is the
 * user's again. Then what there is to say. */
static int finish(struct run *r)
{
	drain(r);
	linux_io_destroy(r->io);
	r->io = NULL;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(r->serial); i++)
		serial_close(&r->serial[i]);
	int status = status_of(r);

	say_end(r, status);
	if (r->options.stats)
		hypercore_log_stats(r->vm);
	if (r->options.trace && write_trace(r) && !status)
		status = CLI_FAILED;
	return status;
}

static int run(struct run *r)
{
	int rc = read_files(r);

	if (!rc)
		rc = linux_io_create(&r->io);
	if (!rc)
		rc = watch_signals(r);
	if (!rc)
		rc = create(r);
	if (!rc)
		rc = attach(r);
	if (!rc)
		rc = hypercore_run(r->vm);
	return rc ? CLI_FAILED : finish(r);
}

static void clean_up(struct run *r)
{
	linux_io_destroy(r->io);
	hypercore_destroy(r->vm);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(r->serial); i++)
		serial_close(&r->serial[i]);
	file_free(&r->kernel);
	file_free(&r->initrd);
	linux_terminal_restore();
	if (r->signals >= 0)
		close(r->signals);
}

int cli_run(int argc, char **argv)
{
	static struct run r = { .signals = -1 };
	int rc = run_options_parse(&r.options, argc, argv);

	if (rc)
		return rc;
	if (r.options.help)
		return fputs(help, stdout) < 0 || fflush(stdout) ? 1 : 0;
	if (r.options.quiet)
		hc_log_set_level(HC_LOG_WARN);
	guard_terminal();
	int status = run(&r);

	clean_up(&r);
	return status;
}
