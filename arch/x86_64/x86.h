/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86 guest CPU and PC platform that all x86 backends share: what backends and machines see.
 */
#ifndef ARCH_X86_64_X86_H
#define ARCH_X86_64_X86_H

#include <hypercore/x86_state.h>

#include "arch/x86_64/apic.h"
#include "core/vm.h"
#include "emu/x86_64/emulate.h"

extern const struct hc_arch_ops x86_arch_ops;

#define X86_MAX_VCPUS 32

/* Whether the CPU runs, or waits for start-up messages (SDM Vol. 3A 8.4). */
enum x86_mp_state { X86_MP_RUNNABLE, X86_MP_HALTED, X86_MP_WAIT_SIPI };

/* What CPUID answers for one leaf and subleaf (arch/x86_64/cpuid.h). */
struct x86_cpuid_entry {
	uint32_t leaf, subleaf;
	uint32_t eax, ebx, ecx, edx;
	bool any_subleaf; /* the leaf does not look at ECX */
	bool is_whole;    /* these are the answers: nothing is to be filled in on use */
};

#define X86_CPUID_ENTRIES 64
#define X86_MSR_XSS       0xda0 /* IA32_XSS: what XSAVES may save of the supervisor's */
#define X86_MSR_LOW       0x700 /* MSRs from 0, and from C0000000h, that have a row each */
#define X86_MSR_HIGH      0x200

struct x86_vm {
	struct hc_vm vm; /* first */
	/* Sorted from element 1 on; element 0 is what leaves that are not there answer. Parts that
	 * differ by vCPU are filled in on use. */
	struct x86_cpuid_entry cpuid[X86_CPUID_ENTRIES];
	unsigned cpuid_count;
	uint8_t cpuid_index[4][32]; /* by bits 31:30 and 4:0 of the leaf: its first entry */
	/* Index in x86_msr_policy and 1; 0: there is none. */
	uint8_t msr_row[X86_MSR_LOW + X86_MSR_HIGH];
	uint64_t cr4_mask, efer_mask; /* bits that the CPUID policy lets the guest set */
	uint64_t xcr0_mask;           /* 0: no XSAVE */
	uint64_t gpa_mask;            /* bits that a guest physical address can have */
	bool has_1g_pages;
	_Atomic uint32_t lowest_next; /* where the next lowest-priority arbitration begins */
	uint64_t tsc_ratio;           /* of all vCPUs: x86_state.tsc_ratio */
	uint64_t rsdp;                /* guest physical address, 0: no ACPI tables */
};

/* For backends' tsc_ratio(): the factor from a counter of counter_hz to hz, rounded down to so many
 * bits behind the point (32, 48); rates are below 2^48. 0: it is too large to be written. */
static inline uint64_t x86_tsc_ratio(uint64_t hz, uint64_t counter_hz, unsigned bits)
{
	uint64_t ratio = hz / counter_hz, rest = hz % counter_hz;

	if (ratio >> 16)
		return 0;
	for (unsigned done = 0; done < bits; done += 16) {
		rest <<= 16;
		ratio = ratio << 16 | rest / counter_hz;
		rest %= counter_hz;
	}
	return ratio << (48 - bits);
}

/* A translation that x86_translate made before, and the table entries it came from. */
struct x86_walk_cache {
	uint64_t page, cr0, cr3, cr4, efer; /* what it is for */
	uint64_t epoch;                     /* x86_walk_epoch() */
	uint64_t rights;                    /* access and privilege; 0 in an unused slot */
	const _Atomic uint64_t *entry[5];
	uint64_t value[5];
	uint64_t gpa;        /* of the page */
	const uint8_t *host; /* of the page, NULL if it is not RAM */
};

#define X86_WALK_SLOTS 8 /* a power of two */

/* What the meaning of the bytes at CS:RIP, and where these are, depends on besides memory. */
struct x86_code_key {
	uint64_t rip, cs_base, cr0, cr3, cr4, efer;
	uint32_t cs_attr, rights; /* CPL; bit 2: the walk begins at PDPTEs in registers */
};

/* In cr3: nothing is remembered here. No CR3 has these bits. */
#define X86_CODE_NONE UINT64_MAX

/* An instruction that was looked at before, and the table entries that led to it (code_cache.h). */
struct x86_code {
	struct x86_code_key key; /* cr3 is X86_CODE_NONE if the rest may not be used again */
	const _Atomic uint64_t *entry[4];
	uint64_t value[4];
	const uint8_t *host; /* its X86_INSN_MAX bytes, which lie in one page */
	uint8_t bytes[X86_INSN_MAX];
	bool is_move; /* mmio.c's x86_is_move() */
	struct x86_insn insn;
};

#define X86_CODE_SLOT_BITS 5

struct x86_vcpu {
	struct hc_vcpu vcpu; /* first */
	struct x86_apic apic;
	struct x86_state state;
	struct x86_decode_cache decoded; /* of instructions that access devices */
	_Atomic uint32_t mp_state;       /* enum x86_mp_state */
	_Atomic uint32_t start_request;  /* INIT and SIPI messages not yet taken: X86_START_... */
	struct x86_event pending_exception; /* raised by an exit handler */
	struct x86_event pending_extint;    /* acknowledged at the 8259, not yet injected */
	_Atomic bool nmi_pending;
	uint64_t msr_misc_enable, msr_mtrr_def_type;
	uint64_t mtrr[32]; /* fixed and variable ranges, as the guest wrote them */
	uint64_t msr_mcg_status;
	uint64_t device_page; /* of the last access to device memory, and x86_walk_epoch() then */
	struct x86_walk_cache walk[X86_WALK_SLOTS];
	struct x86_code code[1 << X86_CODE_SLOT_BITS];
};

/* x86_vcpu.start_request; the start-up vector is in bits 15:8. */
#define X86_START_INIT (1u << 0)
#define X86_START_SIPI (1u << 1)

static inline struct x86_vcpu *x86_vcpu_of(struct hc_vcpu *vcpu)
{
	return HC_CONTAINER_OF(vcpu, struct x86_vcpu, vcpu);
}

static inline struct x86_vm *x86_vm_of(struct hc_vm *vm)
{
	return HC_CONTAINER_OF(vm, struct x86_vm, vm);
}

static inline struct x86_state *x86_state_of(struct hc_vcpu *vcpu)
{
	return vcpu->state;
}

/* The state after INIT, or after power-on if power_on (SDM Vol. 3A 9.1.1 and table 9-1); all groups
 * become dirty. The local APIC is reset as well. */
void x86_vcpu_reset(struct hc_vcpu *vcpu, bool power_on);

/* --- Faults --- */

/* Queues an exception for the next entry; combines with one already queued by the rules for double
 * faults (SDM Vol. 3A 6.15, table 6-5); a triple fault stops the VM with HC_STOP_RESET. */
void x86_raise(struct hc_vcpu *vcpu, const struct x86_fault *fault);
void x86_raise_gp(struct hc_vcpu *vcpu); /* #GP(0) */
void x86_raise_ud(struct hc_vcpu *vcpu);

/* There may be something to inject: before_entry() is called before the next entry. On the vCPU's
 * own CPU; from elsewhere it is hc_vcpu_request(). */
static inline void x86_request_event(struct hc_vcpu *vcpu)
{
	atomic_fetch_or_explicit(&vcpu->requests, HC_REQ_EVENT, memory_order_relaxed);
}

/* The trap of TF after an instruction that an exit handler carried out. */
void x86_raise_single_step(struct hc_vcpu *vcpu);

/* #DB as a trap after an instruction that was emulated: hits are DR6's bits 3:0. Nothing if 0. */
void x86_raise_breakpoints(struct hc_vcpu *vcpu, unsigned hits);

/* Ends an instruction that an exit handler carried out: moves RIP on, clears RF, and raises the
 * trap of TF (SDM Vol. 3B 17.3.1.4). The backend drops the interrupt shadow when RIP moved. */
static inline void x86_skip(struct hc_vcpu *vcpu, uint64_t next_pc)
{
	struct x86_state *s = x86_state_of(vcpu);

	s->rip = next_pc;
	s->rflags &= ~(uint64_t)X86_FLAG_RF;
	hc_vcpu_dirty(vcpu, X86_G_CORE);
	if (__builtin_expect((s->rflags & X86_FLAG_TF) != 0, 0))
		x86_raise_single_step(vcpu);
}

/* Checks and carries out a move to CR0, CR3, CR4 or CR8 (SDM Vol. 3A 2.5, 4.10.4); a refused value
 * raises #GP(0). False if it did. */
bool x86_write_cr(struct hc_vcpu *vcpu, unsigned number, uint64_t value);

/* For backends whose exit tells no operand: sets exit->next_pc and exit->u.cr from the MOV to CR or
 * LMSW at the guest's RIP. -ENOENT: there is another instruction by now; -EFAULT: *fault is what
 * reading LMSW's source leads to. */
int x86_find_cr_write(struct hc_vcpu *vcpu, struct hc_exit *exit, struct x86_fault *fault);

/* --- Guest virtual memory (arch/x86_64/walk.c) --- */

/* Translates gva by the guest's current page tables for access (enum hc_access) at the current
 * CPL, or as a supervisor access if implicit. Returns 0, or -EFAULT with *fault filled in. Sets A
 * and D bits as the CPU would. Tables outside of RAM are read from the bus: takes the device lock.
 */
int x86_translate(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit, gpa_t *gpa,
                  struct x86_fault *fault);

/* What a page of the guest's translates to. */
struct x86_mapping {
	gpa_t gpa;     /* of the 4 KiB that hold the address asked for */
	uint64_t span; /* bytes that the entry which ended the walk maps; 4 KiB without paging */
	bool global;   /* that entry's G bit, where CR4.PGE gives it a meaning */
};

/* The same for those who remember translations themselves: always walks. */
int x86_translate_page(struct hc_vcpu *vcpu, gva_t gva, unsigned access, bool implicit,
                       struct x86_mapping *mapping, struct x86_fault *fault);

/* Up to len bytes of code at linear address gva; may stop early at a page that faults. Returns the
 * count (> 0), or the error of x86_translate for the first byte. */
int x86_fetch(struct hc_vcpu *vcpu, gva_t gva, uint8_t *buf, unsigned len, struct x86_fault *fault);

/* The linear address of offset in seg for len bytes, by the rules of the current mode. 0, or
 * -EFAULT with #GP(0) or #SS(0) in *fault. Groups CR, CS and SEG must be valid. */
int x86_linear(struct hc_vcpu *vcpu, enum x86_seg seg, uint64_t offset, unsigned len,
               unsigned access, gva_t *gva, struct x86_fault *fault);

/* Copies len (at most a page) bytes between buf and guest virtual memory with the current CPL's
 * rights; parts outside RAM are bus accesses. Both pages are translated before anything is copied.
 * 0, or -EFAULT with *fault. */
int x86_read_virt(struct hc_vcpu *vcpu, gva_t gva, void *buf, unsigned len,
                  struct x86_fault *fault);
int x86_write_virt(struct hc_vcpu *vcpu, gva_t gva, const void *buf, unsigned len,
                   struct x86_fault *fault);

/* 16, 32 or 64: the default operand size of the current code segment. Groups CR and CS are made
 * valid. */
unsigned x86_code_bits(struct hc_vcpu *vcpu);

/* The length of the instruction at CS:RIP, for CPUs that do not save the next RIP. Negative if it
 * cannot be fetched or decoded. Groups CR and CS are made valid. On the exit path x86_code_find()
 * of code_cache.h comes first, which needs neither. */
int x86_insn_length(struct hc_vcpu *vcpu);

/* --- Policies that backends program into the hardware --- */

enum x86_msr_kind {
	X86_MSR_DIRECT,   /* guest and hardware share it: no exit */
	X86_MSR_STATE,    /* a member of struct x86_state, checked on writing */
	X86_MSR_EMULATED, /* a function of arch/x86_64/msr.c */
	X86_MSR_KEPT,     /* a member of struct x86_vcpu, value bytes from its start; those of the
	                   * row's further MSRs follow. Checked on writing */
	X86_MSR_CONSTANT, /* reads give the row's value, writes of it are dropped, others #GP */
	X86_MSR_IGNORED   /* reads give the row's value, writes are dropped */
};

struct x86_msr_policy {
	uint32_t first, last; /* MSR numbers, inclusive */
	enum x86_msr_kind kind;
	uint64_t value;
	const char *name;
	const char *why;
};

extern const struct x86_msr_policy x86_msr_policy[];
extern const unsigned x86_msr_policy_count;

/* --- Building a guest (before the VM starts) --- */

/* Where things lie in a guest's memory. */
#define X86_RAM_LOW_END UINT64_C(0xc0000000) /* RAM above it continues at 4 GiB */
#define X86_APIC_BASE   UINT64_C(0xfee00000)
#define X86_IOAPIC_BASE UINT64_C(0xfec00000)
#define X86_IOAPIC_ID   0 /* as with a real one, nothing ever looks at it */

/* Adds size bytes of RAM (a multiple of 2 MiB, at least 16 MiB), leaving the hole below 4 GiB. */
int x86_add_ram(struct hc_vm *vm, uint64_t size);

/* What a machine boots. The strings are copied. */
struct x86_boot {
	const void *kernel, *initrd; /* initrd may be NULL */
	uint64_t kernel_size, initrd_size;
	const char *cmdline;
	const char *initrd_name; /* the string of module 0; NULL: empty */
};

/* Kernels, by what they are recognised by, the first that holds: "HdrS" at 202h; a multiboot 1
 * header in the first 8 KiB; an ELF file with the note of the x86/HVM direct boot ABI (PVH); a
 * multiboot header with a wrong checksum, which is refused when it is loaded. */
enum x86_kernel { X86_KERNEL_NONE, X86_KERNEL_LINUX, X86_KERNEL_MULTIBOOT, X86_KERNEL_PVH };

enum x86_kernel x86_kernel_kind(const void *file, uint64_t size);

/* Loads a kernel of any of these kinds, and sets CPU 0 to enter it. RAM and ACPI tables must be
 * there. Errors as of x86_load_linux(). */
int x86_load_kernel(struct hc_vm *vm, const struct x86_boot *boot);

/* Loads a bzImage (64-bit boot protocol, kernel 2.6.24 and later), and sets CPU 0 to enter it.
 * initrd may be NULL; cmdline is copied. RAM and ACPI tables must be there. -ENOEXEC (not a kernel:
 * says what it looks like), -EPROTO (truncated or inconsistent), -E2BIG (command line longer than
 * the kernel takes), -ENOMEM (the guest's RAM is too small: says how much is needed). */
int x86_load_linux(struct hc_vm *vm, const void *kernel, uint64_t kernel_size, const void *initrd,
                   uint64_t initrd_size, const char *cmdline);

/* Ports and lines of the ACPI hardware that the FADT describes. */
#define X86_ACPI_PM_BASE     0x600 /* PM1a event block, then control, then the timer */
#define X86_ACPI_PM1_EVT     (X86_ACPI_PM_BASE + 0x0)
#define X86_ACPI_PM1_CNT     (X86_ACPI_PM_BASE + 0x4)
#define X86_ACPI_PM_TMR      (X86_ACPI_PM_BASE + 0x8)
#define X86_ACPI_RESET_PORT  (X86_ACPI_PM_BASE + 0xc)
#define X86_ACPI_RESET_VALUE 6 /* what the reset register wants to be written */
#define X86_ACPI_SCI_IRQ     9
#define X86_ACPI_S5_TYPE     5 /* SLP_TYP that \_S5 names */

/* Writes RSDP, XSDT, FADT, FACS, MADT and DSDT into guest memory and remembers where, for the boot
 * protocol. -EFAULT if the RAM is not there. */
int x86_acpi_build(struct hc_vm *vm);

#endif
