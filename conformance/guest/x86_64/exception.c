/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor tables, and what becomes of an exception. */
#include "guest/print.h"
#include "guest/x86_64/machine.h"

#define GDT_ENTRIES (FIRST_TSS / 8 + 2 * CPUS_MAX)

struct fixup {
	uint64_t start, end;
};
extern const struct fixup fixups_start[], fixups_end[];
extern const uint8_t vector_stubs[256][16];
void exception(struct frame *frame);
void enter_frame(struct frame *frame, uint64_t *stack);
_Noreturn void enter_return(uint64_t stack);
void reload_segments(void);
void end_nmi(void);

uint64_t gdt[GDT_ENTRIES];
struct gate idt[256] __attribute__((aligned(16)));
static struct tss tss[CPUS_MAX];
static uint8_t trap_stacks[CPUS_MAX][TRAP_BYTES] __attribute__((aligned(16)));
static uint8_t double_fault_stacks[CPUS_MAX][TRAP_BYTES] __attribute__((aligned(16)));
static void (*handlers[256])(struct frame *);
static struct {
	struct frame fault;    /* the last that fault_expect() took */
	struct frame *entered; /* enter()'s, while that is on its way */
	uint64_t stack;        /* and the stack to come back on */
} cpus[CPUS_MAX];

static const uint64_t flat_segments[] = {
	0,
	0x00af9b000000ffff, /* KERNEL_CODE */
	0x00cf93000000ffff, /* KERNEL_DATA */
	0x00cf9b000000ffff, /* KERNEL_CODE32 */
	0x00009b000000ffff, /* KERNEL_CODE16 */
	0x000093000000ffff, /* KERNEL_DATA16 */
	0x00cffb000000ffff, /* USER_CODE32 */
	0x00cff3000000ffff, /* USER_DATA */
	0x00affb000000ffff, /* USER_CODE */
	0x0000fb000000ffff, /* USER_CODE16 */
};

static const char names[][4] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
	                         "#NM", "#DF", "9",   "#TS", "#NP", "#SS", "#GP",
	                         "#PF", "15",  "#MF", "#AC", "#MC", "#XM" };

const char *arch_fault_name(uint64_t vector)
{
	return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : NULL;
}

/* The task register tells the CPUs apart: whatever stack or segment a case uses, it has its own. */
unsigned int arch_this_cpu(void)
{
	unsigned int selector = str();

	if (selector < FIRST_TSS || selector >= FIRST_TSS + 16 * CPUS_MAX)
		return 0;
	return (selector - FIRST_TSS) / 16;
}

struct tss *cpu_tss(unsigned int n)
{
	return &tss[n];
}

void idt_set(uint8_t vector, uint64_t offset, uint16_t selector, uint8_t type, uint8_t ist)
{
	idt[vector] = (struct gate){ .offset0 = (uint16_t)offset,
		                     .offset1 = (uint16_t)(offset >> 16),
		                     .offset2 = (uint32_t)(offset >> 32),
		                     .selector = selector,
		                     .type = type,
		                     .ist = ist };
}

void handle(uint8_t vector, void (*function)(struct frame *frame))
{
	handlers[vector] = function;
}

const struct frame *fault_frame(void)
{
	return &cpus[arch_this_cpu()].fault;
}

static void idt_fill(void)
{
	for (unsigned int n = 0; n < 256; n++) {
		bool for_all = n == BP || n == OF || n == RETURN_VECTOR;

		idt_set((uint8_t)n, (uint64_t)vector_stubs[n], KERNEL_CODE,
		        (uint8_t)(GATE_INTERRUPT | (for_all ? GATE_DPL3 : 0)), n == DF);
	}
}

static void gdt_fill(unsigned int n)
{
	uint64_t base = (uint64_t)&tss[n];

	if (n == 0) {
		memset(gdt, 0, FIRST_TSS);
		memcpy(gdt, flat_segments, sizeof(flat_segments));
	}
	gdt[FIRST_TSS / 8 + 2 * n] = DESCRIPTOR(base, sizeof(tss[0]) - 1, 0x89);
	gdt[FIRST_TSS / 8 + 2 * n + 1] = base >> 32;
}

void tables_init_cpu(unsigned int n)
{
	memset(&tss[n], 0, sizeof(tss[n]));
	tss[n].rsp[0] = (uint64_t)trap_stacks[n] + TRAP_BYTES;
	tss[n].ist[0] = (uint64_t)double_fault_stacks[n] + TRAP_BYTES;
	tss[n].io_map = (uint16_t)sizeof(tss[n]);
	gdt_fill(n);
	lgdt((uint64_t)gdt, sizeof(gdt) - 1);
	reload_segments();
	ltr((uint16_t)(FIRST_TSS + 16 * n));
	lldt(0);
	if (n == 0)
		idt_fill();
	lidt((uint64_t)idt, sizeof(idt) - 1);
}

void exceptions_reset(void)
{
	memset(handlers, 0, sizeof(handlers));
	memset(cpus, 0, sizeof(cpus));
	end_nmi();
}

static const struct fixup *find_fixup(uint64_t rip)
{
	for (const struct fixup *at = fixups_start; at < fixups_end; at++)
		if (rip >= at->start && rip <= at->end)
			return at;
	return NULL;
}

static void dump(const void *argument)
{
	static const char registers[15][4] = { "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8",
		                               "rdi", "rsi", "rbp", "rbx", "rdx", "rcx", "rax" };
	const struct frame *frame = argument;
	const uint64_t *values = &frame->r15;

	for (unsigned int n = 15; n--;)
		print("%s%s %016lx%s", n % 3 == 2 ? "# " : " ", registers[n], values[n],
		      n % 3 ? "" : "\n");
	print("# cs %lx ss %lx rsp %016lx cr0 %lx cr2 %lx cr3 %lx cr4 %lx\n", frame->cs, frame->ss,
	      frame->rsp, read_cr0(), read_cr2(), read_cr3(), read_cr4());
}

static uint64_t address_of(const struct frame *frame)
{
	if (frame->vector == PF)
		return read_cr2();
	return frame->vector == DB ? read_dr6() : 0;
}

/* What is neither expected nor handled ends the case. */
void exception(struct frame *frame)
{
	unsigned int n = arch_this_cpu();
	struct fault fault = { frame->vector, frame->code, address_of(frame), frame->rip,
		               frame->rflags };
	const struct fixup *fixup = find_fixup(frame->rip);

	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
	} else if (cpus[n].entered) {
		*cpus[n].entered = *frame;
		cpus[n].entered = NULL;
		enter_return(cpus[n].stack);
	} else if (fixup && fault_take(&fault)) {
		cpus[n].fault = *frame;
		frame->rip = fixup->end;
		frame->rflags &= ~(FLAG_TF | FLAG_RF);
	} else {
		fault_unexpected(&fault, dump, frame);
	}
}

void enter(struct frame *frame, uint16_t ds)
{
	unsigned int n = arch_this_cpu();

	cpus[n].entered = frame;
	load_ds(ds);
	load_es(ds);
	enter_frame(frame, &cpus[n].stack);
}

struct frame enter_user(const void *code, uint64_t rdi, uint64_t rsi)
{
	struct frame frame = { .rip = (uint64_t)code,
		               .cs = USER_CODE,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)user_stack_top,
		               .ss = USER_DATA,
		               .rdi = rdi,
		               .rsi = rsi };

	enter(&frame, USER_DATA);
	return frame;
}

void tables_reset(void)
{
	tables_init_cpu(0);
}
