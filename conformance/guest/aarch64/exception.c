/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of an exception, other contexts, and code made at run time. */
#include "guest/aarch64/layout.h"
#include "guest/aarch64/machine.h"
#include "guest/print.h"

_Static_assert(sizeof(struct frame) == FRAME_BYTES, "vectors.S");
_Static_assert(offsetof(struct frame, sp) == FRAME_SP, "vectors.S");
_Static_assert(offsetof(struct frame, elr) == FRAME_ELR, "vectors.S");
_Static_assert(offsetof(struct frame, esr) == FRAME_ESR, "vectors.S");
_Static_assert(offsetof(struct frame, kind) == FRAME_KIND, "vectors.S");

void exception(struct frame *frame);
_Noreturn void enter_frame(struct frame *frame);
void execute_at(const void *code, uint64_t x[8]);
void execute_under_at(const void *code, uint64_t x[8], uint64_t sctlr, uint64_t trap[5]);

static bool (*handlers[4])(struct frame *);
static struct {
	struct frame fault;    /* the last that fault_expect() took */
	struct frame *entered; /* enter()'s, while that is on its way */
	struct arch_unwind back;
} cpus[CPUS_MAX];
static uint32_t code_pages[CPUS_MAX][PAGE / 4] __attribute__((aligned(4096)));
static uint32_t user_code_pages[CPUS_MAX][PAGE / 4]
	__attribute__((aligned(4096), section(".user.text.pages")));
uint8_t user_data[4096] __attribute__((aligned(4096), section(".user.data")));
uint8_t user_stack[4096] __attribute__((aligned(4096), section(".user.data")));

static const struct {
	uint8_t vector;
	const char *name;
} names[] = {
	{ EC_UNKNOWN, "UNDEFINED" },
	{ EC_WFX, "trapped WFI or WFE" },
	{ EC_FP, "trapped FP" },
	{ EC_BTI, "branch target" },
	{ EC_ILLEGAL, "illegal execution state" },
	{ EC_SVC, "SVC" },
	{ EC_SYSREG, "trapped system register" },
	{ EC_SVE, "trapped SVE" },
	{ EC_IABORT_LOWER, "instruction abort from EL0" },
	{ EC_IABORT, "instruction abort" },
	{ EC_PC_ALIGNMENT, "PC alignment" },
	{ EC_DABORT_LOWER, "data abort from EL0" },
	{ EC_DABORT, "data abort" },
	{ EC_SP_ALIGNMENT, "SP alignment" },
	{ EC_BREAK_LOWER, "breakpoint from EL0" },
	{ EC_BREAK, "breakpoint" },
	{ EC_STEP_LOWER, "software step from EL0" },
	{ EC_STEP, "software step" },
	{ EC_WATCH_LOWER, "watchpoint from EL0" },
	{ EC_WATCH, "watchpoint" },
	{ EC_BRK, "BRK" },
	{ VECTOR_IRQ, "IRQ" },
	{ VECTOR_FIQ, "FIQ" },
	{ VECTOR_SERROR, "SError" },
};

const char *arch_fault_name(uint64_t vector)
{
	for (unsigned int n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		if (names[n].vector == vector)
			return names[n].name;
	return NULL;
}

void handle(unsigned int kind, bool (*function)(struct frame *frame))
{
	handlers[kind] = function;
}

const struct frame *fault_frame(void)
{
	return &cpus[arch_this_cpu()].fault;
}

void exceptions_reset(void)
{
	for (unsigned int n = 0; n < 4; n++)
		handlers[n] = NULL;
	for (unsigned int n = 0; n < CPUS_MAX; n++)
		cpus[n].entered = NULL;
}

static void print_frame(const void *argument)
{
	const struct frame *f = argument;

	print("# ESR %#lx FAR %#lx ELR %#lx SPSR %#lx SP %#lx vector %lu, loaded at %#lx\n", f->esr,
	      f->far, f->elr, f->spsr, f->sp, f->kind, (uint64_t)image_start);
	for (unsigned int n = 0; n < 31; n++)
		print("%sX%u %016lx%s", n % 4 ? " " : "# ", n, f->x[n], n % 4 == 3 ? "\n" : "");
	print("\n");
}

static struct fault fault_of(const struct frame *f)
{
	unsigned int kind = f->kind % 4;

	return (struct fault){
		.vector = kind == KIND_SYNC ? FIELD(f->esr, 31, 26) : VECTOR_IRQ + kind - 1,
		.code = kind == KIND_SYNC || kind == KIND_SERROR ? FIELD(f->esr, 24, 0) : 0,
		.address = f->far,
		.pc = f->elr,
		.flags = f->spsr,
	};
}

/* Goes on behind it: at the caller, if the instruction could not even be fetched. */
static void leave_out(struct frame *f, uint64_t vector)
{
	switch (vector) {
	case EC_IABORT:
	case EC_PC_ALIGNMENT: f->elr = f->x[30]; break;
	case EC_SVC:
	case EC_STEP:
	case VECTOR_IRQ:
	case VECTOR_FIQ:
	case VECTOR_SERROR: break;
	default: f->elr += 4; break;
	}
	f->spsr &= ~(SPSR_IL | SPSR_SS);
}

void exception(struct frame *f)
{
	unsigned int cpu = arch_this_cpu(), kind = f->kind % 4;
	struct fault fault = fault_of(f);
	struct frame *entered = cpus[cpu].entered;

	if (handlers[kind] && handlers[kind](f))
		return;
	if (entered) {
		cpus[cpu].entered = NULL;
		memcpy(entered, f, sizeof(*f));
		arch_unwind(&cpus[cpu].back);
	}
	if (fault_take(&fault)) {
		memcpy(&cpus[cpu].fault, f, sizeof(*f));
		leave_out(f, fault.vector);
		return;
	}
	fault_unexpected(&fault, print_frame, f);
}

static void enter_now(void *frame)
{
	enter_frame(frame);
}

void enter(struct frame *frame)
{
	unsigned int cpu = arch_this_cpu();
	uint64_t daif = read_sysreg(daif);

	cpus[cpu].entered = frame;
	arch_protect(&cpus[cpu].back, enter_now, frame);
	write_sysreg(daif, daif);
}

struct frame enter_el0(const void *code, uint64_t x0, uint64_t x1)
{
	struct frame frame = { .x = { x0, x1 },
		               .sp = (uint64_t)user_stack_top,
		               .elr = (uint64_t)code,
		               .spsr = SPSR_EL0T | SPSR_A | SPSR_I | SPSR_F };

	enter(&frame);
	return frame;
}

/* ---- Code from numbers ---- */

void clean_code(const void *start, uint64_t bytes)
{
	uint64_t ctr = read_sysreg(ctr_el0), from = (uint64_t)start;
	uint64_t data = UINT64_C(4) << FIELD(ctr, 19, 16), code = UINT64_C(4) << FIELD(ctr, 3, 0);

	for (uint64_t at = from & ~(data - 1); at < from + bytes; at += data)
		op1("dc cvau", at);
	op("dsb ish");
	for (uint64_t at = from & ~(code - 1); at < from + bytes; at += code)
		op1("ic ivau", at);
	op("dsb ish\n\tisb");
}

void flush_data(const void *start, uint64_t bytes)
{
	uint64_t line = UINT64_C(4) << FIELD(read_sysreg(ctr_el0), 19, 16), from = (uint64_t)start;

	dsb();
	for (uint64_t at = from & ~(line - 1); at < from + bytes; at += line)
		op1("dc civac", at);
	dsb();
}

static const void *place(uint32_t *page, const uint32_t *opcodes, unsigned int n)
{
	bool same = true;

	for (unsigned int i = 0; i < n; i++) {
		same &= page[i] == opcodes[i];
		page[i] = opcodes[i];
	}
	if (!same)
		clean_code(page, n * 4);
	return page;
}

const void *place_code(const uint32_t *opcodes, unsigned int n)
{
	return place(code_pages[arch_this_cpu()], opcodes, n);
}

const void *place_code_el0(const uint32_t *opcodes, unsigned int n)
{
	uint32_t *page = user_code_pages[arch_this_cpu()];
	uint64_t *entry = page_entry((uint64_t)page, 3), old = *entry;

	page_set((uint64_t)page, 3, PTE_NORMAL | PTE_TABLE | (uint64_t)page);
	place(page, opcodes, n);
	page_set((uint64_t)page, 3, old);
	return page;
}

void execute(uint32_t opcode, uint64_t x[8])
{
	const uint32_t code[] = { opcode, OPCODE_RET };

	execute_at(place_code(code, 2), x);
}

struct fault execute_under(uint64_t sctlr, const uint32_t *opcodes, unsigned int n, uint64_t x[8])
{
	const void *code = place_code(opcodes, n);
	uint64_t trap[5];
	struct frame frame;

	flush_data(code, n * 4);
	execute_under_at(code, x, sctlr, trap);
	if (!trap[0])
		return (struct fault){ .vector = FAULT_NONE };
	frame = (struct frame){ .kind = trap[0] >> 7,
		                .esr = trap[1],
		                .far = trap[2],
		                .elr = trap[3],
		                .spsr = trap[4] };
	return fault_of(&frame);
}

struct frame execute_el0(uint32_t opcode, uint64_t x[8])
{
	const uint32_t code[] = { opcode, 0xd4000001 /* SVC #0 */ };
	struct frame frame = { .sp = (uint64_t)user_stack_top,
		               .spsr = SPSR_EL0T | SPSR_A | SPSR_I | SPSR_F };

	frame.elr = (uint64_t)place_code_el0(code, 2);
	memcpy(frame.x, x, 8 * sizeof(x[0]));
	enter(&frame);
	memcpy(x, frame.x, 8 * sizeof(x[0]));
	return frame;
}

uint64_t sysreg_read(uint32_t number)
{
	uint64_t x[8] = { 0 };

	execute(OPCODE_MRS | (number & 0x7fff) << 5 | (number >> 15 & 1) << 20, x);
	return x[0];
}

void sysreg_write(uint32_t number, uint64_t value)
{
	uint64_t x[8] = { value };

	execute(OPCODE_MSR | number << 5, x);
	isb();
}

unsigned int id_field(unsigned int crm, unsigned int op2, unsigned int low)
{
	return (unsigned int)(sysreg_read(SYSREG(3, 0, 0, crm, op2)) >> low & 15);
}

void need_lse(void)
{
	if (id_field(6, 0, 20) < 2)
		skip("ID_AA64ISAR0_EL1.Atomic");
}

/* ---- Vector registers ---- */

#define EACH(text)                                                                                 \
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,"    \
	"29,30,31\n\t" text "\n\t.endr"

void vectors_load(const struct vectors *from)
{
	__asm__ volatile(EACH("ldr q\\n, [%0, #16 * \\n]") : : "r"(from) : "memory");
	write_sysreg(fpcr, from->fpcr);
	write_sysreg(fpsr, from->fpsr);
}

void vectors_store(struct vectors *to)
{
	__asm__ volatile(EACH("str q\\n, [%0, #16 * \\n]") : : "r"(to) : "memory");
	to->fpcr = read_sysreg(fpcr);
	to->fpsr = read_sysreg(fpsr);
}
