/* SPDX-License-Identifier: BSD-2-Clause */
/* The interrupt controller: GICv2 (IHI 0048) and GICv3 (IHI 0069), one of which a machine has. */
#include "guest/aarch64/machine.h"

#define ICC_PMR_EL1     s3_0_c4_c6_0
#define ICC_IAR1_EL1    s3_0_c12_c12_0
#define ICC_EOIR1_EL1   s3_0_c12_c12_1
#define ICC_HPPIR1_EL1  s3_0_c12_c12_2
#define ICC_BPR1_EL1    s3_0_c12_c12_3
#define ICC_CTLR_EL1    s3_0_c12_c12_4
#define ICC_SRE_EL1     s3_0_c12_c12_5
#define ICC_IGRPEN0_EL1 s3_0_c12_c12_6
#define ICC_IGRPEN1_EL1 s3_0_c12_c12_7
#define ICC_DIR_EL1     s3_0_c12_c11_1
#define ICC_RPR_EL1     s3_0_c12_c11_3
#define ICC_SGI1R_EL1   s3_0_c12_c11_5
#define ICC_AP0R0_EL1   s3_0_c12_c8_4
#define ICC_AP1R0_EL1   s3_0_c12_c9_0
/* The name is to be expanded before it becomes text. */
#define icc_read(name)         read_sysreg(name)
#define icc_write(name, value) write_sysreg(name, value)

#define ARE          BIT(4)
#define RWP          BIT(31)
#define DEFAULT_RANK 0xa0u
#define SPARE_SPIS   8u

volatile unsigned int irq_counts[CPUS_MAX][1024];
static uint64_t gicr[CPUS_MAX];

static bool v3(void)
{
	return machine.gic_version == 3;
}

static unsigned int line_count(void)
{
	unsigned int lines =
		32 * (unsigned int)(FIELD(load32(machine.gicd + GICD_TYPER), 4, 0) + 1);

	return lines > 1020 ? 1020 : lines;
}

void need_gic(unsigned int version)
{
	if (version == 3 && machine.gic_version != 3)
		skip("a GICv3");
	if (version == 2 && machine.gic_version != 2)
		skip("a GICv2");
	if (!machine.gic_version)
		skip("an interrupt controller");
}

/* ---- Distributor and redistributors ---- */

uint64_t gicr_of(unsigned int cpu)
{
	return gicr[cpu];
}

uint64_t gic_bank(unsigned int intid)
{
	return v3() && intid < 32 ? gicr[this_cpu()] + 0x10000 : machine.gicd;
}

static void wait_rwp(void)
{
	if (v3())
		WAIT_FOR(!(load32(machine.gicd + GICD_CTLR) & RWP));
}

bool irq_bit(unsigned int reg, unsigned int intid)
{
	return load32(gic_bank(intid) + reg + intid / 32 * 4) >> intid % 32 & 1;
}

void irq_set(unsigned int reg, unsigned int intid)
{
	store32(gic_bank(intid) + reg + intid / 32 * 4, (uint32_t)BIT(intid % 32));
	dsb();
	if (reg == GICD_ICENABLER)
		wait_rwp();
}

void irq_enable(unsigned int intid)
{
	irq_set(GICD_ISENABLER, intid);
}

void irq_priority(unsigned int intid, uint8_t priority)
{
	store8(gic_bank(intid) + GICD_IPRIORITYR + intid, priority);
	dsb();
}

void irq_edge(unsigned int intid, bool edge)
{
	uint64_t reg = gic_bank(intid) + GICD_ICFGR + intid / 16 * 4;
	uint32_t bit = (uint32_t)BIT(intid % 16 * 2 + 1);

	store32(reg, (load32(reg) & ~bit) | (edge ? bit : 0));
	dsb();
}

void irq_ready(unsigned int intid)
{
	irq_edge(intid, true);
	irq_enable(intid);
}

/* GICv2: which bit a CPU is, as its banked GICD_ITARGETSR0 says. */
static uint8_t targets[CPUS_MAX];

void irq_route(unsigned int intid, unsigned int cpu)
{
	if (v3())
		store64(machine.gicd + GICD_IROUTER + 8 * intid, machine.mpidr[cpu]);
	else
		store8(machine.gicd + GICD_ITARGETSR + intid, targets[cpu]);
	dsb();
}

unsigned int spare_spi(unsigned int n)
{
	unsigned int lines;

	need_gic(0);
	lines = line_count();
	if (lines < 32 + SPARE_SPIS || n >= SPARE_SPIS)
		skip("SPIs without a device");
	return lines - 1 - n;
}

void sgi_send(unsigned int intid, unsigned int cpu)
{
	uint64_t mpidr = machine.mpidr[cpu];

	dsb();
	if (v3())
		icc_write(ICC_SGI1R_EL1, FIELD(mpidr, 39, 32) << 48 | FIELD(mpidr, 23, 16) << 32 |
		                                 (uint64_t)intid << 24 | FIELD(mpidr, 15, 8) << 16 |
		                                 FIELD(mpidr, 7, 4) << 44 | BIT(mpidr & 15));
	else
		store32(machine.gicd + GICD_SGIR, (uint32_t)targets[cpu] << 16 | intid);
}

void sgi_send_others(unsigned int intid)
{
	dsb();
	if (v3())
		icc_write(ICC_SGI1R_EL1, BIT(40) | (uint64_t)intid << 24);
	else
		store32(machine.gicd + GICD_SGIR, (uint32_t)BIT(24) | intid);
}

/* ---- CPU interface ---- */

uint32_t irq_ack(void)
{
	uint32_t value = v3() ? (uint32_t)icc_read(ICC_IAR1_EL1) : load32(machine.gicc + GICC_IAR);

	dsb();
	return value;
}

void irq_eoi(uint32_t acked)
{
	dsb();
	if (v3())
		icc_write(ICC_EOIR1_EL1, acked);
	else
		store32(machine.gicc + GICC_EOIR, acked);
	dsb();
}

void irq_deactivate(uint32_t acked)
{
	dsb();
	if (v3())
		icc_write(ICC_DIR_EL1, acked);
	else
		store32(machine.gicc + GICC_DIR, acked);
	dsb();
}

void irq_mask_priority(uint8_t priority)
{
	if (v3())
		icc_write(ICC_PMR_EL1, priority);
	else
		store32(machine.gicc + GICC_PMR, priority);
	dsb();
}

void irq_binary_point(uint8_t point)
{
	if (v3())
		icc_write(ICC_BPR1_EL1, point);
	else
		store32(machine.gicc + GICC_BPR, point);
	dsb();
}

uint32_t irq_running(void)
{
	return v3() ? (uint32_t)icc_read(ICC_RPR_EL1) & 0xff
	            : load32(machine.gicc + GICC_RPR) & 0xff;
}

uint32_t irq_highest(void)
{
	return v3() ? (uint32_t)icc_read(ICC_HPPIR1_EL1) & 0xffffff
	            : load32(machine.gicc + GICC_HPPIR) & 0x3ff;
}

void irq_eoi_mode(bool split)
{
	if (v3())
		icc_write(ICC_CTLR_EL1, (icc_read(ICC_CTLR_EL1) & ~BIT(1)) | (split ? BIT(1) : 0));
	else
		store32(machine.gicc + GICC_CTLR, (uint32_t)(1 | (split ? BIT(9) : 0)));
	dsb();
}

bool irq_comes(void)
{
	dsb();
	isb();
	return WAIT_FOR(read_sysreg(isr_el1) & BIT(7));
}

uint32_t irq_take(const struct place *place, unsigned int expected)
{
	uint32_t acked;

	if (!irq_comes())
		fail(place, "interrupt %u does not come", expected);
	acked = irq_ack();
	check_equal(place, "the interrupt", acked & 0x3ff, expected);
	return acked;
}

bool irq_stays_away(void)
{
	uint64_t end = arch_ticks() + arch_ticks_per_ms();

	dsb();
	isb();
	for (unsigned int turns = 0; turns < 1000 || (int64_t)(arch_ticks() - end) < 0; turns++) {
		if (read_sysreg(isr_el1) & BIT(7))
			return false;
		arch_relax();
	}
	return true;
}

void doze(void)
{
	if (!machine.gic_version || !machine.timer_virtual)
		return;
	irq_enable(machine.timer_virtual);
	write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 5000);
	write_sysreg(cntv_ctl_el0, 1);
	while (!(read_sysreg(isr_el1) & BIT(7)))
		wfi();
	write_sysreg(cntv_ctl_el0, 0);
	irq_eoi(irq_ack());
}

static bool count_irq(struct frame *frame)
{
	uint32_t acked = irq_ack();

	irq_counts[this_cpu()][acked & 0x3ff]++;
	if ((acked & 0x3ff) < 1020)
		irq_eoi(acked);
	return true;
}

void irq_count_on(void)
{
	for (unsigned int cpu = 0; cpu < CPUS_MAX; cpu++)
		for (unsigned int n = 0; n < 1024; n++)
			if (irq_counts[cpu][n])
				irq_counts[cpu][n] = 0;
	handle(KIND_IRQ, count_irq);
}

/* ---- Start, and the state between cases ---- */

static void find_redistributor(unsigned int cpu)
{
	uint64_t affinity = machine.mpidr[cpu];

	affinity = FIELD(affinity, 39, 32) << 24 | FIELD(affinity, 23, 0);
	for (uint64_t at = machine.gicr; at < machine.gicr + machine.gicr_bytes;) {
		uint64_t typer = load64(at + GICR_TYPER);

		if (typer >> 32 == affinity)
			gicr[cpu] = at;
		if (typer & BIT(4)) /* Last */
			return;
		at += typer & BIT(1) ? 0x40000 : 0x20000; /* VLPIS */
	}
}

/* Leaves alone what is so already: accesses may take long. */
static void set32(uint64_t address, uint32_t value)
{
	if (load32(address) != value)
		store32(address, value);
}

static void clear_lines(uint64_t bank, unsigned int word)
{
	set32(bank + GICD_ISENABLER + 4 * word, 0);
	for (unsigned int reg = GICD_ICENABLER; reg <= GICD_ICACTIVER; reg += 0x100)
		if (load32(bank + reg + 4 * word))
			store32(bank + reg + 4 * word, UINT32_MAX);
	if (v3())
		set32(bank + GICD_IGROUPR + 4 * word, UINT32_MAX);
}

static void reset_private(unsigned int cpu)
{
	uint64_t bank = gic_bank(0);

	clear_lines(bank, 0);
	for (unsigned int n = 0; n < 32; n += 4)
		set32(bank + GICD_IPRIORITYR + n, DEFAULT_RANK * 0x01010101);
	for (unsigned int n = 0; !v3() && n < 16; n++)
		if (load8(machine.gicd + 0xf10 + n))
			store8(machine.gicd + 0xf10 + n, 0xff); /* GICD_CPENDSGIR */
}

static void reset_shared(void)
{
	unsigned int lines = line_count();

	set32(machine.gicd + GICD_CTLR, v3() ? ARE | 2 : 1);
	wait_rwp();
	for (unsigned int word = 1; word < (lines + 31) / 32; word++)
		clear_lines(machine.gicd, word);
	for (unsigned int n = lines - SPARE_SPIS; lines > 32 && n < lines; n++) {
		if (load8(machine.gicd + GICD_IPRIORITYR + n) != DEFAULT_RANK)
			irq_priority(n, DEFAULT_RANK);
		irq_route(n, 0);
	}
	for (unsigned int n = lines - SPARE_SPIS; lines > 32 && n < lines; n += 4)
		if (load32(machine.gicd + GICD_ICFGR + n / 16 * 4) & BIT(n % 16 * 2 + 1))
			store32(machine.gicd + GICD_ICFGR + n / 16 * 4, 0);
	wait_rwp();
}

static void reset_interface(void)
{
	if (v3()) {
		icc_write(ICC_PMR_EL1, 0xff);
		icc_write(ICC_BPR1_EL1, 0);
		icc_write(ICC_CTLR_EL1, 0);
		icc_write(ICC_AP1R0_EL1, 0);
		icc_write(ICC_AP0R0_EL1, 0);
		icc_write(ICC_IGRPEN0_EL1, 0);
		icc_write(ICC_IGRPEN1_EL1, 1);
		return;
	}
	store32(machine.gicc + GICC_PMR, 0xff);
	store32(machine.gicc + GICC_BPR, 0);
	store32(machine.gicc + 0xd0, 0); /* GICC_APR0 */
	store32(machine.gicc + GICC_CTLR, 1);
}

void gic_init_cpu(void)
{
	unsigned int cpu = this_cpu();

	if (v3()) {
		icc_write(ICC_SRE_EL1, icc_read(ICC_SRE_EL1) | 1);
		find_redistributor(cpu);
		if (!gicr[cpu]) {
			machine.gic_version = 0;
			return;
		}
		store32(gicr[cpu] + GICR_WAKER, load32(gicr[cpu] + GICR_WAKER) & ~2u);
		WAIT_FOR(!(load32(gicr[cpu] + GICR_WAKER) & 4));
	} else if (machine.gic_version == 2) {
		/* On a machine of one CPU it may read as zero. */
		targets[cpu] = load8(machine.gicd + GICD_ITARGETSR);
		if (!targets[cpu])
			targets[cpu] = 1;
	}
	if (machine.gic_version) {
		reset_private(cpu);
		reset_interface();
	}
}

void gic_init(void)
{
	if (machine.gic_version)
		reset_shared();
	gic_init_cpu();
	for (unsigned int n = 1; n < machine.cpu_count; n++)
		targets[n] = (uint8_t)BIT(n % 8);
}

/* Whether nothing is signalled or running any more. */
bool gic_reset(void)
{
	if (!machine.gic_version)
		return true;
	reset_private(0);
	reset_shared();
	reset_interface();
	return irq_running() == 0xff;
}
