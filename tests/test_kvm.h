/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the backends of a process share: one small VM, with a device that is memory
 * and writes down what it was asked.
 */
#ifndef TESTS_TEST_KVM_H
#define TESTS_TEST_KVM_H

#include "arch/x86_64/x86.h"
#include "platform/linux/kvm.h"
#include "tests/platform.h"
#include "tests/unit.h"

/* Guests: code at 8000h, their stack below it, page tables from 10000h. */

#define RAM_SIZE 0x20000u
#define CODE     0x8000u
#define RESULTS  0x4000u /* where guests leave what they found out */
#define GDT      0x500u
#define IDT      0x600u
#define TABLES   0x10000u
#define DEVICE   0xd0000000u
#define ROM      0xe0000000u
#define PORTS    0x500u

/* Position-independent but for what is written as a number. */
#define GUEST(name, bits, body)                                                                    \
	extern const uint8_t name[], name##_end[];                                                 \
	__asm__(".pushsection .rodata\n.code" bits "\n" #name ":\n" body "\n" #name                \
	        "_end:\n.code64\n.popsection")

#define BYTES      64
#define MAX_ACCESS 64

/* What the guests run on: each program's own. */
extern const struct hc_backend_ops *const guest_backend;

extern struct guest {
	struct hc_vm *vm;
	struct hc_vcpu *vcpu;
	struct x86_state *st;
	uint8_t *ram;
	/* The device, at DEVICE and at PORTS. */
	uint8_t bytes[BYTES];
	struct guest_access {
		uint64_t offset, value;
		unsigned size;
		bool write;
	} accesses[MAX_ACCESS];
	unsigned access_count;
	void (*on_access)(void);
	uint8_t *exit_flag; /* what a signal handler sets when the guest is to be left */
} guest;

/* Does the host's CPU have VT-x or AMD-V? A KVM without shows the host's features in CPUID, for it
 * cannot hide what runs on the CPU itself, and does not offset the TSC. */
bool guest_has_extensions(void);

/* The access number i was this one. */
void guest_expect(unsigned i, bool write, uint64_t offset, unsigned size, uint64_t value);

/* A VM in real mode at the code. */
void guest_make(const uint8_t *code, const uint8_t *code_end);

/* Flat segments; selectors 8: 64-bit code, 10h: data, 18h: 32-bit code. */
void guest_protected_mode(unsigned code_selector);
void guest_long_mode(void);

/* What 64-bit code has for a vector; up to 64 bytes. */
void guest_handler(unsigned vector, const uint8_t *code, const uint8_t *code_end);

/* Until the guest halts, or the VM ends; all of the state is then valid. */
void guest_run(void);
void guest_end(void);

/* The 64-bit word number i of the results. */
uint64_t guest_result(unsigned i);

/* test_kvm_guests.c: tests of guests in 64-bit mode that run on every backend. */
void guest_test_triple_fault(void **state);
void guest_test_interrupts(void **state);
void guest_test_nmi(void **state);

/* What the device has to have seen, and the guest to have read, after OUT and IN of all widths, REP
 * OUTSB of 5 and REP INSW of 3. */
void guest_expect_ports(void);
/* Starts the VM, which has to fail with this in the reason; ends it. */
void guest_expect_failure(const char *text);

/* Runs the tests of a program: main()'s result. Skips them, with the reason, where the backend
 * cannot be used. */
#define GUEST_TESTS(tests) (guest_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : 77)
bool guest_can_run(void);

#endif
