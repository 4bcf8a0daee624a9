/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86 guest platform without a CPU: script_env.h with a record of what the backend was asked to
 * inject, and physical CPUs that are tables of CPUID answers.
 */
#ifndef TESTS_X86_ENV_H
#define TESTS_X86_ENV_H

#include "arch/x86_64/x86.h"
#include "tests/script_env.h"

#define X86_ENV_EVENTS 256

/* Kept in vcpu->backend_data. */
struct x86_script {
	struct script script; /* first; ends by cli; hlt */
	struct x86_state hw;
	struct x86_event injecting; /* delivered by the next entry */
	struct x86_event events[X86_ENV_EVENTS];
	unsigned event_count;
	bool window, nmi_window;
	unsigned windows; /* requests of either */
};

static inline struct x86_script *x86_script_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

/* Physical CPUs. */
enum x86_host {
	X86_HOST_EPYC,     /* QEMU TCG's */
	X86_HOST_SKYLAKE,  /* a server with AVX-512 */
	X86_HOST_OLD,      /* 64 bits, and nothing that came later */
	X86_HOST_ALL_ONES, /* every bit of every leaf set */
	X86_HOST_RANDOM,   /* every bit by chance, from x86_host_seed */
	X86_HOST_COUNT
};

extern enum x86_host x86_host;
extern uint64_t x86_host_seed;

static inline struct x86_state *x86_env_state(struct hc_vcpu *vcpu)
{
	return script_state(vcpu);
}

#endif
