/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything is gathered in a buffer first, then registers change: nothing can fail any more. */
#include "emu/aarch64/access.h"

#include <hypercore/freestanding.h>

#define REGISTERS_MAX 4
#define BYTES_MAX     (REGISTERS_MAX * 16)

struct run {
	const struct a64_ldst *insn;
	struct a64_state *state;
	const struct a64_mem_ops *ops;
	void *ctx;
	uint64_t address;
	unsigned access;
};

/* --- Registers --- */

/* SP is that of the exception level, or SP_EL0 if PSTATE.SP is 0 (Arm ARM D1.6.2). */
static unsigned stack_pointer(const struct a64_state *s)
{
	return (s->pstate & A64_PSTATE_M) == A64_PSTATE_EL1H ? A64_SP_EL1 : A64_SP_EL0;
}

static uint64_t get_base(const struct a64_state *s, unsigned rn)
{
	return rn < 31 ? s->x[rn] : s->sys[stack_pointer(s)];
}

static void set_base(struct a64_state *s, unsigned rn, uint64_t value)
{
	if (rn < 31)
		s->x[rn] = value;
	else
		s->sys[stack_pointer(s)] = value;
}

uint32_t a64_ldst_groups(const struct a64_ldst *i)
{
	bool is_sp = i->rn == 31 && !i->is_literal && i->kind != A64_LDST_ZERO;

	return A64_G_CORE | (i->is_vector ? A64_G_FP : 0u) | (is_sp ? A64_G_SYS : 0u);
}

/* --- Addresses --- */

static uint64_t extend(uint64_t v, unsigned bytes, bool is_signed)
{
	unsigned up = 64 - 8 * bytes;

	return is_signed ? (uint64_t)((int64_t)(v << up) >> up) : v << up >> up;
}

/* option: UXTW, LSL, SXTW, SXTX are 2, 3, 6, 7 (Arm ARM C6.2, ExtendReg). */
static uint64_t displacement(const struct a64_ldst *i, const struct a64_state *s)
{
	if (!i->has_index)
		return (uint64_t)i->offset;
	return extend(a64_get_x(s, i->rm), i->option & 1 ? 8 : 4, i->option & 4) << i->shift;
}

gva_t a64_ldst_address(const struct a64_ldst *i, const struct a64_state *s)
{
	if (i->kind == A64_LDST_ZERO)
		return gva_of(a64_get_x(s, i->rn));
	if (i->is_literal)
		return gva_of(s->pc + (uint64_t)i->offset);
	return gva_of(get_base(s, i->rn) + (i->post ? 0 : displacement(i, s)));
}

static void write_back(const struct a64_ldst *i, struct a64_state *s)
{
	bool is_loaded = i->kind == A64_LDST_LOAD && !i->is_vector && i->rn != 31 &&
	                 (i->rt == i->rn || (i->count == 2 && i->rt2 == i->rn));

	if (i->writeback && !is_loaded)
		set_base(s, i->rn, get_base(s, i->rn) + displacement(i, s));
}

/* --- Memory --- */

static int read_value(const struct run *r, uint64_t at, unsigned size, uint64_t *value)
{
	uint64_t byte;

	if (at % HC_PAGE_SIZE + size <= HC_PAGE_SIZE)
		return r->ops->read(r->ctx, gva_of(at), size, r->access, value);
	*value = 0;
	for (unsigned i = 0; i < size; i++) {
		int rc = r->ops->read(r->ctx, gva_of(at + i), 1, r->access, &byte);

		if (rc)
			return rc;
		*value |= (byte & 0xff) << 8 * i;
	}
	return 0;
}

static int write_value(const struct run *r, uint64_t at, unsigned size, uint64_t value)
{
	int rc = 0;

	if (at % HC_PAGE_SIZE + size <= HC_PAGE_SIZE)
		return r->ops->write(r->ctx, gva_of(at), size, r->access, value);
	for (unsigned i = 0; i < size && !rc; i++)
		rc = r->ops->write(r->ctx, gva_of(at + i), 1, r->access, value >> 8 * i & 0xff);
	return rc;
}

/* n bytes in accesses of at most unit and eight bytes. */
static int read_bytes(const struct run *r, uint8_t *to, unsigned n, unsigned unit)
{
	unsigned step = unit < 8 ? unit : 8;

	for (unsigned done = 0; done < n; done += step) {
		uint64_t value = 0;
		int rc = read_value(r, r->address + done, step, &value);

		if (rc)
			return rc;
		memcpy(to + done, &value, step);
	}
	return 0;
}

static int write_bytes(const struct run *r, const uint8_t *from, unsigned n, unsigned unit)
{
	unsigned step = unit < 8 ? unit : 8;

	for (unsigned done = 0; done < n; done += step) {
		uint64_t value = 0;

		memcpy(&value, from + done, step);
		int rc = write_value(r, r->address + done, step, value);

		if (rc)
			return rc;
	}
	return 0;
}

/* --- Registers and bytes --- */

static unsigned rt_of(const struct a64_ldst *i, unsigned n)
{
	return i->element ? (i->rt + n) % 32 : n ? i->rt2 : i->rt;
}

static uint8_t *vector(struct a64_state *s, unsigned r)
{
	return (uint8_t *)s->v[r];
}

/* Structured: the place in its register, as a byte, of the n-th element in memory, of register
 * *reg. LD1 of several registers fills one after the other. */
static unsigned element_place(const struct a64_ldst *i, unsigned n, unsigned *reg)
{
	unsigned per_register = i->size / i->element;

	if (i->lane != A64_LANE_ALL) {
		*reg = rt_of(i, n);
		return i->lane == A64_LANE_COPY ? 0 : i->lane * i->element;
	}
	*reg = rt_of(i, i->structure == 1 ? n / per_register : n % i->structure);
	return (i->structure == 1 ? n % per_register : n / i->structure) * i->element;
}

static void structures_to(const struct a64_ldst *i, struct a64_state *s, const uint8_t *from)
{
	unsigned elements = a64_ldst_bytes(i) / i->element, reg;

	for (unsigned n = 0; n < i->count && i->lane >= A64_LANE_COPY; n++)
		memset(vector(s, rt_of(i, n)), 0, 16);
	for (unsigned n = 0; n < elements; n++) {
		unsigned place = element_place(i, n, &reg);
		unsigned end = i->lane == A64_LANE_COPY ? i->size : place + i->element;

		for (; place < end; place += i->element)
			memcpy(vector(s, reg) + place, from + n * i->element, i->element);
	}
}

static void structures_from(const struct a64_ldst *i, struct a64_state *s, uint8_t *to)
{
	unsigned elements = a64_ldst_bytes(i) / i->element, reg;

	for (unsigned n = 0; n < elements; n++) {
		unsigned place = element_place(i, n, &reg);

		memcpy(to + n * i->element, vector(s, reg) + place, i->element);
	}
}

static void load_x(const struct a64_ldst *i, struct a64_state *s, unsigned r, const uint8_t *from)
{
	uint64_t value = 0;

	memcpy(&value, from, i->size);
	value = extend(value, i->size, i->is_signed);
	a64_set_x(s, r, i->is_signed && !i->is_64 ? value & UINT32_MAX : value);
}

static void to_registers(const struct a64_ldst *i, struct a64_state *s, const uint8_t *from)
{
	if (i->element) {
		structures_to(i, s, from);
		return;
	}
	for (unsigned n = 0; n < i->count; n++) {
		if (!i->is_vector) {
			load_x(i, s, rt_of(i, n), from + n * i->size);
			continue;
		}
		memset(vector(s, rt_of(i, n)), 0, 16);
		memcpy(vector(s, rt_of(i, n)), from + n * i->size, i->size);
	}
}

static void from_registers(const struct a64_ldst *i, struct a64_state *s, uint8_t *to)
{
	if (i->element) {
		structures_from(i, s, to);
		return;
	}
	for (unsigned n = 0; n < i->count; n++) {
		uint64_t value = a64_get_x(s, rt_of(i, n));

		memcpy(to + n * i->size, i->is_vector ? vector(s, rt_of(i, n)) : (void *)&value,
		       i->size);
	}
}

/* --- Instructions --- */

static unsigned unit(const struct a64_ldst *i)
{
	return i->element ? i->element : i->size;
}

static int load(const struct run *r)
{
	uint8_t bytes[BYTES_MAX];
	int rc = read_bytes(r, bytes, a64_ldst_bytes(r->insn), unit(r->insn));

	if (rc)
		return rc;
	to_registers(r->insn, r->state, bytes);
	write_back(r->insn, r->state);
	return 0;
}

static int store(const struct run *r)
{
	const struct a64_ldst *i = r->insn;
	uint8_t bytes[BYTES_MAX];
	int rc;

	from_registers(i, r->state, bytes);
	rc = write_bytes(r, bytes, a64_ldst_bytes(i), unit(i));
	if (rc)
		return rc;
	if (i->kind == A64_LDST_STORE_EX)
		a64_set_x(r->state, i->rs, 0);
	write_back(i, r->state);
	return 0;
}

static uint64_t combine(const struct a64_ldst *i, uint64_t old, uint64_t operand)
{
	int64_t a = (int64_t)extend(old, i->size, true),
		b = (int64_t)extend(operand, i->size, true);

	operand = extend(operand, i->size, false);
	if (i->kind == A64_LDST_SWAP)
		return operand;
	switch (i->op) {
	case A64_ADD: return old + operand;
	case A64_CLR: return old & ~operand;
	case A64_EOR: return old ^ operand;
	case A64_SET: return old | operand;
	case A64_SMAX: return a > b ? old : operand;
	case A64_SMIN: return a < b ? old : operand;
	case A64_UMAX: return hc_max(old, operand);
	default: return hc_min(old, operand);
	}
}

static int atomic(const struct run *r)
{
	const struct a64_ldst *i = r->insn;
	uint64_t old = 0;
	int rc = read_value(r, r->address, i->size, &old);

	if (rc)
		return rc;
	old = extend(old, i->size, false);
	uint64_t new = extend(combine(i, old, a64_get_x(r->state, i->rs)), i->size, false);

	rc = write_value(r, r->address, i->size, new);
	if (!rc)
		a64_set_x(r->state, i->rt, old);
	return rc;
}

/* What was there goes into rs, whether it was equal or not. */
static int compare_and_swap(const struct run *r)
{
	const struct a64_ldst *i = r->insn;
	struct a64_ldst compare = *i;
	uint8_t old[16], expected[16], new[16];
	unsigned n = a64_ldst_bytes(i);
	int rc = read_bytes(r, old, n, i->size);

	if (rc)
		return rc;
	compare.rt = i->rs;
	compare.rt2 = i->rs + 1;
	from_registers(&compare, r->state, expected);
	from_registers(i, r->state, new);
	if (!memcmp(old, expected, n))
		rc = write_bytes(r, new, n, i->size);
	if (!rc)
		to_registers(&compare, r->state, old);
	return rc;
}

static int zero(const struct run *r)
{
	uint64_t start = HC_ALIGN_DOWN(r->address, r->ops->zero_block);
	int rc = 0;

	for (unsigned n = 0; n < r->ops->zero_block && !rc; n += 8)
		rc = write_value(r, start + n, 8, 0);
	return rc;
}

static unsigned access_of(const struct a64_ldst *i)
{
	static const uint8_t by_kind[A64_LDST_ZERO + 1] = {
		[A64_LDST_ATOMIC] = A64_ACCESS_ATOMIC,
		[A64_LDST_SWAP] = A64_ACCESS_ATOMIC,
		[A64_LDST_CAS] = A64_ACCESS_ATOMIC,
		[A64_LDST_LOAD_EX] = A64_ACCESS_EXCLUSIVE,
		[A64_LDST_STORE_EX] = A64_ACCESS_EXCLUSIVE,
	};

	return by_kind[i->kind] | (i->is_user ? A64_ACCESS_USER : 0u);
}

int a64_ldst_run(const struct a64_ldst *insn, struct a64_state *state,
                 const struct a64_mem_ops *ops, void *ctx)
{
	const struct run r = { .insn = insn,
		               .state = state,
		               .ops = ops,
		               .ctx = ctx,
		               .address = a64_ldst_address(insn, state).v,
		               .access = access_of(insn) };

	switch (insn->kind) {
	case A64_LDST_LOAD:
	case A64_LDST_LOAD_EX: return load(&r);
	case A64_LDST_STORE:
	case A64_LDST_STORE_EX: return store(&r);
	case A64_LDST_ATOMIC:
	case A64_LDST_SWAP: return atomic(&r);
	case A64_LDST_CAS: return compare_and_swap(&r);
	case A64_LDST_ZERO: return zero(&r);
	default: return 0; /* a prefetch */
	}
}
