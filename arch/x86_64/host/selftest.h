/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest that finds out whether a CPU, or something that pretends to be one, runs guests as it
 * says: ten instructions that compute something, in one page at guest physical 0.
 */
#ifndef ARCH_X86_64_HOST_SELFTEST_H
#define ARCH_X86_64_HOST_SELFTEST_H

#include "mmu/stage2.h"

/* Where it starts, CS and DS being based at 0. */
#define X86_SELFTEST_RIP 0x100

/* Entries until it is given up: interrupts of the host's may come first. */
#define X86_SELFTEST_TRIES 64

/* Writes the guest into its page, all zero: code of 16 bits, or of 32 with a page directory at 0
 * that maps what lies there to itself. It ends in HLT. */
void x86_selftest_write(uint8_t *page, bool with_32);

/* The same, and maps the page in a stage 2 of its own. s2_destroy() frees that. Errors of s2_init()
 * and s2_map(); nothing is held then. */
int x86_selftest_map(struct s2 *s2, const struct s2_format *format, unsigned gpa_bits,
                     uint8_t *page, bool with_32);

/* After the HLT: whether it computed what it should have. */
bool x86_selftest_passed(const uint8_t *page, uint64_t rax, uint64_t rbx, uint64_t rdx);

#endif
