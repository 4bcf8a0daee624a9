/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform that is a Linux process: what its parts, and the backends that live in it, share.
 *
 * A "physical CPU" of the core is a thread here. A VM gets one for each of its vCPUs when it is
 * made, and they end with it. There are no host interrupts: what a board is told by an interrupt, a
 * thread is told by its CPU's attention flag, and by LINUX_KICK_SIGNAL where it may be in a system
 * call.
 */
#ifndef PLATFORM_LINUX_LINUX_H
#define PLATFORM_LINUX_LINUX_H

#include <hypercore/backend.h>
#include <signal.h>

/* The signal that this process gives up to us. Its handler does nothing but set flags, and is not
 * restarted after (no SA_RESTART), so that it ends a system call such as KVM_RUN. */
#define LINUX_KICK_SIGNAL (SIGRTMIN + 5)

/* Threads for vCPUs that there can be at a time. One number of HC_MAX_CPUS is left for all the
 * other threads: they need a place for their last error too. */
#define LINUX_MAX_CPUS 63

/* For backends, on a CPU's own thread (from load() on; NULL from put() on, before the byte goes
 * away): a byte that the signal handler of this thread sets to 1, as well as hc_cpu.attention, when
 * the guest is to be left: kvm_run.immediate_exit. While one is set, kicks from other threads send
 * LINUX_KICK_SIGNAL.
 *
 * To lose no kick, run() clears the byte, then exchanges hc_cpu.attention for false; if that was
 * true it returns HC_EXIT_INTERRUPT, and so it does when the system call ends with EINTR. */
void linux_cpu_set_exit_flag(uint8_t *flag);

/* Once, before anything else here; harmless when repeated. 0 or -errno (explained). */
int linux_init(void);

/* Makes threads for count vCPUs, with the backends (LINUX_VM_BACKENDS; the second may be NULL)
 * enabled on each, such that the next VM that is
 * created is placed on them. linux_vm_lock() held until that is done. -ENOSPC, -EAGAIN (no more
 * threads), or the backend's error, explained. */
int linux_cpus_start(const struct hc_backend_ops *const *backends, unsigned count);

/* Ends the threads that have no vCPU. linux_vm_lock() held. */
void linux_cpus_stop_unused(void);

/* Nanoseconds of a processor's time that the thread of cpu has had; it has one now. */
uint64_t linux_cpu_time_ns(struct hc_cpu *cpu);

/* A moment of waiting, in which the processor may do something else. */
void linux_pause(void);

/* Only one thread at a time makes or destroys a VM. */
void linux_vm_lock(void);
void linux_vm_unlock(void);

/* Starts measuring the cycle counter's rate, at the first call. */
void linux_clock_init(void);

/* Bytes of memory that guests can be given now: what the machine has available, less what guests
 * were promised and have not touched yet. */
uint64_t linux_memory_available(void);

/* Where log lines go: NULL: standard error. fn may be called on any thread, by one at a time. */
void linux_log_to(void (*fn)(void *arg, const char *line, size_t len), void *arg);

#endif
