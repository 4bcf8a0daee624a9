/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest architecture and a backend for tests of the core: the "CPU" replays a list of exits, and
 * the handlers record what they saw.
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include <hypercore/errno.h>

#include "core/vm.h"

/* What a vCPU's run() is to return next. advance_ns passes on the test clock before it does. */
struct fake_step {
	struct hc_exit exit;
	uint64_t advance_ns;
	int action;                         /* of the handler: enum hc_action or -errno */
	void (*hook)(struct hc_vcpu *vcpu); /* inside the handler, if set */
};

struct fake_vcpu {
	struct hc_vcpu vcpu;            /* first */
	const struct fake_step *script; /* after the last step, it halts for good */
	unsigned step_count, at;
	bool event;       /* what has_event says */
	unsigned entries; /* calls of before_entry */
	unsigned loads, puts, gets;
	uint32_t state_words[4];
};

extern const struct hc_arch_ops fake_arch;
extern const struct hc_backend_ops fake_backend;

/* What the backend's probe() says. */
extern int fake_probe_rc;

static inline struct fake_vcpu *fake_of(struct hc_vcpu *vcpu)
{
	return HC_CONTAINER_OF(vcpu, struct fake_vcpu, vcpu);
}

struct hc_vm *fake_vm(const char *name, unsigned cpus);
void fake_script(struct hc_vm *vm, unsigned cpu, const struct fake_step *steps, unsigned count);

/* Lets CPU `cpu` of the test platform run its loop until it has nothing to do. */
void fake_run_cpu(unsigned cpu);

extern unsigned fake_invalidations;

/* The backend's clean(), if set. Any thread. */
extern void (*fake_on_clean)(const void *p, uint64_t size);

#endif
