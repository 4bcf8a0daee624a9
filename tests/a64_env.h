/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AArch64 guest platform without a CPU: script_env.h with physical CPUs that are tables of ID
 * registers, and an interrupt controller that notes what it is told (a64_env_gic.c, for tests that
 * do without the real one).
 */
#ifndef TESTS_A64_ENV_H
#define TESTS_A64_ENV_H

#include "arch/aarch64/gic/gic.h"
#include "tests/script_env.h"

/* Kept in vcpu->backend_data. */
struct a64_script {
	struct script script; /* first */
	struct a64_state hw;
};

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
extern unsigned a64_env_written; /* times that it was told of memory that was written */

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

/* Where the RAM of script_vm() is. That VM has no interrupt controller; this one has that of
 * a64_env_gic.c, version 3. */
#define A64_ENV_RAM UINT64_C(0x40000000)
struct hc_vm *a64_env_vm_with_gic(unsigned cpus, uint64_t memory);

/* Destroys the VM, checks that all memory came back, and is on the first physical CPU again. */
void a64_env_end(struct hc_vm *vm);

static inline struct a64_state *a64_env_state(struct hc_vcpu *vcpu)
{
	return script_state(vcpu);
}

/* The same for the test to change: marked dirty, all groups. */
struct a64_state *a64_env_set(struct hc_vcpu *vcpu);

/* Numbers by chance, the same in every run. */
uint64_t a64_env_random(void);

#endif
