/* SPDX-License-Identifier: BSD-2-Clause */
/* The start, the state between cases, other CPUs, time, the console and the end. */
#include "guest/x86_64/machine.h"
#include "guest/print.h"
#include "guest/x86_64/layout.h"

#include <stdatomic.h>

#define COM1          0x3f8u
#define DEBUG_CONSOLE 0xe9u

const char arch_name[] = "x86_64";
uint8_t boot_stack[STACK_BYTES] __attribute__((aligned(16)));
uint8_t cpu_stacks[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
extern char low_from[], low_start[], low_bytes[];
extern uint32_t cpu_ticket;

static char command_line[2048];
static bool uart;
static uint32_t apic_ids[CPUS_MAX];
static unsigned int cpus = 1;
static atomic_uint arrived; /* CPUs that came to cpu_entry while they are counted */
static atomic_uint started[CPUS_MAX];
static bool counting;
static uint64_t ticks_per_ms = 1000000;

void x86_start(unsigned int kind, uint64_t info);
void cpu_entry(unsigned int n);

/* ---- Console ---- */

void console_init(void)
{
	out8(COM1 + 7, 0x5a); /* the scratch register */
	uart = in8(COM1 + 7) == 0x5a;
	if (!uart)
		return;
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 0x80); /* LCR.DLAB: divisor 1 */
	out8(COM1, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 3);
	out8(COM1 + 2, 7); /* FIFOs on and empty */
	out8(COM1 + 4, 3);
}

static void console_wait(uint8_t lsr_bit)
{
	for (unsigned int turns = 0; turns < 1000000 && !(in8(COM1 + 5) & lsr_bit); turns++)
		;
}

void arch_console_put(char c)
{
	if (!uart) {
		out8(DEBUG_CONSOLE, (uint8_t)c);
		return;
	}
	console_wait(0x20); /* LSR.THRE */
	out8(COM1, (uint8_t)c);
}

/* ---- Time ---- */

void arch_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

uint64_t arch_ticks(void)
{
	return rdtsc();
}

uint64_t arch_ticks_per_ms(void)
{
	return ticks_per_ms;
}

/* The TSC against 10 ms of the PIT's channel 2, in mode 0; a GHz if that does not count. */
void ticks_init(void)
{
	uint64_t start;
	unsigned int turns = 0;

	out8(0x61, (uint8_t)((in8(0x61) & ~2u) | 1));
	out8(0x43, 0xb0);
	out8(0x42, 11932 & 0xff);
	out8(0x42, 11932 >> 8);
	start = rdtsc();
	while (!(in8(0x61) & 0x20) && ++turns < 1000000)
		;
	if (turns < 1000000 && rdtsc() - start > 10000)
		ticks_per_ms = (rdtsc() - start) / 10;
}

/* ---- State between cases ---- */

/* What is already so is left alone: the exits of a hypervisor take time. */
static void set_msr(uint32_t msr, uint64_t value)
{
	if (rdmsr(msr) != value)
		wrmsr(msr, value);
}

void control_reset(void)
{
	static const uint32_t zero[] = { MSR_STAR,    MSR_LSTAR,         MSR_CSTAR,
		                         MSR_SFMASK,  MSR_SYSENTER_CS,   MSR_FS_BASE,
		                         MSR_GS_BASE, MSR_KERNEL_GS_BASE };
	bool nx = cpuid_checked(0x80000001, 0).edx & BIT(20);

	cli();
	write_cr0(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
	if (read_cr4() & CR4_OSXSAVE && xgetbv(0) != 1)
		xsetbv(0, 1);
	write_cr4(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
	set_msr(MSR_EFER, EFER_LMA | EFER_LME | (nx ? EFER_NXE : 0));
	write_dr7(0x400);
	write_dr6(0xffff0ff0);
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	for (unsigned int n = 0; n < sizeof(zero) / sizeof(zero[0]); n++)
		set_msr(zero[n], 0);
	__asm__ volatile("fninit\n\tpushq $0x1f80\n\tldmxcsr (%%rsp)\n\tpopq %%rax"
	                 :
	                 :
	                 : "rax", "memory");
}

bool arch_reset(void)
{
	cli();
	cpus_stop();
	control_reset();
	pages_reset();
	tables_reset();
	exceptions_reset();
	pic_reset();
	apic_reset();
	exceptions_reset();
	/* Some, once their APIC was disabled, do not have it enabled again. */
	return apic_read(APIC_SVR) == 0x1ff && cpuid(1, 0).edx & BIT(9);
}

struct cpuid cpuid_checked(uint32_t leaf, uint32_t subleaf)
{
	uint32_t most = cpuid(leaf & 0x80000000, 0).eax;

	if ((most ^ leaf) & 0x80000000 || leaf > most)
		return (struct cpuid){ 0 };
	return cpuid(leaf, subleaf);
}

/* ---- Other CPUs ---- */

unsigned int arch_cpu_count(void)
{
	return cpus;
}

uint32_t cpu_apic_id(unsigned int n)
{
	return apic_ids[n];
}

/* From low.S, on a stack of its own. */
void cpu_entry(unsigned int n)
{
	if (n >= CPUS_MAX)
		arch_park_cpu();
	control_reset();
	tables_init_cpu(n);
	apic_init_cpu();
	if (counting) {
		apic_ids[n] = apic_read(APIC_ID) >> 24;
		atomic_fetch_add(&arrived, 1);
		arch_park_cpu();
	}
	atomic_store(&started[n], 1);
	cpu_main(n);
}

void arch_park_cpu(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

/* INIT, then the start-up IPI, a second time if it seems not to have come (SDM Vol. 3A 8.4.4.1). */
bool arch_start_cpu(unsigned int n)
{
	struct limit limit = limit_of(LIMIT_MS);
	bool again = true;

	apic_send(apic_ids[n], ICR_INIT | ICR_ASSERT);
	__atomic_store_n(&cpu_ticket, n, __ATOMIC_SEQ_CST);
	atomic_store(&started[n], 0);
	for (uint64_t end = arch_ticks() + arch_ticks_per_ms() / 5;
	     (int64_t)(arch_ticks() - end) < 0;)
		arch_relax();
	apic_send(apic_ids[n], ICR_STARTUP | ICR_ASSERT | LOW_BASE >> 12);
	while (!atomic_load(&started[n])) {
		if (limit_passed(&limit))
			return false;
		if (again && (int64_t)(limit.end - arch_ticks()) <
		                     (int64_t)(arch_ticks_per_ms() * LIMIT_MS / 2)) {
			apic_send(apic_ids[n], ICR_STARTUP | ICR_ASSERT | LOW_BASE >> 12);
			again = false;
		}
	}
	return true;
}

void cpus_stop(void)
{
	for (unsigned int n = 1; n < cpus; n++)
		if (atomic_exchange(&started[n], 0))
			apic_send(apic_ids[n], ICR_INIT | ICR_ASSERT);
}

/* Without a MADT, all CPUs are started at once, and those counted that come within a while. */
static void count_cpus(void)
{
	struct limit limit = limit_of(200);

	counting = true;
	cpu_ticket = 1;
	apic_send(0, ICR_INIT | ICR_ASSERT | ICR_ALL_BUT_SELF);
	for (unsigned int turns = 0; turns < 10000; turns++)
		arch_relax();
	apic_send(0, ICR_STARTUP | ICR_ASSERT | ICR_ALL_BUT_SELF | LOW_BASE >> 12);
	while (!limit_passed(&limit))
		;
	cpus = atomic_load(&arrived) + 1;
	if (cpus > CPUS_MAX)
		cpus = CPUS_MAX;
	counting = false;
}

void cpus_init(void)
{
	uint32_t ids[CPUS_MAX];
	unsigned int found = acpi_cpus(ids);

	apic_ids[0] = apic_read(APIC_ID) >> 24;
	if (!found)
		count_cpus();
	for (unsigned int n = 0; n < found; n++)
		if (ids[n] != apic_ids[0] && cpus < CPUS_MAX)
			apic_ids[cpus++] = ids[n];
}

/* ---- Start and end ---- */

static void copy_line(uint64_t at)
{
	if (!at || at >= BIT(32))
		return;
	for (unsigned int n = 0;
	     n < sizeof(command_line) - 1 && (command_line[n] = (char)load8(at + n)); n++)
		;
}

/* Before the kernel writes to anything that the loader may have left in low memory. */
static uint64_t read_boot_info(unsigned int kind, uint64_t info)
{
	switch (kind) {
	case BOOT_MULTIBOOT: /* flags bit 2: cmdline */
		copy_line(load32(info) & BIT(2) ? load32(info + 16) : 0);
		return 0;
	case BOOT_PVH: copy_line(load64(info + 24)); return load64(info + 32);
	default: /* boot_params: acpi_rsdp_addr, cmd_line_ptr (ext_cmd_line_ptr is 0 below 4 GiB) */
		copy_line(load32(info + 0x228));
		return load64(info + 0x70);
	}
}

void x86_start(unsigned int kind, uint64_t info)
{
	uint64_t rsdp = read_boot_info(kind, info);

	memcpy(low_start, low_from, (size_t)low_bytes);
	control_reset();
	pages_reset();
	tables_init_cpu(0);
	modes_init();
	console_init();
	pic_reset();
	apic_init_cpu();
	ticks_init();
	acpi_init(rsdp);
	cpus_init();
	test_main(command_line);
}

void arch_end_machine(bool failed)
{
	if (uart)
		console_wait(0x40); /* LSR.TEMT */
	cpus_stop();
	out32(0xf4, failed);
	for (const char *at = "Shutdown"; *at; at++)
		out8(0x8900, (uint8_t)*at);
	acpi_power_off();
	arch_park_cpu();
}
