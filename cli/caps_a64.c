/* SPDX-License-Identifier: BSD-2-Clause */
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/auxv.h>

#include "cli/caps.h"

/* The kernel lets processes read MIDR_EL1 by trapping it (Documentation/arch/arm64/
 * cpu-feature-registers.rst of Linux). */
void caps_cpu(void)
{
	char found[80] = "not known";
	unsigned long midr;

	if (getauxval(AT_HWCAP) & HWCAP_CPUID) {
		__asm__("mrs %0, midr_el1" : "=r"(midr));
		snprintf(found, sizeof(found), "implementer %#lx, part %#lx, revision r%lup%lu",
		         midr >> 24 & 0xff, midr >> 4 & 0xfff, midr >> 20 & 15, midr & 15);
	}
	caps_line("CPU", found, "MIDR_EL1");
}

void caps_clock(double mhz)
{
	char found[80];

	snprintf(found, sizeof(found), "%.1f MHz", mhz);
	caps_line("clock CNTVCT", found, "CNTFRQ_EL0");
}

const struct caps_kvm caps_kvm[] = {
	CAPS_KVM(USER_MEMORY),    CAPS_KVM(READONLY_MEM),     CAPS_KVM(ONE_REG),
	CAPS_KVM(IMMEDIATE_EXIT), CAPS_KVM(ARM_VM_IPA_SIZE),  CAPS_KVM(ARM_USER_IRQ),
	CAPS_KVM(VCPU_EVENTS),    CAPS_KVM(ARM_NISV_TO_USER), CAPS_KVM(ARM_PSCI_0_2),
	CAPS_KVM(NR_VCPUS),       CAPS_KVM(MAX_VCPUS),        CAPS_KVM(NR_MEMSLOTS),
	CAPS_KVM(ARM_SVE),        CAPS_KVM(IRQCHIP),          CAPS_KVM(ARM_EL1_32BIT),
};

const unsigned caps_kvm_count = HC_ARRAY_SIZE(caps_kvm);
