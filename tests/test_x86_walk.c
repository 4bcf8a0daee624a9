/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest page-table walker against a second one, written from the tables of SDM Vol. 3A chapter
 * 4 without regard to speed, over random page tables that change between translations.
 */
#include <string.h>

#include "arch/x86_64/code_cache.h"
#include "tests/unit.h"
#include "tests/x86_env.h"

#define MEMORY (16 * HC_MIB)

/* The page tables are in the first TABLES pages; entries point at these, at other RAM, at nothing.
 */
#define TABLES 24

struct result {
	int rc;
	uint32_t code;
	uint64_t gpa;
};

struct naive {
	struct x86_state *s;
	uint8_t *ram;
	unsigned gpa_bits;
	bool has_1g, user, implicit;
	unsigned access;
	uint64_t gva;
};

static bool bit(uint64_t v, unsigned n)
{
	return v >> n & 1;
}

static struct result page_fault(const struct naive *n, uint32_t code)
{
	bool nxe = bit(n->s->efer, 11) && bit(n->s->cr4, 5);

	if (n->access == HC_ACCESS_WRITE)
		code |= 2;
	if (n->user)
		code |= 4;
	if (n->access == HC_ACCESS_EXEC && (nxe || bit(n->s->cr4, 20)))
		code |= 16;
	return (struct result){ -EFAULT, code, 0 };
}

/* Ones where there is nothing. */
static uint64_t entry_at(const struct naive *n, uint64_t gpa, unsigned size)
{
	uint64_t e = 0;

	if (gpa + size > MEMORY)
		return size == 8 ? UINT64_MAX : UINT32_MAX;
	memcpy(&e, n->ram + gpa, size);
	return e;
}

static bool any_bit(uint64_t e, unsigned high, unsigned low)
{
	for (unsigned i = low; i <= high; i++)
		if (bit(e, i))
			return true;
	return false;
}

/* u, w, x: what all entries together permit. */
static bool permitted(const struct naive *n, bool u, bool w, bool x)
{
	const struct x86_state *s = n->s;
	bool smep = bit(s->cr4, 20), smap = bit(s->cr4, 21), wp = bit(s->cr0, 16);
	bool ac = bit(s->rflags, 18) && !n->implicit;

	if (n->user) {
		if (!u)
			return false;
		if (n->access == HC_ACCESS_WRITE)
			return w;
		return n->access == HC_ACCESS_EXEC ? x : true;
	}
	if (n->access == HC_ACCESS_EXEC)
		return x && !(u && smep);
	if (u && smap && !ac)
		return false;
	return n->access == HC_ACCESS_WRITE ? w || !wp : true;
}

static void or_into(const struct naive *n, uint64_t gpa, uint32_t bits)
{
	uint32_t low;

	if (gpa >= MEMORY)
		return;
	memcpy(&low, n->ram + gpa, 4);
	low |= bits;
	memcpy(n->ram + gpa, &low, 4);
}

static struct result naive_legacy(const struct naive *n)
{
	uint64_t pde_at = (n->s->cr3 & 0xfffff000) + (n->gva >> 22 & 1023) * 4, pde, pte_at, pte;
	uint32_t dirty = n->access == HC_ACCESS_WRITE ? 0x40 : 0;

	pde = entry_at(n, pde_at, 4);
	if (!bit(pde, 0))
		return page_fault(n, 0);
	if (bit(pde, 7) && bit(n->s->cr4, 4)) {
		uint64_t base = (pde & 0xffc00000) | (pde >> 13 & 0xff) << 32;

		if (bit(pde, 21) || (n->gpa_bits < 40 && any_bit(pde, 20, n->gpa_bits - 32 + 13)))
			return page_fault(n, 9);
		if (!permitted(n, bit(pde, 2), bit(pde, 1), true))
			return page_fault(n, 1);
		or_into(n, pde_at, 0x20 | dirty);
		return (struct result){ 0, 0, base | (n->gva & 0x3fffff) };
	}
	pte_at = (pde & 0xfffff000) + (n->gva >> 12 & 1023) * 4;
	pte = entry_at(n, pte_at, 4);
	if (!bit(pte, 0))
		return page_fault(n, 0);
	if (!permitted(n, bit(pde, 2) && bit(pte, 2), bit(pde, 1) && bit(pte, 1), true))
		return page_fault(n, 1);
	or_into(n, pde_at, 0x20);
	or_into(n, pte_at, 0x20 | dirty);
	return (struct result){ 0, 0, (pte & 0xfffff000) | (n->gva & 0xfff) };
}

/* PAE and long mode. first: the shift of the top table's index. */
static struct result naive_wide(const struct naive *n, unsigned first)
{
	bool is_pae = first == 30, u = true, w = true, x = true;
	uint64_t table = is_pae ? n->s->cr3 & 0xffffffe0 : n->s->cr3 & 0x000ffffffffff000;
	uint64_t used[5], e;
	unsigned count = 0;

	table &= HC_BIT(n->gpa_bits) - 1;
	for (unsigned shift = first;; shift -= 9) {
		uint64_t at = table + (n->gva >> shift & (is_pae && shift == 30 ? 3 : 511)) * 8;
		bool top_of_pae = is_pae && shift == 30;

		e = top_of_pae && n->s->pdptes_loaded ? n->s->pdpte[n->gva >> 30 & 3]
		                                      : entry_at(n, at, 8);
		if (!bit(e, 0))
			return page_fault(n, 0);
		bool leaf = shift == 12 || ((shift == 21 || (shift == 30 && !is_pae)) && bit(e, 7));
		bool reserved = any_bit(e, 51, n->gpa_bits);

		if (is_pae)
			reserved |= any_bit(e, 62, 52);
		if (top_of_pae)
			/* Bit 5 is let pass: QEMU's CPUs set it. */
			reserved |= bit(e, 63) || any_bit(e, 2, 1) || any_bit(e, 8, 6);
		else if (bit(e, 63) && !bit(n->s->efer, 11))
			reserved = true;
		if (!is_pae && shift >= 39 && bit(e, 7))
			reserved = true;
		if (shift == 30 && !is_pae && bit(e, 7) && !n->has_1g)
			reserved = true;
		if (leaf && shift > 12)
			reserved |= any_bit(e, shift - 1, 13);
		if (reserved)
			return page_fault(n, 9);
		if (!top_of_pae) {
			u &= bit(e, 2);
			w &= bit(e, 1);
			x &= !bit(e, 63);
			used[count++] = at;
		}
		if (!leaf) {
			table = e & 0x000ffffffffff000;
			continue;
		}
		if (!permitted(n, u, w, x))
			return page_fault(n, 1);
		for (unsigned i = 0; i < count; i++)
			or_into(n, used[i], 0x20);
		if (n->access == HC_ACCESS_WRITE)
			or_into(n, used[count - 1], 0x40);
		uint64_t offset = HC_BIT(shift) - 1;

		return (struct result){ 0, 0,
			                (e & 0x000ffffffffff000 & ~offset) | (n->gva & offset) };
	}
}

static struct result naive_walk(const struct naive *n)
{
	const struct x86_state *s = n->s;

	if (!bit(s->cr0, 31))
		return (struct result){ 0, 0, (uint32_t)n->gva };
	if (bit(s->efer, 10))
		return naive_wide(n, bit(s->cr4, 12) ? 48 : 39);
	return bit(s->cr4, 5) ? naive_wide(n, 30) : naive_legacy(n);
}

/* --- Random tables --- */

static uint64_t random_entry(uint64_t *seed, bool wide)
{
	uint64_t e = test_random(seed) & 0x67; /* P, W, U, A, D */
	unsigned kind = (unsigned)test_below(seed, 16);

	if (test_below(seed, 8))
		e |= 7;
	e |= (kind < 12 ? test_below(seed, TABLES) : test_below(seed, 2 * MEMORY >> 12)) << 12;
	if (test_below(seed, 4) == 0)
		e |= 0x80;
	if (test_below(seed, 64) == 0)
		e |= HC_BIT(test_below(seed, wide ? 63 : 31));
	if (wide && test_below(seed, 8) == 0)
		e |= HC_BIT(63);
	if (test_below(seed, 24) == 0)
		e &= ~UINT64_C(1);
	/* Large pages whose address is aligned. */
	if (e & 0x80 && test_below(seed, 4))
		e &= ~UINT64_C(0x3ff000);
	return e;
}

static void fill_tables(uint64_t *seed, uint8_t *ram, bool wide)
{
	for (unsigned i = 0; i < TABLES * 512; i++) {
		uint64_t e = random_entry(seed, wide);

		if (!wide)
			e = (uint32_t)e | random_entry(seed, false) << 32;
		memcpy(ram + 8 * i, &e, 8);
	}
}

static void random_mode(uint64_t *seed, struct x86_state *s)
{
	static const uint64_t modes[][2] = {
		/* CR4, EFER */
		{ 0, 0 },
		{ X86_CR4_PSE, 0 },
		{ X86_CR4_PAE, 0 },
		{ X86_CR4_PAE, X86_EFER_LME | X86_EFER_LMA },
		{ X86_CR4_PAE | X86_CR4_LA57, X86_EFER_LME | X86_EFER_LMA },
	};
	const uint64_t *m = modes[test_below(seed, HC_ARRAY_SIZE(modes))];

	s->cr0 = X86_CR0_PE | X86_CR0_PG | (test_random(seed) & X86_CR0_WP);
	s->cr4 = m[0] | (test_random(seed) & (X86_CR4_SMEP | X86_CR4_SMAP));
	s->efer = m[1] | (test_random(seed) & X86_EFER_NXE);
	s->cr3 = test_below(seed, TABLES) << 12;
	if (m[0] == X86_CR4_PAE && !m[1])
		s->cr3 |= test_below(seed, 128) << 5;
	/* They need not be those in memory. */
	s->pdptes_loaded = (uint8_t)test_below(seed, 2);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(s->pdpte); i++)
		s->pdpte[i] = random_entry(seed, true);
}

/* Few different addresses, so that earlier translations are met again. */
static uint64_t random_address(uint64_t *seed)
{
	uint64_t a = test_below(seed, 3) | test_below(seed, 3) << 9 | test_below(seed, 3) << 18 |
	             test_below(seed, 2) << 27 | test_below(seed, 2) << 36;

	return a << 12 | test_below(seed, 4096);
}

static void random_access(uint64_t *seed, struct naive *n)
{
	n->s->cpl = test_below(seed, 2) ? 3 : 0;
	n->s->rflags = (n->s->rflags & ~(uint64_t)X86_FLAG_AC) | (test_random(seed) & X86_FLAG_AC);
	n->access = 1u << test_below(seed, 3);
	n->implicit = test_below(seed, 8) == 0;
	n->user = n->s->cpl == 3 && !n->implicit;
	n->gva = random_address(seed);
	if (!(n->s->efer & X86_EFER_LMA))
		n->gva = (uint32_t)n->gva;
}

static void compare(struct hc_vcpu *vcpu, const struct naive *n, uint8_t *before, uint8_t *after)
{
	struct x86_fault fault = { 0 };
	gpa_t gpa = { 0 };

	memcpy(before, n->ram, TABLES * 4096);
	struct result want = naive_walk(n);

	memcpy(after, n->ram, TABLES * 4096);
	memcpy(n->ram, before, TABLES * 4096);
	int rc = x86_translate(vcpu, gva_of(n->gva), n->access, n->implicit, &gpa, &fault);

	assert_int_equal(rc, want.rc);
	if (rc == -EFAULT) {
		assert_int_equal(fault.vector, X86_VEC_PF);
		assert_int_equal(fault.error_code, want.code);
		assert_int_equal(fault.address, n->gva);
	} else if (!rc) {
		assert_int_equal(gpa.v, want.gpa);
	}
	if (memcmp(n->ram, after, TABLES * 4096))
		assert_memory_equal(n->ram, after, TABLES * 4096); /* slow, and says where */
}

static void test_random_tables(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	static uint8_t before[TABLES * 4096], after[TABLES * 4096];
	uint64_t seed = 12345;
	struct naive n = { .s = x86_state_of(vcpu),
		           .ram = hc_mem_ptr(vm, gpa_of(0), MEMORY, true) };

	n.gpa_bits = 40;
	n.has_1g = x86_vm_of(vm)->has_1g_pages;
	assert_int_equal(x86_vm_of(vm)->gpa_mask, HC_BIT(40) - 1);
	for (unsigned round = 0; round < test_rounds(150); round++) {
		random_mode(&seed, n.s);
		fill_tables(&seed, n.ram, n.s->cr4 & X86_CR4_PAE);
		for (unsigned i = 0; i < 40; i++) {
			random_access(&seed, &n);
			compare(vcpu, &n, before, after);
			/* The guest changes an entry now and then. */
			if (test_below(&seed, 4) == 0) {
				uint64_t e = random_entry(&seed, n.s->cr4 & X86_CR4_PAE);

				memcpy(n.ram + 8 * test_below(&seed, TABLES * 512), &e, 8);
				if (i % 2)
					n.s->pdpte[test_below(&seed, 4)] = e;
			}
		}
	}
	hc_vm_destroy(vm);
}

/* More, without comparing whole tables: accessed and dirty bits are set beforehand. */
static void test_many(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct naive n = { .s = x86_state_of(vcpu),
		           .ram = hc_mem_ptr(vm, gpa_of(0), MEMORY, true) };
	uint64_t seed = 777, hits = 0;
	unsigned rounds = test_rounds(100);

	n.gpa_bits = 40;
	n.has_1g = x86_vm_of(vm)->has_1g_pages;
	for (unsigned round = 0; round < rounds; round++) {
		random_mode(&seed, n.s);
		fill_tables(&seed, n.ram, n.s->cr4 & X86_CR4_PAE);
		for (unsigned i = 0; i < 4000; i++) {
			struct x86_fault fault = { 0 };
			gpa_t gpa = { 0 };

			random_access(&seed, &n);
			struct result want = naive_walk(&n);
			int rc = x86_translate(vcpu, gva_of(n.gva), n.access, n.implicit, &gpa,
			                       &fault);

			if (rc != want.rc || (rc == -EFAULT && fault.error_code != want.code) ||
			    (!rc && gpa.v != want.gpa))
				fail_msg("gva %#llx cr3 %#llx cr4 %#llx efer %#llx: %d %d",
				         (unsigned long long)n.gva, (unsigned long long)n.s->cr3,
				         (unsigned long long)n.s->cr4,
				         (unsigned long long)n.s->efer, rc, want.rc);
			hits += rc == 0;
		}
	}
	/* The tables must be such that both outcomes are common. */
	assert_in_range(hits, 250 * rounds, 3750 * rounds);
	hc_vm_destroy(vm);
}

/* A remembered translation must not outlive its entries, CR3, or the rights of the mode. */
static void test_cache_follows_tables(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);
	uint64_t *ram = hc_mem_ptr(vm, gpa_of(0), MEMORY, true);
	struct x86_fault fault;
	gpa_t gpa;

	s->cr0 = X86_CR0_PE | X86_CR0_PG;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	s->cr3 = 0x1000;
	for (unsigned i = 1; i < 4; i++)
		ram[i * 512] = (i + 1) * 0x1000 | 7;
	for (unsigned i = 0; i < 512; i++)
		ram[4 * 512 + i] = (0x100 + i) << 12 | 7;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			x86_translate(vcpu, gva_of(0x5123), HC_ACCESS_EXEC, false, &gpa, &fault),
			0);
	assert_int_equal(gpa.v, 0x105123);
	ram[4 * 512 + 5] = 0x200007;
	assert_int_equal(x86_translate(vcpu, gva_of(0x5123), HC_ACCESS_EXEC, false, &gpa, &fault),
	                 0);
	assert_int_equal(gpa.v, 0x200123);
	ram[2 * 512] = 0;
	assert_int_equal(x86_translate(vcpu, gva_of(0x5123), HC_ACCESS_EXEC, false, &gpa, &fault),
	                 -EFAULT);
	assert_int_equal(fault.error_code, 0);
	hc_vm_destroy(vm);
}

/* --- Instructions: remembered ones against fetching and decoding them anew --- */

static int naive_length(struct naive *n, unsigned bits)
{
	uint64_t start = bits == 64 ? n->s->rip : (uint32_t)(n->s->seg[X86_CS].base + n->s->rip);
	uint8_t code[X86_INSN_MAX];
	struct x86_insn insn;
	unsigned count = 0;

	while (count < sizeof(code)) {
		n->gva = start + count;
		unsigned room = 4096 - (unsigned)(n->gva & 4095);
		unsigned part = room < sizeof(code) - count ? room : (unsigned)sizeof(code) - count;
		struct result at = naive_walk(n);

		if (at.rc || at.gpa + room > MEMORY)
			break;
		memcpy(code + count, n->ram + at.gpa, part);
		count += part;
	}
	return count ? x86_decode(&insn, code, count, (enum x86_mode)bits) : -EFAULT;
}

static void put_instruction(uint64_t *seed, const struct naive *n, uint64_t gpa)
{
	static const char code[][9] = { "\x0f\xa2",
		                        "\x0f\x32",
		                        "\xf4",
		                        "\x0f\x01\xd9",
		                        "\x66\x0f\xa2",
		                        "\x8b\x04\x25\x30\x00\xe0\xfe",
		                        "\xc7\x05\x11\x22\x33\x44\x55\x66" };
	const char *c = code[test_below(seed, HC_ARRAY_SIZE(code))];

	if (gpa + 16 < MEMORY)
		memcpy(n->ram + gpa, c, sizeof(code[0]));
}

/* Makes 8-byte entries lead from CR3 to a page; or, now and then, changes one on the way. */
static void change_path(uint64_t *seed, const struct naive *n, bool map)
{
	bool is_pae = !(n->s->efer & X86_EFER_LMA);
	unsigned shift = is_pae ? 30 : n->s->cr4 & X86_CR4_LA57 ? 48 : 39;
	uint64_t table = n->s->cr3 & (is_pae ? 0xffffffe0 : UINT64_C(0xfffffff000));

	for (;; shift -= 9) {
		bool top_of_pae = is_pae && shift == 30;
		uint64_t at = table + (n->gva >> shift & (top_of_pae ? 3 : 511)) * 8, e;

		if (at + 8 > MEMORY)
			return;
		memcpy(&e, n->ram + at, 8);
		if (map)
			e = test_below(seed, TABLES) << 12 | (top_of_pae ? 1 : 7);
		else if (test_below(seed, 4) == 0)
			e ^= test_below(seed, 2) ? 1 : HC_BIT(63);
		memcpy(n->ram + at, &e, 8);
		if (shift == 12)
			return;
		table = e & 0xfffff000;
	}
}

/* What software and other CPUs change between two exits at the same place. */
static void change_something(uint64_t *seed, struct naive *n)
{
	struct x86_state *s = n->s;
	uint64_t e = random_entry(seed, s->cr4 & X86_CR4_PAE);
	struct result at = naive_walk(n);

	if (s->cr4 & X86_CR4_PAE && test_below(seed, 2))
		change_path(seed, n, at.rc != 0);
	switch (test_below(seed, 12)) {
	case 0:
	case 1: memcpy(n->ram + 8 * test_below(seed, TABLES * 512), &e, 8); break;
	case 2:
	case 3:
	case 4:
		if (!at.rc)
			put_instruction(seed, n, at.gpa);
		break;
	case 5: s->cr3 ^= test_below(seed, TABLES) << 12; break;
	case 6: s->cr4 ^= X86_CR4_SMEP; break;
	case 7: s->cpl ^= 3; break;
	case 8: s->efer ^= X86_EFER_NXE; break;
	case 9: s->seg[X86_CS].attr ^= X86_ATTR_DB; break;
	case 10: s->seg[X86_CS].base ^= test_below(seed, 2) << 12; break;
	default:
		if (s->efer & X86_EFER_LMA)
			s->seg[X86_CS].attr ^= X86_ATTR_L;
		break;
	}
}

/* 1 if the instruction at CS:RIP is remembered. */
static unsigned is_remembered(struct hc_vcpu *vcpu)
{
	const struct x86_state *s = x86_state_of(vcpu);
	const struct x86_code_key key = { s->rip,
		                          s->seg[X86_CS].base,
		                          s->cr0,
		                          s->cr3,
		                          s->cr4,
		                          s->efer,
		                          s->seg[X86_CS].attr,
		                          s->cpl | (uint32_t)s->pdptes_loaded << 2 };

	return x86_code_find(vcpu, &key) != NULL;
}

static void test_remembered_code(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct naive n = { .s = x86_state_of(vcpu),
		           .ram = hc_mem_ptr(vm, gpa_of(0), MEMORY, true),
		           .gpa_bits = 40,
		           .has_1g = x86_vm_of(vm)->has_1g_pages,
		           .access = HC_ACCESS_EXEC };
	uint64_t seed = 4711, hits = 0, lengths = 0;
	unsigned rounds = test_rounds(150);

	for (unsigned round = 0; round < rounds; round++) {
		random_mode(&seed, n.s);
		if (round % 16 == 0)
			n.s->cr0 &= ~X86_CR0_PG;
		fill_tables(&seed, n.ram, n.s->cr4 & X86_CR4_PAE);
		uint64_t page = (uint32_t)random_address(&seed) & 0x3ffff000;

		for (unsigned i = 0; i < 500; i++) {
			if (test_below(&seed, 6) == 0)
				change_something(&seed, &n);
			/* A few places, one of them across the end of a page. */
			n.s->rip = page + test_below(&seed, 4) * 0xaa8;
			n.user = n.s->cpl == 3;
			int want = 0;

			/* Tables may be their own entries, and the code: accessed bits first. */
			for (unsigned k = 0; k < 4; k++)
				want = naive_length(&n, x86_code_bits(vcpu));

			hits += is_remembered(vcpu);
			int length = x86_insn_length(vcpu);

			if (want > 0 ? length != want : length > 0)
				fail_msg("rip %#llx: length %d, not %d",
				         (unsigned long long)n.s->rip, length, want);
			lengths += length > 0;
		}
	}
	/* Both outcomes are common, and what is checked is not only the first look. */
	assert_in_range(lengths, 50 * rounds, 450 * rounds);
	assert_in_range(hits, 10 * rounds, 400 * rounds);
	hc_vm_destroy(vm);
}

static void test_real_mode_and_rom_tables(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);
	static _Alignas(4096) uint64_t rom[512];
	struct x86_fault fault;
	gpa_t gpa;

	assert_int_equal(x86_translate(vcpu, gva_of(UINT64_C(0x1fffff123)), HC_ACCESS_READ, false,
	                               &gpa, &fault),
	                 0);
	assert_int_equal(gpa.v, 0xfffff123);
	/* Page tables in ROM: used, but not marked. */
	rom[0] = 0x83;
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(0xf0000000), 4096, rom, HC_SLOT_READONLY), 0);
	s->cr0 = X86_CR0_PE | X86_CR0_PG;
	s->cr4 = X86_CR4_PSE;
	s->cr3 = 0xf0000000;
	assert_int_equal(x86_translate(vcpu, gva_of(0x1234), HC_ACCESS_WRITE, false, &gpa, &fault),
	                 0);
	assert_int_equal(gpa.v, 0x1234);
	assert_int_equal(rom[0], 0x83);
	/* And where there is nothing at all: ones, of which one is reserved. */
	s->cr3 = 0xe0000000;
	assert_int_equal(x86_translate(vcpu, gva_of(0x1234), HC_ACCESS_READ, false, &gpa, &fault),
	                 -EFAULT);
	assert_int_equal(fault.error_code, X86_PF_P | X86_PF_RSVD);
	hc_vm_destroy(vm);
}

static uint64_t table_read(void *dev, uint64_t offset, unsigned size)
{
	const uint64_t *entries = dev;

	assert_int_equal(size, 8);
	return entries[offset / 8];
}

static void table_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	uint64_t *entries = dev;

	entries[offset / 8] = value;
}

/* A device whose registers are page tables: read each time, and marked as used. */
static void test_tables_in_a_device(void **state)
{
	static const struct hc_region_ops ops = { table_read, table_write, 8 };
	static uint64_t entries[512];
	const struct hc_region region = { "tables", 0xe0000000, sizeof(entries), &ops, entries };
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	struct x86_state *s = x86_state_of(vcpu);
	uint64_t *ram = hc_mem_ptr(vm, gpa_of(0), MEMORY, true);
	struct x86_fault fault;
	gpa_t gpa;

	assert_int_equal(hc_bus_add(vm, HC_SPACE_MEMORY, &region), 0);
	s->cr0 = X86_CR0_PE | X86_CR0_PG;
	s->cr4 = X86_CR4_PAE;
	s->efer = X86_EFER_LME | X86_EFER_LMA;
	s->cr3 = 0x1000;
	ram[0x1000 / 8] = 0x2007;
	ram[0x2000 / 8] = 0xe0000007;
	for (unsigned i = 0; i < 3; i++) {
		entries[1] = (uint64_t)i << 21 | 0x87;
		assert_int_equal(
			x86_translate(vcpu, gva_of(0x201234), HC_ACCESS_READ, false, &gpa, &fault),
			0);
		assert_int_equal(gpa.v, (i << 21) + 0x1234);
		assert_int_equal(entries[1], (uint64_t)i << 21 | 0xa7);
		assert_int_equal(
			x86_translate(vcpu, gva_of(0x201234), HC_ACCESS_WRITE, false, &gpa, &fault),
			0);
		assert_int_equal(entries[1], (uint64_t)i << 21 | 0xe7);
	}
	entries[1] = 0;
	assert_int_equal(x86_translate(vcpu, gva_of(0x201234), HC_ACCESS_READ, false, &gpa, &fault),
	                 -EFAULT);
	assert_int_equal(fault.error_code, 0);
	hc_vm_destroy(vm);
}

/* RAM that nobody touched yet: the exit maps it, and the access is made again. */
static void test_untouched_memory(void **state)
{
	struct hc_vm *vm = script_vm(1, MEMORY);
	struct hc_vcpu *vcpu = vm->vcpus[0];
	uint64_t rip = x86_state_of(vcpu)->rip;
	struct s2_mapping m;

	for (unsigned i = 0; i < 4; i++) {
		struct hc_exit e = { .reason = HC_EXIT_STAGE2, .pc = rip };
		struct hc_exit_stage2 *a = &e.u.stage2;

		/* A read, a write, a walk, a fetch. */
		a->gpa = gpa_of((4 + i * 2) * HC_MIB + 0x1238);
		a->access = i == 1 ? HC_ACCESS_WRITE : i == 3 ? HC_ACCESS_EXEC : HC_ACCESS_READ;
		a->in_walk = i == 2;
		assert_int_equal(s2_walk(&vm->s2, a->gpa, &m), -EFAULT);
		assert_int_equal(script_exit(vcpu, &e), HC_ACT_RESUME);
		assert_int_equal(s2_walk(&vm->s2, a->gpa, &m), 0);
		assert_int_equal(*(uint64_t *)hc_platform_from_hpa(m.hpa), 0);
		assert_int_equal(x86_state_of(vcpu)->rip, rip);
	}
	assert_int_equal(hc_vm_state(vm), HC_VM_CREATED);
	assert_int_equal(hc_vm_destroy(vm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_tables),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_cache_follows_tables),
		cmocka_unit_test(test_remembered_code),
		cmocka_unit_test(test_real_mode_and_rom_tables),
		cmocka_unit_test(test_tables_in_a_device),
		cmocka_unit_test(test_untouched_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
