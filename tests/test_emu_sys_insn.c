/* SPDX-License-Identifier: BSD-2-Clause */
/* System instructions of the software CPU: flags, control and debug registers, ports, MSRs, fast
 * system calls, and what exits. */
#include <string.h>

#include "emu_sys_check.h"
#include "platform/platform.h"

/* --- RFLAGS --- */

/* SDM Vol. 2B, POPF, table 4-16: which bits change. */
static uint64_t model_popf(unsigned cpl, unsigned iopl, unsigned width)
{
	uint64_t mask = 0x4dd5; /* CF PF AF ZF SF TF DF OF NT */

	if (width > 2)
		mask |= 0x240000; /* AC ID */
	if (cpl <= iopl)
		mask |= 0x200;
	if (cpl == 0)
		mask |= 0x3000;
	return mask;
}

static void try_popf(unsigned cpl, unsigned iopl, bool wide, uint64_t image, uint64_t old)
{
	unsigned width = wide ? 4 : 2;
	uint64_t mask = model_popf(cpl, iopl, width);

	flat(32, cpl);
	rig.state.rflags = old = (old & 0x244dd5) | iopl << 12 | 2;
	rig_put(STACK, image, width);
	check_ok(wide ? DO(0x9d) : DO(0x66, 0x9d));
	assert_int_equal(rig.state.rflags, (old & ~mask) | (image & mask));
	assert_int_equal(rig.state.gpr[X86_RSP], STACK + width);
	check_ok(wide ? DO(0x9c) : DO(0x66, 0x9c));
	assert_int_equal(rig_get(STACK, width), rig.state.rflags & (wide ? 0xfcffffu : 0xffffu));
}

static void test_popf(void **state)
{
	uint64_t seed = 1;

	for (unsigned i = 0; i < 4 * 4 * 2 * 50; i++)
		try_popf(i & 3, i >> 2 & 3, i >> 4 & 1, test_random(&seed), test_random(&seed));
	for (unsigned iopl = 0; iopl < 4; iopl++) {
		vm86(iopl);
		rig_put(STACK, 0xffff, 2);
		if (iopl < 3) {
			check_gp(DO(0x9d));
			check_gp(DO(0x9c));
			check_gp(DO(0xfa));
			check_gp(DO(0xcd, 0x20));
			check_gp(DO(0xcf));
		} else {
			check_ok(DO(0x9d));
			assert_int_equal(rig.state.rflags, 0x27fd7);
		}
	}
}

static void test_cli_sti(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned cpl = i & 3, iopl = i >> 2;

		flat(64, cpl);
		rig.state.rflags |= iopl << 12;
		if (cpl > iopl) {
			check_gp(DO(0xfb));
			check_gp(DO(0xfa));
			continue;
		}
		check_ok(DO(0xfb));
		assert_true(rig.state.rflags & X86_FLAG_IF);
		assert_int_equal(rig.state.events.interrupt_shadow, EMU_SHADOW_STI);
		rig.state.events.interrupt_shadow = 0;
		check_ok(DO(0xfb)); /* no shadow if IF was set */
		assert_int_equal(rig.state.events.interrupt_shadow, 0);
		check_ok(DO(0xfa));
		assert_false(rig.state.rflags & X86_FLAG_IF);
	}
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		flat(64, cpl);
		if (cpl) {
			check_ud(DO(0x0f, 0x01, 0xcb));
			check_ud(DO(0x0f, 0x01, 0xca));
			continue;
		}
		check_ok(DO(0x0f, 0x01, 0xcb));
		assert_true(rig.state.rflags & X86_FLAG_AC);
		check_ok(DO(0x0f, 0x01, 0xca));
		assert_false(rig.state.rflags & X86_FLAG_AC);
	}
}

/* --- Control registers --- */

static void test_mov_cr(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned n = 0; n < 16; n++)
		for (unsigned cpl = 0; cpl < 4; cpl++) {
			uint8_t to[] = { n < 8 ? 0x48 : 0x4c, 0x0f, 0x22,
				         (uint8_t)(0xc3 | (n & 7) << 3) };
			uint8_t from[] = { to[0], 0x0f, 0x20, to[3] };
			bool exists = n == 0 || n == 2 || n == 3 || n == 4 || n == 8;

			flat(64, cpl);
			s->cr2 = 0x123456789a;
			s->gpr[X86_RBX] = 0x1122334455667788;
			if (!exists) {
				check_ud(rig_do(to, 4));
				check_ud(rig_do(from, 4));
			} else if (cpl) {
				check_gp(rig_do(to, 4));
				check_gp(rig_do(from, 4));
			} else if (n != 2) {
				check_exit(rig_do(to, 4), HC_EXIT_CR_WRITE, 4);
				assert_int_equal(rig.exit.u.cr.number, n);
				assert_int_equal(rig.exit.u.cr.value, 0x1122334455667788);
				check_ok(rig_do(from, 4));
				assert_int_equal(s->gpr[X86_RBX], n == 0   ? s->cr0
				                                  : n == 3 ? s->cr3
				                                  : n == 4 ? s->cr4
				                                           : 9);
			} else {
				check_ok(rig_do(to, 4));
				assert_int_equal(s->cr2, 0x1122334455667788);
			}
		}
	/* 32 bits outside of 64-bit mode. */
	flat(32, 0);
	s->gpr[X86_RBX] = 0x1122334455667788;
	check_exit(DO(0x0f, 0x22, 0xdb), HC_EXIT_CR_WRITE, 3);
	assert_int_equal(rig.exit.u.cr.value, 0x55667788);
}

static void test_machine_status_word(void **state)
{
	struct x86_state *s = &rig.state;

	flat(32, 0);
	s->gpr[X86_RAX] = 0xfff8; /* would clear PE */
	check_exit(DO(0x0f, 0x01, 0xf0), HC_EXIT_CR_WRITE, 3);
	assert_int_equal(rig.exit.u.cr.number, 0);
	assert_int_equal(rig.exit.u.cr.value, X86_CR0_PE | X86_CR0_ET | X86_CR0_TS);
	s->gpr[X86_RAX] = 0x0006;
	check_exit(DO(0x0f, 0x01, 0xf0), HC_EXIT_CR_WRITE, 3);
	assert_int_equal(rig.exit.u.cr.value, X86_CR0_PE | X86_CR0_ET | X86_CR0_EM | X86_CR0_MP);
	s->cr0 |= X86_CR0_TS | X86_CR0_WP;
	check_ok(DO(0x0f, 0x06));
	assert_false(s->cr0 & X86_CR0_TS);
	check_ok(DO(0x0f, 0x01, 0xe3)); /* SMSW EBX */
	assert_int_equal(s->gpr[X86_RBX], s->cr0);
	s->gpr[X86_RAX] = DATA;
	rig_put(DATA, 0xaaaaaaaa, 4);
	check_ok(DO(0x0f, 0x01, 0x20)); /* SMSW [EAX] */
	assert_int_equal(rig_get(DATA, 4), 0xaaaa0000 | (s->cr0 & 0xffff));
	flat(32, 3);
	check_gp(DO(0x0f, 0x06));
	check_gp(DO(0x0f, 0x01, 0xf0));
	check_ok(DO(0x0f, 0x01, 0xe3));
}

static void test_umip(void **state)
{
	static const uint8_t insn[][3] = {
		{ 0x0f, 0x01, 0x00 }, { 0x0f, 0x01, 0x08 }, { 0x0f, 0x00, 0x00 },
		{ 0x0f, 0x00, 0x08 }, { 0x0f, 0x01, 0x20 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(insn); i++)
		for (unsigned cpl = 0; cpl < 4; cpl++) {
			flat(64, cpl);
			check_ok(rig_do(insn[i], 3));
			rig.state.cr4 |= X86_CR4_UMIP;
			if (cpl)
				check_gp(rig_do(insn[i], 3));
			else
				check_ok(rig_do(insn[i], 3));
		}
}

static void test_xcr0(void **state)
{
	struct x86_state *s = &rig.state;

	flat(64, 0);
	check_ud(DO(0x0f, 0x01, 0xd0));
	check_ud(DO(0x0f, 0x01, 0xd1));
	s->cr4 |= X86_CR4_OSXSAVE;
	s->xcr0 = 0x700000007;
	s->gpr[X86_RCX] = 0;
	check_ok(DO(0x0f, 0x01, 0xd0));
	assert_int_equal(s->gpr[X86_RAX], 7);
	assert_int_equal(s->gpr[X86_RDX], 7);
	s->rip = CODE;
	check_exit(DO(0x0f, 0x01, 0xd1), HC_EXIT_XSETBV, 3);
	s->gpr[X86_RCX] = 2;
	check_gp(DO(0x0f, 0x01, 0xd0));
	s->cpl = 3;
	check_gp(DO(0x0f, 0x01, 0xd1));
}

static void test_invlpg(void **state)
{
	struct x86_state *s = &rig.state;

	flat(64, 0);
	s->seg[X86_GS].base = 0x10000;
	check_ok(DO(0x65, 0x0f, 0x01, 0x38)); /* INVLPG gs:[rax] */
	assert_int_equal(rig.flushed, 0x10000 + DATA);
	s->gpr[X86_RAX] = HC_BIT(47);
	check_ok(DO(0x0f, 0x01, 0x38));
	assert_int_equal(rig.flush_page, 1);
	flat(64, 3);
	check_gp(DO(0x0f, 0x01, 0x38));
}

/* SDM Vol. 2A, INVPCID */
static void test_invpcid(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned i = 0; i < 6 * 2 * 3 * 2; i++) {
		unsigned type = i % 6, pcid = i / 12 % 3;
		bool pcide = i / 6 % 2, canonical = i / 36;
		bool bad = type > 3 || (type < 2 && !pcide && pcid) || (type == 0 && !canonical);

		flat(64, 0);
		s->cr4 |= pcide ? X86_CR4_PCIDE : 0;
		s->cr3 = pcide ? 1 : 0x18;
		s->gpr[X86_RBX] = type;
		rig_put(DATA, pcid, 8);
		rig_put(DATA + 8, canonical ? 0x7000 : HC_BIT(60), 8);
		if (bad) {
			check_gp(DO(0x66, 0x0f, 0x38, 0x82, 0x18));
			continue;
		}
		check_ok(DO(0x66, 0x0f, 0x38, 0x82, 0x18));
		assert_int_equal(rig.flush_page, type == 0);
		assert_int_equal(rig.flush_context, type == 1 && pcid == (pcide ? 1 : 0));
		assert_int_equal(rig.flush_page + rig.flush_context + rig.flush_all, 1);
	}
	rig_put(DATA, HC_BIT(12), 8);
	s->gpr[X86_RBX] = 2;
	check_gp(DO(0x66, 0x0f, 0x38, 0x82, 0x18));
}

/* --- Debug registers --- */

static void test_mov_dr(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned n = 0; n < 16; n++)
		for (unsigned i = 0; i < 8; i++) {
			uint8_t to[] = { n < 8 ? 0x48 : 0x4c, 0x0f, 0x23,
				         (uint8_t)(0xc3 | (n & 7) << 3) };
			uint8_t from[] = { to[0], 0x0f, 0x21, to[3] };
			bool de = i & 1, gd = i & 4;
			unsigned cpl = i & 2 ? 3 : 0, real = n == 4 ? 6 : n == 5 ? 7 : n;

			flat(64, cpl);
			s->cr4 |= de ? X86_CR4_DE : 0;
			s->dr7 |= gd ? EMU_DR7_GD : 0;
			s->gpr[X86_RBX] = 0xffffdfff; /* not GD */
			if (n > 7 || (de && (n == 4 || n == 5))) {
				check_ud(rig_do(to, 4));
				check_ud(rig_do(from, 4));
			} else if (cpl) {
				check_gp(rig_do(to, 4));
			} else if (gd) {
				check_raised(rig_do(to, 4), X86_VEC_DB, 0);
				assert_true(s->dr6 & EMU_DR6_BD);
				check_raised(rig_do(from, 4), X86_VEC_DB, 0);
			} else {
				check_ok(rig_do(to, 4));
				check_ok(rig_do(from, 4));
				assert_int_equal(s->gpr[X86_RBX], real == 6   ? 0xffffcfff
				                                  : real == 7 ? 0xffff07ff
				                                              : 0xffffdfff);
				s->gpr[X86_RBX] = HC_BIT(32);
				if (real >= 6)
					check_gp(rig_do(to, 4));
				else
					check_ok(rig_do(to, 4));
			}
		}
}

/* Byte by byte. */
static unsigned model_watch(const struct x86_state *s, uint64_t va, unsigned size, bool write)
{
	unsigned hits = 0;

	for (unsigned n = 0; n < 4; n++) {
		unsigned rw = s->dr7 >> (16 + 4 * n) & 3, len = s->dr7 >> (18 + 4 * n) & 3;
		unsigned bytes = len == 2 ? 8 : len + 1;

		if (!(s->dr7 >> (2 * n) & 3) || !(rw == 3 || (rw == 1 && write)))
			continue;
		for (unsigned i = 0; i < size; i++)
			if ((va + i) / bytes == s->dr[n] / bytes)
				hits |= 1u << n;
	}
	return hits;
}

static void test_data_breakpoints(void **state)
{
	uint64_t seed = 3;

	flat(64, 0);
	for (unsigned i = 0; i < 20000; i++) {
		bool write = test_random(&seed) & 1;
		uint64_t va = 0xff0 + test_below(&seed, 0x20);
		unsigned size = 1 + (unsigned)test_below(&seed, 16), hits;

		rig.state.dr7 = test_random(&seed) & 0xffff00ff;
		for (unsigned n = 0; n < 4; n++)
			rig.state.dr[n] = 0xff0 + test_below(&seed, 0x20);
		rig_cpu.watch_hits = 0;
		hits = model_watch(&rig.state, va, size, write);
		assert_int_equal(emu_watch_hit(&rig_cpu, va, size, write ? EMU_WRITE : EMU_READ),
		                 hits);
		assert_int_equal(rig_cpu.watch_hits, hits);
		/* No page that is hit is called unwatched. */
		if (hits)
			assert_true(emu_watched_page(&rig_cpu, va) ||
			            emu_watched_page(&rig_cpu, va + size - 1));
	}
}

static void test_debug_events(void **state)
{
	struct x86_state *s = &rig.state;
	struct x86_fault fault;

	/* A single step, also together with a data breakpoint. */
	flat(64, 0);
	assert_false(emu_debug_after(&rig_cpu, 2, &fault));
	assert_true(emu_debug_after(&rig_cpu, X86_FLAG_TF, &fault));
	assert_int_equal(fault.vector, X86_VEC_DB);
	assert_int_equal(s->dr6, 0xffff0ff0 | EMU_DR6_BS);
	s->dr6 = 0xffff0ff0;
	rig_cpu.watch_hits = 5;
	assert_true(emu_debug_after(&rig_cpu, X86_FLAG_TF, &fault));
	assert_int_equal(s->dr6, 0xffff0ff5 | EMU_DR6_BS);
	assert_int_equal(rig_cpu.watch_hits, 0);
	/* MOV SS holds them off, and loses the step. */
	rig_cpu.watch_hits = 2;
	s->events.interrupt_shadow = EMU_SHADOW_MOV_SS;
	assert_false(emu_debug_after(&rig_cpu, X86_FLAG_TF, &fault));
	s->events.interrupt_shadow = 0;
	s->dr6 = 0xffff0ff0;
	assert_true(emu_debug_after(&rig_cpu, 2, &fault));
	assert_int_equal(s->dr6, 0xffff0ff2);
	/* INT n leaves none. */
	rig_cpu.no_step = true;
	assert_false(emu_debug_after(&rig_cpu, X86_FLAG_TF, &fault));
	assert_true(emu_debug_after(&rig_cpu, X86_FLAG_TF, &fault));
	/* Instructions. */
	s->dr6 = 0xffff0ff0;
	s->dr[2] = CODE;
	s->dr7 = 0x400;
	assert_false(emu_debug_before(&rig_cpu, &fault));
	s->dr7 |= 1 << 4;
	assert_true(emu_debug_before(&rig_cpu, &fault));
	assert_int_equal(s->dr6, 0xffff0ff4);
	s->rflags |= X86_FLAG_RF;
	assert_false(emu_debug_before(&rig_cpu, &fault));
	assert_false(emu_debug_after(&rig_cpu, s->rflags, &fault));
	assert_false(s->rflags & X86_FLAG_RF);
	s->dr7 |= 1 << 24; /* of writes */
	assert_false(emu_debug_before(&rig_cpu, &fault));
}

/* --- Ports --- */

/* SDM Vol. 1 18.5.2, bit by bit. */
static bool model_port(unsigned cpl, unsigned iopl, bool is_vm86, uint16_t port, unsigned width,
                       unsigned base, unsigned limit)
{
	if (!is_vm86 && cpl <= iopl)
		return true;
	if (base + port / 8u + 1 > limit)
		return false;
	for (unsigned i = port; i < port + width; i++)
		if (rig.memory[TSS + base + i / 8] >> i % 8 & 1)
			return false;
	return true;
}

static void try_port(uint64_t *seed)
{
	unsigned cpl = test_below(seed, 4) & 3, iopl = test_below(seed, 4) & 3;
	bool is_vm86 = test_below(seed, 4) == 0, wide = test_random(seed) & 1;
	bool write = test_random(seed) & 1, allowed;
	uint16_t port = (uint16_t)test_below(seed, 0x120);
	unsigned width = wide ? 4 : 1, base = 0x68 + (unsigned)test_below(seed, 3);
	const uint8_t insn[] = { 0x66, (uint8_t)(0xec | wide | write << 1) };
	unsigned prefix = is_vm86 && wide ? 1 : 0; /* 32 bits in 16-bit code */
	enum rig_result r;

	if (is_vm86)
		vm86(iopl);
	else
		flat(32, cpl);
	rig.state.rflags = (rig.state.rflags & ~0x3000ull) | iopl << 12;
	rig.state.seg[X86_TR].limit = 0x66 + (unsigned)test_below(seed, 0x30);
	for (unsigned i = 0; i < 0x40; i++)
		*rig_bytes(TSS + base + i, 1) =
			test_random(seed) & 3 ? 0 : (uint8_t)test_random(seed);
	rig_put(TSS + 0x66, base, 2);
	rig.state.gpr[X86_RDX] = port;
	allowed = model_port(rig.state.cpl, iopl, is_vm86, port, width, base,
	                     rig.state.seg[X86_TR].limit);
	r = rig_do(insn + 1 - prefix, 1 + prefix);
	if (!allowed) {
		check_gp(r);
		return;
	}
	check_exit(r, HC_EXIT_IO, 1 + prefix);
	assert_int_equal(rig.exit.u.io.port, port);
	assert_int_equal(rig.exit.u.io.width, width);
	assert_int_equal(rig.exit.u.io.write, write);
	assert_int_equal(rig.exit.u.io.string, 0);
}

static void test_ports(void **state)
{
	uint64_t seed = 5;

	for (unsigned i = 0; i < 10000; i++)
		try_port(&seed);
	flat(64, 0);
	check_exit(DO(0xe6, 0x80), HC_EXIT_IO, 2); /* OUT 80h, AL */
	assert_int_equal(rig.exit.u.io.port, 0x80);
}

static void test_string_ports(void **state)
{
	struct x86_state *s = &rig.state;

	flat(64, 0);
	s->gpr[X86_RDX] = 0x3f8;
	s->gpr[X86_RCX] = HC_BIT(32) | 7;
	check_exit(DO(0x64, 0x67, 0xf3, 0x6f), HC_EXIT_IO, 4);
	assert_int_equal(rig.exit.u.io.string, 1);
	assert_int_equal(rig.exit.u.io.rep, 1);
	assert_int_equal(rig.exit.u.io.write, 1);
	assert_int_equal(rig.exit.u.io.segment, X86_FS);
	assert_int_equal(rig.exit.u.io.addr_size, 4);
	assert_int_equal(rig.exit.u.io.width, 4);
	check_exit(DO(0x64, 0x6c), HC_EXIT_IO, 2);
	assert_int_equal(rig.exit.u.io.segment, X86_ES);
	assert_int_equal(rig.exit.u.io.rep, 0);
	/* No element: nothing happens. */
	s->gpr[X86_RCX] = HC_BIT(32);
	check_ok(DO(0x67, 0xf3, 0x6c));
	assert_int_equal(s->rip, CODE + 3);
}

/* --- MSRs, time --- */

static void test_base_msrs(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t *base = i == 0   ? &s->seg[X86_FS].base
		                 : i == 1 ? &s->seg[X86_GS].base
		                          : &s->msr_kernel_gs_base;

		flat(64, 0);
		s->gpr[X86_RCX] = 0xc0000100 + i;
		s->gpr[X86_RAX] = 0xdddddddd12345678;
		s->gpr[X86_RDX] = 0xdddddddd00007fff;
		check_ok(DO(0x0f, 0x30));
		assert_int_equal(*base, 0x7fff12345678);
		check_ok(DO(0x0f, 0x32));
		assert_int_equal(s->gpr[X86_RAX], 0x12345678);
		assert_int_equal(s->gpr[X86_RDX], 0x7fff);
		s->gpr[X86_RDX] = 0x8000;
		check_gp(DO(0x0f, 0x30));
		s->cpl = 3;
		check_gp(DO(0x0f, 0x30));
		check_gp(DO(0x0f, 0x32));
	}
	flat(64, 0);
	s->gpr[X86_RCX] = 0x10;
	check_exit(DO(0x0f, 0x30), HC_EXIT_MSR_WRITE, 2);
	check_exit(DO(0x0f, 0x32), HC_EXIT_MSR_READ, 2);
	s->seg[X86_GS].base = 1;
	s->msr_kernel_gs_base = 2;
	check_ok(DO(0x0f, 0x01, 0xf8));
	assert_int_equal(s->seg[X86_GS].base, 2);
	assert_int_equal(s->msr_kernel_gs_base, 1);
	s->cpl = 3;
	check_gp(DO(0x0f, 0x01, 0xf8));
}

static void test_fsgsbase(void **state)
{
	struct x86_state *s = &rig.state;

	flat(64, 3);
	check_ud(DO(0xf3, 0x48, 0x0f, 0xae, 0xd3)); /* WRFSBASE RBX */
	s->cr4 |= X86_CR4_FSGSBASE;
	s->gpr[X86_RBX] = 0x7fff12345678;
	check_ok(DO(0xf3, 0x48, 0x0f, 0xae, 0xd3));
	assert_int_equal(s->seg[X86_FS].base, 0x7fff12345678);
	check_ok(DO(0xf3, 0x0f, 0xae, 0xdb)); /* WRGSBASE EBX */
	assert_int_equal(s->seg[X86_GS].base, 0x12345678);
	check_ok(DO(0xf3, 0x48, 0x0f, 0xae, 0xc1)); /* RDFSBASE RCX */
	assert_int_equal(s->gpr[X86_RCX], 0x7fff12345678);
	check_ok(DO(0xf3, 0x0f, 0xae, 0xc1));
	assert_int_equal(s->gpr[X86_RCX], 0x12345678);
	s->gpr[X86_RBX] = HC_BIT(47);
	check_gp(DO(0xf3, 0x48, 0x0f, 0xae, 0xd3));
}

static void test_tsc(void **state)
{
	struct x86_state *s = &rig.state;
	uint64_t first, second;

	flat(64, 3);
	s->tsc_offset = 0x100000000;
	check_ok(DO(0x0f, 0x31));
	first = s->gpr[X86_RDX] << 32 | s->gpr[X86_RAX];
	s->msr_tsc_aux = 0x55;
	check_ok(DO(0x0f, 0x01, 0xf9));
	second = s->gpr[X86_RDX] << 32 | s->gpr[X86_RAX];
	assert_true(first >= 0x100000000 && second >= first);
	assert_int_equal(s->gpr[X86_RCX], 0x55);
	/* At a quarter of the rate, and from another start. */
	first = hc_platform_cycles();
	s->tsc_ratio = HC_BIT(46);
	s->tsc_offset = 0 - first / 4;
	check_ok(DO(0x0f, 0x31));
	second = (hc_platform_cycles() - first) / 4 + 1;
	assert_in_range(s->gpr[X86_RDX] << 32 | s->gpr[X86_RAX], 0, second);
	s->tsc_ratio = 0;
	s->tsc_offset = 0;
	check_ok(DO(0xf3, 0x0f, 0xc7, 0xfb));
	assert_int_equal(s->gpr[X86_RBX], 0x55);
	s->cr4 |= X86_CR4_TSD;
	check_gp(DO(0x0f, 0x31));
	check_gp(DO(0x0f, 0x01, 0xf9));
	s->cpl = 0;
	check_ok(DO(0x0f, 0x31));
	check_gp(DO(0x0f, 0x33));
}

/* --- SYSCALL, SYSENTER and back --- */

static void check_flat(unsigned seg, unsigned selector, unsigned attr)
{
	assert_int_equal(rig.state.seg[seg].selector, selector);
	assert_int_equal(rig.state.seg[seg].attr, attr);
	assert_int_equal(rig.state.seg[seg].limit, UINT32_MAX);
	assert_int_equal(rig.state.seg[seg].base, 0);
}

static void test_syscall(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned bits = 32; bits <= 64; bits *= 2) {
		flat(bits, 3);
		s->efer = X86_EFER_LMA | X86_EFER_LME;
		check_ud(DO(0x0f, 0x05));
		s->efer |= X86_EFER_SCE;
		s->msr_star = 0x0023001000001234;
		s->msr_lstar = 0x5000;
		s->msr_cstar = 0x6000;
		s->msr_sfmask = X86_FLAG_TF | X86_FLAG_DF;
		s->rflags =
			0x2 | X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_CF | X86_FLAG_RF;
		check_ok(DO(0x0f, 0x05));
		assert_int_equal(s->gpr[X86_RCX], CODE + 2);
		assert_int_equal(s->gpr[X86_R11],
		                 0x2 | X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_CF);
		assert_int_equal(s->rflags, 0x2 | X86_FLAG_IF | X86_FLAG_CF);
		assert_int_equal(s->rip, bits == 64 ? 0x5000 : 0x6000);
		assert_int_equal(s->cpl, 0);
		assert_true(rig_cpu.no_step);
		check_flat(X86_CS, 0x10, 0xa9b);
		check_flat(X86_SS, 0x18, 0xc93);
		/* To 64-bit code, and to 32-bit code. */
		s->gpr[X86_R11] = 0xffffffff;
		s->gpr[X86_RCX] = HC_BIT(40) | 0x7000;
		if (bits == 64) {
			check_ok(DO(0x48, 0x0f, 0x07));
			assert_int_equal(s->rip, HC_BIT(40) | 0x7000);
			check_flat(X86_CS, 0x33, 0xafb);
		} else {
			check_ok(DO(0x0f, 0x07));
			assert_int_equal(s->rip, 0x7000);
			check_flat(X86_CS, 0x23, 0xcfb);
		}
		check_flat(X86_SS, 0x2b, 0xcf3);
		assert_int_equal(s->rflags, 0x3c7fd7);
		assert_int_equal(s->cpl, 3);
	}
	flat(64, 0);
	check_ud(DO(0x48, 0x0f, 0x07));
	s->efer |= X86_EFER_SCE;
	s->gpr[X86_RCX] = HC_BIT(47);
	check_gp(DO(0x48, 0x0f, 0x07));
	s->cpl = 3;
	check_gp(DO(0x0f, 0x07));
}

static void test_sysenter(void **state)
{
	struct x86_state *s = &rig.state;

	for (unsigned bits = 32; bits <= 64; bits *= 2) {
		bool is_64 = bits == 64;

		flat(bits, 3);
		check_gp(DO(0x0f, 0x34));
		s->msr_sysenter_cs = 0x13;
		s->msr_sysenter_eip = HC_BIT(40) | 0x5000;
		s->msr_sysenter_esp = HC_BIT(40) | 0x6000;
		s->rflags = 2 | X86_FLAG_IF | X86_FLAG_TF;
		check_ok(DO(0x0f, 0x34));
		assert_int_equal(s->rip, is_64 ? HC_BIT(40) | 0x5000 : 0x5000);
		assert_int_equal(s->gpr[X86_RSP], is_64 ? HC_BIT(40) | 0x6000 : 0x6000);
		assert_int_equal(s->rflags, 2 | X86_FLAG_TF);
		assert_int_equal(s->cpl, 0);
		check_flat(X86_CS, 0x10, is_64 ? 0xa9b : 0xc9b);
		check_flat(X86_SS, 0x18, 0xc93);
		s->rip = CODE;
		s->gpr[X86_RDX] = HC_BIT(40) | 0x7000;
		s->gpr[X86_RCX] = HC_BIT(40) | 0x7100;
		check_ok(DO(0x0f, 0x35));
		assert_int_equal(s->rip, 0x7000);
		assert_int_equal(s->gpr[X86_RSP], 0x7100);
		check_flat(X86_CS, 0x23, 0xcfb);
		check_flat(X86_SS, 0x2b, 0xcf3);
		assert_int_equal(s->cpl, 3);
		s->rip = CODE;
		check_gp(DO(0x0f, 0x35));
	}
	flat(64, 0);
	s->msr_sysenter_cs = 0x10;
	s->gpr[X86_RDX] = HC_BIT(40);
	check_ok(DO(0x48, 0x0f, 0x35));
	assert_int_equal(s->rip, HC_BIT(40));
	check_flat(X86_CS, 0x33, 0xafb);
	check_flat(X86_SS, 0x3b, 0xcf3);
	flat(64, 0);
	s->msr_sysenter_cs = 0x10;
	s->gpr[X86_RDX] = HC_BIT(47);
	check_gp(DO(0x48, 0x0f, 0x35));
}

/* --- What exits, and what does not exist --- */

static void test_exits(void **state)
{
	static const struct {
		uint8_t bytes[4];
		uint8_t length;
		bool privileged;
		enum hc_exit_reason reason;
	} row[] = {
		{ { 0x0f, 0xa2 }, 2, false, HC_EXIT_CPUID },
		{ { 0xf4 }, 1, true, HC_EXIT_HALT },
		{ { 0x0f, 0x01, 0xc1 }, 3, false, HC_EXIT_HYPERCALL },
		{ { 0x0f, 0x01, 0xd9 }, 3, false, HC_EXIT_HYPERCALL },
		{ { 0x0f, 0x08 }, 2, true, HC_EXIT_CACHE },
		{ { 0x0f, 0x09 }, 2, true, HC_EXIT_CACHE },
		{ { 0xf3, 0x0f, 0x09 }, 3, true, HC_EXIT_CACHE },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(row); i++)
		for (unsigned cpl = 0; cpl < 4; cpl++) {
			flat(64, cpl);
			rig.state.events.interrupt_shadow = EMU_SHADOW_STI;
			if (cpl && row[i].privileged)
				check_gp(rig_do(row[i].bytes, row[i].length));
			else
				check_exit(rig_do(row[i].bytes, row[i].length), row[i].reason,
				           row[i].length);
		}
}

static void test_undefined(void **state)
{
	static const uint8_t row[][4] = {
		{ 0x0f, 0x0b },       { 0x0f, 0xb9, 0xc0 }, { 0x0f, 0xff, 0xc0 },
		{ 0x0f, 0x01, 0xc8 }, { 0x0f, 0x01, 0xc9 }, { 0x0f, 0x01, 0xd5 },
		{ 0x0f, 0x01, 0xd8 }, { 0x0f, 0x01, 0xda }, { 0x0f, 0x01, 0xc2 },
		{ 0x0f, 0x01, 0xee }, { 0x0f, 0xaa },       { 0x0f, 0x37 },
		{ 0x0f, 0x01, 0xfa }, { 0xc6, 0xf8, 0x00 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(row); i++) {
		flat(64, 0);
		check_ud(rig_do(row[i], 4));
	}
}

static void test_caches(void **state)
{
	struct x86_state *s = &rig.state;

	flat(64, 3);
	check_ok(DO(0x0f, 0xae, 0x38));       /* CLFLUSH [RAX] */
	check_ok(DO(0x66, 0x0f, 0xae, 0x30)); /* CLWB */
	check_ok(DO(0x0f, 0xae, 0xf0));
	check_ok(DO(0x0f, 0x18, 0x08));
	s->gpr[X86_RAX] = DATA + 0x47;
	memset(rig_bytes(DATA, 256), 0xff, 256);
	check_ok(DO(0x0f, 0x01, 0xfc)); /* CLZERO */
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(rig.memory[DATA + i], i / 64 == 1 ? 0 : 0xff);
	rig.page[DATA / HC_PAGE_SIZE] = RIG_ABSENT;
	check_raised(DO(0x0f, 0xae, 0x38), X86_VEC_PF, 0);
	s->gpr[X86_RAX] = HC_BIT(47);
	check_gp(DO(0x0f, 0xae, 0x38));
	check_ok(DO(0x0f, 0x18, 0x08)); /* PREFETCH never faults */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_popf),         cmocka_unit_test(test_cli_sti),
		cmocka_unit_test(test_mov_cr),       cmocka_unit_test(test_machine_status_word),
		cmocka_unit_test(test_umip),         cmocka_unit_test(test_xcr0),
		cmocka_unit_test(test_invlpg),       cmocka_unit_test(test_invpcid),
		cmocka_unit_test(test_mov_dr),       cmocka_unit_test(test_data_breakpoints),
		cmocka_unit_test(test_debug_events), cmocka_unit_test(test_ports),
		cmocka_unit_test(test_string_ports), cmocka_unit_test(test_base_msrs),
		cmocka_unit_test(test_fsgsbase),     cmocka_unit_test(test_tsc),
		cmocka_unit_test(test_syscall),      cmocka_unit_test(test_sysenter),
		cmocka_unit_test(test_exits),        cmocka_unit_test(test_undefined),
		cmocka_unit_test(test_caches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
