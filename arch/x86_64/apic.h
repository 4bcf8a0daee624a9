/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC, in xAPIC and x2APIC mode (SDM Vol. 3A chapter 10).
 *
 * The registers are kept in a page of the layout that software sees, which is also the virtual-APIC
 * page of VT-x (SDM Vol. 3C 30.1): a CPU that can, works on it without leaving the guest.
 *
 * A vCPU's registers belong to its own CPU. Other CPUs accept interrupts on its behalf: they set
 * bits of IRR, TMR and the pending errors, and read what decides about a message's destination; the
 * page's registers are atomic for that. Some CPUs change IRR by themselves, and not atomically:
 * interrupts for their vCPUs wait in a place of their own, struct x86_posted, for its owner.
 */
#ifndef ARCH_X86_64_APIC_H
#define ARCH_X86_64_APIC_H

#include <stdatomic.h>

#include "core/timer.h"

struct hc_vm;
struct hc_vcpu;
struct hc_state_desc;

/* IA32_APIC_BASE (10.4.4, 10.12.1) */
#define X86_APIC_BASE_BSP  HC_BIT(8)
#define X86_APIC_BASE_EXTD HC_BIT(10)
#define X86_APIC_BASE_EN   HC_BIT(11)

/* Offsets of the registers in the xAPIC page (table 10-1); the x2APIC MSR is 800h + offset / 16. */
enum x86_apic_reg {
	APIC_ID = 0x020,
	APIC_VERSION = 0x030,
	APIC_TPR = 0x080,
	APIC_APR = 0x090,
	APIC_PPR = 0x0a0,
	APIC_EOI = 0x0b0,
	APIC_RRD = 0x0c0,
	APIC_LDR = 0x0d0,
	APIC_DFR = 0x0e0,
	APIC_SVR = 0x0f0,
	APIC_ISR = 0x100,
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PMC = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_ICR = 0x380,
	APIC_TIMER_CCR = 0x390,
	APIC_TIMER_DCR = 0x3e0,
	APIC_SELF_IPI = 0x3f0
};

/* Entries of the local vector table, in the order of their registers. */
enum x86_apic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PMC, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define APIC_VERSION_VALUE                                                                         \
	0x01050014u /* integrated; LVT 0 to 5; EOI broadcasts can be suppressed */
#define APIC_SVR_ENABLE  (1u << 8)
#define APIC_SVR_NO_EOI  (1u << 12)
#define APIC_LVT_MASKED  (1u << 16)
#define APIC_BROADCAST   0xffu
#define X2APIC_BROADCAST 0xffffffffu

/* Error status (10.5.3) */
#define APIC_ESR_SEND_VECTOR    (1u << 5)
#define APIC_ESR_RECEIVE_VECTOR (1u << 6)
#define APIC_ESR_REGISTER       (1u << 7)

/* The timer counts at this rate before its divider: CPUID leaf 15h is not offered, so that guests
 * measure it. */
#define X86_APIC_TIMER_HZ UINT64_C(1000000000)

/* A periodic timer's interrupts are at least this far apart, however short the period: no guest can
 * keep a physical CPU in its timer handler. */
#define X86_APIC_MIN_PERIOD_NS     20000u
#define X86_APIC_MIN_PERIOD_CYCLES 20000u

#define X86_APIC_REGS 64

/* Sets of registers: bit n is the one at 16 * n, in x2APIC mode MSR 800h + n. */
#define X86_APIC_REG(offset)    HC_BIT((offset) / 16)
#define X86_APIC_BITMAP(offset) (UINT64_C(0xff) << (offset) / 16)

/* Those that both modes read alike, and that read as what the page holds. */
#define X86_APIC_PLAIN                                                                             \
	(X86_APIC_REG(APIC_VERSION) | X86_APIC_REG(APIC_TPR) | X86_APIC_REG(APIC_SVR) |            \
	 X86_APIC_BITMAP(APIC_ISR) | X86_APIC_BITMAP(APIC_TMR) | X86_APIC_BITMAP(APIC_IRR) |       \
	 X86_APIC_REG(APIC_ESR) | X86_APIC_REG(APIC_LVT_TIMER) | X86_APIC_REG(APIC_LVT_THERMAL) |  \
	 X86_APIC_REG(APIC_LVT_PMC) | X86_APIC_REG(APIC_LVT_LINT0) |                               \
	 X86_APIC_REG(APIC_LVT_LINT1) | X86_APIC_REG(APIC_LVT_ERROR) |                             \
	 X86_APIC_REG(APIC_TIMER_ICR) | X86_APIC_REG(APIC_TIMER_DCR))

/* What either mode reads in the page. */
#define X86_XAPIC_PLAIN                                                                            \
	(X86_APIC_PLAIN | X86_APIC_REG(APIC_ID) | X86_APIC_REG(APIC_LDR) |                         \
	 X86_APIC_REG(APIC_DFR) | X86_APIC_REG(APIC_ICR) | X86_APIC_REG(APIC_ICR_HIGH))
#define X86_X2APIC_PLAIN (X86_APIC_PLAIN | X86_APIC_REG(APIC_ID) | X86_APIC_REG(APIC_LDR))

/* Of PPR and the timer's current count, which are made up when they are read, software keeps
 * nothing here. ID and LDR look as they do in the APIC's mode. ICR is in two halves in both. Where
 * a CPU writes to the page by itself, x86_apic_mmio_write() comes after it with what it wrote. */
struct x86_apic_page {
	struct {
		_Atomic uint32_t value;
		uint32_t reserved[3];
	} reg[X86_APIC_REGS];
	uint8_t unused[4096 - X86_APIC_REGS * 16];
};

_Static_assert(sizeof(struct x86_apic_page) == 4096, "a page");
_Static_assert(offsetof(struct x86_apic_page, reg[APIC_TPR / 16].value) == APIC_TPR, "table 10-1");
_Static_assert(offsetof(struct x86_apic_page, reg[APIC_SELF_IPI / 16].value) == APIC_SELF_IPI,
               "table 10-1");

/* A posted-interrupt descriptor (SDM Vol. 3C 30.6). */
struct x86_posted {
	_Atomic uint64_t requests[4]; /* PIR: a bit for each vector */
	_Atomic uint64_t control;     /* X86_POSTED_ON, or nothing */
	uint64_t reserved[3];
};

_Static_assert(sizeof(struct x86_posted) == 64, "table 30-1");

#define X86_POSTED_ON HC_BIT(0) /* there are requests, and the vCPU was told */

struct x86_apic {
	struct x86_apic_page *page;
	_Atomic uint64_t base; /* IA32_APIC_BASE: address, BSP, EXTD, EN */
	uint32_t id;           /* initial APIC ID = vCPU number */
	_Atomic uint32_t esr_pending;
	uint32_t timer_lvt, timer_icr, timer_dcr; /* what the timer runs by */
	uint64_t timer_start_ns;
	uint64_t tsc_deadline;
	struct hc_timer timer;
	/* NULL: interrupts are accepted into IRR. Otherwise, from when the vCPU is made to its end,
	 * into posted, and this makes the vCPU look, or its CPU: on any CPU. Both the backend's. */
	void (*notify)(struct hc_vcpu *vcpu);
	struct x86_posted *posted;
	/* Level-triggered ones are not for the CPU, which would not tell of their end. */
	_Atomic bool level_outstanding;
	_Atomic uint64_t level[4];
};

/* The register at offset (a multiple of 16, below 400h). */
static inline _Atomic uint32_t *x86_apic_reg(const struct x86_apic *apic, uint32_t offset)
{
	return &apic->page->reg[offset / 16].value;
}

static inline uint32_t x86_apic_get(const struct x86_apic *apic, uint32_t offset)
{
	return atomic_load_explicit(x86_apic_reg(apic, offset), memory_order_relaxed);
}

static inline void x86_apic_put(struct x86_apic *apic, uint32_t offset, uint32_t value)
{
	atomic_store_explicit(x86_apic_reg(apic, offset), value, memory_order_relaxed);
}

static inline uint32_t x86_apic_get_lvt(const struct x86_apic *apic, enum x86_apic_lvt entry)
{
	return x86_apic_get(apic, APIC_LVT_TIMER + 16 * (uint32_t)entry);
}

static inline uint64_t x86_apic_icr(const struct x86_apic *apic)
{
	return (uint64_t)x86_apic_get(apic, APIC_ICR_HIGH) << 32 | x86_apic_get(apic, APIC_ICR);
}

/* Of IRR, ISR or TMR, which begins at bitmap: the register that holds the vector's bit. */
static inline _Atomic uint32_t *x86_apic_bits(const struct x86_apic *apic, uint32_t bitmap,
                                              unsigned vector)
{
	return x86_apic_reg(apic, bitmap + vector / 32 * 16);
}

static inline uint32_t x86_apic_bit(unsigned vector)
{
	return 1u << (vector % 32);
}

/* Delivery modes (10.6.1, 10.11.2) and the fields of an interrupt message. */
enum x86_delivery {
	X86_DELIVER_FIXED,
	X86_DELIVER_LOWEST,
	X86_DELIVER_SMI,
	X86_DELIVER_RESERVED,
	X86_DELIVER_NMI,
	X86_DELIVER_INIT,
	X86_DELIVER_STARTUP,
	X86_DELIVER_EXTINT
};

struct x86_message {
	uint32_t destination;
	uint8_t vector;
	uint8_t mode; /* enum x86_delivery */
	bool logical;
	bool level; /* level-triggered */
	bool assert;
	bool broadcast; /* to all, whatever destination says */
};

/* --- State --- */

/* 0, or -ENOMEM. */
int x86_apic_init(struct hc_vcpu *vcpu);
void x86_apic_fini(struct hc_vcpu *vcpu);

/* After power-on, INIT, or switching off and on (10.4.7). APIC_BASE changes at power-on only. */
void x86_apic_reset(struct hc_vcpu *vcpu, bool power_on);

/* As firmware leaves the boot CPU's: virtual wire mode, LINT0 for the 8259s and LINT1 for NMI
 * (MultiProcessor Specification 3.6.2.2). */
void x86_apic_virtual_wire(struct hc_vcpu *vcpu);

/* Of struct x86_apic_page, and of struct x86_apic, which is loaded after its page. What is posted
 * is merged before they are saved. */
extern const struct hc_state_desc x86_apic_page_state;
extern const struct hc_state_desc x86_apic_state;

/* --- Registers; on the vCPU's own CPU --- */

/* A 32-bit access at offset (a multiple of 4, below 4096) of the xAPIC page. */
uint32_t x86_apic_mmio_read(struct hc_vcpu *vcpu, uint32_t offset);
void x86_apic_mmio_write(struct hc_vcpu *vcpu, uint32_t offset, uint32_t value);

/* MSRs 800h to 8FFh. -EINVAL: #GP(0). */
int x86_x2apic_read(struct hc_vcpu *vcpu, uint32_t msr, uint64_t *value);
int x86_x2apic_write(struct hc_vcpu *vcpu, uint32_t msr, uint64_t value);

/* IA32_APIC_BASE: mode changes by 10.12.5. The page does not move: another address is -EINVAL. */
int x86_apic_write_base(struct hc_vcpu *vcpu, uint64_t value);

uint64_t x86_apic_read_deadline(struct hc_vcpu *vcpu);
void x86_apic_write_deadline(struct hc_vcpu *vcpu, uint64_t value);

/* The task priority as CR8 shows it (10.8.6.1). */
unsigned x86_apic_cr8(struct hc_vcpu *vcpu);
void x86_apic_set_cr8(struct hc_vcpu *vcpu, unsigned cr8);

static inline bool x86_apic_is_x2apic(const struct x86_apic *apic)
{
	return (atomic_load_explicit(&apic->base, memory_order_relaxed) & X86_APIC_BASE_EXTD) != 0;
}

/* Is gpa in this vCPU's xAPIC page, and does that page answer? */
static inline bool x86_apic_has_page(const struct x86_apic *apic, uint64_t gpa)
{
	uint64_t base = atomic_load_explicit(&apic->base, memory_order_relaxed);
	uint64_t mode = base & (X86_APIC_BASE_EN | X86_APIC_BASE_EXTD);

	return mode == X86_APIC_BASE_EN && gpa >> 12 == base >> 12;
}

/* --- Interrupts --- */

/* The vector that the vCPU shall take next, or negative if none is above its priority. On the
 * vCPU's own CPU. */
int x86_apic_pending(struct x86_apic *apic);

/* Moves what is posted, where interrupts are, to IRR and TMR. On the vCPU's own CPU, out of the
 * guest, or while the VM does not run. */
void x86_apic_merge_outstanding(struct x86_apic *apic);
static inline void x86_apic_merge(struct x86_apic *apic)
{
	if (atomic_load(&apic->posted->control) || atomic_load(&apic->level_outstanding))
		x86_apic_merge_outstanding(apic);
}

/* The highest vector of IRR or ISR, or -1. What an interrupt's sender wrote before it set the bit
 * is seen afterwards. */
static inline int x86_apic_highest(const struct x86_apic *apic, uint32_t bitmap)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = atomic_load_explicit(x86_apic_bits(apic, bitmap, (unsigned)i * 32),
		                                     memory_order_acquire);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

/* The interrupt has left ISR: level-triggered ones are told of where they came from. */
void x86_apic_ended(struct hc_vcpu *vcpu, unsigned vector);

/* It took it: IRR to ISR. */
void x86_apic_take(struct x86_apic *apic, unsigned vector);

/* Does the 8259s' INTR reach this vCPU: through LINT0, or because its APIC is switched off. */
bool x86_apic_takes_extint(const struct x86_apic *apic);

/* Delivers a message to every vCPU that it names; any CPU. Returns how many took it. */
unsigned x86_apic_deliver(struct hc_vm *vm, const struct x86_message *message);

/* An MSI's address and data (10.11); hc_arch_ops.deliver_msi. */
void x86_apic_deliver_msi(struct hc_vm *vm, uint64_t address, uint32_t data);

/* Internal to the APIC's files. */
void x86_apic_error(struct hc_vcpu *vcpu, uint32_t bit);
void x86_apic_accept(struct hc_vcpu *vcpu, unsigned vector, bool level);
void x86_apic_post(struct hc_vcpu *vcpu, unsigned vector, bool level);
void x86_apic_drop_posted(struct x86_apic *apic);
void x86_apic_send_icr(struct hc_vcpu *vcpu);
void x86_apic_local(struct hc_vcpu *vcpu, enum x86_apic_lvt entry);
void x86_apic_timer_init(struct hc_vcpu *vcpu);
void x86_apic_timer_reset(struct hc_vcpu *vcpu);
void x86_apic_timer_write_lvt(struct hc_vcpu *vcpu, uint32_t value);
void x86_apic_timer_write_icr(struct hc_vcpu *vcpu, uint32_t value);
void x86_apic_timer_write_dcr(struct hc_vcpu *vcpu, uint32_t value);
uint32_t x86_apic_timer_ccr(struct hc_vcpu *vcpu);
/* Before the guest is shown that the count has ended, or changes what its end does: if it has, and
 * the platform's timer is still to come, its interrupt comes now. On the vCPU's CPU. */
void x86_apic_timer_catch_up(struct hc_vcpu *vcpu);
void x86_apic_timer_rearm(struct hc_vcpu *vcpu);

#endif
