/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of arch/x86_64 share among themselves. */
#ifndef ARCH_X86_64_INTERNAL_H
#define ARCH_X86_64_INTERNAL_H

#include "arch/x86_64/x86.h"

/* events.c: hc_arch_ops.before_entry and has_event, and HLT's action. */
int x86_before_entry(struct hc_vcpu *vcpu);
bool x86_has_event(struct hc_vcpu *vcpu);
int x86_halt(struct hc_vcpu *vcpu);

/* walk.c: loads the PDPTEs from memory, as a move to CR3 in PAE paging does. False: one that is
 * present has reserved bits (SDM Vol. 3A 4.4.1), and nothing has changed. */
bool x86_load_pdptes(struct hc_vcpu *vcpu, uint64_t cr3);

/* walk.c: where the code at gva is, up to the end of its page. NULL with *rc as of x86_translate.
 */
const uint8_t *x86_code_ptr(struct hc_vcpu *vcpu, gva_t gva, int *rc, struct x86_fault *fault);

/* code.c: the linear address of CS:RIP. */
gva_t x86_code_address(struct hc_vcpu *vcpu);

/* code.c: the instruction at CS:RIP and its bytes, until the next call. NULL if it is not at hand
 * in one piece: undefined, across the end of a page, not mapped, not in RAM. */
const struct x86_code *x86_code_here(struct hc_vcpu *vcpu);

/* Of a vCPU that is being made: nothing is remembered. */
void x86_code_forget(struct hc_vcpu *vcpu);

/* tsc.c: chooses the factor for hc_vm.tsc_hz. -EINVAL for no rate, -EOPNOTSUPP or an error of the
 * backend's: it cannot. */
int x86_tsc_init(struct hc_vm *vm);
/* tsc.c: the guest's TSC, and its rate. Group MSR need not be valid. */
uint64_t x86_tsc_now(struct hc_vcpu *vcpu);
uint64_t x86_tsc_hz(struct hc_vcpu *vcpu);

/* mmio.c: a move of 32 bits between memory and a register or from an immediate. */
bool x86_is_move(const struct x86_insn *insn);

/* mmio.c: accesses of 1, 2, 4 or 8 bytes, aligned, where there is no RAM. */
uint64_t x86_device_read(struct hc_vcpu *vcpu, uint64_t gpa, unsigned size);
void x86_device_write(struct hc_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t value);

/* virt.c: the same for a piece within one page, by aligned accesses of 8, 4, 2 and 1 bytes. */
void x86_copy_device(struct hc_vcpu *vcpu, uint64_t gpa, uint8_t *buf, unsigned len, bool write);

/* exits.c: one handler per exit reason. */
extern const hc_exit_handler x86_exit_handlers[HC_EXIT_REASON_COUNT];

/* port_io.c, mmio.c, msr.c: HC_EXIT_IO, HC_EXIT_STAGE2, HC_EXIT_BUS, HC_EXIT_MSR_READ,
 * HC_EXIT_MSR_WRITE */
int x86_exit_io(struct hc_vcpu *vcpu, struct hc_exit *exit);
int x86_exit_stage2(struct hc_vcpu *vcpu, struct hc_exit *exit);
int x86_exit_bus(struct hc_vcpu *vcpu, struct hc_exit *exit);
int x86_exit_msr_read(struct hc_vcpu *vcpu, struct hc_exit *exit);
int x86_exit_msr_write(struct hc_vcpu *vcpu, struct hc_exit *exit);

/* The low width bytes (1, 2, 4, 8). */
static inline uint64_t x86_low_bytes(uint64_t value, unsigned width)
{
	static const uint64_t mask[9] = { 0, 0xff, 0xffff, 0, UINT32_MAX, 0, 0, 0, UINT64_MAX };

	return value & mask[width];
}

/* The low width bytes of a register replaced as a write of that width does: 4 bytes clear the upper
 * half (SDM Vol. 1 3.4.1.1). */
static inline uint64_t x86_merge(uint64_t old, uint64_t value, unsigned width)
{
	static const uint64_t keep[9] = { 0, ~UINT64_C(0xff), ~UINT64_C(0xffff), 0 };

	return (old & keep[width]) | x86_low_bytes(value, width);
}

/* EDX:EAX */
static inline uint64_t x86_edx_eax(const struct x86_state *s)
{
	return s->gpr[X86_RDX] << 32 | (uint32_t)s->gpr[X86_RAX];
}

#endif
