/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk of a guest's stage 1 against a naive one, over tables that are mostly by chance: the
 * reference takes the bits of each level from a list, as the manual prints them, and knows which
 * CPU has which feature.
 */
#include <string.h>

#include "arch/aarch64/internal.h"
#include "tests/a64_env.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define MEMORY (4 * HC_MIB)

struct result {
	int rc;
	uint64_t gpa;
	uint32_t fsc;
	uint64_t leaf_at, leaf; /* what the leaf is afterwards; 0: there is none */
};

struct features {
	enum a64_host host;
	bool ha, hd, hpd, small, e0pd, epan;
};

static const struct features cpus[] = {
	{ A64_HOST_A57, false, false, false, false, false, false },
	{ A64_HOST_N1, true, true, true, false, false, false },
	{ A64_HOST_ALL_ONES, true, true, true, true, true, true },
};

struct query {
	const struct features *f;
	const struct hc_vm *vm;
	uint64_t sctlr, tcr, ttbr[2], va;
	bool pan, user;
	enum hc_access access;
};

static uint8_t *ram;

static bool in_ram(uint64_t at)
{
	return at >= A64_ENV_RAM && at - A64_ENV_RAM <= MEMORY - 8;
}

static uint64_t peek(uint64_t at)
{
	uint64_t value;

	memcpy(&value, ram + (at - A64_ENV_RAM), 8);
	return value;
}

/* --- The reference --- */

struct range {
	int hi, lo;
};

/* Levels 0 to 3 (D8.2.6, tables D8-11 to D8-13 and their like). */
static const struct range levels_of[3][4] = {
	{ { 47, 39 }, { 38, 30 }, { 29, 21 }, { 20, 12 } },
	{ { 47, 47 }, { 46, 36 }, { 35, 25 }, { 24, 14 } },
	{ { -1, -1 }, { 47, 42 }, { 41, 29 }, { 28, 16 } },
};

/* 0, 1, 2: 4, 16, 64 KiB; -1: reserved. */
static int granule_of(const struct query *q, unsigned half)
{
	unsigned tg = (unsigned)(q->tcr >> (half ? 30 : 14)) & 3;

	if (half)
		return tg == 1 ? 1 : tg == 2 ? 0 : tg == 3 ? 2 : -1;
	return tg == 0 ? 0 : tg == 1 ? 2 : tg == 2 ? 1 : -1;
}

static struct result failed(uint32_t kind, int level)
{
	return (struct result){ .rc = -EFAULT, .fsc = kind | (uint32_t)level };
}

static uint64_t output_limit(const struct query *q)
{
	static const unsigned ips[8] = { 32, 36, 40, 42, 44, 48, 48, 48 };
	unsigned bits = ips[q->tcr >> 32 & 7];

	return UINT64_C(1) << (bits < 40 ? bits : 40); /* script_gpa_bits */
}

static bool may(const struct query *q, unsigned ap, bool uxn, bool pxn)
{
	static const bool el1_writes[4] = { true, true, false, false };
	static const bool el0_reads[4] = { false, true, false, true };
	static const bool el0_writes[4] = { false, true, false, false };
	bool wxn = q->sctlr >> 19 & 1, epan = q->f->epan && q->sctlr >> 57 & 1;

	if (q->access == HC_ACCESS_EXEC && q->user)
		return !uxn && !(wxn && el0_writes[ap]);
	if (q->access == HC_ACCESS_EXEC)
		return !pxn && !(wxn && el1_writes[ap]) && !el0_writes[ap];
	if (q->user)
		return q->access == HC_ACCESS_WRITE ? el0_writes[ap] : el0_reads[ap];
	if (q->pan && (el0_reads[ap] || (epan && !uxn)))
		return false;
	return q->access != HC_ACCESS_WRITE || el1_writes[ap];
}

struct tables {
	bool no_el0, read_only, uxn, pxn;
};

static struct result at_leaf(const struct query *q, const struct tables *t, uint64_t at,
                             uint64_t desc, int level, int lo)
{
	bool ha = q->f->ha && q->tcr >> 39 & 1, hd = q->f->hd && ha && q->tcr >> 40 & 1;
	uint64_t oa = desc & UINT64_C(0xfffffffff000), leaf = desc;

	if (!(desc >> 10 & 1) && !ha)
		return failed(0x08, level);
	if (hd && desc >> 51 & 1 && q->access == HC_ACCESS_WRITE)
		leaf &= ~UINT64_C(0x80);
	unsigned ap = leaf >> 6 & 3;

	if (t->no_el0)
		ap &= 2u;
	if (t->read_only)
		ap |= 2u;
	if (!may(q, ap, (leaf >> 54 & 1) || t->uxn, (leaf >> 53 & 1) || t->pxn))
		return failed(0x0c, level);
	return (struct result){ .gpa = (oa >> lo << lo) | (q->va & ((UINT64_C(1) << lo) - 1)),
		                .leaf_at = at,
		                .leaf = leaf | 1u << 10 };
}

static struct result descend(const struct query *q, int g, int level, int hi, uint64_t table,
                             struct tables t, bool hpd)
{
	struct range r = levels_of[g][level];
	uint64_t index = q->va >> r.lo & ((UINT64_C(2) << (hi - r.lo)) - 1), at = table + 8 * index;
	uint64_t page = UINT64_C(1) << levels_of[g][3].lo, desc, next;

	if (!in_ram(at))
		return failed(0x14, level);
	desc = peek(at);
	next = desc & UINT64_C(0xffffffffffff) & ~(page - 1);
	bool block = level == 2 || (level == 1 && g == 0);

	if ((desc & 3) == 0 || (desc & 3) == 2)
		return failed(0x04, level);
	if ((desc & 3) == 1 && !block)
		return failed(0x04, level);
	if (next >= output_limit(q))
		return failed(0x00, level);
	if ((desc & 3) == 1 || level == 3)
		return at_leaf(q, &t, at, desc, level, r.lo);
	if (!hpd) {
		t.no_el0 |= desc >> 61 & 1;
		t.read_only |= desc >> 62 & 1;
		t.uxn |= desc >> 60 & 1;
		t.pxn |= desc >> 59 & 1;
	}
	return descend(q, g, level + 1, levels_of[g][level + 1].hi, next, t, hpd);
}

static struct result reference(const struct query *q)
{
	unsigned half = q->va >> 55 & 1, size = (unsigned)(q->tcr >> (half ? 16 : 0)) & 63;
	bool tbi = q->tcr >> (37 + half) & 1, hpd = q->f->hpd && q->tcr >> (41 + half) & 1;
	int g = granule_of(q, half), top = 63 - (int)size;
	uint64_t ttbr = q->ttbr[half] & UINT64_C(0xfffffffffffe);

	if (!(q->sctlr & 1)) {
		uint64_t va = tbi ? q->va & (UINT64_MAX >> 8) : q->va;

		return va >> 40 ? failed(0x00, 0) : (struct result){ .gpa = va };
	}
	if (q->tcr >> (half ? 23 : 7) & 1)
		return failed(0x04, 0);
	if (q->f->e0pd && q->user && q->tcr >> (55 + half) & 1)
		return failed(0x04, 0);
	if (g < 0 || size < 16 || size > (q->f->small ? (g == 2 ? 47u : 48u) : 39u))
		return failed(0x04, 0);
	uint64_t above = UINT64_MAX << (64 - size) & (tbi ? UINT64_MAX >> 8 : UINT64_MAX);

	if ((q->va & above) != (half ? above : 0))
		return failed(0x04, 0);
	int level = 0;

	while (levels_of[g][level].lo > top || levels_of[g][level].lo < 0)
		level++;
	ttbr &= ~((UINT64_C(16) << (top - levels_of[g][level].lo)) - 1);
	if (ttbr >= output_limit(q))
		return failed(0x00, 0);
	return descend(q, g, level, top, ttbr, (struct tables){ 0 }, hpd);
}

/* --- Guests --- */

static uint64_t table_address(int g)
{
	unsigned shift = (unsigned)levels_of[g][3].lo;

	return A64_ENV_RAM + (a64_env_random() % (MEMORY >> shift) << shift);
}

/* A descriptor that often leads on; attributes by chance. */
static uint64_t any_descriptor(int g)
{
	uint64_t r = a64_env_random(), kind = a64_env_random() % 16;
	uint64_t attributes = r & UINT64_C(0xfff8000000000ffc), oa = r & UINT64_C(0xffffff0000);

	/* Restrictions of tables add up: rarely set. */
	if (kind % 4)
		attributes &= ~(UINT64_C(0xf) << 59);
	if (kind < 9)
		return attributes | table_address(g) | 3;
	if (kind < 13)
		return attributes | oa | 1;
	if (kind < 15)
		return attributes | (oa << (r % 8)) | 3;
	return r;
}

static void fill(int g)
{
	for (unsigned i = 0; i < MEMORY / 8; i++) {
		uint64_t desc = any_descriptor(g);

		memcpy(ram + 8 * i, &desc, 8);
	}
}

static uint64_t any_tcr(int g)
{
	static const unsigned tg0[3] = { 0, 2, 1 }, tg1[3] = { 2, 1, 3 };
	uint64_t tcr = a64_env_random();
	uint64_t a = 16 + a64_env_random() % 24, b = 16 + a64_env_random() % 34;

	if (a64_env_random() % 8) {
		tcr &= ~(HC_BIT(7) | HC_BIT(23) | UINT64_C(63) | UINT64_C(63) << 16);
		tcr &= ~(UINT64_C(3) << 14 | UINT64_C(3) << 30);
		tcr |= (uint64_t)tg0[g] << 14 | (uint64_t)tg1[g] << 30 | a | b << 16;
		tcr |= UINT64_C(2) << 32;
	}
	return tcr;
}

static uint64_t any_va(uint64_t tcr)
{
	uint64_t r = a64_env_random(), high = a64_env_random() & 1;
	unsigned size = (unsigned)(tcr >> (high ? 16 : 0)) & 63;
	uint64_t low = size ? UINT64_MAX >> size : UINT64_MAX, va = r & low;

	if (high)
		va |= ~low;
	switch (a64_env_random() % 8) {
	case 0: return r;
	case 1: return (va & (UINT64_MAX >> 8)) | r << 56; /* tagged */
	case 2: return va ^ HC_BIT(r % 64);
	default: return va;
	}
}

static struct query any_query(const struct features *f, const struct hc_vm *vm, int g)
{
	uint64_t r = a64_env_random();
	struct query q = { .f = f,
		           .vm = vm,
		           .sctlr = a64_env_random(),
		           .tcr = any_tcr(g),
		           .ttbr = { table_address(g), table_address(g) },
		           .pan = r >> 8 & 1,
		           .user = r >> 9 & 1,
		           .access = (enum hc_access)(1u << (r >> 16) % 3) };

	if (r % 16)
		q.sctlr |= 1;
	if (r % 32 == 1)
		q.ttbr[0] = a64_env_random();
	q.va = any_va(q.tcr);
	return q;
}

static void check(struct hc_vcpu *vcpu, const struct query *q, unsigned *good)
{
	struct hc_exit nothing = { .reason = HC_EXIT_INTERRUPT };
	struct a64_state *s = a64_env_set(vcpu);
	struct result want = reference(q);
	bool changes = !want.rc && want.leaf_at && peek(want.leaf_at) != want.leaf;
	uint32_t fsc = 0xff;
	gpa_t gpa = gpa_of(0);

	s->sys[A64_SCTLR_EL1] = q->sctlr;
	s->sys[A64_TCR_EL1] = q->tcr;
	s->sys[A64_TTBR0_EL1] = q->ttbr[0];
	s->sys[A64_TTBR1_EL1] = q->ttbr[1];
	s->pstate = A64_PSTATE_EL1H | (q->pan ? A64_PSTATE_PAN : 0);
	script_round(vcpu, &nothing);
	a64_env_written = 0;
	int rc = a64_translate(vcpu, gva_of(q->va), q->access, q->user, &gpa, &fsc);

	assert_int_equal(a64_env_written, changes);

	assert_int_equal(rc, want.rc);
	if (rc) {
		assert_int_equal(fsc, want.fsc);
		return;
	}
	assert_int_equal(gpa.v, want.gpa);
	if (want.leaf_at)
		assert_int_equal(peek(want.leaf_at), want.leaf);
	*good += want.leaf_at != 0;
}

static void test_random_tables(void **state)
{
	for (unsigned c = 0; c < HC_ARRAY_SIZE(cpus); c++) {
		a64_host = cpus[c].host;
		struct hc_vm *vm = script_vm(1, MEMORY);
		unsigned good = 0;

		assert_non_null(vm);
		ram = hc_mem_ptr(vm, gpa_of(A64_ENV_RAM), MEMORY, true);
		for (int g = 0; g < 3; g++) {
			fill(g);
			for (unsigned i = 0; i < test_rounds(12000); i++) {
				const struct query q = any_query(&cpus[c], vm, g);

				check(vm->vcpus[0], &q, &good);
			}
		}
		assert_true(good > 2000);
		assert_int_equal(hc_vm_destroy(vm), 0);
	}
	a64_host = A64_HOST_A57;
}

/* Tables that lead to themselves, and to nowhere. */
static void test_loops(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint64_t loop = A64_ENV_RAM | 0x403; /* AF */
	struct a64_state *s = a64_env_set(vcpu);
	uint32_t fsc;
	gpa_t gpa;

	assert_int_equal(hc_mem_write(vm, gpa_of(A64_ENV_RAM), &loop, 8), 0);
	s->sys[A64_SCTLR_EL1] = 1;
	s->sys[A64_TCR_EL1] = 16 | UINT64_C(2) << 32;
	s->sys[A64_TTBR0_EL1] = A64_ENV_RAM;
	assert_int_equal(a64_translate(vcpu, gva_of(0x123), HC_ACCESS_READ, false, &gpa, &fsc), 0);
	assert_int_equal(gpa.v, A64_ENV_RAM + 0x123);
	s->sys[A64_TTBR0_EL1] = A64_ENV_RAM + MEMORY;
	assert_int_equal(a64_translate(vcpu, gva_of(0), HC_ACCESS_READ, false, &gpa, &fsc),
	                 -EFAULT);
	assert_int_equal(fsc, 0x14);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

/* The hardware's update of a leaf that is in ROM cannot be made. */
static void test_flags_in_rom(void **state)
{
	static uint8_t rom[HC_PAGE_SIZE] __attribute__((aligned(4096)));
	uint64_t desc = A64_ENV_RAM | 3; /* no AF */

	a64_host = A64_HOST_N1;
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct a64_state *s = a64_env_set(vcpu);
	uint32_t fsc;
	gpa_t gpa;

	memcpy(rom, &desc, 8);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0), sizeof(rom), rom, HC_SLOT_READONLY), 0);
	s->sys[A64_SCTLR_EL1] = 1;
	s->sys[A64_TCR_EL1] = 39 | UINT64_C(2) << 32 | HC_BIT(39); /* starts on level 2 */
	desc = 0 | 3;
	assert_int_equal(hc_mem_write(vm, gpa_of(A64_ENV_RAM), &desc, 8), 0);
	s->sys[A64_TTBR0_EL1] = A64_ENV_RAM;
	assert_int_equal(a64_translate(vcpu, gva_of(0), HC_ACCESS_READ, false, &gpa, &fsc),
	                 -EFAULT);
	assert_int_equal(fsc, 0x17);
	assert_int_equal(hc_vm_destroy(vm), 0);
	a64_host = A64_HOST_A57;
}

/* --- Fetches --- */

static void test_fetch(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct a64_state *s = a64_env_set(vcpu);
	uint32_t insn = 0xd503201f, got = 0, fsc;

	assert_int_equal(hc_mem_write(vm, gpa_of(A64_ENV_RAM + MEMORY - 4), &insn, 4), 0);
	s->pc = A64_ENV_RAM + MEMORY - 4;
	assert_int_equal(a64_fetch(vcpu, &got, &fsc), 0);
	assert_int_equal(got, insn);
	s->pc += 4;
	assert_int_equal(a64_fetch(vcpu, &got, &fsc), -EFAULT);
	assert_int_equal(fsc, 0x10);
	s->pc = A64_ENV_RAM + 2;
	assert_int_equal(a64_fetch(vcpu, &got, &fsc), -EFAULT);
	s->pc = UINT64_MAX & ~UINT64_C(3);
	assert_int_equal(a64_fetch(vcpu, &got, &fsc), -EFAULT);
	assert_int_equal(fsc, 0);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_tables),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_flags_in_rom),
		cmocka_unit_test(test_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
