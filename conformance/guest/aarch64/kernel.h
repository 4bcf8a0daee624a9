/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AArch64 kernel as cases see it. They run at EL1 on SP_EL0, which leaves SP_EL1 to exceptions;
 * all of DAIF is masked; memory and devices are mapped as they are, in 4 KiB pages where the kernel
 * itself is, else in blocks.
 */
#ifndef CONFORMANCE_AARCH64_KERNEL_H
#define CONFORMANCE_AARCH64_KERNEL_H

#include "guest/aarch64/cpu.h"
#include "guest/test.h"

/* ---- Exceptions ---- */

struct frame {
	uint64_t x[31];
	uint64_t sp; /* of whoever was interrupted */
	uint64_t elr, spsr, esr, far;
	uint64_t kind; /* the vector: 4 * (0: EL1 on SP_EL0, 1: EL1 on SP_EL1, 2: EL0) + KIND_... */
	uint64_t reserved;
};
#define KIND_SYNC   0u
#define KIND_IRQ    1u
#define KIND_FIQ    2u
#define KIND_SERROR 3u

/*
 * Has all exceptions of a kind, on any CPU, handled by a function until the case is over. It may
 * change the frame. It comes before fault_expect() and enter(), runs on SP_EL1 and masked; false:
 * it is not for it.
 */
void handle(unsigned int kind, bool (*function)(struct frame *frame));

/* The registers at the last exception that fault_expect() took on this CPU. */
const struct frame *fault_frame(void);

/*
 * Leaves for the registers in the frame with ERET. Comes back at the first exception that is not
 * handled, with the frame as that found it; an expected fault is taken and left out as elsewhere.
 */
void enter(struct frame *frame);
/* enter() at EL0, all of DAIF masked but D, on user_stack, with X0 and X1. The code ends with SVC.
 */
struct frame enter_el0(const void *code, uint64_t x0, uint64_t x1);
#define EC_OF(frame)  FIELD((frame).esr, 31, 26)
#define ISS_OF(frame) FIELD((frame).esr, 24, 0)

/* Assembler text for EL0, which ends with SVC #0; extern const char name[]. */
#define EL0_CODE(name, text)                                                                       \
	__asm__(".pushsection .user.text, \"ax\"\n\t.balign 16\n\t.globl " #name "\n" #name        \
	        ":\n\t" text "\n\tsvc #0\n\t.popsection");                                         \
	extern const char name[]
/* Data and stack that EL0 can use. */
extern uint8_t user_data[4096], user_stack[4096];
#define user_stack_top (user_stack + sizeof(user_stack))

/*
 * Carries out one instruction from memory, with X0 to X7 as given and as they are afterwards. Can
 * be left out by fault_expect() like any other.
 */
void execute(uint32_t opcode, uint64_t x[8]);
/*
 * Carries out opcodes, of which the last is a RET, under another SCTLR_EL1, with X0 to X7; X8 to
 * X15 are free. The exception that ended them, as from fault_end(). Meanwhile nothing else is read
 * or written: what the caches hold is not seen where it switches them off.
 */
struct fault execute_under(uint64_t sctlr, const uint32_t *opcodes, unsigned int n, uint64_t x[8]);
/* execute() at EL0; the frame of the exception that came, an SVC if none. */
struct frame execute_el0(uint32_t opcode, uint64_t x[8]);
/* MRS and MSR of any number (SYSREG). */
uint64_t sysreg_read(uint32_t number);
void sysreg_write(uint32_t number, uint64_t value);
/* Four bits of an ID register, S3_0_C0_Ccrm_op2, from bit low on. */
unsigned int id_field(unsigned int crm, unsigned int op2, unsigned int low);
/* Skips where there are no atomic instructions (FEAT_LSE). */
void need_lse(void);
/* Makes n opcodes run from the page of code at a place of the CPU's own, and says where. */
const void *place_code(const uint32_t *opcodes, unsigned int n);
/* The same where EL0 can run it. */
const void *place_code_el0(const uint32_t *opcodes, unsigned int n);
void clean_code(const void *start, uint64_t bytes);
/* Cleans and invalidates to the point of coherency: memory and whoever looks have the same. */
void flush_data(const void *start, uint64_t bytes);

/* V0 to V31, FPCR and FPSR, which the kernel itself does not use. */
struct vectors {
	uint64_t v[32][2];
	uint64_t fpcr, fpsr;
};
void vectors_load(const struct vectors *from);
void vectors_store(struct vectors *to);

/* function(argument) on SP_EL1. */
void on_sp_el1(void (*function)(void *argument), void *argument);

/* ---- Stage 1 (D8.3) ---- */

#define PAGE           4096u
#define PTE_VALID      BIT(0)
#define PTE_TABLE      BIT(1) /* or page, at level 3 */
#define PTE_ATTR(n)    ((uint64_t)(n) << 2)
#define PTE_EL0        BIT(6)
#define PTE_RO         BIT(7)
#define PTE_SH_INNER   (UINT64_C(3) << 8)
#define PTE_AF         BIT(10)
#define PTE_NG         BIT(11)
#define PTE_CONTIGUOUS BIT(52)
#define PTE_PXN        BIT(53)
#define PTE_UXN        BIT(54)
#define PTE_ADDRESS    UINT64_C(0x0000fffffffff000)
#define PTE_NORMAL     (PTE_VALID | PTE_AF | PTE_SH_INNER)
#define PTE_DEVICE     (PTE_VALID | PTE_AF | PTE_ATTR(1) | PTE_UXN | PTE_PXN)

/* Virtual addresses that nothing is mapped at until a case does. */
#define WINDOW      UINT64_C(0x4000000000)
#define WINDOW_NEXT (WINDOW + UINT64_C(0x40000000))

/* The descriptor that a level's walk for an address ends in; tables are made up to it. */
uint64_t *page_entry(uint64_t address, unsigned int level);
/* Sets it, by break-before-make, for all CPUs. The descriptor is whole, for pages as well. */
void page_set(uint64_t address, unsigned int level, uint64_t descriptor);
/* A page of memory at WINDOW + n pages. */
void page_map(uint64_t address, const void *memory, uint64_t attributes);
void tlb_flush(void);
extern uint8_t test_pages[16][PAGE];
/* RAM that nobody uses, in blocks of 2 MiB; skips if there is none. */
uint64_t spare_block(void);
uint64_t spare_block_at(unsigned int n);
/* Where neither RAM nor a device is, as far as the machine's description goes; mapped as a device.
 */
uint64_t hole_address(void);

/* ---- The machine, from the device tree or ACPI ---- */

#define CONDUIT_NONE 0u
#define CONDUIT_HVC  1u
#define CONDUIT_SMC  2u
struct machine {
	uint64_t uart, rtc; /* PL011, PL031; 0: none */
	unsigned int uart_irq, rtc_irq;
	unsigned int conduit;
	unsigned int gic_version;  /* 0: none, 2, 3 */
	uint64_t gicd, gicc, gicr; /* gicr: the first region */
	uint64_t gicr_bytes;
	unsigned int timer_virtual, timer_physical; /* INTIDs; 0: none */
	unsigned int cpu_count;
	uint64_t mpidr[CPUS_MAX];
	unsigned int ram_count;
	struct {
		uint64_t start, bytes;
	} ram[8];
	unsigned int boot_el; /* which the loader started the kernel at is not told: 1 */
};
extern struct machine machine;

/* ---- PSCI and SMCCC (DEN 0022, DEN 0028) ---- */

#define PSCI_VERSION            0x84000000u
#define PSCI_CPU_SUSPEND        0xc4000001u
#define PSCI_CPU_OFF            0x84000002u
#define PSCI_CPU_ON             0xc4000003u
#define PSCI_AFFINITY_INFO      0xc4000004u
#define PSCI_MIGRATE            0xc4000005u
#define PSCI_MIGRATE_INFO_TYPE  0x84000006u
#define PSCI_SYSTEM_OFF         0x84000008u
#define PSCI_SYSTEM_RESET       0x84000009u
#define PSCI_FEATURES           0x8400000au
#define PSCI_SYSTEM_RESET2      0x84000012u
#define PSCI_NOT_SUPPORTED      -1
#define PSCI_INVALID_PARAMETERS -2
#define PSCI_DENIED             -3
#define PSCI_ALREADY_ON         -4
#define PSCI_ON_PENDING         -5
#define PSCI_INVALID_ADDRESS    -9
/* By the machine's conduit; skips where there is none. X0 afterwards. */
int64_t firmware(uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3);
/* The same with X0 to X17, in and out. */
void firmware_call(uint64_t x[18]);
void call_hvc(uint64_t x[18]);
void call_smc(uint64_t x[18]);
/* The address that CPU_ON is to have. */
extern const char secondary_start[];

/* ---- Interrupts: what is the same for a GICv2 and a GICv3 ---- */

#define GIC_SPURIOUS 1023u
/* Distributor, or the calling CPU's redistributor: where a PPI's or SPI's registers are. */
uint64_t gic_bank(unsigned int intid);
/* This CPU's SGI_base of its redistributor is at +64 KiB of it. */
uint64_t gicr_of(unsigned int cpu);
#define GICD_CTLR       0x000u
#define GICD_TYPER      0x004u
#define GICD_IIDR       0x008u
#define GICD_IGROUPR    0x080u
#define GICD_ISENABLER  0x100u
#define GICD_ICENABLER  0x180u
#define GICD_ISPENDR    0x200u
#define GICD_ICPENDR    0x280u
#define GICD_ISACTIVER  0x300u
#define GICD_ICACTIVER  0x380u
#define GICD_IPRIORITYR 0x400u
#define GICD_ITARGETSR  0x800u
#define GICD_ICFGR      0xc00u
#define GICD_SGIR       0xf00u
#define GICD_IROUTER    0x6000u
#define GICR_CTLR       0x000u
#define GICR_TYPER      0x008u
#define GICR_WAKER      0x014u
#define GICC_CTLR       0x000u
#define GICC_PMR        0x004u
#define GICC_BPR        0x008u
#define GICC_IAR        0x00cu
#define GICC_EOIR       0x010u
#define GICC_RPR        0x014u
#define GICC_HPPIR      0x018u
#define GICC_IIDR       0x0fcu
#define GICC_DIR        0x1000u

/* Skips where the version is another; 0: any. */
void need_gic(unsigned int version);
/* SPIs that nobody uses: the last of the distributor's. Skips if there are none. */
unsigned int spare_spi(unsigned int n);
/* A bit of a GICD_I...R register of bits. */
bool irq_bit(unsigned int reg, unsigned int intid);
void irq_set(unsigned int reg, unsigned int intid);
void irq_enable(unsigned int intid);
void irq_priority(unsigned int intid, uint8_t priority);
void irq_edge(unsigned int intid, bool edge);
/* Edge-triggered, and enabled: what irq_set(GICD_ISPENDR, intid) makes come. */
void irq_ready(unsigned int intid);
/* To one CPU. */
void irq_route(unsigned int intid, unsigned int cpu);
void sgi_send(unsigned int intid, unsigned int cpu);
void sgi_send_others(unsigned int intid);
/* The CPU interface. irq_ack's value is the INTID, irq_source the CPU of a GICv2's SGI with it. */
uint32_t irq_ack(void);
void irq_eoi(uint32_t acked);
/* Acknowledges the interrupt that is due, which has to be this one. */
uint32_t irq_take(const struct place *place, unsigned int expected);
void irq_deactivate(uint32_t acked);
void irq_mask_priority(uint8_t priority);
void irq_binary_point(uint8_t point);
uint32_t irq_running(void);
uint32_t irq_highest(void);
void irq_eoi_mode(bool split);
/* Whether an IRQ is signalled (ISR_EL1.I), within a while. */
bool irq_comes(void);
/* Whether none is, after a while that would have been enough. */
bool irq_stays_away(void);
/* Sleeps 200 us, for other CPUs to have their turn where several share one, with interrupts masked
 * and none pending. */
void doze(void);
/* Counts what comes: unmasks, waits for n interrupts, masks. irq_last is the last one's INTID. */
void irq_count_on(void);
extern volatile unsigned int irq_counts[CPUS_MAX][1024];

#endif
