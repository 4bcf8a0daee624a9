/* SPDX-License-Identifier: BSD-2-Clause */
/* From start.S to board_main(): the loader's information, memory, and a proper stack. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "platform/board/board.h"
#include "platform/board/image.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/layout.h"
#include "platform/board/x86_64/loader.h"
#include "platform/board/x86_64/machine.h"

void board_early(uint32_t kind, uint64_t pa);
void board_switch_stack(uint64_t top, void (*fn)(void *arg), void *arg);
_Noreturn void __stack_chk_fail(void);

/* In .data: start.S fills it before anything else runs on the UEFI path. */
struct board_boot_info board_boot_info __attribute__((section(".data")));
extern const uint32_t board_boot_info_size;
const uint32_t board_boot_info_size = sizeof(board_boot_info);

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = 0x2b992ddfa23249d6;

void __stack_chk_fail(void)
{
	hc_panic("a function's stack frame was overwritten, found at %p",
	         __builtin_return_address(0));
}

/* Not a secret of cryptographic strength: RDRAND where there is one, and the time in any case. */
__attribute__((no_stack_protector)) static void choose_canary(void)
{
	uint64_t v = rdtsc() * UINT64_C(0x9e3779b97f4a7c15), r;
	uint8_t ok = 0;

	if (cpuid(1, 0).ecx & HC_BIT(30))
		__asm__ volatile("rdrand %0; setc %1" : "=r"(r), "=qm"(ok) : : "cc");
	if (ok)
		v ^= r;
	/* A zero byte first, so that overrunning strings cannot reproduce it. */
	__stack_chk_guard ^= v & ~UINT64_C(0xff);
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
	if (info->image_base & (2 * HC_MIB - 1) || info->image_base >= 4 * HC_GIB)
		return -EPROTO;
	return boot_info_check(info);
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

static void on_own_stack(void *arg)
{
	(void)arg;
	board_main(&board_boot_info);
}

__attribute__((no_stack_protector)) void board_early(uint32_t kind, uint64_t pa)
{
	struct board_cpu *boot = &board_cpus[0];
	int err;

	choose_canary();
	idt_build();
	cpu_load(boot);
	err = read_boot_info(kind, pa);
	if (err)
		hc_panic("the boot loader's information (kind 0x%x) makes no sense (%d)", kind,
		         err);
	err = machine_memory_init();
	if (!err)
		err = cpu_alloc_stacks(boot);
	if (err)
		hc_panic("there is not enough memory to start (%d)", err);
	board_switch_stack(boot->stack_top, on_own_stack, NULL);
}
