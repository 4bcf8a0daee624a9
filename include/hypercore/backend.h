/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a backend owes the VM core: the means to execute guest code on one kind of CPU.
 *
 * A backend is mechanism only. It knows nothing of devices, of the guest's platform or of
 * scheduling; it runs a vCPU until something happens that the hardware (or the software CPU) does
 * not handle by itself, and says what in a struct hc_exit.
 *
 * Calls about one vCPU are never concurrent, except kick(). Calls marked "pinned" run on a CPU that
 * cpu_enable() succeeded on, with preemption off; load() and put() bracket them.
 */
#ifndef HYPERCORE_BACKEND_H
#define HYPERCORE_BACKEND_H

#include <hypercore/exit.h>
#include <hypercore/types.h>

struct hc_cpu;
struct hc_vm;
struct hc_vcpu;
struct s2_format;
struct x86_event;

enum hc_isa { HC_ISA_X86_64, HC_ISA_AARCH64 };

/* What probe() found. Strings are constants. */
struct hc_backend_info {
	char reason[160];   /* one line: what is there, or why it cannot be used */
	unsigned max_vcpus; /* per VM, 0 = no limit of the backend's own */
	unsigned gpa_bits;  /* width of the guest physical address space */
	/* Guests should keep off CPU 0 if any other CPU can run them. */
	bool spare_boot_cpu;
	bool partial; /* there are modes that it cannot run: see can_run() */

	/* AArch64: the virtual interrupt controller that the hardware helps with. */
	unsigned gic_version; /* 2, 3; 0: none */
	unsigned gic_list_registers, gic_priority_bits;
	/* Version 2: the virtual CPU interface, to be mapped for the guest (8 KiB); 0: there is
	 * none, and the backend shows the CPU what gic_outputs() says (arch/aarch64/gic/gic.h). */
	hpa_t gicv;
};

struct hc_backend_ops {
	const char *name; /* "svm", "vmx", "el2", "kvm", "emu", ... */
	enum hc_isa isa;
	/* Stage-2 table format that the backend's hardware walks; NULL: it keeps its own. */
	const struct s2_format *s2_format;
	/* The format is a preference: the backend itself walks whatever another one of the VM's
	 * backends has to have. */
	bool s2_any;

	/* x86: what CPUID says on the CPU that the backend offers, EAX to EDX, before the policy of
	 * arch/x86_64/cpuid.c; leaves beyond the last one are not asked for. NULL: what it says on
	 * the physical CPU. */
	void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

	/* x86, before a VM is made: the factor (x86_state.tsc_ratio) by which the guest's TSC runs
	 * at hz, which is whole kHz. -EOPNOTSUPP, explained, if this CPU cannot; NULL: none can. */
	int (*tsc_ratio)(uint64_t hz, uint64_t *ratio);

	/* On any CPU, any number of times. 0 if the backend can be used; -ENODEV (the CPU lacks
	 * it), -EPERM (firmware locked it), -EOPNOTSUPP (present, but lacking something required).
	 * info->reason is filled in either case. */
	int (*probe)(struct hc_backend_info *info);

	/* Switches virtualization on for the calling CPU. -ENOMEM, or an error of probe(). */
	int (*cpu_enable)(struct hc_cpu *cpu);
	void (*cpu_disable)(struct hc_cpu *cpu);

	/* Per-VM and per-vCPU data, kept by hc_vm_set_part() and in vcpu->backend_data. A VM may
	 * have a second backend, between which its vCPUs move (hc_vm_move): then they may be on the
	 * other one. A vCPU comes with all groups of its neutral state dirty, and
	 * what the backend remembers of its translations is void. -ENOMEM. */
	int (*vm_create)(struct hc_vm *vm);
	void (*vm_destroy)(struct hc_vm *vm);
	int (*vcpu_create)(struct hc_vcpu *vcpu);
	void (*vcpu_destroy)(struct hc_vcpu *vcpu);

	/* Pinned. load: the vCPU is about to run on this CPU: put its FPU state and whatever else
	 * the CPU holds between exits in place. put: take it out again. */
	void (*load)(struct hc_vcpu *vcpu);
	void (*put)(struct hc_vcpu *vcpu);

	/* Pinned, host interrupts off. Writes dirty groups to the hardware, runs the guest, leaves
	 * the core group in the neutral state (vcpu->valid = that group and what else it fetched,
	 * vcpu->dirty = 0), and fills *exit. Physical interrupts that arrive in the guest end it
	 * with HC_EXIT_INTERRUPT and are still pending on return. A guest state that the hardware
	 * refuses is HC_EXIT_ENTRY_FAILED; what the backend cannot make sense of is
	 * HC_EXIT_UNKNOWN. */
	void (*run)(struct hc_vcpu *vcpu, struct hc_exit *exit);

	/* On vcpu's CPU, host interrupts off, between load() and put() or before: run() is to come
	 * back with HC_EXIT_SLICE once the guest has run for ns, time outside of it not counted,
	 * and may do so earlier; UINT64_MAX, and what put() leaves: there is no limit. The hardware
	 * does the counting: the host takes no interrupt for it. False: this CPU's cannot. NULL: no
	 * CPU's can. */
	bool (*limit)(struct hc_vcpu *vcpu, uint64_t ns);

	/* Whether run() can enter the guest in the state that vcpu, on another backend, is in now:
	 * the neutral state, of which it may ask for groups. Where it cannot, run() gives
	 * HC_EXIT_MODE instead of entering, and the core moves the VM to its other backend until it
	 * can again. NULL: always. */
	bool (*can_run)(struct hc_vcpu *vcpu);

	/* Pinned. Copy groups (enum x86_state_group, a64_state_group) from the hardware into the
	 * neutral state, or from there to the hardware. Called by hc_vcpu_need(), by moves and by
	 * snapshots. An event that was injected and not delivered yet is events.reinject. */
	void (*get_state)(struct hc_vcpu *vcpu, uint32_t groups);
	void (*set_state)(struct hc_vcpu *vcpu, uint32_t groups);

	/* x86; AArch64 guests get events by their state alone, and these two are NULL. Pinned.
	 * Deliver event at the next entry. -EBUSY if one is already to be delivered, -EAGAIN if the
	 * guest cannot take it now (interrupt: IF clear or shadow; NMI: masked). */
	int (*inject)(struct hc_vcpu *vcpu, const struct x86_event *event);

	/* Pinned. HC_EXIT_WINDOW as soon as the guest can take an interrupt (nmi: an NMI). */
	void (*request_window)(struct hc_vcpu *vcpu, bool nmi);

	/* Any CPU. Stage-2 translations of [gpa, gpa + size) changed; when this returns no CPU uses
	 * an old one. Called with the VM's memory lock held. */
	void (*invalidate)(struct hc_vm *vm, gpa_t gpa, uint64_t size);

	/* Any CPU. Makes stage-2 entries that this CPU wrote visible to all walkers, before it
	 * returns (AArch64: DSB ISHST). NULL: a fence is enough. */
	void (*tables_written)(void);

	/* Any CPU. [gpa, gpa + size) of RAM was written by something else than the VM's CPUs. NULL:
	 * CPUs find out by themselves. */
	void (*written)(struct hc_vm *vm, gpa_t gpa, uint64_t size);

	/* Any CPU. The guest is to see [p, p + size), memory of the host's, for the first time:
	 * what the caches hold of it goes to memory. NULL: guests see what the caches hold. */
	void (*clean)(const void *p, uint64_t size);

	/* The dirty log (core/dirty.h); all with the VM's memory lock held, any CPU. NULL: stage 2
	 * alone tells what the CPU wrote, or, of a backend that keeps its own, nobody can.
	 *
	 * log_start: from its return on all that vCPUs write is to be told. 1: log_collect() tells
	 * of every page, once it is written for the first time since stage 2 said that it is
	 * clean, so that the tables need not be searched; 0: they are to be; or an error.
	 * log_collect: hands what is told and was not yet to hc_dirty_mark() or hc_dirty_merge().
	 */
	int (*log_start)(struct hc_vm *vm);
	int (*log_collect)(struct hc_vm *vm);
	void (*log_stop)(struct hc_vm *vm);

	/* One line about a refused entry or unknown exit, for the VM's failure reason. */
	void (*explain)(struct hc_vcpu *vcpu, const struct hc_exit *exit, char *buf, size_t size);
};

#endif
