/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt routing between devices, interrupt controllers and vCPUs.
 *
 * Devices drive numbered lines (x86: ISA IRQ n is line n; the IOAPIC's pins beyond 15 follow).
 * Controllers register as sinks of lines; each line change goes to every sink. Controllers that
 * send messages (IOAPIC, MSI) hand them to the guest architecture.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <hypercore/types.h>

struct hc_vm;

#define HC_IRQ_LINES     64
#define HC_IRQ_MAX_SINKS 4

/* Called with the device lock held, only when the line's level changes. */
typedef void (*hc_irq_sink_fn)(void *dev, unsigned line, bool level);

struct hc_irq_router {
	struct {
		hc_irq_sink_fn fn;
		void *dev;
	} sinks[HC_IRQ_MAX_SINKS];
	unsigned sink_count;
	uint64_t levels; /* bit n: line n is asserted */
	uint64_t edges[HC_IRQ_LINES];

	/* The 8259 pair's INTR output and how to acknowledge it. */
	int (*extint_ack)(void *dev);
	void *extint_dev;
	_Atomic bool extint_level;
};

/* While the machine is built. -ENOSPC if there are too many. */
int hc_irq_add_sink(struct hc_vm *vm, hc_irq_sink_fn fn, void *dev);

/* Device lock held. Drives a line; line < HC_IRQ_LINES. */
void hc_irq_set(struct hc_vm *vm, unsigned line, bool level);

/* Device lock held. High then low: an edge. */
void hc_irq_pulse(struct hc_vm *vm, unsigned line);

/* Device lock held. Sends a message-signalled interrupt: x86: the address and data formats of SDM
 * Vol. 3A 10.11. Goes to hc_arch_ops.deliver_msi. */
void hc_irq_message(struct hc_vm *vm, uint64_t address, uint32_t data);

/* The legacy controller registers its acknowledge function (called with the device lock held;
 * returns the vector, as INTA does), and drives its INTR output (device lock held). */
void hc_irq_set_extint_source(struct hc_vm *vm, int (*ack)(void *dev), void *dev);
void hc_irq_set_extint(struct hc_vm *vm, bool level);

/* For the architecture: is INTR asserted, and the acknowledge cycle (takes the device lock). */
bool hc_irq_extint_pending(struct hc_vm *vm);
int hc_irq_extint_ack(struct hc_vm *vm);

/* For the architecture: a vCPU ended a level-triggered interrupt with this vector (takes the device
 * lock and tells every sink that registered for it). */
typedef void (*hc_irq_eoi_fn)(void *dev, unsigned vector);
int hc_irq_add_eoi_sink(struct hc_vm *vm, hc_irq_eoi_fn fn, void *dev);
void hc_irq_broadcast_eoi(struct hc_vm *vm, unsigned vector);

#endif
