/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The factor of the guest's TSC. KVM is told the rate and computes the factor by itself. It has to
 * be known here all the same, for what is derived from the counter outside of the guest (the local
 * APIC's deadlines, RDMSR), and exactly: a counter of weeks multiplies the smallest difference. So
 * it is computed as KVM does it, from the rate that KVM takes the host's counter to have.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "platform/linux/kvm_internal.h"
#include "platform/linux/kvm_x86.h"

#define TOLERANCE     "/sys/module/kvm/parameters/tsc_tolerance_ppm"
#define TOLERANCE_PPM 250 /* unless it says otherwise */
#define MILLION       UINT64_C(1000000)

/* Rates that are nearly the host's KVM leaves as they are: the factor is 1. */
static bool is_near(uint64_t khz, uint64_t host_khz, uint64_t ppm)
{
	return khz >= host_khz * (MILLION - ppm) / MILLION &&
	       khz <= host_khz * (MILLION + ppm) / MILLION;
}

uint64_t kvm_x86_tsc_factor(uint64_t khz, uint64_t host_khz, unsigned bits, uint64_t ppm)
{
	return is_near(khz, host_khz, ppm) ? 0 : x86_tsc_ratio(khz, host_khz, bits);
}

static uint64_t tolerance(void)
{
	unsigned long ppm = TOLERANCE_PPM;
	FILE *f = fopen(TOLERANCE, "re");

	if (!f)
		return ppm;
	if (fscanf(f, "%lu", &ppm) != 1 || ppm > MILLION)
		ppm = TOLERANCE_PPM;
	fclose(f);
	return ppm;
}

/* AMD-V's factors have 32 bits behind the point, VT-x's 48. "Auth", "Hygo". */
static unsigned fraction_bits(void)
{
	uint32_t regs[4];

	kvm_x86_cpuid(0, 0, regs);
	return regs[1] == 0x68747541 || regs[1] == 0x6f677948 ? 32 : 48;
}

/* A new vCPU has the host's rate. That, in kHz, or an error: also if KVM does not take khz. */
static int64_t host_khz(uint64_t khz)
{
	int vm = kvm_ioctl_value(kvm_fd, KVM_CREATE_VM, 0);
	int vcpu = vm < 0 ? vm : kvm_ioctl_value(vm, KVM_CREATE_VCPU, 0);
	int64_t rc = vcpu < 0 ? vcpu : kvm_ioctl_value(vcpu, KVM_GET_TSC_KHZ, 0);
	int taken = rc < 0 ? 0 : kvm_ioctl_value(vcpu, KVM_SET_TSC_KHZ, khz);

	if (vcpu >= 0)
		close(vcpu);
	if (vm >= 0)
		close(vm);
	return taken < 0 ? taken : rc;
}

int kvm_x86_tsc_ratio(uint64_t hz, uint64_t *ratio)
{
	if (kvm_ioctl_value(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) <= 0)
		return hc_error(-EOPNOTSUPP, "kvm: this host cannot scale the TSC (TSC_CONTROL)");
	int64_t host = host_khz(hz / 1000);

	if (host <= 0)
		return hc_error(-EOPNOTSUPP, "kvm: KVM_SET_TSC_KHZ of %llu: %s",
		                (unsigned long long)(hz / 1000), strerror((int)-host));
	*ratio = kvm_x86_tsc_factor(hz / 1000, (uint64_t)host, fraction_bits(), tolerance());
	return 0;
}

int kvm_x86_set_tsc_rate(struct hc_vcpu *vcpu)
{
	uint64_t hz = vcpu->vm->tsc_hz;
	int rc = hz ? kvm_ioctl_value(kvm_vcpu_of(vcpu)->fd, KVM_SET_TSC_KHZ, hz / 1000) : 0;

	return rc < 0 ? hc_error(rc, "kvm: KVM_SET_TSC_KHZ for VM %s: %s", vcpu->vm->name,
	                         strerror(-rc))
	              : 0;
}
