/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests that run on every backend of a process, and what has to become of them. */
#include <string.h>

#include "tests/test_kvm.h"

GUEST(triple_64, "64", "ud2");

void guest_test_triple_fault(void **state)
{
	guest_make(triple_64, triple_64_end);
	guest_long_mode();
	guest.st->idtr.limit = 0;
	guest_run();
	assert_int_equal(hc_vm_state(guest.vm), HC_VM_STOPPED);
	assert_int_equal(hc_vm_cause(guest.vm), HC_STOP_RESET);
	guest_end();
}

/* --- Interrupts --- */

GUEST(interrupts_64, "64",
      "mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%rbx);"
      "movl $0x40040, 0x300(%rbx); nop; mov 0x4000, %eax; mov %eax, 0x4008;" /* IF is clear */
      "sti; 1: cmpl $1, 0x4000; jb 1b; mov 0x4000, %eax; mov %eax, 0x4010;"
      "mov $5, %eax; mov %rax, %cr8; movl $0x40040, 0x300(%rbx); nop; mov 0x4000, %eax;"
      "mov %eax, 0x4018; xor %eax, %eax; mov %rax, %cr8; out %al, $0x80;"
      "1: cmpl $2, 0x4000; jb 1b; mov 0x4000, %eax; mov %eax, 0x4020; hlt; mov 0x4000, %eax; mov "
      "%eax, 0x4028;"
      "cli; hlt; mov 0x4000, %eax; mov %eax, 0x4030; hlt");
GUEST(count_it, "64", "incl 0x4000; iretq");
GUEST(on_interrupt, "64", "incl 0x4000; movl $0, 0xb0(%rbx); iretq");

static unsigned idles;

static void send(enum x86_delivery mode, uint8_t vector)
{
	const struct x86_message message = { .vector = vector,
		                             .mode = (uint8_t)mode,
		                             .assert = true };

	assert_int_equal(x86_apic_deliver(guest.vm, &message), 1);
}

/* At the first HLT an interrupt; at the second, with IF clear, another and then an NMI. */
static void idle(void)
{
	switch (idles++) {
	case 0: send(X86_DELIVER_FIXED, 0x40); break;
	case 1: send(X86_DELIVER_FIXED, 0x40); break;
	case 2: send(X86_DELIVER_NMI, 0); break;
	default: test_stop_loop();
	}
}

void guest_test_interrupts(void **state)
{
	guest_make(interrupts_64, interrupts_64_end);
	guest_long_mode();
	guest_handler(0x40, on_interrupt, on_interrupt_end);
	guest_handler(X86_VEC_NMI, count_it, count_it_end);
	idles = 0;
	hc_vcpu_dirty(guest.vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(guest.vm), 0);
	test_on_idle = idle;
	test_run_loop();
	assert_int_equal((uint32_t)guest_result(1), 0);
	assert_int_equal((uint32_t)guest_result(2), 1);
	assert_int_equal((uint32_t)guest_result(3), 1);
	assert_int_equal((uint32_t)guest_result(4), 2);
	assert_int_equal((uint32_t)guest_result(5), 3);
	assert_int_equal((uint32_t)guest_result(6), 4); /* the NMI; the interrupt waits for IF */
	assert_int_equal(idles, 4);
	assert_true(x86_apic_pending(&x86_vcpu_of(guest.vcpu)->apic) == 0x40);
	assert_in_range(guest.vcpu->stats.exits[HC_EXIT_WINDOW].count, 1, 10);
	guest_end();
}

/* The second NMI comes in the first one's handler, and waits for its IRET. */
GUEST(nmi_64, "64", "out %al, $0x80; nop; nop; hlt");
GUEST(on_nmi, "64",
      "incl 0x4000; mov $0x500, %edx; out %al, %dx; nop; mov 0x4000, %eax;"
      "cmpl $1, 0x4000; jne 1f; mov %eax, 0x4008; 1: iretq");

static void send_second_nmi(void)
{
	if (guest.access_count == 1)
		send(X86_DELIVER_NMI, 0);
}

void guest_test_nmi(void **state)
{
	guest_make(nmi_64, nmi_64_end);
	guest_long_mode();
	guest_handler(X86_VEC_NMI, on_nmi, on_nmi_end);
	guest.on_access = send_second_nmi;
	send(X86_DELIVER_NMI, 0);
	guest_run();
	assert_int_equal((uint32_t)guest_result(0), 2);
	assert_int_equal((uint32_t)guest_result(1), 1);
	assert_false(atomic_load(&x86_vcpu_of(guest.vcpu)->nmi_pending));
	assert_false(guest.st->events.nmi_masked);
	guest_end();
}

/* --- Outcomes --- */

void guest_expect_ports(void)
{
	guest_expect(0, true, 0, 1, 0x44);
	guest_expect(1, true, 2, 2, 0x3344);
	guest_expect(2, true, 8, 4, 0x11223344);
	assert_int_equal((uint32_t)guest_result(0), 0x11223344);
	assert_int_equal((uint32_t)guest_result(1), 0x11223344);
	assert_int_equal((uint32_t)guest_result(2), 0xb3b2b1b0);
	for (unsigned i = 0; i < 5; i++)
		guest_expect(6 + i, true, 0x20, 1, guest.ram[RESULTS + i]);
	for (unsigned i = 0; i < 3; i++)
		guest_expect(11 + i, false, 0x30, 2, 0xd1d0);
	assert_memory_equal(guest.ram + RESULTS + 0x20, "\xd0\xd1\xd0\xd1\xd0\xd1\0", 7);
	assert_int_equal(guest.access_count, 14);
}

void guest_expect_failure(const char *text)
{
	hc_vcpu_dirty(guest.vcpu, X86_G_ALL);
	assert_int_equal(hc_vm_start(guest.vm), 0);
	test_on_idle = test_stop_loop;
	test_run_loop();
	assert_int_equal(hc_vm_state(guest.vm), HC_VM_FAILED);
	if (!strstr(hc_vm_reason(guest.vm), text))
		fail_msg("%s", hc_vm_reason(guest.vm));
	guest_end();
}
