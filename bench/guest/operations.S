/* SPDX-License-Identifier: BSD-2-Clause */
/* The measured operations: void (void), nothing else clobbered than the ABI allows. */

	.text
	.macro operation name
	.globl op_\name
op_\name:
	.endm

operation nothing
	ret

operation cpuid
	movq %rbx, %r8
	xorl %eax, %eax
	cpuid
	movq %r8, %rbx
	ret

operation vmmcall
	movl $0x7fffffff, %eax	/* no such call */
	vmmcall
	ret

operation vmcall
	movl $0x7fffffff, %eax
	vmcall
	ret

operation rdmsr
	movl $0x1b, %ecx	/* IA32_APIC_BASE */
	rdmsr
	ret

operation port_in
	inb $0x21, %al		/* the 8259's mask */
	ret

operation lapic_read
	movl 0xfee00030, %eax	/* version */
	ret

operation ioapic_read
	movl 0xfec00010, %eax	/* the selected register */
	ret

	/* A page of 4 KiB that nobody has touched: all of them lie below 64 MiB. */
operation first_touch
	movl untouched(%rip), %eax
	addl $4096, untouched(%rip)
	movb (%rax), %al
	ret

	.data
untouched:
	.long 32 << 20
	.text

operation self_ipi
	movl $0x400f0, %eax	/* shorthand self, vector 0xf0 */
	movl %eax, 0xfee00300
	sti
	hlt
	cli
	ret

	/* Taken and ended at once. */
operation self_ipi_taken
	sti
	movl $0x400f0, %eax
	movl %eax, 0xfee00300
1:	cmpb $0, taken(%rip)
	je 1b
	movb $0, taken(%rip)
	cli
	ret

	/* A deadline that is over already. */
operation timer
	sti
	movl $0x6e0, %ecx	/* IA32_TSC_DEADLINE */
	movl $1, %eax
	xorl %edx, %edx
	wrmsr
1:	cmpb $0, taken(%rip)
	je 1b
	movb $0, taken(%rip)
	cli
	ret

operation x2apic_read
	movl $0x803, %ecx	/* version */
	rdmsr
	ret

	.data
taken:
	.byte 0
	.text

	.globl handle_ipi, handle_timer, handle_ud, handle_other
handle_timer:
handle_ipi:
	pushq %rax
	xorl %eax, %eax
	movl %eax, 0xfee000b0	/* EOI */
	movb $1, taken(%rip)
	popq %rax
	iretq

	/* VMMCALL or VMCALL, which is not this CPU's or meets no hypervisor: skip its three bytes. */
handle_ud:
	addq $3, (%rsp)
	iretq

handle_other:
	call unexpected

	.section .note.GNU-stack, "", @progbits
