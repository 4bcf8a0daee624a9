/* SPDX-License-Identifier: BSD-2-Clause */
#include <cpuid.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "cli/caps.h"

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
void caps_cpu(void)
{
	char name[64], vendor[16], hypervisor[16] = "none";
	unsigned r[4];

	cpu_name(name);
	cpu_vendor(vendor);
	caps_line("CPU", name, "CPUID 80000002h to 80000004h");
	caps_line("CPU vendor", vendor, "CPUID 0");
	caps_line("CPU VT-x", has(1, 2, 5) ? "yes" : "no", "CPUID 1 ECX bit 5");
	caps_line("CPU AMD-V", has(0x80000001, 2, 2) ? "yes" : "no", "CPUID 80000001h ECX bit 2");
	if (has(1, 2, 31)) {
		__cpuid(0x40000000, r[0], r[1], r[2], r[3]);
		memcpy(hypervisor, &r[1], 12);
		hypervisor[12] = '\0';
		if (!hypervisor[0])
			snprintf(hypervisor, sizeof(hypervisor), "without a name");
	}
	caps_line("CPU hypervisor", hypervisor, "CPUID 1 ECX bit 31, 40000000h");
}

void caps_clock(double mhz)
{
	char found[80];

	snprintf(found, sizeof(found), "%.1f MHz%s", mhz,
	         has(0x80000007, 3, 8) ? ", invariant" : "");
	caps_line("clock TSC", found, "measured by CLOCK_MONOTONIC; CPUID 80000007h EDX bit 8");
}

const struct caps_kvm caps_kvm[] = {
	CAPS_KVM(USER_MEMORY),  CAPS_KVM(READONLY_MEM),
	CAPS_KVM(SYNC_REGS),    CAPS_KVM(IMMEDIATE_EXIT),
	CAPS_KVM(XSAVE),        CAPS_KVM(XCRS),
	CAPS_KVM(VCPU_EVENTS),  CAPS_KVM(X86_USER_SPACE_MSR),
	CAPS_KVM(NR_VCPUS),     CAPS_KVM(MAX_VCPUS),
	CAPS_KVM(NR_MEMSLOTS),  CAPS_KVM(X86_MSR_FILTER),
	CAPS_KVM(TSC_CONTROL),  CAPS_KVM(IRQCHIP),
	CAPS_KVM(NESTED_STATE),
};

const unsigned caps_kvm_count = HC_ARRAY_SIZE(caps_kvm);
