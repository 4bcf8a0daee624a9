/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of what a vCPU did. Written by its own CPU only; readers may see them mid-update. */
#ifndef CORE_STATS_H
#define CORE_STATS_H

#include <hypercore/exit.h>

struct hc_exit_stats {
	uint64_t count;
	uint64_t cycles; /* platform cycles spent handling them */
};

struct hc_vcpu_stats {
	struct hc_exit_stats exits[HC_EXIT_REASON_COUNT];
	uint64_t guest_cycles; /* between entry and exit */
	uint64_t injected;     /* events delivered to the guest */
	uint64_t halts;        /* times it went to sleep */
	uint64_t unknown_msrs; /* accesses answered by #GP for want of a policy */
	uint64_t slices;       /* times the scheduler picked it */
	uint64_t moves;        /* to another backend */
};

struct hc_vm;

/* The sum over the VM's vCPUs. */
void hc_vm_stats(const struct hc_vm *vm, struct hc_vcpu_stats *sum);

#endif
