/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the other CPUs. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/acpi.h"
#include "platform/board/board.h"
#include "platform/board/image.h"
#include "platform/board/work.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/clock.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/machine.h"
#include "platform/board/x86_64/paging.h"
#include "platform/board/x86_64/trap.h"

/* How long a CPU may take to answer. Emulated ones on a busy host are slow. */
#define START_PATIENCE_NS UINT64_C(1000000000)

/* What a starting CPU needs to reach C; read by trampoline.S. */
struct cpu_start {
	_Atomic uint32_t state; /* enum start_state */
	uint32_t pad;
	uint64_t stack, argument;
	void (*function)(struct board_cpu *c);
};

enum start_state { START_NONE, START_OFFERED, START_TAKEN };

_Static_assert(offsetof(struct cpu_start, stack) == 8, "trampoline.S");
_Static_assert(offsetof(struct cpu_start, argument) == 16, "trampoline.S");
_Static_assert(offsetof(struct cpu_start, function) == 24, "trampoline.S");

struct trampoline_data {
	uint64_t gdt[3];
	uint64_t start;
	uint32_t cr0, cr3, cr4, efer;
	uint32_t far_offset;
	uint16_t far_selector;
	uint16_t gdt_limit;
	uint32_t gdt_base;
} __attribute__((packed));

_Static_assert(sizeof(struct trampoline_data) == 60, "trampoline.S");

#define TRAMPOLINE_CR0 0x80010033 /* PG, WP, NE, ET, MP, PE */
#define TRAMPOLINE_CR4 0x20       /* PAE */

extern const uint8_t trampoline_start[], trampoline_data[], trampoline_end[];

static struct cpu_start start;

/* A started CPU's first C, on its own stack. */
static void cpu_main(struct board_cpu *c)
{
	cpu_load(c);
	paging_enable();
	apic_init_cpu();
	clock_init_cpu();
	c->cpu.hw_id = apic_id();
	c->first_tsc = rdtsc();
	atomic_store(&c->online, true);
	work_loop(&c->cpu);
}

static void fill_trampoline(uint8_t *page, uint32_t address)
{
	size_t data_at = (size_t)(trampoline_data - trampoline_start);
	struct trampoline_data *d = (void *)(page + data_at);

	memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	d->start = (uint64_t)(uintptr_t)&start;
	d->cr0 = TRAMPOLINE_CR0;
	d->cr3 = paging_root_address();
	d->cr4 = TRAMPOLINE_CR4;
	d->efer = paging_efer();
	d->far_offset += address;
	d->gdt_base += address;
}

static bool wait_online(const struct board_cpu *c, uint64_t patience_ns)
{
	uint64_t end = hc_platform_now_ns() + patience_ns;

	while (!atomic_load(&c->online) && hc_platform_now_ns() < end)
		cpu_pause();
	return atomic_load(&c->online);
}

/* SDM Vol. 3A 8.4.4.1: INIT, 10 ms, SIPI, 200 us, SIPI if it has not come. */
static bool start_one(struct board_cpu *c, uint32_t id, uint8_t page)
{
	uint32_t offered = START_OFFERED;

	start.stack = c->stack_top;
	start.argument = (uint64_t)(uintptr_t)c;
	start.function = cpu_main;
	atomic_store(&start.state, START_OFFERED);
	apic_send_init(id);
	clock_delay_us(10000);
	apic_send_startup(id, page);
	if (!wait_online(c, 200000)) {
		if (atomic_load(&start.state) == START_OFFERED)
			apic_send_startup(id, page);
		wait_online(c, START_PATIENCE_NS);
	}
	/* One that took the offer is on its way; else it finds the offer withdrawn. */
	if (atomic_compare_exchange_strong(&start.state, &offered, START_NONE)) {
		apic_send_init(id);
		return false;
	}
	return wait_online(c, START_PATIENCE_NS);
}

/* hc_platform_now_ns() takes all TSCs to be one. */
static void admit(struct board_cpu *c, uint64_t before)
{
	if (c->first_tsc < before || c->first_tsc > rdtsc())
		hc_log(HC_LOG_WARN, "cpu %u: its TSC is not in step with cpu 0's", c->cpu.id);
	board_cpu_count++;
}

static void start_listed(const struct acpi_info *acpi, uint8_t page)
{
	uint32_t own = apic_id();

	for (unsigned i = 0; i < acpi->cpu_count; i++) {
		struct board_cpu *c = &board_cpus[board_cpu_count];
		uint64_t before;

		if (acpi->cpu_ids[i] == own)
			continue;
		if (board_cpu_count == HC_MAX_CPUS) {
			hc_log(HC_LOG_WARN, "CPUs beyond %u are left out", HC_MAX_CPUS);
			return;
		}
		c->cpu.id = board_cpu_count;
		if (!c->stack_top && cpu_alloc_stacks(c)) {
			hc_log(HC_LOG_WARN, "no memory for more CPUs' stacks");
			return;
		}
		before = rdtsc();
		if (start_one(c, acpi->cpu_ids[i], page))
			admit(c, before);
		else
			hc_log(HC_LOG_WARN, "the CPU with APIC ID %u does not start: left out",
			       acpi->cpu_ids[i]);
	}
}

static void flush(struct hc_cpu *cpu)
{
	(void)cpu;
	paging_flush();
}

void cpus_start(const struct acpi_info *acpi)
{
	uint64_t address = machine_low_page();
	uint8_t *page;

	board_cpus[0].cpu.hw_id = apic_id();
	atomic_store(&board_cpus[0].online, true);
	if (acpi->cpu_count < 2)
		return;
	page = address ? paging_window(hpa_of(address), HC_PAGE_SIZE, PAGING_RW) : NULL;
	if (!page || paging_map(address, address, HC_PAGE_SIZE, PAGING_LOW_CODE)) {
		hc_log(HC_LOG_WARN, "no free page below 1 MiB: the other CPUs cannot be started");
		return;
	}
	fill_trampoline(page, (uint32_t)address);
	start_listed(acpi, (uint8_t)(address >> HC_PAGE_SHIFT));
	paging_unmap(address, HC_PAGE_SIZE);
	board_call_cpus(flush);
}
