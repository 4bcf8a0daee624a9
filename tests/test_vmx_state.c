/* SPDX-License-Identifier: BSD-2-Clause */
/* State groups: what set_state() takes is what the guest gets and get_state() gives back. */
#include <string.h>

#include "tests/model/vmx_rig.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_backend_tests.h"

#define ROUNDS 300

static uint64_t seed = 0x5eed;

static struct hc_vcpu *const vcpu = &rig_vcpus[0].vcpu;

/* A CPU that has unrestricted guests and no more than the backend needs. */
static const struct model_features *lean_cpu(void)
{
	static struct model_features f;

	f = rig_full;
	f.xsave = f.xsaves = f.rdtscp = f.invpcid = false;
	f.caps.cpu2 = (VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST) << 32;
	f.caps.cr4_fixed1 &= ~X86_CR4_OSXSAVE;
	return &f;
}

/* --- Random states that VM entry takes as they are --- */

static uint64_t random_below(uint64_t bound)
{
	return test_below(&seed, bound);
}

static bool coin(void)
{
	return random_below(2);
}

static void random_bytes(void *p, size_t n)
{
	for (uint8_t *b = p; n; b++, n--)
		*b = (uint8_t)(test_random(&seed) >> 32);
}

static uint64_t random_address(void)
{
	return (uint64_t)((int64_t)test_random(&seed) >> 17);
}

enum mode { REAL, V8086, PROTECTED, PAGED, PAE, COMPATIBILITY, LONG, MODES };

static void random_limit(struct x86_segment *s)
{
	if (coin()) {
		s->limit = (uint32_t)random_below(0x100000) << 12 | 0xfff;
		s->attr |= s->limit > 0xfffff || coin() ? X86_ATTR_G : 0;
	} else {
		s->limit = (uint32_t)random_below(0xfffff);
		s->attr |= (s->limit & 0xfff) == 0xfff && coin() ? X86_ATTR_G : 0;
	}
}

static void random_cs(struct x86_segment *s, enum mode mode, unsigned cpl)
{
	uint8_t type = (uint8_t)(9 + 2 * random_below(4));
	unsigned dpl = type & 4 ? (unsigned)random_below(cpl + 1) : cpl;
	bool l = mode == LONG, db = mode != LONG && coin();

	s->attr = (uint16_t)(X86_ATTR_P | X86_ATTR_S | type | dpl << 5 | (l ? X86_ATTR_L : 0u) |
	                     (db ? X86_ATTR_DB : 0u));
	/* Code of another privilege than its selector's there is in real mode only, where it is
	 * said to be data. */
	if (mode == REAL && (s->selector & 3 || coin()))
		s->attr = X86_ATTR_P | X86_ATTR_S | 3;
	if (mode != REAL)
		s->selector = (uint16_t)((s->selector & ~3u) | cpl);
}

static void random_data(struct x86_segment *s, unsigned seg, enum mode mode, unsigned cpl)
{
	static const uint8_t types[] = { 3, 7, 1, 5, 0xb, 0xf };
	unsigned type = types[random_below(seg == X86_SS ? 2 : HC_ARRAY_SIZE(types))];
	unsigned dpl = seg == X86_SS ? cpl : (unsigned)random_below(4);

	s->attr = (uint16_t)(X86_ATTR_S | type | dpl << 5 | random_below(8) << 8);
	if (random_below(4))
		s->attr |= X86_ATTR_P;
	if (mode != REAL)
		s->selector = (uint16_t)((s->selector & ~3u) |
		                         (seg == X86_SS ? cpl : random_below(dpl + 1)));
}

static void random_segment(struct x86_state *st, unsigned seg, enum mode mode)
{
	struct x86_segment *s = &st->seg[seg];
	bool system = seg == X86_LDTR || seg == X86_TR;

	s->selector = (uint16_t)(test_random(&seed) & (system ? 0xfffb : 0xffff));
	s->base = system || seg == X86_FS || seg == X86_GS ? random_address()
	                                                   : (uint32_t)test_random(&seed);
	if (seg == X86_CS)
		random_cs(s, mode, st->cpl);
	else if (seg == X86_LDTR)
		s->attr = coin() ? X86_ATTR_P | 2 : 2;
	else if (seg == X86_TR)
		s->attr = X86_ATTR_P | (mode < COMPATIBILITY && coin() ? 3 : 0xb);
	else
		random_data(s, seg, mode, st->cpl);
	random_limit(s);
	if (mode != V8086 || system)
		return;
	s->base = (uint64_t)s->selector << 4;
	s->limit = 0xffff;
	s->attr = 0xf3;
}

/* P, PWT, PCD, what is the software's, and an address. */
static void random_pdptes(struct x86_state *st)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(st->pdpte); i++) {
		st->pdpte[i] &= (HC_BIT(model_features.caps.phys_bits) - 1) & ~UINT64_C(0x1e6);
		if (coin())
			st->pdpte[i] = 0;
		else
			st->pdpte[i] |= 1;
	}
}

/* Paging is that of the mode; the rest of the bits anything. */
static void random_cr(struct x86_state *st, enum mode mode)
{
	const uint64_t paging = X86_CR0_PE | X86_CR0_PG;

	st->cr0 = (test_random(&seed) & 0xe005003e) & ~paging;
	st->cr4 = test_random(&seed) & rig_vm.cr4_mask & ~(X86_CR4_PAE | X86_CR4_PCIDE);
	st->efer &= X86_EFER_SCE | X86_EFER_NXE;
	st->cr3 &= HC_BIT(model_features.caps.phys_bits) - 1;
	if (mode != REAL)
		st->cr0 |= mode == PROTECTED ? X86_CR0_PE : paging;
	if (mode < PAGED && coin())
		st->efer |= X86_EFER_LME;
	if (mode == V8086)
		st->efer &= ~X86_EFER_LME;
	st->pdptes_loaded = mode == PAE;
	if (mode < PAE)
		return;
	st->cr4 |= X86_CR4_PAE;
	random_pdptes(st);
	if (mode == PAE)
		return;
	st->efer |= X86_EFER_LME | X86_EFER_LMA;
	st->cr4 |= test_random(&seed) & rig_vm.cr4_mask & X86_CR4_PCIDE;
}

static void random_core(struct x86_state *st, enum mode mode)
{
	st->rip = mode == LONG ? random_address() : (uint32_t)st->rip;
	st->rflags &= 0x3fffff & ~(UINT64_C(0x8028) | X86_FLAG_VM);
	st->rflags |= X86_FLAG_1 | (mode == V8086 ? X86_FLAG_VM : 0);
}

static void random_msrs(struct x86_state *st)
{
	st->dr6 = (uint32_t)st->dr6;
	st->dr7 = (uint32_t)st->dr7;
	st->gdtr.base = random_address();
	st->idtr.base = random_address();
	st->msr_lstar = random_address();
	st->msr_cstar = random_address();
	st->msr_sfmask = (uint32_t)st->msr_sfmask;
	st->msr_kernel_gs_base = random_address();
	st->msr_sysenter_cs = (uint32_t)st->msr_sysenter_cs;
	st->msr_sysenter_esp = random_address();
	st->msr_sysenter_eip = random_address();
	st->msr_pat = UINT64_C(0x0007010600050406);
	st->msr_debugctl &= 3;
	st->msr_tsc_aux = vmx_caps.rdtscp ? (uint32_t)st->msr_tsc_aux : 0;
}

static void random_fpu(struct x86_state *st)
{
	uint64_t xcr0 = x86_fpu_caps.xsave ? x86_fpu_caps.xcr0 : 1;

	st->xcr0 = xcr0;
	memset(st->xsave + 24, 0, 4);
	memset(st->xsave + 512, 0, 64);
	memcpy(st->xsave + 512, &xcr0, sizeof(xcr0));
	if (!x86_fpu_caps.xsave) {
		memset(st->xsave + 512, 0, X86_XSAVE_SIZE - 512);
		st->xsave[512] = 3;
	}
}

static void random_state(struct x86_state *st, enum mode mode, unsigned cpl)
{
	random_bytes(st, sizeof(*st));
	st->tsc_ratio = 0; /* not something that comes back */
	st->cpl = (uint8_t)(mode == REAL ? 0 : mode == V8086 ? 3 : cpl);
	random_core(st, mode);
	random_cr(st, mode);
	for (unsigned seg = 0; seg < X86_SEG_COUNT; seg++)
		random_segment(st, seg, mode);
	random_msrs(st);
	random_fpu(st);
	st->events = (struct x86_events){ .nmi_masked = coin() };
}

static enum mode random_mode(void)
{
	static const enum mode paged[] = { V8086, PAGED, PAE, COMPATIBILITY, LONG };

	return vmx_caps.unrestricted_guest ? (enum mode)random_below(MODES)
	                                   : paged[random_below(HC_ARRAY_SIZE(paged))];
}

/* What may be pending in such a state. An NMI that is to be delivered masks the next. */
static void random_events(struct x86_state *st)
{
	struct x86_event *e = &st->events.reinject;
	bool has_code = st->cr0 & X86_CR0_PE;

	switch (random_below(5)) {
	case 0: *e = (struct x86_event){ 1, X86_EVENT_EXCEPTION, X86_VEC_UD, 0, 0 }; break;
	case 1:
		*e = (struct x86_event){ 1, X86_EVENT_EXCEPTION, X86_VEC_PF, has_code,
			                 has_code ? (uint32_t)random_below(32) : 0 };
		break;
	case 2:
		*e = (struct x86_event){ 1, X86_EVENT_NMI, X86_VEC_NMI, 0, 0 };
		st->events.nmi_masked = 1;
		return;
	case 3:
		*e = (struct x86_event){ 1, X86_EVENT_INTR, (uint8_t)st->rip, 0, 0 };
		st->rflags |= X86_FLAG_IF;
		return;
	default: break;
	}
	st->events.interrupt_shadow = coin();
}

/* --- Round trips --- */

/* The neutral state is forgotten, but for what is there while the vCPU is not in the guest. */
static void get_it_back(const struct x86_state *want)
{
	struct x86_state *st = rig_state(0);

	random_bytes(st, sizeof(*st));
	memcpy(st->gpr, want->gpr, sizeof(st->gpr));
	if (!x86_fpu_caps.xsave)
		memset(st->xsave + 512, 0, sizeof(st->xsave) - 512);
	st->msr_tsc_aux = vmx_caps.rdtscp ? st->msr_tsc_aux : 0;
	vmx_backend.get_state(vcpu, X86_G_ALL);
	rig_assert_same_state(st, want);
}

static void move_to_some_cpu(void)
{
	rig_put(0);
	rig_load(0, (unsigned)random_below(TEST_CPUS));
}

static void round_trip(bool move)
{
	static struct x86_state want;
	struct x86_state *st = rig_state(0);

	random_state(st, random_mode(), (unsigned)random_below(4));
	random_events(st);
	want = *st;
	vcpu->valid = X86_G_ALL;
	vcpu->dirty = 0;
	vmx_backend.set_state(vcpu, X86_G_ALL);
	if (move)
		move_to_some_cpu();
	get_it_back(&want);
}

static void round_trips(const struct model_features *features)
{
	rig_start(features);
	for (unsigned i = 0; i < test_rounds(ROUNDS); i++)
		round_trip(i % 3 == 0);
	rig_stop();
}

static void test_round_trip(void **state)
{
	round_trips(&rig_plain);
	round_trips(lean_cpu());
	round_trips(&rig_full);
}

/* What was put while it was not loaded is written by the next run. */
static void test_set_while_put(void **state)
{
	static struct x86_state want;

	rig_start(&rig_full);
	rig_put(0);
	random_state(rig_state(0), LONG, 0);
	want = *rig_state(0);
	vmx_backend.set_state(vcpu, X86_G_ALL);
	vmx_backend.get_state(vcpu, X86_G_ALL);
	rig_assert_same_state(rig_state(0), &want);
	rig_load(0, 1);
	assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
	get_it_back(&want);
	rig_stop();
}

/* Through the guest and back, over several CPUs. */
static void through_the_guest(const struct model_features *features)
{
	static struct x86_state want;

	rig_start(features);
	for (unsigned i = 0; i < test_rounds(ROUNDS); i++) {
		random_state(rig_state(0), random_mode(), (unsigned)random_below(4));
		want = *rig_state(0);
		vcpu->valid = vcpu->dirty = X86_G_ALL;
		assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
		move_to_some_cpu();
		assert_int_equal(vcpu->valid, X86_G_ALL);
		rig_assert_same_state(rig_state(0), &want);
		assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
		hc_vcpu_need(vcpu, X86_G_ALL);
		rig_assert_same_state(rig_state(0), &want);
	}
	rig_stop();
}

static void test_through_the_guest(void **state)
{
	through_the_guest(&rig_plain);
	through_the_guest(lean_cpu());
	through_the_guest(&rig_full);
}

#define TAKE(to, from, first, last)                                                                \
	memcpy(&(to)->first, &(from)->first,                                                       \
	       offsetof(struct x86_state, last) + sizeof((to)->last) -                             \
	               offsetof(struct x86_state, first))

static void take_segments(struct x86_state *to, const struct x86_state *from, bool cs)
{
	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		if ((i == X86_CS) == cs)
			to->seg[i] = from->seg[i];
	}
}

static void take_group(struct x86_state *to, const struct x86_state *from, uint32_t group)
{
	switch (group) {
	case X86_G_CORE: TAKE(to, from, gpr, rflags); break;
	case X86_G_CR: TAKE(to, from, cr0, cpl); break;
	case X86_G_CS: take_segments(to, from, true); break;
	case X86_G_SEG: take_segments(to, from, false); break;
	case X86_G_DT: TAKE(to, from, gdtr, idtr); break;
	case X86_G_DR: TAKE(to, from, dr, dr7); break;
	case X86_G_MSR: TAKE(to, from, msr_star, tsc_offset); break;
	case X86_G_EVENT: to->events = from->events; break;
	default: TAKE(to, from, xcr0, xsave); break;
	}
}

/* One group changes at a time, the others keep what they had; the groups that are not looked at
 * need not be there. */
static void test_each_group_alone(void **state)
{
	static struct x86_state want, other;

	rig_start(&rig_full);
	for (unsigned i = 0; i < 20 * 9; i++) {
		uint32_t group = 1u << i % 9;

		if (i % 9 == 0) {
			random_state(&want, LONG, i / 9 % 4);
			*rig_state(0) = want;
			hc_vcpu_dirty(vcpu, X86_G_ALL);
			rig_run_script(0, rig_one_exit);
		}
		random_state(&other, LONG, i / 9 % 4);
		take_group(&want, &other, group);
		hc_vcpu_need(vcpu, group);
		take_group(rig_state(0), &other, group);
		hc_vcpu_dirty(vcpu, group);
		assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
		hc_vcpu_need(vcpu, X86_G_ALL);
		rig_assert_same_state(rig_state(0), &want);
		assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
	}
	rig_stop();
}

/* --- What VM entries do not switch --- */

static void guest_writes(uint64_t *gpr)
{
	struct model_cpu *c = model_this();

	c->x86.dr[3] = 0xd3;
	c->dr6 = 0xffff4ff1;
	c->cr2 = 0xc2;
	c->star = 0x57a5;
	c->lstar = 0x15a5;
	c->cstar = 0xc5a5;
	c->sfmask = 0x700;
	c->kernel_gs = 0x65;
	c->tsc_aux = 7;
	c->x86.fpu[100] = 0x77;
	c->x86.xcr0 = 7;
	gpr[X86_R9] = 9;
}

static const struct model_step writes[] = {
	{ .op = OP_CALL, .fn = guest_writes },
	{ .op = OP_EXIT, .reason = VMX_REASON_HLT, .len = 1 },
	{ .op = OP_END },
};

static void assert_guests_registers(const struct model_cpu *c)
{
	assert_int_equal(c->x86.dr[3], 0xd3);
	assert_int_equal(c->dr6, 0xffff4ff1);
	assert_int_equal(c->cr2, 0xc2);
	assert_int_equal(c->star, 0x57a5);
	assert_int_equal(c->lstar, 0x15a5);
	assert_int_equal(c->cstar, 0xc5a5);
	assert_int_equal(c->sfmask, 0x700);
	assert_int_equal(c->kernel_gs, 0x65);
	assert_int_equal(c->tsc_aux, 7);
	assert_int_equal(c->x86.fpu[100], 0x77);
	assert_int_equal(c->x86.xcr0, 7);
}

static void test_put_finds_the_guests_registers(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, writes);
	rig_put(0);
	assert_int_equal(rig_state(0)->dr[3], 0xd3);
	assert_int_equal(rig_state(0)->cr2, 0xc2);
	assert_int_equal(rig_state(0)->msr_lstar, 0x15a5);
	assert_int_equal(rig_state(0)->xsave[100], 0x77);
	assert_int_equal(rig_state(0)->gpr[X86_R9], 9);
	/* Another vCPU has the CPU meanwhile. */
	rig_load(1, 0);
	assert_int_equal(model_this()->x86.fpu[100], 0);
	assert_int_equal(model_this()->x86.dr[3], 0);
	assert_int_equal(model_this()->cr2, 0);
	assert_int_equal(model_this()->lstar, 0);
	assert_int_equal(model_this()->x86.xcr0, 1);
	rig_put(1);
	rig_load(0, 2);
	assert_guests_registers(model_this());
	rig_stop();
}

/* put() does not overwrite what a handler changed and no entry has taken yet. */
static void test_put_keeps_what_is_dirty(void **state)
{
	rig_start(&rig_full);
	rig_run_script(0, writes);
	hc_vcpu_need(vcpu, X86_G_ALL);
	rig_state(0)->dr[3] = 1;
	rig_state(0)->msr_tsc_aux = 2;
	rig_state(0)->xsave[100] = 3;
	rig_state(0)->cr2 = 4;
	rig_state(0)->seg[X86_FS].base = 5;
	hc_vcpu_dirty(vcpu, X86_G_DR | X86_G_MSR | X86_G_FPU | X86_G_CR | X86_G_SEG);
	rig_put(0);
	rig_load(0, 1);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(model_this()->x86.dr[3], 1);
	assert_int_equal(model_this()->tsc_aux, 2);
	assert_int_equal(model_this()->x86.fpu[100], 3);
	assert_int_equal(model_this()->cr2, 4);
	assert_int_equal(rig_get(0, VMCS_GUEST_FS_BASE), 5);
	rig_stop();
}

/* Nothing that a snapshot holds does worse than make VM entry refuse: the model complains of
 * WRMSR, MOV and XSETBV of what they fault on. */
static void test_hostile_state(void **state)
{
	unsigned refused = 0;

	rig_start(&rig_full);
	for (unsigned i = 0; i < 2000; i++) {
		char text[200];

		random_bytes(rig_state(0), sizeof(struct x86_state));
		if (i & 1) {
			rig_long_mode(rig_state(0));
			random_bytes(&rig_state(0)->events, sizeof(struct x86_events));
		}
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		model_clear_deliveries();
		struct hc_exit exit = rig_run_script(0, rig_one_exit);

		rig_no_complaint();
		if (i % 64 == 0)
			move_to_some_cpu();
		if (exit.reason != HC_EXIT_ENTRY_FAILED)
			continue;
		vmx_backend.explain(vcpu, &exit, text, sizeof(text));
		assert_non_null(model_refused_by);
		assert_non_null(strstr(text, model_refused_by->name));
		refused++;
	}
	assert_true(refused > 990);
	rig_stop();
}

/* --- Control registers --- */

/* What the CPU wants fixed the guest does not see; what is its own it changes without an exit. */
static void test_fixed_bits_are_hidden(void **state)
{
	const uint64_t cache_off = X86_CR0_CD | X86_CR0_NW;
	struct x86_state *st = rig_state(0);

	rig_start(&rig_full);
	st->cr0 = (st->cr0 & ~X86_CR0_NE) | cache_off;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(rig_get(0, VMCS_GUEST_CR0) & (cache_off | X86_CR0_NE), X86_CR0_NE);
	assert_true(rig_get(0, VMCS_GUEST_CR4) & HC_BIT(13));
	assert_int_equal(rig_get(0, VMCS_CR0_READ_SHADOW), st->cr0);
	hc_vcpu_need(vcpu, X86_G_CR);
	assert_int_equal(st->cr0 & (cache_off | X86_CR0_NE), cache_off);
	assert_false(st->cr4 & HC_BIT(13));
	rig_set(0, VMCS_GUEST_CR0, rig_get(0, VMCS_GUEST_CR0) | X86_CR0_TS);
	rig_set(0, VMCS_GUEST_CR4, rig_get(0, VMCS_GUEST_CR4) | X86_CR4_PGE);
	rig_run_script(0, rig_one_exit);
	hc_vcpu_need(vcpu, X86_G_CR);
	assert_int_equal(st->cr0 & (cache_off | X86_CR0_NE | X86_CR0_TS), cache_off | X86_CR0_TS);
	assert_true(st->cr4 & X86_CR4_PGE);
	rig_stop();
}

/* Bits of CR4 that the VM's CPUID does not show: writes of them exit. */
static void test_hidden_features_are_masked(void **state)
{
	rig_start(&rig_full);
	assert_int_equal(rig_get(0, VMCS_CR4_GUEST_HOST_MASK), ~rig_vm.cr4_mask | HC_BIT(13));
	assert_true(rig_get(0, VMCS_CR0_GUEST_HOST_MASK) & X86_CR0_NE);
	assert_false(rig_get(0, VMCS_CR0_GUEST_HOST_MASK) & (X86_CR0_PG | X86_CR0_TS | X86_CR0_WP));
	rig_stop();
}

/* The guest turns paging on and off, and with it LMA, without an exit. */
static void test_long_mode_is_followed(void **state)
{
	struct x86_state *st = rig_state(0);

	rig_start(&rig_full);
	random_state(st, PROTECTED, 0);
	st->efer = X86_EFER_LME;
	st->cr4 |= X86_CR4_PAE;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	rig_run_script(0, rig_one_exit);
	assert_false(rig_get(0, VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E);
	rig_set(0, VMCS_GUEST_CR0, rig_get(0, VMCS_GUEST_CR0) | X86_CR0_PG);
	rig_set(0, VMCS_GUEST_IA32_EFER, X86_EFER_LME | X86_EFER_LMA);
	rig_set(0, VMCS_ENTRY_CONTROLS, rig_get(0, VMCS_ENTRY_CONTROLS) | VMX_ENTRY_IA32E);
	rig_run_script(0, rig_one_exit);
	hc_vcpu_need(vcpu, X86_G_CR);
	assert_int_equal(st->efer, X86_EFER_LME | X86_EFER_LMA);
	/* And off again, by a write that did exit. */
	st->cr0 &= ~X86_CR0_PG;
	st->efer = X86_EFER_LME;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
	assert_false(rig_get(0, VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E);
	rig_stop();
}

/* Writing back what was there, with another CR2, costs no translations; the model sees to it that
 * any other value does. */
static void test_translations_are_kept(void **state)
{
	rig_start(&rig_full);
	struct vmx_vcpu *vv = vmx_vcpu_of(vcpu);

	rig_run_script(0, rig_one_exit);
	uint64_t generation = vv->vpid_generation, vpid = rig_get(0, VMCS_VPID);

	hc_vcpu_need(vcpu, X86_G_CR);
	rig_state(0)->cr2 = 0x1234;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(vv->vpid_generation, generation);
	assert_int_equal(rig_get(0, VMCS_VPID), vpid);
	rig_state(0)->cr3 ^= 0x1000;
	hc_vcpu_dirty(vcpu, X86_G_CR);
	rig_run_script(0, rig_one_exit);
	assert_int_not_equal(rig_get(0, VMCS_VPID), vpid);
	/* The guest changed its tables on another backend, and goes on with the same CR3. */
	vpid = rig_get(0, VMCS_VPID);
	hc_vcpu_need(vcpu, X86_G_ALL);
	rig_put(0);
	vcpu->dirty = ~UINT32_C(0);
	rig_load(0, 0);
	rig_run_script(0, rig_one_exit);
	assert_int_not_equal(rig_get(0, VMCS_VPID), vpid);
	rig_stop();
}

/* --- PAE paging --- */

static _Alignas(4096) uint64_t tables[512];

static void enter_pae(uint64_t cr3)
{
	random_state(rig_state(0), PAE, 0);
	rig_state(0)->cr3 = cr3;
	rig_state(0)->pdptes_loaded = 0;
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
}

static void test_pdptes_come_from_memory(void **state)
{
	rig_start(&rig_full);
	rig_vm.vm.memory.slots[0] = (struct hc_slot){ .gpa = 0x6000,
		                                      .size = sizeof(tables),
		                                      .host = (uint8_t *)tables };
	rig_vm.vm.memory.count = 1;
	/* Not one that is present with reserved bits. */
	tables[4] = 0x7001;
	tables[5] = 0x8000;
	tables[6] = 0x9001 | HC_BIT(1);
	tables[7] = 0xa001 | HC_BIT(60);
	enter_pae(0x6020);
	assert_int_equal(rig_get(0, VMCS_GUEST_PDPTE0), 0x7001);
	for (unsigned i = 1; i < 4; i++)
		assert_false(rig_get(0, VMCS_GUEST_PDPTE0 + 2 * i) & 1);
	/* A table that ends beyond RAM is none. */
	enter_pae(0x7000);
	assert_int_equal(rig_get(0, VMCS_GUEST_PDPTE0), 0);
	rig_vm.vm.memory.count = 0;
	rig_stop();
}

/* Registers are not what memory holds; entry refuses reserved bits there, too. */
static void test_pdptes_are_registers(void **state)
{
	const uint64_t pdptes[] = { 0x7001, 0, 0x9001 | HC_BIT(2), 0xa001 | HC_BIT(59) };

	rig_start(&rig_full);
	random_state(rig_state(0), PAE, 0);
	memcpy(rig_state(0)->pdpte, pdptes, sizeof(pdptes));
	hc_vcpu_dirty(vcpu, X86_G_ALL);
	assert_int_equal(rig_run_script(0, rig_one_exit).reason, HC_EXIT_HALT);
	assert_int_equal(rig_get(0, VMCS_GUEST_PDPTE0), 0x7001);
	for (unsigned i = 1; i < 4; i++)
		assert_false(rig_get(0, VMCS_GUEST_PDPTE0 + 2 * i) & 1);
	/* The guest has loaded others. */
	rig_set(0, VMCS_GUEST_PDPTE1, 0xc001);
	hc_vcpu_need(vcpu, X86_G_CR);
	assert_int_equal(rig_state(0)->pdpte[1], 0xc001);
	hc_vcpu_dirty(vcpu, X86_G_CR);
	rig_run_script(0, rig_one_exit);
	assert_int_equal(rig_get(0, VMCS_GUEST_PDPTE1), 0xc001);
	rig_stop();
}

/* --- What other CPUs leave, and VM entry would not take --- */

static void not_accessed(struct x86_state *st)
{
	for (unsigned seg = X86_ES; seg <= X86_GS; seg++)
		st->seg[seg].attr &= (uint16_t)~1u;
}

static void bytes_as_pages(struct x86_state *st)
{
	for (unsigned seg = 0; seg < X86_SEG_COUNT; seg++) {
		st->seg[seg].limit = 0x1234;
		st->seg[seg].attr |= X86_ATTR_G;
	}
}

static void pages_as_bytes(struct x86_state *st)
{
	for (unsigned seg = 0; seg < X86_SEG_COUNT; seg++) {
		st->seg[seg].limit = 0xffffffff;
		st->seg[seg].attr &= (uint16_t)~X86_ATTR_G;
	}
}

static void high_attributes(struct x86_state *st)
{
	for (unsigned seg = 0; seg < X86_SEG_COUNT; seg++)
		st->seg[seg].attr |= 0xf000;
}

static void tss_not_busy(struct x86_state *st)
{
	st->seg[X86_TR].attr &= (uint16_t)~X86_ATTR_TSS_BUSY;
}

static void tss_of_16_bits(struct x86_state *st)
{
	st->seg[X86_TR].attr = X86_ATTR_P | 3;
}

/* SYSRET of AMD's leaves SS as it was. */
static void other_ss_dpl(struct x86_state *st)
{
	st->seg[X86_SS].attr ^= 0x60;
}

static void v8086_hidden_parts(struct x86_state *st)
{
	random_state(st, V8086, 3);
	for (unsigned seg = X86_ES; seg <= X86_GS; seg++) {
		st->seg[seg].attr = 0x93;
		st->seg[seg].limit = 0xffffffff;
	}
}

static void shadow_without_if(struct x86_state *st)
{
	st->events.interrupt_shadow = 1;
	st->rflags &= ~(uint64_t)X86_FLAG_IF;
}

static void shadow_with_tf(struct x86_state *st)
{
	st->events.interrupt_shadow = 1;
	st->rflags |= X86_FLAG_IF | X86_FLAG_TF;
	st->msr_debugctl = st->rip & 2;
}

static void interrupt_in_shadow(struct x86_state *st)
{
	st->events.reinject = (struct x86_event){ 1, X86_EVENT_INTR, 0x31, 0, 0 };
	st->events.interrupt_shadow = 1;
	st->rflags |= X86_FLAG_IF;
}

static void masked_nmi(struct x86_state *st)
{
	st->events.reinject = (struct x86_event){ 1, X86_EVENT_NMI, X86_VEC_NMI, 0, 0 };
	st->events.interrupt_shadow = 1;
	st->events.nmi_masked = 1;
}

static void error_code_in_real_mode(struct x86_state *st)
{
	random_state(st, REAL, 0);
	st->events.reinject = (struct x86_event){ 1, X86_EVENT_EXCEPTION, X86_VEC_GP, 1, 0 };
}

static void lacks_error_code(struct x86_state *st)
{
	st->events.reinject = (struct x86_event){ 1, X86_EVENT_EXCEPTION, X86_VEC_GP, 0, 0 };
}

static void excess_error_code(struct x86_state *st)
{
	st->events.reinject = (struct x86_event){ 1, X86_EVENT_EXCEPTION, X86_VEC_UD, 1, 5 };
}

static void software_interrupt(struct x86_state *st)
{
	st->events.reinject = (struct x86_event){ 1, X86_EVENT_SOFT_INT, 0x80, 0, 0 };
}

static void (*const tweaks[])(struct x86_state *st) = {
	not_accessed,
	bytes_as_pages,
	pages_as_bytes,
	high_attributes,
	tss_not_busy,
	tss_of_16_bits,
	other_ss_dpl,
	v8086_hidden_parts,
	shadow_without_if,
	shadow_with_tf,
	interrupt_in_shadow,
	masked_nmi,
	error_code_in_real_mode,
	lacks_error_code,
	excess_error_code,
	software_interrupt,
};

static void test_what_others_leave(void **state)
{
	rig_start(&rig_full);
	for (unsigned i = 0; i < 8 * HC_ARRAY_SIZE(tweaks); i++) {
		random_state(rig_state(0), LONG, (unsigned)random_below(4));
		tweaks[i % HC_ARRAY_SIZE(tweaks)](rig_state(0));
		hc_vcpu_dirty(vcpu, X86_G_ALL);
		model_clear_deliveries();
		struct hc_exit exit = rig_run_script(0, rig_one_exit);

		if (exit.reason != HC_EXIT_HALT)
			fail_msg("tweak %zu: %s", i % HC_ARRAY_SIZE(tweaks),
			         model_refused_by->name);
	}
	rig_stop();
}

/* --- Access rights --- */

static void test_access_rights(void **state)
{
	for (unsigned attr = 0; attr < 0x1000; attr++) {
		const struct x86_segment s = { .attr = (uint16_t)attr };
		uint32_t rights = vmx_access_rights(&s);

		assert_int_equal(rights & 0xff, attr & 0xff);
		assert_int_equal(rights >> 12 & 0xf, attr >> 8);
		assert_int_equal(!(rights & VMX_AR_UNUSABLE), attr >> 7 & 1);
		assert_int_equal(vmx_segment_attr(rights), attr);
	}
	/* The CPU may leave P set in one that cannot be used. */
	assert_int_equal(vmx_segment_attr(0x10093), 0x13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_set_while_put),
		cmocka_unit_test(test_through_the_guest),
		cmocka_unit_test(test_each_group_alone),
		cmocka_unit_test(test_put_finds_the_guests_registers),
		cmocka_unit_test(test_put_keeps_what_is_dirty),
		cmocka_unit_test(test_hostile_fpu),
		cmocka_unit_test(test_tsc_factor),
		cmocka_unit_test(test_tsc_ratio),
		cmocka_unit_test(test_hostile_state),
		cmocka_unit_test(test_fixed_bits_are_hidden),
		cmocka_unit_test(test_hidden_features_are_masked),
		cmocka_unit_test(test_long_mode_is_followed),
		cmocka_unit_test(test_translations_are_kept),
		cmocka_unit_test(test_pdptes_come_from_memory),
		cmocka_unit_test(test_pdptes_are_registers),
		cmocka_unit_test(test_what_others_leave),
		cmocka_unit_test(test_access_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
