/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPU does of the local APIC by itself (SDM Vol. 3C chapter 30). Its registers are kept in
 * the page that is the vCPU's virtual-APIC page.
 *
 * In xAPIC mode the CPU tells accesses to it by the host address that they lead to; in x2APIC mode,
 * by the numbers of MSRs that the bitmap lets pass. The two exclude each other.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/vmx/internal.h"
#include "mmu/stage2.h"

#define MSR_X2APIC 0x800u

/* MSRs whose effects the CPU knows (30.5): with the TPR shadow, and where it delivers interrupts.
 * Then it keeps PPR in the page, too. */
#define TPR_WRITES       X86_APIC_REG(APIC_TPR)
#define INTERRUPT_WRITES (X86_APIC_REG(APIC_EOI) | X86_APIC_REG(APIC_SELF_IPI))
#define INTERRUPT_READS  X86_APIC_REG(APIC_PPR)

/* --- A VM's pages --- */

static void open_x2apic(uint8_t *bitmap, uint64_t registers)
{
	uint8_t *bytes = bitmap + MSR_X2APIC / 8;

	for (unsigned i = 0; i < X86_APIC_REGS / 8; i++)
		bytes[i] = (uint8_t)(bytes[i] & ~(registers >> 8 * i));
}

/* Reads of what is not in the page exit still, as do those of registers that there are not: the CPU
 * would give what it finds in their place. ICR is in two pieces there. */
static int alloc_bitmap(struct vmx_vm *vm)
{
	vm->x2apic_bitmap = hc_platform_alloc_pages(0);
	if (!vm->x2apic_bitmap)
		return -ENOMEM;
	memcpy(vm->x2apic_bitmap, vm->msr_bitmap, HC_PAGE_SIZE);
	open_x2apic(vm->x2apic_bitmap, X86_X2APIC_PLAIN);
	open_x2apic(vm->x2apic_bitmap + VMX_BITMAP_WRITES, TPR_WRITES);
	if (vmx_caps.virtual_interrupts) {
		open_x2apic(vm->x2apic_bitmap, INTERRUPT_READS);
		open_x2apic(vm->x2apic_bitmap + VMX_BITMAP_WRITES, INTERRUPT_WRITES);
	}
	return 0;
}

/* To guests without an APIC there, the page reads as nothing does. */
int vmx_apic_alloc(struct vmx_vm *vm)
{
	if (!vmx_caps.apic_registers)
		return 0;
	vm->apic_access = hc_platform_alloc_pages(0);
	if (!vm->apic_access)
		return -ENOMEM;
	memset(vm->apic_access, 0xff, HC_PAGE_SIZE);
	return vmx_caps.x2apic_registers ? alloc_bitmap(vm) : 0;
}

void vmx_apic_free(struct vmx_vm *vm)
{
	if (vm->apic_access)
		hc_platform_free_pages(vm->apic_access, 0);
	if (vm->x2apic_bitmap)
		hc_platform_free_pages(vm->x2apic_bitmap, 0);
}

/* Whatever is mapped there for the guest's reads and writes is the CPU's to watch (30.4). */
int vmx_apic_map(struct s2 *s2, const struct vmx_vm *vm)
{
	if (!vm->apic_access)
		return 0;
	return s2_map(s2, gpa_of(X86_APIC_BASE), hc_platform_to_hpa(vm->apic_access), HC_PAGE_SIZE,
	              S2_R | S2_W);
}

/* --- Modes --- */

/* A CPU that does not watch the page must not let its guest write there; those of the VM that do
 * then exit for writes. */
static void count_unwatched(struct hc_vm *vm, bool more)
{
	struct vmx_vm *vmx = vmx_vm_of(vm);

	hc_lock(&vm->memory_lock);
	vmx->unwatched += more ? 1u : UINT32_MAX;
	/* One small page: there is nothing to split. */
	(void)s2_protect(&vm->s2, gpa_of(X86_APIC_BASE), HC_PAGE_SIZE,
	                 vmx->unwatched ? S2_R : S2_R | S2_W);
	hc_unlock(&vm->memory_lock);
}

/* A CPU that is to watch the page must not remember it from when it was not (29.4.4): what is known
 * under this VPID is dropped. */
static void change_watch(struct hc_vcpu *vcpu, bool watched)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	vv->unwatched = !watched;
	vv->vpid_generation = 0;
	count_unwatched(vcpu->vm, !watched);
}

static uint32_t controls_of(const struct x86_apic *apic)
{
	const uint64_t all =
		VMX_CPU2_APIC_ACCESSES | VMX_CPU2_APIC_REGISTERS | VMX_CPU2_VIRTUAL_INTERRUPTS;
	const uint64_t xapic = VMX_CPU2_APIC_ACCESSES, x2apic = VMX_CPU2_X2APIC_MODE;

	if (x86_apic_has_page(apic, X86_APIC_BASE))
		return vmx_caps.cpu2;
	if (x86_apic_is_x2apic(apic) && vmx_caps.x2apic_registers)
		return (vmx_caps.cpu2 & ~(uint32_t)xapic) | (uint32_t)x2apic;
	return vmx_caps.cpu2 & ~(uint32_t)all;
}

static void change_controls(struct hc_vcpu *vcpu, uint32_t controls)
{
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	bool x2apic = controls & VMX_CPU2_X2APIC_MODE;
	bool watched = controls & VMX_CPU2_APIC_ACCESSES;

	if (vmx_caps.posted_interrupts)
		vmx_hw_write(VMCS_PIN_BASED_CONTROLS,
		             controls & VMX_CPU2_VIRTUAL_INTERRUPTS
		                     ? vmx_caps.pin
		                     : vmx_caps.pin & ~(uint32_t)VMX_PIN_POSTED_INTR);
	vv->cpu2_controls = controls;
	vmx_hw_write(VMCS_SECONDARY_CONTROLS, controls);
	vmx_hw_write(VMCS_MSR_BITMAP,
	             hc_platform_to_hpa(x2apic ? vv->vm->x2apic_bitmap : vv->vm->msr_bitmap).v);
	if (vmx_caps.apic_registers && vv->unwatched == watched)
		change_watch(vcpu, watched);
}

/* Of the secondary controls those that change: by the local APIC's mode, the dirty log, the TSC's
 * factor. */
static void sync_cpu2(struct hc_vcpu *vcpu)
{
	const struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);
	uint32_t controls = controls_of(&x86_vcpu_of(vcpu)->apic);

	if (vmx_is_logging(vv))
		controls |= (uint32_t)VMX_CPU2_PML;
	if (x86_state_of(vcpu)->tsc_ratio)
		controls |= (uint32_t)VMX_CPU2_TSC_SCALING;
	if (vv->cpu2_controls != controls)
		change_controls(vcpu, controls);
}

/* The interrupts may be other ones as well: after INIT, or a stay on another backend. */
void vmx_sync_apic_mode(struct hc_vcpu *vcpu)
{
	sync_cpu2(vcpu);
	(void)vmx_show_interrupts(vcpu);
}

/* --- Interrupts --- */

static uint64_t tmr_part(const struct x86_apic *apic, unsigned i)
{
	uint64_t high = x86_apic_get(apic, APIC_TMR + 32 * i + 16);

	return high << 32 | x86_apic_get(apic, APIC_TMR + 32 * i);
}

/* Who is to hear of the end of which: those that came in level-triggered. */
static void sync_eoi_exits(struct vmx_vcpu *vv, const struct x86_apic *apic)
{
	for (uint32_t i = 0; i < HC_ARRAY_SIZE(vv->eoi_exits); i++) {
		uint64_t tmr = tmr_part(apic, i);

		if (vv->eoi_exits[i] == tmr)
			continue;
		vv->eoi_exits[i] = tmr;
		vmx_hw_write(VMCS_EOI_EXIT_BITMAP_0 + 2 * i, tmr);
	}
}

static uint64_t vector_or_0(int vector)
{
	return vector < 0 ? 0 : (uint64_t)vector;
}

/* RVI and SVI (25.4.2) are always the highest of IRR and ISR: the CPU keeps them so. */
bool vmx_show_interrupts(struct hc_vcpu *vcpu)
{
	const struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	if (!(vv->cpu2_controls & VMX_CPU2_VIRTUAL_INTERRUPTS))
		return false;
	sync_eoi_exits(vv, apic);
	vmx_hw_write(VMCS_GUEST_INTERRUPT_STATUS,
	             VMX_INTERRUPT_STATUS(vector_or_0(x86_apic_highest(apic, APIC_IRR)),
	                                  vector_or_0(x86_apic_highest(apic, APIC_ISR))));
	return true;
}

static void notify(struct hc_vcpu *vcpu)
{
	hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

/* The CPU of a vCPU that is in the guest merges what is posted, without an exit. An interrupt that
 * comes too late for that stays pending until the next entry; or the host takes it, and the vCPU
 * looks (hc_platform_post()); or the vCPU has left its CPU, which put() has found out. */
static void notify_cpu(struct hc_vcpu *vcpu)
{
	const struct vmx_vcpu *vv = hc_vcpu_part(vcpu, &vmx_backend);

	if (atomic_load(&vv->tlb.in_guest))
		hc_platform_post(vcpu->cpu);
	else
		hc_vcpu_request(vcpu, HC_REQ_EVENT);
}

/* A page for 64 bytes: Bochs refuses descriptors that do not begin one. */
int vmx_apic_start(struct x86_apic *apic)
{
	if (!vmx_caps.virtual_interrupts)
		return 0;
	apic->posted = hc_platform_alloc_pages(0);
	if (!apic->posted)
		return -ENOMEM;
	apic->notify = vmx_caps.posted_interrupts ? notify_cpu : notify;
	return 0;
}

void vmx_apic_end(struct x86_apic *apic)
{
	apic->notify = NULL;
	if (apic->posted)
		hc_platform_free_pages(apic->posted, 0);
	apic->posted = NULL;
}

/* Who posts, looks after that whether the vCPU is in the guest; it has left the guest, and looks
 * after that whether something is posted: one sees the other. */
void vmx_apic_put(struct hc_vcpu *vcpu)
{
	const struct x86_apic *apic = &x86_vcpu_of(vcpu)->apic;

	if (!vmx_caps.posted_interrupts)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&apic->posted->control))
		x86_request_event(vcpu);
}
