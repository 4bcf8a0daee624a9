/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a platform owes the VM core. The one header of platform/ that the core includes.
 *
 * platform/board implements it on a bare machine, platform/linux in a process, tests/platform.c
 * for the unit tests. Unless a comment says otherwise every function may be called on any CPU.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include <hypercore/types.h>

struct hc_cpu;

/* --- Memory. All of it is permanently mapped; a pointer and its host physical address convert
 * both ways. In a process "host physical" is whatever the backend's stage 2 translates to. --- */

/* 2^order pages, naturally aligned, zeroed. NULL when there are none. */
void *hc_platform_alloc_pages(unsigned order);
void hc_platform_free_pages(void *p, unsigned order);

/* The same, but with anything in them until hc_platform_clear() was called, which zeroes size bytes
 * from p, in whole pages. They must not be written before. */
void *hc_platform_alloc_raw(unsigned order);
void hc_platform_clear(void *p, uint64_t size);

/* size bytes, zeroed, aligned to 64. NULL when there are none. size must be passed to free. */
void *hc_platform_alloc(size_t size);
void hc_platform_free(void *p, size_t size);

/* size bytes, a power of two of pages, zeroed, for code made at run time. They are mapped twice:
 * executable but not writable (returned), and writable but not executable (*writable). For good: to
 * be called once, at start-up. NULL: there are none, or the system forbids it. */
void *hc_platform_alloc_code(size_t size, void **writable);

hpa_t hc_platform_to_hpa(const void *p);
void *hc_platform_from_hpa(hpa_t pa);

/* Largest order that alloc_pages can ever satisfy, for those who take memory in big pieces. */
unsigned hc_platform_max_order(void);

/* --- Time --- */

/* Nanoseconds since some fixed moment; the same on all CPUs, never goes back. */
uint64_t hc_platform_now_ns(void);

/* The cheapest counter there is (x86: TSC, arm: CNTVCT) and its rate. */
uint64_t hc_platform_cycles(void);
uint64_t hc_platform_cycles_hz(void);

/* Seconds since 1970-01-01 UTC by the machine's clock; 0 if it has none. */
uint64_t hc_platform_wall_clock(void);

/* --- The calling CPU --- */

/* NULL only while start-up cannot tell: the log alone is used then. */
struct hc_cpu *hc_platform_this_cpu(void);

/* Host interrupts off and on. Off nests by the caller keeping the value that it returned. */
bool hc_platform_irq_disable(void);
void hc_platform_irq_restore(bool enabled);

/* Interrupts are off; lets everything pending be handled, returns with them off again. */
void hc_platform_irq_window(void);

/* The local timer interrupts this CPU at deadline_ns (UINT64_MAX: never). Interrupts are off. */
void hc_platform_set_deadline(uint64_t deadline_ns);

/* Interrupts are off. Sleeps until an interrupt or a kick, which may already be pending, handles
 * it and returns with interrupts off. */
void hc_platform_idle(void);

/* Makes cpu leave the guest or its idle sleep soon: sets cpu->attention, which software CPUs look
 * at, and interrupts it. A kick is never lost: if the CPU is about to enter the guest, it comes out
 * at once. */
void hc_platform_kick(struct hc_cpu *cpu);

/* x86, machines on which vmx runs: a vector of this kind's own, and sending it to cpu. A CPU that
 * posts interrupts takes it for its guest (SDM Vol. 3C 30.6); otherwise the vCPU that is cpu's
 * current looks for events, if there is one. */
uint8_t hc_platform_posting_vector(void);
void hc_platform_post(struct hc_cpu *cpu);

/* x86, machines on which svm runs: from now on all CPUs get an NMI about every millisecond, for
 * guests that the CPUs do not leave for interrupts. -ENODEV: nothing can send them. */
int hc_platform_start_nmis(void);

/* In a loop that waits for another CPU. */
void hc_platform_relax(void);

/* --- Output --- */

/* One complete line of the log, without the newline. Any context, also with interrupts off. */
void hc_platform_log(const char *line, size_t len);

/* Stops this product: our own invariant is broken. Prints the message and what it can. */
_Noreturn void hc_platform_panic(const char *message);

#endif
