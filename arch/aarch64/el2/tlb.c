/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMIDs and stale translations (Arm ARM D8.14).
 *
 * A VM has one VMID, on all CPUs, for that is what broadcast invalidations go by. They are handed
 * out in order, to VMs whose vCPUs come to a CPU; when none is left a new generation begins with an
 * invalidation of all. Those that CPUs use at that moment stay with their VMs, and are not handed
 * out in it. A CPU says which it uses (active_vmid) before it uses it:
 *
 *    load:     if VM's is of this generation, and no rollover took active_vmid: active_vmid = VM's;
 *              else under the lock
 *    rollover: takes each CPU's active_vmid, leaves 0, and keeps what it took in reserved
 *
 * A CPU whose active_vmid was taken goes on with what is in VTTBR_EL2, and takes the lock at its
 * next load().
 *
 * VMIDs keep guests apart, not the vCPUs of one guest, whose TLBs are one to a CPU that runs both:
 * it forgets its own entries of the VM when another of the VM's vCPUs comes.
 */
#include "arch/aarch64/el2/internal.h"
#include "core/vm.h"
#include "mmu/vmsav8.h"

/* A VMID with its generation, which counts in steps of this. VMID 0 is the self-test's. */
#define GENERATION   HC_BIT(16)
#define VMID_OF(tag) ((uint16_t)(tag))

/* More pages than this are not invalidated one by one. */
#define MAX_PAGES 16

static struct {
	struct hc_lock lock;
	_Atomic uint64_t generation; /* a multiple of GENERATION, never 0 */
	uint32_t next;
} vmids = { .generation = GENERATION, .next = 1 };

uint64_t el2_vtcr(const struct s2 *s2)
{
	return vmsav8_vtcr(s2, el2_caps.parange) | (el2_caps.vmid_bits == 16 ? VTCR_VS : 0);
}

static uint64_t vttbr_of(const struct el2_vm *vm, uint64_t tag)
{
	return vm->root | (uint64_t)VMID_OF(tag) << 48;
}

static bool is_current(uint64_t tag)
{
	return tag && !((tag ^ atomic_load(&vmids.generation)) & ~(GENERATION - 1));
}

/* The n-th CPU that runs guests, or NULL: it was disabled. */
static struct el2_cpu *nth_cpu(unsigned n)
{
	return el2_cpu_of(hc_sched_cpu(n));
}

static bool is_reserved(uint32_t vmid)
{
	for (unsigned i = 0; i < hc_sched_cpu_count(); i++) {
		const struct el2_cpu *cpu = nth_cpu(i);

		if (cpu && cpu->reserved && VMID_OF(cpu->reserved) == vmid)
			return true;
	}
	return false;
}

/* Lock held. Whether a CPU still uses a VMID of an older generation. */
static bool is_in_use(uint64_t tag)
{
	for (unsigned i = 0; i < hc_sched_cpu_count(); i++) {
		const struct el2_cpu *cpu = nth_cpu(i);

		if (tag && cpu && cpu->reserved == tag)
			return true;
	}
	return false;
}

/* Lock held. The CPUs that use `from` go on with it, by another name. */
static void rename_reserved(uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < hc_sched_cpu_count(); i++) {
		struct el2_cpu *cpu = nth_cpu(i);

		if (cpu && cpu->reserved == from)
			cpu->reserved = to;
	}
}

/* Lock held. A CPU that did not load anything since the last one still uses what was reserved for
 * it then. */
static void roll_over(void)
{
	atomic_fetch_add(&vmids.generation, GENERATION);
	for (unsigned i = 0; i < hc_sched_cpu_count(); i++) {
		struct el2_cpu *cpu = nth_cpu(i);
		uint64_t tag = cpu ? atomic_exchange(&cpu->active_vmid, 0) : 0;

		if (tag)
			cpu->reserved = tag;
	}
	vmids.next = 1;
	el2_hw_tlbi_all();
}

/* Lock held. There are more VMIDs than CPUs. */
static uint64_t new_tag(uint64_t old)
{
	uint32_t limit = 1u << el2_caps.vmid_bits;
	uint64_t kept = atomic_load(&vmids.generation) | VMID_OF(old);

	if (is_in_use(old)) {
		rename_reserved(old, kept);
		return kept;
	}
	for (;;) {
		while (vmids.next < limit && is_reserved(vmids.next))
			vmids.next++;
		if (vmids.next < limit)
			return atomic_load(&vmids.generation) | vmids.next++;
		roll_over();
	}
}

static __attribute__((noinline)) uint64_t renew(struct el2_vm *ev, struct el2_cpu *cpu)
{
	bool irq = hc_lock_irq(&vmids.lock);
	uint64_t tag = atomic_load(&ev->vmid);

	if (!is_current(tag)) {
		tag = new_tag(tag);
		atomic_store(&ev->vmid, tag);
	}
	cpu->reserved = 0;
	atomic_store(&cpu->active_vmid, tag);
	hc_unlock_irq(&vmids.lock, irq);
	return tag;
}

/* Without the lock only while no rollover took the CPU's active_vmid away. */
static uint64_t use_vmid(struct el2_vm *ev, struct el2_cpu *cpu)
{
	uint64_t active = atomic_load(&cpu->active_vmid), tag = atomic_load(&ev->vmid);

	if (!active || !is_current(tag))
		return renew(ev, cpu);
	/* A rollover from here on finds what the CPU goes on using. */
	if (active == tag || atomic_compare_exchange_strong(&cpu->active_vmid, &active, tag))
		return tag;
	return renew(ev, cpu);
}

static void forget_other_vcpu(struct el2_vcpu *vcpu, struct el2_vm *vm, unsigned cpu)
{
	struct el2_vcpu *last = atomic_load_explicit(&vm->last[cpu], memory_order_relaxed);

	if (last == vcpu)
		return;
	if (last)
		el2_hw_tlbi_local();
	atomic_store_explicit(&vm->last[cpu], vcpu, memory_order_relaxed);
}

void el2_tlb_load(struct hc_vcpu *vcpu, struct el2_cpu *cpu)
{
	struct el2_vm *vm = el2_vcpu_of(vcpu)->vm;
	uint64_t vttbr = vttbr_of(vm, use_vmid(vm, cpu));

	if (cpu->vttbr != vttbr || cpu->vtcr != vm->vtcr) {
		el2_hw_write(EL2_VTCR_EL2, cpu->vtcr = vm->vtcr);
		el2_hw_write(EL2_VTTBR_EL2, cpu->vttbr = vttbr);
		el2_hw_isb();
	}
	forget_other_vcpu(el2_vcpu_of(vcpu), vm, cpu->id);
}

/* VTTBR_EL2 is vttbr: nobody else hands the VMID out meanwhile. */
static void invalidate_now(gpa_t gpa, uint64_t size)
{
	if (size <= MAX_PAGES * HC_PAGE_SIZE)
		el2_hw_tlbi_ipa(gpa, (unsigned)(size / HC_PAGE_SIZE));
	else
		el2_hw_tlbi_vmall();
}

/* A VMID of an older generation that no CPU uses has nothing in any TLB. */
void el2_invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	struct el2_vm *ev = el2_vm_of(vm);

	if (!ev)
		return; /* the VM is being made: nothing has run */
	bool irq = hc_lock_irq(&vmids.lock);
	uint64_t tag = atomic_load(&ev->vmid);

	if (is_current(tag) || is_in_use(tag)) {
		uint64_t before = el2_hw_read(EL2_VTTBR_EL2);

		el2_hw_write(EL2_VTTBR_EL2, vttbr_of(ev, tag));
		el2_hw_isb();
		invalidate_now(gpa, size);
		el2_hw_write(EL2_VTTBR_EL2, before);
		el2_hw_isb();
	}
	hc_unlock_irq(&vmids.lock, irq);
}

/* What is written goes through the caches, which a guest does not look at before it has switched
 * its own on (D5.10.2, "Effects of caches in a guest"). */
void el2_written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	for (uint64_t done = 0, n; done < size; done += n) {
		uint64_t at = gpa.v + done;
		const void *p = hc_mem_ptr(vm, gpa_of(at), size - done, false);

		/* All of the rest if it is in one slot; a page is never in two. */
		n = p ? size - done : hc_min(size - done, HC_PAGE_SIZE - at % HC_PAGE_SIZE);
		p = p ? p : hc_mem_ptr(vm, gpa_of(at), n, false);
		if (p)
			el2_hw_clean(p, n);
	}
}
