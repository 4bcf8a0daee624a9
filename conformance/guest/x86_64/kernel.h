/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86-64 kernel as cases see it: its descriptor tables, exceptions, page tables, and code in
 * other modes and rings.
 */
#ifndef CONFORMANCE_X86_64_KERNEL_H
#define CONFORMANCE_X86_64_KERNEL_H

#include "guest/test.h"
#include "guest/x86_64/cpu.h"

/* The GDT's selectors. SYSCALL and SYSRET want this order. */
#define KERNEL_CODE   0x08u /* 64 bits */
#define KERNEL_DATA   0x10u
#define KERNEL_CODE32 0x18u
#define KERNEL_CODE16 0x20u
#define KERNEL_DATA16 0x28u
#define USER_CODE32   0x33u
#define USER_DATA     0x3bu
#define USER_CODE     0x43u
#define USER_CODE16   0x4bu
#define TEST_SELECTOR 0x50u /* the first of TEST_SLOTS null entries for cases */
#define TEST_SLOTS    8u
#define FIRST_TSS     0x90u /* 16 bytes a CPU */

/* The general registers in the order of their numbers' reverse, then what the CPU pushes. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, code;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map; /* offset of the I/O permission bitmap */
	uint8_t io_bits[0x400 + 1];
} __attribute__((packed, aligned(16)));

struct gate {
	uint16_t offset0, selector;
	uint8_t ist, type; /* type: P, DPL and type */
	uint16_t offset1;
	uint32_t offset2, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM Vol. 3A 6.14.1");

extern uint64_t gdt[];
extern struct gate idt[256];
struct tss *cpu_tss(unsigned int n);

#define GATE_INTERRUPT 0x8eu
#define GATE_TRAP      0x8fu
#define GATE_DPL3      0x60u
void idt_set(uint8_t vector, uint64_t offset, uint16_t selector, uint8_t type, uint8_t ist);

/* An 8-byte segment descriptor from its parts: flags are the second word's 8..15 and 20..23. */
#define DESCRIPTOR(base, limit, flags)                                                             \
	(((uint64_t)(limit)&0xffff) | ((uint64_t)((base)&0xffffff) << 16) |                        \
	 ((uint64_t)(flags)&0xf0ff) << 40 | ((uint64_t)(limit) >> 16 & 0xf) << 48 |                \
	 ((uint64_t)(base) >> 24 & 0xff) << 56)

/*
 * Has a vector handled by a function, which may change the frame, until the case is over. It runs
 * with interrupts masked on whichever CPU takes it and comes before fault_expect() and enter().
 */
void handle(uint8_t vector, void (*function)(struct frame *frame));

/* The registers at the last exception that fault_expect() took on this CPU. */
const struct frame *fault_frame(void);

/*
 * Leaves for the registers in the frame with IRETQ, at any privilege level, in 64-bit or
 * compatibility mode, DS and ES loaded from ds. Comes back at the first exception or INT n without
 * a handler, with the frame as that found it: code ends with INT 80h when all is well, which any
 * ring may use. FAULT_NONE is not among the results: look at vector.
 */
#define RETURN_VECTOR 0x80u
void enter(struct frame *frame, uint16_t ds);
/* enter() in ring 3 at code in USER_TEXT, its stack at user_stack_top, rdi and rsi as given. */
struct frame enter_user(const void *code, uint64_t rdi, uint64_t rsi);

#define CODE_TEXT(section, name, bits, text)                                                       \
	__asm__(".pushsection " section ", \"ax\"\n\t.code" #bits "\n\t.balign 16\n\t"             \
	        ".globl " #name "\n" #name ":\n\t" text "\n\tint $0x80\n\t"                        \
	        ".code64\n\t.popsection");                                                         \
	extern const char name[]
/* Assembler text for enter(): a symbol that a case may declare as extern const char name[]. */
#define USER_CODE_TEXT(name, bits, text) CODE_TEXT(".user.text", name, bits, text)
/* ... in pages that are not for ring 3. */
#define KERNEL_CODE_TEXT(name, bits, text) CODE_TEXT(".text.code", name, bits, text)
/* Assembler text for mode_call(): linked below 64 KiB. */
#define LOW_CODE_TEXT(name, bits, text) CODE_TEXT(".low", name, bits, text)

/* Data and stack that ring 3 can use: 4 KiB each. */
extern uint8_t user_data[4096], user_stack[4096];
#define user_stack_top (user_stack + sizeof(user_stack))

/*
 * Code outside of long mode. The CPU goes to protected mode without paging, then to what the
 * request says, runs the code, which is to be below 64 KiB (LOW_CODE_TEXT), and comes back at the
 * first exception, interrupt or INT n: INT 80h when all is well.
 */
struct mode {
	uint32_t cr0, cr3, cr4, efer; /* cr0 without PE: real mode */
	uint32_t eip, cs, eflags, esp, ss, ds;
	/* In and out. */
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp;
	/* Out; the vector's error code, or 0. eip, cs, eflags, and from ring 3 esp and ss, too. */
	uint32_t vector, code, cr2;
};
void mode_call(struct mode *mode);

/* mode_call's descriptors. TSS: for returns from rings above 0. */
#define LOW_CODE32    0x08u
#define LOW_DATA32    0x10u
#define LOW_CODE16    0x18u
#define LOW_DATA16    0x20u
#define LOW_USER32    0x2bu
#define LOW_USER_DATA 0x33u
#define LOW_TSS       0x38u
#define LOW_CODE64    0x40u
#define LOW_TEST      0x48u /* the first of 6 for cases */
extern uint64_t low_gdt[];
/* Starting points for a request: paging off, stack and data flat. */
struct mode mode_real(const void *code);
struct mode mode_16(const void *code);
struct mode mode_32(const void *code);

/* Leaves long mode and comes back to 64-bit mode with these: for what cannot change under paging.
 */
void long_mode_again(uint64_t cr3, uint64_t cr4);

/* ---- Page tables ---- */

#define PTE_P   BIT(0)
#define PTE_W   BIT(1)
#define PTE_U   BIT(2)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A   BIT(5)
#define PTE_D   BIT(6)
#define PTE_PS  BIT(7)
#define PTE_G   BIT(8)
#define PTE_NX  BIT(63)

#define PAGE    4096u
#define PAGE_2M (2u << 20)
#define PAGE_1G (1u << 30)

/* The kernel's: identity for 4 GiB; the first 4 MiB in 4 KiB pages, of which those of .user are for
 * ring 3. */
extern uint64_t kernel_pml4[512];
/* A zeroed page, given back when the case is over. Its address is below 4 GiB, mapped one to one.
 */
void *page_alloc(void);
/* Linear addresses that nothing is mapped at, for cases: 512 GiB from here. */
#define FREE_SPACE UINT64_C(0x8000000000)

/*
 * The entry that maps an address at a level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB, 4: 512 GiB), its parents
 * made where they are absent, as P|W|U. Splits no larger page: that ends the case as ERROR.
 */
uint64_t *page_entry(uint64_t *root, unsigned int levels, uint64_t address, unsigned int level);
/* Maps a page into the kernel's tables and flushes it. level as above. Returns the entry. */
uint64_t *page_map(uint64_t address, uint64_t physical, uint64_t flags, unsigned int level);
/* The entry's new value, and the flush. */
void page_set(uint64_t *entry, uint64_t value, uint64_t address);
void flush_all(void);

/* ---- Interrupts ---- */

#define APIC_DEFAULT       0xfee00000u
#define APIC_ID            0x20u
#define APIC_VERSION       0x30u
#define APIC_TPR           0x80u
#define APIC_PPR           0xa0u
#define APIC_EOI           0xb0u
#define APIC_LDR           0xd0u
#define APIC_DFR           0xe0u
#define APIC_SVR           0xf0u
#define APIC_ISR           0x100u
#define APIC_TMR           0x180u
#define APIC_IRR           0x200u
#define APIC_ESR           0x280u
#define APIC_ICR           0x300u
#define APIC_ICR2          0x310u
#define APIC_TIMER         0x320u
#define APIC_LINT0         0x350u
#define APIC_LINT1         0x360u
#define APIC_ERROR         0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE  0x3e0u

#define ICR_FIXED        0u
#define ICR_NMI          0x400u
#define ICR_INIT         0x500u
#define ICR_STARTUP      0x600u
#define ICR_ASSERT       0x4000u
#define ICR_SELF         0x40000u
#define ICR_ALL_BUT_SELF 0xc0000u

uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);
/* Sends an interrupt command to an APIC ID and waits until it has gone. */
void apic_send(uint32_t apic_id, uint32_t command);
uint32_t cpu_apic_id(unsigned int n);
bool x2apic_supported(void);
void x2apic_enable(void);

#define IOAPIC_DEFAULT 0xfec00000u
uint32_t ioapic_read(uint8_t index);
void ioapic_write(uint8_t index, uint32_t value);
/* The pin that an ISA interrupt comes on (MADT's overrides). */
unsigned int ioapic_pin(unsigned int isa);

/* The PICs' vectors: 8 from here and 8 after them. All masked when a case begins. */
#define PIC_VECTOR 0x20u
/* That state: both PICs initialised and masked, the I/O APIC's entries masked, the PIT without a
 * count. */
void pic_reset(void);

/* The HPET's registers, by its table; 0: there is none. */
uint64_t hpet_base(void);
/* As a case finds it: it counts, without interrupts. */
void hpet_reset(void);

/* Writes S5 to PM1a_CNT, by the FADT and the DSDT, if they are there. */
void acpi_power_off(void);
/* A table of ACPI by its signature; NULL if there is none. */
const void *acpi_table(const char *signature);

#endif
