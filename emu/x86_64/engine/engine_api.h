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

struct hc_vcpu;
struct emu_cpu;
struct emu_vm;

/* What a page translates to. */
struct emu_page {
	gpa_t gpa;          /* of the page's first byte */
	uint8_t *host;      /* of the same, readable; NULL: not RAM */
	bool host_writable; /* stage 2 lets writes pass */
	bool large;         /* part of a page of more than 4 KiB of the guest's tables */
	bool global;
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
};

#endif
