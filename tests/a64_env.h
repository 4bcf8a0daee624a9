/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AArch64 guest platform without a CPU: a backend that replays lists of exits, physical CPUs
 * that are tables of ID registers, and an interrupt controller that notes what it is
 * told (a64_env_gic.c, for tests that do without the real one).
 *
 * The backend keeps the "hardware's" registers to itself: after an exit the neutral state holds
 * rubbish in every group but CORE, and what is not marked dirty does not reach the hardware, so
 * that a handler that forgets hc_vcpu_need() or hc_vcpu_dirty() fails its test.
 */
#ifndef TESTS_A64_ENV_H
#define TESTS_A64_ENV_H

#include "arch/aarch64/gic/gic.h"

extern const struct hc_backend_ops a64_scripted_backend;

/* What the guest does before its next exit, and the exit. */
struct a64_step {
	struct hc_exit exit;
	uint64_t advance_ns; /* on the test platform's clock */
	void (*guest)(struct hc_vcpu *vcpu, struct a64_state *hw); /* may be NULL */
};

/* Kept in vcpu->backend_data. */
struct a64_script {
	const struct a64_step *steps; /* after the last: WFI */
	unsigned count, at;
	struct a64_state hw;
	unsigned entries;
};

static inline struct a64_script *a64_script_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

/* Physical CPUs. */
enum a64_host {
	A64_HOST_A57,      /* QEMU TCG's: ARMv8.0 */
	A64_HOST_N1,       /* the same: ARMv8.2 */
	A64_HOST_ZERO,     /* every ID register 0 */
	A64_HOST_ALL_ONES, /* every bit set */
	A64_HOST_RANDOM,   /* every bit by chance, from a64_host_seed */
	A64_HOST_COUNT
};

extern enum a64_host a64_host;
extern uint64_t a64_host_seed;
extern unsigned a64_env_gpa_bits; /* that the backend has; 40 at the start */
extern unsigned a64_env_written;  /* times that it was told of memory that was written */

/* What the interrupt controller was told, and what it is to say. */
struct a64_env_gic {
	bool has_interrupt[A64_MAX_VCPUS];
	bool ppi[A64_MAX_VCPUS][32], linked[A64_MAX_VCPUS][32];
	unsigned ppi_changes;   /* calls that changed a level */
	unsigned deactivations; /* writes of ICC_DIR_EL1 */
	unsigned entries, resets, sgis;
	uint64_t sgi_value;
	unsigned sgi_group;
};

extern struct a64_env_gic a64_env_gic; /* a64_env_gic.c */

/* A VM in state created, with memory bytes of RAM (0: none) at A64_ENV_RAM, on CPU 0 of the test
 * platform. It has no interrupt controller. */
#define A64_ENV_RAM UINT64_C(0x40000000)
struct hc_vm *a64_env_vm(unsigned cpus, uint64_t memory);

/* The same with the interrupt controller of a64_env_gic.c, version 3. */
struct hc_vm *a64_env_vm_with_gic(unsigned cpus, uint64_t memory);

void a64_env_script(struct hc_vcpu *vcpu, const struct a64_step *steps, unsigned count);

/* Lets the test platform's CPU run its loop until nothing is left to do. The VM was started. */
void a64_env_run(void);

/* One exit outside of the run loop: requests are taken, state goes to the hardware and comes back,
 * the handler is called. Returns what the handler did. */
int a64_env_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit);

/* Puts the hardware's registers into the neutral state, all groups, for the test to look at; what
 * it changes there has to be marked dirty, which a64_env_set() does for all. */
struct a64_state *a64_env_state(struct hc_vcpu *vcpu);
struct a64_state *a64_env_set(struct hc_vcpu *vcpu);

/* Numbers by chance, the same in every run. */
uint64_t a64_env_random(void);

#endif
