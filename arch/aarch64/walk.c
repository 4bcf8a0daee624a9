/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's stage 1, walked by software (Arm ARM D8.2 to D8.5): VMSAv8-64 of EL1&0, all three
 * granules, output addresses of at most 48 bits.
 *
 *      n-1                                       g          0
 *     +----------+----------+-------  -------+----------+--------+
 *     | level    | level+1  |   ...          | level 3  | offset |     n = 64 - TCR_EL1.TnSZ
 *     +----------+----------+-------  -------+----------+--------+     g = 12, 14, 16
 *       <= g-3       g-3                         g-3        g
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/aarch64/internal.h"

#define SCTLR_WXN  HC_BIT(19)
#define SCTLR_EPAN HC_BIT(57)

#define TCR_HA HC_BIT(39)
#define TCR_HD HC_BIT(40)

/* D8.3: descriptors. */
#define DESC_VALID    HC_BIT(0)
#define DESC_TABLE    HC_BIT(1) /* on level 3: a page */
#define DESC_AP_EL0   HC_BIT(6)
#define DESC_AP_RO    HC_BIT(7)
#define DESC_AF       HC_BIT(10)
#define DESC_DBM      HC_BIT(51)
#define DESC_PXN      HC_BIT(53)
#define DESC_UXN      HC_BIT(54)
#define DESC_PXNTABLE HC_BIT(59)
#define DESC_UXNTABLE HC_BIT(60)
#define DESC_NO_EL0   HC_BIT(61) /* APTable[0] */
#define DESC_RO_TABLE HC_BIT(62) /* APTable[1] */
#define DESC_ADDRESS  UINT64_C(0x0000fffffffff000)

/* One of the two halves of the address space, as its fields of TCR_EL1 describe it. */
struct half {
	uint64_t base;    /* of the first table */
	unsigned granule; /* its shift; 0: a reserved value */
	unsigned size;    /* TnSZ */
	bool disabled, el0_disabled, flat_attributes, tags;
};

struct walk {
	struct hc_vcpu *vcpu;
	uint64_t sctlr, tcr;
	uint64_t va;
	enum hc_access access;
	bool user;
	struct half half;
	uint64_t limits; /* of the tables on the way, in the places of a leaf's own bits */
	unsigned level;
};

static bool has_feature(const struct hc_vcpu *vcpu, unsigned id, unsigned shift, uint64_t least)
{
	return a64_id_field(vcpu->vm, id, shift) >= least;
}

/* --- The regime --- */

/* D17.2.131: TG0's and TG1's encodings differ. */
static const uint8_t granule_0[4] = { 12, 16, 14, 0 };
static const uint8_t granule_1[4] = { 0, 14, 12, 16 };

static void choose_half(struct walk *w, const struct a64_state *s)
{
	uint64_t tcr = w->tcr;

	if (w->va & HC_BIT(55))
		w->half = (struct half){ .base = s->sys[A64_TTBR1_EL1],
			                 .granule = granule_1[hc_bits(tcr, 31, 30)],
			                 .size = (unsigned)hc_bits(tcr, 21, 16),
			                 .disabled = tcr & HC_BIT(23),
			                 .tags = tcr & HC_BIT(38),
			                 .flat_attributes = tcr & HC_BIT(42),
			                 .el0_disabled = tcr & HC_BIT(56) };
	else
		w->half = (struct half){ .base = s->sys[A64_TTBR0_EL1],
			                 .granule = granule_0[hc_bits(tcr, 15, 14)],
			                 .size = (unsigned)hc_bits(tcr, 5, 0),
			                 .disabled = tcr & HC_BIT(7),
			                 .tags = tcr & HC_BIT(37),
			                 .flat_attributes = tcr & HC_BIT(41),
			                 .el0_disabled = tcr & HC_BIT(55) };
	w->half.flat_attributes =
		w->half.flat_attributes && has_feature(w->vcpu, A64_ID_AA64MMFR1, 12, 1);
	w->half.el0_disabled =
		w->half.el0_disabled && w->user && has_feature(w->vcpu, A64_ID_AA64MMFR2, 60, 1);
}

/* D8.1.6, D8.2.5: a size out of range is a fault here, which is one of the permitted choices. */
static bool is_size_ok(const struct walk *w)
{
	const struct half *h = &w->half;
	bool small = has_feature(w->vcpu, A64_ID_AA64MMFR2, 28, 1);
	unsigned most = !small ? 39 : h->granule == 16 ? 47 : 48;

	return h->granule && h->size >= 16 && h->size <= most;
}

/* All bits above the half's are like bit 55, but for a tag. */
static bool is_in_half(const struct walk *w)
{
	unsigned bits = 64 - w->half.size, top = w->half.tags ? 55 : 63;
	uint64_t high = hc_bits(w->va, top, bits);

	return high == (w->va & HC_BIT(55) ? hc_bits(UINT64_MAX, top, bits) : 0);
}

/* PARange's and TCR_EL1.IPS's (D17.2.64). */
static const uint8_t range_bits[8] = { 32, 36, 40, 42, 44, 48, 48, 48 };

unsigned a64_address_bits(struct hc_vm *vm)
{
	return range_bits[hc_min(7, a64_id_field(vm, A64_ID_AA64MMFR0, 0))];
}

/* The width of what comes out: of IPS and the CPU's own. */
static unsigned output_bits(const struct walk *w)
{
	unsigned size = range_bits[hc_bits(w->tcr, 34, 32)];

	return (unsigned)hc_min(size, a64_address_bits(w->vcpu->vm));
}

/* --- Levels --- */

static unsigned level_shift(const struct walk *w)
{
	return w->half.granule + (3 - w->level) * (w->half.granule - 3);
}

static unsigned first_level(const struct half *h)
{
	unsigned stride = h->granule - 3, bits = 64 - h->size - h->granule;

	return 4 - (bits + stride - 1) / stride;
}

static uint64_t span_mask(const struct walk *w)
{
	return HC_BIT(level_shift(w)) - 1;
}

/* Blocks of 1 GiB and 2 MiB, 32 MiB, 512 MiB (table D8-16). */
static bool may_be_block(const struct walk *w)
{
	return w->level == 2 || (w->level == 1 && w->half.granule == 12);
}

/* Shares memory with the guest's CPUs. */
static _Atomic(uint64_t) *entry_ptr(const struct walk *w, uint64_t address, bool want_write)
{
	return hc_mem_ptr(w->vcpu->vm, gpa_of(address), 8, want_write);
}

static void add_limits(struct walk *w, uint64_t table)
{
	if (w->half.flat_attributes)
		return;
	w->limits |= table & (DESC_PXNTABLE | DESC_UXNTABLE | DESC_NO_EL0 | DESC_RO_TABLE);
}

/* --- The leaf --- */

/* D8.4.1. With the tables' limits applied. */
static bool is_permitted(const struct walk *w, uint64_t leaf)
{
	bool el0 = leaf & DESC_AP_EL0 && !(w->limits & DESC_NO_EL0);
	bool writable = !(leaf & DESC_AP_RO) && !(w->limits & DESC_RO_TABLE);
	bool uxn = leaf & DESC_UXN || w->limits & DESC_UXNTABLE;
	bool pxn = leaf & DESC_PXN || w->limits & DESC_PXNTABLE;
	bool wxn = w->sctlr & SCTLR_WXN;
	bool pan = a64_state_of(w->vcpu)->pstate & A64_PSTATE_PAN;
	bool epan = w->sctlr & SCTLR_EPAN && has_feature(w->vcpu, A64_ID_AA64MMFR1, 20, 3);

	if (w->access == HC_ACCESS_EXEC)
		return w->user ? !uxn && !(wxn && el0 && writable)
		               : !pxn && !(wxn && writable) && !(el0 && writable);
	if (w->user ? !el0 : pan && (el0 || (epan && !uxn)))
		return false;
	return w->access == HC_ACCESS_READ || writable;
}

/* D8.4.5, D8.4.6: what the hardware does to the leaf on behalf of this access, as far as TCR_EL1
 * lets it. */
static uint64_t update_leaf(const struct walk *w, uint64_t leaf)
{
	if (w->tcr & TCR_HA && has_feature(w->vcpu, A64_ID_AA64MMFR1, 0, 1))
		leaf |= DESC_AF;
	if (w->access == HC_ACCESS_WRITE && leaf & DESC_DBM && w->tcr & TCR_HD && w->tcr & TCR_HA &&
	    has_feature(w->vcpu, A64_ID_AA64MMFR1, 0, 2))
		leaf &= ~DESC_AP_RO;
	return leaf;
}

static int fault(const struct walk *w, uint32_t kind, uint32_t *fsc)
{
	*fsc = kind | w->level;
	return -EFAULT;
}

static int store_leaf(const struct walk *w, uint64_t address, uint64_t old, uint64_t leaf,
                      uint32_t *fsc)
{
	_Atomic(uint64_t) *entry = entry_ptr(w, address, true);

	if (!entry)
		return fault(w, A64_FSC_WALK, fsc);
	if (!atomic_compare_exchange_strong(entry, &old, leaf))
		return -EAGAIN;
	hc_mem_wrote(w->vcpu->vm, gpa_of(address), 8);
	return 0;
}

static int use_leaf(struct walk *w, uint64_t address, uint64_t old, gpa_t *gpa, uint32_t *fsc)
{
	uint64_t leaf = update_leaf(w, old), mask = span_mask(w);

	if (!(leaf & DESC_AF))
		return fault(w, A64_FSC_AF, fsc);
	if (!is_permitted(w, leaf))
		return fault(w, A64_FSC_PERM, fsc);
	int rc = leaf == old ? 0 : store_leaf(w, address, old, leaf, fsc);

	*gpa = gpa_of((leaf & DESC_ADDRESS & ~mask) | (w->va & mask));
	return rc;
}

/* --- The walk --- */

/* The tables get shorter in levels with each round: it ends, whatever they contain. */
static int walk_tables(struct walk *w, gpa_t *gpa, uint32_t *fsc)
{
	uint64_t granule_mask = HC_BIT(w->half.granule) - 1, out = HC_BIT(output_bits(w)) - 1;
	unsigned high = 63 - w->half.size; /* the highest bit that indexes the table */

	w->level = first_level(&w->half);
	uint64_t table = w->half.base & UINT64_C(0x0000fffffffffffe) &
	                 ~((HC_BIT(high - level_shift(w) + 4)) - 1);

	if (table & ~out) {
		w->level = 0;
		return fault(w, A64_FSC_SIZE, fsc);
	}
	for (;; w->level++, high = level_shift(w) + w->half.granule - 4) {
		uint64_t address = table + hc_bits(w->va, high, level_shift(w)) * 8;
		_Atomic(uint64_t) *entry = entry_ptr(w, address, false);

		if (!entry)
			return fault(w, A64_FSC_WALK, fsc);
		uint64_t desc = atomic_load_explicit(entry, memory_order_acquire);
		bool is_table = desc & DESC_TABLE && w->level < 3;

		if (!(desc & DESC_VALID) ||
		    (!is_table && !(desc & DESC_TABLE ? w->level == 3 : may_be_block(w))))
			return fault(w, A64_FSC_TRANS, fsc);
		if (desc & DESC_ADDRESS & ~granule_mask & ~out)
			return fault(w, A64_FSC_SIZE, fsc);
		if (!is_table)
			return use_leaf(w, address, desc, gpa, fsc);
		add_limits(w, desc);
		table = desc & DESC_ADDRESS & ~granule_mask;
	}
}

/* D8.2.10: with the MMU off addresses stay what they are. */
static int translate_flat(struct walk *w, gpa_t *gpa, uint32_t *fsc)
{
	bool tags = w->tcr & (w->va & HC_BIT(55) ? HC_BIT(38) : HC_BIT(37));
	uint64_t va = tags ? hc_bits(w->va, 55, 0) : w->va;

	w->tcr |= UINT64_C(7) << 32; /* IPS does not matter */
	*gpa = gpa_of(va);
	return va >> output_bits(w) ? fault(w, A64_FSC_SIZE, fsc) : 0;
}

int a64_translate(struct hc_vcpu *vcpu, gva_t gva, enum hc_access access, bool user, gpa_t *gpa,
                  uint32_t *fsc)
{
	const struct a64_state *s = a64_state_of(vcpu);

	hc_vcpu_need(vcpu, A64_G_SYS);
	struct walk w = { .vcpu = vcpu,
		          .sctlr = s->sys[A64_SCTLR_EL1],
		          .tcr = s->sys[A64_TCR_EL1],
		          .va = gva.v,
		          .access = access,
		          .user = user };

	if (!(w.sctlr & A64_SCTLR_M))
		return translate_flat(&w, gpa, fsc);
	choose_half(&w, s);
	if (w.half.disabled || w.half.el0_disabled || !is_size_ok(&w) || !is_in_half(&w))
		return fault(&w, A64_FSC_TRANS, fsc);
	return walk_tables(&w, gpa, fsc);
}

int a64_fetch(struct hc_vcpu *vcpu, uint32_t *insn, uint32_t *fsc)
{
	const struct a64_state *s = a64_state_of(vcpu);
	gpa_t gpa;
	int rc = a64_translate(vcpu, gva_of(s->pc), HC_ACCESS_EXEC, a64_is_el0(s), &gpa, fsc);

	if (rc)
		return rc;
	if (gpa.v % 4 == 0 && !hc_mem_read(vcpu->vm, gpa, insn, sizeof(*insn)))
		return 0;
	*fsc = A64_FSC_EXTERNAL;
	return -EFAULT;
}
