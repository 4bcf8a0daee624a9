/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's interrupt controller: GICv3 (IHI 0069) or GICv2 (IHI 0048).
 *
 * Distributor and redistributors are emulated: they keep what is pending, active, enabled and where
 * it goes. The CPU interface is the hardware's virtual one (ICV_* registers, or GICV's page): what
 * the vCPU should see is put into list registers of its neutral state (struct a64_gic_cpu) before
 * an entry, and taken from there when something may have changed.
 *
 *    device line --> SPI --+                             +-- list register 0 --+
 *    timer line  --> PPI --+--> pending, enabled, -----> |        ...          |--> vCPU
 *    ICC_SGI1R   --> SGI --+    by priority, for vCPU    +-- list register n --+
 *
 * More than list registers hold: those of lower priority wait, and ICH_HCR_EL2.UIE tells when there
 * is room. A level that is still up when the guest ends its interrupt is made pending again: LR.EOI
 * tells. Interrupts of the physical machine that belong to the guest (its virtual timer's) are
 * linked by LR.HW: the guest's deactivation deactivates the physical one as well.
 *
 * Locking: one lock per controller, taken inside. Lines of devices come with the device lock held;
 * the order is device lock, controller's lock, run queue's lock.
 */
#ifndef ARCH_AARCH64_GIC_GIC_H
#define ARCH_AARCH64_GIC_GIC_H

#include "arch/aarch64/a64.h"

#define GIC_SPI_FIRST    32 /* INTID of the first shared interrupt; device line n is SPI n */
#define GIC_SPURIOUS     1023
#define GIC_V2_MAX_VCPUS 8 /* that a GICv2 can interrupt (IHI 0048) */

/* Sizes of the pages that the guest sees. */
#define GICD_SIZE_V2 UINT64_C(0x1000)
#define GICD_SIZE_V3 UINT64_C(0x10000)
#define GICR_SIZE    UINT64_C(0x20000) /* version 3: RD_base and SGI_base, 64 KiB each */
#define GICC_SIZE    UINT64_C(0x2000)  /* version 2 */

struct gic_config {
	unsigned version;        /* 2 or 3 */
	unsigned spis;           /* shared interrupts, a multiple of 32, at most HC_IRQ_LINES */
	unsigned list_registers; /* that the backend's CPUs have, 1 .. 16 */
	/* Bits of priority that preempt on its virtual interface, 5 .. 7 (IHI 0069,
	 * ICH_VTR_EL2.PREbits). The distributor keeps as many. */
	unsigned priority_bits;
	uint64_t dist;   /* GICD */
	uint64_t redist; /* v3: the first redistributor; the others follow */
};

/* Makes the VM's interrupt controller, adds its regions, and becomes the sink of device lines.
 * Before the VM starts; the vCPUs exist. -EINVAL, -ENOMEM, or an error of hc_bus_add. */
int gic_create(struct hc_vm *vm, const struct gic_config *config);

/* A private peripheral interrupt's line (16 .. 31) of vcpu. Any CPU. linked: while the level is up
 * the physical interrupt of the same number is active on the vCPU's CPU, and is to be deactivated
 * with the virtual one. */
void gic_set_ppi(struct hc_vcpu *vcpu, unsigned intid, bool level, bool linked);

/* Pinned, before an entry, when HC_REQ_EVENT was set: takes what the guest did from the list
 * registers and fills them. Makes group GIC valid. */
void gic_before_entry(struct hc_vcpu *vcpu);

/* Would the vCPU be interrupted, if PSTATE allowed it? For what ends WFI. Any CPU. */
bool gic_has_interrupt(struct hc_vcpu *vcpu);

/* ICC_SGI1R_EL1 (group 1), ICC_SGI0R_EL1 (0), ICC_ASGI1R_EL1 (2) were written. */
void gic_send_sgi(struct hc_vcpu *vcpu, uint64_t value, unsigned group);

/* ICC_DIR_EL1 was written, which traps (ICH_HCR_EL2.TDIR) while more is active than list registers
 * hold: the guest deactivates that interrupt. Where it does not trap, an SPI is deactivated on the
 * vCPU that acknowledged it only. */
void gic_deactivate(struct hc_vcpu *vcpu, uint64_t value);

/* ICC_SRE_EL1 and the like that trap are rows of arch/aarch64/sysregs.c, which call these. */

/* Version 2 where there is no virtual CPU interface in hardware: the guest's accesses to GICC,
 * at base, are carried out on the neutral state. Then nothing else changes group GIC while the
 * guest runs, and the backend shows the CPU gic_outputs(). An error of hc_bus_add. */
int gic_add_cpu_interface(struct hc_vm *vm, uint64_t base);

/* What such an interface asserts: GIC_OUTPUT_IRQ, GIC_OUTPUT_FIQ, 0 without a controller. The
 * vCPU's own CPU. */
#define GIC_OUTPUT_IRQ 1u
#define GIC_OUTPUT_FIQ 2u
unsigned gic_outputs(struct hc_vcpu *vcpu);

/* The virtual CPU interface as after reset. */
void gic_reset_cpu(struct hc_vcpu *vcpu);

/* The machine goes away. */
void gic_destroy(struct hc_vm *vm);

#endif
