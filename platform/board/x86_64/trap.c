/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/board/x86_64/trap.h"

#include "core/log.h"
#include "platform/board/panic.h"
#include "platform/board/x86_64/apic.h"
#include "platform/board/x86_64/cpu.h"
#include "platform/board/x86_64/hw.h"
#include "platform/board/x86_64/paging.h"

#define MSR_EFER 0xc0000080

static void (*handlers[256])(void);
static atomic_bool nmis_are_ours;

/* SDM Vol. 3A table 6-1, APM Vol. 2 table 8-1. */
static const char *const exception_names[32] = {
	[0] = "#DE divide error",
	[1] = "#DB debug",
	[2] = "NMI",
	[3] = "#BP breakpoint",
	[4] = "#OF overflow",
	[5] = "#BR bound range",
	[6] = "#UD undefined instruction",
	[7] = "#NM no FPU",
	[8] = "#DF double fault",
	[10] = "#TS invalid TSS",
	[11] = "#NP segment not present",
	[12] = "#SS stack segment",
	[13] = "#GP general protection",
	[14] = "#PF page fault",
	[16] = "#MF FPU error",
	[17] = "#AC alignment check",
	[18] = "#MC machine check",
	[19] = "#XF SIMD error",
	[20] = "#VE virtualization",
	[21] = "#CP control protection",
	[28] = "#HV hypervisor injection",
	[29] = "#VC VMM communication",
	[30] = "#SX security",
};

void trap_set_handler(unsigned vector, void (*fn)(void))
{
	handlers[vector] = fn;
}

typedef unsigned long long ull;

static void explain_page_fault(const struct trap_frame *f)
{
	uint64_t va = read_cr2();

	dump_say("  %s of 0x%016llx: %s%s%s",
	         f->error_code & 16  ? "execution"
	         : f->error_code & 2 ? "write"
	                             : "read",
	         (ull)va, f->error_code & 1 ? "not allowed" : "not mapped",
	         f->error_code & 8 ? ", reserved bit set" : "",
	         paging_is_guard(va) ? ", stack overflow" : "");
}

void trap_dump(const struct trap_frame *f)
{
	char text[40];
	const char *name = f->vector < 32 ? exception_names[f->vector] : NULL;

	dump_say("cpu %u: vector %llu (%s), error code 0x%llx", this_cpu()->cpu.id, (ull)f->vector,
	         name ? name : "reserved", (ull)f->error_code);
	if (f->vector == 14)
		explain_page_fault(f);
	else if (f->error_code && f->vector != 8)
		dump_say("  selector 0x%llx in the %s%s", (ull)(f->error_code & 0xfff8),
		         f->error_code & 2   ? "IDT"
		         : f->error_code & 4 ? "LDT"
		                             : "GDT",
		         f->error_code & 1 ? ", external event" : "");
	dump_say("  rip %016llx (%s) rflags %08llx cs %llx ss %llx", (ull)f->rip,
	         dump_place(f->rip, text, sizeof(text)), (ull)f->rflags, (ull)f->cs, (ull)f->ss);
	dump_say("  rax %016llx rbx %016llx rcx %016llx rdx %016llx", (ull)f->rax, (ull)f->rbx,
	         (ull)f->rcx, (ull)f->rdx);
	dump_say("  rsi %016llx rdi %016llx rbp %016llx rsp %016llx", (ull)f->rsi, (ull)f->rdi,
	         (ull)f->rbp, (ull)f->rsp);
	dump_say("  r8  %016llx r9  %016llx r10 %016llx r11 %016llx", (ull)f->r8, (ull)f->r9,
	         (ull)f->r10, (ull)f->r11);
	dump_say("  r12 %016llx r13 %016llx r14 %016llx r15 %016llx", (ull)f->r12, (ull)f->r13,
	         (ull)f->r14, (ull)f->r15);
	dump_say("  cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx efer %llx", (ull)read_cr0(),
	         (ull)read_cr2(), (ull)read_cr3(), (ull)read_cr4(), (ull)rdmsr(MSR_EFER));
	dump_stack(f->rsp);
}

static void exception(const struct trap_frame *f)
{
	const char *name = exception_names[f->vector];
	char text[40];

	panic_begin();
	trap_dump(f);
	hc_panic("%s at %s", name ? name : "reserved exception",
	         dump_place(f->rip, text, sizeof(text)));
}

void trap_expect_nmis(void)
{
	atomic_store(&nmis_are_ours, true);
}

/* One from outside reaches all CPUs at once: their dumps take turns. */
static void nmi(const struct trap_frame *f)
{
	static struct hc_lock turn;

	panic_stop_if_other();
	if (atomic_load_explicit(&nmis_are_ours, memory_order_relaxed))
		return;
	hc_lock(&turn);
	trap_dump(f);
	hc_unlock(&turn);
}

void trap_dispatch(struct trap_frame *f)
{
	if (f->vector == VECTOR_NMI) {
		nmi(f);
		return;
	}
	if (f->vector < 32) {
		exception(f);
		return;
	}
	/* Neither a spurious interrupt of the local APIC nor one of the 8259 is in service
	 * (SDM Vol. 3A 10.9). */
	if (f->vector == VECTOR_SPURIOUS ||
	    (f->vector >= VECTOR_PIC && f->vector < VECTOR_PIC + 16))
		return;
	apic_eoi();
	if (handlers[f->vector])
		handlers[f->vector]();
}
