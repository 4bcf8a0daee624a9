/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU offers, and switching AMD-V on and off (APM Vol. 2 15.4). */
#include <hypercore/errno.h>

#include "arch/x86_64/svm/internal.h"
#include "core/log.h"

struct svm_caps svm_caps;

#define CPUID_SVM 0x8000000au

/* The name of QEMU's own CPUs, where hypervisors have theirs. */
static bool is_tcg(void)
{
	uint32_t regs[4];

	x86_host_cpuid(1, 0, regs);
	if (!(regs[2] >> 31 & 1))
		return false;
	x86_host_cpuid(0x40000000, 0, regs);
	return regs[1] == 0x54474354 && regs[2] == 0x43544743 && regs[3] == 0x47435447;
}

static void detect(struct svm_caps *caps)
{
	uint32_t svm[4], ext[4], sizes[4];

	x86_host_cpuid(CPUID_SVM, 0, svm);
	x86_host_cpuid(0x80000001, 0, ext);
	x86_host_cpuid(0x80000008, 0, sizes);
	caps->rev = svm[0] & 0xff;
	caps->lbrv = svm[3] >> 1 & 1;
	caps->nrip = svm[3] >> 3 & 1;
	caps->tsc_ratio = svm[3] >> 4 & 1;
	caps->flush_by_asid = svm[3] >> 6 & 1;
	caps->decode_assists = svm[3] >> 7 & 1;
	caps->pause_filter = svm[3] >> 10 & 1;
	caps->tsc_aux = ext[3] >> 27 & 1;
	caps->tcg = is_tcg();

	unsigned guest_bits = (unsigned)hc_bits(sizes[0], 23, 16);

	/* 4 levels of nested tables reach 48 bits. */
	caps->gpa_bits = (uint8_t)hc_min(guest_bits ? guest_bits : (sizes[0] & 0xff), 48);
	svm_limits_from_cpuid(&caps->limits, x86_host_cpuid);
}

int svm_cpu_usable(const char **why)
{
	uint32_t regs[4];

	*why = "the CPU has no AMD-V";
	x86_host_cpuid(0x80000000, 0, regs);
	if (regs[0] < CPUID_SVM)
		return -ENODEV;
	x86_host_cpuid(0x80000001, 0, regs);
	if (!(regs[2] >> 2 & 1))
		return -ENODEV;
	uint64_t vm_cr = x86_host_rdmsr(MSR_VM_CR);

	*why = "AMD-V is locked by firmware (VM_CR.SVMDIS): enable SVM in the firmware's setup";
	if ((vm_cr & SVM_VM_CR_SVMDIS) && (vm_cr & SVM_VM_CR_LOCK))
		return -EPERM;
	x86_host_cpuid(CPUID_SVM, 0, regs);
	*why = "AMD-V without nested paging, which is required";
	if (!(regs[3] & 1))
		return -EOPNOTSUPP;
	*why = "AMD-V with fewer than 2 address space identifiers";
	return regs[1] < 2 ? -EOPNOTSUPP : 0;
}

/* SVMDIS without LOCK may be cleared by anyone (15.30.1). XSAVE needs CR4's leave. */
static void set_registers(const struct svm_cpu *c)
{
	uint64_t vm_cr = x86_host_rdmsr(MSR_VM_CR);

	if (vm_cr & SVM_VM_CR_SVMDIS)
		x86_host_wrmsr(MSR_VM_CR, vm_cr & ~SVM_VM_CR_SVMDIS);
	/* The nested walk obeys the host's EFER.NXE (15.25.3). */
	x86_host_wrmsr(MSR_EFER, x86_host_rdmsr(MSR_EFER) | X86_EFER_SVME | X86_EFER_NXE);
	x86_host_wrmsr(MSR_VM_HSAVE_PA, hc_platform_to_hpa(c->save_area).v);
	uint64_t cr4 = x86_host_read_cr4() | X86_CR4_OSFXSR;

	x86_host_write_cr4(x86_fpu_caps.xsave ? cr4 | X86_CR4_OSXSAVE : cr4);
	x86_fpu_enable();
}

/* To 1: who was here before, and who comes next, may not know of it. */
static void set_tsc_ratio(struct svm_cpu *c)
{
	c->tsc_ratio = SVM_TSC_RATIO_1;
	if (svm_caps.tsc_ratio)
		x86_host_wrmsr(MSR_TSC_RATIO, c->tsc_ratio);
}

static void free_pages(struct svm_cpu *c)
{
	if (c->save_area)
		hc_platform_free_pages(c->save_area, 0);
	if (c->host)
		hc_platform_free_pages(c->host, 0);
}

int svm_cpu_switch_on(void *data, unsigned id)
{
	struct svm_cpu *c = data;

	c->save_area = hc_platform_alloc_pages(0);
	c->host = hc_platform_alloc_pages(0);
	if (!c->save_area || !c->host) {
		free_pages(c);
		return hc_error(-ENOMEM, "svm: no memory for a CPU's host state");
	}
	c->host_pa = hc_platform_to_hpa(c->host);
	/* What is in the TLB is not known: the first ASID handed out wraps around and flushes. */
	c->generation = SVM_GENERATION_STEP | id;
	c->next_asid = svm_caps.limits.asids;
	set_registers(c);
	set_tsc_ratio(c);
	svm_hw_vmsave(c->host_pa);
	return 0;
}

void svm_cpu_switch_off(void *data)
{
	struct svm_cpu *c = data;

	x86_host_wrmsr(MSR_VM_HSAVE_PA, 0);
	set_tsc_ratio(c);
	x86_host_wrmsr(MSR_EFER, x86_host_rdmsr(MSR_EFER) & ~X86_EFER_SVME);
	free_pages(c);
}

static int run_selftest(const char **why)
{
	struct svm_cpu c = { 0 };

	*why = "no memory for a test guest";
	int rc = svm_cpu_switch_on(&c, 0);

	if (rc)
		return rc;
	rc = svm_selftest(&c, why);
	svm_cpu_switch_off(&c);
	return rc;
}

/*
 * QEMU (7.2 and 10.0 alike) keeps the state of IGNNE# among other flags of its first CPU, in one
 * word, and clears it there without a lock whenever any CPU loads an x87 status word (FXRSTOR,
 * XRSTOR, FLDENV, FRSTOR). If that overtakes a #VMEXIT of the first CPU, "nested paging is on"
 * comes back: the host's own tables are walked through the guest's, and the machine triple faults;
 * or the GIF has its old value. Guests load such status words as they like, so that the first CPU
 * has to be one that never executes VMRUN once others run guests.
 */
static void describe(struct hc_backend_info *info)
{
	info->max_vcpus = 0;
	info->gpa_bits = svm_caps.gpa_bits;
	info->spare_boot_cpu = svm_caps.tcg;
	hc_snprintf(info->reason, sizeof(info->reason),
	            "AMD-V rev. %u, nested paging, %u ASIDs%s%s%s%s%s", svm_caps.rev,
	            svm_caps.limits.asids, svm_caps.nrip ? ", next RIP" : "",
	            svm_caps.flush_by_asid ? ", flush by ASID" : "",
	            svm_caps.decode_assists ? ", decode assists" : "",
	            svm_caps.tsc_ratio ? ", TSC scaling" : "", x86_fpu_caps.xsave ? ", XSAVE" : "");
}

/* Asked again for every VM: on a CPU that is enabled, the test guest ran before it was. */
int svm_probe(struct hc_backend_info *info)
{
	struct svm_caps caps = { 0 };
	const char *why;
	int rc = svm_cpu_usable(&why);

	if (!rc && !hc_platform_this_cpu()->backend_data) {
		detect(&caps);
		svm_caps = caps;
		x86_fpu_caps = x86_fpu_detect();
		rc = run_selftest(&why);
	}
	if (rc)
		hc_snprintf(info->reason, sizeof(info->reason), "%s", why);
	else
		describe(info);
	return rc;
}

int svm_cpu_enable(struct hc_cpu *cpu)
{
	struct svm_caps here = { 0 };
	const char *why;
	int rc = svm_cpu_usable(&why);

	if (rc)
		return hc_error(rc, "svm: CPU %u: %s", cpu->id, why);
	detect(&here);
	if (x86_fpu_detect().xcr0 != x86_fpu_caps.xcr0 || here.nrip != svm_caps.nrip ||
	    here.flush_by_asid != svm_caps.flush_by_asid ||
	    here.decode_assists != svm_caps.decode_assists ||
	    here.tsc_ratio != svm_caps.tsc_ratio || here.limits.asids < svm_caps.limits.asids)
		return hc_error(-EOPNOTSUPP, "svm: CPU %u has other features than the boot CPU",
		                cpu->id);
	if (svm_caps.bochs && hc_platform_start_nmis())
		hc_log(HC_LOG_WARN, "svm: guests will hold back interrupts of the machine");
	return hc_cpu_switch_on(cpu, "svm", sizeof(struct svm_cpu), svm_cpu_switch_on);
}

void svm_cpu_disable(struct hc_cpu *cpu)
{
	hc_cpu_switch_off(cpu, sizeof(struct svm_cpu), svm_cpu_switch_off);
}
