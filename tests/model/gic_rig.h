/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM with an interrupt controller and vCPUs whose virtual CPU interfaces are models. They run in
 * turns: one is current, the others are between two exits, or have left their CPU.
 */
#ifndef TESTS_MODEL_GIC_RIG_H
#define TESTS_MODEL_GIC_RIG_H

#include "arch/aarch64/gic/gic.h"
#include "tests/model/gic_cpu.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define RIG_VCPUS 8

/* Where the pages are, and registers in them. */
#define RIG_DIST   UINT64_C(0x08000000)
#define RIG_REDIST UINT64_C(0x080a0000)

struct rig {
	struct a64_vm vm;
	struct a64_vcpu vcpu[RIG_VCPUS];
	struct model_gic hw[RIG_VCPUS];
	bool linked_level[RIG_VCPUS];  /* the virtual timer's output, INTID 27 */
	bool linked_active[RIG_VCPUS]; /* the physical interrupt */
	unsigned maintenance;          /* interrupts so far */
	uint64_t max_rounds;           /* most that were needed until there was none */
};

extern struct rig rig;

struct rig_config {
	unsigned version, cpus, list_registers, priority_bits, spis;
};

void rig_start(const struct rig_config *config);
void rig_stop(void); /* and checks that everything was given back and no model complained */

/* The vCPU becomes the one that runs; before, the last one leaves its CPU. What was requested of it
 * and of all others, which leave their guests for it, has been done when this returns: its guest's
 * next instruction can be modelled. */
void rig_enter(unsigned cpu);

/* Nobody is current. */
void rig_leave(void);

/* After the current vCPU's guest did something to its interface: maintenance interrupts. */
void rig_settle(void);

static inline struct model_gic *rig_hw(unsigned cpu)
{
	return &rig.hw[cpu];
}

/* The virtual timer of the current vCPU. */
void rig_set_linked(bool level);

/* Accesses of the current vCPU. */
uint64_t rig_read(uint64_t address, unsigned size);
void rig_write(uint64_t address, unsigned size, uint64_t value);

/* The address of a register that has a field for each interrupt, in the page where it is: that of
 * vCPU cpu for SGIs and PPIs of version 3. offset: 0x80, 0x100, ... bits: per interrupt. */
uint64_t rig_field(unsigned cpu, unsigned intid, unsigned offset, unsigned bits);

/* Bit of such a register with one bit each. */
bool rig_bit(unsigned cpu, unsigned intid, unsigned offset);
void rig_set_bit(unsigned cpu, unsigned intid, unsigned offset);

void rig_line(unsigned spi, bool level);

#endif
