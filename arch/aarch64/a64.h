/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AArch64 guest CPU that all AArch64 backends share: what backends, interrupt controllers and
 * machines see.
 */
#ifndef ARCH_AARCH64_A64_H
#define ARCH_AARCH64_A64_H

#include <hypercore/a64_state.h>

#include "core/vm.h"

extern const struct hc_arch_ops a64_arch_ops;

#define A64_MAX_VCPUS 32

struct a64_sysreg;
struct gic;     /* arch/aarch64/gic/gic.h */
struct gic_cpu; /* of one vCPU */

/* Whether the CPU runs, with the numbers of AFFINITY_INFO (PSCI 5.1.8). STARTING: another CPU is
 * about to fill in where it starts. */
enum a64_power { A64_POWER_ON, A64_POWER_OFF, A64_POWER_ON_PENDING, A64_POWER_STARTING };

/* What ID registers of Op0 3, Op1 0, CRn 0, CRm 1 .. 7 answer: by CRm - 1 and Op2. */
#define A64_ID_CRM   7
#define A64_ID_COUNT (A64_ID_CRM * 8)

#define A64_ID_AT(crm, op2) (((crm)-1) * 8 + (op2))

/* The register's number. */
#define A64_ID_NUMBER(index) A64_SYSREG(3, 0, 0, 1 + (index) / 8, (index) % 8)

/* Index of those that are looked at elsewhere. */
#define A64_ID_AA64PFR0  A64_ID_AT(4, 0)
#define A64_ID_AA64PFR1  A64_ID_AT(4, 1)
#define A64_ID_AA64DFR0  A64_ID_AT(5, 0)
#define A64_ID_AA64MMFR0 A64_ID_AT(7, 0)
#define A64_ID_AA64MMFR1 A64_ID_AT(7, 1)
#define A64_ID_AA64MMFR2 A64_ID_AT(7, 2)

struct a64_vm {
	struct hc_vm vm;           /* first */
	uint64_t id[A64_ID_COUNT]; /* the policy of idregs.c, applied to the physical CPU's */
	struct gic *gic;           /* NULL until a machine has made it */
	uint64_t cntvoff;          /* CNTPCT at creation: all vCPUs' virtual counters begin at 0 */
	/* Was told: an access to a register that the guest does not have, and one to a device that
	 * is not emulated. */
	_Atomic bool undefined_sysreg, refused_access;
};

struct a64_vcpu {
	struct hc_vcpu vcpu; /* first */
	struct a64_state state;
	struct gic_cpu *gic;              /* NULL without an interrupt controller */
	_Atomic uint32_t power;           /* enum a64_power */
	bool halted;                      /* in WFI; its own CPU only */
	uint64_t start_pc, start_context; /* CPU_ON's, while A64_POWER_ON_PENDING */

	/* The physical timer, which is emulated (Arm ARM D11.2). */
	uint64_t cntp_cval;
	uint32_t cntp_ctl;
	struct hc_timer ptimer;
	struct hc_timer vtimer; /* stands in for the virtual one while the vCPU is halted */

	bool os_lock;          /* OSLSR_EL1.OSLK */
	uint64_t mdscr_locked; /* bits of MDSCR_EL1 that wait for the OS lock's end */

	/* Of the last exits: the page of a device, with the count of memory slots, and the register
	 * that trapped, never NULL. */
	uint64_t device_page;
	const struct a64_sysreg *last_sysreg;
};

static inline struct a64_vcpu *a64_vcpu_of(struct hc_vcpu *vcpu)
{
	return HC_CONTAINER_OF(vcpu, struct a64_vcpu, vcpu);
}

static inline struct a64_vm *a64_vm_of(struct hc_vm *vm)
{
	return HC_CONTAINER_OF(vm, struct a64_vm, vm);
}

static inline struct a64_state *a64_state_of(struct hc_vcpu *vcpu)
{
	return vcpu->state;
}

/* The state after a warm reset (Arm ARM D1.9.1) at EL1h with everything masked and the MMU off; all
 * groups become dirty. The virtual CPU interface is reset as well. */
void a64_vcpu_reset(struct hc_vcpu *vcpu);

/* Affinity of vCPU id as MPIDR_EL1 has it, without the flags above: 16 to a cluster, which is what
 * one ICC_SGI1R_EL1 reaches. */
static inline uint64_t a64_affinity(unsigned id)
{
	return (uint64_t)(id / 16) << 8 | id % 16;
}

/* Which GIC the guest has, 2 or 3, or none (0), before the VM starts: ID_AA64PFR0_EL1 and ICC_*
 * follow. */
void a64_set_gic_version(struct hc_vm *vm, unsigned version);

/* Ends an instruction that an exit handler carried out: moves PC on, and takes the step trap of
 * MDSCR_EL1.SS by clearing PSTATE.SS (Arm ARM D2.12). BTYPE goes too: it is of the instruction
 * before. */
static inline void a64_skip(struct hc_vcpu *vcpu, uint64_t next_pc)
{
	struct a64_state *s = a64_state_of(vcpu);

	s->pc = next_pc;
	s->pstate &= ~(A64_PSTATE_SS | A64_PSTATE_BTYPE);
	hc_vcpu_dirty(vcpu, A64_G_CORE);
}

/* --- Exceptions, taken to EL1 at once in the neutral state (Arm ARM D1.3.2, D1.3.6) --- */

/* Exception classes of ESR_ELx (Arm ARM D17.2.37). */
#define A64_EC_UNKNOWN    0x00u
#define A64_EC_ILLEGAL    0x0eu
#define A64_EC_IABT_LOWER 0x20u
#define A64_EC_IABT_SAME  0x21u
#define A64_EC_PC_ALIGN   0x22u
#define A64_EC_DABT_LOWER 0x24u
#define A64_EC_DABT_SAME  0x25u
#define A64_EC_SP_ALIGN   0x26u

#define A64_ESR_IL HC_BIT(25)

/* ISS of aborts. */
#define A64_ISS_WNR      (1u << 6)
#define A64_ISS_CM       (1u << 8) /* of cache maintenance or address translation */
#define A64_FSC_SIZE     0x00u     /* | level */
#define A64_FSC_TRANS    0x04u
#define A64_FSC_AF       0x08u
#define A64_FSC_PERM     0x0cu
#define A64_FSC_EXTERNAL 0x10u
#define A64_FSC_WALK     0x14u /* external abort on the walk, | level */
#define A64_FSC_ALIGN    0x21u

/* ESR_EL1 gets class ec, IL set, and iss. The _LOWER classes become _SAME by themselves if the
 * guest was at EL1. */
void a64_raise(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss);

/* The same with FAR_EL1. */
void a64_raise_at(struct hc_vcpu *vcpu, unsigned ec, uint32_t iss, gva_t far);

void a64_raise_undefined(struct hc_vcpu *vcpu);

/* A synchronous external abort on data or, fetch, on instructions: what a guest's access gets where
 * there is neither RAM nor a device that answers. write: ISS.WnR. */
void a64_raise_external(struct hc_vcpu *vcpu, gva_t far, bool fetch, bool write);

/* A virtual SError with this ISS is to be taken. */
void a64_raise_serror(struct hc_vcpu *vcpu, uint32_t iss);

/* --- What the CPU is, of which the guest's ID registers show what they may --- */

/* The physical CPU's ID register of that number: Op0 3, Op1 0, CRn 0. MIDR_EL1, CTR_EL0 and
 * DCZID_EL0 too. Each image links one implementation: arch/aarch64/el2/hw.c where the CPU is one,
 * a table in the unit tests. */
uint64_t a64_host_id(uint32_t number);

/* Four bits, from bit low on, of the ID register with that index: the physical CPU's, the guest's.
 */
static inline unsigned a64_host_field(unsigned index, unsigned low)
{
	return (unsigned)hc_bits(a64_host_id(A64_ID_NUMBER(index)), low + 3, low);
}

static inline unsigned a64_id_field(struct hc_vm *vm, unsigned index, unsigned low)
{
	return (unsigned)hc_bits(a64_vm_of(vm)->id[index], low + 3, low);
}

/* --- Timers: interrupts of the guest's (PPIs), as Linux and QEMU's virt machine have them --- */

#define A64_PPI_PTIMER 30 /* EL1 physical timer */
#define A64_PPI_VTIMER 27 /* EL1 virtual timer */

/* The vCPU is about to sleep / runs again: a timer of the core stands in for CNTV. True: its
 * interrupt is there already. */
bool a64_timers_halt(struct hc_vcpu *vcpu);
void a64_timers_wake(struct hc_vcpu *vcpu);

/* --- Building a guest (before the VM starts) --- */

/* Adds size bytes of RAM (a multiple of 2 MiB) at base. */
int a64_add_ram(struct hc_vm *vm, gpa_t base, uint64_t size);

/* An arm64 Image; a file that nothing is known of and that begins with what may be an A64
 * instruction. */
bool a64_is_image(const void *file, uint64_t size);
bool a64_is_program(const void *file, uint64_t size);

/* Loads an arm64 Image (Documentation/arm64/booting.rst of Linux; also 4.x kernels with
 * text_offset) or a program without a header, puts the device tree and initrd behind it, and sets
 * CPU 0 to enter it at EL1 with x0 = the device tree. ram: where the RAM is. -ENOEXEC (neither:
 * says what it looks like), -EPROTO (truncated or inconsistent), -ENOMEM (the guest's RAM is too
 * small: says how much is needed). */
struct a64_boot {
	gpa_t ram;
	uint64_t ram_size;
	const void *kernel, *initrd; /* initrd may be NULL */
	uint64_t kernel_size, initrd_size;
	/* Called when it is known where the initrd lies: writes the device tree into buf, of room
	 * bytes. 0 or an error, explained. */
	int (*make_tree)(void *arg, gpa_t initrd, uint64_t initrd_size, void *buf, size_t room);
	void *arg;
};

int a64_load_linux(struct hc_vm *vm, const struct a64_boot *boot);

#endif
