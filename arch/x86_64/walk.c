/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the guest's own page tables (SDM Vol. 3A chapter 4) for accesses that the hypervisor makes
 * on the guest's behalf.
 *
 *   legacy:  10 | 10 | 12        PAE:  2 | 9 | 9 | 12       long: (9) 9 | 9 | 9 | 9 | 12
 *
 * Levels count up from the page table, as in mmu/: level 0 entries map 4 KiB. Accessed and dirty
 * bits are set by compare-and-exchange, since other vCPUs walk and change the same tables.
 */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/walk_cache.h"
#include "core/bus_access.h"

#define PTE_P  HC_BIT(0)
#define PTE_W  HC_BIT(1)
#define PTE_U  HC_BIT(2)
#define PTE_A  HC_BIT(5)
#define PTE_D  HC_BIT(6)
#define PTE_PS HC_BIT(7)
#define PTE_G  HC_BIT(8)
#define PTE_NX HC_BIT(63)

/* Bits 12 to 51: more than any guest physical address has. */
#define ADDR_MASK UINT64_C(0x000ffffffffff000)

/* Beside those of addresses. But for bit 5, which QEMU's CPUs set as if it were an accessed bit. */
#define PDPTE_RESERVED (UINT64_C(0xfff0000000000000) | 0x1c6)
#define PDPT_MASK      UINT64_C(0xffffffe0)
#define PDPT_LEVEL     2

struct paging {
	uint8_t levels;     /* of tables */
	uint8_t index_bits; /* per table; PAE's top table has 2 */
	uint8_t entry_size; /* bytes */
	uint8_t max_leaf;   /* highest level whose entry can map a page */
};

/* Table 4-1 */
static const struct paging legacy = { 2, 10, 4, 1 };
static const struct paging legacy_4k = { 2, 10, 4, 0 };
static const struct paging pae = { 3, 9, 8, 1 };
static const struct paging four_level = { 4, 9, 8, 2 };
static const struct paging five_level = { 5, 9, 8, 2 };

static const struct paging *paging_of(const struct x86_state *s)
{
	if (s->efer & X86_EFER_LMA)
		return s->cr4 & X86_CR4_LA57 ? &five_level : &four_level;
	if (s->cr4 & X86_CR4_PAE)
		return &pae;
	return s->cr4 & X86_CR4_PSE ? &legacy : &legacy_4k;
}

struct walk {
	const struct x86_state *s;
	struct hc_vcpu *vcpu;
	const struct paging *p;
	uint64_t gva;
	uint64_t gpa_mask;
	bool write, exec, user, implicit, nx;
	uint8_t in_rom; /* bit n: the entry of level n cannot be written */
	bool outside;   /* some entry is not in memory, but on the bus */
	void *entry[5]; /* by level; NULL: outside */
	uint64_t value[5], at[5];
	uint64_t gpa;
	unsigned leaf; /* level of the entry that ended the walk */
};

static int fault_pf(const struct walk *w, struct x86_fault *fault, uint32_t code)
{
	/* The I bit tells of fetches only where they can be told (SDM Vol. 3A 4.7). */
	bool tells_fetch = w->nx || w->s->cr4 & X86_CR4_SMEP;

	*fault = (struct x86_fault){
		.vector = X86_VEC_PF,
		.has_error_code = 1,
		.error_code = code | (w->write ? X86_PF_W : 0) | (w->user ? X86_PF_U : 0) |
		              (w->exec && tells_fetch ? X86_PF_I : 0),
		.address = w->gva,
	};
	return -EFAULT;
}

/* --- Entries --- */

static unsigned shift_of(const struct paging *p, unsigned level)
{
	return HC_PAGE_SHIFT + p->index_bits * level;
}

static uint64_t entry_gpa(const struct walk *w, uint64_t table, unsigned level)
{
	uint64_t index = w->gva >> shift_of(w->p, level);

	index &= w->p == &pae && level == PDPT_LEVEL ? 3 : HC_BIT(w->p->index_bits) - 1;
	return table + index * w->p->entry_size;
}

/* Reserved bits of an entry that is present (SDM Vol. 3A tables 4-5 to 4-20). */
static uint64_t reserved_bits(const struct walk *w, uint64_t entry, unsigned level, bool leaf)
{
	uint64_t reserved = ADDR_MASK & ~w->gpa_mask;

	if (w->p->entry_size == 4)
		/* PSE-36: bits 20:13 are address bits 39:32, bit 21 is reserved (table 4-4). */
		return leaf && level ? HC_BIT(21) | (reserved >> 32 & 0xff) << 13 : 0;
	if (w->p == &pae) {
		reserved |= UINT64_C(0x7ff0000000000000);
		if (level == PDPT_LEVEL)
			return reserved | PDPTE_RESERVED;
	}
	if (!w->nx)
		reserved |= PTE_NX;
	if (leaf && level)
		/* Bit 12 is the PAT bit of a large page. */
		reserved |= (HC_BIT(shift_of(w->p, level)) - 1) & ~UINT64_C(0x1fff);
	if (level > w->p->max_leaf || (level == 2 && !x86_vm_of(w->vcpu->vm)->has_1g_pages))
		reserved |= PTE_PS;
	return reserved;
}

static bool is_leaf(const struct walk *w, uint64_t entry, unsigned level)
{
	return level == 0 || (level <= w->p->max_leaf && entry & PTE_PS);
}

static uint64_t leaf_address(const struct walk *w, uint64_t entry, unsigned level)
{
	uint64_t offset = HC_BIT(shift_of(w->p, level)) - 1;
	uint64_t base = entry & ADDR_MASK & ~offset;

	if (w->p->entry_size == 4 && level)
		base = (entry & UINT64_C(0xffc00000)) | (entry >> 13 & 0xff) << 32;
	return base | (w->gva & offset);
}

/* --- Rights (SDM Vol. 3A 4.6) --- */

/* rights: the AND of U and W of all entries. exec_disabled: the OR of NX. */
static bool is_allowed(const struct walk *w, uint64_t rights, bool exec_disabled)
{
	const struct x86_state *s = w->s;
	bool user_page = rights & PTE_U;

	if (w->user && !user_page)
		return false;
	if (w->exec)
		return !exec_disabled && (w->user || !user_page || !(s->cr4 & X86_CR4_SMEP));
	if (w->write && !(rights & PTE_W) && (w->user || s->cr0 & X86_CR0_WP))
		return false;
	/* RFLAGS.AC lifts SMAP, but not for the CPU's own accesses. */
	return w->user || !user_page || !(s->cr4 & X86_CR4_SMAP) ||
	       (!w->implicit && s->rflags & X86_FLAG_AC);
}

/* --- The walk --- */

static bool in_register(const struct walk *w, unsigned level)
{
	return w->p == &pae && level == PDPT_LEVEL && w->s->pdptes_loaded;
}

/* Reads the entry at gpa, and remembers where it is. Where nothing answers it has all bits set. */
static uint64_t load_entry(struct walk *w, uint64_t gpa, unsigned level)
{
	struct hc_vm *vm = w->vcpu->vm;
	void *p = hc_mem_ptr(vm, gpa_of(gpa), w->p->entry_size, false);

	w->entry[level] = p;
	w->at[level] = gpa;
	if (!p) {
		w->outside = true;
		w->value[level] = hc_bus_read_value(vm, HC_SPACE_MEMORY, gpa, w->p->entry_size);
		return w->value[level];
	}
	if (!hc_mem_ptr(vm, gpa_of(gpa), w->p->entry_size, true))
		w->in_rom |= (uint8_t)(1u << level);
	w->value[level] =
		w->p->entry_size == 8
			? atomic_load_explicit((_Atomic uint64_t *)p, memory_order_acquire)
			: atomic_load_explicit((_Atomic uint32_t *)p, memory_order_acquire);
	return w->value[level];
}

/* The same of a PDPTE that the CPU has loaded. */
static uint64_t load_pdpte(struct walk *w)
{
	uint64_t *pdpte = &x86_state_of(w->vcpu)->pdpte[w->gva >> 30 & 3];

	w->entry[PDPT_LEVEL] = pdpte;
	w->value[PDPT_LEVEL] = *pdpte;
	return *pdpte;
}

/* False: the entry changed meanwhile. */
static bool set_bits(struct walk *w, unsigned level, uint64_t bits)
{
	uint64_t old = w->value[level];
	bool done;

	if ((old & bits) == bits || w->in_rom >> level & 1)
		return true;
	if (!w->entry[level]) {
		(void)hc_bus_write(w->vcpu->vm, HC_SPACE_MEMORY, w->at[level], w->p->entry_size,
		                   old | bits);
		return true;
	}
	if (w->p->entry_size == 8) {
		done = atomic_compare_exchange_strong((_Atomic uint64_t *)w->entry[level], &old,
		                                      old | bits);
	} else {
		_Atomic uint32_t *p = w->entry[level];
		uint32_t old32 = (uint32_t)old;

		done = atomic_compare_exchange_strong(p, &old32, old32 | (uint32_t)bits);
	}
	w->value[level] |= bits;
	hc_dirty_mark(w->vcpu->vm, gpa_of(w->at[level]), w->p->entry_size);
	return done;
}

/* All entries that were used become accessed, and the leaf dirty, once the access is known to be
 * allowed (SDM Vol. 3A 4.8). PAE's top entries have no accessed bit. */
static bool mark_used(struct walk *w, unsigned leaf)
{
	for (unsigned level = leaf; level < w->p->levels; level++) {
		uint64_t bits = PTE_A | (w->write && level == leaf ? PTE_D : 0);

		if (w->p == &pae && level == PDPT_LEVEL)
			continue;
		if (!set_bits(w, level, bits))
			return false;
	}
	return true;
}

static uint64_t root_of(const struct walk *w)
{
	if (w->p->entry_size == 4)
		return w->s->cr3 & UINT64_C(0xfffff000);
	if (w->p == &pae)
		return w->s->cr3 & PDPT_MASK;
	return w->s->cr3 & ADDR_MASK & w->gpa_mask;
}

/* -EAGAIN: an entry changed while its accessed bit was to be set. */
static int walk_once(struct walk *w, struct x86_fault *fault)
{
	uint64_t table = root_of(w), rights = PTE_U | PTE_W, entry;
	bool exec_disabled = false;

	for (unsigned level = w->p->levels - 1u;; level--) {
		entry = in_register(w, level) ? load_pdpte(w)
		                              : load_entry(w, entry_gpa(w, table, level), level);
		if (!(entry & PTE_P))
			return fault_pf(w, fault, 0);
		bool leaf = is_leaf(w, entry, level);

		if (entry & reserved_bits(w, entry, level, leaf))
			return fault_pf(w, fault, X86_PF_P | X86_PF_RSVD);
		/* PAE's top entries restrict nothing (table 4-8). */
		if (w->p != &pae || level < 2) {
			rights &= entry;
			exec_disabled |= (entry & PTE_NX) != 0;
		}
		if (leaf) {
			if (!is_allowed(w, rights, exec_disabled))
				return fault_pf(w, fault, X86_PF_P);
			w->gpa = leaf_address(w, entry, level);
			w->leaf = level;
			return mark_used(w, level) ? 0 : -EAGAIN;
		}
		table = entry & ADDR_MASK &
		        (w->p->entry_size == 4 ? UINT64_C(0xfffff000) : ~UINT64_C(0));
	}
}

bool x86_load_pdptes(struct hc_vcpu *vcpu, uint64_t cr3)
{
	struct x86_state *s = x86_state_of(vcpu);
	const uint64_t reserved = PDPTE_RESERVED | (ADDR_MASK & ~x86_vm_of(vcpu->vm)->gpa_mask);
	uint64_t pdpte[4] = { 0 };
	const void *table = hc_mem_ptr(vcpu->vm, gpa_of(cr3 & PDPT_MASK), sizeof(pdpte), false);

	if (table) /* else none is present */
		memcpy(pdpte, table, sizeof(pdpte));
	for (unsigned i = 0; i < HC_ARRAY_SIZE(pdpte); i++)
		if (pdpte[i] & PTE_P && pdpte[i] & reserved)
			return false;
	memcpy(s->pdpte, pdpte, sizeof(pdpte));
	s->pdptes_loaded = 1;
	return true;
}

/* --- The cache --- */

const _Atomic uint64_t x86_walk_no_entry;

static void remember(const struct walk *w, unsigned access)
{
	struct x86_walk_cache *c = x86_walk_slot(w->vcpu, w->gva, access);

	/* 4-byte entries cannot be compared like the others, and those of devices not without
	 * their notice; such guests are rare. */
	if (w->p->entry_size != 8 || w->outside)
		return;
	for (unsigned level = 0; level < HC_ARRAY_SIZE(c->entry); level++) {
		bool used = w->entry[level] != NULL;

		c->entry[level] =
			used ? (const _Atomic uint64_t *)w->entry[level] : &x86_walk_no_entry;
		c->value[level] = used ? w->value[level] : 0;
	}
	c->page = HC_ALIGN_DOWN(w->gva, HC_PAGE_SIZE);
	c->cr0 = w->s->cr0;
	c->cr3 = w->s->cr3;
	c->cr4 = w->s->cr4;
	c->efer = w->s->efer;
	c->rights = x86_walk_rights(w->s, access, w->implicit);
	c->epoch = x86_walk_epoch(w->vcpu->vm);
	c->gpa = HC_ALIGN_DOWN(w->gpa, HC_PAGE_SIZE);
	c->host = hc_mem_ptr(w->vcpu->vm, gpa_of(c->gpa), HC_PAGE_SIZE, false);
}

/* --- Entry points --- */

static int walk(struct walk *w, struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
                struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(vcpu);
	int rc;

	*w = (struct walk){
		.s = s,
		.vcpu = vcpu,
		.p = paging_of(s),
		.gva = gva.v,
		.gpa_mask = x86_vm_of(vcpu->vm)->gpa_mask,
		.write = access == HC_ACCESS_WRITE,
		.exec = access == HC_ACCESS_EXEC,
		.user = s->cpl == 3 && !implicit,
		.implicit = implicit,
	};
	w->nx = w->p->entry_size == 8 && s->efer & X86_EFER_NXE;
	while ((rc = walk_once(w, fault)) == -EAGAIN)
		continue;
	return rc;
}

static __attribute__((noinline)) int translate(struct hc_vcpu *vcpu, gva_t gva, unsigned access,
                                               bool implicit, gpa_t *gpa, struct x86_fault *fault)
{
	struct walk w;
	int rc;

	if (!(x86_state_of(vcpu)->cr0 & X86_CR0_PG)) {
		/* Addresses have 32 bits then. */
		gpa->v = (uint32_t)gva.v;
		return 0;
	}
	rc = walk(&w, vcpu, gva, access, implicit, fault);
	if (rc)
		return rc;
	remember(&w, access);
	*gpa = gpa_of(w.gpa);
	return 0;
}

int x86_translate_page(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
                       struct x86_mapping *mapping, struct x86_fault *fault)
{
	const struct x86_state *s = x86_state_of(vcpu);
	struct walk w;
	int rc;

	hc_vcpu_need(vcpu, X86_G_CR);
	if (!(s->cr0 & X86_CR0_PG)) {
		*mapping = (struct x86_mapping){ gpa_of((uint32_t)gva.v & ~(HC_PAGE_SIZE - 1)),
			                         HC_PAGE_SIZE, false };
		return 0;
	}
	rc = walk(&w, vcpu, gva, access, implicit, fault);
	if (rc)
		return rc;
	*mapping = (struct x86_mapping){
		.gpa = gpa_of(HC_ALIGN_DOWN(w.gpa, HC_PAGE_SIZE)),
		.span = HC_BIT(shift_of(w.p, w.leaf)),
		.global = w.value[w.leaf] & PTE_G && s->cr4 & X86_CR4_PGE,
	};
	return 0;
}

int x86_translate(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit, gpa_t *gpa,
                  struct x86_fault *fault)
{
	hc_vcpu_need(vcpu, X86_G_CR);
	const struct x86_walk_cache *c = x86_walk_cached(vcpu, gva.v, access, implicit);

	if (!c)
		return translate(vcpu, gva, access, implicit, gpa, fault);
	*gpa = gpa_of(c->gpa | (gva.v & (HC_PAGE_SIZE - 1)));
	return 0;
}

static __attribute__((noinline)) const uint8_t *find_code(struct hc_vcpu *vcpu, gva_t gva, int *rc,
                                                          struct x86_fault *fault)
{
	const uint8_t *host;
	gpa_t gpa;

	*rc = x86_translate(vcpu, gva, HC_ACCESS_EXEC, false, &gpa, fault);
	if (*rc)
		return NULL;
	host = hc_mem_ptr(vcpu->vm, gpa, HC_PAGE_SIZE - gva.v % HC_PAGE_SIZE, false);
	if (!host)
		*rc = -ENOENT;
	return host;
}

const uint8_t *x86_code_ptr(struct hc_vcpu *vcpu, gva_t gva, int *rc, struct x86_fault *fault)
{
	const uint8_t *code = vcpu->valid & X86_G_CR ? x86_walk_cached_code(vcpu, gva) : NULL;

	return code ? code : find_code(vcpu, gva, rc, fault);
}
