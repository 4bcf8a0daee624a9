/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/a64_env.h"

#include <assert.h>
#include <string.h>

#include "mmu/vmsav8.h"
#include "tests/platform.h"
#include "tests/unit.h"

/* --- State groups --- */

static void copy_group(void *to_, const void *from_, uint32_t group)
{
	struct a64_state *to = to_;
	const struct a64_state *from = from_;

	switch (group) {
	case A64_G_CORE:
		memcpy(to->x, from->x, sizeof(to->x));
		to->pc = from->pc;
		to->pstate = from->pstate;
		break;
	case A64_G_SYS: memcpy(to->sys, from->sys, sizeof(to->sys)); break;
	case A64_G_TIMER:
		to->cntvoff = from->cntvoff;
		to->cntv_cval = from->cntv_cval;
		to->cntv_ctl = from->cntv_ctl;
		break;
	case A64_G_DEBUG:
		to->mdscr = from->mdscr;
		memcpy(to->dbgbvr, from->dbgbvr, sizeof(to->dbgbvr));
		memcpy(to->dbgbcr, from->dbgbcr, sizeof(to->dbgbcr));
		memcpy(to->dbgwvr, from->dbgwvr, sizeof(to->dbgwvr));
		memcpy(to->dbgwcr, from->dbgwcr, sizeof(to->dbgwcr));
		break;
	case A64_G_FP:
		memcpy(to->v, from->v, sizeof(to->v));
		to->fpsr = from->fpsr;
		to->fpcr = from->fpcr;
		break;
	case A64_G_GIC: to->gic = from->gic; break;
	case A64_G_EVENT:
		to->serror = from->serror;
		to->vsesr = from->vsesr;
		break;
	case A64_G_ID:
		to->midr = from->midr;
		to->mpidr = from->mpidr;
		break;
	default: assert(0);
	}
}

/* Everything but CORE, and what backends never change. */
static void spoil(void *state)
{
	static struct a64_state rubbish;

	memset(&rubbish, 0xa5, sizeof(rubbish));
	rubbish.serror = true;
	script_copy(state, &rubbish, A64_G_ALL & ~(uint32_t)(A64_G_CORE | A64_G_ID));
}

/* --- The backend --- */

static uint64_t pc(const void *state)
{
	return ((const struct a64_state *)state)->pc;
}

static int add_ram(struct hc_vm *vm, uint64_t size)
{
	return hc_vm_add_ram(vm, gpa_of(A64_ENV_RAM), size);
}

const struct script_isa script_isa = {
	.arch = &a64_arch_ops,
	.size = sizeof(struct a64_script),
	.hw_offset = offsetof(struct a64_script, hw),
	.core = A64_G_CORE,
	.all = A64_G_ALL,
	.gic_version = 3,
	.copy_group = copy_group,
	.spoil = spoil,
	.pc = pc,
	.enter = script_enter,
	.add_ram = add_ram,
};

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	script_enter(vcpu);
	(void)script_next(vcpu, exit);
	script_leave(vcpu, exit);
}

unsigned a64_env_written;

static void written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	a64_env_written++;
}

const struct hc_backend_ops scripted_backend = {
	.isa = HC_ISA_AARCH64,
	.s2_format = &vmsav8_format,
	.run = run,
	.written = written,
	SCRIPT_BACKEND,
};

/* --- Physical CPUs --- */

enum a64_host a64_host;
uint64_t a64_host_seed = 1;

struct answer {
	uint32_t number;
	uint64_t value;
};

#define ID(crm, op2) A64_SYSREG(3, 0, 0, crm, op2)

static const struct answer a57[] = {
	{ ID(0, 0), 0x411fd070 },         { ID(4, 0), 0x01002222 },
	{ ID(5, 0), 0x10305106 },         { ID(6, 0), 0x00011120 },
	{ ID(7, 0), 0x00001124 },         { A64_SYSREG(3, 3, 0, 0, 1), 0x8444c004 },
	{ A64_SYSREG(3, 3, 0, 0, 7), 4 },
};

static const struct answer n1[] = {
	{ ID(0, 0), 0x414fd0c1 },
	{ ID(4, 0), UINT64_C(0x1100000011112222) },
	{ ID(4, 1), 0x20 },
	{ ID(5, 0), UINT64_C(0x0000000110305408) },
	{ ID(6, 0), UINT64_C(0x0000100010211120) },
	{ ID(6, 1), UINT64_C(0x0000000000100001) },
	{ ID(7, 0), UINT64_C(0x0000000000101125) },
	{ ID(7, 1), UINT64_C(0x0000000010212122) },
	{ ID(7, 2), UINT64_C(0x0000000000001011) },
	{ A64_SYSREG(3, 3, 0, 0, 1), 0x8444c004 },
	{ A64_SYSREG(3, 3, 0, 0, 7), 4 },
};

static uint64_t look_up(const struct answer *answers, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (answers[i].number == number)
			return answers[i].value;
	return 0;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t a64_host_id(uint32_t number)
{
	switch (a64_host) {
	case A64_HOST_A57: return look_up(a57, HC_ARRAY_SIZE(a57), number);
	case A64_HOST_N1: return look_up(n1, HC_ARRAY_SIZE(n1), number);
	case A64_HOST_ALL_ONES: return UINT64_MAX;
	case A64_HOST_RANDOM: return mix(a64_host_seed << 20 ^ number);
	case A64_HOST_ZERO: return 0;
	case A64_HOST_COUNT:
	default: assert(0); return 0;
	}
}

/* --- For the tests --- */

void a64_env_end(struct hc_vm *vm)
{
	assert_int_equal(hc_vm_destroy(vm), 0);
	assert_int_equal(test_allocated, 0);
	a64_host = A64_HOST_A57;
}

struct a64_state *a64_env_set(struct hc_vcpu *vcpu)
{
	struct a64_state *s = a64_env_state(vcpu);

	hc_vcpu_dirty(vcpu, A64_G_ALL);
	return s;
}

uint64_t a64_env_random(void)
{
	static uint64_t at = 1;

	return mix(at += UINT64_C(0x9e3779b97f4a7c15));
}
