/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU as its backend (arch/x86_64/emu) sees it. It executes x86 instructions on a
 * struct x86_state; what hardware would exit for, it exits for, with the same struct hc_exit.
 */
#ifndef EMU_X86_64_ENGINE_ENGINE_API_H
#define EMU_X86_64_ENGINE_ENGINE_API_H

#include <hypercore/exit.h>
#include <hypercore/types.h>
#include <hypercore/x86_state.h>

#include "emu/x86_64/ops.h"

struct hc_vcpu;
struct x86_event;
struct emu_cpu;
struct emu_vm;

/* What a page translates to. */
struct emu_page {
	gpa_t gpa;          /* of the page's first byte */
	uint8_t *host;      /* of the same, readable; NULL: not RAM */
	bool host_writable; /* stage 2 lets writes pass */
	uint64_t span;      /* bytes that the entry of the guest's tables maps: the page's size */
};

/* The engine's surroundings; the guest's page walk and stage 2 belong to all backends. */
struct emu_host_ops {
	/* Translates gva (paging on or off) for access (one enum hc_access); as a supervisor
	 * access of the CPU's own if implicit, else by CPL and AC. Sets A and D. 0; -EFAULT with
	 * *fault; -ENOENT: a page table lies outside of RAM (*fault.address is its gpa). */
	int (*translate)(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
	                 struct emu_page *page, struct x86_fault *fault);
	/* A write to a page whose host_writable was false: the dirty log's, then it may be retried
	 * (true), or a ROM's (false). */
	bool (*make_writable)(struct hc_vcpu *vcpu, gpa_t gpa);
	/* CR8: bits 7:4 of the local APIC's task priority. */
	unsigned (*read_cr8)(struct hc_vcpu *vcpu);
	/* Whether CPUID shows the guest a bit (reg: 0 EAX to 3 EDX; subleaf 0). */
	bool (*shows)(struct hc_vcpu *vcpu, uint32_t leaf, unsigned reg, unsigned bit);
};

/* What the CPUs of one VM share. NULL: no memory. */
struct emu_vm *emu_vm_create(void);
void emu_vm_destroy(struct emu_vm *vm);

/* A CPU that executes on vcpu->state in place; vcpu->id is below 32, and no CPU of the VM runs.
 * NULL: no memory. */
struct emu_cpu *emu_cpu_create(struct hc_vcpu *vcpu, struct emu_vm *vm,
                               const struct emu_host_ops *host);
void emu_cpu_destroy(struct emu_cpu *c);

/* hc_backend_ops.run, inject and request_window. */
void emu_run(struct emu_cpu *c, struct hc_exit *exit);
int emu_inject(struct emu_cpu *c, const struct x86_event *event);
void emu_request_window(struct emu_cpu *c, bool nmi);

/* Stage 2 changed: when it returns, no CPU uses an old translation. Not from within run(). */
void emu_invalidate(struct emu_vm *vm);

/* Something besides the VM's CPUs wrote to guest memory, after the fact: a device, an exit handler.
 * Code translated from there is not executed any more by CPUs that enter run() afterwards, and soon
 * not by others. Any CPU. */
void emu_memory_written(struct emu_vm *vm, uint64_t gpa, uint64_t size);

/* One round of a loop in host->translate or make_writable that waits for a lock whose holder may be
 * in emu_invalidate(). */
void emu_answer_while_waiting(struct emu_cpu *c);

/* Whether the CPU executes an integer instruction that not all CPUs have, so that CPUID may offer
 * it. RDRAND and RDSEED are the host's. */
bool emu_executes(enum x86_op op);

/* --- x87 and vector instructions: the host's own (vector.c) --- */

/* Gets the memory in which stubs are made, if it is not there yet.
 * -ENOMEM: no executable memory. Without it the software CPU has no x87 and no vector registers. */
int emu_vector_init(void);

/* Switches on what stubs need in the calling CPU, where that is not done by an operating system. */
void emu_vector_cpu_enable(void);

/* The bits of a CPUID register (0: EAX to 3: EDX) that depend on what this file's instructions
 * cover and the host has: leaves 1, 7.0, 7.1, 0Dh.0 to 0Dh.2 and 80000001h. 0 before init(). */
uint32_t emu_vector_features(unsigned leaf, unsigned subleaf, unsigned reg);

#endif
