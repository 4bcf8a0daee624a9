/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest platform without a CPU: a backend that replays lists of exits. What it has to know of the
 * guest's architecture is in script_isa, which x86_env.c or a64_env.c gives.
 *
 * The backend keeps the "hardware's" registers to itself: after an exit the neutral state holds
 * rubbish in every group but CORE, and what is not marked dirty does not reach the hardware, so
 * that a handler that forgets hc_vcpu_need() or hc_vcpu_dirty() fails its test.
 */
#ifndef TESTS_SCRIPT_ENV_H
#define TESTS_SCRIPT_ENV_H

#include "tests/stub_backend.h"

/* What the guest does before its next exit, and the exit. */
struct script_step {
	struct hc_exit exit;
	uint64_t advance_ns; /* on the test platform's clock */
	/* hw: the hardware's registers, a struct x86_state or a64_state. May be NULL. */
	void (*guest)(struct hc_vcpu *vcpu, void *hw);
};

/* What vcpu->backend_data points to; an architecture has more behind it. */
struct script {
	const struct script_step *steps; /* after the last: sleeps for good */
	unsigned count, at;
	unsigned entries;
	void *hw; /* behind it */
};

static inline struct script *script_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

struct script_isa {
	const struct hc_arch_ops *arch;
	size_t size,
		hw_offset;    /* of what begins with a struct script, and of the registers in it */
	uint32_t core, all;   /* groups of state: valid after an exit, and that there are */
	unsigned gic_version; /* that the backend offers */
	void (*copy_group)(void *to, const void *from, uint32_t group);
	void (*spoil)(void *state); /* all groups that exits invalidate */
	uint64_t (*pc)(const void *state);
	void (*enter)(struct hc_vcpu *vcpu); /* script_enter(), and what else an entry does */
	int (*add_ram)(struct hc_vm *vm, uint64_t size);
};

extern const struct script_isa script_isa;
extern const struct hc_backend_ops scripted_backend; /* of SCRIPT_BACKEND and more */
extern unsigned script_gpa_bits;                     /* that the backend has; 40 at the start */

/* --- For script_isa and scripted_backend --- */

int script_probe(struct hc_backend_info *info);
int script_vcpu_create(struct hc_vcpu *vcpu);
void script_vcpu_destroy(struct hc_vcpu *vcpu);
void script_get_state(struct hc_vcpu *vcpu, uint32_t groups);
void script_set_state(struct hc_vcpu *vcpu, uint32_t groups);
void script_explain(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);

#define SCRIPT_BACKEND                                                                             \
	STUB_BACKEND, .name = "scripted", .probe = script_probe,                                   \
		      .vcpu_create = script_vcpu_create, .vcpu_destroy = script_vcpu_destroy,      \
		      .get_state = script_get_state, .set_state = script_set_state,                \
		      .explain = script_explain

void script_copy(void *to, const void *from, uint32_t groups);

/* The parts of run(): what is dirty reaches the hardware; the next step is made, or, after the last
 * one, the exit is HALT and the result false; the neutral state is what an exit leaves of it. */
void script_enter(struct hc_vcpu *vcpu);
bool script_next(struct hc_vcpu *vcpu, struct hc_exit *exit);
void script_leave(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* --- For the tests --- */

/* A VM in state created, with memory bytes of RAM (0: none) where the architecture's guests have
 * it, on CPU 0 of the test platform. NULL: it could not be made. */
struct hc_vm *script_vm(unsigned cpus, uint64_t memory);

/* What the vCPU is to replay; the steps stay the caller's. */
void script_set(struct hc_vcpu *vcpu, const struct script_step *steps, unsigned count);

/* One exit outside of the run loop: requests are taken, state goes to the hardware and comes back,
 * the handler is called. Returns what the handler did. */
int script_exit(struct hc_vcpu *vcpu, const struct hc_exit *exit);

/* The same without the handler. */
void script_round(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* Puts the hardware's registers into the neutral state, all groups, for the test to look at. */
void *script_state(struct hc_vcpu *vcpu);

#endif
