/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an AArch64 machine tells about itself: struct board_tree, filled in from its device tree
 * (Devicetree Specification 0.4) by fdt.c, or from ACPI's tables by acpi_tree.c, so that the
 * drivers know of neither.
 *
 * The tree is the boot loader's and not trusted: whatever it says is checked, and a tree that is
 * truncated or contradicts itself is refused with the name of the node.
 */
#ifndef PLATFORM_BOARD_FDT_H
#define PLATFORM_BOARD_FDT_H

#include "platform/board/boot_info.h"
#include "platform/board/pci_serial.h"
#include "platform/board/ranges.h"

#define BOARD_TREE_CPUS    256
#define BOARD_TREE_UARTS   8
#define BOARD_TREE_REDISTS 16

/* An interrupt of the GIC. */
struct board_irq {
	uint32_t intid; /* 16 .. 31: PPI, 32 .. 1019: SPI; 0: there is none */
	bool edge;      /* else level */
};

/* How a CPU is started. */
enum board_cpu_method {
	BOARD_CPU_NONE,      /* it cannot be: the boot CPU alone may be like that */
	BOARD_CPU_PSCI,      /* CPU_ON with its MPIDR */
	BOARD_CPU_SPIN_TABLE /* it polls the 8 bytes at release */
};

struct board_tree_cpu {
	uint64_t mpidr;   /* Aff3..Aff0 where MPIDR_EL1 has them, nothing else */
	uint64_t release; /* spin table: physical address, a multiple of 8 */
	uint64_t redist;  /* GICR by ACPI's GICC; 0: in one of gic.redists */
	uint8_t method;   /* enum board_cpu_method */
};

enum board_psci { BOARD_PSCI_NONE, BOARD_PSCI_SMC, BOARD_PSCI_HVC };

enum board_uart_kind {
	BOARD_UART_PL011,
	BOARD_UART_SBSA, /* a PL011 whose line parameters are not to be touched */
	BOARD_UART_8250
};

struct board_uart {
	uint64_t base, size;
	struct board_irq irq; /* none too if it goes through a nexus (interrupt-map) */
	uint32_t clock_hz;    /* 0: not known, the divisor is as firmware left it */
	uint8_t kind;         /* enum board_uart_kind */
	uint8_t reg_shift;    /* 8250: register n is at base + (n << reg_shift) ... */
	uint8_t io_width;     /* ... and accessed with 1, 2 or 4 bytes, 1 << reg_shift at most;
	                       * PL011: 2 or 4 */
};

struct board_gic {
	unsigned version; /* 2 or 3 (also for 4); 0: there is none */
	uint64_t dist, dist_size;
	/* Version 3: regions of redistributors, in the tree's order. */
	unsigned redist_count;
	struct {
		uint64_t base, size;
	} redists[BOARD_TREE_REDISTS];
	uint64_t redist_stride; /* 128 KiB to 1 GiB; 0: as GICR_TYPER says */
	/* Both: the CPU interface, the virtual interface control block and the virtual CPU
	 * interface. base 0: there is none (version 3 needs none of them). */
	uint64_t cpu, cpu_size;
	uint64_t gich, gich_size;
	uint64_t gicv, gicv_size;
	struct board_irq maintenance;
};

struct board_tree {
	char model[64];

	/* RAM, as the tree or the boot loader says; and what of it is not free: /memreserve/ and
	 * /reserved-memory with fixed places. no_map: must not be mapped either. The blob itself
	 * and the initrd are in neither. */
	struct ranges memory, reserved, no_map;

	/* /chosen */
	char bootargs[BOARD_MAX_CMDLINE];
	uint64_t initrd, initrd_size; /* size 0: there is none */

	/* Enabled CPUs, those beyond BOARD_TREE_CPUS only counted. */
	unsigned cpu_count, cpus_left_out;
	struct board_tree_cpu cpus[BOARD_TREE_CPUS];

	uint8_t psci; /* enum board_psci: the conduit */
	bool psci_02; /* version 0.2 or later: the standard function IDs, SYSTEM_OFF and the like */
	uint32_t psci_cpu_on; /* function ID */

	struct board_gic gic;

	/* Generic timer. */
	struct board_irq timer_virt, timer_hyp; /* EL1 virtual, EL2 */
	uint32_t timer_hz;                      /* 0: CNTFRQ_EL0 is right */

	/* The one that /chosen/stdout-path (SPCR) names first, if it names one of them; the others
	 * as they come. */
	unsigned uart_count;
	struct board_uart uarts[BOARD_TREE_UARTS];

	struct pci_host pci; /* the first bridge with I/O ports; ecam_size 0: there is none */

	uint64_t pl031; /* base of the real-time clock; 0: there is none */
};

/* The whole size that a blob's header claims, from its first BOARD_TREE_HEADER bytes. 0: this is no
 * device tree (or one of more than 2 MiB, which the boot protocol does not allow). */
#define BOARD_TREE_HEADER 40
uint64_t board_tree_size(const void *header);

/* Reads the blob of at most size bytes. Nothing points into it afterwards. memory: the RAM, if the
 * boot loader has said what there is: what the tree says of it, and the initrd and bootargs of
 * /chosen, are not looked at then, be they wrong or not there; NULL: the tree is the boot loader's
 * word. -EPROTO for a blob that is truncated or lies, -ENODEV if the machine lacks memory, a CPU,
 * an interrupt controller or a timer that the board can use, -E2BIG if it has more of something
 * than fits; explained. On failure *tree holds what was read until then: the UARTs are read first,
 * so that a console can say why. */
int board_tree_read(struct board_tree *tree, const void *blob, size_t size,
                    const struct ranges *memory);

/* Whether the board can use a machine like that, for those who fill a struct board_tree in: there
 * are a CPU, a GIC with all its parts, in whole pages outside of memory, and timers, whose
 * interrupts and the GIC's own are private to CPUs. -ENODEV: some of it is missing, -EPROTO: it
 * cannot be so; explained. */
int board_tree_check(const struct board_tree *tree);

#endif
