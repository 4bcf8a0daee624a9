/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times what makes a guest leave guest mode. Prints "NAME TICKS" lines on its serial port:
 * nanoseconds of one operation less those of an empty one, the median of several batches. On QEMU
 * with -icount shift=0 a nanosecond is an instruction, of either CPU.
 */
#include "bench/guest/aarch64/bare.h"

extern volatile struct {
	uint64_t count, at;
} interrupts[2];

static volatile bool second_sleeps; /* between two interrupts, in WFI; else it spins */

extern const char secondary[];
_Noreturn void guest_main(const char *base);
_Noreturn void second_main(void);
_Noreturn void unexpected(void);

_Noreturn void unexpected(void)
{
	print("unexpected exception\n");
	leave(1);
}

static void op_nothing(void)
{
	__asm__ volatile("");
}

static void op_hvc(void)
{
	hypercall(PSCI_VERSION, 0, 0, 0);
}

static void op_gic_read(void)
{
	read32(GICD_TYPER);
}

static void op_uart_read(void)
{
	read32(PL011_FR);
}

static void op_id_read(void)
{
	READ_SYSREG(id_aa64pfr0_el1);
}

/* QEMU with -icount runs one CPU at a time: this is where another has its turn. */
static void pause(void)
{
	__asm__ volatile("yield" : : : "memory");
}

static void send_sgi(unsigned cpu)
{
	/* ICC_SGI1R_EL1 */
	WRITE_SYSREG(s3_0_c12_c11_5, (uint64_t)IPI_SGI << 24 | 1u << cpu);
	__asm__ volatile("isb" : : : "memory");
}

static void op_self_ipi(void)
{
	send_sgi(0);
	__asm__ volatile("wfi\n\tmsr daifclr, #2\n\tisb\n\tmsr daifset, #2" : : : "memory");
}

/* Until the other CPU's handler has ended the interrupt. */
static void interrupt_other(void)
{
	uint64_t before = interrupts[1].count;

	send_sgi(1);
	while (interrupts[1].count == before)
		pause();
}

/* To a CPU that runs, as kvm-unit-tests' micro-bench does it. */
static void op_ipi(void)
{
	second_sleeps = false;
	interrupt_other();
}

static void op_ipi_wfi(void)
{
	second_sleeps = true;
	interrupt_other();
}

static const struct {
	const char name[16];
	operation *run; /* as linked */
} operations[] = {
	{ "hvc", op_hvc },
	{ "id-read", op_id_read },
	{ "gic-read", op_gic_read },
	{ "uart-read", op_uart_read },
	{ "self-ipi-wfi", op_self_ipi },
	{ "ipi", op_ipi },
	{ "ipi-wfi", op_ipi_wfi },
};

static void init_gic(unsigned cpu)
{
	write32(GICR_WAKER(cpu), 0);
	write32(GICR_IGROUPR(cpu), UINT32_MAX);
	write32(GICR_ISENABLE(cpu), 1u << VTIMER_PPI | 1u << IPI_SGI);
	WRITE_SYSREG(s3_0_c4_c6_0, 0xff); /* ICC_PMR_EL1 */
	WRITE_SYSREG(s3_0_c12_c12_7, 1);  /* ICC_IGRPEN1_EL1 */
	__asm__ volatile("isb" : : : "memory");
}

_Noreturn void second_main(void)
{
	init_gic(1);
	interrupts[1].at = 1;
	__asm__ volatile("msr daifclr, #2" : : : "memory");
	for (;;)
		if (second_sleeps)
			__asm__ volatile("wfi");
		else
			pause();
}

static void start_second(void)
{
	if (hypercall(PSCI_CPU_ON, 1, (uint64_t)(uintptr_t)secondary, 0)) {
		print("the other CPU cannot be started\n");
		leave(1);
	}
	while (!interrupts[1].at)
		pause();
}

static uint64_t nanoseconds(uint64_t ticks)
{
	return ticks * 1000000000 / READ_SYSREG(cntfrq_el0);
}

/* From the virtual timer's deadline, while the CPU waits for it, to the handler. */
static uint64_t timer_latency(void)
{
	uint64_t late[BATCHES];

	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t due = counter() + READ_SYSREG(cntfrq_el0) / 100;

		WRITE_SYSREG(cntv_cval_el0, due);
		WRITE_SYSREG(cntv_ctl_el0, 1);
		__asm__ volatile("isb\n\twfi\n\tmsr daifclr, #2\n\tisb\n\tmsr daifset, #2"
		                 :
		                 :
		                 : "memory");
		late[i] = interrupts[0].at - due;
	}
	return median(late, BATCHES);
}

_Noreturn void guest_main(const char *base)
{
	/* Linked at 0: where we run less where we were linked. */
	uint64_t slide = (uint64_t)(uintptr_t)base;

	write32(PL011_LCRH, LCRH_8N1);
	write32(PL011_CR, CR_ON);
	write32(GICD_CTLR, 0x12); /* affinity routing, group 1 */
	init_gic(0);
	start_second();
	uint64_t empty = time_operation(op_nothing);

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		operation *run = (operation *)((uintptr_t)operations[i].run + slide);
		uint64_t ticks = time_operation(run) - empty;

		report(operations[i].name, share(nanoseconds(ticks)));
	}
	report("timer", nanoseconds(timer_latency()));
	leave(0);
}
