/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86 guest platform without a CPU: a backend that replays lists of exits and records what it
 * was asked to inject, and physical CPUs that are tables of CPUID answers.
 *
 * The backend keeps the "hardware's" registers to itself: after an exit the neutral state holds
 * rubbish in every group but CORE, and what is not marked dirty does not reach the hardware, so
 * that a handler that forgets hc_vcpu_need() or hc_vcpu_dirty() fails its test.
 */
#ifndef TESTS_X86_ENV_H
#define TESTS_X86_ENV_H

#include "arch/x86_64/x86.h"

extern const struct hc_backend_ops scripted_backend;

/* What the guest does before its next exit, and the exit. */
struct x86_step {
	struct hc_exit exit;
	uint64_t advance_ns; /* on the test platform's clock */
	void (*guest)(struct hc_vcpu *vcpu, struct x86_state *hw); /* may be NULL */
};

#define X86_ENV_EVENTS 256

/* Kept in vcpu->backend_data. */
struct x86_script {
	const struct x86_step *steps; /* after the last: cli; hlt */
	unsigned count, at;
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

/* A VM in state created, with memory bytes of RAM (0: none), on CPU 0 of the test platform. */
struct hc_vm *x86_env_vm(unsigned cpus, uint64_t memory);

void x86_env_script(struct hc_vcpu *vcpu, const struct x86_step *steps, unsigned count);

/* Lets the test platform's CPU run its loop until nothing is left to do. The VM was started. */
void x86_env_run(void);

/* One exit outside of the run loop: requests are taken, state goes to the hardware and comes back,
 * the handler is called. Returns what the handler did. */
int x86_env_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit);

/* Puts the hardware's registers into the neutral state, all groups, for the test to look at. */
struct x86_state *x86_env_state(struct hc_vcpu *vcpu);

#endif
