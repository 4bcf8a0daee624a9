/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of the interrupt controller. Interrupts lie in banks of 32, a bit of each word and a
 * priority for each INTID: bank n is that of vCPU n's SGIs and PPIs (INTID 0 .. 31), those from
 * GIC_SPI_BANK on hold the SPIs. What a vCPU could take is so a few words, and nothing is queued.
 *
 * An interrupt that is in a list register is "listed". Its bits in latch and active are then as of
 * the moment when it was listed, and only the vCPU's own CPU learns what became of it; whoever
 * changes it meanwhile leaves the change in `again` and `forced` and pokes the vCPU.
 */
#ifndef ARCH_AARCH64_GIC_INTERNAL_H
#define ARCH_AARCH64_GIC_INTERNAL_H

#include "arch/aarch64/gic/gic.h"
#include "arch/aarch64/ich.h"
#include "core/device.h"

#define GIC_SPI_BANK  A64_MAX_VCPUS
#define GIC_SPI_BANKS (HC_IRQ_LINES / 32)
#define GIC_BANKS     (GIC_SPI_BANK + GIC_SPI_BANKS)
#define GIC_NOBODY    0xff /* in route and holder */
#define GIC_SGIS      16u

struct gic_bank {
	uint32_t group;   /* GICD_IGROUPR */
	uint32_t enabled; /* GICD_ISENABLER */
	uint32_t edge;    /* GICD_ICFGR: edge-triggered, not by level */
	uint32_t line;    /* the input is up */
	uint32_t latch;   /* pending by an edge, a message or software */
	uint32_t active;
	uint32_t linked; /* a physical interrupt stands behind it (LR.HW) */
	uint32_t listed; /* in a list register */
	uint32_t again;  /* became pending once more while listed */
	uint32_t forced; /* active was written while listed: the list register's is void */
	uint8_t priority[32];
	uint8_t running[32]; /* if active: the group priority that it was acknowledged with */
};

_Static_assert(sizeof(struct gic_bank) == 104, "saved as it is");

/* What is kept for a vCPU beyond its bank. Saved as it is. */
struct gic_private {
	uint8_t source[GIC_SGIS];        /* version 2: CPUs from which an SGI is pending */
	uint8_t source_again[GIC_SGIS];  /* the same while it is listed */
	uint8_t source_listed[GIC_SGIS]; /* the one that is listed or active */
	uint8_t lr_intid[A64_LIST_REGISTERS];
	uint16_t lr_used;    /* list registers that hold an interrupt */
	uint16_t lr_pending; /* of these, those that were pending when filled */
	uint8_t asleep;      /* GICR_WAKER.ProcessorSleep */
	uint8_t unused[3];
};

_Static_assert(sizeof(struct gic_private) == 72, "saved as it is");

struct gic_cpu {
	struct hc_vcpu *vcpu;
	struct gic_private *own;
	uint32_t affinity; /* Aff3.Aff2.Aff1.Aff0 */
	unsigned index;
	uint32_t routed[GIC_SPI_BANKS]; /* SPIs that go to it now */
	uint32_t held[GIC_SPI_BANKS];   /* SPIs that it has listed or active */
	_Atomic bool poked;             /* its list registers want to be looked at */
	_Atomic bool interrupted;       /* when that was last done, it might take an interrupt */
	bool recalled;                  /* something that it has listed was disabled */
	_Atomic uint32_t syncs;         /* times that the list registers were looked at */
};

struct gic {
	struct hc_device dev; /* first */
	struct gic_config config;
	struct hc_lock lock; /* of all that follows */
	uint32_t ctlr;       /* GICD_CTLR: EnableGrp0, EnableGrp1, E1NWF */
	uint32_t next;       /* where the last 1 of N interrupt went */
	bool quiet;          /* a run queue is locked: pokes are kept in */
	uint32_t kept;       /* a bit for each vCPU */
	struct gic_bank bank[GIC_BANKS];
	struct gic_private own[A64_MAX_VCPUS];
	uint64_t irouter[HC_IRQ_LINES]; /* version 3 */
	uint8_t targets[HC_IRQ_LINES];  /* version 2 */
	uint8_t route[HC_IRQ_LINES];    /* the vCPU that the SPI goes to, or GIC_NOBODY */
	uint8_t holder[HC_IRQ_LINES];   /* the vCPU that has it listed or active */
	uint32_t held[GIC_SPI_BANKS];   /* by anybody */
	struct gic_cpu cpu[A64_MAX_VCPUS];
};

/* GICD_CTLR (IHI 0069 12.9.4), as it is where there is one security state. */
#define GICD_CTLR_ENABLE_GRP0 UINT32_C(0x1)
#define GICD_CTLR_ENABLE_GRP1 UINT32_C(0x2)
#define GICD_CTLR_ARE         UINT32_C(0x10)
#define GICD_CTLR_DS          UINT32_C(0x40)
#define GICD_CTLR_E1NWF       UINT32_C(0x80)
#define GICD_CTLR_RWP         UINT32_C(0x80000000)

static inline struct gic *gic_of(const struct hc_vcpu *vcpu)
{
	return a64_vm_of(vcpu->vm)->gic;
}

static inline bool gic_is_v2(const struct gic *g)
{
	return g->config.version == 2;
}

static inline unsigned gic_spi_banks(const struct gic *g)
{
	return g->config.spis / 32;
}

/* The others have neither a vCPU nor SPIs: nothing in them is ever pending, active or enabled. */
static inline bool gic_bank_exists(const struct gic *g, unsigned bank)
{
	return bank < GIC_SPI_BANK ? bank < g->dev.vm->cpu_count
	                           : bank - GIC_SPI_BANK < gic_spi_banks(g);
}

/* The bank of INTIDs from 32 k on, as the vCPU of that index sees them. */
static inline unsigned gic_bank_index(unsigned vcpu, unsigned k)
{
	return k ? GIC_SPI_BANK + k - 1 : vcpu;
}

static inline unsigned gic_spi_bank_index(unsigned spi)
{
	return GIC_SPI_BANK + spi / 32;
}

/* The vCPU of this VM that the calling CPU handles an exit of, or NULL. */
static inline struct gic_cpu *gic_current(struct gic *g)
{
	struct hc_vcpu *vcpu = hc_vcpu_current();

	return vcpu && vcpu->vm == g->dev.vm ? &g->cpu[vcpu->id] : NULL;
}

static inline uint32_t gic_pending(const struct gic_bank *b)
{
	return b->latch | (b->line & ~b->edge);
}

/* Those that the distributor forwards (IHI 0069 4.1): pending, enabled, and so is their group. */
static inline uint32_t gic_forwarded(const struct gic *g, const struct gic_bank *b)
{
	uint32_t groups = (g->ctlr & GICD_CTLR_ENABLE_GRP0 ? ~b->group : 0) |
	                  (g->ctlr & GICD_CTLR_ENABLE_GRP1 ? b->group : 0);

	return gic_pending(b) & b->enabled & groups;
}

/* --- All below: with the controller's lock held --- */

/* lists.c. Takes what the guest did from the vCPU's list registers and fills them again. On its own
 * CPU while it is current, or while it does not run and nobody can let it. */
void gic_sync(struct gic *g, struct gic_cpu *c);

/* Forgets the list registers; what was in them is as it was when they were filled. */
void gic_unlist(struct gic *g, struct gic_cpu *c);

/* The same for another vCPU than the current one, if it does not run: then its list registers are
 * in its neutral state, or it is off and they do not matter. False: it runs. */
bool gic_sync_stopped(struct gic *g, struct gic_cpu *c);

/* What the virtual CPU interface makes of its registers; no lock. The bits of a priority that say
 * what preempts what (IHI 0069 4.8.6). */
unsigned gic_group_mask(const struct a64_gic_cpu *s, bool group1);

/* The number of a group priority, of which there are 32, 64 or 128: its bit in the active
 * priorities (12.4.3). */
static inline unsigned gic_group_number(const struct gic *g, unsigned priority)
{
	return priority >> (8 - g->config.priority_bits);
}

/* The priority of what the guest handles now, by the active priorities. 256: nothing. */
unsigned gic_running_priority(const struct gic *g, const struct a64_gic_cpu *s);

/* The list register of the most urgent pending interrupt of an enabled group, which is the only one
 * that counts (4.8.2, 4.8.3): what waits for a list register is less urgent. -1: there is none. */
int gic_highest_pending(const struct gic *g, const struct a64_gic_cpu *s);

/* The same if it interrupts what the guest handles now, or -1. */
int gic_signalled(const struct gic *g, const struct a64_gic_cpu *s);

/* PSCI's off: nothing is listed for it, and it takes part in nothing. */
static inline bool gic_is_off(const struct gic_cpu *c)
{
	return atomic_load(&a64_vcpu_of(c->vcpu)->power) == A64_POWER_OFF;
}

/* The vCPU's list registers want to be looked at. */
void gic_poke(struct gic_cpu *c);

/* send.c. Something about these interrupts changed: whoever it concerns is poked. */
void gic_touch(struct gic *g, unsigned bank, uint32_t bits);

/* They become pending, but for gic_touch(). */
void gic_pend(struct gic_bank *b, uint32_t bits);

/* An SGI of version 2 from a CPU becomes pending, and the reverse. */
void gic_pend_from(struct gic *g, struct gic_cpu *to, unsigned sgi, uint32_t sources);
void gic_unpend_from(struct gic *g, struct gic_cpu *to, unsigned sgi, uint32_t sources);

/* A line of a device: an hc_irq_sink_fn, which takes the lock itself. */
void gic_device_line(void *dev, unsigned line, bool level);

/* An SPI goes where irouter or targets say from now on. */
void gic_reroute(struct gic *g, unsigned spi);

/* An SPI is listed or active on a vCPU; it is not any more, and its bits say so. */
void gic_hold(struct gic *g, struct gic_cpu *c, unsigned spi);
void gic_release(struct gic *g, unsigned spi);

/* registers.c: rows of registers of both distributor and redistributors that have a field for each
 * interrupt. */
struct gic_row {
	uint16_t offset;
	uint8_t bits; /* per interrupt */
	bool bytes;   /* may be accessed by bytes */
	bool live;    /* its value is to be that of this moment, whoever has them listed */
	/* The word with the fields of the interrupts from `first` of the bank on; mask: what is
	 * written. */
	uint32_t (*read)(struct gic *g, unsigned bank, unsigned first);
	void (*write)(struct gic *g, unsigned bank, unsigned first, uint32_t value, uint32_t mask);
};

/* NULL if the offset (below 0x1000) is not of such a row. *first: the interrupt's number, counted
 * from the row's beginning, of the word that holds offset. */
const struct gic_row *gic_find_row(uint64_t offset, unsigned *first);

/* These were disabled: takes them from whoever has them listed. gic_touch() is to follow. */
void gic_recall(struct gic *g, unsigned bank, uint32_t bits);

/* frames.c: the pages that the guest sees. 0 or an error of hc_bus_add. */
int gic_add_frames(struct gic *g);

#endif
