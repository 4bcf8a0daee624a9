/* SPDX-License-Identifier: BSD-2-Clause */
/* Switching VT-x on and off (SDM Vol. 3C 24.6 to 24.8). */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"
#include "core/log.h"
#include "mmu/ept.h"

/* 0 is the host's, and VPIDs have 16 bits: the first one handed out begins a generation. */
#define NO_VPID_LEFT 0x10000u

/* Firmware that left the choice open gets what every kernel sets: VMX outside SMX, for good. */
static void set_feature_control(void)
{
	uint64_t control = x86_host_rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(control & VMX_FEATURE_CONTROL_LOCK))
		x86_host_wrmsr(MSR_IA32_FEATURE_CONTROL, control | VMX_FEATURE_CONTROL_OUTSIDE_SMX |
		                                                 VMX_FEATURE_CONTROL_LOCK);
}

static void set_registers(void)
{
	const struct vmx_cap_msrs *m = &vmx_caps.msrs;
	uint64_t cr4 = x86_host_read_cr4() | X86_CR4_OSFXSR | X86_CR4_VMXE;

	x86_host_write_cr0((x86_host_read_cr0() | m->cr0_fixed0) & m->cr0_fixed1);
	if (x86_fpu_caps.xsave)
		cr4 |= X86_CR4_OSXSAVE;
	x86_host_write_cr4((cr4 | m->cr4_fixed0) & m->cr4_fixed1);
	x86_fpu_enable();
}

/* What an earlier user of VT-x left in the TLB is not known. */
static void flush_all(void)
{
	const struct vmx_invept_descriptor ept = { 0 };
	const struct vmx_invvpid_descriptor vpid = { 0 };

	if (vmx_caps.msrs.ept_vpid & VMX_EPT_CAP_INVEPT_ALL)
		(void)vmx_hw_invept(VMX_INVEPT_ALL, &ept);
	if (vmx_caps.vpid)
		(void)vmx_hw_invvpid(VMX_INVVPID_ALL, &vpid);
}

int vmx_cpu_switch_on(void *data, unsigned id)
{
	struct vmx_cpu *c = data;

	c->region = hc_platform_alloc_pages(0);
	if (!c->region)
		return hc_error(-ENOMEM, "vmx: no memory for a CPU's VMXON region");
	c->region->revision = VMX_BASIC_REVISION(vmx_caps.msrs.basic);
	c->generation = VMX_GENERATION_STEP | id;
	c->next_vpid = NO_VPID_LEFT;
	set_feature_control();
	set_registers();
	if (vmx_hw_on(hc_platform_to_hpa(c->region))) {
		x86_host_write_cr4(x86_host_read_cr4() & ~X86_CR4_VMXE);
		hc_platform_free_pages(c->region, 0);
		return hc_error(-EOPNOTSUPP, "vmx: CPU %u: VMXON failed", id);
	}
	flush_all();
	return 0;
}

void vmx_cpu_switch_off(void *data)
{
	struct vmx_cpu *c = data;

	vmx_hw_off();
	x86_host_write_cr4(x86_host_read_cr4() & ~X86_CR4_VMXE);
	hc_platform_free_pages(c->region, 0);
}

/* --- Probing --- */

static int run_selftest(const char **why)
{
	struct vmx_cpu c = { 0 };

	int rc = vmx_cpu_switch_on(&c, 0);

	*why = rc == -ENOMEM ? "no memory for a test guest" : "VT-x cannot be switched on";
	if (rc)
		return rc;
	rc = vmx_selftest(&c, why);
	vmx_cpu_switch_off(&c);
	return rc;
}

static void describe(struct hc_backend_info *info)
{
	const struct vmx_caps *c = &vmx_caps;

	info->max_vcpus = 0;
	info->gpa_bits = c->gpa_bits;
	info->partial = !c->unrestricted_guest;
	hc_snprintf(info->reason, sizeof(info->reason), "VT-x, EPT%s%s%s%s%s%s%s%s%s%s",
	            vmx_ept_page() == S2_PAGE_1G ? " of 1 GiB pages" : "",
	            c->page_log ? ", page log"
	            : c->ept_ad ? ", dirty flags"
	                        : "",
	            c->unrestricted_guest ? ", unrestricted guest" : ", paged modes only",
	            c->vpid ? ", VPID" : "", c->pause_loop ? ", PAUSE loops" : "",
	            c->preemption_timer ? ", preemption timer" : "", c->invpcid ? ", INVPCID" : "",
	            c->apic_registers ? ", APIC registers" : "",
	            c->tsc_scaling ? ", TSC scaling" : "", x86_fpu_caps.xsave ? ", XSAVE" : "");
}

/* On CPUs that lack much, a line of the log has more room for it than the reason. */
static void explain(struct hc_backend_info *info, const char *why)
{
	if (strlen(why) < sizeof(info->reason)) {
		hc_snprintf(info->reason, sizeof(info->reason), "%s", why);
		return;
	}
	hc_log(HC_LOG_INFO, "vmx: %s", why);
	hc_snprintf(info->reason, sizeof(info->reason),
	            "VT-x without much that is required: see the line before");
}

static int detect(struct hc_backend_info *info)
{
	struct vmx_cap_msrs m;
	struct vmx_caps caps;
	char why[240];

	vmx_read_cap_msrs(&m);
	int rc = vmx_compute_caps(&caps, &m, why, sizeof(why));

	if (rc) {
		explain(info, why);
		return rc;
	}
	vmx_caps = caps;
	vmx_backend.s2_format = caps.ept_ad ? &ept_ad_format : &ept_format;
	x86_fpu_caps = x86_fpu_detect();
	return 0;
}

/* Asked again for every VM: on a CPU that is enabled, the test guest ran before it was. */
int vmx_probe(struct hc_backend_info *info)
{
	bool is_enabled = hc_platform_this_cpu()->backend_data;
	const char *why;
	int rc = vmx_cpu_usable(&why);

	if (!rc && !is_enabled) {
		rc = detect(info);
		if (rc)
			return rc;
		rc = run_selftest(&why);
	}
	if (rc)
		hc_snprintf(info->reason, sizeof(info->reason), "%s", why);
	else
		describe(info);
	return rc;
}

static bool is_like_boot_cpu(void)
{
	struct vmx_cap_msrs m;

	vmx_read_cap_msrs(&m);
	return memcmp(&m, &vmx_caps.msrs, offsetof(struct vmx_cap_msrs, phys_bits)) == 0 &&
	       m.phys_bits == vmx_caps.msrs.phys_bits && x86_fpu_detect().xcr0 == x86_fpu_caps.xcr0;
}

int vmx_cpu_enable(struct hc_cpu *cpu)
{
	const char *why;
	int rc = vmx_cpu_usable(&why);

	if (rc)
		return hc_error(rc, "vmx: CPU %u: %s", cpu->id, why);
	if (!is_like_boot_cpu())
		return hc_error(-EOPNOTSUPP, "vmx: CPU %u has other features than the boot CPU",
		                cpu->id);
	return hc_cpu_switch_on(cpu, "vmx", sizeof(struct vmx_cpu), vmx_cpu_switch_on);
}

void vmx_cpu_disable(struct hc_cpu *cpu)
{
	hc_cpu_switch_off(cpu, sizeof(struct vmx_cpu), vmx_cpu_switch_off);
}
