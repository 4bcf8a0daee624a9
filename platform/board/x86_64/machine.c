/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine: its memory, its firmware tables, and starting the rest of it. */
#include "platform/board/x86_64/machine.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "core/sched.h"
#include "core/vcpu.h"
#include "platform/board/board.h"
#include "platform/board/image.h"
#include "platform/board/memory.h"
#include "platform/board/ram.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/clock.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/rtc.h"
#include "platform/board/x86_64/trap.h"

typedef unsigned long long ull;

struct acpi_info machine_acpi;

static uint64_t wall_clock; /* at the clock's zero */

/* --- Memory --- */

static bool overlaps(uint64_t base, uint64_t size, uint64_t page)
{
	return page < base + size && base < page + HC_PAGE_SIZE;
}

static bool low_page_is_free(uint64_t page)
{
	const struct board_boot_info *info = &board_boot_info;
	bool is_ram = false;

	for (uint32_t i = 0; i < info->range_count; i++) {
		const struct board_range *r = &info->ranges[i];

		if (r->type == BOARD_RANGE_RAM)
			is_ram |= page >= r->base && page + HC_PAGE_SIZE <= r->base + r->size;
		else if (overlaps(r->base, r->size, page))
			return false;
	}
	for (uint32_t i = 0; i < info->module_count; i++)
		if (overlaps(info->modules[i].base, info->modules[i].size, page))
			return false;
	return is_ram;
}

/* Not the first pages, where the BIOS keeps its data, nor the last below 640 KiB. */
uint64_t machine_low_page(void)
{
	for (uint64_t page = 0x80000; page >= 0x1000; page -= HC_PAGE_SIZE)
		if (low_page_is_free(page))
			return page;
	return 0;
}

/* --- Firmware tables --- */

/* ACPI 6.4, 5.2.5.1: the first KiB of the extended BIOS data area, or the BIOS' read-only memory.
 */
static uint64_t find_rsdp(void)
{
	uint64_t found = board_boot_info.rsdp;
	const uint16_t *ebda = found ? NULL : board_reach(0x40e, 2);
	uint64_t at = ebda ? (uint64_t)*ebda << 4 : 0;

	if (!found && at >= 0x400)
		found = acpi_find_rsdp(at, HC_KIB, ram_reach_table, NULL);
	if (!found)
		found = acpi_find_rsdp(0xe0000, 0x20000, ram_reach_table, NULL);
	return found;
}

static void read_firmware_tables(void)
{
	uint64_t rsdp = find_rsdp();

	if (!rsdp || acpi_read(&machine_acpi, rsdp, ram_reach_table, NULL))
		hc_log(HC_LOG_WARN, "no ACPI tables: one CPU, no serial input, no power off");
}

/* --- The rest --- */

/* It came when the vCPU that it is for was not in the guest. */
static void take_posting(void)
{
	struct hc_vcpu *vcpu = hc_vcpu_current();

	if (vcpu)
		atomic_fetch_or(&vcpu->requests, HC_REQ_EVENT);
}

int board_machine_start(void)
{
	int err;

	read_firmware_tables();
	err = apic_init();
	if (err)
		return err;
	apic_init_cpu();
	trap_set_handler(VECTOR_POST, take_posting);
	ioapic_init(&machine_acpi);
	err = clock_init(hpa_of(machine_acpi.hpet_address));
	if (err)
		return err;
	clock_init_cpu();
	wall_clock = rtc_seconds();
	cpus_start(&machine_acpi);
	return 0;
}

void board_log_machine(void)
{
	struct cpuid v = cpuid(0, 0);
	char vendor[13] = "";

	memcpy(vendor, &v.ebx, 4);
	memcpy(vendor + 4, &v.edx, 4);
	memcpy(vendor + 8, &v.ecx, 4);
	hc_log(HC_LOG_INFO, "%u CPU%s (%s, %s) of %u", board_cpu_count,
	       board_cpu_count == 1 ? "" : "s", vendor, apic_mode(),
	       machine_acpi.cpu_count ? machine_acpi.cpu_count + machine_acpi.cpus_left_out : 1);
	hc_log(HC_LOG_INFO, "%llu MiB of memory, %llu MiB free", (ull)(ram_total() >> 20),
	       (ull)(memory_available() >> 20));
	hc_log(HC_LOG_INFO, "TSC at %llu kHz by the %s, timer by %s",
	       (ull)(hc_platform_cycles_hz() / 1000), clock_reference(),
	       apic_has_tsc_deadline() ? "TSC deadline" : "local APIC count");
}

uint64_t hc_platform_wall_clock(void)
{
	return wall_clock ? wall_clock + hc_platform_now_ns() / 1000000000 : 0;
}

struct hc_cpu *board_cpu(unsigned n)
{
	return n < board_cpu_count ? &board_cpus[n].cpu : NULL;
}
