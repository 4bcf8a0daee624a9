/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libhypercore: virtual machines inside your own Linux process.
 *
 *	struct hypercore_config config;
 *	struct hypercore *vm;
 *
 *	hypercore_config_init(&config);
 *	config.kernel = ...; config.kernel_size = ...;
 *	config.serial[0].output = ...;
 *	if (hypercore_create(&vm, &config) == 0) {
 *		hypercore_run(vm);
 *		hypercore_destroy(vm);
 *	}
 *
 * Functions return 0 or a negative errno value; the failure has then been explained in a line for
 * people, which goes to the log and stays available from hypercore_last_error(). All functions may
 * be called from any thread; about one VM, nothing may be called once hypercore_destroy() is.
 *
 * A running VM has one thread for each of its virtual CPUs. The library takes one signal for its
 * own use, SIGRTMIN + 5, and its threads take no other.
 */
#ifndef HYPERCORE_HYPERCORE_H
#define HYPERCORE_HYPERCORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HYPERCORE_API __attribute__((visibility("default")))

struct hypercore; /* a virtual machine: a PC or, by its kernel, an AArch64 "virt" machine */

/* A serial port's output. Called by the threads of virtual CPUs, by one at a time for a VM, and
 * holds all of them up until it returns. It may not call functions of this library. */
typedef void (*hypercore_output)(void *arg, const void *data, size_t size);

struct hypercore_config {
	size_t size;      /* of this struct: set by hypercore_config_init() */
	const char *name; /* for messages, 1 to 31 characters; "guest" */
	/* "auto", or a name of hypercore_backend(), or two, as in "kvm,emu": the guest begins on
	 * the first and can move to the other while it runs. */
	const char *backend;
	uint64_t memory; /* bytes, a multiple of 2 MiB, 16 MiB at least; 512 MiB */
	unsigned cpus;   /* 1 */
	/* A Linux bzImage, an ELF file with a multiboot header or a PVH note, or an arm64 Image;
	 * and an initramfs (multiboot: module 0) or NULL. Not needed after hypercore_create(). */
	const void *kernel, *initrd;
	size_t kernel_size, initrd_size;
	const char *cmdline;     /* "" */
	const char *initrd_name; /* what multiboot and PVH kernels are told of the module; "" */
	/* COM1 and COM2, as ttyS0 and ttyS1 of a guest; AArch64: ttyAMA0 and ttyS0. output NULL:
	 * the port is not there. */
	struct {
		hypercore_output output;
		void *arg;
	} serial[2];
	/* A byte written here ends the VM with it as its status; 0: none. AArch64: at 0x9050000. */
	uint16_t exit_port;
	/* Devices of a PC: "isa-debug-exit,iobase=0xf4,iosize=4" (instead of exit_port), "testdev",
	 * as of QEMU. NULL: none, or no more. */
	const char *devices[4];
	uint64_t switch_ns; /* two backends: move every so many nanoseconds; 0: when asked to */
	/* x86: the rate of the guest's TSC in Hz, whole kHz, if another than this machine's; 0. */
	uint64_t tsc_hz;
	/* Say in the log how much of its memory the guest has written in so many nanoseconds, again
	 * and again; 0: do not. */
	uint64_t dirty_ns;
};

/* All defaults, nothing to run. */
HYPERCORE_API void hypercore_config_init(struct hypercore_config *config);

/* A VM, ready to run. -EINVAL, -ERANGE (a setting that makes no sense), -ENOENT, -ENODEV,
 * -EOPNOTSUPP (backend), -ENOEXEC, -EPROTO (kernel file), -E2BIG (command line), -ENOMEM, -EAGAIN
 * (threads). */
HYPERCORE_API int hypercore_create(struct hypercore **vm, const struct hypercore_config *config);

/* Frees it. A running VM is stopped before. NULL is allowed. */
HYPERCORE_API void hypercore_destroy(struct hypercore *vm);

/* Lets its CPUs run and returns. -EBUSY if they did before. */
HYPERCORE_API int hypercore_start(struct hypercore *vm);

/* Until the VM has ended, or timeout_ms milliseconds have passed (negative: no limit). 0, or
 * -ETIMEDOUT. */
HYPERCORE_API int hypercore_wait(struct hypercore *vm, int timeout_ms);

/* Starts it and waits for its end. */
HYPERCORE_API int hypercore_run(struct hypercore *vm);

/* Asks it to end, as by pulling the plug; it has when hypercore_wait() says so. -EBUSY unless it is
 * running or paused. */
HYPERCORE_API int hypercore_stop(struct hypercore *vm);

/* Returns when no CPU of it executes; lets them go on. -EBUSY, -ECANCELED (it ended meanwhile). */
HYPERCORE_API int hypercore_pause(struct hypercore *vm);
HYPERCORE_API int hypercore_resume(struct hypercore *vm);

/* Its CPUs go on on the other of its two backends, none before the last one has moved.
 * -EOPNOTSUPP (it has one), -EBUSY (it does not run, or moves already). */
HYPERCORE_API int hypercore_move(struct hypercore *vm);

/* Bytes from outside for serial port 0 or 1. Returns how many were taken: the guest may be behind
 * with reading. */
HYPERCORE_API size_t hypercore_input(struct hypercore *vm, unsigned port, const void *data,
                                     size_t size);

enum hypercore_end {
	HYPERCORE_RUNS_STILL, /* or has not been started */
	HYPERCORE_POWERED_OFF,
	HYPERCORE_RESET,   /* the guest asked for a reset, or triple faulted */
	HYPERCORE_EXITED,  /* it wrote its status to the exit port */
	HYPERCORE_STOPPED, /* hypercore_stop() */
	HYPERCORE_FAILED   /* it did what cannot be carried out: see hypercore_reason() */
};

/* How it ended; the status of HYPERCORE_EXITED; the same as a line for people. */
HYPERCORE_API enum hypercore_end hypercore_end(const struct hypercore *vm);
HYPERCORE_API unsigned hypercore_status(const struct hypercore *vm);
HYPERCORE_API const char *hypercore_reason(const struct hypercore *vm);

/* The backend that its first CPU is on. */
HYPERCORE_API const char *hypercore_backend_of(const struct hypercore *vm);

struct hypercore_stats {
	uint64_t exits;        /* times the guest left for the hypervisor */
	uint64_t guest_cycles; /* of the host's cycle counter, in the guest */
	uint64_t exit_cycles;  /* spent for the exits */
	uint64_t events;       /* interrupts and exceptions delivered */
	uint64_t halts;        /* times a CPU went to sleep */
};

/* All its CPUs together so far. size: of *stats, of which no more is written. */
HYPERCORE_API void hypercore_stats(const struct hypercore *vm, struct hypercore_stats *stats,
                                   size_t size);

/* The same in detail, as lines of the log. */
HYPERCORE_API void hypercore_log_stats(struct hypercore *vm);

/* The last things that happened to each virtual CPU, oldest first, a line each (without newline):
 * "CPU CYCLES KIND WHAT PC ARGUMENT EXTRA". While the VM does not run. */
HYPERCORE_API void hypercore_trace(const struct hypercore *vm,
                                   void (*line)(void *arg, const char *text), void *arg);

/* The index-th backend: its name; how says what was found out about it, of at most size bytes. 0 if
 * it can be used here, -ENOENT if there is no such index, or why it cannot. */
HYPERCORE_API int hypercore_backend(unsigned index, const char **name, char *how, size_t size);

/* Instructions per second that the index-th backend executes of a loop that does what kernels do;
 * takes some milliseconds. Negative: it cannot. */
HYPERCORE_API int64_t hypercore_backend_speed(unsigned index);

/* Where lines for people go: NULL: standard error. Called on any thread, by one at a time; may not
 * call this library. text has no newline at its end. */
HYPERCORE_API void hypercore_set_log(void (*log)(void *arg, const char *text, size_t size),
                                     void *arg);

/* Why the last call failed that did. */
HYPERCORE_API const char *hypercore_last_error(void);

/* "0.1.0" */
HYPERCORE_API const char *hypercore_version(void);

#ifdef __cplusplus
}
#endif

#endif
