/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC, in xAPIC and x2APIC mode (SDM Vol. 3A chapter 10). */
#ifndef ARCH_X86_64_APIC_H
#define ARCH_X86_64_APIC_H

#include "core/timer.h"

struct hc_vm;
struct hc_vcpu;

struct x86_apic {
	uint64_t base; /* IA32_APIC_BASE: address, BSP, EXTD, EN */
	uint32_t id;   /* initial APIC ID = vCPU number */
	uint32_t tpr, ldr, dfr, svr, esr, esr_pending;
	uint64_t icr;
	uint32_t lvt[6]; /* timer, thermal, performance, LINT0, LINT1, error */
	uint32_t timer_icr, timer_dcr;
	uint64_t timer_start_ns;
	uint64_t tsc_deadline;
	struct hc_timer timer;
	_Atomic uint64_t irr[4]; /* any CPU sets bits */
	_Atomic uint64_t tmr[4];
	uint64_t isr[4];
};

#endif
