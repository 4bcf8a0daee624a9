/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/irq.h"

#include "core/log.h"
#include "core/vm.h"

int hc_irq_add_sink(struct hc_vm *vm, hc_irq_sink_fn fn, void *dev)
{
	struct hc_irq_router *r = &vm->irq;

	if (r->sink_count == HC_IRQ_MAX_SINKS)
		return hc_error(-ENOSPC, "vm %s: more than %d interrupt controllers", vm->name,
		                HC_IRQ_MAX_SINKS);
	r->sinks[r->sink_count].fn = fn;
	r->sinks[r->sink_count].dev = dev;
	r->sink_count++;
	return 0;
}

void hc_irq_set(struct hc_vm *vm, unsigned line, bool level)
{
	struct hc_irq_router *r = &vm->irq;

	if (line >= HC_IRQ_LINES || (r->levels >> line & 1) == level)
		return;
	r->levels ^= HC_BIT(line);
	r->edges[line]++;
	for (unsigned i = 0; i < r->sink_count; i++)
		r->sinks[i].fn(r->sinks[i].dev, line, level);
}

void hc_irq_pulse(struct hc_vm *vm, unsigned line)
{
	hc_irq_set(vm, line, true);
	hc_irq_set(vm, line, false);
}

void hc_irq_message(struct hc_vm *vm, uint64_t address, uint32_t data)
{
	vm->arch->deliver_msi(vm, address, data);
}

void hc_irq_set_extint_source(struct hc_vm *vm, int (*ack)(void *dev), void *dev)
{
	vm->irq.extint_ack = ack;
	vm->irq.extint_dev = dev;
}

/* Wired to CPU 0 as on a PC: there it is LINT0, or INTR with the local APIC off. */
void hc_irq_set_extint(struct hc_vm *vm, bool level)
{
	if (atomic_exchange(&vm->irq.extint_level, level) != level && level)
		hc_vcpu_request(vm->vcpus[0], HC_REQ_EVENT);
}

bool hc_irq_extint_pending(struct hc_vm *vm)
{
	return atomic_load_explicit(&vm->irq.extint_level, memory_order_acquire);
}

int hc_irq_extint_ack(struct hc_vm *vm)
{
	int vector = -ENOENT;

	hc_dev_lock(vm);
	if (vm->irq.extint_ack)
		vector = vm->irq.extint_ack(vm->irq.extint_dev);
	hc_dev_unlock(vm);
	return vector;
}

int hc_irq_add_eoi_sink(struct hc_vm *vm, hc_irq_eoi_fn fn, void *dev)
{
	if (vm->eoi_sink_count == HC_IRQ_MAX_SINKS)
		return hc_error(-ENOSPC, "vm %s: more than %d EOI sinks", vm->name,
		                HC_IRQ_MAX_SINKS);
	vm->eoi_sinks[vm->eoi_sink_count].fn = fn;
	vm->eoi_sinks[vm->eoi_sink_count].dev = dev;
	vm->eoi_sink_count++;
	return 0;
}

void hc_irq_broadcast_eoi(struct hc_vm *vm, unsigned vector)
{
	hc_dev_lock(vm);
	for (unsigned i = 0; i < vm->eoi_sink_count; i++)
		vm->eoi_sinks[i].fn(vm->eoi_sinks[i].dev, vector);
	hc_dev_unlock(vm);
}
