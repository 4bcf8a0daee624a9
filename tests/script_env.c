/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/script_env.h"

#include <hypercore/errno.h>
#include <stdio.h>

#include "tests/platform.h"

unsigned script_gpa_bits = 40;

void script_copy(void *to, const void *from, uint32_t groups)
{
	for (uint32_t group = 1; group < script_isa.all; group <<= 1)
		if (groups & group)
			script_isa.copy_group(to, from, group);
}

/* --- The backend --- */

int script_probe(struct hc_backend_info *info)
{
	snprintf(info->reason, sizeof(info->reason), "replays exits");
	info->max_vcpus = 0;
	info->gpa_bits = script_gpa_bits;
	info->gic_version = script_isa.gic_version;
	return 0;
}

int script_vcpu_create(struct hc_vcpu *vcpu)
{
	struct script *s = hc_platform_alloc(script_isa.size);

	if (!s)
		return -ENOMEM;
	s->hw = (uint8_t *)s + script_isa.hw_offset;
	vcpu->backend_data = s;
	return 0;
}

void script_vcpu_destroy(struct hc_vcpu *vcpu)
{
	hc_platform_free(vcpu->backend_data, script_isa.size);
}

void script_get_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	script_copy(vcpu->state, script_of(vcpu)->hw, groups);
}

void script_set_state(struct hc_vcpu *vcpu, uint32_t groups)
{
	script_copy(script_of(vcpu)->hw, vcpu->state, groups);
}

void script_enter(struct hc_vcpu *vcpu)
{
	script_set_state(vcpu, vcpu->dirty);
	script_of(vcpu)->entries++;
}

bool script_next(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	struct script *s = script_of(vcpu);

	if (s->at == s->count) {
		*exit = (struct hc_exit){ .reason = HC_EXIT_HALT, .next_pc = script_isa.pc(s->hw) };
		return false;
	}
	const struct script_step *step = &s->steps[s->at++];

	test_now_ns += step->advance_ns;
	if (step->guest)
		step->guest(vcpu, s->hw);
	*exit = step->exit;
	return true;
}

void script_leave(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	script_isa.spoil(vcpu->state);
	script_get_state(vcpu, script_isa.core);
	vcpu->valid = script_isa.core;
	vcpu->dirty = 0;
	exit->pc = script_isa.pc(vcpu->state);
}

void script_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size)
{
	snprintf(buf, size, "scripted code %llu", (unsigned long long)exit->u.raw.code);
}

/* --- For the tests --- */

struct hc_vm *script_vm(unsigned cpus, uint64_t memory)
{
	const struct hc_vm_config config = {
		"test", script_isa.arch, &scripted_backend, cpus, NULL, 0, 0
	};
	struct hc_vm *vm;

	test_platform_init(1);
	if (hc_vm_create(&vm, &config))
		return NULL;
	if (memory && script_isa.add_ram(vm, memory)) {
		hc_vm_destroy(vm);
		return NULL;
	}
	return vm;
}

void script_set(struct hc_vcpu *vcpu, const struct script_step *steps, unsigned count)
{
	struct script *s = script_of(vcpu);

	s->steps = steps;
	s->count = count;
	s->at = 0;
}

void script_round(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	if (atomic_fetch_and(&vcpu->requests, ~(uint32_t)HC_REQ_EVENT) & HC_REQ_EVENT)
		(void)vcpu->vm->arch->before_entry(vcpu);
	script_isa.enter(vcpu);
	script_leave(vcpu, exit);
}

int script_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	struct hc_exit e = *exit;

	script_round(vcpu, &e);
	return vcpu->vm->arch->handlers[e.reason](vcpu, &e);
}

void *script_state(struct hc_vcpu *vcpu)
{
	hc_vcpu_need(vcpu, script_isa.all);
	return vcpu->state;
}
