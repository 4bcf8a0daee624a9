/* SPDX-License-Identifier: BSD-2-Clause */
/* The start, the state between cases, other CPUs, time, the console and the end. */
#include "guest/aarch64/machine.h"
#include "guest/aarch64/layout.h"
#include "guest/print.h"

#include <stdatomic.h>

#define UARTDR    0x00u
#define UARTFR    0x18u
#define UARTLCR   0x2cu
#define UARTCR    0x30u
#define UARTIMSC  0x38u
#define FR_TXFF   BIT(5)
#define FR_BUSY   BIT(3)
#define AFFINITY  UINT64_C(0xff00ffffff)
#define STOP_SGI  15u
#define POWER_ON  0
#define POWER_OFF 1

const char arch_name[] = "aarch64";
uint8_t stacks[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
uint8_t trap_stacks[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
struct machine machine;
void (*volatile secondary_hook)(unsigned int cpu);
char command_line[2048] __attribute__((section(".data"))); /* efi.c may have filled it */

static atomic_bool started[CPUS_MAX], wanted[CPUS_MAX], stopping;

void a64_start(uint64_t tree);
void secondary_main(unsigned int n);
void mmu_enable(uint64_t tcr);
uint64_t tcr_complete(uint64_t base, uint64_t mmfr0);
extern uint64_t page_root[];

/* ---- Console ---- */

void arch_console_put(char c)
{
	for (unsigned int turns = 0; turns < 1000000 && load32(machine.uart + UARTFR) & FR_TXFF;
	     turns++)
		;
	store32(machine.uart + UARTDR, (uint8_t)c);
}

static void console_init(void)
{
	if (load32(machine.uart + UARTCR) & 1)
		return;
	store32(machine.uart + UARTLCR, 0x70); /* 8 bits, FIFOs */
	store32(machine.uart + UARTCR, 0x301); /* RXE, TXE, UARTEN */
}

/* ---- Time ---- */

uint64_t arch_ticks(void)
{
	isb();
	return read_sysreg(cntvct_el0);
}

uint64_t arch_ticks_per_ms(void)
{
	uint64_t frequency = read_sysreg(cntfrq_el0);

	return frequency >= 1000 ? frequency / 1000 : 1000;
}

/* Where CPUs that are to stop find out: all that a case waits in comes by here. */
void arch_relax(void)
{
	op("yield");
	if (atomic_load_explicit(&stopping, memory_order_relaxed) && arch_this_cpu())
		arch_park_cpu();
}

void timers_off(void)
{
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cntp_ctl_el0, 0);
}

/* ---- State between cases ---- */

#define BREAKPOINTS_OFF(n)                                                                         \
	do {                                                                                       \
		write_sysreg(dbgbcr##n##_el1, 0);                                                  \
		write_sysreg(dbgwcr##n##_el1, 0);                                                  \
	} while (0)

static bool has_pmu(void)
{
	uint64_t version = FIELD(read_sysreg(id_aa64dfr0_el1), 11, 8);

	return version && version != 15;
}

void control_reset(void)
{
	write_sysreg(daif, SPSR_DAIF);
	write_sysreg(sctlr_el1, SCTLR_ON);
	write_sysreg(tcr_el1, tcr_complete(TCR_BASE, read_sysreg(id_aa64mmfr0_el1)));
	write_sysreg(mair_el1, MAIR_VALUE);
	write_sysreg(ttbr0_el1, (uint64_t)page_root);
	write_sysreg(ttbr1_el1, 0);
	write_sysreg(cpacr_el1, CPACR_FPEN(3));
	write_sysreg(cntkctl_el1, 0);
	write_sysreg(contextidr_el1, 0);
	write_sysreg(mdscr_el1, 0);
	write_sysreg(oslar_el1, 0);
	BREAKPOINTS_OFF(0);
	BREAKPOINTS_OFF(1);
	if (FIELD(read_sysreg(id_aa64mmfr1_el1), 23, 20))
		op(".inst 0xd500409f"); /* MSR PAN, #0 */
	if (FIELD(read_sysreg(id_aa64mmfr2_el1), 7, 4))
		op(".inst 0xd500407f"); /* MSR UAO, #0 */
	if (has_pmu()) {
		write_sysreg(pmuserenr_el0, 0);
		write_sysreg(pmcr_el0, 0);
		write_sysreg(pmcntenclr_el0, UINT32_MAX);
		write_sysreg(pmintenclr_el1, UINT32_MAX);
		write_sysreg(pmovsclr_el0, UINT32_MAX);
	}
	if (FIELD(read_sysreg(id_aa64pfr0_el1), 19, 16) != 15) {
		write_sysreg(fpcr, 0);
		write_sysreg(fpsr, 0);
	}
	timers_off();
}

bool arch_reset(void)
{
	bool stopped, quiet;

	write_sysreg(daif, SPSR_DAIF);
	secondary_hook = NULL;
	stopped = cpus_stop();
	control_reset();
	pages_reset();
	exceptions_reset();
	store32(machine.uart + UARTIMSC, 0);
	quiet = gic_reset();
	return stopped && quiet;
}

/* ---- PSCI ---- */

void firmware_call(uint64_t x[18])
{
	if (machine.conduit == CONDUIT_HVC)
		call_hvc(x);
	else
		call_smc(x);
}

static int64_t call(uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3)
{
	uint64_t x[18] = { function, x1, x2, x3 };

	firmware_call(x);
	return function & BIT(30) ? (int64_t)x[0] : (int32_t)x[0];
}

int64_t firmware(uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3)
{
	if (!machine.conduit)
		skip("PSCI");
	return call(function, x1, x2, x3);
}

/* ---- Other CPUs ---- */

unsigned int arch_cpu_count(void)
{
	return machine.cpu_count;
}

unsigned int arch_this_cpu(void)
{
	uint64_t mpidr = read_sysreg(mpidr_el1) & AFFINITY;

	for (unsigned int n = 0; n < machine.cpu_count; n++)
		if (machine.mpidr[n] == mpidr)
			return n;
	return 0;
}

void secondary_main(unsigned int n)
{
	control_reset();
	if (!atomic_exchange(&wanted[n], false)) {
		if (secondary_hook)
			secondary_hook(n);
		arch_park_cpu();
	}
	gic_init_cpu();
	atomic_store(&started[n], true);
	cpu_main(n);
}

void arch_park_cpu(void)
{
	write_sysreg(daif, SPSR_DAIF);
	timers_off();
	if (arch_this_cpu())
		call(PSCI_CPU_OFF, 0, 0, 0);
	for (;;)
		wfi();
}

static bool wait_off(unsigned int n)
{
	return WAIT_FOR(call(PSCI_AFFINITY_INFO, machine.mpidr[n], 0, 0) == POWER_OFF);
}

bool arch_start_cpu(unsigned int n)
{
	if (!wait_off(n))
		return false;
	atomic_store(&started[n], false);
	atomic_store(&wanted[n], true);
	dsb();
	if (call(PSCI_CPU_ON, machine.mpidr[n], (uint64_t)secondary_start, n) != 0)
		return false;
	return WAIT_FOR(atomic_load(&started[n]));
}

static bool stop_one(unsigned int n)
{
	struct limit limit = limit_of(LIMIT_MS);

	while (call(PSCI_AFFINITY_INFO, machine.mpidr[n], 0, 0) != POWER_OFF) {
		if (machine.gic_version)
			sgi_send(STOP_SGI, n); /* if it is in WFI */
		sev();
		if (limit_passed(&limit))
			return false;
	}
	return true;
}

bool cpus_stop(void)
{
	bool stopped = true;

	atomic_store(&stopping, true);
	for (unsigned int n = 1; n < machine.cpu_count; n++)
		stopped = stop_one(n) && stopped;
	atomic_store(&stopping, false);
	return stopped;
}

/* The CPU that runs this is number 0. Others can be started by PSCI alone. */
static void order_cpus(void)
{
	uint64_t own = read_sysreg(mpidr_el1) & AFFINITY;

	for (unsigned int n = 0; n < machine.cpu_count; n++)
		if (machine.mpidr[n] == own) {
			machine.mpidr[n] = machine.mpidr[0];
			machine.mpidr[0] = own;
		}
	if (!machine.conduit || machine.mpidr[0] != own) {
		machine.mpidr[0] = own;
		machine.cpu_count = 1;
	}
}

/* ---- Start and end ---- */

void a64_start(uint64_t tree)
{
	/* From UEFI the machine is known already. */
	if (!machine.uart && !tree_read(tree, command_line, sizeof(command_line)))
		return;
	order_cpus();
	pages_init();
	mmu_enable(tcr_complete(TCR_BASE, read_sysreg(id_aa64mmfr0_el1)));
	control_reset();
	console_init();
	gic_init();
	test_main(command_line);
}

void arch_end_machine(bool failed)
{
	WAIT_FOR(!(load32(machine.uart + UARTFR) & FR_BUSY));
	if (machine.conduit) {
		cpus_stop();
		call(PSCI_SYSTEM_OFF, 0, 0, 0);
	}
	for (;;)
		wfi();
}
