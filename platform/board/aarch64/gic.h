/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's interrupt controller: GICv3 (IHI 0069) or GICv2 (IHI 0048), at EL2.
 *
 * Everything is in one group (1, or what a version 2 controller gives non-secure software) and of
 * one priority. Ending an interrupt is split in two (EOImode 1): the priority is dropped at once,
 * and the interrupt is deactivated when its function has run, or by the guest that it belongs to.
 */
#ifndef PLATFORM_BOARD_AARCH64_GIC_H
#define PLATFORM_BOARD_AARCH64_GIC_H

#include <hypercore/types.h>

struct board_cpu;
struct board_tree;
struct board_irq;

/* Called with interrupts masked when the interrupt was acknowledged on the calling CPU. True: it
 * stays active, and somebody else will deactivate it. A level must be gone when it returns false,
 * or the interrupt comes again at once. */
typedef bool (*board_irq_fn)(void *arg);

/* Boot CPU, after paging_start(), before gic_init_cpu(): maps the controller, silences it, and
 * fills el2_host in. -ENODEV: there is none that can be used; explained. */
int gic_init(const struct board_tree *tree);

/* Each CPU, before its first interrupt; c: the calling CPU's own struct, with cpu.id and cpu.hw_id
 * filled in. Enables the kick on this CPU. -ENODEV: none of the redistributors is this CPU's;
 * explained. */
int gic_init_cpu(struct board_cpu *c);

/* Makes fn the interrupt's function. Start-up only, boot CPU. A shared one (32 and up) is
 * configured and will go to the calling CPU; a private one has one function for all CPUs. Not
 * enabled yet. The same again is fine: devices share lines. -EINVAL: the controller has no such
 * interrupt; -EBUSY: it has another function; explained. */
int board_irq_register(const struct board_irq *irq, board_irq_fn fn, void *arg);

/* Private ones: on the calling CPU. */
void board_irq_enable(unsigned intid);
void board_irq_disable(unsigned intid);

/* Interrupts cpu: its hc_platform_idle() and its guest end. Any CPU. */
void gic_send_kick(const struct board_cpu *cpu);

/* What gic_send_stop() makes run on each of the other CPUs; never to return. */
void gic_on_stop(void (*fn)(void));
void gic_send_stop(void);

/* For the vector of IRQ at EL2: acknowledges, runs the function, ends. */
void gic_handle_irq(void);

/* "GICv3", for the banner. */
const char *gic_name(void);

#endif
