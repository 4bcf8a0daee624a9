/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses that stage 2 does not allow: to devices, to ROM, to nowhere, and to RAM after all. */
#include <string.h>

#include "arch/aarch64/internal.h"
#include "tests/a64_env.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define MEMORY  (4 * HC_MIB)
#define DEVICE  UINT64_C(0x09000000) /* two pages */
#define NOWHERE UINT64_C(0x0a000000)
#define ROM     UINT64_C(0x0b000000)
#define PC      (A64_ENV_RAM + 0x1000)
#define VBAR    (A64_ENV_RAM + 0x80000)

/* --- A device that is memory and counts --- */

static uint8_t cells[2 * HC_PAGE_SIZE];
static unsigned reads, writes;

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = UINT64_C(0xabababababababab); /* only the low bytes count */

	assert_true(offset + size <= sizeof(cells));
	memcpy(&value, cells + offset, size);
	reads++;
	return value;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(offset + size <= sizeof(cells));
	memcpy(cells + offset, &value, size);
	writes++;
}

static const struct hc_region_ops device_ops = { device_read, device_write, 0 };
static uint8_t rom[HC_PAGE_SIZE] __attribute__((aligned(4096)));

static struct hc_vcpu *guest(void)
{
	const struct hc_region region = { "test", DEVICE, sizeof(cells), &device_ops, NULL };
	struct hc_vm *vm = a64_env_vm_with_gic(1, MEMORY);

	assert_non_null(vm);
	assert_int_equal(hc_bus_add(vm, HC_SPACE_MEMORY, &region), 0);
	assert_int_equal(hc_vm_add_slot(vm, gpa_of(ROM), sizeof(rom), rom, HC_SLOT_READONLY), 0);
	for (unsigned i = 0; i < sizeof(cells); i++)
		cells[i] = (uint8_t)a64_env_random();
	reads = writes = 0;
	return vm->vcpus[0];
}

static struct a64_state *prepare(struct hc_vcpu *vcpu)
{
	struct a64_state *s = a64_env_set(vcpu);

	s->pc = PC;
	s->pstate = A64_PSTATE_EL1H;
	s->sys[A64_VBAR_EL1] = VBAR;
	for (unsigned i = 0; i < 31; i++)
		s->x[i] = a64_env_random();
	return s;
}

static struct hc_exit access_at(uint64_t gpa, enum hc_access access)
{
	struct hc_exit exit = { .reason = HC_EXIT_STAGE2 };

	exit.u.stage2.gpa = gpa_of(gpa);
	exit.u.stage2.gva = gva_of(gpa);
	exit.u.stage2.access = (uint8_t)access;
	return exit;
}

/* The abort that the guest got, or 0 if it did not: ESR_EL1, with FAR_EL1 checked. */
static uint64_t abort_at(struct hc_vcpu *vcpu, uint64_t far)
{
	const struct a64_state *s = a64_env_state(vcpu);

	if (s->pc != VBAR + 0x200)
		return 0;
	assert_int_equal(s->sys[A64_ELR_EL1], PC);
	assert_int_equal(s->sys[A64_FAR_EL1], far);
	return s->sys[A64_ESR_EL1];
}

#define DABT_READ  UINT64_C(0x96000010)
#define DABT_WRITE UINT64_C(0x96000050)
#define IABT       UINT64_C(0x86000010)

/* --- Described accesses --- */

static uint64_t loaded(const struct hc_exit_stage2 *a, uint64_t offset)
{
	uint64_t v = 0;

	memcpy(&v, cells + offset, a->width);
	if (!a->is_signed)
		return v;
	switch (a->width) {
	case 1: v = (uint64_t)(int8_t)v; break;
	case 2: v = (uint64_t)(int16_t)v; break;
	case 4: v = (uint64_t)(int32_t)v; break;
	default: break;
	}
	return a->is_64 ? v : (uint32_t)v;
}

static void test_described(void **state)
{
	struct hc_vcpu *vcpu = guest();

	for (unsigned i = 0; i < 4000; i++) {
		uint64_t r = a64_env_random(), width = 1u << (r & 3);
		uint64_t offset = (r >> 8) % (sizeof(cells) - 8) & ~(width - 1);
		struct hc_exit exit =
			access_at(DEVICE + offset, r & 4 ? HC_ACCESS_WRITE : HC_ACCESS_READ);
		struct a64_state *s = prepare(vcpu), before = *s;
		struct hc_exit_stage2 *a = &exit.u.stage2;
		uint64_t want[31];

		a->described = 1;
		a->width = (uint8_t)width;
		a->rt = r >> 3 & 31;
		a->is_64 = width == 8 || r >> 40 & 1;
		a->is_signed = width < 8 && r >> 41 & 1;
		memcpy(want, s->x, sizeof(want));
		if (!(r & 4) && a->rt < 31)
			want[a->rt] = loaded(a, offset);
		assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
		assert_int_equal(a64_state_of(vcpu)->pc, PC + 4);
		assert_memory_equal(a64_state_of(vcpu)->x, want, sizeof(want));
		uint64_t value = a->rt < 31 ? before.x[a->rt] : 0;

		if (r & 4)
			assert_memory_equal(cells + offset, &value, width);
	}
	assert_int_equal(reads + writes, 4000);
	a64_env_end(vcpu->vm);
}

static void test_nowhere(void **state)
{
	struct hc_vcpu *vcpu = guest();

	for (unsigned write = 0; write < 2; write++)
		for (unsigned i = 0; i < 4; i++) {
			struct hc_exit exit = access_at(NOWHERE + 8 * i,
			                                write ? HC_ACCESS_WRITE : HC_ACCESS_READ);

			exit.u.stage2.described = 1;
			exit.u.stage2.width = (uint8_t)(1u << i);
			prepare(vcpu);
			assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
			assert_int_equal(abort_at(vcpu, NOWHERE + 8 * i),
			                 write ? DABT_WRITE : DABT_READ);
		}
	a64_env_end(vcpu->vm);
}

/* A store to ROM is lost. */
static void test_rom(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_exit exit = access_at(ROM + 8, HC_ACCESS_WRITE);

	exit.u.stage2.described = 1;
	exit.u.stage2.width = 8;
	memset(rom, 0x11, sizeof(rom));
	prepare(vcpu);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->pc, PC + 4);
	for (unsigned i = 0; i < sizeof(rom); i++)
		assert_int_equal(rom[i], 0x11);
	a64_env_end(vcpu->vm);
}

static void test_fetch(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_exit exit = access_at(DEVICE, HC_ACCESS_EXEC);

	prepare(vcpu);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(abort_at(vcpu, DEVICE), IABT);
	/* Also when the page is known for a device's. */
	exit = access_at(DEVICE, HC_ACCESS_READ);
	exit.u.stage2.described = 1;
	exit.u.stage2.width = 4;
	prepare(vcpu);
	script_exit(vcpu, &exit);
	assert_int_equal(reads, 1);
	exit.u.stage2.access = HC_ACCESS_EXEC;
	exit.u.stage2.described = 0;
	prepare(vcpu);
	script_exit(vcpu, &exit);
	assert_int_equal(abort_at(vcpu, DEVICE), IABT);
	a64_env_end(vcpu->vm);
}

/* Tables of the guest's: level 1 in RAM, of which entry 1 maps RAM as it is, 2 leads to a table in
 * a device, 3 to one in RAM whose first entry leads to one in a device. */
#define TABLE_1 (A64_ENV_RAM + 0x10000)
#define TABLE_2 (A64_ENV_RAM + 0x11000)

static void put(struct hc_vcpu *vcpu, uint64_t at, uint64_t value)
{
	assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(at), &value, sizeof(value)), 0);
}

static struct a64_state *prepare_tables(struct hc_vcpu *vcpu, uint32_t insn)
{
	struct a64_state *s = prepare(vcpu);

	put(vcpu, TABLE_1 + 8, A64_ENV_RAM | 0x401);
	put(vcpu, TABLE_1 + 16, DEVICE | 3);
	put(vcpu, TABLE_1 + 24, TABLE_2 | 3);
	put(vcpu, TABLE_2, DEVICE | 3);
	put(vcpu, PC, insn);
	s->sys[A64_SCTLR_EL1] = A64_SCTLR_M;
	s->sys[A64_TCR_EL1] = 25 | UINT64_C(5) << 32;
	s->sys[A64_TTBR0_EL1] = TABLE_1;
	return s;
}

static void test_walk(void **state)
{
	static const struct {
		uint32_t insn;
		uint64_t iss; /* WnR and CM */
	} rows[] = {
		{ 0xf9400020, 0 },      /* LDR X0, [X1] */
		{ 0xf9000020, 1 << 6 }, /* STR X0, [X1] */
		{ 0xc8007c20, 1 << 6 }, /* STXR W0, X0, [X1] */
		{ 0xd50b7421, 1 << 6 }, /* DC ZVA, X1 */
		{ 0xf8200020, 0 },      /* LDADD X0, X0, [X1] */
		{ 0xd5087801, 0x140 },  /* AT S1E1R, X1 */
		{ 0xffffffff, 0 },      /* what is not known */
	};
	struct hc_vcpu *vcpu = guest();

	for (unsigned i = 0; i < 2 * HC_ARRAY_SIZE(rows); i++) {
		unsigned level = 2 + i % 2;
		uint64_t gva = level << 30 | 0x128;
		struct hc_exit exit = access_at(DEVICE, HC_ACCESS_READ);

		exit.u.stage2.in_walk = 1;
		exit.u.stage2.gva = gva_of(gva);
		exit.u.stage2.is_cache = rows[i / 2].iss == 0x140;
		prepare_tables(vcpu, rows[i / 2].insn);
		assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
		assert_int_equal(abort_at(vcpu, gva),
		                 0x96000000 | A64_FSC_WALK | level | rows[i / 2].iss);
		/* The tables have come meanwhile. */
		prepare_tables(vcpu, rows[i / 2].insn);
		put(vcpu, level == 2 ? TABLE_1 + 16 : TABLE_2, A64_ENV_RAM | 0x401);
		assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
		assert_int_equal(a64_env_state(vcpu)->pc, PC);
	}
	/* Of the instruction itself. */
	struct hc_exit exit = access_at(DEVICE, HC_ACCESS_READ);

	exit.pc = PC;
	exit.u.stage2.in_walk = 1;
	exit.u.stage2.gva = gva_of(PC);
	prepare_tables(vcpu, 0);
	put(vcpu, TABLE_1 + 8, DEVICE | 3);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(abort_at(vcpu, PC), 0x86000000 | A64_FSC_WALK | 2);
	assert_int_equal(reads, 0);
	a64_env_end(vcpu->vm);
}

/* The CPU's addresses are longer than the guest's. */
static void test_beyond(void **state)
{
	struct hc_vcpu *vcpu = guest();
	uint64_t at = (UINT64_C(1) << a64_address_bits(vcpu->vm)) + 0x120;
	struct hc_exit exit = access_at(at, HC_ACCESS_WRITE);

	exit.u.stage2.described = 1;
	exit.u.stage2.width = 8;
	prepare(vcpu);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(abort_at(vcpu, at), 0x96000040);
	exit = access_at(at, HC_ACCESS_EXEC);
	prepare(vcpu)->pc = at;
	exit.pc = at;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->sys[A64_ESR_EL1], 0x86000000);
	/* A descriptor that leads there, of level 1. */
	prepare_tables(vcpu, 0xf9400020);
	put(vcpu, TABLE_1 + 16, (at & ~UINT64_C(0x3fffffff)) | 0x401);
	exit = access_at(at, HC_ACCESS_READ);
	exit.u.stage2.gva = gva_of(UINT64_C(2) << 30 | 0x120);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(abort_at(vcpu, UINT64_C(2) << 30 | 0x120), 0x96000001);
	a64_env_end(vcpu->vm);
}

/* DC IVAC and the like of a device's address. */
static void test_cache(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_exit exit = access_at(NOWHERE, HC_ACCESS_WRITE);

	exit.u.stage2.is_cache = 1;
	prepare(vcpu);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(a64_env_state(vcpu)->pc, PC + 4);
	a64_env_end(vcpu->vm);
}

/* RAM that is mapped: the access is simply made again, and the dirty log learns of writes. */
static void test_ram(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_vm *vm = vcpu->vm;
	uint64_t bitmap[MEMORY / HC_PAGE_SIZE / 64] = { 0 };
	struct hc_exit exit = access_at(A64_ENV_RAM + 0x5008, HC_ACCESS_READ);
	struct s2_mapping m;

	/* The first access of all is what maps it. */
	assert_int_equal(s2_walk(&vm->s2, gpa_of(A64_ENV_RAM + 0x5008), &m), -EFAULT);
	prepare(vcpu);
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(s2_walk(&vm->s2, gpa_of(A64_ENV_RAM + 0x5008), &m), 0);
	assert_int_equal(s2_log_start(&vm->s2, gpa_of(A64_ENV_RAM), MEMORY), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct a64_state before = *prepare(vcpu);

		/* A read, a write, a walk that sets a flag, a fetch. */
		exit = access_at(A64_ENV_RAM + 0x5008 + i * HC_PAGE_SIZE, i == 1 ? HC_ACCESS_WRITE
		                                                          : i == 3
		                                                                  ? HC_ACCESS_EXEC
		                                                                  : HC_ACCESS_READ);
		exit.u.stage2.in_walk = i == 2;
		exit.u.stage2.present = 1;
		assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
		assert_memory_equal(a64_env_state(vcpu), &before, offsetof(struct a64_state, gic));
	}
	assert_int_equal(s2_log_collect(&vm->s2, gpa_of(A64_ENV_RAM), MEMORY, bitmap), 2);
	assert_int_equal(bitmap[0], 1u << 6 | 1u << 7);
	s2_log_stop(&vm->s2);
	a64_env_end(vcpu->vm);
}

/* Memory that is added where there was nothing before. */
static void test_new_ram(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_exit exit = access_at(NOWHERE, HC_ACCESS_READ);

	exit.u.stage2.described = 1;
	exit.u.stage2.width = 4;
	for (unsigned i = 0; i < 2; i++) {
		prepare(vcpu);
		script_exit(vcpu, &exit);
		assert_int_equal(abort_at(vcpu, NOWHERE), DABT_READ);
	}
	assert_int_equal(hc_vm_add_ram(vcpu->vm, gpa_of(NOWHERE), HC_PAGE_SIZE), 0);
	prepare(vcpu);
	script_exit(vcpu, &exit);
	assert_int_equal(a64_env_state(vcpu)->pc, PC);
	a64_env_end(vcpu->vm);
}

/* --- Accesses that are decoded --- */

static int run_insn(struct hc_vcpu *vcpu, uint32_t insn, uint64_t gpa, enum hc_access access)
{
	const struct hc_exit exit = access_at(gpa, access);

	assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(PC), &insn, 4), 0);
	return script_exit(vcpu, &exit);
}

static void test_pairs(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct a64_state *s = prepare(vcpu);
	uint64_t value[2];

	s->x[2] = DEVICE + 0x20;
	/* LDP X0, X1, [X2, #16]! */
	assert_int_equal(run_insn(vcpu, 0xa9c10440, DEVICE + 0x30, HC_ACCESS_READ), HC_ACT_RESUME);
	s = a64_env_state(vcpu);
	memcpy(value, cells + 0x30, 16);
	assert_int_equal(s->pc, PC + 4);
	assert_int_equal(s->x[0], value[0]);
	assert_int_equal(s->x[1], value[1]);
	assert_int_equal(s->x[2], DEVICE + 0x30);
	/* STR W3, [SP], #-4, with SP_EL0 and with SP_EL1 */
	for (unsigned el1h = 0; el1h < 2; el1h++) {
		s = prepare(vcpu);
		s->pstate = el1h ? A64_PSTATE_EL1H : A64_PSTATE_EL1T;
		s->sys[A64_SP_EL0] = DEVICE + 0x40;
		s->sys[A64_SP_EL1] = DEVICE + 0x50;
		uint32_t stored = (uint32_t)s->x[3];
		uint64_t at = el1h ? 0x50 : 0x40;

		run_insn(vcpu, 0xb81fc7e3, DEVICE + at, HC_ACCESS_WRITE);
		script_round(vcpu, &(struct hc_exit){ .reason = HC_EXIT_INTERRUPT });
		s = a64_env_state(vcpu);
		assert_int_equal(s->pc, PC + 4);
		assert_memory_equal(cells + at, &stored, 4);
		assert_int_equal(s->sys[A64_SP_EL0], DEVICE + (el1h ? 0x40 : 0x3c));
		assert_int_equal(s->sys[A64_SP_EL1], DEVICE + (el1h ? 0x4c : 0x50));
	}
	/* STP Q0, Q1, [X2]: the vector registers are the hardware's until asked for. */
	s = prepare(vcpu);
	memset(s->v, 0x42, sizeof(s->v));
	s->x[2] = DEVICE;
	run_insn(vcpu, 0xad000440, DEVICE, HC_ACCESS_WRITE);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(cells[i], 0x42);
	/* LDR Q3, [X2]: and go back to it. */
	s = prepare(vcpu);
	memset(s->v, 0, sizeof(s->v));
	s->x[2] = DEVICE;
	run_insn(vcpu, 0x3dc00043, DEVICE, HC_ACCESS_READ);
	script_round(vcpu, &(struct hc_exit){ .reason = HC_EXIT_INTERRUPT });
	assert_int_equal(a64_env_state(vcpu)->v[3][1], UINT64_C(0x4242424242424242));
	a64_env_end(vcpu->vm);
}

/* Half in RAM, half nowhere, and into the device's next page. */
static void test_page_ends(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_exit exit = access_at(DEVICE + HC_PAGE_SIZE - 2, HC_ACCESS_READ);
	struct a64_state *s = prepare(vcpu);
	uint32_t want;

	/* Described: LDR W0, [X1] */
	s->x[1] = DEVICE + HC_PAGE_SIZE - 2;
	exit.u.stage2.described = 1;
	exit.u.stage2.width = 4;
	uint32_t insn = 0xb9400020;

	assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(PC), &insn, 4), 0);
	script_exit(vcpu, &exit);
	memcpy(&want, cells + HC_PAGE_SIZE - 2, 4);
	assert_int_equal(a64_env_state(vcpu)->x[0], want);
	/* Behind the device there is nothing. */
	exit = access_at(DEVICE + sizeof(cells) - 2, HC_ACCESS_READ);
	exit.u.stage2.described = 1;
	exit.u.stage2.width = 4;
	prepare(vcpu)->x[1] = DEVICE + sizeof(cells) - 2;
	script_exit(vcpu, &exit);
	assert_int_equal(abort_at(vcpu, DEVICE + sizeof(cells)), DABT_READ);
	/* No register changes. */
	s = prepare(vcpu);
	s->x[1] = DEVICE + sizeof(cells) - 8;
	struct a64_state before = *s;

	run_insn(vcpu, 0xa9400820, s->x[1], HC_ACCESS_READ); /* LDP X0, X2, [X1] */
	assert_int_equal(abort_at(vcpu, DEVICE + sizeof(cells)), DABT_READ);
	assert_memory_equal(a64_state_of(vcpu)->x, before.x, sizeof(before.x));
	/* Before it, neither. */
	s = prepare(vcpu);
	s->x[1] = DEVICE - 8;
	run_insn(vcpu, 0xa9000821, DEVICE - 8, HC_ACCESS_WRITE); /* STP X1, X2, [X1] */
	assert_int_equal(abort_at(vcpu, DEVICE - 8), DABT_WRITE);
	a64_env_end(vcpu->vm);
}

/* LDADD on a device reads and writes; on RAM only the CPU can do it. */
static void test_atomics(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct a64_state *s = prepare(vcpu);
	uint64_t old;

	memcpy(&old, cells, 8);
	s->x[1] = DEVICE;
	s->x[2] = 5;
	run_insn(vcpu, 0xf8220020, DEVICE, HC_ACCESS_WRITE); /* LDADD X2, X0, [X1] */
	s = a64_env_state(vcpu);
	assert_int_equal(s->pc, PC + 4);
	assert_int_equal(s->x[0], old);
	old += 5;
	assert_memory_equal(cells, &old, 8);
	s = prepare(vcpu);
	s->x[1] = A64_ENV_RAM + 0x2000;
	run_insn(vcpu, 0xf8220020, DEVICE, HC_ACCESS_WRITE);
	assert_int_equal(a64_env_state(vcpu)->pc, PC);
	a64_env_end(vcpu->vm);
}

/* One that is nowhere could not have been read; LDTR and STTR are EL0's, unless UAO is set, and PAN
 * does not forbid those. */
static void test_rights(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct a64_state *s = prepare(vcpu);
	uint64_t table = A64_ENV_RAM + 0x10000, l1[2];

	s->x[1] = NOWHERE;
	run_insn(vcpu, 0xf8220020, NOWHERE, HC_ACCESS_WRITE); /* LDADD */
	assert_int_equal(abort_at(vcpu, NOWHERE), DABT_READ);
	for (unsigned i = 0; i < 16; i++) {
		/* The first GiB is EL0's or not, and read only or not. */
		l1[0] = 0x401 | (i & 1) << 6 | (i & 2) << 6;
		l1[1] = A64_ENV_RAM | 0x401;
		bool el0 = i & 1, read_only = i & 2, uao = i & 4, pan = i & 8;

		assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(table), l1, 16), 0);
		for (unsigned op = 0; op < 3; op++) {
			static const uint32_t insns[3] = { 0xb9400020, 0xb8400820,
				                           0xf8220020 }; /* LDR, LDTR, LDADD */
			bool as_el0 = op == 1 && !uao;

			s = prepare(vcpu);
			s->pstate = A64_PSTATE_EL1H | (uao ? A64_PSTATE_UAO : 0) |
			            (pan ? A64_PSTATE_PAN : 0);
			s->sys[A64_SCTLR_EL1] = 1;
			s->sys[A64_TCR_EL1] = 25 | UINT64_C(2) << 32;
			s->sys[A64_TTBR0_EL1] = table;
			s->x[1] = DEVICE;
			reads = 0;
			run_insn(vcpu, insns[op], DEVICE, HC_ACCESS_READ);
			bool can_read = as_el0 ? el0 : !(pan && el0);
			bool can_write = can_read && !read_only;
			uint64_t want = 0;

			if (!can_read)
				want = UINT64_C(0x9600000d);
			else if (op == 2 && !can_write)
				want = UINT64_C(0x9600004d);
			assert_int_equal(abort_at(vcpu, DEVICE), want);
			assert_int_equal(reads, want ? 0 : 1);
			assert_int_equal(a64_state_of(vcpu)->pc, want ? VBAR + 0x200 : PC + 4);
		}
	}
	a64_env_end(vcpu->vm);
}

/* What cannot be carried out is the guest's trouble, told once. */
static void test_refused(void **state)
{
	static const uint32_t insns[] = { 0xd503201f, 0, 0xffffffff, 0x04200000, 0xd5033fdf };
	struct hc_vcpu *vcpu = guest();

	for (unsigned i = 0; i < HC_ARRAY_SIZE(insns); i++) {
		prepare(vcpu);
		assert_int_equal(run_insn(vcpu, insns[i], DEVICE, HC_ACCESS_READ), HC_ACT_RESUME);
		assert_int_equal(abort_at(vcpu, DEVICE), DABT_READ);
	}
	struct a64_state *s = prepare(vcpu);

	s->pstate = 0x10; /* AArch32 */
	run_insn(vcpu, 0xb9400020, DEVICE, HC_ACCESS_READ);
	s = a64_env_state(vcpu);
	assert_int_equal(s->pc, VBAR + 0x600);
	assert_int_equal(s->sys[A64_ESR_EL1], UINT64_C(0x92000010));
	assert_non_null(strstr(test_log(), "not emulated"));
	assert_null(strstr(strstr(test_log(), "not emulated") + 1, "not emulated"));
	assert_int_equal(reads + writes, 0);
	a64_env_end(vcpu->vm);
}

/* The code went away meanwhile. */
static void test_no_code(void **state)
{
	struct hc_vcpu *vcpu = guest();
	const struct hc_exit exit = access_at(DEVICE, HC_ACCESS_READ);
	struct a64_state *s = prepare(vcpu);

	s->pc = NOWHERE;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	s = a64_env_state(vcpu);
	assert_int_equal(s->pc, VBAR + 0x200);
	assert_int_equal(s->sys[A64_ELR_EL1], NOWHERE);
	assert_int_equal(s->sys[A64_FAR_EL1], NOWHERE);
	assert_int_equal(s->sys[A64_ESR_EL1], IABT);
	a64_env_end(vcpu->vm);
}

/* --- Accesses that the backend decoded --- */

static void test_bus(void **state)
{
	struct hc_vcpu *vcpu = guest();
	struct hc_exit exit = { .reason = HC_EXIT_BUS };
	uint64_t value = 0, want = 0;
	bool is_missed = true;

	exit.u.bus.space = HC_SPACE_MEMORY;
	exit.u.bus.address = DEVICE + 16;
	exit.u.bus.value = &value;
	exit.u.bus.is_missed = &is_missed;
	for (unsigned width = 0; width < 256; width++) {
		bool good = width == 1 || width == 2 || width == 4 || width == 8;

		exit.u.bus.width = (uint8_t)width;
		assert_int_equal(script_exit(vcpu, &exit), good ? HC_ACT_RESUME : -EINVAL);
		if (good) {
			memcpy(&want, cells + 16, width);
			assert_int_equal(value, want);
			assert_false(is_missed);
		}
	}
	exit.u.bus.width = 2;
	exit.u.bus.write = 1;
	value = 0x1234;
	assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	assert_int_equal(cells[16] | cells[17] << 8, 0x1234);
	for (exit.u.bus.write = 0; exit.u.bus.write < 2; exit.u.bus.write++) {
		static const uint64_t places[] = { NOWHERE, DEVICE, ROM };
		bool missed[] = { true, false, !exit.u.bus.write };

		for (unsigned i = 0; i < HC_ARRAY_SIZE(places); i++) {
			exit.u.bus.address = places[i];
			assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
			assert_int_equal(is_missed, missed[i]);
		}
	}
	exit.u.bus.space = HC_SPACE_IO;
	assert_int_equal(script_exit(vcpu, &exit), -EINVAL);
	a64_env_end(vcpu->vm);
}

/* --- Anything --- */

static void test_random_exits(void **state)
{
	static const uint64_t places[] = { DEVICE, NOWHERE, ROM, A64_ENV_RAM, 0, UINT64_MAX - 8 };
	struct hc_vcpu *vcpu = guest();
	uint8_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(A64_ENV_RAM), MEMORY, true);

	for (unsigned i = 0; i < test_rounds(20000); i++) {
		struct a64_state *s = a64_env_set(vcpu);
		uint64_t r = a64_env_random(), *words = (uint64_t *)s;
		struct hc_exit exit = { .reason = HC_EXIT_STAGE2 };
		struct hc_exit_stage2 *a = &exit.u.stage2;
		uint64_t filler = a64_env_random();

		for (unsigned w = 0; w < offsetof(struct a64_state, cntvoff) / 8; w++)
			words[w] = a64_env_random() % 3 ? a64_env_random()
			                                : places[a64_env_random() % 6] + r % 4096;
		if (r & 3)
			s->sys[A64_SCTLR_EL1] &= ~UINT64_C(1);
		if (r & 4)
			s->pc = PC;
		a->gpa = gpa_of(places[(r >> 8) % 6] + (r >> 16) % 8192);
		a->gva = gva_of(a64_env_random());
		a->access = (uint8_t)(1u << (r >> 32) % 3);
		a->width = (uint8_t)(1u << (r >> 41 & 3));
		a->rt = r >> 43 & 31;
		a->is_signed = r >> 48 & 1;
		a->is_64 = r >> 49 & 1;
		a->in_walk = (r >> 50 & 7) == 0;
		a->is_cache = (r >> 53 & 7) == 0;
		a->described =
			r >> 40 & 1 && !a->in_walk && !a->is_cache && a->access != HC_ACCESS_EXEC;
		memcpy(ram + filler % (MEMORY - 8), &filler, 8);
		/* A load or store of some kind. */
		uint32_t insn = (uint32_t)(filler >> 32);

		insn = (insn & ~0x0a000000u) | 0x08000000u;
		memcpy(ram + 0x1000, &insn, 4);
		assert_int_equal(script_exit(vcpu, &exit), HC_ACT_RESUME);
	}
	assert_true(reads > 100 && writes > 100);
	a64_env_end(vcpu->vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_described),    cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_rom),          cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_walk),         cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_cache),        cmocka_unit_test(test_ram),
		cmocka_unit_test(test_new_ram),      cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_page_ends),    cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_refused),      cmocka_unit_test(test_no_code),
		cmocka_unit_test(test_bus),          cmocka_unit_test(test_rights),
		cmocka_unit_test(test_random_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
