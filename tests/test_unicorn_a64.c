/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backend on Unicorn for AArch64 guests, in its module: small guests at EL1, what they ask of
 * devices and firmware, the exceptions they take; what is refused, and how; random instructions,
 * which must not end the process.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
/* after the above */
#include "arch/aarch64/a64.h"
#include "platform/linux/unicorn.h"
#include "tests/platform.h"
#include "tests/unit.h"

#define RAM     UINT64_C(0x40000000)
#define SIZE    HC_MIB
#define RESULTS (RAM + 0x100)
#define CODE    (RAM + 0x8000)
#define VECTORS (RAM + 0x10000)
#define DEVICE  UINT64_C(0x09000000)
#define BYTES   64

static struct hc_vm *vm;
static struct hc_vcpu *vcpu;
static struct a64_state *st;
static uint8_t *ram;

/* --- The device: memory that writes down what is written --- */

static struct {
	uint8_t bytes[BYTES];
	uint64_t offset[16], value[16];
	unsigned size[16], writes;
	void (*on_write)(void);
} dev;

static uint64_t device_read(void *arg, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, dev.bytes + offset, size);
	return value;
}

static void device_write(void *arg, uint64_t offset, unsigned size, uint64_t value)
{
	memcpy(dev.bytes + offset, &value, size);
	if (dev.writes < 16) {
		dev.offset[dev.writes] = offset;
		dev.size[dev.writes] = size;
		dev.value[dev.writes] = value;
	}
	dev.writes++;
	if (dev.on_write)
		dev.on_write();
}

static void expect_write(unsigned i, uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(i < dev.writes);
	assert_int_equal(dev.offset[i], offset);
	assert_int_equal(dev.size[i], size);
	assert_int_equal(dev.value[i], value);
}

/* --- Guests: X20: the results, X21: the device, X22: the vectors --- */

static void put_code(uint64_t at, const uint32_t *code, size_t size)
{
	assert_int_equal(hc_mem_write(vm, gpa_of(at), code, size), 0);
}

static void make_guest(const uint32_t *code, size_t size)
{
	static const struct hc_region_ops ops = { device_read, device_write, 0 };
	const struct hc_vm_config config = { "test", &a64_arch_ops, &unicorn_a64_backend,
		                             1,      NULL,          0,
		                             0 };
	const struct hc_region region = { "bytes", DEVICE, BYTES, &ops, NULL };

	test_platform_init(1);
	test_allocated = 0;
	memset(&dev, 0, sizeof(dev));
	for (unsigned i = 0; i < BYTES; i++)
		dev.bytes[i] = (uint8_t)(0xa0 + i);
	assert_int_equal(hc_vm_create(&vm, &config), 0);
	assert_int_equal(hc_vm_add_ram(vm, gpa_of(RAM), SIZE), 0);
	assert_int_equal(hc_bus_add(vm, HC_SPACE_MEMORY, &region), 0);
	vcpu = vm->vcpus[0];
	st = a64_state_of(vcpu);
	ram = hc_mem_ptr(vm, gpa_of(RAM), SIZE, true);
	assert_non_null(ram);
	put_code(CODE, code, size);
	st->pc = CODE;
	st->x[20] = RESULTS;
	st->x[21] = DEVICE;
	st->x[22] = VECTORS;
}

#define MAKE(guest) make_guest(guest, sizeof(guest))

/* Until it sleeps, or the VM ends. */
static void start(void)
{
	hc_vcpu_dirty(vcpu, A64_G_ALL);
	assert_int_equal(hc_vm_start(vm), 0);
	test_on_idle = test_stop_loop;
	test_run_loop();
	hc_vcpu_need(vcpu, A64_G_ALL);
}

static void run(void)
{
	start();
	if (hc_vm_cause(vm) == HC_STOP_FAILURE)
		fail_msg("%s", hc_vm_reason(vm));
}

static void end(void)
{
	(void)hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	test_on_idle = test_stop_loop;
	test_run_loop();
	test_on_idle = NULL;
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
}

static uint64_t result(unsigned i)
{
	uint64_t value;

	memcpy(&value, ram + (RESULTS - RAM) + i * 8, sizeof(value));
	return value;
}

/* --- Plain instructions --- */

/* clang-format off */
static const uint32_t sum[] = {
	0xd2807d00, /* mov x0, #0x3e8 */
	0xd2800001, /* mov x1, #0x0 */
	0x8b000021, /* add x1, x1, x0 */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffffc1, /* b.ne +0x8 */
	0xf9000281, /* str x1, [x20] */
	0x92800004, /* mov x4, #0xffffffffffffffff */
	0xb100049f, /* cmn x4, #0x1 */
	0xd53b4203, /* mrs x3, nzcv */
	0xf9000683, /* str x3, [x20, #8] */
	0xd2a00604, /* mov x4, #0x300000 */
	0xd5181044, /* msr cpacr_el1, x4 */
	0xd5033fdf, /* isb */
	0x1e601000, /* fmov d0, #2.0 */
	0x9e620021, /* scvtf d1, x1 */
	0x1e600821, /* fmul d1, d1, d0 */
	0xfd000a81, /* str d1, [x20, #16] */
	0xd503207f, /* wfi */
};
/* clang-format on */

static void test_arithmetic(void **state)
{
	double twice = 2 * 500500.0;
	uint64_t bits;

	MAKE(sum);
	run();
	memcpy(&bits, &twice, sizeof(bits));
	assert_int_equal(result(0), 500500);
	assert_int_equal(result(1), 0x60000000); /* Z, C */
	assert_int_equal(result(2), bits);
	assert_int_equal(st->v[1][0], bits);
	assert_int_equal(st->pstate, A64_PSTATE_EL1H | A64_PSTATE_DAIF | 0x60000000);
	assert_int_equal(st->pc, CODE + sizeof(sum));
	assert_int_equal(vcpu->stats.exits[HC_EXIT_HALT].count, 1);
	end();
}

/* --- Devices --- */

/* clang-format off */
static const uint32_t device[] = {
	0xd2911320, /* mov x0, #0x8899 */
	0xf2b55760, /* movk x0, #0xaabb, lsl #16 */
	0xf2e88aa0, /* movk x0, #0x4455, lsl #48 */
	0x390002a0, /* strb w0, [x21] */
	0x790006a0, /* strh w0, [x21, #2] */
	0xb90006a0, /* str w0, [x21, #4] */
	0xf90006a0, /* str x0, [x21, #8] */
	0x394042a1, /* ldrb w1, [x21, #16] */
	0x39c042a2, /* ldrsb w2, [x21, #16] */
	0x798022a3, /* ldrsh x3, [x21, #16] */
	0xb98012a4, /* ldrsw x4, [x21, #16] */
	0xb94012a5, /* ldr w5, [x21, #16] */
	0xd2800286, /* mov x6, #0x14 */
	0xf8666aa6, /* ldr x6, [x21, x6] */
	0xf9000ebf, /* str xzr, [x21, #24] */
	0xa9000a81, /* stp x1, x2, [x20] */
	0xa9011283, /* stp x3, x4, [x20, #16] */
	0xa9021a85, /* stp x5, x6, [x20, #32] */
	0xd503207f, /* wfi */
};
/* clang-format on */

static void test_device(void **state)
{
	MAKE(device);
	run();
	assert_int_equal(dev.writes, 5);
	expect_write(0, 0, 1, 0x99);
	expect_write(1, 2, 2, 0x8899);
	expect_write(2, 4, 4, 0xaabb8899);
	expect_write(3, 8, 8, 0x44550000aabb8899);
	expect_write(4, 24, 8, 0);
	assert_int_equal(result(0), 0xb0);
	assert_int_equal(result(1), 0xffffffb0);
	assert_int_equal(result(2), 0xffffffffffffb1b0);
	assert_int_equal(result(3), 0xffffffffb3b2b1b0);
	assert_int_equal(result(4), 0xb3b2b1b0);
	assert_int_equal(result(5), 0xbbbab9b8b7b6b5b4);
	end();
}

/* Accesses that no syndrome describes, which are decoded and carried out by arch/aarch64. */
/* clang-format off */
static const uint32_t undescribed[] = {
	0xd2a00604, /* mov x4, #0x300000 */
	0xd5181044, /* msr cpacr_el1, x4 */
	0xd5033fdf, /* isb */
	0xd2822220, /* mov x0, #0x1111 */
	0xd2844441, /* mov x1, #0x2222 */
	0xa90006a0, /* stp x0, x1, [x21] */
	0x29420ea2, /* ldp w2, w3, [x21, #16] */
	0xaa1503e5, /* mov x5, x21 */
	0x78020ca1, /* strh w1, [x5, #32]! */
	0x384034a6, /* ldrb w6, [x5], #3 */
	0x9eaf0000, /* fmov v0.d[1], x0 */
	0x9e670021, /* fmov d1, x1 */
	0x6e080420, /* mov v0.d[0], v1.d[0] */
	0x3d800ea0, /* str q0, [x21, #48] */
	0xfd400ea2, /* ldr d2, [x21, #24] */
	0x885f7ea7, /* ldxr w7, [x21] */
	0x88087ea1, /* stxr w8, w1, [x21] */
	0x0d4092a3, /* ld1 {v3.s}[1], [x21] */
	0xa9000e82, /* stp x2, x3, [x20] */
	0xa9011a85, /* stp x5, x6, [x20, #16] */
	0xfd001282, /* str d2, [x20, #32] */
	0xa902a287, /* stp x7, x8, [x20, #40] */
	0xfd001e83, /* str d3, [x20, #56] */
	0xd503207f, /* wfi */
};
/* clang-format on */

static void test_undescribed(void **state)
{
	MAKE(undescribed);
	run();
	expect_write(0, 0, 8, 0x1111);
	expect_write(1, 8, 8, 0x2222);
	expect_write(2, 32, 2, 0x2222);
	expect_write(3, 48, 8, 0x2222);
	expect_write(4, 56, 8, 0x1111);
	assert_int_equal(dev.writes, 5);
	assert_int_equal(result(0), 0xb3b2b1b0);
	assert_int_equal(result(1), 0xb7b6b5b4);
	assert_int_equal(result(2), DEVICE + 35);
	assert_int_equal(result(3), 0x22);
	assert_int_equal(result(4), 0xbfbebdbcbbbab9b8);
	assert_int_equal(result(5), 0x1111);
	assert_int_equal(result(6), 1); /* the exception was between LDXR and STXR */
	assert_int_equal(result(7), UINT64_C(0x1111) << 32);
	end();
}

/* --- Exceptions --- */

/* Notes ESR, ELR, SPSR and FAR, and goes on behind the instruction. */
/* clang-format off */
static const uint32_t vector[] = {
	0xd5385208, /* mrs x8, esr_el1 */
	0xd5384029, /* mrs x9, elr_el1 */
	0xd538400a, /* mrs x10, spsr_el1 */
	0xd538600b, /* mrs x11, far_el1 */
	0xa88126a8, /* stp x8, x9, [x21], #16 */
	0xa8812eaa, /* stp x10, x11, [x21], #16 */
	0xd35afd08, /* lsr x8, x8, #26 */
	0xf100551f, /* cmp x8, #0x15 */
	0x54000060, /* b.eq +0x2c */
	0x91001129, /* add x9, x9, #0x4 */
	0xd5184029, /* msr elr_el1, x9 */
	0xd69f03e0, /* eret */
};
static const uint32_t faults[] = {
	0xaa1403f5, /* mov x21, x20 */
	0xd518c016, /* msr vbar_el1, x22 */
	0xd5033fdf, /* isb */
	0xd40000a1, /* svc #0x5 */
	0xd42000e0, /* brk #0x7 */
	0x00000000, /* .word 0x00000000 */
	0xd37ffa80, /* lsl x0, x20, #1 */
	0xf9400000, /* ldr x0, [x0] */
	0x91100681, /* add x1, x20, #0x401 */
	0xc85f7c22, /* ldxr x2, [x1] */
	0x1e6e1000, /* fmov d0, #1.0 */
	0xd53d1002, /* mrs x2, sctlr_el12 */
	0xd4400020, /* hlt #0x1 */
	0xd503207f, /* wfi */
};
/* clang-format on */

static void test_exceptions(void **state)
{
	static const struct {
		unsigned at;
		uint64_t esr, far;
	} want[] = {
		{ 4, 0x15u << 26 | A64_ESR_IL | 5, 0 }, /* SVC: behind it */
		{ 4, 0x3cu << 26 | A64_ESR_IL | 7, 0 },
		{ 5, A64_ESR_IL, 0 },
		{ 7, 0x25u << 26 | A64_ESR_IL | 0x10, 2 * RESULTS },
		{ 9, 0x25u << 26 | A64_ESR_IL | 0x21, RESULTS + 0x401 },
		{ 10, 0x07u << 26 | A64_ESR_IL | 0x1e00000, 0 },
		{ 11, A64_ESR_IL, 0 },
		{ 12, A64_ESR_IL, 0 },
	};

	MAKE(faults);
	put_code(VECTORS + 0x200, vector, sizeof(vector));
	run();
	for (unsigned i = 0; i < HC_ARRAY_SIZE(want); i++) {
		assert_int_equal(result(4 * i), want[i].esr);
		assert_int_equal(result(4 * i + 1), CODE + 4 * want[i].at);
		assert_int_equal(result(4 * i + 2) & 0xfffffff, A64_PSTATE_EL1H | A64_PSTATE_DAIF);
		if (want[i].far)
			assert_int_equal(result(4 * i + 3), want[i].far);
	}
	assert_int_equal(result(4 * HC_ARRAY_SIZE(want)), 0);
	assert_int_equal(st->pc, CODE + sizeof(faults));
	end();
}

/* clang-format off */
static const uint32_t illegal[] = {
	0xaa1403f5, /* mov x21, x20 */
	0xd518c016, /* msr vbar_el1, x22 */
	0x100000a0, /* adr x0, +0x1c */
	0xd5184020, /* msr elr_el1, x0 */
	0xd2807920, /* mov x0, #0x3c9 */
	0xd5184000, /* msr spsr_el1, x0 */
	0xd69f03e0, /* eret */
	0xd503201f, /* nop */
	0xd503207f, /* wfi */
};
/* clang-format on */

/* A return to EL2 sets PSTATE.IL, and the next instruction is an exception for it. */
static void test_illegal_return(void **state)
{
	static const uint32_t wfi = 0xd503207f;

	MAKE(illegal);
	put_code(VECTORS + 0x200, vector, sizeof(vector));
	put_code(VECTORS + 0x200 + 6 * 4, &wfi, sizeof(wfi));
	run();
	assert_int_equal(result(0), (uint64_t)A64_EC_ILLEGAL << 26 | A64_ESR_IL);
	assert_int_equal(result(1), CODE + 4 * 7);
	assert_true(result(2) & A64_PSTATE_IL);
	end();
}

/* clang-format off */
static const uint32_t jump[] = {
	0xaa1403f5, /* mov x21, x20 */
	0xd518c016, /* msr vbar_el1, x22 */
	0xd5033fdf, /* isb */
	0xd61f0000, /* br x0 */
};
/* clang-format on */

/* A PC with low bits: whatever lies there, and before the abort where nothing does (D1.3). */
static void test_pc_alignment(void **state)
{
	static const uint64_t align = (uint64_t)A64_EC_PC_ALIGN << 26 | A64_ESR_IL;
	static const uint64_t abort = 0x21u << 26 | A64_ESR_IL | 0x10;
	const struct {
		uint64_t to, esr;
	} jumps[] = {
		{ CODE + 2, align },       { CODE + 1, align },       { CODE + 0x403, align },
		{ RAM + SIZE - 2, align }, { RAM + SIZE - 1, align }, { RAM + SIZE + 2, align },
		{ RAM + SIZE, abort },     { DEVICE + 1, align },     { 2 * RAM, abort },
	};
	static const uint32_t wfi = 0xd503207f;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(jumps); i++) {
		MAKE(jump);
		put_code(VECTORS + 0x200, vector, sizeof(vector));
		put_code(VECTORS + 0x200 + 6 * 4, &wfi, sizeof(wfi));
		st->x[0] = jumps[i].to;
		run();
		assert_int_equal(result(0), jumps[i].esr);
		assert_int_equal(result(1), jumps[i].to);
		assert_int_equal(result(3), jumps[i].to);
		end();
	}
}

/* --- System registers, firmware --- */

/* clang-format off */
static const uint32_t pstate[] = {
	0xd2822200, /* mov x0, #0x1110 */
	0x9100001f, /* mov sp, x0 */
	0xd50040bf, /* msr spsel, #0x0 */
	0xd2844400, /* mov x0, #0x2220 */
	0x9100001f, /* mov sp, x0 */
	0xd5384201, /* mrs x1, spsel */
	0xd5384242, /* mrs x2, currentel */
	0xd50041bf, /* msr spsel, #0x1 */
	0x910003e3, /* mov x3, sp */
	0xd5384104, /* mrs x4, sp_el0 */
	0xd50343ff, /* msr daifclr, #0x3 */
	0xd53b4225, /* mrs x5, daif */
	0xd50341df, /* msr daifset, #0x1 */
	0xd53b4226, /* mrs x6, daif */
	0xd2be0007, /* mov x7, #0xf0000000 */
	0xd51b4207, /* msr nzcv, x7 */
	0x9a9f77e8, /* cset x8, vs */
	0xd2824689, /* mov x9, #0x1234 */
	0xd518d089, /* msr tpidr_el1, x9 */
	0xd538d08a, /* mrs x10, tpidr_el1 */
	0xd538000b, /* mrs x11, midr_el1 */
	0xd53be00c, /* mrs x12, cntfrq_el0 */
	0xd2a0060d, /* mov x13, #0x300000 */
	0xd518104d, /* msr cpacr_el1, x13 */
	0xd28013ed, /* mov x13, #0x9f */
	0xd51b442d, /* msr fpsr, x13 */
	0xd53b442e, /* mrs x14, fpsr */
	0xa9000a81, /* stp x1, x2, [x20] */
	0xa9011283, /* stp x3, x4, [x20, #16] */
	0xa9021a85, /* stp x5, x6, [x20, #32] */
	0xa9032a88, /* stp x8, x10, [x20, #48] */
	0xa904328b, /* stp x11, x12, [x20, #64] */
	0xf9002a8e, /* str x14, [x20, #80] */
	0xd503207f, /* wfi */
};
/* clang-format on */

static void test_pstate(void **state)
{
	MAKE(pstate);
	run();
	assert_int_equal(result(0), 0);
	assert_int_equal(result(1), 4);
	assert_int_equal(result(2), 0x1110);
	assert_int_equal(result(3), 0x2220);
	assert_int_equal(result(4), A64_PSTATE_D | A64_PSTATE_A);
	assert_int_equal(result(5), A64_PSTATE_D | A64_PSTATE_A | A64_PSTATE_F);
	assert_int_equal(result(6), 1);
	assert_int_equal(result(7), 0x1234);
	assert_int_equal(result(8), st->midr);
	assert_int_equal(result(9), hc_platform_cycles_hz());
	assert_int_equal(result(10), 0x9f);
	assert_int_equal(st->sys[A64_SP_EL0], 0x2220);
	assert_int_equal(st->sys[A64_SP_EL1], 0x1110);
	assert_int_equal(st->sys[A64_TPIDR_EL1], 0x1234);
	end();
}

/* clang-format off */
static const uint32_t psci[] = {
	0x52b08000, /* mov w0, #0x84000000 */
	0xd4000002, /* hvc #0x0 */
	0xaa0003f3, /* mov x19, x0 */
	0x52b08000, /* mov w0, #0x84000000 */
	0xd4000003, /* smc #0x0 */
	0xa9000293, /* stp x19, x0, [x20] */
	0x52b08000, /* mov w0, #0x84000000 */
	0x72800100, /* movk w0, #0x8 */
	0xd4000002, /* hvc #0x0 */
	0x14000000, /* b +0x24 */
};
/* clang-format on */

static void test_firmware(void **state)
{
	MAKE(psci);
	start();
	assert_int_equal(result(0), 0x10001);
	assert_int_equal(result(1), 0x10001);
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	assert_int_equal(hc_vm_cause(vm), HC_STOP_POWEROFF);
	end();
}

/* --- Code that changes --- */

/* clang-format off */
static const uint32_t code[] = {
	0x10000201, /* adr x1, +0x40 */
	0x10000222, /* adr x2, +0x48 */
	0x9400000e, /* bl +0x40 */
	0xaa0003f3, /* mov x19, x0 */
	0xb9400043, /* ldr w3, [x2] */
	0xb9000023, /* str w3, [x1] */
	0xd50b7b21, /* dc cvau, x1 */
	0xd5033b9f, /* dsb ish */
	0xd50b7521, /* ic ivau, x1 */
	0xd5033b9f, /* dsb ish */
	0xd5033fdf, /* isb */
	0x94000005, /* bl +0x40 */
	0xa9000293, /* stp x19, x0, [x20] */
	0x91010e81, /* add x1, x20, #0x43 */
	0xd50b7421, /* dc zva, x1 */
	0xd503207f, /* wfi */
	0xd2800020, /* mov x0, #0x1 */
	0xd65f03c0, /* ret */
	0xd2800040, /* mov x0, #0x2 */
};
/* clang-format on */

static void test_code(void **state)
{
	MAKE(code);
	memset(ram + (RESULTS - RAM) + 0x38, 0xff, 80);
	run();
	assert_int_equal(result(0), 1);
	assert_int_equal(result(1), 2);
	for (unsigned i = 7; i < 17; i++) /* DC ZVA: 64 bytes */
		assert_int_equal(result(i), i > 7 && i < 16 ? 0 : UINT64_MAX);
	end();
}

/* --- What is refused --- */

/* clang-format off */
static const uint32_t to_user[] = {
	0x10000080, /* adr x0, +0x10 */
	0xd5184020, /* msr elr_el1, x0 */
	0xd518401f, /* msr spsr_el1, xzr */
	0xd69f03e0, /* eret */
	0x14000000, /* b +0x10 */
};
static const uint32_t mmu_on[] = {
	0xd5381000, /* mrs x0, sctlr_el1 */
	0xb2400000, /* orr x0, x0, #0x1 */
	0xd5181000, /* msr sctlr_el1, x0 */
	0xd5033fdf, /* isb */
	0x14000000, /* b +0x10 */
};
static const uint32_t translate[] = {
	0xd5087800, /* at s1e1r, x0 */
};
/* clang-format on */

static const struct refused {
	const uint32_t *code;
	size_t size;
	const char *text;
} refused[] = {
	{ to_user, sizeof(to_user), "user mode (EL0)" },
	{ mmu_on, sizeof(mmu_on), "MMU is on" },
	{ translate, sizeof(translate), "AT" },
};

static void expect_failure(const char *text)
{
	start();
	assert_int_equal(hc_vm_state(vm), HC_VM_FAILED);
	if (!strstr(hc_vm_reason(vm), text))
		fail_msg("%s", hc_vm_reason(vm));
	end();
}

static void test_refused(void **state)
{
	const struct hc_vm_config two = {
		"two", &a64_arch_ops, &unicorn_a64_backend, 2, NULL, 0, 0
	};
	struct hc_vm *other;

	for (unsigned i = 0; i < HC_ARRAY_SIZE(refused); i++) {
		make_guest(refused[i].code, refused[i].size);
		expect_failure(refused[i].text);
	}
	MAKE(sum);
	st->mdscr = 1;
	expect_failure("single steps");
	MAKE(sum);
	st->pstate |= 0x10;
	expect_failure("AArch64 state");
	MAKE(sum);
	st->sys[A64_SCTLR_EL1] |= HC_BIT(25);
	expect_failure("big-endian");
	assert_int_equal(hc_vm_create(&other, &two), -ERANGE);
}

/* --- Being left --- */

/* clang-format off */
static const uint32_t spin[] = {
	0xb90002a0, /* str w0, [x21] */
	0x14000000, /* b +0x4 */
};
/* clang-format on */

static void want_attention(void)
{
	test_stop_loop();
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	atomic_store(&vcpu->cpu->attention, true);
}

static void test_kick(void **state)
{
	MAKE(spin);
	dev.on_write = want_attention;
	start();
	assert_int_equal(hc_vm_state(vm), HC_VM_STOPPED);
	end();
}

/* --- Anything --- */

static _Atomic bool *attention; /* of the one CPU */

static void on_alarm(int number)
{
	atomic_store(attention, true);
}

static void on_window(void)
{
	hc_vm_stop(vm, HC_STOP_REQUEST, 0);
	test_stop_loop();
}

static void set_alarm(long us)
{
	const struct itimerval t = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &t, NULL);
}

/* Instructions of all groups; each guest gets a few milliseconds. Whatever it does ends in its own
 * VM. */
static void test_anything(void **state)
{
	uint64_t seed = 64;
	uint32_t words[256];
	unsigned ended = 0;

	signal(SIGALRM, on_alarm);
	for (unsigned n = 0; n < test_rounds(150); n++) {
		for (unsigned i = 0; i < HC_ARRAY_SIZE(words); i++) {
			words[i] = (uint32_t)test_random(&seed);
			if (test_below(&seed, 4) == 0)
				words[i] = (words[i] & 0x003fffff) | 0xd5000000;
		}
		make_guest(words, sizeof(words));
		put_code(VECTORS + 0x200, vector, sizeof(vector));
		for (unsigned i = 0; i < 31; i++)
			st->x[i] = RAM + 0x20000 + test_below(&seed, 0x40000);
		st->x[21] = RESULTS + 0x400;
		st->sys[A64_VBAR_EL1] = VECTORS;
		st->sys[A64_CPACR_EL1] = test_random(&seed) & 3 << 20;
		test_on_irq_window = on_window;
		attention = &hc_sched_cpu(0)->attention;
		set_alarm(3000);
		start();
		set_alarm(0);
		test_on_irq_window = NULL;
		ended += hc_vm_state(vm) != HC_VM_RUNNING;
		end();
	}
	assert_in_range(ended, 1, UINT32_MAX);
	test_arithmetic(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),     cmocka_unit_test(test_device),
		cmocka_unit_test(test_undescribed),    cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_illegal_return), cmocka_unit_test(test_pc_alignment),
		cmocka_unit_test(test_pstate),         cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_code),           cmocka_unit_test(test_refused),
		cmocka_unit_test(test_kick),           cmocka_unit_test(test_anything),
	};
	struct hc_backend_info info;

	test_platform_init(1);
	int rc = unicorn_a64_backend.probe(&info);

	printf("%s%s\n", rc ? "SKIP: " : "", info.reason);
	return rc ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
