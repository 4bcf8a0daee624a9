/* SPDX-License-Identifier: BSD-2-Clause */
/* hypercore caps: what this machine offers, each line with how it was found out. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <hypercore/hypercore.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/caps.h"
#include "cli/cli.h"
#include "platform/linux/linux.h"
#include "platform/platform.h"

static const char help[] =
	"Usage: hypercore caps\n"
	"\n"
	"Lists what this machine offers for running guests. Each line ends with how\n"
	"that was found out: a register, a system call, a file, a guest that was run.\n"
	"\n"
	"  CPU          its name, and what virtualization it says to have\n"
	"  /dev/kvm     whether it can be opened, its version and capabilities\n"
	"  backend X    whether X can run guests, and how fast: instructions a second of\n"
	"               a loop that does what kernels do (page faults, I/O, ...)\n"
	"  memory       what is to spare for guests; huge pages\n"
	"  clock        the rate of the cycle counter\n";

void caps_line(const char *what, const char *found, const char *how)
{
	printf("%-18s %-44s [%s]\n", what, found, how);
}

/* --- /dev/kvm --- */

static void list_kvm_caps(int fd)
{
	char what[40], value[16];

	for (unsigned i = 0; i < caps_kvm_count; i++) {
		int rc = ioctl(fd, KVM_CHECK_EXTENSION, caps_kvm[i].number);

		snprintf(what, sizeof(what), "  %s", caps_kvm[i].name);
		snprintf(value, sizeof(value), rc > 0 ? "%d" : "no", rc);
		printf("%-28s %-34s [KVM_CHECK_EXTENSION]\n", what, value);
	}
}

static void list_kvm(void)
{
	char found[80];
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		caps_line("/dev/kvm", strerror(errno), "open()");
		return;
	}
	snprintf(found, sizeof(found), "can be opened, API version %d",
	         ioctl(fd, KVM_GET_API_VERSION, 0));
	caps_line("/dev/kvm", found, "open(), KVM_GET_API_VERSION");
	list_kvm_caps(fd);
	close(fd);
}

/* --- Backends --- */

static void list_backends(void)
{
	char what[32], how[160], found[200];
	const char *name;
	int rc;

	for (unsigned i = 0; (rc = hypercore_backend(i, &name, how, sizeof(how))) != -ENOENT; i++) {
		snprintf(what, sizeof(what), "backend %s", name);
		snprintf(found, sizeof(found), "%s, %s", rc ? "no" : "yes", how);
		caps_line(what, found, "its probe");
		if (rc)
			continue;
		int64_t speed = hypercore_backend_speed(i);

		if (speed < 0)
			continue;
		snprintf(found, sizeof(found), "%.1f M loop instructions/s", (double)speed / 1e6);
		caps_line(what, found, "measured with a guest");
	}
}

/* --- Memory and time --- */

static void list_memory(void)
{
	static const char huge_file[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	char found[80] = "not known";
	FILE *f = fopen(huge_file, "re");

	if (f && fgets(found, sizeof(found), f))
		found[strcspn(found, "\n")] = '\0';
	if (f)
		fclose(f);
	caps_line("huge pages", found, huge_file);
	snprintf(found, sizeof(found), "%llu MiB to spare",
	         (unsigned long long)(linux_memory_available() / HC_MIB));
	caps_line("memory", found, "/proc/meminfo, cgroup limits");
}

static void list_clock(void)
{
	char found[80];

	caps_clock((double)hc_platform_cycles_hz() / 1e6);
	snprintf(found, sizeof(found), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	caps_line("CPUs", found, "sysconf(_SC_NPROCESSORS_ONLN)");
}

int cli_caps(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(help, stdout) < 0 || fflush(stdout) ? 1 : 0;
	if (argc > 1)
		return cli_usage_error("caps", "%s: there is nothing to be chosen", argv[1]);
	caps_cpu();
	list_kvm();
	list_backends();
	list_memory();
	list_clock();
	return fflush(stdout) ? 1 : 0;
}
