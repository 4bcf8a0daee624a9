/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/a64_env.h"

#include <assert.h>
#include <hypercore/errno.h>
#include <stdio.h>
#include <string.h>

#include "mmu/vmsav8.h"
#include "tests/platform.h"

/* --- State groups --- */

static void copy_group(struct a64_state *to, const struct a64_state *from, uint32_t group)
{
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

static void copy_groups(struct a64_state *to, const struct a64_state *from, uint32_t groups)
{
	for (uint32_t group = 1; group < A64_G_ALL; group <<= 1)
		if (groups & group)
			copy_group(to, from, group);
}

/* Everything but CORE, and what backends never change. */
static void spoil(struct a64_state *s)
{
	static struct a64_state rubbish;

	memset(&rubbish, 0xa5, sizeof(rubbish));
	rubbish.serror = true;
	copy_groups(s, &rubbish, A64_G_ALL & ~(uint32_t)(A64_G_CORE | A64_G_ID));
}

/* --- The backend --- */

unsigned a64_env_gpa_bits = 40;

static int probe(struct hc_backend_info *info)
{
	snprintf(info->reason, sizeof(info->reason), "replays exits");
	info->max_vcpus = 0;
	info->gpa_bits = a64_env_gpa_bits;
	info->gic_version = 3;
	return 0;
}

static int cpu_enable(struct hc_cpu *cpu)
{
	return 0;
}

static void cpu_nothing(struct hc_cpu *cpu)
{
}

static int vm_create(struct hc_vm *vm)
{
	hc_vm_set_part(vm, &a64_scripted_backend, vm);
	return 0;
}

static void vm_nothing(struct hc_vm *vm)
{
}

static int vcpu_create(struct hc_vcpu *vcpu)
{
	vcpu->backend_data = hc_platform_alloc(sizeof(struct a64_script));
	return vcpu->backend_data ? 0 : -ENOMEM;
}

static void vcpu_destroy(struct hc_vcpu *vcpu)
{
	hc_platform_free(vcpu->backend_data, sizeof(struct a64_script));
}

static void vcpu_nothing(struct hc_vcpu *vcpu)
{
}

static void get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	copy_groups(vcpu->state, &a64_script_of(vcpu)->hw, groups);
}

static void set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	copy_groups(&a64_script_of(vcpu)->hw, vcpu->state, groups);
}

static void enter(struct hc_vcpu *vcpu)
{
	set_state(vcpu, vcpu->dirty);
	a64_script_of(vcpu)->entries++;
}

static void leave(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct a64_state *state = vcpu->state;

	spoil(state);
	copy_groups(state, &a64_script_of(vcpu)->hw, A64_G_CORE);
	vcpu->valid = A64_G_CORE;
	vcpu->dirty = 0;
	exit->pc = state->pc;
}

static void run(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct a64_script *s = a64_script_of(vcpu);

	enter(vcpu);
	if (s->at < s->count) {
		const struct a64_step *step = &s->steps[s->at++];

		test_now_ns += step->advance_ns;
		if (step->guest)
			step->guest(vcpu, &s->hw);
		*exit = step->exit;
	} else {
		*exit = (struct hc_exit){ .reason = HC_EXIT_HALT, .next_pc = s->hw.pc };
	}
	leave(vcpu, exit);
}

static void invalidate(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
}

unsigned a64_env_written;

static void written(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	a64_env_written++;
}

static void explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	snprintf(buf, size, "scripted code %llu", (unsigned long long)exit->u.raw.code);
}

const struct hc_backend_ops a64_scripted_backend = {
	.name = "scripted",
	.isa = HC_ISA_AARCH64,
	.s2_format = &vmsav8_format,
	.probe = probe,
	.cpu_enable = cpu_enable,
	.cpu_disable = cpu_nothing,
	.vm_create = vm_create,
	.vm_destroy = vm_nothing,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.load = vcpu_nothing,
	.put = vcpu_nothing,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.invalidate = invalidate,
	.written = written,
	.explain = explain,
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

struct hc_vm *a64_env_vm(unsigned cpus, uint64_t memory)
{
	const struct hc_vm_config config = { "test", &a64_arch_ops, &a64_scripted_backend, cpus,
		                             NULL };
	struct hc_vm *vm;

	test_platform_init(1);
	if (hc_vm_create(&vm, &config))
		return NULL;
	if (memory && hc_vm_add_ram(vm, gpa_of(A64_ENV_RAM), memory)) {
		hc_vm_destroy(vm);
		return NULL;
	}
	return vm;
}

void a64_env_script(struct hc_vcpu *vcpu, const struct a64_step *steps, unsigned count)
{
	struct a64_script *s = a64_script_of(vcpu);

	s->steps = steps;
	s->count = count;
	s->at = 0;
}

static void stop_this_cpu(void)
{
	atomic_store(&hc_platform_this_cpu()->stop, true);
}

void a64_env_run(void)
{
	test_on_idle = stop_this_cpu;
	hc_sched_loop(hc_sched_cpu(0));
	atomic_store(&hc_sched_cpu(0)->stop, false);
	test_on_idle = NULL;
}

int a64_env_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	struct hc_exit e = *exit;

	if (atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_EVENT) & HC_REQ_EVENT)
		(void)vcpu->vm->arch->before_entry(vcpu);
	enter(vcpu);
	leave(vcpu, &e);
	return vcpu->vm->arch->handlers[e.reason](vcpu, &e);
}

struct a64_state *a64_env_state(struct hc_vcpu *vcpu)
{
	hc_vcpu_need(vcpu, A64_G_ALL);
	return vcpu->state;
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
