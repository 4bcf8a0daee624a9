/* SPDX-License-Identifier: BSD-2-Clause */
/* The VT-x instructions but for the world switch. See hw.h. */
#include "arch/x86_64/vmx/hw.h"

#include "arch/x86_64/host/cpu.h"

#define MSR_SYSENTER_CS  0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_PAT          0x277u
#define MSR_EFER         0xc0000080u
#define MSR_FS_BASE      0xc0000100u
#define MSR_GS_BASE      0xc0000101u

/* VMfailInvalid sets CF, VMfailValid ZF (SDM Vol. 3C 31.2). */
static int result(bool cf, bool zf)
{
	if (cf)
		return -1;
	return zf ? (int)vmx_hw_read(VMCS_VM_INSTRUCTION_ERROR) : 0;
}

int vmx_hw_on(hpa_t region)
{
	bool cf, zf;

	__asm__ volatile("vmxon %2" : "=@ccc"(cf), "=@ccz"(zf) : "m"(region.v) : "memory");
	return result(cf, zf);
}

void vmx_hw_off(void)
{
	__asm__ volatile("vmxoff" : : : "cc", "memory");
}

int vmx_hw_clear(hpa_t vmcs)
{
	bool cf, zf;

	__asm__ volatile("vmclear %2" : "=@ccc"(cf), "=@ccz"(zf) : "m"(vmcs.v) : "memory");
	return result(cf, zf);
}

int vmx_hw_load(hpa_t vmcs)
{
	bool cf, zf;

	__asm__ volatile("vmptrld %2" : "=@ccc"(cf), "=@ccz"(zf) : "m"(vmcs.v) : "memory");
	return result(cf, zf);
}

int vmx_hw_invept(enum vmx_invept type, const struct vmx_invept_descriptor *d)
{
	bool cf, zf;

	__asm__ volatile("invept %2, %3"
	                 : "=@ccc"(cf), "=@ccz"(zf)
	                 : "m"(*d), "r"((uint64_t)type)
	                 : "memory");
	return result(cf, zf);
}

int vmx_hw_invvpid(enum vmx_invvpid type, const struct vmx_invvpid_descriptor *d)
{
	bool cf, zf;

	__asm__ volatile("invvpid %2, %3"
	                 : "=@ccc"(cf), "=@ccz"(zf)
	                 : "m"(*d), "r"((uint64_t)type)
	                 : "memory");
	return result(cf, zf);
}

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* Of the TSS descriptor that TR was loaded from (SDM Vol. 3A 7.2.3). */
static uint64_t tss_base(uint64_t gdt, uint16_t tr)
{
	const uint64_t *d = (const uint64_t *)(uintptr_t)(gdt + (tr & ~7u));

	return (d[0] >> 16 & 0xffffff) | (d[0] >> 56) << 24 | d[1] << 32;
}

void vmx_hw_read_host(struct vmx_host *host)
{
	struct table_pointer gdtr, idtr;

	host->cr0 = x86_host_read_cr0();
	__asm__ volatile("mov %%cr3, %0" : "=r"(host->cr3));
	host->cr4 = x86_host_read_cr4();
	host->efer = x86_host_rdmsr(MSR_EFER);
	host->pat = x86_host_rdmsr(MSR_PAT);
	host->fs_base = x86_host_rdmsr(MSR_FS_BASE);
	host->gs_base = x86_host_rdmsr(MSR_GS_BASE);
	host->sysenter_cs = (uint32_t)x86_host_rdmsr(MSR_SYSENTER_CS);
	host->sysenter_esp = x86_host_rdmsr(MSR_SYSENTER_ESP);
	host->sysenter_eip = x86_host_rdmsr(MSR_SYSENTER_EIP);
	__asm__ volatile("mov %%cs, %0" : "=rm"(host->cs));
	__asm__ volatile("mov %%ss, %0" : "=rm"(host->ss));
	__asm__ volatile("str %0" : "=rm"(host->tr));
	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	__asm__ volatile("sidt %0" : "=m"(idtr));
	host->gdtr_base = gdtr.base;
	host->idtr_base = idtr.base;
	host->tr_base = tss_base(gdtr.base, host->tr);
}
