/* SPDX-License-Identifier: BSD-2-Clause */
/* What is intercepted, and the permission maps. */
#include <hypercore/freestanding.h>

#include "arch/x86_64/svm/internal.h"

/* A guest that spins runs about this many PAUSEs until others get a turn (15.14.4). */
#define PAUSE_COUNT 3000

static const struct {
	uint8_t intercept;
	const char *why;
} intercepts[] = {
	{ SVM_I_INTR, "physical interrupts are the host's" },
	{ SVM_I_NMI, "physical NMIs are the host's" },
	{ SVM_I_SMI, "taken by the host, not in the guest's state" },
	{ SVM_I_INIT, "does not reset the machine from inside a guest" },
	{ SVM_I_RDPMC, "the counters are the host's, and CPUID shows none" },
	{ SVM_I_CPUID, "answered by policy" },
	{ SVM_I_RSM, "a guest has no SMM" },
	{ SVM_I_INVD, "would drop others' dirty cache lines" },
	{ SVM_I_HLT, "others run meanwhile" },
	{ SVM_I_INVLPGA, "AMD-V is hidden" },
	{ SVM_I_IOIO, "ports are emulated" },
	{ SVM_I_MSR, "but for those that the map opens" },
	{ SVM_I_TASK_SWITCH, "hardware task switches cannot be finished without it (15.14.3)" },
	{ SVM_I_SHUTDOWN, "a triple fault ends the VM, not the machine" },
	{ SVM_I_VMRUN, "VMRUN insists (15.5.1)" },
	{ SVM_I_VMMCALL, "hypercalls" },
	{ SVM_I_VMLOAD, "AMD-V is hidden" },
	{ SVM_I_VMSAVE, "AMD-V is hidden" },
	{ SVM_I_STGI, "AMD-V is hidden" },
	{ SVM_I_CLGI, "AMD-V is hidden" },
	{ SVM_I_SKINIT, "AMD-V is hidden" },
	{ SVM_I_WBINVD, "flushes everybody's caches" },
	{ SVM_I_MONITOR, "hidden: idling goes through HLT" },
	{ SVM_I_MWAIT, "hidden" },
	{ SVM_I_XSETBV, "components are checked: the state has room for some only" },
	{ SVM_I_RDPRU, "reads the host's counters" },
	{ SVM_I_INVLPGB, "reaches other CPUs" },
	{ SVM_I_INVLPGB_ILLEGAL, "reaches other CPUs" },
	{ SVM_I_MCOMMIT, "hidden" },
	{ SVM_I_TLBSYNC, "reaches other CPUs" },
};

/* #DB and #AC can be made to recur for ever within their own delivery, with interrupts never
 * served: each round has to come out (CVE-2015-8104, CVE-2015-5307). #MC is the host's. */
#define EXCEPTIONS (1u << X86_VEC_DB | 1u << X86_VEC_AC | 1u << X86_VEC_MC)

void svm_vmcb_init(struct vmcb *vmcb, hpa_t iopm, hpa_t msrpm)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(intercepts); i++)
		svm_intercept(vmcb, intercepts[i].intercept, true);
	/* QEMU's CPUs do not check what is written to CR0, but VMRUN does. Bochs' (2.7) take PG
	 * without PE for real mode with paging (15.19), and stop at it (change_cpu_mode). */
	if (svm_caps.tcg || svm_caps.bochs)
		svm_intercept(vmcb, SVM_I_CR0_SEL_WRITE, true);
	vmcb->exceptions = EXCEPTIONS;
	/* CR4: the CPU may have more bits than CPUID shows the guest. CR8: the local APIC has to
	 * see TPR change; reads take V_TPR, kept up to date at entries. */
	vmcb->cr_write = 1u << 4 | 1u << 8;
	if (svm_caps.pause_filter) {
		svm_intercept(vmcb, SVM_I_PAUSE, true);
		vmcb->pause_count = PAUSE_COUNT;
	}
	vmcb->v_intr_control = SVM_V_INTR_MASKING;
	vmcb->iopm_pa = iopm.v;
	vmcb->msrpm_pa = msrpm.v;
	vmcb->np_control = SVM_NP_ENABLE;
}

/* MSRs that VMLOAD and VMSAVE or load() and put() switch: only these may be open. */
static const struct {
	uint32_t first, last;
} switched[] = {
	{ 0x174, 0x176 },           /* SYSENTER_CS, _ESP, _EIP */
	{ 0xc0000081, 0xc0000084 }, /* STAR, LSTAR, CSTAR, SFMASK */
	{ 0xc0000100, 0xc0000102 }, /* FS.base, GS.base, KernelGSBase */
	{ MSR_TSC_AUX, MSR_TSC_AUX },
};

static bool is_switched(uint32_t msr)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(switched); i++) {
		if (msr >= switched[i].first && msr <= switched[i].last)
			return msr != MSR_TSC_AUX || svm_caps.tsc_aux;
	}
	return false;
}

/* Number of the first of the MSR's two bits in the map, or -1 (15.11). */
static int msrpm_bit(uint32_t msr)
{
	static const uint32_t bases[] = { 0, 0xc0000000, 0xc0010000 };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(bases); i++) {
		if (msr - bases[i] < 0x2000)
			return (int)(i * 0x4000 + (msr - bases[i]) * 2);
	}
	return -1;
}

int svm_msrpm_bits(const uint8_t *msrpm, uint32_t msr)
{
	int bit = msrpm_bit(msr);

	return bit < 0 ? -1 : msrpm[bit / 8] >> (bit % 8) & 3;
}

static void open_msr(uint8_t *msrpm, uint32_t msr)
{
	int bit = msrpm_bit(msr);

	if (bit >= 0 && is_switched(msr))
		msrpm[bit / 8] = (uint8_t)(msrpm[bit / 8] & ~(3u << (bit % 8)));
}

void svm_msrpm_init(uint8_t *msrpm, const struct x86_msr_policy *policy, unsigned count)
{
	memset(msrpm, 0xff, SVM_MSRPM_SIZE);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(switched); i++) {
		for (uint32_t msr = switched[i].first; msr <= switched[i].last; msr++) {
			for (unsigned p = 0; p < count; p++) {
				if (policy[p].kind == X86_MSR_DIRECT && msr >= policy[p].first &&
				    msr <= policy[p].last)
					open_msr(msrpm, msr);
			}
		}
	}
}
