/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "emu/x86_64/alu.h"
#include "tests/oracle/oracle.h"

/* Flags that an instruction in user mode can change and see. */
#define FLAGS (ALU_FLAGS | X86_FLAG_DF | X86_FLAG_AC | X86_FLAG_ID | UINT64_C(1) << 14)

/* What a comparison writes into. */
struct report {
	char *text;
	size_t size, used;
	bool differs;
	const char *judge, *other;
};

__attribute__((format(printf, 2, 3))) static void differs(struct report *r, const char *format, ...)
{
	va_list arguments;
	int n;

	r->differs = true;
	if (r->used >= r->size)
		return;
	va_start(arguments, format);
	n = vsnprintf(r->text + r->used, r->size - r->used, format, arguments);
	va_end(arguments);
	r->used += n > 0 ? (size_t)n : 0;
}

static void say(const struct oracle_outcome *o, char *text, size_t size)
{
	if (o->vector == ORACLE_COMPLETED)
		snprintf(text, size, "completed");
	else
		snprintf(text, size, "#%u(%#x) cr2 %#lx", o->vector, o->error_code,
		         o->vector == X86_VEC_PF ? o->cr2 : 0);
}

/* The kernel says P for every address that is not user mode's, from the lower half's last page. */
static uint32_t error_code(const struct oracle_outcome *o)
{
	if (o->vector == X86_VEC_PF && o->cr2 >= UINT64_C(0x7ffffffff000))
		return o->error_code | X86_PF_P;
	return o->error_code;
}

static void compare_vector(struct report *r, bool has_faults, const struct oracle_leeway *leeway,
                           const struct oracle_outcome *judge, const struct oracle_outcome *other)
{
	char theirs[64], ours[64];
	bool same = judge->vector == other->vector;

	if (!has_faults)
		same = (judge->vector == ORACLE_COMPLETED) == (other->vector == ORACLE_COMPLETED);
	else if (same && judge->vector != ORACLE_COMPLETED)
		same = (error_code(judge) == error_code(other) &&
		        (judge->vector != X86_VEC_PF || judge->cr2 == other->cr2)) ||
		       (judge->vector == X86_VEC_PF && leeway->address);
	if (same)
		return;
	say(judge, theirs, sizeof(theirs));
	say(other, ours, sizeof(ours));
	differs(r, "  %s: %s, %s: %s\n", r->judge, theirs, r->other, ours);
}

/* Bits of general register n that count. */
static uint64_t register_mask(const struct oracle_case *c, const struct oracle_leeway *leeway,
                              unsigned n)
{
	if (leeway->destination && c->insn.reg == n)
		return 0;
	if (c->mode == X86_MODE_64)
		return leeway->upper_halves ? UINT32_MAX : UINT64_MAX;
	return n < 8 ? UINT32_MAX : 0;
}

static void compare_registers(struct report *r, const struct oracle_case *c,
                              const struct oracle_leeway *leeway,
                              const struct oracle_outcome *judge,
                              const struct oracle_outcome *other)
{
	const struct oracle_state *a = &judge->state, *b = &other->state;
	uint64_t flags = FLAGS & ~leeway->flags;

	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		if ((a->gpr[i] ^ b->gpr[i]) & register_mask(c, leeway, i))
			differs(r, "  gpr %u: was %#lx, %s %#lx, %s %#lx\n", i, c->state.gpr[i],
			        r->judge, a->gpr[i], r->other, b->gpr[i]);
	if (a->rip != b->rip)
		differs(r, "  rip: was %#lx, %s %#lx, %s %#lx\n", c->state.rip, r->judge, a->rip,
		        r->other, b->rip);
	if ((a->rflags ^ b->rflags) & flags)
		differs(r, "  rflags: were %#lx, %s %#lx, %s %#lx, compared %#lx\n",
		        c->state.rflags, r->judge, a->rflags, r->other, b->rflags, flags);
}

static void print_bytes(struct report *r, const char *who, const uint8_t *p, unsigned n)
{
	differs(r, "    %-8s", who);
	for (unsigned i = n; i-- > 0;)
		differs(r, "%02x%s", p[i], i && i % 4 == 0 ? "_" : "");
	differs(r, "\n");
}

static void compare_bytes(struct report *r, const char *what, unsigned number,
                          const struct oracle_case *c, const struct oracle_outcome *judge,
                          const struct oracle_outcome *other, unsigned at, unsigned n)
{
	const uint8_t *a = judge->state.xsave + at, *b = other->state.xsave + at;

	if (!memcmp(a, b, n))
		return;
	differs(r, "  %s %u:\n", what, number);
	print_bytes(r, "was", c->state.xsave + at, n);
	print_bytes(r, r->judge, a, n);
	print_bytes(r, r->other, b, n);
}

static unsigned fsw_of(const struct oracle_outcome *o)
{
	return (unsigned)(o->state.xsave[2] | o->state.xsave[3] << 8);
}

static uint32_t mxcsr_of(const struct oracle_outcome *o)
{
	uint32_t v;

	memcpy(&v, o->state.xsave + 24, sizeof(v));
	return v;
}

/* FCW, FSW, FTW, the registers and MXCSR; not the last instruction's opcode and pointers. */
static void compare_vectors(struct report *r, const struct oracle_case *c,
                            const struct oracle_leeway *leeway, const struct oracle_outcome *judge,
                            const struct oracle_outcome *other)
{
	unsigned n = c->mode == X86_MODE_64 ? 16 : 8;

	compare_bytes(r, "FCW", 0, c, judge, other, 0, 2);
	if ((fsw_of(judge) ^ fsw_of(other)) & ~(unsigned)leeway->fsw)
		compare_bytes(r, "FSW", 0, c, judge, other, 2, 2);
	compare_bytes(r, "FTW", 0, c, judge, other, 4, 1);
	if ((mxcsr_of(judge) ^ mxcsr_of(other)) & ~leeway->mxcsr)
		compare_bytes(r, "MXCSR", 0, c, judge, other, 24, 4);
	for (unsigned i = 0; i < 8; i++)
		compare_bytes(r, "ST", i, c, judge, other, 32 + 16 * i, leeway->exponents ? 8 : 10);
	for (unsigned i = 0; i < n; i++) {
		compare_bytes(r, "XMM", i, c, judge, other, 160 + 16 * i, 16);
		compare_bytes(r, "YMM (upper half)", i, c, judge, other, ORACLE_XSAVE_YMM + 16 * i,
		              16);
	}
}

/* Where an FXSAVE image or an x87 environment has what depends on the CPU. */
static bool is_environment(const struct oracle_case *c, uint64_t address)
{
	uint64_t offset = address - c->target;

	if (c->insn.op == X86_OP_FXSAVE)
		return offset - 6 < 18 || offset - 416 < 96;
	return c->insn.opsize == 2 ? offset - 6 < 8 : offset - 12 < 16;
}

static void compare_memory(struct report *r, const struct oracle_case *c,
                           const struct oracle_leeway *leeway, const struct oracle_outcome *judge,
                           const struct oracle_outcome *other)
{
	if (!memcmp(judge->memory, other->memory, ORACLE_DATA_SIZE))
		return;
	for (unsigned i = 0; i < ORACLE_DATA_SIZE; i++)
		if (judge->memory[i] != other->memory[i] &&
		    !(leeway->environment && is_environment(c, ORACLE_DATA + i))) {
			differs(r, "  memory at %#lx: was %#x, %s %#x, %s %#x\n", ORACLE_DATA + i,
			        c->memory[i], r->judge, judge->memory[i], r->other,
			        other->memory[i]);
			return;
		}
}

bool oracle_same(const struct oracle_case *c, const struct oracle_executor *judge,
                 const struct oracle_executor *executor, const struct oracle_outcome *judged,
                 const struct oracle_outcome *executed, char *text, size_t size)
{
	struct oracle_leeway leeway = judge->known(c, judged);
	struct report r = { text, size, 0, false, judge->name, executor->name };
	bool has_faults = judge->has_faults && executor->has_faults;

	text[0] = '\0';
	if (leeway.all)
		return true;
	compare_vector(&r, has_faults, &leeway, judged, executed);
	if (r.differs || (!has_faults && judged->vector != ORACLE_COMPLETED))
		return !r.differs; /* the rest follows from that, or is not told */
	compare_registers(&r, c, &leeway, judged, executed);
	if (executor->has_vectors)
		compare_vectors(&r, c, &leeway, judged, executed);
	compare_memory(&r, c, &leeway, judged, executed);
	return !r.differs;
}
