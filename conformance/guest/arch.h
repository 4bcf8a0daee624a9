/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an architecture's part of the library owes the common part, and what it gets.
 *
 * The state that a case finds: CPU 0 at the highest level that a kernel has (ring 0 in 64-bit mode;
 * EL1), interrupts masked, identity-mapped memory, every interrupt source masked or off, no
 * interrupt pending, other CPUs stopped, control registers as the library's start left them.
 */
#ifndef CONFORMANCE_GUEST_ARCH_H
#define CONFORMANCE_GUEST_ARCH_H

#include "guest/test.h"

extern const char arch_name[];

/* Makes a character appear on the console. */
void arch_console_put(char c);

/* CPUs that can be started, CPU 0 included; at most CPUS_MAX. */
unsigned int arch_cpu_count(void);
unsigned int arch_this_cpu(void);
/* Resets CPU n and has it call cpu_main(n). False if it does not come within a generous time. */
bool arch_start_cpu(unsigned int n);
/* What CPU n calls; does not return: it halts when its work is done. */
_Noreturn void arch_park_cpu(void);

/* The state above, whatever a case has left. Stops the other CPUs. Called
 * before the first case and after each. False if the machine cannot be brought back: it is then
 * ended, and whoever reads goes on with the next case in a new one. */
bool arch_reset(void);
/* Ends the machine, with a status where it can have one. */
_Noreturn void arch_end_machine(bool failed);

/* The counter for time limits, and how often it ticks. */
uint64_t arch_ticks(void);
uint64_t arch_ticks_per_ms(void);
void arch_relax(void);

/* Calls function(argument). True if it was left by arch_unwind on the same CPU and slot. */
struct arch_unwind {
	uint64_t registers[24];
};
bool arch_protect(struct arch_unwind *slot, void (*function)(void *argument), void *argument);
_Noreturn void arch_unwind(struct arch_unwind *slot);

/* Writes an exception's name: "#GP", "data abort". NULL if it has none. */
const char *arch_fault_name(uint64_t vector);

/* ---- What the common part offers the architecture's ---- */

/* Called on CPU 0 when the start is over. */
_Noreturn void test_main(const char *command_line);
/* Called on any other CPU by what arch_start_cpu set going. */
_Noreturn void cpu_main(unsigned int n);
/* Takes an exception down, if one is expected here: the architecture then leaves the instruction
 * out. */
bool fault_take(const struct fault *fault);
/* An exception that nobody expected: prints it, then the lines, and ends the case. */
_Noreturn void fault_unexpected(const struct fault *fault, void (*more)(const void *),
                                const void *frame);

#endif
