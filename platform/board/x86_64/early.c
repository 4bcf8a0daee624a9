/* SPDX-License-Identifier: BSD-2-Clause */
/* From start.S to board_main(): the loader's information, memory, and a proper stack. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/board.h"
#include "platform/board/early.h"
#include "platform/board/image.h"
#include "platform/board/ram.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/layout.h"
#include "platform/board/x86_64/loader.h"
#include "platform/board/x86_64/machine.h"

void board_early(uint32_t kind, uint64_t pa);

/* In .data: start.S fills it before anything else runs on the UEFI path. */
struct board_boot_info board_boot_info __attribute__((section(".data")));
extern const uint32_t board_boot_info_size;
const uint32_t board_boot_info_size = sizeof(board_boot_info);

/* Not a secret of cryptographic strength: RDRAND where there is one, and the time in any case. */
__attribute__((no_stack_protector)) static void choose_canary(void)
{
	uint64_t noise = 0;
	uint8_t ok = 0;

	if (cpuid(1, 0).ecx & HC_BIT(30))
		__asm__ volatile("rdrand %0; setc %1" : "=r"(noise), "=qm"(ok) : : "cc");
	early_stir_guard(rdtsc(), ok ? noise : 0);
}

/* During start-up the first 4 GiB are mapped one to one. */
static const void *early_map(uint64_t pa, uint64_t size)
{
	if (!pa || pa + size < pa || pa + size > 4 * HC_GIB)
		return NULL;
	return (const void *)(uintptr_t)pa;
}

static int check_boot_info(struct board_boot_info *info)
{
	int err = boot_info_check(info);

	if (info->image_base & (2 * HC_MIB - 1) || info->image_base >= 4 * HC_GIB)
		return -EPROTO;
	return err;
}

static int read_boot_info(uint32_t kind, uint64_t pa)
{
	struct board_boot_info *info = &board_boot_info;
	int err;

	switch (kind) {
	case START_MULTIBOOT2: err = multiboot2_read(info, pa, early_map); break;
	case START_PVH: err = pvh_read(info, pa, early_map); break;
	case START_BOOT_INFO: return check_boot_info(info);
	default: err = -EPROTO; break;
	}
	info->image_base = IMAGE_PHYS;
	info->image_size = (uint64_t)(image_end - image_start);
	return err;
}

static int start(uint32_t kind, uint64_t pa)
{
	int err = read_boot_info(kind, pa);

	if (err)
		return hc_error(err, "the boot loader's information (kind 0x%x) makes no sense",
		                kind);
	err = ram_init(HC_MIB); /* below are the BIOS' data, and where other CPUs start */
	if (err)
		return err;
	err = cpu_alloc_stacks(&board_cpus[0]);
	return err ? hc_error(err, "there is no memory for the boot CPU's stacks") : 0;
}

__attribute__((no_stack_protector)) void board_early(uint32_t kind, uint64_t pa)
{
	choose_canary();
	idt_build();
	cpu_load(&board_cpus[0]);
	if (start(kind, pa))
		board_fail(&board_boot_info);
	early_go_on(board_cpus[0].stack_top);
}
