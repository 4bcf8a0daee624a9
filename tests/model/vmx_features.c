/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs that unit tests of the VT-x backend run on. */
#include "tests/model/vmx_cpu.h"

/* Allowed-0 and allowed-1 settings as a capability MSR has them. */
#define ALLOWED(must, may) ((uint64_t)(may) << 32 | (must))

/* Revision 2Bh, regions of 4 KiB, write-back, INS and OUTS in the instruction information, TRUE
 * MSRs. */
#define BASIC UINT64_C(0x00da10000000002b)

#define CR4_OLD UINT64_C(0x27ff) /* VME .. OSXMMEXCPT, VMXE */

/* EPT with 4 levels, UC and WB, 2 MiB pages, INVEPT of both types. */
#define EPT_PLAIN                                                                                  \
	(VMX_EPT_CAP_4_LEVELS | VMX_EPT_CAP_UC | VMX_EPT_CAP_WB | VMX_EPT_CAP_2M |                 \
	 VMX_EPT_CAP_INVEPT | VMX_EPT_CAP_INVEPT_ONE | VMX_EPT_CAP_INVEPT_ALL)

const struct model_features rig_restricted = {
	.rdtscp = true,
	.feature_control = VMX_FEATURE_CONTROL_LOCK | VMX_FEATURE_CONTROL_OUTSIDE_SMX,
	.caps = {
		.basic = BASIC,
		.pin = ALLOWED(0x16, 0x3f),
		.cpu = ALLOWED(0x04006172, 0xf7f9fffe),
		.cpu2 = ALLOWED(0, VMX_CPU2_APIC_ACCESSES | VMX_CPU2_EPT | VMX_CPU2_WBINVD),
		.exit = ALLOWED(0x36dfb, 0x3fffff),
		.entry = ALLOWED(0x11fb, 0xf3ff),
		.misc = 0x000401c0,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = UINT32_MAX,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = CR4_OLD,
		.ept_vpid = EPT_PLAIN,
		.phys_bits = 48,
		.linear_bits = 48,
	},
};

/* EPT without accessed and dirty flags or 1 GiB pages, no VPID, no XSAVE. */
const struct model_features rig_plain = {
	.rdtscp = true,
	.feature_control = VMX_FEATURE_CONTROL_LOCK | VMX_FEATURE_CONTROL_OUTSIDE_SMX,
	.caps = {
		.basic = BASIC,
		.pin = ALLOWED(0x16, 0x3f),
		.cpu = ALLOWED(0x04006172, 0xf7f9fffe),
		.cpu2 = ALLOWED(0, VMX_CPU2_APIC_ACCESSES | VMX_CPU2_EPT | VMX_CPU2_WBINVD |
		                           VMX_CPU2_UNRESTRICTED_GUEST),
		.exit = ALLOWED(0x36dfb, 0x3fffff),
		.entry = ALLOWED(0x11fb, 0xf3ff),
		.misc = 0x000401e0,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = UINT32_MAX,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = CR4_OLD,
		.ept_vpid = EPT_PLAIN,
		.phys_bits = 48,
		.linear_bits = 48,
	},
};

/* Like Bochs' corei7_skylake_x. */
const struct model_features rig_full = {
	.xsave = true,
	.avx512 = true,
	.rdtscp = true,
	.invpcid = true,
	.xsaves = true,
	.bochs = true,
	/* not locked: the backend does it */
	.caps = {
		.basic = BASIC,
		.pin = ALLOWED(0x16, 0xff),
		.cpu = ALLOWED(0x04006172, 0xfff9fffe),
		.cpu2 = ALLOWED(0, VMX_CPU2_APIC_ACCESSES | VMX_CPU2_EPT |
		                           VMX_CPU2_DESCRIPTOR_TABLE | VMX_CPU2_RDTSCP |
		                           VMX_CPU2_X2APIC_MODE | VMX_CPU2_VPID | VMX_CPU2_WBINVD |
		                           VMX_CPU2_UNRESTRICTED_GUEST | VMX_CPU2_APIC_REGISTERS |
		                           VMX_CPU2_VIRTUAL_INTERRUPTS | VMX_CPU2_PAUSE_LOOP |
		                           VMX_CPU2_RDRAND | VMX_CPU2_INVPCID | VMX_CPU2_VMFUNC |
		                           VMX_CPU2_VMCS_SHADOWING | VMX_CPU2_RDSEED |
		                           VMX_CPU2_PML | VMX_CPU2_XSAVES | VMX_CPU2_TSC_SCALING),
		.exit = ALLOWED(0x36dfb, 0x7fffff),
		.entry = ALLOWED(0x11fb, 0xf3ff),
		.misc = 0x7004c1e5,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = UINT32_MAX,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = CR4_OLD | X86_CR4_UMIP | HC_BIT(16) | X86_CR4_PCIDE | X86_CR4_OSXSAVE |
	                      X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE,
		.ept_vpid = EPT_PLAIN | VMX_EPT_CAP_EXEC_ONLY | VMX_EPT_CAP_1G | VMX_EPT_CAP_AD |
	                    VMX_EPT_CAP_INVVPID | VMX_EPT_CAP_INVVPID_ADDRESS |
	                    VMX_EPT_CAP_INVVPID_ONE | VMX_EPT_CAP_INVVPID_ALL | HC_BIT(43),
		.vmfunc = 1,
		.phys_bits = 48,
		.linear_bits = 48,
	},
};
