/* SPDX-License-Identifier: BSD-2-Clause */
/* hypercore caps: what this machine offers, each line with how it was found out. */
#include <cpuid.h>
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

#include "cli/cli.h"
#include "platform/linux/linux.h"
#include "platform/platform.h"

static const char help[] =
	"Usage: hypercore caps\n"
	"\n"
	"Lists what this machine offers for running guests. Each line ends with how\n"
	"that was found out: a CPUID leaf, a system call, a file, a guest that was run.\n"
	"\n"
	"  CPU          its name, and what virtualization it says to have\n"
	"  /dev/kvm     whether it can be opened, its version and capabilities\n"
	"  backend X    whether X can run guests, and how fast: instructions a second of\n"
	"               a loop that does what kernels do (page faults, I/O, ...)\n"
	"  memory       what is to spare for guests; huge pages\n"
	"  clock        the rate of the cycle counter\n";

static void line(const char *what, const char *found, const char *how)
{
	printf("%-18s %-44s [%s]\n", what, found, how);
}

/* --- CPU --- */

static bool has(unsigned leaf, unsigned reg, unsigned bit)
{
	unsigned r[4] = { 0 };

	__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3]);
	return r[reg] >> bit & 1;
}

static void cpu_name(char name[64])
{
	unsigned r[12] = { 0 };

	for (unsigned i = 0; i < 3; i++)
		__get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
	memcpy(name, r, sizeof(r));
	name[sizeof(r)] = '\0';
	if (!name[0])
		snprintf(name, 64, "without a name");
}

static void cpu_vendor(char vendor[16])
{
	unsigned r[4] = { 0 };

	__get_cpuid(0, &r[0], &r[1], &r[2], &r[3]);
	memcpy(vendor, &r[1], 4);
	memcpy(vendor + 4, &r[3], 4);
	memcpy(vendor + 8, &r[2], 4);
	vendor[12] = '\0';
}

/* SDM Vol. 2A, CPUID: leaf 1 ECX 5 VMX, 31 hypervisor; APM Vol. 3: 80000001h ECX 2 SVM. The leaf of
 * a hypervisor, 40000000h, has a range of its own, which __get_cpuid() does not know. */
static void list_cpu(void)
{
	char name[64], vendor[16], hypervisor[16] = "none";
	unsigned r[4];

	cpu_name(name);
	cpu_vendor(vendor);
	line("CPU", name, "CPUID 80000002h to 80000004h");
	line("CPU vendor", vendor, "CPUID 0");
	line("CPU VT-x", has(1, 2, 5) ? "yes" : "no", "CPUID 1 ECX bit 5");
	line("CPU AMD-V", has(0x80000001, 2, 2) ? "yes" : "no", "CPUID 80000001h ECX bit 2");
	if (has(1, 2, 31)) {
		__cpuid(0x40000000, r[0], r[1], r[2], r[3]);
		memcpy(hypervisor, &r[1], 12);
		hypervisor[12] = '\0';
		if (!hypervisor[0])
			snprintf(hypervisor, sizeof(hypervisor), "without a name");
	}
	line("CPU hypervisor", hypervisor, "CPUID 1 ECX bit 31, 40000000h");
}

/* --- /dev/kvm --- */

#define CAP(name)                                                                                  \
	{                                                                                          \
#name, KVM_CAP_##name                                                              \
	}

static const struct {
	const char *name;
	unsigned number;
} kvm_caps[] = {
	CAP(USER_MEMORY), CAP(READONLY_MEM), CAP(SYNC_REGS),    CAP(IMMEDIATE_EXIT),
	CAP(XSAVE),       CAP(XCRS),         CAP(VCPU_EVENTS),  CAP(X86_USER_SPACE_MSR),
	CAP(NR_VCPUS),    CAP(MAX_VCPUS),    CAP(NR_MEMSLOTS),  CAP(X86_MSR_FILTER),
	CAP(TSC_CONTROL), CAP(IRQCHIP),      CAP(NESTED_STATE),
};

static void list_kvm_caps(int fd)
{
	char what[40], value[16];

	for (unsigned i = 0; i < HC_ARRAY_SIZE(kvm_caps); i++) {
		int rc = ioctl(fd, KVM_CHECK_EXTENSION, kvm_caps[i].number);

		snprintf(what, sizeof(what), "  %s", kvm_caps[i].name);
		snprintf(value, sizeof(value), rc > 0 ? "%d" : "no", rc);
		printf("%-28s %-34s [KVM_CHECK_EXTENSION]\n", what, value);
	}
}

static void list_kvm(void)
{
	char found[80];
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		line("/dev/kvm", strerror(errno), "open()");
		return;
	}
	snprintf(found, sizeof(found), "can be opened, API version %d",
	         ioctl(fd, KVM_GET_API_VERSION, 0));
	line("/dev/kvm", found, "open(), KVM_GET_API_VERSION");
	list_kvm_caps(fd);
	close(fd);
}

/* --- Backends --- */

static void list_backends(void)
{
	char what[32], how[128], found[200];
	const char *name;
	int rc;

	for (unsigned i = 0; (rc = hypercore_backend(i, &name, how, sizeof(how))) != -ENOENT; i++) {
		snprintf(what, sizeof(what), "backend %s", name);
		snprintf(found, sizeof(found), "%s, %s", rc ? "no" : "yes", how);
		line(what, found, "its probe");
		if (rc)
			continue;
		int64_t speed = hypercore_backend_speed(i);

		if (speed < 0)
			continue;
		snprintf(found, sizeof(found), "%.1f M loop instructions/s", (double)speed / 1e6);
		line(what, found, "measured with a guest");
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
	line("huge pages", found, huge_file);
	snprintf(found, sizeof(found), "%llu MiB to spare",
	         (unsigned long long)(linux_memory_available() / HC_MIB));
	line("memory", found, "/proc/meminfo, cgroup limits");
}

static void list_clock(void)
{
	char found[80];

	snprintf(found, sizeof(found), "%.1f MHz%s", (double)hc_platform_cycles_hz() / 1e6,
	         has(0x80000007, 3, 8) ? ", invariant" : "");
	line("clock TSC", found, "measured by CLOCK_MONOTONIC; CPUID 80000007h EDX bit 8");
	snprintf(found, sizeof(found), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	line("CPUs", found, "sysconf(_SC_NPROCESSORS_ONLN)");
}

int cli_caps(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(help, stdout) < 0 || fflush(stdout) ? 1 : 0;
	if (argc > 1)
		return cli_usage_error("caps", "%s: there is nothing to be chosen", argv[1]);
	list_cpu();
	list_kvm();
	list_backends();
	list_memory();
	list_clock();
	return fflush(stdout) ? 1 : 0;
}
