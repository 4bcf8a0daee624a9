/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether the CPU has EL2 and what it offers, by its ID registers (Arm ARM D17.2) and by trying. */
#include <hypercore/errno.h>

#include "arch/aarch64/el2/internal.h"
#include "core/log.h"

struct el2_caps el2_caps;

/* TGran4_2, or where that refers to it TGran4. */
static bool has_4k_stage2(void)
{
	unsigned two = a64_host_field(A64_ID_AA64MMFR0, 40);

	return two ? two >= 2 : a64_host_field(A64_ID_AA64MMFR0, 28) != 0xf;
}

static uint64_t read_vtr(void)
{
	return el2_host.gic_version == 3 ? el2_hw_read(EL2_ICH_VTR_EL2) : el2_gich_vtr();
}

/* Priorities have at least as many. */
static unsigned preemption_bits(void)
{
	return ICH_VTR_PREBITS(read_vtr()) + 1;
}

/* 0, or an error with *why a constant. */
static int usable(const char **why)
{
	*why = "the hypervisor was not started at EL2";
	if (hc_bits(el2_hw_read(EL2_CURRENTEL), 3, 2) != 2)
		return -ENODEV;
	*why = "EL2 without 4 KiB pages at stage 2, which are required";
	if (!has_4k_stage2())
		return -EOPNOTSUPP;
	*why = "the virtual CPU interface has fewer than 32 priorities that preempt";
	return !el2_host.gic_version || preemption_bits() >= 5 ? 0 : -EOPNOTSUPP;
}

static uint64_t guest_hcr(const struct el2_caps *caps)
{
	uint64_t hcr = HCR_VM | HCR_SWIO | HCR_PTW | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB |
	               HCR_BSU_INNER | HCR_TWI | HCR_TID3 | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_RW;

	if (caps->vhe)
		hcr |= HCR_E2H;
	if (a64_host_field(A64_ID_AA64MMFR1, 16)) /* LO */
		hcr |= HCR_TLOR;
	if (caps->ras)
		hcr |= HCR_TERR | HCR_TEA;
	if (a64_host_field(A64_ID_AA64PFR1, 8)) /* MTE */
		hcr |= HCR_TID5;
	return hcr;
}

/* Debug registers exit, and what there is of counters, profiling and trace. The host counts
 * nothing: all counters are the lower levels', as after reset. */
static uint64_t guest_mdcr(void)
{
	uint64_t mdcr = MDCR_TDA | MDCR_TDOSA | MDCR_TDRA;
	unsigned pmu = a64_host_field(A64_ID_AA64DFR0, 8);

	if (pmu && pmu != 0xf)
		mdcr |= MDCR_TPM | MDCR_TPMCR |
		        MDCR_HPMN(hc_bits(el2_hw_read(EL2_PMCR_EL0), 15, 11));
	if (a64_host_field(A64_ID_AA64DFR0, 32)) /* PMSVer */
		mdcr |= MDCR_TPMS;
	if (a64_host_field(A64_ID_AA64DFR0, 40)) /* TraceFilt */
		mdcr |= MDCR_TTRF;
	return mdcr;
}

static void detect_cptr(struct el2_caps *caps)
{
	bool trace = a64_host_field(A64_ID_AA64DFR0, 4) != 0;
	uint64_t both = a64_host_field(A64_ID_AA64PFR0, 44) ? CPTR_TAM : 0; /* AMU */

	if (caps->vhe) {
		caps->cptr_trap = both | (trace ? CPTR_VHE_TTA : 0);
		caps->cptr_open = caps->cptr_trap | CPTR_VHE_FPEN;
	} else {
		caps->cptr_open = both | CPTR_RES1 | CPTR_TZ | CPTR_TSM | (trace ? CPTR_TTA : 0);
		caps->cptr_trap = caps->cptr_open | CPTR_TFP;
	}
}

/* Guests are offered no more priorities than preempt each other: which of them are active is known
 * by the active priorities registers, which have a bit for each of these. GICH_LR<n> holds 5 bits.
 */
static void detect_gic(struct el2_caps *caps)
{
	bool v3 = el2_host.gic_version == 3;

	caps->gic_version = (uint8_t)el2_host.gic_version;
	if (!caps->gic_version)
		return;
	caps->list_registers =
		(uint8_t)hc_min(hc_bits(read_vtr(), v3 ? 4 : 5, 0) + 1, A64_LIST_REGISTERS);
	caps->priority_bits = (uint8_t)hc_min(preemption_bits(), v3 ? 7 : 5);
	caps->aprs = (uint8_t)(1u << (caps->priority_bits - 5));
}

/* A guest physical address space beyond 1 TiB would cost each walk another level. */
#define GPA_BITS 40

static void detect(struct el2_caps *caps)
{
	static const uint8_t widths[] = { 32, 36, 40, 42, 44, 48 };
	unsigned parange = a64_host_field(A64_ID_AA64MMFR0, 0);

	caps->vhe = (el2_hw_read(EL2_HCR_EL2) & HCR_E2H) != 0;
	caps->ras = a64_host_field(A64_ID_AA64PFR0, 28) != 0;
	caps->parange = (uint8_t)hc_min(parange, HC_ARRAY_SIZE(widths) - 1);
	caps->gpa_bits = (uint8_t)hc_min(widths[caps->parange], GPA_BITS);
	caps->vmid_bits = a64_host_field(A64_ID_AA64MMFR1, 4) == 2 ? 16 : 8;
	caps->breakpoints = (uint8_t)(a64_host_field(A64_ID_AA64DFR0, 12) + 1);
	caps->watchpoints = (uint8_t)(a64_host_field(A64_ID_AA64DFR0, 20) + 1);
	caps->hcr = guest_hcr(caps);
	caps->mdcr = guest_mdcr();
	detect_cptr(caps);
	detect_gic(caps);
}

static void describe(struct hc_backend_info *info)
{
	const struct el2_caps *c = &el2_caps;

	info->max_vcpus = 0;
	info->gpa_bits = c->gpa_bits;
	info->gic_version = c->gic_version;
	info->gic_list_registers = c->list_registers;
	info->gic_priority_bits = c->priority_bits;
	info->gicv = el2_host.gicv;
	if (c->gic_version)
		hc_snprintf(info->reason, sizeof(info->reason),
		            "EL2%s, %u-bit VMIDs, GICv%u with %u list registers",
		            c->vhe ? " with VHE" : "", c->vmid_bits, c->gic_version,
		            c->list_registers);
	else
		hc_snprintf(info->reason, sizeof(info->reason),
		            "EL2%s, %u-bit VMIDs, no interrupt controller for guests",
		            c->vhe ? " with VHE" : "", c->vmid_bits);
}

static int run_selftest(const char **why)
{
	struct el2_cpu c = { 0 };

	(void)el2_cpu_switch_on(&c, hc_platform_this_cpu()->id);
	int rc = el2_selftest(why);

	el2_cpu_switch_off(&c);
	return rc;
}

/* Asked again for every VM: on a CPU that is enabled, the test guest ran before it was. */
int el2_probe(struct hc_backend_info *info)
{
	struct el2_caps caps = { 0 };
	const char *why;
	int rc = usable(&why);

	if (!rc && !hc_platform_this_cpu()->backend_data) {
		detect(&caps);
		el2_caps = caps;
		rc = run_selftest(&why);
	}
	if (rc)
		hc_snprintf(info->reason, sizeof(info->reason), "%s", why);
	else
		describe(info);
	return rc;
}

static bool same_as_boot_cpu(const struct el2_caps *here)
{
	const struct el2_caps *boot = &el2_caps;

	return here->hcr == boot->hcr && here->cptr_open == boot->cptr_open &&
	       here->parange >= boot->parange && here->vmid_bits >= boot->vmid_bits &&
	       here->list_registers >= boot->list_registers && here->aprs == boot->aprs &&
	       here->breakpoints >= boot->breakpoints && here->watchpoints >= boot->watchpoints;
}

int el2_cpu_enable(struct hc_cpu *cpu)
{
	struct el2_caps here = { 0 };
	const char *why;
	int rc = usable(&why);

	if (rc)
		return hc_error(rc, "el2: CPU %u: %s", cpu->id, why);
	detect(&here);
	if (!same_as_boot_cpu(&here))
		return hc_error(-EOPNOTSUPP, "el2: CPU %u has other features than the boot CPU",
		                cpu->id);
	return hc_cpu_switch_on(cpu, "el2", sizeof(struct el2_cpu), el2_cpu_switch_on);
}

void el2_cpu_disable(struct hc_cpu *cpu)
{
	hc_cpu_switch_off(cpu, sizeof(struct el2_cpu), el2_cpu_switch_off);
}
