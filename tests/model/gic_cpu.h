/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of the virtual CPU interface (IHI 0069 4.8, 5, 12.3, 12.4; IHI 0048 5): list registers,
 * ICV_IAR, ICV_EOIR, ICV_DIR, ICV_RPR, active priorities, maintenance conditions. GICV of version 2
 * does the same on other encodings: with v2 set, an SGI's source is part of its number.
 *
 * It checks that what it is given is what the architecture allows, and notes what is not.
 */
#ifndef TESTS_MODEL_GIC_CPU_H
#define TESTS_MODEL_GIC_CPU_H

#include <hypercore/a64_state.h>

struct model_gic {
	struct a64_gic_cpu r;
	unsigned list_registers, priority_bits;
	bool v2;
	/* A linked interrupt was deactivated. */
	void (*deactivated)(struct model_gic *m, unsigned intid);
	const char *complaint; /* the first thing that was wrong, or NULL */
};

#define MODEL_GIC_SPURIOUS 1023u

/* Takes the registers over, as an entry does. */
void model_gic_load(struct model_gic *m, const struct a64_gic_cpu *registers);

/* 256: nothing is active. */
unsigned model_gic_running(const struct model_gic *m);

/* Is an interrupt of that group signalled to the vCPU? */
bool model_gic_signalled(const struct model_gic *m, unsigned group);

/* ICV_IAR0 or ICV_IAR1: the number, with the source from bit 10 on, or MODEL_GIC_SPURIOUS. */
unsigned model_gic_acknowledge(struct model_gic *m, unsigned group);

/* ICV_EOIR0 or ICV_EOIR1; ICV_DIR. */
void model_gic_end(struct model_gic *m, unsigned group, unsigned number);
void model_gic_deactivate(struct model_gic *m, unsigned number);

/* ICH_MISR_EL2, of which what ICH_HCR_EL2 enables is shown; nonzero: the interrupt is asserted. */
uint32_t model_gic_maintenance(const struct model_gic *m);

/* Fields of ICH_VMCR_EL2 that the guest sets by registers of their own. */
void model_gic_set_mask(struct model_gic *m, unsigned priority);
void model_gic_set_group(struct model_gic *m, unsigned group, bool on);
void model_gic_set_binary_point(struct model_gic *m, unsigned group, unsigned point);
void model_gic_set_common(struct model_gic *m, bool cbpr);
void model_gic_set_eoi_mode(struct model_gic *m, bool split);

/* The bits of a priority that decide about preemption in that group. */
unsigned model_gic_group_mask(const struct model_gic *m, unsigned group);

#endif
