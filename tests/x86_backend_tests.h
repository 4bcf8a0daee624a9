/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests that AMD-V and VT-x both have to pass, on the rig of either. Those that a comment says to
 * be of a started rig run after x86_backend_start().
 */
#ifndef TESTS_X86_BACKEND_TESTS_H
#define TESTS_X86_BACKEND_TESTS_H

#include "tests/model/x86_rig.h"

extern const struct x86_event rig_nmi, rig_intr, rig_gp; /* the interrupt has vector 31h */
extern const struct model_step rig_one_exit[];           /* HLT */
extern const struct model_step rig_halts[];              /* three of them */

/* Of vCPU 0. */
int rig_inject(const struct x86_event *event);
void rig_window(bool nmi);
void rig_assert_delivered(unsigned count, uint8_t last_vector);

/* The rig with these features and the script rig_halts; and its end. */
int x86_backend_start(const struct model_features *features);
int x86_backend_stop(void **state);

/* Loads the vCPU on the CPU, runs it for an exit, and puts it. */
void rig_run_on(unsigned vcpu, unsigned cpu);

/* Probing and creation. */
void test_probe_looks_at_results(void **state);
void test_probe_without_memory(void **state);
void test_create_without_memory(void **state);

/* Flushes, and invalidate() against a vCPU in the guest. */
void test_no_needless_flush(void **state);
void test_tags_are_kept(void **state);
void test_invalidate_waits(void **state);
void test_invalidate_without_vm(void **state);

/* Events, of a started rig. */
void test_exception(void **state);
void test_interrupt_needs_if(void **state);
void test_interrupt_waits_for_the_shadow(void **state);
void test_sti_hlt(void **state);
void test_shadow_ends_with_its_instruction(void **state);
void test_window(void **state);
void test_window_behind_an_interrupt(void **state);
void test_window_overtaken(void **state);

/* An access to a port as an exit may tell of it. */
struct hc_exit_io rig_random_io(uint64_t *seed);

/* Fails the test where they differ. */
void rig_assert_same_state(const struct x86_state *a, const struct x86_state *b);

/* The TSC's factor. */
void test_tsc_factor(void **state);
void test_tsc_ratio(void **state);

/* State. */
void test_hostile_fpu(void **state);

#endif
