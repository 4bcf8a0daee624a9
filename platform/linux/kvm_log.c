/* SPDX-License-Identifier: BSD-2-Clause */
/* The dirty log of what KVM's vCPUs write: KVM keeps it, a bitmap for each slot. */
#include <string.h>

#include "core/log.h"
#include "platform/linux/kvm_internal.h"

static const struct hc_slot *slot_of(struct hc_vm *vm, unsigned number)
{
	const struct hc_slot *slot = hc_mem_slot(&vm->memory, kvm_vm_of(vm)->slot_gpa[number]);

	return slot->flags & HC_SLOT_READONLY ? NULL : slot;
}

/* Of all slots that KVM has; others get the flag when they are given to it. */
static int set_flag(struct hc_vm *vm, bool log)
{
	struct kvm_vm *k = kvm_vm_of(vm);
	unsigned count = atomic_load(&k->slots_seen);
	int rc = 0;

	k->logs = log;
	for (unsigned i = 0; !rc && i < count; i++) {
		const struct hc_slot *slot = slot_of(vm, i);

		rc = slot ? kvm_give_slot(k, i, slot) : 0;
	}
	return rc;
}

/* Of whole words of 64 bits: as much as KVM writes. */
static size_t bitmap_size(const struct hc_slot *slot)
{
	return (size_t)(hc_bitmap_words(slot->size / HC_PAGE_SIZE) * sizeof(uint64_t));
}

void kvm_log_free(struct kvm_vm *k)
{
	if (k->bitmap)
		hc_platform_free(k->bitmap, k->bitmap_size);
	k->bitmap = NULL;
}

void kvm_log_stop(struct hc_vm *vm)
{
	(void)set_flag(vm, false);
	kvm_log_free(kvm_vm_of(vm));
}

/* Its tables are not ours to search: there is nothing but what it tells. */
int kvm_log_start(struct hc_vm *vm)
{
	struct kvm_vm *k = kvm_vm_of(vm);

	k->bitmap_size = 0;
	for (unsigned i = 0; i < vm->memory.count; i++)
		k->bitmap_size = hc_max(k->bitmap_size, bitmap_size(&vm->memory.slots[i]));
	k->bitmap = hc_platform_alloc(k->bitmap_size);
	if (!k->bitmap)
		return hc_error(-ENOMEM, "kvm: no memory for a dirty log of VM %s", vm->name);
	int rc = set_flag(vm, true);

	if (!rc)
		return 1;
	kvm_log_stop(vm);
	return hc_error(rc, "kvm: KVM_MEM_LOG_DIRTY_PAGES for VM %s: %s", vm->name, strerror(-rc));
}

static int collect_slot(struct hc_vm *vm, unsigned number)
{
	struct kvm_vm *k = kvm_vm_of(vm);
	const struct hc_slot *slot = slot_of(vm, number);
	struct kvm_dirty_log log = { .slot = number, .dirty_bitmap = k->bitmap };

	if (!slot)
		return 0;
	int rc = kvm_ioctl(k->fd, KVM_GET_DIRTY_LOG, &log);

	if (rc < 0)
		return hc_error(rc, "kvm: KVM_GET_DIRTY_LOG for VM %s: %s", vm->name,
		                strerror(-rc));
	hc_dirty_merge(vm, gpa_of(slot->gpa), k->bitmap, slot->size / HC_PAGE_SIZE);
	return 0;
}

int kvm_log_collect(struct hc_vm *vm)
{
	unsigned count = atomic_load(&kvm_vm_of(vm)->slots_seen);
	int rc = 0;

	for (unsigned i = 0; !rc && i < count; i++)
		rc = collect_slot(vm, i);
	return rc;
}
