/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine: its memory, its firmware tables, and starting the rest of it. */
#include "platform/board/x86_64/machine.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "core/sched.h"
#include "platform/board/board.h"
#include "platform/board/console.h"
#include "platform/board/memory.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/clock.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/image.h"
#include "platform/board/x86_64/paging.h"
#include "platform/board/x86_64/rtc.h"
#include "platform/board/x86_64/serial.h"

typedef unsigned long long ull;

struct acpi_info machine_acpi;

static struct ranges ram;    /* what is mapped at DIRECT_BASE */
static struct ranges unused; /* what of it nobody has a claim to yet */
static uint64_t wall_clock;  /* at the clock's zero */

/* --- Memory --- */

static void remove_pages(struct ranges *l, uint64_t base, uint64_t size)
{
	ranges_remove(l, HC_ALIGN_DOWN(base, HC_PAGE_SIZE), HC_ALIGN_UP(base + size, HC_PAGE_SIZE));
}

/* Firmware maps overlap now and then: whatever is not RAM wins. */
static void collect_ram(const struct board_boot_info *info)
{
	for (uint32_t i = 0; i < info->range_count; i++) {
		const struct board_range *r = &info->ranges[i];

		if (r->type == BOARD_RANGE_RAM)
			ranges_add(&ram, HC_ALIGN_UP(r->base, HC_PAGE_SIZE),
			           HC_ALIGN_DOWN(r->base + r->size, HC_PAGE_SIZE));
	}
	for (uint32_t i = 0; i < info->range_count; i++)
		if (info->ranges[i].type != BOARD_RANGE_RAM)
			remove_pages(&ram, info->ranges[i].base, info->ranges[i].size);
	ranges_remove(&ram, 0, HC_MIB);
	ranges_remove(&ram, DIRECT_SIZE, UINT64_MAX);
}

int machine_memory_init(void)
{
	const struct board_boot_info *info = &board_boot_info;
	uint64_t image_size = (uint64_t)(image_end - image_start);
	int err;

	collect_ram(info);
	unused = ram;
	remove_pages(&unused, info->image_base, hc_max(image_size, info->image_size));
	for (uint32_t i = 0; i < info->module_count; i++)
		remove_pages(&unused, info->modules[i].base, info->modules[i].size);
	err = paging_start(&ram, &unused, info->image_base);
	if (err)
		return err;
	memory_init(&unused, DIRECT_BASE);
	if (ram.full || unused.full)
		hc_log(HC_LOG_WARN, "the memory map has too many pieces: some memory is left out");
	return 0;
}

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

static bool is_direct(uint64_t pa, uint64_t size)
{
	for (unsigned i = 0; i < ram.count; i++)
		if (pa >= ram.r[i].base && size <= ram.r[i].end - ram.r[i].base &&
		    pa - ram.r[i].base <= ram.r[i].end - ram.r[i].base - size)
			return true;
	return false;
}

const void *board_reach(uint64_t pa, uint64_t size)
{
	if (is_direct(pa, size))
		return (const void *)(uintptr_t)(pa + DIRECT_BASE);
	return paging_window(hpa_of(pa), size, PAGING_RO);
}

void *board_map_framebuffer(uint64_t pa, uint64_t size)
{
	return paging_window(hpa_of(pa), size, PAGING_COMBINING);
}

hpa_t hc_platform_to_hpa(const void *p)
{
	uint64_t va = (uint64_t)(uintptr_t)p;
	hpa_t pa;

	if (va >= DIRECT_BASE && va < DIRECT_BASE + DIRECT_SIZE)
		return hpa_of(va - DIRECT_BASE);
	if (!paging_lookup(va, &pa))
		hc_panic("%p is not mapped and has no physical address", p);
	return pa;
}

void *hc_platform_from_hpa(hpa_t pa)
{
	return (void *)(uintptr_t)(pa.v + DIRECT_BASE);
}

/* --- Firmware tables --- */

static const void *acpi_reach(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg;
	if (!pa || pa + size < pa)
		return NULL;
	return board_reach(pa, size);
}

/* ACPI 6.4, 5.2.5.1: the first KiB of the extended BIOS data area, or the BIOS' read-only memory.
 */
static uint64_t find_rsdp(void)
{
	uint64_t found = board_boot_info.rsdp;
	const uint16_t *ebda = found ? NULL : board_reach(0x40e, 2);
	uint64_t at = ebda ? (uint64_t)*ebda << 4 : 0;

	if (!found && at >= 0x400)
		found = acpi_find_rsdp(at, HC_KIB, acpi_reach, NULL);
	if (!found)
		found = acpi_find_rsdp(0xe0000, 0x20000, acpi_reach, NULL);
	return found;
}

static void read_firmware_tables(void)
{
	uint64_t rsdp = find_rsdp();

	if (!rsdp || acpi_read(&machine_acpi, rsdp, acpi_reach, NULL))
		hc_log(HC_LOG_WARN, "no ACPI tables: one CPU, no serial input, no power off");
}

/* --- The rest --- */

int board_machine_start(void)
{
	int err;

	read_firmware_tables();
	err = apic_init();
	if (err)
		return err;
	apic_init_cpu();
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
	hc_log(HC_LOG_INFO, "%llu MiB of memory, %llu MiB free", (ull)(ranges_total(&ram) >> 20),
	       (ull)(memory_available() >> 20));
	hc_log(HC_LOG_INFO, "TSC at %llu kHz by the %s, timer by %s",
	       (ull)(hc_platform_cycles_hz() / 1000), clock_reference(),
	       apic_has_tsc_deadline() ? "TSC deadline" : "local APIC count");
}

uint64_t hc_platform_wall_clock(void)
{
	return wall_clock ? wall_clock + hc_platform_now_ns() / 1000000000 : 0;
}

int board_attach_serial(enum board_serial port)
{
	struct serial_port *p = serial_open(port - BOARD_SERIAL_COM1);

	if (!p)
		return -ENODEV;
	console_attach(serial_write_line, p);
	return 0;
}

struct hc_chardev *board_serial_chardev(enum board_serial port)
{
	struct serial_port *p = serial_open(port - BOARD_SERIAL_COM1);

	if (!p)
		return NULL;
	serial_start_input(p, &machine_acpi);
	return serial_chardev(p);
}

struct hc_cpu *board_cpu(unsigned n)
{
	return n < board_cpu_count ? &board_cpus[n].cpu : NULL;
}
