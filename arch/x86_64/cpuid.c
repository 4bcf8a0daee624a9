/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86_64/cpuid.h"

#include <hypercore/freestanding.h>

#include "arch/x86_64/host/cpuid.h"
#include "arch/x86_64/x86.h"

#define B(n) (1u << (n))
#define ALL  0xffffffffu
#define ANY  0xffu /* subleaf: the leaf does not look at ECX */

enum { EAX, EBX, ECX, EDX };

struct rule {
	uint32_t leaf;
	uint8_t subleaf;
	uint32_t pass[4]; /* bits taken from the physical CPU */
	uint32_t set[4];  /* bits set whatever it says */
	const char *why;
};

/* Leaf 1: what is left out and why.
 * ECX: DTES64, DS-CPL, TM2, EIST, CNXT-ID, SDBG, PDCM, DCA: of the platform, not of the guest;
 *      MONITOR (3): MWAIT would keep the physical CPU; VMX (5), SMX (6): not virtualized.
 * EDX: PSN, DS, ACPI, SS, TM, PBE: the same. */
#define L1_ECX                                                                                     \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) |      \
	 B(26) | B(28) | B(29) | B(30))
#define L1_ECX_SET (B(21) | B(24) | B(31)) /* x2APIC, TSC-deadline timer, hypervisor present */
#define L1_EDX                                                                                     \
	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(11) | B(13) | B(14) |    \
	 B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26))
#define L1_EDX_SET (B(9) | B(12)) /* APIC, MTRR: ours */

/* Leaf 7.0. Left out: TSC_ADJUST, SGX, HLE and RTM, resource monitoring and control, MPX (no place
 * in struct x86_state), processor trace; PKU, shadow stacks, LA57, WAITPKG, ENQCMD, key locker;
 * SPEC_CTRL and its kin (26, 27, 31), ARCH_CAPABILITIES, CORE_CAPABILITIES. */
#define L7_EBX                                                                                     \
	(B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | B(17) | B(18) |  \
	 B(19) | B(20) | B(21) | B(23) | B(24) | B(28) | B(29) | B(30) | B(31))
#define L7_ECX (B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22))
#define L7_EDX (B(4) | B(10) | B(14))

/* Leaf 80000001h. Left out: SVM, extended APIC space, CR8 by LOCK MOV CR0, OSVW, IBS, SKINIT, WDT,
 * LWP, XOP, FMA4, TBM, performance counters, MONITORX, 3DNow!. */
#define E1_ECX     (B(0) | B(5) | B(6) | B(7) | B(8))
#define E1_EDX     (L1_EDX & 0x0183f3ffu) | B(11) | B(20) | B(22) | B(25) | B(26) | B(27) | B(29)
#define E1_EDX_AMD (B(9) | B(12)) /* the copies of leaf 1's bits */

static const struct rule rules[] = {
	{ 0x0, ANY, { 0, ALL, ALL, ALL }, { 0 }, "vendor; EAX becomes the last leaf below" },
	{ 0x1,
	  ANY,
	  { ALL, 0x0000ff00, L1_ECX, L1_EDX },
	  { 0, 0, L1_ECX_SET, L1_EDX_SET },
	  "signature, CLFLUSH size, features; APIC ID and CPU count are ours" },
	{ 0x2, ANY, { ALL, ALL, ALL, ALL }, { 0 }, "caches and TLBs, Intel" },
	{ 0x4, 0, { 0x03ff, ALL, ALL, ALL }, { 0 }, "caches, Intel; sharing is ours" },
	{ 0x4, 1, { 0x03ff, ALL, ALL, ALL }, { 0 }, "the same" },
	{ 0x4, 2, { 0x03ff, ALL, ALL, ALL }, { 0 }, "the same" },
	{ 0x4, 3, { 0x03ff, ALL, ALL, ALL }, { 0 }, "the same" },
	{ 0x6, ANY, { 0 }, { B(2) }, "only that the APIC timer always runs" },
	{ 0x7, 0, { 0, L7_EBX, L7_ECX, L7_EDX }, { 1 }, "features; one more subleaf" },
	{ 0x7, 1, { B(4) | B(5) | B(10) | B(11) | B(12) }, { 0 }, "AVX-VNNI, BF16, fast REP" },
	{ 0xb, 0, { 0 }, { 0 }, "threads of a core: ours" },
	{ 0xb, 1, { 0 }, { 0 }, "cores of the package: ours" },
	{ 0xd, 0, { 0 }, { 0 }, "XCR0: what struct x86_state holds" },
	{ 0xd,
	  1,
	  { B(0) | B(1) | B(2) | B(3) },
	  { 0 },
	  "XSAVEOPT, XSAVEC, XGETBV 1, XSAVES; no supervisor state" },
	{ 0xd, 2, { ALL, ALL, 0, 0 }, { 0 }, "AVX" },
	{ 0xd, 5, { ALL, ALL, ALL, 0 }, { 0 }, "AVX-512 opmasks" },
	{ 0xd, 6, { ALL, ALL, ALL, 0 }, { 0 }, "AVX-512 upper halves" },
	{ 0xd, 7, { ALL, ALL, ALL, 0 }, { 0 }, "AVX-512 registers 16 to 31" },
	{ 0x15, ANY, { 0 }, { 0 }, "rate of the TSC, if it was asked for" },
	{ 0x40000000, ANY, { 0 }, { 0 }, "our signature; EAX the last of these leaves" },
	{ 0x40000001, ANY, { 0 }, { X86_HV_INTERFACE }, "version of our interface" },
	{ X86_CPUID_HV_RATES, ANY, { 0 }, { 0 }, "the same, and the APIC timer's" },
	{ 0x80000000, ANY, { 0, ALL, ALL, ALL }, { 0 }, "vendor; EAX the last leaf below" },
	{ 0x80000001, ANY, { ALL, ALL, E1_ECX, E1_EDX }, { 0 }, "features" },
	{ 0x80000002, ANY, { ALL, ALL, ALL, ALL }, { 0 }, "brand string" },
	{ 0x80000003, ANY, { ALL, ALL, ALL, ALL }, { 0 }, "brand string" },
	{ 0x80000004, ANY, { ALL, ALL, ALL, ALL }, { 0 }, "brand string" },
	{ 0x80000005, ANY, { ALL, ALL, ALL, ALL }, { 0 }, "first-level caches, AMD" },
	{ 0x80000006, ANY, { ALL, ALL, ALL, ALL }, { 0 }, "second-level caches" },
	{ 0x80000007, ANY, { 0, 0, 0, B(8) }, { 0 }, "invariant TSC; no power management" },
	{ 0x80000008,
	  ANY,
	  { 0xffff, B(0) | B(2) | B(9), 0, 0 },
	  { 0 },
	  "address widths, CLZERO, XSAVE of error pointers, WBNOINVD; core count is ours" },
	{ 0x80000019, ANY, { ALL, ALL, 0, 0 }, { 0 }, "TLBs for 1 GiB pages, AMD" },
	{ 0x8000001a, ANY, { ALL, 0, 0, 0 }, { 0 }, "performance hints, AMD" },
	{ 0x8000001d, 0, { 0x03ff, ALL, ALL, ALL }, { 0 }, "caches, AMD; sharing is ours" },
	{ 0x8000001d, 1, { 0x03ff, ALL, ALL, ALL }, { 0 }, "the same" },
	{ 0x8000001d, 2, { 0x03ff, ALL, ALL, ALL }, { 0 }, "the same" },
	{ 0x8000001d, 3, { 0x03ff, ALL, ALL, ALL }, { 0 }, "the same" },
	{ 0x8000001e, ANY, { 0 }, { 0 }, "APIC, core and node IDs, AMD: ours" },
};

_Static_assert(HC_ARRAY_SIZE(rules) < X86_CPUID_ENTRIES, "one element stays empty");

/* Features that make no sense without another one: where the second is not shown, the first is not
 * either. Applied in this order. */
struct feature {
	uint32_t leaf;
	uint8_t reg, bit;
};

static const struct {
	struct feature what, needs;
} dependencies[] = {
	{ { 1, ECX, 28 }, { 1, ECX, 26 } }, /* AVX: XSAVE */
	{ { 1, ECX, 12 }, { 1, ECX, 28 } }, /* FMA: AVX */
	{ { 1, ECX, 29 }, { 1, ECX, 28 } }, /* F16C: AVX */
	{ { 7, EBX, 5 }, { 1, ECX, 28 } },  /* AVX2: AVX */
	{ { 7, ECX, 9 }, { 1, ECX, 28 } },  /* VAES: AVX */
	{ { 7, ECX, 10 }, { 1, ECX, 28 } }, /* VPCLMULQDQ: AVX */
	{ { 7, EBX, 16 }, { 7, EBX, 5 } },  /* AVX-512 F: AVX2 */
	{ { 7, EBX, 17 }, { 7, EBX, 16 } }, /* DQ, and so on: F */
	{ { 7, EBX, 21 }, { 7, EBX, 16 } },
	{ { 7, EBX, 28 }, { 7, EBX, 16 } },
	{ { 7, EBX, 30 }, { 7, EBX, 16 } },
	{ { 7, EBX, 31 }, { 7, EBX, 16 } },
	{ { 7, ECX, 1 }, { 7, EBX, 16 } },
	{ { 7, ECX, 6 }, { 7, EBX, 16 } },
	{ { 7, ECX, 11 }, { 7, EBX, 16 } },
	{ { 7, ECX, 12 }, { 7, EBX, 16 } },
	{ { 7, ECX, 14 }, { 7, EBX, 16 } },
	{ { 7, EBX, 10 }, { 1, ECX, 17 } },          /* INVPCID: PCID */
	{ { 7, ECX, 22 }, { 0x80000001, EDX, 27 } }, /* RDPID: TSC_AUX, as RDTSCP has it */
};

/* --- The table --- */

static uint32_t *reg_of(struct x86_cpuid_entry *e, unsigned reg)
{
	uint32_t *const regs[4] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	return regs[reg];
}

static inline struct x86_cpuid_entry *find(struct x86_vm *x, uint32_t leaf, uint32_t subleaf)
{
	unsigned i = x86_cpuid_first(x, leaf);

	for (; i && i < x->cpuid_count && x->cpuid[i].leaf == leaf; i++)
		if (x->cpuid[i].any_subleaf || x->cpuid[i].subleaf == subleaf)
			return &x->cpuid[i];
	return &x->cpuid[0];
}

static struct x86_cpuid_entry *entry_or_null(struct x86_vm *x, uint32_t leaf, uint32_t subleaf)
{
	struct x86_cpuid_entry *e = find(x, leaf, subleaf);

	return e == &x->cpuid[0] ? NULL : e;
}

/* What the CPU that a backend offers answers; zeros for leaves that it does not have (Intel's CPUs
 * answer those with their last basic leaf). */
static void ask_one(const struct hc_backend_ops *backend, uint32_t leaf, uint32_t subleaf,
                    uint32_t out[4])
{
	uint32_t last[4];

	memset(out, 0, 4 * sizeof(out[0]));
	(backend->cpuid ? backend->cpuid : x86_host_cpuid)(leaf & 0x80000000u, 0, last);
	if (leaf <= last[EAX])
		(backend->cpuid ? backend->cpuid : x86_host_cpuid)(leaf, subleaf, out);
}

/* The registers that are bits of features: what two CPUs have in common is their AND. Of all other
 * registers the VM's first backend decides. */
static const struct {
	uint32_t leaf, subleaf;
	bool is_features[4];
} feature_registers[] = {
	{ 0x1, 0, { 0, 0, 1, 1 } },        { 0x7, 0, { 0, 1, 1, 1 } },
	{ 0x7, 1, { 1, 1, 1, 1 } },        { 0xd, 0, { 1, 0, 0, 1 } },
	{ 0xd, 1, { 1, 0, 0, 0 } },        { 0x80000001, 0, { 0, 0, 1, 1 } },
	{ 0x80000007, 0, { 1, 1, 1, 1 } }, { 0x80000008, 0, { 0, 1, 0, 0 } },
};

static void keep_common(uint32_t leaf, uint32_t subleaf, uint32_t out[4], const uint32_t also[4])
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(feature_registers); i++) {
		if (feature_registers[i].leaf != leaf || feature_registers[i].subleaf != subleaf)
			continue;
		for (unsigned r = 0; r < 4; r++)
			if (feature_registers[i].is_features[r])
				out[r] &= also[r];
	}
	/* The narrower physical address */
	if (leaf == 0x80000008 && (also[EAX] & 0xff) < (out[EAX] & 0xff))
		out[EAX] = (out[EAX] & ~0xffu) | (also[EAX] & 0xff);
}

static void ask_backends(const struct x86_vm *x, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const struct hc_backend_part *parts = x->vm.parts;
	uint32_t also[4];

	ask_one(parts[0].ops, leaf, subleaf, out);
	if (!parts[1].ops)
		return;
	ask_one(parts[1].ops, leaf, subleaf, also);
	keep_common(leaf, subleaf, out, also);
}

/* Leaves of which fill_in() answers a part. */
static inline bool is_filled_in(uint32_t leaf)
{
	return leaf < 32 ? (B(0x1) | B(0xb) | B(0xd)) >> leaf & 1
	                 : leaf == 0x80000001 || leaf == 0x8000001e;
}

static void add_entry(struct x86_vm *x, const struct rule *r)
{
	struct x86_cpuid_entry *e = &x->cpuid[x->cpuid_count];
	uint8_t *index = &x->cpuid_index[r->leaf >> 30][r->leaf & 31];
	uint32_t host[4] = { 0 };

	if (r->leaf >> 30 != 1)
		ask_backends(x, r->leaf, r->subleaf == ANY ? 0 : r->subleaf, host);
	e->leaf = r->leaf;
	e->any_subleaf = r->subleaf == ANY;
	e->subleaf = e->any_subleaf ? 0 : r->subleaf;
	e->is_whole = e->any_subleaf && !is_filled_in(e->leaf);
	for (unsigned i = 0; i < 4; i++)
		*reg_of(e, i) = (host[i] & r->pass[i]) | r->set[i];
	if (!*index)
		*index = (uint8_t)x->cpuid_count;
	x->cpuid_count++;
}

static bool has_feature(struct x86_vm *x, const struct feature *f)
{
	return *reg_of(find(x, f->leaf, 0), f->reg) >> f->bit & 1;
}

static void drop_feature(struct x86_vm *x, const struct feature *f)
{
	struct x86_cpuid_entry *e = entry_or_null(x, f->leaf, 0);

	if (e)
		*reg_of(e, f->reg) &= ~B(f->bit);
}

static bool has(struct x86_vm *x, uint32_t leaf, unsigned reg, unsigned bit)
{
	return *reg_of(find(x, leaf, 0), reg) >> bit & 1;
}

static bool is_amd(struct x86_vm *x)
{
	/* "Auth" of AuthenticAMD, "Hygo" of HygonGenuine */
	uint32_t ebx = find(x, 0, 0)->ebx;

	return ebx == 0x68747541 || ebx == 0x6f677948;
}

/* --- XSAVE --- */

/* AVX-512's three components come together or not at all (SDM Vol. 1 13.3). */
#define XCR0_AVX512 UINT64_C(0xe0)

static bool component_fits(struct x86_vm *x, unsigned component)
{
	struct x86_cpuid_entry *e = entry_or_null(x, 0xd, component);

	return e && e->eax && e->ebx >= 576 && e->ebx <= X86_XSAVE_SIZE &&
	       e->eax <= X86_XSAVE_SIZE - e->ebx;
}

static uint64_t supported_xcr0(struct x86_vm *x)
{
	uint32_t host[4];
	uint64_t mask = 3;

	if (!has(x, 1, ECX, 26))
		return 0;
	ask_backends(x, 0xd, 0, host);
	if (host[EAX] & 4 && has(x, 1, ECX, 28) && component_fits(x, 2))
		mask |= 4;
	if (mask & 4 && (host[EAX] & XCR0_AVX512) == XCR0_AVX512 && component_fits(x, 5) &&
	    component_fits(x, 6) && component_fits(x, 7))
		mask |= XCR0_AVX512;
	return mask;
}

uint32_t x86_xsave_size(struct hc_vm *vm, uint64_t xcr0)
{
	struct x86_vm *x = x86_vm_of(vm);
	uint32_t size = 576;

	if (!x->xcr0_mask)
		return 0;
	for (unsigned i = 2; i < 8; i++) {
		const struct x86_cpuid_entry *e = find(x, 0xd, i);

		if (xcr0 >> i & 1 && e->eax + e->ebx > size)
			size = e->eax + e->ebx;
	}
	return size;
}

/* The compacted format packs components one after the other (SDM Vol. 1 13.4.3). */
static uint32_t compacted_size(struct x86_vm *x, uint64_t xcr0)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < 8; i++) {
		const struct x86_cpuid_entry *e = find(x, 0xd, i);

		if (!(xcr0 >> i & 1))
			continue;
		if (e->ecx & 2)
			size = (uint32_t)HC_ALIGN_UP(size, 64);
		size += e->eax;
	}
	return size;
}

static void zero(struct x86_cpuid_entry *e)
{
	if (e)
		e->eax = e->ebx = e->ecx = e->edx = 0;
}

static void init_xsave(struct hc_vm *vm)
{
	struct x86_vm *x = x86_vm_of(vm);
	struct x86_cpuid_entry *e = entry_or_null(x, 0xd, 0);

	x->xcr0_mask = supported_xcr0(x);
	if (!(x->xcr0_mask & 4))
		drop_feature(x, &(const struct feature){ 1, ECX, 28 });
	if (!(x->xcr0_mask & XCR0_AVX512))
		drop_feature(x, &(const struct feature){ 7, EBX, 16 });
	for (unsigned i = 2; i < 8; i++)
		if (!(x->xcr0_mask >> i & 1))
			zero(entry_or_null(x, 0xd, i));
	if (!x->xcr0_mask) {
		zero(entry_or_null(x, 0xd, 1));
		return;
	}
	e->eax = (uint32_t)x->xcr0_mask;
	e->ebx = 576; /* by XCR0: filled in on use */
	e->ecx = x86_xsave_size(vm, x->xcr0_mask);
}

/* --- The whole --- */

/* Leaves beyond the last one are not there. */
static void hide_beyond(struct x86_vm *x, uint32_t last)
{
	uint8_t *index = x->cpuid_index[last >> 30];

	for (unsigned i = (last & 31) + 1; i < 32; i++)
		index[i] = 0;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

/* SDM Vol. 3B 19.7.3: TSC rate = crystal's rate * EBX / EAX; the crystal drives the APIC timer,
 * too. Linux multiplies the crystal's kHz by EBX in 32 bits, and would believe what comes of it:
 * rates that do not fit are left to be measured. True: the leaf is there. */
static bool init_rates(struct x86_vm *x)
{
	const uint64_t crystal = X86_APIC_TIMER_HZ, hz = x->vm.tsc_hz;
	struct x86_cpuid_entry *hv = find(x, X86_CPUID_HV_RATES, 0), *e = find(x, 0x15, 0);
	uint64_t divisor = common_divisor(crystal, hz);

	if (!hz)
		return false;
	hv->eax = (uint32_t)(hz / 1000);
	hv->ebx = (uint32_t)(crystal / 1000);
	if (is_amd(x) || hz / divisor * (crystal / 1000) > UINT32_MAX)
		return false;
	e->eax = (uint32_t)(crystal / divisor);
	e->ebx = (uint32_t)(hz / divisor);
	e->ecx = (uint32_t)crystal;
	return true;
}

static void init_limits(struct x86_vm *x)
{
	struct x86_cpuid_entry *hv = find(x, X86_CPUID_HV_BASE, 0);
	char signature[12] = X86_CPUID_SIGNATURE;

	find(x, 0, 0)->eax = init_rates(x) ? 0x15 : x->xcr0_mask ? 0xd : 0xb;
	find(x, 0x80000000, 0)->eax = is_amd(x) ? 0x8000001e : 0x80000008;
	hide_beyond(x, find(x, 0, 0)->eax);
	hide_beyond(x, find(x, 0x80000000, 0)->eax);
	hv->eax = x->vm.tsc_hz ? X86_CPUID_HV_RATES : X86_CPUID_HV_BASE + 1;
	hide_beyond(x, hv->eax);
	memcpy(&hv->ebx, &signature[0], 4);
	memcpy(&hv->ecx, &signature[4], 4);
	memcpy(&hv->edx, &signature[8], 4);
}

static void init_amd(struct x86_vm *x)
{
	if (!is_amd(x)) {
		/* Reserved on Intel's CPUs but for SYSCALL, NX, 1 GiB pages, RDTSCP, LM. */
		find(x, 0x80000001, 0)->edx &= B(11) | B(20) | B(26) | B(27) | B(29);
		return;
	}
	find(x, 0x80000001, 0)->edx |= E1_EDX_AMD;
	find(x, 0x80000001, 0)->ecx |= B(22); /* leaves 1Dh and 1Eh are there */
}

static uint64_t cr4_mask(struct x86_vm *x)
{
	uint64_t mask = X86_CR4_PAE | HC_BIT(8); /* PCE: without counters it lets nothing in */
	static const struct {
		struct feature feature;
		uint8_t bit;
	} by_feature[] = {
		{ { 1, EDX, 1 }, 0 },   { { 1, EDX, 1 }, 1 },   /* VME, PVI */
		{ { 1, EDX, 4 }, 2 },   { { 1, EDX, 2 }, 3 },   /* TSD, DE */
		{ { 1, EDX, 3 }, 4 },   { { 1, EDX, 7 }, 6 },   /* PSE, MCE */
		{ { 1, EDX, 13 }, 7 },  { { 1, EDX, 24 }, 9 },  /* PGE, OSFXSR */
		{ { 1, EDX, 25 }, 10 }, { { 7, ECX, 2 }, 11 },  /* OSXMMEXCPT, UMIP */
		{ { 7, EBX, 0 }, 16 },  { { 1, ECX, 17 }, 17 }, /* FSGSBASE, PCIDE */
		{ { 1, ECX, 26 }, 18 }, { { 7, EBX, 7 }, 20 },  /* OSXSAVE, SMEP */
		{ { 7, EBX, 20 }, 21 },                         /* SMAP */
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(by_feature); i++)
		if (has_feature(x, &by_feature[i].feature))
			mask |= HC_BIT(by_feature[i].bit);
	return mask;
}

static void init_masks(struct x86_vm *x)
{
	uint32_t widths = find(x, 0x80000008, 0)->eax;
	unsigned bits = widths & 0xff;

	if (bits < 32 || bits > 52)
		bits = 36; /* CPUs without the leaf (SDM Vol. 3A 4.1.4) */
	x->gpa_mask = HC_BIT(bits) - 1;
	x->has_1g_pages = has(x, 0x80000001, EDX, 26);
	x->cr4_mask = cr4_mask(x);
	x->efer_mask = X86_EFER_LME | X86_EFER_LMA;
	x->efer_mask |= has(x, 0x80000001, EDX, 11) ? X86_EFER_SCE : 0;
	x->efer_mask |= has(x, 0x80000001, EDX, 20) ? X86_EFER_NXE : 0;
	x->efer_mask |= has(x, 0x80000001, EDX, 25) ? HC_BIT(14) : 0; /* FFXSR */
}

void x86_cpuid_init(struct hc_vm *vm)
{
	struct x86_vm *x = x86_vm_of(vm);

	memset(x->cpuid, 0, sizeof(x->cpuid));
	memset(x->cpuid_index, 0, sizeof(x->cpuid_index));
	x->cpuid_count = 1;
	x->cpuid[0].is_whole = true;
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rules); i++)
		add_entry(x, &rules[i]);
	init_xsave(vm);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(dependencies); i++)
		if (!has_feature(x, &dependencies[i].needs))
			drop_feature(x, &dependencies[i].what);
	init_limits(x);
	init_amd(x);
	init_masks(x);
	x86_cpuid_set_cpus(vm, 1);
}

/* --- Topology: one package of cores with one thread each; APIC ID = vCPU number --- */

static unsigned bits_for(unsigned cpus)
{
	return cpus > 1 ? 32u - (unsigned)__builtin_clz(cpus - 1) : 0;
}

/* A cache's type is in EAX 4:0, its level in 7:5; 25:14 is the number of sharers less one. Third
 * and further levels are shared by all. cores: also the cores of the package, in 31:26. */
static void set_cache_sharing(struct x86_cpuid_entry *e, unsigned cpus, bool cores)
{
	if (!e || !(e->eax & 0x1f)) {
		zero(e);
		return;
	}
	bool shared = (e->eax >> 5 & 7) >= 3;

	e->eax = (e->eax & 0x3ff) | (shared ? cpus - 1 : 0) << 14;
	if (cores)
		e->eax |= ((B(bits_for(cpus)) - 1) & 0x3f) << 26;
}

static void set_level(struct x86_cpuid_entry *e, unsigned shift, unsigned cpus, unsigned type)
{
	e->eax = shift;
	e->ebx = cpus;
	e->ecx = type << 8 | e->subleaf;
}

void x86_cpuid_set_cpus(struct hc_vm *vm, unsigned cpus)
{
	struct x86_vm *x = x86_vm_of(vm);
	struct x86_cpuid_entry *e = find(x, 1, 0);

	/* EBX 23:16 means something only with HTT (EDX bit 28). */
	e->ebx = (e->ebx & ~0x00ff0000u) | B(bits_for(cpus)) << 16;
	e->edx = cpus > 1 ? e->edx | B(28) : e->edx & ~B(28);
	set_level(find(x, 0xb, 0), 0, 1, 1);
	set_level(find(x, 0xb, 1), bits_for(cpus), cpus, 2);
	for (unsigned i = 0; i < 4; i++) {
		set_cache_sharing(entry_or_null(x, 4, i), cpus, true);
		set_cache_sharing(entry_or_null(x, 0x8000001d, i), cpus, false);
	}
	if (!is_amd(x))
		return;
	/* CmpLegacy; cores less one, and the bits of an APIC ID that tell them apart. */
	e = find(x, 0x80000001, 0);
	e->ecx = cpus > 1 ? e->ecx | B(1) : e->ecx & ~B(1);
	find(x, 0x80000008, 0)->ecx = (cpus - 1) | bits_for(cpus) << 12;
}

/* --- On use --- */

/* A local APIC that is off is not there (SDM Vol. 3A 10.4.3; APM Vol. 3 appendix E, in both
 * leaves). */
static void hide_apic(struct hc_vcpu *vcpu, uint32_t regs[4])
{
	if (!(atomic_load(&x86_vcpu_of(vcpu)->apic.base) & X86_APIC_BASE_EN))
		regs[EDX] &= ~B(9);
}

/* Parts that depend on the vCPU or its registers. */
static void fill_in(struct hc_vcpu *vcpu, const struct x86_cpuid_entry *e, uint32_t subleaf,
                    uint32_t regs[4])
{
	const struct x86_state *s = x86_state_of(vcpu);

	switch (e->leaf) {
	case 0x1:
		hc_vcpu_need(vcpu, X86_G_CR);
		regs[EBX] |= vcpu->id << 24;
		regs[ECX] |= s->cr4 & X86_CR4_OSXSAVE ? B(27) : 0;
		hide_apic(vcpu, regs);
		break;
	case 0xb: regs[EDX] = vcpu->id; break;
	case 0xd:
		if (subleaf > 1 || !x86_vm_of(vcpu->vm)->xcr0_mask)
			break;
		hc_vcpu_need(vcpu, X86_G_FPU);
		if (subleaf == 0)
			regs[EBX] = x86_xsave_size(vcpu->vm, s->xcr0);
		else if (regs[EAX] & (B(1) | B(3)))
			regs[EBX] = compacted_size(x86_vm_of(vcpu->vm), s->xcr0);
		break;
	case 0x80000001: hide_apic(vcpu, regs); break;
	case 0x8000001e:
		regs[EAX] = vcpu->id;
		regs[EBX] = vcpu->id;
		break;
	default: break;
	}
}

void x86_cpuid(struct hc_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	struct x86_vm *x = x86_vm_of(vcpu->vm);
	const struct x86_cpuid_entry *e = find(x, leaf, subleaf);

	regs[EAX] = e->eax;
	regs[EBX] = e->ebx;
	regs[ECX] = e->ecx;
	regs[EDX] = e->edx;
	if (leaf == 0xb && e == &x->cpuid[0]) {
		/* Levels that are not there still tell their number and the x2APIC ID. */
		regs[ECX] = subleaf & 0xff;
		regs[EDX] = vcpu->id;
		return;
	}
	if (is_filled_in(e->leaf))
		fill_in(vcpu, e, subleaf, regs);
}

uint32_t x86_cpuid_signature(struct hc_vm *vm)
{
	return find(x86_vm_of(vm), 1, 0)->eax;
}
