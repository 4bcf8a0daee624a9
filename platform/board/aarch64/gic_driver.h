/* SPDX-License-Identifier: BSD-2-Clause */
/* What gic.c and the two versions' files owe each other. */
#ifndef PLATFORM_BOARD_AARCH64_GIC_DRIVER_H
#define PLATFORM_BOARD_AARCH64_GIC_DRIVER_H

#include "platform/board/aarch64/cpu.h"
#include "platform/board/fdt.h"

/* Distributor registers that the versions share (IHI 0048 table 4-1, IHI 0069 12.8). Version 3 has
 * those of private interrupts at the same offsets in each redistributor's second frame. */
#define GICD_CTLR       0x000
#define GICD_TYPER      0x004
#define GICD_IGROUPR    0x080
#define GICD_ISENABLER  0x100
#define GICD_ICENABLER  0x180
#define GICD_ICPENDR    0x280
#define GICD_ISACTIVER  0x300
#define GICD_ICACTIVER  0x380
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR  0x800
#define GICD_ICFGR      0xc00
#define GICD_SGIR       0xf00

#define GIC_PPI_FIRST  16
#define GIC_SPI_FIRST  32
#define GIC_INTID_END  1020 /* special ones follow */
#define GIC_PRIORITY   0xa0 /* of everything */
#define GIC_PRIORITIES 0xa0a0a0a0u

/* Software-generated interrupts, which boards use among themselves. */
enum gic_sgi { GIC_SGI_KICK, GIC_SGI_STOP };

struct gic_driver {
	const char *name;
	uint32_t groups; /* GICD_IGROUPR of what is ours */
	/* Maps the controller; its shared interrupts are silenced by gic.c afterwards. */
	int (*init)(const struct board_tree *tree);
	void (*enable)(void);                 /* the distributor, after that */
	int (*init_cpu)(struct board_cpu *c); /* private interrupts are silenced by gic.c before */
	/* This CPU's redistributor. Version 2 has none: NULL. */
	int (*find_cpu)(struct board_cpu *c);
	uint32_t (*acknowledge)(void); /* also the source CPU of version 2's SGIs */
	void (*drop)(uint32_t acknowledged);
	void (*deactivate)(uint32_t acknowledged);
	void (*send_sgi)(const struct board_cpu *c, enum gic_sgi sgi);
	void (*target_this_cpu)(unsigned spi);
	/* Where the shared kind of registers of an interrupt is. */
	volatile uint8_t *(*bank)(unsigned intid);
	/* Waits until the other end has seen a disabled interrupt. */
	void (*wait)(unsigned intid);
};

extern const struct gic_driver gicv2_driver, gicv3_driver;

#endif
